// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU in HLT, or one that waits for its SIPI: poll a little, then sleep.
 */
#include <linux/kernel.h>
#include <linux/rcuwait.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <asm/processor-flags.h>
#include "posada.h"

#define POSADA_POLL_MAX_NS	100000
#define POSADA_POLL_START_NS	10000

/* Requests that a sleeping vCPU need not wake up for. */
#define POSADA_REQ_LATER	(BIT(POSADA_REQ_EVENT) | BIT(POSADA_REQ_FLUSH) | \
				 BIT(POSADA_REQ_CLOCK) | BIT(POSADA_REQ_STEAL))

/* Has something come that ends HLT? */
static bool posada_woken(struct posada_vcpu *vcpu)
{
	if (vcpu->mp_state == POSADA_MP_WAIT_SIPI)
		return false;
	if (READ_ONCE(vcpu->unhalted) || vcpu->pending.kind)
		return true;
	if (atomic_read(&vcpu->nmi_pending) && !vcpu->nmi_masked)
		return true;
	return (vcpu->regs.rflags & X86_EFLAGS_IF) &&
	       (vcpu->extint >= 0 || posada_apic_pending(vcpu) >= 0);
}

/* Is there anything to do but sleep? */
static bool posada_runnable(struct posada_vcpu *vcpu)
{
	return (READ_ONCE(vcpu->requests) & ~POSADA_REQ_LATER) ||
	       posada_woken(vcpu);
}

/* Spin a little before sleeping: a wake-up costs more than a short wait. */
static bool posada_poll(struct posada_vcpu *vcpu, u64 start)
{
	u64 end = start + vcpu->halt_poll_ns;

	if (vcpu->mp_state != POSADA_MP_HALTED || !vcpu->halt_poll_ns ||
	    !(vcpu->msrs.poll_control & 1))
		return false;
	do {
		if (posada_runnable(vcpu)) {
			vcpu->stat[POSADA_STAT_HALT_POLL_HIT]++;
			return true;
		}
		cpu_relax();
	} while (single_task_running() && !need_resched() &&
		 !signal_pending(current) && local_clock() < end);
	return false;
}

/* Poll longer after waits that were nearly short enough, else not at all. */
static void posada_adapt_poll(struct posada_vcpu *vcpu, u64 slept)
{
	if (slept > POSADA_POLL_MAX_NS)
		vcpu->halt_poll_ns = 0;
	else if (slept > vcpu->halt_poll_ns)
		vcpu->halt_poll_ns = clamp_t(u64, vcpu->halt_poll_ns * 2,
					     POSADA_POLL_START_NS,
					     POSADA_POLL_MAX_NS);
}

int posada_halt(struct posada_vcpu *vcpu)
{
	u64 start = local_clock();
	int r = 1;

	posada_timer_sleep(vcpu);
	if (!posada_poll(vcpu, start)) {
		r = rcuwait_wait_event(&vcpu->wait,
				       posada_runnable(vcpu),
				       TASK_INTERRUPTIBLE) ? -EINTR : 1;
		vcpu->stat[POSADA_STAT_HALT_NS] += local_clock() - start;
		posada_adapt_poll(vcpu, local_clock() - start);
	}
	/* A request alone, such as a kick, leaves it in HLT. */
	if (vcpu->mp_state == POSADA_MP_HALTED && posada_woken(vcpu)) {
		WRITE_ONCE(vcpu->unhalted, false);
		vcpu->mp_state = POSADA_MP_RUNNABLE;
	}
	return r;
}
