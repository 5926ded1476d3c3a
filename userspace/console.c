// SPDX-License-Identifier: GPL-2.0
/*
 * stdout: a queue that vCPUs fill byte by byte, and a thread that empties it
 * in bursts. A guest prints a character an exit; a write(2) each would cost
 * more than the exit does. The thread waits a moment after it was woken, so
 * that a burst gathers, and vCPUs wake it only when it sleeps.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/io.h"
#include "control.h"
#include "machine.h"
#include "term.h"

#define QUEUE_BYTES	65536		/* a power of two */
#define GATHER_US	1000

struct console {
	pthread_t thread;
	struct control *control;	/* who looks on, or NULL */
	int fd;				/* -1: nobody else does */
	pthread_mutex_t lock;		/* guards all below */
	pthread_cond_t more;		/* for the thread */
	pthread_cond_t room;		/* for the vCPUs */
	uint32_t head, tail;		/* written at tail, read at head */
	bool asleep;			/* the thread waits for more */
	bool no_wait;			/* a full queue grows no further */
	bool finish;
	bool broken;			/* the descriptor is gone */
	uint8_t queue[QUEUE_BYTES];
};

static uint32_t used(const struct console *c)
{
	return c->tail - c->head;
}

/* Take what is there, in one piece. Called with the lock held. */
static size_t take(struct console *c, uint8_t *to)
{
	uint32_t n = used(c), at = c->head % QUEUE_BYTES;
	uint32_t first = QUEUE_BYTES - at < n ? QUEUE_BYTES - at : n;

	memcpy(to, c->queue + at, first);
	memcpy(to + first, c->queue, n - first);
	c->head = c->tail;
	return n;
}

static void *console_main(void *arg)
{
	static uint8_t burst[QUEUE_BYTES];
	struct console *c = arg;
	bool finish;
	size_t n;

	do {
		pthread_mutex_lock(&c->lock);
		c->asleep = true;
		while (!used(c) && !c->finish)
			pthread_cond_wait(&c->more, &c->lock);
		c->asleep = false;
		finish = c->finish;
		pthread_mutex_unlock(&c->lock);
		if (!finish)
			usleep(GATHER_US);
		pthread_mutex_lock(&c->lock);
		n = take(c, burst);
		pthread_cond_broadcast(&c->room);
		pthread_mutex_unlock(&c->lock);
		control_output(c->control, burst, n);
		if (!c->broken && !write_all(c->fd, burst, n))
			c->broken = true;
	} while (!finish);
	return NULL;
}

void console_put(void *console, uint8_t byte)
{
	struct console *c = console;

	pthread_mutex_lock(&c->lock);
	while (used(c) == QUEUE_BYTES && !c->no_wait)
		pthread_cond_wait(&c->room, &c->lock);
	if (used(c) < QUEUE_BYTES)
		c->queue[c->tail++ % QUEUE_BYTES] = byte;
	if (c->asleep) {
		c->asleep = false;
		pthread_cond_signal(&c->more);
	}
	pthread_mutex_unlock(&c->lock);
}

void console_unblock(struct console *c)
{
	pthread_mutex_lock(&c->lock);
	c->no_wait = true;
	pthread_cond_broadcast(&c->room);
	pthread_mutex_unlock(&c->lock);
}

void console_finish(struct console *c)
{
	pthread_mutex_lock(&c->lock);
	c->finish = true;
	pthread_cond_signal(&c->more);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->more);
	pthread_cond_destroy(&c->room);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

struct console *console_create(struct control *control, int fd)
{
	struct console *c = xcalloc(1, sizeof(*c));

	c->control = control;
	c->fd = fd;
	c->broken = fd < 0;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->more, NULL);
	pthread_cond_init(&c->room, NULL);
	if (pthread_create(&c->thread, NULL, console_main, c))
		die("cannot start the console's thread");
	return c;
}
