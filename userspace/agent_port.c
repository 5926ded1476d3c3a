// SPDX-License-Identifier: GPL-2.0
/*
 * The agent's port (virtio 1.2, 5.3, with VIRTIO_CONSOLE_F_MULTIPORT). Frames
 * pass through whole: those of the clients are numbered with their session on
 * the way in, those of the guest sent to the session they name.
 *
 * The guest is not trusted: it can waste its own sessions' time, no more. A
 * session whose client does not take what the guest sends, beyond all credit,
 * ends. All of it runs in the device's loop thread, but for agent_port_join().
 *
 * What the guest gave to the device before it went off reaches the clients: the
 * loop's last turn takes it, port_destroy() waits for slow ones, but not long.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "agent/protocol.h"
#include "agent_port.h"
#include "loop.h"
#include "machine.h"
#include "virtio.h"

/* The port's data, and the control messages. */
enum { TO_GUEST, FROM_GUEST, CONTROL_TO_GUEST, CONTROL_FROM_GUEST, QUEUES };

#define HEADER		sizeof(struct agent_frame)
#define FRAME_MAX	(HEADER + AGENT_PAYLOAD)
#define CLIENT_BUFFER	(4 * AGENT_WINDOW)	/* more than the credit of two streams */
#define MAX_CONTROL	8
#define LAST_MS		1000	/* for all clients, at the end */

struct joiner {
	int fd;			/* -1: free */
	uint32_t id;
	bool gone;		/* the guest is to be told */
	size_t used;		/* from the client: the frame that comes */
	uint8_t frame[FRAME_MAX];
	size_t waiting;		/* for the client */
	uint8_t out[CLIENT_BUFFER];
	int polled;		/* index of this turn's poll, -1 */
};

struct control_message {
	struct virtio_console_control head;
	char name[sizeof(AGENT_PORT_NAME)];
	size_t bytes;
};

struct agent_port {
	struct virtio_device d;		/* first */
	atomic_bool open;
	atomic_bool was_reset;		/* the loop has not seen it yet */
	int join_fd;			/* eventfd: new ones, or none may be left */
	pthread_mutex_t lock;		/* guards joining[] */
	int joining[PORT_SESSIONS];
	unsigned int nr_joining;
	atomic_uint nr_sessions;	/* those that are joining, too */

	struct joiner *session[PORT_SESSIONS];
	uint32_t next_id;
	unsigned int turn;		/* whose frame is sent next */
	struct control_message control[MAX_CONTROL];
	unsigned int nr_control;

	size_t out_bytes, out_at;	/* the frame on its way to the guest */
	uint8_t out[FRAME_MAX];
	size_t in_bytes;		/* the one that comes from it */
	uint8_t in[FRAME_MAX];
};

/* ---- control messages ---- */

static void queue_control(struct agent_port *p, uint16_t event, uint16_t value,
			  const char *name)
{
	struct control_message *m;

	/* Only a driver that asks again and again has that many. */
	if (p->nr_control == MAX_CONTROL)
		return;
	m = &p->control[p->nr_control++];
	m->head = (struct virtio_console_control){ .event = event,
						   .value = value };
	m->bytes = sizeof(m->head) + strlen(name);
	memcpy(m->name, name, strlen(name));
}

static void flush_control(struct agent_port *p)
{
	struct virtqueue *vq = &p->d.vq[CONTROL_TO_GUEST];
	struct vq_chain c;
	uint8_t data[sizeof(struct control_message)];

	while (p->nr_control) {
		if (!vq_pop(vq, &c)) {
			if (vq_listen(vq))
				continue;
			return;
		}
		memcpy(data, &p->control[0].head, sizeof(p->control[0].head));
		memcpy(data + sizeof(p->control[0].head), p->control[0].name,
		       sizeof(p->control[0].name));
		vq_push(&c, (uint32_t)chain_write(&c, 0, data,
						  p->control[0].bytes));
		memmove(p->control, p->control + 1,
			--p->nr_control * sizeof(p->control[0]));
	}
}

static void end_agent(struct agent_port *p);

static void take_control(struct vq_chain *c, void *ctx)
{
	struct virtio_console_control m;
	struct agent_port *p = ctx;
	bool whole = chain_read(c, 0, &m, sizeof(m)) == sizeof(m);

	vq_push(c, 0);
	if (!whole)
		return;
	switch (m.event) {
	case VIRTIO_CONSOLE_DEVICE_READY:
		if (m.value)
			queue_control(p, VIRTIO_CONSOLE_PORT_ADD, 1, "");
		break;
	case VIRTIO_CONSOLE_PORT_READY:
		if (!m.value)
			break;
		queue_control(p, VIRTIO_CONSOLE_PORT_NAME, 1, AGENT_PORT_NAME);
		queue_control(p, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		if (!m.value)
			end_agent(p);
		p->in_bytes = 0;
		atomic_store(&p->open, m.value);
		break;
	}
}

/* ---- sessions ---- */

static void free_session(struct agent_port *p, unsigned int i)
{
	close(p->session[i]->fd);
	free(p->session[i]);
	p->session[i] = NULL;
	atomic_fetch_sub(&p->nr_sessions, 1);
}

/* All that have said something to the agent that is gone. */
static void forget_sessions(struct agent_port *p)
{
	unsigned int i;

	for (i = 0; i < PORT_SESSIONS; i++)
		if (p->session[i] && p->session[i]->id)
			free_session(p, i);
	p->out_bytes = 0;
}

static void take_joining(struct agent_port *p)
{
	unsigned int i = 0;

	pthread_mutex_lock(&p->lock);
	while (p->nr_joining) {
		while (p->session[i])
			i++;
		p->session[i] = calloc(1, sizeof(*p->session[i]));
		if (!p->session[i]) {
			close(p->joining[--p->nr_joining]);
			atomic_fetch_sub(&p->nr_sessions, 1);
			continue;
		}
		p->session[i]->fd = p->joining[--p->nr_joining];
	}
	pthread_mutex_unlock(&p->lock);
}

static void on_join(void *ctx, short revents)
{
	struct agent_port *p = ctx;
	eventfd_t ignored;

	(void)revents;
	eventfd_read(p->join_fd, &ignored);
	take_joining(p);
}

bool agent_port_join(struct virtio_device *d, int fd)
{
	struct agent_port *p = (struct agent_port *)d;

	if (atomic_fetch_add(&p->nr_sessions, 1) >= PORT_SESSIONS) {
		atomic_fetch_sub(&p->nr_sessions, 1);
		return false;
	}
	pthread_mutex_lock(&p->lock);
	p->joining[p->nr_joining++] = fd;
	pthread_mutex_unlock(&p->lock);
	eventfd_write(p->join_fd, 1);
	return true;
}

bool agent_port_is_open(struct virtio_device *d)
{
	return atomic_load(&((struct agent_port *)d)->open);
}

static size_t frame_bytes(const uint8_t *data)
{
	struct agent_frame f;

	memcpy(&f, data, sizeof(f));
	return sizeof(f) + f.bytes;
}

static bool has_frame(const struct joiner *s)
{
	return s->used >= HEADER && s->used >= frame_bytes(s->frame);
}

/* No more than one frame is taken: the rest waits in the socket. */
static void read_client(struct agent_port *p, unsigned int i)
{
	struct joiner *s = p->session[i];
	size_t want = s->used < HEADER ? HEADER : frame_bytes(s->frame);
	ssize_t n;

	n = want > FRAME_MAX ? 0 : recv(s->fd, s->frame + s->used,
					want - s->used, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		s->used += (size_t)n;
	else if (s->id)
		s->gone = true;
	else
		free_session(p, i);
}

static void write_client(struct joiner *s)
{
	ssize_t n = send(s->fd, s->out, s->waiting, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		s->gone = true;
	if (n <= 0)
		return;
	s->waiting -= (size_t)n;
	memmove(s->out, s->out + n, s->waiting);
}

/* ---- to the guest ---- */

static bool next_frame(struct agent_port *p)
{
	static const struct agent_frame close_frame = { .type = AGENT_CLOSE };
	struct agent_frame f;
	unsigned int n, i;

	for (n = 0; n < PORT_SESSIONS; n++) {
		struct joiner *s;

		i = p->turn++ % PORT_SESSIONS;
		s = p->session[i];
		if (!s || !(s->gone || has_frame(s)))
			continue;
		if (!s->id)
			s->id = ++p->next_id;
		memcpy(p->out, s->gone ? (const uint8_t *)&close_frame : s->frame,
		       s->gone ? HEADER : s->used);
		memcpy(&f, p->out, sizeof(f));
		f.session = s->id;
		memcpy(p->out, &f, sizeof(f));
		p->out_bytes = frame_bytes(p->out);
		p->out_at = 0;
		s->used = 0;
		if (s->gone)
			free_session(p, i);
		return true;
	}
	return false;
}

static void to_guest(struct agent_port *p)
{
	struct virtqueue *vq = &p->d.vq[TO_GUEST];
	struct vq_chain c;
	size_t n;

	while (atomic_load(&p->open)) {
		if (p->out_at == p->out_bytes && !next_frame(p))
			return;
		if (!vq_pop(vq, &c)) {
			if (vq_listen(vq))
				continue;
			return;
		}
		n = chain_write(&c, 0, p->out + p->out_at,
				p->out_bytes - p->out_at);
		p->out_at += n;
		vq_push(&c, (uint32_t)n);
	}
}

/* ---- from the guest ---- */

static void deliver(struct agent_port *p, const uint8_t *frame, size_t bytes)
{
	struct agent_frame f;
	unsigned int i;

	memcpy(&f, frame, sizeof(f));
	for (i = 0; i < PORT_SESSIONS; i++) {
		struct joiner *s = p->session[i];

		if (!s || !s->id || s->id != f.session || s->gone)
			continue;
		if (bytes > sizeof(s->out) - s->waiting) {
			s->gone = true;
			return;
		}
		memcpy(s->out + s->waiting, frame, bytes);
		s->waiting += bytes;
		write_client(s);
	}
}

/* Cut the stream into frames. */
static void take_bytes(struct agent_port *p, const uint8_t *data, size_t bytes)
{
	size_t want, n;

	while (bytes) {
		want = p->in_bytes < HEADER ? HEADER : frame_bytes(p->in);
		n = want - p->in_bytes < bytes ? want - p->in_bytes : bytes;
		memcpy(p->in + p->in_bytes, data, n);
		p->in_bytes += n;
		data += n;
		bytes -= n;
		if (p->in_bytes < HEADER)
			return;
		want = frame_bytes(p->in);
		if (want > FRAME_MAX) {
			virtio_broken(&p->d, "a frame that is too long");
			p->in_bytes = 0;
			return;
		}
		if (p->in_bytes == want) {
			deliver(p, p->in, want);
			p->in_bytes = 0;
		}
	}
}

static void from_guest(struct vq_chain *c, void *ctx)
{
	struct agent_port *p = ctx;
	uint8_t data[4096];
	size_t at = 0, n;

	do {
		n = chain_read(c, at, data, sizeof(data));
		at += n;
		take_bytes(p, data, n);
	} while (n == sizeof(data));
	vq_push(c, 0);
}

/* The agent has closed the port. Its last words may not have been looked at, as
 * they came by another queue; the next one knows nothing of its sessions.
 */
static void end_agent(struct agent_port *p)
{
	vq_drain(&p->d.vq[FROM_GUEST], from_guest, p);
	forget_sessions(p);
}

/* ---- the device ---- */

/* Another driver begins from nothing. */
static void see_reset(struct agent_port *p)
{
	if (!atomic_exchange(&p->was_reset, false))
		return;
	forget_sessions(p);
	p->nr_control = 0;
	p->in_bytes = 0;
}

static void port_kick(struct virtio_device *d, struct virtqueue *vq)
{
	struct agent_port *p = (struct agent_port *)d;

	see_reset(p);
	switch (vq->index) {
	case FROM_GUEST:
		vq_drain(vq, from_guest, p);
		break;
	case CONTROL_FROM_GUEST:
		vq_drain(vq, take_control, p);
		break;
	}
	/* The loop's next turn looks at the two others. */
}

static void prepare(void *ctx, struct loop *l, int *timeout)
{
	struct agent_port *p = ctx;
	unsigned int i;

	(void)timeout;
	see_reset(p);
	if (atomic_load(&p->d.live)) {
		flush_control(p);
		to_guest(p);
	}
	for (i = 0; i < PORT_SESSIONS; i++) {
		struct joiner *s = p->session[i];

		if (!s)
			continue;
		s->polled = -1;
		if (!s->gone)
			s->polled = loop_poll(l, s->fd,
				(has_frame(s) ? 0 : POLLIN) |
				(s->waiting ? POLLOUT : 0));
	}
}

static void done(void *ctx, struct loop *l)
{
	struct agent_port *p = ctx;
	unsigned int i;

	for (i = 0; i < PORT_SESSIONS; i++) {
		struct joiner *s = p->session[i];
		short revents = s ? loop_revents(l, s->polled) : 0;

		if (!revents)
			continue;
		if (revents & POLLOUT)
			write_client(s);
		if (revents & (POLLIN | POLLHUP | POLLERR) && !has_frame(s))
			read_client(p, i);
		/* It is gone, and may have left a frame that nobody takes. */
		else if (revents & (POLLHUP | POLLERR))
			s->gone = true;
	}
}

static void port_reset(struct virtio_device *d)
{
	struct agent_port *p = (struct agent_port *)d;

	atomic_store(&p->open, false);
	atomic_store(&p->was_reset, true);
}

/* Until it has all, or @deadline. */
static void write_rest(struct joiner *s, uint64_t deadline)
{
	struct pollfd fd = { .fd = s->fd, .events = POLLOUT };
	uint64_t now;

	while (s->waiting && !s->gone) {
		now = now_ns();
		if (now >= deadline ||
		    poll(&fd, 1, (int)((deadline - now) / 1000000) + 1) < 0)
			return;
		write_client(s);
	}
}

static void port_destroy(struct virtio_device *d)
{
	uint64_t deadline = now_ns() + LAST_MS * 1000000ULL;
	struct agent_port *p = (struct agent_port *)d;
	unsigned int i;

	take_joining(p);
	for (i = 0; i < PORT_SESSIONS; i++) {
		if (!p->session[i])
			continue;
		write_rest(p->session[i], deadline);
		free_session(p, i);
	}
	pthread_mutex_destroy(&p->lock);
	close(p->join_fd);
	free(p);
}

static const struct virtio_ops port_ops = {
	.name = "agent",
	.id = VIRTIO_ID_CONSOLE,
	.kick = port_kick,
	.reset = port_reset,
	.destroy = port_destroy,
};

struct virtio_device *agent_port_create(const struct virtio_memory *mem)
{
	static const struct loop_hooks hooks = { prepare, done };
	struct virtio_console_config config = { .max_nr_ports = 1 };
	struct agent_port *p = xcalloc(1, sizeof(*p));

	p->join_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->join_fd < 0)
		die("cannot create an eventfd: %s", strerror(errno));
	pthread_mutex_init(&p->lock, NULL);
	virtio_init(&p->d, &port_ops, "agent", mem,
		    FEATURE(VIRTIO_CONSOLE_F_MULTIPORT), QUEUES);
	memcpy(p->d.config, &config, sizeof(config));
	p->d.config_bytes = sizeof(config);
	loop_add(p->d.loop, p->join_fd, POLLIN, on_join, p);
	loop_set_hooks(p->d.loop, &hooks, p);
	return &p->d;
}
