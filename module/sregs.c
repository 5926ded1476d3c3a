// SPDX-License-Identifier: GPL-2.0
/*
 * Registers as a whole: which ones a CPU can hold, in what form they are given
 * to a backend, and what a write of CR0 or CR4 changes.
 */
#include <linux/mm.h>
#include <asm/debugreg.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "posada.h"

/* ---- what a CPU can hold ---- */

#define POSADA_RFLAGS_VALID						\
	(X86_EFLAGS_CF | X86_EFLAGS_FIXED | X86_EFLAGS_PF | X86_EFLAGS_AF | \
	 X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_IF | \
	 X86_EFLAGS_DF | X86_EFLAGS_OF | X86_EFLAGS_IOPL | X86_EFLAGS_NT | \
	 X86_EFLAGS_RF | X86_EFLAGS_VM | X86_EFLAGS_AC | X86_EFLAGS_VIF | \
	 X86_EFLAGS_VIP | X86_EFLAGS_ID)

#define POSADA_CR0_VALID						\
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | \
	 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | \
	 X86_CR0_PG)

#define POSADA_SEG_VALID						\
	(POSADA_SEG_TYPE | POSADA_SEG_S | POSADA_SEG_DPL | POSADA_SEG_P | \
	 POSADA_SEG_AVL | POSADA_SEG_L | POSADA_SEG_DB | POSADA_SEG_G |	\
	 POSADA_SEG_UNUSABLE)

#define POSADA_DR_RESERVED	0xffffffff00000000ULL

/* Every CPU has 48 bits: most addresses need no look at what this one has. */
static bool posada_canonical(struct posada_vcpu *vcpu, u64 address)
{
	return likely(__is_canonical_address(address, 48)) ||
	       __is_canonical_address(address,
				      posada_cpuid_virt_bits(vcpu->vm));
}

int posada_check_regs(struct posada_vcpu *vcpu, const struct posada_regs *r)
{
	if (r->rflags & ~(u64)POSADA_RFLAGS_VALID ||
	    !(r->rflags & X86_EFLAGS_FIXED) || !posada_canonical(vcpu, r->rip))
		return -EINVAL;
	return 0;
}

/* Only FS, GS and system segments have a base of 64 bits. */
static bool posada_seg_base_valid(struct posada_vcpu *vcpu, int seg, u64 base)
{
	return seg < POSADA_FS ? !(base >> 32) : posada_canonical(vcpu, base);
}

static int posada_check_segs(struct posada_vcpu *vcpu,
			     const struct posada_sregs *s)
{
	int i;

	for (i = 0; i < POSADA_NR_SEGS; i++)
		if (s->seg[i].attr & ~POSADA_SEG_VALID ||
		    !posada_seg_base_valid(vcpu, i, s->seg[i].base))
			return -EINVAL;
	if (s->gdt.limit > 0xffff || s->idt.limit > 0xffff ||
	    s->gdt.pad || s->idt.pad ||
	    !posada_canonical(vcpu, s->gdt.base) ||
	    !posada_canonical(vcpu, s->idt.base))
		return -EINVAL;
	return 0;
}

int posada_check_paging(struct posada_vcpu *vcpu, const struct posada_sregs *s)
{
	bool long_mode = (s->cr0 & X86_CR0_PG) && (s->efer & EFER_LME);

	if (s->cr0 & ~(u64)POSADA_CR0_VALID ||
	    (s->cr0 & X86_CR0_PG && !(s->cr0 & X86_CR0_PE)) ||
	    (s->cr0 & X86_CR0_NW && !(s->cr0 & X86_CR0_CD)) ||
	    (long_mode && !(s->cr4 & X86_CR4_PAE)) ||
	    long_mode != !!(s->efer & EFER_LMA) ||
	    (s->cr4 & X86_CR4_PCIDE && !long_mode) ||
	    s->cr3 >> posada_cpuid_phys_bits(vcpu->vm) ||
	    s->cr8 > 15)
		return -EINVAL;
	if (s->cr4 & ~posada_cpuid_cr4_mask(vcpu->vm) ||
	    s->efer & ~(posada_cpuid_efer_mask(vcpu->vm) | EFER_LMA))
		return -EOPNOTSUPP;
	return 0;
}

int posada_check_sregs(struct posada_vcpu *vcpu, const struct posada_sregs *s)
{
	int r = posada_check_segs(vcpu, s);

	if (r || s->cpl > 3 || memchr_inv(s->pad, 0, sizeof(s->pad)))
		return -EINVAL;
	return posada_check_paging(vcpu, s);
}

/*
 * The vectors that are exceptions, none of them reserved: a CPU refuses to
 * enter with any other. 2 is the NMI's, 9 no CPU raises any more.
 */
#define POSADA_EXCEPTIONS	(BIT(0) | BIT(1) | GENMASK(8, 3) |	\
				 GENMASK(14, 10) | GENMASK(21, 16) |	\
				 GENMASK(30, 28))
#define POSADA_ERROR_BITS	16

bool posada_exception_valid(u32 vector, u64 payload, bool has_error, u32 error)
{
	if (vector >= 32 || !(POSADA_EXCEPTIONS & BIT(vector)))
		return false;
	/* #DB's payload goes to DR6, whose upper half no CPU takes. */
	if (vector == X86_TRAP_DB && payload >> 32)
		return false;
	return !has_error || (POSADA_ERROR_CODES & BIT(vector) &&
			      !(error >> POSADA_ERROR_BITS));
}

int posada_check_events(const struct posada_events *e)
{
	if (e->kind > POSADA_EVENT_EXCEPTION || e->has_error_code > 1 ||
	    e->nmi_pending > 2 || e->nmi_masked > 1 ||
	    e->shadow > POSADA_SHADOW_MOV_SS || e->extint_pending > 1 ||
	    e->pad)
		return -EINVAL;
	if (e->kind != POSADA_EVENT_EXCEPTION)
		return e->has_error_code ? -EINVAL : 0;
	return posada_exception_valid(e->vector, e->payload, e->has_error_code,
				      e->error_code) ? 0 : -EINVAL;
}

int posada_check_dregs(const struct posada_dregs *d)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(d->dr); i++)
		if (!__is_canonical_address(d->dr[i], 57))
			return -EINVAL;
	return (d->dr6 | d->dr7) & POSADA_DR_RESERVED ? -EINVAL : 0;
}

/* ---- what it can hold together ---- */

#define POSADA_TYPE_ACCESSED	0x1
#define POSADA_TYPE_READABLE	0x2	/* of code; of data: writable */
#define POSADA_TYPE_CONFORMING	0x4	/* of code; of data: expand-down */
#define POSADA_TYPE_CODE	0x8
#define POSADA_TYPE_LDT		0x2
#define POSADA_TYPE_BUSY_TSS16	0x3
#define POSADA_TYPE_BUSY_TSS	0xb	/* 32-bit or 64-bit */
#define POSADA_SELECTOR_TI	0x4

static u8 posada_dpl(const struct posada_segment *seg)
{
	return (seg->attr & POSADA_SEG_DPL) >> POSADA_SEG_DPL_SHIFT;
}

static bool posada_usable(const struct posada_segment *seg)
{
	return (seg->attr & POSADA_SEG_P) && !(seg->attr & POSADA_SEG_UNUSABLE);
}

static bool posada_ldtr_tr_fit(const struct posada_sregs *s)
{
	const struct posada_segment *ldtr = &s->seg[POSADA_LDTR];
	const struct posada_segment *tr = &s->seg[POSADA_TR];
	u16 type = tr->attr & POSADA_SEG_TYPE;

	if (posada_usable(ldtr) &&
	    ((ldtr->attr & (POSADA_SEG_TYPE | POSADA_SEG_S)) != POSADA_TYPE_LDT ||
	     ldtr->selector & POSADA_SELECTOR_TI))
		return false;
	if (!posada_usable(tr) || tr->attr & POSADA_SEG_S ||
	    tr->selector & POSADA_SELECTOR_TI)
		return false;
	return type == POSADA_TYPE_BUSY_TSS ||
	       (type == POSADA_TYPE_BUSY_TSS16 && !(s->efer & EFER_LMA));
}

/* Of protected mode. What was real mode's CS, data, is CS until a far jump. */
static bool posada_cs_ss_fit(const struct posada_sregs *s)
{
	const struct posada_segment *cs = &s->seg[POSADA_CS];
	const struct posada_segment *ss = &s->seg[POSADA_SS];
	u8 cpl = posada_dpl(ss), dpl = posada_dpl(cs);
	u16 type = cs->attr & POSADA_SEG_TYPE;

	if (!posada_usable(cs) || !(cs->attr & POSADA_SEG_S) ||
	    ((s->efer & EFER_LMA) && (cs->attr & POSADA_SEG_L) &&
	     (cs->attr & POSADA_SEG_DB)))
		return false;
	/* A stack is data that can be written. */
	if (posada_usable(ss) &&
	    (ss->attr & (POSADA_TYPE_CODE | POSADA_TYPE_READABLE)) !=
	    POSADA_TYPE_READABLE)
		return false;
	if (!(type & POSADA_TYPE_CODE))
		return (type | POSADA_TYPE_ACCESSED) ==
		       (POSADA_TYPE_READABLE | POSADA_TYPE_ACCESSED) &&
		       !dpl && !cpl;
	return type & POSADA_TYPE_CONFORMING ? dpl <= cpl : dpl == cpl;
}

/* SDM volume 3, "Checks on Guest Segment Registers": no CPU enters else. */
static noinline int posada_check_whole(struct posada_vcpu *vcpu,
				       const struct posada_regs *r,
				       const struct posada_sregs *s)
{
	struct posada_sregs own;
	bool long64;

	if (!s) {
		posada_get_sregs(vcpu, &own);
		s = &own;
	}
	long64 = (s->efer & EFER_LMA) &&
		 (s->seg[POSADA_CS].attr & POSADA_SEG_L);
	if ((r->rip >> 32 && !long64) || !posada_ldtr_tr_fit(s))
		return -EINVAL;
	/* Virtual-8086 mode is a part of protected mode, not of long mode. */
	if (r->rflags & X86_EFLAGS_VM)
		return !(s->cr0 & X86_CR0_PE) || s->efer & EFER_LMA ?
		       -EINVAL : 0;
	return (s->cr0 & X86_CR0_PE) && !posada_cs_ss_fit(s) ? -EINVAL : 0;
}

int posada_check_mode(struct posada_vcpu *vcpu, const struct posada_regs *r,
		      const struct posada_sregs *s,
		      const struct posada_events *e)
{
	u8 event = e ? e->kind : vcpu->pending.kind;

	/* It is on its way into the guest, which had let it in. */
	if (unlikely(event == POSADA_EVENT_INTERRUPT) &&
	    !(r->rflags & X86_EFLAGS_IF))
		return -EINVAL;
	if (likely(!s && !((r->rflags ^ vcpu->regs.rflags) & X86_EFLAGS_VM) &&
		   (vcpu->long64 || !(r->rip >> 32))))
		return 0;
	return posada_check_whole(vcpu, r, s);
}

/* ---- apply and read back ---- */

/* SS.DPL is the CPL, but where there are no privilege levels in segments. */
static u8 posada_cpl_of(struct posada_vcpu *vcpu, const struct posada_sregs *s)
{
	if (!(s->cr0 & X86_CR0_PE))
		return 0;
	if (vcpu->regs.rflags & X86_EFLAGS_VM)
		return 3;
	return posada_dpl(&s->seg[POSADA_SS]);
}

#define POSADA_BYTE_LIMIT	0xfffff	/* the highest without G */
#define POSADA_PAGE_LIMIT	0xfff	/* set in each with G */
#define POSADA_V86_ATTR		0xf3	/* present, DPL 3, data */
#define POSADA_V86_LIMIT	0xffff

/* Virtual-8086 mode has nothing but selectors. */
static void posada_v86_seg(struct posada_segment *seg)
{
	seg->base = seg->selector << 4;
	seg->limit = POSADA_V86_LIMIT;
	seg->attr = POSADA_V86_ATTR;
}

/* Real mode looks at no rights: what of them an entry looks at, it gets. */
static void posada_real_seg(struct posada_segment *seg, int i)
{
	if (i == POSADA_CS)
		seg->attr = (seg->attr & ~POSADA_SEG_UNUSABLE) | POSADA_SEG_P;
	if (i != POSADA_CS && i != POSADA_SS)
		return;
	seg->attr &= ~POSADA_SEG_DPL;
	if (i == POSADA_SS)
		seg->attr &= ~POSADA_TYPE_CODE;
	if (!(seg->attr & POSADA_TYPE_CODE)) {
		seg->attr |= POSADA_TYPE_READABLE;
		seg->attr &= ~POSADA_TYPE_CONFORMING;
	}
}

/*
 * The form that each CPU can load. SVM takes more, and an entry of VMX fails:
 * SDM volume 3, "Checks on Guest Segment Registers".
 */
static void posada_normal_seg(struct posada_sregs *s, int i)
{
	struct posada_segment *seg = &s->seg[i];

	if (i == POSADA_SS)
		seg->attr = (seg->attr & ~POSADA_SEG_DPL) |
			    s->cpl << POSADA_SEG_DPL_SHIFT;
	if (!(s->cr0 & X86_CR0_PE))
		posada_real_seg(seg, i);
	/* A null segment stays as it is: nothing looks at it. */
	if (seg->attr & POSADA_SEG_UNUSABLE)
		return;
	if (i <= POSADA_GS) {
		seg->attr |= POSADA_SEG_S | POSADA_TYPE_ACCESSED;
		if (i != POSADA_CS && seg->attr & POSADA_TYPE_CODE)
			seg->attr |= POSADA_TYPE_READABLE;
	}
	/* G and the limit must agree. */
	if (seg->limit > POSADA_BYTE_LIMIT) {
		seg->attr |= POSADA_SEG_G;
		seg->limit |= POSADA_PAGE_LIMIT;
	} else if ((seg->limit & POSADA_PAGE_LIMIT) != POSADA_PAGE_LIMIT) {
		seg->attr &= ~POSADA_SEG_G;
	}
}

static void posada_put_sregs(struct posada_vcpu *vcpu,
			     const struct posada_sregs *s)
{
	vcpu->ops->set_sregs(vcpu, s);
	vcpu->cpl = s->cpl;
	vcpu->long64 = (s->efer & EFER_LMA) &&
		       (s->seg[POSADA_CS].attr & POSADA_SEG_L);
	if ((s->cr0 & X86_CR0_PG) && (s->cr4 & X86_CR4_PAE) &&
	    !(s->efer & EFER_LMA))
		set_bit(POSADA_REQ_PDPTES, &vcpu->requests);
}

#define POSADA_PDPTES	(POSADA_REG_PDPTE_END - POSADA_REG_PDPTE)
#define POSADA_PDPTE_RESERVED	(GENMASK_ULL(8, 5) | GENMASK_ULL(2, 1))

/*
 * Some CPUs want the top table of PAE paging, 32 bytes, given when its memory
 * is there. Where there is none there is no table, and the guest faults; so it
 * does by an entry with reserved bits, with which no CPU would have loaded CR3.
 */
void posada_give_pdptes(struct posada_vcpu *vcpu)
{
	u64 reserved = POSADA_PDPTE_RESERVED |
		       ~0ULL << posada_cpuid_phys_bits(vcpu->vm);
	u64 pdpte[POSADA_PDPTES] = {};
	struct posada_paging pg;
	int i;

	posada_get_paging(vcpu, &pg);
	if (posada_gpa_read(vcpu->vm, round_down((u32)pg.cr3, sizeof(pdpte)),
			    pdpte, sizeof(pdpte)))
		memset(pdpte, 0, sizeof(pdpte));
	for (i = 0; i < POSADA_PDPTES; i++)
		vcpu->ops->set_reg(vcpu, POSADA_REG_PDPTE + i,
				   pdpte[i] & reserved ? 0 : pdpte[i]);
}

#define POSADA_PCID_MASK	0xfffULL

/* SDM volume 2, "MOV - Move to/from Control Registers": what makes a #GP. */
static bool posada_cr_faults(struct posada_vcpu *vcpu,
			     const struct posada_sregs *old,
			     const struct posada_sregs *new)
{
	u64 cr0 = old->cr0 ^ new->cr0, cr4 = old->cr4 ^ new->cr4;
	bool long_mode = old->efer & EFER_LMA;

	/* Long mode begins and ends in a 32-bit code segment, with a TSS as wide. */
	if ((cr0 & X86_CR0_PG) && (new->efer & EFER_LME) &&
	    ((old->seg[POSADA_CS].attr & POSADA_SEG_L) ||
	     (old->seg[POSADA_TR].attr & POSADA_SEG_TYPE) ==
	     POSADA_TYPE_BUSY_TSS16))
		return true;
	if (long_mode && (cr4 & X86_CR4_LA57))
		return true;
	if ((cr4 & new->cr4 & X86_CR4_PCIDE) && (old->cr3 & POSADA_PCID_MASK))
		return true;
	return posada_check_paging(vcpu, new);
}

int posada_write_cr(struct posada_vcpu *vcpu, u8 number, u64 value)
{
	struct posada_sregs old, new;

	posada_get_sregs(vcpu, &old);
	new = old;
	if (number == 4) {
		new.cr4 = value;
	} else {
		if (value >> 32)
			return -EINVAL;
		new.cr0 = (value & POSADA_CR0_VALID) | X86_CR0_ET;
		new.efer &= ~(u64)EFER_LMA;
		if ((new.cr0 & X86_CR0_PG) && (new.efer & EFER_LME))
			new.efer |= EFER_LMA;
	}
	if (posada_cr_faults(vcpu, &old, &new))
		return -EINVAL;
	posada_put_sregs(vcpu, &new);
	return 0;
}

void posada_set_sregs(struct posada_vcpu *vcpu, const struct posada_sregs *s)
{
	struct posada_sregs copy = *s;
	int i;

	copy.cpl = posada_cpl_of(vcpu, s);
	for (i = 0; i < POSADA_NR_SEGS; i++)
		posada_normal_seg(&copy, i);
	if (vcpu->regs.rflags & X86_EFLAGS_VM)
		for (i = POSADA_ES; i <= POSADA_GS; i++)
			posada_v86_seg(&copy.seg[i]);
	posada_put_sregs(vcpu, &copy);
	posada_apic_set_cr8(vcpu, s->cr8);
}

/* Whoever enters or leaves virtual-8086 mode by them changes segments, too. */
static noinline void posada_set_v8086(struct posada_vcpu *vcpu)
{
	struct posada_sregs s;

	posada_get_sregs(vcpu, &s);
	posada_set_sregs(vcpu, &s);
}

void posada_set_regs(struct posada_vcpu *vcpu, const struct posada_regs *r)
{
	u64 changed = vcpu->regs.rflags ^ r->rflags;

	vcpu->regs = *r;
	if (unlikely(changed & X86_EFLAGS_VM))
		posada_set_v8086(vcpu);
}

void posada_get_sregs(struct posada_vcpu *vcpu, struct posada_sregs *s)
{
	vcpu->ops->get_sregs(vcpu, s);
	s->cpl = vcpu->cpl;
	s->cr8 = posada_apic_get_cr8(vcpu);
	memset(s->pad, 0, sizeof(s->pad));
}

void posada_set_nmi_masked(struct posada_vcpu *vcpu, bool masked)
{
	vcpu->nmi_masked = masked ? POSADA_NMI_MASKED : 0;
	if (vcpu->ops->nmi_masked)
		vcpu->ops->nmi_masked(vcpu);
}

void posada_set_events(struct posada_vcpu *vcpu, const struct posada_events *e)
{
	vcpu->pending = (struct posada_event){
		.kind = e->kind,
		.vector = e->kind == POSADA_EVENT_NMI ? X86_TRAP_NMI : e->vector,
		.has_error = e->has_error_code, .error = e->error_code,
		.payload = e->payload,
	};
	vcpu->shadow = e->shadow;
	vcpu->extint = e->extint_pending ? e->extint_vector : -1;
	atomic_set(&vcpu->nmi_pending, e->nmi_pending);
	posada_set_nmi_masked(vcpu, e->nmi_masked);
}

void posada_get_events(struct posada_vcpu *vcpu, struct posada_events *e)
{
	*e = (struct posada_events){
		.kind = vcpu->pending.kind,
		.nmi_pending = atomic_read(&vcpu->nmi_pending),
		.nmi_masked = vcpu->nmi_masked != 0,
		.shadow = vcpu->shadow,
		.extint_pending = vcpu->extint >= 0,
		.extint_vector = max_t(s16, vcpu->extint, 0),
	};
	if (e->kind) {
		e->vector = vcpu->pending.vector;
		e->has_error_code = vcpu->pending.has_error;
		e->error_code = vcpu->pending.error;
		e->payload = vcpu->pending.payload;
	}
}
