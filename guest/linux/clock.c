// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's clock as a PTP clock, /dev/ptpN, for chrony and its like. The time
 * of one call is the error.
 */
#include <linux/err.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/ptp_clock_kernel.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include "guest.h"

static struct posada_clock_pairing *pairing;
static DEFINE_SPINLOCK(lock);		/* guards it */

static int get_time(struct ptp_clock_info *info, struct timespec64 *ts,
		    struct ptp_system_timestamp *system)
{
	s64 ret;

	spin_lock(&lock);
	ptp_read_system_prets(system);
	ret = posada_call(POSADA_HC_CLOCK_PAIRING, virt_to_phys(pairing), 0);
	ptp_read_system_postts(system);
	ts->tv_sec = pairing->sec;
	ts->tv_nsec = pairing->nsec;
	spin_unlock(&lock);
	return ret ? -EOPNOTSUPP : 0;
}

/* The host's clock is not the guest's to set. */
static int adjust_rate(struct ptp_clock_info *info, long ppm)
{
	return -EOPNOTSUPP;
}

static int adjust_time(struct ptp_clock_info *info, s64 ns)
{
	return -EOPNOTSUPP;
}

static int set_time(struct ptp_clock_info *info, const struct timespec64 *ts)
{
	return -EOPNOTSUPP;
}

static int enable(struct ptp_clock_info *info, struct ptp_clock_request *rq,
		  int on)
{
	return -EOPNOTSUPP;
}

static struct ptp_clock_info info = {
	.owner = THIS_MODULE,
	.name = "Posada",
	.gettimex64 = get_time,
	.settime64 = set_time,
	.adjfine = adjust_rate,
	.adjtime = adjust_time,
	.enable = enable,
};

int __init posada_clock_init(void)
{
	struct ptp_clock *clock;
	struct timespec64 ts;

	if (!(posada_features & POSADA_CPUID_F_CLOCK_PAIRING))
		return 0;
	pairing = kzalloc(sizeof(*pairing), GFP_KERNEL);
	if (!pairing)
		return -ENOMEM;
	/* Not where the host does not keep its time by the TSC. */
	if (get_time(&info, &ts, NULL)) {
		kfree(pairing);
		return 0;
	}
	clock = ptp_clock_register(&info, NULL);
	return PTR_ERR_OR_ZERO(clock);
}
