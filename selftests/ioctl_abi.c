// SPDX-License-Identifier: GPL-2.0
/*
 * The rules that every ioctl of uapi/posada.h keeps: sizes, flags, padding,
 * pointers, kinds of fd, address spaces; and that a failed call changes
 * nothing. Each ioctl is a row with a valid argument to spoil.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include "vm.h"

enum fd_kind { SYS, VM, VCPU };

union arg {
	u32 head[2];		/* size, flags */
	struct posada_info info;
	struct posada_vm_create vm_create;
	struct posada_vcpu_create vcpu_create;
	struct posada_slot slot;
	struct posada_dirty_log dirty_log;
	struct posada_msi msi;
	struct posada_irqfd irqfd;
	struct posada_doorbell doorbell;
	struct posada_state state;
	struct posada_stats stats;
	struct posada_inject inject;
	struct posada_apic_reg apic;
	struct posada_debug debug;
	struct posada_translate translate;
	struct posada_profile profile;
	struct posada_generation_set generation;
	u8 bytes[8192];
};

struct row {
	const char *name;
	u32 nr, bytes;
	u32 flags;		/* all that are known */
	u32 pad;		/* offset of padding, 0: none */
	enum fd_kind kind;
	void (*fill)(struct vm *vm, union arg *a);
	bool creates_fd;
};

static u8 *buffer;		/* 64 KiB for what pointers in arguments want */

static void fill_vm_create(struct vm *vm, union arg *a)
{
	(void)vm;
	a->vm_create.backend = test_backend;
}

static void fill_vcpu_create(struct vm *vm, union arg *a)
{
	static u32 id;

	/* An id is used up for good, also when its fd is closed. */
	(void)vm;
	a->vcpu_create.id = ++id;
}

static void fill_slot(struct vm *vm, union arg *a)
{
	(void)vm;
	a->slot.slot = 7;
	a->slot.gpa = 0x40000000;
	a->slot.bytes = 4096;
	a->slot.hva = (u64)buffer;
}

static void fill_dirty_log(struct vm *vm, union arg *a)
{
	(void)vm;
	a->dirty_log.slot = 1;
	a->dirty_log.pages = 16;
	a->dirty_log.bitmap = (u64)buffer;
}

static void fill_msi(struct vm *vm, union arg *a)
{
	(void)vm;
	a->msi.addr = MSI_ADDR(0);
	a->msi.data = 0x40;
}

static void fill_irqfd(struct vm *vm, union arg *a)
{
	(void)vm;
	a->irqfd.addr = MSI_ADDR(0);
	a->irqfd.data = 0x40;
	a->irqfd.fd = eventfd(0, EFD_CLOEXEC);
}

static void fill_doorbell(struct vm *vm, union arg *a)
{
	static u32 port = 0x1000;

	(void)vm;
	a->doorbell.kind = POSADA_DOORBELL_PORT;
	a->doorbell.addr = port += 8;
	a->doorbell.len = 4;
	a->doorbell.fd = eventfd(0, EFD_CLOEXEC);
}

static void fill_state(struct vm *vm, union arg *a)
{
	(void)vm;
	a->state.buf = (u64)buffer;
	a->state.bytes = 65536;
}

static void fill_inject(struct vm *vm, union arg *a)
{
	(void)vm;
	a->inject.kind = POSADA_INJECT_NMI;
}

/* The only calls here that want the guest in a certain mode. */
static void fill_apic(struct vm *vm, union arg *a)
{
	(void)vm;
	a->apic.offset = APIC_VERSION;
}

static void fill_translate(struct vm *vm, union arg *a)
{
	(void)vm;
	a->head[1] = POSADA_ACCESS_READ;
	a->translate.gva = 0x1000;
}

static void fill_profile(struct vm *vm, union arg *a)
{
	(void)vm;
	a->profile.buf = (u64)buffer;
	a->profile.entries = 1024;
}

static const struct row rows[] = {
	{ "INFO", POSADA_INFO, sizeof(struct posada_info), 0, 0, SYS, NULL, false },
	{ "VM_CREATE", POSADA_VM_CREATE, sizeof(struct posada_vm_create),
	  POSADA_VM_MSR_EXITS | POSADA_VM_PROFILE_EXITS,
	  offsetof(struct posada_vm_create, pad), SYS, fill_vm_create, true },
	{ "VCPU_CREATE", POSADA_VCPU_CREATE, sizeof(struct posada_vcpu_create), 0,
	  offsetof(struct posada_vcpu_create, pad), VM, fill_vcpu_create, true },
	{ "SLOT_SET", POSADA_SLOT_SET, sizeof(struct posada_slot),
	  POSADA_SLOT_READONLY | POSADA_SLOT_DIRTY_LOG,
	  offsetof(struct posada_slot, pad), VM, fill_slot, false },
	{ "DIRTY_LOG", POSADA_DIRTY_LOG, sizeof(struct posada_dirty_log), POSADA_DIRTY_CLEAR,
	  offsetof(struct posada_dirty_log, pad), VM, fill_dirty_log, false },
	{ "MSI", POSADA_MSI, sizeof(struct posada_msi), 0,
	  offsetof(struct posada_msi, pad), VM, fill_msi, false },
	{ "IRQFD", POSADA_IRQFD, sizeof(struct posada_irqfd), POSADA_IRQFD_DEASSIGN,
	  0, VM, fill_irqfd, false },
	{ "DOORBELL", POSADA_DOORBELL, sizeof(struct posada_doorbell),
	  POSADA_DOORBELL_DEASSIGN | POSADA_DOORBELL_MATCH,
	  offsetof(struct posada_doorbell, pad), VM, fill_doorbell, false },
	{ "VM_STATE", POSADA_VM_STATE, sizeof(struct posada_state),
	  POSADA_STATE_WRITE | POSADA_STATE_DRY_RUN,
	  offsetof(struct posada_state, pad), VM, fill_state, false },
	{ "GENERATION", POSADA_GENERATION, sizeof(struct posada_generation_set), 0,
	  0, VM, NULL, false },
	{ "VM_STATS", POSADA_VM_STATS, sizeof(struct posada_stats), 0,
	  offsetof(struct posada_stats, pad), VM, NULL, false },
	{ "VCPU_STATE", POSADA_VCPU_STATE, sizeof(struct posada_state),
	  POSADA_STATE_WRITE | POSADA_STATE_DRY_RUN,
	  offsetof(struct posada_state, pad), VCPU, fill_state, false },
	{ "VCPU_STATS", POSADA_VCPU_STATS, sizeof(struct posada_stats), 0,
	  offsetof(struct posada_stats, pad), VCPU, NULL, false },
	{ "INJECT", POSADA_INJECT, sizeof(struct posada_inject), POSADA_INJECT_ERROR_CODE,
	  offsetof(struct posada_inject, pad), VCPU, fill_inject, false },
	{ "APIC", POSADA_APIC, sizeof(struct posada_apic_reg), POSADA_APIC_WRITE,
	  0, VCPU, fill_apic, false },
	{ "DEBUG", POSADA_DEBUG, sizeof(struct posada_debug),
	  POSADA_DEBUG_STEP | POSADA_DEBUG_BREAK | POSADA_DEBUG_HARDWARE,
	  0, VCPU, NULL, false },
	{ "TRANSLATE", POSADA_TRANSLATE, sizeof(struct posada_translate),
	  POSADA_ACCESS_READ | POSADA_ACCESS_WRITE | POSADA_ACCESS_EXEC | POSADA_ACCESS_USER,
	  offsetof(struct posada_translate, pad), VCPU, fill_translate, false },
	{ "PROFILE", POSADA_PROFILE, sizeof(struct posada_profile), 0,
	  0, VCPU, fill_profile, false },
};

static void guest_nothing(void)
{
}

static struct vm *abi_vm(void)
{
	struct vm *vm = vm_new_flags(1, POSADA_VM_PROFILE_EXITS);

	buffer = map_anon(65536);
	slot_set(vm, 1, 0x20000000, buffer, 65536, POSADA_SLOT_DIRTY_LOG);
	vcpu_start(vm->vcpu[0], guest_nothing, 0);
	vcpu_done(vm->vcpu[0]);
	return vm;
}

static int fd_of(struct vm *vm, enum fd_kind kind)
{
	return kind == SYS ? vm->sys : kind == VM ? vm->fd : vm->vcpu[0]->fd;
}

static void fill(const struct row *r, struct vm *vm, union arg *a)
{
	memset(a, 0, sizeof(*a));
	a->head[0] = r->bytes;
	if (r->fill)
		r->fill(vm, a);
}

/* Issue the call; a new fd is closed again, and counts as success. */
static int issue(const struct row *r, struct vm *vm, const void *arg)
{
	int rc = px(fd_of(vm, r->kind), r->nr, arg);

	if (r->creates_fd && rc >= 0) {
		close(rc);
		return 0;
	}
	return rc < 0 ? rc : 0;
}

static void expect(const struct row *r, const char *what, int got, int want)
{
	if (got != want)
		FAIL("%s, %s: %d, not %d", r->name, what, got, want);
}

/* All that can be read of the VM and its vCPU and does not move by itself. */
struct snapshot {
	u32 used[2];
	u8 vcpu[24576], vm[16384];
};

static void snapshot(struct vm *vm, struct snapshot *s)
{
	struct posada_state vcpu = {
		.size = sizeof(vcpu), .buf = (u64)s->vcpu, .bytes = sizeof(s->vcpu),
		.mask = BIT(POSADA_REC_REGS) | BIT(POSADA_REC_SREGS) | BIT(POSADA_REC_EVENTS) |
			BIT(POSADA_REC_DREGS) | BIT(POSADA_REC_APIC) | BIT(POSADA_REC_MP) |
			BIT(POSADA_REC_XSAVE),
	};
	struct posada_state of_vm = {
		.size = sizeof(of_vm), .buf = (u64)s->vm, .bytes = sizeof(s->vm),
		.mask = BIT(POSADA_REC_CPUID),
	};

	memset(s, 0, sizeof(*s));
	ASSERT_EQ(px(vm->vcpu[0]->fd, POSADA_VCPU_STATE, &vcpu), 0);
	ASSERT_EQ(px(vm->fd, POSADA_VM_STATE, &of_vm), 0);
	s->used[0] = vcpu.used;
	s->used[1] = of_vm.used;
}

static void expect_same(struct vm *vm, const struct snapshot *before, const char *what)
{
	static struct snapshot now;
	u32 i;

	snapshot(vm, &now);
	for (i = 0; i < sizeof(now.vcpu); i++) {
		if (now.vcpu[i] == before->vcpu[i])
			continue;
		FAIL("%s changed the vCPU's state at byte %u: %02x, was %02x",
		     what, i, now.vcpu[i], before->vcpu[i]);
		return;
	}
	if (memcmp(&now, before, sizeof(now)))
		FAIL("%s changed the VM's state", what);
}


TEST(valid_calls_succeed)
{
	struct vm *vm = abi_vm();
	union arg a;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		fill(&rows[i], vm, &a);
		/* A reset APIC is in xAPIC mode, so that this one succeeds too. */
		expect(&rows[i], "valid", issue(&rows[i], vm, &a), 0);
	}
}

TEST(size)
{
	static struct snapshot before;
	struct vm *vm = abi_vm();
	union arg a;
	u32 i, n;

	snapshot(vm, &before);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];

		for (n = 0; n < POSADA_MIN_SIZE; n++) {
			fill(r, vm, &a);
			a.head[0] = n;
			expect(r, "size below the least", issue(r, vm, &a), -EINVAL);
		}
		fill(r, vm, &a);
		a.head[0] = 4097;
		expect(r, "size above a page", issue(r, vm, &a), -EINVAL);
		a.head[0] = ~0U;
		expect(r, "size 4 GiB", issue(r, vm, &a), -EINVAL);
		fill(r, vm, &a);
		a.head[0] = r->bytes + 8;
		a.bytes[r->bytes + 7] = 1;
		expect(r, "tail not zero", issue(r, vm, &a), -E2BIG);
		fill(r, vm, &a);
		a.head[0] = 4096;
		a.bytes[4095] = 0x80;
		expect(r, "last byte not zero", issue(r, vm, &a), -E2BIG);
	}
	expect_same(vm, &before, "a wrong size");
}

TEST(larger_size_with_zero_tail)
{
	struct vm *vm = abi_vm();
	union arg a;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		fill(&rows[i], vm, &a);
		a.head[0] = rows[i].bytes + 64;
		/* Behind the struct that the caller declares, the kernel keeps off. */
		memset(a.bytes + rows[i].bytes + 64, 0xa5, 256);
		expect(&rows[i], "zero tail", issue(&rows[i], vm, &a), 0);
		ASSERT_EQ(a.bytes[rows[i].bytes + 64], 0xa5);
		fill(&rows[i], vm, &a);
		a.head[0] = 4096;
		expect(&rows[i], "a page", issue(&rows[i], vm, &a), 0);
	}
}

/* A short struct reads as zeros, and nothing is written behind it. */
TEST(smaller_size)
{
	struct vm *vm = abi_vm();
	union arg a;

	memset(&a, 0xa5, sizeof(a));
	a.head[0] = POSADA_MIN_SIZE;
	a.head[1] = 0;
	EXPECT_EQ(px(vm->sys, POSADA_INFO, &a), 0);
	EXPECT_EQ(a.bytes[POSADA_MIN_SIZE], 0xa5);

	memset(&a, 0xa5, sizeof(a));
	a.head[0] = 16;
	a.head[1] = 0;
	EXPECT_EQ(px(vm->sys, POSADA_INFO, &a), 0);
	EXPECT_EQ(a.info.api_version, POSADA_API_VERSION);
	EXPECT_EQ(a.bytes[16], 0xa5);

	memset(&a, 0xa5, sizeof(a));
	a.head[0] = 32;
	a.head[1] = 0;
	a.stats.pad = 0;
	EXPECT_EQ(px(vm->fd, POSADA_VM_STATS, &a), 0);
	EXPECT_EQ(a.bytes[32], 0xa5);

	/* id 0 by omission: there is one. */
	memset(&a, 0xa5, sizeof(a));
	a.head[0] = POSADA_MIN_SIZE;
	a.head[1] = 0;
	EXPECT_EQ(px(vm->fd, POSADA_VCPU_CREATE, &a), -EEXIST);
}

TEST(unknown_flags)
{
	static struct snapshot before;
	struct vm *vm = abi_vm();
	union arg a;
	u32 i, bit;

	snapshot(vm, &before);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		for (bit = 0; bit < 32; bit++) {
			if (rows[i].flags & (1U << bit))
				continue;
			if (rows[i].nr == POSADA_APIC && (1U << bit) == POSADA_APIC_EOI)
				continue;	/* out; what it means in is not said */
			fill(&rows[i], vm, &a);
			a.head[1] |= 1U << bit;
			expect(&rows[i], "unknown flag", issue(&rows[i], vm, &a), -EINVAL);
		}
	expect_same(vm, &before, "an unknown flag");
}

TEST(padding)
{
	static struct snapshot before;
	struct vm *vm = abi_vm();
	union arg a;
	u32 i, bit;

	snapshot(vm, &before);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		for (bit = 0; bit < 32 && rows[i].pad; bit++) {
			fill(&rows[i], vm, &a);
			a.bytes[rows[i].pad + bit / 8] = 1U << bit % 8;
			expect(&rows[i], "padding", issue(&rows[i], vm, &a), -EINVAL);
		}
	expect_same(vm, &before, "padding");
}

TEST(bad_pointers)
{
	static struct snapshot before;
	struct vm *vm = abi_vm();
	u8 *page = map_anon(8192);
	union arg a;
	u32 i;

	snapshot(vm, &before);
	ASSERT_EQ(mprotect(page + 4096, 4096, PROT_NONE), 0);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];

		expect(r, "NULL", issue(r, vm, NULL), -EFAULT);
		expect(r, "kernel address", issue(r, vm, (void *)~0xfffUL), -EFAULT);
		expect(r, "non-canonical", issue(r, vm, (void *)(1UL << 63)), -EFAULT);
		fill(r, vm, &a);
		/* Only the size readable, then all but the last byte. */
		memcpy(page + 4092, &a, 4);
		expect(r, "flags unreadable", issue(r, vm, page + 4092), -EFAULT);
		memcpy(page + 4097 - r->bytes, &a, r->bytes - 1);
		expect(r, "last byte unreadable", issue(r, vm, page + 4097 - r->bytes), -EFAULT);
	}
	expect_same(vm, &before, "a bad pointer");
}

/* Where the kernel answers in the struct, it must be writable. */
TEST(unwritable_answer)
{
	static const u32 answering[] = {
		POSADA_INFO, POSADA_VM_STATS, POSADA_VCPU_STATS, POSADA_VM_STATE,
		POSADA_VCPU_STATE, POSADA_TRANSLATE, POSADA_PROFILE,
		POSADA_GENERATION,
	};
	struct vm *vm = abi_vm();
	u8 *page = map_anon(4096);
	union arg a;
	u32 i, j;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		for (j = 0; j < ARRAY_SIZE(answering); j++) {
			if (rows[i].nr != answering[j])
				continue;
			ASSERT_EQ(mprotect(page, 4096, PROT_READ | PROT_WRITE), 0);
			fill(&rows[i], vm, &a);
			memcpy(page, &a, rows[i].bytes);
			ASSERT_EQ(mprotect(page, 4096, PROT_READ), 0);
			expect(&rows[i], "read-only", issue(&rows[i], vm, page), -EFAULT);
		}
}

TEST(wrong_fd)
{
	struct vm *vm = abi_vm();
	union arg a;
	u32 i, nr;
	int kind;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		for (kind = SYS; kind <= VCPU; kind++) {
			if (kind == (int)rows[i].kind)
				continue;
			fill(&rows[i], vm, &a);
			expect(&rows[i], "another kind of fd",
			       px(fd_of(vm, kind), rows[i].nr, &a), -ENOTTY);
		}
	for (kind = SYS; kind < VCPU; kind++) {
		EXPECT_EQ(px(fd_of(vm, kind), POSADA_RUN, NULL), -ENOTTY);
		EXPECT_EQ(px(fd_of(vm, kind), POSADA_KICK, NULL), -ENOTTY);
	}
	/* Numbers that are nobody's. */
	for (kind = SYS; kind <= VCPU; kind++) {
		for (nr = 0x29; nr < 0x100; nr++)
			EXPECT_EQ(px(fd_of(vm, kind), POSADA_IO(nr), &a), -ENOTTY);
		EXPECT_EQ(px(fd_of(vm, kind), 0, &a), -ENOTTY);
		EXPECT_EQ(px(fd_of(vm, kind), POSADA_IO(0) | 0x40000000, &a), -ENOTTY);
	}
}

/* Neither has an argument: what is passed is not a pointer to follow. */
TEST(no_argument)
{
	struct vm *vm = abi_vm();
	int fd = vm->vcpu[0]->fd;

	EXPECT_EQ(px(fd, POSADA_KICK, (void *)8), -EINVAL);
	EXPECT_EQ(px(fd, POSADA_RUN, (void *)8), -EINVAL);
	EXPECT_EQ(px(fd, POSADA_KICK, NULL), 0);
	EXPECT_EQ(vcpu_exit(vm->vcpu[0]), POSADA_EXIT_KICK);
}

static int in_child(int (*fn)(struct vm *vm), struct vm *vm)
{
	int status;
	pid_t pid = fork();

	ASSERT_GE(pid, 0);
	if (pid == 0)
		_exit(fn(vm));
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_TRUE(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int child_calls(struct vm *vm)
{
	union arg a;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		int want = -EIO;

		/* Counters, and the system fd, are anyone's who holds the fd. */
		if (r->kind == SYS || r->nr == POSADA_VM_STATS || r->nr == POSADA_VCPU_STATS ||
		    r->nr == POSADA_PROFILE)
			want = 0;
		fill(r, vm, &a);
		expect(r, "from a forked child", issue(r, vm, &a), want);
	}
	expect(&rows[0], "RUN from a forked child", px(vm->vcpu[0]->fd, POSADA_RUN, NULL), -EIO);
	return 0;
}

TEST(other_address_space)
{
	static struct snapshot before;
	struct vm *vm = abi_vm();

	snapshot(vm, &before);
	EXPECT_EQ(in_child(child_calls, vm), 0);
	expect_same(vm, &before, "another process");
	/* And here all of it goes on. */
	vcpu_done(vm->vcpu[0]);
}

static int child_keeps_fds(struct vm *vm)
{
	/* A child's VM is its own. */
	struct vm *mine = abi_vm();

	(void)vm;
	vcpu_done(mine->vcpu[0]);
	return 0;
}

TEST(fork_child_makes_its_own)
{
	struct vm *vm = abi_vm();

	EXPECT_EQ(in_child(child_keeps_fds, vm), 0);
	vcpu_done(vm->vcpu[0]);
}

static int child_kicks(struct vm *vm)
{
	return px(vm->vcpu[0]->fd, POSADA_KICK, NULL) ? 1 : 0;
}

/* "Any thread of any holder of the fd may call it." */
TEST(kick_from_another_process)
{
	struct vm *vm = abi_vm();

	EXPECT_EQ(in_child(child_kicks, vm), 0);
	EXPECT_EQ(vcpu_exit(vm->vcpu[0]), POSADA_EXIT_KICK);
}

TEST(cloexec)
{
	struct vm *vm = abi_vm();

	EXPECT_EQ(fcntl(vm->fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(vm->vcpu[0]->fd, F_GETFD), FD_CLOEXEC);
}
