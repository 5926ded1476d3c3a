// SPDX-License-Identifier: GPL-2.0
/*
 * Instruction bytes: for userspace, which decodes them, and to step over an
 * instruction where the CPU does not say how long it was.
 *
 * This is no decoder. posada_insn_length() is told by the exit which
 * instruction it was, out of a closed list, and only counts its prefixes; if
 * something else is there (another vCPU may have changed it) it says so.
 */
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>
#include <asm/cpufeature.h>
#include <asm/msr-index.h>
#include "compat.h"
#include "posada.h"

#define INSN_MAX	15	/* bytes; longer ones fault */
#define CPL_USER	3

/* ---- translate ---- */

static int read_entry(void *vm, u64 gpa, void *entry, size_t bytes)
{
	return posada_gpa_read(vm, gpa, entry, bytes);
}

static int walk(struct posada_vcpu *vcpu, const struct posada_paging *pg,
		struct posada_walk *w)
{
	w->paging = pg;
	w->read = read_entry;
	w->ctx = vcpu->vm;
	w->phys_bits = posada_phys_bits(vcpu->ops);
	w->gib_pages = boot_cpu_has(X86_FEATURE_GBPAGES);
	return posada_walk(w);
}

int posada_gva_to_gpa(struct posada_vcpu *vcpu, u64 gva, u32 access, u64 *gpa,
		      u64 *page_bytes, u32 *error_code)
{
	struct posada_walk w = { .gva = gva, .access = access };
	struct posada_paging pg;
	int ret;

	vcpu->ops->get_paging(vcpu, &pg);
	ret = walk(vcpu, &pg, &w);
	*gpa = w.gpa;
	if (page_bytes)
		*page_bytes = w.page_bytes;
	*error_code = w.error_code;
	return ret == -EIO ? -EFAULT : ret;
}

/* ---- fetch ---- */

static bool is_64bit(const struct posada_paging *pg)
{
	return pg->efer & EFER_LMA && pg->cs_l;
}

/* Outside 64-bit mode, linear addresses wrap at 4 GiB. */
static u64 linear(const struct posada_vcpu *vcpu,
		  const struct posada_paging *pg, unsigned int offset)
{
	if (is_64bit(pg))
		return vcpu->regs.rip + offset;
	return (u32)(pg->cs_base + (u32)vcpu->regs.rip + offset);
}

/* As posada_fetch(); *gpa: of the first byte. */
static int fetch(struct posada_vcpu *vcpu, const struct posada_paging *pg,
		 u8 *buf, u64 *gpa)
{
	struct posada_walk w = {
		.access = POSADA_ACCESS_EXEC |
			  (pg->cpl == CPL_USER ? POSADA_ACCESS_USER : 0),
	};
	int done = 0, n;

	/* At most two pages. */
	for (; done < INSN_MAX; done += n) {
		w.gva = linear(vcpu, pg, done);
		if (walk(vcpu, pg, &w))
			break;
		if (!done)
			*gpa = w.gpa;
		n = min_t(int, INSN_MAX - done,
			  PAGE_SIZE - offset_in_page(w.gva));
		if (posada_gpa_read(vcpu->vm, w.gpa, buf + done, n))
			break;
	}
	return done;
}

int posada_fetch(struct posada_vcpu *vcpu, u8 *buf)
{
	struct posada_paging pg;
	u64 gpa;

	vcpu->ops->get_paging(vcpu, &pg);
	return fetch(vcpu, &pg, buf, &gpa);
}

/* ---- the cache of the last page ---- */

/*
 * Saves the walk when a guest executes such instructions in one place again
 * and again. It may be out of date: nothing tells when the guest maps another
 * page there. So it never yields bytes, only the answer to "is the plain form
 * of the instruction that exited at this address in that page?". To be misled
 * a guest must have mapped, at the same address of another page, the same
 * instruction with prefixes; then its RIP moves by too little, to its own
 * harm alone.
 */

/* Linear pages of 64-bit and other code are told apart by the lowest bit. */
static u64 cache_key(const struct posada_vcpu *vcpu)
{
	return (vcpu->regs.rip & PAGE_MASK) | vcpu->long64;
}

static void fill_cache(struct posada_vcpu *vcpu, u64 gpa)
{
	struct posada_fetch_cache *cache = &vcpu->fetch;
	struct posada_vm *vm = vcpu->vm;
	int idx;

	cache->slots_gen = 0;
	/* Other than page-aligned CS bases are left to the slow way. */
	if (offset_in_page(gpa) != offset_in_page(vcpu->regs.rip))
		return;
	idx = srcu_read_lock(&vm->srcu);
	cache->hva = posada_gpa_to_hva(vm, gpa & PAGE_MASK, false);
	if (cache->hva) {
		cache->page = cache_key(vcpu);
		cache->slots_gen = srcu_dereference(vm->slots, &vm->srcu)->gen;
	}
	srcu_read_unlock(&vm->srcu, idx);
}

/* Read user memory if it is there right now. */
static bool peek(unsigned long hva, u32 *value)
{
	const u32 __user *from = (const u32 __user *)hva;
	bool done = false;

	pagefault_disable();
	if (user_access_begin(from, sizeof(*from))) {
		unsafe_get_user(*value, from, fault);
		done = true;
fault:
		user_access_end();
	}
	pagefault_enable();
	return done;
}

/* ---- the length of a known instruction ---- */

#define PREFIX_REP	0xf3

/* Opcodes as the little-endian numbers that their bytes are in memory. */
struct encoding {
	u32 plain;	/* the form without other prefixes, ... */
	u32 plain_mask;	/* ... its bytes, ... */
	u8 plain_len;	/* ... and their number */
	u32 opcode;	/* what follows the prefixes */
	u32 other;	/* another opcode for the same */
	u8 len;
	bool rep;	/* needs a REP prefix */
};

#define LOW_BYTES(n)	((1U << ((n) * BITS_PER_BYTE)) - 1)

#define ENCODING(op, alt, bytes)					\
	{ .plain = (op), .plain_mask = LOW_BYTES(bytes),		\
	  .plain_len = (bytes), .opcode = (op), .other = (alt),		\
	  .len = (bytes) }

static const struct encoding encodings[POSADA_NR_INSN] = {
	[POSADA_INSN_CPUID]	= ENCODING(0xa20f, 0xa20f, 2),
	[POSADA_INSN_RDMSR]	= ENCODING(0x320f, 0x320f, 2),
	[POSADA_INSN_WRMSR]	= ENCODING(0x300f, 0x300f, 2),
	[POSADA_INSN_HLT]	= ENCODING(0xf4, 0xf4, 1),
	/* VMMCALL and VMCALL */
	[POSADA_INSN_HYPERCALL]	= ENCODING(0xd9010f, 0xc1010f, 3),
	[POSADA_INSN_XSETBV]	= ENCODING(0xd1010f, 0xd1010f, 3),
	/* With REP it is WBNOINVD, of the same length. */
	[POSADA_INSN_WBINVD]	= ENCODING(0x090f, 0x090f, 2),
	[POSADA_INSN_INVD]	= ENCODING(0x080f, 0x080f, 2),
	[POSADA_INSN_PAUSE]	= { .plain = 0x90f3,
				    .plain_mask = LOW_BYTES(2), .plain_len = 2,
				    .opcode = 0x90, .other = 0x90, .len = 1,
				    .rep = true },
};

static bool is_legacy_prefix(u8 byte)
{
	switch (byte) {
	case 0x26: case 0x2e: case 0x36: case 0x3e:	/* segments */
	case 0x64: case 0x65:
	case 0x66: case 0x67:				/* sizes */
	case 0xf2: case PREFIX_REP:
		return true;
	default:
		return false;
	}
}

static bool is_rex_prefix(u8 byte)
{
	return (byte & 0xf0) == 0x40;
}

/* The length of @e at the start of the @n bytes; -EINVAL: it isn't there. */
static int measure(const struct encoding *e, const u8 *bytes, int n,
		   bool is_64bit)
{
	u32 opcode = 0;
	bool rep = false;
	int i = 0;

	for (; i < n && is_legacy_prefix(bytes[i]); i++)
		rep |= bytes[i] == PREFIX_REP;
	if (i < n && is_64bit && is_rex_prefix(bytes[i]))
		i++;
	if (i + e->len > n || (e->rep && !rep))
		return -EINVAL;
	memcpy(&opcode, bytes + i, e->len);
	if (opcode != e->opcode && opcode != e->other)
		return -EINVAL;
	return i + e->len;
}

/* The long way: walk, read, count prefixes. */
static noinline int find_length(struct posada_vcpu *vcpu,
				const struct encoding *e)
{
	struct posada_paging pg;
	u8 bytes[INSN_MAX];
	int n, len;
	u64 gpa;

	vcpu->ops->get_paging(vcpu, &pg);
	n = fetch(vcpu, &pg, bytes, &gpa);
	len = measure(e, bytes, n, is_64bit(&pg));
	if (len > 0)
		fill_cache(vcpu, gpa);
	return len;
}

int posada_insn_length_cached(struct posada_vcpu *vcpu, enum posada_insn insn)
{
	const struct posada_fetch_cache *cache = &vcpu->fetch;
	unsigned int offset = offset_in_page(vcpu->regs.rip);
	const struct encoding *e = &encodings[insn];
	u32 bytes;

	if (likely(cache->page == cache_key(vcpu) &&
		   cache->slots_gen == READ_ONCE(vcpu->vm->mmu.slots_gen) &&
		   offset <= PAGE_SIZE - sizeof(bytes)) &&
	    peek(cache->hva + offset, &bytes) &&
	    (bytes & e->plain_mask) == e->plain)
		return e->plain_len;
	return 0;
}

int posada_insn_length(struct posada_vcpu *vcpu, enum posada_insn insn)
{
	int len;

	if (WARN_ON_ONCE(insn <= POSADA_INSN_NONE || insn >= POSADA_NR_INSN))
		return -EINVAL;
	len = posada_insn_length_cached(vcpu, insn);
	return len ? len : find_length(vcpu, &encodings[insn]);
}
