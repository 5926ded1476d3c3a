// SPDX-License-Identifier: GPL-2.0-only
/*
 * hvc0 over the ring. The VMM is awake while there is output, and needs the
 * bell only for the first line of a burst. Input is polled, by khvcd.
 */
#include <linux/atomic.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include "guest.h"

/*
 * The kernel exports hvc_alloc(), but its header does not come with the
 * packaged ones. Of Linux 6.1's operations the first two are needed.
 */
struct hvc_struct;
struct hv_ops {
	int (*get_chars)(u32 vtermno, char *buf, int count);
	int (*put_chars)(u32 vtermno, const char *buf, int count);
	void *others[7];
};

struct hvc_struct *hvc_alloc(u32 vtermno, int irq, const struct hv_ops *ops,
			     int bytes);

#define OUT_BYTES	65536U
#define RING_BYTES	(PAGE_SIZE + OUT_BYTES)
#define VTERM		0x506fU
#define CHUNK		1024

static struct posada_console_ring *ring;
static u8 *out;
static DEFINE_RAW_SPINLOCK(out_lock);	/* guards the tail and what is behind */

void posada_console_flush(void)
{
	if (ring)
		posada_call(POSADA_HC_CONSOLE_WRITE, 0, 0);
}

static u32 room(void)
{
	/* What is overwritten was read before. */
	u32 used = ring->out_tail - smp_load_acquire(&ring->out_head);

	return used <= OUT_BYTES ? OUT_BYTES - used : 0;
}

/* -> how many had room. */
static u32 put(const char *buf, u32 count)
{
	u32 at = ring->out_tail % OUT_BYTES, first, n = min(count, room());

	first = min(n, OUT_BYTES - at);
	memcpy(out + at, buf, first);
	memcpy(out, buf + first, n - first);
	/* The bytes before the tail. */
	smp_store_release(&ring->out_tail, ring->out_tail + n);
	/* The tail before the look at the bell: the VMM does it the other way. */
	smp_mb();
	if (n && READ_ONCE(ring->bell) && xchg(&ring->bell, 0))
		posada_call(POSADA_HC_DOORBELL, POSADA_BELL_CONSOLE, 0);
	return n;
}

/* A CPU that is stopped for a panic may hold the lock. */
static int put_chars(u32 vtermno, const char *buf, int count)
{
	unsigned long flags;
	bool locked = true;
	u32 n;

	if (oops_in_progress)
		locked = raw_spin_trylock_irqsave(&out_lock, flags);
	else
		raw_spin_lock_irqsave(&out_lock, flags);
	n = put(buf, count);
	if (!n) {
		posada_console_flush();
		n = put(buf, count);
	}
	if (locked)
		raw_spin_unlock_irqrestore(&out_lock, flags);
	return n ? n : -EAGAIN;
}

/* hvc calls it with a lock of its own held. */
static int get_chars(u32 vtermno, char *buf, int count)
{
	u32 i, n, tail, head = ring->in_head;

	/* The tail before the bytes. */
	tail = smp_load_acquire(&ring->in_tail);
	n = min_t(u32, tail - head, count);
	if (tail - head > POSADA_CONSOLE_IN)
		n = 0;
	for (i = 0; i < n; i++)
		buf[i] = ring->in[(head + i) % POSADA_CONSOLE_IN];
	/* They are read before they may be overwritten. */
	smp_store_release(&ring->in_head, head + n);
	return n;
}

static const struct hv_ops ops = {
	.get_chars = get_chars,
	.put_chars = put_chars,
};

int __init posada_console_init(void)
{
	struct posada_console_ring *r;
	struct hvc_struct *hvc;

	if (!(posada_features & POSADA_CPUID_F_CONSOLE))
		return 0;
	r = alloc_pages_exact(RING_BYTES, GFP_KERNEL | __GFP_ZERO);
	if (!r)
		return -ENOMEM;
	if (posada_call(POSADA_HC_CONSOLE_RING, virt_to_phys(r), RING_BYTES)) {
		free_pages_exact(r, RING_BYTES);
		return -ENXIO;
	}
	out = (u8 *)r + PAGE_SIZE;
	ring = r;
	hvc = hvc_alloc(VTERM, 0, &ops, CHUNK);
	return PTR_ERR_OR_ZERO(hvc);
}
