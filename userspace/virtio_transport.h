/* SPDX-License-Identifier: GPL-2.0 */
/* The two ways in which a guest finds and drives a virtio device. */
#ifndef VIRTIO_TRANSPORT_H
#define VIRTIO_TRANSPORT_H

#include <stdint.h>

struct machine;
struct pci;
struct virtio_device;
struct virtio_pci;
struct virtio_mmio;

/* ---- virtio-pci, modern (virtio 1.2, 4.1) ----
 *
 * BAR 0 is 256 ports: an access is an exit that needs no decoding, and a
 * notification, by a doorbell on its port, none at all:
 *
 *	0x00	common configuration
 *	0x40	device configuration
 *	0xa0	interrupt status
 *	0xc0	notifications: a port, and a half to spare, per queue
 *
 * BAR 1 is 4 KiB of memory: the MSI-X table and its pending bits.
 */
struct virtio_pci *virtio_pci_create(struct machine *m, struct pci *bus,
				     struct virtio_device *d);
/* Frees the transport, not the device. */
void virtio_pci_free(struct virtio_pci *v);

/* ---- virtio-mmio (virtio 1.2, 4.2) ---- */

#define VIRTIO_MMIO_BASE	0xd0000000ULL
#define VIRTIO_MMIO_BYTES	0x200U
#define VIRTIO_MMIO_MAX		16
#define VIRTIO_MMIO_FIRST_PIN	5	/* of the I/O APIC; one a device */

/* The @index'th device, below VIRTIO_MMIO_MAX. */
struct virtio_mmio *virtio_mmio_create(struct machine *m, unsigned int index,
				       struct virtio_device *d);
void virtio_mmio_free(struct virtio_mmio *v);

#endif /* VIRTIO_TRANSPORT_H */
