/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of libposada share. Not installed.
 *
 * Layers, each calling only those above it: lib.c (ioctls), memory.c (slots),
 * ring.c (what guests share with VMMs), state.c (records), walk.c (page tables), access.c (one memory operand),
 * decode.c (Zydis), alu.c (flags), and the
 * instruction handlers: insn.c, vector.c, string.c; complete.c is the way in.
 * task.c, beside them, needs memory and page tables alone.
 */
#ifndef POSADA_INTERNAL_H
#define POSADA_INTERNAL_H

#include <pthread.h>

#include "libposada.h"
#include "decode.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define BIT(n)		(1ULL << (n))
#define PAGE_MASK	((uint64_t)POSADA_PAGE_SIZE - 1)

/* Architectural bits that the walker and the handlers look at. */
#define X86_CR0_PE	BIT(0)
#define X86_CR0_WP	BIT(16)
#define X86_CR0_AM	BIT(18)
#define X86_CR0_PG	BIT(31)
#define X86_CR4_PSE	BIT(4)
#define X86_CR4_PAE	BIT(5)
#define X86_CR4_LA57	BIT(12)
#define X86_CR4_SMEP	BIT(20)
#define X86_CR4_SMAP	BIT(21)
#define X86_CR4_PKE	BIT(22)
#define X86_EFER_LMA	BIT(10)
#define X86_EFER_NXE	BIT(11)
#define X86_FLAGS_CF	BIT(0)
#define X86_FLAGS_PF	BIT(2)
#define X86_FLAGS_AF	BIT(4)
#define X86_FLAGS_ZF	BIT(6)
#define X86_FLAGS_SF	BIT(7)
#define X86_FLAGS_TF	BIT(8)
#define X86_FLAGS_DF	BIT(10)
#define X86_FLAGS_OF	BIT(11)
#define X86_FLAGS_RF	BIT(16)
#define X86_FLAGS_VM	BIT(17)
#define X86_FLAGS_AC	BIT(18)
#define X86_FLAGS_ARITH	(X86_FLAGS_CF | X86_FLAGS_PF | X86_FLAGS_AF | \
			 X86_FLAGS_ZF | X86_FLAGS_SF | X86_FLAGS_OF)
#define X86_DR6_BS	BIT(14)

enum { X86_DB = 1, X86_SS = 12, X86_GP = 13, X86_PF = 14, X86_AC = 17 };

struct memory_slot {
	uint64_t gpa;
	uint64_t bytes;		/* 0: not in use */
	uint8_t *hva;
	uint32_t flags;
	bool ours;		/* munmap when removed */
	bool memfd;		/* ours, and shared with a memfd */
};

struct posada_vm {
	int fd;
	uint32_t phys_bits;
	pthread_rwlock_t lock;	/* guards slots and nr_slots */
	uint32_t nr_slots;	/* one above the highest in use */
	struct memory_slot slots[POSADA_MAX_SLOTS];
};

#define DECODE_CACHE	64	/* a power of two */

struct posada_vcpu {
	int fd;
	uint32_t id;
	struct posada_vm *vm;
	struct posada_run *run;
	size_t run_bytes;
	struct insn cache[DECODE_CACHE];
};

int posada_call(int fd, unsigned int nr, void *arg);

/* memory.c, with the lock held: the slot that holds all of it, or NULL. */
const struct memory_slot *find_slot(const struct posada_vm *vm, uint64_t gpa,
				    uint64_t bytes);

/* walk.c: as posada_gva_to_gpa(), and with WALK_SET_AD mark the entries. */
#define WALK_SET_AD	(1U << 31)
#define WALK_ANY	(1U << 30)	/* a debugger's: no rights are checked */
int walk(struct posada_vcpu *vcpu, uint64_t gva, uint32_t access,
		  uint64_t *gpa, uint32_t *error_code);

/*
 * One instruction being completed. A handler first resolves all of its
 * operands, which may raise a fault, then performs the accesses, then writes
 * registers: so an instruction that faults has changed nothing.
 */
struct job {
	struct posada_vcpu *vcpu;
	struct posada_run *run;
	const struct insn *in;
	posada_mmio_fn mmio;
	posada_port_fn port;
	void *ctx;
	bool long_mode;		/* CS is 64-bit */
	bool hint;		/* exit_gpa is that of the one operand */
	bool hint_write;	/* ... and known writable */
	uint64_t exit_gpa;
	struct posada_inject fault;
};

/* A handler's verdicts besides a negative errno. */
enum {
	JOB_DONE = 0,		/* finish the instruction */
	JOB_FAULT = 1,		/* job.fault is to be injected */
	JOB_AGAIN = 2,		/* commit registers, leave RIP (REP) */
	JOB_JUMPED = 3,		/* RIP has been set */
};

/* An operand in memory, resolved to at most two pieces. */
struct operand {
	uint64_t gpa[2];
	uint32_t len[2];	/* len[1]: 0 unless it crosses a page */
	bool device;		/* known to be in no slot */
};

/* access.c */
#define ACC_READ	POSADA_ACCESS_READ
#define ACC_WRITE	POSADA_ACCESS_WRITE
#define OPERAND_MAX	64	/* bytes */
int raise_fault(struct job *j, uint8_t vector, uint32_t error_code,
			 uint64_t payload);
uint64_t effective_address(const struct job *j);
int resolve(struct job *j, uint8_t seg, uint64_t ea, uint32_t bytes,
		     uint32_t access, struct operand *op);
int resolve_mem(struct job *j, uint32_t access, struct operand *op);
int operand_read(struct job *j, const struct operand *op, void *data);
int operand_write(struct job *j, const struct operand *op,
			   const void *data);
int canonical(const struct job *j, uint64_t address);

/* registers of the run page; @shift is 8 for AH, CH, DH, BH */
uint64_t reg_read(const struct job *j, uint8_t reg, uint8_t shift,
			   uint32_t bytes);
void reg_write(struct job *j, uint8_t reg, uint8_t shift,
			uint32_t bytes, uint64_t value);
static inline uint64_t size_mask(uint32_t bytes)
{
	return bytes >= 8 ? ~0ULL : (1ULL << (8 * bytes)) - 1;
}

static inline uint64_t sign_extend(uint64_t value, uint32_t bytes)
{
	unsigned int shift = 64 - 8 * bytes;

	return (uint64_t)((int64_t)(value << shift) >> shift);
}

/* vector.c: the low @bytes of vector register @reg. A write clears the rest of
 * the register with @clear_upper, and keeps it without.
 */
int vec_read(struct posada_vcpu *vcpu, uint8_t reg, void *data,
		      uint32_t bytes);
int vec_write(struct posada_vcpu *vcpu, uint8_t reg, const void *data,
		       uint32_t bytes, bool clear_upper);
int pkru_read(struct posada_vcpu *vcpu, uint32_t *pkru);

/* alu.c: compute, and set the arithmetic flags in *flags. */
uint64_t alu2(enum alu_op op, uint64_t a, uint64_t b, uint32_t bytes,
		       uint64_t *flags);
uint64_t alu1(enum alu_op op, uint64_t a, uint32_t bytes,
		       uint64_t *flags);
uint64_t alu_shift(enum alu_op op, uint64_t a, uint32_t count,
			    uint32_t bytes, uint64_t *flags);
uint64_t alu_bit(enum alu_op op, uint64_t a, uint32_t bit,
			  uint64_t *flags);
bool alu_condition(uint8_t cc, uint64_t flags);

#endif /* POSADA_INTERNAL_H */
