// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM was restored or copied: an NMI says so, before anything else runs. The
 * fresh entropy is mixed in with the first interrupt that is taken; a worker
 * sets the clock, and has all generators draw from the pool. A built-in driver
 * could do the latter at once; for a module, the kernel has /dev/urandom's ioctl.
 */
#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/irq_work.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>
#include <asm/msr.h>
#include <asm/nmi.h>
#include "guest.h"

#define CPU		0	/* whose vCPU gets the NMI */
#define STEP_TRIES	5
#define STEP_NEAR_NS	1000

static struct posada_generation *page;
static u32 seen;	/* the sequence that was handled; by NMIs of that CPU */
static atomic64_t missed_ns;	/* what the wall clock is to step */

/*
 * The wall clock is the monotonic one and an offset, which must grow by the
 * step. The kernel lets a module set the time alone: what passes between looking
 * at one clock and setting the other is missing in the offset; so do it again,
 * with that much in advance.
 */
static void step_clock(s64 step)
{
	ktime_t wanted = ktime_add_unsafe(ktime_mono_to_real(0), step);
	s64 missing, advance = 0;
	struct timespec64 now;
	int tries, ret = 0;

	for (tries = 0; tries < STEP_TRIES && !ret; tries++) {
		now = ktime_to_timespec64(ktime_add_unsafe(ktime_get(), wanted) +
					  advance);
		ret = do_settimeofday64(&now);
		missing = ktime_sub(wanted, ktime_mono_to_real(0));
		if (abs(missing) <= STEP_NEAR_NS)
			break;
		advance += missing;
	}
	if (ret)
		pr_warn("posada_guest: no clock can step by %lld ns\n", step);
	else
		pr_notice("posada_guest: the clock stepped by %lld ns\n", step);
}

static void reseed(void)
{
	struct file *f = filp_open("/dev/urandom", O_RDONLY, 0);
	long ret = PTR_ERR_OR_ZERO(f);

	if (!ret) {
		ret = vfs_ioctl(f, RNDRESEEDCRNG, 0);
		filp_close(f, NULL);
	}
	/* Without it, the pool's new content comes up within a minute. */
	pr_notice("posada_guest: generation %u, %s\n", READ_ONCE(seen) / 2,
		  ret ? "to be reseeded" : "reseeded");
}

static void catch_up(struct work_struct *work)
{
	s64 step = atomic64_xchg(&missed_ns, 0);

	if (step)
		step_clock(step);
	reseed();
}

static DECLARE_WORK(catch_up_work, catch_up);

static void mix(struct irq_work *work)
{
	add_device_randomness(page->id, sizeof(page->id));
	add_device_randomness(page->entropy, sizeof(page->entropy));
	memzero_explicit(page->entropy, sizeof(page->entropy));
	schedule_work(&catch_up_work);
}

static DEFINE_IRQ_WORK(mix_work, mix);

static int on_nmi(unsigned int type, struct pt_regs *regs)
{
	u32 sequence = READ_ONCE(page->sequence);

	if (raw_smp_processor_id() != CPU || sequence == seen)
		return NMI_DONE;
	/* Odd: the next one is being written, and has an NMI of its own. */
	if (!(sequence & 1)) {
		WRITE_ONCE(seen, sequence);
		atomic64_add(READ_ONCE(page->step_ns), &missed_ns);
		irq_work_queue(&mix_work);
	}
	return NMI_HANDLED;
}

int __init posada_generation_init(void)
{
	int ret;

	if (!(posada_features & POSADA_CPUID_F_GENERATION))
		return 0;
	/* Of this size it is aligned to it. */
	page = kzalloc(sizeof(*page), GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	ret = register_nmi_handler(NMI_LOCAL, on_nmi, 0, "posada");
	if (ret)
		return ret;
	ret = wrmsrl_safe_on_cpu(CPU, POSADA_MSR_GENERATION,
				 virt_to_phys(page) | POSADA_MSR_HC_ENABLE);
	if (ret)
		unregister_nmi_handler(NMI_LOCAL, "posada");
	/* What was before is no event: the page is as of now. */
	WRITE_ONCE(seen, READ_ONCE(page->sequence));
	return ret;
}
