// SPDX-License-Identifier: GPL-2.0
/* What a gdb session does with parked vCPUs and the guest's memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gdb_target.h"

#define MSR_KERNEL_GS_BASE	0xc0000102U
#define XSTATE_BV		GDB_FX_BYTES	/* the header's first field */
#define XSTATE_FP_SSE		3ULL
#define RECORDS			(1ULL << POSADA_REC_XSAVE | \
				 1ULL << POSADA_REC_MSRS)

static struct posada_vcpu *vcpu_of(void *ctx, unsigned int cpu)
{
	struct gdb *g = ctx;

	return g->m->cpu[cpu].vcpu;
}

/* ---- registers ---- */

static struct posada_msr_entry *find_msr(struct posada_stream *s,
					 uint32_t index)
{
	struct posada_msr_entry *msr;
	uint32_t i, bytes;

	msr = posada_stream_find(s, POSADA_REC_MSRS, &bytes);
	for (i = 0; msr && i < bytes / sizeof(*msr); i++)
		if (msr[i].index == index)
			return &msr[i];
	return NULL;
}

/* The XSAVE area in the record, NULL if it is shorter than its header. */
static uint8_t *find_area(struct posada_stream *s)
{
	uint32_t bytes;
	uint8_t *rec = posada_stream_find(s, POSADA_REC_XSAVE, &bytes);

	if (!rec || bytes < sizeof(struct posada_rec_xsave) + XSTATE_BV + 8)
		return NULL;
	return rec + sizeof(struct posada_rec_xsave);
}

static int target_load(void *ctx, unsigned int cpu, struct gdb_regs *r)
{
	struct posada_vcpu *vcpu = vcpu_of(ctx, cpu);
	struct posada_run *run = posada_vcpu_page(vcpu);
	struct posada_stream s = { 0 };
	struct posada_msr_entry *msr;
	uint8_t *area;
	int ret;

	r->regs = run->regs;
	r->sregs = run->sregs;
	r->dirty = 0;
	ret = posada_vcpu_load(vcpu, RECORDS, &s);
	if (!ret) {
		area = find_area(&s);
		if (area)
			memcpy(r->fx, area, sizeof(r->fx));
		msr = find_msr(&s, MSR_KERNEL_GS_BASE);
		r->kernel_gs_base = msr ? msr->value : 0;
	}
	posada_stream_free(&s);
	return ret;
}

/* x87 and SSE: put into the area that is there, whatever else it has. */
static int store_fx(struct posada_vcpu *vcpu, const struct gdb_regs *r)
{
	struct posada_stream s = { 0 };
	int ret = posada_vcpu_load(vcpu, 1ULL << POSADA_REC_XSAVE, &s);
	uint8_t *area;
	uint64_t bv;

	if (ret)
		return ret;
	area = find_area(&s);
	if (area) {
		memcpy(area, r->fx, sizeof(r->fx));
		memcpy(&bv, area + XSTATE_BV, sizeof(bv));
		bv |= XSTATE_FP_SSE;
		memcpy(area + XSTATE_BV, &bv, sizeof(bv));
		ret = posada_vcpu_store(vcpu, &s, false);
	} else {
		ret = -EOPNOTSUPP;
	}
	posada_stream_free(&s);
	return ret;
}

static int store_kernel_gs(struct posada_vcpu *vcpu, const struct gdb_regs *r)
{
	struct posada_msr_entry msr = {
		.index = MSR_KERNEL_GS_BASE, .value = r->kernel_gs_base,
	};
	struct posada_stream s = { 0 };
	int ret = -ENOMEM;

	if (posada_stream_add(&s, POSADA_REC_MSRS, &msr, sizeof(msr)))
		ret = posada_vcpu_store(vcpu, &s, false);
	posada_stream_free(&s);
	return ret;
}

/* The kernel takes them at once or says no; then what was there stays. */
static int store_groups(struct posada_vcpu *vcpu, const struct gdb_regs *r)
{
	struct posada_run *run = posada_vcpu_page(vcpu);
	int ret;

	if (r->dirty & GDB_DIRTY_REGS) {
		run->regs = r->regs;
		run->dirty |= POSADA_GROUP_REGS;
	}
	if (r->dirty & GDB_DIRTY_SREGS) {
		run->sregs = r->sregs;
		run->dirty |= POSADA_GROUP_SREGS;
	}
	ret = gdb_refresh(vcpu);
	if (ret) {
		run->dirty = 0;
		gdb_refresh(vcpu);
	}
	return ret;
}

static int target_store(void *ctx, unsigned int cpu, const struct gdb_regs *r)
{
	struct posada_vcpu *vcpu = vcpu_of(ctx, cpu);
	int ret = 0;

	if (r->dirty & (GDB_DIRTY_REGS | GDB_DIRTY_SREGS))
		ret = store_groups(vcpu, r);
	if (!ret && r->dirty & GDB_DIRTY_FX)
		ret = store_fx(vcpu, r);
	if (!ret && r->dirty & GDB_DIRTY_KGS)
		ret = store_kernel_gs(vcpu, r);
	return ret;
}

/* ---- memory ---- */

static int target_find(void *ctx, unsigned int cpu, uint64_t gva,
		       uint64_t *gpa)
{
	return posada_find_gva(vcpu_of(ctx, cpu), gva, gpa);
}

static int target_read(void *ctx, uint64_t gpa, void *data, size_t bytes)
{
	struct gdb *g = ctx;

	return posada_read(g->m->vm, gpa, data, bytes);
}

static int target_write(void *ctx, uint64_t gpa, const void *data,
			size_t bytes)
{
	struct gdb *g = ctx;

	return posada_write(g->m->vm, gpa, data, bytes);
}

static void target_resume(void *ctx, const enum gdb_action *actions)
{
	gdb_let_go(ctx, actions);
}

/* ---- text for people ---- */

static void target_describe(void *ctx, unsigned int cpu, FILE *to)
{
	static const char *const states[] = {
		[POSADA_MP_RUNNABLE] = "running",
		[POSADA_MP_HALTED] = "halted",
		[POSADA_MP_WAIT_SIPI] = "waits for SIPI",
	};
	struct posada_vcpu *vcpu = vcpu_of(ctx, cpu);
	const struct posada_run *run = posada_vcpu_page(vcpu);
	struct posada_stream s = { 0 };
	struct posada_rec_mp *mp = NULL;

	if (!posada_vcpu_load(vcpu, 1ULL << POSADA_REC_MP, &s))
		mp = posada_stream_find(&s, POSADA_REC_MP, NULL);
	fprintf(to, "vCPU %u, CPL %u, %s", posada_vcpu_id(vcpu),
		run->sregs.cpl,
		mp && mp->state <= POSADA_MP_WAIT_SIPI ? states[mp->state] :
		"in an unknown state");
	posada_stream_free(&s);
}

static const char monitor_help[] =
	"translate ADDRESS  where the guest's page tables lead, for each access\n"
	"stats              the VM's counters\n";

static void translate_as(struct posada_vcpu *vcpu, uint64_t gva,
			 const char *name, uint32_t access, FILE *to)
{
	struct posada_translate tr = { .flags = access, .gva = gva };
	int ret = posada_translate(vcpu, &tr);

	if (!ret)
		fprintf(to, "%-14s gpa 0x%llx, by a page of %llu KiB\n", name,
			(unsigned long long)tr.gpa,
			(unsigned long long)tr.page_bytes / 1024);
	else if (ret == -ENXIO)
		fprintf(to, "%-14s page fault, error code 0x%x\n", name,
			tr.error_code);
	else
		fprintf(to, "%-14s %s\n", name, strerror(-ret));
}

static void monitor_translate(struct posada_vcpu *vcpu, const char *text,
			      FILE *to)
{
	char *end;
	uint64_t gva = strtoull(text, &end, 0);

	if (end == text || *end) {
		fputs("give an address, in digits\n", to);
		return;
	}
	translate_as(vcpu, gva, "read", POSADA_ACCESS_READ, to);
	translate_as(vcpu, gva, "write", POSADA_ACCESS_WRITE, to);
	translate_as(vcpu, gva, "execute", POSADA_ACCESS_EXEC, to);
	translate_as(vcpu, gva, "read, CPL 3",
		     POSADA_ACCESS_READ | POSADA_ACCESS_USER, to);
	translate_as(vcpu, gva, "execute, CPL 3",
		     POSADA_ACCESS_EXEC | POSADA_ACCESS_USER, to);
}

static void target_monitor(void *ctx, unsigned int cpu, const char *line,
			   FILE *to)
{
	struct gdb *g = ctx;

	if (!strncmp(line, "translate ", 10))
		monitor_translate(vcpu_of(ctx, cpu), line + 10, to);
	else if (!strcmp(line, "stats"))
		stats_write(g->m, STATS_TEXT, to);
	else
		fputs(monitor_help, to);
}

const struct gdb_ops gdb_target_ops = {
	.load = target_load,
	.store = target_store,
	.find = target_find,
	.read = target_read,
	.write = target_write,
	.resume = target_resume,
	.describe = target_describe,
	.monitor = target_monitor,
};
