/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A thread that waits for file descriptors and calls what they are for. Each
 * device has one of its own: a slow host file does not hold up the network.
 */
#ifndef LOOP_H
#define LOOP_H

#include <poll.h>

#define LOOP_MAX_FDS	256

struct loop;

/* A descriptor of the loop's own is ready; in the loop's thread. */
typedef void (*loop_fn)(void *ctx, short revents);

/* For libraries that have descriptors of their own which come and go. */
struct loop_hooks {
	/* Add descriptors by loop_poll(), and shorten *@timeout (ms, -1: none)
	 * where something is due earlier.
	 */
	void (*prepare)(void *ctx, struct loop *l, int *timeout);
	/* poll(2) has returned; look at them by loop_revents(). */
	void (*done)(void *ctx, struct loop *l);
};

/* Does not start the thread. @name is for ps(1). */
struct loop *loop_create(const char *name);
/* Watch @fd. Before loop_start(), or in the loop's thread; for the loop's
 * lifetime, but that loop_want() with 0 silences it.
 */
void loop_add(struct loop *l, int fd, short events, loop_fn fn, void *ctx);
void loop_want(struct loop *l, int fd, short events);
void loop_set_hooks(struct loop *l, const struct loop_hooks *hooks, void *ctx);
/* Inside prepare() and done(). loop_poll() gives an index, -1 when full. */
int loop_poll(struct loop *l, int fd, short events);
short loop_revents(const struct loop *l, int index);

void loop_start(struct loop *l);
/* End the thread and wait for it: what was ready before the call is served. May
 * be called twice.
 */
void loop_stop(struct loop *l);
void loop_free(struct loop *l);

#endif /* LOOP_H */
