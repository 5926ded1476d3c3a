// SPDX-License-Identifier: GPL-2.0
/* The hypercalls that a VMM serves: the console, free pages, a last message. */
#include "guest.h"
#include "../uapi/posada_cpuid.h"
#include "../uapi/posada_hypercall.h"

#define PAGE		4096
#define OUT_BYTES	4096
#define SERVED		(POSADA_CPUID_F_HYPERCALL | POSADA_CPUID_F_CONSOLE | \
			 POSADA_CPUID_F_FREE_PAGES | POSADA_CPUID_F_DOORBELL)
#define NOWHERE		0xd0000000UL	/* in the hole below 4 GiB */
#define LINES		400

static u8 call_page[PAGE] __attribute__((aligned(PAGE)));
static struct {
	struct posada_console_ring r;
	u8 out[OUT_BYTES];
} ring __attribute__((aligned(PAGE)));
static u8 pages[4][PAGE] __attribute__((aligned(PAGE)));
static struct posada_range list[POSADA_RANGES_MAX + 1];
static u32 bells;

static long call(u64 nr, u64 a, u64 b)
{
	long rax = (long)nr;

	asm volatile("call *%[page]"
		     : "+a"(rax) : [page] "r"(call_page), "D"(a), "S"(b) : "memory");
	return rax;
}

static u64 gpa(const volatile void *at)
{
	return (u64)at;
}

static bool enable(void)
{
	u32 a, b, c, d;

	cpuid(POSADA_CPUID_SIGNATURE, &a, &b, &c, &d);
	if (b != POSADA_SIGNATURE_EBX || c != POSADA_SIGNATURE_ECX || d != POSADA_SIGNATURE_EDX)
		return false;
	cpuid(POSADA_CPUID_FEATURES, &a, &b, &c, &d);
	CHECK((a & SERVED) == SERVED);
	wrmsr(POSADA_MSR_HYPERCALL, gpa(call_page) | POSADA_MSR_HC_ENABLE);
	return true;
}

/* ---- console ---- */

static u32 load(const volatile u32 *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void ring_bell(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!load(&ring.r.bell) || !__atomic_exchange_n(&ring.r.bell, 0, __ATOMIC_SEQ_CST))
		return;
	bells++;
	CHECK(call(POSADA_HC_DOORBELL, POSADA_BELL_CONSOLE, 0) == 0);
}

static void ring_print(const char *text)
{
	u32 tail = ring.r.out_tail;

	for (; *text; text++) {
		if (tail - load(&ring.r.out_head) == OUT_BYTES)
			CHECK(call(POSADA_HC_CONSOLE_WRITE, 0, 0) == 0);
		ring.out[tail++ % OUT_BYTES] = *text;
		__atomic_store_n(&ring.r.out_tail, tail, __ATOMIC_RELEASE);
	}
	ring_bell();
}

static void write_errors(void)
{
	CHECK(call(POSADA_HC_CONSOLE_WRITE, gpa(pages), POSADA_CONSOLE_MAX + 1) == -POSADA_E2BIG);
	CHECK(call(POSADA_HC_CONSOLE_WRITE, NOWHERE, 1) == -POSADA_EFAULT);
	CHECK(call(POSADA_HC_CONSOLE_WRITE, ~0UL, 2) == -POSADA_EFAULT);
	CHECK(call(POSADA_HC_CONSOLE_RING, gpa(&ring) + 8, sizeof(ring)) == -POSADA_EINVAL);
	CHECK(call(POSADA_HC_CONSOLE_RING, gpa(&ring), 4096 + 4095) == -POSADA_EINVAL);
	CHECK(call(POSADA_HC_CONSOLE_RING, NOWHERE, sizeof(ring)) == -POSADA_EFAULT);
	CHECK(call(POSADA_HC_CONSOLE_RING, ~0UL << 12, sizeof(ring)) == -POSADA_EFAULT);
}

/* More lines than the ring holds, for far fewer bells than lines. */
static void burst(void)
{
	char line[] = "line 000 of a burst\n";
	u32 i;

	for (i = 0; i < LINES; i++) {
		line[5] = (char)('0' + i / 100);
		line[6] = (char)('0' + i / 10 % 10);
		line[7] = (char)('0' + i % 10);
		ring_print(line);
	}
}

static void console(void)
{
	static const char first[] = "written at once\n";

	write_errors();
	CHECK(call(POSADA_HC_CONSOLE_WRITE, gpa(first), sizeof(first) - 1) == sizeof(first) - 1);
	CHECK(call(POSADA_HC_CONSOLE_RING, gpa(&ring), sizeof(ring)) == 0);
	burst();
	/* A write comes behind what is in the ring, and waits for it. */
	CHECK(call(POSADA_HC_CONSOLE_WRITE, gpa(first), 0) == 0);
	CHECK(ring.r.out_head == ring.r.out_tail);
	/* A tail that cannot be: what is there is lost, and no more. */
	ring.r.out_tail += 3 * OUT_BYTES;
	CHECK(call(POSADA_HC_CONSOLE_WRITE, gpa(first), 0) == 0);
	CHECK(ring.r.out_head == ring.r.out_tail);
	ring_print("the last of the ring\n");
	CHECK(call(POSADA_HC_CONSOLE_RING, 0, 0) == 0);
	CHECK(call(POSADA_HC_CONSOLE_RING, 0, 0) == 0);
}

/* ---- input: what the terminal has, up to a newline ---- */

static void echo(void)
{
	u32 head = 0;
	u8 byte = 0;

	ring = (typeof(ring)){ 0 };
	CHECK(call(POSADA_HC_CONSOLE_RING, gpa(&ring), sizeof(ring)) == 0);
	/* As in smp.c: spin with interrupts on. */
	asm volatile("sti");
	while (byte != '\n') {
		while (load(&ring.r.in_tail) == head)
			pause();
		byte = ring.r.in[head++ % POSADA_CONSOLE_IN];
		ring_print((char[]){ (char)byte, 0 });
		__atomic_store_n(&ring.r.in_head, head, __ATOMIC_RELEASE);
	}
}

/* ---- free pages ---- */

static long give(u32 i, u64 from, u64 bytes)
{
	list[i].gpa = from;
	list[i].bytes = bytes;
	return call(POSADA_HC_FREE_PAGES, gpa(list), i + 1);
}

static bool is_zero(const volatile u8 *page)
{
	u32 i;

	for (i = 0; i < PAGE && !page[i]; i++)
		;
	return i == PAGE;
}

static void free_pages(void)
{
	u32 i, j;

	for (i = 0; i < 4; i++)
		for (j = 0; j < PAGE; j++)
			*(volatile u8 *)&pages[i][j] = 0xa5;
	CHECK(give(0, gpa(pages[1]) + 8, PAGE) == -POSADA_EINVAL);
	CHECK(give(0, gpa(pages[1]), PAGE - 1) == -POSADA_EINVAL);
	CHECK(give(0, gpa(pages[1]), 0) == -POSADA_EINVAL);
	CHECK(give(0, NOWHERE, PAGE) == -POSADA_EFAULT);
	CHECK(give(0, gpa(pages[1]), 1UL << 40) == -POSADA_EFAULT);
	CHECK(give(0, ~0UL << 12, PAGE) == -POSADA_EFAULT);
	CHECK(give(0, ~0UL << 13, 4 * PAGE) == -POSADA_EFAULT);
	CHECK(!is_zero(pages[1]));
	/* Nothing around them. */
	CHECK(give(0, gpa(pages[1]), PAGE) == 1);
	CHECK(is_zero(pages[1]) && pages[0][PAGE - 1] == 0xa5 && pages[2][0] == 0xa5);
	/* The first is taken, the second not. */
	list[0].gpa = gpa(pages[3]);
	CHECK(give(1, NOWHERE, PAGE) == 1);
	CHECK(is_zero(pages[3]) && pages[2][PAGE - 1] == 0xa5);
	CHECK(call(POSADA_HC_FREE_PAGES, NOWHERE, 1) == -POSADA_EFAULT);
	CHECK(call(POSADA_HC_FREE_PAGES, gpa(list), POSADA_RANGES_MAX + 1) == -POSADA_E2BIG);
	CHECK(call(POSADA_HC_FREE_PAGES, gpa(list) + 4, 1) == -POSADA_EINVAL);
	pages[1][0] = 1;
	CHECK(pages[1][0] == 1 && pages[1][1] == 0);
}

int guest_main(u32 booted_by, const void *info)
{
	static const char words[] = "these are\nthe last";
	const char *line = command_line(booted_by, info);

	if (!enable()) {
		print("no Posada\n");
		return FAIL;
	}
	if (*line == 'e') {
		echo();
		return verdict();
	}
	console();
	free_pages();
	CHECK(call(POSADA_HC_CRASH, gpa(words), sizeof(words) - 1) == 0);
	CHECK(call(POSADA_HC_SHUTDOWN, 2, 0) == -POSADA_EINVAL);
	print("%u bells for %u lines: %s\n", bells, LINES, bells < LINES / 20 ? "few" : "many");
	return verdict();
}
