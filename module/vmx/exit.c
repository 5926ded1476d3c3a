// SPDX-License-Identifier: GPL-2.0
/*
 * From VMX's exit reasons to neutral exits. Hardware codes end here; what an
 * exit means is decided in the core.
 */
#include <asm/cpufeature.h>
#include <asm/processor.h>
#include <asm/debugreg.h>
#include <asm/trapnr.h>
#include "vmx.h"

#define VMX_NR_REASONS	64
#define VMX_UD		POSADA_ROW_FAULT(X86_TRAP_UD)
#define VMX_REASON_GETSEC	11
#define VMX_REASON_RSM		17

/* Row 0, exceptions, is as special as the many that are not here. */
static const struct posada_exit_row vmx_rows[VMX_NR_REASONS] = {
	[EXIT_REASON_EXTERNAL_INTERRUPT] = POSADA_ROW(POSADA_X_HOST_IRQ),
	[EXIT_REASON_INIT_SIGNAL]	= POSADA_ROW(POSADA_X_HOST_IRQ),
	[EXIT_REASON_PREEMPTION_TIMER]	= POSADA_ROW(POSADA_X_TIMER),
	[EXIT_REASON_TRIPLE_FAULT]	= POSADA_ROW(POSADA_X_SHUTDOWN),
	[EXIT_REASON_INTERRUPT_WINDOW]	= POSADA_ROW(POSADA_X_WINDOW),
	[EXIT_REASON_NMI_WINDOW]	= POSADA_ROW(POSADA_X_WINDOW),
	[EXIT_REASON_TPR_BELOW_THRESHOLD] = POSADA_ROW(POSADA_X_WINDOW),
	[EXIT_REASON_CPUID]	= POSADA_ROW_INSN(POSADA_X_CPUID, POSADA_INSN_CPUID),
	[EXIT_REASON_HLT]	= POSADA_ROW_INSN(POSADA_X_HALT, POSADA_INSN_HLT),
	[EXIT_REASON_VMCALL]	= POSADA_ROW_INSN(POSADA_X_HYPERCALL, POSADA_INSN_HYPERCALL),
	[EXIT_REASON_MSR_READ]	= POSADA_ROW_INSN(POSADA_X_MSR, POSADA_INSN_RDMSR),
	[EXIT_REASON_MSR_WRITE]	= POSADA_ROW_INSN(POSADA_X_MSR, POSADA_INSN_WRMSR),
	[EXIT_REASON_PAUSE_INSTRUCTION] = POSADA_ROW_INSN(POSADA_X_PAUSE, POSADA_INSN_PAUSE),
	[EXIT_REASON_WBINVD]	= POSADA_ROW_INSN(POSADA_X_SKIP, POSADA_INSN_WBINVD),
	[EXIT_REASON_INVD]	= POSADA_ROW_INSN(POSADA_X_SKIP, POSADA_INSN_INVD),
	[EXIT_REASON_XSETBV]	= POSADA_ROW_INSN(POSADA_X_XSETBV, POSADA_INSN_XSETBV),
	[EXIT_REASON_RDPMC]	= POSADA_ROW_FAULT(X86_TRAP_GP),
	[EXIT_REASON_MCE_DURING_VMENTRY] = POSADA_ROW(POSADA_X_MACHINE_CHECK),
	/* Instructions that this CPU model does not have. */
	[EXIT_REASON_VMCLEAR ... EXIT_REASON_VMON] = VMX_UD,
	[EXIT_REASON_INVEPT] = VMX_UD, [EXIT_REASON_INVVPID] = VMX_UD,
	[EXIT_REASON_VMFUNC] = VMX_UD,
	[EXIT_REASON_MWAIT_INSTRUCTION] = VMX_UD,
	[EXIT_REASON_MONITOR_INSTRUCTION] = VMX_UD,
	[VMX_REASON_GETSEC] = VMX_UD, [VMX_REASON_RSM] = VMX_UD,
};

/* An IRET let NMIs in, and then faulted: it will come again. */
static void vmx_unblock_nmi(struct posada_vcpu *vcpu, u64 info)
{
	if ((info & INTR_INFO_UNBLOCK_NMI) && !vcpu->exit.interrupted.kind)
		vcpu->nmi_masked = POSADA_NMI_MASKED;
}

static void vmx_decode_exception(struct posada_vcpu *vcpu, u64 dr6)
{
	u32 info = vmx_tell(VM_EXIT_INTR_INFO);
	u8 vector = info & INTR_INFO_VECTOR_MASK;

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR) {
		vcpu->exit.kind = POSADA_X_HOST_IRQ;
		vmx_host_nmi();
		return;
	}
	vmx_unblock_nmi(vcpu, info);
	/* Bochs goes on to have it pending. */
	if (vector == X86_TRAP_DB)
		vmx_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	posada_exit_exception(&vcpu->exit, vector, dr6,
			      info & INTR_INFO_DELIVER_CODE_MASK,
			      vmx_tell(VM_EXIT_INTR_ERROR_CODE));
}

#define VMX_IO_SIZE	7
#define VMX_IO_IN	BIT(3)
#define VMX_IO_STRING	BIT(4)
#define VMX_IO_PORT	16

static void vmx_decode_port(struct posada_exit *x, u64 info)
{
	x->kind = POSADA_X_PORT;
	x->insn_len = vmx_tell(VM_EXIT_INSTRUCTION_LEN);
	x->port.port = info >> VMX_IO_PORT;
	x->port.len = (info & VMX_IO_SIZE) + 1;
	x->port.in = info & VMX_IO_IN;
	x->port.string = info & VMX_IO_STRING;
}

static void vmx_decode_memory(struct posada_vcpu *vcpu, u64 info)
{
	struct posada_exit *x = &vcpu->exit;

	x->kind = POSADA_X_MEMORY;
	x->memory.gpa = vmx_tell(GUEST_PHYSICAL_ADDRESS);
	x->memory.write = info & EPT_VIOLATION_ACC_WRITE;
	x->memory.exec = info & EPT_VIOLATION_ACC_INSTR;
	/* With a linear address that was not yet translated. */
	x->memory.walk = (info & EPT_VIOLATION_GVA_IS_VALID) &&
			 !(info & EPT_VIOLATION_GVA_TRANSLATED);
	vmx_unblock_nmi(vcpu, info);
}

#define VMX_CR_HOW	4	/* MOV to, MOV from, CLTS, LMSW */
#define VMX_CR_GPR	8

/* Only writes of CR0 and CR4 make an exit. */
static void vmx_decode_cr(struct posada_exit *x, u64 info)
{
	static const u8 how[] = { [2] = POSADA_CR_CLTS, [3] = POSADA_CR_LMSW };

	x->kind = POSADA_X_CR;
	x->insn_len = vmx_tell(VM_EXIT_INSTRUCTION_LEN);
	x->cr.number = info & CONTROL_REG_ACCESS_NUM;
	x->cr.how = how[info >> VMX_CR_HOW & 3];
	x->cr.gpr = info >> VMX_CR_GPR & 0xf;
	x->cr.word = info >> LMSW_SOURCE_DATA_SHIFT;
}

static void vmx_decode_dr(struct posada_exit *x, u64 info)
{
	x->kind = POSADA_X_DR;
	x->insn_len = vmx_tell(VM_EXIT_INSTRUCTION_LEN);
	x->dr.number = info & DEBUG_REG_ACCESS_NUM;
	x->dr.write = !(info & TYPE_MOV_FROM_DR);
	x->dr.gpr = DEBUG_REG_ACCESS_REG(info);
}

#define VMX_TASK_SOURCE	30	/* two bits: POSADA_TASK_* */

static void vmx_decode_task(struct posada_exit *x, u64 info)
{
	u32 event = vmx_tell(IDT_VECTORING_INFO_FIELD);

	x->kind = POSADA_X_TASK;
	x->task.selector = info;
	x->task.source = (u32)info >> VMX_TASK_SOURCE;
	/* INT n, INT3 and INTO are instructions; other events are at one. */
	if (x->task.source != POSADA_TASK_GATE ||
	    (event & VECTORING_INFO_TYPE_MASK) > INTR_TYPE_HARD_EXCEPTION)
		x->insn_len = vmx_tell(VM_EXIT_INSTRUCTION_LEN);
}

/* The exits with more to say than their row. */
static noinline void vmx_decode_special(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct posada_exit *x = &vcpu->exit;
	u64 info = vmx_tell(EXIT_QUALIFICATION);

	switch (vmx->reason) {
	case EXIT_REASON_EXCEPTION_NMI:
		vmx_decode_exception(vcpu, info);
		break;
	case EXIT_REASON_IO_INSTRUCTION:
		vmx_decode_port(x, info);
		break;
	case EXIT_REASON_EPT_VIOLATION:
		vmx_decode_memory(vcpu, info);
		break;
	case EXIT_REASON_CR_ACCESS:
		vmx_decode_cr(x, info);
		break;
	case EXIT_REASON_DR_ACCESS:
		vmx_decode_dr(x, info);
		break;
	case EXIT_REASON_EOI_INDUCED:
		x->kind = POSADA_X_EOI;
		x->eoi.vector = info;
		break;
	case EXIT_REASON_TASK_SWITCH:
		vmx_decode_task(x, info);
		break;
	default:
		x->kind = POSADA_X_UNKNOWN;
		x->fail.code = vmx->reason;
		x->fail.info = info;
	}
}

/* The entry failed: what the CPU says of it. */
static noinline void vmx_decode_refusal(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct posada_exit *x = &vcpu->exit;

	x->head = 0;
	x->kind = POSADA_X_BAD_STATE;
	if (vmx->reason == VMX_NO_ENTRY) {
		vmx->sw.failed = 0;
		x->fail.code = vmx_read(VM_INSTRUCTION_ERROR);
		x->fail.info = 0;
	} else {
		x->fail.code = vmx->reason;
		x->fail.info = vmx_read(EXIT_QUALIFICATION);
	}
}

void vmx_decode(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct posada_exit *x = &vcpu->exit;
	const struct posada_exit_row *row;
	u32 info, reason = vmx->reason;

	x->interrupted.kind = POSADA_EVENT_NONE;
	if (unlikely(reason & VMX_EXIT_REASONS_FAILED_VMENTRY)) {
		vmx_decode_refusal(vcpu);
		return;
	}
	info = vmx_tell(IDT_VECTORING_INFO_FIELD);
	if (unlikely(info & VECTORING_INFO_VALID_MASK))
		posada_event_cut(&x->interrupted, info,
				 vmx_tell(IDT_VECTORING_ERROR_CODE), vmx->cr2);
	/* A reason past the table gets row 0, which goes the long way. */
	row = &vmx_rows[array_index_nospec(reason, VMX_NR_REASONS)];
	x->head = row->head;
	if (row->insn) {
		x->insn_len = vmx_tell(VM_EXIT_INSTRUCTION_LEN);
		x->msr.write = reason == EXIT_REASON_MSR_WRITE;
	} else if (row->kind == POSADA_X_FAULT) {
		posada_exit_denied(x, row->vector);
	} else if (!row->kind) {
		vmx_decode_special(vcpu);
	}
}
