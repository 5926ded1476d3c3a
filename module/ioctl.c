// SPDX-License-Identifier: GPL-2.0
/*
 * One dispatcher for all ioctls: find the row, copy the struct in once, check
 * what can be checked without knowing it, take the lock, call, copy back.
 */
#include <linux/sched.h>
#include <linux/uaccess.h>
#include "posada.h"

#define POSADA_MAX_ARGS		512	/* bytes; the largest struct is 400 */

static_assert(sizeof(struct posada_stats) <= POSADA_MAX_ARGS);

/* What each struct opens with. */
struct posada_head {
	u32 size;
	u32 flags;
};

static const struct posada_ioctl *posada_row(const struct posada_ioctl *rows,
					     int nr, unsigned int cmd)
{
	int i;

	for (i = 0; i < nr; i++)
		if (rows[i].cmd == cmd)
			return &rows[i];
	return NULL;
}

/* Fetch the struct; @size gets the caller's idea of its size. */
static int posada_copy_in(const struct posada_ioctl *row, void *args,
			  void __user *from, u32 *size)
{
	struct posada_head *head = args;
	int r;

	if (get_user(*size, (u32 __user *)from))
		return -EFAULT;
	if (*size < POSADA_MIN_SIZE || *size > PAGE_SIZE)
		return -EINVAL;
	r = copy_struct_from_user(args, row->size, from, *size);
	if (r)
		return r;
	/* It may have changed since: one value, everywhere. */
	head->size = *size;
	if (head->flags & ~row->valid)
		return -EINVAL;
	if (row->pad && *(u32 *)(args + row->pad))
		return -EINVAL;
	return 0;
}

static int posada_call(const struct posada_ioctl *row, void *object,
		       struct mutex *lock, void *args)
{
	int r;

	if (!(row->flags & POSADA_IOCTL_LOCK))
		return row->call(object, args);
	if (mutex_lock_killable(lock))
		return -EINTR;
	r = row->call(object, args);
	mutex_unlock(lock);
	return r;
}

long posada_dispatch(const struct posada_ioctl *rows, int nr, unsigned int cmd,
		     unsigned long arg, void *object, struct mutex *lock,
		     struct mm_struct *mm)
{
	const struct posada_ioctl *row = posada_row(rows, nr, cmd);
	u64 args[POSADA_MAX_ARGS / 8] = {};
	void __user *user = (void __user *)arg;
	u32 size;
	int r, copied;

	if (!row)
		return -ENOTTY;
	if (mm && current->mm != mm && !(row->flags & POSADA_IOCTL_ANY_MM))
		return -EIO;
	if (!row->size) {
		if (arg)
			return -EINVAL;
		return posada_call(row, object, lock, NULL);
	}
	r = posada_copy_in(row, args, user, &size);
	if (r)
		return r;
	r = posada_call(row, object, lock, args);
	if (!(row->flags & POSADA_IOCTL_OUT))
		return r;
	/* Also after a failure: some say what was wrong. */
	((struct posada_head *)args)->size = size;
	copied = copy_to_user(user, args, min_t(u32, size, row->size));
	return copied && r >= 0 ? -EFAULT : r;
}
