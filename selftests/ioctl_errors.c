// SPDX-License-Identifier: GPL-2.0
/* Each errno that uapi/posada.h names for an ioctl, and what is next to it. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "vm.h"

static int vm_create(int sys, u32 backend, u32 flags)
{
	struct posada_vm_create c = { .size = sizeof(c), .flags = flags, .backend = backend };

	return px(sys, POSADA_VM_CREATE, &c);
}

static int vcpu_create(int vm, u32 id)
{
	struct posada_vcpu_create c = { .size = sizeof(c), .id = id };

	return px(vm, POSADA_VCPU_CREATE, &c);
}

static int slot(struct vm *vm, u32 nr, u64 gpa, u64 bytes, u64 hva, u32 flags)
{
	struct posada_slot s = {
		.size = sizeof(s), .flags = flags, .slot = nr,
		.gpa = gpa, .bytes = bytes, .hva = hva,
	};

	return px(vm->fd, POSADA_SLOT_SET, &s);
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ASSERT_TRUE(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

TEST_ONCE(info)
{
	int sys = sys_open();
	struct posada_info info = sys_info(sys);

	EXPECT_EQ(info.size, sizeof(info));
	EXPECT_EQ(info.api_version, POSADA_API_VERSION);
	EXPECT_TRUE(info.backends != 0);
	EXPECT_EQ(info.backends & ~0xeU, 0);
	EXPECT_EQ(info.max_vcpus, POSADA_MAX_VCPUS);
	EXPECT_EQ(info.max_slots, POSADA_MAX_SLOTS);
	EXPECT_GE(info.phys_bits, 36);
	EXPECT_LE(info.phys_bits, 52);
	EXPECT_GT(info.tsc_khz, 0);
	EXPECT_EQ(info.run_bytes, POSADA_RUN_BYTES);
	/* x87 and SSE always; the legacy area and the header at least. */
	EXPECT_EQ(info.xcr0 & 3, 3);
	EXPECT_GE(info.xsave_bytes, sizeof(struct posada_rec_xsave) + 576);
	EXPECT_GT(info.cpuid_entries, 5);
	EXPECT_LE(info.cpuid_entries, POSADA_MAX_CPUID);
	EXPECT_TRUE(info.features & POSADA_FEATURE_DIRTY_LOG);
}

TEST_ONCE(vm_create_errors)
{
	int sys = sys_open();
	struct posada_info info = sys_info(sys);
	int fd, n = count_fds();
	u32 id;

	for (id = 1; id < 8; id++)
		if (!(info.backends & (1U << id)))
			EXPECT_EQ(vm_create(sys, id, 0), -ENODEV);
	EXPECT_EQ(vm_create(sys, 32, 0), -ENODEV);
	EXPECT_EQ(vm_create(sys, ~0U, 0), -ENODEV);
	fd = vm_create(sys, POSADA_BACKEND_ANY, 0);
	EXPECT_GE(fd, 0);
	close(fd);
	EXPECT_EQ(count_fds(), n);
}

static volatile u32 signals;

static void count_signal(int nr)
{
	(void)nr;
	signals++;
}

/* Whoever has a timer can create VMs: a signal is handled, and the call goes on. */
TEST(vm_create_and_signals)
{
	struct posada_vm_create c = { .size = sizeof(c) };
	struct itimerval t = { .it_interval = { .tv_usec = 3000 }, .it_value = { .tv_usec = 3000 } };
	struct sigaction sa = { .sa_handler = count_signal };
	int sys = sys_open(), fd;

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
	while (signals < 50) {
		fd = px(sys, POSADA_VM_CREATE, &c);
		ASSERT_GE(fd, 0);
		close(fd);
	}
}

TEST(vcpu_create_errors)
{
	struct vm *vm = vm_empty(0);
	struct posada_info info = sys_info(vm->sys);
	int n = count_fds(), fd;

	EXPECT_EQ(vcpu_create(vm->fd, info.max_vcpus), -EINVAL);
	EXPECT_EQ(vcpu_create(vm->fd, ~0U), -EINVAL);
	EXPECT_EQ(vcpu_create(vm->fd, 0x80000000), -EINVAL);
	fd = vcpu_create(vm->fd, info.max_vcpus - 1);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(vcpu_create(vm->fd, info.max_vcpus - 1), -EEXIST);
	EXPECT_EQ(count_fds(), n + 1);
}

TEST(no_fd_left)
{
	struct vm *vm = vm_new(0);
	struct rlimit limit;
	int n;

	ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	n = dup(0);
	close(n);
	limit.rlim_cur = n;
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	EXPECT_EQ(vm_create(vm->sys, test_backend, 0), -EMFILE);
	EXPECT_EQ(vcpu_create(vm->fd, 0), -EMFILE);
	limit.rlim_cur = n + 1;
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	/* The failed call has left no vCPU 0 behind. */
	EXPECT_EQ(vcpu_create(vm->fd, 0), n);
}

/* The module's parameter is the administrator's to change at run time. */
TEST(max_vms)
{
	static const char path[] = "/sys/module/posada/parameters/max_vms";
	int sys = sys_open(), param = open(path, O_RDWR | O_CLOEXEC);
	char old[32];
	int first, second, n;

	if (param < 0)
		SKIP("%s: %s", path, strerror(errno));
	n = read(param, old, sizeof(old));
	ASSERT_TRUE(n > 0);
	first = vm_create(sys, test_backend, 0);
	ASSERT_GE(first, 0);
	ASSERT_EQ(pwrite(param, "1\n", 2, 0), 2);
	second = vm_create(sys, test_backend, 0);
	ASSERT_EQ(pwrite(param, old, n, 0), n);
	EXPECT_EQ(second, -ENOSPC);
	second = vm_create(sys, test_backend, 0);
	EXPECT_GE(second, 0);
}

TEST(slot_errors)
{
	struct vm *vm = vm_empty(0);
	struct posada_info info = sys_info(vm->sys);
	u64 hva = (u64)map_anon(0x10000), top = 1ULL << info.phys_bits;
	u64 tip = user_end() - 0x10000;

	/* Nothing there yet. */
	EXPECT_EQ(slot(vm, 0, 0, 0, 0, 0), -ENOENT);
	EXPECT_EQ(slot(vm, 511, 0, 0, 0, 0), -ENOENT);
	EXPECT_EQ(slot(vm, info.max_slots, 0, 0x1000, hva, 0), -EINVAL);
	EXPECT_EQ(slot(vm, ~0U, 0, 0x1000, hva, 0), -EINVAL);
	EXPECT_EQ(slot(vm, info.max_slots, 0, 0, 0, 0), -EINVAL);
	/* Alignment, each of the three. */
	EXPECT_EQ(slot(vm, 0, 0x800, 0x1000, hva, 0), -EINVAL);
	EXPECT_EQ(slot(vm, 0, 0, 0x1001, hva, 0), -EINVAL);
	EXPECT_EQ(slot(vm, 0, 0, 0x1000, hva + 8, 0), -EINVAL);
	/* Ranges that wrap, of gpa and of hva, or pass the last gpa. */
	EXPECT_EQ(slot(vm, 0, -0x1000ULL, 0x2000, hva, 0), -EINVAL);
	EXPECT_EQ(slot(vm, 0, -0x1000ULL, 0x1000, hva, 0), -EINVAL);
	EXPECT_EQ(slot(vm, 0, 0, -0x1000ULL, hva, 0), -EINVAL);
	EXPECT_EQ(slot(vm, 0, top, 0x1000, hva, 0), -EINVAL);
	EXPECT_EQ(slot(vm, 0, top - 0x1000, 0x2000, hva, 0), -EINVAL);
	EXPECT_EQ(slot(vm, 0, top - 0x1000, 0x1000, hva, 0), 0);
	EXPECT_EQ(slot(vm, 0, 0, 0, 0, 0), 0);
	/* Not user space: the kernel's half, the hole, and across the end. */
	EXPECT_EQ(slot(vm, 0, 0, 0x1000, 0xffff888000000000, 0), -EFAULT);
	EXPECT_EQ(slot(vm, 0, 0, 0x1000, 0x8000000000000000, 0), -EFAULT);
	EXPECT_EQ(slot(vm, 0, 0, 1ULL << 30, tip, 0), -EFAULT);
	/* None of it made a slot. */
	EXPECT_EQ(slot(vm, 0, 0, 0, 0, 0), -ENOENT);
}

TEST(slot_overlap)
{
	struct vm *vm = vm_empty(0);
	u64 hva = (u64)map_anon(0x20000);

	ASSERT_EQ(slot(vm, 3, 0x10000, 0x4000, hva, 0), 0);
	EXPECT_EQ(slot(vm, 4, 0x10000, 0x4000, hva, 0), -EEXIST);
	EXPECT_EQ(slot(vm, 4, 0xf000, 0x2000, hva, 0), -EEXIST);
	EXPECT_EQ(slot(vm, 4, 0x13000, 0x1000, hva, 0), -EEXIST);
	EXPECT_EQ(slot(vm, 4, 0x11000, 0x1000, hva, 0), -EEXIST);
	EXPECT_EQ(slot(vm, 4, 0, 0x20000, hva, 0), -EEXIST);
	EXPECT_EQ(slot(vm, 4, 0xf000, 0x1000, hva, 0), 0);
	EXPECT_EQ(slot(vm, 5, 0x14000, 0x1000, hva, 0), 0);
	/* A slot does not overlap itself, but growing may meet a neighbour. */
	EXPECT_EQ(slot(vm, 3, 0x11000, 0x3000, hva, 0), 0);
	EXPECT_EQ(slot(vm, 3, 0x10000, 0x5000, hva, 0), -EEXIST);
	EXPECT_EQ(slot(vm, 3, 0, 0, 0, 0), 0);
	EXPECT_EQ(slot(vm, 3, 0, 0, 0, 0), -ENOENT);
	EXPECT_EQ(slot(vm, 4, 0x10000, 0x4000, hva, 0), 0);
}

TEST(slot_all)
{
	struct vm *vm = vm_empty(0);
	struct posada_info info = sys_info(vm->sys);
	u64 hva = (u64)map_anon(0x1000);
	u32 i;

	/* Backwards, so that each goes to the front of a sorted table. */
	for (i = info.max_slots; i-- > 0;)
		ASSERT_EQ(slot(vm, i, i * 0x1000ULL, 0x1000, hva, 0), 0);
	EXPECT_EQ(slot(vm, 0, 0x1000, 0x1000, hva, 0), -EEXIST);
	for (i = 0; i < info.max_slots; i += 2)
		ASSERT_EQ(slot(vm, i, 0, 0, 0, 0), 0);
	EXPECT_EQ(slot(vm, 0, 0x1000, 0x1000, hva, 0), -EEXIST);
	EXPECT_EQ(slot(vm, 0, 0x2000, 0x1000, hva, 0), 0);
}

static int dirty(struct vm *vm, u32 nr, u64 first, u64 pages, u64 bitmap)
{
	struct posada_dirty_log d = {
		.size = sizeof(d), .slot = nr, .first = first, .pages = pages, .bitmap = bitmap,
	};

	return px(vm->fd, POSADA_DIRTY_LOG, &d);
}

TEST(dirty_log_errors)
{
	struct vm *vm = vm_empty(0);
	u8 *mem = map_anon(200 * 4096);
	u64 bits[4];

	ASSERT_EQ(slot(vm, 0, 0, 200 * 4096, (u64)mem, POSADA_SLOT_DIRTY_LOG), 0);
	ASSERT_EQ(slot(vm, 1, 1 << 30, 4096, (u64)mem, 0), 0);
	EXPECT_EQ(dirty(vm, 2, 0, 64, (u64)bits), -ENOENT);
	EXPECT_EQ(dirty(vm, 512, 0, 64, (u64)bits), -ENOENT);
	EXPECT_EQ(dirty(vm, ~0U, 0, 64, (u64)bits), -ENOENT);
	EXPECT_EQ(dirty(vm, 1, 0, 1, (u64)bits), -ENODATA);
	EXPECT_EQ(dirty(vm, 0, 1, 64, (u64)bits), -EINVAL);
	EXPECT_EQ(dirty(vm, 0, 0, 63, (u64)bits), -EINVAL);
	EXPECT_EQ(dirty(vm, 0, 0, 256, (u64)bits), -EINVAL);
	EXPECT_EQ(dirty(vm, 0, 256, 64, (u64)bits), -EINVAL);
	EXPECT_EQ(dirty(vm, 0, 128, 73, (u64)bits), -EINVAL);
	EXPECT_EQ(dirty(vm, 0, -64ULL, 64, (u64)bits), -EINVAL);
	EXPECT_EQ(dirty(vm, 0, 64, -64ULL, (u64)bits), -EINVAL);
	EXPECT_EQ(dirty(vm, 0, 0, 200, 8), -EFAULT);
	EXPECT_EQ(dirty(vm, 0, 0, 200, ~7ULL), -EFAULT);
	/* The last chunk may be short; what is behind the answer stays. */
	memset(bits, 0xa5, sizeof(bits));
	EXPECT_EQ(dirty(vm, 0, 128, 72, (u64)bits), 0);
	EXPECT_EQ(bits[0], 0);
	EXPECT_EQ(bits[1], 0);
	EXPECT_EQ(bits[2], 0xa5a5a5a5a5a5a5a5);
	EXPECT_EQ(dirty(vm, 0, 0, 200, (u64)bits), 0);
}

TEST(msi_errors)
{
	struct vm *vm = vm_new(1);

	EXPECT_EQ(msi(vm, 0xfed00000, 0x40), -EINVAL);
	EXPECT_EQ(msi(vm, 0xfef00000, 0x40), -EINVAL);
	EXPECT_EQ(msi(vm, 0, 0x40), -EINVAL);
	EXPECT_EQ(msi(vm, 0x1fee00000ULL, 0x40), -EINVAL);
	/* SMI, reserved, start-up. */
	EXPECT_EQ(msi(vm, MSI_ADDR(0), 0x200), -EINVAL);
	EXPECT_EQ(msi(vm, MSI_ADDR(0), 0x600), -EINVAL);
	/* Nobody has APIC id 5. */
	EXPECT_EQ(msi(vm, MSI_ADDR(5), 0x40), 0);
}

static int irqfd(struct vm *vm, int fd, u32 flags, u64 addr, u32 data)
{
	struct posada_irqfd i = {
		.size = sizeof(i), .flags = flags, .fd = fd, .addr = addr, .data = data,
	};

	return px(vm->fd, POSADA_IRQFD, &i);
}

TEST(irqfd_errors)
{
	struct vm *vm = vm_new(1);
	int fd = eventfd(0, 0), other = eventfd(0, 0);
	int file = open("/dev/null", O_RDWR);

	EXPECT_EQ(irqfd(vm, -1, 0, MSI_ADDR(0), 0x40), -EBADF);
	EXPECT_EQ(irqfd(vm, 1000, 0, MSI_ADDR(0), 0x40), -EBADF);
	EXPECT_EQ(irqfd(vm, file, 0, MSI_ADDR(0), 0x40), -EINVAL);
	EXPECT_EQ(irqfd(vm, vm->fd, 0, MSI_ADDR(0), 0x40), -EINVAL);
	EXPECT_EQ(irqfd(vm, fd, 0, 0x1000, 0x40), -EINVAL);
	EXPECT_EQ(irqfd(vm, fd, 0, MSI_ADDR(0), 0x600), -EINVAL);
	EXPECT_EQ(irqfd(vm, fd, POSADA_IRQFD_DEASSIGN, 0, 0), -ENOENT);
	EXPECT_EQ(irqfd(vm, fd, 0, MSI_ADDR(0), 0x40), 0);
	EXPECT_EQ(irqfd(vm, fd, 0, MSI_ADDR(0), 0x41), -EBUSY);
	EXPECT_EQ(irqfd(vm, other, POSADA_IRQFD_DEASSIGN, 0, 0), -ENOENT);
	EXPECT_EQ(irqfd(vm, fd, POSADA_IRQFD_DEASSIGN, 0, 0), 0);
	EXPECT_EQ(irqfd(vm, fd, POSADA_IRQFD_DEASSIGN, 0, 0), -ENOENT);
	EXPECT_EQ(irqfd(vm, fd, 0, MSI_ADDR(0), 0x40), 0);
}

struct bell {
	u32 flags, kind;
	u64 addr;
	u32 len;
	u64 match;
	int fd;
};

static int bell(struct vm *vm, struct bell b)
{
	struct posada_doorbell d = {
		.size = sizeof(d), .flags = b.flags, .kind = b.kind, .fd = b.fd,
		.addr = b.addr, .len = b.len, .match = b.match,
	};

	return px(vm->fd, POSADA_DOORBELL, &d);
}

#define BELL(...)	bell(vm, (struct bell){ .fd = fd, ##__VA_ARGS__ })

TEST(doorbell_errors)
{
	struct vm *vm = vm_new(1);
	int fd = eventfd(0, 0), file = open("/dev/null", O_RDWR);
	u32 match = POSADA_DOORBELL_MATCH;

	EXPECT_EQ(BELL(.kind = 3, .addr = 0x80, .len = 1), -EINVAL);
	EXPECT_EQ(BELL(.kind = ~0U, .addr = 0x80, .len = 1), -EINVAL);
	EXPECT_EQ(BELL(.addr = 0x80, .len = 3), -EINVAL);
	EXPECT_EQ(BELL(.addr = 0x80, .len = 8), -EINVAL);
	EXPECT_EQ(BELL(.addr = 0x80, .len = 16), -EINVAL);
	EXPECT_EQ(BELL(.addr = 0x80, .len = 0), -EINVAL);
	EXPECT_EQ(BELL(.addr = 0x10000, .len = 1), -EINVAL);
	EXPECT_EQ(BELL(.addr = 0x100000080, .len = 1), -EINVAL);
	EXPECT_EQ(BELL(.addr = 0xffff, .len = 2), -EINVAL);
	EXPECT_EQ(BELL(.flags = match, .addr = 0x80, .len = 1, .match = 0x100), -EINVAL);
	EXPECT_EQ(BELL(.flags = match, .addr = 0x80, .len = 2, .match = 0x10000), -EINVAL);
	EXPECT_EQ(BELL(.flags = match, .addr = 0x80, .len = 4, .match = 1ULL << 32), -EINVAL);
	EXPECT_EQ(bell(vm, (struct bell){ .addr = 0x80, .len = 1, .fd = -1 }), -EBADF);
	EXPECT_EQ(bell(vm, (struct bell){ .addr = 0x80, .len = 1, .fd = 1000 }), -EBADF);
	EXPECT_NE(bell(vm, (struct bell){ .addr = 0x80, .len = 1, .fd = file }), 0);
	EXPECT_EQ(BELL(.flags = POSADA_DOORBELL_DEASSIGN, .addr = 0x80, .len = 1), -ENOENT);
	EXPECT_EQ(BELL(.kind = POSADA_DOORBELL_MEMORY, .addr = 0x1000, .len = 4), -EINVAL);
	EXPECT_EQ(BELL(.kind = POSADA_DOORBELL_MEMORY, .flags = match, .addr = 0x1000), -EINVAL);
	EXPECT_EQ(BELL(.addr = 0xffff, .len = 1), 0);
}

TEST(doorbell_same_writes)
{
	struct vm *vm = vm_new(1);
	int fd = eventfd(0, 0);
	u32 match = POSADA_DOORBELL_MATCH, off = POSADA_DOORBELL_DEASSIGN;

	ASSERT_EQ(BELL(.flags = match, .addr = 0x80, .len = 2, .match = 5), 0);
	EXPECT_EQ(BELL(.flags = match, .addr = 0x80, .len = 2, .match = 5), -EEXIST);
	/* A bell without a match takes what one with a match takes. */
	EXPECT_EQ(BELL(.addr = 0x80, .len = 2), -EEXIST);
	EXPECT_EQ(BELL(.flags = match, .addr = 0x80, .len = 2, .match = 6), 0);
	EXPECT_EQ(BELL(.flags = match, .addr = 0x80, .len = 1, .match = 5), 0);
	EXPECT_EQ(BELL(.kind = POSADA_DOORBELL_CALL, .addr = 0x80), 0);
	EXPECT_EQ(BELL(.kind = POSADA_DOORBELL_CALL, .addr = 0x80), -EEXIST);
	EXPECT_EQ(BELL(.flags = off | match, .addr = 0x80, .len = 2, .match = 7), -ENOENT);
	EXPECT_EQ(BELL(.flags = off | match, .addr = 0x80, .len = 2, .match = 5), 0);
	EXPECT_EQ(BELL(.flags = off | match, .addr = 0x80, .len = 2, .match = 5), -ENOENT);
	EXPECT_EQ(BELL(.flags = match, .addr = 0x80, .len = 2, .match = 5), 0);
}

TEST(doorbell_most)
{
	struct vm *vm = vm_new(1);
	int fd = eventfd(0, 0);
	u32 i;

	for (i = 0; i < POSADA_MAX_DOORBELLS; i++)
		ASSERT_EQ(BELL(.kind = POSADA_DOORBELL_CALL, .addr = i), 0);
	EXPECT_EQ(BELL(.kind = POSADA_DOORBELL_CALL, .addr = i), -ENOSPC);
	EXPECT_EQ(BELL(.addr = 0x80, .len = 1), -ENOSPC);
	EXPECT_EQ(BELL(.flags = POSADA_DOORBELL_DEASSIGN,
		       .kind = POSADA_DOORBELL_CALL, .addr = 0), 0);
	EXPECT_EQ(BELL(.addr = 0x80, .len = 1), 0);
}

TEST(inject_errors)
{
	static const u8 not_exceptions[] = { 2, 9, 15, 22, 23, 24, 25, 26, 27, 31 };
	struct posada_inject i = {
		.size = sizeof(i), .kind = POSADA_INJECT_EXCEPTION, .vector = DB,
	};
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u32 vector;

	EXPECT_EQ(inject(v, 4, 0), -EINVAL);
	EXPECT_EQ(inject(v, ~0U, 0), -EINVAL);
	EXPECT_EQ(inject(v, POSADA_INJECT_INTERRUPT, 256), -EINVAL);
	EXPECT_EQ(inject(v, POSADA_INJECT_INTERRUPT, ~0U), -EINVAL);
	EXPECT_EQ(inject(v, POSADA_INJECT_EXCEPTION, 32), -EINVAL);
	for (vector = 0; vector < ARRAY_SIZE(not_exceptions); vector++)
		EXPECT_EQ(inject(v, POSADA_INJECT_EXCEPTION, not_exceptions[vector]), -EINVAL);
	/* DR6 has 32 bits. */
	i.payload = BIT(32);
	EXPECT_EQ(px(v->fd, POSADA_INJECT, &i), -EINVAL);
	/* An error code where the exception pushes none. */
	for (vector = 0; vector < 32; vector++) {
		if (vector == DF || (vector >= TS && vector <= PF) || vector == AC ||
		    vector == 21 || vector == 29 || vector == 30)
			continue;
		EXPECT_EQ(inject_error(v, vector, 0, 0), -EINVAL);
	}
	EXPECT_EQ(inject(v, POSADA_INJECT_INTERRUPT, 0x40), 0);
	EXPECT_EQ(inject(v, POSADA_INJECT_INTERRUPT, 0x41), -EBUSY);
	EXPECT_EQ(inject(v, POSADA_INJECT_EXCEPTION, UD), 0);
	EXPECT_EQ(inject(v, POSADA_INJECT_EXCEPTION, UD), -EBUSY);
}

static int apic(struct vcpu *v, u32 flags, u32 offset)
{
	struct posada_apic_reg a = { .size = sizeof(a), .flags = flags, .offset = offset };

	return px(v->fd, POSADA_APIC, &a);
}

TEST(apic_errors)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	EXPECT_EQ(apic(v, 0, APIC_VERSION + 4), -EINVAL);
	EXPECT_EQ(apic(v, 0, 1), -EINVAL);
	EXPECT_EQ(apic(v, 0, 4096), -EINVAL);
	EXPECT_EQ(apic(v, POSADA_APIC_WRITE, 0x80000000), -EINVAL);
	EXPECT_EQ(apic(v, 0, APIC_VERSION), 0);
	/* x2APIC mode: there is no such page. */
	vcpu_start(v, g_apic_on, 0);
	vcpu_done(v);
	EXPECT_EQ(apic(v, 0, APIC_VERSION), -ENXIO);
	EXPECT_EQ(apic(v, 0, APIC_VERSION + 4), -EINVAL);
}

static int debug(struct vcpu *v, u32 flags, u64 dr0, u64 dr7)
{
	struct posada_debug d = { .size = sizeof(d), .flags = flags, .dr = { dr0 }, .dr7 = dr7 };

	return px(v->fd, POSADA_DEBUG, &d);
}

TEST(debug_errors)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	EXPECT_EQ(debug(v, POSADA_DEBUG_HARDWARE, 0, 1ULL << 32), -EINVAL);
	EXPECT_EQ(debug(v, POSADA_DEBUG_HARDWARE, 0, 1 << 14), -EINVAL);
	EXPECT_EQ(debug(v, POSADA_DEBUG_HARDWARE, 1ULL << 62, 1), -EINVAL);
	EXPECT_EQ(debug(v, POSADA_DEBUG_HARDWARE, 0x400000, 1), 0);
	EXPECT_EQ(debug(v, 0, 0, 0), 0);
}

static int translate(struct vcpu *v, u64 gva, u32 access, struct posada_translate *t)
{
	*t = (struct posada_translate){ .size = sizeof(*t), .flags = access, .gva = gva };
	return px(v->fd, POSADA_TRANSLATE, t);
}

static void guest_nothing(void)
{
}

TEST(translate)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 *pd = gpa_ptr(vm, G_PD), *pt = gpa_ptr(vm, G_SPARE_TABLES);
	struct posada_translate t;
	u64 gva = 0x40000000;

	/* Page 0: user, read-only, not executable; page 1: supervisor only. */
	pt[0] = G_HEAP | 0x05 | BIT(63);
	pt[1] = (G_HEAP + 0x5000) | 0x03;
	pd[512] = G_SPARE_TABLES | 0x07;
	vcpu_start(v, guest_nothing, 0);
	vcpu_done(v);
	EXPECT_EQ(translate(v, gva + 0x123, POSADA_ACCESS_READ, &t), 0);
	EXPECT_EQ(t.gpa, G_HEAP + 0x123);
	EXPECT_EQ(t.page_bytes, 4096);
	EXPECT_EQ(translate(v, gva + 0x1ffe, POSADA_ACCESS_WRITE, &t), 0);
	EXPECT_EQ(t.gpa, G_HEAP + 0x5ffe);
	EXPECT_EQ(translate(v, 0x3fffffff, POSADA_ACCESS_EXEC, &t), 0);
	EXPECT_EQ(t.page_bytes, 2 << 20);
	/* What faults, and with which error code. */
	EXPECT_EQ(translate(v, gva, POSADA_ACCESS_WRITE, &t), -ENXIO);
	EXPECT_EQ(t.error_code, 0x3);
	EXPECT_EQ(translate(v, gva, POSADA_ACCESS_EXEC, &t), -ENXIO);
	EXPECT_EQ(t.error_code, 0x11);
	EXPECT_EQ(translate(v, gva, POSADA_ACCESS_READ | POSADA_ACCESS_USER, &t), 0);
	EXPECT_EQ(translate(v, gva, POSADA_ACCESS_WRITE | POSADA_ACCESS_USER, &t), -ENXIO);
	EXPECT_EQ(t.error_code, 0x7);
	EXPECT_EQ(translate(v, gva + 0x1000, POSADA_ACCESS_READ | POSADA_ACCESS_USER, &t), -ENXIO);
	EXPECT_EQ(t.error_code, 0x5);
	EXPECT_EQ(translate(v, gva + 0x2000, POSADA_ACCESS_READ, &t), -ENXIO);
	EXPECT_EQ(t.error_code, 0);
	EXPECT_EQ(translate(v, gva + 0x2000, POSADA_ACCESS_WRITE | POSADA_ACCESS_USER, &t), -ENXIO);
	EXPECT_EQ(t.error_code, 0x6);
	EXPECT_EQ(translate(v, 1ULL << 40, POSADA_ACCESS_READ, &t), -ENXIO);
	/* No bits are set on the way. */
	EXPECT_EQ(pt[0], G_HEAP | 0x05 | BIT(63));
	EXPECT_EQ(pt[1], (G_HEAP + 0x5000) | 0x03);
	EXPECT_EQ(pd[512], G_SPARE_TABLES | 0x07);
	EXPECT_EQ(translate(v, 1ULL << 47, POSADA_ACCESS_READ, &t), -EINVAL);
	EXPECT_EQ(translate(v, 1ULL << 63, POSADA_ACCESS_READ, &t), -EINVAL);
}

/* A supervisor's read of a user's page, by CPL, AC and SMAP: the result. */
static int translate_at(struct vcpu *v, u64 gva, u32 cpl, bool ac)
{
	struct posada_translate t;
	struct posada_sregs s;
	struct posada_regs r;

	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_SREGS, &s, sizeof(s), NULL), 0);
	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_REGS, &r, sizeof(r), NULL), 0);
	s.cr4 |= BIT(21);
	s.seg[POSADA_CS] = (struct posada_segment){
		.selector = cpl ? G_UCODE64 | 3 : G_CODE64, .limit = ~0U,
		.attr = POSADA_SEG_P | POSADA_SEG_S | POSADA_SEG_L | POSADA_SEG_G | 0xb |
			cpl << POSADA_SEG_DPL_SHIFT,
	};
	s.seg[POSADA_SS] = (struct posada_segment){
		.selector = cpl ? G_UDATA | 3 : G_DATA, .limit = ~0U,
		.attr = POSADA_SEG_P | POSADA_SEG_S | POSADA_SEG_DB | POSADA_SEG_G | 0x3 |
			cpl << POSADA_SEG_DPL_SHIFT,
	};
	r.rflags = 2 | (ac ? BIT(18) : 0);
	ASSERT_EQ(rec_set(v->fd, POSADA_VCPU_STATE, POSADA_REC_SREGS, &s, sizeof(s)), 0);
	ASSERT_EQ(rec_set(v->fd, POSADA_VCPU_STATE, POSADA_REC_REGS, &r, sizeof(r)), 0);
	return translate(v, gva, POSADA_ACCESS_READ, &t);
}

TEST(translate_with_smap)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 *pd = gpa_ptr(vm, G_PD), *pt = gpa_ptr(vm, G_SPARE_TABLES);
	u64 gva = 0x40000000;

	pt[0] = G_HEAP | 0x07;
	pd[512] = G_SPARE_TABLES | 0x07;
	vcpu_start(v, guest_nothing, 0);
	vcpu_done(v);
	if (!(g_cpuid(7, 0).b & BIT(20)))
		SKIP("the host has no SMAP");
	EXPECT_EQ(translate_at(v, gva, 0, false), -ENXIO);
	EXPECT_EQ(translate_at(v, gva, 0, true), 0);
	/* At CPL 3 it is an implicit one, of a descriptor; AC is no excuse. */
	EXPECT_EQ(translate_at(v, gva, 3, false), -ENXIO);
	EXPECT_EQ(translate_at(v, gva, 3, true), -ENXIO);
}

TEST(translate_without_paging)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	struct posada_translate t;

	/* OUT to PORT_DONE in real mode, for a state that was run. */
	memcpy(gpa_ptr(vm, G_LOW_CODE), "\x66\xba\xd0\x00\x00\x00\x66\xef\xf4", 9);
	vcpu_start_real(v, G_LOW_CODE);
	vcpu_done(v);
	EXPECT_EQ(translate(v, 0x12345, POSADA_ACCESS_WRITE | POSADA_ACCESS_USER, &t), 0);
	EXPECT_EQ(t.gpa, 0x12345);
}

static int mapping(int fd, u64 bytes, int prot, int flags, u64 offset)
{
	void *p = mmap(NULL, bytes, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, bytes);
	return 0;
}

TEST(mmap_errors)
{
	struct vm *vm = vm_new(1);
	int fd = vm->vcpu[0]->fd, rw = PROT_READ | PROT_WRITE;
	u8 *p;

	EXPECT_EQ(mapping(fd, 4096, rw, MAP_SHARED, 0), 0);
	EXPECT_NE(mapping(fd, 8192, rw, MAP_SHARED, 0), 0);
	EXPECT_NE(mapping(fd, 4096, rw, MAP_SHARED, 4096), 0);
	EXPECT_NE(mapping(fd, 4096, rw, MAP_SHARED, 1ULL << 40), 0);
	EXPECT_NE(mapping(fd, 4096, rw, MAP_PRIVATE, 0), 0);
	EXPECT_NE(mapping(vm->fd, 4096, rw, MAP_SHARED, 0), 0);
	EXPECT_NE(mapping(vm->sys, 4096, rw, MAP_SHARED, 0), 0);
	/* The mapping outlives the fd. */
	p = mmap(NULL, 4096, rw, MAP_SHARED, fd, 0);
	ASSERT_TRUE(p != MAP_FAILED);
	ASSERT_EQ(munmap(vm->vcpu[0]->run, 4096), 0);
	close(fd);
	close(vm->fd);
	p[4095] = 1;
	EXPECT_EQ(p[4095], 1);
	EXPECT_EQ(mremap(p, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED, true);
}
