/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The local APIC's rules as functions of values: priorities, who a message is
 * for, how it is encoded. Nothing here knows a vCPU, so that it also builds in
 * userspace, under selftests/unit/apic_test.c.
 */
#ifndef POSADA_APIC_LOGIC_H
#define POSADA_APIC_LOGIC_H

#ifdef __KERNEL__
#include <linux/bits.h>
#include <linux/bitops.h>
#include <linux/math64.h>
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
#define BIT(n)		(1UL << (n))
#define GENMASK(h, l)	((~0UL >> (63 - (h))) & (~0UL << (l)))
#define READ_ONCE(x)	__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define __fls(x)	(63 - __builtin_clzl(x))
#define mul_u64_u32_div(a, m, d)	\
	((u64)((__uint128_t)(a) * (m) / (d)))
#endif

/* Registers, by xAPIC offset / 16, which is x2APIC MSR - 0x800. */
enum {
	LAPIC_ID	= 0x02,
	LAPIC_VERSION	= 0x03,
	LAPIC_TPR	= 0x08,
	LAPIC_APR	= 0x09,
	LAPIC_PPR	= 0x0a,
	LAPIC_EOI	= 0x0b,
	LAPIC_RRD	= 0x0c,
	LAPIC_LDR	= 0x0d,
	LAPIC_DFR	= 0x0e,
	LAPIC_SVR	= 0x0f,
	LAPIC_ISR	= 0x10,	/* 8 registers, as TMR and IRR */
	LAPIC_TMR	= 0x18,
	LAPIC_IRR	= 0x20,
	LAPIC_ESR	= 0x28,
	LAPIC_ICR	= 0x30,
	LAPIC_ICR2	= 0x31,
	LAPIC_TIMER	= 0x32,	/* the local vector table, to LAPIC_ERROR */
	LAPIC_THERMAL	= 0x33,
	LAPIC_PERF	= 0x34,
	LAPIC_LINT0	= 0x35,
	LAPIC_LINT1	= 0x36,
	LAPIC_ERROR	= 0x37,
	LAPIC_TMICT	= 0x38,
	LAPIC_TMCCT	= 0x39,
	LAPIC_TDCR	= 0x3e,
	LAPIC_SELF	= 0x3f,
	LAPIC_NR	= 0x40
};

/* IA32_APIC_BASE. */
#define LAPIC_BASE_BSP		BIT(8)
#define LAPIC_BASE_X2		BIT(10)
#define LAPIC_BASE_ENABLE	BIT(11)
#define LAPIC_BASE_MODE		(LAPIC_BASE_ENABLE | LAPIC_BASE_X2)
#define LAPIC_BASE_DEFAULT	0xfee00000UL

/* Bits of the message in ICR's low word, in an LVT entry and in MSI data. */
#define LAPIC_VECTOR		0xffU
#define LAPIC_MODE_SHIFT	8
#define LAPIC_MODE		0x700U
#define LAPIC_LOGICAL		0x800U	/* ICR */
#define LAPIC_STATUS		0x1000U	/* delivery status; reads 0 here */
#define LAPIC_POLARITY		0x2000U	/* LINT */
#define LAPIC_REMOTE_IRR	0x4000U	/* LINT; reads 0 here */
#define LAPIC_ASSERT		0x4000U	/* ICR, MSI */
#define LAPIC_LEVEL		0x8000U
#define LAPIC_MASKED		0x10000U	/* LVT */
#define LAPIC_TIMER_MODE	0x60000U	/* LVT timer */
#define LAPIC_TIMER_ONESHOT	0x00000U
#define LAPIC_TIMER_PERIODIC	0x20000U
#define LAPIC_TIMER_DEADLINE	0x40000U
#define LAPIC_SHORTHAND_SHIFT	18
#define LAPIC_SHORTHAND		0xc0000U	/* ICR */

#define LAPIC_SVR_ENABLE	0x100U
#define LAPIC_SVR_NO_FOCUS	0x200U
#define LAPIC_SVR_NO_BROADCAST	0x1000U	/* of EOIs */

/* Bits of ESR. */
#define LAPIC_ESR_SEND_ILLEGAL	5
#define LAPIC_ESR_RECV_ILLEGAL	6
#define LAPIC_ESR_REGISTER	7

/* Vectors below are exceptions: no APIC delivers them. */
#define LAPIC_FIRST_VECTOR	16

/* Delivery modes. */
enum {
	LAPIC_FIXED = 0, LAPIC_LOWEST = 1, LAPIC_SMI = 2, LAPIC_NMI = 4,
	LAPIC_INIT = 5, LAPIC_STARTUP = 6, LAPIC_EXTINT = 7
};

enum { LAPIC_TO_DEST, LAPIC_TO_SELF, LAPIC_TO_ALL, LAPIC_TO_OTHERS };

#define LAPIC_BROADCAST		0xffU		/* xAPIC and MSI */
#define LAPIC_BROADCAST_X2	0xffffffffU

/* ---- priorities ---- */

/* The highest bit of a 256-bit map that others may be setting; -1: none. */
static inline int lapic_highest(const unsigned long map[4])
{
	int i;

	for (i = 3; i >= 0; i--) {
		unsigned long word = READ_ONCE(map[i]);

		if (word)
			return i * 64 + (int)__fls(word);
	}
	return -1;
}

/* The processor priority: what TPR or the interrupt in service asks for. */
static inline u8 lapic_ppr(u8 tpr, int in_service)
{
	if (in_service < 0 || tpr >> 4 >= in_service >> 4)
		return tpr;
	return in_service & 0xf0;
}

/* Priorities compare by class, the upper four bits. No vector (-1) is below. */
static inline bool lapic_above(int vector, u8 ppr)
{
	return vector >> 4 > ppr >> 4;
}

/* Bits 32 * i to 32 * i + 31 of a map, as the guest reads them. */
static inline u32 lapic_word(const unsigned long map[4], unsigned int i)
{
	return READ_ONCE(map[(i & 7) / 2]) >> (i & 1) * 32;
}

/* ---- modes ---- */

/*
 * May IA32_APIC_BASE go from @old to @new? The mode bits step disabled ->
 * xAPIC -> x2APIC, and from either back to disabled; x2APIC without ENABLE is
 * no mode. @host may step at will.
 */
static inline bool lapic_base_ok(u64 old, u64 new, u32 phys_bits, bool host)
{
	u64 known = GENMASK(phys_bits - 1, 12) | LAPIC_BASE_MODE |
		    LAPIC_BASE_BSP;
	u64 from = old & LAPIC_BASE_MODE, to = new & LAPIC_BASE_MODE;

	if (new & ~known || to == LAPIC_BASE_X2)
		return false;
	if (host || from == to || !to)
		return true;
	if (to == LAPIC_BASE_MODE)
		return from == LAPIC_BASE_ENABLE;
	return !from;
}

/* The logical id that x2APIC mode derives: a cluster of 16 and a bit in it. */
static inline u32 lapic_x2_ldr(u32 id)
{
	return id >> 4 << 16 | 1U << (id & 15);
}

/* ---- messages ---- */

struct lapic_message {
	u32 dest;
	u8 mode;
	u8 vector;
	u8 shorthand;
	bool logical;
	bool one;		/* to one of those addressed, of low priority */
	bool level;
	bool assert;
	bool x2;		/* dest has 32 bits: an x2APIC sends it */
};

static inline struct lapic_message lapic_from_icr(u64 icr, bool x2)
{
	struct lapic_message m = {
		.dest = icr >> 32,
		.mode = (icr & LAPIC_MODE) >> LAPIC_MODE_SHIFT,
		.vector = icr & LAPIC_VECTOR,
		.shorthand = (icr & LAPIC_SHORTHAND) >> LAPIC_SHORTHAND_SHIFT,
		.logical = icr & LAPIC_LOGICAL,
		.level = icr & LAPIC_LEVEL,
		.assert = icr & LAPIC_ASSERT,
		.x2 = x2,
	};

	m.one = m.mode == LAPIC_LOWEST;
	return m;
}

/*
 * Is there such an IPI? The shorthands that include the sender go with fixed
 * mode alone. An INIT that deasserts was a bus message once, for all; it does
 * nothing now.
 */
static inline bool lapic_ipi_ok(const struct lapic_message *m)
{
	static const u8 modes[] = {
		[LAPIC_TO_DEST] = BIT(LAPIC_FIXED) | BIT(LAPIC_LOWEST) |
			BIT(LAPIC_NMI) | BIT(LAPIC_INIT) | BIT(LAPIC_STARTUP),
		[LAPIC_TO_SELF] = BIT(LAPIC_FIXED),
		[LAPIC_TO_ALL] = BIT(LAPIC_FIXED),
		[LAPIC_TO_OTHERS] = BIT(LAPIC_FIXED) | BIT(LAPIC_LOWEST) |
			BIT(LAPIC_NMI) | BIT(LAPIC_INIT) | BIT(LAPIC_STARTUP),
	};

	if (m->mode == LAPIC_INIT && m->level && !m->assert)
		return false;
	return modes[m->shorthand & 3] & BIT(m->mode & 7);
}

/*
 * An MSI address:  63      20 19      12 11       5  4   3   2   1 0
 *                 | 0xfee    | dest 7-0 | dest 14-8 | - | RH | DM | - |
 * RH: to one of those addressed. DM: @dest is logical.
 */
#define LAPIC_MSI_BASE		0xfeeUL
#define LAPIC_MSI_LOGICAL	BIT(2)
#define LAPIC_MSI_ONE		BIT(3)

static inline struct lapic_message lapic_from_msi(u64 addr, u32 data)
{
	struct lapic_message m = {
		.dest = (addr >> 12 & 0xff) | (addr >> 5 & 0x7f) << 8,
		.mode = (data & LAPIC_MODE) >> LAPIC_MODE_SHIFT,
		.vector = data & LAPIC_VECTOR,
		.shorthand = LAPIC_TO_DEST,
		.logical = addr & LAPIC_MSI_LOGICAL,
		.level = data & LAPIC_LEVEL,
		.assert = data & LAPIC_ASSERT,
	};

	m.one = m.mode == LAPIC_LOWEST || addr & LAPIC_MSI_ONE;
	return m;
}

static inline bool lapic_msi_ok(u64 addr, u32 data)
{
	u8 mode = (data & LAPIC_MODE) >> LAPIC_MODE_SHIFT;
	u8 modes = BIT(LAPIC_FIXED) | BIT(LAPIC_LOWEST) | BIT(LAPIC_NMI) |
		   BIT(LAPIC_INIT);

	return addr >> 20 == LAPIC_MSI_BASE && modes & BIT(mode);
}

/* What a message is compared with. */
struct lapic_address {
	u32 id;
	u32 ldr, dfr;		/* as the registers read */
	bool x2;
};

static inline bool lapic_is_broadcast(const struct lapic_message *m)
{
	if (m->x2)
		return m->dest == LAPIC_BROADCAST_X2;
	return !m->logical && m->dest == LAPIC_BROADCAST;
}

/*
 * Logical destinations: x2APIC: 16 bits of cluster, a mask of 16. xAPIC, by
 * DFR: flat, a mask of 8; or clustered, 4 bits of cluster (15: every) and a
 * mask of 4.
 */
static inline bool lapic_match_logical(const struct lapic_message *m,
				       const struct lapic_address *a)
{
	u32 ldr = a->ldr >> 24;

	if (a->x2)
		return m->dest >> 16 == a->ldr >> 16 &&
		       m->dest & a->ldr & 0xffff;
	if (m->dest > 0xff)
		return false;
	if (a->dfr >> 28 == 0xf)
		return m->dest & ldr;
	if (a->dfr >> 28)
		return false;
	return (m->dest >> 4 == 0xf || m->dest >> 4 == ldr >> 4) &&
	       m->dest & ldr & 0xf;
}

static inline bool lapic_match(const struct lapic_message *m,
			       const struct lapic_address *a)
{
	if (lapic_is_broadcast(m))
		return true;
	return m->logical ? lapic_match_logical(m, a) : m->dest == a->id;
}

/* ---- timer ---- */

/* The divide configuration's bits 3, 1, 0 are log2(divisor) - 1; 7 is 1. */
static inline u32 lapic_divisor(u32 tdcr)
{
	u32 code = (tdcr & 3) | (tdcr & 8) >> 1;

	return 1U << ((code + 1) & 7);
}

/* So far, months, and no farther does a deadline sleep. */
#define LAPIC_MAX_TICKS		BIT(56)

/* Nanoseconds until the TSC reads @deadline, rounded up; 0: it is past. */
static inline u64 lapic_deadline_ns(u64 deadline, u64 tsc, u32 khz)
{
	u64 ticks = deadline - tsc;

	if (deadline <= tsc)
		return 0;
	if (ticks > LAPIC_MAX_TICKS)
		ticks = LAPIC_MAX_TICKS;
	return mul_u64_u32_div(ticks, 1000000, khz) + 1;
}

#endif /* POSADA_APIC_LOGIC_H */
