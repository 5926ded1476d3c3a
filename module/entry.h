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
#include "posada.h"

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
 * DR0-3 go into the CPU for a guest, or for @vcpu's debugger. Irqoff. The
 * host's own are off until hw_breakpoint_restore().
 */
static inline void posada_load_dr(struct posada_vcpu *vcpu, const u64 dr[4])
{
	if (vcpu->debug.flags & POSADA_DEBUG_HARDWARE)
		dr = vcpu->debug.dr;
	if (hw_breakpoint_active())
		set_debugreg(0UL, 7);
	set_debugreg(dr[0], 0);
	set_debugreg(dr[1], 1);
	set_debugreg(dr[2], 2);
	set_debugreg(dr[3], 3);
}

static inline void posada_save_dr(struct posada_vcpu *vcpu, u64 dr[4])
{
	unsigned long value;

	if (vcpu->debug.flags & POSADA_DEBUG_HARDWARE)
		return;
	get_debugreg(value, 0);
	dr[0] = value;
	get_debugreg(value, 1);
	dr[1] = value;
	get_debugreg(value, 2);
	dr[2] = value;
	get_debugreg(value, 3);
	dr[3] = value;
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

#endif /* POSADA_ENTRY_H */
