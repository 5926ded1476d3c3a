// SPDX-License-Identifier: GPL-2.0
/* Unit test of selftests/fuzz/path.c: a path that was cut and put together takes the same steps. */
#include <string.h>

#include "../fuzz/fuzz.h"
#include "unit.h"

static struct rnd source = { { 7, 11 } };

/* A generator's state is all that a step is. */
void rnd_seed(struct rnd *r, u64 a, u64 b)
{
	r->s[0] = a;
	r->s[1] = b;
}

u64 rnd(struct rnd *r)
{
	return r->s[0] = r->s[0] * 6364136223846793005 + r->s[1];
}

static bool same_step(const struct path *a, u32 i, const struct path *b, u32 j)
{
	struct rnd x, y;

	path_step(a, i, &x);
	path_step(b, j, &y);
	return x.s[0] == y.s[0] && x.s[1] == y.s[1];
}

static struct path of_three(void)
{
	struct path p = { 0 };

	path_fresh(&source, &p, 5);
	path_fresh(&source, &p, 1);
	path_fresh(&source, &p, 9);
	return p;
}

static bool test_steps(void)
{
	struct path p = of_three();
	u32 i, j;

	CHECK(p.steps == 15 && p.pieces == 3);
	for (i = 0; i < p.steps; i++)
		for (j = 0; j < p.steps; j++)
			CHECK(same_step(&p, i, &p, j) == (i == j));
	return true;
}

static bool test_cut(void)
{
	struct path p = of_three();
	u32 first, steps, i;

	for (first = 0; first < p.steps; first++)
		for (steps = 1; first + steps <= p.steps; steps++) {
			struct path cut = { 0 };

			path_append(&cut, &p, first, steps);
			CHECK(cut.steps == steps);
			for (i = 0; i < steps; i++)
				CHECK(same_step(&cut, i, &p, first + i));
		}
	return true;
}

static bool test_joined(void)
{
	struct path p = of_three(), q = { 0 };

	path_append(&q, &p, 0, 4);
	path_append(&q, &p, 4, 100);
	CHECK(!memcmp(&p, &q, sizeof(p)));
	path_append(&q, &p, 100, 4);
	CHECK(q.steps == 15);
	/* What is left out is. */
	memset(&q, 0, sizeof(q));
	path_append(&q, &p, 6, 2);
	path_append(&q, &p, 10, 2);
	CHECK(q.steps == 4 && same_step(&q, 2, &p, 10));
	return true;
}

static bool test_full(void)
{
	struct path p = { 0 };
	struct rnd r;
	u32 i;

	for (i = 0; i < MAX_PIECES + 3; i++)
		path_fresh(&source, &p, 2);
	CHECK(p.pieces == MAX_PIECES && p.steps == 2 * MAX_PIECES);
	path_fresh(&source, &p, 0);
	path_step(&p, p.steps - 1, &r);
	CHECK(r.s[0] == p.piece[MAX_PIECES - 1].seed && r.s[1] == 1);
	return true;
}

static bool test_shortened(void)
{
	u32 steps, i;

	for (steps = 0; steps <= 17; steps++) {
		struct path whole = of_three(), p = whole;

		path_cut(&p, steps);
		CHECK(p.steps == (steps < 15 ? steps : 15));
		CHECK(p.pieces == 0U + (steps > 6) + (steps > 5) + (steps > 0));
		for (i = 0; i < p.steps; i++)
			CHECK(same_step(&p, i, &whole, i));
	}
	return true;
}

static bool test_text(void)
{
	static const char *const wrong[] = {
		"", "1", "1:2", "1:2+", "1:2+0", "1:2+3,", "1:2+3 ", "1:2+3;4:5+6", "x:1+1",
	};
	char text[PATH_TEXT];
	struct path p = of_three(), q;
	u32 i;

	path_print(&p, text);
	CHECK(path_parse(text, &q) && !memcmp(&p, &q, sizeof(p)));
	CHECK(path_parse("ff:10+3", &q) && q.piece[0].seed == 255 && q.piece[0].first == 10);
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		CHECK(!path_parse(wrong[i], &q));
	/* The longest there is. */
	memset(&p, 0, sizeof(p));
	for (i = 0; i < MAX_PIECES; i++)
		p.piece[p.pieces++] = (struct piece){ ~0U - i, ~0U - 1, 1 };
	path_print(&p, text);
	CHECK(strlen(text) < PATH_TEXT);
	return true;
}

static const struct unit_test tests[] = {
	{ test_steps, "each step is another" },
	{ test_cut, "a part takes the same steps" },
	{ test_joined, "what was cut is joined again" },
	{ test_full, "a full path" },
	{ test_shortened, "what is too long is cut" },
	{ test_text, "a path as text" },
};

int main(void)
{
	return unit_run(tests, ARRAY_SIZE(tests), NULL, NULL);
}
