/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What bare-metal guests share: ports, serial line, exceptions, x2APIC, and
 * the end. Each guest defines guest_main(); what it returns goes to port 0xf4:
 * PASS or FAIL, so that `posada run` exits with 33 or 35.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include "layout.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define PASS	0x10
#define FAIL	0x11

int guest_main(u32 booted_by, const void *info);
/* Other CPUs come here; the weak default sleeps. */
void ap_main(u32 cpu);
__attribute__((noreturn)) void finish(u32 value);

/* %s %c %d %u %x %lu %lx %%; to the serial line. */
__attribute__((format(printf, 1, 2))) void print(const char *fmt, ...);

/* Note a failure: print it; guest_main() returns verdict() in the end. */
#define CHECK(cond) do {						\
	if (!(cond)) {							\
		print("%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
		failures++;						\
	}								\
} while (0)
extern u32 failures;
static inline int verdict(void)
{
	return failures ? FAIL : PASS;
}

/* The loader's command line, "" if it gave none. */
const char *command_line(u32 booted_by, const void *info);

struct frame {
	u64 vector, error, rip, cs, rflags, rsp, ss;
};

/* Default: exceptions end the guest, interrupts get an EOI. */
extern void (*handlers[256])(struct frame *f);

static inline void out8(u16 port, u8 v)
{
	asm volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void out32(u16 port, u32 v)
{
	asm volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline u8 in8(u16 port)
{
	u8 v;

	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 msr, u64 v)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (u64)hi << 32 | lo;
}

static inline void cpuid(u32 leaf, u32 *a, u32 *b, u32 *c, u32 *d)
{
	asm volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "a"(leaf), "c"(0));
}

static inline void sti_hlt(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}

static inline void pause(void)
{
	asm volatile("pause" : : : "memory");
}

/* ---- x2APIC ---- */

#define X2_ID		0x802
#define X2_EOI		0x80b
#define X2_SVR		0x80f
#define X2_ICR		0x830
#define X2_LVT_TIMER	0x832
#define X2_TIMER_INIT	0x838
#define X2_TIMER_COUNT	0x839
#define X2_TIMER_DIVIDE	0x83e
#define TSC_DEADLINE	0x6e0

#define ICR_INIT_OTHERS		0xc4500
#define ICR_STARTUP_OTHERS	0xc4600

static inline void apic_on(void)
{
	wrmsr(0x1b, rdmsr(0x1b) | 0xc00);
	wrmsr(X2_SVR, 0x1ff);
}

static inline void eoi(void)
{
	wrmsr(X2_EOI, 0);
}

/* Wake all other CPUs up in ap_main(). */
void start_others(void);
/* CPUs that the ACPI tables name; 1 if there are no tables. */
u32 count_cpus(void);

#endif /* GUEST_H */
