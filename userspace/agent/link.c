// SPDX-License-Identifier: GPL-2.0
/* A stream of frames between the host and this agent. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "io.h"

struct link links[MAX_LINKS];

bool link_add(int fd)
{
	size_t i;

	for (i = 0; i < MAX_LINKS; i++)
		if (links[i].fd < 0) {
			links[i].fd = fd;
			links[i].used = 0;
			return true;
		}
	close(fd);
	return false;
}

void link_send(struct link *l, uint32_t session, enum agent_type type,
	       unsigned int stream, const void *data, size_t bytes)
{
	uint8_t frame[sizeof(struct agent_frame) + AGENT_DATA_MAX];
	struct agent_frame f = {
		.session = session, .type = (uint8_t)type,
		.stream = (uint8_t)stream, .bytes = (uint16_t)bytes,
	};

	memcpy(frame, &f, sizeof(f));
	memcpy(frame + sizeof(f), data, bytes);
	/* A link that broke is found by its next read. */
	write_all(l->fd, frame, sizeof(f) + bytes);
}

/* Serve the whole frames; -> false when one cannot be. */
static bool serve(struct link *l)
{
	struct agent_frame f;
	size_t at = 0;

	while (l->used - at >= sizeof(f)) {
		memcpy(&f, l->in + at, sizeof(f));
		if (f.bytes > AGENT_PAYLOAD)
			return false;
		if (l->used - at < sizeof(f) + f.bytes)
			break;
		at += sizeof(f);
		session_frame(l, &f, l->in + at);
		at += f.bytes;
	}
	l->used -= at;
	memmove(l->in, l->in + at, l->used);
	return true;
}

bool link_read(struct link *l)
{
	ssize_t n = read(l->fd, l->in + l->used,
			 sizeof(l->in) - 1 - l->used);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n > 0) {
		l->used += (size_t)n;
		if (serve(l))
			return true;
	}
	session_hang_up(l);
	close(l->fd);
	l->fd = -1;
	return false;
}
