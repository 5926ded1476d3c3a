// SPDX-License-Identifier: GPL-2.0
/*
 * The host changes its page tables: keep the second level in step.
 *
 * The host calls invalidate_range_start() before it changes the mappings of a
 * range of user addresses, and invalidate_range_end() after. Between the two
 * nothing of that range may be mapped; and a fault that looked up a page
 * before the end must not map it afterwards. So:
 *
 *   fault.c                            here
 *   -------                            ----
 *   sample mmu->seq                    start: active++, zap, flush    (M)
 *   look up the page                   (the host changes its tables)
 *   under M: if seq moved, or an       end:   seq++, active--         (M)
 *   active range covers it: start anew;
 *   else map
 */
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include "compat.h"
#include "mmu.h"

static struct posada_vm *vm_of(struct mmu_notifier *mn)
{
	return container_of(mn, struct posada_vm, mmu.notifier);
}

/* Whoever changes the table holds mmu_lock: it is enough to read it, too. */
static struct posada_slots *slots_locked(struct posada_vm *vm)
{
	return rcu_dereference_protected(vm->slots,
					 lockdep_is_held(&vm->mmu.lock));
}

/* The part of @slot that [start, end) backs, as gfns. False: none. */
static bool overlap(const struct posada_memslot *slot, unsigned long start,
		    unsigned long end, u64 *gfn, u64 *pages)
{
	unsigned long slot_end = slot->hva + (slot->pages << PAGE_SHIFT);

	if (start >= slot_end || end <= slot->hva)
		return false;
	start = max(start, slot->hva);
	end = min(end, slot_end);
	*gfn = slot->gfn + ((start - slot->hva) >> PAGE_SHIFT);
	*pages = (PAGE_ALIGN(end) - (start & PAGE_MASK)) >> PAGE_SHIFT;
	return true;
}

static void zap_hva(struct posada_vm *vm, unsigned long start,
		    unsigned long end, struct posada_gone *gone)
{
	struct posada_slots *slots = slots_locked(vm);
	u64 gfn, pages;
	u32 i;

	for (i = 0; i < slots->nr; i++)
		if (overlap(slots->slot[i], start, end, &gfn, &pages))
			posada_mmu_zap(vm, gfn, pages, gone);
}

static void activate(struct posada_mmu *mmu, unsigned long start,
		     unsigned long end)
{
	/* One range covers all that are active. It shrinks when none is. */
	if (!mmu->active++) {
		mmu->active_start = start;
		mmu->active_end = end;
	} else {
		mmu->active_start = min(mmu->active_start, start);
		mmu->active_end = max(mmu->active_end, end);
	}
}

static int invalidate_range_start(struct mmu_notifier *mn,
				  const struct mmu_notifier_range *range)
{
	struct posada_vm *vm = vm_of(mn);
	struct posada_gone gone = POSADA_GONE_INIT(gone);

	/* Nothing here sleeps: a range that must not block is no different. */
	spin_lock(&vm->mmu.lock);
	activate(&vm->mmu, range->start, range->end);
	zap_hva(vm, range->start, range->end, &gone);
	posada_gone_flush(vm, &gone);
	spin_unlock(&vm->mmu.lock);
	posada_gone_free(vm, &gone, mmu_notifier_range_blockable(range));
	return 0;
}

static void invalidate_range_end(struct mmu_notifier *mn,
				 const struct mmu_notifier_range *range)
{
	struct posada_mmu *mmu = &vm_of(mn)->mmu;

	spin_lock(&mmu->lock);
	WRITE_ONCE(mmu->seq, mmu->seq + 1);
	mmu->active--;
	spin_unlock(&mmu->lock);
}

static bool young(struct posada_vm *vm, unsigned long start, unsigned long end,
		  bool clear)
{
	struct posada_slots *slots;
	bool found = false;
	u64 gfn, pages;
	u32 i;

	spin_lock(&vm->mmu.lock);
	slots = slots_locked(vm);
	for (i = 0; i < slots->nr; i++)
		if (overlap(slots->slot[i], start, end, &gfn, &pages))
			found |= posada_mmu_young(vm, gfn, pages, clear);
	spin_unlock(&vm->mmu.lock);
	return found;
}

/*
 * No flush, though the name asks for one: a translation that lives on in a
 * TLB only makes a page look older than it is, and the host's own tables are
 * aged in the same way on x86.
 */
static int clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
		       unsigned long start, unsigned long end)
{
	return young(vm_of(mn), start, end, true);
}

static int test_young(struct mmu_notifier *mn, struct mm_struct *mm,
		      unsigned long address)
{
	return young(vm_of(mn), address, address + PAGE_SIZE, false);
}

/* The address space dies before the VM: drop all, no fault can come again. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct posada_vm *vm = vm_of(mn);
	struct posada_gone gone = POSADA_GONE_INIT(gone);

	spin_lock(&vm->mmu.lock);
	posada_mmu_zap(vm, 0, posada_level_pages(vm->mmu.levels + 1), &gone);
	posada_gone_flush(vm, &gone);
	spin_unlock(&vm->mmu.lock);
	posada_gone_free(vm, &gone, true);
}

const struct mmu_notifier_ops posada_notifier_ops = {
	.invalidate_range_start	= invalidate_range_start,
	.invalidate_range_end	= invalidate_range_end,
	.clear_flush_young	= clear_young,
	.clear_young		= clear_young,
	.test_young		= test_young,
	.release		= release,
};
