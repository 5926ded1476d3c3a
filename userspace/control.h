/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The control socket of a running VM, for `posada ps`, `stop` and the rest.
 * A client sends one line and gets lines back:
 *
 *	info, stats	"ok", then a field a line: "n NAME NUMBER", "s NAME TEXT"
 *	stop		"ok" when the power button has been pressed; the end of
 *			the connection when the VM has ended
 *	kill		the same, at once
 *	generation [NS]	"ok", then "n told N"; by NS the guest's wall clock is
 *			to step
 *	console		"ok", then the serial line, both ways
 *	exec		"ok", then frames of agent/protocol.h, both ways
 *
 * or "error TEXT".
 */
#ifndef CONTROL_H
#define CONTROL_H

#include <stddef.h>
#include <stdint.h>

struct config;
struct control;
struct machine;

#define CONTROL_LINE	256

/* Listen under cfg's name, or, without one, under one that is made up. A name
 * that is in use ends the program; NULL: no name, and no folder for it.
 */
struct control *control_create(const struct config *cfg);
void control_start(struct control *c, struct machine *m);
/* What the guest wrote to its serial line; for those who look on. */
void control_output(struct control *c, const uint8_t *data, size_t bytes);
/* The serial line may take input again. */
void control_room(struct control *c);
/* Close all, remove the socket; after the machine's threads have ended. */
void control_finish(struct control *c);

#endif /* CONTROL_H */
