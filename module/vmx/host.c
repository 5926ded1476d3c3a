// SPDX-License-Identifier: GPL-2.0
/*
 * The VMX backend's host side: what a host must have, its CPUs, which VMCS is
 * where, and KVM.
 *
 * Without kvm.ko a CPU stays in VMX operation once it ran a vCPU, and the
 * vCPU's VMCS in the CPU's cache, till another CPU wants it. Beside kvm.ko
 * nothing of ours outlives a stretch with interrupts off: if KVM has the CPU
 * in VMX operation, its current VMCS is put back; if not, VMX is on for this
 * stretch alone, and KVM, which refuses a CPU with CR4.VMXE set, never sees it.
 */
#include <linux/moduleparam.h>
#include <asm/desc.h>
#include <asm/perf_event.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>
#include "../pagetable.h"
#include "vmx.h"

DEFINE_PER_CPU(struct vmx_cpu, vmx_cpus);

static bool virtual_apic = true;
module_param(virtual_apic, bool, 0444);
MODULE_PARM_DESC(virtual_apic, "let an Intel CPU deliver a guest's interrupts where it can");

u64 vmx_have[VMX_NR_WORDS];

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

/* ---- what a host must have ---- */

#define VMX_BASIC_TRUE		BIT_ULL(55)
#define VMX_MISC_SAVES_LMA	BIT_ULL(5)

/*
 * Bits to set, or capabilities to find. @missing: refuse a CPU without them;
 * NULL: set those that may be. @feature: only if the CPU has it.
 */
struct vmx_want {
	u8 word;
	u16 feature;
	u64 bits;
	const char *missing;
};

#define LACKS(what)	"this CPU has VMX without " what

static const struct vmx_want vmx_wants[] = {
	{ VMX_BASIC, 0, VMX_BASIC_TRUE, LACKS("true control capabilities") },
	{ VMX_CPU, 0, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
	  LACKS("secondary controls") },
	{ VMX_CPU2, 0, SECONDARY_EXEC_ENABLE_EPT,
	  LACKS("extended page tables (EPT)") },
	{ VMX_CPU2, 0, SECONDARY_EXEC_UNRESTRICTED_GUEST,
	  LACKS("unrestricted guest") },
	{ VMX_MISC, 0, VMX_MISC_SAVES_LMA, LACKS("saving of EFER.LMA") },
	{ VMX_EPT, 0, VMX_EPT_PAGE_WALK_4_BIT | VMX_EPTP_WB_BIT |
	  VMX_EPT_2MB_PAGE_BIT | VMX_EPT_INVEPT_BIT |
	  VMX_EPT_EXTENT_CONTEXT_BIT,
	  LACKS("cached 4-level EPT of 2 MiB pages with single-context INVEPT") },
	{ VMX_PIN, 0, PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING |
	  PIN_BASED_VIRTUAL_NMIS, LACKS("exits for interrupts, virtual NMIs") },
	{ VMX_CPU, 0, CPU_BASED_INTR_WINDOW_EXITING |
	  CPU_BASED_NMI_WINDOW_EXITING | CPU_BASED_TPR_SHADOW |
	  CPU_BASED_USE_MSR_BITMAPS | CPU_BASED_USE_TSC_OFFSETTING,
	  LACKS("interrupt windows, TPR shadow, MSR bitmaps, TSC offset") },
	{ VMX_CPU, 0, CPU_BASED_HLT_EXITING | CPU_BASED_MWAIT_EXITING |
	  CPU_BASED_MONITOR_EXITING | CPU_BASED_RDPMC_EXITING |
	  CPU_BASED_MOV_DR_EXITING | CPU_BASED_UNCOND_IO_EXITING,
	  LACKS("exits for instructions") },
	{ VMX_EXIT, 0, VM_EXIT_HOST_ADDR_SPACE_SIZE |
	  VM_EXIT_SAVE_DEBUG_CONTROLS | VM_EXIT_SAVE_IA32_EFER |
	  VM_EXIT_LOAD_IA32_EFER | VM_EXIT_LOAD_IA32_PAT,
	  LACKS("64-bit hosts, EFER and PAT for each side") },
	{ VMX_ENTRY, 0, VM_ENTRY_LOAD_DEBUG_CONTROLS | VM_ENTRY_IA32E_MODE |
	  VM_ENTRY_LOAD_IA32_EFER | VM_ENTRY_LOAD_IA32_PAT,
	  LACKS("64-bit guests, EFER and PAT for each side") },
	/* Instructions that would be undefined in the guest without. */
	{ VMX_CPU2, X86_FEATURE_RDTSCP, SECONDARY_EXEC_ENABLE_RDTSCP,
	  LACKS("RDTSCP in guests") },
	{ VMX_CPU2, X86_FEATURE_INVPCID, SECONDARY_EXEC_ENABLE_INVPCID,
	  LACKS("INVPCID in guests") },
	{ VMX_CPU2, X86_FEATURE_XSAVES, VMCS_CONTROL_BIT(XSAVES),
	  LACKS("XSAVES in guests") },
	/* Not needed, but of use. */
	{ VMX_PIN, 0, PIN_BASED_VMX_PREEMPTION_TIMER },
	{ VMX_CPU2, 0, SECONDARY_EXEC_ENABLE_VPID | VMX_VIRTUAL_APIC |
	  SECONDARY_EXEC_WBINVD_EXITING | SECONDARY_EXEC_PAUSE_LOOP_EXITING },
};

/* Control words: the low half of the MSR must be set, the high half may be. */
static const u32 vmx_word_msr[VMX_NR_WORDS] = {
	[VMX_PIN] = MSR_IA32_VMX_TRUE_PINBASED_CTLS,
	[VMX_CPU] = MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
	[VMX_CPU2] = MSR_IA32_VMX_PROCBASED_CTLS2,
	[VMX_EXIT] = MSR_IA32_VMX_TRUE_EXIT_CTLS,
	[VMX_ENTRY] = MSR_IA32_VMX_TRUE_ENTRY_CTLS,
	[VMX_BASIC] = MSR_IA32_VMX_BASIC,
	[VMX_MISC] = MSR_IA32_VMX_MISC,
	[VMX_EPT] = MSR_IA32_VMX_EPT_VPID_CAP,
};

static int vmx_compute(const char **why)
{
	const struct vmx_want *want = vmx_wants;
	u64 may[VMX_NR_WORDS];
	int i;

	/* Those that come first in the table say whether the others exist. */
	for (i = 0; i < VMX_NR_WORDS; i++) {
		if (rdmsrl_safe(vmx_word_msr[i], &may[i]))
			may[i] = 0;
		vmx_have[i] = i < VMX_BASIC ? (u32)may[i] : may[i];
		if (i < VMX_BASIC)
			may[i] >>= 32;
	}
	for (; want < vmx_wants + ARRAY_SIZE(vmx_wants); want++) {
		if (want->feature && !boot_cpu_has(want->feature))
			continue;
		vmx_have[want->word] |= may[want->word] & want->bits;
		if (want->missing && !vmx_has(want->word, want->bits)) {
			*why = want->missing;
			return -EOPNOTSUPP;
		}
	}
	if (!virtual_apic)
		vmx_have[VMX_CPU2] &= ~(u64)VMX_VIRTUAL_APIC;
	return 0;
}

enum { VMX_LOCKED, VMX_TAKEN };

static void vmx_ipi_survey(void *found)
{
	u64 ctl;

	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &ctl) ||
	    !(ctl & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX))
		set_bit(VMX_LOCKED, found);
	if (__read_cr4() & X86_CR4_VMXE)
		set_bit(VMX_TAKEN, found);
}

/* ---- the MSR bitmaps ---- */

#define VMX_MAP_SPEC	1
#define VMX_MAP_APIC	2
#define VMX_MAPS_ORDER	2	/* four pages */

/* Exits for every MSR but some, and those that go with VMX_MAP_*. */
static void *vmx_maps;

struct vmx_direct {
	u32 first, last;
	bool read, write;
	u8 map;		/* in those maps alone */
};

static const struct vmx_direct vmx_direct[] = {
	/* The CPU switches these, or they are loaded while the vCPU is. */
	{ MSR_FS_BASE, MSR_KERNEL_GS_BASE, true, true },
	{ MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_EIP, true, true },
	{ MSR_IA32_SPEC_CTRL, MSR_IA32_PRED_CMD, true, true, VMX_MAP_SPEC },
	/* TPR; ID, version; PPR; EOI; LDR; ISR, IRR. */
	{ 0x808, 0x808, true, true, VMX_MAP_APIC },
	{ 0x802, 0x803, true, false, VMX_MAP_APIC },
	{ 0x80a, 0x80a, true, false, VMX_MAP_APIC },
	{ 0x80b, 0x80b, false, true, VMX_MAP_APIC },
	{ 0x80d, 0x80d, true, false, VMX_MAP_APIC },
	{ 0x810, 0x817, true, false, VMX_MAP_APIC },
	{ 0x820, 0x827, true, false, VMX_MAP_APIC },
};

/* Reads of the low and the high MSRs, then writes of both; 1 KiB each. */
static void vmx_allow(u8 *map, const struct vmx_direct *d)
{
	u32 msr, at;

	for (msr = d->first; msr <= d->last; msr++) {
		at = (msr < 0x2000 ? 0 : 0x2000) + (msr & 0x1fff);
		if (d->read)
			map[at / 8] &= ~BIT(at % 8);
		if (d->write)
			map[0x800 + at / 8] &= ~BIT(at % 8);
	}
}

static __must_check int vmx_alloc_maps(void)
{
	int i, map;

	vmx_maps = posada_keep_pages(VMX_MAPS_ORDER);
	if (!vmx_maps)
		return -ENOMEM;
	memset(vmx_maps, 0xff, PAGE_SIZE << VMX_MAPS_ORDER);
	for (map = 0; map < 1 << VMX_MAPS_ORDER; map++)
		for (i = 0; i < ARRAY_SIZE(vmx_direct); i++)
			if ((vmx_direct[i].map & map) == vmx_direct[i].map)
				vmx_allow(vmx_maps + map * PAGE_SIZE,
					  &vmx_direct[i]);
	return 0;
}

void vmx_set_intercepts(struct vmx_vcpu *vmx)
{
	u32 map = (vmx->spec_msrs ? VMX_MAP_SPEC : 0) |
		  (vmx->apic ? VMX_MAP_APIC : 0);

	vmx_write(MSR_BITMAP, __pa(vmx_maps) + map * PAGE_SIZE);
	vmx_write(SECONDARY_VM_EXEC_CONTROL, vmx_have[VMX_CPU2] &
		  ~(vmx->apic ? 0 : (u64)VMX_VIRTUAL_APIC));
}

/* ---- the CPUs ---- */

static __must_check int vmx_alloc_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vmx_cpu *c = per_cpu_ptr(&vmx_cpus, cpu);

		INIT_LIST_HEAD(&c->active);
		c->vmxon = posada_keep_pages(0);
		if (!c->vmxon)
			return -ENOMEM;
		*(u32 *)c->vmxon = vmx_basic_vmcs_revision_id(vmx_have[VMX_BASIC]);
	}
	return 0;
}

static bool vmx_on(struct vmx_cpu *cpu)
{
	u64 region = __pa(cpu->vmxon);
	bool failed = true;

	cr4_set_bits_irqsoff(X86_CR4_VMXE);
	intel_pt_handle_vmx(1);
	asm volatile(VMX_MAY_FAULT("vmxon %[region]\nsetbe %[failed]")
		     : [failed] "+q" (failed)
		     : [region] "m" (region) : "cc", "memory");
	if (WARN_ONCE(failed, "posada: VMXON failed\n"))
		intel_pt_handle_vmx(0);
	return !failed;
}

static void vmx_off(void)
{
	asm volatile(VMX_MAY_FAULT("vmxoff") : : : "cc", "memory");
	intel_pt_handle_vmx(0);
}

/* ---- which VMCS is where; all irqoff ---- */

static void vmx_point(u64 vmcs)
{
	asm volatile(VMX_MAY_FAULT("vmptrld %0") : : "m" (vmcs) : "cc", "memory");
}

/* Write the VMCS back to memory; in VMX's words it is "clear" then. */
static void vmx_write_back(u64 vmcs)
{
	asm volatile(VMX_MAY_FAULT("vmclear %0") : : "m" (vmcs) : "cc", "memory");
}

static void vmx_clear(struct vmx_vcpu *vmx)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);

	vmx_write_back(vmx->vmcs);
	if (cpu->current_vcpu == vmx)
		cpu->current_vcpu = NULL;
	list_del(&vmx->link);
	vmx->sw.launched = 0;
	/* The last access: another CPU takes it as soon as it sees this. */
	smp_store_release(&vmx->cpu, -1);
}

/* May KVM's be what is current? It faults outside of VMX operation. */
static bool vmx_current(u64 *vmcs)
{
	bool on = false;

	asm volatile(VMX_MAY_FAULT("vmptrst %[vmcs]\nmovb $1, %[on]")
		     : [on] "+q" (on), [vmcs] "=m" (*vmcs) : : "cc");
	return on;
}

static void vmx_borrow(struct vmx_cpu *cpu)
{
	cpu->shared = true;
	cpu->kvm_cr4 = cr4_read_shadow() & X86_CR4_VMXE;
	cpu->kvm_on = cpu->kvm_cr4 && vmx_current(&cpu->kvm_vmcs);
	if (!cpu->kvm_on)
		vmx_on(cpu);
}

void vmx_release(struct vmx_cpu *cpu)
{
	if (likely(!cpu->shared))
		return;
	if (cpu->current_vcpu)
		vmx_clear(cpu->current_vcpu);
	if (!cpu->kvm_on)
		vmx_off();
	else if (cpu->kvm_vmcs != VMX_NO_VMCS)
		vmx_point(cpu->kvm_vmcs);
	if (!cpu->kvm_cr4)
		cr4_clear_bits_irqsoff(X86_CR4_VMXE);
	cpu->shared = false;
}

/* What an exit loads that is another on each CPU. */
static void vmx_move(struct vmx_vcpu *vmx, int id)
{
	struct desc_ptr gdt;

	native_store_gdt(&gdt);
	vmx_write(HOST_TR_BASE,
		  (unsigned long)&get_cpu_entry_area(id)->tss.x86_tss);
	vmx_write(HOST_GDTR_BASE, gdt.address);
	vmx_write(HOST_GS_BASE, cpu_kernelmode_gs_base(id));
	vmx_write(HOST_IA32_SYSENTER_ESP,
		  native_read_msr(MSR_IA32_SYSENTER_ESP));
	vmx->host_cpu = id;
	/* Whatever the TLB still has of its last time here is too old. */
	vmx->todo |= VMX_TODO_EPT;
}

void vmx_acquire(struct vmx_vcpu *vmx)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);
	int id = smp_processor_id();

	if (static_branch_unlikely(&posada_polite))
		vmx_borrow(cpu);
	else if (unlikely(!cpu->up))
		cpu->up = vmx_on(cpu);
	/* A new one becomes a VMCS by this. */
	if (vmx->host_cpu < 0)
		vmx_write_back(vmx->vmcs);
	vmx_point(vmx->vmcs);
	cpu->current_vcpu = vmx;
	if (vmx->cpu != id) {
		vmx->cpu = id;
		list_add(&vmx->link, &cpu->active);
	}
	if (vmx->host_cpu != id)
		vmx_move(vmx, id);
}

static void vmx_ipi_clear(void *vmx)
{
	if (((struct vmx_vcpu *)vmx)->cpu == smp_processor_id())
		vmx_clear(vmx);
}

void vmx_evict(struct vmx_vcpu *vmx, int but)
{
	/* Pairs with the release in vmx_clear(). */
	int cpu = smp_load_acquire(&vmx->cpu);

	if (cpu >= 0 && cpu != but)
		smp_call_function_single(cpu, vmx_ipi_clear, vmx, 1);
}

struct vmx_hold vmx_begin(struct vmx_vcpu *vmx)
{
	struct vmx_hold hold;

	preempt_disable();
	/* A loaded vCPU is on this CPU already: no IPI with interrupts off. */
	vmx_evict(vmx, smp_processor_id());
	local_irq_save(hold.irqs);
	hold.acquired = this_cpu_read(vmx_cpus.current_vcpu) != vmx;
	if (hold.acquired)
		vmx_acquire(vmx);
	return hold;
}

void vmx_end(struct vmx_hold *hold)
{
	if (hold->acquired)
		vmx_release(this_cpu_ptr(&vmx_cpus));
	local_irq_restore(hold->irqs);
	preempt_enable();
}

u64 vmx_peek(struct vmx_vcpu *vmx, u32 field)
{
	struct vmx_hold hold __cleanup(vmx_end) = vmx_begin(vmx);

	return vmx_read(field);
}

void vmx_poke(struct vmx_vcpu *vmx, u32 field, u64 value)
{
	struct vmx_hold hold __cleanup(vmx_end) = vmx_begin(vmx);

	vmx_write(field, value);
}

#define VMX_FLUSH_VPID	((VMX_VPID_INVVPID_BIT |			\
			  VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT) << 32)

void vmx_flush_now(struct vmx_vcpu *vmx)
{
	struct {
		u64 what, address;
	} vpid = { vmx_read(VIRTUAL_PROCESSOR_ID) }, ept = { vmx->eptp };

	if ((vmx->todo & VMX_TODO_EPT) || !vmx_has(VMX_EPT, VMX_FLUSH_VPID))
		asm volatile(VMX_MAY_FAULT("invept %0, %1")
			     : : "m" (ept), "r" ((u64)VMX_EPT_EXTENT_CONTEXT)
			     : "cc", "memory");
	else if (vpid.what)
		asm volatile(VMX_MAY_FAULT("invvpid %0, %1") : : "m" (vpid),
			     "r" ((u64)VMX_VPID_EXTENT_SINGLE_CONTEXT)
			     : "cc", "memory");
}

void vmx_cpu_down(void)
{
	struct vmx_cpu *cpu = this_cpu_ptr(&vmx_cpus);
	struct vmx_vcpu *vmx, *next;

	list_for_each_entry_safe(vmx, next, &cpu->active, link) {
		/* What the TLB holds when it is back up, nobody knows. */
		vmx->host_cpu = -1;
		vmx_clear(vmx);
	}
	if (cpu->up) {
		vmx_off();
		cr4_clear_bits_irqsoff(X86_CR4_VMXE);
	}
	cpu->up = false;
}

/* ---- probe ---- */

static int vmx_check(const char **why)
{
	unsigned long found = 0;

	if (!(cpuid_ecx(1) & BIT(X86_FEATURE_VMX & 31))) {
		*why = "this CPU offers no Intel VMX";
		return -ENODEV;
	}
	on_each_cpu(vmx_ipi_survey, &found, 1);
	if (test_bit(VMX_LOCKED, &found)) {
		*why = "VMX is disabled by the firmware: enable it in its setup";
		return -EPERM;
	}
	if (!static_key_enabled(&posada_polite) &&
	    test_bit(VMX_TAKEN, &found)) {
		*why = "another hypervisor holds VMX: stop it first";
		return -EBUSY;
	}
	return vmx_compute(why);
}

static void vmx_describe(struct posada_backend *b)
{
	b->format = &vmx_ept;
	if (!vmx_has(VMX_EPT, VMX_EPT_AD_BIT)) {
		vmx_ept.accessed = 0;
		vmx_ept.dirty = 0;
	}
	b->pt_levels = vmx_has(VMX_EPT, VMX_EPT_PAGE_WALK_5_BIT) &&
		       pgtable_l5_enabled() ? 5 : 4;
	b->features = POSADA_FEATURE_DIRTY_LOG | POSADA_FEATURE_NEXT_RIP;
	if (vmx_has(VMX_CPU2, SECONDARY_EXEC_PAUSE_LOOP_EXITING))
		b->features |= POSADA_FEATURE_PAUSE_FILTER;
	if (vmx_has(VMX_CPU2, VMX_VIRTUAL_APIC))
		b->features |= POSADA_FEATURE_VIRTUAL_APIC;
	b->entry_timer = vmx_has(VMX_PIN, PIN_BASED_VMX_PREEMPTION_TIMER);
	if (vmx_has(VMX_EPT, VMX_EPT_1GB_PAGE_BIT))
		b->features |= POSADA_FEATURE_GIB_PAGES;
	/* Else a guest that executes in them can stop the whole machine. */
	b->large_no_exec = boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) &&
			   !cpu_mitigations_off();
	posada_l1d_probe();
	posada_live_probe();
}

int vmx_probe(const char **why)
{
	int r = vmx_check(why);

	if (r)
		return r;
	if (vmx_alloc_maps() || vmx_alloc_cpus())
		return -ENOMEM;
	vmx_describe(&posada_vmx);
	return 0;
}
