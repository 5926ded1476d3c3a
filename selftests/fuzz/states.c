// SPDX-License-Identifier: GPL-2.0
/*
 * Guests that never were: memory, registers and code that are right enough to
 * run and wrong enough to find out. See fuzz.h.
 */
#include <cpuid.h>
#include <string.h>

#include "fuzz.h"

/* Guest-physical layout. */
#define F_IVT		0x00000
#define F_PML4		0x01000
#define F_PDPT		0x02000
#define F_PD		0x03000
#define F_PT		0x04000
#define F_PAE_PDPT	0x05000
#define F_PD32		0x06000
#define F_GDT		0x07000
#define F_IDT64		0x08000
#define F_IDT32		0x09000
#define F_TSS		0x0a000
#define F_HANDLERS	0x0c000	/* 256 of 32 bytes */
#define F_CODE		0x10000	/* up to 0x80000 */
#define F_CODE_END	0x80000
#define F_STACK		0x90000
#define F_STACK_END	0xa0000

#define SEL_CODE64	0x08
#define SEL_DATA	0x10
#define SEL_CODE32	0x18
#define SEL_CODE16	0x20
#define SEL_DATA16	0x28
#define SEL_UCODE64	0x33
#define SEL_UDATA	0x3b
#define SEL_TSS		0x40
#define SEL_LDT		0x50

/* ---- memory ---- */

static void put64(u8 *mem, u64 at, u64 v)
{
	memcpy(mem + at, &v, 8);
}

static void put32(u8 *mem, u64 at, u32 v)
{
	memcpy(mem + at, &v, 4);
}

static void fill_tables(u8 *mem)
{
	u32 i;

	put64(mem, F_PML4, F_PDPT | 7);
	put64(mem, F_PML4 + 256 * 8, F_PDPT | 7);
	put64(mem, F_PDPT, F_PD | 7);
	put64(mem, F_PDPT + 8, 0x83 | BIT(30));	/* 1 GiB, all MMIO */
	put64(mem, F_PD, F_PT | 7);
	for (i = 1; i < 512; i++)
		put64(mem, F_PD + i * 8, (u64)i << 21 | 0x87);
	for (i = 0; i < 512; i++)
		put64(mem, F_PT + i * 8, (u64)i << 12 | 7);
	for (i = 0; i < 4; i++)
		put64(mem, F_PAE_PDPT + i * 8, F_PD | 1);
	for (i = 0; i < 1024; i++)
		put32(mem, F_PD32 + i * 4, i << 22 | 0x87);
}

static void fill_gdt(u8 *mem)
{
	static const u64 gdt[] = {
		[SEL_CODE64 / 8] = 0x00af9b000000ffff, [SEL_DATA / 8] = 0x00cf93000000ffff,
		[SEL_CODE32 / 8] = 0x00cf9b000000ffff, [SEL_CODE16 / 8] = 0x00009b000000ffff,
		[SEL_DATA16 / 8] = 0x000093000000ffff, [SEL_UCODE64 / 8] = 0x00affb000000ffff,
		[SEL_UDATA / 8] = 0x00cff3000000ffff,
		[SEL_TSS / 8] = 0x0000890000000067 | (u64)F_TSS << 16,
	};

	memcpy(mem + F_GDT, gdt, sizeof(gdt));
	put64(mem, F_TSS + 4, F_STACK_END - 0x800);	/* RSP0, ESP0 */
	put32(mem, F_TSS + 8, SEL_DATA);		/* SS0 */
}

static void fill_idt(struct rnd *r, u8 *mem)
{
	u64 gate, at;
	u32 i;

	for (i = 0; i < 256; i++) {
		/* Most handlers return; some gates lead into the code. */
		at = F_HANDLERS + 32 * i;
		if (rnd_one_in(r, 8))
			at = F_CODE + rnd_below(r, F_CODE_END - F_CODE);
		gate = (at & 0xffff) | (0xeeULL << 40) | (at & 0xffff0000) << 32;
		put64(mem, F_IDT64 + 16 * i, gate | SEL_CODE64 << 16);
		put64(mem, F_IDT64 + 16 * i + 8, 0);
		put64(mem, F_IDT32 + 8 * i, gate | SEL_CODE32 << 16);
		/* 0c000 + 32 * i, as segment and offset */
		put32(mem, F_IVT + 4 * i, 0x0c00 << 16 | 32 * i);
	}
}

/* Skip over what faulted, somehow, and return. */
static void fill_handlers(struct rnd *r, u8 *mem)
{
	static const u8 skip64[] = { 0x48, 0x83, 0x04, 0x24, 0x02, 0x48, 0xcf };
	static const u8 skip32[] = { 0x83, 0x04, 0x24, 0x01, 0xcf };
	static const u8 drop64[] = { 0x48, 0x83, 0xc4, 0x08, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf };
	static const u8 plain[] = { 0x48, 0xcf };
	u32 i;
	u8 *at;

	for (i = 0; i < 256; i++) {
		at = mem + F_HANDLERS + 32 * i;
		switch (rnd_below(r, 6)) {
		case 0:
			memcpy(at, skip32, sizeof(skip32));
			break;
		case 1:
			memcpy(at, plain, sizeof(plain));
			break;
		case 2:
			fuzz_code(r, at, at + 32);
			break;
		default:
			if (i == 8 || (i >= 10 && i <= 14) || i == 17)
				memcpy(at, drop64, sizeof(drop64));
			else
				memcpy(at, skip64, sizeof(skip64));
		}
	}
}

/* x2APIC mode, software-enabled: so that IPIs go. Not for 16-bit code. */
static const u8 apic_on[] = {
	0xb9, 0x1b, 0x00, 0x00, 0x00, 0x0f, 0x32,	/* RDMSR of the base */
	0x0d, 0x00, 0x0c, 0x00, 0x00, 0x0f, 0x30,
	0xb9, 0x0f, 0x08, 0x00, 0x00,			/* SVR */
	0xb8, 0xff, 0x01, 0x00, 0x00, 0x31, 0xd2, 0x0f, 0x30,
};

/*
 * QEMU keeps TR without the busy bit, and aborts ("invalid tss type") when a
 * 32-bit guest whose VMCB has it, as it must, goes from CPL 3 to 0: let no IRET
 * find a VM flag on the stack.
 */
static void fill_stack(struct rnd *r, u8 *mem)
{
	u64 keep = host_is_tcg() ? ~0x0002000000020000ULL : ~0ULL;
	u32 at;

	for (at = F_STACK; at < F_STACK_END; at += 8)
		put64(mem, at, rnd(r) & keep);
}

void fuzz_mem_fill(struct rnd *r, u8 *mem, u32 mistakes)
{
	memset(mem, 0, F_CODE);
	fill_tables(mem);
	fill_gdt(mem);
	fill_idt(r, mem);
	fill_handlers(r, mem);
	fill_stack(r, mem);
	fuzz_code(r, mem + F_CODE, mem + F_CODE + 0x2000);
	memcpy(mem + F_CODE, apic_on, sizeof(apic_on));
	rnd_mutate(r, mem, F_CODE, fuzz_tame() ? 0 : mistakes);
}

/* ---- code ---- */

struct insn {
	u8 bytes;
	u8 code[11];
};

/* What a hypervisor sees. */
static const struct insn exiting[] = {
	{ 2, { 0x0f, 0xa2 } },				/* cpuid */
	{ 2, { 0x0f, 0x32 } }, { 2, { 0x0f, 0x30 } },	/* rdmsr, wrmsr */
	{ 3, { 0x0f, 0x01, 0xd9 } },			/* vmmcall */
	{ 3, { 0x0f, 0x01, 0xc1 } },			/* vmcall */
	{ 1, { 0xf4 } }, { 2, { 0xfb, 0xf4 } },		/* hlt; sti; hlt */
	{ 2, { 0xe4, 0x60 } }, { 2, { 0xe6, 0x80 } }, { 1, { 0xec } }, { 1, { 0xee } },
	{ 1, { 0xed } }, { 1, { 0xef } }, { 2, { 0x66, 0xef } },
	{ 1, { 0x6c } }, { 2, { 0xf3, 0x6e } }, { 2, { 0xf3, 0x6d } }, /* ins, outs */
	{ 2, { 0x0f, 0x09 } }, { 2, { 0x0f, 0x08 } },	/* wbinvd, invd */
	{ 2, { 0xf3, 0x90 } },				/* pause */
	{ 3, { 0x0f, 0x01, 0xd1 } }, { 3, { 0x0f, 0x01, 0xd0 } }, /* xsetbv, xgetbv */
	{ 3, { 0x0f, 0x01, 0xd8 } }, { 3, { 0x0f, 0x01, 0xda } }, /* vmrun, vmload */
	{ 3, { 0x0f, 0x01, 0xdb } }, { 3, { 0x0f, 0x01, 0xdc } }, /* vmsave, stgi */
	{ 3, { 0x0f, 0x01, 0xdd } }, { 3, { 0x0f, 0x01, 0xde } }, /* clgi, skinit */
	{ 3, { 0x0f, 0x01, 0xdf } },			/* invlpga */
	{ 2, { 0x0f, 0xaa } }, { 2, { 0x0f, 0x33 } },	/* rsm, rdpmc */
	{ 3, { 0x0f, 0x01, 0xc8 } }, { 3, { 0x0f, 0x01, 0xc9 } }, /* monitor, mwait */
};

/* What changes how it sees it. */
static const struct insn changing[] = {
	{ 3, { 0x0f, 0x20, 0xc0 } }, { 3, { 0x0f, 0x22, 0xc0 } }, /* mov cr0 */
	{ 3, { 0x0f, 0x22, 0xd8 } }, { 3, { 0x0f, 0x22, 0xe0 } }, /* mov cr3, cr4 */
	{ 4, { 0x44, 0x0f, 0x22, 0xc0 } },		/* mov cr8 */
	{ 3, { 0x0f, 0x21, 0xf8 } }, { 3, { 0x0f, 0x23, 0xf8 } }, /* mov dr7 */
	{ 3, { 0x0f, 0x23, 0xf0 } }, { 3, { 0x0f, 0x23, 0xc0 } }, /* mov dr6, dr0 */
	{ 3, { 0x0f, 0x01, 0x38 } },			/* invlpg (rax) */
	{ 3, { 0x0f, 0x01, 0x10 } }, { 3, { 0x0f, 0x01, 0x18 } }, /* lgdt, lidt */
	{ 3, { 0x0f, 0x01, 0xf0 } },			/* lmsw */
	{ 2, { 0x0f, 0x06 } },				/* clts */
	{ 3, { 0x0f, 0x00, 0xd8 } }, { 3, { 0x0f, 0x00, 0xd0 } }, /* ltr, lldt */
	{ 1, { 0xcf } }, { 2, { 0x48, 0xcf } },		/* iret */
	{ 2, { 0x0f, 0x05 } }, { 3, { 0x48, 0x0f, 0x07 } },	/* syscall, sysret */
	{ 2, { 0x0f, 0x34 } }, { 2, { 0x0f, 0x35 } },	/* sysenter, sysexit */
	{ 3, { 0x0f, 0x01, 0xf8 } }, { 3, { 0x0f, 0x01, 0xf9 } }, /* swapgs, rdtscp */
	{ 2, { 0x0f, 0x31 } }, { 2, { 0x0f, 0x0b } },	/* rdtsc, ud2 */
	{ 1, { 0xcc } }, { 1, { 0xf1 } }, { 2, { 0xcd, 0x80 } }, { 2, { 0xcd, 0x02 } },
	{ 2, { 0xcd, 0x08 } }, { 2, { 0xcd, 0x0e } },	/* int n */
	{ 1, { 0xfa } }, { 1, { 0xfb } }, { 1, { 0x9c } }, { 1, { 0x9d } },
	{ 2, { 0x8e, 0xd0 } }, { 2, { 0x8e, 0xd8 } }, { 2, { 0x8e, 0xe0 } }, /* mov sreg */
	{ 2, { 0xf7, 0xf1 } }, { 2, { 0x0f, 0x77 } }, { 2, { 0xdb, 0xe3 } },
	{ 3, { 0x0f, 0xae, 0x00 } }, { 3, { 0x0f, 0xae, 0x08 } },
	{ 3, { 0x0f, 0xae, 0x20 } }, { 3, { 0x0f, 0xae, 0x28 } }, /* xsave, xrstor */
	{ 3, { 0x0f, 0x01, 0xef } }, { 3, { 0x0f, 0x01, 0xee } }, /* wrpkru, rdpkru */
	{ 3, { 0x0f, 0x01, 0xca } }, { 3, { 0x0f, 0x01, 0xcb } }, /* clac, stac */
	{ 5, { 0x66, 0x0f, 0x38, 0x82, 0x08 } },	/* invpcid */
	{ 3, { 0x0f, 0x01, 0xfd } },			/* rdpru */
	{ 3, { 0x0f, 0x01, 0xfe } }, { 3, { 0x0f, 0x01, 0xff } }, /* invlpgb, tlbsync */
	{ 2, { 0x89, 0x00 } }, { 2, { 0x8b, 0x00 } }, { 2, { 0x86, 0x00 } },
	{ 3, { 0xf0, 0x01, 0x03 } }, { 2, { 0xf3, 0xa4 } }, { 2, { 0xf3, 0xab } },
	{ 6, { 0xc7, 0x05, 0x02, 0x00, 0x00, 0x00 } },	/* into its own stream */
	{ 2, { 0xff, 0xe0 } }, { 2, { 0xff, 0xd0 } }, { 1, { 0xc3 } }, { 1, { 0xcb } },
	{ 2, { 0xeb, 0xfe } }, { 2, { 0xeb, 0xf0 } }, { 2, { 0xe2, 0xf8 } },
	{ 7, { 0xea, 0x00, 0x00, 0x01, 0x00, 0x18, 0x00 } },	/* far jump */
};

static const u32 msrs[] = {
	0x10, 0x1b, 0x17, 0x3a, 0x3b, 0x48, 0x49, 0x8b, 0xfe, 0x10a, 0x10b, 0x140, 0x174,
	0x175, 0x176, 0x179, 0x17a, 0x186, 0x1a0, 0x1d9, 0x200, 0x201, 0x250, 0x26f, 0x277,
	0x2ff, 0x400, 0x6e0, 0x802, 0x808, 0x80b, 0x80f, 0x828, 0x830, 0x832, 0x838, 0x83e,
	0x83f, 0x8ff, 0xda0, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,
	0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0xc0010015, 0xc0010114, 0xc0010117,
	0xc001011f, 0xc0011029, 0x40000000, 0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03,
	0x4b564d04, 0x4b564d05, 0x4b564d06, 0x11, 0x12, POSADA_MSR_HYPERCALL,
};

static const u32 calls[] = {
	POSADA_HC_FEATURES, POSADA_HC_DOORBELL, POSADA_HC_KICK, POSADA_HC_YIELD_TO,
	POSADA_HC_SEND_IPI, POSADA_HC_FLUSH_TLB, POSADA_HC_CLOCK_PAIRING, POSADA_HC_CRASH,
	POSADA_HC_SHUTDOWN, POSADA_HC_COUNT + POSADA_HC_BASE, POSADA_HC_USER_BASE,
	POSADA_HC_USER_END - 1, POSADA_HC_USER_END, 1, 4, 5, 9, 10, 11, 12, 13, 0xffffffff,
};

/* MOV imm32 to a register: 32 bits wide in all modes but real. */
static u8 *load(u8 *at, u8 *end, u32 reg, u32 v)
{
	if (at + 5 > end)
		return end;
	*at++ = 0xb8 + reg;
	memcpy(at, &v, 4);
	return at + 4;
}

static u8 *copy(u8 *at, u8 *end, const u8 *code, u32 bytes)
{
	if (at + bytes > end)
		return end;
	memcpy(at, code, bytes);
	return at + bytes;
}

#define CR0_PG		BIT(31)
#define CR4_PAE		BIT(5)
#define MSR_EFER	0xc0000080
#define MSR_STAR	0xc0000081
#define EFER_LME	BIT(8)

/* Tame guests never come near EFER: see fuzz_spare_emulator(). */
static u32 some_msr(struct rnd *r)
{
	u32 msr = RND_OF(r, msrs);

	return msr == MSR_EFER && fuzz_tame() && host_is_tcg() ? MSR_STAR : msr;
}

/* An interesting instruction needs interesting registers. */
static u8 *one_with_operands(struct rnd *r, u8 *at, u8 *end)
{
	static const u8 wrmsr[] = { 0x0f, 0x30 }, rdmsr[] = { 0x0f, 0x32 };
	static const u8 call[] = { 0x0f, 0x01, 0xd9 };
	u32 icr = rnd(r) & 0xc7fff;

	switch (rnd_below(r, 5)) {
	case 0:	/* an IPI */
		at = load(at, end, POSADA_RCX, X2(APIC_ICR));
		at = load(at, end, POSADA_RAX, icr);
		at = load(at, end, POSADA_RDX, rnd_below(r, 8));
		return copy(at, end, wrmsr, sizeof(wrmsr));
	case 1:
		at = load(at, end, POSADA_RAX, RND_OF(r, calls));
		at = load(at, end, POSADA_RDI, rnd_value(r));
		at = load(at, end, POSADA_RSI, rnd_value(r));
		at = load(at, end, POSADA_RDX, rnd_below(r, 70));
		at = load(at, end, POSADA_RBX, rnd_below(r, 16));
		at = load(at, end, POSADA_RCX, rnd_gpa(r, FUZZ_MEM_BYTES));
		return copy(at, end, call, sizeof(call));
	case 2:
		at = load(at, end, POSADA_RCX, some_msr(r));
		return copy(at, end, rdmsr, sizeof(rdmsr));
	default:
		at = load(at, end, POSADA_RCX, rnd_one_in(r, 4) ? rnd_below(r, 0x100) + 0x800 :
			  some_msr(r));
		at = load(at, end, POSADA_RAX, rnd_value(r));
		at = load(at, end, POSADA_RDX, rnd_one_in(r, 2) ? 0 : rnd_value(r));
		return copy(at, end, wrmsr, sizeof(wrmsr));
	}
}

void fuzz_code(struct rnd *r, u8 *at, u8 *end)
{
	bool tame = fuzz_tame();
	const struct insn *i;
	u32 noise = 1 + rnd_below(r, 20);
	u64 v;

	while (at < end) {
		if (!tame && rnd_one_in(r, noise)) {
			*at++ = rnd(r);
		} else if (rnd_one_in(r, 3)) {
			at = one_with_operands(r, at, end);
		} else if (rnd_one_in(r, 4)) {
			v = rnd_one_in(r, 2) ? rnd_gpa(r, FUZZ_MEM_BYTES) : rnd_value(r);
			at = load(at, end, rnd_below(r, 4), v);
		} else {
			i = tame || rnd_one_in(r, 2) ? &RND_OF(r, exiting) : &RND_OF(r, changing);
			at = copy(at, end, i->code, i->bytes);
		}
	}
}

/* ---- registers ---- */

static struct posada_segment seg(u16 selector, u16 attr, u64 base, u32 limit)
{
	return (struct posada_segment){ base, limit, selector, attr };
}

static void all_data(struct posada_sregs *s, struct posada_segment data)
{
	u32 i;

	for (i = POSADA_ES; i <= POSADA_GS; i++)
		s->seg[i] = data;
}

/* Control registers and EFER by mode; the rest of a mode is in its segments. */
static const struct {
	u64 cr0, cr3, cr4, efer;
} controls[NR_MODES] = {
	[MODE_REAL]	= { 0x10, 0, 0, 0 },
	[MODE_PROT16]	= { 0x31, 0, 0, 0 },
	[MODE_PROT32]	= { 0x31, 0, 0x600, 0 },
	[MODE_PAGED32]	= { 0x80010033, F_PD32, 0x610, 0 },
	[MODE_PAE]	= { 0x80010033, F_PAE_PDPT, 0x620, 0x800 },
	[MODE_V86]	= { 0x31, 0, 0, 0 },
	[MODE_COMPAT]	= { 0x80010033, F_PML4, 0x620, 0xd01 },
	[MODE_LONG]	= { 0x80010033, F_PML4, 0x620, 0xd01 },
	[MODE_USER64]	= { 0x80010033, F_PML4, 0x620, 0xd01 },
};

static void segments(enum fuzz_mode mode, struct posada_sregs *s)
{
	switch (mode) {
	case MODE_REAL:
		all_data(s, seg(0, 0x93, 0, 0xffff));
		s->seg[POSADA_CS] = seg(F_CODE >> 4, 0x9b, F_CODE, 0xffff);
		break;
	case MODE_V86:
		all_data(s, seg(0, 0xf3, 0, 0xffff));
		s->seg[POSADA_CS] = seg(F_CODE >> 4, 0xf3, F_CODE, 0xffff);
		break;
	case MODE_PROT16:
		all_data(s, seg(SEL_DATA16, 0x93, 0, 0xffff));
		s->seg[POSADA_CS] = seg(SEL_CODE16, 0x9b, F_CODE, 0xffff);
		break;
	case MODE_LONG:
		all_data(s, seg(SEL_DATA, 0xc93, 0, ~0U));
		s->seg[POSADA_CS] = seg(SEL_CODE64, 0xa9b, 0, ~0U);
		break;
	case MODE_USER64:
		all_data(s, seg(SEL_UDATA, 0xcf3, 0, ~0U));
		s->seg[POSADA_CS] = seg(SEL_UCODE64, 0xafb, 0, ~0U);
		s->cpl = 3;
		break;
	default:
		all_data(s, seg(SEL_DATA, 0xc93, 0, ~0U));
		s->seg[POSADA_CS] = seg(SEL_CODE32, 0xc9b, 0, ~0U);
	}
}

enum fuzz_mode fuzz_mode(struct rnd *r)
{
	enum fuzz_mode mode = rnd_below(r, NR_MODES);

	/* See fill_stack(). */
	if (mode == MODE_V86 && host_is_tcg())
		mode = MODE_PAE;
	return mode;
}

void fuzz_state(struct rnd *r, enum fuzz_mode mode, struct posada_regs *regs,
		struct posada_sregs *s)
{
	bool based = mode == MODE_REAL || mode == MODE_V86 || mode == MODE_PROT16;
	bool narrow = mode == MODE_REAL || mode == MODE_V86;
	u32 i;

	memset(s, 0, sizeof(*s));
	segments(mode, s);
	s->seg[POSADA_LDTR] = seg(0, 0x82, 0, 0xffff);
	s->seg[POSADA_TR] = seg(SEL_TSS, 0x8b, F_TSS, 0x67);
	s->gdt = (struct posada_table){ .base = F_GDT, .limit = 0xfff };
	s->idt = (struct posada_table){ .base = F_IDT32, .limit = 0x7ff };
	if (mode >= MODE_COMPAT)
		s->idt = (struct posada_table){ .base = F_IDT64, .limit = 0xfff };
	if (narrow)
		s->idt = (struct posada_table){ .base = F_IVT, .limit = 0x3ff };
	s->cr0 = controls[mode].cr0;
	s->cr3 = controls[mode].cr3;
	s->cr4 = controls[mode].cr4;
	s->efer = controls[mode].efer;
	for (i = 0; i < POSADA_NR_REGS; i++)
		regs->gpr[i] = rnd_one_in(r, 2) ? rnd_gpa(r, FUZZ_MEM_BYTES) : rnd_value(r);
	regs->gpr[POSADA_RSP] = narrow || mode == MODE_PROT16 ? 0xf000 : F_STACK_END - 0x1000;
	regs->rip = (based ? 0 : F_CODE) + (rnd_one_in(r, 2) ? 0 : rnd_below(r, 0x1800));
	regs->rflags = 2 | (mode == MODE_V86 ? BIT(17) | 0x3000 : 0) |
		       (rnd_one_in(r, 2) ? BIT(9) : 0) | (rnd_one_in(r, 8) ? BIT(8) : 0);
}

void fuzz_spare_emulator(struct posada_sregs *s)
{
	/* The exit of such a guest leaves the host without paging. */
	if (host_is_tcg() && (s->efer & EFER_LME) && !(s->cr0 & CR0_PG))
		s->cr4 |= CR4_PAE;
}

/* ---- hypercalls ---- */

static u64 some_argument(struct rnd *r)
{
	switch (rnd_below(r, 4)) {
	case 0:
		return FUZZ_CALL_GPA + 4096;
	case 1:
		return rnd_below(r, 70);
	case 2:
		return rnd_below(r, FUZZ_MEM_BYTES >> 12) << 12;
	default:
		return rnd_value(r);
	}
}

static u64 some_hypercall(struct rnd *r)
{
	if (rnd_one_in(r, 4))
		return rnd_below(r, 14);	/* KVM's, and others */
	return POSADA_HC_BASE + rnd_below(r, POSADA_HC_COUNT + 1);
}

static bool host_is_intel(void)
{
	u32 a, b, c, d;

	__cpuid(0, a, b, c, d);
	return c == 0x6c65746e;	/* the end of its name, "ntel" */
}

void fuzz_hypercall(struct rnd *r, struct fuzz_call *call, struct posada_regs *regs,
		    const struct posada_sregs *s)
{
	static const u8 args[] = {
		POSADA_RDI, POSADA_RSI, POSADA_RDX, POSADA_R10, POSADA_R8, POSADA_RBX, POSADA_RCX,
	};
	/* Rarely the other vendor's, which is #UD unless the guest asked for it. */
	bool vmcall = host_is_intel() != rnd_one_in(r, 8);
	const u8 code[] = { 0x0f, 0x01, vmcall ? 0xc1 : 0xd9, 0xe6, 0x80 };	/* it; OUT */
	const u32 nops = 32;	/* an event's handler may skip some */
	u32 i, j;

	memset(call, 0, sizeof(*call));
	memset(call->code, 0x90, nops);
	memcpy(call->code + nops, code, sizeof(code));
	for (i = 0; i < ARRAY_SIZE(call->batch); i++) {
		call->batch[i].nr = some_hypercall(r);
		for (j = 0; j < ARRAY_SIZE(call->batch[i].arg); j++)
			call->batch[i].arg[j] = some_argument(r);
	}
	regs->rip = FUZZ_CALL_GPA - s->seg[POSADA_CS].base;
	regs->gpr[POSADA_RAX] = some_hypercall(r);
	for (i = 0; i < ARRAY_SIZE(args); i++)
		regs->gpr[args[i]] = some_argument(r);
}
