/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The decoded form of an instruction: what completion needs of it, in a
 * compact form, so that a cached one costs no call of Zydis.
 */
#ifndef POSADA_DECODE_H
#define POSADA_DECODE_H

#include <stdbool.h>
#include <stdint.h>

struct job;
struct insn;

typedef int (*insn_fn)(struct job *j);

enum alu_op {
	ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP,
	ALU_TEST,
	ALU_INC, ALU_DEC, ALU_NOT, ALU_NEG,
	ALU_ROL, ALU_ROR, ALU_RCL, ALU_RCR, ALU_SHL, ALU_SHR, ALU_SAR,
	ALU_BT, ALU_BTS, ALU_BTR, ALU_BTC,
};

enum string_op {
	STR_MOVS, STR_STOS, STR_LODS, STR_CMPS, STR_SCAS, STR_INS, STR_OUTS,
};

enum decode_mode { DECODE_16, DECODE_32, DECODE_64 };

#define REG_NONE	0xff
#define REG_RIP		0xfe

enum { REP_NONE, REP_E, REP_NE };	/* REP itself is REP_E */

struct insn {
	/* the key: the instruction's bytes, how many, and the mode */
	uint64_t key[2];
	uint32_t mode;		/* enum decode_mode | bytes << 8 */

	uint8_t len;
	uint8_t arg;		/* of the handler's own */
	insn_fn fn;		/* NULL: not in the list */

	/* the memory operand */
	int64_t disp;
	uint8_t seg;
	uint8_t base;
	uint8_t index;
	uint8_t scale;		/* as a shift */
	uint8_t addr_bytes;
	uint8_t mem_bytes;
	bool mem_dst;		/* it is the first operand */

	/* the other one: a register or an immediate */
	bool has_imm;
	uint8_t reg;
	uint8_t reg_shift;
	uint8_t reg_bytes;
	uint8_t rep;
	bool vex;
	uint64_t imm;		/* sign-extended */
};

/* Decode @bytes bytes at @code into @in, all but the key. in->fn stays NULL
 * for anything that is not in the list.
 */
void decode_insn(struct insn *in, enum decode_mode mode, const uint8_t *code,
		 uint32_t bytes);

/* Handlers: insn.c */
int do_mov(struct job *j);
int do_movzx(struct job *j);
int do_movsx(struct job *j);
int do_movbe(struct job *j);
int do_alu2(struct job *j);
int do_alu1(struct job *j);
int do_shift(struct job *j);
int do_bit(struct job *j);
int do_xchg(struct job *j);
int do_xadd(struct job *j);
int do_cmpxchg(struct job *j);
int do_cmpxchg8b(struct job *j);
int do_setcc(struct job *j);
int do_cmovcc(struct job *j);
int do_imul(struct job *j);
int do_push(struct job *j);
int do_pop(struct job *j);
int do_call(struct job *j);
int do_jmp(struct job *j);
int do_nop(struct job *j);
/* vector.c */
int do_vmov(struct job *j);
/* string.c */
int do_string(struct job *j);

#endif /* POSADA_DECODE_H */
