/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the world switches of the hardware backends have in common, for C: what
 * the macros of switch.inc read and write.
 */
#ifndef POSADA_SWITCH_H
#define POSADA_SWITCH_H

/* Offsets into struct posada_spec. */
#define POSADA_SPEC_GUEST	0
#define POSADA_SPEC_HOST	8
#define POSADA_SPEC_ON		16
#define POSADA_SPEC_BYTES	24

#ifndef __ASSEMBLY__

#include <linux/build_bug.h>
#include <linux/stddef.h>
#include <linux/types.h>

/* SPEC_CTRL of both sides: the first member of what a switch reads. */
struct posada_spec {
	u64 guest;		/* in and out */
	u64 host;
	u64 on;			/* 1: it differs or is the guest's to change */
};

static_assert(offsetof(struct posada_spec, guest) == POSADA_SPEC_GUEST);
static_assert(offsetof(struct posada_spec, host) == POSADA_SPEC_HOST);
static_assert(offsetof(struct posada_spec, on) == POSADA_SPEC_ON);
static_assert(sizeof(struct posada_spec) == POSADA_SPEC_BYTES);

#endif /* __ASSEMBLY__ */
#endif /* POSADA_SWITCH_H */
