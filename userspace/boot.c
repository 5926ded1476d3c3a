// SPDX-License-Identifier: GPL-2.0
/*
 * Boot: find out what the kernel is, load it, set the state that firmware or a
 * boot loader would leave behind.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "image.h"
#include "pci.h"

#define CR0_PE		(1ULL << 0)
#define CR0_ET		(1ULL << 4)
#define CR0_NE		(1ULL << 5)
#define CR0_PG		(1ULL << 31)
#define CR4_PAE		(1ULL << 5)
#define EFER_LME	(1ULL << 8)
#define EFER_LMA	(1ULL << 10)
#define RFLAGS_ALWAYS	(1ULL << 1)

#define PTE_TABLE	0x03	/* present, writable */
#define PTE_LARGE	0x83
#define TABLE_ENTRIES	512
#define LARGE_BYTES	(2 * MIB)

#define SEL_CODE	0x10	/* what the Linux boot protocol asks for */
#define SEL_DATA	0x18
#define SEL_TSS		0x20
#define GDT_ENTRIES	6

#define ATTR_CODE	(0xb | POSADA_SEG_S | POSADA_SEG_P | POSADA_SEG_G)
#define ATTR_DATA	(0x3 | POSADA_SEG_S | POSADA_SEG_P | POSADA_SEG_G | \
			 POSADA_SEG_DB)
#define ATTR_TSS	(0xb | POSADA_SEG_P)

#define MSR_MTRR_DEF	0x2ff
#define MTRR_DEF_WB	0xc06	/* enabled, fixed ones too, write-back */
#define APIC_BASE_EXTD	(1ULL << 10)
#define APIC_REG_ID	2
#define APIC_REG_LDR	13

/* ---- the memory map ---- */

static void add_map(struct map_entry *map, unsigned int *n, uint64_t from,
		    uint64_t to, uint32_t type)
{
	if (to > from)
		map[(*n)++] = (struct map_entry){ from, to - from, type };
}

unsigned int memory_map(const struct machine *m, struct map_entry *map)
{
	unsigned int n = 0;

	add_map(map, &n, 0, LOW_RAM_END, E820_RAM);
	add_map(map, &n, LOW_RAM_END, 0xa0000, E820_RESERVED);
	add_map(map, &n, BIOS_START, BIOS_END, E820_RESERVED);
	add_map(map, &n, BIOS_END, m->low_bytes, E820_RAM);
	if (m->has_pci)
		add_map(map, &n, PCI_ECAM_BASE, PCI_ECAM_BASE + PCI_ECAM_BYTES,
			E820_RESERVED);
	add_map(map, &n, HOLE_END, HOLE_END + m->high_bytes, E820_RAM);
	return n;
}

/* ---- registers ---- */

static struct posada_segment flat(uint16_t selector, uint16_t attr)
{
	return (struct posada_segment){
		.limit = 0xffffffff, .selector = selector, .attr = attr,
	};
}

/* The descriptor in memory that says what the segment register holds. */
static uint64_t descriptor(const struct posada_segment *s)
{
	uint64_t limit = s->attr & POSADA_SEG_G ? s->limit >> 12 : s->limit;

	return (limit & 0xffff) | (s->base & 0xffffff) << 16 |
	       (uint64_t)(s->attr & 0xff) << 40 | (limit >> 16 & 0xf) << 48 |
	       (uint64_t)(s->attr >> 8 & 0xf) << 52 |
	       (s->base >> 24 & 0xff) << 56;
}

static void set_segments(struct machine *m, struct posada_sregs *s,
			 enum entry_mode mode)
{
	struct posada_segment data = flat(SEL_DATA, ATTR_DATA);
	uint64_t *gdt = guest_memory(m, BOOT_GDT, GDT_ENTRIES * 8, "the GDT");
	int i;

	for (i = POSADA_ES; i <= POSADA_GS; i++)
		s->seg[i] = data;
	s->seg[POSADA_CS] = flat(SEL_CODE, ATTR_CODE |
		(mode == ENTRY_LONG ? POSADA_SEG_L : POSADA_SEG_DB));
	s->seg[POSADA_TR] = (struct posada_segment){
		.limit = 0x67, .selector = SEL_TSS, .attr = ATTR_TSS,
	};
	s->seg[POSADA_LDTR] = (struct posada_segment){
		.attr = POSADA_SEG_UNUSABLE,
	};
	gdt[SEL_CODE / 8] = descriptor(&s->seg[POSADA_CS]);
	gdt[SEL_DATA / 8] = descriptor(&data);
	gdt[SEL_TSS / 8] = descriptor(&s->seg[POSADA_TR]);
	s->gdt.base = BOOT_GDT;
	s->gdt.limit = GDT_ENTRIES * 8 - 1;
	s->idt.base = 0;
	s->idt.limit = 0;
}

/* Identity-map the first 4 GiB by 2 MiB pages. */
static uint64_t identity_tables(struct machine *m)
{
	uint64_t *t = guest_memory(m, BOOT_TABLES, 6 * POSADA_PAGE_SIZE,
				   "page tables");
	uint64_t pdpt = BOOT_TABLES + POSADA_PAGE_SIZE;
	unsigned int i;

	memset(t, 0, 6 * POSADA_PAGE_SIZE);
	t[0] = pdpt | PTE_TABLE;
	for (i = 0; i < 4; i++)
		t[TABLE_ENTRIES + i] =
			(pdpt + (i + 1) * POSADA_PAGE_SIZE) | PTE_TABLE;
	for (i = 0; i < 4 * TABLE_ENTRIES; i++)
		t[2 * TABLE_ENTRIES + i] = i * LARGE_BYTES | PTE_LARGE;
	return BOOT_TABLES;
}

void boot_registers(struct machine *m, enum entry_mode mode, uint64_t rip)
{
	struct posada_run *run = posada_vcpu_page(m->cpu[0].vcpu);
	struct posada_sregs *s = &run->sregs;

	memset(&run->regs, 0, sizeof(run->regs));
	memset(s, 0, sizeof(*s));
	set_segments(m, s, mode);
	s->cr0 = CR0_PE | CR0_ET;
	if (mode == ENTRY_LONG) {
		s->cr0 |= CR0_PG | CR0_NE;
		s->cr3 = identity_tables(m);
		s->cr4 = CR4_PAE;
		s->efer = EFER_LME | EFER_LMA;
	}
	run->regs.rip = rip;
	run->regs.rflags = RFLAGS_ALWAYS;
	run->dirty |= POSADA_GROUP_REGS | POSADA_GROUP_SREGS;
}

/* The x2APIC's id is wide; its logical id is made from it. */
static void to_x2apic(struct posada_rec_apic *apic, uint32_t id)
{
	apic->base |= APIC_BASE_EXTD;
	apic->reg[APIC_REG_ID] = id;
	apic->reg[APIC_REG_LDR] = (id & ~0xfU) << 12 | 1U << (id & 0xf);
}

static void firmware_state(struct posada_vcpu *vcpu, bool x2apic)
{
	struct posada_msr_entry msr = {
		.index = MSR_MTRR_DEF, .value = MTRR_DEF_WB,
	};
	struct posada_stream s = { 0 };
	struct posada_rec_apic *apic;
	int ret;

	ret = posada_vcpu_load(vcpu, 1ULL << POSADA_REC_APIC, &s);
	if (ret)
		die("cannot read the APIC's state: %s", strerror(-ret));
	apic = posada_stream_find(&s, POSADA_REC_APIC, NULL);
	if (apic && x2apic)
		to_x2apic(apic, posada_vcpu_id(vcpu));
	if (!posada_stream_add(&s, POSADA_REC_MSRS, &msr, sizeof(msr)))
		die("out of memory");
	ret = posada_vcpu_store(vcpu, &s, false);
	if (ret)
		die("the module refuses the initial state (record %u, entry %u): %s",
		    s.bad_type, s.bad_index, strerror(-ret));
	posada_stream_free(&s);
}

/*
 * The reset vector of real mode. Linux, on hardware-reduced ACPI without EFI,
 * takes the way through here to reboot.
 */
static void put_reset_vector(struct machine *m)
{
	static const uint8_t code[] = {
		0xba, RESET_PORT & 0xff, RESET_PORT >> 8, /* mov dx, port */
		0xb0, RESET_VALUE,			  /* mov al, value */
		0xee,					  /* out dx, al */
		0xf4,					  /* hlt */
		0xeb, 0xfd,				  /* jmp to the hlt */
	};

	memcpy(guest_memory(m, RESET_VECTOR, sizeof(code), "the BIOS area"),
	       code, sizeof(code));
}

void boot_firmware_state(struct machine *m, bool x2apic)
{
	unsigned int i;

	put_reset_vector(m);
	for (i = 0; i < m->nr_cpus; i++)
		firmware_state(m->cpu[i].vcpu, x2apic);
}

/* ---- what goes with a kernel ---- */

uint64_t boot_cmdline(struct machine *m, const char *text, size_t limit)
{
	size_t bytes = strlen(text) + 1;

	if (!limit || limit > BOOT_CMDLINE_MAX)
		limit = BOOT_CMDLINE_MAX;
	if (bytes > limit)
		die("the kernel's command line is too long: %zu bytes, at most %zu",
		    bytes - 1, limit - 1);
	memcpy(guest_memory(m, BOOT_CMDLINE, bytes, "the command line"), text,
	       bytes);
	return BOOT_CMDLINE;
}

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) / unit * unit;
}

uint64_t boot_initrd(struct machine *m, uint64_t floor, uint64_t ceiling,
		     uint64_t *bytes)
{
	const struct config *cfg = m->cfg;
	struct image img = { 0 };
	uint8_t *archive = NULL, *to;
	size_t archive_bytes = 0;
	uint64_t at, top, gap;

	if (cfg->initrd)
		image_read(&img, cfg->initrd, "initrd");
	if (cfg->exec)
		archive = exec_archive(cfg->exec, &archive_bytes);
	if (cfg->root.path) {
		archive = cfg->root.archive;
		archive_bytes = cfg->root.archive_bytes;
	}
	gap = round_up(img.bytes, 4);
	*bytes = archive ? gap + archive_bytes : img.bytes;
	if (!*bytes)
		return 0;
	top = m->low_bytes < ceiling ? m->low_bytes : ceiling;
	at = (top - *bytes) & ~(uint64_t)(POSADA_PAGE_SIZE - 1);
	if (*bytes > top || at < floor)
		die("--mem %lluM is too little: the kernel and an initrd of %lluM do not fit",
		    (unsigned long long)(cfg->mem / MIB),
		    (unsigned long long)(*bytes / MIB + 1));
	to = guest_memory(m, at, *bytes, "the initrd");
	memcpy(to, img.data ? img.data : (uint8_t *)"", img.bytes);
	if (archive)
		memcpy(to + gap, archive, archive_bytes);
	free(archive);
	image_free(&img);
	return at;
}

/* ---- which kind of kernel ---- */

static enum boot_kind detect(const struct image *img)
{
	struct elf elf;

	if (linux_probe(img))
		return BOOT_LINUX;
	if (multiboot_probe(img))
		return BOOT_MULTIBOOT;
	if (elf_parse(&elf, img) && elf_pvh_entry(&elf))
		return BOOT_PVH;
	return BOOT_AUTO;
}

static const char *check_as(const struct image *img, enum boot_kind kind)
{
	struct elf elf;

	switch (kind) {
	case BOOT_LINUX:
		return linux_check(img);
	case BOOT_MULTIBOOT:
		return multiboot_check(img);
	case BOOT_PVH:
		if (!elf_parse(&elf, img))
			return "it is not an x86 ELF executable";
		return elf_pvh_entry(&elf) ? NULL : "it has no PVH entry";
	default:
		return "it is no bzImage, no multiboot image, and no ELF with a PVH entry";
	}
}

static enum boot_kind kind_of(const struct config *cfg,
			      const struct image *img)
{
	return cfg->boot == BOOT_AUTO ? detect(img) : cfg->boot;
}

void boot_check(const struct config *cfg, struct image *kernel)
{
	const char *why;
	unsigned int i;
	struct image img;

	image_read(kernel, cfg->kernel, "kernel");
	why = check_as(kernel, kind_of(cfg, kernel));
	if (why)
		die("%s cannot be booted: %s", cfg->kernel, why);
	/* Missing files are to be found before anything is created. */
	if (cfg->initrd) {
		image_read(&img, cfg->initrd, "initrd");
		image_free(&img);
	}
	for (i = 0; i < cfg->nr_modules; i++) {
		char *path = xasprintf("%s", cfg->modules[i]);

		image_read(&img, strtok(path, " "), "module");
		image_free(&img);
		free(path);
	}
}

void boot_load(struct machine *m, const struct image *kernel)
{
	switch (kind_of(m->cfg, kernel)) {
	case BOOT_LINUX:
		linux_load(m, kernel);
		break;
	case BOOT_PVH:
		pvh_load(m, kernel);
		break;
	default:
		multiboot_load(m, kernel);
	}
}
