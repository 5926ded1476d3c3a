/* SPDX-License-Identifier: GPL-2.0 */
/* A unit test: functions that CHECK() and return whether all is well, run from a table, in KTAP. */
#ifndef UNIT_H
#define UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define CHECK(cond)							\
	do {								\
		if (!(cond)) {						\
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #cond); \
			return false;					\
		}							\
	} while (0)

struct unit_test {
	bool (*fn)(void);
	const char *name;
};

/* Run them all, each between @set_up and @tear_down, which may be NULL. -> a status for main(). */
static inline int unit_run(const struct unit_test *tests, size_t n,
			   void (*set_up)(void), void (*tear_down)(void))
{
	int status = 0;
	size_t i;
	bool ok;

	printf("KTAP version 1\n1..%zu\n", n);
	for (i = 0; i < n; i++) {
		if (set_up)
			set_up();
		/* A test may fork. */
		fflush(stdout);
		ok = tests[i].fn();
		if (tear_down)
			tear_down();
		printf("%sok %zu %s\n", ok ? "" : "not ", i + 1, tests[i].name);
		status |= !ok;
	}
	return status;
}

#endif /* UNIT_H */
