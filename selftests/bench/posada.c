// SPDX-License-Identifier: GPL-2.0
/* The benchmark's guest on Posada, by libposada. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../../userspace/libposada.h"
#include "../../uapi/posada_hypercall.h"
#include "bench.h"

static int sys = -1;
static struct posada_vm *vm;
static struct posada_vcpu *vcpu;

static const char *posada_start(void)
{
	sys = posada_open(NULL);
	return sys < 0 ? strerror(-sys) : NULL;
}

static void must(const char *what, int rc)
{
	if (rc < 0)
		die("posada: %s: %s", what, strerror(-rc));
}

static void make(void)
{
	must("create a VM", posada_vm_create(&vm, sys, POSADA_BACKEND_ANY, 0));
	must("create a vCPU", posada_vcpu_create(&vcpu, vm, 0));
}

static void posada_destroy(void)
{
	posada_vcpu_close(vcpu);
	posada_vm_close(vm);
}

static void posada_churn(void)
{
	make();
	posada_destroy();
}

static struct posada_segment segment(u16 selector, u16 attr, u64 base, u32 limit)
{
	return (struct posada_segment){ base, limit, selector, attr };
}

static void set_registers(struct posada_run *run)
{
	struct posada_segment data = segment(G_DATA, 0xc93, 0, ~0U);
	struct posada_sregs *s = &run->sregs;
	struct posada_regs *r = &run->regs;

	memset(s, 0, sizeof(*s));
	memset(r, 0, sizeof(*r));
	s->seg[POSADA_CS] = segment(G_CODE64, 0xa9b, 0, ~0U);
	s->seg[POSADA_DS] = s->seg[POSADA_ES] = s->seg[POSADA_SS] = data;
	s->seg[POSADA_FS] = s->seg[POSADA_GS] = data;
	s->seg[POSADA_LDTR] = segment(0, 0x82, 0, 0xffff);
	s->seg[POSADA_TR] = segment(G_TSS_SEL(0), 0x8b, G_TSS, 0x67);
	s->gdt = (struct posada_table){ .base = G_GDT, .limit = 0xfff };
	s->idt = (struct posada_table){ .base = G_IDT, .limit = 0xfff };
	s->cr0 = 0x80010033;
	s->cr3 = G_PML4;
	s->cr4 = 0x620;
	s->efer = 0xd01;
	r->rip = (u64)bench_guest;
	r->rflags = 2;
	r->gpr[POSADA_RSP] = G_STACKS + G_STACK - 8;
	run->dirty = POSADA_GROUP_REGS | POSADA_GROUP_SREGS;
}

static void posada_create(u8 *mem, u8 *touch)
{
	make();
	must("map memory", posada_memory_map(vm, 0, 0, BENCH_MEM, mem, 0));
	must("map memory", posada_memory_map(vm, 1, TOUCH_GPA, TOUCH_PAGES * 4096UL, touch, 0));
	set_registers(posada_vcpu_page(vcpu));
}

/* The device: takes the store. */
static int mmio(void *ctx, uint64_t gpa, void *data, unsigned int len, bool write)
{
	(void)ctx;
	(void)data;
	return gpa == DEVICE_GPA && len == 4 && write ? 0 : -EIO;
}

static u16 posada_loop(void)
{
	const struct posada_run *run = posada_vcpu_page(vcpu);
	int rc;

	for (;;) {
		rc = posada_vcpu_run(vcpu);
		if (rc == -EINTR)
			continue;
		must("run", rc);
		if (run->exit == POSADA_EXIT_MEMORY) {
			must("complete a memory exit", posada_complete_memory(vcpu, mmio, NULL));
			continue;
		}
		if (run->exit != POSADA_EXIT_PORT)
			die("posada: exit %s, rip %llx", posada_exit_name(run->exit),
			    run->regs.rip);
		if (run->port.port == PORT_SYNC || run->port.port == PORT_DONE)
			return run->port.port;
	}
}

const struct hypervisor bench_posada = {
	.name = "Posada", .open = posada_start, .create = posada_create, .run = posada_loop,
	.destroy = posada_destroy, .churn = posada_churn, .call_nr = POSADA_HC_FEATURES,
};
