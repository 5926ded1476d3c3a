// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-console (virtio 1.2, 5.3) with one port: the terminal, in buffers
 * where a serial port goes character by character.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "devices.h"
#include "machine.h"
#include "virtio.h"

enum { TO_GUEST, FROM_GUEST, QUEUES };

struct hvc {
	struct virtio_device d;		/* first */
	int room_fd;
	void (*put)(void *ctx, uint8_t byte);
	void *ctx;
};

static void output(struct vq_chain *c, void *ctx)
{
	struct hvc *h = ctx;
	uint8_t data[4096];
	size_t at = 0, i, n;

	do {
		n = chain_read(c, at, data, sizeof(data));
		at += n;
		for (i = 0; i < n && h->put; i++)
			h->put(h->ctx, data[i]);
	} while (n == sizeof(data));
	vq_push(c, 0);
}

static void hvc_kick(struct virtio_device *d, struct virtqueue *vq)
{
	struct hvc *h = (struct hvc *)d;

	if (vq->index == FROM_GUEST)
		vq_drain(vq, output, h);
	else if (h->room_fd >= 0)
		eventfd_write(h->room_fd, 1);
}

/* A buffer is there, or none. The driver's are a page each; how much of one
 * is taken is found out when it is.
 */
size_t hvc_room(struct virtio_device *d)
{
	static struct vq_chain c;	/* of the one thread that reads keys */
	size_t bytes;

	if (!vq_pop(&d->vq[TO_GUEST], &c)) {
		vq_listen(&d->vq[TO_GUEST]);
		if (!vq_pop(&d->vq[TO_GUEST], &c))
			return 0;
	}
	bytes = c.in_bytes;
	vq_unpop(&c);
	return bytes;
}

size_t hvc_receive(struct virtio_device *d, const uint8_t *data, size_t bytes)
{
	static struct vq_chain c;	/* likewise */
	size_t n;

	if (!bytes || !vq_pop(&d->vq[TO_GUEST], &c))
		return 0;
	n = chain_write(&c, 0, data, bytes);
	vq_push(&c, (uint32_t)n);
	return n;
}

void hvc_set_output(struct virtio_device *d,
		    void (*put)(void *ctx, uint8_t byte), void *ctx)
{
	struct hvc *h = (struct hvc *)d;

	h->put = put;
	h->ctx = ctx;
}

static void hvc_destroy(struct virtio_device *d)
{
	free(d);
}

static const struct virtio_ops hvc_ops = {
	.name = "console",
	.id = VIRTIO_ID_CONSOLE,
	.kick = hvc_kick,
	.destroy = hvc_destroy,
};

struct virtio_device *hvc_create(const struct virtio_memory *mem, int room_fd)
{
	struct hvc *h = xcalloc(1, sizeof(*h));

	h->room_fd = room_fd;
	virtio_init(&h->d, &hvc_ops, "console", mem, 0, QUEUES);
	h->d.config_bytes = sizeof(struct virtio_console_config);
	return &h->d;
}
