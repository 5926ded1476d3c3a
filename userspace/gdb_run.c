// SPDX-License-Identifier: GPL-2.0
/*
 * Run control: the gate that vCPU threads pass, and what stops them.
 *
 *	action != GDB_STAY      run
 *	GDB_STAY                refresh the run page, park, wait for gdb
 *
 * Whoever wants a stop sets all actions to GDB_STAY, then kicks: a kick ends
 * the running POSADA_RUN or else the next one, so none runs on unseen.
 */
#include <errno.h>
#include <sys/eventfd.h>

#include "gdb_target.h"

#define RFLAGS_IF	(1ULL << 9)
#define CR0_PE		(1ULL << 0)
#define EFER_LMA	(1ULL << 10)
#define VECTOR_BP	3
#define DR6_HITS	0xfULL
#define DR6_BS		(1ULL << 14)

static struct gdb_cpu *cpu_of(const struct vcpu_thread *t)
{
	return &t->m->gdb->cpu[t - t->m->cpu];
}

/* POSADA_RUN_EXIT_NOW commits, completes and fills, but runs nothing. */
int gdb_refresh(struct posada_vcpu *vcpu)
{
	struct posada_run *run = posada_vcpu_page(vcpu);
	int ret;

	run->wanted = POSADA_GROUP_ALL;
	run->request |= POSADA_RUN_EXIT_NOW;
	ret = posada_vcpu_run(vcpu);
	run->request &= ~POSADA_RUN_EXIT_NOW;
	return ret == -EINTR ? 0 : ret;
}

/* ---- stopping ---- */

static void stay(struct gdb *g)
{
	unsigned int i;

	for (i = 0; i < g->m->nr_cpus; i++)
		atomic_store(&g->cpu[i].action, GDB_STAY);
}

static void kick_all(struct gdb *g)
{
	unsigned int i;

	for (i = 0; i < g->m->nr_cpus; i++)
		posada_vcpu_kick(g->m->cpu[i].vcpu);
}

void gdb_stop_all(struct gdb *g)
{
	pthread_mutex_lock(&g->lock);
	stay(g);
	pthread_mutex_unlock(&g->lock);
	kick_all(g);
	/* Those that wait at the gate already need not say so again. */
	eventfd_write(g->wake_fd, 1);
}

/* Something happened on this vCPU: stop all, and remember what. */
static void stop_here(struct vcpu_thread *t, const struct gdb_stop *stop)
{
	struct gdb *g = t->m->gdb;
	struct gdb_cpu *c = cpu_of(t);

	pthread_mutex_lock(&g->lock);
	if (!c->stop.signal) {
		c->stop = *stop;
		c->stop.cpu = (unsigned int)(t - t->m->cpu);
	}
	stay(g);
	pthread_mutex_unlock(&g->lock);
	kick_all(g);
}

bool gdb_all_parked(struct gdb *g)
{
	bool all = true;
	unsigned int i;

	pthread_mutex_lock(&g->lock);
	for (i = 0; i < g->m->nr_cpus; i++)
		all = all && g->cpu[i].parked;
	pthread_mutex_unlock(&g->lock);
	return all;
}

/* An instruction with a breakpoint has not run: it will say so once more. */
static bool comes_again(const struct gdb_stop *stop)
{
	return stop->has_kind && stop->kind <= GDB_BREAK_HARD;
}

/* Two vCPUs may have stopped at once; gdb is told of one. */
bool gdb_take_stop(struct gdb *g, struct gdb_stop *stop)
{
	bool found = false;
	unsigned int i;

	pthread_mutex_lock(&g->lock);
	for (i = 0; i < g->m->nr_cpus; i++) {
		struct gdb_stop *s = &g->cpu[i].stop;

		if (!s->signal)
			continue;
		if (!found) {
			*stop = *s;
			found = true;
			s->signal = 0;
		} else if (comes_again(s)) {
			s->signal = 0;
		}
	}
	pthread_mutex_unlock(&g->lock);
	return found;
}

/* ---- going on ---- */

/* A step is of one instruction of the code that one looks at: interrupts wait
 * for it, or each step would end in the handler of the timer's.
 */
static void hold_interrupts(struct posada_run *run)
{
	if (!(run->regs.rflags & RFLAGS_IF))
		return;
	run->events.shadow |= POSADA_SHADOW_STI;
	run->dirty |= POSADA_GROUP_EVENTS;
}

static void prepare(struct gdb *g, unsigned int i, enum gdb_action action)
{
	struct posada_vcpu *vcpu = g->m->cpu[i].vcpu;
	struct posada_debug dbg;

	gdb_break_arm(&g->session, &dbg);
	if (action == GDB_STEP) {
		dbg.flags |= POSADA_DEBUG_STEP;
		hold_interrupts(posada_vcpu_page(vcpu));
	}
	posada_debug(vcpu, &dbg);
}

static bool any_stop(struct gdb *g)
{
	unsigned int i;

	for (i = 0; i < g->m->nr_cpus; i++)
		if (g->cpu[i].stop.signal)
			return true;
	return false;
}

void gdb_let_go(struct gdb *g, const enum gdb_action *actions)
{
	unsigned int i;

	for (i = 0; i < g->m->nr_cpus; i++)
		if (actions[i] != GDB_STAY)
			prepare(g, i, actions[i]);
	pthread_mutex_lock(&g->lock);
	/* What gdb has not been told yet comes first. */
	for (i = 0; i < g->m->nr_cpus && !any_stop(g); i++)
		if (actions[i] != GDB_STAY) {
			/* Before it wakes up: it counts as running now. */
			g->cpu[i].parked = false;
			atomic_store(&g->cpu[i].action, actions[i]);
		}
	pthread_cond_broadcast(&g->go);
	pthread_mutex_unlock(&g->lock);
}

static void park(struct gdb *g, struct gdb_cpu *c)
{
	pthread_mutex_lock(&g->lock);
	while (atomic_load(&c->action) == GDB_STAY && !g->over) {
		/* Again, if it was let go and stopped before it woke up. */
		if (!c->parked)
			eventfd_write(g->wake_fd, 1);
		c->parked = true;
		pthread_cond_wait(&g->go, &g->lock);
	}
	c->parked = false;
	pthread_mutex_unlock(&g->lock);
}

void gdb_gate(struct vcpu_thread *t)
{
	struct gdb *g = t->m->gdb;
	struct gdb_cpu *c;

	if (!g)
		return;
	c = cpu_of(t);
	if (atomic_load(&c->action) != GDB_STAY)
		return;
	/* What cannot be committed fails again at the next run, loudly. */
	gdb_refresh(t->vcpu);
	park(g, c);
	/* Breakpoints are looked up by page tables: keep those at hand. */
	posada_vcpu_page(t->vcpu)->wanted = atomic_load(&g->attached) ?
		POSADA_GROUP_ALL : POSADA_GROUP_EVENTS;
}

bool gdb_holds(struct gdb *g)
{
	unsigned int i;

	for (i = 0; g && i < g->m->nr_cpus; i++)
		if (atomic_load(&g->cpu[i].action) == GDB_STAY)
			return true;
	return false;
}

void gdb_release(struct gdb *g)
{
	if (!g)
		return;
	pthread_mutex_lock(&g->lock);
	g->over = true;
	pthread_cond_broadcast(&g->go);
	pthread_mutex_unlock(&g->lock);
}

/* ---- exits ---- */

static uint64_t linear_rip(const struct posada_run *run)
{
	const struct posada_segment *cs = &run->sregs.seg[POSADA_CS];

	if (run->sregs.efer & EFER_LMA && cs->attr & POSADA_SEG_L)
		return run->regs.rip;
	return (run->regs.rip + cs->base) & UINT32_MAX;
}

static bool break_at(struct vcpu_thread *t, uint64_t gva)
{
	uint64_t gpa;

	return !posada_find_gva(t->vcpu, gva, &gpa) &&
	       gdb_break_at(&t->m->gdb->session, gpa);
}

static void stop_at_break(struct vcpu_thread *t)
{
	struct gdb_stop stop = {
		.signal = GDB_SIGTRAP, .has_kind = true,
		.kind = GDB_BREAK_SOFT,
	};

	stop_here(t, &stop);
}

/* An INT3 of the guest's own: it gets its #BP, with RIP behind. */
static void pass_on(struct vcpu_thread *t, struct posada_run *run)
{
	run->regs.rip++;
	run->dirty |= POSADA_GROUP_REGS;
	posada_inject_exception(t->vcpu, VECTOR_BP, -1, 0);
}

void gdb_debug_exit(struct vcpu_thread *t, struct posada_run *run)
{
	struct gdb_stop stop = { .signal = GDB_SIGTRAP };

	if (!t->m->gdb)
		return;
	if (run->debug.vector == VECTOR_BP) {
		if (break_at(t, run->debug.address))
			stop_at_break(t);
		else
			pass_on(t, run);
		return;
	}
	if (run->debug.dr6 & DR6_HITS)
		gdb_break_hit(&t->m->gdb->session, run->debug.dr6, &stop);
	if (stop.has_kind || run->debug.dr6 & DR6_BS)
		stop_here(t, &stop);
}

bool gdb_port_exit(struct vcpu_thread *t, const struct posada_run *run)
{
	struct gdb *g = t->m->gdb;

	if (!g || !(run->port.flags & POSADA_PORT_STRING) ||
	    !run->port.insn_len || run->port.insn[0] != g->session.trap ||
	    !break_at(t, linear_rip(run)))
		return false;
	stop_at_break(t);
	return true;
}

/* Completed in userspace, the instruction is over without a debug exit. */
void gdb_after(struct vcpu_thread *t, const struct posada_run *run)
{
	struct gdb_stop stop = { .signal = GDB_SIGTRAP };

	if (!t->m->gdb ||
	    atomic_load(&cpu_of(t)->action) != GDB_STEP)
		return;
	if (run->exit == POSADA_EXIT_MEMORY ||
	    (run->exit == POSADA_EXIT_PORT &&
	     run->port.flags & POSADA_PORT_STRING))
		stop_here(t, &stop);
}

void gdb_death(struct vcpu_thread *t)
{
	struct gdb_stop stop = { .signal = GDB_SIGSEGV };

	if (!t->m->gdb || !atomic_load(&t->m->gdb->attached))
		return;
	stop_here(t, &stop);
	gdb_gate(t);
}
