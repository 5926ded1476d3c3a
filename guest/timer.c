// SPDX-License-Identifier: GPL-2.0
/* The APIC timer: TSC deadline, one-shot, periodic; HLT between. */
#include "guest.h"
#include "../uapi/posada_cpuid.h"

#define VECTOR	0x50

static volatile u32 ticks;

static void on_tick(struct frame *f)
{
	(void)f;
	ticks++;
}

int guest_main(u32 booted_by, const void *info)
{
	u32 a, b, c, d, i;
	u64 start, deadline, stop, period;

	(void)booted_by;
	(void)info;
	apic_on();
	handlers[VECTOR] = on_tick;
	cpuid(1, &a, &b, &c, &d);
	if (c & 1 << 24) {
		wrmsr(X2_LVT_TIMER, 0x40000 | VECTOR);
		for (i = 0; i < 10; i++) {
			deadline = rdtsc() + 1000000;
			wrmsr(TSC_DEADLINE, deadline);
			while (ticks == i)
				sti_hlt();
			CHECK(rdtsc() >= deadline);
		}
		print("TSC deadline: %u ticks\n", ticks);
		CHECK(ticks == 10);
	}
	ticks = 0;
	wrmsr(X2_TIMER_DIVIDE, 0xb);
	wrmsr(X2_LVT_TIMER, VECTOR);
	for (i = 0; i < 10; i++) {
		wrmsr(X2_TIMER_INIT, 1000000);
		CHECK(rdmsr(X2_TIMER_COUNT) <= 1000000);
		while (ticks == i)
			sti_hlt();
	}
	print("one-shot: %u ticks\n", ticks);
	CHECK(rdmsr(X2_TIMER_COUNT) == 0);
	ticks = 0;
	start = rdtsc();
	wrmsr(X2_LVT_TIMER, 0x20000 | VECTOR);
	wrmsr(X2_TIMER_INIT, 1000000);
	while (ticks < 20)
		sti_hlt();
	wrmsr(X2_TIMER_INIT, 0);
	stop = rdtsc();
	print("periodic: %u ticks\n", ticks);
	cpuid(POSADA_CPUID_TIMING, &a, &b, &c, &d);
	period = 1000000UL * a / b;
	/* A slow host may be late, and some more have come then: never more than there was time for. */
	CHECK(stop - start >= (ticks - 1) * period);
	return verdict();
}
