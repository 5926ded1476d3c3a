// SPDX-License-Identifier: GPL-2.0-only
/*
 * eventfds, both ways.
 *
 * In: an irqfd waits on an eventfd as a reader in poll() would, and delivers
 * its MSI right from the wake-up, in whatever context that is. It takes the
 * count, so that a write that nobody waits for does not come twice; others may
 * poll the same eventfd, or be irqfds of other VMs: all are woken.
 *
 * Out: a doorbell turns a guest's write into a signal. The table is sorted,
 * replaced as a whole under vm->lock, and read under SRCU.
 *
 * Lifetime. Both hold the eventfd's context, not its file, so that its last
 * close is seen: the wake-up then says EPOLLHUP, in atomic context, and
 * irqfd_work drops the irqfd. Whoever takes an irqfd from vm->irqfds, under
 * vm->lock, frees it, after it left the wait queue: leaving takes the lock
 * that wake-ups run under, so none is under way then and none will come. Hence
 * nothing can queue irqfd_work once the list is empty, and posada_events_free()
 * cancels it last.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include "posada.h"
#include "compat.h"

/* ---- in: irqfds ---- */

struct irqfd {
	struct list_head list;		/* V: on vm->irqfds */
	struct posada_vm *vm;		/* K */
	struct eventfd_ctx *eventfd;	/* K: a reference */
	u64 addr;			/* K: the message */
	u32 data;
	bool hup;			/* A: the eventfd was closed */
	wait_queue_entry_t wait;
	wait_queue_head_t *head;	/* K: the eventfd's */
	poll_table poll;
};

/* Waits for irqfds' VM locks: not a thing to do on the system's queues. */
static struct workqueue_struct *cleanup_queue;

static void irqfd_deliver(struct irqfd *irqfd)
{
	if (posada_msi_send(irqfd->vm, irqfd->addr, irqfd->data))
		atomic64_inc(&irqfd->vm->stat[POSADA_STAT_IRQFD]);
}

/* Under the wait queue's lock, interrupts off. */
static int irqfd_wake(wait_queue_entry_t *wait, unsigned int mode, int sync,
		      void *key)
{
	struct irqfd *irqfd = container_of(wait, struct irqfd, wait);
	__poll_t events = key_to_poll(key);
	u64 count;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->eventfd, &count);
		irqfd_deliver(irqfd);
	}
	if (events & EPOLLHUP) {
		WRITE_ONCE(irqfd->hup, true);
		queue_work(cleanup_queue, &irqfd->vm->irqfd_work);
	}
	return 0;
}

static void irqfd_enqueue(struct file *file, wait_queue_head_t *head,
			  poll_table *poll)
{
	struct irqfd *irqfd = container_of(poll, struct irqfd, poll);

	irqfd->head = head;
	add_wait_queue(head, &irqfd->wait);
}

/* What was signalled before the irqfd was there is delivered as well. */
static void irqfd_catch_up(struct irqfd *irqfd)
{
	u64 count = 0;

	spin_lock_irq(&irqfd->head->lock);
	eventfd_ctx_do_read(irqfd->eventfd, &count);
	spin_unlock_irq(&irqfd->head->lock);
	if (count)
		irqfd_deliver(irqfd);
}

/* Once off the wait queue, nobody else knows it. */
static void irqfd_drop(struct irqfd *irqfd)
{
	list_del(&irqfd->list);
	remove_wait_queue(irqfd->head, &irqfd->wait);
	eventfd_ctx_put(irqfd->eventfd);
	kfree(irqfd);
}

static struct irqfd *irqfd_find(struct posada_vm *vm,
				const struct eventfd_ctx *eventfd)
{
	struct irqfd *irqfd;

	list_for_each_entry(irqfd, &vm->irqfds, list)
		if (irqfd->eventfd == eventfd)
			return irqfd;
	return NULL;
}

static void irqfd_cleanup(struct work_struct *work)
{
	struct posada_vm *vm = container_of(work, struct posada_vm, irqfd_work);
	struct irqfd *irqfd, *next;

	mutex_lock(&vm->lock);
	list_for_each_entry_safe(irqfd, next, &vm->irqfds, list)
		if (READ_ONCE(irqfd->hup))
			irqfd_drop(irqfd);
	mutex_unlock(&vm->lock);
}

static int irqfd_deassign(struct posada_vm *vm, struct eventfd_ctx *eventfd)
{
	struct irqfd *irqfd = irqfd_find(vm, eventfd);

	if (!irqfd)
		return -ENOENT;
	irqfd_drop(irqfd);
	return 0;
}

/* @file stays open throughout, so that EPOLLHUP cannot come in between. */
static int irqfd_assign(struct posada_vm *vm, const struct posada_irqfd *args,
			struct file *file, struct eventfd_ctx *eventfd)
{
	struct irqfd *irqfd;
	int err;

	err = posada_msi_check(args->addr, args->data);
	if (err)
		return err;
	if (irqfd_find(vm, eventfd))
		return -EBUSY;
	irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);
	if (!irqfd)
		return -ENOMEM;
	irqfd->vm = vm;
	irqfd->eventfd = eventfd_ctx_fileget(file);
	irqfd->addr = args->addr;
	irqfd->data = args->data;
	init_waitqueue_func_entry(&irqfd->wait, irqfd_wake);
	init_poll_funcptr(&irqfd->poll, irqfd_enqueue);
	list_add(&irqfd->list, &vm->irqfds);
	vfs_poll(file, &irqfd->poll);
	irqfd_catch_up(irqfd);
	return 0;
}

int posada_irqfd(struct posada_vm *vm, const struct posada_irqfd *args)
{
	struct eventfd_ctx *eventfd;
	struct file *file;
	int ret;

	file = fget(args->fd);
	if (!file)
		return -EBADF;
	eventfd = eventfd_ctx_fileget(file);
	if (IS_ERR(eventfd)) {
		ret = PTR_ERR(eventfd);
		goto put_file;
	}
	if (args->flags & POSADA_IRQFD_DEASSIGN)
		ret = irqfd_deassign(vm, eventfd);
	else
		ret = irqfd_assign(vm, args, file, eventfd);
	eventfd_ctx_put(eventfd);
put_file:
	fput(file);
	return ret;
}

/* ---- out: doorbells ---- */

struct doorbell {
	u64 addr;
	u64 match;
	struct eventfd_ctx *eventfd;	/* a reference */
	u8 kind;
	u8 len;				/* 0: any */
	bool has_match;
};

/* One generation of the table, sorted by kind and addr. */
struct posada_doorbells {
	u32 nr;
	struct doorbell bell[];
};

static bool doorbell_before(const struct doorbell *d, u32 kind, u64 addr)
{
	return d->kind < kind || (d->kind == kind && d->addr < addr);
}

/* The first doorbell that is not before @kind and @addr, or nr. */
static u32 doorbell_find(const struct posada_doorbells *table, u32 kind,
			 u64 addr)
{
	u32 low = 0, high = table->nr;

	while (low < high) {
		u32 mid = (low + high) / 2;

		if (doorbell_before(&table->bell[mid], kind, addr))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool doorbell_at(const struct posada_doorbells *table, u32 i, u32 kind,
			u64 addr)
{
	return i < table->nr && table->bell[i].kind == kind &&
	       table->bell[i].addr == addr;
}

static bool doorbell_takes(const struct doorbell *d, u32 len, u64 value)
{
	return (!d->len || d->len == len) &&
	       (!d->has_match || d->match == value);
}

bool posada_ring(struct posada_vm *vm, u32 kind, u64 addr, u32 len, u64 value)
{
	const struct posada_doorbells *table;
	bool rung = false;
	int idx;
	u32 i;

	/* Most VMs' most writes end here. */
	if (!rcu_access_pointer(vm->doorbells))
		return false;
	idx = srcu_read_lock(&vm->srcu);
	table = srcu_dereference(vm->doorbells, &vm->srcu);
	if (!table)
		goto unlock;
	for (i = doorbell_find(table, kind, addr);
	     doorbell_at(table, i, kind, addr); i++) {
		if (!doorbell_takes(&table->bell[i], len, value))
			continue;
		posada_eventfd_signal(table->bell[i].eventfd);
		rung = true;
		break;
	}
unlock:
	srcu_read_unlock(&vm->srcu, idx);
	return rung;
}

/* ---- configuring doorbells, under vm->lock ---- */

static u64 len_mask(u32 len)
{
	return !len || len == 8 ? ~0ULL : (1ULL << len * 8) - 1;
}

static bool len_ok(u32 kind, u32 len)
{
	if (kind == POSADA_DOORBELL_PORT)
		return len == 1 || len == 2 || len == 4;
	if (kind == POSADA_DOORBELL_MEMORY)
		return !len;
	return !len || len == 8;
}

static int doorbell_check(const struct posada_doorbell *a)
{
	bool match = a->flags & POSADA_DOORBELL_MATCH;

	if (a->kind > POSADA_DOORBELL_CALL || !len_ok(a->kind, a->len) ||
	    a->addr + a->len < a->addr)
		return -EINVAL;
	if (a->kind == POSADA_DOORBELL_PORT && a->addr + a->len > 0x10000)
		return -EINVAL;
	if (a->match & ~(match ? len_mask(a->len) : 0))
		return -EINVAL;
	if (a->kind == POSADA_DOORBELL_MEMORY)
		return match ? -EINVAL : -EOPNOTSUPP;
	return 0;
}

static bool doorbell_same(const struct doorbell *x, const struct doorbell *y)
{
	return x->len == y->len && x->has_match == y->has_match &&
	       x->match == y->match && x->eventfd == y->eventfd;
}

/* Is there a write that both would take? They have kind and addr in common. */
static bool doorbell_clash(const struct doorbell *x, const struct doorbell *y)
{
	bool len = !x->len || !y->len || x->len == y->len;
	bool value = !x->has_match || !y->has_match || x->match == y->match;

	return len && value;
}

static struct posada_doorbells *doorbells_alloc(u32 nr)
{
	struct posada_doorbells *table;

	table = kvzalloc(struct_size(table, bell, nr), GFP_KERNEL_ACCOUNT);
	if (table)
		table->nr = nr;
	return table;
}

/* Wait until no vCPU rings by the old table. */
static void doorbells_publish(struct posada_vm *vm,
			      struct posada_doorbells *old,
			      struct posada_doorbells *new)
{
	rcu_assign_pointer(vm->doorbells, new);
	synchronize_srcu_expedited(&vm->srcu);
	kvfree(old);
}

/* Takes over @d's eventfd reference on success, as does remove. */
static int doorbell_add(struct posada_vm *vm, struct posada_doorbells *old,
			const struct doorbell *d)
{
	u32 i = 0, at = 0, nr = old ? old->nr : 0;
	struct posada_doorbells *new;

	if (old)
		at = doorbell_find(old, d->kind, d->addr);
	for (i = at; old && doorbell_at(old, i, d->kind, d->addr); i++)
		if (doorbell_clash(&old->bell[i], d))
			return -EEXIST;
	if (nr >= POSADA_MAX_DOORBELLS)
		return -ENOSPC;
	new = doorbells_alloc(nr + 1);
	if (!new)
		return -ENOMEM;
	if (old) {
		memcpy(new->bell, old->bell, at * sizeof(*d));
		memcpy(&new->bell[at + 1], &old->bell[at],
		       (nr - at) * sizeof(*d));
	}
	new->bell[at] = *d;
	doorbells_publish(vm, old, new);
	return 0;
}

static int doorbell_remove(struct posada_vm *vm, struct posada_doorbells *old,
			   const struct doorbell *d)
{
	struct posada_doorbells *new = NULL;
	u32 i;

	if (!old)
		return -ENOENT;
	i = doorbell_find(old, d->kind, d->addr);
	while (doorbell_at(old, i, d->kind, d->addr) &&
	       !doorbell_same(&old->bell[i], d))
		i++;
	if (!doorbell_at(old, i, d->kind, d->addr))
		return -ENOENT;
	if (old->nr > 1) {
		new = doorbells_alloc(old->nr - 1);
		if (!new)
			return -ENOMEM;
		memcpy(new->bell, old->bell, i * sizeof(*d));
		memcpy(&new->bell[i], &old->bell[i + 1],
		       (new->nr - i) * sizeof(*d));
	}
	doorbells_publish(vm, old, new);
	/* The table's reference, and the one that @d came with. */
	eventfd_ctx_put(d->eventfd);
	eventfd_ctx_put(d->eventfd);
	return 0;
}

int posada_doorbell(struct posada_vm *vm, const struct posada_doorbell *a)
{
	struct posada_doorbells *old;
	struct doorbell d = {
		.addr = a->addr, .match = a->match,
		.kind = a->kind, .len = a->len,
		.has_match = a->flags & POSADA_DOORBELL_MATCH,
	};
	int ret;

	ret = doorbell_check(a);
	if (ret)
		return ret;
	d.eventfd = eventfd_ctx_fdget(a->fd);
	if (IS_ERR(d.eventfd))
		return -EBADF;
	old = rcu_dereference_protected(vm->doorbells,
					lockdep_is_held(&vm->lock));
	if (a->flags & POSADA_DOORBELL_DEASSIGN)
		ret = doorbell_remove(vm, old, &d);
	else
		ret = doorbell_add(vm, old, &d);
	if (ret)
		eventfd_ctx_put(d.eventfd);
	return ret;
}

/* ---- beginning and end ---- */

void posada_events_init(struct posada_vm *vm)
{
	INIT_LIST_HEAD(&vm->irqfds);
	INIT_WORK(&vm->irqfd_work, irqfd_cleanup);
}

/* vCPUs may run on: their doorbells are plain exits from here on. */
static void doorbells_free(struct posada_vm *vm)
{
	struct posada_doorbells *table;
	u32 i;

	table = rcu_dereference_protected(vm->doorbells,
					  lockdep_is_held(&vm->lock));
	if (!table)
		return;
	rcu_assign_pointer(vm->doorbells, NULL);
	synchronize_srcu_expedited(&vm->srcu);
	for (i = 0; i < table->nr; i++)
		eventfd_ctx_put(table->bell[i].eventfd);
	kvfree(table);
}

void posada_events_free(struct posada_vm *vm)
{
	struct irqfd *irqfd, *next;

	mutex_lock(&vm->lock);
	list_for_each_entry_safe(irqfd, next, &vm->irqfds, list)
		irqfd_drop(irqfd);
	doorbells_free(vm);
	mutex_unlock(&vm->lock);
	/* Not under vm->lock, which the work takes. */
	cancel_work_sync(&vm->irqfd_work);
}

int posada_events_module_init(void)
{
	cleanup_queue = alloc_workqueue("posada", WQ_UNBOUND, 0);
	return cleanup_queue ? 0 : -ENOMEM;
}

void posada_events_module_exit(void)
{
	destroy_workqueue(cleanup_queue);
}
