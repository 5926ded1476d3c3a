// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-balloon (virtio 1.2, 5.5): pages that the guest gives back (inflate),
 * takes again (deflate), or reports as free. The host's pages behind them are
 * dropped; the guest's next access finds zeroes, in a new page.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>

#include "devices.h"
#include "machine.h"
#include "virtio.h"

/* The driver numbers those that it has, without gaps. */
enum { INFLATE, DEFLATE, REPORT, QUEUES };

#define PAGE_SHIFT	VIRTIO_BALLOON_PFN_SHIFT
#define PAGE_BYTES	(1ULL << PAGE_SHIFT)
#define PFNS_AT_ONCE	256

_Static_assert(PAGE_BYTES == POSADA_PAGE_SIZE, "a balloon's page");

/* Whole pages only: what lies around them is in use. */
static void drop(uint8_t *hva, uint64_t bytes)
{
	uintptr_t from = ((uintptr_t)hva + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	uintptr_t to = ((uintptr_t)hva + bytes) & ~(PAGE_BYTES - 1);

	/* Should the host refuse, the pages stay: a waste, nothing worse. */
	if (to > from)
		madvise((void *)from, to - from, MADV_DONTNEED);
}

static void inflate(struct vq_chain *c, void *ctx)
{
	const struct virtio_device *d = ctx;
	uint32_t pfn[PFNS_AT_ONCE];
	uint8_t *run = NULL, *hva;
	uint64_t run_bytes = 0;
	size_t at = 0, i, n;

	do {
		n = chain_read(c, at, pfn, sizeof(pfn)) / sizeof(pfn[0]);
		at += n * sizeof(pfn[0]);
		for (i = 0; i < n; i++) {
			hva = virtio_hva(d->mem, (uint64_t)pfn[i] << PAGE_SHIFT,
					 PAGE_BYTES);
			if (hva && run && hva == run + run_bytes) {
				run_bytes += PAGE_BYTES;
				continue;
			}
			if (run)
				drop(run, run_bytes);
			run = hva;
			run_bytes = PAGE_BYTES;
		}
	} while (n == PFNS_AT_ONCE);
	if (run)
		drop(run, run_bytes);
	vq_push(c, 0);
}

static void report(struct vq_chain *c, void *ctx)
{
	unsigned int i;

	(void)ctx;
	for (i = 0; i < c->nr_in; i++)
		drop(c->iov[c->nr_out + i].iov_base,
		     c->iov[c->nr_out + i].iov_len);
	vq_push(c, 0);
}

/* Pages come back by themselves, when they are touched. */
static void deflate(struct vq_chain *c, void *ctx)
{
	(void)ctx;
	vq_push(c, 0);
}

static void balloon_kick(struct virtio_device *d, struct virtqueue *vq)
{
	static void (*const serve[QUEUES])(struct vq_chain *c, void *ctx) = {
		[INFLATE] = inflate, [DEFLATE] = deflate, [REPORT] = report,
	};

	vq_drain(vq, serve[vq->index], d);
}

static void balloon_destroy(struct virtio_device *d)
{
	free(d);
}

static const struct virtio_ops balloon_ops = {
	.name = "balloon",
	.id = VIRTIO_ID_BALLOON,
	.kick = balloon_kick,
	.destroy = balloon_destroy,
};

struct virtio_device *balloon_create(uint64_t pages,
				     const struct virtio_memory *mem)
{
	struct virtio_balloon_config c = { .num_pages = (uint32_t)pages };
	struct virtio_device *d = xcalloc(1, sizeof(*d));

	virtio_init(d, &balloon_ops, "balloon", mem,
		    FEATURE(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) |
		    FEATURE(VIRTIO_BALLOON_F_REPORTING), QUEUES);
	memcpy(d->config, &c, sizeof(c));
	d->config_bytes = offsetof(struct virtio_balloon_config,
				   free_page_hint_cmd_id);
	/* How many it has given is the driver's to write. */
	d->config_from = offsetof(struct virtio_balloon_config, actual);
	d->config_writable = sizeof(c.actual);
	return d;
}
