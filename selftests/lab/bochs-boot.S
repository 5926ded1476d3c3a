/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The loader of the lab's Bochs hosts: an option ROM that brings a kernel and an initramfs from
 * the hard disk to their places in memory and enters the kernel by its PVH entry. A boot from a
 * CD would cost minutes there: the BIOS reads in 16-bit mode, and the kernel unpacks itself.
 *
 * The BIOS calls this ROM when it has set up everything else (ACPI tables, the other CPUs, the
 * memory map). bochs.py has put the numbers that change with each run into `boot`, and the
 * kernel's command line behind the ROM's own bytes.
 *
 * A host that resets comes here a second time: say so on the first serial port and end Bochs.
 */

/* Low memory that nothing else uses now; the kernel reads what it wants of it at once. */
#define START_INFO	0x8000
#define MEMORY_MAP	0x8100
#define MAP_ENTRY	24
#define ROM		0xd0000

#define CMOS_INDEX	0x70
#define CMOS_DATA	0x71
#define CMOS_BEEN_HERE	0x77		/* neither the BIOS nor Linux looks at this byte */
#define BEEN_HERE	0x5a
#define COM1		0x3f8
#define BOCHS_SHUTDOWN	0x8900

#define ATA		0x1f0
#define ATA_COUNT	(ATA + 2)
#define ATA_LBA		(ATA + 3)
#define ATA_DRIVE	(ATA + 6)
#define ATA_COMMAND	(ATA + 7)
#define ATA_CONTROL	0x3f6
#define ATA_NO_IRQ	2
#define ATA_LBA_MODE	0xe0
#define ATA_BUSY	0x80
#define ATA_DATA	0x08
#define ATA_READ_MULTIPLE 0xc4
#define ATA_SET_MULTIPLE 0xc6
#define BLOCK		16		/* sectors for each wait */
#define BLOCK_WORDS	(BLOCK * 256)

#define E820_SIGNATURE	0x534d4150	/* "SMAP" */

	.code16
	.text
	.globl	_start
_start:
	.byte	0x55, 0xaa
	.byte	0			/* the ROM's length in sectors: bochs.py */
	jmp	rom_entry
	.balign	8
boot:	/* bochs.py knows this layout: struct boot there. */
boot_entry:	.long	0		/* the kernel's PVH entry */
boot_cmdline:	.long	0		/* physical addresses of its command line */
boot_initrd:	.long	0		/* and of the initramfs */
boot_initrd_len: .long	0
boot_extents:	.long	0		/* of the list { first sector, blocks, address }; 0 blocks end it */

rom_entry:
	cli
	cld
	xor	%ax, %ax
	mov	%ax, %es
	mov	%ax, %ss
	mov	$0x7c00, %sp
	push	%cs
	pop	%ds

	mov	$CMOS_BEEN_HERE, %al
	out	%al, $CMOS_INDEX
	in	$CMOS_DATA, %al
	cmp	$BEEN_HERE, %al
	je	came_back
	mov	$BEEN_HERE, %al
	out	%al, $CMOS_DATA

	/* The BIOS's memory map, as the PVH entry wants it: an entry has 4 bytes more. */
	xor	%ebx, %ebx
	mov	$MEMORY_MAP, %di
1:	mov	$0xe820, %eax
	mov	$E820_SIGNATURE, %edx
	mov	$20, %ecx
	movl	$0, %es:20(%di)
	int	$0x15
	jc	2f
	add	$MAP_ENTRY, %di
	test	%ebx, %ebx
	jnz	1b
2:	cli				/* the BIOS may have set it */

	in	$0x92, %al		/* address line 20 */
	or	$2, %al
	out	%al, $0x92
	lgdtl	gdt_pointer
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$8, $(ROM + protected)

came_back:
	mov	$reset_text, %si
	mov	$COM1, %dx
1:	lodsb
	test	%al, %al
	jz	2f
	out	%al, %dx
3:	add	$5, %dx			/* the line status: until the byte has left */
	in	%dx, %al
	sub	$5, %dx
	test	$0x40, %al
	jz	3b
	jmp	1b
2:	mov	$shutdown_text, %si
	mov	$BOCHS_SHUTDOWN, %dx
1:	lodsb
	out	%al, %dx
	jmp	1b			/* its last letter ends it all */

	.code32
protected:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	movzwl	%di, %ebp		/* the end of the memory map */

	mov	$ATA_CONTROL, %edx
	mov	$ATA_NO_IRQ, %al
	out	%al, %dx
	mov	$ATA_DRIVE, %edx
	mov	$ATA_LBA_MODE, %al
	out	%al, %dx
	mov	$ATA_COUNT, %edx
	mov	$BLOCK, %al
	out	%al, %dx
	mov	$ATA_COMMAND, %edx
	mov	$ATA_SET_MULTIPLE, %al
	out	%al, %dx
	mov	$ATA_BUSY, %ah
	xor	%bl, %bl
	call	wait_disk

	mov	ROM + boot_extents, %esi
next_extent:
	mov	4(%esi), %ecx
	jecxz	loaded
	mov	(%esi), %ebx
	mov	8(%esi), %edi
next_block:
	push	%ecx
	mov	$ATA_COUNT, %edx
	mov	$BLOCK, %al
	out	%al, %dx
	mov	%ebx, %eax
	inc	%edx
	out	%al, %dx
	inc	%edx
	shr	$8, %eax
	out	%al, %dx
	inc	%edx
	shr	$8, %eax
	out	%al, %dx
	inc	%edx
	mov	%ah, %al
	or	$ATA_LBA_MODE, %al
	out	%al, %dx
	inc	%edx
	mov	$ATA_READ_MULTIPLE, %al
	out	%al, %dx
	push	%ebx
	mov	$(ATA_BUSY | ATA_DATA), %ah
	mov	$ATA_DATA, %bl
	call	wait_disk
	mov	$ATA, %edx
	mov	$BLOCK_WORDS, %ecx
	rep insw
	pop	%ebx
	add	$BLOCK, %ebx
	pop	%ecx
	loop	next_block
	add	$12, %esi
	jmp	next_extent

/* Read the disk's status until the bits AH of it are BL. */
wait_disk:
	mov	$ATA_COMMAND, %edx
1:	in	%dx, %al
	and	%ah, %al
	cmp	%bl, %al
	jne	1b
	ret

/* struct hvm_start_info, version 1, and its one module. */
loaded:
	mov	$START_INFO, %ebx
	mov	%ebx, %edi
	xor	%eax, %eax
	mov	$((MEMORY_MAP - START_INFO) / 4), %ecx
	rep stosl
	movl	$0x336ec578, (%ebx)
	movl	$1, 4(%ebx)
	movl	$1, 12(%ebx)			/* modules */
	movl	$(START_INFO + 0x80), 16(%ebx)	/* their list */
	mov	ROM + boot_cmdline, %eax
	mov	%eax, 24(%ebx)
	movl	$MEMORY_MAP, 40(%ebx)
	mov	%ebp, %eax
	sub	$MEMORY_MAP, %eax
	xor	%edx, %edx
	mov	$MAP_ENTRY, %ecx
	div	%ecx
	mov	%eax, 48(%ebx)			/* entries of the memory map */
	mov	ROM + boot_initrd, %eax
	mov	%eax, 0x80(%ebx)
	mov	ROM + boot_initrd_len, %eax
	mov	%eax, 0x88(%ebx)
	jmp	*(ROM + boot_entry)

	.balign	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff		/* flat code, accessed: this is ROM */
	.quad	0x00cf93000000ffff		/* flat data */
gdt_pointer:
	.word	. - gdt - 1
	.long	ROM + gdt
reset_text:
	.asciz	"\r\nposada: lab: the host has reset itself\r\n"
shutdown_text:
	.ascii	"Shutdown"
