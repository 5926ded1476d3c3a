// SPDX-License-Identifier: GPL-2.0
/* The MSR policy: every number that there may be, and each value that there may not. */
#include <string.h>

#include "vm.h"

static struct vm *run_guest(void (*fn)(void))
{
	struct vm *vm = vm_new(1);

	vcpu_start(vm->vcpu[0], fn, 0);
	vcpu_done(vm->vcpu[0]);
	return vm;
}

/* ---- the sweep ---- */

static const struct {
	u32 first, last;
} ranges[] = {
	{ 0x00000000, 0x00001fff },
	{ 0x40000000, 0x400001ff },
	{ 0x4b564d00, 0x4b564dff },
	{ 0x506f0000, 0x506f00ff },
	{ 0xc0000000, 0xc0001fff },
	{ 0xc0010000, 0xc0011fff },
	{ 0xfffffff0, 0xffffffff },
};

/* All that a guest may get an answer to, on any host, but for x2APIC's: see msr_rows.c. */
static const struct {
	u32 first, last;
} answered[] = {
	{ 0x10, 0x12 }, { 0x17, 0x17 }, { 0x1b, 0x1b }, { 0x2a, 0x2a }, { 0x34, 0x34 },
	{ 0x3a, 0x3b }, { 0x48, 0x49 }, { 0x79, 0x79 }, { 0x8b, 0x8b }, { 0xce, 0xce },
	{ 0xfe, 0xfe }, { 0x10a, 0x10b }, { 0x140, 0x140 }, { 0x174, 0x176 }, { 0x179, 0x17a },
	{ 0x1a0, 0x1a0 }, { 0x1d9, 0x1d9 }, { 0x1db, 0x1de }, { 0x200, 0x20f }, { 0x250, 0x250 },
	{ 0x258, 0x259 }, { 0x268, 0x26f }, { 0x277, 0x277 }, { 0x2ff, 0x2ff }, { 0x6e0, 0x6e0 },
	{ 0xda0, 0xda0 }, { 0x4b564d00, 0x4b564d01 }, { 0x4b564d03, 0x4b564d03 },
	{ 0x4b564d05, 0x4b564d05 }, { POSADA_MSR_HYPERCALL, POSADA_MSR_GENERATION },
	{ 0xc0000080, 0xc0000084 }, { 0xc0000100, 0xc0000103 }, { 0xc0010010, 0xc0010010 },
	{ 0xc0010015, 0xc0010015 }, { 0xc001001a, 0xc001001a }, { 0xc001001d, 0xc001001d },
	{ 0xc001001f, 0xc0010020 }, { 0xc0010055, 0xc0010055 }, { 0xc0010058, 0xc0010058 },
	{ 0xc0010112, 0xc0010113 }, { 0xc0010140, 0xc0010141 }, { 0xc0011022, 0xc0011022 },
	{ 0xc0011029, 0xc001102a },
};

static bool may_answer(u32 msr)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(answered); i++)
		if (msr >= answered[i].first && msr <= answered[i].last)
			return true;
	return false;
}

static u32 nr_known;

static bool in_order(u32 msr)
{
	/* The TSC and its adjustment, APIC base, EFER: changes that would hurt here. */
	return msr == 0x10 || msr == 0x3b || msr == 0x1b || msr == 0xc0000080;
}

static void guest_sweep_one(u32 msr)
{
	bool may = may_answer(msr);
	int wr, rd;
	u64 v, w;

	rd = g_try_rdmsr(msr, &v);
	if (rd != GP && (rd != -1 || !may))
		g_report(__FILE__, __LINE__, "RDMSR raises", msr, rd);
	if (rd == GP && g_cpu()->error)
		g_report(__FILE__, __LINE__, "error code", msr, g_cpu()->error);
	nr_known += rd == -1;
	/* What it reads may be written back; the rest gets junk. */
	if (rd == -1 && !in_order(msr)) {
		wr = g_try_wrmsr(msr, v);
		if (wr == -1 && g_try_rdmsr(msr, &w) != -1)
			g_report(__FILE__, __LINE__, "gone after a write", msr, v);
	} else if (rd == GP) {
		if ((g_try_wrmsr(msr, 0) != GP || g_try_wrmsr(msr, ~0ULL) != GP) && !may)
			g_report(__FILE__, __LINE__, "WRMSR does not fault", msr, 0);
	}
}

static void guest_sweep(void)
{
	u32 i, msr;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		msr = ranges[i].first;
		do {
			guest_sweep_one(msr);
		} while (msr++ != ranges[i].last);
	}
	g_done(nr_known);
}

/* Each number of these ranges, read and written: no answer but to those above. */
TEST_SLOW(sweep, 120)
{
	struct vm *vm = vm_new(1);
	u32 n;

	vcpu_start(vm->vcpu[0], guest_sweep, 0);
	n = vcpu_done(vm->vcpu[0]);
	test_note("%u MSRs can be read", n);
	EXPECT_GT(n, 40);
}

/* ---- round trips ---- */

struct trip {
	u32 msr;
	u64 value;
};

static const struct trip trips[] = {
	{ 0x174, 0x1234 },			/* SYSENTER_CS */
	{ 0x175, 0xffffffff80001234 }, { 0x176, 0x00007fffffffffff },
	{ 0x277, 0x0007040600070406 },		/* PAT */
	{ 0x277, 0x0606060606060606 }, { 0x277, 0x0007040600070406 },
	{ 0xc0000081, 0xfedcba9876543210 },	/* STAR */
	{ 0xc0000082, 0xffffffff81000000 }, { 0xc0000083, 0x1234 },
	{ 0xc0000084, 0x47700 },
	{ 0xc0000100, 0xffff888000000000 }, { 0xc0000101, 0x00007f0000000000 },
	{ 0xc0000102, 0xffffffffffffffff }, { 0xc0000103, 0x12345678 },
	{ 0x2ff, 0xc06 }, { 0x250, 0x0606060606060606 }, { 0x26f, 0x0505050505050505 },
	{ 0x200, 0x06 }, { 0x201, 0x0000000fff000800 },
};

static void guest_trips(void)
{
	u64 v;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(trips); i++) {
		if (g_try_wrmsr(trips[i].msr, trips[i].value) != -1)
			g_report(__FILE__, __LINE__, "WRMSR faults", trips[i].msr, trips[i].value);
		if (g_try_rdmsr(trips[i].msr, &v) != -1 || v != trips[i].value)
			g_report(__FILE__, __LINE__, "reads back", trips[i].msr, v);
	}
}

TEST(round_trips)
{
	run_guest(guest_trips);
}

/* The CPU itself refuses these, but for QEMU's. */
static const struct trip not_canonical[] = {
	{ 0xc0000082, BIT(63) }, { 0xc0000083, 0x0100000000000000 },
	{ 0xc0000100, BIT(62) }, { 0xc0000101, 0xfeffffffffffffff },
	{ 0xc0000102, 0x8000000000000000 }, { 0x175, BIT(62) }, { 0x176, BIT(56) },
};

static const struct trip refused[] = {
	/* Memory types that there are not. */
	{ 0x277, 0x02 }, { 0x277, 0xff00000000000000 }, { 0x277, 8 },
	{ 0x2ff, 0x02 }, { 0x2ff, BIT(40) }, { 0x250, 0x0202020202020202 }, { 0x200, 0x03 },
	/* EFER: reserved, SVME, LMA is not to be written off, LME not with paging. */
	{ 0xc0000080, BIT(1) }, { 0xc0000080, 0x1d01 }, { 0xc0000080, 0x801 },
	{ 0xc0000080, BIT(63) | 0xd01 },
	/* APIC base; TSC_AUX has 32 bits. */
	{ 0x1b, BIT(60) }, { 0xc0000103, BIT(32) },
	/* Read-only. */
	{ 0xfe, 0 }, { 0x17, 0 },
	/* Paravirtual: reserved bits, misaligned addresses. */
	{ 0x4b564d01, 0x100000 | 2 }, { 0x4b564d03, 0x100000 | 2 },
	{ 0x4b564d05, 2 },
	{ POSADA_MSR_HYPERCALL, G_SCRATCH | 3 },
};

static void expect_refused(const struct trip *t, u32 n)
{
	u64 before, after;
	int rd;

	for (; n--; t++) {
		rd = g_try_rdmsr(t->msr, &before);
		if (g_try_wrmsr(t->msr, t->value) != GP)
			g_report(__FILE__, __LINE__, "WRMSR does not fault", t->msr, t->value);
		if (rd == -1 && (g_try_rdmsr(t->msr, &after) != -1 || before != after))
			g_report(__FILE__, __LINE__, "changed by a refused write", t->msr, after);
	}
}

static void guest_refused(void)
{
	expect_refused(refused, ARRAY_SIZE(refused));
}

TEST(refused)
{
	run_guest(guest_refused);
}

static void guest_not_canonical(void)
{
	expect_refused(not_canonical, ARRAY_SIZE(not_canonical));
}

TEST(not_canonical)
{
	if (host_is_tcg())
		SKIP("QEMU's WRMSR takes addresses that are not canonical");
	run_guest(guest_not_canonical);
}

/* LME cannot change while paging is on; NXE may. */
static void guest_efer(void)
{
	u64 efer = g_rdmsr(0xc0000080);

	G_EXPECT_EQ(efer & 0x500, 0x500);
	G_EXPECT_EQ(g_try_wrmsr(0xc0000080, efer & ~BIT(8)), GP);
	G_EXPECT_EQ(g_try_wrmsr(0xc0000080, efer & ~BIT(11)), -1);
	G_EXPECT_EQ(g_rdmsr(0xc0000080), efer & ~BIT(11));
	G_EXPECT_EQ(g_try_wrmsr(0xc0000080, efer), -1);
	/* LMA is the CPU's: written as 0, it stays. */
	G_EXPECT_EQ(g_try_wrmsr(0xc0000080, efer & ~BIT(10)), -1);
	G_EXPECT_EQ(g_rdmsr(0xc0000080), efer);
}

TEST(efer)
{
	run_guest(guest_efer);
}

/* ---- the TSC ---- */

static void guest_tsc(void)
{
	u64 a, b, adjust;

	a = g_rdtsc();
	b = g_rdmsr(0x10);
	G_EXPECT_TRUE(b >= a);
	adjust = g_rdmsr(0x3b);
	/* Writing the TSC moves the adjustment by the same, and back. */
	g_wrmsr(0x10, g_rdtsc() + 1000000000000);
	G_EXPECT_TRUE(g_rdtsc() >= a + 1000000000000);
	G_EXPECT_TRUE(g_rdmsr(0x3b) - adjust >= 1000000000000 - 100000000);
	g_wrmsr(0x3b, adjust);
	b = g_rdtsc();
	G_EXPECT_TRUE(b >= a && b - a < 1000000000000);
	/* The other way round. */
	g_wrmsr(0x3b, adjust + 500000000000);
	G_EXPECT_TRUE(g_rdtsc() >= b + 500000000000);
}

TEST(tsc)
{
	run_guest(guest_tsc);
}

/* Nothing in the guest can find the host's APIC: x2APIC MSRs in xAPIC mode. */
static void guest_no_x2apic(void)
{
	u64 v;
	u32 i;

	for (i = 0x800; i < 0xc00; i++)
		G_EXPECT_EQ(g_try_rdmsr(i, &v), GP);
}

TEST(no_host_apic)
{
	run_guest(guest_no_x2apic);
}

/* ---- all ports are intercepted ---- */

static void guest_all_ports(void)
{
	u32 i;

	for (i = 0; i < 0x10000; i++)
		if (i < PORT_DONE || i > PORT_REPORT)
			g_inb(i);
}

TEST_SLOW(all_ports, 60)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u32 i;

	v->run->wanted = 0;
	vcpu_start(v, guest_all_ports, 0);
	for (i = 0; i < 0x10000; i++) {
		if (i >= PORT_DONE && i <= PORT_REPORT)
			continue;
		ASSERT_EQ(vcpu_run(v), 0);
		ASSERT_EQ(v->run->exit, POSADA_EXIT_PORT);
		ASSERT_EQ(v->run->port.port, i);
	}
	vcpu_done(v);
}
