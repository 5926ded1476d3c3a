/* SPDX-License-Identifier: GPL-2.0 */
/* Listening sockets. Failures end the program with a line that says what to do. */
#ifndef SOCK_H
#define SOCK_H

#include <stdint.h>

/* Listen on a TCP port of @host, an address (NULL: this machine only). @port
 * 0 takes a free one; it is updated.
 */
int sock_listen_tcp(const char *host, uint16_t *port, const char *what);

/* Listen on a Unix socket at @path that only this user may connect to. What a
 * process that is gone has left there is replaced. -> the fd; -EADDRINUSE:
 * somebody serves it; or another -errno.
 */
int sock_listen_unix(const char *path);
/* Connect to one; -> the fd or -errno. */
int sock_connect_unix(const char *path);

#endif /* SOCK_H */
