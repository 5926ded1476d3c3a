/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost: the host kernel serves a device's queues. The guest's notifications
 * reach it by the doorbells, its interrupts the guest by irqfds; nothing of it
 * passes through this process. Split rings only.
 */
#ifndef VHOST_H
#define VHOST_H

#include "virtio.h"

#define VHOST_QUEUES	2	/* of a device: those that move data */

struct vhost {
	struct virtio_device *d;
	int fd;				/* -1: not in use */
	struct vhost_call {		/* where the transport has none */
		struct vhost *vh;
		unsigned int queue;
		int fd;
	} call[VHOST_QUEUES];
};

/* Open @path and own it. -> 0, or a negative errno. */
int vhost_open(struct vhost *vh, const char *path);
/* Bind to @d, whose ring features become those that vhost has, too. */
void vhost_bind(struct vhost *vh, struct virtio_device *d);
/* Hand the first VHOST_QUEUES queues over; NULL, or what is wrong. */
const char *vhost_start(struct vhost *vh);
/* The queues are ours again. @fd is not closed. */
void vhost_stop(struct vhost *vh);
void vhost_close(struct vhost *vh);

#endif /* VHOST_H */
