// SPDX-License-Identifier: GPL-2.0
/* Names of VMs: a client that comes while a VM starts, and after one has died. KTAP. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../userspace/machine.h"
#include "../../userspace/names.h"
#include "unit.h"

#define NOBODY	65534

static char folder[128], *path;

void term_restore(void)
{
}

bool term_is_raw(void)
{
	return false;
}

static int bind_here(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)))
		abort();
	return fd;
}

/* A VM between bind() and listen(), where connecting to it is refused. */
static bool client_of_one_that_starts(void)
{
	int lock = lock_folder(folder), fd = bind_here(), status;
	pid_t pid;

	CHECK(lock >= 0);
	pid = fork();
	if (!pid) {
		/* The lock is the parent's alone to hold. */
		close(lock);
		alarm(60);
		_exit(names_connect(path) < 0);
	}
	/* Either it waits for the lock now, or it has given up. */
	while (!waitpid(pid, &status, WNOHANG)) {
		char name[64], text[64] = "";
		FILE *f;

		snprintf(name, sizeof(name), "/proc/%d/syscall", (int)pid);
		f = fopen(name, "r");
		if (f && fgets(text, sizeof(text), f) && atoi(text) == SYS_flock)
			break;
		if (f)
			fclose(f);
	}
	CHECK(!access(path, F_OK));
	CHECK(!listen(fd, 1));
	close(lock);
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	CHECK(!access(path, F_OK));
	close(fd);
	unlink(path);
	return true;
}

static bool one_that_died(void)
{
	close(bind_here());
	CHECK(names_connect(path) == -ECONNREFUSED);
	CHECK(access(path, F_OK) && errno == ENOENT);
	CHECK(names_connect(path) == -ENOENT);
	return true;
}

static bool two_of_one_name(void)
{
	int fd = names_listen(path);

	CHECK(fd >= 0);
	CHECK(names_listen(path) == -EADDRINUSE);
	close(fd);
	/* It died, and left its socket. */
	fd = names_listen(path);
	CHECK(fd >= 0);
	close(fd);
	return !unlink(path);
}

static const struct unit_test tests[] = {
	{ client_of_one_that_starts, "a client of a VM that starts" },
	{ one_that_died, "a client of a VM that died" },
	{ two_of_one_name, "a name in use" },
};

int main(void)
{
	char template[] = "/tmp/posada-names-XXXXXX";
	int status;

	if (!mkdtemp(template))
		return 1;
	setenv("XDG_RUNTIME_DIR", template, 1);
	/* Root's folder is another. */
	if (!geteuid() && (chown(template, NOBODY, NOBODY) || setgid(NOBODY) || setuid(NOBODY) ||
			   prctl(PR_SET_DUMPABLE, 1)))
		return 1;
	snprintf(folder, sizeof(folder), "%s/posada", template);
	path = names_path("one");
	if (!path || names_listen(path) < 0 || unlink(path))
		return 1;
	/* One that fails may have left the lock to the next. */
	alarm(120);
	status = unit_run(tests, sizeof(tests) / sizeof(*tests), NULL, NULL);
	rmdir(folder);
	rmdir(template);
	free(path);
	return status;
}
