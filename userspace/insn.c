// SPDX-License-Identifier: GPL-2.0
/*
 * The handlers of the integer instructions. Each resolves its operands, then
 * accesses memory, then writes registers and flags; see struct job.
 */
#include <string.h>

#include "internal.h"

/* Read the memory operand, zero-extended. */
static int load(struct job *j, uint32_t access, struct operand *op,
		uint64_t *value)
{
	int ret = resolve_mem(j, access, op);

	*value = 0;
	return ret ? ret : operand_read(j, op, value);
}

/* The operand that is not in memory, at the memory operand's width. */
static uint64_t source(const struct job *j)
{
	const struct insn *in = j->in;

	if (in->has_imm)
		return in->imm & size_mask(in->mem_bytes);
	return reg_read(j, in->reg, in->reg_shift, in->mem_bytes);
}

static void set_reg(struct job *j, uint64_t value)
{
	reg_write(j, j->in->reg, j->in->reg_shift, j->in->reg_bytes, value);
}

int do_mov(struct job *j)
{
	struct operand op;
	uint64_t value;
	int ret;

	if (j->in->mem_dst) {
		ret = resolve_mem(j, ACC_WRITE, &op);
		if (ret)
			return ret;
		value = source(j);
		return operand_write(j, &op, &value);
	}
	ret = load(j, ACC_READ, &op, &value);
	if (!ret)
		set_reg(j, value);
	return ret;
}

int do_movzx(struct job *j)
{
	struct operand op;
	uint64_t value;
	int ret = load(j, ACC_READ, &op, &value);

	if (!ret)
		set_reg(j, value);
	return ret;
}

int do_movsx(struct job *j)
{
	struct operand op;
	uint64_t value;
	int ret = load(j, ACC_READ, &op, &value);

	if (!ret)
		set_reg(j, sign_extend(value, j->in->mem_bytes));
	return ret;
}

static uint64_t swap_bytes(uint64_t value, uint32_t bytes)
{
	return __builtin_bswap64(value) >> (64 - 8 * bytes);
}

int do_movbe(struct job *j)
{
	const struct insn *in = j->in;
	struct operand op;
	uint64_t value;
	int ret;

	if (in->mem_dst) {
		ret = resolve_mem(j, ACC_WRITE, &op);
		value = swap_bytes(source(j), in->mem_bytes);
		return ret ? ret : operand_write(j, &op, &value);
	}
	ret = load(j, ACC_READ, &op, &value);
	if (!ret)
		set_reg(j, swap_bytes(value, in->mem_bytes));
	return ret;
}

/* ---- arithmetic ---- */

static void set_flags(struct job *j, uint64_t flags)
{
	j->run->regs.rflags = flags;
}

int do_alu2(struct job *j)
{
	const struct insn *in = j->in;
	bool only_flags = in->arg == ALU_CMP || in->arg == ALU_TEST;
	bool store = in->mem_dst && !only_flags;
	uint64_t flags = j->run->regs.rflags, mem, r;
	struct operand op;
	int ret;

	ret = load(j, store ? ACC_WRITE : ACC_READ, &op, &mem);
	if (ret)
		return ret;
	if (in->mem_dst)
		r = alu2(in->arg, mem, source(j), in->mem_bytes, &flags);
	else
		r = alu2(in->arg, source(j), mem, in->mem_bytes, &flags);
	if (store)
		ret = operand_write(j, &op, &r);
	else if (!only_flags)
		set_reg(j, r);
	if (!ret)
		set_flags(j, flags);
	return ret;
}

int do_alu1(struct job *j)
{
	uint64_t flags = j->run->regs.rflags, value;
	struct operand op;
	int ret = load(j, ACC_WRITE, &op, &value);

	if (ret)
		return ret;
	value = alu1(j->in->arg, value, j->in->mem_bytes, &flags);
	ret = operand_write(j, &op, &value);
	if (!ret)
		set_flags(j, flags);
	return ret;
}

int do_shift(struct job *j)
{
	const struct insn *in = j->in;
	uint64_t flags = j->run->regs.rflags, value;
	uint32_t count = in->has_imm ? (uint32_t)in->imm :
			 (uint32_t)reg_read(j, POSADA_RCX, 0, 1);
	struct operand op;
	int ret = load(j, ACC_WRITE, &op, &value);

	if (ret)
		return ret;
	value = alu_shift(in->arg, value, count & 0xff, in->mem_bytes, &flags);
	ret = operand_write(j, &op, &value);
	if (!ret)
		set_flags(j, flags);
	return ret;
}

/* BT and its kin: a bit offset in a register reaches beyond the operand, by
 * its signed quotient; an immediate does not.
 */
int do_bit(struct job *j)
{
	const struct insn *in = j->in;
	uint64_t flags = j->run->regs.rflags, value = 0, ea;
	uint32_t bits = 8 * in->mem_bytes;
	bool store = in->arg != ALU_BT;
	struct operand op;
	uint64_t bit;
	int ret;

	bit = in->has_imm ? in->imm :
	      sign_extend(reg_read(j, in->reg, 0, in->mem_bytes),
			  in->mem_bytes);
	ea = effective_address(j);
	if (!in->has_imm)
		ea += (uint64_t)((int64_t)(bit & ~(uint64_t)(bits - 1)) >> 3);
	ea &= size_mask(in->addr_bytes);
	ret = resolve(j, in->seg, ea, in->mem_bytes,
		      store ? ACC_WRITE : ACC_READ, &op);
	if (!ret)
		ret = operand_read(j, &op, &value);
	if (ret)
		return ret;
	value = alu_bit(in->arg, value, bit & (bits - 1), &flags);
	if (store)
		ret = operand_write(j, &op, &value);
	if (!ret)
		set_flags(j, flags);
	return ret;
}

int do_xchg(struct job *j)
{
	uint64_t old, new = source(j);
	struct operand op;
	int ret = load(j, ACC_WRITE, &op, &old);

	if (!ret)
		ret = operand_write(j, &op, &new);
	if (!ret)
		set_reg(j, old);
	return ret;
}

int do_xadd(struct job *j)
{
	uint64_t flags = j->run->regs.rflags, old, sum;
	struct operand op;
	int ret = load(j, ACC_WRITE, &op, &old);

	if (ret)
		return ret;
	sum = alu2(ALU_ADD, old, source(j), j->in->mem_bytes, &flags);
	ret = operand_write(j, &op, &sum);
	if (!ret) {
		set_reg(j, old);
		set_flags(j, flags);
	}
	return ret;
}

/* Memory is written in either case, as hardware does. */
int do_cmpxchg(struct job *j)
{
	uint32_t bytes = j->in->mem_bytes;
	uint64_t flags = j->run->regs.rflags, old, new;
	uint64_t rax = reg_read(j, POSADA_RAX, 0, bytes);
	struct operand op;
	int ret = load(j, ACC_WRITE, &op, &old);

	if (ret)
		return ret;
	alu2(ALU_CMP, rax, old, bytes, &flags);
	new = rax == old ? source(j) : old;
	ret = operand_write(j, &op, &new);
	if (ret)
		return ret;
	if (rax != old)
		reg_write(j, POSADA_RAX, 0, bytes, old);
	set_flags(j, flags);
	return 0;
}

int do_cmpxchg8b(struct job *j)
{
	uint32_t half = j->in->mem_bytes / 2;
	uint64_t old[2] = { 0 };
	__u64 *rflags = &j->run->regs.rflags;
	uint8_t mem[16], new[16];
	struct operand op;
	bool equal;
	int ret;

	if (half == 8 && effective_address(j) & 15)
		return raise_fault(j, X86_GP, 0, 0);
	ret = resolve_mem(j, ACC_WRITE, &op);
	if (!ret)
		ret = operand_read(j, &op, mem);
	if (ret)
		return ret;
	memcpy(&old[0], mem, half);
	memcpy(&old[1], mem + half, half);
	equal = old[0] == reg_read(j, POSADA_RAX, 0, half) &&
		old[1] == reg_read(j, POSADA_RDX, 0, half);
	memcpy(new, &j->run->regs.gpr[POSADA_RBX], half);
	memcpy(new + half, &j->run->regs.gpr[POSADA_RCX], half);
	ret = operand_write(j, &op, equal ? new : mem);
	if (ret)
		return ret;
	*rflags = equal ? *rflags | X86_FLAGS_ZF : *rflags & ~X86_FLAGS_ZF;
	if (!equal) {
		reg_write(j, POSADA_RAX, 0, half, old[0]);
		reg_write(j, POSADA_RDX, 0, half, old[1]);
	}
	return 0;
}

int do_setcc(struct job *j)
{
	uint8_t value = alu_condition(j->in->arg, j->run->regs.rflags);
	struct operand op;
	int ret = resolve_mem(j, ACC_WRITE, &op);

	return ret ? ret : operand_write(j, &op, &value);
}

/* The load happens in either case, and so does the zero-extension. */
int do_cmovcc(struct job *j)
{
	struct operand op;
	uint64_t value;
	int ret = load(j, ACC_READ, &op, &value);

	if (ret)
		return ret;
	if (!alu_condition(j->in->arg, j->run->regs.rflags))
		value = reg_read(j, j->in->reg, 0, j->in->reg_bytes);
	set_reg(j, value);
	return 0;
}

/* IMUL with two or three operands: CF = OF = the product was truncated. */
int do_imul(struct job *j)
{
	const struct insn *in = j->in;
	__u64 *rflags = &j->run->regs.rflags;
	struct operand op;
	__int128 product;
	uint64_t value;
	int64_t other;
	int ret = load(j, ACC_READ, &op, &value);

	if (ret)
		return ret;
	other = (int64_t)(in->has_imm ? in->imm :
			  sign_extend(reg_read(j, in->reg, 0, in->reg_bytes),
				      in->reg_bytes));
	product = (__int128)(int64_t)sign_extend(value, in->mem_bytes) * other;
	*rflags &= ~(X86_FLAGS_CF | X86_FLAGS_OF);
	if (product != (int64_t)sign_extend((uint64_t)product, in->reg_bytes))
		*rflags |= X86_FLAGS_CF | X86_FLAGS_OF;
	set_reg(j, (uint64_t)product);
	return 0;
}

/* ---- the stack, and jumps through memory ---- */

static uint32_t stack_bytes(const struct job *j)
{
	if (j->long_mode)
		return 8;
	return j->run->sregs.seg[POSADA_SS].attr & POSADA_SEG_DB ? 4 : 2;
}

static uint64_t stack_at(const struct job *j, int64_t offset)
{
	return (j->run->regs.gpr[POSADA_RSP] + (uint64_t)offset) &
	       size_mask(stack_bytes(j));
}

static void stack_set(struct job *j, uint64_t rsp)
{
	reg_write(j, POSADA_RSP, 0, stack_bytes(j), rsp);
}

/* Which of two operands the exit was for is unknown: resolve both in full. */
static int push_value(struct job *j, const struct operand *from,
		      uint64_t value, uint32_t bytes)
{
	uint64_t rsp = stack_at(j, -(int64_t)bytes);
	struct operand to;
	int ret = resolve(j, POSADA_SS, rsp, bytes, ACC_WRITE, &to);

	if (!ret && from)
		ret = operand_read(j, from, &value);
	if (!ret)
		ret = operand_write(j, &to, &value);
	if (!ret)
		stack_set(j, rsp);
	return ret;
}

int do_push(struct job *j)
{
	const struct insn *in = j->in;
	struct operand from;
	int ret;

	j->hint = false;
	if (!in->mem_dst)
		return push_value(j, NULL, source(j), in->mem_bytes);
	ret = resolve_mem(j, ACC_READ, &from);
	return ret ? ret : push_value(j, &from, 0, in->mem_bytes);
}

/* An address that uses RSP is computed after the increment. */
int do_pop(struct job *j)
{
	const struct insn *in = j->in;
	__u64 *gpr = j->run->regs.gpr;
	uint64_t rsp = gpr[POSADA_RSP], value = 0;
	struct operand from, to;
	int ret;

	j->hint = false;
	ret = resolve(j, POSADA_SS, stack_at(j, 0), in->mem_bytes, ACC_READ,
		      &from);
	if (ret)
		return ret;
	if (in->mem_dst) {
		stack_set(j, stack_at(j, in->mem_bytes));
		ret = resolve_mem(j, ACC_WRITE, &to);
		gpr[POSADA_RSP] = rsp;
	}
	if (!ret)
		ret = operand_read(j, &from, &value);
	if (!ret && in->mem_dst)
		ret = operand_write(j, &to, &value);
	if (ret)
		return ret;
	stack_set(j, stack_at(j, in->mem_bytes));
	if (!in->mem_dst)
		set_reg(j, value);
	return 0;
}

/* The target of a near branch: canonical, or inside the code segment. */
static int check_target(struct job *j, uint64_t rip)
{
	if (j->long_mode ? !canonical(j, rip) :
			   rip > j->run->sregs.seg[POSADA_CS].limit)
		return raise_fault(j, X86_GP, 0, 0);
	return 0;
}

int do_jmp(struct job *j)
{
	struct operand op;
	uint64_t rip;
	int ret = load(j, ACC_READ, &op, &rip);

	if (!ret)
		ret = check_target(j, rip);
	if (ret)
		return ret;
	j->run->regs.rip = rip;
	return JOB_JUMPED;
}

int do_call(struct job *j)
{
	const struct insn *in = j->in;
	uint64_t next = j->run->regs.rip + in->len, rip;
	struct operand op;
	int ret;

	j->hint = false;
	ret = load(j, ACC_READ, &op, &rip);
	if (!ret)
		ret = check_target(j, rip);
	if (!ret)
		ret = push_value(j, NULL, next & size_mask(in->mem_bytes),
				 in->mem_bytes);
	if (ret)
		return ret;
	j->run->regs.rip = rip;
	return JOB_JUMPED;
}

/* Prefetches and cache-line flushes: a device has no cache line. */
int do_nop(struct job *j)
{
	(void)j;
	return 0;
}
