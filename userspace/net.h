/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A network device and what it is connected to. Not for users of devices.h.
 *
 *	net.c		the device: frames in and out of its queues
 *	net_slirp.c	user networking: TCP/IP in this process (libslirp)
 *	net_tap.c	a tap interface of the host, through vhost-net if there
 */
#ifndef NET_H
#define NET_H

#include "devices.h"
#include "vhost.h"
#include "virtio.h"

#include <linux/virtio_net.h>

#define NET_RX		0
#define NET_TX		1
#define NET_QUEUES	2
#define NET_HEADER	sizeof(struct virtio_net_hdr_v1)
#define NET_MAX_FRAME	65550U		/* a segment to be cut, and its header */
#define NET_RX_CHAINS	64		/* buffers that one frame may take */

struct net;

/* What is on the other side. All in the loop's thread, but for the first. */
struct net_backend {
	/* Ends the program with a line on failure. */
	void (*open)(struct net *n);
	/* Join the loop, which does not run yet. Not with vhost. */
	void (*attach)(struct net *n);
	/* A frame of the guest's: the device's header is in front of it. */
	void (*send)(struct net *n, const struct vq_chain *c);
	/* The guest has given buffers, after net_receive() found too few. */
	void (*ready)(struct net *n);
	/* Optional: features have been agreed on; the device's lock is held. */
	const char *(*start)(struct net *n);
	void (*reset)(struct net *n);
	void (*close)(struct net *n);
};

struct net {
	struct virtio_device d;		/* first */
	const struct net_config *cfg;
	const struct net_backend *backend;
	unsigned int index;
	void *priv;			/* the backend's */
	int tap_fd;
	struct vhost vh;		/* vh.fd -1: not in use */
	struct vq_chain rx[NET_RX_CHAINS];
};

extern const struct net_backend net_slirp;
extern const struct net_backend net_tap;

/* Give the guest a frame with the header in front; -> false: not now, there
 * are too few buffers, ready() will be called when there are more. A frame
 * that no buffer can take is dropped.
 */
bool net_receive(struct net *n, struct virtio_net_hdr_v1 *h, const void *frame,
		 size_t bytes);

#endif /* NET_H */
