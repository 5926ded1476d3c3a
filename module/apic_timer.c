// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's timer: TSC deadline, one-shot and periodic, by one hrtimer.
 *
 * A backend whose CPU has a timer of its own (entry_timer) ends the guest at
 * vcpu->deadline instead: no host interrupt is taken for it. The hrtimer then
 * only wakes a vCPU out of HLT. Nobody looks at the APIC of a vCPU that does
 * neither: it finds out at its next entry.
 *
 * The hrtimer fires in hardirq context, on the CPU that armed it, maybe while
 * the vCPU (elsewhere) arms it anew. timer_lock orders the two, so that arming
 * never has to wait for an expiry: what the expiry finds under the lock is
 * either still meant, or void.
 *
 * A WRMSR to IA32_TSC_DEADLINE is among the hottest exits of an idle-ish
 * guest; its way is: read the TSC, one multiplication and division, one lock,
 * hrtimer_start().
 */
#include <linux/ktime.h>
#include "posada.h"
#include "apic_logic.h"

/*
 * On the CPU that armed it: its interrupt makes the guest exit, without an
 * IPI. In hardirq context on PREEMPT_RT too.
 */
#define TIMER_MODE	HRTIMER_MODE_ABS_PINNED_HARD

/*
 * An expiry that comes early by the guest's TSC, as the host's clock is
 * slewed against it, waits on for at least that long, in nanoseconds.
 */
#define TIMER_MIN_WAIT	1000

static struct posada_vcpu *timer_vcpu(struct posada_apic *apic)
{
	return container_of(apic, struct posada_vcpu, apic);
}

static u32 timer_mode(const struct posada_apic *apic)
{
	return READ_ONCE(apic->reg[LAPIC_TIMER]) & LAPIC_TIMER_MODE;
}

static bool is_deadline(const struct posada_apic *apic)
{
	return timer_mode(apic) == LAPIC_TIMER_DEADLINE;
}

/* Nanoseconds of one whole count. */
static u64 count_ns(const struct posada_apic *apic)
{
	/* 1 GHz: a tick is a nanosecond. */
	BUILD_BUG_ON(POSADA_APIC_TIMER_KHZ != USEC_PER_SEC);
	return (u64)apic->reg[LAPIC_TMICT] *
	       lapic_divisor(apic->reg[LAPIC_TDCR]);
}

static u64 deadline_ns(struct posada_vcpu *vcpu, u64 deadline)
{
	return lapic_deadline_ns(deadline, posada_guest_tsc(vcpu),
				 posada_tsc_khz);
}

/* ---- under timer_lock ---- */

/* For @now + @ns. @awake: the vCPU enters the guest, or HLT, after this. */
static void arm(struct posada_apic *apic, ktime_t now, u64 ns, bool awake)
{
	struct posada_vcpu *vcpu = timer_vcpu(apic);

	apic->expires = ktime_add_ns(now, ns);
	apic->armed = true;
	if (vcpu->ops->entry_timer)
		WRITE_ONCE(vcpu->deadline, rdtsc() +
			   mul_u64_u32_div(ns, posada_tsc_khz, USEC_PER_SEC));
	if (!vcpu->ops->entry_timer || !awake)
		hrtimer_start(&apic->timer, apic->expires, TIMER_MODE);
	else if (hrtimer_is_queued(&apic->timer))
		hrtimer_try_to_cancel(&apic->timer);
}

/* An expiry under way finds armed false, and does nothing. */
static void disarm(struct posada_apic *apic)
{
	WRITE_ONCE(apic->tsc_deadline, 0);
	WRITE_ONCE(timer_vcpu(apic)->deadline, POSADA_NO_DEADLINE);
	if (!apic->armed)
		return;
	apic->armed = false;
	if (hrtimer_is_queued(&apic->timer))
		hrtimer_try_to_cancel(&apic->timer);
}

/* Arm for @deadline, 0: for none. True: it is past, fire now. */
static bool arm_deadline(struct posada_vcpu *vcpu, u64 deadline)
{
	struct posada_apic *apic = &vcpu->apic;
	u64 ns = deadline_ns(vcpu, deadline);

	if (!ns) {
		disarm(apic);
		return deadline;
	}
	WRITE_ONCE(apic->tsc_deadline, deadline);
	arm(apic, ktime_get(), ns, true);
	return false;
}

/*
 * Begin a count with @ns to go. A period may be no shorter than the host can
 * bear; a count under way may be such a period's.
 */
static void arm_count(struct posada_apic *apic, u64 ns)
{
	u64 most = max_t(u64, count_ns(apic), POSADA_APIC_MIN_PERIOD);

	apic->period = timer_mode(apic) == LAPIC_TIMER_PERIODIC ? most : 0;
	arm(apic, ktime_get(), min(ns, most), true);
}

/* Nanoseconds to go, 1 at least: an expiry that is late is not yet zero. */
static u64 remaining(const struct posada_apic *apic)
{
	s64 left = ktime_to_ns(ktime_sub(apic->expires, ktime_get()));

	if (left > 0)
		return left;
	if (!apic->period)
		return 1;
	/* Periods that passed are made up for by the expiry, late as it is. */
	return apic->period - (u64)-left % apic->period;
}

/* ---- expiry, under timer_lock ---- */

/* The deadline was reached: true. It comes early at times: wait on. */
static bool expire_deadline(struct posada_vcpu *vcpu, bool awake)
{
	struct posada_apic *apic = &vcpu->apic;
	u64 ns = deadline_ns(vcpu, apic->tsc_deadline);

	if (ns) {
		arm(apic, ktime_get(), max_t(u64, ns, TIMER_MIN_WAIT), awake);
		return false;
	}
	disarm(apic);
	return true;
}

/* A count is at its end: true. However many periods passed, fire once. */
static bool expire_count(struct posada_apic *apic, bool awake)
{
	ktime_t now = ktime_get();
	s64 late = ktime_to_ns(ktime_sub(now, apic->expires));

	if (late < 0) {
		arm(apic, now, -late, awake);
		return false;
	}
	if (apic->period)
		arm(apic, now, apic->period - (u64)late % apic->period, awake);
	else
		disarm(apic);
	return true;
}

static bool expire(struct posada_vcpu *vcpu, bool awake)
{
	return vcpu->apic.tsc_deadline ? expire_deadline(vcpu, awake) :
					 expire_count(&vcpu->apic, awake);
}

static enum hrtimer_restart timer_expired(struct hrtimer *timer)
{
	struct posada_vcpu *vcpu = container_of(timer, struct posada_vcpu,
						apic.timer);
	struct posada_apic *apic = &vcpu->apic;
	unsigned long flags;
	bool fire = false;

	raw_spin_lock_irqsave(&apic->timer_lock, flags);
	/* Disarmed, or armed anew, since this expiry began: it is void. */
	if (apic->armed && !hrtimer_is_queued(timer))
		fire = expire(vcpu, READ_ONCE(vcpu->mode) == POSADA_IN_GUEST);
	raw_spin_unlock_irqrestore(&apic->timer_lock, flags);

	/* A masked timer runs as well, and interrupts nobody. */
	if (fire)
		posada_apic_lvt(vcpu, LAPIC_TIMER);
	return HRTIMER_NORESTART;
}

void posada_timer_poll(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;
	unsigned long flags;
	bool fire = false;

	if (READ_ONCE(vcpu->deadline) > rdtsc())
		return;
	raw_spin_lock_irqsave(&apic->timer_lock, flags);
	if (apic->armed)
		fire = expire(vcpu, true);
	raw_spin_unlock_irqrestore(&apic->timer_lock, flags);
	if (fire)
		posada_apic_lvt(vcpu, LAPIC_TIMER);
}

void posada_timer_sleep(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;
	unsigned long flags;

	if (READ_ONCE(vcpu->deadline) == POSADA_NO_DEADLINE)
		return;
	raw_spin_lock_irqsave(&apic->timer_lock, flags);
	if (apic->armed && !hrtimer_is_queued(&apic->timer))
		hrtimer_start(&apic->timer, apic->expires, TIMER_MODE);
	raw_spin_unlock_irqrestore(&apic->timer_lock, flags);
}

/* ---- what the registers ask for ---- */

void posada_timer_init(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;

	raw_spin_lock_init(&apic->timer_lock);
	hrtimer_init(&apic->timer, CLOCK_MONOTONIC, TIMER_MODE);
	apic->timer.function = timer_expired;
	vcpu->deadline = POSADA_NO_DEADLINE;
}

void posada_timer_stop(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;
	unsigned long flags;

	raw_spin_lock_irqsave(&apic->timer_lock, flags);
	disarm(apic);
	raw_spin_unlock_irqrestore(&apic->timer_lock, flags);
	hrtimer_cancel(&apic->timer);
}

/*
 * Into or out of TSC-deadline mode disarms. Between one-shot and periodic the
 * count goes on, and what follows its end is the new mode's.
 */
void posada_timer_set_mode(struct posada_vcpu *vcpu, u32 old)
{
	struct posada_apic *apic = &vcpu->apic;
	u32 change = (old & LAPIC_TIMER_MODE) ^ timer_mode(apic);
	unsigned long flags;

	if (!change)
		return;
	raw_spin_lock_irqsave(&apic->timer_lock, flags);
	if (change & LAPIC_TIMER_DEADLINE) {
		disarm(apic);
		apic->reg[LAPIC_TMICT] = 0;
	} else if (apic->armed) {
		arm_count(apic, remaining(apic));
	}
	raw_spin_unlock_irqrestore(&apic->timer_lock, flags);
}

void posada_timer_set_count(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;
	u64 ns = count_ns(apic);
	unsigned long flags;

	/* TSC-deadline mode ignores the count. */
	if (is_deadline(apic)) {
		apic->reg[LAPIC_TMICT] = 0;
		return;
	}
	raw_spin_lock_irqsave(&apic->timer_lock, flags);
	if (!ns)
		disarm(apic);
	else if (timer_mode(apic) == LAPIC_TIMER_PERIODIC)
		arm_count(apic, max_t(u64, ns, POSADA_APIC_MIN_PERIOD));
	else
		arm_count(apic, ns);
	raw_spin_unlock_irqrestore(&apic->timer_lock, flags);
}

/* The count stays where it is and goes on at the new rate. */
void posada_timer_set_divide(struct posada_vcpu *vcpu, u32 old)
{
	struct posada_apic *apic = &vcpu->apic;
	u32 was = lapic_divisor(old);
	u32 is = lapic_divisor(apic->reg[LAPIC_TDCR]);
	unsigned long flags;

	if (was == is || is_deadline(apic))
		return;
	raw_spin_lock_irqsave(&apic->timer_lock, flags);
	if (apic->armed)
		arm_count(apic, max_t(u64, remaining(apic) * is / was, 1));
	raw_spin_unlock_irqrestore(&apic->timer_lock, flags);
}

/* TSC-deadline mode reads 0, as does a timer that is not armed. */
u32 posada_timer_count(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;
	u64 count = posada_timer_remaining(vcpu) /
		    lapic_divisor(apic->reg[LAPIC_TDCR]);

	/* A period that was too short took longer than it says. */
	return min_t(u64, count, apic->reg[LAPIC_TMICT]);
}

u64 posada_timer_remaining(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;
	unsigned long flags;
	u64 ns = 0;

	if (is_deadline(apic))
		return 0;
	raw_spin_lock_irqsave(&apic->timer_lock, flags);
	if (apic->armed)
		ns = remaining(apic);
	raw_spin_unlock_irqrestore(&apic->timer_lock, flags);
	return ns;
}

void posada_timer_set_deadline(struct posada_vcpu *vcpu, u64 guest_tsc)
{
	struct posada_apic *apic = &vcpu->apic;
	unsigned long flags;
	bool fire;

	if (!is_deadline(apic))
		return;
	raw_spin_lock_irqsave(&apic->timer_lock, flags);
	fire = arm_deadline(vcpu, guest_tsc);
	raw_spin_unlock_irqrestore(&apic->timer_lock, flags);
	if (fire)
		posada_apic_lvt(vcpu, LAPIC_TIMER);
}

u64 posada_timer_get_deadline(struct posada_vcpu *vcpu)
{
	return READ_ONCE(vcpu->apic.tsc_deadline);
}

void posada_timer_load(struct posada_vcpu *vcpu, u64 deadline, u64 ns)
{
	struct posada_apic *apic = &vcpu->apic;
	unsigned long flags;

	if (deadline) {
		posada_timer_set_deadline(vcpu, deadline);
	} else if (ns) {
		raw_spin_lock_irqsave(&apic->timer_lock, flags);
		arm_count(apic, ns);
		raw_spin_unlock_irqrestore(&apic->timer_lock, flags);
	}
}

/* The guest's time jumped; the deadline is still the guest's. */
void posada_timer_tsc_changed(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;
	unsigned long flags;
	bool fire = false;

	raw_spin_lock_irqsave(&apic->timer_lock, flags);
	if (apic->tsc_deadline)
		fire = arm_deadline(vcpu, apic->tsc_deadline);
	raw_spin_unlock_irqrestore(&apic->timer_lock, flags);
	if (fire)
		posada_apic_lvt(vcpu, LAPIC_TIMER);
}
