/* SPDX-License-Identifier: GPL-2.0 */
/* All ioctls as fuzz_ioctl makes them. */
#ifndef CALLS_H
#define CALLS_H

#include "fuzz.h"

#define NR_EVENTS	4
#define NR_AREAS	5
#define AREA_BYTES	(2UL << 20)

/* What arguments name; the episode's. */
extern u8 *area[NR_AREAS];
extern volatile int event[NR_EVENTS];

enum kind { SYS, VM, VCPU };

struct call {
	u32 nr;
	u16 bytes;		/* of its struct */
	u8 kind;
	bool any_mm;		/* not for the creator's address space alone */
	u8 weight;
	u8 errors[8];		/* besides those that any call may have */
	void (*fill)(struct rnd *r, void *arg);
};

/* Some are made more often than others. */
const struct call *call_pick(struct rnd *r);
/* Call @nr was made with @a: note how long the stream is that it read. */
void call_note_stream(u32 nr, const struct posada_state *a);

/* Flags of a slot, mostly such that guests run in it. */
u32 call_slot_flags(struct rnd *r);

#endif /* CALLS_H */
