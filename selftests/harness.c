// SPDX-License-Identifier: GPL-2.0
/* The test framework's main(): see harness.h. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../uapi/posada.h"
#include "harness.h"

#define EXIT_SKIP	4

extern const struct test __start_test_table[], __stop_test_table[];

u32 test_backend;

/* What a case tells its parent, in memory that both share. */
static struct {
	volatile int failed;
	char why[160];
} *verdict;

static const char *const backend_names[] = { "any", "svm", "vmx", "ring3" };

static void say(const char *fmt, va_list args, const char *prefix)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "# %s", prefix);
	int m;

	m = vsnprintf(line + n, sizeof(line) - n - 1, fmt, args);
	n += m < (int)sizeof(line) - n - 1 ? m : (int)sizeof(line) - n - 2;
	line[n++] = '\n';
	/* One write a line: lines of several threads do not mix. */
	if (write(STDOUT_FILENO, line, n) != n)
		_exit(1);
}

void test_note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args, "");
	va_end(args);
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	char prefix[80];
	const char *name = strrchr(file, '/');
	va_list args;

	snprintf(prefix, sizeof(prefix), "%s:%d: ", name ? name + 1 : file, line);
	va_start(args, fmt);
	say(fmt, args, prefix);
	va_end(args);
	verdict->failed = 1;
}

bool test_failed(void)
{
	return verdict->failed;
}

void test_abort(void)
{
	_exit(1);
}

void test_skip(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(verdict->why, sizeof(verdict->why), fmt, args);
	va_end(args);
	_exit(EXIT_SKIP);
}

/* Wait for @pid; false: it is still there after @seconds and a SIGKILL. */
static bool reap(pid_t pid, unsigned int seconds, int *status, bool *late)
{
	struct pollfd fd = { .fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	int n;

	*late = false;
	if (fd.fd >= 0) {
		n = poll(&fd, 1, seconds * 1000);
		if (n == 0) {
			*late = true;
			/* vm.c takes it to kick all vCPUs: they tell where they are. */
			kill(pid, SIGUSR1);
			poll(&fd, 1, 1000);
			kill(-pid, SIGKILL);
			n = poll(&fd, 1, 10000);
		}
		close(fd.fd);
		if (n == 0)
			return false;
	}
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	/* Whatever the case forked ends with it. */
	kill(-pid, SIGKILL);
	return true;
}

unsigned int test_time_scale(void)
{
	const char *s = getenv("POSADA_TEST_TIME");
	int n = s ? atoi(s) : 1;

	return n > 0 ? n : 1;
}

bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

s64 file_number(const char *path, const char *key)
{
	char line[128], name[64];
	long long n, found = -1;
	FILE *f = fopen(path, "r");

	if (!f)
		return -1;
	if (!key && fscanf(f, "%lld", &n) == 1)
		found = n;
	while (key && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %lld", name, &n) == 2 && !strcmp(name, key))
			found = n;
	fclose(f);
	return found;
}

/* Run one case in a child; returns its exit code, -1 if it cannot be killed. */
static int run_case(const struct test *t, const char *name, char *note, size_t bytes)
{
	unsigned int seconds = t->seconds * test_time_scale();
	int status = 0;
	bool late;
	pid_t pid;

	memset(verdict, 0, sizeof(*verdict));
	note[0] = 0;
	pid = fork();
	if (pid < 0) {
		snprintf(note, bytes, "fork: %s", strerror(errno));
		return 1;
	}
	if (pid == 0) {
		setpgid(0, 0);
		t->fn();
		_exit(0);
	}
	setpgid(pid, pid);
	if (!reap(pid, seconds, &status, &late)) {
		snprintf(note, bytes, "%s cannot be killed: stuck in the kernel", name);
		return -1;
	}
	if (late) {
		snprintf(note, bytes, "timed out after %u s", seconds);
		return 1;
	}
	if (WIFSIGNALED(status)) {
		snprintf(note, bytes, "died of signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
		return 1;
	}
	if (WEXITSTATUS(status) == EXIT_SKIP && !verdict->failed) {
		snprintf(note, bytes, "SKIP %s", verdict->why);
		return EXIT_SKIP;
	}
	return WEXITSTATUS(status) || verdict->failed;
}

static bool wanted(const char *name, char **globs)
{
	const char *dot = strchr(name, '.');

	if (!*globs)
		return true;
	for (; *globs; globs++)
		if (!fnmatch(*globs, name, 0) || (dot && !fnmatch(*globs, dot + 1, 0)))
			return true;
	return false;
}

struct run {
	char **globs;
	bool list, count;
	u32 backends;
	int number, passed, failed, skipped;
	bool stuck;
};

static void run_named(struct run *r, const struct test *t, u32 backend)
{
	char name[96], note[200];
	int rc;

	if (backend)
		snprintf(name, sizeof(name), "%s.%s", backend_names[backend], t->name);
	else
		snprintf(name, sizeof(name), "%s", t->name);
	if (!wanted(name, r->globs))
		return;
	r->number++;
	if (r->list)
		puts(name);
	if (r->list || r->count)
		return;
	test_backend = backend;
	rc = run_case(t, name, note, sizeof(note));
	printf("%s %d %s%s%s\n", rc == 0 || rc == EXIT_SKIP ? "ok" : "not ok",
	       r->number, name, note[0] ? " # " : "", note);
	fflush(stdout);
	r->passed += rc == 0;
	r->skipped += rc == EXIT_SKIP;
	r->failed += rc == 1 || rc == -1;
	r->stuck = rc == -1;
}

static void run_all(struct run *r)
{
	const struct test *t;
	u32 b;

	for (t = __start_test_table; t < __stop_test_table && !r->stuck; t++) {
		if (t->once) {
			run_named(r, t, 0);
			continue;
		}
		for (b = 1; b < ARRAY_SIZE(backend_names) && !r->stuck; b++)
			if (r->backends & (1U << b))
				run_named(r, t, b);
	}
}

/* Returns the mask of backends, 0 after saying why there is none. */
static u32 offered(void)
{
	struct posada_info info = { .size = sizeof(info) };
	int fd = open("/dev/posada", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("1..0 # SKIP /dev/posada: %s\n", strerror(errno));
		return 0;
	}
	if (ioctl(fd, POSADA_INFO, &info)) {
		printf("1..0 # POSADA_INFO: %s\n", strerror(errno));
		exit(1);
	}
	close(fd);
	if (!info.backends)
		printf("1..0 # SKIP this host offers no backend\n");
	return info.backends;
}

__attribute__((weak)) bool test_option(const char *name, const char *value)
{
	(void)name;
	(void)value;
	return false;
}

/* Take the --NAME VALUE pairs out of the arguments; false: one is unknown. */
static bool take_options(int *argc, char **argv)
{
	int i, kept = 1;

	for (i = 1; i < *argc; i++) {
		if (strncmp(argv[i], "--", 2)) {
			argv[kept++] = argv[i];
			continue;
		}
		if (i + 1 >= *argc || !test_option(argv[i] + 2, argv[i + 1])) {
			fprintf(stderr, "%s: unknown option, or no value\n", argv[i]);
			return false;
		}
		i++;
	}
	argv[kept] = NULL;
	*argc = kept;
	return true;
}

int main(int argc, char **argv)
{
	struct run r = { 0 };
	struct run plan;

	if (!take_options(&argc, argv))
		return 2;
	r.list = argc > 1 && !strcmp(argv[1], "-l");

	setvbuf(stdout, NULL, _IOLBF, 0);
	verdict = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (verdict == MAP_FAILED)
		return 1;
	r.globs = argv + 1 + r.list;
	if (!r.list)
		printf("TAP version 13\n");
	r.backends = offered();
	if (!r.backends)
		return EXIT_SKIP;
	if (!r.list) {
		/* The plan stands before the results. */
		plan = r;
		plan.count = true;
		run_all(&plan);
		printf("1..%d\n", plan.number);
	}
	run_all(&r);
	if (r.list)
		return 0;
	printf("# Totals: pass:%d fail:%d skip:%d\n", r.passed, r.failed, r.skipped);
	if (r.stuck)
		printf("Bail out! a case is stuck in the kernel\n");
	return r.failed ? 1 : r.passed ? 0 : EXIT_SKIP;
}
