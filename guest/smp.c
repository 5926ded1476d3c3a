// SPDX-License-Identifier: GPL-2.0
/* All CPUs that the tables name: woken by INIT and SIPI, then IPIs both ways. */
#include "guest.h"

#define ROUNDS	20
#define ASK	0x40

static volatile u32 up, answers[MAX_CPUS], over;

static void on_ask(struct frame *f)
{
	(void)f;
	answers[rdmsr(X2_ID) % MAX_CPUS]++;
}

void ap_main(u32 cpu)
{
	(void)cpu;
	apic_on();
	__atomic_add_fetch(&up, 1, __ATOMIC_SEQ_CST);
	while (!over)
		sti_hlt();
}

int guest_main(u32 booted_by, const void *info)
{
	u32 cpus = count_cpus(), i, round;

	(void)booted_by;
	(void)info;
	apic_on();
	handlers[ASK] = on_ask;
	start_others();
	/* Bochs's SVM would hold the host's interrupts back in these loops. */
	asm volatile("sti");
	while (up < cpus - 1)
		pause();
	print("%u CPUs\n", up + 1);
	for (round = 1; round <= ROUNDS; round++)
		for (i = 1; i < cpus; i++) {
			wrmsr(X2_ICR, (u64)i << 32 | ASK);
			while (answers[i] < round)
				pause();
		}
	over = 1;
	for (i = 1; i < cpus; i++) {
		CHECK(answers[i] == ROUNDS);
		wrmsr(X2_ICR, (u64)i << 32 | ASK);
	}
	CHECK(answers[0] == 0);
	return verdict();
}
