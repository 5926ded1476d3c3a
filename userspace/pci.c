// SPDX-License-Identifier: GPL-2.0
/* The PCI host bridge (PCI 3.0, chapter 6), and what its functions share. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "machine.h"
#include "msix.h"
#include "pci.h"

#define ECAM_SLOT_SHIFT	15	/* bus, device, function, 4 KiB each */
#define ECAM_FUNCTION	0x1000U
#define FIRST_SLOT	1	/* slot 0 is where a host bridge would be */
#define FIRST_CAP	0x40
#define BAR_OFFSET(n)	(PCI_BASE_ADDRESS_0 + 4 * (n))
#define COMMAND_MASK	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | \
			 PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)

struct pci {
	pthread_mutex_t lock;	/* guards configuration space */
	uint8_t *ecam;		/* what the guest reads */
	unsigned int count;
	struct pci_function *slot[PCI_SLOTS];
	uint32_t next_io;
	uint32_t next_mmio;
};

/* ---- registers; little-endian, as this CPU is ---- */

static void set16(struct pci_function *f, unsigned int at, uint16_t value)
{
	memcpy(f->config + at, &value, sizeof(value));
}

static void set32(struct pci_function *f, unsigned int at, uint32_t value)
{
	memcpy(f->config + at, &value, sizeof(value));
}

static uint16_t get16(const struct pci_function *f, unsigned int at)
{
	uint16_t value;

	memcpy(&value, f->config + at, sizeof(value));
	return value;
}

static uint32_t get32(const struct pci_function *f, unsigned int at)
{
	uint32_t value;

	memcpy(&value, f->config + at, sizeof(value));
	return value;
}

static void allow16(struct pci_function *f, unsigned int at, uint16_t mask)
{
	memcpy(f->writable + at, &mask, sizeof(mask));
}

static void allow32(struct pci_function *f, unsigned int at, uint32_t mask)
{
	memcpy(f->writable + at, &mask, sizeof(mask));
}

/* Let the guest see it. */
static void publish(struct pci_function *f)
{
	memcpy(f->bus->ecam + (f->slot << ECAM_SLOT_SHIFT), f->config,
	       PCI_CONFIG_BYTES);
}

/* ---- decoding ---- */

static uint32_t decoded(const struct pci_function *f, unsigned int n)
{
	uint16_t bit = f->bar[n].io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;

	if (!f->bar[n].bytes || !(get16(f, PCI_COMMAND) & bit))
		return 0;
	return get32(f, BAR_OFFSET(n)) & ~(f->bar[n].bytes - 1);
}

uint32_t pci_bar_address(struct pci_function *f, unsigned int bar)
{
	uint32_t address;

	pthread_mutex_lock(&f->bus->lock);
	address = decoded(f, bar);
	pthread_mutex_unlock(&f->bus->lock);
	return address;
}

/* Who answers at @address; its BAR, and the offset in it. */
static struct pci_function *claim(struct pci *p, uint32_t address, bool io,
				  unsigned int *bar, uint32_t *offset)
{
	unsigned int i, n;

	for (i = FIRST_SLOT; i < FIRST_SLOT + p->count; i++)
		for (n = 0; n < PCI_BARS; n++) {
			const struct pci_bar *b = &p->slot[i]->bar[n];
			uint32_t base;

			if (!b->bytes || b->io != io)
				continue;
			base = decoded(p->slot[i], n);
			if (!base || address < base ||
			    address - base >= b->bytes)
				continue;
			*bar = n;
			*offset = address - base;
			return p->slot[i];
		}
	return NULL;
}

static void route(struct pci *p, uint32_t address, bool io, void *data,
		  unsigned int len, bool write)
{
	struct pci_function *f;
	unsigned int bar = 0;
	uint32_t offset = 0;

	pthread_mutex_lock(&p->lock);
	f = claim(p, address, io, &bar, &offset);
	pthread_mutex_unlock(&p->lock);
	if (f && len <= f->bar[bar].bytes - offset)
		f->bar[bar].fn(f->dev, offset, data, len, write);
}

static void io_window(void *dev, uint64_t offset, void *data, unsigned int len,
		      bool write)
{
	route(dev, PCI_PORT_BASE + (uint32_t)offset, true, data, len, write);
}

static void mmio_window(void *dev, uint64_t offset, void *data,
			unsigned int len, bool write)
{
	route(dev, PCI_MMIO_BASE + (uint32_t)offset, false, data, len, write);
}

/* ---- configuration space ---- */

static bool touches(uint64_t at, unsigned int len, unsigned int reg,
		    unsigned int bytes)
{
	return at < reg + bytes && at + len > reg;
}

static void config_write(struct pci_function *f, uint64_t at, const void *data,
			 unsigned int len)
{
	const uint8_t *bytes = data;
	unsigned int i;

	for (i = 0; i < len; i++) {
		uint8_t mask = f->writable[at + i];

		f->config[at + i] &= ~mask;
		f->config[at + i] |= bytes[i] & mask;
	}
	publish(f);
	if (f->msix && touches(at, len, f->msix_cap + PCI_MSIX_FLAGS, 2))
		msix_control(f->msix, get16(f, f->msix_cap + PCI_MSIX_FLAGS));
}

/* Reads arrive here only where an instruction does more than to read. */
static void config_window(void *dev, uint64_t offset, void *data,
			  unsigned int len, bool write)
{
	unsigned int slot = (unsigned int)(offset >> ECAM_SLOT_SHIFT);
	uint64_t at = offset & ((1U << ECAM_SLOT_SHIFT) - 1);
	struct pci_function *f = NULL;
	struct pci *p = dev;

	pthread_mutex_lock(&p->lock);
	if (!write)
		memcpy(data, p->ecam + offset, len);
	else if (slot < PCI_SLOTS && p->slot[slot] &&
		 at < PCI_CONFIG_BYTES && len <= PCI_CONFIG_BYTES - at) {
		f = p->slot[slot];
		config_write(f, at, data, len);
	}
	pthread_mutex_unlock(&p->lock);
	if (f && f->written)
		f->written(f->dev, (unsigned int)at, len);
}

/* ---- building ---- */

static void place_bar(struct pci *p, struct pci_function *f, unsigned int n)
{
	const struct pci_bar *b = &f->bar[n];
	uint32_t *next = b->io ? &p->next_io : &p->next_mmio;
	uint32_t end = b->io ? PCI_PORT_BASE + PCI_PORT_BYTES :
			       PCI_MMIO_BASE + PCI_MMIO_BYTES;
	uint32_t at = (*next + b->bytes - 1) & ~(b->bytes - 1);

	if (at + b->bytes > end)
		die("internal: no room for a device's registers");
	*next = at + b->bytes;
	set32(f, BAR_OFFSET(n), at | (b->io ? PCI_BASE_ADDRESS_SPACE_IO : 0));
	/* An I/O address has 16 bits on a PC. */
	allow32(f, BAR_OFFSET(n),
		(b->io ? 0xffffU : ~0U) & ~(b->bytes - 1));
}

/* Room for a capability, linked to the one before it. */
static unsigned int new_capability(struct pci_function *f, uint8_t id,
				   unsigned int bytes)
{
	unsigned int at = f->next_cap;

	if (at + bytes > PCI_CONFIG_BYTES)
		die("internal: no room for a capability");
	f->config[f->last_cap ? f->last_cap + PCI_CAP_LIST_NEXT :
		  PCI_CAPABILITY_LIST] = (uint8_t)at;
	f->config[at] = id;
	f->last_cap = at;
	f->next_cap = (at + bytes + 3) & ~3U;
	set16(f, PCI_STATUS, PCI_STATUS_CAP_LIST);
	return at;
}

unsigned int pci_add_capability(struct pci_function *f, const void *body,
				unsigned int bytes)
{
	unsigned int at = new_capability(f, PCI_CAP_ID_VNDR, 2 + bytes);

	memcpy(f->config + at + 2, body, bytes);
	publish(f);
	return at;
}

void pci_allow(struct pci_function *f, unsigned int at, unsigned int bytes)
{
	memset(f->writable + at, 0xff, bytes);
}

void pci_config_get(struct pci_function *f, unsigned int at, void *data,
		    unsigned int bytes)
{
	pthread_mutex_lock(&f->bus->lock);
	memcpy(data, f->config + at, bytes);
	pthread_mutex_unlock(&f->bus->lock);
}

void pci_config_set(struct pci_function *f, unsigned int at, const void *data,
		    unsigned int bytes)
{
	pthread_mutex_lock(&f->bus->lock);
	memcpy(f->config + at, data, bytes);
	publish(f);
	pthread_mutex_unlock(&f->bus->lock);
}

static void add_msix(struct pci_function *f)
{
	unsigned int at = new_capability(f, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);

	f->msix_cap = at;
	set16(f, at + PCI_MSIX_FLAGS, (uint16_t)(f->vectors - 1));
	allow16(f, at + PCI_MSIX_FLAGS, MSIX_ENABLE | MSIX_MASK_ALL);
	set32(f, at + PCI_MSIX_TABLE, f->msix_bar);
	set32(f, at + PCI_MSIX_PBA, MSIX_PBA_OFFSET | f->msix_bar);
}

void pci_add(struct pci *p, struct pci_function *f)
{
	unsigned int n, slot = FIRST_SLOT + p->count;

	if (slot >= PCI_SLOTS)
		die("too many devices: a machine has %d at most",
		    PCI_SLOTS - FIRST_SLOT);
	f->bus = p;
	f->slot = slot;
	f->next_cap = FIRST_CAP;
	set16(f, PCI_VENDOR_ID, f->vendor);
	set16(f, PCI_DEVICE_ID, f->device);
	set16(f, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	allow16(f, PCI_COMMAND, COMMAND_MASK);
	set32(f, PCI_CLASS_REVISION, f->class_code << 8 | f->revision);
	set16(f, PCI_SUBSYSTEM_VENDOR_ID, f->subvendor);
	set16(f, PCI_SUBSYSTEM_ID, f->subdevice);
	f->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	f->writable[PCI_LATENCY_TIMER] = 0xff;
	f->writable[PCI_INTERRUPT_LINE] = 0xff;
	for (n = 0; n < PCI_BARS; n++)
		if (f->bar[n].bytes)
			place_bar(p, f, n);
	if (f->msix)
		add_msix(f);
	p->count++;
	p->slot[slot] = f;
	/* What is behind 256 bytes reads as the end of a list. */
	memset(p->ecam + (slot << ECAM_SLOT_SHIFT), 0, ECAM_FUNCTION);
	publish(f);
}

struct pci *pci_create_over(struct machine *m, uint8_t *ecam)
{
	struct pci *p = xcalloc(1, sizeof(*p));

	pthread_mutex_init(&p->lock, NULL);
	p->ecam = ecam;
	p->next_io = PCI_PORT_BASE;
	p->next_mmio = PCI_MMIO_BASE;
	memset(ecam, 0xff, PCI_ECAM_BYTES);
	bus_add(&m->ports, PCI_PORT_BASE, PCI_PORT_BYTES, io_window, p);
	bus_add(&m->mmio, PCI_MMIO_BASE, PCI_MMIO_BYTES, mmio_window, p);
	bus_add(&m->mmio, PCI_ECAM_BASE, PCI_ECAM_BYTES, config_window, p);
	return p;
}

struct pci *pci_create(struct machine *m)
{
	void *ecam;
	int ret = posada_memory_add(m->vm, SLOT_ECAM, PCI_ECAM_BASE,
				    PCI_ECAM_BYTES, POSADA_SLOT_READONLY, NULL,
				    &ecam);

	if (ret < 0)
		die("cannot map the PCI configuration space: %s",
		    strerror(-ret));
	return pci_create_over(m, ecam);
}

void pci_free(struct pci *p)
{
	if (!p)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p);
}
