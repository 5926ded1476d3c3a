// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CPUID policy: which bits of which leaf a guest may see, as one table.
 *
 * A register without a rule reads 0. Let a bit in only if the guest can use
 * it without help that Posada doesn't give: what it needs of MSRs is in
 * msr_rows.c, of CR4 in cpuid_answer.c, of XCR0 in the host's guest FPU state.
 */
#ifdef __KERNEL__
#include <linux/kernel.h>
#include <linux/string.h>
#else
#include <string.h>
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#endif
#include <linux/errno.h>
#include <asm/kvm_para.h>
#include "../uapi/posada_hypercall.h"
#include "cpuid_bits.h"
#include "cpuid_policy.h"

enum rule_kind {
	RULE_ZERO,		/* reads 0 */
	RULE_BITS,		/* features: a VMM may take bits away */
	RULE_FREE,		/* facts: a VMM may say what it likes */
	RULE_SAME,		/* layouts: a VMM must say what the host says */
	RULE_WIDTHS,		/* byte by byte no more than here */
};

struct rule {
	__u8 kind;
	__u32 allow;		/* bits taken from the host */
	__u32 set;		/* bits set whatever the host says */
};

#define ALL		0xffffffffU
#define BITS(...)	{ RULE_BITS, __VA_ARGS__ }
#define FREE(...)	{ RULE_FREE, __VA_ARGS__ }
#define SAME		{ RULE_SAME, ALL, 0 }

enum { INTEL = 1, AMD = 2, BOTH = INTEL | AMD };
/* Where a row's subleaves end before its @last. */
enum { EACH, UNTIL_NO_CACHE, IN_XCR0 };

struct row {
	__u32 leaf;
	__u32 subleaf, last;	/* with @sub: the range this row is for */
	bool sub;		/* the subleaf is significant */
	__u8 until;
	__u8 vendors;
	struct rule rule[IN_REGS];
};

/* Sorted by leaf and subleaf. */
static const struct row rows[] = {
	/* Highest leaf, vendor. EAX is set apart. */
	{ 0, .vendors = BOTH, .rule = {
		FREE(0), FREE(ALL), FREE(ALL), FREE(ALL) } },
	/* Family and model; features. */
	{ 1, .vendors = BOTH, .rule = {
		FREE(ALL),
		FREE(C1_EBX_CLFLUSH_MASK),
		BITS(C1_ECX_SSE3 | C1_ECX_PCLMULQDQ | C1_ECX_SSSE3 |
		     C1_ECX_FMA | C1_ECX_CX16 | C1_ECX_PCID | C1_ECX_SSE4_1 |
		     C1_ECX_SSE4_2 | C1_ECX_MOVBE | C1_ECX_POPCNT |
		     C1_ECX_AES | C1_ECX_XSAVE | C1_ECX_AVX | C1_ECX_F16C |
		     C1_ECX_RDRAND,
		     C1_ECX_X2APIC | C1_ECX_TSC_DEADLINE |
		     C1_ECX_HYPERVISOR),
		BITS(C1_EDX_FPU | C1_EDX_VME | C1_EDX_DE | C1_EDX_PSE |
		     C1_EDX_TSC | C1_EDX_MSR | C1_EDX_PAE | C1_EDX_MCE |
		     C1_EDX_CX8 | C1_EDX_SEP | C1_EDX_PGE | C1_EDX_MCA |
		     C1_EDX_CMOV | C1_EDX_PAT | C1_EDX_PSE36 | C1_EDX_CLFSH |
		     C1_EDX_MMX | C1_EDX_FXSR | C1_EDX_SSE | C1_EDX_SSE2 |
		     C1_EDX_SS,
		     C1_EDX_APIC | C1_EDX_MTRR) } },
	/* Caches and TLBs, in the old style. */
	{ 2, .vendors = INTEL, .rule = {
		FREE(ALL), FREE(ALL), FREE(ALL), FREE(ALL) } },
	/* Caches. Who shares them is put in at the answer. */
	{ 4, 0, 31, .sub = true, .until = UNTIL_NO_CACHE, .vendors = INTEL,
	  .rule = {
		FREE(ALL & ~(CACHE_SHARING_MASK | CACHE_CORES_MASK)),
		FREE(ALL), FREE(ALL), FREE(ALL) } },
	/* Power: the APIC timer never stops. */
	{ 6, .vendors = BOTH, .rule = { BITS(0, C6_EAX_ARAT) } },
	/* Features. EAX, the highest subleaf, is set apart. */
	{ 7, 0, 0, .sub = true, .vendors = BOTH, .rule = {
		FREE(0),
		BITS(C7_EBX_FSGSBASE | C7_EBX_BMI1 | C7_EBX_HLE |
		     C7_EBX_AVX2 | C7_EBX_FDP_EXCPTN_ONLY | C7_EBX_SMEP |
		     C7_EBX_BMI2 | C7_EBX_ERMS | C7_EBX_INVPCID |
		     C7_EBX_RTM | C7_EBX_ZERO_FCS_FDS | C7_EBX_AVX512F |
		     C7_EBX_AVX512DQ | C7_EBX_RDSEED | C7_EBX_ADX |
		     C7_EBX_SMAP | C7_EBX_AVX512IFMA | C7_EBX_CLFLUSHOPT |
		     C7_EBX_CLWB | C7_EBX_AVX512PF | C7_EBX_AVX512ER |
		     C7_EBX_AVX512CD | C7_EBX_SHA_NI | C7_EBX_AVX512BW |
		     C7_EBX_AVX512VL,
		     C7_EBX_TSC_ADJUST),
		BITS(C7_ECX_AVX512VBMI | C7_ECX_UMIP | C7_ECX_PKU |
		     C7_ECX_AVX512_VBMI2 | C7_ECX_GFNI | C7_ECX_VAES |
		     C7_ECX_VPCLMULQDQ | C7_ECX_AVX512_VNNI |
		     C7_ECX_AVX512_BITALG | C7_ECX_AVX512_VPOPCNTDQ |
		     C7_ECX_LA57 | C7_ECX_RDPID | C7_ECX_CLDEMOTE |
		     C7_ECX_MOVDIRI | C7_ECX_MOVDIR64B),
		BITS(C7_EDX_AVX512_4VNNIW | C7_EDX_AVX512_4FMAPS |
		     C7_EDX_FSRM | C7_EDX_AVX512_VP2INTERSECT |
		     C7_EDX_MD_CLEAR | C7_EDX_RTM_ALWAYS_ABORT |
		     C7_EDX_SERIALIZE | C7_EDX_TSXLDTRK |
		     C7_EDX_AVX512_FP16 | C7_EDX_SPEC_CTRL |
		     C7_EDX_INTEL_STIBP | C7_EDX_FLUSH_L1D |
		     C7_EDX_ARCH_CAPABILITIES | C7_EDX_SPEC_CTRL_SSBD) } },
	{ 7, 1, 1, .sub = true, .vendors = BOTH, .rule = {
		BITS(C71_EAX_AVX_VNNI | C71_EAX_AVX512_BF16 |
		     C71_EAX_CMPCCXADD | C71_EAX_FZRM | C71_EAX_FSRS |
		     C71_EAX_FSRC | C71_EAX_AVX_IFMA),
		[IN_EDX] = BITS(C71_EDX_AVX_VNNI_INT8 |
				C71_EDX_AVX_NE_CONVERT |
				C71_EDX_PREFETCHITI) } },
	{ 7, 2, 2, .sub = true, .vendors = INTEL, .rule = {
		[IN_EDX] = BITS(C72_EDX_PSFD | C72_EDX_IPRED_CTRL |
				C72_EDX_RRSBA_CTRL | C72_EDX_DDPD_U |
				C72_EDX_BHI_CTRL | C72_EDX_MCDT_NO) } },
	/* Topology: put in at the answer. */
	{ 0xb, 0, 31, .sub = true, .vendors = BOTH, .rule = {
		FREE(0), FREE(0), FREE(0), FREE(0) } },
	/* XSAVE: XCR0 bits and sizes; XSS bits; each component. */
	{ 0xd, 0, 0, .sub = true, .vendors = BOTH, .rule = {
		BITS(ALL), FREE(ALL), FREE(ALL), BITS(ALL) } },
	{ 0xd, 1, 1, .sub = true, .vendors = BOTH, .rule = {
		BITS(CD1_EAX_XSAVEOPT | CD1_EAX_XSAVEC | CD1_EAX_XGETBV1 |
		     CD1_EAX_XSAVES),
		FREE(0) } },
	{ 0xd, 2, 62, .sub = true, .until = IN_XCR0, .vendors = BOTH, .rule = {
		SAME, SAME, SAME, SAME } },
	/* TSC, core and bus frequency: what a VMM would tell, by its tool. */
	{ 0x15, .vendors = INTEL, .rule = {
		FREE(0), FREE(0), FREE(0), FREE(0) } },
	{ 0x16, .vendors = INTEL, .rule = {
		FREE(0), FREE(0), FREE(0), FREE(0) } },
	{ 0x1f, 0, 31, .sub = true, .vendors = INTEL, .rule = {
		FREE(0), FREE(0), FREE(0), FREE(0) } },

	/* Highest leaf, set apart; vendor. */
	{ 0x80000000, .vendors = BOTH, .rule = {
		FREE(0), FREE(ALL), FREE(ALL), FREE(ALL) } },
	{ 0x80000001, .vendors = BOTH, .rule = {
		FREE(ALL), FREE(ALL),
		BITS(C81_ECX_LAHF_LM | C81_ECX_CMP_LEGACY |
		     C81_ECX_CR8_LEGACY | C81_ECX_ABM | C81_ECX_SSE4A |
		     C81_ECX_MISALIGNSSE | C81_ECX_3DNOWPREFETCH |
		     C81_ECX_OSVW | C81_ECX_XOP | C81_ECX_FMA4 |
		     C81_ECX_TBM | C81_ECX_TOPOEXT),
		BITS(C81_EDX_AS_LEAF_1 | C81_EDX_SYSCALL | C81_EDX_NX |
		     C81_EDX_MMXEXT | C81_EDX_FXSR_OPT | C81_EDX_GBPAGES |
		     C81_EDX_RDTSCP | C81_EDX_LM | C81_EDX_3DNOWEXT |
		     C81_EDX_3DNOW) } },
	/* The brand. */
	{ 0x80000002, .vendors = BOTH, .rule = {
		FREE(ALL), FREE(ALL), FREE(ALL), FREE(ALL) } },
	{ 0x80000003, .vendors = BOTH, .rule = {
		FREE(ALL), FREE(ALL), FREE(ALL), FREE(ALL) } },
	{ 0x80000004, .vendors = BOTH, .rule = {
		FREE(ALL), FREE(ALL), FREE(ALL), FREE(ALL) } },
	/* Caches and TLBs. */
	{ 0x80000005, .vendors = AMD, .rule = {
		FREE(ALL), FREE(ALL), FREE(ALL), FREE(ALL) } },
	{ 0x80000006, .vendors = BOTH, .rule = {
		FREE(ALL), FREE(ALL), FREE(ALL), FREE(ALL) } },
	{ 0x80000007, .vendors = BOTH, .rule = {
		[IN_EDX] = BITS(C87_EDX_INVARIANT_TSC) } },
	/* Address widths, set apart; features; count, put in at the answer. */
	{ 0x80000008, .vendors = BOTH, .rule = {
		{ RULE_WIDTHS },
		BITS(C88_EBX_CLZERO | C88_EBX_XSAVEERPTR | C88_EBX_IBPB |
		     C88_EBX_IBRS | C88_EBX_STIBP | C88_EBX_STIBP_ALWAYS_ON |
		     C88_EBX_IBRS_SAME_MODE | C88_EBX_SSBD | C88_EBX_SSB_NO |
		     C88_EBX_PSFD | C88_EBX_BTC_NO | C88_EBX_IBPB_RET),
		FREE(0) } },
	/* TLBs for 1 GiB pages; widths of execution units. */
	{ 0x80000019, .vendors = AMD, .rule = { FREE(ALL), FREE(ALL) } },
	{ 0x8000001a, .vendors = AMD, .rule = { FREE(ALL) } },
	/* Caches and topology, as leaf 4 and 0xb. */
	{ 0x8000001d, 0, 31, .sub = true, .until = UNTIL_NO_CACHE,
	  .vendors = AMD, .rule = {
		FREE(ALL & ~(CACHE_SHARING_MASK | CACHE_CORES_MASK)),
		FREE(ALL), FREE(ALL), FREE(ALL) } },
	{ 0x8000001e, .vendors = AMD, .rule = {
		FREE(0), FREE(0), FREE(0) } },
	{ 0x80000021, .vendors = AMD, .rule = {
		BITS(C21_EAX_NO_NESTED_DATA_BP | C21_EAX_LFENCE_RDTSC |
		     C21_EAX_VERW_CLEAR | C21_EAX_NULL_SEL_CLR_BASE |
		     C21_EAX_AUTOIBRS | C21_EAX_FSRS | C21_EAX_FSRC |
		     C21_EAX_SBPB | C21_EAX_IBPB_BRTYPE | C21_EAX_SRSO_NO |
		     C21_EAX_SRSO_USER_KERNEL_NO,
		     C21_EAX_NO_SMM_CTL_MSR),
		[IN_ECX] = BITS(C21_ECX_TSA_SQ_NO | C21_ECX_TSA_L1_NO) } },
};

#define LEAF_EXTENDED		0x80000000U
#define LEAF_FEATURES		0x80000001U
#define LEAF_WIDTHS		0x80000008U
#define LEAF_CACHE		0x8000001dU
#define LEAF_AMD_FEATURES	0x80000021U
#define LEAF_HYPERVISOR		0x40000000U
#define LEAF_HYPERVISOR_MASK	0xffff0000U

/* The last leaves that the policy speaks of; the first that it must have. */
#define MIN_BASIC		0xdU
#define MAX_BASIC		0x1fU
#define MAX_EXTENDED_INTEL	0x80000008U
#define MAX_EXTENDED_AMD	0x80000021U
#define MAX_SUBLEAF_7		2U

#define VIRT_BITS_4		48U
#define VIRT_BITS_5		57U

/* "Auth", "Hygo": these vendors number their leaves as AMD does. */
#define VENDOR_AMD		0x68747541U
#define VENDOR_HYGON		0x6f677948U

#define POSADA_FEATURES							\
	(POSADA_CPUID_F_HYPERCALL | POSADA_CPUID_F_DOORBELL |		\
	 POSADA_CPUID_F_KICK | POSADA_CPUID_F_YIELD_TO |		\
	 POSADA_CPUID_F_SEND_IPI | POSADA_CPUID_F_FLUSH_TLB |		\
	 POSADA_CPUID_F_CLOCK_PAIRING | POSADA_CPUID_F_CRASH |		\
	 POSADA_CPUID_F_SHUTDOWN | POSADA_CPUID_F_CONSOLE |		\
	 POSADA_CPUID_F_TIMER | POSADA_CPUID_F_FREE_PAGES |		\
	 POSADA_CPUID_F_BATCH | POSADA_CPUID_F_GENERATION)

#define KVM_BIT(feature)	(1U << KVM_FEATURE_##feature)
#define KVM_FEATURES							\
	(KVM_BIT(CLOCKSOURCE) | KVM_BIT(CLOCKSOURCE2) |			\
	 KVM_BIT(CLOCKSOURCE_STABLE_BIT) | KVM_BIT(NOP_IO_DELAY) |	\
	 KVM_BIT(PV_UNHALT) | KVM_BIT(PV_SEND_IPI) |			\
	 KVM_BIT(POLL_CONTROL) | KVM_BIT(PV_SCHED_YIELD) |		\
	 KVM_BIT(MSI_EXT_DEST_ID))
/* Both live in the page that the steal-time MSR registers. */
#define KVM_FEATURES_STEAL						\
	(KVM_BIT(STEAL_TIME) | KVM_BIT(PV_TLB_FLUSH))

/* "KVMK" "VMKV" "M\0\0\0". */
#define KVM_EBX			0x4b4d564bU
#define KVM_ECX			0x564b4d56U
#define KVM_EDX			0x0000004dU

static void pack(struct posada_cpuid_entry *e, const __u32 r[IN_REGS])
{
	e->eax = r[IN_EAX];
	e->ebx = r[IN_EBX];
	e->ecx = r[IN_ECX];
	e->edx = r[IN_EDX];
}

static void unpack(const struct posada_cpuid_entry *e, __u32 r[IN_REGS])
{
	r[IN_EAX] = e->eax;
	r[IN_EBX] = e->ebx;
	r[IN_ECX] = e->ecx;
	r[IN_EDX] = e->edx;
}

/* What the policy says while it is being made. */
struct build {
	const struct posada_cpuid_host *host;
	struct posada_cpuid_entry *e;
	__u32 nr;
	__u32 vendor;		/* INTEL or AMD */
	__u32 max_basic, max_extended;
};

static struct posada_cpuid_entry *add(struct build *b, __u32 leaf,
				      __u32 subleaf, bool sub)
{
	struct posada_cpuid_entry *e;

	if (b->nr == POSADA_MAX_CPUID)
		return NULL;
	e = &b->e[b->nr++];
	memset(e, 0, sizeof(*e));
	e->leaf = leaf;
	e->subleaf = subleaf;
	e->flags = sub ? POSADA_CPUID_SUBLEAF : 0;
	return e;
}

/* Does the row go on at @subleaf, which the host answers with @raw? */
static bool row_has(const struct build *b, const struct row *row,
		    __u32 subleaf, const __u32 raw[IN_REGS])
{
	switch (row->until) {
	case UNTIL_NO_CACHE:
		return raw[IN_EAX] & CACHE_TYPE_MASK;
	case IN_XCR0:
		return b->host->xcr0 >> subleaf & 1;
	default:
		return true;
	}
}

static void add_row(struct build *b, const struct row *row)
{
	/* Two levels of topology, no more: threads and cores. */
	__u32 last = row->leaf == 0xb || row->leaf == 0x1f ? 1 : row->last;
	__u32 sub, i, raw[IN_REGS];
	struct posada_cpuid_entry *e;

	for (sub = row->subleaf; sub <= last; sub++) {
		b->host->cpuid(row->leaf, sub, raw);
		if (!row_has(b, row, sub, raw)) {
			if (row->until == UNTIL_NO_CACHE)
				return;
			continue;
		}
		for (i = 0; i < IN_REGS; i++)
			raw[i] = (raw[i] & row->rule[i].allow) |
				 row->rule[i].set;
		e = add(b, row->leaf, sub, row->sub);
		if (e)
			pack(e, raw);
	}
}

/* Put right what no mask can say. */
static void adjust(struct build *b, struct posada_cpuid_entry *e)
{
	const struct posada_cpuid_host *host = b->host;
	__u32 raw[IN_REGS];

	switch (e->leaf) {
	case 0:
		e->eax = b->max_basic;
		break;
	case 7:
		if (e->subleaf)
			break;
		host->cpuid(7, 0, raw);
		e->eax = raw[IN_EAX] < MAX_SUBLEAF_7 ? raw[IN_EAX] :
						       MAX_SUBLEAF_7;
		/* An MSR of Intel's; AMD's guests don't look for it. */
		if (b->vendor == AMD)
			e->edx &= ~C7_EDX_ARCH_CAPABILITIES;
		break;
	case 0xd:
		if (e->subleaf == 0) {
			e->eax = (__u32)host->xcr0;
			e->edx = (__u32)(host->xcr0 >> 32);
		}
		break;
	case LEAF_EXTENDED:
		e->eax = b->max_extended;
		break;
	case LEAF_FEATURES:
		/* Cores, not threads, are what leaf 1 counts: at the answer. */
		e->ecx &= ~C81_ECX_CMP_LEGACY;
		if (b->vendor == INTEL)
			e->edx &= ~C81_EDX_AS_LEAF_1;
		else
			e->edx |= C1_EDX_APIC | C1_EDX_MTRR;
		break;
	case LEAF_WIDTHS:
		host->cpuid(7, 0, raw);
		e->eax = host->phys_bits |
			 (raw[IN_ECX] & C7_ECX_LA57 ? VIRT_BITS_5 :
			  VIRT_BITS_4) << C88_EAX_VIRT_SHIFT;
		break;
	case LEAF_AMD_FEATURES:
		if (host->lfence_serializes)
			e->eax |= C21_EAX_LFENCE_RDTSC;
		break;
	}
}

/* The blocks by which a guest finds whom it runs on. */
static void add_hypervisor(struct build *b)
{
	const __u32 kvm = KVM_FEATURES |
		(b->host->steal_time ? KVM_FEATURES_STEAL : 0);
	const struct {
		__u32 leaf, reg[IN_REGS];
	} leaves[] = {
		{ POSADA_CPUID_SIGNATURE,
		  { POSADA_CPUID_TIMING, POSADA_SIGNATURE_EBX,
		    POSADA_SIGNATURE_ECX, POSADA_SIGNATURE_EDX } },
		{ POSADA_CPUID_FEATURES,
		  { POSADA_FEATURES, POSADA_GUEST_ABI } },
		{ POSADA_CPUID_TIMING,
		  { b->host->tsc_khz, b->host->apic_khz } },
		{ POSADA_CPUID_KVM_SIGNATURE,
		  { POSADA_CPUID_KVM_FEATURES, KVM_EBX, KVM_ECX, KVM_EDX } },
		{ POSADA_CPUID_KVM_FEATURES, { kvm } },
	};
	struct posada_cpuid_entry *e;
	__u32 i;

	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		e = add(b, leaves[i].leaf, 0, false);
		if (e)
			pack(e, leaves[i].reg);
	}
}

static __u32 clamp_leaf(__u32 v, __u32 low, __u32 high)
{
	return v < low ? low : v > high ? high : v;
}

/* The vendor decides which leaves there are and how far they go. */
static void begin(struct build *b)
{
	__u32 r[IN_REGS];

	b->host->cpuid(0, 0, r);
	b->vendor = r[IN_EBX] == VENDOR_AMD ||
		    r[IN_EBX] == VENDOR_HYGON ? AMD : INTEL;
	b->max_basic = clamp_leaf(r[IN_EAX], MIN_BASIC, MAX_BASIC);
	b->host->cpuid(LEAF_EXTENDED, 0, r);
	b->max_extended = clamp_leaf(r[IN_EAX], LEAF_WIDTHS,
				     b->vendor == AMD ? MAX_EXTENDED_AMD :
							MAX_EXTENDED_INTEL);
}

__u32 posada_cpuid_policy(const struct posada_cpuid_host *host,
			  struct posada_cpuid_entry *e)
{
	struct build b = { .host = host, .e = e };
	bool hypervisor = false;
	const struct row *row;
	__u32 i;

	begin(&b);
	for (row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		bool extended = row->leaf >= LEAF_EXTENDED;

		if (extended && !hypervisor) {
			add_hypervisor(&b);
			hypervisor = true;
		}
		if (!(row->vendors & b.vendor))
			continue;
		if (row->leaf <= (extended ? b.max_extended : b.max_basic))
			add_row(&b, row);
	}
	for (i = 0; i < b.nr; i++)
		adjust(&b, &e[i]);
	return b.nr;
}

/* ---- what a VMM asks for ---- */

static const struct row *row_of(__u32 leaf, __u32 subleaf)
{
	const struct row *row;

	for (row = rows; row < rows + ARRAY_SIZE(rows); row++) {
		if (row->leaf != leaf)
			continue;
		if (!row->sub ||
		    (subleaf >= row->subleaf && subleaf <= row->last))
			return row;
	}
	return NULL;
}

static const struct posada_cpuid_entry *
entry_of(const struct posada_cpuid_entry *e, __u32 nr, __u32 leaf,
	 __u32 subleaf)
{
	__u32 i;

	for (i = 0; i < nr; i++)
		if (e[i].leaf == leaf && e[i].subleaf == subleaf)
			return &e[i];
	return NULL;
}

static bool widths_within(__u32 want, __u32 have)
{
	__u32 i;

	for (i = 0; i < 32; i += 8)
		if ((want >> i & 0xff) > (have >> i & 0xff))
			return false;
	return true;
}

static bool rule_allows(const struct rule *rule, __u32 want, __u32 have)
{
	switch (rule->kind) {
	case RULE_FREE:
		return true;
	case RULE_BITS:
		return !(want & ~have);
	case RULE_SAME:
		return want == have;
	case RULE_WIDTHS:
		return widths_within(want, have);
	default:
		return !want;
	}
}

/*
 * Bits that answers set by themselves: a table taken from a running guest's
 * CPUID has them, so accept and drop them at the answer.
 */
static __u32 answered(__u32 leaf, __u32 subleaf, __u32 reg)
{
	if (leaf == 1 && reg == IN_ECX)
		return C1_ECX_OSXSAVE;
	if (leaf == 1 && reg == IN_EDX)
		return C1_EDX_HTT;
	if (leaf == 7 && subleaf == 0 && reg == IN_ECX)
		return C7_ECX_OSPKE;
	if (leaf == LEAF_FEATURES && reg == IN_ECX)
		return C81_ECX_CMP_LEGACY;
	return 0;
}

static int check_entry(const struct posada_cpuid_entry *policy,
		       __u32 policy_nr, const struct posada_cpuid_entry *e)
{
	static const struct row nothing;
	const struct posada_cpuid_entry *p;
	const struct row *row = row_of(e->leaf, e->subleaf);
	__u32 i, want[IN_REGS], have[IN_REGS] = { 0 };

	if ((e->leaf & LEAF_HYPERVISOR_MASK) == LEAF_HYPERVISOR)
		return 0;
	if (row && row->sub != !!(e->flags & POSADA_CPUID_SUBLEAF))
		return -EINVAL;
	if (!row)
		row = &nothing;
	p = entry_of(policy, policy_nr, e->leaf, e->subleaf);
	if (p)
		unpack(p, have);
	unpack(e, want);
	for (i = 0; i < IN_REGS; i++) {
		want[i] &= ~answered(e->leaf, e->subleaf, i);
		if (!rule_allows(&row->rule[i], want[i], have[i]))
			return -EOPNOTSUPP;
	}
	return 0;
}

/* Well-formed, and the only entry that answers for its leaf and subleaf. */
static bool entry_valid(const struct posada_cpuid_entry *e, __u32 i)
{
	__u32 j;

	if (e[i].flags & ~POSADA_CPUID_SUBLEAF || e[i].pad)
		return false;
	if (!(e[i].flags & POSADA_CPUID_SUBLEAF) && e[i].subleaf)
		return false;
	for (j = 0; j < i; j++)
		if (e[j].leaf == e[i].leaf &&
		    (e[j].subleaf == e[i].subleaf || e[j].flags != e[i].flags))
			return false;
	return true;
}

int posada_cpuid_check(const struct posada_cpuid_entry *policy,
		       __u32 policy_nr, const struct posada_cpuid_entry *e,
		       __u32 nr, __u32 *bad)
{
	int ret;

	*bad = 0;
	/* Every CPU has leaf 0. */
	if (!nr || nr > POSADA_MAX_CPUID || !entry_of(e, nr, 0, 0))
		return -EINVAL;
	for (*bad = 0; *bad < nr; ++*bad) {
		if (!entry_valid(e, *bad))
			return -EINVAL;
		ret = check_entry(policy, policy_nr, &e[*bad]);
		if (ret)
			return ret;
	}
	return 0;
}
