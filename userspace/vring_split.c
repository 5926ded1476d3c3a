// SPDX-License-Identifier: GPL-2.0
/*
 * Split virtqueues (virtio 1.2, 2.7): a table of descriptors, a ring of chain
 * heads that the driver fills, a ring of used chains that the device fills.
 */
#include <string.h>

#include "virtio.h"

#define DESC_NEXT	1
#define DESC_WRITE	2
#define DESC_INDIRECT	4

#define AVAIL_NO_INTERRUPT	1
#define USED_NO_NOTIFY		1

struct split_desc {
	uint64_t gpa;
	uint32_t bytes;
	uint16_t flags;
	uint16_t next;
};

struct split_used {
	uint32_t id;
	uint32_t bytes;
};

_Static_assert(sizeof(struct split_desc) == 16, "virtq_desc");
_Static_assert(sizeof(struct split_used) == 8, "virtq_used_elem");

/* Byte offsets: avail and used begin with flags and idx. */
#define AT_FLAGS	0
#define AT_INDEX	2
#define AT_RING		4

static uint8_t *used_event(const struct virtqueue *vq)
{
	return vq->driver + AT_RING + 2 * vq->size;
}

static uint8_t *avail_event(const struct virtqueue *vq)
{
	return vq->device + AT_RING + sizeof(struct split_used) * vq->size;
}

static uint32_t split_bytes(enum vq_part part, uint32_t size)
{
	switch (part) {
	case VQ_DESC:
		return size * sizeof(struct split_desc);
	case VQ_DRIVER:
		return AT_RING + 2 * size + 2;
	default:
		return AT_RING + sizeof(struct split_used) * size + 2;
	}
}

/* One read of a descriptor that the guest may be changing. */
static struct split_desc fetch(const uint8_t *table, uint32_t index)
{
	struct split_desc d;

	memcpy(&d, table + index * sizeof(d), sizeof(d));
	__asm__ volatile("" ::: "memory");
	return d;
}

/* Where the walk of a chain is: in the ring's table or an indirect one. */
struct walk {
	const uint8_t *table;
	uint32_t entries;
	bool indirect;
};

static const char *enter_indirect(struct virtqueue *vq, struct walk *w,
				  const struct split_desc *d)
{
	if (!vq->indirect)
		return "an indirect descriptor without the feature";
	if (w->indirect || d->flags & DESC_NEXT)
		return "an indirect descriptor inside a chain's end";
	if (!d->bytes || d->bytes % sizeof(*d))
		return "an indirect table of a wrong size";
	w->table = virtio_hva(vq->dev->mem, d->gpa, d->bytes);
	if (!w->table)
		return "an indirect table that is not in memory";
	w->entries = d->bytes / sizeof(*d);
	w->indirect = true;
	return NULL;
}

static const char *walk_chain(struct virtqueue *vq, uint16_t head,
			      struct vq_chain *c)
{
	struct walk w = { .table = vq->desc, .entries = vq->size };
	unsigned int steps = 0;
	uint32_t at = head;
	const char *why;

	for (;;) {
		struct split_desc d;

		if (at >= w.entries)
			return "a descriptor outside its table";
		/* A loop is a chain that is longer than any may be. */
		if (steps++ > CHAIN_MAX)
			return "a chain that is too long, or a loop";
		d = fetch(w.table, at);
		if (d.flags & DESC_INDIRECT) {
			why = enter_indirect(vq, &w, &d);
			if (why)
				return why;
			at = 0;
			continue;
		}
		why = chain_add(c, vq->dev->mem, d.gpa, d.bytes,
				d.flags & DESC_WRITE);
		if (why)
			return why;
		if (!(d.flags & DESC_NEXT))
			return NULL;
		at = d.next;
	}
}

static int split_pop(struct virtqueue *vq, struct vq_chain *c,
		     const char **why)
{
	uint16_t waiting = ring_load16(vq->driver + AT_INDEX) - vq->next_avail;

	if (!waiting)
		return 0;
	if (waiting > vq->size) {
		*why = "the available index jumped";
		return -1;
	}
	c->id = ring_load16(vq->driver + AT_RING +
			    2 * (vq->next_avail & (vq->size - 1U)));
	c->slots = 1;
	*why = walk_chain(vq, c->id, c);
	if (*why)
		return -1;
	vq->next_avail++;
	return 1;
}

static void split_push(struct virtqueue *vq, const struct vq_chain *c,
		       const uint32_t *written, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct split_used entry = { .id = c[i].id, .bytes = written[i] };

		memcpy(vq->device + AT_RING + sizeof(entry) *
		       ((vq->next_used + i) & (vq->size - 1U)),
		       &entry, sizeof(entry));
	}
	vq->next_used += n;
	vq->unsignalled += n;
	ring_store16(vq->device + AT_INDEX, vq->next_used);
}

static void split_unpop(struct virtqueue *vq, const struct vq_chain *c)
{
	(void)c;
	vq->next_avail--;
}

/* With event indices the stale one does it: it is passed only once. */
static void split_ignore(struct virtqueue *vq)
{
	if (!vq->event_idx)
		ring_store16(vq->device + AT_FLAGS, USED_NO_NOTIFY);
}

static void split_listen(struct virtqueue *vq)
{
	if (vq->event_idx)
		ring_store16(avail_event(vq), vq->next_avail);
	else
		ring_store16(vq->device + AT_FLAGS, 0);
}

static bool split_more(struct virtqueue *vq)
{
	return ring_load16(vq->driver + AT_INDEX) != vq->next_avail;
}

static bool split_wants(struct virtqueue *vq)
{
	uint16_t old = vq->next_used - vq->unsignalled;

	if (!vq->event_idx)
		return !(ring_load16(vq->driver + AT_FLAGS) &
			 AVAIL_NO_INTERRUPT);
	return !vq->signalled ||
	       ring_passed(ring_load16(used_event(vq)), vq->next_used, old);
}

const struct vring_ops vring_split = {
	.bytes = split_bytes,
	.align = { [VQ_DESC] = 16, [VQ_DRIVER] = 2, [VQ_DEVICE] = 4 },
	.pop = split_pop,
	.push = split_push,
	.unpop = split_unpop,
	.ignore = split_ignore,
	.listen = split_listen,
	.more = split_more,
	.wants = split_wants,
};
