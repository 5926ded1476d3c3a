/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Names of running VMs. Each has a control socket of its name in a folder that
 * only its user may enter:
 *
 *	/run/posada			root's
 *	$XDG_RUNTIME_DIR/posada		anybody else's
 */
#ifndef NAMES_H
#define NAMES_H

#include <stdbool.h>

#define NAME_MAX_BYTES	64

/* Letters, digits, dots, dashes and underscores, the first no dash or dot. */
bool name_is_valid(const char *name);
/* The folder, to be freed; NULL: this user has none. */
char *names_folder(void);
/* The socket of @name, to be freed; NULL as above. */
char *names_path(const char *name);
/* Make the folder, if need be, and listen at the name's socket in it. What a
 * VM that died has left is replaced. -> the fd; -EADDRINUSE: a VM of that
 * name runs; -ENOTDIR: this user has no folder; or another -errno.
 */
int names_listen(const char *path);
/* Connect to a name's socket; -> the fd or -errno. -ECONNREFUSED: its VM died,
 * and the socket has been removed.
 */
int names_connect(const char *path);
/* -> an fd that keeps others out of here until it is closed, or -errno. */
int lock_folder(const char *folder);

#endif /* NAMES_H */
