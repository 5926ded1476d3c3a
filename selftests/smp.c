// SPDX-License-Identifier: GPL-2.0
/* Many vCPUs, many threads: storms, races, and processes that die in the midst. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vm.h"

#define CPUS	4

/* ---- IPI storm: each to all others, each counts what it took ---- */

static u32 ready, sent[CPUS], taken[CPUS];
static u64 rounds;

static void on_storm(struct g_frame *f)
{
	(void)f;
	ADD(taken[g_cpu()->id], 1);
	g_eoi();
}

static void meet(u32 n)
{
	ADD(ready, 1);
	while (READ(ready) < n)
		g_pause();
}

/* Send, then wait until every other one has answered by taking it. */
static void guest_storm(u64 cpus)
{
	u32 me = g_cpu()->id, i;
	u64 round;

	g_apic_on();
	g_handlers[0x40] = on_storm;
	meet(cpus);
	g_sti();
	for (round = 1; round <= rounds; round++) {
		for (i = 0; i < cpus; i++) {
			if (i == me)
				continue;
			g_apic_write(APIC_ICR, ICR_DEST(i) | 0x40);
			ADD(sent[i], 1);
		}
		/* The same vector twice before it is taken is one: wait. */
		while (!READ(taken[me]))
			g_sti_hlt();
	}
	ADD(ready, 1);
	while (READ(ready) < 2 * cpus)
		g_pause();
}

TEST_SLOW(ipi_storm, 60)
{
	struct vm *vm;
	u32 i;

	rounds = 300;
	vm = vm_new(CPUS);
	for (i = 0; i < CPUS; i++) {
		vcpu_start(vm->vcpu[i], guest_storm, CPUS);
		vcpu_go(vm->vcpu[i]);
	}
	for (i = 0; i < CPUS; i++)
		vcpu_join(vm->vcpu[i]);
	for (i = 0; i < CPUS; i++) {
		EXPECT_GT(G(vm, taken[i]), 0);
		EXPECT_LE(G(vm, taken[i]), G(vm, sent[i]));
	}
	EXPECT_EQ(vm_stat(vm, POSADA_STAT_IPI), 300 * CPUS * (CPUS - 1));
}

/* A token goes round by IPIs, with all others asleep: none may be lost. */
static u32 token;

static void on_token(struct g_frame *f)
{
	(void)f;
	g_eoi();
}

static void guest_ring(u64 cpus)
{
	u32 me = g_cpu()->id;
	u64 i;

	g_apic_on();
	g_handlers[0x40] = on_token;
	meet(cpus);
	for (i = 0; i < rounds; i++) {
		for (;;) {
			g_cli();
			if (READ(token) == i * cpus + me)
				break;
			g_sti_hlt();
		}
		g_sti();
		WRITE(token, i * cpus + me + 1);
		g_apic_write(APIC_ICR, ICR_DEST((me + 1) % cpus) | 0x40);
	}
}

TEST_SLOW(token_ring, 60)
{
	struct vm *vm;
	u32 i;

	rounds = 200;
	vm = vm_new(CPUS);
	for (i = 0; i < CPUS; i++) {
		vcpu_start(vm->vcpu[i], guest_ring, CPUS);
		vcpu_go(vm->vcpu[i]);
	}
	for (i = 0; i < CPUS; i++)
		vcpu_join(vm->vcpu[i]);
	EXPECT_EQ(G(vm, token), 200 * CPUS);
}

/* ---- paravirtual calls between vCPUs ---- */

static s64 call(u64 nr, u64 a, u64 b, u64 c, u64 d)
{
	register u64 r10 asm("r10") = d;
	s64 rax = nr;

	asm volatile("call *%[page]" : "+a"(rax)
		     : [page] "m"(*(const u64[]){ G_SCRATCH }), "D"(a), "S"(b), "d"(c), "r"(r10)
		     : "memory");
	return rax;
}

static void guest_pv_wait(u64 cpus)
{
	g_apic_on();
	g_handlers[0x41] = on_storm;
	ADD(ready, 1);
	/* The check with interrupts off, or the last may slip in before HLT. */
	while (READ(taken[g_cpu()->id]) < 10) {
		g_sti_hlt();
		g_cli();
	}
	(void)cpus;
}

static void guest_pv_send(u64 cpus)
{
	u32 i, round;

	g_wrmsr(POSADA_MSR_HYPERCALL, G_SCRATCH | POSADA_MSR_HC_ENABLE);
	while (READ(ready) < cpus - 1)
		g_pause();
	for (round = 1; round <= 10; round++) {
		/* Bits 1-3 from id 0, then bits 0-2 from id 1: the same vCPUs. */
		G_EXPECT_EQ(call(POSADA_HC_SEND_IPI, round & 1 ? 0xe : 0x7, 0, !(round & 1), 0x41), 3);
		for (i = 1; i < cpus; i++)
			while (READ(taken[i]) < round)
				g_pause();
	}
}

TEST_SLOW(pv_ipi, 60)
{
	struct vm *vm = vm_new(CPUS);
	u32 i;

	for (i = 0; i < CPUS; i++) {
		vcpu_start(vm->vcpu[i], i ? guest_pv_wait : guest_pv_send, CPUS);
		vcpu_go(vm->vcpu[i]);
	}
	for (i = 0; i < CPUS; i++) {
		vcpu_join(vm->vcpu[i]);
		EXPECT_EQ(G(vm, taken[i]), i ? 10 : 0);
	}
}

/* KICK wakes HLT even with interrupts off, once. */
static void guest_pv_kicked(u64 cpus)
{
	u32 i;

	(void)cpus;
	for (i = 0; i < 10; i++) {
		WRITE(taken[1], i + 1);
		g_cli();
		g_hlt();
	}
	WRITE(taken[1], 100);
}

static void guest_pv_kicker(u64 cpus)
{
	(void)cpus;
	g_wrmsr(POSADA_MSR_HYPERCALL, G_SCRATCH | POSADA_MSR_HC_ENABLE);
	while (READ(taken[1]) < 100)
		G_EXPECT_EQ(call(POSADA_HC_KICK, 1, 0, 0, 0), 0);
}

TEST_SLOW(pv_kick, 60)
{
	struct vm *vm = vm_new(2);

	vcpu_start(vm->vcpu[1], guest_pv_kicked, 0);
	vcpu_go(vm->vcpu[1]);
	vcpu_start(vm->vcpu[0], guest_pv_kicker, 0);
	vcpu_done(vm->vcpu[0]);
	vcpu_join(vm->vcpu[1]);
}

/* A translation that vCPU 1 holds is gone after FLUSH_TLB from vCPU 0. */
static u32 phase;

static void guest_flush_reader(u64 gva)
{
	(void)READ(*(u32 *)gva);
	WRITE(phase, 1);
	while (READ(phase) != 2)
		g_pause();
	G_EXPECT_EQ(READ(*(u32 *)gva), 0x2222);
}

static void guest_flush_writer(u64 pte)
{
	g_wrmsr(POSADA_MSR_HYPERCALL, G_SCRATCH | POSADA_MSR_HC_ENABLE);
	while (READ(phase) != 1)
		g_pause();
	WRITE(*(u64 *)pte, (G_HEAP + 0x1000) | 0x67);
	G_EXPECT_EQ(call(POSADA_HC_FLUSH_TLB, 2, 0, 0, 0), 0);
	WRITE(phase, 2);
}

TEST_SLOW(pv_flush, 60)
{
	u32 i;

	for (i = 0; i < 20; i++) {
		struct vm *vm = vm_new(2);
		u64 *pd = gpa_ptr(vm, G_PD), *pt = gpa_ptr(vm, G_SPARE_TABLES);

		pt[0] = G_HEAP | 0x67;
		pd[512] = G_SPARE_TABLES | 0x67;
		*(u32 *)gpa_ptr(vm, G_HEAP) = 0x1111;
		*(u32 *)gpa_ptr(vm, G_HEAP + 0x1000) = 0x2222;
		vcpu_start(vm->vcpu[1], guest_flush_reader, 0x40000000);
		vcpu_go(vm->vcpu[1]);
		vcpu_start(vm->vcpu[0], guest_flush_writer, G_SPARE_TABLES);
		vcpu_done(vm->vcpu[0]);
		vcpu_join(vm->vcpu[1]);
		vm_free(vm);
	}
}

/* ---- sixty-four ---- */

static void guest_sign_in(void)
{
	ADD(ready, 1);
}

TEST_SLOW(sixty_four, 60)
{
	struct vm *vm = vm_new(POSADA_MAX_VCPUS);
	u32 i;

	for (i = 0; i < POSADA_MAX_VCPUS; i++) {
		vcpu_start(vm->vcpu[i], guest_sign_in, 0);
		vcpu_go(vm->vcpu[i]);
	}
	for (i = 0; i < POSADA_MAX_VCPUS; i++)
		vcpu_join(vm->vcpu[i]);
	EXPECT_EQ(G(vm, ready), POSADA_MAX_VCPUS);
}

/* ---- kicks against everything ---- */

static volatile bool over;

static void *kicker(void *arg)
{
	struct vm *vm = arg;
	u32 i;

	while (!over)
		for (i = 0; i < 2; i++)
			EXPECT_EQ(px(vm->vcpu[i]->fd, POSADA_KICK, NULL), 0);
	return NULL;
}

static void guest_sleepy(u64 n)
{
	u64 i;

	g_apic_on();
	g_handlers[0x50] = on_token;
	g_apic_write(APIC_LVT_TIMER, 0x40050);
	for (i = 0; i < n; i++) {
		g_wrmsr(MSR_TSC_DEADLINE, g_rdtsc() + 20000);
		g_sti_hlt();
		g_cli();
		g_sync(i);
	}
}

static void *run_through_kicks(void *arg)
{
	struct vcpu *v = arg;
	u32 next = 0;

	while (next < 200) {
		if (vcpu_exit(v) == POSADA_EXIT_KICK)
			continue;
		EXPECT_EQ(v->run->exit, POSADA_EXIT_PORT);
		EXPECT_EQ(v->run->port.data, next);
		next++;
	}
	return NULL;
}

TEST_SLOW(kick_race, 60)
{
	struct vm *vm = vm_new(2);
	pthread_t t[2], k;
	u32 i;

	for (i = 0; i < 2; i++) {
		vcpu_start(vm->vcpu[i], guest_sleepy, 200);
		ASSERT_EQ(pthread_create(&t[i], NULL, run_through_kicks, vm->vcpu[i]), 0);
	}
	ASSERT_EQ(pthread_create(&k, NULL, kicker, vm), 0);
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	over = true;
	pthread_join(k, NULL);
}

/* ---- STI, HLT, kicked in between: the interrupt that waits comes at the HLT ---- */

#define SHADOWS	8000

extern const char shadow_hlt[];
static u32 shadow_early, shadow_taken, shadow_masked;

static void on_shadow(struct g_frame *f)
{
	if (!(f->rflags & BIT(9))) {	/* IF */
		ADD(shadow_masked, 1);
		return;
	}
	ADD(shadow_taken, 1);
	/* Taken in STI's shadow: the HLT would never end. */
	if (f->rip == (u64)shadow_hlt) {
		ADD(shadow_early, 1);
		f->rip++;
	}
	g_eoi();
}

static void guest_shadow(void)
{
	u32 i;

	g_apic_on();
	g_handlers[0x40] = on_shadow;
	for (i = 0; i < SHADOWS; i++) {
		g_apic_write(APIC_SELF_IPI, 0x40);
		asm volatile("sti; shadow_hlt: hlt; cli" : : : "memory");
	}
	g_done(0);
}

/* One kick an entry: on a host that is slow to enter there would be none else. */
static void *kick_on(void *arg)
{
	struct vcpu *v = arg;
	u64 last = 0, now;

	while (!READ(v->result)) {
		now = vcpu_stat(v, POSADA_STAT_ENTRIES);
		if (now != last)
			px(v->fd, POSADA_KICK, NULL);
		last = now;
		sched_yield();
	}
	return NULL;
}

TEST_SLOW(shadow_kicked, 60)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	pthread_t thread;
	u32 exit;

	vcpu_start(v, guest_shadow, 0);
	v->result = 0;
	pthread_create(&thread, NULL, kick_on, v);
	do {
		exit = vcpu_exit(v);
	} while (exit == POSADA_EXIT_KICK);
	EXPECT_EQ(exit, POSADA_EXIT_PORT);
	v->result = 1;
	pthread_join(thread, NULL);
	EXPECT_EQ(G(vm, shadow_taken), SHADOWS);
	EXPECT_EQ(G(vm, shadow_early), 0);
	/*
	 * QEMU delivers what VMRUN injects once more, whatever IF says, when
	 * another CPU's kick comes at the wrong moment.
	 */
	if (!host_is_tcg())
		EXPECT_EQ(G(vm, shadow_masked), 0);
	vm_free(vm);
}

/* ---- ioctls against a running vCPU ---- */

static void guest_busy(u64 at)
{
	u64 i;

	for (;;)
		for (i = 0; i < 64; i++) {
			WRITE(*(u64 *)(at + i * 4096), i);
			if (i == 0)
				g_outl(0x80, 0);
		}
}

static void *run_until_over(void *arg)
{
	struct vcpu *v = arg;

	while (!over)
		if (vcpu_run(v) == 0 && v->run->exit == POSADA_EXIT_KILLED)
			break;
	return NULL;
}

#define AREA	0x40000000UL

static void *change_slots(void *arg)
{
	struct vm *vm = arg;
	u8 *mem = map_anon(64 * 4096);
	struct posada_slot s = {
		.size = sizeof(s), .slot = 1, .gpa = AREA, .hva = (u64)mem,
	};
	u32 i;

	for (i = 0; !over; i++) {
		s.bytes = i % 3 ? 64 * 4096 : 0;
		s.flags = i % 3 == 2 ? POSADA_SLOT_DIRTY_LOG : 0;
		px(vm->fd, POSADA_SLOT_SET, &s);
		if (i % 5 == 0)
			madvise(mem, 64 * 4096, MADV_DONTNEED);
	}
	return NULL;
}

static void *query(void *arg)
{
	static u8 buf[65536];
	struct vm *vm = arg;
	struct posada_state st = { .size = sizeof(st), .buf = (u64)buf, .bytes = sizeof(buf) };
	struct posada_translate t = { .size = sizeof(t), .flags = 1, .gva = 0x1000 };
	struct posada_stats stats = { .size = sizeof(stats) };
	struct posada_dirty_log d = {
		.size = sizeof(d), .slot = 1, .pages = 64, .bitmap = (u64)buf, .flags = 1,
	};

	while (!over) {
		px(vm->fd, POSADA_VM_STATS, &stats);
		px(vm->vcpu[0]->fd, POSADA_VCPU_STATE, &st);
		px(vm->vcpu[0]->fd, POSADA_TRANSLATE, &t);
		px(vm->fd, POSADA_DIRTY_LOG, &d);
		msi(vm, MSI_ADDR(0), 0x40);
	}
	return NULL;
}

TEST_SLOW(run_against_ioctls, 60)
{
	struct vm *vm = vm_new(1);
	struct timespec second = { .tv_sec = 2 };
	pthread_t t[4];
	u32 i;

	vcpu_start(vm->vcpu[0], guest_busy, AREA);
	ASSERT_EQ(pthread_create(&t[0], NULL, run_until_over, vm->vcpu[0]), 0);
	ASSERT_EQ(pthread_create(&t[1], NULL, change_slots, vm), 0);
	ASSERT_EQ(pthread_create(&t[2], NULL, query, vm), 0);
	/* For a time: what is looked for is in the host's log, and a hang. */
	nanosleep(&second, NULL);
	over = true;
	while (pthread_tryjoin_np(t[0], NULL))
		px(vm->vcpu[0]->fd, POSADA_KICK, NULL);
	for (i = 1; i < 3; i++)
		pthread_join(t[i], NULL);
	EXPECT_GT(vcpu_stat(vm->vcpu[0], POSADA_STAT_ENTRIES), 0);
}

/* ---- closing under a running vCPU ---- */

TEST(close_while_running)
{
	u32 i;

	for (i = 0; i < 20; i++) {
		struct vm *vm = vm_new(2);
		struct vcpu *a = vm->vcpu[0], *b = vm->vcpu[1];
		int fd = dup(a->fd);
		pthread_t t;

		over = false;
		vcpu_start(a, guest_busy, G_HEAP);
		vcpu_start(b, guest_busy, G_HEAP);
		ASSERT_EQ(pthread_create(&t, NULL, run_until_over, a), 0);
		WAIT_FOR(vcpu_stat(a, POSADA_STAT_ENTRIES) > 5);
		/* The other vCPU, the VM and the system fd go first. */
		close(b->fd);
		close(vm->fd);
		close(vm->sys);
		WAIT_FOR(vcpu_stat(a, POSADA_STAT_PORT) > 20);
		close(a->fd);	/* held by the ioctl that runs, and by the dup */
		a->fd = fd;
		over = true;
		while (pthread_tryjoin_np(t, NULL))
			px(fd, POSADA_KICK, NULL);
		munmap(a->run, 4096);
		munmap(b->run, 4096);
		close(fd);
		munmap(vm->mem, vm->bytes);
	}
}

/* ---- kill -9 ---- */

static void victim(u32 n)
{
	struct vm *vm = vm_new(3);
	int fd = eventfd(0, 0);
	struct posada_irqfd irq = {
		.size = sizeof(irq), .fd = fd, .addr = MSI_ADDR(0), .data = 0x40,
	};
	u32 i;

	px(vm->fd, POSADA_IRQFD, &irq);
	vcpu_start(vm->vcpu[0], guest_busy, G_HEAP);
	vcpu_start(vm->vcpu[1], guest_sleepy, 1 << 30);
	vcpu_start(vm->vcpu[2], guest_ring, 2);	/* waits for ever */
	for (i = 0; i < 3; i++) {
		pthread_t t;

		pthread_create(&t, NULL, run_until_over, vm->vcpu[i]);
	}
	for (;;)
		if (n & 1)
			madvise(vm->mem + G_HEAP, 64 * 4096, MADV_DONTNEED);
		else
			pause();
}

TEST_SLOW(kill_9, 60)
{
	struct timespec wait = {};
	int status;
	pid_t pid;
	u32 i;

	for (i = 0; i < 30; i++) {
		pid = fork();
		ASSERT_GE(pid, 0);
		if (pid == 0)
			victim(i);
		/* From before the VM is there to well into its run. */
		wait.tv_nsec = i * 2000000;
		nanosleep(&wait, NULL);
		ASSERT_EQ(kill(pid, SIGKILL), 0);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}

/* exec() drops the fds and the memory under them. */
TEST(exec_drops_all)
{
	int status;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (pid == 0) {
		struct vm *vm = vm_new(1);

		vcpu_start(vm->vcpu[0], guest_sign_in, 0);
		vcpu_done(vm->vcpu[0]);
		execl("/proc/self/exe", "smp", "-l", "none", NULL);
		_exit(99);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

/* ---- VMs by the dozen ---- */

TEST_SLOW(create_and_destroy, 60)
{
	u32 i;

	for (i = 0; i < 200; i++) {
		struct vm *vm = vm_empty(0);
		struct vcpu *v = vcpu_add(vm, i % POSADA_MAX_VCPUS);

		if (i & 1)
			vcpu_close(v);
		vm_free(vm);
	}
}

/* All alive at once; each runs. */
TEST_SLOW(many_vms, 60)
{
	struct vm *vm[24];
	u32 i, round;

	for (i = 0; i < ARRAY_SIZE(vm); i++) {
		vm[i] = vm_new(1);
		vcpu_start(vm[i]->vcpu[0], guest_ring, 1);
		G(vm[i], rounds) = i + 1;
	}
	for (round = 0; round < 1; round++)
		for (i = 0; i < ARRAY_SIZE(vm); i++) {
			vcpu_done(vm[i]->vcpu[0]);
			EXPECT_EQ(G(vm[i], token), i + 1);
		}
}

/* The token test with one vCPU: it sends to itself. The VM's address spaces
 * (ASIDs) are reused meanwhile: what one guest has mapped the next must not see.
 */
static void guest_asid(u64 value)
{
	G_EXPECT_EQ(READ(*(u64 *)G_HEAP), value);
	for (;;) {
		g_sync(1);
		G_EXPECT_EQ(READ(*(u64 *)G_HEAP), value);
	}
}

TEST(translations_are_kept_apart)
{
	struct vm *vm[12];
	u32 i, round;

	for (i = 0; i < ARRAY_SIZE(vm); i++) {
		vm[i] = vm_new(1);
		*(u64 *)gpa_ptr(vm[i], G_HEAP) = 0x1000 + i;
		vcpu_start(vm[i]->vcpu[0], guest_asid, 0x1000 + i);
	}
	for (round = 0; round < 20; round++)
		for (i = 0; i < ARRAY_SIZE(vm); i++)
			EXPECT_SYNC(vm[i]->vcpu[0], 1);
}
