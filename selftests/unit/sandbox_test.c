// SPDX-License-Identifier: GPL-2.0
/*
 * The sandbox, from within: what a VMM needs goes on, what it does not ends
 * the process with a line. Each case is a process of its own. KTAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/landlock.h>

#include "../../userspace/machine.h"
#include "../../userspace/options.h"
#include "../../userspace/sandbox.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof(*(a)))
#define HELD	0
#define REFUSED	1	/* by the filter: a line, and the end */
#define BROKEN	2	/* the call went through */

#define NOBODY	65534

static char folder[64];
static int folder_fd, outside_fd;
static struct sandbox plan;

void term_restore(void)
{
}

bool term_is_raw(void)
{
	return false;
}

void usage_error(const char *topic, const char *fmt, ...)
{
	(void)topic;
	(void)fmt;
	exit(STATUS_USAGE);
}

/* ---- what must not go through ---- */

static int run_program(void)
{
	execl("/bin/true", "true", NULL);
	return BROKEN;
}

static int start_process(void)
{
	return fork() < 0 ? HELD : BROKEN;
}

static int unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? HELD : BROKEN;
}

static int inet_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? HELD : BROKEN;
}

static int raw_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0) < 0 ? HELD : BROKEN;
}

static int open_file(void)
{
	return open("/etc/passwd", O_RDONLY) < 0 ? HELD : BROKEN;
}

static int trace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 ? HELD : BROKEN;
}

static int new_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? HELD : BROKEN;
}

static int type_ahead(void)
{
	return ioctl(0, TIOCSTI, "x") < 0 ? HELD : BROKEN;
}

static int load_module(void)
{
	return syscall(SYS_init_module, NULL, 0, "") < 0 ? HELD : BROKEN;
}

/* ---- what the other walls hold ---- */

/* With a share, openat is allowed, but only its folder is there. */
static int climb_out(void)
{
	return openat(folder_fd, "../../etc/passwd", O_RDONLY) < 0 &&
	       errno == EACCES ? HELD : BROKEN;
}

static int write_outside(void)
{
	return openat(outside_fd, "new", O_CREAT | O_WRONLY, 0600) < 0 &&
	       errno == EACCES ? HELD : BROKEN;
}

static int capabilities(void)
{
	/* capget is no call of a VMM's: look by what one would allow. */
	int fd = openat(folder_fd, "mine", O_CREAT | O_RDWR, 0600);

	unlinkat(folder_fd, "mine", 0);
	return fd >= 0 && fchown(fd, 1, 1) && errno == EPERM ? HELD : BROKEN;
}

/* ---- what must go through ---- */

static void *thread(void *arg)
{
	return arg;
}

static int live(void)
{
	pthread_t t;
	int ends[2];
	char byte = 'x';
	void *p = malloc(1 << 24);

	if (!p || pthread_create(&t, NULL, thread, p) || pthread_join(t, NULL))
		return BROKEN;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return BROKEN;
	if (send(ends[0], &byte, 1, 0) != 1 || recv(ends[1], &byte, 1, 0) != 1)
		return BROKEN;
	free(p);
	return HELD;
}

static int share(void)
{
	int fd = openat(folder_fd, "file", O_CREAT | O_RDWR, 0600);

	if (fd < 0 || write(fd, "x", 1) != 1 || mkdirat(folder_fd, "d", 0700) ||
	    renameat2(folder_fd, "file", folder_fd, "d/moved", 0) ||
	    unlinkat(folder_fd, "d/moved", 0) ||
	    unlinkat(folder_fd, "d", AT_REMOVEDIR))
		return BROKEN;
	return HELD;
}

static int inet_allowed(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? BROKEN : HELD;
}

/* ---- running them ---- */

enum kind { NOTHING, SHARE, NETWORK };

static void prepare(enum kind kind)
{
	plan = (struct sandbox){ .network = kind == NETWORK,
				 .files = kind == SHARE };
	plan.folder[0].path = folder;
	plan.folder[0].access = SANDBOX_WRITE;
	plan.nr_folders = kind == SHARE;
}

/* Its status, and whether it said what the filter says. */
static int run_case(int (*fn)(void), enum kind kind, bool *said)
{
	char text[512] = "";
	int ends[2], status;
	pid_t pid;

	if (pipe(ends))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(ends[1], STDERR_FILENO);
		prepare(kind);
		sandbox_enter(&plan);
		_exit(fn());
	}
	close(ends[1]);
	if (read(ends[0], text, sizeof(text) - 1) < 0)
		return -1;
	close(ends[0]);
	waitpid(pid, &status, 0);
	*said = strstr(text, "posada: the sandbox refused system call ") == text;
	if (!WIFEXITED(status))
		printf("# signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- namespaces, from without ---- */

static void become(unsigned int uid)
{
	if (!uid)
		return;
	if (setgroups(0, NULL) || setresgid(uid, uid, uid) ||
	    setresuid(uid, uid, uid) || prctl(PR_SET_DUMPABLE, 1))
		_exit(BROKEN);
}

/* Somebody in the sandbox, until he is killed. */
static pid_t start_confined(unsigned int uid, enum kind kind)
{
	int ends[2];
	char byte = 0;
	pid_t pid;

	if (pipe(ends))
		return -1;
	pid = fork();
	if (!pid) {
		become(uid);
		prepare(kind);
		sandbox_enter(&plan);
		if (write(ends[1], &byte, 1) == 1)
			poll(NULL, 0, -1);
		_exit(BROKEN);
	}
	close(ends[1]);
	if (read(ends[0], &byte, 1) != 1)
		byte = 1;
	close(ends[0]);
	if (!byte)
		return pid;
	waitpid(pid, NULL, 0);
	return -1;
}

static bool has_own(pid_t pid, const char *space)
{
	char path[64], ours[64] = "", theirs[64] = "";

	snprintf(path, sizeof(path), "/proc/self/ns/%s", space);
	if (readlink(path, ours, sizeof(ours) - 1) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, space);
	if (readlink(path, theirs, sizeof(theirs) - 1) < 0)
		return false;
	return strcmp(ours, theirs);
}

/* Is the one user there is itself? */
static bool is_mapped(pid_t pid, unsigned int uid)
{
	unsigned int inner, outer, count;
	char path[64];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	f = fopen(path, "re");
	ok = f && fscanf(f, "%u %u %u", &inner, &outer, &count) == 3 &&
	     inner == uid && outer == uid && count == 1;
	if (f)
		fclose(f);
	return ok;
}

static bool check_spaces(unsigned int uid, enum kind kind, bool users,
			 bool network)
{
	pid_t pid = start_confined(uid, kind);
	bool ok;

	if (pid < 0)
		return false;
	ok = has_own(pid, "user") == users && has_own(pid, "ipc") &&
	     has_own(pid, "net") == network &&
	     (!users || is_mapped(pid, uid));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return ok;
}

/* Not on every host, and not for everybody. */
static bool can_have_spaces(unsigned int uid)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		become(uid);
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) ? 1 : 0);
	}
	return waitpid(pid, &status, 0) == pid && !status;
}

static const struct {
	unsigned int uid;
	enum kind kind;
	bool users, network;
	const char *name;
} spaces[] = {
	{ NOBODY, NOTHING, true, true, "a user's namespaces" },
	{ NOBODY, SHARE, true, true, "a user's namespaces, with a share" },
	{ NOBODY, NETWORK, true, false, "a user's namespaces, with --net user" },
	{ 0, NOTHING, true, true, "root's namespaces" },
	{ 0, SHARE, false, true, "root's namespaces, with a share" },
};

static bool try_spaces(size_t number)
{
	bool ok, all = true;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(spaces); i++) {
		fflush(stdout);
		if (geteuid() || !can_have_spaces(spaces[i].uid)) {
			printf("ok %zu %s # SKIP no namespaces here\n",
			       number + i, spaces[i].name);
			continue;
		}
		ok = check_spaces(spaces[i].uid, spaces[i].kind,
				  spaces[i].users, spaces[i].network);
		printf("%sok %zu %s\n", ok ? "" : "not ", number + i,
		       spaces[i].name);
		all = all && ok;
	}
	return all;
}

/* ---- all ---- */

static const struct {
	int (*fn)(void);
	enum kind kind;
	int wanted;
	const char *name;
} cases[] = {
	{ run_program, NOTHING, REFUSED, "execve" },
	{ start_process, NOTHING, REFUSED, "fork" },
	{ unix_socket, NETWORK, REFUSED, "socket: AF_UNIX" },
	{ raw_socket, NETWORK, REFUSED, "socket: AF_PACKET" },
	{ inet_socket, SHARE, REFUSED, "socket: AF_INET without --net user" },
	{ open_file, NOTHING, REFUSED, "open without a share" },
	{ trace, NOTHING, REFUSED, "ptrace" },
	{ new_code, NOTHING, REFUSED, "mmap of code" },
	{ type_ahead, NOTHING, REFUSED, "ioctl: TIOCSTI" },
	{ load_module, NOTHING, REFUSED, "init_module" },
	{ climb_out, SHARE, HELD, "open by .. out of a share" },
	{ write_outside, SHARE, HELD, "make a file elsewhere" },
	{ capabilities, SHARE, HELD, "capabilities are gone" },
	{ live, NOTHING, HELD, "threads, memory, a pair of sockets" },
	{ share, SHARE, HELD, "files of a share" },
	{ inet_allowed, NETWORK, HELD, "socket: AF_INET with --net user" },
};

static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0,
		       LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

int main(void)
{
	size_t i, n = ARRAY_SIZE(cases);
	bool all = true, ok, said, by_landlock;
	int status;

	strcpy(folder, "/tmp/posada-sandbox-XXXXXX");
	if (!mkdtemp(folder))
		return 1;
	folder_fd = open(folder, O_PATH | O_DIRECTORY);
	outside_fd = open("/tmp", O_PATH | O_DIRECTORY);
	printf("KTAP version 1\n1..%zu\n", n + ARRAY_SIZE(spaces));
	for (i = 0; i < n; i++) {
		by_landlock = cases[i].fn == climb_out ||
			      cases[i].fn == write_outside;
		if (by_landlock && !has_landlock()) {
			printf("ok %zu %s # SKIP this kernel has no Landlock\n",
			       i + 1, cases[i].name);
			continue;
		}
		fflush(stdout);
		status = run_case(cases[i].fn, cases[i].kind, &said);
		ok = status == cases[i].wanted && said == (status == REFUSED);
		if (!ok)
			printf("# status %d, %s line\n", status, said ? "a" : "no");
		printf("%sok %zu %s\n", ok ? "" : "not ", i + 1, cases[i].name);
		all = all && ok;
	}
	all = try_spaces(n + 1) && all;
	rmdir(folder);
	return all ? 0 : 1;
}
