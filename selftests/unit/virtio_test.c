// SPDX-License-Identifier: GPL-2.0
/*
 * The virtio core, with a driver model in place of a guest: rings of both
 * formats, honest drivers and hostile ones, resets. KTAP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "vdriver.h"

#define PACKED		(1ULL << VIRTIO_F_RING_PACKED)
#define INDIRECT	(1ULL << VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT_IDX	(1ULL << VIRTIO_RING_F_EVENT_IDX)

static struct vdriver v;
static struct vq_chain held;

/* ---- what the code under test calls ---- */

void term_restore(void)
{
}

bool term_is_raw(void)
{
	return false;
}

static void set_up(void)
{
	vd_init_echo(&v);
}

/* ---- honest drivers ---- */

static uint32_t seed = 1;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

/* Buffers that hold @bytes, in random pieces. */
static unsigned int pieces(struct vd_buffer *buf, uint64_t gpa, uint32_t bytes,
			   unsigned int most, bool write)
{
	unsigned int n = 0;

	while (bytes) {
		uint32_t len = n + 1 == most ? bytes : 1 + rnd(bytes);

		buf[n++] = (struct vd_buffer){ gpa, len, write };
		gpa += len;
		bytes -= len;
	}
	return n;
}

static bool one_echo(struct vd_queue *q, uint16_t id, bool indirect)
{
	uint64_t out = VD_BUFFERS + rnd(4096), in = VD_BUFFERS + 65536 + rnd(4096);
	uint32_t bytes = 1 + rnd(2000), got;
	struct vd_buffer buf[12];
	unsigned int i, n;
	uint16_t used;

	for (i = 0; i < bytes; i++)
		((uint8_t *)vd_at(&v, out))[i] = (uint8_t)rnd(256);
	memset(vd_at(&v, in), 0, bytes + 16);
	n = pieces(buf, out, bytes, 6, false);
	n += pieces(buf + n, in, bytes, 6, true);
	vd_add(q, &v, id, buf, n, indirect);
	vd_kick(&v, q);
	CHECK(vd_used(q, &v, &used, &got));
	CHECK(used == id && got == bytes);
	CHECK(!memcmp(vd_at(&v, out), vd_at(&v, in), bytes));
	CHECK(!vd_needs_reset(&v));
	return true;
}

static bool echoes(uint64_t features, uint16_t size)
{
	unsigned int i;

	CHECK(vd_start(&v, features, size));
	CHECK(virtio_has(v.d, VIRTIO_F_RING_PACKED) == !!(features & PACKED));
	/* More rounds than 16-bit indices have; ids within the ring. */
	for (i = 0; i < (features & INDIRECT ? 70000U : 1000U); i++)
		if (!one_echo(&v.q[i & 1], (uint16_t)(i % size),
			      features & INDIRECT && i % 3)) {
			printf("# round %u of %llx\n", i,
			       (unsigned long long)features);
			return false;
		}
	return true;
}

static bool split_rings(void)
{
	return echoes(0, 16) && echoes(INDIRECT, 64) && echoes(EVENT_IDX, 16) &&
	       echoes(INDIRECT | EVENT_IDX, 256);
}

static bool packed_rings(void)
{
	return echoes(PACKED, 17) && echoes(PACKED | INDIRECT, 13) &&
	       echoes(PACKED | EVENT_IDX, 100) &&
	       echoes(PACKED | INDIRECT | EVENT_IDX, 256);
}

/* The driver asks for an interrupt at the fourth of eight. */
static bool event_index(uint64_t format)
{
	struct vd_buffer buf = { VD_BUFFERS, 16, true };
	struct vd_queue *q = &v.q[0];
	unsigned int i, before;
	uint32_t bytes;
	uint16_t id;

	CHECK(vd_start(&v, format | EVENT_IDX, 16));
	/* The first decision always interrupts: there is no old index yet. */
	vd_add(q, &v, 0, &buf, 1, false);
	vd_kick(&v, q);
	CHECK(v.interrupts && vd_used(q, &v, &id, &bytes));
	if (format) {
		uint16_t event[2] = { 4 | 1U << 15, 2 };

		memcpy(vd_at(&v, q->driver), event, sizeof(event));
	} else {
		uint16_t event = 4;

		memcpy(vd_at(&v, q->driver + 4 + 2 * 16), &event, 2);
	}
	before = v.interrupts;
	for (i = 1; i < 8; i++) {
		vd_add(q, &v, (uint16_t)i, &buf, 1, false);
		vd_kick(&v, q);
		CHECK(v.interrupts == before + (i >= 4));
	}
	return true;
}

static bool interrupts_by_event_index(void)
{
	return event_index(0) && event_index(PACKED);
}

static bool interrupts_can_be_off(void)
{
	struct vd_buffer buf = { VD_BUFFERS, 16, true };
	uint16_t off[2] = { 1, 0 }, off_packed[2] = { 0, 1 };

	CHECK(vd_start(&v, 0, 16));
	memcpy(vd_at(&v, v.q[0].driver), off, 2);
	vd_add(&v.q[0], &v, 0, &buf, 1, false);
	vd_kick(&v, &v.q[0]);
	CHECK(!v.interrupts);
	CHECK(vd_start(&v, PACKED, 16));
	memcpy(vd_at(&v, v.q[0].driver), off_packed, 4);
	vd_add(&v.q[0], &v, 0, &buf, 1, false);
	vd_kick(&v, &v.q[0]);
	CHECK(!v.interrupts);
	return true;
}

/* What was taken and put back is taken again, also across the ring's end. */
static bool unpop(uint64_t format)
{
	struct vd_buffer buf[3] = { { VD_BUFFERS, 16, true },
		{ VD_BUFFERS + 16, 16, true }, { VD_BUFFERS + 32, 16, true } };
	static struct vq_chain a, b;
	unsigned int i;
	uint32_t bytes;
	uint16_t id;

	CHECK(vd_start(&v, format, 8));
	for (i = 0; i < 50; i++) {
		struct vd_queue *q = &v.q[0];

		vd_add(q, &v, 0, buf, 3, false);
		vd_add(q, &v, 4, buf, 3, false);
		CHECK(vq_pop(q->vq, &a) && vq_pop(q->vq, &b));
		vq_unpop(&b);
		vq_unpop(&a);
		vd_kick(&v, q);
		CHECK(vd_used(q, &v, &id, &bytes) && id == 0);
		CHECK(vd_used(q, &v, &id, &bytes) && id == 4);
		CHECK(!q->vq->inflight);
	}
	return true;
}

static bool unpop_both(void)
{
	return unpop(0) && unpop(PACKED);
}

/* ---- registers ---- */

static bool features_are_checked(void)
{
	virtio_set_status(v.d, 3);
	/* Without VERSION_1. */
	virtio_accept(v.d, 0, 0);
	virtio_set_status(v.d, 11);
	CHECK(v.d->status == 3);
	/* One that was not offered. */
	virtio_accept(v.d, 1, 1);
	virtio_accept(v.d, 0, 1U << 23);
	virtio_set_status(v.d, 11);
	CHECK(v.d->status == 3);
	/* Not to DRIVER_OK without FEATURES_OK. */
	virtio_set_status(v.d, 7);
	CHECK(v.d->status == 3 && !v.d->live);
	virtio_accept(v.d, 0, 0);
	virtio_set_status(v.d, 11);
	CHECK(v.d->status == 11);
	/* They are fixed now. */
	virtio_accept(v.d, 0, 1U << 23);
	CHECK(!virtio_accepted(v.d, 0));
	return true;
}

static bool queues_are_checked(void)
{
	static const struct {
		uint64_t desc, driver, device;
	} bad[] = {
		{ VD_RINGS + 8, VD_RINGS + 0x4000, VD_RINGS + 0x5000 },
		{ VD_RINGS, VD_RINGS + 0x4001, VD_RINGS + 0x5000 },
		{ VD_RINGS, VD_RINGS + 0x4000, VD_RINGS + 0x5002 },
		{ 0, VD_RINGS + 0x4000, VD_RINGS + 0x5000 },
		{ VD_RAM_GPA + VD_RAM_BYTES - 16, VD_RINGS, VD_RINGS },
		{ ~0ULL - 15, VD_RINGS, VD_RINGS },
		{ VD_RINGS, ~1ULL, VD_RINGS },
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct virtqueue *vq = virtio_queue(v.d, 0);

		virtio_set_status(v.d, 0);
		virtio_set_status(v.d, 3);
		virtio_accept(v.d, 1, 1);
		virtio_set_status(v.d, 11);
		virtio_queue_address(vq, VQ_DESC, false, (uint32_t)bad[i].desc);
		virtio_queue_address(vq, VQ_DESC, true, (uint32_t)(bad[i].desc >> 32));
		virtio_queue_address(vq, VQ_DRIVER, false, (uint32_t)bad[i].driver);
		virtio_queue_address(vq, VQ_DRIVER, true, (uint32_t)(bad[i].driver >> 32));
		virtio_queue_address(vq, VQ_DEVICE, false, (uint32_t)bad[i].device);
		virtio_queue_enable(vq);
		CHECK(!virtio_queue_enabled(vq) && vd_needs_reset(&v));
	}
	virtio_set_status(v.d, 0);
	virtio_queue_size(virtio_queue(v.d, 0), 24);
	CHECK(vd_needs_reset(&v));
	virtio_set_status(v.d, 0);
	virtio_queue_size(virtio_queue(v.d, 0), 512);
	CHECK(vd_needs_reset(&v));
	CHECK(!virtio_queue(v.d, 2));
	return true;
}

/* ---- hostile drivers ---- */

enum { NEXT = 1, WRITE = 2, TABLE = 4 };

#define TABLE_GPA	0x100000U

/* What a driver writes: two descriptors of the ring, one of a table. */
static const struct split_attack {
	const char *name;
	struct vring_desc ring[2];
	struct vring_desc table;
	uint16_t head, index;
} split_attacks[] = {
	{ "head out of range", .head = 16, .index = 1 },
	{ "head far out of range", .head = 0xffff, .index = 1 },
	{ "index jumps", .index = 17 },
	{ "index jumps back", .index = 0x8000 },
	{ "loop", .index = 1, .ring[0] = { VD_BUFFERS, 16, NEXT, 0 } },
	{ "loop of two", .index = 1, .ring = { { VD_BUFFERS, 16, NEXT, 1 },
		{ VD_BUFFERS, 16, NEXT, 0 } } },
	{ "next out of range", .index = 1, .ring[0] = { VD_BUFFERS, 16, NEXT, 16 } },
	{ "huge length", .index = 1, .ring[0] = { VD_BUFFERS, ~0U, 0, 0 } },
	{ "address wraps", .index = 1, .ring[0] = { ~0ULL, 2, 0, 0 } },
	{ "read behind write", .index = 1, .ring = {
		{ VD_BUFFERS, 16, WRITE | NEXT, 1 }, { VD_BUFFERS, 16, 0, 0 } } },
	{ "half an entry", .index = 1, .ring[0] = { VD_BUFFERS, 24, TABLE, 0 } },
	{ "empty table", .index = 1, .ring[0] = { VD_BUFFERS, 0, TABLE, 0 } },
	{ "table and next", .index = 1, .ring[0] = { TABLE_GPA, 16, TABLE | NEXT, 1 } },
	{ "table nowhere", .index = 1, .ring[0] = { 0, 16, TABLE, 0 } },
	{ "table in a table", .index = 1, .ring[0] = { TABLE_GPA, 16, TABLE, 0 },
		.table = { TABLE_GPA, 16, TABLE, 0 } },
	{ "next out of a table", .index = 1, .ring[0] = { TABLE_GPA, 16, TABLE, 0 },
		.table = { VD_BUFFERS, 16, NEXT, 1 } },
	{ "loop in a table", .index = 1, .ring[0] = { TABLE_GPA, 16, TABLE, 0 },
		.table = { VD_BUFFERS, 16, NEXT, 0 } },
};

static void attack_split(unsigned int i)
{
	const struct split_attack *a = &split_attacks[i];
	uint16_t *avail = vd_at(&v, v.q[0].driver);

	memcpy(vd_at(&v, v.q[0].desc), a->ring, sizeof(a->ring));
	memcpy(vd_at(&v, TABLE_GPA), &a->table, sizeof(a->table));
	avail[2] = a->head;
	avail[1] = a->index;
}

#define AVAIL	(1U << VRING_PACKED_DESC_F_AVAIL)

static const struct packed_attack {
	const char *name;
	struct vring_packed_desc ring[2];
	struct vring_packed_desc table;
	bool all_around;		/* the first, everywhere in the ring */
} packed_attacks[] = {
	{ "chain all around", .ring[0] = { VD_BUFFERS, 16, 0, AVAIL | NEXT },
		.all_around = true },
	{ "huge length", .ring[0] = { VD_BUFFERS, ~0U, 0, AVAIL } },
	{ "address wraps", .ring[0] = { ~0ULL, 2, 0, AVAIL } },
	{ "read behind write", .ring = {
		{ VD_BUFFERS, 16, 0, AVAIL | NEXT | WRITE }, { VD_BUFFERS, 16, 0, AVAIL } } },
	{ "half an entry", .ring[0] = { VD_BUFFERS, 24, 0, AVAIL | TABLE } },
	{ "empty table", .ring[0] = { VD_BUFFERS, 0, 0, AVAIL | TABLE } },
	{ "long table", .ring[0] = { VD_BUFFERS, 16 * 300, 0, AVAIL | TABLE } },
	{ "table and next", .ring[0] = { TABLE_GPA, 16, 0, AVAIL | TABLE | NEXT } },
	{ "table nowhere", .ring[0] = { 0, 16, 0, AVAIL | TABLE } },
	{ "table in a chain", .ring = { { VD_BUFFERS, 16, 0, AVAIL | NEXT },
		{ TABLE_GPA, 16, 0, AVAIL | TABLE } } },
	{ "table in a table", .ring[0] = { TABLE_GPA, 16, 0, AVAIL | TABLE },
		.table = { TABLE_GPA, 16, 0, TABLE } },
};

static void attack_packed(unsigned int i)
{
	const struct packed_attack *a = &packed_attacks[i];
	struct vring_packed_desc *ring = vd_at(&v, v.q[0].desc);
	unsigned int n;

	memcpy(ring, a->ring, sizeof(a->ring));
	for (n = 0; n < v.q[0].size && a->all_around; n++)
		ring[n] = a->ring[0];
	memcpy(vd_at(&v, TABLE_GPA), &a->table, sizeof(a->table));
}

/* Each breaks the device and nothing else; a reset heals it. */
static bool hostile(uint64_t format, unsigned int count, void (*attack)(unsigned int))
{
	unsigned int i, before;

	for (i = 0; i < count; i++) {
		CHECK(vd_start(&v, format | INDIRECT, 16));
		before = v.config_interrupts;
		attack(i);
		vd_kick(&v, &v.q[0]);
		if (!vd_needs_reset(&v) || v.config_interrupts != before + 1) {
			printf("# attack %u\n", i);
			return false;
		}
		CHECK(!v.d->live && !v.q[0].vq->inflight);
		vd_kick(&v, &v.q[1]);
		CHECK(vd_start(&v, format, 16) && one_echo(&v.q[0], 3, false));
	}
	return true;
}

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static bool hostile_split_drivers(void)
{
	return hostile(0, COUNT(split_attacks), attack_split);
}

static bool hostile_packed_drivers(void)
{
	return hostile(PACKED, COUNT(packed_attacks), attack_packed);
}

static bool indirect_needs_its_feature(void)
{
	struct vd_buffer buf = { VD_BUFFERS, 16, true };

	CHECK(vd_start(&v, 0, 16));
	vd_add(&v.q[0], &v, 0, &buf, 1, true);
	vd_kick(&v, &v.q[0]);
	CHECK(vd_needs_reset(&v));
	CHECK(vd_start(&v, PACKED, 16));
	vd_add(&v.q[0], &v, 0, &buf, 1, true);
	vd_kick(&v, &v.q[0]);
	CHECK(vd_needs_reset(&v));
	return true;
}

/* A driver that takes no notice of what is still out. */
static bool more_than_the_ring(void)
{
	struct vd_buffer buf = { VD_BUFFERS, 16, true };
	static struct vq_chain c[17];
	unsigned int i;

	CHECK(vd_start(&v, 0, 16));
	for (i = 0; i < 16; i++) {
		vd_add(&v.q[0], &v, 0, &buf, 1, false);
		CHECK(vq_pop(v.q[0].vq, &c[i]));
	}
	vd_add(&v.q[0], &v, 0, &buf, 1, false);
	CHECK(!vq_pop(v.q[0].vq, &c[16]) && vd_needs_reset(&v));
	for (i = 0; i < 16; i++)
		vq_push(&c[i], 0);
	return true;
}

/* ---- reset ---- */

static void *reset_thread(void *arg)
{
	atomic_bool *done = arg;

	virtio_set_status(v.d, 0);
	atomic_store(done, true);
	return NULL;
}

static bool reset_waits_for_requests(void)
{
	struct vd_buffer buf = { VD_BUFFERS, 16, true };
	atomic_bool done = false;
	uint32_t index;
	pthread_t t;

	CHECK(vd_start(&v, 0, 16));
	v.echo_keeps = &held;
	vd_add(&v.q[0], &v, 0, &buf, 1, false);
	vd_kick(&v, &v.q[0]);
	CHECK(v.q[0].vq->inflight == 1);
	pthread_create(&t, NULL, reset_thread, &done);
	while (v.d->live)
		usleep(100);
	usleep(20000);
	CHECK(!atomic_load(&done));
	vq_push(&held, 4);
	pthread_join(t, NULL);
	CHECK(atomic_load(&done) && !v.d->status);
	/* The ring, which the driver may have put to other use, is untouched. */
	memcpy(&index, vd_at(&v, v.q[0].device), 4);
	CHECK(!index);
	return true;
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ split_rings, "split rings" },
		{ packed_rings, "packed rings" },
		{ interrupts_by_event_index, "interrupts by event index" },
		{ interrupts_can_be_off, "interrupts can be off" },
		{ unpop_both, "what is put back comes again" },
		{ features_are_checked, "features are checked" },
		{ queues_are_checked, "queues are checked" },
		{ hostile_split_drivers, "hostile drivers of split rings" },
		{ hostile_packed_drivers, "hostile drivers of packed rings" },
		{ indirect_needs_its_feature, "indirect needs its feature" },
		{ more_than_the_ring, "no more requests than the ring holds" },
		{ reset_waits_for_requests, "a reset waits for requests" },
	};

	return vd_run(&v, tests, sizeof(tests) / sizeof(*tests), set_up);
}
