// SPDX-License-Identifier: GPL-2.0
/*
 * The virtio-mmio transport: 512 bytes of registers and a level-triggered
 * input of the I/O APIC for each device. Every access is decoded here, a
 * notification too, so that this is the slower one; it is for guests without
 * PCI.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <linux/virtio_mmio.h>

#include "ioapic.h"
#include "machine.h"
#include "virtio.h"
#include "virtio_transport.h"

#define MAGIC		0x74726976	/* "virt" */
#define VERSION		2
#define VENDOR		0x41445350	/* "PSDA" */

_Static_assert(VIRTIO_MMIO_CONFIG + VIRTIO_MAX_CONFIG <= VIRTIO_MMIO_BYTES,
	       "virtio-mmio registers");
_Static_assert(VIRTIO_MMIO_FIRST_PIN + VIRTIO_MMIO_MAX <= IOAPIC_PINS, "pins");

struct virtio_mmio {
	struct virtio_device *d;
	struct ioapic *ioapic;
	unsigned int pin;

	pthread_mutex_t irq_lock;	/* guards the next; inside queues' */
	uint32_t isr;

	pthread_mutex_t lock;		/* guards all below */
	uint32_t features_word;
	uint32_t accept_word;
	uint32_t select;
};

static void change_isr(struct virtio_mmio *v, uint32_t set, uint32_t clear)
{
	pthread_mutex_lock(&v->irq_lock);
	v->isr = (v->isr | set) & ~clear;
	ioapic_set(v->ioapic, v->pin, v->isr);
	pthread_mutex_unlock(&v->irq_lock);
}

static void interrupt(void *transport, int queue)
{
	change_isr(transport, queue == VQ_CONFIG ? VIRTIO_MMIO_INT_CONFIG :
		   VIRTIO_MMIO_INT_VRING, 0);
}

/* A level needs the status register behind it: the kernel cannot raise it. */
static int call_fd(void *transport, unsigned int queue)
{
	(void)transport;
	(void)queue;
	return -1;
}

static uint32_t read_register(struct virtio_mmio *v, uint64_t offset)
{
	struct virtqueue *vq = virtio_queue(v->d, v->select);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return v->d->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return virtio_features(v->d, v->features_word);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return vq ? VQ_MAX_SIZE : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return vq ? virtio_queue_enabled(vq) : 0;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return v->isr;
	case VIRTIO_MMIO_STATUS:
		return atomic_load(&v->d->status);
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return atomic_load(&v->d->generation);
	/* There is no shared memory: its length reads as all ones. */
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return ~0U;
	}
	return 0;
}

static void write_queue(struct virtqueue *vq, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM:
		virtio_queue_size(vq, value);
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		if (value == 1)
			virtio_queue_enable(vq);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		virtio_queue_address(vq, VQ_DESC, false, value);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		virtio_queue_address(vq, VQ_DESC, true, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		virtio_queue_address(vq, VQ_DRIVER, false, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		virtio_queue_address(vq, VQ_DRIVER, true, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		virtio_queue_address(vq, VQ_DEVICE, false, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		virtio_queue_address(vq, VQ_DEVICE, true, value);
		break;
	}
}

static void notify(struct virtio_mmio *v, uint32_t index)
{
	struct virtqueue *vq = virtio_queue(v->d, index);

	if (vq)
		eventfd_write(vq->kick_fd, 1);
}

static void write_status(struct virtio_mmio *v, uint32_t status)
{
	virtio_set_status(v->d, (uint8_t)status);
	if (status)
		return;
	change_isr(v, 0, ~0U);
	v->features_word = v->accept_word = v->select = 0;
}

static void write_register(struct virtio_mmio *v, uint64_t offset,
			   uint32_t value)
{
	struct virtqueue *vq;

	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		v->features_word = value;
		return;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		v->accept_word = value;
		return;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_accept(v->d, v->accept_word, value);
		return;
	case VIRTIO_MMIO_QUEUE_SEL:
		v->select = value;
		return;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		notify(v, value);
		return;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		change_isr(v, 0, value);
		return;
	case VIRTIO_MMIO_STATUS:
		write_status(v, value);
		return;
	}
	vq = virtio_queue(v->d, v->select);
	if (vq)
		write_queue(vq, offset, value);
}

static void registers(void *dev, uint64_t offset, void *data, unsigned int len,
		      bool write)
{
	struct virtio_mmio *v = dev;
	uint32_t value;

	if (offset >= VIRTIO_MMIO_CONFIG) {
		offset -= VIRTIO_MMIO_CONFIG;
		if (write)
			virtio_config_write(v->d, (uint32_t)offset, data, len);
		else
			virtio_config_read(v->d, (uint32_t)offset, data, len);
		return;
	}
	/* All others are 32 bits wide, and accessed so. */
	if (len != 4 || offset % 4)
		return;
	pthread_mutex_lock(&v->lock);
	if (write) {
		memcpy(&value, data, sizeof(value));
		write_register(v, offset, value);
	} else {
		value = read_register(v, offset);
		memcpy(data, &value, sizeof(value));
	}
	pthread_mutex_unlock(&v->lock);
}

struct virtio_mmio *virtio_mmio_create(struct machine *m, unsigned int index,
				       struct virtio_device *d)
{
	struct virtio_mmio *v = xcalloc(1, sizeof(*v));

	v->d = d;
	v->ioapic = m->ioapic;
	v->pin = VIRTIO_MMIO_FIRST_PIN + index;
	pthread_mutex_init(&v->lock, NULL);
	pthread_mutex_init(&v->irq_lock, NULL);
	d->interrupt = interrupt;
	d->call_fd = call_fd;
	d->transport = v;
	bus_add(&m->mmio, VIRTIO_MMIO_BASE + index * VIRTIO_MMIO_BYTES,
		VIRTIO_MMIO_BYTES, registers, v);
	return v;
}

void virtio_mmio_free(struct virtio_mmio *v)
{
	pthread_mutex_destroy(&v->lock);
	pthread_mutex_destroy(&v->irq_lock);
	free(v);
}
