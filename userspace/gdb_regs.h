/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A vCPU's registers as gdb numbers them, and the description (target.xml)
 * that tells gdb so.
 */
#ifndef GDB_REGS_H
#define GDB_REGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "posada.h"

#define GDB_REG_BYTES	16	/* of the widest */
#define GDB_FX_BYTES	512	/* the legacy area of an XSAVE image */

/* What has been changed, and is to be written back. */
#define GDB_DIRTY_REGS	(1U << 0)
#define GDB_DIRTY_SREGS	(1U << 1)
#define GDB_DIRTY_FX	(1U << 2)
#define GDB_DIRTY_KGS	(1U << 3)

struct gdb_regs {
	struct posada_regs regs;
	struct posada_sregs sregs;
	uint64_t kernel_gs_base;
	uint8_t fx[GDB_FX_BYTES];
	uint32_t dirty;
};

unsigned int gdb_reg_count(void);
/* Little-endian, as the guest's memory has it. -> its bytes, 0: no such one. */
size_t gdb_reg_get(const struct gdb_regs *r, unsigned int n, uint8_t *to);
size_t gdb_reg_bytes(unsigned int n);
/* -> whether it may be changed so. What it is already is always fine. */
bool gdb_reg_set(struct gdb_regs *r, unsigned int n, const uint8_t *from);

/* The description, to be freed. */
char *gdb_target_xml(size_t *bytes);

#endif /* GDB_REGS_H */
