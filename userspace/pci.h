/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The PCI host bridge: one bus, functions without bridges among them.
 *
 * Configuration space is memory-mapped (ECAM, the table MCFG), and the guest
 * reads it without an exit: the window is a read-only memory slot that holds
 * what there is to read. Writes come here. The ports 0xcf8 and 0xcfc are not
 * there: a guest that found them would prefer them, at two exits a read.
 *
 * Base addresses are assigned and decoding is on when the guest starts.
 * Interrupts are MSI-X only: no function has an interrupt pin.
 */
#ifndef PCI_H
#define PCI_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bus.h"

#define PCI_ECAM_BASE		0xe0000000ULL
#define PCI_ECAM_BYTES		0x200000U	/* one large page: 2 buses */
#define PCI_ECAM_LAST_BUS	1
#define PCI_LAST_BUS		0
#define PCI_PORT_BASE		0x4000U
#define PCI_PORT_BYTES		0x4000U
#define PCI_MMIO_BASE		0xd0000000U
#define PCI_MMIO_BYTES		0x10000000U
#define PCI_SLOTS		32
#define PCI_CONFIG_BYTES	256
#define PCI_BARS		6

struct machine;
struct msix;
struct pci;

struct pci_bar {
	uint32_t bytes;		/* a power of two; 0: not there */
	bool io;
	bus_fn fn;
};

/* One function. The device fills in what is above the line, calls pci_add(). */
struct pci_function {
	uint16_t vendor, device;
	uint16_t subvendor, subdevice;
	uint32_t class_code;	/* 24 bits: class, subclass, interface */
	uint8_t revision;
	struct pci_bar bar[PCI_BARS];
	void *dev;		/* for the functions of the BARs */
	struct msix *msix;
	uint8_t msix_bar;
	unsigned int vectors;
	/* Optional: the guest has written [at, at + len) of configuration space,
	 * which may have moved a BAR. In a vCPU thread.
	 */
	void (*written)(void *dev, unsigned int at, unsigned int len);
	/* ---- */
	struct pci *bus;
	unsigned int slot;
	unsigned int next_cap;		/* where the next capability goes */
	unsigned int last_cap;
	unsigned int msix_cap;
	uint8_t config[PCI_CONFIG_BYTES];
	uint8_t writable[PCI_CONFIG_BYTES];
};

struct pci *pci_create(struct machine *m);
/* The same over @ecam, PCI_ECAM_BYTES of it; for those without a VM. */
struct pci *pci_create_over(struct machine *m, uint8_t *ecam);
void pci_free(struct pci *p);
/* Put @f, which stays the caller's, into the next slot. Ends the program with
 * a line when the bus is full. Before the guest starts.
 */
void pci_add(struct pci *p, struct pci_function *f);
/* Append a vendor-specific capability; @body is what follows the two bytes of
 * every capability's header. -> its offset. After pci_add().
 */
unsigned int pci_add_capability(struct pci_function *f, const void *body,
				unsigned int bytes);
/* Let the guest write [at, at + bytes), below PCI_CONFIG_BYTES. */
void pci_allow(struct pci_function *f, unsigned int at, unsigned int bytes);
/* Read or change what the guest reads there. */
void pci_config_get(struct pci_function *f, unsigned int at, void *data,
		    unsigned int bytes);
void pci_config_set(struct pci_function *f, unsigned int at, const void *data,
		    unsigned int bytes);
/* The address of a BAR, 0 while it is not decoded. */
uint32_t pci_bar_address(struct pci_function *f, unsigned int bar);

#endif /* PCI_H */
