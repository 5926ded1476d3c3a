// SPDX-License-Identifier: GPL-2.0
/*
 * What one world has in its registers, no other sees or changes: two guests
 * and the host's process, each with a pattern of its own, in turns.
 */
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm.h"

#define XFEATURE_AVX	BIT(2)
#define XFEATURE_AVX512	(BIT(5) | BIT(6) | BIT(7))

/* A pattern for a vector register, by owner, register and 8-byte part. */
static inline u64 pattern(u64 owner, u32 reg, u32 part)
{
	return owner * 0x0101010101010101 + reg * 0x10001 + (u64)part * 0x100000000;
}

#define VECTORS		16
#define VECTOR_BYTES	64

static inline void fill_pattern(u8 (*buf)[VECTOR_BYTES], u64 owner)
{
	u32 i, j;

	for (i = 0; i < VECTORS; i++)
		for (j = 0; j < VECTOR_BYTES / 8; j++)
			*(u64 *)&buf[i][j * 8] = pattern(owner, i, j);
}

#define EACH(op)							\
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7)			\
	op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)

#define LOAD_X(n) "movups " #n "*64(%0), %%xmm" #n "\n\t"
#define STORE_X(n) "movups %%xmm" #n ", " #n "*64(%0)\n\t"
#define LOAD_Y(n) "vmovups " #n "*64(%0), %%ymm" #n "\n\t"
#define STORE_Y(n) "vmovups %%ymm" #n ", " #n "*64(%0)\n\t"
#define LOAD_Z(n) "vmovups " #n "*64(%0), %%zmm" #n "\n\t"
#define STORE_Z(n) "vmovups %%zmm" #n ", " #n "*64(%0)\n\t"

/* @width 16, 32 or 64. The compiler uses no vector registers of its own. */
static inline void load_vectors(const void *buf, u32 width)
{
	if (width == 16)
		asm volatile(EACH(LOAD_X) : : "r"(buf) : "memory");
	else if (width == 32)
		asm volatile(EACH(LOAD_Y) : : "r"(buf) : "memory");
	else
		asm volatile(EACH(LOAD_Z) : : "r"(buf) : "memory");
}

static inline void store_vectors(void *buf, u32 width)
{
	if (width == 16)
		asm volatile(EACH(STORE_X) : : "r"(buf) : "memory");
	else if (width == 32)
		asm volatile(EACH(STORE_Y) : : "r"(buf) : "memory");
	else
		asm volatile(EACH(STORE_Z) : : "r"(buf) : "memory");
}

/* Number of registers that are not as @owner left them. */
static inline u32 wrong_vectors(u8 (*buf)[VECTOR_BYTES], u64 owner, u32 width)
{
	u32 i, j, wrong = 0;

	for (i = 0; i < VECTORS; i++)
		for (j = 0; j < width / 8; j++)
			wrong += *(u64 *)&buf[i][j * 8] != pattern(owner, i, j);
	return wrong;
}

static u8 guest_buf[VECTORS][VECTOR_BYTES] __attribute__((aligned(64)));
static struct {
	u64 owner, xcr0;
	u32 width;
} who;

static void guest_vectors(void)
{
	g_write_cr4(g_read_cr4() | 0x600 | (who.xcr0 ? BIT(18) : 0));
	if (who.xcr0)
		asm volatile("xsetbv" : : "a"((u32)who.xcr0), "c"(0), "d"((u32)(who.xcr0 >> 32)));
	/* At first use there is nothing of anybody else's in them. */
	store_vectors(guest_buf, who.width);
	for (u32 i = 0; i < VECTORS; i++)
		for (u32 j = 0; j < who.width / 8; j++)
			G_EXPECT_EQ(*(u64 *)&guest_buf[i][j * 8], 0);
	fill_pattern(guest_buf, who.owner);
	load_vectors(guest_buf, who.width);
	for (;;) {
		g_sync(1);
		store_vectors(guest_buf, who.width);
		G_EXPECT_EQ(wrong_vectors(guest_buf, who.owner, who.width), 0);
		/* Exits that stay in the kernel, too. */
		g_cpuid(0, 0);
		store_vectors(guest_buf, who.width);
		G_EXPECT_EQ(wrong_vectors(guest_buf, who.owner, who.width), 0);
	}
}

static bool host_has(u64 xfeatures)
{
	u32 lo, hi, a, b, c, d;

	__cpuid(1, a, b, c, d);
	if (!(c & BIT(27)))
		return false;
	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return ((lo | (u64)hi << 32) & xfeatures) == xfeatures;
}

static void vectors(u64 xcr0, u32 width)
{
	static u8 buf[VECTORS][VECTOR_BYTES] __attribute__((aligned(64)));
	struct vm *vm[2];
	u32 i, j;

	for (i = 0; i < 2; i++) {
		vm[i] = vm_new(1);
		G(vm[i], who.owner) = 10 + i;
		G(vm[i], who.xcr0) = xcr0;
		G(vm[i], who.width) = width;
		vcpu_start(vm[i]->vcpu[0], guest_vectors, 0);
	}
	for (j = 0; j < 200; j++) {
		struct vcpu *v = vm[j & 1]->vcpu[0];
		int rc;

		fill_pattern(buf, 99 + j);
		load_vectors(buf, width);
		/* By hand: between load and store no call into libc. */
		asm volatile("syscall" : "=a"(rc)
			     : "a"(SYS_ioctl), "D"(v->fd), "S"(POSADA_RUN), "d"(0)
			     : "rcx", "r11", "memory");
		store_vectors(buf, width);
		ASSERT_EQ(rc, 0);
		ASSERT_EQ(wrong_vectors(buf, 99 + j, width), 0);
		if (v->run->port.port != PORT_SYNC) {
			vcpu_dump(v);
			FATAL("guest %u reports", j & 1);
		}
	}
}

TEST(sse)
{
	vectors(0, 16);
}

TEST(avx)
{
	if (!host_has(XFEATURE_AVX))
		SKIP("the host has no AVX");
	vectors(7, 32);
}

TEST(avx512)
{
	if (!host_has(XFEATURE_AVX512))
		SKIP("the host has no AVX-512");
	vectors(0xe7, 64);
}

/* One with SSE alone beside one with AVX: XCR0 differs, the host's is a third. */
TEST(mixed_xcr0)
{
	struct vm *vm[2];
	u32 i, j;

	if (!host_has(XFEATURE_AVX))
		SKIP("the host has no AVX");
	for (i = 0; i < 2; i++) {
		vm[i] = vm_new(1);
		G(vm[i], who.owner) = 20 + i;
		G(vm[i], who.xcr0) = i ? 7 : 3;
		G(vm[i], who.width) = i ? 32 : 16;
		vcpu_start(vm[i]->vcpu[0], guest_vectors, 0);
	}
	for (j = 0; j < 100; j++)
		EXPECT_SYNC(vm[j & 1]->vcpu[0], 1);
	EXPECT_TRUE(host_has(XFEATURE_AVX));
}

/* Two threads on whatever CPUs there are: preempted at random. */
static void guest_vectors_busy(u64 n)
{
	u64 i;

	g_write_cr4(g_read_cr4() | 0x600);
	fill_pattern(guest_buf, who.owner);
	load_vectors(guest_buf, 16);
	for (i = 0; i < n; i++) {
		store_vectors(guest_buf, 16);
		if (wrong_vectors(guest_buf, who.owner, 16))
			g_report(__FILE__, __LINE__, "vectors of another world", i, 0);
		if (i % 64 == 0)
			g_cpuid(0, 0);
	}
}

TEST_SLOW(sse_preempted, 60)
{
	struct vm *vm[4];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(vm); i++) {
		vm[i] = vm_new(1);
		G(vm[i], who.owner) = 30 + i;
		vcpu_start(vm[i]->vcpu[0], guest_vectors_busy, 20000);
		vcpu_go(vm[i]->vcpu[0]);
	}
	for (i = 0; i < ARRAY_SIZE(vm); i++)
		vcpu_join(vm[i]->vcpu[0]);
}

/* ---- x87 ---- */

/* Eight numbers, what to round to, and which exceptions of SSE are masked. */
static void guest_x87(u64 owner)
{
	u64 value, i;
	u16 cw = 0, other = 0x027f;
	u32 mxcsr = 0, mine = 0x1f80 | (owner & 1 ? 0x2000 : 0x4000);

	asm volatile("fninit; fnstcw %0" : "+m"(cw));
	G_EXPECT_EQ(cw, 0x37f);
	asm volatile("fldcw %0" : : "m"(other));
	g_write_cr4(g_read_cr4() | 0x600);
	asm volatile("stmxcsr %0" : "+m"(mxcsr));
	G_EXPECT_EQ(mxcsr, 0x1f80);
	asm volatile("ldmxcsr %0" : : "m"(mine));
	for (;;) {
		for (i = 0; i < 8; i++) {
			value = owner * 1000 + i;
			asm volatile("fildll %0" : : "m"(value));
		}
		g_sync(1);
		for (i = 8; i--; ) {
			asm volatile("fistpll %0" : "=m"(value));
			G_EXPECT_EQ(value, owner * 1000 + i);
		}
		asm volatile("fnstcw %0" : "+m"(cw));
		G_EXPECT_EQ(cw, 0x27f);
		asm volatile("stmxcsr %0" : "+m"(mxcsr));
		G_EXPECT_EQ(mxcsr & ~0x3fU, mine);
	}
}

TEST(x87)
{
	struct vm *vm[2] = { vm_new(1), vm_new(1) };
	u64 value = 4711;
	u16 cw = 0;
	u32 i, mxcsr = 0;

	for (i = 0; i < 2; i++)
		vcpu_start(vm[i]->vcpu[0], guest_x87, 6 + i);
	for (i = 0; i < 40; i++) {
		asm volatile("fninit; fildll %0" : : "m"(value));
		EXPECT_SYNC(vm[i & 1]->vcpu[0], 1);
		asm volatile("fistpll %0" : "=m"(value));
		EXPECT_EQ(value, 4711);
		asm volatile("fnstcw %0" : "+m"(cw));
		EXPECT_EQ(cw, 0x37f);
		asm volatile("stmxcsr %0" : "+m"(mxcsr));
		EXPECT_EQ(mxcsr & 0x7f80, 0x1f80);
	}
}

/* ---- segment bases, syscall MSRs, TSC_AUX ---- */

#define MSR_TSC_ADJUST		0x3b
#define MSR_SYSENTER_CS		0x174
#define MSR_MTRR_BASE0		0x200
#define MSR_MTRR_FIX64K		0x250
#define MSR_MTRR_FIX4K		0x268
#define MSR_PAT			0x277
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103

static const u32 msrs[] = {
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084,
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_SYSENTER_CS, 0x175, 0x176, MSR_TSC_AUX,
	MSR_PAT, MSR_MTRR_BASE0, MSR_MTRR_BASE0 + 1, MSR_MTRR_FIX64K, MSR_MTRR_FIX4K, MSR_TSC_ADJUST,
};

static u64 msr_value(u64 owner, u32 i)
{
	/* These hold memory types: uncached or write-through, by owner. */
	if (msrs[i] == MSR_PAT)
		return owner & 1 ? 0x0007040600070406 : 0x0007040600070404;
	if (msrs[i] == MSR_MTRR_FIX64K || msrs[i] == MSR_MTRR_FIX4K)
		return owner & 1 ? 0 : 0x0404040404040404;
	if (msrs[i] == MSR_MTRR_BASE0 || msrs[i] == MSR_MTRR_BASE0 + 1)
		return owner << 20;
	if (msrs[i] == MSR_SYSENTER_CS)	/* a selector, to some CPUs */
		return owner << 4;
	/* 32 bits are enough for any of them; canonical, too. */
	return owner * 0x01000000 + i * 0x10;
}

static void guest_msrs(u64 owner)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		g_wrmsr(msrs[i], msr_value(owner, i));
	for (;;) {
		g_sync(1);
		for (i = 0; i < ARRAY_SIZE(msrs); i++)
			G_EXPECT_EQ(g_rdmsr(msrs[i]), msr_value(owner, i));
	}
}

static u64 host_fs(void)
{
	u64 base = 0;

	syscall(SYS_arch_prctl, 0x1003 /* ARCH_GET_FS */, &base);
	return base;
}

TEST(msrs_of_two_guests)
{
	struct vm *vm[2] = { vm_new(1), vm_new(1) };
	u64 fs = host_fs(), gs = 0;
	u32 i, aux, cpu;

	syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, 0x12345000);
	for (i = 0; i < 2; i++)
		vcpu_start(vm[i]->vcpu[0], guest_msrs, 10 + i);
	for (i = 0; i < 60; i++) {
		EXPECT_SYNC(vm[i & 1]->vcpu[0], 1);
		EXPECT_EQ(host_fs(), fs);
		syscall(SYS_arch_prctl, 0x1004 /* ARCH_GET_GS */, &gs);
		EXPECT_EQ(gs, 0x12345000);
		/* getcpu() reads TSC_AUX: it must say a CPU that exists. */
		asm volatile("rdtscp" : "=c"(aux) : : "rax", "rdx");
		cpu = aux & 0xfff;
		EXPECT_LT(cpu, (u32)sysconf(_SC_NPROCESSORS_CONF));
	}
}

/* One vCPU, run by two threads in turns: each keeps its own. */
static void *run_once(void *v)
{
	u64 own = host_fs(), fs;

	EXPECT_EQ(vcpu_run(v), 0);
	fs = host_fs();
	/* The thread needs it to come to its end. */
	syscall(SYS_arch_prctl, 0x1002 /* ARCH_SET_FS */, own);
	EXPECT_EQ(fs, own);
	return NULL;
}

TEST(two_threads)
{
	struct vcpu *v = vm_new(1)->vcpu[0];
	pthread_t other;
	u32 i;

	vcpu_start(v, guest_msrs, 10);
	for (i = 0; i < 3; i++) {
		run_once(v);
		ASSERT_EQ(pthread_create(&other, NULL, run_once, v), 0);
		ASSERT_EQ(pthread_join(other, NULL), 0);
	}
}

/* A bit of the host's CR4 that is the thread's: who reads the TSC is killed. */
static sigjmp_buf on_sigsegv;

static void denied(int sig)
{
	siglongjmp(on_sigsegv, sig);
}

static bool may_read_tsc(void)
{
	if (sigsetjmp(on_sigsegv, 1))
		return false;
	asm volatile("rdtsc" : : : "rax", "rdx");
	return true;
}

TEST(tsc_denied)
{
	struct vcpu *v = vm_new(1)->vcpu[0];
	bool may[4], allow;
	u32 i;

	signal(SIGSEGV, denied);
	vcpu_start(v, guest_msrs, 10);
	for (i = 0; i < ARRAY_SIZE(may); i++) {
		allow = i & 1;
		ASSERT_EQ(prctl(PR_SET_TSC, allow ? PR_TSC_ENABLE : PR_TSC_SIGSEGV), 0);
		EXPECT_SYNC(v, 1);
		may[i] = may_read_tsc();
	}
	for (i = 0; i < ARRAY_SIZE(may); i++)
		EXPECT_EQ(may[i], (bool)(i & 1));
}

/* ---- SYSCALL: the guest's goes to the guest, the host's to the host ---- */

#define MSR_EFER	0xc0000080
#define MSR_STAR	0xc0000081
#define MSR_LSTAR	0xc0000082
#define MSR_SFMASK	0xc0000084
#define EFER_SCE	BIT(0)
#define RFLAGS_DF	BIT(10)

asm(".pushsection .text\n"
    "on_syscall: inc %rax\n"
    "	jmp *%rcx\n"
    ".popsection");
extern const char on_syscall[];

static void guest_syscall(void)
{
	u64 flags, old, n = 0;

	g_wrmsr(MSR_STAR, (u64)G_CODE64 << 32);
	g_wrmsr(MSR_LSTAR, (u64)on_syscall);
	g_wrmsr(MSR_SFMASK, RFLAGS_DF);
	g_wrmsr(MSR_EFER, g_rdmsr(MSR_EFER) | EFER_SCE);
	for (;;) {
		asm volatile("std\n\tsyscall\n\tpushfq\n\tpop %[flags]\n\tcld\n\tmov %%r11, %[old]"
			     : "+a"(n), [flags] "=&b"(flags), [old] "=&d"(old) : : "rcx", "r11", "memory");
		G_EXPECT_EQ(flags & RFLAGS_DF, 0);
		G_EXPECT_EQ(old & RFLAGS_DF, RFLAGS_DF);
		g_sync(n);
	}
}

TEST(syscalls)
{
	struct vcpu *v = vm_new(1)->vcpu[0];
	u32 i;

	vcpu_start(v, guest_syscall, 0);
	for (i = 1; i <= 10; i++) {
		EXPECT_SYNC(v, i);
		EXPECT_EQ(syscall(SYS_getpid), getpid());
	}
}

/* ---- PKRU ---- */

static void guest_pkru(u64 value)
{
	u32 v;

	g_write_cr4(g_read_cr4() | BIT(22));
	asm volatile("wrpkru" : : "a"((u32)value), "c"(0), "d"(0));
	for (;;) {
		g_sync(1);
		asm volatile("rdpkru" : "=a"(v) : "c"(0) : "rdx");
		G_EXPECT_EQ(v, (u32)value);
	}
}

static u32 host_pkru(void)
{
	u32 v;

	asm volatile("rdpkru" : "=a"(v) : "c"(0) : "rdx");
	return v;
}

TEST(pkru)
{
	struct vm *vm[2];
	u32 i, a, b, c, d, before;

	__cpuid_count(7, 0, a, b, c, d);
	if (!(c & BIT(4)))
		SKIP("the host has no protection keys");
	before = host_pkru();
	for (i = 0; i < 2; i++) {
		vm[i] = vm_new(1);
		/* Key 0 may be used by the guest's own pages: leave it. */
		vcpu_start(vm[i]->vcpu[0], guest_pkru, i ? 0x55555550 : 0xaaaaaaa8);
	}
	for (i = 0; i < 60; i++) {
		EXPECT_SYNC(vm[i & 1]->vcpu[0], 1);
		EXPECT_EQ(host_pkru(), before);
	}
}

/* ---- debug registers ---- */

/* QEMU crashes when breakpoints are armed on both sides of a VMRUN. */
static u64 dr7_armed = 0x400 | 0x90000081;

static void guest_dr(u64 owner)
{
	u64 v, dr6 = 0xffff0ff0 | (owner & 7);

	g_write_dr0(owner * 0x1000);
	asm volatile("mov %0, %%dr1" : : "r"(owner * 0x1000 + 16));
	asm volatile("mov %0, %%dr2" : : "r"(owner * 0x1000 + 24));
	g_write_dr3(owner * 0x1000 + 8);
	asm volatile("mov %0, %%dr6" : : "r"(dr6));
	/* Armed, on an address that nobody touches. */
	g_write_dr7(dr7_armed);
	for (;;) {
		g_sync(1);
		G_EXPECT_EQ(g_read_dr0(), owner * 0x1000);
		asm volatile("mov %%dr1, %0" : "=r"(v));
		G_EXPECT_EQ(v, owner * 0x1000 + 16);
		asm volatile("mov %%dr2, %0" : "=r"(v));
		G_EXPECT_EQ(v, owner * 0x1000 + 24);
		G_EXPECT_EQ(g_read_dr3(), owner * 0x1000 + 8);
		G_EXPECT_EQ(g_read_dr6(), dr6);
		G_EXPECT_EQ(g_read_dr7(), dr7_armed);
	}
}

TEST(debug_registers)
{
	struct vm *vm[2];
	u32 i;

	if (host_is_tcg())
		dr7_armed = 0x400;
	for (i = 0; i < 2; i++)
		vm[i] = vm_new(1);
	for (i = 0; i < 2; i++)
		vcpu_start(vm[i]->vcpu[0], guest_dr, 0x700 + i);
	for (i = 0; i < 60; i++)
		EXPECT_SYNC(vm[i & 1]->vcpu[0], 1);
}

/*
 * A process that is debugged with hardware breakpoints, running a guest that
 * uses debug registers: each gets its own.
 */
static volatile u64 host_watched;

TEST(debugged_process)
{
	static const u64 dr7 = 0x1 | 0xd0000;	/* L0: write, 4 bytes */
	size_t at = offsetof(struct { u8 user[848]; u64 dr[8]; }, dr);
	int status, i;
	pid_t pid;

	if (host_is_tcg())
		SKIP("QEMU crashes when breakpoints are armed on both sides of a VMRUN");
	pid = fork();
	ASSERT_GE(pid, 0);
	if (pid == 0) {
		struct vcpu *v;

		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		v = vm_new(1)->vcpu[0];
		vcpu_start(v, guest_dr, 0x700);
		for (i = 0; i < 20; i++) {
			EXPECT_SYNC(v, 1);
			host_watched = i;	/* SIGTRAP to the parent */
		}
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(ptrace(PTRACE_POKEUSER, pid, at, &host_watched), 0);
	ASSERT_EQ(ptrace(PTRACE_POKEUSER, pid, at + 7 * 8, dr7), 0);
	ptrace(PTRACE_CONT, pid, 0, 0);
	for (i = 0;; i++) {
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			break;
		ASSERT_EQ(WSTOPSIG(status), SIGTRAP);
		ptrace(PTRACE_CONT, pid, 0, 0);
	}
	EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	EXPECT_EQ(i, 20);
}
