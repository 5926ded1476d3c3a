// SPDX-License-Identifier: GPL-2.0
/*
 * All ioctls on all kinds of fd, with arguments that are mostly right: two
 * threads that know nothing of each other, a third that writes into the run
 * pages and sends signals, children that inherit it all. Each errno must be
 * one that the ABI names for that call.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "fuzz.h"

#define NR_SYS		2
#define NR_VMS		3
#define NR_VCPUS	8
#define TRIES		24	/* of entries of the corpus */

/* Shared by the threads, on purpose without a lock: an fd may be gone, or another's. */
static volatile struct {
	int sys[NR_SYS], vm[NR_VMS], vcpu[NR_VCPUS];
	struct posada_run *run[NR_VCPUS];
	bool stop, child;
	u32 done;
} w;
static u64 calls, good;
/* By the module's own counters, and ours of the states written: do guests get to run? */
static struct {
	u64 states, refused, entries, hypercalls;
} guests;
/* What each thread does in an episode, and between two signals and looks, in microseconds. */
static u32 steps = 1500, rest = 1000;

/* ---- what may come back ---- */

static const u8 common[] = { EBADF, EFAULT, EINVAL, E2BIG, EINTR };

static bool listed(const u8 *list, u32 n, int err)
{
	while (n--)
		if (list[n] && list[n] == err)
			return true;
	return false;
}

static void check_error(const struct call *c, int err)
{
	if (listed(common, ARRAY_SIZE(common), err) ||
	    listed(c->errors, ARRAY_SIZE(c->errors), err))
		return;
	/* The number of an fd that was closed may be another's by now. */
	if (err == ENOTTY)
		return;
	if (w.child && err == EIO)
		return;
	fuzz_fail("ioctl %x: errno %d", c->nr, err);
}

/* ---- one call ---- */

static int some_fd(struct rnd *r, u8 kind)
{
	switch (kind) {
	case SYS:
		return RND_OF(r, w.sys);
	case VM:
		return RND_OF(r, w.vm);
	default:
		return RND_OF(r, w.vcpu);
	}
}

/* Mostly its sizeof(); or another, with or without something in the tail. */
static u32 some_size(struct rnd *r, const struct call *c, u8 *arg)
{
	switch (rnd_below(r, 16)) {
	case 0:
		return rnd_below(r, c->bytes + 1);
	case 1:
		return c->bytes + rnd_below(r, 4096 - c->bytes);
	case 2:
		arg[c->bytes + rnd_below(r, 64)] = rnd(r);
		return c->bytes + 64;
	case 3:
		return rnd_value(r);
	default:
		return c->bytes;
	}
}

static void replace(volatile int *at, int fd)
{
	int old = __atomic_exchange_n(at, fd, __ATOMIC_SEQ_CST);

	if (old >= 0)
		close(old);
}

static void count(u64 *n)
{
	__atomic_add_fetch(n, 1, __ATOMIC_RELAXED);
}

/* By the kernel, as the page may be gone. Not all have process_vm_writev(). */
static void poke(void *to, const void *from, size_t bytes)
{
	int fd = open("/proc/self/mem", O_WRONLY | O_CLOEXEC);

	ASSERT_GE(fd, 0);
	if (pwrite(fd, from, bytes, (off_t)to) < 0)
		errno = 0;
	close(fd);
}

/* Something to run. */
static void give_state(struct rnd *r, int fd)
{
	struct posada_regs regs;
	struct posada_sregs s;
	struct {
		struct posada_record head;
		struct posada_regs regs;
		struct posada_record head2;
		struct posada_sregs s;
		struct posada_record head3;
		struct posada_rec_mp mp;
	} rec = {
		.head = { POSADA_REC_REGS, 1, sizeof(regs) },
		.head2 = { POSADA_REC_SREGS, 1, sizeof(s) },
		.head3 = { POSADA_REC_MP, 1, sizeof(struct posada_rec_mp) },
	};
	struct posada_state a = {
		.size = sizeof(a), .flags = POSADA_STATE_WRITE, .buf = (u64)&rec,
		.bytes = sizeof(rec),
	};
	struct fuzz_call call;
	u32 i;

	fuzz_state(r, fuzz_mode(r), &rec.regs, &rec.s);
	if (rnd_one_in(r, 2)) {
		fuzz_hypercall(r, &call, &rec.regs, &rec.s);
		for (i = 1; i < 4; i += 2)
			poke(area[i] + FUZZ_CALL_GPA, &call, sizeof(call));
	}
	count(&guests.states);
	if (px(fd, POSADA_VCPU_STATE, &a))
		count(&guests.refused);
}

/* Nothing that was written into its run page is to spoil it. */
static void calm_run_page(int fd)
{
	u8 idle[16] = { 0 };
	u32 i;

	for (i = 0; i < NR_VCPUS; i++)
		if (w.vcpu[i] == fd && w.run[i])
			poke(w.run[i], idle, sizeof(idle));
}

/* ---- VMs and vCPUs: vCPU i is of VM i % NR_VMS ---- */

static void put_vm(u32 i, int fd)
{
	struct posada_stats st = { .size = sizeof(st) };
	int old = __atomic_exchange_n(&w.vm[i], fd, __ATOMIC_SEQ_CST);

	if (old < 0)
		return;
	if (!w.child && !px(old, POSADA_VM_STATS, &st)) {
		__atomic_add_fetch(&guests.entries, st.value[POSADA_STAT_ENTRIES], __ATOMIC_RELAXED);
		__atomic_add_fetch(&guests.hypercalls, st.value[POSADA_STAT_HYPERCALL],
				   __ATOMIC_RELAXED);
	}
	close(old);
}

static void put_vcpu(struct rnd *r, u32 i, int fd)
{
	void *run = mmap(NULL, POSADA_RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (run == MAP_FAILED)
		fuzz_fail("mmap of a run page: errno %d", errno);
	run = __atomic_exchange_n(&w.run[i], run, __ATOMIC_SEQ_CST);
	if (run)
		munmap(run, POSADA_RUN_BYTES);
	give_state(r, fd);
	replace(&w.vcpu[i], fd);
}

/* A VM with memory and vCPUs in place of VM @i. */
static void make_vm(struct rnd *r, u32 i)
{
	struct posada_vm_create vm = { .size = sizeof(vm) };
	struct posada_slot slot = { .size = sizeof(slot), .bytes = FUZZ_MEM_BYTES };
	struct posada_vcpu_create vcpu = { .size = sizeof(vcpu) };
	int fd = px(w.sys[0], POSADA_VM_CREATE, &vm), cpu;

	if (fd < 0)
		return;
	slot.flags = call_slot_flags(r);
	slot.hva = (u64)area[i & 1 ? 1 : 3];
	px(fd, POSADA_SLOT_SET, &slot);
	for (; vcpu.id * NR_VMS + i < NR_VCPUS; vcpu.id++) {
		cpu = px(fd, POSADA_VCPU_CREATE, &vcpu);
		if (cpu >= 0)
			put_vcpu(r, vcpu.id * NR_VMS + i, cpu);
	}
	put_vm(i, fd);
}

static void keep(struct rnd *r, const struct call *c, int on, int fd)
{
	u32 i, vm = 0;

	if (c->nr == POSADA_VM_CREATE)
		put_vm(rnd_below(r, NR_VMS), fd);
	if (c->nr != POSADA_VCPU_CREATE)
		return;
	while (vm < NR_VMS - 1 && w.vm[vm] != on)
		vm++;
	i = vm + NR_VMS * rnd_below(r, NR_VCPUS / NR_VMS);
	put_vcpu(r, i, fd);
}

/* A signal may come before the guest has run at all: go on, as a VMM does. */
static int run(struct rnd *r, int fd, void *arg)
{
	u32 tries = 1 + rnd_below(r, 4);
	int rc;

	if (rnd_one_in(r, 2))
		give_state(r, fd);
	if (!rnd_one_in(r, 8))
		calm_run_page(fd);
	do
		rc = px(fd, POSADA_RUN, arg);
	while (rc == -EINTR && --tries);
	return rc;
}

static void one_call(struct rnd *r)
{
	u64 buf[1024] = { 0 };
	const struct call *c = call_pick(r);
	int fd = some_fd(r, rnd_one_in(r, 32) ? rnd_below(r, 3) : c->kind), rc;
	void *arg = buf;

	if (c->fill)
		c->fill(r, buf);
	if (c->bytes)
		*(u32 *)buf = some_size(r, c, arg);
	else
		arg = rnd_one_in(r, 64) ? (void *)rnd_value(r) : NULL;
	if (c->bytes && rnd_one_in(r, 64))
		arg = (void *)rnd_value(r);
	if (c->bytes && rnd_one_in(r, 32))
		rnd_mutate(r, buf, c->bytes, 1);
	/* What a child makes itself is its own. */
	if (w.child && c->nr == POSADA_VM_CREATE)
		return;
	rc = c->nr == POSADA_RUN ? run(r, fd, arg) : px(fd, c->nr, arg);
	count(&calls);
	if (rc < 0) {
		check_error(c, -rc);
		return;
	}
	count(&good);
	if (w.child && !c->any_mm && c->nr != POSADA_IO(0x7f))
		fuzz_fail("ioctl %x works in a child", c->nr);
	call_note_stream(c->nr, (void *)buf);
	keep(r, c, fd, rc);
}

/* ---- all else that a process can do ---- */

static void fork_child(struct rnd *r)
{
	int status = 0, i;
	pid_t pid = fork();

	if (!pid) {
		w.child = true;
		for (i = 0; i < 20; i++)
			one_call(r);
		_exit(0);
	}
	if (pid < 0)
		return;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		fuzz_fail("a child ended with status %x", status);
}

static void other_thing(struct rnd *r)
{
	/* area[0] is where our own arguments are. */
	u8 *at = area[1 + rnd_below(r, NR_AREAS - 1)] + (rnd_below(r, (AREA_BYTES >> 12) - 8) << 12);
	u64 one = 1 + rnd_below(r, 3);
	u32 i;

	switch (rnd_below(r, 10)) {
	case 0:
		if (rnd_one_in(r, 4))
			replace(&RND_OF(r, w.vcpu), -1);
		break;
	case 1:
		/* Killed or closed, VMs do not last: most of them come again. */
		i = rnd_below(r, NR_VMS);
		if (rnd_one_in(r, 4))
			put_vm(i, -1);
		else if (!w.child)
			make_vm(r, i);
		break;
	case 2:
		replace(&RND_OF(r, event), eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
		break;
	case 3:
	case 4:
		if (write(RND_OF(r, event), &one, 8) < 0)
			one = 0;
		break;
	case 5:
		madvise(at, 4096 << rnd_below(r, 4), MADV_DONTNEED);
		break;
	case 6:
		mprotect(at, 4096, rnd_below(r, 4));
		break;
	case 7:
		mmap(at, 4096, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		break;
	case 8:
		i = rnd_below(r, NR_VCPUS);
		replace(&w.vcpu[i], dup(w.vcpu[i]));
		break;
	default:
		if (rnd_one_in(r, 8))
			fork_child(r);
	}
}

static void one_step(struct rnd *r)
{
	if (rnd_one_in(r, 6))
		other_thing(r);
	else
		one_call(r);
}

static void *done(void)
{
	/* As long as the pulse sends it signals. */
	__atomic_add_fetch(&w.done, 1, __ATOMIC_SEQ_CST);
	while (!w.stop)
		usleep(rest);
	return NULL;
}

/* What goes on beside. */
static void *worker(void *arg)
{
	u32 i;

	for (i = 0; i < steps; i++)
		one_step(arg);
	return done();
}

static void *guided_worker(void *arg)
{
	const struct path *path = arg;
	struct rnd r;
	u32 i;

	cover_enable(true);
	for (i = 0; i < path->steps; i++) {
		path_step(path, i, &r);
		cover_before();
		one_step(&r);
		cover_after(i);
	}
	cover_enable(false);
	return done();
}

/* Write where the kernel reads. */
static void scribble(struct rnd *r)
{
	u64 v = rnd_value(r);
	u32 at = rnd_one_in(r, 2) ? rnd_below(r, 6) * 4 : rnd_below(r, 624 / 4) * 4;
	u8 *run = (u8 *)RND_OF(r, w.run);

	/* What the request and masks may say, mostly. */
	if (at < 12 && !rnd_one_in(r, 4))
		v &= 0xf;
	if (run)
		poke(run + at, &v, 4);
}

struct pulse {
	struct rnd r;
	pthread_t worker[2];
	u32 workers;
};

static void *pulse(void *arg)
{
	struct pulse *p = arg;
	u32 i;

	while (!w.stop) {
		for (i = 0; i < 4; i++)
			scribble(&p->r);
		for (i = 0; i < p->workers; i++)
			pthread_kill(p->worker[i], SIGALRM);
		usleep(rest);
	}
	return NULL;
}

/* ---- episodes ---- */

static void open_world(struct rnd *r)
{
	u32 i;

	memset((void *)&w, 0, sizeof(w));
	for (i = 0; i < NR_SYS; i++)
		w.sys[i] = sys_open();
	for (i = 0; i < NR_VMS; i++)
		w.vm[i] = -1;
	for (i = 0; i < NR_VCPUS; i++)
		w.vcpu[i] = -1;
	for (i = 0; i < NR_EVENTS; i++)
		event[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (i = 0; i < NR_AREAS; i++) {
		int memfd = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS;

		if (i == 3) {
			memfd = memfd_create("fuzz", MFD_CLOEXEC);
			ASSERT_EQ(ftruncate(memfd, AREA_BYTES), 0);
			flags = MAP_SHARED;
		}
		area[i] = mmap(NULL, AREA_BYTES, PROT_READ | PROT_WRITE, flags, memfd, 0);
		ASSERT_TRUE(area[i] != MAP_FAILED);
		if (memfd >= 0)
			close(memfd);
	}
	fuzz_mem_fill(r, area[1], 4);
	fuzz_mem_fill(r, area[3], 4);
	for (i = 0; i < NR_VMS; i++) {
		make_vm(r, i);
		ASSERT_GE(w.vm[i], 0);
	}
	for (i = 0; i < NR_VCPUS; i++)
		ASSERT_GE(w.vcpu[i], 0);
}

static void close_world(void)
{
	u32 i;

	for (i = 0; i < NR_VCPUS; i++) {
		if (w.run[i])
			munmap(w.run[i], POSADA_RUN_BYTES);
		replace(&w.vcpu[i], -1);
	}
	for (i = 0; i < NR_VMS; i++)
		put_vm(i, -1);
	for (i = 0; i < NR_SYS; i++)
		replace(&w.sys[i], -1);
	for (i = 0; i < NR_EVENTS; i++)
		replace(&event[i], -1);
	for (i = 0; i < NR_AREAS; i++)
		munmap(area[i], AREA_BYTES);
}

static void on_signal(int nr)
{
	(void)nr;
}

/* @workers: 1 is the guided one alone. */
static void episode(struct rnd *r, u32 workers)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct pulse p;
	struct rnd own[2];
	const struct path *path;
	pthread_t beat;
	u32 i;

	sigaction(SIGALRM, &sa, NULL);
	open_world(r);
	rnd_fill(r, &p.r, sizeof(p.r));
	rnd_fill(r, own, sizeof(own));
	path = fuzz_path(&own[0], steps);
	p.workers = workers;
	ASSERT_EQ(pthread_create(&p.worker[0], NULL, guided_worker, (void *)path), 0);
	if (workers > 1)
		ASSERT_EQ(pthread_create(&p.worker[1], NULL, worker, &own[1]), 0);
	ASSERT_EQ(pthread_create(&beat, NULL, pulse, &p), 0);
	while (w.done < workers)
		usleep(rest);
	w.stop = true;
	ASSERT_EQ(pthread_join(beat, NULL), 0);
	for (i = 0; i < workers; i++)
		ASSERT_EQ(pthread_join(p.worker[i], NULL), 0);
	close_world();
}

static void tell_guests(void)
{
	test_note("guests: %llu entries and %llu hypercalls; %llu of %llu states refused",
		  (unsigned long long)guests.entries, (unsigned long long)guests.hypercalls,
		  (unsigned long long)guests.refused, (unsigned long long)guests.states);
	if (calls > 3000 && (!guests.entries || !guests.hypercalls))
		FAIL("no guest gets to make a hypercall");
}

/* A kernel with KCOV is slow: more episodes that coverage makes, fewer calls cut short. */
static bool begin_to_cover(void)
{
	if (!cover_begin())
		return false;
	steps = 300;
	rest = 20000;
	return true;
}

static void ioctls_loop(void)
{
	struct rnd r;

	begin_to_cover();
	fuzz_begin("ioctls", 20, 2, &calls, "calls");
	while (fuzz_next(&r))
		episode(&r, fuzz_alone() ? 1 : 2);
	fuzz_end();
	cover_end("ioctls");
	tell_guests();
	test_note("%llu of them succeeded", (unsigned long long)good);
	if (!good)
		FAIL("not one call succeeded");
}

TEST_SLOW(ioctls, 100000)
{
	accounted(ioctls_loop);
}

/* What made an entry of the corpus is reached by its few steps alone, beside nobody else. */
static void replays_loop(void)
{
	u32 found = 0, i;
	struct rnd r;

	fuzz_begin("replays", 1000, 1, &calls, "calls");
	fuzz_next(&r);
	episode(&r, 1);
	for (i = 0; i < TRIES && cover_try(i); i++) {
		rnd_seed(&r, i, 0);
		episode(&r, 1);
		found += cover_found();
	}
	test_note("%u of %u entries found what they found before", found, i);
	/* Beside its path it hangs on time and on what memory holds; by chance it is one or two. */
	if (found < TRIES / 4)
		FAIL("a replay is none");
}

TEST_SLOW(replays, 1000)
{
	if (!begin_to_cover())
		SKIP("no KCOV in this kernel");
	accounted(replays_loop);
}
