// SPDX-License-Identifier: GPL-2.0
/*
 * POSADA_RUN: from the run page into the guest, round and round, and out.
 *
 *   commit -> complete the last exit -> { requests -> enter -> exit }* -> fill
 *
 * The loop follows the return rule: > 0 enter again, 0 userspace, < 0 errno.
 */
#include <linux/entry-kvm.h>
#include <linux/hw_breakpoint.h>
#include <linux/kvm_host.h>
#include <linux/sched/clock.h>
#include <linux/sched/stat.h>
#include <linux/static_call.h>
#include <asm/debugreg.h>
#include <asm/fpu/xcr.h>
#include <asm/pkru.h>
#include <asm/trapnr.h>
#include "../uapi/posada_cpuid.h"
#include "compat.h"
#include "entry.h"
#include "posada.h"
#include "profile.h"
#include "trace.h"

static void posada_no_op(struct posada_vcpu *vcpu)
{
}

DEFINE_STATIC_CALL(posada_load_on, posada_no_op);
DEFINE_STATIC_CALL_NULL(posada_put_off, posada_no_op);
DEFINE_STATIC_CALL(posada_arm, posada_no_op);
DEFINE_STATIC_CALL(posada_disarm, posada_no_op);
DEFINE_STATIC_CALL(posada_enter, posada_no_op);
DEFINE_STATIC_CALL(posada_decode, posada_no_op);
DEFINE_STATIC_KEY_FALSE(posada_virtual_apic);

void posada_run_init(const struct posada_backend *ops)
{
	static_call_update(posada_load_on, ops->load);
	static_call_update(posada_put_off, ops->put);
	static_call_update(posada_arm, ops->arm);
	static_call_update(posada_disarm, ops->disarm);
	static_call_update(posada_enter, ops->enter);
	static_call_update(posada_decode, ops->decode);
	if (ops->features & POSADA_FEATURE_VIRTUAL_APIC)
		static_branch_enable(&posada_virtual_apic);
}

static int posada_report_kill(struct posada_vcpu *vcpu)
{
	/* Pairs with the release in posada_kill_vm(). */
	smp_load_acquire(&vcpu->vm->killed);
	vcpu->run->exit = POSADA_EXIT_KILLED;
	vcpu->run->killed = vcpu->vm->killing;
	return 0;
}

/* ---- onto the CPU and off it ---- */

static void posada_load(struct posada_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->cpu, smp_processor_id());
	posada_barrier_load(vcpu);
	static_call(posada_load_on)(vcpu);
	if (boot_cpu_has(X86_FEATURE_RDTSCP) ||
	    boot_cpu_has(X86_FEATURE_RDPID)) {
		vcpu->host_tsc_aux = __rdmsr(MSR_TSC_AUX);
		vcpu->hw_tsc_aux = vcpu->host_tsc_aux;
	}
	if (vcpu->msrs.steal_time)
		set_bit(POSADA_REQ_STEAL, &vcpu->requests);
	posada_clock_load(vcpu);
}

static void posada_put(struct posada_vcpu *vcpu)
{
	if (unlikely(vcpu->dr.wanted))
		posada_rest_dregs(vcpu);
	static_call_cond(posada_put_off)(vcpu);
	if (vcpu->hw_tsc_aux != vcpu->host_tsc_aux) {
		wrmsrl(MSR_TSC_AUX, vcpu->host_tsc_aux);
		vcpu->hw_tsc_aux = vcpu->host_tsc_aux;
	}
	WRITE_ONCE(vcpu->cpu, -1);
}

static void posada_sched_in(struct preempt_notifier *pn, int cpu)
{
	struct posada_vcpu *vcpu =
		container_of(pn, struct posada_vcpu, notifier);

	vcpu->preempted = false;
	posada_load(vcpu);
}

static void posada_sched_out(struct preempt_notifier *pn,
			     struct task_struct *next)
{
	struct posada_vcpu *vcpu =
		container_of(pn, struct posada_vcpu, notifier);

	vcpu->preempted = task_is_running(current);
	posada_steal_preempted(vcpu);
	posada_put(vcpu);
}

static struct preempt_ops posada_preempt_ops = {
	.sched_in = posada_sched_in,
	.sched_out = posada_sched_out,
};

void posada_notifier_init(struct posada_vcpu *vcpu)
{
	preempt_notifier_init(&vcpu->notifier, &posada_preempt_ops);
}

static void posada_begin(struct posada_vcpu *vcpu)
{
	fpu_swap_kvm_fpstate(&vcpu->fpu, true);
	preempt_disable();
	preempt_notifier_register(&vcpu->notifier);
	posada_load(vcpu);
	preempt_enable();
}

static void posada_end(struct posada_vcpu *vcpu)
{
	preempt_disable();
	posada_steal_preempted(vcpu);
	posada_put(vcpu);
	preempt_notifier_unregister(&vcpu->notifier);
	preempt_enable();
	fpu_swap_kvm_fpstate(&vcpu->fpu, false);
}

/* ---- requests ---- */

static void posada_take_sipi(struct posada_vcpu *vcpu)
{
	unsigned long sipi = xchg(&vcpu->apic.sipi, 0);
	struct posada_sregs s;

	if (vcpu->mp_state != POSADA_MP_WAIT_SIPI || !sipi)
		return;
	posada_get_sregs(vcpu, &s);
	s.seg[POSADA_CS].selector = (sipi & 0xff) << 8;
	s.seg[POSADA_CS].base = (sipi & 0xff) << 12;
	vcpu->ops->set_sregs(vcpu, &s);
	vcpu->regs.rip = 0;
	vcpu->mp_state = POSADA_MP_RUNNABLE;
}

static int posada_simple_exit(struct posada_vcpu *vcpu, u32 reason)
{
	vcpu->run->exit = reason;
	return 0;
}

static bool posada_take(struct posada_vcpu *vcpu, int req)
{
	return test_and_clear_bit(req, &vcpu->requests);
}

static int posada_step_exit(struct posada_vcpu *vcpu)
{
	struct posada_paging pg;

	posada_get_paging(vcpu, &pg);
	vcpu->run->exit = POSADA_EXIT_DEBUG;
	vcpu->run->debug = (struct posada_exit_debug){
		.vector = 1, .dr6 = DR_STEP,
		.address = vcpu->regs.rip + (vcpu->long64 ? 0 : pg.cs_base),
	};
	return 0;
}

/* Those that end the run. 1: none did. */
static int posada_last_requests(struct posada_vcpu *vcpu)
{
	if (test_bit(POSADA_REQ_KILLED, &vcpu->requests))
		return posada_report_kill(vcpu);
	if (posada_take(vcpu, POSADA_REQ_SHUTDOWN))
		return posada_simple_exit(vcpu, POSADA_EXIT_SHUTDOWN);
	if (posada_take(vcpu, POSADA_REQ_STEP))
		return posada_step_exit(vcpu);
	if (posada_take(vcpu, POSADA_REQ_KICK))
		return posada_simple_exit(vcpu, POSADA_EXIT_KICK);
	return 1;
}

static int posada_requests(struct posada_vcpu *vcpu)
{
	int r = posada_last_requests(vcpu);

	if (r <= 0)
		return r;
	clear_bit(POSADA_REQ_EVENT, &vcpu->requests);
	if (posada_take(vcpu, POSADA_REQ_INIT))
		posada_vcpu_reset(vcpu, true);
	if (posada_take(vcpu, POSADA_REQ_SIPI))
		posada_take_sipi(vcpu);
	if (posada_take(vcpu, POSADA_REQ_CLOCK))
		posada_clock_update(vcpu);
	if (posada_take(vcpu, POSADA_REQ_STEAL))
		posada_steal_update(vcpu);
	if (posada_take(vcpu, POSADA_REQ_PDPTES))
		posada_give_pdptes(vcpu);
	if (posada_take(vcpu, POSADA_REQ_FLUSH)) {
		vcpu->stat[POSADA_STAT_TLB_FLUSH]++;
		posada_insn_forget(vcpu);
		preempt_disable();
		vcpu->ops->flush_tlb(vcpu);
		preempt_enable();
	}
	return 1;
}

/* ---- into the guest ---- */

static void posada_inject(struct posada_vcpu *vcpu, struct posada_event *ev)
{
	static const u8 stat[] = {
		[POSADA_EVENT_INTERRUPT] = POSADA_STAT_INJECT_IRQ,
		[POSADA_EVENT_NMI] = POSADA_STAT_INJECT_NMI,
		[POSADA_EVENT_EXCEPTION] = POSADA_STAT_INJECT_EXCEPTION,
	};

	vcpu->stat[ev->again ? POSADA_STAT_REINJECT : stat[ev->kind]]++;
	trace_posada_inject(vcpu->id, ev->kind, ev->vector, ev->has_error,
			    ev->error);
	if (ev->kind == POSADA_EVENT_EXCEPTION && ev->vector == X86_TRAP_DB)
		posada_raise_dregs(vcpu, ev->payload);
	vcpu->ops->inject(vcpu, ev);
}

/* The vector of a waiting interrupt, taken from where it waited. */
static u8 posada_ack_interrupt(struct posada_vcpu *vcpu, int vector)
{
	if (vcpu->extint >= 0) {
		vector = vcpu->extint;
		vcpu->extint = -1;
	} else {
		posada_apic_ack(vcpu, vector);
	}
	return vector;
}

static bool posada_window_open(struct posada_vcpu *vcpu)
{
	return (vcpu->regs.rflags & X86_EFLAGS_IF) && !vcpu->shadow &&
	       !vcpu->pending.kind;
}

/*
 * May an entry take more than to enter? Asked once a series: within one, only
 * an event that comes with a request, which ends it, can change the answer
 * from no to yes.
 */
static __always_inline bool posada_busy(struct posada_vcpu *vcpu)
{
	return vcpu->pending.kind | atomic_read(&vcpu->nmi_pending) |
	       READ_ONCE(vcpu->apic.irr_pending) | (vcpu->extint >= 0) |
	       vcpu->windows | (vcpu->debug.flags & POSADA_DEBUG_STEP) |
	       (READ_ONCE(vcpu->run->request) & POSADA_RUN_WINDOW);
}

/*
 * One event goes in with each entry: a delivery that was cut short first,
 * then an NMI, then an interrupt. Ask for a window for what has to wait.
 * Irqoff: nothing is called off after this.
 */
static void posada_pick_event(struct posada_vcpu *vcpu)
{
	bool open = posada_window_open(vcpu), busy = vcpu->pending.kind;
	bool by_cpu = posada_apic_by_cpu(vcpu);
	u32 windows = 0;
	int vector;

	if (busy) {
		posada_inject(vcpu, &vcpu->pending);
		vcpu->pending.kind = POSADA_EVENT_NONE;
	}
	if (unlikely(atomic_read(&vcpu->nmi_pending))) {
		if (busy || vcpu->shadow || vcpu->nmi_masked) {
			windows |= POSADA_WINDOW_NMI;
		} else {
			struct posada_event nmi = {
				.kind = POSADA_EVENT_NMI, .vector = 2,
			};

			atomic_dec(&vcpu->nmi_pending);
			posada_inject(vcpu, &nmi);
			busy = true;
			if (atomic_read(&vcpu->nmi_pending))
				windows |= POSADA_WINDOW_NMI;
		}
	}
	vector = posada_apic_pending(vcpu);
	if ((vector >= 0 || vcpu->extint >= 0) && !busy && open) {
		struct posada_event irq = {
			.kind = POSADA_EVENT_INTERRUPT,
			.vector = posada_ack_interrupt(vcpu, vector),
		};

		posada_inject(vcpu, &irq);
		/* Another may follow as soon as this one allows it. */
		vector = posada_apic_pending(vcpu);
	}
	if (vcpu->extint >= 0 || (vector >= 0 && !by_cpu) ||
	    unlikely(READ_ONCE(vcpu->run->request) & POSADA_RUN_WINDOW))
		windows |= POSADA_WINDOW_IRQ;
	/* One that only the TPR holds back: a MOV to CR8 makes no exit. */
	if (!(windows & POSADA_WINDOW_IRQ) && !by_cpu) {
		vector = posada_apic_blocked(vcpu);
		if (unlikely(vector >= 0))
			windows |= POSADA_WINDOW_IRQ |
				   POSADA_WINDOW_PRIO(vector >> 4);
	}
	/* With a shadow, tell the backend anew where it is. */
	if (unlikely(windows != vcpu->windows || (windows && vcpu->shadow))) {
		vcpu->windows = windows;
		vcpu->ops->window(vcpu, windows);
	}
}

/*
 * What of the guest's must not be live while the host runs, but is in no
 * VMCB: XCR0, XSS, PKRU, TSC_AUX (the last stays until the CPU is left).
 */
static __always_inline u32 posada_guest_extra(struct posada_vcpu *vcpu)
{
	u32 host_pkru = 0;

	if (unlikely(vcpu->xcr0 != posada_host_xcr0_live))
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->xcr0);
	if (unlikely(vcpu->msrs.xss != posada_host_xss))
		wrmsrl(MSR_IA32_XSS, vcpu->msrs.xss);
	if (unlikely(vcpu->msrs.tsc_aux != vcpu->hw_tsc_aux) &&
	    boot_cpu_has(X86_FEATURE_RDTSCP)) {
		wrmsrl(MSR_TSC_AUX, vcpu->msrs.tsc_aux);
		vcpu->hw_tsc_aux = vcpu->msrs.tsc_aux;
	}
	if (cpu_feature_enabled(X86_FEATURE_OSPKE)) {
		host_pkru = rdpkru();
		if (host_pkru != vcpu->pkru)
			wrpkru(vcpu->pkru);
	}
	return host_pkru;
}

/*
 * XSETBV is intercepted, but QEMU's TCG heeds that only of late: see what the
 * guest left, or both it and the host would go on with the wrong XCR0.
 */
static __always_inline void posada_host_xcr0_back(struct posada_vcpu *vcpu)
{
	u64 xcr0;

	if (!boot_cpu_has(X86_FEATURE_XSAVE))
		return;
	xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (unlikely(xcr0 != vcpu->xcr0) &&
	    posada_xcr0_valid(xcr0, posada_cpuid_xcr0_mask(vcpu->vm)))
		vcpu->xcr0 = xcr0;
	if (unlikely(xcr0 != posada_host_xcr0_live))
		xsetbv(XCR_XFEATURE_ENABLED_MASK, posada_host_xcr0_live);
}

static __always_inline void posada_host_extra(struct posada_vcpu *vcpu,
					      u32 host_pkru)
{
	if (cpu_feature_enabled(X86_FEATURE_OSPKE)) {
		vcpu->pkru = rdpkru();
		if (host_pkru != vcpu->pkru)
			wrpkru(host_pkru);
	}
	if (unlikely(vcpu->msrs.xss != posada_host_xss))
		wrmsrl(MSR_IA32_XSS, posada_host_xss);
	posada_barrier_to_user();
	posada_host_xcr0_back(vcpu);
}

static __always_inline bool posada_must_not_enter(struct posada_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests) || __xfer_to_guest_mode_work_pending();
}

static __always_inline void posada_enter_and_decode(struct posada_vcpu *vcpu)
{
	if (trace_posada_entry_enabled())
		trace_posada_entry(vcpu->id, vcpu->regs.rip);
	vcpu->stat[POSADA_STAT_ENTRIES]++;
	posada_profile_entry(vcpu);
	static_call(posada_enter)(vcpu);
	static_call(posada_decode)(vcpu);
	posada_profile_exit(vcpu);
	if (trace_posada_exit_enabled())
		trace_posada_exit(vcpu->id, vcpu->exit.kind, vcpu->regs.rip);
}

/* With an event to inject, or to wait for; or step by step. */
static noinline int posada_enter_busy(struct posada_vcpu *vcpu)
{
	bool step = vcpu->debug.flags & POSADA_DEBUG_STEP;

	if (step)
		vcpu->regs.rflags |= X86_EFLAGS_TF;
	posada_enter_and_decode(vcpu);
	if (step)
		vcpu->regs.rflags &= ~X86_EFLAGS_TF;
	return step ? -EAGAIN : posada_fast_exit(vcpu);
}

#define POSADA_SERIES	200	/* entries at most, on hosts like Bochs */

/*
 * Enter until an exit needs more than interrupts off allow. A guest cannot
 * hold them off: a host interrupt ends each entry, and is no fast exit. The
 * return rule, or -EAGAIN: the exit is still to be handled.
 */
static __always_inline int posada_enter_armed(struct posada_vcpu *vcpu,
					      bool busy)
{
	int r, left = POSADA_SERIES;

	if (unlikely(busy))
		return posada_enter_busy(vcpu);
	do {
		posada_enter_and_decode(vcpu);
		r = posada_fast_exit(vcpu);
	} while (r > 0 && --left && likely(!posada_must_not_enter(vcpu)));
	return r;
}

static int posada_enter_series(struct posada_vcpu *vcpu)
{
	u32 host_pkru = posada_guest_extra(vcpu);
	bool busy = posada_busy(vcpu);
	int r;

	posada_account_enter();
	/* A #DB's bits go to DR6 where arm() takes it from. */
	if (unlikely(busy))
		posada_pick_event(vcpu);
	if (posada_apic_by_cpu(vcpu))
		posada_apic_lend(vcpu);
	if (unlikely(vcpu->dr.wanted))
		posada_load_dr(vcpu);
	static_call(posada_arm)(vcpu);
	vcpu->cr8 = posada_apic_get_cr8(vcpu);
	r = posada_enter_armed(vcpu, busy);
	posada_sync_cr8(vcpu);
	static_call(posada_disarm)(vcpu);
	if (static_branch_unlikely(&posada_virtual_apic) && vcpu->apic.lent)
		posada_apic_take_back(vcpu);
	if (unlikely(vcpu->dr.armed))
		posada_save_dr(vcpu);
	/* The exit left DR7 disabled. */
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
	posada_host_extra(vcpu, host_pkru);
	return r;
}

static int posada_enter_once(struct posada_vcpu *vcpu)
{
	int r = 1;

	preempt_disable();
	local_irq_disable();
	WRITE_ONCE(vcpu->mode, POSADA_IN_GUEST);
	/* Who sets a request first, then looks at mode, is not missed. */
	smp_mb();
	if (unlikely(posada_must_not_enter(vcpu))) {
		WRITE_ONCE(vcpu->mode, POSADA_OUTSIDE);
		local_irq_enable();
		preempt_enable();
		return r;
	}
	/* A context switch, or an interrupt, has put others' into the FPU. */
	if (unlikely(test_thread_flag(TIF_NEED_FPU_LOAD)))
		switch_fpu_return();
	r = posada_enter_series(vcpu);
	WRITE_ONCE(vcpu->mode, POSADA_OUTSIDE);
	/* Host interrupts that ended the guest are taken here. */
	local_irq_enable();
	posada_account_exit();
	if (r == -EAGAIN && (vcpu->exit.kind == POSADA_X_HOST_IRQ ||
			     vcpu->exit.kind == POSADA_X_TIMER))
		posada_note_quiescent();
	preempt_enable();
	return r;
}

static int posada_window_exit(struct posada_vcpu *vcpu)
{
	if (!(READ_ONCE(vcpu->run->request) & POSADA_RUN_WINDOW) ||
	    vcpu->extint >= 0 || !posada_window_open(vcpu))
		return 1;
	return posada_simple_exit(vcpu, POSADA_EXIT_WINDOW);
}

/*
 * What the kernel wants of a thread that stays away from user mode: signals,
 * rescheduling, task work, rseq. The one function that modules have for it
 * notes a signal in KVM's vCPU: give it one to scribble on.
 */
static int posada_host_work(void)
{
	static struct kvm_run run;
	static struct kvm_vcpu scratch = { .run = &run };

	return xfer_to_guest_mode_handle_work(&scratch);
}

static int posada_loop(struct posada_vcpu *vcpu)
{
	int r;

	do {
		if (unlikely(READ_ONCE(vcpu->requests))) {
			r = posada_requests(vcpu);
			if (r <= 0)
				return r;
		}
		if (unlikely(vcpu->mp_state != POSADA_MP_RUNNABLE)) {
			r = posada_halt(vcpu);
			if (r < 0)
				return r;
			continue;
		}
		r = posada_window_exit(vcpu);
		if (unlikely(r <= 0))
			return r;
		r = posada_enter_once(vcpu);
		if (r == -EAGAIN)
			r = posada_handle_exit(vcpu);
		if (r <= 0)
			return r;
		if (unlikely(__xfer_to_guest_mode_work_pending()))
			r = posada_host_work();
	} while (r >= 0);
	return r;
}

/* ---- between the run page and the vCPU ---- */

/* The groups as they were in the run page at one instant. */
struct posada_groups {
	struct posada_regs regs;
	struct posada_sregs sregs;
	struct posada_events events;
	struct posada_dregs dregs;
};

static int posada_check_groups(struct posada_vcpu *vcpu, u32 dirty,
			       const struct posada_groups *g)
{
	int r = 0;

	if (dirty & POSADA_GROUP_REGS)
		r = posada_check_regs(vcpu, &g->regs);
	if (!r && dirty & POSADA_GROUP_SREGS)
		r = posada_check_sregs(vcpu, &g->sregs) ? -EINVAL : 0;
	if (!r && dirty & POSADA_GROUP_EVENTS)
		r = posada_check_events(&g->events);
	if (!r && dirty & POSADA_GROUP_DREGS)
		r = posada_check_dregs(&g->dregs);
	if (!r)
		r = posada_check_mode(vcpu, dirty & POSADA_GROUP_REGS ?
				      &g->regs : &vcpu->regs,
				      dirty & POSADA_GROUP_SREGS ?
				      &g->sregs : NULL,
				      dirty & POSADA_GROUP_EVENTS ?
				      &g->events : NULL);
	return r;
}

/* Copy each dirty group once, check all, then apply all. */
static noinline int posada_commit_groups(struct posada_vcpu *vcpu, u32 dirty)
{
	struct posada_run *run = vcpu->run;
	struct posada_groups g;
	int r;

	if (dirty & ~POSADA_GROUP_ALL)
		return -EINVAL;
	g.regs = run->regs;
	g.sregs = run->sregs;
	g.events = run->events;
	g.dregs = run->dregs;
	barrier();	/* what is checked is the copy, and stays it */
	r = posada_check_groups(vcpu, dirty, &g);
	if (r)
		return r;
	if (dirty & POSADA_GROUP_REGS)
		posada_set_regs(vcpu, &g.regs);
	if (dirty & POSADA_GROUP_SREGS)
		posada_set_sregs(vcpu, &g.sregs);
	if (dirty & POSADA_GROUP_EVENTS)
		posada_set_events(vcpu, &g.events);
	if (dirty & POSADA_GROUP_DREGS)
		posada_set_dregs(vcpu, &g.dregs);
	return 0;
}

/* What a completed memory access leaves: general registers alone. */
static noinline int posada_commit_regs(struct posada_vcpu *vcpu)
{
	struct posada_regs regs = vcpu->run->regs;
	int r;

	barrier();	/* what is checked is the copy, and stays it */
	r = posada_check_regs(vcpu, &regs);
	if (!r)
		r = posada_check_mode(vcpu, &regs, NULL, NULL);
	if (!r)
		posada_set_regs(vcpu, &regs);
	return r;
}

static int posada_commit(struct posada_vcpu *vcpu)
{
	u32 dirty = READ_ONCE(vcpu->run->dirty);
	int r = dirty == POSADA_GROUP_REGS ? posada_commit_regs(vcpu) :
		posada_commit_groups(vcpu, dirty);

	if (!r)
		WRITE_ONCE(vcpu->run->dirty, 0);
	return r;
}

static void posada_complete_in(struct posada_vcpu *vcpu)
{
	u32 data = READ_ONCE(vcpu->run->port.data);
	u64 *rax = &vcpu->regs.gpr[POSADA_RAX];

	switch (vcpu->completion_len) {
	case 1:
		*rax = (*rax & ~0xffULL) | (data & 0xff);
		break;
	case 2:
		*rax = (*rax & ~0xffffULL) | (data & 0xffff);
		break;
	default:
		*rax = data;
	}
}

static void posada_complete_msr(struct posada_vcpu *vcpu, bool read)
{
	u64 data = READ_ONCE(vcpu->run->msr.data);

	if (READ_ONCE(vcpu->run->msr.error)) {
		posada_raise_gp(vcpu);
		return;
	}
	if (read) {
		vcpu->regs.gpr[POSADA_RAX] = (u32)data;
		vcpu->regs.gpr[POSADA_RDX] = data >> 32;
	}
	posada_skip(vcpu);
}

/* What the last exit left for userspace to answer. */
static void posada_complete(struct posada_vcpu *vcpu)
{
	u8 completion = vcpu->completion;

	vcpu->completion = POSADA_DONE;
	switch (completion) {
	case POSADA_DONE_IN:
		posada_complete_in(vcpu);
		break;
	case POSADA_DONE_RDMSR:
	case POSADA_DONE_WRMSR:
		posada_complete_msr(vcpu, completion == POSADA_DONE_RDMSR);
		break;
	case POSADA_DONE_HYPERCALL:
		vcpu->regs.gpr[POSADA_RAX] =
			READ_ONCE(vcpu->run->hypercall.ret);
		break;
	}
}

static void posada_fill(struct posada_vcpu *vcpu)
{
	struct posada_run *run = vcpu->run;
	u32 fill = READ_ONCE(run->wanted) & POSADA_GROUP_ALL;

	/* Whoever completes an access, a string or a task switch needs these. */
	if (run->exit == POSADA_EXIT_MEMORY || run->exit == POSADA_EXIT_TASK ||
	    (run->exit == POSADA_EXIT_PORT &&
	     (run->port.flags & POSADA_PORT_STRING)))
		fill |= POSADA_GROUP_REGS | POSADA_GROUP_SREGS;
	if (fill & POSADA_GROUP_REGS)
		run->regs = vcpu->regs;
	if (fill & POSADA_GROUP_SREGS)
		posada_get_sregs(vcpu, &run->sregs);
	if (fill & POSADA_GROUP_EVENTS)
		posada_get_events(vcpu, &run->events);
	if (fill & POSADA_GROUP_DREGS)
		posada_get_dregs(vcpu, &run->dregs);
	run->valid = fill;
}

/* The first entry of any vCPU fixes the VM's CPUID. */
static int posada_first_run(struct posada_vcpu *vcpu)
{
	struct posada_vm *vm = vcpu->vm;
	u32 regs[4];

	if (mutex_lock_killable(&vm->lock))
		return -EINTR;
	posada_cpuid(vcpu, POSADA_CPUID_FEATURES, 0, regs);
	vm->features = regs[0];
	WRITE_ONCE(vm->ran, true);
	mutex_unlock(&vm->lock);
	return 0;
}

#define POSADA_RUN_VALID	(POSADA_RUN_EXIT_NOW | POSADA_RUN_WINDOW)

int posada_run(struct posada_vcpu *vcpu)
{
	struct posada_run *run = vcpu->run;
	u64 start = rdtsc();
	int r;

	if ((READ_ONCE(run->request) & ~POSADA_RUN_VALID) ||
	    (READ_ONCE(run->wanted) & ~POSADA_GROUP_ALL))
		return -EINVAL;
	if (unlikely(!READ_ONCE(vcpu->vm->ran))) {
		r = posada_first_run(vcpu);
		if (r)
			return r;
	}
	if (READ_ONCE(run->dirty)) {
		r = posada_commit(vcpu);
		if (r)
			return r;
	}
	run->exit = POSADA_EXIT_NONE;
	posada_begin(vcpu);
	if (vcpu->completion)
		posada_complete(vcpu);
	r = READ_ONCE(run->request) & POSADA_RUN_EXIT_NOW ? -EINTR :
	    posada_loop(vcpu);
	posada_fill(vcpu);
	posada_end(vcpu);
	vcpu->stat[POSADA_STAT_EXITS]++;
	vcpu->stat[POSADA_STAT_GUEST_NS] += rdtsc() - start;
	return r;
}
