/* SPDX-License-Identifier: GPL-2.0 */
/* --exec: a command for the guest's init, and its exit status back. */
#ifndef EXEC_H
#define EXEC_H

#include <stddef.h>
#include <stdint.h>

struct machine;
struct exec;

#define EXEC_CMDLINE	"quiet loglevel=0 panic=-1"

/* A cpio archive (newc, not compressed) that holds the command as
 * /posada-exec, to be freed.
 */
uint8_t *exec_archive(const char *command, size_t *bytes);

/* COM2: the guest writes lines; `exit N` is the command's status. */
struct exec *exec_create(struct machine *m);
void exec_put(void *exec, uint8_t byte);
void exec_free(struct exec *e);

#endif /* EXEC_H */
