/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the gdb server share: see gdb.h, gdb_session.h. */
#ifndef GDB_TARGET_H
#define GDB_TARGET_H

#include "gdb.h"
#include "gdb_session.h"
#include "machine.h"

struct gdb {
	struct machine *m;
	struct gdb_session session;	/* the gdb thread's; vCPUs look up
					 * breakpoints, which change only
					 * while all are parked
					 */
	struct gdb_parser parser;
	pthread_t thread;
	bool started;
	int listen_fd;
	int fd;				/* the connection, or -1 */
	int wake_fd;			/* eventfd: a vCPU has parked */
	char *path;			/* of a Unix socket, to be removed */
	bool running;			/* gdb waits for a stop */
	atomic_bool attached;

	pthread_mutex_t lock;		/* guards all below */
	pthread_cond_t go;
	bool over;
	struct gdb_cpu {
		atomic_uint action;	/* enum gdb_action; read without */
		bool parked;
		struct gdb_stop stop;	/* signal 0: nothing to report */
	} cpu[POSADA_MAX_VCPUS];
};

/* gdb_target.c: what the session does with vCPUs and memory. */
extern const struct gdb_ops gdb_target_ops;

/* gdb_run.c */
/* Make all vCPUs stop; they park soon. */
void gdb_stop_all(struct gdb *g);
bool gdb_all_parked(struct gdb *g);
/* Of parked ones; @actions as in struct gdb_ops. */
void gdb_let_go(struct gdb *g, const enum gdb_action *actions);
/* Take the reason of the stop; false: there is none but gdb's wish. */
bool gdb_take_stop(struct gdb *g, struct gdb_stop *stop);
/* Commit what is dirty, and fill in all groups. 0 or -errno. */
int gdb_refresh(struct posada_vcpu *vcpu);

/* gdb_probe.c: what the host's CPU does for debuggers. */
struct gdb_probe {
	bool breaks;		/* INT3 is reported */
	bool hardware;		/* debug registers are armed */
};

void gdb_probe(const struct config *cfg, struct gdb_probe *probe);

#endif /* GDB_TARGET_H */
