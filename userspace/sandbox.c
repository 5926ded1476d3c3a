// SPDX-License-Identifier: GPL-2.0
/* The sandbox: see sandbox.h. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asm/termbits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>

#include "machine.h"
#include "names.h"
#include "sandbox.h"
#include "term.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof(*(a)))
#define IOCTL_TYPE	0xff00U
#define VHOST_TYPE	0xafU

/* ---- namespaces ---- */

/* Where it cannot be opened, it is not for us: do without. */
static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		warn_line("%s: %s", path, strerror(errno));
	close(fd);
}

/* Without it only the numbers that this process sees differ. */
static void map_id(const char *path, unsigned int id)
{
	char *line = xasprintf("%u %u 1", id, id);

	put(path, line);
	free(line);
}

/* Users of its own: for others than root the way to the other namespaces, and
 * for root the end of its rights over the host, which is not for a share.
 */
static bool enter_as_user(const struct sandbox *s, int spaces)
{
	unsigned int uid = geteuid(), gid = getegid();

	if ((!uid && s->files) || unshare(CLONE_NEWUSER | spaces))
		return false;
	put("/proc/self/setgroups", "deny");
	map_id("/proc/self/gid_map", gid);
	map_id("/proc/self/uid_map", uid);
	return true;
}

static void enter_namespaces(const struct sandbox *s)
{
	int spaces = CLONE_NEWIPC | CLONE_NEWUTS |
		     (s->network ? 0 : CLONE_NEWNET);

	/* Not for everybody, and not on every host; the other walls are. */
	if (!enter_as_user(s, spaces) && unshare(spaces) && errno != EPERM &&
	    errno != EINVAL)
		warn_line("no namespaces for the sandbox: %s", strerror(errno));
}

/* ---- capabilities ---- */

/* A server of files that gives them to the guest's users. */
#define OWNERS	(1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE | \
		 1U << CAP_DAC_READ_SEARCH | 1U << CAP_FOWNER | 1U << CAP_FSETID)
/* One that reads what its user may read. */
#define READERS	(1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH)

static void drop_capabilities(const struct sandbox *s)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct now[2], kept[2] = { 0 };
	unsigned int i;

	if (syscall(SYS_capget, &head, now))
		die("cannot read this process's capabilities: %s",
		    strerror(errno));
	kept[0].permitted = s->owners ? OWNERS : s->files ? READERS : 0;
	kept[0].permitted &= now[0].permitted;
	kept[0].effective = kept[0].permitted;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* Allowed to root alone; without new privileges it would be enough. */
	for (i = 0; i <= CAP_LAST_CAP; i++)
		prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	if (syscall(SYS_capset, &head, kept))
		die("cannot drop this process's capabilities: %s",
		    strerror(errno));
}

/* ---- Landlock ---- */

#define READ	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE	(LANDLOCK_ACCESS_FS_WRITE_FILE | \
		 LANDLOCK_ACCESS_FS_REMOVE_DIR | \
		 LANDLOCK_ACCESS_FS_REMOVE_FILE | \
		 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | \
		 LANDLOCK_ACCESS_FS_MAKE_SOCK | \
		 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM)
/* In an older header they have no name; the kernel says whether it has them. */
#define REFER		(1ULL << 13)
#define TRUNCATE	(1ULL << 14)
#define ALL	(READ | WRITE | LANDLOCK_ACCESS_FS_EXECUTE | \
		 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)

static void allow_path(int rules, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr at = { .allowed_access = access };

	at.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (at.parent_fd < 0)
		return;
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
		    &at, 0))
		die("cannot confine this process to %s: %s", path,
		    strerror(errno));
	close(at.parent_fd);
}

static void confine_files(const struct sandbox *s)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
			       LANDLOCK_CREATE_RULESET_VERSION);
	uint64_t more = (version >= 2 ? REFER : 0) |
			(version >= 3 ? TRUNCATE : 0);
	struct landlock_ruleset_attr attr = { .handled_access_fs = ALL | more };
	const uint64_t access[] = {
		[SANDBOX_READ] = READ,
		[SANDBOX_WRITE] = READ | WRITE | more,
		[SANDBOX_REMOVE] = LANDLOCK_ACCESS_FS_REMOVE_FILE,
		[SANDBOX_RMDIR] = LANDLOCK_ACCESS_FS_REMOVE_DIR,
	};
	unsigned int i;
	int rules;

	if (version < 1)
		return;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (rules < 0)
		return;
	for (i = 0; i < s->nr_folders; i++)
		allow_path(rules, s->folder[i].path, access[s->folder[i].access]);
	/* The resolver's addresses. */
	if (s->network)
		allow_path(rules, "/etc", LANDLOCK_ACCESS_FS_READ_FILE);
	if (syscall(SYS_landlock_restrict_self, rules, 0))
		die("cannot confine this process to its files: %s",
		    strerror(errno));
	close(rules);
}

/* ---- seccomp ---- */

#define SYS(name)	SCMP_SYS(name)

/* What any thread does. */
static const int always[] = {
	SYS(read), SYS(write), SYS(readv), SYS(writev),
	SYS(pread64), SYS(pwrite64), SYS(preadv), SYS(pwritev),
	SYS(preadv2), SYS(pwritev2), SYS(close), SYS(poll), SYS(ppoll),
	SYS(futex), SYS(munmap), SYS(madvise), SYS(mremap), SYS(brk),
	SYS(fstat), SYS(newfstatat), SYS(lseek), SYS(fsync),
	SYS(fdatasync), SYS(fallocate), SYS(ftruncate), SYS(exit),
	SYS(exit_group), SYS(rt_sigaction), SYS(rt_sigprocmask),
	SYS(rt_sigreturn), SYS(sigaltstack), SYS(set_robust_list),
	SYS(rseq), SYS(sched_yield), SYS(sched_getaffinity),
	SYS(clock_gettime), SYS(clock_nanosleep), SYS(nanosleep),
	SYS(gettimeofday), SYS(getpid), SYS(gettid), SYS(tgkill),
	SYS(getrandom), SYS(eventfd2), SYS(signalfd4),
	SYS(restart_syscall), SYS(fcntl), SYS(unlink), SYS(unlinkat),
	SYS(recvfrom), SYS(recvmsg), SYS(sendto), SYS(sendmsg),
	SYS(accept4), SYS(shutdown), SYS(getsockopt),
	SYS(setsockopt), SYS(getsockname), SYS(getpeername),
	SYS(getuid), SYS(geteuid), SYS(getgid), SYS(getegid),
	SYS(getpgrp), SYS(getpgid),
	SYS(sysinfo),		/* glibc's qsort() asks how much memory there is */
	__NR_SCMP_ERROR
};

/* A share's. */
static const int for_files[] = {
	SYS(openat), SYS(openat2), SYS(mkdirat),
	SYS(mknodat), SYS(symlinkat), SYS(linkat), SYS(renameat), SYS(renameat2),
	SYS(fchmodat), SYS(fchownat), SYS(fchown), SYS(utimensat),
	SYS(readlinkat), SYS(getdents64), SYS(statfs), SYS(fstatfs),
	__NR_SCMP_ERROR
};

/* libslirp's. */
static const int for_network[] = {
	SYS(bind), SYS(listen), SYS(connect), SYS(accept), SYS(openat),
	__NR_SCMP_ERROR
};

static void allow(scmp_filter_ctx c, const int *calls)
{
	int ret = 0;

	for (; *calls != __NR_SCMP_ERROR; calls++)
		ret = ret ? ret : seccomp_rule_add(c, SCMP_ACT_ALLOW, *calls, 0);
	if (ret)
		die("cannot build the sandbox's filter: %s", strerror(-ret));
}

/* Allow @call where its argument, of which @mask counts, is @value. */
static void allow_if(scmp_filter_ctx c, int call, unsigned int arg,
		     uint64_t mask, uint64_t value)
{
	int ret = seccomp_rule_add(c, SCMP_ACT_ALLOW, call, 1,
				   SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, mask,
					    value));

	if (ret)
		die("cannot build the sandbox's filter: %s", strerror(-ret));
}

/* Terminals: their modes and sizes, and nothing that types into them. */
static void allow_ioctls(scmp_filter_ctx c)
{
	static const unsigned int requests[] = {
		TCGETS, TCSETS, TCSETSW, TCSETSF, TIOCGWINSZ, TIOCGPGRP,
		FIONREAD, FIONBIO,
		_IOW('T', 208, unsigned int),	/* TUNSETOFFLOAD */
	};
	size_t i;

	allow_if(c, SCMP_SYS(ioctl), 1, IOCTL_TYPE, POSADA_IOC << 8);
	allow_if(c, SCMP_SYS(ioctl), 1, IOCTL_TYPE, VHOST_TYPE << 8);
	for (i = 0; i < ARRAY_SIZE(requests); i++)
		allow_if(c, SCMP_SYS(ioctl), 1, UINT32_MAX, requests[i]);
}

static void allow_by_arguments(scmp_filter_ctx c, const struct sandbox *s)
{
	/* No code but what is there. */
	allow_if(c, SCMP_SYS(mmap), 2, PROT_EXEC, 0);
	allow_if(c, SCMP_SYS(mprotect), 2, PROT_EXEC, 0);
	/* Threads, and no processes; clone3's arguments are out of sight. */
	allow_if(c, SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD);
	if (seccomp_rule_add(c, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0))
		die("cannot build the sandbox's filter");
	allow_if(c, SCMP_SYS(prctl), 0, UINT32_MAX, PR_SET_NAME);
	/* A stream between two threads of ours: it leads nowhere else. */
	allow_if(c, SCMP_SYS(socketpair), 1, 0xf, SOCK_STREAM);
	if (s->network) {
		allow_if(c, SCMP_SYS(socket), 0, UINT32_MAX, AF_INET);
		allow_if(c, SCMP_SYS(socket), 0, UINT32_MAX, AF_INET6);
	}
	allow_ioctls(c);
}

/* In the thread that made the call; no lock may be taken. */
static void on_violation(int sig, siginfo_t *info, void *context)
{
	static const char head[] = "posada: the sandbox refused system call ",
		tail[] = " (ausyscall names it): --no-sandbox goes without, but say so to who looks after posada\n";
	char text[sizeof(head) + sizeof(tail) + 8], digits[8];
	unsigned int n = (unsigned int)info->si_syscall, used = 0, at;

	(void)sig;
	(void)context;
	term_restore();
	do {
		digits[used++] = (char)('0' + n % 10);
		n /= 10;
	} while (n && used < sizeof(digits));
	memcpy(text, head, sizeof(head) - 1);
	at = sizeof(head) - 1;
	while (used)
		text[at++] = digits[--used];
	memcpy(text + at, tail, sizeof(tail) - 1);
	at += sizeof(tail) - 1;
	if (write(STDERR_FILENO, text, at) < 0)
		_exit(STATUS_FAILED);
	_exit(STATUS_FAILED);
}

static void filter_calls(const struct sandbox *s)
{
	struct sigaction sa = { .sa_sigaction = on_violation,
				.sa_flags = SA_SIGINFO };
	scmp_filter_ctx c = seccomp_init(SCMP_ACT_TRAP);
	int ret;

	if (!c)
		die("out of memory");
	allow(c, always);
	if (s->files)
		allow(c, for_files);
	if (s->network)
		allow(c, for_network);
	allow_by_arguments(c, s);
	sigaction(SIGSYS, &sa, NULL);
	ret = seccomp_load(c);
	if (ret)
		die("this kernel has no seccomp filters (%s): --no-sandbox goes without",
		    strerror(-ret));
	seccomp_release(c);
}

/* ---- all of it ---- */

static void add_folder(struct sandbox *s, const char *path,
		       enum sandbox_access access)
{
	s->folder[s->nr_folders].path = path;
	s->folder[s->nr_folders++].access = access;
}

/* The folder of --gdb's Unix socket; NULL: it is none. */
static const char *gdb_folder(const char *where)
{
	char *path, *slash;

	if (!where || strncmp(where, "unix:", 5))
		return NULL;
	path = xasprintf("%s", where + 5);
	slash = strrchr(path, '/');
	if (slash)
		slash[slash == path] = '\0';
	else
		strcpy(path, ".");
	return path;
}

void sandbox_plan(struct sandbox *s, const struct config *cfg)
{
	const struct device_config *dev = &cfg->dev;
	const char *sockets = names_folder(), *gdb = gdb_folder(cfg->gdb);
	unsigned int i;

	*s = (struct sandbox){ 0 };
	for (i = 0; i < dev->nr_nets; i++)
		s->network |= !dev->net[i].tap;
	for (i = 0; i < dev->nr_shares; i++) {
		bool writable = !dev->share[i].readonly;

		s->files = true;
		s->owners |= writable && !geteuid();
		add_folder(s, dev->share[i].path,
			   writable ? SANDBOX_WRITE : SANDBOX_READ);
	}
	if (sockets)
		add_folder(s, sockets, SANDBOX_REMOVE);
	if (gdb)
		add_folder(s, gdb, SANDBOX_REMOVE);
	if (cgroup_folder())
		add_folder(s, cgroup_folder(), SANDBOX_RMDIR);
}

void sandbox_enter(const struct sandbox *s)
{
	enter_namespaces(s);
	drop_capabilities(s);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("cannot give up new privileges: %s", strerror(errno));
	confine_files(s);
	filter_calls(s);
}
