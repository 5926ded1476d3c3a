// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupt messages: from an APIC's ICR, from an MSI, to the vCPUs that they
 * address. No lock: a vCPU, once created, stays until its VM goes, and what a
 * message reads of another's APIC (mode, LDR, priority) is one word each. A
 * guest that changes these while messages are on their way gets the old or
 * the new, as on hardware.
 */
#include "posada.h"
#include "apic_logic.h"

/* ---- one receiver ---- */

static bool accept_fixed(struct posada_vcpu *vcpu, u8 vector, bool level)
{
	if (!(READ_ONCE(vcpu->apic.reg[LAPIC_SVR]) & LAPIC_SVR_ENABLE))
		return false;
	if (vector < LAPIC_FIRST_VECTOR) {
		posada_apic_error(vcpu, LAPIC_ESR_RECV_ILLEGAL);
		return false;
	}
	posada_apic_set_irr(vcpu, vector, level);
	return true;
}

/* One NMI in delivery, one behind it; hardware loses the rest, too. */
static bool accept_nmi(struct posada_vcpu *vcpu)
{
	atomic_add_unless(&vcpu->nmi_pending, 1, 2);
	posada_request(vcpu, POSADA_REQ_EVENT);
	return true;
}

/* A start-up that came before this INIT is void. */
static bool accept_init(struct posada_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->apic.sipi, 0);
	posada_request(vcpu, POSADA_REQ_INIT);
	return true;
}

/*
 * Whether it waits for a start-up is for the vCPU to say, once it has taken
 * an INIT that may be on its way. The first one counts: guests send two.
 */
static bool accept_startup(struct posada_vcpu *vcpu, u8 vector)
{
	cmpxchg(&vcpu->apic.sipi, 0UL, BIT(8) | vector);
	posada_request(vcpu, POSADA_REQ_SIPI);
	return true;
}

bool posada_apic_accept(struct posada_vcpu *vcpu, u32 mode, u8 vector,
			bool level)
{
	if (!(READ_ONCE(vcpu->apic.base) & LAPIC_BASE_ENABLE))
		return false;
	switch (mode) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		return accept_fixed(vcpu, vector, level);
	case LAPIC_NMI:
		return accept_nmi(vcpu);
	case LAPIC_INIT:
		return accept_init(vcpu);
	case LAPIC_STARTUP:
		return accept_startup(vcpu, vector);
	default:
		return false;
	}
}

static bool take(struct posada_vcpu *vcpu, const struct lapic_message *m)
{
	return posada_apic_accept(vcpu, m->mode, m->vector, m->level);
}

/* ---- those addressed ---- */

static bool addressed(struct posada_vcpu *vcpu, struct posada_vcpu *src,
		      const struct lapic_message *m)
{
	struct lapic_address a = {
		.id = vcpu->id,
		.ldr = READ_ONCE(vcpu->apic.reg[LAPIC_LDR]),
		.dfr = READ_ONCE(vcpu->apic.reg[LAPIC_DFR]),
		.x2 = posada_apic_x2(vcpu),
	};

	if (m->shorthand == LAPIC_TO_OTHERS)
		return vcpu != src;
	return m->shorthand == LAPIC_TO_ALL || lapic_match(m, &a);
}

/* A vCPU that no fixed interrupt gets into cannot win the arbitration. */
static bool contends(struct posada_vcpu *vcpu)
{
	return READ_ONCE(vcpu->apic.base) & LAPIC_BASE_ENABLE &&
	       READ_ONCE(vcpu->apic.reg[LAPIC_SVR]) & LAPIC_SVR_ENABLE;
}

/*
 * To the one of lowest priority. Among equals, begin with another vCPU for
 * each vector: that spreads devices' interrupts and keeps each where it was.
 */
static int deliver_one(struct posada_vm *vm, struct posada_vcpu *src,
		       const struct lapic_message *m)
{
	struct posada_vcpu *vcpu, *best = NULL;
	u32 i, id;

	for (i = 0; i < POSADA_MAX_VCPUS; i++) {
		id = (m->vector + i) % POSADA_MAX_VCPUS;
		vcpu = posada_vcpu_by_id(vm, id);
		if (!vcpu || !addressed(vcpu, src, m) || !contends(vcpu))
			continue;
		if (!best || READ_ONCE(vcpu->apic.ppr) >> 4 <
			     READ_ONCE(best->apic.ppr) >> 4)
			best = vcpu;
	}
	return best && take(best, m);
}

static int deliver_all(struct posada_vm *vm, struct posada_vcpu *src,
		       const struct lapic_message *m)
{
	struct posada_vcpu *vcpu;
	int i, takers = 0;

	posada_for_each_vcpu(i, vcpu, vm)
		if (addressed(vcpu, src, m))
			takers += take(vcpu, m);
	return takers;
}

/* What an x2APIC logical destination says is a list of ids. */
static int deliver_cluster(struct posada_vm *vm,
			   const struct lapic_message *m)
{
	unsigned long mask = m->dest & 0xffff;
	u32 bit, first = m->dest >> 16 << 4;
	struct posada_vcpu *vcpu;
	int takers = 0;

	for_each_set_bit(bit, &mask, 16) {
		vcpu = posada_vcpu_by_id(vm, first + bit);
		if (vcpu && posada_apic_x2(vcpu))
			takers += take(vcpu, m);
	}
	return takers;
}

static int deliver(struct posada_vm *vm, struct posada_vcpu *src,
		   const struct lapic_message *m)
{
	struct posada_vcpu *vcpu;

	if (m->shorthand == LAPIC_TO_SELF)
		return take(src, m);
	if (m->shorthand == LAPIC_TO_DEST && !lapic_is_broadcast(m)) {
		/* The usual case: one APIC id. */
		if (!m->logical) {
			vcpu = posada_vcpu_by_id(vm, m->dest);
			return vcpu && take(vcpu, m);
		}
		if (m->x2 && !m->one)
			return deliver_cluster(vm, m);
	}
	return m->one ? deliver_one(vm, src, m) : deliver_all(vm, src, m);
}

/* ---- the senders ---- */

void posada_ipi_send(struct posada_vcpu *src, u64 icr)
{
	struct lapic_message m = lapic_from_icr(icr, posada_apic_x2(src));

	if (!lapic_ipi_ok(&m))
		return;
	if (m.mode <= LAPIC_LOWEST && m.vector < LAPIC_FIRST_VECTOR) {
		posada_apic_error(src, LAPIC_ESR_SEND_ILLEGAL);
		return;
	}
	/* IPIs are edges, whatever the trigger bit says. */
	m.level = false;
	src->stat[POSADA_STAT_IPI]++;
	deliver(src->vm, src, &m);
}

int posada_msi_check(u64 addr, u32 data)
{
	return lapic_msi_ok(addr, data) ? 0 : -EINVAL;
}

int posada_msi_send(struct posada_vm *vm, u64 addr, u32 data)
{
	struct lapic_message m = lapic_from_msi(addr, data);
	int takers;

	/* As with an IPI: an INIT that deasserts does nothing. */
	if (!lapic_ipi_ok(&m))
		return 0;
	takers = deliver(vm, NULL, &m);
	if (takers)
		atomic64_inc(&vm->stat[POSADA_STAT_MSI]);
	return takers;
}
