// SPDX-License-Identifier: GPL-2.0
/*
 * stdin: raw mode, the escape key, signals. Input goes to COM1, or the virtio
 * console, as fast as the guest takes it; the rest waits in the terminal or pipe.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "calls.h"
#include "control.h"
#include "machine.h"
#include "term.h"
#include "uart.h"

#define ESCAPE		0x01	/* Ctrl-A */
#define STATUS_SIGNAL	128

static struct termios saved;
static volatile sig_atomic_t raw;

static const char help[] =
	"\r\n"
	"  Ctrl-A x       end the session\r\n"
	"  Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n"
	"  Ctrl-A h       this help\r\n";

static const int fatal_signals[] = {
	SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT,
};

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

bool term_is_raw(void)
{
	return raw;
}

/* Safe in a signal handler. */
void term_restore(void)
{
	if (!raw)
		return;
	raw = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}

static void on_fatal(int sig)
{
	term_restore();
	signal(sig, SIG_DFL);
	raise(sig);
}

void term_raw(void)
{
	struct termios mode;
	size_t i;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved))
		return;
	/* A background job may not touch the terminal. */
	if (tcgetpgrp(STDIN_FILENO) != getpgrp())
		return;
	atexit(term_restore);
	for (i = 0; i < sizeof(fatal_signals) / sizeof(*fatal_signals); i++)
		signal(fatal_signals[i], on_fatal);
	mode = saved;
	cfmakeraw(&mode);
	raw = 1;
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &mode))
		raw = 0;
}

/* TERM goes to a kernel's command line: nothing but a plain word does. */
static const char *term_name(void)
{
	const char *name = getenv("TERM");

	if (!name || !*name || strlen(name) > 32 ||
	    name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._")])
		return "linux";
	return name;
}

char *term_words(const char *given)
{
	struct winsize size;

	if (!isatty(STDIN_FILENO) || strstr(given, "posada.term=") ||
	    ioctl(STDIN_FILENO, TIOCGWINSZ, &size) || !size.ws_row ||
	    !size.ws_col)
		return xasprintf("%s", "");
	return xasprintf(" posada.term=%s posada.rows=%u posada.cols=%u",
			 term_name(), size.ws_row, size.ws_col);
}

/* ---- the loop ---- */

struct input {
	struct machine *m;
	bool escape;		/* the last key was Ctrl-A */
	bool eof;
};

static void say_help(void)
{
	if (write(STDERR_FILENO, help, sizeof(help) - 1) < 0)
		return;
}

/* Take the escape keys out. -> the bytes left for the guest. */
static size_t filter(struct input *in, uint8_t *data, size_t bytes)
{
	size_t i, n = 0;

	for (i = 0; i < bytes; i++) {
		if (!in->escape && data[i] != ESCAPE) {
			data[n++] = data[i];
			continue;
		}
		if (!in->escape) {
			in->escape = true;
			continue;
		}
		in->escape = false;
		switch (data[i]) {
		case ESCAPE:
			data[n++] = ESCAPE;
			break;
		case 'x':
		case 'X':
			machine_stop(in->m, 0, NULL);
			return n;
		case 'h':
		case '?':
			say_help();
			break;
		}
	}
	return n;
}

static size_t guest_room(struct machine *m)
{
	if (m->cfg->dev.ring)
		return calls_room(m->calls);
	return m->hvc ? hvc_room(m->hvc) : uart_room(m->com1);
}

size_t term_receive(struct machine *m, const uint8_t *data, size_t bytes)
{
	if (m->cfg->dev.ring)
		return calls_receive(m->calls, data, bytes);
	return m->hvc ? hvc_receive(m->hvc, data, bytes) :
			uart_receive(m->com1, data, bytes);
}

static void take_input(struct input *in)
{
	uint8_t data[64];
	size_t room = guest_room(in->m);
	ssize_t n;

	if (room > sizeof(data))
		room = sizeof(data);
	if (!room)
		return;
	n = read(STDIN_FILENO, data, room);
	if (n > 0) {
		n = raw ? (ssize_t)filter(in, data, (size_t)n) : n;
		term_receive(in->m, data, (size_t)n);
	} else if (!n || (errno != EAGAIN && errno != EINTR)) {
		in->eof = true;
	}
}

/* With the guest's FIFO full the escape key must still be heard: in raw mode
 * keys are read on, and those that do not fit wait here.
 */
static void take_keys(struct input *in)
{
	static uint8_t held[4096];
	static size_t count;
	size_t n, room = sizeof(held) - count;
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	ssize_t got;

	if (room && poll(&p, 1, 0) > 0) {
		got = read(STDIN_FILENO, held + count, room);
		if (got > 0)
			count += filter(in, held + count, (size_t)got);
		else if (!got || (errno != EAGAIN && errno != EINTR))
			in->eof = true;
	}
	n = term_receive(in->m, held, count);
	count -= n;
	memmove(held, held + n, count);
}

static void take_signal(struct machine *m, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	machine_stop(m, STATUS_SIGNAL + (int)info.ssi_signo, NULL);
}

static void signal_set(sigset_t *set)
{
	size_t i;

	sigemptyset(set);
	for (i = 0; i < sizeof(ending_signals) / sizeof(*ending_signals); i++)
		sigaddset(set, ending_signals[i]);
}

void term_block_signals(void)
{
	sigset_t set;

	signal_set(&set);
	/* A thread that had it open would take it from who waits for it, and drop it. */
	sigaddset(&set, SIGWINCH);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	/* A reader of our output that goes away is seen as an error there. */
	signal(SIGPIPE, SIG_IGN);
	/* A disk that may not grow is an I/O error of the guest's. */
	signal(SIGXFSZ, SIG_IGN);
}

void term_loop(struct machine *m, int room_fd)
{
	enum { STOP, SIGNAL, ROOM, STDIN, COUNT };
	struct input in = { .m = m };
	struct pollfd fds[COUNT];
	eventfd_t ignored;
	sigset_t set;

	signal_set(&set);
	fds[STOP] = (struct pollfd){ .fd = m->stop_fd, .events = POLLIN };
	fds[ROOM] = (struct pollfd){ .fd = room_fd, .events = POLLIN };
	fds[SIGNAL].fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	fds[SIGNAL].events = POLLIN;
	if (fds[SIGNAL].fd < 0)
		die("cannot watch signals: %s", strerror(errno));
	while (!atomic_load(&m->stopping)) {
		bool listen = !in.eof && (raw || guest_room(m));

		fds[STDIN].fd = listen ? STDIN_FILENO : -1;
		fds[STDIN].events = POLLIN;
		if (poll(fds, COUNT, -1) < 0)
			continue;
		if (fds[SIGNAL].revents)
			take_signal(m, fds[SIGNAL].fd);
		if (fds[ROOM].revents) {
			eventfd_read(room_fd, &ignored);
			control_room(m->control);
		}
		if (raw)
			take_keys(&in);
		else if (fds[STDIN].revents)
			take_input(&in);
	}
	close(fds[SIGNAL].fd);
}
