// SPDX-License-Identifier: GPL-2.0
/*
 * An ELF kernel with a PVH entry: 32-bit protected mode, EBX points to the
 * start info (xen/include/public/arch-x86/hvm/start_info.h).
 */
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "image.h"

#define START_MAGIC	0x336ec578

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t memmap;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct start_module {
	uint64_t addr;
	uint64_t bytes;
	uint64_t cmdline;
	uint64_t reserved;
};

struct start_memmap {
	uint64_t addr;
	uint64_t bytes;
	uint32_t type;
	uint32_t reserved;
};

/* What EBX points to: the header, then what it points to. */
struct start_block {
	struct start_info info;
	struct start_module module;
	struct start_memmap map[MAX_MAP];
};

_Static_assert(sizeof(struct start_info) == 56, "hvm_start_info");
_Static_assert(sizeof(struct start_memmap) == 24, "hvm_memmap_table_entry");

static char *command_line(const struct config *cfg)
{
	return xasprintf("%s%s%s", cfg->append ? cfg->append : "",
			 cfg->exec ? " " : "", cfg->exec ? EXEC_CMDLINE : "");
}

static void fill_memmap(struct machine *m, struct start_block *b)
{
	struct map_entry map[MAX_MAP];
	unsigned int i, n = memory_map(m, map);

	for (i = 0; i < n; i++)
		b->map[i] = (struct start_memmap){
			map[i].addr, map[i].bytes, map[i].type, 0,
		};
	b->info.memmap = BOOT_INFO + offsetof(struct start_block, map);
	b->info.memmap_entries = n;
}

static void fill_module(struct machine *m, struct start_block *b,
			uint64_t floor)
{
	uint64_t bytes, at = boot_initrd(m, floor, HOLE_START, &bytes);

	if (!bytes)
		return;
	b->module.addr = at;
	b->module.bytes = bytes;
	b->info.nr_modules = 1;
	b->info.modlist = BOOT_INFO + offsetof(struct start_block, module);
}

void pvh_load(struct machine *m, const struct image *img)
{
	char *cmdline = command_line(m->cfg);
	struct start_block *b;
	struct elf elf;

	elf_parse(&elf, img);
	elf_load(m, &elf);
	b = guest_memory(m, BOOT_INFO, sizeof(*b), "the start info");
	memset(b, 0, sizeof(*b));
	b->info.magic = START_MAGIC;
	b->info.version = 1;
	b->info.cmdline = boot_cmdline(m, cmdline, 0);
	b->info.rsdp = acpi_build(m);
	fill_module(m, b, elf.highest);
	fill_memmap(m, b);
	free(cmdline);

	boot_firmware_state(m, false);
	boot_registers(m, ENTRY_PROTECTED, elf_pvh_entry(&elf));
	posada_vcpu_page(m->cpu[0].vcpu)->regs.gpr[POSADA_RBX] = BOOT_INFO;
}
