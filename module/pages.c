// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that a backend takes when it is probed and has until the module goes:
 * permission maps, what each CPU needs.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include "posada.h"

static LIST_HEAD(posada_kept);		/* by lru; private: the order */

void *posada_keep_pages(unsigned int order)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_ZERO, order);

	if (!page)
		return NULL;
	set_page_private(page, order);
	list_add(&page->lru, &posada_kept);
	return page_address(page);
}

void posada_free_kept(void)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &posada_kept, lru) {
		list_del(&page->lru);
		__free_pages(page, page_private(page));
	}
}
