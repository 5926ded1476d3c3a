// SPDX-License-Identifier: GPL-2.0
/* The ioctls, each with what its argument may be and which errno it may have: see calls.h. */
#include <string.h>

#include "calls.h"

#define NR_STREAMS	4	/* of state, in area[0] */
#define STREAM_BYTES	32768

u8 *area[NR_AREAS];
volatile int event[NR_EVENTS];
/* What was read last; at first all zero. */
static u32 stream_bytes[NR_STREAMS];

static u64 some_hva(struct rnd *r)
{
	if (rnd_one_in(r, 8))
		return rnd_value(r);
	return (u64)RND_OF(r, area) + (rnd_below(r, AREA_BYTES >> 12) << 12);
}

static void fill_vm_create(struct rnd *r, void *arg)
{
	struct posada_vm_create *a = arg;

	a->flags = rnd_below(r, 2);
	a->backend = rnd_one_in(r, 4) ? rnd_below(r, 6) : POSADA_BACKEND_ANY;
}

static void fill_vcpu_create(struct rnd *r, void *arg)
{
	((struct posada_vcpu_create *)arg)->id = rnd_one_in(r, 16) ? rnd_value(r) : rnd_below(r, 6);
}

/* No CPU walks tables in memory that is read-only. */
u32 call_slot_flags(struct rnd *r)
{
	return rnd_one_in(r, 8) ? rnd_below(r, 4) : rnd_below(r, 2) * POSADA_SLOT_DIRTY_LOG;
}

static void fill_slot(struct rnd *r, void *arg)
{
	struct posada_slot *a = arg;

	/* Mostly beside slot 0, which guests run from, or as it was. */
	a->flags = call_slot_flags(r);
	if (rnd_one_in(r, 4)) {
		a->bytes = FUZZ_MEM_BYTES;
		a->hva = (u64)area[rnd_one_in(r, 2) ? 1 : 3];
		return;
	}
	a->slot = rnd_one_in(r, 16) ? rnd_value(r) : !rnd_one_in(r, 8) + rnd_below(r, 3);
	a->gpa = rnd_below(r, 8) * AREA_BYTES / 2 + rnd_below(r, 4) * 4096;
	a->bytes = rnd_one_in(r, 4) ? 0 : rnd_below(r, 512) * 4096;
	a->hva = some_hva(r);
	if (rnd_one_in(r, 8))
		rnd_mutate(r, &a->gpa, 24, 1);
}

static void fill_log(struct rnd *r, void *arg)
{
	struct posada_dirty_log *a = arg;

	a->flags = rnd_below(r, 2);
	a->slot = rnd_below(r, 5);
	a->first = rnd_below(r, 8) * 64;
	a->pages = rnd_one_in(r, 4) ? rnd_value(r) : rnd_below(r, 9) * 64;
	a->bitmap = rnd_one_in(r, 8) ? rnd_value(r) : (u64)area[0] + rnd_below(r, AREA_BYTES);
}

static void fill_msi(struct rnd *r, void *arg)
{
	struct posada_msi *a = arg;

	a->addr = rnd_one_in(r, 8) ? rnd_value(r) : 0xfee00000 | (rnd(r) & 0xfffff);
	a->data = rnd(r) & 0xffff;
}

static void fill_irqfd(struct rnd *r, void *arg)
{
	struct posada_irqfd *a = arg;

	a->flags = rnd_one_in(r, 3);
	a->fd = rnd_one_in(r, 16) ? (s32)rnd_value(r) : RND_OF(r, event);
	a->addr = 0xfee00000 | (rnd(r) & 0xff00c);
	a->data = rnd(r) & 0x1ff;
}

static void fill_doorbell(struct rnd *r, void *arg)
{
	struct posada_doorbell *a = arg;

	a->flags = rnd_below(r, 4);
	a->kind = rnd_below(r, 4);
	a->fd = RND_OF(r, event);
	a->addr = rnd_one_in(r, 16) ? rnd_value(r) : rnd_below(r, 4);
	a->len = rnd_one_in(r, 2) ? 1U << rnd_below(r, 4) : 0;
	a->match = rnd_one_in(r, 2) ? rnd_below(r, 3) : 0;
}

/* A VM's streams come first, then the vCPUs'. */
static void fill_state(struct rnd *r, struct posada_state *a, u32 nr)
{
	u32 bytes = READ(stream_bytes[nr]);

	/* A write takes what an earlier read has left there, with some change. */
	a->flags = rnd_below(r, 4);
	a->buf = (u64)area[0] + nr * STREAM_BYTES;
	a->bytes = a->flags & POSADA_STATE_WRITE && bytes ? bytes : STREAM_BYTES;
	if (rnd_one_in(r, 8))
		a->bytes = rnd_value(r);
	a->mask = rnd_one_in(r, 2) ? 0 : rnd(r) & rnd(r);
	if (a->flags & POSADA_STATE_WRITE)
		rnd_mutate(r, (void *)a->buf, bytes ? bytes : STREAM_BYTES, rnd_below(r, 3));
	if (rnd_one_in(r, 16))
		a->buf = rnd_value(r);
}

static void fill_vm_state(struct rnd *r, void *arg)
{
	fill_state(r, arg, rnd_below(r, NR_STREAMS / 2));
}

static void fill_vcpu_state(struct rnd *r, void *arg)
{
	fill_state(r, arg, NR_STREAMS / 2 + rnd_below(r, NR_STREAMS / 2));
}

void call_note_stream(u32 nr, const struct posada_state *a)
{
	u64 at = a->buf - (u64)area[0];

	if ((nr == POSADA_VM_STATE || nr == POSADA_VCPU_STATE) && !a->flags &&
	    at < NR_STREAMS * STREAM_BYTES)
		WRITE(stream_bytes[at / STREAM_BYTES], a->used);
}

static void fill_generation(struct rnd *r, void *arg)
{
	struct posada_generation_set *a = arg;

	rnd_mutate(r, a->id, sizeof(a->id), rnd_below(r, 3));
	a->step_ns = rnd_one_in(r, 2) ? 0 : rnd_value(r);
}

static void fill_inject(struct rnd *r, void *arg)
{
	struct posada_inject *a = arg;

	a->flags = rnd_below(r, 2);
	/* INIT leaves nothing to run. */
	a->kind = rnd_below(r, rnd_one_in(r, 4) ? 5 : POSADA_INJECT_INIT);
	a->vector = rnd_below(r, 40);
	a->error_code = rnd(r);
	a->payload = rnd_value(r);
}

static void fill_apic(struct rnd *r, void *arg)
{
	struct posada_apic_reg *a = arg;

	a->flags = rnd_below(r, 2);
	a->offset = rnd_one_in(r, 8) ? rnd_value(r) : rnd_below(r, 256) * 16;
	a->value = rnd_value(r);
}

static void fill_debug(struct rnd *r, void *arg)
{
	struct posada_debug *a = arg;

	a->flags = rnd_below(r, 8);
	rnd_mutate(r, a->dr, sizeof(a->dr), 2);
	a->dr7 = rnd(r) & 0xffff07ff;
}

static void fill_translate(struct rnd *r, void *arg)
{
	struct posada_translate *a = arg;

	a->flags = rnd_below(r, 16);
	a->gva = rnd_one_in(r, 2) ? rnd_value(r) : rnd_gpa(r, FUZZ_MEM_BYTES);
}

static const struct call table[] = {
	{ POSADA_INFO, sizeof(struct posada_info), SYS, .any_mm = true, .weight = 1 },
	{ POSADA_VM_CREATE, sizeof(struct posada_vm_create), SYS, .any_mm = true, .weight = 1,
	  .errors = { ENODEV }, .fill = fill_vm_create },
	{ POSADA_VCPU_CREATE, sizeof(struct posada_vcpu_create), VM, .weight = 3,
	  .errors = { EEXIST }, .fill = fill_vcpu_create },
	{ POSADA_SLOT_SET, sizeof(struct posada_slot), VM, .weight = 8,
	  .errors = { EEXIST, ENOENT }, .fill = fill_slot },
	{ POSADA_DIRTY_LOG, sizeof(struct posada_dirty_log), VM, .weight = 6,
	  .errors = { ENOENT, ENODATA }, .fill = fill_log },
	{ POSADA_MSI, sizeof(struct posada_msi), VM, .weight = 6, .fill = fill_msi },
	{ POSADA_IRQFD, sizeof(struct posada_irqfd), VM, .weight = 6,
	  .errors = { EBUSY, ENOENT }, .fill = fill_irqfd },
	{ POSADA_DOORBELL, sizeof(struct posada_doorbell), VM, .weight = 6,
	  .errors = { EEXIST, ENOSPC, ENOENT, EOPNOTSUPP }, .fill = fill_doorbell },
	{ POSADA_VM_STATE, sizeof(struct posada_state), VM, .weight = 4,
	  .errors = { ENOSPC, EOPNOTSUPP, EBUSY }, .fill = fill_vm_state },
	{ POSADA_GENERATION, sizeof(struct posada_generation_set), VM, .weight = 1,
	  .fill = fill_generation },
	{ POSADA_VM_STATS, sizeof(struct posada_stats), VM, .any_mm = true, .weight = 2 },
	{ POSADA_RUN, 0, VCPU, .weight = 8 },
	{ POSADA_KICK, 0, VCPU, .any_mm = true, .weight = 1 },
	{ POSADA_VCPU_STATE, sizeof(struct posada_state), VCPU, .weight = 8,
	  .errors = { ENOSPC, EOPNOTSUPP }, .fill = fill_vcpu_state },
	{ POSADA_INJECT, sizeof(struct posada_inject), VCPU, .weight = 4,
	  .errors = { EBUSY }, .fill = fill_inject },
	{ POSADA_APIC, sizeof(struct posada_apic_reg), VCPU, .weight = 6,
	  .errors = { ENXIO }, .fill = fill_apic },
	{ POSADA_DEBUG, sizeof(struct posada_debug), VCPU, .weight = 3, .fill = fill_debug },
	{ POSADA_TRANSLATE, sizeof(struct posada_translate), VCPU, .weight = 4,
	  .errors = { ENXIO }, .fill = fill_translate },
	{ POSADA_VCPU_STATS, sizeof(struct posada_stats), VCPU, .any_mm = true, .weight = 2 },
	/* No such call. */
	{ POSADA_IO(0x7f), 16, VM, .any_mm = true, .weight = 1 },
};

const struct call *call_pick(struct rnd *r)
{
	u32 i, at = 0;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		at += table[i].weight;
	at = rnd_below(r, at);
	for (i = 0; at >= table[i].weight; i++)
		at -= table[i].weight;
	return &table[i];
}
