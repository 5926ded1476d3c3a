// SPDX-License-Identifier: GPL-2.0-only
/*
 * module/apic_logic.h against slow, obvious models of the same rules, and
 * against values from the manuals. KTAP on stdout.
 */
#include <stdio.h>
#include <string.h>
#include "../../module/apic_logic.h"

static unsigned int test_nr, failures, failed_tests;

/* Say where, for the first few. */
static void fail(int line, const char *what)
{
	if (failures++ < 8)
		printf("# line %d: %s\n", line, what);
}

#define CHECK(cond)	((cond) ? (void)0 : fail(__LINE__, #cond))

static u64 seed = 0x9e3779b97f4a7c15;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* ---- priorities ---- */

static void set(unsigned long map[4], unsigned int bit)
{
	map[bit / 64] |= 1UL << bit % 64;
}

static void test_highest(void)
{
	unsigned long map[4] = { 0 };
	unsigned int a, b;

	CHECK(lapic_highest(map) == -1);
	for (a = 0; a < 256; a++)
		for (b = 0; b <= a; b++) {
			memset(map, 0, sizeof(map));
			set(map, a);
			set(map, b);
			CHECK(lapic_highest(map) == (int)a);
		}
}

/* The SDM's words: the higher of the classes; with TPR's, its subclass too. */
static void test_ppr(void)
{
	int tpr, isr;

	for (tpr = 0; tpr < 256; tpr++) {
		CHECK(lapic_ppr(tpr, -1) == tpr);
		for (isr = 16; isr < 256; isr++) {
			int want = tpr / 16 >= isr / 16 ? tpr : isr / 16 * 16;

			CHECK(lapic_ppr(tpr, isr) == want);
		}
	}
}

static void test_above(void)
{
	int vector, ppr;

	for (ppr = 0; ppr < 256; ppr++) {
		CHECK(!lapic_above(-1, ppr));
		for (vector = 0; vector < 256; vector++)
			CHECK(lapic_above(vector, ppr) ==
			      (vector / 16 > ppr / 16));
	}
}

static void test_word(void)
{
	unsigned long map[4] = { 0 };
	unsigned int bit, i;

	for (bit = 0; bit < 256; bit++) {
		memset(map, 0, sizeof(map));
		set(map, bit);
		for (i = 0; i < 8; i++)
			CHECK(lapic_word(map, i) ==
			      (i == bit / 32 ? 1U << bit % 32 : 0));
	}
}

/* A model APIC: flags by vector, and a stack of what is in service. */
struct model {
	bool irr[256];
	int stack[32], depth;
};

static int model_pending(const struct model *m, u8 tpr)
{
	int class = tpr / 16, v;

	if (m->depth && m->stack[m->depth - 1] / 16 > class)
		class = m->stack[m->depth - 1] / 16;
	for (v = 255; v >= 16; v--)
		if (m->irr[v])
			return v / 16 > class ? v : -1;
	return -1;
}

/* Requests, acceptance, EOIs and TPR writes in random order agree with it. */
static void test_sequence(void)
{
	unsigned long irr[4] = { 0 }, isr[4] = { 0 };
	struct model m = { 0 };
	int step, v, top;
	u8 tpr = 0;

	for (step = 0; step < 200000; step++) {
		switch (rnd() % 4) {
		case 0:
			v = 16 + rnd() % 240;
			m.irr[v] = true;
			set(irr, v);
			break;
		case 1:
			v = model_pending(&m, tpr);
			top = lapic_highest(irr);
			if (!lapic_above(top, lapic_ppr(tpr,
							lapic_highest(isr))))
				top = -1;
			CHECK(top == v);
			if (v < 0)
				break;
			m.irr[v] = false;
			m.stack[m.depth++] = v;
			CHECK(m.depth <= 15);
			irr[v / 64] &= ~(1UL << v % 64);
			set(isr, v);
			break;
		case 2:
			top = lapic_highest(isr);
			CHECK(top == (m.depth ? m.stack[m.depth - 1] : -1));
			if (top < 0)
				break;
			isr[top / 64] &= ~(1UL << top % 64);
			m.depth--;
			break;
		case 3:
			tpr = rnd() % 3 ? 0 : rnd();
			break;
		}
	}
}

/* ---- modes ---- */

static void test_base(void)
{
	const u64 page = LAPIC_BASE_DEFAULT, off = page,
		  x1 = page | LAPIC_BASE_ENABLE,
		  x2 = page | LAPIC_BASE_ENABLE | LAPIC_BASE_X2,
		  bad = page | LAPIC_BASE_X2;
	static const bool may[3][3] = {
		/* to off, x1, x2 */
		{ true, true, false },
		{ true, true, true },
		{ true, false, true },
	};
	const u64 mode[3] = { off, x1, x2 };
	int i, j;

	for (i = 0; i < 3; i++) {
		for (j = 0; j < 3; j++) {
			CHECK(lapic_base_ok(mode[i], mode[j], 40, false) ==
			      may[i][j]);
			CHECK(lapic_base_ok(mode[i], mode[j], 40, true));
		}
		CHECK(!lapic_base_ok(mode[i], bad, 40, false));
		CHECK(!lapic_base_ok(mode[i], bad, 40, true));
	}
	for (i = 0; i < 64; i++) {
		bool known = (i >= 12 && i < 40) || i == 8 || i == 11;

		if (i != 10)
			CHECK(lapic_base_ok(x1, x1 | 1ULL << i, 40, false) ==
			      known);
	}
	CHECK(lapic_base_ok(x1, x1 | 1ULL << 51, 52, false));
	CHECK(!lapic_base_ok(x1, x1 | 1ULL << 52, 52, true));
}

static void test_x2_ldr(void)
{
	CHECK(lapic_x2_ldr(0) == 0x00000001);
	CHECK(lapic_x2_ldr(15) == 0x00008000);
	CHECK(lapic_x2_ldr(16) == 0x00010001);
	CHECK(lapic_x2_ldr(63) == 0x00038000);
}

/* ---- messages ---- */

static void test_icr(void)
{
	struct lapic_message m;

	m = lapic_from_icr(0x0000001200004031ULL, true);
	CHECK(m.dest == 0x12 && m.mode == LAPIC_FIXED && m.vector == 0x31);
	CHECK(!m.logical && !m.level && m.assert && !m.one && m.x2);
	CHECK(m.shorthand == LAPIC_TO_DEST && lapic_ipi_ok(&m));
	m = lapic_from_icr(0xffffffff000c8d45ULL, false);
	CHECK(m.dest == 0xffffffff && m.mode == LAPIC_INIT && m.logical);
	CHECK(m.shorthand == LAPIC_TO_OTHERS && m.level && !m.assert && !m.x2);
	CHECK(!lapic_ipi_ok(&m)); /* INIT, deasserted */
	m = lapic_from_icr(0x0000c500, true);
	CHECK(m.level && m.assert && lapic_ipi_ok(&m)); /* INIT, asserted */
	m = lapic_from_icr(0x00044100 | 0x20, true);
	CHECK(m.shorthand == LAPIC_TO_SELF && m.one && !lapic_ipi_ok(&m));
	m = lapic_from_icr(0x000c0600 | 0x9a, true);
	CHECK(m.mode == LAPIC_STARTUP && m.vector == 0x9a && lapic_ipi_ok(&m));
}

/* "Valid combinations", shorthand by mode; SMI and the reserved do nothing. */
static void test_ipi_modes(void)
{
	static const bool ok[4][8] = {
		/* fixed, lowest, SMI, -, NMI, INIT, SIPI, ExtINT */
		{ 1, 1, 0, 0, 1, 1, 1, 0 },
		{ 1, 0, 0, 0, 0, 0, 0, 0 },
		{ 1, 0, 0, 0, 0, 0, 0, 0 },
		{ 1, 1, 0, 0, 1, 1, 1, 0 },
	};
	struct lapic_message m;
	int to, mode;

	for (to = 0; to < 4; to++)
		for (mode = 0; mode < 8; mode++) {
			m = lapic_from_icr((u64)to << 18 | mode << 8 | 0x4040,
					   true);
			CHECK(lapic_ipi_ok(&m) == ok[to][mode]);
		}
}

static void test_msi(void)
{
	static const bool ok[8] = { 1, 1, 0, 0, 1, 1, 0, 0 };
	struct lapic_message m;
	int mode;

	for (mode = 0; mode < 8; mode++)
		CHECK(lapic_msi_ok(0xfee00000, mode << 8 | 0x30) == ok[mode]);
	CHECK(!lapic_msi_ok(0xfef00000, 0x30));
	CHECK(!lapic_msi_ok(0xfed00000, 0x30));
	CHECK(!lapic_msi_ok(0x1fee00000, 0x30));
	CHECK(!lapic_msi_ok(0, 0x30));

	m = lapic_from_msi(0xfee3f000, 0x4123);
	CHECK(m.dest == 0x3f && m.mode == LAPIC_LOWEST && m.vector == 0x23);
	CHECK(m.one && !m.logical && !m.level && !m.x2);
	m = lapic_from_msi(0xfee0100c, 0x8041);
	CHECK(m.dest == 1 && m.one && m.logical && m.level && !m.mode);
	m = lapic_from_msi(0xfee01fe0, 0x41); /* all extended id bits */
	CHECK(m.dest == 0x7f01 && !m.one && !m.logical);
	m = lapic_from_msi(0xfee00020, 0x41); /* the lowest */
	CHECK(m.dest == 0x100);
}

static struct lapic_message to(u32 dest, bool logical, bool x2)
{
	return (struct lapic_message){
		.dest = dest, .logical = logical, .x2 = x2,
	};
}

static bool match(u32 dest, bool logical, bool x2, struct lapic_address a)
{
	struct lapic_message m = to(dest, logical, x2);

	return lapic_match(&m, &a);
}

static void test_physical(void)
{
	struct lapic_address a = { .id = 5, .ldr = 0, .dfr = ~0U };

	CHECK(match(5, false, true, a) && match(5, false, false, a));
	CHECK(!match(4, false, true, a));
	CHECK(match(0xff, false, false, a));
	CHECK(!match(0xff, false, true, a));
	CHECK(match(0xffffffff, false, true, a));
	CHECK(!match(0x105, false, false, a));
}

static void test_logical_xapic(void)
{
	struct lapic_address flat = { .ldr = 0x04000000, .dfr = ~0U };
	struct lapic_address cluster = { .ldr = 0x24000000, .dfr = 0x0fffffff };
	struct lapic_address other = { .ldr = 0xff000000, .dfr = 0x3fffffff };

	CHECK(match(0x04, true, false, flat));
	CHECK(match(0xff, true, false, flat));
	CHECK(!match(0xfb, true, false, flat));
	CHECK(!match(0x00, true, false, flat));
	CHECK(!match(0x104, true, true, flat));
	CHECK(match(0x24, true, false, cluster));
	CHECK(match(0x2f, true, false, cluster));
	CHECK(!match(0x34, true, false, cluster));
	CHECK(!match(0x2b, true, false, cluster));
	CHECK(match(0xf4, true, false, cluster));
	CHECK(match(0xff, true, false, cluster));
	CHECK(!match(0xf3, true, false, cluster));
	CHECK(!match(0xff, true, false, other)); /* a reserved model */
	/* No LDR: not even a logical broadcast. */
	flat.ldr = 0;
	CHECK(!match(0xff, true, false, flat));
}

static void test_logical_x2apic(void)
{
	u32 id, cluster, mask;

	for (id = 0; id < 64; id++) {
		struct lapic_address a = {
			.id = id, .ldr = lapic_x2_ldr(id), .x2 = true,
		};

		for (cluster = 0; cluster < 6; cluster++)
			for (mask = 0; mask < 16; mask++)
				CHECK(match(cluster << 16 | 1U << mask, true,
					    true, a) ==
				      (cluster * 16 + mask == id));
		CHECK(match(0xffffffff, true, true, a));
		CHECK(match((id / 16) << 16 | 0xffff, true, true, a));
	}
}

/* ---- timer ---- */

static void test_divisor(void)
{
	/* Bits 3, 1, 0: 000 is 2, and so on; 111 is 1. Bit 2 is reserved. */
	static const struct { u32 tdcr, divisor; } t[] = {
		{ 0x0, 2 }, { 0x1, 4 }, { 0x2, 8 }, { 0x3, 16 },
		{ 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 }, { 0xb, 1 },
		{ 0x4, 2 }, { 0xf, 1 },
	};
	unsigned int i;

	for (i = 0; i < sizeof(t) / sizeof(*t); i++)
		CHECK(lapic_divisor(t[i].tdcr) == t[i].divisor);
}

static void test_deadline(void)
{
	static const u32 khz[] = { 100000, 999999, 1000000, 2500000, 6000000 };
	unsigned int i, n;

	CHECK(!lapic_deadline_ns(0, 0, 1000000));
	CHECK(!lapic_deadline_ns(5, 5, 1000000));
	CHECK(!lapic_deadline_ns(5, 6, 1000000));
	CHECK(!lapic_deadline_ns(0, ~0ULL, 1000000));
	CHECK(lapic_deadline_ns(3000000, 0, 3000000) == 1000001);
	for (i = 0; i < sizeof(khz) / sizeof(*khz); i++) {
		/* The farthest: no overflow, and within a ktime_t with now. */
		CHECK(lapic_deadline_ns(~0ULL, 0, khz[i]) < 1ULL << 62);
		CHECK(lapic_deadline_ns(~0ULL, 0, khz[i]) >
		      180ULL * 86400 * 1000000000 / 2);
		for (n = 0; n < 20000; n++) {
			u64 now = rnd(), ticks = rnd() >> (8 + rnd() % 56);
			u64 ns = lapic_deadline_ns(now + ticks, now, khz[i]);
			__uint128_t got = (__uint128_t)ns * khz[i];
			__uint128_t want =
				(__uint128_t)ticks * 1000000;

			if (now + ticks < now || !ticks)
				continue;
			/* Never early, and no 2 ns late. */
			CHECK(got >= want);
			CHECK(got - want <= 2ULL * khz[i]);
		}
	}
}

static void run(const char *name, void (*test)(void))
{
	failures = 0;
	test();
	failed_tests += failures != 0;
	printf("%sok %u %s\n", failures ? "not " : "", ++test_nr, name);
}

int main(void)
{
	printf("KTAP version 1\n1..15\n");
	run("highest vector", test_highest);
	run("processor priority", test_ppr);
	run("priority classes", test_above);
	run("registers of a map", test_word);
	run("random sequences against a model", test_sequence);
	run("IA32_APIC_BASE transitions", test_base);
	run("x2APIC logical id", test_x2_ldr);
	run("ICR decoding", test_icr);
	run("IPI modes and shorthands", test_ipi_modes);
	run("MSI decoding", test_msi);
	run("physical destinations", test_physical);
	run("xAPIC logical destinations", test_logical_xapic);
	run("x2APIC logical destinations", test_logical_x2apic);
	run("timer divisor", test_divisor);
	run("deadline to nanoseconds", test_deadline);
	return failed_tests ? 1 : 0;
}
