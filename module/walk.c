// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's own page tables, walked by software: to fetch instructions and
 * for POSADA_TRANSLATE. One walker; a const description for each format.
 * Builds in userspace, too (selftests/unit/walk_test.c).
 *
 *   linear address, 4-level format (index_bits 9, top_bits 9)
 *    63     48 47     39 38     30 29     21 20     12 11          0
 *   +---------+---------+---------+---------+---------+-------------+
 *   |  sign   | level 4 | level 3 | level 2 | level 1 |   offset    |
 *   +---------+----+----+----+----+----+----+----+----+------+------+
 *                  |         |         |         |           |
 *   CR3 -> table --+-> table-+-> table-+-> table-+-> page ---+-> gpa
 *                            |         |
 *                            |         `-- large: 2 MiB (4 MiB in the 2-level
 *                            `-- large: 1 GiB              format) page
 *
 *   format        levels  entry  top_bits  large at  chosen by
 *   32-bit           2      4       10        2      PG
 *   PAE              3      8        2        2      PG, PAE
 *   4-level          4      8        9        2, 3   PG, PAE, LMA
 *   5-level          5      8        9        2, 3   PG, PAE, LMA, LA57
 */
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <string.h>
#endif
#include "pagetable.h"

/* Control register and flag bits that decide a walk. */
#define CR0_WP		(1ULL << 16)
#define CR0_PG		(1ULL << 31)
#define CR4_PSE		(1ULL << 4)
#define CR4_PAE		(1ULL << 5)
#define CR4_LA57	(1ULL << 12)
#define CR4_SMEP	(1ULL << 20)
#define CR4_SMAP	(1ULL << 21)
#define CR4_PKE		(1ULL << 22)
#define EFER_LMA	(1ULL << 10)
#define EFER_NX		(1ULL << 11)
#define RFLAGS_AC	(1ULL << 18)

#define PAGE_BITS	12
#define LEVEL_2M	2
#define LEVEL_1G	3
#define LEVEL_PDPTE	3	/* of the PAE format */
#define CPL_USER	3

/* Bits lo to hi, both included; none if hi is lo - 1. */
#define BITS(lo, hi)	(~0ULL >> (63 - (hi)) & ~0ULL << (lo))
#define BITS_BELOW(n)	((1ULL << (n)) - 1)

#define PTE_P		(1ULL << 0)
#define PTE_W		(1ULL << 1)
#define PTE_U		(1ULL << 2)
#define PTE_A		(1ULL << 5)
#define PTE_D		(1ULL << 6)
#define PTE_PS		(1ULL << 7)
#define PTE_NX		(1ULL << 63)
#define PTE_KEY_SHIFT	59
#define PTE_KEY_MASK	15
#define PTE_ADDRESS	BITS(PAGE_BITS, 51)

/* A 4 MiB page has address bits 32-39 at 13-20 (PSE-36); 21 is reserved, and
 * so are those of 13-20 that the CPU has no address lines for.
 */
#define PSE36_LOW	13
#define PSE36_HIGH	20
#define PSE36_SHIFT	(32 - PSE36_LOW)
#define PSE36_BITS	40

/*
 * A PAE page-directory-pointer entry has no permissions, but more reserved.
 * Bit 5 is, too, but QEMU sets it as if it meant "accessed".
 */
#define PDPTE_RESERVED	(BITS(1, 2) | BITS(6, 8) | PTE_NX)
#define PAE_RESERVED	BITS(52, 62)

/* Bits of PKRU for one key. */
#define PKRU_BITS	2
#define PKRU_NO_ACCESS	1
#define PKRU_NO_WRITE	2

#define X86_BITS				\
	.present = PTE_P, .write = PTE_W,	\
	.user = PTE_U, .accessed = PTE_A,	\
	.dirty = PTE_D, .large = PTE_PS

static const struct posada_pt_format format_32 = {
	X86_BITS,
	.levels_max = 2, .entry_bytes = 4, .index_bits = 10, .top_bits = 10,
	.address_bits = 32, .large_levels = 1 << LEVEL_2M,
	.address = BITS(PAGE_BITS, 31), .root = BITS(PAGE_BITS, 31),
};

static const struct posada_pt_format format_pae = {
	X86_BITS, .no_exec = PTE_NX,
	.levels_max = 3, .entry_bytes = 8, .index_bits = 9, .top_bits = 2,
	.address_bits = 32, .large_levels = 1 << LEVEL_2M,
	.address = PTE_ADDRESS, .root = BITS(5, 31),
};

static const struct posada_pt_format format_4level = {
	X86_BITS, .no_exec = PTE_NX,
	.levels_max = 4, .entry_bytes = 8, .index_bits = 9, .top_bits = 9,
	.address_bits = 48, .large_levels = 1 << LEVEL_2M | 1 << LEVEL_1G,
	.address = PTE_ADDRESS, .root = PTE_ADDRESS,
};

static const struct posada_pt_format format_5level = {
	X86_BITS, .no_exec = PTE_NX,
	.levels_max = 5, .entry_bytes = 8, .index_bits = 9, .top_bits = 9,
	.address_bits = 57, .large_levels = 1 << LEVEL_2M | 1 << LEVEL_1G,
	.address = PTE_ADDRESS, .root = PTE_ADDRESS,
};

/* What the entries on the way grant together. */
struct rights {
	bool write, user, exec;
	u32 key;
};

static bool long_mode(const struct posada_paging *pg)
{
	return pg->efer & EFER_LMA;
}

static const struct posada_pt_format *choose(const struct posada_paging *pg)
{
	if (!(pg->cr4 & CR4_PAE))
		return &format_32;
	if (!long_mode(pg))
		return &format_pae;
	return pg->cr4 & CR4_LA57 ? &format_5level : &format_4level;
}

/* Can this mode form @gva at all? */
static bool valid_address(const struct posada_walk *w)
{
	unsigned int sign;

	if (!long_mode(w->paging))
		return !(w->gva >> 32);
	sign = choose(w->paging)->address_bits - 1;
	return w->gva >> sign == 0 || w->gva >> sign == ~0ULL >> sign;
}

/* Refuse: @cause is PRESENT, RESERVED or KEY bits; the access adds its own. */
static int page_fault(struct posada_walk *w, u32 cause)
{
	const struct posada_paging *pg = w->paging;
	bool tells_fetch = pg->cr4 & CR4_SMEP ||
			   (pg->efer & EFER_NX && pg->cr4 & CR4_PAE);

	w->error_code = cause;
	if (w->access & POSADA_ACCESS_WRITE)
		w->error_code |= POSADA_PF_WRITE;
	if (w->access & POSADA_ACCESS_USER)
		w->error_code |= POSADA_PF_USER;
	if (w->access & POSADA_ACCESS_EXEC && tells_fetch)
		w->error_code |= POSADA_PF_FETCH;
	return -EFAULT;
}

static bool is_large(const struct posada_walk *w,
		     const struct posada_pt_format *f, u64 entry, int level)
{
	if (!(f->large_levels & 1 << level) || !(entry & f->large))
		return false;
	return f != &format_32 || w->paging->cr4 & CR4_PSE;
}

/* The bits that must be 0 in a present @entry of @level. */
static u64 reserved_bits(const struct posada_walk *w,
			 const struct posada_pt_format *f, u64 entry, int level)
{
	bool large = is_large(w, f, entry, level);
	u64 bits;

	if (f == &format_32 && !large)
		return 0;
	if (f == &format_32)
		return BITS((w->phys_bits < PSE36_BITS ? w->phys_bits :
			     PSE36_BITS) - PSE36_SHIFT, PSE36_HIGH + 1);

	bits = BITS(w->phys_bits, 51);
	if (f == &format_pae) {
		bits |= PAE_RESERVED;
		if (level == LEVEL_PDPTE)
			return bits | PDPTE_RESERVED;
	}
	if (!(w->paging->efer & EFER_NX))
		bits |= PTE_NX;
	if (level > LEVEL_1G || (level == LEVEL_1G && !w->gib_pages))
		bits |= f->large;
	if (large)
		bits |= BITS(PAGE_BITS + 1,
			     PAGE_BITS + (level - 1) * f->index_bits - 1);
	return bits;
}

static void narrow(struct rights *r, const struct posada_pt_format *f,
		   u64 entry, int level)
{
	if (f == &format_pae && level == LEVEL_PDPTE)
		return;
	r->write &= !!(entry & f->write);
	r->user &= !!(entry & f->user);
	r->exec &= !(entry & f->no_exec);
}

/* May a supervisor access touch a page that belongs to the user? */
static bool smap_allows(const struct posada_paging *pg)
{
	/* At CPL 3 a supervisor access is implicit: AC does not excuse it. */
	return !(pg->cr4 & CR4_SMAP) ||
	       (pg->cpl < CPL_USER && pg->rflags & RFLAGS_AC);
}

static bool rights_allow(const struct posada_walk *w, const struct rights *r)
{
	const struct posada_paging *pg = w->paging;
	bool user = w->access & POSADA_ACCESS_USER;

	if (user && !r->user)
		return false;
	if (w->access & POSADA_ACCESS_EXEC)
		return r->exec && (user || !r->user || !(pg->cr4 & CR4_SMEP));
	if (!user && r->user && !smap_allows(pg))
		return false;
	if (w->access & POSADA_ACCESS_WRITE)
		return r->write || (!user && !(pg->cr0 & CR0_WP));
	return true;
}

static bool key_allows(const struct posada_walk *w, const struct rights *r)
{
	const struct posada_paging *pg = w->paging;
	u32 key;

	if (!(pg->cr4 & CR4_PKE) || !long_mode(pg) || !r->user ||
	    w->access & POSADA_ACCESS_EXEC)
		return true;
	key = pg->pkru >> (r->key * PKRU_BITS);
	if (key & PKRU_NO_ACCESS)
		return false;
	return !(key & PKRU_NO_WRITE) || !(w->access & POSADA_ACCESS_WRITE) ||
	       !(w->access & POSADA_ACCESS_USER || pg->cr0 & CR0_WP);
}

/* The walk arrived at a page: check the access, work out the address. */
static int arrive(struct posada_walk *w, const struct posada_pt_format *f,
		  u64 entry, int level, struct rights *r)
{
	unsigned int bits = PAGE_BITS + (level - 1) * f->index_bits;
	u64 frame = entry & f->address & ~BITS_BELOW(bits);
	u32 cause = 0;

	r->key = entry >> PTE_KEY_SHIFT & PTE_KEY_MASK;
	if (!rights_allow(w, r))
		cause = POSADA_PF_PRESENT;
	if (!key_allows(w, r))
		cause = POSADA_PF_PRESENT | POSADA_PF_KEY;
	if (cause)
		return page_fault(w, cause);

	if (f == &format_32 && level == LEVEL_2M)
		frame |= (entry & BITS(PSE36_LOW, PSE36_HIGH)) << PSE36_SHIFT;
	w->page_bytes = 1ULL << bits;
	w->gpa = frame | (w->gva & (w->page_bytes - 1));
	return 0;
}

/* The address of the entry for the walk's gva in @table at @level. */
static u64 entry_address(const struct posada_walk *w,
			 const struct posada_pt_format *f, u64 table, int level)
{
	unsigned int bits = level == f->levels_max ? f->top_bits :
						     f->index_bits;
	u64 index = w->gva >> (PAGE_BITS + (level - 1) * f->index_bits);

	return table + (index & BITS_BELOW(bits)) * f->entry_bytes;
}

static int walk_tables(struct posada_walk *w, const struct posada_pt_format *f)
{
	struct rights r = { .write = true, .user = true, .exec = true };
	u64 table = w->paging->cr3 & f->root;
	u64 entry, gpa;
	int level;

	for (level = f->levels_max; ; level--) {
		entry = 0;	/* one of 4 bytes fills the lower half */
		gpa = entry_address(w, f, table, level);
		if (w->read(w->ctx, gpa, &entry, f->entry_bytes)) {
			page_fault(w, 0);
			return -EIO;
		}
		w->step[w->steps].gpa = gpa;
		w->step[w->steps++].entry = entry;
		if (!(entry & f->present))
			return page_fault(w, 0);
		if (entry & reserved_bits(w, f, entry, level))
			return page_fault(w, POSADA_PF_PRESENT |
					     POSADA_PF_RESERVED);
		narrow(&r, f, entry, level);
		if (level == 1 || is_large(w, f, entry, level))
			return arrive(w, f, entry, level, &r);
		table = entry & f->address;
	}
}

int posada_walk(struct posada_walk *w)
{
	w->error_code = 0;
	w->steps = 0;
	if (!valid_address(w))
		return -EINVAL;
	if (w->paging->cr0 & CR0_PG)
		return walk_tables(w, choose(w->paging));
	w->gpa = w->gva;
	w->page_bytes = 1ULL << PAGE_BITS;
	return 0;
}
