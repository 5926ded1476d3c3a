// SPDX-License-Identifier: GPL-2.0
/*
 * Which of the module's code a worker's steps reach, by KCOV, and which steps
 * are worth to be taken again: see fuzz.h.
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
#define CORPUS		4096
#define WINDOW		16	/* steps that an entry has: what led to the last one */

struct entry {
	struct path path;
	u32 edge;	/* new with its last step */
};

static struct {
	bool unguided;
	u32 tell;	/* so many functions */
	u64 *area;	/* KCOV's: how many, and the PCs. NULL: there is no KCOV. */
	int fd;
	u64 base, size;	/* the module's */
	u8 *pcs, *edges;	/* bitmaps */
	u32 nr_pcs, nr_edges;
	struct entry *corpus;	/* a ring */
	u32 entries, episodes, from_corpus;
	/* Of the episode that runs. */
	struct path path;
	bool given;	/* as an option, or to be tried */
	u32 sought;	/* edge */
	char text[PATH_TEXT + 10];
} cover;

bool cover_option(const char *name, const char *value)
{
	if (!strcmp(name, "guided"))
		cover.unguided = !strtoul(value, NULL, 0);
	else if (!strcmp(name, "unreached"))
		cover.tell = strtoul(value, NULL, 0);
	else if (!strcmp(name, "path"))
		cover.given = path_parse(value, &cover.path);
	else
		return false;
	return strcmp(name, "path") || cover.given;
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
	cover.corpus = calloc(CORPUS, sizeof(*cover.corpus));
	ASSERT_TRUE(cover.pcs && cover.edges && cover.corpus);
	return true;
}

void cover_enable(bool on)
{
	if (cover.area)
		ASSERT_EQ(ioctl(cover.fd, on ? KCOV_ENABLE : KCOV_DISABLE, KCOV_TRACE_PC), 0);
}

/* True: it is new. */
static bool mark(u8 *map, u64 bit, u32 *count)
{
	if (map[bit / 8] & 1U << bit % 8)
		return false;
	map[bit / 8] |= 1U << bit % 8;
	++*count;
	return true;
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

static void keep(u32 step, u32 edge)
{
	struct entry *e = &cover.corpus[cover.entries % CORPUS];
	u32 first = step >= WINDOW ? step - WINDOW + 1 : 0;

	memset(e, 0, sizeof(*e));
	path_append(&e->path, &cover.path, first, step - first + 1);
	e->edge = edge;
	cover.entries++;
}

void cover_after(u32 step)
{
	u32 from = 0, edge = 0;
	bool new = false;
	u64 at, i;

	for (i = 1; cover.area && i <= READ(cover.area[0]); i++) {
		at = cover.area[i] - cover.base;
		if (at >= cover.size)
			continue;
		mark(cover.pcs, at, &cover.nr_pcs);
		if (mark(cover.edges, edge_of(from, at), &cover.nr_edges)) {
			edge = edge_of(from, at);
			new = true;
		}
		from = at;
	}
	if (new && !cover.given)
		keep(step, edge);
}

/* ---- episodes out of the corpus ---- */

/* The later an entry was found the rarer is what it reached. */
static const struct path *some_entry(struct rnd *r)
{
	u32 n = cover.entries < CORPUS ? cover.entries : CORPUS;
	u32 a = rnd_below(r, n), b = rnd_below(r, n);

	return &cover.corpus[a > b ? a : b].path;
}

/* An entry as it is, or with some other steps in place of one, and what may come behind it. */
static void add_entry(struct rnd *r, struct path *to)
{
	const struct path *from = some_entry(r);
	u32 at = rnd_below(r, from->steps);

	if (rnd_one_in(r, 2)) {
		path_append(to, from, 0, from->steps);
	} else {
		path_append(to, from, 0, at);
		path_fresh(r, to, 1 + rnd_below(r, 8));
		path_append(to, from, at + 1, from->steps);
	}
	path_fresh(r, to, 1 + rnd_below(r, 40));
}

const struct path *cover_path(struct rnd *r, u32 steps)
{
	struct path *p = &cover.path;
	bool corpus = cover.entries && !cover.unguided && rnd_one_in(r, 2);

	if (!cover.given) {
		memset(p, 0, sizeof(*p));
		while (corpus && p->steps < steps && p->pieces < MAX_PIECES - 4)
			add_entry(r, p);
		path_cut(p, steps);
		path_fresh(r, p, steps - p->steps);
	}
	cover.text[0] = 0;
	cover.episodes++;
	cover.from_corpus += corpus;
	if (corpus || cover.given) {
		strcpy(cover.text, " --path ");
		path_print(p, cover.text + strlen(cover.text));
	}
	return p;
}

const char *cover_replay(void)
{
	return cover.text;
}

bool cover_try(u32 nr)
{
	const struct entry *e = &cover.corpus[(cover.entries - 1 - nr) % CORPUS];

	if (nr >= cover.entries || nr >= CORPUS)
		return false;
	cover.given = true;
	cover.path = e->path;
	cover.sought = e->edge;
	memset(cover.edges, 0, EDGE_BYTES);
	return true;
}

bool cover_found(void)
{
	return cover.edges[cover.sought / 8] & 1U << cover.sought % 8;
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
	test_note("%s: reached %u PCs, %u edges; corpus of %u, %u of %u episodes out of it", name,
		  cover.nr_pcs, cover.nr_edges, cover.entries, cover.from_corpus, cover.episodes);
	tell_unreached();
	/* One of two is. */
	if (!cover.unguided && !cover.given && cover.episodes > 16 && !cover.from_corpus)
		FAIL("coverage guided nothing");
}
