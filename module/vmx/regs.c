// SPDX-License-Identifier: GPL-2.0
/*
 * The registers that the VMCS holds, to and from the neutral structs.
 */
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>
#include "../pagetable.h"
#include "vmx.h"

/* The fields of a segment lie 2 apart, in the order of the encoding. */
#define VMX_SEG(field, seg)	(GUEST_ES_##field + 2 * (seg))

static_assert(VMX_SEG(SELECTOR, POSADA_GS) == GUEST_GS_SELECTOR);
static_assert(VMX_SEG(SELECTOR, POSADA_LDTR) == GUEST_LDTR_SELECTOR);
static_assert(VMX_SEG(BASE, POSADA_TR) == GUEST_TR_BASE);
static_assert(VMX_SEG(LIMIT, POSADA_TR) == GUEST_TR_LIMIT);
static_assert(VMX_SEG(AR_BYTES, POSADA_TR) == GUEST_TR_AR_BYTES);

/* Access rights: VMX leaves a gap of four bits after the first eight. */
#define VMX_AR_LOW		0xff
#define VMX_AR_HIGH		0xf00
#define VMX_AR_GAP		4

/* ---- segments ---- */

static void vmx_get_seg(int i, struct posada_segment *s)
{
	u32 ar = vmx_read(VMX_SEG(AR_BYTES, i));

	s->base = vmx_read(VMX_SEG(BASE, i));
	s->limit = vmx_read(VMX_SEG(LIMIT, i));
	s->selector = vmx_read(VMX_SEG(SELECTOR, i));
	s->attr = (ar & VMX_AR_LOW) | (ar >> VMX_AR_GAP & VMX_AR_HIGH);
	if (ar & VMX_AR_UNUSABLE_MASK)
		s->attr = (s->attr & ~POSADA_SEG_P) | POSADA_SEG_UNUSABLE;
}

static void vmx_set_seg(const struct posada_sregs *s, int i)
{
	u32 attr = s->seg[i].attr, ar;

	ar = (attr & VMX_AR_LOW) | (attr & VMX_AR_HIGH) << VMX_AR_GAP;
	if (attr & POSADA_SEG_UNUSABLE || !(attr & POSADA_SEG_P))
		ar = (ar & ~VMX_AR_P_MASK) | VMX_AR_UNUSABLE_MASK;
	vmx_write(VMX_SEG(BASE, i), s->seg[i].base);
	vmx_write(VMX_SEG(LIMIT, i), s->seg[i].limit);
	vmx_write(VMX_SEG(SELECTOR, i), s->seg[i].selector);
	vmx_write(VMX_SEG(AR_BYTES, i), ar);
}

/* ---- control registers ---- */

/* Bits that the guest owns are in the register, the others in the shadow. */
static u64 vmx_cr0(void)
{
	return (vmx_read(GUEST_CR0) & VMX_CR0_OWNED) |
	       (vmx_read(CR0_READ_SHADOW) & ~VMX_CR0_OWNED);
}

static u64 vmx_cr4(struct vmx_vcpu *vmx)
{
	return (vmx_read(GUEST_CR4) & vmx->cr4_owned) |
	       (vmx_read(CR4_READ_SHADOW) & ~vmx->cr4_owned);
}

/* A guest's CD is not the CPU's: memory types are the second level's. */
static void vmx_set_cr0(u64 cr0)
{
	vmx_write(GUEST_CR0, (cr0 & VMX_CR0_OWNED) | X86_CR0_ET | X86_CR0_NE);
	vmx_write(CR0_READ_SHADOW, cr0);
}

/* The guest changes by itself what its CPUID lets it: once that is fixed. */
static void vmx_set_cr4(struct posada_vcpu *vcpu, u64 cr4)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 host = cr4_read_shadow() & X86_CR4_MCE;

	vmx->cr4_owned = 0;
	if (vcpu->vm->ran)
		vmx->cr4_owned = posada_cpuid_cr4_mask(vcpu->vm) & ~VMX_CR4_HOST;
	vmx_write(GUEST_CR4, (cr4 & ~VMX_CR4_HOST) | host | X86_CR4_VMXE);
	vmx_write(CR4_READ_SHADOW, cr4);
	vmx_write(CR4_GUEST_HOST_MASK, ~vmx->cr4_owned);
}

static void vmx_set_efer(struct vmx_vcpu *vmx, u64 efer)
{
	u32 entry = vmx_have[VMX_ENTRY] & ~VM_ENTRY_IA32E_MODE;

	if (efer & EFER_LMA)
		entry |= VM_ENTRY_IA32E_MODE;
	vmx_write(VM_ENTRY_CONTROLS, entry);
	vmx_write(GUEST_IA32_EFER, efer);
	vmx->syscall = efer & EFER_SCE;
}

/* ---- all of them ---- */

void vmx_get_sregs(struct posada_vcpu *vcpu, struct posada_sregs *s)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_hold hold __cleanup(vmx_end) = vmx_begin(vmx);
	int i;

	for (i = 0; i < POSADA_NR_SEGS; i++)
		vmx_get_seg(i, &s->seg[i]);
	s->gdt = (struct posada_table){ vmx_read(GUEST_GDTR_BASE),
					vmx_read(GUEST_GDTR_LIMIT) };
	s->idt = (struct posada_table){ vmx_read(GUEST_IDTR_BASE),
					vmx_read(GUEST_IDTR_LIMIT) };
	s->cr0 = vmx_cr0();
	s->cr3 = vmx_read(GUEST_CR3);
	s->cr4 = vmx_cr4(vmx);
	s->efer = vmx_read(GUEST_IA32_EFER);
	s->cr2 = vmx->cr2;
}

void vmx_set_sregs(struct posada_vcpu *vcpu, const struct posada_sregs *s)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_hold hold __cleanup(vmx_end) = vmx_begin(vmx);
	int i;

	for (i = 0; i < POSADA_NR_SEGS; i++)
		vmx_set_seg(s, i);
	vmx_write(GUEST_GDTR_BASE, s->gdt.base);
	vmx_write(GUEST_GDTR_LIMIT, s->gdt.limit);
	vmx_write(GUEST_IDTR_BASE, s->idt.base);
	vmx_write(GUEST_IDTR_LIMIT, s->idt.limit);
	vmx_set_cr0(s->cr0);
	vmx_write(GUEST_CR3, s->cr3);
	vmx_set_cr4(vcpu, s->cr4);
	vmx_set_efer(vmx, s->efer);
	vmx->cr2 = s->cr2;
	/* Paging may mean something else now; translations may not survive. */
	vmx->todo |= VMX_TODO_VPID | VMX_TODO_LIVE;
}

void vmx_get_paging(struct posada_vcpu *vcpu, struct posada_paging *pg)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_hold hold __cleanup(vmx_end) = vmx_begin(vmx);
	u32 ar = vmx_read(GUEST_CS_AR_BYTES);

	pg->cr0 = vmx_cr0();
	pg->cr3 = vmx_read(GUEST_CR3);
	pg->cr4 = vmx_cr4(vmx);
	pg->efer = vmx_read(GUEST_IA32_EFER);
	pg->cs_base = vmx_read(GUEST_CS_BASE);
	pg->cs_l = ar & VMX_AR_L_MASK;
	pg->cs_db = ar & VMX_AR_DB_MASK;
}

/* ---- others ---- */

void vmx_update_debug(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	/* #UD: the other vendor's hypercall. #AC: an endless loop else. */
	u32 exceptions = BIT(X86_TRAP_DB) | BIT(X86_TRAP_UD) |
			 BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC);

	if (vcpu->debug.flags & POSADA_DEBUG_BREAK)
		exceptions |= BIT(X86_TRAP_BP);
	vmx_poke(vmx, EXCEPTION_BITMAP, exceptions);
	/* If a debugger wants them, an exit for each. */
	vmx->cpu_control |= CPU_BASED_MOV_DR_EXITING;
	if (vcpu->dr.wanted && !(vcpu->debug.flags & POSADA_DEBUG_HARDWARE))
		vmx->cpu_control &= ~CPU_BASED_MOV_DR_EXITING;
	vmx->todo |= VMX_TODO_CONTROL;
}

/* Where the VMCS keeps a register, or 0. */
static u32 vmx_field(u32 reg)
{
	switch (reg) {
	case MSR_FS_BASE:		return GUEST_FS_BASE;
	case MSR_GS_BASE:		return GUEST_GS_BASE;
	case MSR_IA32_SYSENTER_CS:	return GUEST_SYSENTER_CS;
	case MSR_IA32_SYSENTER_ESP:	return GUEST_SYSENTER_ESP;
	case MSR_IA32_SYSENTER_EIP:	return GUEST_SYSENTER_EIP;
	case MSR_IA32_CR_PAT:		return GUEST_IA32_PAT;
	case POSADA_REG_DR7:		return GUEST_DR7;
	case POSADA_REG_TSC_OFFSET:	return TSC_OFFSET;
	case POSADA_REG_PDPTE ... POSADA_REG_PDPTE_END - 1:
		return GUEST_PDPTR0 + 2 * (reg - POSADA_REG_PDPTE);
	}
	return 0;
}

/* Where we keep it, or NULL. No exit asks for KERNEL_GS_BASE while loaded. */
static u64 *vmx_kept(struct vmx_vcpu *vmx, u32 reg)
{
	if (reg == MSR_KERNEL_GS_BASE)
		return &vmx->kernel_gs_base;
	if (reg == MSR_IA32_SPEC_CTRL)
		return &vmx->sw.spec.guest;
	return posada_live_msr(&vmx->live, reg);
}

int vmx_get_reg(struct posada_vcpu *vcpu, u32 reg, u64 *value)
{
	u64 *kept = vmx_kept(to_vmx(vcpu), reg);
	u32 field = vmx_field(reg);

	if (!field && !kept)
		return -ENOENT;
	*value = field ? vmx_peek(to_vmx(vcpu), field) : *kept;
	return 0;
}

int vmx_set_reg(struct posada_vcpu *vcpu, u32 reg, u64 value)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 *kept = vmx_kept(vmx, reg);
	u32 field = vmx_field(reg);

	if (field)
		vmx_poke(vmx, field, value);
	else if (kept)
		*kept = value;
	else if (reg != MSR_IA32_PRED_CMD)
		return -ENOENT;
	vmx->todo |= VMX_TODO_LIVE;
	/* The guest uses SPEC_CTRL or PRED_CMD: no more exits for them. */
	if ((reg == MSR_IA32_PRED_CMD || (reg == MSR_IA32_SPEC_CTRL && value)) &&
	    boot_cpu_has(X86_FEATURE_MSR_SPEC_CTRL)) {
		vmx->spec_msrs = true;
		vmx->sw.spec.on = 1;
		vmx->todo |= VMX_TODO_INTERCEPTS;
	}
	return 0;
}
