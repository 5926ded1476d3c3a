// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID: the host's answers as the policy's input, each VM's table, and the
 * answers to its vCPUs. What the policy is stands in cpuid_policy.c, how an
 * answer is found in cpuid_answer.c.
 */
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched/stat.h>
#include <linux/slab.h>
#include <asm/apicdef.h>
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include "posada.h"
#include "cpuid_bits.h"
#include "cpuid_policy.h"

/* The kernel's numbers of feature words are the policy's. */
#define SAME_WORD(word, leaf)	static_assert((int)(word) == (int)(leaf))
SAME_WORD(WORD_1_EDX, CPUID_1_EDX);
SAME_WORD(WORD_80000001_EDX, CPUID_8000_0001_EDX);
SAME_WORD(WORD_1_ECX, CPUID_1_ECX);
SAME_WORD(WORD_80000001_ECX, CPUID_8000_0001_ECX);
SAME_WORD(WORD_7_EBX, CPUID_7_0_EBX);
SAME_WORD(WORD_D_1_EAX, CPUID_D_1_EAX);
SAME_WORD(WORD_7_1_EAX, CPUID_7_1_EAX);
SAME_WORD(WORD_80000008_EBX, CPUID_8000_0008_EBX);
SAME_WORD(WORD_6_EAX, CPUID_6_EAX);
SAME_WORD(WORD_7_ECX, CPUID_7_ECX);
SAME_WORD(WORD_7_EDX, CPUID_7_EDX);
SAME_WORD(WORD_80000021_EAX, CPUID_8000_0021_EAX);

#define SAME_BIT(bit, feature)	\
	static_assert((bit) == 1U << (X86_FEATURE_##feature & 31))
SAME_BIT(C1_ECX_PCID, PCID);
SAME_BIT(C1_ECX_XSAVE, XSAVE);
SAME_BIT(C1_EDX_PSE36, PSE36);
SAME_BIT(C7_EBX_FSGSBASE, FSGSBASE);
SAME_BIT(C7_EBX_SMAP, SMAP);
SAME_BIT(C7_EBX_SMEP, SMEP);
SAME_BIT(C7_ECX_LA57, LA57);
SAME_BIT(C7_ECX_PKU, PKU);
SAME_BIT(C7_ECX_UMIP, UMIP);
SAME_BIT(C7_EDX_SPEC_CTRL, SPEC_CTRL);
SAME_BIT(CD1_EAX_XSAVES, XSAVES);
SAME_BIT(C81_EDX_GBPAGES, GBPAGES);
SAME_BIT(C88_EBX_IBPB, AMD_IBPB);
SAME_BIT(C21_EAX_AUTOIBRS, AUTOIBRS);
static_assert(MASK_EFER_SCE == EFER_SCE && MASK_EFER_NX == EFER_NX);
static_assert(MASK_EFER_LME_LMA == (EFER_LME | EFER_LMA));
static_assert(MASK_EFER_FFXSR == EFER_FFXSR);
static_assert(MASK_SPEC_SSBD == SPEC_CTRL_SSBD);
static_assert(MASK_SPEC_STIBP == SPEC_CTRL_STIBP);

/* Where the host's kernel keeps what is left of each feature register. */
static const struct {
	u32 leaf, subleaf;
	u8 reg, word;
} kernel_words[] = {
	{ 1, 0, IN_EDX, CPUID_1_EDX },
	{ 1, 0, IN_ECX, CPUID_1_ECX },
	{ 7, 0, IN_EBX, CPUID_7_0_EBX },
	{ 7, 0, IN_ECX, CPUID_7_ECX },
	{ 7, 0, IN_EDX, CPUID_7_EDX },
	{ 7, 1, IN_EAX, CPUID_7_1_EAX },
	{ 0xd, 1, IN_EAX, CPUID_D_1_EAX },
	{ 0x80000001, 0, IN_EDX, CPUID_8000_0001_EDX },
	{ 0x80000001, 0, IN_ECX, CPUID_8000_0001_ECX },
	{ 0x80000008, 0, IN_EBX, CPUID_8000_0008_EBX },
	{ 0x80000021, 0, IN_EAX, CPUID_8000_0021_EAX },
};

/*
 * What the CPU has and the kernel left on: neither what clearcpuid= or a
 * quirk took away, nor the bits that the kernel makes up.
 */
static void host_cpuid(u32 leaf, u32 subleaf, u32 out[IN_REGS])
{
	u32 i, max = cpuid_eax(leaf & 0x80000000);

	memset(out, 0, IN_REGS * sizeof(*out));
	if (leaf > max)
		return;
	cpuid_count(leaf, subleaf, &out[IN_EAX], &out[IN_EBX],
		    &out[IN_ECX], &out[IN_EDX]);
	for (i = 0; i < ARRAY_SIZE(kernel_words); i++)
		if (kernel_words[i].leaf == leaf &&
		    kernel_words[i].subleaf == subleaf)
			out[kernel_words[i].reg] &=
				boot_cpu_data.x86_capability[kernel_words[i].word];
}

/* The default policy, made once: raw CPUID traps where the host is a VM. */
static struct posada_cpuid_entry policy[POSADA_MAX_CPUID];
static u32 policy_nr;
static DEFINE_MUTEX(policy_lock);

static u32 make_policy(void)
{
	const struct posada_cpuid_host host = {
		.cpuid = host_cpuid,
		.xcr0 = posada_host_xcr0,
		.phys_bits = boot_cpu_data.x86_phys_bits,
		.tsc_khz = posada_tsc_khz,
		.apic_khz = POSADA_APIC_TIMER_KHZ,
		.lfence_serializes = boot_cpu_has(X86_FEATURE_LFENCE_RDTSC),
		.steal_time = sched_info_on(),
	};

	mutex_lock(&policy_lock);
	if (!policy_nr)
		policy_nr = posada_cpuid_policy(&host, policy);
	mutex_unlock(&policy_lock);
	return policy_nr;
}

u32 posada_cpuid_default_entries(void)
{
	return make_policy();
}

static struct posada_cpuid_table *
make_table(const struct posada_cpuid_entry *e, u32 nr)
{
	struct posada_cpuid_table *t;

	t = kzalloc(struct_size(t, entry, nr), GFP_KERNEL_ACCOUNT);
	if (!t)
		return NULL;
	t->nr = nr;
	memcpy(t->entry, e, nr * sizeof(*e));
	posada_cpuid_compile(t);
	return t;
}

int posada_cpuid_init(struct posada_vm *vm)
{
	struct posada_cpuid_table *t = make_table(policy, make_policy());

	if (!t)
		return -ENOMEM;
	rcu_assign_pointer(vm->cpuid, t);
	return 0;
}

void posada_cpuid_free(struct posada_vm *vm)
{
	kfree(rcu_dereference_protected(vm->cpuid, 1));
	RCU_INIT_POINTER(vm->cpuid, NULL);
}

/* ---- the record ---- */

/*
 * At most *nr entries go to @e. Sets *nr to how many there are; -ENOSPC if
 * that is more.
 */
int posada_cpuid_save(struct posada_vm *vm, struct posada_cpuid_entry *e,
		      u32 *nr)
{
	const struct posada_cpuid_table *t;
	u32 i, room = *nr;

	t = rcu_dereference_protected(vm->cpuid, lockdep_is_held(&vm->lock));
	*nr = t->nr;
	if (room < t->nr)
		return -ENOSPC;
	for (i = 0; i < t->nr; i++) {
		e[i] = t->entry[i];
		e[i].pad = 0;
	}
	return 0;
}

/* A VM that ran may be given the table that it has, as when rolled back. */
static bool same_table(const struct posada_cpuid_table *a,
		       const struct posada_cpuid_table *b)
{
	return a->nr == b->nr &&
	       !memcmp(a->entry, b->entry, a->nr * sizeof(*a->entry));
}

int posada_cpuid_load(struct posada_vm *vm, const struct posada_cpuid_entry *e,
		      u32 nr, bool dry, u32 *bad_index)
{
	struct posada_cpuid_table *old, *t;
	int ret = posada_cpuid_check(policy, policy_nr, e, nr, bad_index);

	if (ret)
		return ret;
	t = make_table(e, nr);
	if (!t)
		return -ENOMEM;
	old = rcu_dereference_protected(vm->cpuid, lockdep_is_held(&vm->lock));
	if (vm->ran && !same_table(old, t))
		ret = -EBUSY;
	if (ret || dry || vm->ran) {
		kfree(t);
		return ret;
	}
	rcu_assign_pointer(vm->cpuid, t);
	/* Another vCPU's ioctl may be reading it. */
	kfree_rcu(old, rcu);
	return 0;
}

/* ---- answers ---- */

/* How many low bits of an APIC id tell this VM's vCPUs apart. */
static u32 id_bits(struct posada_vm *vm)
{
	struct posada_vcpu *vcpu;
	u32 i, max = 0;

	posada_for_each_vcpu(i, vcpu, vm)
		max = i;
	return order_base_2(max + 1);
}

/*
 * Where interrupts are still off since the guest was left, its XCR0 is live:
 * better than what the last intercepted XSETBV said, see run.c.
 */
static u64 live_xcr0(struct posada_vcpu *vcpu)
{
	if (boot_cpu_has(X86_FEATURE_XSAVE) &&
	    READ_ONCE(vcpu->mode) == POSADA_IN_GUEST)
		return xgetbv(XCR_XFEATURE_ENABLED_MASK);
	return vcpu->xcr0;
}

static void view_of(struct posada_vcpu *vcpu, struct posada_cpuid_view *v)
{
	struct posada_paging pg;

	posada_get_paging(vcpu, &pg);
	v->id = vcpu->id;
	v->count = READ_ONCE(vcpu->vm->nr_vcpus);
	v->shift = id_bits(vcpu->vm);
	v->cr4 = pg.cr4;
	v->xcr0 = live_xcr0(vcpu);
	v->xss = vcpu->msrs.xss;
	v->apic = vcpu->apic.base & MSR_IA32_APICBASE_ENABLE;
}

void posada_cpuid(struct posada_vcpu *vcpu, u32 leaf, u32 subleaf, u32 out[4])
{
	const struct posada_cpuid_table *t;
	const struct posada_cpuid_entry *e;
	struct posada_cpuid_view view;

	rcu_read_lock();
	t = rcu_dereference(vcpu->vm->cpuid);
	e = posada_cpuid_find(t, leaf, subleaf);
	out[IN_EAX] = e->eax;
	out[IN_EBX] = e->ebx;
	out[IN_ECX] = e->ecx;
	out[IN_EDX] = e->edx;
	if (e->pad) {
		view_of(vcpu, &view);
		posada_cpuid_fix(t, e, subleaf, &view, out);
	}
	rcu_read_unlock();
}

bool posada_cpuid_fast(struct posada_vcpu *vcpu)
{
	const struct posada_vm *vm = vcpu->vm;
	u64 *gpr = vcpu->regs.gpr;
	const struct posada_cpuid_entry *e;

	/* Once a vCPU ran, and this one does, the table stays. */
	e = posada_cpuid_plain(rcu_dereference_raw(vm->cpuid),
			       gpr[POSADA_RAX]);
	if (unlikely(!e))
		return false;
	gpr[POSADA_RAX] = e->eax;
	gpr[POSADA_RBX] = e->ebx;
	gpr[POSADA_RCX] = e->ecx;
	gpr[POSADA_RDX] = e->edx;
	return true;
}

/*
 * Feature words as the table has them; for a feature that no CPUID bit says,
 * or that the policy knows no word of: no.
 */
bool posada_cpuid_has(struct posada_vm *vm, unsigned int x86_feature)
{
	unsigned int word = x86_feature >> 5;
	bool has;

	if (word >= CPUID_WORDS)
		return false;
	rcu_read_lock();
	has = rcu_dereference(vm->cpuid)->word[word] >> (x86_feature & 31) & 1;
	rcu_read_unlock();
	return has;
}

bool posada_cpuid_amd(struct posada_vm *vm)
{
	bool amd;

	rcu_read_lock();
	amd = rcu_dereference(vm->cpuid)->amd;
	rcu_read_unlock();
	return amd;
}

/* One of the table's u64, by its offset. */
static u64 fact(struct posada_vm *vm, size_t offset)
{
	u64 value;

	rcu_read_lock();
	value = *(u64 *)((void *)rcu_dereference(vm->cpuid) + offset);
	rcu_read_unlock();
	return value;
}

u64 posada_cpuid_cr4_mask(struct posada_vm *vm)
{
	return fact(vm, offsetof(struct posada_cpuid_table, cr4));
}

u64 posada_cpuid_xcr0_mask(struct posada_vm *vm)
{
	return fact(vm, offsetof(struct posada_cpuid_table, xcr0));
}

u64 posada_cpuid_xss_mask(struct posada_vm *vm)
{
	return fact(vm, offsetof(struct posada_cpuid_table, xss));
}

u64 posada_cpuid_efer_mask(struct posada_vm *vm)
{
	return fact(vm, offsetof(struct posada_cpuid_table, efer));
}

u64 posada_cpuid_spec_ctrl_mask(struct posada_vm *vm)
{
	return fact(vm, offsetof(struct posada_cpuid_table, spec_ctrl));
}

u32 posada_cpuid_phys_bits(struct posada_vm *vm)
{
	return fact(vm, offsetof(struct posada_cpuid_table, phys_bits));
}

u32 posada_cpuid_virt_bits(struct posada_vm *vm)
{
	return fact(vm, offsetof(struct posada_cpuid_table, virt_bits));
}

/* SDM volume 2, "XSETBV": components that need one another. */
bool posada_xcr0_valid(u64 value, u64 mask)
{
	u64 avx512 = value & XFEATURE_MASK_AVX512;

	if (value & ~mask || !(value & XFEATURE_MASK_FP))
		return false;
	if ((value & XFEATURE_MASK_YMM) && !(value & XFEATURE_MASK_SSE))
		return false;
	return !avx512 || (avx512 == XFEATURE_MASK_AVX512 &&
			   (value & XFEATURE_MASK_YMM));
}
