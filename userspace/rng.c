// SPDX-License-Identifier: GPL-2.0
/* virtio-rng (virtio 1.2, 5.4): the host kernel's random numbers. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include <linux/virtio_ids.h>

#include "devices.h"
#include "machine.h"
#include "virtio.h"

/* A request may ask for gigabytes; it gets what a seed takes many times. */
#define MAX_BYTES	4096U

static void fill(struct vq_chain *c, void *ctx)
{
	uint8_t data[MAX_BYTES];
	size_t want = c->in_bytes < MAX_BYTES ? c->in_bytes : MAX_BYTES;
	size_t have = 0;
	ssize_t n;

	(void)ctx;
	while (have < want) {
		n = getrandom(data + have, want - have, 0);
		if (n < 0 && errno != EINTR)
			break;
		if (n > 0)
			have += (size_t)n;
	}
	vq_push(c, (uint32_t)chain_write(c, 0, data, have));
}

static void rng_kick(struct virtio_device *d, struct virtqueue *vq)
{
	(void)d;
	vq_drain(vq, fill, NULL);
}

static void rng_destroy(struct virtio_device *d)
{
	free(d);
}

static const struct virtio_ops rng_ops = {
	.name = "rng",
	.id = VIRTIO_ID_RNG,
	.kick = rng_kick,
	.destroy = rng_destroy,
};

struct virtio_device *rng_create(const struct virtio_memory *mem)
{
	struct virtio_device *d = xcalloc(1, sizeof(*d));

	virtio_init(d, &rng_ops, "rng", mem, 0, 1);
	return d;
}
