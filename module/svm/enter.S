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
#include <asm/asm.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include "../compat.h"
#include "svm.h"

/* Byte offset of register number @n in the array. */
#define GPR(n)	((n) * 8)

	.section .noinstr.text, "ax"

SYM_FUNC_START(svm_switch)
	push %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx
	push %rdi
	push %rsi

	/* The guest's SPEC_CTRL: as late as possible, no branch after it. */
	testb $SVM_SWITCH_SPEC_CTRL, SVM_SWITCH_FLAGS(%rdi)
	jz 1f
	mov $MSR_IA32_SPEC_CTRL, %ecx
	mov SVM_SWITCH_GUEST_SPEC(%rdi), %eax
	mov SVM_SWITCH_GUEST_SPEC + 4(%rdi), %edx
	wrmsr
1:
	mov SVM_SWITCH_VMCB(%rdi), %rax
	vmload %rax

	mov GPR(1)(%rsi), %rcx
	mov GPR(2)(%rsi), %rdx
	mov GPR(3)(%rsi), %rbx
	mov GPR(5)(%rsi), %rbp
	mov GPR(7)(%rsi), %rdi
	mov GPR(8)(%rsi), %r8
	mov GPR(9)(%rsi), %r9
	mov GPR(10)(%rsi), %r10
	mov GPR(11)(%rsi), %r11
	mov GPR(12)(%rsi), %r12
	mov GPR(13)(%rsi), %r13
	mov GPR(14)(%rsi), %r14
	mov GPR(15)(%rsi), %r15

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
	xchg %rsi, (%rsp)
	mov %rcx, GPR(1)(%rsi)
	mov %rdx, GPR(2)(%rsi)
	mov %rbx, GPR(3)(%rsi)
	mov %rbp, GPR(5)(%rsi)
	mov %rdi, GPR(7)(%rsi)
	mov %r8, GPR(8)(%rsi)
	mov %r9, GPR(9)(%rsi)
	mov %r10, GPR(10)(%rsi)
	mov %r11, GPR(11)(%rsi)
	mov %r12, GPR(12)(%rsi)
	mov %r13, GPR(13)(%rsi)
	mov %r14, GPR(14)(%rsi)
	mov %r15, GPR(15)(%rsi)
	pop GPR(6)(%rsi)
	pop %rdi

	mov SVM_SWITCH_HOST(%rdi), %rax
	vmload %rax

	/*
	 * No guest return address is left to be predicted, where the kernel
	 * asks for that on the way out of a guest. Straight, for a third of
	 * the instructions of the kernel's own loop.
	 */
	ALTERNATIVE "jmp 3f", "", X86_FEATURE_RETPOLINE
	.rept RSB_CLEAR_LOOPS
	__FILL_RETURN_SLOT
	.endr
	add $RSB_CLEAR_LOOPS * 8, %rsp
	lfence
3:

	/* The host's SPEC_CTRL: before any RET. The guest may have changed it. */
	testb $SVM_SWITCH_SPEC_CTRL, SVM_SWITCH_FLAGS(%rdi)
	jz 2f
	mov $MSR_IA32_SPEC_CTRL, %ecx
	rdmsr
	mov %eax, SVM_SWITCH_GUEST_SPEC(%rdi)
	mov %edx, SVM_SWITCH_GUEST_SPEC + 4(%rdi)
	mov SVM_SWITCH_HOST_SPEC(%rdi), %eax
	mov SVM_SWITCH_HOST_SPEC + 4(%rdi), %edx
	wrmsr
2:
	POSADA_UNTRAIN_RET

	/*
	 * No guest value stays where speculation might use it: RAX, RSI and RDI
	 * have the host's already, the other six are popped.
	 */
	xor %ecx, %ecx
	xor %edx, %edx
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	RET
SYM_FUNC_END(svm_switch)
