/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Page tables as data: one const description for each format, one walker.
 * Builds in the kernel and, for the unit tests, in userspace.
 */
#ifndef POSADA_PAGETABLE_H
#define POSADA_PAGETABLE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stdint.h>
typedef uint64_t u64;
typedef uint32_t u32;
typedef uint8_t u8;
#endif

/*
 * Bits of an entry. For a second-level format the mapper combines them; what
 * a format lacks is 0.
 */
struct posada_pt_format {
	u8 levels_max;
	u64 present;		/* all of these set: present */
	u64 write;
	u64 exec;		/* set: executable (EPT) ... */
	u64 no_exec;		/* ... or clear: executable (x86, NPT) */
	u64 user;
	u64 accessed, dirty;
	u64 large;		/* a leaf above level 1 */
	u64 leaf;		/* set in each leaf (memory type) */
	u64 table;		/* set in each entry that points to a table */
	u64 address;		/* mask of the physical address */
};

#endif /* POSADA_PAGETABLE_H */
