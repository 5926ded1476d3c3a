// SPDX-License-Identifier: GPL-2.0
/*
 * The VM: its fd, its life, its ioctls. Who holds a VM: its fd, and the fd of
 * each of its vCPUs. The last to go frees everything.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include "posada.h"

static struct posada_vm *posada_vm_alloc(const struct posada_backend *ops,
					 u32 flags)
{
	struct posada_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	int r = -ENOMEM;

	if (!vm)
		return ERR_PTR(r);
	kref_init(&vm->refs);
	mutex_init(&vm->lock);
	vm->ops = ops;
	vm->flags = flags;
	vm->mm = current->mm;
	mmgrab(vm->mm);
	posada_events_init(vm);
	posada_clock_vm_init(vm);
	posada_generation_init(vm);
	r = init_srcu_struct(&vm->srcu);
	if (r)
		goto drop_mm;
	r = posada_slots_init(vm);
	if (r)
		goto free_srcu;
	r = posada_cpuid_init(vm);
	if (r)
		goto free_slots;
	r = posada_mmu_init(vm);
	if (r)
		goto free_cpuid;
	r = posada_vms_add(vm);
	if (r)
		goto free_mmu;
	return vm;

free_mmu:
	posada_mmu_free(vm);
free_cpuid:
	posada_cpuid_free(vm);
free_slots:
	posada_slots_free(vm);
free_srcu:
	cleanup_srcu_struct(&vm->srcu);
drop_mm:
	mmdrop(vm->mm);
	kfree(vm);
	return ERR_PTR(r);
}

static void posada_vm_free(struct kref *refs)
{
	struct posada_vm *vm = container_of(refs, struct posada_vm, refs);
	int i;

	posada_vms_del(vm);
	/* Its notifier looks at vCPUs to the last. */
	posada_mmu_free(vm);
	for (i = 0; i < POSADA_MAX_VCPUS; i++)
		if (vm->vcpus[i])
			posada_vcpu_free(vm->vcpus[i]);
	posada_cpuid_free(vm);
	posada_slots_free(vm);
	cleanup_srcu_struct(&vm->srcu);
	mmdrop(vm->mm);
	kfree(vm);
}

void posada_vm_get(struct posada_vm *vm)
{
	kref_get(&vm->refs);
}

void posada_vm_put(struct posada_vm *vm)
{
	kref_put(&vm->refs, posada_vm_free);
}

/* ---- the fd ---- */

static int posada_vm_vcpu_create(void *object, void *args)
{
	return posada_vcpu_create(object, args);
}

static int posada_vm_slot_set(void *object, void *args)
{
	return posada_slot_set(object, args);
}

static int posada_vm_dirty_log(void *object, void *args)
{
	return posada_dirty_log(object, args);
}

static int posada_vm_msi(void *object, void *args)
{
	const struct posada_msi *msi = args;
	int r = posada_msi_check(msi->addr, msi->data);

	return r ? r : posada_msi_send(object, msi->addr, msi->data);
}

static int posada_vm_irqfd(void *object, void *args)
{
	return posada_irqfd(object, args);
}

static int posada_vm_doorbell(void *object, void *args)
{
	return posada_doorbell(object, args);
}

static int posada_vm_do_state(void *object, void *args)
{
	return posada_vm_state(object, args);
}

static int posada_vm_generation(void *object, void *args)
{
	return posada_generation_tell(object, args);
}

static const struct posada_ioctl posada_vm_ioctls[] = {
	{ POSADA_VCPU_CREATE, sizeof(struct posada_vcpu_create),
	  POSADA_IOCTL_LOCK, offsetof(struct posada_vcpu_create, pad), 0,
	  posada_vm_vcpu_create },
	{ POSADA_SLOT_SET, sizeof(struct posada_slot), POSADA_IOCTL_LOCK,
	  offsetof(struct posada_slot, pad),
	  POSADA_SLOT_READONLY | POSADA_SLOT_DIRTY_LOG, posada_vm_slot_set },
	{ POSADA_DIRTY_LOG, sizeof(struct posada_dirty_log), POSADA_IOCTL_LOCK,
	  offsetof(struct posada_dirty_log, pad), POSADA_DIRTY_CLEAR,
	  posada_vm_dirty_log },
	{ POSADA_MSI, sizeof(struct posada_msi), 0,
	  offsetof(struct posada_msi, pad), 0, posada_vm_msi },
	{ POSADA_IRQFD, sizeof(struct posada_irqfd), POSADA_IOCTL_LOCK, 0,
	  POSADA_IRQFD_DEASSIGN, posada_vm_irqfd },
	{ POSADA_DOORBELL, sizeof(struct posada_doorbell), POSADA_IOCTL_LOCK,
	  offsetof(struct posada_doorbell, pad),
	  POSADA_DOORBELL_DEASSIGN | POSADA_DOORBELL_MATCH,
	  posada_vm_doorbell },
	{ POSADA_VM_STATE, sizeof(struct posada_state),
	  POSADA_IOCTL_LOCK | POSADA_IOCTL_OUT,
	  offsetof(struct posada_state, pad),
	  POSADA_STATE_WRITE | POSADA_STATE_DRY_RUN, posada_vm_do_state },
	{ POSADA_GENERATION, sizeof(struct posada_generation_set),
	  POSADA_IOCTL_LOCK | POSADA_IOCTL_OUT, 0, 0, posada_vm_generation },
	{ POSADA_VM_STATS, sizeof(struct posada_stats),
	  POSADA_IOCTL_OUT | POSADA_IOCTL_ANY_MM,
	  offsetof(struct posada_stats, pad), 0, posada_vm_stats },
};

static long posada_vm_ioctl(struct file *file, unsigned int cmd,
			    unsigned long arg)
{
	struct posada_vm *vm = file->private_data;

	return posada_dispatch(posada_vm_ioctls, ARRAY_SIZE(posada_vm_ioctls),
			       cmd, arg, vm, &vm->lock, vm->mm);
}

static int posada_vm_release(struct inode *inode, struct file *file)
{
	struct posada_vm *vm = file->private_data;

	posada_events_free(vm);
	posada_vm_put(vm);
	return 0;
}

static const struct file_operations posada_vm_fops = {
	.owner = THIS_MODULE,
	.release = posada_vm_release,
	.unlocked_ioctl = posada_vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

int posada_vm_create(const struct posada_backend *ops,
		     struct posada_vm_create *args)
{
	struct posada_vm *vm;
	struct file *file;
	int fd;

	if (args->backend != POSADA_BACKEND_ANY && args->backend != ops->id)
		return -ENODEV;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	vm = posada_vm_alloc(ops, args->flags);
	if (IS_ERR(vm)) {
		put_unused_fd(fd);
		return PTR_ERR(vm);
	}
	file = anon_inode_getfile("posada-vm", &posada_vm_fops, vm, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		posada_vm_put(vm);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
}
