/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The hypercall page. It is part of the module's text, as a module has no other
 * memory that is executable: the hypervisor writes it from outside, whatever
 * the guest's page tables say of it.
 */
#include <linux/linkage.h>
#include <asm/nospec-branch.h>
#include <asm/page_types.h>
#include <asm/unwind_hints.h>

	.text
	.balign PAGE_SIZE
SYM_CODE_START(posada_call_page)
	UNWIND_HINT_FUNC
	ANNOTATE_NOENDBR
	ANNOTATE_UNRET_SAFE
	ret
	.skip PAGE_SIZE - 1, 0xcc
SYM_CODE_END(posada_call_page)
