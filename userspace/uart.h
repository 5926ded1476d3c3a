/* SPDX-License-Identifier: GPL-2.0 */
/* A 16550A serial port. */
#ifndef UART_H
#define UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine;
struct uart;

/* Take a byte that the guest sends; called with the port's lock held. */
typedef void (*uart_tx_fn)(void *ctx, uint8_t byte);

/* A port at @port with interrupt @pin. @room_fd (-1: none) is an eventfd that
 * is signalled when uart_room() may have grown.
 */
struct uart *uart_create(struct machine *m, uint16_t port, unsigned int pin,
			 uart_tx_fn tx, void *ctx, int room_fd);
void uart_free(struct uart *u);
/* How many bytes uart_receive() would take now. */
size_t uart_room(struct uart *u);
/* Give the guest input, at most uart_room() bytes; -> how many it took. */
size_t uart_receive(struct uart *u, const uint8_t *data, size_t bytes);

#endif /* UART_H */
