// SPDX-License-Identifier: GPL-2.0
/*
 * The gdb server: listens, and speaks with one gdb at a time. While the guest
 * runs, gdb waits for a stop and says nothing but Ctrl-C.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gdb_target.h"
#include "sock.h"

#define TRAP_INT3	0xcc
/* INSB always exits, with RIP at it, at CPL 0: for hosts that do not report
 * INT3. A user process would get a #GP there.
 */
#define TRAP_INSB	0x6c
#define NOWAIT		",nowait"

/* ---- the connection ---- */

/* Wait until @fd can be read (or written, with POLLOUT), a vCPU has parked, or
 * the machine stops; -> whether it goes on.
 */
static bool wait_for(struct gdb *g, int fd, short events)
{
	enum { STOP, WAKE, FD, COUNT };
	struct pollfd fds[COUNT] = {
		[STOP] = { .fd = g->m->stop_fd, .events = POLLIN },
		[WAKE] = { .fd = events & POLLIN ? g->wake_fd : -1,
			   .events = POLLIN },
		[FD] = { .fd = fd, .events = events },
	};
	eventfd_t ignored;

	while (poll(fds, COUNT, -1) < 0)
		if (errno != EINTR)
			return false;
	if (fds[WAKE].revents)
		eventfd_read(g->wake_fd, &ignored);
	return !fds[STOP].revents;
}

static bool send_all(struct gdb *g, const char *data, size_t bytes)
{
	ssize_t n;

	while (bytes) {
		n = send(g->fd, data, bytes, MSG_NOSIGNAL);
		if (n > 0) {
			data += n;
			bytes -= (size_t)n;
		} else if (errno == EAGAIN) {
			if (!wait_for(g, g->fd, POLLOUT))
				return false;
		} else if (errno != EINTR) {
			return false;
		}
	}
	return true;
}

static bool send_reply(struct gdb *g, const struct gdb_reply *reply)
{
	static char frame[GDB_FRAME_MAX];

	return send_all(g, frame, gdb_frame(reply, frame));
}

/* ---- stops ---- */

/* Tell gdb, once all vCPUs are parked, what it waits for. */
static bool report_stop(struct gdb *g)
{
	static struct gdb_reply reply;
	struct gdb_session *s = &g->session;

	if (!gdb_take_stop(g, &s->stop))
		s->stop = (struct gdb_stop){
			.cpu = s->stop.cpu, .signal = GDB_SIGINT,
		};
	s->cpu = s->stop.cpu;
	s->step_cpu = s->stop.cpu;
	g->running = false;
	memset(&reply, 0, sizeof(reply));
	gdb_stop_reply(s, &reply);
	return send_reply(g, &reply);
}

/* Stop the guest for someone who is not waiting for it; -> whether it did. */
static bool stop_and_wait(struct gdb *g)
{
	gdb_stop_all(g);
	while (!gdb_all_parked(g))
		if (!wait_for(g, -1, POLLIN))
			return false;
	return true;
}

static void run_all(struct gdb *g)
{
	enum gdb_action actions[POSADA_MAX_VCPUS];
	unsigned int i;

	for (i = 0; i < g->m->nr_cpus; i++) {
		actions[i] = GDB_RUN;
		g->cpu[i].stop.signal = 0;
	}
	gdb_let_go(g, actions);
}

/* The guest as it was before gdb came; all are parked. */
static void let_be(struct gdb *g, bool run)
{
	gdb_break_remove_all(&g->session);
	atomic_store(&g->attached, false);
	if (run)
		run_all(g);
}

/* ---- packets ---- */

enum next { GO_ON, CLOSE, CLOSED };

static enum next take_packet(struct gdb *g)
{
	static struct gdb_reply reply;
	enum gdb_verdict verdict;

	if (!g->session.no_acks && !send_all(g, "+", 1))
		return CLOSED;
	/* It is not gdb's turn. */
	if (g->running)
		return GO_ON;
	verdict = gdb_session_packet(&g->session, g->parser.data,
				     g->parser.len, &reply);
	if (verdict == GDB_RUNNING) {
		g->running = true;
		return GO_ON;
	}
	if (!send_reply(g, &reply))
		return CLOSED;
	if (verdict == GDB_DETACH) {
		let_be(g, true);
		return CLOSE;
	}
	if (verdict == GDB_KILL) {
		machine_stop(g->m, 0, NULL);
		return CLOSE;
	}
	return GO_ON;
}

static enum next take_byte(struct gdb *g, uint8_t byte)
{
	switch (gdb_feed(&g->parser, byte)) {
	case GDB_PACKET:
		return take_packet(g);
	case GDB_DAMAGED:
		return send_all(g, "-", 1) ? GO_ON : CLOSED;
	case GDB_INTERRUPT:
		if (g->running)
			gdb_stop_all(g);
		return GO_ON;
	default:
		return GO_ON;
	}
}

static enum next take_bytes(struct gdb *g)
{
	static uint8_t data[4096];
	enum next next = GO_ON;
	ssize_t i, n = recv(g->fd, data, sizeof(data), MSG_DONTWAIT);

	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		return CLOSED;
	for (i = 0; i < n && next == GO_ON; i++)
		next = take_byte(g, data[i]);
	return next;
}

/* gdb is gone without a word: its breakpoints must not stay in the guest. */
static void clean_up(struct gdb *g)
{
	bool ran = g->running;

	if (!atomic_load(&g->attached) || !stop_and_wait(g))
		return;
	let_be(g, ran);
	if (!ran)
		warn_line("gdb: the connection is gone; the guest stays stopped until gdb comes back");
}

/* -> false: the machine stops; the connection is kept for the last word. */
static bool serve(struct gdb *g)
{
	struct gdb_session *s = &g->session;
	enum next next = GO_ON;

	memset(&g->parser, 0, sizeof(g->parser));
	g->running = false;
	atomic_store(&g->attached, true);
	if (!stop_and_wait(g))
		return false;
	if (!gdb_take_stop(g, &s->stop))
		s->stop.signal = GDB_SIGTRAP;
	gdb_session_begin(s);
	while (next == GO_ON) {
		if (g->running && gdb_all_parked(g)) {
			next = report_stop(g) ? GO_ON : CLOSED;
			continue;
		}
		if (!wait_for(g, g->fd, POLLIN))
			return false;
		next = take_bytes(g);
	}
	if (next == CLOSED)
		clean_up(g);
	close(g->fd);
	g->fd = -1;
	return true;
}

static void *gdb_main(void *arg)
{
	struct gdb *g = arg;

	do {
		if (!wait_for(g, g->listen_fd, POLLIN))
			break;
		g->fd = accept4(g->listen_fd, NULL, NULL,
				SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (g->fd < 0 || serve(g));
	return NULL;
}

/* ---- where ---- */

static void listen_unix(struct gdb *g, const char *path)
{
	g->listen_fd = sock_listen_unix(path);
	if (g->listen_fd == -EADDRINUSE)
		die("--gdb unix:%s: it is in use, or no socket: take another path",
		    path);
	if (g->listen_fd < 0)
		die("--gdb unix:%s: %s", path, strerror(-g->listen_fd));
	g->path = xasprintf("%s", path);
}

static char *listen_tcp(struct gdb *g, char *text)
{
	char *colon = strrchr(text, ':'), *host = NULL, *end;
	const char *digits = colon ? colon + 1 : text;
	unsigned long n = strtoul(digits, &end, 10);
	uint16_t port = (uint16_t)n;

	if (end == digits || *end || n > UINT16_MAX)
		die("--gdb '%s': give [HOST]:PORT, PORT or unix:PATH", text);
	if (colon && colon != text) {
		*colon = '\0';
		host = text;
		end = host + strlen(host) - 1;
		if (*host == '[' && *end == ']') {
			*end = '\0';
			host++;
		}
	}
	g->listen_fd = sock_listen_tcp(host, &port, "--gdb");
	return xasprintf("%s:%u", host ? host : "127.0.0.1", port);
}

static bool cut_nowait(char *text)
{
	size_t n = strlen(text), tail = strlen(NOWAIT);

	if (n < tail || strcmp(text + n - tail, NOWAIT))
		return false;
	text[n - tail] = '\0';
	return true;
}

static void listen_at(struct gdb *g, const char *where)
{
	char *text = xasprintf("%s", where), *name;
	bool wait = !cut_nowait(text);
	unsigned int i;

	if (!strncmp(text, "unix:", 5)) {
		listen_unix(g, text + 5);
		name = xasprintf("%s", text + 5);
	} else {
		name = listen_tcp(g, text);
	}
	for (i = 0; i < g->m->nr_cpus; i++)
		atomic_store(&g->cpu[i].action, wait ? GDB_STAY : GDB_RUN);
	fprintf(stderr, "posada: gdb: %s; in gdb: target remote %s\n",
		wait ? "the guest waits for gdb" : "listening", name);
	free(name);
	free(text);
}

/* ---- life ---- */

struct gdb *gdb_create(struct machine *m, const char *where)
{
	struct gdb *g = xcalloc(1, sizeof(*g));
	struct gdb_probe probe;

	g->m = m;
	g->fd = -1;
	g->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (g->wake_fd < 0)
		die("cannot create an eventfd: %s", strerror(errno));
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->go, NULL);
	gdb_probe(m->cfg, &probe);
	g->session.ops = &gdb_target_ops;
	g->session.ctx = g;
	g->session.nr_cpus = m->nr_cpus;
	g->session.trap = probe.breaks ? TRAP_INT3 : TRAP_INSB;
	g->session.hard_works = probe.hardware;
	listen_at(g, where);
	if (!probe.breaks || !probe.hardware)
		warn_line("gdb: this host's CPU is an emulated one that lacks%s%s",
			  probe.breaks ? "" :
			  " breakpoints in user processes",
			  probe.hardware ? "" : probe.breaks ?
			  " hardware breakpoints and watchpoints" :
			  ", hardware breakpoints and watchpoints");
	return g;
}

void gdb_start(struct gdb *g)
{
	if (!g)
		return;
	if (pthread_create(&g->thread, NULL, gdb_main, g))
		die("cannot start the gdb server's thread");
	g->started = true;
}

/* A gdb that waits for a stop learns the status; any other the closing. */
static void say_exit(struct gdb *g)
{
	struct gdb_reply reply = { 0 };
	char frame[16];
	uint8_t status = (uint8_t)g->m->status;

	if (g->fd < 0)
		return;
	if (g->running) {
		gdb_puts(&reply, "W");
		gdb_put_hex(&reply, &status, 1);
		if (send(g->fd, frame, gdb_frame(&reply, frame), MSG_NOSIGNAL |
			 MSG_DONTWAIT) < 0)
			warn_line("gdb: it did not take the guest's end");
	}
	close(g->fd);
}

void gdb_finish(struct gdb *g)
{
	if (!g)
		return;
	if (g->started)
		pthread_join(g->thread, NULL);
	say_exit(g);
	close(g->listen_fd);
	close(g->wake_fd);
	if (g->path)
		unlink(g->path);
	free(g->path);
	pthread_cond_destroy(&g->go);
	pthread_mutex_destroy(&g->lock);
	free(g);
}
