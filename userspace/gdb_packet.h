/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The framing of gdb's remote protocol: bytes to packets, replies to bytes.
 * Nothing here does I/O or knows what a packet means.
 *
 *	$payload#cc	a packet; cc is the sum of the payload's bytes
 *	+ -		it came well, or not (until QStartNoAckMode)
 *	0x03		stop the guest; outside of packets only
 *	} x		in a payload: the byte x ^ 0x20
 */
#ifndef GDB_PACKET_H
#define GDB_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GDB_PACKET_MAX	16384	/* payload bytes, both ways */
#define GDB_FRAME_MAX	(2 * GDB_PACKET_MAX + 4)

enum gdb_event {
	GDB_NOTHING,		/* more bytes are needed */
	GDB_PACKET,		/* a whole one is in @data */
	GDB_DAMAGED,		/* a wrong sum, or too long: ask for it again */
	GDB_INTERRUPT,
	GDB_ACK,
	GDB_NAK,
};

/* Zero is the state between packets. */
struct gdb_parser {
	uint8_t state;
	uint8_t sum;
	uint8_t check;
	bool damaged;
	size_t len;
	char data[GDB_PACKET_MAX + 1];	/* ends in a NUL of its own */
};

/* Take one byte. @data and @len stay until the next call. */
enum gdb_event gdb_feed(struct gdb_parser *p, uint8_t byte);

/* A reply under construction; what does not fit sets @overflow. */
struct gdb_reply {
	size_t len;
	bool overflow;
	char data[GDB_PACKET_MAX];
};

void gdb_put(struct gdb_reply *r, const void *data, size_t bytes);
void gdb_puts(struct gdb_reply *r, const char *text);
/* Bytes, two digits each, in the order of memory. */
void gdb_put_hex(struct gdb_reply *r, const void *data, size_t bytes);
/* A number, without leading zeros. */
void gdb_put_number(struct gdb_reply *r, uint64_t n);
/* Replace all by "E" and two digits. */
void gdb_error(struct gdb_reply *r, uint8_t number);

/* Make the bytes to send, at most GDB_FRAME_MAX; -> how many. A reply that
 * overflowed becomes an error.
 */
size_t gdb_frame(const struct gdb_reply *r, char *to);

/* A cursor over a payload. */
struct gdb_text {
	const char *at;
	const char *end;
};

/* Each returns false, and moves nothing, where something else is there. */
bool gdb_take(struct gdb_text *t, const char *word);
bool gdb_take_number(struct gdb_text *t, uint64_t *n);
/* Exactly @bytes bytes in hex. */
bool gdb_take_hex(struct gdb_text *t, void *data, size_t bytes);
static inline bool gdb_at_end(const struct gdb_text *t)
{
	return t->at == t->end;
}

static inline size_t gdb_left(const struct gdb_text *t)
{
	return (size_t)(t->end - t->at);
}

#endif /* GDB_PACKET_H */
