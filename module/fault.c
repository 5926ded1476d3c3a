// SPDX-License-Identifier: GPL-2.0
/*
 * A second-level fault: find the host's page for a gfn and map it.
 *
 *  1. The slot says which user address it is (under SRCU, briefly).
 *  2. Look it up in the host's own page table, without a lock or a reference:
 *     the notifier's protocol (notifier.c) says whether the answer still
 *     holds at the end. That is all for a page that the host has mapped with
 *     the rights that it takes.
 *  3. If not, let the host fault it in, and look again. What cannot be used by
 *     its entry alone (DAX, protection keys) comes from get_user_pages(), with a
 *     reference till 4. That also tells what the host cannot serve, and why.
 *  4. Under mmu_lock: if slots and host's tables have not changed, map it, as
 *     large as host mapping, slot and dirty log allow. Else enter the guest,
 *     which faults anew.
 *  5. Map its neighbours as well, where the host has them: their entries share
 *     a cache line of the host's table, and a fault costs more than ten of them.
 *
 * A page goes in writable only if the host's entry is writable and dirty, or
 * get_user_pages() for writing has just found or made the page dirty. The host then
 * knows it is dirty, and whoever cleans it calls the notifier first: no
 * set_page_dirty() here, which could come too late for a file system.
 * A guest's read never breaks copy-on-write.
 */
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/pkeys.h>
#include <linux/sched/signal.h>
#include <linux/srcu.h>
#include "compat.h"
#include "mmu.h"

/* Small pages that are mapped together: a cache line of the host's entries. */
#define NEAR		8

/* What the host's page table has for a user address. */
struct host_entry {
	u64 pfn;
	int level;		/* 0: nothing that can be used as it is */
	bool write;		/* writable, and known to be dirty */
	bool has_near;
	pte_t near[NEAR];	/* entries of the aligned group around it */
};

struct fault {
	struct posada_vm *vm;
	u64 gfn;
	bool write, exec;
	struct posada_memslot *slot; /* alive only while @gen is current */
	u32 slot_flags;
	u32 gen;
	unsigned long hva;	/* of the page */
	unsigned long seq;	/* of the notifier, before the look-up */
	struct host_entry host;
	struct page *page;	/* a reference that step 3 took, or NULL */
};

/* ---- 1. the slot ---- */

static bool find_slot(struct fault *f)
{
	struct posada_slots *slots;
	int idx = srcu_read_lock(&f->vm->srcu);

	slots = srcu_dereference(f->vm->slots, &f->vm->srcu);
	f->gen = slots->gen;
	f->slot = posada_slots_find(slots, f->gfn);
	if (f->slot) {
		f->slot_flags = f->slot->flags;
		f->hva = f->slot->hva +
			 ((f->gfn - f->slot->gfn) << PAGE_SHIFT);
	}
	srcu_read_unlock(&f->vm->srcu, idx);
	return f->slot;
}

/* ---- 2. the host's page table ---- */

#define HOST_NEEDS	(_PAGE_PRESENT | _PAGE_USER)
/* Not plain memory, or rights that depend on more than the entry. */
#define HOST_REFUSES	(_PAGE_SPECIAL | _PAGE_DEVMAP | _PAGE_PKEY_MASK)
#define HOST_WRITE	(_PAGE_RW | _PAGE_DIRTY)

static void take_entry(struct host_entry *host, u64 flags, u64 pfn, int level,
		       unsigned long hva)
{
	/* The zero page is special, but never goes away. */
	if (is_zero_pfn(pfn))
		flags &= ~_PAGE_SPECIAL;
	if ((flags & (HOST_NEEDS | HOST_REFUSES)) != HOST_NEEDS)
		return;
	host->pfn = pfn + ((hva >> PAGE_SHIFT) &
			   (posada_level_pages(level) - 1));
	host->level = level;
	host->write = (flags & HOST_WRITE) == HOST_WRITE;
}

static void take_small(struct host_entry *host, const pte_t *entry,
		       unsigned long hva)
{
	const pte_t *group = entry - pte_index(hva) % NEAR;
	pte_t pte = READ_ONCE(*entry);
	int i;

	if (!pte_present(pte))
		return;
	take_entry(host, pte_flags(pte), pte_pfn(pte), POSADA_LEVEL_4K, hva);
	if (!host->level)
		return;
	for (i = 0; i < NEAR; i++)
		host->near[i] = READ_ONCE(group[i]);
	host->has_near = true;
}

/* Interrupts off: page tables are not freed under us. */
static void walk_host(struct mm_struct *mm, unsigned long hva,
		      struct host_entry *host)
{
	pgd_t pgd = READ_ONCE(*pgd_offset(mm, hva));
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	if (pgd_none(pgd))
		return;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (!p4d_present(p4d))
		return;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (!pud_present(pud))
		return;
	if (pud_leaf(pud)) {
		take_entry(host, pud_flags(pud), pud_pfn(pud), POSADA_LEVEL_1G,
			   hva);
		return;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (!pmd_present(pmd))
		return;
	if (pmd_leaf(pmd)) {
		take_entry(host, pmd_flags(pmd), pmd_pfn(pmd), POSADA_LEVEL_2M,
			   hva);
		return;
	}
	take_small(host, pte_offset_kernel(&pmd, hva), hva);
}

static void look_up(struct fault *f)
{
	unsigned long irqs;

	f->host.level = 0;
	f->host.has_near = false;
	local_irq_save(irqs);
	walk_host(f->vm->mm, f->hva, &f->host);
	local_irq_restore(irqs);
}

static bool found(const struct fault *f)
{
	return f->host.level && (f->host.write || !f->write);
}

/* ---- 3. ask the host for the page ---- */

/* Is this memory that the guest's access may fault in, with no more questions? */
static bool plain(struct vm_area_struct *vma, const struct fault *f)
{
	return vma && vma->vm_flags & (f->write ? VM_WRITE : VM_READ) &&
	       !(vma->vm_flags & (VM_IO | VM_PFNMAP)) && !vma_pkey(vma);
}

/*
 * What the access would do in the process itself. It is cheaper than to have
 * the page handed out, too. Whether it helped is seen in the host's table.
 */
static void touch(const struct fault *f)
{
	unsigned int flags = FAULT_FLAG_DEFAULT |
			     (f->write ? FAULT_FLAG_WRITE : 0);
	struct mm_struct *mm = f->vm->mm;
	struct vm_area_struct *vma;
	vm_fault_t ret = 0;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, f->hva);
	if (plain(vma, f))
		ret = handle_mm_fault(vma, f->hva, flags, NULL);
	/* With these it has dropped the lock. */
	if (!(ret & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)))
		mmap_read_unlock(mm);
}

/* 1: f->host is what to map. 0: the host cannot serve it. -errno. */
static int get_reference(struct fault *f)
{
	unsigned int gup = FOLL_HWPOISON | POSADA_FOLL_INTERRUPTIBLE |
			   (f->write ? FOLL_WRITE : 0);
	long ret = get_user_pages_unlocked(f->hva, 1, &f->page, gup);

	if (ret == 1) {
		f->host.pfn = page_to_pfn(f->page);
		f->host.level = POSADA_LEVEL_4K;
		f->host.write = f->write;
		return 1;
	}
	f->page = NULL;
	if (ret == -EINTR || ret == -EAGAIN || ret == 0)
		return -EINTR;
	return ret == -ENOMEM ? -ENOMEM : 0;
}

/* The same. */
static noinline int fault_in(struct fault *f)
{
	touch(f);
	look_up(f);
	/* The host did not have it: most likely not its neighbours, either. */
	f->host.has_near = false;
	if (found(f))
		return 1;
	if (signal_pending(current))
		return -EINTR;
	return get_reference(f);
}

/* ---- 4. map ---- */

/* Does the aligned group of @pages at the fault lie inside the slot, in the
 * host's table as in ours?
 */
static bool fits_pages(const struct fault *f, u64 pages)
{
	u64 first = f->gfn & ~(pages - 1);

	return !((f->gfn ^ f->hva >> PAGE_SHIFT) & (pages - 1)) &&
	       first >= f->slot->gfn &&
	       posada_range_ok(first - f->slot->gfn, pages, f->slot->pages);
}

static int choose_level(const struct fault *f)
{
	int level = f->host.level;

	if (f->slot->dirty || (f->exec && f->vm->ops->large_no_exec))
		return POSADA_LEVEL_4K;
	if (level == POSADA_LEVEL_1G &&
	    !(f->vm->ops->features & POSADA_FEATURE_GIB_PAGES))
		level = POSADA_LEVEL_2M;
	while (level > POSADA_LEVEL_4K &&
	       !fits_pages(f, posada_level_pages(level)))
		level--;
	return level;
}

/* Has the host changed its tables there since the look-up? See notifier.c. */
static bool stale(const struct fault *f, int level)
{
	const struct posada_mmu *mmu = &f->vm->mmu;
	unsigned long bytes, start;

	if (mmu->seq != f->seq)
		return true;
	if (likely(!mmu->active))
		return false;
	bytes = posada_level_pages(level) << PAGE_SHIFT;
	start = f->hva & ~(bytes - 1);
	return start < mmu->active_end && start + bytes > mmu->active_start;
}

/* The page may be mapped writable: is that all right with slot and log? */
static bool may_write(struct fault *f)
{
	if (!f->host.write || f->slot->flags & POSADA_SLOT_READONLY)
		return false;
	if (!f->slot->dirty)
		return true;
	if (f->write)
		set_bit(f->gfn - f->slot->gfn, f->slot->dirty);
	return f->write;
}

/* ---- 5. map what is near ---- */

/*
 * Is the group at @first in the slot, and in one table of ours? It is aligned
 * in the host's table, which need not be so in ours.
 */
static bool near_fits(const struct fault *f, u64 first)
{
	return first >= f->slot->gfn &&
	       posada_range_ok(first - f->slot->gfn, NEAR, f->slot->pages) &&
	       first % POSADA_PT_ENTRIES <= POSADA_PT_ENTRIES - NEAR;
}

/*
 * @entry is the one just made for f->gfn. With no host change under way
 * anywhere the neighbours, read before the check of the sequence, hold.
 */
static void map_near(const struct fault *f, u64 *entry)
{
	int i, at = (f->hva >> PAGE_SHIFT) % NEAR;
	struct host_entry host = { };
	u64 first = f->gfn - at;
	struct posada_mapping m;

	if (!near_fits(f, first) || f->slot->dirty || f->vm->mmu.active)
		return;
	for (i = 0; i < NEAR; i++) {
		pte_t pte = f->host.near[i];

		if (READ_ONCE(entry[i - at]) || !pte_present(pte))
			continue;
		host.level = 0;
		take_entry(&host, pte_flags(pte), pte_pfn(pte),
			   POSADA_LEVEL_4K, 0);
		if (!host.level)
			continue;
		m = (struct posada_mapping){
			.gfn = first + i, .pfn = host.pfn,
			.level = POSADA_LEVEL_4K, .exec = true,
			.write = host.write &&
				 !(f->slot->flags & POSADA_SLOT_READONLY),
		};
		posada_mmu_map_near(f->vm, entry + i - at, &m);
	}
}

/* ---- together ---- */

/* Under mmu_lock, with the slot still the same. */
static void map_locked(struct posada_vcpu *vcpu, struct fault *f,
		       struct posada_gone *gone)
{
	struct posada_mapping m = {
		.gfn = f->gfn, .pfn = f->host.pfn, .level = choose_level(f),
	};
	u64 *entry;

	if (stale(f, m.level))
		return;
	m.write = may_write(f);
	m.exec = m.level == POSADA_LEVEL_4K || !f->vm->ops->large_no_exec;
	entry = posada_mmu_map(vcpu, &m, gone);
	posada_gone_flush(f->vm, gone);
	if (entry && f->host.has_near)
		map_near(f, entry);
}

static void commit(struct posada_vcpu *vcpu, struct fault *f)
{
	struct posada_vm *vm = f->vm;
	struct posada_gone gone = POSADA_GONE_INIT(gone);

	spin_lock(&vm->mmu.lock);
	if (vm->mmu.slots_gen == f->gen)
		map_locked(vcpu, f, &gone);
	spin_unlock(&vm->mmu.lock);
	if (unlikely(gone.leaves || !list_empty(&gone.tables)))
		posada_gone_free(vm, &gone, true);
}

/* What userspace is told of the access. The fault says no more than this:
 * whether the entry was present is not known on every CPU.
 */
static u32 access_flags(const struct posada_exit *exit)
{
	return (exit->memory.write ? POSADA_MEM_WRITE : 0) |
	       (exit->memory.exec ? POSADA_MEM_EXEC : 0) |
	       (exit->memory.walk ? POSADA_MEM_WALK : 0);
}

int posada_mmu_fault(struct posada_vcpu *vcpu, u32 *flags)
{
	struct fault f;
	int ret = 1;

	/* One by one: most of it need not be cleared. */
	f.vm = vcpu->vm;
	f.gfn = vcpu->exit.memory.gpa >> PAGE_SHIFT;
	f.write = vcpu->exit.memory.write;
	f.exec = vcpu->exit.memory.exec;
	f.page = NULL;
	*flags = access_flags(&vcpu->exit);
	if (!find_slot(&f))
		return 0;
	if (f.write && f.slot_flags & POSADA_SLOT_READONLY) {
		*flags |= POSADA_MEM_READONLY;
		return 0;
	}
	if (unlikely(posada_mmu_cache_low(vcpu))) {
		ret = posada_mmu_fill_cache(&vcpu->tables);
		if (ret)
			return ret;
		ret = 1;
	}

	f.seq = READ_ONCE(f.vm->mmu.seq);
	smp_rmb();	/* the sample before the look-up; pairs with mmu_lock */
	look_up(&f);
	if (unlikely(!found(&f)))
		ret = fault_in(&f);
	if (ret > 0)
		commit(vcpu, &f);
	else if (!ret)
		*flags |= POSADA_MEM_FAULT;
	if (f.page)
		put_page(f.page);
	return ret;
}
