// SPDX-License-Identifier: GPL-2.0
/*
 * From Zydis's view of an instruction to ours, by a table of mnemonics.
 *
 * The list is what compilers and kernels emit for device memory. An entry
 * says how the operands are to be read; everything that is not in the list,
 * or whose operands are of another kind, is left to the caller to refuse.
 */
#include <string.h>

#include <Zydis/Zydis.h>

#include "internal.h"

enum shape {
	SHAPE_TWO,		/* memory with a register or immediate */
	SHAPE_ONE,		/* memory alone */
	SHAPE_IMUL,		/* register, memory, maybe immediate */
	SHAPE_STACK,		/* any one operand, and the stack */
	SHAPE_STRING,
	SHAPE_VECTOR,		/* memory with a vector register */
};

struct row {
	ZydisMnemonic mnemonic;
	insn_fn fn;
	uint8_t shape;
	uint8_t arg;
};

#define M(name)	ZYDIS_MNEMONIC_ ## name

static const struct row rows[] = {
	{ M(MOV), do_mov, SHAPE_TWO, 0 },
	{ M(MOVNTI), do_mov, SHAPE_TWO, 0 },
	{ M(MOVDIRI), do_mov, SHAPE_TWO, 0 },
	{ M(MOVZX), do_movzx, SHAPE_TWO, 0 },
	{ M(MOVSX), do_movsx, SHAPE_TWO, 0 },
	{ M(MOVSXD), do_movsx, SHAPE_TWO, 0 },
	{ M(MOVBE), do_movbe, SHAPE_TWO, 0 },

	{ M(ADD), do_alu2, SHAPE_TWO, ALU_ADD },
	{ M(OR), do_alu2, SHAPE_TWO, ALU_OR },
	{ M(ADC), do_alu2, SHAPE_TWO, ALU_ADC },
	{ M(SBB), do_alu2, SHAPE_TWO, ALU_SBB },
	{ M(AND), do_alu2, SHAPE_TWO, ALU_AND },
	{ M(SUB), do_alu2, SHAPE_TWO, ALU_SUB },
	{ M(XOR), do_alu2, SHAPE_TWO, ALU_XOR },
	{ M(CMP), do_alu2, SHAPE_TWO, ALU_CMP },
	{ M(TEST), do_alu2, SHAPE_TWO, ALU_TEST },
	{ M(INC), do_alu1, SHAPE_ONE, ALU_INC },
	{ M(DEC), do_alu1, SHAPE_ONE, ALU_DEC },
	{ M(NOT), do_alu1, SHAPE_ONE, ALU_NOT },
	{ M(NEG), do_alu1, SHAPE_ONE, ALU_NEG },
	{ M(ROL), do_shift, SHAPE_TWO, ALU_ROL },
	{ M(ROR), do_shift, SHAPE_TWO, ALU_ROR },
	{ M(RCL), do_shift, SHAPE_TWO, ALU_RCL },
	{ M(RCR), do_shift, SHAPE_TWO, ALU_RCR },
	{ M(SHL), do_shift, SHAPE_TWO, ALU_SHL },
	{ M(SHR), do_shift, SHAPE_TWO, ALU_SHR },
	{ M(SAR), do_shift, SHAPE_TWO, ALU_SAR },
	{ M(BT), do_bit, SHAPE_TWO, ALU_BT },
	{ M(BTS), do_bit, SHAPE_TWO, ALU_BTS },
	{ M(BTR), do_bit, SHAPE_TWO, ALU_BTR },
	{ M(BTC), do_bit, SHAPE_TWO, ALU_BTC },
	{ M(XCHG), do_xchg, SHAPE_TWO, 0 },
	{ M(XADD), do_xadd, SHAPE_TWO, 0 },
	{ M(CMPXCHG), do_cmpxchg, SHAPE_TWO, 0 },
	{ M(CMPXCHG8B), do_cmpxchg8b, SHAPE_ONE, 0 },
	{ M(CMPXCHG16B), do_cmpxchg8b, SHAPE_ONE, 0 },
	{ M(IMUL), do_imul, SHAPE_IMUL, 0 },

	/* the argument of conditions: the low four bits of the opcode */
	{ M(SETO), do_setcc, SHAPE_ONE, 0 },
	{ M(SETNO), do_setcc, SHAPE_ONE, 1 },
	{ M(SETB), do_setcc, SHAPE_ONE, 2 },
	{ M(SETNB), do_setcc, SHAPE_ONE, 3 },
	{ M(SETZ), do_setcc, SHAPE_ONE, 4 },
	{ M(SETNZ), do_setcc, SHAPE_ONE, 5 },
	{ M(SETBE), do_setcc, SHAPE_ONE, 6 },
	{ M(SETNBE), do_setcc, SHAPE_ONE, 7 },
	{ M(SETS), do_setcc, SHAPE_ONE, 8 },
	{ M(SETNS), do_setcc, SHAPE_ONE, 9 },
	{ M(SETP), do_setcc, SHAPE_ONE, 10 },
	{ M(SETNP), do_setcc, SHAPE_ONE, 11 },
	{ M(SETL), do_setcc, SHAPE_ONE, 12 },
	{ M(SETNL), do_setcc, SHAPE_ONE, 13 },
	{ M(SETLE), do_setcc, SHAPE_ONE, 14 },
	{ M(SETNLE), do_setcc, SHAPE_ONE, 15 },
	{ M(CMOVO), do_cmovcc, SHAPE_TWO, 0 },
	{ M(CMOVNO), do_cmovcc, SHAPE_TWO, 1 },
	{ M(CMOVB), do_cmovcc, SHAPE_TWO, 2 },
	{ M(CMOVNB), do_cmovcc, SHAPE_TWO, 3 },
	{ M(CMOVZ), do_cmovcc, SHAPE_TWO, 4 },
	{ M(CMOVNZ), do_cmovcc, SHAPE_TWO, 5 },
	{ M(CMOVBE), do_cmovcc, SHAPE_TWO, 6 },
	{ M(CMOVNBE), do_cmovcc, SHAPE_TWO, 7 },
	{ M(CMOVS), do_cmovcc, SHAPE_TWO, 8 },
	{ M(CMOVNS), do_cmovcc, SHAPE_TWO, 9 },
	{ M(CMOVP), do_cmovcc, SHAPE_TWO, 10 },
	{ M(CMOVNP), do_cmovcc, SHAPE_TWO, 11 },
	{ M(CMOVL), do_cmovcc, SHAPE_TWO, 12 },
	{ M(CMOVNL), do_cmovcc, SHAPE_TWO, 13 },
	{ M(CMOVLE), do_cmovcc, SHAPE_TWO, 14 },
	{ M(CMOVNLE), do_cmovcc, SHAPE_TWO, 15 },

	{ M(PUSH), do_push, SHAPE_STACK, 0 },
	{ M(POP), do_pop, SHAPE_STACK, 0 },
	{ M(CALL), do_call, SHAPE_ONE, 0 },
	{ M(JMP), do_jmp, SHAPE_ONE, 0 },
	{ M(PREFETCHT0), do_nop, SHAPE_ONE, 0 },
	{ M(PREFETCHT1), do_nop, SHAPE_ONE, 0 },
	{ M(PREFETCHT2), do_nop, SHAPE_ONE, 0 },
	{ M(PREFETCHNTA), do_nop, SHAPE_ONE, 0 },
	{ M(PREFETCHW), do_nop, SHAPE_ONE, 0 },
	{ M(CLFLUSH), do_nop, SHAPE_ONE, 0 },
	{ M(CLFLUSHOPT), do_nop, SHAPE_ONE, 0 },
	{ M(CLWB), do_nop, SHAPE_ONE, 0 },

	{ M(MOVSB), do_string, SHAPE_STRING, STR_MOVS },
	{ M(MOVSW), do_string, SHAPE_STRING, STR_MOVS },
	{ M(MOVSD), do_string, SHAPE_STRING, STR_MOVS },
	{ M(MOVSQ), do_string, SHAPE_STRING, STR_MOVS },
	{ M(STOSB), do_string, SHAPE_STRING, STR_STOS },
	{ M(STOSW), do_string, SHAPE_STRING, STR_STOS },
	{ M(STOSD), do_string, SHAPE_STRING, STR_STOS },
	{ M(STOSQ), do_string, SHAPE_STRING, STR_STOS },
	{ M(LODSB), do_string, SHAPE_STRING, STR_LODS },
	{ M(LODSW), do_string, SHAPE_STRING, STR_LODS },
	{ M(LODSD), do_string, SHAPE_STRING, STR_LODS },
	{ M(LODSQ), do_string, SHAPE_STRING, STR_LODS },
	{ M(CMPSB), do_string, SHAPE_STRING, STR_CMPS },
	{ M(CMPSW), do_string, SHAPE_STRING, STR_CMPS },
	{ M(CMPSD), do_string, SHAPE_STRING, STR_CMPS },
	{ M(CMPSQ), do_string, SHAPE_STRING, STR_CMPS },
	{ M(SCASB), do_string, SHAPE_STRING, STR_SCAS },
	{ M(SCASW), do_string, SHAPE_STRING, STR_SCAS },
	{ M(SCASD), do_string, SHAPE_STRING, STR_SCAS },
	{ M(SCASQ), do_string, SHAPE_STRING, STR_SCAS },
	{ M(INSB), do_string, SHAPE_STRING, STR_INS },
	{ M(INSW), do_string, SHAPE_STRING, STR_INS },
	{ M(INSD), do_string, SHAPE_STRING, STR_INS },
	{ M(OUTSB), do_string, SHAPE_STRING, STR_OUTS },
	{ M(OUTSW), do_string, SHAPE_STRING, STR_OUTS },
	{ M(OUTSD), do_string, SHAPE_STRING, STR_OUTS },

	/* the argument: 1 if a misaligned operand faults */
	{ M(MOVUPS), do_vmov, SHAPE_VECTOR, 0 },
	{ M(MOVUPD), do_vmov, SHAPE_VECTOR, 0 },
	{ M(MOVDQU), do_vmov, SHAPE_VECTOR, 0 },
	{ M(LDDQU), do_vmov, SHAPE_VECTOR, 0 },
	{ M(MOVAPS), do_vmov, SHAPE_VECTOR, 1 },
	{ M(MOVAPD), do_vmov, SHAPE_VECTOR, 1 },
	{ M(MOVDQA), do_vmov, SHAPE_VECTOR, 1 },
	{ M(MOVNTDQ), do_vmov, SHAPE_VECTOR, 1 },
	{ M(MOVNTDQA), do_vmov, SHAPE_VECTOR, 1 },
	{ M(MOVNTPS), do_vmov, SHAPE_VECTOR, 1 },
	{ M(MOVNTPD), do_vmov, SHAPE_VECTOR, 1 },
	{ M(MOVD), do_vmov, SHAPE_VECTOR, 0 },
	{ M(MOVQ), do_vmov, SHAPE_VECTOR, 0 },
	{ M(MOVSS), do_vmov, SHAPE_VECTOR, 0 },
	{ M(VMOVUPS), do_vmov, SHAPE_VECTOR, 0 },
	{ M(VMOVUPD), do_vmov, SHAPE_VECTOR, 0 },
	{ M(VMOVDQU), do_vmov, SHAPE_VECTOR, 0 },
	{ M(VMOVDQU8), do_vmov, SHAPE_VECTOR, 0 },
	{ M(VMOVDQU16), do_vmov, SHAPE_VECTOR, 0 },
	{ M(VMOVDQU32), do_vmov, SHAPE_VECTOR, 0 },
	{ M(VMOVDQU64), do_vmov, SHAPE_VECTOR, 0 },
	{ M(VLDDQU), do_vmov, SHAPE_VECTOR, 0 },
	{ M(VMOVAPS), do_vmov, SHAPE_VECTOR, 1 },
	{ M(VMOVAPD), do_vmov, SHAPE_VECTOR, 1 },
	{ M(VMOVDQA), do_vmov, SHAPE_VECTOR, 1 },
	{ M(VMOVDQA32), do_vmov, SHAPE_VECTOR, 1 },
	{ M(VMOVDQA64), do_vmov, SHAPE_VECTOR, 1 },
	{ M(VMOVNTDQ), do_vmov, SHAPE_VECTOR, 1 },
	{ M(VMOVNTDQA), do_vmov, SHAPE_VECTOR, 1 },
	{ M(VMOVNTPS), do_vmov, SHAPE_VECTOR, 1 },
	{ M(VMOVNTPD), do_vmov, SHAPE_VECTOR, 1 },
	{ M(VMOVD), do_vmov, SHAPE_VECTOR, 0 },
	{ M(VMOVQ), do_vmov, SHAPE_VECTOR, 0 },
	{ M(VMOVSS), do_vmov, SHAPE_VECTOR, 0 },
	{ M(VMOVSD), do_vmov, SHAPE_VECTOR, 0 },
};

/* MOVSD names two instructions; the one with SSE registers is not a string. */
static const struct row row_movsd_vector = {
	M(MOVSD), do_vmov, SHAPE_VECTOR, 0
};

static const struct row *find_row(const ZydisDecodedInstruction *zi)
{
	size_t i;

	if (zi->mnemonic == ZYDIS_MNEMONIC_MOVSD &&
	    zi->meta.category != ZYDIS_CATEGORY_STRINGOP)
		return &row_movsd_vector;
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].mnemonic == zi->mnemonic)
			return &rows[i];
	return NULL;
}

static const ZydisMachineMode machine_modes[] = {
	[DECODE_16] = ZYDIS_MACHINE_MODE_LEGACY_16,
	[DECODE_32] = ZYDIS_MACHINE_MODE_LEGACY_32,
	[DECODE_64] = ZYDIS_MACHINE_MODE_LONG_64,
};

static const ZydisStackWidth stack_widths[] = {
	[DECODE_16] = ZYDIS_STACK_WIDTH_16,
	[DECODE_32] = ZYDIS_STACK_WIDTH_32,
	[DECODE_64] = ZYDIS_STACK_WIDTH_64,
};

/* ---- operands ---- */

static uint8_t gpr_number(ZydisRegister reg)
{
	ZydisRegister whole;

	if (reg == ZYDIS_REGISTER_NONE)
		return REG_NONE;
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return REG_RIP;
	whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64,
						 reg);
	return (uint8_t)ZydisRegisterGetId(whole);
}

static bool take_memory(struct insn *in, const ZydisDecodedOperand *op)
{
	if (op->mem.type != ZYDIS_MEMOP_TYPE_MEM || op->size % 8 ||
	    op->size / 8 > OPERAND_MAX)
		return false;
	in->seg = (uint8_t)(op->mem.segment - ZYDIS_REGISTER_ES);
	in->base = gpr_number(op->mem.base);
	in->index = gpr_number(op->mem.index);
	in->scale = op->mem.scale ? (uint8_t)__builtin_ctz(op->mem.scale) : 0;
	in->disp = op->mem.disp.has_displacement ? op->mem.disp.value : 0;
	in->mem_bytes = (uint8_t)(op->size / 8);
	return in->seg <= POSADA_GS;
}

static bool take_gpr(struct insn *in, const ZydisDecodedOperand *op)
{
	ZydisRegister reg = op->reg.value;
	ZydisRegisterClass class = ZydisRegisterGetClass(reg);

	if (class != ZYDIS_REGCLASS_GPR8 && class != ZYDIS_REGCLASS_GPR16 &&
	    class != ZYDIS_REGCLASS_GPR32 && class != ZYDIS_REGCLASS_GPR64)
		return false;
	in->reg = gpr_number(reg);
	in->reg_bytes = (uint8_t)(op->size / 8);
	in->reg_shift = reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH ?
			8 : 0;
	return true;
}

static bool take_imm(struct insn *in, const ZydisDecodedOperand *op)
{
	in->has_imm = true;
	in->imm = op->imm.value.u;
	return true;
}

static bool take_vector(struct insn *in, const ZydisDecodedOperand *op)
{
	ZydisRegister reg = op->reg.value;
	ZydisRegisterClass class = ZydisRegisterGetClass(reg);

	if (class != ZYDIS_REGCLASS_XMM && class != ZYDIS_REGCLASS_YMM &&
	    class != ZYDIS_REGCLASS_ZMM)
		return false;
	in->reg = (uint8_t)ZydisRegisterGetId(reg);
	return true;
}

static bool take_operand(struct insn *in, const ZydisDecodedOperand *op,
			 bool vector)
{
	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return take_memory(in, op);
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return vector ? take_vector(in, op) : take_gpr(in, op);
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		return take_imm(in, op);
	default:
		return false;
	}
}

static bool is_memory(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_MEMORY;
}

/* ---- shapes ---- */

static bool shape_two(struct insn *in, const ZydisDecodedOperand *op,
		      unsigned int count)
{
	/* ACC-form MOV and the shifts by 1 or CL have them implied. */
	if (count < 2 || is_memory(&op[0]) == is_memory(&op[1]))
		return false;
	in->mem_dst = is_memory(&op[0]);
	/* A segment register's store is two bytes wide whatever the prefix,
	 * and no device gets one: left out.
	 */
	return take_operand(in, &op[0], false) &&
	       take_operand(in, &op[1], false);
}

static bool shape_one(struct insn *in, const ZydisDecodedOperand *op)
{
	in->mem_dst = true;
	return is_memory(&op[0]) && take_memory(in, &op[0]);
}

static bool shape_imul(struct insn *in, const ZydisDecodedOperand *op,
		       unsigned int count)
{
	if (count < 2 || !is_memory(&op[1]) || !take_operand(in, &op[0], false))
		return false;
	if (count > 2 && op[2].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		take_imm(in, &op[2]);
	return take_memory(in, &op[1]);
}

static bool shape_stack(struct insn *in, const ZydisDecodedInstruction *zi,
			const ZydisDecodedOperand *op)
{
	if (!take_operand(in, &op[0], false))
		return false;
	in->mem_dst = is_memory(&op[0]);
	in->mem_bytes = zi->operand_width / 8;
	return true;
}

/* The index registers are implied; only the source's segment can vary. */
static bool shape_string(struct insn *in, const ZydisDecodedInstruction *zi,
			 const ZydisDecodedOperand *op)
{
	unsigned int i;

	in->seg = POSADA_DS;
	for (i = 0; i < zi->operand_count; i++) {
		if (!is_memory(&op[i]))
			continue;
		in->mem_bytes = (uint8_t)(op[i].size / 8);
		if (gpr_number(op[i].mem.base) == POSADA_RSI)
			in->seg = (uint8_t)(op[i].mem.segment -
					    ZYDIS_REGISTER_ES);
	}
	if (zi->attributes & ZYDIS_ATTRIB_HAS_REPNE)
		in->rep = REP_NE;
	else if (zi->attributes &
		 (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
		in->rep = REP_E;
	return in->mem_bytes && in->seg <= POSADA_GS;
}

/* With AVX-512 there is a mask operand: only "all lanes" (k0) is done. */
static bool shape_vector(struct insn *in, const ZydisDecodedInstruction *zi,
			 const ZydisDecodedOperand *op)
{
	const ZydisDecodedOperand *mem = NULL, *reg = NULL;
	unsigned int i;

	for (i = 0; i < zi->operand_count_visible; i++) {
		if (is_memory(&op[i])) {
			mem = &op[i];
			continue;
		}
		if (op[i].type != ZYDIS_OPERAND_TYPE_REGISTER)
			return false;
		if (op[i].reg.value == ZYDIS_REGISTER_K0)
			continue;
		if (reg)
			return false;
		reg = &op[i];
	}
	in->vex = zi->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY;
	in->mem_dst = mem == &op[0];
	return mem && reg && take_memory(in, mem) && take_vector(in, reg);
}

static bool shape(struct insn *in, const struct row *row,
		  const ZydisDecodedInstruction *zi,
		  const ZydisDecodedOperand *op)
{
	if (!zi->operand_count_visible && row->shape != SHAPE_STRING)
		return false;
	switch (row->shape) {
	case SHAPE_TWO:
		return shape_two(in, op, zi->operand_count_visible);
	case SHAPE_ONE:
		return shape_one(in, op);
	case SHAPE_IMUL:
		return shape_imul(in, op, zi->operand_count_visible);
	case SHAPE_STACK:
		return shape_stack(in, zi, op);
	case SHAPE_STRING:
		return shape_string(in, zi, op);
	default:
		return shape_vector(in, zi, op);
	}
}

void decode_insn(struct insn *in, enum decode_mode mode, const uint8_t *code,
		 uint32_t bytes)
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction zi;
	const struct row *row;
	ZydisDecoder decoder;

	memset(in, 0, sizeof(*in));
	in->base = in->index = REG_NONE;
	ZydisDecoderInit(&decoder, machine_modes[mode], stack_widths[mode]);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, bytes, &zi,
						 op)))
		return;
	row = find_row(&zi);
	in->len = zi.length;
	in->addr_bytes = zi.address_width / 8;
	if (!row || (zi.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) ||
	    !shape(in, row, &zi, op))
		return;
	in->arg = row->arg;
	in->fn = row->fn;
}
