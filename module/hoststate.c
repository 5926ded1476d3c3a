// SPDX-License-Identifier: GPL-2.0
/*
 * What of the host's a guest must find gone, or leave as it was, where the CPU
 * does not see to it: the thread's segments and bases, MSRs, predictions, what
 * is left in the L1D cache. For backends and the core to use as they need it.
 */
#include <linux/percpu.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/special_insns.h>
#include "compat.h"
#include "entry.h"

/* ---- a thread's own ---- */

static u64 posada_fs_base(void)
{
	u64 base;

	if (cpu_feature_enabled(X86_FEATURE_FSGSBASE))
		return rdfsbase();
	rdmsrl(MSR_FS_BASE, base);
	return base;
}

void posada_thread_leave(struct posada_thread *t, u64 kernel_gs_base)
{
	savesegment(fs, t->fs);
	savesegment(gs, t->gs);
	savesegment(ds, t->ds);
	savesegment(es, t->es);
	t->ldt = 0;
	t->stale = false;
	t->fs_base = posada_fs_base();
	t->debugctl = get_debugctlmsr();
	rdmsrl(MSR_KERNEL_GS_BASE, t->kernel_gs_base);
	if (kernel_gs_base != t->kernel_gs_base)
		wrmsrl(MSR_KERNEL_GS_BASE, kernel_gs_base);
}

/* Exits leave null selectors, and tables whose limits are too large. */
static void posada_thread_segments(const struct posada_thread *t)
{
	if (unlikely(t->ds | t->es)) {
		loadsegment(ds, t->ds);
		loadsegment(es, t->es);
	}
	if (unlikely(t->ldt))
		asm volatile("lldt %0" : : "r" (t->ldt));
	if (unlikely(t->fs)) {
		loadsegment(fs, t->fs);
		x86_fsbase_write_cpu(t->fs_base);
	}
	if (unlikely(t->gs))
		load_gs_index(t->gs);
	load_fixmap_gdt(smp_processor_id());
	invalidate_tss_limit();
}

u64 posada_thread_return(struct posada_thread *t)
{
	u64 kernel_gs_base;

	rdmsrl(MSR_KERNEL_GS_BASE, kernel_gs_base);
	if (t->stale)
		posada_thread_segments(t);
	/* A selector brings a base along. */
	if (kernel_gs_base != t->kernel_gs_base || t->gs)
		wrmsrl(MSR_KERNEL_GS_BASE, t->kernel_gs_base);
	return kernel_gs_base;
}

/* ---- SYSCALL's MSRs ---- */

static const u32 posada_live_msrs[] = {
	MSR_STAR, MSR_LSTAR, MSR_SYSCALL_MASK, MSR_CSTAR,
};

static_assert(ARRAY_SIZE(posada_live_msrs) == POSADA_NR_LIVE + 1);

static u64 posada_host_live[POSADA_NR_LIVE];

void posada_live_probe(void)
{
	int i;

	for (i = 0; i < POSADA_NR_LIVE; i++)
		rdmsrl(posada_live_msrs[i], posada_host_live[i]);
}

void posada_live_init(struct posada_live *live)
{
	memcpy(live->cpu, posada_host_live, sizeof(live->cpu));
}

void posada_live_sync(struct posada_live *live, bool guest)
{
	const u64 *want = guest ? live->guest : posada_host_live;
	int i;

	for (i = 0; i < POSADA_NR_LIVE; i++) {
		if (likely(live->cpu[i] == want[i]))
			continue;
		wrmsrl(posada_live_msrs[i], want[i]);
		live->cpu[i] = want[i];
	}
}

u64 *posada_live_msr(struct posada_live *live, u32 index)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(posada_live_msrs); i++)
		if (posada_live_msrs[i] == index)
			return &live->guest[i];
	return NULL;
}

/* ---- predictions: one guest's may not steer another's ---- */

static DEFINE_PER_CPU(struct posada_vcpu *, posada_last);

void posada_barrier_load(struct posada_vcpu *vcpu)
{
	/* KVM may have trained any branch here since. */
	if (!static_branch_unlikely(&posada_polite) &&
	    this_cpu_read(posada_last) == vcpu)
		return;
	this_cpu_write(posada_last, vcpu);
	indirect_branch_prediction_barrier();
}

void posada_barrier_forget(struct posada_vcpu *vcpu)
{
	int cpu;

	for_each_possible_cpu(cpu)
		cmpxchg(per_cpu_ptr(&posada_last, cpu), vcpu, NULL);
}

/* ---- L1TF: what others have read may not stay where a guest finds it ---- */

#define POSADA_L1D_BYTES	(64 << 10)	/* of lines of 64 bytes */

bool posada_l1d_leaks;

void posada_l1d_probe(void)
{
	u64 caps = 0;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl_safe(MSR_IA32_ARCH_CAPABILITIES, &caps);
	posada_l1d_leaks = boot_cpu_has_bug(X86_BUG_L1TF) &&
			   !posada_l1tf_is_off() &&
			   !(caps & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH);
}

/*
 * As KVM does by default, after other threads and interrupts, not after each
 * exit.
 */
void posada_l1d_flush(bool *due)
{
	static char empty[POSADA_L1D_BYTES] __aligned(PAGE_SIZE);
	int i;

	/* Ask in any case: it forgets then. */
	if (!posada_interrupt_was_here() && !*due)
		return;
	*due = false;
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
		return;
	}
	/* The pages' translations first, then each line of them. */
	for (i = 0; i < sizeof(empty); i += PAGE_SIZE)
		READ_ONCE(empty[i]);
	for (i = 0; i < sizeof(empty); i += PAGE_SIZE)
		asm volatile(".set line, 0\n"
			     ".rept 64\n"
			     "testb $0, line(%[page])\n"
			     ".set line, line + 64\n"
			     ".endr" : : [page] "r" (empty + i) : "cc");
	/* All of them before the guest has the CPU. */
	rmb();
}
