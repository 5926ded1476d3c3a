// SPDX-License-Identifier: GPL-2.0
/* The record streams: what is saved goes on elsewhere; what is malformed goes nowhere. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm.h"

#define ROOM	65536

struct stream {
	u8 *data;
	u32 bytes;
};

static int transfer(int fd, u32 nr, struct posada_state *s, void *buf, u32 bytes, u64 mask,
		    u32 flags)
{
	*s = (struct posada_state){
		.size = sizeof(*s), .flags = flags, .buf = (u64)buf, .bytes = bytes, .mask = mask,
	};
	return px(fd, nr, s);
}

static struct stream save(int fd, u32 nr, u64 mask)
{
	struct stream s = { .data = map_anon(ROOM) };
	struct posada_state a;

	ASSERT_EQ(transfer(fd, nr, &a, s.data, ROOM, mask, 0), 0);
	s.bytes = a.used;
	return s;
}

static int load(int fd, u32 nr, struct stream s, struct posada_state *a, u32 more)
{
	return transfer(fd, nr, a, s.data, s.bytes, 0, POSADA_STATE_WRITE | more);
}

static struct posada_record *next_record(struct stream s, struct posada_record *r)
{
	u8 *at = r ? (u8 *)r + ((sizeof(*r) + r->bytes + 7) & ~7ULL) : s.data;

	return at < s.data + s.bytes ? (struct posada_record *)at : NULL;
}

static struct posada_record *find(struct stream s, u16 type)
{
	struct posada_record *r = NULL;

	while ((r = next_record(s, r)))
		if (r->type == type)
			return r;
	FATAL("no record of type %u", type);
}

static void guest_counts(void)
{
	u64 n;

	for (n = 0;; n++)
		g_sync(n);
}

static struct vcpu *start(void)
{
	struct vm *vm = vm_new(1);

	vcpu_start(vm->vcpu[0], guest_counts, 0);
	EXPECT_SYNC(vm->vcpu[0], 0);
	return vm->vcpu[0];
}

/* ---- reading ---- */

TEST(all_records)
{
	static const u16 vcpu_types[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	struct vcpu *v = start();
	struct stream s = save(v->fd, POSADA_VCPU_STATE, 0);
	struct stream vm = save(v->vm->fd, POSADA_VM_STATE, 0);
	struct posada_record *r = NULL;
	u64 seen = 0;
	u32 i;

	while ((r = next_record(s, r))) {
		EXPECT_EQ(r->version, 1);
		EXPECT_EQ(seen & BIT(r->type), 0);
		seen |= BIT(r->type);
	}
	for (i = 0; i < ARRAY_SIZE(vcpu_types); i++)
		EXPECT_EQ(seen & BIT(vcpu_types[i]), BIT(vcpu_types[i]));
	EXPECT_EQ(find(s, POSADA_REC_REGS)->bytes, sizeof(struct posada_regs));
	EXPECT_EQ(find(s, POSADA_REC_SREGS)->bytes, sizeof(struct posada_sregs));
	EXPECT_EQ(find(s, POSADA_REC_APIC)->bytes, sizeof(struct posada_rec_apic));
	EXPECT_LE(find(s, POSADA_REC_XSAVE)->bytes, sys_info(v->vm->sys).xsave_bytes);
	EXPECT_EQ(find(vm, POSADA_REC_CPUID)->bytes % sizeof(struct posada_cpuid_entry), 0);
	EXPECT_EQ(find(vm, POSADA_REC_CPUID)->bytes / sizeof(struct posada_cpuid_entry),
		  sys_info(v->vm->sys).cpuid_entries);
	EXPECT_EQ(find(vm, POSADA_REC_CLOCK)->bytes, sizeof(struct posada_rec_clock));
}

TEST(mask)
{
	struct vcpu *v = start();
	struct stream s = save(v->fd, POSADA_VCPU_STATE, BIT(POSADA_REC_MP) | BIT(POSADA_REC_REGS));
	struct posada_state a;

	find(s, POSADA_REC_MP);
	EXPECT_EQ(find(s, POSADA_REC_REGS)->bytes, sizeof(struct posada_regs));
	EXPECT_EQ(s.bytes, 2 * 8 + sizeof(struct posada_regs) + sizeof(struct posada_rec_mp));
	/* Types that are not there, or of the other kind. */
	EXPECT_EQ(transfer(v->fd, POSADA_VCPU_STATE, &a, s.data, ROOM, BIT(60), 0), -EINVAL);
	EXPECT_EQ(transfer(v->fd, POSADA_VCPU_STATE, &a, s.data, ROOM, BIT(POSADA_REC_CPUID), 0),
		  -EINVAL);
	EXPECT_EQ(transfer(v->vm->fd, POSADA_VM_STATE, &a, s.data, ROOM, BIT(POSADA_REC_REGS), 0),
		  -EINVAL);
}

TEST(too_small)
{
	struct vcpu *v = start();
	struct stream s = save(v->fd, POSADA_VCPU_STATE, 0);
	struct posada_state a;
	u8 *buf = map_anon(ROOM);
	u32 i;

	for (i = 0; i < s.bytes; i += 1 + i / 7) {
		memset(buf, 0xa5, 64);
		EXPECT_EQ(transfer(v->fd, POSADA_VCPU_STATE, &a, buf, i, 0, 0), -ENOSPC);
		EXPECT_EQ(a.used, s.bytes);
		EXPECT_EQ(buf[0], 0xa5);
	}
	EXPECT_EQ(transfer(v->fd, POSADA_VCPU_STATE, &a, buf, s.bytes, 0, 0), 0);
	/* Exactly filled; a bad buffer; one that ends too early. */
	EXPECT_EQ(a.used, s.bytes);
	EXPECT_EQ(transfer(v->fd, POSADA_VCPU_STATE, &a, (void *)8, ROOM, 0, 0), -EFAULT);
	EXPECT_EQ(transfer(v->fd, POSADA_VCPU_STATE, &a, (void *)8, ROOM, 0, POSADA_STATE_WRITE),
		  -EFAULT);
	ASSERT_EQ(mprotect(buf + 4096, 4096, PROT_NONE), 0);
	EXPECT_EQ(transfer(v->fd, POSADA_VCPU_STATE, &a, buf + 4096 - 64, ROOM, 0, 0), -EFAULT);
}

/* ---- writing what was read ---- */

TEST(round_trip)
{
	struct vcpu *v = start();
	struct stream a = save(v->fd, POSADA_VCPU_STATE, ~BIT(POSADA_REC_TSC) & 0x3fe), b;
	struct posada_state s;

	EXPECT_EQ(load(v->fd, POSADA_VCPU_STATE, a, &s, 0), 0);
	b = save(v->fd, POSADA_VCPU_STATE, ~BIT(POSADA_REC_TSC) & 0x3fe);
	EXPECT_EQ(a.bytes, b.bytes);
	/* MSRs hold the TSC, too; the others stand still. */
	EXPECT_EQ(memcmp(find(a, POSADA_REC_REGS), find(b, POSADA_REC_REGS), 152), 0);
	EXPECT_EQ(memcmp(find(a, POSADA_REC_SREGS), find(b, POSADA_REC_SREGS), 224), 0);
	EXPECT_EQ(memcmp(find(a, POSADA_REC_XSAVE), find(b, POSADA_REC_XSAVE),
			 8 + find(a, POSADA_REC_XSAVE)->bytes), 0);
	EXPECT_EQ(memcmp(find(a, POSADA_REC_APIC), find(b, POSADA_REC_APIC), 288), 0);
	EXPECT_SYNC(v, 1);
}

TEST(dry_run_changes_nothing)
{
	struct vcpu *v = start();
	struct stream s = save(v->fd, POSADA_VCPU_STATE, 0);
	struct posada_regs *r = (void *)(find(s, POSADA_REC_REGS) + 1);
	struct posada_state a;

	r->gpr[POSADA_R13] = 0x1313;
	r->rip = 0x123;
	EXPECT_EQ(load(v->fd, POSADA_VCPU_STATE, s, &a, POSADA_STATE_DRY_RUN), 0);
	EXPECT_SYNC(v, 1);
	EXPECT_NE(v->run->regs.gpr[POSADA_R13], 0x1313);
	/* DRY_RUN is for writing. */
	EXPECT_EQ(transfer(v->fd, POSADA_VCPU_STATE, &a, s.data, ROOM, 0, POSADA_STATE_DRY_RUN),
		  -EINVAL);
}

/* ---- a vCPU that moves ---- */

struct odd {
	u64 xmm[2], msr, dr0;
	u32 ticks;
};

static struct odd odd;

static void on_tick(struct g_frame *f)
{
	(void)f;
	odd.ticks++;
	g_eoi();
}

/* State of all kinds, then a sync; after it, all must be as before. */
static void guest_moves(void)
{
	u64 deadline, x[2] = { 0x1111222233334444, 0x5555666677778888 }, y[2];
	u32 i;

	g_apic_on();
	g_handlers[0x50] = on_tick;
	g_handlers[0x61] = g_eoi_handler;
	g_write_cr4(g_read_cr4() | 0x600);
	asm volatile("movups %0, %%xmm7" : : "m"(x));
	g_wrmsr(0xc0000082, 0xffffffff81234567);
	g_wrmsr(0xc0000103, 0x4242);
	g_write_dr0(0x7777);
	g_write_cr8(3);
	g_apic_write(APIC_LVT_TIMER, 0x40050);
	for (i = 0; i < 10; i++) {
		/* A timer that runs, and an interrupt that waits, across the move. */
		deadline = g_rdtsc() + 2000000;
		g_wrmsr(MSR_TSC_DEADLINE, deadline);
		g_apic_write(APIC_SELF_IPI, 0x61);
		g_sync(i);
		G_EXPECT_EQ(g_cpu()->count[0x61], i);
		asm volatile("movups %%xmm7, %0" : "=m"(y));
		G_EXPECT_EQ(y[0], x[0]);
		G_EXPECT_EQ(y[1], x[1]);
		G_EXPECT_EQ(g_rdmsr(0xc0000082), 0xffffffff81234567);
		G_EXPECT_EQ(g_rdmsr(0xc0000103), 0x4242);
		G_EXPECT_EQ(g_read_dr0(), 0x7777);
		G_EXPECT_EQ(g_read_cr8(), 3);
		G_EXPECT_EQ(g_apic_read(APIC_SVR), 0x1ff);
		G_EXPECT_EQ(g_apic_read(APIC_LVT_TIMER), 0x40050);
		/* The check with interrupts off, or a tick may slip in before HLT. */
		while (READ(odd.ticks) <= i) {
			g_sti_hlt();
			g_cli();
		}
		G_EXPECT_TRUE(g_rdtsc() >= deadline);
		G_EXPECT_EQ(g_cpu()->count[0x61], i + 1);
	}
}

/* Put the records in another order: any must do. */
static void shuffle(struct stream *s, u32 seed)
{
	struct posada_record *r = NULL, *all[16];
	u8 *to = map_anon(ROOM), *at = to;
	u32 n = 0, i, k;

	while ((r = next_record(*s, r)))
		all[n++] = r;
	while (n) {
		seed = seed * 1664525 + 1013904223;
		i = (seed >> 16) % n;
		k = (sizeof(*r) + all[i]->bytes + 7) & ~7U;
		memcpy(at, all[i], k);
		at += k;
		all[i] = all[--n];
	}
	s->data = to;
	s->bytes = at - to;
}

TEST(move_to_a_fresh_vm)
{
	struct vm *vm = vm_new(1), *next;
	struct posada_state a;
	struct stream s, c;
	u32 i;

	vcpu_start(vm->vcpu[0], guest_moves, 0);
	for (i = 0; i < 10; i++) {
		EXPECT_SYNC(vm->vcpu[0], i);
		s = save(vm->vcpu[0]->fd, POSADA_VCPU_STATE, 0);
		c = save(vm->fd, POSADA_VM_STATE, 0);
		next = vm_new(1);
		memcpy(next->mem, vm->mem, vm->bytes);
		shuffle(&s, i);
		shuffle(&c, i);
		ASSERT_EQ(load(next->fd, POSADA_VM_STATE, c, &a, POSADA_STATE_DRY_RUN), 0);
		ASSERT_EQ(load(next->fd, POSADA_VM_STATE, c, &a, 0), 0);
		ASSERT_EQ(load(next->vcpu[0]->fd, POSADA_VCPU_STATE, s, &a, POSADA_STATE_DRY_RUN), 0);
		ASSERT_EQ(load(next->vcpu[0]->fd, POSADA_VCPU_STATE, s, &a, 0), 0);
		vm_free(vm);
		vm = next;
	}
	vcpu_done(vm->vcpu[0]);
}

/* A halted vCPU is saved as such, and wakes where it is loaded. */
static void guest_loads_tr(void)
{
	asm volatile("ltr %w0" : : "r"(G_TSS_SEL(0)) : "memory");
	g_sync(1);
	g_sync(2);
}

/* Behind an LTR, too, what is read may be written: TR's segment is busy. */
TEST(task_register)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];

	vcpu_start(v, guest_loads_tr, 0);
	EXPECT_SYNC(v, 1);
	EXPECT_EQ(vcpu_sregs(v)->seg[POSADA_TR].attr & POSADA_SEG_TYPE, 0xb);
	EXPECT_EQ(vcpu_sregs_rw(v)->seg[POSADA_TR].selector, G_TSS_SEL(0));
	EXPECT_SYNC(v, 2);
}

static void guest_null_segments(void)
{
	asm volatile("mov %w0, %%ds; mov %w0, %%es; mov %w0, %%fs" : : "r"(0) : "memory");
	g_sync(1);
	g_sync(2);
}

/* A null segment is one still when it was read and written. */
TEST(null_segments)
{
	struct vm *vm = vm_new(1);
	struct vcpu *v = vm->vcpu[0];
	struct posada_sregs before, after;

	vcpu_start(v, guest_null_segments, 0);
	EXPECT_SYNC(v, 1);
	before = *vcpu_sregs(v);
	EXPECT_TRUE(before.seg[POSADA_DS].attr & POSADA_SEG_UNUSABLE);
	ASSERT_EQ(rec_set(v->fd, POSADA_VCPU_STATE, POSADA_REC_SREGS, &before, sizeof(before)), 0);
	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_SREGS, &after, sizeof(after), NULL), 0);
	EXPECT_EQ(memcmp(&before, &after, sizeof(before)), 0);
	EXPECT_SYNC(v, 2);
}

static void guest_sleeps(void)
{
	g_apic_on();
	g_handlers[0x61] = g_eoi_handler;
	g_sync(1);
	g_sti_hlt();
	g_done(g_cpu()->count[0x61]);
}

TEST(move_while_halted)
{
	struct vm *vm = vm_new(1), *next = vm_new(1);
	struct posada_state a;
	struct stream s;

	vcpu_start(vm->vcpu[0], guest_sleeps, 0);
	EXPECT_SYNC(vm->vcpu[0], 1);
	/* HLT, and out of it by a kick. */
	do {
		ASSERT_EQ(px(vm->vcpu[0]->fd, POSADA_KICK, NULL), 0);
		vcpu_expect(vm->vcpu[0], POSADA_EXIT_KICK);
		vcpu_set_msr(vm->vcpu[0], 0xc0000103, 0);
		if (vcpu_stat(vm->vcpu[0], POSADA_STAT_HALT))
			break;
		/* A kick before it ran at all: let a thread run it. */
		vcpu_go(vm->vcpu[0]);
		WAIT_FOR(vcpu_stat(vm->vcpu[0], POSADA_STAT_HALT));
		msi(vm, MSI_ADDR(0), 0x61);
		EXPECT_EQ(vcpu_join(vm->vcpu[0]), 1);
		return;
	} while (true);
	s = save(vm->vcpu[0]->fd, POSADA_VCPU_STATE, 0);
	memcpy(next->mem, vm->mem, vm->bytes);
	ASSERT_EQ(load(next->vcpu[0]->fd, POSADA_VCPU_STATE, s, &a, 0), 0);
	EXPECT_EQ(msi(next, MSI_ADDR(0), 0x61), 1);
	EXPECT_EQ(vcpu_done(next->vcpu[0]), 1);
}

/* ---- malformed streams ---- */

static void expect_blame(struct vcpu *v, struct stream s, int rc, u32 type, u32 offset,
			 const char *what)
{
	struct posada_state a;
	u32 dry;
	int got;

	for (dry = 0; dry < 2; dry++) {
		got = load(v->fd, POSADA_VCPU_STATE, s, &a, dry ? POSADA_STATE_DRY_RUN : 0);
		if (got != rc || a.bad_type != type || a.bad_offset != offset)
			FAIL("%s: %d, type %u at %u; not %d, type %u at %u", what, got,
			     a.bad_type, a.bad_offset, rc, type, offset);
	}
}

TEST(malformed)
{
	struct vcpu *v = start();
	struct stream s = save(v->fd, POSADA_VCPU_STATE, BIT(POSADA_REC_REGS) | BIT(POSADA_REC_MP));
	struct posada_record *r = find(s, POSADA_REC_REGS), *mp = find(s, POSADA_REC_MP);
	u32 at_regs = (u8 *)r - s.data, at_mp = (u8 *)mp - s.data;
	struct posada_record keep = *r;
	struct posada_state a;
	struct stream t = s;

	/* Types that are unknown, of the other kind, twice there. */
	r->type = 0;
	expect_blame(v, s, -EINVAL, 0, at_regs, "type 0");
	r->type = 31;
	expect_blame(v, s, -EINVAL, 31, at_regs, "type 31");
	r->type = 0xffff;
	expect_blame(v, s, -EINVAL, 0xffff, at_regs, "type 65535");
	r->type = POSADA_REC_CPUID;
	expect_blame(v, s, -EINVAL, POSADA_REC_CPUID, at_regs, "of a VM");
	*r = keep;
	/* Wrong lengths and versions. */
	r->version = 0;
	expect_blame(v, s, -EINVAL, POSADA_REC_REGS, at_regs, "version 0");
	r->version = 2;
	expect_blame(v, s, -EINVAL, POSADA_REC_REGS, at_regs, "version 2");
	*r = keep;
	mp->bytes = 0xfffffff8;
	expect_blame(v, s, -EINVAL, POSADA_REC_MP, at_mp, "a length that wraps");
	mp->bytes = sizeof(struct posada_rec_mp) + 8;
	expect_blame(v, s, -EINVAL, POSADA_REC_MP, at_mp, "behind the end");
	mp->bytes = sizeof(struct posada_rec_mp) - 4;
	expect_blame(v, s, -EINVAL, POSADA_REC_MP, at_mp, "too short");
	mp->bytes = sizeof(struct posada_rec_mp);
	/* Cut off: in a payload, in a header. */
	t.bytes = s.bytes - 8;
	EXPECT_EQ(load(v->fd, POSADA_VCPU_STATE, t, &a, 0), -EINVAL);
	t.bytes = s.bytes - sizeof(struct posada_rec_mp) - 4;
	EXPECT_EQ(load(v->fd, POSADA_VCPU_STATE, t, &a, 0), -EINVAL);
	t.bytes = 4;
	EXPECT_EQ(load(v->fd, POSADA_VCPU_STATE, t, &a, 0), -EINVAL);
	/* More than a stream may be. */
	t.bytes = POSADA_STATE_MAX + 8;
	EXPECT_EQ(load(v->fd, POSADA_VCPU_STATE, t, &a, 0), -EINVAL);
	/* None of it did anything. */
	EXPECT_SYNC(v, 1);
}

TEST(twice_there)
{
	struct vcpu *v = start();
	struct stream s = save(v->fd, POSADA_VCPU_STATE, BIT(POSADA_REC_MP));

	memcpy(s.data + s.bytes, s.data, s.bytes);
	s.bytes *= 2;
	expect_blame(v, s, -EINVAL, POSADA_REC_MP, s.bytes / 2, "twice");
}

/* The first record is good, the second is not: neither is applied. */
TEST(all_or_nothing)
{
	struct vcpu *v = start();
	struct stream s = save(v->fd, POSADA_VCPU_STATE,
			       BIT(POSADA_REC_REGS) | BIT(POSADA_REC_SREGS));
	struct posada_regs *r = (void *)(find(s, POSADA_REC_REGS) + 1);
	struct posada_sregs *g = (void *)(find(s, POSADA_REC_SREGS) + 1);

	r->gpr[POSADA_R13] = 0x1313;
	g->cr8 = 16;
	expect_blame(v, s, -EINVAL, POSADA_REC_SREGS,
		     (u8 *)find(s, POSADA_REC_SREGS) - s.data, "CR8");
	EXPECT_SYNC(v, 1);
	EXPECT_NE(v->run->regs.gpr[POSADA_R13], 0x1313);
}

/* ---- values ---- */

static void expect_value(struct vcpu *v, u16 type, u32 offset, u64 value, u32 bytes, int rc)
{
	struct stream s = save(v->fd, POSADA_VCPU_STATE, BIT(type));
	struct posada_state a;
	int got;

	memcpy(s.data + sizeof(struct posada_record) + offset, &value, bytes);
	got = load(v->fd, POSADA_VCPU_STATE, s, &a, POSADA_STATE_DRY_RUN);
	if (got != rc || (rc && a.bad_type != type))
		FAIL("record %u, %lx at %u: %d (type %u), not %d", type, value, offset, got,
		     a.bad_type, rc);
	munmap(s.data, ROOM);
}

TEST(values)
{
	struct vcpu *v = start();
	struct posada_rec_tsc tsc;
	u32 khz = offsetof(struct posada_rec_tsc, khz);

	expect_value(v, POSADA_REC_REGS, offsetof(struct posada_regs, rip), BIT(63), 8, -EINVAL);
	expect_value(v, POSADA_REC_REGS, offsetof(struct posada_regs, rflags), 0, 8, -EINVAL);
	expect_value(v, POSADA_REC_EVENTS, 0, 4, 1, -EINVAL);
	/* Exception 9, which there is not. */
	expect_value(v, POSADA_REC_EVENTS, 0, 0x0903, 2, -EINVAL);
	expect_value(v, POSADA_REC_DREGS, offsetof(struct posada_dregs, dr7), BIT(32), 8, -EINVAL);
	expect_value(v, POSADA_REC_MP, 0, 3, 4, -EINVAL);
	expect_value(v, POSADA_REC_MP, 4, 0x10000, 4, -EINVAL);
	expect_value(v, POSADA_REC_APIC, 0, BIT(60) | 0xfee00900, 8, -EINVAL);
	expect_value(v, POSADA_REC_APIC, 0, 0xfee00500, 8, -EINVAL);
	/* XCR0 without x87; features that no CPU has; a header that is not clean. */
	expect_value(v, POSADA_REC_XSAVE, 0, 2, 8, -EINVAL);
	expect_value(v, POSADA_REC_XSAVE, 0, BIT(61) | 3, 8, -EOPNOTSUPP);
	expect_value(v, POSADA_REC_XSAVE, 8, 1, 8, -EINVAL);
	expect_value(v, POSADA_REC_XSAVE, 16 + 512, BIT(62), 8, -EOPNOTSUPP);
	expect_value(v, POSADA_REC_XSAVE, 16 + 520, BIT(63), 8, -EINVAL);
	expect_value(v, POSADA_REC_XSAVE, 16 + 24, 0xffffffff, 4, -EINVAL);
	/* A TSC rate that this host cannot give. */
	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_TSC, &tsc, sizeof(tsc), NULL), 0);
	expect_value(v, POSADA_REC_TSC, khz, tsc.khz, 4, 0);
	expect_value(v, POSADA_REC_TSC, khz, tsc.khz / 2, 4, -EOPNOTSUPP);
}

TEST(msr_values)
{
	struct vcpu *v = start();
	struct posada_msr_entry e[3] = {
		{ .index = 0xc0000082, .value = 0x1000 }, { .index = 0x277, .value = 2 },
		{ .index = 0xc0000083, .value = 0x2000 },
	};
	struct posada_record *r = map_anon(4096);
	struct stream s = { .data = (u8 *)r, .bytes = sizeof(*r) + sizeof(e) };
	struct posada_state a;

	*r = (struct posada_record){ .type = POSADA_REC_MSRS, .version = 1, .bytes = sizeof(e) };
	memcpy(r + 1, e, sizeof(e));
	EXPECT_EQ(load(v->fd, POSADA_VCPU_STATE, s, &a, 0), -EINVAL);
	EXPECT_EQ(a.bad_type, POSADA_REC_MSRS);
	EXPECT_EQ(a.bad_index, 1);
	EXPECT_EQ(vcpu_msr(v, 0xc0000082), 0);
	/* One that is not there on this host. */
	e[1] = (struct posada_msr_entry){ .index = 0xdead0000, .value = 1 };
	memcpy(r + 1, e, sizeof(e));
	EXPECT_EQ(load(v->fd, POSADA_VCPU_STATE, s, &a, 0), -EOPNOTSUPP);
	EXPECT_EQ(a.bad_index, 1);
	/* Padding; half an entry. */
	e[1] = (struct posada_msr_entry){ .index = 0xc0000084, .pad = 1 };
	memcpy(r + 1, e, sizeof(e));
	EXPECT_EQ(load(v->fd, POSADA_VCPU_STATE, s, &a, 0), -EINVAL);
	EXPECT_EQ(a.bad_index, 1);
	r->bytes = 24;
	s.bytes = 32;
	EXPECT_EQ(load(v->fd, POSADA_VCPU_STATE, s, &a, 0), -EINVAL);
	EXPECT_EQ(vcpu_msr(v, 0xc0000082), 0);
	EXPECT_EQ(vcpu_set_msr(v, 0xc0000082, 0x1000), 0);
	EXPECT_EQ(vcpu_msr(v, 0xc0000082), 0x1000);
}

/* ---- CPUID ---- */

static struct posada_cpuid_entry table[POSADA_MAX_CPUID + 1];

static int load_cpuid(struct vm *vm, u32 n, struct posada_state *a)
{
	struct posada_record *r = map_anon(65536);
	struct stream s = { .data = (u8 *)r, .bytes = sizeof(*r) + n * sizeof(table[0]) };
	int rc;

	*r = (struct posada_record){
		.type = POSADA_REC_CPUID, .version = 1, .bytes = n * sizeof(table[0]),
	};
	memcpy(r + 1, table, n * sizeof(table[0]));
	rc = load(vm->fd, POSADA_VM_STATE, s, a, 0);
	munmap(r, 65536);
	return rc;
}

static u32 get_cpuid(struct vm *vm)
{
	u32 used = 0;

	ASSERT_EQ(rec_get(vm->fd, POSADA_VM_STATE, POSADA_REC_CPUID, table, sizeof(table), &used), 0);
	return used / sizeof(table[0]);
}

static struct posada_cpuid_entry *leaf(u32 n, u32 nr)
{
	u32 i;

	for (i = 0; i < n; i++)
		if (table[i].leaf == nr && !table[i].subleaf)
			return &table[i];
	FATAL("no leaf %x", nr);
}

static void guest_cpuid(void)
{
	struct g_cpuid c = g_cpuid(1, 0);

	g_sync(c.c);
	c = g_cpuid(0x80000002, 0);
	g_sync(c.a);
	/* Above the highest leaf of a range Intel repeats the last, AMD gives 0. */
	c = g_cpuid(0x8fffffff, 0);
	g_sync(c.a | c.b | c.c | c.d);
}

TEST(cpuid_policy)
{
	struct vm *vm = vm_new(1);
	struct posada_state a;
	u32 n = get_cpuid(vm), was;

	/* Take a feature away, change a name. */
	was = leaf(n, 1)->ecx;
	ASSERT_TRUE(was & BIT(20));	/* SSE4.2 */
	leaf(n, 1)->ecx &= ~BIT(20);
	leaf(n, 0x80000002)->eax = 0x61736f50;
	EXPECT_EQ(load_cpuid(vm, n, &a), 0);
	EXPECT_EQ(get_cpuid(vm), n);
	EXPECT_EQ(leaf(n, 1)->ecx & BIT(20), 0);
	vcpu_start(vm->vcpu[0], guest_cpuid, 0);
	EXPECT_EQ(vcpu_sync(vm->vcpu[0]) & BIT(20), 0);
	EXPECT_SYNC(vm->vcpu[0], 0x61736f50);
	EXPECT_SYNC(vm->vcpu[0], 0);
	vcpu_done(vm->vcpu[0]);
	/* A vCPU ran: the policy stands; only the very same may be written. */
	EXPECT_EQ(load_cpuid(vm, n, &a), 0);
	leaf(n, 1)->ecx &= ~BIT(19);
	EXPECT_EQ(load_cpuid(vm, n, &a), -EBUSY);
	EXPECT_EQ(a.bad_type, POSADA_REC_CPUID);
}

TEST(cpuid_refused)
{
	struct vm *vm = vm_new(1);
	struct posada_state a;
	u32 n = get_cpuid(vm);

	/* A feature that the host cannot give: SVM in the guest. */
	leaf(n, 0x80000001)->ecx |= BIT(2);
	EXPECT_EQ(load_cpuid(vm, n, &a), -EOPNOTSUPP);
	EXPECT_EQ(a.bad_type, POSADA_REC_CPUID);
	EXPECT_EQ(a.bad_index, leaf(n, 0x80000001) - table);
	get_cpuid(vm);
	EXPECT_EQ(leaf(n, 0x80000001)->ecx & BIT(2), 0);
	/* Twice the same leaf; unknown flags; padding; too many. */
	table[n] = table[0];
	EXPECT_EQ(load_cpuid(vm, n + 1, &a), -EINVAL);
	get_cpuid(vm);
	table[1].flags |= 0x80;
	EXPECT_EQ(load_cpuid(vm, n, &a), -EINVAL);
	EXPECT_EQ(a.bad_index, 1);
	get_cpuid(vm);
	table[2].pad = 1;
	EXPECT_EQ(load_cpuid(vm, n, &a), -EINVAL);
	EXPECT_EQ(a.bad_index, 2);
	get_cpuid(vm);
	EXPECT_EQ(load_cpuid(vm, POSADA_MAX_CPUID + 1, &a), -EINVAL);
	EXPECT_EQ(load_cpuid(vm, n, &a), 0);
}

TEST(clock)
{
	struct vm *vm = vm_new(1);
	struct posada_rec_clock c, d;

	ASSERT_EQ(rec_get(vm->fd, POSADA_VM_STATE, POSADA_REC_CLOCK, &c, sizeof(c), NULL), 0);
	c.ns += 1000000000000;
	ASSERT_EQ(rec_set(vm->fd, POSADA_VM_STATE, POSADA_REC_CLOCK, &c, sizeof(c)), 0);
	ASSERT_EQ(rec_get(vm->fd, POSADA_VM_STATE, POSADA_REC_CLOCK, &d, sizeof(d), NULL), 0);
	EXPECT_GE(d.ns, c.ns);
	EXPECT_LT(d.ns, c.ns + 5000000000);
	EXPECT_GE(d.realtime_ns, c.realtime_ns);
}
