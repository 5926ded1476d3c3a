// SPDX-License-Identifier: GPL-2.0
/*
 * The VMX backend: the life of a vCPU's part, the entry, events. host.c has
 * the CPUs, regs.c the registers, exit.c the exits; enter.S switches.
 */
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/special_insns.h>
#include <asm/trapnr.h>
#include "vmx.h"

#define VMX_PLE_GAP		128	/* cycles that keep a loop a loop */
#define VMX_PLE_WINDOW		4096	/* cycles of a loop before an exit */
#define VMX_ENTRY_MS		10	/* an entry lasts at most */

static_assert(offsetof(struct vmx_switch, host_rsp) == VMX_SWITCH_RSP);
static_assert(offsetof(struct vmx_switch, launched) == VMX_SWITCH_LAUNCHED);
static_assert(offsetof(struct vmx_switch, failed) == VMX_SWITCH_FAILED);
static_assert(HOST_RSP == VMX_HOST_RSP);
static_assert(POSADA_WORD_VALID == INTR_INFO_VALID_MASK);
static_assert(POSADA_WORD_ERROR == INTR_INFO_DELIVER_CODE_MASK);
static_assert(POSADA_WORD_TYPE == INTR_INFO_INTR_TYPE_MASK);
static_assert(POSADA_NMI_MASKED == GUEST_INTR_STATE_NMI);
static_assert(POSADA_SHADOW_STI == GUEST_INTR_STATE_STI);
static_assert(POSADA_SHADOW_MOV_SS == GUEST_INTR_STATE_MOV_SS);

/* ---- a vCPU: creation, reset, load ---- */

/*
 * What fields of the VMCS start with. Of those that this CPU does not have, the
 * write fails, and that is all.
 */
static const struct {
	u32 field;
	u64 value;
} vmx_constants[] = {
	{ PAGE_FAULT_ERROR_CODE_MASK, 0 }, { PAGE_FAULT_ERROR_CODE_MATCH, 0 },
	{ VM_EXIT_MSR_STORE_COUNT, 0 }, { VM_EXIT_MSR_LOAD_COUNT, 0 },
	{ VM_ENTRY_MSR_LOAD_COUNT, 0 }, { VM_ENTRY_INTR_INFO_FIELD, 0 },
	{ CR3_TARGET_COUNT, 0 }, { XSS_EXIT_BITMAP, 0 },
	{ PLE_GAP, VMX_PLE_GAP }, { PLE_WINDOW, VMX_PLE_WINDOW },
	{ VMCS_LINK_POINTER, VMX_NO_VMCS },
	{ CR0_GUEST_HOST_MASK, ~VMX_CR0_OWNED },
	{ HOST_CS_SELECTOR, __KERNEL_CS }, { HOST_SS_SELECTOR, __KERNEL_DS },
	{ HOST_DS_SELECTOR, 0 }, { HOST_ES_SELECTOR, 0 },
	{ HOST_FS_SELECTOR, 0 }, { HOST_GS_SELECTOR, 0 },
	{ HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8 }, { HOST_FS_BASE, 0 },
	{ GUEST_INTR_STATUS, 0 }, { EOI_EXIT_BITMAP0, 0 },
	{ EOI_EXIT_BITMAP1, 0 }, { EOI_EXIT_BITMAP2, 0 }, { EOI_EXIT_BITMAP3, 0 },
	{ GUEST_SYSENTER_CS, 0 }, { GUEST_SYSENTER_ESP, 0 },
	{ GUEST_SYSENTER_EIP, 0 }, { GUEST_IA32_DEBUGCTL, 0 },
	{ GUEST_IA32_PAT, POSADA_RESET_PAT },
};

/* What is the same on all CPUs, for good. host.c and vmx_arm() have the rest. */
static void vmx_init_host(void)
{
	struct desc_ptr idt;

	store_idt(&idt);
	vmx_write(HOST_IDTR_BASE, idt.address);
	vmx_write(HOST_CR0, read_cr0());
	vmx_write(HOST_RIP, (unsigned long)vmx_exit_point);
	vmx_write(HOST_IA32_SYSENTER_CS, native_read_msr(MSR_IA32_SYSENTER_CS));
	vmx_write(HOST_IA32_SYSENTER_EIP, native_read_msr(MSR_IA32_SYSENTER_EIP));
	vmx_write(HOST_IA32_EFER, native_read_msr(MSR_EFER));
	vmx_write(HOST_IA32_PAT, native_read_msr(MSR_IA32_CR_PAT));
}

/* All of it: the memory may have been an active VMCS once. */
static void vmx_init_vmcs(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_hold hold __cleanup(vmx_end) = vmx_begin(vmx);
	int i;

	for (i = 0; i < ARRAY_SIZE(vmx_constants); i++)
		vmx_write(vmx_constants[i].field, vmx_constants[i].value);
	vmx_write(PIN_BASED_VM_EXEC_CONTROL, vmx_have[VMX_PIN]);
	vmx_write(VM_EXIT_CONTROLS, vmx_have[VMX_EXIT]);
	vmx_write(EPT_POINTER, vmx->eptp);
	/* Translations are tagged by the root table, too: unique in a VM will do. */
	vmx_write(VIRTUAL_PROCESSOR_ID, vcpu->id + 1);
	vmx_write(VIRTUAL_APIC_PAGE_ADDR, __pa(vcpu->arch_page[1]));
	vmx_init_host();
}

static void vmx_vcpu_init(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 *vmcs = vcpu->arch_page[0];

	*vmcs = vmx_basic_vmcs_revision_id(vmx_have[VMX_BASIC]);
	vmx->vmcs = __pa(vmcs);
	vmx->cpu = -1;
	vmx->host_cpu = -1;
	vmx->tpr = vcpu->arch_page[1] + VMX_VAPIC_TPR;
	if (vmx_has(VMX_CPU2, VMX_VIRTUAL_APIC))
		vcpu->apic.page = vcpu->arch_page[1];
	vmx->timed = true;
	posada_live_init(&vmx->live);
	vmx->cpu_control = vmx_have[VMX_CPU];
	vmx->eptp = vcpu->vm->mmu.root | VMX_EPTP_MT_WB |
		    (posada_vmx.pt_levels == 5 ? VMX_EPTP_PWL_5 :
						 VMX_EPTP_PWL_4) |
		    (vmx_has(VMX_EPT, VMX_EPT_AD_BIT) ? VMX_EPTP_AD_ENABLE_BIT : 0);
	/* With IBRS, each exit has to write it. */
	if (boot_cpu_has(X86_FEATURE_KERNEL_IBRS))
		vmx->sw.spec.on = 1;
	vmx_init_vmcs(vcpu);
}

static void vmx_vcpu_free(struct posada_vcpu *vcpu)
{
	vmx_evict(to_vmx(vcpu), -1);
}

/*
 * An interrupt window that a TPR has to open is the TPR's threshold; what else
 * holds the interrupt back is asked for when that has been reached.
 */
static void vmx_window(struct posada_vcpu *vcpu, u32 windows)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 prio = POSADA_WINDOW_PRIO_OF(windows);

	vmx->cpu_control &= ~(CPU_BASED_INTR_WINDOW_EXITING |
			      CPU_BASED_NMI_WINDOW_EXITING);
	if ((windows & POSADA_WINDOW_IRQ) && !prio)
		vmx->cpu_control |= CPU_BASED_INTR_WINDOW_EXITING;
	if (windows & POSADA_WINDOW_NMI)
		vmx->cpu_control |= CPU_BASED_NMI_WINDOW_EXITING;
	vmx->tpr_threshold = windows & POSADA_WINDOW_IRQ ? prio : 0;
	vmx->todo |= VMX_TODO_CONTROL;
}

static void vmx_vcpu_reset(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_hold hold __cleanup(vmx_end) = vmx_begin(vmx);

	vmx_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vmx_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmx_write(GUEST_INTERRUPTIBILITY_INFO, 0);
	vmx->interruptibility = 0;
	/* The VMCS has none of these as the run page may have them. */
	vmx->rsp = ~0ULL;
	vmx->rflags = ~0ULL;
	vmx->todo = VMX_TODO_EPT | VMX_TODO_LIVE | VMX_TODO_INTERCEPTS;
	vmx_window(vcpu, 0);
}

static void vmx_load(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_evict(vmx, smp_processor_id());
	posada_thread_leave(&vmx->thread, vmx->kernel_gs_base);
	posada_live_sync(&vmx->live, vmx->syscall);
	vmx->l1d_due = true;
}

static void vmx_put(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned long irqs;

	posada_live_sync(&vmx->live, false);
	local_irq_save(irqs);
	vmx->kernel_gs_base = posada_thread_return(&vmx->thread);
	/* It goes offline: no INIT would wake it from VMX operation. */
	if (unlikely(!cpu_active(smp_processor_id())))
		vmx_cpu_down();
	local_irq_restore(irqs);
}

/* ---- the entry ---- */

/*
 * End the entry when the guest's timer is due, and after VMX_ENTRY_MS: Bochs
 * forgets host interrupts if an entry finds the guest's IF clear.
 */
static noinline void vmx_commit_timer(struct posada_vcpu *vcpu)
{
	u64 deadline = READ_ONCE(vcpu->deadline), now = rdtsc();
	int shift = vmx_misc_preemption_timer_rate(vmx_have[VMX_MISC]);
	u64 left = VMX_ENTRY_MS * posada_tsc_khz;

	if (!posada_vmx.entry_timer)
		return;
	to_vmx(vcpu)->timed = deadline != POSADA_NO_DEADLINE;
	if (deadline <= now)
		left = 0;
	else if (deadline - now < left)
		/* It counts whole units: not a part of one too early. */
		left = deadline - now + BIT(shift) - 1;
	vmx_write(VMX_PREEMPTION_TIMER_VALUE, left >> shift);
}

static noinline void vmx_commit_rest(struct vmx_vcpu *vmx)
{
	if (vmx->todo & VMX_TODO_CONTROL) {
		vmx_write(CPU_BASED_VM_EXEC_CONTROL, vmx->cpu_control);
		vmx_write(TPR_THRESHOLD, vmx->tpr_threshold);
	}
	if (vmx->todo & VMX_TODO_INJECT) {
		vmx_write(VM_ENTRY_INTR_INFO_FIELD, vmx->inject_info);
		vmx_write(VM_ENTRY_EXCEPTION_ERROR_CODE, vmx->inject_error);
	}
	if (vmx->todo & VMX_TODO_INTERCEPTS)
		vmx_set_intercepts(vmx);
	if (vmx->todo & VMX_TODO_LIVE)
		posada_live_sync(&vmx->live, vmx->syscall);
	if (vmx->todo & (VMX_TODO_VPID | VMX_TODO_EPT))
		vmx_flush_now(vmx);
	vmx->todo = 0;
}

/* The shadow and masked NMIs; and a trap due after the shadow, as VMX has it. */
static noinline void vmx_commit_shadow(struct posada_vcpu *vcpu, u32 state)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 debug;

	/* Without IF, VMX knows no shadow of STI. */
	if (!(vcpu->regs.rflags & X86_EFLAGS_IF))
		state &= ~GUEST_INTR_STATE_STI;
	/* An interrupt that goes in ends a shadow: it had none. */
	if ((vmx->todo & VMX_TODO_INJECT) &&
	    (vmx->inject_info & INTR_INFO_INTR_TYPE_MASK) <= INTR_TYPE_NMI_INTR)
		state &= ~VMX_SHADOW;
	vmx_write(GUEST_INTERRUPTIBILITY_INFO, state);
	vmx->interruptibility = state;
	if (state & VMX_SHADOW) {
		debug = vmx_read(GUEST_PENDING_DBG_EXCEPTIONS) & ~VMX_PENDING_STEP;
		if (vcpu->regs.rflags & X86_EFLAGS_TF)
			debug |= VMX_PENDING_STEP;
		vmx_write(GUEST_PENDING_DBG_EXCEPTIONS, debug);
	}
}

static __always_inline void vmx_commit(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 state = vcpu->nmi_masked | vcpu->shadow;

	vmx_write(GUEST_RIP, vcpu->regs.rip);
	vmx_keep(GUEST_RSP, &vmx->rsp, vcpu->regs.gpr[POSADA_RSP]);
	vmx_keep(GUEST_RFLAGS, &vmx->rflags, vcpu->regs.rflags);
	if (unlikely(state != vmx->interruptibility || vcpu->shadow))
		vmx_commit_shadow(vcpu, state);
	if (!vmx->apic)
		*vmx->tpr = vcpu->cr8 << 4;
	if (unlikely(vmx->timed || vcpu->deadline != POSADA_NO_DEADLINE))
		vmx_commit_timer(vcpu);
	if (unlikely(vmx->todo))
		vmx_commit_rest(vmx);
}

static __always_inline void vmx_collect(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u32 state = vmx_tell(GUEST_INTERRUPTIBILITY_INFO);

	vmx->rsp = vmx_tell(GUEST_RSP);
	vmx->rflags = vmx_tell(GUEST_RFLAGS);
	vcpu->regs.rip = vmx_tell(GUEST_RIP);
	vcpu->regs.gpr[POSADA_RSP] = vmx->rsp;
	vcpu->regs.rflags = vmx->rflags;
	vmx->interruptibility = state;
	vcpu->nmi_masked = state & GUEST_INTR_STATE_NMI;
	vcpu->shadow = state & VMX_SHADOW;
	/* No trap is due but after a shadow; Bochs says so of each cut short. */
	if (unlikely(vmx->rflags & X86_EFLAGS_TF) && !vcpu->shadow)
		vmx_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vcpu->cr8 = *vmx->tpr >> 4;
	vcpu->cpl = VMX_AR_DPL(vmx_tell(GUEST_SS_AR_BYTES));
	vcpu->long64 = (vmx_tell(GUEST_CS_AR_BYTES) & VMX_AR_L_MASK) &&
		       (vmx_tell(GUEST_IA32_EFER) & EFER_LMA);
	vmx->reason = vmx_tell(VM_EXIT_REASON);
	vmx->sw.launched = 1;
}

static noinstr void vmx_enter(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	instrumentation_begin();
	vmx_commit(vcpu);
	instrumentation_end();
	posada_context_enter();
	if (unlikely(vmx->cr2 != native_read_cr2()))
		native_write_cr2(vmx->cr2);
	vmx_switch(&vmx->sw, vcpu->regs.gpr);
	vmx->cr2 = native_read_cr2();
	posada_context_exit();
	instrumentation_begin();
	if (unlikely(vmx->sw.failed))
		vmx->reason = VMX_NO_ENTRY;
	else
		vmx_collect(vcpu);
	instrumentation_end();
}

static void vmx_arm_apic(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	int i;

	vmx_keep(GUEST_INTR_STATUS, &vmx->intr_status, vcpu->apic.status);
	for (i = 0; i < 4; i++)
		vmx_keep(EOI_EXIT_BITMAP0 + 2 * i, &vmx->eoi_exits[i],
			 posada_apic_eoi_exits(vcpu, i));
}

static void vmx_arm(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (unlikely(this_cpu_read(vmx_cpus.current_vcpu) != vmx))
		vmx_acquire(vmx);
	/* What of the host's an exit loads, and a series may find changed. */
	vmx_keep(HOST_CR3, &vmx->host_cr3, __read_cr3());
	vmx_keep(HOST_CR4, &vmx->host_cr4, __read_cr4());
	vmx_keep(HOST_FS_BASE, &vmx->host_fs_base, vmx->thread.fs_base);
	posada_thread_drop(&vmx->thread);
	/* The guest's APIC has come to x2APIC mode, or has left it. */
	if (unlikely(vcpu->apic.lent != vmx->apic)) {
		vmx->apic = vcpu->apic.lent;
		vmx->todo |= VMX_TODO_INTERCEPTS;
	}
	if (vmx->apic)
		vmx_arm_apic(vcpu);
	posada_spec_arm(&vmx->sw.spec);
	if (posada_l1d_leaks)
		posada_l1d_flush(&vmx->l1d_due);
}

static void vmx_disarm(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (vmx->apic) {
		vmx->intr_status = vmx_read(GUEST_INTR_STATUS);
		vcpu->apic.status = vmx->intr_status;
	}
	vmx_release(this_cpu_ptr(&vmx_cpus));
	/* The exit left DEBUGCTL 0. */
	if (unlikely(vmx->thread.debugctl))
		update_debugctlmsr(vmx->thread.debugctl);
}

/* ---- events ---- */

/* The vectors whose error code VMX insists on, in protected mode. */
#define VMX_ERROR_CODES		(POSADA_ERROR_CODES & ~BIT(21))

static void vmx_inject(struct posada_vcpu *vcpu, const struct posada_event *ev)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->inject_info = posada_event_word(ev) & ~POSADA_WORD_ERROR;
	vmx->inject_error = ev->has_error ? ev->error : 0;
	vmx->todo |= VMX_TODO_INJECT;
	/* The entry masks NMIs again. */
	if (ev->kind == POSADA_EVENT_NMI)
		vcpu->nmi_masked = 0;
	if (ev->kind != POSADA_EVENT_EXCEPTION)
		return;
	if ((VMX_ERROR_CODES & BIT(ev->vector)) &&
	    (vmx_peek(vmx, GUEST_CR0) & X86_CR0_PE))
		vmx->inject_info |= POSADA_WORD_ERROR;
	if (ev->vector == X86_TRAP_PF)
		vmx->cr2 = ev->payload;
}

static void vmx_flush_tlb(struct posada_vcpu *vcpu)
{
	to_vmx(vcpu)->todo |= VMX_TODO_EPT;
}

struct posada_backend posada_vmx = {
	.name = "vmx",
	.id = POSADA_BACKEND_VMX,
	.hypercall = { 0x0f, 0x01, 0xc1 },	/* VMCALL */
	.vcpu_bytes = sizeof(struct vmx_vcpu),
	.vcpu_pages = 2,
	.probe = vmx_probe,
	.cpu_down = vmx_cpu_down,
	.vcpu_init = vmx_vcpu_init,
	.vcpu_free = vmx_vcpu_free,
	.vcpu_reset = vmx_vcpu_reset,
	.load = vmx_load,
	.put = vmx_put,
	.arm = vmx_arm,
	.disarm = vmx_disarm,
	.enter = vmx_enter,
	.decode = vmx_decode,
	.inject = vmx_inject,
	.window = vmx_window,
	.get_sregs = vmx_get_sregs,
	.set_sregs = vmx_set_sregs,
	.get_paging = vmx_get_paging,
	.update_debug = vmx_update_debug,
	.get_reg = vmx_get_reg,
	.set_reg = vmx_set_reg,
	.flush_tlb = vmx_flush_tlb,
};
