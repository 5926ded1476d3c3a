// SPDX-License-Identifier: GPL-2.0
/*
 * --profile-boot: where the time and the exits went, by cause, then by port,
 * page, MSR, CPUID leaf or hypercall; from what the module counted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "machine.h"

#define ROOM		4096	/* entries of a vCPU; the module has fewer */
#define SHOWN		12	/* keys of a cause in the table; --json: all */
#define MS(ns)		((double)(ns) / 1e6)

struct profile {
	struct posada_profile_entry *entry;
	size_t count;
	uint64_t lost;
	uint64_t exits;
	struct posada_stats stats;
};

/* ---- names of keys ---- */

static const struct {
	uint64_t first, last;
	const char *name;
} ports[] = {
	{ 0x60, 0x64, "keyboard controller" }, { 0x70, 0x71, "RTC" },
	{ 0x80, 0x80, "delay" }, { 0x2f8, 0x2ff, "COM2" },
	{ 0x3f8, 0x3ff, "COM1" }, { 0x600, 0x601, "ACPI sleep" },
	{ 0xcf8, 0xcff, "PCI configuration" },
}, pages[] = {
	{ 0xfec00000, 0xfec00fff, "I/O APIC" }, { 0xfee00000, 0xfee00fff, "APIC" },
}, msrs[] = {
	{ 0x1b, 0x1b, "APIC base" }, { 0x3b, 0x3b, "TSC adjust" },
	{ 0x200, 0x26f, "MTRR" }, { 0x277, 0x277, "PAT" },
	{ 0x6e0, 0x6e0, "TSC deadline" }, { 0x80b, 0x80b, "APIC EOI" },
	{ 0x830, 0x830, "APIC ICR" }, { 0x838, 0x838, "APIC timer" },
	{ 0x800, 0x8ff, "APIC" }, { 0x4b564d00, 0x4b564d0f, "KVM's" },
	{ 0x506f0000, 0x506f00ff, "Posada's" },
	{ 0xc0000080, 0xc0000080, "EFER" }, { 0xc0000100, 0xc0000103, "FS/GS base, TSC_AUX" },
};

#define LOOK_UP(table, key)	look_up(table, sizeof(table) / sizeof(*(table)), key)

static const char *look_up(const void *table, size_t count, uint64_t key)
{
	const typeof(*ports) *row = table;

	for (; count--; row++)
		if (key >= row->first && key <= row->last)
			return row->name;
	return "";
}

/* What the key means, as text in @buf; -> a name of it, or "". */
static const char *describe(const struct posada_profile_entry *e, char *buf,
			    size_t bytes)
{
	unsigned long long key = e->key, page = key & ~0xfffULL;

	*buf = '\0';
	switch (e->cause) {
	case POSADA_STAT_PORT:
		snprintf(buf, bytes, "0x%llx %s", key & 0xffff,
			 key & POSADA_PROFILE_IN ? "in" : "out");
		return LOOK_UP(ports, key & 0xffff);
	case POSADA_STAT_MEMORY:
		snprintf(buf, bytes, "0x%llx %s", page,
			 key & POSADA_PROFILE_EXEC ? "exec" :
			 key & POSADA_PROFILE_WRITE ? "write" : "read");
		return LOOK_UP(pages, page);
	case POSADA_STAT_MSR:
		snprintf(buf, bytes, "0x%llx %s", key & 0xffffffff,
			 key & POSADA_PROFILE_WRMSR ? "write" : "read");
		return LOOK_UP(msrs, key & 0xffffffff);
	case POSADA_STAT_CPUID:
		snprintf(buf, bytes, "0x%llx.%llu", key & 0xffffffff,
			 key >> 32);
		return "";
	case POSADA_STAT_HYPERCALL:
		snprintf(buf, bytes, "0x%llx", key);
	}
	return "";
}

/* ---- collect ---- */

static int by_key(const void *a, const void *b)
{
	const struct posada_profile_entry *x = a, *y = b;

	if (x->cause != y->cause)
		return x->cause < y->cause ? -1 : 1;
	return x->key < y->key ? -1 : x->key > y->key;
}

/* Within a cause, the most frequent first. */
static int by_count(const void *a, const void *b)
{
	const struct posada_profile_entry *x = a, *y = b;

	if (x->cause != y->cause)
		return x->cause < y->cause ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return by_key(a, b);
}

/* The same key on several vCPUs is one line. */
static void merge(struct profile *p)
{
	size_t i, n = 0;

	qsort(p->entry, p->count, sizeof(*p->entry), by_key);
	for (i = 0; i < p->count; i++) {
		p->exits += p->entry[i].count;
		if (n && !by_key(&p->entry[n - 1], &p->entry[i])) {
			p->entry[n - 1].count += p->entry[i].count;
			p->entry[n - 1].ns += p->entry[i].ns;
		} else {
			p->entry[n++] = p->entry[i];
		}
	}
	p->count = n;
	qsort(p->entry, p->count, sizeof(*p->entry), by_count);
}

static int collect(struct machine *m, struct profile *p)
{
	unsigned int i;
	uint32_t used;
	uint64_t lost;
	int ret;

	p->entry = xcalloc((size_t)m->nr_cpus * ROOM, sizeof(*p->entry));
	for (i = 0; i < m->nr_cpus; i++) {
		ret = posada_vcpu_profile(m->cpu[i].vcpu, p->entry + p->count,
					  ROOM, &used, &lost);
		if (ret < 0)
			return ret;
		p->count += used;
		p->lost += lost;
	}
	merge(p);
	p->exits += p->lost;
	return posada_vm_stats(m->vm, &p->stats);
}

/* The entries [i, end) are of one cause. */
static size_t end_of(const struct profile *p, size_t i, uint64_t *count,
		     uint64_t *ns)
{
	uint32_t cause = p->entry[i].cause;

	*count = 0;
	*ns = 0;
	for (; i < p->count && p->entry[i].cause == cause; i++) {
		*count += p->entry[i].count;
		*ns += p->entry[i].ns;
	}
	return i;
}

/* ---- print ---- */

static void print_keys(const struct profile *p, size_t i, size_t end, FILE *to)
{
	size_t last = end - i > SHOWN ? i + SHOWN : end;
	uint64_t count = 0, ns = 0;
	const char *name;
	char text[64];

	if (!p->entry[i].key && end - i == 1)
		return;
	for (; i < last; i++) {
		name = describe(&p->entry[i], text, sizeof(text));
		fprintf(to, "    %-26s %9llu %12.3f  %s\n", text,
			(unsigned long long)p->entry[i].count,
			MS(p->entry[i].ns), name);
	}
	if (last == end)
		return;
	for (; i < end; i++) {
		count += p->entry[i].count;
		ns += p->entry[i].ns;
	}
	fprintf(to, "    %-26s %9llu %12.3f  %zu more\n", "others",
		(unsigned long long)count, MS(ns), end - last);
}

static void print_text(struct machine *m, const struct profile *p, FILE *to)
{
	uint64_t count, ns, run = m->stopped_ns - m->started_ns;
	const __u64 *value = p->stats.value;
	size_t i, end;

	fprintf(to, "load    %10.1f ms  files read, memory and registers set\n",
		MS(m->started_ns - m->created_ns));
	fprintf(to, "run     %10.1f ms  from the first entry to the end\n",
		MS(run));
	fprintf(to, "halted  %10.1f ms  of it, all vCPUs together\n",
		MS(value[POSADA_STAT_HALT_NS]));
	fprintf(to, "pages   %llu of 4K, %llu of 2M, %llu of 1G mapped\n\n",
		(unsigned long long)value[POSADA_STAT_PAGES_4K],
		(unsigned long long)value[POSADA_STAT_PAGES_2M],
		(unsigned long long)value[POSADA_STAT_PAGES_1G]);
	fprintf(to, "%-30s %9s %12s\n", "exits", "count", "ms");
	for (i = 0; i < p->count; i = end) {
		end = end_of(p, i, &count, &ns);
		fprintf(to, "  %-28s %9llu %12.3f\n",
			posada_stat_name(p->entry[i].cause),
			(unsigned long long)count, MS(ns));
		print_keys(p, i, end, to);
	}
	if (p->lost)
		fprintf(to, "  %-28s %9llu\n", "not counted by key",
			(unsigned long long)p->lost);
	fprintf(to, "  %-28s %9llu\n", "all", (unsigned long long)p->exits);
}

static void print_json(struct machine *m, const struct profile *p, FILE *to)
{
	const char *comma = "";
	size_t i;

	fprintf(to, "{\"load_ns\": %llu, \"run_ns\": %llu, \"halted_ns\": %llu, \"exits\": %llu, \"lost\": %llu, \"by\": [",
		(unsigned long long)(m->started_ns - m->created_ns),
		(unsigned long long)(m->stopped_ns - m->started_ns),
		(unsigned long long)p->stats.value[POSADA_STAT_HALT_NS],
		(unsigned long long)p->exits, (unsigned long long)p->lost);
	for (i = 0; i < p->count; i++) {
		const struct posada_profile_entry *e = &p->entry[i];
		const char *name;
		char text[64];

		name = describe(e, text, sizeof(text));
		fprintf(to, "%s\n{\"cause\": \"%s\", \"key\": \"%s\", \"name\": \"%s\", \"count\": %llu, \"ns\": %llu}",
			comma, posada_stat_name(e->cause), text, name,
			(unsigned long long)e->count,
			(unsigned long long)e->ns);
		comma = ",";
	}
	fputs("]}\n", to);
}

void profile_print(struct machine *m, FILE *to)
{
	struct profile p = { 0 };
	int ret;

	if (m->cfg->profile == STATS_NONE)
		return;
	ret = collect(m, &p);
	if (ret < 0)
		warn_line("cannot read the profile: %s", strerror(-ret));
	else if (m->cfg->profile == STATS_JSON)
		print_json(m, &p, to);
	else
		print_text(m, &p, to);
	free(p.entry);
}
