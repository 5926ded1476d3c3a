/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Page tables as data: one const description for each format, one walker
 * (walk.c). Builds in the kernel and, for the unit tests, in userspace.
 */
#ifndef POSADA_PAGETABLE_H
#define POSADA_PAGETABLE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef uint64_t u64;
typedef uint32_t u32;
typedef uint8_t u8;
#endif
#include "../uapi/posada.h"	/* POSADA_ACCESS_* */

/*
 * Bits of an entry. For a second-level format the mapper (mmu.c) combines
 * them; what a format lacks is 0. A second-level entry is 8 bytes, a table
 * 512 of them.
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

	/* The guest's own tables only (walk.c). */
	u8 entry_bytes;		/* 4 or 8 */
	u8 index_bits;		/* of the address, at each level but the top */
	u8 top_bits;		/* ... and at the top */
	u8 address_bits;	/* of the linear address */
	u8 large_levels;	/* bit l: an entry of level l may be large */
	u64 root;		/* mask of the top table's address in CR3 */
};

/* Where a page walk starts: as the guest's CPU sees it at this instant. */
struct posada_paging {
	u64 cr0, cr3, cr4, efer;
	u64 rflags;
	u64 cs_base;
	u32 pkru;
	u8 cpl;
	bool cs_l, cs_db;	/* CS.L, CS.D */
};

/* Bits of a #PF error code. */
#define POSADA_PF_PRESENT	(1U << 0)
#define POSADA_PF_WRITE		(1U << 1)
#define POSADA_PF_USER		(1U << 2)
#define POSADA_PF_RESERVED	(1U << 3)
#define POSADA_PF_FETCH		(1U << 4)
#define POSADA_PF_KEY		(1U << 5)

#define POSADA_WALK_STEPS	5	/* levels, at most */

/* One walk of the guest's tables. */
struct posada_walk {
	/* In. */
	const struct posada_paging *paging;
	/* Read an entry of @bytes at @gpa; nonzero: there is no memory. */
	int (*read)(void *ctx, u64 gpa, void *entry, size_t bytes);
	void *ctx;
	u64 gva;
	u32 access;		/* POSADA_ACCESS_* */
	u8 phys_bits;		/* above them, bits of an entry are reserved */
	bool gib_pages;		/* the CPU has 1 GiB pages */
	/* Out. */
	u64 gpa;
	u64 page_bytes;		/* of the mapping */
	u32 error_code;		/* of the #PF, POSADA_PF_* */
	u8 steps;		/* entries read, the top one first */
	struct {
		u64 gpa, entry;
	} step[POSADA_WALK_STEPS];
};

/*
 * Translate @w->gva. Accessed and dirty bits are left alone. 0; -EFAULT: #PF
 * with @w->error_code; -EIO: a table lies where there is no memory (the error
 * code is that of an absent page); -EINVAL: not an address that this mode can
 * form (not canonical, or above 4 GiB).
 */
int posada_walk(struct posada_walk *w);

#endif /* POSADA_PAGETABLE_H */
