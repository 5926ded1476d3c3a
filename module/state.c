// SPDX-License-Identifier: GPL-2.0
/*
 * State in and out: the record stream.
 *
 * A write goes in three steps: cut the stream into records, at most one of a
 * type; check every record without touching anything; apply them in the order
 * of the table, which is the one that is right, whatever the caller's was.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <asm/debugreg.h>
#include <asm/fpu/types.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include "posada.h"

/* ---- records: one row a type ---- */

/* A record while a stream is read or written. */
struct posada_rec {
	void *data;
	u32 bytes;
	u32 bad_index;		/* entry to blame, when an array's */
};

/*
 * bytes: the payload's size, fixed (size) or as told by size_of(). check: 0,
 * -EINVAL, -EOPNOTSUPP. apply cannot fail, but for XSAVE, which comes first.
 */
struct posada_rec_row {
	u16 type;
	u16 size;		/* 0: variable */
	u16 unit;		/* a variable size is a multiple of it */
	u32 (*size_of)(void *object);
	void (*read)(void *object, struct posada_rec *rec);
	int (*check)(void *object, struct posada_rec *rec);
	int (*apply)(void *object, struct posada_rec *rec);
};

static u32 posada_xsave_bytes_of(void *object)
{
	struct posada_vcpu *vcpu = object;

	return sizeof(struct posada_rec_xsave) + vcpu->fpu.uabi_size;
}

static void posada_read_xsave(void *object, struct posada_rec *rec)
{
	struct posada_vcpu *vcpu = object;
	struct posada_rec_xsave *x = rec->data;

	x->xcr0 = vcpu->xcr0;
	fpu_copy_guest_fpstate_to_uabi(&vcpu->fpu, x + 1,
				       rec->bytes - sizeof(*x),
				       posada_cpuid_xcr0_mask(vcpu->vm),
				       vcpu->pkru);
}

/* The legacy area and the header. */
#define POSADA_XSAVE_MIN	offsetof(struct xregs_state, extended_state_area)
#define POSADA_MXCSR_VALID	0xffff

/* SDM volume 1, "XSAVE Area": what makes XRSTOR fault. */
static int posada_check_xsave(void *object, struct posada_rec *rec)
{
	struct posada_vcpu *vcpu = object;
	u64 mask = posada_cpuid_xcr0_mask(vcpu->vm);
	const struct posada_rec_xsave *x = rec->data;
	const struct xregs_state *area = (const void *)(x + 1);

	if (rec->bytes < sizeof(*x) + POSADA_XSAVE_MIN || x->pad ||
	    !posada_xcr0_valid(x->xcr0, ~0ULL))
		return -EINVAL;
	if (area->header.xcomp_bv || area->i387.mxcsr & ~POSADA_MXCSR_VALID ||
	    memchr_inv(area->header.reserved, 0, sizeof(area->header.reserved)))
		return -EINVAL;
	if (!posada_xcr0_valid(x->xcr0, mask) ||
	    area->header.xfeatures & ~mask ||
	    rec->bytes < posada_xsave_bytes_of(vcpu))
		return -EOPNOTSUPP;
	return 0;
}

static int posada_apply_xsave(void *object, struct posada_rec *rec)
{
	struct posada_vcpu *vcpu = object;
	const struct posada_rec_xsave *x = rec->data;
	int r = fpu_copy_uabi_to_guest_fpstate(&vcpu->fpu, x + 1,
					       posada_host_xcr0, &vcpu->pkru);

	if (r)
		return -EINVAL;
	vcpu->xcr0 = x->xcr0;
	return 0;
}

static void posada_read_sregs(void *object, struct posada_rec *rec)
{
	posada_get_sregs(object, rec->data);
}

static int posada_check_rec_sregs(void *object, struct posada_rec *rec)
{
	return posada_check_sregs(object, rec->data);
}

static int posada_apply_sregs(void *object, struct posada_rec *rec)
{
	posada_set_sregs(object, rec->data);
	return 0;
}

static void posada_read_regs(void *object, struct posada_rec *rec)
{
	struct posada_vcpu *vcpu = object;

	*(struct posada_regs *)rec->data = vcpu->regs;
}

static int posada_check_rec_regs(void *object, struct posada_rec *rec)
{
	return posada_check_regs(object, rec->data);
}

static int posada_apply_regs(void *object, struct posada_rec *rec)
{
	posada_set_regs(object, rec->data);
	return 0;
}

static void posada_read_events(void *object, struct posada_rec *rec)
{
	posada_get_events(object, rec->data);
}

static int posada_check_rec_events(void *object, struct posada_rec *rec)
{
	return posada_check_events(rec->data);
}

static int posada_apply_events(void *object, struct posada_rec *rec)
{
	posada_set_events(object, rec->data);
	return 0;
}

static void posada_read_dregs(void *object, struct posada_rec *rec)
{
	struct posada_vcpu *vcpu = object;

	posada_get_dregs(vcpu, rec->data);
}

static int posada_check_rec_dregs(void *object, struct posada_rec *rec)
{
	return posada_check_dregs(rec->data);
}

static int posada_apply_dregs(void *object, struct posada_rec *rec)
{
	struct posada_vcpu *vcpu = object;

	posada_set_dregs(vcpu, rec->data);
	return 0;
}

static u32 posada_msrs_bytes(void *object)
{
	struct posada_vcpu *vcpu = object;
	u32 i = 0;

	while (posada_msr_saved(vcpu->vm, i))
		i++;
	return i * sizeof(struct posada_msr_entry);
}

static void posada_read_msrs(void *object, struct posada_rec *rec)
{
	struct posada_vcpu *vcpu = object;
	struct posada_msr_entry *e = rec->data;
	u32 i;

	for (i = 0; i < rec->bytes / sizeof(*e); i++) {
		e[i].index = posada_msr_saved(vcpu->vm, i);
		posada_msr_read(vcpu, e[i].index, &e[i].value, POSADA_BY_HOST);
	}
}

static int posada_check_msrs(void *object, struct posada_rec *rec)
{
	const struct posada_msr_entry *e = rec->data;
	u32 i;

	for (i = 0; i < rec->bytes / sizeof(*e); i++) {
		int r = e[i].pad ? -EINVAL :
			posada_msr_check(object, e[i].index, e[i].value);

		rec->bad_index = i;
		if (r)
			return r;
	}
	rec->bad_index = 0;
	return 0;
}

static int posada_apply_msrs(void *object, struct posada_rec *rec)
{
	const struct posada_msr_entry *e = rec->data;
	u32 i;

	for (i = 0; i < rec->bytes / sizeof(*e); i++)
		posada_msr_write(object, e[i].index, e[i].value,
				 POSADA_BY_HOST);
	return 0;
}

static void posada_read_apic(void *object, struct posada_rec *rec)
{
	posada_apic_save(object, rec->data);
}

static int posada_check_apic(void *object, struct posada_rec *rec)
{
	return posada_apic_check(object, rec->data);
}

static int posada_apply_apic(void *object, struct posada_rec *rec)
{
	posada_apic_load(object, rec->data);
	return 0;
}

static void posada_read_mp(void *object, struct posada_rec *rec)
{
	struct posada_vcpu *vcpu = object;
	struct posada_rec_mp *mp = rec->data;

	mp->state = vcpu->mp_state;
	mp->sipi = READ_ONCE(vcpu->apic.sipi);
}

static int posada_check_mp(void *object, struct posada_rec *rec)
{
	const struct posada_rec_mp *mp = rec->data;

	if (mp->state > POSADA_MP_WAIT_SIPI ||
	    mp->sipi & ~(POSADA_SIPI_WAITS | 0xff))
		return -EINVAL;
	return mp->sipi && !(mp->sipi & POSADA_SIPI_WAITS) ? -EINVAL : 0;
}

static int posada_apply_mp(void *object, struct posada_rec *rec)
{
	struct posada_vcpu *vcpu = object;
	const struct posada_rec_mp *mp = rec->data;

	vcpu->mp_state = mp->state;
	WRITE_ONCE(vcpu->apic.sipi, mp->sipi);
	if (mp->sipi)
		posada_request(vcpu, POSADA_REQ_SIPI);
	return 0;
}

static void posada_read_tsc(void *object, struct posada_rec *rec)
{
	struct posada_rec_tsc *t = rec->data;

	t->tsc = posada_guest_tsc(object);
	t->host_ns = ktime_get_raw_ns();
	t->khz = posada_tsc_khz;
}

/* A clock may be off by this much before a guest notices: 250 ppm. */
#define POSADA_TSC_TOLERANCE(khz)	((khz) / 4000)

static int posada_check_tsc(void *object, struct posada_rec *rec)
{
	const struct posada_rec_tsc *t = rec->data;
	u32 khz = posada_tsc_khz;

	if (t->pad || t->host_ns > ktime_get_raw_ns())
		return -EINVAL;
	if (t->khz && (u32)abs((s32)(t->khz - khz)) > POSADA_TSC_TOLERANCE(khz))
		return -EOPNOTSUPP;
	return 0;
}

static int posada_apply_tsc(void *object, struct posada_rec *rec)
{
	const struct posada_rec_tsc *t = rec->data;
	u64 passed = t->host_ns ? ktime_get_raw_ns() - t->host_ns : 0;

	posada_set_guest_tsc(object, t->tsc +
			     mul_u64_u32_div(passed, posada_tsc_khz,
					     NSEC_PER_MSEC));
	return 0;
}

/* In the order of applying. */
static const struct posada_rec_row posada_vcpu_recs[] = {
	{ POSADA_REC_XSAVE, 0, 8, posada_xsave_bytes_of, posada_read_xsave,
	  posada_check_xsave, posada_apply_xsave },
	{ POSADA_REC_REGS, sizeof(struct posada_regs), 0, NULL,
	  posada_read_regs, posada_check_rec_regs, posada_apply_regs },
	{ POSADA_REC_SREGS, sizeof(struct posada_sregs), 0, NULL,
	  posada_read_sregs, posada_check_rec_sregs, posada_apply_sregs },
	{ POSADA_REC_TSC, sizeof(struct posada_rec_tsc), 0, NULL,
	  posada_read_tsc, posada_check_tsc, posada_apply_tsc },
	{ POSADA_REC_MSRS, 0, sizeof(struct posada_msr_entry),
	  posada_msrs_bytes, posada_read_msrs, posada_check_msrs,
	  posada_apply_msrs },
	{ POSADA_REC_APIC, sizeof(struct posada_rec_apic), 0, NULL,
	  posada_read_apic, posada_check_apic, posada_apply_apic },
	{ POSADA_REC_DREGS, sizeof(struct posada_dregs), 0, NULL,
	  posada_read_dregs, posada_check_rec_dregs, posada_apply_dregs },
	{ POSADA_REC_EVENTS, sizeof(struct posada_events), 0, NULL,
	  posada_read_events, posada_check_rec_events, posada_apply_events },
	{ POSADA_REC_MP, sizeof(struct posada_rec_mp), 0, NULL,
	  posada_read_mp, posada_check_mp, posada_apply_mp },
};

static u32 posada_cpuid_bytes(void *object)
{
	u32 nr = 0;

	/* With no room it only counts. */
	posada_cpuid_save(object, NULL, &nr);
	return nr * sizeof(struct posada_cpuid_entry);
}

static void posada_read_cpuid(void *object, struct posada_rec *rec)
{
	u32 nr = rec->bytes / sizeof(struct posada_cpuid_entry);

	posada_cpuid_save(object, rec->data, &nr);
}

static int posada_check_cpuid(void *object, struct posada_rec *rec)
{
	return posada_cpuid_load(object, rec->data,
				 rec->bytes / sizeof(struct posada_cpuid_entry),
				 true, &rec->bad_index);
}

static int posada_apply_cpuid(void *object, struct posada_rec *rec)
{
	return posada_cpuid_load(object, rec->data,
				 rec->bytes / sizeof(struct posada_cpuid_entry),
				 false, &rec->bad_index);
}

static void posada_read_clock(void *object, struct posada_rec *rec)
{
	posada_clock_get(object, rec->data);
}

static int posada_check_clock(void *object, struct posada_rec *rec)
{
	const struct posada_rec_clock *c = rec->data;

	return c->ns > S64_MAX ? -EINVAL : 0;
}

static int posada_apply_clock(void *object, struct posada_rec *rec)
{
	posada_clock_set(object, rec->data);
	return 0;
}

static const struct posada_rec_row posada_vm_recs[] = {
	{ POSADA_REC_CPUID, 0, sizeof(struct posada_cpuid_entry),
	  posada_cpuid_bytes, posada_read_cpuid, posada_check_cpuid,
	  posada_apply_cpuid },
	{ POSADA_REC_CLOCK, sizeof(struct posada_rec_clock), 0, NULL,
	  posada_read_clock, posada_check_clock, posada_apply_clock },
};

#define POSADA_MAX_RECS	16

static_assert(ARRAY_SIZE(posada_vcpu_recs) <= POSADA_MAX_RECS);

/* ---- the stream ---- */

static u32 posada_rec_bytes(const struct posada_rec_row *row, void *object)
{
	return row->size ? row->size : row->size_of(object);
}

static u32 posada_stream_bytes(const struct posada_rec_row *rows, int nr,
			       void *object, u64 mask)
{
	u32 total = 0;
	int i;

	for (i = 0; i < nr; i++)
		if (mask & BIT_ULL(rows[i].type))
			total += sizeof(struct posada_record) +
				 ALIGN(posada_rec_bytes(&rows[i], object), 8);
	return total;
}

static void posada_stream_fill(const struct posada_rec_row *rows, int nr,
			       void *object, u64 mask, void *buf)
{
	int i;

	for (i = 0; i < nr; i++) {
		struct posada_record *head = buf;
		struct posada_rec rec;

		if (!(mask & BIT_ULL(rows[i].type)))
			continue;
		head->type = rows[i].type;
		head->version = 1;
		head->bytes = posada_rec_bytes(&rows[i], object);
		rec.data = head + 1;
		rec.bytes = head->bytes;
		rows[i].read(object, &rec);
		buf = rec.data + ALIGN(rec.bytes, 8);
	}
}

static int posada_stream_read(const struct posada_rec_row *rows, int nr,
			      void *object, struct posada_state *args)
{
	u64 mask = args->mask ? args->mask : ~0ULL, known = 0;
	void *buf;
	int i, r = 0;

	for (i = 0; i < nr; i++)
		known |= BIT_ULL(rows[i].type);
	if (args->mask & ~known)
		return -EINVAL;
	args->used = posada_stream_bytes(rows, nr, object, mask);
	if (args->bytes < args->used)
		return -ENOSPC;
	buf = kvzalloc(args->used + 1, GFP_KERNEL_ACCOUNT);
	if (!buf)
		return -ENOMEM;
	posada_stream_fill(rows, nr, object, mask, buf);
	if (copy_to_user(u64_to_user_ptr(args->buf), buf, args->used))
		r = -EFAULT;
	kvfree(buf);
	return r;
}

static int posada_row_of(const struct posada_rec_row *rows, int nr, u16 type)
{
	int i;

	for (i = 0; i < nr; i++)
		if (rows[i].type == type)
			return i;
	return -1;
}

static bool posada_rec_sized(const struct posada_rec_row *row, u32 bytes)
{
	return row->size ? bytes == row->size : bytes % row->unit == 0;
}

/* Cut @buf into @recs, by row. Also finds what to blame. */
static int posada_stream_cut(const struct posada_rec_row *rows, int nr,
			     void *buf, struct posada_rec *recs,
			     struct posada_state *args)
{
	u32 at = 0;

	while (at < args->bytes) {
		struct posada_record *head = buf + at;
		int row;

		args->bad_type = 0;
		args->bad_offset = at;
		if (args->bytes - at < sizeof(*head))
			return -EINVAL;
		args->bad_type = head->type;
		row = posada_row_of(rows, nr, head->type);
		at += sizeof(*head);
		if (row < 0 || head->version != 1 || recs[row].data ||
		    head->bytes > args->bytes - at ||
		    !posada_rec_sized(&rows[row], head->bytes))
			return -EINVAL;
		recs[row].data = head + 1;
		recs[row].bytes = head->bytes;
		/* The padding after the last record may be left out. */
		at += min(ALIGN(head->bytes, 8), args->bytes - at);
	}
	args->bad_type = 0;
	args->bad_offset = 0;
	return 0;
}

static void posada_blame(struct posada_state *args, const void *buf,
			 const struct posada_rec_row *row,
			 const struct posada_rec *rec)
{
	args->bad_type = row->type;
	args->bad_offset = rec->data - buf - sizeof(struct posada_record);
	args->bad_index = rec->bad_index;
}

/* REGS, SREGS and EVENTS, each of which may be good, may not be so together. */
static int posada_check_together(const struct posada_rec_row *rows, int nr,
				 void *object, const struct posada_rec *recs)
{
	struct posada_vcpu *vcpu = object;
	int r = posada_row_of(rows, nr, POSADA_REC_REGS);
	int s = posada_row_of(rows, nr, POSADA_REC_SREGS);
	int e = posada_row_of(rows, nr, POSADA_REC_EVENTS);

	/* A VM has none of them. */
	if (r < 0 || s < 0 || e < 0 ||
	    !(recs[r].data || recs[s].data || recs[e].data))
		return 0;
	return posada_check_mode(vcpu, recs[r].data ?: &vcpu->regs,
				 recs[s].data, recs[e].data);
}

static int posada_stream_apply(const struct posada_rec_row *rows, int nr,
			       void *object, void *buf,
			       struct posada_state *args)
{
	struct posada_rec recs[POSADA_MAX_RECS] = {};
	int r = posada_stream_cut(rows, nr, buf, recs, args);
	int i;

	for (i = 0; i < nr && !r; i++) {
		if (!recs[i].data)
			continue;
		r = rows[i].check(object, &recs[i]);
		if (r)
			posada_blame(args, buf, &rows[i], &recs[i]);
	}
	if (!r) {
		r = posada_check_together(rows, nr, object, recs);
		if (r)
			args->bad_type = POSADA_REC_REGS;
	}
	if (r || args->flags & POSADA_STATE_DRY_RUN)
		return r;
	for (i = 0; i < nr && !r; i++) {
		if (!recs[i].data)
			continue;
		r = rows[i].apply(object, &recs[i]);
		if (r)
			posada_blame(args, buf, &rows[i], &recs[i]);
	}
	return r;
}

static int posada_stream_write(const struct posada_rec_row *rows, int nr,
			       void *object, struct posada_state *args)
{
	void *buf;
	int r;

	if (args->bytes > POSADA_STATE_MAX)
		return -EINVAL;
	if (!args->bytes)
		return 0;
	buf = vmemdup_user(u64_to_user_ptr(args->buf), args->bytes);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	r = posada_stream_apply(rows, nr, object, buf, args);
	kvfree(buf);
	return r;
}

static int posada_stream(const struct posada_rec_row *rows, int nr,
			 void *object, struct posada_state *args)
{
	args->used = 0;
	args->bad_type = 0;
	args->bad_offset = 0;
	args->bad_index = 0;
	if (args->flags & POSADA_STATE_WRITE)
		return posada_stream_write(rows, nr, object, args);
	if (args->flags & POSADA_STATE_DRY_RUN)
		return -EINVAL;
	return posada_stream_read(rows, nr, object, args);
}

int posada_vm_state(struct posada_vm *vm, struct posada_state *args)
{
	return posada_stream(posada_vm_recs, ARRAY_SIZE(posada_vm_recs), vm,
			     args);
}

int posada_vcpu_state(struct posada_vcpu *vcpu, struct posada_state *args)
{
	return posada_stream(posada_vcpu_recs, ARRAY_SIZE(posada_vcpu_recs),
			     vcpu, args);
}
