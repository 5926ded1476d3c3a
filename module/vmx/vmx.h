/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the VMX backend keeps for each vCPU and each CPU, shared by host.c
 * (CPUs and their VMCSs), vmx.c (life, entry, events), regs.c (registers),
 * exit.c (translation of exits) and enter.S (the switch).
 */
#ifndef POSADA_VMX_H
#define POSADA_VMX_H

#include "../switch.h"

/* Offsets into struct vmx_switch for enter.S, checked in vmx.c. */
#define VMX_SWITCH_RSP		POSADA_SPEC_BYTES
#define VMX_SWITCH_LAUNCHED	(POSADA_SPEC_BYTES + 8)
#define VMX_SWITCH_FAILED	(POSADA_SPEC_BYTES + 12)

#define VMX_HOST_RSP		0x6c14	/* HOST_RSP, for the assembler */

#ifndef __ASSEMBLY__

#include <linux/list.h>
#include <asm/asm.h>
#include <asm/vmx.h>
#include "../entry.h"

/* What enter.S reads and writes. */
struct vmx_switch {
	struct posada_spec spec;
	u64 host_rsp;		/* what the VMCS has */
	u32 launched;		/* VMRESUME, not VMLAUNCH */
	u32 failed;		/* out: VMLAUNCH or VMRESUME came back */
};

/* Bits of vmx_vcpu.todo: what commit has to look at. */
#define VMX_TODO_INJECT		BIT(0)
#define VMX_TODO_CONTROL	BIT(1)	/* cpu_control, tpr_threshold */
#define VMX_TODO_VPID		BIT(2)	/* drop linear translations */
#define VMX_TODO_EPT		BIT(3)	/* drop all translations */
#define VMX_TODO_LIVE		BIT(4)	/* live, syscall */
#define VMX_TODO_INTERCEPTS	BIT(5)	/* apic, spec_msrs */

struct vmx_vcpu {
	struct vmx_switch sw;
	u64 rsp, rflags;	/* what the VMCS has */
	u64 cr2;
	u32 todo;
	u32 interruptibility;	/* what the VMCS has */
	u32 reason;		/* of the last exit, or VMX_NO_ENTRY */
	u32 *tpr;		/* in the virtual-APIC page */
	bool timed;		/* the VMCS has a deadline's timer */
	u64 host_cr3, host_cr4, host_fs_base;	/* what the VMCS has */

	u64 vmcs;		/* its physical address */
	bool apic;		/* the VMCS has VMX_VIRTUAL_APIC */
	bool spec_msrs;		/* ... and no exits for SPEC_CTRL, PRED_CMD */
	u64 intr_status, eoi_exits[4]; /* what the VMCS has */
	int cpu;		/* whose VMCS cache may hold it, or -1; A */
	int host_cpu;		/* whose host state, TLB entries it has */
	struct list_head link;	/* on vmx_cpu.active */
	u64 eptp;
	u32 cpu_control, tpr_threshold;
	u32 inject_info, inject_error;
	u64 cr4_owned;		/* bits that the guest changes by itself */

	bool l1d_due;		/* others were here: flush the L1D cache */
	bool syscall;		/* the guest has EFER.SCE */
	struct posada_live live; /* SYSCALL's MSRs */
	u64 kernel_gs_base;	/* while not loaded */
	struct posada_thread thread; /* while loaded */
};

struct vmx_cpu {
	struct vmx_vcpu *current_vcpu;	/* whose VMCS is the current one */
	struct list_head active;	/* vCPUs whose VMCS may be cached */
	void *vmxon;			/* page */
	u64 kvm_vmcs;			/* current when we came */
	bool up;			/* VMXON by us, until vmx_cpu_down() */
	bool shared;			/* VMX is KVM's, or on for this series */
	bool kvm_on;			/* ... KVM's */
	bool kvm_cr4;			/* ... CR4.VMXE was KVM's */
};

DECLARE_PER_CPU(struct vmx_cpu, vmx_cpus);

#define VMX_NO_ENTRY		(~0U)
#define VMX_NO_VMCS		(~0ULL)
#define VMX_PENDING_STEP	BIT_ULL(14)
#define VMX_SHADOW		(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)
#define VMX_VAPIC_TPR		0x80
#define VMX_VIRTUAL_APIC	(SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE | \
				 SECONDARY_EXEC_APIC_REGISTER_VIRT |	\
				 SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)

/* CR0 bits that the guest has without exits; the others change rarely. */
#define VMX_CR0_OWNED	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM |		\
			 X86_CR0_TS | X86_CR0_WP | X86_CR0_AM | X86_CR0_PG)
/* VMX needs VMXE; MCE is the host's, for machine checks are. */
#define VMX_CR4_HOST	(X86_CR4_VMXE | X86_CR4_SMXE | X86_CR4_MCE)

/* The words of vmx_have[]: control words, then capabilities. */
enum {
	VMX_PIN, VMX_CPU, VMX_CPU2, VMX_EXIT, VMX_ENTRY, VMX_BASIC, VMX_MISC,
	VMX_EPT, VMX_NR_WORDS
};

static __always_inline struct vmx_vcpu *to_vmx(struct posada_vcpu *vcpu)
{
	return vcpu->arch;
}

/*
 * VMX instructions fault outside of VMX operation, which nobody but another
 * hypervisor's bug ends: then the guest does not run, but the host lives on.
 */
#define VMX_MAY_FAULT(insn)	"1: " insn "\n2:\n" _ASM_EXTABLE(1b, 2b)

static __always_inline u64 vmx_read(u64 field)
{
	u64 value = 0;

	asm volatile(VMX_MAY_FAULT("vmread %[field], %[value]")
		     : [value] "+r" (value) : [field] "r" (field) : "cc");
	return value;
}

/* The same after an exit: the VMCS has just been seen to be there. */
static __always_inline u64 vmx_tell(u64 field)
{
	u64 value;

	asm volatile("vmread %[field], %[value]"
		     : [value] "=r" (value) : [field] "r" (field) : "cc");
	return value;
}

static __always_inline void vmx_write(u64 field, u64 value)
{
	asm volatile(VMX_MAY_FAULT("vmwrite %[value], %[field]")
		     : : [field] "r" (field), [value] "rm" (value)
		     : "cc", "memory");
}

/* The same where the VMCS is known to have @has. */
static __always_inline void vmx_keep(u64 field, u64 *has, u64 value)
{
	if (likely(*has == value))
		return;
	vmx_write(field, value);
	*has = value;
}

/* host.c: constant once probed */
extern u64 vmx_have[VMX_NR_WORDS];

static inline bool vmx_has(int word, u64 bits)
{
	return (vmx_have[word] & bits) == bits;
}

int vmx_probe(const char **why);
void vmx_cpu_down(void);
/* Irqoff: the vCPU's VMCS becomes current here; and KVM's does again. */
void vmx_acquire(struct vmx_vcpu *vmx);
void vmx_release(struct vmx_cpu *cpu);
/* Interrupts on: no CPU has it cached, but @but may. */
void vmx_evict(struct vmx_vcpu *vmx, int but);
void vmx_flush_now(struct vmx_vcpu *vmx);

/* Have the VMCS at hand, in any context, from vmx_begin() to vmx_end(). */
struct vmx_hold {
	unsigned long irqs;
	bool acquired;
};

struct vmx_hold vmx_begin(struct vmx_vcpu *vmx);
void vmx_end(struct vmx_hold *hold);
/* ... and then what depends on vmx->apic and vmx->spec_msrs. */
void vmx_set_intercepts(struct vmx_vcpu *vmx);
u64 vmx_peek(struct vmx_vcpu *vmx, u32 field);
void vmx_poke(struct vmx_vcpu *vmx, u32 field, u64 value);

/* exit.c */
void vmx_decode(struct posada_vcpu *vcpu);

/* regs.c: operations of struct posada_backend, and what goes with them */
void vmx_get_sregs(struct posada_vcpu *vcpu, struct posada_sregs *s);
void vmx_set_sregs(struct posada_vcpu *vcpu, const struct posada_sregs *s);
void vmx_get_paging(struct posada_vcpu *vcpu, struct posada_paging *pg);
void vmx_update_debug(struct posada_vcpu *vcpu);
int vmx_get_reg(struct posada_vcpu *vcpu, u32 reg, u64 *value);
int vmx_set_reg(struct posada_vcpu *vcpu, u32 reg, u64 value);

/* enter.S. Irqoff: @regs is posada_regs.gpr. */
void vmx_switch(struct vmx_switch *sw, u64 *regs);
void vmx_exit_point(void);		/* where exits arrive: no function */
void vmx_host_nmi(void);		/* have the host handle an NMI now */

#endif /* __ASSEMBLY__ */
#endif /* POSADA_VMX_H */
