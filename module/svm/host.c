// SPDX-License-Identifier: GPL-2.0
/*
 * The SVM backend's host side: what a host must have, its CPUs, and KVM.
 *
 * SVME is shared with KVM by manners: while kvm.ko is loaded, this backend
 * sets EFER.SVME for the length of one series of entries, interrupts off,
 * unless KVM has set it; KVM, which refuses a CPU with SVME set, never sees ours.
 */
#include <asm/processor.h>
#include "svm.h"

#define SVM_FEATURE_NP		BIT(0)	/* CPUID 0x8000000a EDX */
#define SVM_MSRPM_ORDER		1	/* 8 KiB */
#define SVM_IOPM_ORDER		2	/* 12 KiB, rounded up */

DEFINE_PER_CPU(struct svm_cpu, svm_cpus);

u32 svm_max_asid;
void *svm_iopm;
void *svm_msrpm;
void *svm_msrpm_spec;

/* MSRs that the CPU switches itself: the guest has them without exits. */
static const u32 svm_direct_msrs[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK, MSR_KERNEL_GS_BASE,
	MSR_FS_BASE, MSR_GS_BASE,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

/* Clear both bits of @msr in the permission map: APM, "MSR Intercepts". */
static void svm_allow_msr(u8 *map, u32 msr)
{
	u32 index = msr & 0x1fff;
	u32 base = msr < 0x2000 ? 0 : msr < 0xc0010000 ? 0x800 : 0x1000;

	map[base + index / 4] &= ~(3 << (index % 4 * 2));
}

static __must_check int svm_alloc_maps(void)
{
	int i;

	svm_iopm = posada_keep_pages(SVM_IOPM_ORDER);
	svm_msrpm = posada_keep_pages(SVM_MSRPM_ORDER);
	svm_msrpm_spec = posada_keep_pages(SVM_MSRPM_ORDER);
	if (!svm_iopm || !svm_msrpm || !svm_msrpm_spec)
		return -ENOMEM;
	memset(svm_iopm, 0xff, PAGE_SIZE << SVM_IOPM_ORDER);
	memset(svm_msrpm, 0xff, PAGE_SIZE << SVM_MSRPM_ORDER);
	for (i = 0; i < ARRAY_SIZE(svm_direct_msrs); i++)
		svm_allow_msr(svm_msrpm, svm_direct_msrs[i]);
	memcpy(svm_msrpm_spec, svm_msrpm, PAGE_SIZE << SVM_MSRPM_ORDER);
	svm_allow_msr(svm_msrpm_spec, MSR_IA32_SPEC_CTRL);
	svm_allow_msr(svm_msrpm_spec, MSR_IA32_PRED_CMD);
	return 0;
}

static __must_check int svm_alloc_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct svm_cpu *c = per_cpu_ptr(&svm_cpus, cpu);
		void *host = posada_keep_pages(0);
		void *hsave = posada_keep_pages(0);

		if (!host || !hsave)
			return -ENOMEM;
		c->host_pa = __pa(host);
		c->hsave_pa = __pa(hsave);
		c->asid_gen = 1;
	}
	return 0;
}

static void svm_ipi_taken(void *taken)
{
	if (svm_read_efer() & EFER_SVME)
		atomic_inc(taken);
}

/* Does a hypervisor that is not KVM hold SVM on some CPU? */
static bool svm_taken(void)
{
	atomic_t taken = ATOMIC_INIT(0);

	on_each_cpu(svm_ipi_taken, &taken, 1);
	return atomic_read(&taken);
}

void svm_cpu_down(void)
{
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);

	if (svm_owns_cpu(cpu))
		svm_disable(svm_read_efer());
	else if (native_read_msr(MSR_VM_HSAVE_PA) == cpu->hsave_pa)
		native_wrmsrl(MSR_VM_HSAVE_PA, 0);
	cpu->up = false;
}

static int svm_check(const char **why)
{
	u64 vm_cr;

	if (cpuid_eax(0x80000000) < SVM_CPUID_FUNC ||
	    !(cpuid_ecx(0x80000001) & BIT(X86_FEATURE_SVM & 31))) {
		*why = "this CPU offers no AMD SVM";
		return -ENODEV;
	}
	if (rdmsrl_safe(MSR_VM_CR, &vm_cr) ||
	    (vm_cr & SVM_VM_CR_SVM_DIS_MASK)) {
		*why = "SVM is disabled by the firmware: enable it in its setup";
		return -EPERM;
	}
	if (!(cpuid_edx(SVM_CPUID_FUNC) & SVM_FEATURE_NP)) {
		*why = "this CPU has SVM without nested paging (NPT)";
		return -EOPNOTSUPP;
	}
	if (!static_key_enabled(&posada_polite) && svm_taken()) {
		*why = "another hypervisor holds SVM: stop it first";
		return -EBUSY;
	}
	return 0;
}

int svm_probe(const char **why)
{
	struct posada_backend *b = &posada_svm;
	int r = svm_check(why);

	if (r)
		return r;
	if (svm_alloc_maps() || svm_alloc_cpus())
		return -ENOMEM;
	svm_max_asid = cpuid_ebx(SVM_CPUID_FUNC) - 1;
	b->pt_levels = pgtable_l5_enabled() ? 5 : 4;
	b->features = POSADA_FEATURE_DIRTY_LOG;
	if (boot_cpu_has(X86_FEATURE_NRIPS))
		b->features |= POSADA_FEATURE_NEXT_RIP;
	if (boot_cpu_has(X86_FEATURE_DECODEASSISTS))
		b->features |= POSADA_FEATURE_DECODE_ASSIST;
	if (boot_cpu_has(X86_FEATURE_PAUSEFILTER))
		b->features |= POSADA_FEATURE_PAUSE_FILTER;
	if (boot_cpu_has(X86_FEATURE_GBPAGES))
		b->features |= POSADA_FEATURE_GIB_PAGES;
	return 0;
}
