// SPDX-License-Identifier: GPL-2.0
/* The framing of gdb's remote protocol: see gdb_packet.h. */
#include <string.h>

#include "gdb_packet.h"

#define INTERRUPT	0x03
#define ESCAPE		'}'
#define ESCAPE_BIT	0x20

enum { BETWEEN, PAYLOAD, ESCAPED, SUM_HIGH, SUM_LOW };

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* ---- in ---- */

static enum gdb_event between(struct gdb_parser *p, uint8_t byte)
{
	switch (byte) {
	case '$':
		p->state = PAYLOAD;
		p->len = 0;
		p->sum = 0;
		p->damaged = false;
		return GDB_NOTHING;
	case '+':
		return GDB_ACK;
	case '-':
		return GDB_NAK;
	case INTERRUPT:
		return GDB_INTERRUPT;
	}
	return GDB_NOTHING;
}

static void append(struct gdb_parser *p, uint8_t byte)
{
	if (p->len == GDB_PACKET_MAX)
		p->damaged = true;
	else
		p->data[p->len++] = (char)byte;
}

static enum gdb_event payload(struct gdb_parser *p, uint8_t byte)
{
	/* A new packet in the middle of one: the old one was cut short. */
	if (byte == '$')
		return between(p, byte);
	if (byte == '#') {
		p->state = SUM_HIGH;
		return GDB_NOTHING;
	}
	p->sum += byte;
	if (byte == ESCAPE)
		p->state = ESCAPED;
	else
		append(p, byte);
	return GDB_NOTHING;
}

static enum gdb_event sum_low(struct gdb_parser *p, uint8_t byte)
{
	int low = digit((char)byte);

	p->state = BETWEEN;
	p->data[p->len] = '\0';
	if (p->damaged || low < 0 || (p->check << 4 | low) != p->sum)
		return GDB_DAMAGED;
	return GDB_PACKET;
}

enum gdb_event gdb_feed(struct gdb_parser *p, uint8_t byte)
{
	switch (p->state) {
	case PAYLOAD:
		return payload(p, byte);
	case ESCAPED:
		p->sum += byte;
		append(p, byte ^ ESCAPE_BIT);
		p->state = PAYLOAD;
		return GDB_NOTHING;
	case SUM_HIGH:
		if (digit((char)byte) < 0)
			p->damaged = true;
		p->check = (uint8_t)digit((char)byte) & 0xf;
		p->state = SUM_LOW;
		return GDB_NOTHING;
	case SUM_LOW:
		return sum_low(p, byte);
	default:
		return between(p, byte);
	}
}

/* ---- out ---- */

static const char digits[] = "0123456789abcdef";

void gdb_put(struct gdb_reply *r, const void *data, size_t bytes)
{
	if (bytes > sizeof(r->data) - r->len) {
		r->overflow = true;
		return;
	}
	memcpy(r->data + r->len, data, bytes);
	r->len += bytes;
}

void gdb_puts(struct gdb_reply *r, const char *text)
{
	gdb_put(r, text, strlen(text));
}

void gdb_put_hex(struct gdb_reply *r, const void *data, size_t bytes)
{
	const uint8_t *at = data;
	char pair[2];
	size_t i;

	for (i = 0; i < bytes; i++) {
		pair[0] = digits[at[i] >> 4];
		pair[1] = digits[at[i] & 0xf];
		gdb_put(r, pair, 2);
	}
}

void gdb_put_number(struct gdb_reply *r, uint64_t n)
{
	int shift = 60;

	while (shift && !(n >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		gdb_put(r, &digits[n >> shift & 0xf], 1);
}

void gdb_error(struct gdb_reply *r, uint8_t number)
{
	r->len = 0;
	r->overflow = false;
	gdb_puts(r, "E");
	gdb_put_hex(r, &number, 1);
}

size_t gdb_frame(const struct gdb_reply *r, char *to)
{
	static const char too_long[] = "E22";
	const char *from = r->overflow ? too_long : r->data;
	size_t i, n = 0, len = r->overflow ? strlen(too_long) : r->len;
	uint8_t sum = 0;

	to[n++] = '$';
	for (i = 0; i < len; i++) {
		char c = from[i];

		if (c == '$' || c == '#' || c == ESCAPE || c == '*') {
			to[n++] = ESCAPE;
			sum += ESCAPE;
			c ^= ESCAPE_BIT;
		}
		to[n++] = c;
		sum += (uint8_t)c;
	}
	to[n++] = '#';
	to[n++] = digits[sum >> 4];
	to[n++] = digits[sum & 0xf];
	return n;
}

/* ---- payloads ---- */

bool gdb_take(struct gdb_text *t, const char *word)
{
	size_t n = strlen(word);

	if (gdb_left(t) < n || memcmp(t->at, word, n))
		return false;
	t->at += n;
	return true;
}

bool gdb_take_number(struct gdb_text *t, uint64_t *n)
{
	const char *at = t->at;
	uint64_t value = 0;

	while (at < t->end && digit(*at) >= 0) {
		if (value >> 60)
			return false;
		value = value << 4 | (uint64_t)digit(*at++);
	}
	if (at == t->at)
		return false;
	t->at = at;
	*n = value;
	return true;
}

bool gdb_take_hex(struct gdb_text *t, void *data, size_t bytes)
{
	uint8_t *to = data;
	size_t i;

	if (gdb_left(t) / 2 < bytes)
		return false;
	for (i = 0; i < 2 * bytes; i++)
		if (digit(t->at[i]) < 0)
			return false;
	for (i = 0; i < bytes; i++)
		to[i] = (uint8_t)(digit(t->at[2 * i]) << 4 |
				  digit(t->at[2 * i + 1]));
	t->at += 2 * bytes;
	return true;
}
