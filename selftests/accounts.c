// SPDX-License-Identifier: GPL-2.0
/* What a process leaves behind in the kernel: see accounted() in vm.h. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm.h"

#define CGROUP		"/sys/fs/cgroup"
#define LEFT_OVER	(48 << 10)	/* bytes; the kernel's own caches */

static s64 module_refs(void)
{
	return file_number("/sys/module/posada/refcnt", NULL);
}

/* FPU states of guests: vmalloc()ed, and charged to nobody. */
static s64 fpu_states(void)
{
	char line[512];
	FILE *f = fopen("/proc/vmallocinfo", "r");
	s64 n = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		n += !!strstr(line, " fpu_alloc_guest_fpstate+");
	fclose(f);
	return n;
}

/* Wait until the kernel memory of @group is nearly gone; what was left. */
static s64 memory_left(const char *group)
{
	char path[128];
	s64 left = -1;
	u32 i;

	for (i = 0; i < 100; i++) {
		/* Dentries and inodes of the program that it was. */
		snprintf(path, sizeof(path), "%s/memory.reclaim", group);
		write_file(path, "16M");
		snprintf(path, sizeof(path), "%s/memory.stat", group);
		left = file_number(path, "kernel");
		if (left <= LEFT_OVER)
			break;
		usleep(100000);
	}
	return left;
}

static void run_in(const char *group, void (*fn)(void))
{
	char path[128], pid[16];
	int status;
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", group);
		snprintf(pid, sizeof(pid), "%d", getpid());
		write_file(path, pid);
		fn();
		_exit(0);
	}
	while (waitpid(child, &status, 0) < 0)
		ASSERT_EQ(errno, EINTR);
	if (WIFSIGNALED(status))
		FAIL("died of signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		FAIL("ended with status %d", WEXITSTATUS(status));
}

void accounted(void (*fn)(void))
{
	s64 refs = module_refs(), states = fpu_states(), left;
	char group[64];
	u32 i;

	write_file(CGROUP "/cgroup.subtree_control", "+memory");
	snprintf(group, sizeof(group), CGROUP "/posada-%d", getpid());
	if (mkdir(group, 0755))
		SKIP("no cgroup2: %s", strerror(errno));
	run_in(group, fn);
	left = memory_left(group);
	test_note("kernel memory left: %lld bytes", (long long)left);
	if (left > LEFT_OVER)
		FAIL("%lld bytes of kernel memory are still charged to a process that is gone",
		     (long long)left);
	/* The last reference to a file may be put by a work of the kernel's. */
	for (i = 0; i < 100 && module_refs() != refs; i++)
		usleep(20000);
	EXPECT_EQ(module_refs(), refs);
	EXPECT_EQ(fpu_states(), states);
	EXPECT_EQ(rmdir(group), 0);
}
