// SPDX-License-Identifier: GPL-2.0
/* Handing queues to the host kernel. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vhost.h>
#include <linux/virtio_config.h>

#include "loop.h"
#include "machine.h"
#include "vhost.h"

int vhost_open(struct vhost *vh, const char *path)
{
	int ret;

	vh->fd = open(path, O_RDWR | O_CLOEXEC);
	if (vh->fd < 0)
		return -errno;
	if (!ioctl(vh->fd, VHOST_SET_OWNER, NULL))
		return 0;
	ret = -errno;
	close(vh->fd);
	vh->fd = -1;
	return ret;
}

static void on_call(void *ctx, short revents)
{
	struct vhost_call *call = ctx;
	struct virtio_device *d = call->vh->d;
	eventfd_t ignored;

	(void)revents;
	eventfd_read(call->fd, &ignored);
	if (atomic_load(&d->live))
		d->interrupt(d->transport, (int)call->queue);
}

void vhost_bind(struct vhost *vh, struct virtio_device *d)
{
	uint64_t has = 0;
	unsigned int i;

	vh->d = d;
	d->vhost = true;
	virtio_no_packed(d);
	if (ioctl(vh->fd, VHOST_GET_FEATURES, &has))
		die("%s: vhost does not tell its features: %s", d->name,
		    strerror(errno));
	/* All that vhost could do and the device offers goes through it. */
	d->offered &= has | ~(FEATURE(VIRTIO_RING_F_INDIRECT_DESC) |
			      FEATURE(VIRTIO_RING_F_EVENT_IDX));
	for (i = 0; i < VHOST_QUEUES; i++) {
		struct vhost_call *call = &vh->call[i];

		call->vh = vh;
		call->queue = i;
		call->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (call->fd < 0)
			die("cannot create an eventfd: %s", strerror(errno));
		loop_add(d->loop, call->fd, POLLIN, on_call, call);
	}
}

static int set_memory(const struct vhost *vh)
{
	const struct virtio_memory *mem = vh->d->mem;
	struct {
		struct vhost_memory head;
		struct vhost_memory_region region[2];
	} t = { .head.nregions = mem->count };
	unsigned int i;

	for (i = 0; i < mem->count; i++)
		t.region[i] = (struct vhost_memory_region){
			.guest_phys_addr = mem->part[i].gpa,
			.memory_size = mem->part[i].bytes,
			.userspace_addr = (uintptr_t)mem->part[i].hva,
		};
	return ioctl(vh->fd, VHOST_SET_MEM_TABLE, &t);
}

static int set_queue(const struct vhost *vh, unsigned int i)
{
	const struct virtqueue *vq = &vh->d->vq[i];
	struct vhost_vring_state num = { .index = i, .num = vq->size };
	struct vhost_vring_state base = { .index = i };
	struct vhost_vring_addr addr = {
		.index = i,
		.desc_user_addr = (uintptr_t)vq->desc,
		.avail_user_addr = (uintptr_t)vq->driver,
		.used_user_addr = (uintptr_t)vq->device,
	};
	struct vhost_vring_file kick = { .index = i, .fd = vq->kick_fd };
	struct vhost_vring_file call = {
		.index = i, .fd = vh->d->call_fd(vh->d->transport, i),
	};

	if (call.fd < 0)
		call.fd = vh->call[i].fd;
	return ioctl(vh->fd, VHOST_SET_VRING_NUM, &num) ||
	       ioctl(vh->fd, VHOST_SET_VRING_BASE, &base) ||
	       ioctl(vh->fd, VHOST_SET_VRING_ADDR, &addr) ||
	       ioctl(vh->fd, VHOST_SET_VRING_KICK, &kick) ||
	       ioctl(vh->fd, VHOST_SET_VRING_CALL, &call);
}

const char *vhost_start(struct vhost *vh)
{
	uint64_t features, has;
	unsigned int i;

	if (ioctl(vh->fd, VHOST_GET_FEATURES, &has))
		return "vhost does not tell its features";
	features = vh->d->accepted & has;
	if (ioctl(vh->fd, VHOST_SET_FEATURES, &features))
		return "vhost refuses the features that the driver chose";
	if (set_memory(vh))
		return "vhost refuses the guest's memory";
	for (i = 0; i < VHOST_QUEUES; i++) {
		if (!virtio_queue_enabled(&vh->d->vq[i]))
			return "its driver started it without its queues";
		if (set_queue(vh, i))
			return "vhost refuses a queue";
	}
	return NULL;
}

void vhost_stop(struct vhost *vh)
{
	unsigned int i;

	for (i = 0; i < VHOST_QUEUES; i++) {
		struct vhost_vring_file none = { .index = i, .fd = -1 };

		/* Nothing is lost where they had not been set. */
		ioctl(vh->fd, VHOST_SET_VRING_KICK, &none);
		ioctl(vh->fd, VHOST_SET_VRING_CALL, &none);
	}
}

void vhost_close(struct vhost *vh)
{
	unsigned int i;

	close(vh->fd);
	vh->fd = -1;
	for (i = 0; i < VHOST_QUEUES; i++)
		close(vh->call[i].fd);
}
