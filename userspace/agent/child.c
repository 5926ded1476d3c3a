// SPDX-License-Identifier: GPL-2.0
/* Starting a command: its user, folder, environment, terminal. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent.h"

#define DEFAULT_PATH \
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define MAX_GROUPS	64

struct identity {
	uid_t uid;
	gid_t gid;
	gid_t groups[MAX_GROUPS];
	size_t nr_groups;
	char home[256];
	char name[64];
};

/* What the child tells before it is the command. */
struct failure {
	int error;
	uint32_t status;
	char what[64];
};

static bool number(const char *text, unsigned int *n)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)*text) || *end || value > INT32_MAX)
		return false;
	*n = (unsigned int)value;
	return true;
}

/* No name service: a static program reads the files. */
static bool find_user(const char *name, struct identity *id)
{
	FILE *f = fopen("/etc/passwd", "re");
	unsigned int uid = 0;
	bool by_number = number(name, &uid), found = false;
	struct passwd *pw;

	while (f && !found && (pw = fgetpwent(f))) {
		if (by_number ? pw->pw_uid != uid : strcmp(pw->pw_name, name))
			continue;
		id->uid = pw->pw_uid;
		id->gid = pw->pw_gid;
		snprintf(id->home, sizeof(id->home), "%s", pw->pw_dir);
		snprintf(id->name, sizeof(id->name), "%s", pw->pw_name);
		found = true;
	}
	if (f)
		fclose(f);
	if (!found && by_number)
		id->uid = id->gid = uid;
	return found || by_number;
}

static bool is_member(const struct group *gr, const char *name)
{
	char **member;

	for (member = gr->gr_mem; *member; member++)
		if (!strcmp(*member, name))
			return true;
	return false;
}

/* The group that was named, else all that the user is in. */
static bool find_groups(const char *name, struct identity *id)
{
	FILE *f = fopen("/etc/group", "re");
	unsigned int gid = 0;
	bool by_number = name && number(name, &gid), found = !name || by_number;
	struct group *gr;

	while (f && (gr = fgetgrent(f))) {
		if (name && !by_number && !strcmp(gr->gr_name, name)) {
			gid = gr->gr_gid;
			found = true;
		} else if (!name && is_member(gr, id->name) &&
			   id->nr_groups < MAX_GROUPS) {
			id->groups[id->nr_groups++] = gr->gr_gid;
		}
	}
	if (f)
		fclose(f);
	if (name && found)
		id->gid = gid;
	return found;
}

static bool find_identity(const char *user, struct identity *id)
{
	char text[128], *group;

	*id = (struct identity){ .home = "/" };
	snprintf(text, sizeof(text), "%s", *user ? user : "0");
	group = strchr(text, ':');
	if (group)
		*group++ = '\0';
	return find_user(text, id) && find_groups(group, id);
}

static void set_environment(const struct command *c, const struct identity *id)
{
	char **e;

	clearenv();
	setenv("PATH", DEFAULT_PATH, 1);
	setenv("HOME", id->home, 1);
	if (*id->name)
		setenv("USER", id->name, 1);
	for (e = c->envp; *e; e++)
		if (strchr(*e, '='))
			putenv(*e);
}

static void set_stdio(const struct command *c, const int stdio[3])
{
	int i;

	setsid();
	if (c->flags & AGENT_F_TTY)
		ioctl(stdio[0], TIOCSCTTY, 0);
	for (i = 0; i < 3; i++)
		dup2(c->flags & AGENT_F_TTY ? stdio[0] : stdio[i], i);
}

static void tell(int fd, uint32_t status, int error, const char *what)
{
	struct failure f = { .error = error, .status = status };

	snprintf(f.what, sizeof(f.what), "%s", what);
	if (write(fd, &f, sizeof(f)) < 0)
		_exit(126);
	_exit(126);
}

static void become(const struct command *c, const int stdio[3], int fd)
{
	struct identity id;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	set_stdio(c, stdio);
	if (!find_identity(c->user, &id))
		tell(fd, AGENT_FAILED, ENOENT, c->user);
	set_environment(c, &id);
	if (setgroups(id.nr_groups, id.groups) || setgid(id.gid) ||
	    setuid(id.uid))
		tell(fd, AGENT_FAILED, errno, c->user);
	if (chdir(*c->folder ? c->folder : "/"))
		tell(fd, AGENT_FAILED, errno, c->folder);
	execvp(c->argv[0], c->argv);
	tell(fd, errno == ENOENT ? AGENT_NOT_FOUND : AGENT_NOT_EXECUTABLE,
	     errno, c->argv[0]);
}

pid_t child_start(const struct command *c, const int stdio[3],
		  uint32_t *status, const char **why)
{
	static char text[160];
	struct failure f;
	int report[2];
	pid_t pid;
	ssize_t n;

	*why = text;
	*status = AGENT_FAILED;
	if (pipe2(report, O_CLOEXEC)) {
		snprintf(text, sizeof(text), "pipe: %s", strerror(errno));
		return -1;
	}
	pid = fork();
	if (!pid)
		become(c, stdio, report[1]);
	close(report[1]);
	if (pid < 0) {
		snprintf(text, sizeof(text), "fork: %s", strerror(errno));
		close(report[0]);
		return -1;
	}
	/* Its end says that execve(2) has been done. */
	n = read(report[0], &f, sizeof(f));
	close(report[0]);
	if (n != sizeof(f))
		return pid;
	*status = f.status;
	snprintf(text, sizeof(text), "%s: %s", f.what, strerror(f.error));
	return -1;
}
