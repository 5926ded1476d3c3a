// SPDX-License-Identifier: GPL-2.0
/* Messages, allocation that cannot fail, JSON, the time. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
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

/* ---- JSON ---- */

/* The bytes of the character that begins with @c; 0: none does. */
static size_t utf8_length(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* The length of the character at @text; 0: it is not whole, or none. */
static size_t utf8_char(const unsigned char *text, size_t bytes)
{
	size_t n = utf8_length(*text), i;
	unsigned int code;

	if (n > bytes)
		return 0;
	if (n <= 1)
		return n;
	code = *text & (0x7fU >> n);
	for (i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	/* Longer than need be, half of a pair, beyond the last. */
	if ((n == 3 && (code < 0x800 || code >> 11 == 0x1b)) ||
	    (n == 4 && (code < 0x10000 || code > 0x10ffff)))
		return 0;
	return n;
}

size_t utf8_tail(const char *text, size_t bytes)
{
	const unsigned char *end = (const unsigned char *)text + bytes;
	size_t n;

	for (n = 1; n <= 3 && n <= bytes; n++)
		if ((*(end - n) & 0xc0) != 0x80)
			return utf8_length(*(end - n)) > n ? n : 0;
	return 0;
}

void json_bytes(const char *text, size_t bytes)
{
	static const char special[] = "\n\r\t\"\\", letter[] = "nrt\"\\";
	const unsigned char *c = (const unsigned char *)text;
	const unsigned char *end = c + bytes;
	size_t n;

	putchar('"');
	for (; c < end; c += n ? n : 1) {
		n = utf8_char(c, (size_t)(end - c));
		if (!n)
			printf("\\udc%02x", *c);
		else if (*c && strchr(special, *c))
			printf("\\%c", letter[strchr(special, *c) - special]);
		else if (*c < ' ')
			printf("\\u%04x", *c);
		else
			fwrite(c, n, 1, stdout);
	}
	putchar('"');
}

void json_string(const char *text)
{
	json_bytes(text, strlen(text));
}
