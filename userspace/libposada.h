/* SPDX-License-Identifier: GPL-2.0 */
/*
 * libposada: the calls of /dev/posada, a guest's memory, and the completion of
 * the exits that the kernel leaves to userspace.
 *
 * Contracts that hold throughout:
 *  - Every function that returns int returns 0 (or the number named) on
 *    success and a negative errno on failure; errno itself is not touched on
 *    purpose. Failures are those of the ioctl, see uapi/posada.h.
 *  - gpa, gva and lengths are bytes. A gpa range may cross slots.
 *  - A posada_vm may be used from any thread. A posada_vcpu belongs to one
 *    thread at a time, but for posada_vcpu_kick(), posada_vcpu_stats() and
 *    posada_vcpu_fd().
 *  - Guest memory is shared with a running guest: what is read twice may
 *    differ. Nothing here trusts it.
 */
#ifndef LIBPOSADA_H
#define LIBPOSADA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "posada.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The library is built with everything else hidden. */
#pragma GCC visibility push(default)

#define POSADA_DEVICE		"/dev/posada"
#define POSADA_APIC_BASE	0xfee00000ULL	/* the xAPIC page */

struct posada_vm;
struct posada_vcpu;

/* ---- the system ---- */

/* Open @path (NULL: POSADA_DEVICE). -> a file descriptor, for close(2). */
int posada_open(const char *path);

/* Ask what module and host offer. */
int posada_info(int fd, struct posada_info *info);

/* A word for a backend id, an exit reason, a kill reason, a counter; never
 * NULL. posada_stat_name() gives NULL above the last.
 */
const char *posada_backend_name(unsigned int id);
const char *posada_exit_name(unsigned int reason);
const char *posada_kill_name(unsigned int reason);
const char *posada_stat_name(unsigned int stat);

/* ---- VMs ---- */

/* Create a VM; @fd (from posada_open) may be closed afterwards. */
int posada_vm_create(struct posada_vm **vm, int fd, enum posada_backend_id id,
		     uint32_t flags);
/* Free the VM and the memory that posada_memory_add() made. Its vCPUs must
 * have been closed.
 */
void posada_vm_close(struct posada_vm *vm);
int posada_vm_fd(const struct posada_vm *vm);

int posada_vm_stats(struct posada_vm *vm, struct posada_stats *stats);
int posada_msi(struct posada_vm *vm, uint64_t addr, uint32_t data);
int posada_irqfd(struct posada_vm *vm, int fd, uint64_t addr, uint32_t data);
int posada_irqfd_remove(struct posada_vm *vm, int fd);
/* @bell->size is filled in here. */
int posada_doorbell(struct posada_vm *vm, struct posada_doorbell *bell);

/* The VM was restored, cloned or put back: tell its guest, before any of its
 * vCPUs runs. @id (NULL: one is made) is of this run; @step_ns: how far the
 * wall clock stepped, or 0. -> how many vCPUs wanted to know.
 */
int posada_generation(struct posada_vm *vm, uint8_t id[16], int64_t step_ns);

/* ---- memory ---- */

/* Map zeroed memory of the library's own at @gpa as @slot: anonymous, or with
 * @memfd not NULL a memfd that is stored there (the caller closes it).
 * @flags: POSADA_SLOT_*. @hva (may be NULL): where it is in this process.
 */
int posada_memory_add(struct posada_vm *vm, uint32_t slot, uint64_t gpa,
		      uint64_t bytes, uint32_t flags, int *memfd, void **hva);
/* Map memory of the caller's, which must stay mapped until removed. Calling
 * it for a slot in use changes the slot.
 */
int posada_memory_map(struct posada_vm *vm, uint32_t slot, uint64_t gpa,
		      uint64_t bytes, void *hva, uint32_t flags);
/* Unmap @slot. No other thread may be inside a gpa or gva access to it. */
int posada_memory_remove(struct posada_vm *vm, uint32_t slot);
/* Copy the dirty bits of @pages pages from @first; @clear also clears them. */
int posada_dirty_log(struct posada_vm *vm, uint32_t slot, uint64_t first,
		     uint64_t pages, void *bitmap, bool clear);

/* The memory behind [gpa, gpa + bytes), NULL if not all in one slot. */
void *posada_hva(struct posada_vm *vm, uint64_t gpa, uint64_t bytes);
/* Copy from or to guest memory. -EFAULT: a part is in no slot, or (write) in
 * a read-only one; what comes before it has been copied.
 */
int posada_read(struct posada_vm *vm, uint64_t gpa, void *data, size_t bytes);
int posada_write(struct posada_vm *vm, uint64_t gpa, const void *data,
		 size_t bytes);

/* ---- vCPUs ---- */

int posada_vcpu_create(struct posada_vcpu **vcpu, struct posada_vm *vm,
		       uint32_t id);
void posada_vcpu_close(struct posada_vcpu *vcpu);
int posada_vcpu_fd(const struct posada_vcpu *vcpu);
uint32_t posada_vcpu_id(const struct posada_vcpu *vcpu);
/* The run page: set @wanted and @dirty, read @exit; see uapi/posada.h. */
struct posada_run *posada_vcpu_page(struct posada_vcpu *vcpu);

/* Run until there is something to do. -EINTR: a signal came. */
int posada_vcpu_run(struct posada_vcpu *vcpu);
int posada_vcpu_kick(struct posada_vcpu *vcpu);
int posada_vcpu_stats(struct posada_vcpu *vcpu, struct posada_stats *stats);
/* Where its exits went: @used of at most @room entries; see POSADA_PROFILE. */
int posada_vcpu_profile(struct posada_vcpu *vcpu,
			struct posada_profile_entry *entries, uint32_t room,
			uint32_t *used, uint64_t *lost);
int posada_inject_nmi(struct posada_vcpu *vcpu);
int posada_inject_init(struct posada_vcpu *vcpu);
int posada_inject_interrupt(struct posada_vcpu *vcpu, uint8_t vector);
/* @error_code below 0: the exception has none. @payload: CR2 or DR6 bits. */
int posada_inject_exception(struct posada_vcpu *vcpu, uint8_t vector,
			    int64_t error_code, uint64_t payload);
/* @dbg->size is filled in here. */
int posada_debug(struct posada_vcpu *vcpu, struct posada_debug *dbg);
/* Ask the kernel's walker; @tr->size is filled in here. */
int posada_translate(struct posada_vcpu *vcpu, struct posada_translate *tr);

/* Complete an access of @len bytes to the xAPIC page. -> the vector of a
 * level-triggered interrupt that was ended (an I/O APIC's business), else 0.
 * In another mode of the APIC reads give all ones, writes are dropped.
 */
int posada_apic_access(struct posada_vcpu *vcpu, uint64_t gpa, void *data,
		       unsigned int len, bool write);

/* ---- state ---- */

/* A stream of records under construction, or being read. Zero is empty. */
struct posada_stream {
	uint8_t *data;
	uint32_t bytes;
	uint32_t room;
	uint32_t at;		/* posada_stream_next() goes on here */
	/* of the last failed write: what to blame, see struct posada_state */
	uint32_t bad_type;
	uint32_t bad_offset;
	uint32_t bad_index;
};

/* Append a record of @bytes of payload (NULL: zeroes). -> the payload, for
 * the caller to fill before the next append; NULL: out of memory.
 */
void *posada_stream_add(struct posada_stream *s, uint16_t type,
			const void *payload, uint32_t bytes);
/* The next record's payload, NULL at the end or where the rest is no record. */
void *posada_stream_next(struct posada_stream *s, uint16_t *type,
			 uint32_t *bytes);
/* The payload of the record of @type; NULL if not there. */
void *posada_stream_find(struct posada_stream *s, uint16_t type,
			 uint32_t *bytes);
void posada_stream_free(struct posada_stream *s);

/* Read the records in @mask (bits 1 << type, 0: all) into @s, replacing it. */
int posada_vm_load(struct posada_vm *vm, uint64_t mask,
		   struct posada_stream *s);
int posada_vcpu_load(struct posada_vcpu *vcpu, uint64_t mask,
		     struct posada_stream *s);
/* Write all records of @s; @dry_run only checks. */
int posada_vm_store(struct posada_vm *vm, struct posada_stream *s,
		    bool dry_run);
int posada_vcpu_store(struct posada_vcpu *vcpu, struct posada_stream *s,
		      bool dry_run);

/* Make the host's CPUID policy @e, of *@n entries with room for
 * POSADA_MAX_CPUID, the portable one: a CPU that every host can give, so that
 * state goes from one to any other. Write it before a vCPU runs. -E2BIG: more
 * of the hypervisor's own leaves than fit beside it.
 */
int posada_cpuid_portable(struct posada_cpuid_entry *e, unsigned int *n);

/* ---- what a guest shares with its VMM ---- */

/* The console of POSADA_SYSTEM_CONSOLE_RING, see posada_hypercall.h. Zero:
 * there is none, and all calls but posada_console_set() do nothing. Not locked:
 * one thread at a time.
 */
struct posada_console {
	struct posada_console_ring *ring; /* in the guest's memory */
	uint8_t *out;
	uint32_t out_bytes;
	uint32_t out_head;		/* what is in the ring, the guest may */
	uint32_t in_tail;		/* change: these are the true ones */
};

/* Take that exit's @gpa and @bytes, replacing @c. The slot must stay while
 * there is a ring. -> the exit's @ret: 0, -POSADA_EINVAL or -POSADA_EFAULT.
 */
int64_t posada_console_set(struct posada_console *c, struct posada_vm *vm,
			   uint64_t gpa, uint32_t bytes);
/* Take output. -> bytes, 0: there is none. */
size_t posada_console_read(struct posada_console *c, void *data, size_t bytes);
/* Whether the guest is to ring (POSADA_BELL_CONSOLE) when it has output; on at
 * first. -> true: there is output, and maybe no bell for it.
 */
bool posada_console_listen(struct posada_console *c, bool on);
/* Give input. -> how much of it had room; posada_console_room() has it before. */
size_t posada_console_write(struct posada_console *c, const void *data,
			    size_t bytes);
size_t posada_console_room(const struct posada_console *c);

/* Take POSADA_SYSTEM_FREE_PAGES's @gpa and @bytes: give the memory back to the
 * host, where posada_memory_add() made it; the caller's own stays as it is.
 * -> the exit's @ret: how many ranges, or -POSADA_E*.
 */
int64_t posada_free_pages(struct posada_vm *vm, uint64_t gpa, uint32_t bytes);

/* ---- guest-virtual memory ---- */

/* Walk the guest's page tables in this process, by the control registers in
 * the run page (REGS and SREGS must be valid). @access: POSADA_ACCESS_*.
 * -ENXIO: a page fault, @error_code says which.
 */
int posada_gva_to_gpa(struct posada_vcpu *vcpu, uint64_t gva, uint32_t access,
		      uint64_t *gpa, uint32_t *error_code);
/* The same for a debugger: whatever the rights are. -ENXIO: it is nowhere. */
int posada_find_gva(struct posada_vcpu *vcpu, uint64_t gva, uint64_t *gpa);
/* Read or write as a debugger, the latter to memory that the guest has made
 * read-only, too. -> bytes done, maybe 0; it ends at what is in no slot.
 */
size_t posada_read_gva(struct posada_vcpu *vcpu, uint64_t gva, void *data,
		       size_t bytes);
size_t posada_write_gva(struct posada_vcpu *vcpu, uint64_t gva,
			const void *data, size_t bytes);

/* ---- completion ---- */

/* A device access. @len is 1, 2, 4 or 8, inside one page, not always aligned;
 * wider accesses come as several, lowest address first. A read fills @data.
 * Nonzero ends the completion, which returns it; the instruction is then not
 * finished and runs again at the next posada_vcpu_run().
 */
typedef int (*posada_mmio_fn)(void *ctx, uint64_t gpa, void *data,
			      unsigned int len, bool write);
/* A port access of 1, 2 or 4 bytes. */
typedef int (*posada_port_fn)(void *ctx, uint16_t port, void *data,
			      unsigned int len, bool write);

/* Complete a POSADA_EXIT_MEMORY: decode the instruction, perform its accesses
 * (memory in slots directly, everything else by @mmio), set registers and
 * flags, move RIP, mark them dirty. An access that faults in the guest raises
 * its #PF, #GP, #SS or #AC there, and is a success here. Writes to read-only
 * slots go to @mmio. REP instructions are done in part when long, and run
 * again. With POSADA_GROUP_EVENTS wanted the interrupt shadow ends, too.
 * -EOPNOTSUPP: an instruction that is not in the list (libposada(3)), or an
 * instruction fetch or event delivery through a device.
 * -EFAULT: the host cannot serve the memory of a slot (POSADA_MEM_FAULT).
 */
int posada_complete_memory(struct posada_vcpu *vcpu, posada_mmio_fn mmio,
			   void *ctx);
/* Complete a POSADA_EXIT_PORT, string or not. @mmio serves the memory side of
 * INS and OUTS where that is a device's, too.
 */
int posada_complete_port(struct posada_vcpu *vcpu, posada_port_fn port,
			 posada_mmio_fn mmio, void *ctx);

/* Complete a POSADA_EXIT_TASK: switch the task, or raise what that raises. */
int posada_complete_task(struct posada_vcpu *vcpu);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif /* LIBPOSADA_H */
