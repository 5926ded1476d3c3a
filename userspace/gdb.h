/* SPDX-License-Identifier: GPL-2.0 */
/*
 * --gdb: the guest under gdb, by its remote protocol. All vCPUs stop together.
 *
 * A vCPU's thread passes a gate before each run. While gdb holds the guest,
 * all are parked there, with their registers in the run page, and vCPUs and
 * memory are the gdb thread's.
 */
#ifndef GDB_H
#define GDB_H

#include <stdbool.h>

struct gdb;
struct machine;
struct posada_run;
struct vcpu_thread;

/* Listen. @where: [HOST]:PORT, PORT or unix:PATH, and maybe ",nowait" behind;
 * without that the guest waits for gdb to continue it.
 */
struct gdb *gdb_create(struct machine *m, const char *where);
void gdb_start(struct gdb *g);

/* Of a vCPU's thread: before each run; where it must, it waits. */
void gdb_gate(struct vcpu_thread *t);
/* After an exit of which nothing is left to do: it may end a step. */
void gdb_after(struct vcpu_thread *t, const struct posada_run *run);
/* A debug exit. */
void gdb_debug_exit(struct vcpu_thread *t, struct posada_run *run);
/* A port exit that is a breakpoint in truth. */
bool gdb_port_exit(struct vcpu_thread *t, const struct posada_run *run);
/* The guest is about to die here: let gdb look first. */
void gdb_death(struct vcpu_thread *t);

/* Does it hold the guest? NULL holds nothing. */
bool gdb_holds(struct gdb *g);

/* The machine stops: nobody waits at the gate any more. */
void gdb_release(struct gdb *g);
/* Tell gdb the end; after all vCPU threads have ended. */
void gdb_finish(struct gdb *g);

#endif /* GDB_H */
