// SPDX-License-Identifier: GPL-2.0
/*
 * When things fail, and when a VMM is shot: each allocation of a call fails
 * once, by failnth.ko; VMMs end at instants that nobody chose. Nothing may be
 * left behind, and what had been there goes on.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

#define AREA	0x40000000UL

/* ---- the n-th allocation ---- */

#define MODULE	"/selftests/failnth.ko"
#define MOST	400	/* allocations in one call, surely */

static int nth_fd = -1;

static void need_failnth(void)
{
	int fd;

	if (access("/proc/failnth", W_OK)) {
		fd = open(MODULE, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			SKIP("no " MODULE ": %s", strerror(errno));
		if (syscall(SYS_finit_module, fd, "", 0))
			SKIP("failnth.ko cannot be inserted: %s", strerror(errno));
		close(fd);
	}
}

static void arm(u32 n)
{
	char text[16];
	int bytes = snprintf(text, sizeof(text), "%u", n);

	ASSERT_EQ(pwrite(nth_fd, text, bytes, 0), bytes);
}

/* How many allocations were still to come; 0: the last one failed. */
static int disarm(void)
{
	char text[16] = "";

	ASSERT_GE(pread(nth_fd, text, sizeof(text) - 1, 0), 1);
	return atoi(text);
}

static u64 failures;

/* Often enough for what one leaves behind to show in the account: a page, a small object, eight bytes. */
#define TIMES		64
#define MANY_TIMES	1000
#define MOST_TIMES	2000

/*
 * Make the call with its first, second, ... allocation failing, until none is
 * left to fail. -ENOMEM, or it could do without; then @undo takes it back.
 */
static void each_failure(const char *what, u32 times, int (*call)(void *), void (*undo)(void *, int),
			 void *arg)
{
	u32 n, i = 0;
	int rc, left;

	times = times / test_time_scale() + 1;
	if (nth_fd < 0)
		nth_fd = open("/proc/failnth", O_RDWR | O_CLOEXEC);
	ASSERT_GE(nth_fd, 0);
	for (n = 1; n < MOST; n += ++i % times == 0) {
		arm(n);
		rc = call(arg);
		left = disarm();
		if (rc < 0 && (rc != -ENOMEM || left))
			FATAL("%s, allocation %u (%d left): %d", what, n, left, rc);
		if (rc >= 0 && undo)
			undo(arg, rc);
		if (left)
			break;
		failures += i % times == 0;
	}
	test_note("%s: %u allocations failed", what, n - 1);
	EXPECT_LT(n, MOST);
}

static void close_it(void *arg, int fd)
{
	(void)arg;
	close(fd);
}

/* ---- the calls ---- */

static int create_vm(void *arg)
{
	struct posada_vm_create c = { .size = sizeof(c), .backend = test_backend };

	return px(((struct vm *)arg)->sys, POSADA_VM_CREATE, &c);
}

/* The id of a vCPU is taken as long as its VM lives: each gets the next VM. */
static int create_vcpu(void *arg)
{
	struct posada_vcpu_create c = { .size = sizeof(c), .id = 0 };

	return px(*(int *)arg, POSADA_VCPU_CREATE, &c);
}

static void next_vm(void *arg, int fd)
{
	int sys = sys_open(), *vm = arg;
	struct posada_vm_create c = { .size = sizeof(c), .backend = test_backend };

	close(fd);
	close(*vm);
	*vm = px(sys, POSADA_VM_CREATE, &c);
	ASSERT_GE(*vm, 0);
	close(sys);
}

static struct posada_slot the_slot = { .size = sizeof(the_slot), .slot = 1, .gpa = AREA };
static struct posada_slot the_other;

static int set_slot(void *arg)
{
	return px(((struct vm *)arg)->fd, POSADA_SLOT_SET, &the_slot);
}

/* As it was before. */
static void set_other(void *arg, int rc)
{
	(void)rc;
	ASSERT_EQ(px(((struct vm *)arg)->fd, POSADA_SLOT_SET, &the_other), 0);
}

static int take_log(void *arg)
{
	static u64 bitmap[64];
	struct posada_dirty_log log = {
		.size = sizeof(log), .flags = POSADA_DIRTY_CLEAR, .slot = 1,
		.pages = the_slot.bytes >> 12, .bitmap = (u64)bitmap,
	};

	return px(((struct vm *)arg)->fd, POSADA_DIRTY_LOG, &log);
}

struct transfer {
	int fd;
	u32 nr;
	struct posada_state state;
};

static int transfer_state(void *arg)
{
	struct transfer *t = arg;

	return px(t->fd, t->nr, &t->state);
}

static void state_failures(const char *what, int fd, u32 nr)
{
	static u8 buf[64 << 10];
	struct transfer t = {
		.fd = fd, .nr = nr,
		.state = { .size = sizeof(t.state), .buf = (u64)buf, .bytes = sizeof(buf) },
	};

	each_failure(what, TIMES, transfer_state, NULL, &t);
	t.state.flags = POSADA_STATE_WRITE;
	t.state.bytes = t.state.used;
	each_failure(what, TIMES, transfer_state, NULL, &t);
}

static struct posada_irqfd irqfd = {
	.size = sizeof(irqfd), .addr = MSI_ADDR(0), .data = 0x40,
};

static int assign_irqfd(void *arg)
{
	irqfd.flags = 0;
	return px(((struct vm *)arg)->fd, POSADA_IRQFD, &irqfd);
}

static void deassign_irqfd(void *arg, int rc)
{
	(void)rc;
	irqfd.flags = POSADA_IRQFD_DEASSIGN;
	ASSERT_EQ(px(((struct vm *)arg)->fd, POSADA_IRQFD, &irqfd), 0);
}

static struct posada_doorbell bell = {
	.size = sizeof(bell), .kind = POSADA_DOORBELL_PORT, .addr = 0x500, .len = 4,
};

static int assign_bell(void *arg)
{
	bell.flags = 0;
	return px(((struct vm *)arg)->fd, POSADA_DOORBELL, &bell);
}

static void deassign_bell(void *arg, int rc)
{
	(void)rc;
	bell.flags = POSADA_DOORBELL_DEASSIGN;
	ASSERT_EQ(px(((struct vm *)arg)->fd, POSADA_DOORBELL, &bell), 0);
}

static void guest_count(void)
{
	u64 i;

	for (i = 0;; i++)
		g_sync(i);
}

static void slot_failures(struct vm *vm)
{
	the_slot.hva = (u64)map_anon(4 << 20);
	the_slot.bytes = 4 << 20;
	the_other = the_slot;
	the_other.bytes = 0;
	each_failure("a new slot", MANY_TIMES, set_slot, set_other, vm);
	the_slot.flags = POSADA_SLOT_DIRTY_LOG;
	each_failure("a new slot with a log", MANY_TIMES, set_slot, set_other, vm);
	ASSERT_EQ(set_slot(vm), 0);
	each_failure("a log", MANY_TIMES, take_log, NULL, vm);
	/* The same once more: its log stays the old one's. */
	each_failure("a slot that keeps its log", MANY_TIMES, set_slot, NULL, vm);
	/* From one with a log to half of it and back, and away. */
	the_other = the_slot;
	the_slot.bytes /= 2;
	each_failure("a slot of another size", MANY_TIMES, set_slot, set_other, vm);
	the_slot = the_other;
	the_slot.bytes = 0;
	each_failure("a slot less", MANY_TIMES, set_slot, set_other, vm);
}

static void calls_loop(void)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	int other = create_vm(vm);

	vcpu_start(v, guest_count, 0);
	EXPECT_SYNC(v, 0);
	each_failure("a VM", MOST_TIMES, create_vm, close_it, vm);
	each_failure("a vCPU", TIMES, create_vcpu, next_vm, &other);
	close(other);
	slot_failures(vm);
	state_failures("the state of a vCPU", v->fd, POSADA_VCPU_STATE);
	state_failures("the state of a VM", vm->fd, POSADA_VM_STATE);
	irqfd.fd = eventfd(0, EFD_CLOEXEC);
	each_failure("an irqfd", MANY_TIMES, assign_irqfd, deassign_irqfd, vm);
	bell.fd = eventfd(0, EFD_CLOEXEC);
	each_failure("a doorbell", MANY_TIMES, assign_bell, deassign_bell, vm);
	/* All this time, and after it, the VM is whole. */
	EXPECT_SYNC(v, 1);
	EXPECT_GE(failures, 30);
}

TEST_SLOW(each_allocation_of_a_call, 200)
{
	need_failnth();
	accounted(calls_loop);
}

/* ---- in the guest's faults ---- */

#define SPOTS	6
#define STEP	(256UL << 20)	/* each needs tables of its own */

static void guest_touch(void)
{
	u64 i;

	for (i = 0; i < SPOTS; i++)
		*(volatile u64 *)(AREA + i * STEP) = i;
	g_done(SPOTS);
}

/* True: nothing was left to fail. A fault without memory ends the VM, and says why. */
static bool run_with(u32 n, void **mem)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	int rc, left;
	u32 i;

	for (i = 0; i < SPOTS; i++)
		slot_set(vm, 1 + i, AREA + i * STEP, mem[i], 4096, 0);
	vcpu_start(v, guest_touch, 0);
	arm(n);
	rc = vcpu_run(v);
	left = disarm();
	if (rc)
		EXPECT_EQ(rc, -ENOMEM);
	else if (v->run->exit == POSADA_EXIT_KILLED)
		EXPECT_EQ(v->run->killed.reason, POSADA_KILL_NO_MEMORY);
	else if (v->run->exit != POSADA_EXIT_PORT)
		FAIL("allocation %u: exit %s", n, exit_name(v->run->exit));
	if (left && v->run->exit != POSADA_EXIT_PORT)
		FAIL("nothing failed, and yet it ended: %s", exit_name(v->run->exit));
	vm_free(vm);
	return left;
}

static void faults_loop(void)
{
	void *mem[SPOTS];
	u32 i, n;

	nth_fd = open("/proc/failnth", O_RDWR | O_CLOEXEC);
	ASSERT_GE(nth_fd, 0);
	for (i = 0; i < SPOTS; i++) {
		mem[i] = map_anon(4096);
		*(u8 *)mem[i] = 1;
	}
	for (n = 1; n < MOST && !run_with(n, mem); n++)
		;
	test_note("a run: %u allocations failed", n - 1);
	EXPECT_GE(n, 1 + SPOTS);
	EXPECT_LT(n, MOST);
}

TEST_SLOW(each_allocation_of_a_run, 120)
{
	need_failnth();
	accounted(faults_loop);
}

/* ---- VMs that come and go ---- */

#define COMERS	300

/* Each with a log of two kilobytes: one that stays is little, all are not. */
static void comers_loop(void)
{
	struct posada_slot s = {
		.size = sizeof(s), .flags = POSADA_SLOT_DIRTY_LOG, .slot = 1, .gpa = AREA,
		.hva = (u64)map_anon(64 << 20), .bytes = 64 << 20,
	};
	struct posada_vm_create c = { .size = sizeof(c), .backend = test_backend };
	int sys = sys_open(), fd;
	u32 i;

	for (i = 0; i < COMERS; i++) {
		fd = px(sys, POSADA_VM_CREATE, &c);
		ASSERT_GE(fd, 0);
		ASSERT_EQ(px(fd, POSADA_SLOT_SET, &s), 0);
		close(fd);
	}
}

/* What SRCU has for each VM and CPU is charged to nobody: the host's own sum, kilobytes. */
static s64 percpu_kb(void)
{
	return file_number("/proc/meminfo", "Percpu:");
}

#define PERCPU_KB	64	/* less than 300 VMs keep, more than the kernel itself takes meanwhile */

TEST_SLOW(come_and_go, 60)
{
	s64 before = percpu_kb(), more;

	accounted(comers_loop);
	more = percpu_kb() - before;
	test_note("per-CPU memory: %lld kB more", (long long)more);
	EXPECT_LT(more, PERCPU_KB);
}

/* ---- kill -9 ---- */

#define VCPUS	4

#define KILLS		60
#define KILLS_IN_TURMOIL 8

static u64 kills, seed;
static bool turmoil;

bool test_option(const char *name, const char *value)
{
	if (!strcmp(name, "kills"))
		kills = strtoull(value, NULL, 0);
	else if (!strcmp(name, "seed"))
		seed = strtoull(value, NULL, 0);
	else
		return false;
	return true;
}

static void *take_pages_away(void *arg)
{
	struct vm *vm = arg;

	/* Those that nobody uses; their neighbours share tables with them. */
	for (;;)
		madvise(vm->mem + G_HEAP + VCPUS * G_OWN_PAGES * 4096, 32 * 4096, MADV_DONTNEED);
	return NULL;
}

static void victim(void)
{
	struct vm *vm = checking_start(VCPUS);
	pthread_t t;
	u32 i;

	if (turmoil)
		ASSERT_EQ(madvise(vm->mem, vm->bytes, MADV_MERGEABLE), 0);
	if (seed & 1)
		pthread_create(&t, NULL, take_pages_away, vm);
	for (i = 0; i < VCPUS; i++)
		vcpu_join(vm->vcpu[i]);
	_exit(9);	/* no guest ends by itself */
}

static u64 draw(void)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return seed >> 33;
}

/* From before the VM is there to well into its run, @most ms. */
static void shoot(u64 count, u32 most)
{
	struct timespec wait = {};
	int status;
	pid_t pid;
	u64 i;

	if (!seed)
		seed = time(NULL);
	test_note("kills: --seed %llu", (unsigned long long)seed);
	for (i = 0; i < count; i++) {
		wait.tv_nsec = draw() % most * 1000000 + draw() % 1000000;
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid)
			victim();
		nanosleep(&wait, NULL);
		ASSERT_EQ(kill(pid, SIGKILL), 0);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	test_note("kills: %llu VMMs with %u vCPUs", (unsigned long long)count, VCPUS);
}

static void kills_loop(void)
{
	shoot(kills ?: KILLS / test_time_scale(), 150);
}

TEST_SLOW(kill_9, 100000)
{
	accounted(kills_loop);
}

/* ---- the same on a host that never lets a page rest ---- */

#define MM		"/sys/kernel/mm/"
#define KSM		MM "ksm/"
#define THP		MM "transparent_hugepage/"
#define COMPACT		"/proc/sys/vm/compact_memory"
#define VMSTAT		"/proc/vmstat"

/* One of the host's counters. */
static u64 counter(const char *name)
{
	s64 n;

	ASSERT_EQ(access(VMSTAT, R_OK), 0);
	n = file_number(VMSTAT, name);
	return n < 0 ? 0 : n;
}

/* Merge and part, collapse and split, move: all of it, again and again. */
static void turn_pages(void)
{
	u32 n;

	for (n = 0;; n++) {
		write_file(KSM "run", n % 16 == 15 ? "2" : "1");
		write_file(THP "enabled", n & 4 ? "never" : "always");
		write_file(THP "khugepaged/defrag", n & 1 ? "1" : "0");
		write_file(COMPACT, "1");
		usleep(20000);
	}
}

static void kills_in_turmoil_loop(void)
{
	u64 merged = counter("cow_ksm"), moved = counter("pgmigrate_success");
	u64 split = counter("thp_split_pmd"), laps;
	struct vm *neighbour = checking_start(2);
	u64 enough = 100 / test_time_scale();
	pid_t pid;
	u32 i;

	ASSERT_EQ(madvise(neighbour->mem, neighbour->bytes, MADV_MERGEABLE), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		turn_pages();
	shoot(kills ?: KILLS_IN_TURMOIL / test_time_scale(), 600);
	for (i = 0; i < 100 && counter("cow_ksm") == merged; i++)
		usleep(50000);
	for (i = 0; i < 2; i++)
		WAIT_FOR(READ(G(neighbour, g_laps[i])) > enough);
	ASSERT_EQ(kill(pid, SIGKILL), 0);
	ASSERT_EQ(waitpid(pid, NULL, 0), pid);
	laps = checking_end(neighbour, 2);
	merged = counter("cow_ksm") - merged;
	moved = counter("pgmigrate_success") - moved;
	split = counter("thp_split_pmd") - split;
	test_note("%lu merged pages written, %lu moved, %lu large ones split; %lu laps of the neighbour",
		  merged, moved, split, laps);
	/* The scanner looks twice at a page before it merges it: too long for a slow host. */
	if (test_time_scale() == 1)
		EXPECT_GT(merged, 0);
	EXPECT_GT(moved, 0);
}

TEST_SLOW(kill_9_in_turmoil, 100000)
{
	if (access(KSM "run", W_OK) || access(COMPACT, W_OK) || access(THP "enabled", W_OK))
		SKIP("no KSM, compaction or transparent huge pages");
	turmoil = true;
	write_file(KSM "pages_to_scan", "20000");
	write_file(KSM "sleep_millisecs", "1");
	write_file(THP "khugepaged/scan_sleep_millisecs", "1");
	write_file(THP "khugepaged/alloc_sleep_millisecs", "1");
	write_file(THP "khugepaged/pages_to_scan", "4096");
	accounted(kills_in_turmoil_loop);
	write_file(KSM "run", "2");
	write_file(KSM "run", "0");
	write_file(THP "enabled", "always");
}
