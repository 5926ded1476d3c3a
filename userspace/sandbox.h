/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The sandbox: what this process can do once the machine is set up, should a
 * guest take it over. Four walls, each by itself:
 *
 *	seccomp		system calls of a list; any other ends the process with
 *			a line that names it
 *	Landlock	files: the shared folders; elsewhere none, but that the
 *			sockets and the control group that it made may be
 *			removed
 *	capabilities	none; for a writable share of root's, those over files
 *	namespaces	no network but for --net user, no System V IPC, no
 *			users but itself (root with a share keeps the
 *			host's), where this user may have namespaces
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>

#include "devices.h"

#define SANDBOX_FOLDERS	(MAX_SHARES + 3)

enum sandbox_access { SANDBOX_READ, SANDBOX_WRITE, SANDBOX_REMOVE, SANDBOX_RMDIR };

struct sandbox {
	bool network;		/* sockets to the world: --net user */
	bool files;		/* opens and makes files: shares */
	bool owners;		/* gives files away: a writable share of root's */
	unsigned int nr_folders;
	struct {
		const char *path;
		enum sandbox_access access;
	} folder[SANDBOX_FOLDERS];
};

/* What the devices of @cfg, and its sockets, need. Paths are @cfg's or kept. */
struct config;
void sandbox_plan(struct sandbox *s, const struct config *cfg);
/* Enter it; while the process has one thread. Ends the program with a line where
 * the kernel has no seccomp; does without the others where it has none.
 */
void sandbox_enter(const struct sandbox *s);

#endif /* SANDBOX_H */
