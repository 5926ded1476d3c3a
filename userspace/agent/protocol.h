/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What `posada run ROOTFS`, `posada exec` and the agent in the guest say to
 * each other. One stream of frames, each way, over a virtio-console port of
 * the name below or over a vsock connection; many sessions may share it.
 *
 *	to the agent	START, then DATA and EOF of stdin, SIZE, SIGNAL; CLOSE
 *			when the other side has gone: the command, if it has
 *			not ended, is hung up
 *	from the agent	STARTED, DATA and EOF of stdout and stderr, then EXIT;
 *			or ERROR instead of all
 *	both		CREDIT for data that has been passed on
 *
 * As init the agent powers off when the session that began first has ended and
 * the CLOSE for it has come: that is the host's word that it has the EXIT.
 *
 * Flow control: of each stream at most AGENT_WINDOW bytes, frame headers
 * counted in, are on their way without credit for them. A side that sends more
 * may lose its session.
 */
#ifndef AGENT_PROTOCOL_H
#define AGENT_PROTOCOL_H

#include <stdint.h>

#define AGENT_PORT_NAME		"posada.agent"
#define AGENT_VSOCK_PORT	7632U

#define AGENT_WINDOW		65536U
#define AGENT_PAYLOAD		32768U	/* of a frame, at most */
#define AGENT_DATA_MAX		4088U	/* of DATA, so that a page holds one */

enum agent_type {
	AGENT_START = 1,	/* struct agent_start and its strings */
	AGENT_STARTED,
	AGENT_DATA,
	AGENT_EOF,
	AGENT_CREDIT,		/* uint32_t: bytes, headers counted in */
	AGENT_SIZE,		/* struct agent_size */
	AGENT_SIGNAL,		/* uint32_t, as in signal(7) of x86 */
	AGENT_EXIT,		/* uint32_t: 0 to 255, 128 + N by signal N */
	AGENT_ERROR,		/* uint32_t status, then why it did not start */
	AGENT_CLOSE,
};

enum agent_stream { AGENT_STDIN, AGENT_STDOUT, AGENT_STDERR, AGENT_STREAMS };

struct agent_frame {
	uint32_t session;
	uint8_t type;
	uint8_t stream;		/* DATA, EOF, CREDIT */
	uint16_t bytes;		/* of the payload that follows */
};

struct agent_size {
	uint16_t rows;
	uint16_t cols;
};

#define AGENT_F_TTY	(1U << 0)	/* stdin, stdout, stderr are one pty */

/* Followed by strings, each with its NUL: the working folder, the user
 * (NAME[:GROUP] or numbers), argc arguments, envc settings NAME=VALUE. Empty:
 * as the user's, the agent's own.
 */
struct agent_start {
	uint32_t flags;
	struct agent_size size;
	uint32_t argc;
	uint32_t envc;
};

_Static_assert(sizeof(struct agent_frame) == 8, "agent_frame");
_Static_assert(sizeof(struct agent_start) == 16, "agent_start");

/* What does not start has a shell's statuses. */
#define AGENT_NOT_EXECUTABLE	126U
#define AGENT_NOT_FOUND		127U
#define AGENT_FAILED		125U	/* the agent's own fault */

#endif /* AGENT_PROTOCOL_H */
