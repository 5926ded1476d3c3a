// SPDX-License-Identifier: GPL-2.0
/*
 * A tap interface of the host. Its frames carry virtio's own header, so that
 * checksums and segmentation are left to whoever does them best.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>

#include "loop.h"
#include "machine.h"
#include "net.h"

#define TUN		"/dev/net/tun"
#define VHOST_NET	"/dev/vhost-net"
#define FRAMES_AT_ONCE	64
#define FRAME_BYTES	(NET_HEADER + NET_MAX_FRAME)

static void die_tap(const char *name, int error)
{
	if (error == EPERM || error == EACCES)
		die("--net tap=%s: no permission; make it yours: ip tuntap add %s mode tap user $USER",
		    name, name);
	if (error == EBUSY)
		die("--net tap=%s: in use by another program", name);
	die("--net tap=%s: %s", name, strerror(error));
}

static void open_tap(struct net *n)
{
	struct ifreq request = {
		.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
	};
	int header = NET_HEADER;

	strncpy(request.ifr_name, n->cfg->tap, IFNAMSIZ - 1);
	n->tap_fd = open(TUN, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (n->tap_fd < 0 && (errno == ENOENT || errno == ENODEV ||
			      errno == ENXIO))
		die("--net tap=%s: there is no %s: modprobe tun", n->cfg->tap,
		    TUN);
	if (n->tap_fd < 0 || ioctl(n->tap_fd, TUNSETIFF, &request) ||
	    ioctl(n->tap_fd, TUNSETVNETHDRSZ, &header))
		die_tap(n->cfg->tap, errno);
}

static void open_vhost(struct net *n)
{
	int ret;

	if (n->cfg->vhost == VHOST_OFF)
		return;
	ret = vhost_open(&n->vh, VHOST_NET);
	if (ret && n->cfg->vhost == VHOST_ON)
		die("--net vhost=on: %s: %s (modprobe vhost_net)", VHOST_NET,
		    strerror(-ret));
}

static void tap_open(struct net *n)
{
	n->priv = xcalloc(1, FRAME_BYTES);
	open_tap(n);
	open_vhost(n);
}

/* The header is as the guest wrote it: the tap checks it. A frame that it
 * does not take is lost, as on a wire.
 */
static void tap_send(struct net *n, const struct vq_chain *c)
{
	if (writev(n->tap_fd, c->iov, c->nr_out) < 0)
		return;
}

static void on_tap(void *ctx, short revents)
{
	struct virtio_net_hdr_v1 h;
	struct net *n = ctx;
	uint8_t *data = n->priv;
	ssize_t bytes;
	int i;

	(void)revents;
	for (i = 0; i < FRAMES_AT_ONCE; i++) {
		bytes = read(n->tap_fd, data, FRAME_BYTES);
		if (bytes <= (ssize_t)NET_HEADER)
			return;
		memcpy(&h, data, sizeof(h));
		if (!net_receive(n, &h, data + NET_HEADER,
				 (size_t)bytes - NET_HEADER)) {
			/* Lost; the rest waits in the tap. */
			loop_want(n->d.loop, n->tap_fd, 0);
			return;
		}
	}
}

static void tap_ready(struct net *n)
{
	loop_want(n->d.loop, n->tap_fd, POLLIN);
}

static void set_offload(struct net *n)
{
	unsigned int flags = 0;

	if (virtio_has(&n->d, VIRTIO_NET_F_GUEST_CSUM))
		flags |= TUN_F_CSUM;
	if (flags && virtio_has(&n->d, VIRTIO_NET_F_GUEST_TSO4))
		flags |= TUN_F_TSO4;
	if (flags && virtio_has(&n->d, VIRTIO_NET_F_GUEST_TSO6))
		flags |= TUN_F_TSO6;
	/* Without it the host's kernel does that work itself. */
	if (ioctl(n->tap_fd, TUNSETOFFLOAD, flags))
		warn_line("%s: the tap does no offloading: %s", n->d.name,
			  strerror(errno));
}

static int set_backend(struct net *n, int fd)
{
	struct vhost_vring_file file = { .fd = fd };
	int ret = 0;

	for (file.index = 0; file.index < NET_QUEUES; file.index++)
		ret |= ioctl(n->vh.fd, VHOST_NET_SET_BACKEND, &file);
	return ret;
}

static const char *tap_start(struct net *n)
{
	const char *why;

	set_offload(n);
	if (n->vh.fd < 0)
		return NULL;
	why = vhost_start(&n->vh);
	if (!why && set_backend(n, n->tap_fd))
		why = "vhost-net refuses the tap";
	return why;
}

static void tap_reset(struct net *n)
{
	if (n->vh.fd < 0)
		return;
	set_backend(n, -1);
	vhost_stop(&n->vh);
}

static void tap_close(struct net *n)
{
	if (n->vh.fd >= 0)
		vhost_close(&n->vh);
	close(n->tap_fd);
	free(n->priv);
}

/* Nobody reads the tap before the driver has given buffers. */
static void tap_attach(struct net *n)
{
	loop_add(n->d.loop, n->tap_fd, POLLIN, on_tap, n);
	loop_want(n->d.loop, n->tap_fd, 0);
}

const struct net_backend net_tap = {
	.open = tap_open,
	.attach = tap_attach,
	.send = tap_send,
	.ready = tap_ready,
	.start = tap_start,
	.reset = tap_reset,
	.close = tap_close,
};
