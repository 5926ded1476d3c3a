/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What guest code in a test calls. A test's guest functions are ordinary C in
 * the same file as the host's expectations: the whole program image is copied
 * into guest memory at its own address, identity-mapped, so that the functions
 * and variables of the program are there in the guest as well. They must not
 * call libc. The host looks at the guest's copy of a variable by G(vm, var).
 *
 * The guest talks to the host by 32-bit OUTs: see PORT_*.
 */
#ifndef GUEST_H
#define GUEST_H

#include "harness.h"

#define PORT_DONE	0xd0	/* the end, with a value */
#define PORT_SYNC	0xd1	/* a point that the host waits for */
#define PORT_REPORT	0xd2	/* gpa of a struct g_report */

/* Guest-physical layout; each page is identity-mapped. */
#define G_LOW_CODE	0x01000	/* real-mode code */
#define G_PML4		0x10000
#define G_PDPT		0x11000
#define G_PD		0x12000	/* four: 4 GiB of 2 MiB pages */
#define G_SPARE_TABLES	0x16000	/* two pages for a test's own tables */
#define G_GDT		0x18000
#define G_IDT		0x19000
#define G_TSS		0x1a000	/* 64 of 128 bytes */
#define G_SCRATCH	0x20000	/* up to 0x80000: a test's own */
#define G_SCRATCH_END	0x80000
#define G_HEAP		0x100000 /* 1 MiB, the same */
#define G_STACKS	0x200000 /* 64 of G_STACK */
#define G_STACK		0x4000
#define G_MEM_BYTES	(16UL << 20)

#define G_MAX_CPUS	64

/* Host side: put all of it, and the program's image, into @mem. */
void image_fill(void *mem, u64 bytes);

/* Selectors; SYSRET wants the user ones in this order. */
#define G_CODE64	0x08
#define G_DATA		0x10
#define G_UCODE32	0x18
#define G_UDATA		0x20
#define G_UCODE64	0x28
#define G_CODE32	0x30
#define G_CODE16	0x38
#define G_DATA16	0x40
#define G_TSS_SEL(id)	(0x50 + 16 * (id))

/* Vectors. */
enum {
	DE = 0, DB = 1, NMI = 2, BP = 3, OF = 4, BR = 5, UD = 6, NM = 7, DF = 8,
	TS = 10, NP = 11, SS = 12, GP = 13, PF = 14, MF = 16, AC = 17, MC = 18,
	XM = 19,
};

struct g_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

struct g_report {
	const char *file, *expr;	/* file NULL: an unexpected exception */
	u64 line, a, b;
	struct g_frame frame;
	u64 cr2;
};

/* Each vCPU's own, at the bottom of its stack. */
struct g_cpu {
	u64 fixup;		/* where an expected exception goes on */
	int vector;		/* what it was, or -1 */
	u32 id;
	u64 error, rip, cr2;	/* of the last exception */
	struct g_report report;
	u32 count[256];		/* deliveries by vector */
};

typedef void (*g_handler_fn)(struct g_frame *f);
extern g_handler_fn g_handlers[256];

void g_report(const char *file, int line, const char *expr, u64 a, u64 b);
extern const char g_idt_stubs[];	/* 256 of 16 bytes */
extern const char g_return[];		/* where a guest function returns to */

static inline struct g_cpu *g_cpu(void)
{
	u64 sp;

	asm volatile("mov %%rsp, %0" : "=r"(sp));
	return (struct g_cpu *)(sp & ~(u64)(G_STACK - 1));
}

/* ---- ports ---- */

static inline void g_outb(u16 port, u8 v)
{
	asm volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void g_outw(u16 port, u16 v)
{
	asm volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void g_outl(u16 port, u32 v)
{
	asm volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline u8 g_inb(u16 port)
{
	u8 v;

	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline u16 g_inw(u16 port)
{
	u16 v;

	asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline u32 g_inl(u16 port)
{
	u32 v;

	asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline void g_sync(u32 v)
{
	g_outl(PORT_SYNC, v);
}

static inline void g_done(u32 v)
{
	for (;;)
		g_outl(PORT_DONE, v);
}

/* ---- checks ---- */

#define G_EXPECT_EQ(x, y) do {						\
	u64 x_ = (u64)(x), y_ = (u64)(y);				\
	if (x_ != y_)							\
		g_report(__FILE__, __LINE__, #x " == " #y, x_, y_);	\
} while (0)

#define G_EXPECT_TRUE(x) do {						\
	if (!(x))							\
		g_report(__FILE__, __LINE__, #x, 0, 0);			\
} while (0)

/* ---- one instruction that may fault ---- */

/*
 * Run @insn with the given asm inputs: the vector that it raised, or -1.
 * r11 is lost. g_cpu()->error, rip and cr2 tell more.
 */
#define G_TRY(insn, ...) ({						\
	struct g_cpu *c_ = g_cpu();					\
	c_->vector = -1;						\
	asm volatile("lea 77f(%%rip), %%r11\n\t"			\
		     "mov %%r11, %[fix]\n\t"				\
		     insn "\n"						\
		     "77: movq $0, %[fix]"				\
		     : [fix] "+m"(c_->fixup)				\
		     : __VA_ARGS__ : "r11", "cc", "memory");		\
	*(volatile int *)&c_->vector; })

/* ---- instructions ---- */

static inline u64 g_rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (u64)hi << 32 | lo;
}

static inline void g_wrmsr(u32 msr, u64 v)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline int g_try_rdmsr(u32 msr, u64 *v)
{
	struct g_cpu *c = g_cpu();
	u32 lo, hi;

	c->vector = -1;
	asm volatile("lea 77f(%%rip), %%r11\n\t"
		     "mov %%r11, %[fix]\n\t"
		     "rdmsr\n"
		     "77: movq $0, %[fix]"
		     : [fix] "+m"(c->fixup), "=a"(lo), "=d"(hi)
		     : "c"(msr), "a"(0), "d"(0) : "r11", "memory");
	*v = (u64)hi << 32 | lo;
	return *(volatile int *)&c->vector;
}

static inline int g_try_wrmsr(u32 msr, u64 v)
{
	return G_TRY("wrmsr", "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)));
}

struct g_cpuid {
	u32 a, b, c, d;
};

static inline struct g_cpuid g_cpuid(u32 leaf, u32 subleaf)
{
	struct g_cpuid r;

	asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
		     : "a"(leaf), "c"(subleaf) : "memory");
	return r;
}

static inline u64 g_rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (u64)hi << 32 | lo;
}

#define G_REG_RW(reg)							\
static inline u64 g_read_##reg(void)					\
{									\
	u64 v;								\
									\
	asm volatile("mov %%" #reg ", %0" : "=r"(v) : : "memory");	\
	return v;							\
}									\
static inline void g_write_##reg(u64 v)					\
{									\
	asm volatile("mov %0, %%" #reg : : "r"(v) : "memory");		\
}
G_REG_RW(cr0)
G_REG_RW(cr2)
G_REG_RW(cr3)
G_REG_RW(cr4)
G_REG_RW(cr8)
G_REG_RW(dr0)
G_REG_RW(dr1)
G_REG_RW(dr2)
G_REG_RW(dr3)
G_REG_RW(dr6)
G_REG_RW(dr7)

static inline u64 g_rflags(void)
{
	u64 v;

	asm volatile("pushfq; pop %0" : "=r"(v) : : "memory");
	return v;
}

static inline void g_sti(void)
{
	asm volatile("sti" : : : "memory");
}

static inline void g_cli(void)
{
	asm volatile("cli" : : : "memory");
}

static inline void g_hlt(void)
{
	asm volatile("hlt" : : : "memory");
}

/* Interrupts on and sleep, with no gap between the two. */
static inline void g_sti_hlt(void)
{
	asm volatile("sti; hlt" : : : "memory");
}

static inline void g_pause(void)
{
	asm volatile("pause" : : : "memory");
}

static inline void g_invlpg(u64 va)
{
	asm volatile("invlpg (%0)" : : "r"(va) : "memory");
}

/* ---- APIC, as x2APIC MSRs ---- */

#define MSR_APIC_BASE		0x1b
#define APIC_BASE_X2		BIT(10)
#define APIC_BASE_EN		BIT(11)
#define X2(reg)			(0x800 + ((reg) >> 4))
#define APIC_ID			0x020
#define APIC_VERSION		0x030
#define APIC_TPR		0x080
#define APIC_PPR		0x0a0
#define APIC_EOI		0x0b0
#define APIC_LDR		0x0d0
#define APIC_DFR		0x0e0
#define APIC_SVR		0x0f0
#define APIC_ISR		0x100
#define APIC_TMR		0x180
#define APIC_IRR		0x200
#define APIC_ESR		0x280
#define APIC_ICR		0x300
#define APIC_LVT_TIMER		0x320
#define APIC_LVT_THERMAL	0x330
#define APIC_LVT_PMC		0x340
#define APIC_LVT_LINT0		0x350
#define APIC_LVT_LINT1		0x360
#define APIC_LVT_ERROR		0x370
#define APIC_TIMER_INIT		0x380
#define APIC_TIMER_COUNT	0x390
#define APIC_TIMER_DIVIDE	0x3e0
#define APIC_SELF_IPI		0x3f0
#define MSR_TSC_DEADLINE	0x6e0

/* ICR. */
#define ICR_FIXED		0x000
#define ICR_NMI			0x400
#define ICR_INIT		0x500
#define ICR_STARTUP		0x600
#define ICR_LOGICAL		0x800
#define ICR_ASSERT		0x4000
#define ICR_SELF		0x40000
#define ICR_ALL			0x80000
#define ICR_OTHERS		0xc0000
#define ICR_DEST(id)		((u64)(id) << 32)

static inline u64 g_apic_read(u32 reg)
{
	return g_rdmsr(X2(reg));
}

static inline void g_apic_write(u32 reg, u64 v)
{
	g_wrmsr(X2(reg), v);
}

static inline void g_eoi(void)
{
	g_apic_write(APIC_EOI, 0);
}

/* x2APIC on, software-enabled, spurious vector 0xff. */
void g_apic_on(void);
/* A handler that does the EOI alone; deliveries are counted in g_cpu()->count. */
void g_eoi_handler(struct g_frame *f);

/*
 * Write pages of the vCPU's own, G_OWN_PAGES from G_HEAP on, and find in them
 * what the last lap wrote; exit by CPUID once a lap. The host ends it by g_stop.
 */
#define G_OWN_PAGES	32
void g_own_pages(u64 id);
extern u64 g_stop, g_laps[G_MAX_CPUS];

/* ---- shared memory ---- */

#define READ(x)		(*(const volatile typeof(x) *)&(x))
#define WRITE(x, v)	(*(volatile typeof(x) *)&(x) = (v))
#define ADD(x, v)	__atomic_add_fetch(&(x), v, __ATOMIC_SEQ_CST)

#endif /* GUEST_H */
