// SPDX-License-Identifier: GPL-2.0
/* A virtio driver for tests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "vdriver.h"

#define WAIT_STEP_US	200
#define WAIT_STEPS	50000

static void interrupt(void *transport, int queue)
{
	struct vdriver *v = transport;

	if (queue == VQ_CONFIG)
		v->config_interrupts++;
	else
		v->interrupts++;
}

static int call_fd(void *transport, unsigned int queue)
{
	(void)transport;
	(void)queue;
	return -1;
}

void vd_init(struct vdriver *v)
{
	memset(v, 0, sizeof(*v));
	v->ram = mmap(NULL, VD_RAM_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (v->ram == MAP_FAILED)
		abort();
	v->mem.count = 1;
	v->mem.part[0].gpa = VD_RAM_GPA;
	v->mem.part[0].bytes = VD_RAM_BYTES;
	v->mem.part[0].hva = v->ram;
}

void vd_bind(struct vdriver *v, struct virtio_device *d)
{
	v->d = d;
	d->interrupt = interrupt;
	d->call_fd = call_fd;
	d->transport = v;
}

void vd_free(struct vdriver *v)
{
	if (v->d)
		virtio_destroy(v->d);
	munmap(v->ram, VD_RAM_BYTES);
}

void *vd_at(struct vdriver *v, uint64_t gpa)
{
	return v->ram + (gpa - VD_RAM_GPA);
}

static void set_address(struct virtqueue *vq, enum vq_part part, uint64_t gpa)
{
	virtio_queue_address(vq, part, false, (uint32_t)gpa);
	virtio_queue_address(vq, part, true, (uint32_t)(gpa >> 32));
}

static void set_up_queue(struct vdriver *v, unsigned int i, uint16_t size)
{
	struct vd_queue *q = &v->q[i];
	uint64_t base = VD_RINGS + i * VD_RING_BYTES;

	memset(q, 0, sizeof(*q));
	memset(vd_at(v, base), 0, VD_RING_BYTES);
	q->vq = virtio_queue(v->d, i);
	q->packed = v->d->accepted >> VIRTIO_F_RING_PACKED & 1;
	q->size = size;
	q->wrap = q->used_wrap = true;
	q->desc = base;
	q->driver = base + 0x4000;
	q->device = base + 0x5000;
	q->table = base + 0x8000;
	virtio_queue_size(q->vq, size);
	set_address(q->vq, VQ_DESC, q->desc);
	set_address(q->vq, VQ_DRIVER, q->driver);
	set_address(q->vq, VQ_DEVICE, q->device);
	virtio_queue_enable(q->vq);
}

bool vd_start(struct vdriver *v, uint64_t features, uint16_t size)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	unsigned int i;

	virtio_set_status(v->d, 0);
	virtio_set_status(v->d, status);
	features |= 1ULL << VIRTIO_F_VERSION_1;
	features &= v->d->offered;
	virtio_accept(v->d, 0, (uint32_t)features);
	virtio_accept(v->d, 1, (uint32_t)(features >> 32));
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	virtio_set_status(v->d, status);
	if (!(v->d->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return false;
	for (i = 0; i < v->d->nr_queues; i++)
		set_up_queue(v, i, size);
	virtio_set_status(v->d, status | VIRTIO_CONFIG_S_DRIVER_OK);
	return v->d->live;
}

/* ---- split ---- */

static void split_fill(struct vring_desc *table, uint16_t at, uint16_t mask,
		       const struct vd_buffer *buf, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct vring_desc *d = &table[(at + i) & mask];

		d->addr = buf[i].gpa;
		d->len = buf[i].bytes;
		d->flags = (buf[i].write ? VRING_DESC_F_WRITE : 0) |
			   (i + 1 < n ? VRING_DESC_F_NEXT : 0);
		d->next = (at + i + 1) & mask;
	}
}

/* The head is the id: one descriptor a chain in the ring, the rest behind it,
 * or in a table of the head's.
 */
static void split_add(struct vd_queue *q, struct vdriver *v, uint16_t id,
		      const struct vd_buffer *buf, unsigned int n,
		      bool indirect)
{
	struct vring_desc *ring = vd_at(v, q->desc);
	uint16_t *avail = vd_at(v, q->driver);
	uint64_t table = q->table + id * 16U * 16U;

	if (indirect) {
		split_fill(vd_at(v, table), 0, 0xffff, buf, n);
		ring[id] = (struct vring_desc){
			.addr = table, .len = n * 16,
			.flags = VRING_DESC_F_INDIRECT,
		};
	} else {
		split_fill(ring, id, q->size - 1, buf, n);
	}
	avail[2 + q->avail % q->size] = id;
	q->avail++;
	__atomic_store_n(&avail[1], q->avail, __ATOMIC_RELEASE);
}

static bool split_used(struct vd_queue *q, struct vdriver *v, uint16_t *id,
		       uint32_t *bytes)
{
	uint16_t *device = vd_at(v, q->device);
	struct vring_used_elem *e = (void *)(device + 2);

	if (__atomic_load_n(&device[1], __ATOMIC_ACQUIRE) == q->used)
		return false;
	*id = (uint16_t)e[q->used % q->size].id;
	*bytes = e[q->used % q->size].len;
	q->used++;
	return true;
}

/* ---- packed ---- */

static void step(struct vd_queue *q, uint16_t *at, bool *wrap, unsigned int by)
{
	*at += by;
	if (*at >= q->size) {
		*at -= q->size;
		*wrap = !*wrap;
	}
}

static uint16_t packed_flags(bool wrap, uint16_t more)
{
	return more | (wrap ? 1U << VRING_PACKED_DESC_F_AVAIL :
		       1U << VRING_PACKED_DESC_F_USED);
}

static void packed_add(struct vd_queue *q, struct vdriver *v, uint16_t id,
		       const struct vd_buffer *buf, unsigned int n,
		       bool indirect)
{
	struct vring_packed_desc *ring = vd_at(v, q->desc), *first = NULL;
	struct vring_packed_desc *table;
	uint16_t head_flags = 0;
	unsigned int i;

	q->slots[id] = indirect ? 1 : (uint16_t)n;
	if (indirect) {
		uint64_t gpa = q->table + id * 16U * 16U;

		table = vd_at(v, gpa);
		for (i = 0; i < n; i++)
			table[i] = (struct vring_packed_desc){
				.addr = buf[i].gpa, .len = buf[i].bytes,
				.flags = buf[i].write ? VRING_DESC_F_WRITE : 0,
			};
		first = &ring[q->avail];
		first->addr = gpa;
		first->len = n * 16;
		first->id = id;
		head_flags = packed_flags(q->wrap, VRING_DESC_F_INDIRECT);
		step(q, &q->avail, &q->wrap, 1);
	}
	for (i = 0; !indirect && i < n; i++) {
		struct vring_packed_desc *d = &ring[q->avail];
		uint16_t more = (buf[i].write ? VRING_DESC_F_WRITE : 0) |
				(i + 1 < n ? VRING_DESC_F_NEXT : 0);

		d->addr = buf[i].gpa;
		d->len = buf[i].bytes;
		d->id = id;
		if (i)
			d->flags = packed_flags(q->wrap, more);
		else
			head_flags = packed_flags(q->wrap, more);
		first = first ? first : d;
		step(q, &q->avail, &q->wrap, 1);
	}
	__atomic_store_n(&first->flags, head_flags, __ATOMIC_RELEASE);
}

static bool packed_used(struct vd_queue *q, struct vdriver *v, uint16_t *id,
			uint32_t *bytes)
{
	struct vring_packed_desc *ring = vd_at(v, q->desc), *d = &ring[q->used];
	uint16_t flags = __atomic_load_n(&d->flags, __ATOMIC_ACQUIRE);
	bool avail = flags >> VRING_PACKED_DESC_F_AVAIL & 1;
	bool used = flags >> VRING_PACKED_DESC_F_USED & 1;

	if (avail != used || used != q->used_wrap)
		return false;
	*id = d->id;
	*bytes = d->len;
	step(q, &q->used, &q->used_wrap, q->slots[d->id % VQ_MAX_SIZE]);
	return true;
}

/* ---- either ---- */

void vd_add(struct vd_queue *q, struct vdriver *v, uint16_t id,
	    const struct vd_buffer *buf, unsigned int n, bool indirect)
{
	(q->packed ? packed_add : split_add)(q, v, id, buf, n, indirect);
}

void vd_kick(struct vdriver *v, struct vd_queue *q)
{
	if (v->d->live)
		v->d->ops->kick(v->d, q->vq);
}

bool vd_used(struct vd_queue *q, struct vdriver *v, uint16_t *id,
	     uint32_t *bytes)
{
	return (q->packed ? packed_used : split_used)(q, v, id, bytes);
}

bool vd_wait(struct vd_queue *q, struct vdriver *v, uint16_t *id,
	     uint32_t *bytes)
{
	unsigned int i;

	for (i = 0; i < WAIT_STEPS; i++) {
		if (vd_used(q, v, id, bytes))
			return true;
		usleep(WAIT_STEP_US);
	}
	return false;
}

bool vd_needs_reset(const struct vdriver *v)
{
	return v->d->status & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* ---- a device that gives back what it reads ---- */

struct echo {
	struct virtio_device d;
	struct vdriver *v;
};

static void echo(struct vq_chain *c, void *ctx)
{
	struct vdriver *v = ctx;
	uint8_t data[4096];
	size_t n;

	if (v->echo_keeps) {
		*v->echo_keeps = *c;
		return;
	}
	n = chain_read(c, 0, data, sizeof(data));
	vq_push(c, (uint32_t)chain_write(c, 0, data, n));
}

static void echo_kick(struct virtio_device *d, struct virtqueue *vq)
{
	vq_drain(vq, echo, ((struct echo *)d)->v);
}

static void echo_destroy(struct virtio_device *d)
{
	free(d);
}

static const struct virtio_ops echo_ops = {
	.name = "echo", .id = 42, .kick = echo_kick, .destroy = echo_destroy,
};

void vd_init_echo(struct vdriver *v)
{
	struct echo *e = calloc(1, sizeof(*e));

	vd_init(v);
	e->v = v;
	virtio_init(&e->d, &echo_ops, "echo", &v->mem, 0, 2);
	e->d.config_bytes = 8;
	memcpy(e->d.config, "\1\2\3\4\5\6\7\10", 8);
	vd_bind(v, &e->d);
}

static struct vdriver *running;

static void free_running(void)
{
	vd_free(running);
}

int vd_run(struct vdriver *v, const struct unit_test *tests, size_t n,
	   void (*set_up)(void))
{
	/* Complaints about hostile drivers are not what is looked at. */
	if (!freopen("/dev/null", "w", stderr))
		return 1;
	running = v;
	return unit_run(tests, n, set_up, free_running);
}
