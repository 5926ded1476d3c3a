/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest without a hypervisor: a run page, a megabyte of RAM with page tables
 * in it, a device, and ioctls that only write down what they were told.
 */
#ifndef DECODE_GUEST_H
#define DECODE_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "../../userspace/internal.h"

#define RAM_BYTES	(1ULL << 20)
#define DEVICE_GPA	0xd0000000ULL
#define WINDOW_GVA	0x20000000ULL	/* mapped to device and RAM pages */
#define WINDOW_PAGES	8
#define WINDOW_BYTES	(WINDOW_PAGES * POSADA_PAGE_SIZE)
#define WINDOW_RAM	0x80000ULL	/* where its RAM pages are */
#define CODE_RIP	0x400000ULL	/* nothing is fetched from there */

#define MAP_P		1ULL
#define MAP_W		2ULL
#define MAP_U		4ULL
#define MAP_NX		(1ULL << 63)

struct access {
	uint64_t gpa;
	uint64_t data;
	unsigned int len;
	bool write;
};

struct guest {
	struct posada_vm vm;
	struct posada_vcpu vcpu;
	struct posada_run *run;
	uint8_t *ram;
	uint8_t device[WINDOW_BYTES];
	bool is_ram[WINDOW_PAGES];

	/* what happened */
	struct access log[64];
	unsigned int accesses;		/* may be more than the log holds */
	int fail_access;		/* the callback fails at this one */
	struct posada_inject injected;
	unsigned int injections;
	uint8_t xsave[8192];		/* a stream with a XSAVE record */
	uint32_t xsave_bytes;
	uint16_t port;
	uint32_t port_data;
};

extern struct guest g;

/* A guest in 64-bit mode, CPL 0, with all of the window mapped to the device. */
void guest_reset(void);
/* Let page @page of the window be RAM, or the device; @bits: MAP_*. */
void guest_map(unsigned int page, bool ram, uint64_t bits);
/* 32-bit protected mode or real mode, paging off: gpa = address. */
void guest_protected(void);
void guest_real(void);
/* The bytes of the window, wherever they are. */
uint8_t *guest_byte(uint64_t offset);
/* Complete an exit for @gpa by this instruction. */
int guest_complete(const uint8_t *code, unsigned int bytes, uint64_t gpa,
		   uint32_t flags);
int guest_complete_port(const uint8_t *code, unsigned int bytes, bool in);
/* The gpa of a window address. */
uint64_t window_gpa(uint64_t gva);

#endif /* DECODE_GUEST_H */
