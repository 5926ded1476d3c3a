// SPDX-License-Identifier: GPL-2.0-only
/*
 * Time for guests: the TSC, KVM's paravirtual clock, steal time.
 *
 * While the host keeps its own time by the TSC, all guests' clocks follow
 * from one pair (TSC, nanoseconds) taken for the whole module, by the guests'
 * own multiplication: so no two vCPUs ever disagree, and no update makes a
 * clock jump. Where the host doesn't trust its TSC each page gets a pair of
 * its own, anew on each CPU, and no promise.
 */
#include <linux/irq_work.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/pvclock_gtod.h>
#include <linux/sched.h>
#include <linux/seqlock.h>
#include <linux/timekeeper_internal.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <asm/kvm_para.h>
#include <asm/pvclock.h>
#include <asm/tsc.h>
#include <vdso/clocksource.h>
#include "../uapi/posada_hypercall.h"
#include "compat.h"
#include "posada.h"

/* TSC offsets of one VM nearer than this were meant to be one. */
#define TSC_MATCH_MS		1

static struct {
	seqlock_t lock;
	u64 tsc, ns;		/* the pair; ns counts as boottime does */
	s64 ahead;		/* ns less the host's boottime */
	bool stable;		/* the host keeps time by the TSC */
} base = {
	.lock = __SEQLOCK_UNLOCKED(base.lock),
};

static u32 tsc_mul;		/* nanoseconds = ticks << shift * mul >> 32 */
static s8 tsc_shift;
static u32 clock_gen;		/* grows as base changes */
static bool host_by_tsc;	/* what base.stable is to become */
static u64 tsc_lost;		/* by how much the host's TSC went back, in all */
static u64 suspend_tsc;

static void set_scale(u32 khz)
{
	u64 hz = (u64)khz * 1000;

	for (tsc_shift = 0; hz <= NSEC_PER_SEC; tsc_shift++)
		hz <<= 1;
	for (; hz > 2ULL * NSEC_PER_SEC; tsc_shift--)
		hz >>= 1;
	tsc_mul = div64_u64((u64)NSEC_PER_SEC << 32, hz);
}

/* A TSC and the nanoseconds then; says whether all CPUs would agree. */
static bool take_pair(u64 *tsc, u64 *ns)
{
	unsigned int seq;
	bool stable;
	s64 ahead;

	do {
		seq = read_seqbegin(&base.lock);
		*tsc = base.tsc;
		*ns = base.ns;
		ahead = base.ahead;
		stable = base.stable;
	} while (read_seqretry(&base.lock, seq));

	if (!stable) {
		preempt_disable();
		*tsc = rdtsc_ordered();
		*ns = ktime_get_boottime_ns() + ahead;
		preempt_enable();
	}
	return stable;
}

static u64 host_ns(void)
{
	u64 tsc, ns;

	take_pair(&tsc, &ns);
	return ns + pvclock_scale_delta(rdtsc_ordered() - tsc, tsc_mul,
					tsc_shift);
}

/* Go on from @ns, from now. */
static void set_base(u64 ns)
{
	unsigned long flags;

	write_seqlock_irqsave(&base.lock, flags);
	base.tsc = rdtsc_ordered();
	base.ns = ns;
	base.ahead = ns - ktime_get_boottime_ns();
	base.stable = READ_ONCE(host_by_tsc);
	write_sequnlock_irqrestore(&base.lock, flags);
	WRITE_ONCE(clock_gen, clock_gen + 1);
}

/* ---- the host's clock changes ---- */

static void rebase(struct work_struct *work)
{
	set_base(host_ns());
	posada_request_all(POSADA_REQ_CLOCK);
}

static DECLARE_WORK(rebase_work, rebase);

static void queue_rebase(struct irq_work *work)
{
	schedule_work(&rebase_work);
}

static DEFINE_IRQ_WORK(rebase_irq_work, queue_rebase);

/*
 * On each tick, with the timekeeper held for writing: waking a worker here
 * might read the time, and wait for ever.
 */
static int host_clock_notify(struct notifier_block *nb, unsigned long was_set,
			     void *data)
{
	const struct timekeeper *tk = data;
	bool by_tsc = tk->tkr_mono.clock->vdso_clock_mode == VDSO_CLOCKMODE_TSC;

	if (by_tsc != host_by_tsc) {
		WRITE_ONCE(host_by_tsc, by_tsc);
		irq_work_queue(&rebase_irq_work);
	}
	return NOTIFY_OK;
}

static struct notifier_block host_clock_notifier = {
	.notifier_call = host_clock_notify,
};

/*
 * The last before the host's clock stops, and the first after it goes on: one
 * CPU, interrupts off, no vCPU loaded.
 */
static int clock_suspend(posada_syscore_arg)
{
	suspend_tsc = rdtsc_ordered();
	set_base(host_ns());
	return 0;
}

static void clock_resume(posada_syscore_arg)
{
	u64 tsc = rdtsc_ordered();

	if (tsc < suspend_tsc)
		tsc_lost += suspend_tsc - tsc;
	/* Guests' clocks count the time asleep, as boottime does. */
	set_base(ktime_get_boottime_ns() + base.ahead);
}

POSADA_SYSCORE(clock_syscore, clock_suspend, clock_resume);

int posada_clock_module_init(void)
{
	int ret;

	set_scale(posada_tsc_khz);
	/* Calls at once, too. */
	ret = pvclock_gtod_register_notifier(&host_clock_notifier);
	if (ret)
		return ret;
	set_base(ktime_get_boottime_ns());
	posada_register_syscore(&clock_syscore);
	return 0;
}

void posada_clock_module_exit(void)
{
	posada_unregister_syscore(&clock_syscore);
	pvclock_gtod_unregister_notifier(&host_clock_notifier);
	irq_work_sync(&rebase_irq_work);
	cancel_work_sync(&rebase_work);
}

/* ---- the TSC ---- */

u64 posada_guest_tsc(struct posada_vcpu *vcpu)
{
	return rdtsc() + READ_ONCE(vcpu->tsc_offset);
}

void posada_set_tsc_offset(struct posada_vcpu *vcpu, u64 offset)
{
	struct posada_vcpu *other;
	int i;

	if (offset == vcpu->tsc_offset)
		return;
	WRITE_ONCE(vcpu->tsc_offset, offset);
	vcpu->ops->set_reg(vcpu, POSADA_REG_TSC_OFFSET, offset);
	posada_timer_tsc_changed(vcpu);
	/* Whether the TSCs agree is in every vCPU's clock page. */
	posada_for_each_vcpu(i, other, vcpu->vm)
		posada_request(other, POSADA_REQ_CLOCK);
}

void posada_set_guest_tsc(struct posada_vcpu *vcpu, u64 tsc)
{
	u64 offset = tsc - rdtsc(), match = READ_ONCE(vcpu->vm->tsc_match);
	s64 near = (s64)posada_tsc_khz * TSC_MATCH_MS;

	if (match && abs((s64)(offset - match)) < near)
		offset = match;
	WRITE_ONCE(vcpu->vm->tsc_match, offset);
	posada_set_tsc_offset(vcpu, offset);
}

/* The host's TSC went back while it slept: the guest's must not. */
static void make_up_lost_tsc(struct posada_vcpu *vcpu)
{
	u64 lost = READ_ONCE(tsc_lost) - vcpu->tsc_lost;

	if (likely(!lost))
		return;
	vcpu->tsc_lost += lost;
	posada_set_tsc_offset(vcpu, vcpu->tsc_offset + lost);
}

static bool tscs_agree(struct posada_vcpu *vcpu)
{
	u64 offset = READ_ONCE(vcpu->tsc_offset);
	struct posada_vcpu *other;
	int i;

	posada_for_each_vcpu(i, other, vcpu->vm)
		if (READ_ONCE(other->tsc_offset) != offset)
			return false;
	return true;
}

/* ---- the clock ---- */

void posada_clock_vm_init(struct posada_vm *vm)
{
	vm->tsc_offset = -rdtsc();
	vm->tsc_lost = READ_ONCE(tsc_lost);
	vm->clock_offset = -host_ns();
}

void posada_clock_get(struct posada_vm *vm, struct posada_rec_clock *rec)
{
	rec->ns = host_ns() + READ_ONCE(vm->clock_offset);
	rec->realtime_ns = ktime_get_real_ns();
}

void posada_clock_set(struct posada_vm *vm, const struct posada_rec_clock *rec)
{
	struct posada_vcpu *vcpu;
	int i;

	WRITE_ONCE(vm->clock_offset, rec->ns - host_ns());
	posada_for_each_vcpu(i, vcpu, vm)
		posada_request(vcpu, POSADA_REQ_CLOCK);
}

/*
 * Write @bytes at @gpa that open with a version: odd while they change, so
 * that a guest that reads meanwhile, on another vCPU, tries again.
 */
static int write_versioned(struct posada_vm *vm, u64 gpa, void *data,
			   size_t bytes)
{
	u32 *version = data;
	int ret = posada_gpa_read(vm, gpa, version, sizeof(*version));

	if (ret)
		return ret;
	*version = (*version + 1) | 1;
	ret = posada_gpa_write(vm, gpa, version, sizeof(*version));
	if (ret)
		return ret;
	smp_wmb();	/* the guest reads version, data, version */
	ret = posada_gpa_write(vm, gpa + sizeof(*version), version + 1,
			       bytes - sizeof(*version));
	if (ret)
		return ret;
	smp_wmb();	/* as above */
	++*version;
	return posada_gpa_write(vm, gpa, version, sizeof(*version));
}

/* When it was, by the host's clock, as the guest's read 0. */
static void write_wall_clock(struct posada_vcpu *vcpu, u64 gpa)
{
	u64 ns = host_ns() + READ_ONCE(vcpu->vm->clock_offset);
	struct timespec64 start = ns_to_timespec64(ktime_get_real_ns() - ns);
	struct pvclock_wall_clock wall = {
		.sec = start.tv_sec,
		.nsec = start.tv_nsec,
	};

	/* A guest that names no memory gets no time. */
	if (write_versioned(vcpu->vm, gpa, &wall, sizeof(wall)))
		return;
}

void posada_clock_update(struct posada_vcpu *vcpu)
{
	struct pvclock_vcpu_time_info info = {
		.tsc_to_system_mul = tsc_mul,
		.tsc_shift = tsc_shift,
	};
	u64 msr = vcpu->msrs.system_time, tsc, ns;

	make_up_lost_tsc(vcpu);
	vcpu->clock_gen = READ_ONCE(clock_gen);
	vcpu->clock_cpu = raw_smp_processor_id();
	if (!(msr & KVM_MSR_ENABLED))
		return;
	if (take_pair(&tsc, &ns) && tscs_agree(vcpu))
		info.flags = PVCLOCK_TSC_STABLE_BIT;
	info.tsc_timestamp = tsc + vcpu->tsc_offset;
	info.system_time = ns + READ_ONCE(vcpu->vm->clock_offset);
	/* The guest took its page away: there is nobody to tell. */
	if (write_versioned(vcpu->vm, msr & ~(u64)KVM_MSR_ENABLED, &info,
			    sizeof(info)))
		return;
}

void posada_clock_load(struct posada_vcpu *vcpu)
{
	if (vcpu->clock_gen != READ_ONCE(clock_gen) ||
	    (!READ_ONCE(base.stable) && vcpu->clock_cpu != vcpu->cpu))
		set_bit(POSADA_REQ_CLOCK, &vcpu->requests);
}

int posada_clock_pairing(struct posada_vcpu *vcpu, u64 gpa)
{
	struct posada_clock_pairing pairing = { 0 };
	struct system_time_snapshot snapshot;
	struct timespec64 real;
	int ret;

	ret = posada_gpa_write(vcpu->vm, gpa, &pairing, sizeof(pairing));
	if (ret)
		return ret;
	if (!READ_ONCE(host_by_tsc))
		return -EOPNOTSUPP;
	ktime_get_snapshot(&snapshot);
	real = ktime_to_timespec64(snapshot.real);
	pairing.sec = real.tv_sec;
	pairing.nsec = real.tv_nsec;
	pairing.tsc = snapshot.cycles + vcpu->tsc_offset;
	return posada_gpa_write(vcpu->vm, gpa, &pairing, sizeof(pairing));
}

/* ---- steal time ---- */

#define STEAL_UNKNOWN	U64_MAX		/* no run delay was seen yet */

/* Nanoseconds that this thread was runnable and did not run. */
static u64 run_delay(void)
{
#ifdef CONFIG_SCHED_INFO
	return current->sched_info.run_delay;
#else
	return 0;
#endif
}

/* Another thread may run the vCPU now, with a count of its own. */
static u64 stolen_since(struct posada_vcpu *vcpu)
{
	u64 now = run_delay(), last = vcpu->steal_last;

	vcpu->steal_last = now;
	return last == STEAL_UNKNOWN || now < last ? 0 : now - last;
}

static struct kvm_steal_time __user *steal_area(struct posada_vcpu *vcpu)
{
	u64 gpa = vcpu->msrs.steal_time & KVM_STEAL_VALID_BITS;

	/* 64 bytes, aligned: never on two pages. */
	return (void __user *)posada_gpa_to_hva(vcpu->vm, gpa, true);
}

static void mark_steal_dirty(struct posada_vcpu *vcpu)
{
	posada_mark_dirty(vcpu->vm, vcpu->msrs.steal_time >> PAGE_SHIFT);
}

/*
 * Tell that the vCPU runs again, and in one atomic step take what others have
 * left there meanwhile. Returns it, or -EFAULT.
 */
static int take_preempted(struct kvm_steal_time __user *st)
{
	u8 seen;

	if (!user_access_begin(st, sizeof(*st)))
		return -EFAULT;
	unsafe_get_user(seen, &st->preempted, fault);
	while (seen)
		if (unsafe_try_cmpxchg_user(&st->preempted, &seen, 0, fault))
			break;
	user_access_end();
	return seen;
fault:
	user_access_end();
	return -EFAULT;
}

static int add_steal(struct kvm_steal_time __user *st, u64 ns)
{
	u32 version;
	u64 steal;

	if (!user_access_begin(st, sizeof(*st)))
		return -EFAULT;
	unsafe_get_user(version, &st->version, fault);
	version = (version + 1) | 1;
	unsafe_put_user(version, &st->version, fault);
	smp_wmb();	/* the guest reads version, steal, version */
	unsafe_get_user(steal, &st->steal, fault);
	unsafe_put_user(steal + ns, &st->steal, fault);
	smp_wmb();	/* as above */
	unsafe_put_user(version + 1, &st->version, fault);
	user_access_end();
	return 0;
fault:
	user_access_end();
	return -EFAULT;
}

void posada_steal_update(struct posada_vcpu *vcpu)
{
	struct kvm_steal_time __user *st;
	int idx, left = -EFAULT;
	u64 stolen;

	if (!(vcpu->msrs.steal_time & KVM_MSR_ENABLED))
		return;
	stolen = stolen_since(vcpu);
	idx = srcu_read_lock(&vcpu->vm->srcu);
	st = steal_area(vcpu);
	if (st) {
		left = take_preempted(st);
		if (left >= 0 && (!stolen || !add_steal(st, stolen)))
			mark_steal_dirty(vcpu);
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
	/* Only now: a mark made before the byte was read would be lost. */
	vcpu->steal_marked = false;
	/* If it can't be known whether a flush is wanted, it is. */
	if (left < 0 || left & KVM_VCPU_FLUSH_TLB)
		set_bit(POSADA_REQ_FLUSH, &vcpu->requests);
}

/*
 * From then on other vCPUs leave their TLB flushes in the guest's byte. Write
 * it once: it may hold one when this vCPU is scheduled out again before it
 * got to run.
 */
void posada_steal_preempted(struct posada_vcpu *vcpu)
{
	static const u8 preempted = KVM_VCPU_PREEMPTED;
	struct kvm_steal_time __user *st;
	int idx;

	if (!(vcpu->msrs.steal_time & KVM_MSR_ENABLED) || vcpu->steal_marked)
		return;
	/* Fine with the run queue locked: it only counts. */
	idx = srcu_read_lock(&vcpu->vm->srcu);
	st = steal_area(vcpu);
	if (st && !copy_to_user_nofault(&st->preempted, &preempted,
					sizeof(preempted))) {
		vcpu->steal_marked = true;
		set_bit(POSADA_REQ_STEAL, &vcpu->requests);
		mark_steal_dirty(vcpu);
	}
	srcu_read_unlock(&vcpu->vm->srcu, idx);
}

/* ---- MSRs ---- */

/* msr.c has checked and stored @value. */
int posada_clock_msr(struct posada_vcpu *vcpu, u32 index, u64 value)
{
	switch (index) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		if (value)
			write_wall_clock(vcpu, value);
		break;
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		set_bit(POSADA_REQ_CLOCK, &vcpu->requests);
		break;
	case MSR_KVM_STEAL_TIME:
		vcpu->steal_last = STEAL_UNKNOWN;
		vcpu->steal_marked = false;
		set_bit(POSADA_REQ_STEAL, &vcpu->requests);
		break;
	}
	return 0;
}

void posada_clock_reset(struct posada_vcpu *vcpu)
{
	vcpu->msrs.system_time = 0;
	vcpu->msrs.steal_time = 0;
	vcpu->msrs.generation = 0;
	vcpu->steal_marked = false;
}
