// SPDX-License-Identifier: GPL-2.0
/*
 * Which of the module's code a worker's steps reach, by KCOV: see fuzz.h.
 */
#include <fcntl.h>
#include <linux/kcov.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "fuzz.h"

#define DEBUGFS		"/sys/kernel/debug"
#define WORDS		(256U << 10)	/* PCs of one step, of the whole kernel; more are lost */
#define EDGE_BITS	20
#define EDGE_BYTES	(BIT(EDGE_BITS) / 8)

static struct {
	u32 tell;	/* so many functions */
	u64 *area;	/* KCOV's: how many, and the PCs. NULL: there is no KCOV. */
	int fd;
	u64 base, size;	/* the module's */
	u8 *pcs, *edges;	/* bitmaps */
	u32 nr_pcs, nr_edges;
} cover;

bool cover_option(const char *name, const char *value)
{
	if (strcmp(name, "unreached"))
		return false;
	cover.tell = strtoul(value, NULL, 0);
	return true;
}

/* ---- KCOV ---- */

/* Where the module's code is. */
static bool find_module(void)
{
	char line[256];
	unsigned long long size = 0, base = 0;
	FILE *f = fopen("/proc/modules", "r");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "posada %llu %*s %*s %*s %llx", &size, &base) == 2 && base;
	if (f)
		fclose(f);
	cover.base = base;
	cover.size = size;
	return found;
}

bool cover_begin(void)
{
	if (cover.area)
		return true;
	mount("debug", DEBUGFS, "debugfs", 0, NULL);
	cover.fd = open(DEBUGFS "/kcov", O_RDWR | O_CLOEXEC);
	if (cover.fd < 0 || !find_module() || ioctl(cover.fd, KCOV_INIT_TRACE, (u64)WORDS))
		return false;
	cover.area = mmap(NULL, WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, cover.fd, 0);
	ASSERT_TRUE(cover.area != MAP_FAILED);
	/* Not in the program's image, of which the guests get a copy. */
	cover.pcs = calloc(1, cover.size / 8 + 1);
	cover.edges = calloc(1, EDGE_BYTES);
	ASSERT_TRUE(cover.pcs && cover.edges);
	return true;
}

void cover_enable(bool on)
{
	if (cover.area)
		ASSERT_EQ(ioctl(cover.fd, on ? KCOV_ENABLE : KCOV_DISABLE, KCOV_TRACE_PC), 0);
}

static void mark(u8 *map, u64 bit, u32 *count)
{
	*count += !(map[bit / 8] & 1U << bit % 8);
	map[bit / 8] |= 1U << bit % 8;
}

static u32 edge_of(u32 from, u32 to)
{
	return (from * 31 + to) * 0x9e3779b1U >> (32 - EDGE_BITS);
}

void cover_before(void)
{
	if (cover.area)
		WRITE(cover.area[0], 0);
}

void cover_after(void)
{
	u32 from = 0;
	u64 at, i;

	for (i = 1; cover.area && i <= READ(cover.area[0]); i++) {
		at = cover.area[i] - cover.base;
		if (at >= cover.size)
			continue;
		mark(cover.pcs, at, &cover.nr_pcs);
		mark(cover.edges, edge_of(from, at), &cover.nr_edges);
		from = at;
	}
}

/* ---- what was reached ---- */

struct function {
	u64 at, bytes;	/* from the module's start */
	char name[64];
};

static int by_address(const void *a, const void *b)
{
	const struct function *f = a, *g = b;

	return f->at < g->at ? -1 : f->at > g->at;
}

static int by_size(const void *a, const void *b)
{
	const struct function *f = a, *g = b;

	return f->bytes > g->bytes ? -1 : f->bytes < g->bytes;
}

/* All of the module's; how many. The caller frees them. */
static u32 functions(struct function **all)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	struct function one = { 0 };
	char line[512], type;
	u32 n = 0, i;

	*all = NULL;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx %c %63s [posada]", (unsigned long long *)&one.at, &type,
			   one.name) != 3 || (type | 0x20) != 't' || !strstr(line, "[posada]"))
			continue;
		one.at -= cover.base;
		*all = realloc(*all, (n + 1) * sizeof(one));
		(*all)[n++] = one;
	}
	if (f)
		fclose(f);
	qsort(*all, n, sizeof(one), by_address);
	for (i = 0; i + 1 < n; i++)
		(*all)[i].bytes = (*all)[i + 1].at - (*all)[i].at;
	return n;
}

static bool reached(const struct function *f)
{
	u64 at;

	for (at = f->at; at < f->at + f->bytes; at++)
		if (at < cover.size && cover.pcs[at / 8] & 1U << at % 8)
			return true;
	return false;
}

static void tell_unreached(void)
{
	struct function *all;
	u32 n = functions(&all), i, told = 0;

	qsort(all, n, sizeof(*all), by_size);
	for (i = 0; i < n && told < cover.tell; i++) {
		if (reached(&all[i]))
			continue;
		test_note("not reached: %s, %llu bytes", all[i].name,
			  (unsigned long long)all[i].bytes);
		told++;
	}
	free(all);
}

void cover_end(const char *name)
{
	if (!cover.area)
		return;
	test_note("%s: reached %u PCs, %u edges", name, cover.nr_pcs, cover.nr_edges);
	tell_unreached();
}
