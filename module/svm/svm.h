/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the SVM backend keeps for each vCPU and each CPU, shared by svm.c
 * (life, registers), exit.c (translation of exits) and enter.S (the switch).
 */
#ifndef POSADA_SVM_H
#define POSADA_SVM_H

/* Offsets into struct svm_switch for enter.S, checked in svm.c. */
#define SVM_SWITCH_VMCB		0
#define SVM_SWITCH_HOST		8
#define SVM_SWITCH_GUEST_SPEC	16
#define SVM_SWITCH_HOST_SPEC	24
#define SVM_SWITCH_FLAGS	32

#define SVM_SWITCH_SPEC_CTRL	1	/* SPEC_CTRL differs or is the guest's */

#ifndef __ASSEMBLY__

#include <asm/svm.h>
#include "../posada.h"

/* What enter.S reads: addresses are physical. */
struct svm_switch {
	u64 vmcb;
	u64 host;		/* VMSAVE area of this CPU's host state */
	u64 guest_spec_ctrl;	/* in and out */
	u64 host_spec_ctrl;
	u64 flags;
};

struct svm_vcpu {
	struct svm_switch sw;
	struct vmcb *vmcb;
	u32 asid_gen;		/* of svm_cpu.asid_gen; 0: needs a new ASID */
	int asid_cpu;		/* whose ASID it is */
	bool nmi_masked;	/* since an NMI went in, until IRET is done */
	bool iret_pending;	/* IRET was seen at iret_rip, not yet done */
	bool nmi_step;		/* stepping over it; step_flags: guest's TF */
	u64 iret_rip;
	u64 step_flags;
	bool dr_loaded;		/* the guest uses DR0-3: they are in the CPU */
	struct posada_event injected;	/* what event_inj held on entry */
	u64 dr[4];
};

struct svm_cpu {
	struct vmcb *host;	/* VMSAVE area */
	u64 host_pa;
	u64 hsave_pa;		/* VMRUN's own save area */
	u32 asid_gen;		/* never 0 */
	u32 asid_next;
	struct vmcb *last;	/* the vCPU that ran here last, for IBPB */
	bool borrowed;		/* SVME is set for this one entry */
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

static inline struct svm_vcpu *to_svm(struct posada_vcpu *vcpu)
{
	return vcpu->arch;
}

static inline void svm_intercept(struct svm_vcpu *svm, int bit, bool on)
{
	u32 *word = &svm->vmcb->control.intercepts[bit / 32];

	*word = on ? *word | BIT(bit % 32) : *word & ~BIT(bit % 32);
	svm->vmcb->control.clean &= ~SVM_CLEAN_INTERCEPTS;
}

void svm_decode(struct posada_vcpu *vcpu);
void svm_window(struct posada_vcpu *vcpu, u32 windows);
void svm_load_dregs(struct svm_vcpu *svm);
void svm_spec_ctrl_passthrough(struct posada_vcpu *vcpu);

/* enter.S. Irqoff, GIF clear: @regs is posada_regs.gpr. */
void svm_switch(struct svm_switch *sw, u64 *regs);

#endif /* __ASSEMBLY__ */
#endif /* POSADA_SVM_H */
