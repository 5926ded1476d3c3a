// SPDX-License-Identifier: GPL-2.0
/*
 * The last words of a guest: why it died, and the state of the vCPU that it
 * died on, in the manner of a kernel's oops.
 */
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "machine.h"

#define DUMP_RECORDS	(1ULL << POSADA_REC_REGS | 1ULL << POSADA_REC_SREGS | \
			 1ULL << POSADA_REC_EVENTS)
#define CR0_PE		1ULL
#define EFER_LMA	(1ULL << 10)
#define INSN_BYTES	16
#define INSNS		4
#define STACK_WORDS	8

static const char *const gpr_names[POSADA_NR_REGS] = {
	"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
	"R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15",
};

static const char *const seg_names[POSADA_NR_SEGS] = {
	"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR",
};

typedef unsigned long long ull;

/* The state now, by the state ioctl, into the run page where dumps look. */
static bool refresh(struct posada_vcpu *vcpu)
{
	struct posada_run *run = posada_vcpu_page(vcpu);
	struct posada_stream s = { 0 };
	uint32_t bytes;
	void *rec;
	bool ok = false;

	if (!posada_vcpu_load(vcpu, DUMP_RECORDS, &s)) {
		rec = posada_stream_find(&s, POSADA_REC_REGS, &bytes);
		ok = rec && bytes == sizeof(run->regs);
		if (ok)
			memcpy(&run->regs, rec, bytes);
		rec = posada_stream_find(&s, POSADA_REC_SREGS, &bytes);
		ok = ok && rec && bytes == sizeof(run->sregs);
		if (ok)
			memcpy(&run->sregs, rec, bytes);
		rec = posada_stream_find(&s, POSADA_REC_EVENTS, &bytes);
		if (rec && bytes == sizeof(run->events))
			memcpy(&run->events, rec, bytes);
	}
	posada_stream_free(&s);
	return ok;
}

/* ---- what exited ---- */

static void dump_exit(FILE *f, const struct posada_run *run)
{
	const struct posada_exit_memory *m = &run->memory;

	if (run->exit == POSADA_EXIT_MEMORY)
		fprintf(f, "  exit  memory: gpa 0x%llx,%s%s%s%s%s%s\n",
			(ull)m->gpa,
			m->flags & POSADA_MEM_WRITE ? " write" :
			m->flags & POSADA_MEM_EXEC ? " fetch" : " read",
			m->flags & POSADA_MEM_WALK ? ", page walk" : "",
			m->flags & POSADA_MEM_FAULT ? ", host fault" : "",
			m->flags & POSADA_MEM_READONLY ? ", read-only" : "",
			m->flags & POSADA_MEM_DELIVERY ? ", event delivery" :
			"", m->insn_len ? "" : ", no instruction bytes");
	else if (run->exit == POSADA_EXIT_PORT)
		fprintf(f, "  exit  port 0x%x, %u bytes, %s\n",
			run->port.port, run->port.len,
			run->port.flags & POSADA_PORT_IN ? "in" : "out");
}

/* ---- registers ---- */

static void dump_regs(FILE *f, const struct posada_regs *r)
{
	/* In the order in which people look for them. */
	static const uint8_t order[] = {
		POSADA_RAX, POSADA_RBX, POSADA_RCX, POSADA_RDX,
		POSADA_RSI, POSADA_RDI, POSADA_RBP, POSADA_RSP,
		POSADA_R8, POSADA_R9, POSADA_R10, POSADA_R11,
		POSADA_R12, POSADA_R13, POSADA_R14, POSADA_R15,
	};
	unsigned int i;

	for (i = 0; i < POSADA_NR_REGS; i++)
		fprintf(f, "%s%s %016llx%s", i % 4 ? "  " : "  ",
			gpr_names[order[i]], (ull)r->gpr[order[i]],
			i % 4 == 3 ? "\n" : "");
}

static void dump_flags(FILE *f, uint64_t rflags)
{
	static const struct {
		uint8_t bit;
		const char *name;
	} flags[] = {
		{ 21, "ID" }, { 18, "AC" }, { 17, "VM" }, { 16, "RF" },
		{ 14, "NT" }, { 11, "OF" }, { 10, "DF" }, { 9, "IF" },
		{ 8, "TF" }, { 7, "SF" }, { 6, "ZF" }, { 4, "AF" },
		{ 2, "PF" }, { 0, "CF" },
	};
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (rflags >> flags[i].bit & 1)
			fprintf(f, " %s", flags[i].name);
}

static void dump_segments(FILE *f, const struct posada_sregs *s)
{
	int i;

	for (i = 0; i < POSADA_NR_SEGS; i++) {
		const struct posada_segment *g = &s->seg[i];

		fprintf(f, "  %-4s %04x  base %016llx  limit %08x  attr %04x%s\n",
			seg_names[i], g->selector, (ull)g->base, g->limit,
			g->attr, g->attr & POSADA_SEG_UNUSABLE ?
			"  unusable" : "");
	}
	fprintf(f, "  GDT        base %016llx  limit %08x\n",
		(ull)s->gdt.base, s->gdt.limit);
	fprintf(f, "  IDT        base %016llx  limit %08x\n",
		(ull)s->idt.base, s->idt.limit);
}

static void dump_control(FILE *f, const struct posada_sregs *s)
{
	fprintf(f, "  CR0 %016llx  CR2 %016llx  CR3 %016llx\n", (ull)s->cr0,
		(ull)s->cr2, (ull)s->cr3);
	fprintf(f, "  CR4 %016llx  CR8 %016llx  EFER %016llx\n",
		(ull)s->cr4, (ull)s->cr8, (ull)s->efer);
}

static void dump_event(FILE *f, const struct posada_events *e)
{
	static const char *const kinds[] = {
		"", "interrupt", "NMI", "exception",
	};

	if (!e->kind || e->kind > POSADA_EVENT_EXCEPTION)
		return;
	fprintf(f, "  event %s, vector %u", kinds[e->kind], e->vector);
	if (e->has_error_code)
		fprintf(f, ", error code 0x%x", e->error_code);
	fputc('\n', f);
}

/* ---- code ---- */

static ZydisMachineMode machine_mode(const struct posada_sregs *s)
{
	uint16_t attr = s->seg[POSADA_CS].attr;

	if (s->efer & EFER_LMA && attr & POSADA_SEG_L)
		return ZYDIS_MACHINE_MODE_LONG_64;
	if (!(s->cr0 & CR0_PE))
		return ZYDIS_MACHINE_MODE_REAL_16;
	return attr & POSADA_SEG_DB ? ZYDIS_MACHINE_MODE_LEGACY_32 :
				      ZYDIS_MACHINE_MODE_LEGACY_16;
}

static void dump_insn(FILE *f, const uint8_t *code, size_t bytes,
		      const char *text, uint64_t rip, bool first)
{
	size_t i;

	fprintf(f, "  %s %016llx  ", first ? "=>" : "  ", (ull)rip);
	for (i = 0; i < INSN_BYTES - 1; i++) {
		if (i < bytes)
			fprintf(f, "%02x ", code[i]);
		else if (i < 8)
			fputs("   ", f);
	}
	fprintf(f, " %s\n", text);
}

static void dump_code(FILE *f, struct posada_vcpu *vcpu)
{
	const struct posada_run *run = posada_vcpu_page(vcpu);
	ZydisMachineMode mode = machine_mode(&run->sregs);
	uint64_t rip = run->regs.rip, linear = rip;
	ZydisDisassembledInstruction insn;
	uint8_t code[INSN_BYTES * INSNS];
	size_t n, at = 0;
	int i;

	if (mode != ZYDIS_MACHINE_MODE_LONG_64)
		linear = (rip + run->sregs.seg[POSADA_CS].base) & 0xffffffff;
	n = posada_read_gva(vcpu, linear, code, sizeof(code));
	if (!n)
		fprintf(f, "  no code can be read at %016llx\n", (ull)linear);
	for (i = 0; i < INSNS && at < n; i++) {
		if (!ZYAN_SUCCESS(ZydisDisassembleIntel(mode, rip + at,
							code + at, n - at,
							&insn))) {
			dump_insn(f, code + at, n - at < 8 ? n - at : 8,
				  "(no instruction)", rip + at, !i);
			break;
		}
		dump_insn(f, code + at, insn.info.length, insn.text, rip + at,
			  !i);
		at += insn.info.length;
	}
}

/* The words at the top of the stack, as wide as the mode pushes them. */
static void dump_stack(FILE *f, struct posada_vcpu *vcpu)
{
	const struct posada_run *run = posada_vcpu_page(vcpu);
	bool wide = machine_mode(&run->sregs) == ZYDIS_MACHINE_MODE_LONG_64;
	size_t i, n, bytes = wide ? 8 : 4;
	uint64_t at = run->regs.gpr[POSADA_RSP], word;
	uint8_t data[STACK_WORDS * 8];

	if (!wide)
		at = (at + run->sregs.seg[POSADA_SS].base) & 0xffffffff;
	n = posada_read_gva(vcpu, at, data, STACK_WORDS * bytes) / bytes;
	for (i = 0; i < n; i++) {
		word = 0;
		memcpy(&word, data + i * bytes, bytes);
		fprintf(f, "%s%0*llx%s", i % 4 ? "  " : "  stack  ",
			(int)(2 * bytes), (ull)word,
			i % 4 == 3 || i + 1 == n ? "\n" : "");
	}
}

char *dump_death(struct machine *m, struct posada_vcpu *vcpu, const char *why)
{
	struct posada_run *run = posada_vcpu_page(vcpu);
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	if (!f)
		return NULL;
	fprintf(f, "posada: the guest died on vCPU %u of %u: %s\n",
		posada_vcpu_id(vcpu), m->nr_cpus, why);
	dump_exit(f, run);
	if (refresh(vcpu)) {
		dump_event(f, &run->events);
		fprintf(f, "  RIP %016llx  CPL %u  RFLAGS %08llx",
			(ull)run->regs.rip, run->sregs.cpl,
			(ull)run->regs.rflags);
		dump_flags(f, run->regs.rflags);
		fputc('\n', f);
		dump_regs(f, &run->regs);
		dump_control(f, &run->sregs);
		dump_segments(f, &run->sregs);
		dump_stack(f, vcpu);
		dump_code(f, vcpu);
	} else {
		fputs("  its registers cannot be read\n", f);
	}
	fclose(f);
	return text;
}
