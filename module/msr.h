/* SPDX-License-Identifier: GPL-2.0-only */
/* Between msr.c, the door, and msr_rows.c, the table. */
#ifndef POSADA_MSR_H
#define POSADA_MSR_H

#include <asm/processor.h>
#include "posada.h"

/* Which CPUs, or which guest's CPUID, an MSR needs to be there. */
enum needs {
	NEEDS_NOTHING,
	NEEDS_INTEL,		/* the guest's CPU: its CPUID says so */
	NEEDS_AMD,
	NEEDS_TSC_AUX,
	NEEDS_SPEC_CTRL,
	NEEDS_PRED_CMD,
	NEEDS_FLUSH_CMD,
	NEEDS_ARCH_CAPS,
	NEEDS_XSS,
	NEEDS_OSVW,
};

#define SAVED		1	/* in the state record */
#define HOST_WRITES	2	/* the guest's writes fault */
#define KEPT		4	/* reads as its field, on any CPU */

struct msr_row {
	u32 first;
	u16 count;
	u8 needs;
	u8 flags;
	u16 offset;		/* of a core-kept value in posada_msrs */
	u64 valid;		/* bits that a write may set */
	u64 value;		/* of a constant */
	/* Beyond valid: 0, -EINVAL or -EOPNOTSUPP. */
	int (*check)(struct posada_vcpu *vcpu, const struct msr_row *row,
		     u32 index, u64 value);
	void (*read)(struct posada_vcpu *vcpu, const struct msr_row *row,
		     u32 index, u64 *value);
	/* NULL: the guest's writes fault. 0, or -EINVAL. */
	int (*write)(struct posada_vcpu *vcpu, const struct msr_row *row,
		     u32 index, u64 value, enum posada_msr_by by);
};

#define MSR_ROWS	59

/* Sorted by number. */
extern const struct msr_row posada_msr_rows[MSR_ROWS];

static inline bool posada_amd_host(void)
{
	return boot_cpu_data.x86_vendor == X86_VENDOR_AMD ||
	       boot_cpu_data.x86_vendor == X86_VENDOR_HYGON;
}

#endif /* POSADA_MSR_H */
