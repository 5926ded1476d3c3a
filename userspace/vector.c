// SPDX-License-Identifier: GPL-2.0
/*
 * Moves between memory and vector registers, which live in the XSAVE record.
 *
 * In the standard format, from the start of the area:
 *	  160  XMM0-15, 16 bytes each (component 1)
 *	  512  XSTATE_BV: which components are there; others are in their
 *	       initial state, zero for all that matter here
 *	  by CPUID 0xd: the upper halves of YMM0-15 (2), of ZMM0-15 (6),
 *	  all of ZMM16-31 (7), PKRU (9)
 */
#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "internal.h"

#define XMM_OFFSET	160
#define BV_OFFSET	512
#define HEADER_END	576
#define CPUID_XSTATE	0xd

enum { X_SSE = 1, X_YMM = 2, X_ZMM = 6, X_HI16 = 7, X_PKRU = 9 };

struct area {
	struct posada_stream s;
	uint8_t *data;
	uint32_t bytes;
};

/* A register's bytes [at, at + bytes) are in one component at @offset. */
struct part {
	uint8_t component;
	uint8_t at;
	uint8_t bytes;
	uint32_t offset;
};

static int area_load(struct posada_vcpu *vcpu, struct area *a)
{
	uint32_t bytes;
	uint8_t *rec;
	int ret;

	memset(a, 0, sizeof(*a));
	ret = posada_vcpu_load(vcpu, 1ULL << POSADA_REC_XSAVE, &a->s);
	if (ret)
		return ret;
	rec = posada_stream_find(&a->s, POSADA_REC_XSAVE, &bytes);
	if (!rec || bytes < sizeof(struct posada_rec_xsave) + HEADER_END) {
		posada_stream_free(&a->s);
		return -EIO;
	}
	a->data = rec + sizeof(struct posada_rec_xsave);
	a->bytes = bytes - sizeof(struct posada_rec_xsave);
	return 0;
}

static uint32_t component_offset(uint8_t component)
{
	uint32_t eax, ebx, ecx, edx;

	if (component == X_SSE)
		return XMM_OFFSET;
	if (!__get_cpuid_count(CPUID_XSTATE, component, &eax, &ebx, &ecx, &edx))
		return 0;
	return ebx;
}

/* The parts of a register; -> how many. */
static int register_parts(uint8_t reg, struct part *p)
{
	if (reg >= 16) {
		p[0] = (struct part){ X_HI16, 0, 64, 64U * (reg - 16) };
		return 1;
	}
	p[0] = (struct part){ X_SSE, 0, 16, 16U * reg };
	p[1] = (struct part){ X_YMM, 16, 16, 16U * reg };
	p[2] = (struct part){ X_ZMM, 32, 32, 32U * reg };
	return 3;
}

/* Where a part is; NULL if this host has no such component. */
static uint8_t *part_at(struct area *a, const struct part *p)
{
	uint32_t offset = component_offset(p->component);

	if (!offset || offset + p->offset + p->bytes > a->bytes)
		return NULL;
	return a->data + offset + p->offset;
}

static uint64_t get_bv(const struct area *a)
{
	uint64_t bv;

	memcpy(&bv, a->data + BV_OFFSET, sizeof(bv));
	return bv;
}

int vec_read(struct posada_vcpu *vcpu, uint8_t reg, void *data, uint32_t bytes)
{
	uint8_t value[64] = { 0 }, *at;
	struct part parts[3];
	struct area a;
	int i, n, ret;

	ret = area_load(vcpu, &a);
	if (ret)
		return ret;
	n = register_parts(reg, parts);
	for (i = 0; i < n; i++) {
		at = part_at(&a, &parts[i]);
		if (at && get_bv(&a) & BIT(parts[i].component))
			memcpy(value + parts[i].at, at, parts[i].bytes);
	}
	memcpy(data, value, bytes);
	posada_stream_free(&a.s);
	return 0;
}

/* A component that comes to life has zeroes for its other registers. */
static void wake_component(struct area *a, uint8_t component)
{
	static const uint16_t sizes[] = {
		[X_SSE] = 256, [X_YMM] = 256, [X_ZMM] = 512, [X_HI16] = 1024,
	};
	uint64_t bv = get_bv(a);
	struct part whole = { .component = component };
	uint8_t *at = part_at(a, &whole);

	if (bv & BIT(component) || !at)
		return;
	if ((size_t)(a->data + a->bytes - at) >= sizes[component])
		memset(at, 0, sizes[component]);
	bv |= BIT(component);
	memcpy(a->data + BV_OFFSET, &bv, sizeof(bv));
}

static int write_part(struct area *a, const struct part *p,
		      const uint8_t *value, uint32_t bytes, bool clear_upper)
{
	uint32_t n = bytes > p->at ? bytes - p->at : 0;
	uint8_t *at = part_at(a, p);

	if (!n && !clear_upper)
		return 0;
	if (!at)
		return n ? -EOPNOTSUPP : 0;
	/* Clearing what is in its initial state needs nothing. */
	if (!n && !(get_bv(a) & BIT(p->component)))
		return 0;
	wake_component(a, p->component);
	if (n > p->bytes)
		n = p->bytes;
	memcpy(at, value + p->at, n);
	if (clear_upper)
		memset(at + n, 0, p->bytes - n);
	return 0;
}

int vec_write(struct posada_vcpu *vcpu, uint8_t reg, const void *data,
	      uint32_t bytes, bool clear_upper)
{
	struct part parts[3];
	struct area a;
	int i, n, ret;

	ret = area_load(vcpu, &a);
	if (ret)
		return ret;
	n = register_parts(reg, parts);
	for (i = 0; i < n && !ret; i++)
		ret = write_part(&a, &parts[i], data, bytes, clear_upper);
	if (!ret)
		ret = posada_vcpu_store(vcpu, &a.s, false);
	posada_stream_free(&a.s);
	return ret;
}

int pkru_read(struct posada_vcpu *vcpu, uint32_t *pkru)
{
	struct part p = { .component = X_PKRU, .bytes = 4 };
	struct area a;
	uint8_t *at;
	int ret;

	ret = area_load(vcpu, &a);
	if (ret)
		return ret;
	*pkru = 0;
	at = part_at(&a, &p);
	if (at && get_bv(&a) & BIT(X_PKRU))
		memcpy(pkru, at, sizeof(*pkru));
	posada_stream_free(&a.s);
	return 0;
}

/* SSE loads of less than 16 bytes clear the register up to bit 127, AVX ones
 * all of it.
 */
static int load_vector(struct job *j, const uint8_t *value)
{
	const struct insn *in = j->in;
	uint8_t low[16] = { 0 };

	if (in->vex || in->mem_bytes >= 16)
		return vec_write(j->vcpu, in->reg, value, in->mem_bytes,
				 in->vex);
	memcpy(low, value, in->mem_bytes);
	return vec_write(j->vcpu, in->reg, low, sizeof(low), false);
}

int do_vmov(struct job *j)
{
	const struct insn *in = j->in;
	uint8_t value[OPERAND_MAX];
	struct operand op;
	int ret;

	if (in->arg && effective_address(j) & (in->mem_bytes - 1U))
		return raise_fault(j, X86_GP, 0, 0);
	ret = resolve_mem(j, in->mem_dst ? ACC_WRITE : ACC_READ, &op);
	if (ret)
		return ret;
	if (in->mem_dst) {
		ret = vec_read(j->vcpu, in->reg, value, in->mem_bytes);
		return ret ? ret : operand_write(j, &op, value);
	}
	ret = operand_read(j, &op, value);
	return ret ? ret : load_vector(j, value);
}
