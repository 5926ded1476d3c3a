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
/*
 * CONSOLE_WRITE (gpa, bytes, at most 4096): print what is in the ring, then
 * these, now. -> how many were; with 0 bytes the ring is all. E2BIG, EFAULT.
 * ENOSYS: the VMM has no console.
 */
#define POSADA_HC_CONSOLE_WRITE	(POSADA_HC_BASE + 9)
/*
 * CONSOLE_RING (gpa of a page, bytes): from now on there is a struct
 * posada_console_ring; bytes 0: no more. EINVAL: gpa not a page's, bytes not
 * 4096 + a power of two from 4096 to 65536. EFAULT: not memory. ENOSYS: as
 * above.
 */
#define POSADA_HC_CONSOLE_RING	(POSADA_HC_BASE + 10)
/*
 * TIMER (guest TSC): expire then; 0: never. EINVAL: the APIC's timer is not in
 * TSC-deadline mode.
 */
#define POSADA_HC_TIMER		(POSADA_HC_BASE + 11)
/*
 * FREE_PAGES (gpa of struct posada_range[], how many, at most 256): what is in
 * them is of no use any more; whoever reads it finds zeroes or what was there.
 * -> how many were taken, up to the first that is wrong. E2BIG; EINVAL: gpa not
 * a multiple of 8, or (the first) a range not of whole pages, at least one;
 * EFAULT: the list or the first range is not memory in one slot. ENOSYS: the
 * VMM does not care.
 */
#define POSADA_HC_FREE_PAGES	(POSADA_HC_BASE + 12)
/*
 * BATCH (gpa of struct posada_batch_call[], how many, at most 64): make these
 * calls, in order, each with a result of its own. -> how many were made: fewer
 * where one cannot be read or its result not be written. E2BIG; EINVAL: gpa
 * not a multiple of 8; EFAULT: not even the first. A call that may not be in
 * a batch (BATCH itself, and those that may leave to the VMM) results in
 * EPERM.
 */
#define POSADA_HC_BATCH		(POSADA_HC_BASE + 13)
#define POSADA_HC_COUNT		14

struct posada_range {
	unsigned long long gpa;
	unsigned long long bytes;
};

struct posada_batch_call {
	unsigned long long nr;
	unsigned long long arg[6];
	long long result;
};

#define POSADA_CRASH_MAX	4096	/* bytes */
#define POSADA_CONSOLE_MAX	4096	/* bytes of one CONSOLE_WRITE */
#define POSADA_RANGES_MAX	256
#define POSADA_BATCH_MAX	64

/*
 * Shared with the VMM: the first page, and the output's bytes behind it, a
 * power of two of them. Zero at first. Counters run freely; a byte is at its
 * count modulo the size. Who fills a direction writes its tail, behind the bytes; who empties
 * it its head. After moving out_tail, and a full barrier, the guest looks at
 * @bell: if it is not 0, it exchanges it with 0, and if it still was not, makes
 * the call DOORBELL (POSADA_BELL_CONSOLE, 0). Input makes no noise: look for it.
 */
#define POSADA_BELL_CONSOLE	1U
#define POSADA_CONSOLE_IN	2048U

struct posada_console_ring {
	unsigned int out_tail;	/* guest's */
	unsigned int in_head;	/* guest's */
	unsigned int pad[14];
	unsigned int out_head;	/* VMM's */
	unsigned int in_tail;	/* VMM's */
	unsigned int bell;	/* the VMM sets it, both clear it */
	unsigned int more[493];
	unsigned char in[POSADA_CONSOLE_IN];
	/* unsigned char out[bytes - 4096]; */
};

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

/*
 * Generation: gpa | POSADA_MSR_HC_ENABLE of a struct posada_generation, aligned
 * to its 128 bytes; 0 gives it up. Written at once, and again each time that
 * the VM was restored, cloned or put back: before the guest runs again, and
 * with an NMI to this vCPU, which is the first that it learns.
 */
#define POSADA_MSR_GENERATION	0x506f0001U

struct posada_generation {
	unsigned int sequence;	/* odd: being written; else 2 * events */
	unsigned int flags;	/* 0 */
	unsigned char id[16];	/* of this run of the VM; never seen before */
	unsigned char entropy[64]; /* fresh: mix it in, then wipe it here */
	long long step_ns;	/* the wall clock's, against the VM's own; 0:
				 * not known, or at the first time
				 */
	long long real_ns;	/* the wall clock, when this was written */
	unsigned char pad[24];
};

#endif /* _UAPI_POSADA_HYPERCALL_H */
