// SPDX-License-Identifier: GPL-2.0
/*
 * A running guest with the portable CPU moves by its record streams and its
 * memory: here to another VM of the same host. selftests/lab/portable runs the
 * legs on different hosts, of AMD's and of Intel's:
 *	POSADA_STATE_IN=FILE	go on from there instead of from the start
 *	POSADA_STATE_OUT=FILE	write there, and stop, instead of going on to the end
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../userspace/libposada.h"
#include "vm.h"

#define LEGS	3
#define ROUNDS	5		/* of the guest, each leg */
#define ROOM	65536

static struct {
	u32 ticks;
	u64 last_tsc;
} seen;

/* How often it has moved: with an NMI pending each time. */
static u32 moves;
/* 1: this host's CPU lets an interrupt in right behind an NMI, whatever IF is. */
static u32 hasty;

static void on_tick(struct g_frame *f)
{
	(void)f;
	seen.ticks++;
	g_eoi();
}

static void on_nmi(struct g_frame *f)
{
	(void)f;
}

/* Set up state of all kinds, and find it again after each sync. */
static void guest_travels(void)
{
	u64 deadline, x[2] = { 0x1111222233334444, 0x5555666677778888 }, y[2];
	u32 i, mxcsr = 0x1f00, signature = g_cpuid(0, 0).b;
	u16 control = 0x27f;

	g_apic_on();
	g_handlers[0x50] = on_tick;
	g_handlers[0x61] = g_eoi_handler;
	g_handlers[2] = on_nmi;
	g_write_cr4(g_read_cr4() | 0x600);
	asm volatile("movups %0, %%xmm7; ldmxcsr %1; fninit; fldcw %2"
		     : : "m"(x), "m"(mxcsr), "m"(control));
	g_wrmsr(0xc0000082, 0xffffffff81234567);	/* LSTAR */
	g_wrmsr(0xc0000100, 0x7654321);			/* FS's base */
	g_wrmsr(0x277, 0x0007040600070401);		/* PAT */
	g_write_dr0(0x7777);
	g_write_cr8(3);
	g_apic_write(APIC_LVT_TIMER, 0x40050);
	for (i = 0; i < LEGS * ROUNDS; i++) {
		/* A timer that runs, and an interrupt that waits, across the move. */
		deadline = g_rdtsc() + 2000000;
		g_wrmsr(MSR_TSC_DEADLINE, deadline);
		g_apic_write(APIC_SELF_IPI, 0x61);
		g_sync(i);
		G_EXPECT_TRUE(g_cpu()->count[0x61] - i <= READ(hasty));
		G_EXPECT_EQ(g_cpu()->count[2], READ(moves));
		asm volatile("movups %%xmm7, %0; stmxcsr %1; fnstcw %2"
			     : "=m"(y), "=m"(mxcsr), "=m"(control));
		G_EXPECT_EQ(y[0], x[0]);
		G_EXPECT_EQ(y[1], x[1]);
		G_EXPECT_EQ(mxcsr, 0x1f00);
		G_EXPECT_EQ(control, 0x27f);
		G_EXPECT_EQ(g_cpuid(0, 0).b, signature);
		G_EXPECT_EQ(g_rdmsr(0xc0000082), 0xffffffff81234567);
		G_EXPECT_EQ(g_rdmsr(0xc0000100), 0x7654321);
		G_EXPECT_EQ(g_rdmsr(0x277), 0x0007040600070401);
		G_EXPECT_EQ(g_read_dr0(), 0x7777);
		G_EXPECT_EQ(g_read_cr8(), 3);
		G_EXPECT_EQ(g_apic_read(APIC_LVT_TIMER), 0x40050);
		while (READ(seen.ticks) <= i) {
			g_sti_hlt();
			g_cli();
		}
		G_EXPECT_TRUE(g_rdtsc() >= deadline);
		G_EXPECT_TRUE(g_rdtsc() > seen.last_tsc);
		seen.last_tsc = g_rdtsc();
		G_EXPECT_EQ(g_cpu()->count[0x61], i + 1);
	}
}

/* What a file begins with; the streams and the pages of memory follow. */
struct header {
	u64 magic;
	u32 rounds, vm_bytes, vcpu_bytes, pad;
	u64 memory;
};

#define MAGIC	0x5641525441444f50ULL

static u32 read_stream(int fd, u32 nr, void *buf)
{
	struct posada_state s = { .size = sizeof(s), .buf = (u64)buf, .bytes = ROOM };

	ASSERT_EQ(px(fd, nr, &s), 0);
	return s.used;
}

static void write_stream(int fd, u32 nr, void *buf, u32 bytes)
{
	struct posada_state s = {
		.size = sizeof(s), .flags = POSADA_STATE_WRITE, .buf = (u64)buf, .bytes = bytes,
	};
	int rc = px(fd, nr, &s);

	if (rc)
		FATAL("refused: %d, type %u, offset %u, index %u", rc, s.bad_type, s.bad_offset,
		      s.bad_index);
}

/* All of it, one way or the other. */
static void transfer(ssize_t (*how)(int, void *, size_t), int fd, void *buf, u64 bytes)
{
	u64 done;
	ssize_t n;

	for (done = 0; done < bytes; done += n) {
		n = how(fd, (u8 *)buf + done, bytes - done);
		ASSERT_TRUE(n > 0);
	}
}

static ssize_t put(int fd, void *buf, size_t bytes)
{
	return write(fd, buf, bytes);
}

/* Each page that has something in it, with its address before it. */
static void put_memory(int fd, struct vm *vm)
{
	static const u8 zeros[4096];
	u64 gpa;

	for (gpa = 0; gpa < vm->bytes; gpa += sizeof(zeros)) {
		if (!memcmp(vm->mem + gpa, zeros, sizeof(zeros)))
			continue;
		transfer(put, fd, &gpa, sizeof(gpa));
		transfer(put, fd, vm->mem + gpa, sizeof(zeros));
	}
}

/* The program's image, that a new VM has, is older than what comes. */
static void take_memory(int fd, struct vm *vm)
{
	u64 gpa;

	memset(vm->mem, 0, vm->bytes);
	while (read(fd, &gpa, sizeof(gpa)) == sizeof(gpa)) {
		ASSERT_TRUE(gpa < vm->bytes && gpa % 4096 == 0);
		transfer(read, fd, vm->mem + gpa, 4096);
	}
}

static void depart(struct vm *vm, u32 rounds, const char *path)
{
	struct header h = { .magic = MAGIC, .rounds = rounds, .memory = vm->bytes };
	u8 *streams = map_anon(2 * ROOM);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ASSERT_GE(fd, 0);
	G(vm, moves)++;
	ASSERT_EQ(inject(vm->vcpu[0], POSADA_INJECT_NMI, 2), 0);
	h.vcpu_bytes = read_stream(vm->vcpu[0]->fd, POSADA_VCPU_STATE, streams);
	h.vm_bytes = read_stream(vm->fd, POSADA_VM_STATE, streams + ROOM);
	transfer(put, fd, &h, sizeof(h));
	transfer(put, fd, streams + ROOM, h.vm_bytes);
	transfer(put, fd, streams, h.vcpu_bytes);
	put_memory(fd, vm);
	close(fd);
	vm_free(vm);
}

/* The record of a type, in a stream that has one. */
static void *find_record(u8 *stream, u32 bytes, u16 type)
{
	struct posada_record *r = (struct posada_record *)stream;

	while (r->type != type) {
		r = (struct posada_record *)((u8 *)(r + 1) + ((r->bytes + 7) & ~7U));
		ASSERT_TRUE((u8 *)r < stream + bytes);
	}
	return r + 1;
}

/*
 * The hosts' clocks have nothing in common, neither their rates nor their
 * zeroes: let the guest's TSC go on from where it was, at this host's rate.
 */
static void take_any_clock(struct posada_rec_tsc *tsc)
{
	tsc->host_ns = 0;
	tsc->khz = 0;
}

/* Give back what was given: segments to their attributes, what is pending. */
static void expect_arrived(struct vcpu *v, u8 *stream, u32 bytes)
{
	static const u16 types[] = {
		POSADA_REC_REGS, POSADA_REC_SREGS, POSADA_REC_EVENTS, POSADA_REC_DREGS,
	};
	struct posada_rec_tsc *then = find_record(stream, bytes, POSADA_REC_TSC), now;
	u8 *sent, buf[1024];
	u32 i, j, used;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		sent = find_record(stream, bytes, types[i]);
		ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, types[i], buf, sizeof(buf), &used), 0);
		for (j = 0; j < used; j++)
			if (sent[j] != buf[j])
				FATAL("record %u, offset %u: %#x became %#x", types[i], j, sent[j],
				      buf[j]);
	}
	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_TSC, &now, sizeof(now), NULL), 0);
	EXPECT_TRUE(now.tsc - then->tsc < 1ULL << 34);
}

static struct vm *arrive(const char *path, u32 *rounds)
{
	struct vm *vm = vm_new(1);
	u8 *streams = map_anon(2 * ROOM);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct header h;

	ASSERT_GE(fd, 0);
	transfer(read, fd, &h, sizeof(h));
	ASSERT_EQ(h.magic, MAGIC);
	ASSERT_EQ(h.memory, vm->bytes);
	ASSERT_TRUE(h.vm_bytes <= ROOM && h.vcpu_bytes <= ROOM);
	transfer(read, fd, streams + ROOM, h.vm_bytes);
	transfer(read, fd, streams, h.vcpu_bytes);
	take_memory(fd, vm);
	G(vm, hasty) = host_is_bochs_vmx();
	close(fd);
	take_any_clock(find_record(streams, h.vcpu_bytes, POSADA_REC_TSC));
	write_stream(vm->fd, POSADA_VM_STATE, streams + ROOM, h.vm_bytes);
	write_stream(vm->vcpu[0]->fd, POSADA_VCPU_STATE, streams, h.vcpu_bytes);
	expect_arrived(vm->vcpu[0], streams, h.vcpu_bytes);
	*rounds = h.rounds;
	return vm;
}

static struct vm *begin(void)
{
	static struct posada_cpuid_entry e[POSADA_MAX_CPUID];
	struct vm *vm = vm_new(1);
	u32 used = 0, n;

	ASSERT_EQ(rec_get(vm->fd, POSADA_VM_STATE, POSADA_REC_CPUID, e, sizeof(e), &used), 0);
	n = used / sizeof(e[0]);
	ASSERT_EQ(posada_cpuid_portable(e, &n), 0);
	ASSERT_EQ(rec_set(vm->fd, POSADA_VM_STATE, POSADA_REC_CPUID, e, n * sizeof(e[0])), 0);
	vcpu_start(vm->vcpu[0], guest_travels, 0);
	return vm;
}

/* One leg of the way; NULL: it begins, or ends, here. */
static void leg(const char *in, const char *out)
{
	u32 first = 0, i, last;
	struct vm *vm = in ? arrive(in, &first) : begin();

	last = out ? first + ROUNDS : LEGS * ROUNDS;
	for (i = first; i < last; i++)
		EXPECT_SYNC(vm->vcpu[0], i);
	if (out)
		depart(vm, i, out);
	else
		vcpu_done(vm->vcpu[0]);
}

TEST_SLOW(journey, 60)
{
	static const char here[] = "/tmp/portable.1", there[] = "/tmp/portable.2";
	const char *in = getenv("POSADA_STATE_IN"), *out = getenv("POSADA_STATE_OUT");

	if (in || out) {
		leg(in, out);
		return;
	}
	leg(NULL, here);
	leg(here, there);
	leg(there, NULL);
	unlink(here);
	unlink(there);
}
