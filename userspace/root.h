/* SPDX-License-Identifier: GPL-2.0 */
/*
 * posada run ROOTFS: a kernel for it, and an archive with the agent as init
 * and the kernel modules that get from there to the root.
 */
#ifndef ROOT_H
#define ROOT_H

#include <stdint.h>

struct config;
struct machine;

/* Complete @cfg, which names a ROOTFS: kernel, command line, archive, the share
 * and the port. Ends the program with a line where something is missing.
 */
void root_prepare(struct config *cfg);
/* Run the command; returns when the machine stops or is to. */
void root_attend(struct machine *m);
/* The serial line, of which the last is kept for when something goes wrong. */
void root_console_put(void *machine, uint8_t byte);
/* Say what went wrong where the command has no status. */
int root_status(struct machine *m);

/* ---- modules.c ---- */

struct cpio;
struct image;

/* Put the modules @names (NULL ends them), and what they need, into /modules.
 * @folder: of one kernel, with its modules.dep, as a path in @root_fd, which
 * no link leads out of.
 */
void modules_add(struct cpio *c, int root_fd, const char *folder,
		 const char *const *names);
/* Open a file or folder below @root_fd as if that were /. -> fd or -errno */
int open_in_root(int root_fd, const char *path, int flags);
/* Read all of a file; a NUL follows. NULL: errno says why. */
char *read_in_root(int root_fd, const char *path, size_t *bytes);

#endif /* ROOT_H */
