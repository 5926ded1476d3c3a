// SPDX-License-Identifier: GPL-2.0
/* See decode_guest.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "decode_guest.h"

#define PML4		0x1000
#define PDPT		0x2000
#define PD		0x3000
#define PT		0x4000
#define ALL_BITS	(MAP_P | MAP_W | MAP_U)
#define XSAVE_AREA	2696		/* with room for PKRU */

struct guest g;

int __wrap_ioctl(int fd, unsigned long nr, ...);

static int state_ioctl(struct posada_state *arg)
{
	if (arg->flags & POSADA_STATE_WRITE) {
		memcpy(g.xsave, (void *)(uintptr_t)arg->buf, arg->bytes);
		return 0;
	}
	arg->used = g.xsave_bytes;
	if (arg->bytes < g.xsave_bytes) {
		errno = ENOSPC;
		return -1;
	}
	memcpy((void *)(uintptr_t)arg->buf, g.xsave, g.xsave_bytes);
	return 0;
}

int __wrap_ioctl(int fd, unsigned long nr, ...)
{
	va_list args;
	void *arg;

	(void)fd;
	va_start(args, nr);
	arg = va_arg(args, void *);
	va_end(args);
	switch (nr) {
	case POSADA_INJECT:
		g.injected = *(struct posada_inject *)arg;
		g.injections++;
		return 0;
	case POSADA_VCPU_STATE:
		return state_ioctl(arg);
	}
	errno = ENOTTY;
	return -1;
}

/* ---- memory ---- */

static void put_entry(uint64_t table, unsigned int index, uint64_t entry)
{
	memcpy(g.ram + table + 8 * index, &entry, 8);
}

uint64_t window_gpa(uint64_t gva)
{
	uint64_t offset = gva - WINDOW_GVA;

	return (g.is_ram[offset / POSADA_PAGE_SIZE] ? WINDOW_RAM : DEVICE_GPA) +
	       offset;
}

uint8_t *guest_byte(uint64_t offset)
{
	return g.is_ram[offset / POSADA_PAGE_SIZE] ?
	       g.ram + WINDOW_RAM + offset : g.device + offset;
}

void guest_map(unsigned int page, bool ram, uint64_t bits)
{
	g.is_ram[page] = ram;
	put_entry(PT, page, ((ram ? WINDOW_RAM : DEVICE_GPA) +
			     page * POSADA_PAGE_SIZE) | bits);
}

static void make_tables(void)
{
	unsigned int i;

	put_entry(PML4, 0, PDPT | ALL_BITS);
	put_entry(PDPT, 0, PD | ALL_BITS);
	put_entry(PD, WINDOW_GVA >> 21, PT | ALL_BITS);
	for (i = 0; i < WINDOW_PAGES; i++)
		guest_map(i, false, MAP_P | MAP_W);
}

/* ---- registers ---- */

static void flat_segments(uint16_t code_attr)
{
	struct posada_sregs *s = &g.run->sregs;
	int i;

	for (i = 0; i < POSADA_NR_SEGS; i++)
		s->seg[i] = (struct posada_segment){
			.limit = 0xffffffff, .selector = 0x18, .attr = 0xc93,
		};
	s->seg[POSADA_CS].attr = code_attr;
}

void guest_protected(void)
{
	flat_segments(0xc9b);
	g.run->sregs.cr0 = X86_CR0_PE;
	g.run->sregs.cr4 = 0;
	g.run->sregs.efer = 0;
}

void guest_real(void)
{
	int i;

	flat_segments(0x93);
	for (i = 0; i <= POSADA_GS; i++) {
		g.run->sregs.seg[i].limit = 0xffff;
		g.run->sregs.seg[i].attr = 0x93;
		g.run->sregs.seg[i].selector = 0;
	}
	g.run->sregs.cr0 = 0;
	g.run->sregs.cr4 = 0;
	g.run->sregs.efer = 0;
}

static void make_xsave(void)
{
	struct posada_record rec = {
		.type = POSADA_REC_XSAVE, .version = 1,
		.bytes = sizeof(struct posada_rec_xsave) + XSAVE_AREA,
	};
	struct posada_rec_xsave head = { .xcr0 = 7 };

	memset(g.xsave, 0, sizeof(g.xsave));
	memcpy(g.xsave, &rec, sizeof(rec));
	memcpy(g.xsave + sizeof(rec), &head, sizeof(head));
	g.xsave_bytes = sizeof(rec) + rec.bytes;
}

void guest_reset(void)
{
	static uint8_t *ram;
	static struct posada_run run;

	if (!ram)
		ram = malloc(RAM_BYTES);
	pthread_rwlock_destroy(&g.vm.lock);
	memset(&g, 0, sizeof(g));
	memset(ram, 0, RAM_BYTES);
	memset(&run, 0, sizeof(run));
	pthread_rwlock_init(&g.vm.lock, NULL);
	g.ram = ram;
	g.run = &run;
	g.fail_access = -1;
	g.vm.phys_bits = 40;
	g.vm.nr_slots = 1;
	g.vm.slots[0] = (struct memory_slot){ .bytes = RAM_BYTES, .hva = ram };
	g.vcpu.vm = &g.vm;
	g.vcpu.run = &run;
	make_tables();
	make_xsave();
	flat_segments(0xa9b);
	run.sregs.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP;
	run.sregs.cr3 = PML4;
	run.sregs.cr4 = X86_CR4_PAE;
	run.sregs.efer = BIT(8) | X86_EFER_LMA | X86_EFER_NXE;
	run.regs.rip = CODE_RIP;
	run.regs.rflags = 2;
	run.valid = POSADA_GROUP_ALL;
}

/* ---- exits ---- */

static int device(void *ctx, uint64_t gpa, void *data, unsigned int len,
		  bool write)
{
	uint8_t *at = g.device + (gpa - DEVICE_GPA);
	struct access *a = &g.log[g.accesses % 64];

	if (ctx != &g || gpa < DEVICE_GPA ||
	    gpa - DEVICE_GPA > WINDOW_BYTES - len)
		abort();
	if ((len != 1 && len != 2 && len != 4 && len != 8) ||
	    (gpa & PAGE_MASK) + len > POSADA_PAGE_SIZE)
		abort();
	if ((int)g.accesses == g.fail_access)
		return -ECANCELED;
	g.accesses++;
	if (write)
		memcpy(at, data, len);
	else
		memcpy(data, at, len);
	*a = (struct access){ .gpa = gpa, .len = len, .write = write };
	memcpy(&a->data, data, len);
	return 0;
}

/* Reads count up from port_data; a write must give the same sequence. */
static int port(void *ctx, uint16_t nr, void *data, unsigned int len,
		bool write)
{
	(void)ctx;
	g.port = nr;
	if (!write)
		memcpy(data, &g.port_data, len);
	else if (memcmp(data, &g.port_data, len))
		abort();
	g.port_data++;
	return 0;
}

int guest_complete(const uint8_t *code, unsigned int bytes, uint64_t gpa,
		   uint32_t flags)
{
	struct posada_exit_memory *m = &g.run->memory;

	memset(m, 0, sizeof(*m));
	m->gpa = gpa;
	m->flags = flags;
	m->insn_len = (uint8_t)bytes;
	memcpy(m->insn, code, bytes);
	return posada_complete_memory(&g.vcpu, device, &g);
}

int guest_complete_port(const uint8_t *code, unsigned int bytes, bool in)
{
	struct posada_exit_port *p = &g.run->port;

	memset(p, 0, sizeof(*p));
	p->flags = POSADA_PORT_STRING | (in ? POSADA_PORT_IN : 0);
	p->insn_len = (uint8_t)bytes;
	memcpy(p->insn, code, bytes);
	return posada_complete_port(&g.vcpu, port, device, &g);
}
