// SPDX-License-Identifier: GPL-2.0
/* ELF executables, 32- and 64-bit: their segments and their notes. */
#include <elf.h>
#include <string.h>

#include "image.h"

#define PHYS32_ENTRY	18	/* XEN_ELFNOTE_PHYS32_ENTRY */
#define MAX_HEADERS	128

/* A program header, whichever the class. */
struct segment {
	uint32_t type;
	uint64_t offset, vaddr, paddr, filesz, memsz;
};

/* Headers may lie at any offset: copy, do not point. */
static bool copy_header(const struct image *img, uint64_t at, void *to,
			size_t bytes)
{
	const void *from = image_at(img, at, bytes);

	if (from)
		memcpy(to, from, bytes);
	return from;
}

static bool get_segment64(const struct image *img, unsigned int i,
			  struct segment *s)
{
	const Elf64_Ehdr *e = (const void *)img->data;
	Elf64_Phdr p;

	if (!copy_header(img, e->e_phoff + i * sizeof(p), &p, sizeof(p)))
		return false;
	*s = (struct segment){ p.p_type, p.p_offset, p.p_vaddr, p.p_paddr,
			       p.p_filesz, p.p_memsz };
	return true;
}

static bool get_segment32(const struct image *img, unsigned int i,
			  struct segment *s)
{
	const Elf32_Ehdr *e = (const void *)img->data;
	Elf32_Phdr p;

	if (!copy_header(img, e->e_phoff + i * sizeof(p), &p, sizeof(p)))
		return false;
	*s = (struct segment){ p.p_type, p.p_offset, p.p_vaddr, p.p_paddr,
			       p.p_filesz, p.p_memsz };
	return true;
}

static bool get_segment(const struct elf *elf, unsigned int i,
			struct segment *s)
{
	return elf->is64 ? get_segment64(elf->img, i, s) :
			   get_segment32(elf->img, i, s);
}

static bool check_header(struct elf *elf, const struct image *img)
{
	const Elf32_Ehdr *e32 = image_at(img, 0, sizeof(*e32));
	const Elf64_Ehdr *e64 = image_at(img, 0, sizeof(*e64));

	if (!e32 || memcmp(e32->e_ident, ELFMAG, SELFMAG) ||
	    e32->e_ident[EI_DATA] != ELFDATA2LSB)
		return false;
	elf->img = img;
	elf->is64 = e32->e_ident[EI_CLASS] == ELFCLASS64;
	if (elf->is64 && (!e64 || e64->e_machine != EM_X86_64 ||
			  e64->e_phentsize != sizeof(Elf64_Phdr)))
		return false;
	if (!elf->is64 && ((e32->e_machine != EM_386 &&
			    e32->e_machine != EM_X86_64) ||
			   e32->e_phentsize != sizeof(Elf32_Phdr)))
		return false;
	elf->count = elf->is64 ? e64->e_phnum : e32->e_phnum;
	elf->entry = elf->is64 ? e64->e_entry : e32->e_entry;
	return elf->count && elf->count <= MAX_HEADERS;
}

bool elf_parse(struct elf *elf, const struct image *img)
{
	struct segment s;
	unsigned int i;

	memset(elf, 0, sizeof(*elf));
	if (!check_header(elf, img))
		return false;
	elf->lowest = ~0ULL;
	for (i = 0; i < elf->count; i++) {
		if (!get_segment(elf, i, &s))
			return false;
		if (s.type != PT_LOAD || !s.memsz)
			continue;
		if (s.memsz < s.filesz || s.paddr + s.memsz < s.paddr ||
		    !image_at(img, s.offset, s.filesz))
			return false;
		if (s.paddr < elf->lowest)
			elf->lowest = s.paddr;
		if (s.paddr + s.memsz > elf->highest)
			elf->highest = s.paddr + s.memsz;
	}
	return elf->highest > elf->lowest;
}

uint64_t elf_load(struct machine *m, const struct elf *elf)
{
	uint64_t entry = elf->entry;
	struct segment s;
	unsigned int i;
	uint8_t *to;

	for (i = 0; i < elf->count; i++) {
		if (!get_segment(elf, i, &s) || s.type != PT_LOAD || !s.memsz)
			continue;
		/* What is there is written later, over the kernel. */
		if (s.paddr < BOOT_AREA_END && s.paddr + s.memsz > BOOT_GDT)
			die("%s cannot be booted: it is linked to below 0x%x, where the loader's tables are",
			    elf->img->path, BOOT_AREA_END);
		to = guest_memory(m, s.paddr, s.memsz, "the kernel");
		memcpy(to, elf->img->data + s.offset, s.filesz);
		memset(to + s.filesz, 0, s.memsz - s.filesz);
		/* The entry may be a virtual address of a linked-high kernel. */
		if (elf->entry >= s.vaddr && elf->entry - s.vaddr < s.memsz)
			entry = elf->entry - s.vaddr + s.paddr;
	}
	return entry;
}

static uint64_t note_value(const uint8_t *desc, uint32_t bytes)
{
	uint64_t value = 0;

	memcpy(&value, desc, bytes < 8 ? bytes : 8);
	return value;
}

static uint64_t round_up4(uint64_t n)
{
	return (n + 3) & ~3ULL;
}

/* Search one segment of notes. */
static uint64_t search_notes(const struct elf *elf, const struct segment *s)
{
	uint64_t at = 0, name, desc;
	Elf32_Nhdr n;
	const uint8_t *base = image_at(elf->img, s->offset, s->filesz);

	while (base && at + sizeof(n) <= s->filesz) {
		memcpy(&n, base + at, sizeof(n));
		name = at + sizeof(n);
		desc = name + round_up4(n.n_namesz);
		if (desc + n.n_descsz > s->filesz)
			break;
		if (n.n_type == PHYS32_ENTRY && n.n_namesz == 4 &&
		    !memcmp(base + name, "Xen", 4))
			return note_value(base + desc, n.n_descsz);
		at = desc + round_up4(n.n_descsz);
	}
	return 0;
}

uint64_t elf_pvh_entry(const struct elf *elf)
{
	struct segment s;
	uint64_t entry;
	unsigned int i;

	for (i = 0; i < elf->count; i++) {
		if (!get_segment(elf, i, &s) || s.type != PT_NOTE)
			continue;
		entry = search_notes(elf, &s);
		if (entry)
			return entry;
	}
	return 0;
}
