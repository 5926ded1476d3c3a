/* SPDX-License-Identifier: GPL-2.0 */
/* Numbers that boot.S and the C code share. */
#ifndef LAYOUT_H
#define LAYOUT_H

#define BOOTED_BY_MULTIBOOT	1
#define BOOTED_BY_PVH		2

#define SEL_CODE32	0x08
#define SEL_CODE64	0x10
#define SEL_DATA	0x18

#define TRAMPOLINE	0x8000	/* the SIPI vector is this / 4096 */
#define MAX_CPUS	64
#define STACK_BYTES	8192

#endif /* LAYOUT_H */
