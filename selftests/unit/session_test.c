// SPDX-License-Identifier: GPL-2.0
/*
 * Commands by the agent, without a guest: the agent's loop in one process, the
 * client's in another, a socket between them. KTAP.
 */
#define main agent_main
#include "../../userspace/agent/main.c"
#undef main

#include <stdlib.h>

#include "../../userspace/agent_client.h"
#include "../../userspace/term.h"
#include "unit.h"

#define BIG	3000000

static char folder[64];

/* ---- what the code under test calls ---- */

void init_start(void)
{
}

void init_end(void)
{
	exit(1);
}

void term_raw(void)
{
}

void term_restore(void)
{
}

bool term_is_raw(void)
{
	return false;
}

/* ---- a command, with files as its stdio ---- */

static void redirect(const char *name, int fd, int flags)
{
	char path[128];
	int file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = open(path, flags, 0600);
	if (file < 0 || dup2(file, fd) < 0)
		_exit(99);
	close(file);
}

static void be_agent(int fd)
{
	size_t i;

	setsid();
	for (i = 0; i < MAX_LINKS; i++)
		links[i].fd = -1;
	link_add(fd);
	port_fd = fd;
	run();
	_exit(0);
}

static void be_client(int fd, const char *script, bool tty, pid_t agent)
{
	char *argv[4] = { (char *)"/bin/sh", (char *)"-c", (char *)script };
	struct agent_command c = {
		.argv = argv, .argc = 3, .env = { "GREETING=hello" },
		.nr_env = 1, .folder = "/tmp", .tty = tty ? TTY_YES : TTY_NO,
	};
	int status;

	if (!strcmp(script, "/nosuch")) {
		argv[0] = argv[2];
		c.argc = 1;
	}
	if (agent_run(fd, &c, -1, -1, &status) != AGENT_ENDED)
		status = 98;
	kill(agent, SIGKILL);
	_exit(status);
}

/* -> the process that stands for `posada exec`. */
static pid_t start_script(const char *script, bool tty)
{
	pid_t pid = fork(), agent;
	int ends[2];

	if (pid)
		return pid;
	/* To a terminal, bytes at random are keys that end programs. */
	redirect(tty ? "none" : "in", 0, O_RDONLY | O_CREAT);
	redirect("out", 1, O_WRONLY | O_CREAT | O_TRUNC);
	redirect("err", 2, O_WRONLY | O_CREAT | O_TRUNC);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		_exit(99);
	agent = fork();
	if (!agent) {
		close(ends[0]);
		be_agent(ends[1]);
	}
	close(ends[1]);
	be_client(ends[0], script, tty, agent);
	_exit(99);
}

static int end_of(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int status_of(const char *script)
{
	return end_of(start_script(script, false));
}

static size_t contents(const char *name, char *to, size_t bytes)
{
	char path[128];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "re");
	n = f ? fread(to, 1, bytes - 1, f) : 0;
	to[n] = '\0';
	if (f)
		fclose(f);
	return n;
}

static bool holds(const char *name, const char *wanted)
{
	char text[4096];

	contents(name, text, sizeof(text));
	if (strstr(text, wanted) && (*wanted || !*text))
		return true;
	printf("# %s: '%s', not '%s'\n", name, text, wanted);
	return false;
}

/* ---- the cases ---- */

static bool streams(void)
{
	return status_of("echo $GREETING $PWD; echo err >&2; exit 7") == 7 &&
	       holds("out", "hello /tmp\n") && holds("err", "err\n");
}

static bool bytes(void)
{
	static char in[BIG + 1], out[BIG + 1];

	return status_of("cat") == 0 && holds("err", "") &&
	       contents("in", in, sizeof(in)) == BIG &&
	       contents("out", out, sizeof(out)) == BIG &&
	       !memcmp(in, out, BIG);
}

/* Neither side waits for the other's data for ever. */
static bool both_ways(void)
{
	static char out[BIG + 1];

	return status_of("head -c 3000000 /dev/zero; cat >/dev/null") == 0 &&
	       contents("out", out, sizeof(out)) == BIG;
}

static bool unread(void)
{
	return status_of("exec <&-; echo done") == 0 && holds("out", "done\n");
}

static bool by_signal(void)
{
	return status_of("kill -9 $$") == 128 + SIGKILL;
}

static bool no_command(void)
{
	return status_of("/nosuch") == 127 &&
	       holds("err", "posada: /nosuch: No such file");
}

static bool left_behind(void)
{
	return status_of("sleep 3 & exit 3") == 3;
}

static bool passed_signal(void)
{
	pid_t pid = start_script("trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done",
				 false);
	char text[16] = "";

	while (strcmp(text, "up\n")) {
		usleep(10000);
		contents("out", text, sizeof(text));
	}
	kill(pid, SIGTERM);
	return end_of(pid) == 9;
}

static bool terminal(void)
{
	return end_of(start_script("test -t 0 && test -t 2 && tty >/dev/null && echo yes >&2; exit 4",
				   true)) == 4 &&
	       holds("out", "yes\r\n") && holds("err", "");
}

/* ---- process 1 ---- */

static bool send_frame(int fd, uint32_t id, enum agent_type type,
		       const void *data, size_t bytes)
{
	uint8_t frame[sizeof(struct agent_frame) + 64];
	struct agent_frame f = { .session = id, .type = (uint8_t)type,
				 .bytes = (uint16_t)bytes };

	memcpy(frame, &f, sizeof(f));
	memcpy(frame + sizeof(f), data, bytes);
	return send(fd, frame, sizeof(f) + bytes, MSG_NOSIGNAL) ==
	       (ssize_t)(sizeof(f) + bytes);
}

static bool send_start(int fd, uint32_t id)
{
	/* No folder, no user, and "true". */
	struct {
		struct agent_start head;
		char words[7];
	} s = { { .argc = 1 }, "\0\0true" };

	return send_frame(fd, id, AGENT_START, &s, sizeof(s.head) + 7);
}

/* Is a frame of this type among those that come? */
static bool comes(int fd, uint32_t id, enum agent_type type)
{
	struct agent_frame f;
	uint8_t data[AGENT_DATA_MAX];

	while (recv(fd, &f, sizeof(f), MSG_WAITALL) == sizeof(f)) {
		if (f.bytes && recv(fd, data, f.bytes, MSG_WAITALL) != f.bytes)
			return false;
		if (f.session == id && f.type == type)
			return true;
	}
	return false;
}

static bool still_serves(int fd, uint32_t id)
{
	return send_start(fd, id) && comes(fd, id, AGENT_EXIT);
}

/* It does not power off before the host has the first command's status. */
static bool init_waits(void)
{
	int ends[2];
	pid_t pid;
	bool ok;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return false;
	pid = fork();
	if (!pid) {
		close(ends[0]);
		is_init = true;
		alarm(60);
		be_agent(ends[1]);
	}
	close(ends[1]);
	ok = send_start(ends[0], 1) && comes(ends[0], 1, AGENT_EXIT) &&
	     still_serves(ends[0], 2) &&
	     send_frame(ends[0], 2, AGENT_CLOSE, "", 0) &&
	     still_serves(ends[0], 3) &&
	     send_frame(ends[0], 1, AGENT_CLOSE, "", 0);
	/* By itself. */
	ok = end_of(pid) == 0 && ok;
	close(ends[0]);
	return ok;
}

static void make_input(void)
{
	char path[128];
	FILE *f;
	int i;

	strcpy(folder, "/tmp/posada-session-XXXXXX");
	if (!mkdtemp(folder))
		exit(1);
	snprintf(path, sizeof(path), "%s/in", folder);
	f = fopen(path, "we");
	for (i = 0; f && i < BIG; i++)
		fputc(i * 31 >> (i & 7), f);
	if (!f || fclose(f))
		exit(1);
}

static void remove_files(void)
{
	static const char *const names[] = { "in", "none", "out", "err" };
	char path[128];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	rmdir(folder);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ streams, "status, streams, environment, folder" },
		{ bytes, "stdin to stdout, byte for byte" },
		{ both_ways, "output before input is read" },
		{ unread, "input that nobody reads" },
		{ by_signal, "death by a signal" },
		{ no_command, "no such command" },
		{ left_behind, "a process that is left behind" },
		{ passed_signal, "a signal is passed on" },
		{ terminal, "a terminal" },
		{ init_waits, "process 1 waits until its host has the status" },
	};
	int status;

	make_input();
	status = unit_run(tests, sizeof(tests) / sizeof(*tests), NULL, NULL);
	remove_files();
	return status;
}
