// SPDX-License-Identifier: GPL-2.0
/*
 * The two transports of virtio devices, PCI and MMIO: configuration space,
 * registers, interrupts, with a driver model in place of a guest. KTAP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "../../userspace/ioapic.h"
#include "../../userspace/machine.h"
#include "../../userspace/msix.h"
#include "../../userspace/pci.h"
#include "../../userspace/virtio_transport.h"
#include "vdriver.h"

#define PACKED		(1ULL << VIRTIO_F_RING_PACKED)

static struct vdriver v;

/* ---- what the code under test calls ---- */

static unsigned int messages, bells;
static uint32_t last_data;

int posada_msi(struct posada_vm *vm, uint64_t addr, uint32_t data)
{
	(void)vm;
	(void)addr;
	messages++;
	last_data = data;
	return 1;
}

int posada_irqfd(struct posada_vm *vm, int fd, uint64_t addr, uint32_t data)
{
	(void)vm;
	(void)fd;
	(void)addr;
	(void)data;
	return 0;
}

int posada_irqfd_remove(struct posada_vm *vm, int fd)
{
	(void)vm;
	(void)fd;
	return 0;
}

int posada_doorbell(struct posada_vm *vm, struct posada_doorbell *bell)
{
	(void)vm;
	bells += bell->flags & POSADA_DOORBELL_DEASSIGN ? -1U : 1;
	return 0;
}

int posada_memory_add(struct posada_vm *vm, uint32_t slot, uint64_t gpa,
		      uint64_t bytes, uint32_t flags, int *memfd, void **hva)
{
	(void)vm;
	(void)slot;
	(void)gpa;
	(void)bytes;
	(void)flags;
	(void)memfd;
	(void)hva;
	return -1;
}

void term_restore(void)
{
}

bool term_is_raw(void)
{
	return false;
}

static void set_up(void)
{
	vd_init_echo(&v);
	messages = bells = 0;
}

static uint32_t seed = 1;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % below;
}

static bool works(uint64_t features)
{
	struct vd_buffer buf[2] = { { VD_BUFFERS, 16, false },
				    { VD_BUFFERS + 16, 16, true } };
	uint32_t bytes;
	uint16_t id;

	CHECK(vd_start(&v, features, 16));
	vd_add(&v.q[0], &v, 0, buf, 2, false);
	vd_kick(&v, &v.q[0]);
	CHECK(vd_used(&v.q[0], &v, &id, &bytes) && id == 0 && bytes == 16);
	return true;
}

/* ---- virtio-pci ---- */

static struct machine *m;
static struct pci *bus;
static struct virtio_pci *vp;
static uint8_t *ecam;

#define SLOT		(PCI_ECAM_BASE + 0x8000)

static uint32_t cfg(unsigned int at, unsigned int len)
{
	uint32_t value = 0;

	memcpy(&value, ecam + 0x8000 + at, len);
	return value;
}

static void cfg_write(unsigned int at, uint32_t value, unsigned int len)
{
	bus_access(&m->mmio, SLOT + at, &value, len, true);
}

static void out(unsigned int port, uint32_t value, unsigned int len)
{
	bus_access(&m->ports, port, &value, len, true);
}

static uint32_t in(unsigned int port, unsigned int len)
{
	uint32_t value = 0;

	bus_access(&m->ports, port, &value, len, false);
	return value;
}

static void pci_up(void)
{
	m = calloc(1, sizeof(*m));
	ecam = malloc(PCI_ECAM_BYTES);
	bus = pci_create_over(m, ecam);
	vp = virtio_pci_create(m, bus, v.d);
}

static void pci_down(void)
{
	virtio_pci_free(vp);
	pci_free(bus);
	vd_bind(&v, v.d);
	free(ecam);
	free(m);
}

static unsigned int find_cap(uint8_t id, int type)
{
	unsigned int at = cfg(PCI_CAPABILITY_LIST, 1);

	for (; at; at = cfg(at + 1, 1))
		if (cfg(at, 1) == id && (type < 0 || cfg(at + 3, 1) == (unsigned int)type))
			return at;
	return 0;
}

static bool pci_config_body(void)
{
	unsigned int cap = find_cap(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_NOTIFY_CFG);
	unsigned int port = cfg(PCI_BASE_ADDRESS_0, 4) & ~3U;

	CHECK(cfg(0, 4) == (0x1af4 | (0x1040 + 42) << 16));
	CHECK(cfg(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	CHECK(cap && cfg(cap + 16, 4) == 4 && bells == 2);
	CHECK(find_cap(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_COMMON_CFG) &&
	      find_cap(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_ISR_CFG) &&
	      find_cap(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_DEVICE_CFG));
	/* Nobody is in slots 0 and 2; nothing behind the first 256 bytes. */
	CHECK(ecam[0] == 0xff && ecam[0x10000] == 0xff && !cfg(0x100, 4));
	/* Sizing, with decoding off; the doorbells follow. */
	cfg_write(PCI_COMMAND, 0, 2);
	CHECK(!bells && in(port + 20, 1) == 0xff);
	cfg_write(PCI_BASE_ADDRESS_0, ~0U, 4);
	CHECK((cfg(PCI_BASE_ADDRESS_0, 4) & ~3U) == 0xff00);
	cfg_write(PCI_BASE_ADDRESS_1, ~0U, 4);
	CHECK(cfg(PCI_BASE_ADDRESS_1, 4) == 0xfffff000);
	cfg_write(PCI_BASE_ADDRESS_2, ~0U, 4);
	CHECK(!cfg(PCI_BASE_ADDRESS_2, 4));
	/* To another address, and one where the bridge does not lead. */
	cfg_write(PCI_BASE_ADDRESS_0, 0x5a00, 4);
	cfg_write(PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
	CHECK(bells == 2 && in(0x5a00 + 18, 2) == 2);
	cfg_write(PCI_BASE_ADDRESS_0, 0x300, 4);
	CHECK(!bells && in(0x300 + 18, 2) == 0xffff);
	/* What is read-only stays. */
	cfg_write(0, 0, 4);
	CHECK(cfg(0, 4) == (0x1af4 | (0x1040 + 42) << 16));
	return true;
}

static bool pci_config(void)
{
	bool ok;

	pci_up();
	ok = pci_config_body();
	pci_down();
	return ok;
}

static void set_vector(unsigned int n, uint32_t data, uint32_t control)
{
	uint64_t table = cfg(PCI_BASE_ADDRESS_1, 4) + 16 * n;
	uint32_t word[4] = { 0xfee00000, 0, data, control };
	int i;

	for (i = 0; i < 4; i++)
		bus_access(&m->mmio, table + 4U * i, &word[i], 4, true);
}

static bool pci_drive_body(void)
{
	unsigned int port = cfg(PCI_BASE_ADDRESS_0, 4) & ~3U;
	unsigned int msix = find_cap(PCI_CAP_ID_MSIX, -1);
	struct vd_buffer buf[2] = { { VD_BUFFERS, 16, false },
				    { VD_BUFFERS + 16, 16, true } };
	uint32_t pending = 0;

	CHECK(msix && (cfg(msix + 2, 2) & 0x7ff) == 2);
	set_vector(1, 0x41, 1);
	cfg_write(msix + 2, MSIX_ENABLE, 2);
	CHECK(in(port + 18, 2) == 2 && in(port + 20, 1) == 0);
	CHECK(vd_start(&v, 0, 16));
	out(port + 22, 0, 2);
	out(port + 26, 9, 2);			/* no such vector */
	CHECK(in(port + 26, 2) == 0xffff);
	out(port + 26, 1, 2);
	CHECK(in(port + 26, 2) == 1 && in(port + 28, 2) == 1);
	CHECK(in(port + 24, 2) == 16 && in(port + 32, 4) == VD_RINGS);
	CHECK(in(port + 0x40, 4) == 0x04030201 && in(port + 0x48, 4) == 0);
	/* Masked: pending; then it comes. */
	vd_add(&v.q[0], &v, 0, buf, 2, false);
	vd_kick(&v, &v.q[0]);
	CHECK(!messages);
	bus_access(&m->mmio, cfg(PCI_BASE_ADDRESS_1, 4) + MSIX_PBA_OFFSET,
		   &pending, 4, false);
	CHECK(pending == 2);
	set_vector(1, 0x41, 0);
	CHECK(messages == 1 && last_data == 0x41);
	CHECK(in(port + 0xa0, 1) == 1 && in(port + 0xa0, 1) == 0);
	vd_add(&v.q[0], &v, 2, buf, 2, false);
	vd_kick(&v, &v.q[0]);
	CHECK(messages == 2);
	/* A queue that is not there. */
	out(port + 22, 7, 2);
	CHECK(in(port + 24, 2) == 0);
	out(port + 28, 1, 2);
	/* A reset by the register forgets all of it. */
	out(port + 20, 0, 1);
	CHECK(in(port + 20, 1) == 0 && in(port + 26, 2) == 0xffff && !v.d->live);
	return true;
}

static bool pci_drive(void)
{
	bool ok;

	pci_up();
	ok = pci_drive_body();
	pci_down();
	return ok;
}

/* The window in configuration space: read the status, then write it. */
static bool pci_window_body(void)
{
	unsigned int cap = find_cap(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_PCI_CFG);

	CHECK(cap);
	cfg_write(cap + 4, 0, 1);
	cfg_write(cap + 12, 1, 4);
	cfg_write(cap + 8, 20, 4);
	CHECK(cfg(cap + 16, 1) == 0);
	cfg_write(cap + 16, 3, 1);
	CHECK(v.d->status == 3);
	cfg_write(cap + 8, 20, 4);
	CHECK(cfg(cap + 16, 1) == 3);
	/* Out of the BAR, and of a length that cannot be: nothing happens. */
	cfg_write(cap + 12, 4, 4);
	cfg_write(cap + 8, 0xfe, 4);
	cfg_write(cap + 8, 0xfffffffe, 4);
	cfg_write(cap + 12, 0xffffffff, 4);
	cfg_write(cap + 16, 0, 4);
	CHECK(v.d->status == 3);
	return true;
}

static bool pci_window(void)
{
	bool ok;

	pci_up();
	ok = pci_window_body();
	pci_down();
	return ok;
}

/* Every register, every width: nothing that a driver writes may do harm. */
static bool registers_take_anything(void)
{
	unsigned int i, port;

	pci_up();
	port = cfg(PCI_BASE_ADDRESS_0, 4) & ~3U;
	for (i = 0; i < 200000; i++) {
		unsigned int len = 1U << rnd(3);
		uint32_t value = rnd(3) ? rnd(1U << 20) : rnd(4);

		if (rnd(4))
			out(port + rnd(256), value, len);
		else if (rnd(2))
			in(port + rnd(256), len);
		else
			bus_access(&m->mmio, cfg(PCI_BASE_ADDRESS_1, 4) + rnd(4096),
				   &value, len, rnd(2));
	}
	virtio_set_status(v.d, 0);
	pci_down();
	return works(PACKED) && works(0);
}

/* ---- virtio-mmio ---- */

static uint32_t mmio_read(unsigned int reg)
{
	uint32_t value = 0;

	bus_access(&m->mmio, VIRTIO_MMIO_BASE + VIRTIO_MMIO_BYTES + reg, &value, 4, false);
	return value;
}

static void mmio_write(unsigned int reg, uint32_t value)
{
	bus_access(&m->mmio, VIRTIO_MMIO_BASE + VIRTIO_MMIO_BYTES + reg, &value, 4, true);
}

static void io_apic(unsigned int reg, uint32_t value)
{
	bus_access(&m->mmio, IOAPIC_GPA, &reg, 4, true);
	bus_access(&m->mmio, IOAPIC_GPA + 0x10, &value, 4, true);
}

static bool mmio_body(void)
{
	struct vd_buffer buf[2] = { { VD_BUFFERS, 16, false },
				    { VD_BUFFERS + 16, 16, true } };

	CHECK(mmio_read(0) == 0x74726976 && mmio_read(4) == 2 && mmio_read(8) == 42);
	mmio_write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	CHECK(mmio_read(VIRTIO_MMIO_DEVICE_FEATURES) & 1);
	CHECK(mmio_read(VIRTIO_MMIO_CONFIG) == 0x04030201);
	mmio_write(VIRTIO_MMIO_QUEUE_SEL, 9);
	CHECK(!mmio_read(VIRTIO_MMIO_QUEUE_NUM_MAX));
	mmio_write(VIRTIO_MMIO_QUEUE_SEL, 0);
	CHECK(mmio_read(VIRTIO_MMIO_QUEUE_NUM_MAX) == VQ_MAX_SIZE);
	CHECK(vd_start(&v, 0, 16));
	CHECK(mmio_read(VIRTIO_MMIO_STATUS) == 15 && mmio_read(VIRTIO_MMIO_QUEUE_READY));
	/* A level-triggered pin: sent once, and again after the EOI while high. */
	io_apic(0x10 + 2 * (VIRTIO_MMIO_FIRST_PIN + 1), 0x8000 | 0x51);
	vd_add(&v.q[0], &v, 0, buf, 2, false);
	vd_kick(&v, &v.q[0]);
	CHECK(messages == 1 && mmio_read(VIRTIO_MMIO_INTERRUPT_STATUS) == 1);
	ioapic_eoi(m->ioapic, 0x51);
	CHECK(messages == 2);
	mmio_write(VIRTIO_MMIO_INTERRUPT_ACK, 1);
	ioapic_eoi(m->ioapic, 0x51);
	CHECK(messages == 2 && !mmio_read(VIRTIO_MMIO_INTERRUPT_STATUS));
	mmio_write(VIRTIO_MMIO_QUEUE_NOTIFY, 99);
	mmio_write(VIRTIO_MMIO_STATUS, 0);
	CHECK(!mmio_read(VIRTIO_MMIO_STATUS) && !v.d->live);
	return true;
}

static bool mmio(void)
{
	struct virtio_mmio *vm;
	bool ok;

	m = calloc(1, sizeof(*m));
	m->ioapic = ioapic_create(m);
	vm = virtio_mmio_create(m, 1, v.d);
	ok = mmio_body();
	virtio_mmio_free(vm);
	vd_bind(&v, v.d);
	ioapic_free(m->ioapic);
	free(m);
	return ok;
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ pci_config, "PCI configuration space" },
		{ pci_drive, "virtio-pci registers and MSI-X" },
		{ pci_window, "virtio-pci's window in configuration space" },
		{ registers_take_anything, "registers take anything" },
		{ mmio, "virtio-mmio" },
	};

	return vd_run(&v, tests, sizeof(tests) / sizeof(*tests), set_up);
}
