// SPDX-License-Identifier: GPL-2.0
/*
 * Breakpoints. A software one is a trapping byte in the guest's memory, put in
 * and taken out by gpa: whichever page tables are live then, it is the byte
 * that was patched. A hardware one, or a watchpoint, takes one to four of the
 * CPU's debug registers. gdb never sees the traps in what it reads, and what
 * it writes over them goes under them.
 */
#include <errno.h>
#include <string.h>

#include "gdb_session.h"

#define PAGE_BYTES	4096U
#define DR7_FIXED	(1ULL << 10)
#define DR7_ENABLE(i)	(1ULL << (2 * (i)))
#define DR7_FIELD(i)	(16 + 4 * (i))
#define DR6_HIT(i)	(1ULL << (i))

enum { DR7_EXEC = 0, DR7_WRITE = 1, DR7_ACCESS = 3 };

/* ---- software ---- */

static struct gdb_soft *soft_find(struct gdb_session *s, uint64_t gva)
{
	size_t i;

	for (i = 0; i < GDB_SOFT_MAX; i++)
		if (s->soft[i].used && s->soft[i].gva == gva)
			return &s->soft[i];
	return NULL;
}

static struct gdb_soft *soft_at_gpa(const struct gdb_session *s, uint64_t gpa)
{
	size_t i;

	for (i = 0; i < GDB_SOFT_MAX; i++)
		if (s->soft[i].used && s->soft[i].gpa == gpa)
			return (struct gdb_soft *)&s->soft[i];
	return NULL;
}

bool gdb_break_at(const struct gdb_session *s, uint64_t gpa)
{
	return soft_at_gpa(s, gpa);
}

static int soft_insert(struct gdb_session *s, uint64_t gva)
{
	struct gdb_soft new = { .used = true, .gva = gva }, *other;
	size_t i;

	if (!s->trap)
		return -EOPNOTSUPP;
	if (soft_find(s, gva))
		return 0;
	if (s->ops->find(s->ctx, s->cpu, gva, &new.gpa))
		return -EFAULT;
	for (i = 0; i < GDB_SOFT_MAX && s->soft[i].used; i++)
		;
	if (i == GDB_SOFT_MAX)
		return -ENOSPC;
	/* Two addresses of one byte share the trap, and what is under it. */
	other = soft_at_gpa(s, new.gpa);
	if (other)
		new.saved = other->saved;
	else if (s->ops->read(s->ctx, new.gpa, &new.saved, 1) ||
		 s->ops->write(s->ctx, new.gpa, &s->trap, 1))
		return -EFAULT;
	s->soft[i] = new;
	return 0;
}

/* The guest may have put something else there since: leave that alone. */
static void soft_take_out(struct gdb_session *s, struct gdb_soft *soft)
{
	uint8_t now;

	soft->used = false;
	if (soft_at_gpa(s, soft->gpa))
		return;
	if (!s->ops->read(s->ctx, soft->gpa, &now, 1) && now == s->trap)
		s->ops->write(s->ctx, soft->gpa, &soft->saved, 1);
}

static int soft_remove(struct gdb_session *s, uint64_t gva)
{
	struct gdb_soft *soft = soft_find(s, gva);

	if (soft)
		soft_take_out(s, soft);
	return 0;
}

/* ---- hardware ---- */

/* The next piece of a range that one debug register can hold. */
static uint8_t piece(uint64_t at, uint64_t end)
{
	uint8_t bytes = 8;

	while (bytes > 1 && (at & (bytes - 1U) || end - at < bytes))
		bytes /= 2;
	return bytes;
}

static bool hard_is(const struct gdb_hard *h, enum gdb_break_kind kind,
		    uint64_t gva, uint64_t len)
{
	return h->used && h->kind == kind && h->gva == gva && h->len == len;
}

static int hard_remove(struct gdb_session *s, enum gdb_break_kind kind,
		       uint64_t gva, uint64_t len)
{
	size_t i;

	for (i = 0; i < GDB_HARD_MAX; i++)
		if (hard_is(&s->hard[i], kind, gva, len))
			s->hard[i].used = false;
	return 0;
}

static int hard_insert(struct gdb_session *s, enum gdb_break_kind kind,
		       uint64_t gva, uint64_t len)
{
	uint64_t at = gva, end = gva + len;
	size_t i;

	if (!s->hard_works)
		return -EOPNOTSUPP;
	if (!len || end < gva)
		return -EINVAL;
	for (i = 0; i < GDB_HARD_MAX; i++)
		if (hard_is(&s->hard[i], kind, gva, len))
			return 0;
	for (i = 0; i < GDB_HARD_MAX && at < end; i++) {
		if (s->hard[i].used)
			continue;
		s->hard[i] = (struct gdb_hard){
			.used = true, .kind = kind, .gva = gva, .len = len,
			.at = at, .bytes = piece(at, end),
		};
		at += s->hard[i].bytes;
	}
	if (at == end)
		return 0;
	hard_remove(s, kind, gva, len);
	return -ENOSPC;
}

static uint64_t dr7_field(const struct gdb_hard *h)
{
	static const uint8_t lengths[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };
	unsigned int when = h->kind == GDB_BREAK_HARD ? DR7_EXEC :
			    h->kind == GDB_WATCH_WRITE ? DR7_WRITE : DR7_ACCESS;

	return when | (uint64_t)lengths[h->bytes] << 2;
}

void gdb_break_arm(const struct gdb_session *s, struct posada_debug *dbg)
{
	size_t i;

	memset(dbg, 0, sizeof(*dbg));
	for (i = 0; i < GDB_SOFT_MAX; i++)
		if (s->soft[i].used)
			dbg->flags |= POSADA_DEBUG_BREAK;
	dbg->dr7 = DR7_FIXED;
	for (i = 0; i < GDB_HARD_MAX; i++) {
		if (!s->hard[i].used)
			continue;
		dbg->flags |= POSADA_DEBUG_HARDWARE;
		dbg->dr[i] = s->hard[i].at;
		dbg->dr7 |= DR7_ENABLE(i) |
			    dr7_field(&s->hard[i]) << DR7_FIELD(i);
	}
}

bool gdb_break_hit(const struct gdb_session *s, uint64_t dr6,
		   struct gdb_stop *stop)
{
	size_t i;

	for (i = 0; i < GDB_HARD_MAX; i++) {
		if (!s->hard[i].used || !(dr6 & DR6_HIT(i)))
			continue;
		stop->has_kind = true;
		stop->kind = s->hard[i].kind;
		stop->addr = s->hard[i].gva;
		return true;
	}
	return false;
}

/* ---- requests ---- */

int gdb_break_insert(struct gdb_session *s, enum gdb_break_kind kind,
		     uint64_t gva, uint64_t len)
{
	if (kind == GDB_BREAK_SOFT)
		return soft_insert(s, gva);
	/* What gdb calls the length of an instruction says nothing here. */
	return hard_insert(s, kind, gva, kind == GDB_BREAK_HARD ? 1 : len);
}

int gdb_break_remove(struct gdb_session *s, enum gdb_break_kind kind,
		     uint64_t gva, uint64_t len)
{
	if (kind == GDB_BREAK_SOFT)
		return soft_remove(s, gva);
	return hard_remove(s, kind, gva, kind == GDB_BREAK_HARD ? 1 : len);
}

void gdb_break_remove_all(struct gdb_session *s)
{
	size_t i;

	for (i = 0; i < GDB_SOFT_MAX; i++)
		if (s->soft[i].used)
			soft_take_out(s, &s->soft[i]);
	memset(s->hard, 0, sizeof(s->hard));
}

/* ---- memory ---- */

static void hide_traps(const struct gdb_session *s, uint64_t gpa,
		       uint8_t *data, size_t bytes)
{
	const struct gdb_soft *soft;
	size_t i;

	for (i = 0; i < GDB_SOFT_MAX; i++) {
		soft = &s->soft[i];
		if (soft->used && soft->gpa - gpa < bytes &&
		    data[soft->gpa - gpa] == s->trap)
			data[soft->gpa - gpa] = soft->saved;
	}
}

/* Write around the traps: a byte for a trap's place becomes the one under. */
static int write_under(struct gdb_session *s, uint64_t gpa,
		       const uint8_t *data, size_t bytes)
{
	uint8_t copy[PAGE_BYTES];
	struct gdb_soft *soft;
	size_t i;

	memcpy(copy, data, bytes);
	for (i = 0; i < GDB_SOFT_MAX; i++) {
		soft = &s->soft[i];
		if (!soft->used || soft->gpa - gpa >= bytes)
			continue;
		soft->saved = data[soft->gpa - gpa];
		copy[soft->gpa - gpa] = s->trap;
	}
	return s->ops->write(s->ctx, gpa, copy, bytes);
}

static size_t within_page(uint64_t gva, size_t bytes)
{
	size_t room = PAGE_BYTES - (gva & (PAGE_BYTES - 1));

	return bytes < room ? bytes : room;
}

size_t gdb_read_memory(struct gdb_session *s, uint64_t gva, uint8_t *data,
		       size_t bytes)
{
	size_t n, done = 0;
	uint64_t gpa;

	for (; done < bytes; done += n) {
		n = within_page(gva + done, bytes - done);
		if (s->ops->find(s->ctx, s->cpu, gva + done, &gpa) ||
		    s->ops->read(s->ctx, gpa, data + done, n))
			break;
		hide_traps(s, gpa, data + done, n);
	}
	return done;
}

size_t gdb_write_memory(struct gdb_session *s, uint64_t gva,
			const uint8_t *data, size_t bytes)
{
	size_t n, done = 0;
	uint64_t gpa;

	for (; done < bytes; done += n) {
		n = within_page(gva + done, bytes - done);
		if (s->ops->find(s->ctx, s->cpu, gva + done, &gpa) ||
		    write_under(s, gpa, data + done, n))
			break;
	}
	return done;
}
