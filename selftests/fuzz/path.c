// SPDX-License-Identifier: GPL-2.0
/* What a worker does, as pieces of random streams: see fuzz.h. */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

/* Make @to longer by @steps of one stream. What there is no room for is left out. */
static void add_piece(struct path *to, u32 seed, u32 first, u32 steps)
{
	struct piece *last = to->pieces ? &to->piece[to->pieces - 1] : NULL;

	if (last && last->seed == seed && last->first + last->steps == first)
		last->steps += steps;
	else if (to->pieces < MAX_PIECES && steps)
		to->piece[to->pieces++] = (struct piece){ seed, first, steps };
	else
		return;
	to->steps += steps;
}

void path_fresh(struct rnd *r, struct path *to, u32 steps)
{
	add_piece(to, rnd(r), 0, steps);
}

void path_append(struct path *to, const struct path *from, u32 first, u32 steps)
{
	const struct piece *p;
	u32 i, part;

	for (i = 0; i < from->pieces && steps; i++) {
		p = &from->piece[i];
		if (first >= p->steps) {
			first -= p->steps;
			continue;
		}
		part = p->steps - first < steps ? p->steps - first : steps;
		add_piece(to, p->seed, p->first + first, part);
		steps -= part;
		first = 0;
	}
}

void path_cut(struct path *path, u32 steps)
{
	struct piece *last;

	while (path->steps > steps) {
		last = &path->piece[path->pieces - 1];
		path->steps--;
		if (!--last->steps)
			path->pieces--;
	}
}

void path_step(const struct path *path, u32 step, struct rnd *r)
{
	const struct piece *p = path->piece;

	for (; step >= p->steps; p++)
		step -= p->steps;
	rnd_seed(r, p->seed, p->first + step);
}

bool path_parse(const char *text, struct path *to)
{
	u32 seed, first, steps;
	int used;

	memset(to, 0, sizeof(*to));
	while (sscanf(text, "%x:%u+%u%n", &seed, &first, &steps, &used) == 3) {
		add_piece(to, seed, first, steps);
		text += used;
		if (!*text)
			return to->steps;
		if (*text++ != ',')
			break;
	}
	return false;
}

void path_print(const struct path *path, char *text)
{
	u32 i;

	for (i = 0; i < path->pieces; i++)
		text += sprintf(text, "%s%x:%u+%u", i ? "," : "", path->piece[i].seed,
				path->piece[i].first, path->piece[i].steps);
}
