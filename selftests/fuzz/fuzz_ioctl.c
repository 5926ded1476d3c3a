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
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define NR_SYS		2
#define NR_VMS		3
#define NR_VCPUS	8
#define NR_EVENTS	4
#define NR_AREAS	5
#define AREA_BYTES	(2UL << 20)
#define NR_STREAMS	4	/* of state, in area[0] */
#define STREAM_BYTES	32768

/* Shared by the threads, on purpose without a lock: an fd may be gone, or another's. */
static volatile struct {
	int sys[NR_SYS], vm[NR_VMS], vcpu[NR_VCPUS], event[NR_EVENTS];
	struct posada_run *run[NR_VCPUS];
	bool stop, child;
	u32 done;
} w;
static u8 *area[NR_AREAS];
static u64 calls, good;
/* By the module's own counters, and ours of the states written: do guests get to run? */
static struct {
	u64 states, refused, entries, hypercalls;
} guests;
/* What each thread does in an episode, and between two signals and looks, in microseconds. */
static u32 steps = 1500, rest = 1000;
/* What was read last; at first all zero. */
static u32 stream_bytes[NR_STREAMS];

/* ---- what may come back ---- */

enum kind { SYS, VM, VCPU };

struct call {
	u32 nr;
	u16 bytes;		/* of its struct */
	u8 kind;
	bool any_mm;		/* not for the creator's address space alone */
	u8 weight;
	u8 errors[8];		/* besides those that any call may have */
	void (*fill)(struct rnd *r, void *arg);
};

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

/* ---- arguments ---- */

static u64 some_hva(struct rnd *r)
{
	if (rnd_one_in(r, 8))
		return rnd_value(r);
	return (u64)RND_OF(r, area) + (rnd_below(r, AREA_BYTES >> 12) << 12);
}

static void fill_vm_create(struct rnd *r, void *arg)
{
	struct posada_vm_create *a = arg;

	a->flags = rnd_below(r, 2);
	a->backend = rnd_one_in(r, 4) ? rnd_below(r, 6) : POSADA_BACKEND_ANY;
}

static void fill_vcpu_create(struct rnd *r, void *arg)
{
	((struct posada_vcpu_create *)arg)->id = rnd_one_in(r, 16) ? rnd_value(r) : rnd_below(r, 6);
}

/* No CPU walks tables in memory that is read-only. */
static u32 some_slot_flags(struct rnd *r)
{
	return rnd_one_in(r, 8) ? rnd_below(r, 4) : rnd_below(r, 2) * POSADA_SLOT_DIRTY_LOG;
}

static void fill_slot(struct rnd *r, void *arg)
{
	struct posada_slot *a = arg;

	/* Mostly beside slot 0, which guests run from, or as it was. */
	a->flags = some_slot_flags(r);
	if (rnd_one_in(r, 4)) {
		a->bytes = FUZZ_MEM_BYTES;
		a->hva = (u64)area[rnd_one_in(r, 2) ? 1 : 3];
		return;
	}
	a->slot = rnd_one_in(r, 16) ? rnd_value(r) : !rnd_one_in(r, 8) + rnd_below(r, 3);
	a->gpa = rnd_below(r, 8) * AREA_BYTES / 2 + rnd_below(r, 4) * 4096;
	a->bytes = rnd_one_in(r, 4) ? 0 : rnd_below(r, 512) * 4096;
	a->hva = some_hva(r);
	if (rnd_one_in(r, 8))
		rnd_mutate(r, &a->gpa, 24, 1);
}

static void fill_log(struct rnd *r, void *arg)
{
	struct posada_dirty_log *a = arg;

	a->flags = rnd_below(r, 2);
	a->slot = rnd_below(r, 5);
	a->first = rnd_below(r, 8) * 64;
	a->pages = rnd_one_in(r, 4) ? rnd_value(r) : rnd_below(r, 9) * 64;
	a->bitmap = rnd_one_in(r, 8) ? rnd_value(r) : (u64)area[0] + rnd_below(r, AREA_BYTES);
}

static void fill_msi(struct rnd *r, void *arg)
{
	struct posada_msi *a = arg;

	a->addr = rnd_one_in(r, 8) ? rnd_value(r) : 0xfee00000 | (rnd(r) & 0xfffff);
	a->data = rnd(r) & 0xffff;
}

static void fill_irqfd(struct rnd *r, void *arg)
{
	struct posada_irqfd *a = arg;

	a->flags = rnd_one_in(r, 3);
	a->fd = rnd_one_in(r, 16) ? (s32)rnd_value(r) : RND_OF(r, w.event);
	a->addr = 0xfee00000 | (rnd(r) & 0xff00c);
	a->data = rnd(r) & 0x1ff;
}

static void fill_doorbell(struct rnd *r, void *arg)
{
	struct posada_doorbell *a = arg;

	a->flags = rnd_below(r, 4);
	a->kind = rnd_below(r, 4);
	a->fd = RND_OF(r, w.event);
	a->addr = rnd_one_in(r, 16) ? rnd_value(r) : rnd_below(r, 4);
	a->len = rnd_one_in(r, 2) ? 1U << rnd_below(r, 4) : 0;
	a->match = rnd_one_in(r, 2) ? rnd_below(r, 3) : 0;
}

/* A VM's streams come first, then the vCPUs'. */
static void fill_state(struct rnd *r, struct posada_state *a, u32 nr)
{
	u32 bytes = READ(stream_bytes[nr]);

	/* A write takes what an earlier read has left there, with some change. */
	a->flags = rnd_below(r, 4);
	a->buf = (u64)area[0] + nr * STREAM_BYTES;
	a->bytes = a->flags & POSADA_STATE_WRITE && bytes ? bytes : STREAM_BYTES;
	if (rnd_one_in(r, 8))
		a->bytes = rnd_value(r);
	a->mask = rnd_one_in(r, 2) ? 0 : rnd(r) & rnd(r);
	if (a->flags & POSADA_STATE_WRITE)
		rnd_mutate(r, (void *)a->buf, bytes ? bytes : STREAM_BYTES, rnd_below(r, 3));
	if (rnd_one_in(r, 16))
		a->buf = rnd_value(r);
}

static void fill_vm_state(struct rnd *r, void *arg)
{
	fill_state(r, arg, rnd_below(r, NR_STREAMS / 2));
}

static void fill_vcpu_state(struct rnd *r, void *arg)
{
	fill_state(r, arg, NR_STREAMS / 2 + rnd_below(r, NR_STREAMS / 2));
}

/* Note how long the stream is that was read. */
static void note_stream(u32 nr, const struct posada_state *a)
{
	u64 at = a->buf - (u64)area[0];

	if ((nr == POSADA_VM_STATE || nr == POSADA_VCPU_STATE) && !a->flags &&
	    at < NR_STREAMS * STREAM_BYTES)
		WRITE(stream_bytes[at / STREAM_BYTES], a->used);
}

static void fill_inject(struct rnd *r, void *arg)
{
	struct posada_inject *a = arg;

	a->flags = rnd_below(r, 2);
	/* INIT leaves nothing to run. */
	a->kind = rnd_below(r, rnd_one_in(r, 4) ? 5 : POSADA_INJECT_INIT);
	a->vector = rnd_below(r, 40);
	a->error_code = rnd(r);
	a->payload = rnd_value(r);
}

static void fill_apic(struct rnd *r, void *arg)
{
	struct posada_apic_reg *a = arg;

	a->flags = rnd_below(r, 2);
	a->offset = rnd_one_in(r, 8) ? rnd_value(r) : rnd_below(r, 256) * 16;
	a->value = rnd_value(r);
}

static void fill_debug(struct rnd *r, void *arg)
{
	struct posada_debug *a = arg;

	a->flags = rnd_below(r, 8);
	rnd_mutate(r, a->dr, sizeof(a->dr), 2);
	a->dr7 = rnd(r) & 0xffff07ff;
}

static void fill_translate(struct rnd *r, void *arg)
{
	struct posada_translate *a = arg;

	a->flags = rnd_below(r, 16);
	a->gva = rnd_one_in(r, 2) ? rnd_value(r) : rnd_gpa(r, FUZZ_MEM_BYTES);
}

static const struct call table[] = {
	{ POSADA_INFO, sizeof(struct posada_info), SYS, .any_mm = true, .weight = 1 },
	{ POSADA_VM_CREATE, sizeof(struct posada_vm_create), SYS, .any_mm = true, .weight = 1,
	  .errors = { ENODEV }, .fill = fill_vm_create },
	{ POSADA_VCPU_CREATE, sizeof(struct posada_vcpu_create), VM, .weight = 3,
	  .errors = { EEXIST }, .fill = fill_vcpu_create },
	{ POSADA_SLOT_SET, sizeof(struct posada_slot), VM, .weight = 8,
	  .errors = { EEXIST, ENOENT }, .fill = fill_slot },
	{ POSADA_DIRTY_LOG, sizeof(struct posada_dirty_log), VM, .weight = 6,
	  .errors = { ENOENT, ENODATA }, .fill = fill_log },
	{ POSADA_MSI, sizeof(struct posada_msi), VM, .weight = 6, .fill = fill_msi },
	{ POSADA_IRQFD, sizeof(struct posada_irqfd), VM, .weight = 6,
	  .errors = { EBUSY, ENOENT }, .fill = fill_irqfd },
	{ POSADA_DOORBELL, sizeof(struct posada_doorbell), VM, .weight = 6,
	  .errors = { EEXIST, ENOSPC, ENOENT, EOPNOTSUPP }, .fill = fill_doorbell },
	{ POSADA_VM_STATE, sizeof(struct posada_state), VM, .weight = 4,
	  .errors = { ENOSPC, EOPNOTSUPP, EBUSY }, .fill = fill_vm_state },
	{ POSADA_VM_STATS, sizeof(struct posada_stats), VM, .any_mm = true, .weight = 2 },
	{ POSADA_RUN, 0, VCPU, .weight = 8 },
	{ POSADA_KICK, 0, VCPU, .any_mm = true, .weight = 1 },
	{ POSADA_VCPU_STATE, sizeof(struct posada_state), VCPU, .weight = 8,
	  .errors = { ENOSPC, EOPNOTSUPP }, .fill = fill_vcpu_state },
	{ POSADA_INJECT, sizeof(struct posada_inject), VCPU, .weight = 4,
	  .errors = { EBUSY }, .fill = fill_inject },
	{ POSADA_APIC, sizeof(struct posada_apic_reg), VCPU, .weight = 6,
	  .errors = { ENXIO }, .fill = fill_apic },
	{ POSADA_DEBUG, sizeof(struct posada_debug), VCPU, .weight = 3, .fill = fill_debug },
	{ POSADA_TRANSLATE, sizeof(struct posada_translate), VCPU, .weight = 4,
	  .errors = { ENXIO }, .fill = fill_translate },
	{ POSADA_VCPU_STATS, sizeof(struct posada_stats), VCPU, .any_mm = true, .weight = 2 },
	/* No such call. */
	{ POSADA_IO(0x7f), 16, VM, .any_mm = true, .weight = 1 },
};

static const struct call *pick(struct rnd *r)
{
	u32 i, at = 0;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		at += table[i].weight;
	at = rnd_below(r, at);
	for (i = 0; at >= table[i].weight; i++)
		at -= table[i].weight;
	return &table[i];
}

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

/* ---- one call ---- */

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

/* By the kernel: the page may be gone, or not to be written. */
static void poke(void *to, void *from, size_t bytes)
{
	struct iovec source = { from, bytes };
	struct iovec target = { to, bytes };

	process_vm_writev(getpid(), &source, 1, &target, 1, 0);
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
	slot.flags = some_slot_flags(r);
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
	const struct call *c = pick(r);
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
	note_stream(c->nr, (void *)buf);
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
		replace(&RND_OF(r, w.event), eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
		break;
	case 3:
	case 4:
		if (write(RND_OF(r, w.event), &one, 8) < 0)
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

static void *worker(void *arg)
{
	u32 i;

	for (i = 0; i < steps; i++)
		one_step(arg);
	return done();
}

static void *looked_at_worker(void *arg)
{
	u32 i;

	cover_enable(true);
	for (i = 0; i < steps; i++) {
		cover_before();
		one_step(arg);
		cover_after();
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
		w.event[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
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
		replace(&w.event[i], -1);
	for (i = 0; i < NR_AREAS; i++)
		munmap(area[i], AREA_BYTES);
}

static void on_signal(int nr)
{
	(void)nr;
}

static void episode(struct rnd *r)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct pulse p;
	struct rnd own[2];
	pthread_t beat;
	u32 i;

	sigaction(SIGALRM, &sa, NULL);
	open_world(r);
	rnd_fill(r, &p.r, sizeof(p.r));
	rnd_fill(r, own, sizeof(own));
	p.workers = fuzz_alone() ? 1 : 2;
	ASSERT_EQ(pthread_create(&p.worker[0], NULL, looked_at_worker, &own[0]), 0);
	if (!fuzz_alone())
		ASSERT_EQ(pthread_create(&p.worker[1], NULL, worker, &own[1]), 0);
	ASSERT_EQ(pthread_create(&beat, NULL, pulse, &p), 0);
	while (w.done < p.workers)
		usleep(rest);
	w.stop = true;
	ASSERT_EQ(pthread_join(beat, NULL), 0);
	for (i = 0; i < p.workers; i++)
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

static void ioctls_loop(void)
{
	struct rnd r;

	/* A kernel with KCOV is slow: it would do little else than take signals. */
	if (cover_begin()) {
		steps = 300;
		rest = 20000;
	}
	fuzz_begin("ioctls", 20, 2, &calls, "calls");
	while (fuzz_next(&r))
		episode(&r);
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
