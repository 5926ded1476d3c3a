/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The world switch: void vmx_switch(struct vmx_switch *sw, u64 *regs)
 *
 * Called with interrupts off. The entry and the exit move RSP, RIP, RFLAGS,
 * the segments and control registers; the rest of the general registers is
 * moved here. Until the return stack is filled again, execute no RET.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/segment.h>
#include "../switch.inc"
#include "vmx.h"

	.section .noinstr.text, "ax"

SYM_FUNC_START(vmx_switch)
	POSADA_PUSH_HOST

	/* The exit comes back with this RSP; it hardly ever changes. */
	cmp %rsp, VMX_SWITCH_RSP(%rdi)
	je 1f
	mov $VMX_HOST_RSP, %eax
5:	vmwrite %rsp, %rax
	mov %rsp, VMX_SWITCH_RSP(%rdi)
1:
	/* Without a VMCS it faults, and so will the entry. */
	_ASM_EXTABLE(5b, 1b)

	POSADA_GUEST_SPEC_CTRL
	/* CF stays as it is until the jump. */
	btl $0, VMX_SWITCH_LAUNCHED(%rdi)
	POSADA_LOAD_GUEST
	mov GPR(0)(%rsi), %rax
	mov GPR(6)(%rsi), %rsi

	/* Leave no host data in the CPU's buffers. Clobbers ZF alone. */
	CLEAR_CPU_BUFFERS

	jnc 7f
6:	vmresume
	jmp 8f
7:	vmlaunch
8:
	/* Still here: registers are the guest's, as after an exit. */
	push %rax
	mov 16(%rsp), %rax
	movl $1, VMX_SWITCH_FAILED(%rax)
	pop %rax

	_ASM_EXTABLE(6b, 8b)
	_ASM_EXTABLE(7b, 8b)

SYM_INNER_LABEL_ALIGN(vmx_exit_point, SYM_L_GLOBAL)
	ANNOTATE_NOENDBR
	POSADA_STORE_GUEST
	mov %rax, GPR(0)(%rsi)

	POSADA_FILL_RETURNS X86_FEATURE_RSB_VMEXIT
	ALTERNATIVE "jmp 4f", "", X86_FEATURE_RSB_VMEXIT_LITE
	__FILL_ONE_RETURN
4:
	POSADA_HOST_SPEC_CTRL
	CLEAR_BRANCH_HISTORY_VMEXIT
	xor %eax, %eax
	POSADA_CLEAR_GUEST
	POSADA_POP_HOST
	RET
SYM_FUNC_END(vmx_switch)

/*
 * The exit has taken the NMI from the CPU: call the kernel's handler with the
 * frame that an interrupt makes. Its IRET takes that frame, and lets NMIs in.
 */
SYM_FUNC_START(vmx_host_nmi)
#ifdef POSADA_NMI_BY_INT
	int $2
#else
	push %rbp
	mov %rsp, %rbp
	and $-16, %rsp
	push $__KERNEL_DS
	push %rbp
	pushf
	push $__KERNEL_CS
	call POSADA_NMI_ENTRY
	mov %rbp, %rsp
	pop %rbp
#endif
	RET
SYM_FUNC_END(vmx_host_nmi)
