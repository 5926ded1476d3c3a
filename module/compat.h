/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where the kernel lines differ (6.1 and 6.12): the one file that asks for a
 * version. Wrap the difference here under a posada_ name; call that name.
 */
#ifndef POSADA_COMPAT_H
#define POSADA_COMPAT_H

#include <linux/version.h>
#include <linux/eventfd.h>
#include <linux/mm.h>

/*
 * Let a signal end the wait for a user page (userfaultfd may take for ever).
 * Before 6.2 only a fatal signal does.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define POSADA_FOLL_INTERRUPTIBLE	FOLL_INTERRUPTIBLE
#else
#define POSADA_FOLL_INTERRUPTIBLE	0
#endif

/* Since 6.8 a signal adds one and does not say what it came to. */
static inline void posada_eventfd_signal(struct eventfd_ctx *eventfd)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(eventfd);
#else
	eventfd_signal(eventfd, 1);
#endif
}

#endif /* POSADA_COMPAT_H */
