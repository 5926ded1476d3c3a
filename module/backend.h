/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The seam between the core and a backend (SVM, VMX, ring3).
 *
 * A backend enters the guest, leaves it, and turns the hardware's exit into
 * one neutral struct posada_exit. It decides nothing: what an exit means is
 * exits.c's. It calls neither another backend nor the core above it; the
 * core never sees a VMCB or a VMCS.
 */
#ifndef POSADA_BACKEND_H
#define POSADA_BACKEND_H

#include <linux/types.h>
#include "../uapi/posada.h"

struct posada_vm;
struct posada_vcpu;
struct posada_paging;
struct posada_pt_format;

/* Why the guest was left. Order: hottest first, indexes exits.c's table. */
enum posada_exit_kind {
	POSADA_X_NONE,		/* nothing to do: enter again */
	POSADA_X_HOST_IRQ,	/* the host has an interrupt or NMI to take */
	POSADA_X_TIMER,		/* vcpu->deadline, or the bound of an entry */
	POSADA_X_MSR,		/* msr */
	POSADA_X_PORT,		/* port */
	POSADA_X_MEMORY,	/* memory: a second-level fault */
	POSADA_X_HALT,
	POSADA_X_HYPERCALL,
	POSADA_X_CPUID,
	POSADA_X_EOI,		/* eoi: one that posada_apic_eoi_exits() names */
	POSADA_X_WINDOW,	/* what POSADA_WINDOW_* asked for is possible */
	POSADA_X_PAUSE,		/* a vCPU spins */
	POSADA_X_SKIP,		/* an insn without effect here (WBINVD, ...) */
	POSADA_X_XSETBV,
	POSADA_X_CR,		/* cr: a write that the CPU left to us */
	POSADA_X_DR,		/* dr, if a debugger may have the real ones */
	POSADA_X_FAULT,		/* fault: raise this exception in the guest */
	POSADA_X_DEBUG,		/* debug: #DB or #BP was intercepted */
	POSADA_X_TASK,		/* task: the CPU does not switch tasks */
	POSADA_X_SHUTDOWN,	/* triple fault */
	POSADA_X_MACHINE_CHECK,
	POSADA_X_BAD_STATE,	/* fail: the CPU refused to enter */
	POSADA_X_UNKNOWN,	/* fail: an exit that was not asked for */
	POSADA_NR_X
};

/* The instructions whose length the core may have to find out itself. */
enum posada_insn {
	POSADA_INSN_NONE,
	POSADA_INSN_CPUID, POSADA_INSN_RDMSR, POSADA_INSN_WRMSR,
	POSADA_INSN_HLT, POSADA_INSN_HYPERCALL, POSADA_INSN_XSETBV,
	POSADA_INSN_WBINVD, POSADA_INSN_INVD, POSADA_INSN_PAUSE,
	POSADA_NR_INSN
};

enum posada_cr_write { POSADA_CR_MOV, POSADA_CR_CLTS, POSADA_CR_LMSW };

/* An event on its way into the guest: injected, or its delivery cut short. */
struct posada_event {
	u8 kind;		/* enum posada_event_kind */
	u8 vector;
	bool has_error;
	bool again;		/* its delivery was cut short before */
	u32 error;
	u64 payload;		/* #PF: CR2, #DB: DR6 bits */
};

#define POSADA_NO_DEADLINE	(~0ULL)

struct posada_exit {
	union {
		struct {
			u8 kind;	/* enum posada_exit_kind */
			u8 insn;	/* enum posada_insn */
			u8 insn_len;	/* bytes; 0: the CPU did not say */
			u8 nr_bytes;	/* in bytes[]; 0: it saved none */
		};
		u32 head;		/* all four, for tables of exits */
	};
	u8 bytes[16];		/* the instruction at RIP, where saved */
	struct posada_event interrupted; /* whose delivery this exit cut */
	union {
		struct {
			u16 port;
			u8 len;
			bool in, string;
		} port;
		struct {
			u64 gpa;
			bool write, exec, walk;
		} memory;
		struct {
			bool write;
		} msr;
		struct {
			u8 vector;
		} eoi;
		struct {
			u8 number;	/* 0 or 4 */
			u8 how;		/* enum posada_cr_write */
			u8 gpr;		/* of MOV */
			u16 word;	/* of LMSW */
		} cr;
		struct {
			u8 number, gpr;
			bool write;
		} dr;
		struct {
			u8 vector;
			bool has_error;
			u32 error;
		} fault;
		struct {
			u16 selector;
			u8 source;	/* POSADA_TASK_* */
		} task;
		struct {
			u8 vector;	/* 1 or 3 */
			u64 dr6;	/* the bits that this #DB sets */
		} debug;
		struct {
			u64 code;
			u64 info;
		} fail;
	};
};

/*
 * A row of a backend's table of hardware exits: kind and instruction, as the
 * head of struct posada_exit has them, and the vector of POSADA_X_FAULT.
 */
struct posada_exit_row {
	union {
		struct {
			u8 kind, insn, insn_len, nr_bytes;
		};
		u32 head;
	};
	u8 vector;
};

#define POSADA_ROW(k)		{ .kind = (k) }
#define POSADA_ROW_INSN(k, i)	{ .kind = (k), .insn = (i) }
#define POSADA_ROW_FAULT(v)	{ .kind = POSADA_X_FAULT, .vector = (v) }

/*
 * Windows to ask for; each fires once as POSADA_X_WINDOW. IRQ: when RFLAGS.IF
 * and the shadow let an interrupt in, and CR8 is below the priority, if that
 * is not 0.
 */
#define POSADA_WINDOW_IRQ	(1U << 0)
#define POSADA_WINDOW_NMI	(1U << 1)
#define POSADA_WINDOW_PRIO(p)	((u32)(p) << 8)	/* 0-15 */
#define POSADA_WINDOW_PRIO_OF(w) (((w) >> 8) & 0xf)

/*
 * Registers that have no number of an MSR, where no MSR is. Those that a
 * backend has not: DR6, the core keeps it; PDPTE, the CPU reads the four
 * entries of PAE paging from memory.
 */
enum posada_switched_reg {
	POSADA_REG_DR6 = 0xffff0000U,
	POSADA_REG_DR7,
	POSADA_REG_TSC_OFFSET,	/* guest TSC = host TSC + this */
	POSADA_REG_PDPTE,	/* ... of outside of long mode */
	POSADA_REG_PDPTE_END = POSADA_REG_PDPTE + 4
};

/*
 * The operations. Context "task": sleepable, vcpu->mutex held, preemption on.
 * "atomic": preemption off, on vcpu->cpu, vCPU loaded. "irqoff": interrupts
 * off too. Register values that move on each exit live in struct posada_vcpu
 * (regs, shadow, nmi_masked, cr8): enter() loads them and stores them back,
 * and cpl and long64 with them; every other register moves by the calls below.
 */
struct posada_backend {
	const char *name;
	enum posada_backend_id id;
	u64 features;			/* POSADA_FEATURE_*; set by probe() */
	/* The tables that second-level paging is built of; set by probe(). */
	const struct posada_pt_format *format;
	int pt_levels;
	size_t vcpu_bytes;	/* of what vcpu->arch points to */
	int vcpu_pages;		/* and vcpu->arch_page, POSADA_ARCH_PAGES at most */
	u8 hypercall[3];	/* the instruction */
	bool large_no_exec;	/* what guests execute has to be 4 KiB pages */
	/* enter() ends at vcpu->deadline, if not before; set by probe(). */
	bool entry_timer;

	/*
	 * Task, once at load. 0, or -ENODEV (the CPU has none), -EPERM (the
	 * firmware locked it), -EOPNOTSUPP (a needed part is missing), -EBUSY
	 * (another hypervisor holds it);
	 * @why gets one line in words on failure, but for -ENOMEM. What it
	 * takes by posada_keep_pages(), the core frees.
	 */
	int (*probe)(const char **why);
	/*
	 * Irqoff, on the CPU, none of its vCPUs in a guest: leave no trace of
	 * virtualization on it. load() brings the CPU up when it has to.
	 */
	void (*cpu_down)(void);

	/* Task: fill vcpu->arch and arch_page, which are zero; MSRs, too. */
	void (*vcpu_init)(struct posada_vcpu *vcpu);
	/* Task: no CPU may go on using them. NULL: none does. */
	void (*vcpu_free)(struct posada_vcpu *vcpu);
	/*
	 * Task: the state after INIT, which leaves MSRs alone, but for regs,
	 * sregs and nmi_masked. Also before the first entry.
	 */
	void (*vcpu_reset)(struct posada_vcpu *vcpu);
	/* Atomic: this CPU is going to run the vCPU; it no longer is (or NULL). */
	void (*load)(struct posada_vcpu *vcpu);
	void (*put)(struct posada_vcpu *vcpu);

	/*
	 * Irqoff: before the first and after the last of a series of entries
	 * between which interrupts stay off. arm() loads what the guest has
	 * in the CPU beyond what an entry switches, disarm() takes it out.
	 */
	void (*arm)(struct posada_vcpu *vcpu);
	void (*disarm)(struct posada_vcpu *vcpu);
	/*
	 * Irqoff, armed: run the guest until the next exit. Host interrupts
	 * are taken after disarm(), by the core.
	 */
	void (*enter)(struct posada_vcpu *vcpu);
	/* Irqoff: translate the raw exit of enter() into vcpu->exit. */
	void (*decode)(struct posada_vcpu *vcpu);

	/* Atomic: deliver @ev at the next entry. A #DB's payload is in DR6. */
	void (*inject)(struct posada_vcpu *vcpu, const struct posada_event *ev);
	/* Atomic: ask for exactly these windows (POSADA_WINDOW_*). */
	void (*window)(struct posada_vcpu *vcpu, u32 windows);
	/* Task or atomic: the core set vcpu->nmi_masked. NULL: enter() looks. */
	void (*nmi_masked)(struct posada_vcpu *vcpu);

	/*
	 * Task or atomic: segments, tables, control registers, EFER; CR8 and,
	 * to get, CPL are the core's.
	 */
	void (*get_sregs)(struct posada_vcpu *vcpu, struct posada_sregs *s);
	void (*set_sregs)(struct posada_vcpu *vcpu,
			  const struct posada_sregs *s);
	/*
	 * Task or atomic: just what a page walk and a fetch need, but for what
	 * struct posada_vcpu has.
	 */
	void (*get_paging)(struct posada_vcpu *vcpu, struct posada_paging *pg);
	/* Task or irqoff: intercept what vcpu->debug and vcpu->dr ask for. */
	void (*update_debug)(struct posada_vcpu *vcpu);
	/*
	 * Task or atomic: registers that the CPU switches, by an MSR's number
	 * or POSADA_REG_*. 0, or -ENOENT: not one of the backend's. Values
	 * were checked by the core.
	 */
	int (*get_reg)(struct posada_vcpu *vcpu, u32 reg, u64 *value);
	int (*set_reg)(struct posada_vcpu *vcpu, u32 reg, u64 value);
	/* Atomic: drop the vCPU's translations before the next entry. */
	void (*flush_tlb)(struct posada_vcpu *vcpu);
};

/* ---- pages.c. Task ---- */
/* 2^@order zeroed pages in a row, until posada_free_kept(); NULL: none left. */
void *posada_keep_pages(unsigned int order);
void posada_free_kept(void);

extern struct posada_backend posada_svm, posada_vmx;

#endif /* POSADA_BACKEND_H */
