// SPDX-License-Identifier: GPL-2.0
/* Messages, allocation that cannot fail, the time. */
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "machine.h"
#include "term.h"

static void print_line(const char *fmt, va_list args)
{
	/* A raw terminal needs the carriage return. */
	char *text = NULL;

	if (vasprintf(&text, fmt, args) < 0)
		return;
	fprintf(stderr, "posada: %s%s\n", text, term_is_raw() ? "\r" : "");
	free(text);
}

void die(const char *fmt, ...)
{
	va_list args;

	term_restore();
	va_start(args, fmt);
	print_line(fmt, args);
	va_end(args);
	exit(STATUS_FAILED);
}

void warn_line(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_line(fmt, args);
	va_end(args);
}

void *xcalloc(size_t count, size_t bytes)
{
	void *p = calloc(count, bytes);

	if (!p)
		die("out of memory");
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	int ret;

	va_start(args, fmt);
	ret = vasprintf(&text, fmt, args);
	va_end(args);
	if (ret < 0)
		die("out of memory");
	return text;
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}
