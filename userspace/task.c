// SPDX-License-Identifier: GPL-2.0
/*
 * Task switches by the hardware, which Intel's CPUs leave to the hypervisor:
 * SDM volume 3, "Task Switching". Segmentation only; never in long mode.
 *
 * The CPU has checked the new TSS's descriptor before it exited. Here, in its
 * order:
 *   1. save the registers in the old TSS; mark descriptors busy or free
 *   2. read the new TSS; link it with the old one
 *   3. take its registers, with the selectors alone: the switch is done
 *   4. load what the selectors name; push the error code
 * A page fault in 1 and 2 is raised in the old task, before anything changed
 * that matters; any fault in 4 in the new one.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

#define X86_TS		10
#define X86_NP		11
#define X86_CR0_TS	BIT(3)
#define X86_FLAGS_NT	BIT(14)
#define X86_FLAGS_TASK	0x3f7fd5U	/* all that there are */
#define X86_DR6_BT	BIT(15)

#define SEL_RPL		3
#define SEL_LDT		4
#define SEL_INDEX	0xfff8
#define SEL_ERROR	0xfffc		/* of a selector in an error code */

#define TYPE_ACCESSED	0x1
#define TYPE_BUSY	0x2		/* of a TSS */
#define TYPE_WRITABLE	0x2		/* of data; code: readable */
#define TYPE_CONFORMING	0x4
#define TYPE_CODE	0x8
#define TYPE_TSS32	0x8		/* not a 16-bit one */
#define TYPE_LDT	0x2

#define NR_TASK_GPRS	8		/* EAX to EDI, in order */
#define NR_TASK_SEGS	6		/* ES to GS, in order */

/* Where a TSS has what: offsets; every register has @bytes. */
struct tss_layout {
	uint8_t bytes, cr3, ip, flags, gpr, seg, seg_stride, segs, ldt, trap;
	uint8_t size;
};

static const struct tss_layout tss32 = {
	.bytes = 4, .cr3 = 0x1c, .ip = 0x20, .flags = 0x24, .gpr = 0x28,
	.seg = 0x48, .seg_stride = 4, .segs = NR_TASK_SEGS, .ldt = 0x60,
	.trap = 0x64, .size = 0x68,
};
static const struct tss_layout tss16 = {
	.bytes = 2, .ip = 0x0e, .flags = 0x10, .gpr = 0x12,
	.seg = 0x22, .seg_stride = 2, .segs = 4, .ldt = 0x2a, .size = 0x2c,
};

#define TSS_MAX		0x68

struct task {
	struct posada_vcpu *vcpu;
	struct posada_run *run;
	uint32_t external;	/* EXT of error codes */
	struct posada_segment tss;	/* the new one */
	uint8_t image[TSS_MAX];	/* as it was read */
};

/* ---- faults and memory ---- */

/* Returns 1: it is injected; or -errno. */
static int fault(struct task *t, uint8_t vector, uint32_t error, uint64_t cr2)
{
	int ret = posada_inject_exception(t->vcpu, vector, error, cr2);

	return ret < 0 ? ret : 1;
}

static int fault_selector(struct task *t, uint8_t vector, uint16_t selector)
{
	return fault(t, vector, (selector & SEL_ERROR) | t->external, 0);
}

/* Linear memory, page by page. 0; 1: a page fault was injected; -errno. */
static int copy(struct task *t, uint64_t gva, void *data, uint32_t bytes,
		uint32_t access)
{
	uint8_t *at = data;
	uint32_t n, error;
	uint64_t gpa;
	int ret;

	for (; bytes; bytes -= n, at += n, gva += n) {
		gva &= 0xffffffffULL;
		n = POSADA_PAGE_SIZE - (gva & PAGE_MASK);
		if (n > bytes)
			n = bytes;
		if (walk(t->vcpu, gva, access | WALK_SET_AD, &gpa, &error))
			return fault(t, X86_PF, error, gva);
		ret = access & POSADA_ACCESS_WRITE ?
		      posada_write(t->vcpu->vm, gpa, at, n) :
		      posada_read(t->vcpu->vm, gpa, at, n);
		if (ret)
			return ret;
	}
	return 0;
}

static int get(struct task *t, uint64_t gva, void *data, uint32_t bytes)
{
	return copy(t, gva, data, bytes, POSADA_ACCESS_READ);
}

static int put(struct task *t, uint64_t gva, const void *data, uint32_t bytes)
{
	return copy(t, gva, (void *)data, bytes, POSADA_ACCESS_WRITE);
}

static uint32_t field(const uint8_t *image, uint8_t at, uint8_t bytes)
{
	uint32_t value = 0;

	memcpy(&value, image + at, bytes);
	return value;
}

static const struct tss_layout *layout(const struct posada_segment *tss)
{
	return tss->attr & TYPE_TSS32 ? &tss32 : &tss16;
}

/* ---- descriptors ---- */

/* Where the descriptor of @selector is. 0: beyond its table. */
static uint64_t descriptor_at(const struct posada_sregs *s, uint16_t selector)
{
	const struct posada_segment *ldt = &s->seg[POSADA_LDTR];
	uint32_t offset = selector & SEL_INDEX;

	if (!(selector & SEL_LDT))
		return offset + 7 <= s->gdt.limit ? s->gdt.base + offset : 0;
	if (ldt->attr & POSADA_SEG_UNUSABLE || offset + 7 > ldt->limit)
		return 0;
	return ldt->base + offset;
}

static void unpack(struct posada_segment *seg, uint64_t d)
{
	seg->base = (d >> 16 & 0xffffff) | (d >> 56 & 0xff) << 24;
	seg->limit = (d & 0xffff) | (d >> 32 & 0xf0000);
	seg->attr = (d >> 40 & 0xff) | (d >> 44 & 0xf00);
	if (seg->attr & POSADA_SEG_G)
		seg->limit = seg->limit << 12 | 0xfff;
}

/* Set and clear bits of a descriptor's type, in memory. */
static int retype(struct task *t, uint16_t selector, uint8_t set, uint8_t clear)
{
	uint64_t at = descriptor_at(&t->run->sregs, selector) + 5;
	uint8_t type;
	int ret = get(t, at, &type, 1);

	if (ret)
		return ret;
	type = (type & ~clear) | set;
	return put(t, at, &type, 1);
}

/* ---- 1 and 2: the two TSSs ---- */

static int read_new(struct task *t)
{
	const struct posada_exit_task *x = &t->run->task;
	uint64_t at = descriptor_at(&t->run->sregs, x->selector), d;
	int ret;

	if (!at || x->selector & SEL_LDT)
		return fault_selector(t, X86_TS, x->selector);
	ret = get(t, at, &d, sizeof(d));
	if (ret)
		return ret;
	unpack(&t->tss, d);
	t->tss.selector = x->selector;
	if (t->tss.limit < layout(&t->tss)->size - 1U)
		return fault_selector(t, X86_TS, x->selector);
	return get(t, t->tss.base, t->image, layout(&t->tss)->size);
}

static int save_old(struct task *t)
{
	const struct posada_segment *old = &t->run->sregs.seg[POSADA_TR];
	const struct tss_layout *l = layout(old);
	const struct posada_regs *r = &t->run->regs;
	uint32_t ip = r->rip + t->run->task.insn_len, flags = r->rflags;
	uint8_t image[TSS_MAX];
	int i, ret;

	if (t->run->task.source == POSADA_TASK_IRET)
		flags &= ~X86_FLAGS_NT;
	ret = get(t, old->base, image, l->size);
	if (ret)
		return ret;
	memcpy(image + l->ip, &ip, l->bytes);
	memcpy(image + l->flags, &flags, l->bytes);
	for (i = 0; i < NR_TASK_GPRS; i++)
		memcpy(image + l->gpr + i * l->bytes, &r->gpr[i], l->bytes);
	for (i = 0; i < l->segs; i++)
		memcpy(image + l->seg + i * l->seg_stride,
		       &t->run->sregs.seg[i].selector, 2);
	return put(t, old->base + l->ip, image + l->ip, l->ldt - l->ip);
}

static int link_tasks(struct task *t)
{
	uint8_t source = t->run->task.source;
	uint16_t old = t->run->sregs.seg[POSADA_TR].selector;
	int ret = 0;

	if (source == POSADA_TASK_JMP || source == POSADA_TASK_IRET)
		ret = retype(t, old, 0, TYPE_BUSY);
	else
		ret = put(t, t->tss.base, &old, sizeof(old));
	if (!ret && source != POSADA_TASK_IRET)
		ret = retype(t, t->tss.selector, TYPE_BUSY, 0);
	return ret;
}

/* ---- 3: the registers ---- */

static void take_registers(struct task *t)
{
	const struct tss_layout *l = layout(&t->tss);
	struct posada_sregs *s = &t->run->sregs;
	struct posada_regs *r = &t->run->regs;
	int i;

	r->rip = field(t->image, l->ip, l->bytes);
	r->rflags = (field(t->image, l->flags, l->bytes) & X86_FLAGS_TASK) | 2;
	if (t->run->task.source == POSADA_TASK_CALL ||
	    t->run->task.source == POSADA_TASK_GATE)
		r->rflags |= X86_FLAGS_NT;
	for (i = 0; i < NR_TASK_GPRS; i++)
		r->gpr[i] = field(t->image, l->gpr + i * l->bytes, l->bytes);
	/* Of a register that has not been loaded, the hidden part is the old. */
	for (i = 0; i < NR_TASK_SEGS; i++)
		s->seg[i].selector = i < l->segs ?
			field(t->image, l->seg + i * l->seg_stride, 2) : 0;
	s->seg[POSADA_LDTR] = (struct posada_segment){
		.selector = field(t->image, l->ldt, 2),
		.attr = POSADA_SEG_UNUSABLE,
	};
	s->seg[POSADA_TR] = t->tss;
	s->seg[POSADA_TR].attr |= TYPE_BUSY;
	if (l->cr3 && s->cr0 & X86_CR0_PG)
		s->cr3 = field(t->image, l->cr3, 4);
	s->cr0 |= X86_CR0_TS;
	t->run->dirty |= POSADA_GROUP_REGS | POSADA_GROUP_SREGS;
}

/* ---- 4: the segments ---- */

static int load_ldt(struct task *t)
{
	struct posada_segment *ldt = &t->run->sregs.seg[POSADA_LDTR], seg;
	uint16_t selector = ldt->selector;
	uint64_t at = descriptor_at(&t->run->sregs, selector), d;
	int ret;

	if (!(selector & SEL_ERROR))
		return 0;
	if (selector & SEL_LDT || !at)
		return fault_selector(t, X86_TS, selector);
	ret = get(t, at, &d, sizeof(d));
	if (ret)
		return ret;
	unpack(&seg, d);
	if ((seg.attr & (POSADA_SEG_S | POSADA_SEG_TYPE)) != TYPE_LDT ||
	    !(seg.attr & POSADA_SEG_P))
		return fault_selector(t, X86_TS, selector);
	seg.selector = selector;
	*ldt = seg;
	return 0;
}

/* May register @i hold this segment, at the CPL that CS's RPL is? */
static bool segment_fits(int i, uint16_t selector, uint16_t attr, uint8_t cpl)
{
	uint8_t dpl = (attr & POSADA_SEG_DPL) >> POSADA_SEG_DPL_SHIFT;
	uint8_t rpl = selector & SEL_RPL;
	bool code = attr & TYPE_CODE, conforming = code && attr & TYPE_CONFORMING;

	if (!(attr & POSADA_SEG_S))
		return false;
	if (i == POSADA_CS)
		return code && (conforming ? dpl <= rpl : dpl == rpl);
	if (i == POSADA_SS)
		return !code && attr & TYPE_WRITABLE && rpl == cpl && dpl == cpl;
	if (code && !(attr & TYPE_WRITABLE))
		return false;
	return conforming || (dpl >= cpl && dpl >= rpl);
}

static int load_segment(struct task *t, int i)
{
	struct posada_segment *s = &t->run->sregs.seg[i], seg;
	uint64_t at = descriptor_at(&t->run->sregs, s->selector), d;
	bool null = !(s->selector & SEL_ERROR);
	int ret;

	if (null && i != POSADA_CS && i != POSADA_SS) {
		s->attr = POSADA_SEG_UNUSABLE;
		return 0;
	}
	if (null || !at)
		return fault_selector(t, X86_TS, s->selector);
	ret = get(t, at, &d, sizeof(d));
	if (ret)
		return ret;
	unpack(&seg, d);
	if (!segment_fits(i, s->selector, seg.attr, t->run->sregs.cpl))
		return fault_selector(t, X86_TS, s->selector);
	if (!(seg.attr & POSADA_SEG_P))
		return fault_selector(t, i == POSADA_SS ? X86_SS : X86_NP,
				      s->selector);
	ret = seg.attr & TYPE_ACCESSED ? 0 :
	      retype(t, s->selector, TYPE_ACCESSED, 0);
	if (ret)
		return ret;
	seg.attr |= TYPE_ACCESSED;
	seg.selector = s->selector;
	*s = seg;
	return 0;
}

/* SS has to be of CS's privilege, whatever becomes of loading it. */
static void set_cpl(struct posada_sregs *s, uint8_t cpl)
{
	s->cpl = cpl;
	s->seg[POSADA_SS].attr &= ~POSADA_SEG_DPL;
	s->seg[POSADA_SS].attr |= cpl << POSADA_SEG_DPL_SHIFT;
}

static void load_v8086(struct posada_sregs *s)
{
	int i;

	for (i = 0; i < NR_TASK_SEGS; i++) {
		s->seg[i].base = (uint64_t)s->seg[i].selector << 4;
		s->seg[i].limit = 0xffff;
		s->seg[i].attr = POSADA_SEG_P | POSADA_SEG_DPL | POSADA_SEG_S |
				 TYPE_WRITABLE | TYPE_ACCESSED;
	}
	s->cpl = 3;
}

static int load_segments(struct task *t)
{
	static const uint8_t order[] = {
		POSADA_SS, POSADA_DS, POSADA_ES, POSADA_FS, POSADA_GS,
	};
	struct posada_sregs *s = &t->run->sregs;
	int ret = load_ldt(t);
	unsigned int i;

	if (ret)
		return ret;
	if (t->run->regs.rflags & X86_FLAGS_VM) {
		load_v8086(s);
		return 0;
	}
	ret = load_segment(t, POSADA_CS);
	if (!ret)
		set_cpl(s, s->seg[POSADA_CS].selector & SEL_RPL);
	for (i = 0; !ret && i < ARRAY_SIZE(order); i++)
		ret = load_segment(t, order[i]);
	return ret;
}

/* An exception's error code, on the new task's stack. */
static int push_error(struct task *t)
{
	const struct posada_segment *ss = &t->run->sregs.seg[POSADA_SS];
	uint32_t bytes = layout(&t->tss)->bytes;
	uint32_t mask = ss->attr & POSADA_SEG_DB ? 0xffffffffU : 0xffffU;
	__u64 *rsp = &t->run->regs.gpr[POSADA_RSP];
	uint32_t sp = (*rsp - bytes) & mask;
	uint32_t user = t->run->sregs.cpl == 3 ? POSADA_ACCESS_USER : 0;
	int ret;

	if (!(ss->attr & TYPE_CONFORMING /* expand down */) &&
	    (uint64_t)sp + bytes - 1 > ss->limit)
		return fault(t, X86_SS, t->external, 0);
	ret = copy(t, ss->base + sp, &t->run->task.error_code, bytes,
		   POSADA_ACCESS_WRITE | user);
	if (!ret)
		*rsp = (*rsp & ~(uint64_t)mask) | sp;
	return ret;
}

/* ---- all of it ---- */

static int arrive(struct task *t)
{
	const struct tss_layout *l = layout(&t->tss);
	int ret = load_segments(t);

	if (!ret && t->run->task.flags & POSADA_TASK_ERROR)
		ret = push_error(t);
	if (!ret && t->run->regs.rip > t->run->sregs.seg[POSADA_CS].limit)
		ret = fault(t, X86_GP, 0, 0);
	if (!ret && l->trap && t->image[l->trap] & 1)
		ret = posada_inject_exception(t->vcpu, X86_DB, -1, X86_DR6_BT);
	return ret;
}

int posada_complete_task(struct posada_vcpu *vcpu)
{
	struct task t = { .vcpu = vcpu, .run = vcpu->run };
	const struct posada_exit_task *x = &vcpu->run->task;
	int ret;

	/* What no instruction caused came from outside. */
	t.external = x->source == POSADA_TASK_GATE && !x->insn_len;
	ret = read_new(&t);
	if (!ret)
		ret = save_old(&t);
	if (!ret)
		ret = link_tasks(&t);
	if (!ret) {
		take_registers(&t);
		ret = arrive(&t);
	}
	return ret < 0 ? ret : 0;
}
