// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end: a panic's message goes to the VMM, and the power off. Reboots go by
 * the reset register, as x86 asks no restart handler.
 */
#include <linux/kernel.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/panic_notifier.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "guest.h"

static char *message;

/* The kernel may be in any state: no locks, no memory. */
static int on_panic(struct notifier_block *nb, unsigned long event, void *text)
{
	ssize_t n = strscpy(message, text, POSADA_CRASH_MAX);

	posada_console_flush();
	posada_call(POSADA_HC_CRASH, virt_to_phys(message),
		    n < 0 ? POSADA_CRASH_MAX - 1 : n);
	return NOTIFY_DONE;
}

/* First of all that might call back and forth before the console's end. */
static struct notifier_block panic_block = {
	.notifier_call = on_panic,
	.priority = INT_MAX,
};

/* A VMM may choose to go on; then so do the next handlers. */
static int on_power_off(struct sys_off_data *data)
{
	posada_console_flush();
	posada_call(POSADA_HC_SHUTDOWN, 0, 0);
	return NOTIFY_DONE;
}

int __init posada_system_init(void)
{
	struct sys_off_handler *handler;

	if (posada_features & POSADA_CPUID_F_CRASH) {
		message = kzalloc(POSADA_CRASH_MAX, GFP_KERNEL);
		if (!message)
			return -ENOMEM;
		atomic_notifier_chain_register(&panic_notifier_list,
					       &panic_block);
	}
	if (!(posada_features & POSADA_CPUID_F_SHUTDOWN))
		return 0;
	handler = register_sys_off_handler(SYS_OFF_MODE_POWER_OFF,
					   SYS_OFF_PRIO_FIRMWARE + 1,
					   on_power_off, NULL);
	return PTR_ERR_OR_ZERO(handler);
}
