// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hypercalls: Posada's own and those of KVM's, as two tables. Registers and
 * errors of each stand in uapi/posada_hypercall.h. A guest's mistake gives it
 * an error and the host no trouble: nothing here logs, or trusts an argument.
 */
#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/nospec.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <uapi/linux/kvm_para.h>
#include "../uapi/posada_cpuid.h"
#include "../uapi/posada_hypercall.h"
#include "apic_logic.h"
#include "posada.h"
#include "trace.h"

#define HC_ARGS		6
#define HC_USER_COUNT	(POSADA_HC_USER_END - POSADA_HC_USER_BASE)
#define RING_HEADER	POSADA_PAGE_SIZE
#define RING_OUT_MIN	4096
#define RING_OUT_MAX	65536

/* The values are the ABI's and, as it happens, Linux's. */
static_assert(POSADA_EPERM == EPERM && POSADA_ENOENT == ENOENT);
static_assert(POSADA_E2BIG == E2BIG && POSADA_EFAULT == EFAULT);
static_assert(POSADA_EINVAL == EINVAL && POSADA_EOPNOTSUPP == EOPNOTSUPP);
static_assert(sizeof(struct posada_console_ring) == RING_HEADER);
static_assert(offsetof(struct posada_console_ring, in) == 2048);
static_assert(sizeof(struct posada_batch_call) == 64);
static_assert(sizeof(struct posada_range) == 16);

/*
 * One call. @regs: which registers its arguments are in, see arg(). Returns
 * what goes to RAX; or TO_USER, with an exit in the run page.
 */
typedef s64 (*hypercall_fn)(struct posada_vcpu *vcpu, const u8 *regs);

#define TO_USER		S64_MIN		/* no call's result */

static u64 mask_of(const struct posada_vcpu *vcpu)
{
	return likely(vcpu->long64) ? ~0ULL : U32_MAX;
}

/* Argument number @i. Moving RIP does not change it; RAX is none. */
static u64 arg(const struct posada_vcpu *vcpu, const u8 *regs, int i)
{
	return vcpu->regs.gpr[regs[i]] & mask_of(vcpu);
}

/* ---- sets of vCPUs ---- */

/*
 * As a bit for each id. Bits past the first word, and ids past the last vCPU,
 * address nobody. Outside 64-bit mode a word of the guest's has 32 bits.
 */
static u64 vcpu_set(struct posada_vcpu *vcpu, u64 low, u64 high, u64 first)
{
	BUILD_BUG_ON(POSADA_MAX_VCPUS > 64);
	if (!vcpu->long64)
		low |= high << 32;
	return first < POSADA_MAX_VCPUS ? low << first : 0;
}

/* The next vCPU of *@set, which it leaves; NULL: no more. */
static struct posada_vcpu *next_in(struct posada_vm *vm, u64 *set)
{
	struct posada_vcpu *to = NULL;

	while (!to && *set) {
		to = posada_vcpu_by_id(vm, __ffs64(*set));
		*set &= *set - 1;
	}
	return to;
}

static struct posada_vcpu *target(struct posada_vcpu *vcpu, u64 id)
{
	return id < POSADA_MAX_VCPUS ? posada_vcpu_by_id(vcpu->vm, id) : NULL;
}

/* ---- what both kinds offer ---- */

/* End HLT, or the next one, also with interrupts off. */
static void kick(struct posada_vcpu *to)
{
	WRITE_ONCE(to->unhalted, true);
	posada_kick(to);
}

/* Only to one that could run and doesn't: else the slice is lost. */
void posada_yield_to(struct posada_vcpu *to)
{
	struct task_struct *task;

	if (READ_ONCE(to->mode) == POSADA_IN_GUEST ||
	    READ_ONCE(to->mp_state) != POSADA_MP_RUNNABLE)
		return;
	rcu_read_lock();
	task = rcu_dereference(to->task);
	if (task)
		get_task_struct(task);
	rcu_read_unlock();
	if (!task)
		return;
	if (task != current)
		yield_to(task, true);
	put_task_struct(task);
}

static s64 send_ipi(struct posada_vcpu *vcpu, u64 set, u64 icr)
{
	u32 mode = (icr & LAPIC_MODE) >> LAPIC_MODE_SHIFT;
	struct posada_vcpu *to;
	s64 taken = 0;

	if (mode != LAPIC_FIXED && mode != LAPIC_NMI)
		return -POSADA_EINVAL;
	vcpu->stat[POSADA_STAT_IPI]++;
	while ((to = next_in(vcpu->vm, &set)))
		taken += posada_apic_accept(to, mode, (u8)icr, false);
	return taken;
}

static bool runs_unflushed(struct posada_vcpu *vcpu)
{
	return test_bit(POSADA_REQ_FLUSH, &vcpu->requests) &&
	       READ_ONCE(vcpu->mode) == POSADA_IN_GUEST;
}

/*
 * Those in a guest are made to leave it, and waited for; the rest is left in
 * peace, asleep or not: they flush as they enter.
 */
static void flush_tlbs(struct posada_vcpu *vcpu, u64 set)
{
	struct posada_vcpu *to;
	u64 rest = set;

	while ((to = next_in(vcpu->vm, &set))) {
		set_bit(POSADA_REQ_FLUSH, &to->requests);
		/* Pairs with the one between mode and requests at entry. */
		smp_mb__after_atomic();
		if (READ_ONCE(to->mode) == POSADA_IN_GUEST)
			posada_kick(to);
	}
	while ((to = next_in(vcpu->vm, &rest)))
		while (runs_unflushed(to))
			cpu_relax();
}

/* ---- Posada's ---- */

static s64 hc_features(struct posada_vcpu *vcpu, const u8 *regs)
{
	return vcpu->vm->features;
}

static s64 hc_doorbell(struct posada_vcpu *vcpu, const u8 *regs)
{
	u64 value = arg(vcpu, regs, 1);

	if (!posada_ring(vcpu->vm, POSADA_DOORBELL_CALL, arg(vcpu, regs, 0),
			 sizeof(value), value))
		return -POSADA_ENOENT;
	vcpu->stat[POSADA_STAT_DOORBELL]++;
	return 0;
}

static s64 hc_kick(struct posada_vcpu *vcpu, const u8 *regs)
{
	struct posada_vcpu *to = target(vcpu, arg(vcpu, regs, 0));

	if (!to)
		return -POSADA_EINVAL;
	kick(to);
	return 0;
}

static s64 hc_yield_to(struct posada_vcpu *vcpu, const u8 *regs)
{
	struct posada_vcpu *to = target(vcpu, arg(vcpu, regs, 0));

	if (!to)
		return -POSADA_EINVAL;
	posada_yield_to(to);
	return 0;
}

/* Both kinds of calls have a set of vCPUs in their first three arguments. */
static u64 set_arg(struct posada_vcpu *vcpu, const u8 *regs)
{
	return vcpu_set(vcpu, arg(vcpu, regs, 0), arg(vcpu, regs, 1),
			arg(vcpu, regs, 2));
}

static s64 hc_send_ipi(struct posada_vcpu *vcpu, const u8 *regs)
{
	return send_ipi(vcpu, set_arg(vcpu, regs), arg(vcpu, regs, 3));
}

static s64 hc_flush_tlb(struct posada_vcpu *vcpu, const u8 *regs)
{
	flush_tlbs(vcpu, set_arg(vcpu, regs));
	return 0;
}

static s64 hc_clock_pairing(struct posada_vcpu *vcpu, const u8 *regs)
{
	return arg(vcpu, regs, 1) ? -POSADA_EINVAL :
		posada_clock_pairing(vcpu, arg(vcpu, regs, 0));
}

static s64 hc_timer(struct posada_vcpu *vcpu, const u8 *regs)
{
	u32 lvt = vcpu->apic.reg[LAPIC_TIMER];

	if ((lvt & LAPIC_TIMER_MODE) != LAPIC_TIMER_DEADLINE)
		return -POSADA_EINVAL;
	posada_timer_set_deadline(vcpu, arg(vcpu, regs, 0));
	return 0;
}

/* Leave to userspace, whose answer is the result: @ret if it gives none. */
static s64 system_exit(struct posada_vcpu *vcpu, u32 event, u64 gpa, u32 bytes,
		       s64 ret)
{
	vcpu->run->exit = POSADA_EXIT_SYSTEM;
	vcpu->run->system = (struct posada_exit_system){
		.event = event, .arg = gpa, .bytes = bytes, .ret = ret,
	};
	/* The answer is in the same place as that of a call to the VMM. */
	vcpu->completion = POSADA_DONE_HYPERCALL;
	return TO_USER;
}

static s64 hc_crash(struct posada_vcpu *vcpu, const u8 *regs)
{
	u64 bytes = arg(vcpu, regs, 1);

	if (bytes > POSADA_CRASH_MAX)
		return -POSADA_E2BIG;
	return system_exit(vcpu, POSADA_SYSTEM_CRASH, arg(vcpu, regs, 0),
			   bytes, 0);
}

static s64 hc_shutdown(struct posada_vcpu *vcpu, const u8 *regs)
{
	u64 reboot = arg(vcpu, regs, 0);

	if (reboot > 1)
		return -POSADA_EINVAL;
	return system_exit(vcpu, reboot ? POSADA_SYSTEM_REBOOT :
			   POSADA_SYSTEM_SHUTDOWN, 0, 0, 0);
}

static s64 hc_console_write(struct posada_vcpu *vcpu, const u8 *regs)
{
	u64 bytes = arg(vcpu, regs, 1);

	if (bytes > POSADA_CONSOLE_MAX)
		return -POSADA_E2BIG;
	return system_exit(vcpu, POSADA_SYSTEM_CONSOLE_WRITE,
			   arg(vcpu, regs, 0), bytes, -POSADA_ENOSYS);
}

static bool ring_bytes_ok(u64 bytes)
{
	u64 out = bytes - RING_HEADER;

	return bytes >= RING_HEADER + RING_OUT_MIN &&
	       bytes <= RING_HEADER + RING_OUT_MAX && is_power_of_2(out);
}

static s64 hc_console_ring(struct posada_vcpu *vcpu, const u8 *regs)
{
	u64 gpa = arg(vcpu, regs, 0), bytes = arg(vcpu, regs, 1);

	if (gpa & (POSADA_PAGE_SIZE - 1) || (bytes && !ring_bytes_ok(bytes)))
		return -POSADA_EINVAL;
	return system_exit(vcpu, POSADA_SYSTEM_CONSOLE_RING, gpa, bytes,
			   -POSADA_ENOSYS);
}

/* The VMM's memory is the VMM's to give back: it knows what is behind it. */
static s64 hc_free_pages(struct posada_vcpu *vcpu, const u8 *regs)
{
	u64 gpa = arg(vcpu, regs, 0), count = arg(vcpu, regs, 1);

	if (count > POSADA_RANGES_MAX)
		return -POSADA_E2BIG;
	if (gpa & 7)
		return -POSADA_EINVAL;
	if (!count)
		return 0;
	return system_exit(vcpu, POSADA_SYSTEM_FREE_PAGES, gpa,
			   count * sizeof(struct posada_range),
			   -POSADA_ENOSYS);
}

static s64 hc_batch(struct posada_vcpu *vcpu, const u8 *regs);

/* ---- KVM's, where they differ: who isn't there is no error ---- */

static s64 kvm_hc_kick(struct posada_vcpu *vcpu, const u8 *regs)
{
	struct posada_vcpu *to = target(vcpu, arg(vcpu, regs, 1));

	if (to)
		kick(to);
	return 0;
}

/* One struct for both. */
static s64 kvm_hc_clock_pairing(struct posada_vcpu *vcpu, const u8 *regs)
{
	BUILD_BUG_ON(sizeof(struct posada_clock_pairing) !=
		     sizeof(struct kvm_clock_pairing));
	return arg(vcpu, regs, 1) == KVM_CLOCK_PAIRING_WALLCLOCK ?
		posada_clock_pairing(vcpu, arg(vcpu, regs, 0)) :
		-POSADA_EOPNOTSUPP;
}

static s64 kvm_hc_send_ipi(struct posada_vcpu *vcpu, const u8 *regs)
{
	/* The destination is the set: no shorthand, no logical mode. */
	if (arg(vcpu, regs, 3) & (LAPIC_SHORTHAND | LAPIC_LOGICAL))
		return -POSADA_EINVAL;
	return hc_send_ipi(vcpu, regs);
}

static s64 kvm_hc_yield(struct posada_vcpu *vcpu, const u8 *regs)
{
	struct posada_vcpu *to = target(vcpu, arg(vcpu, regs, 0));

	if (to)
		posada_yield_to(to);
	return 0;
}

/* ---- which is which ---- */

/* Which registers the arguments are in. */
static const u8 posada_args[HC_ARGS] = {
	POSADA_RDI, POSADA_RSI, POSADA_RDX, POSADA_R10, POSADA_R8, POSADA_R9,
};

static const u8 kvm_args[] = {
	POSADA_RBX, POSADA_RCX, POSADA_RDX, POSADA_RSI,
};

/* When a call may be made. */
#define IRQOFF		BIT(0)	/* right behind the exit, interrupts off:
				 * neither sleeps nor waits for another vCPU
				 */
#define IN_BATCH	BIT(1)	/* from a batch: never leaves to userspace */

struct hypercall {
	hypercall_fn fn;
	const u8 *regs;
	u8 phases;
	const char *name;
};

/* The number is the place. */
#define CALL(nr, fn, phases)						\
	[POSADA_HC_##nr - POSADA_HC_BASE] = { fn, posada_args, phases, #nr }
#define KVM_CALL(nr, fn, phases)					\
	[KVM_HC_##nr] = { fn, kvm_args, phases, #nr }

static const struct hypercall posada_calls[POSADA_HC_COUNT] = {
	CALL(FEATURES,		hc_features, IRQOFF | IN_BATCH),
	CALL(DOORBELL,		hc_doorbell, IRQOFF | IN_BATCH),
	CALL(KICK,		hc_kick, IRQOFF | IN_BATCH),
	CALL(YIELD_TO,		hc_yield_to, IN_BATCH),
	CALL(SEND_IPI,		hc_send_ipi, IRQOFF | IN_BATCH),
	CALL(FLUSH_TLB,		hc_flush_tlb, IN_BATCH),
	CALL(CLOCK_PAIRING,	hc_clock_pairing, IN_BATCH),
	CALL(CRASH,		hc_crash, 0),
	CALL(SHUTDOWN,		hc_shutdown, 0),
	CALL(CONSOLE_WRITE,	hc_console_write, 0),
	CALL(CONSOLE_RING,	hc_console_ring, 0),
	CALL(TIMER,		hc_timer, IRQOFF | IN_BATCH),
	CALL(FREE_PAGES,	hc_free_pages, 0),
	CALL(BATCH,		hc_batch, 0),
};

static const struct hypercall kvm_calls[] = {
	KVM_CALL(KICK_CPU,	kvm_hc_kick, IRQOFF),
	KVM_CALL(CLOCK_PAIRING, kvm_hc_clock_pairing, 0),
	KVM_CALL(SEND_IPI,	kvm_hc_send_ipi, IRQOFF),
	KVM_CALL(SCHED_YIELD,	kvm_hc_yield, 0),
};

/* ---- several at once ---- */

/* Its arguments go where those of a call by itself are. */
static s64 call_in_batch(struct posada_vcpu *vcpu,
			 const struct posada_batch_call *b)
{
	u64 i = b->nr - POSADA_HC_BASE;
	const struct hypercall *call;
	int n;

	if (i >= POSADA_HC_COUNT)
		return -POSADA_ENOSYS;
	call = &posada_calls[array_index_nospec(i, POSADA_HC_COUNT)];
	if (!(call->phases & IN_BATCH))
		return -POSADA_EPERM;
	for (n = 0; n < HC_ARGS; n++)
		vcpu->regs.gpr[posada_args[n]] = b->arg[n];
	return call->fn(vcpu, posada_args);
}

/* One of a batch; -EFAULT: it was not made, or nobody knows how it went. */
static int batch_one(struct posada_vcpu *vcpu, u64 gpa)
{
	struct posada_batch_call b;
	int r = posada_gpa_read(vcpu->vm, gpa, &b, sizeof(b));

	if (r)
		return r;
	b.result = call_in_batch(vcpu, &b);
	return posada_gpa_write(vcpu->vm, gpa +
				offsetof(struct posada_batch_call, result),
				&b.result, sizeof(b.result));
}

static s64 hc_batch(struct posada_vcpu *vcpu, const u8 *regs)
{
	u64 i, gpa = arg(vcpu, regs, 0), count = arg(vcpu, regs, 1);
	u64 kept[POSADA_NR_REGS];

	if (count > POSADA_BATCH_MAX)
		return -POSADA_E2BIG;
	if (gpa & 7)
		return -POSADA_EINVAL;
	memcpy(kept, vcpu->regs.gpr, sizeof(kept));
	for (i = 0; i < count; i++)
		if (batch_one(vcpu, gpa + i * sizeof(struct posada_batch_call)))
			break;
	memcpy(vcpu->regs.gpr, kept, sizeof(kept));
	return i || !count ? (s64)i : -POSADA_EFAULT;
}

/* ---- the dispatcher ---- */

static u64 number(const struct posada_vcpu *vcpu)
{
	return vcpu->regs.gpr[POSADA_RAX] & mask_of(vcpu);
}

static s64 hc_user(struct posada_vcpu *vcpu, const u8 *regs)
{
	struct posada_exit_hypercall *x = &vcpu->run->hypercall;
	int i;

	vcpu->run->exit = POSADA_EXIT_HYPERCALL;
	x->nr = number(vcpu);
	for (i = 0; i < ARRAY_SIZE(x->arg); i++)
		x->arg[i] = arg(vcpu, regs, i);
	/* For a VMM that doesn't know hypercalls. */
	x->ret = (u64)-POSADA_ENOSYS;
	vcpu->completion = POSADA_DONE_HYPERCALL;
	return TO_USER;
}

static s64 hc_unknown(struct posada_vcpu *vcpu, const u8 *regs)
{
	return -POSADA_ENOSYS;
}

static const struct hypercall user = { hc_user, posada_args, 0, "VMM" };
static const struct hypercall unknown = {
	hc_unknown, posada_args, 0, "unknown"
};

static __always_inline const struct hypercall *find(u64 nr)
{
	const struct hypercall *call;
	u64 i = nr - POSADA_HC_BASE;

	if (likely(i < POSADA_HC_COUNT))
		return &posada_calls[array_index_nospec(i, POSADA_HC_COUNT)];
	if (nr - POSADA_HC_USER_BASE < HC_USER_COUNT)
		return &user;
	if (nr >= ARRAY_SIZE(kvm_calls))
		return &unknown;
	call = &kvm_calls[array_index_nospec(nr, ARRAY_SIZE(kvm_calls))];
	return call->fn ? call : &unknown;
}

static noinline void trace(const struct posada_vcpu *vcpu,
			   const struct hypercall *call)
{
	const u64 *gpr = vcpu->regs.gpr;

	trace_posada_hypercall(vcpu->id, call->name, number(vcpu),
			       gpr[call->regs[0]], gpr[call->regs[1]],
			       gpr[call->regs[2]]);
}

int posada_hypercall(struct posada_vcpu *vcpu)
{
	const struct hypercall *call = find(number(vcpu));
	s64 result = -POSADA_EPERM;

	if (trace_posada_hypercall_enabled())
		trace(vcpu, call);
	posada_skip(vcpu);
	if (likely(!vcpu->cpl))
		result = call->fn(vcpu, call->regs);
	/* A call that userspace serves leaves a result, too, till it does. */
	vcpu->regs.gpr[POSADA_RAX] = result == TO_USER ? 0 :
				     result & mask_of(vcpu);
	return result != TO_USER;
}

bool posada_hypercall_fast(struct posada_vcpu *vcpu)
{
	u64 *rax = &vcpu->regs.gpr[POSADA_RAX];
	const struct hypercall *call = find(*rax);

	if (unlikely(!(call->phases & IRQOFF) || vcpu->cpl))
		return false;
	if (trace_posada_hypercall_enabled())
		trace(vcpu, call);
	*rax = call->fn(vcpu, call->regs);
	return true;
}

#define INSN_INT3	0xcc
#define INSN_RET	0xc3

/* Fill the guest's page. 0, or -EINVAL: there is no memory. */
static int fill_page(struct posada_vcpu *vcpu, u64 gpa)
{
	const size_t len = sizeof(vcpu->ops->hypercall);
	u8 *page = (u8 *)__get_free_page(GFP_KERNEL_ACCOUNT);
	int ret;

	if (!page)
		return -EINVAL;
	memset(page, INSN_INT3, POSADA_PAGE_SIZE);
	memcpy(page, vcpu->ops->hypercall, len);
	page[len] = INSN_RET;
	ret = posada_gpa_write(vcpu->vm, gpa, page, POSADA_PAGE_SIZE);
	free_page((unsigned long)page);
	return ret ? -EINVAL : 0;
}

/*
 * Write POSADA_MSR_HYPERCALL; its bits were checked. The page is the guest's
 * memory like any other, filled once: what it does to it is its own affair.
 */
int posada_hypercall_msr(struct posada_vcpu *vcpu, u64 value)
{
	int ret = 0;

	if (value & POSADA_MSR_HC_ENABLE)
		ret = fill_page(vcpu, value & ~POSADA_MSR_HC_ENABLE);
	if (!ret)
		vcpu->msrs.hypercall = value;
	return ret;
}
