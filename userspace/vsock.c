// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-vsock (virtio 1.2, 5.10): sockets between host and guest, served by
 * the host kernel's vhost-vsock. A third queue, for events, is ours; there is
 * no event as long as a machine does not move to another host.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/vhost.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>

#include "devices.h"
#include "machine.h"
#include "vhost.h"

#define QUEUES		3
#define PATH		"/dev/vhost-vsock"

struct vsock {
	struct virtio_device d;		/* first */
	struct vhost vh;
	bool running;
};

static void set_running(struct vsock *v, int running)
{
	v->running = !ioctl(v->vh.fd, VHOST_VSOCK_SET_RUNNING, &running) &&
		     running;
}

static const char *vsock_start(struct virtio_device *d)
{
	struct vsock *v = (struct vsock *)d;
	const char *why = vhost_start(&v->vh);

	if (why)
		return why;
	set_running(v, 1);
	return v->running ? NULL : "vhost-vsock does not start";
}

static void vsock_reset(struct virtio_device *d)
{
	struct vsock *v = (struct vsock *)d;

	if (v->running)
		set_running(v, 0);
	vhost_stop(&v->vh);
}

static void vsock_destroy(struct virtio_device *d)
{
	struct vsock *v = (struct vsock *)d;

	vhost_close(&v->vh);
	free(v);
}

static const struct virtio_ops vsock_ops = {
	.name = "vsock",
	.id = VIRTIO_ID_VSOCK,
	.start = vsock_start,
	.reset = vsock_reset,
	.destroy = vsock_destroy,
};

static void die_open(int error)
{
	if (error == -ENOENT || error == -ENODEV)
		die("--vsock: there is no %s: modprobe vhost_vsock", PATH);
	if (error == -EACCES || error == -EPERM)
		die("--vsock: no permission to open %s: be root, or in its group",
		    PATH);
	die("--vsock: %s: %s", PATH, strerror(-error));
}

struct virtio_device *vsock_create(uint32_t cid,
				   const struct virtio_memory *mem)
{
	struct virtio_vsock_config c = { .guest_cid = cid };
	struct vsock *v = xcalloc(1, sizeof(*v));
	uint64_t wide = cid;
	int ret = vhost_open(&v->vh, PATH);

	if (ret)
		die_open(ret);
	if (ioctl(v->vh.fd, VHOST_VSOCK_SET_GUEST_CID, &wide)) {
		if (errno == EADDRINUSE)
			die("--vsock %u: another machine has this CID", cid);
		die("--vsock %u: %s", cid, strerror(errno));
	}
	virtio_init(&v->d, &vsock_ops, "vsock", mem, 0, QUEUES);
	vhost_bind(&v->vh, &v->d);
	memcpy(v->d.config, &c, sizeof(c));
	v->d.config_bytes = sizeof(c);
	return &v->d;
}
