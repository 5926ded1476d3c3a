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

static void on_tick(struct g_frame *f)
{
	(void)f;
	seen.ticks++;
	g_eoi();
}

/* Set up state of all kinds, and find it again after each sync. */
static void guest_travels(void)
{
	u64 deadline, x[2] = { 0x1111222233334444, 0x5555666677778888 }, y[2];
	u32 i, signature = g_cpuid(0, 0).b;

	g_apic_on();
	g_handlers[0x50] = on_tick;
	g_handlers[0x61] = g_eoi_handler;
	g_write_cr4(g_read_cr4() | 0x600);
	asm volatile("movups %0, %%xmm7" : : "m"(x));
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
		G_EXPECT_EQ(g_cpu()->count[0x61], i);
		asm volatile("movups %%xmm7, %0" : "=m"(y));
		G_EXPECT_EQ(y[0], x[0]);
		G_EXPECT_EQ(y[1], x[1]);
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

/* What a file begins with; the streams and the memory follow. */
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

static void depart(struct vm *vm, u32 rounds, const char *path)
{
	struct header h = { .magic = MAGIC, .rounds = rounds, .memory = vm->bytes };
	u8 *streams = map_anon(2 * ROOM);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ASSERT_GE(fd, 0);
	h.vcpu_bytes = read_stream(vm->vcpu[0]->fd, POSADA_VCPU_STATE, streams);
	h.vm_bytes = read_stream(vm->fd, POSADA_VM_STATE, streams + ROOM);
	transfer(put, fd, &h, sizeof(h));
	transfer(put, fd, streams + ROOM, h.vm_bytes);
	transfer(put, fd, streams, h.vcpu_bytes);
	transfer(put, fd, vm->mem, vm->bytes);
	close(fd);
	vm_free(vm);
}

/*
 * The hosts' clocks have nothing in common, neither their rates nor their
 * zeroes: let the guest's TSC go on from where it was, at this host's rate.
 */
static void take_any_clock(u8 *stream, u32 bytes)
{
	struct posada_record *r = (struct posada_record *)stream;

	while (r->type != POSADA_REC_TSC) {
		r = (struct posada_record *)((u8 *)(r + 1) + ((r->bytes + 7) & ~7U));
		ASSERT_TRUE((u8 *)r < stream + bytes);
	}
	((struct posada_rec_tsc *)(r + 1))->host_ns = 0;
	((struct posada_rec_tsc *)(r + 1))->khz = 0;
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
	transfer(read, fd, vm->mem, vm->bytes);
	close(fd);
	take_any_clock(streams, h.vcpu_bytes);
	write_stream(vm->fd, POSADA_VM_STATE, streams + ROOM, h.vm_bytes);
	write_stream(vm->vcpu[0]->fd, POSADA_VCPU_STATE, streams, h.vcpu_bytes);
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
