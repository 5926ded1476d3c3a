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

	posada_get_paging(vcpu, &pg);
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

/* As posada_fetch(); *first: the walk to the first byte, if there is one. */
static int fetch(struct posada_vcpu *vcpu, const struct posada_paging *pg,
		 u8 *buf, struct posada_walk *first)
{
	u32 access = POSADA_ACCESS_EXEC |
		     (pg->cpl == CPL_USER ? POSADA_ACCESS_USER : 0);
	struct posada_walk second, *w = first;
	int done = 0, n;

	/* At most two pages. */
	for (; done < INSN_MAX; done += n, w = &second) {
		w->gva = linear(vcpu, pg, done);
		w->access = access;
		if (walk(vcpu, pg, w))
			break;
		n = min_t(int, INSN_MAX - done,
			  PAGE_SIZE - offset_in_page(w->gva));
		if (posada_gpa_read(vcpu->vm, w->gpa, buf + done, n))
			break;
	}
	return done;
}

/* ---- the cache of the last page ---- */

/*
 * A walk and a copy cost more than a thousand instructions, and a guest that
 * uses devices does so from few places. The cache knows where the last page is
 * and answers two questions about it:
 *
 *  - cached_fetch(): what are the bytes at RIP? Exactly: it reads the entries
 *    of the walk again, and compares them and the registers that matter.
 *  - posada_insn_length(): is the plain form of the instruction that exited at RIP
 *    in that page? This is asked at every exit of a CPU without next RIP, so it
 *    does not look whether the guest has mapped another page there since. To be
 *    misled a guest must have, at the same address in two pages, the same
 *    instruction without and with prefixes; then its RIP moves by too little,
 *    to its own harm alone.
 *
 * The few instructions that were met last are kept by their RIP, too, with
 * their bytes: posada_insn_met() only looks whether these have changed.
 * Whatever takes a page out of a slot takes it out of the second level, too,
 * and so asks each vCPU to flush, which forgets them.
 */

/* Linear pages of 64-bit and other code are told apart by the lowest bit. */
static u64 cache_key(const struct posada_vcpu *vcpu)
{
	return (vcpu->regs.rip & PAGE_MASK) | vcpu->long64;
}

/* Is this the page, and where it was, with @bytes more at RIP? */
static bool cache_hits(const struct posada_vcpu *vcpu, size_t bytes)
{
	const struct posada_fetch_cache *cache = &vcpu->fetch;

	return cache->page == cache_key(vcpu) &&
	       cache->slots_gen == READ_ONCE(vcpu->vm->mmu.slots_gen) &&
	       offset_in_page(vcpu->regs.rip) <= PAGE_SIZE - bytes;
}

static void keep_walk(struct posada_vcpu *vcpu, const struct posada_paging *pg,
		      const struct posada_walk *w)
{
	struct posada_fetch_cache *cache = &vcpu->fetch;
	int i;

	cache->cr0 = pg->cr0;
	cache->cr3 = pg->cr3;
	cache->cr4 = pg->cr4;
	cache->efer = pg->efer;
	cache->cpl = pg->cpl;
	cache->steps = 0;
	for (i = 0; i < w->steps; i++) {
		cache->step[i].hva = posada_gpa_to_hva(vcpu->vm, w->step[i].gpa,
						       false);
		cache->step[i].entry = w->step[i].entry;
		if (!cache->step[i].hva)
			return;
	}
	/* Other modes have entries of another size, or segments. */
	if (is_64bit(pg))
		cache->steps = w->steps;
}

static void fill_cache(struct posada_vcpu *vcpu, const struct posada_paging *pg,
		       const struct posada_walk *w)
{
	struct posada_fetch_cache *cache = &vcpu->fetch;
	struct posada_vm *vm = vcpu->vm;
	int idx;

	cache->slots_gen = 0;
	/* CS bases that are not page-aligned are left to the slow way. */
	if (offset_in_page(w->gpa) != offset_in_page(vcpu->regs.rip))
		return;
	idx = srcu_read_lock(&vm->srcu);
	cache->hva = posada_gpa_to_hva(vm, w->gpa & PAGE_MASK, false);
	if (cache->hva) {
		keep_walk(vcpu, pg, w);
		cache->page = cache_key(vcpu);
		cache->slots_gen = srcu_dereference(vm->slots, &vm->srcu)->gen;
	}
	srcu_read_unlock(&vm->srcu, idx);
}

/* Does the cached walk still lead there? User access is open. */
static __always_inline bool same_walk(const struct posada_fetch_cache *cache)
{
	u64 entry;
	int i;

	for (i = 0; i < cache->steps; i++) {
		unsafe_get_user(entry, (u64 __user *)cache->step[i].hva, fault);
		if (entry != cache->step[i].entry)
			return false;
	}
	return true;
fault:
	return false;
}

static bool same_paging(const struct posada_fetch_cache *cache,
			const struct posada_paging *pg)
{
	return cache->steps && cache->cr3 == pg->cr3 &&
	       cache->cr0 == pg->cr0 && cache->cr4 == pg->cr4 &&
	       cache->efer == pg->efer && cache->cpl == pg->cpl;
}

/* INSN_MAX bytes and one at RIP, if the cache has them. */
static bool cached_fetch(struct posada_vcpu *vcpu,
			 const struct posada_paging *pg, u64 bytes[2])
{
	const struct posada_fetch_cache *cache = &vcpu->fetch;
	const u64 __user *from;
	bool done = false;

	if (!cache_hits(vcpu, sizeof(u64[2])) || !same_paging(cache, pg))
		return false;
	from = (const u64 __user *)(cache->hva +
				    offset_in_page(vcpu->regs.rip));
	/* All that is read here is in slots, so in user space. */
	pagefault_disable();
	if (user_access_begin(from, sizeof(u64[2]))) {
		unsafe_get_user(bytes[0], from, fault);
		unsafe_get_user(bytes[1], from + 1, fault);
		done = same_walk(cache);
fault:
		user_access_end();
	}
	pagefault_enable();
	return done;
}

/* A walk is big: keep it off the short way's stack, which is cleared. */
static noinline int fetch_slowly(struct posada_vcpu *vcpu, u8 *buf,
				 const struct posada_paging *pg)
{
	struct posada_walk w;
	int n = fetch(vcpu, pg, buf, &w);

	if (n)
		fill_cache(vcpu, pg, &w);
	return n;
}

int posada_fetch(struct posada_vcpu *vcpu, u8 *buf)
{
	struct posada_paging pg;
	u64 bytes[2];

	posada_get_paging(vcpu, &pg);
	if (unlikely(!cached_fetch(vcpu, &pg, bytes)))
		return fetch_slowly(vcpu, buf, &pg);
	memcpy(buf, bytes, INSN_MAX);
	return INSN_MAX;
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
	/*
	 * With REP it is WBNOINVD, of the same length. QEMU calls an INVD
	 * WBINVD, too.
	 */
	[POSADA_INSN_WBINVD]	= ENCODING(0x090f, 0x080f, 2),
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
	struct posada_walk w;
	u8 bytes[INSN_MAX];
	int n, len;

	posada_get_paging(vcpu, &pg);
	n = fetch(vcpu, &pg, bytes, &w);
	len = measure(e, bytes, n, is_64bit(&pg));
	if (len > 0)
		fill_cache(vcpu, &pg, &w);
	return len;
}

/*
 * The first bytes at RIP, from the cached page, if it is in memory just now.
 * Page faults are off; slots lie in user space, so there is nothing to check.
 */
static __always_inline bool peek(const struct posada_vcpu *vcpu, u32 *value)
{
	const u32 __user *from = (const u32 __user *)
		(vcpu->fetch.hva + offset_in_page(vcpu->regs.rip));

	__uaccess_begin_nospec();
	unsafe_get_user(*value, from, fault);
	__uaccess_end();
	return true;
fault:
	__uaccess_end();
	return false;
}

/* Keep what was just found out: @insn at RIP is @len long. */
static void meet(struct posada_vcpu *vcpu, enum posada_insn insn, int len)
{
	u64 rip = vcpu->regs.rip;
	struct posada_insn_met *met = &vcpu->met[rip % POSADA_INSNS_MET];
	u32 bytes;

	if (!vcpu->long64 || !cache_hits(vcpu, sizeof(bytes)) ||
	    !peek(vcpu, &bytes))
		return;
	/* It may have changed since. */
	if (measure(&encodings[insn], (u8 *)&bytes, sizeof(bytes), true) != len)
		return;
	*met = (struct posada_insn_met){
		.rip = rip, .bytes = bytes, .insn = insn, .len = len,
		.at = (const u32 __user *)(vcpu->fetch.hva +
					   offset_in_page(rip)),
	};
}

void posada_insn_forget(struct posada_vcpu *vcpu)
{
	int i;

	for (i = 0; i < POSADA_INSNS_MET; i++)
		vcpu->met[i].insn = POSADA_INSN_NONE;
}

bool posada_insn_met(struct posada_vcpu *vcpu)
{
	u64 rip = vcpu->regs.rip;
	const struct posada_insn_met *met = &vcpu->met[rip % POSADA_INSNS_MET];
	u32 bytes;

	if (unlikely(met->rip != rip || met->insn != vcpu->exit.insn))
		return false;
	/* In user space whatever the CPU speculates: no check, no barrier. */
	__uaccess_begin();
	unsafe_get_user(bytes, met->at, fault);
	__uaccess_end();
	if (unlikely(bytes != met->bytes))
		return false;
	vcpu->exit.insn_len = met->len;
	return true;
fault:
	__uaccess_end();
	return false;
}

/* The plain form, from the page that was fetched from last; 0: not known. */
static int cached_length(struct posada_vcpu *vcpu, const struct encoding *e)
{
	u32 bytes;

	if (cache_hits(vcpu, sizeof(bytes)) && peek(vcpu, &bytes) &&
	    (bytes & e->plain_mask) == e->plain)
		return e->plain_len;
	return 0;
}

int posada_insn_length(struct posada_vcpu *vcpu, enum posada_insn insn)
{
	const struct encoding *e;
	int len;

	if (WARN_ON_ONCE(insn <= POSADA_INSN_NONE || insn >= POSADA_NR_INSN))
		return -EINVAL;
	e = &encodings[insn];
	pagefault_disable();
	len = cached_length(vcpu, e);
	pagefault_enable();
	if (!len)
		len = find_length(vcpu, e);
	pagefault_disable();
	if (len > 0)
		meet(vcpu, insn, len);
	pagefault_enable();
	return len;
}
