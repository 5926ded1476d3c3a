/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the SVM backend keeps for each vCPU and each CPU, shared by svm.c
 * (life, registers), exit.c (translation of exits) and enter.S (the switch).
 */
#ifndef POSADA_SVM_H
#define POSADA_SVM_H

#include "../switch.h"

/* Offsets into struct svm_switch for enter.S, checked in svm.c. */
#define SVM_SWITCH_VMCB		POSADA_SPEC_BYTES
#define SVM_SWITCH_HOST		(POSADA_SPEC_BYTES + 8)

#ifndef __ASSEMBLY__

#include <asm/msr.h>
#include <asm/svm.h>
#include "../posada.h"

/* What enter.S reads: addresses are physical. */
struct svm_switch {
	struct posada_spec spec;
	u64 vmcb;
	u64 host;		/* VMSAVE area of this CPU's host state */
};

struct svm_cpu;

/* See svm_decode_vintr(). */
enum { SVM_SHADOW_KEPT, SVM_SHADOW_LOST, SVM_SHADOW_STEP };

struct svm_vcpu {
	struct svm_switch sw;
	struct vmcb *vmcb;
	struct svm_cpu *cpu;	/* the one it is loaded on */
	u32 asid_gen;		/* of svm_cpu.asid_gen; 0: needs a new ASID */
	int asid_cpu;		/* whose ASID it is */
	bool iret_pending;	/* IRET was seen at iret_rip, not yet done */
	bool unusual;		/* any of iret_pending, nmi_step, shadow_step,
				 * shadow_in, injected.kind
				 */
	bool nmi_step;		/* stepping over it; step_flags: guest's TF */
	u8 shadow_step;		/* SVM_SHADOW_*: past an STI's shadow */
	u64 iret_rip;
	u8 shadow_in;		/* vcpu->shadow as it was entered with, ... */
	u64 shadow_in_rip;	/* ... and where */
	u64 step_flags;
	struct posada_event injected;	/* what event_inj held on entry */
};

struct svm_cpu {
	u64 host_pa;		/* VMSAVE area */
	u64 hsave_pa;		/* VMRUN's own save area */
	u32 asid_gen;		/* never 0 */
	u32 asid_next;		/* above svm_max_asid: flush all, then 1 */
	bool up;		/* SVME is set, by us, until svm_cpu_down() */
	bool borrowed;		/* SVME is set for this one series */
	u32 efer;		/* and was clear here: EFER, its low half */
};

DECLARE_PER_CPU(struct svm_cpu, svm_cpus);

/* Clean bits: AMD APM volume 2, "VMCB State Caching". */
#define SVM_CLEAN_INTERCEPTS	BIT(0)
#define SVM_CLEAN_PERM		BIT(1)
#define SVM_CLEAN_ASID		BIT(2)
#define SVM_CLEAN_INTR		BIT(3)
#define SVM_CLEAN_NPT		BIT(4)
#define SVM_CLEAN_CR		BIT(5)
#define SVM_CLEAN_DR		BIT(6)
#define SVM_CLEAN_DT		BIT(7)
#define SVM_CLEAN_SEG		BIT(8)
#define SVM_CLEAN_CR2		BIT(9)
#define SVM_CLEAN_ALL		0x3ffU

static __always_inline struct svm_vcpu *to_svm(struct posada_vcpu *vcpu)
{
	return vcpu->arch;
}

static inline void svm_intercept(struct svm_vcpu *svm, int bit, bool on)
{
	u32 *word = &svm->vmcb->control.intercepts[bit / 32];

	*word = on ? *word | BIT(bit % 32) : *word & ~BIT(bit % 32);
	svm->vmcb->control.clean &= ~SVM_CLEAN_INTERCEPTS;
}

/* Irqoff. Let this CPU execute VMRUN. */
static __always_inline void svm_enable(struct svm_cpu *cpu, u64 efer)
{
	native_wrmsrl(MSR_EFER, efer | EFER_SVME);
	native_wrmsrl(MSR_VM_HSAVE_PA, cpu->hsave_pa);
}

static __always_inline void svm_disable(u64 efer)
{
	native_wrmsrl(MSR_VM_HSAVE_PA, 0);
	native_wrmsrl(MSR_EFER, efer & ~(u64)EFER_SVME);
}

static __always_inline u64 svm_read_efer(void)
{
	return native_read_msr(MSR_EFER);
}

/* Is SVME on this CPU set by us? VM_HSAVE_PA tells whose it is. */
static inline bool svm_owns_cpu(struct svm_cpu *cpu)
{
	return (svm_read_efer() & EFER_SVME) &&
	       native_read_msr(MSR_VM_HSAVE_PA) == cpu->hsave_pa;
}

/* host.c: constant once probed */
extern u32 svm_max_asid;
extern void *svm_iopm;			/* intercepts every port */
extern void *svm_msrpm;			/* every MSR but the allow list */
extern void *svm_msrpm_spec;		/* and SPEC_CTRL, PRED_CMD */

int svm_probe(const char **why);
void svm_cpu_down(void);

/* exit.c */
void svm_decode(struct posada_vcpu *vcpu);

/* svm.c */
void svm_irq_window(struct svm_vcpu *svm, u32 windows);
void svm_window(struct posada_vcpu *vcpu, u32 windows);
void svm_flush_tlb(struct posada_vcpu *vcpu);

/* regs.c: operations of struct posada_backend */
void svm_get_sregs(struct posada_vcpu *vcpu, struct posada_sregs *s);
void svm_set_sregs(struct posada_vcpu *vcpu, const struct posada_sregs *s);
void svm_get_paging(struct posada_vcpu *vcpu, struct posada_paging *pg);
void svm_update_debug(struct posada_vcpu *vcpu);
int svm_get_reg(struct posada_vcpu *vcpu, u32 reg, u64 *value);
int svm_set_reg(struct posada_vcpu *vcpu, u32 reg, u64 value);

/* enter.S. Irqoff, GIF clear: @regs is posada_regs.gpr. */
void svm_switch(struct svm_switch *sw, u64 *regs);

#endif /* __ASSEMBLY__ */
#endif /* POSADA_SVM_H */
