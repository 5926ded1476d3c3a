// SPDX-License-Identifier: GPL-2.0
/* POSADA_DEBUG: the guest debugged from outside, and none the wiser. */
#include <string.h>

#include "vm.h"

static void set_debug(struct vcpu *v, u32 flags, u64 dr0, u64 dr7)
{
	struct posada_debug d = { .size = sizeof(d), .flags = flags, .dr = { dr0 }, .dr7 = dr7 };

	ASSERT_EQ(px(v->fd, POSADA_DEBUG, &d), 0);
}

static struct vcpu *start(void (*fn)(void))
{
	struct vm *vm = vm_new(1);

	vcpu_start(vm->vcpu[0], fn, 0);
	return vm->vcpu[0];
}

static void expect_debug(struct vcpu *v, u32 vector, u64 address)
{
	vcpu_expect(v, POSADA_EXIT_DEBUG);
	EXPECT_EQ(v->run->debug.vector, vector);
	EXPECT_EQ(v->run->debug.address, address);
	EXPECT_EQ(vcpu_regs(v)->rip, address);
}

/* ---- stepping ---- */

extern const char stepped[];

static void guest_code(void)
{
	asm volatile("stepped:\n"
		     "	nop\n"
		     "	xor %%eax, %%eax; cpuid\n"
		     "	mov $0x3b, %%ecx; rdmsr; wrmsr\n"
		     "	push %%rax; pop %%rax\n"
		     : : : "rax", "rbx", "rcx", "rdx", "memory", "cc");
}

TEST(step)
{
	static const u8 len[] = { 1, 2, 2, 5, 2, 2, 1, 1 };
	struct vcpu *v = start(guest_code);
	u64 at = (u64)stepped;
	u32 i;

	if (host_is_bochs_svm())
		SKIP("Bochs takes the trap of a step that exits into its host");
	/* There may be a prologue; step up to the label. */
	set_debug(v, POSADA_DEBUG_STEP, 0, 0);
	do
		vcpu_expect(v, POSADA_EXIT_DEBUG);
	while (vcpu_regs(v)->rip != at);
	for (i = 0; i < ARRAY_SIZE(len); i++) {
		at += len[i];
		expect_debug(v, 1, at);
		EXPECT_EQ(v->run->debug.dr6 & BIT(14), BIT(14));
		EXPECT_EQ(vcpu_regs(v)->rflags & BIT(8), 0);
	}
	set_debug(v, 0, 0, 0);
	vcpu_done(v);
}

static void guest_out(void)
{
	g_sync(1);
	g_sync(2);
}

/* An exit to userspace comes first, then the step of the same instruction. */
TEST(step_over_exit)
{
	struct vcpu *v = start(guest_out);
	u32 syncs = 0, steps = 0;

	if (host_is_bochs_svm())
		SKIP("Bochs takes the trap of a step that exits into its host");
	set_debug(v, POSADA_DEBUG_STEP, 0, 0);
	while (syncs < 2) {
		if (vcpu_exit(v) == POSADA_EXIT_DEBUG) {
			steps++;
			continue;
		}
		ASSERT_EQ(v->run->exit, POSADA_EXIT_PORT);
		EXPECT_EQ(v->run->port.data, ++syncs);
	}
	EXPECT_GE(steps, 3);
	set_debug(v, 0, 0, 0);
	vcpu_done(v);
}

/* ---- INT3 ---- */

extern const char bp_at[];
static u32 bp_seen;

static void on_bp(struct g_frame *f)
{
	(void)f;
	bp_seen++;
}

static void guest_bp(void)
{
	g_handlers[BP] = on_bp;
	asm volatile("int3");
	g_sync(READ(bp_seen));
	asm volatile("bp_at: int3");
	g_sync(READ(bp_seen));
	asm volatile("int3");
	g_sync(READ(bp_seen));
}

TEST(breakpoint)
{
	struct vcpu *v;

	if (host_is_tcg())
		SKIP("QEMU does not intercept INT3");
	v = start(guest_bp);
	EXPECT_SYNC(v, 1);
	set_debug(v, POSADA_DEBUG_BREAK, 0, 0);
	expect_debug(v, 3, (u64)bp_at);
	/* The debugger's own: step over it. */
	vcpu_regs_rw(v)->rip++;
	EXPECT_SYNC(v, 1);
	set_debug(v, 0, 0, 0);
	EXPECT_SYNC(v, 2);
	vcpu_done(v);
}

/* A breakpoint of the guest's own goes on into the guest by injection. */
TEST(breakpoint_passed_on)
{
	struct vcpu *v;

	if (host_is_tcg())
		SKIP("QEMU does not intercept INT3");
	v = start(guest_bp);
	EXPECT_SYNC(v, 1);
	set_debug(v, POSADA_DEBUG_BREAK, 0, 0);
	expect_debug(v, 3, (u64)bp_at);
	set_debug(v, 0, 0, 0);
	vcpu_regs_rw(v)->rip++;
	ASSERT_EQ(inject(v, POSADA_INJECT_EXCEPTION, BP), 0);
	EXPECT_SYNC(v, 2);
	EXPECT_SYNC(v, 3);
	vcpu_done(v);
}

/* ---- hardware breakpoints ---- */

extern const char hw_at[];
static u32 hw_data;

static void guest_hw(void)
{
	g_write_dr0(0x5555);
	g_sync(0);
	asm volatile("hw_at: nop");
	G_EXPECT_EQ(g_read_dr0(), 0x5555);
	WRITE(hw_data, 1);
	G_EXPECT_EQ(g_read_dr0(), 0x5555);
	G_EXPECT_EQ(g_read_dr7(), 0x400);
	g_sync(1);
	G_EXPECT_EQ(g_read_dr0(), 0x5555);
}

TEST(hardware)
{
	struct vcpu *v;

	if (host_is_tcg())
		SKIP("QEMU does not arm breakpoints at VMRUN");
	if (host_is_bochs_svm())
		SKIP("Bochs intercepts a #DB before it has updated DR6");
	v = start(guest_hw);
	EXPECT_SYNC(v, 0);
	set_debug(v, POSADA_DEBUG_HARDWARE, (u64)hw_at, 0x401);
	expect_debug(v, 1, (u64)hw_at);
	EXPECT_EQ(v->run->debug.dr6 & 0xf, 1);
	/* The next one is on data: a trap, after the write. */
	set_debug(v, POSADA_DEBUG_HARDWARE, (u64)&hw_data, 0xd0401);
	vcpu_expect(v, POSADA_EXIT_DEBUG);
	EXPECT_EQ(v->run->debug.dr6 & 0xf, 1);
	EXPECT_EQ(G(v->vm, hw_data), 1);
	set_debug(v, 0, 0, 0);
	EXPECT_SYNC(v, 1);
	/* What the guest has in its own registers was there all the time. */
	EXPECT_EQ(v->run->dregs.dr[0], 0x5555);
	vcpu_done(v);
}
