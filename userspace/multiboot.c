// SPDX-License-Identifier: GPL-2.0
/*
 * Multiboot 1 (version 0.6.96 of its specification): 32-bit protected mode,
 * EAX the magic number, EBX the information.
 */
#include <stdlib.h>
#include <string.h>

#include "image.h"

#define HEADER_MAGIC	0x1badb002
#define LOADER_MAGIC	0x2badb002
#define SEARCH_BYTES	8192

#define WANT_VIDEO	(1U << 2)
#define WANT_UNKNOWN	0xfff8U		/* must-have bits that we lack */
#define HAS_ADDRESSES	(1U << 16)

#define INFO_MEMORY	(1U << 0)
#define INFO_CMDLINE	(1U << 2)
#define INFO_MODULES	(1U << 3)
#define INFO_MMAP	(1U << 6)
#define INFO_LOADER	(1U << 9)

#define NAMES_BYTES	8192

struct mb_header {
	uint32_t magic;
	uint32_t flags;
	uint32_t checksum;
	/* with HAS_ADDRESSES */
	uint32_t header_addr;
	uint32_t load_addr;
	uint32_t load_end_addr;
	uint32_t bss_end_addr;
	uint32_t entry_addr;
};

struct mb_info {
	uint32_t flags;
	uint32_t mem_lower;
	uint32_t mem_upper;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count;
	uint32_t mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length;
	uint32_t mmap_addr;
	uint32_t drives_length;
	uint32_t drives_addr;
	uint32_t config_table;
	uint32_t loader_name;
	uint32_t apm_table;
	uint32_t vbe[4];
};

struct mb_module {
	uint32_t start;
	uint32_t end;
	uint32_t string;
	uint32_t reserved;
};

struct mb_mmap {
	uint32_t size;		/* of what follows */
	uint64_t addr;
	uint64_t bytes;
	uint32_t type;
} __attribute__((packed));

struct mb_block {
	struct mb_info info;
	struct mb_mmap map[MAX_MAP];
	struct mb_module module[MAX_MODULES + 1];
	uint32_t names_used;
	char names[NAMES_BYTES];
};

_Static_assert(sizeof(struct mb_info) == 88, "multiboot information");
_Static_assert(sizeof(struct mb_mmap) == 24, "multiboot memory map");
_Static_assert(sizeof(struct mb_block) <= BOOT_INFO_END - BOOT_INFO,
	       "multiboot block");

#define BLOCK_GPA(field)	((uint32_t)(BOOT_INFO + \
				 offsetof(struct mb_block, field)))

static const struct mb_header *find_header(const struct image *img,
					   uint64_t *at)
{
	const struct mb_header *h;
	uint64_t i;

	for (i = 0; i + 12 <= SEARCH_BYTES; i += 4) {
		h = image_at(img, i, 12);
		if (!h)
			return NULL;
		if (h->magic != HEADER_MAGIC ||
		    h->magic + h->flags + h->checksum)
			continue;
		if (h->flags & HAS_ADDRESSES && !image_at(img, i, sizeof(*h)))
			return NULL;
		*at = i;
		return h;
	}
	return NULL;
}

bool multiboot_probe(const struct image *img)
{
	uint64_t at;

	return find_header(img, &at);
}

const char *multiboot_check(const struct image *img)
{
	uint64_t at;
	const struct mb_header *h = find_header(img, &at);
	struct elf elf;

	if (!h)
		return "it has no multiboot header";
	if (h->flags & WANT_UNKNOWN)
		return "its multiboot header asks for a feature that is not there";
	if (h->flags & HAS_ADDRESSES) {
		if (h->load_addr > h->header_addr ||
		    h->header_addr - h->load_addr > at)
			return "the addresses in its multiboot header contradict each other";
		return NULL;
	}
	return elf_parse(&elf, img) ? NULL :
	       "it is not an x86 ELF executable, and its multiboot header has no addresses";
}

/* Load by the addresses in the header. -> the end of what was loaded. */
static uint64_t load_flat(struct machine *m, const struct image *img,
			  const struct mb_header *h, uint64_t at)
{
	uint64_t offset = at - (h->header_addr - h->load_addr);
	uint64_t bytes = img->bytes - offset, whole;
	uint8_t *to;

	if (h->load_end_addr > h->load_addr &&
	    bytes > h->load_end_addr - h->load_addr)
		bytes = h->load_end_addr - h->load_addr;
	whole = bytes;
	if (h->bss_end_addr > h->load_addr &&
	    whole < h->bss_end_addr - h->load_addr)
		whole = h->bss_end_addr - h->load_addr;
	to = guest_memory(m, h->load_addr, whole, "the kernel");
	memcpy(to, img->data + offset, bytes);
	memset(to + bytes, 0, whole - bytes);
	return h->load_addr + whole;
}

static uint32_t add_name(struct mb_block *b, const char *name)
{
	size_t bytes = strlen(name) + 1;
	uint32_t at = b->names_used;

	if (bytes > NAMES_BYTES - at)
		die("the modules' command lines are too long");
	memcpy(b->names + at, name, bytes);
	b->names_used += (uint32_t)bytes;
	return BLOCK_GPA(names) + at;
}

/* Modules lie behind the kernel, each on a page of its own. */
static uint64_t add_module(struct machine *m, struct mb_block *b,
			   const char *spec, uint64_t at)
{
	struct mb_module *mod = &b->module[b->info.mods_count++];
	char *path = xasprintf("%s", spec);
	struct image img;

	image_read(&img, strtok(path, " "), "module");
	at = (at + POSADA_PAGE_SIZE - 1) & ~(uint64_t)(POSADA_PAGE_SIZE - 1);
	memcpy(guest_memory(m, at, img.bytes ? img.bytes : 1, "a module"),
	       img.data, img.bytes);
	mod->start = (uint32_t)at;
	mod->end = (uint32_t)(at + img.bytes);
	mod->string = add_name(b, spec);
	at += img.bytes;
	image_free(&img);
	free(path);
	return at;
}

static void fill_modules(struct machine *m, struct mb_block *b, uint64_t at)
{
	const struct config *cfg = m->cfg;
	unsigned int i;

	if (cfg->initrd)
		at = add_module(m, b, cfg->initrd, at);
	for (i = 0; i < cfg->nr_modules; i++)
		at = add_module(m, b, cfg->modules[i], at);
	b->info.mods_addr = BLOCK_GPA(module);
	b->info.flags |= INFO_MODULES;
}

static void fill_memory(struct machine *m, struct mb_block *b)
{
	struct map_entry map[MAX_MAP];
	unsigned int i, n = memory_map(m, map);

	for (i = 0; i < n; i++)
		b->map[i] = (struct mb_mmap){
			sizeof(struct mb_mmap) - 4, map[i].addr, map[i].bytes,
			map[i].type,
		};
	b->info.mmap_addr = BLOCK_GPA(map);
	b->info.mmap_length = n * sizeof(struct mb_mmap);
	b->info.mem_lower = LOW_RAM_END / KIB;
	b->info.mem_upper = m->low_bytes > MIB ?
			    (uint32_t)((m->low_bytes - MIB) / KIB) : 0;
	b->info.flags |= INFO_MEMORY | INFO_MMAP;
}

/* The first word of the command line is the kernel's file, by convention. */
static void fill_names(struct machine *m, struct mb_block *b)
{
	const char *append = m->cfg->append;
	char *line = xasprintf("%s%s%s", m->cfg->kernel, append ? " " : "",
			       append ? append : "");

	b->info.cmdline = (uint32_t)boot_cmdline(m, line, 0);
	b->info.loader_name = add_name(b, "posada");
	b->info.flags |= INFO_CMDLINE | INFO_LOADER;
	free(line);
}

void multiboot_load(struct machine *m, const struct image *img)
{
	uint64_t at, end, entry;
	const struct mb_header *h = find_header(img, &at);
	struct posada_regs *regs;
	struct mb_block *b;
	struct elf elf;

	if (h->flags & HAS_ADDRESSES) {
		end = load_flat(m, img, h, at);
		entry = h->entry_addr;
	} else {
		elf_parse(&elf, img);
		entry = elf_load(m, &elf);
		end = elf.highest;
	}
	acpi_build(m);
	b = guest_memory(m, BOOT_INFO, sizeof(*b), "the boot information");
	memset(b, 0, sizeof(*b));
	fill_memory(m, b);
	fill_names(m, b);
	fill_modules(m, b, end < MIB ? MIB : end);

	boot_firmware_state(m, false);
	boot_registers(m, ENTRY_PROTECTED, entry & 0xffffffff);
	regs = &posada_vcpu_page(m->cpu[0].vcpu)->regs;
	regs->gpr[POSADA_RAX] = LOADER_MAGIC;
	regs->gpr[POSADA_RBX] = BOOT_INFO;
}
