/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A debugging session: what gdb asks, in terms of a target's operations. The
 * guest stands still while anything here is called.
 *
 *	gdb_packet.c	bytes <-> packets
 *	gdb_regs.c	registers, target.xml
 *	gdb_break.c	breakpoints, watchpoints, memory without them
 *	gdb_session.c	packets -> operations
 *	gdb.c		the operations, on vCPUs; the connection; run control
 */
#ifndef GDB_SESSION_H
#define GDB_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "posada.h"
#include "gdb_packet.h"
#include "gdb_regs.h"

#define GDB_SOFT_MAX	256
#define GDB_HARD_MAX	4

/* As Z packets number them. */
enum gdb_break_kind {
	GDB_BREAK_SOFT, GDB_BREAK_HARD, GDB_WATCH_WRITE, GDB_WATCH_READ,
	GDB_WATCH_ACCESS, GDB_NR_BREAKS
};

enum gdb_action { GDB_STAY, GDB_RUN, GDB_STEP };

enum gdb_signal {
	GDB_SIGINT = 2, GDB_SIGILL = 4, GDB_SIGTRAP = 5, GDB_SIGSEGV = 11,
};

/* Why the guest stands still. */
struct gdb_stop {
	unsigned int cpu;
	uint8_t signal;			/* enum gdb_signal; 0: none */
	bool has_kind;
	enum gdb_break_kind kind;
	uint64_t addr;			/* of a watchpoint */
};

/* What the session does with the target; @cpu is an index below nr_cpus. */
struct gdb_ops {
	/* Registers; store writes what r->dirty says. 0 or -errno. */
	int (*load)(void *ctx, unsigned int cpu, struct gdb_regs *r);
	int (*store)(void *ctx, unsigned int cpu, const struct gdb_regs *r);
	/* Memory: where a gva is, and access by gpa. 0 or -errno. */
	int (*find)(void *ctx, unsigned int cpu, uint64_t gva, uint64_t *gpa);
	int (*read)(void *ctx, uint64_t gpa, void *data, size_t bytes);
	int (*write)(void *ctx, uint64_t gpa, const void *data, size_t bytes);
	/* Let go: one action for each vCPU, not all GDB_STAY. */
	void (*resume)(void *ctx, const enum gdb_action *actions);
	/* For `info threads`, and for `monitor`: text for people. */
	void (*describe)(void *ctx, unsigned int cpu, FILE *to);
	void (*monitor)(void *ctx, unsigned int cpu, const char *line,
			FILE *to);
};

struct gdb_soft {
	bool used;
	uint8_t saved;		/* the byte under the trap */
	uint64_t gva;
	uint64_t gpa;
};

/* A debug register, and the request that it serves in part. */
struct gdb_hard {
	bool used;
	uint8_t bytes;		/* 1, 2, 4, 8 */
	enum gdb_break_kind kind;
	uint64_t at;
	uint64_t gva, len;
};

struct gdb_session {
	const struct gdb_ops *ops;
	void *ctx;
	unsigned int nr_cpus;
	uint8_t trap;		/* the byte that makes a breakpoint; 0: none */
	bool hard_works;

	unsigned int cpu;	/* whose registers and page tables */
	unsigned int step_cpu;	/* for `c` and `s` */
	bool no_acks;
	struct gdb_stop stop;	/* the last */
	struct gdb_soft soft[GDB_SOFT_MAX];
	struct gdb_hard hard[GDB_HARD_MAX];
};

/* ---- gdb_session.c ---- */

enum gdb_verdict {
	GDB_REPLY,		/* send it */
	GDB_RUNNING,		/* no reply now: one at the next stop */
	GDB_DETACH,		/* send it; the guest goes on without us */
	GDB_KILL,		/* send it; the guest ends */
};

/* A new gdb: breakpoints of an earlier one must have been removed. */
void gdb_session_begin(struct gdb_session *s);
/* Do what the packet asks. */
enum gdb_verdict gdb_session_packet(struct gdb_session *s, const char *data,
				    size_t len, struct gdb_reply *reply);
void gdb_stop_reply(const struct gdb_session *s, struct gdb_reply *reply);

/* ---- gdb_break.c ---- */

/* 0; -EOPNOTSUPP: not on this host; -ENOSPC: all are in use; -EFAULT: no
 * memory there; -EINVAL. What is there already is not put there twice.
 */
int gdb_break_insert(struct gdb_session *s, enum gdb_break_kind kind,
		     uint64_t gva, uint64_t len);
int gdb_break_remove(struct gdb_session *s, enum gdb_break_kind kind,
		     uint64_t gva, uint64_t len);
void gdb_break_remove_all(struct gdb_session *s);
/* A trap of ours at this gpa? */
bool gdb_break_at(const struct gdb_session *s, uint64_t gpa);
/* The flags and debug registers that the breakpoints take. */
void gdb_break_arm(const struct gdb_session *s, struct posada_debug *dbg);
/* What DR6 says has been hit; false: none of ours. */
bool gdb_break_hit(const struct gdb_session *s, uint64_t dr6,
		   struct gdb_stop *stop);
/* Guest memory as if there were no traps in it. -> bytes done. */
size_t gdb_read_memory(struct gdb_session *s, uint64_t gva, uint8_t *data,
		       size_t bytes);
size_t gdb_write_memory(struct gdb_session *s, uint64_t gva,
			const uint8_t *data, size_t bytes);

#endif /* GDB_SESSION_H */
