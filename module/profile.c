// SPDX-License-Identifier: GPL-2.0
/*
 * Where the exits of a VM made with POSADA_VM_PROFILE_EXITS went: counts, and
 * the time until the guest ran again, by cause and key, in a table of each
 * vCPU's. VMs made without pay for two no-ops an exit: a static key.
 *
 * Only the vCPU's thread writes its table, with interrupts off; anyone may
 * read it meanwhile. A slot, once taken, keeps its cause and key.
 */
#include <linux/hash.h>
#include <linux/jump_label.h>
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <asm/tsc.h>
#include "posada.h"
#include "profile.h"

#define PROFILE_BITS	11
#define PROFILE_SLOTS	(1U << PROFILE_BITS)
#define PROFILE_TRIES	16
#define PROFILE_SUBLEAVES 64	/* of CPUID, that are told apart */

struct posada_profile_table {
	u64 lost;		/* exits that found no slot */
	u64 since;		/* TSC at the exit that @open is for */
	struct posada_profile_entry *open; /* the time of it is not taken yet */
	struct posada_profile_entry slot[PROFILE_SLOTS]; /* cause 0: free */
};

DEFINE_STATIC_KEY_FALSE(posada_profiling);

static u64 profile_key(const struct posada_vcpu *vcpu)
{
	const struct posada_exit *e = &vcpu->exit;
	const u64 *gpr = vcpu->regs.gpr;

	switch (e->kind) {
	case POSADA_X_PORT:
		return e->port.port | (e->port.in ? POSADA_PROFILE_IN : 0);
	case POSADA_X_MEMORY:
		return (e->memory.gpa & PAGE_MASK) |
		       (e->memory.write ? POSADA_PROFILE_WRITE : 0) |
		       (e->memory.exec ? POSADA_PROFILE_EXEC : 0);
	case POSADA_X_MSR:
		return (u32)gpr[POSADA_RCX] |
		       (e->msr.write ? POSADA_PROFILE_WRMSR : 0);
	case POSADA_X_CPUID:
		/* Most leaves have no subleaves, and callers anything in ECX. */
		return (u32)gpr[POSADA_RAX] |
		       (gpr[POSADA_RCX] < PROFILE_SUBLEAVES ?
			gpr[POSADA_RCX] << 32 : 0);
	case POSADA_X_HYPERCALL:
		return gpr[POSADA_RAX];
	default:
		return 0;
	}
}

/* The slot of this cause and key, taken if need be; NULL: the table is full. */
static struct posada_profile_entry *
find_entry(struct posada_profile_table *table, u32 cause, u64 key)
{
	u32 i = hash_64(key * POSADA_STAT_COUNT + cause, PROFILE_BITS);
	struct posada_profile_entry *slot;
	int tries;

	for (tries = 0; tries < PROFILE_TRIES; tries++, i++) {
		slot = &table->slot[i % PROFILE_SLOTS];
		if (!slot->cause) {
			slot->key = key;
			/* Pairs with the acquire in copy_entries(). */
			smp_store_release(&slot->cause, cause);
			return slot;
		}
		if (slot->cause == cause && slot->key == key)
			return slot;
	}
	return NULL;
}

void posada_profile_note_exit(struct posada_vcpu *vcpu)
{
	struct posada_profile_table *table = vcpu->profile;
	struct posada_profile_entry *slot;

	slot = find_entry(table, posada_exit_stat(vcpu), profile_key(vcpu));
	if (slot)
		WRITE_ONCE(slot->count, slot->count + 1);
	else
		WRITE_ONCE(table->lost, table->lost + 1);
	table->open = slot;
	table->since = rdtsc();
}

void posada_profile_note_entry(struct posada_vcpu *vcpu)
{
	struct posada_profile_table *table = vcpu->profile;
	struct posada_profile_entry *slot = table->open;

	if (slot)
		WRITE_ONCE(slot->ns, slot->ns + rdtsc() - table->since);
	table->open = NULL;
}

/* @user has room for @room entries. -> how many there are, or -EFAULT. */
static int copy_entries(struct posada_profile_table *table,
			struct posada_profile_entry __user *user, u32 room)
{
	struct posada_profile_entry copy = {};
	u32 i, used = 0;

	for (i = 0; i < PROFILE_SLOTS; i++) {
		const struct posada_profile_entry *slot = &table->slot[i];

		/* Pairs with the release in find_entry(). */
		copy.cause = smp_load_acquire(&slot->cause);
		if (!copy.cause)
			continue;
		copy.key = slot->key;
		copy.count = READ_ONCE(slot->count);
		copy.ns = mul_u64_u32_div(READ_ONCE(slot->ns), NSEC_PER_MSEC,
					  posada_tsc_khz);
		if (used < room && copy_to_user(user + used, &copy,
						sizeof(copy)))
			return -EFAULT;
		used++;
	}
	return used;
}

int posada_profile_read(struct posada_vcpu *vcpu, struct posada_profile *args)
{
	int used;

	args->used = 0;
	args->lost = 0;
	if (!vcpu->profile)
		return -ENODATA;
	used = copy_entries(vcpu->profile, (void __user *)args->buf,
			    args->entries);
	if (used < 0)
		return used;
	args->used = used;
	args->lost = READ_ONCE(vcpu->profile->lost);
	return used > args->entries ? -ENOSPC : 0;
}

int posada_profile_init(struct posada_vcpu *vcpu)
{
	if (!(vcpu->vm->flags & POSADA_VM_PROFILE_EXITS))
		return 0;
	vcpu->profile = kvzalloc(sizeof(*vcpu->profile), GFP_KERNEL_ACCOUNT);
	if (!vcpu->profile)
		return -ENOMEM;
	static_branch_inc(&posada_profiling);
	return 0;
}

void posada_profile_free(struct posada_vcpu *vcpu)
{
	if (!vcpu->profile)
		return;
	static_branch_dec(&posada_profiling);
	kvfree(vcpu->profile);
	vcpu->profile = NULL;
}
