/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * posada_guest: what a stock kernel makes of Posada's hypercalls, a file each.
 * Each part looks at its own feature bit; what is absent is left to what the
 * kernel does without (Documentation/guest.rst).
 */
#ifndef POSADA_GUEST_H
#define POSADA_GUEST_H

#include <linux/types.h>
#include <asm/asm.h>
#include "../../uapi/posada_cpuid.h"
#include "../../uapi/posada_hypercall.h"

/* page.S: filled by the hypervisor. */
extern const char posada_call_page[];

/*
 * Make a call: -> its result, 0 or more, or -POSADA_E*. Any context. What it
 * names by a gpa must lie in the direct map or be whole pages.
 */
static inline s64 posada_call(u64 nr, u64 a, u64 b)
{
	s64 ret = nr;

	asm volatile("call posada_call_page"
		     : "+a" (ret), ASM_CALL_CONSTRAINT
		     : "D" (a), "S" (b) : "memory");
	return ret;
}

/* CPUID's POSADA_CPUID_F_*. */
extern u32 posada_features;

/* Once, in this order; 0 also where the feature is absent. */
int posada_console_init(void);
int posada_system_init(void);
int posada_pages_init(void);
int posada_clock_init(void);
int posada_generation_init(void);

/* Print what is in the console's ring, now. Any context. */
void posada_console_flush(void);

#endif /* POSADA_GUEST_H */
