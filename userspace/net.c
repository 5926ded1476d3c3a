// SPDX-License-Identifier: GPL-2.0
/* virtio-net (virtio 1.2, 5.1): one pair of queues. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <linux/virtio_ids.h>

#include "machine.h"
#include "net.h"

_Static_assert(sizeof(struct virtio_net_hdr_v1) == 12, "virtio_net_hdr_v1");

#define FEATURES	(FEATURE(VIRTIO_NET_F_MAC) | \
			 FEATURE(VIRTIO_NET_F_STATUS) | \
			 FEATURE(VIRTIO_NET_F_MRG_RXBUF))
#define TAP_FEATURES	(FEATURE(VIRTIO_NET_F_CSUM) | \
			 FEATURE(VIRTIO_NET_F_GUEST_CSUM) | \
			 FEATURE(VIRTIO_NET_F_GUEST_TSO4) | \
			 FEATURE(VIRTIO_NET_F_GUEST_TSO6) | \
			 FEATURE(VIRTIO_NET_F_HOST_TSO4) | \
			 FEATURE(VIRTIO_NET_F_HOST_TSO6))
/* What user networking passes on has been checked. */
#define USER_FEATURES	FEATURE(VIRTIO_NET_F_GUEST_CSUM)

static void give_back(struct net *n, unsigned int count)
{
	while (count--)
		vq_unpop(&n->rx[count]);
}

/* Take buffers for @bytes. -> how many; 0: too few there; -1: cannot be. */
static int gather(struct net *n, size_t bytes)
{
	struct virtqueue *vq = &n->d.vq[NET_RX];
	unsigned int most = virtio_has(&n->d, VIRTIO_NET_F_MRG_RXBUF) ?
			    NET_RX_CHAINS : 1;
	unsigned int count = 0;
	uint64_t room = 0;

	while (room < bytes && count < most) {
		/* Listening, a driver's next buffers are heard of. */
		if (!vq_pop(vq, &n->rx[count]) &&
		    (!vq_listen(vq) || !vq_pop(vq, &n->rx[count]))) {
			give_back(n, count);
			return 0;
		}
		room += n->rx[count++].in_bytes;
	}
	if (room < bytes) {
		give_back(n, count);
		return -1;
	}
	return (int)count;
}

bool net_receive(struct net *n, struct virtio_net_hdr_v1 *h, const void *frame,
		 size_t bytes)
{
	uint32_t written[NET_RX_CHAINS];
	const uint8_t *from = frame;
	size_t done = 0, skip = NET_HEADER;
	int i, count = gather(n, NET_HEADER + bytes);

	if (count <= 0)
		return count < 0;
	if (n->rx[0].in_bytes < NET_HEADER) {
		give_back(n, (unsigned int)count);
		virtio_broken(&n->d, "a buffer that no header fits into");
		return true;
	}
	h->num_buffers = (uint16_t)count;
	chain_write(&n->rx[0], 0, h, NET_HEADER);
	for (i = 0; i < count; i++) {
		size_t part = chain_write(&n->rx[i], skip, from + done,
					  bytes - done);

		done += part;
		written[i] = (uint32_t)(skip + part);
		skip = 0;
	}
	vq_push_all(n->rx, written, (unsigned int)count);
	return true;
}

static void transmit(struct vq_chain *c, void *ctx)
{
	struct net *n = ctx;

	if (c->out_bytes > NET_HEADER &&
	    c->out_bytes <= NET_HEADER + NET_MAX_FRAME)
		n->backend->send(n, c);
	vq_push(c, 0);
}

static void net_kick(struct virtio_device *d, struct virtqueue *vq)
{
	struct net *n = (struct net *)d;

	if (vq->index == NET_TX)
		vq_drain(vq, transmit, n);
	else
		n->backend->ready(n);
}

static const char *net_start(struct virtio_device *d)
{
	struct net *n = (struct net *)d;

	return n->backend->start ? n->backend->start(n) : NULL;
}

static void net_reset(struct virtio_device *d)
{
	struct net *n = (struct net *)d;

	n->backend->reset(n);
}

static void net_destroy(struct virtio_device *d)
{
	struct net *n = (struct net *)d;

	n->backend->close(n);
	free(n);
}

static const struct virtio_ops net_ops = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.kick = net_kick,
	.start = net_start,
	.reset = net_reset,
	.destroy = net_destroy,
};

/* The kernel's vhost hears the notifications in place of us. */
static const struct virtio_ops net_vhost_ops = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.start = net_start,
	.reset = net_reset,
	.destroy = net_destroy,
};

/* Ours alone behind user networking; on a tap it meets others. */
static void choose_mac(const struct net *n, uint8_t *mac)
{
	static const uint8_t ours[] = { 0x52, 0x54, 0x00 };

	if (n->cfg->has_mac) {
		memcpy(mac, n->cfg->mac, sizeof(n->cfg->mac));
		return;
	}
	memcpy(mac, ours, sizeof(ours));
	mac[3] = 0x50;
	mac[4] = 0x53;
	mac[5] = (uint8_t)n->index;
	if (n->cfg->tap && getrandom(mac + 3, 3, 0) != 3)
		die("--net: no random numbers for an address: give one by mac=");
}

struct virtio_device *net_create(const struct net_config *cfg,
				 unsigned int index,
				 const struct virtio_memory *mem)
{
	struct virtio_net_config c = { .status = VIRTIO_NET_S_LINK_UP };
	struct net *n = xcalloc(1, sizeof(*n));
	char name[16];

	n->cfg = cfg;
	n->index = index;
	n->tap_fd = n->vh.fd = -1;
	n->backend = cfg->tap ? &net_tap : &net_slirp;
	n->backend->open(n);
	snprintf(name, sizeof(name), "net%u", index);
	virtio_init(&n->d, n->vh.fd < 0 ? &net_ops : &net_vhost_ops, name, mem,
		    FEATURES | (cfg->tap ? TAP_FEATURES : USER_FEATURES),
		    NET_QUEUES);
	choose_mac(n, c.mac);
	memcpy(n->d.config, &c, sizeof(c));
	n->d.config_bytes = offsetof(struct virtio_net_config,
				     max_virtqueue_pairs);
	if (n->vh.fd >= 0)
		vhost_bind(&n->vh, &n->d);
	else
		n->backend->attach(n);
	return &n->d;
}
