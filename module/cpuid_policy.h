/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a guest may see of the host's CPUID, as pure functions of their
 * arguments: builds in the kernel and in userspace, where the unit tests are.
 *
 * A table holds what all vCPUs have in common. What differs by vCPU or moves
 * with its state (APIC id, OSXSAVE, sizes by XCR0) is put in at the answer.
 */
#ifndef POSADA_CPUID_POLICY_H
#define POSADA_CPUID_POLICY_H

#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/nospec.h>
#include <linux/rcupdate.h>
#else
#include <stdbool.h>
#include <stddef.h>
#define array_index_nospec(i, n)	(i)
#endif
#include "../uapi/posada.h"
#include "../uapi/posada_cpuid.h"

enum { IN_EAX, IN_EBX, IN_ECX, IN_EDX, IN_REGS };

/* The host, as far as the policy asks. */
struct posada_cpuid_host {
	/* CPUID, less what the host's kernel has turned off. */
	void (*cpuid)(__u32 leaf, __u32 subleaf, __u32 out[IN_REGS]);
	__u64 xcr0;		/* what a guest may set */
	__u32 phys_bits;	/* of a gpa */
	__u32 tsc_khz;
	__u32 apic_khz;
	bool lfence_serializes;
	bool steal_time;	/* the scheduler counts run delay */
};

/* Words of feature bits, numbered as the kernel's X86_FEATURE_* / 32. */
enum posada_cpuid_word {
	WORD_1_EDX		= 0,
	WORD_80000001_EDX	= 1,
	WORD_1_ECX		= 4,
	WORD_80000001_ECX	= 6,
	WORD_7_EBX		= 9,
	WORD_D_1_EAX		= 10,
	WORD_7_1_EAX		= 12,
	WORD_80000008_EBX	= 13,
	WORD_6_EAX		= 14,
	WORD_7_ECX		= 16,
	WORD_7_EDX		= 18,
	WORD_80000021_EAX	= 20,
	CPUID_WORDS		= 21,
};

#define CPUID_RANGES		4	/* by the leaf's top two bits */
#define CPUID_RANGE_SHIFT	30
#define CPUID_RANGE_MASK	0x3fffffffU
#define CPUID_DIRECT		64	/* leaves a range with direct lookup */

/* A table ready for use; made by posada_cpuid_compile(). */
struct posada_cpuid_table {
	__u32 word[CPUID_WORDS];	/* enum posada_cpuid_word */
	__u32 max_basic, max_extended;
	/* cpuid.c reads these by their offset, as u64. */
	__u64 phys_bits, virt_bits;
	__u64 cr4, efer, xcr0, xss;	/* what the guest may set */
	__u64 spec_ctrl;
	bool amd;
	bool own_topology;		/* the VMM gave counts of its own */
	__u32 nr;
	__u16 first[CPUID_RANGES][CPUID_DIRECT]; /* entry + 1; 0: none */
	/* Bytes from the table's start to an entry that is the whole answer; 0: none. */
	__u16 plain[CPUID_RANGES][CPUID_DIRECT];
#ifdef __KERNEL__
	struct rcu_head rcu;
#endif
	/* Sorted by leaf, subleaf; pad is the fix-up to apply. */
	struct posada_cpuid_entry entry[];
};

/* The vCPU that asks. */
struct posada_cpuid_view {
	__u32 id;		/* APIC id */
	__u32 count;		/* vCPUs in the VM */
	__u32 shift;		/* bits that hold any of its APIC ids */
	__u64 cr4, xcr0, xss;
	bool apic;		/* enabled */
};

/*
 * Fill @e (room for POSADA_MAX_CPUID) with the default policy, sorted.
 * Returns the number of entries.
 */
__u32 posada_cpuid_policy(const struct posada_cpuid_host *host,
			  struct posada_cpuid_entry *e);

/*
 * May a VMM ask for the @nr entries @e, where @policy (@policy_nr, sorted) is
 * the default? 0; -EINVAL: no CPUID could say so; -EOPNOTSUPP: asks for more
 * than this host has. On failure *@bad is the entry to blame.
 */
int posada_cpuid_check(const struct posada_cpuid_entry *policy,
		       __u32 policy_nr, const struct posada_cpuid_entry *e,
		       __u32 nr, __u32 *bad);

/* Make @t, which holds t->nr checked entries, ready: sorts them. */
void posada_cpuid_compile(struct posada_cpuid_table *t);

/* The entry that answers @leaf for any subleaf and vCPU, if it has one; NULL. */
static inline const struct posada_cpuid_entry *
posada_cpuid_plain(const struct posada_cpuid_table *t, __u32 leaf)
{
	__u32 low = leaf & CPUID_RANGE_MASK, range = leaf >> CPUID_RANGE_SHIFT;
	const __u16 *at;

	if (low >= CPUID_DIRECT)
		return NULL;
	at = &t->plain[range][array_index_nospec(low, CPUID_DIRECT)];
	return *at ? (const void *)t + *at : NULL;
}

/* The entry that answers; never NULL. Its pad, if not 0: fix it up. */
const struct posada_cpuid_entry *
posada_cpuid_find(const struct posada_cpuid_table *t, __u32 leaf,
		  __u32 subleaf);
void posada_cpuid_fix(const struct posada_cpuid_table *t,
		      const struct posada_cpuid_entry *e, __u32 subleaf,
		      const struct posada_cpuid_view *view,
		      __u32 out[IN_REGS]);

#endif /* POSADA_CPUID_POLICY_H */
