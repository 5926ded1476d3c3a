/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the host's kernel wants to know around an entry, for each backend.
 *
 * RCU: a CPU that runs a guest for long is not in a quiescent state unless
 * somebody says so. On nohz_full CPUs context tracking does. Elsewhere the
 * tick ends the guest, and run.c tells RCU after an exit for a host interrupt
 * instead of on each entry: hot exits need not pay for it.
 */
#ifndef POSADA_ENTRY_H
#define POSADA_ENTRY_H

#include <linux/context_tracking.h>
#include <linux/ftrace.h>
#include <linux/instrumentation.h>
#include <linux/irqflags.h>
#include <linux/lockdep.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/vtime.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/nospec-branch.h>
#include <asm/trapnr.h>
#include "posada.h"
#include "switch.h"

/* Irqoff; until posada_context_exit() nothing may use RCU, trace or lockdep. */
static __always_inline void posada_context_enter(void)
{
	instrumentation_begin();
	trace_hardirqs_on_prepare();
	lockdep_hardirqs_on_prepare();
	instrumentation_end();
	context_tracking_guest_enter();
	lockdep_hardirqs_on(CALLER_ADDR0);
}

static __always_inline void posada_context_exit(void)
{
	lockdep_hardirqs_off(CALLER_ADDR0);
	context_tracking_guest_exit();
	instrumentation_begin();
	trace_hardirqs_off_finish();
	instrumentation_end();
}

/*
 * Charge ticks to the guest. Irqoff; the matching call comes with interrupts
 * on again, when the tick that ended the guest has been taken.
 */
static __always_inline void posada_account_enter(void)
{
	if (vtime_accounting_enabled_this_cpu())
		vtime_guest_enter(current);
	else
		current->flags |= PF_VCPU;
}

static __always_inline void posada_account_exit(void)
{
	if (vtime_accounting_enabled_this_cpu()) {
		local_irq_disable();
		vtime_guest_exit(current);
		local_irq_enable();
	} else {
		current->flags &= ~PF_VCPU;
	}
}

/*
 * DR0-3 go into the CPU for a guest, or for its debugger, and DR6 with them.
 * Irqoff. The host's own are off until hw_breakpoint_restore().
 */
static inline void posada_load_dr(struct posada_vcpu *vcpu)
{
	const u64 *dr = vcpu->debug.flags & POSADA_DEBUG_HARDWARE ?
			vcpu->debug.dr : vcpu->dr.dr;

	vcpu->dr.armed = true;
	if (hw_breakpoint_active())
		set_debugreg(0UL, 7);
	set_debugreg(dr[0], 0);
	set_debugreg(dr[1], 1);
	set_debugreg(dr[2], 2);
	set_debugreg(dr[3], 3);
	set_debugreg(vcpu->dr.dr6, 6);
}

static inline void posada_save_dr(struct posada_vcpu *vcpu)
{
	unsigned long *dr = (unsigned long *)vcpu->dr.dr;

	vcpu->dr.armed = false;
	get_debugreg(vcpu->dr.dr6, 6);
	set_debugreg(DR6_RESERVED, 6);
	if (vcpu->debug.flags & POSADA_DEBUG_HARDWARE)
		return;
	get_debugreg(dr[0], 0);
	get_debugreg(dr[1], 1);
	get_debugreg(dr[2], 2);
	get_debugreg(dr[3], 3);
}

/* SPEC_CTRL of both sides, where they may differ: the host's now. Irqoff. */
static __always_inline void posada_spec_arm(struct posada_spec *spec)
{
	if (spec->on)
		spec->host = this_cpu_read(x86_spec_ctrl_current);
}

/* VMSCAPE: the VMM must not be steered by what the guest trained. Irqoff. */
static __always_inline void posada_barrier_to_user(void)
{
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

/* Preemption off, interrupts on, after an exit for a host interrupt. */
static __always_inline void posada_note_quiescent(void)
{
	unsigned long flags;

	local_irq_save(flags);
	rcu_note_context_switch(false);
	local_irq_restore(flags);
}

/* ---- hoststate.c: for backends whose CPU does not see to it ---- */

/* This thread's own, from leave() to return(). */
struct posada_thread {
	u64 fs_base, kernel_gs_base, debugctl;
	u16 fs, gs, ds, es, ldt;
	bool stale;		/* an exit has dropped the segments */
};

/* Atomic: note it, and put the guest's KERNEL_GS_BASE into the CPU. */
void posada_thread_leave(struct posada_thread *t, u64 kernel_gs_base);
/* Irqoff: bring it back. Returns the guest's KERNEL_GS_BASE. */
u64 posada_thread_return(struct posada_thread *t);

/* Irqoff: exits that follow drop the segments. */
static __always_inline void posada_thread_drop(struct posada_thread *t)
{
	u16 ldt;

	/* Another thread may load an LDT; an exit leaves none. */
	asm volatile("sldt %0" : "=r" (ldt));
	if (unlikely(ldt))
		t->ldt = ldt;
	t->stale = true;
}

/*
 * SYSCALL's MSRs: the host executes none before they are back. CSTAR is kept
 * alone: Intel's CPUs never use it.
 */
#define POSADA_NR_LIVE	3
struct posada_live {
	u64 guest[POSADA_NR_LIVE + 1];
	u64 cpu[POSADA_NR_LIVE];	/* what the CPU has */
};

void posada_live_probe(void);		/* note the host's; at load */
void posada_live_init(struct posada_live *live);
/* Atomic: put the guest's into the CPU, or the host's. */
void posada_live_sync(struct posada_live *live, bool guest);
/* Where the guest's is kept; NULL: not one of them. */
u64 *posada_live_msr(struct posada_live *live, u32 index);

/* Atomic: the vCPU comes onto this CPU. */
void posada_barrier_load(struct posada_vcpu *vcpu);
/* Task: its memory may be the next vCPU's, which needs its own barrier. */
void posada_barrier_forget(struct posada_vcpu *vcpu);

/* Does the host ask for posada_l1d_flush()? By posada_l1d_probe(), at load. */
extern bool posada_l1d_leaks;
void posada_l1d_probe(void);
/* Irqoff, before an entry. *@due: other threads were on this CPU. */
void posada_l1d_flush(bool *due);

/* ---- events, as EVENTINJ of SVM and VMX's interruption information have them */

#define POSADA_WORD_VALID	BIT(31)
#define POSADA_WORD_ERROR	BIT(11)
#define POSADA_WORD_TYPE	GENMASK(10, 8)
#define POSADA_WORD_VECTOR	GENMASK(7, 0)

/* The type of an event that is injected; INT n and the like are others. */
static inline u32 posada_event_type(u8 kind)
{
	return kind == POSADA_EVENT_INTERRUPT ? 0 : (u32)kind << 8;
}

static_assert(POSADA_EVENT_NMI == 2 && POSADA_EVENT_EXCEPTION == 3);

static inline u32 posada_event_word(const struct posada_event *ev)
{
	return POSADA_WORD_VALID | posada_event_type(ev->kind) | ev->vector |
	       (ev->has_error ? POSADA_WORD_ERROR : 0);
}

/*
 * The event whose delivery an exit cut short. NONE for INT n, INT3 and INTO:
 * RIP is still at it, it comes again.
 */
static inline void posada_event_cut(struct posada_event *ev, u32 word,
				    u32 error, u64 cr2)
{
	u32 type = word & POSADA_WORD_TYPE;

	ev->kind = POSADA_EVENT_NONE;
	if (!type)
		ev->kind = POSADA_EVENT_INTERRUPT;
	else if (type <= posada_event_type(POSADA_EVENT_EXCEPTION))
		ev->kind = type >> 8;
	ev->vector = word & POSADA_WORD_VECTOR;
	ev->has_error = word & POSADA_WORD_ERROR;
	ev->error = ev->has_error ? error : 0;
	ev->payload = ev->vector == X86_TRAP_PF ? cr2 : 0;
}

/* ---- exits that SVM and VMX tell in the same words */

/* Raise it in the guest. @error: of those that have one. */
static inline void posada_exit_fault(struct posada_exit *x, u8 vector,
				     bool has_error, u32 error)
{
	x->kind = POSADA_X_FAULT;
	x->fault.vector = vector;
	x->fault.has_error = has_error;
	x->fault.error = has_error ? error : 0;
}

/* The instruction is not for this guest: what a table's row says of it. */
static inline void posada_exit_denied(struct posada_exit *x, u8 vector)
{
	posada_exit_fault(x, vector, vector == X86_TRAP_GP, 0);
}

/* Irqoff. An exception was intercepted; @dr6: what a #DB sets in DR6. */
static inline void posada_exit_exception(struct posada_exit *x, u8 vector,
					 u64 dr6, bool has_error, u32 error)
{
	if (vector == X86_TRAP_DB || vector == X86_TRAP_BP) {
		x->kind = POSADA_X_DEBUG;
		x->debug.vector = vector;
		x->debug.dr6 = vector == X86_TRAP_BP ? 0 : dr6 &
			       (DR_TRAP_BITS | DR_STEP | DR_SWITCH | BIT(13));
	} else if (vector == X86_TRAP_MC) {
		/* Intercepted, it is still the host's to handle. */
		x->kind = POSADA_X_MACHINE_CHECK;
		asm volatile("int $18");
	} else {
		posada_exit_fault(x, vector, has_error, error);
	}
}

#endif /* POSADA_ENTRY_H */
