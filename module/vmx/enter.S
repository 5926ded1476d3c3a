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
#include <asm/asm.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>
#include "../compat.h"
#include "vmx.h"

/* Byte offset of register number @n in the array. */
#define GPR(n)	((n) * 8)

	.section .noinstr.text, "ax"

SYM_FUNC_START(vmx_switch)
	push %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx
	push %rdi
	push %rsi

	/* The exit comes back with this RSP; it hardly ever changes. */
	cmp %rsp, VMX_SWITCH_RSP(%rdi)
	je 1f
	mov $VMX_HOST_RSP, %eax
5:	vmwrite %rsp, %rax
	mov %rsp, VMX_SWITCH_RSP(%rdi)
1:
	/* The guest's SPEC_CTRL: as late as possible, no branch after it. */
	testb $VMX_SWITCH_SPEC_CTRL, VMX_SWITCH_FLAGS(%rdi)
	jz 1f
	mov $MSR_IA32_SPEC_CTRL, %ecx
	mov VMX_SWITCH_GUEST_SPEC(%rdi), %eax
	mov VMX_SWITCH_GUEST_SPEC + 4(%rdi), %edx
	wrmsr
1:
	/* CF stays as it is until the jump. */
	btl $VMX_SWITCH_LAUNCHED_BIT, VMX_SWITCH_FLAGS(%rdi)

	mov GPR(0)(%rsi), %rax
	mov GPR(1)(%rsi), %rcx
	mov GPR(2)(%rsi), %rdx
	mov GPR(3)(%rsi), %rbx
	mov GPR(5)(%rsi), %rbp
	mov GPR(7)(%rsi), %rdi
	.irp n, 8, 9, 10, 11, 12, 13, 14, 15
	mov GPR(\n)(%rsi), %r\n
	.endr
	mov GPR(6)(%rsi), %rsi

	/* Leave no host data in the CPU's buffers. Clobbers ZF alone. */
	POSADA_CLEAR_CPU_BUFFERS

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
	xchg %rsi, (%rsp)
	mov %rax, GPR(0)(%rsi)
	mov %rcx, GPR(1)(%rsi)
	mov %rdx, GPR(2)(%rsi)
	mov %rbx, GPR(3)(%rsi)
	mov %rbp, GPR(5)(%rsi)
	mov %rdi, GPR(7)(%rsi)
	.irp n, 8, 9, 10, 11, 12, 13, 14, 15
	mov %r\n, GPR(\n)(%rsi)
	.endr
	pop %rax
	mov %rax, GPR(6)(%rsi)
	pop %rdi

	/*
	 * No guest return address is left to be predicted, where the kernel
	 * asks for that on the way out of a guest. Straight, for a third of
	 * the instructions of the kernel's own loop.
	 */
	ALTERNATIVE "jmp 3f", "", X86_FEATURE_RSB_VMEXIT
	.rept RSB_CLEAR_LOOPS
	__FILL_RETURN_SLOT
	.endr
	add $RSB_CLEAR_LOOPS * 8, %rsp
	lfence
3:
	ALTERNATIVE "jmp 4f", "", X86_FEATURE_RSB_VMEXIT_LITE
	__FILL_ONE_RETURN
4:
	/*
	 * The host's SPEC_CTRL: before any RET. The guest may have changed it,
	 * and with IBRS the write itself is the barrier.
	 */
	testb $VMX_SWITCH_SPEC_CTRL, VMX_SWITCH_FLAGS(%rdi)
	jz 2f
	mov $MSR_IA32_SPEC_CTRL, %ecx
	rdmsr
	mov %eax, VMX_SWITCH_GUEST_SPEC(%rdi)
	mov %edx, VMX_SWITCH_GUEST_SPEC + 4(%rdi)
	mov VMX_SWITCH_HOST_SPEC(%rdi), %eax
	mov VMX_SWITCH_HOST_SPEC + 4(%rdi), %edx
	wrmsr
2:
	CLEAR_BRANCH_HISTORY_VMEXIT

	/* No guest value stays where speculation might use it. */
	.irp reg, eax, ecx, edx, ebx, esi, edi, r8d, r9d, r10d, r11d
	xor %\reg, %\reg
	.endr
9:	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	RET

	/* No VMCS: the guest's registers were not loaded yet. */
10:	movl $1, VMX_SWITCH_FAILED(%rdi)
	add $16, %rsp
	jmp 9b
	_ASM_EXTABLE(5b, 10b)
SYM_FUNC_END(vmx_switch)

/*
 * The exit has taken the NMI from the CPU: call the kernel's handler with the
 * frame that an interrupt makes. Its IRET takes that frame, and lets NMIs in.
 */
SYM_FUNC_START(vmx_host_nmi)
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
	RET
SYM_FUNC_END(vmx_host_nmi)
