// SPDX-License-Identifier: GPL-2.0
/* What POSADA_RUN gives back: does it make sense, and what to do with it. See fuzz.h. */
#include "fuzz.h"

#define MEM_FLAGS	0x3fU
#define PORT_FLAGS	(POSADA_PORT_IN | POSADA_PORT_STRING)

static void check_port(const struct posada_exit_port *p)
{
	bool string = p->flags & POSADA_PORT_STRING;

	if (p->len != 1 && p->len != 2 && p->len != 4)
		fuzz_fail("port exit of %u bytes", p->len);
	if (p->flags & ~PORT_FLAGS || (string && p->insn_len > 15))
		fuzz_fail("port exit: flags %x, %u insn bytes", p->flags, p->insn_len);
	if (!string && !(p->flags & POSADA_PORT_IN) && p->len < 4 && p->data >> 8 * p->len)
		fuzz_fail("port exit of %u bytes has value %x", p->len, p->data);
}

/* All that a CPU checks on entry, for who looks for the reason. */
static void dump(struct vcpu *v)
{
	static struct {
		struct posada_regs regs;
		struct posada_sregs s;
		struct posada_events e;
		struct posada_dregs d;
	} x;
	u32 i;

	if (rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_REGS, &x.regs, sizeof(x.regs), NULL) ||
	    rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_SREGS, &x.s, sizeof(x.s), NULL) ||
	    rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_EVENTS, &x.e, sizeof(x.e), NULL) ||
	    rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_DREGS, &x.d, sizeof(x.d), NULL))
		return;
	test_note("rip %llx flags %llx cr0 %llx cr3 %llx cr4 %llx efer %llx cpl %u", x.regs.rip,
		  x.regs.rflags, x.s.cr0, x.s.cr3, x.s.cr4, x.s.efer, x.s.cpl);
	for (i = 0; i < POSADA_NR_SEGS; i++)
		test_note("segment %u: %x attr %x base %llx limit %x", i, x.s.seg[i].selector,
			  x.s.seg[i].attr, x.s.seg[i].base, x.s.seg[i].limit);
	test_note("gdt %llx %x idt %llx %x dr6 %llx dr7 %llx", x.s.gdt.base, x.s.gdt.limit,
		  x.s.idt.base, x.s.idt.limit, x.d.dr6, x.d.dr7);
	test_note("event %u vector %u error %u %x, nmi %u %u, shadow %u", x.e.kind, x.e.vector,
		  x.e.has_error_code, x.e.error_code, x.e.nmi_pending, x.e.nmi_masked, x.e.shadow);
}

/* QEMU does not wrap at 4 GiB where it looks up a descriptor outside of long mode. */
static bool is_qemu_for_table(struct vcpu *v)
{
	struct posada_sregs s;

	return host_is_tcg() &&
	       !rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_SREGS, &s, sizeof(s), NULL) &&
	       !(s.efer & BIT(10)) &&
	       (s.seg[POSADA_LDTR].base | s.seg[POSADA_TR].base | s.gdt.base | s.idt.base) >> 32;
}

static void check_memory(struct vcpu *v, u64 phys_limit)
{
	const struct posada_exit_memory *m = &v->run->memory;
	bool inside = m->gpa < FUZZ_MEM_BYTES;

	if (m->gpa >= phys_limit && is_qemu_for_table(v))
		return;
	if (m->gpa >= phys_limit || m->flags & ~MEM_FLAGS || m->insn_len > 15 ||
	    m->pad[0] | m->pad[1] | m->pad[2]) {
		dump(v);
		fuzz_fail("memory exit: gpa %llx, flags %x, %u insn bytes", m->gpa, m->flags,
			  m->insn_len);
	}
	/* All that the slot has is there, and may be written. */
	if (inside || m->flags & (POSADA_MEM_FAULT | POSADA_MEM_READONLY))
		fuzz_fail("memory exit in a slot: gpa %llx, flags %x", m->gpa, m->flags);
}

/*
 * A guest on a CPU that checks less than it should may get itself into a state
 * that nobody could have given it: then it is refused here, too.
 */
static bool could_be_written(struct vcpu *v)
{
	static u8 buf[4096];
	struct posada_state a = {
		.size = sizeof(a), .buf = (u64)buf, .bytes = sizeof(buf),
		.mask = BIT(POSADA_REC_REGS) | BIT(POSADA_REC_SREGS) | BIT(POSADA_REC_DREGS) |
			BIT(POSADA_REC_EVENTS),
	};

	if (px(v->fd, POSADA_VCPU_STATE, &a))
		return true;
	a.flags = POSADA_STATE_WRITE | POSADA_STATE_DRY_RUN;
	a.bytes = a.used;
	return !px(v->fd, POSADA_VCPU_STATE, &a);
}

/*
 * QEMU's answer to reserved bits that a guest moves into CR3 or CR4 is not #GP
 * but the exit of a refused entry: RIP is at that MOV.
 */
static bool is_qemu_for_gp(struct vcpu *v)
{
	struct posada_translate t = { .size = sizeof(t) };
	struct posada_sregs s;
	struct posada_regs regs;
	const u8 *at, *end;

	if (!host_is_tcg() ||
	    rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_REGS, &regs, sizeof(regs), NULL) ||
	    rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_SREGS, &s, sizeof(s), NULL))
		return false;
	t.gva = regs.rip + (s.efer & BIT(10) ? 0 : s.seg[POSADA_CS].base);
	if (px(v->fd, POSADA_TRANSLATE, &t) || t.gpa > FUZZ_MEM_BYTES - 15)
		return false;
	at = v->vm->mem + t.gpa;
	for (end = at + 12; at < end; at++)
		if (at[0] == 0x0f)
			return at[1] == 0x22 && ((at[2] >> 3 & 7) == 3 || (at[2] >> 3 & 7) == 4);
	return false;
}

/*
 * Bochs's VMX refuses an RPL of CS that is not the DPL, which no manual does;
 * and its IRET to virtual-8086 mode leaves L set that a data segment had, with
 * which no CPU enters.
 */
static bool is_bochs_for_segment(struct vcpu *v)
{
	struct posada_sregs s;
	struct posada_regs regs;
	u32 i;

	if (!host_is_bochs_vmx() ||
	    rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_REGS, &regs, sizeof(regs), NULL) ||
	    rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_SREGS, &s, sizeof(s), NULL))
		return false;
	if (!(regs.rflags & BIT(17)))
		return (s.seg[POSADA_CS].selector ^ s.seg[POSADA_CS].attr >> 5) & 3;
	for (i = POSADA_ES; i <= POSADA_GS; i++)
		if (s.seg[i].attr & POSADA_SEG_L)
			return true;
	return false;
}

/* A VM may be killed for what its guest does, never for what we do not know. */
static void check_killed(struct vcpu *v)
{
	const struct posada_exit_killed *k = &v->run->killed;

	/* All vCPUs of a VM are killed for what one of them did. */
	if (k->vcpu != v->id)
		return;
	switch (k->reason) {
	case POSADA_KILL_NO_FETCH:
	case POSADA_KILL_DELIVERY:
		return;
	case POSADA_KILL_BAD_STATE:
		if (could_be_written(v) && !is_qemu_for_gp(v) && !is_bochs_for_segment(v))
			break;
		return;
	}
	dump(v);
	fuzz_fail("killed for reason %u: %llx %llx", k->reason, k->info[0], k->info[1]);
}

static void check_other(const struct posada_run *run)
{
	switch (run->exit) {
	case POSADA_EXIT_EOI:
		if (run->eoi.vector > 255 || run->eoi.pad)
			fuzz_fail("EOI of vector %u", run->eoi.vector);
		break;
	case POSADA_EXIT_HYPERCALL:
		if (run->hypercall.nr < POSADA_HC_USER_BASE ||
		    run->hypercall.nr >= POSADA_HC_USER_END)
			fuzz_fail("hypercall %llx", run->hypercall.nr);
		break;
	case POSADA_EXIT_SYSTEM:
		if (run->system.event > POSADA_SYSTEM_CRASH || run->system.bytes > 4096)
			fuzz_fail("system event %u, %u bytes", run->system.event, run->system.bytes);
		break;
	case POSADA_EXIT_MSR:
	case POSADA_EXIT_WINDOW:
	case POSADA_EXIT_KICK:
	case POSADA_EXIT_DEBUG:
	case POSADA_EXIT_SHUTDOWN:
		break;
	default:
		fuzz_fail("exit %u", run->exit);
	}
}

void fuzz_check_exit(struct vcpu *v, int rc, u64 phys_limit)
{
	const struct posada_run *run = v->run;

	if (rc == -EINTR || rc == -EINVAL)
		return;
	if (rc)
		fuzz_fail("POSADA_RUN: errno %d", -rc);
	if (run->exit_flags || run->valid & ~POSADA_GROUP_ALL)
		fuzz_fail("exit flags %x, valid %x", run->exit_flags, run->valid);
	switch (run->exit) {
	case POSADA_EXIT_PORT:
		return check_port(&run->port);
	case POSADA_EXIT_MEMORY:
		return check_memory(v, phys_limit);
	case POSADA_EXIT_KILLED:
		return check_killed(v);
	}
	check_other(run);
}

/* Move on behind the instruction, by its length or by some other. */
static void step_over(struct rnd *r, struct vcpu *v)
{
	struct posada_regs *regs = &v->run->regs;

	if (!(v->run->valid & POSADA_GROUP_REGS))
		return;
	regs->rip += 1 + rnd_below(r, 8);
	regs->gpr[rnd_below(r, POSADA_NR_REGS)] = rnd_value(r);
	v->run->dirty |= POSADA_GROUP_REGS;
}

void fuzz_answer_exit(struct rnd *r, struct vcpu *v)
{
	struct posada_run *run = v->run;
	struct posada_apic_reg a = {
		.size = sizeof(a), .flags = rnd_below(r, 2) ? POSADA_APIC_WRITE : 0,
		.offset = rnd_below(r, 64) * 16, .value = rnd_value(r),
	};

	switch (run->exit) {
	case POSADA_EXIT_PORT:
		if (run->port.flags & POSADA_PORT_STRING)
			step_over(r, v);
		else
			run->port.data = rnd(r);
		break;
	case POSADA_EXIT_MEMORY:
		if (run->memory.gpa >> 12 == 0xfee00)
			px(v->fd, POSADA_APIC, &a);
		step_over(r, v);
		break;
	case POSADA_EXIT_MSR:
		run->msr.data = rnd_value(r);
		run->msr.error = rnd_one_in(r, 3);
		break;
	case POSADA_EXIT_HYPERCALL:
		run->hypercall.ret = rnd_value(r);
		break;
	}
}
