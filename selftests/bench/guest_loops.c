// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's half: RDTSC around a loop of an operation, less the same around
 * the loop without it. Both loops are DEC and JNZ.
 */
#include "bench.h"

struct bench_args bench_args;

#define LOOP(times, insn, ...) ({						\
	u64 n_ = (times), t0_, t1_;						\
	t0_ = g_rdtsc();						\
	asm volatile("77:\n\t" insn "\n\t dec %[n]; jnz 77b"		\
		     : [n] "+r"(n_) : __VA_ARGS__			\
		     : "rax", "rbx", "rcx", "rdx", "cc", "memory");	\
	t1_ = g_rdtsc();						\
	t1_ - t0_; })

static u64 loop(const struct bench_args *a)
{
	u64 n = a->loops;

	switch (a->row) {
	case ROW_HYPERCALL:
		return a->intel ? LOOP(n, "mov %[nr], %%rax; vmcall", [nr] "r"(a->call_nr)) :
				  LOOP(n, "mov %[nr], %%rax; vmmcall", [nr] "r"(a->call_nr));
	case ROW_CPUID:
		return LOOP(n, "xor %%eax, %%eax; cpuid", "m"(*a));
	case ROW_RDMSR:
		return LOOP(n, "mov $0x3b, %%ecx; rdmsr", "m"(*a));
	case ROW_OUT:
		return LOOP(n, "outb %%al, $0x80", "m"(*a));
	case ROW_MMIO:
		return LOOP(n, "movl %%eax, (%[dev])", [dev] "r"(DEVICE_GPA));
	}
	return 0;
}

/* One store to each page of the range. */
static u64 touch(void)
{
	u64 at = TOUCH_GPA, t0, t1;

	t0 = g_rdtsc();
	asm volatile("77: movb $1, (%0); add $4096, %0; cmp %1, %0; jne 77b"
		     : "+r"(at) : "r"(TOUCH_GPA + TOUCH_PAGES * 4096) : "cc", "memory");
	t1 = g_rdtsc();
	return t1 - t0;
}

void bench_guest(void)
{
	struct bench_args *a = &bench_args;
	u64 cost, idle;
	u32 i;

	for (i = 0; i < ROUNDS; i++) {
		g_sync(i);
		if (a->row == ROW_TOUCH_PRESENT || a->row == ROW_TOUCH_ABSENT) {
			cost = touch();
			/* The second time nothing faults. */
			idle = touch();
			a->sample[i] = (cost - idle) / TOUCH_PAGES;
		} else {
			cost = loop(a);
			idle = LOOP(a->loops, "", "m"(*a));
			a->sample[i] = (cost - idle) / a->loops;
		}
	}
	g_done(0);
}
