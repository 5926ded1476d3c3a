// SPDX-License-Identifier: GPL-2.0
/* --stats: the VM's counters at its end. */
#include <string.h>

#include "machine.h"

static void print_json(const struct posada_stats *s, FILE *to)
{
	unsigned int i;

	fputc('{', to);
	for (i = 0; i < POSADA_STAT_COUNT; i++)
		fprintf(to, "%s\"%s\": %llu", i ? ", " : "",
			posada_stat_name(i), (unsigned long long)s->value[i]);
	fputs("}\n", to);
}

static void print_text(const struct posada_stats *s, FILE *to)
{
	unsigned int i;

	for (i = 0; i < POSADA_STAT_COUNT; i++)
		if (s->value[i])
			fprintf(to, "%-18s %14llu\n", posada_stat_name(i),
				(unsigned long long)s->value[i]);
}

void stats_write(struct machine *m, enum stats_kind kind, FILE *to)
{
	struct posada_stats s;
	int ret;

	ret = posada_vm_stats(m->vm, &s);
	if (ret < 0)
		warn_line("cannot read the counters: %s", strerror(-ret));
	else if (kind == STATS_JSON)
		print_json(&s, to);
	else
		print_text(&s, to);
}

void stats_print(struct machine *m, FILE *to)
{
	if (m->cfg->stats != STATS_NONE)
		stats_write(m, m->cfg->stats, to);
}
