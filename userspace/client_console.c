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
	"usage: posada console [--json] NAME\n"
	"\n"
	"Show the serial line of a running VM on this terminal, from what it has written\n"
	"last, and give it what is typed. Several may look on.\n"
	"\n"
	"  Ctrl-A x              leave; the VM goes on\n"
	"  Ctrl-A Ctrl-A         send Ctrl-A to the guest\n"
	"      --json            for programs: an object for each piece of text, as it\n"
	"                        comes\n";

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

/* What is shown, or what is left of a piece that ended within a character. */
struct screen {
	char data[4096];
	size_t used;
	bool json;
};

static bool show(struct screen *s, size_t whole)
{
	if (!s->json)
		return put_all(STDOUT_FILENO, s->data, whole);
	if (whole) {
		fputs("{\"text\": ", stdout);
		json_bytes(s->data, whole);
		puts("}");
	}
	return !fflush(stdout);
}

/* -> whether to go on. */
static bool take_output(int fd, struct screen *s)
{
	ssize_t n = recv(fd, s->data + s->used, sizeof(s->data) - s->used, 0);
	size_t rest;
	bool shown;

	if (n <= 0) {
		show(s, s->used);
		return false;
	}
	s->used += (size_t)n;
	rest = s->json ? utf8_tail(s->data, s->used) : 0;
	shown = show(s, s->used - rest);
	memmove(s->data, s->data + s->used - rest, rest);
	s->used = rest;
	return shown;
}

int cmd_console(int argc, char **argv)
{
	struct pollfd fds[2] = { { .fd = STDIN_FILENO, .events = POLLIN } };
	struct client_args a;
	struct screen screen = { .used = 0 };
	bool escape = false;

	client_parse(&a, argc, argv, help, true);
	fds[1].fd = client_connect(a.name);
	fds[1].events = POLLIN;
	if (!client_ask(fds[1].fd, "console"))
		die("the VM '%s' has just ended", a.name);
	screen.json = a.json;
	if (!a.json)
		term_raw();
	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents && !take_output(fds[1].fd, &screen))
			break;
		if (fds[0].revents && !take_keys(fds[1].fd, &fds[0], &escape))
			break;
	}
	term_restore();
	close(fds[1].fd);
	return 0;
}
