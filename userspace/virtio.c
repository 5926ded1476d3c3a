// SPDX-License-Identifier: GPL-2.0
/*
 * The device's side of virtio's registers: features, status, configuration,
 * the set-up of queues (virtio 1.2, 2.1 to 2.6 and 3.1).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "loop.h"
#include "machine.h"
#include "virtio.h"

#define RING_FEATURES	(FEATURE(VIRTIO_F_VERSION_1) | \
			 FEATURE(VIRTIO_F_RING_PACKED) | \
			 FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | \
			 FEATURE(VIRTIO_RING_F_EVENT_IDX))
#define STATUS_KNOWN	(VIRTIO_CONFIG_S_ACKNOWLEDGE | \
			 VIRTIO_CONFIG_S_DRIVER | \
			 VIRTIO_CONFIG_S_DRIVER_OK | \
			 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED)
/* A hostile driver can reset and break again for ever: say so a few times. */
#define MAX_COMPLAINTS	8

static void on_kick(void *ctx, short revents)
{
	struct virtqueue *vq = ctx;
	eventfd_t ignored;

	(void)revents;
	eventfd_read(vq->kick_fd, &ignored);
	if (atomic_load_explicit(&vq->dev->live, memory_order_acquire))
		vq->dev->ops->kick(vq->dev, vq);
}

static void queue_defaults(struct virtqueue *vq)
{
	vq->size = VQ_MAX_SIZE;
	vq->desc_gpa = vq->driver_gpa = vq->device_gpa = 0;
	atomic_store(&vq->vector, NO_VECTOR);
}

static void queue_init(struct virtio_device *d, unsigned int index)
{
	struct virtqueue *vq = &d->vq[index];

	vq->dev = d;
	vq->index = index;
	vq->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vq->kick_fd < 0)
		die("cannot create an eventfd: %s", strerror(errno));
	pthread_mutex_init(&vq->lock, NULL);
	pthread_cond_init(&vq->idle, NULL);
	queue_defaults(vq);
}

void virtio_init(struct virtio_device *d, const struct virtio_ops *ops,
		 const char *name, const struct virtio_memory *mem,
		 uint64_t features, unsigned int queues)
{
	unsigned int i;

	d->ops = ops;
	d->mem = mem;
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->offered = features | RING_FEATURES;
	d->nr_queues = queues;
	pthread_mutex_init(&d->lock, NULL);
	d->loop = loop_create(d->name);
	for (i = 0; i < queues; i++)
		queue_init(d, i);
	/* The kernel's queues are notified there. */
	for (i = 0; i < queues && ops->kick; i++)
		loop_add(d->loop, d->vq[i].kick_fd, POLLIN, on_kick, &d->vq[i]);
}

void virtio_no_packed(struct virtio_device *d)
{
	d->offered &= ~FEATURE(VIRTIO_F_RING_PACKED);
}

/* ---- reset ---- */

static void queue_stop(struct virtqueue *vq)
{
	pthread_mutex_lock(&vq->lock);
	vq->enabled = false;
	while (vq->inflight)
		pthread_cond_wait(&vq->idle, &vq->lock);
	pthread_mutex_unlock(&vq->lock);
}

static void stop_queues(struct virtio_device *d)
{
	unsigned int i;

	atomic_store(&d->live, false);
	if (d->ops->quiesce)
		d->ops->quiesce(d);
	for (i = 0; i < d->nr_queues; i++)
		queue_stop(&d->vq[i]);
}

static void reset(struct virtio_device *d)
{
	unsigned int i;

	stop_queues(d);
	if (d->ops->reset)
		d->ops->reset(d);
	for (i = 0; i < d->nr_queues; i++)
		queue_defaults(&d->vq[i]);
	d->accepted = 0;
	atomic_store(&d->status, 0);
}

void virtio_destroy(struct virtio_device *d)
{
	unsigned int i;

	loop_stop(d->loop);
	stop_queues(d);
	if (d->ops->reset)
		d->ops->reset(d);
	loop_free(d->loop);
	for (i = 0; i < d->nr_queues; i++) {
		close(d->vq[i].kick_fd);
		pthread_mutex_destroy(&d->vq[i].lock);
		pthread_cond_destroy(&d->vq[i].idle);
	}
	pthread_mutex_destroy(&d->lock);
	d->ops->destroy(d);
}

/* ---- status ---- */

static void needs_reset(struct virtio_device *d, const char *blame,
			const char *why)
{
	bool was_live = atomic_exchange(&d->live, false);

	atomic_fetch_or(&d->status, VIRTIO_CONFIG_S_NEEDS_RESET);
	if (atomic_fetch_add(&d->complaints, 1) < MAX_COMPLAINTS)
		warn_line("%s stops until the guest resets it: %s%s", d->name,
			  blame, why);
	if (was_live)
		d->interrupt(d->transport, VQ_CONFIG);
}

void virtio_broken(struct virtio_device *d, const char *why)
{
	needs_reset(d, "its driver made ", why);
}

void virtio_config_changed(struct virtio_device *d)
{
	atomic_fetch_add(&d->generation, 1);
	if (atomic_load(&d->live))
		d->interrupt(d->transport, VQ_CONFIG);
}

static bool features_fit(const struct virtio_device *d)
{
	return !(d->accepted & ~d->offered) &&
	       d->accepted & FEATURE(VIRTIO_F_VERSION_1);
}

/* Requests may have been queued before the device went live. */
static void go_live(struct virtio_device *d)
{
	const char *why = NULL;
	unsigned int i;

	atomic_store(&d->live, true);
	if (d->ops->start)
		why = d->ops->start(d);
	if (why) {
		needs_reset(d, "", why);
		return;
	}
	for (i = 0; i < d->nr_queues; i++)
		if (virtio_queue_enabled(&d->vq[i]))
			eventfd_write(d->vq[i].kick_fd, 1);
}

void virtio_set_status(struct virtio_device *d, uint8_t status)
{
	uint8_t old, new;

	pthread_mutex_lock(&d->lock);
	if (!status) {
		reset(d);
		goto out;
	}
	/* Bits are only ever added, but by a reset. */
	old = (uint8_t)atomic_load(&d->status);
	new = status & STATUS_KNOWN & ~old;
	if (new & VIRTIO_CONFIG_S_FEATURES_OK && !features_fit(d))
		new &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (new & VIRTIO_CONFIG_S_DRIVER_OK &&
	    !((old | new) & VIRTIO_CONFIG_S_FEATURES_OK))
		new &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	atomic_fetch_or(&d->status, new);
	if (new & VIRTIO_CONFIG_S_DRIVER_OK &&
	    !(old & VIRTIO_CONFIG_S_NEEDS_RESET))
		go_live(d);
out:
	pthread_mutex_unlock(&d->lock);
}

/* ---- features ---- */

uint32_t virtio_features(struct virtio_device *d, uint32_t word)
{
	return word < 2 ? (uint32_t)(d->offered >> 32 * word) : 0;
}

uint32_t virtio_accepted(struct virtio_device *d, uint32_t word)
{
	return word < 2 ? (uint32_t)(d->accepted >> 32 * word) : 0;
}

void virtio_accept(struct virtio_device *d, uint32_t word, uint32_t value)
{
	pthread_mutex_lock(&d->lock);
	if (word < 2 &&
	    !(atomic_load(&d->status) & VIRTIO_CONFIG_S_FEATURES_OK)) {
		d->accepted &= ~(0xffffffffULL << 32 * word);
		d->accepted |= (uint64_t)value << 32 * word;
	}
	pthread_mutex_unlock(&d->lock);
}

/* ---- configuration ---- */

void virtio_config_read(struct virtio_device *d, uint32_t offset, void *data,
			uint32_t bytes)
{
	memset(data, 0, bytes);
	pthread_mutex_lock(&d->lock);
	if (offset < d->config_bytes) {
		if (bytes > d->config_bytes - offset)
			bytes = d->config_bytes - offset;
		memcpy(data, d->config + offset, bytes);
	}
	pthread_mutex_unlock(&d->lock);
}

void virtio_config_write(struct virtio_device *d, uint32_t offset,
			 const void *data, uint32_t bytes)
{
	pthread_mutex_lock(&d->lock);
	if (offset >= d->config_from &&
	    offset - d->config_from < d->config_writable &&
	    bytes <= d->config_writable - (offset - d->config_from)) {
		memcpy(d->config + offset, data, bytes);
		if (d->ops->config_written)
			d->ops->config_written(d, offset, bytes);
	}
	pthread_mutex_unlock(&d->lock);
}

/* ---- queues ---- */

struct virtqueue *virtio_queue(struct virtio_device *d, unsigned int index)
{
	return index < d->nr_queues ? &d->vq[index] : NULL;
}

bool virtio_queue_enabled(struct virtqueue *vq)
{
	bool enabled;

	pthread_mutex_lock(&vq->lock);
	enabled = vq->enabled;
	pthread_mutex_unlock(&vq->lock);
	return enabled;
}

void virtio_queue_size(struct virtqueue *vq, uint32_t size)
{
	struct virtio_device *d = vq->dev;
	bool fits = size && size <= VQ_MAX_SIZE;

	/* A split ring's indices run modulo its size. */
	if (fits && !virtio_has(d, VIRTIO_F_RING_PACKED))
		fits = !(size & (size - 1));
	pthread_mutex_lock(&d->lock);
	if (!virtio_queue_enabled(vq) && fits)
		vq->size = (uint16_t)size;
	pthread_mutex_unlock(&d->lock);
	if (!fits)
		virtio_broken(d, "a queue of a size that cannot be");
}

static uint64_t *part_gpa(struct virtqueue *vq, enum vq_part part)
{
	return part == VQ_DESC ? &vq->desc_gpa :
	       part == VQ_DRIVER ? &vq->driver_gpa : &vq->device_gpa;
}

void virtio_queue_address(struct virtqueue *vq, enum vq_part part, bool high,
			  uint32_t value)
{
	uint64_t *gpa = part_gpa(vq, part);

	pthread_mutex_lock(&vq->dev->lock);
	if (!virtio_queue_enabled(vq)) {
		*gpa &= high ? 0xffffffffULL : ~0xffffffffULL;
		*gpa |= (uint64_t)value << (high ? 32 : 0);
	}
	pthread_mutex_unlock(&vq->dev->lock);
}

uint32_t virtio_queue_address_read(struct virtqueue *vq, enum vq_part part,
				   bool high)
{
	return (uint32_t)(*part_gpa(vq, part) >> (high ? 32 : 0));
}

static void *map_part(struct virtqueue *vq, const struct vring_ops *ring,
		      enum vq_part part)
{
	uint64_t gpa = *part_gpa(vq, part);

	if (gpa % ring->align[part])
		return NULL;
	return virtio_hva(vq->dev->mem, gpa, ring->bytes(part, vq->size));
}

/* Called with both locks held. */
static bool map_rings(struct virtqueue *vq)
{
	const struct vring_ops *ring = vq->packed ? &vring_packed : &vring_split;

	vq->desc = map_part(vq, ring, VQ_DESC);
	vq->driver = map_part(vq, ring, VQ_DRIVER);
	vq->device = map_part(vq, ring, VQ_DEVICE);
	return vq->desc && vq->driver && vq->device;
}

static bool enable(struct virtqueue *vq)
{
	struct virtio_device *d = vq->dev;

	vq->packed = virtio_has(d, VIRTIO_F_RING_PACKED);
	vq->event_idx = virtio_has(d, VIRTIO_RING_F_EVENT_IDX);
	vq->indirect = virtio_has(d, VIRTIO_RING_F_INDIRECT_DESC);
	vq->avail_wrap = vq->used_wrap = true;
	vq->next_avail = vq->next_used = vq->unsignalled = 0;
	vq->signalled = false;
	/* The size was checked by what the features were then. */
	if (!vq->packed && vq->size & (vq->size - 1))
		return false;
	vq->enabled = map_rings(vq);
	return vq->enabled;
}

void virtio_queue_enable(struct virtqueue *vq)
{
	struct virtio_device *d = vq->dev;
	bool ok = true;

	pthread_mutex_lock(&d->lock);
	pthread_mutex_lock(&vq->lock);
	if (!vq->enabled)
		ok = atomic_load(&d->status) & VIRTIO_CONFIG_S_FEATURES_OK &&
		     enable(vq);
	pthread_mutex_unlock(&vq->lock);
	/* The kernel's queues are handed over when the driver is ready. */
	if (ok && !d->vhost && atomic_load(&d->live))
		eventfd_write(vq->kick_fd, 1);
	pthread_mutex_unlock(&d->lock);
	if (!ok)
		virtio_broken(d, "a queue whose rings are not in memory");
}
