// SPDX-License-Identifier: GPL-2.0
/* The control socket of a running VM: see control.h. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent_port.h"
#include "cgroup.h"
#include "control.h"
#include "gdb.h"
#include "machine.h"
#include "names.h"
#include "term.h"

#define MAX_CLIENTS	16
#define BACKLOG_BYTES	16384		/* of output, for who comes later */
#define KILLED_STATUS	137		/* as by SIGKILL */

enum client_kind { FREE, COMMAND, CONSOLE, WAITS };

struct client {
	enum client_kind kind;
	int fd;
	size_t used;		/* COMMAND: of the line; CONSOLE: of input */
	char line[CONTROL_LINE];
};

struct control {
	struct machine *m;
	const struct config *cfg;
	char *path;
	char name[NAME_MAX_BYTES + 1];
	int listen_fd;
	int wake_fd;		/* eventfd: room for input, or the end */
	pthread_t thread;
	bool started;
	atomic_bool over;
	struct timespec start;

	pthread_mutex_t lock;	/* guards clients' kinds and fds, and below */
	struct client client[MAX_CLIENTS];
	size_t output;		/* bytes ever written */
	uint8_t backlog[BACKLOG_BYTES];
};

/* ---- replies ---- */

/* Best effort: a client that does not read is its own problem. */
static void send_text(const struct client *cl, const char *data, size_t bytes)
{
	if (send(cl->fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

static void put_text(FILE *f, const char *name, const char *text)
{
	fprintf(f, "s %s ", name);
	for (; *text; text++)
		fputc((unsigned char)*text < ' ' ? '?' : *text, f);
	fputc('\n', f);
}

static void put_number(FILE *f, const char *name, uint64_t n)
{
	fprintf(f, "n %s %llu\n", name, (unsigned long long)n);
}

static uint64_t uptime_ms(const struct control *c)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)((now.tv_sec - c->start.tv_sec) * 1000 +
			  (now.tv_nsec - c->start.tv_nsec) / 1000000);
}

static void put_info(struct control *c, FILE *f)
{
	put_text(f, "name", c->name);
	put_number(f, "pid", (uint64_t)getpid());
	put_text(f, "state", gdb_holds(c->m->gdb) ? "stopped" : "running");
	put_number(f, "uptime_ms", uptime_ms(c));
	put_number(f, "vcpus", c->m->nr_cpus);
	put_number(f, "memory", c->cfg->mem);
	put_text(f, "kernel", c->cfg->kernel);
	put_text(f, "agent", c->m->agent ? "port" : "none");
	put_number(f, "vsock", c->cfg->dev.vsock_cid);
}

static void put_stats(struct control *c, FILE *f)
{
	struct posada_stats s;
	unsigned int i;

	put_number(f, "uptime_ms", uptime_ms(c));
	cgroup_stats(f);
	if (posada_vm_stats(c->m->vm, &s))
		return;
	for (i = 0; i < POSADA_STAT_COUNT; i++)
		put_number(f, posada_stat_name(i), s.value[i]);
}

static void reply_fields(struct control *c, struct client *cl,
			 void (*put)(struct control *c, FILE *f))
{
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	if (!f)
		return;
	fputs("ok\n", f);
	put(c, f);
	fclose(f);
	send_text(cl, text, bytes);
	free(text);
}

/* ---- clients ---- */

static void drop(struct control *c, struct client *cl)
{
	pthread_mutex_lock(&c->lock);
	close(cl->fd);
	cl->kind = FREE;
	pthread_mutex_unlock(&c->lock);
}

static void set_kind(struct control *c, struct client *cl,
		     enum client_kind kind)
{
	pthread_mutex_lock(&c->lock);
	cl->kind = kind;
	cl->used = 0;
	pthread_mutex_unlock(&c->lock);
}

/* What was written before, then all that follows, without a gap. */
static void attach(struct control *c, struct client *cl)
{
	size_t n, at;

	pthread_mutex_lock(&c->lock);
	cl->kind = CONSOLE;
	cl->used = 0;
	n = c->output < BACKLOG_BYTES ? c->output : BACKLOG_BYTES;
	at = (c->output - n) % BACKLOG_BYTES;
	send_text(cl, "ok\n", 3);
	if (at + n > BACKLOG_BYTES) {
		send_text(cl, (char *)c->backlog + at, BACKLOG_BYTES - at);
		n -= BACKLOG_BYTES - at;
		at = 0;
	}
	send_text(cl, (char *)c->backlog + at, n);
	pthread_mutex_unlock(&c->lock);
}

void control_output(struct control *c, const uint8_t *data, size_t bytes)
{
	size_t i;

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	for (i = 0; i < bytes; i++)
		c->backlog[c->output++ % BACKLOG_BYTES] = data[i];
	for (i = 0; i < MAX_CLIENTS; i++)
		if (c->client[i].kind == CONSOLE)
			send_text(&c->client[i], (const char *)data, bytes);
	pthread_mutex_unlock(&c->lock);
}

/* ---- commands ---- */

static void stop(struct control *c, struct client *cl)
{
	send_text(cl, "ok\n", 3);
	set_kind(c, cl, WAITS);
	machine_power_button(c->m);
}

static void kill_vm(struct control *c, struct client *cl)
{
	send_text(cl, "ok\n", 3);
	set_kind(c, cl, WAITS);
	machine_stop(c->m, KILLED_STATUS, NULL);
}

static void generation(struct control *c, struct client *cl)
{
	const char *step = cl->line + strcspn(cl->line, " ");
	char text[32];
	int told;

	told = posada_generation(c->m->vm, NULL, strtoll(step, NULL, 10));
	snprintf(text, sizeof(text), "ok\nn told %d\n", told < 0 ? 0 : told);
	send_text(cl, text, strlen(text));
	drop(c, cl);
}

static void info(struct control *c, struct client *cl)
{
	reply_fields(c, cl, put_info);
	drop(c, cl);
}

static void stats(struct control *c, struct client *cl)
{
	reply_fields(c, cl, put_stats);
	drop(c, cl);
}

/* The socket is the agent's from here on. */
static void exec(struct control *c, struct client *cl)
{
	static const char closed[] = "error no agent answers in the guest: has that started, and posada-agent in it?\n",
		full[] = "error as many commands as there may be are running\n";
	const char *error = closed;

	if (c->m->agent && agent_port_is_open(c->m->agent)) {
		send_text(cl, "ok\n", 3);
		if (agent_port_join(c->m->agent, cl->fd)) {
			pthread_mutex_lock(&c->lock);
			cl->kind = FREE;
			pthread_mutex_unlock(&c->lock);
			return;
		}
		error = full;
	}
	send_text(cl, error, strlen(error));
	drop(c, cl);
}

static const struct {
	const char *name;
	void (*fn)(struct control *c, struct client *cl);
	bool takes_number;
} commands[] = {
	{ "info", info, false }, { "stats", stats, false },
	{ "stop", stop, false }, { "kill", kill_vm, false },
	{ "console", attach, false }, { "exec", exec, false },
	{ "generation", generation, true },
};

/* Is it this command, and no more than it takes? */
static bool is_command(const char *line, size_t i)
{
	size_t n = strlen(commands[i].name);

	if (strncmp(line, commands[i].name, n))
		return false;
	if (line[n] == ' ' && commands[i].takes_number)
		return line[n + 1 + strspn(line + n + 1, "-0123456789")] == '\0';
	return !line[n];
}

static void take_command(struct control *c, struct client *cl)
{
	static const char unknown[] = "error unknown command\n";
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (is_command(cl->line, i)) {
			commands[i].fn(c, cl);
			return;
		}
	send_text(cl, unknown, sizeof(unknown) - 1);
	drop(c, cl);
}

/* A line is one send of the client's, but need not come in one piece. */
static void read_command(struct control *c, struct client *cl)
{
	ssize_t n = recv(cl->fd, cl->line + cl->used,
			 sizeof(cl->line) - 1 - cl->used, MSG_DONTWAIT);
	char *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(c, cl);
		return;
	}
	cl->used += (size_t)n;
	cl->line[cl->used] = '\0';
	end = strchr(cl->line, '\n');
	if (end) {
		*end = '\0';
		take_command(c, cl);
	} else if (cl->used == sizeof(cl->line) - 1) {
		drop(c, cl);
	}
}

static void give_input(struct control *c, struct client *cl)
{
	size_t n = term_receive(c->m, (uint8_t *)cl->line, cl->used);

	cl->used -= n;
	memmove(cl->line, cl->line + n, cl->used);
}

static void read_input(struct control *c, struct client *cl)
{
	ssize_t n = recv(cl->fd, cl->line + cl->used,
			 sizeof(cl->line) - cl->used, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(c, cl);
		return;
	}
	cl->used += (size_t)n;
	give_input(c, cl);
}

static void read_nothing(struct control *c, struct client *cl)
{
	char byte;
	ssize_t n = recv(cl->fd, &byte, 1, MSG_DONTWAIT);

	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
		drop(c, cl);
}

static void serve(struct control *c, struct client *cl)
{
	switch (cl->kind) {
	case COMMAND:
		read_command(c, cl);
		break;
	case CONSOLE:
		read_input(c, cl);
		break;
	case WAITS:
		read_nothing(c, cl);
		break;
	case FREE:
		break;
	}
}

/* ---- the thread ---- */

static void take_client(struct control *c)
{
	int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	size_t i;

	if (fd < 0)
		return;
	for (i = 0; i < MAX_CLIENTS; i++)
		if (c->client[i].kind == FREE)
			break;
	if (i == MAX_CLIENTS) {
		close(fd);
		return;
	}
	pthread_mutex_lock(&c->lock);
	c->client[i].fd = fd;
	c->client[i].used = 0;
	c->client[i].kind = COMMAND;
	pthread_mutex_unlock(&c->lock);
}

/* Input that the guest has no room for yet stays with the client. */
static bool wants_input(const struct client *cl)
{
	return cl->kind != FREE &&
	       !(cl->kind == CONSOLE && cl->used == sizeof(cl->line));
}

static void *control_main(void *arg)
{
	struct control *c = arg;
	struct pollfd fds[MAX_CLIENTS + 2];
	eventfd_t ignored;
	size_t i;

	while (!atomic_load(&c->over)) {
		fds[0] = (struct pollfd){ .fd = c->listen_fd, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = c->wake_fd, .events = POLLIN };
		for (i = 0; i < MAX_CLIENTS; i++) {
			fds[i + 2].fd = wants_input(&c->client[i]) ?
					c->client[i].fd : -1;
			fds[i + 2].events = POLLIN;
		}
		if (poll(fds, MAX_CLIENTS + 2, -1) < 0)
			continue;
		if (fds[1].revents)
			eventfd_read(c->wake_fd, &ignored);
		for (i = 0; i < MAX_CLIENTS; i++) {
			if (fds[i + 2].fd >= 0 && fds[i + 2].revents)
				serve(c, &c->client[i]);
			else if (c->client[i].kind == CONSOLE)
				give_input(c, &c->client[i]);
		}
		if (fds[0].revents)
			take_client(c);
	}
	return NULL;
}

/* ---- life ---- */

/* The path, for whichever way the program ends. */
static char *to_remove;

static void remove_socket(void)
{
	if (to_remove)
		unlink(to_remove);
	free(to_remove);
	to_remove = NULL;
}

void control_room(struct control *c)
{
	if (c)
		eventfd_write(c->wake_fd, 1);
}

static void die_name(const struct control *c, int error)
{
	if (error == -EADDRINUSE)
		die("a VM named '%s' is running: take another --name, or `posada stop %s` first",
		    c->name, c->name);
	if (error == -ENOTDIR)
		die("--name %s: there is no folder for control sockets: set XDG_RUNTIME_DIR, or be root",
		    c->name);
	if (error == -EPERM)
		die("--name %s: the folder of %s is not yours alone: remove it, or put its owner and mode (0700) right",
		    c->name, c->path);
	die("--name %s: cannot listen at %s: %s", c->name, c->path,
	    strerror(-error));
}

struct control *control_create(const struct config *cfg)
{
	struct control *c = xcalloc(1, sizeof(*c));

	c->cfg = cfg;
	if (cfg->name)
		snprintf(c->name, sizeof(c->name), "%s", cfg->name);
	else
		snprintf(c->name, sizeof(c->name), "vm%d", (int)getpid());
	c->path = names_path(c->name);
	c->listen_fd = c->path ? names_listen(c->path) : -ENOTDIR;
	if (c->listen_fd >= 0) {
		to_remove = xasprintf("%s", c->path);
		atexit(remove_socket);
		c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		pthread_mutex_init(&c->lock, NULL);
		clock_gettime(CLOCK_MONOTONIC, &c->start);
		return c;
	}
	if (cfg->name)
		die_name(c, c->listen_fd);
	free(c->path);
	free(c);
	return NULL;
}

void control_start(struct control *c, struct machine *m)
{
	if (!c)
		return;
	c->m = m;
	if (pthread_create(&c->thread, NULL, control_main, c))
		die("cannot start the control thread");
	c->started = true;
}

/* The socket goes first: who finds it may count on an answer. */
void control_finish(struct control *c)
{
	size_t i;

	if (!c)
		return;
	remove_socket();
	atomic_store(&c->over, true);
	control_room(c);
	if (c->started)
		pthread_join(c->thread, NULL);
	for (i = 0; i < MAX_CLIENTS; i++)
		if (c->client[i].kind != FREE)
			close(c->client[i].fd);
	close(c->listen_fd);
	close(c->wake_fd);
	pthread_mutex_destroy(&c->lock);
	free(c->path);
	free(c);
}
