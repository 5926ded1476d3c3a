// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's page tables, walked in this process.
 *
 * One walker over a const description of each paging mode:
 *
 *	           bits of the linear address, per level      entry
 *	32-bit     10 . 10 . (12)                             4 bytes
 *	PAE         2 .  9 . 9 . (12)                         8 bytes
 *	4-level     9 .  9 . 9 . 9 . (12)                     8 bytes
 *	5-level     9 .  9 . 9 . 9 . 9 . (12)                 8 bytes
 *
 * Hardware has walked these tables for the access that exited; this walk is
 * for an instruction's other operands, other pages, and for debuggers. It is
 * as strict as hardware is, so that the guest cannot reach by an emulated
 * access what it could not reach by a native one.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

#define PTE_P		BIT(0)
#define PTE_W		BIT(1)
#define PTE_U		BIT(2)
#define PTE_A		BIT(5)
#define PTE_D		BIT(6)
#define PTE_PS		BIT(7)
#define PTE_NX		BIT(63)
#define PTE_KEY_SHIFT	59
#define MAX_LEVELS	5

enum {
	PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_RSVD = 8, PF_FETCH = 16,
	PF_KEY = 32,
	PF_NOT_PRESENT = 1 << 8,	/* not in an error code: P is clear */
};

struct format {
	uint8_t levels;
	uint8_t entry_bytes;
	uint8_t top_bits;	/* index bits of the first level */
	uint8_t bits;		/* of the others */
	uint8_t huge;		/* levels (from the last: bit 1, 2) with PS */
};

static const struct format format_32 = {
	.levels = 2, .entry_bytes = 4, .top_bits = 10, .bits = 10, .huge = 0x2,
};
static const struct format format_pae = {
	.levels = 3, .entry_bytes = 8, .top_bits = 2, .bits = 9, .huge = 0x2,
};
static const struct format format_4 = {
	.levels = 4, .entry_bytes = 8, .top_bits = 9, .bits = 9, .huge = 0x6,
};
static const struct format format_5 = {
	.levels = 5, .entry_bytes = 8, .top_bits = 9, .bits = 9, .huge = 0x6,
};

struct walk {
	struct posada_vcpu *vcpu;
	const struct posada_sregs *sregs;
	const struct format *f;
	uint64_t gva;
	uint32_t access;
	uint64_t allowed;	/* AND of the W and U bits so far */
	bool nx;
	uint64_t leaf;
	unsigned int shift;	/* of the leaf's page */
	uint64_t entry_gpa[MAX_LEVELS];
	uint64_t entry[MAX_LEVELS];
	unsigned int depth;
};

static const struct format *pick_format(const struct posada_sregs *s)
{
	if (!(s->cr4 & X86_CR4_PAE))
		return &format_32;
	if (!(s->efer & X86_EFER_LMA))
		return &format_pae;
	return s->cr4 & X86_CR4_LA57 ? &format_5 : &format_4;
}

/* Page tables in a device read as all ones there, as on a bus. */
static uint64_t read_entry(struct walk *w, uint64_t gpa)
{
	const void *hva = posada_hva(w->vcpu->vm, gpa, w->f->entry_bytes);

	if (!hva)
		return w->f->entry_bytes == 4 ? ~0U : ~0ULL;
	if (w->f->entry_bytes == 4)
		return __atomic_load_n((const uint32_t *)hva, __ATOMIC_ACQUIRE);
	return __atomic_load_n((const uint64_t *)hva, __ATOMIC_ACQUIRE);
}

static uint64_t address_bits(const struct walk *w)
{
	uint64_t all = BIT(w->vcpu->vm->phys_bits) - 1;

	return w->f->entry_bytes == 4 ? 0xfffff000ULL : all & ~PAGE_MASK;
}

/* The bits that must be zero in an 8-byte entry; 4-byte ones have none. */
static uint64_t reserved_bits(const struct walk *w, bool huge)
{
	uint64_t rsvd;

	if (w->f->entry_bytes == 4)
		return 0;
	/* Outside long mode bits 52-62 are reserved, inside they are free. */
	rsvd = BIT(52) - BIT(w->vcpu->vm->phys_bits);
	if (w->f == &format_pae)
		rsvd |= BIT(63) - BIT(52);
	if (w->f == &format_pae && w->depth == 1)
		return rsvd | PTE_NX | 0x1e6;
	if (!(w->sregs->efer & X86_EFER_NXE))
		rsvd |= PTE_NX;
	if (huge)
		rsvd |= BIT(w->shift) - BIT(13);
	return rsvd;
}

static bool is_huge(const struct walk *w, uint64_t entry)
{
	unsigned int from_last = w->f->levels - w->depth;

	if (!(entry & PTE_PS))
		return false;
	if (w->f == &format_32 && !(w->sregs->cr4 & X86_CR4_PSE))
		return false;
	return w->f->huge & (1U << from_last);
}

/* PS where no large page can be is reserved in the upper levels. */
static bool is_reserved(const struct walk *w, uint64_t entry, bool huge)
{
	unsigned int from_last = w->f->levels - w->depth;

	if (entry & reserved_bits(w, huge))
		return true;
	return w->f->entry_bytes == 8 && from_last && !huge &&
	       entry & PTE_PS;
}

/* Descend to the leaf. -> 0, or the #PF's error bits. */
static uint32_t descend(struct walk *w)
{
	const struct format *f = w->f;
	bool pae_top;
	unsigned int bits;
	uint64_t table, entry;
	bool huge;

	table = w->sregs->cr3 & address_bits(w);
	if (f == &format_pae)
		table = w->sregs->cr3 & 0xffffffe0ULL;
	w->shift = 12 + f->bits * (f->levels - 1);
	for (;;) {
		bits = w->depth ? f->bits : f->top_bits;
		pae_top = f == &format_pae && !w->depth;
		w->entry_gpa[w->depth] = table + f->entry_bytes *
			(w->gva >> w->shift & (BIT(bits) - 1));
		entry = read_entry(w, w->entry_gpa[w->depth]);
		w->entry[w->depth++] = entry;
		if (!(entry & PTE_P))
			return PF_NOT_PRESENT;
		huge = is_huge(w, entry);
		if (is_reserved(w, entry, huge))
			return PF_PRESENT | PF_RSVD;
		if (!pae_top) {
			w->allowed &= entry;
			w->nx |= f->entry_bytes == 8 && entry & PTE_NX;
		}
		if (huge || w->depth == f->levels)
			break;
		table = entry & address_bits(w);
		w->shift -= f->bits;
	}
	w->leaf = entry;
	return 0;
}

static bool key_forbids(struct walk *w, bool write)
{
	unsigned int key = w->leaf >> PTE_KEY_SHIFT & 15;
	uint32_t pkru;

	if (!(w->sregs->cr4 & X86_CR4_PKE) || w->f->levels < 4 || !key)
		return false;
	if (pkru_read(w->vcpu, &pkru))
		return true;
	pkru >>= 2 * key;
	if (pkru & 1)
		return true;
	return write && pkru & 2 &&
	       (w->access & POSADA_ACCESS_USER || w->sregs->cr0 & X86_CR0_WP);
}

/* May the access be, by the rights gathered on the way? */
static uint32_t check_rights(struct walk *w)
{
	const struct posada_sregs *s = w->sregs;
	bool write = w->access & POSADA_ACCESS_WRITE;
	bool exec = w->access & POSADA_ACCESS_EXEC;
	bool user = w->access & POSADA_ACCESS_USER;
	bool user_page = w->allowed & PTE_U;

	if (w->access & WALK_ANY)
		return 0;
	if (user && !user_page)
		return PF_PRESENT;
	if (write && !(w->allowed & PTE_W) && (user || s->cr0 & X86_CR0_WP))
		return PF_PRESENT;
	if (exec && w->nx && s->efer & X86_EFER_NXE)
		return PF_PRESENT;
	if (!user && user_page) {
		if (exec && s->cr4 & X86_CR4_SMEP)
			return PF_PRESENT;
		if (!exec && s->cr4 & X86_CR4_SMAP &&
		    !(w->vcpu->run->regs.rflags & X86_FLAGS_AC))
			return PF_PRESENT;
	}
	if (user_page && !exec && key_forbids(w, write))
		return PF_PRESENT | PF_KEY;
	return 0;
}

/* Set @bits in an entry unless the guest has changed it meanwhile; then the
 * bits belong to another mapping and are not ours to set.
 */
static void mark(struct walk *w, unsigned int level, uint64_t bits)
{
	uint64_t old = w->entry[level];
	uint32_t old32 = (uint32_t)old;
	void *hva;

	if ((old & bits) == bits)
		return;
	hva = posada_hva(w->vcpu->vm, w->entry_gpa[level], w->f->entry_bytes);
	if (!hva)
		return;
	if (w->f->entry_bytes == 4)
		__atomic_compare_exchange_n((uint32_t *)hva, &old32,
					    old32 | (uint32_t)bits, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	else
		__atomic_compare_exchange_n((uint64_t *)hva, &old, old | bits,
					    false, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED);
}

static void mark_all(struct walk *w)
{
	bool write = w->access & POSADA_ACCESS_WRITE;
	unsigned int i = w->f == &format_pae ? 1 : 0;

	for (; i < w->depth; i++)
		mark(w, i, i + 1 == w->depth && write ? PTE_A | PTE_D : PTE_A);
}

static uint64_t leaf_address(const struct walk *w)
{
	uint64_t offset = BIT(w->shift) - 1;
	uint64_t base = w->leaf & address_bits(w) & ~offset;

	/* PSE-36: bits 13-20 of a 4 MiB entry are address bits 32-39. */
	if (w->f == &format_32 && w->shift == 22)
		base |= (w->leaf >> 13 & 0xff) << 32;
	return base | (w->gva & offset);
}

int walk(struct posada_vcpu *vcpu, uint64_t gva, uint32_t access,
	 uint64_t *gpa, uint32_t *error_code)
{
	const struct posada_sregs *s = &vcpu->run->sregs;
	struct walk w = {
		.vcpu = vcpu,
		.sregs = s,
		.gva = gva,
		.access = access,
		.allowed = PTE_W | PTE_U,
	};
	uint32_t fault;

	if (!(s->cr0 & X86_CR0_PG)) {
		*gpa = gva & 0xffffffffULL;
		return 0;
	}
	w.f = pick_format(s);
	fault = descend(&w);
	if (!fault)
		fault = check_rights(&w);
	if (!fault) {
		if (access & WALK_SET_AD)
			mark_all(&w);
		*gpa = leaf_address(&w);
		return 0;
	}
	fault &= ~PF_NOT_PRESENT;
	if (access & POSADA_ACCESS_WRITE)
		fault |= PF_WRITE;
	if (access & POSADA_ACCESS_USER)
		fault |= PF_USER;
	if (access & POSADA_ACCESS_EXEC &&
	    (s->cr4 & X86_CR4_SMEP ||
	     (s->cr4 & X86_CR4_PAE && s->efer & X86_EFER_NXE)))
		fault |= PF_FETCH;
	*error_code = fault;
	return -ENXIO;
}

int posada_gva_to_gpa(struct posada_vcpu *vcpu, uint64_t gva, uint32_t access,
		      uint64_t *gpa, uint32_t *error_code)
{
	uint32_t ignored;

	if (access & ~(POSADA_ACCESS_READ | POSADA_ACCESS_WRITE |
		       POSADA_ACCESS_EXEC | POSADA_ACCESS_USER))
		return -EINVAL;
	return walk(vcpu, gva, access, gpa, error_code ? error_code : &ignored);
}

/* Bits above those that the tables translate repeat the highest of them. */
static bool is_canonical(const struct posada_sregs *s, uint64_t gva)
{
	unsigned int unused;

	if (!(s->efer & X86_EFER_LMA))
		return gva <= UINT32_MAX;
	unused = s->cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;
	return (uint64_t)((int64_t)(gva << unused) >> unused) == gva;
}

int posada_find_gva(struct posada_vcpu *vcpu, uint64_t gva, uint64_t *gpa)
{
	uint32_t ignored;

	if (!is_canonical(&vcpu->run->sregs, gva))
		return -ENXIO;
	return walk(vcpu, gva, WALK_ANY, gpa, &ignored);
}

/* Page by page, as neighbours here need not be neighbours there. */
static size_t copy_gva(struct posada_vcpu *vcpu, uint64_t gva, uint8_t *data,
		       size_t bytes, bool write)
{
	size_t n, done = 0;
	uint64_t gpa;
	int ret;

	for (; done < bytes; done += n) {
		n = POSADA_PAGE_SIZE - ((gva + done) & PAGE_MASK);
		if (n > bytes - done)
			n = bytes - done;
		if (posada_find_gva(vcpu, gva + done, &gpa))
			break;
		ret = write ? posada_write(vcpu->vm, gpa, data + done, n) :
			      posada_read(vcpu->vm, gpa, data + done, n);
		if (ret)
			break;
	}
	return done;
}

size_t posada_read_gva(struct posada_vcpu *vcpu, uint64_t gva, void *data,
		       size_t bytes)
{
	return copy_gva(vcpu, gva, data, bytes, false);
}

size_t posada_write_gva(struct posada_vcpu *vcpu, uint64_t gva,
			const void *data, size_t bytes)
{
	return copy_gva(vcpu, gva, (uint8_t *)data, bytes, true);
}
