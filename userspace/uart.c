// SPDX-License-Identifier: GPL-2.0
/*
 * A 16550A. What it sends is gone at once, so the transmitter is always empty
 * and each write of THR raises its interrupt again; what it receives waits in
 * a FIFO of 16, and no input is taken from outside that has no room there.
 *
 * Drivers throw the FIFO away when they open the port. So that input which was
 * piped in before is not lost, the port takes none but while the guest shows
 * that it listens: it has the receive interrupt enabled, or polls the line
 * status with nothing to send.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "ioapic.h"
#include "machine.h"
#include "uart.h"

#define PORT_BYTES	8
#define FIFO_BYTES	16
#define POLLS_LISTENING	32

enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5,
	MSR = 6, SCR = 7 };

#define IER_RDI		0x01
#define IER_THRI	0x02
#define IER_MSI		0x08
#define IER_ALL		0x0f
#define IIR_MSI		0x00
#define IIR_NONE	0x01
#define IIR_THRI	0x02
#define IIR_RDI		0x04
#define IIR_TIMEOUT	0x0c
#define IIR_FIFO	0xc0
#define FCR_ENABLE	0x01
#define FCR_CLEAR_RX	0x02
#define FCR_TRIGGER	6	/* shift of a 2-bit index */
#define LCR_DLAB	0x80
#define MCR_LOOP	0x10
#define MCR_ALL		0x1f
#define LSR_DR		0x01
#define LSR_THRE	0x20
#define LSR_TEMT	0x40
#define MSR_ALIVE	0xb0	/* carrier, data set ready, clear to send */

struct uart {
	struct ioapic *ioapic;
	unsigned int pin;
	uart_tx_fn tx;
	void *ctx;
	int room_fd;

	pthread_mutex_t lock;	/* guards all below */
	uint8_t ier, fcr, lcr, mcr, scr, divisor[2];
	uint8_t msr_delta;
	bool thre;		/* THR-empty interrupt pending */
	bool line;
	bool listening;
	unsigned int polls;	/* of LSR since the last byte sent */
	uint8_t rx[FIFO_BYTES];
	unsigned int rx_head, rx_count;
};

/* ---- interrupts ---- */

static unsigned int rx_trigger(const struct uart *u)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return u->fcr & FCR_ENABLE ? levels[u->fcr >> FCR_TRIGGER] : 1;
}

/* The most urgent cause. A FIFO below its trigger level times out at once. */
static uint8_t cause(const struct uart *u)
{
	if (u->ier & IER_RDI && u->rx_count >= rx_trigger(u))
		return IIR_RDI;
	if (u->ier & IER_RDI && u->rx_count)
		return IIR_TIMEOUT;
	if (u->ier & IER_THRI && u->thre)
		return IIR_THRI;
	if (u->ier & IER_MSI && u->msr_delta)
		return IIR_MSI;
	return IIR_NONE;
}

static void update_line(struct uart *u)
{
	bool line = cause(u) != IIR_NONE;

	if (line == u->line)
		return;
	u->line = line;
	ioapic_set(u->ioapic, u->pin, line);
}

/* ---- receive ---- */

static size_t room(const struct uart *u)
{
	unsigned int depth = u->fcr & FCR_ENABLE ? FIFO_BYTES : 1;

	if (!u->listening || u->mcr & MCR_LOOP || u->rx_count >= depth)
		return 0;
	return depth - u->rx_count;
}

static void tell_room(struct uart *u)
{
	if (u->room_fd >= 0 && room(u))
		eventfd_write(u->room_fd, 1);
}

static void rx_put(struct uart *u, uint8_t byte)
{
	if (u->rx_count == FIFO_BYTES)
		return;
	u->rx[(u->rx_head + u->rx_count++) % FIFO_BYTES] = byte;
}

static uint8_t rx_get(struct uart *u)
{
	uint8_t byte;

	if (!u->rx_count)
		return 0;
	byte = u->rx[u->rx_head];
	u->rx_head = (u->rx_head + 1) % FIFO_BYTES;
	/* Ask for more when the FIFO is empty: bursts, not single bytes. */
	if (!--u->rx_count)
		tell_room(u);
	return byte;
}

static void set_listening(struct uart *u, bool listening)
{
	if (u->listening == listening)
		return;
	u->listening = listening;
	tell_room(u);
}

/* ---- registers ---- */

/* In loopback the four outputs are the four inputs. */
static uint8_t modem_status(const struct uart *u)
{
	uint8_t out = u->mcr;

	if (!(u->mcr & MCR_LOOP))
		return MSR_ALIVE;
	return (uint8_t)((out & 1) << 5 | (out & 2) << 3 | (out & 4) << 4 |
			 (out & 8) << 4);
}

static void write_mcr(struct uart *u, uint8_t value)
{
	uint8_t before = modem_status(u), changed;

	u->mcr = value & MCR_ALL;
	changed = before ^ modem_status(u);
	/* RI (bit 6) counts when it falls, the others when they change. */
	if (changed & 0x40 && !(before & 0x40))
		changed &= ~0x40;
	u->msr_delta |= changed >> 4;
	tell_room(u);
}

static void write_fcr(struct uart *u, uint8_t value)
{
	if ((value ^ u->fcr) & FCR_ENABLE || value & FCR_CLEAR_RX)
		u->rx_count = 0;
	u->fcr = value & (FCR_ENABLE | 3U << FCR_TRIGGER);
	tell_room(u);
}

static void write_ier(struct uart *u, uint8_t value)
{
	if (value & ~u->ier & IER_THRI)
		u->thre = true;
	u->ier = value & IER_ALL;
	set_listening(u, u->ier & IER_RDI);
}

static void write_thr(struct uart *u, uint8_t value)
{
	if (u->mcr & MCR_LOOP)
		rx_put(u, value);
	else
		u->tx(u->ctx, value);
	u->thre = true;
	u->polls = 0;
}

static uint8_t read_iir(struct uart *u)
{
	uint8_t iir = cause(u);

	if (iir == IIR_THRI)
		u->thre = false;
	return iir | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct uart *u)
{
	if (++u->polls == POLLS_LISTENING)
		set_listening(u, true);
	return LSR_THRE | LSR_TEMT | (u->rx_count ? LSR_DR : 0);
}

static uint8_t read_msr(struct uart *u)
{
	uint8_t value = modem_status(u) | u->msr_delta;

	u->msr_delta = 0;
	return value;
}

static void write_byte(struct uart *u, unsigned int reg, uint8_t value)
{
	if (reg <= IER && u->lcr & LCR_DLAB) {
		u->divisor[reg] = value;
		return;
	}
	switch (reg) {
	case THR:
		write_thr(u, value);
		break;
	case IER:
		write_ier(u, value);
		break;
	case FCR:
		write_fcr(u, value);
		break;
	case LCR:
		u->lcr = value;
		break;
	case MCR:
		write_mcr(u, value);
		break;
	case SCR:
		u->scr = value;
		break;
	}
}

static uint8_t read_byte(struct uart *u, unsigned int reg)
{
	if (reg <= IER && u->lcr & LCR_DLAB)
		return u->divisor[reg];
	switch (reg) {
	case RBR:
		return rx_get(u);
	case IER:
		return u->ier;
	case IIR:
		return read_iir(u);
	case LCR:
		return u->lcr;
	case MCR:
		return u->mcr;
	case LSR:
		return read_lsr(u);
	case MSR:
		return read_msr(u);
	default:
		return u->scr;
	}
}

/* A wide access is a series of byte accesses, as on the ISA bus. */
static void uart_io(void *dev, uint64_t offset, void *data, unsigned int len,
		    bool write)
{
	struct uart *u = dev;
	uint8_t *bytes = data;
	unsigned int i;

	pthread_mutex_lock(&u->lock);
	for (i = 0; i < len; i++) {
		if (write)
			write_byte(u, (unsigned int)offset + i, bytes[i]);
		else
			bytes[i] = read_byte(u, (unsigned int)offset + i);
	}
	update_line(u);
	pthread_mutex_unlock(&u->lock);
}

/* ---- the outside ---- */

size_t uart_room(struct uart *u)
{
	size_t n;

	pthread_mutex_lock(&u->lock);
	n = room(u);
	pthread_mutex_unlock(&u->lock);
	return n;
}

size_t uart_receive(struct uart *u, const uint8_t *data, size_t bytes)
{
	size_t i, n;

	pthread_mutex_lock(&u->lock);
	n = room(u);
	if (n > bytes)
		n = bytes;
	for (i = 0; i < n; i++)
		rx_put(u, data[i]);
	update_line(u);
	pthread_mutex_unlock(&u->lock);
	return n;
}

struct uart *uart_create(struct machine *m, uint16_t port, unsigned int pin,
			 uart_tx_fn tx, void *ctx, int room_fd)
{
	struct uart *u = xcalloc(1, sizeof(*u));

	u->ioapic = m->ioapic;
	u->pin = pin;
	u->tx = tx;
	u->ctx = ctx;
	u->room_fd = room_fd;
	u->divisor[0] = 1;
	pthread_mutex_init(&u->lock, NULL);
	bus_add(&m->ports, port, PORT_BYTES, uart_io, u);
	return u;
}

void uart_free(struct uart *u)
{
	pthread_mutex_destroy(&u->lock);
	free(u);
}
