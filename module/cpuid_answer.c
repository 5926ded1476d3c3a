// SPDX-License-Identifier: GPL-2.0-only
/*
 * A CPUID table in use: what follows from it (CR4, EFER, XCR0 masks), the
 * lookup, and what an answer takes from the vCPU that asks.
 */
#ifdef __KERNEL__
#include <linux/kernel.h>
#include <linux/string.h>
#else
#include <string.h>
#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))
#endif
#include <asm/processor-flags.h>
#include "cpuid_bits.h"
#include "cpuid_policy.h"

#define LEAF_HYPERVISOR_RANGE	1U	/* 0x40000000 to 0x7fffffff */
#define VENDOR_AMD		0x68747541U
#define VENDOR_HYGON		0x6f677948U

/* An XSAVE area: legacy region and header, then components from 2 up. */
#define XSAVE_HEADER_END	576U
#define XSAVE_FIRST		2
#define XSAVE_COMPONENTS	63
#define XSAVE_ALIGN		64U
#define XCR0_X87		1ULL

/* Of a CPU that doesn't say. */
#define PHYS_BITS_MIN		36U
#define VIRT_BITS_4		48U
#define VIRT_BITS_5		57U

enum fix {
	FIX_NONE,
	FIX_FEATURES,		/* leaf 1 */
	FIX_CACHE,		/* 4, 0x8000001d */
	FIX_FEATURES_7,		/* 7 */
	FIX_LEVEL,		/* 0xb, 0x1f */
	FIX_NO_LEVEL,		/* the same, past the last level */
	FIX_XSAVE,		/* 0xd, 0 */
	FIX_XSAVES,		/* 0xd, 1 */
	FIX_FEATURES_EXT,	/* 0x80000001 */
	FIX_WIDTHS,		/* 0x80000008 */
	FIX_TOPOLOGY,		/* 0x8000001e */
};

#define ANY_SUBLEAF	(~0U)

static const struct {
	__u32 leaf, subleaf;
	__u8 fix;
} fixes[] = {
	{ 1,		ANY_SUBLEAF,	FIX_FEATURES },
	{ 4,		ANY_SUBLEAF,	FIX_CACHE },
	{ 7,		0,		FIX_FEATURES_7 },
	{ 0xb,		ANY_SUBLEAF,	FIX_LEVEL },
	{ 0xd,		0,		FIX_XSAVE },
	{ 0xd,		1,		FIX_XSAVES },
	{ 0x1f,		ANY_SUBLEAF,	FIX_LEVEL },
	{ 0x80000001,	ANY_SUBLEAF,	FIX_FEATURES_EXT },
	{ 0x80000008,	ANY_SUBLEAF,	FIX_WIDTHS },
	{ 0x8000001d,	ANY_SUBLEAF,	FIX_CACHE },
	{ 0x8000001e,	ANY_SUBLEAF,	FIX_TOPOLOGY },
};

static enum fix fix_of(__u32 leaf, __u32 subleaf)
{
	__u32 i;

	for (i = 0; i < ARRAY_SIZE(fixes); i++)
		if (fixes[i].leaf == leaf &&
		    (fixes[i].subleaf == subleaf ||
		     fixes[i].subleaf == ANY_SUBLEAF))
			return fixes[i].fix;
	return FIX_NONE;
}

/* ---- lookup ---- */

static bool before(const struct posada_cpuid_entry *a,
		   const struct posada_cpuid_entry *b)
{
	return a->leaf != b->leaf ? a->leaf < b->leaf :
				    a->subleaf < b->subleaf;
}

static void sort_entries(struct posada_cpuid_entry *e, __u32 nr)
{
	struct posada_cpuid_entry key;
	__u32 i, j;

	for (i = 1; i < nr; i++) {
		key = e[i];
		for (j = i; j && before(&key, &e[j - 1]); j--)
			e[j] = e[j - 1];
		e[j] = key;
	}
}

/* The first entry of @leaf, or NULL: directly for the leaves there are. */
static __always_inline const struct posada_cpuid_entry *
first_of(const struct posada_cpuid_table *t, __u32 leaf)
{
	__u32 low = leaf & CPUID_RANGE_MASK, range = leaf >> CPUID_RANGE_SHIFT;
	__u32 lo = 0, hi = t->nr;

	if (low < CPUID_DIRECT) {
		lo = t->first[range][array_index_nospec(low, CPUID_DIRECT)];
		return lo ? &t->entry[lo - 1] : NULL;
	}
	while (lo < hi) {
		__u32 mid = (lo + hi) / 2;

		if (t->entry[mid].leaf < leaf)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->nr && t->entry[lo].leaf == leaf ? &t->entry[lo] : NULL;
}

static const struct posada_cpuid_entry nothing;
static const struct posada_cpuid_entry no_level = { .pad = FIX_NO_LEVEL };

/* @e is the first entry of a leaf: the one for @subleaf. */
static __always_inline const struct posada_cpuid_entry *
subleaf_of(const struct posada_cpuid_table *t,
	   const struct posada_cpuid_entry *e, __u32 subleaf)
{
	const struct posada_cpuid_entry *end = t->entry + t->nr;
	__u32 leaf = e->leaf;

	if (!(e->flags & POSADA_CPUID_SUBLEAF))
		return e;
	for (; e < end && e->leaf == leaf; e++)
		if (e->subleaf == subleaf)
			return e;
	return leaf == 0xb || leaf == 0x1f ? &no_level : &nothing;
}

/*
 * A leaf that the table lacks: AMD answers 0. So does Intel within the range
 * it claims; past it, it answers as for the highest basic leaf.
 */
static const struct posada_cpuid_entry *
missing(const struct posada_cpuid_table *t, __u32 leaf, __u32 subleaf)
{
	__u32 range = leaf >> CPUID_RANGE_SHIFT;
	__u32 max = range ? t->max_extended : t->max_basic;
	const struct posada_cpuid_entry *e;

	if (t->amd || leaf <= max || range == LEAF_HYPERVISOR_RANGE)
		return &nothing;
	e = first_of(t, t->max_basic);
	return e ? subleaf_of(t, e, subleaf) : &nothing;
}

const struct posada_cpuid_entry *
posada_cpuid_find(const struct posada_cpuid_table *t, __u32 leaf,
		  __u32 subleaf)
{
	const struct posada_cpuid_entry *e = first_of(t, leaf);

	return e ? subleaf_of(t, e, subleaf) : missing(t, leaf, subleaf);
}

/* ---- what follows from a table ---- */

static const struct {
	__u8 word, reg;
	__u32 leaf, subleaf;
} words[] = {
	{ WORD_1_EDX,		IN_EDX, 1, 0 },
	{ WORD_80000001_EDX,	IN_EDX, 0x80000001, 0 },
	{ WORD_1_ECX,		IN_ECX, 1, 0 },
	{ WORD_80000001_ECX,	IN_ECX, 0x80000001, 0 },
	{ WORD_7_EBX,		IN_EBX, 7, 0 },
	{ WORD_D_1_EAX,		IN_EAX, 0xd, 1 },
	{ WORD_7_1_EAX,		IN_EAX, 7, 1 },
	{ WORD_80000008_EBX,	IN_EBX, 0x80000008, 0 },
	{ WORD_6_EAX,		IN_EAX, 6, 0 },
	{ WORD_7_ECX,		IN_ECX, 7, 0 },
	{ WORD_7_EDX,		IN_EDX, 7, 0 },
	{ WORD_80000021_EAX,	IN_EAX, 0x80000021, 0 },
};

/* A feature, and the bits of a register that a guest that has it may set. */
struct grant {
	__u8 word;
	__u32 feature;
	__u64 bits;
};

static const struct grant cr4_grants[] = {
	{ WORD_1_EDX, C1_EDX_VME,	X86_CR4_VME | X86_CR4_PVI },
	{ WORD_1_EDX, C1_EDX_TSC,	X86_CR4_TSD },
	{ WORD_1_EDX, C1_EDX_DE,	X86_CR4_DE },
	{ WORD_1_EDX, C1_EDX_PSE,	X86_CR4_PSE },
	{ WORD_1_EDX, C1_EDX_PAE,	X86_CR4_PAE },
	{ WORD_1_EDX, C1_EDX_MCE,	X86_CR4_MCE },
	{ WORD_1_EDX, C1_EDX_PGE,	X86_CR4_PGE },
	{ WORD_1_EDX, C1_EDX_MMX,	X86_CR4_PCE },
	{ WORD_1_EDX, C1_EDX_FXSR,	X86_CR4_OSFXSR },
	{ WORD_1_EDX, C1_EDX_SSE,	X86_CR4_OSXMMEXCPT },
	{ WORD_7_ECX, C7_ECX_UMIP,	X86_CR4_UMIP },
	{ WORD_7_ECX, C7_ECX_LA57,	X86_CR4_LA57 },
	{ WORD_7_EBX, C7_EBX_FSGSBASE,	X86_CR4_FSGSBASE },
	{ WORD_1_ECX, C1_ECX_PCID,	X86_CR4_PCIDE },
	{ WORD_1_ECX, C1_ECX_XSAVE,	X86_CR4_OSXSAVE },
	{ WORD_7_EBX, C7_EBX_SMEP,	X86_CR4_SMEP },
	{ WORD_7_EBX, C7_EBX_SMAP,	X86_CR4_SMAP },
	{ WORD_7_ECX, C7_ECX_PKU,	X86_CR4_PKE },
};

static const struct grant efer_grants[] = {
	{ WORD_80000001_EDX, C81_EDX_SYSCALL,	MASK_EFER_SCE },
	{ WORD_80000001_EDX, C81_EDX_LM,	MASK_EFER_LME_LMA },
	{ WORD_80000001_EDX, C81_EDX_NX,	MASK_EFER_NX },
	{ WORD_80000001_EDX, C81_EDX_FXSR_OPT,	MASK_EFER_FFXSR },
	{ WORD_80000021_EAX, C21_EAX_AUTOIBRS,	MASK_EFER_AUTOIBRS },
};

static const struct grant spec_grants[] = {
	{ WORD_7_EDX, C7_EDX_SPEC_CTRL,		MASK_SPEC_IBRS },
	{ WORD_7_EDX, C7_EDX_INTEL_STIBP,	MASK_SPEC_STIBP },
	{ WORD_7_EDX, C7_EDX_SPEC_CTRL_SSBD,	MASK_SPEC_SSBD },
	{ WORD_80000008_EBX, C88_EBX_IBRS,	MASK_SPEC_IBRS },
	{ WORD_80000008_EBX, C88_EBX_STIBP,	MASK_SPEC_STIBP },
	{ WORD_80000008_EBX, C88_EBX_SSBD,	MASK_SPEC_SSBD },
	{ WORD_80000008_EBX, C88_EBX_PSFD,	MASK_SPEC_PSFD },
};

static __u64 granted(const struct posada_cpuid_table *t,
		     const struct grant *g, __u32 nr)
{
	__u64 bits = 0;

	for (; nr; nr--, g++)
		if (t->word[g->word] & g->feature)
			bits |= g->bits;
	return bits;
}

/* Leaf 7, subleaf 2 has no word of its own. */
static __u64 spec_granted(const struct posada_cpuid_table *t)
{
	__u64 bits = granted(t, spec_grants, ARRAY_SIZE(spec_grants));
	__u32 edx = posada_cpuid_find(t, 7, 2)->edx;

	if (edx & C72_EDX_PSFD)
		bits |= MASK_SPEC_PSFD;
	if (edx & C72_EDX_IPRED_CTRL)
		bits |= MASK_SPEC_IPRED;
	if (edx & C72_EDX_RRSBA_CTRL)
		bits |= MASK_SPEC_RRSBA;
	if (edx & C72_EDX_DDPD_U)
		bits |= MASK_SPEC_DDPD;
	if (edx & C72_EDX_BHI_CTRL)
		bits |= MASK_SPEC_BHI;
	return bits;
}

static void collect_words(struct posada_cpuid_table *t)
{
	__u32 i;

	memset(t->word, 0, sizeof(t->word));
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		const struct posada_cpuid_entry *e =
			posada_cpuid_find(t, words[i].leaf, words[i].subleaf);
		const __u32 reg[] = { e->eax, e->ebx, e->ecx, e->edx };

		t->word[words[i].word] = reg[words[i].reg];
	}
}

static void collect_facts(struct posada_cpuid_table *t)
{
	const struct posada_cpuid_entry *e = posada_cpuid_find(t, 0, 0);

	t->amd = e->ebx == VENDOR_AMD || e->ebx == VENDOR_HYGON;
	t->max_basic = e->eax;
	t->max_extended = posada_cpuid_find(t, 0x80000000, 0)->eax;
	e = posada_cpuid_find(t, 1, 0);
	t->own_topology = e->ebx & C1_EBX_COUNT_MASK;
	e = posada_cpuid_find(t, 0x80000008, 0);
	t->phys_bits = e->eax & C88_EAX_PHYS_MASK;
	if (t->phys_bits < PHYS_BITS_MIN)
		t->phys_bits = PHYS_BITS_MIN;
	t->virt_bits = (e->eax & C88_EAX_VIRT_MASK) >> C88_EAX_VIRT_SHIFT;
	if (t->virt_bits != VIRT_BITS_5)
		t->virt_bits = VIRT_BITS_4;
	t->xcr0 = XCR0_X87;
	if (!(t->word[WORD_1_ECX] & C1_ECX_XSAVE))
		return;
	e = posada_cpuid_find(t, 0xd, 0);
	t->xcr0 |= e->eax | (__u64)e->edx << 32;
	e = posada_cpuid_find(t, 0xd, 1);
	t->xss = e->ecx | (__u64)e->edx << 32;
}

_Static_assert(offsetof(struct posada_cpuid_table,
			entry[POSADA_MAX_CPUID]) <= 0xffff, "plain[] is __u16");

/* Where to look @e up directly; downwards, so that a leaf's first entry stays. */
static void place_entry(struct posada_cpuid_table *t, __u32 i)
{
	const struct posada_cpuid_entry *e = &t->entry[i];
	__u32 low = e->leaf & CPUID_RANGE_MASK;
	__u32 range = e->leaf >> CPUID_RANGE_SHIFT;

	if (low >= CPUID_DIRECT)
		return;
	t->first[range][low] = i + 1;
	if (!e->pad && !(e->flags & POSADA_CPUID_SUBLEAF))
		t->plain[range][low] = (const char *)e - (const char *)t;
}

void posada_cpuid_compile(struct posada_cpuid_table *t)
{
	__u32 i;

	sort_entries(t->entry, t->nr);
	memset(t->first, 0, sizeof(t->first));
	memset(t->plain, 0, sizeof(t->plain));
	for (i = t->nr; i--; ) {
		t->entry[i].pad = fix_of(t->entry[i].leaf, t->entry[i].subleaf);
		place_entry(t, i);
	}
	/* With max_basic unknown yet, a missing leaf reads 0: as wanted. */
	t->amd = true;
	collect_words(t);
	collect_facts(t);
	t->cr4 = granted(t, cr4_grants, ARRAY_SIZE(cr4_grants));
	t->efer = granted(t, efer_grants, ARRAY_SIZE(efer_grants));
	t->spec_ctrl = spec_granted(t);
}

/* ---- the answer ---- */

/* Bytes of an XSAVE area in the standard format for the components @bv. */
static __u32 standard_size(const struct posada_cpuid_table *t, __u64 bv)
{
	__u32 i, size = XSAVE_HEADER_END;

	for (i = XSAVE_FIRST; i < XSAVE_COMPONENTS; i++) {
		const struct posada_cpuid_entry *e;

		if (!(bv >> i & 1))
			continue;
		e = posada_cpuid_find(t, 0xd, i);
		if (e->ebx + e->eax > size)
			size = e->ebx + e->eax;
	}
	return size;
}

/* The same in the compacted format: no gaps but for alignment. */
static __u32 compacted_size(const struct posada_cpuid_table *t, __u64 bv)
{
	__u32 i, size = XSAVE_HEADER_END;

	for (i = XSAVE_FIRST; i < XSAVE_COMPONENTS; i++) {
		const struct posada_cpuid_entry *e;

		if (!(bv >> i & 1))
			continue;
		e = posada_cpuid_find(t, 0xd, i);
		if (e->ecx & CDN_ECX_ALIGN64)
			size = (size + XSAVE_ALIGN - 1) & ~(XSAVE_ALIGN - 1);
		size += e->eax;
	}
	return size;
}

static __u32 with(__u32 value, __u32 bit, bool on)
{
	return on ? value | bit : value & ~bit;
}

static void fix_features(const struct posada_cpuid_table *t,
			 const struct posada_cpuid_view *v, __u32 *out)
{
	out[IN_EBX] = (out[IN_EBX] & ~C1_EBX_ID_MASK) |
		      v->id << C1_EBX_ID_SHIFT;
	out[IN_ECX] = with(out[IN_ECX], C1_ECX_OSXSAVE,
			   v->cr4 & X86_CR4_OSXSAVE);
	if (!v->apic)
		out[IN_EDX] &= ~C1_EDX_APIC;
	if (t->own_topology)
		return;
	/* The field counts APIC ids: a power of two, if more than one. */
	out[IN_EBX] |= (1U << v->shift) << C1_EBX_COUNT_SHIFT;
	out[IN_EDX] = with(out[IN_EDX], C1_EDX_HTT, v->count > 1);
}

static void fix_features_ext(const struct posada_cpuid_table *t,
			     const struct posada_cpuid_view *v, __u32 *out)
{
	if (!v->apic && t->amd)
		out[IN_EDX] &= ~C81_EDX_APIC;
	if (!t->own_topology)
		out[IN_ECX] = with(out[IN_ECX], C81_ECX_CMP_LEGACY,
				   t->amd && v->count > 1);
}

/* Each vCPU is a core with caches of its own, but for the last level. */
static void fix_cache(const struct posada_cpuid_table *t, __u32 leaf,
		      const struct posada_cpuid_view *v, __u32 *out)
{
	__u32 ids = (1U << v->shift) - 1, eax = out[IN_EAX];

	if (t->own_topology || !(eax & CACHE_TYPE_MASK))
		return;
	eax &= ~CACHE_SHARING_MASK;
	if ((eax & CACHE_LEVEL_MASK) >> CACHE_LEVEL_SHIFT > 2)
		eax |= ids << CACHE_SHARING_SHIFT;
	if (leaf == 4)
		eax = (eax & ~CACHE_CORES_MASK) |
		      (ids > CACHE_CORES_MAX ? CACHE_CORES_MAX : ids) <<
		      CACHE_CORES_SHIFT;
	out[IN_EAX] = eax;
}

static void fix_level(const struct posada_cpuid_table *t, __u32 subleaf,
		      const struct posada_cpuid_view *v, __u32 *out)
{
	__u32 type = subleaf ? LEVEL_TYPE_CORE : LEVEL_TYPE_SMT;

	out[IN_EDX] = v->id;
	if (t->own_topology)
		return;
	out[IN_EAX] = subleaf ? v->shift : 0;
	out[IN_EBX] = subleaf ? v->count : 1;
	out[IN_ECX] = subleaf | type << LEVEL_TYPE_SHIFT;
}

static void fix_topology(const struct posada_cpuid_view *v, __u32 *out)
{
	__u32 threads = (out[IN_EBX] >> C1E_EBX_THREADS_SHIFT & 0xff) + 1;

	out[IN_EAX] = v->id;
	out[IN_EBX] = (out[IN_EBX] & ~C1E_EBX_CORE_MASK) |
		      (v->id / threads & C1E_EBX_CORE_MASK);
}

void posada_cpuid_fix(const struct posada_cpuid_table *t,
		      const struct posada_cpuid_entry *e, __u32 subleaf,
		      const struct posada_cpuid_view *v,
		      __u32 out[IN_REGS])
{
	switch ((enum fix)e->pad) {
	case FIX_NONE:
		break;
	case FIX_FEATURES:
		fix_features(t, v, out);
		break;
	case FIX_CACHE:
		fix_cache(t, e->leaf, v, out);
		break;
	case FIX_FEATURES_7:
		out[IN_ECX] = with(out[IN_ECX], C7_ECX_OSPKE,
				   v->cr4 & X86_CR4_PKE);
		break;
	case FIX_LEVEL:
		fix_level(t, subleaf, v, out);
		break;
	case FIX_NO_LEVEL:
		out[IN_ECX] = subleaf & LEVEL_NUMBER_MASK;
		out[IN_EDX] = v->id;
		break;
	case FIX_XSAVE:
		out[IN_EBX] = standard_size(t, v->xcr0);
		out[IN_ECX] = standard_size(t, t->xcr0);
		break;
	case FIX_XSAVES:
		if (out[IN_EAX] & (CD1_EAX_XSAVEC | CD1_EAX_XSAVES))
			out[IN_EBX] = compacted_size(t, v->xcr0 | v->xss);
		break;
	case FIX_FEATURES_EXT:
		fix_features_ext(t, v, out);
		break;
	case FIX_WIDTHS:
		if (!t->own_topology && t->amd)
			out[IN_ECX] = (v->count - 1) |
				      v->shift << C88_ECX_ID_SHIFT;
		break;
	case FIX_TOPOLOGY:
		fix_topology(v, out);
		break;
	}
}
