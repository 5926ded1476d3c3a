// SPDX-License-Identifier: GPL-2.0
/*
 * One operand in memory: effective address, segment, pages, then the bytes.
 *
 * The fast way: hardware has checked segment and page tables for the access
 * that exited and says its gpa. So an operand that lies in one page, and is
 * the instruction's only one, needs no walk.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

int raise_fault(struct job *j, uint8_t vector, uint32_t error_code,
		uint64_t payload)
{
	j->fault = (struct posada_inject){
		.size = sizeof(j->fault),
		.flags = POSADA_INJECT_ERROR_CODE,
		.kind = POSADA_INJECT_EXCEPTION,
		.vector = vector,
		.error_code = error_code,
		.payload = payload,
	};
	return JOB_FAULT;
}

/* ---- registers ---- */

uint64_t reg_read(const struct job *j, uint8_t reg, uint8_t shift,
		  uint32_t bytes)
{
	return j->run->regs.gpr[reg & 15] >> shift & size_mask(bytes);
}

/* A 32-bit write clears the upper half, narrower ones keep the rest. */
void reg_write(struct job *j, uint8_t reg, uint8_t shift, uint32_t bytes,
	       uint64_t value)
{
	__u64 *r = &j->run->regs.gpr[reg & 15];
	uint64_t mask = size_mask(bytes);

	if (bytes >= 4)
		*r = value & mask;
	else
		*r = (*r & ~(mask << shift)) | (value & mask) << shift;
}

/* ---- addresses ---- */

uint64_t effective_address(const struct job *j)
{
	const struct insn *in = j->in;
	const __u64 *gpr = j->run->regs.gpr;
	uint64_t ea = (uint64_t)in->disp;

	if (in->base == REG_RIP)
		ea += j->run->regs.rip + in->len;
	else if (in->base != REG_NONE)
		ea += gpr[in->base];
	if (in->index != REG_NONE)
		ea += gpr[in->index] << in->scale;
	return ea & size_mask(in->addr_bytes);
}

int canonical(const struct job *j, uint64_t address)
{
	unsigned int spare = j->run->sregs.cr4 & X86_CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(address << spare) >> spare) == address;
}

static uint64_t linear(const struct job *j, uint8_t seg, uint64_t ea)
{
	uint64_t base = j->run->sregs.seg[seg].base;

	if (!j->long_mode)
		return (ea + base) & 0xffffffffULL;
	return seg == POSADA_FS || seg == POSADA_GS ? ea + base : ea;
}

static int segment_fault(struct job *j, uint8_t seg)
{
	return raise_fault(j, seg == POSADA_SS ? X86_SS : X86_GP, 0, 0);
}

/* Type and limit of a legacy segment. Real-mode and VM86 segments carry
 * attributes that pass.
 */
static int check_segment(struct job *j, uint8_t seg, uint64_t ea,
			 uint32_t bytes, uint32_t access)
{
	const struct posada_segment *s = &j->run->sregs.seg[seg];
	bool code = s->attr & 8, rw = s->attr & 2, down = !code && s->attr & 4;
	bool protected = j->run->sregs.cr0 & X86_CR0_PE &&
			 !(j->run->regs.rflags & X86_FLAGS_VM);
	uint64_t last = ea + bytes - 1;

	if (protected && (s->attr & POSADA_SEG_UNUSABLE ||
			  !(s->attr & POSADA_SEG_P)))
		return segment_fault(j, seg);
	if (protected && access & ACC_WRITE && (code || !rw))
		return segment_fault(j, seg);
	if (protected && !(access & ACC_WRITE) && code && !rw)
		return segment_fault(j, seg);
	if (down) {
		uint64_t top = s->attr & POSADA_SEG_DB ? 0xffffffffU : 0xffffU;

		if (ea <= s->limit || last > top)
			return segment_fault(j, seg);
	} else if (last > s->limit) {
		return segment_fault(j, seg);
	}
	return 0;
}

static int check_address(struct job *j, uint8_t seg, uint64_t ea,
			 uint32_t bytes, uint32_t access)
{
	const struct posada_sregs *s = &j->run->sregs;
	uint64_t gva = linear(j, seg, ea);
	int ret = 0;

	if (!j->long_mode)
		ret = check_segment(j, seg, ea, bytes, access);
	else if (!canonical(j, gva) || !canonical(j, gva + bytes - 1))
		ret = segment_fault(j, seg);
	if (ret)
		return ret;
	if (s->cpl == 3 && s->cr0 & X86_CR0_AM &&
	    j->run->regs.rflags & X86_FLAGS_AC && bytes <= 8 &&
	    gva & (bytes - 1))
		return raise_fault(j, X86_AC, 0, 0);
	return 0;
}

static int resolve_page(struct job *j, uint64_t gva, uint32_t access,
			uint64_t *gpa)
{
	uint32_t error;

	access |= WALK_SET_AD;
	if (j->run->sregs.cpl == 3)
		access |= POSADA_ACCESS_USER;
	if (walk(j->vcpu, gva, access, gpa, &error))
		return raise_fault(j, X86_PF, error, gva);
	return 0;
}

/* Resolve with all checks: for any operand, also one that did not exit. */
int resolve(struct job *j, uint8_t seg, uint64_t ea, uint32_t bytes,
	    uint32_t access, struct operand *op)
{
	uint64_t gva = linear(j, seg, ea);
	uint32_t first = POSADA_PAGE_SIZE - (gva & PAGE_MASK);
	int ret;

	ret = check_address(j, seg, ea, bytes, access);
	if (ret)
		return ret;
	op->device = false;
	op->len[0] = bytes < first ? bytes : first;
	op->len[1] = bytes - op->len[0];
	ret = resolve_page(j, gva, access, &op->gpa[0]);
	if (ret || !op->len[1])
		return ret;
	gva += op->len[0];
	if (!j->long_mode)
		gva &= 0xffffffffULL;
	return resolve_page(j, gva, access, &op->gpa[1]);
}

/* Resolve the instruction's ModRM operand, by the exit's gpa if it may be. */
int resolve_mem(struct job *j, uint32_t access, struct operand *op)
{
	const struct insn *in = j->in;
	uint64_t ea = effective_address(j);
	uint32_t offset = linear(j, in->seg, ea) & PAGE_MASK;

	if (!j->hint || offset + in->mem_bytes > POSADA_PAGE_SIZE ||
	    (access & ACC_WRITE && !j->hint_write))
		return resolve(j, in->seg, ea, in->mem_bytes, access, op);
	op->gpa[0] = (j->exit_gpa & ~PAGE_MASK) | offset;
	op->len[0] = in->mem_bytes;
	op->len[1] = 0;
	op->device = true;
	return 0;
}

/* ---- the bytes ---- */

/* Cut @len bytes into accesses that a device can understand. */
static int device_access(struct job *j, uint64_t gpa, uint8_t *data,
			 uint32_t len, bool write)
{
	uint32_t n;
	int ret;

	while (len) {
		for (n = 8; n > len; n >>= 1)
			;
		ret = j->mmio(j->ctx, gpa, data, n, write);
		if (ret)
			return ret;
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

static int piece_access(struct job *j, const struct operand *op, int i,
			uint8_t *data, bool write)
{
	int ret = -EFAULT;

	if (!op->device)
		ret = write ? posada_write(j->vcpu->vm, op->gpa[i], data,
					   op->len[i])
			    : posada_read(j->vcpu->vm, op->gpa[i], data,
					  op->len[i]);
	/* In no slot, or in a read-only one: the device's. */
	if (ret)
		ret = device_access(j, op->gpa[i], data, op->len[i], write);
	return ret;
}

/* What nearly every exit is: one access of a device, of a natural width. */
static bool is_simple(const struct operand *op)
{
	uint32_t n = op->len[0];

	return op->device && !op->len[1] && n <= 8 && !(n & (n - 1));
}

int operand_read(struct job *j, const struct operand *op, void *data)
{
	int ret;

	if (is_simple(op))
		return j->mmio(j->ctx, op->gpa[0], data, op->len[0], false);
	ret = piece_access(j, op, 0, data, false);
	if (ret || !op->len[1])
		return ret;
	return piece_access(j, op, 1, (uint8_t *)data + op->len[0], false);
}

int operand_write(struct job *j, const struct operand *op, const void *data)
{
	uint8_t *bytes = (uint8_t *)data;
	int ret;

	if (is_simple(op))
		return j->mmio(j->ctx, op->gpa[0], bytes, op->len[0], true);
	ret = piece_access(j, op, 0, bytes, true);
	if (ret || !op->len[1])
		return ret;
	return piece_access(j, op, 1, bytes + op->len[0], true);
}
