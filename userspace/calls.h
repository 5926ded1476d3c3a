/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a guest asks its VMM for by hypercalls: a last message, power off, a
 * console, and to take back free pages. Output of the console goes where COM1's
 * does; the terminal's input with --console ring.
 */
#ifndef CALLS_H
#define CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct calls;
struct machine;
struct posada_exit_system;

/* @room_fd: an eventfd that is signalled when calls_room() may have grown. */
struct calls *calls_create(struct machine *m, int room_fd);
void calls_start(struct calls *c);
/* The rest of the output is out; when no vCPU runs any more. */
void calls_stop(struct calls *c);
void calls_free(struct calls *c);

/* Serve the exit, in a vCPU's thread. -> whether the guest runs on. */
bool calls_serve(struct calls *c, struct posada_exit_system *x);

size_t calls_room(struct calls *c);
size_t calls_receive(struct calls *c, const uint8_t *data, size_t bytes);

#endif /* CALLS_H */
