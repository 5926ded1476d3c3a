/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The virtio core (virtio 1.2): what all devices and both transports share.
 *
 *	transport	registers: pci or mmio; calls virtio_*() below
 *	core		status, features, queues, and the rings
 *	device		requests; its operations are called by the core
 *
 * The driver is not trusted. Each field of a ring is read once, into a local,
 * and then checked; addresses go through virtio_hva(), the one door. A driver
 * that breaks a rule stops its device: DEVICE_NEEDS_RESET, one line on stderr,
 * and no more is taken from any of its queues until it resets the device.
 *
 * Threads: transports call from vCPU threads; a device's kick runs in its loop
 * thread; requests may be finished in any thread. Locks, in this order: the
 * device's (registers), a queue's (its ring), the transport's (interrupts).
 * A reset waits, with the device's lock held, until every request that was
 * taken has been finished: a device must finish requests without that lock.
 */
#ifndef VIRTIO_H
#define VIRTIO_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define VQ_MAX_SIZE		256
#define CHAIN_MAX		256	/* buffers of one request */
#define VIRTIO_MAX_QUEUES	16
#define VIRTIO_MAX_CONFIG	96
#define NO_VECTOR		0xffffU
#define VQ_CONFIG		(-1)	/* a change of configuration, as a queue */

#define FEATURE(bit)		(1ULL << (bit))

struct loop;
struct virtio_device;

/* The guest's RAM, as this process sees it. */
struct virtio_memory {
	unsigned int count;
	struct {
		uint64_t gpa;
		uint64_t bytes;
		uint8_t *hva;
	} part[2];
};

/* The memory at [gpa, gpa + bytes), or NULL if it is not all RAM. */
void *virtio_hva(const struct virtio_memory *mem, uint64_t gpa, uint64_t bytes);

/* ---- queues ---- */

struct virtqueue {
	struct virtio_device *dev;
	unsigned int index;
	int kick_fd;			/* eventfd: the driver's notification */

	/* The driver's settings; under the device's lock. */
	uint16_t size;
	uint64_t desc_gpa;
	uint64_t driver_gpa;
	uint64_t device_gpa;
	atomic_uint vector;		/* MSI-X; NO_VECTOR: none */

	pthread_mutex_t lock;		/* guards all below */
	pthread_cond_t idle;		/* inflight has become 0 */
	bool enabled;
	bool packed;
	bool event_idx;
	bool indirect;
	bool avail_wrap;		/* packed */
	bool used_wrap;
	bool signalled;			/* an interrupt decision was made */
	uint16_t next_avail;
	uint16_t next_used;
	uint16_t unsignalled;		/* used entries since that decision */
	unsigned int inflight;		/* taken and not yet finished */
	uint8_t *desc;			/* host addresses of the three parts */
	uint8_t *driver;
	uint8_t *device;
};

/* A request: buffers that the device reads, then buffers that it writes. */
struct vq_chain {
	struct virtqueue *vq;
	uint16_t id;
	uint16_t slots;			/* packed: descriptors of the ring */
	uint16_t nr_out;
	uint16_t nr_in;
	uint64_t out_bytes;
	uint64_t in_bytes;
	struct iovec iov[CHAIN_MAX];	/* nr_out, then nr_in */
};

/* Take the next request. false: there is none, or the queue is stopped.
 * Every chain that was taken is given to vq_push() or vq_unpop() once.
 */
bool vq_pop(struct virtqueue *vq, struct vq_chain *c);
/* Finish: @written bytes of its in-buffers have been filled, from the first on.
 * Interrupts the driver where it wants that; with vq_push_quiet() the caller
 * does so by vq_signal() when its batch is done.
 */
void vq_push(struct vq_chain *c, uint32_t written);
void vq_push_quiet(struct vq_chain *c, uint32_t written);
void vq_signal(struct virtqueue *vq);
/* Finish @n chains of one queue at once: the driver sees all or none. */
void vq_push_all(struct vq_chain *c, const uint32_t *written, unsigned int n);
/* Put back what was taken, the last first; for one thread that pops. */
void vq_unpop(struct vq_chain *c);

/* Tell the driver that notifications are (not) needed. vq_listen() returns true
 * if requests have come meanwhile: take them, then listen again.
 */
void vq_ignore(struct virtqueue *vq);
bool vq_listen(struct virtqueue *vq);

/* Take requests until there are none, calling @fn for each, which finishes it
 * or sees to it; then listen for more.
 */
void vq_drain(struct virtqueue *vq, void (*fn)(struct vq_chain *c, void *ctx),
	      void *ctx);

/* Copy out of the out-buffers, or into the in-buffers, @skip bytes from their
 * start. -> bytes copied, fewer where the buffers end.
 */
size_t chain_read(const struct vq_chain *c, size_t skip, void *data,
		  size_t bytes);
size_t chain_write(const struct vq_chain *c, size_t skip, const void *data,
		   size_t bytes);
/* The pieces of @from that hold bytes [skip, skip + bytes), in @to, which has
 * room for @nr. -> how many.
 */
unsigned int iov_slice(const struct iovec *from, unsigned int nr, size_t skip,
		       size_t bytes, struct iovec *to);

/* ---- devices ---- */

struct virtio_ops {
	const char *name;
	uint16_t id;
	/* The driver notified this queue; in the loop's thread. */
	void (*kick)(struct virtio_device *d, struct virtqueue *vq);
	/* Optional. DRIVER_OK is set: features and queues are as they will be.
	 * A line says why it cannot be; the device then needs a reset.
	 */
	const char *(*start)(struct virtio_device *d);
	/* Optional. Let go of requests that wait for something outside. */
	void (*quiesce)(struct virtio_device *d);
	/* Optional. A reset; no request is in flight, none will be taken. */
	void (*reset)(struct virtio_device *d);
	/* Optional. The driver wrote configuration; it has been stored. */
	void (*config_written)(struct virtio_device *d, uint32_t offset,
			       uint32_t bytes);
	void (*destroy)(struct virtio_device *d);
};

struct virtio_device {
	const struct virtio_ops *ops;
	const struct virtio_memory *mem;
	struct loop *loop;
	char name[16];			/* "disk0": for messages and ps(1) */

	/* How to interrupt: @queue is an index, or VQ_CONFIG. */
	void (*interrupt)(void *transport, int queue);
	/* vhost: the eventfd that interrupts for a queue, -1: cannot. */
	int (*call_fd)(void *transport, unsigned int queue);
	void *transport;

	pthread_mutex_t lock;		/* guards registers: all below */
	uint64_t offered;
	uint64_t accepted;
	atomic_uint status;
	atomic_uint generation;		/* of config, as the driver reads it */
	atomic_bool live;		/* DRIVER_OK, and not broken */
	atomic_uint complaints;
	bool vhost;			/* queues are the host kernel's */
	uint32_t config_bytes;
	uint32_t config_writable;	/* bytes from the start that are */
	uint32_t config_from;		/* ... from here */
	uint8_t config[VIRTIO_MAX_CONFIG];
	unsigned int nr_queues;
	struct virtqueue vq[VIRTIO_MAX_QUEUES];
};

/* Set up @d, which is zero but for what the device keeps behind it. @features
 * are the device's own; the core adds those of the rings.
 */
void virtio_init(struct virtio_device *d, const struct virtio_ops *ops,
		 const char *name, const struct virtio_memory *mem,
		 uint64_t features, unsigned int queues);
/* Stop the loop; let in-flight requests end; free the device. */
void virtio_destroy(struct virtio_device *d);
/* Do not offer packed rings: vhost has none, or the user wants none. */
void virtio_no_packed(struct virtio_device *d);
static inline bool virtio_has(const struct virtio_device *d, unsigned int bit)
{
	return d->accepted >> bit & 1;
}

/* The driver broke a rule. From any thread, with or without a queue's lock. */
void virtio_broken(struct virtio_device *d, const char *why);
/* Configuration is about to change by @change: tell the driver. */
void virtio_config_changed(struct virtio_device *d);

/* ---- for transports ---- */

uint32_t virtio_features(struct virtio_device *d, uint32_t word);
void virtio_accept(struct virtio_device *d, uint32_t word, uint32_t value);
uint32_t virtio_accepted(struct virtio_device *d, uint32_t word);
void virtio_set_status(struct virtio_device *d, uint8_t status);
void virtio_config_read(struct virtio_device *d, uint32_t offset, void *data,
			uint32_t bytes);
void virtio_config_write(struct virtio_device *d, uint32_t offset,
			 const void *data, uint32_t bytes);
/* NULL when there is no such queue. */
struct virtqueue *virtio_queue(struct virtio_device *d, unsigned int index);
/* Refused while the queue is enabled; a size that cannot be breaks. */
void virtio_queue_size(struct virtqueue *vq, uint32_t size);
enum vq_part { VQ_DESC, VQ_DRIVER, VQ_DEVICE };
void virtio_queue_address(struct virtqueue *vq, enum vq_part part, bool high,
			  uint32_t value);
uint32_t virtio_queue_address_read(struct virtqueue *vq, enum vq_part part,
				   bool high);
void virtio_queue_enable(struct virtqueue *vq);
bool virtio_queue_enabled(struct virtqueue *vq);

/* ---- the two ring formats; with the queue's lock held ---- */

struct vring_ops {
	/* Sizes of the three parts, by the number of descriptors. */
	uint32_t (*bytes)(enum vq_part part, uint32_t size);
	uint32_t align[3];
	/* 1: taken, 0: none, -1: *@why is broken. */
	int (*pop)(struct virtqueue *vq, struct vq_chain *c, const char **why);
	/* @n chains; the driver sees all or none. */
	void (*push)(struct virtqueue *vq, const struct vq_chain *c,
		     const uint32_t *written, unsigned int n);
	void (*unpop)(struct virtqueue *vq, const struct vq_chain *c);
	void (*ignore)(struct virtqueue *vq);
	void (*listen)(struct virtqueue *vq);
	bool (*more)(struct virtqueue *vq);
	/* Does the driver want to hear of the last vq->unsignalled entries? */
	bool (*wants)(struct virtqueue *vq);
};

extern const struct vring_ops vring_split;
extern const struct vring_ops vring_packed;

/* What both share: one more buffer; NULL, or what is wrong. */
const char *chain_add(struct vq_chain *c, const struct virtio_memory *mem,
		      uint64_t gpa, uint32_t bytes, bool write);

/* Ring fields are shared with a running guest: read and write them once. */
static inline uint16_t ring_load16(const void *p)
{
	return __atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE);
}

static inline void ring_store16(void *p, uint16_t value)
{
	__atomic_store_n((uint16_t *)p, value, __ATOMIC_RELEASE);
}

/* Has the index passed @event on its way from @old to @now? */
static inline bool ring_passed(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

#endif /* VIRTIO_H */
