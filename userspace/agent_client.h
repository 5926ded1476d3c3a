/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The near side of a session with the agent: this process's stdin, stdout,
 * stderr, terminal and signals for a command in the guest.
 */
#ifndef AGENT_CLIENT_H
#define AGENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MAX_ENV		128

enum tty_use { TTY_AUTO, TTY_YES, TTY_NO };

struct agent_command {
	char **argv;			/* ends with NULL */
	unsigned int argc;
	const char *env[MAX_ENV];	/* NAME=VALUE */
	unsigned int nr_env;
	const char *folder;		/* NULL: / */
	const char *user;		/* NULL: root */
	enum tty_use tty;		/* AUTO: stdin and stdout are terminals */
	FILE *output[3];		/* by its number, NULL: goes to ours */
};

enum agent_end {
	AGENT_ENDED,		/* the command has: its status */
	AGENT_LOST,		/* the agent has gone */
	AGENT_STOPPED,		/* @stop_fd became readable */
	AGENT_SIGNALLED,	/* a signal that the command did not get or heed: 128 + N */
};

/* The setting of @text, NAME=VALUE or the NAME of one of ours; NULL: none. */
const char *agent_env(const char *text);
/* Ends the program if @c is too long for the protocol. */
void agent_check(const struct agent_command *c);
/* Run it over the stream @fd. Signals are blocked as by term_block_signals().
 * @stop_fd, -1: none: stop waiting. @term_fd, -1: none: an eventfd that asks
 * for SIGTERM to the command.
 */
enum agent_end agent_run(int fd, const struct agent_command *c, int stop_fd,
			 int term_fd, int *status);

#endif /* AGENT_CLIENT_H */
