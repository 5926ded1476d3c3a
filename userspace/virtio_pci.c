// SPDX-License-Identifier: GPL-2.0
/* The virtio-pci transport; its header has the layout. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>

#include "machine.h"
#include "msix.h"
#include "pci.h"
#include "virtio.h"
#include "virtio_transport.h"

#define VENDOR_VIRTIO	0x1af4
#define DEVICE_MODERN	0x1040
#define BAR_PORTS	0
#define BAR_MSIX	1
#define PORTS		256
#define AT_COMMON	0x00
#define COMMON_BYTES	0x40
#define AT_CONFIG	0x40
#define AT_ISR		0xa0
#define AT_NOTIFY	0xc0
#define NOTIFY_STRIDE	4
#define ISR_QUEUE	1
#define ISR_CONFIG	2

_Static_assert(AT_NOTIFY + NOTIFY_STRIDE * VIRTIO_MAX_QUEUES <= PORTS, "ports");
_Static_assert(AT_CONFIG + VIRTIO_MAX_CONFIG <= AT_ISR, "ports");
_Static_assert(VIRTIO_MAX_QUEUES + 1 <= MSIX_MAX, "a vector per queue");

struct virtio_pci {
	struct pci_function f;
	struct virtio_device *d;
	struct posada_vm *vm;
	atomic_uint isr;
	atomic_uint config_vector;

	pthread_mutex_t lock;		/* guards all below */
	uint32_t features_word;
	uint32_t accept_word;
	uint16_t select;
	uint16_t bells_at;		/* the port of queue 0's, 0: none */
	unsigned int window_cap;	/* offset of the PCI_CFG capability */
};

/* ---- interrupts ---- */

static void interrupt(void *transport, int queue)
{
	struct virtio_pci *v = transport;
	unsigned int vector;

	if (queue == VQ_CONFIG) {
		atomic_fetch_or(&v->isr, ISR_CONFIG);
		vector = atomic_load(&v->config_vector);
	} else {
		atomic_fetch_or(&v->isr, ISR_QUEUE);
		vector = atomic_load(&v->d->vq[queue].vector);
	}
	if (vector != NO_VECTOR)
		msix_send(v->f.msix, vector);
}

static int call_fd(void *transport, unsigned int queue)
{
	struct virtio_pci *v = transport;

	return msix_eventfd(v->f.msix, atomic_load(&v->d->vq[queue].vector));
}

/* A vector that is not in the table cannot be had: the driver reads that. */
static unsigned int valid_vector(const struct virtio_pci *v, uint32_t vector)
{
	return vector < v->f.vectors ? vector : NO_VECTOR;
}

/* ---- common configuration ---- */

#define COMMON(field)	offsetof(struct virtio_pci_common_cfg, field)

static uint32_t read_queue(struct virtqueue *vq, uint64_t offset)
{
	switch (offset) {
	case COMMON(queue_size):
		return vq->size;
	case COMMON(queue_msix_vector):
		return atomic_load(&vq->vector);
	case COMMON(queue_enable):
		return virtio_queue_enabled(vq);
	case COMMON(queue_notify_off):
		return vq->index;
	case COMMON(queue_desc_lo):
		return virtio_queue_address_read(vq, VQ_DESC, false);
	case COMMON(queue_desc_hi):
		return virtio_queue_address_read(vq, VQ_DESC, true);
	case COMMON(queue_avail_lo):
		return virtio_queue_address_read(vq, VQ_DRIVER, false);
	case COMMON(queue_avail_hi):
		return virtio_queue_address_read(vq, VQ_DRIVER, true);
	case COMMON(queue_used_lo):
		return virtio_queue_address_read(vq, VQ_DEVICE, false);
	case COMMON(queue_used_hi):
		return virtio_queue_address_read(vq, VQ_DEVICE, true);
	}
	return 0;
}

static uint32_t read_common(struct virtio_pci *v, uint64_t offset)
{
	struct virtqueue *vq;

	switch (offset) {
	case COMMON(device_feature_select):
		return v->features_word;
	case COMMON(device_feature):
		return virtio_features(v->d, v->features_word);
	case COMMON(guest_feature_select):
		return v->accept_word;
	case COMMON(guest_feature):
		return virtio_accepted(v->d, v->accept_word);
	case COMMON(msix_config):
		return atomic_load(&v->config_vector);
	case COMMON(num_queues):
		return v->d->nr_queues;
	case COMMON(device_status):
		return atomic_load(&v->d->status);
	case COMMON(config_generation):
		return atomic_load(&v->d->generation) & 0xff;
	case COMMON(queue_select):
		return v->select;
	}
	/* A queue that is not there has size 0 and nothing else. */
	vq = virtio_queue(v->d, v->select);
	return vq ? read_queue(vq, offset) : 0;
}

static void write_queue(struct virtio_pci *v, struct virtqueue *vq,
			uint64_t offset, uint32_t value)
{
	switch (offset) {
	case COMMON(queue_size):
		virtio_queue_size(vq, value);
		break;
	case COMMON(queue_msix_vector):
		atomic_store(&vq->vector, valid_vector(v, value));
		break;
	case COMMON(queue_enable):
		if (value == 1)
			virtio_queue_enable(vq);
		break;
	case COMMON(queue_desc_lo):
		virtio_queue_address(vq, VQ_DESC, false, value);
		break;
	case COMMON(queue_desc_hi):
		virtio_queue_address(vq, VQ_DESC, true, value);
		break;
	case COMMON(queue_avail_lo):
		virtio_queue_address(vq, VQ_DRIVER, false, value);
		break;
	case COMMON(queue_avail_hi):
		virtio_queue_address(vq, VQ_DRIVER, true, value);
		break;
	case COMMON(queue_used_lo):
		virtio_queue_address(vq, VQ_DEVICE, false, value);
		break;
	case COMMON(queue_used_hi):
		virtio_queue_address(vq, VQ_DEVICE, true, value);
		break;
	}
}

static void write_status(struct virtio_pci *v, uint8_t status)
{
	virtio_set_status(v->d, status);
	if (status)
		return;
	atomic_store(&v->isr, 0);
	atomic_store(&v->config_vector, NO_VECTOR);
	v->features_word = v->accept_word = v->select = 0;
}

static void write_common(struct virtio_pci *v, uint64_t offset, uint32_t value)
{
	struct virtqueue *vq;

	switch (offset) {
	case COMMON(device_feature_select):
		v->features_word = value;
		return;
	case COMMON(guest_feature_select):
		v->accept_word = value;
		return;
	case COMMON(guest_feature):
		virtio_accept(v->d, v->accept_word, value);
		return;
	case COMMON(msix_config):
		atomic_store(&v->config_vector, valid_vector(v, value));
		return;
	case COMMON(device_status):
		write_status(v, (uint8_t)value);
		return;
	case COMMON(queue_select):
		v->select = (uint16_t)value;
		return;
	}
	vq = virtio_queue(v->d, v->select);
	if (vq)
		write_queue(v, vq, offset, value);
}

static void common_access(struct virtio_pci *v, uint64_t offset, void *data,
			  unsigned int len, bool write)
{
	uint32_t value = 0;

	pthread_mutex_lock(&v->lock);
	if (write) {
		memcpy(&value, data, len);
		write_common(v, offset, value);
	} else {
		value = read_common(v, offset);
		memcpy(data, &value, len);
	}
	pthread_mutex_unlock(&v->lock);
}

/* ---- the ports ---- */

static void notify(struct virtio_pci *v, uint64_t offset)
{
	struct virtqueue *vq = virtio_queue(v->d, (unsigned int)offset /
					    NOTIFY_STRIDE);

	if (vq && offset % NOTIFY_STRIDE == 0)
		eventfd_write(vq->kick_fd, 1);
}

static void ports(void *dev, uint64_t offset, void *data, unsigned int len,
		  bool write)
{
	struct virtio_pci *v = dev;

	if (len > 4)
		return;
	if (offset < AT_CONFIG) {
		common_access(v, offset - AT_COMMON, data, len, write);
	} else if (offset < AT_ISR) {
		offset -= AT_CONFIG;
		if (write)
			virtio_config_write(v->d, (uint32_t)offset, data, len);
		else
			virtio_config_read(v->d, (uint32_t)offset, data, len);
	} else if (offset < AT_NOTIFY) {
		uint32_t isr = 0;

		if (!write && offset == AT_ISR)
			isr = atomic_exchange(&v->isr, 0);
		if (!write)
			memcpy(data, &isr, len);
	} else if (write) {
		notify(v, offset - AT_NOTIFY);
	}
}

/* ---- doorbells: they follow BAR 0 ---- */

static void ring(struct virtio_pci *v, unsigned int queue, uint32_t flags)
{
	struct posada_doorbell bell = {
		.kind = POSADA_DOORBELL_PORT, .flags = flags,
		.fd = v->d->vq[queue].kick_fd, .len = 2,
		.addr = v->bells_at + NOTIFY_STRIDE * queue,
	};

	/* Where it is refused (too many), notifications exit: slower, right. */
	posada_doorbell(v->vm, &bell);
}

static void place_bells(struct virtio_pci *v)
{
	uint32_t at = pci_bar_address(&v->f, BAR_PORTS);
	unsigned int i;

	/* Where the bridge does not lead, there are none. */
	if (at < PCI_PORT_BASE || at - PCI_PORT_BASE >= PCI_PORT_BYTES)
		at = 0;
	else
		at += AT_NOTIFY;
	pthread_mutex_lock(&v->lock);
	if (at != v->bells_at) {
		for (i = 0; v->bells_at && i < v->d->nr_queues; i++)
			ring(v, i, POSADA_DOORBELL_DEASSIGN);
		v->bells_at = (uint16_t)at;
		for (i = 0; v->bells_at && i < v->d->nr_queues; i++)
			ring(v, i, 0);
	}
	pthread_mutex_unlock(&v->lock);
}

/* ---- configuration space ---- */

static bool touches(unsigned int at, unsigned int len, unsigned int reg,
		    unsigned int bytes)
{
	return at < reg + bytes && at + len > reg;
}

/* The window for drivers that cannot reach BARs: the capability names a piece
 * of BAR 0, its last 4 bytes are that piece. As configuration space is read
 * without an exit, the piece is read when it is named.
 */
static void window_access(struct virtio_pci *v, bool write)
{
	struct virtio_pci_cfg_cap w;
	uint8_t data[4] = { 0 };

	pci_config_get(&v->f, v->window_cap, &w, sizeof(w));
	if (w.cap.bar != BAR_PORTS || w.cap.offset >= PORTS ||
	    (w.cap.length != 1 && w.cap.length != 2 && w.cap.length != 4) ||
	    w.cap.length > PORTS - w.cap.offset)
		return;
	if (write)
		memcpy(data, w.pci_cfg_data, sizeof(data));
	ports(v, w.cap.offset, data, w.cap.length, write);
	if (!write)
		pci_config_set(&v->f, v->window_cap +
			       offsetof(struct virtio_pci_cfg_cap, pci_cfg_data),
			       data, sizeof(data));
}

static void config_written(void *dev, unsigned int at, unsigned int len)
{
	struct virtio_pci *v = dev;

	if (touches(at, len, PCI_COMMAND, 2) ||
	    touches(at, len, PCI_BASE_ADDRESS_0, 4))
		place_bells(v);
	if (touches(at, len, v->window_cap +
		    offsetof(struct virtio_pci_cfg_cap, pci_cfg_data), 4))
		window_access(v, true);
	else if (touches(at, len, v->window_cap,
			 offsetof(struct virtio_pci_cfg_cap, pci_cfg_data)))
		window_access(v, false);
}

/* ---- building ---- */

/* What follows the header of a vendor-specific capability. */
struct cap_body {
	uint8_t bytes;
	uint8_t type;
	uint8_t bar;
	uint8_t id;
	uint8_t pad[2];
	uint32_t offset;
	uint32_t length;
	uint32_t extra;
} __attribute__((packed));

_Static_assert(sizeof(struct cap_body) + 2 ==
	       sizeof(struct virtio_pci_notify_cap), "virtio_pci_notify_cap");

static unsigned int add_cap(struct virtio_pci *v, uint8_t type, uint32_t offset,
			    uint32_t length, unsigned int bytes, uint32_t extra)
{
	struct cap_body body = {
		.bytes = (uint8_t)bytes, .type = type, .bar = BAR_PORTS,
		.offset = offset, .length = length, .extra = extra,
	};

	return pci_add_capability(&v->f, &body, bytes - 2);
}

static void add_caps(struct virtio_pci *v)
{
	const unsigned int plain = sizeof(struct virtio_pci_cap);
	unsigned int at;

	add_cap(v, VIRTIO_PCI_CAP_COMMON_CFG, AT_COMMON, COMMON_BYTES, plain, 0);
	add_cap(v, VIRTIO_PCI_CAP_NOTIFY_CFG, AT_NOTIFY,
		NOTIFY_STRIDE * v->d->nr_queues,
		sizeof(struct virtio_pci_notify_cap), NOTIFY_STRIDE);
	add_cap(v, VIRTIO_PCI_CAP_ISR_CFG, AT_ISR, 1, plain, 0);
	if (v->d->config_bytes)
		add_cap(v, VIRTIO_PCI_CAP_DEVICE_CFG, AT_CONFIG,
			v->d->config_bytes, plain, 0);
	at = add_cap(v, VIRTIO_PCI_CAP_PCI_CFG, 0, 0,
		     sizeof(struct virtio_pci_cfg_cap), 0);
	v->window_cap = at;
	pci_allow(&v->f, at + offsetof(struct virtio_pci_cap, bar), 1);
	pci_allow(&v->f, at + offsetof(struct virtio_pci_cap, offset),
		  sizeof(struct virtio_pci_cfg_cap) -
		  offsetof(struct virtio_pci_cap, offset));
}

static uint32_t class_of(uint16_t id)
{
	switch (id) {
	case VIRTIO_ID_NET:
		return 0x020000;	/* Ethernet */
	case VIRTIO_ID_BLOCK:
		return 0x018000;	/* mass storage, other */
	case VIRTIO_ID_CONSOLE:
		return 0x078000;	/* communication, other */
	default:
		return 0xff0000;	/* fits no class */
	}
}

static void msix_bar(void *dev, uint64_t offset, void *data, unsigned int len,
		     bool write)
{
	struct virtio_pci *v = dev;

	msix_access(v->f.msix, offset, data, len, write);
}

struct virtio_pci *virtio_pci_create(struct machine *m, struct pci *bus,
				     struct virtio_device *d)
{
	struct virtio_pci *v = xcalloc(1, sizeof(*v));
	unsigned int vectors = d->nr_queues + 1;

	v->d = d;
	v->vm = m->vm;
	pthread_mutex_init(&v->lock, NULL);
	atomic_store(&v->config_vector, NO_VECTOR);
	v->f = (struct pci_function){
		.vendor = VENDOR_VIRTIO, .device = DEVICE_MODERN + d->ops->id,
		.subvendor = VENDOR_VIRTIO, .subdevice = d->ops->id,
		.class_code = class_of(d->ops->id), .revision = 1,
		.bar[BAR_PORTS] = { PORTS, true, ports },
		.bar[BAR_MSIX] = { POSADA_PAGE_SIZE, false, msix_bar },
		.dev = v, .msix = msix_create(m->vm, vectors),
		.msix_bar = BAR_MSIX, .vectors = vectors,
		.written = config_written,
	};
	pci_add(bus, &v->f);
	add_caps(v);
	d->interrupt = interrupt;
	d->call_fd = call_fd;
	d->transport = v;
	place_bells(v);
	return v;
}

void virtio_pci_free(struct virtio_pci *v)
{
	msix_free(v->f.msix);
	pthread_mutex_destroy(&v->lock);
	free(v);
}
