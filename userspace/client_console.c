// SPDX-License-Identifier: GPL-2.0
/* posada console: a running VM's serial line on this terminal. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "machine.h"
#include "term.h"

#define ESCAPE	0x01	/* Ctrl-A */

static const char help[] =
	"usage: posada console NAME\n"
	"\n"
	"Show the serial line of a running VM on this terminal, from what it has written\n"
	"last, and give it what is typed. Several may look on.\n"
	"\n"
	"  Ctrl-A x              leave; the VM goes on\n"
	"  Ctrl-A Ctrl-A         send Ctrl-A to the guest\n";

static bool put_all(int fd, const char *data, size_t bytes)
{
	ssize_t n;

	while (bytes) {
		n = write(fd, data, bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		bytes -= (size_t)n;
	}
	return true;
}

/* Take the escape keys out; -> what is left, or -1 to leave. */
static ssize_t filter(char *data, ssize_t bytes, bool *escape)
{
	ssize_t i, n = 0;

	for (i = 0; i < bytes; i++) {
		if (!*escape && data[i] == ESCAPE) {
			*escape = true;
			continue;
		}
		if (*escape && (data[i] == 'x' || data[i] == 'X'))
			return -1;
		if (!*escape || data[i] == ESCAPE)
			data[n++] = data[i];
		*escape = false;
	}
	return n;
}

/* -> whether to go on. At the end of a pipe one still looks on. */
static bool take_keys(int fd, struct pollfd *input, bool *escape)
{
	char data[256];
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0) {
		input->fd = -1;
		return true;
	}
	if (term_is_raw())
		n = filter(data, n, escape);
	return n >= 0 && put_all(fd, data, (size_t)n);
}

int cmd_console(int argc, char **argv)
{
	struct pollfd fds[2] = { { .fd = STDIN_FILENO, .events = POLLIN } };
	struct client_args a;
	char data[4096];
	bool escape = false;
	ssize_t n;

	client_parse(&a, argc, argv, help, true);
	fds[1].fd = client_connect(a.name);
	fds[1].events = POLLIN;
	if (!client_ask(fds[1].fd, "console"))
		die("the VM '%s' has just ended", a.name);
	term_raw();
	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents) {
			n = recv(fds[1].fd, data, sizeof(data), 0);
			if (n <= 0 || !put_all(STDOUT_FILENO, data, (size_t)n))
				break;
		}
		if (fds[0].revents && !take_keys(fds[1].fd, &fds[0], &escape))
			break;
	}
	term_restore();
	close(fds[1].fd);
	return 0;
}
