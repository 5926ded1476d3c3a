// SPDX-License-Identifier: GPL-2.0
/* Fill guest memory as guest.h describes it. Knows of no hypervisor. */
#include <link.h>
#include <string.h>

#include "guest.h"

struct memory {
	u8 *mem;
	u64 bytes;
};

static int copy_segment(struct dl_phdr_info *info, size_t size, void *data)
{
	struct memory *m = data;
	int i;

	(void)size;
	if (info->dlpi_addr)	/* the vDSO */
		return 0;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const Elf64_Phdr *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD || p->p_vaddr + p->p_memsz > m->bytes)
			continue;
		memcpy(m->mem + p->p_vaddr, (void *)p->p_vaddr, p->p_memsz);
	}
	return 0;
}

static void build_page_tables(u8 *mem)
{
	u64 *pml4 = (void *)(mem + G_PML4), *pdpt = (void *)(mem + G_PDPT);
	u64 *pd = (void *)(mem + G_PD);
	u64 i;

	pml4[0] = G_PDPT | 0x27;		/* P W U A */
	for (i = 0; i < 4; i++)
		pdpt[i] = (G_PD + i * 4096) | 0x27;
	for (i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | 0xe7;		/* P W U A D PS */
}

static void build_descriptors(u8 *mem)
{
	static const u64 gdt[] = {
		[G_CODE64 / 8]	= 0x00af9b000000ffff,
		[G_DATA / 8]	= 0x00cf93000000ffff,
		[G_UCODE32 / 8]	= 0x00cffb000000ffff,
		[G_UDATA / 8]	= 0x00cff3000000ffff,
		[G_UCODE64 / 8]	= 0x00affb000000ffff,
		[G_CODE32 / 8]	= 0x00cf9b000000ffff,
		[G_CODE16 / 8]	= 0x00009b000000ffff,
		[G_DATA16 / 8]	= 0x000093000000ffff,
	};
	u64 *table = (void *)(mem + G_GDT), *idt = (void *)(mem + G_IDT);
	u64 i, base;

	memcpy(table, gdt, sizeof(gdt));
	for (i = 0; i < G_MAX_CPUS; i++) {
		base = G_TSS + i * 128;
		table[G_TSS_SEL(i) / 8] = 0x0000890000000067 | base << 16;
		/* RSP0: the lower half of the stack. No map of I/O ports. */
		*(u64 *)(mem + base + 4) = G_STACKS + i * G_STACK + G_STACK / 2;
		*(u16 *)(mem + base + 102) = 0x68;
	}
	for (i = 0; i < 256; i++) {
		base = (u64)g_idt_stubs + i * 16;
		/* DPL 3, so that INT n works from anywhere. */
		idt[2 * i] = (base & 0xffff) | (u64)G_CODE64 << 16 | 0xeeULL << 40 |
			     (base & 0xffff0000) << 32;
		idt[2 * i + 1] = base >> 32;
	}
}

void image_fill(void *mem, u64 bytes)
{
	struct memory m = { mem, bytes };

	dl_iterate_phdr(copy_segment, &m);
	build_page_tables(mem);
	build_descriptors(mem);
}
