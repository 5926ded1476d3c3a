// SPDX-License-Identifier: GPL-2.0
/* Registers, statistics, state records and events for the tests: see vm.h. */
#include <stdlib.h>
#include <string.h>

#include "vm.h"

static void *group(struct vcpu *v, u32 bit, void *at, bool dirty)
{
	/* A group that was set but not yet committed is as good. */
	ASSERT_TRUE((v->run->valid | v->run->dirty) & bit);
	if (dirty)
		v->run->dirty |= bit;
	return at;
}

#define GROUP(name, bit)						\
struct posada_##name *vcpu_##name(struct vcpu *v)			\
{									\
	return group(v, bit, &v->run->name, false);			\
}									\
struct posada_##name *vcpu_##name##_rw(struct vcpu *v)			\
{									\
	return group(v, bit, &v->run->name, true);			\
}
GROUP(regs, POSADA_GROUP_REGS)
GROUP(sregs, POSADA_GROUP_SREGS)
GROUP(events, POSADA_GROUP_EVENTS)

static u64 stat_of(int fd, u32 nr, u32 index)
{
	struct posada_stats s = { .size = sizeof(s) };

	ASSERT_EQ(px(fd, nr, &s), 0);
	ASSERT_TRUE(index < s.count);
	return s.value[index];
}

u64 vcpu_stat(struct vcpu *v, u32 index)
{
	return stat_of(v->fd, POSADA_VCPU_STATS, index);
}

u64 vm_stat(struct vm *vm, u32 index)
{
	return stat_of(vm->fd, POSADA_VM_STATS, index);
}

int rec_get(int fd, u32 nr, u16 type, void *buf, u32 bytes, u32 *used)
{
	u64 room = bytes + sizeof(struct posada_record) + 8;
	struct posada_record *r = calloc(1, room);
	struct posada_state s = {
		.size = sizeof(s), .buf = (u64)r, .bytes = room, .mask = BIT(type),
	};
	int rc;

	ASSERT_TRUE(r);
	rc = px(fd, nr, &s);
	if (!rc) {
		ASSERT_EQ(r->type, type);
		ASSERT_EQ(r->version, 1);
		ASSERT_TRUE(r->bytes <= bytes);
		memcpy(buf, r + 1, r->bytes);
		if (used)
			*used = r->bytes;
	}
	free(r);
	return rc;
}

int rec_set(int fd, u32 nr, u16 type, const void *buf, u32 bytes)
{
	u64 room = (sizeof(struct posada_record) + bytes + 7) & ~7ULL;
	struct posada_record *r = calloc(1, room);
	struct posada_state s = {
		.size = sizeof(s), .flags = POSADA_STATE_WRITE, .buf = (u64)r, .bytes = room,
	};
	int rc;

	ASSERT_TRUE(r);
	*r = (struct posada_record){ .type = type, .version = 1, .bytes = bytes };
	memcpy(r + 1, buf, bytes);
	rc = px(fd, nr, &s);
	if (rc)
		test_note("record %u: errno %d, bad type %u offset %u index %u",
			  type, -rc, s.bad_type, s.bad_offset, s.bad_index);
	free(r);
	return rc;
}

void vcpu_set_mp(struct vcpu *v, u32 state)
{
	struct posada_rec_mp mp = { .state = state };

	ASSERT_EQ(rec_set(v->fd, POSADA_VCPU_STATE, POSADA_REC_MP, &mp, sizeof(mp)), 0);
}

u64 vcpu_msr(struct vcpu *v, u32 index)
{
	static struct posada_msr_entry e[512];
	u32 used = 0, i;

	ASSERT_EQ(rec_get(v->fd, POSADA_VCPU_STATE, POSADA_REC_MSRS, e, sizeof(e), &used), 0);
	for (i = 0; i < used / sizeof(e[0]); i++)
		if (e[i].index == index)
			return e[i].value;
	FATAL("MSR 0x%x is not in the record", index);
	return 0;
}

int vcpu_set_msr(struct vcpu *v, u32 index, u64 value)
{
	struct posada_msr_entry e = { .index = index, .value = value };

	return rec_set(v->fd, POSADA_VCPU_STATE, POSADA_REC_MSRS, &e, sizeof(e));
}

int inject(struct vcpu *v, u32 kind, u32 vector)
{
	struct posada_inject i = { .size = sizeof(i), .kind = kind, .vector = vector };

	return px(v->fd, POSADA_INJECT, &i);
}

int inject_error(struct vcpu *v, u32 vector, u32 error, u64 payload)
{
	struct posada_inject i = {
		.size = sizeof(i), .flags = POSADA_INJECT_ERROR_CODE,
		.kind = POSADA_INJECT_EXCEPTION, .vector = vector,
		.error_code = error, .payload = payload,
	};

	return px(v->fd, POSADA_INJECT, &i);
}

int msi(struct vm *vm, u64 addr, u32 data)
{
	struct posada_msi m = { .size = sizeof(m), .addr = addr, .data = data };

	return px(vm->fd, POSADA_MSI, &m);
}
