// SPDX-License-Identifier: GPL-2.0
/*
 * Packed virtqueues (virtio 1.2, 2.8): one ring of descriptors, which the
 * driver makes available and the device overwrites as used; two bits of each,
 * compared with a wrap counter that flips on each round, tell whose it is.
 */
#include <stddef.h>
#include <string.h>

#include "virtio.h"

#define DESC_NEXT	(1U << 0)
#define DESC_WRITE	(1U << 1)
#define DESC_INDIRECT	(1U << 2)
#define DESC_AVAIL	(1U << 7)
#define DESC_USED	(1U << 15)

struct packed_desc {
	uint64_t gpa;
	uint32_t bytes;
	uint16_t id;
	uint16_t flags;
};

_Static_assert(sizeof(struct packed_desc) == 16, "pvirtq_desc");
_Static_assert(offsetof(struct packed_desc, flags) == 14, "pvirtq_desc flags");

/* The event suppression areas: the driver's, and the device's. */
#define AT_EVENT	0	/* a ring index, and the wrap counter in bit 15 */
#define AT_FLAGS	2
#define EVENT_BYTES	4
#define EVENT_WRAP	15
#define FLAGS_ENABLE	0
#define FLAGS_DISABLE	1
#define FLAGS_DESC	2
#define FLAGS_MASK	3

static uint32_t packed_bytes(enum vq_part part, uint32_t size)
{
	return part == VQ_DESC ? size * sizeof(struct packed_desc) : EVENT_BYTES;
}

static uint8_t *slot(const struct virtqueue *vq, uint16_t index)
{
	return vq->desc + index * sizeof(struct packed_desc);
}

static uint16_t flags_of(const uint8_t *slot)
{
	return ring_load16(slot + offsetof(struct packed_desc, flags));
}

/* One read of a descriptor that the guest may be changing. */
static struct packed_desc fetch(const uint8_t *at)
{
	struct packed_desc d;

	memcpy(&d, at, sizeof(d));
	__asm__ volatile("" ::: "memory");
	return d;
}

static bool is_available(const struct virtqueue *vq, uint16_t index, bool wrap)
{
	uint16_t flags = flags_of(slot(vq, index));

	return !!(flags & DESC_AVAIL) == wrap && !!(flags & DESC_USED) != wrap;
}

static void advance(const struct virtqueue *vq, uint16_t *index, bool *wrap,
		    uint16_t by)
{
	uint32_t next = (uint32_t)*index + by;

	if (next >= vq->size) {
		next -= vq->size;
		*wrap = !*wrap;
	}
	*index = (uint16_t)next;
}

/* All entries of an indirect table are used; only WRITE counts in them. */
static const char *add_indirect(struct virtqueue *vq, struct vq_chain *c,
				const struct packed_desc *d)
{
	const struct virtio_memory *mem = vq->dev->mem;
	const uint8_t *table;
	const char *why = NULL;
	uint32_t i;

	if (!vq->indirect)
		return "an indirect descriptor without the feature";
	if (d->flags & DESC_NEXT || c->slots > 1)
		return "an indirect descriptor inside a chain";
	if (!d->bytes || d->bytes % sizeof(*d))
		return "an indirect table of a wrong size";
	if (d->bytes / sizeof(*d) > CHAIN_MAX)
		return "an indirect table that is too long";
	table = virtio_hva(mem, d->gpa, d->bytes);
	if (!table)
		return "an indirect table that is not in memory";
	for (i = 0; i < d->bytes / sizeof(*d) && !why; i++) {
		struct packed_desc e = fetch(table + i * sizeof(e));

		if (e.flags & DESC_INDIRECT)
			return "an indirect descriptor in an indirect table";
		why = chain_add(c, mem, e.gpa, e.bytes, e.flags & DESC_WRITE);
	}
	return why;
}

/* Collect the chain that begins at next_avail. Its flags said that it is the
 * device's; the rest was written before those.
 */
static const char *collect(struct virtqueue *vq, struct vq_chain *c)
{
	uint16_t index = vq->next_avail;
	bool wrap = vq->avail_wrap;
	const char *why;

	for (;;) {
		struct packed_desc d = fetch(slot(vq, index));

		if (++c->slots > vq->size)
			return "a chain that is longer than the ring";
		c->id = d.id;
		if (d.flags & DESC_INDIRECT)
			return add_indirect(vq, c, &d);
		why = chain_add(c, vq->dev->mem, d.gpa, d.bytes,
				d.flags & DESC_WRITE);
		if (why)
			return why;
		if (!(d.flags & DESC_NEXT))
			return NULL;
		advance(vq, &index, &wrap, 1);
	}
}

static int packed_pop(struct virtqueue *vq, struct vq_chain *c,
		      const char **why)
{
	if (!is_available(vq, vq->next_avail, vq->avail_wrap))
		return 0;
	c->slots = 0;
	*why = collect(vq, c);
	if (*why)
		return -1;
	advance(vq, &vq->next_avail, &vq->avail_wrap, c->slots);
	return 1;
}

static void put_used(struct virtqueue *vq, const struct vq_chain *c,
		     uint32_t written, uint16_t index, bool wrap)
{
	uint8_t *at = slot(vq, index);
	uint16_t flags = wrap ? DESC_AVAIL | DESC_USED : 0;

	if (written)
		flags |= DESC_WRITE;
	memcpy(at + offsetof(struct packed_desc, bytes), &written,
	       sizeof(written));
	memcpy(at + offsetof(struct packed_desc, id), &c->id, sizeof(c->id));
	ring_store16(at + offsetof(struct packed_desc, flags), flags);
}

/* The driver looks at the first of them first: it is written last. */
static void packed_push(struct virtqueue *vq, const struct vq_chain *c,
			const uint32_t *written, unsigned int n)
{
	uint16_t first = vq->next_used;
	bool wrap = vq->used_wrap;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (i)
			put_used(vq, &c[i], written[i], vq->next_used,
				 vq->used_wrap);
		advance(vq, &vq->next_used, &vq->used_wrap, c[i].slots);
		if (vq->unsignalled < UINT16_MAX - c[i].slots)
			vq->unsignalled += c[i].slots;
	}
	put_used(vq, c, written[0], first, wrap);
}

static void packed_unpop(struct virtqueue *vq, const struct vq_chain *c)
{
	if (vq->next_avail < c->slots) {
		vq->avail_wrap = !vq->avail_wrap;
		vq->next_avail += vq->size;
	}
	vq->next_avail -= c->slots;
}

static void packed_ignore(struct virtqueue *vq)
{
	ring_store16(vq->device + AT_FLAGS, FLAGS_DISABLE);
}

static void packed_listen(struct virtqueue *vq)
{
	uint16_t event = vq->next_avail | (uint16_t)(vq->avail_wrap << EVENT_WRAP);

	if (vq->event_idx)
		ring_store16(vq->device + AT_EVENT, event);
	ring_store16(vq->device + AT_FLAGS,
		     vq->event_idx ? FLAGS_DESC : FLAGS_ENABLE);
}

static bool packed_more(struct virtqueue *vq)
{
	return is_available(vq, vq->next_avail, vq->avail_wrap);
}

static bool packed_wants(struct virtqueue *vq)
{
	uint16_t flags = ring_load16(vq->driver + AT_FLAGS) & FLAGS_MASK;
	uint16_t event = ring_load16(vq->driver + AT_EVENT);
	uint16_t old = vq->next_used - vq->unsignalled;
	uint16_t index = event & ((1U << EVENT_WRAP) - 1);

	if (flags != FLAGS_DESC || !vq->event_idx)
		return flags != FLAGS_DISABLE;
	if (!vq->signalled || vq->unsignalled >= vq->size)
		return true;
	if (event >> EVENT_WRAP != vq->used_wrap)
		index -= vq->size;
	return ring_passed(index, vq->next_used, old);
}

const struct vring_ops vring_packed = {
	.bytes = packed_bytes,
	.align = { [VQ_DESC] = 16, [VQ_DRIVER] = 4, [VQ_DEVICE] = 4 },
	.pop = packed_pop,
	.push = packed_push,
	.unpop = packed_unpop,
	.ignore = packed_ignore,
	.listen = packed_listen,
	.more = packed_more,
	.wants = packed_wants,
};
