/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The userspace ABI of Posada: counters, and where exits went. A part of
 * posada.h, whose rules hold here, too; include that.
 */
#ifndef _UAPI_POSADA_STATS_H
#define _UAPI_POSADA_STATS_H

#include <linux/types.h>

/*
 * POSADA_VM_STATS, POSADA_VCPU_STATS (struct posada_stats): counters since
 * creation; a VM's are the sums over its vCPUs and its own. May be called
 * from any process that holds the fd, also while the vCPU runs.
 */
#define POSADA_VM_STATS		POSADA_IO(0x17)
#define POSADA_VCPU_STATS	POSADA_IO(0x26)

enum posada_stat {
	POSADA_STAT_ENTRIES,		/* guest entries */
	POSADA_STAT_EXITS,		/* exits to userspace */
	POSADA_STAT_PORT,		/* exits by cause, from here */
	POSADA_STAT_MEMORY,		/* second-level faults */
	POSADA_STAT_MSR,
	POSADA_STAT_CPUID,
	POSADA_STAT_HYPERCALL,
	POSADA_STAT_HALT,
	POSADA_STAT_PAUSE,
	POSADA_STAT_WINDOW,
	POSADA_STAT_HOST_IRQ,
	POSADA_STAT_EXCEPTION,
	POSADA_STAT_OTHER,		/* to here */
	POSADA_STAT_INJECT_IRQ,		/* events injected */
	POSADA_STAT_INJECT_NMI,
	POSADA_STAT_INJECT_EXCEPTION,
	POSADA_STAT_REINJECT,		/* deliveries interrupted by an exit */
	POSADA_STAT_IPI,		/* sent by the guest */
	POSADA_STAT_DOORBELL,
	POSADA_STAT_HALT_POLL_HIT,	/* woke while polling */
	POSADA_STAT_HALT_NS,		/* time asleep in HLT, nanoseconds */
	POSADA_STAT_GUEST_NS,		/* time in RUN, nanoseconds */
	POSADA_STAT_TLB_FLUSH,
	POSADA_STAT_PAGES_4K,		/* VM: mappings made, by size */
	POSADA_STAT_PAGES_2M,
	POSADA_STAT_PAGES_1G,
	POSADA_STAT_ZAPPED,		/* VM: mappings dropped */
	POSADA_STAT_TABLES,		/* VM: page-table pages, now */
	POSADA_STAT_MSI,		/* VM: messages delivered */
	POSADA_STAT_IRQFD,		/* VM: of these, from irqfds */
	POSADA_STAT_COUNT
};

struct posada_stats {
	__u32 size;
	__u32 flags;
	__u32 count;		/* out: counters that this kernel has */
	__u32 pad;
	__u64 value[48];	/* by enum posada_stat; the rest is 0 */
};

/*
 * POSADA_PROFILE (struct posada_profile): where the exits of this vCPU went,
 * since its creation, of a VM made with POSADA_VM_PROFILE_EXITS. Copies at
 * most @entries of struct posada_profile_entry to @buf, in no order, and sets
 * @used to how many there are. May be called by any holder of the fd, also
 * while the vCPU runs. -ENODATA: a VM made without. -ENOSPC: there are more
 * than @entries, which were copied.
 */
#define POSADA_PROFILE		POSADA_IO(0x28)
struct posada_profile {
	__u32 size;
	__u32 flags;
	__u64 buf;		/* user address */
	__u32 entries;
	__u32 used;		/* out */
	__u64 lost;		/* out: exits for which there was no room */
};

struct posada_profile_entry {
	__u32 cause;		/* enum posada_stat, PORT to OTHER */
	__u32 pad;
	__u64 key;		/* by cause, 0 where none is named below */
	__u64 count;
	__u64 ns;		/* from these exits to the next entries */
};

#define POSADA_PROFILE_IN	(1ULL << 16) /* PORT: port | this, for IN */
#define POSADA_PROFILE_WRITE	(1ULL << 0) /* MEMORY: gpa of page | these */
#define POSADA_PROFILE_EXEC	(1ULL << 1)
#define POSADA_PROFILE_WRMSR	(1ULL << 63) /* MSR: index | this, for WRMSR */
/* CPUID: leaf | subleaf << 32 (below 64, else 0). HYPERCALL: number. */

#endif /* _UAPI_POSADA_STATS_H */
