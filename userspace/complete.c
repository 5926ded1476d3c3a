// SPDX-License-Identifier: GPL-2.0
/*
 * The way in: take an exit, find its instruction in the cache or decode it,
 * let its handler work, then do what every instruction does at its end.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

static enum decode_mode current_mode(const struct posada_sregs *s)
{
	uint16_t attr = s->seg[POSADA_CS].attr;

	if (s->efer & X86_EFER_LMA && attr & POSADA_SEG_L)
		return DECODE_64;
	return attr & POSADA_SEG_DB ? DECODE_32 : DECODE_16;
}

/* Neighbouring instructions of a driver's loop should not share a slot. */
static struct insn *cache_slot(struct posada_vcpu *vcpu, uint64_t rip)
{
	return &vcpu->cache[(rip ^ rip >> 6 ^ rip >> 12) & (DECODE_CACHE - 1)];
}

/* The key holds the bytes themselves, so code may change at will. */
static const struct insn *lookup(struct posada_vcpu *vcpu, const uint8_t *code,
				 uint8_t bytes, enum decode_mode mode)
{
	struct insn *in = cache_slot(vcpu, vcpu->run->regs.rip);
	uint32_t key_mode = mode | (uint32_t)bytes << 8;
	uint64_t key[2];

	memcpy(key, code, sizeof(key));
	if (in->key[0] == key[0] && in->key[1] == key[1] &&
	    in->mode == key_mode)
		return in;
	decode_insn(in, mode, (const uint8_t *)key, bytes);
	in->key[0] = key[0];
	in->key[1] = key[1];
	in->mode = key_mode;
	return in;
}

static void set_up(struct job *j, const uint8_t *code, uint8_t bytes)
{
	enum decode_mode mode = current_mode(&j->run->sregs);

	j->long_mode = mode == DECODE_64;
	j->in = lookup(j->vcpu, code, bytes > 15 ? 15 : bytes, mode);
}

/* ---- the end of an instruction ---- */

static int inject(struct job *j)
{
	int ret = posada_call(j->vcpu->fd, POSADA_INJECT, &j->fault);

	return ret < 0 ? ret : 0;
}

/* A fault pushes RF set, so that a breakpoint on the instruction does not
 * fire twice. Registers that REP has advanced are kept.
 */
static int finish_fault(struct job *j)
{
	j->run->regs.rflags |= X86_FLAGS_RF;
	j->run->dirty |= POSADA_GROUP_REGS;
	return inject(j);
}

static int single_step(struct job *j)
{
	j->fault = (struct posada_inject){
		.size = sizeof(j->fault),
		.kind = POSADA_INJECT_EXCEPTION,
		.vector = X86_DB,
		.payload = X86_DR6_BS,
	};
	return inject(j);
}

static int finish(struct job *j, bool move_rip)
{
	struct posada_run *run = j->run;
	uint64_t rip = run->regs.rip + j->in->len;

	if (!j->long_mode)
		rip &= run->sregs.seg[POSADA_CS].attr & POSADA_SEG_DB ?
		       0xffffffffU : 0xffffU;
	if (move_rip)
		run->regs.rip = rip;
	run->dirty |= POSADA_GROUP_REGS;
	if (run->valid & POSADA_GROUP_EVENTS && run->events.shadow) {
		run->events.shadow = 0;
		run->dirty |= POSADA_GROUP_EVENTS;
	}
	if (!(run->regs.rflags & (X86_FLAGS_RF | X86_FLAGS_TF)))
		return 0;
	run->regs.rflags &= ~X86_FLAGS_RF;
	return run->regs.rflags & X86_FLAGS_TF ? single_step(j) : 0;
}

static int perform(struct job *j)
{
	int ret;

	if (!j->in->fn)
		return -EOPNOTSUPP;
	ret = j->in->fn(j);
	switch (ret) {
	case JOB_DONE:
		return finish(j, true);
	case JOB_JUMPED:
		return finish(j, false);
	case JOB_FAULT:
		return finish_fault(j);
	case JOB_AGAIN:
		/* Between elements only a single step traps. */
		j->run->dirty |= POSADA_GROUP_REGS;
		if (j->run->regs.rflags & X86_FLAGS_TF)
			return single_step(j);
		return 0;
	default:
		/* What REP has done before the error stays done. */
		j->run->dirty |= POSADA_GROUP_REGS;
		return ret;
	}
}

int posada_complete_memory(struct posada_vcpu *vcpu, posada_mmio_fn mmio,
			   void *ctx)
{
	struct posada_run *run = vcpu->run;
	uint32_t flags = run->memory.flags;
	struct job j = {
		.vcpu = vcpu,
		.run = run,
		.mmio = mmio,
		.ctx = ctx,
		.exit_gpa = run->memory.gpa,
		.hint = !(flags & (POSADA_MEM_WALK | POSADA_MEM_READONLY)),
		.hint_write = flags & POSADA_MEM_WRITE,
	};

	if (flags & (POSADA_MEM_EXEC | POSADA_MEM_DELIVERY))
		return -EOPNOTSUPP;
	if (flags & POSADA_MEM_FAULT)
		return -EFAULT;
	set_up(&j, run->memory.insn, run->memory.insn_len);
	return perform(&j);
}

static int complete_string(struct posada_vcpu *vcpu, posada_port_fn port,
			   posada_mmio_fn mmio, void *ctx)
{
	struct job j = {
		.vcpu = vcpu,
		.run = vcpu->run,
		.port = port,
		.mmio = mmio,
		.ctx = ctx,
	};

	set_up(&j, vcpu->run->port.insn, vcpu->run->port.insn_len);
	if (j.in->fn != do_string)
		return -EOPNOTSUPP;
	return perform(&j);
}

int posada_complete_port(struct posada_vcpu *vcpu, posada_port_fn port,
			 posada_mmio_fn mmio, void *ctx)
{
	struct posada_exit_port *p = &vcpu->run->port;
	bool write = !(p->flags & POSADA_PORT_IN);

	if (p->flags & POSADA_PORT_STRING)
		return complete_string(vcpu, port, mmio, ctx);
	return port(ctx, p->port, &p->data, p->len, write);
}
