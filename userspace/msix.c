// SPDX-License-Identifier: GPL-2.0
/* MSI-X: the table, masks and pending bits; messages go out by an ioctl. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "machine.h"
#include "msix.h"

#define ENTRY_ADDR	0	/* offsets in an entry */
#define ENTRY_DATA	8
#define ENTRY_CONTROL	12
#define ENTRY_MASKED	1U

struct vector {
	uint32_t word[4];	/* address, its high half, data, control */
	bool pending;
	bool wired;		/* fd is an irqfd at the kernel */
	int fd;			/* eventfd, or -1 */
};

struct msix {
	struct posada_vm *vm;
	pthread_mutex_t lock;	/* guards all below */
	uint16_t control;
	unsigned int count;
	struct vector v[MSIX_MAX];
};

static bool open_to(const struct msix *x, const struct vector *v)
{
	return x->control & MSIX_ENABLE && !(x->control & MSIX_MASK_ALL) &&
	       !(v->word[ENTRY_CONTROL / 4] & ENTRY_MASKED);
}

static uint64_t address(const struct vector *v)
{
	return (uint64_t)v->word[1] << 32 | v->word[0];
}

/* A message to nowhere, or that no MSI can be, is lost, as on a bus. */
static void deliver(struct msix *x, struct vector *v)
{
	posada_msi(x->vm, address(v), v->word[ENTRY_DATA / 4]);
}

/* While masked the eventfd counts what is pending. */
static void rewire(struct msix *x, struct vector *v)
{
	eventfd_t count;

	if (v->fd < 0)
		return;
	if (v->wired)
		posada_irqfd_remove(x->vm, v->fd);
	v->wired = open_to(x, v) &&
		   !posada_irqfd(x->vm, v->fd, address(v),
				 v->word[ENTRY_DATA / 4]);
	if (v->wired && !eventfd_read(v->fd, &count))
		deliver(x, v);
}

/* Masks, address or data have changed. */
static void update(struct msix *x, struct vector *v)
{
	if (v->pending && open_to(x, v)) {
		v->pending = false;
		deliver(x, v);
	}
	rewire(x, v);
}

static void write_table(struct msix *x, uint64_t offset, const void *data,
			unsigned int len)
{
	struct vector *v = &x->v[offset / MSIX_ENTRY_BYTES];
	uint32_t word[4];

	memcpy(word, v->word, sizeof(word));
	memcpy((uint8_t *)v->word + offset % MSIX_ENTRY_BYTES, data, len);
	if (memcmp(word, v->word, sizeof(word)))
		update(x, v);
}

static uint64_t pending_bits(const struct msix *x)
{
	uint64_t bits = 0;
	unsigned int i;

	for (i = 0; i < x->count; i++)
		bits |= (uint64_t)x->v[i].pending << i;
	return bits;
}

void msix_access(void *msix, uint64_t offset, void *data, unsigned int len,
		 bool write)
{
	struct msix *x = msix;
	uint64_t bits;

	/* Aligned dwords and qwords are all that software may use. */
	if ((len != 4 && len != 8) || offset % len)
		return;
	pthread_mutex_lock(&x->lock);
	if (offset < x->count * MSIX_ENTRY_BYTES) {
		struct vector *v = &x->v[offset / MSIX_ENTRY_BYTES];

		if (write)
			write_table(x, offset, data, len);
		else
			memcpy(data, (uint8_t *)v->word +
			       offset % MSIX_ENTRY_BYTES, len);
	} else if (!write) {
		bits = pending_bits(x) >> (offset == MSIX_PBA_OFFSET + 4 ? 32 : 0);
		if (offset & ~7ULL & ~(uint64_t)MSIX_PBA_OFFSET)
			bits = 0;
		memcpy(data, &bits, len);
	}
	pthread_mutex_unlock(&x->lock);
}

void msix_control(struct msix *x, uint16_t control)
{
	unsigned int i;
	uint16_t old;

	pthread_mutex_lock(&x->lock);
	old = x->control;
	x->control = control & (MSIX_ENABLE | MSIX_MASK_ALL);
	for (i = 0; i < x->count && old != x->control; i++)
		update(x, &x->v[i]);
	pthread_mutex_unlock(&x->lock);
}

void msix_send(struct msix *x, unsigned int vector)
{
	if (vector >= x->count)
		return;
	pthread_mutex_lock(&x->lock);
	if (open_to(x, &x->v[vector]))
		deliver(x, &x->v[vector]);
	else if (x->control & MSIX_ENABLE)
		x->v[vector].pending = true;
	pthread_mutex_unlock(&x->lock);
}

int msix_eventfd(struct msix *x, unsigned int vector)
{
	int fd = -1;

	if (vector >= x->count)
		return -1;
	pthread_mutex_lock(&x->lock);
	if (x->v[vector].fd < 0) {
		x->v[vector].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		rewire(x, &x->v[vector]);
	}
	fd = x->v[vector].fd;
	pthread_mutex_unlock(&x->lock);
	return fd;
}

struct msix *msix_create(struct posada_vm *vm, unsigned int vectors)
{
	struct msix *x = xcalloc(1, sizeof(*x));
	unsigned int i;

	x->vm = vm;
	x->count = vectors < MSIX_MAX ? vectors : MSIX_MAX;
	pthread_mutex_init(&x->lock, NULL);
	for (i = 0; i < MSIX_MAX; i++) {
		x->v[i].fd = -1;
		x->v[i].word[ENTRY_CONTROL / 4] = ENTRY_MASKED;
	}
	return x;
}

void msix_free(struct msix *x)
{
	unsigned int i;

	for (i = 0; i < x->count; i++)
		if (x->v[i].fd >= 0)
			close(x->v[i].fd);
	pthread_mutex_destroy(&x->lock);
	free(x);
}
