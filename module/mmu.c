// SPDX-License-Identifier: GPL-2.0
/*
 * Second-level page tables, from gfn to pfn, in the backend's format.
 *
 *   mmu->table (level mmu->levels)
 *     | entry: 0, or a table of the level below, or a leaf
 *     v
 *   tables of 512 entries; a leaf maps 4 KiB at level 1, 2 MiB at 2, 1 GiB at 3
 *
 *  1. Entries. One that is not present is 0, always.
 *  2. Map one page, large or small (fault.c calls it).
 *  3. Visit a range: zap, write-protect, ask for the accessed bits. Zapping
 *     detaches whole subtrees, so it looks at 2 * 512 entries a level at most,
 *     however large the range: the lock is never held for long.
 *  4. Free what was detached, after the flush and outside the lock.
 *  5. Birth and death.
 *
 * Hardware reads the tables at any time and sets accessed and dirty bits in
 * them; all else is written under mmu_lock. Losing a bit that hardware sets
 * meanwhile is harmless: dirty pages are known when they are mapped writable.
 */
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/mem_encrypt.h>
#include <linux/mm.h>
#include "compat.h"
#include "mmu.h"

/* ---- 1. entries ---- */

static unsigned int pt_index(u64 gfn, int level)
{
	return gfn >> (POSADA_PT_BITS * (level - 1)) & (POSADA_PT_ENTRIES - 1);
}

static bool is_leaf(const struct posada_pt_format *f, u64 entry, int level)
{
	return level == POSADA_LEVEL_4K || entry & f->large;
}

static u64 *table_of(const struct posada_pt_format *f, u64 entry)
{
	return __va(__sme_clr(entry & f->address));
}

static u64 table_entry(const struct posada_pt_format *f, void *table)
{
	return __sme_set(__pa(table)) | f->present | f->write | f->exec |
	       f->user | f->accessed | f->table;
}

/* Accessed and dirty from the start: spares the CPU a write to the table. */
static u64 leaf_entry(const struct posada_pt_format *f,
		      const struct posada_mapping *m)
{
	u64 pfn = m->pfn & ~(posada_level_pages(m->level) - 1);
	u64 entry = __sme_set(pfn << PAGE_SHIFT) | f->present | f->user |
		    f->accessed | f->leaf;

	entry |= m->exec ? f->exec : f->no_exec;
	if (m->level > POSADA_LEVEL_4K)
		entry |= f->large;
	if (m->write)
		entry |= f->write | f->dirty;
	return entry;
}

static bool allows(const struct posada_pt_format *f, u64 entry,
		   const struct posada_mapping *m)
{
	return (!m->write || entry & f->write) &&
	       (!m->exec || ((entry & f->exec) == f->exec &&
			     !(entry & f->no_exec)));
}

/* ---- 2. map ---- */

static void *take_table(struct posada_vcpu *vcpu)
{
	struct posada_table_cache *cache = &vcpu->tables;

	atomic64_inc(&vcpu->vm->stat[POSADA_STAT_TABLES]);
	return cache->page[--cache->nr];
}

/* Put the subtree below @entry on the list of what is to be freed. */
static void detach(const struct posada_pt_format *f, u64 entry, int level,
		   struct posada_gone *gone)
{
	struct page *page = virt_to_page(table_of(f, entry));

	/* Not a link in the table itself: hardware may still walk it. */
	set_page_private(page, level - 1);
	list_add(&page->lru, &gone->tables);
	gone->flush = true;
}

/* Take out what @entry, present, leads to. */
static void drop(const struct posada_pt_format *f, u64 *entry, int level,
		 struct posada_gone *gone)
{
	u64 old = READ_ONCE(*entry);

	WRITE_ONCE(*entry, 0);
	if (!is_leaf(f, old, level)) {
		detach(f, old, level, gone);
	} else {
		gone->leaves++;
		gone->flush = true;
	}
}

static void count_mapping(struct posada_vm *vm, int level)
{
	/* The counters of the three sizes stand in order. */
	atomic64_inc(&vm->stat[POSADA_STAT_PAGES_4K + level - POSADA_LEVEL_4K]);
}

u64 *posada_mmu_map(struct posada_vcpu *vcpu, const struct posada_mapping *m,
		    struct posada_gone *gone)
{
	struct posada_mmu *mmu = &vcpu->vm->mmu;
	const struct posada_pt_format *f = mmu->format;
	struct posada_mapping smaller;
	u64 *table = mmu->table;
	u64 *entry, old;
	int level;

	for (level = mmu->levels; ; level--) {
		entry = &table[pt_index(m->gfn, level)];
		old = READ_ONCE(*entry);
		if (old && is_leaf(f, old, level) && allows(f, old, m))
			return NULL;
		/* What was split to be executed stays so. */
		if (level == m->level && !m->exec && old &&
		    !is_leaf(f, old, level)) {
			smaller = *m;
			smaller.level--;
			smaller.exec = smaller.level == POSADA_LEVEL_4K;
			m = &smaller;
		}
		if (level == m->level)
			break;
		if (old && is_leaf(f, old, level)) {
			/* Too large, or of too few rights as a whole: split. */
			drop(f, entry, level, gone);
			old = 0;
		}
		if (!old) {
			old = table_entry(f, take_table(vcpu));
			/* Its zeroes first; stores stay in order on x86. */
			WRITE_ONCE(*entry, old);
		}
		table = table_of(f, old);
	}

	/* Only more rights for the same page need no flush. */
	if (old && (!is_leaf(f, old, level) ||
		    (old ^ leaf_entry(f, m)) & f->address))
		drop(f, entry, level, gone);
	WRITE_ONCE(*entry, leaf_entry(f, m));
	count_mapping(vcpu->vm, level);
	return entry;
}

void posada_mmu_map_near(struct posada_vm *vm, u64 *entry,
			 const struct posada_mapping *m)
{
	const struct posada_pt_format *f = vm->mmu.format;

	if (READ_ONCE(*entry))
		return;
	WRITE_ONCE(*entry, leaf_entry(f, m) & ~f->accessed);
	count_mapping(vm, POSADA_LEVEL_4K);
}

int posada_mmu_fill_cache(struct posada_table_cache *cache)
{
	while (cache->nr < POSADA_TABLE_CACHE) {
		void *page = (void *)__get_free_page(GFP_KERNEL_ACCOUNT |
						     __GFP_ZERO);

		if (!page)
			return -ENOMEM;
		cache->page[cache->nr++] = page;
	}
	return 0;
}

void posada_mmu_free_cache(struct posada_table_cache *cache)
{
	while (cache->nr)
		free_page((unsigned long)cache->page[--cache->nr]);
}

/* ---- 3. visit ---- */

/* What to do with the leaves of [first, end) (gfns). */
struct visit {
	const struct posada_pt_format *f;
	u64 first, end;
	/* Not NULL: drop leaves, detach tables that lie inside. */
	struct posada_gone *gone;
	u64 clear;		/* else: bits to clear in each */
	u64 found;		/* out: the bits of @any that one had */
	u64 any;
};

static void visit_leaf(struct visit *v, u64 *entry)
{
	u64 old = READ_ONCE(*entry);

	v->found |= old & v->any;
	/* Atomic: keeps a bit that the CPU sets now. */
	if (old & v->clear)
		atomic64_andnot(v->clear, (atomic64_t *)entry);
}

/* @base: the gfn that @table begins at. */
static void visit_table(struct visit *v, u64 *table, int level, u64 base)
{
	u64 span = posada_level_pages(level);
	u64 gfn = max(base, v->first & ~(span - 1));
	u64 end = min(base + span * POSADA_PT_ENTRIES, v->end);

	for (; gfn < end; gfn += span) {
		u64 *entry = &table[pt_index(gfn, level)];
		u64 old = READ_ONCE(*entry);
		bool inside = gfn >= v->first && gfn + span <= v->end;

		if (!old)
			continue;
		if (v->gone && (inside || is_leaf(v->f, old, level)))
			drop(v->f, entry, level, v->gone);
		else if (is_leaf(v->f, old, level))
			visit_leaf(v, entry);
		else
			visit_table(v, table_of(v->f, old), level - 1, gfn);
	}
}

static void visit(struct posada_vm *vm, struct visit *v, u64 gfn, u64 pages)
{
	struct posada_mmu *mmu = &vm->mmu;

	lockdep_assert_held(&mmu->lock);
	v->f = mmu->format;
	v->first = gfn;
	v->end = gfn + pages;
	visit_table(v, mmu->table, mmu->levels, 0);
}

void posada_mmu_zap(struct posada_vm *vm, u64 gfn, u64 pages,
		    struct posada_gone *gone)
{
	struct visit v = { .gone = gone };

	visit(vm, &v, gfn, pages);
}

static bool protect(struct posada_vm *vm, u64 gfn, u64 pages)
{
	u64 write = vm->mmu.format->write;
	struct visit v = { .clear = write, .any = write };

	visit(vm, &v, gfn, pages);
	return v.found;
}

/* How many pages to protect before others get the lock. */
#define PROTECT_BATCH	(64 * POSADA_PT_ENTRIES)

void posada_mmu_protect(struct posada_vm *vm, u64 gfn, u64 pages)
{
	u64 end = gfn + pages;
	bool flush = false;

	spin_lock(&vm->mmu.lock);
	for (; gfn < end; gfn += PROTECT_BATCH) {
		flush |= protect(vm, gfn, min_t(u64, PROTECT_BATCH, end - gfn));
		cond_resched_lock(&vm->mmu.lock);
	}
	if (flush)
		posada_flush_vm(vm);
	spin_unlock(&vm->mmu.lock);
}

bool posada_mmu_protect_mask(struct posada_vm *vm, u64 gfn, u64 mask)
{
	bool flush = false;

	while (mask) {
		unsigned int first = __ffs64(mask);
		u64 rest = mask >> first;
		unsigned int run = ~rest ? __ffs64(~rest) : 64 - first;

		flush |= protect(vm, gfn + first, run);
		if (first + run >= 64)
			break;
		mask &= ~0ULL << (first + run);
	}
	return flush;
}

bool posada_mmu_young(struct posada_vm *vm, u64 gfn, u64 pages, bool clear)
{
	u64 accessed = vm->mmu.format->accessed;
	struct visit v = { .any = accessed, .clear = clear ? accessed : 0 };

	visit(vm, &v, gfn, pages);
	return v.found;
}

/* ---- 4. free ---- */

void posada_gone_flush(struct posada_vm *vm, struct posada_gone *gone)
{
	lockdep_assert_held(&vm->mmu.lock);
	if (gone->flush)
		posada_flush_vm(vm);
	gone->flush = false;
}

/* Nobody else sees the subtree at @table any more. */
static void free_subtree(struct posada_vm *vm, u64 *table, int level,
			 struct posada_gone *gone, bool may_sleep)
{
	const struct posada_pt_format *f = vm->mmu.format;
	int i;

	for (i = 0; i < POSADA_PT_ENTRIES; i++) {
		if (!table[i])
			continue;
		if (is_leaf(f, table[i], level))
			gone->leaves++;
		else
			free_subtree(vm, table_of(f, table[i]), level - 1,
				     gone, may_sleep);
	}
	atomic64_dec(&vm->stat[POSADA_STAT_TABLES]);
	free_page((unsigned long)table);
	if (may_sleep)
		cond_resched();
}

void posada_gone_free(struct posada_vm *vm, struct posada_gone *gone,
		      bool may_sleep)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &gone->tables, lru) {
		int level = page_private(page);

		list_del(&page->lru);
		set_page_private(page, 0);
		free_subtree(vm, page_address(page), level, gone, may_sleep);
	}
	if (gone->leaves)
		atomic64_add(gone->leaves, &vm->stat[POSADA_STAT_ZAPPED]);
}

/* ---- 5. birth and death ---- */

int posada_mmu_init(struct posada_vm *vm)
{
	struct posada_mmu *mmu = &vm->mmu;
	int ret;

	/* Every level below the root may need a table in one fault. */
	if (WARN_ON_ONCE(vm->ops->pt_levels - 1 > POSADA_TABLE_CACHE))
		return -EINVAL;
	spin_lock_init(&mmu->lock);
	mmu->format = vm->ops->format;
	mmu->levels = vm->ops->pt_levels;
	mmu->table = (u64 *)__get_free_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!mmu->table)
		return -ENOMEM;
	mmu->root = __sme_set(__pa(mmu->table));

	mmu->notifier.ops = &posada_notifier_ops;
	ret = mmu_notifier_register(&mmu->notifier, vm->mm);
	if (ret) {
		free_page((unsigned long)mmu->table);
		/* It gives up for any signal: take that first, then try again. */
		return ret == -EINTR ? -ERESTARTNOINTR : ret;
	}
	atomic64_inc(&vm->stat[POSADA_STAT_TABLES]);
	return 0;
}

void posada_mmu_free(struct posada_vm *vm)
{
	struct posada_mmu *mmu = &vm->mmu;
	struct posada_gone gone = POSADA_GONE_INIT(gone);

	mmu_notifier_unregister(&mmu->notifier, vm->mm);
	/* No vCPU runs, no notifier: nobody looks, nothing to flush. */
	free_subtree(vm, mmu->table, mmu->levels, &gone, true);
}
