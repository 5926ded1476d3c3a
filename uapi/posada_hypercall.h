/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The guest's ABI of Posada: hypercalls.
 *
 * A guest finds POSADA_CPUID_SIGNATURE by CPUID, writes the gpa of a page of
 * its own with POSADA_MSR_HC_ENABLE to POSADA_MSR_HYPERCALL, and calls the
 * start of that page: the hypervisor has filled it with the instruction that
 * this backend uses. Number in RAX, arguments in RDI, RSI, RDX, R10, R8, R9;
 * result in RAX (0 or more: success; -errno as a signed 64-bit number), every
 * other register is kept. From CPL 3: -POSADA_EPERM. Outside 64-bit mode the
 * low 32 bits of each register count.
 *
 * KVM's hypercalls (numbers 1-12, arguments in RBX, RCX, RDX, RSI) work by the
 * same instruction, for guests that found the KVM leaf: KICK_CPU,
 * CLOCK_PAIRING, SEND_IPI and SCHED_YIELD; any other gives -POSADA_ENOSYS.
 */
#ifndef _UAPI_POSADA_HYPERCALL_H
#define _UAPI_POSADA_HYPERCALL_H

/* Errors, as negative numbers in RAX. The values are Linux's and KVM's. */
#define POSADA_EPERM		1
#define POSADA_ENOENT		2
#define POSADA_E2BIG		7
#define POSADA_EFAULT		14
#define POSADA_EINVAL		22
#define POSADA_EOPNOTSUPP	95
#define POSADA_ENOSYS		1000

#define POSADA_HC_BASE		0x506f0000U	/* "Po" */
#define POSADA_HC_USER_BASE	0x506f8000U	/* 4096 calls for the VMM */
#define POSADA_HC_USER_END	0x506f9000U

/* FEATURES () -> the EAX of POSADA_CPUID_FEATURES. */
#define POSADA_HC_FEATURES	(POSADA_HC_BASE + 0)
/* DOORBELL (number, value): signal the eventfd bound to it. ENOENT: none. */
#define POSADA_HC_DOORBELL	(POSADA_HC_BASE + 1)
/* KICK (apic id): wake a vCPU from HLT. EINVAL: no such vCPU. */
#define POSADA_HC_KICK		(POSADA_HC_BASE + 2)
/* YIELD_TO (apic id): give it this vCPU's time slice. EINVAL: no such vCPU. */
#define POSADA_HC_YIELD_TO	(POSADA_HC_BASE + 3)
/*
 * SEND_IPI (mask low, mask high, first apic id, ICR low word): to each vCPU
 * first + i whose bit i is set. -> how many took it. EINVAL: delivery mode
 * neither fixed nor NMI.
 */
#define POSADA_HC_SEND_IPI	(POSADA_HC_BASE + 4)
/*
 * FLUSH_TLB (mask low, mask high, first apic id): drop all translations of
 * these vCPUs before they run guest code again; one that is not running is
 * flushed when it next does.
 */
#define POSADA_HC_FLUSH_TLB	(POSADA_HC_BASE + 5)
/*
 * CLOCK_PAIRING (gpa, type 0): write struct posada_clock_pairing. EFAULT: gpa.
 * EINVAL: type. EOPNOTSUPP: the host's clock is not the TSC.
 */
#define POSADA_HC_CLOCK_PAIRING	(POSADA_HC_BASE + 6)
/* CRASH (gpa of a message, bytes, at most 4096): tells the VMM; returns. */
#define POSADA_HC_CRASH		(POSADA_HC_BASE + 7)
/* SHUTDOWN (0 off, 1 reboot): tells the VMM; returns if it goes on. EINVAL. */
#define POSADA_HC_SHUTDOWN	(POSADA_HC_BASE + 8)
#define POSADA_HC_COUNT		9

struct posada_clock_pairing {
	long long sec;		/* CLOCK_REALTIME */
	long long nsec;
	unsigned long long tsc;	/* the guest's TSC at that time */
	unsigned int flags;	/* 0 */
	unsigned int pad[9];
};

/* Hypercall page: gpa | POSADA_MSR_HC_ENABLE; 0 gives it up. */
#define POSADA_MSR_HYPERCALL	0x506f0000U
#define POSADA_MSR_HC_ENABLE	1ULL

#endif /* _UAPI_POSADA_HYPERCALL_H */
