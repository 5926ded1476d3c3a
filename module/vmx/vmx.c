// SPDX-License-Identifier: GPL-2.0
/*
 * The VMX backend: the life of a vCPU's part, the entry, events. host.c has
 * the CPUs, regs.c the registers, exit.c the exits; enter.S switches.
 */
#include <linux/hardirq.h>
#include <linux/hw_breakpoint.h>
#include <linux/slab.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/special_insns.h>
#include <asm/trapnr.h>
#include "../entry.h"
#include "../pagetable.h"
#include "vmx.h"

#define VMX_RESET_PAT		0x0007040600070406ULL
#define VMX_PLE_GAP		128	/* cycles that keep a loop a loop */
#define VMX_PLE_WINDOW		4096	/* cycles of a loop before an exit */
#define VMX_ENTRY_MS		10	/* an entry lasts at most */
#define VMX_L1D_BYTES		(64 << 10)	/* of lines of 64 bytes */

static_assert(offsetof(struct vmx_switch, host_rsp) == VMX_SWITCH_RSP);
static_assert(offsetof(struct vmx_switch, guest_spec_ctrl) ==
	      VMX_SWITCH_GUEST_SPEC);
static_assert(offsetof(struct vmx_switch, host_spec_ctrl) ==
	      VMX_SWITCH_HOST_SPEC);
static_assert(offsetof(struct vmx_switch, flags) == VMX_SWITCH_FLAGS);
static_assert(offsetof(struct vmx_switch, failed) == VMX_SWITCH_FAILED);
static_assert(HOST_RSP == VMX_HOST_RSP);

/*
 * Write-back; the guest's PAT has its say. Accessed and dirty bits are taken
 * out again on a CPU that does not set them.
 */
static struct posada_pt_format vmx_ept = {
	.levels_max = 5,
	.present = VMX_EPT_READABLE_MASK,
	.write = VMX_EPT_WRITABLE_MASK,
	.exec = VMX_EPT_EXECUTABLE_MASK,
	.accessed = VMX_EPT_ACCESS_BIT,
	.dirty = VMX_EPT_DIRTY_BIT,
	.large = BIT_ULL(7),
	.leaf = VMX_EPTP_MT_WB << VMX_EPT_MT_EPTE_SHIFT,
	.address = GENMASK_ULL(51, 12),
};

/* ---- a vCPU: creation, reset, load ---- */

static void vmx_init_controls(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_write(PIN_BASED_VM_EXEC_CONTROL, vmx_have[VMX_PIN]);
	vmx_write(CPU_BASED_VM_EXEC_CONTROL, vmx->cpu_control);
	vmx_write(SECONDARY_VM_EXEC_CONTROL, vmx_have[VMX_CPU2]);
	vmx_write(VM_EXIT_CONTROLS, vmx_have[VMX_EXIT]);
	vmx_write(EPT_POINTER, vmx->eptp);
	/* Translations are tagged by the root table, too: unique in a VM will do. */
	if (vmx_has(VMX_CPU2, SECONDARY_EXEC_ENABLE_VPID))
		vmx_write(VIRTUAL_PROCESSOR_ID, vcpu->id + 1);
	vmx_write(MSR_BITMAP, __pa(vmx_msr_bitmap));
	vmx_write(VIRTUAL_APIC_PAGE_ADDR, __pa(vmx->vapic));
	vmx_write(TPR_THRESHOLD, 0);
	vmx_write(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmx_write(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmx_write(CR3_TARGET_COUNT, 0);
	vmx_write(VM_EXIT_MSR_STORE_COUNT, 0);
	vmx_write(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmx_write(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmx_write(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmx_write(VMCS_LINK_POINTER, VMX_NO_VMCS);
	vmx_write(CR0_GUEST_HOST_MASK, ~VMX_CR0_OWNED);
	/* Bochs forgets host interrupts if an entry finds the guest's IF clear. */
	if (vmx_has(VMX_PIN, PIN_BASED_VMX_PREEMPTION_TIMER))
		vmx_write(VMX_PREEMPTION_TIMER_VALUE,
			  VMX_ENTRY_MS * posada_tsc_khz >>
			  vmx_misc_preemption_timer_rate(vmx_have[VMX_MISC]));
	if (vmx_has(VMX_CPU2, SECONDARY_EXEC_PAUSE_LOOP_EXITING)) {
		vmx_write(PLE_GAP, VMX_PLE_GAP);
		vmx_write(PLE_WINDOW, VMX_PLE_WINDOW);
	}
	if (vmx_has(VMX_CPU2, VMCS_CONTROL_BIT(XSAVES)))
		vmx_write(XSS_EXIT_BITMAP, 0);
}

/* What is the same on all CPUs, for good. host.c and vmx_arm() have the rest. */
static void vmx_init_host(void)
{
	struct desc_ptr idt;
	u64 value;

	store_idt(&idt);
	vmx_write(HOST_IDTR_BASE, idt.address);
	vmx_write(HOST_CR0, read_cr0());
	vmx_write(HOST_CS_SELECTOR, __KERNEL_CS);
	vmx_write(HOST_SS_SELECTOR, __KERNEL_DS);
	vmx_write(HOST_DS_SELECTOR, 0);
	vmx_write(HOST_ES_SELECTOR, 0);
	vmx_write(HOST_FS_SELECTOR, 0);
	vmx_write(HOST_GS_SELECTOR, 0);
	vmx_write(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	vmx_write(HOST_FS_BASE, 0);
	vmx_write(HOST_RIP, (unsigned long)vmx_exit_point);
	rdmsrl(MSR_IA32_SYSENTER_CS, value);
	vmx_write(HOST_IA32_SYSENTER_CS, value);
	rdmsrl(MSR_IA32_SYSENTER_EIP, value);
	vmx_write(HOST_IA32_SYSENTER_EIP, value);
	rdmsrl(MSR_EFER, value);
	vmx_write(HOST_IA32_EFER, value);
	rdmsrl(MSR_IA32_CR_PAT, value);
	vmx_write(HOST_IA32_PAT, value);
}

static void vmx_init_vmcs(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_hold hold;

	*(u32 *)vmx->vmcs = vmx_basic_vmcs_revision_id(vmx_have[VMX_BASIC]);
	vmx->cpu = -1;
	vmx->host_cpu = -1;
	vmx->tpr = vmx->vapic + VMX_VAPIC_TPR;
	memcpy(vmx->live_msr, vmx_host_syscall, sizeof(vmx->live_msr));
	vmx->cpu_control = vmx_have[VMX_CPU] & ~(CPU_BASED_INTR_WINDOW_EXITING |
						 CPU_BASED_NMI_WINDOW_EXITING);
	vmx->eptp = vcpu->vm->mmu.root | VMX_EPTP_MT_WB |
		    (posada_vmx.pt_levels == 5 ? VMX_EPTP_PWL_5 :
						 VMX_EPTP_PWL_4) |
		    (vmx_ept.accessed ? VMX_EPTP_AD_ENABLE_BIT : 0);
	/* With IBRS, each exit has to write it. */
	if (boot_cpu_has(X86_FEATURE_KERNEL_IBRS))
		vmx->sw.flags |= VMX_SWITCH_SPEC_CTRL;
	vmx_begin(vmx, &hold);
	/* The memory may have been an active VMCS once. */
	vmx_init_controls(vcpu);
	vmx_init_host();
	vmx_end(&hold);
}

static void vmx_vcpu_free(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx_forget(vmx);
	free_page((unsigned long)vmx->vmcs);
	free_page((unsigned long)vmx->vapic);
	kfree(vmx);
	vcpu->arch = NULL;
}

static int vmx_vcpu_init(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = kzalloc(sizeof(*vmx), GFP_KERNEL_ACCOUNT);

	if (!vmx)
		return -ENOMEM;
	vmx->vmcs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vmx->vapic = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs || !vmx->vapic) {
		free_page((unsigned long)vmx->vmcs);
		free_page((unsigned long)vmx->vapic);
		kfree(vmx);
		return -ENOMEM;
	}
	vcpu->arch = vmx;
	vmx_init_vmcs(vcpu);
	return 0;
}

static void vmx_reset_msrs(struct vmx_vcpu *vmx)
{
	memset(vmx->syscall_msr, 0, sizeof(vmx->syscall_msr));
	vmx->cstar = 0;
	vmx->kernel_gs_base = 0;
	vmx->sw.guest_spec_ctrl = 0;
	vmx_write(GUEST_SYSENTER_CS, 0);
	vmx_write(GUEST_SYSENTER_ESP, 0);
	vmx_write(GUEST_SYSENTER_EIP, 0);
	vmx_write(GUEST_IA32_PAT, VMX_RESET_PAT);
	vmx_write(GUEST_IA32_DEBUGCTL, 0);
}

static void vmx_vcpu_reset(struct posada_vcpu *vcpu, bool init)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_hold hold;

	vmx_begin(vmx, &hold);
	if (!init)
		vmx_reset_msrs(vmx);
	memset(vmx->dr, 0, sizeof(vmx->dr));
	vmx->dr6 = DR6_RESERVED;
	vmx->dr7_kept = false;
	vmx_write(GUEST_DR7, POSADA_DR7_FIXED);
	vmx_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vmx_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmx_write(GUEST_INTERRUPTIBILITY_INFO, 0);
	vmx->interruptibility = 0;
	vmx->nmi_masked = 0;
	/* The VMCS has none of these as the run page may have them. */
	vmx->rsp = ~0ULL;
	vmx->rflags = ~0ULL;
	vmx->tpr_threshold = 0;
	vmx->cpu_control &= ~(CPU_BASED_INTR_WINDOW_EXITING |
			      CPU_BASED_NMI_WINDOW_EXITING);
	vmx->todo = VMX_TODO_CONTROL | VMX_TODO_EPT;
	vmx_update_debug(vcpu);
	vmx_end(&hold);
}

static __always_inline u64 vmx_fs_base(void)
{
	u64 base;

	if (cpu_feature_enabled(X86_FEATURE_FSGSBASE))
		return rdfsbase();
	rdmsrl(MSR_FS_BASE, base);
	return base;
}

/* This thread's own, to be had back when it goes to userspace or sleeps. */
static void vmx_note_host(struct vmx_host *h)
{
	savesegment(fs, h->fs);
	savesegment(gs, h->gs);
	savesegment(ds, h->ds);
	savesegment(es, h->es);
	h->ldt = 0;
	h->stale = false;
	h->fs_base = vmx_fs_base();
	rdmsrl(MSR_KERNEL_GS_BASE, h->kernel_gs_base);
	h->debugctl = get_debugctlmsr();
}

static void vmx_load(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);

	vmx_fetch(vmx);
	/* KVM may have trained any branch here since. */
	if (static_branch_unlikely(&posada_polite) || cpu->last != vmx) {
		cpu->last = vmx;
		indirect_branch_prediction_barrier();
	}
	if (unlikely(!vmx->policy_known))
		vmx_own_cr4(vcpu);
	vmx_note_host(&vmx->host);
	if (vmx->kernel_gs_base != vmx->host.kernel_gs_base)
		wrmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	vmx->l1d_due = true;
	vmx->loaded = true;
	vmx_sync_syscall(vmx);
}

/* Exits leave null selectors, and tables whose limits are too large. */
static void vmx_bring_back_host(struct vmx_host *h)
{
	if (unlikely(h->ds | h->es)) {
		loadsegment(ds, h->ds);
		loadsegment(es, h->es);
	}
	if (unlikely(h->ldt))
		asm volatile("lldt %0" : : "r" (h->ldt));
	if (unlikely(h->fs)) {
		loadsegment(fs, h->fs);
		x86_fsbase_write_cpu(h->fs_base);
	}
	if (unlikely(h->gs))
		load_gs_index(h->gs);
	load_fixmap_gdt(smp_processor_id());
	invalidate_tss_limit();
}

static void vmx_put(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned long irqs;

	/* Ask again, lest a guest that once used them pays on each entry. */
	if (vmx->dr_loaded && !(vcpu->debug.flags & POSADA_DEBUG_HARDWARE) &&
	    !(vmx_peek(vmx, GUEST_DR7) & VMX_DR7_ARMED)) {
		vmx->dr_loaded = false;
		vmx->cpu_control |= CPU_BASED_MOV_DR_EXITING;
		vmx->todo |= VMX_TODO_CONTROL;
	}
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	vmx->loaded = false;
	vmx_sync_syscall(vmx);
	local_irq_save(irqs);
	if (vmx->host.stale)
		vmx_bring_back_host(&vmx->host);
	/* A selector brings a base along. */
	if (vmx->kernel_gs_base != vmx->host.kernel_gs_base || vmx->host.gs)
		wrmsrl(MSR_KERNEL_GS_BASE, vmx->host.kernel_gs_base);
	/* It goes offline: no INIT would wake it from VMX operation. */
	if (unlikely(!cpu_active(smp_processor_id())))
		vmx_cpu_down();
	local_irq_restore(irqs);
}

/* ---- the entry ---- */

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
	if (vmx->todo & (VMX_TODO_VPID | VMX_TODO_EPT))
		vmx_flush_now(vmx);
	vmx->todo = 0;
}

static u32 vmx_shadow(struct posada_vcpu *vcpu)
{
	if (vcpu->shadow == POSADA_SHADOW_MOV_SS)
		return GUEST_INTR_STATE_MOV_SS;
	/* Without IF, VMX knows no shadow of STI. */
	return vcpu->regs.rflags & X86_EFLAGS_IF ? GUEST_INTR_STATE_STI : 0;
}

/* The shadow and masked NMIs; and a trap due after the shadow, as VMX has it. */
static noinline void vmx_commit_shadow(struct posada_vcpu *vcpu, u32 state)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	u64 debug;

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
	u32 state = vmx->nmi_masked;

	vmx_write(GUEST_RIP, vcpu->regs.rip);
	if (vcpu->regs.gpr[POSADA_RSP] != vmx->rsp)
		vmx_write(GUEST_RSP, vcpu->regs.gpr[POSADA_RSP]);
	if (vcpu->regs.rflags != vmx->rflags)
		vmx_write(GUEST_RFLAGS, vcpu->regs.rflags);
	if (unlikely(vcpu->shadow))
		state |= vmx_shadow(vcpu);
	if (unlikely(state != vmx->interruptibility || vcpu->shadow))
		vmx_commit_shadow(vcpu, state);
	*vmx->tpr = vcpu->cr8 << 4;
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
	vmx->nmi_masked = state & GUEST_INTR_STATE_NMI;
	vcpu->shadow = 0;
	if (unlikely(state & VMX_SHADOW))
		vcpu->shadow = state & GUEST_INTR_STATE_STI ?
			       POSADA_SHADOW_STI : POSADA_SHADOW_MOV_SS;
	/* No trap is due but after a shadow; Bochs says so of each cut short. */
	else if (unlikely(vmx->rflags & X86_EFLAGS_TF))
		vmx_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vcpu->cr8 = *vmx->tpr >> 4;
	vcpu->cpl = VMX_AR_DPL(vmx_tell(GUEST_SS_AR_BYTES));
	vcpu->long64 = (vmx_tell(GUEST_CS_AR_BYTES) & VMX_AR_L_MASK) &&
		       (vmx_tell(GUEST_IA32_EFER) & EFER_LMA);
	vmx->reason = vmx_tell(VM_EXIT_REASON);
	vmx->sw.flags |= VMX_SWITCH_LAUNCHED;
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

/* What of the host's an exit loads, and a series may find changed. */
static __always_inline void vmx_commit_host(struct vmx_vcpu *vmx)
{
	u64 cr3 = __read_cr3(), cr4 = __read_cr4();
	u16 ldt;

	if (unlikely(cr3 != vmx->host_cr3)) {
		vmx_write(HOST_CR3, cr3);
		vmx->host_cr3 = cr3;
	}
	if (unlikely(cr4 != vmx->host_cr4)) {
		vmx_write(HOST_CR4, cr4);
		vmx->host_cr4 = cr4;
	}
	if (unlikely(vmx->host.fs_base != vmx->host_fs_base)) {
		vmx_write(HOST_FS_BASE, vmx->host.fs_base);
		vmx->host_fs_base = vmx->host.fs_base;
	}
	/* Another thread may load an LDT; an exit leaves none. */
	asm volatile("sldt %0" : "=r" (ldt));
	if (unlikely(ldt))
		vmx->host.ldt = ldt;
	vmx->host.stale = true;
}

/*
 * L1TF: what others have read may not stay where a guest finds it. As KVM does
 * by default, after other threads and interrupts, not after each exit.
 */
static noinline void vmx_flush_l1d(struct vmx_vcpu *vmx)
{
	static char empty[VMX_L1D_BYTES] __aligned(PAGE_SIZE);
	int i;

	if (!vmx->l1d_due && !kvm_get_cpu_l1tf_flush_l1d())
		return;
	vmx->l1d_due = false;
	kvm_clear_cpu_l1tf_flush_l1d();
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
		return;
	}
	/* The pages' translations first, then each line of them. */
	for (i = 0; i < sizeof(empty); i += PAGE_SIZE)
		READ_ONCE(empty[i]);
	for (i = 0; i < sizeof(empty); i += PAGE_SIZE)
		asm volatile(".set line, 0\n"
			     ".rept 64\n"
			     "testb $0, line(%[page])\n"
			     ".set line, line + 64\n"
			     ".endr" : : [page] "r" (empty + i) : "cc");
	/* All of them before the guest has the CPU. */
	rmb();
}

static void vmx_arm(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	if (unlikely(this_cpu_read(vmx_cpus.current_vcpu) != vmx))
		vmx_acquire(vmx);
	vmx_commit_host(vmx);
	if (vmx->sw.flags & VMX_SWITCH_SPEC_CTRL)
		vmx->sw.host_spec_ctrl = this_cpu_read(x86_spec_ctrl_current);
	vmx->dr_armed = vmx->dr_loaded;
	if (unlikely(vmx->dr_armed)) {
		posada_load_dr(vcpu, vmx->dr);
		set_debugreg(vmx->dr6, 6);
	}
	if (vmx_l1d_leaks)
		vmx_flush_l1d(vmx);
}

static void vmx_disarm(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	unsigned long dr6;

	vmx_release(this_cpu_ptr(&vmx_cpus));
	if (unlikely(vmx->dr_armed)) {
		posada_save_dr(vcpu, vmx->dr);
		get_debugreg(dr6, 6);
		vmx->dr6 = dr6;
		set_debugreg(DR6_RESERVED, 6);
	}
	vmx->dr_armed = false;
	/* The exit left DR7 disabled, and DEBUGCTL 0. */
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
	if (unlikely(vmx->host.debugctl))
		update_debugctlmsr(vmx->host.debugctl);
}

/*
 * The guest wants its debug registers: no exits for them for a while. If a
 * debugger wants them, one for each.
 */
void vmx_load_dregs(struct posada_vcpu *vcpu)
{
	struct vmx_vcpu *vmx = to_vmx(vcpu);

	vmx->dr_loaded = true;
	vmx->cpu_control |= CPU_BASED_MOV_DR_EXITING;
	if (!(vcpu->debug.flags & POSADA_DEBUG_HARDWARE))
		vmx->cpu_control &= ~CPU_BASED_MOV_DR_EXITING;
	vmx->todo |= VMX_TODO_CONTROL;
}

/* ---- events ---- */

/* The vectors whose error code VMX insists on, in protected mode. */
#define VMX_ERROR_CODES		(POSADA_ERROR_CODES & ~BIT(21))

static void vmx_inject_debug(struct vmx_vcpu *vmx, u64 dr6)
{
	unsigned long live;

	vmx->dr6 |= dr6;
	if (vmx->dr_armed) {
		get_debugreg(live, 6);
		set_debugreg(live | dr6, 6);
	}
	vmx_poke(vmx, GUEST_DR7, vmx_peek(vmx, GUEST_DR7) & ~VMX_DR7_GD);
}

static void vmx_inject(struct posada_vcpu *vcpu, const struct posada_event *ev)
{
	static const u32 type[] = {
		[POSADA_EVENT_INTERRUPT] = INTR_TYPE_EXT_INTR,
		[POSADA_EVENT_NMI] = INTR_TYPE_NMI_INTR,
		[POSADA_EVENT_EXCEPTION] = INTR_TYPE_HARD_EXCEPTION,
	};
	struct vmx_vcpu *vmx = to_vmx(vcpu);
	struct posada_paging pg;

	vmx->inject_info = INTR_INFO_VALID_MASK | type[ev->kind] | ev->vector;
	vmx->inject_error = ev->has_error ? ev->error : 0;
	vmx->todo |= VMX_TODO_INJECT;
	if (ev->kind == POSADA_EVENT_NMI) {
		/* The entry masks them again. */
		vmx->nmi_masked = 0;
	} else if (ev->kind == POSADA_EVENT_EXCEPTION) {
		if (VMX_ERROR_CODES & BIT(ev->vector)) {
			vmx_get_paging(vcpu, &pg);
			if (pg.cr0 & X86_CR0_PE)
				vmx->inject_info |= INTR_INFO_DELIVER_CODE_MASK;
		}
		if (ev->vector == X86_TRAP_PF)
			vmx->cr2 = ev->payload;
		else if (ev->vector == X86_TRAP_DB)
			vmx_inject_debug(vmx, ev->payload);
	}
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

static bool vmx_nmi_masked(struct posada_vcpu *vcpu)
{
	return to_vmx(vcpu)->nmi_masked;
}

static void vmx_set_nmi_masked(struct posada_vcpu *vcpu, bool masked)
{
	to_vmx(vcpu)->nmi_masked = masked ? GUEST_INTR_STATE_NMI : 0;
}

static void vmx_flush_tlb(struct posada_vcpu *vcpu)
{
	to_vmx(vcpu)->todo |= VMX_TODO_EPT;
}

static int vmx_probe_format(const char **why)
{
	int r = vmx_probe(why);

	if (!r && !vmx_has(VMX_EPT, VMX_EPT_AD_BIT)) {
		vmx_ept.accessed = 0;
		vmx_ept.dirty = 0;
	}
	return r;
}

struct posada_backend posada_vmx = {
	.name = "vmx",
	.id = POSADA_BACKEND_VMX,
	.format = &vmx_ept,
	.hypercall = { 0x0f, 0x01, 0xc1 },	/* VMCALL */
	.probe = vmx_probe_format,
	.unprobe = vmx_unprobe,
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
	.nmi_masked = vmx_nmi_masked,
	.set_nmi_masked = vmx_set_nmi_masked,
	.get_sregs = vmx_get_sregs,
	.set_sregs = vmx_set_sregs,
	.set_pdptes = vmx_set_pdptes,
	.get_paging = vmx_get_paging,
	.get_dregs = vmx_get_dregs,
	.set_dregs = vmx_set_dregs,
	.update_debug = vmx_update_debug,
	.get_msr = vmx_get_msr,
	.set_msr = vmx_set_msr,
	.set_tsc_offset = vmx_set_tsc_offset,
	.flush_tlb = vmx_flush_tlb,
};
