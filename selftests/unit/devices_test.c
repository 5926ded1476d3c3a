// SPDX-License-Identifier: GPL-2.0
/*
 * The tool's devices, without a guest: what a driver would write and read, and
 * which messages come out. KTAP.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../userspace/exec.h"
#include "../../userspace/image.h"
#include "../../userspace/ioapic.h"
#include "../../userspace/term.h"
#include "../../userspace/uart.h"
#include "unit.h"

#define COM1		COM1_PORT
#define VECTOR		0x31
#define LEVEL		0x8000U
#define MASKED		0x10000U

static struct machine *m;
static struct config cfg = { .vcpus = 3, .mem = 64 * MIB };
static unsigned int messages, sent;
static struct posada_msi last;
static uint8_t output[64];
static int stopped;		/* the status, or -1 */
static uint8_t *low;		/* the first megabyte */

/* ---- what the devices call ---- */

int posada_msi(struct posada_vm *vm, uint64_t addr, uint32_t data)
{
	(void)vm;
	messages++;
	last.addr = addr;
	last.data = data;
	return 1;
}

void machine_stop(struct machine *machine, int status, char *words)
{
	(void)machine;
	free(words);
	stopped = status;
}

void *guest_memory(struct machine *machine, uint64_t gpa, uint64_t bytes,
		   const char *what)
{
	(void)machine;
	(void)what;
	return gpa + bytes <= MIB ? low + gpa : NULL;
}

void term_restore(void)
{
}

bool term_is_raw(void)
{
	return false;
}

static void take_output(void *ctx, uint8_t byte)
{
	(void)ctx;
	output[sent++ % sizeof(output)] = byte;
}

/* ---- shorthands ---- */

static void out(uint16_t port, uint8_t value)
{
	bus_access(&m->ports, port, &value, 1, true);
}

static uint8_t in(uint16_t port)
{
	uint8_t value;

	bus_access(&m->ports, port, &value, 1, false);
	return value;
}

static void redirect(unsigned int pin, uint32_t low_word)
{
	uint32_t v = 0x10 + 2 * pin;

	bus_access(&m->mmio, IOAPIC_GPA, &v, 4, true);
	bus_access(&m->mmio, IOAPIC_GPA + 0x10, &low_word, 4, true);
}

static uint32_t redirection(unsigned int pin)
{
	uint32_t v = 0x10 + 2 * pin;

	bus_access(&m->mmio, IOAPIC_GPA, &v, 4, true);
	bus_access(&m->mmio, IOAPIC_GPA + 0x10, &v, 4, false);
	return v;
}

static void set_up(void)
{
	m = calloc(1, sizeof(*m));
	low = calloc(1, MIB);
	m->cfg = &cfg;
	m->nr_cpus = cfg.vcpus;
	m->low_bytes = cfg.mem;
	m->exec_status = -1;
	m->ioapic = ioapic_create(m);
	m->com1 = uart_create(m, COM1, COM1_PIN, take_output, NULL, -1);
	misc_init(m);
	messages = sent = 0;
	stopped = -1;
}

static void tear_down(void)
{
	uart_free(m->com1);
	ioapic_free(m->ioapic);
	free(low);
	free(m);
}

/* ---- the serial port ---- */

/* What Linux does to tell a 16550A from its kin. */
static bool uart_is_a_16550a(void)
{
	out(COM1 + 1, 0);
	out(COM1 + 1, 0x0f);
	CHECK(in(COM1 + 1) == 0x0f);
	out(COM1 + 1, 0);
	out(COM1 + 4, 0x1a);		/* loopback: OUT2, RTS */
	CHECK((in(COM1 + 6) & 0xf0) == 0x90);
	out(COM1 + 4, 0);
	CHECK((in(COM1 + 6) & 0xf0) == 0xb0);
	out(COM1 + 2, 1);
	CHECK((in(COM1 + 2) & 0xc0) == 0xc0);
	out(COM1 + 7, 0x5a);
	CHECK(in(COM1 + 7) == 0x5a);
	out(COM1 + 3, 0x83);
	out(COM1, 12);
	CHECK(in(COM1) == 12 && in(COM1 + 1) == 0);
	out(COM1 + 3, 3);
	return true;
}

static bool uart_sends(void)
{
	CHECK(in(COM1 + 5) == 0x60);
	out(COM1, 'a');
	out(COM1, 'b');
	CHECK(sent == 2 && output[0] == 'a' && output[1] == 'b');
	CHECK(in(COM1 + 5) == 0x60);
	return true;
}

static bool uart_interrupts_when_empty(void)
{
	redirect(COM1_PIN, VECTOR);
	out(COM1 + 1, 2);
	CHECK(messages == 1 && (last.data & 0xff) == VECTOR);
	CHECK(in(COM1 + 2) == 2);
	CHECK(in(COM1 + 2) == 1);	/* reading has cleared it */
	out(COM1, 'x');
	CHECK(messages == 2);
	return true;
}

static bool uart_receives_by_trigger_and_timeout(void)
{
	redirect(COM1_PIN, VECTOR);
	out(COM1 + 2, 0x41);		/* FIFO, trigger at 4 */
	CHECK(!uart_room(m->com1));	/* nobody listens yet */
	out(COM1 + 1, 1);
	CHECK(uart_room(m->com1) == 16);
	CHECK(uart_receive(m->com1, (uint8_t *)"abcde", 5) == 5);
	CHECK(messages == 1 && in(COM1 + 2) == 0xc4);
	CHECK(in(COM1) == 'a' && in(COM1) == 'b');
	CHECK(in(COM1 + 2) == 0xcc && in(COM1 + 5) == 0x61);
	CHECK(in(COM1) == 'c' && in(COM1) == 'd' && in(COM1) == 'e');
	CHECK(in(COM1 + 2) == 0xc1 && in(COM1 + 5) == 0x60);
	return true;
}

static bool uart_never_overruns(void)
{
	uint8_t data[40] = { 0 };

	out(COM1 + 2, 1);
	out(COM1 + 1, 1);
	CHECK(uart_receive(m->com1, data, sizeof(data)) == 16);
	CHECK(!uart_room(m->com1) && !uart_receive(m->com1, data, 1));
	in(COM1);
	CHECK(uart_room(m->com1) == 1);
	out(COM1 + 2, 3);		/* clear */
	CHECK(uart_room(m->com1) == 16);
	return true;
}

static bool uart_serves_polling_guests(void)
{
	int i;

	for (i = 0; i < 100; i++)
		in(COM1 + 5);
	CHECK(uart_room(m->com1) == 1);
	CHECK(uart_receive(m->com1, (uint8_t *)"z", 1) == 1);
	CHECK(in(COM1 + 5) & 1 && in(COM1) == 'z');
	return true;
}

static bool uart_loops_back(void)
{
	out(COM1 + 4, 0x10);
	out(COM1, 'q');
	CHECK(!sent && in(COM1) == 'q');
	return true;
}

/* ---- the I/O APIC ---- */

static bool ioapic_edge(void)
{
	redirect(5, VECTOR);
	ioapic_set(m->ioapic, 5, true);
	ioapic_set(m->ioapic, 5, true);
	CHECK(messages == 1 && last.data == VECTOR);
	CHECK(last.addr == 0xfee00000);
	ioapic_set(m->ioapic, 5, false);
	ioapic_set(m->ioapic, 5, true);
	CHECK(messages == 2);
	ioapic_eoi(m->ioapic, VECTOR);
	CHECK(messages == 2);
	return true;
}

static bool ioapic_level(void)
{
	redirect(5, VECTOR | LEVEL);
	ioapic_set(m->ioapic, 5, true);
	CHECK(messages == 1 && redirection(5) & 0x4000);
	CHECK(last.data == (VECTOR | LEVEL | 0x4000));
	ioapic_eoi(m->ioapic, VECTOR);
	CHECK(messages == 2);		/* still high */
	ioapic_set(m->ioapic, 5, false);
	ioapic_eoi(m->ioapic, VECTOR);
	CHECK(messages == 2 && !(redirection(5) & 0x4000));
	return true;
}

static bool ioapic_mask(void)
{
	redirect(5, VECTOR | LEVEL | MASKED);
	ioapic_set(m->ioapic, 5, true);
	CHECK(!messages);
	redirect(5, VECTOR | LEVEL);
	CHECK(messages == 1);
	return true;
}

static bool ioapic_destination(void)
{
	uint32_t v = 0x11 + 2 * 5, dest;

	redirect(5, VECTOR | 0x900);	/* logical, lowest priority */
	bus_access(&m->mmio, IOAPIC_GPA, &v, 4, true);
	dest = 0xab000000 | 1U << 17;	/* extended id 1 */
	bus_access(&m->mmio, IOAPIC_GPA + 0x10, &dest, 4, true);
	ioapic_set(m->ioapic, 5, true);
	CHECK(last.addr == (0xfee00000 | 0xab << 12 | 1 << 5 | 4));
	CHECK(last.data == (VECTOR | 0x100));
	return true;
}

/* Any index, any width, any offset: it must only not crash. */
static bool ioapic_rubbish(void)
{
	uint64_t data = 0x0123456789abcdef, i;

	for (i = 0; i < 256; i++) {
		bus_access(&m->mmio, IOAPIC_GPA, &i, 4, true);
		bus_access(&m->mmio, IOAPIC_GPA + 0x10, &data, 4, i & 1);
		bus_access(&m->mmio, IOAPIC_GPA + i, &data, 1 << (i & 3),
			   i & 4);
	}
	return true;
}

/* ---- the small ones ---- */

static bool ports_that_end(void)
{
	uint32_t v = 0x10;

	bus_access(&m->ports, 0xf4, &v, 4, true);
	CHECK(stopped == 0x21);
	out(0xf4, 0);
	CHECK(stopped == 1);
	stopped = -1;
	out(RESET_PORT, 2);
	CHECK(stopped == -1);
	out(RESET_PORT, RESET_VALUE);
	CHECK(!stopped);
	stopped = -1;
	out(0x64, 0xfe);
	CHECK(!stopped);
	stopped = -1;
	out(SLEEP_CONTROL_PORT, 4 << 2 | 0x20);
	CHECK(stopped == -1);
	out(SLEEP_CONTROL_PORT, SLEEP_TYPE_S5 << 2 | 0x20);
	CHECK(!stopped);
	return true;
}

static bool nobody_reads_as_ones(void)
{
	uint64_t v = 0;

	CHECK(in(0x71) == 0xff && in(0x80) == 0xff && in(0x1234) == 0xff);
	bus_access(&m->mmio, 0xdead0000, &v, 8, false);
	CHECK(v == ~0ULL);
	v = 0;
	bus_access(&m->ports, COM1 + 7, &v, 4, false);	/* past the end */
	CHECK(v == 0xffffffff);
	return true;
}

static bool fw_cfg(void)
{
	uint16_t key = 5;

	bus_access(&m->ports, 0x510, &key, 2, true);
	CHECK(in(0x511) == 3 && in(0x511) == 0);
	key = 0;
	bus_access(&m->ports, 0x510, &key, 2, true);
	CHECK(in(0x511) == 'Q' && in(0x511) == 'E');
	return true;
}

/* ---- tables and archives ---- */

static uint8_t sum(const uint8_t *at, size_t bytes)
{
	uint8_t s = 0;

	while (bytes--)
		s += *at++;
	return s;
}

static uint32_t word(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, 4);
	return v;
}

static bool acpi_tables_add_up(void)
{
	uint64_t rsdp = acpi_build(m);
	uint8_t *r = low + rsdp, *x, *madt;

	CHECK(!memcmp(r, "RSD PTR ", 8) && !sum(r, 20) && !sum(r, 36));
	x = low + word(r + 24);
	CHECK(!memcmp(x, "XSDT", 4) && !sum(x, word(x + 4)));
	CHECK(!memcmp(low + word(r + 16), "RSDT", 4));
	CHECK(!memcmp(low + word(x + 36), "FACP", 4));
	CHECK(!sum(low + word(x + 36), 276));
	madt = low + word(x + 44);
	CHECK(!memcmp(madt, "APIC", 4) && !sum(madt, word(madt + 4)));
	CHECK(word(madt + 4) == 44 + 12 + 6 + 3 * 8);
	return true;
}

static bool acpi_tables_of_64_cpus_fit(void)
{
	m->nr_cpus = POSADA_MAX_VCPUS;
	CHECK(acpi_build(m) == BIOS_START);
	return true;
}

static bool exec_archive_is_newc(void)
{
	size_t bytes;
	char *a = (char *)exec_archive("true; false", &bytes);

	CHECK(!memcmp(a, "070701", 6) && !(bytes % 4));
	CHECK(!memcmp(a + 14, "000081ED", 8));		/* the mode */
	CHECK(!strcmp(a + 110, "posada-exec"));
	CHECK(!memcmp(a + 124, "#!/bin/sh\ntrue; false\n", 22));
	CHECK(!memcmp(a + 148, "070701", 6));
	CHECK(!strcmp(a + 148 + 110, "TRAILER!!!"));
	free(a);
	return true;
}

static bool exec_status(void)
{
	static const char *const lines[] = { "exit 256\n", "exit\n",
		"exit 1x\n", "exit -1\n", "noise exit 3\n" };
	struct exec *e = exec_create(m);
	unsigned int i;
	const char *c;

	for (i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		for (c = lines[i]; *c; c++)
			exec_put(e, (uint8_t)*c);
	CHECK(m->exec_status == -1);
	for (i = 0; i < 1000; i++)
		exec_put(e, 'x');
	for (c = "\nexit 42\r\n"; *c; c++)
		exec_put(e, (uint8_t)*c);
	CHECK(m->exec_status == 42);
	exec_free(e);
	return true;
}

static const struct unit_test tests[] = {
#define T(fn)	{ fn, #fn }
	T(uart_is_a_16550a), T(uart_sends), T(uart_interrupts_when_empty),
	T(uart_receives_by_trigger_and_timeout), T(uart_never_overruns),
	T(uart_serves_polling_guests), T(uart_loops_back), T(ioapic_edge),
	T(ioapic_level), T(ioapic_mask), T(ioapic_destination),
	T(ioapic_rubbish), T(ports_that_end), T(nobody_reads_as_ones),
	T(fw_cfg), T(acpi_tables_add_up), T(acpi_tables_of_64_cpus_fit),
	T(exec_archive_is_newc), T(exec_status),
};

int main(void)
{
	return unit_run(tests, sizeof(tests) / sizeof(*tests), set_up, tear_down);
}
