/* SPDX-License-Identifier: GPL-2.0 */
/* The terminal on stdin, and the console on stdout. */
#ifndef TERM_H
#define TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct console;
struct control;
struct machine;

/* Put the terminal, if stdin is one in the foreground, into raw mode; it is
 * put back by term_restore(), at exit, and by signals that kill.
 */
void term_raw(void);
void term_restore(void);
bool term_is_raw(void);

/* What tells the guest's init what terminal this is, for a kernel command line
 * that begins with @given; to be freed. "" where stdin is no terminal, or
 * @given says it already.
 */
char *term_words(const char *given);

/* Give the guest's console input; -> how much of it had room. */
size_t term_receive(struct machine *m, const uint8_t *data, size_t bytes);

/* Serve signals and input until the machine stops. */
void term_loop(struct machine *m, int room_fd);
/* Block the signals that term_loop() takes; before any thread starts. */
void term_block_signals(void);

/* Output goes to @fd (-1: none), and to @control (NULL: none). */
struct console *console_create(struct control *control, int fd);
/* Queue a byte of output. Waits while the queue is full, unless the console
 * has been told to stop waiting.
 */
void console_put(void *console, uint8_t byte);
/* Let nobody wait for room any more: the machine stops. */
void console_unblock(struct console *c);
/* Write out everything, end the thread. */
void console_finish(struct console *c);

#endif /* TERM_H */
