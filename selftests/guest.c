// SPDX-License-Identifier: GPL-2.0
/* The guest's exception entry and what guest code shares: see guest.h. */
#include "guest.h"

g_handler_fn g_handlers[256];

/*
 * 256 entry points of 16 bytes: those without an error code push a 0 in its
 * place. Then the general registers, in struct g_frame's order.
 */
asm(".pushsection .text\n"
    ".globl g_idt_stubs, g_return\n"
    ".align 16\n"
    "g_idt_stubs:\n"
    ".set vec, 0\n"
    ".rept 256\n"
    "	.align 16\n"
    "	.if !(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21 || vec == 29 || vec == 30)\n"
    "		push $0\n"
    "	.endif\n"
    "	.byte 0x68; .long vec\n"	/* push imm32: one size for all */
    "	.byte 0xe9; .long g_common - (. + 4)\n"
    "	.set vec, vec + 1\n"
    ".endr\n"
    ".align 16\n"
    "g_common:\n"
    "	push %rax; push %rcx; push %rdx; push %rbx; push %rbp; push %rsi; push %rdi\n"
    "	push %r8; push %r9; push %r10; push %r11; push %r12; push %r13; push %r14; push %r15\n"
    "	cld\n"
    "	mov %rsp, %rdi\n"
    "	call g_trap\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %r11; pop %r10; pop %r9; pop %r8\n"
    "	pop %rdi; pop %rsi; pop %rbp; pop %rbx; pop %rdx; pop %rcx; pop %rax\n"
    "	add $16, %rsp\n"
    "	iretq\n"
    "g_return:\n"
    "	xor %edi, %edi\n"
    "	call g_done_call\n"
    "	ud2\n"
    ".popsection\n");

__attribute__((used)) void g_done_call(u32 v);
void g_done_call(u32 v)
{
	g_done(v);
}

static void tell(struct g_report *r)
{
	g_outl(PORT_REPORT, (u32)(u64)r);
}

void g_report(const char *file, int line, const char *expr, u64 a, u64 b)
{
	struct g_report *r = &g_cpu()->report;

	r->file = file;
	r->expr = expr;
	r->line = line;
	r->a = a;
	r->b = b;
	tell(r);
}

static void unexpected(struct g_frame *f)
{
	struct g_report *r = &g_cpu()->report;

	r->file = NULL;
	r->frame = *f;
	r->cr2 = g_read_cr2();
	tell(r);
}

__attribute__((used)) void g_trap(struct g_frame *f);
void g_trap(struct g_frame *f)
{
	struct g_cpu *c = g_cpu();

	c->count[f->vector]++;
	if (f->vector < 32) {
		c->error = f->error;
		c->rip = f->rip;
		c->cr2 = g_read_cr2();
	}
	if (c->fixup && f->vector < 32 && f->vector != NMI) {
		c->vector = f->vector;
		f->rip = c->fixup;
		c->fixup = 0;
	} else if (g_handlers[f->vector]) {
		g_handlers[f->vector](f);
	} else {
		unexpected(f);
	}
}

void g_eoi_handler(struct g_frame *f)
{
	(void)f;
	g_eoi();
}

/*
 * Bochs tells a stale event when an EPT violation cuts short what the CPU
 * delivers by itself: have the tables at hand.
 */
void g_apic_on(void)
{
	(void)READ(*(u64 *)G_IDT);
	(void)READ(*(u64 *)G_GDT);
	g_wrmsr(MSR_APIC_BASE, g_rdmsr(MSR_APIC_BASE) | APIC_BASE_EN | APIC_BASE_X2);
	g_apic_write(APIC_SVR, 0x1ff);
}

u64 g_stop, g_laps[G_MAX_CPUS];

void g_own_pages(u64 id)
{
	u64 i, lap, *p;

	for (lap = 1; !READ(g_stop); lap++) {
		for (i = 0; i < G_OWN_PAGES; i++) {
			p = (u64 *)(G_HEAP + (id * G_OWN_PAGES + i) * 4096);
			if (lap > 1 && READ(*p) != (lap - 1) * (i + 1))
				g_report(__FILE__, __LINE__, "page, value", i, *p);
			WRITE(*p, lap * (i + 1));
		}
		g_cpuid(0, 0);
		WRITE(g_laps[id], lap);
	}
	g_done(0);
}
