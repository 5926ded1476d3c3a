// SPDX-License-Identifier: GPL-2.0
/* The bus: a short list of ranges, in the order of the devices' creation. */
#include <string.h>

#include "machine.h"

void bus_add(struct bus *bus, uint64_t base, uint64_t bytes, bus_fn fn,
	     void *dev)
{
	if (bus->count == BUS_MAX_RANGES)
		die("internal: more than %d device ranges", BUS_MAX_RANGES);
	bus->range[bus->count++] = (struct bus_range){
		.base = base, .bytes = bytes, .fn = fn, .dev = dev,
	};
}

void bus_access(const struct bus *bus, uint64_t addr, void *data,
		unsigned int len, bool write)
{
	const struct bus_range *r = bus->range, *end = r + bus->count;

	if (!write)
		memset(data, 0xff, len);
	for (; r < end; r++) {
		uint64_t offset = addr - r->base;

		if (offset < r->bytes) {
			if (len <= r->bytes - offset)
				r->fn(r->dev, offset, data, len, write);
			return;
		}
	}
}
