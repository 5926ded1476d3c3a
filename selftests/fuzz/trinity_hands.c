// SPDX-License-Identifier: GPL-2.0
/*
 * LD_PRELOAD for trinity, which knows nothing of Posada: what it opens by that
 * name is a VM's fd or a vCPU's as often, and of its reads and writes, all
 * of which those refuse, most are Posada's ioctls with trinity's own fd and buffer.
 * fuzz_trinity.c starts it, with TRINITY_CALLS naming a file of 16 bytes: how
 * many ioctls there were, and how many succeeded.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../uapi/posada.h"
#include "../../uapi/posada_stats.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	unsigned int nr, bytes;
} requests[] = {
	{ POSADA_INFO, sizeof(struct posada_info) },
	{ POSADA_VM_CREATE, sizeof(struct posada_vm_create) },
	{ POSADA_VCPU_CREATE, sizeof(struct posada_vcpu_create) },
	{ POSADA_SLOT_SET, sizeof(struct posada_slot) },
	{ POSADA_DIRTY_LOG, sizeof(struct posada_dirty_log) },
	{ POSADA_MSI, sizeof(struct posada_msi) },
	{ POSADA_IRQFD, sizeof(struct posada_irqfd) },
	{ POSADA_DOORBELL, sizeof(struct posada_doorbell) },
	{ POSADA_VM_STATE, sizeof(struct posada_state) },
	{ POSADA_VM_STATS, sizeof(struct posada_stats) },
	{ POSADA_GENERATION, sizeof(struct posada_generation_set) },
	{ POSADA_RUN, 0 },
	{ POSADA_KICK, 0 },
	{ POSADA_VCPU_STATE, sizeof(struct posada_state) },
	{ POSADA_INJECT, sizeof(struct posada_inject) },
	{ POSADA_APIC, sizeof(struct posada_apic_reg) },
	{ POSADA_DEBUG, sizeof(struct posada_debug) },
	{ POSADA_TRANSLATE, sizeof(struct posada_translate) },
	{ POSADA_VCPU_STATS, sizeof(struct posada_stats) },
	{ POSADA_IO(0x7f), 16 },
};

static long (*real_syscall)(long nr, ...);
static int (*real_open)(const char *path, int flags, ...);
static uint64_t *calls;		/* all, and those that succeeded */

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("TRINITY_CALLS");
	int fd;

	real_syscall = dlsym(RTLD_NEXT, "syscall");
	real_open = dlsym(RTLD_NEXT, "open");
	fd = path ? real_open(path, O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		_exit(1);
	calls = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (calls == MAP_FAILED)
		_exit(1);
	close(fd);
}

/* Of the run's seed, as it is trinity that draws from this. */
static unsigned int draw(unsigned int n)
{
	return (unsigned int)rand() / 7 % n;
}

/* Instead of @sys: itself, a VM, or a vCPU of one. */
static int some_fd(int sys)
{
	struct posada_vm_create vm = { .size = sizeof(vm) };
	struct posada_vcpu_create vcpu = { .size = sizeof(vcpu) };
	unsigned int what = draw(3);
	int fd, v;

	if (!what)
		return sys;
	fd = real_syscall(SYS_ioctl, sys, POSADA_VM_CREATE, &vm);
	if (fd < 0)
		return sys;
	close(sys);
	if (what == 1)
		return fd;
	v = real_syscall(SYS_ioctl, fd, POSADA_VCPU_CREATE, &vcpu);
	if (v < 0)
		return fd;
	close(fd);
	return v;
}

int open(const char *path, int flags, ...)
{
	va_list list;
	int mode, fd;

	va_start(list, flags);
	mode = va_arg(list, int);
	va_end(list);
	fd = real_open(path, flags, mode);
	return fd < 0 || !strstr(path, "/dev/posada") ? fd : some_fd(fd);
}

/* Write @size to @at, which is trinity's: any address. */
static void put_size(long at, uint32_t size)
{
	int fd = real_open("/proc/self/mem", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (real_syscall(SYS_pwrite64, fd, &size, sizeof(size), at) < 0)
		errno = 0;
	close(fd);
}

/* An ioctl of Posada's, whose struct at @buffer has its right size every other time. */
static long some_ioctl(long fd, long buffer)
{
	unsigned int i = draw(ARRAY_SIZE(requests));
	long ret;

	if (requests[i].bytes && draw(2))
		put_size(buffer, requests[i].bytes);
	ret = real_syscall(SYS_ioctl, fd, (unsigned long)requests[i].nr, buffer);
	__atomic_add_fetch(&calls[0], 1, __ATOMIC_RELAXED);
	if (ret >= 0)
		__atomic_add_fetch(&calls[1], 1, __ATOMIC_RELAXED);
	return ret;
}

long syscall(long nr, ...)
{
	long a[6];
	va_list list;
	size_t i;

	va_start(list, nr);
	for (i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if ((nr == SYS_write || nr == SYS_read || nr == SYS_pwrite64 || nr == SYS_pread64) && draw(8))
		return some_ioctl(a[0], a[1]);
	return real_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}
