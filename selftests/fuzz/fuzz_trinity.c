// SPDX-License-Identifier: GPL-2.0
/*
 * Debian's trinity, a fuzzer of system calls, let loose on Posada's fds: as
 * nobody, with what trinity_hands.c adds. It knows nothing of what an ioctl
 * means, but all that can be done to an fd and to mapped memory beside.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define FOLDER		"/tmp/trinity"
#define COUNTS		FOLDER "/calls"
#define NODES		FOLDER "/dev"	/* trinity opens each file once */
#define NR_NODES	16
#define TRINITY		"/bin/trinity"
#define HANDS		"/selftests/trinity_hands.so"
#define NOBODY		65534
/* System calls of an episode, and how long it may take: trinity can lose its children. */
#define CALLS		"8000"
#define EPISODE_S	60

/* Shared with trinity's children. */
static u64 *calls;
static u64 all, good;

static void be_trinity(u64 seed)
{
	char number[16];
	/* What goes to fds and to memory; of the first four, see trinity_hands.c. */
	char *const argv[] = { "trinity", "-q", "-l", "off", "-C", "3", "-N", CALLS, "-s", number,
		"-V", NODES, "--enable-fds=pseudo",
		"-c", "write", "-c", "read", "-c", "pwrite64", "-c", "pread64",
		"-c", "readv", "-c", "writev", "-c", "lseek", "-c", "newfstat", "-c", "fsync",
		"-c", "fcntl", "-c", "dup", "-c", "poll", "-c", "splice", "-c", "mmap",
		"-c", "mremap", "-c", "mprotect", "-c", "madvise", NULL };
	char *const env[] = { "LD_PRELOAD=" HANDS, "TRINITY_CALLS=" COUNTS, "HOME=" FOLDER, NULL };
	int quiet = open("/dev/null", O_RDWR);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	snprintf(number, sizeof(number), "%u", (u32)seed);
	dup2(quiet, 0);
	dup2(quiet, 1);
	dup2(quiet, 2);
	if (setgid(NOBODY) || setuid(NOBODY))
		_exit(126);
	execve(TRINITY, argv, env);
	_exit(127);
}

/* Wait for @pid as long as an episode may take; its status. */
static int trinity_end(pid_t pid)
{
	struct timespec t = { .tv_sec = EPISODE_S };
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (waitpid(pid, &status, WNOHANG) != pid)
		if (sigtimedwait(&set, NULL, &t) < 0 && errno == EAGAIN)
			kill(pid, SIGKILL);
	return status;
}

/* Nobody's processes, which trinity may leave, are over when it returns: their orphans are ours. */
static void end_all(void)
{
	pid_t pid = fork();

	if (!pid) {
		if (!setuid(NOBODY))
			kill(-1, SIGKILL);
		_exit(0);
	}
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
}

/* Trinity makes some, and nobody else does here. */
static void remove_shared_memory(void)
{
	struct shmid_ds ds;
	int i, id, last = shmctl(0, SHM_INFO, &ds);

	for (i = 0; i <= last; i++) {
		id = shmctl(i, SHM_STAT, &ds);
		if (id >= 0)
			shmctl(id, IPC_RMID, NULL);
	}
}

static void episode(struct rnd *r)
{
	u64 seed = rnd(r);
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		be_trinity(seed);
	status = trinity_end(pid);
	end_all();
	remove_shared_memory();
	if (WIFEXITED(status) && WEXITSTATUS(status) >= 126)
		fuzz_fail("trinity did not begin: exit status %d", WEXITSTATUS(status));
	all = calls[0];
	good = calls[1];
}

static void make_nodes(void)
{
	struct stat st;
	char path[64];
	u32 i;

	ASSERT_EQ(stat("/dev/posada", &st), 0);
	mkdir(NODES, 0755);
	umask(0);
	for (i = 0; i < NR_NODES; i++) {
		snprintf(path, sizeof(path), NODES "/posada%u", i);
		if (mknod(path, S_IFCHR | 0666, st.st_rdev))
			ASSERT_EQ(errno, EEXIST);
	}
}

static void make_folder(void)
{
	int fd;

	mkdir(FOLDER, 0755);
	ASSERT_EQ(chown(FOLDER, NOBODY, NOBODY), 0);
	ASSERT_EQ(chdir(FOLDER), 0);
	make_nodes();
	fd = open(COUNTS, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(ftruncate(fd, 16), 0);
	ASSERT_EQ(fchown(fd, NOBODY, NOBODY), 0);
	calls = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_TRUE(calls != MAP_FAILED);
	close(fd);
}

static void trinity_loop(void)
{
	struct rnd r;
	sigset_t set;

	make_folder();
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	fuzz_begin("trinity", 20, 1, &all, "ioctls");
	while (fuzz_next(&r))
		episode(&r);
	fuzz_end();
	test_note("%llu of them succeeded", (unsigned long long)good);
	if (!good)
		FAIL("not one ioctl succeeded");
}

TEST_SLOW(trinity, 100000)
{
	if (access(TRINITY, X_OK))
		SKIP("no trinity on this host: make soak FUZZ=fuzz_trinity");
	accounted(trinity_loop);
}
