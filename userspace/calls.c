// SPDX-License-Identifier: GPL-2.0
/*
 * Hypercalls that leave to the VMM. The console's ring has a thread, which the
 * guest's doorbell wakes: it then looks by itself for as long as there is
 * output, and a moment longer, so that a burst of lines costs one exit.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "calls.h"
#include "loop.h"
#include "machine.h"
#include "posada_hypercall.h"
#include "term.h"

#define LOOK_US		1000	/* between two looks at the ring */
#define LOOKS		10	/* at nothing, before the thread sleeps */
#define ROOM_MS		20	/* between two looks for the input's room */

struct calls {
	struct machine *m;
	struct loop *loop;
	int bell_fd;
	int room_fd;
	atomic_bool stopping;
	atomic_bool wants_room;		/* somebody waits for the input's */
	atomic_bool has_ring;
	pthread_mutex_t lock;		/* guards the ring */
	struct posada_console ring;
};

/* ---- the console ---- */

/* Called with the lock held. -> whether there was any. */
static bool drain(struct calls *c)
{
	uint8_t data[4096];
	size_t i, n, all = 0;

	while ((n = posada_console_read(&c->ring, data, sizeof(data)))) {
		for (i = 0; i < n; i++)
			console_put(c->m->console, data[i]);
		all += n;
	}
	return all;
}

/* One look at the ring; with @sleep the last before the guest is to ring. */
static bool look(struct calls *c, bool sleep)
{
	bool found;

	pthread_mutex_lock(&c->lock);
	found = posada_console_listen(&c->ring, sleep);
	drain(c);
	pthread_mutex_unlock(&c->lock);
	return found;
}

static void on_bell(void *ctx, short revents)
{
	struct calls *c = ctx;
	eventfd_t ignored;
	unsigned int idle;

	(void)revents;
	eventfd_read(c->bell_fd, &ignored);
	do {
		for (idle = 0; idle < LOOKS && !atomic_load(&c->stopping); idle++) {
			if (look(c, false))
				idle = 0;
			usleep(LOOK_US);
		}
	} while (look(c, true) && !atomic_load(&c->stopping));
}

/* The guest makes no noise when it takes input: look for room. */
static void before_poll(void *ctx, struct loop *l, int *timeout)
{
	struct calls *c = ctx;

	(void)l;
	if (atomic_load(&c->wants_room) && atomic_load(&c->has_ring))
		*timeout = ROOM_MS;
}

static void after_poll(void *ctx, struct loop *l)
{
	struct calls *c = ctx;
	size_t room;

	(void)l;
	if (!atomic_load(&c->wants_room))
		return;
	pthread_mutex_lock(&c->lock);
	room = posada_console_room(&c->ring);
	pthread_mutex_unlock(&c->lock);
	if (!room)
		return;
	atomic_store(&c->wants_room, false);
	eventfd_write(c->room_fd, 1);
}

static int64_t set_ring(struct calls *c, const struct posada_exit_system *x)
{
	int64_t ret;

	pthread_mutex_lock(&c->lock);
	drain(c);
	ret = posada_console_set(&c->ring, c->m->vm, x->arg, x->bytes);
	drain(c);
	pthread_mutex_unlock(&c->lock);
	atomic_store(&c->has_ring, !ret && x->bytes);
	if (atomic_exchange(&c->wants_room, false))
		eventfd_write(c->room_fd, 1);
	return ret;
}

static int64_t write_text(struct calls *c, const struct posada_exit_system *x)
{
	uint8_t text[POSADA_CONSOLE_MAX];
	size_t i, n = x->bytes < sizeof(text) ? x->bytes : sizeof(text);

	if (posada_read(c->m->vm, x->arg, text, n))
		return -POSADA_EFAULT;
	pthread_mutex_lock(&c->lock);
	drain(c);
	for (i = 0; i < n; i++)
		console_put(c->m->console, text[i]);
	pthread_mutex_unlock(&c->lock);
	return (int64_t)n;
}

static void want_room(struct calls *c)
{
	if (!atomic_exchange(&c->wants_room, true))
		eventfd_write(c->bell_fd, 1);
}

size_t calls_room(struct calls *c)
{
	size_t room;

	pthread_mutex_lock(&c->lock);
	room = posada_console_room(&c->ring);
	pthread_mutex_unlock(&c->lock);
	if (!room)
		want_room(c);
	return room;
}

size_t calls_receive(struct calls *c, const uint8_t *data, size_t bytes)
{
	size_t n;

	pthread_mutex_lock(&c->lock);
	n = posada_console_write(&c->ring, data, bytes);
	pthread_mutex_unlock(&c->lock);
	if (n < bytes)
		want_room(c);
	return n;
}

/* ---- the rest ---- */

/* The message of a crash is bytes of the guest's: print what can be. */
static void crash(struct calls *c, const struct posada_exit_system *x)
{
	char text[512] = "";
	size_t i, n = x->bytes < sizeof(text) ? x->bytes : sizeof(text) - 1;

	if (posada_read(c->m->vm, x->arg, text, n))
		n = 0;
	while (n && (text[n - 1] == '\n' || !text[n - 1]))
		n--;
	for (i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '.';
	warn_line("the guest reports a crash%s%.*s", n ? ": " : "", (int)n,
		  text);
}

bool calls_serve(struct calls *c, struct posada_exit_system *x)
{
	switch (x->event) {
	case POSADA_SYSTEM_CRASH:
		crash(c, x);
		return true;
	case POSADA_SYSTEM_CONSOLE_WRITE:
		x->ret = write_text(c, x);
		return true;
	case POSADA_SYSTEM_CONSOLE_RING:
		x->ret = set_ring(c, x);
		return true;
	case POSADA_SYSTEM_FREE_PAGES:
		x->ret = posada_free_pages(c->m->vm, x->arg, x->bytes);
		return true;
	default:
		machine_stop(c->m, 0, NULL);
		return false;
	}
}

/* ---- life ---- */

struct calls *calls_create(struct machine *m, int room_fd)
{
	static const struct loop_hooks hooks = { before_poll, after_poll };
	struct posada_doorbell bell = {
		.kind = POSADA_DOORBELL_CALL, .addr = POSADA_BELL_CONSOLE,
	};
	struct calls *c = xcalloc(1, sizeof(*c));
	int ret;

	c->m = m;
	c->room_fd = room_fd;
	pthread_mutex_init(&c->lock, NULL);
	c->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->bell_fd < 0)
		die("cannot create an eventfd: %s", strerror(errno));
	bell.fd = c->bell_fd;
	ret = posada_doorbell(m->vm, &bell);
	if (ret < 0)
		die("cannot make the console's doorbell: %s", strerror(-ret));
	c->loop = loop_create("calls");
	loop_add(c->loop, c->bell_fd, POLLIN, on_bell, c);
	loop_set_hooks(c->loop, &hooks, c);
	return c;
}

void calls_start(struct calls *c)
{
	loop_start(c->loop);
}

void calls_stop(struct calls *c)
{
	atomic_store(&c->stopping, true);
	loop_stop(c->loop);
	look(c, false);
}

void calls_free(struct calls *c)
{
	loop_free(c->loop);
	close(c->bell_fd);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
