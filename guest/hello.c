// SPDX-License-Identifier: GPL-2.0
/* The serial line, the loader's information, the exit port. */
#include "guest.h"

static const char *tail(const char *s, const char *word)
{
	const char *a, *b;

	for (; *s; s++) {
		for (a = s, b = word; *b && *a == *b; a++, b++)
			;
		if (!*b)
			return a;
	}
	return 0;
}

int guest_main(u32 booted_by, const void *info)
{
	const char *line = command_line(booted_by, info), *n;
	u32 value = PASS;

	print("hello by %s: %s\n", booted_by == BOOTED_BY_PVH ? "PVH" : "multiboot", line);
	CHECK(booted_by == BOOTED_BY_MULTIBOOT || *(const u32 *)info == 0x336ec578);
	/* exit=N chooses what goes to the exit port. */
	n = tail(line, "exit=");
	if (n)
		for (value = 0; *n >= '0' && *n <= '9'; n++)
			value = value * 10 + *n - '0';
	return failures ? FAIL : (int)value;
}
