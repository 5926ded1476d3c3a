/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Names of CPUID bits, C<leaf>_<register>_<feature>. The kernel's own names
 * are not to be had in userspace, where the policy is tested as well; cpuid.c
 * asserts that both agree.
 */
#ifndef POSADA_CPUID_BITS_H
#define POSADA_CPUID_BITS_H

/* Leaf 1. */
#define C1_EBX_CLFLUSH_MASK	0x0000ff00U
#define C1_EBX_COUNT_SHIFT	16
#define C1_EBX_COUNT_MASK	0x00ff0000U
#define C1_EBX_ID_SHIFT		24
#define C1_EBX_ID_MASK		0xff000000U

#define C1_ECX_SSE3		(1U << 0)
#define C1_ECX_PCLMULQDQ	(1U << 1)
#define C1_ECX_SSSE3		(1U << 9)
#define C1_ECX_FMA		(1U << 12)
#define C1_ECX_CX16		(1U << 13)
#define C1_ECX_PCID		(1U << 17)
#define C1_ECX_SSE4_1		(1U << 19)
#define C1_ECX_SSE4_2		(1U << 20)
#define C1_ECX_X2APIC		(1U << 21)
#define C1_ECX_MOVBE		(1U << 22)
#define C1_ECX_POPCNT		(1U << 23)
#define C1_ECX_TSC_DEADLINE	(1U << 24)
#define C1_ECX_AES		(1U << 25)
#define C1_ECX_XSAVE		(1U << 26)
#define C1_ECX_OSXSAVE		(1U << 27)
#define C1_ECX_AVX		(1U << 28)
#define C1_ECX_F16C		(1U << 29)
#define C1_ECX_RDRAND		(1U << 30)
#define C1_ECX_HYPERVISOR	(1U << 31)

#define C1_EDX_FPU		(1U << 0)
#define C1_EDX_VME		(1U << 1)
#define C1_EDX_DE		(1U << 2)
#define C1_EDX_PSE		(1U << 3)
#define C1_EDX_TSC		(1U << 4)
#define C1_EDX_MSR		(1U << 5)
#define C1_EDX_PAE		(1U << 6)
#define C1_EDX_MCE		(1U << 7)
#define C1_EDX_CX8		(1U << 8)
#define C1_EDX_APIC		(1U << 9)
#define C1_EDX_SEP		(1U << 11)
#define C1_EDX_MTRR		(1U << 12)
#define C1_EDX_PGE		(1U << 13)
#define C1_EDX_MCA		(1U << 14)
#define C1_EDX_CMOV		(1U << 15)
#define C1_EDX_PAT		(1U << 16)
#define C1_EDX_PSE36		(1U << 17)
#define C1_EDX_CLFSH		(1U << 19)
#define C1_EDX_MMX		(1U << 23)
#define C1_EDX_FXSR		(1U << 24)
#define C1_EDX_SSE		(1U << 25)
#define C1_EDX_SSE2		(1U << 26)
#define C1_EDX_SS		(1U << 27)
#define C1_EDX_HTT		(1U << 28)

/* Leaf 4 and 0x8000001d, EAX. */
#define CACHE_TYPE_MASK		0x0000001fU
#define CACHE_LEVEL_SHIFT	5
#define CACHE_LEVEL_MASK	0x000000e0U
#define CACHE_SHARING_SHIFT	14
#define CACHE_SHARING_MASK	0x03ffc000U
#define CACHE_CORES_SHIFT	26
#define CACHE_CORES_MASK	0xfc000000U
#define CACHE_CORES_MAX		63U

/* Leaf 6. */
#define C6_EAX_ARAT		(1U << 2)

/* Leaf 7. */
#define C7_EBX_FSGSBASE		(1U << 0)
#define C7_EBX_TSC_ADJUST	(1U << 1)
#define C7_EBX_BMI1		(1U << 3)
#define C7_EBX_HLE		(1U << 4)
#define C7_EBX_AVX2		(1U << 5)
#define C7_EBX_FDP_EXCPTN_ONLY	(1U << 6)
#define C7_EBX_SMEP		(1U << 7)
#define C7_EBX_BMI2		(1U << 8)
#define C7_EBX_ERMS		(1U << 9)
#define C7_EBX_INVPCID		(1U << 10)
#define C7_EBX_RTM		(1U << 11)
#define C7_EBX_ZERO_FCS_FDS	(1U << 13)
#define C7_EBX_AVX512F		(1U << 16)
#define C7_EBX_AVX512DQ		(1U << 17)
#define C7_EBX_RDSEED		(1U << 18)
#define C7_EBX_ADX		(1U << 19)
#define C7_EBX_SMAP		(1U << 20)
#define C7_EBX_AVX512IFMA	(1U << 21)
#define C7_EBX_CLFLUSHOPT	(1U << 23)
#define C7_EBX_CLWB		(1U << 24)
#define C7_EBX_AVX512PF		(1U << 26)
#define C7_EBX_AVX512ER		(1U << 27)
#define C7_EBX_AVX512CD		(1U << 28)
#define C7_EBX_SHA_NI		(1U << 29)
#define C7_EBX_AVX512BW		(1U << 30)
#define C7_EBX_AVX512VL		(1U << 31)

#define C7_ECX_AVX512VBMI	(1U << 1)
#define C7_ECX_UMIP		(1U << 2)
#define C7_ECX_PKU		(1U << 3)
#define C7_ECX_OSPKE		(1U << 4)
#define C7_ECX_AVX512_VBMI2	(1U << 6)
#define C7_ECX_GFNI		(1U << 8)
#define C7_ECX_VAES		(1U << 9)
#define C7_ECX_VPCLMULQDQ	(1U << 10)
#define C7_ECX_AVX512_VNNI	(1U << 11)
#define C7_ECX_AVX512_BITALG	(1U << 12)
#define C7_ECX_AVX512_VPOPCNTDQ	(1U << 14)
#define C7_ECX_LA57		(1U << 16)
#define C7_ECX_RDPID		(1U << 22)
#define C7_ECX_CLDEMOTE		(1U << 25)
#define C7_ECX_MOVDIRI		(1U << 27)
#define C7_ECX_MOVDIR64B	(1U << 28)

#define C7_EDX_AVX512_4VNNIW	(1U << 2)
#define C7_EDX_AVX512_4FMAPS	(1U << 3)
#define C7_EDX_FSRM		(1U << 4)
#define C7_EDX_AVX512_VP2INTERSECT (1U << 8)
#define C7_EDX_MD_CLEAR		(1U << 10)
#define C7_EDX_RTM_ALWAYS_ABORT	(1U << 11)
#define C7_EDX_SERIALIZE	(1U << 14)
#define C7_EDX_TSXLDTRK		(1U << 16)
#define C7_EDX_AVX512_FP16	(1U << 23)
#define C7_EDX_SPEC_CTRL	(1U << 26)
#define C7_EDX_INTEL_STIBP	(1U << 27)
#define C7_EDX_FLUSH_L1D	(1U << 28)
#define C7_EDX_ARCH_CAPABILITIES (1U << 29)
#define C7_EDX_SPEC_CTRL_SSBD	(1U << 31)

#define C71_EAX_AVX_VNNI	(1U << 4)
#define C71_EAX_AVX512_BF16	(1U << 5)
#define C71_EAX_CMPCCXADD	(1U << 7)
#define C71_EAX_FZRM		(1U << 10)
#define C71_EAX_FSRS		(1U << 11)
#define C71_EAX_FSRC		(1U << 12)
#define C71_EAX_AVX_IFMA	(1U << 23)
#define C71_EDX_AVX_VNNI_INT8	(1U << 4)
#define C71_EDX_AVX_NE_CONVERT	(1U << 5)
#define C71_EDX_PREFETCHITI	(1U << 14)

#define C72_EDX_PSFD		(1U << 0)
#define C72_EDX_IPRED_CTRL	(1U << 1)
#define C72_EDX_RRSBA_CTRL	(1U << 2)
#define C72_EDX_DDPD_U		(1U << 3)
#define C72_EDX_BHI_CTRL	(1U << 4)
#define C72_EDX_MCDT_NO		(1U << 5)

/* Leaf 0xb and 0x1f, ECX. */
#define LEVEL_NUMBER_MASK	0x000000ffU
#define LEVEL_TYPE_SHIFT	8
#define LEVEL_TYPE_SMT		1U
#define LEVEL_TYPE_CORE		2U

/* Leaf 0xd. */
#define CD1_EAX_XSAVEOPT	(1U << 0)
#define CD1_EAX_XSAVEC		(1U << 1)
#define CD1_EAX_XGETBV1		(1U << 2)
#define CD1_EAX_XSAVES		(1U << 3)
#define CDN_ECX_SUPERVISOR	(1U << 0)
#define CDN_ECX_ALIGN64		(1U << 1)

/* Leaf 0x80000001. */
#define C81_ECX_LAHF_LM		(1U << 0)
#define C81_ECX_CMP_LEGACY	(1U << 1)
#define C81_ECX_CR8_LEGACY	(1U << 4)
#define C81_ECX_ABM		(1U << 5)
#define C81_ECX_SSE4A		(1U << 6)
#define C81_ECX_MISALIGNSSE	(1U << 7)
#define C81_ECX_3DNOWPREFETCH	(1U << 8)
#define C81_ECX_OSVW		(1U << 9)
#define C81_ECX_XOP		(1U << 11)
#define C81_ECX_FMA4		(1U << 16)
#define C81_ECX_TBM		(1U << 21)
#define C81_ECX_TOPOEXT		(1U << 22)

#define C81_EDX_APIC		(1U << 9)
#define C81_EDX_SYSCALL		(1U << 11)
#define C81_EDX_NX		(1U << 20)
#define C81_EDX_MMXEXT		(1U << 22)
#define C81_EDX_FXSR_OPT	(1U << 25)
#define C81_EDX_GBPAGES		(1U << 26)
#define C81_EDX_RDTSCP		(1U << 27)
#define C81_EDX_LM		(1U << 29)
#define C81_EDX_3DNOWEXT	(1U << 30)
#define C81_EDX_3DNOW		(1U << 31)
/* AMD repeats these of leaf 1, at the same places. */
#define C81_EDX_AS_LEAF_1	(C1_EDX_FPU | C1_EDX_VME | C1_EDX_DE |	\
				 C1_EDX_PSE | C1_EDX_TSC | C1_EDX_MSR |	\
				 C1_EDX_PAE | C1_EDX_MCE | C1_EDX_CX8 |	\
				 C1_EDX_APIC | C1_EDX_MTRR | C1_EDX_PGE | \
				 C1_EDX_MCA | C1_EDX_CMOV | C1_EDX_PAT | \
				 C1_EDX_PSE36 | C1_EDX_MMX | C1_EDX_FXSR)

/* Leaf 0x80000007. */
#define C87_EDX_INVARIANT_TSC	(1U << 8)

/* Leaf 0x80000008. */
#define C88_EAX_PHYS_MASK	0x000000ffU
#define C88_EAX_VIRT_SHIFT	8
#define C88_EAX_VIRT_MASK	0x0000ff00U
#define C88_EBX_CLZERO		(1U << 0)
#define C88_EBX_XSAVEERPTR	(1U << 2)
#define C88_EBX_IBPB		(1U << 12)
#define C88_EBX_IBRS		(1U << 14)
#define C88_EBX_STIBP		(1U << 15)
#define C88_EBX_STIBP_ALWAYS_ON	(1U << 17)
#define C88_EBX_IBRS_SAME_MODE	(1U << 19)
#define C88_EBX_SSBD		(1U << 24)
#define C88_EBX_SSB_NO		(1U << 26)
#define C88_EBX_PSFD		(1U << 28)
#define C88_EBX_BTC_NO		(1U << 29)
#define C88_EBX_IBPB_RET	(1U << 30)
#define C88_ECX_ID_SHIFT	12

/* Leaf 0x8000001e, EBX. */
#define C1E_EBX_CORE_MASK	0x000000ffU
#define C1E_EBX_THREADS_SHIFT	8

/* Leaf 0x80000021. */
#define C21_EAX_NO_NESTED_DATA_BP (1U << 0)
#define C21_EAX_LFENCE_RDTSC	(1U << 2)
#define C21_EAX_VERW_CLEAR	(1U << 5)
#define C21_EAX_NULL_SEL_CLR_BASE (1U << 6)
#define C21_EAX_AUTOIBRS	(1U << 8)
#define C21_EAX_NO_SMM_CTL_MSR	(1U << 9)
#define C21_EAX_FSRS		(1U << 10)
#define C21_EAX_FSRC		(1U << 11)
#define C21_EAX_SBPB		(1U << 27)
#define C21_EAX_IBPB_BRTYPE	(1U << 28)
#define C21_EAX_SRSO_NO		(1U << 29)
#define C21_EAX_SRSO_USER_KERNEL_NO (1U << 30)
#define C21_ECX_TSA_SQ_NO	(1U << 1)
#define C21_ECX_TSA_L1_NO	(1U << 2)

/* EFER and SPEC_CTRL bits that features bring. */
#define MASK_EFER_SCE		(1ULL << 0)
#define MASK_EFER_LME_LMA	(1ULL << 8 | 1ULL << 10)
#define MASK_EFER_NX		(1ULL << 11)
#define MASK_EFER_FFXSR		(1ULL << 14)
#define MASK_EFER_AUTOIBRS	(1ULL << 21)
#define MASK_SPEC_IBRS		(1ULL << 0)
#define MASK_SPEC_STIBP		(1ULL << 1)
#define MASK_SPEC_SSBD		(1ULL << 2)
#define MASK_SPEC_IPRED		(1ULL << 3 | 1ULL << 4)
#define MASK_SPEC_RRSBA		(1ULL << 5 | 1ULL << 6)
#define MASK_SPEC_PSFD		(1ULL << 7)
#define MASK_SPEC_DDPD		(1ULL << 8)
#define MASK_SPEC_BHI		(1ULL << 10)

#endif /* POSADA_CPUID_BITS_H */
