// SPDX-License-Identifier: GPL-2.0
/* A vCPU's thread: run the guest, serve its exits by a table. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "gdb.h"
#include "ioapic.h"
#include "machine.h"
#include "posada_hypercall.h"

/* -> 0: run on; 1: the machine is stopping. */
typedef int (*exit_fn)(struct vcpu_thread *t, struct posada_run *run);

static int port_access(void *ctx, uint16_t port, void *data, unsigned int len,
		       bool write)
{
	struct vcpu_thread *t = ctx;

	bus_access(&t->m->ports, port, data, len, write);
	return 0;
}

static int mmio_access(void *ctx, uint64_t gpa, void *data, unsigned int len,
		       bool write)
{
	struct vcpu_thread *t = ctx;
	int vector;

	if ((gpa & ~(uint64_t)(POSADA_PAGE_SIZE - 1)) != POSADA_APIC_BASE) {
		bus_access(&t->m->mmio, gpa, data, len, write);
		return 0;
	}
	vector = posada_apic_access(t->vcpu, gpa, data, len, write);
	if (vector > 0)
		ioapic_eoi(t->m->ioapic, (uint8_t)vector);
	return vector < 0 ? vector : 0;
}

static int death(struct vcpu_thread *t, const char *why)
{
	gdb_death(t);
	machine_stop(t->m, STATUS_FAILED, dump_death(t->m, t->vcpu, why));
	return 1;
}

static int on_port(struct vcpu_thread *t, struct posada_run *run)
{
	int ret;

	if (gdb_port_exit(t, run))
		return 0;
	ret = posada_complete_port(t->vcpu, port_access, mmio_access, t);
	return ret ? death(t, "an INS or OUTS that cannot be completed") : 0;
}

static int on_memory(struct vcpu_thread *t, struct posada_run *run)
{
	int ret = posada_complete_memory(t->vcpu, mmio_access, t);

	if (!ret)
		return 0;
	if (run->memory.flags & POSADA_MEM_EXEC)
		return death(t, "it executes where there is no memory");
	if (ret == -EFAULT)
		return death(t, "the host cannot give it its memory");
	return death(t, "an access to a device that cannot be completed");
}

static int on_task(struct vcpu_thread *t, struct posada_run *run)
{
	(void)run;
	return posada_complete_task(t->vcpu) ?
	       death(t, "a task switch that cannot be completed") : 0;
}

/* Without POSADA_VM_MSR_EXITS there are none; be safe and fault. */
static int on_msr(struct vcpu_thread *t, struct posada_run *run)
{
	(void)t;
	run->msr.error = 1;
	return 0;
}

/* None of the calls that are the VMM's own is in use. */
static int on_hypercall(struct vcpu_thread *t, struct posada_run *run)
{
	(void)t;
	run->hypercall.ret = (uint64_t)-(int64_t)POSADA_ENOSYS;
	return 0;
}

static int on_eoi(struct vcpu_thread *t, struct posada_run *run)
{
	ioapic_eoi(t->m->ioapic, (uint8_t)run->eoi.vector);
	return 0;
}

static int on_nothing(struct vcpu_thread *t, struct posada_run *run)
{
	(void)t;
	(void)run;
	return 0;
}

static int on_debug(struct vcpu_thread *t, struct posada_run *run)
{
	gdb_debug_exit(t, run);
	return 0;
}

static int on_shutdown(struct vcpu_thread *t, struct posada_run *run)
{
	(void)run;
	return death(t, "triple fault");
}

static int on_system(struct vcpu_thread *t, struct posada_run *run)
{
	return !calls_serve(t->m->calls, &run->system);
}

/* Every vCPU of a killed VM gets this; the one to blame is named. */
static int on_killed(struct vcpu_thread *t, struct posada_run *run)
{
	const struct posada_exit_killed *k = &run->killed;
	unsigned int i;
	char *why;

	why = xasprintf("killed: %s, info 0x%llx 0x%llx",
			posada_kill_name(k->reason),
			(unsigned long long)k->info[0],
			(unsigned long long)k->info[1]);
	for (i = 0; i < t->m->nr_cpus; i++)
		if (posada_vcpu_id(t->m->cpu[i].vcpu) == k->vcpu)
			t = &t->m->cpu[i];
	death(t, why);
	free(why);
	return 1;
}

static const exit_fn exits[POSADA_NR_EXITS] = {
	[POSADA_EXIT_NONE]	= on_nothing,
	[POSADA_EXIT_PORT]	= on_port,
	[POSADA_EXIT_MEMORY]	= on_memory,
	[POSADA_EXIT_MSR]	= on_msr,
	[POSADA_EXIT_HYPERCALL]	= on_hypercall,
	[POSADA_EXIT_EOI]	= on_eoi,
	[POSADA_EXIT_WINDOW]	= on_nothing,
	[POSADA_EXIT_KICK]	= on_nothing,
	[POSADA_EXIT_DEBUG]	= on_debug,
	[POSADA_EXIT_SHUTDOWN]	= on_shutdown,
	[POSADA_EXIT_SYSTEM]	= on_system,
	[POSADA_EXIT_KILLED]	= on_killed,
	[POSADA_EXIT_TASK]	= on_task,
};

static int serve(struct vcpu_thread *t, struct posada_run *run)
{
	if (run->exit >= POSADA_NR_EXITS)
		return death(t, "an exit that this version does not know");
	return exits[run->exit](t, run);
}

void *vcpu_main(void *arg)
{
	struct vcpu_thread *t = arg;
	struct posada_run *run = posada_vcpu_page(t->vcpu);
	int ret;

	/* Completion ends the interrupt shadow, which is among the events. */
	run->wanted = POSADA_GROUP_EVENTS;
	while (!atomic_load_explicit(&t->m->stopping, memory_order_relaxed)) {
		gdb_gate(t);
		ret = posada_vcpu_run(t->vcpu);
		if (ret == -EINTR)
			continue;
		if (ret < 0) {
			char *why = xasprintf("cannot run: %s", strerror(-ret));

			death(t, why);
			free(why);
			break;
		}
		if (serve(t, run))
			break;
		gdb_after(t, run);
	}
	return NULL;
}
