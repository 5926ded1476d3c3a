// SPDX-License-Identifier: GPL-2.0
/* Slots and what they map: changes under a running guest, the dirty log. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm.h"

#define AREA	0x40000000UL	/* where a test's own slots begin: 1 GiB */
#define PAGES	256

static int try_slot(struct vm *vm, u32 slot, u64 gpa, void *hva, u64 bytes, u32 flags)
{
	struct posada_slot s = {
		.size = sizeof(s), .flags = flags, .slot = slot,
		.gpa = gpa, .bytes = bytes, .hva = (u64)hva,
	};

	return px(vm->fd, POSADA_SLOT_SET, &s);
}

/*
 * The guest's side of most tests: a little command loop. The host leaves a
 * command, runs to the next sync, and reads the answer.
 */
enum { READ_ALL, WRITE_ALL, READ_ONE, WRITE_ONE, WRITE_SOME };

static struct {
	u64 what, gpa, pages, value, seed;
	u64 answer;
} cmd;

static void guest_commands(void)
{
	u64 i, at, sum;

	for (;;) {
		at = READ(cmd.gpa);
		sum = 0;
		switch (READ(cmd.what)) {
		case READ_ALL:
			for (i = 0; i < cmd.pages; i++)
				sum += READ(*(u64 *)(at + i * 4096));
			break;
		case WRITE_ALL:
			for (i = 0; i < cmd.pages; i++)
				WRITE(*(u64 *)(at + i * 4096), cmd.value + i);
			break;
		case READ_ONE:
			sum = READ(*(u64 *)at);
			break;
		case WRITE_ONE:
			WRITE(*(u64 *)at, cmd.value);
			break;
		case WRITE_SOME:
			/* Pages chosen by a seed: the host knows which. */
			for (i = 0; i < cmd.pages; i++) {
				cmd.seed = cmd.seed * 6364136223846793005 + 1442695040888963407;
				if (cmd.seed >> 62 == 0)
					WRITE(*(u64 *)(at + i * 4096), i);
			}
			break;
		}
		cmd.answer = sum;
		g_sync(0xc0de);
	}
}

static struct vcpu *start(void)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	vcpu_start(v, guest_commands, 0);
	G(vm, cmd.what) = READ_ALL;
	EXPECT_SYNC(v, 0xc0de);
	return v;
}

static void order(struct vcpu *v, u64 what, u64 gpa, u64 pages, u64 value)
{
	G(v->vm, cmd.what) = what;
	G(v->vm, cmd.gpa) = gpa;
	G(v->vm, cmd.pages) = pages;
	G(v->vm, cmd.value) = value;
}

static u64 ask(struct vcpu *v, u64 what, u64 gpa, u64 pages, u64 value)
{
	order(v, what, gpa, pages, value);
	EXPECT_SYNC(v, 0xc0de);
	return G(v->vm, cmd.answer);
}

/* The order must end in a memory exit at @gpa. */
static void expect_exit(struct vcpu *v, u64 what, u64 gpa, u64 value, u32 flags)
{
	order(v, what, gpa, 1, value);
	vcpu_expect(v, POSADA_EXIT_MEMORY);
	EXPECT_EQ(v->run->memory.gpa, gpa);
	EXPECT_EQ(v->run->memory.flags, flags);
}

static void fill(u8 *mem, u64 pages, u64 value)
{
	u64 i;

	for (i = 0; i < pages; i++)
		*(u64 *)(mem + i * 4096) = value + i;
}

static u64 sum_of(u64 pages, u64 value)
{
	return pages * value + pages * (pages - 1) / 2;
}

/* ---- what is mapped is what is seen ---- */

TEST(both_ways)
{
	struct vcpu *v = start();
	u8 *mem = map_anon(PAGES * 4096);
	u64 i;

	slot_set(v->vm, 1, AREA, mem, PAGES * 4096, 0);
	fill(mem, PAGES, 1000);
	EXPECT_EQ(ask(v, READ_ALL, AREA, PAGES, 0), sum_of(PAGES, 1000));
	ask(v, WRITE_ALL, AREA, PAGES, 5000);
	for (i = 0; i < PAGES; i++)
		EXPECT_EQ(*(u64 *)(mem + i * 4096), 5000 + i);
}

/* Read first, from pages that were never written: zeros, then not. */
TEST(zero_pages)
{
	struct vcpu *v = start();
	u8 *mem = map_anon(PAGES * 4096);

	slot_set(v->vm, 1, AREA, mem, PAGES * 4096, 0);
	EXPECT_EQ(ask(v, READ_ALL, AREA, PAGES, 0), 0);
	fill(mem, PAGES, 1);
	EXPECT_EQ(ask(v, READ_ALL, AREA, PAGES, 0), sum_of(PAGES, 1));
}

TEST(same_memory_twice)
{
	struct vcpu *v = start();
	u8 *mem = map_anon(4096);

	slot_set(v->vm, 1, AREA, mem, 4096, 0);
	slot_set(v->vm, 2, AREA + 0x200000, mem, 4096, 0);
	ask(v, WRITE_ONE, AREA, 0, 77);
	EXPECT_EQ(ask(v, READ_ONE, AREA + 0x200000, 0, 0), 77);
	ask(v, WRITE_ONE, AREA + 0x200000, 0, 78);
	EXPECT_EQ(ask(v, READ_ONE, AREA, 0, 0), 78);
}

/* ---- delete, move, resize ---- */

TEST(delete)
{
	struct vcpu *v = start();
	u8 *mem = map_anon(PAGES * 4096);

	slot_set(v->vm, 1, AREA, mem, PAGES * 4096, 0);
	fill(mem, PAGES, 3);
	EXPECT_EQ(ask(v, READ_ALL, AREA, PAGES, 0), sum_of(PAGES, 3));
	EXPECT_EQ(try_slot(v->vm, 1, 0, NULL, 0, 0), 0);
	expect_exit(v, READ_ONE, AREA + 0x5000, 0, 0);
	/* Put back, the same instruction goes on. */
	slot_set(v->vm, 1, AREA, mem, PAGES * 4096, 0);
	EXPECT_SYNC(v, 0xc0de);
	EXPECT_EQ(G(v->vm, cmd.answer), 8);
}

TEST(move)
{
	struct vcpu *v = start();
	u8 *mem = map_anon(16 * 4096), *other = map_anon(16 * 4096);

	slot_set(v->vm, 1, AREA, mem, 16 * 4096, 0);
	fill(mem, 16, 100);
	fill(other, 16, 200);
	EXPECT_EQ(ask(v, READ_ALL, AREA, 16, 0), sum_of(16, 100));
	/* To another gpa: the old place is empty. */
	slot_set(v->vm, 1, AREA + 0x100000, mem, 16 * 4096, 0);
	EXPECT_EQ(ask(v, READ_ALL, AREA + 0x100000, 16, 0), sum_of(16, 100));
	expect_exit(v, READ_ONE, AREA, 0, 0);
	/* To other memory, at the gpa of the access that waits. */
	slot_set(v->vm, 1, AREA, other, 16 * 4096, 0);
	EXPECT_SYNC(v, 0xc0de);
	EXPECT_EQ(G(v->vm, cmd.answer), 200);
	EXPECT_EQ(ask(v, READ_ALL, AREA, 16, 0), sum_of(16, 200));
	slot_set(v->vm, 1, AREA, mem, 16 * 4096, 0);
	EXPECT_EQ(ask(v, READ_ALL, AREA, 16, 0), sum_of(16, 100));
}

TEST(resize)
{
	struct vcpu *v = start();
	u8 *mem = map_anon(32 * 4096);

	fill(mem, 32, 1);
	slot_set(v->vm, 1, AREA, mem, 16 * 4096, 0);
	EXPECT_EQ(ask(v, READ_ALL, AREA, 16, 0), sum_of(16, 1));
	slot_set(v->vm, 1, AREA, mem, 32 * 4096, 0);
	EXPECT_EQ(ask(v, READ_ALL, AREA, 32, 0), sum_of(32, 1));
	slot_set(v->vm, 1, AREA, mem, 8 * 4096, 0);
	EXPECT_EQ(ask(v, READ_ALL, AREA, 8, 0), sum_of(8, 1));
	expect_exit(v, READ_ONE, AREA + 8 * 4096, 0, 0);
}

/* Slots come and go while the guest reads: it sees the old or the new, no third. */
static void guest_watcher(u64 at)
{
	u64 v;

	/* Bochs's SVM would hold the host's interrupts back as long as this lasts. */
	g_sti();
	while (!READ(cmd.what)) {
		v = READ(*(u64 *)at);
		if (v != 1 && v != 2)
			g_report(__FILE__, __LINE__, "neither old nor new", v, 0);
	}
}

TEST(changes_under_a_running_guest)
{
	struct vm *vm = vm_new(1);
	u8 *one = map_anon(2 << 20), *two = map_anon(2 << 20);
	int i;

	fill(one, 1, 1);
	fill(two, 1, 2);
	slot_set(vm, 1, AREA, one, 2 << 20, 0);
	vcpu_start(vm->vcpu[0], guest_watcher, AREA);
	G(vm, cmd.what) = 0;
	vcpu_go(vm->vcpu[0]);
	for (i = 0; i < 500; i++)
		slot_set(vm, 1, AREA, i & 1 ? one : two, (i & 2) ? 2 << 20 : 4096,
			 (i & 4) ? POSADA_SLOT_READONLY : 0);
	WRITE(G(vm, cmd.what), 1);
	vcpu_join(vm->vcpu[0]);
}

/* ---- read-only ---- */

TEST(readonly)
{
	struct vcpu *v = start();
	u8 *mem = map_anon(16 * 4096);
	u64 i;

	fill(mem, 16, 9);
	slot_set(v->vm, 1, AREA, mem, 16 * 4096, POSADA_SLOT_READONLY);
	EXPECT_EQ(ask(v, READ_ALL, AREA, 16, 0), sum_of(16, 9));
	/* The pages that were read, and those that came along with them. */
	for (i = 0; i < 16; i++) {
		expect_exit(v, WRITE_ONE, AREA + i * 4096, 1, POSADA_MEM_WRITE | POSADA_MEM_READONLY);
		vcpu_start(v, guest_commands, 0);
	}
	EXPECT_EQ(ask(v, READ_ALL, AREA, 16, 0), sum_of(16, 9));
	expect_exit(v, WRITE_ONE, AREA + 0x3008, 1, POSADA_MEM_WRITE | POSADA_MEM_READONLY);
	EXPECT_EQ(*(u64 *)(mem + 0x3008), 0);
	/* Made writable, the same store succeeds. */
	slot_set(v->vm, 1, AREA, mem, 16 * 4096, 0);
	EXPECT_SYNC(v, 0xc0de);
	EXPECT_EQ(*(u64 *)(mem + 0x3008), 1);
	/* And read-only again, with the page mapped writable. */
	slot_set(v->vm, 1, AREA, mem, 16 * 4096, POSADA_SLOT_READONLY);
	expect_exit(v, WRITE_ONE, AREA + 0x3008, 2, POSADA_MEM_WRITE | POSADA_MEM_READONLY);
	EXPECT_EQ(*(u64 *)(mem + 0x3008), 1);
}

/* The guest's page tables in read-only memory: their A and D bits cannot be set. */
static void guest_rdonly_tables(u64 at)
{
	G_EXPECT_EQ(READ(*(u64 *)at), 0x1234);
}

TEST(readonly_page_tables)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	u64 *pd = gpa_ptr(vm, G_PD), *pt = map_anon(4096);

	/* Accessed and dirty already: nothing has to be written. */
	pt[3] = G_HEAP | 0x67;
	pd[512] = (AREA * 2) | 0x67;
	*(u64 *)gpa_ptr(vm, G_HEAP) = 0x1234;
	slot_set(vm, 1, AREA * 2, pt, 4096, POSADA_SLOT_READONLY);
	vcpu_start(v, guest_rdonly_tables, AREA + 3 * 4096);
	vcpu_exit(v);
	/* SVM walks with write accesses, needed or not. */
	if (v->run->exit == POSADA_EXIT_MEMORY) {
		EXPECT_EQ(v->run->memory.flags & (POSADA_MEM_WALK | POSADA_MEM_READONLY),
			  POSADA_MEM_WALK | POSADA_MEM_READONLY);
		return;
	}
	EXPECT_EQ(v->run->exit, POSADA_EXIT_PORT);
}

/* ---- the dirty log ---- */

static void dirty_log(struct vm *vm, u32 slot, u64 first, u64 pages, u64 *bits, u32 flags)
{
	struct posada_dirty_log d = {
		.size = sizeof(d), .flags = flags, .slot = slot,
		.first = first, .pages = pages, .bitmap = (u64)bits,
	};

	ASSERT_EQ(px(vm->fd, POSADA_DIRTY_LOG, &d), 0);
}

static u64 weight(const u64 *bits, u64 words)
{
	u64 n = 0, i;

	for (i = 0; i < words; i++)
		n += __builtin_popcountll(bits[i]);
	return n;
}

TEST(dirty_log_exact)
{
	struct vcpu *v = start();
	u8 *mem = map_anon(PAGES * 4096);
	u64 bits[PAGES / 64], shadow[PAGES / 64], seed = 1, next;
	u32 round, i;

	slot_set(v->vm, 1, AREA, mem, PAGES * 4096, POSADA_SLOT_DIRTY_LOG);
	/* Reads are no writes, the host's own stores are none of the guest's. */
	fill(mem, PAGES, 1);
	ask(v, READ_ALL, AREA, PAGES, 0);
	dirty_log(v->vm, 1, 0, PAGES, bits, 0);
	EXPECT_EQ(weight(bits, PAGES / 64), 0);
	for (round = 0; round < 40; round++) {
		memset(shadow, 0, sizeof(shadow));
		next = seed;
		for (i = 0; i < PAGES; i++) {
			next = next * 6364136223846793005 + 1442695040888963407;
			if (next >> 62 == 0)
				shadow[i / 64] |= BIT(i % 64);
		}
		G(v->vm, cmd.seed) = seed;
		ask(v, WRITE_SOME, AREA, PAGES, 0);
		seed = next;
		/* Looking does not clear; clearing tells the same once more. */
		dirty_log(v->vm, 1, 0, PAGES, bits, 0);
		EXPECT_EQ(memcmp(bits, shadow, sizeof(bits)), 0);
		dirty_log(v->vm, 1, 0, PAGES, bits, POSADA_DIRTY_CLEAR);
		EXPECT_EQ(memcmp(bits, shadow, sizeof(bits)), 0);
		dirty_log(v->vm, 1, 0, PAGES, bits, 0);
		EXPECT_EQ(weight(bits, PAGES / 64), 0);
	}
}

/* Clearing a part leaves the rest. */
TEST(dirty_log_by_parts)
{
	struct vcpu *v = start();
	u8 *mem = map_anon(200 * 4096);
	u64 bits[4] = {};

	slot_set(v->vm, 1, AREA, mem, 200 * 4096, POSADA_SLOT_DIRTY_LOG);
	ask(v, WRITE_ALL, AREA, 200, 1);
	dirty_log(v->vm, 1, 64, 64, bits, POSADA_DIRTY_CLEAR);
	EXPECT_EQ(bits[0], ~0ULL);
	dirty_log(v->vm, 1, 0, 200, bits, 0);
	EXPECT_EQ(bits[0], ~0ULL);
	EXPECT_EQ(bits[1], 0);
	EXPECT_EQ(bits[2], ~0ULL);
	EXPECT_EQ(bits[3], 0xff);
	dirty_log(v->vm, 1, 192, 8, bits, POSADA_DIRTY_CLEAR);
	EXPECT_EQ(bits[0], 0xff);
	dirty_log(v->vm, 1, 0, 200, bits, POSADA_DIRTY_CLEAR);
	EXPECT_EQ(bits[3], 0);
}

/* What could not be told is not forgotten. */
TEST(dirty_log_told_nowhere)
{
	struct posada_dirty_log d = {
		.size = sizeof(d), .flags = POSADA_DIRTY_CLEAR, .slot = 1, .pages = 64, .bitmap = 8,
	};
	struct vcpu *v = start();
	u8 *mem = map_anon(64 * 4096);
	u64 bits[1] = {};

	slot_set(v->vm, 1, AREA, mem, 64 * 4096, POSADA_SLOT_DIRTY_LOG);
	ask(v, WRITE_ALL, AREA, 64, 1);
	EXPECT_EQ(px(v->vm->fd, POSADA_DIRTY_LOG, &d), -EFAULT);
	dirty_log(v->vm, 1, 0, 64, bits, 0);
	EXPECT_EQ(bits[0], ~0ULL);
}

/* Begun late, on memory that is mapped writable and huge; ended; begun again. */
TEST(dirty_log_switched_on_late)
{
	u64 bytes = 4 << 20, pages = bytes / 4096;
	struct vcpu *v = start();
	u8 *mem = mmap(NULL, bytes * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u64 bits[16];

	mem = (u8 *)(((u64)mem + (2 << 20) - 1) & ~((2UL << 20) - 1));
	madvise(mem, bytes, MADV_HUGEPAGE);
	slot_set(v->vm, 1, AREA, mem, bytes, 0);
	ask(v, WRITE_ALL, AREA, pages, 1);
	slot_set(v->vm, 1, AREA, mem, bytes, POSADA_SLOT_DIRTY_LOG);
	dirty_log(v->vm, 1, 0, pages, bits, 0);
	EXPECT_EQ(weight(bits, 16), 0);
	ask(v, WRITE_ONE, AREA + 0x123000, 0, 42);
	dirty_log(v->vm, 1, 0, pages, bits, POSADA_DIRTY_CLEAR);
	EXPECT_EQ(weight(bits, 16), 1);
	EXPECT_EQ(bits[0x123 / 64], BIT(0x123 % 64));
	slot_set(v->vm, 1, AREA, mem, bytes, 0);
	ask(v, WRITE_ALL, AREA, pages, 7);
	EXPECT_EQ(ask(v, READ_ALL, AREA, pages, 0), sum_of(pages, 7));
	slot_set(v->vm, 1, AREA, mem, bytes, POSADA_SLOT_DIRTY_LOG);
	ask(v, WRITE_ONE, AREA + 0x3ff000, 0, 42);
	dirty_log(v->vm, 1, 0, pages, bits, 0);
	EXPECT_EQ(weight(bits, 16), 1);
	/* That fault did not bring back the large page, which would hide this one. */
	ask(v, WRITE_ONE, AREA + 0x3fe000, 0, 42);
	dirty_log(v->vm, 1, 0, pages, bits, 0);
	EXPECT_EQ(weight(bits, 16), 2);
}

/* A slot of another size goes on with what the log has of its pages. */
TEST(dirty_log_of_another_size)
{
	struct vcpu *v = start();
	u8 *mem = map_anon(200 * 4096);
	u64 bits[4] = {};

	slot_set(v->vm, 1, AREA, mem, 100 * 4096, POSADA_SLOT_DIRTY_LOG);
	ask(v, WRITE_ONE, AREA + 3 * 4096, 0, 1);
	ask(v, WRITE_ONE, AREA + 99 * 4096, 0, 1);
	slot_set(v->vm, 1, AREA, mem, 200 * 4096, POSADA_SLOT_DIRTY_LOG);
	dirty_log(v->vm, 1, 0, 200, bits, 0);
	EXPECT_EQ(bits[0], BIT(3));
	EXPECT_EQ(bits[1], BIT(99 - 64));
	EXPECT_EQ(bits[2] | bits[3], 0);
	slot_set(v->vm, 1, AREA, mem, 99 * 4096, POSADA_SLOT_DIRTY_LOG);
	slot_set(v->vm, 1, AREA, mem, 200 * 4096, POSADA_SLOT_DIRTY_LOG);
	dirty_log(v->vm, 1, 0, 200, bits, 0);
	EXPECT_EQ(bits[0], BIT(3));
	EXPECT_EQ(bits[1], 0);
}

/* What the kernel writes for the guest is dirty, too: the hypercall page. */
static void guest_hypercall_page(u64 at)
{
	g_wrmsr(POSADA_MSR_HYPERCALL, at | POSADA_MSR_HC_ENABLE);
}

TEST(dirty_by_the_kernel)
{
	struct vm *vm = vm_new(1);
	u8 *mem = map_anon(64 * 4096);
	u64 bits[1];

	slot_set(vm, 1, AREA, mem, 64 * 4096, POSADA_SLOT_DIRTY_LOG);
	vcpu_start(vm->vcpu[0], guest_hypercall_page, AREA + 5 * 4096);
	vcpu_done(vm->vcpu[0]);
	dirty_log(vm, 1, 0, 64, bits, 0);
	EXPECT_EQ(bits[0], BIT(5));
}

/* Nothing gets lost between a running writer and the reader that clears. */
static void guest_counter(u64 at)
{
	u64 i, n;

	/* As in guest_watcher(). */
	g_sti();
	for (n = 1; !READ(cmd.what); n++)
		for (i = 0; i < 64; i++)
			WRITE(*(u64 *)(at + i * 4096), n);
}

TEST(dirty_log_loses_nothing)
{
	struct vm *vm = vm_new(1);
	u8 *mem = map_anon(64 * 4096), *copy = map_anon(64 * 4096);
	u64 bits[1], round, i;

	slot_set(vm, 1, AREA, mem, 64 * 4096, POSADA_SLOT_DIRTY_LOG);
	vcpu_start(vm->vcpu[0], guest_counter, AREA);
	vcpu_go(vm->vcpu[0]);
	for (round = 0; round < 300; round++) {
		if (round == 299) {
			WRITE(G(vm, cmd.what), 1);
			vcpu_join(vm->vcpu[0]);
		}
		dirty_log(vm, 1, 0, 64, bits, POSADA_DIRTY_CLEAR);
		for (i = 0; i < 64; i++)
			if (bits[0] & BIT(i))
				memcpy(copy + i * 4096, mem + i * 4096, 4096);
	}
	EXPECT_EQ(memcmp(copy, mem, 64 * 4096), 0);
}

/*
 * The kernel's own access to two slots that are neighbours for the guest alone:
 * an IPI in a batch of one, whose vector is in the second.
 */
#define SEAM	(AREA + 4096)

static void guest_batch_on_a_seam(void)
{
	struct posada_batch_call *b = (void *)(SEAM - 32);
	u64 rax = POSADA_HC_BATCH;

	g_wrmsr(POSADA_MSR_HYPERCALL, G_SCRATCH | POSADA_MSR_HC_ENABLE);
	g_apic_on();
	g_handlers[0x40] = g_eoi_handler;
	WRITE(b->nr, POSADA_HC_SEND_IPI);
	WRITE(b->arg[0], 1);
	WRITE(b->arg[3], 0x40);
	asm volatile("call *%%rcx" : "+a"(rax) : "c"((u64)G_SCRATCH), "D"(b), "S"(1UL) : "memory");
	G_EXPECT_EQ(rax, 1);
	G_EXPECT_EQ(READ(b->result), 1);
}

TEST(slots_side_by_side)
{
	u8 *mem = map_anon(2 * 4096), *other = map_anon(4096);
	struct vm *vm = vm_new(1);

	slot_set(vm, 1, SEAM - 4096, mem, 4096, 0);
	slot_set(vm, 2, SEAM, other, 4096, 0);
	vcpu_start(vm->vcpu[0], guest_batch_on_a_seam, 0);
	vcpu_done(vm->vcpu[0]);
	EXPECT_EQ(*(u64 *)(mem + 4096), 0);
}

/* ---- page sizes ---- */

TEST(huge_pages_are_mapped_huge)
{
	u64 bytes = 16 << 20, pages = bytes / 4096, before;
	struct vcpu *v = start();
	u8 *mem = mmap(NULL, bytes + (2 << 20), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mem = (u8 *)(((u64)mem + (2 << 20) - 1) & ~((2UL << 20) - 1));
	if (madvise(mem, bytes, MADV_HUGEPAGE))
		SKIP("the host has no transparent huge pages");
	fill(mem, pages, 1);
	slot_set(v->vm, 1, AREA, mem, bytes, 0);
	before = vm_stat(v->vm, POSADA_STAT_PAGES_2M);
	EXPECT_EQ(ask(v, READ_ALL, AREA, pages, 0), sum_of(pages, 1));
	if (vm_stat(v->vm, POSADA_STAT_PAGES_2M) == before)
		SKIP("no huge page was to be had");
	/* gpa and hva at odds by 4 KiB: no huge page fits. */
	slot_set(v->vm, 1, AREA + 0x1000, mem, bytes, 0);
	before = vm_stat(v->vm, POSADA_STAT_PAGES_2M);
	EXPECT_EQ(ask(v, READ_ALL, AREA + 0x1000, pages, 0), sum_of(pages, 1));
	EXPECT_EQ(vm_stat(v->vm, POSADA_STAT_PAGES_2M), before);
	/* A slot that ends inside one maps no more than the slot. */
	slot_set(v->vm, 1, AREA, mem, (2 << 20) - 4096, 0);
	EXPECT_EQ(ask(v, READ_ALL, AREA, 511, 0), sum_of(511, 1));
	expect_exit(v, READ_ONE, AREA + (2 << 20) - 4096, 0, 0);
}

/* ---- the top of what can be addressed ---- */

TEST(highest_gpa)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	struct posada_info info = sys_info(vm->sys);
	u64 *pd = gpa_ptr(vm, G_PD), *pt = gpa_ptr(vm, G_SPARE_TABLES);
	u64 top = (1ULL << info.phys_bits) - 4096;
	u8 *mem = map_anon(4096);

	if (host_is_tcg() && info.phys_bits > 40)
		top = (1ULL << 40) - 4096;	/* QEMU's CPU has no more lines */
	slot_set(vm, 1, top, mem, 4096, 0);
	*(u64 *)mem = 0x1234;
	pt[3] = top | 7;
	pd[512] = G_SPARE_TABLES | 7;
	vcpu_start(v, guest_rdonly_tables, AREA + 3 * 4096);
	vcpu_done(v);
}
