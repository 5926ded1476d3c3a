// SPDX-License-Identifier: GPL-2.0
/*
 * The port to the agent: a driver model in place of the guest's kernel, the
 * ends of socket pairs in place of clients. KTAP.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/virtio_console.h>

#include "../../userspace/agent/protocol.h"
#include "../../userspace/agent_port.h"
#include "../../userspace/loop.h"
#include "../../userspace/machine.h"
#include "vdriver.h"

enum { TO_GUEST, FROM_GUEST, CONTROL_TO_GUEST, CONTROL_FROM_GUEST };

#define IN	VD_BUFFERS			/* a page for each queue */
#define OUT	(VD_BUFFERS + 0x10000)
#define PAGE	4096U

static struct vdriver v;

void term_restore(void)
{
}

bool term_is_raw(void)
{
	return false;
}

static void kick(unsigned int q)
{
	eventfd_write(v.q[q].vq->kick_fd, 1);
}

/* The device's next words in this queue. -> their bytes, or -1. */
static int hear(unsigned int q, void *data, size_t bytes)
{
	uint64_t at = IN + q * PAGE;
	struct vd_buffer b = { at, PAGE, true };
	uint32_t n;
	uint16_t id;

	vd_add(&v.q[q], &v, 1, &b, 1, false);
	kick(q);
	if (!vd_wait(&v.q[q], &v, &id, &n))
		return -1;
	memcpy(data, vd_at(&v, at), n < bytes ? n : bytes);
	return (int)n;
}

static bool say(unsigned int q, const void *data, size_t bytes)
{
	struct vd_buffer b = { OUT, (uint32_t)bytes, false };
	uint32_t n;
	uint16_t id;

	memcpy(vd_at(&v, OUT), data, bytes);
	vd_add(&v.q[q], &v, 1, &b, 1, false);
	kick(q);
	return vd_wait(&v.q[q], &v, &id, &n);
}

static bool control(uint16_t event, uint16_t value)
{
	struct virtio_console_control m = { .event = event, .value = value };

	return say(CONTROL_FROM_GUEST, &m, sizeof(m));
}

static bool frame(uint32_t session, enum agent_type type, uint16_t bytes)
{
	uint8_t data[sizeof(struct agent_frame) + 4096] = { 0 };
	struct agent_frame f = { .session = session, .type = (uint8_t)type,
				 .stream = AGENT_STDOUT, .bytes = bytes };

	memcpy(data, &f, sizeof(f));
	return say(FROM_GUEST, data, sizeof(f) + (bytes > 4096 ? 0 : bytes));
}

static bool open_port(void)
{
	struct {
		struct virtio_console_control head;
		char name[32];
	} m = { 0 };
	int i;

	vd_bind(&v, agent_port_create(&v.mem));
	CHECK(vd_start(&v, 1ULL << VIRTIO_CONSOLE_F_MULTIPORT, 16));
	loop_start(v.d->loop);
	CHECK(control(VIRTIO_CONSOLE_DEVICE_READY, 1));
	CHECK(hear(CONTROL_TO_GUEST, &m, sizeof(m)) == sizeof(m.head));
	CHECK(m.head.event == VIRTIO_CONSOLE_PORT_ADD && !m.head.id);
	CHECK(control(VIRTIO_CONSOLE_PORT_READY, 1));
	CHECK(hear(CONTROL_TO_GUEST, &m, sizeof(m)) ==
	      sizeof(m.head) + strlen(AGENT_PORT_NAME));
	CHECK(m.head.event == VIRTIO_CONSOLE_PORT_NAME);
	CHECK(!strcmp(m.name, AGENT_PORT_NAME));
	CHECK(hear(CONTROL_TO_GUEST, &m, sizeof(m)) == sizeof(m.head));
	CHECK(m.head.event == VIRTIO_CONSOLE_PORT_OPEN && m.head.value == 1);
	CHECK(!agent_port_is_open(v.d));
	CHECK(control(VIRTIO_CONSOLE_PORT_OPEN, 1));
	/* The answer to the message comes before it has been acted upon. */
	for (i = 0; i < 5000 && !agent_port_is_open(v.d); i++)
		usleep(1000);
	CHECK(agent_port_is_open(v.d));
	return true;
}

/* A session: its socket, and the START that the guest got. */
static int join(uint32_t number)
{
	struct agent_frame f = { .session = 77, .type = AGENT_START, .bytes = 5 };
	uint8_t data[sizeof(f) + 5];
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) ||
	    !agent_port_join(v.d, ends[1]))
		return -1;
	memcpy(data, &f, sizeof(f));
	memcpy(data + sizeof(f), "hello", 5);
	/* In two pieces: it is sent on when it is whole. */
	if (send(ends[0], data, 9, 0) != 9 || send(ends[0], data + 9, 4, 0) != 4)
		return -1;
	if (hear(TO_GUEST, data, sizeof(data)) != sizeof(data))
		return -1;
	memcpy(&f, data, sizeof(f));
	return f.session == number && f.type == AGENT_START &&
	       !memcmp(data + sizeof(f), "hello", 5) ? ends[0] : -1;
}

/* What comes next out of the socket: a frame's type, 0 at its end, or -1. */
static int receive(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint8_t data[4096];
	struct agent_frame f;
	ssize_t n;

	if (poll(&p, 1, 5000) != 1)
		return -1;
	n = recv(fd, &f, sizeof(f), MSG_WAITALL);
	if (n != sizeof(f))
		return n ? -1 : 0;
	if (f.bytes && recv(fd, data, f.bytes, MSG_WAITALL) != f.bytes)
		return -1;
	return f.type;
}

static bool sessions(void)
{
	struct agent_frame f;
	int one, two;

	CHECK(open_port());
	one = join(1);
	two = join(2);
	CHECK(one >= 0 && two >= 0);
	CHECK(frame(2, AGENT_DATA, 100) && receive(two) == AGENT_DATA);
	CHECK(frame(99, AGENT_DATA, 100) && frame(1, AGENT_EXIT, 4));
	CHECK(receive(one) == AGENT_EXIT);
	close(one);
	CHECK(hear(TO_GUEST, &f, sizeof(f)) == sizeof(f));
	CHECK(f.session == 1 && f.type == AGENT_CLOSE);
	/* Its number means nobody any more. */
	CHECK(frame(1, AGENT_DATA, 100) && frame(2, AGENT_STARTED, 0));
	CHECK(receive(two) == AGENT_STARTED);
	CHECK(control(VIRTIO_CONSOLE_PORT_OPEN, 0) && !receive(two));
	CHECK(!agent_port_is_open(v.d));
	close(two);
	return true;
}

static bool without_credit(void)
{
	int fd, i, type;

	CHECK(open_port());
	fd = join(1);
	CHECK(fd >= 0);
	for (i = 0; i < 1000; i++)
		CHECK(frame(1, AGENT_DATA, 4000));
	/* What it had room for, and then its end, as the guest hears of it. */
	CHECK(hear(TO_GUEST, &(struct agent_frame){ 0 }, 8) == 8);
	while ((type = receive(fd)) > 0)
		CHECK(type == AGENT_DATA);
	CHECK(!type || type == -1);
	close(fd);
	return true;
}

static bool too_long(void)
{
	CHECK(open_port());
	/* A device that has stopped gives nothing back. */
	CHECK(!frame(1, AGENT_DATA, 65535) && vd_needs_reset(&v));
	return true;
}

static bool too_many(void)
{
	int ends[2], i;

	CHECK(open_port());
	for (i = 0; i <= PORT_SESSIONS; i++) {
		CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
		CHECK(agent_port_join(v.d, ends[1]) == (i < PORT_SESSIONS));
		if (i < PORT_SESSIONS)
			continue;
		close(ends[1]);
		close(ends[0]);
	}
	return true;
}

/* Make an EXIT available, and leave the device to find it. */
static void give_exit(uint32_t session)
{
	struct agent_frame f = { .session = session, .type = AGENT_EXIT,
				 .bytes = 4 };
	struct vd_buffer b = { OUT + PAGE, sizeof(f) + 4, false };

	memcpy(vd_at(&v, b.gpa), &f, sizeof(f));
	vd_add(&v.q[FROM_GUEST], &v, 1, &b, 1, false);
}

/* The machine goes off before the device's thread has seen the last frame. */
static bool power_off(void)
{
	int fd;

	CHECK(open_port());
	fd = join(1);
	CHECK(fd >= 0);
	loop_stop(v.d->loop);
	give_exit(1);
	kick(FROM_GUEST);
	/* It is told to end before it begins. */
	loop_start(v.d->loop);
	loop_stop(v.d->loop);
	CHECK(receive(fd) == AGENT_EXIT);
	close(fd);
	return true;
}

static void *read_all(void *fd)
{
	int type, last = 0;

	while ((type = receive(*(int *)fd)) > 0)
		last = type;
	return (void *)(intptr_t)last;
}

/* The device has more than a socket holds when its thread has ended. */
static bool power_off_slow(void)
{
	pthread_t reader;
	unsigned int i;
	void *last;
	int fd;

	CHECK(open_port());
	fd = join(1);
	CHECK(fd >= 0);
	for (i = 0; i < 60; i++)
		CHECK(frame(1, AGENT_DATA, 4000));
	CHECK(frame(1, AGENT_EXIT, 4));
	loop_stop(v.d->loop);
	CHECK(!pthread_create(&reader, NULL, read_all, &fd));
	virtio_destroy(v.d);
	v.d = NULL;
	pthread_join(reader, &last);
	CHECK((intptr_t)last == AGENT_EXIT);
	close(fd);
	return true;
}

/* The last frame and the end of the agent come by two queues; the device may
 * look at either one first.
 */
static bool last_words(void)
{
	int fd;

	CHECK(open_port());
	fd = join(1);
	CHECK(fd >= 0);
	give_exit(1);
	CHECK(control(VIRTIO_CONSOLE_PORT_OPEN, 0));
	CHECK(receive(fd) == AGENT_EXIT && !receive(fd));
	close(fd);
	return true;
}

static void set_up(void)
{
	vd_init(&v);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ sessions, "sessions: numbers, frames, ends" },
		{ without_credit, "a guest that sends without credit" },
		{ too_long, "a frame that is too long" },
		{ too_many, "too many sessions" },
		{ power_off, "the last frame before the power goes off" },
		{ power_off_slow, "... for a client that is slow" },
		{ last_words, "the last frame before the agent ends" },
	};

	return vd_run(&v, tests, sizeof(tests) / sizeof(*tests), set_up);
}
