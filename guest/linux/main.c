// SPDX-License-Identifier: GPL-2.0-only
/*
 * Find Posada, have it fill the hypercall page, start the parts. There is no
 * way out of here: a console, an NMI handler and a text page that others may be
 * in are there for as long as the kernel is.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/vmalloc.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include "guest.h"

u32 posada_features;

static const struct {
	const char *name;
	int (*init)(void);
} parts[] = {
	{ "console", posada_console_init },
	{ "system", posada_system_init },
	{ "free pages", posada_pages_init },
	{ "clock", posada_clock_init },
	{ "generation", posada_generation_init },
};

static bool __init is_posada(void)
{
	u32 eax, ebx, ecx, edx;

	if (!boot_cpu_has(X86_FEATURE_HYPERVISOR))
		return false;
	cpuid(POSADA_CPUID_SIGNATURE, &eax, &ebx, &ecx, &edx);
	if (ebx != POSADA_SIGNATURE_EBX || ecx != POSADA_SIGNATURE_ECX ||
	    edx != POSADA_SIGNATURE_EDX || eax < POSADA_CPUID_FEATURES)
		return false;
	cpuid(POSADA_CPUID_FEATURES, &posada_features, &ebx, &ecx, &edx);
	return ebx >= POSADA_GUEST_ABI;
}

static int __init enable_calls(void)
{
	struct page *page = vmalloc_to_page(posada_call_page);

	if (!(posada_features & POSADA_CPUID_F_HYPERCALL) || !page)
		return -ENODEV;
	return wrmsrl_safe(POSADA_MSR_HYPERCALL, page_to_phys(page) |
			   POSADA_MSR_HC_ENABLE);
}

static int __init posada_guest_init(void)
{
	int i, ret;

	if (!is_posada())
		return -ENODEV;
	ret = enable_calls();
	if (ret)
		return ret;
	/* One that is refused is no reason to do without the others. */
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		ret = parts[i].init();
		if (ret)
			pr_warn("posada_guest: no %s: error %d\n",
				parts[i].name, ret);
	}
	pr_info("posada_guest: features 0x%x\n", posada_features);
	return 0;
}
module_init(posada_guest_init);

MODULE_DESCRIPTION("Guest of the Posada hypervisor");
MODULE_LICENSE("GPL");
