// SPDX-License-Identifier: GPL-2.0
/*
 * Requests: how any layer makes a vCPU, all of a VM, or all there are, do
 * something before they run guest code again. run.c is who answers them.
 */
#include <linux/cpumask.h>
#include <linux/smp.h>
#include "compat.h"
#include "posada.h"

/* ---- one vCPU ---- */

void posada_kick(struct posada_vcpu *vcpu)
{
	int cpu;

	rcuwait_wake_up(&vcpu->wait);
	/* Pairs with the barrier in posada_enter_once(). */
	smp_mb();
	if (READ_ONCE(vcpu->mode) != POSADA_IN_GUEST)
		return;
	/* Loaded elsewhere meanwhile, it looks at its requests there. */
	cpu = READ_ONCE(vcpu->cpu);
	preempt_disable();
	if (cpu >= 0 && cpu != smp_processor_id())
		smp_send_reschedule(cpu);
	preempt_enable();
}

void posada_request(struct posada_vcpu *vcpu, int req)
{
	set_bit(req, &vcpu->requests);
	posada_kick(vcpu);
}

/* ---- all of a VM ---- */

static void posada_ack_flush(void *unused)
{
}

void posada_flush_vm(struct posada_vm *vm)
{
	struct posada_vcpu *vcpu;
	cpumask_var_t mask;
	bool all = !zalloc_cpumask_var(&mask, GFP_ATOMIC);
	int i, cpu;

	preempt_disable();
	posada_for_each_vcpu(i, vcpu, vm) {
		set_bit(POSADA_REQ_FLUSH, &vcpu->requests);
		/* Pairs with the barrier in posada_enter_once(). */
		smp_mb__after_atomic();
		cpu = READ_ONCE(vcpu->cpu);
		if (!all && READ_ONCE(vcpu->mode) == POSADA_IN_GUEST &&
		    cpu >= 0)
			cpumask_set_cpu(cpu, mask);
	}
	/* Once the IPI is answered the guest was left, or not entered. */
	smp_call_function_many(all ? cpu_online_mask : mask, posada_ack_flush,
			       NULL, true);
	preempt_enable();
	if (!all)
		free_cpumask_var(mask);
}

static void posada_kill_vm(struct posada_vm *vm, u32 vcpu, u32 reason,
			   u64 info0, u64 info1)
{
	static DEFINE_SPINLOCK(killing);
	struct posada_vcpu *other;
	int i;

	spin_lock(&killing);
	if (!vm->killed) {
		vm->killing.reason = reason;
		vm->killing.vcpu = vcpu;
		vm->killing.info[0] = info0;
		vm->killing.info[1] = info1;
		/* Pairs with the acquire in posada_report_kill(). */
		smp_store_release(&vm->killed, reason);
	}
	spin_unlock(&killing);
	posada_for_each_vcpu(i, other, vm)
		posada_request(other, POSADA_REQ_KILLED);
}

int posada_kill(struct posada_vcpu *vcpu, u32 reason, u64 info0, u64 info1)
{
	posada_kill_vm(vcpu->vm, vcpu->id, reason, info0, info1);
	return 1;	/* the request ends the loop */
}

/* ---- all VMs ---- */

static LIST_HEAD(posada_vms);		/* by posada_vms_lock */
static DEFINE_MUTEX(posada_vms_lock);
static unsigned int posada_nr_vms;	/* by posada_vms_lock */

/* Count the VM in, unless there are enough. */
int posada_vms_add(struct posada_vm *vm)
{
	int r = 0;

	mutex_lock(&posada_vms_lock);
	if (posada_max_vms && posada_nr_vms >= posada_max_vms) {
		r = -ENOSPC;
	} else {
		posada_nr_vms++;
		list_add(&vm->list, &posada_vms);
	}
	mutex_unlock(&posada_vms_lock);
	return r;
}

void posada_vms_del(struct posada_vm *vm)
{
	mutex_lock(&posada_vms_lock);
	list_del(&vm->list);
	posada_nr_vms--;
	mutex_unlock(&posada_vms_lock);
}

void posada_request_all(int req)
{
	struct posada_vcpu *vcpu;
	struct posada_vm *vm;
	int i;

	mutex_lock(&posada_vms_lock);
	list_for_each_entry(vm, &posada_vms, list)
		posada_for_each_vcpu(i, vcpu, vm)
			posada_request(vcpu, req);
	mutex_unlock(&posada_vms_lock);
}

void posada_kill_all(u32 reason)
{
	struct posada_vm *vm;

	mutex_lock(&posada_vms_lock);
	list_for_each_entry(vm, &posada_vms, list)
		posada_kill_vm(vm, 0, reason, 0, 0);
	mutex_unlock(&posada_vms_lock);
}
