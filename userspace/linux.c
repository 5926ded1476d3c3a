// SPDX-License-Identifier: GPL-2.0
/*
 * A Linux bzImage, by the 64-bit boot protocol
 * (Documentation/arch/x86/boot.rst of the kernel).
 */
#include <stdlib.h>
#include <string.h>

#include <asm/bootparam.h>

#include "exec.h"
#include "image.h"
#include "term.h"

#define HEADER_OFFSET	0x1f1
#define MAGIC		0x53726448	/* "HdrS" */
#define BOOT_FLAG	0xaa55
#define MIN_VERSION	0x020c		/* xloadflags */
#define SECTOR		512
#define DEFAULT_SECTS	4
#define ENTRY_64	0x200
#define LOADER_OTHER	0xff
#define LOWEST_LOAD	MIB

static const struct setup_header *header_of(const struct image *img)
{
	return image_at(img, HEADER_OFFSET, sizeof(struct setup_header));
}

bool linux_probe(const struct image *img)
{
	const struct setup_header *h = header_of(img);

	return h && h->boot_flag == BOOT_FLAG && h->header == MAGIC;
}

static uint64_t setup_bytes(const struct setup_header *h)
{
	return SECTOR * (1 + (h->setup_sects ? h->setup_sects : DEFAULT_SECTS));
}

const char *linux_check(const struct image *img)
{
	const struct setup_header *h = header_of(img);

	if (!linux_probe(img))
		return "it is not a bzImage";
	if (h->version < MIN_VERSION)
		return "its boot protocol is older than 2.12 (Linux 3.8)";
	if (!(h->xloadflags & XLF_KERNEL_64))
		return "it has no 64-bit entry (is it a 32-bit kernel?)";
	if (setup_bytes(h) + ENTRY_64 >= img->bytes)
		return "the file is cut short";
	return NULL;
}

static uint64_t round_up(uint64_t n, uint64_t unit)
{
	return unit ? (n + unit - 1) / unit * unit : n;
}

/* Where it prefers to be, or as low as it can where memory is short. */
static uint64_t load_address(struct machine *m, const struct setup_header *h)
{
	uint64_t at = h->pref_address, low;

	if (!h->relocatable_kernel || at + h->init_size <= m->low_bytes)
		return at;
	low = round_up(LOWEST_LOAD, h->kernel_alignment);
	return low < at ? low : at;
}

static void fill_e820(struct machine *m, struct boot_params *bp)
{
	struct map_entry map[MAX_MAP];
	unsigned int i, n = memory_map(m, map);

	for (i = 0; i < n; i++) {
		bp->e820_table[i].addr = map[i].addr;
		bp->e820_table[i].size = map[i].bytes;
		bp->e820_table[i].type = map[i].type;
	}
	bp->e820_entries = (uint8_t)n;
}

/* Without a console= of the user's, it is where the terminal is. */
static char *command_line(const struct config *cfg)
{
	const char *append = cfg->append ? cfg->append : "";
	const char *ours = cfg->dev.hvc ? "console=hvc0" : "console=ttyS0";
	bool console = strstr(append, "console=");
	char *term = term_words(append), *line;

	line = xasprintf("%s%s%s%s%s%s", console ? "" : ours,
			 console || !*append ? "" : " ", append, term,
			 cfg->exec ? " " : "", cfg->exec ? EXEC_CMDLINE : "");
	free(term);
	return line;
}

static void fill_initrd(struct machine *m, struct boot_params *bp,
			uint64_t floor)
{
	uint64_t bytes, at;

	at = boot_initrd(m, floor, (uint64_t)bp->hdr.initrd_addr_max + 1,
			 &bytes);
	bp->hdr.ramdisk_image = (uint32_t)at;
	bp->hdr.ramdisk_size = (uint32_t)bytes;
	bp->ext_ramdisk_image = (uint32_t)(at >> 32);
	bp->ext_ramdisk_size = (uint32_t)(bytes >> 32);
}

void linux_load(struct machine *m, const struct image *img)
{
	const struct setup_header *h = header_of(img);
	uint64_t setup = setup_bytes(h), body = img->bytes - setup;
	uint64_t at = load_address(m, h), room = h->init_size;
	char *cmdline = command_line(m->cfg);
	struct boot_params *bp;

	if (room < body)
		room = body;
	memcpy(guest_memory(m, at, room, "the kernel"), img->data + setup,
	       body);
	bp = guest_memory(m, BOOT_PARAMS, sizeof(*bp), "boot_params");
	memset(bp, 0, sizeof(*bp));
	memcpy(&bp->hdr, h, sizeof(*h));
	bp->hdr.type_of_loader = LOADER_OTHER;
	bp->hdr.code32_start = (uint32_t)at;
	bp->hdr.cmd_line_ptr = (uint32_t)boot_cmdline(m, cmdline,
						      h->cmdline_size + 1ULL);
	fill_initrd(m, bp, at + room);
	fill_e820(m, bp);
	bp->acpi_rsdp_addr = acpi_build(m);
	free(cmdline);

	boot_firmware_state(m, true);
	boot_registers(m, ENTRY_LONG, at + ENTRY_64);
	posada_vcpu_page(m->cpu[0].vcpu)->regs.gpr[POSADA_RSI] = BOOT_PARAMS;
}
