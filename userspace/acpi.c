// SPDX-License-Identifier: GPL-2.0
/*
 * ACPI tables of a hardware-reduced platform (ACPI 6.5, chapter 5):
 *
 *	RSDP -> XSDT, RSDT -> FADT -> DSDT: two serial ports, CPUs, S5,
 *	                              a power button,
 *	                              a PCI bus or virtio-mmio devices
 *	                   -> MADT: local APICs, one I/O APIC
 *	                   -> MCFG: PCI configuration space, if there is PCI
 *
 * They lie where a BIOS has them, from 0xe0000 on, the RSDP first.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "aml.h"
#include "ioapic.h"
#include "machine.h"
#include "pci.h"
#include "virtio_transport.h"

#define TABLE_ALIGN	16
#define OEM_ID		"POSADA"
#define OEM_TABLE_ID	"POSADAVM"
#define CREATOR_ID	"PSDA"
#define NOTIFY_PRESSED	0x80

struct acpi_header {
	char signature[4];
	uint32_t bytes;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;		/* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t bytes;
	uint64_t xsdt;
	uint8_t checksum_all;
	uint8_t reserved[3];
} __attribute__((packed));

struct acpi_address {
	uint8_t space;
	uint8_t bits;
	uint8_t offset;
	uint8_t access;
	uint64_t address;
} __attribute__((packed));

#define SPACE_IO		1
#define ACCESS_BYTE		1

struct acpi_fadt {
	struct acpi_header h;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t unused1[65];
	uint16_t boot_arch;
	uint8_t unused2;
	uint32_t flags;
	struct acpi_address reset;
	uint8_t reset_value;
	uint8_t unused3[2];
	uint8_t minor;
	uint64_t x_facs;
	uint64_t x_dsdt;
	struct acpi_address unused4[8];
	struct acpi_address sleep_control;
	struct acpi_address sleep_status;
	char hypervisor[8];
} __attribute__((packed));

#define FADT_REVISION		6
#define FADT_MINOR		4
#define FADT_POWER_BUTTON	(1U << 4)	/* there is no fixed one */
#define FADT_SLEEP_BUTTON	(1U << 5)
#define FADT_RESET		(1U << 10)
#define FADT_HEADLESS		(1U << 12)
#define FADT_HW_REDUCED		(1U << 20)
#define BOOT_NO_VGA		(1U << 2)
#define BOOT_NO_RTC		(1U << 5)

struct acpi_madt {
	struct acpi_header h;
	uint32_t apic;
	uint32_t flags;			/* 0: there are no 8259s */
} __attribute__((packed));

#define MADT_REVISION		5
#define MADT_LOCAL_APIC		0
#define MADT_IOAPIC		1
#define MADT_NMI		4
#define MADT_ENABLED		1
#define MADT_ALL_CPUS		0xff
#define MADT_LINT1		1

struct madt_local_apic {
	uint8_t type;
	uint8_t bytes;
	uint8_t uid;
	uint8_t id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type;
	uint8_t bytes;
	uint8_t id;
	uint8_t reserved;
	uint32_t address;
	uint32_t first_gsi;
} __attribute__((packed));

struct madt_nmi {
	uint8_t type;
	uint8_t bytes;
	uint8_t uid;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));

struct acpi_mcfg {
	struct acpi_header h;
	uint64_t reserved;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus;
	uint8_t last_bus;
	uint32_t reserved2;
} __attribute__((packed));

_Static_assert(sizeof(struct acpi_mcfg) == 60, "MCFG");
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI table header");
_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP");
_Static_assert(sizeof(struct acpi_fadt) == 276, "FADT");
_Static_assert(offsetof(struct acpi_fadt, flags) == 112, "FADT flags");
_Static_assert(offsetof(struct acpi_fadt, sleep_control) == 244, "FADT sleep");
_Static_assert(sizeof(struct acpi_madt) == 44, "MADT");

/* Tables go in one behind the other. */
struct layout {
	struct machine *m;
	uint64_t next;
};

static uint8_t checksum(const void *data, size_t bytes)
{
	const uint8_t *at = data;
	uint8_t sum = 0;

	while (bytes--)
		sum += *at++;
	return -sum;
}

static uint64_t place(struct layout *l, const void *data, size_t bytes)
{
	uint64_t at = l->next;

	if (at + bytes > RESET_VECTOR)
		die("internal: no room for the ACPI tables");
	memcpy(guest_memory(l->m, at, bytes, "the ACPI tables"), data, bytes);
	l->next = (at + bytes + TABLE_ALIGN - 1) & ~(uint64_t)(TABLE_ALIGN - 1);
	return at;
}

/* Fill in the header of a table that is otherwise ready, and place it. */
static uint64_t finish(struct layout *l, struct acpi_header *h,
		       const char *signature, uint8_t revision, size_t bytes)
{
	memcpy(h->signature, signature, sizeof(h->signature));
	h->bytes = (uint32_t)bytes;
	h->revision = revision;
	memcpy(h->oem_id, OEM_ID, sizeof(h->oem_id));
	memcpy(h->oem_table_id, OEM_TABLE_ID, sizeof(h->oem_table_id));
	h->oem_revision = 1;
	memcpy(h->creator_id, CREATOR_ID, sizeof(h->creator_id));
	h->creator_revision = 1;
	h->checksum = 0;
	h->checksum = checksum(h, bytes);
	return place(l, h, bytes);
}

/* ---- DSDT ---- */

static void add_serial(struct aml *a, const char *name, uint32_t uid,
		       uint16_t port, uint32_t gsi)
{
	size_t device = aml_device(a, name), crs;

	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0501");
	aml_name(a, "_UID");
	aml_integer(a, uid);
	aml_name(a, "_CRS");
	crs = aml_buffer(a);
	aml_io(a, port, 8);
	aml_irq_edge(a, gsi);
	aml_end_tag(a);
	aml_close(a, crs);
	aml_close(a, device);
}

static void add_cpus(struct aml *a, unsigned int count)
{
	size_t container = aml_device(a, "CPUS"), cpu;
	char name[16];
	unsigned int i;

	aml_name(a, "_HID");
	aml_string(a, "ACPI0010");
	aml_name(a, "_CID");
	aml_eisa_id(a, "PNP0A05");
	for (i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "C%03X", i);
		cpu = aml_device(a, name);
		aml_name(a, "_HID");
		aml_string(a, "ACPI0007");
		aml_name(a, "_UID");
		aml_integer(a, i);
		aml_close(a, cpu);
	}
	aml_close(a, container);
}

static void add_s5(struct aml *a)
{
	size_t package;

	aml_name(a, "\\_S5_");
	package = aml_package(a, 4);
	aml_integer(a, SLEEP_TYPE_S5);
	aml_integer(a, 0);
	aml_integer(a, 0);
	aml_integer(a, 0);
	aml_close(a, package);
}

/* Linux takes configuration space for real only if a motherboard resource
 * says that nothing else is there.
 */
static void add_pci(struct aml *a)
{
	size_t device = aml_device(a, "PCI0"), crs;

	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0A08");
	aml_name(a, "_CID");
	aml_eisa_id(a, "PNP0A03");
	aml_name(a, "_SEG");
	aml_integer(a, 0);
	aml_name(a, "_BBN");
	aml_integer(a, 0);
	aml_name(a, "_UID");
	aml_integer(a, 0);
	aml_name(a, "_CRS");
	crs = aml_buffer(a);
	aml_bus_window(a, 0, PCI_LAST_BUS);
	aml_port_window(a, PCI_PORT_BASE, PCI_PORT_BYTES);
	aml_memory_window(a, PCI_MMIO_BASE, PCI_MMIO_BYTES);
	aml_end_tag(a);
	aml_close(a, crs);
	aml_close(a, device);

	device = aml_device(a, "ECAM");
	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0C02");
	aml_name(a, "_CRS");
	crs = aml_buffer(a);
	aml_memory32(a, PCI_ECAM_BASE, PCI_ECAM_BYTES);
	aml_end_tag(a);
	aml_close(a, crs);
	aml_close(a, device);
}

static void add_virtio_mmio(struct aml *a, unsigned int index)
{
	size_t device, crs;
	char name[16];

	snprintf(name, sizeof(name), "V%03X", index);
	device = aml_device(a, name);
	aml_name(a, "_HID");
	aml_string(a, "LNRO0005");
	aml_name(a, "_UID");
	aml_integer(a, index);
	aml_name(a, "_CRS");
	crs = aml_buffer(a);
	aml_memory32(a, (uint32_t)VIRTIO_MMIO_BASE + index * VIRTIO_MMIO_BYTES,
		     VIRTIO_MMIO_BYTES);
	aml_irq_level(a, VIRTIO_MMIO_FIRST_PIN + index);
	aml_end_tag(a);
	aml_close(a, crs);
	aml_close(a, device);
}

/* A power button, and the event device whose interrupt tells that it has been
 * pressed: hardware-reduced platforms have no fixed one.
 */
static void add_power_button(struct aml *a)
{
	size_t device = aml_device(a, "PWRB"), inner;

	aml_name(a, "_HID");
	aml_eisa_id(a, "PNP0C0C");
	aml_name(a, "_UID");
	aml_integer(a, 0);
	aml_close(a, device);

	device = aml_device(a, "GED_");
	aml_name(a, "_HID");
	aml_string(a, "ACPI0013");
	aml_name(a, "_UID");
	aml_integer(a, 0);
	aml_name(a, "_CRS");
	inner = aml_buffer(a);
	aml_irq_edge(a, POWER_BUTTON_PIN);
	aml_end_tag(a);
	aml_close(a, inner);
	inner = aml_method(a, "_EVT", 1);
	aml_notify(a, "PWRB", NOTIFY_PRESSED);
	aml_close(a, inner);
	aml_close(a, device);
}

static uint64_t build_dsdt(struct layout *l)
{
	struct acpi_header empty = { 0 };
	struct aml body = { 0 };
	size_t scope, bytes;
	unsigned int i;
	uint64_t at;
	uint8_t *table;

	add_s5(&body);
	scope = aml_scope(&body, "\\_SB_");
	add_cpus(&body, l->m->nr_cpus);
	add_serial(&body, "COM1", 1, COM1_PORT, COM1_PIN);
	add_serial(&body, "COM2", 2, COM2_PORT, COM2_PIN);
	add_power_button(&body);
	if (l->m->has_pci)
		add_pci(&body);
	for (i = 0; i < l->m->nr_mmio; i++)
		add_virtio_mmio(&body, i);
	aml_close(&body, scope);

	bytes = sizeof(empty) + body.bytes;
	table = xcalloc(1, bytes);
	memcpy(table + sizeof(empty), body.data, body.bytes);
	at = finish(l, (struct acpi_header *)table, "DSDT", 2, bytes);
	free(table);
	free(body.data);
	return at;
}

/* ---- FADT, MADT ---- */

static struct acpi_address port_register(uint16_t port)
{
	return (struct acpi_address){
		.space = SPACE_IO, .bits = 8, .access = ACCESS_BYTE,
		.address = port,
	};
}

static uint64_t build_fadt(struct layout *l, uint64_t dsdt)
{
	struct acpi_fadt f = {
		.dsdt = (uint32_t)dsdt,
		.x_dsdt = dsdt,
		.boot_arch = BOOT_NO_VGA | BOOT_NO_RTC,
		.flags = FADT_POWER_BUTTON | FADT_SLEEP_BUTTON | FADT_RESET |
			 FADT_HEADLESS | FADT_HW_REDUCED,
		.reset = port_register(RESET_PORT),
		.reset_value = RESET_VALUE,
		.minor = FADT_MINOR,
		.sleep_control = port_register(SLEEP_CONTROL_PORT),
		.sleep_status = port_register(SLEEP_STATUS_PORT),
		.hypervisor = "POSADA",
	};

	return finish(l, &f.h, "FACP", FADT_REVISION, sizeof(f));
}

static uint64_t build_madt(struct layout *l)
{
	struct {
		struct acpi_madt madt;
		struct madt_ioapic ioapic;
		struct madt_nmi nmi;
		struct madt_local_apic cpu[POSADA_MAX_VCPUS];
	} __attribute__((packed)) t = {
		.madt.apic = POSADA_APIC_BASE,
		.ioapic = {
			.type = MADT_IOAPIC, .bytes = sizeof(t.ioapic),
			.address = IOAPIC_GPA,
		},
		.nmi = {
			.type = MADT_NMI, .bytes = sizeof(t.nmi),
			.uid = MADT_ALL_CPUS, .lint = MADT_LINT1,
		},
	};
	unsigned int i, n = l->m->nr_cpus;

	for (i = 0; i < n; i++)
		t.cpu[i] = (struct madt_local_apic){
			.type = MADT_LOCAL_APIC, .bytes = sizeof(t.cpu[i]),
			.uid = (uint8_t)i, .id = (uint8_t)i,
			.flags = MADT_ENABLED,
		};
	return finish(l, &t.madt.h, "APIC", MADT_REVISION,
		      sizeof(t) - (POSADA_MAX_VCPUS - n) * sizeof(t.cpu[0]));
}

static uint64_t build_mcfg(struct layout *l)
{
	struct acpi_mcfg t = {
		.base = PCI_ECAM_BASE, .last_bus = PCI_ECAM_LAST_BUS,
	};

	return finish(l, &t.h, "MCFG", 1, sizeof(t));
}

/* ---- the roots ---- */

#define MAX_TABLES	3

static uint64_t build_xsdt(struct layout *l, const uint64_t *tables,
			   unsigned int count)
{
	struct {
		struct acpi_header h;
		uint64_t table[MAX_TABLES];
	} __attribute__((packed)) t = { 0 };

	memcpy(t.table, tables, count * sizeof(t.table[0]));
	return finish(l, &t.h, "XSDT", 1,
		      sizeof(t.h) + count * sizeof(t.table[0]));
}

/* For guests that know ACPI 1.0 only. */
static uint64_t build_rsdt(struct layout *l, const uint64_t *tables,
			   unsigned int count)
{
	struct {
		struct acpi_header h;
		uint32_t table[MAX_TABLES];
	} __attribute__((packed)) t = { 0 };
	unsigned int i;

	for (i = 0; i < count; i++)
		t.table[i] = (uint32_t)tables[i];
	return finish(l, &t.h, "RSDT", 1,
		      sizeof(t.h) + count * sizeof(t.table[0]));
}

uint64_t acpi_build(struct machine *m)
{
	struct acpi_rsdp r = {
		.oem_id = OEM_ID, .revision = 2, .bytes = sizeof(r),
	};
	struct layout l = { .m = m, .next = BIOS_START };
	uint64_t tables[MAX_TABLES], rsdp = place(&l, &r, sizeof(r));
	unsigned int n = 0;

	tables[n++] = build_fadt(&l, build_dsdt(&l));
	tables[n++] = build_madt(&l);
	if (m->has_pci)
		tables[n++] = build_mcfg(&l);
	memcpy(r.signature, "RSD PTR ", sizeof(r.signature));
	r.rsdt = (uint32_t)build_rsdt(&l, tables, n);
	r.xsdt = build_xsdt(&l, tables, n);
	r.checksum = checksum(&r, offsetof(struct acpi_rsdp, bytes));
	r.checksum_all = checksum(&r, sizeof(r));
	memcpy(guest_memory(m, rsdp, sizeof(r), "the RSDP"), &r, sizeof(r));
	return rsdp;
}
