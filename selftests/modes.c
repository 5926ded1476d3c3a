// SPDX-License-Identifier: GPL-2.0
/* CPU modes: real, protected, long, each kind of paging, task switch, INIT and SIPI. */
#include <string.h>

#include "vm.h"
#include "../userspace/internal.h"

#define BLOB(name)	extern const char name[], name##_end[]
#define BLOB_AT(vm, gpa, name) \
	memcpy(gpa_ptr(vm, gpa), name, name##_end - name)

/* ---- after reset ---- */

TEST(reset_state)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	struct posada_sregs s;
	struct posada_regs r;
	struct posada_rec_apic a;
	struct posada_dregs d;

	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_SREGS, &s, sizeof(s), NULL), 0);
	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_REGS, &r, sizeof(r), NULL), 0);
	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_DREGS, &d, sizeof(d), NULL), 0);
	EXPECT_EQ(s.cr0, 0x60000010);
	EXPECT_EQ(s.cr2 | s.cr3 | s.cr4 | s.cr8, 0);
	EXPECT_EQ(s.efer, 0);
	EXPECT_EQ(s.cpl, 0);
	EXPECT_EQ(s.seg[POSADA_CS].selector, 0xf000);
	EXPECT_EQ(s.seg[POSADA_CS].base, 0xffff0000);
	EXPECT_EQ(s.seg[POSADA_CS].limit, 0xffff);
	EXPECT_EQ(s.seg[POSADA_DS].base, 0);
	EXPECT_EQ(s.seg[POSADA_DS].limit, 0xffff);
	EXPECT_EQ(s.idt.limit, 0xffff);
	EXPECT_EQ(r.rip, 0xfff0);
	EXPECT_EQ(r.rflags, 2);
	EXPECT_EQ(r.gpr[POSADA_RAX], 0);
	EXPECT_EQ(r.gpr[POSADA_RSP], 0);
	EXPECT_EQ(d.dr6, 0xffff0ff0);
	EXPECT_EQ(d.dr7, 0x400);
	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_APIC, &a, sizeof(a), NULL), 0);
	EXPECT_EQ(a.base, 0xfee00900);
}

/* The first instruction is fetched at 4 GiB - 16: a "BIOS" slot there. */
BLOB(bios);
asm(".pushsection .text; .code16\n"
    "bios:\n"
    "	mov $0xd1, %dx; mov $0x1234abcd, %eax; out %eax, %dx\n"
    "	mov %cs, %ax; mov $0xd0, %dx; out %eax, %dx; hlt\n"
    "bios_end:\n"
    ".code64; .popsection");

TEST(first_instruction)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u8 *rom = map_anon(0x10000);

	/* At the vector a near jump back to the start of the segment. */
	memcpy(rom, bios, bios_end - bios);
	memcpy(rom + 0xfff0, "\xe9\x0d\x00", 3);
	slot_set(vm, 1, 0xffff0000, rom, 0x10000, POSADA_SLOT_READONLY);
	EXPECT_SYNC(v, 0x1234abcd);
	EXPECT_EQ(vcpu_done(v), 0x1234f000);
}

/* ---- real mode ---- */

/* INT through the vector table, far calls, a segment of its own, string moves. */
BLOB(real);
asm(".pushsection .text; .code16\n"
    "real:\n"
    "	xor %ax, %ax; mov %ax, %es\n"
    "	movw $(real_int - real + 0x1000), %es:(0x42 * 4); movw $0, %es:(0x42 * 4 + 2)\n"
    "	int $0x42\n"			/* -> BX */
    "	mov $0x2000, %ax; mov %ax, %es\n"
    "	mov $0x5aa5, %ax; mov $0x10, %di; stosw\n"	/* linear 0x20010 */
    "	lcall $0x100, $(real_far - real)\n"	/* the same code by another segment */
    "	movzx %bx, %eax; shl $16, %eax; mov %cx, %ax\n"
    "	mov $0xd0, %dx; out %eax, %dx; hlt\n"
    "real_int: mov $0x4242, %bx; iret\n"
    "real_far: mov %cs, %cx; lret\n"
    "real_end:\n"
    ".code64; .popsection");

TEST(real_mode)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	BLOB_AT(vm, G_LOW_CODE, real);
	vcpu_start_real(v, G_LOW_CODE);
	EXPECT_EQ(vcpu_done(v), 0x42420100);
	EXPECT_EQ(*(u16 *)gpa_ptr(vm, 0x20010), 0x5aa5);
}

/* CPUID and RDMSR with an address-size and an operand-size prefix, in 16 bits. */
BLOB(real_exits);
asm(".pushsection .text; .code16\n"
    "real_exits:\n"
    "	xor %si, %si; mov $0x1b, %ecx\n"
    "	.byte 0x66; cpuid; inc %si\n"
    "	mov $0x1b, %ecx\n"
    "	.byte 0x67, 0x66; rdmsr; inc %si\n"
    "	mov $0x40000000, %eax; cpuid; inc %si\n"
    "	mov %bx, %ax; mov $0xd1, %dx; out %eax, %dx\n"
    "	movzx %si, %eax; mov $0xd0, %dx; out %eax, %dx; hlt\n"
    "real_exits_end:\n"
    ".code64; .popsection");

TEST(real_mode_exits)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	BLOB_AT(vm, G_LOW_CODE, real_exits);
	vcpu_start_real(v, G_LOW_CODE);
	EXPECT_EQ(vcpu_sync(v) & 0xffff, POSADA_SIGNATURE_EBX & 0xffff);
	EXPECT_EQ(vcpu_done(v), 3);
}

/* An NMI through vector 2 of the table. */
BLOB(real_nmi);
asm(".pushsection .text; .code16\n"
    "real_nmi:\n"
    "	xor %ax, %ax; mov %ax, %es; xor %eax, %eax\n"
    "	movw $(real_nmi_at - real_nmi + 0x1000), %es:8; movw $0, %es:10\n"
    "	mov $0xd1, %dx; out %eax, %dx\n"
    "	nop; nop\n"
    "	mov $0xd0, %dx; out %eax, %dx; hlt\n"
    "real_nmi_at: mov $0x1111, %ax; iret\n"
    "real_nmi_end:\n"
    ".code64; .popsection");

TEST(real_mode_nmi)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	BLOB_AT(vm, G_LOW_CODE, real_nmi);
	vcpu_start_real(v, G_LOW_CODE);
	EXPECT_SYNC(v, 0);
	ASSERT_EQ(inject(v, POSADA_INJECT_NMI, 0), 0);
	EXPECT_EQ(vcpu_done(v), 0x1111);
}

/* ---- real -> protected -> long, by the guest itself ---- */

static struct { u16 limit; u32 base; } __attribute__((packed)) climb_gdt = { 0xfff, G_GDT };

BLOB(climb);
asm(".pushsection .text\n"
    ".code16\n"
    "climb:\n"
    "	mov $0xd1, %dx; mov $16, %eax; out %eax, %dx\n"
    "	lgdtl 0x1800\n"
    "	mov %cr0, %eax; or $1, %eax; mov %eax, %cr0\n"
    "	ljmpl $0x30, $(climb32 - climb + 0x1000)\n"
    ".code32\n"
    "climb32:\n"
    "	mov $0x10, %ax; mov %ax, %ds; mov %ax, %ss; mov %ax, %es\n"
    "	mov $0xd1, %edx; mov $32, %eax; out %eax, %dx\n"
    "	mov %cr4, %eax; or $0x20, %eax; mov %eax, %cr4\n"
    "	mov $0x10000, %eax; mov %eax, %cr3\n"
    "	mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr\n"
    "	mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0\n"
    "	mov $0xc0000080, %ecx; rdmsr; mov $0xd1, %edx; out %eax, %dx\n" /* LMA */
    "	ljmp $0x08, $(climb64 - climb + 0x1000)\n"
    ".code64\n"
    "climb64:\n"
    "	mov $0x1122334455667788, %rax; shr $32, %rax\n"
    "	mov $0xd1, %edx; out %eax, %dx\n"
    /* And down again: compatibility mode, paging off, real mode. */
    "	mov $0x7000, %esp; push $0x30; push $(climb_down - climb + 0x1000); lretq\n"
    ".code32\n"
    "climb_down:\n"
    "	mov %cr0, %eax; and $0x7fffffff, %eax; mov %eax, %cr0\n"
    "	mov $0xc0000080, %ecx; rdmsr; mov $0xd1, %edx; out %eax, %dx\n"
    "	and $~0x100, %eax; xor %edx, %edx; wrmsr\n"
    "	mov $0x40, %ax; mov %ax, %ds; mov %ax, %ss; mov %ax, %es\n"
    "	ljmp $0x38, $(climb16 - climb + 0x1000)\n"
    ".code16\n"
    "climb16:\n"
    "	mov %cr0, %eax; and $~1, %eax; mov %eax, %cr0\n"
    "	ljmp $0, $(climb_real - climb + 0x1000)\n"
    "climb_real:\n"
    "	mov $0xd0, %dx; mov $0x16, %eax; out %eax, %dx; hlt\n"
    "climb_end:\n"
    ".code64; .popsection");

TEST(real_to_long_and_back)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	BLOB_AT(vm, G_LOW_CODE, climb);
	memcpy(gpa_ptr(vm, 0x1800), &climb_gdt, sizeof(climb_gdt));
	vcpu_start_real(v, G_LOW_CODE);
	EXPECT_SYNC(v, 16);
	EXPECT_SYNC(v, 32);
	EXPECT_EQ(vcpu_sync(v) & 0x500, 0x500);
	EXPECT_SYNC(v, 0x11223344);
	EXPECT_EQ(vcpu_sync(v) & 0x500, 0x100);
	EXPECT_EQ(vcpu_done(v), 0x16);
}

/* ---- paging without long mode ---- */

/* Read [edi], write [esi], and say what was read. */
BLOB(paged32);
asm(".pushsection .text; .code32\n"
    "paged32:\n"
    "	mov (%edi), %eax; mov $0xd1, %edx; out %eax, %dx\n"
    "	movl $0x0badcafe, (%esi)\n"
    "	mov $0xd0, %edx; out %eax, %dx; hlt\n"
    "paged32_end:\n"
    ".code64; .popsection");

static void run_paged32(struct vcpu *v, u64 cr3, u64 cr4, u64 efer)
{
	struct vm *vm = v->vm;

	BLOB_AT(vm, G_SCRATCH, paged32);
	*(u32 *)gpa_ptr(vm, G_HEAP + 0x10) = 0xfeedface;
	vcpu_start_prot32(v, G_SCRATCH);
	v->run->sregs.cr0 = 0x80000033;
	v->run->sregs.cr3 = cr3;
	v->run->sregs.cr4 = cr4;
	v->run->sregs.efer = efer;
	v->run->regs.gpr[POSADA_RDI] = 0xc0000010;
	v->run->regs.gpr[POSADA_RSI] = 0xc0001020;
	EXPECT_SYNC(v, 0xfeedface);
	vcpu_done(v);
	EXPECT_EQ(*(u32 *)gpa_ptr(vm, G_HEAP + 0x1020), 0x0badcafe);
}

/* 32-bit paging: a 4 MiB page for the code, a table for the data. */
TEST(paging_32)
{
	struct vm *vm = vm_new(1);
	u32 *pd = gpa_ptr(vm, G_HEAP + 0x8000), *pt = gpa_ptr(vm, G_HEAP + 0x9000);
	struct posada_translate t = {
		.size = sizeof(t), .flags = POSADA_ACCESS_READ, .gva = 0xc0000010,
	};

	pd[0] = 0x83;			/* 4 MiB, supervisor, writable */
	pd[0xc0000000 >> 22] = (G_HEAP + 0x9000) | 3;
	pt[0] = G_HEAP | 3;
	pt[1] = (G_HEAP + 0x1000) | 3;
	run_paged32(vm->vcpu[0], G_HEAP + 0x8000, 0x10 /* PSE */, 0);
	/* The CPU has set accessed and dirty where they belong. */
	EXPECT_EQ(pt[0] & 0x60, 0x20);
	EXPECT_EQ(pt[1] & 0x60, 0x60);
	EXPECT_EQ(px(vm->vcpu[0]->fd, POSADA_TRANSLATE, &t), 0);
	EXPECT_EQ(t.gpa, G_HEAP + 0x10);
	t.gva = 0x2345;
	EXPECT_EQ(px(vm->vcpu[0]->fd, POSADA_TRANSLATE, &t), 0);
	EXPECT_EQ(t.page_bytes, 4 << 20);
}

/* 32 bytes, anywhere. */
#define PAE_ROOT	(G_HEAP + 0x8020)

static u64 *build_pae(struct vm *vm)
{
	u64 *pdpt = gpa_ptr(vm, PAE_ROOT), *pd0 = gpa_ptr(vm, G_HEAP + 0x9000);
	u64 *pd3 = gpa_ptr(vm, G_HEAP + 0xa000), *pt = gpa_ptr(vm, G_HEAP + 0xb000);

	pdpt[0] = (G_HEAP + 0x9000) | 1;
	pdpt[3] = (G_HEAP + 0xa000) | 1;
	pd0[0] = 0x83;			/* 2 MiB each */
	pd0[1] = 0x200083;
	pd3[0] = (G_HEAP + 0xb000) | 3;
	pt[0] = G_HEAP | 3;
	pt[1] = (G_HEAP + 0x1000) | 3;
	return pt;
}

TEST(paging_pae)
{
	struct vm *vm = vm_new(1);
	struct posada_translate t = {
		.size = sizeof(t), .flags = POSADA_ACCESS_WRITE, .gva = 0xc0001020,
	};
	u64 *pt = build_pae(vm);

	run_paged32(vm->vcpu[0], PAE_ROOT, 0x20, 0);
	EXPECT_EQ(pt[0] & 0x60, 0x20);
	EXPECT_EQ(pt[1] & 0x60, 0x60);
	EXPECT_EQ(px(vm->vcpu[0]->fd, POSADA_TRANSLATE, &t), 0);
	EXPECT_EQ(t.gpa, G_HEAP + 0x1020);
}

TEST(paging_pae_nx)
{
	struct vm *vm = vm_new(1);
	u64 *pt = build_pae(vm);

	pt[0] |= BIT(63);
	run_paged32(vm->vcpu[0], PAE_ROOT, 0x20, 0x800);
}

/* One of the four that nobody uses, with a reserved bit. */
TEST(paging_pae_reserved)
{
	struct vm *vm = vm_new(1);
	u64 *pt = build_pae(vm);

	*(u64 *)gpa_ptr(vm, PAE_ROOT + 8) = 7;
	run_paged32(vm->vcpu[0], PAE_ROOT, 0x20, 0);
	EXPECT_EQ(pt[1] & 0x60, 0x60);
}

static void guest_deep(void)
{
	/* Bit 48 and up: the fifth level. */
	WRITE(*(u32 *)(5ULL << 48 | G_HEAP), 0x55555555);
	g_sync(READ(*(u32 *)G_HEAP));
}

TEST(paging_five_levels)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 *pml5 = gpa_ptr(vm, G_SPARE_TABLES);
	static struct posada_cpuid_entry e[POSADA_MAX_CPUID];
	u32 used = 0, i;
	bool la57 = false;

	ASSERT_EQ(rec_get(vm->fd, POSADA_VM_STATE, POSADA_REC_CPUID, e, sizeof(e), &used), 0);
	for (i = 0; i < used / sizeof(e[0]); i++)
		if (e[i].leaf == 7 && e[i].subleaf == 0)
			la57 = e[i].ecx & BIT(16);
	if (!la57)
		SKIP("the host has no 5-level paging");
	pml5[0] = pml5[5] = G_PML4 | 7;
	vcpu_start(v, guest_deep, 0);
	v->run->sregs.cr3 = G_SPARE_TABLES;
	v->run->sregs.cr4 |= BIT(12);
	EXPECT_SYNC(v, 0x55555555);
	vcpu_done(v);
}

/* 1 GiB pages and a page only for reading; CR0.WP decides for the kernel. */
static void guest_pages(void)
{
	u64 gva = 0x8000000000;		/* PML4 entry 1 */

	G_EXPECT_EQ(READ(*(u32 *)(gva + G_HEAP)), 0x1234);
	G_EXPECT_EQ(G_TRY("movl $1, (%[p])", [p] "r"(gva + G_HEAP)), PF);
	G_EXPECT_EQ(g_cpu()->error, 3);
	G_EXPECT_EQ(g_cpu()->cr2, gva + G_HEAP);
	g_write_cr0(g_read_cr0() & ~BIT(16));
	G_EXPECT_EQ(G_TRY("movl $0x4321, (%[p])", [p] "r"(gva + G_HEAP)), -1);
	g_write_cr0(g_read_cr0() | BIT(16));
	G_EXPECT_EQ(READ(*(u32 *)G_HEAP), 0x4321);
	G_EXPECT_EQ(G_TRY("movl (%[p]), %%eax", [p] "r"(gva << 1), "a"(0)), PF);
	G_EXPECT_EQ(g_cpu()->error, 0);
}

TEST(paging_gib_and_wp)
{
	struct vm *vm = vm_new(1);
	u64 *pml4 = gpa_ptr(vm, G_PML4), *pdpt = gpa_ptr(vm, G_SPARE_TABLES);

	pml4[1] = G_SPARE_TABLES | 7;
	pdpt[0] = 0xe5;			/* present, user, accessed, dirty, 1 GiB */
	*(u32 *)gpa_ptr(vm, G_HEAP) = 0x1234;
	vcpu_start(vm->vcpu[0], guest_pages, 0);
	vcpu_done(vm->vcpu[0]);
}

/* ---- task switches by the hardware, 32-bit; or by libposada ---- */

struct tss32 {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt;
	u16 trap, iomap;
} __attribute__((packed));

#define SEL_A		0x90
#define SEL_B		0x98
#define SEL_C		0xa0
#define CODE_B		(G_SCRATCH + 0x100)
#define CODE_C		(G_SCRATCH + 0x200)
#define TASK_IDT	(G_SCRATCH + 0x800)
#define TASK_GATE(sel)	(0x0000850000000000 | (u64)(sel) << 16)
#define FLAGS_NT	0x4000
/*
 * Where an error code is pushed has to be mapped: a nested fault amid a switch
 * has the event come again, and emulated AMD CPUs have half of it done already.
 */
#define TASK_STACK	0x6000

/* No guest of these has protection keys. */
int pkru_read(struct posada_vcpu *vcpu, u32 *pkru)
{
	(void)vcpu;
	(void)pkru;
	return -ENODEV;
}

/* What the CPU leaves to the VMM, libposada completes. */
static void complete_task(struct vcpu *v)
{
	static struct posada_vm vm;
	struct posada_vcpu pv = { .fd = v->fd, .vm = &vm, .run = v->run };

	vm.fd = v->vm->fd;
	vm.phys_bits = 36;
	vm.nr_slots = 1;
	vm.slots[0].bytes = v->vm->bytes;
	vm.slots[0].hva = v->vm->mem;
	EXPECT_EQ(posada_complete_task(&pv), 0);
}

/* The next OUT of a guest that switches tasks. */
static u32 task_out(struct vcpu *v)
{
	while (vcpu_exit(v) == POSADA_EXIT_TASK) {
		EXPECT_EQ(test_backend, POSADA_BACKEND_VMX);
		complete_task(v);
	}
	ASSERT_EQ(v->run->exit, POSADA_EXIT_PORT);
	return v->run->port.data;
}

static struct tss32 *task_set(struct vm *vm, u32 selector, u64 at, u32 eip)
{
	u64 *gdt = gpa_ptr(vm, G_GDT);
	struct tss32 *t = gpa_ptr(vm, at);

	gdt[selector / 8] = 0x0000890000000067 | at << 16;
	t->eip = eip;
	t->eflags = 2;
	t->esp = TASK_STACK;
	t->cs = G_CODE32;
	t->ss = t->ds = t->es = t->fs = t->gs = G_DATA;
	return t;
}

/* Task A is running, at @code; B and C are at CODE_B and CODE_C. */
static struct vcpu *task_start(const char *code, const char *end)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	memcpy(gpa_ptr(vm, G_SCRATCH), code, end - code);
	task_set(vm, SEL_A, G_HEAP, 0);
	((u64 *)gpa_ptr(vm, G_GDT))[SEL_A / 8] |= 2ULL << 40;
	task_set(vm, SEL_B, G_HEAP + 0x100, CODE_B)->ebx = 0x22;
	task_set(vm, SEL_C, G_HEAP + 0x200, CODE_C);
	vcpu_start_prot32(v, G_SCRATCH);
	v->run->sregs.seg[POSADA_TR].selector = SEL_A;
	v->run->sregs.seg[POSADA_TR].base = G_HEAP;
	v->run->sregs.idt = (struct posada_table){ .base = TASK_IDT, .limit = 0xff };
	return v;
}

static u8 tss_type(struct vcpu *v, u32 selector)
{
	return ((u64 *)gpa_ptr(v->vm, G_GDT))[selector / 8] >> 40 & 0xf;
}

BLOB(task_jmp);
asm(".pushsection .text; .code32\n"
    "task_jmp:\n"
    "	mov $0x11, %ebx; ljmp $0x98, $0\n"	/* to task B and back */
    "	mov %ebx, %eax; mov $0xd1, %edx; out %eax, %dx\n"
    "	mov %cr0, %eax; out %eax, %dx; hlt\n"
    "	.org task_jmp + 0x100\n"
    "	mov %ebx, %eax; mov $0xd1, %edx; out %eax, %dx\n"
    "	str %ax; movzx %ax, %eax; out %eax, %dx\n"
    "	ljmp $0x90, $0\n"
    "task_jmp_end:\n"
    ".code64; .popsection");

TEST(task_jmp)
{
	struct vcpu *v = task_start(task_jmp, task_jmp_end);

	EXPECT_EQ(task_out(v), 0x22);
	EXPECT_EQ(task_out(v), SEL_B);
	EXPECT_EQ(tss_type(v, SEL_A), 9);
	EXPECT_EQ(tss_type(v, SEL_B), 0xb);
	EXPECT_EQ(task_out(v), 0x11);
	EXPECT_EQ(tss_type(v, SEL_A), 0xb);
	EXPECT_EQ(tss_type(v, SEL_B), 9);
	EXPECT_EQ(task_out(v) & 8 /* TS */, 8);
}

BLOB(task_call);
asm(".pushsection .text; .code32\n"
    "task_call:\n"
    "	mov $0x11, %ebx; mov $0xd1, %edx; lcall $0x98, $0\n"
    "	mov %ebx, %eax; out %eax, %dx\n"
    "	pushf; pop %eax; out %eax, %dx\n"
    "	lcall $0x98, $0; mov $0x33, %eax; out %eax, %dx; hlt\n"
    "	.org task_call + 0x100\n"
    "1:	mov $0xd1, %edx; pushf; pop %eax; out %eax, %dx\n"
    "	iret\n"
    "	jmp 1b\n"				/* where the next call goes on */
    "task_call_end:\n"
    ".code64; .popsection");

/* CALL links and nests, IRET goes back; a task goes on where it left. */
TEST(task_call_iret)
{
	struct vcpu *v = task_start(task_call, task_call_end);
	struct tss32 *a = gpa_ptr(v->vm, G_HEAP), *b = gpa_ptr(v->vm, G_HEAP + 0x100);

	EXPECT_EQ(task_out(v) & FLAGS_NT, FLAGS_NT);
	EXPECT_EQ(b->link & 0xffff, SEL_A);
	EXPECT_EQ(a->ebx, 0x11);
	EXPECT_EQ(tss_type(v, SEL_A), 0xb);
	EXPECT_EQ(tss_type(v, SEL_B), 0xb);
	EXPECT_EQ(task_out(v), 0x11);
	EXPECT_EQ(tss_type(v, SEL_B), 9);
	EXPECT_EQ(b->eflags & FLAGS_NT, 0);
	EXPECT_EQ(task_out(v) & FLAGS_NT, 0);
	EXPECT_EQ(task_out(v) & FLAGS_NT, FLAGS_NT);
	EXPECT_EQ(task_out(v), 0x33);
}

BLOB(task_fault);
asm(".pushsection .text; .code32\n"
    "task_fault:\n"
    "	movl $0, 0x5ffc\n"			/* see TASK_STACK */
    "	mov $0xd1, %edx; mov $0xfff8, %eax\n"
    "	mov %ax, %fs\n"				/* #GP(0xfff8); two bytes */
    "	mov $0x44, %eax; out %eax, %dx\n"
    "	int $0x20; mov $0x55, %eax; out %eax, %dx; hlt\n"
    "	.org task_fault + 0x100\n"
    "	mov $0xd1, %edx; pop %eax; out %eax, %dx; mov %esp, %eax; out %eax, %dx\n"
    "	addl $2, 0x100020; iret\n"		/* A's EIP: past it */
    "	.org task_fault + 0x200\n"
    "	mov $0xd1, %edx; mov %esp, %eax; out %eax, %dx; iret\n"
    "task_fault_end:\n"
    ".code64; .popsection");

/* A task gate for an exception gets its error code; one for INT n none. */
TEST(task_gate)
{
	struct vcpu *v = task_start(task_fault, task_fault_end);
	u64 *idt = gpa_ptr(v->vm, TASK_IDT);

	idt[GP] = TASK_GATE(SEL_B);
	v->run->sregs.idt.limit = 0x107;
	idt[0x20] = TASK_GATE(SEL_C);
	EXPECT_EQ(task_out(v), 0xfff8);
	EXPECT_EQ(task_out(v), 0x6000);
	EXPECT_EQ(task_out(v), 0x44);
	EXPECT_EQ(task_out(v), 0x6000);
	EXPECT_EQ(task_out(v), 0x55);
}

BLOB(task_bad);
asm(".pushsection .text; .code32\n"
    "task_bad:\n"
    "	movl $0, 0x5ffc\n"
    "	ljmp $0x98, $0; hlt\n"
    "	.org task_bad + 0x200\n"
    "	mov $0xd1, %edx; pop %eax; out %eax, %dx; str %ax; movzx %ax, %eax; out %eax, %dx\n"
    "	hlt\n"
    "task_bad_end:\n"
    ".code64; .popsection");

/* B's segments are loaded in B: what is wrong with them is its own fault. */
static void run_task_bad(u32 vector, u32 error, u32 ss, u32 ds)
{
	struct vcpu *v = task_start(task_bad, task_bad_end);
	u64 *idt = gpa_ptr(v->vm, TASK_IDT), *gdt = gpa_ptr(v->vm, G_GDT);
	struct tss32 *b = gpa_ptr(v->vm, G_HEAP + 0x100);
	struct tss32 *c = gpa_ptr(v->vm, G_HEAP + 0x200);

	/* Data that is not present. */
	gdt[0xa8 / 8] = gdt[G_DATA / 8] & ~(1ULL << 47);
	b->ss = ss;
	b->ds = ds;
	idt[vector] = TASK_GATE(SEL_C);
	EXPECT_EQ(task_out(v), error);
	EXPECT_EQ(task_out(v), SEL_C);
	EXPECT_EQ(c->link & 0xffff, SEL_B);
	vm_free(v->vm);
}

TEST(task_bad_segments)
{
	run_task_bad(TS, G_CODE32, G_CODE32, G_DATA);
	run_task_bad(TS, 0, 0, G_DATA);
	run_task_bad(TS, 0xfff8, G_DATA, 0xfff8);
	run_task_bad(NP, 0xa8, G_DATA, 0xa8);
	/* QEMU raises #NP for it. */
	if (!host_is_tcg())
		run_task_bad(SS, 0xa8, 0xa8, G_DATA);
}

/* ---- 16-bit protected mode, and virtual-8086 ---- */

BLOB(prot16);
asm(".pushsection .text; .code16\n"
    "prot16:\n"
    "	mov $0x1ffe, %si; movw $0x7777, (%si)\n"	/* DS: base 0x30000 */
    "	mov $0xd0, %dx; mov $0x55, %eax; out %eax, %dx; hlt\n"
    "prot16_end:\n"
    ".code64; .popsection");

TEST(protected_16)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	BLOB_AT(vm, G_SCRATCH, prot16);
	vcpu_start_prot32(v, 0);
	v->run->sregs.seg[POSADA_CS] = (struct posada_segment){ G_SCRATCH, 0xffff, G_CODE16, 0x9b };
	v->run->sregs.seg[POSADA_DS] = (struct posada_segment){ 0x30000, 0x1fff, G_DATA16, 0x93 };
	EXPECT_EQ(vcpu_done(v), 0x55);
	EXPECT_EQ(*(u16 *)gpa_ptr(vm, 0x31ffe), 0x7777);
}

/* Enter by IRET with VM set; a CPUID there; its OUT faults into the monitor. */
BLOB(v86);
asm(".pushsection .text\n"
    ".code32\n"
    "v86:\n"
    "	push $0; push $0; push $0; push $0\n"		/* GS FS DS ES */
    "	push $0; push $0x7000; push $0x23002\n"		/* SS SP, VM | IOPL 3 */
    "	push $0x100; push $(v86_code - v86)\n"		/* CS IP: base 0x1000 */
    "	iret\n"
    "v86_monitor:\n"		/* #GP: report that VM was set, and what EBX is */
    "	mov 12(%esp), %eax; mov $0xd1, %edx; out %eax, %dx\n"
    "	mov %ebx, %eax; mov $0xd0, %edx; out %eax, %dx; hlt\n"
    ".code16\n"
    "v86_code:\n"
    "	mov $0x40000000, %eax; cpuid\n"
    "	hlt\n"						/* CPL 3: #GP */
    "v86_end:\n"
    ".code64; .popsection");
extern const char v86_monitor[], v86_code[];

/* In front of it, with the monitor behind #GP. */
static void start_monitored(struct vcpu *v)
{
	u64 *idt = gpa_ptr(v->vm, G_IDT);
	u32 at = G_LOW_CODE + (v86_monitor - v86);
	u32 *tss = gpa_ptr(v->vm, G_TSS);

	BLOB_AT(v->vm, G_LOW_CODE, v86);
	idt[GP] = (at & 0xffff) | G_CODE32 << 16 | 0x8e0000000000;
	tss[1] = 0x6000;	/* ESP0, SS0 */
	tss[2] = G_DATA;
	vcpu_start_prot32(v, G_LOW_CODE);
}

TEST(virtual_8086)
{
	struct vcpu *v = vm_new(1)->vcpu[0];

	start_monitored(v);
	EXPECT_EQ(vcpu_sync(v) & BIT(17), BIT(17));
	EXPECT_EQ(vcpu_done(v), POSADA_SIGNATURE_EBX);
}

/*
 * From outside, by RFLAGS alone: the segments become those that the mode has,
 * and nobody leaves it to code that is data.
 */
TEST(virtual_8086_by_flags)
{
	struct vcpu *v = vm_new(1)->vcpu[0];

	start_monitored(v);
	v->run->request = POSADA_RUN_EXIT_NOW;
	EXPECT_EQ(vcpu_run(v), -EINTR);
	v->run->sregs.seg[POSADA_CS].selector = 0x100;
	v->run->dirty = POSADA_GROUP_SREGS;
	EXPECT_EQ(vcpu_run(v), -EINTR);
	v->run->regs.rflags = BIT(17) | 0x3002;
	v->run->regs.rip = v86_code - v86;
	v->run->dirty = POSADA_GROUP_REGS;
	EXPECT_EQ(vcpu_run(v), -EINTR);
	EXPECT_EQ(v->run->sregs.seg[POSADA_CS].base, 0x1000);
	EXPECT_EQ(v->run->sregs.seg[POSADA_CS].attr, 0xf3);
	EXPECT_EQ(v->run->sregs.cpl, 3);
	v->run->regs.rflags = 2;
	v->run->dirty = POSADA_GROUP_REGS;
	EXPECT_EQ(vcpu_run(v), -EINVAL);
	v->run->dirty = 0;
	v->run->request = 0;
	EXPECT_EQ(vcpu_sync(v) & BIT(17), BIT(17));
	EXPECT_EQ(vcpu_done(v), POSADA_SIGNATURE_EBX);
}

/* ---- INIT and SIPI ---- */

BLOB(ap_code);
asm(".pushsection .text; .code16\n"
    "ap_code:\n"
    "	mov $0xd1, %dx; movzx %sp, %eax; out %eax, %dx\n"
    "	mov %cs, %ax; movzx %ax, %eax; mov $0xd0, %dx; out %eax, %dx; cli; hlt\n"
    "ap_code_end:\n"
    ".code64; .popsection");

static void guest_send_sipi(u64 vector)
{
	g_apic_on();
	g_apic_write(APIC_ICR, ICR_DEST(1) | ICR_INIT | ICR_ASSERT);
	g_apic_write(APIC_ICR, ICR_DEST(1) | ICR_STARTUP | ICR_ASSERT | vector);
	/* The second one, as firmware sends it, finds it running. */
	g_apic_write(APIC_ICR, ICR_DEST(1) | ICR_STARTUP | ICR_ASSERT | vector);
}

TEST(init_sipi)
{
	struct vm *vm = vm_new(2);
	struct vcpu *ap = vm->vcpu[1];
	struct posada_rec_mp mp;

	ASSERT_EQ(rec_get(ap->fd, POSADA_VCPU_STATE, POSADA_REC_MP, &mp, sizeof(mp), NULL), 0);
	EXPECT_EQ(mp.state, POSADA_MP_WAIT_SIPI);
	BLOB_AT(vm, 0x3000, ap_code);
	vcpu_start(vm->vcpu[0], guest_send_sipi, 3);
	vcpu_done(vm->vcpu[0]);
	EXPECT_SYNC(ap, 0);
	EXPECT_EQ(vcpu_done(ap), 0x300);
	EXPECT_EQ(vcpu_regs(ap)->rip < 0x100, true);
	/* Again, from where it has got to. */
	vcpu_start(vm->vcpu[0], guest_send_sipi, 3);
	vcpu_done(vm->vcpu[0]);
	EXPECT_SYNC(ap, 0);
	EXPECT_EQ(vcpu_done(ap), 0x300);
}

/* Without a SIPI nothing runs; a SIPI without INIT is nothing. */
TEST(waits_for_sipi)
{
	struct vm *vm = vm_new(2);
	struct vcpu *ap = vm->vcpu[1];

	ASSERT_EQ(px(ap->fd, POSADA_KICK, NULL), 0);
	EXPECT_EQ(vcpu_exit(ap), POSADA_EXIT_KICK);
	ASSERT_EQ(inject(vm->vcpu[0], POSADA_INJECT_INIT, 0), 0);
	vm->vcpu[0]->run->request = 0;
	ASSERT_EQ(px(vm->vcpu[0]->fd, POSADA_KICK, NULL), 0);
	EXPECT_EQ(vcpu_exit(vm->vcpu[0]), POSADA_EXIT_KICK);
}

/* INIT keeps what a reset would not: the FPU, MSRs, CR0's cache bits; most goes. */
static void guest_before_init(void)
{
	g_wrmsr(0xc0000081, 0x0011223344556677);
	g_write_cr2(0x1234);
	g_sync(1);
}

TEST(init_resets)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	struct posada_rec_mp mp;

	vcpu_start(v, guest_before_init, 0);
	EXPECT_SYNC(v, 1);
	ASSERT_EQ(inject(v, POSADA_INJECT_INIT, 0), 0);
	/* The bootstrap processor goes on at the reset vector, where no slot is. */
	vcpu_expect(v, POSADA_EXIT_MEMORY);
	EXPECT_EQ(v->run->memory.gpa, 0xfffffff0);
	EXPECT_EQ(v->run->memory.flags & POSADA_MEM_EXEC, POSADA_MEM_EXEC);
	EXPECT_EQ(v->run->sregs.efer, 0);
	EXPECT_EQ(v->run->sregs.cr0 & 0x80000001, 0);
	EXPECT_EQ(v->run->sregs.cr3, 0);
	EXPECT_EQ(v->run->regs.rflags, 2);
	EXPECT_EQ(vcpu_msr(v, 0xc0000081), 0x0011223344556677);
	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_MP, &mp, sizeof(mp), NULL), 0);
	EXPECT_EQ(mp.state, POSADA_MP_RUNNABLE);
}
