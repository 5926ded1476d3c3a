// SPDX-License-Identifier: GPL-2.0
/* Record streams: build, iterate, load from and store to a VM or vCPU. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static uint32_t round_up8(uint32_t n)
{
	return (n + 7) & ~7U;
}

static int make_room(struct posada_stream *s, uint32_t bytes)
{
	uint8_t *data;

	if (bytes <= s->room)
		return 0;
	data = realloc(s->data, bytes);
	if (!data)
		return -ENOMEM;
	s->data = data;
	s->room = bytes;
	return 0;
}

void *posada_stream_add(struct posada_stream *s, uint16_t type,
			const void *payload, uint32_t bytes)
{
	struct posada_record rec = {
		.type = type, .version = 1, .bytes = bytes,
	};
	uint32_t whole = sizeof(rec) + round_up8(bytes);
	uint8_t *at;

	if (bytes > POSADA_STATE_MAX || s->bytes + whole > POSADA_STATE_MAX ||
	    make_room(s, s->bytes + whole))
		return NULL;
	at = s->data + s->bytes;
	memset(at, 0, whole);
	memcpy(at, &rec, sizeof(rec));
	if (payload)
		memcpy(at + sizeof(rec), payload, bytes);
	s->bytes += whole;
	return at + sizeof(rec);
}

void *posada_stream_next(struct posada_stream *s, uint16_t *type,
			 uint32_t *bytes)
{
	struct posada_record rec;
	uint32_t left = s->bytes - s->at;
	uint8_t *payload;

	if (left < sizeof(rec))
		return NULL;
	memcpy(&rec, s->data + s->at, sizeof(rec));
	if (rec.bytes > left - sizeof(rec))
		return NULL;
	payload = s->data + s->at + sizeof(rec);
	s->at += sizeof(rec) + round_up8(rec.bytes);
	if (s->at > s->bytes)
		s->at = s->bytes;
	*type = rec.type;
	*bytes = rec.bytes;
	return payload;
}

void *posada_stream_find(struct posada_stream *s, uint16_t type,
			 uint32_t *bytes)
{
	uint32_t n;
	uint16_t t;
	void *payload;

	s->at = 0;
	while ((payload = posada_stream_next(s, &t, &n))) {
		if (t != type)
			continue;
		if (bytes)
			*bytes = n;
		return payload;
	}
	return NULL;
}

void posada_stream_free(struct posada_stream *s)
{
	free(s->data);
	memset(s, 0, sizeof(*s));
}

/* Ask, and ask again with the room that the kernel says it takes. */
static int load(int fd, unsigned int nr, uint64_t mask,
		struct posada_stream *s)
{
	struct posada_state arg;
	uint32_t want = 16384;
	int ret, tries;

	s->bytes = 0;
	s->at = 0;
	for (tries = 0; tries < 4; tries++) {
		ret = make_room(s, want);
		if (ret)
			return ret;
		arg = (struct posada_state){
			.size = sizeof(arg),
			.buf = (uintptr_t)s->data,
			.bytes = s->room,
			.mask = mask,
		};
		ret = posada_call(fd, nr, &arg);
		if (ret >= 0) {
			s->bytes = arg.used;
			return 0;
		}
		if (ret != -ENOSPC || arg.used > POSADA_STATE_MAX)
			return ret;
		want = arg.used;
	}
	return ret;
}

static int store(int fd, unsigned int nr, struct posada_stream *s,
		 bool dry_run)
{
	struct posada_state arg = {
		.size = sizeof(arg),
		.flags = POSADA_STATE_WRITE |
			 (dry_run ? POSADA_STATE_DRY_RUN : 0),
		.buf = (uintptr_t)s->data,
		.bytes = s->bytes,
	};
	int ret = posada_call(fd, nr, &arg);

	s->bad_type = arg.bad_type;
	s->bad_offset = arg.bad_offset;
	s->bad_index = arg.bad_index;
	return ret < 0 ? ret : 0;
}

int posada_vm_load(struct posada_vm *vm, uint64_t mask,
		   struct posada_stream *s)
{
	return load(vm->fd, POSADA_VM_STATE, mask, s);
}

int posada_vcpu_load(struct posada_vcpu *vcpu, uint64_t mask,
		     struct posada_stream *s)
{
	return load(vcpu->fd, POSADA_VCPU_STATE, mask, s);
}

int posada_vm_store(struct posada_vm *vm, struct posada_stream *s,
		    bool dry_run)
{
	return store(vm->fd, POSADA_VM_STATE, s, dry_run);
}

int posada_vcpu_store(struct posada_vcpu *vcpu, struct posada_stream *s,
		      bool dry_run)
{
	return store(vcpu->fd, POSADA_VCPU_STATE, s, dry_run);
}
