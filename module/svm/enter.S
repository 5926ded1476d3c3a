/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The world switch: void svm_switch(struct svm_switch *sw, u64 *regs)
 *
 * Called with interrupts off and GIF clear. VMRUN itself moves RAX, RSP, RIP,
 * RFLAGS, the control registers and CS, SS, DS, ES; VMLOAD and VMSAVE move FS,
 * GS, TR, LDTR and the syscall MSRs; the rest of the general registers is
 * moved here. From VMRUN until the host's GS is back, touch no per-CPU data;
 * until the return stack is filled again, execute no RET.
 */
#include <linux/linkage.h>
#include "../switch.inc"
#include "svm.h"

	.section .noinstr.text, "ax"

SYM_FUNC_START(svm_switch)
	POSADA_PUSH_HOST
	POSADA_GUEST_SPEC_CTRL
	mov SVM_SWITCH_VMCB(%rdi), %rax
	vmload %rax
	POSADA_LOAD_GUEST

	/*
	 * With GIF clear, IF only tells VMRUN that interrupts end the guest.
	 * Not just before VMRUN: QEMU takes the shadow of this STI along into
	 * the guest, where it ends that of an STI at the guest's RIP.
	 */
	sti
	mov GPR(6)(%rsi), %rsi

	/* Leave no host data in the CPU's buffers. Clobbers ZF alone. */
	POSADA_CLEAR_CPU_BUFFERS

	vmrun %rax
	cli

	/* RAX is the VMCB again: VMRUN restored it. */
	vmsave %rax
	POSADA_STORE_GUEST

	mov SVM_SWITCH_HOST(%rdi), %rax
	vmload %rax

	POSADA_FILL_RETURNS X86_FEATURE_RETPOLINE
	POSADA_HOST_SPEC_CTRL
	POSADA_UNTRAIN_RET
	POSADA_CLEAR_GUEST
	POSADA_POP_HOST
	RET
SYM_FUNC_END(svm_switch)
