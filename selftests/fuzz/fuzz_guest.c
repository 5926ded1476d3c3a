// SPDX-License-Identifier: GPL-2.0
/*
 * Hostile guests, several vCPUs each: what they run is noise that knows of
 * CPUID, MSRs, ports, hypercalls, IPIs, and of its own tables and descriptors.
 * What lies around their memory in this process stays as it was, and a
 * neighbour VM goes on with what it does.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define MAX_VCPUS	4
#define CANARY		(64 << 10)	/* bytes on each side of a guest's memory */
#define EXITS		400		/* that each vCPU may make in an episode */
#define EPISODE_MS	60

static u64 phys_limit, exits, kills;
static volatile bool stop;

/* ---- the neighbour ---- */

static struct vm *neighbour;
static volatile bool over;
static volatile u64 rounds;

#define WORDS	4096

static u64 pattern(u64 round, u64 i)
{
	return (round + 1) * 0x9e3779b97f4a7c15 ^ i << 32 ^ i;
}

static void guest_neighbour(void)
{
	volatile u64 *p = (u64 *)G_HEAP;
	u64 n, i;

	for (n = 0;; n++) {
		for (i = 0; i < WORDS; i++) {
			if (n && p[i] != pattern(n - 1, i))
				g_report(__FILE__, __LINE__, "the neighbour's memory", i, p[i]);
			p[i] = pattern(n, i);
		}
		g_sync(n);
	}
}

static void *run_neighbour(void *arg)
{
	struct vcpu *v = neighbour->vcpu[0];

	while (!over) {
		if (vcpu_sync(v) != (u32)rounds)
			fuzz_fail("the neighbour lost its place");
		rounds++;
		usleep(2000);
	}
	return arg;
}

/* ---- memory with a canary on both sides ---- */

static u8 *map_between(void)
{
	u8 *at = map_anon(FUZZ_MEM_BYTES + 2 * CANARY);
	u64 i;

	for (i = 0; i < CANARY; i += 8) {
		*(u64 *)(at + i) = pattern(i, 1);
		*(u64 *)(at + CANARY + FUZZ_MEM_BYTES + i) = pattern(i, 2);
	}
	return at + CANARY;
}

static void check_and_unmap(u8 *mem)
{
	u64 i;

	for (i = 0; i < CANARY; i += 8)
		if (*(u64 *)(mem - CANARY + i) != pattern(i, 1) ||
		    *(u64 *)(mem + FUZZ_MEM_BYTES + i) != pattern(i, 2))
			fuzz_fail("a guest wrote outside of its memory, near %llx",
				  (unsigned long long)i);
	munmap(mem - CANARY, FUZZ_MEM_BYTES + 2 * CANARY);
}

/* ---- the hostile ---- */

struct runner {
	struct vcpu *v;
	struct rnd r;
};

static void *run_hostile(void *arg)
{
	struct runner *me = arg;
	struct vcpu *v = me->v;
	u32 i;
	int rc;

	for (i = 0; i < EXITS && !stop; i++) {
		rc = vcpu_run(v);
		fuzz_check_exit(v, rc, phys_limit);
		__atomic_add_fetch(&exits, 1, __ATOMIC_RELAXED);
		if (rc == -EINVAL)	/* a wrong answer of ours */
			v->run->dirty = 0;
		if (rc)
			continue;
		if (v->run->exit == POSADA_EXIT_KILLED) {
			__atomic_add_fetch(&kills, 1, __ATOMIC_RELAXED);
			break;
		}
		if (v->run->exit == POSADA_EXIT_SHUTDOWN ||
		    (v->run->exit == POSADA_EXIT_KICK && rnd_one_in(&me->r, 2))) {
			fuzz_state(&me->r, fuzz_mode(&me->r), &v->run->regs, &v->run->sregs);
			v->run->dirty = POSADA_GROUP_REGS | POSADA_GROUP_SREGS;
			continue;
		}
		fuzz_answer_exit(&me->r, v);
	}
	return NULL;
}

static void set_up(struct rnd *r, struct vcpu *v)
{
	fuzz_state(r, fuzz_mode(r), &v->run->regs, &v->run->sregs);
	v->run->dirty = POSADA_GROUP_REGS | POSADA_GROUP_SREGS;
	v->run->wanted = rnd_one_in(r, 2) ? POSADA_GROUP_REGS : POSADA_GROUP_ALL;
	if (v->id && !rnd_one_in(r, 4))
		vcpu_set_mp(v, POSADA_MP_RUNNABLE);
}

/* What a VMM does to running vCPUs: interrupts, NMIs, pages that go away. */
static void stir(struct rnd *r, struct vm *vm, u32 vcpus)
{
	struct posada_inject in = { .size = sizeof(in), .kind = rnd_below(r, 4) };
	struct vcpu *v = vm->vcpu[rnd_below(r, vcpus)];

	switch (rnd_below(r, 6)) {
	case 0:
		in.vector = in.kind == POSADA_INJECT_EXCEPTION ? GP : rnd_below(r, 256);
		/* Those that wait for the vCPU's lock could wait for ever. */
		if (in.kind == POSADA_INJECT_NMI || in.kind == POSADA_INJECT_INIT)
			px(v->fd, POSADA_INJECT, &in);
		break;
	case 1:
		msi(vm, MSI_ADDR(rnd_below(r, 6)) | (rnd(r) & 0xc), rnd(r) & 0x7ff);
		break;
	case 2:
		madvise(vm->mem + rnd_below(r, FUZZ_MEM_BYTES >> 12) * 4096, 4096, MADV_DONTNEED);
		break;
	case 3:
		px(v->fd, POSADA_KICK, NULL);
		break;
	case 4:
		fuzz_code(r, vm->mem + 0x10000, vm->mem + 0x10100);
		break;
	default:
		sched_yield();
	}
}

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void episode(struct rnd *r)
{
	u32 i, vcpus = 1 + rnd_below(r, MAX_VCPUS);
	struct runner runner[MAX_VCPUS];
	struct vm *vm = vm_empty(rnd_below(r, 2));
	u8 *mem = map_between();
	u64 until;

	stop = false;
	vm->bytes = FUZZ_MEM_BYTES;
	vm->mem = mem;
	fuzz_mem_fill(r, vm->mem, rnd_below(r, 16));
	slot_set(vm, 0, 0, vm->mem, vm->bytes, rnd_one_in(r, 4) ? POSADA_SLOT_DIRTY_LOG : 0);
	for (i = 0; i < vcpus; i++) {
		runner[i].v = vcpu_add(vm, i);
		rnd_fill(r, &runner[i].r, sizeof(runner[i].r));
		set_up(r, runner[i].v);
	}
	until = now_ms() + EPISODE_MS;
	for (i = 0; i < vcpus; i++)
		ASSERT_EQ(pthread_create(&runner[i].v->thread, NULL, run_hostile, &runner[i]), 0);
	while (now_ms() < until) {
		stir(r, vm, vcpus);
		usleep(200);
	}
	stop = true;
	for (i = 0; i < vcpus; i++)
		px(runner[i].v->fd, POSADA_KICK, NULL);
	for (i = 0; i < vcpus; i++)
		ASSERT_EQ(pthread_join(runner[i].v->thread, NULL), 0);
	vm->mem = NULL;
	vm_free(vm);
	check_and_unmap(mem);
}

static void guests_loop(void)
{
	pthread_t beside;
	struct rnd r;
	u64 before;

	neighbour = vm_new(1);
	phys_limit = BIT(sys_info(neighbour->sys).phys_bits);
	vcpu_start(neighbour->vcpu[0], guest_neighbour, 0);
	fuzz_begin("guests", 20, 30, &exits, "exits");
	ASSERT_EQ(pthread_create(&beside, NULL, run_neighbour, NULL), 0);
	while (fuzz_next(&r))
		episode(&r);
	before = rounds;
	WAIT_FOR(rounds > before + 2);
	over = true;
	pthread_join(beside, NULL);
	vm_free(neighbour);
	fuzz_end();
	test_note("%llu vCPUs killed; the neighbour made %llu rounds", (unsigned long long)kills,
		  (unsigned long long)rounds);
	if (!exits)
		FAIL("nothing ran");
}

TEST_SLOW(guests, 100000)
{
	accounted(guests_loop);
}
