// SPDX-License-Identifier: GPL-2.0
/*
 * Memory slots: which user memory a guest-physical address is, and the log of
 * which pages were written.
 *
 * A table of slots is never changed: posada_slot_set() builds the next
 * generation and publishes it. In order:
 *
 *  1. check everything, allocate everything;
 *  2. under mmu_lock: zap what the old slot mapped, publish the new table;
 *     faults that still hold the old one find another generation and retry;
 *  3. write-protect where the new slot asks for it;
 *  4. wait for the readers of the old table (SRCU), then free it.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"
#include "mmu.h"

#define SLOT_FLAGS	(POSADA_SLOT_READONLY | POSADA_SLOT_DIRTY_LOG)
#define LOG_FLAGS	POSADA_DIRTY_CLEAR

/* A user may ask for more than there is: no word in the log about it. */
#define GFP_SLOT	(GFP_KERNEL_ACCOUNT | __GFP_NOWARN)

/* ---- find ---- */

unsigned int posada_phys_bits(const struct posada_backend *ops)
{
	unsigned int table_bits = PAGE_SHIFT + ops->pt_levels * POSADA_PT_BITS;

	return min_t(unsigned int, boot_cpu_data.x86_phys_bits, table_bits);
}

struct posada_memslot *posada_slots_find(const struct posada_slots *slots,
					 u64 gfn)
{
	u32 low = 0, high = slots->nr;

	while (low < high) {
		u32 middle = (low + high) / 2;
		struct posada_memslot *slot = slots->slot[middle];

		if (gfn < slot->gfn)
			high = middle;
		else if (gfn - slot->gfn >= slot->pages)
			low = middle + 1;
		else
			return slot;
	}
	return NULL;
}

struct posada_memslot *posada_slot_of(struct posada_vm *vm, u64 gfn)
{
	return posada_slots_find(srcu_dereference(vm->slots, &vm->srcu), gfn);
}

static struct posada_slots *current_slots(struct posada_vm *vm)
{
	return rcu_dereference_protected(vm->slots,
					 lockdep_is_held(&vm->lock));
}

static struct posada_memslot *slot_by_id(const struct posada_slots *slots,
					 u32 id)
{
	u32 i;

	for (i = 0; i < slots->nr; i++)
		if (slots->slot[i]->id == id)
			return slots->slot[i];
	return NULL;
}

/* ---- check ---- */

static bool overlaps(const struct posada_memslot *slot, u64 gfn, u64 pages)
{
	return gfn < slot->gfn + slot->pages && slot->gfn < gfn + pages;
}

static int check_shape(struct posada_vm *vm, const struct posada_slot *a)
{
	u64 gpa_limit = 1ULL << posada_phys_bits(vm->ops);

	if (a->flags & ~SLOT_FLAGS || a->pad || a->slot >= POSADA_MAX_SLOTS)
		return -EINVAL;
	if (!PAGE_ALIGNED(a->gpa | a->bytes | a->hva))
		return -EINVAL;
	if (!posada_range_ok(a->gpa, a->bytes, gpa_limit) ||
	    !posada_range_ok(a->hva, a->bytes, U64_MAX))
		return -EINVAL;
	return 0;
}

static int check(struct posada_vm *vm, const struct posada_slots *slots,
		 const struct posada_slot *a)
{
	int ret = check_shape(vm, a);
	u32 i;

	if (ret)
		return ret;
	if (!a->bytes)
		return slot_by_id(slots, a->slot) ? 0 : -ENOENT;
	if (!posada_range_ok(a->hva, a->bytes, TASK_SIZE_MAX))
		return -EFAULT;
	for (i = 0; i < slots->nr; i++)
		if (slots->slot[i]->id != a->slot &&
		    overlaps(slots->slot[i], a->gpa >> PAGE_SHIFT,
			     a->bytes >> PAGE_SHIFT))
			return -EEXIST;
	return 0;
}

/* ---- build the next generation ---- */

static size_t log_words(u64 pages)
{
	return DIV_ROUND_UP(pages, BITS_PER_LONG);
}

/* Writers log to it at the same time. */
static void or_log(struct posada_memslot *slot, size_t at, unsigned long bits)
{
	if (bits)
		atomic_long_or(bits, (atomic_long_t *)&slot->dirty[at]);
}

/* Does @slot go on with the log of @old? */
static bool keeps_log(const struct posada_memslot *slot,
		      const struct posada_memslot *old)
{
	return old && old->dirty && old->dirty == slot->dirty;
}

static void free_slot(struct posada_memslot *slot)
{
	kvfree(slot->dirty);
	kfree(slot);
}

static struct posada_memslot *new_slot(const struct posada_slot *a,
				       const struct posada_memslot *old)
{
	struct posada_memslot *slot = kzalloc(sizeof(*slot), GFP_KERNEL_ACCOUNT);

	if (!slot)
		return NULL;
	slot->gfn = a->gpa >> PAGE_SHIFT;
	slot->pages = a->bytes >> PAGE_SHIFT;
	slot->hva = a->hva;
	slot->flags = a->flags;
	slot->id = a->slot;
	if (!(a->flags & POSADA_SLOT_DIRTY_LOG))
		return slot;

	/* Of the same size: writes logged so far must not be lost. */
	if (old && old->dirty && old->pages == slot->pages)
		slot->dirty = old->dirty;
	else
		slot->dirty = kvcalloc(log_words(slot->pages), sizeof(long),
				       GFP_SLOT);
	if (!slot->dirty) {
		kfree(slot);
		return NULL;
	}
	return slot;
}

/* The table without @old, with @slot; either may be NULL. */
static struct posada_slots *next_slots(const struct posada_slots *slots,
				       const struct posada_memslot *old,
				       struct posada_memslot *slot)
{
	struct posada_slots *next;
	u32 i;

	next = kvzalloc(struct_size(next, slot, slots->nr + 1),
			GFP_KERNEL_ACCOUNT);
	if (!next)
		return NULL;
	/* 0 stands for "no generation" in the fetch caches. */
	next->gen = slots->gen + 1 ?: 1;
	for (i = 0; i < slots->nr; i++) {
		if (slots->slot[i] == old)
			continue;
		if (slot && slot->gfn < slots->slot[i]->gfn) {
			next->slot[next->nr++] = slot;
			slot = NULL;
		}
		next->slot[next->nr++] = slots->slot[i];
	}
	if (slot)
		next->slot[next->nr++] = slot;
	return next;
}

/* ---- publish ---- */

/* Does what @old mapped stay right under @slot, but for write permission? */
static bool keeps_mappings(const struct posada_memslot *slot,
			   const struct posada_memslot *old)
{
	return slot && slot->gfn == old->gfn && slot->pages == old->pages &&
	       slot->hva == old->hva &&
	       /* The end of a log lets large pages come back. */
	       !(old->dirty && !slot->dirty);
}

static void publish(struct posada_vm *vm, struct posada_slots *next,
		    const struct posada_memslot *old,
		    const struct posada_memslot *slot)
{
	struct posada_gone gone = POSADA_GONE_INIT(gone);

	spin_lock(&vm->mmu.lock);
	if (old && !keeps_mappings(slot, old))
		posada_mmu_zap(vm, old->gfn, old->pages, &gone);
	rcu_assign_pointer(vm->slots, next);
	WRITE_ONCE(vm->mmu.slots_gen, next->gen);
	posada_gone_flush(vm, &gone);
	spin_unlock(&vm->mmu.lock);
	posada_gone_free(vm, &gone, true);

	if (old && slot && slot->flags & ~old->flags)
		posada_mmu_protect(vm, slot->gfn, slot->pages);
}

/* Into a log of another size: what was written in the pages that remain. */
static void carry_log(struct posada_memslot *slot,
		      const struct posada_memslot *old)
{
	u64 pages = min(slot->pages, old->pages);
	size_t words = log_words(pages), i;

	if (old->gfn != slot->gfn || old->hva != slot->hva)
		return;
	for (i = 0; i < words; i++) {
		unsigned long word = old->dirty[i];

		if (i == words - 1)
			word &= BITMAP_LAST_WORD_MASK(pages);
		or_log(slot, i, word);
		cond_resched();
	}
}

/* Nobody reads the table that had @old any more. */
static void retire(struct posada_memslot *old, struct posada_memslot *slot)
{
	if (slot && old->dirty && slot->dirty && !keeps_log(slot, old))
		carry_log(slot, old);
	if (slot && keeps_log(slot, old))
		old->dirty = NULL;
	free_slot(old);
}

int posada_slot_set(struct posada_vm *vm, const struct posada_slot *a)
{
	struct posada_slots *slots = current_slots(vm), *next;
	struct posada_memslot *old, *slot = NULL;
	int ret = check(vm, slots, a);

	if (ret)
		return ret;
	old = slot_by_id(slots, a->slot);
	if (a->bytes) {
		slot = new_slot(a, old);
		if (!slot)
			return -ENOMEM;
	}
	next = next_slots(slots, old, slot);
	if (!next) {
		if (slot && keeps_log(slot, old))
			slot->dirty = NULL;
		if (slot)
			free_slot(slot);
		return -ENOMEM;
	}

	publish(vm, next, old, slot);
	synchronize_srcu_expedited(&vm->srcu);
	if (old)
		retire(old, slot);
	kvfree(slots);
	return 0;
}

/* ---- the dirty log ---- */

static int check_log(const struct posada_memslot *slot,
		     const struct posada_dirty_log *a)
{
	if (!slot)
		return -ENOENT;
	if (!slot->dirty)
		return -ENODATA;
	if (!posada_range_ok(a->first, a->pages, slot->pages))
		return -EINVAL;
	if (a->first % BITS_PER_LONG)
		return -EINVAL;
	if (a->pages % BITS_PER_LONG && a->first + a->pages != slot->pages)
		return -EINVAL;
	return 0;
}

/*
 * Move @words words of the log from word @first to @buf and arm their pages.
 * Under mmu_lock, as is the fault that logs a page and maps it writable: a
 * write is in this log, or else it faults and is in the next.
 */
static void take_log(struct posada_vm *vm, struct posada_memslot *slot,
		     u64 first, size_t words, unsigned long *buf)
{
	unsigned long *log = slot->dirty + first;
	bool flush = false;
	size_t i;

	spin_lock(&vm->mmu.lock);
	for (i = 0; i < words; i++) {
		u64 gfn = slot->gfn + (first + i) * BITS_PER_LONG;

		buf[i] = READ_ONCE(log[i]) ? xchg(&log[i], 0) : 0;
		if (buf[i])
			flush |= posada_mmu_protect_mask(vm, gfn, buf[i]);
		cond_resched_lock(&vm->mmu.lock);
	}
	if (flush)
		posada_flush_vm(vm);
	spin_unlock(&vm->mmu.lock);
}

static void put_log_back(struct posada_memslot *slot, u64 first, size_t words,
			 const unsigned long *buf)
{
	size_t i;

	for (i = 0; i < words; i++)
		or_log(slot, first + i, buf[i]);
}

static int get_and_clear(struct posada_vm *vm, struct posada_memslot *slot,
			 u64 first, size_t words, void __user *user)
{
	/* All of it at once: a copy that fails half way must undo it all. */
	unsigned long *buf = kvmalloc_array(words, sizeof(*buf), GFP_SLOT);
	int ret = 0;

	if (!buf)
		return -ENOMEM;
	take_log(vm, slot, first, words, buf);
	if (copy_to_user(user, buf, words * sizeof(*buf))) {
		put_log_back(slot, first, words, buf);
		ret = -EFAULT;
	}
	kvfree(buf);
	return ret;
}

int posada_dirty_log(struct posada_vm *vm, const struct posada_dirty_log *a)
{
	void __user *user = u64_to_user_ptr(a->bitmap);
	u64 first = a->first / BITS_PER_LONG;
	size_t words = log_words(a->pages);
	struct posada_memslot *slot;
	int ret;

	if (a->flags & ~LOG_FLAGS || a->pad)
		return -EINVAL;
	slot = slot_by_id(current_slots(vm), a->slot);
	ret = check_log(slot, a);
	if (ret || !words)
		return ret;
	if (a->flags & POSADA_DIRTY_CLEAR)
		return get_and_clear(vm, slot, first, words, user);
	return copy_to_user(user, slot->dirty + first,
			    words * sizeof(*slot->dirty)) ? -EFAULT : 0;
}

/* ---- birth and death ---- */

int posada_slots_init(struct posada_vm *vm)
{
	struct posada_slots *slots = kvzalloc(sizeof(*slots),
					      GFP_KERNEL_ACCOUNT);

	if (!slots)
		return -ENOMEM;
	slots->gen = 1;
	vm->mmu.slots_gen = slots->gen;
	RCU_INIT_POINTER(vm->slots, slots);
	return 0;
}

/* No vCPU, no notifier is left. */
void posada_slots_free(struct posada_vm *vm)
{
	struct posada_slots *slots = rcu_dereference_protected(vm->slots, true);
	u32 i;

	if (!slots)
		return;
	for (i = 0; i < slots->nr; i++)
		free_slot(slots->slot[i]);
	kvfree(slots);
	RCU_INIT_POINTER(vm->slots, NULL);
}
