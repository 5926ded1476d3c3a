/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the kernel lines differ (6.1 and 6.12): the one file that asks for a
 * version. Wrap the difference here under a posada_ name; call that name.
 */
#ifndef POSADA_COMPAT_H
#define POSADA_COMPAT_H

#include <linux/kconfig.h>
#include <linux/version.h>

#ifdef __ASSEMBLY__

/*
 * Untrained returns after a guest; and buffers cleared before VMRUN, which
 * AMD's CPUs may want where the kernel itself does not.
 */
#ifdef UNTRAIN_RET_VM
#define POSADA_UNTRAIN_RET		UNTRAIN_RET_VM
#else
#define POSADA_UNTRAIN_RET		UNTRAIN_RET
#endif
#ifdef VM_CLEAR_CPU_BUFFERS
#define POSADA_CLEAR_CPU_BUFFERS	VM_CLEAR_CPU_BUFFERS
#else
#define POSADA_CLEAR_CPU_BUFFERS	CLEAR_CPU_BUFFERS
#endif

/*
 * The NMI handler to call after a VM exit for an NMI; renamed in 6.3. A kernel
 * that has no KVM for Intel exports none.
 */
#if !IS_ENABLED(CONFIG_KVM_INTEL)
#define POSADA_NMI_BY_INT
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define POSADA_NMI_ENTRY		asm_exc_nmi_kvm_vmx
#else
#define POSADA_NMI_ENTRY		asm_exc_nmi_noist
#endif

#else /* !__ASSEMBLY__ */

#include <linux/cpu.h>
#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/syscore_ops.h>
#include <asm/hardirq.h>
#include <asm/processor.h>

/*
 * Has a host interrupt been here since the L1D cache was flushed? A kernel
 * that has no KVM for Intel does not note it: maybe.
 */
static inline bool posada_interrupt_was_here(void)
{
#if IS_ENABLED(CONFIG_KVM_INTEL)
	bool was = kvm_get_cpu_l1tf_flush_l1d();

	kvm_clear_cpu_l1tf_flush_l1d();
	return was;
#else
	return true;
#endif
}

/*
 * Let a signal end the wait for a user page (userfaultfd may take for ever).
 * Before 6.2 only a fatal signal does.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define POSADA_FOLL_INTERRUPTIBLE	FOLL_INTERRUPTIBLE
#else
#define POSADA_FOLL_INTERRUPTIBLE	0
#endif

/* Nor does it export what l1tf= said: mitigations= has to do. */
static inline bool posada_l1tf_is_off(void)
{
#if IS_ENABLED(CONFIG_KVM_INTEL)
	return l1tf_mitigation == L1TF_MITIGATION_OFF;
#else
	return cpu_mitigations_off();
#endif
}

/* Since 6.8 a signal adds one and does not say what it came to. */
static inline void posada_eventfd_signal(struct eventfd_ctx *eventfd)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(eventfd);
#else
	eventfd_signal(eventfd, 1);
#endif
}

/* Since 6.4 smp_send_reschedule() is a macro that traces. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <trace/events/ipi.h>
#endif

/*
 * System core operations got an argument and a struct around them in 6.18 and,
 * by way of stable releases, within 6.12: Kbuild asks the header, not us the
 * version. Write a callback as "int name(posada_syscore_arg)".
 */
#ifdef POSADA_HAVE_STRUCT_SYSCORE
#define posada_syscore_arg		void *unused
#define POSADA_SYSCORE(name, suspend_fn, resume_fn)			\
	static const struct syscore_ops name##_ops = {			\
		.suspend = suspend_fn,					\
		.resume = resume_fn,					\
	};								\
	static struct syscore name = { .ops = &name##_ops }
#define posada_register_syscore(s)	register_syscore(s)
#define posada_unregister_syscore(s)	unregister_syscore(s)
#else
#define posada_syscore_arg		void
#define POSADA_SYSCORE(name, suspend_fn, resume_fn)			\
	static struct syscore_ops name = {				\
		.suspend = suspend_fn,					\
		.resume = resume_fn,					\
	}
#define posada_register_syscore(s)	register_syscore_ops(s)
#define posada_unregister_syscore(s)	unregister_syscore_ops(s)
#endif

#endif /* !__ASSEMBLY__ */
#endif /* POSADA_COMPAT_H */
