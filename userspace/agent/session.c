// SPDX-License-Identifier: GPL-2.0
/* A command, from its START to its EXIT. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define MAX_WORDS	4096
#define HEADER		((uint32_t)sizeof(struct agent_frame))

struct session sessions[MAX_SESSIONS];

/* The first session of all. */
static struct {
	const struct link *link;	/* NULL: none yet */
	uint32_t id;
	bool over;
} first;

bool session_first_over(void)
{
	return first.over;
}

static void note_first(const struct link *l, uint32_t id)
{
	if (first.link)
		return;
	first.link = l;
	first.id = id;
}

static struct session *find(const struct link *l, uint32_t id)
{
	size_t i;

	for (i = 0; i < MAX_SESSIONS; i++)
		if (sessions[i].link == l && sessions[i].id == id)
			return &sessions[i];
	return NULL;
}

static struct session *new_session(struct link *l, uint32_t id)
{
	unsigned int stream;
	size_t i;

	for (i = 0; i < MAX_SESSIONS; i++) {
		if (sessions[i].link || sessions[i].pid)
			continue;
		memset(&sessions[i], 0, sizeof(sessions[i]));
		sessions[i].link = l;
		sessions[i].id = id;
		for (stream = 0; stream < AGENT_STREAMS; stream++) {
			sessions[i].fd[stream] = -1;
			sessions[i].room[stream] = AGENT_WINDOW;
		}
		return &sessions[i];
	}
	return NULL;
}

static void close_stream(struct session *s, unsigned int stream)
{
	if (s->fd[stream] >= 0)
		close(s->fd[stream]);
	s->fd[stream] = -1;
}

/* Free it; its process, if it lives yet, is hung up and reaped later. */
static void end(struct session *s)
{
	unsigned int stream;

	for (stream = 0; stream < AGENT_STREAMS; stream++)
		close_stream(s, stream);
	if (s->pid) {
		kill(-s->pid, SIGHUP);
		kill(-s->pid, SIGCONT);
	}
	s->link = NULL;
}

/* The host wants no more of it, which may have ended long ago. */
static void host_closed(const struct link *l, uint32_t id)
{
	struct session *s = find(l, id);

	if (s)
		end(s);
	if (first.link == l && first.id == id)
		first.over = true;
}

static void refuse(struct link *l, uint32_t id, uint32_t status,
		   const char *why)
{
	uint8_t data[sizeof(status) + 256];
	size_t n = strlen(why);

	if (n > 255)
		n = 255;
	memcpy(data, &status, sizeof(status));
	memcpy(data + sizeof(status), why, n);
	link_send(l, id, AGENT_ERROR, 0, data, sizeof(status) + n);
	note_first(l, id);
}

/* ---- starting ---- */

/* The strings behind the head; NULL: they are not as it says. */
static char **split(const struct agent_start *start, char *text, size_t bytes,
		    struct command *c)
{
	size_t count = 2 + (size_t)start->argc + start->envc, i;
	char *end_of_text = text + bytes, **words;

	if (!start->argc || start->argc > MAX_WORDS || start->envc > MAX_WORDS)
		return NULL;
	words = calloc(count + 2, sizeof(*words));
	for (i = 0; words && i < count; i++) {
		/* A NULL ends the arguments, and the environment. */
		char **word = &words[i < 2 + start->argc ? i : i + 1];

		*word = text;
		text = memchr(text, 0, (size_t)(end_of_text - text));
		if (!text++) {
			free(words);
			return NULL;
		}
	}
	if (!words)
		return NULL;
	*c = (struct command){
		.flags = start->flags, .size = start->size,
		.folder = words[0], .user = words[1], .argv = words + 2,
		.envp = words + 3 + start->argc,
	};
	return words;
}

static void set_size(int fd, const struct agent_size *size)
{
	struct winsize w = { .ws_row = size->rows, .ws_col = size->cols };

	if (size->rows && size->cols)
		ioctl(fd, TIOCSWINSZ, &w);
}

/* -> 0, with the child's ends in @theirs. */
static int open_terminal(struct session *s, const struct command *c,
			 int theirs[3])
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (master < 0)
		return -1;
	s->fd[AGENT_STDIN] = master;
	if (grantpt(master) || unlockpt(master))
		return -1;
	theirs[0] = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	s->fd[AGENT_STDOUT] = fcntl(master, F_DUPFD_CLOEXEC, 0);
	set_size(master, &c->size);
	s->tty = true;
	return theirs[0] < 0 || s->fd[AGENT_STDOUT] < 0 ? -1 : 0;
}

static int open_pipes(struct session *s, int theirs[3])
{
	unsigned int i;
	int ends[2];

	for (i = 0; i < AGENT_STREAMS; i++) {
		if (pipe2(ends, O_CLOEXEC))
			return -1;
		theirs[i] = ends[i == AGENT_STDIN ? 0 : 1];
		s->fd[i] = ends[i == AGENT_STDIN ? 1 : 0];
	}
	return 0;
}

static void launch(struct session *s, const struct command *c)
{
	int theirs[3] = { -1, -1, -1 }, ret, i;
	const char *why = NULL;
	uint32_t status = AGENT_FAILED;
	pid_t pid = -1;

	ret = c->flags & AGENT_F_TTY ? open_terminal(s, c, theirs) :
				       open_pipes(s, theirs);
	if (ret)
		why = strerror(errno);
	else
		pid = child_start(c, theirs, &status, &why);
	for (i = 0; i < 3; i++)
		if (theirs[i] >= 0)
			close(theirs[i]);
	if (pid < 0) {
		refuse(s->link, s->id, status, why);
		end(s);
		return;
	}
	s->pid = pid;
	for (i = 0; i < AGENT_STREAMS; i++)
		if (s->fd[i] >= 0)
			fcntl(s->fd[i], F_SETFL, O_NONBLOCK);
	note_first(s->link, s->id);
	link_send(s->link, s->id, AGENT_STARTED, 0, "", 0);
}

static void start(struct link *l, const struct agent_frame *f, uint8_t *data)
{
	struct agent_start head;
	struct command c;
	struct session *s;
	char **words = NULL;

	if (f->bytes > sizeof(head)) {
		memcpy(&head, data, sizeof(head));
		words = split(&head, (char *)data + sizeof(head),
			      f->bytes - sizeof(head), &c);
	}
	s = words && !find(l, f->session) ? new_session(l, f->session) : NULL;
	if (s)
		launch(s, &c);
	else
		refuse(l, f->session, AGENT_FAILED, words ?
		       "as many commands as the agent has room for are running" :
		       "the agent does not understand the command");
	free(words);
}

/* ---- data ---- */

static void give_credit(struct session *s, unsigned int stream, uint32_t bytes)
{
	link_send(s->link, s->id, AGENT_CREDIT, stream, &bytes, sizeof(bytes));
}

/* A terminal's end of input is a key, at the beginning of a line. */
static void end_input(struct session *s)
{
	static const char key = 4;	/* Ctrl-D */

	if (!s->tty)
		close_stream(s, AGENT_STDIN);
	else if (s->fd[AGENT_STDIN] < 0 ||
		 write(s->fd[AGENT_STDIN], &key, 1) < 0)
		return;
}

static void feed(struct session *s)
{
	ssize_t n = 0;

	if (s->held && s->fd[AGENT_STDIN] >= 0) {
		n = write(s->fd[AGENT_STDIN], s->input, s->held);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
			close_stream(s, AGENT_STDIN);
	}
	/* What nobody reads any more is passed on, too. */
	if (s->fd[AGENT_STDIN] < 0)
		n = (ssize_t)s->held;
	s->held -= (size_t)n;
	memmove(s->input, s->input + n, s->held);
	if (n)
		give_credit(s, AGENT_STDIN, (uint32_t)n);
	if (!s->held && s->stdin_ended) {
		s->stdin_ended = false;
		end_input(s);
	}
}

static void take_input(struct session *s, const uint8_t *data, size_t bytes)
{
	if (bytes > sizeof(s->input) - s->held) {
		host_closed(s->link, s->id);
		return;
	}
	memcpy(s->input + s->held, data, bytes);
	s->held += bytes;
	/* The headers are done with at once. */
	give_credit(s, AGENT_STDIN, HEADER);
	feed(s);
}

static void finish(struct session *s)
{
	struct link *l = s->link;
	uint32_t id = s->id, status = s->status;

	end(s);
	link_send(l, id, AGENT_EXIT, 0, &status, sizeof(status));
}

/* All that the command had written is out; what it left running may write on,
 * but nobody listens.
 */
static void finish_if_over(struct session *s)
{
	if (!s->pid && s->fd[AGENT_STDOUT] < 0 && s->fd[AGENT_STDERR] < 0)
		finish(s);
}

static void pass_output(struct session *s, unsigned int stream)
{
	uint8_t data[AGENT_DATA_MAX];
	size_t room = s->room[stream] - HEADER;
	ssize_t n = read(s->fd[stream], data,
			 room < sizeof(data) ? room : sizeof(data));

	if (n > 0) {
		s->room[stream] -= (uint32_t)n + HEADER;
		link_send(s->link, s->id, AGENT_DATA, stream, data, (size_t)n);
		return;
	}
	if (n < 0 && (errno == EINTR || (errno == EAGAIN && s->pid)))
		return;
	close_stream(s, stream);
	link_send(s->link, s->id, AGENT_EOF, stream, "", 0);
	finish_if_over(s);
}

short session_wants(const struct session *s, unsigned int stream)
{
	if (!s->link || s->fd[stream] < 0)
		return 0;
	if (stream == AGENT_STDIN)
		return s->held ? POLLOUT : 0;
	return s->room[stream] > HEADER ? POLLIN : 0;
}

void session_ready(struct session *s, unsigned int stream)
{
	if (stream == AGENT_STDIN)
		feed(s);
	else
		pass_output(s, stream);
}

/* ---- frames, ends ---- */

static void take_credit(struct session *s, unsigned int stream, uint32_t bytes)
{
	uint32_t most = AGENT_WINDOW - s->room[stream];

	s->room[stream] += bytes < most ? bytes : most;
}

static void send_signal(const struct session *s, uint32_t number)
{
	if (s->pid && number && number < 65)
		kill(-s->pid, (int)number);
}

static void serve(struct session *s, const struct agent_frame *f,
		  const uint8_t *data)
{
	struct agent_size size;
	uint32_t number = 0;

	if (f->bytes >= sizeof(number))
		memcpy(&number, data, sizeof(number));
	memcpy(&size, &number, sizeof(size));
	switch (f->type) {
	case AGENT_DATA:
		take_input(s, data, f->bytes);
		break;
	case AGENT_EOF:
		s->stdin_ended = true;
		feed(s);
		break;
	case AGENT_CREDIT:
		if (f->stream < AGENT_STREAMS)
			take_credit(s, f->stream, number);
		break;
	case AGENT_SIZE:
		if (s->tty && s->fd[AGENT_STDIN] >= 0)
			set_size(s->fd[AGENT_STDIN], &size);
		break;
	case AGENT_SIGNAL:
		send_signal(s, number);
		break;
	}
}

void session_frame(struct link *l, const struct agent_frame *f, uint8_t *data)
{
	struct session *s = find(l, f->session);

	if (f->type == AGENT_START)
		start(l, f, data);
	else if (f->type == AGENT_CLOSE)
		host_closed(l, f->session);
	else if (s)
		serve(s, f, data);
}

void session_hang_up(struct link *l)
{
	size_t i;

	for (i = 0; i < MAX_SESSIONS; i++)
		if (sessions[i].link == l)
			end(&sessions[i]);
	if (first.link == l)
		first.over = true;
}

/* Take what the pipes hold: each pass ends with EAGAIN or the end. */
static void drain(struct session *s)
{
	unsigned int stream;

	close_stream(s, AGENT_STDIN);
	feed(s);
	for (stream = AGENT_STDOUT; stream < AGENT_STREAMS; stream++)
		while (s->link && session_wants(s, stream))
			pass_output(s, stream);
	if (s->link)
		finish_if_over(s);
}

void session_child_ended(pid_t pid, int wait_status)
{
	size_t i;

	for (i = 0; i < MAX_SESSIONS; i++) {
		struct session *s = &sessions[i];

		if (s->pid != pid)
			continue;
		s->pid = 0;
		s->status = WIFSIGNALED(wait_status) ?
			    128U + (uint32_t)WTERMSIG(wait_status) :
			    (uint32_t)WEXITSTATUS(wait_status);
		if (s->link)
			drain(s);
	}
}
