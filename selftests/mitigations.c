// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel has patched into the entry path on this CPU is what it says
 * of the CPU's bugs: the text that runs, read back through /proc/kcore.
 * `make check` runs this on more CPUs, which have some.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm.h"

#define BUGS		"/sys/devices/system/cpu/vulnerabilities/"
#define TEXT_BYTES	1024

enum callee { UNTRAIN_RET, ENTRY_IBPB, CLEAR_BHB_LOOP };

/* What may be called: by the ending of its name. */
static const char *const callees[] = {
	[UNTRAIN_RET] = "untrain_ret", [ENTRY_IBPB] = "entry_ibpb", [CLEAR_BHB_LOOP] = "clear_bhb_loop",
};

/* One reading of /proc/kallsyms, which takes long on a slow host. */
static struct {
	u64 callee[64], ours[4096];
	u32 kind[64], nr_callees, nr_ours;
} symbols;

/* The entry path of this backend. */
static struct {
	u64 address;
	u8 text[TEXT_BYTES];
	u32 bytes;
} entry;

static void note_callee(u64 address, const char *name)
{
	size_t bytes = strlen(name), ending;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(callees); i++) {
		ending = strlen(callees[i]);
		if (bytes < ending || strcmp(name + bytes - ending, callees[i]))
			continue;
		ASSERT_TRUE(symbols.nr_callees < ARRAY_SIZE(symbols.callee));
		symbols.kind[symbols.nr_callees] = i;
		symbols.callee[symbols.nr_callees++] = address;
	}
}

/* A line: ADDRESS TYPE NAME, and of a module's, tab [MODULE]. */
static void read_symbols(void)
{
	const char *wanted = test_backend == POSADA_BACKEND_VMX ? "vmx_switch\t" : "svm_switch\t";
	FILE *f = fopen("/proc/kallsyms", "re");
	char line[512], *name;
	u64 address;

	ASSERT_NE(f, NULL);
	while (fgets(line, sizeof(line), f)) {
		address = strtoull(line, &name, 16);
		name += 3;
		name[strcspn(name, "\n")] = 0;
		if (!strstr(name, "\t[posada]")) {
			note_callee(address, name);
			continue;
		}
		/* A name within the path. */
		if (!strncmp(name, "vmx_exit_point\t", 15))
			continue;
		ASSERT_TRUE(symbols.nr_ours < ARRAY_SIZE(symbols.ours));
		symbols.ours[symbols.nr_ours++] = address;
		if (!strncmp(name, wanted, strlen(wanted)))
			entry.address = address;
	}
	fclose(f);
	ASSERT_NE(entry.address, 0);
}

/* Kernel memory at @address, which one of kcore's segments has. */
static bool read_kernel(u64 address, void *to, size_t bytes)
{
	int fd = open("/proc/kcore", O_RDONLY | O_CLOEXEC);
	Elf64_Ehdr head;
	Elf64_Phdr part;
	bool done = false;
	u32 i;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(pread(fd, &head, sizeof(head), 0), sizeof(head));
	for (i = 0; i < head.e_phnum && !done; i++) {
		ASSERT_EQ(pread(fd, &part, sizeof(part), head.e_phoff + i * sizeof(part)), sizeof(part));
		if (part.p_type == PT_LOAD && address >= part.p_vaddr &&
		    address - part.p_vaddr < part.p_filesz)
			done = pread(fd, to, bytes, part.p_offset + address - part.p_vaddr) == (ssize_t)bytes;
	}
	close(fd);
	return done;
}

static void read_entry(void)
{
	u32 i;

	entry.bytes = TEXT_BYTES;
	for (i = 0; i < symbols.nr_ours; i++)
		if (symbols.ours[i] > entry.address && symbols.ours[i] - entry.address < entry.bytes)
			entry.bytes = symbols.ours[i] - entry.address;
	ASSERT_TRUE(read_kernel(entry.address, entry.text, entry.bytes));
}

/* Does a CALL of the entry path lead to a @kind of callee? */
static bool has_call(u32 kind)
{
	s32 offset;
	u32 i, j;

	for (i = 0; i + 5 <= entry.bytes; i++) {
		memcpy(&offset, &entry.text[i + 1], sizeof(offset));
		for (j = 0; j < symbols.nr_callees; j++)
			if (entry.text[i] == 0xe8 && symbols.kind[j] == kind &&
			    entry.address + i + 5 + offset == symbols.callee[j])
				return true;
	}
	return false;
}

/* Is @at, two bytes of JMP, one over the next instruction? */
static bool jumps_over(const u8 *at)
{
	return at[0] == 0xeb && at[1] && at[1] < 16;
}

/* 0f 00 /5 with an operand in memory; a CPU that needs none jumps over it. */
static bool has_verw(u32 unused)
{
	const u8 *at;

	(void)unused;
	for (at = entry.text + 2; at + 3 <= entry.text + entry.bytes; at++)
		if (at[0] == 0x0f && !at[1] && (at[2] & 0x38) == 5 << 3 && at[2] < 0xc0 &&
		    !jumps_over(at - 2))
			return true;
	return false;
}

/* Does one of @bugs, words, have @says in what the kernel says of it? */
static bool kernel_says(const char *bugs, const char *says)
{
	char words[128], path[256], line[512], *word, *rest = words;
	bool said = false;
	FILE *f;

	snprintf(words, sizeof(words), "%s", bugs);
	while ((word = strsep(&rest, " ")) && !said) {
		snprintf(path, sizeof(path), BUGS "%s", word);
		f = fopen(path, "re");
		if (!f)
			continue;
		said = fgets(line, sizeof(line), f) && strstr(line, says);
		fclose(f);
	}
	return said;
}

static const struct mitigation {
	const char *bugs, *says;
	u32 backend;
	bool (*has)(u32 kind);
	u32 kind;
} mitigations[] = {
	{ "retbleed", "untrained return thunk", POSADA_BACKEND_SVM, has_call, UNTRAIN_RET },
	{ "spec_rstack_overflow", "afe RET", POSADA_BACKEND_SVM, has_call, UNTRAIN_RET },
	{ "retbleed spec_rstack_overflow", "IBPB", POSADA_BACKEND_SVM, has_call, ENTRY_IBPB },
	{ "tsa", "Clear CPU buffers", POSADA_BACKEND_SVM, has_verw, 0 },
	{ "mds tsx_async_abort reg_file_data_sampling", "Clear CPU buffers", POSADA_BACKEND_VMX, has_verw, 0 },
	{ "spectre_v2", "BHI: SW loop", POSADA_BACKEND_VMX, has_call, CLEAR_BHB_LOOP },
};

/* Two rows may ask for the same code. */
static bool asked(const struct mitigation *like)
{
	const struct mitigation *m;
	bool yes = false;

	for (m = mitigations; m < mitigations + ARRAY_SIZE(mitigations); m++)
		if (m->has == like->has && m->kind == like->kind && m->backend == like->backend)
			yes |= kernel_says(m->bugs, m->says);
	return yes;
}

static void show_entry(void)
{
	char line[3 * 32 + 1];
	u32 i, n = 0;

	for (i = 0; i < entry.bytes; i++) {
		n += snprintf(line + n, sizeof(line) - n, " %02x", entry.text[i]);
		if (i % 32 == 31 || i + 1 == entry.bytes) {
			printf("# %s\n", line);
			n = 0;
		}
	}
}

TEST(as_the_kernel_says)
{
	const struct mitigation *m;

	if (access("/proc/kcore", R_OK))
		SKIP("this kernel has no /proc/kcore");
	read_symbols();
	read_entry();
	for (m = mitigations; m < mitigations + ARRAY_SIZE(mitigations); m++) {
		if (m->backend != test_backend || m->has(m->kind) == asked(m))
			continue;
		show_entry();
		FAIL("%s: '%s' is %s, which is not what the entry path has", m->bugs, m->says,
		     asked(m) ? "said" : "not said");
	}
}
