// SPDX-License-Identifier: GPL-2.0
/*
 * The SVM backend: the life of a vCPU's part, the entry, events. host.c has
 * the CPUs, regs.c the registers, exit.c the exits; enter.S switches.
 */
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/trapnr.h>
#include "../entry.h"
#include "../pagetable.h"
#include "svm.h"

#define SVM_PAUSE_COUNT		3000	/* PAUSEs before an exit */
#define SVM_PAUSE_THRESHOLD	128	/* cycles that keep a loop a loop */

static_assert(offsetof(struct svm_switch, vmcb) == SVM_SWITCH_VMCB);
static_assert(offsetof(struct svm_switch, host) == SVM_SWITCH_HOST);
static_assert(POSADA_WORD_VALID == (u32)SVM_EVTINJ_VALID);
static_assert(POSADA_WORD_ERROR == SVM_EVTINJ_VALID_ERR);
static_assert(POSADA_WORD_TYPE == SVM_EVTINJ_TYPE_MASK);
static_assert(sizeof(struct vmcb_control_area) == 1024);
static_assert(offsetof(struct vmcb, save.rax) == 0x5f8);
static_assert(offsetof(struct vmcb, save.g_pat) == 0x668);

/* NPT entries are ordinary long-mode ones with the user bit set. */
static struct posada_pt_format svm_npt = {
	.levels_max = 5,
	.present = BIT_ULL(0),
	.write = BIT_ULL(1),
	.no_exec = BIT_ULL(63),
	.user = BIT_ULL(2),
	.accessed = BIT_ULL(5),
	.dirty = BIT_ULL(6),
	.large = BIT_ULL(7),
	.table = BIT_ULL(0) | BIT_ULL(1) | BIT_ULL(2) | BIT_ULL(5),
	.address = GENMASK_ULL(51, 12),
};

/* ---- a vCPU: creation, reset, load ---- */

/* Always in force; APM volume 2, "Instruction Intercepts". */
static const u8 svm_intercepts[] = {
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_DB,
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_UD,	/* VMCALL, maybe */
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_AC,	/* an endless loop else */
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_MC,
	INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT,
	INTERCEPT_RDPMC, INTERCEPT_CPUID, INTERCEPT_INVD, INTERCEPT_HLT,
	INTERCEPT_INVLPGA, INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT,
	INTERCEPT_SHUTDOWN, INTERCEPT_VMRUN, INTERCEPT_VMMCALL,
	INTERCEPT_VMLOAD, INTERCEPT_VMSAVE, INTERCEPT_STGI, INTERCEPT_CLGI,
	INTERCEPT_SKINIT, INTERCEPT_WBINVD, INTERCEPT_MONITOR,
	INTERCEPT_MWAIT, INTERCEPT_MWAIT_COND, INTERCEPT_XSETBV,
	INTERCEPT_RDPRU, INTERCEPT_RSM, INTERCEPT_FERR_FREEZE,
	INTERCEPT_INVLPGB, INTERCEPT_INVLPGB_ILLEGAL, INTERCEPT_MCOMMIT,
	INTERCEPT_TLBSYNC,
};

static void svm_init_control(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *c = &svm->vmcb->control;
	int i;

	for (i = 0; i < ARRAY_SIZE(svm_intercepts); i++)
		svm_intercept(svm, svm_intercepts[i], true);
	if (boot_cpu_has(X86_FEATURE_PAUSEFILTER)) {
		svm_intercept(svm, INTERCEPT_PAUSE, true);
		c->pause_filter_count = SVM_PAUSE_COUNT;
		if (boot_cpu_has(X86_FEATURE_PFTHRESHOLD))
			c->pause_filter_thresh = SVM_PAUSE_THRESHOLD;
	}
	c->iopm_base_pa = __pa(svm_iopm);
	c->msrpm_base_pa = __pa(svm_msrpm);
	c->int_ctl = V_INTR_MASKING_MASK;
	c->nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
	c->nested_cr3 = vcpu->vm->mmu.root;
}

static void svm_vcpu_init(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb = vcpu->arch_page[0];
	svm->sw.vmcb = __pa(svm->vmcb);
	svm->asid_cpu = -1;
	svm->vmcb->save.g_pat = POSADA_RESET_PAT;
	svm_init_control(vcpu);
}

static void svm_vcpu_reset(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->nmi_step = false;
	svm->shadow_step = SVM_SHADOW_KEPT;
	svm_window(vcpu, 0);
	svm->vmcb->control.event_inj = 0;
	svm->vmcb->control.clean = 0;
	/* Translations of the paging mode that was. */
	svm_flush_tlb(vcpu);
}

/* Keep FS, GS, TR, LDTR and the syscall MSRs of the host for the way back. */
static __always_inline void svm_save_host(struct svm_cpu *cpu)
{
	asm volatile("vmsave %0" : : "a" (cpu->host_pa) : "memory");
}

static void svm_load(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_cpu *cpu = this_cpu_ptr(&svm_cpus);

	/* KVM may have used any ASID here since. */
	if (static_branch_unlikely(&posada_polite))
		svm->asid_gen = 0;
	svm->cpu = cpu;
	svm->sw.host = cpu->host_pa;
	if (svm->asid_cpu != smp_processor_id()) {
		svm->asid_cpu = smp_processor_id();
		svm->asid_gen = 0;
		svm->vmcb->control.clean = 0;
	}
}

/* ---- the entry ---- */

/*
 * Give the vCPU an address-space id that no other translation on this CPU is
 * tagged with. Out of ids, or beside KVM whose ids nobody knows: flush all.
 */
static void svm_new_asid(struct svm_vcpu *svm, struct svm_cpu *cpu)
{
	struct vmcb_control_area *c = &svm->vmcb->control;

	if (static_branch_unlikely(&posada_polite)) {
		cpu->asid_next = svm_max_asid;
		c->tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	} else if (cpu->asid_next > svm_max_asid) {
		cpu->asid_gen++;
		cpu->asid_next = 1;
		c->tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	}
	svm->asid_gen = cpu->asid_gen;
	c->asid = cpu->asid_next++;
	c->clean &= ~SVM_CLEAN_ASID;
}

void svm_flush_tlb(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (boot_cpu_has(X86_FEATURE_FLUSHBYASID))
		svm->vmcb->control.tlb_ctl = TLB_CONTROL_FLUSH_ASID;
	else
		svm->asid_gen = 0;
}

/* Note it: see svm_shadow_back(). */
static __always_inline void svm_commit_shadow(struct posada_vcpu *vcpu,
					      struct svm_vcpu *svm)
{
	svm->vmcb->control.int_state = SVM_INTERRUPT_SHADOW_MASK;
	svm->shadow_in = vcpu->shadow;
	svm->shadow_in_rip = vcpu->regs.rip;
	svm->unusual = true;
	vcpu->shadow = 0;
}

/* Each field is touched only if it changes: most entries change none. */
static __always_inline void svm_commit(struct posada_vcpu *vcpu,
				       struct vmcb *vmcb)
{
	vmcb->save.rax = vcpu->regs.gpr[POSADA_RAX];
	vmcb->save.rsp = vcpu->regs.gpr[POSADA_RSP];
	vmcb->save.rip = vcpu->regs.rip;
	vmcb->save.rflags = vcpu->regs.rflags;
	if (unlikely(vcpu->shadow))
		svm_commit_shadow(vcpu, to_svm(vcpu));
	if (unlikely((vmcb->control.int_ctl ^ vcpu->cr8) & V_TPR_MASK)) {
		vmcb->control.int_ctl &= ~V_TPR_MASK;
		vmcb->control.int_ctl |= vcpu->cr8;
		vmcb->control.clean &= ~SVM_CLEAN_INTR;
	}
}

static_assert(EFER_LMA >> 1 == POSADA_SEG_L);

static __always_inline void svm_collect(struct posada_vcpu *vcpu,
					struct vmcb *vmcb)
{
	u16 long64 = (u16)vmcb->save.efer >> 1 & vmcb->save.cs.attrib;

	vcpu->regs.gpr[POSADA_RAX] = vmcb->save.rax;
	vcpu->regs.gpr[POSADA_RSP] = vmcb->save.rsp;
	vcpu->regs.rip = vmcb->save.rip;
	vcpu->regs.rflags = vmcb->save.rflags;
	vcpu->cr8 = vmcb->control.int_ctl & V_TPR_MASK;
	vcpu->cpl = vmcb->save.cpl;
	vcpu->long64 = long64 & POSADA_SEG_L;
	vmcb->control.clean = SVM_CLEAN_ALL;
	vmcb->control.tlb_ctl = TLB_CONTROL_DO_NOTHING;
	if (unlikely(vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK)) {
		vmcb->control.int_state &= ~SVM_INTERRUPT_SHADOW_MASK;
		/* With interrupts off only MOV SS can have made it. */
		vcpu->shadow = vmcb->save.rflags & X86_EFLAGS_IF ?
			       POSADA_SHADOW_STI : POSADA_SHADOW_MOV_SS;
	}
}

/*
 * Beside KVM, SVME is set for one series only. EFER cannot change meanwhile;
 * VM_HSAVE_PA stays: without SVME it means nothing.
 */
static __always_inline void svm_borrow(struct svm_cpu *cpu)
{
	u32 efer = __rdmsr(MSR_EFER);	/* it has no high half */

	cpu->borrowed = !(efer & EFER_SVME);
	if (!cpu->borrowed)
		return;
	cpu->efer = efer;
	native_wrmsr(MSR_EFER, efer | EFER_SVME, 0);
	native_wrmsrl(MSR_VM_HSAVE_PA, cpu->hsave_pa);
}

static noinline void svm_bring_up(struct svm_cpu *cpu)
{
	svm_enable(cpu, svm_read_efer());
	/* KVM may have used any ASID here: take new ones, and flush first. */
	cpu->asid_gen++;
	cpu->asid_next = svm_max_asid + 1;
	cpu->up = true;
}

static __always_inline void svm_return(struct svm_cpu *cpu)
{
	if (cpu->borrowed)
		native_wrmsr(MSR_EFER, cpu->efer, 0);
}

/*
 * GIF is clear from before the host's segments go until they are back: not
 * even an NMI may see the guest's GS.
 */
static noinstr void svm_enter(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb *vmcb = svm->vmcb;

	svm_commit(vcpu, vmcb);
	posada_context_enter();
	asm volatile("clgi" : : : "memory");
	svm_switch(&svm->sw, vcpu->regs.gpr);
	asm volatile("stgi" : : : "memory");
	posada_context_exit();
	svm_collect(vcpu, vmcb);
}

static void svm_arm(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct svm_cpu *cpu = svm->cpu;

	if (static_branch_unlikely(&posada_polite))
		svm_borrow(cpu);
	else if (unlikely(!cpu->up))
		svm_bring_up(cpu);
	if (unlikely(svm->asid_gen != cpu->asid_gen))
		svm_new_asid(svm, cpu);
	posada_spec_arm(&svm->sw.spec);
	/* Not just once a load: another thread may change the LDT. */
	svm_save_host(cpu);
}

static void svm_disarm(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (static_branch_unlikely(&posada_polite))
		svm_return(svm->cpu);
	/* The exit left DR6 as the guest had it. */
	if (unlikely((u32)svm->vmcb->save.dr6 != DR6_RESERVED))
		set_debugreg(DR6_RESERVED, 6);
}

/* ---- events ---- */

static void svm_inject(struct posada_vcpu *vcpu, const struct posada_event *ev)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb *vmcb = svm->vmcb;

	vmcb->control.event_inj = posada_event_word(ev);
	vmcb->control.event_inj_err = ev->error;
	svm->injected = *ev;
	svm->unusual = true;
	if (ev->kind == POSADA_EVENT_NMI) {
		vcpu->nmi_masked = POSADA_NMI_MASKED;
		svm_intercept(svm, INTERCEPT_IRET, true);
	} else if (ev->kind == POSADA_EVENT_EXCEPTION &&
		   ev->vector == X86_TRAP_PF) {
		vmcb->save.cr2 = ev->payload;
		vmcb->control.clean &= ~SVM_CLEAN_CR2;
	}
}

/* An interrupt window is a virtual interrupt that only makes an exit. */
void svm_irq_window(struct svm_vcpu *svm, u32 windows)
{
	struct vmcb_control_area *c = &svm->vmcb->control;

	c->int_ctl &= ~V_IRQ_INJECTION_BITS_MASK;
	if (windows & POSADA_WINDOW_IRQ) {
		u32 prio = POSADA_WINDOW_PRIO_OF(windows);

		c->int_ctl |= V_IRQ_MASK | prio << V_INTR_PRIO_SHIFT;
		c->int_ctl |= prio ? 0 : V_IGN_TPR_MASK | V_INTR_PRIO_MASK;
	}
	c->int_vector = 0;
	c->clean &= ~SVM_CLEAN_INTR;
	svm_intercept(svm, INTERCEPT_VINTR, windows & POSADA_WINDOW_IRQ);
}

/* An interrupt that waits for the end of a lost shadow: step over that. */
static bool svm_shadow_window(struct posada_vcpu *vcpu, u32 windows)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm->shadow_step == SVM_SHADOW_LOST && vcpu->shadow &&
	    (windows & POSADA_WINDOW_IRQ)) {
		svm->shadow_step = SVM_SHADOW_STEP;
		svm->unusual = true;
		svm->step_flags = vcpu->regs.rflags;
		vcpu->regs.rflags |= X86_EFLAGS_TF;
		return true;
	}
	if (windows)
		svm->shadow_step = SVM_SHADOW_KEPT;
	return false;
}

/*
 * An NMI window is the end of the IRET: stepped over, once the IRET was seen.
 */
void svm_window(struct posada_vcpu *vcpu, u32 windows)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (unlikely(svm_shadow_window(vcpu, windows))) {
		svm_irq_window(svm, 0);
		return;
	}
	svm_irq_window(svm, windows);
	if ((windows & POSADA_WINDOW_NMI) && !svm->nmi_step &&
	    (svm->iret_pending || !vcpu->nmi_masked)) {
		svm->nmi_step = true;
		svm->unusual = true;
		svm->iret_rip = vcpu->regs.rip;
		svm->step_flags = vcpu->regs.rflags;
		vcpu->regs.rflags |= X86_EFLAGS_TF | X86_EFLAGS_RF;
	}
}

static void svm_nmi_masked(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->iret_pending = false;
	svm_intercept(svm, INTERCEPT_IRET, vcpu->nmi_masked);
}

struct posada_backend posada_svm = {
	.name = "svm",
	.id = POSADA_BACKEND_SVM,
	.format = &svm_npt,
	.hypercall = { 0x0f, 0x01, 0xd9 },	/* VMMCALL */
	.vcpu_bytes = sizeof(struct svm_vcpu),
	.vcpu_pages = 1,
	.probe = svm_probe,
	.cpu_down = svm_cpu_down,
	.vcpu_init = svm_vcpu_init,
	.vcpu_reset = svm_vcpu_reset,
	.load = svm_load,
	.arm = svm_arm,
	.disarm = svm_disarm,
	.enter = svm_enter,
	.decode = svm_decode,
	.inject = svm_inject,
	.window = svm_window,
	.nmi_masked = svm_nmi_masked,
	.get_sregs = svm_get_sregs,
	.set_sregs = svm_set_sregs,
	.get_paging = svm_get_paging,
	.update_debug = svm_update_debug,
	.get_reg = svm_get_reg,
	.set_reg = svm_set_reg,
	.flush_tlb = svm_flush_tlb,
};
