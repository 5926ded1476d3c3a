/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A virtio driver, for tests of devices without a guest: it negotiates through
 * the functions that the transports call, fills rings of either format in a
 * piece of memory that stands for the guest's, and takes what was used.
 */
#ifndef VDRIVER_H
#define VDRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../userspace/virtio.h"
#include "unit.h"

#define VD_RAM_BYTES	(4U << 20)
#define VD_RAM_GPA	0x10000U	/* so that gpa 0 is not memory */
#define VD_RINGS	0x20000U	/* rings from here, 128 KiB a queue */
#define VD_RING_BYTES	0x20000U
#define VD_BUFFERS	0x240000U	/* buffers from here */

struct vd_queue {
	struct virtqueue *vq;
	bool packed;
	bool wrap;			/* packed: of what is made available */
	bool used_wrap;
	uint16_t size;
	uint16_t avail;			/* next to fill */
	uint16_t used;			/* next to take */
	uint16_t free_head;		/* split: next descriptor to use */
	uint64_t desc, driver, device;	/* gpas */
	uint64_t table;			/* gpa for indirect tables */
	uint16_t slots[VQ_MAX_SIZE];	/* packed: ring slots by buffer id */
};

struct vdriver {
	uint8_t *ram;
	struct virtio_memory mem;
	struct virtio_device *d;
	atomic_uint interrupts;
	atomic_uint config_interrupts;
	struct vd_queue q[VIRTIO_MAX_QUEUES];
	struct vq_chain *echo_keeps;	/* of vd_init_echo(): chains go there instead */
};

struct vd_buffer {
	uint64_t gpa;
	uint32_t bytes;
	bool write;
};

/* The memory comes first, as the device is created with it. */
void vd_init(struct vdriver *v);
void vd_bind(struct vdriver *v, struct virtio_device *d);
/* Both, with a device that writes what it reads, by two queues; its configuration is 1 to 8. */
void vd_init_echo(struct vdriver *v);
void vd_free(struct vdriver *v);
void *vd_at(struct vdriver *v, uint64_t gpa);

/* A program's main(): each test between @set_up and vd_free(v). -> its status. */
int vd_run(struct vdriver *v, const struct unit_test *tests, size_t n,
	   void (*set_up)(void));

/* Reset; accept of @features what is offered; set up queues of @size; go.
 * -> whether the device took it.
 */
bool vd_start(struct vdriver *v, uint64_t features, uint16_t size);
/* Make a chain available under @id, in a table of its own with @indirect. */
void vd_add(struct vd_queue *q, struct vdriver *v, uint16_t id,
	    const struct vd_buffer *buf, unsigned int n, bool indirect);
/* Let the device look, in this thread. */
void vd_kick(struct vdriver *v, struct vd_queue *q);
/* Take a used chain. */
bool vd_used(struct vd_queue *q, struct vdriver *v, uint16_t *id,
	     uint32_t *bytes);
/* Wait for one that another thread finishes; false after some seconds. */
bool vd_wait(struct vd_queue *q, struct vdriver *v, uint16_t *id,
	     uint32_t *bytes);
bool vd_needs_reset(const struct vdriver *v);

#endif /* VDRIVER_H */
