// SPDX-License-Identifier: GPL-2.0
/*
 * The VMM's side of hypercalls in libposada: the ring of a console with a guest
 * that lies, and free pages, which are nobody else's. KTAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libposada.h"
#include "posada_hypercall.h"
#include "unit.h"

#define PAGE		((uint64_t)POSADA_PAGE_SIZE)
#define RAM		(1ULL << 20)
#define RING		0x10000ULL
#define LIST		0x8000ULL
#define OUT		4096U
#define OTHERS		(16ULL << 20)	/* memory of the caller's */
#define SHARED		(32ULL << 20)	/* a memfd's */
#define READONLY	(48ULL << 20)

static struct posada_vm *vm;
static struct posada_console c;
static struct posada_console_ring *ring;
static uint8_t *ram, *others, *shared, *readonly, *out;
static int memfd;

/* ---- a kernel that agrees to everything ---- */

int __wrap_ioctl(int fd, unsigned long nr, ...);

int __wrap_ioctl(int fd, unsigned long nr, ...)
{
	struct posada_info *info;
	va_list args;

	(void)fd;
	va_start(args, nr);
	info = va_arg(args, void *);
	va_end(args);
	if (nr == POSADA_INFO)
		info->phys_bits = 40;
	return nr == POSADA_VM_CREATE ? dup(STDERR_FILENO) : 0;
}

static bool set_up(void)
{
	void *hva;

	CHECK(!posada_vm_create(&vm, STDERR_FILENO, POSADA_BACKEND_ANY, 0));
	CHECK(!posada_memory_add(vm, 0, 0, RAM, 0, NULL, &hva));
	ram = hva;
	others = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(!posada_memory_map(vm, 1, OTHERS, RAM, others, 0));
	CHECK(!posada_memory_add(vm, 2, SHARED, RAM, 0, &memfd, &hva));
	shared = hva;
	CHECK(!posada_memory_add(vm, 3, READONLY, RAM, POSADA_SLOT_READONLY, NULL, &hva));
	readonly = hva;
	ring = (void *)(ram + RING);
	out = ram + RING + PAGE;
	return true;
}

/* ---- the ring ---- */

static bool set_ring(void)
{
	memset(ring, 0, PAGE + OUT);
	return !posada_console_set(&c, vm, RING, PAGE + OUT);
}

static bool test_set(void)
{
	static const struct { uint64_t gpa; uint32_t bytes; int64_t ret; } bad[] = {
		{ RING + 1, PAGE + OUT, -POSADA_EINVAL },
		{ RING, PAGE, -POSADA_EINVAL },
		{ RING, PAGE - 1, -POSADA_EINVAL },
		{ RING, PAGE + OUT + 1, -POSADA_EINVAL },
		{ RING, PAGE + 3 * OUT, -POSADA_EINVAL },
		{ RAM - PAGE, PAGE + OUT, -POSADA_EFAULT },
		{ RAM, PAGE + OUT, -POSADA_EFAULT },
		{ ~0ULL << 12, PAGE + OUT, -POSADA_EFAULT },
	};
	uint8_t byte;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		CHECK(set_ring());
		CHECK(posada_console_set(&c, vm, bad[i].gpa, bad[i].bytes) == bad[i].ret);
		/* What was there before is no more, either. */
		ring->out_tail = 1;
		CHECK(!posada_console_read(&c, &byte, 1));
		CHECK(!posada_console_room(&c) && !posada_console_write(&c, &byte, 1));
		CHECK(!posada_console_listen(&c, true));
	}
	CHECK(set_ring() && ring->bell == 1);
	CHECK(!posada_console_set(&c, vm, 0, 0) && !posada_console_room(&c));
	return true;
}

static bool test_output(void)
{
	uint8_t data[2 * OUT];
	uint32_t i;

	CHECK(set_ring());
	CHECK(!posada_console_read(&c, data, sizeof(data)));
	memcpy(out, "hello", 5);
	ring->out_tail = 5;
	CHECK(posada_console_read(&c, data, 2) == 2 && ring->out_head == 2);
	CHECK(posada_console_read(&c, data + 2, sizeof(data)) == 3 && !memcmp(data, "hello", 5));
	/* Around the end, and full. */
	for (i = 0; i < OUT; i++)
		out[(5 + i) % OUT] = (uint8_t)(i * 7);
	ring->out_tail = 5 + OUT;
	CHECK(posada_console_read(&c, data, sizeof(data)) == OUT);
	for (i = 0; i < OUT; i++)
		CHECK(data[i] == (uint8_t)(i * 7));
	CHECK(ring->out_head == 5 + OUT && !posada_console_read(&c, data, sizeof(data)));
	return true;
}

static bool test_wrap(void)
{
	uint8_t data[OUT];
	uint32_t tail;

	CHECK(set_ring());
	/* Counters run freely: past 2^32, in steps of a full ring. */
	for (tail = OUT; tail >= OUT; tail += OUT) {
		ring->out_tail = tail;
		if (posada_console_read(&c, data, OUT) != OUT)
			break;
	}
	CHECK(!tail);
	ring->out_tail = 0;
	CHECK(posada_console_read(&c, data, OUT) == OUT && !ring->out_head);
	return true;
}

static bool test_liar(void)
{
	uint8_t data[OUT];

	CHECK(set_ring());
	ring->out_tail = OUT + 1;
	CHECK(!posada_console_read(&c, data, OUT) && ring->out_head == OUT + 1);
	ring->out_tail = OUT;
	CHECK(!posada_console_read(&c, data, OUT));
	/* What it makes of our counters is nothing to us. */
	ring->out_head = 77;
	ring->out_tail = OUT + 3;
	CHECK(posada_console_read(&c, data, OUT) == 3);
	ring->in_head = 1;
	CHECK(!posada_console_room(&c) && !posada_console_write(&c, "x", 1));
	ring->in_head = 0;
	ring->in_tail = 0xffffffff;
	CHECK(posada_console_write(&c, "x", 1) == 1 && ring->in_tail == 1);
	return true;
}

static bool test_bell(void)
{
	uint8_t byte;

	CHECK(set_ring());
	CHECK(!posada_console_listen(&c, false) && !ring->bell);
	ring->out_tail = 1;
	CHECK(posada_console_listen(&c, true) && ring->bell);
	CHECK(posada_console_read(&c, &byte, 1) == 1);
	CHECK(!posada_console_listen(&c, true));
	return true;
}

static bool test_input(void)
{
	uint8_t data[POSADA_CONSOLE_IN + 5];
	uint32_t i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 5);
	CHECK(set_ring());
	CHECK(posada_console_write(&c, data, 3) == 3 && ring->in_tail == 3);
	ring->in_head = 3;
	CHECK(posada_console_room(&c) == POSADA_CONSOLE_IN);
	CHECK(posada_console_write(&c, data, sizeof(data)) == POSADA_CONSOLE_IN);
	CHECK(!posada_console_room(&c) && ring->in_tail == 3 + POSADA_CONSOLE_IN);
	for (i = 0; i < POSADA_CONSOLE_IN; i++)
		CHECK(ring->in[(3 + i) % POSADA_CONSOLE_IN] == data[i]);
	ring->in_head = 13;
	CHECK(posada_console_room(&c) == 10);
	return true;
}

/* ---- free pages ---- */

static int64_t give(uint64_t gpa, uint64_t bytes)
{
	struct posada_range r = { gpa, bytes };

	memset(ram + RING, 0x5a, 8 * PAGE);
	memcpy(ram + LIST, &r, sizeof(r));
	return posada_free_pages(vm, LIST, sizeof(r));
}

static bool untouched(void)
{
	size_t i;

	for (i = 0; i < 8 * PAGE; i++)
		if (ram[RING + i] != 0x5a)
			return false;
	return true;
}

static bool test_free(void)
{
	struct stat before, after;
	size_t i;

	CHECK(give(RING + PAGE, 2 * PAGE) == 1);
	for (i = 0; i < 8 * PAGE; i++)
		CHECK(ram[RING + i] == (i / PAGE == 1 || i / PAGE == 2 ? 0 : 0x5a));
	/* A page of a memfd leaves the file, not this mapping alone. */
	memset(shared, 1, 4 * PAGE);
	CHECK(!fstat(memfd, &before));
	CHECK(give(SHARED + PAGE, PAGE) == 1 && !fstat(memfd, &after));
	CHECK(after.st_blocks < before.st_blocks);
	CHECK(!shared[PAGE] && shared[0] && shared[2 * PAGE]);
	/* What the caller mapped is the caller's. */
	others[PAGE] = 1;
	CHECK(give(OTHERS + PAGE, PAGE) == 1 && others[PAGE] == 1);
	return true;
}

static bool test_free_errors(void)
{
	static const struct { uint64_t gpa, bytes; int64_t ret; } bad[] = {
		{ RING + 1, PAGE, -POSADA_EINVAL },
		{ RING, PAGE + 8, -POSADA_EINVAL },
		{ RING, 0, -POSADA_EINVAL },
		{ RAM - PAGE, 2 * PAGE, -POSADA_EFAULT },
		{ RAM, PAGE, -POSADA_EFAULT },
		{ RING, ~0ULL << 12, -POSADA_EFAULT },
		{ ~0ULL << 12, PAGE, -POSADA_EFAULT },
		{ ~0ULL << 12, 2 * PAGE, -POSADA_EFAULT },
		{ READONLY, PAGE, -POSADA_EFAULT },
	};
	struct posada_range two[2] = { { RING, PAGE }, { RAM, PAGE } };
	size_t i;

	readonly[0] = 1;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		CHECK(give(bad[i].gpa, bad[i].bytes) == bad[i].ret && untouched());
	CHECK(readonly[0] == 1);
	CHECK(posada_free_pages(vm, RAM - 8, sizeof(two[0])) == -POSADA_EFAULT);
	CHECK(posada_free_pages(vm, LIST, (POSADA_RANGES_MAX + 1) * sizeof(two[0])) ==
	      -POSADA_E2BIG);
	/* The good ones before a bad one are taken. */
	memcpy(ram + LIST, two, sizeof(two));
	CHECK(posada_free_pages(vm, LIST, sizeof(two)) == 1 && !ram[RING] && ram[RING + PAGE]);
	CHECK(posada_free_pages(vm, LIST, 0) == 0);
	return true;
}

static const struct unit_test tests[] = {
	{ set_up, "set up" },
	{ test_set, "a ring is set, or refused" },
	{ test_output, "output" },
	{ test_wrap, "counters wrap" },
	{ test_liar, "a guest that lies" },
	{ test_bell, "the bell" },
	{ test_input, "input" },
	{ test_free, "free pages" },
	{ test_free_errors, "free pages that are not" },
};

int main(void)
{
	int status = unit_run(tests, sizeof(tests) / sizeof(*tests), NULL, NULL);

	posada_vm_close(vm);
	close(memfd);
	return status;
}
