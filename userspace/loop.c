// SPDX-License-Identifier: GPL-2.0
/* A thread around poll(2). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop.h"
#include "machine.h"

struct loop {
	pthread_t thread;
	bool started;
	atomic_bool finish;
	int wake_fd;
	char name[16];
	const struct loop_hooks *hooks;
	void *hooks_ctx;
	unsigned int own;	/* of fds[]: the loop's; hooks' follow */
	unsigned int count;
	struct pollfd fds[LOOP_MAX_FDS];
	struct {
		loop_fn fn;
		void *ctx;
	} on[LOOP_MAX_FDS];
};

static void on_wake(void *ctx, short revents)
{
	struct loop *l = ctx;
	eventfd_t ignored;

	(void)revents;
	eventfd_read(l->wake_fd, &ignored);
}

struct loop *loop_create(const char *name)
{
	struct loop *l = xcalloc(1, sizeof(*l));

	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake_fd < 0)
		die("cannot create an eventfd: %s", strerror(errno));
	snprintf(l->name, sizeof(l->name), "%s", name);
	loop_add(l, l->wake_fd, POLLIN, on_wake, l);
	return l;
}

void loop_add(struct loop *l, int fd, short events, loop_fn fn, void *ctx)
{
	if (l->own == LOOP_MAX_FDS)
		die("internal: a device with more than %d descriptors",
		    LOOP_MAX_FDS);
	l->fds[l->own] = (struct pollfd){ .fd = fd, .events = events };
	l->on[l->own].fn = fn;
	l->on[l->own].ctx = ctx;
	l->count = ++l->own;
}

void loop_want(struct loop *l, int fd, short events)
{
	unsigned int i;

	/* A descriptor below zero is one that poll() passes over, with no
	 * POLLHUP either.
	 */
	for (i = 0; i < l->own; i++)
		if (l->fds[i].fd == fd || l->fds[i].fd == -1 - fd) {
			l->fds[i].fd = events ? fd : -1 - fd;
			l->fds[i].events = events;
		}
}

void loop_set_hooks(struct loop *l, const struct loop_hooks *hooks, void *ctx)
{
	l->hooks = hooks;
	l->hooks_ctx = ctx;
}

int loop_poll(struct loop *l, int fd, short events)
{
	if (l->count == LOOP_MAX_FDS)
		return -1;
	l->fds[l->count] = (struct pollfd){ .fd = fd, .events = events };
	return (int)l->count++;
}

short loop_revents(const struct loop *l, int index)
{
	return index < 0 || (unsigned int)index >= l->count ?
	       0 : l->fds[index].revents;
}

static void turn(struct loop *l, bool last)
{
	int timeout = -1;
	unsigned int i;

	l->count = l->own;
	if (l->hooks)
		l->hooks->prepare(l->hooks_ctx, l, &timeout);
	if (poll(l->fds, l->count, last ? 0 : timeout) < 0) {
		for (i = 0; i < l->count; i++)
			l->fds[i].revents = 0;
	}
	if (l->hooks)
		l->hooks->done(l->hooks_ctx, l);
	for (i = 0; i < l->own; i++)
		if (l->fds[i].revents)
			l->on[i].fn(l->on[i].ctx, l->fds[i].revents);
}

static void *loop_main(void *arg)
{
	struct loop *l = arg;

	pthread_setname_np(pthread_self(), l->name);
	while (!atomic_load(&l->finish))
		turn(l, false);
	/* What was ready when the loop was told to end. */
	turn(l, true);
	return NULL;
}

void loop_start(struct loop *l)
{
	if (pthread_create(&l->thread, NULL, loop_main, l))
		die("cannot start a thread for %s", l->name);
	l->started = true;
}

void loop_stop(struct loop *l)
{
	if (!l->started)
		return;
	atomic_store(&l->finish, true);
	eventfd_write(l->wake_fd, 1);
	pthread_join(l->thread, NULL);
	l->started = false;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	loop_stop(l);
	close(l->wake_fd);
	free(l);
}
