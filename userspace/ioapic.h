/* SPDX-License-Identifier: GPL-2.0 */
/* The I/O APIC: 24 pins, of which each is a message to the local APICs. */
#ifndef IOAPIC_H
#define IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#define IOAPIC_PINS	24

struct ioapic;
struct machine;

struct ioapic *ioapic_create(struct machine *m);
void ioapic_free(struct ioapic *io);
/* Set the level of an input; an edge is a rise. From any thread. */
void ioapic_set(struct ioapic *io, unsigned int pin, bool high);
/* A CPU ended level-triggered interrupt @vector. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

#endif /* IOAPIC_H */
