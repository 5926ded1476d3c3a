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
#define CRASH_BYTES_MAX	4096

/* The values are the ABI's and, as it happens, Linux's. */
static_assert(POSADA_EPERM == EPERM && POSADA_ENOENT == ENOENT);
static_assert(POSADA_E2BIG == E2BIG && POSADA_EFAULT == EFAULT);
static_assert(POSADA_EINVAL == EINVAL && POSADA_EOPNOTSUPP == EOPNOTSUPP);

/*
 * One call. @arg: its arguments; *result, 0 at first, goes to RAX. Returns by
 * the return rule: 1, or 0 with an exit in the run page.
 */
typedef int (*hypercall_fn)(struct posada_vcpu *vcpu, const u64 *arg,
			    s64 *result);

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

static int hc_features(struct posada_vcpu *vcpu, const u64 *arg, s64 *result)
{
	*result = vcpu->vm->features;
	return 1;
}

static int hc_doorbell(struct posada_vcpu *vcpu, const u64 *arg, s64 *result)
{
	if (posada_ring(vcpu->vm, POSADA_DOORBELL_CALL, arg[0],
			sizeof(arg[1]), arg[1]))
		vcpu->stat[POSADA_STAT_DOORBELL]++;
	else
		*result = -POSADA_ENOENT;
	return 1;
}

static int hc_kick(struct posada_vcpu *vcpu, const u64 *arg, s64 *result)
{
	struct posada_vcpu *to = target(vcpu, arg[0]);

	if (to)
		kick(to);
	else
		*result = -POSADA_EINVAL;
	return 1;
}

static int hc_yield_to(struct posada_vcpu *vcpu, const u64 *arg, s64 *result)
{
	struct posada_vcpu *to = target(vcpu, arg[0]);

	if (to)
		posada_yield_to(to);
	else
		*result = -POSADA_EINVAL;
	return 1;
}

static int hc_send_ipi(struct posada_vcpu *vcpu, const u64 *arg, s64 *result)
{
	*result = send_ipi(vcpu, vcpu_set(vcpu, arg[0], arg[1], arg[2]),
			   arg[3]);
	return 1;
}

static int hc_flush_tlb(struct posada_vcpu *vcpu, const u64 *arg, s64 *result)
{
	flush_tlbs(vcpu, vcpu_set(vcpu, arg[0], arg[1], arg[2]));
	return 1;
}

static int hc_clock_pairing(struct posada_vcpu *vcpu, const u64 *arg,
			    s64 *result)
{
	*result = arg[1] ? -POSADA_EINVAL :
			   posada_clock_pairing(vcpu, arg[0]);
	return 1;
}

static int system_exit(struct posada_vcpu *vcpu, u32 event, u64 arg, u32 bytes)
{
	vcpu->run->exit = POSADA_EXIT_SYSTEM;
	vcpu->run->system = (struct posada_exit_system){
		.event = event, .arg = arg, .bytes = bytes,
	};
	return 0;
}

static int hc_crash(struct posada_vcpu *vcpu, const u64 *arg, s64 *result)
{
	if (arg[1] > CRASH_BYTES_MAX) {
		*result = -POSADA_E2BIG;
		return 1;
	}
	return system_exit(vcpu, POSADA_SYSTEM_CRASH, arg[0], arg[1]);
}

static int hc_shutdown(struct posada_vcpu *vcpu, const u64 *arg, s64 *result)
{
	if (arg[0] > 1) {
		*result = -POSADA_EINVAL;
		return 1;
	}
	return system_exit(vcpu, arg[0] ? POSADA_SYSTEM_REBOOT :
			   POSADA_SYSTEM_SHUTDOWN, 0, 0);
}

/* ---- KVM's, where they differ: who isn't there is no error ---- */

static int kvm_hc_kick(struct posada_vcpu *vcpu, const u64 *arg, s64 *result)
{
	struct posada_vcpu *to = target(vcpu, arg[1]);

	if (to)
		kick(to);
	return 1;
}

/* One struct for both. */
static int kvm_hc_clock_pairing(struct posada_vcpu *vcpu, const u64 *arg,
				s64 *result)
{
	BUILD_BUG_ON(sizeof(struct posada_clock_pairing) !=
		     sizeof(struct kvm_clock_pairing));
	*result = arg[1] == KVM_CLOCK_PAIRING_WALLCLOCK ?
		posada_clock_pairing(vcpu, arg[0]) : -POSADA_EOPNOTSUPP;
	return 1;
}

static int kvm_hc_send_ipi(struct posada_vcpu *vcpu, const u64 *arg,
			   s64 *result)
{
	/* The destination is the set: no shorthand, no logical mode. */
	if (arg[3] & (LAPIC_SHORTHAND | LAPIC_LOGICAL)) {
		*result = -POSADA_EINVAL;
		return 1;
	}
	return hc_send_ipi(vcpu, arg, result);
}

static int kvm_hc_yield(struct posada_vcpu *vcpu, const u64 *arg, s64 *result)
{
	struct posada_vcpu *to = target(vcpu, arg[0]);

	if (to)
		posada_yield_to(to);
	return 1;
}

/* ---- which is which ---- */

struct hypercall {
	hypercall_fn fn;
	u8 args;
	bool atomic;		/* neither sleeps nor waits for another vCPU */
};

#define AT(call)	(POSADA_HC_##call - POSADA_HC_BASE)

static const struct hypercall posada_calls[POSADA_HC_COUNT] = {
	[AT(FEATURES)]		= { hc_features,	0, true },
	[AT(DOORBELL)]		= { hc_doorbell,	2, true },
	[AT(KICK)]		= { hc_kick,		1, true },
	[AT(YIELD_TO)]		= { hc_yield_to,	1 },
	[AT(SEND_IPI)]		= { hc_send_ipi,	4, true },
	[AT(FLUSH_TLB)]		= { hc_flush_tlb,	3 },
	[AT(CLOCK_PAIRING)]	= { hc_clock_pairing,	2 },
	[AT(CRASH)]		= { hc_crash,		2 },
	[AT(SHUTDOWN)]		= { hc_shutdown,	1 },
};

static const struct hypercall kvm_calls[] = {
	[KVM_HC_KICK_CPU]	= { kvm_hc_kick,	2, true },
	[KVM_HC_CLOCK_PAIRING]	= { kvm_hc_clock_pairing, 2 },
	[KVM_HC_SEND_IPI]	= { kvm_hc_send_ipi,	4, true },
	[KVM_HC_SCHED_YIELD]	= { kvm_hc_yield,	1 },
};

static int hc_user(struct posada_vcpu *vcpu, const u64 *arg, s64 *result)
{
	struct posada_exit_hypercall *x = &vcpu->run->hypercall;

	vcpu->run->exit = POSADA_EXIT_HYPERCALL;
	x->nr = vcpu->long64 ? vcpu->regs.gpr[POSADA_RAX] :
			       (u32)vcpu->regs.gpr[POSADA_RAX];
	memcpy(x->arg, arg, sizeof(x->arg));
	/* For a VMM that doesn't know hypercalls. */
	x->ret = (u64)-POSADA_ENOSYS;
	vcpu->completion = POSADA_DONE_HYPERCALL;
	return 0;
}

static int hc_unknown(struct posada_vcpu *vcpu, const u64 *arg, s64 *result)
{
	*result = -POSADA_ENOSYS;
	return 1;
}

static const struct hypercall user = { hc_user, HC_ARGS };
static const struct hypercall unknown = { hc_unknown, 0 };

static const u8 posada_args[HC_ARGS] = {
	POSADA_RDI, POSADA_RSI, POSADA_RDX, POSADA_R10, POSADA_R8, POSADA_R9,
};

static const u8 kvm_args[] = {
	POSADA_RBX, POSADA_RCX, POSADA_RDX, POSADA_RSI,
};

/* The call that @nr names, and which registers its arguments are in. */
static const struct hypercall *find(u64 nr, const u8 **regs)
{
	const struct hypercall *call;
	u64 i = nr - POSADA_HC_BASE;

	*regs = posada_args;
	if (likely(i < POSADA_HC_COUNT))
		return &posada_calls[array_index_nospec(i, POSADA_HC_COUNT)];
	if (nr - POSADA_HC_USER_BASE < HC_USER_COUNT)
		return &user;
	if (nr >= ARRAY_SIZE(kvm_calls))
		return &unknown;
	*regs = kvm_args;
	call = &kvm_calls[array_index_nospec(nr, ARRAY_SIZE(kvm_calls))];
	return call->fn ? call : &unknown;
}

static u64 number(const struct posada_vcpu *vcpu)
{
	u64 rax = vcpu->regs.gpr[POSADA_RAX];

	return likely(vcpu->long64) ? rax : (u32)rax;
}

/* Fetch the arguments, move RIP, call: in this order, for each once. */
static noinline int make(struct posada_vcpu *vcpu, const struct hypercall *call,
			 const u8 *regs)
{
	u64 mask = vcpu->long64 ? ~0ULL : U32_MAX;
	const u64 *gpr = vcpu->regs.gpr;
	u64 arg[HC_ARGS];	/* as many as the call has */
	s64 result = 0;
	int i, ret = 1;

	for (i = 0; i < call->args; i++)
		arg[i] = gpr[regs[i]] & mask;
	if (trace_posada_hypercall_enabled())
		trace_posada_hypercall(vcpu->id, number(vcpu), gpr[regs[0]],
				       gpr[regs[1]], gpr[regs[2]]);
	posada_skip(vcpu);
	if (likely(!vcpu->cpl))
		ret = call->fn(vcpu, arg, &result);
	else
		result = -POSADA_EPERM;
	vcpu->regs.gpr[POSADA_RAX] = result & mask;
	return ret;
}

int posada_hypercall(struct posada_vcpu *vcpu)
{
	const u8 *regs;
	const struct hypercall *call = find(number(vcpu), &regs);

	return make(vcpu, call, regs);
}

int posada_hypercall_fast(struct posada_vcpu *vcpu)
{
	const u8 *regs;
	const struct hypercall *call = find(number(vcpu), &regs);

	return call->atomic ? make(vcpu, call, regs) : -EAGAIN;
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
