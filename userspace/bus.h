/* SPDX-License-Identifier: GPL-2.0 */
/* An address space of devices: ports, or memory. */
#ifndef BUS_H
#define BUS_H

#include <stdbool.h>
#include <stdint.h>

#define BUS_MAX_RANGES	24

/* A device's access. @len is 1, 2, 4 or 8 and inside the device's range. A
 * read finds @data filled with ones.
 */
typedef void (*bus_fn)(void *dev, uint64_t offset, void *data,
		       unsigned int len, bool write);

struct bus {
	unsigned int count;
	struct bus_range {
		uint64_t base;
		uint64_t bytes;
		bus_fn fn;
		void *dev;
	} range[BUS_MAX_RANGES];
};

/* Ranges are added before the first vCPU starts, and stay. */
void bus_add(struct bus *bus, uint64_t base, uint64_t bytes, bus_fn fn,
	     void *dev);
/* Where nobody answers, reads give all ones and writes are lost. */
void bus_access(const struct bus *bus, uint64_t addr, void *data,
		unsigned int len, bool write);

#endif /* BUS_H */
