// SPDX-License-Identifier: GPL-2.0
/*
 * The port devices that are a few lines each:
 *
 *	0x0060, 0x0064	no keyboard controller; 0xfe to 0x64 resets
 *	0x0070, 0x0071	no clock chip: reads all ones
 *	0x0080		delays and POST codes
 *	0x00f4		debug exit: a write of v ends with status (v << 1) | 1
 *	0x0510, 0x0511	fw_cfg: signature, memory, CPUs, for test guests
 *	0x0600, 0x0601	ACPI sleep control and status
 *	0x0cf9		reset
 *	0x2000-0x2017	interrupt lines, as the pc-testdev of test guests
 */
#include <stdlib.h>
#include <string.h>

#include "ioapic.h"
#include "machine.h"

#define I8042_PORT	0x60
#define I8042_COMMAND	4	/* from I8042_PORT */
#define I8042_PULSE	0xfe
#define CMOS_PORT	0x70
#define POST_PORT	0x80
#define DEBUG_EXIT_PORT	0xf4
#define FW_CFG_PORT	0x510
#define TEST_LINES_PORT	0x2000

#define SLEEP_ENABLE	0x20
#define SLEEP_TYPE(v)	((v) >> 2 & 7)
#define RESET_CPU	0x04

static uint32_t written(const void *data, unsigned int len)
{
	uint32_t value = 0;

	memcpy(&value, data, len < 4 ? len : 4);
	return value;
}

static void debug_exit(void *dev, uint64_t offset, void *data,
		       unsigned int len, bool write)
{
	struct machine *m = dev;

	if (write && !offset)
		machine_stop(m, (int)(written(data, len) << 1 & 0xff) | 1,
			     NULL);
}

static void i8042(void *dev, uint64_t offset, void *data, unsigned int len,
		  bool write)
{
	struct machine *m = dev;

	if (write && offset == I8042_COMMAND &&
	    (written(data, len) & 0xff) == I8042_PULSE)
		machine_stop(m, 0, NULL);
}

static void reset(void *dev, uint64_t offset, void *data, unsigned int len,
		  bool write)
{
	struct machine *m = dev;

	(void)offset;
	if (write && written(data, len) & RESET_CPU)
		machine_stop(m, 0, NULL);
	else if (!write)
		memset(data, 0, len);
}

static void power(void *dev, uint64_t offset, void *data, unsigned int len,
		  bool write)
{
	struct machine *m = dev;
	uint32_t value = written(data, len);

	if (!write)
		memset(data, 0, len);
	else if (!offset && value & SLEEP_ENABLE &&
		 SLEEP_TYPE(value) == SLEEP_TYPE_S5)
		machine_stop(m, 0, NULL);
}

/* Ports that are there so that nobody has to search the list for them. */
static void nobody(void *dev, uint64_t offset, void *data, unsigned int len,
		   bool write)
{
	(void)dev;
	(void)offset;
	(void)data;
	(void)len;
	(void)write;
}

static void test_lines(void *dev, uint64_t offset, void *data,
		       unsigned int len, bool write)
{
	struct machine *m = dev;

	if (write)
		ioapic_set(m->ioapic, (unsigned int)offset,
			   written(data, len) & 0xff);
}

/* ---- fw_cfg: a selected item is read byte by byte ---- */

#define FW_CFG_SIGNATURE	0x00
#define FW_CFG_ID		0x01
#define FW_CFG_RAM_SIZE		0x03
#define FW_CFG_NB_CPUS		0x05
#define FW_CFG_MAX_CPUS		0x0f

static pthread_mutex_t fw_lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t fw_item[8];		/* under fw_lock, as is the next */
static unsigned int fw_at;

static void fw_select(struct machine *m, uint16_t key)
{
	uint64_t value;

	switch (key) {
	case FW_CFG_SIGNATURE:
		memcpy(&value, "QEMU\0\0\0", sizeof(value));
		break;
	case FW_CFG_ID:
		value = 1;
		break;
	case FW_CFG_RAM_SIZE:
		value = m->low_bytes + m->high_bytes;
		break;
	case FW_CFG_NB_CPUS:
	case FW_CFG_MAX_CPUS:
		value = m->nr_cpus;
		break;
	default:
		value = 0;
	}
	memcpy(fw_item, &value, sizeof(value));
	fw_at = 0;
}

static void fw_cfg(void *dev, uint64_t offset, void *data, unsigned int len,
		   bool write)
{
	uint8_t *bytes = data;
	unsigned int i;

	pthread_mutex_lock(&fw_lock);
	if (write && !offset)
		fw_select(dev, (uint16_t)written(data, len));
	for (i = 0; !write && i < len; i++)
		bytes[i] = fw_at < sizeof(fw_item) ? fw_item[fw_at++] : 0;
	pthread_mutex_unlock(&fw_lock);
}

void misc_init(struct machine *m)
{
	static const struct {
		uint16_t port;
		uint16_t bytes;
		bus_fn fn;
	} devices[] = {
		{ DEBUG_EXIT_PORT, 4, debug_exit },
		{ POST_PORT, 1, nobody },
		{ SLEEP_CONTROL_PORT, 2, power },
		{ RESET_PORT, 1, reset },
		{ I8042_PORT, 5, i8042 },
		{ CMOS_PORT, 2, nobody },
		{ FW_CFG_PORT, 2, fw_cfg },
		{ TEST_LINES_PORT, IOAPIC_PINS, test_lines },
	};
	size_t i;

	for (i = 0; i < sizeof(devices) / sizeof(*devices); i++)
		bus_add(&m->ports, devices[i].port, devices[i].bytes,
			devices[i].fn, m);
}
