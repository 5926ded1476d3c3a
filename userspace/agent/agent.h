/* SPDX-License-Identifier: GPL-2.0 */
/*
 * posada-agent: runs commands in a guest for `posada exec`, and is the init of
 * `posada run ROOTFS`. A static program of one thread:
 *
 *	main.c		the loop: waits for all descriptors
 *	link.c		a stream of frames: the port, or a vsock connection
 *	io.c		output in whole pieces; the tool has it, too
 *	session.c	a command: its process, its pipes or its terminal
 *	child.c		between fork(2) and execve(2): user, folder, environment
 *	init.c		process 1 of `posada run ROOTFS`
 */
#ifndef AGENT_H
#define AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "protocol.h"

#define MAX_SESSIONS	64
#define MAX_LINKS	32

struct link {
	int fd;			/* -1: free */
	size_t used;
	uint8_t in[sizeof(struct agent_frame) + AGENT_PAYLOAD + 1];
};

struct session {
	struct link *link;	/* NULL: free */
	uint32_t id;
	pid_t pid;		/* 0: reaped */
	uint32_t status;
	bool tty;
	int fd[AGENT_STREAMS];	/* our ends; -1: closed */
	uint32_t room[AGENT_STREAMS];	/* credit that we have */
	bool stdin_ended;
	size_t held;		/* stdin that the command has not taken */
	uint8_t input[AGENT_WINDOW];
};

/* ---- link.c ---- */

extern struct link links[MAX_LINKS];

/* Take over @fd. false, and closed: there are too many. */
bool link_add(int fd);
/* Blocks while the other side has no room, which the credit rules out. */
void link_send(struct link *l, uint32_t session, enum agent_type type,
	       unsigned int stream, const void *data, size_t bytes);
/* Read what is there and serve whole frames. false: the other side has gone,
 * and all its sessions are hung up.
 */
bool link_read(struct link *l);

/* ---- session.c ---- */

extern struct session sessions[MAX_SESSIONS];

void session_frame(struct link *l, const struct agent_frame *f, uint8_t *data);
/* poll(2) says that the stream's descriptor is ready. */
void session_ready(struct session *s, unsigned int stream);
/* Is it to be waited for? -> the events. */
short session_wants(const struct session *s, unsigned int stream);
void session_child_ended(pid_t pid, int wait_status);
void session_hang_up(struct link *l);
/* The first session of all has ended, and the host has closed it: how it ended
 * is known there.
 */
bool session_first_over(void);

/* ---- child.c ---- */

struct command {
	uint32_t flags;
	struct agent_size size;
	const char *folder;
	const char *user;
	char **argv;
	char **envp;
};

/* Start it with these three as its stdio, or, with AGENT_F_TTY, with the
 * terminal stdio[0]. -> the pid; or -1 with *status and *why, static text.
 */
pid_t child_start(const struct command *c, const int stdio[3],
		  uint32_t *status, const char **why);

/* ---- init.c ---- */

/* Mount, load modules, make the root the overlay. Ends the machine on failure. */
void init_start(void);
/* Everything is over: let file systems be written, power off. */
_Noreturn void init_end(void);

#endif /* AGENT_H */
