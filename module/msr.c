// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs: find the row, check, read or write. Every write is checked first, and a
 * checked write of a record cannot fail: so one check serves the guest's WRMSR,
 * a record and its dry run.
 */
#include <linux/kernel.h>
#include <linux/nospec.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include "msr.h"

#define MSR_APIC_COUNT		0x100

static bool has_ibpb(struct posada_vm *vm)
{
	return posada_cpuid_has(vm, X86_FEATURE_AMD_IBPB) ||
	       posada_cpuid_has(vm, X86_FEATURE_SPEC_CTRL);
}

static bool present(struct posada_vm *vm, const struct msr_row *row)
{
	switch ((enum needs)row->needs) {
	case NEEDS_NOTHING:
		return true;
	case NEEDS_INTEL:
		return !posada_cpuid_amd(vm);
	case NEEDS_AMD:
		return posada_cpuid_amd(vm);
	case NEEDS_TSC_AUX:
		return posada_cpuid_has(vm, X86_FEATURE_RDTSCP) ||
		       posada_cpuid_has(vm, X86_FEATURE_RDPID);
	case NEEDS_SPEC_CTRL:
		return posada_cpuid_spec_ctrl_mask(vm);
	case NEEDS_PRED_CMD:
		return has_ibpb(vm);
	case NEEDS_FLUSH_CMD:
		return posada_cpuid_has(vm, X86_FEATURE_FLUSH_L1D);
	case NEEDS_ARCH_CAPS:
		return posada_cpuid_has(vm, X86_FEATURE_ARCH_CAPABILITIES);
	case NEEDS_XSS:
		return posada_cpuid_has(vm, X86_FEATURE_XSAVES);
	case NEEDS_OSVW:
		return posada_cpuid_has(vm, X86_FEATURE_OSVW);
	}
	return false;
}

/*
 * How many rows are left to choose from after each step of the search, as
 * constants: then a step is a few instructions, and no branch to mistrain.
 */
enum {
	LEFT_0 = MSR_ROWS,
	LEFT_1 = LEFT_0 - LEFT_0 / 2,
	LEFT_2 = LEFT_1 - LEFT_1 / 2,
	LEFT_3 = LEFT_2 - LEFT_2 / 2,
	LEFT_4 = LEFT_3 - LEFT_3 / 2,
	LEFT_5 = LEFT_4 - LEFT_4 / 2,
	LEFT_6 = LEFT_5 - LEFT_5 / 2,
};

static_assert(LEFT_6 == 1);

static __always_inline const struct msr_row *step(const struct msr_row *row,
						  u32 left, u32 index)
{
	return row[left / 2].first <= index ? row + left / 2 : row;
}

/*
 * Before the search, look where @index would be if it had its place in this
 * table to itself: the number of a row, of a single MSR. Bounded by its type.
 */
#define QUICK		128

static u8 quick_rows[QUICK] __ro_after_init;

static_assert(MSR_ROWS <= U8_MAX);

static __always_inline u32 quick_hash(u32 index)
{
	return (index ^ index >> 7) % QUICK;
}

static __always_inline const struct msr_row *quick(u32 index)
{
	return &posada_msr_rows[quick_rows[quick_hash(index)]];
}

void __init posada_msr_init(void)
{
	int i;

	for (i = 0; i < MSR_ROWS; i++) {
		u8 *place = &quick_rows[quick_hash(posada_msr_rows[i].first)];

		/* Those that posada_msr_read_fast() is for come first. */
		if (posada_msr_rows[i].count == 1 && !(posada_msr_rows[*place].flags & KEPT))
			*place = i;
	}
}

/* The row that @index is in, or NULL. */
static const struct msr_row *find(u32 index)
{
	const struct msr_row *row = quick(index);

	if (row->first == index)
		return row;
	row = posada_msr_rows;
	row = step(row, LEFT_0, index);
	row = step(row, LEFT_1, index);
	row = step(row, LEFT_2, index);
	row = step(row, LEFT_3, index);
	row = step(row, LEFT_4, index);
	row = step(row, LEFT_5, index);
	return index - row->first < row->count ? row : NULL;
}

/* ---- the APIC's: checked and kept there, saved in its own record ---- */

static bool is_apic(u32 index)
{
	return index - APIC_BASE_MSR < MSR_APIC_COUNT ||
	       index == MSR_IA32_APICBASE;
}

static int apic_read(struct posada_vcpu *vcpu, u32 index, u64 *value)
{
	if (index != MSR_IA32_APICBASE)
		return posada_apic_msr_read(vcpu, index, value);
	*value = vcpu->apic.base;
	return 1;
}

static int apic_write(struct posada_vcpu *vcpu, u32 index, u64 value)
{
	int r, vector = -1;

	if (index == MSR_IA32_APICBASE)
		return posada_apic_set_base(vcpu, value, false) ? -EINVAL : 1;
	r = posada_apic_msr_write(vcpu, index, value, &vector);
	return r ? r : posada_eoi_exit(vcpu, vector);
}

/* ---- who asks ---- */

int posada_msr_read(struct posada_vcpu *vcpu, u32 index, u64 *value,
		    enum posada_msr_by by)
{
	const struct msr_row *row;

	if (is_apic(index))
		return by == POSADA_BY_GUEST ? apic_read(vcpu, index, value) :
					       -ENOENT;
	row = find(index);
	if (!row || (row->needs && !present(vcpu->vm, row)))
		return -ENOENT;
	if (!row->read)
		return -EINVAL;
	row->read(vcpu, row, index, value);
	return 1;
}

bool posada_msr_read_fast(struct posada_vcpu *vcpu)
{
	u64 *gpr = vcpu->regs.gpr;
	u32 index = gpr[POSADA_RCX];
	const struct msr_row *row = quick(index);
	u64 value;

	if (row->first != index || !(row->flags & KEPT))
		return false;
	value = *(u64 *)((void *)&vcpu->msrs + row->offset);
	gpr[POSADA_RAX] = (u32)value;
	gpr[POSADA_RDX] = value >> 32;
	return true;
}

static int check(struct posada_vcpu *vcpu, const struct msr_row *row,
		 u32 index, u64 value)
{
	if (value & ~row->valid)
		return -EINVAL;
	return row->check ? row->check(vcpu, row, index, value) : 0;
}

static int guest_write(struct posada_vcpu *vcpu, u32 index, u64 value)
{
	const struct msr_row *row = find(index);

	if (!row || (row->needs && !present(vcpu->vm, row)))
		return -ENOENT;
	if (!row->write || row->flags & HOST_WRITES ||
	    check(vcpu, row, index, value))
		return -EINVAL;
	return row->write(vcpu, row, index, value, POSADA_BY_GUEST) ?: 1;
}

/* A record may repeat what a constant says, and 0 for what isn't there. */
int posada_msr_check(struct posada_vcpu *vcpu, u32 index, u64 value)
{
	const struct msr_row *row = find(index);
	u64 now = 0;

	if (!row)
		return -EOPNOTSUPP;
	if (!present(vcpu->vm, row))
		return value ? -EOPNOTSUPP : 0;
	if (row->write)
		return check(vcpu, row, index, value);
	row->read(vcpu, row, index, &now);
	return value == now ? 0 : -EOPNOTSUPP;
}

static int host_write(struct posada_vcpu *vcpu, u32 index, u64 value)
{
	const struct msr_row *row = find(index);
	int ret = posada_msr_check(vcpu, index, value);

	if (ret)
		return ret;
	if (row->write && present(vcpu->vm, row))
		row->write(vcpu, row, index, value, POSADA_BY_HOST);
	return 1;
}

int posada_msr_write(struct posada_vcpu *vcpu, u32 index, u64 value,
		     enum posada_msr_by by)
{
	if (by == POSADA_BY_HOST)
		return host_write(vcpu, index, value);
	return is_apic(index) ? apic_write(vcpu, index, value) :
				guest_write(vcpu, index, value);
}

u32 posada_msr_saved(struct posada_vm *vm, u32 i)
{
	const struct msr_row *row;

	for (row = posada_msr_rows; row < &posada_msr_rows[MSR_ROWS]; row++) {
		if (!(row->flags & SAVED) || !present(vm, row))
			continue;
		if (i < row->count)
			return row->first + i;
		i -= row->count;
	}
	return 0;
}
