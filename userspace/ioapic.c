// SPDX-License-Identifier: GPL-2.0
/*
 * The I/O APIC (82093AA), as far as there is no bus of its own behind it: the
 * redirection entry becomes an MSI. See its datasheet for the registers.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ioapic.h"
#include "machine.h"

#define WINDOW_BYTES	0x100
#define REG_SELECT	0x00
#define REG_DATA	0x10

#define INDEX_ID	0x00
#define INDEX_VERSION	0x01
#define INDEX_ARB	0x02
#define INDEX_REDIR	0x10
#define VERSION		(0x11U | (IOAPIC_PINS - 1) << 16)

/* Redirection entry */
#define ENTRY_VECTOR	0xffULL
#define ENTRY_DELMODE	(7ULL << 8)
#define ENTRY_LOGICAL	(1ULL << 11)
#define ENTRY_PENDING	(1ULL << 12)
#define ENTRY_RIRR	(1ULL << 14)
#define ENTRY_LEVEL	(1ULL << 15)
#define ENTRY_MASKED	(1ULL << 16)
#define ENTRY_READONLY	(ENTRY_PENDING | ENTRY_RIRR)
#define ENTRY_DEST_LOW	56
#define ENTRY_DEST_HIGH	49	/* 7 more bits: extended destination id */

/* MSI address and data */
#define MSI_BASE	0xfee00000ULL
#define MSI_DEST	12
#define MSI_DEST_EXT	5
#define MSI_LOGICAL	(1ULL << 2)
#define MSI_ASSERT	(1U << 14)

struct ioapic {
	struct machine *m;
	pthread_mutex_t lock;		/* guards all below */
	uint8_t select;
	uint32_t id;
	uint32_t lines;			/* a bit a pin */
	uint64_t entry[IOAPIC_PINS];
};

static void send(struct ioapic *io, uint64_t e)
{
	uint64_t addr = MSI_BASE | (e >> ENTRY_DEST_LOW) << MSI_DEST |
			(e >> ENTRY_DEST_HIGH & 0x7f) << MSI_DEST_EXT;
	uint32_t data = e & (ENTRY_VECTOR | ENTRY_DELMODE);

	if (e & ENTRY_LOGICAL)
		addr |= MSI_LOGICAL;
	if (e & ENTRY_LEVEL)
		data |= (uint32_t)ENTRY_LEVEL | MSI_ASSERT;
	/* A mode that an MSI cannot have, or nobody there: lost, as on a bus. */
	posada_msi(io->m->vm, addr, data);
}

/* A level-triggered pin sends while it is high and no EOI is outstanding. */
static void service_level(struct ioapic *io, unsigned int pin)
{
	uint64_t *e = &io->entry[pin];

	if (!(*e & ENTRY_LEVEL) || *e & (ENTRY_MASKED | ENTRY_RIRR) ||
	    !(io->lines >> pin & 1))
		return;
	*e |= ENTRY_RIRR;
	send(io, *e);
}

void ioapic_set(struct ioapic *io, unsigned int pin, bool high)
{
	uint32_t bit = 1U << pin;
	bool rise;

	pthread_mutex_lock(&io->lock);
	rise = high && !(io->lines & bit);
	io->lines = high ? io->lines | bit : io->lines & ~bit;
	if (io->entry[pin] & ENTRY_LEVEL)
		service_level(io, pin);
	else if (rise && !(io->entry[pin] & ENTRY_MASKED))
		send(io, io->entry[pin]);
	pthread_mutex_unlock(&io->lock);
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	unsigned int pin;

	pthread_mutex_lock(&io->lock);
	for (pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t *e = &io->entry[pin];

		if (!(*e & ENTRY_RIRR) || (*e & ENTRY_VECTOR) != vector)
			continue;
		*e &= ~ENTRY_RIRR;
		service_level(io, pin);
	}
	pthread_mutex_unlock(&io->lock);
}

static uint32_t read_register(const struct ioapic *io)
{
	unsigned int pin = (io->select - INDEX_REDIR) / 2;

	switch (io->select) {
	case INDEX_ID:
	case INDEX_ARB:
		return io->id;
	case INDEX_VERSION:
		return VERSION;
	}
	if (io->select < INDEX_REDIR || pin >= IOAPIC_PINS)
		return ~0U;
	return (uint32_t)(io->entry[pin] >> (io->select & 1 ? 32 : 0));
}

static void write_entry(struct ioapic *io, unsigned int pin, uint32_t value)
{
	uint64_t *e = &io->entry[pin];

	if (io->select & 1) {
		*e = (*e & 0xffffffffULL) | (uint64_t)value << 32;
		return;
	}
	*e = (*e & (~0xffffffffULL | ENTRY_READONLY)) |
	     (value & ~ENTRY_READONLY);
	/* Software that turns a pin to edge mode wants remote IRR gone. */
	if (!(*e & ENTRY_LEVEL))
		*e &= ~ENTRY_RIRR;
	service_level(io, pin);
}

static void write_register(struct ioapic *io, uint32_t value)
{
	unsigned int pin = (io->select - INDEX_REDIR) / 2;

	if (io->select == INDEX_ID)
		io->id = value & 0x0f000000U;
	else if (io->select >= INDEX_REDIR && pin < IOAPIC_PINS)
		write_entry(io, pin, value);
}

static void ioapic_mmio(void *dev, uint64_t offset, void *data,
			unsigned int len, bool write)
{
	struct ioapic *io = dev;
	uint32_t value = 0;

	memcpy(&value, data, len < 4 ? len : 4);
	pthread_mutex_lock(&io->lock);
	if (offset == REG_SELECT && write)
		io->select = (uint8_t)value;
	else if (offset == REG_SELECT)
		value = io->select;
	else if (offset == REG_DATA && write)
		write_register(io, value);
	else if (offset == REG_DATA)
		value = read_register(io);
	pthread_mutex_unlock(&io->lock);
	if (!write)
		memcpy(data, &value, len < 4 ? len : 4);
}

struct ioapic *ioapic_create(struct machine *m)
{
	struct ioapic *io = xcalloc(1, sizeof(*io));
	unsigned int pin;

	io->m = m;
	pthread_mutex_init(&io->lock, NULL);
	for (pin = 0; pin < IOAPIC_PINS; pin++)
		io->entry[pin] = ENTRY_MASKED;
	bus_add(&m->mmio, IOAPIC_GPA, WINDOW_BYTES, ioapic_mmio, io);
	return io;
}

void ioapic_free(struct ioapic *io)
{
	pthread_mutex_destroy(&io->lock);
	free(io);
}
