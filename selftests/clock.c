// SPDX-License-Identifier: GPL-2.0
/* The KVM-compatible clock, wall clock, steal time and poll control. */
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

#define MSR_WALL_CLOCK	0x4b564d00
#define MSR_SYSTEM_TIME	0x4b564d01
#define MSR_STEAL_TIME	0x4b564d03
#define MSR_POLL_CONTROL 0x4b564d05

struct pvclock {
	u32 version;
	u32 pad0;
	u64 tsc;
	u64 system_time;
	u32 mul;
	s8 shift;
	u8 flags;
	u8 pad[2];
} __attribute__((packed));

struct wall_clock {
	u32 version, sec, nsec;
};

struct steal_time {
	u64 steal;
	u32 version, flags;
	u8 preempted;
	u8 pad[47];
};

/* The 128-bit product is done by hand: there is no libgcc in the guest. */
static u64 scale(u64 delta, u32 mul, s8 shift)
{
	u64 hi;

	if (shift < 0)
		delta >>= -shift;
	else
		delta <<= shift;
	asm("mul %2" : "=d"(hi), "+a"(delta) : "r"((u64)mul) : "cc");
	/* (delta * mul) >> 32 */
	return hi << 32 | delta >> 32;
}

static u64 read_clock(const struct pvclock *c)
{
	u32 version;
	u64 ns;

	do {
		version = READ(c->version) & ~1U;
		asm volatile("lfence" : : : "memory");
		ns = c->system_time + scale(g_rdtsc() - c->tsc, c->mul, c->shift);
		asm volatile("lfence" : : : "memory");
	} while (READ(c->version) != version);
	return ns;
}

static u64 before, after;

static void guest_clock(void)
{
	struct pvclock *c = (void *)G_HEAP;
	u64 last = 0, now;
	u32 i;

	G_EXPECT_EQ(g_rdmsr(MSR_SYSTEM_TIME), 0);
	g_wrmsr(MSR_SYSTEM_TIME, G_HEAP | 1);
	G_EXPECT_EQ(g_rdmsr(MSR_SYSTEM_TIME), G_HEAP | 1);
	g_cpuid(0, 0);
	G_EXPECT_EQ(READ(c->version) & 1, 0);
	G_EXPECT_TRUE(READ(c->version) >= 2);
	G_EXPECT_TRUE(c->mul != 0);
	for (i = 0; i < 2000; i++) {
		now = read_clock(c);
		if (now < last)
			g_report(__FILE__, __LINE__, "clock goes back", last, now);
		last = now;
		if (i % 100 == 0)
			g_cpuid(0, 0);
	}
	before = read_clock(c);
	g_sync(1);
	after = read_clock(c);
	g_sync(2);
	/* Given up: nothing is written any more. */
	g_wrmsr(MSR_SYSTEM_TIME, 0);
	c->version = 0x77;
	g_sync(3);
	g_cpuid(0, 0);
	G_EXPECT_EQ(READ(c->version), 0x77);
}

static u64 host_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

TEST(system_time)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	struct timespec nap = { .tv_nsec = 50000000 };
	struct posada_rec_clock c;
	u64 start, slept;

	vcpu_start(v, guest_clock, 0);
	EXPECT_SYNC(v, 1);
	start = host_ns(CLOCK_MONOTONIC);
	nanosleep(&nap, NULL);
	slept = host_ns(CLOCK_MONOTONIC) - start;
	EXPECT_SYNC(v, 2);
	/* The guest's time went on by what the host's did; coarsely so here. */
	EXPECT_GE(G(vm, after) - G(vm, before), slept - slept / 50);
	EXPECT_LE(G(vm, after) - G(vm, before), slept + 500000000);
	/* And it is the clock of the VM's record. */
	ASSERT_EQ(rec_get(vm->fd, POSADA_VM_STATE, POSADA_REC_CLOCK, &c, sizeof(c), NULL), 0);
	EXPECT_GE(c.ns + 1000000, G(vm, after));
	EXPECT_LE(c.ns, G(vm, after) + 500000000);
	EXPECT_SYNC(v, 3);
	vcpu_done(v);
}

/* Set by the record, the guest's clock follows. */
TEST(clock_set)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	struct posada_rec_clock c;

	vcpu_start(v, guest_clock, 0);
	EXPECT_SYNC(v, 1);
	ASSERT_EQ(rec_get(vm->fd, POSADA_VM_STATE, POSADA_REC_CLOCK, &c, sizeof(c), NULL), 0);
	c.ns += 1000000000000;
	ASSERT_EQ(rec_set(vm->fd, POSADA_VM_STATE, POSADA_REC_CLOCK, &c, sizeof(c)), 0);
	EXPECT_SYNC(v, 2);
	EXPECT_GE(G(vm, after), c.ns);
	EXPECT_LE(G(vm, after), c.ns + 1000000000);
	EXPECT_SYNC(v, 3);
	vcpu_done(v);
}

/* Two vCPUs, one clock: neither is ever behind what the other has seen. */
static u64 latest;

static void guest_clocks(u64 n)
{
	u32 me = g_cpu()->id;
	struct pvclock *c = (void *)(G_HEAP + me * 64UL);
	u64 seen, now, i;

	g_wrmsr(MSR_SYSTEM_TIME, (u64)c | 1);
	g_cpuid(0, 0);
	for (i = 0; i < n; i++) {
		seen = READ(latest);
		asm volatile("lfence" : : : "memory");
		now = read_clock(c);
		/* Within what an unsynchronized emulated TSC makes of it. */
		if (now + 1000000 < seen)
			g_report(__FILE__, __LINE__, "behind the other vCPU", seen, now);
		while (now > seen &&
		       !__atomic_compare_exchange_n(&latest, &seen, now, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
	}
}

TEST(two_vcpus_one_clock)
{
	struct vm *vm = vm_new(2);
	u32 i;

	for (i = 0; i < 2; i++) {
		vcpu_start(vm->vcpu[i], guest_clocks, 20000);
		vcpu_go(vm->vcpu[i]);
	}
	for (i = 0; i < 2; i++)
		vcpu_join(vm->vcpu[i]);
}

static void guest_wall(void)
{
	struct wall_clock *w = (void *)G_HEAP;
	struct pvclock *c = (void *)(G_HEAP + 64);
	u64 ns;

	g_wrmsr(MSR_SYSTEM_TIME, (G_HEAP + 64) | 1);
	g_wrmsr(MSR_WALL_CLOCK, G_HEAP);
	g_cpuid(0, 0);
	G_EXPECT_EQ(w->version & 1, 0);
	G_EXPECT_TRUE(w->version != 0);
	/* Wall clock at the VM's start, and the time since. */
	ns = w->sec * 1000000000ULL + w->nsec + read_clock(c);
	g_sync((u32)(ns / 1000000000));
}

TEST(wall_clock)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 now;

	vcpu_start(v, guest_wall, 0);
	now = vcpu_sync(v);
	EXPECT_GE(now + 2, host_ns(CLOCK_REALTIME) / 1000000000);
	EXPECT_LE(now, host_ns(CLOCK_REALTIME) / 1000000000 + 2);
	vcpu_done(v);
}

/* ---- steal time ---- */

static void guest_steal(void)
{
	struct steal_time *s = (void *)G_HEAP;
	u64 until;

	G_EXPECT_EQ(g_try_wrmsr(MSR_STEAL_TIME, G_HEAP | 2), GP);
	g_wrmsr(MSR_STEAL_TIME, G_HEAP | 1);
	G_EXPECT_EQ(g_rdmsr(MSR_STEAL_TIME), G_HEAP | 1);
	g_cpuid(0, 0);
	G_EXPECT_EQ(READ(s->version) & 1, 0);
	G_EXPECT_EQ(READ(s->preempted), 0);
	g_sync(1);
	/* Compete with the other thread for the one CPU. */
	until = g_rdtsc() + g_cpuid(POSADA_CPUID_TIMING, 0).a * 300UL;
	while (g_rdtsc() < until)
		g_pause();
	g_cpuid(0, 0);
	G_EXPECT_EQ(READ(s->version) & 1, 0);
	g_sync(2);
}

static void *burn(void *arg)
{
	while (!READ(*(u32 *)arg))
		;
	return NULL;
}

TEST(steal_time)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	const struct steal_time *s = gpa_ptr(vm, G_HEAP);
	int cpu = sched_getcpu();
	cpu_set_t one;
	pthread_t t;
	u32 stop = 0;
	u64 stolen;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
	vcpu_start(v, guest_steal, 0);
	EXPECT_SYNC(v, 1);
	stolen = s->steal;
	ASSERT_EQ(pthread_create(&t, NULL, burn, &stop), 0);
	EXPECT_SYNC(v, 2);
	WRITE(stop, 1);
	pthread_join(t, NULL);
	/* Of 300 ms, about half; ask for a tenth. */
	EXPECT_GE(s->steal - stolen, 30000000);
	vcpu_done(v);
}

static void guest_poll(void)
{
	G_EXPECT_EQ(g_rdmsr(MSR_POLL_CONTROL), 1);
	g_wrmsr(MSR_POLL_CONTROL, 0);
	G_EXPECT_EQ(g_rdmsr(MSR_POLL_CONTROL), 0);
	G_EXPECT_EQ(g_try_wrmsr(MSR_POLL_CONTROL, 2), GP);
	g_wrmsr(MSR_POLL_CONTROL, 1);
	G_EXPECT_EQ(g_rdmsr(MSR_POLL_CONTROL), 1);
}

TEST(poll_control)
{
	struct vm *vm = vm_new(1);

	vcpu_start(vm->vcpu[0], guest_poll, 0);
	vcpu_done(vm->vcpu[0]);
}

/* A page of the clock's that goes away does no harm. */
static void guest_clock_gone(void)
{
	g_wrmsr(MSR_SYSTEM_TIME, 0x40000000 | 1);
	g_wrmsr(MSR_STEAL_TIME, 0x40000100 | 1);
	for (;;)
		g_sync(1);
}

TEST(memory_of_the_clock_gone)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u8 *mem = map_anon(4096);
	u32 i;

	slot_set(vm, 1, 0x40000000, mem, 4096, 0);
	vcpu_start(v, guest_clock_gone, 0);
	EXPECT_SYNC(v, 1);
	for (i = 0; i < 5; i++) {
		munmap(mem, 4096);
		EXPECT_SYNC(v, 1);
		sched_yield();
		ASSERT_TRUE(mmap(mem, 4096, PROT_READ | PROT_WRITE,
				 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == mem);
		EXPECT_SYNC(v, 1);
		slot_set(vm, 1, 0x40000000, mem, 4096, POSADA_SLOT_READONLY);
		EXPECT_SYNC(v, 1);
		slot_set(vm, 1, 0x40000000, mem, 4096, 0);
	}
}
