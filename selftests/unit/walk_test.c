// SPDX-License-Identifier: GPL-2.0-only
/*
 * module/walk.c: tables in a small memory of our own, each rule of the walk
 * on its own, all permissions against an obvious model, and garbage. KTAP.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "../../module/pagetable.h"
#include "unit.h"

#define P	(1ULL << 0)
#define W	(1ULL << 1)
#define U	(1ULL << 2)
#define PS	(1ULL << 7)
#define NX	(1ULL << 63)
#define KEY(k)	((u64)(k) << 59)
#define KEY_NR	13	/* the key of the pages below */

#define WP	(1ULL << 16)
#define PG	(1ULL << 31)
#define PSE	(1ULL << 4)
#define PAE	(1ULL << 5)
#define LA57	(1ULL << 12)
#define SMEP	(1ULL << 20)
#define SMAP	(1ULL << 21)
#define PKE	(1ULL << 22)
#define LME	(1ULL << 8)
#define LMA	(1ULL << 10)
#define NXE	(1ULL << 11)
#define AC	(1ULL << 18)

#define READ	POSADA_ACCESS_READ
#define WRITE	POSADA_ACCESS_WRITE
#define EXEC	POSADA_ACCESS_EXEC
#define USER	POSADA_ACCESS_USER

#define PAGE	4096ULL
#define PAGES	16
#define ROOT	(3 * PAGE)	/* where CR3 points to */

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* ---- a guest ---- */

static unsigned char memory[PAGES * PAGE];
static unsigned int reads;
static u64 next_table;

static struct posada_paging pg;
static struct posada_walk w;

enum format { F32, FPAE, F4, F5, NR_FORMATS };

static const struct {
	int levels, entry, bits;
	u64 cr4, efer;
} formats[NR_FORMATS] = {
	[F32]	= { 2, 4, 10, 0, 0 },
	[FPAE]	= { 3, 8, 9, PAE, NXE },
	[F4]	= { 4, 8, 9, PAE, LME | LMA | NXE },
	[F5]	= { 5, 8, 9, PAE | LA57, LME | LMA | NXE },
};

static int read_memory(void *ctx, u64 gpa, void *entry, size_t bytes)
{
	(void)ctx;
	reads++;
	if (gpa > sizeof(memory) - bytes)
		return -EFAULT;
	memcpy(entry, memory + gpa, bytes);
	return 0;
}

static void start(enum format f)
{
	memset(memory, 0, sizeof(memory));
	next_table = ROOT + PAGE;
	pg = (struct posada_paging){
		.cr0 = PG | WP, .cr3 = ROOT, .cr4 = formats[f].cr4,
		.efer = formats[f].efer,
	};
	w = (struct posada_walk){
		.paging = &pg, .read = read_memory, .phys_bits = 40,
		.gib_pages = true,
	};
}

static u64 entry_address(enum format f, u64 gva, u64 table, int level)
{
	u64 index = gva >> (12 + (level - 1) * formats[f].bits);

	index &= (1ULL << formats[f].bits) - 1;
	if (f == FPAE && level == 3)
		index &= 3;
	return table + index * formats[f].entry;
}

/* The address of the entry of @level for @gva, through tables that are there. */
static u64 find(enum format f, u64 gva, int level)
{
	u64 table = ROOT, entry = 0;
	int l;

	for (l = formats[f].levels; l > level; l--) {
		memcpy(&entry, memory + entry_address(f, gva, table, l),
		       formats[f].entry);
		table = entry & 0xffffffffff000ULL;
	}
	return entry_address(f, gva, table, level);
}

static void put(enum format f, u64 gva, int level, u64 value)
{
	memcpy(memory + find(f, gva, level), &value, formats[f].entry);
}

static u64 get(enum format f, u64 gva, int level)
{
	u64 value = 0;

	memcpy(&value, memory + find(f, gva, level), formats[f].entry);
	return value;
}

/* Map @gva by a leaf of @level, through tables with all rights. */
static void map(enum format f, u64 gva, int level, u64 leaf)
{
	int l;

	for (l = formats[f].levels; l > level; l--) {
		u64 rights = f == FPAE && l == 3 ? P : P | W | U;

		put(f, gva, l, next_table | rights);
		next_table += PAGE;
	}
	put(f, gva, level, leaf);
}

static int walk(u64 gva, u32 access)
{
	w.gva = gva;
	w.access = access;
	w.gpa = w.page_bytes = ~0ULL;
	w.error_code = ~0U;
	reads = 0;
	return posada_walk(&w);
}

static u64 seed = 0x9e3779b97f4a7c15;

static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* An address in the middle of everything, for each format. */
static const u64 somewhere[NR_FORMATS] = {
	[F32] = 0xc0403abc, [FPAE] = 0xc0403abc,
	[F4] = 0xffff812345678abcULL, [F5] = 0xff12812345678abcULL,
};

/* ---- finding the page ---- */

static bool test_no_paging(void)
{
	start(F4);
	pg.cr0 = 0;
	pg.efer = 0;
	CHECK(!walk(0xfff12345, READ) && w.gpa == 0xfff12345);
	CHECK(w.page_bytes == PAGE && !reads && !w.error_code);
	CHECK(walk(1ULL << 32, READ) == -EINVAL);
	return true;
}

static bool test_small_page(void)
{
	int f;

	for (f = 0; f < NR_FORMATS; f++) {
		start(f);
		map(f, somewhere[f], 1, 0x12345000 | P);
		CHECK(!walk(somewhere[f], READ));
		CHECK(w.gpa == 0x12345abc && w.page_bytes == PAGE);
		CHECK(reads == (unsigned int)formats[f].levels);
		/* The neighbours are not there. */
		CHECK(walk(somewhere[f] + PAGE, READ) == -EFAULT);
		CHECK(walk(somewhere[f] - PAGE, READ) == -EFAULT);
	}
	return true;
}

static bool test_table_ends(void)
{
	static const u64 last[NR_FORMATS] = {
		0xffffffff, 0xffffffff, ~0ULL, ~0ULL
	};
	int f;

	for (f = 0; f < NR_FORMATS; f++) {
		start(f);
		map(f, 0, 1, 0x5000 | P);
		CHECK(!walk(0, READ) && w.gpa == 0x5000);
		start(f);
		map(f, last[f], 1, 0x5000 | P);
		CHECK(!walk(last[f], READ) && w.gpa == 0x5fff);
	}
	return true;
}

static bool test_large_page(void)
{
	start(F4);
	map(F4, somewhere[F4], 2, 0x40000000 | P | PS);
	CHECK(!walk(somewhere[F4], READ));
	CHECK(w.page_bytes == 2 << 20 && w.gpa == 0x40078abc);
	start(F5);
	map(F5, somewhere[F5], 3, 0x40000000 | P | PS);
	CHECK(!walk(somewhere[F5], READ));
	CHECK(w.page_bytes == 1 << 30 && w.gpa == 0x40000000 + 0x5678abc);
	start(FPAE);
	map(FPAE, somewhere[FPAE], 2, 0x600000 | P | PS);
	CHECK(!walk(somewhere[FPAE], READ) && w.gpa == 0x603abc);
	/* Bit 12 of a large leaf is PAT, not an address. */
	start(F4);
	map(F4, somewhere[F4], 2, 0x40000000 | 1 << 12 | P | PS);
	CHECK(!walk(somewhere[F4], READ) && w.gpa == 0x40078abc);
	return true;
}

static bool test_pse(void)
{
	start(F32);
	map(F32, 0xc0403abc, 2, 0x00400000 | P | PS);
	/* Without PSE the bit means nothing: a table at 4 MiB, out of memory. */
	CHECK(walk(0xc0403abc, READ) == -EIO);
	pg.cr4 |= PSE;
	CHECK(!walk(0xc0403abc, READ));
	CHECK(w.gpa == 0x403abc && w.page_bytes == 4 << 20);
	/* PSE-36: bits 13-20 are address bits 32-39. */
	put(F32, 0xc0403abc, 2, 0x00400000 | 0xffULL << 13 | P | PS);
	CHECK(!walk(0xc0403abc, READ) && w.gpa == 0xff00403abcULL);
	put(F32, 0xc0403abc, 2, 0x00400000 | 1 << 21 | P | PS);
	CHECK(walk(0xc0403abc, READ) == -EFAULT && w.error_code == 9);
	/* No more address lines than that. */
	w.phys_bits = 36;
	put(F32, 0xc0403abc, 2, 0x00400000 | 0x0fULL << 13 | P | PS);
	CHECK(!walk(0xc0403abc, READ) && w.gpa == 0xf00403abcULL);
	put(F32, 0xc0403abc, 2, 0x00400000 | 0x10ULL << 13 | P | PS);
	CHECK(walk(0xc0403abc, READ) == -EFAULT && w.error_code == 9);
	return true;
}

static bool test_cr3(void)
{
	start(F4);
	map(F4, 0x1000, 1, 0x5000 | P);
	pg.cr3 = 1ULL << 63 | ROOT | 0xfff;	/* no flush, PCID */
	CHECK(!walk(0x1000, READ));
	/* PAE: 32-byte aligned, 32 bits. */
	start(FPAE);
	put(FPAE, 0, 3, 0);
	memcpy(memory + ROOT + 32, &(u64){ (ROOT + PAGE) | P }, 8);
	memcpy(memory + ROOT + PAGE, &(u64){ (ROOT + 2 * PAGE) | P }, 8);
	memcpy(memory + ROOT + 2 * PAGE, &(u64){ 0x5000 | P }, 8);
	pg.cr3 = 1ULL << 32 | (ROOT + 32) | 0x18;
	CHECK(!walk(0, READ) && w.gpa == 0x5000);
	return true;
}

static bool test_canonical(void)
{
	start(F4);
	CHECK(walk(0x800000000000ULL, READ) == -EINVAL);
	CHECK(walk(0xffff7fffffffffffULL, READ) == -EINVAL);
	CHECK(walk(0x7fffffffffffULL, READ) == -EFAULT);
	CHECK(walk(0xffff800000000000ULL, READ) == -EFAULT);
	start(F5);
	CHECK(walk(0x800000000000ULL, READ) == -EFAULT);
	CHECK(walk(0x100000000000000ULL, READ) == -EINVAL);
	CHECK(walk(0xff00000000000000ULL, READ) == -EFAULT);
	start(FPAE);
	CHECK(walk(0x100000000ULL, READ) == -EINVAL);
	CHECK(!reads);
	return true;
}

/* ---- faults ---- */

static bool test_absent(void)
{
	int f, level;

	for (f = 0; f < NR_FORMATS; f++) {
		for (level = 1; level <= formats[f].levels; level++) {
			start(f);
			map(f, somewhere[f], 1, 0x5000 | P | W | U);
			put(f, somewhere[f], level,
			    get(f, somewhere[f], level) & ~P);
			CHECK(walk(somewhere[f], READ) == -EFAULT);
			CHECK(w.error_code == 0);
			CHECK(walk(somewhere[f], WRITE | USER) == -EFAULT);
			CHECK(w.error_code == 6);
			/* All else of an absent entry means nothing. */
			put(f, somewhere[f], level, ~1ULL);
			CHECK(walk(somewhere[f], READ) == -EFAULT);
			CHECK(w.error_code == 0);
		}
	}
	return true;
}

static bool test_fetch_bit(void)
{
	start(F32);
	CHECK(walk(0, EXEC) == -EFAULT && w.error_code == 0);
	pg.efer = NXE;	/* tells nothing without PAE */
	CHECK(walk(0, EXEC) == -EFAULT && w.error_code == 0);
	pg.cr4 |= SMEP;
	CHECK(walk(0, EXEC) == -EFAULT && w.error_code == 16);
	start(F4);
	CHECK(walk(0, EXEC | USER) == -EFAULT && w.error_code == 20);
	pg.efer &= ~NXE;
	CHECK(walk(0, EXEC | USER) == -EFAULT && w.error_code == 4);
	return true;
}

static bool test_no_memory(void)
{
	int f, level;

	for (f = 0; f < NR_FORMATS; f++) {
		for (level = 2; level <= formats[f].levels; level++) {
			start(f);
			map(f, somewhere[f], 1, 0x5000 | P | W | U);
			put(f, somewhere[f], level, PAGES * PAGE | P);
			CHECK(walk(somewhere[f], WRITE) == -EIO);
			CHECK(w.error_code == 2);
		}
	}
	start(F4);
	pg.cr3 = PAGES * PAGE;
	CHECK(walk(0, READ) == -EIO && reads == 1);
	return true;
}

/* One bit of one entry is reserved, or it isn't. */
static bool reserved(int f, int level, bool leaf, int bit)
{
	bool large = leaf && level > 1;

	if (f == F32)
		return false;
	if (bit >= w.phys_bits && bit <= 51)
		return true;
	if (f == FPAE && level == 3)
		/* Bit 5 as well, but see walk.c. */
		return bit == 1 || bit == 2 || (bit >= 6 && bit <= 8) ||
		       bit >= 52;
	if (f == FPAE && bit >= 52 && bit <= 62)
		return true;
	if (bit == 63)
		return !(pg.efer & NXE);
	if (bit == 7 && level > 3)
		return true;
	if (large)
		return bit > 12 && bit < 12 + 9 * (level - 1);
	return false;
}

static bool check_reserved(int f, int leaf_level)
{
	u64 flags = P | W | U | (leaf_level > 1 ? PS : 0);
	int level, bit;

	for (level = leaf_level; level <= formats[f].levels; level++) {
		for (bit = 1; bit < formats[f].entry * 8; bit++) {
			u64 old;
			int ret;

			start(f);
			map(f, somewhere[f], leaf_level, flags);
			old = get(f, somewhere[f], level);
			/* These change the walk; other tests look at them. */
			if (old >> bit & 1 ||
			    (bit == 7 && level > 1 && level <= 3 &&
			     !(f == FPAE && level == 3)))
				continue;
			put(f, somewhere[f], level, old | 1ULL << bit);
			if (bit & 1)
				pg.efer &= ~NXE;
			ret = walk(somewhere[f], WRITE);
			if (!reserved(f, level, level == leaf_level, bit)) {
				CHECK(w.error_code != (8 | 2 | 1));
				continue;
			}
			CHECK(ret == -EFAULT && w.error_code == (8 | 2 | 1));
		}
	}
	return true;
}

static bool test_reserved(void)
{
	int f;

	for (f = 0; f < NR_FORMATS; f++) {
		CHECK(check_reserved(f, 1));
		if (f != F32)
			CHECK(check_reserved(f, 2));
		if (f >= F4)
			CHECK(check_reserved(f, 3));
	}
	/* 1 GiB pages that the CPU does not have. */
	start(F4);
	map(F4, 0, 3, P | PS);
	CHECK(!walk(0, READ));
	w.gib_pages = false;
	CHECK(walk(0, READ) == -EFAULT && w.error_code == 9);
	return true;
}

/* ---- permissions, all of them ---- */

struct page {
	bool write, user, nx;
	int key;		/* of PKRU: 1 no access, 2 no write */
};

/* The manuals' tables, as plainly as can be said. 0: allowed. */
static u32 model(const struct page *p, u32 access)
{
	bool user = access & USER, write = access & WRITE;
	bool exec = access & EXEC, data = !exec, denied = false, key = false;

	if (user && !p->user)
		denied = true;
	if (exec && p->nx)
		denied = true;
	if (exec && !user && p->user && pg.cr4 & SMEP)
		denied = true;
	if (data && !user && p->user && pg.cr4 & SMAP) {
		if (!(pg.rflags & AC))
			denied = true;
		if (pg.cpl == 3)
			denied = true;
	}
	if (write && !p->write) {
		if (user)
			denied = true;
		if (pg.cr0 & WP)
			denied = true;
	}
	if (data && p->user && pg.cr4 & PKE) {
		if (p->key & 1)
			key = true;
		if (write && p->key & 2 && (user || pg.cr0 & WP))
			key = true;
	}
	if (!denied && !key)
		return 0;
	return 1 | (write ? 2 : 0) | (user ? 4 : 0) | (exec ? 16 : 0) |
	       (key ? 32 : 0);
}

/* A page whose right number @i is withheld at @level alone. */
static void build(const struct page *p, int level)
{
	const u64 gva = somewhere[F4];
	u64 entry;

	map(F4, gva, 1, 0x5000 | P | W | U | KEY(KEY_NR));
	entry = get(F4, gva, level);
	if (!p->write)
		entry &= ~W;
	if (!p->user)
		entry &= ~U;
	if (p->nx)
		entry |= NX;
	put(F4, gva, level, entry);
	/* All other keys forbid what this one allows. */
	pg.pkru = ~(3U << 2 * KEY_NR) | (u32)p->key << 2 * KEY_NR;
}

static bool check_access(const struct page *p, int level, unsigned int env)
{
	static const u32 kinds[] = { READ, WRITE, EXEC };
	unsigned int i, user;

	start(F4);
	build(p, level);
	pg.cr0 = PG | (env & 1 ? WP : 0);
	pg.cr4 |= (env & 2 ? SMEP : 0) | (env & 4 ? SMAP : 0) |
		  (env & 8 ? PKE : 0);
	pg.rflags = env & 16 ? AC : 0;
	pg.cpl = env & 32 ? 3 : 0;
	for (i = 0; i < 3; i++) {
		for (user = 0; user < 2; user++) {
			u32 access = kinds[i] | (user ? USER : 0);
			u32 code = model(p, access);
			int ret = walk(somewhere[F4], access);

			CHECK(ret == (code ? -EFAULT : 0));
			CHECK(w.error_code == code);
		}
	}
	return true;
}

static bool test_permissions(void)
{
	unsigned int page, env;
	int level;

	for (level = 1; level <= 4; level++) {
		for (page = 0; page < 32; page++) {
			struct page p = {
				.write = page & 1, .user = page & 2,
				.nx = page & 4, .key = page >> 3,
			};

			for (env = 0; env < 64; env++)
				CHECK(check_access(&p, level, env));
		}
	}
	return true;
}

/* A PAE page-directory-pointer has no rights to withhold; keys are for long
 * mode only, and a 32-bit entry has no NX.
 */
static bool test_formats_without(void)
{
	start(FPAE);
	map(FPAE, somewhere[FPAE], 1, 0x5000 | P | W | U);
	pg.cr4 |= PKE;
	pg.pkru = ~0U;
	CHECK(!walk(somewhere[FPAE], WRITE | USER));
	start(F32);
	pg.efer = NXE;
	map(F32, somewhere[F32], 1, 0x80005000 | P | W | U);
	CHECK(!walk(somewhere[F32], EXEC | USER) && w.gpa == 0x80005abc);
	return true;
}

/* ---- garbage ---- */

static bool test_garbage(void)
{
	unsigned int i, round;

	for (round = 0; round < 20000; round++) {
		int f = round % NR_FORMATS;
		u64 gva = rnd();
		int ret;

		start(f);
		for (i = 0; i < sizeof(memory); i += 8)
			if (round % 64 == 0 || i / PAGE == round % PAGES)
				memcpy(memory + i, &(u64){ rnd() }, 8);
		pg.cr0 |= rnd() & WP;
		pg.cr4 |= rnd() & (PSE | SMEP | SMAP | PKE);
		pg.cr3 = rnd() % (PAGES * PAGE);
		pg.pkru = rnd();
		w.phys_bits = 32 + rnd() % 21;
		if (f < F4)
			gva = (u32)gva;
		ret = walk(gva, 1 << rnd() % 3 | (rnd() & USER));
		CHECK(ret == 0 || ret == -EFAULT || ret == -EIO ||
		      (ret == -EINVAL && f >= F4));
		CHECK(reads <= (unsigned int)formats[f].levels);
		CHECK(ret || w.gpa >> 52 == 0);
	}
	return true;
}

static const struct unit_test tests[] = {
	{ test_no_paging, "no paging" },
	{ test_small_page, "a 4 KiB page in each format" },
	{ test_table_ends, "the first and the last entry of each table" },
	{ test_large_page, "large pages" },
	{ test_pse, "4 MiB pages and PSE-36" },
	{ test_cr3, "what of CR3 is an address" },
	{ test_canonical, "addresses that a mode cannot form" },
	{ test_absent, "absent at each level" },
	{ test_fetch_bit, "when the error code tells a fetch" },
	{ test_no_memory, "tables outside memory" },
	{ test_reserved, "each reserved bit at each level" },
	{ test_permissions, "all permissions against the model" },
	{ test_formats_without, "rights that a format does not have" },
	{ test_garbage, "garbage for tables" },
};

int main(void)
{
	return unit_run(tests, ARRAY_SIZE(tests), NULL, NULL);
}
