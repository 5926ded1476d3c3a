// SPDX-License-Identifier: GPL-2.0
/* Counters: each counts its cause, and who holds the fd may read them. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm.h"

/* So many of each. */
static void guest_exits(void)
{
	u32 i;

	g_apic_on();
	g_handlers[0x40] = g_eoi_handler;
	g_sync(1);
	for (i = 0; i < 7; i++)
		g_cpuid(0, 0);
	for (i = 0; i < 5; i++)
		g_rdmsr(0x3b);
	for (i = 0; i < 3; i++)
		g_outb(0x80, i);
	g_sync(2);
	g_apic_write(APIC_SELF_IPI, 0x40);	/* an MSR exit, an IPI, an injection */
	g_sti_hlt();
	g_cli();
	g_sync(3);
}

static struct posada_stats get(int fd, u32 nr)
{
	struct posada_stats s = { .size = sizeof(s) };

	ASSERT_EQ(px(fd, nr, &s), 0);
	return s;
}

#define GREW(index, by) EXPECT_EQ(b.value[POSADA_STAT_##index] - a.value[POSADA_STAT_##index], by)

TEST(counts)
{
	struct vm *vm = vm_new(2);
	struct vcpu *v = vm->vcpu[0];
	struct posada_stats a, b, other;
	u32 i;

	vcpu_start(v, guest_exits, 0);
	EXPECT_SYNC(v, 1);
	a = get(v->fd, POSADA_VCPU_STATS);
	EXPECT_EQ(a.count, POSADA_STAT_COUNT);
	for (i = POSADA_STAT_COUNT; i < ARRAY_SIZE(a.value); i++)
		EXPECT_EQ(a.value[i], 0);
	for (i = 0; i < 3; i++)
		vcpu_expect(v, POSADA_EXIT_PORT);
	EXPECT_SYNC(v, 2);
	b = get(v->fd, POSADA_VCPU_STATS);
	GREW(CPUID, 7);
	GREW(MSR, 5);
	GREW(PORT, 4);
	GREW(EXITS, 4);
	GREW(HALT, 0);
	GREW(HYPERCALL, 0);
	EXPECT_GE(b.value[POSADA_STAT_ENTRIES] - a.value[POSADA_STAT_ENTRIES], 16);
	EXPECT_GT(b.value[POSADA_STAT_GUEST_NS], a.value[POSADA_STAT_GUEST_NS]);
	a = b;
	EXPECT_SYNC(v, 3);
	b = get(v->fd, POSADA_VCPU_STATS);
	GREW(HALT, 1);
	GREW(IPI, 1);
	GREW(INJECT_IRQ, 1);
	GREW(INJECT_NMI, 0);
	/* The second vCPU did nothing; the VM's are the sums. */
	other = get(vm->vcpu[1]->fd, POSADA_VCPU_STATS);
	for (i = 0; i <= POSADA_STAT_DOORBELL; i++)
		EXPECT_EQ(other.value[i], 0);
	a = get(vm->fd, POSADA_VM_STATS);
	for (i = 0; i <= POSADA_STAT_DOORBELL; i++)
		EXPECT_EQ(a.value[i], b.value[i]);
	EXPECT_GT(a.value[POSADA_STAT_PAGES_4K] + a.value[POSADA_STAT_PAGES_2M] +
		  a.value[POSADA_STAT_PAGES_1G], 0);
	EXPECT_GT(a.value[POSADA_STAT_TABLES], 0);
}

TEST(tables_come_and_go)
{
	struct vm *vm = vm_new(1);
	u64 with;

	vcpu_start(vm->vcpu[0], guest_exits, 0);
	EXPECT_SYNC(vm->vcpu[0], 1);
	with = vm_stat(vm, POSADA_STAT_TABLES);
	EXPECT_GT(with, 1);
	EXPECT_EQ(vm_stat(vm, POSADA_STAT_MSI), 0);
	EXPECT_EQ(msi(vm, MSI_ADDR(0), 0x40), 1);
	EXPECT_EQ(msi(vm, MSI_ADDR(9), 0x40), 0);
	EXPECT_EQ(vm_stat(vm, POSADA_STAT_MSI), 1);
}

/* Nobody's process, nobody's rights: the fd is enough. */
TEST(unprivileged_holder)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	struct posada_stats here;
	int status;
	pid_t pid;

	vcpu_start(v, guest_exits, 0);
	EXPECT_SYNC(v, 1);
	here = get(v->fd, POSADA_VCPU_STATS);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (pid == 0) {
		struct posada_stats s;

		if (setgid(65534) || setuid(65534))
			_exit(2);
		s = get(v->fd, POSADA_VCPU_STATS);
		EXPECT_EQ(memcmp(&s, &here, sizeof(s)), 0);
		s = get(vm->fd, POSADA_VM_STATS);
		EXPECT_EQ(s.value[POSADA_STAT_PORT], here.value[POSADA_STAT_PORT]);
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

/* Read while it runs: they only grow, and RUN does not hold them up. */
static void guest_spin(void)
{
	for (;;)
		g_cpuid(0, 0);
}

static void *spin(void *arg)
{
	struct vcpu *v = arg;

	while (vcpu_exit(v) != POSADA_EXIT_KICK)
		;
	return NULL;
}

TEST(while_running)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 last = 0, now;
	pthread_t t;
	int i;

	vcpu_start(v, guest_spin, 0);
	ASSERT_EQ(pthread_create(&t, NULL, spin, v), 0);
	for (i = 0; i < 20; i++) {
		WAIT_FOR(vcpu_stat(v, POSADA_STAT_CPUID) > last);
		now = vcpu_stat(v, POSADA_STAT_CPUID);
		EXPECT_GT(now, last);
		last = now;
	}
	ASSERT_EQ(px(v->fd, POSADA_KICK, NULL), 0);
	pthread_join(t, NULL);
}

/* ---- POSADA_PROFILE ---- */

#define PROFILE_ROOM	2048

static struct posada_profile_entry profiled[PROFILE_ROOM];

/* The entries of @v are in profiled[]; -> how many, or -errno. */
static int profile(struct vcpu *v, u32 room, u32 *used)
{
	struct posada_profile p = {
		.size = sizeof(p), .buf = (u64)profiled, .entries = room,
	};
	int rc;

	memset(profiled, 0xff, sizeof(profiled));
	rc = px(v->fd, POSADA_PROFILE, &p);
	EXPECT_EQ(p.lost, 0);
	*used = p.used;
	return rc;
}

static u64 profile_count(u32 used, u32 cause, u64 key)
{
	u32 i;

	for (i = 0; i < used; i++)
		if (profiled[i].cause == cause && profiled[i].key == key)
			return profiled[i].count;
	return 0;
}

TEST(profile_by_key)
{
	struct vm *vm = vm_new_flags(1, POSADA_VM_PROFILE_EXITS);
	struct vcpu *v = vm->vcpu[0];
	u64 all = 0;
	u32 i, used, less;

	vcpu_start(v, guest_exits, 0);
	EXPECT_SYNC(v, 1);
	for (i = 0; i < 3; i++)
		vcpu_expect(v, POSADA_EXIT_PORT);
	EXPECT_SYNC(v, 2);
	EXPECT_SYNC(v, 3);
	ASSERT_EQ(profile(v, PROFILE_ROOM, &used), 0);
	EXPECT_EQ(profile_count(used, POSADA_STAT_CPUID, 0), 7);
	EXPECT_EQ(profile_count(used, POSADA_STAT_MSR, 0x3b), 5);
	EXPECT_EQ(profile_count(used, POSADA_STAT_MSR, X2(APIC_SELF_IPI) | POSADA_PROFILE_WRMSR), 1);
	EXPECT_EQ(profile_count(used, POSADA_STAT_PORT, 0x80), 3);
	EXPECT_EQ(profile_count(used, POSADA_STAT_PORT, 0x80 | POSADA_PROFILE_IN), 0);
	EXPECT_EQ(profile_count(used, POSADA_STAT_PORT, PORT_SYNC), 3);
	EXPECT_EQ(profile_count(used, POSADA_STAT_HALT, 0), 1);
	/* Each exit is in one place, each key once. */
	for (i = 0; i < used; i++) {
		all += profiled[i].count;
		EXPECT_GT(profiled[i].count, 0);
		EXPECT_EQ(profiled[i].pad, 0);
		EXPECT_EQ(profile_count(used, profiled[i].cause, profiled[i].key),
			  profiled[i].count);
	}
	EXPECT_EQ(all, vcpu_stat(v, POSADA_STAT_ENTRIES));
	/* What does not fit is not written; how much there is, is told. */
	EXPECT_EQ(profile(v, used - 1, &less), -ENOSPC);
	EXPECT_EQ(less, used);
	EXPECT_EQ(profiled[used - 1].cause, 0xffffffff);
}

/* More keys than there is room for: every exit is still counted somewhere. */
static void guest_sweep(void)
{
	u32 port;

	for (port = 0x1000; port < 0x2000; port++)
		g_outb(port, 0);
	g_sync(1);
}

TEST(profile_overflows)
{
	struct vm *vm = vm_new_flags(1, POSADA_VM_PROFILE_EXITS);
	struct vcpu *v = vm->vcpu[0];
	struct posada_profile p = {
		.size = sizeof(p), .buf = (u64)profiled, .entries = PROFILE_ROOM,
	};
	u64 all = 0;
	u32 i;

	vcpu_start(v, guest_sweep, 0);
	do
		vcpu_expect(v, POSADA_EXIT_PORT);
	while (v->run->port.port != PORT_SYNC);
	ASSERT_EQ(px(v->fd, POSADA_PROFILE, &p), 0);
	EXPECT_GT(p.lost, 0);
	for (i = 0; i < p.used; i++)
		all += profiled[i].count;
	EXPECT_EQ(all + p.lost, vcpu_stat(v, POSADA_STAT_ENTRIES));
}

TEST(profile_errors)
{
	struct vm *vm = vm_new(1);
	struct posada_profile p = {
		.size = sizeof(p), .buf = (u64)profiled, .entries = 1,
	};

	vcpu_start(vm->vcpu[0], guest_exits, 0);
	EXPECT_SYNC(vm->vcpu[0], 1);
	EXPECT_EQ(px(vm->vcpu[0]->fd, POSADA_PROFILE, &p), -ENODATA);
	vm = vm_new_flags(1, POSADA_VM_PROFILE_EXITS);
	vcpu_start(vm->vcpu[0], guest_exits, 0);
	EXPECT_SYNC(vm->vcpu[0], 1);
	p.buf = 0x1000;
	EXPECT_EQ(px(vm->vcpu[0]->fd, POSADA_PROFILE, &p), -EFAULT);
}
