// SPDX-License-Identifier: GPL-2.0
/*
 * The named CPUID policies. There is one: "portable", a CPU that every host
 * can give a guest, of Intel's and of AMD's, so that a VM's state goes from one
 * to the other. It is a table without holes: the same for all, to the bit, but
 * for the hypervisor's own leaves, which say how fast this host's clocks are.
 */
#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "internal.h"

/* What <cpuid.h> has no names for. */
enum {
	BASIC_LEAVES	= 0xd,
	EXTENDED_LEAVES	= 0x80000008,
	FAMILY_6	= 0x600,
	CLFLUSH_64	= 8 << 8,	/* in units of 8 bytes */
	ECX_X2APIC	= 1 << 21,
	ECX_DEADLINE	= 1 << 24,
	ECX_HYPERVISOR	= 1U << 31,
	EDX_FPU		= 1 << 0,
	EDX_DE		= 1 << 2,
	EDX_PSE		= 1 << 3,
	EDX_TSC		= 1 << 4,
	EDX_MSR		= 1 << 5,
	EDX_PAE		= 1 << 6,
	EDX_MCE		= 1 << 7,
	EDX_APIC	= 1 << 9,
	EDX_SEP		= 1 << 11,
	EDX_MTRR	= 1 << 12,
	EDX_PGE		= 1 << 13,
	EDX_MCA		= 1 << 14,
	EDX_PAT		= 1 << 16,
	EDX_PSE36	= 1 << 17,
	EDX_CLFLUSH	= 1 << 19,
	ARAT		= 1 << 2,
	TSC_ADJUST	= 1 << 1,
	XCR0_X87_SSE	= 3,
	XSAVE_BYTES	= 576,		/* with x87 and SSE alone */
	SYSCALL		= 1 << 11,
	NX		= 1 << 20,
	PAGE_WIDTHS	= 48 << 8 | 36,	/* linear, physical addresses */
};

#define LONG_WORD(a, b, c, d)	((uint32_t)(a) | (b) << 8 | (c) << 16 | (uint32_t)(d) << 24)
#define SUBLEAF(nr, sub)	.leaf = (nr), .subleaf = (sub), .flags = POSADA_CPUID_SUBLEAF
/* "PosadaCommon": a vendor whose habits no guest thinks it knows. */
#define VENDOR				\
	.ebx = LONG_WORD('P', 'o', 's', 'a'),	\
	.edx = LONG_WORD('d', 'a', 'C', 'o'),	\
	.ecx = LONG_WORD('m', 'm', 'o', 'n')
#define HYPERVISOR_FIRST	0x40000000U
#define HYPERVISOR_LAST		0x4000ffffU

static const struct posada_cpuid_entry portable[] = {
	{ .leaf = 0, .eax = BASIC_LEAVES, VENDOR },
	{ .leaf = 1, .eax = FAMILY_6, .ebx = CLFLUSH_64,
	  .ecx = bit_SSE3 | bit_SSSE3 | bit_CMPXCHG16B | bit_SSE4_1 | bit_SSE4_2 | ECX_X2APIC |
		 bit_POPCNT | ECX_DEADLINE | bit_XSAVE | ECX_HYPERVISOR,
	  .edx = EDX_FPU | EDX_DE | EDX_PSE | EDX_TSC | EDX_MSR | EDX_PAE | EDX_MCE |
		 bit_CMPXCHG8B | EDX_APIC | EDX_SEP | EDX_MTRR | EDX_PGE | EDX_MCA | bit_CMOV |
		 EDX_PAT | EDX_PSE36 | EDX_CLFLUSH | bit_MMX | bit_FXSAVE | bit_SSE | bit_SSE2 },
	{ .leaf = 6, .eax = ARAT },
	{ SUBLEAF(7, 0), .ebx = TSC_ADJUST },
	{ SUBLEAF(0xb, 0) },
	{ SUBLEAF(0xb, 1) },
	{ SUBLEAF(0xd, 0), .eax = XCR0_X87_SSE, .ebx = XSAVE_BYTES, .ecx = XSAVE_BYTES },
	{ SUBLEAF(0xd, 1) },
	{ .leaf = 0x80000000, .eax = EXTENDED_LEAVES, VENDOR },
	{ .leaf = 0x80000001, .ecx = bit_LAHF_LM, .edx = SYSCALL | NX | bit_LM },
	{ .leaf = 0x80000002, .eax = LONG_WORD('P', 'o', 's', 'a'), .ebx = LONG_WORD('d', 'a', ' ', 'p'),
	  .ecx = LONG_WORD('o', 'r', 't', 'a'), .edx = LONG_WORD('b', 'l', 'e', ' ') },
	{ .leaf = 0x80000003, .eax = LONG_WORD('C', 'P', 'U', 0) },
	{ .leaf = 0x80000004 },
	{ .leaf = 0x80000008, .eax = PAGE_WIDTHS },
};

int posada_cpuid_portable(struct posada_cpuid_entry *e, unsigned int *n)
{
	const unsigned int count = ARRAY_SIZE(portable);
	unsigned int i, kept = 0;

	for (i = 0; i < *n; i++)
		if (e[i].leaf >= HYPERVISOR_FIRST && e[i].leaf <= HYPERVISOR_LAST)
			e[kept++] = e[i];
	if (kept + count > POSADA_MAX_CPUID)
		return -E2BIG;
	memcpy(e + kept, portable, sizeof(portable));
	*n = kept + count;
	return 0;
}
