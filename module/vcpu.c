// SPDX-License-Identifier: GPL-2.0
/*
 * The vCPU: its fd, its life, its ioctls. A vCPU lives as long as its VM; its
 * fd only holds the VM. It is made whole before anyone can see it.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include "entry.h"
#include "posada.h"
#include "profile.h"

/* CS:RIP after RESET and INIT: SDM volume 3, "First Instruction Executed". */
#define POSADA_RESET_RIP	0xfff0

#define POSADA_RESET_SEG(type)						\
	{ .limit = 0xffff, .attr = POSADA_SEG_P | (type) }
#define POSADA_RESET_DATA	POSADA_RESET_SEG(POSADA_SEG_S | 3)

/* Of RESET and INIT: SDM volume 3, "Processor State After Reset". */
static const struct posada_sregs posada_reset_sregs = {
	.seg = {
		[POSADA_ES] = POSADA_RESET_DATA,
		[POSADA_CS] = { .base = 0xffff0000, .limit = 0xffff,
				.selector = 0xf000,
				.attr = POSADA_SEG_P | POSADA_SEG_S | 0xb },
		[POSADA_SS] = POSADA_RESET_DATA,
		[POSADA_DS] = POSADA_RESET_DATA,
		[POSADA_FS] = POSADA_RESET_DATA,
		[POSADA_GS] = POSADA_RESET_DATA,
		[POSADA_LDTR] = POSADA_RESET_SEG(2),
		[POSADA_TR] = POSADA_RESET_SEG(0xb),
	},
	.gdt = { .limit = 0xffff },
	.idt = { .limit = 0xffff },
	.cr0 = X86_CR0_NW | X86_CR0_CD | X86_CR0_ET,
};

void posada_vcpu_reset(struct posada_vcpu *vcpu, bool init)
{
	u32 signature[4];

	memset(&vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->ops->vcpu_reset(vcpu);
	posada_reset_dregs(vcpu);
	vcpu->ops->set_sregs(vcpu, &posada_reset_sregs);
	posada_cpuid(vcpu, 1, 0, signature);
	vcpu->regs.gpr[POSADA_RDX] = signature[0];
	vcpu->regs.rip = POSADA_RESET_RIP;
	vcpu->regs.rflags = X86_EFLAGS_FIXED;
	vcpu->shadow = 0;
	vcpu->cpl = 0;
	posada_set_nmi_masked(vcpu, false);
	vcpu->long64 = false;
	vcpu->pending.kind = POSADA_EVENT_NONE;
	vcpu->windows = 0;
	vcpu->extint = -1;
	atomic_set(&vcpu->nmi_pending, 0);
	posada_apic_reset(vcpu, init);
	posada_msr_reset(vcpu, init);
	if (!init) {
		vcpu->xcr0 = XFEATURE_MASK_FP;
		vcpu->pkru = 0;
	}
	vcpu->mp_state = vcpu->id ? POSADA_MP_WAIT_SIPI : POSADA_MP_RUNNABLE;
	vcpu->ops->set_reg(vcpu, POSADA_REG_TSC_OFFSET, vcpu->tsc_offset);
}

static __must_check int posada_arch_alloc(struct posada_vcpu *vcpu)
{
	int i;

	vcpu->arch = kzalloc(vcpu->ops->vcpu_bytes, GFP_KERNEL_ACCOUNT);
	if (!vcpu->arch)
		return -ENOMEM;
	for (i = 0; i < vcpu->ops->vcpu_pages; i++) {
		vcpu->arch_page[i] = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!vcpu->arch_page[i])
			return -ENOMEM;
	}
	return 0;
}

static void posada_arch_free(struct posada_vcpu *vcpu)
{
	int i;

	for (i = 0; i < vcpu->ops->vcpu_pages; i++)
		free_page((unsigned long)vcpu->arch_page[i]);
	kfree(vcpu->arch);
}

void posada_vcpu_free(struct posada_vcpu *vcpu)
{
	posada_apic_free(vcpu);
	posada_profile_free(vcpu);
	posada_barrier_forget(vcpu);
	if (vcpu->ops->vcpu_free)
		vcpu->ops->vcpu_free(vcpu);
	posada_arch_free(vcpu);
	posada_mmu_free_cache(&vcpu->tables);
	fpu_free_guest_fpstate(&vcpu->fpu);
	free_page((unsigned long)vcpu->run);
	kfree(vcpu);
}

static struct posada_vcpu *posada_vcpu_alloc(struct posada_vm *vm, u32 id)
{
	struct posada_vcpu *vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);

	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	vcpu->vm = vm;
	vcpu->ops = vm->ops;
	vcpu->id = id;
	vcpu->cpu = -1;
	vcpu->tsc_offset = vm->tsc_offset;
	vcpu->tsc_lost = vm->tsc_lost;
	mutex_init(&vcpu->mutex);
	rcuwait_init(&vcpu->wait);
	posada_notifier_init(vcpu);
	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->run)
		goto free_vcpu;
	if (!fpu_alloc_guest_fpstate(&vcpu->fpu))
		goto free_run;
	if (posada_arch_alloc(vcpu) || posada_profile_init(vcpu))
		goto free_arch;
	vm->ops->vcpu_init(vcpu);
	posada_apic_init(vcpu);
	return vcpu;

free_arch:
	posada_arch_free(vcpu);
	fpu_free_guest_fpstate(&vcpu->fpu);
free_run:
	free_page((unsigned long)vcpu->run);
free_vcpu:
	kfree(vcpu);
	return ERR_PTR(-ENOMEM);
}

/* ---- the fd ---- */

static int posada_vcpu_kick(void *object, void *args)
{
	posada_request(object, POSADA_REQ_KICK);
	return 0;
}

static int posada_vcpu_do_state(void *object, void *args)
{
	return posada_vcpu_state(object, args);
}

static int posada_inject_exception(struct posada_vcpu *vcpu,
				   const struct posada_inject *in)
{
	bool error = in->flags & POSADA_INJECT_ERROR_CODE;

	if (!posada_exception_valid(in->vector, in->payload, error,
				    in->error_code))
		return -EINVAL;
	if (vcpu->pending.kind)
		return -EBUSY;
	posada_raise(vcpu, in->vector, error, in->error_code, in->payload);
	return 0;
}

static int posada_inject_interrupt(struct posada_vcpu *vcpu, u32 vector)
{
	if (vector > 255)
		return -EINVAL;
	if (vcpu->extint >= 0)
		return -EBUSY;
	vcpu->extint = vector;
	return 0;
}

/* NMI and INIT reach a vCPU that runs or sleeps; the rest waits for it. */
static int posada_vcpu_inject(void *object, void *args)
{
	struct posada_vcpu *vcpu = object;
	const struct posada_inject *in = args;
	int r;

	switch (in->kind) {
	case POSADA_INJECT_NMI:
		atomic_add_unless(&vcpu->nmi_pending, 1, 2);
		posada_request(vcpu, POSADA_REQ_EVENT);
		return 0;
	case POSADA_INJECT_INIT:
		posada_request(vcpu, POSADA_REQ_INIT);
		return 0;
	case POSADA_INJECT_INTERRUPT:
	case POSADA_INJECT_EXCEPTION:
		break;
	default:
		return -EINVAL;
	}
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	r = in->kind == POSADA_INJECT_INTERRUPT ?
		posada_inject_interrupt(vcpu, in->vector) :
		posada_inject_exception(vcpu, in);
	mutex_unlock(&vcpu->mutex);
	return r;
}

static int posada_vcpu_apic(void *object, void *args)
{
	struct posada_apic_reg *reg = args;

	/* EOI is an answer, never a question. */
	if (reg->flags & POSADA_APIC_EOI)
		return -EINVAL;
	return posada_apic_mmio(object, reg);
}

/* DR7 bits that a debugger has no use for: reserved ones and GD. */
#define POSADA_DR7_RESERVED	0xffffffff0000f800ULL

static int posada_vcpu_debug(void *object, void *args)
{
	struct posada_vcpu *vcpu = object;
	const struct posada_debug *debug = args;
	int i;

	if (debug->dr7 & POSADA_DR7_RESERVED)
		return -EINVAL;
	for (i = 0; i < 4; i++)
		if (!__is_canonical_address(debug->dr[i], 57))
			return -EINVAL;
	vcpu->debug = *debug;
	if (!(debug->flags & POSADA_DEBUG_STEP))
		clear_bit(POSADA_REQ_STEP, &vcpu->requests);
	vcpu->debug.dr7 &= ~(u64)DR_GLOBAL_SLOWDOWN;
	posada_update_debug(vcpu);
	return 0;
}

static int posada_vcpu_translate(void *object, void *args)
{
	struct posada_vcpu *vcpu = object;
	struct posada_translate *t = args;
	int r;

	t->gpa = 0;
	t->page_bytes = 0;
	t->error_code = 0;
	r = posada_gva_to_gpa(vcpu, t->gva, t->flags, &t->gpa, &t->page_bytes,
			      &t->error_code);
	return r == -EFAULT ? -ENXIO : r;
}

static void posada_read_stats(const struct posada_vcpu *vcpu, u64 *value)
{
	int i;

	for (i = 0; i < POSADA_STAT_COUNT; i++)
		value[i] += READ_ONCE(vcpu->stat[i]);
}

/* Time is counted in TSC cycles and told in nanoseconds. */
static void posada_finish_stats(struct posada_stats *stats)
{
	u64 *ns = &stats->value[POSADA_STAT_GUEST_NS];

	*ns = mul_u64_u32_div(*ns, NSEC_PER_MSEC, posada_tsc_khz);
	stats->count = POSADA_STAT_COUNT;
	stats->pad = 0;
}

static int posada_vcpu_stats(void *object, void *args)
{
	struct posada_stats *stats = args;

	memset(stats->value, 0, sizeof(stats->value));
	posada_read_stats(object, stats->value);
	posada_finish_stats(stats);
	return 0;
}

int posada_vm_stats(void *object, void *args)
{
	struct posada_vm *vm = object;
	struct posada_stats *stats = args;
	struct posada_vcpu *vcpu;
	int i;

	memset(stats->value, 0, sizeof(stats->value));
	posada_for_each_vcpu(i, vcpu, vm)
		posada_read_stats(vcpu, stats->value);
	for (i = 0; i < POSADA_STAT_COUNT; i++)
		stats->value[i] += atomic64_read(&vm->stat[i]);
	posada_finish_stats(stats);
	return 0;
}

static int posada_vcpu_profile(void *object, void *args)
{
	return posada_profile_read(object, args);
}

static const struct posada_ioctl posada_vcpu_ioctls[] = {
	{ POSADA_KICK, .flags = POSADA_IOCTL_ANY_MM,
	  .call = posada_vcpu_kick },
	{ POSADA_VCPU_STATE, sizeof(struct posada_state),
	  POSADA_IOCTL_LOCK | POSADA_IOCTL_OUT,
	  offsetof(struct posada_state, pad),
	  POSADA_STATE_WRITE | POSADA_STATE_DRY_RUN, posada_vcpu_do_state },
	{ POSADA_INJECT, sizeof(struct posada_inject), 0,
	  offsetof(struct posada_inject, pad), POSADA_INJECT_ERROR_CODE,
	  posada_vcpu_inject },
	{ POSADA_APIC, sizeof(struct posada_apic_reg),
	  POSADA_IOCTL_LOCK | POSADA_IOCTL_OUT, 0,
	  POSADA_APIC_WRITE | POSADA_APIC_EOI, posada_vcpu_apic },
	{ POSADA_DEBUG, sizeof(struct posada_debug), POSADA_IOCTL_LOCK, 0,
	  POSADA_DEBUG_STEP | POSADA_DEBUG_BREAK | POSADA_DEBUG_HARDWARE,
	  posada_vcpu_debug },
	{ POSADA_VCPU_STATS, sizeof(struct posada_stats),
	  POSADA_IOCTL_OUT | POSADA_IOCTL_ANY_MM,
	  offsetof(struct posada_stats, pad), 0, posada_vcpu_stats },
	{ POSADA_PROFILE, sizeof(struct posada_profile),
	  POSADA_IOCTL_OUT | POSADA_IOCTL_ANY_MM, 0, 0,
	  posada_vcpu_profile },
	{ POSADA_TRANSLATE, sizeof(struct posada_translate),
	  POSADA_IOCTL_LOCK | POSADA_IOCTL_OUT,
	  offsetof(struct posada_translate, pad), POSADA_ACCESS_READ |
	  POSADA_ACCESS_WRITE | POSADA_ACCESS_EXEC | POSADA_ACCESS_USER,
	  posada_vcpu_translate },
};

static long posada_vcpu_run(struct posada_vcpu *vcpu, unsigned long arg)
{
	long r;

	if (arg)
		return -EINVAL;
	if (current->mm != vcpu->vm->mm)
		return -EIO;
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	rcu_assign_pointer(vcpu->task, current);
	r = posada_run(vcpu);
	RCU_INIT_POINTER(vcpu->task, NULL);
	mutex_unlock(&vcpu->mutex);
	return r;
}

static long posada_vcpu_ioctl(struct file *file, unsigned int cmd,
			      unsigned long arg)
{
	struct posada_vcpu *vcpu = file->private_data;

	if (likely(cmd == POSADA_RUN))
		return posada_vcpu_run(vcpu, arg);
	return posada_dispatch(posada_vcpu_ioctls,
			       ARRAY_SIZE(posada_vcpu_ioctls), cmd, arg, vcpu,
			       &vcpu->mutex, vcpu->vm->mm);
}

static int posada_vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct posada_vcpu *vcpu = file->private_data;

	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != POSADA_RUN_BYTES ||
	    !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	return vm_insert_page(vma, vma->vm_start, virt_to_page(vcpu->run));
}

static int posada_vcpu_release(struct inode *inode, struct file *file)
{
	struct posada_vcpu *vcpu = file->private_data;

	posada_vm_put(vcpu->vm);
	return 0;
}

static const struct file_operations posada_vcpu_fops = {
	.owner = THIS_MODULE,
	.release = posada_vcpu_release,
	.mmap = posada_vcpu_mmap,
	.unlocked_ioctl = posada_vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* Reserve what can fail, then make it visible, the fd last. */
int posada_vcpu_create(struct posada_vm *vm, struct posada_vcpu_create *args)
{
	struct posada_vcpu *vcpu;
	struct file *file;
	int fd;

	if (args->id >= posada_max_vcpus)
		return -EINVAL;
	if (posada_vcpu_by_id(vm, args->id))
		return -EEXIST;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	vcpu = posada_vcpu_alloc(vm, args->id);
	if (IS_ERR(vcpu)) {
		put_unused_fd(fd);
		return PTR_ERR(vcpu);
	}
	file = anon_inode_getfile("posada-vcpu", &posada_vcpu_fops, vcpu,
				  O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		posada_vcpu_free(vcpu);
		return PTR_ERR(file);
	}
	posada_vm_get(vm);
	vm->nr_vcpus++;
	posada_vcpu_reset(vcpu, false);
	/* Pairs with the acquire in posada_vcpu_by_id(). */
	smp_store_release(&vm->vcpus[args->id], vcpu);
	if (vm->killed)
		posada_request(vcpu, POSADA_REQ_KILLED);
	fd_install(fd, file);
	return fd;
}
