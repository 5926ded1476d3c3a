// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's registers and priorities.
 *
 * A guest reaches the registers by x2APIC MSRs, or in xAPIC mode through
 * userspace (POSADA_APIC); both forms are columns of one table. Interrupts
 * come from any context through posada_apic_set_irr(), and leave in vCPU
 * context through posada_apic_pending() and posada_apic_ack().
 *
 * IA32_APIC_BASE may move the xAPIC page: it is stored, and which gpa is the
 * APIC's is then for userspace to know.
 */
#include <linux/nospec.h>
#include "posada.h"
#include "apic_logic.h"

/* An integrated APIC with 6 LVT entries that can hold back EOI broadcasts. */
#define LAPIC_VERSION_VALUE	(0x14 | 5 << 16 | 1 << 24)

/* ---- the register table ---- */

/* Who may read and write: in xAPIC form, in x2APIC form. */
#define R1	BIT(0)
#define W1	BIT(1)
#define R2	BIT(2)
#define W2	BIT(3)
#define RW	(R1 | W1 | R2 | W2)

struct lapic_reg {
	u8 access;
	u32 valid;	/* bits that may be written as 1; else #GP (x2APIC) */
	u32 stored;	/* bits that a write changes */
};

#define LVT_COMMON	(LAPIC_VECTOR | LAPIC_MASKED)
#define LVT_MODAL	(LVT_COMMON | LAPIC_MODE)
#define LVT_LINT	(LVT_MODAL | LAPIC_POLARITY | LAPIC_LEVEL)
#define LVT_TIMER	(LVT_COMMON | LAPIC_TIMER_MODE)
#define SVR_BITS	(LAPIC_VECTOR | LAPIC_SVR_ENABLE | \
			 LAPIC_SVR_NO_FOCUS | LAPIC_SVR_NO_BROADCAST)
#define ICR_BITS	(LAPIC_VECTOR | LAPIC_MODE | LAPIC_LOGICAL | \
			 LAPIC_ASSERT | LAPIC_LEVEL | LAPIC_SHORTHAND)

static const struct lapic_reg lapic_regs[LAPIC_NR] = {
	[LAPIC_ID]	= { R1 | R2 },
	[LAPIC_VERSION]	= { R1 | R2 },
	[LAPIC_TPR]	= { RW, 0xff, 0xff },
	[LAPIC_APR]	= { R1 },
	[LAPIC_PPR]	= { R1 | R2 },
	[LAPIC_EOI]	= { W1 | W2 },
	[LAPIC_RRD]	= { R1 },
	[LAPIC_LDR]	= { R1 | W1 | R2, 0xff000000, 0xff000000 },
	[LAPIC_DFR]	= { R1 | W1, 0xf0000000, 0xf0000000 },
	[LAPIC_SVR]	= { RW, SVR_BITS, SVR_BITS },
	[LAPIC_ISR ... LAPIC_ESR - 1] = { R1 | R2 },
	[LAPIC_ESR]	= { RW },
	[LAPIC_ICR]	= { RW, ICR_BITS | LAPIC_STATUS, ICR_BITS },
	[LAPIC_ICR2]	= { R1 | W1, 0xff000000, 0xff000000 },
	[LAPIC_TIMER]	= { RW, LVT_TIMER | LAPIC_STATUS, LVT_TIMER },
	[LAPIC_THERMAL]	= { RW, LVT_MODAL | LAPIC_STATUS, LVT_MODAL },
	[LAPIC_PERF]	= { RW, LVT_MODAL | LAPIC_STATUS, LVT_MODAL },
	[LAPIC_LINT0 ... LAPIC_LINT1] = {
		RW, LVT_LINT | LAPIC_STATUS | LAPIC_REMOTE_IRR, LVT_LINT },
	[LAPIC_ERROR]	= { RW, LVT_COMMON | LAPIC_STATUS, LVT_COMMON },
	[LAPIC_TMICT]	= { RW, ~0U, ~0U },
	[LAPIC_TMCCT]	= { R1 | R2 },
	[LAPIC_TDCR]	= { RW, 0xb, 0xb },
	[LAPIC_SELF]	= { W2, LAPIC_VECTOR },
};

static bool is_lvt(u32 index)
{
	return index >= LAPIC_TIMER && index <= LAPIC_ERROR;
}

static bool apic_enabled(const struct posada_apic *apic)
{
	return READ_ONCE(apic->base) & LAPIC_BASE_ENABLE;
}

static bool apic_soft_enabled(const struct posada_apic *apic)
{
	return apic->reg[LAPIC_SVR] & LAPIC_SVR_ENABLE;
}

/* ---- priorities ---- */

/*
 * No request when it falls: the vCPU is out of the guest, and asks
 * posada_apic_pending() at each entry.
 */
static void update_ppr(struct posada_apic *apic)
{
	WRITE_ONCE(apic->ppr, lapic_ppr(apic->reg[LAPIC_TPR],
					lapic_highest(apic->isr)));
}

/*
 * The order of the writers and the reader of IRR:
 *
 *   set_irr()                     irr_top()
 *     1. irr bit := 1 (locked)      a. find no bit in irr
 *     2. irr_pending := 1           b. irr_pending := 0
 *     3. requests |= EVENT          c. full barrier
 *                                   d. look at irr again
 *
 * A bit that d misses was set after d, hence 2 is after b and the hint stays
 * true. And 3 is after 2, so the vCPU that takes the request sees the hint.
 */
static int irr_top(struct posada_apic *apic)
{
	int top = lapic_highest(apic->irr);

	if (top >= 0)
		return top;
	WRITE_ONCE(apic->irr_pending, false);
	smp_mb(); /* b before d */
	top = lapic_highest(apic->irr);
	if (top >= 0)
		WRITE_ONCE(apic->irr_pending, true);
	return top;
}

int posada_apic_top(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;
	int top = irr_top(apic);

	return lapic_above(top, apic->ppr) ? top : -1;
}

int posada_apic_top_blocked(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;
	u8 without_tpr = lapic_ppr(0, lapic_highest(apic->isr));
	int top = irr_top(apic);

	if (lapic_above(top, apic->ppr) || !lapic_above(top, without_tpr))
		return -1;
	return top;
}

void posada_apic_ack(struct posada_vcpu *vcpu, u8 vector)
{
	struct posada_apic *apic = &vcpu->apic;

	clear_bit(vector, apic->irr);
	__set_bit(vector, apic->isr);
	update_ppr(apic);
	irr_top(apic);	/* drops the hint before the next entry looks */
}

void posada_apic_set_irr(struct posada_vcpu *vcpu, u8 vector, bool level)
{
	struct posada_apic *apic = &vcpu->apic;

	/* TMR first: an EOI may follow as soon as IRR is set. */
	if (level)
		set_bit(vector, apic->tmr);
	else if (test_bit(vector, apic->tmr))
		clear_bit(vector, apic->tmr);

	/* Who set the bit before sends, or has sent, the request. */
	if (test_and_set_bit(vector, apic->irr))
		return;
	WRITE_ONCE(apic->irr_pending, true);
	posada_request(vcpu, POSADA_REQ_EVENT);
}

/* Returns the vector whose EOI the I/O APIC wants to hear of, or -1. */
static int apic_eoi(struct posada_apic *apic)
{
	int vector = lapic_highest(apic->isr);

	if (vector < 0)
		return -1;
	__clear_bit(vector, apic->isr);
	update_ppr(apic);
	if (!test_bit(vector, apic->tmr) ||
	    apic->reg[LAPIC_SVR] & LAPIC_SVR_NO_BROADCAST)
		return -1;
	return vector;
}

static void apic_set_tpr(struct posada_apic *apic, u8 tpr)
{
	WRITE_ONCE(apic->reg[LAPIC_TPR], tpr);
	update_ppr(apic);
}

void posada_apic_set_cr8(struct posada_vcpu *vcpu, u8 cr8)
{
	apic_set_tpr(&vcpu->apic, (cr8 & 0xf) << 4);
}

/* ---- local interrupts ---- */

void posada_apic_error(struct posada_vcpu *vcpu, u32 bit)
{
	struct posada_apic *apic = &vcpu->apic;
	u32 lvt = READ_ONCE(apic->reg[LAPIC_ERROR]);
	u8 vector = lvt & LAPIC_VECTOR;

	set_bit(bit, &apic->esr);
	if (lvt & LAPIC_MASKED || !apic_enabled(apic))
		return;
	/* No error about the error interrupt's vector: that would not end. */
	if (vector < LAPIC_FIRST_VECTOR)
		set_bit(LAPIC_ESR_RECV_ILLEGAL, &apic->esr);
	else
		posada_apic_set_irr(vcpu, vector, false);
}

void posada_apic_lvt(struct posada_vcpu *vcpu, u32 index)
{
	u32 lvt = READ_ONCE(vcpu->apic.reg[index]);
	u32 mode = (lvt & LAPIC_MODE) >> LAPIC_MODE_SHIFT;

	if (!(lvt & LAPIC_MASKED))
		posada_apic_accept(vcpu, mode, lvt & LAPIC_VECTOR, false);
}

static void apic_write_svr(struct posada_apic *apic, u32 value)
{
	int i;

	WRITE_ONCE(apic->reg[LAPIC_SVR], value);
	if (apic_soft_enabled(apic))
		return;
	for (i = LAPIC_TIMER; i <= LAPIC_ERROR; i++)
		WRITE_ONCE(apic->reg[i], apic->reg[i] | LAPIC_MASKED);
}

static void apic_write_lvt(struct posada_vcpu *vcpu, u32 index, u32 value)
{
	struct posada_apic *apic = &vcpu->apic;
	u32 old = apic->reg[index];

	if (!apic_soft_enabled(apic))
		value |= LAPIC_MASKED;
	/* The fourth timer mode is reserved. Make it TSC deadline. */
	if (index == LAPIC_TIMER && value & LAPIC_TIMER_DEADLINE)
		value &= ~LAPIC_TIMER_PERIODIC;
	WRITE_ONCE(apic->reg[index], value);
	if (index == LAPIC_TIMER)
		posada_timer_set_mode(vcpu, old);
}

/* ---- register access, common to both forms ---- */

static u32 apic_read_apr(struct posada_apic *apic)
{
	u32 tpr = apic->reg[LAPIC_TPR];
	int isr = lapic_highest(apic->isr), irr = lapic_highest(apic->irr);
	u32 high = max(isr, irr) < 0 ? 0 : max(isr, irr) & 0xf0;

	return (tpr & 0xf0) >= high ? tpr : high;
}

static u32 apic_read(struct posada_vcpu *vcpu, u32 index)
{
	struct posada_apic *apic = &vcpu->apic;

	switch (index) {
	case LAPIC_APR:
		return apic_read_apr(apic);
	case LAPIC_PPR:
		return apic->ppr;
	case LAPIC_ISR ... LAPIC_TMR - 1:
		return lapic_word(apic->isr, index - LAPIC_ISR);
	case LAPIC_TMR ... LAPIC_IRR - 1:
		return lapic_word(apic->tmr, index - LAPIC_TMR);
	case LAPIC_IRR ... LAPIC_ESR - 1:
		return lapic_word(apic->irr, index - LAPIC_IRR);
	case LAPIC_TMCCT:
		return posada_timer_count(vcpu);
	default:
		return apic->reg[index];
	}
}

static void apic_write_icr(struct posada_vcpu *vcpu, u32 dest, u32 low)
{
	posada_ipi_send(vcpu, (u64)dest << 32 | low);
}

/* @value is what a write may change. Returns as apic_eoi(). */
static int apic_write(struct posada_vcpu *vcpu, u32 index, u32 value)
{
	struct posada_apic *apic = &vcpu->apic;
	u32 old = apic->reg[index];

	switch (index) {
	case LAPIC_EOI:
		return apic_eoi(apic);
	case LAPIC_TPR:
		apic_set_tpr(apic, value);
		break;
	case LAPIC_DFR:
		WRITE_ONCE(apic->reg[index], value | 0x0fffffff);
		break;
	case LAPIC_SVR:
		apic_write_svr(apic, value);
		/* Which EOIs exit is said anew with the next series. */
		if (apic->lent)
			posada_request(vcpu, POSADA_REQ_EVENT);
		break;
	case LAPIC_ESR:
		/* Show what came since the last write, and start anew. */
		apic->reg[index] = xchg(&apic->esr, 0);
		break;
	case LAPIC_ICR:
		apic->reg[index] = value;
		apic_write_icr(vcpu, apic->reg[LAPIC_ICR2] >> 24, value);
		break;
	case LAPIC_TIMER ... LAPIC_ERROR:
		apic_write_lvt(vcpu, index, value);
		break;
	case LAPIC_TMICT:
		apic->reg[index] = value;
		posada_timer_set_count(vcpu);
		break;
	case LAPIC_TDCR:
		apic->reg[index] = value;
		posada_timer_set_divide(vcpu, old);
		break;
	default:
		WRITE_ONCE(apic->reg[index], value);
	}
	return -1;
}

/* ---- x2APIC: MSRs ---- */

#define X2_FIRST_MSR	0x800

/* The register of an MSR in x2APIC form, or NULL. */
static const struct lapic_reg *x2_reg(struct posada_vcpu *vcpu, u32 msr,
				      u32 *index)
{
	u32 i = msr - X2_FIRST_MSR;

	if (!posada_apic_x2(vcpu) || i >= LAPIC_NR)
		return NULL;
	*index = array_index_nospec(i, LAPIC_NR);
	return &lapic_regs[*index];
}

int posada_apic_msr_read(struct posada_vcpu *vcpu, u32 msr, u64 *value)
{
	struct posada_apic *apic = &vcpu->apic;
	const struct lapic_reg *reg;
	u32 i;

	reg = x2_reg(vcpu, msr, &i);
	if (!reg || !(reg->access & R2))
		return -EINVAL;
	*value = apic_read(vcpu, i);
	if (i == LAPIC_ICR)
		*value |= (u64)apic->reg[LAPIC_ICR2] << 32;
	return 1;
}

static int x2_write_icr(struct posada_vcpu *vcpu, u64 value)
{
	const struct lapic_reg *reg = &lapic_regs[LAPIC_ICR];
	struct posada_apic *apic = &vcpu->apic;

	if ((u32)value & ~reg->valid)
		return -EINVAL;
	apic->reg[LAPIC_ICR] = value & reg->stored;
	apic->reg[LAPIC_ICR2] = value >> 32;
	apic_write_icr(vcpu, value >> 32, value);
	return 1;
}

/* SELF IPI: the ICR's shorthand in one register, for fixed vectors. */
static void x2_write_self(struct posada_vcpu *vcpu, u8 vector)
{
	u32 to = LAPIC_TO_SELF;

	apic_write_icr(vcpu, 0, vector | to << LAPIC_SHORTHAND_SHIFT);
}

int posada_apic_msr_write(struct posada_vcpu *vcpu, u32 msr, u64 value,
			  int *eoi_vector)
{
	const struct lapic_reg *reg;
	int eoi;
	u32 i;

	reg = x2_reg(vcpu, msr, &i);
	if (!reg || !(reg->access & W2))
		return -EINVAL;
	if (i == LAPIC_ICR)
		return x2_write_icr(vcpu, value);
	if (value & ~(u64)reg->valid)
		return -EINVAL;
	if (i == LAPIC_SELF) {
		x2_write_self(vcpu, value);
		return 1;
	}
	eoi = apic_write(vcpu, i, value & reg->stored);
	if (eoi < 0)
		return 1;
	*eoi_vector = eoi;
	return 0;
}

/* ---- xAPIC: the page, as userspace forwards it ---- */

/* A write to a read-only register is lost; an access to none is an error. */
static void x1_write(struct posada_vcpu *vcpu, u32 i,
		     struct posada_apic_reg *arg)
{
	const struct lapic_reg *reg = &lapic_regs[i];
	int eoi;

	if (!(reg->access & W1))
		return;
	eoi = apic_write(vcpu, i, arg->value & reg->stored);
	if (eoi < 0)
		return;
	arg->flags |= POSADA_APIC_EOI;
	arg->value = eoi;
}

int posada_apic_mmio(struct posada_vcpu *vcpu, struct posada_apic_reg *arg)
{
	struct posada_apic *apic = &vcpu->apic;
	bool write = arg->flags & POSADA_APIC_WRITE;
	u32 i = arg->offset / 16;

	if (arg->offset % 16 || arg->offset >= POSADA_PAGE_SIZE)
		return -EINVAL;
	if (!apic_enabled(apic) || posada_apic_x2(vcpu))
		return -ENXIO;

	if (!write)
		arg->value = 0;
	i = i < LAPIC_NR ? array_index_nospec(i, LAPIC_NR) : 0;
	if (!(lapic_regs[i].access & (R1 | W1)))
		posada_apic_error(vcpu, LAPIC_ESR_REGISTER);
	else if (write)
		x1_write(vcpu, i, arg);
	else if (lapic_regs[i].access & R1)
		arg->value = apic_read(vcpu, i);
	return 0;
}

/* ---- a page of registers, as a CPU has them ---- */

static u32 *page_reg(void *page, u32 index)
{
	return page + index * 16;
}

/* A pair of registers holds a word of a map. */
static void page_put(void *page, u32 index, unsigned long word)
{
	*page_reg(page, index) = word;
	*page_reg(page, index + 1) = word >> 32;
}

static unsigned long page_take(void *page, u32 index)
{
	unsigned long word = *page_reg(page, index) |
			     (u64)*page_reg(page, index + 1) << 32;

	page_put(page, index, 0);
	return word;
}

/* Not on loan, IRR and ISR are empty in the page; on loan, ISR is here. */
static void lend_maps(struct posada_apic *apic)
{
	unsigned long word;
	int i, irr = 0, isr = max(lapic_highest(apic->isr), 0);

	/* As in irr_top(): what comes after this sets the hint again. */
	WRITE_ONCE(apic->irr_pending, false);
	smp_mb(); /* the hint before the look at irr */
	for (i = 0; i < 4; i++) {
		word = READ_ONCE(apic->irr[i]) ? xchg(&apic->irr[i], 0) : 0;
		if (word)
			irr = i * 64 + __fls(word);
		page_put(apic->page, LAPIC_IRR + 2 * i, word);
		page_put(apic->page, LAPIC_ISR + 2 * i, apic->isr[i]);
		apic->isr[i] = 0;
	}
	apic->status = irr | isr << 8;
}

void posada_apic_lend(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;

	apic->lent = true;
	apic->status = 0;
	*page_reg(apic->page, LAPIC_TPR) = apic->reg[LAPIC_TPR];
	if (READ_ONCE(apic->irr_pending) ||
	    apic->isr[0] | apic->isr[1] | apic->isr[2] | apic->isr[3])
		lend_maps(apic);
}

static void take_maps_back(struct posada_apic *apic)
{
	bool pending = false;
	unsigned long word;
	int i;

	for (i = 0; i < 4; i++) {
		apic->isr[i] = page_take(apic->page, LAPIC_ISR + 2 * i);
		word = page_take(apic->page, LAPIC_IRR + 2 * i);
		if (!word)
			continue;
		atomic_long_or(word, (atomic_long_t *)&apic->irr[i]);
		pending = true;
	}
	if (pending)
		WRITE_ONCE(apic->irr_pending, true);
}

void posada_apic_take_back(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;
	u32 tpr = *page_reg(apic->page, LAPIC_TPR) & 0xff;

	apic->lent = false;
	WRITE_ONCE(apic->reg[LAPIC_TPR], tpr);
	if (apic->status)
		take_maps_back(apic);
	update_ppr(apic);
}

/* ---- reset, modes ---- */

/* ID and LDR as the mode has them. */
static void apic_derive_ids(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;
	bool x2 = posada_apic_x2(vcpu);

	WRITE_ONCE(apic->reg[LAPIC_ID], x2 ? vcpu->id : vcpu->id << 24);
	if (x2)
		WRITE_ONCE(apic->reg[LAPIC_LDR], lapic_x2_ldr(vcpu->id));
	if (!apic->page)
		return;
	/* What a guest reads there, and nobody writes. */
	*page_reg(apic->page, LAPIC_ID) = apic->reg[LAPIC_ID];
	*page_reg(apic->page, LAPIC_VERSION) = LAPIC_VERSION_VALUE;
	*page_reg(apic->page, LAPIC_LDR) = apic->reg[LAPIC_LDR];
}

/* Every register as after RESET, in the mode that base says. */
static void apic_reset_regs(struct posada_vcpu *vcpu)
{
	struct posada_apic *apic = &vcpu->apic;
	int i;

	posada_timer_stop(vcpu);
	memset(apic->reg, 0, sizeof(apic->reg));
	apic->reg[LAPIC_VERSION] = LAPIC_VERSION_VALUE;
	apic->reg[LAPIC_DFR] = ~0U;
	apic->reg[LAPIC_SVR] = LAPIC_VECTOR;
	for (i = LAPIC_TIMER; i <= LAPIC_ERROR; i++)
		apic->reg[i] = LAPIC_MASKED;
	apic_derive_ids(vcpu);

	bitmap_zero(apic->irr, 256);
	bitmap_zero(apic->isr, 256);
	bitmap_zero(apic->tmr, 256);
	WRITE_ONCE(apic->esr, 0);
	update_ppr(apic);
}

/* INIT keeps IA32_APIC_BASE, and the mode with it. */
void posada_apic_reset(struct posada_vcpu *vcpu, bool init)
{
	if (!init)
		WRITE_ONCE(vcpu->apic.base,
			   LAPIC_BASE_DEFAULT | LAPIC_BASE_ENABLE |
			   (vcpu->id ? 0 : LAPIC_BASE_BSP));
	apic_reset_regs(vcpu);
}

void posada_apic_init(struct posada_vcpu *vcpu)
{
	posada_timer_init(vcpu);
	posada_apic_reset(vcpu, false);
}

void posada_apic_free(struct posada_vcpu *vcpu)
{
	posada_timer_stop(vcpu);
}

/* The BSP flag says who booted: writes leave it as it is. */
int posada_apic_set_base(struct posada_vcpu *vcpu, u64 value, bool host)
{
	struct posada_apic *apic = &vcpu->apic;
	u64 old = apic->base;

	if (!lapic_base_ok(old, value, posada_cpuid_phys_bits(vcpu->vm), host))
		return -EINVAL;
	value = (value & ~LAPIC_BASE_BSP) | (old & LAPIC_BASE_BSP);
	WRITE_ONCE(apic->base, value);
	if (!((value ^ old) & LAPIC_BASE_MODE))
		return 0;
	/* A disabled APIC forgets; xAPIC to x2APIC keeps all but the ids. */
	if (old & LAPIC_BASE_ENABLE && value & LAPIC_BASE_X2)
		apic_derive_ids(vcpu);
	else
		apic_reset_regs(vcpu);
	return 0;
}

/* ---- state records ---- */

void posada_apic_save(struct posada_vcpu *vcpu, struct posada_rec_apic *rec)
{
	struct posada_apic *apic = &vcpu->apic;
	int i;

	memset(rec, 0, sizeof(*rec));
	rec->base = apic->base;
	/* The timer first: one that expires from here on is in IRR below. */
	posada_timer_poll(vcpu);
	rec->tsc_deadline = posada_timer_get_deadline(vcpu);
	rec->timer_ns = posada_timer_remaining(vcpu);
	for (i = 0; i < LAPIC_NR; i++)
		if (lapic_regs[i].access & (R1 | R2))
			rec->reg[i] = apic_read(vcpu, i);
}

/* A register's value, but for what follows from others. */
static int check_reg(struct posada_vcpu *vcpu,
		     const struct posada_rec_apic *rec, u32 i)
{
	bool x2 = rec->base & LAPIC_BASE_X2;
	u32 value = rec->reg[i];
	bool ok;

	switch (i) {
	case LAPIC_ID:
		ok = value == (x2 ? vcpu->id : vcpu->id << 24);
		break;
	case LAPIC_VERSION:
		return value == LAPIC_VERSION_VALUE ? 0 : -EOPNOTSUPP;
	case LAPIC_LDR:
		ok = x2 ? value == lapic_x2_ldr(vcpu->id) :
			  !(value & ~lapic_regs[i].stored);
		break;
	case LAPIC_DFR:
		ok = (value & 0x0fffffff) == 0x0fffffff;
		break;
	case LAPIC_ISR:
	case LAPIC_TMR:
	case LAPIC_IRR:
		ok = !(value & (BIT(LAPIC_FIRST_VECTOR) - 1));
		break;
	case LAPIC_ISR + 1 ... LAPIC_TMR - 1:
	case LAPIC_TMR + 1 ... LAPIC_IRR - 1:
	case LAPIC_IRR + 1 ... LAPIC_ESR - 1:
	case LAPIC_APR:		/* derived on loading */
	case LAPIC_PPR:
	case LAPIC_TMCCT:
		ok = true;
		break;
	case LAPIC_ESR:
		ok = value <= 0xff;
		break;
	case LAPIC_ICR2:
		ok = x2 || !(value & ~lapic_regs[i].stored);
		break;
	default:
		ok = !(value & ~lapic_regs[i].stored);
		if (is_lvt(i) && !(rec->reg[LAPIC_SVR] & LAPIC_SVR_ENABLE))
			ok = ok && value & LAPIC_MASKED;
	}
	return ok ? 0 : -EINVAL;
}

/* A deadline needs that mode, a count another one and a start value. */
static int check_timer(const struct posada_rec_apic *rec)
{
	u32 mode = rec->reg[LAPIC_TIMER] & LAPIC_TIMER_MODE;
	u64 most = (u64)rec->reg[LAPIC_TMICT] *
		   lapic_divisor(rec->reg[LAPIC_TDCR]);

	if (mode == LAPIC_TIMER_MODE)
		return -EINVAL;
	if (mode == LAPIC_TIMER_DEADLINE)
		return rec->timer_ns ? -EINVAL : 0;
	if (most)
		most = max_t(u64, most, POSADA_APIC_MIN_PERIOD);
	return rec->tsc_deadline || rec->timer_ns > most ? -EINVAL : 0;
}

int posada_apic_check(struct posada_vcpu *vcpu,
		      const struct posada_rec_apic *rec)
{
	int i, err;

	if (!lapic_base_ok(vcpu->apic.base, rec->base,
			   posada_cpuid_phys_bits(vcpu->vm), true) ||
	    !(rec->base & LAPIC_BASE_BSP) != !!vcpu->id)
		return -EINVAL;
	for (i = 0; i < LAPIC_NR; i++) {
		err = check_reg(vcpu, rec, i);
		if (err)
			return err;
	}
	return check_timer(rec);
}

static void load_map(unsigned long map[4], const u32 *reg)
{
	int i;

	for (i = 0; i < 4; i++)
		WRITE_ONCE(map[i], reg[2 * i] | (u64)reg[2 * i + 1] << 32);
}

void posada_apic_load(struct posada_vcpu *vcpu,
		      const struct posada_rec_apic *rec)
{
	struct posada_apic *apic = &vcpu->apic;

	WRITE_ONCE(apic->base, rec->base);
	apic_reset_regs(vcpu);
	memcpy(apic->reg, rec->reg, sizeof(apic->reg));
	load_map(apic->isr, &rec->reg[LAPIC_ISR]);
	load_map(apic->tmr, &rec->reg[LAPIC_TMR]);
	load_map(apic->irr, &rec->reg[LAPIC_IRR]);
	update_ppr(apic);
	smp_store_release(&apic->irr_pending, true); /* as in set_irr() */
	posada_timer_load(vcpu, rec->tsc_deadline, rec->timer_ns);
	posada_request(vcpu, POSADA_REQ_EVENT);
}
