// SPDX-License-Identifier: GPL-2.0-only
/*
 * The MSRs that guests have, as one sorted table, and what reading, checking
 * and writing each means. What is not in it does not exist.
 */
#include <linux/kernel.h>
#include <linux/nospec.h>
#include <asm/cpufeature.h>
#include <asm/kvm_para.h>
#include <asm/mce.h>
#include <asm/msr.h>
#include <asm/mtrr.h>
#include "../uapi/posada_hypercall.h"
#include "msr.h"

/* ---- constants, and values that the core keeps ---- */

static void read_value(struct posada_vcpu *vcpu, const struct msr_row *row,
		       u32 index, u64 *value)
{
	*value = row->value;
}

static int write_nothing(struct posada_vcpu *vcpu, const struct msr_row *row,
			 u32 index, u64 value, enum posada_msr_by by)
{
	return 0;
}

static u64 *field_of(struct posada_vcpu *vcpu, const struct msr_row *row,
		     u32 index)
{
	u32 i = array_index_nospec(index - row->first, row->count);

	return (u64 *)((void *)&vcpu->msrs + row->offset) + i;
}

static void read_field(struct posada_vcpu *vcpu, const struct msr_row *row,
		       u32 index, u64 *value)
{
	*value = *field_of(vcpu, row, index);
}

static int write_field(struct posada_vcpu *vcpu, const struct msr_row *row,
		       u32 index, u64 value, enum posada_msr_by by)
{
	*field_of(vcpu, row, index) = value;
	return 0;
}

/* Facts about the CPU: the VMM may set them, the guest's writes are lost. */
static int write_field_host(struct posada_vcpu *vcpu,
			    const struct msr_row *row, u32 index, u64 value,
			    enum posada_msr_by by)
{
	if (by == POSADA_BY_HOST)
		*field_of(vcpu, row, index) = value;
	return 0;
}

/* ---- registers that the CPU switches ---- */

static void read_backend(struct posada_vcpu *vcpu, const struct msr_row *row,
			 u32 index, u64 *value)
{
	if (vcpu->ops->get_reg(vcpu, index, value))
		*value = 0;
}

static int write_backend(struct posada_vcpu *vcpu, const struct msr_row *row,
			 u32 index, u64 value, enum posada_msr_by by)
{
	vcpu->ops->set_reg(vcpu, index, value);
	return 0;
}

/*
 * A linear address: bits above the CPU's width all equal to the highest of
 * it. The width is what the CPU has, whatever CR4.LA57 is now.
 */
static int check_canonical(struct posada_vcpu *vcpu,
			   const struct msr_row *row, u32 index, u64 value)
{
	u32 unused = 64 - posada_cpuid_virt_bits(vcpu->vm);

	return (u64)((s64)(value << unused) >> unused) == value ? 0 : -EINVAL;
}

static bool memory_type_valid(u8 type, bool uc_minus)
{
	switch (type) {
	case MTRR_TYPE_UNCACHABLE:
	case MTRR_TYPE_WRCOMB:
	case MTRR_TYPE_WRTHROUGH:
	case MTRR_TYPE_WRPROT:
	case MTRR_TYPE_WRBACK:
		return true;
	case 7:	/* UC-, which a PAT may have and an MTRR may not */
		return uc_minus;
	default:
		return false;
	}
}

static int check_types(u64 value, bool uc_minus)
{
	u32 shift;

	for (shift = 0; shift < 64; shift += 8)
		if (!memory_type_valid(value >> shift, uc_minus))
			return -EINVAL;
	return 0;
}

static int check_pat(struct posada_vcpu *vcpu, const struct msr_row *row,
		     u32 index, u64 value)
{
	return check_types(value, true);
}

static int check_spec_ctrl(struct posada_vcpu *vcpu,
			   const struct msr_row *row, u32 index, u64 value)
{
	return value & ~posada_cpuid_spec_ctrl_mask(vcpu->vm) ? -EINVAL : 0;
}

/* A command: there is nothing to read. */
static int check_pred_cmd(struct posada_vcpu *vcpu, const struct msr_row *row,
			  u32 index, u64 value)
{
	if (value & PRED_CMD_SBPB &&
	    !posada_cpuid_has(vcpu->vm, X86_FEATURE_SBPB))
		return -EINVAL;
	return 0;
}

static int write_pred_cmd(struct posada_vcpu *vcpu,
			  const struct msr_row *row, u32 index, u64 value,
			  enum posada_msr_by by)
{
	if (by != POSADA_BY_GUEST || !value)
		return 0;
	wrmsrl(MSR_IA32_PRED_CMD, value);
	/* Lest the next one be an exit, too. */
	vcpu->ops->set_reg(vcpu, index, value);
	return 0;
}

static int write_flush_cmd(struct posada_vcpu *vcpu,
			   const struct msr_row *row, u32 index, u64 value,
			   enum posada_msr_by by)
{
	if (by == POSADA_BY_GUEST && value)
		wrmsrl(MSR_IA32_FLUSH_CMD, value);
	return 0;
}

/* ---- EFER ---- */

static void read_efer(struct posada_vcpu *vcpu, const struct msr_row *row,
		      u32 index, u64 *value)
{
	struct posada_paging pg;

	posada_get_paging(vcpu, &pg);
	*value = pg.efer;
}

static int check_efer(struct posada_vcpu *vcpu, const struct msr_row *row,
		      u32 index, u64 value)
{
	struct posada_paging pg;

	if (value & ~posada_cpuid_efer_mask(vcpu->vm))
		return -EINVAL;
	posada_get_paging(vcpu, &pg);
	if ((pg.cr0 & X86_CR0_PG) && ((pg.efer ^ value) & EFER_LME))
		return -EINVAL;
	return 0;
}

/* LMA is the CPU's own to set: it follows LME and CR0.PG. */
static int write_efer(struct posada_vcpu *vcpu, const struct msr_row *row,
		      u32 index, u64 value, enum posada_msr_by by)
{
	struct posada_sregs s;

	posada_get_sregs(vcpu, &s);
	s.efer = (value & ~EFER_LMA) | (s.efer & EFER_LMA);
	vcpu->ops->set_sregs(vcpu, &s);
	return 0;
}

/* ---- time ---- */

static void read_tsc(struct posada_vcpu *vcpu, const struct msr_row *row,
		     u32 index, u64 *value)
{
	*value = posada_guest_tsc(vcpu);
}

/* TSC_ADJUST tells by how much software has moved this TSC. */
static int write_tsc(struct posada_vcpu *vcpu, const struct msr_row *row,
		     u32 index, u64 value, enum posada_msr_by by)
{
	u64 offset = value - rdtsc();

	if (by == POSADA_BY_HOST) {
		posada_set_guest_tsc(vcpu, value);
		return 0;
	}
	vcpu->msrs.tsc_adjust += offset - vcpu->tsc_offset;
	posada_set_tsc_offset(vcpu, offset);
	return 0;
}

/* A record has the TSC itself, too: don't move it twice. */
static int write_tsc_adjust(struct posada_vcpu *vcpu,
			    const struct msr_row *row, u32 index, u64 value,
			    enum posada_msr_by by)
{
	u64 delta = value - vcpu->msrs.tsc_adjust;

	vcpu->msrs.tsc_adjust = value;
	if (by == POSADA_BY_GUEST && delta)
		posada_set_tsc_offset(vcpu, vcpu->tsc_offset + delta);
	return 0;
}

static void read_deadline(struct posada_vcpu *vcpu, const struct msr_row *row,
			  u32 index, u64 *value)
{
	*value = posada_timer_get_deadline(vcpu);
}

/* The APIC's record has the deadline. */
static int write_deadline(struct posada_vcpu *vcpu,
			  const struct msr_row *row, u32 index, u64 value,
			  enum posada_msr_by by)
{
	if (by == POSADA_BY_GUEST)
		posada_timer_set_deadline(vcpu, value);
	return 0;
}

/* ---- memory types: kept for the guest; the second level decides ---- */

#define MTRR_RANGES		8	/* variable ranges */
#define MTRR_HAS_FIXED		BIT(8)
#define MTRR_HAS_WC		BIT(10)
#define MTRR_CAP		(MTRR_RANGES | MTRR_HAS_FIXED | MTRR_HAS_WC)
#define MTRR_DEF_TYPE		0xffULL
#define MTRR_DEF_FIXED_ENABLE	BIT_ULL(10)
#define MTRR_DEF_ENABLE		BIT_ULL(11)
#define MTRR_MASK_VALID		BIT_ULL(11)
#define MSR_MTRR_VARIABLE	0x200	/* base 0, mask 0, base 1, ... */

static_assert(ARRAY_SIZE(((struct posada_msrs *)0)->mtrr_variable) ==
	      2 * MTRR_RANGES);

static int check_mtrr_default(struct posada_vcpu *vcpu,
			      const struct msr_row *row, u32 index, u64 value)
{
	return memory_type_valid(value & MTRR_DEF_TYPE, false) ? 0 : -EINVAL;
}

static int check_mtrr_fixed(struct posada_vcpu *vcpu,
			    const struct msr_row *row, u32 index, u64 value)
{
	return check_types(value, false);
}

static int check_mtrr_variable(struct posada_vcpu *vcpu,
			       const struct msr_row *row, u32 index, u64 value)
{
	u64 address = GENMASK_ULL(posada_cpuid_phys_bits(vcpu->vm) - 1,
				  PAGE_SHIFT);

	if (index & 1)
		return value & ~(address | MTRR_MASK_VALID) ? -EINVAL : 0;
	if (value & ~(address | MTRR_DEF_TYPE))
		return -EINVAL;
	return check_mtrr_default(vcpu, row, index, value);
}

/* ---- odds and ends ---- */

#define MISC_ENABLE_READ_ONLY	(MSR_IA32_MISC_ENABLE_EMON |		\
				 MSR_IA32_MISC_ENABLE_BTS_UNAVAIL |	\
				 MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL)
#define MISC_ENABLE_VALID	(MISC_ENABLE_READ_ONLY |		\
				 MSR_IA32_MISC_ENABLE_FAST_STRING |	\
				 MSR_IA32_MISC_ENABLE_TM1 |		\
				 MSR_IA32_MISC_ENABLE_ENHANCED_SPEEDSTEP | \
				 MSR_IA32_MISC_ENABLE_XTPR_DISABLE |	\
				 MSR_IA32_MISC_ENABLE_TURBO_DISABLE)
#define MISC_ENABLE_RESET	(MSR_IA32_MISC_ENABLE_FAST_STRING |	\
				 MSR_IA32_MISC_ENABLE_BTS_UNAVAIL |	\
				 MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL)

static int write_misc_enable(struct posada_vcpu *vcpu,
			     const struct msr_row *row, u32 index, u64 value,
			     enum posada_msr_by by)
{
	u64 keep = by == POSADA_BY_GUEST ? MISC_ENABLE_READ_ONLY : 0;

	vcpu->msrs.misc_enable = (value & ~keep) |
				 (vcpu->msrs.misc_enable & keep);
	return 0;
}

/*
 * What guests may know of the host's immunity: nothing that is controlled by
 * an MSR which they don't have.
 */
#define ARCH_CAPS_KNOWN							\
	(ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_RSBA |		\
	 ARCH_CAP_SKIP_VMENTRY_L1DFLUSH | ARCH_CAP_SSB_NO |		\
	 ARCH_CAP_MDS_NO | ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO |	\
	 ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO |	\
	 ARCH_CAP_FB_CLEAR | ARCH_CAP_RRSBA | ARCH_CAP_BHI_NO |		\
	 ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO |	\
	 ARCH_CAP_RFDS_CLEAR | ARCH_CAP_ITS_NO)

static u64 host_arch_caps(void)
{
	u64 caps = 0;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl_safe(MSR_IA32_ARCH_CAPABILITIES, &caps);
	return caps & ARCH_CAPS_KNOWN;
}

static int check_arch_caps(struct posada_vcpu *vcpu,
			   const struct msr_row *row, u32 index, u64 value)
{
	return value & ~host_arch_caps() ? -EOPNOTSUPP : 0;
}

static int check_xss(struct posada_vcpu *vcpu, const struct msr_row *row,
		     u32 index, u64 value)
{
	return value & ~posada_cpuid_xss_mask(vcpu->vm) ? -EINVAL : 0;
}

#define HWCR_TLB_CACHE_DIS	BIT_ULL(3)
#define HWCR_FF_DIS		BIT_ULL(6)
#define HWCR_IGNNE		BIT_ULL(8)
#define HWCR_MC_STATUS_WR	BIT_ULL(18)
#define HWCR_TSC_FREQ_SEL	BIT_ULL(24) /* the TSC counts at P0's rate */
#define HWCR_KEPT		(HWCR_MC_STATUS_WR | HWCR_TSC_FREQ_SEL)
#define HWCR_VALID		(HWCR_KEPT | HWCR_TLB_CACHE_DIS |	\
				 HWCR_FF_DIS | HWCR_IGNNE)

static int write_hwcr(struct posada_vcpu *vcpu, const struct msr_row *row,
		      u32 index, u64 value, enum posada_msr_by by)
{
	vcpu->msrs.hwcr = value & HWCR_KEPT;
	return 0;
}

static void read_de_cfg(struct posada_vcpu *vcpu, const struct msr_row *row,
			u32 index, u64 *value)
{
	*value = boot_cpu_has(X86_FEATURE_LFENCE_RDTSC) ?
		 MSR_AMD64_DE_CFG_LFENCE_SERIALIZE : 0;
}

/* ---- paravirtual ones ---- */

/* The gpa of something, and flags in the bits below its alignment. */
static int check_gpa(struct posada_vcpu *vcpu, const struct msr_row *row,
		     u32 index, u64 value)
{
	return value >> posada_cpuid_phys_bits(vcpu->vm) ? -EINVAL : 0;
}

/* The old and the new number of an MSR are one register. */
static u64 *kvm_msr(struct posada_vcpu *vcpu, u32 index)
{
	switch (index) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		return &vcpu->msrs.wall_clock;
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		return &vcpu->msrs.system_time;
	case MSR_KVM_STEAL_TIME:
		return &vcpu->msrs.steal_time;
	default:
		return &vcpu->msrs.poll_control;
	}
}

static void read_kvm(struct posada_vcpu *vcpu, const struct msr_row *row,
		     u32 index, u64 *value)
{
	*value = *kvm_msr(vcpu, index);
}

/* The wall clock is written on each WRMSR: a record's stays in memory. */
static int write_kvm(struct posada_vcpu *vcpu, const struct msr_row *row,
		     u32 index, u64 value, enum posada_msr_by by)
{
	*kvm_msr(vcpu, index) = value;
	if (by == POSADA_BY_GUEST || (index != MSR_KVM_WALL_CLOCK &&
				      index != MSR_KVM_WALL_CLOCK_NEW))
		posada_clock_msr(vcpu, index, value);
	return 0;
}

static int write_hypercall(struct posada_vcpu *vcpu,
			   const struct msr_row *row, u32 index, u64 value,
			   enum posada_msr_by by)
{
	int ret = posada_hypercall_msr(vcpu, value);

	/* A record may come before the memory that the page is in. */
	return by == POSADA_BY_HOST ? 0 : ret;
}

static int write_generation(struct posada_vcpu *vcpu,
			    const struct msr_row *row, u32 index, u64 value,
			    enum posada_msr_by by)
{
	if (by == POSADA_BY_GUEST)
		return posada_generation_msr(vcpu, value);
	vcpu->msrs.generation = value;
	return 0;
}

/* ---- the table ---- */

#define ANY	~0ULL
#define FIELD(f)	.offset = offsetof(struct posada_msrs, f)
/* Reads as @v; the guest's writes fault. */
#define CONSTANT(v)	.value = (v), .read = read_value
/* The same, but writes within @mask are taken and lost. */
#define CONSTANT_DROP(v, mask)	CONSTANT(v), .valid = (mask),		\
				.write = write_nothing
#define STORED(f, mask)	FIELD(f), .valid = (mask), .flags = SAVED,	\
			.read = read_field, .write = write_field
#define STORED_KEPT(f, mask)	FIELD(f), .valid = (mask),		\
			.flags = SAVED | KEPT,				\
			.read = read_field, .write = write_field
#define SWITCHED	.valid = ANY, .flags = SAVED,			\
			.read = read_backend, .write = write_backend
#define KVM_GPA(low)	.valid = ~((low) & ~(u64)KVM_MSR_ENABLED),	\
			.check = check_gpa, .read = read_kvm, .write = write_kvm

/* Sorted by number: the search halves it. */
const struct msr_row posada_msr_rows[] = {
	{ MSR_IA32_TSC, 1, .valid = ANY, .read = read_tsc,
	  .write = write_tsc },
	{ MSR_KVM_WALL_CLOCK, 1, KVM_GPA(3) },
	{ MSR_KVM_SYSTEM_TIME, 1, KVM_GPA(3) },
	{ MSR_IA32_PLATFORM_ID, 1, NEEDS_INTEL, CONSTANT(0) },
	{ MSR_IA32_EBL_CR_POWERON, 1, NEEDS_INTEL,
	  CONSTANT_DROP(0, ANY) },
	{ MSR_SMI_COUNT, 1, NEEDS_INTEL, CONSTANT(0) },
	{ MSR_IA32_FEAT_CTL, 1, NEEDS_INTEL, CONSTANT(FEAT_CTL_LOCKED) },
	{ MSR_IA32_TSC_ADJUST, 1, FIELD(tsc_adjust), .valid = ANY,
	  .flags = SAVED | KEPT, .read = read_field,
	  .write = write_tsc_adjust },
	{ MSR_IA32_SPEC_CTRL, 1, NEEDS_SPEC_CTRL, SWITCHED,
	  .check = check_spec_ctrl },
	{ MSR_IA32_PRED_CMD, 1, NEEDS_PRED_CMD, .check = check_pred_cmd,
	  .valid = PRED_CMD_IBPB | PRED_CMD_SBPB, .write = write_pred_cmd },
	{ MSR_IA32_UCODE_WRITE, 1, NEEDS_INTEL, CONSTANT_DROP(0, ANY) },
	{ MSR_IA32_UCODE_REV, 1, FIELD(ucode_rev), .valid = ANY,
	  .flags = SAVED | KEPT, .read = read_field,
	  .write = write_field_host },
	{ MSR_PLATFORM_INFO, 1, NEEDS_INTEL, CONSTANT(0) },
	{ MSR_MTRRcap, 1, CONSTANT(MTRR_CAP) },
	{ MSR_IA32_ARCH_CAPABILITIES, 1, NEEDS_ARCH_CAPS, SAVED | HOST_WRITES,
	  FIELD(arch_caps), .valid = ANY, .check = check_arch_caps,
	  .read = read_field, .write = write_field },
	{ MSR_IA32_FLUSH_CMD, 1, NEEDS_FLUSH_CMD, .valid = L1D_FLUSH,
	  .write = write_flush_cmd },
	{ MSR_MISC_FEATURES_ENABLES, 1, NEEDS_INTEL,
	  STORED(misc_features, 0) },
	{ MSR_IA32_SYSENTER_CS, 1, SWITCHED },
	{ MSR_IA32_SYSENTER_ESP, 2, SWITCHED, .check = check_canonical },
	/* Machine checks: the mechanism, and no bank that could report. */
	{ MSR_IA32_MCG_CAP, 1, CONSTANT(0) },
	{ MSR_IA32_MCG_STATUS, 1, STORED_KEPT(mcg_status, MCG_STATUS_RIPV |
					      MCG_STATUS_EIPV |
					      MCG_STATUS_MCIP) },
	{ MSR_IA32_MISC_ENABLE, 1, FIELD(misc_enable), .flags = SAVED | KEPT,
	  .valid = MISC_ENABLE_VALID, .read = read_field,
	  .write = write_misc_enable },
	/* No last-branch records; single-stepping on branches: each step. */
	{ MSR_IA32_DEBUGCTLMSR, 1, CONSTANT_DROP(0, DEBUGCTLMSR_BTF) },
	{ MSR_IA32_LASTBRANCHFROMIP, 4, CONSTANT(0) },
	{ MSR_MTRR_VARIABLE, 2 * MTRR_RANGES, STORED(mtrr_variable, ANY),
	  .check = check_mtrr_variable },
	{ MSR_MTRRfix64K_00000, 1, STORED(mtrr_fixed[0], ANY),
	  .check = check_mtrr_fixed },
	{ MSR_MTRRfix16K_80000, 2, STORED(mtrr_fixed[1], ANY),
	  .check = check_mtrr_fixed },
	{ MSR_MTRRfix4K_C0000, 8, STORED(mtrr_fixed[3], ANY),
	  .check = check_mtrr_fixed },
	{ MSR_IA32_CR_PAT, 1, SWITCHED, .check = check_pat },
	{ MSR_MTRRdefType, 1, STORED_KEPT(mtrr_def_type, MTRR_DEF_TYPE |
					  MTRR_DEF_FIXED_ENABLE |
					  MTRR_DEF_ENABLE),
	  .check = check_mtrr_default },
	{ MSR_IA32_TSC_DEADLINE, 1, .valid = ANY, .read = read_deadline,
	  .write = write_deadline },
	{ MSR_IA32_XSS, 1, NEEDS_XSS, STORED(xss, ANY), .check = check_xss },
	{ MSR_KVM_WALL_CLOCK_NEW, 1, .flags = SAVED, KVM_GPA(3) },
	{ MSR_KVM_SYSTEM_TIME_NEW, 1, .flags = SAVED, KVM_GPA(3) },
	{ MSR_KVM_STEAL_TIME, 1, .flags = SAVED,
	  KVM_GPA(KVM_STEAL_RESERVED_MASK | KVM_MSR_ENABLED) },
	{ MSR_KVM_POLL_CONTROL, 1, .flags = SAVED, .valid = 1,
	  .read = read_kvm, .write = write_kvm },
	{ POSADA_MSR_HYPERCALL, 1, FIELD(hypercall), .flags = SAVED | KEPT,
	  .valid = ~(u64)(POSADA_PAGE_SIZE - 1) | POSADA_MSR_HC_ENABLE,
	  .check = check_gpa, .read = read_field, .write = write_hypercall },
	{ POSADA_MSR_GENERATION, 1, FIELD(generation), .flags = SAVED | KEPT,
	  .valid = ~127ULL | POSADA_MSR_HC_ENABLE, .check = check_gpa,
	  .read = read_field, .write = write_generation },
	{ MSR_EFER, 1, .valid = ANY, .check = check_efer, .read = read_efer,
	  .write = write_efer },
	{ MSR_STAR, 1, SWITCHED },
	{ MSR_LSTAR, 2, SWITCHED, .check = check_canonical },
	{ MSR_SYSCALL_MASK, 1, SWITCHED },
	/* The segments' record has these two. */
	{ MSR_FS_BASE, 2, .valid = ANY, .check = check_canonical,
	  .read = read_backend, .write = write_backend },
	{ MSR_KERNEL_GS_BASE, 1, SWITCHED, .check = check_canonical },
	{ MSR_TSC_AUX, 1, NEEDS_TSC_AUX, STORED(tsc_aux, U32_MAX) },
	/* What AMD's family-specific setup code looks at. */
	{ MSR_AMD64_SYSCFG, 1, NEEDS_AMD, CONSTANT_DROP(0, ANY) },
	{ MSR_K7_HWCR, 1, NEEDS_AMD, FIELD(hwcr), .flags = SAVED,
	  .valid = HWCR_VALID, .read = read_field, .write = write_hwcr },
	{ MSR_K8_TOP_MEM1, 1, NEEDS_AMD, CONSTANT(0) },
	{ MSR_K8_TOP_MEM2, 1, NEEDS_AMD, CONSTANT(0) },
	{ MSR_AMD64_NB_CFG, 1, NEEDS_AMD, CONSTANT_DROP(0, ANY) },
	{ MSR_AMD64_PATCH_LOADER, 1, NEEDS_AMD, CONSTANT_DROP(0, ANY) },
	{ MSR_K8_INT_PENDING_MSG, 1, NEEDS_AMD, CONSTANT_DROP(0, ANY) },
	{ MSR_FAM10H_MMIO_CONF_BASE, 1, NEEDS_AMD, CONSTANT_DROP(0, ANY) },
	{ MSR_K8_TSEG_ADDR, 2, NEEDS_AMD, CONSTANT(0) },
	/* Four errata are decided, and the guest suffers from none. */
	{ MSR_AMD64_OSVW_ID_LENGTH, 1, NEEDS_OSVW, CONSTANT(4) },
	{ MSR_AMD64_OSVW_STATUS, 1, NEEDS_OSVW, CONSTANT(0) },
	{ MSR_AMD64_DC_CFG, 1, NEEDS_AMD, CONSTANT_DROP(0, ANY) },
	{ MSR_AMD64_DE_CFG, 1, NEEDS_AMD, .read = read_de_cfg,
	  .valid = MSR_AMD64_DE_CFG_LFENCE_SERIALIZE,
	  .write = write_nothing },
	{ MSR_AMD64_BU_CFG2, 1, NEEDS_AMD, CONSTANT_DROP(0, ANY) },
};

static_assert(ARRAY_SIZE(posada_msr_rows) == MSR_ROWS);

/* INIT leaves the CPU's own as they are. */
void posada_msr_reset(struct posada_vcpu *vcpu, bool init)
{
	u64 microcode = boot_cpu_data.microcode;

	posada_clock_reset(vcpu);
	if (init)
		return;
	memset(&vcpu->msrs, 0, sizeof(vcpu->msrs));
	vcpu->msrs.misc_enable = MISC_ENABLE_RESET;
	vcpu->msrs.hwcr = HWCR_TSC_FREQ_SEL;
	vcpu->msrs.ucode_rev = posada_amd_host() ? microcode : microcode << 32;
	vcpu->msrs.arch_caps = host_arch_caps();
	/* The host may poll until the guest says that it does so itself. */
	vcpu->msrs.poll_control = 1;
}
