// SPDX-License-Identifier: GPL-2.0
/*
 * What an exit means: one row of a table for each neutral kind. A handler
 * returns > 0 to enter again, 0 with the run page filled, < 0 an errno.
 */
#include <linux/sched.h>
#include <asm/processor.h>
#include <asm/apicdef.h>
#include <asm/debugreg.h>
#include <asm/msr-index.h>
#include <asm/trapnr.h>
#include "posada.h"
#include "trace.h"

#define POSADA_APIC_MSRS	0x100	/* the x2APIC range */

/* ---- raising exceptions ---- */

/* SDM volume 3, "Interrupt 8 - Double Fault Exception": the three classes. */
enum posada_class { POSADA_BENIGN, POSADA_CONTRIBUTORY, POSADA_PAGE_FAULT };

static enum posada_class posada_class(u8 vector)
{
	switch (vector) {
	case X86_TRAP_DE:
	case X86_TRAP_TS:
	case X86_TRAP_NP:
	case X86_TRAP_SS:
	case X86_TRAP_GP:
		return POSADA_CONTRIBUTORY;
	case X86_TRAP_PF:
		return POSADA_PAGE_FAULT;
	}
	return POSADA_BENIGN;
}

static bool posada_doubles(u8 first, u8 second)
{
	enum posada_class a = posada_class(first), b = posada_class(second);

	return (a == POSADA_CONTRIBUTORY && b == POSADA_CONTRIBUTORY) ||
	       (a == POSADA_PAGE_FAULT && b != POSADA_BENIGN);
}

void posada_raise(struct posada_vcpu *vcpu, u8 vector, bool has_error,
		  u32 error, u64 payload)
{
	struct posada_event *ev = &vcpu->pending;
	struct posada_event next = {
		.kind = POSADA_EVENT_EXCEPTION, .vector = vector,
		.has_error = has_error, .error = error, .payload = payload,
	};

	/* Real mode pushes no error code, and the CPU refuses to inject one. */
	if (ev->kind == POSADA_EVENT_EXCEPTION) {
		if (ev->vector == X86_TRAP_DF &&
		    posada_class(vector) != POSADA_BENIGN) {
			set_bit(POSADA_REQ_SHUTDOWN, &vcpu->requests);
			ev->kind = POSADA_EVENT_NONE;
			return;
		}
		if (posada_doubles(ev->vector, vector)) {
			next.vector = X86_TRAP_DF;
			next.has_error = true;
			next.error = 0;
		}
	} else if (ev->kind == POSADA_EVENT_INTERRUPT) {
		/* It is acknowledged: deliver it after the exception. */
		vcpu->extint = ev->vector;
	} else if (ev->kind == POSADA_EVENT_NMI) {
		posada_set_nmi_masked(vcpu, false);
		atomic_add_unless(&vcpu->nmi_pending, 1, 2);
	}
	if (next.has_error) {
		struct posada_paging pg;

		posada_get_paging(vcpu, &pg);
		next.has_error = pg.cr0 & X86_CR0_PE;
	}
	*ev = next;
	/* A series of entries ends here: the next one begins with a look. */
	set_bit(POSADA_REQ_EVENT, &vcpu->requests);
}

/* ---- instructions ---- */

static __always_inline u64 posada_skip_to(struct posada_vcpu *vcpu, u64 rip)
{
	u64 rflags = vcpu->regs.rflags;

	vcpu->regs.rip = rip;
	vcpu->regs.rflags = rflags & ~(u64)X86_EFLAGS_RF;
	vcpu->shadow = 0;
	return rflags & X86_EFLAGS_TF;
}

/* In 64-bit mode, and nobody steps from outside. */
static __always_inline int posada_skip_fast(struct posada_vcpu *vcpu)
{
	if (unlikely(posada_skip_to(vcpu, vcpu->regs.rip +
					  vcpu->exit.insn_len)))
		posada_raise(vcpu, X86_TRAP_DB, false, 0, DR_STEP);
	return 1;
}

int posada_skip(struct posada_vcpu *vcpu)
{
	u64 rip = vcpu->regs.rip + vcpu->exit.insn_len;
	bool trap;

	trap = posada_skip_to(vcpu, likely(vcpu->long64) ? rip : (u32)rip);
	if (unlikely(vcpu->debug.flags & POSADA_DEBUG_STEP))
		set_bit(POSADA_REQ_STEP, &vcpu->requests);
	else if (unlikely(trap))
		posada_raise(vcpu, X86_TRAP_DB, false, 0, DR_STEP);
	return 1;
}

#define POSADA_FETCH_TRIES	16

/*
 * The CPU did not say how long the instruction is: look. If something else is
 * there by now - another vCPU wrote it, or its translation changed - the exit
 * never happened: let the guest execute what is there. Not for ever, though.
 * 1: exit.insn_len is set. 0: enter again.
 */
static int posada_size_insn(struct posada_vcpu *vcpu)
{
	int len = posada_insn_length(vcpu, vcpu->exit.insn);

	if (likely(len > 0)) {
		vcpu->exit.insn_len = len;
		vcpu->fetch_failures = 0;
		return 1;
	}
	if (++vcpu->fetch_failures > POSADA_FETCH_TRIES)
		posada_kill(vcpu, POSADA_KILL_NO_FETCH, vcpu->regs.rip,
			    vcpu->exit.insn);
	set_bit(POSADA_REQ_FLUSH, &vcpu->requests);
	return 0;
}

static void posada_exit_bytes(struct posada_vcpu *vcpu, u8 *insn, u8 *insn_len)
{
	u8 buf[16] = {};
	int n = vcpu->exit.nr_bytes;

	if (n)
		memcpy(buf, vcpu->exit.bytes, n);
	else
		n = posada_fetch(vcpu, buf);
	memcpy(insn, buf, sizeof(buf));
	*insn_len = n;
}

/* ---- the handlers ---- */

static int posada_x_none(struct posada_vcpu *vcpu)
{
	return 1;
}

static int posada_x_window(struct posada_vcpu *vcpu)
{
	vcpu->windows = 0;
	preempt_disable();
	vcpu->ops->window(vcpu, 0);
	preempt_enable();
	return 1;
}

static void posada_report_msr(struct posada_vcpu *vcpu, u32 index, u64 data)
{
	struct posada_exit_msr *x = &vcpu->run->msr;

	vcpu->run->exit = POSADA_EXIT_MSR;
	memset(x, 0, sizeof(*x));
	x->index = index;
	x->write = vcpu->exit.msr.write;
	x->data = data;
	vcpu->completion = x->write ? POSADA_DONE_WRMSR : POSADA_DONE_RDMSR;
}

static int posada_x_msr(struct posada_vcpu *vcpu)
{
	u64 *gpr = vcpu->regs.gpr;
	u32 index = gpr[POSADA_RCX];
	u64 value = 0;
	int r;

	if (vcpu->exit.msr.write) {
		value = (u32)gpr[POSADA_RAX] | gpr[POSADA_RDX] << 32;
		r = posada_msr_write(vcpu, index, value, POSADA_BY_GUEST);
	} else {
		r = posada_msr_read(vcpu, index, &value, POSADA_BY_GUEST);
	}
	trace_posada_msr(vcpu->id, vcpu->exit.msr.write, index, value, r < 0);
	if (likely(r >= 0)) {
		if (!vcpu->exit.msr.write) {
			gpr[POSADA_RAX] = (u32)value;
			gpr[POSADA_RDX] = value >> 32;
		}
		posada_skip(vcpu);
		return r;
	}
	if (r == -ENOENT && (vcpu->vm->flags & POSADA_VM_MSR_EXITS)) {
		posada_report_msr(vcpu, index, value);
		return 0;
	}
	posada_raise_gp(vcpu);
	return 1;
}

/* Strings are userspace's altogether: they take decoding and guest memory. */
static int posada_string_port(struct posada_vcpu *vcpu)
{
	struct posada_exit_port *x = &vcpu->run->port;

	x->flags |= POSADA_PORT_STRING;
	posada_exit_bytes(vcpu, x->insn, &x->insn_len);
	return 0;
}

static int posada_x_port(struct posada_vcpu *vcpu)
{
	const struct posada_exit *e = &vcpu->exit;
	struct posada_exit_port *x = &vcpu->run->port;
	u32 mask = e->port.len == 4 ? ~0U : BIT(8 * e->port.len) - 1;
	u32 data = e->port.in ? 0 : vcpu->regs.gpr[POSADA_RAX] & mask;

	if (!e->port.in && !e->port.string &&
	    rcu_access_pointer(vcpu->vm->doorbells) &&
	    posada_ring(vcpu->vm, POSADA_DOORBELL_PORT, e->port.port,
			e->port.len, data)) {
		vcpu->stat[POSADA_STAT_DOORBELL]++;
		return posada_skip(vcpu);
	}
	vcpu->run->exit = POSADA_EXIT_PORT;
	x->port = e->port.port;
	x->len = e->port.len;
	x->flags = e->port.in ? POSADA_PORT_IN : 0;
	x->data = data;
	x->insn_len = 0;
	if (unlikely(e->port.string))
		return posada_string_port(vcpu);
	if (e->port.in) {
		vcpu->completion = POSADA_DONE_IN;
		vcpu->completion_len = e->port.len;
	}
	posada_skip(vcpu);
	return 0;
}

static int posada_x_memory(struct posada_vcpu *vcpu)
{
	struct posada_exit_memory *x = &vcpu->run->memory;
	u32 flags = 0;
	int r = posada_mmu_fault(vcpu, &flags);

	trace_posada_fault(vcpu->id, vcpu->exit.memory.gpa, flags);
	if (likely(r > 0))
		return r;
	if (r == -ENOMEM)
		return posada_kill(vcpu, POSADA_KILL_NO_MEMORY,
				   vcpu->exit.memory.gpa, 0);
	if (r < 0)
		return r;
	/* Nobody can complete half a delivery. */
	if (unlikely(vcpu->pending.kind))
		flags |= POSADA_MEM_DELIVERY;
	if ((flags & POSADA_MEM_DELIVERY) && !(flags & POSADA_MEM_FAULT))
		return posada_kill(vcpu, POSADA_KILL_DELIVERY,
				   vcpu->exit.memory.gpa, 0);
	vcpu->run->exit = POSADA_EXIT_MEMORY;
	memset(x, 0, sizeof(*x));
	x->gpa = vcpu->exit.memory.gpa;
	x->flags = flags;
	posada_exit_bytes(vcpu, x->insn, &x->insn_len);
	return 0;
}

static int posada_x_halt(struct posada_vcpu *vcpu)
{
	posada_skip(vcpu);
	vcpu->mp_state = POSADA_MP_HALTED;
	return 1;
}

static noinline int posada_x_cpuid(struct posada_vcpu *vcpu)
{
	u64 *gpr = vcpu->regs.gpr;
	u32 out[4];

	posada_cpuid(vcpu, gpr[POSADA_RAX], gpr[POSADA_RCX], out);
	gpr[POSADA_RAX] = out[0];
	gpr[POSADA_RBX] = out[1];
	gpr[POSADA_RCX] = out[2];
	gpr[POSADA_RDX] = out[3];
	return posada_skip(vcpu);
}

/*
 * A spinning vCPU waits for another: let one that was preempted, and may well
 * hold the lock, have this CPU. Begin after this one, lest all pick the first.
 */
static int posada_x_pause(struct posada_vcpu *vcpu)
{
	u32 i;

	posada_skip(vcpu);
	for (i = 1; i < POSADA_MAX_VCPUS; i++) {
		struct posada_vcpu *other =
			posada_vcpu_by_id(vcpu->vm,
					  (vcpu->id + i) % POSADA_MAX_VCPUS);

		if (other && READ_ONCE(other->preempted)) {
			posada_yield_to(other);
			break;
		}
	}
	return 1;
}

static int posada_x_skip(struct posada_vcpu *vcpu)
{
	return posada_skip(vcpu);
}

/* SDM volume 2, "XSETBV": what makes a #GP. */
static int posada_x_xsetbv(struct posada_vcpu *vcpu)
{
	u64 *gpr = vcpu->regs.gpr;
	u64 value = (u32)gpr[POSADA_RAX] | gpr[POSADA_RDX] << 32;

	if (vcpu->cpl || (u32)gpr[POSADA_RCX] ||
	    !posada_xcr0_valid(value, posada_cpuid_xcr0_mask(vcpu->vm))) {
		posada_raise_gp(vcpu);
		return 1;
	}
	vcpu->xcr0 = value;
	return posada_skip(vcpu);
}

/* What LMSW writes; of PE it can but set it. */
#define POSADA_LMSW_BITS	(X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)

/* The new value of the register. */
static u64 posada_cr_value(struct posada_vcpu *vcpu)
{
	const struct posada_exit *e = &vcpu->exit;
	struct posada_paging pg;
	u64 value;

	if (e->cr.how == POSADA_CR_MOV) {
		value = vcpu->regs.gpr[array_index_nospec(e->cr.gpr,
							  POSADA_NR_REGS)];
		return vcpu->long64 ? value : (u32)value;
	}
	posada_get_paging(vcpu, &pg);
	if (e->cr.how == POSADA_CR_CLTS)
		return pg.cr0 & ~X86_CR0_TS;
	return (pg.cr0 & ~POSADA_LMSW_BITS) |
	       (e->cr.word & (POSADA_LMSW_BITS | X86_CR0_PE));
}

static int posada_x_cr(struct posada_vcpu *vcpu)
{
	if (posada_write_cr(vcpu, vcpu->exit.cr.number, posada_cr_value(vcpu))) {
		posada_raise_gp(vcpu);
		return 1;
	}
	return posada_skip(vcpu);
}

/* The register that MOV DR means: 4 and 5 are 6 and 7. */
static u64 *posada_dr(struct posada_dregs *d, u8 number)
{
	if (number < ARRAY_SIZE(d->dr))
		return &d->dr[array_index_nospec(number, ARRAY_SIZE(d->dr))];
	return number & 1 ? &d->dr7 : &d->dr6;
}

/* A guest that uses them gets the real ones, unless a debugger has them. */
static int posada_x_dr(struct posada_vcpu *vcpu)
{
	u64 *gpr = &vcpu->regs.gpr[array_index_nospec(vcpu->exit.dr.gpr,
						      POSADA_NR_REGS)];
	struct posada_dregs d;
	u64 *dr = posada_dr(&d, vcpu->exit.dr.number);

	if (!(vcpu->debug.flags & POSADA_DEBUG_HARDWARE)) {
		posada_use_dregs(vcpu);
		return 1;
	}
	posada_get_dregs(vcpu, &d);
	if (!vcpu->exit.dr.write) {
		*gpr = *dr;
		return posada_skip(vcpu);
	}
	*dr = vcpu->long64 ? *gpr : (u32)*gpr;
	if (posada_check_dregs(&d)) {
		posada_raise_gp(vcpu);
		return 1;
	}
	d.dr6 |= DR6_RESERVED;
	d.dr7 |= POSADA_DR7_FIXED;
	posada_set_dregs(vcpu, &d);
	return posada_skip(vcpu);
}

/*
 * VMCALL or VMMCALL: a guest that was made for, or came from, the other
 * vendor's CPU calls by the one that this CPU does not have.
 */
static bool posada_is_call(struct posada_vcpu *vcpu)
{
	if (vcpu->exit.fault.vector != X86_TRAP_UD || vcpu->pending.kind)
		return false;
	vcpu->exit.insn = POSADA_INSN_HYPERCALL;
	vcpu->exit.insn_len = max(posada_insn_length(vcpu,
						     POSADA_INSN_HYPERCALL), 0);
	return vcpu->exit.insn_len;
}

static int posada_x_fault(struct posada_vcpu *vcpu)
{
	const struct posada_exit *e = &vcpu->exit;

	if (unlikely(posada_is_call(vcpu)))
		return posada_hypercall(vcpu);
	posada_raise(vcpu, e->fault.vector, e->fault.has_error, e->fault.error,
		     0);
	return 1;
}

/* Is this #DB or #BP of the debugger outside, not the guest's own? */
static bool posada_debugger_wants(struct posada_vcpu *vcpu)
{
	const struct posada_exit *e = &vcpu->exit;

	if (e->debug.vector == X86_TRAP_BP)
		return vcpu->debug.flags & POSADA_DEBUG_BREAK;
	return ((vcpu->debug.flags & POSADA_DEBUG_STEP) &&
		(e->debug.dr6 & DR_STEP)) ||
	       ((vcpu->debug.flags & POSADA_DEBUG_HARDWARE) &&
		(e->debug.dr6 & DR_TRAP_BITS));
}

static int posada_x_debug(struct posada_vcpu *vcpu)
{
	const struct posada_exit *e = &vcpu->exit;
	struct posada_paging pg;

	if (!posada_debugger_wants(vcpu)) {
		posada_raise(vcpu, e->debug.vector, false, 0, e->debug.dr6);
		return 1;
	}
	posada_get_paging(vcpu, &pg);
	vcpu->run->exit = POSADA_EXIT_DEBUG;
	vcpu->run->debug = (struct posada_exit_debug){
		.vector = e->debug.vector, .dr6 = e->debug.dr6,
		.address = vcpu->regs.rip + (vcpu->long64 ? 0 : pg.cs_base),
	};
	return 0;
}

int posada_eoi_exit(struct posada_vcpu *vcpu, u8 vector)
{
	vcpu->run->exit = POSADA_EXIT_EOI;
	vcpu->run->eoi = (struct posada_exit_eoi){ .vector = vector };
	return 0;
}

/* The EOI is done, and RIP past it: what is left of it is its trap. */
static int posada_x_eoi(struct posada_vcpu *vcpu)
{
	vcpu->exit.insn_len = 0;
	posada_skip(vcpu);
	return posada_eoi_exit(vcpu, vcpu->exit.eoi.vector);
}

static int posada_x_timer(struct posada_vcpu *vcpu)
{
	posada_timer_poll(vcpu);
	return 1;
}

#define POSADA_DR7_LOCAL	0x155	/* L0-3, LE: a task's own */

/* Userspace completes it. What the CPU would do besides is done here. */
static int posada_x_task(struct posada_vcpu *vcpu)
{
	const struct posada_exit *e = &vcpu->exit;
	bool event = e->task.source == POSADA_TASK_GATE && e->interrupted.kind;
	struct posada_dregs d;

	vcpu->run->exit = POSADA_EXIT_TASK;
	vcpu->run->task = (struct posada_exit_task){
		.selector = e->task.selector, .source = e->task.source,
		.insn_len = e->insn_len,
		.flags = event && e->interrupted.has_error ? POSADA_TASK_ERROR : 0,
		.error_code = event ? e->interrupted.error : 0,
	};
	/* The switch is the event's delivery; an IRET ends that of an NMI. */
	if (event)
		vcpu->pending.kind = POSADA_EVENT_NONE;
	if (event && e->interrupted.kind == POSADA_EVENT_NMI)
		posada_set_nmi_masked(vcpu, true);
	else if (e->task.source == POSADA_TASK_IRET)
		posada_set_nmi_masked(vcpu, false);
	if (e->insn_len)
		vcpu->shadow = 0;
	posada_get_dregs(vcpu, &d);
	d.dr7 &= ~(u64)POSADA_DR7_LOCAL;
	posada_set_dregs(vcpu, &d);
	return 0;
}

static int posada_x_shutdown(struct posada_vcpu *vcpu)
{
	/* Whoever starts it anew wants none of what brought it down. */
	vcpu->pending.kind = POSADA_EVENT_NONE;
	vcpu->run->exit = POSADA_EXIT_SHUTDOWN;
	return 0;
}

static int posada_x_machine_check(struct posada_vcpu *vcpu)
{
	/* The host has dealt with it; if we still run, the guest may not. */
	return posada_kill(vcpu, POSADA_KILL_MACHINE, 0, 0);
}

static int posada_x_bad_state(struct posada_vcpu *vcpu)
{
	return posada_kill(vcpu, POSADA_KILL_BAD_STATE, vcpu->exit.fail.code,
			   vcpu->exit.fail.info);
}

static int posada_x_unknown(struct posada_vcpu *vcpu)
{
	return posada_kill(vcpu, POSADA_KILL_BAD_EXIT, vcpu->exit.fail.code,
			   vcpu->exit.fail.info);
}

static const struct {
	int (*handle)(struct posada_vcpu *vcpu);
	u8 stat;
} posada_exits[POSADA_NR_X] = {
	[POSADA_X_NONE]	   = { posada_x_none, POSADA_STAT_OTHER },
	[POSADA_X_HOST_IRQ] = { posada_x_none, POSADA_STAT_HOST_IRQ },
	[POSADA_X_TIMER]   = { posada_x_timer, POSADA_STAT_HOST_IRQ },
	[POSADA_X_MSR]	   = { posada_x_msr, POSADA_STAT_MSR },
	[POSADA_X_PORT]	   = { posada_x_port, POSADA_STAT_PORT },
	[POSADA_X_MEMORY]  = { posada_x_memory, POSADA_STAT_MEMORY },
	[POSADA_X_HALT]	   = { posada_x_halt, POSADA_STAT_HALT },
	[POSADA_X_HYPERCALL] = { posada_hypercall, POSADA_STAT_HYPERCALL },
	[POSADA_X_CPUID]   = { posada_x_cpuid, POSADA_STAT_CPUID },
	[POSADA_X_EOI]	   = { posada_x_eoi, POSADA_STAT_MSR },
	[POSADA_X_WINDOW]  = { posada_x_window, POSADA_STAT_WINDOW },
	[POSADA_X_PAUSE]   = { posada_x_pause, POSADA_STAT_PAUSE },
	[POSADA_X_SKIP]	   = { posada_x_skip, POSADA_STAT_OTHER },
	[POSADA_X_XSETBV]  = { posada_x_xsetbv, POSADA_STAT_OTHER },
	[POSADA_X_CR]	   = { posada_x_cr, POSADA_STAT_OTHER },
	[POSADA_X_DR]	   = { posada_x_dr, POSADA_STAT_OTHER },
	[POSADA_X_FAULT]   = { posada_x_fault, POSADA_STAT_EXCEPTION },
	[POSADA_X_DEBUG]   = { posada_x_debug, POSADA_STAT_EXCEPTION },
	[POSADA_X_TASK]	   = { posada_x_task, POSADA_STAT_OTHER },
	[POSADA_X_SHUTDOWN] = { posada_x_shutdown, POSADA_STAT_OTHER },
	[POSADA_X_MACHINE_CHECK] = { posada_x_machine_check, POSADA_STAT_OTHER },
	[POSADA_X_BAD_STATE] = { posada_x_bad_state, POSADA_STAT_OTHER },
	[POSADA_X_UNKNOWN] = { posada_x_unknown, POSADA_STAT_OTHER },
};

u8 posada_exit_stat(const struct posada_vcpu *vcpu)
{
	return posada_exits[vcpu->exit.kind].stat;
}

/*
 * ---- exits that are answered with interrupts still off ----
 *
 * Those of a guest in 64-bit mode that nobody steps; what needs more time, or
 * may fault, or interests userspace goes the long way: nothing has been done
 * yet.
 */

#define POSADA_FAST	(BIT(POSADA_X_MSR) | BIT(POSADA_X_CPUID) |	\
			 BIT(POSADA_X_HYPERCALL))

/* RDMSR never sleeps; of WRMSR what guests do all the time. */
static noinline int posada_fast_msr(struct posada_vcpu *vcpu)
{
	u64 *gpr = vcpu->regs.gpr;
	u32 index = gpr[POSADA_RCX];
	u64 value = 0;
	int r;

	posada_sync_cr8(vcpu);
	if (vcpu->exit.msr.write) {
		if (index - APIC_BASE_MSR >= POSADA_APIC_MSRS &&
		    index != MSR_IA32_TSC_DEADLINE)
			return -EAGAIN;
		value = (u32)gpr[POSADA_RAX] | gpr[POSADA_RDX] << 32;
		r = posada_msr_write(vcpu, index, value, POSADA_BY_GUEST);
		/* The TPR may have been it. */
		vcpu->cr8 = posada_apic_get_cr8(vcpu);
	} else {
		r = posada_msr_read(vcpu, index, &value, POSADA_BY_GUEST);
	}
	/* What faults, or userspace decides, goes the long way: once more. */
	if (unlikely(r < 0))
		return -EAGAIN;
	trace_posada_msr(vcpu->id, vcpu->exit.msr.write, index, value, false);
	if (!vcpu->exit.msr.write) {
		gpr[POSADA_RAX] = (u32)value;
		gpr[POSADA_RDX] = value >> 32;
	}
	vcpu->stat[POSADA_STAT_MSR]++;
	posada_skip(vcpu);
	return r;
}

static int posada_fast_rdmsr(struct posada_vcpu *vcpu)
{
	if (trace_posada_msr_enabled() || !posada_msr_read_fast(vcpu))
		return posada_fast_msr(vcpu);
	vcpu->stat[POSADA_STAT_MSR]++;
	return posada_skip_fast(vcpu);
}

static int posada_fast_cpuid(struct posada_vcpu *vcpu)
{
	vcpu->stat[POSADA_STAT_CPUID]++;
	if (!posada_cpuid_fast(vcpu))
		return posada_x_cpuid(vcpu);
	return posada_skip_fast(vcpu);
}

static int posada_fast_hypercall(struct posada_vcpu *vcpu)
{
	if (!posada_hypercall_fast(vcpu))
		return -EAGAIN;
	vcpu->stat[POSADA_STAT_HYPERCALL]++;
	return posada_skip_fast(vcpu);
}

int posada_fast_exit(struct posada_vcpu *vcpu)
{
	struct posada_exit *e = &vcpu->exit;

	if (!(POSADA_FAST & BIT(e->kind)) ||
	    unlikely(e->interrupted.kind || !vcpu->long64))
		return -EAGAIN;
	/*
	 * insn_len of 0 here means that the CPU doesn't say; one that was met
	 * and has changed is found out on the long way.
	 */
	if (!e->insn_len && !posada_insn_met(vcpu))
		return -EAGAIN;
	if (e->kind == POSADA_X_HYPERCALL)
		return posada_fast_hypercall(vcpu);
	if (e->kind == POSADA_X_CPUID)
		return posada_fast_cpuid(vcpu);
	return e->msr.write ? posada_fast_msr(vcpu) : posada_fast_rdmsr(vcpu);
}

int posada_handle_exit(struct posada_vcpu *vcpu)
{
	struct posada_exit *e = &vcpu->exit;

	if (unlikely(e->interrupted.kind)) {
		vcpu->pending = e->interrupted;
		vcpu->pending.again = true;
	}
	vcpu->stat[posada_exits[e->kind].stat]++;
	if (e->insn && !e->insn_len && !posada_size_insn(vcpu))
		return 1;
	return posada_exits[e->kind].handle(vcpu);
}
