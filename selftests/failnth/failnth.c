// SPDX-License-Identifier: GPL-2.0
/*
 * Let the n-th allocation of one thread fail, on kernels that were built without
 * fault injection. A probe at the allocator's entry returns NULL in its place.
 *
 * A thread writes N to /proc/failnth: its N-th allocation from here fails. It
 * reads how many were still to come: 0 if one failed. Neither of the two
 * allocates anything. One thread at a time.
 *
 * A test module: it belongs on hosts that are there to be broken.
 */
#include <linux/gfp.h>
#include <linux/kprobes.h>
#include <linux/linkage.h>
#include <linux/module.h>
#include <linux/objtool.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

static pid_t task;
static int nth;

/* An allocator, and where its GFP flags are. */
struct point {
	struct kprobe probe;
	unsigned int gfp;	/* offset into struct pt_regs */
	bool there;
};

#define POINT(name, reg)						\
	{ .probe.symbol_name = name, .gfp = offsetof(struct pt_regs, reg) }

#ifdef CONFIG_SLAB_BUCKETS
#define NODE_GFP	dx
#else
#define NODE_GFP	si
#endif

/* Later kernels have them by their second names. */
static struct point points[] = {
	POINT("__kmalloc", si), POINT("__kmalloc_noprof", si),
	POINT("__kmalloc_node", si), POINT("__kmalloc_node_noprof", NODE_GFP),
	POINT("kmalloc_trace", si), POINT("__kmalloc_cache_noprof", si),
	POINT("kmalloc_node_trace", si), POINT("__kmalloc_cache_node_noprof", si),
	POINT("kmem_cache_alloc", si), POINT("kmem_cache_alloc_noprof", si),
	POINT("kmem_cache_alloc_node", si), POINT("kmem_cache_alloc_node_noprof", si),
	POINT("kmem_cache_alloc_lru", dx), POINT("kmem_cache_alloc_lru_noprof", dx),
	POINT("__alloc_pages", di), POINT("__alloc_pages_noprof", di),
	POINT("__vmalloc_node_range", r8), POINT("__vmalloc_node_range_noprof", r8),
	POINT("pcpu_alloc", cx), POINT("pcpu_alloc_noprof", cx),
};

/* A probe may change where to go on, but not the stack. */
asmlinkage void just_return(void);
asm(".pushsection .text\n"
    ".type just_return, @function\n"
    "just_return:\n"
    ANNOTATE_NOENDBR
    ASM_RET
    ".size just_return, . - just_return\n"
    ".popsection");

static bool due(gfp_t gfp)
{
	if (!in_task() || current->pid != task || nth <= 0)
		return false;
	/* Who cannot fail does not count. */
	return !(gfp & __GFP_NOFAIL) && !--nth;
}

static int at_entry(struct kprobe *probe, struct pt_regs *regs)
{
	struct point *p = container_of(probe, struct point, probe);
	gfp_t *gfp = (void *)regs + p->gfp;	/* the low half */

	if (!due(*gfp)) {
		/* What is about to fail further in is meant to. */
		if (current->pid == task && nth > 0)
			*gfp |= __GFP_NOWARN;
		return 0;
	}
	regs->ax = 0;
	regs->ip = (unsigned long)just_return;
	return 1;
}
NOKPROBE_SYMBOL(at_entry);

static ssize_t failnth_write(struct file *file, const char __user *buf,
			     size_t bytes, loff_t *at)
{
	int n, r = kstrtoint_from_user(buf, bytes, 0, &n);

	if (r)
		return r;
	task = current->pid;
	nth = n;
	return bytes;
}

static ssize_t failnth_read(struct file *file, char __user *buf, size_t bytes,
			    loff_t *at)
{
	char text[16];
	int n = nth;

	nth = 0;
	return simple_read_from_buffer(buf, bytes, at, text,
				       scnprintf(text, sizeof(text), "%d\n", n));
}

static const struct proc_ops failnth_ops = {
	.proc_read = failnth_read,
	.proc_write = failnth_write,
};

static void remove_probes(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (points[i].there)
			unregister_kprobe(&points[i].probe);
}

static int __init failnth_init(void)
{
	unsigned int i, found = 0;

	for (i = 0; i < ARRAY_SIZE(points); i++) {
		points[i].probe.pre_handler = at_entry;
		points[i].there = !register_kprobe(&points[i].probe);
		found += points[i].there;
	}
	pr_info("failnth: probes at %u allocators\n", found);
	/* A kernel without kprobes. */
	if (!found)
		return -EOPNOTSUPP;
	if (!proc_create("failnth", 0600, NULL, &failnth_ops)) {
		remove_probes();
		return -ENOMEM;
	}
	return 0;
}

static void __exit failnth_exit(void)
{
	remove_proc_entry("failnth", NULL);
	remove_probes();
}

module_init(failnth_init);
module_exit(failnth_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Let the n-th allocation of a thread fail");
