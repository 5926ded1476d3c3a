// SPDX-License-Identifier: GPL-2.0
/*
 * gdb's view of the registers. One table gives the numbers, the layout of the
 * `g` packet, and target.xml.
 */
#include <stdio.h>
#include <string.h>

#include "gdb_regs.h"

/* The legacy area of an XSAVE image. */
#define FX_FCW		0
#define FX_FSW		2
#define FX_FTW		4	/* a bit each: not empty */
#define FX_FOP		6
#define FX_FIP		8
#define FX_FCS		12
#define FX_FDP		16
#define FX_FDS		20
#define FX_MXCSR	24
#define FX_ST		32
#define FX_XMM		160
#define FX_STRIDE	16
#define ST_BYTES	10
#define XMM_BYTES	16
#define NR_ST		8

enum feature { CORE, SSE, SEGMENTS, SYSTEM, NR_FEATURES };

enum place {
	IN_GPR, IN_RIP, IN_FLAGS, IN_SELECTOR, IN_FX, IN_TAGS, IN_BASE, IN_KGS,
	IN_CR0, IN_CR2, IN_CR3, IN_CR4, IN_CR8, IN_EFER, IN_GDT, IN_IDT,
};

struct reg {
	const char *name;
	const char *type;
	const char *group;	/* or NULL */
	uint8_t bits;
	uint8_t feature;
	uint8_t place;
	uint8_t bytes;		/* IN_FX: of it there, the rest is zero */
	uint16_t at;		/* which of them, or the offset in FX */
};

#define GPR(n, i, t)	{ n, t, NULL, 64, CORE, IN_GPR, 8, i }
#define SEL(n, i)	{ n, "int32", NULL, 32, CORE, IN_SELECTOR, 2, i }
#define ST(i)		{ "st" #i, "i387_ext", NULL, 80, CORE, IN_FX, \
			  ST_BYTES, FX_ST + FX_STRIDE * (i) }
#define FCTL(n, o, b)	{ n, "int", "float", 32, CORE, IN_FX, b, o }
#define XMM(i)		{ "xmm" #i, "vec128", NULL, 128, SSE, IN_FX, \
			  XMM_BYTES, FX_XMM + FX_STRIDE * (i) }
#define BASE(n, f, i)	{ n, "data_ptr", "system", 64, f, IN_BASE, 8, i }
#define SYS(n, p, t)	{ n, t, "system", 64, SYSTEM, p, 8, 0 }

/* The order of CORE and SSE is that of gdb itself: it is on the wire. */
static const struct reg table[] = {
	GPR("rax", POSADA_RAX, "int64"), GPR("rbx", POSADA_RBX, "int64"),
	GPR("rcx", POSADA_RCX, "int64"), GPR("rdx", POSADA_RDX, "int64"),
	GPR("rsi", POSADA_RSI, "int64"), GPR("rdi", POSADA_RDI, "int64"),
	GPR("rbp", POSADA_RBP, "data_ptr"), GPR("rsp", POSADA_RSP, "data_ptr"),
	GPR("r8", POSADA_R8, "int64"), GPR("r9", POSADA_R9, "int64"),
	GPR("r10", POSADA_R10, "int64"), GPR("r11", POSADA_R11, "int64"),
	GPR("r12", POSADA_R12, "int64"), GPR("r13", POSADA_R13, "int64"),
	GPR("r14", POSADA_R14, "int64"), GPR("r15", POSADA_R15, "int64"),
	{ "rip", "code_ptr", NULL, 64, CORE, IN_RIP, 8, 0 },
	{ "eflags", "x86_eflags", NULL, 32, CORE, IN_FLAGS, 4, 0 },
	SEL("cs", POSADA_CS), SEL("ss", POSADA_SS), SEL("ds", POSADA_DS),
	SEL("es", POSADA_ES), SEL("fs", POSADA_FS), SEL("gs", POSADA_GS),
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	FCTL("fctrl", FX_FCW, 2), FCTL("fstat", FX_FSW, 2),
	{ "ftag", "int", "float", 32, CORE, IN_TAGS, 2, 0 },
	FCTL("fiseg", FX_FCS, 2), FCTL("fioff", FX_FIP, 4),
	FCTL("foseg", FX_FDS, 2), FCTL("fooff", FX_FDP, 4),
	FCTL("fop", FX_FOP, 2),
	XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7),
	XMM(8), XMM(9), XMM(10), XMM(11), XMM(12), XMM(13), XMM(14), XMM(15),
	{ "mxcsr", "x86_mxcsr", "vector", 32, SSE, IN_FX, 4, FX_MXCSR },
	BASE("fs_base", SEGMENTS, POSADA_FS),
	BASE("gs_base", SEGMENTS, POSADA_GS),
	SYS("k_gs_base", IN_KGS, "data_ptr"),
	SYS("cr0", IN_CR0, "x86_cr0"), SYS("cr2", IN_CR2, "data_ptr"),
	SYS("cr3", IN_CR3, "int64"), SYS("cr4", IN_CR4, "x86_cr4"),
	SYS("cr8", IN_CR8, "int64"), SYS("efer", IN_EFER, "x86_efer"),
	SYS("gdt_base", IN_GDT, "data_ptr"), SYS("idt_base", IN_IDT, "data_ptr"),
	BASE("tr_base", SYSTEM, POSADA_TR),
};

#define NR_TABLE	(sizeof(table) / sizeof(*table))

/* ---- description ---- */

struct flag {
	uint8_t bit;
	const char *name;
};

static const struct flag eflags[] = {
	{ 0, "CF" }, { 2, "PF" }, { 4, "AF" }, { 6, "ZF" }, { 7, "SF" },
	{ 8, "TF" }, { 9, "IF" }, { 10, "DF" }, { 11, "OF" }, { 14, "NT" },
	{ 16, "RF" }, { 17, "VM" }, { 18, "AC" }, { 19, "VIF" }, { 20, "VIP" },
	{ 21, "ID" }, { 0, NULL }
};

static const struct flag mxcsr[] = {
	{ 0, "IE" }, { 1, "DE" }, { 2, "ZE" }, { 3, "OE" }, { 4, "UE" },
	{ 5, "PE" }, { 6, "DAZ" }, { 7, "IM" }, { 8, "DM" }, { 9, "ZM" },
	{ 10, "OM" }, { 11, "UM" }, { 12, "PM" }, { 15, "FZ" }, { 0, NULL }
};

static const struct flag cr0[] = {
	{ 0, "PE" }, { 1, "MP" }, { 2, "EM" }, { 3, "TS" }, { 4, "ET" },
	{ 5, "NE" }, { 16, "WP" }, { 18, "AM" }, { 29, "NW" }, { 30, "CD" },
	{ 31, "PG" }, { 0, NULL }
};

static const struct flag cr4[] = {
	{ 0, "VME" }, { 1, "PVI" }, { 2, "TSD" }, { 3, "DE" }, { 4, "PSE" },
	{ 5, "PAE" }, { 6, "MCE" }, { 7, "PGE" }, { 8, "PCE" },
	{ 9, "OSFXSR" }, { 10, "OSXMMEXCPT" }, { 11, "UMIP" },
	{ 12, "LA57" }, { 16, "FSGSBASE" }, { 17, "PCIDE" },
	{ 18, "OSXSAVE" }, { 20, "SMEP" }, { 21, "SMAP" }, { 22, "PKE" },
	{ 0, NULL }
};

static const struct flag efer[] = {
	{ 0, "SCE" }, { 8, "LME" }, { 10, "LMA" }, { 11, "NXE" },
	{ 14, "FFXSR" }, { 0, NULL }
};

static const struct {
	const char *name;
	uint8_t feature;
	uint8_t bytes;
	const struct flag *flags;
} types[] = {
	{ "x86_eflags", CORE, 4, eflags }, { "x86_mxcsr", SSE, 4, mxcsr },
	{ "x86_cr0", SYSTEM, 8, cr0 }, { "x86_cr4", SYSTEM, 8, cr4 },
	{ "x86_efer", SYSTEM, 8, efer },
};

static const char *const features[NR_FEATURES] = {
	[CORE] = "org.gnu.gdb.i386.core", [SSE] = "org.gnu.gdb.i386.sse",
	[SEGMENTS] = "org.gnu.gdb.i386.segments",
	[SYSTEM] = "org.posada.gdb.i386.system",
};

/* How an XMM register may be looked at. */
static void write_vector(FILE *f)
{
	static const struct {
		const char *name, *id, *type;
		int count;
	} parts[] = {
		{ "v4_float", "v4f", "ieee_single", 4 },
		{ "v2_double", "v2d", "ieee_double", 2 },
		{ "v16_int8", "v16i8", "int8", 16 },
		{ "v8_int16", "v8i16", "int16", 8 },
		{ "v4_int32", "v4i32", "int32", 4 },
		{ "v2_int64", "v2i64", "int64", 2 },
	};
	size_t i, n = sizeof(parts) / sizeof(*parts);

	for (i = 0; i < n; i++)
		fprintf(f, "<vector id=\"%s\" type=\"%s\" count=\"%d\"/>",
			parts[i].id, parts[i].type, parts[i].count);
	fputs("<union id=\"vec128\">", f);
	for (i = 0; i < n; i++)
		fprintf(f, "<field name=\"%s\" type=\"%s\"/>",
			parts[i].name, parts[i].id);
	fputs("<field name=\"uint128\" type=\"uint128\"/></union>", f);
}

static void write_types(FILE *f, unsigned int feature)
{
	const struct flag *flag;
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(*types); i++) {
		if (types[i].feature != feature)
			continue;
		fprintf(f, "<flags id=\"%s\" size=\"%u\">", types[i].name,
			types[i].bytes);
		for (flag = types[i].flags; flag->name; flag++)
			fprintf(f, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>",
				flag->name, flag->bit, flag->bit);
		fputs("</flags>", f);
	}
	if (feature == SSE)
		write_vector(f);
}

static void write_feature(FILE *f, unsigned int feature)
{
	const struct reg *reg;
	unsigned int i;

	fprintf(f, "<feature name=\"%s\">", features[feature]);
	write_types(f, feature);
	for (i = 0; i < NR_TABLE; i++) {
		reg = &table[i];
		if (reg->feature != feature)
			continue;
		fprintf(f, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"",
			reg->name, reg->bits, reg->type, i);
		if (reg->group)
			fprintf(f, " group=\"%s\"", reg->group);
		fputs("/>", f);
	}
	fputs("</feature>\n", f);
}

char *gdb_target_xml(size_t *bytes)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, bytes);
	unsigned int i;

	if (!f)
		return NULL;
	fputs("<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
	      "<target><architecture>i386:x86-64</architecture>\n", f);
	for (i = 0; i < NR_FEATURES; i++)
		write_feature(f, i);
	fputs("</target>\n", f);
	return fclose(f) ? NULL : text;
}

/* ---- values ---- */

unsigned int gdb_reg_count(void)
{
	return NR_TABLE;
}

size_t gdb_reg_bytes(unsigned int n)
{
	return n < NR_TABLE ? table[n].bits / 8 : 0;
}

/* Where a register is kept, and what of it is then dirty; NULL: read-only. */
static void *place_of(struct gdb_regs *r, const struct reg *reg,
		      uint32_t *dirty)
{
	struct posada_sregs *s = &r->sregs;

	*dirty = GDB_DIRTY_SREGS;
	switch (reg->place) {
	case IN_GPR:
		*dirty = GDB_DIRTY_REGS;
		return &r->regs.gpr[reg->at];
	case IN_RIP:
		*dirty = GDB_DIRTY_REGS;
		return &r->regs.rip;
	case IN_FLAGS:
		*dirty = GDB_DIRTY_REGS;
		return &r->regs.rflags;
	case IN_FX:
		*dirty = GDB_DIRTY_FX;
		return r->fx + reg->at;
	case IN_KGS:
		*dirty = GDB_DIRTY_KGS;
		return &r->kernel_gs_base;
	case IN_SELECTOR:
		return &s->seg[reg->at].selector;
	case IN_BASE:
		return &s->seg[reg->at].base;
	case IN_CR0:
		return &s->cr0;
	case IN_CR2:
		return &s->cr2;
	case IN_CR3:
		return &s->cr3;
	case IN_CR4:
		return &s->cr4;
	case IN_CR8:
		return &s->cr8;
	case IN_EFER:
		return &s->efer;
	case IN_GDT:
		return &s->gdt.base;
	case IN_IDT:
		return &s->idt.base;
	default:
		return NULL;
	}
}

/* The x87 tag word out of the short one: 3 empty, 2 special, 1 zero, 0 valid.
 * The short one goes by register, the stack in the image by its top.
 */
static uint16_t full_tags(const uint8_t *fx)
{
	unsigned int top = fx[FX_FSW + 1] >> 3 & 7, i, tag;
	uint16_t tags = 0, exponent;
	uint64_t mantissa;

	for (i = 0; i < NR_ST; i++) {
		const uint8_t *st = fx + FX_ST + FX_STRIDE * ((i - top) & 7);

		memcpy(&mantissa, st, 8);
		memcpy(&exponent, st + 8, 2);
		exponent &= 0x7fff;
		if (!(fx[FX_FTW] >> i & 1))
			tag = 3;
		else if (!exponent && !mantissa)
			tag = 1;
		else if (exponent == 0x7fff || !(mantissa >> 63))
			tag = 2;
		else
			tag = 0;
		tags |= (uint16_t)(tag << (2 * i));
	}
	return tags;
}

size_t gdb_reg_get(const struct gdb_regs *r, unsigned int n, uint8_t *to)
{
	const struct reg *reg = n < NR_TABLE ? &table[n] : NULL;
	uint32_t ignored;
	uint16_t tags;

	if (!reg)
		return 0;
	memset(to, 0, GDB_REG_BYTES);
	if (reg->place == IN_TAGS) {
		tags = full_tags(r->fx);
		memcpy(to, &tags, sizeof(tags));
	} else {
		memcpy(to, place_of((struct gdb_regs *)r, reg, &ignored),
		       reg->bytes);
	}
	return reg->bits / 8;
}

static void set_tags(struct gdb_regs *r, const uint8_t *from)
{
	uint16_t tags;
	int i;

	memcpy(&tags, from, sizeof(tags));
	r->fx[FX_FTW] = 0;
	for (i = 0; i < NR_ST; i++)
		if ((tags >> (2 * i) & 3) != 3)
			r->fx[FX_FTW] |= (uint8_t)(1 << i);
	r->dirty |= GDB_DIRTY_FX;
}

bool gdb_reg_set(struct gdb_regs *r, unsigned int n, const uint8_t *from)
{
	const struct reg *reg = n < NR_TABLE ? &table[n] : NULL;
	uint8_t now[GDB_REG_BYTES];
	uint32_t dirty;
	void *to;

	if (!reg)
		return false;
	gdb_reg_get(r, n, now);
	if (!memcmp(now, from, reg->bytes))
		return true;
	if (reg->place == IN_TAGS) {
		set_tags(r, from);
		return true;
	}
	/* A selector alone would not agree with its descriptor. */
	to = place_of(r, reg, &dirty);
	if (!to || reg->place == IN_SELECTOR)
		return false;
	memcpy(to, from, reg->bytes);
	r->dirty |= dirty;
	return true;
}
