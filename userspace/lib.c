// SPDX-License-Identifier: GPL-2.0
/* The ioctls: system, VM and vCPU file descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

/* The one place that issues ioctls; -> the result or -errno. */
int posada_call(int fd, unsigned int nr, void *arg)
{
	int ret = ioctl(fd, nr, arg);

	return ret < 0 ? -errno : ret;
}

int posada_open(const char *path)
{
	int fd = open(path ? path : POSADA_DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int posada_info(int fd, struct posada_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return posada_call(fd, POSADA_INFO, info);
}

/* ---- names ---- */

static const char *const backend_names[] = {
	[POSADA_BACKEND_ANY]	= "any",
	[POSADA_BACKEND_SVM]	= "svm",
	[POSADA_BACKEND_VMX]	= "vmx",
	[POSADA_BACKEND_RING3]	= "ring3",
};

static const char *const exit_names[POSADA_NR_EXITS] = {
	[POSADA_EXIT_NONE]	= "none",
	[POSADA_EXIT_PORT]	= "port",
	[POSADA_EXIT_MEMORY]	= "memory",
	[POSADA_EXIT_MSR]	= "msr",
	[POSADA_EXIT_HYPERCALL]	= "hypercall",
	[POSADA_EXIT_EOI]	= "eoi",
	[POSADA_EXIT_WINDOW]	= "window",
	[POSADA_EXIT_KICK]	= "kick",
	[POSADA_EXIT_DEBUG]	= "debug",
	[POSADA_EXIT_SHUTDOWN]	= "shutdown",
	[POSADA_EXIT_SYSTEM]	= "system",
	[POSADA_EXIT_KILLED]	= "killed",
	[POSADA_EXIT_TASK]	= "task",
};

static const char *const kill_names[POSADA_NR_KILLS] = {
	[POSADA_KILL_NONE]	= "NONE",
	[POSADA_KILL_BAD_STATE]	= "BAD_STATE",
	[POSADA_KILL_BAD_EXIT]	= "BAD_EXIT",
	[POSADA_KILL_NO_FETCH]	= "NO_FETCH",
	[POSADA_KILL_NO_MEMORY]	= "NO_MEMORY",
	[POSADA_KILL_DELIVERY]	= "DELIVERY",
	[POSADA_KILL_MACHINE]	= "MACHINE",
	[POSADA_KILL_HOST]	= "HOST",
};

static const char *const stat_names[POSADA_STAT_COUNT] = {
	[POSADA_STAT_ENTRIES]		= "entries",
	[POSADA_STAT_EXITS]		= "user_exits",
	[POSADA_STAT_PORT]		= "port",
	[POSADA_STAT_MEMORY]		= "memory",
	[POSADA_STAT_MSR]		= "msr",
	[POSADA_STAT_CPUID]		= "cpuid",
	[POSADA_STAT_HYPERCALL]		= "hypercall",
	[POSADA_STAT_HALT]		= "halt",
	[POSADA_STAT_PAUSE]		= "pause",
	[POSADA_STAT_WINDOW]		= "window",
	[POSADA_STAT_HOST_IRQ]		= "host_irq",
	[POSADA_STAT_EXCEPTION]		= "exception",
	[POSADA_STAT_OTHER]		= "other",
	[POSADA_STAT_INJECT_IRQ]	= "inject_irq",
	[POSADA_STAT_INJECT_NMI]	= "inject_nmi",
	[POSADA_STAT_INJECT_EXCEPTION]	= "inject_exception",
	[POSADA_STAT_REINJECT]		= "reinject",
	[POSADA_STAT_IPI]		= "ipi",
	[POSADA_STAT_DOORBELL]		= "doorbell",
	[POSADA_STAT_HALT_POLL_HIT]	= "halt_poll_hit",
	[POSADA_STAT_HALT_NS]		= "halt_ns",
	[POSADA_STAT_GUEST_NS]		= "guest_ns",
	[POSADA_STAT_TLB_FLUSH]		= "tlb_flush",
	[POSADA_STAT_PAGES_4K]		= "pages_4k",
	[POSADA_STAT_PAGES_2M]		= "pages_2m",
	[POSADA_STAT_PAGES_1G]		= "pages_1g",
	[POSADA_STAT_ZAPPED]		= "zapped",
	[POSADA_STAT_TABLES]		= "tables",
	[POSADA_STAT_MSI]		= "msi",
	[POSADA_STAT_IRQFD]		= "irqfd",
};

static const char *name_in(const char *const *names, size_t count,
			   unsigned int i)
{
	return i < count && names[i] ? names[i] : "unknown";
}

const char *posada_backend_name(unsigned int id)
{
	return name_in(backend_names, ARRAY_SIZE(backend_names), id);
}

const char *posada_exit_name(unsigned int reason)
{
	return name_in(exit_names, ARRAY_SIZE(exit_names), reason);
}

const char *posada_kill_name(unsigned int reason)
{
	return name_in(kill_names, ARRAY_SIZE(kill_names), reason);
}

const char *posada_stat_name(unsigned int stat)
{
	return stat < POSADA_STAT_COUNT ? stat_names[stat] : NULL;
}

/* ---- VMs ---- */

int posada_vm_create(struct posada_vm **out, int fd, enum posada_backend_id id,
		     uint32_t flags)
{
	struct posada_vm_create arg = {
		.size = sizeof(arg), .flags = flags, .backend = id,
	};
	struct posada_info info;
	struct posada_vm *vm;
	int ret;

	ret = posada_info(fd, &info);
	if (ret < 0)
		return ret;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return -ENOMEM;
	ret = posada_call(fd, POSADA_VM_CREATE, &arg);
	if (ret < 0) {
		free(vm);
		return ret;
	}
	vm->fd = ret;
	vm->phys_bits = info.phys_bits;
	pthread_rwlock_init(&vm->lock, NULL);
	*out = vm;
	return 0;
}

void posada_vm_close(struct posada_vm *vm)
{
	uint32_t i;

	if (!vm)
		return;
	/* The fd goes first: nothing may map memory that is being unmapped. */
	close(vm->fd);
	for (i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i].ours)
			munmap(vm->slots[i].hva, vm->slots[i].bytes);
	pthread_rwlock_destroy(&vm->lock);
	free(vm);
}

int posada_vm_fd(const struct posada_vm *vm)
{
	return vm->fd;
}

int posada_vm_stats(struct posada_vm *vm, struct posada_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	return posada_call(vm->fd, POSADA_VM_STATS, stats);
}

int posada_msi(struct posada_vm *vm, uint64_t addr, uint32_t data)
{
	struct posada_msi arg = {
		.size = sizeof(arg), .addr = addr, .data = data,
	};

	return posada_call(vm->fd, POSADA_MSI, &arg);
}

int posada_irqfd(struct posada_vm *vm, int fd, uint64_t addr, uint32_t data)
{
	struct posada_irqfd arg = {
		.size = sizeof(arg), .fd = fd, .addr = addr, .data = data,
	};

	return posada_call(vm->fd, POSADA_IRQFD, &arg);
}

int posada_irqfd_remove(struct posada_vm *vm, int fd)
{
	struct posada_irqfd arg = {
		.size = sizeof(arg), .fd = fd, .flags = POSADA_IRQFD_DEASSIGN,
	};

	return posada_call(vm->fd, POSADA_IRQFD, &arg);
}

int posada_doorbell(struct posada_vm *vm, struct posada_doorbell *bell)
{
	bell->size = sizeof(*bell);
	return posada_call(vm->fd, POSADA_DOORBELL, bell);
}

int posada_generation(struct posada_vm *vm, uint8_t id[16], int64_t step_ns)
{
	struct posada_generation_set arg = {
		.size = sizeof(arg), .step_ns = step_ns,
	};
	int ret;

	if (id)
		memcpy(arg.id, id, sizeof(arg.id));
	ret = posada_call(vm->fd, POSADA_GENERATION, &arg);
	if (id && ret >= 0)
		memcpy(id, arg.id, sizeof(arg.id));
	return ret;
}

/* ---- vCPUs ---- */

static int map_run_page(struct posada_vcpu *vcpu)
{
	void *page = mmap(NULL, vcpu->run_bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED, vcpu->fd, 0);

	if (page == MAP_FAILED)
		return -errno;
	vcpu->run = page;
	return 0;
}

int posada_vcpu_create(struct posada_vcpu **out, struct posada_vm *vm,
		       uint32_t id)
{
	struct posada_vcpu_create arg = { .size = sizeof(arg), .id = id };
	struct posada_vcpu *vcpu = calloc(1, sizeof(*vcpu));
	int ret;

	if (!vcpu)
		return -ENOMEM;
	ret = posada_call(vm->fd, POSADA_VCPU_CREATE, &arg);
	if (ret < 0)
		goto fail_free;
	vcpu->fd = ret;
	vcpu->id = id;
	vcpu->vm = vm;
	vcpu->run_bytes = POSADA_RUN_BYTES;
	ret = map_run_page(vcpu);
	if (ret < 0)
		goto fail_close;
	*out = vcpu;
	return 0;

fail_close:
	close(vcpu->fd);
fail_free:
	free(vcpu);
	return ret;
}

void posada_vcpu_close(struct posada_vcpu *vcpu)
{
	if (!vcpu)
		return;
	munmap(vcpu->run, vcpu->run_bytes);
	close(vcpu->fd);
	free(vcpu);
}

int posada_vcpu_fd(const struct posada_vcpu *vcpu)
{
	return vcpu->fd;
}

uint32_t posada_vcpu_id(const struct posada_vcpu *vcpu)
{
	return vcpu->id;
}

struct posada_run *posada_vcpu_page(struct posada_vcpu *vcpu)
{
	return vcpu->run;
}

int posada_vcpu_run(struct posada_vcpu *vcpu)
{
	return posada_call(vcpu->fd, POSADA_RUN, NULL);
}

int posada_vcpu_kick(struct posada_vcpu *vcpu)
{
	return posada_call(vcpu->fd, POSADA_KICK, NULL);
}

int posada_vcpu_stats(struct posada_vcpu *vcpu, struct posada_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	return posada_call(vcpu->fd, POSADA_VCPU_STATS, stats);
}

int posada_vcpu_profile(struct posada_vcpu *vcpu,
			struct posada_profile_entry *entries, uint32_t room,
			uint32_t *used, uint64_t *lost)
{
	struct posada_profile arg = {
		.size = sizeof(arg), .buf = (uintptr_t)entries,
		.entries = room,
	};
	int ret = posada_call(vcpu->fd, POSADA_PROFILE, &arg);

	*used = arg.used;
	*lost = arg.lost;
	return ret;
}

static int inject(struct posada_vcpu *vcpu, uint32_t kind, uint32_t vector)
{
	struct posada_inject arg = {
		.size = sizeof(arg), .kind = kind, .vector = vector,
	};

	return posada_call(vcpu->fd, POSADA_INJECT, &arg);
}

int posada_inject_nmi(struct posada_vcpu *vcpu)
{
	return inject(vcpu, POSADA_INJECT_NMI, 0);
}

int posada_inject_init(struct posada_vcpu *vcpu)
{
	return inject(vcpu, POSADA_INJECT_INIT, 0);
}

int posada_inject_interrupt(struct posada_vcpu *vcpu, uint8_t vector)
{
	return inject(vcpu, POSADA_INJECT_INTERRUPT, vector);
}

int posada_inject_exception(struct posada_vcpu *vcpu, uint8_t vector,
			    int64_t error_code, uint64_t payload)
{
	struct posada_inject arg = {
		.size = sizeof(arg),
		.kind = POSADA_INJECT_EXCEPTION,
		.vector = vector,
		.payload = payload,
	};

	if (error_code >= 0) {
		arg.flags = POSADA_INJECT_ERROR_CODE;
		arg.error_code = (uint32_t)error_code;
	}
	return posada_call(vcpu->fd, POSADA_INJECT, &arg);
}

int posada_debug(struct posada_vcpu *vcpu, struct posada_debug *dbg)
{
	dbg->size = sizeof(*dbg);
	return posada_call(vcpu->fd, POSADA_DEBUG, dbg);
}

int posada_translate(struct posada_vcpu *vcpu, struct posada_translate *tr)
{
	tr->size = sizeof(*tr);
	return posada_call(vcpu->fd, POSADA_TRANSLATE, tr);
}

/* The xAPIC's registers are 32 bits wide on 16-byte strides; what lies
 * between them reads as zero and swallows writes.
 */
int posada_apic_access(struct posada_vcpu *vcpu, uint64_t gpa, void *data,
		       unsigned int len, bool write)
{
	uint32_t offset = gpa & PAGE_MASK, in = offset & 15;
	struct posada_apic_reg arg = {
		.size = sizeof(arg), .offset = offset & ~15U,
	};
	uint64_t value = 0;
	int ret;

	if (write) {
		if (in)
			return 0;
		arg.flags = POSADA_APIC_WRITE;
		memcpy(&arg.value, data, len < 4 ? len : 4);
	}
	ret = posada_call(vcpu->fd, POSADA_APIC, &arg);
	if (ret == -ENXIO)
		value = ~0ULL;
	else if (ret < 0)
		return ret;
	else if (in < 4)
		value = (uint64_t)arg.value >> (8 * in);
	if (write)
		return arg.flags & POSADA_APIC_EOI ? (int)(arg.value & 0xff) : 0;
	memcpy(data, &value, len);
	return 0;
}
