/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The userspace ABI of Posada: three kinds of fd, their ioctls, the run page.
 *
 *   open("/dev/posada") -> system fd -- POSADA_VM_CREATE   -> VM fd
 *                          VM fd     -- POSADA_VCPU_CREATE -> vCPU fd
 *
 * Rules that hold for every ioctl here:
 *  - The argument is a pointer to the named struct, or 0 where none is named.
 *    Each struct opens with @size, the caller's sizeof(struct), and @flags.
 *    A larger @size is accepted while the unknown tail is zero (-E2BIG if
 *    not), a smaller one reads as if zero-filled; below POSADA_MIN_SIZE, or
 *    above a page, it is -EINVAL. Unknown flag bits: -EINVAL. Padding must be
 *    zero: -EINVAL. No struct holds a pointer but as a __u64.
 *  - Common errors, not repeated below: -EFAULT (unreadable or unwritable
 *    memory), -ENOTTY (not an ioctl of this kind of fd), -EINTR (a fatal
 *    signal while waiting for a lock), -ENOMEM, -EIO (a VM or vCPU fd used
 *    from an address space other than its creator's).
 *  - A call that fails changes nothing.
 *  - Guest-physical addresses (gpa) and lengths are bytes unless said otherwise.
 */
#ifndef _UAPI_POSADA_H
#define _UAPI_POSADA_H

#include <linux/types.h>
#include "posada_stats.h"

#define POSADA_API_VERSION	1
#define POSADA_PAGE_SIZE	4096
#define POSADA_MAX_VCPUS	64
#define POSADA_MAX_SLOTS	512
#define POSADA_MIN_SIZE		8	/* size and flags alone */

/* Backends, as ids and as bits (1 << id) of posada_info.backends. */
enum posada_backend_id {
	POSADA_BACKEND_ANY	= 0,	/* the fastest that this host offers */
	POSADA_BACKEND_SVM	= 1,	/* AMD SVM with nested paging */
	POSADA_BACKEND_VMX	= 2,	/* Intel VMX with EPT */
	POSADA_BACKEND_RING3	= 3,	/* no hardware virtualization */
};

#define POSADA_IOC		0xB9
#define POSADA_IO(nr)		(((unsigned int)POSADA_IOC << 8) | (nr))

/* ---- system fd ---- */

/*
 * POSADA_INFO (struct posada_info): what this module and this host offer.
 * All fields after @flags are filled by the kernel; @flags must be 0.
 */
#define POSADA_INFO		POSADA_IO(0x00)
struct posada_info {
	__u32 size;
	__u32 flags;
	__u32 api_version;	/* POSADA_API_VERSION */
	__u32 backends;		/* bits 1 << enum posada_backend_id */
	__u32 max_vms;		/* 0: no limit but memory */
	__u32 max_vcpus;	/* per VM */
	__u32 max_slots;	/* per VM */
	__u32 phys_bits;	/* width of a gpa */
	__u32 tsc_khz;		/* rate of a guest's TSC */
	__u32 run_bytes;	/* bytes to mmap at offset 0 of a vCPU fd */
	__u32 xsave_bytes;	/* payload of a full POSADA_REC_XSAVE */
	__u32 cpuid_entries;	/* entries of the default CPUID policy */
	__u64 xcr0;		/* XCR0 bits that a guest may set */
	__u64 features;		/* POSADA_FEATURE_* */
};

#define POSADA_FEATURE_DIRTY_LOG	(1ULL << 0)
#define POSADA_FEATURE_NEXT_RIP		(1ULL << 1) /* CPU saves the next RIP */
#define POSADA_FEATURE_DECODE_ASSIST	(1ULL << 2) /* CPU saves insn bytes */
#define POSADA_FEATURE_PAUSE_FILTER	(1ULL << 3)
#define POSADA_FEATURE_GIB_PAGES	(1ULL << 4) /* 1 GiB second-level pages */
#define POSADA_FEATURE_VIRTUAL_APIC	(1ULL << 5) /* CPU delivers, takes EOIs */

/*
 * POSADA_VM_CREATE (struct posada_vm_create) -> VM fd (O_CLOEXEC).
 * -ENODEV: @backend is not offered here. -ENOSPC: the limit of VMs (module
 * parameter max_vms) is reached. -EMFILE/-ENFILE: no fd left.
 */
#define POSADA_VM_CREATE	POSADA_IO(0x01)
struct posada_vm_create {
	__u32 size;
	__u32 flags;		/* POSADA_VM_* */
	__u32 backend;		/* enum posada_backend_id */
	__u32 pad;
};

#define POSADA_VM_MSR_EXITS	(1U << 0) /* unknown MSRs exit, not fault */
#define POSADA_VM_PROFILE_EXITS	(1U << 1) /* for POSADA_PROFILE */

/* ---- VM fd ---- */

/*
 * POSADA_VCPU_CREATE (struct posada_vcpu_create) -> vCPU fd (O_CLOEXEC).
 * @id is the APIC id too; id 0 is the bootstrap processor, all others wait
 * for INIT-SIPI. -EINVAL: @id not below posada_info.max_vcpus.
 * -EEXIST: the VM has that vCPU.
 */
#define POSADA_VCPU_CREATE	POSADA_IO(0x10)
struct posada_vcpu_create {
	__u32 size;
	__u32 flags;
	__u32 id;
	__u32 pad;
};

/*
 * POSADA_SLOT_SET (struct posada_slot): map [hva, hva + bytes) of the
 * caller's memory at @gpa as slot @slot; bytes == 0 removes the slot. A slot
 * in use may change its flags, its gpa or its hva, or its size.
 * -EINVAL: gpa, hva or bytes not page aligned, or a range that wraps or
 * passes phys_bits, or @slot >= max_slots. -EEXIST: overlaps another slot.
 * -ENOENT: removes a slot that is not there. -EFAULT: hva not in user space.
 * The hva range may be unmapped now or later: a guest access to it then is a
 * POSADA_EXIT_MEMORY with POSADA_MEM_FAULT.
 */
#define POSADA_SLOT_SET		POSADA_IO(0x11)
struct posada_slot {
	__u32 size;
	__u32 flags;		/* POSADA_SLOT_* */
	__u32 slot;
	__u32 pad;
	__u64 gpa;
	__u64 bytes;
	__u64 hva;
};

#define POSADA_SLOT_READONLY	(1U << 0) /* guest writes are memory exits */
#define POSADA_SLOT_DIRTY_LOG	(1U << 1) /* log guest writes by page */

/*
 * POSADA_DIRTY_LOG (struct posada_dirty_log): copy the dirty bits of slot
 * @slot, @pages of them from page @first on, to @bitmap (bit 0 of byte 0 is
 * @first), rounded up to 8 bytes; POSADA_DIRTY_CLEAR: clear them and arm the
 * pages again, atomically per 64 pages.
 * -ENOENT: no such slot. -ENODATA: the slot has no dirty log.
 * -EINVAL: @first or @pages not a multiple of 64 (the last chunk of the slot
 * may be shorter), or out of the slot.
 */
#define POSADA_DIRTY_LOG	POSADA_IO(0x12)
struct posada_dirty_log {
	__u32 size;
	__u32 flags;
	__u32 slot;
	__u32 pad;
	__u64 first;		/* pages from the start of the slot */
	__u64 pages;
	__u64 bitmap;		/* user address */
};

#define POSADA_DIRTY_CLEAR	(1U << 0)

/*
 * POSADA_MSI (struct posada_msi): deliver a message-signalled interrupt, in
 * the format of the Intel SDM, "Message Signalled Interrupts", with the
 * extended destination id in address bits 5-11. Returns the number of vCPUs
 * that took it (0: none is addressed). -EINVAL: @addr not in 0xfeexxxxx, or
 * a delivery mode that an MSI cannot have here (SMI, ExtINT, the reserved).
 */
#define POSADA_MSI		POSADA_IO(0x13)
struct posada_msi {
	__u32 size;
	__u32 flags;
	__u64 addr;
	__u32 data;
	__u32 pad;
};

/*
 * POSADA_IRQFD (struct posada_irqfd): deliver the MSI each time eventfd @fd
 * is signalled, until it is closed or deassigned (same fd, flag set; returns
 * once no delivery is under way). -EBADF / -EINVAL: not an eventfd, or a bad
 * MSI. -EBUSY: @fd is an irqfd already. -ENOENT: deassigns an unknown one.
 */
#define POSADA_IRQFD		POSADA_IO(0x14)
struct posada_irqfd {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 data;
	__u64 addr;
};

#define POSADA_IRQFD_DEASSIGN	(1U << 0)

/*
 * POSADA_DOORBELL (struct posada_doorbell): a guest's write of @len bytes to
 * @addr signals eventfd @fd in place of an exit; with POSADA_DOORBELL_MATCH
 * only a write of @match. len 0 (memory and hypercall): any width.
 * -EINVAL: unknown @kind, len not 0, 1, 2, 4 or 8 (port: 1, 2, 4), a range
 * that wraps, a port above 65535, match bits above len. -EEXIST: would take
 * the same writes as another. -EBADF: not an eventfd. -ENOSPC: more than
 * POSADA_MAX_DOORBELLS. -ENOENT: deassigns an unknown one.
 */
#define POSADA_DOORBELL		POSADA_IO(0x15)
#define POSADA_MAX_DOORBELLS	512
struct posada_doorbell {
	__u32 size;
	__u32 flags;
	__u32 kind;		/* enum posada_doorbell_kind */
	__s32 fd;
	__u64 addr;		/* port, gpa, or hypercall doorbell number */
	__u32 len;
	__u32 pad;
	__u64 match;
};

enum posada_doorbell_kind {
	POSADA_DOORBELL_PORT	= 0,
	/*
	 * Memory: len must be 0 and MATCH is -EINVAL, as the kernel decodes no
	 * instruction. To go on behind the write takes a CPU that tells the
	 * instruction's length with a second-level fault: no backend has one
	 * yet, so -EOPNOTSUPP. Signal the eventfd from userspace instead.
	 */
	POSADA_DOORBELL_MEMORY	= 1,
	POSADA_DOORBELL_CALL	= 2,
};

#define POSADA_DOORBELL_DEASSIGN	(1U << 0)
#define POSADA_DOORBELL_MATCH		(1U << 1)

/*
 * POSADA_VM_STATE, POSADA_VCPU_STATE (struct posada_state): read or write the
 * state of a VM or vCPU as a stream of records. Reading fills @buf with the
 * records whose bit (1 << type) is in @mask (0: all) and sets @used; if
 * @bytes is too small nothing is copied, @used is what it takes, -ENOSPC.
 * Writing takes @bytes of records in any order; the kernel checks all before
 * it applies any. With POSADA_STATE_DRY_RUN it only checks. On failure
 * @bad_type is the type and @bad_offset the offset of the record (for
 * POSADA_REC_MSRS and POSADA_REC_CPUID: @bad_index the entry) to blame.
 * -EINVAL: a malformed stream, a type that is unknown, twice there, or of the
 * other kind of fd, or values that no CPU could hold. -EOPNOTSUPP: values
 * that this host cannot honour. -EBUSY (VM): CPUID written after a vCPU ran.
 */
#define POSADA_VM_STATE		POSADA_IO(0x16)
#define POSADA_VCPU_STATE	POSADA_IO(0x22)
struct posada_state {
	__u32 size;
	__u32 flags;
	__u64 buf;		/* user address */
	__u32 bytes;
	__u32 used;		/* out, when reading */
	__u64 mask;
	__u32 bad_type;		/* out, on failure */
	__u32 bad_offset;
	__u32 bad_index;
	__u32 pad;
};

#define POSADA_STATE_WRITE	(1U << 0)
#define POSADA_STATE_DRY_RUN	(1U << 1)	/* with WRITE */
#define POSADA_STATE_MAX	(1U << 20)	/* bytes of a stream, at most */

/*
 * POSADA_GENERATION (struct posada_generation_set): the VM was restored, cloned
 * or put back: tell its guest (see POSADA_MSR_GENERATION), after loading its
 * state and before any of its vCPUs runs. @id all 0: the kernel makes one; it
 * is the current one on return. Returns how many vCPUs have asked to be told
 * and were: 0 may mean that nobody in the guest cares.
 */
#define POSADA_GENERATION	POSADA_IO(0x18)
struct posada_generation_set {
	__u32 size;
	__u32 flags;
	__u8 id[16];
	__s64 step_ns;		/* what the guest's clocks missed; 0: unknown */
};

/* ---- vCPU fd ---- */

/*
 * POSADA_RUN (no argument): commit the run page's dirty groups, complete the
 * last exit, and run the guest until something is userspace's to do. Returns
 * 0 with the exit in the run page. -EINTR: a signal is pending or
 * posada_run.request has POSADA_RUN_EXIT_NOW; nothing is lost, call again.
 * -EINVAL: the committed registers are impossible (nothing is committed).
 * -EBUSY is never returned: the call waits for other ioctls on this vCPU.
 */
#define POSADA_RUN		POSADA_IO(0x20)

/*
 * POSADA_KICK (no argument): make the running, or else the next, POSADA_RUN
 * of this vCPU return with POSADA_EXIT_KICK. Any thread of any holder of the
 * fd may call it; it never waits for the vCPU.
 */
#define POSADA_KICK		POSADA_IO(0x21)

/*
 * POSADA_INJECT (struct posada_inject): queue an event. NMI: one more NMI, at
 * most two wait, more are dropped as on hardware. INTERRUPT: an external
 * interrupt from outside the APIC (ExtINT); -EBUSY while one waits (see
 * POSADA_RUN_WINDOW). EXCEPTION: raised at the next entry; -EBUSY while
 * another event is being delivered. -EINVAL: unknown kind, vector above 255
 * (exception: one that is none, such as 2 or 31), error code where it has none,
 * a payload for DR6 above 32 bits.
 * INIT: as by an INIT IPI.
 */
#define POSADA_INJECT		POSADA_IO(0x23)
struct posada_inject {
	__u32 size;
	__u32 flags;
	__u32 kind;		/* enum posada_inject_kind */
	__u32 vector;
	__u32 error_code;
	__u32 pad;
	__u64 payload;		/* #PF: CR2, #DB: DR6 bits */
};

#define POSADA_INJECT_ERROR_CODE	(1U << 0)

enum posada_inject_kind {
	POSADA_INJECT_NMI	= 0,
	POSADA_INJECT_INTERRUPT	= 1,
	POSADA_INJECT_EXCEPTION	= 2,
	POSADA_INJECT_INIT	= 3,
};

/*
 * POSADA_APIC (struct posada_apic_reg): read or write (POSADA_APIC_WRITE) the
 * APIC register at byte @offset of the xAPIC page, as the guest's own access
 * would: this completes memory exits in 0xfee00000-0xfee00fff. An EOI of a
 * level-triggered vector sets POSADA_APIC_EOI and @value to the vector.
 * -EINVAL: offset not a multiple of 16 below 4096. -ENXIO: the APIC is not in
 * xAPIC mode.
 */
#define POSADA_APIC		POSADA_IO(0x24)
struct posada_apic_reg {
	__u32 size;
	__u32 flags;
	__u32 offset;
	__u32 value;
};

#define POSADA_APIC_WRITE	(1U << 0)
#define POSADA_APIC_EOI		(1U << 1)	/* out */

/*
 * POSADA_DEBUG (struct posada_debug): debug the guest from outside. The guest
 * does not see it. STEP exits after each instruction, BREAK exits on INT3,
 * HARDWARE arms @dr in place of the guest's debug registers. flags 0 ends it.
 * -EINVAL: reserved DR7 bits, non-canonical addresses.
 */
#define POSADA_DEBUG		POSADA_IO(0x25)
struct posada_debug {
	__u32 size;
	__u32 flags;
	__u64 dr[4];
	__u64 dr7;
};

#define POSADA_DEBUG_STEP	(1U << 0)
#define POSADA_DEBUG_BREAK	(1U << 1)
#define POSADA_DEBUG_HARDWARE	(1U << 2)

/*
 * POSADA_TRANSLATE (struct posada_translate): walk the guest's page tables
 * for @gva as the vCPU's next access of that kind would, without setting
 * accessed or dirty bits. -ENXIO: it would fault; @error_code is the #PF's.
 * -EINVAL: not canonical.
 */
#define POSADA_TRANSLATE	POSADA_IO(0x27)
struct posada_translate {
	__u32 size;
	__u32 flags;		/* POSADA_ACCESS_* */
	__u64 gva;
	__u64 gpa;		/* out */
	__u64 page_bytes;	/* out: of the mapping */
	__u32 error_code;	/* out */
	__u32 pad;
};

#define POSADA_ACCESS_READ	(1U << 0)
#define POSADA_ACCESS_WRITE	(1U << 1)
#define POSADA_ACCESS_EXEC	(1U << 2)
#define POSADA_ACCESS_USER	(1U << 3)

/* ---- registers ---- */

/* General registers, in the order of their encoding. */
enum posada_reg {
	POSADA_RAX, POSADA_RCX, POSADA_RDX, POSADA_RBX,
	POSADA_RSP, POSADA_RBP, POSADA_RSI, POSADA_RDI,
	POSADA_R8, POSADA_R9, POSADA_R10, POSADA_R11,
	POSADA_R12, POSADA_R13, POSADA_R14, POSADA_R15,
	POSADA_NR_REGS
};

struct posada_regs {
	__u64 gpr[POSADA_NR_REGS];
	__u64 rip;
	__u64 rflags;
};

struct posada_segment {
	__u64 base;
	__u32 limit;		/* bytes - 1, granularity applied */
	__u16 selector;
	__u16 attr;		/* POSADA_SEG_* */
};

/* Segment attributes: the descriptor's bits 40-47 and 52-55, packed. */
#define POSADA_SEG_TYPE		0x000f
#define POSADA_SEG_S		0x0010
#define POSADA_SEG_DPL		0x0060
#define POSADA_SEG_DPL_SHIFT	5
#define POSADA_SEG_P		0x0080
#define POSADA_SEG_AVL		0x0100
#define POSADA_SEG_L		0x0200
#define POSADA_SEG_DB		0x0400
#define POSADA_SEG_G		0x0800
#define POSADA_SEG_UNUSABLE	0x8000

/* Segment registers, in the order of their encoding, then the system ones. */
enum posada_seg {
	POSADA_ES, POSADA_CS, POSADA_SS, POSADA_DS, POSADA_FS, POSADA_GS,
	POSADA_LDTR, POSADA_TR,
	POSADA_NR_SEGS
};

struct posada_table {
	__u64 base;
	__u32 limit;		/* bytes - 1, at most 0xffff */
	__u32 pad;
};

struct posada_sregs {
	struct posada_segment seg[POSADA_NR_SEGS];
	struct posada_table gdt;
	struct posada_table idt;
	__u64 cr0;
	__u64 cr2;
	__u64 cr3;
	__u64 cr4;
	__u64 cr8;
	__u64 efer;
	__u8 cpl;
	__u8 pad[7];
};

/* What is on its way into the guest, and what holds it up. */
struct posada_events {
	__u8 kind;		/* enum posada_event_kind */
	__u8 vector;
	__u8 has_error_code;
	__u8 nmi_pending;	/* 0-2 */
	__u8 nmi_masked;	/* until IRET */
	__u8 shadow;		/* POSADA_SHADOW_* */
	__u8 extint_pending;
	__u8 extint_vector;
	__u32 error_code;
	__u32 pad;
	__u64 payload;		/* as in posada_inject */
};

enum posada_event_kind {
	POSADA_EVENT_NONE	= 0,
	POSADA_EVENT_INTERRUPT	= 1,
	POSADA_EVENT_NMI	= 2,
	POSADA_EVENT_EXCEPTION	= 3,
};

#define POSADA_SHADOW_STI	1	/* STI: interrupts held one insn */
#define POSADA_SHADOW_MOV_SS	2	/* MOV SS: all but NMI too */

struct posada_dregs {
	__u64 dr[4];
	__u64 dr6;
	__u64 dr7;
};

/* Register groups of the run page. */
#define POSADA_GROUP_REGS	(1U << 0)
#define POSADA_GROUP_SREGS	(1U << 1)
#define POSADA_GROUP_EVENTS	(1U << 2)
#define POSADA_GROUP_DREGS	(1U << 3)
#define POSADA_GROUP_ALL	0xfU

/* ---- the run page ---- */

enum posada_exit_reason {
	POSADA_EXIT_NONE	= 0,
	POSADA_EXIT_PORT	= 1,	/* port */
	POSADA_EXIT_MEMORY	= 2,	/* memory */
	POSADA_EXIT_MSR		= 3,	/* msr; VMs with POSADA_VM_MSR_EXITS */
	POSADA_EXIT_HYPERCALL	= 4,	/* hypercall */
	POSADA_EXIT_EOI		= 5,	/* eoi: tell the I/O APIC */
	POSADA_EXIT_WINDOW	= 6,	/* an ExtINT can be injected now */
	POSADA_EXIT_KICK	= 7,	/* POSADA_KICK */
	POSADA_EXIT_DEBUG	= 8,	/* debug */
	POSADA_EXIT_SHUTDOWN	= 9,	/* triple fault: a PC would reset */
	POSADA_EXIT_SYSTEM	= 10,	/* system: the guest asked for it */
	POSADA_EXIT_KILLED	= 11,	/* killed: the VM will not run again */
	POSADA_EXIT_TASK	= 12,	/* task: to be switched by userspace */
	POSADA_NR_EXITS
};

/* Port. Not POSADA_PORT_STRING: a write needs nothing more; a read is
 * completed by the next POSADA_RUN with @data. STRING (INS/OUTS): @insn holds
 * the instruction, nothing is completed; userspace does all of it, moves RIP.
 */
struct posada_exit_port {
	__u16 port;
	__u8 len;		/* 1, 2, 4 */
	__u8 flags;		/* POSADA_PORT_* */
	__u32 data;
	__u8 pad[7];
	__u8 insn_len;		/* bytes valid in insn */
	__u8 insn[16];
};

#define POSADA_PORT_IN		(1U << 0)
#define POSADA_PORT_STRING	(1U << 1)

/* Memory. Userspace decodes @insn, performs the access, moves RIP. REGS and
 * SREGS are valid with this exit whatever is wanted.
 */
struct posada_exit_memory {
	__u64 gpa;
	__u32 flags;		/* POSADA_MEM_* */
	__u8 pad[3];
	__u8 insn_len;		/* 0: could not be fetched */
	__u8 insn[16];		/* at CS:RIP, up to 15 */
};

#define POSADA_MEM_WRITE	(1U << 0)
#define POSADA_MEM_EXEC		(1U << 1)
#define POSADA_MEM_WALK		(1U << 2) /* by the page walk, not the insn */
#define POSADA_MEM_FAULT	(1U << 3) /* in a slot, but host cannot serve */
#define POSADA_MEM_READONLY	(1U << 4) /* write to a read-only slot */
#define POSADA_MEM_DELIVERY	(1U << 5) /* while delivering an event */

/* MSR. The next POSADA_RUN completes it: reads with @data; a nonzero @error
 * raises #GP(0) in place of it.
 */
struct posada_exit_msr {
	__u32 index;
	__u8 write;
	__u8 error;
	__u8 pad[2];
	__u64 data;
};

/* A hypercall of the range POSADA_HC_USER_*; the next POSADA_RUN puts @ret
 * in RAX.
 */
struct posada_exit_hypercall {
	__u64 nr;
	__u64 arg[6];
	__u64 ret;
};

struct posada_exit_eoi {
	__u32 vector;
	__u32 pad;
};

struct posada_exit_debug {
	__u32 vector;		/* 1: #DB, 3: #BP */
	__u32 pad;
	__u64 dr6;
	__u64 address;		/* linear, of the instruction */
};

/* The next POSADA_RUN puts @ret in RAX: it is 0 for the first three, and
 * -POSADA_ENOSYS for the rest, until userspace says otherwise.
 */
struct posada_exit_system {
	__u32 event;		/* enum posada_system_event */
	__u32 bytes;		/* at @arg */
	__u64 arg;		/* a gpa; nobody has looked there yet */
	__u64 pad[5];
	__s64 ret;
};

enum posada_system_event {
	POSADA_SYSTEM_SHUTDOWN	= 0,
	POSADA_SYSTEM_REBOOT	= 1,
	POSADA_SYSTEM_CRASH	= 2,	/* arg: gpa of a message, to 4096 */
	POSADA_SYSTEM_CONSOLE_WRITE = 3, /* arg: gpa of text, to 4096 */
	POSADA_SYSTEM_CONSOLE_RING = 4,	/* arg: gpa of the ring; bytes 0: end */
	POSADA_SYSTEM_FREE_PAGES = 5,	/* arg: gpa of struct posada_range[] */
};

struct posada_exit_killed {
	__u32 reason;		/* enum posada_kill */
	__u32 vcpu;		/* the one that broke the rule */
	__u64 info[2];		/* by reason */
};

enum posada_kill {
	POSADA_KILL_NONE	= 0,
	/* The CPU refused the guest state; info[0] the hardware's code. */
	POSADA_KILL_BAD_STATE	= 1,
	POSADA_KILL_BAD_EXIT	= 2,	/* unknown exit; info[0] its code */
	/* The insn at RIP: unreadable or not what exited; info[0] RIP. */
	POSADA_KILL_NO_FETCH	= 3,
	POSADA_KILL_NO_MEMORY	= 4,	/* host out of memory in a fault */
	/* Delivery through memory that only userspace serves; info[0] gpa. */
	POSADA_KILL_DELIVERY	= 5,
	POSADA_KILL_MACHINE	= 6,	/* machine check while in the guest */
	POSADA_KILL_HOST	= 7,	/* the host goes down */
	POSADA_NR_KILLS
};

/* A task switch by the hardware, on CPUs that leave it to the VMM. Nothing of it
 * is done yet: RIP is at the instruction, or where the event of a task gate came
 * in. REGS and SREGS are valid with this exit whatever is wanted.
 */
struct posada_exit_task {
	__u16 selector;		/* of the new TSS */
	__u8 source;		/* POSADA_TASK_* */
	__u8 insn_len;		/* for the old task's RIP; 0: an event's */
	__u32 flags;
	__u32 error_code;	/* to be pushed in the new task */
	__u32 pad;
};

#define POSADA_TASK_CALL	0
#define POSADA_TASK_IRET	1
#define POSADA_TASK_JMP		2
#define POSADA_TASK_GATE	3	/* in the IDT: an event, INT n */
#define POSADA_TASK_ERROR	(1U << 0) /* flags: there is an error_code */

/*
 * The run page: mmap(run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vCPU fd,
 * 0). The kernel writes it only inside POSADA_RUN, and reads each field once.
 * A group in @dirty is committed on entry (then cleared), one in @wanted is
 * filled on each exit; @valid says which hold the guest's state now.
 */
struct posada_run {
	__u32 request;		/* POSADA_RUN_*, set by userspace */
	__u32 wanted;
	__u32 dirty;
	__u32 valid;		/* out */
	__u32 exit;		/* out: enum posada_exit_reason */
	__u32 exit_flags;	/* out: 0 */
	__u64 pad[5];
	union {
		struct posada_exit_port port;
		struct posada_exit_memory memory;
		struct posada_exit_msr msr;
		struct posada_exit_hypercall hypercall;
		struct posada_exit_eoi eoi;
		struct posada_exit_debug debug;
		struct posada_exit_system system;
		struct posada_exit_killed killed;
		struct posada_exit_task task;
		__u8 raw[128];
	};
	struct posada_regs regs;
	struct posada_sregs sregs;
	struct posada_events events;
	struct posada_dregs dregs;
};

#define POSADA_RUN_BYTES	4096
#define POSADA_RUN_EXIT_NOW	(1U << 0) /* -EINTR before the next entry */
#define POSADA_RUN_WINDOW	(1U << 1) /* exit when ExtINT can go in */

/* ---- state records ---- */

/* Each record: this header, then @bytes of payload; the next begins at the
 * next multiple of 8.
 */
struct posada_record {
	__u16 type;		/* enum posada_record_type */
	__u16 version;		/* 1 */
	__u32 bytes;
};

enum posada_record_type {
	/* vCPU */
	POSADA_REC_REGS		= 1,	/* struct posada_regs */
	POSADA_REC_SREGS	= 2,	/* struct posada_sregs */
	POSADA_REC_EVENTS	= 3,	/* struct posada_events */
	POSADA_REC_DREGS	= 4,	/* struct posada_dregs */
	POSADA_REC_XSAVE	= 5,	/* struct posada_rec_xsave + area */
	POSADA_REC_MSRS		= 6,	/* struct posada_msr_entry[] */
	POSADA_REC_APIC		= 7,	/* struct posada_rec_apic */
	POSADA_REC_MP		= 8,	/* struct posada_rec_mp */
	POSADA_REC_TSC		= 9,	/* struct posada_rec_tsc */
	/* VM */
	POSADA_REC_CPUID	= 32,	/* struct posada_cpuid_entry[] */
	POSADA_REC_CLOCK	= 33,	/* struct posada_rec_clock */
};

struct posada_msr_entry {
	__u32 index;
	__u32 pad;
	__u64 value;
};

/* Followed by an XSAVE area in the standard (non-compacted) format. */
struct posada_rec_xsave {
	__u64 xcr0;
	__u64 pad;
};

struct posada_rec_apic {
	__u64 base;		/* IA32_APIC_BASE */
	__u64 tsc_deadline;	/* guest TSC; 0: not armed */
	__u64 timer_ns;		/* to the next expiry; 0: not armed */
	__u32 reg[64];		/* register at xAPIC offset 16 * i */
};

struct posada_rec_mp {
	__u32 state;		/* enum posada_mp_state */
	__u32 sipi;		/* POSADA_SIPI_WAITS | its vector, or 0 */
};

#define POSADA_SIPI_WAITS	0x100U

enum posada_mp_state {
	POSADA_MP_RUNNABLE	= 0,
	POSADA_MP_HALTED	= 1,
	POSADA_MP_WAIT_SIPI	= 2,
};

/* The guest's TSC when CLOCK_MONOTONIC_RAW of this host read @host_ns; on
 * writing, host_ns 0 means now.
 */
struct posada_rec_tsc {
	__u64 tsc;
	__u64 host_ns;
	__u32 khz;		/* -EOPNOTSUPP: this host cannot give it */
	__u32 pad;
};

struct posada_cpuid_entry {
	__u32 leaf;
	__u32 subleaf;
	__u32 flags;		/* POSADA_CPUID_SUBLEAF */
	__u32 eax;
	__u32 ebx;
	__u32 ecx;
	__u32 edx;
	__u32 pad;
};

#define POSADA_CPUID_SUBLEAF	(1U << 0)	/* subleaf is significant */
#define POSADA_MAX_CPUID	256

/* The paravirtual clock: nanoseconds since the VM's start. */
struct posada_rec_clock {
	__u64 ns;
	__u64 realtime_ns;	/* out: host's CLOCK_REALTIME at that time */
};

#ifdef __cplusplus
#define POSADA_ASSERT(x)	static_assert(x, #x)
#else
#define POSADA_ASSERT(x)	_Static_assert(x, #x)
#endif

POSADA_ASSERT(sizeof(struct posada_info) == 64);
POSADA_ASSERT(sizeof(struct posada_vm_create) == 16);
POSADA_ASSERT(sizeof(struct posada_vcpu_create) == 16);
POSADA_ASSERT(sizeof(struct posada_slot) == 40);
POSADA_ASSERT(sizeof(struct posada_dirty_log) == 40);
POSADA_ASSERT(sizeof(struct posada_msi) == 24);
POSADA_ASSERT(sizeof(struct posada_irqfd) == 24);
POSADA_ASSERT(sizeof(struct posada_doorbell) == 40);
POSADA_ASSERT(sizeof(struct posada_state) == 48);
POSADA_ASSERT(sizeof(struct posada_stats) == 400);
POSADA_ASSERT(sizeof(struct posada_inject) == 32);
POSADA_ASSERT(sizeof(struct posada_apic_reg) == 16);
POSADA_ASSERT(sizeof(struct posada_debug) == 48);
POSADA_ASSERT(sizeof(struct posada_translate) == 40);
POSADA_ASSERT(sizeof(struct posada_profile) == 32);
POSADA_ASSERT(sizeof(struct posada_profile_entry) == 32);
POSADA_ASSERT(sizeof(struct posada_regs) == 144);
POSADA_ASSERT(sizeof(struct posada_segment) == 16);
POSADA_ASSERT(sizeof(struct posada_sregs) == 216);
POSADA_ASSERT(sizeof(struct posada_events) == 24);
POSADA_ASSERT(sizeof(struct posada_dregs) == 48);
POSADA_ASSERT(sizeof(struct posada_exit_port) == 32);
POSADA_ASSERT(sizeof(struct posada_exit_memory) == 32);
POSADA_ASSERT(sizeof(struct posada_exit_msr) == 16);
POSADA_ASSERT(sizeof(struct posada_exit_hypercall) == 64);
POSADA_ASSERT(__builtin_offsetof(struct posada_exit_system, ret) ==
	      __builtin_offsetof(struct posada_exit_hypercall, ret));
POSADA_ASSERT(sizeof(struct posada_generation_set) == 32);
POSADA_ASSERT(sizeof(struct posada_exit_killed) == 24);
POSADA_ASSERT(sizeof(struct posada_exit_task) == 16);
POSADA_ASSERT(__builtin_offsetof(struct posada_run, exit) == 16);
POSADA_ASSERT(__builtin_offsetof(struct posada_run, port) == 64);
POSADA_ASSERT(__builtin_offsetof(struct posada_run, regs) == 192);
POSADA_ASSERT(__builtin_offsetof(struct posada_run, sregs) == 336);
POSADA_ASSERT(__builtin_offsetof(struct posada_run, events) == 552);
POSADA_ASSERT(__builtin_offsetof(struct posada_run, dregs) == 576);
POSADA_ASSERT(sizeof(struct posada_run) <= POSADA_RUN_BYTES);
POSADA_ASSERT(sizeof(struct posada_record) == 8);
POSADA_ASSERT(sizeof(struct posada_rec_apic) == 280);
POSADA_ASSERT(sizeof(struct posada_cpuid_entry) == 32);
POSADA_ASSERT(POSADA_STAT_COUNT <= 48);

#endif /* _UAPI_POSADA_H */
