// SPDX-License-Identifier: GPL-2.0
/*
 * String instructions, element by element, between memory, devices and ports.
 *
 * Each element is an instruction of its own to the guest: registers advance
 * with it, a fault leaves them where the fault was, and after a batch the
 * guest gets the chance to take an interrupt (RIP stays, REP goes on).
 */
#include <errno.h>

#include "internal.h"

#define BATCH	1024	/* elements before the guest runs again */

struct string {
	uint32_t bytes;
	uint32_t addr_bytes;
	int64_t step;
	/* the last page of each side, so that not each element walks */
	struct window {
		uint64_t page;		/* linear within the segment */
		uint64_t gpa;
		bool valid;
	} src, dst;
};

static uint64_t counter(const struct job *j, const struct string *s,
			uint8_t reg)
{
	return reg_read(j, reg, 0, s->addr_bytes);
}

/* Advance an index or count register within its width. */
static void advance(struct job *j, const struct string *s, uint8_t reg,
		    int64_t by)
{
	reg_write(j, reg, 0, s->addr_bytes,
		  counter(j, s, reg) + (uint64_t)by);
}

static int string_operand(struct job *j, const struct string *s,
			  struct window *w, uint8_t seg, uint8_t reg,
			  uint32_t access, struct operand *op)
{
	uint64_t ea = counter(j, s, reg), page = ea & ~PAGE_MASK;
	uint32_t offset = ea & PAGE_MASK;
	bool aligned = !(j->run->sregs.seg[seg].base & PAGE_MASK);
	int ret;

	/* Legacy segments have limits, so only flat modes take the window. */
	if (w->valid && w->page == page && j->long_mode &&
	    offset + s->bytes <= POSADA_PAGE_SIZE) {
		*op = (struct operand){
			.gpa = { w->gpa | offset }, .len = { s->bytes },
		};
		return 0;
	}
	ret = resolve(j, seg, ea, s->bytes, access, op);
	w->valid = !ret && !op->len[1] && aligned;
	w->page = page;
	w->gpa = op->gpa[0] & ~PAGE_MASK;
	return ret;
}

static int source_operand(struct job *j, struct string *s, struct operand *op)
{
	return string_operand(j, s, &s->src, j->in->seg, POSADA_RSI, ACC_READ,
			      op);
}

static int dest_operand(struct job *j, struct string *s, uint32_t access,
			struct operand *op)
{
	return string_operand(j, s, &s->dst, POSADA_ES, POSADA_RDI, access, op);
}

static int str_movs(struct job *j, struct string *s)
{
	struct operand src, dst;
	uint64_t value = 0;
	int ret = source_operand(j, s, &src);

	if (!ret)
		ret = dest_operand(j, s, ACC_WRITE, &dst);
	if (!ret)
		ret = operand_read(j, &src, &value);
	if (!ret)
		ret = operand_write(j, &dst, &value);
	if (ret)
		return ret;
	advance(j, s, POSADA_RSI, s->step);
	advance(j, s, POSADA_RDI, s->step);
	return 0;
}

static int str_stos(struct job *j, struct string *s)
{
	uint64_t value = reg_read(j, POSADA_RAX, 0, s->bytes);
	struct operand dst;
	int ret = dest_operand(j, s, ACC_WRITE, &dst);

	if (!ret)
		ret = operand_write(j, &dst, &value);
	if (!ret)
		advance(j, s, POSADA_RDI, s->step);
	return ret;
}

static int str_lods(struct job *j, struct string *s)
{
	struct operand src;
	uint64_t value = 0;
	int ret = source_operand(j, s, &src);

	if (!ret)
		ret = operand_read(j, &src, &value);
	if (ret)
		return ret;
	reg_write(j, POSADA_RAX, 0, s->bytes, value);
	advance(j, s, POSADA_RSI, s->step);
	return 0;
}

static void compare(struct job *j, const struct string *s, uint64_t a,
		    uint64_t b)
{
	uint64_t flags = j->run->regs.rflags;

	alu2(ALU_CMP, a, b, s->bytes, &flags);
	j->run->regs.rflags = flags;
}

static int str_cmps(struct job *j, struct string *s)
{
	uint64_t a = 0, b = 0;
	struct operand src, dst;
	int ret = source_operand(j, s, &src);

	if (!ret)
		ret = dest_operand(j, s, ACC_READ, &dst);
	if (!ret)
		ret = operand_read(j, &src, &a);
	if (!ret)
		ret = operand_read(j, &dst, &b);
	if (ret)
		return ret;
	compare(j, s, a, b);
	advance(j, s, POSADA_RSI, s->step);
	advance(j, s, POSADA_RDI, s->step);
	return 0;
}

static int str_scas(struct job *j, struct string *s)
{
	uint64_t b = 0;
	struct operand dst;
	int ret = dest_operand(j, s, ACC_READ, &dst);

	if (!ret)
		ret = operand_read(j, &dst, &b);
	if (ret)
		return ret;
	compare(j, s, reg_read(j, POSADA_RAX, 0, s->bytes), b);
	advance(j, s, POSADA_RDI, s->step);
	return 0;
}

/* The destination is resolved before the port is read: no input is lost. */
static int str_ins(struct job *j, struct string *s)
{
	uint16_t port = (uint16_t)reg_read(j, POSADA_RDX, 0, 2);
	uint64_t value = 0;
	struct operand dst;
	int ret = dest_operand(j, s, ACC_WRITE, &dst);

	if (!ret)
		ret = j->port(j->ctx, port, &value, s->bytes, false);
	if (!ret)
		ret = operand_write(j, &dst, &value);
	if (!ret)
		advance(j, s, POSADA_RDI, s->step);
	return ret;
}

static int str_outs(struct job *j, struct string *s)
{
	uint16_t port = (uint16_t)reg_read(j, POSADA_RDX, 0, 2);
	uint64_t value = 0;
	struct operand src;
	int ret = source_operand(j, s, &src);

	if (!ret)
		ret = operand_read(j, &src, &value);
	if (!ret)
		ret = j->port(j->ctx, port, &value, s->bytes, true);
	if (!ret)
		advance(j, s, POSADA_RSI, s->step);
	return ret;
}

static int (*const string_ops[])(struct job *, struct string *) = {
	[STR_MOVS] = str_movs,
	[STR_STOS] = str_stos,
	[STR_LODS] = str_lods,
	[STR_CMPS] = str_cmps,
	[STR_SCAS] = str_scas,
	[STR_INS] = str_ins,
	[STR_OUTS] = str_outs,
};

/* REPE and REPNE end at the first difference or match. */
static bool ended_by_compare(const struct job *j)
{
	bool zf = j->run->regs.rflags & X86_FLAGS_ZF;

	if (j->in->arg != STR_CMPS && j->in->arg != STR_SCAS)
		return false;
	return zf == (j->in->rep == REP_NE);
}

int do_string(struct job *j)
{
	const struct insn *in = j->in;
	struct string s = {
		.bytes = in->mem_bytes, .addr_bytes = in->addr_bytes,
	};
	bool down = j->run->regs.rflags & X86_FLAGS_DF;
	uint32_t n, batch;
	int ret;

	if ((in->arg == STR_INS || in->arg == STR_OUTS) && !j->port)
		return -EOPNOTSUPP;
	s.step = down ? -(int64_t)s.bytes : (int64_t)s.bytes;
	if (in->rep == REP_NONE)
		return string_ops[in->arg](j, &s);
	batch = j->run->regs.rflags & X86_FLAGS_TF ? 1 : BATCH;
	for (n = 0; n < batch && counter(j, &s, POSADA_RCX); n++) {
		ret = string_ops[in->arg](j, &s);
		if (ret)
			return ret;
		advance(j, &s, POSADA_RCX, -1);
		if (ended_by_compare(j))
			return JOB_DONE;
	}
	return counter(j, &s, POSADA_RCX) ? JOB_AGAIN : JOB_DONE;
}
