/* SPDX-License-Identifier: GPL-2.0 */
/* posada-bench: the same guest loops on each hypervisor of this host. */
#ifndef BENCH_H
#define BENCH_H

#include "../guest.h"

#define BENCH_MEM	(16UL << 20)	/* image and tables, at gpa 0 */
#define TOUCH_GPA	(64UL << 20)	/* for the first-touch rows */
#define TOUCH_PAGES	1024
#define DEVICE_GPA	0x80000000UL	/* in no slot */
#define ROUNDS		9

enum row_id {
	ROW_HYPERCALL, ROW_CPUID, ROW_RDMSR, ROW_OUT, ROW_MMIO,
	ROW_TOUCH_PRESENT, ROW_TOUCH_ABSENT, ROW_CREATE,
	NR_ROWS
};

/* Results of one hypervisor; negative: not measured. */
struct results {
	const char *why_not;	/* NULL: it ran */
	s64 value[NR_ROWS];
};

/* What a guest loop needs to know; lives in the program's image. */
struct bench_args {
	u32 row;
	u32 loops;
	u64 call_nr;		/* of the empty hypercall */
	u32 intel;		/* VMCALL, not VMMCALL */
	u64 sample[ROUNDS];	/* out: per operation */
};
extern struct bench_args bench_args;
void bench_guest(void);

/*
 * One hypervisor. run() enters the guest until it does something that is not
 * part of a measured loop: an OUT to PORT_SYNC or PORT_DONE, whose port it
 * returns; what the loops do, it completes. All end the program on failure.
 */
struct hypervisor {
	const char *name;
	/* NULL, or why it cannot be used here. */
	const char *(*open)(void);
	/* One VM with both memories and a vCPU that is about to call bench_guest(). */
	void (*create)(u8 *mem, u8 *touch);
	u16 (*run)(void);
	void (*destroy)(void);
	/* A VM and a vCPU, nothing else, and gone again. */
	void (*churn)(void);
	u64 call_nr;
};

extern const struct hypervisor bench_kvm, bench_posada;

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...);

#endif /* BENCH_H */
