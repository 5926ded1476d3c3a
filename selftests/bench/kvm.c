// SPDX-License-Identifier: GPL-2.0
/* The benchmark's guest on KVM, by the bare ioctls. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

static int sys = -1, vm, vcpu;
static size_t run_bytes;
static struct kvm_run *run;

static const char *kvm_open(void)
{
	sys = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (sys < 0)
		return strerror(errno);
	run_bytes = ioctl(sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	return NULL;
}

static void must(const char *what, int rc)
{
	if (rc < 0)
		die("kvm: %s: %s", what, strerror(errno));
}

/* With the local APIC in the kernel, as every VMM has it and as Posada does. */
static void make_vm(void)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

	vm = ioctl(sys, KVM_CREATE_VM, 0);
	must("KVM_CREATE_VM", vm);
	must("KVM_CAP_SPLIT_IRQCHIP", ioctl(vm, KVM_ENABLE_CAP, &split));
}

static void make_vcpu(void)
{
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	must("KVM_CREATE_VCPU", vcpu);
	run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		die("kvm: mmap: %s", strerror(errno));
}

static void kvm_destroy(void)
{
	munmap(run, run_bytes);
	close(vcpu);
	close(vm);
}

static void kvm_churn(void)
{
	make_vm();
	make_vcpu();
	kvm_destroy();
}

static void set_slot(u32 slot, u64 gpa, void *hva, u64 bytes)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot, .guest_phys_addr = gpa,
		.memory_size = bytes, .userspace_addr = (u64)hva,
	};

	must("KVM_SET_USER_MEMORY_REGION", ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r));
}

static void set_cpuid(void)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} table;

	table.head.nent = 256;
	must("KVM_GET_SUPPORTED_CPUID", ioctl(sys, KVM_GET_SUPPORTED_CPUID, &table));
	must("KVM_SET_CPUID2", ioctl(vcpu, KVM_SET_CPUID2, &table));
}

static struct kvm_segment segment(u16 selector, u8 type, int s, int l, int db, int g, u64 base,
				  u32 limit)
{
	return (struct kvm_segment){
		.base = base, .limit = limit, .selector = selector, .type = type,
		.present = 1, .s = s, .l = l, .db = db, .g = g,
	};
}

static void set_registers(void)
{
	struct kvm_regs r = {
		.rip = (u64)bench_guest, .rflags = 2, .rsp = G_STACKS + G_STACK - 8,
	};
	struct kvm_sregs s;

	must("KVM_GET_SREGS", ioctl(vcpu, KVM_GET_SREGS, &s));
	s.cs = segment(G_CODE64, 0xb, 1, 1, 0, 1, 0, ~0U);
	s.ds = s.es = s.ss = s.fs = s.gs = segment(G_DATA, 3, 1, 0, 1, 1, 0, ~0U);
	s.tr = segment(G_TSS_SEL(0), 0xb, 0, 0, 0, 0, G_TSS, 0x67);
	s.gdt.base = G_GDT;
	s.gdt.limit = 0xfff;
	s.idt.base = G_IDT;
	s.idt.limit = 0xfff;
	s.cr0 = 0x80010033;
	s.cr3 = G_PML4;
	s.cr4 = 0x620;
	s.efer = 0xd01;
	must("KVM_SET_SREGS", ioctl(vcpu, KVM_SET_SREGS, &s));
	must("KVM_SET_REGS", ioctl(vcpu, KVM_SET_REGS, &r));
}

static void kvm_create(u8 *mem, u8 *touch)
{
	make_vm();
	set_slot(0, 0, mem, BENCH_MEM);
	set_slot(1, TOUCH_GPA, touch, TOUCH_PAGES * 4096UL);
	make_vcpu();
	set_cpuid();
	set_registers();
}

static u16 kvm_run(void)
{
	for (;;) {
		if (ioctl(vcpu, KVM_RUN, 0) < 0 && errno != EINTR)
			die("kvm: KVM_RUN: %s", strerror(errno));
		if (run->exit_reason == KVM_EXIT_MMIO)
			continue;	/* a write: done when it is seen */
		if (run->exit_reason != KVM_EXIT_IO)
			die("kvm: exit %u", run->exit_reason);
		if (run->io.port == PORT_SYNC || run->io.port == PORT_DONE)
			return run->io.port;
	}
}

const struct hypervisor bench_kvm = {
	.name = "KVM", .open = kvm_open, .create = kvm_create, .run = kvm_run,
	.destroy = kvm_destroy, .churn = kvm_churn,
	.call_nr = 1,	/* KVM_HC_VAPIC_POLL_IRQ: does nothing, returns 0 */
};
