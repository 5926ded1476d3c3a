// SPDX-License-Identifier: GPL-2.0-only
/*
 * module/cpuid_policy.c, module/cpuid_answer.c: the default policy on hosts
 * made up of all ones, of AMD's and of Intel's leaves; what a VMM may ask for;
 * lookup and answers against an obvious model; and garbage. KTAP.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../module/cpuid_bits.h"
#include "../../module/cpuid_policy.h"
#include "unit.h"

typedef __u32 u32;
typedef __u64 u64;

#define CR4_OSXSAVE	(1ULL << 18)
#define CR4_PKE		(1ULL << 22)
#define XCR0_AVX512	0xe7ULL		/* x87, SSE, AVX, AVX-512 */
#define KHZ		2600000U
#define PHYS_BITS	46U

#define AMD_EBX		0x68747541U
#define INTEL_EBX	0x756e6547U

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* ---- hosts ---- */

static u32 vendor;
static u32 fill;	/* what every register reads that isn't told below */

static void host_cpuid(u32 leaf, u32 subleaf, u32 out[IN_REGS])
{
	u32 i;

	for (i = 0; i < IN_REGS; i++)
		out[i] = fill;
	switch (leaf) {
	case 0:
		out[IN_EAX] = 0x20;
		out[IN_EBX] = vendor;
		break;
	case 4:
	case 0x8000001d:
		/* Four caches: levels 1, 1, 2, 3. */
		out[IN_EAX] = subleaf > 3 ? 0 :
			1 | (subleaf < 2 ? 1 : subleaf) << CACHE_LEVEL_SHIFT |
			CACHE_SHARING_MASK | CACHE_CORES_MASK;
		break;
	case 0xd:
		/* Each component: 64 bytes at 576 + 64 * (n - 2), aligned. */
		if (subleaf < 2)
			break;
		out[IN_EAX] = 64;
		out[IN_EBX] = 576 + 64 * (subleaf - 2);
		out[IN_ECX] = CDN_ECX_ALIGN64;
		out[IN_EDX] = 0;
		break;
	case 0x80000000:
		out[IN_EAX] = 0x80000028;
		break;
	}
}

static struct posada_cpuid_entry policy[POSADA_MAX_CPUID];
static u32 policy_nr;
static struct posada_cpuid_table *table;

static void use(const struct posada_cpuid_entry *e, u32 nr)
{
	free(table);
	table = calloc(1, sizeof(*table) + nr * sizeof(*e));
	if (!table)
		abort();
	table->nr = nr;
	memcpy(table->entry, e, nr * sizeof(*e));
	posada_cpuid_compile(table);
}

static void host(u32 host_vendor, u32 host_fill)
{
	const struct posada_cpuid_host h = {
		.cpuid = host_cpuid, .xcr0 = XCR0_AVX512,
		.phys_bits = PHYS_BITS, .tsc_khz = KHZ, .apic_khz = 1000000,
		.lfence_serializes = true, .steal_time = true,
	};

	vendor = host_vendor;
	fill = host_fill;
	policy_nr = posada_cpuid_policy(&h, policy);
	use(policy, policy_nr);
}

static struct posada_cpuid_view view = {
	.id = 0, .count = 1, .shift = 0, .cr4 = 0, .xcr0 = 1, .apic = true,
};

static const u32 *ask(u32 leaf, u32 subleaf)
{
	static u32 out[IN_REGS];
	const struct posada_cpuid_entry *e =
		posada_cpuid_find(table, leaf, subleaf);

	out[IN_EAX] = e->eax;
	out[IN_EBX] = e->ebx;
	out[IN_ECX] = e->ecx;
	out[IN_EDX] = e->edx;
	if (e->pad)
		posada_cpuid_fix(table, e, subleaf, &view, out);
	return out;
}

static bool all_zero(u32 leaf, u32 subleaf)
{
	const u32 *r = ask(leaf, subleaf);

	return !(r[0] | r[1] | r[2] | r[3]);
}

static const u32 vendors[] = { AMD_EBX, INTEL_EBX };
#define for_each_vendor(v) \
	for (u32 v = 0; v < 2 && (host(vendors[v], ~0U), true); v++)

/* ---- the policy ---- */

static bool test_sorted(void)
{
	u32 i;

	for_each_vendor(v) {
		CHECK(policy_nr > 20 && policy_nr < POSADA_MAX_CPUID / 2);
		for (i = 1; i < policy_nr; i++) {
			const struct posada_cpuid_entry *e = &policy[i];

			CHECK(e[-1].leaf < e->leaf ||
			      (e[-1].leaf == e->leaf &&
			       e[-1].subleaf < e->subleaf));
			CHECK(!e->pad);
		}
	}
	return true;
}

/* On a host that has everything, a guest doesn't get what needs more. */
static bool test_hidden(void)
{
	static const struct {
		u32 leaf, subleaf, reg, bits;
	} hidden[] = {
		/* DTES64, MONITOR, DS_CPL, VMX, SMX, EIST, TM2, PDCM, DCA */
		{ 1, 0, IN_ECX, 0x000481fc & ~C1_ECX_SSSE3 },
		/* PSN, DS, ACPI, TM, IA64, PBE */
		{ 1, 0, IN_EDX, 0xe0640000 & ~C1_EDX_PSE36 },
		{ 6, 0, IN_EAX, ~C6_EAX_ARAT },
		{ 6, 0, IN_ECX, ~0U },
		/* SGX, PQM, MPX, PQE, PT */
		{ 7, 0, IN_EBX, 1U << 2 | 1U << 12 | 1U << 14 | 1U << 15 |
				1U << 25 },
		/* WAITPKG, SHSTK, TME, KL, BUS_LOCK, ENQCMD, SGX_LC, PKS */
		{ 7, 0, IN_ECX, 1U << 5 | 1U << 7 | 1U << 13 | 1U << 23 |
				1U << 24 | 1U << 29 | 1U << 30 | 1U << 31 },
		/* UINTR, HYBRID, PCONFIG, ARCH_LBR, IBT, AMX, CORE_CAPS */
		{ 7, 0, IN_EDX, 1U << 5 | 1U << 15 | 1U << 18 | 1U << 19 |
				1U << 20 | 1U << 22 | 1U << 24 | 1U << 25 |
				1U << 30 },
		/* FRED, LKGS, AMX_FP16, LAM */
		{ 7, 1, IN_EAX, 1U << 17 | 1U << 18 | 1U << 21 | 1U << 26 },
		/* XFD */
		{ 0xd, 1, IN_EAX, 1U << 4 },
		/* XSS: none */
		{ 0xd, 1, IN_ECX, ~0U },
		{ 0xd, 1, IN_EDX, ~0U },
		/* SVM, EXTAPIC, IBS, SKINIT, WDT, LWP, PERFCTR*, MWAITX */
		{ 0x80000001, 0, IN_ECX, 1U << 2 | 1U << 3 | 1U << 10 |
			1U << 12 | 1U << 13 | 1U << 15 | 1U << 23 | 1U << 24 |
			1U << 26 | 1U << 27 | 1U << 28 | 1U << 29 },
		{ 0x80000007, 0, IN_EDX, ~C87_EDX_INVARIANT_TSC },
		{ 0x80000007, 0, IN_EBX, ~0U },
		/* RDPRU, INVLPGB, MBA, VIRT_SSBD, CPPC */
		{ 0x80000008, 0, IN_EBX, 1U << 3 | 1U << 4 | 1U << 6 |
			1U << 25 | 1U << 27 },
		{ 0x80000008, 0, IN_EDX, ~0U },
	};
	static const u32 empty[] = {
		3, 5, 9, 0xa, 0xc, 0xe, 0xf, 0x10, 0x12, 0x14, 0x17, 0x18,
		0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x8000000a, 0x8000001b,
		0x8000001c, 0x8000001f, 0x80000020, 0x40000002, 0x40000102,
	};
	u32 i, sub;

	for_each_vendor(v) {
		for (i = 0; i < ARRAY_SIZE(hidden); i++)
			CHECK(!(ask(hidden[i].leaf,
				    hidden[i].subleaf)[hidden[i].reg] &
				hidden[i].bits));
		for (i = 0; i < ARRAY_SIZE(empty); i++)
			for (sub = 0; sub < 4; sub++)
				CHECK((v && empty[i] >= 0x80000000) ||
				      all_zero(empty[i], sub));
	}
	return true;
}

/* What is there whatever the host says, and what is there if it has it. */
static bool test_shown(void)
{
	u32 f;

	for (f = 0; f < 2; f++) {
		host(AMD_EBX, f ? ~0U : 0);
		CHECK(ask(1, 0)[IN_ECX] & C1_ECX_HYPERVISOR);
		CHECK(ask(1, 0)[IN_ECX] & C1_ECX_X2APIC);
		CHECK(ask(1, 0)[IN_ECX] & C1_ECX_TSC_DEADLINE);
		CHECK(ask(1, 0)[IN_EDX] & C1_EDX_APIC);
		CHECK(ask(6, 0)[IN_EAX] == C6_EAX_ARAT);
		CHECK(ask(7, 0)[IN_EBX] & C7_EBX_TSC_ADJUST);
		CHECK(!!(ask(7, 0)[IN_EBX] & C7_EBX_AVX512F) == f);
		CHECK(!!(ask(7, 0)[IN_ECX] & C7_ECX_LA57) == f);
		CHECK(!!(ask(0x80000001, 0)[IN_EDX] & C81_EDX_GBPAGES) == f);
		CHECK(!!(ask(0x80000007, 0)[IN_EDX] & C87_EDX_INVARIANT_TSC) ==
		      f);
		CHECK(ask(0x80000021, 0)[IN_EAX] & C21_EAX_LFENCE_RDTSC);
		CHECK(!(ask(7, 0)[IN_EDX] & C7_EDX_ARCH_CAPABILITIES));
	}
	host(INTEL_EBX, ~0U);
	CHECK(ask(7, 0)[IN_EDX] & C7_EDX_ARCH_CAPABILITIES);
	CHECK(!(ask(0x80000001, 0)[IN_EDX] & C1_EDX_FPU));
	return true;
}

static bool test_hypervisor(void)
{
	for_each_vendor(v) {
		char name[13] = "";

		memcpy(name, &ask(POSADA_CPUID_SIGNATURE, 0)[IN_EBX], 12);
		CHECK(!strcmp(name, "PosadaPosada"));
		CHECK(ask(POSADA_CPUID_SIGNATURE, 0)[IN_EAX] ==
		      POSADA_CPUID_TIMING);
		memcpy(name, &ask(POSADA_CPUID_KVM_SIGNATURE, 0)[IN_EBX], 12);
		CHECK(!strcmp(name, "KVMKVMKVM"));
		CHECK(ask(POSADA_CPUID_TIMING, 0)[IN_EAX] == KHZ);
		CHECK(ask(POSADA_CPUID_FEATURES, 0)[IN_EBX] ==
		      POSADA_GUEST_ABI);
		CHECK(!(ask(POSADA_CPUID_KVM_FEATURES, 0)[IN_EAX] &
			(1U << 2 | 1U << 4 | 1U << 6 | 1U << 10 | 1U << 14 |
			 1U << 16 | 1U << 17)));
	}
	return true;
}

/* ---- what a VMM may ask for ---- */

static struct posada_cpuid_entry want[POSADA_MAX_CPUID];

static struct posada_cpuid_entry *wanted(u32 leaf, u32 subleaf)
{
	u32 i;

	for (i = 0; i < policy_nr; i++)
		if (want[i].leaf == leaf && want[i].subleaf == subleaf)
			return &want[i];
	abort();
}

static int check(u32 nr, u32 *bad)
{
	return posada_cpuid_check(policy, policy_nr, want, nr, bad);
}

static void reset_want(void)
{
	memcpy(want, policy, sizeof(want));
}

static bool test_default_allowed(void)
{
	u32 bad;

	for_each_vendor(v) {
		reset_want();
		CHECK(!check(policy_nr, &bad));
	}
	host(AMD_EBX, 0);
	reset_want();
	CHECK(!check(policy_nr, &bad));
	return true;
}

/* Every bit that a feature register of the policy lacks is refused alone. */
static bool test_more_refused(void)
{
	static const struct {
		u32 leaf, subleaf, reg, answered;
	} features[] = {
		{ 1, 0, IN_ECX, C1_ECX_OSXSAVE }, { 1, 0, IN_EDX, C1_EDX_HTT },
		{ 6, 0, IN_EAX, 0 }, { 6, 0, IN_EBX, 0 },
		{ 7, 0, IN_EBX, 0 }, { 7, 0, IN_ECX, C7_ECX_OSPKE },
		{ 7, 0, IN_EDX, 0 }, { 7, 1, IN_EAX, 0 }, { 7, 1, IN_EBX, 0 },
		{ 7, 1, IN_EDX, 0 }, { 0xd, 0, IN_EAX, 0 },
		{ 0xd, 0, IN_EDX, 0 }, { 0xd, 1, IN_EAX, 0 },
		{ 0xd, 1, IN_ECX, 0 }, { 0xd, 1, IN_EDX, 0 },
		{ 0x80000001, 0, IN_ECX, C81_ECX_CMP_LEGACY },
		{ 0x80000001, 0, IN_EDX, 0 }, { 0x80000007, 0, IN_EDX, 0 },
		{ 0x80000007, 0, IN_EAX, 0 }, { 0x80000008, 0, IN_EBX, 0 },
		{ 0x80000008, 0, IN_EDX, 0 },
	};
	u32 i, bit, bad, *reg;

	for_each_vendor(v) {
		for (i = 0; i < ARRAY_SIZE(features); i++) {
			for (bit = 0; bit < 32; bit++) {
				struct posada_cpuid_entry *e;

				reset_want();
				e = wanted(features[i].leaf,
					   features[i].subleaf);
				reg = &e->eax + features[i].reg;
				if (*reg >> bit & 1 ||
				    features[i].answered >> bit & 1) {
					*reg ^= 1U << bit;
					CHECK(!check(policy_nr, &bad));
					continue;
				}
				*reg |= 1U << bit;
				CHECK(check(policy_nr, &bad) == -EOPNOTSUPP);
				CHECK(&want[bad] == e);
			}
		}
	}
	return true;
}

static bool test_free(void)
{
	u32 bad;

	host(AMD_EBX, ~0U);
	reset_want();
	wanted(0, 0)->ebx = INTEL_EBX;
	wanted(0, 0)->eax = 0x16;
	wanted(1, 0)->eax = 0x12345678;
	wanted(0x80000002, 0)->ebx = 1;
	wanted(0x40000000, 0)->ebx = 1;
	wanted(0x40000101, 0)->eax = ~0U;
	wanted(0xb, 0)->ebx = 2;
	wanted(0x8000001d, 1)->eax = 0;
	wanted(0x80000008, 0)->eax = 39 | 48 << C88_EAX_VIRT_SHIFT;
	CHECK(!check(policy_nr, &bad));
	wanted(0x80000008, 0)->eax = PHYS_BITS + 1;
	CHECK(check(policy_nr, &bad) == -EOPNOTSUPP);
	reset_want();
	wanted(0xd, 2)->ebx++;
	CHECK(check(policy_nr, &bad) == -EOPNOTSUPP);
	/* Leaves without a row: zero or nothing. */
	reset_want();
	want[policy_nr] = (struct posada_cpuid_entry){ .leaf = 0xa };
	CHECK(!check(policy_nr + 1, &bad));
	want[policy_nr].eax = 1;
	CHECK(check(policy_nr + 1, &bad) == -EOPNOTSUPP && bad == policy_nr);
	return true;
}

static bool test_malformed(void)
{
	struct posada_cpuid_entry *e;
	u32 bad;

	host(AMD_EBX, ~0U);
	reset_want();
	CHECK(check(0, &bad) == -EINVAL);
	CHECK(check(POSADA_MAX_CPUID + 1, &bad) == -EINVAL);
	want[0].leaf = 0x40000050;
	CHECK(check(policy_nr, &bad) == -EINVAL);
	reset_want();
	want[policy_nr] = want[3];
	CHECK(check(policy_nr + 1, &bad) == -EINVAL && bad == policy_nr);
	e = wanted(6, 0);
	e->flags = 2;
	CHECK(check(policy_nr, &bad) == -EINVAL && &want[bad] == e);
	e->flags = POSADA_CPUID_SUBLEAF;
	CHECK(check(policy_nr, &bad) == -EINVAL && &want[bad] == e);
	e->flags = 0;
	e->pad = 1;
	CHECK(check(policy_nr, &bad) == -EINVAL && &want[bad] == e);
	e->pad = 0;
	e->subleaf = 1;
	CHECK(check(policy_nr, &bad) == -EINVAL && &want[bad] == e);
	reset_want();
	e = wanted(7, 1);
	e->flags = 0;
	CHECK(check(policy_nr, &bad) == -EINVAL && &want[bad] == e);
	return true;
}

/* ---- answers ---- */

static bool test_lookup(void)
{
	static const u32 bases[] = { 0, 0x40000000, 0x40000100, 0x80000000,
				     0xc0000000, 0xffffffc0 };
	u32 b, i, j, sub;

	host(AMD_EBX, 0x5a5a5a5a);
	for (b = 0; b < ARRAY_SIZE(bases); b++) {
		for (i = 0; i < 64; i++) {
			for (sub = 0; sub < 40; sub++) {
				const struct posada_cpuid_entry *e, *model;

				e = posada_cpuid_find(table, bases[b] + i, sub);
				model = NULL;
				for (j = 0; j < policy_nr; j++)
					if (policy[j].leaf == bases[b] + i &&
					    (!policy[j].flags ||
					     policy[j].subleaf == sub))
						model = &policy[j];
				if (model)
					CHECK(e->leaf == model->leaf &&
					      e->subleaf == model->subleaf &&
					      e->eax == model->eax);
				else
					CHECK(!(e->eax | e->ebx | e->ecx |
						e->edx));
			}
		}
	}
	return true;
}

static bool test_out_of_range(void)
{
	u32 last[IN_REGS];

	host(AMD_EBX, ~0U);
	CHECK(all_zero(0x20, 0) && all_zero(0x80000022, 0));
	CHECK(all_zero(~0U, ~0U) && all_zero(0xc0000000, 0));
	host(INTEL_EBX, ~0U);
	CHECK(ask(0, 0)[IN_EAX] == 0x1f);
	view.id = 5;
	memcpy(last, ask(0x1f, 0), sizeof(last));
	CHECK(last[IN_EDX] == 5);
	CHECK(!memcmp(last, ask(0x20, 0), sizeof(last)));
	CHECK(!memcmp(last, ask(0x80000009, 0), sizeof(last)));
	CHECK(!memcmp(last, ask(~0U, 0), sizeof(last)));
	/* In range, or a hypervisor's: nothing. */
	CHECK(all_zero(3, 0) && all_zero(0x40000200, 0));
	view.id = 0;
	return true;
}

static bool test_state(void)
{
	host(AMD_EBX, ~0U);
	CHECK(!(ask(1, 0)[IN_ECX] & C1_ECX_OSXSAVE));
	CHECK(!(ask(7, 0)[IN_ECX] & C7_ECX_OSPKE));
	view.cr4 = CR4_OSXSAVE | CR4_PKE;
	CHECK(ask(1, 0)[IN_ECX] & C1_ECX_OSXSAVE);
	CHECK(ask(7, 0)[IN_ECX] & C7_ECX_OSPKE);
	view.apic = false;
	CHECK(!(ask(1, 0)[IN_EDX] & C1_EDX_APIC));
	CHECK(!(ask(0x80000001, 0)[IN_EDX] & C81_EDX_APIC));
	view.apic = true;
	view.cr4 = 0;
	return true;
}

static bool test_xsave(void)
{
	host(AMD_EBX, ~0U);
	CHECK(ask(0xd, 0)[IN_EAX] == XCR0_AVX512 && !ask(0xd, 0)[IN_EDX]);
	view.xcr0 = 1;
	CHECK(ask(0xd, 0)[IN_EBX] == 576 && ask(0xd, 1)[IN_EBX] == 576);
	/* The last component, 7, ends at 576 + 64 * 6. */
	CHECK(ask(0xd, 0)[IN_ECX] == 576 + 64 * 6);
	view.xcr0 = XCR0_AVX512;
	CHECK(ask(0xd, 0)[IN_EBX] == 576 + 64 * 6);
	/* Compacted: four of them without the hole of 3 and 4. */
	CHECK(ask(0xd, 1)[IN_EBX] == 576 + 64 * 4);
	CHECK(all_zero(0xd, 3) && !all_zero(0xd, 7) && all_zero(0xd, 9));
	CHECK(table->xcr0 == XCR0_AVX512 && !table->xss);
	view.xcr0 = 1;
	host(AMD_EBX, 0);
	CHECK(table->xcr0 == 1 && !(table->cr4 & CR4_OSXSAVE));
	return true;
}

static bool test_topology(void)
{
	const u32 *r;

	for_each_vendor(v) {
		view = (struct posada_cpuid_view){
			.id = 5, .count = 6, .shift = 3, .xcr0 = 1,
			.apic = true,
		};
		r = ask(1, 0);
		CHECK(r[IN_EBX] >> C1_EBX_ID_SHIFT == 5);
		CHECK((r[IN_EBX] & C1_EBX_COUNT_MASK) >>
		      C1_EBX_COUNT_SHIFT == 8);
		CHECK(r[IN_EDX] & C1_EDX_HTT);
		r = ask(0xb, 0);
		CHECK(r[0] == 0 && r[1] == 1 && r[2] == 0x100 && r[3] == 5);
		r = ask(0xb, 1);
		CHECK(r[0] == 3 && r[1] == 6 && r[2] == 0x201 && r[3] == 5);
		r = ask(0xb, 2);
		CHECK(r[0] == 0 && r[1] == 0 && r[2] == 2 && r[3] == 5);
		r = ask(0xb, 0x1234);
		CHECK(r[2] == 0x34 && r[3] == 5);
		/* Levels 1 and 2 are the vCPU's own, 3 is everyone's. */
		CHECK(!(ask(v ? 4 : 0x8000001d, 2)[0] & CACHE_SHARING_MASK));
		CHECK((ask(v ? 4 : 0x8000001d, 3)[0] & CACHE_SHARING_MASK) >>
		      CACHE_SHARING_SHIFT == 7);
		CHECK(!ask(v ? 4 : 0x8000001d, 4)[0]);
		if (v) {
			CHECK(ask(4, 0)[0] >> CACHE_CORES_SHIFT == 7);
			continue;
		}
		CHECK(ask(0x80000008, 0)[IN_ECX] ==
		      (5 | 3 << C88_ECX_ID_SHIFT));
		CHECK(ask(0x8000001e, 0)[IN_EAX] == 5);
		CHECK((ask(0x8000001e, 0)[IN_EBX] & 0xff) == 5);
		CHECK(ask(0x80000001, 0)[IN_ECX] & C81_ECX_CMP_LEGACY);
	}
	/* One alone. */
	view = (struct posada_cpuid_view){ .count = 1, .xcr0 = 1, .apic = true };
	host(AMD_EBX, ~0U);
	CHECK(!(ask(1, 0)[IN_EDX] & C1_EDX_HTT));
	CHECK(!(ask(0x80000001, 0)[IN_ECX] & C81_ECX_CMP_LEGACY));
	CHECK(ask(0xb, 1)[0] == 0 && ask(0xb, 1)[1] == 1);
	return true;
}

/* Counts of the VMM's own stay, ids are still each vCPU's. */
static bool test_own_topology(void)
{
	host(AMD_EBX, ~0U);
	reset_want();
	wanted(1, 0)->ebx |= 4U << C1_EBX_COUNT_SHIFT;
	wanted(0xb, 0)->eax = 1;
	wanted(0xb, 0)->ebx = 2;
	wanted(0xb, 0)->ecx = 0x100;
	wanted(0x8000001e, 0)->ebx = 1U << C1E_EBX_THREADS_SHIFT;
	use(want, policy_nr);
	view.id = 3;
	view.count = 4;
	CHECK(ask(1, 0)[IN_EBX] >> C1_EBX_COUNT_SHIFT == (4 | 3 << 8));
	CHECK(ask(0xb, 0)[0] == 1 && ask(0xb, 0)[1] == 2 &&
	      ask(0xb, 0)[3] == 3);
	CHECK(ask(0x8000001e, 0)[IN_EBX] == (1 | 1 << 8));
	view.id = 0;
	view.count = 1;
	return true;
}

static bool test_masks(void)
{
	host(AMD_EBX, ~0U);
	CHECK(table->amd && table->virt_bits == 57);
	CHECK(table->phys_bits == PHYS_BITS);
	/* All that there is but VMXE, SMXE and those above PKE. */
	CHECK(table->cr4 == (0x7fffffULL & ~(3ULL << 13 | 1ULL << 15 |
					     1ULL << 19)));
	CHECK(table->efer == (MASK_EFER_SCE | MASK_EFER_LME_LMA |
			      MASK_EFER_NX | MASK_EFER_FFXSR |
			      MASK_EFER_AUTOIBRS));
	CHECK(table->spec_ctrl == (MASK_SPEC_IBRS | MASK_SPEC_STIBP |
				   MASK_SPEC_SSBD | MASK_SPEC_PSFD));
	host(AMD_EBX, 0);
	CHECK(!table->efer && !table->spec_ctrl);
	CHECK(table->virt_bits == 48);
	return true;
}

/* ---- garbage ---- */

static u32 rnd(void)
{
	static u64 state = 88172645463325252ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 16;
}

/* Tables nobody checked: whatever they say, stay within them. */
static bool test_garbage(void)
{
	static const u32 leaves[] = { 0, 1, 4, 7, 0xb, 0xd, 0x1f, 0x40000000,
		0x80000000, 0x80000001, 0x80000008, 0x8000001d, 0x8000001e,
		0xc0000000, 0xffffffff };
	u32 round, i, nr, bad, out[IN_REGS];

	for (round = 0; round < 4000; round++) {
		host(vendors[round & 1], rnd());
		nr = rnd() % (POSADA_MAX_CPUID + 1);
		for (i = 0; i < nr; i++)
			want[i] = (struct posada_cpuid_entry){
				.leaf = leaves[rnd() % 15] + rnd() % 3,
				.subleaf = rnd() % 4 ? rnd() % 70 : rnd(),
				.flags = rnd() & 1, .eax = rnd(),
				.ebx = rnd(), .ecx = rnd(), .edx = rnd(),
			};
		posada_cpuid_check(policy, policy_nr, want, nr, &bad);
		use(want, nr);
		for (i = 0; i < 64; i++) {
			u32 sub = rnd() % 4 ? rnd() % 70 : rnd();
			const struct posada_cpuid_entry *e;

			e = posada_cpuid_find(table, rnd() % 4 ?
					      leaves[rnd() % 15] : rnd(), sub);
			view.xcr0 = (u64)rnd() << 32 | rnd();
			view.id = rnd() % 64;
			view.shift = rnd() % 7;
			posada_cpuid_fix(table, e, sub, &view, out);
		}
		CHECK(table->phys_bits >= 36);
		CHECK(table->virt_bits == 48 || table->virt_bits == 57);
		CHECK(table->xcr0 & 1);
	}
	return true;
}

static const struct unit_test tests[] = {
	{ test_sorted, "the policy is sorted" },
	{ test_hidden, "what no guest sees" },
	{ test_shown, "what each guest sees" },
	{ test_hypervisor, "the hypervisor's blocks" },
	{ test_default_allowed, "the default is allowed" },
	{ test_more_refused, "each bit beyond it is not" },
	{ test_free, "what a VMM may say freely" },
	{ test_malformed, "malformed tables" },
	{ test_lookup, "lookup against the model" },
	{ test_out_of_range, "leaves out of range" },
	{ test_state, "bits that follow CR4 and the APIC" },
	{ test_xsave, "sizes that follow XCR0" },
	{ test_topology, "topology by vCPU" },
	{ test_own_topology, "a topology of the VMM's own" },
	{ test_masks, "CR4, EFER and SPEC_CTRL masks" },
	{ test_garbage, "garbage for tables" },
};

int main(void)
{
	int status = unit_run(tests, ARRAY_SIZE(tests), NULL, NULL);

	free(table);
	return status;
}
