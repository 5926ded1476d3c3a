/* SPDX-License-Identifier: GPL-2.0 */
/* Run one instruction on this CPU, with chosen registers, for comparison. */
#ifndef DECODE_NATIVE_H
#define DECODE_NATIVE_H

#include <stdint.h>

struct native {
	uint64_t gpr[16];	/* in the order of their encoding */
	uint64_t rflags;
	uint8_t ymm[16][32];
};

/* Run @bytes bytes at @code with the registers of @state, and leave there what
 * they are afterwards. The code must come out at its end and must not fault.
 */
void native_run(struct native *state, const uint8_t *code, unsigned int bytes);

#endif /* DECODE_NATIVE_H */
