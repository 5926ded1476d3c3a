// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory while the host does to it what hosts do: throw away, protect,
 * truncate, move, merge, collapse, split, fork, swap. The guest must see what
 * the process would see, and the host must come to no harm.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm.h"

#define AREA	0x40000000UL
#define HUGE	(2UL << 20)

/* The guest writes a pattern, and sums it up again and again. */
static struct {
	u64 pages, rounds, stop, laps;
} job;

static u64 value_at(u64 page, u64 round)
{
	return (page + 1) * 0x9e3779b97f4a7c15 + round;
}

/* Each lap checks what the last one wrote, and writes the next. */
static void guest_pattern(u64 at)
{
	u64 i, round;
	u64 *p;

	for (round = 1; !READ(job.stop); round++) {
		for (i = 0; i < job.pages; i++) {
			p = (u64 *)(at + i * 4096 + (i % 500) * 8);
			if (round > 1 && READ(*p) != value_at(i, round - 1))
				g_report(__FILE__, __LINE__, "page, value", i, READ(*p));
			WRITE(*p, value_at(i, round));
		}
		WRITE(job.laps, round);
	}
}

static void guest_read_one(u64 at)
{
	for (;;)
		g_sync((u32)READ(*(u64 *)at));
}

static void guest_write_one(u64 at)
{
	u64 i;

	for (i = 1;; i++) {
		WRITE(*(u64 *)at, i);
		g_sync(i);
	}
}

static u8 *map_aligned(u64 bytes, int flags, int fd)
{
	u8 *p = mmap(NULL, bytes + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u8 *at = (u8 *)(((u64)p + HUGE - 1) & ~(HUGE - 1));

	ASSERT_TRUE(p != MAP_FAILED);
	at = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_FIXED | flags, fd, 0);
	ASSERT_TRUE(at != MAP_FAILED);
	return at;
}

static struct vm *with_memory(u8 *mem, u64 bytes, void (*fn)(u64))
{
	struct vm *vm = vm_new(1);

	slot_set(vm, 1, AREA, mem, bytes, 0);
	vcpu_start(vm->vcpu[0], fn, AREA);
	return vm;
}

/* ---- one page at a time ---- */

TEST(dontneed)
{
	u8 *mem = map_anon(4096);
	struct vm *vm = with_memory(mem, 4096, guest_read_one);
	struct vcpu *v = vm->vcpu[0];
	u32 i;

	for (i = 1; i < 50; i++) {
		*(u64 *)mem = i;
		EXPECT_SYNC(v, i);
		ASSERT_EQ(madvise(mem, 4096, MADV_DONTNEED), 0);
		EXPECT_SYNC(v, 0);
	}
	EXPECT_GE(vm_stat(vm, POSADA_STAT_ZAPPED), 50);
	/* The emulated CPUs forget at each entry; others keep what nobody has them flush. */
	EXPECT_GE(vcpu_stat(v, POSADA_STAT_TLB_FLUSH), 49);
}

TEST(copy_on_write_by_fork)
{
	u8 *mem = map_anon(4096);
	struct vm *vm = with_memory(mem, 4096, guest_write_one);
	struct vcpu *v = vm->vcpu[0];
	int pipes[2], status;
	pid_t pid;
	u64 seen;
	u32 i;

	EXPECT_SYNC(v, 1);
	for (i = 2; i < 12; i++) {
		ASSERT_EQ(pipe(pipes), 0);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (pid == 0) {
			/* Wait until the guest has written: we keep the old value. */
			if (read(pipes[0], &seen, 1) != 1)
				_exit(1);
			_exit(*(volatile u64 *)mem == i - 1 ? 0 : 2);
		}
		EXPECT_SYNC(v, i);
		EXPECT_EQ(*(u64 *)mem, i);
		ASSERT_EQ(write(pipes[1], "x", 1), 1);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, 0);
		close(pipes[0]);
		close(pipes[1]);
	}
}

TEST(protect)
{
	u8 *mem = map_anon(4096);
	struct vm *vm = with_memory(mem, 4096, guest_write_one);
	struct vcpu *v = vm->vcpu[0];

	EXPECT_SYNC(v, 1);
	ASSERT_EQ(mprotect(mem, 4096, PROT_READ), 0);
	vcpu_expect(v, POSADA_EXIT_MEMORY);
	EXPECT_EQ(v->run->memory.gpa, AREA);
	EXPECT_EQ(v->run->memory.flags, POSADA_MEM_WRITE | POSADA_MEM_FAULT);
	EXPECT_EQ(*(u64 *)mem, 1);
	ASSERT_EQ(mprotect(mem, 4096, PROT_READ | PROT_WRITE), 0);
	EXPECT_SYNC(v, 2);
	ASSERT_EQ(mprotect(mem, 4096, PROT_NONE), 0);
	vcpu_expect(v, POSADA_EXIT_MEMORY);
	EXPECT_EQ(v->run->memory.flags, POSADA_MEM_WRITE | POSADA_MEM_FAULT);
	ASSERT_EQ(mprotect(mem, 4096, PROT_READ | PROT_WRITE), 0);
	EXPECT_SYNC(v, 3);
}

TEST(unmap)
{
	u8 *mem = map_anon(4096);
	struct vm *vm = with_memory(mem, 4096, guest_write_one);
	struct vcpu *v = vm->vcpu[0];

	EXPECT_SYNC(v, 1);
	ASSERT_EQ(munmap(mem, 4096), 0);
	vcpu_expect(v, POSADA_EXIT_MEMORY);
	EXPECT_EQ(v->run->memory.gpa, AREA);
	EXPECT_EQ(v->run->memory.flags, POSADA_MEM_WRITE | POSADA_MEM_FAULT);
	/* Other memory in its place: that is what the guest has now. */
	ASSERT_TRUE(mmap(mem, 4096, PROT_READ | PROT_WRITE,
			 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == mem);
	EXPECT_SYNC(v, 2);
	EXPECT_EQ(*(u64 *)mem, 2);
}

TEST(remap)
{
	u8 *mem = map_anon(4096), *to = map_anon(4096);
	struct vm *vm = with_memory(mem, 4096, guest_write_one);
	struct vcpu *v = vm->vcpu[0];

	EXPECT_SYNC(v, 1);
	ASSERT_TRUE(mremap(mem, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	vcpu_expect(v, POSADA_EXIT_MEMORY);
	EXPECT_EQ(v->run->memory.flags, POSADA_MEM_WRITE | POSADA_MEM_FAULT);
	/* What moved away is nobody's but the mover's. */
	EXPECT_EQ(*(u64 *)to, 1);
	slot_set(vm, 1, AREA, to, 4096, 0);
	EXPECT_SYNC(v, 2);
	EXPECT_EQ(*(u64 *)to, 2);
}

TEST(truncate)
{
	int fd = memfd_create("guest", 0);
	struct vcpu *v;
	u8 *mem;

	ASSERT_EQ(ftruncate(fd, 8192), 0);
	mem = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_TRUE(mem != MAP_FAILED);
	v = with_memory(mem, 8192, guest_write_one)->vcpu[0];
	EXPECT_SYNC(v, 1);
	ASSERT_EQ(ftruncate(fd, 0), 0);
	/* The process would get SIGBUS; it gets an exit, and no signal. */
	vcpu_expect(v, POSADA_EXIT_MEMORY);
	EXPECT_EQ(v->run->memory.gpa, AREA);
	EXPECT_EQ(v->run->memory.flags, POSADA_MEM_WRITE | POSADA_MEM_FAULT);
	ASSERT_EQ(ftruncate(fd, 8192), 0);
	EXPECT_SYNC(v, 2);
	EXPECT_EQ(*(u64 *)mem, 2);
}

TEST(punch_hole)
{
	int fd = memfd_create("guest", 0);
	struct vcpu *v;
	u8 *mem;

	ASSERT_EQ(ftruncate(fd, 8192), 0);
	mem = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_TRUE(mem != MAP_FAILED);
	v = with_memory(mem, 8192, guest_read_one)->vcpu[0];
	*(u64 *)mem = 5;
	EXPECT_SYNC(v, 5);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), 0);
	EXPECT_SYNC(v, 0);
	/* By write(2), through the file: the same page. */
	ASSERT_EQ(pwrite(fd, "\x07", 1, 0), 1);
	EXPECT_SYNC(v, 7);
}

/* A file on disk, privately: the guest's writes are its own. */
TEST(private_file)
{
	char path[] = "/tmp/posada-XXXXXX";
	int fd = mkstemp(path);
	struct vcpu *v;
	u64 word = 9;
	u8 *mem;

	ASSERT_GE(fd, 0);
	unlink(path);
	ASSERT_EQ(ftruncate(fd, 4096), 0);
	ASSERT_EQ(pwrite(fd, &word, 8, 0), 8);
	mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_TRUE(mem != MAP_FAILED);
	v = with_memory(mem, 4096, guest_read_one)->vcpu[0];
	EXPECT_SYNC(v, 9);
	vcpu_start(v, guest_write_one, AREA);
	EXPECT_SYNC(v, 1);
	EXPECT_EQ(*(u64 *)mem, 1);
	ASSERT_EQ(pread(fd, &word, 8, 0), 8);
	EXPECT_EQ(word, 9);
}

/* A read-only mapping of a file in a writable slot: writes cannot be served. */
TEST(readonly_file)
{
	int fd = memfd_create("guest", 0);
	struct vcpu *v;
	u8 *mem;

	ASSERT_EQ(ftruncate(fd, 4096), 0);
	mem = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_TRUE(mem != MAP_FAILED);
	v = with_memory(mem, 4096, guest_read_one)->vcpu[0];
	EXPECT_SYNC(v, 0);
	vcpu_start(v, guest_write_one, AREA);
	vcpu_expect(v, POSADA_EXIT_MEMORY);
	EXPECT_EQ(v->run->memory.flags, POSADA_MEM_WRITE | POSADA_MEM_FAULT);
}

/* The run page, and what no page stands behind, is not for guests. */
TEST(device_memory_is_refused)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	slot_set(vm, 1, AREA, v->run, 4096, 0);
	vcpu_start(v, guest_read_one, AREA);
	vcpu_exit(v);
	if (v->run->exit == POSADA_EXIT_MEMORY)
		EXPECT_EQ(v->run->memory.flags, POSADA_MEM_FAULT);
	else	/* An ordinary page of the kernel's, mapped here: no harm in it. */
		EXPECT_EQ(v->run->exit, POSADA_EXIT_PORT);
}

/* ---- a running guest under steady attack ---- */



/* Run the pattern; attack until @laps laps were made meanwhile. */
static void attack(u8 *mem, u64 bytes, u64 laps, void (*fn)(u8 *mem, u64 bytes, u64 n))
{
	struct vm *vm;
	u64 n;

	job.pages = bytes / 4096;
	vm = with_memory(mem, bytes, guest_pattern);
	vcpu_go(vm->vcpu[0]);
	for (n = 0; n < 60 || READ(G(vm, job.laps)) < laps; n++) {
		fn(mem, bytes, n);
		if (n > 60)
			usleep(500);
	}
	WRITE(G(vm, job.stop), 1);
	vcpu_join(vm->vcpu[0]);
	test_note("%lu attacks, %lu laps, %lu mappings dropped", n, READ(G(vm, job.laps)),
		  vm_stat(vm, POSADA_STAT_ZAPPED));
}

static void attack_fork(u8 *mem, u64 bytes, u64 n)
{
	pid_t pid = fork();
	int status;

	(void)mem;
	(void)bytes;
	(void)n;
	ASSERT_GE(pid, 0);
	if (pid == 0)
		_exit(0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
}

TEST(attack_by_fork)
{
	attack(map_anon(64 * 4096), 64 * 4096, 20, attack_fork);
}

static void attack_huge(u8 *mem, u64 bytes, u64 n)
{
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
	if (n & 1) {
		madvise(mem, bytes, MADV_HUGEPAGE);
		madvise(mem, bytes, MADV_COLLAPSE);
	} else {
		/* Splits: protection of a part differs. */
		madvise(mem, bytes, MADV_NOHUGEPAGE);
		mprotect(mem + (n % 512) * 4096, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
		mprotect(mem + (n % 512) * 4096, 4096, PROT_READ | PROT_WRITE);
	}
}

TEST(attack_by_huge_pages)
{
	attack(map_aligned(HUGE, MAP_PRIVATE | MAP_ANONYMOUS, -1), HUGE, 20, attack_huge);
}

static void attack_shmem(u8 *mem, u64 bytes, u64 n)
{
	/* Drop this process's view: the pages stay in the file. */
	ASSERT_EQ(madvise(mem + (n % 16) * 4096, bytes - (n % 16) * 4096, MADV_DONTNEED), 0);
}

TEST(attack_on_memfd)
{
	int fd = memfd_create("guest", 0);

	ASSERT_EQ(ftruncate(fd, 64 * 4096), 0);
	attack(map_aligned(64 * 4096, MAP_SHARED, fd), 64 * 4096, 20, attack_shmem);
}

#define COMPACT "/proc/sys/vm/compact_memory"

/* Every page that can be moved may be. */
static void attack_compact(u8 *mem, u64 bytes, u64 n)
{
	(void)n;
	ASSERT_TRUE(write_file(COMPACT, "1"));
	/* Holes, for the next one to move pages into. */
	madvise(mem + bytes, bytes, MADV_DONTNEED);
	memset(mem + bytes, 1, bytes);
}

TEST_SLOW(attack_by_compaction, 60)
{
	u64 bytes = 64 * 4096;

	if (access(COMPACT, W_OK))
		SKIP("no " COMPACT);
	attack(map_anon(2 * bytes), bytes, 20, attack_compact);
}

/* ---- a VMM under a debugger, and its core ---- */

static void run_for_ever(void)
{
	u8 *mem = map_anon(64 * 4096);
	struct vm *vm = with_memory(mem, 64 * 4096, guest_pattern);

	G(vm, job.pages) = 64;
	/* A page that is not what the guest wrote fails the case. */
	for (;;)
		vcpu_exit(vm->vcpu[0]);
}

static pid_t start_vmm(void)
{
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (!pid) {
		run_for_ever();
		_exit(1);
	}
	return pid;
}

TEST_SLOW(ptrace_and_go_on, 60)
{
	struct user_regs_struct regs;
	pid_t pid = start_vmm();
	u32 i, in_run = 0;
	int status;

	ASSERT_EQ(ptrace(PTRACE_SEIZE, pid, 0, 0), 0);
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(ptrace(PTRACE_INTERRUPT, pid, 0, 0), 0);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		ASSERT_TRUE(WIFSTOPPED(status));
		ASSERT_EQ(ptrace(PTRACE_GETREGS, pid, 0, &regs), 0);
		in_run += regs.orig_rax == SYS_ioctl;
		ASSERT_EQ(ptrace(PTRACE_CONT, pid, 0, 0), 0);
		usleep(500);
	}
	test_note("%u of %u stops in an ioctl", in_run, i);
	EXPECT_GT(in_run, 20);
	ASSERT_EQ(kill(pid, SIGKILL), 0);
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status))
		;
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST_SLOW(core_dump, 60)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct stat st;
	int status;
	pid_t pid;
	u32 i;

	if (chdir("/tmp") || !write_file("/proc/sys/kernel/core_pattern", "/tmp/core"))
		SKIP("no place for a core");
	ASSERT_EQ(setrlimit(RLIMIT_CORE, &all), 0);
	for (i = 0; i < 5; i++) {
		unlink("/tmp/core");
		pid = start_vmm();
		usleep(20000 + i * 10000);
		ASSERT_EQ(kill(pid, SIGABRT), 0);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_TRUE(WIFSIGNALED(status) && WCOREDUMP(status));
		EXPECT_EQ(stat("/tmp/core", &st), 0);
		EXPECT_GT(st.st_size, 0);
	}
	unlink("/tmp/core");
}

/* ---- KSM ---- */

#define KSM "/sys/kernel/mm/ksm/"

static void guest_write_pages(u64 at)
{
	u64 i;

	for (i = 0; i < 16; i++)
		WRITE(*(u64 *)(at + i * 4096), i);
	g_sync(1);
	for (i = 0; i < 16; i++)
		G_EXPECT_EQ(READ(*(u64 *)(at + i * 4096)), i);
}

TEST_SLOW(merge, 60)
{
	u8 *mem = map_anon(16 * 4096);
	struct vcpu *v;
	s64 scans;
	u64 i;

	if (!write_file(KSM "pages_to_scan", "10000") || !write_file(KSM "sleep_millisecs", "1") ||
	    !write_file(KSM "run", "1"))
		SKIP("no KSM: " KSM);
	memset(mem, 0x33, 16 * 4096);
	ASSERT_EQ(madvise(mem, 16 * 4096, MADV_MERGEABLE), 0);
	v = with_memory(mem, 16 * 4096, guest_read_one)->vcpu[0];
	EXPECT_SYNC(v, 0x33333333);
	scans = file_number(KSM "full_scans", NULL);
	WAIT_FOR(file_number(KSM "full_scans", NULL) > scans + 3);
	EXPECT_GE(file_number(KSM "pages_sharing", NULL), 10);
	/* Still the same to read; written, each its own again. */
	EXPECT_SYNC(v, 0x33333333);
	vcpu_start(v, guest_write_pages, AREA);
	EXPECT_SYNC(v, 1);
	for (i = 0; i < 16; i++) {
		EXPECT_EQ(*(u64 *)(mem + i * 4096), i);
		EXPECT_EQ(mem[i * 4096 + 8], 0x33);
	}
	vcpu_done(v);
	write_file(KSM "run", "2");
	write_file(KSM "run", "0");
}

/* ---- swap ---- */

/* A swap device that lives in memory, where the host has the module. */
static bool swap_on(void)
{
	static char header[4096];
	u32 *h = (u32 *)(header + 1024);
	int fd;

	if (access("/modules/load", X_OK) || system("/modules/load zram 2>/dev/null") ||
	    !write_file("/sys/block/zram0/disksize", "67108864"))
		return false;
	h[0] = 1;				/* version */
	h[1] = 67108864 / 4096 - 1;		/* last page */
	memcpy(header + 4086, "SWAPSPACE2", 10);
	fd = open("/dev/zram0", O_RDWR | O_CLOEXEC);
	if (fd < 0 || write(fd, header, 4096) != 4096 || fsync(fd))
		return false;
	close(fd);
	return !swapon("/dev/zram0", 0);
}

static u64 swapped_kb(void)
{
	char line[128];
	u64 kb = 0;
	FILE *f = fopen("/proc/self/status", "r");

	ASSERT_TRUE(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmSwap: %lu", &kb) == 1)
			break;
	fclose(f);
	return kb;
}

static u64 most_swapped;

static void attack_pageout(u8 *mem, u64 bytes, u64 n)
{
	u64 kb;

	(void)n;
	ASSERT_EQ(madvise(mem, bytes, MADV_PAGEOUT), 0);
	kb = swapped_kb();
	if (kb > most_swapped)
		most_swapped = kb;
}

TEST_SLOW(swap, 60)
{
	bool own = swap_on();

	if (!own)
		SKIP("no swap device to be had (module zram)");
	attack(map_anon(256 * 4096), 256 * 4096, 20, attack_pageout);
	EXPECT_GT(most_swapped, 0);
	swapoff("/dev/zram0");
}

/* ---- userfaultfd ---- */

static void *serve_faults(void *arg)
{
	struct pollfd p = { .fd = *(int *)arg, .events = POLLIN };
	static u8 page[4096] __attribute__((aligned(4096)));
	struct uffd_msg msg;
	struct uffdio_copy copy;

	while (poll(&p, 1, -1) == 1 && read(p.fd, &msg, sizeof(msg)) == sizeof(msg)) {
		u64 at = msg.arg.pagefault.address & ~0xfffULL;

		*(u64 *)page = at >> 12 & 0xff;
		copy = (struct uffdio_copy){ .dst = at, .src = (u64)page, .len = 4096 };
		if (ioctl(p.fd, UFFDIO_COPY, &copy))
			return NULL;
	}
	return NULL;
}

static void guest_sum(u64 at)
{
	u64 i, sum = 0;

	for (i = 0; i < 16; i++)
		sum += READ(*(u64 *)(at + i * 4096));
	g_done(sum);
}

TEST(userfault)
{
	struct uffdio_api api = { .api = UFFD_API };
	u8 *mem = map_anon(16 * 4096);
	struct uffdio_register reg = {
		.range = { (u64)mem, 16 * 4096 }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	u64 i, want = 0;
	pthread_t t;

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		SKIP("userfaultfd: %s", strerror(errno));
	ASSERT_EQ(ioctl(fd, UFFDIO_REGISTER, &reg), 0);
	ASSERT_EQ(pthread_create(&t, NULL, serve_faults, &fd), 0);
	for (i = 0; i < 16; i++)
		want += (((u64)mem >> 12) + i) & 0xff;
	EXPECT_EQ(vcpu_done(with_memory(mem, 16 * 4096, guest_sum)->vcpu[0]), want);
}

/* ---- no memory left for page tables ---- */

/* In a cgroup that is full, the guest's process is what gives way, not the host. */
TEST(charged_to_the_cgroup)
{
	struct vm *vm = vm_new(1);
	u64 before, after;
	char path[256] = "", line[256];
	FILE *f;

	if (mkdir("/sys/fs/cgroup/posada-test", 0755) && errno != EEXIST)
		SKIP("no cgroup2: %s", strerror(errno));
	f = fopen("/sys/fs/cgroup/cgroup.subtree_control", "w");
	if (f) {
		fputs("+memory", f);
		fclose(f);
	}
	snprintf(line, sizeof(line), "%d", getpid());
	if (!write_file("/sys/fs/cgroup/posada-test/cgroup.procs", line))
		SKIP("cannot enter a cgroup");
	snprintf(path, sizeof(path), "/sys/fs/cgroup/posada-test/memory.stat");
	f = fopen(path, "r");
	if (!f)
		SKIP("no memory controller");
	fclose(f);
	/* A table page for each of many regions, 2 MiB apart. */
	before = file_number("/sys/fs/cgroup/posada-test/memory.current", NULL);
	vm_free(vm);
	vm = vm_new(16);
	after = file_number("/sys/fs/cgroup/posada-test/memory.current", NULL);
	/* Sixteen vCPUs take two pages each, at the least. */
	EXPECT_GE(after, before + 16 * 8192);
	write_file("/sys/fs/cgroup/cgroup.procs", line);
	rmdir("/sys/fs/cgroup/posada-test");
}
