// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free page reporting: the kernel names blocks of memory that have been free
 * for a while, the host takes what is behind them. It serves one reporter: with
 * a virtio balloon that does so, that one.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/page_reporting.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include "guest.h"

static struct posada_range *list;	/* used by one report at a time */

static int report(struct page_reporting_dev_info *dev, struct scatterlist *sgl,
		  unsigned int count)
{
	struct scatterlist *sg;
	unsigned int i;
	s64 taken;

	for_each_sg(sgl, sg, count, i) {
		list[i].gpa = page_to_phys(sg_page(sg));
		list[i].bytes = sg->length;
	}
	taken = posada_call(POSADA_HC_FREE_PAGES, virt_to_phys(list), count);
	/* Reported or not, they are as good as before: it is a hint. */
	return taken < 0 ? -EIO : 0;
}

static struct page_reporting_dev_info dev = { .report = report };

int __init posada_pages_init(void)
{
	int ret;

	BUILD_BUG_ON(PAGE_REPORTING_CAPACITY > POSADA_RANGES_MAX);
	/* Pages that are to keep a pattern while free cannot become zeroes. */
	if (!(posada_features & POSADA_CPUID_F_FREE_PAGES) ||
	    page_poisoning_enabled_static())
		return 0;
	list = kcalloc(PAGE_REPORTING_CAPACITY, sizeof(*list), GFP_KERNEL);
	if (!list)
		return -ENOMEM;
	ret = page_reporting_register(&dev);
	if (ret)
		kfree(list);
	return ret == -EBUSY ? 0 : ret;
}
