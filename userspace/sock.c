// SPDX-License-Identifier: GPL-2.0
/* Listening sockets. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "machine.h"
#include "sock.h"

#define BACKLOG	8

static int bind_tcp(const struct addrinfo *ai)
{
	int fd, one = 1, error;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(fd, ai->ai_addr, ai->ai_addrlen) && !listen(fd, BACKLOG))
		return fd;
	error = errno;
	close(fd);
	return -error;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t bytes = sizeof(ss);

	getsockname(fd, (struct sockaddr *)&ss, &bytes);
	/* The port is at the same place in both families. */
	return ntohs(((struct sockaddr_in *)&ss)->sin_port);
}

int sock_listen_tcp(const char *host, uint16_t *port, const char *what)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	const char *name = host ? host : "127.0.0.1";
	struct addrinfo *ai;
	char service[8];
	int fd;

	snprintf(service, sizeof(service), "%u", *port);
	if (getaddrinfo(name, service, &hints, &ai))
		die("%s: '%s' is not an address of this machine: give digits, such as 127.0.0.1",
		    what, name);
	fd = bind_tcp(ai);
	freeaddrinfo(ai);
	if (fd == -EADDRINUSE)
		die("%s: port %u is in use: take another, or 0 for any that is free",
		    what, *port);
	if (fd == -EACCES)
		die("%s: ports below 1024 are root's: take one above", what);
	if (fd < 0)
		die("%s: cannot listen on %s port %u: %s", what, name, *port,
		    strerror(-fd));
	*port = port_of(fd);
	return fd;
}

static int unix_address(const char *path, struct sockaddr_un *sa)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(sa->sun_path))
		return -ENAMETOOLONG;
	strcpy(sa->sun_path, path);
	return 0;
}

int sock_connect_unix(const char *path)
{
	struct sockaddr_un sa;
	int fd, error = unix_address(path, &sa);

	if (error)
		return error;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		return fd;
	error = errno;
	close(fd);
	return -error;
}

static int bind_unix(int fd, const struct sockaddr_un *sa)
{
	mode_t mask = umask(077);
	int ret = bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) ?
		  -errno : 0;

	umask(mask);
	return ret;
}

/* Nobody answers there: its owner died. Any other answer means that it lives. */
static bool is_stale(const char *path)
{
	int fd = sock_connect_unix(path);

	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

int sock_listen_unix(const char *path)
{
	struct sockaddr_un sa;
	int fd, ret = unix_address(path, &sa);

	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	ret = bind_unix(fd, &sa);
	if (ret == -EADDRINUSE && is_stale(path)) {
		unlink(path);
		ret = bind_unix(fd, &sa);
	}
	if (!ret && listen(fd, BACKLOG))
		ret = -errno;
	if (!ret)
		return fd;
	close(fd);
	return ret;
}
