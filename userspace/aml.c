// SPDX-License-Identifier: GPL-2.0
/* The builder of ACPI Machine Language (ACPI 6.5, chapter 20). */
#include <stdlib.h>
#include <string.h>

#include "aml.h"
#include "machine.h"

#define OP_NAME		0x08
#define OP_BYTE		0x0a
#define OP_WORD		0x0b
#define OP_DWORD	0x0c
#define OP_STRING	0x0d
#define OP_SCOPE	0x10
#define OP_BUFFER	0x11
#define OP_PACKAGE	0x12
#define OP_METHOD	0x14
#define OP_NOTIFY	0x86
#define OP_EXT		0x5b
#define OP_EXT_DEVICE	0x82

#define METHOD_SERIALIZED	0x08

#define RES_IO		0x47
#define RES_IRQ_EXT	0x89
#define RES_MEMORY32	0x86
#define RES_DWORD	0x87
#define RES_WORD	0x88
#define RES_END		0x79
#define MEMORY_WRITABLE	1
#define SPACE_MEMORY	0
#define SPACE_PORTS	1
#define SPACE_BUSES	2
#define WINDOW_FIXED	0x0c	/* both ends are; the bridge produces it */
#define PORTS_ALL	3	/* no ISA subranges */
#define IO_DECODE_16	1
#define IRQ_CONSUMER	1
#define IRQ_EDGE	2

static void put(struct aml *a, const void *data, size_t bytes)
{
	if (a->bytes + bytes > a->room) {
		a->room = 2 * (a->bytes + bytes) + 1024;
		a->data = realloc(a->data, a->room);
		if (!a->data)
			die("out of memory");
	}
	memcpy(a->data + a->bytes, data, bytes);
	a->bytes += bytes;
}

static void put8(struct aml *a, uint8_t v)
{
	put(a, &v, 1);
}

static void put_le(struct aml *a, uint32_t v, size_t bytes)
{
	put(a, &v, bytes);
}

size_t aml_scope(struct aml *a, const char *name)
{
	size_t at;

	put8(a, OP_SCOPE);
	at = a->bytes;
	put(a, name, strlen(name));
	return at;
}

size_t aml_device(struct aml *a, const char *name)
{
	size_t at;

	put8(a, OP_EXT);
	put8(a, OP_EXT_DEVICE);
	at = a->bytes;
	put(a, name, strlen(name));
	return at;
}

size_t aml_package(struct aml *a, uint8_t elements)
{
	size_t at;

	put8(a, OP_PACKAGE);
	at = a->bytes;
	put8(a, elements);
	return at;
}

size_t aml_buffer(struct aml *a)
{
	put8(a, OP_BUFFER);
	return a->bytes;
}

size_t aml_method(struct aml *a, const char *name, uint8_t arguments)
{
	size_t at;

	put8(a, OP_METHOD);
	at = a->bytes;
	put(a, name, strlen(name));
	put8(a, arguments | METHOD_SERIALIZED);
	return at;
}

void aml_notify(struct aml *a, const char *name, uint8_t value)
{
	put8(a, OP_NOTIFY);
	put(a, name, strlen(name));
	put8(a, OP_BYTE);
	put8(a, value);
}

/* PkgLength counts itself: one byte up to 63, else 4 bits and more bytes. */
static size_t encode_length(uint8_t *to, size_t content)
{
	size_t n = content + 1 <= 0x3f ? 1 : content + 2 <= 0xfff ? 2 :
		   content + 3 <= 0xfffff ? 3 : 4;
	size_t i, length = content + n;

	if (n == 1) {
		to[0] = (uint8_t)length;
		return 1;
	}
	to[0] = (uint8_t)((n - 1) << 6 | (length & 0xf));
	for (i = 1; i < n; i++)
		to[i] = (uint8_t)(length >> (8 * i - 4));
	return n;
}

static void insert(struct aml *a, size_t at, const uint8_t *data, size_t n)
{
	put(a, data, n);
	memmove(a->data + at + n, a->data + at, a->bytes - at - n);
	memcpy(a->data + at, data, n);
}

void aml_close(struct aml *a, size_t at)
{
	uint8_t length[4];
	size_t n;

	/* A buffer's size, as a term, comes between length and bytes. */
	if (a->data[at - 1] == OP_BUFFER) {
		uint16_t bytes = (uint16_t)(a->bytes - at);
		uint8_t size[3] = { OP_WORD, (uint8_t)bytes,
				    (uint8_t)(bytes >> 8) };

		insert(a, at, size, sizeof(size));
	}
	n = encode_length(length, a->bytes - at);
	insert(a, at, length, n);
}

void aml_name(struct aml *a, const char *name)
{
	put8(a, OP_NAME);
	put(a, name, strlen(name));
}

void aml_integer(struct aml *a, uint32_t value)
{
	if (value <= 1) {
		put8(a, (uint8_t)value);	/* ZeroOp, OneOp */
	} else if (value <= 0xff) {
		put8(a, OP_BYTE);
		put_le(a, value, 1);
	} else if (value <= 0xffff) {
		put8(a, OP_WORD);
		put_le(a, value, 2);
	} else {
		put8(a, OP_DWORD);
		put_le(a, value, 4);
	}
}

void aml_string(struct aml *a, const char *text)
{
	put8(a, OP_STRING);
	put(a, text, strlen(text) + 1);
}

/* Three letters of 5 bits, four hexadecimal digits; big-endian. */
void aml_eisa_id(struct aml *a, const char *id)
{
	uint32_t v = 0;
	int i;

	for (i = 0; i < 3; i++)
		v = v << 5 | (uint32_t)(id[i] - '@');
	v = v << 16 | (uint32_t)strtoul(id + 3, NULL, 16);
	aml_integer(a, __builtin_bswap32(v));
}

void aml_io(struct aml *a, uint16_t port, uint8_t count)
{
	put8(a, RES_IO);
	put8(a, IO_DECODE_16);
	put_le(a, port, 2);	/* lowest and highest base */
	put_le(a, port, 2);
	put8(a, 1);		/* alignment */
	put8(a, count);
}

static void add_irq(struct aml *a, uint32_t gsi, uint8_t flags)
{
	put8(a, RES_IRQ_EXT);
	put_le(a, 6, 2);	/* bytes that follow */
	put8(a, flags);
	put8(a, 1);		/* interrupts */
	put_le(a, gsi, 4);
}

void aml_irq_edge(struct aml *a, uint32_t gsi)
{
	add_irq(a, gsi, IRQ_CONSUMER | IRQ_EDGE);
}

/* Active high, not shared. */
void aml_irq_level(struct aml *a, uint32_t gsi)
{
	add_irq(a, gsi, IRQ_CONSUMER);
}

void aml_memory32(struct aml *a, uint32_t base, uint32_t bytes)
{
	put8(a, RES_MEMORY32);
	put_le(a, 9, 2);	/* bytes that follow */
	put8(a, MEMORY_WRITABLE);
	put_le(a, base, 4);
	put_le(a, bytes, 4);
}

/* An address space descriptor with fields of @width bytes. */
static void add_window(struct aml *a, uint8_t space, uint8_t type_flags,
		       size_t width, uint32_t first, uint32_t last)
{
	put8(a, width == 2 ? RES_WORD : RES_DWORD);
	put_le(a, (uint32_t)(3 + 5 * width), 2);
	put8(a, space);
	put8(a, WINDOW_FIXED);
	put8(a, type_flags);
	put_le(a, 0, width);			/* granularity */
	put_le(a, first, width);
	put_le(a, last, width);
	put_le(a, 0, width);			/* translation */
	put_le(a, last - first + 1, width);
}

void aml_bus_window(struct aml *a, uint16_t first, uint16_t last)
{
	add_window(a, SPACE_BUSES, 0, 2, first, last);
}

void aml_port_window(struct aml *a, uint16_t base, uint16_t bytes)
{
	add_window(a, SPACE_PORTS, PORTS_ALL, 2, base, base + bytes - 1U);
}

void aml_memory_window(struct aml *a, uint32_t base, uint32_t bytes)
{
	add_window(a, SPACE_MEMORY, MEMORY_WRITABLE, 4, base, base + bytes - 1U);
}

void aml_end_tag(struct aml *a)
{
	put8(a, RES_END);
	put8(a, 0);		/* no checksum */
}
