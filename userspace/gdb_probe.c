// SPDX-License-Identifier: GPL-2.0
/*
 * Does this host report breakpoints to a debugger? Real CPUs do. Emulated ones
 * may not: QEMU's SVM neither intercepts INT3 nor arms debug registers at
 * VMRUN. A guest of a few bytes tells.
 */
#include <string.h>
#include <unistd.h>

#include "gdb_target.h"

#define PROBE_BYTES	(2 * POSADA_PAGE_SIZE)
#define PROBE_STACK	0x0800
#define PROBE_INT3	0x1000
#define PROBE_PLAIN	0x1010
#define PROBE_HANDLER	0x1020
#define IVT_BP		(3 * 4)

struct probe_vm {
	struct posada_vm *vm;
	struct posada_vcpu *vcpu;
};

static const uint8_t int3_then_halt[] = { 0xcc, 0xf4 };
static const uint8_t nop_nop_out[] = { 0x90, 0x90, 0xe6, 0x80 };
static const uint8_t out_then_halt[] = { 0xe6, 0x80, 0xf4 };

static bool create(struct probe_vm *p, const struct config *cfg)
{
	static const uint16_t vector[2] = { PROBE_HANDLER, 0 };
	int ret, fd = posada_open(cfg->device);
	uint8_t *memory;
	void *hva;

	if (fd < 0)
		return false;
	ret = posada_vm_create(&p->vm, fd, cfg->backend, 0);
	close(fd);
	if (ret < 0)
		return false;
	if (posada_memory_add(p->vm, 0, 0, PROBE_BYTES, 0, NULL, &hva) ||
	    posada_vcpu_create(&p->vcpu, p->vm, 0))
		return false;
	memory = hva;
	memcpy(memory + IVT_BP, vector, sizeof(vector));
	memcpy(memory + PROBE_INT3, int3_then_halt, sizeof(int3_then_halt));
	memcpy(memory + PROBE_PLAIN, nop_nop_out, sizeof(nop_nop_out));
	memcpy(memory + PROBE_HANDLER, out_then_halt, sizeof(out_then_halt));
	return true;
}

static void destroy(struct probe_vm *p)
{
	posada_vcpu_close(p->vcpu);
	posada_vm_close(p->vm);
}

/* Run from @rip in real mode; -> whether the first exit is a debugger's. */
static bool is_reported(struct probe_vm *p, uint16_t rip,
			struct posada_debug *dbg)
{
	struct posada_run *run = posada_vcpu_page(p->vcpu);

	if (posada_debug(p->vcpu, dbg) || gdb_refresh(p->vcpu))
		return false;
	run->sregs.seg[POSADA_CS].selector = 0;
	run->sregs.seg[POSADA_CS].base = 0;
	run->regs.rip = rip;
	run->regs.gpr[POSADA_RSP] = PROBE_STACK;
	run->dirty |= POSADA_GROUP_REGS | POSADA_GROUP_SREGS;
	return !posada_vcpu_run(p->vcpu) && run->exit == POSADA_EXIT_DEBUG;
}

void gdb_probe(const struct config *cfg, struct gdb_probe *probe)
{
	struct posada_debug soft = { .flags = POSADA_DEBUG_BREAK };
	struct posada_debug hard = {
		.flags = POSADA_DEBUG_HARDWARE,
		.dr = { PROBE_PLAIN + 1 }, .dr7 = 0x401,
	};
	struct probe_vm p = { 0 };

	/* A host that has no room for another VM may have a real CPU. */
	probe->breaks = true;
	probe->hardware = true;
	if (create(&p, cfg)) {
		probe->breaks = is_reported(&p, PROBE_INT3, &soft);
		probe->hardware = is_reported(&p, PROBE_PLAIN, &hard);
	}
	destroy(&p);
}
