// SPDX-License-Identifier: GPL-2.0
/*
 * The guest learns that it is not the only one that remembers what it does, or
 * that time has passed: it was restored, cloned, or put back. A guest that asked
 * for it (POSADA_MSR_GENERATION) finds an id that nobody had before, entropy
 * that its clones don't have, and how far the clock stepped, in its memory
 * before it runs again; an NMI, which nothing holds up, says so.
 */
#include <linux/ktime.h>
#include <linux/random.h>
#include <linux/string.h>
#include "../uapi/posada_hypercall.h"
#include "posada.h"

static_assert(sizeof(struct posada_generation) == 128);
static_assert(offsetof(struct posada_generation, entropy) == 24);

void posada_generation_init(struct posada_vm *vm)
{
	get_random_bytes(vm->generation, sizeof(vm->generation));
}

/*
 * Other vCPUs may run when a vCPU asks for its first: the sequence is odd while
 * the rest is not whole.
 */
static int write_event(struct posada_vm *vm, u64 gpa, s64 step_ns)
{
	u32 sequence = 2 * READ_ONCE(vm->generation_events);
	struct posada_generation g = {
		.sequence = sequence | 1, .step_ns = step_ns,
		.real_ns = ktime_get_real_ns(),
	};
	int r;

	memcpy(g.id, vm->generation, sizeof(g.id));
	get_random_bytes(g.entropy, sizeof(g.entropy));
	r = posada_gpa_write(vm, gpa, &g, sizeof(g));
	if (!r)
		r = posada_gpa_write(vm, gpa, &sequence, sizeof(sequence));
	memzero_explicit(&g, sizeof(g));
	return r;
}

int posada_generation_msr(struct posada_vcpu *vcpu, u64 value)
{
	int r = 0;

	if (value & POSADA_MSR_HC_ENABLE)
		r = write_event(vcpu->vm, value & ~POSADA_MSR_HC_ENABLE, 0);
	if (!r)
		WRITE_ONCE(vcpu->msrs.generation, value);
	return r;
}

static bool tell(struct posada_vcpu *vcpu, s64 step_ns)
{
	u64 msr = READ_ONCE(vcpu->msrs.generation);

	if (!(msr & POSADA_MSR_HC_ENABLE))
		return false;
	/* The guest took its page away: there is nobody to tell. */
	if (write_event(vcpu->vm, msr & ~POSADA_MSR_HC_ENABLE, step_ns))
		return false;
	atomic_add_unless(&vcpu->nmi_pending, 1, 2);
	posada_request(vcpu, POSADA_REQ_EVENT);
	return true;
}

int posada_generation_tell(struct posada_vm *vm,
			   struct posada_generation_set *args)
{
	struct posada_vcpu *vcpu;
	int i, told = 0;

	if (memchr_inv(args->id, 0, sizeof(args->id)))
		memcpy(vm->generation, args->id, sizeof(vm->generation));
	else
		get_random_bytes(vm->generation, sizeof(vm->generation));
	WRITE_ONCE(vm->generation_events, vm->generation_events + 1);
	posada_for_each_vcpu(i, vcpu, vm)
		told += tell(vcpu, args->step_ns);
	memcpy(args->id, vm->generation, sizeof(args->id));
	return told;
}
