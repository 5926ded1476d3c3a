// SPDX-License-Identifier: GPL-2.0
/*
 * Intercepted instructions as the guest sees them: each length and prefix, the
 * faults of each, single-stepping over them, the interrupt shadow before them.
 * Nothing here leaves the kernel but to report.
 */
#include <string.h>

#include "vm.h"

static struct vm *run_guest(void (*fn)(void))
{
	struct vm *vm = vm_new(1);

	vcpu_start(vm->vcpu[0], fn, 0);
	vcpu_done(vm->vcpu[0]);
	return vm;
}

/* ---- lengths ---- */

/*
 * Each is followed by three INC RSI: skip too little, and garbage runs (or it
 * exits again); too much, and one is lost.
 */
#define COUNTED(insn, ...) do {						\
	u64 n_ = 0, a_ = 0, b_, c_ = 0, d_ = 0;				\
	asm volatile(insn "\n\tinc %%rsi; inc %%rsi; inc %%rsi"		\
		     : "+S"(n_), "+a"(a_), "=b"(b_), "+c"(c_), "+d"(d_)	\
		     : : "memory", "cc");				\
	if (n_ != 3)							\
		g_report(__FILE__, __LINE__, insn, n_, 3);		\
} while (0)

static void guest_cpuid_prefixes(void)
{
	COUNTED("cpuid");
	COUNTED(".byte 0x66, 0x0f, 0xa2");
	COUNTED(".byte 0x48, 0x0f, 0xa2");
	COUNTED(".byte 0x4f, 0x0f, 0xa2");
	COUNTED(".byte 0xf2, 0x0f, 0xa2");
	COUNTED(".byte 0xf3, 0x0f, 0xa2");
	COUNTED(".byte 0x2e, 0x0f, 0xa2");
	COUNTED(".byte 0x64, 0x66, 0x67, 0xf3, 0x48, 0x0f, 0xa2");
	/* Fifteen bytes, the longest there is. */
	COUNTED(".byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x0f, 0xa2");
}

TEST(cpuid_prefixes)
{
	struct vm *vm = run_guest(guest_cpuid_prefixes);

	EXPECT_EQ(vcpu_stat(vm->vcpu[0], POSADA_STAT_CPUID), 9);
}

static void guest_msr_prefixes(void)
{
	COUNTED("mov $0x3b, %%ecx; rdmsr");
	COUNTED("mov $0x3b, %%ecx; .byte 0x66, 0x0f, 0x32");
	COUNTED("mov $0x3b, %%ecx; .byte 0x48, 0x0f, 0x32");
	COUNTED("mov $0x3b, %%ecx; .byte 0x3e, 0xf2, 0x41, 0x0f, 0x32");
	COUNTED("mov $0x3b, %%ecx; wrmsr");
	COUNTED("mov $0x3b, %%ecx; .byte 0x66, 0x0f, 0x30");
	COUNTED("mov $0x3b, %%ecx; .byte 0x65, 0x48, 0x0f, 0x30");
}

TEST(msr_prefixes)
{
	run_guest(guest_msr_prefixes);
}

static void guest_other_prefixes(void)
{
	COUNTED("wbinvd");
	COUNTED(".byte 0x66, 0x0f, 0x09");
	COUNTED("invd");
	COUNTED(".byte 0x2e, 0x48, 0x0f, 0x08");
	COUNTED("pause");
	COUNTED(".byte 0xf3, 0x48, 0x90");
	COUNTED("out %%al, $0x80");
	COUNTED(".byte 0x66, 0x67, 0xe6, 0x80");
	COUNTED(".byte 0x48, 0xe6, 0x80");
	COUNTED("mov $0x80, %%dx; .byte 0xf3, 0x2e, 0xee");
}

TEST(other_prefixes)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	int i;

	vcpu_start(v, guest_other_prefixes, 0);
	for (i = 0; i < 4; i++) {
		vcpu_expect(v, POSADA_EXIT_PORT);
		EXPECT_EQ(v->run->port.port, 0x80);
		EXPECT_EQ(v->run->port.len, 1);
	}
	vcpu_done(v);
	/* The host's caches are not the guest's to empty: WBINVD and INVD exit. */
	EXPECT_GE(vcpu_stat(v, POSADA_STAT_OTHER), 4);
}

/* HLT wakes by the self-IPI that is already there. */
static void guest_hlt_prefixes(void)
{
	int i;

	g_apic_on();
	g_handlers[0x40] = g_eoi_handler;
	for (i = 0; i < 4; i++) {
		g_cli();
		g_apic_write(APIC_SELF_IPI, 0x40);
		switch (i) {
		case 0:
			COUNTED("sti; hlt");
			break;
		case 1:
			COUNTED("sti; .byte 0x66, 0xf4");
			break;
		case 2:
			COUNTED("sti; .byte 0x48, 0xf4");
			break;
		case 3:
			COUNTED("sti; .byte 0xf3, 0x2e, 0xf4");
			break;
		}
		G_EXPECT_EQ(READ(g_cpu()->count[0x40]), i + 1);
	}
}

TEST(hlt_prefixes)
{
	run_guest(guest_hlt_prefixes);
}

/* An instruction whose bytes lie in two pages. */
TEST(across_pages)
{
	static const u8 code[] = { 0x66, 0x0f, 0xa2, 0xc3 };	/* CPUID; RET */
	u32 split;

	for (split = 1; split < 3; split++) {
		struct vm *vm = vm_new(1);
		struct vcpu *v = vm->vcpu[0];
		u64 at = G_HEAP + 4096 - split;

		memcpy(gpa_ptr(vm, at), code, sizeof(code));
		vcpu_start_at(v, at, 0);
		vcpu_done(v);
		EXPECT_EQ(vcpu_stat(v, POSADA_STAT_CPUID), 1);
		vm_free(vm);
	}
}

/* ---- faults ---- */

static void guest_undefined(void)
{
	/* No virtualization in the guest, no SMM, nothing of that kind. */
	G_EXPECT_EQ(G_TRY("vmrun", "a"(0)), UD);
	G_EXPECT_EQ(G_TRY("vmload", "a"(0)), UD);
	G_EXPECT_EQ(G_TRY("vmsave", "a"(0)), UD);
	G_EXPECT_EQ(G_TRY("stgi", "a"(0)), UD);
	G_EXPECT_EQ(G_TRY("clgi", "a"(0)), UD);
	G_EXPECT_EQ(G_TRY("invlpga", "a"(0), "c"(0)), UD);
	G_EXPECT_EQ(G_TRY("skinit", "a"(0)), UD);
	G_EXPECT_EQ(G_TRY("rsm", "a"(0)), UD);
	G_EXPECT_EQ(G_TRY("vmxoff", "a"(0)), UD);
	G_EXPECT_EQ(G_TRY("vmlaunch", "a"(0)), UD);
	G_EXPECT_EQ(G_TRY("ud2", "a"(0)), UD);
	G_EXPECT_EQ(g_cpuid(0x80000001, 0).c & BIT(2), 0);	/* SVM */
	G_EXPECT_EQ(g_cpuid(1, 0).c & BIT(5), 0);		/* VMX */
	if (!(g_cpuid(1, 0).c & BIT(3)))
		G_EXPECT_EQ(G_TRY("monitor", "a"(G_HEAP), "c"(0), "d"(0)), UD);
	G_EXPECT_EQ(G_TRY("rdpmc", "c"(0x12345)), GP);
}

TEST(undefined)
{
	run_guest(guest_undefined);
}

static void guest_xsetbv(void)
{
	u64 all;
	struct g_cpuid c = g_cpuid(0xd, 0);

	/* Without CR4.OSXSAVE there is no such instruction. */
	G_EXPECT_EQ(G_TRY("xsetbv", "a"(1), "c"(0), "d"(0)), UD);
	G_EXPECT_EQ(g_cpuid(1, 0).c & BIT(27), 0);
	g_write_cr4(g_read_cr4() | BIT(18));
	G_EXPECT_TRUE(g_cpuid(1, 0).c & BIT(27));
	all = c.a | (u64)c.d << 32;
	G_EXPECT_EQ(G_TRY("xsetbv", "a"((u32)all), "c"(0), "d"((u32)(all >> 32))), -1);
	G_EXPECT_EQ(G_TRY("xsetbv", "a"(3), "c"(0), "d"(0)), -1);
	/* x87 is not optional; AVX wants SSE; others' bits; no XCR1. */
	G_EXPECT_EQ(G_TRY("xsetbv", "a"(0), "c"(0), "d"(0)), GP);
	G_EXPECT_EQ(G_TRY("xsetbv", "a"(2), "c"(0), "d"(0)), GP);
	G_EXPECT_EQ(G_TRY("xsetbv", "a"(5), "c"(0), "d"(0)), GP);
	G_EXPECT_EQ(G_TRY("xsetbv", "a"(3), "c"(0), "d"(0x80000000)), GP);
	G_EXPECT_EQ(G_TRY("xsetbv", "a"(3), "c"(1), "d"(0)), GP);
	G_EXPECT_EQ(G_TRY("xsetbv", "a"(3), "c"(0xffffffff), "d"(0)), GP);
	/* What the guest read last is still so. */
	{
		u32 lo, hi;

		asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
		G_EXPECT_EQ(lo, 3);
		G_EXPECT_EQ(hi, 0);
	}
	/* And it decides what CPUID says of the area's size. */
	G_EXPECT_EQ(g_cpuid(0xd, 0).b, 576);
}

TEST(xsetbv)
{
	struct vm *vm = vm_new(1);

	if (!(sys_info(vm->sys).xcr0 & ~3ULL))
		SKIP("the host has no XSAVE");
	vcpu_start(vm->vcpu[0], guest_xsetbv, 0);
	vcpu_done(vm->vcpu[0]);
}

/* At CPL 3: INT 0x80 with the vector in RAX, by a #GP handler that skips. */
extern const char user_probe[], user_probe_end[];
asm(".pushsection .text\n"
    "user_probe:\n"
    "	xor %ebx, %ebx\n"
    "	xor %eax, %eax; xor %ecx, %ecx; cpuid\n"	/* allowed */
    "	xor %ebx, %ebx\n"
    "	hlt\n	mov $0x3b, %ecx; rdmsr\n	wrmsr\n	wbinvd\n	invd\n"
    "	xor %ecx, %ecx; xsetbv\n	mov %cr0, %rax\n	mov %dr0, %rax\n"
    "	clts\n	invlpg (%rsp)\n	in $0x80, %al\n	out %al, $0x80\n	cli\n"
    "	rdpmc\n"
    "	int $0x80\n"
    "user_probe_end:\n"
    ".popsection");

static u32 user_faults;

static void on_user_gp(struct g_frame *f)
{
	static const u8 len[] = { 1, 2, 2, 2, 2, 3, 3, 3, 2, 4, 2, 2, 1, 2 };

	G_EXPECT_EQ(f->cs, G_UCODE64 | 3);
	G_EXPECT_EQ(f->error, 0);
	f->rip += len[user_faults++];
	/* The two that load ECX first. */
	f->rcx = 0x3b;
}

static void on_user_done(struct g_frame *f)
{
	(void)f;
	g_done(user_faults);
}

static void guest_cpl3(void)
{
	g_handlers[GP] = on_user_gp;
	g_handlers[0x80] = on_user_done;
	/* XSETBV's fault is the privilege, not the missing OSXSAVE. */
	if (g_cpuid(1, 0).c & BIT(26))
		g_write_cr4(g_read_cr4() | BIT(18));
	else
		g_handlers[UD] = on_user_gp;
	asm volatile("mov %%rsp, %%rax\n"
		     "push %[ss]; push %%rax; push $2; push %[cs]; push %[rip]; iretq"
		     : : [ss] "i"(G_UDATA | 3), [cs] "i"(G_UCODE64 | 3),
		     [rip] "r"((u64)user_probe) : "rax", "memory");
}

TEST(privilege)
{
	struct vm *vm = vm_new(1);

	vcpu_start(vm->vcpu[0], guest_cpl3, 0);
	EXPECT_EQ(vcpu_done(vm->vcpu[0]), 14);
}

/* ---- control registers ---- */

enum { STRICT, LAX_PE, LAX };

/*
 * QEMU checks few of these writes; what a CPU refuses it just does. Bochs with
 * SVM lets a guest have paging without protection.
 */
static void guest_cr(u64 lax)
{
	u64 cr0 = g_read_cr0(), cr4 = g_read_cr4(), cr3 = g_read_cr3();

	G_EXPECT_EQ(cr0 & 0x80000001, 0x80000001);
	G_EXPECT_EQ(cr3, G_PML4);
	if (lax == STRICT)
		G_EXPECT_EQ(G_TRY("mov %[v], %%cr0", [v] "r"(cr0 & ~1ULL)), GP);
	if (lax != LAX) {
		G_EXPECT_EQ(G_TRY("mov %[v], %%cr4", [v] "r"(cr4 | BIT(31))), GP);
		G_EXPECT_EQ(G_TRY("mov %[v], %%cr4", [v] "r"(cr4 | BIT(13))), GP);
		G_EXPECT_EQ(G_TRY("mov %[v], %%cr0", [v] "r"((cr0 | BIT(29)) & ~BIT(30))), GP);
		G_EXPECT_EQ(G_TRY("mov %[v], %%cr0", [v] "r"(cr0 | BIT(32))), GP);
		G_EXPECT_EQ(G_TRY("mov %[v], %%cr4", [v] "r"(cr4 & ~BIT(5))), GP);
		G_EXPECT_EQ(G_TRY("mov %[v], %%cr3", [v] "r"(BIT(60) | G_PML4)), GP);
		G_EXPECT_EQ(G_TRY("mov %[v], %%cr8", [v] "r"(16UL)), GP);
	}
	G_EXPECT_EQ(g_read_cr0(), cr0);
	G_EXPECT_EQ(g_read_cr4(), cr4);
	G_EXPECT_EQ(g_read_cr3(), cr3);
	/* And what is allowed is done: TS, CD, a flush by CR3. */
	g_write_cr0(cr0 | BIT(3));
	G_EXPECT_EQ(g_read_cr0(), cr0 | BIT(3));
	asm volatile("clts");
	G_EXPECT_EQ(g_read_cr0(), cr0);
	g_write_cr0(cr0 | BIT(30));
	G_EXPECT_EQ(g_read_cr0(), cr0 | BIT(30));
	g_write_cr0(cr0);
	g_write_cr3(cr3);
	g_write_cr2(0x123456789abcULL);
	G_EXPECT_EQ(g_read_cr2(), 0x123456789abcULL);
	g_write_cr8(9);
	G_EXPECT_EQ(g_read_cr8(), 9);
	g_write_cr8(0);
}

TEST(control_registers)
{
	struct vm *vm = vm_new(1);

	vcpu_start(vm->vcpu[0], guest_cr, host_is_tcg() ? LAX : host_is_bochs_svm() ? LAX_PE : STRICT);
	vcpu_done(vm->vcpu[0]);
}

/* The guest's bits that the host emulates by CPUID: none it was not offered. */
static void guest_cr4_by_cpuid(void)
{
	static const struct {
		u8 bit, reg, cpuid_bit;		/* reg: 0 leaf 7 EBX, 1 leaf 7 ECX, 2 leaf 1 ECX */
	} rows[] = {
		{ 20, 0, 7 }, { 21, 0, 20 }, { 16, 0, 0 }, { 11, 1, 2 }, { 22, 1, 3 },
		{ 18, 2, 26 }, { 17, 2, 17 }, { 12, 1, 16 },
	};
	struct g_cpuid c7 = g_cpuid(7, 0), c1 = g_cpuid(1, 0);
	u64 cr4 = g_read_cr4();
	u32 i, word;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		word = rows[i].reg == 0 ? c7.b : rows[i].reg == 1 ? c7.c : c1.c;
		if (word & (1U << rows[i].cpuid_bit))
			continue;
		if (G_TRY("mov %[v], %%cr4", [v] "r"(cr4 | BIT(rows[i].bit))) != GP)
			g_report(__FILE__, __LINE__, "CR4 bit not refused", rows[i].bit, GP);
	}
	/* LA57 cannot be switched in long mode, offered or not. */
	G_EXPECT_EQ(G_TRY("mov %[v], %%cr4", [v] "r"(cr4 ^ BIT(12))), GP);
}

TEST(cr4_follows_cpuid)
{
	if (host_is_tcg())
		SKIP("QEMU takes CR4 bits that it has no feature for");
	run_guest(guest_cr4_by_cpuid);
}

/* ---- single-stepping over what is intercepted ---- */

static u64 step_rip[32];
static u32 steps;

static void on_step(struct g_frame *f)
{
	G_EXPECT_EQ(g_read_dr6() & BIT(14), BIT(14));
	g_write_dr6(0xffff0ff0);
	if (steps < ARRAY_SIZE(step_rip))
		step_rip[steps++] = f->rip;
}

extern const char stepped[], stepped_end[];

static void guest_step(void)
{
	g_handlers[DB] = on_step;
	asm volatile("pushfq; orl $0x100, (%%rsp); popfq\n"
		     "stepped:\n"
		     "	nop\n"				/* 1 */
		     "	xor %%eax, %%eax; cpuid\n"	/* 2, 2 */
		     "	mov $0x3b, %%ecx; rdmsr\n"	/* 5, 2 */
		     "	wrmsr\n	wbinvd\n"	/* 2, 2; QEMU loses the step of a PAUSE */
		     "	out %%al, $0x80\n"		/* 2 */
		     "	nop\n"
		     "stepped_end:\n"
		     "pushfq; andl $~0x100, (%%rsp); popfq"
		     : : : "rax", "rbx", "rcx", "rdx", "memory", "cc");
}

/* A #DB after each, none twice, none left out. */
TEST(single_step)
{
	static const u8 len[] = { 1, 2, 2, 5, 2, 2, 2, 2, 1 };
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 at = (u64)stepped;
	u32 i;

	if (host_is_bochs_svm())
		SKIP("Bochs takes the trap of a step that exits into its host");
	vcpu_start(v, guest_step, 0);
	vcpu_expect(v, POSADA_EXIT_PORT);
	EXPECT_EQ(v->run->port.port, 0x80);
	vcpu_done(v);
	for (i = 0; i < ARRAY_SIZE(len); i++) {
		at += len[i];
		EXPECT_EQ(G(vm, step_rip[i]), at);
	}
	EXPECT_EQ(at, (u64)stepped_end);
}

/* ---- the interrupt shadow ---- */

static u64 irq_rip;

static void on_irq(struct g_frame *f)
{
	irq_rip = f->rip;
	g_eoi();
}

extern const char after_cpuid[], after_rdmsr[], after_hlt[];

/* An interrupt waits; STI holds it for one instruction, which is intercepted. */
static void guest_shadow(void)
{
	g_apic_on();
	g_handlers[0x40] = on_irq;
	g_apic_write(APIC_SELF_IPI, 0x40);
	asm volatile("xor %%eax, %%eax; sti; cpuid; after_cpuid: nop; nop; cli"
		     : : : "rax", "rbx", "rcx", "rdx", "memory");
	G_EXPECT_EQ(READ(irq_rip), after_cpuid);
	g_apic_write(APIC_SELF_IPI, 0x40);
	asm volatile("mov $0x3b, %%ecx; sti; rdmsr; after_rdmsr: nop; nop; cli"
		     : : : "rax", "rcx", "rdx", "memory");
	G_EXPECT_EQ(READ(irq_rip), after_rdmsr);
	/* STI, HLT: never lost, never asleep with one pending. */
	g_apic_write(APIC_SELF_IPI, 0x40);
	asm volatile("sti; hlt; after_hlt: nop; cli" : : : "memory");
	G_EXPECT_EQ(READ(irq_rip), after_hlt);
}

TEST(sti_shadow)
{
	run_guest(guest_shadow);
}

extern const char after_ss_cpuid[];

static void guest_ss_shadow(void)
{
	g_apic_on();
	g_handlers[0x40] = on_irq;
	g_sti();
	asm volatile("nop");
	/* MOV SS with the self-IPI between: the write to the MSR is the shadowed one. */
	asm volatile("mov %%ss, %%ebx\n"
		     "mov $0x83f, %%ecx; mov $0x40, %%eax; xor %%edx, %%edx\n"
		     "mov %%ebx, %%ss; wrmsr; after_ss_cpuid: nop; nop"
		     : : : "rax", "rbx", "rcx", "rdx", "memory");
	G_EXPECT_EQ(READ(irq_rip), after_ss_cpuid);
}

TEST(mov_ss_shadow)
{
	run_guest(guest_ss_shadow);
}

/* ---- debug registers ---- */

static void guest_dr(void)
{
	g_write_dr0(0x1111);
	g_write_dr1(0x2222);
	g_write_dr2(0x3333);
	g_write_dr3(0xffffffff80004444);
	G_EXPECT_EQ(g_read_dr0(), 0x1111);
	G_EXPECT_EQ(g_read_dr1(), 0x2222);
	G_EXPECT_EQ(g_read_dr2(), 0x3333);
	G_EXPECT_EQ(g_read_dr3(), 0xffffffff80004444);
	G_EXPECT_EQ(g_read_dr7(), 0x400);
	G_EXPECT_EQ(g_read_dr6() & 0xffff0ff0, 0xffff0ff0);
	G_EXPECT_EQ(G_TRY("mov %[v], %%dr7", [v] "r"(BIT(32))), GP);
	G_EXPECT_EQ(G_TRY("mov %[v], %%dr6", [v] "r"(BIT(32))), GP);
	/* DR4 and DR5 are the other two, until CR4.DE. */
	G_EXPECT_EQ(G_TRY("mov %%db4, %%r11", "a"(0)), -1);
	g_write_cr4(g_read_cr4() | BIT(3));
	G_EXPECT_EQ(G_TRY("mov %%db4, %%r11", "a"(0)), UD);
	g_write_cr4(g_read_cr4() & ~BIT(3));
}

TEST(debug_registers)
{
	run_guest(guest_dr);
}

static u32 watched;

static void on_watch(struct g_frame *f)
{
	(void)f;
	G_EXPECT_EQ(g_read_dr6() & 0xf, 1);
	g_write_dr6(0xffff0ff0);
}

/* Its own watchpoint: armed across exits, gone when disarmed. */
static void guest_watch(void)
{
	g_handlers[DB] = on_watch;
	g_write_dr0((u64)&watched);
	g_write_dr7(0xd0001 | 0x400);	/* L0, write, 4 bytes */
	g_cpuid(0, 0);
	WRITE(watched, 1);
	G_EXPECT_EQ(READ(g_cpu()->count[DB]), 1);
	g_sync(1);
	WRITE(watched, 2);
	G_EXPECT_EQ(READ(g_cpu()->count[DB]), 2);
	g_write_dr7(0x400);
	WRITE(watched, 3);
	G_EXPECT_EQ(READ(g_cpu()->count[DB]), 2);
}

TEST(guest_watchpoint)
{
	struct vm *vm = vm_new(1);

	if (host_is_bochs_svm())
		SKIP("Bochs intercepts a #DB before it has updated DR6");
	vcpu_start(vm->vcpu[0], guest_watch, 0);
	EXPECT_SYNC(vm->vcpu[0], 1);
	vcpu_done(vm->vcpu[0]);
}
