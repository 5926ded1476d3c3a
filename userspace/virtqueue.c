// SPDX-License-Identifier: GPL-2.0
/*
 * Queues: taking and finishing requests, whatever the ring's format, and
 * copying to and from their buffers.
 */
#include <errno.h>
#include <string.h>

#include "virtio.h"

void *virtio_hva(const struct virtio_memory *mem, uint64_t gpa, uint64_t bytes)
{
	unsigned int i;

	for (i = 0; i < mem->count; i++) {
		uint64_t offset = gpa - mem->part[i].gpa;

		if (gpa >= mem->part[i].gpa && offset < mem->part[i].bytes &&
		    bytes <= mem->part[i].bytes - offset)
			return mem->part[i].hva + offset;
	}
	return NULL;
}

const char *chain_add(struct vq_chain *c, const struct virtio_memory *mem,
		      uint64_t gpa, uint32_t bytes, bool write)
{
	unsigned int nr = c->nr_out + c->nr_in;
	void *hva;

	if (!write && c->nr_in)
		return "a buffer to read behind one to write";
	/* The spec allows a buffer of no bytes; there is nothing to add. */
	if (!bytes)
		return NULL;
	if (nr == CHAIN_MAX)
		return "a chain of too many buffers";
	hva = virtio_hva(mem, gpa, bytes);
	if (!hva)
		return "a buffer that is not in memory";
	c->iov[nr] = (struct iovec){ .iov_base = hva, .iov_len = bytes };
	if (write) {
		c->nr_in++;
		c->in_bytes += bytes;
	} else {
		c->nr_out++;
		c->out_bytes += bytes;
	}
	if (c->out_bytes + c->in_bytes > UINT32_MAX)
		return "a chain of 4 GiB or more";
	return NULL;
}

static const struct vring_ops *ring_of(const struct virtqueue *vq)
{
	return vq->packed ? &vring_packed : &vring_split;
}

static bool usable(const struct virtqueue *vq)
{
	return vq->enabled &&
	       atomic_load_explicit(&vq->dev->live, memory_order_acquire);
}

bool vq_pop(struct virtqueue *vq, struct vq_chain *c)
{
	const char *why = NULL;
	int ret = 0;

	c->vq = vq;
	c->nr_out = c->nr_in = 0;
	c->out_bytes = c->in_bytes = 0;
	pthread_mutex_lock(&vq->lock);
	if (usable(vq))
		ret = ring_of(vq)->pop(vq, c, &why);
	/* More than a ring of them cannot be with the device at a time. */
	if (ret > 0 && vq->inflight >= vq->size) {
		why = "more requests than the ring holds";
		ret = -1;
	}
	if (ret > 0)
		vq->inflight++;
	pthread_mutex_unlock(&vq->lock);
	if (ret < 0)
		virtio_broken(vq->dev, why);
	return ret > 0;
}

static void finished(struct virtqueue *vq, unsigned int n)
{
	vq->inflight -= n;
	if (!vq->inflight)
		pthread_cond_broadcast(&vq->idle);
}

/* Whether to interrupt; decided with the lock held, done without. */
static bool decide(struct virtqueue *vq)
{
	bool wants;

	if (!vq->unsignalled)
		return false;
	/* The used entry must be seen before the driver's wish is read. */
	atomic_thread_fence(memory_order_seq_cst);
	wants = ring_of(vq)->wants(vq);
	vq->signalled = true;
	vq->unsignalled = 0;
	return wants;
}

static void push(struct vq_chain *c, const uint32_t *written, unsigned int n,
		 bool signal)
{
	struct virtqueue *vq = c->vq;
	bool wants = false;

	pthread_mutex_lock(&vq->lock);
	if (usable(vq)) {
		ring_of(vq)->push(vq, c, written, n);
		wants = signal && decide(vq);
	}
	if (wants)
		vq->dev->interrupt(vq->dev->transport, (int)vq->index);
	finished(vq, n);
	pthread_mutex_unlock(&vq->lock);
}

void vq_push(struct vq_chain *c, uint32_t written)
{
	push(c, &written, 1, true);
}

void vq_push_quiet(struct vq_chain *c, uint32_t written)
{
	push(c, &written, 1, false);
}

void vq_push_all(struct vq_chain *c, const uint32_t *written, unsigned int n)
{
	if (n)
		push(c, written, n, true);
}

void vq_signal(struct virtqueue *vq)
{
	pthread_mutex_lock(&vq->lock);
	if (usable(vq) && decide(vq))
		vq->dev->interrupt(vq->dev->transport, (int)vq->index);
	pthread_mutex_unlock(&vq->lock);
}

void vq_unpop(struct vq_chain *c)
{
	struct virtqueue *vq = c->vq;

	pthread_mutex_lock(&vq->lock);
	if (usable(vq))
		ring_of(vq)->unpop(vq, c);
	finished(vq, 1);
	pthread_mutex_unlock(&vq->lock);
}

void vq_ignore(struct virtqueue *vq)
{
	pthread_mutex_lock(&vq->lock);
	if (usable(vq))
		ring_of(vq)->ignore(vq);
	pthread_mutex_unlock(&vq->lock);
}

bool vq_listen(struct virtqueue *vq)
{
	bool more = false;

	pthread_mutex_lock(&vq->lock);
	if (usable(vq)) {
		ring_of(vq)->listen(vq);
		/* Said before looking again, or a request is missed. */
		atomic_thread_fence(memory_order_seq_cst);
		more = ring_of(vq)->more(vq);
	}
	pthread_mutex_unlock(&vq->lock);
	return more;
}

void vq_drain(struct virtqueue *vq, void (*fn)(struct vq_chain *c, void *ctx),
	      void *ctx)
{
	struct vq_chain c;

	do {
		vq_ignore(vq);
		while (vq_pop(vq, &c))
			fn(&c, ctx);
	} while (vq_listen(vq));
}

/* ---- buffers ---- */

static size_t copy(const struct iovec *iov, unsigned int nr, size_t skip,
		   uint8_t *data, size_t bytes, bool write)
{
	size_t done = 0, n;
	unsigned int i;

	for (i = 0; i < nr && done < bytes; i++) {
		uint8_t *at = iov[i].iov_base;

		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		n = iov[i].iov_len - skip;
		if (n > bytes - done)
			n = bytes - done;
		if (write)
			memcpy(at + skip, data + done, n);
		else
			memcpy(data + done, at + skip, n);
		done += n;
		skip = 0;
	}
	/* What was read is looked at now, not again in the guest's memory. */
	__asm__ volatile("" ::: "memory");
	return done;
}

size_t chain_read(const struct vq_chain *c, size_t skip, void *data,
		  size_t bytes)
{
	return copy(c->iov, c->nr_out, skip, data, bytes, false);
}

size_t chain_write(const struct vq_chain *c, size_t skip, const void *data,
		   size_t bytes)
{
	return copy(c->iov + c->nr_out, c->nr_in, skip, (void *)data, bytes,
		    true);
}

unsigned int iov_slice(const struct iovec *from, unsigned int nr, size_t skip,
		       size_t bytes, struct iovec *to)
{
	unsigned int i, count = 0;

	for (i = 0; i < nr && bytes; i++) {
		size_t n = from[i].iov_len;

		if (skip >= n) {
			skip -= n;
			continue;
		}
		n -= skip;
		if (n > bytes)
			n = bytes;
		to[count].iov_base = (uint8_t *)from[i].iov_base + skip;
		to[count++].iov_len = n;
		bytes -= n;
		skip = 0;
	}
	return count;
}
