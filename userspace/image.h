/* SPDX-License-Identifier: GPL-2.0 */
/* Files to boot, and what the loaders share. */
#ifndef IMAGE_H
#define IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "machine.h"

struct image {
	const char *path;
	uint8_t *data;
	size_t bytes;
};

/* Read a file in whole; ends the program with a line if it cannot be. */
void image_read(struct image *img, const char *path, const char *what);
void image_free(struct image *img);
/* The bytes [at, at + bytes), NULL if the file is shorter. */
const void *image_at(const struct image *img, uint64_t at, uint64_t bytes);

/* ---- low memory, below the first megabyte, while booting ---- */

#define BOOT_GDT	0x500
#define BOOT_PARAMS	0x7000
#define BOOT_TABLES	0x9000	/* identity page tables: 6 pages */
#define BOOT_INFO	0x10000	/* start info, lists, names */
#define BOOT_INFO_END	0x20000
#define BOOT_CMDLINE	0x20000
#define BOOT_CMDLINE_MAX 0x10000
#define BOOT_AREA_END	(BOOT_CMDLINE + BOOT_CMDLINE_MAX)

/* ---- the memory map, in e820 terms ---- */

#define E820_RAM	1
#define E820_RESERVED	2
#define MAX_MAP		8

struct map_entry {
	uint64_t addr;
	uint64_t bytes;
	uint32_t type;
};

unsigned int memory_map(const struct machine *m, struct map_entry *map);

/* ---- initial registers ---- */

enum entry_mode { ENTRY_PROTECTED, ENTRY_LONG };

/* Flat segments and a GDT; with ENTRY_LONG identity page tables of 4 GiB. */
void boot_registers(struct machine *m, enum entry_mode mode, uint64_t rip);
/* MTRRs, and the APICs in x2APIC mode if @x2apic, on all vCPUs. */
void boot_firmware_state(struct machine *m, bool x2apic);

/* Write the command line; -> its gpa. @limit: bytes with the NUL, or 0. */
uint64_t boot_cmdline(struct machine *m, const char *text, size_t limit);
/* The initrd and the archive of --exec or ROOTFS behind it; @bytes 0: neither. */
uint64_t boot_initrd(struct machine *m, uint64_t floor, uint64_t ceiling,
		     uint64_t *bytes);

/* ---- the loaders ---- */

struct elf {
	const struct image *img;
	bool is64;
	unsigned int count;		/* of program headers */
	uint64_t entry;			/* as in the header */
	uint64_t lowest, highest;	/* gpas that it loads to */
};

bool elf_parse(struct elf *elf, const struct image *img);
/* Copy the segments to memory; -> the physical address of the entry. */
uint64_t elf_load(struct machine *m, const struct elf *elf);
/* The entry of a PVH note; 0 if there is none. */
uint64_t elf_pvh_entry(const struct elf *elf);

bool linux_probe(const struct image *img);
/* NULL if it can be booted, else why not. */
const char *linux_check(const struct image *img);
void linux_load(struct machine *m, const struct image *img);

void pvh_load(struct machine *m, const struct image *img);

bool multiboot_probe(const struct image *img);
const char *multiboot_check(const struct image *img);
void multiboot_load(struct machine *m, const struct image *img);

#endif /* IMAGE_H */
