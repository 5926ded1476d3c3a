// SPDX-License-Identifier: GPL-2.0
/*
 * Arithmetic with flags, on 1, 2, 4 or 8 bytes. Where the manual leaves a flag
 * undefined, it is left as it was.
 */
#include "internal.h"

static uint64_t sign_bit(uint32_t bytes)
{
	return 1ULL << (8 * bytes - 1);
}

static void set_flag(uint64_t *flags, uint64_t flag, bool on)
{
	*flags = on ? *flags | flag : *flags & ~flag;
}

/* SF, ZF and PF, which depend on the result alone. */
static void set_szp(uint64_t *flags, uint64_t r, uint32_t bytes)
{
	r &= size_mask(bytes);
	set_flag(flags, X86_FLAGS_ZF, !r);
	set_flag(flags, X86_FLAGS_SF, r & sign_bit(bytes));
	set_flag(flags, X86_FLAGS_PF, !__builtin_parity(r & 0xff));
}

static uint64_t add(uint64_t a, uint64_t b, bool carry, uint32_t bytes,
		    uint64_t *flags)
{
	uint64_t r = (a + b + carry) & size_mask(bytes);
	uint64_t carries = (a & b) | ((a | b) & ~r);

	set_flag(flags, X86_FLAGS_CF, carries & sign_bit(bytes));
	set_flag(flags, X86_FLAGS_OF, (a ^ r) & (b ^ r) & sign_bit(bytes));
	set_flag(flags, X86_FLAGS_AF, (a ^ b ^ r) & 0x10);
	set_szp(flags, r, bytes);
	return r;
}

static uint64_t sub(uint64_t a, uint64_t b, bool borrow, uint32_t bytes,
		    uint64_t *flags)
{
	uint64_t r = (a - b - borrow) & size_mask(bytes);
	uint64_t borrows = (~a & b) | ((~a | b) & r);

	set_flag(flags, X86_FLAGS_CF, borrows & sign_bit(bytes));
	set_flag(flags, X86_FLAGS_OF, (a ^ b) & (a ^ r) & sign_bit(bytes));
	set_flag(flags, X86_FLAGS_AF, (a ^ b ^ r) & 0x10);
	set_szp(flags, r, bytes);
	return r;
}

static uint64_t logic(uint64_t r, uint32_t bytes, uint64_t *flags)
{
	*flags &= ~(X86_FLAGS_CF | X86_FLAGS_OF);
	set_szp(flags, r, bytes);
	return r & size_mask(bytes);
}

uint64_t alu2(enum alu_op op, uint64_t a, uint64_t b, uint32_t bytes,
	      uint64_t *flags)
{
	bool carry = *flags & X86_FLAGS_CF;

	a &= size_mask(bytes);
	b &= size_mask(bytes);
	switch (op) {
	case ALU_ADD:
		return add(a, b, false, bytes, flags);
	case ALU_ADC:
		return add(a, b, carry, bytes, flags);
	case ALU_SUB:
	case ALU_CMP:
		return sub(a, b, false, bytes, flags);
	case ALU_SBB:
		return sub(a, b, carry, bytes, flags);
	case ALU_AND:
	case ALU_TEST:
		return logic(a & b, bytes, flags);
	case ALU_OR:
		return logic(a | b, bytes, flags);
	case ALU_XOR:
		return logic(a ^ b, bytes, flags);
	default:
		return a;
	}
}

uint64_t alu1(enum alu_op op, uint64_t a, uint32_t bytes, uint64_t *flags)
{
	uint64_t carry = *flags & X86_FLAGS_CF, r = a;

	a &= size_mask(bytes);
	switch (op) {
	case ALU_INC:		/* INC and DEC keep the carry */
		r = add(a, 1, false, bytes, flags);
		set_flag(flags, X86_FLAGS_CF, carry);
		return r;
	case ALU_DEC:
		r = sub(a, 1, false, bytes, flags);
		set_flag(flags, X86_FLAGS_CF, carry);
		return r;
	case ALU_NEG:
		return sub(0, a, false, bytes, flags);
	case ALU_NOT:
		return ~a & size_mask(bytes);
	default:
		return a;
	}
}

/* One step of a rotation; -> the new value, *carry the bit that moved out. */
static uint64_t rotate_one(enum alu_op op, uint64_t a, uint32_t bytes,
			   bool *carry)
{
	bool in = *carry, top = a & sign_bit(bytes), low = a & 1;

	if (op == ALU_ROL || op == ALU_RCL) {
		*carry = top;
		return (a << 1 | (op == ALU_ROL ? top : in)) &
		       size_mask(bytes);
	}
	*carry = low;
	if (op == ALU_ROR)
		in = low;
	return a >> 1 | (in ? sign_bit(bytes) : 0);
}

/* OF is defined for counts of one; hardware sets it by this rule always. */
static uint64_t rotate(enum alu_op op, uint64_t a, uint32_t count,
		       uint32_t bytes, uint64_t *flags)
{
	bool carry = *flags & X86_FLAGS_CF, top, next;
	bool left = op == ALU_ROL || op == ALU_RCL;

	if (op == ALU_RCL || op == ALU_RCR)
		count %= 8 * bytes + 1;
	if (!count)
		return a;
	while (count--)
		a = rotate_one(op, a, bytes, &carry);
	top = a & sign_bit(bytes);
	next = a & (sign_bit(bytes) >> 1);
	set_flag(flags, X86_FLAGS_CF, carry);
	set_flag(flags, X86_FLAGS_OF, top ^ (left ? carry : next));
	return a;
}

static uint64_t shift(enum alu_op op, uint64_t a, uint32_t count,
		      uint32_t bytes, uint64_t *flags)
{
	bool top = a & sign_bit(bytes), carry = false;
	uint64_t wide = op == ALU_SAR ? sign_extend(a, bytes) : a, r;

	if (op == ALU_SHL) {
		carry = count <= 8 * bytes && a >> (8 * bytes - count) & 1;
		r = a << count & size_mask(bytes);
		set_flag(flags, X86_FLAGS_OF,
			 !!(r & sign_bit(bytes)) ^ carry);
	} else if (op == ALU_SHR) {
		carry = wide >> (count - 1) & 1;
		r = wide >> count;
		set_flag(flags, X86_FLAGS_OF, top);
	} else {
		carry = (int64_t)wide >> (count - 1) & 1;
		r = (uint64_t)((int64_t)wide >> count) & size_mask(bytes);
		set_flag(flags, X86_FLAGS_OF, false);
	}
	set_flag(flags, X86_FLAGS_CF, carry);
	set_szp(flags, r, bytes);
	return r;
}

uint64_t alu_shift(enum alu_op op, uint64_t a, uint32_t count, uint32_t bytes,
		   uint64_t *flags)
{
	a &= size_mask(bytes);
	count &= bytes == 8 ? 63 : 31;
	if (!count)
		return a;
	switch (op) {
	case ALU_SHL:
	case ALU_SHR:
	case ALU_SAR:
		return shift(op, a, count, bytes, flags);
	default:
		return rotate(op, a, count, bytes, flags);
	}
}

uint64_t alu_bit(enum alu_op op, uint64_t a, uint32_t bit, uint64_t *flags)
{
	uint64_t mask = 1ULL << bit;

	set_flag(flags, X86_FLAGS_CF, a & mask);
	switch (op) {
	case ALU_BTS:
		return a | mask;
	case ALU_BTR:
		return a & ~mask;
	case ALU_BTC:
		return a ^ mask;
	default:
		return a;
	}
}

/* The condition of Jcc, SETcc, CMOVcc, by the low four bits of the opcode. */
bool alu_condition(uint8_t cc, uint64_t flags)
{
	bool cf = flags & X86_FLAGS_CF, zf = flags & X86_FLAGS_ZF;
	bool sf = flags & X86_FLAGS_SF, of = flags & X86_FLAGS_OF;
	const bool base[8] = {
		of, cf, zf, cf || zf, sf, flags & X86_FLAGS_PF, sf != of,
		zf || sf != of,
	};

	/* Odd conditions are the even ones, negated. */
	return base[cc >> 1 & 7] != (cc & 1);
}
