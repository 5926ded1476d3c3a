// SPDX-License-Identifier: GPL-2.0
/* Messages, and allocation that cannot fail. */
#include <stdarg.h>
#include <stdlib.h>

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
