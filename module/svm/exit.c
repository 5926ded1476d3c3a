// SPDX-License-Identifier: GPL-2.0
/*
 * From SVM's exit codes to neutral exits. Hardware codes end here; what an
 * exit means is decided in the core.
 */
#include <asm/cpufeature.h>
#include <asm/processor.h>
#include <asm/debugreg.h>
#include <asm/trapnr.h>
#include "../entry.h"
#include "svm.h"

static_assert(POSADA_INSN_WRMSR - POSADA_INSN_RDMSR == 1);

#define SVM_NR_PLAIN	0xa4
#define SVM_UD		POSADA_ROW_FAULT(X86_TRAP_UD)

static const struct posada_exit_row svm_rows[SVM_NR_PLAIN] = {
	[SVM_EXIT_INTR]		= POSADA_ROW(POSADA_X_HOST_IRQ),
	[SVM_EXIT_NMI]		= POSADA_ROW(POSADA_X_HOST_IRQ),
	[SVM_EXIT_SMI]		= POSADA_ROW(POSADA_X_HOST_IRQ),
	[SVM_EXIT_INIT]		= POSADA_ROW(POSADA_X_HOST_IRQ),
	[SVM_EXIT_MSR]		= POSADA_ROW(POSADA_X_MSR),
	[SVM_EXIT_IOIO]		= POSADA_ROW(POSADA_X_PORT),
	[SVM_EXIT_CPUID]	= POSADA_ROW_INSN(POSADA_X_CPUID, POSADA_INSN_CPUID),
	[SVM_EXIT_HLT]		= POSADA_ROW_INSN(POSADA_X_HALT, POSADA_INSN_HLT),
	[SVM_EXIT_VMMCALL]	= POSADA_ROW_INSN(POSADA_X_HYPERCALL, POSADA_INSN_HYPERCALL),
	[SVM_EXIT_PAUSE]	= POSADA_ROW_INSN(POSADA_X_PAUSE, POSADA_INSN_PAUSE),
	[SVM_EXIT_WBINVD]	= POSADA_ROW_INSN(POSADA_X_SKIP, POSADA_INSN_WBINVD),
	[SVM_EXIT_INVD]		= POSADA_ROW_INSN(POSADA_X_SKIP, POSADA_INSN_INVD),
	[SVM_EXIT_XSETBV]	= POSADA_ROW_INSN(POSADA_X_XSETBV, POSADA_INSN_XSETBV),
	[SVM_EXIT_SHUTDOWN]	= POSADA_ROW(POSADA_X_SHUTDOWN),
	[SVM_EXIT_FERR_FREEZE]	= POSADA_ROW(POSADA_X_HOST_IRQ),
	[SVM_EXIT_RDPMC]	= POSADA_ROW_FAULT(X86_TRAP_GP),
	/* Instructions that this CPU model does not have. */
	[SVM_EXIT_VMRUN] = SVM_UD, [SVM_EXIT_VMLOAD] = SVM_UD,
	[SVM_EXIT_VMSAVE] = SVM_UD, [SVM_EXIT_STGI] = SVM_UD,
	[SVM_EXIT_CLGI] = SVM_UD, [SVM_EXIT_SKINIT] = SVM_UD,
	[SVM_EXIT_INVLPGA] = SVM_UD, [SVM_EXIT_MONITOR] = SVM_UD,
	[SVM_EXIT_MWAIT] = SVM_UD, [SVM_EXIT_MWAIT_COND] = SVM_UD,
	[SVM_EXIT_RDPRU] = SVM_UD, [SVM_EXIT_RSM] = SVM_UD,
	[0xa0] = SVM_UD, [0xa1] = SVM_UD,	/* INVLPGB */
	[0xa3] = SVM_UD,			/* MCOMMIT */
};

/* An event whose delivery the exit cut short; APM, "EXITINTINFO". */
static void svm_interrupted(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	const struct vmcb_control_area *c = &svm->vmcb->control;
	struct posada_event *ev = &vcpu->exit.interrupted;

	posada_event_cut(ev, c->exit_int_info, c->exit_int_info_err,
			 svm->vmcb->save.cr2);
	/*
	 * INT3 and INTO are exceptions here, and RIP is still at them: they
	 * come again by themselves, but for one that was injected.
	 */
	if (ev->kind == POSADA_EVENT_EXCEPTION &&
	    (ev->vector == X86_TRAP_BP || ev->vector == X86_TRAP_OF) &&
	    svm->injected.kind != POSADA_EVENT_EXCEPTION)
		ev->kind = POSADA_EVENT_NONE;
}

/* Unmask NMIs when the IRET that was seen has been executed. */
static void svm_iret_progress(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (vcpu->regs.rip != svm->iret_rip && !svm->nmi_step) {
		svm->iret_pending = false;
		vcpu->nmi_masked = 0;
	}
}

static void svm_decode_port(struct posada_vcpu *vcpu)
{
	const struct vmcb_control_area *c = &to_svm(vcpu)->vmcb->control;
	struct posada_exit *x = &vcpu->exit;
	u32 info = c->exit_info_1;

	x->port.port = info >> 16;
	x->port.len = (info & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT;
	x->port.in = info & SVM_IOIO_TYPE_MASK;
	x->port.string = info & SVM_IOIO_STR_MASK;
	/* EXITINFO2 is the next RIP, whatever else the CPU lacks. */
	x->insn_len = c->exit_info_2 - vcpu->regs.rip;
}

#define SVM_NPF_WRITE	BIT_ULL(1)
#define SVM_NPF_EXEC	BIT_ULL(4)
#define SVM_NPF_WALK	BIT_ULL(33)

static void svm_decode_npf(struct posada_vcpu *vcpu)
{
	const struct vmcb_control_area *c = &to_svm(vcpu)->vmcb->control;
	struct posada_exit *x = &vcpu->exit;

	x->memory.gpa = c->exit_info_2;
	x->memory.write = c->exit_info_1 & SVM_NPF_WRITE;
	x->memory.exec = c->exit_info_1 & SVM_NPF_EXEC;
	x->memory.walk = c->exit_info_1 & SVM_NPF_WALK;
	if (boot_cpu_has(X86_FEATURE_DECODEASSISTS) && !x->memory.exec) {
		x->nr_bytes = min_t(u8, c->insn_len & 0xf,
				    sizeof(c->insn_bytes));
		memcpy(x->bytes, c->insn_bytes, sizeof(c->insn_bytes));
	}
}

/* The step over an IRET ends: its trap is ours, not the guest's. */
static bool svm_nmi_step_done(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (!svm->nmi_step)
		return false;
	svm->nmi_step = false;
	/* An IRET brought its own flags; any other insn kept ours. */
	if (!(svm->step_flags & X86_EFLAGS_TF) && !vcpu->nmi_masked)
		vcpu->regs.rflags &= ~(X86_EFLAGS_TF | X86_EFLAGS_RF);
	vcpu->nmi_masked = 0;
	svm->iret_pending = false;
	svm->vmcb->save.dr6 &= ~(u64)DR_STEP;
	svm->vmcb->control.clean &= ~SVM_CLEAN_DR;
	return !(svm->step_flags & X86_EFLAGS_TF);
}

/*
 * Another exit comes before the insn is done: its flags are the guest's again,
 * for all to see. Ask for the step anew.
 */
static void svm_nmi_step_off(struct posada_vcpu *vcpu)
{
	const u64 ours = X86_EFLAGS_TF | X86_EFLAGS_RF;
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->nmi_step = false;
	vcpu->regs.rflags &= ~ours;
	vcpu->regs.rflags |= svm->step_flags & ours;
	vcpu->windows = 0;
}

/*
 * The window for interrupts is open. A shadow that is there all the same is one
 * that svm_shadow_back() found: QEMU's VMRUN forgot it. Between STI and HLT the
 * interrupt would come early, and the HLT never end: step over that instruction.
 */
static void svm_decode_vintr(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	vcpu->exit.kind = POSADA_X_WINDOW;
	if (unlikely(vcpu->shadow)) {
		svm->shadow_step = SVM_SHADOW_LOST;
		svm->unusual = true;
	}
}

/* An exit ends the step, done or not. What was asked for meanwhile is due. */
static void svm_shadow_step_end(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->shadow_step = SVM_SHADOW_KEPT;
	if (!(svm->step_flags & X86_EFLAGS_TF))
		vcpu->regs.rflags &= ~X86_EFLAGS_TF;
	svm_irq_window(svm, vcpu->windows);
}

static bool svm_shadow_step_done(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm->shadow_step != SVM_SHADOW_STEP)
		return false;
	svm_shadow_step_end(vcpu);
	if ((svm->step_flags & X86_EFLAGS_TF) ||
	    (vcpu->debug.flags & POSADA_DEBUG_STEP))
		return false;
	svm->vmcb->save.dr6 &= ~(u64)DR_STEP;
	svm->vmcb->control.clean &= ~SVM_CLEAN_DR;
	return true;
}

static void svm_decode_exception(struct posada_vcpu *vcpu, u32 vector)
{
	const struct vmcb *vmcb = to_svm(vcpu)->vmcb;

	if (vector == X86_TRAP_DB &&
	    (svm_nmi_step_done(vcpu) || svm_shadow_step_done(vcpu))) {
		vcpu->exit.kind = POSADA_X_WINDOW;
		return;
	}
	/* The CPU has put the reasons into DR6; the core takes them out again. */
	posada_exit_exception(&vcpu->exit, vector, vmcb->save.dr6,
			      vector == X86_TRAP_AC, vmcb->control.exit_info_1);
}

/* An entry refused saves no registers, but in QEMU: the host's, if too early. */
static void svm_forget_host(struct posada_vcpu *vcpu)
{
	struct vmcb_save_area *s = &to_svm(vcpu)->vmcb->save;

	if (s->cr3 != __read_cr3())
		return;
	memset(s, 0, sizeof(*s));
	memset(&vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->cpl = 0;
	vcpu->long64 = false;
}

static void svm_decode_unknown(struct posada_vcpu *vcpu)
{
	const struct vmcb_control_area *c = &to_svm(vcpu)->vmcb->control;
	bool refused = (s32)c->exit_code == SVM_EXIT_ERR;
	struct posada_exit *x = &vcpu->exit;

	if (refused)
		svm_forget_host(vcpu);
	x->kind = refused ? POSADA_X_BAD_STATE : POSADA_X_UNKNOWN;
	x->fail.code = c->exit_code | (u64)c->exit_code_hi << 32;
	/* What was to be injected is the likeliest reason of a refusal. */
	x->fail.info = refused ? (u64)c->event_inj << 32 | c->exit_int_info :
		       c->exit_info_1;
}

/* The exits with more to say than their row. */
static void svm_decode_special(struct posada_vcpu *vcpu, u32 code)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct posada_exit *x = &vcpu->exit;

	switch (code) {
	case SVM_EXIT_VINTR:
		svm_decode_vintr(vcpu);
		break;
	case SVM_EXIT_IRET:
		/* Not yet, but ask anew: now is the time for the step. */
		x->kind = POSADA_X_WINDOW;
		svm->iret_pending = true;
		svm->unusual = true;
		svm->iret_rip = vcpu->regs.rip;
		svm_intercept(svm, INTERCEPT_IRET, false);
		break;
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR7:
	case SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR7:
		x->kind = POSADA_X_DR;
		break;
	case SVM_EXIT_EXCP_BASE ... SVM_EXIT_LAST_EXCP:
		svm_decode_exception(vcpu, code - SVM_EXIT_EXCP_BASE);
		break;
	default:
		svm_decode_unknown(vcpu);
	}
}

static __always_inline void svm_next_rip(struct posada_vcpu *vcpu)
{
	if (cpu_feature_enabled(X86_FEATURE_NRIPS))
		vcpu->exit.insn_len = to_svm(vcpu)->vmcb->control.next_rip -
				      vcpu->regs.rip;
}

/* The rows without an instruction of their own, the frequent ones first. */
static noinline void svm_decode_rest(struct posada_vcpu *vcpu,
				     const struct posada_exit_row *row, u32 code)
{
	struct posada_exit *x = &vcpu->exit;

	if (row->kind == POSADA_X_PORT) {
		svm_decode_port(vcpu);
	} else if (code == SVM_EXIT_NPF) {
		x->kind = POSADA_X_MEMORY;
		svm_decode_npf(vcpu);
	} else if (row->kind == POSADA_X_NONE) {
		svm_decode_special(vcpu, code);
	} else if (row->kind == POSADA_X_FAULT) {
		posada_exit_denied(x, row->vector);
	}
}

static __always_inline void svm_decode_code(struct posada_vcpu *vcpu)
{
	const struct vmcb_control_area *c = &to_svm(vcpu)->vmcb->control;
	struct posada_exit *x = &vcpu->exit;
	u32 code = c->exit_code;
	const struct posada_exit_row *row;

	/* A code past the table gets row 0, which goes the long way. */
	row = &svm_rows[array_index_nospec(code, SVM_NR_PLAIN)];
	x->head = row->head;
	if (row->insn) {
		svm_next_rip(vcpu);
	} else if (row->kind == POSADA_X_MSR) {
		x->msr.write = c->exit_info_1 & 1;
		x->insn = POSADA_INSN_RDMSR + x->msr.write;
		svm_next_rip(vcpu);
	} else {
		svm_decode_rest(vcpu, row, code);
	}
}

/* Something is under way that takes more than one exit. */
static void svm_watch(struct posada_vcpu *vcpu, u32 code)
{
	bool trap = code == SVM_EXIT_EXCP_BASE + X86_TRAP_DB;
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm->nmi_step && !trap && vcpu->regs.rip == svm->iret_rip)
		svm_nmi_step_off(vcpu);
	if (svm->iret_pending)
		svm_iret_progress(vcpu);
	if (svm->shadow_step == SVM_SHADOW_STEP && !trap)
		svm_shadow_step_end(vcpu);
}

/*
 * Left where it was entered with a shadow, the guest is still in it. QEMU says
 * otherwise: with an interrupt pending, the host's or a window's, VMRUN ends at
 * once, forgetting it.
 */
static void svm_shadow_back(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	if (svm->shadow_in && vcpu->regs.rip == svm->shadow_in_rip)
		vcpu->shadow = svm->shadow_in;
	svm->shadow_in = 0;
}

/* Something was being delivered, or is under way. */
static noinline void svm_decode_events(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_control_area *c = &svm->vmcb->control;

	svm_shadow_back(vcpu);
	svm_watch(vcpu, c->exit_code);
	if (c->exit_int_info & SVM_EXITINTINFO_VALID)
		svm_interrupted(vcpu);
	svm->injected.kind = POSADA_EVENT_NONE;
	c->event_inj = 0;
	svm->unusual = svm->iret_pending | svm->nmi_step | svm->shadow_step;
	svm_decode_code(vcpu);
}

static_assert(SVM_EXITINTINFO_VALID == 1U << 31);

void svm_decode(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	vcpu->exit.interrupted.kind = POSADA_EVENT_NONE;
	/* The sign is the valid bit. */
	if (unlikely(svm->unusual ||
		     (s32)svm->vmcb->control.exit_int_info < 0))
		svm_decode_events(vcpu);
	else
		svm_decode_code(vcpu);
}
