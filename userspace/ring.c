// SPDX-License-Identifier: GPL-2.0
/*
 * The VMM's side of the hypercalls that need one: the console's ring, and the
 * pages that a guest has no use for. The ring is in the guest's memory, and it
 * may write all of it at any time: what is believed is kept here.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"
#include "posada_hypercall.h"

_Static_assert(sizeof(struct posada_console_ring) == POSADA_PAGE_SIZE, "one page");

/* ---- the console's ring ---- */

int64_t posada_console_set(struct posada_console *c, struct posada_vm *vm,
			   uint64_t gpa, uint32_t bytes)
{
	uint32_t out_bytes = bytes - POSADA_PAGE_SIZE;
	uint8_t *hva;

	memset(c, 0, sizeof(*c));
	if (!bytes)
		return 0;
	if (bytes <= POSADA_PAGE_SIZE || out_bytes & (out_bytes - 1) ||
	    gpa & PAGE_MASK)
		return -POSADA_EINVAL;
	hva = posada_hva(vm, gpa, bytes);
	if (!hva)
		return -POSADA_EFAULT;
	c->ring = (struct posada_console_ring *)hva;
	c->out = hva + POSADA_PAGE_SIZE;
	c->out_bytes = out_bytes;
	__atomic_store_n(&c->ring->out_head, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&c->ring->in_tail, 0, __ATOMIC_RELAXED);
	posada_console_listen(c, true);
	return 0;
}

/* How much output is there. A tail that cannot be is taken for "all is read". */
static uint32_t output(struct posada_console *c)
{
	uint32_t tail, used;

	if (!c->ring)
		return 0;
	tail = __atomic_load_n(&c->ring->out_tail, __ATOMIC_ACQUIRE);
	used = tail - c->out_head;
	if (used <= c->out_bytes)
		return used;
	c->out_head = tail;
	__atomic_store_n(&c->ring->out_head, tail, __ATOMIC_RELEASE);
	return 0;
}

size_t posada_console_read(struct posada_console *c, void *data, size_t bytes)
{
	uint32_t n = output(c), at, first;

	if (n > bytes)
		n = (uint32_t)bytes;
	if (!n)
		return 0;
	at = c->out_head & (c->out_bytes - 1);
	first = c->out_bytes - at < n ? c->out_bytes - at : n;
	memcpy(data, c->out + at, first);
	memcpy((uint8_t *)data + first, c->out, n - first);
	c->out_head += n;
	__atomic_store_n(&c->ring->out_head, c->out_head, __ATOMIC_RELEASE);
	return n;
}

bool posada_console_listen(struct posada_console *c, bool on)
{
	if (!c->ring)
		return false;
	__atomic_store_n(&c->ring->bell, on ? 1 : 0, __ATOMIC_RELAXED);
	/* Pairs with the guest's, between its tail and its look at the bell. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return output(c);
}

size_t posada_console_room(const struct posada_console *c)
{
	uint32_t used;

	if (!c->ring)
		return 0;
	used = c->in_tail - __atomic_load_n(&c->ring->in_head, __ATOMIC_ACQUIRE);
	return used <= POSADA_CONSOLE_IN ? POSADA_CONSOLE_IN - used : 0;
}

size_t posada_console_write(struct posada_console *c, const void *data,
			    size_t bytes)
{
	size_t i, n = posada_console_room(c);
	const uint8_t *from = data;

	if (n > bytes)
		n = bytes;
	for (i = 0; i < n; i++)
		c->ring->in[c->in_tail++ % POSADA_CONSOLE_IN] = from[i];
	if (n)
		__atomic_store_n(&c->ring->in_tail, c->in_tail, __ATOMIC_RELEASE);
	return n;
}

/* ---- free pages ---- */

/* Only what the library mapped: it knows that nobody else needs it, and that
 * there is no older content behind it which would come up.
 */
static int64_t give_back(struct posada_vm *vm, const struct posada_range *r)
{
	const struct memory_slot *s;
	int64_t ret = 0;

	if ((r->gpa | r->bytes) & PAGE_MASK || !r->bytes)
		return -POSADA_EINVAL;
	pthread_rwlock_rdlock(&vm->lock);
	s = find_slot(vm, r->gpa, r->bytes);
	if (!s || s->flags & POSADA_SLOT_READONLY)
		ret = -POSADA_EFAULT;
	else if (s->ours)
		/* Should the host refuse, the pages stay: a waste, no more. */
		madvise(s->hva + (r->gpa - s->gpa), r->bytes,
			s->memfd ? MADV_REMOVE : MADV_DONTNEED);
	pthread_rwlock_unlock(&vm->lock);
	return ret;
}

int64_t posada_free_pages(struct posada_vm *vm, uint64_t gpa, uint32_t bytes)
{
	struct posada_range list[POSADA_RANGES_MAX];
	int64_t ret = 0, i, count = bytes / sizeof(list[0]);

	if (count > POSADA_RANGES_MAX)
		return -POSADA_E2BIG;
	if (posada_read(vm, gpa, list, (size_t)count * sizeof(list[0])))
		return -POSADA_EFAULT;
	for (i = 0; i < count && !ret; i++)
		ret = give_back(vm, &list[i]);
	/* The one that failed was not taken. */
	if (!ret)
		return count;
	return i > 1 ? i - 1 : ret;
}
