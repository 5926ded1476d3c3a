// SPDX-License-Identifier: GPL-2.0
/*
 * The module: find the backend that this host offers, say so, give out
 * /dev/posada. What is set up last is torn down first.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/tsc.h>
#include "compat.h"
#include "posada.h"

#define pr_posada(fmt, ...)	pr_info("posada: " fmt, ##__VA_ARGS__)

unsigned int posada_max_vms;
module_param_named(max_vms, posada_max_vms, uint, 0644);
MODULE_PARM_DESC(max_vms, "VMs at a time (0: as many as memory allows)");

unsigned int posada_max_vcpus = POSADA_MAX_VCPUS;

static int posada_set_max_vcpus(const char *val, const struct kernel_param *kp)
{
	return param_set_uint_minmax(val, kp, 1, POSADA_MAX_VCPUS);
}

static const struct kernel_param_ops posada_max_vcpus_ops = {
	.set = posada_set_max_vcpus,
	.get = param_get_uint,
};
module_param_cb(max_vcpus, &posada_max_vcpus_ops, &posada_max_vcpus, 0644);
MODULE_PARM_DESC(max_vcpus, "vCPUs in a VM (1-64)");

unsigned int posada_tsc_khz;
u64 posada_host_xcr0;
u64 posada_host_xcr0_live, posada_host_xss;

/* What a host may offer, best first. */
static struct posada_backend *const posada_backends[] = {
	&posada_svm, &posada_vmx,
};

static struct posada_backend *posada_ops;
static u32 posada_xsave_bytes;

/* ---- the host's CPUs ---- */

/* Components that guests may use: no MPX, no AMX (it grows on demand). */
#define POSADA_XCR0	(XFEATURE_MASK_FP | XFEATURE_MASK_SSE |		\
			 XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512 |	\
			 XFEATURE_MASK_PKRU)

/* The end of the farthest component, in the standard format. */
static u32 posada_xsave_size(u64 xcr0)
{
	u32 bytes = offsetof(struct xregs_state, extended_state_area), i;

	for (i = 2; i < 63; i++) {
		u32 eax, ebx, ecx, edx;

		if (!(xcr0 & BIT_ULL(i)))
			continue;
		cpuid_count(0xd, i, &eax, &ebx, &ecx, &edx);
		bytes = max(bytes, eax + ebx);
	}
	return bytes;
}

static void posada_probe_fpu(void)
{
	posada_host_xcr0_live = XFEATURE_MASK_FP;
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		posada_host_xcr0_live = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl(MSR_IA32_XSS, posada_host_xss);
	posada_host_xcr0 = posada_host_xcr0_live & POSADA_XCR0;
	/* As the kernel's FPU code rounds it up: "uabi_size". */
	posada_xsave_bytes = sizeof(struct posada_rec_xsave) +
			     max_t(u32, posada_xsave_size(posada_host_xcr0),
				   PAGE_SIZE);
}

static int posada_cpu_offline(unsigned int cpu)
{
	unsigned long flags;

	/* A vCPU that still gets to run here brings the CPU up once more. */
	local_irq_save(flags);
	posada_ops->cpu_down();
	local_irq_restore(flags);
	return 0;
}

static int posada_suspend(posada_syscore_arg)
{
	posada_ops->cpu_down();
	return 0;
}

POSADA_SYSCORE(posada_syscore, posada_suspend, NULL);

static void posada_ipi_cpu_down(void *unused)
{
	posada_ops->cpu_down();
}

/* No guest runs on, and the next kernel finds the CPUs as they were. */
static int posada_reboot(struct notifier_block *nb, unsigned long action,
			 void *data)
{
	posada_kill_all(POSADA_KILL_HOST);
	on_each_cpu(posada_ipi_cpu_down, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block posada_reboot_nb = {
	.notifier_call = posada_reboot,
};

/* ---- KVM ---- */

DEFINE_STATIC_KEY_FALSE(posada_polite);

/*
 * A module came or went: be polite as long as kvm.ko is there. A vCPU that is
 * loaded meanwhile finds its CPU down, and brings it up as is due.
 */
static int posada_module_event(struct notifier_block *nb, unsigned long action,
			       void *data)
{
	struct module *mod = data;

	if (strcmp(mod->name, "kvm"))
		return NOTIFY_DONE;
	if (action == MODULE_STATE_COMING) {
		static_branch_enable(&posada_polite);
		if (posada_ops)
			on_each_cpu(posada_ipi_cpu_down, NULL, 1);
	} else if (action == MODULE_STATE_GOING) {
		static_branch_disable(&posada_polite);
	}
	return NOTIFY_OK;
}

static struct notifier_block posada_module_nb = {
	.notifier_call = posada_module_event,
};

/* Is kvm.ko there already? Its own export tells. */
static bool posada_kvm_loaded(void)
{
	if (IS_BUILTIN(CONFIG_KVM))
		return true;
	if (!__symbol_get("kvm_get_kvm"))
		return false;
	__symbol_put("kvm_get_kvm");
	return true;
}

/* First the notifier, then the look, so that none slips between. */
static void posada_watch_kvm(void)
{
	register_module_notifier(&posada_module_nb);
	if (posada_kvm_loaded())
		static_branch_enable(&posada_polite);
}

/* ---- /dev/posada ---- */

static int posada_info(void *object, void *args)
{
	struct posada_info *info = args;

	info->api_version = POSADA_API_VERSION;
	info->backends = BIT(posada_ops->id);
	info->max_vms = posada_max_vms;
	info->max_vcpus = posada_max_vcpus;
	info->max_slots = POSADA_MAX_SLOTS;
	info->phys_bits = posada_phys_bits(posada_ops);
	info->tsc_khz = posada_tsc_khz;
	info->run_bytes = POSADA_RUN_BYTES;
	info->xsave_bytes = posada_xsave_bytes;
	info->cpuid_entries = posada_cpuid_default_entries();
	info->xcr0 = posada_host_xcr0;
	info->features = posada_ops->features;
	return 0;
}

static int posada_sys_vm_create(void *object, void *args)
{
	return posada_vm_create(posada_ops, args);
}

static const struct posada_ioctl posada_sys_ioctls[] = {
	{ POSADA_INFO, sizeof(struct posada_info), POSADA_IOCTL_OUT, 0, 0,
	  posada_info },
	{ POSADA_VM_CREATE, sizeof(struct posada_vm_create), 0,
	  offsetof(struct posada_vm_create, pad), POSADA_VM_MSR_EXITS |
	  POSADA_VM_PROFILE_EXITS,
	  posada_sys_vm_create },
};

static long posada_sys_ioctl(struct file *file, unsigned int cmd,
			     unsigned long arg)
{
	return posada_dispatch(posada_sys_ioctls,
			       ARRAY_SIZE(posada_sys_ioctls), cmd, arg, NULL,
			       NULL, NULL);
}

static const struct file_operations posada_sys_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = posada_sys_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice posada_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "posada",
	.fops = &posada_sys_fops,
	.mode = 0660,
};

/* ---- load and unload ---- */

/*
 * Take the first that is there; a CPU has one at most. If none is, tell why of
 * the one that came closest.
 */
static int posada_probe(void)
{
	const char *why = "", *best_why = "this CPU offers no AMD SVM, no Intel VMX";
	const char *best = "backend";
	int i, r, best_r = -ENODEV;

	for (i = 0; i < ARRAY_SIZE(posada_backends); i++) {
		r = posada_backends[i]->probe(&why);
		if (!r) {
			posada_ops = posada_backends[i];
			posada_run_init(posada_ops);
			return 0;
		}
		posada_free_kept();
		if (r == -ENODEV)
			continue;
		best_r = r;
		best = posada_backends[i]->name;
		best_why = r == -ENOMEM ? "out of memory" : why;
	}
	pr_err("posada: no %s: %s\n", best, best_why);
	return best_r;
}

static void posada_unprobe(void)
{
	on_each_cpu(posada_ipi_cpu_down, NULL, 1);
	posada_free_kept();
}

static int posada_check_host(void)
{
	if (!tsc_khz) {
		pr_err("posada: this host's TSC has no known rate\n");
		return -ENODEV;
	}
	posada_tsc_khz = tsc_khz;
	posada_probe_fpu();
	return 0;
}

static int posada_hotplug_state;

static int __init posada_init(void)
{
	int r = posada_check_host();

	if (r)
		return r;
	posada_watch_kvm();
	r = posada_probe();
	if (r)
		goto unwatch;
	posada_msr_init();
	r = posada_events_module_init();
	if (r)
		goto unprobe;
	r = posada_clock_module_init();
	if (r)
		goto exit_events;
	r = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "posada:online",
				      NULL, posada_cpu_offline);
	if (r < 0)
		goto exit_clock;
	posada_hotplug_state = r;
	posada_register_syscore(&posada_syscore);
	register_reboot_notifier(&posada_reboot_nb);
	preempt_notifier_inc();
	r = misc_register(&posada_misc);
	if (r)
		goto undo_notifiers;
	pr_posada("ready: %s, %d-level nested paging%s%s\n", posada_ops->name,
		  posada_ops->pt_levels,
		  posada_ops->features & POSADA_FEATURE_NEXT_RIP ?
		  ", next RIP" : "",
		  posada_ops->features & POSADA_FEATURE_DECODE_ASSIST ?
		  ", decode assists" : "");
	return 0;

undo_notifiers:
	preempt_notifier_dec();
	unregister_reboot_notifier(&posada_reboot_nb);
	posada_unregister_syscore(&posada_syscore);
	cpuhp_remove_state_nocalls(posada_hotplug_state);
exit_clock:
	posada_clock_module_exit();
exit_events:
	posada_events_module_exit();
unprobe:
	posada_unprobe();
unwatch:
	unregister_module_notifier(&posada_module_nb);
	return r;
}

static void __exit posada_exit(void)
{
	misc_deregister(&posada_misc);
	preempt_notifier_dec();
	unregister_reboot_notifier(&posada_reboot_nb);
	posada_unregister_syscore(&posada_syscore);
	cpuhp_remove_state_nocalls(posada_hotplug_state);
	posada_clock_module_exit();
	posada_events_module_exit();
	posada_unprobe();
	unregister_module_notifier(&posada_module_nb);
}

module_init(posada_init);
module_exit(posada_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Posada, a paravirtual hypervisor");
