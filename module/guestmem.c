// SPDX-License-Identifier: GPL-2.0
/*
 * The one door to guest memory: everything that the kernel reads or writes
 * there for a guest goes through here, as a user access to the slot's hva.
 * Nothing is pinned and no kernel mapping is kept.
 */
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>
#include "compat.h"
#include "posada.h"

/* All gpas are below this; a range that passes it wraps. */
#define GPA_LIMIT	(1ULL << 52)

/* The user address of @gpa, which is in @slot. */
static unsigned long hva_in(const struct posada_memslot *slot, u64 gpa)
{
	u64 page = array_index_nospec((gpa >> PAGE_SHIFT) - slot->gfn,
				      slot->pages);

	return slot->hva + (page << PAGE_SHIFT) + offset_in_page(gpa);
}

static void mark_slot(struct posada_memslot *slot, u64 gfn)
{
	/* A full barrier: the data is visible before the bit. */
	if (slot->dirty)
		set_bit(array_index_nospec(gfn - slot->gfn, slot->pages),
			slot->dirty);
}

static void mark_range(struct posada_memslot *slot, u64 gpa, size_t bytes)
{
	u64 gfn = gpa >> PAGE_SHIFT;
	u64 last = (gpa + bytes - 1) >> PAGE_SHIFT;

	if (!slot->dirty)
		return;
	for (; gfn <= last; gfn++)
		mark_slot(slot, gfn);
}

/* How much of @bytes from @gpa lies in @slot, which holds @gpa. */
static size_t part(const struct posada_memslot *slot, u64 gpa, size_t bytes)
{
	u64 end = (slot->gfn + slot->pages) << PAGE_SHIFT;

	return min_t(u64, bytes, end - gpa);
}

static int write_part(struct posada_memslot *slot, u64 gpa, const void *buf,
		      size_t bytes)
{
	size_t left;

	if (slot->flags & POSADA_SLOT_READONLY)
		return -EFAULT;
	left = copy_to_user((void __user *)hva_in(slot, gpa), buf, bytes);
	if (left != bytes)
		mark_range(slot, gpa, bytes - left);
	return left ? -EFAULT : 0;
}

static int read_part(struct posada_memslot *slot, u64 gpa, void *buf,
		     size_t bytes)
{
	const void __user *from = (const void __user *)hva_in(slot, gpa);

	/* Entries of page tables, mostly: a quarter of the general way. */
	if (bytes == sizeof(u64))
		return get_user(*(u64 *)buf, (const u64 __user *)from);
	return copy_from_user(buf, from, bytes) ? -EFAULT : 0;
}

/* Slot by slot. Exactly one of @to and @from is not NULL. */
static int copy_guest(struct posada_vm *vm, u64 gpa, void *to,
		      const void *from, size_t bytes)
{
	size_t done, n;
	int ret = 0, idx;

	if (WARN_ON_ONCE(current->mm != vm->mm) ||
	    !posada_range_ok(gpa, bytes, GPA_LIMIT))
		return -EFAULT;

	idx = srcu_read_lock(&vm->srcu);
	for (done = 0; done < bytes && !ret; done += n, gpa += n) {
		struct posada_memslot *slot;

		slot = posada_slot_of(vm, gpa >> PAGE_SHIFT);
		if (!slot) {
			ret = -EFAULT;
			break;
		}
		n = part(slot, gpa, bytes - done);
		ret = to ? read_part(slot, gpa, to + done, n) :
			   write_part(slot, gpa, from + done, n);
	}
	srcu_read_unlock(&vm->srcu, idx);
	return ret;
}

int posada_gpa_read(struct posada_vm *vm, u64 gpa, void *buf, size_t bytes)
{
	return copy_guest(vm, gpa, buf, NULL, bytes);
}

int posada_gpa_write(struct posada_vm *vm, u64 gpa, const void *buf,
		     size_t bytes)
{
	return copy_guest(vm, gpa, NULL, buf, bytes);
}

unsigned long posada_gpa_to_hva(struct posada_vm *vm, u64 gpa, bool write)
{
	struct posada_memslot *slot = posada_slot_of(vm, gpa >> PAGE_SHIFT);

	if (!slot || (write && slot->flags & POSADA_SLOT_READONLY))
		return 0;
	return hva_in(slot, gpa);
}

void posada_mark_dirty(struct posada_vm *vm, u64 gfn)
{
	int idx = srcu_read_lock(&vm->srcu);
	struct posada_memslot *slot = posada_slot_of(vm, gfn);

	if (slot)
		mark_slot(slot, gfn);
	srcu_read_unlock(&vm->srcu, idx);
}
