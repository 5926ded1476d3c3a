// SPDX-License-Identifier: GPL-2.0
/* The run page: groups, requests, signals, and registers that no CPU has. */
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "vm.h"

static void guest_syncs(u64 n)
{
	u64 i;

	for (i = 0; i < n; i++)
		g_sync(i);
}

static struct vcpu *start(u64 n)
{
	struct vm *vm = vm_new(1);

	vcpu_start(vm->vcpu[0], guest_syncs, n);
	return vm->vcpu[0];
}

/* ---- groups ---- */

TEST(wanted_and_valid)
{
	struct vcpu *v = start(40);
	u32 wanted;

	for (wanted = 0; wanted <= POSADA_GROUP_ALL; wanted++) {
		v->run->wanted = wanted;
		EXPECT_SYNC(v, wanted);
		EXPECT_EQ(v->run->valid & wanted, wanted);
		EXPECT_EQ(v->run->wanted, wanted);
		EXPECT_EQ(v->run->dirty, 0);
	}
}

/* A group not wanted is left alone, and one not dirty is not read. */
TEST(not_wanted_not_touched)
{
	struct vcpu *v = start(10);
	struct posada_sregs before;

	EXPECT_SYNC(v, 0);
	before = v->run->sregs;
	v->run->wanted = POSADA_GROUP_REGS;
	memset(&v->run->sregs, 0xa5, sizeof(v->run->sregs));
	memset(&v->run->events, 0xa5, sizeof(v->run->events));
	memset(&v->run->dregs, 0xa5, sizeof(v->run->dregs));
	EXPECT_SYNC(v, 1);
	EXPECT_EQ(v->run->valid & ~POSADA_GROUP_REGS, 0);
	EXPECT_EQ(v->run->sregs.cr3, 0xa5a5a5a5a5a5a5a5);
	EXPECT_EQ(v->run->dregs.dr7, 0xa5a5a5a5a5a5a5a5);
	v->run->wanted = POSADA_GROUP_ALL;
	EXPECT_SYNC(v, 2);
	EXPECT_EQ(memcmp(&v->run->sregs, &before, sizeof(before)), 0);
}

/* What was set comes back the same, with nothing run in between. */
TEST(dirty_round_trip)
{
	struct vcpu *v = start(10);
	struct posada_run *run = v->run;
	struct posada_run set;
	int i;

	EXPECT_SYNC(v, 0);
	for (i = 0; i < POSADA_NR_REGS; i++)
		if (i != POSADA_RSP && i != POSADA_RDI)
			run->regs.gpr[i] = 0x1111111111111111ULL * i;
	run->sregs.cr2 = 0xffff888000001234;
	run->sregs.seg[POSADA_FS].base = 0x00007fffffff1000;
	run->sregs.seg[POSADA_GS].base = 0xffffffff80001000;
	run->sregs.seg[POSADA_ES].limit = 0x1fff;
	run->sregs.seg[POSADA_ES].attr = 0x493;
	run->sregs.cr8 = 5;
	run->dregs.dr[0] = 0x1234;
	run->dregs.dr[3] = 0xffffffff80005678;
	run->dregs.dr6 = 0xffff0ff1;
	run->dregs.dr7 = 0x400;
	run->dirty = POSADA_GROUP_REGS | POSADA_GROUP_SREGS | POSADA_GROUP_DREGS;
	set = *run;
	/* Ends with -EINTR, but committed. */
	run->request = POSADA_RUN_EXIT_NOW;
	EXPECT_EQ(vcpu_run(v), -EINTR);
	EXPECT_EQ(run->dirty, 0);
	memset(&run->regs, 0, sizeof(run->regs));
	memset(&run->sregs, 0, sizeof(run->sregs));
	memset(&run->dregs, 0, sizeof(run->dregs));
	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_REGS, &run->regs,
			  sizeof(run->regs), NULL), 0);
	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_SREGS, &run->sregs,
			  sizeof(run->sregs), NULL), 0);
	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_DREGS, &run->dregs,
			  sizeof(run->dregs), NULL), 0);
	EXPECT_EQ(memcmp(&run->regs, &set.regs, sizeof(set.regs)), 0);
	EXPECT_EQ(memcmp(&run->sregs, &set.sregs, sizeof(set.sregs)), 0);
	EXPECT_EQ(memcmp(&run->dregs, &set.dregs, sizeof(set.dregs)), 0);
	for (i = 0; i < POSADA_NR_SEGS; i++)
		if (memcmp(&run->sregs.seg[i], &set.sregs.seg[i], sizeof(set.sregs.seg[i])))
			test_note("segment %d: base %llx limit %x sel %x attr %x", i,
				  run->sregs.seg[i].base, run->sregs.seg[i].limit,
				  run->sregs.seg[i].selector, run->sregs.seg[i].attr);
}

static void guest_registers(void)
{
	asm volatile("1: out %eax, $0xd1\n"
		     "inc %rax; inc %rbx; inc %rcx; inc %rdx; inc %rbp; inc %rsi; inc %rdi; inc %r8\n"
		     "inc %r9; inc %r10; inc %r11; inc %r12; inc %r13; inc %r14; inc %r15; jmp 1b");
}

/* Every general register, in and out, each by its own value. */
TEST(general_registers)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 rsp;
	int i;

	vcpu_start(v, guest_registers, 0);
	vcpu_sync(v);
	rsp = v->run->regs.gpr[POSADA_RSP];
	for (i = 0; i < POSADA_NR_REGS; i++)
		if (i != POSADA_RSP)
			vcpu_regs_rw(v)->gpr[i] = 0x1000000000000000ULL * i + i;
	vcpu_sync(v);
	for (i = 0; i < POSADA_NR_REGS; i++)
		if (i == POSADA_RSP)
			EXPECT_EQ(v->run->regs.gpr[i], rsp);
		else
			EXPECT_EQ(v->run->regs.gpr[i], 0x1000000000000000ULL * i + i + 1);
}

/* ---- requests ---- */

TEST(exit_now)
{
	struct vcpu *v = start(10);
	int i;

	EXPECT_SYNC(v, 0);
	v->run->request = POSADA_RUN_EXIT_NOW;
	for (i = 0; i < 5; i++)
		EXPECT_EQ(vcpu_run(v), -EINTR);
	/* The kernel only reads it. */
	EXPECT_EQ(v->run->request, POSADA_RUN_EXIT_NOW);
	v->run->request = 0;
	EXPECT_SYNC(v, 1);
}

TEST(unknown_bits)
{
	struct vcpu *v = start(10);
	u32 bit;

	EXPECT_SYNC(v, 0);
	for (bit = 0; bit < 32; bit++) {
		if ((1U << bit) & ~POSADA_GROUP_ALL) {
			v->run->dirty = 1U << bit;
			EXPECT_EQ(vcpu_run(v), -EINVAL);
			v->run->dirty = 0;
			v->run->wanted = 1U << bit;
			EXPECT_EQ(vcpu_run(v), -EINVAL);
			v->run->wanted = POSADA_GROUP_ALL;
		}
		if ((1U << bit) & ~(POSADA_RUN_EXIT_NOW | POSADA_RUN_WINDOW)) {
			v->run->request = 1U << bit;
			EXPECT_EQ(vcpu_run(v), -EINVAL);
			v->run->request = 0;
		}
	}
	EXPECT_SYNC(v, 1);
}

/* A kick that came early is not lost, and many are one. */
TEST(kick_before_run)
{
	struct vcpu *v = start(10);
	int i;

	EXPECT_SYNC(v, 0);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(px(v->fd, POSADA_KICK, NULL), 0);
	EXPECT_EQ(vcpu_exit(v), POSADA_EXIT_KICK);
	EXPECT_SYNC(v, 1);
	EXPECT_SYNC(v, 2);
}

/* ---- signals ---- */

static volatile sig_atomic_t signals;

static void on_signal(int nr)
{
	(void)nr;
	signals++;
}

static void guest_spin(void)
{
	for (;;)
		;
}

static void guest_spin_open(void)
{
	g_sti();
	guest_spin();
}

static void guest_sleep(void)
{
	for (;;)
		g_hlt();
}

/* A guest that never exits, or never wakes, does not hold signals back. */
static void interrupted(void (*fn)(void))
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct itimerval every = { { 0, 3000 }, { 0, 3000 } };
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	int i;

	ASSERT_EQ(sigaction(SIGALRM, &sa, NULL), 0);
	vcpu_start(v, fn, 0);
	ASSERT_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
	for (i = 0; i < 20; i++)
		EXPECT_EQ(vcpu_run(v), -EINTR);
	EXPECT_GE(signals, 20);
}

TEST(signal_while_running)
{
	interrupted(guest_spin_open);
}

TEST(signal_while_running_closed)
{
	if (host_is_bochs_svm())
		SKIP("Bochs holds the host's interrupts while the guest has IF clear");
	interrupted(guest_spin);
}

TEST(signal_while_halted)
{
	interrupted(guest_sleep);
}

/* A signal is no loss: the guest counts all of its syncs. */
TEST(signals_lose_nothing)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } };
	struct vcpu *v = start(3000);
	u32 next = 0;
	int rc;

	ASSERT_EQ(sigaction(SIGALRM, &sa, NULL), 0);
	ASSERT_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
	while (next < 3000) {
		rc = vcpu_run(v);
		if (rc == -EINTR)
			continue;
		ASSERT_EQ(rc, 0);
		ASSERT_EQ(v->run->exit, POSADA_EXIT_PORT);
		ASSERT_EQ(v->run->port.port, PORT_SYNC);
		ASSERT_EQ(v->run->port.data, next);
		next++;
	}
}

/* ---- impossible registers ---- */

static struct posada_run good;

/* RUN with what now stands in the page must fail, and leave the state be. */
static void expect_refused(struct vcpu *v, u32 groups, const char *what)
{
	int rc;

	v->run->dirty = groups;
	v->run->request = POSADA_RUN_EXIT_NOW;
	rc = vcpu_run(v);
	if (rc != -EINVAL)
		FAIL("%s: %d, not -EINVAL", what, rc);
	v->run->regs = good.regs;
	v->run->sregs = good.sregs;
	v->run->events = good.events;
	v->run->dregs = good.dregs;
	v->run->dirty = POSADA_GROUP_ALL;
	rc = vcpu_run(v);
	if (rc != -EINTR)
		FATAL("after %s: %d, not -EINTR", what, rc);
	v->run->request = 0;
}

#define REFUSED(group, field, value) do {				\
	v->run->field = (value);					\
	expect_refused(v, POSADA_GROUP_##group, #field " = " #value);	\
} while (0)

static struct vcpu *start_good(void)
{
	struct vcpu *v = start(10);

	EXPECT_SYNC(v, 0);
	good = *v->run;
	return v;
}

TEST(bad_control_registers)
{
	struct vcpu *v = start_good();

	REFUSED(SREGS, sregs.cr0, good.sregs.cr0 & ~1ULL);	/* PG without PE */
	REFUSED(SREGS, sregs.cr0, good.sregs.cr0 | 1ULL << 29);	/* NW without CD */
	REFUSED(SREGS, sregs.cr0, good.sregs.cr0 | 1ULL << 32);
	REFUSED(SREGS, sregs.cr0, good.sregs.cr0 & ~(1ULL << 31)); /* LMA without PG */
	REFUSED(SREGS, sregs.cr4, good.sregs.cr4 & ~0x20ULL);	/* long mode, no PAE */
	REFUSED(SREGS, sregs.cr4, good.sregs.cr4 | 1ULL << 63);
	REFUSED(SREGS, sregs.cr4, good.sregs.cr4 | 1ULL << 15);
	REFUSED(SREGS, sregs.cr4, good.sregs.cr4 | 1ULL << 13);	/* VMXE */
	REFUSED(SREGS, sregs.cr3, 1ULL << 52);
	REFUSED(SREGS, sregs.cr3, 1ULL << 63);
	REFUSED(SREGS, sregs.cr8, 16);
	REFUSED(SREGS, sregs.cr8, ~0ULL);
	REFUSED(SREGS, sregs.efer, good.sregs.efer | 1ULL << 1);
	REFUSED(SREGS, sregs.efer, good.sregs.efer | 1ULL << 63);
	REFUSED(SREGS, sregs.efer, good.sregs.efer | 1ULL << 12); /* SVME */
	REFUSED(SREGS, sregs.efer, good.sregs.efer & ~0x400ULL); /* LME, PG, no LMA */
	REFUSED(SREGS, sregs.efer, good.sregs.efer & ~0x100ULL); /* LMA, no LME */
	EXPECT_SYNC(v, 1);
}

/* CR3 has the same bits in every mode: some CPUs check it in each. */
TEST(bad_cr3_without_long_mode)
{
	struct vcpu *v = vm_new(1)->vcpu[0];
	struct posada_sregs *s = &v->run->sregs;

	vcpu_start_prot32(v, 0);
	s->cr0 |= 1ULL << 31;
	s->cr4 |= 0x20;
	good = *v->run;
	REFUSED(SREGS, sregs.cr3, 1ULL << 52);
	REFUSED(SREGS, sregs.cr3, 1ULL << 63);
}

TEST(bad_addresses)
{
	struct vcpu *v = start_good();

	REFUSED(REGS, regs.rip, 1ULL << 63);
	REFUSED(REGS, regs.rip, user_end());
	REFUSED(SREGS, sregs.seg[POSADA_FS].base, 1ULL << 63);
	REFUSED(SREGS, sregs.seg[POSADA_GS].base, user_end());
	REFUSED(SREGS, sregs.seg[POSADA_CS].base, 1ULL << 32);
	REFUSED(SREGS, sregs.seg[POSADA_DS].base, ~0xffffULL);
	REFUSED(SREGS, sregs.seg[POSADA_TR].base, 1ULL << 62);
	REFUSED(SREGS, sregs.seg[POSADA_LDTR].base, 1ULL << 62);
	REFUSED(SREGS, sregs.gdt.base, 1ULL << 63);
	REFUSED(SREGS, sregs.idt.base, ~user_end());
	REFUSED(SREGS, sregs.gdt.limit, 0x10000);
	REFUSED(SREGS, sregs.idt.limit, ~0U);
	EXPECT_SYNC(v, 1);
}

/* RIP has 32 bits where code has. */
TEST(bad_rip_without_long_mode)
{
	struct vcpu *v = vm_new(1)->vcpu[0];

	vcpu_start_prot32(v, 0);
	v->run->request = POSADA_RUN_EXIT_NOW;
	EXPECT_EQ(vcpu_run(v), -EINTR);
	good = *v->run;
	REFUSED(REGS, regs.rip, 1ULL << 32);
	v->run->regs.rip = 1ULL << 32;
	expect_refused(v, POSADA_GROUP_REGS | POSADA_GROUP_SREGS, "RIP of 33 bits");
}

TEST(bad_flags)
{
	struct vcpu *v = start_good();

	REFUSED(REGS, regs.rflags, 0);			/* bit 1 is one */
	REFUSED(REGS, regs.rflags, 1ULL << 32 | 2);
	REFUSED(REGS, regs.rflags, 1ULL << 15 | 2);
	REFUSED(REGS, regs.rflags, 1ULL << 3 | 2);
	REFUSED(REGS, regs.rflags, 1ULL << 5 | 2);
	REFUSED(REGS, regs.rflags, 1ULL << 22 | 2);
	REFUSED(REGS, regs.rflags, 1ULL << 17 | 2);	/* VM in long mode */
	EXPECT_SYNC(v, 1);
}

/* Virtual-8086 mode is a part of protected mode. */
TEST(bad_flags_in_real_mode)
{
	struct vcpu *v = vm_new(1)->vcpu[0];

	good = *v->run;
	good.regs.rflags = 2;
	vcpu_start_prot32(v, 0);
	good.sregs = v->run->sregs;
	good.sregs.cr0 &= ~1ULL;
	v->run->sregs = good.sregs;
	v->run->regs.rflags = 1ULL << 17 | 2;
	expect_refused(v, POSADA_GROUP_REGS | POSADA_GROUP_SREGS, "VM without PE");
	REFUSED(REGS, regs.rflags, 1ULL << 17 | 2);
	v->run->sregs.cr0 |= 1;
	v->run->regs.rflags = 1ULL << 17 | 2;
	v->run->dirty = POSADA_GROUP_REGS | POSADA_GROUP_SREGS;
	v->run->request = POSADA_RUN_EXIT_NOW;
	EXPECT_EQ(vcpu_run(v), -EINTR);
	REFUSED(SREGS, sregs.cr0, good.sregs.cr0);
}

TEST(bad_segments)
{
	struct vcpu *v = start_good();

	REFUSED(SREGS, sregs.seg[POSADA_CS].attr, 0xa1b);	/* not present */
	REFUSED(SREGS, sregs.seg[POSADA_CS].attr, 0xe9b);	/* L and D */
	REFUSED(SREGS, sregs.seg[POSADA_CS].attr, 0xa8b);	/* system */
	REFUSED(SREGS, sregs.seg[POSADA_DS].attr, 0x1c93);	/* reserved */
	REFUSED(SREGS, sregs.seg[POSADA_TR].attr, 0x8b | 0x10);	/* not a TSS */
	REFUSED(SREGS, sregs.seg[POSADA_TR].attr, POSADA_SEG_UNUSABLE);
	REFUSED(SREGS, sregs.seg[POSADA_TR].attr, 0x83);	/* of 16 bits */
	REFUSED(SREGS, sregs.seg[POSADA_TR].selector, 0x44);	/* in the LDT */
	REFUSED(SREGS, sregs.seg[POSADA_LDTR].attr, 0x89);	/* a TSS */
	REFUSED(SREGS, sregs.seg[POSADA_CS].attr, 0xafb);	/* DPL 3, CPL 0 */
	REFUSED(SREGS, sregs.seg[POSADA_CS].attr, 0xa97);	/* expands down */
	REFUSED(SREGS, sregs.seg[POSADA_SS].attr, 0xc91);	/* not to be written */
	REFUSED(SREGS, sregs.seg[POSADA_SS].attr, 0xc9b);	/* code */
	REFUSED(SREGS, sregs.cpl, 4);
	REFUSED(SREGS, sregs.cpl, 255);
	REFUSED(SREGS, sregs.pad[0], 1);
	REFUSED(SREGS, sregs.gdt.pad, 1);
	REFUSED(SREGS, sregs.idt.pad, 1);
	EXPECT_SYNC(v, 1);
}

TEST(bad_events)
{
	struct vcpu *v = start_good();

	REFUSED(EVENTS, events.kind, 4);
	REFUSED(EVENTS, events.nmi_pending, 3);
	REFUSED(EVENTS, events.nmi_masked, 2);
	REFUSED(EVENTS, events.shadow, 4);
	REFUSED(EVENTS, events.extint_pending, 2);
	REFUSED(EVENTS, events.has_error_code, 2);
	REFUSED(EVENTS, events.pad, 1);
	v->run->events.kind = POSADA_EVENT_EXCEPTION;
	REFUSED(EVENTS, events.vector, 32);
	v->run->events.kind = POSADA_EVENT_EXCEPTION;
	REFUSED(EVENTS, events.vector, NMI);
	v->run->events.kind = POSADA_EVENT_EXCEPTION;
	v->run->events.vector = UD;
	REFUSED(EVENTS, events.has_error_code, 1);
	v->run->events.kind = POSADA_EVENT_EXCEPTION;
	v->run->events.vector = GP;
	v->run->events.has_error_code = 1;
	REFUSED(EVENTS, events.error_code, 0x10000);
	/* No interrupt is delivered with IF clear, whichever comes first. */
	v->run->regs.rflags &= ~0x200ULL;
	v->run->events.kind = POSADA_EVENT_INTERRUPT;
	v->run->events.vector = 0x40;
	expect_refused(v, POSADA_GROUP_REGS | POSADA_GROUP_EVENTS, "an interrupt, IF clear");
	EXPECT_SYNC(v, 1);
}

TEST(bad_debug_registers)
{
	struct vcpu *v = start_good();

	REFUSED(DREGS, dregs.dr7, 1ULL << 32);
	REFUSED(DREGS, dregs.dr6, 1ULL << 32);
	REFUSED(DREGS, dregs.dr[1], 1ULL << 62);
	EXPECT_SYNC(v, 1);
}

/* With one bad group of two, the good one is not taken either. */
TEST(all_or_nothing)
{
	struct vcpu *v = start_good();

	v->run->regs.gpr[POSADA_R15] = 0x1234;
	v->run->sregs.cr8 = 16;
	v->run->dirty = POSADA_GROUP_REGS | POSADA_GROUP_SREGS;
	v->run->request = POSADA_RUN_EXIT_NOW;
	EXPECT_EQ(vcpu_run(v), -EINVAL);
	v->run->dirty = 0;
	v->run->request = 0;
	EXPECT_SYNC(v, 1);
	EXPECT_EQ(v->run->regs.gpr[POSADA_R15], good.regs.gpr[POSADA_R15]);
	EXPECT_EQ(v->run->sregs.cr8, good.sregs.cr8);
}

/* A thread that scribbles over the page does the host no harm. */
static void *scribble(void *arg)
{
	struct vcpu *v = arg;
	u32 seed = 1, *p = (u32 *)v->run;

	while (!READ(v->result)) {
		seed = seed * 1664525 + 1013904223;
		p[(seed >> 8) % 256] = seed;
	}
	return NULL;
}

TEST(page_under_attack)
{
	struct vcpu *v = start(1000000);
	pthread_t t;
	int i;

	v->result = 0;
	ASSERT_EQ(pthread_create(&t, NULL, scribble, v), 0);
	for (i = 0; i < 3000; i++) {
		px(v->fd, POSADA_KICK, NULL);
		vcpu_run(v);
	}
	WRITE(v->result, 1);
	pthread_join(t, NULL);
	/* It survived: another VM works as ever. */
	EXPECT_SYNC(start(1), 0);
}
