// SPDX-License-Identifier: GPL-2.0
/* A command in the guest, on this process's stdio. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/io.h"
#include "agent/protocol.h"
#include "agent_client.h"
#include "machine.h"
#include "term.h"

#define HEADER		((uint32_t)sizeof(struct agent_frame))
#define FRAME_MAX	(HEADER + AGENT_PAYLOAD)
#define OUT_BYTES	(FRAME_MAX + 8192U)
#define PATIENCE	3	/* signals until we end by ourselves */

struct client {
	int fd;
	const struct agent_command *cmd;
	bool tty;
	bool started;
	bool over;		/* *status is the command's */
	bool lost;
	bool stdin_ended;
	int status;
	unsigned int signals;
	bool broken[AGENT_STREAMS];	/* nobody reads ours any more */
	uint32_t room;		/* of stdin's credit */
	uint32_t owed[AGENT_STREAMS];
	size_t used, waiting;
	uint8_t in[FRAME_MAX];
	uint8_t out[OUT_BYTES];
};

/* ---- frames out ---- */

static bool put_frame(struct client *c, enum agent_type type,
		      unsigned int stream, const void *data, size_t bytes)
{
	struct agent_frame f = {
		.type = (uint8_t)type, .stream = (uint8_t)stream,
		.bytes = (uint16_t)bytes,
	};

	if (HEADER + bytes > OUT_BYTES - c->waiting)
		return false;
	memcpy(c->out + c->waiting, &f, HEADER);
	memcpy(c->out + c->waiting + HEADER, data, bytes);
	c->waiting += HEADER + bytes;
	return true;
}

static void flush(struct client *c)
{
	ssize_t n;

	while (c->waiting) {
		n = send(c->fd, c->out, c->waiting, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			c->lost = true;
			return;
		}
		c->waiting -= (size_t)n;
		memmove(c->out, c->out + n, c->waiting);
	}
}

static void pay_credit(struct client *c)
{
	unsigned int i;

	for (i = 0; i < AGENT_STREAMS; i++)
		if (c->owed[i] && put_frame(c, AGENT_CREDIT, i, &c->owed[i],
					    sizeof(c->owed[i])))
			c->owed[i] = 0;
}

static struct agent_size terminal_size(void)
{
	struct winsize w = { 0 };

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &w);
	return (struct agent_size){ .rows = w.ws_row, .cols = w.ws_col };
}

const char *agent_env(const char *text)
{
	const char *value;

	if (strchr(text, '='))
		return text;
	value = getenv(text);
	return value ? xasprintf("%s=%s", text, value) : NULL;
}

static size_t add_word(uint8_t *to, size_t at, const char *word)
{
	size_t n = strlen(word) + 1;

	if (n > AGENT_PAYLOAD - at)
		die("the command and its environment are too long: together at most %u bytes",
		    AGENT_PAYLOAD);
	memcpy(to + at, word, n);
	return at + n;
}

static size_t build_start(const struct agent_command *cmd, bool tty,
			  uint8_t *to)
{
	struct agent_start s = {
		.flags = tty ? AGENT_F_TTY : 0, .argc = cmd->argc,
		.envc = cmd->nr_env,
	};
	const char *term = tty ? agent_env("TERM") : NULL;
	size_t at = sizeof(s);
	unsigned int i;

	if (tty)
		s.size = terminal_size();
	at = add_word(to, at, cmd->folder ? cmd->folder : "");
	at = add_word(to, at, cmd->user ? cmd->user : "");
	for (i = 0; i < cmd->argc; i++)
		at = add_word(to, at, cmd->argv[i]);
	if (term) {
		s.envc++;
		at = add_word(to, at, term);
	}
	for (i = 0; i < cmd->nr_env; i++)
		at = add_word(to, at, cmd->env[i]);
	memcpy(to, &s, sizeof(s));
	free((void *)term);
	return at;
}

static bool wants_tty(const struct agent_command *cmd)
{
	if (cmd->tty == TTY_AUTO)
		return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	return cmd->tty == TTY_YES;
}

void agent_check(const struct agent_command *cmd)
{
	static uint8_t start[AGENT_PAYLOAD];

	build_start(cmd, wants_tty(cmd), start);
}

static void send_start(struct client *c, const struct agent_command *cmd)
{
	static uint8_t start[AGENT_PAYLOAD];

	put_frame(c, AGENT_START, 0, start, build_start(cmd, c->tty, start));
}

/* ---- our side's events ---- */

static void send_signal(struct client *c, uint32_t number)
{
	put_frame(c, AGENT_SIGNAL, 0, &number, sizeof(number));
}

/* -> the status to end with by ourselves, or 0. */
static int take_signal(struct client *c, int fd)
{
	struct signalfd_siginfo info;
	struct agent_size size;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo == SIGWINCH) {
		size = terminal_size();
		if (c->tty)
			put_frame(c, AGENT_SIZE, 0, &size, sizeof(size));
		return 0;
	}
	if (!c->started || ++c->signals >= PATIENCE)
		return 128 + (int)info.ssi_signo;
	send_signal(c, info.ssi_signo);
	return 0;
}

static bool wants_stdin(const struct client *c)
{
	return c->started && !c->stdin_ended && c->room > HEADER &&
	       c->waiting < AGENT_PAYLOAD;
}

static void take_stdin(struct client *c)
{
	uint8_t data[AGENT_DATA_MAX];
	size_t most = c->room - HEADER < sizeof(data) ? c->room - HEADER :
		      sizeof(data);
	ssize_t n = read(STDIN_FILENO, data, most);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		c->room -= HEADER + (uint32_t)n;
		put_frame(c, AGENT_DATA, AGENT_STDIN, data, (size_t)n);
		return;
	}
	c->stdin_ended = true;
	put_frame(c, AGENT_EOF, AGENT_STDIN, "", 0);
}

/* ---- frames in ---- */

static void take_output(struct client *c, const struct agent_frame *f,
			const uint8_t *data)
{
	if (f->stream != AGENT_STDOUT && f->stream != AGENT_STDERR)
		return;
	c->owed[f->stream] += HEADER + f->bytes;
	if (c->cmd->output[f->stream]) {
		fwrite(data, f->bytes, 1, c->cmd->output[f->stream]);
		return;
	}
	if (c->broken[f->stream])
		return;
	/* As a command of this machine's would be told. */
	if (!write_all(f->stream, data, f->bytes)) {
		c->broken[f->stream] = true;
		send_signal(c, SIGPIPE);
	}
}

static void take_frame(struct client *c, const struct agent_frame *f,
		       const uint8_t *data)
{
	uint32_t number = 0;

	if (f->bytes >= sizeof(number))
		memcpy(&number, data, sizeof(number));
	switch (f->type) {
	case AGENT_STARTED:
		c->started = true;
		break;
	case AGENT_DATA:
		take_output(c, f, data);
		break;
	case AGENT_CREDIT:
		if (number <= AGENT_WINDOW - c->room)
			c->room += number;
		break;
	case AGENT_ERROR:
		if (f->bytes > sizeof(number))
			warn_line("%.*s", (int)(f->bytes - sizeof(number)),
				  data + sizeof(number));
		/* fall through */
	case AGENT_EXIT:
		c->status = (int)(number & 0xff);
		c->over = true;
		break;
	}
}

static void take_frames(struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->used, sizeof(c->in) - c->used,
			 MSG_DONTWAIT);
	struct agent_frame f;
	size_t at = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		c->lost = true;
		return;
	}
	c->used += (size_t)n;
	while (!c->over && c->used - at >= HEADER) {
		memcpy(&f, c->in + at, HEADER);
		if (f.bytes > AGENT_PAYLOAD) {
			c->lost = true;
			return;
		}
		if (c->used - at < HEADER + f.bytes)
			break;
		take_frame(c, &f, c->in + at + HEADER);
		at += HEADER + f.bytes;
	}
	c->used -= at;
	memmove(c->in, c->in + at, c->used);
}

/* ---- the loop ---- */

static int watch_signals(void)
{
	static const int numbers[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH,
	};
	sigset_t set;
	size_t i;
	int fd;

	sigemptyset(&set);
	for (i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		sigaddset(&set, numbers[i]);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		die("cannot watch signals: %s", strerror(errno));
	return fd;
}

enum { STREAM, STDIN, SIGNALS, STOP, TERM, COUNT };

static void wait_for_events(struct client *c, struct pollfd *fds)
{
	pay_credit(c);
	flush(c);
	fds[STREAM].fd = c->fd;
	fds[STREAM].events = (short)(POLLIN | (c->waiting ? POLLOUT : 0));
	fds[STDIN].fd = wants_stdin(c) ? STDIN_FILENO : -1;
	fds[STDIN].events = POLLIN;
	if (poll(fds, COUNT, -1) < 0)
		memset(fds, 0, sizeof(*fds));
}

/* -> whether it is over, and how. */
static bool turn(struct client *c, struct pollfd *fds, enum agent_end *end)
{
	eventfd_t ignored;
	int status;

	wait_for_events(c, fds);
	if (fds[STREAM].revents & (POLLIN | POLLHUP | POLLERR))
		take_frames(c);
	*end = AGENT_ENDED;
	if (c->over)
		return true;
	*end = AGENT_LOST;
	if (c->lost)
		return true;
	*end = AGENT_STOPPED;
	if (fds[STOP].revents)
		return true;
	if (fds[TERM].revents) {
		eventfd_read(fds[TERM].fd, &ignored);
		send_signal(c, SIGTERM);
	}
	if (fds[STDIN].fd >= 0 && fds[STDIN].revents)
		take_stdin(c);
	status = fds[SIGNALS].revents ? take_signal(c, fds[SIGNALS].fd) : 0;
	*end = AGENT_SIGNALLED;
	if (status)
		c->status = status;
	return status;
}

enum agent_end agent_run(int fd, const struct agent_command *cmd, int stop_fd,
			 int term_fd, int *status)
{
	struct client *c = xcalloc(1, sizeof(*c));
	struct pollfd fds[COUNT] = { 0 };
	enum agent_end end;

	c->fd = fd;
	c->cmd = cmd;
	c->tty = wants_tty(cmd);
	c->room = AGENT_WINDOW;
	fds[SIGNALS] = (struct pollfd){ .fd = watch_signals(), .events = POLLIN };
	fds[STOP] = (struct pollfd){ .fd = stop_fd, .events = POLLIN };
	fds[TERM] = (struct pollfd){ .fd = term_fd, .events = POLLIN };
	if (c->tty)
		term_raw();
	send_start(c, cmd);
	while (!turn(c, fds, &end))
		;
	term_restore();
	close(fds[SIGNALS].fd);
	*status = c->status;
	free(c);
	return end;
}
