// SPDX-License-Identifier: GPL-2.0
/*
 * States that no CPU was ever in, by the run page and by records, then RUN:
 * each is entered, or refused with an errno that says so, or kills its guest.
 */
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

#define STATES_AN_EPISODE	48
#define RUNS_A_STATE		6

static u64 states, refused, killed, refused_again;
static u64 phys_limit;

/* ---- a stream of records, to change and to compare ---- */

struct stream {
	u32 used;
	u8 buf[32 << 10];
};

static int stream_read(int fd, u64 mask, struct stream *s)
{
	struct posada_state a = {
		.size = sizeof(a), .buf = (u64)s->buf, .bytes = sizeof(s->buf), .mask = mask,
	};
	int rc = px(fd, POSADA_VCPU_STATE, &a);

	s->used = a.used;
	return rc;
}

/* @bad: the type of the record to blame. */
static int stream_write(int fd, struct stream *s, u32 flags, u32 *bad)
{
	struct posada_state a = {
		.size = sizeof(a), .flags = POSADA_STATE_WRITE | flags, .buf = (u64)s->buf,
		.bytes = s->used,
	};

	int rc = px(fd, POSADA_VCPU_STATE, &a);

	*bad = a.bad_type;
	return rc;
}

static void *stream_find(struct stream *s, u16 type, u32 *bytes)
{
	struct posada_record *rec;
	u64 at = 0;	/* what a mutation left may say any length */

	while (at + sizeof(*rec) <= s->used) {
		rec = (void *)(s->buf + at);
		if (rec->type == type) {
			*bytes = rec->bytes;
			return rec + 1;
		}
		at += sizeof(*rec) + ((rec->bytes + 7ULL) & ~7ULL);
	}
	return NULL;
}

/* What does not move by itself. */
#define STEADY	(BIT(POSADA_REC_REGS) | BIT(POSADA_REC_SREGS) | BIT(POSADA_REC_EVENTS) | \
		 BIT(POSADA_REC_DREGS) | BIT(POSADA_REC_XSAVE) | BIT(POSADA_REC_MP))

static void expect_same_bytes(const struct stream *a, const struct stream *b, const char *when)
{
	const struct posada_record *rec;
	u32 at, i;

	for (at = 0; at + sizeof(*rec) <= a->used; at += sizeof(*rec) + ((rec->bytes + 7) & ~7U)) {
		rec = (const void *)(a->buf + at);
		if (!memcmp(rec, b->buf + at, sizeof(*rec) + rec->bytes))
			continue;
		for (i = 0; i < sizeof(*rec) + rec->bytes; i++)
			if (a->buf[at + i] != b->buf[at + i])
				fuzz_fail("byte %d of record %u is %x, was %x, %s",
					  (int)(i - sizeof(*rec)), rec->type, b->buf[at + i],
					  a->buf[at + i], when);
	}
}

static void expect_same(struct vcpu *v, const struct stream *before, const char *when)
{
	static struct stream after;

	if (stream_read(v->fd, STEADY, &after))
		fuzz_fail("state cannot be read %s", when);
	if (after.used != before->used)
		fuzz_fail("state is %u bytes, was %u, %s", after.used, before->used, when);
	expect_same_bytes(before, &after, when);
}

/* ---- one state ---- */

/* The records that are worth the most bits of chance. */
static void mutate_stream(struct rnd *r, struct stream *s)
{
	static const u16 types[] = {
		POSADA_REC_REGS, POSADA_REC_SREGS, POSADA_REC_SREGS, POSADA_REC_EVENTS,
		POSADA_REC_DREGS, POSADA_REC_XSAVE, POSADA_REC_MSRS, POSADA_REC_MSRS,
		POSADA_REC_APIC, POSADA_REC_MP, POSADA_REC_TSC,
	};
	u32 bytes, n = rnd_below(r, 4);
	u8 *rec;

	while (n--) {
		rec = stream_find(s, RND_OF(r, types), &bytes);
		if (!rec || !bytes)
			continue;
		/* Of XSAVE mostly the header, which decides about the rest. */
		if (bytes > 1024 && rnd_one_in(r, 2))
			rnd_mutate(r, rec + sizeof(struct posada_rec_xsave) + 512, 64, 1);
		else
			rnd_mutate(r, rec, bytes, 1);
	}
	/* The stream itself, too. */
	if (rnd_one_in(r, 16))
		rnd_mutate(r, s->buf, s->used, 1);
	rec = stream_find(s, POSADA_REC_SREGS, &bytes);
	if (rec && bytes == sizeof(struct posada_sregs))
		fuzz_spare_emulator((void *)rec);
	if (rnd_one_in(r, 16))
		s->used = rnd_below(r, s->used + 1);
}

static void put_mode(struct rnd *r, struct stream *s)
{
	u32 bytes;
	struct posada_regs *regs = stream_find(s, POSADA_REC_REGS, &bytes);
	struct posada_sregs *sregs = stream_find(s, POSADA_REC_SREGS, &bytes);

	if (regs && sregs)
		fuzz_state(r, fuzz_mode(r), regs, sregs);
}

/* By records. True: it is the vCPU's now. */
static bool set_by_records(struct rnd *r, struct vcpu *v)
{
	static struct stream s, before;
	u32 bad_dry, bad;
	int dry, rc;

	if (stream_read(v->fd, rnd_one_in(r, 2) ? 0 : rnd(r) & 0x3fe, &s))
		fuzz_fail("state cannot be read");
	put_mode(r, &s);
	mutate_stream(r, &s);
	if (stream_read(v->fd, STEADY, &before))
		fuzz_fail("state cannot be read");
	dry = stream_write(v->fd, &s, POSADA_STATE_DRY_RUN, &bad_dry);
	expect_same(v, &before, "after a dry run");
	rc = stream_write(v->fd, &s, 0, &bad);
	fuzz_about("records: %d", rc);
	if (rc && rc != -EINVAL && rc != -EOPNOTSUPP)
		fuzz_fail("writing records: errno %d", -rc);
	/* A time in the future may be in the past a little later. */
	if (rc != dry && bad_dry != POSADA_REC_TSC)
		fuzz_fail("a dry run said %d, the write %d", dry, rc);
	if (rc)
		expect_same(v, &before, "after a refused write");
	return !rc;
}

/* By the run page; what is refused there shows at RUN. */
static void set_by_page(struct rnd *r, struct vcpu *v)
{
	struct posada_run *run = v->run;

	fuzz_state(r, fuzz_mode(r), &run->regs, &run->sregs);
	run->dirty = POSADA_GROUP_REGS | POSADA_GROUP_SREGS;
	if (rnd_one_in(r, 2))
		rnd_mutate(r, &run->sregs, sizeof(run->sregs), 1 + rnd_below(r, 3));
	fuzz_spare_emulator(&run->sregs);
	if (rnd_one_in(r, 4))
		rnd_mutate(r, &run->regs, sizeof(run->regs), 1 + rnd_below(r, 3));
	if (rnd_one_in(r, 3)) {
		memset(&run->events, 0, sizeof(run->events));
		rnd_mutate(r, &run->events, sizeof(run->events), rnd_below(r, 3));
		run->events.kind %= 5;
		run->dirty |= POSADA_GROUP_EVENTS;
	}
	if (rnd_one_in(r, 4)) {
		rnd_mutate(r, &run->dregs, sizeof(run->dregs), 1 + rnd_below(r, 2));
		run->dirty |= POSADA_GROUP_DREGS;
	}
	if (rnd_one_in(r, 64)) {
		rnd_mutate(r, run, sizeof(*run), 4);
		fuzz_spare_emulator(&run->sregs);
	}
	run->exit_flags = 0;
	fuzz_about("run page: dirty %x, event %u vector %u error %u payload %llx, dr7 %llx", run->dirty,
		   run->events.kind, run->events.vector, run->events.has_error_code,
		   run->events.payload, run->dregs.dr7);
}

static void inject_something(struct rnd *r, struct vcpu *v)
{
	struct posada_inject i = {
		.size = sizeof(i), .flags = rnd_below(r, 2), .kind = rnd_below(r, 5),
		.vector = rnd_one_in(r, 2) ? rnd_below(r, 34) : rnd_value(r),
		.error_code = rnd_one_in(r, 4) ? rnd(r) : rnd(r) & 0xffff, .payload = rnd_value(r),
	};
	int rc = px(v->fd, POSADA_INJECT, &i);

	fuzz_about("inject kind %u vector %u flags %x error %x payload %llx: %d", i.kind, i.vector,
		   i.flags, i.error_code, i.payload, rc);
	if (rc && rc != -EINVAL && rc != -EBUSY)
		fuzz_fail("inject: errno %d", -rc);
}

static void debug_something(struct rnd *r, struct vcpu *v)
{
	struct posada_debug d = {
		.size = sizeof(d), .flags = rnd_below(r, 8), .dr7 = rnd(r) & 0xffff0400 & rnd(r),
		.dr = { rnd_gpa(r, FUZZ_MEM_BYTES), rnd_gpa(r, FUZZ_MEM_BYTES) },
	};
	int rc = px(v->fd, POSADA_DEBUG, &d);

	fuzz_about("debug flags %x dr7 %llx: %d", d.flags, d.dr7, rc);
	if (rc && rc != -EINVAL)
		fuzz_fail("debug: errno %d", -rc);
}

/*
 * What a guest got itself into can be taken from it and given back: but for
 * registers that it sets without an exit to values of its own.
 */
static void give_back(struct vcpu *v)
{
	static struct stream s;
	const struct posada_sregs *sregs;
	const struct posada_regs *regs;
	u32 bad, bytes;
	int rc;

	if (stream_read(v->fd, STEADY, &s))
		fuzz_fail("state cannot be read after a run");
	regs = stream_find(&s, POSADA_REC_REGS, &bytes);
	sregs = stream_find(&s, POSADA_REC_SREGS, &bytes);
	fuzz_about("after exit %u: rip %llx rflags %llx cr0 %llx efer %llx cpl %u, SS %x", v->run->exit,
		   regs->rip, regs->rflags, sregs->cr0, sregs->efer, sregs->cpl,
		   sregs->seg[POSADA_SS].attr);
	rc = stream_write(v->fd, &s, 0, &bad);
	if (!rc)
		expect_same(v, &s, "after it was given back");
	else if (rc == -EOPNOTSUPP || rc == -EINVAL)
		refused_again++;
	else
		fuzz_fail("state that was read is refused: errno %d", -rc);
}

/* False: this VM is over. */
static bool run_state(struct rnd *r, struct vcpu *v)
{
	u32 i;
	int rc;

	for (i = 0; i < RUNS_A_STATE; i++) {
		v->run->request = rnd_one_in(r, 8) ? POSADA_RUN_WINDOW : 0;
		rc = vcpu_run(v);
		/* A kill that a signal hid is told by the next run, of the same state. */
		if (rc == -EINTR)
			rc = vcpu_run(v);
		fuzz_check_exit(v, rc, phys_limit);
		if (rc == -EINVAL) {
			refused++;
			v->run->dirty = 0;
			v->run->wanted &= POSADA_GROUP_ALL;
			v->run->request = 0;
			return true;
		}
		if (rc == -EINTR)
			return true;
		if (v->run->exit == POSADA_EXIT_KILLED) {
			killed++;
			return false;
		}
		if (v->run->exit == POSADA_EXIT_SHUTDOWN)
			return true;
		fuzz_answer_exit(r, v);
	}
	return true;
}

static struct vm *new_vm(struct rnd *r)
{
	struct vm *vm = vm_empty(rnd_below(r, 2));

	vm->bytes = FUZZ_MEM_BYTES;
	vm->mem = map_anon(vm->bytes);
	fuzz_mem_fill(r, vm->mem, rnd_below(r, 8));
	slot_set(vm, 0, 0, vm->mem, vm->bytes, 0);
	vcpu_add(vm, rnd_one_in(r, 4) ? 1 + rnd_below(r, 3) : 0);
	return vm;
}

static struct vcpu *the_vcpu(struct vm *vm)
{
	u32 i = 0;

	while (!vm->vcpu[i])
		i++;
	return vm->vcpu[i];
}

static void episode(struct rnd *r)
{
	struct vm *vm = new_vm(r);
	struct vcpu *v = the_vcpu(vm);
	bool alive = true;
	u32 i;

	for (i = 0; i < STATES_AN_EPISODE && alive; i++) {
		states++;
		if (rnd_one_in(r, 2)) {
			if (!set_by_records(r, v)) {
				refused++;
				continue;
			}
		} else {
			set_by_page(r, v);
		}
		if (rnd_one_in(r, 4))
			inject_something(r, v);
		if (rnd_one_in(r, 16))
			debug_something(r, v);
		alive = run_state(r, v);
		if (alive && rnd_one_in(r, 4))
			give_back(v);
		if (rnd_one_in(r, 8))
			fuzz_mem_fill(r, vm->mem, rnd_below(r, 8));
	}
	vm_free(vm);
}

static void states_loop(void)
{
	int sys = sys_open();
	struct rnd r;

	phys_limit = BIT(sys_info(sys).phys_bits);
	close(sys);
	fuzz_begin("states", 6, 100, &states, "states");
	fuzz_ticks(1500);
	while (fuzz_next(&r))
		episode(&r);
	fuzz_ticks(0);
	fuzz_end();
	test_note("%llu were refused, %llu killed their VM, %llu could not be given back",
		  (unsigned long long)refused, (unsigned long long)killed,
		  (unsigned long long)refused_again);
	if (refused == states || !states)
		FAIL("nothing was entered");
}

TEST_SLOW(states, 100000)
{
	accounted(states_loop);
}
