// SPDX-License-Identifier: GPL-2.0
/*
 * The registers that the VMCB holds, to and from the neutral structs.
 */
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/trapnr.h>
#include "../pagetable.h"
#include "svm.h"

/* The VMCB has them in the order of their encoding, the tables in between. */
static_assert(offsetof(struct vmcb_save_area, gs) ==
	      POSADA_GS * sizeof(struct vmcb_seg));

static struct vmcb_seg *svm_seg(struct vmcb *vmcb, int seg)
{
	if (seg == POSADA_LDTR)
		return &vmcb->save.ldtr;
	if (seg == POSADA_TR)
		return &vmcb->save.tr;
	return &vmcb->save.es + seg;
}

#define SVM_SEG_ATTR	0x0fff
#define SVM_TSS_BUSY	0x2	/* in the type of a TSS */

/*
 * QEMU's TR is not busy, ever: with one that is, it aborts when a 32-bit guest
 * goes from CPL 3 to 0. Real CPUs that emulate no CPU have NRIP save.
 */
static bool svm_tss_never_busy(void)
{
	return boot_cpu_has(X86_FEATURE_HYPERVISOR) &&
	       !boot_cpu_has(X86_FEATURE_NRIPS);
}

/* Limit, selector and attributes are one word, its halves the other way round. */
#define SVM_SEG_WORD	(POSADA_SEG_MASK(SVM_SEG_ATTR) | GENMASK_ULL(47, 0))
#define POSADA_SEG_MASK(attr) ((u64)(attr) << 48)

static_assert(offsetof(struct vmcb_seg, selector) == 0 &&
	      offsetof(struct vmcb_seg, attrib) == 2 &&
	      offsetof(struct vmcb_seg, limit) == 4);
static_assert(offsetof(struct posada_segment, limit) == 8 &&
	      offsetof(struct posada_segment, selector) == 12 &&
	      offsetof(struct posada_segment, attr) == 14);

static __always_inline void svm_get_seg(const struct vmcb_seg *v,
					struct posada_segment *s)
{
	u64 word = ror64(*(const u64 *)v, 32) & SVM_SEG_WORD;

	if (unlikely(!(word & POSADA_SEG_MASK(POSADA_SEG_P))))
		word |= POSADA_SEG_MASK(POSADA_SEG_UNUSABLE);
	s->base = v->base;
	*(u64 *)&s->limit = word;
}

void svm_get_sregs(struct posada_vcpu *vcpu, struct posada_sregs *s)
{
	const struct vmcb_save_area *v = &to_svm(vcpu)->vmcb->save;
	int i;

	for (i = POSADA_ES; i <= POSADA_GS; i++)
		svm_get_seg(&v->es + i, &s->seg[i]);
	svm_get_seg(&v->ldtr, &s->seg[POSADA_LDTR]);
	svm_get_seg(&v->tr, &s->seg[POSADA_TR]);
	/* TR is busy by its nature; some CPUs, and QEMU, leave that out. */
	s->seg[POSADA_TR].attr |= SVM_TSS_BUSY;
	/* SVM keeps the CPL apart; elsewhere it is SS.DPL. */
	s->seg[POSADA_SS].attr &= ~POSADA_SEG_DPL;
	s->seg[POSADA_SS].attr |= v->cpl << POSADA_SEG_DPL_SHIFT;
	s->gdt = (struct posada_table){ v->gdtr.base, v->gdtr.limit };
	s->idt = (struct posada_table){ v->idtr.base, v->idtr.limit };
	s->cr0 = v->cr0;
	s->cr2 = v->cr2;
	s->cr3 = v->cr3;
	s->cr4 = v->cr4;
	s->efer = v->efer & ~(u64)EFER_SVME;
}

void svm_set_sregs(struct posada_vcpu *vcpu, const struct posada_sregs *s)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	struct vmcb_save_area *v = &svm->vmcb->save;
	int i;

	for (i = 0; i < POSADA_NR_SEGS; i++) {
		struct vmcb_seg *seg = svm_seg(svm->vmcb, i);

		seg->base = s->seg[i].base;
		seg->limit = s->seg[i].limit;
		seg->selector = s->seg[i].selector;
		seg->attrib = s->seg[i].attr & SVM_SEG_ATTR;
		if (s->seg[i].attr & POSADA_SEG_UNUSABLE)
			seg->attrib &= ~POSADA_SEG_P;
	}
	if (svm_tss_never_busy())
		v->tr.attrib &= ~SVM_TSS_BUSY;
	v->cpl = s->cpl;
	v->gdtr.base = s->gdt.base;
	v->gdtr.limit = s->gdt.limit;
	v->idtr.base = s->idt.base;
	v->idtr.limit = s->idt.limit;
	v->cr0 = s->cr0;
	v->cr2 = s->cr2;
	v->cr3 = s->cr3;
	v->cr4 = s->cr4;
	v->efer = s->efer | EFER_SVME;
	svm->vmcb->control.clean &= ~(SVM_CLEAN_CR | SVM_CLEAN_DT |
				      SVM_CLEAN_SEG | SVM_CLEAN_CR2);
	/* Paging may mean something else now; translations may not survive. */
	svm_flush_tlb(vcpu);
}

void svm_get_paging(struct posada_vcpu *vcpu, struct posada_paging *pg)
{
	const struct vmcb_save_area *v = &to_svm(vcpu)->vmcb->save;

	pg->cr0 = v->cr0;
	pg->cr3 = v->cr3;
	pg->cr4 = v->cr4;
	pg->efer = v->efer & ~(u64)EFER_SVME;
	pg->cs_base = v->cs.base;
	pg->cs_l = v->cs.attrib & POSADA_SEG_L;
	pg->cs_db = v->cs.attrib & POSADA_SEG_DB;
}

#define SVM_ALL_DR	0x00ff00ff	/* reads, and writes */

void svm_update_debug(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm_intercept(svm, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_BP,
		      vcpu->debug.flags & POSADA_DEBUG_BREAK);
	svm->vmcb->control.intercepts[INTERCEPT_DR] =
		vcpu->dr.wanted ? 0 : SVM_ALL_DR;
}

/* Where the VMCB keeps a register, or NULL. */
static u64 *svm_reg(struct vmcb *vmcb, u32 reg)
{
	struct vmcb_save_area *s = &vmcb->save;

	switch (reg) {
	case MSR_STAR:			return &s->star;
	case MSR_LSTAR:			return &s->lstar;
	case MSR_CSTAR:			return &s->cstar;
	case MSR_SYSCALL_MASK:		return &s->sfmask;
	case MSR_KERNEL_GS_BASE:	return &s->kernel_gs_base;
	case MSR_FS_BASE:		return &s->fs.base;
	case MSR_GS_BASE:		return &s->gs.base;
	case MSR_IA32_SYSENTER_CS:	return &s->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:	return &s->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP:	return &s->sysenter_eip;
	case MSR_IA32_CR_PAT:		return &s->g_pat;
	case POSADA_REG_DR6:		return &s->dr6;
	case POSADA_REG_DR7:		return &s->dr7;
	case POSADA_REG_TSC_OFFSET:	return &vmcb->control.tsc_offset;
	}
	return NULL;
}

/* The guest uses SPEC_CTRL or PRED_CMD: no more exits for them. */
static void svm_spec_ctrl_passthrough(struct posada_vcpu *vcpu)
{
	struct svm_vcpu *svm = to_svm(vcpu);

	svm->vmcb->control.msrpm_base_pa = __pa(svm_msrpm_spec);
	svm->vmcb->control.clean &= ~SVM_CLEAN_PERM;
	/* With V_SPEC_CTRL the CPU keeps both sides apart by itself. */
	if (!boot_cpu_has(X86_FEATURE_V_SPEC_CTRL))
		svm->sw.spec.on = 1;
}

int svm_get_reg(struct posada_vcpu *vcpu, u32 reg, u64 *value)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 *field = svm_reg(svm->vmcb, reg);

	if (field) {
		*value = *field;
		return 0;
	}
	if (reg != MSR_IA32_SPEC_CTRL ||
	    !boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL))
		return -ENOENT;
	*value = boot_cpu_has(X86_FEATURE_V_SPEC_CTRL) ?
		 svm->vmcb->save.spec_ctrl : svm->sw.spec.guest;
	return 0;
}

int svm_set_reg(struct posada_vcpu *vcpu, u32 reg, u64 value)
{
	struct svm_vcpu *svm = to_svm(vcpu);
	u64 *field = svm_reg(svm->vmcb, reg);

	if (field) {
		*field = value;
		svm->vmcb->control.clean &= ~(SVM_CLEAN_NPT | SVM_CLEAN_SEG |
					      SVM_CLEAN_DR |
					      SVM_CLEAN_INTERCEPTS);
		return 0;
	}
	/* Some CPUs have a barrier, but no SPEC_CTRL: nothing to pass on. */
	if (!boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL))
		return -ENOENT;
	if (reg == MSR_IA32_PRED_CMD) {
		svm_spec_ctrl_passthrough(vcpu);
		return 0;
	}
	if (reg != MSR_IA32_SPEC_CTRL)
		return -ENOENT;
	if (boot_cpu_has(X86_FEATURE_V_SPEC_CTRL))
		svm->vmcb->save.spec_ctrl = value;
	else
		svm->sw.spec.guest = value;
	if (value)
		svm_spec_ctrl_passthrough(vcpu);
	return 0;
}
