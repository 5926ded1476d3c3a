// SPDX-License-Identifier: GPL-2.0
/*
 * Instruction completion against the CPU that this runs on: random forms of
 * every instruction in the list, with random registers and memory, once
 * natively and once completed; then registers, flags and memory must agree.
 * After that, what a CPU in user mode cannot show: faults, modes, batches.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <Zydis/Zydis.h>

#include "decode_guest.h"
#include "decode_native.h"
#include "decode_tests.h"

#define ROUNDS		300	/* of each instruction */
#define MIDDLE		(WINDOW_GVA + WINDOW_BYTES / 2)
#define FLAGS_ARITH	X86_FLAGS_ARITH
#define F(name)		X86_FLAGS_ ## name

static uint64_t seed = 88172645463325252ULL;

uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

enum form {
	MEM_REG, REG_MEM, MEM_IMM, MEM, WIDEN, MEM_CL, MEM_IMM8, REG_MEM_IMM,
	VEC_MEM, MEM_VEC, STRING,
};

struct kind {
	ZydisMnemonic mnemonic;
	uint8_t form;
	uint64_t undefined;	/* flags that need not agree */
	uint16_t sizes;		/* of the operand; in bytes, or-ed */
};

#define M(n)	ZYDIS_MNEMONIC_ ## n
#define ALL	15
#define WORDS	14
#define LOGIC	F(AF)
#define BITS	(F(OF) | F(SF) | F(AF) | F(PF))
#define SHIFTS	(F(AF) | F(OF))
#define IMULS	(F(SF) | F(ZF) | F(AF) | F(PF))

static const struct kind kinds[] = {
	{ M(MOV), MEM_REG, 0, ALL }, { M(MOV), REG_MEM, 0, ALL },
	{ M(MOV), MEM_IMM, 0, ALL }, { M(MOVNTI), MEM_REG, 0, 12 },
	{ M(MOVZX), WIDEN, 0, 3 }, { M(MOVSX), WIDEN, 0, 3 },
	{ M(MOVSXD), WIDEN, 0, 4 },
	{ M(MOVBE), MEM_REG, 0, WORDS }, { M(MOVBE), REG_MEM, 0, WORDS },
	{ M(ADD), MEM_REG, 0, ALL }, { M(ADD), REG_MEM, 0, ALL },
	{ M(ADD), MEM_IMM, 0, ALL },
	{ M(ADC), MEM_REG, 0, ALL }, { M(ADC), REG_MEM, 0, ALL },
	{ M(ADC), MEM_IMM, 0, ALL },
	{ M(SUB), MEM_REG, 0, ALL }, { M(SUB), REG_MEM, 0, ALL },
	{ M(SUB), MEM_IMM, 0, ALL },
	{ M(SBB), MEM_REG, 0, ALL }, { M(SBB), REG_MEM, 0, ALL },
	{ M(SBB), MEM_IMM, 0, ALL },
	{ M(AND), MEM_REG, LOGIC, ALL }, { M(AND), REG_MEM, LOGIC, ALL },
	{ M(AND), MEM_IMM, LOGIC, ALL },
	{ M(OR), MEM_REG, LOGIC, ALL }, { M(OR), REG_MEM, LOGIC, ALL },
	{ M(OR), MEM_IMM, LOGIC, ALL },
	{ M(XOR), MEM_REG, LOGIC, ALL }, { M(XOR), REG_MEM, LOGIC, ALL },
	{ M(XOR), MEM_IMM, LOGIC, ALL },
	{ M(CMP), MEM_REG, 0, ALL }, { M(CMP), REG_MEM, 0, ALL },
	{ M(CMP), MEM_IMM, 0, ALL },
	{ M(TEST), MEM_REG, LOGIC, ALL }, { M(TEST), MEM_IMM, LOGIC, ALL },
	{ M(INC), MEM, 0, ALL }, { M(DEC), MEM, 0, ALL },
	{ M(NOT), MEM, 0, ALL }, { M(NEG), MEM, 0, ALL },
	{ M(ROL), MEM_CL, F(OF), ALL }, { M(ROL), MEM_IMM8, F(OF), ALL },
	{ M(ROR), MEM_CL, F(OF), ALL }, { M(ROR), MEM_IMM8, F(OF), ALL },
	{ M(RCL), MEM_CL, F(OF), ALL }, { M(RCL), MEM_IMM8, F(OF), ALL },
	{ M(RCR), MEM_CL, F(OF), ALL }, { M(RCR), MEM_IMM8, F(OF), ALL },
	{ M(SHL), MEM_CL, SHIFTS, ALL }, { M(SHL), MEM_IMM8, SHIFTS, ALL },
	{ M(SHR), MEM_CL, SHIFTS, ALL }, { M(SHR), MEM_IMM8, SHIFTS, ALL },
	{ M(SAR), MEM_CL, SHIFTS, ALL }, { M(SAR), MEM_IMM8, SHIFTS, ALL },
	{ M(BT), MEM_REG, BITS, WORDS }, { M(BT), MEM_IMM8, BITS, WORDS },
	{ M(BTS), MEM_REG, BITS, WORDS }, { M(BTS), MEM_IMM8, BITS, WORDS },
	{ M(BTR), MEM_REG, BITS, WORDS }, { M(BTR), MEM_IMM8, BITS, WORDS },
	{ M(BTC), MEM_REG, BITS, WORDS }, { M(BTC), MEM_IMM8, BITS, WORDS },
	{ M(XCHG), MEM_REG, 0, ALL }, { M(XADD), MEM_REG, 0, ALL },
	{ M(CMPXCHG), MEM_REG, 0, ALL },
	{ M(CMPXCHG8B), MEM, 0, 8 }, { M(CMPXCHG16B), MEM, 0, 16 },
	{ M(IMUL), REG_MEM, IMULS, WORDS },
	{ M(IMUL), REG_MEM_IMM, IMULS, WORDS },
	{ M(SETO), MEM, 0, 1 }, { M(SETNO), MEM, 0, 1 },
	{ M(SETB), MEM, 0, 1 }, { M(SETNB), MEM, 0, 1 },
	{ M(SETZ), MEM, 0, 1 }, { M(SETNZ), MEM, 0, 1 },
	{ M(SETBE), MEM, 0, 1 }, { M(SETNBE), MEM, 0, 1 },
	{ M(SETS), MEM, 0, 1 }, { M(SETNS), MEM, 0, 1 },
	{ M(SETP), MEM, 0, 1 }, { M(SETNP), MEM, 0, 1 },
	{ M(SETL), MEM, 0, 1 }, { M(SETNL), MEM, 0, 1 },
	{ M(SETLE), MEM, 0, 1 }, { M(SETNLE), MEM, 0, 1 },
	{ M(CMOVO), REG_MEM, 0, WORDS }, { M(CMOVNB), REG_MEM, 0, WORDS },
	{ M(CMOVZ), REG_MEM, 0, WORDS }, { M(CMOVNBE), REG_MEM, 0, WORDS },
	{ M(CMOVS), REG_MEM, 0, WORDS }, { M(CMOVNP), REG_MEM, 0, WORDS },
	{ M(CMOVL), REG_MEM, 0, WORDS }, { M(CMOVNLE), REG_MEM, 0, WORDS },
	{ M(PUSH), MEM, 0, 10 }, { M(POP), MEM, 0, 10 },
	{ M(PREFETCHT0), MEM, 0, 1 }, { M(CLFLUSH), MEM, 0, 64 },
	{ M(MOVSB), STRING, 0, 1 }, { M(MOVSW), STRING, 0, 2 },
	{ M(MOVSD), STRING, 0, 4 }, { M(MOVSQ), STRING, 0, 8 },
	{ M(STOSB), STRING, 0, 1 }, { M(STOSW), STRING, 0, 2 },
	{ M(STOSD), STRING, 0, 4 }, { M(STOSQ), STRING, 0, 8 },
	{ M(LODSB), STRING, 0, 1 }, { M(LODSW), STRING, 0, 2 },
	{ M(LODSD), STRING, 0, 4 }, { M(LODSQ), STRING, 0, 8 },
	{ M(CMPSB), STRING, 0, 1 }, { M(CMPSW), STRING, 0, 2 },
	{ M(CMPSD), STRING, 0, 4 }, { M(CMPSQ), STRING, 0, 8 },
	{ M(SCASB), STRING, 0, 1 }, { M(SCASW), STRING, 0, 2 },
	{ M(SCASD), STRING, 0, 4 }, { M(SCASQ), STRING, 0, 8 },
	{ M(MOVUPS), VEC_MEM, 0, 16 }, { M(MOVUPS), MEM_VEC, 0, 16 },
	{ M(MOVAPS), VEC_MEM, 0, 16 }, { M(MOVAPS), MEM_VEC, 0, 16 },
	{ M(MOVDQU), VEC_MEM, 0, 16 }, { M(MOVDQA), MEM_VEC, 0, 16 },
	{ M(MOVNTDQ), MEM_VEC, 0, 16 }, { M(MOVNTDQA), VEC_MEM, 0, 16 },
	{ M(MOVD), VEC_MEM, 0, 4 }, { M(MOVD), MEM_VEC, 0, 4 },
	{ M(MOVQ), VEC_MEM, 0, 8 }, { M(MOVQ), MEM_VEC, 0, 8 },
	{ M(MOVSS), VEC_MEM, 0, 4 }, { M(MOVSS), MEM_VEC, 0, 4 },
	{ M(MOVSD), VEC_MEM, 0, 8 }, { M(MOVSD), MEM_VEC, 0, 8 },
	{ M(VMOVUPS), VEC_MEM, 0, 48 }, { M(VMOVUPS), MEM_VEC, 0, 48 },
	{ M(VMOVAPS), VEC_MEM, 0, 48 }, { M(VMOVAPS), MEM_VEC, 0, 48 },
	{ M(VMOVDQU), VEC_MEM, 0, 48 }, { M(VMOVDQA), MEM_VEC, 0, 48 },
	{ M(VMOVNTDQ), MEM_VEC, 0, 48 },
	{ M(VMOVD), VEC_MEM, 0, 4 }, { M(VMOVD), MEM_VEC, 0, 4 },
	{ M(VMOVQ), VEC_MEM, 0, 8 }, { M(VMOVQ), MEM_VEC, 0, 8 },
	{ M(VMOVSS), VEC_MEM, 0, 4 }, { M(VMOVSD), MEM_VEC, 0, 8 },
};

/* ---- a random instruction ---- */

/* RSP stays out, but for what pushes; RBX is always the base. */
static const uint8_t free_regs[] = { 0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13,
	14, 15 };

static ZydisRegister gpr_of(unsigned int bytes, unsigned int nr)
{
	switch (bytes) {
	case 1:
		/* Zydis counts AH to BH between BL and SPL. */
		return nr < 4 ? ZYDIS_REGISTER_AL + nr :
		       ZYDIS_REGISTER_SPL + nr - 4;
	case 2:
		return ZYDIS_REGISTER_AX + nr;
	case 4:
		return ZYDIS_REGISTER_EAX + nr;
	default:
		return ZYDIS_REGISTER_RAX + nr;
	}
}

static unsigned int pick_size(uint16_t sizes)
{
	unsigned int n;

	do
		n = 1U << rnd() % 7;
	while (!(sizes & n));
	return n;
}

static void set_mem(ZydisEncoderOperand *op, unsigned int bytes, bool index)
{
	op->type = ZYDIS_OPERAND_TYPE_MEMORY;
	op->mem.base = ZYDIS_REGISTER_RBX;
	op->mem.index = index ? ZYDIS_REGISTER_R9 : ZYDIS_REGISTER_NONE;
	op->mem.scale = index ? 1 << rnd() % 4 : 0;
	op->mem.displacement = rnd() % 3 ? (int64_t)(rnd() % 256) - 128 : 0;
	op->mem.size = (uint16_t)bytes;
}

static void set_reg(ZydisEncoderOperand *op, unsigned int bytes)
{
	op->type = ZYDIS_OPERAND_TYPE_REGISTER;
	op->reg.value = gpr_of(bytes, free_regs[rnd() % sizeof(free_regs)]);
	if (bytes == 1 && !(rnd() % 4))
		op->reg.value = ZYDIS_REGISTER_AH + rnd() % 3;	/* not BH */
}

static void set_vec(ZydisEncoderOperand *op, unsigned int bytes)
{
	op->type = ZYDIS_OPERAND_TYPE_REGISTER;
	op->reg.value = (bytes == 32 ? ZYDIS_REGISTER_YMM0 :
			 ZYDIS_REGISTER_XMM0) + rnd() % 16;
}

static void set_imm(ZydisEncoderOperand *op, unsigned int bytes)
{
	op->type = ZYDIS_OPERAND_TYPE_IMMEDIATE;
	op->imm.s = bytes == 1 ? (int8_t)rnd() : bytes == 2 ? (int16_t)rnd() :
		    (int32_t)rnd();
	if (rnd() % 2)
		op->imm.s = (int8_t)op->imm.s;
}

/* -> the length, 0 if there is no such form. */
static unsigned int encode(const struct kind *k, unsigned int bytes,
			   uint8_t *code, uint64_t *prefixes)
{
	ZydisEncoderRequest r = { .machine_mode = ZYDIS_MACHINE_MODE_LONG_64,
				  .mnemonic = k->mnemonic };
	ZyanUSize len = ZYDIS_MAX_INSTRUCTION_LENGTH;
	bool index = rnd() % 2;
	unsigned int wide;

	r.operand_count = 2;
	switch (k->form) {
	case MEM_REG:
		set_mem(&r.operands[0], bytes, index);
		set_reg(&r.operands[1], bytes);
		break;
	case REG_MEM:
		set_reg(&r.operands[0], bytes);
		set_mem(&r.operands[1], bytes, index);
		break;
	case MEM_IMM:
		set_mem(&r.operands[0], bytes, index);
		set_imm(&r.operands[1], bytes);
		break;
	case MEM:
		r.operand_count = 1;
		set_mem(&r.operands[0], bytes, index);
		break;
	case WIDEN:
		wide = bytes << (1 + rnd() % 3);
		set_reg(&r.operands[0], wide > 8 ? 8 : wide);
		set_mem(&r.operands[1], bytes, index);
		break;
	case MEM_CL:
		set_mem(&r.operands[0], bytes, index);
		r.operands[1].type = ZYDIS_OPERAND_TYPE_REGISTER;
		r.operands[1].reg.value = ZYDIS_REGISTER_CL;
		break;
	case MEM_IMM8:
		set_mem(&r.operands[0], bytes, index);
		r.operands[1].type = ZYDIS_OPERAND_TYPE_IMMEDIATE;
		r.operands[1].imm.u = rnd() & 0x7f;
		break;
	case REG_MEM_IMM:
		r.operand_count = 3;
		set_reg(&r.operands[0], bytes);
		set_mem(&r.operands[1], bytes, index);
		set_imm(&r.operands[2], bytes);
		break;
	case VEC_MEM:
		set_vec(&r.operands[0], bytes);
		set_mem(&r.operands[1], bytes, index);
		break;
	case MEM_VEC:
		set_mem(&r.operands[0], bytes, index);
		set_vec(&r.operands[1], bytes);
		break;
	case STRING:
		r.operand_count = 0;
		r.prefixes = *prefixes;
		break;
	}
	if (!ZYAN_SUCCESS(ZydisEncoderEncodeInstruction(&r, code, &len)))
		return 0;
	return (unsigned int)len;
}

/* ---- one comparison ---- */

static uint8_t *window;		/* the native side's memory */

static void fill_window(void)
{
	uint64_t *at = (uint64_t *)window, i;

	for (i = 0; i < WINDOW_BYTES / sizeof(*at); i++)
		at[i] = rnd();
}

static void randomize(struct native *n)
{
	unsigned int i, j;

	for (i = 0; i < 16; i++)
		n->gpr[i] = rnd() >> (rnd() % 4 ? 0 : rnd() % 64);
	n->rflags = 2 | (rnd() & FLAGS_ARITH);
	for (i = 0; i < 16; i++)
		for (j = 0; j < 32; j++)
			n->ymm[i][j] = (uint8_t)rnd();
	n->gpr[POSADA_RSP] = MIDDLE - 512;
	n->gpr[POSADA_RBX] = MIDDLE + rnd() % 64;
	n->gpr[POSADA_R9] = rnd() % 128;
}

/* Bit offsets in registers reach far; keep them inside the window. */
static void tame(struct native *n, const struct kind *k)
{
	unsigned int i;

	if (k->form == MEM_REG && (k->undefined == BITS))
		for (i = 0; i < 16; i++)
			if (i != POSADA_RSP && i != POSADA_RBX &&
			    i != POSADA_R9)
				n->gpr[i] = (uint64_t)((int64_t)(rnd() % 8192) -
						       4096);
	/* Equal values must come up, too. */
	if (k->mnemonic == ZYDIS_MNEMONIC_CMPXCHG && rnd() % 2)
		memset(window, (int)(n->gpr[0] = 0x5a * 0x0101010101010101ULL),
		       WINDOW_BYTES);
	if ((k->mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B ||
	     k->mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B) && rnd() % 2) {
		memset(window, 0x33, WINDOW_BYTES);
		n->gpr[POSADA_RAX] = n->gpr[POSADA_RDX] = 0x3333333333333333ULL;
	}
}

/* Aligned moves and CMPXCHG16B fault otherwise, which is another test. */
static void align(struct native *n, const struct insn *in)
{
	uint64_t at = n->gpr[POSADA_RBX] + (uint64_t)in->disp +
		      (in->index == REG_NONE ? 0 :
		       n->gpr[POSADA_R9] << in->scale);

	if (in->mem_bytes >= 16)
		n->gpr[POSADA_RBX] -= at & 31;
}

static void string_registers(struct native *n, uint64_t prefixes)
{
	n->gpr[POSADA_RSI] = MIDDLE + rnd() % 4096;
	n->gpr[POSADA_RDI] = MIDDLE + rnd() % 4096;
	n->gpr[POSADA_RCX] = rnd() % 40;
	if (rnd() % 2)
		n->rflags |= X86_FLAGS_DF;
	/* Long runs of equal elements, so that comparisons go on. */
	if (prefixes && rnd() % 2) {
		memset(window, 0x11, WINDOW_BYTES);
		n->gpr[POSADA_RAX] = 0x1111111111111111ULL;
		window[WINDOW_BYTES / 2 + rnd() % 4096] = 0x22;
	}
}

static void to_guest(const struct native *n, bool mixed)
{
	uint8_t *area = g.xsave + sizeof(struct posada_record) +
			sizeof(struct posada_rec_xsave);
	uint64_t bv = 7;
	unsigned int i;

	guest_reset();
	for (i = 0; i < WINDOW_PAGES; i++)
		guest_map(i, mixed && i & 1, MAP_P | MAP_W);
	for (i = 0; i < WINDOW_BYTES; i += POSADA_PAGE_SIZE)
		memcpy(guest_byte(i), window + i, POSADA_PAGE_SIZE);
	memcpy(g.run->regs.gpr, n->gpr, sizeof(n->gpr));
	g.run->regs.rflags = n->rflags;
	for (i = 0; i < 16; i++) {
		memcpy(area + 160 + 16 * i, n->ymm[i], 16);
		memcpy(area + 576 + 16 * i, n->ymm[i] + 16, 16);
	}
	memcpy(area + 512, &bv, 8);
}

static bool same_vectors(const struct native *n)
{
	const uint8_t *area = g.xsave + sizeof(struct posada_record) +
			      sizeof(struct posada_rec_xsave);
	unsigned int i;

	for (i = 0; i < 16; i++)
		if (memcmp(area + 160 + 16 * i, n->ymm[i], 16) ||
		    memcmp(area + 576 + 16 * i, n->ymm[i] + 16, 16))
			return false;
	return true;
}

static bool same(const struct native *n, const struct kind *k,
		 unsigned int len, const char **what)
{
	uint64_t mask = FLAGS_ARITH & ~k->undefined;
	unsigned int i;

	*what = "registers";
	if (memcmp(g.run->regs.gpr, n->gpr, sizeof(n->gpr)))
		return false;
	*what = "flags";
	if ((g.run->regs.rflags ^ n->rflags) & mask)
		return false;
	*what = "memory";
	for (i = 0; i < WINDOW_BYTES; i += POSADA_PAGE_SIZE)
		if (memcmp(guest_byte(i), window + i, POSADA_PAGE_SIZE))
			return false;
	*what = "vectors";
	if (!same_vectors(n))
		return false;
	*what = "RIP";
	return g.run->regs.rip == CODE_RIP + len && !g.injections &&
	       g.run->dirty == POSADA_GROUP_REGS;
}

static void explain(const struct kind *k, const uint8_t *code,
		    unsigned int len, const struct native *n, const char *what,
		    int ret)
{
	unsigned int i;

	printf("# %s: %s differ, ret %d, code",
	       ZydisMnemonicGetString(k->mnemonic), what, ret);
	for (i = 0; i < len; i++)
		printf(" %02x", code[i]);
	printf("\n# flags %llx native %llx\n",
	       (unsigned long long)g.run->regs.rflags,
	       (unsigned long long)n->rflags);
	for (i = 0; i < 16; i++)
		if (g.run->regs.gpr[i] != n->gpr[i])
			printf("# r%u %llx native %llx\n", i,
			       (unsigned long long)g.run->regs.gpr[i],
			       (unsigned long long)n->gpr[i]);
}

/* The address that the memory operand has, for the exit's gpa. */
static uint64_t operand_address(const struct insn *in, const struct native *n)
{
	return n->gpr[POSADA_RBX] + (uint64_t)in->disp +
	       (in->index == REG_NONE ? 0 : n->gpr[POSADA_R9] << in->scale);
}

/* -> 1: agree, 0: they do not, -1: there is no such form. */
static int compare_one(const struct kind *k)
{
	static const uint64_t reps[] = {
		0, ZYDIS_ATTRIB_HAS_REP, ZYDIS_ATTRIB_HAS_REPE,
		ZYDIS_ATTRIB_HAS_REPNE,
	};
	uint64_t prefixes = reps[rnd() % 4], gva;
	unsigned int len, bytes = pick_size(k->sizes);
	uint8_t code[16] = { 0 };
	const char *what = "nothing";
	struct native n;
	struct insn in;
	int ret;

	len = encode(k, bytes, code, &prefixes);
	if (!len)
		return -1;
	fill_window();
	randomize(&n);
	tame(&n, k);
	decode_insn(&in, DECODE_64, code, len);
	if (!in.fn) {
		explain(k, code, len, &n, "the list and the test", 0);
		return 0;
	}
	align(&n, &in);
	if (k->form == STRING)
		string_registers(&n, prefixes);
	to_guest(&n, rnd() % 2 && (k->form == STRING || !(rnd() % 4)));
	gva = k->form == STRING ? n.gpr[POSADA_RDI] : operand_address(&in, &n);
	ret = guest_complete(code, len, window_gpa(gva),
			     (g.is_ram[(gva - WINDOW_GVA) / 4096] ?
			      POSADA_MEM_WALK : 0) |
			     (rnd() % 2 ? POSADA_MEM_WRITE : 0));
	native_run(&n, code, len);
	if (!ret && same(&n, k, len, &what))
		return 1;
	explain(k, code, len, &n, what, ret);
	return 0;
}

static bool test_kind(const struct kind *k)
{
	unsigned int tried = 0, i;
	int ret;

	for (i = 0; i < ROUNDS; i++) {
		ret = compare_one(k);
		if (!ret)
			return false;
		tried += ret > 0;
	}
	/* Some forms cannot be encoded (AH with REX), but not most. */
	if (tried < ROUNDS / 3)
		printf("# only %u of %u could be encoded\n", tried, ROUNDS);
	return tried >= ROUNDS / 3;
}

int main(void)
{
	static const char *const forms[] = {
		"mem, reg", "reg, mem", "mem, imm", "mem", "reg, narrow mem",
		"mem, cl", "mem, imm8", "reg, mem, imm", "vec, mem", "mem, vec",
		"string",
	};
	unsigned int i, n = sizeof(kinds) / sizeof(*kinds), failed = 0;
	bool native = __builtin_cpu_supports("avx2");

	setvbuf(stdout, NULL, _IOLBF, 0);
	window = mmap((void *)WINDOW_GVA, WINDOW_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (window != (void *)WINDOW_GVA) {
		printf("Bail out! no memory at %llx\n", WINDOW_GVA);
		return 1;
	}
	printf("TAP version 13\n1..%u\n", n + directed_count());
	for (i = 0; i < n; i++) {
		bool ok = !native || test_kind(&kinds[i]);

		printf("%sok %u %s %s%s\n", ok ? "" : "not ", i + 1,
		       ZydisMnemonicGetString(kinds[i].mnemonic),
		       forms[kinds[i].form],
		       native ? "" : " # SKIP no AVX2 here");
		failed += !ok;
	}
	failed += directed_run(n);
	return failed ? 1 : 0;
}
