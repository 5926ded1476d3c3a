// SPDX-License-Identifier: GPL-2.0
/* Memory slots, and the one door to guest memory by guest-physical address. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define HUGE_BYTES	(2UL << 20)

static int slot_ioctl(struct posada_vm *vm, uint32_t slot, uint64_t gpa,
		      uint64_t bytes, const void *hva, uint32_t flags)
{
	struct posada_slot arg = {
		.size = sizeof(arg),
		.flags = flags,
		.slot = slot,
		.gpa = gpa,
		.bytes = bytes,
		.hva = (uintptr_t)hva,
	};

	return posada_call(vm->fd, POSADA_SLOT_SET, &arg);
}

/* Record what the kernel has accepted. The caller holds the lock. */
static void slot_record(struct posada_vm *vm, uint32_t slot,
			const struct memory_slot *what)
{
	vm->slots[slot] = *what;
	if (slot >= vm->nr_slots)
		vm->nr_slots = slot + 1;
	while (vm->nr_slots && !vm->slots[vm->nr_slots - 1].bytes)
		vm->nr_slots--;
}

static int slot_set(struct posada_vm *vm, uint32_t slot,
		    const struct memory_slot *what)
{
	struct memory_slot old = { 0 };
	int ret;

	if (slot >= POSADA_MAX_SLOTS)
		return -EINVAL;
	pthread_rwlock_wrlock(&vm->lock);
	ret = slot_ioctl(vm, slot, what->gpa, what->bytes, what->hva,
			 what->flags);
	if (!ret) {
		old = vm->slots[slot];
		slot_record(vm, slot, what);
	}
	pthread_rwlock_unlock(&vm->lock);
	if (old.ours && old.hva != what->hva)
		munmap(old.hva, old.bytes);
	return ret;
}

/* Map @bytes so that huge pages of host and guest coincide: @gpa and the
 * address found are congruent modulo 2 MiB.
 */
static void *map_aligned(uint64_t gpa, uint64_t bytes, int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	size_t room = bytes + HUGE_BYTES;
	uint8_t *raw, *at;

	raw = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw == MAP_FAILED)
		return NULL;
	at = raw + (((gpa - (uintptr_t)raw) % HUGE_BYTES + HUGE_BYTES) %
		    HUGE_BYTES);
	if (mmap(at, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) ==
	    MAP_FAILED) {
		munmap(raw, room);
		return NULL;
	}
	if (at > raw)
		munmap(raw, at - raw);
	munmap(at + bytes, raw + room - (at + bytes));
	madvise(at, bytes, MADV_HUGEPAGE);
	return at;
}

static int make_memfd(uint64_t bytes)
{
	int fd = memfd_create("posada-guest", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes)) {
		int ret = -errno;

		close(fd);
		return ret;
	}
	return fd;
}

int posada_memory_add(struct posada_vm *vm, uint32_t slot, uint64_t gpa,
		      uint64_t bytes, uint32_t flags, int *memfd, void **hva)
{
	struct memory_slot what = {
		.gpa = gpa, .bytes = bytes, .flags = flags, .ours = true,
		.memfd = memfd,
	};
	int ret, fd = -1;

	if (!bytes || bytes & PAGE_MASK || bytes + HUGE_BYTES < bytes)
		return -EINVAL;
	if (memfd) {
		fd = make_memfd(bytes);
		if (fd < 0)
			return fd;
	}
	what.hva = map_aligned(gpa, bytes, fd);
	ret = what.hva ? slot_set(vm, slot, &what) : -ENOMEM;
	if (ret) {
		if (what.hva)
			munmap(what.hva, bytes);
		if (fd >= 0)
			close(fd);
		return ret;
	}
	if (memfd)
		*memfd = fd;
	if (hva)
		*hva = what.hva;
	return 0;
}

int posada_memory_map(struct posada_vm *vm, uint32_t slot, uint64_t gpa,
		      uint64_t bytes, void *hva, uint32_t flags)
{
	struct memory_slot what = {
		.gpa = gpa, .bytes = bytes, .hva = hva, .flags = flags,
	};

	return bytes ? slot_set(vm, slot, &what) : -EINVAL;
}

int posada_memory_remove(struct posada_vm *vm, uint32_t slot)
{
	static const struct memory_slot none;

	return slot_set(vm, slot, &none);
}

int posada_dirty_log(struct posada_vm *vm, uint32_t slot, uint64_t first,
		     uint64_t pages, void *bitmap, bool clear)
{
	struct posada_dirty_log arg = {
		.size = sizeof(arg),
		.flags = clear ? POSADA_DIRTY_CLEAR : 0,
		.slot = slot,
		.first = first,
		.pages = pages,
		.bitmap = (uintptr_t)bitmap,
	};

	return posada_call(vm->fd, POSADA_DIRTY_LOG, &arg);
}

/* ---- access by gpa ---- */

/* The one range check: the slot that holds all of [gpa, gpa + bytes). */
const struct memory_slot *find_slot(const struct posada_vm *vm, uint64_t gpa,
				    uint64_t bytes)
{
	uint32_t i;

	for (i = 0; i < vm->nr_slots; i++) {
		const struct memory_slot *s = &vm->slots[i];

		if (gpa >= s->gpa && gpa - s->gpa < s->bytes &&
		    bytes <= s->bytes - (gpa - s->gpa))
			return s;
	}
	return NULL;
}

void *posada_hva(struct posada_vm *vm, uint64_t gpa, uint64_t bytes)
{
	const struct memory_slot *s;
	void *hva = NULL;

	pthread_rwlock_rdlock(&vm->lock);
	s = find_slot(vm, gpa, bytes);
	if (s)
		hva = s->hva + (gpa - s->gpa);
	pthread_rwlock_unlock(&vm->lock);
	return hva;
}

/* Copy page by page: a range may cross slots that are neighbours. */
static int copy(struct posada_vm *vm, uint64_t gpa, void *data, size_t bytes,
		bool write)
{
	const struct memory_slot *s;
	uint8_t *at = data, *hva;
	int ret = 0;

	pthread_rwlock_rdlock(&vm->lock);
	while (bytes) {
		size_t n = POSADA_PAGE_SIZE - (gpa & PAGE_MASK);

		if (n > bytes)
			n = bytes;
		s = find_slot(vm, gpa, n);
		if (!s || (write && s->flags & POSADA_SLOT_READONLY)) {
			ret = -EFAULT;
			break;
		}
		hva = s->hva + (gpa - s->gpa);
		memcpy(write ? hva : at, write ? at : hva, n);
		gpa += n;
		at += n;
		bytes -= n;
	}
	pthread_rwlock_unlock(&vm->lock);
	return ret;
}

int posada_read(struct posada_vm *vm, uint64_t gpa, void *data, size_t bytes)
{
	return copy(vm, gpa, data, bytes, false);
}

int posada_write(struct posada_vm *vm, uint64_t gpa, const void *data,
		 size_t bytes)
{
	return copy(vm, gpa, (void *)data, bytes, true);
}
