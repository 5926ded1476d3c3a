/* SPDX-License-Identifier: GPL-2.0 */
/*
 * From the loader's 32-bit entry (multiboot or PVH) to guest_main() in 64-bit
 * mode: identity-mapped 4 GiB, a stack, an IDT. Then the way that other CPUs
 * come by after INIT and SIPI, from real mode to ap_main().
 */
#include "layout.h"

#define MULTIBOOT_MAGIC		0x1badb002
#define MULTIBOOT_FLAGS		3	/* modules page-aligned, memory map */
#define PVH_NOTE		18	/* XEN_ELFNOTE_PHYS32_ENTRY */

#define MSR_EFER	0xc0000080
#define EFER_LME_NXE	0x900
#define CR4_BITS	0x620		/* PAE, OSFXSR, OSXMMEXCPT */
#define CR0_PG_WP	0x80010000
#define CR0_SET		0x33		/* PE, MP, ET, NE */

	.section .multiboot, "a"
	.balign 4
	.long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, PVH_NOTE
	.asciz "Xen"
	.long pvh_entry

	.text
	.code32
	.globl multiboot_entry
multiboot_entry:
	cmp $0x2badb002, %eax
	jne dead
	mov $BOOTED_BY_MULTIBOOT, %edi
	jmp common
pvh_entry:
	mov $BOOTED_BY_PVH, %edi
common:
	mov %ebx, %esi
	mov $stacks + STACK_BYTES, %esp
	cld

	/* PML4 -> PDPT -> four page directories of 2 MiB pages. */
	movl $pdpt + 3, pml4
	mov $4, %ecx
1:	lea -1(%ecx), %eax
	shl $12, %eax
	add $page_dirs + 3, %eax
	mov %eax, pdpt - 8(, %ecx, 8)
	loop 1b
	xor %ecx, %ecx
2:	mov %ecx, %eax
	shl $21, %eax
	or $0x83, %eax
	mov %eax, page_dirs(, %ecx, 8)
	inc %ecx
	cmp $2048, %ecx
	jb 2b

	call enter_long_mode
	ljmp $SEL_CODE64, $start64
dead:
	hlt
	jmp dead

/* Paging and EFER; the caller's far jump does the rest. Keeps EDI and ESI. */
enter_long_mode:
	mov %cr4, %eax
	or $CR4_BITS, %eax
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	rdmsr
	or $EFER_LME_NXE, %eax
	wrmsr
	mov %cr0, %eax
	or $(CR0_PG_WP | CR0_SET), %eax
	and $~0x60000004, %eax		/* caches on, no FPU emulation */
	mov %eax, %cr0
	lgdt gdt_pointer
	ret

	.code64
.macro load_segments
	mov $SEL_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	lidt idt_pointer
.endm

start64:
	load_segments
	mov %edi, %edi
	mov %esi, %esi
	push %rdi
	push %rsi
	call build_idt
	pop %rsi
	pop %rdi
	call guest_main
	mov %eax, %edi
	call finish

/* ---- other CPUs: copied to TRAMPOLINE, entered in real mode ---- */

	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	lgdtl %cs:(trampoline_gdt - trampoline)
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $SEL_CODE32, $ap32
	.balign 4
trampoline_gdt:
	.word gdt_end - gdt - 1
	.long gdt
trampoline_end:

	.code32
ap32:
	mov $SEL_DATA, %eax
	mov %eax, %ds
	mov %eax, %ss
	mov $1, %eax
	lock xaddl %eax, next_cpu
	cmp $MAX_CPUS, %eax
	jae dead
	mov %eax, %edi
	inc %eax
	imul $STACK_BYTES, %eax
	add $stacks, %eax
	mov %eax, %esp
	call enter_long_mode
	ljmp $SEL_CODE64, $ap64
	.code64
ap64:
	load_segments
	mov %edi, %edi
	call ap_main
3:	cli
	hlt
	jmp 3b

/* ---- exceptions and interrupts: 256 entries of 16 bytes ---- */

	.balign 16
	.globl idt_stubs
idt_stubs:
	.set vec, 0
	.rept 256
	.balign 16
	.if !(vec == 8 || (vec >= 10 && vec <= 14) || vec == 17 || vec == 21)
	push $0
	.endif
	.byte 0x68
	.long vec
	.byte 0xe9
	.long stub_common - (. + 4)
	.set vec, vec + 1
	.endr

	.balign 16
stub_common:
	push %rax
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	cld
	lea 72(%rsp), %rdi
	call handle_vector
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

	.data
	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* SEL_CODE32 */
	.quad 0x00af9b000000ffff	/* SEL_CODE64 */
	.quad 0x00cf93000000ffff	/* SEL_DATA */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.quad gdt
	.globl idt_pointer
idt_pointer:
	.word 4095
	.quad idt
	.balign 4
	.globl next_cpu
next_cpu:
	.long 1

	.bss
	.balign 4096
pml4:	.skip 4096
pdpt:	.skip 4096
page_dirs:
	.skip 4 * 4096
	.globl idt
idt:	.skip 4096
stacks:	.skip MAX_CPUS * STACK_BYTES

	.section .note.GNU-stack, "", @progbits
