/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The core's own structures: VM, vCPU, slots, and who may touch which field.
 * The letters after a field say what guards it:
 *   V  vm->lock                    M  vm->mmu_lock
 *   C  vcpu->mutex (held for the whole of an ioctl on the vCPU)
 *   S  written under V, read under vm->srcu
 *   A  atomic accesses from anywhere
 *   K  constant after creation
 * Lock order: vcpu->mutex, vm->lock, mmap_lock, vm->mmu_lock; see
 * Documentation/locking.rst.
 */
#ifndef POSADA_POSADA_H
#define POSADA_POSADA_H

#include <linux/types.h>
#include <linux/bitmap.h>
#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/jump_label.h>
#include <linux/kref.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/nospec.h>
#include <linux/preempt.h>
#include <linux/rcuwait.h>
#include <linux/srcu.h>
#include <linux/workqueue.h>
#include <asm/apicdef.h>
#include <asm/fpu/api.h>
#include "backend.h"
#include "pagetable.h"

#define POSADA_DR7_FIXED	BIT(10)	/* reads 1 */
#define POSADA_NMI_MASKED	BIT(3)	/* or 0; as VMX has it */
#define POSADA_RESET_PAT	0x0007040600070406ULL

/* ---- memory: slots.c, guestmem.c, mmu.c ---- */

struct posada_memslot {
	u64 gfn, pages;		/* K, as are all fields: slots are replaced */
	unsigned long hva;
	u32 flags;		/* POSADA_SLOT_* */
	u32 id;
	unsigned long *dirty;	/* one bit a page, set atomically; or NULL */
};

/* One generation of the slot table, sorted by gfn. */
struct posada_slots {
	u32 nr;
	u32 gen;		/* differs from every earlier table's */
	struct posada_memslot *slot[]; /* sorted by gfn */
};

struct posada_mmu {
	spinlock_t lock;	/* "mmu_lock" (M) */
	u32 slots_gen;		/* M: of the slot table; A to read */
	u64 root;		/* K: hpa of the root table, for the CPU */
	u64 *table;		/* K: the same, for us; M: its entries */
	int levels;		/* K */
	const struct posada_pt_format *format; /* K */
	struct mmu_notifier notifier;
	unsigned long seq;	/* M: invalidations ended; A to read */
	long active;		/* M: invalidations under way */
	unsigned long active_start, active_end; /* M: the hva they cover */
};

/*
 * A vCPU's stock of zeroed table pages: filled in task context, so that a
 * fault never allocates under mmu_lock.
 */
#define POSADA_TABLE_CACHE	6
struct posada_table_cache {
	int nr;
	void *page[POSADA_TABLE_CACHE];
};

/* The last guest page that instructions were fetched from (see fetch.c). */
struct posada_fetch_cache {
	u64 page;		/* linear address of the page */
	unsigned long hva;	/* where it is */
	u32 slots_gen;		/* of the table that says so; 0: nothing here */
	/* The walk that led there, to find out whether it still does. */
	u8 cpl;
	u8 steps;		/* 0: not known */
	u64 cr0, cr3, cr4, efer;
	struct {
		unsigned long hva;
		u64 entry;
	} step[POSADA_WALK_STEPS];
};

/*
 * An instruction that exited in 64-bit mode: where it is, the four bytes that
 * stood there then, and what its length was (see fetch.c).
 */
#define POSADA_INSNS_MET	8	/* by the low bits of RIP */
struct posada_insn_met {
	u64 rip;
	const u32 __user *at;
	u32 bytes;
	u8 insn;		/* enum posada_insn; 0: an empty slot */
	u8 len;
} __aligned(32);

/* ---- local APIC: apic.c, apic_timer.c, ipi.c ---- */

/* The APIC timer's bus clock: 1 GHz, so one tick is one nanosecond. */
#define POSADA_APIC_TIMER_KHZ	1000000
/* The shortest period of a periodic timer, nanoseconds: no timer storms. */
#define POSADA_APIC_MIN_PERIOD	200000

/*
 * "C" here means: written under vcpu->mutex, and read without it by those who
 * send this vCPU an interrupt (READ_ONCE).
 */
struct posada_apic {
	u64 base;		/* C: IA32_APIC_BASE */
	unsigned long irr[4];	/* A: requested */
	unsigned long tmr[4];	/* A: of these, level-triggered */
	unsigned long isr[4];	/* C: in service */
	bool irr_pending;	/* A: hint: irr may be non-empty */
	bool lent;		/* C: the CPU has isr, TPR and what irr had */
	u16 status;		/* C: its highest irr, and << 8 its highest isr */
	void *page;		/* K: where it has them; NULL: it never has */
	u8 ppr;			/* C: follows from TPR and isr */
	unsigned long esr;	/* A: errors since ESR was written last */
	u32 reg[64];		/* C: the rest, by xAPIC offset / 16 */
	unsigned long sipi;	/* A: bit 8: a SIPI came, bits 0-7 its vector */
	raw_spinlock_t timer_lock; /* "T", innermost, taken in hardirq */
	struct hrtimer timer;
	bool armed;		/* T */
	u64 tsc_deadline;	/* T: guest TSC; 0: not armed */
	u64 period;		/* T: of a periodic timer, nanoseconds */
	ktime_t expires;	/* T: of a counting timer */
};

/* ---- vCPU ---- */

/* Bits of vcpu->requests. Set one with posada_request(). */
enum {
	POSADA_REQ_EVENT,	/* look for something to inject */
	POSADA_REQ_FLUSH,	/* drop translations */
	POSADA_REQ_CLOCK,	/* write the pvclock page */
	POSADA_REQ_STEAL,	/* account stolen time */
	POSADA_REQ_INIT,	/* INIT came */
	POSADA_REQ_SIPI,	/* apic.sipi is set */
	POSADA_REQ_KICK,	/* POSADA_KICK: leave to userspace */
	POSADA_REQ_KILLED,	/* vm->killed is set */
	POSADA_REQ_SHUTDOWN,	/* triple fault */
	POSADA_REQ_STEP,	/* POSADA_DEBUG_STEP: an insn was skipped */
	POSADA_REQ_PDPTES,	/* give them to the backend */
};

/* vcpu->mode: what a kick has to do. */
enum { POSADA_OUTSIDE, POSADA_IN_GUEST };

/* How the next POSADA_RUN completes the last exit to userspace. */
enum {
	POSADA_DONE, POSADA_DONE_IN, POSADA_DONE_RDMSR, POSADA_DONE_WRMSR,
	POSADA_DONE_HYPERCALL
};

/* MSRs that only the core keeps. */
struct posada_msrs {
	u64 tsc_adjust;
	u64 misc_enable;
	u64 mtrr_def_type;
	u64 mtrr_fixed[11];
	u64 mtrr_variable[16];
	u64 xss;
	u64 tsc_aux;
	u64 mcg_status;
	u64 misc_features;	/* MISC_FEATURES_ENABLES */
	u64 ucode_rev;		/* IA32_BIOS_SIGN_ID */
	u64 arch_caps;		/* IA32_ARCH_CAPABILITIES */
	u64 hwcr;
	u64 hypercall;		/* POSADA_MSR_HYPERCALL */
	u64 generation;		/* POSADA_MSR_GENERATION */
	u64 wall_clock, system_time, steal_time, poll_control; /* KVM's */
};

/* Debug registers: dregs.c. */
struct posada_dr {
	bool wanted;		/* the guest uses DR0-3: no exits for them */
	bool armed;		/* they are in the CPU */
	bool dr7_kept;		/* dr7 is: the CPU has a debugger's */
	u64 dr7;
	u64 dr[4];		/* while not armed */
	unsigned long dr6;	/* the same; if the backend does not have it */
};

#define POSADA_ARCH_PAGES	2

struct posada_vcpu {
	/* Hot: touched on each exit. */
	struct posada_regs regs;	/* C; loaded and stored by enter() */
	struct posada_exit exit;	/* C: the last exit */
	u8 shadow;			/* C: POSADA_SHADOW_* */
	u8 nmi_masked;			/* C: POSADA_NMI_MASKED: till IRET */
	u8 cr8;				/* C: the guest's, within a series */
	u8 cpl;				/* C: stored by enter() */
	bool long64;			/* C: in 64-bit mode; stored by enter() */
	int mode;			/* A */
	unsigned long requests;		/* A */
	struct posada_vm *vm;		/* K */
	const struct posada_backend *ops; /* K */
	void *arch;			/* K: the backend's own part */
	void *arch_page[POSADA_ARCH_PAGES]; /* K: and pages of it */
	u64 deadline;			/* A: host TSC when the APIC's timer is
					 * due, for backends with entry_timer
					 */
	u32 id;				/* K: APIC id */
	int cpu;			/* the CPU it is loaded on, or -1 */
	struct posada_event pending;	/* C: to be injected at next entry */
	u32 windows;			/* C: POSADA_WINDOW_* asked for */
	struct posada_apic apic;
	u64 tsc_offset;			/* C */
	u64 xcr0;			/* C */
	u32 pkru;			/* C */
	u64 hw_tsc_aux, host_tsc_aux;	/* C: in the CPU now; the host's */
	u8 fetch_failures;		/* C: in a row, see exits.c */
	struct posada_msrs msrs;	/* C */
	u64 stat[POSADA_STAT_COUNT];	/* written under C, read by anyone */

	/* Events that wait. */
	atomic_t nmi_pending;		/* A: 0-2 */
	s16 extint;			/* C: vector, or -1 */
	u8 mp_state;			/* C: enum posada_mp_state */
	u8 completion;			/* C: POSADA_DONE_* */
	u8 completion_len;		/* C: bytes of POSADA_DONE_IN */
	bool unhalted;			/* A: a KICK hypercall ends HLT */
	bool preempted;			/* scheduled out, not blocked */

	struct posada_run *run;		/* K: a page that userspace writes */
	struct fpu_guest fpu;		/* C */
	struct posada_debug debug;	/* C: what POSADA_DEBUG asked for */
	struct posada_dr dr;		/* C */
	struct posada_fetch_cache fetch; /* C */
	struct posada_insn_met met[POSADA_INSNS_MET]; /* C */
	struct posada_table_cache tables; /* C */
	u64 steal_last;			/* C: run delay seen, nanoseconds */
	u64 tsc_lost;			/* C: of the host's, made up for */
	u32 clock_gen;			/* C: what the clock page is made by */
	int clock_cpu;			/* C: and on which CPU */
	bool steal_marked;		/* C: the guest was told: preempted */
	struct posada_profile_table *profile; /* K; NULL: none was asked for */
	u64 halt_poll_ns;		/* C: how long to poll in HLT now */
	struct rcuwait wait;		/* where HLT sleeps */
	struct task_struct __rcu *task;	/* who runs it, to yield to */
	struct mutex mutex;		/* "C" */
	struct preempt_notifier notifier;
};

/* ---- VM ---- */

struct posada_doorbells;		/* events.c */
struct posada_cpuid_table;		/* cpuid.c */

struct posada_vm {
	struct kref refs;		/* VM fd, vCPU fds, irqfds' work */
	const struct posada_backend *ops; /* K */
	struct mm_struct *mm;		/* K: mmgrab()bed */
	u32 flags;			/* K: POSADA_VM_* */
	struct mutex lock;		/* "V" */
	struct srcu_struct srcu;
	struct posada_slots __rcu *slots; /* S */
	struct posada_mmu mmu;
	struct posada_vcpu *vcpus[POSADA_MAX_VCPUS]; /* V to set, once; A */
	u32 nr_vcpus;			/* V */
	bool ran;			/* V: a vCPU ran; CPUID is fixed */
	u32 features;			/* K once ran: hypercalls offered */
	struct posada_cpuid_table __rcu *cpuid; /* V to set until ran, RCU */
	u8 generation[16];		/* V: what the guest is told */
	u32 generation_events;		/* V: how often */
	struct list_head irqfds;	/* V */
	struct work_struct irqfd_work;	/* drops those whose eventfd closed */
	struct posada_doorbells __rcu *doorbells; /* S */
	u64 tsc_offset;			/* K: what new vCPUs start with */
	u64 tsc_lost;			/* K: and their tsc_lost */
	u64 tsc_match;			/* A: an offset that a VMM set, or 0 */
	s64 clock_offset;		/* A: pvclock ns - host boottime ns */
	u32 killed;			/* A: enum posada_kill */
	struct posada_exit_killed killing; /* written once, before killed */
	atomic64_t stat[POSADA_STAT_COUNT]; /* A: the VM's own */
	struct list_head list;		/* on posada_vms, by posada_vms_lock */
};

/* ---- which layer offers what; errors are negative errnos ---- */

/* Any context. */
static inline struct posada_vcpu *posada_vcpu_by_id(struct posada_vm *vm,
						    u32 id)
{
	if (id >= POSADA_MAX_VCPUS)
		return NULL;
	id = array_index_nospec(id, POSADA_MAX_VCPUS);
	/* Pairs with the release in vcpu creation. */
	return smp_load_acquire(&vm->vcpus[id]);
}

/* The first id from @id on that is a vCPU's, *@vcpu; or POSADA_MAX_VCPUS. */
static inline u32 posada_vcpu_from(struct posada_vm *vm, u32 id,
				   struct posada_vcpu **vcpu)
{
	for (; id < POSADA_MAX_VCPUS; id++) {
		*vcpu = posada_vcpu_by_id(vm, id);
		if (*vcpu)
			break;
	}
	return id;
}

#define posada_for_each_vcpu(i, vcpu, vm)			\
	for ((i) = posada_vcpu_from((vm), 0, &(vcpu));		\
	     (i) < POSADA_MAX_VCPUS;				\
	     (i) = posada_vcpu_from((vm), (i) + 1, &(vcpu)))

/* ---- request.c ---- */

/*
 * Let @vcpu act on @req (POSADA_REQ_*) before it runs guest code again: wakes
 * it from HLT, or makes it leave the guest. Any context, also hardirq.
 */
void posada_request(struct posada_vcpu *vcpu, int req);
/* Wake or interrupt it without a request. Any context. */
void posada_kick(struct posada_vcpu *vcpu);
/*
 * Set POSADA_REQ_FLUSH on all vCPUs and wait until none runs on with an old
 * translation. Interrupts on; mmu_lock may be held.
 */
void posada_flush_vm(struct posada_vm *vm);

/*
 * End the VM: this vCPU leaves with POSADA_EXIT_KILLED, and so do all others.
 * The first reason stays. Returns 1 for "return posada_kill(...)": a request
 * ends the run.
 */
int posada_kill(struct posada_vcpu *vcpu, u32 reason, u64 info0, u64 info1);

/* The vectors whose exceptions push an error code. */
#define POSADA_ERROR_CODES	(BIT(8) | BIT(10) | BIT(11) | BIT(12) |	\
				 BIT(13) | BIT(14) | BIT(17) | BIT(21))

/* Ask all vCPUs of all VMs to act on @req: the host's time jumped. Task. */
void posada_request_all(int req);
/* End every VM. Task. */
void posada_kill_all(u32 reason);
/* Count a VM in: 0, or -ENOSPC (max_vms); out. Task. */
int posada_vms_add(struct posada_vm *vm);
void posada_vms_del(struct posada_vm *vm);

/*
 * exits.c: queue exception @vector for the next entry, merging it with one
 * whose delivery was cut short (#DF, shutdown). Task, C.
 */
void posada_raise(struct posada_vcpu *vcpu, u8 vector, bool has_error,
		  u32 error, u64 payload);
#define posada_raise_gp(vcpu)	posada_raise(vcpu, 13 /* #GP */, true, 0, 0)
#define posada_raise_ud(vcpu)	posada_raise(vcpu, 6 /* #UD */, false, 0, 0)

/* ---- slots.c ---- */
int __must_check posada_slots_init(struct posada_vm *vm);
void posada_slots_free(struct posada_vm *vm);
/* The ioctls; vm->lock held. Flags and padding are checked here. */
int posada_slot_set(struct posada_vm *vm, const struct posada_slot *slot);
int posada_dirty_log(struct posada_vm *vm, const struct posada_dirty_log *log);
/* Find the slot of @gfn, or NULL. Under vm->srcu. */
struct posada_memslot *posada_slot_of(struct posada_vm *vm, u64 gfn);
/* Width of a gpa on this host with this backend, in bits. */
unsigned int posada_phys_bits(const struct posada_backend *ops);

/* ---- guestmem.c: the one door to guest memory, with the one range check ---- */

/*
 * Task context in the VM's mm; takes vm->srcu itself. -EFAULT: not all of it
 * is in slots that allow it, or the host cannot serve it. Marks dirty pages.
 */
int __must_check posada_gpa_read(struct posada_vm *vm, u64 gpa, void *buf,
				 size_t bytes);
int __must_check posada_gpa_write(struct posada_vm *vm, u64 gpa,
				  const void *buf, size_t bytes);
/*
 * The user address of @gpa, or 0; valid while the slot is (under srcu).
 * @write: the slot must be writable.
 */
unsigned long posada_gpa_to_hva(struct posada_vm *vm, u64 gpa, bool write);
/* Log a write to @gfn that has just been made. Any context but NMI. */
void posada_mark_dirty(struct posada_vm *vm, u64 gfn);
/* Does [start, start + bytes) lie in [0, limit), without wrapping? */
static inline bool posada_range_ok(u64 start, u64 bytes, u64 limit)
{
	return bytes <= limit && start <= limit - bytes;
}

/* What a page walk and a fetch need. Task or atomic, C. */
static inline void posada_get_paging(struct posada_vcpu *vcpu,
				     struct posada_paging *pg)
{
	vcpu->ops->get_paging(vcpu, pg);
	pg->rflags = vcpu->regs.rflags;
	pg->pkru = vcpu->pkru;
	pg->cpl = vcpu->cpl;
}

/* ---- fetch.c: instruction bytes ---- */
/* Read up to 15 bytes at CS:RIP into @buf; returns how many could be read. */
int posada_fetch(struct posada_vcpu *vcpu, u8 *buf);
/* The length of @insn at RIP; < 0: what is there is not that instruction. */
int posada_insn_length(struct posada_vcpu *vcpu, enum posada_insn insn);
/*
 * Set exit.insn_len, without faults and walks, if exit.insn was met at RIP
 * before. In 64-bit mode, any context.
 */
bool posada_insn_met(struct posada_vcpu *vcpu);
/* Slots have changed: forget those that were met. C. */
void posada_insn_forget(struct posada_vcpu *vcpu);
/*
 * Translate as posada_walk(); 0, -EFAULT with the #PF's error code (also if a
 * table is not in memory), -EINVAL. @page_bytes may be NULL.
 */
int posada_gva_to_gpa(struct posada_vcpu *vcpu, u64 gva, u32 access, u64 *gpa,
		      u64 *page_bytes, u32 *error_code);

/* ---- dregs.c. C, task or irqoff ---- */
void posada_get_dregs(struct posada_vcpu *vcpu, struct posada_dregs *d);
void posada_set_dregs(struct posada_vcpu *vcpu, const struct posada_dregs *d);
/* The guest wants its debug registers: no exits for them for a while. */
void posada_use_dregs(struct posada_vcpu *vcpu);
/* The vCPU leaves its CPU: ask again, lest it pays on each entry for ever. */
void posada_rest_dregs(struct posada_vcpu *vcpu);
/* A #DB with @dr6 is injected. */
void posada_raise_dregs(struct posada_vcpu *vcpu, u64 dr6);
/* vcpu->debug changed. */
void posada_update_debug(struct posada_vcpu *vcpu);
void posada_reset_dregs(struct posada_vcpu *vcpu);

/* ---- mmu.c, notifier.c, fault.c; mmu.h has what they share ---- */
int __must_check posada_mmu_init(struct posada_vm *vm);
/* The last vCPU is gone; the mm may be, too. Before posada_slots_free(). */
void posada_mmu_free(struct posada_vm *vm);
/*
 * Resolve a second-level fault at vcpu->exit.memory. Task, C.
 * 1: mapped (or another vCPU did, or the host changes the page just now):
 * enter again. 0: userspace's to do (no slot, read-only, not serveable),
 * *flags is all of POSADA_MEM_* but DELIVERY. -ENOMEM, -EINTR.
 */
int posada_mmu_fault(struct posada_vcpu *vcpu, u32 *flags);
void posada_mmu_free_cache(struct posada_table_cache *cache);

/* ---- apic.c: registers, priorities ---- */
static inline bool posada_apic_x2(const struct posada_vcpu *vcpu)
{
	return (vcpu->apic.base & (3ULL << 10)) == (3ULL << 10);
}

void posada_apic_init(struct posada_vcpu *vcpu);	/* task, creation */
void posada_apic_free(struct posada_vcpu *vcpu);	/* cancels the timer */
void posada_apic_reset(struct posada_vcpu *vcpu, bool init);
int posada_apic_top(struct posada_vcpu *vcpu);
int posada_apic_top_blocked(struct posada_vcpu *vcpu);

/* The vector to deliver now (above PPR), or -1. C. Asked at each entry. */
static inline int posada_apic_pending(struct posada_vcpu *vcpu)
{
	return READ_ONCE(vcpu->apic.irr_pending) ? posada_apic_top(vcpu) : -1;
}

/* The vector that only TPR holds back (a lower CR8 lets it in), or -1. C. */
static inline int posada_apic_blocked(struct posada_vcpu *vcpu)
{
	return READ_ONCE(vcpu->apic.irr_pending) ?
		posada_apic_top_blocked(vcpu) : -1;
}

/* Take @vector, just returned by the above: IRR to ISR. C. */
void posada_apic_ack(struct posada_vcpu *vcpu, u8 vector);
/* Set IRR and posada_request(EVENT) the vCPU. Any context. @vector >= 16. */
void posada_apic_set_irr(struct posada_vcpu *vcpu, u8 vector, bool level);
/*
 * RDMSR/WRMSR of x2APIC registers 0x800-0x8ff. C. 1: done. 0: done, and
 * *eoi_vector is for the I/O APIC (-1 otherwise untouched). -EINVAL: #GP.
 */
int posada_apic_msr_read(struct posada_vcpu *vcpu, u32 msr, u64 *value);
int posada_apic_msr_write(struct posada_vcpu *vcpu, u32 msr, u64 value,
			  int *eoi_vector);
/*
 * A backend whose CPU delivers interrupts, and takes TPR and EOI, by itself on
 * a page of registers in xAPIC form, gives that page at vcpu_init(). From lend
 * to take_back, a series of entries in x2APIC mode, the CPU has IRR, ISR and
 * TPR. What is requested meanwhile waits in apic.irr, and the request ends the
 * series. C; irqoff.
 */
DECLARE_STATIC_KEY_FALSE(posada_virtual_apic);	/* the backend does */

static inline bool posada_apic_by_cpu(const struct posada_vcpu *vcpu)
{
	return static_branch_unlikely(&posada_virtual_apic) &&
	       posada_apic_x2(vcpu);
}

void posada_apic_lend(struct posada_vcpu *vcpu);
void posada_apic_take_back(struct posada_vcpu *vcpu);
/* The vectors whose EOI is not for the CPU to take: it has to exit. */
static inline unsigned long posada_apic_eoi_exits(const struct posada_vcpu *vcpu,
						  unsigned int word)
{
	return vcpu->apic.reg[APIC_SPIV / 16] & APIC_SPIV_DIRECTED_EOI ?
	       0 : READ_ONCE(vcpu->apic.tmr[word]);
}

/* Write IA32_APIC_BASE. C; task. 0, or -EINVAL: #GP. */
int posada_apic_set_base(struct posada_vcpu *vcpu, u64 value, bool host);
/* Deliver by local vector table entry @index (xAPIC offset / 16). Any. */
void posada_apic_lvt(struct posada_vcpu *vcpu, u32 index);
/* Note an error (bit of ESR) and raise the error interrupt. Any context. */
void posada_apic_error(struct posada_vcpu *vcpu, u32 bit);
/* POSADA_APIC. C. */
int posada_apic_mmio(struct posada_vcpu *vcpu, struct posada_apic_reg *reg);
/* CR8, 0-15, but within a series of entries: see vcpu->cr8. C; irqoff. */
static inline u8 posada_apic_get_cr8(struct posada_vcpu *vcpu)
{
	return vcpu->apic.reg[APIC_TASKPRI / 16] >> 4;
}

void posada_apic_set_cr8(struct posada_vcpu *vcpu, u8 cr8);

/* CR8 moves without an exit: let the APIC know what the guest made it. */
static inline void posada_sync_cr8(struct posada_vcpu *vcpu)
{
	if (unlikely(vcpu->cr8 != posada_apic_get_cr8(vcpu)))
		posada_apic_set_cr8(vcpu, vcpu->cr8);
}

/*
 * Records. C. check: 0, -EINVAL, or -EOPNOTSUPP: another APIC version. Load
 * after the TSC, which a deadline is measured by.
 */
void posada_apic_save(struct posada_vcpu *vcpu, struct posada_rec_apic *rec);
int posada_apic_check(struct posada_vcpu *vcpu,
		      const struct posada_rec_apic *rec);
void posada_apic_load(struct posada_vcpu *vcpu,
		      const struct posada_rec_apic *rec);

/* ---- apic_timer.c. C, atomic or task, unless said otherwise ---- */
void posada_timer_init(struct posada_vcpu *vcpu);
/* Disarm, and wait for an expiry under way. Task. */
void posada_timer_stop(struct posada_vcpu *vcpu);
/* The LVT entry, TMICT or TDCR was written; @old is what it was. */
void posada_timer_set_mode(struct posada_vcpu *vcpu, u32 old);
void posada_timer_set_count(struct posada_vcpu *vcpu);
void posada_timer_set_divide(struct posada_vcpu *vcpu, u32 old);
/* IA32_TSC_DEADLINE: ignored, and reads 0, in the other timer modes. */
void posada_timer_set_deadline(struct posada_vcpu *vcpu, u64 guest_tsc);
u64 posada_timer_get_deadline(struct posada_vcpu *vcpu);
u32 posada_timer_count(struct posada_vcpu *vcpu);	/* current count */
/* Nanoseconds to the next expiry of a counting timer; 0: not armed. */
u64 posada_timer_remaining(struct posada_vcpu *vcpu);
/* Arm as saved: the registers are loaded already. */
void posada_timer_load(struct posada_vcpu *vcpu, u64 deadline, u64 ns);
/* The vCPU's TSC offset changed (and is stored). */
void posada_timer_tsc_changed(struct posada_vcpu *vcpu);
/* vcpu->deadline may have been reached: interrupt the vCPU if so. */
void posada_timer_poll(struct posada_vcpu *vcpu);
/* The vCPU is about to sleep: the timer has to wake it. Task. */
void posada_timer_sleep(struct posada_vcpu *vcpu);

/* ---- ipi.c: from one APIC, or from a message, to others ---- */
/* Send what ICR says. C of @src. */
void posada_ipi_send(struct posada_vcpu *src, u64 icr);
/* Check a message; 0 or -EINVAL. */
int posada_msi_check(u64 addr, u32 data);
/* Deliver it; any context with interrupts on or off. Returns the takers. */
int posada_msi_send(struct posada_vm *vm, u64 addr, u32 data);
/* Deliver mode/vector to one vCPU (fixed, NMI, INIT, SIPI). Any context. */
bool posada_apic_accept(struct posada_vcpu *vcpu, u32 mode, u8 vector,
			bool level);

/* ---- events.c: eventfds in and out ---- */
void posada_events_init(struct posada_vm *vm);		/* creation */
int posada_irqfd(struct posada_vm *vm, const struct posada_irqfd *args); /* V */
int posada_doorbell(struct posada_vm *vm, const struct posada_doorbell *a);/*V*/
void posada_events_free(struct posada_vm *vm);	/* the VM fd closes */
/* A write: signals and returns true, or false: nobody's. Task. */
bool posada_ring(struct posada_vm *vm, u32 kind, u64 addr, u32 len, u64 value);
int posada_events_module_init(void);		/* the cleanup workqueue */
void posada_events_module_exit(void);

/* ---- generation.c: the guest learns that it was restored or cloned ---- */
void posada_generation_init(struct posada_vm *vm);	/* creation */
/* Write POSADA_MSR_GENERATION; 0 or -EFAULT. C; task. */
int posada_generation_msr(struct posada_vcpu *vcpu, u64 value);
/* POSADA_GENERATION: how many vCPUs were told. V. */
int posada_generation_tell(struct posada_vm *vm,
			   struct posada_generation_set *args);

/* ---- cpuid.c ---- */
int __must_check posada_cpuid_init(struct posada_vm *vm); /* the default policy */
void posada_cpuid_free(struct posada_vm *vm);
u32 posada_cpuid_default_entries(void);
/*
 * CPUID as the exit has it, into the registers, for leaves that need no fix-up
 * and a VM that ran. False: nothing done. C, any context.
 */
bool posada_cpuid_fast(struct posada_vcpu *vcpu);
/* Answer CPUID for @vcpu: out[] is EAX, EBX, ECX, EDX. C. Never fails. */
void posada_cpuid(struct posada_vcpu *vcpu, u32 leaf, u32 subleaf, u32 out[4]);
/* Does the guest's policy have this X86_FEATURE_*? */
bool posada_cpuid_has(struct posada_vm *vm, unsigned int x86_feature);
bool posada_cpuid_amd(struct posada_vm *vm); /* the guest's vendor, or Hygon */
/* Record: *bytes in/out; write checks all and (unless @dry) replaces. V. */
int posada_cpuid_save(struct posada_vm *vm, struct posada_cpuid_entry *e,
		      u32 *nr);
int posada_cpuid_load(struct posada_vm *vm, const struct posada_cpuid_entry *e,
		      u32 nr, bool dry, u32 *bad_index);
/* CR4 bits and XCR0 bits that this guest may set. */
u64 posada_cpuid_cr4_mask(struct posada_vm *vm);
u64 posada_cpuid_xcr0_mask(struct posada_vm *vm);
/* May XCR0 hold @value where @mask is what the CPU has? */
bool posada_xcr0_valid(u64 value, u64 mask);
u64 posada_cpuid_efer_mask(struct posada_vm *vm);
u64 posada_cpuid_spec_ctrl_mask(struct posada_vm *vm);
u64 posada_cpuid_xss_mask(struct posada_vm *vm);
/* Widths of a gpa, and of a linear address on the guest's CPU. */
u32 posada_cpuid_phys_bits(struct posada_vm *vm);
u32 posada_cpuid_virt_bits(struct posada_vm *vm);

/* ---- msr.c, msr_rows.c ---- */
/* Who asks. The host (state records) may set read-only ones in reason. */
enum posada_msr_by { POSADA_BY_GUEST, POSADA_BY_HOST };
/*
 * 1: done; -ENOENT: unknown; -EINVAL: #GP; 0 (write): leave for userspace,
 * the run page is filled (APIC EOI). C.
 */
int posada_msr_read(struct posada_vcpu *vcpu, u32 index, u64 *value,
		    enum posada_msr_by by);
int posada_msr_write(struct posada_vcpu *vcpu, u32 index, u64 value,
		     enum posada_msr_by by);
/* RDMSR into the registers, of a value kept in posada_msrs. False: not done. */
bool posada_msr_read_fast(struct posada_vcpu *vcpu);
/* At module load. */
void posada_msr_init(void);
/* Check alone, for dry runs: 0, -EINVAL, -EOPNOTSUPP. */
int posada_msr_check(struct posada_vcpu *vcpu, u32 index, u64 value);
/* The MSRs that a state record holds: count and the i-th index. */
u32 posada_msr_saved(struct posada_vm *vm, u32 i);	/* 0: no more */
void posada_msr_reset(struct posada_vcpu *vcpu, bool init);

/* ---- pvclock.c: time for guests ---- */
/* Set tsc_offset and clock_offset: guests' TSC and clock start at 0. Task. */
void posada_clock_vm_init(struct posada_vm *vm);
u64 posada_guest_tsc(struct posada_vcpu *vcpu);		/* any context */
/* Set it from outside: nearly what another vCPU was set to becomes equal. C. */
void posada_set_guest_tsc(struct posada_vcpu *vcpu, u64 tsc);
void posada_set_tsc_offset(struct posada_vcpu *vcpu, u64 offset); /* C */
/* MSR writes. 0 or -EINVAL. C. */
int posada_clock_msr(struct posada_vcpu *vcpu, u32 index, u64 value);
void posada_clock_update(struct posada_vcpu *vcpu);	/* REQ_CLOCK; task */
/* The vCPU comes onto this CPU: requests CLOCK if that matters. Atomic. */
void posada_clock_load(struct posada_vcpu *vcpu);
void posada_steal_update(struct posada_vcpu *vcpu);	/* REQ_STEAL; task */
/* Sched-out: tell the guest that it does not run. Atomic, no fault. */
void posada_steal_preempted(struct posada_vcpu *vcpu);
/* RESET or INIT (by posada_msr_reset): no page is registered any more. C. */
void posada_clock_reset(struct posada_vcpu *vcpu);
void posada_clock_get(struct posada_vm *vm, struct posada_rec_clock *rec);
void posada_clock_set(struct posada_vm *vm, const struct posada_rec_clock *rec);
int posada_clock_pairing(struct posada_vcpu *vcpu, u64 gpa); /* 0, -errno */
int posada_clock_module_init(void);
void posada_clock_module_exit(void);

/* ---- hypercall.c ---- */
/* The instruction was executed (RIP still at it). C. The return rule. */
int posada_hypercall(struct posada_vcpu *vcpu);
/*
 * The same, irqoff and in 64-bit mode, for calls that may: true. The caller
 * moves RIP: no call looks at it. False: nothing done.
 */
bool posada_hypercall_fast(struct posada_vcpu *vcpu);
int posada_hypercall_msr(struct posada_vcpu *vcpu, u64 value);
/* Give @to, if it waits for a CPU, the rest of this thread's slice. Task. */
void posada_yield_to(struct posada_vcpu *to);

/* ---- exits.c ---- */
/* Move RIP past the exited instruction, whose length is known by now. 1. C. */
int posada_skip(struct posada_vcpu *vcpu);
/* What the last exit means. The return rule. C. */
int posada_handle_exit(struct posada_vcpu *vcpu);
/* The same, irqoff, for the few that need no more; -EAGAIN: nothing done. */
int posada_fast_exit(struct posada_vcpu *vcpu);
/* The I/O APIC wants to hear of this EOI. 0: to userspace. */
int posada_eoi_exit(struct posada_vcpu *vcpu, u8 vector);

/* The counter (enum posada_stat) of the last exit's cause. Any context. */
u8 posada_exit_stat(const struct posada_vcpu *vcpu);

/* ---- halt.c ---- */
/* Sleep until there is something to do. 1, or -EINTR. Task, C. */
int posada_halt(struct posada_vcpu *vcpu);

/* ---- run.c ---- */
/* POSADA_RUN. C. 0, or an errno. */
int posada_run(struct posada_vcpu *vcpu);
/* Load @ops into the static calls. At module load. */
void posada_run_init(const struct posada_backend *ops);
void posada_notifier_init(struct posada_vcpu *vcpu);

/* ---- state.c ---- */
/* 0, -EINVAL, -EOPNOTSUPP: could a CPU of this VM hold these registers? */
int posada_check_regs(struct posada_vcpu *vcpu, const struct posada_regs *r);
int posada_check_sregs(struct posada_vcpu *vcpu, const struct posada_sregs *s);
/* What only all together tell; @s, @e NULL: the vCPU's own. 0, -EINVAL. C. */
int posada_check_mode(struct posada_vcpu *vcpu, const struct posada_regs *r,
		      const struct posada_sregs *s,
		      const struct posada_events *e);
/* Of these, the control registers alone. */
int posada_check_paging(struct posada_vcpu *vcpu,
			const struct posada_sregs *s);
int posada_check_events(const struct posada_events *e);
/* An exception that a CPU can deliver: no reserved vector, no wrong word. */
bool posada_exception_valid(u32 vector, u64 payload, bool has_error, u32 error);
int posada_check_dregs(const struct posada_dregs *d);
/* Apply what was checked; read back. C. */
void posada_set_regs(struct posada_vcpu *vcpu, const struct posada_regs *r);
void posada_set_sregs(struct posada_vcpu *vcpu, const struct posada_sregs *s);
void posada_get_sregs(struct posada_vcpu *vcpu, struct posada_sregs *s);
/* POSADA_REQ_PDPTES. Task, C. */
void posada_give_pdptes(struct posada_vcpu *vcpu);
/*
 * The guest writes CR0 or CR4: what the CPU would check, do, and change with
 * it. 0, -EINVAL: #GP. Task, C.
 */
int posada_write_cr(struct posada_vcpu *vcpu, u8 number, u64 value);
void posada_set_nmi_masked(struct posada_vcpu *vcpu, bool masked);
void posada_set_events(struct posada_vcpu *vcpu, const struct posada_events *e);
void posada_get_events(struct posada_vcpu *vcpu, struct posada_events *e);
/* The ioctls; V or C. */
int posada_vm_state(struct posada_vm *vm, struct posada_state *args);
int posada_vcpu_state(struct posada_vcpu *vcpu, struct posada_state *args);

/* ---- vcpu.c ---- */
/* POSADA_VCPU_CREATE: a new fd, or an errno. V. */
int posada_vcpu_create(struct posada_vm *vm, struct posada_vcpu_create *args);
void posada_vcpu_free(struct posada_vcpu *vcpu);
int posada_vm_stats(void *object, void *args);	/* POSADA_VM_STATS */
void posada_vcpu_reset(struct posada_vcpu *vcpu, bool init);

/* ---- vm.c ---- */
/* POSADA_VM_CREATE: a new fd, or an errno. Task. */
int posada_vm_create(const struct posada_backend *ops,
		     struct posada_vm_create *args);
void posada_vm_get(struct posada_vm *vm);
void posada_vm_put(struct posada_vm *vm);

/* ---- ioctl.c: one dispatcher for the three kinds of fd ---- */

/* A row: what a call takes, and the lock it runs under. */
struct posada_ioctl {
	u32 cmd;
	u16 size;		/* of its struct; 0: takes no argument */
	u8 flags;		/* POSADA_IOCTL_* */
	u8 pad;			/* offset of a u32 that must be 0; 0: none */
	u32 valid;		/* bits of the struct's flags that exist */
	int (*call)(void *object, void *args);
};

#define POSADA_IOCTL_LOCK	(1U << 0) /* under the object's mutex */
#define POSADA_IOCTL_OUT	(1U << 1) /* copies the struct back */
#define POSADA_IOCTL_ANY_MM	(1U << 2) /* from any address space */

long posada_dispatch(const struct posada_ioctl *rows, int nr, unsigned int cmd,
		     unsigned long arg, void *object, struct mutex *lock,
		     struct mm_struct *mm);

/* kvm.ko is loaded: leave each CPU as it was found, when interrupts go on. */
DECLARE_STATIC_KEY_FALSE(posada_polite);

extern unsigned int posada_tsc_khz;
extern unsigned int posada_max_vms, posada_max_vcpus; /* module parameters */
extern u64 posada_host_xcr0;		/* XCR0 bits a guest may set */
extern u64 posada_host_xcr0_live, posada_host_xss; /* the host's own values */

#endif /* POSADA_POSADA_H */
