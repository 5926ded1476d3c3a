/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Second-level tables: what mmu.c offers to notifier.c, slots.c and fault.c.
 *
 * One rule holds it together: mappings always agree with the slot table and
 * with the host's page tables, because each of the three changes mappings
 * under mmu_lock in the same critical section as what they must agree with
 * (slots.c the table's pointer, notifier.c the count of invalidations, and
 * fault.c checks both before it maps).
 *
 * M: mmu_lock is held.
 */
#ifndef POSADA_MMU_H
#define POSADA_MMU_H

#include <linux/list.h>
#include "posada.h"

#define POSADA_PT_BITS		9	/* of a gfn, by each level */
#define POSADA_PT_ENTRIES	(1 << POSADA_PT_BITS)
#define POSADA_LEVEL_4K		1
#define POSADA_LEVEL_2M		2
#define POSADA_LEVEL_1G		3

/* Pages that an entry of @level maps. */
static inline u64 posada_level_pages(int level)
{
	return 1ULL << (POSADA_PT_BITS * (level - 1));
}

/*
 * What an operation took out of the tables. If @flush, flush before mmu_lock
 * is dropped: whoever finds an entry gone already then needs no flush of its
 * own. Free it (posada_gone_free()) after both.
 */
struct posada_gone {
	struct list_head tables;	/* the roots of detached subtrees */
	u64 leaves;
	bool flush;
};

#define POSADA_GONE_INIT(name)	{ .tables = LIST_HEAD_INIT((name).tables) }

struct posada_mapping {
	u64 gfn, pfn;		/* any page of what the leaf maps */
	int level;
	bool write, exec;
};

/*
 * Map @m with tables out of the vCPU's cache, which must hold one for each
 * level but the top. The entry, or NULL: there is a mapping that allows the
 * access. M.
 */
u64 *posada_mmu_map(struct posada_vcpu *vcpu, const struct posada_mapping *m,
		    struct posada_gone *gone);
/*
 * Map 4 KiB at @entry, a neighbour of one just returned, if it is free. The
 * guest has not asked for it: it does not count as accessed. M.
 */
void posada_mmu_map_near(struct posada_vm *vm, u64 *entry,
			 const struct posada_mapping *m);
/* Fill the vCPU's cache. 0 or -ENOMEM. Task. */
int posada_mmu_fill_cache(struct posada_table_cache *cache);
static inline bool posada_mmu_cache_low(const struct posada_vcpu *vcpu)
{
	return vcpu->tables.nr < vcpu->vm->mmu.levels - 1;
}

/* Drop what maps any of [gfn, gfn + pages). Large leaves go whole. M. */
void posada_mmu_zap(struct posada_vm *vm, u64 gfn, u64 pages,
		    struct posada_gone *gone);
/* Flush if @gone asks for it. M. */
void posada_gone_flush(struct posada_vm *vm, struct posada_gone *gone);
/* Free the tables, account the leaves. Not M. */
void posada_gone_free(struct posada_vm *vm, struct posada_gone *gone,
		      bool may_sleep);

/* Write-protect [gfn, gfn + pages) and flush. Task. */
void posada_mmu_protect(struct posada_vm *vm, u64 gfn, u64 pages);
/* The same for bit i of @mask: @gfn + i. M. True: the caller must flush. */
bool posada_mmu_protect_mask(struct posada_vm *vm, u64 gfn, u64 mask);
/* Was any of it accessed? With @clear, forget it. M. */
bool posada_mmu_young(struct posada_vm *vm, u64 gfn, u64 pages, bool clear);

/* notifier.c */
extern const struct mmu_notifier_ops posada_notifier_ops;

/* slots.c: the slot of @gfn in one generation of the table, or NULL. */
struct posada_memslot *posada_slots_find(const struct posada_slots *slots,
					 u64 gfn);

#endif /* POSADA_MMU_H */
