// SPDX-License-Identifier: GPL-2.0
/*
 * The packets of gdb's remote protocol, by a table. vCPUs are threads; a
 * thread's id is the vCPU's number + 1, as 0 means any. Packets that are not
 * here get the empty reply, which tells gdb to do without.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gdb_session.h"

#define ERROR_BAD	1	/* what is asked makes no sense */
#define ERROR_MEMORY	0x0e
#define MEMORY_MAX	(GDB_PACKET_MAX / 2)
#define ANY_THREAD	0
#define ALL_THREADS	UINT64_MAX

typedef enum gdb_verdict (*packet_fn)(struct gdb_session *s,
				      struct gdb_text *t,
				      struct gdb_reply *reply);

static enum gdb_verdict ok(struct gdb_reply *reply)
{
	gdb_puts(reply, "OK");
	return GDB_REPLY;
}

static enum gdb_verdict bad(struct gdb_reply *reply)
{
	gdb_error(reply, ERROR_BAD);
	return GDB_REPLY;
}

/* ---- threads ---- */

/* A thread id, -1 as ALL_THREADS; false: there is none such. */
static bool take_thread(const struct gdb_session *s, struct gdb_text *t,
			uint64_t *id)
{
	if (gdb_take(t, "-1")) {
		*id = ALL_THREADS;
		return true;
	}
	return gdb_take_number(t, id) && *id <= s->nr_cpus;
}

static enum gdb_verdict set_thread(struct gdb_session *s, struct gdb_text *t,
				   struct gdb_reply *reply)
{
	bool general = gdb_take(t, "g");
	uint64_t id;

	if ((!general && !gdb_take(t, "c")) || !take_thread(s, t, &id) ||
	    !gdb_at_end(t))
		return bad(reply);
	if (id == ANY_THREAD || id == ALL_THREADS)
		return ok(reply);
	if (general)
		s->cpu = (unsigned int)id - 1;
	else
		s->step_cpu = (unsigned int)id - 1;
	return ok(reply);
}

static enum gdb_verdict thread_alive(struct gdb_session *s, struct gdb_text *t,
				     struct gdb_reply *reply)
{
	uint64_t id;

	if (!gdb_take_number(t, &id) || !id || id > s->nr_cpus ||
	    !gdb_at_end(t))
		return bad(reply);
	return ok(reply);
}

static enum gdb_verdict list_threads(struct gdb_session *s, struct gdb_text *t,
				     struct gdb_reply *reply)
{
	unsigned int i;

	(void)t;
	for (i = 0; i < s->nr_cpus; i++) {
		gdb_puts(reply, i ? "," : "m");
		gdb_put_number(reply, i + 1);
	}
	return GDB_REPLY;
}

static enum gdb_verdict list_end(struct gdb_session *s, struct gdb_text *t,
				 struct gdb_reply *reply)
{
	(void)s;
	(void)t;
	gdb_puts(reply, "l");
	return GDB_REPLY;
}

static enum gdb_verdict current_thread(struct gdb_session *s,
				       struct gdb_text *t,
				       struct gdb_reply *reply)
{
	(void)t;
	gdb_puts(reply, "QC");
	gdb_put_number(reply, s->cpu + 1);
	return GDB_REPLY;
}

/* Text for people goes as hex, as much of it as fits. */
static enum gdb_verdict put_text(struct gdb_reply *reply, char *text,
				 size_t bytes)
{
	if (bytes > MEMORY_MAX)
		bytes = MEMORY_MAX;
	gdb_put_hex(reply, text, bytes);
	free(text);
	return GDB_REPLY;
}

static enum gdb_verdict thread_info(struct gdb_session *s, struct gdb_text *t,
				    struct gdb_reply *reply)
{
	char *text = NULL;
	size_t bytes;
	uint64_t id;
	FILE *f;

	if (!gdb_take_number(t, &id) || !id || id > s->nr_cpus)
		return bad(reply);
	f = open_memstream(&text, &bytes);
	if (!f)
		return bad(reply);
	s->ops->describe(s->ctx, (unsigned int)id - 1, f);
	fclose(f);
	return put_text(reply, text, bytes);
}

/* ---- registers ---- */

static enum gdb_verdict read_registers(struct gdb_session *s,
				       struct gdb_text *t,
				       struct gdb_reply *reply)
{
	uint8_t value[GDB_REG_BYTES];
	struct gdb_regs r = { 0 };
	unsigned int i;

	(void)t;
	if (s->ops->load(s->ctx, s->cpu, &r))
		return bad(reply);
	for (i = 0; i < gdb_reg_count(); i++)
		gdb_put_hex(reply, value, gdb_reg_get(&r, i, value));
	return GDB_REPLY;
}

static enum gdb_verdict read_register(struct gdb_session *s,
				      struct gdb_text *t,
				      struct gdb_reply *reply)
{
	uint8_t value[GDB_REG_BYTES];
	struct gdb_regs r = { 0 };
	uint64_t n;

	if (!gdb_take_number(t, &n) || n >= gdb_reg_count() ||
	    s->ops->load(s->ctx, s->cpu, &r))
		return bad(reply);
	gdb_put_hex(reply, value, gdb_reg_get(&r, (unsigned int)n, value));
	return GDB_REPLY;
}

static bool set_register(struct gdb_regs *r, unsigned int n,
			 struct gdb_text *t)
{
	uint8_t value[GDB_REG_BYTES] = { 0 };

	return gdb_take_hex(t, value, gdb_reg_bytes(n)) &&
	       gdb_reg_set(r, n, value);
}

/* Decode all, then write: a bad packet changes nothing. */
static enum gdb_verdict write_registers(struct gdb_session *s,
					struct gdb_text *t,
					struct gdb_reply *reply)
{
	struct gdb_regs r = { 0 };
	unsigned int i;

	if (s->ops->load(s->ctx, s->cpu, &r))
		return bad(reply);
	for (i = 0; i < gdb_reg_count(); i++)
		if (!set_register(&r, i, t))
			return bad(reply);
	if (!gdb_at_end(t) || s->ops->store(s->ctx, s->cpu, &r))
		return bad(reply);
	return ok(reply);
}

static enum gdb_verdict write_register(struct gdb_session *s,
				       struct gdb_text *t,
				       struct gdb_reply *reply)
{
	struct gdb_regs r = { 0 };
	uint64_t n;

	if (!gdb_take_number(t, &n) || n >= gdb_reg_count() ||
	    !gdb_take(t, "=") || s->ops->load(s->ctx, s->cpu, &r) ||
	    !set_register(&r, (unsigned int)n, t) || !gdb_at_end(t) ||
	    s->ops->store(s->ctx, s->cpu, &r))
		return bad(reply);
	return ok(reply);
}

/* ---- memory ---- */

static bool take_range(struct gdb_text *t, uint64_t *gva, uint64_t *len)
{
	return gdb_take_number(t, gva) && gdb_take(t, ",") &&
	       gdb_take_number(t, len);
}

static enum gdb_verdict read_memory(struct gdb_session *s, struct gdb_text *t,
				    struct gdb_reply *reply)
{
	uint8_t data[MEMORY_MAX];
	uint64_t gva, len;
	size_t n;

	if (!take_range(t, &gva, &len) || !gdb_at_end(t))
		return bad(reply);
	n = gdb_read_memory(s, gva, data, len < sizeof(data) ? len :
			    sizeof(data));
	if (!n && len)
		gdb_error(reply, ERROR_MEMORY);
	else
		gdb_put_hex(reply, data, n);
	return GDB_REPLY;
}

static enum gdb_verdict put_memory(struct gdb_session *s, uint64_t gva,
				   const uint8_t *data, size_t len,
				   struct gdb_reply *reply)
{
	if (gdb_write_memory(s, gva, data, len) == len)
		return ok(reply);
	gdb_error(reply, ERROR_MEMORY);
	return GDB_REPLY;
}

static enum gdb_verdict write_memory(struct gdb_session *s, struct gdb_text *t,
				     struct gdb_reply *reply)
{
	uint8_t data[MEMORY_MAX];
	uint64_t gva, len;

	if (!take_range(t, &gva, &len) || !gdb_take(t, ":") ||
	    len > sizeof(data) || !gdb_take_hex(t, data, len) ||
	    !gdb_at_end(t))
		return bad(reply);
	return put_memory(s, gva, data, len, reply);
}

static enum gdb_verdict write_binary(struct gdb_session *s, struct gdb_text *t,
				     struct gdb_reply *reply)
{
	uint64_t gva, len;

	if (!take_range(t, &gva, &len) || !gdb_take(t, ":") ||
	    gdb_left(t) != len)
		return bad(reply);
	return put_memory(s, gva, (const uint8_t *)t->at, len, reply);
}

/* ---- breakpoints ---- */

static enum gdb_verdict breakpoint(struct gdb_session *s, struct gdb_text *t,
				   struct gdb_reply *reply, bool insert)
{
	uint64_t kind, gva, len;
	int ret;

	if (!gdb_take_number(t, &kind) || !gdb_take(t, ",") ||
	    !take_range(t, &gva, &len))
		return bad(reply);
	if (kind >= GDB_NR_BREAKS)
		return GDB_REPLY;
	/* Conditions and commands may follow; gdb evaluates them itself. */
	ret = insert ? gdb_break_insert(s, (enum gdb_break_kind)kind, gva, len) :
		       gdb_break_remove(s, (enum gdb_break_kind)kind, gva, len);
	if (!ret)
		return ok(reply);
	if (ret != -EOPNOTSUPP)
		gdb_error(reply, (uint8_t)-ret);
	return GDB_REPLY;
}

static enum gdb_verdict insert_break(struct gdb_session *s, struct gdb_text *t,
				     struct gdb_reply *reply)
{
	return breakpoint(s, t, reply, true);
}

static enum gdb_verdict remove_break(struct gdb_session *s, struct gdb_text *t,
				     struct gdb_reply *reply)
{
	return breakpoint(s, t, reply, false);
}

/* ---- running ---- */

static void set_actions(const struct gdb_session *s, enum gdb_action *actions,
			uint64_t id, enum gdb_action action, bool *set)
{
	unsigned int i;

	for (i = 0; i < s->nr_cpus; i++) {
		if (set[i] || (id != ALL_THREADS && id != i + 1))
			continue;
		actions[i] = action;
		set[i] = true;
	}
}

/* One `;ACTION[:THREAD]`. Signals have no meaning for a vCPU. */
static bool take_action(const struct gdb_session *s, struct gdb_text *t,
			enum gdb_action *actions, bool *set)
{
	enum gdb_action action = GDB_RUN;
	uint64_t id = ALL_THREADS, signal;

	if (!gdb_take(t, ";"))
		return false;
	if (gdb_take(t, "s"))
		action = GDB_STEP;
	else if (gdb_take(t, "S") && gdb_take_number(t, &signal))
		action = GDB_STEP;
	else if (!gdb_take(t, "c") &&
		 !(gdb_take(t, "C") && gdb_take_number(t, &signal)))
		return false;
	if (gdb_take(t, ":") && (!take_thread(s, t, &id) || !id))
		return false;
	set_actions(s, actions, id, action, set);
	return true;
}

static enum gdb_verdict cont(struct gdb_session *s, struct gdb_text *t,
			     struct gdb_reply *reply)
{
	enum gdb_action actions[POSADA_MAX_VCPUS] = { GDB_STAY };
	bool set[POSADA_MAX_VCPUS] = { false };
	unsigned int i, running = 0;

	while (!gdb_at_end(t))
		if (!take_action(s, t, actions, set))
			return bad(reply);
	for (i = 0; i < s->nr_cpus; i++)
		running += actions[i] != GDB_STAY;
	if (!running)
		return bad(reply);
	s->ops->resume(s->ctx, actions);
	return GDB_RUNNING;
}

static enum gdb_verdict cont_offer(struct gdb_session *s, struct gdb_text *t,
				   struct gdb_reply *reply)
{
	(void)s;
	(void)t;
	gdb_puts(reply, "vCont;c;C;s;S");
	return GDB_REPLY;
}

/* The old forms, c [ADDR] and s [ADDR]; C and S with a signal. */
static enum gdb_verdict old_cont(struct gdb_session *s, struct gdb_text *t,
				 struct gdb_reply *reply,
				 enum gdb_action action)
{
	enum gdb_action actions[POSADA_MAX_VCPUS] = { GDB_STAY };
	struct gdb_regs r = { 0 };
	unsigned int i;
	uint64_t rip;

	if (gdb_take_number(t, &rip)) {
		if (s->ops->load(s->ctx, s->step_cpu, &r))
			return bad(reply);
		r.regs.rip = rip;
		r.dirty = GDB_DIRTY_REGS;
		if (s->ops->store(s->ctx, s->step_cpu, &r))
			return bad(reply);
	}
	if (!gdb_at_end(t))
		return bad(reply);
	for (i = 0; i < s->nr_cpus; i++)
		actions[i] = action == GDB_STEP ? GDB_STAY : GDB_RUN;
	actions[s->step_cpu] = action;
	s->ops->resume(s->ctx, actions);
	return GDB_RUNNING;
}

static bool skip_signal(struct gdb_text *t)
{
	uint64_t signal;

	if (!gdb_take_number(t, &signal))
		return false;
	gdb_take(t, ";");
	return true;
}

static enum gdb_verdict old_continue(struct gdb_session *s, struct gdb_text *t,
				     struct gdb_reply *reply)
{
	return old_cont(s, t, reply, GDB_RUN);
}

static enum gdb_verdict old_step(struct gdb_session *s, struct gdb_text *t,
				 struct gdb_reply *reply)
{
	return old_cont(s, t, reply, GDB_STEP);
}

static enum gdb_verdict old_continue_signal(struct gdb_session *s,
					    struct gdb_text *t,
					    struct gdb_reply *reply)
{
	return skip_signal(t) ? old_cont(s, t, reply, GDB_RUN) : bad(reply);
}

static enum gdb_verdict old_step_signal(struct gdb_session *s,
					struct gdb_text *t,
					struct gdb_reply *reply)
{
	return skip_signal(t) ? old_cont(s, t, reply, GDB_STEP) : bad(reply);
}

static enum gdb_verdict detach(struct gdb_session *s, struct gdb_text *t,
			       struct gdb_reply *reply)
{
	(void)s;
	(void)t;
	ok(reply);
	return GDB_DETACH;
}

static enum gdb_verdict kill_now(struct gdb_session *s, struct gdb_text *t,
				 struct gdb_reply *reply)
{
	(void)s;
	(void)t;
	ok(reply);
	return GDB_KILL;
}

/* ---- the stop ---- */

void gdb_stop_reply(const struct gdb_session *s, struct gdb_reply *reply)
{
	static const char *const kinds[GDB_NR_BREAKS] = {
		"swbreak:", "hwbreak:", "watch:", "rwatch:", "awatch:",
	};
	const struct gdb_stop *stop = &s->stop;

	gdb_puts(reply, "T");
	gdb_put_hex(reply, &stop->signal, 1);
	gdb_puts(reply, "thread:");
	gdb_put_number(reply, stop->cpu + 1);
	gdb_puts(reply, ";");
	if (!stop->has_kind)
		return;
	gdb_puts(reply, kinds[stop->kind]);
	if (stop->kind > GDB_BREAK_HARD)
		gdb_put_number(reply, stop->addr);
	gdb_puts(reply, ";");
}

static enum gdb_verdict why_stopped(struct gdb_session *s, struct gdb_text *t,
				    struct gdb_reply *reply)
{
	(void)t;
	gdb_stop_reply(s, reply);
	return GDB_REPLY;
}

/* ---- about the session ---- */

static enum gdb_verdict supported(struct gdb_session *s, struct gdb_text *t,
				  struct gdb_reply *reply)
{
	(void)s;
	(void)t;
	gdb_puts(reply, "PacketSize=");
	gdb_put_number(reply, GDB_PACKET_MAX);
	gdb_puts(reply, ";QStartNoAckMode+;qXfer:features:read+;vContSupported+;"
		 "swbreak+;hwbreak+");
	return GDB_REPLY;
}

static enum gdb_verdict no_acks(struct gdb_session *s, struct gdb_text *t,
				struct gdb_reply *reply)
{
	(void)t;
	s->no_acks = true;
	return ok(reply);
}

/* gdb attaches to a guest that was there before, so its end is a detach. */
static enum gdb_verdict attached(struct gdb_session *s, struct gdb_text *t,
				 struct gdb_reply *reply)
{
	(void)s;
	(void)t;
	gdb_puts(reply, "1");
	return GDB_REPLY;
}

static enum gdb_verdict description(struct gdb_session *s, struct gdb_text *t,
				    struct gdb_reply *reply)
{
	uint64_t at, len;
	size_t bytes;
	char *xml;

	(void)s;
	if (!take_range(t, &at, &len) || !gdb_at_end(t))
		return bad(reply);
	xml = gdb_target_xml(&bytes);
	if (!xml || at > bytes) {
		free(xml);
		return bad(reply);
	}
	/* Half of the room: any byte may have to be escaped. */
	if (len > GDB_PACKET_MAX / 2)
		len = GDB_PACKET_MAX / 2;
	gdb_puts(reply, len < bytes - at ? "m" : "l");
	gdb_put(reply, xml + at, len < bytes - at ? len : bytes - at);
	free(xml);
	return GDB_REPLY;
}

static enum gdb_verdict monitor(struct gdb_session *s, struct gdb_text *t,
				struct gdb_reply *reply)
{
	char line[256] = "", *text = NULL;
	size_t n = gdb_left(t) / 2, bytes;
	FILE *f;

	if (n >= sizeof(line) || !gdb_take_hex(t, line, n) || !gdb_at_end(t))
		return bad(reply);
	f = open_memstream(&text, &bytes);
	if (!f)
		return bad(reply);
	s->ops->monitor(s->ctx, s->cpu, line, f);
	fclose(f);
	if (bytes)
		return put_text(reply, text, bytes);
	free(text);
	return ok(reply);
}

/* ---- which packet ---- */

/* The longer of two words that begin alike comes first. */
static const struct {
	const char *word;
	packet_fn fn;
} packets[] = {
	{ "?", why_stopped },
	{ "g", read_registers }, { "G", write_registers },
	{ "p", read_register }, { "P", write_register },
	{ "m", read_memory }, { "M", write_memory }, { "X", write_binary },
	{ "Z", insert_break }, { "z", remove_break },
	{ "H", set_thread }, { "T", thread_alive },
	{ "vCont?", cont_offer }, { "vCont", cont },
	{ "c", old_continue }, { "C", old_continue_signal },
	{ "s", old_step }, { "S", old_step_signal },
	{ "D", detach }, { "k", kill_now }, { "vKill", kill_now },
	{ "qfThreadInfo", list_threads }, { "qsThreadInfo", list_end },
	{ "qThreadExtraInfo,", thread_info }, { "qC", current_thread },
	{ "qSupported", supported }, { "QStartNoAckMode", no_acks },
	{ "qAttached", attached },
	{ "qXfer:features:read:target.xml:", description },
	{ "qRcmd,", monitor },
};

void gdb_session_begin(struct gdb_session *s)
{
	s->cpu = s->stop.cpu;
	s->step_cpu = s->stop.cpu;
	s->no_acks = false;
}

enum gdb_verdict gdb_session_packet(struct gdb_session *s, const char *data,
				    size_t len, struct gdb_reply *reply)
{
	struct gdb_text t = { .at = data, .end = data + len };
	size_t i;

	reply->len = 0;
	reply->overflow = false;
	for (i = 0; i < sizeof(packets) / sizeof(*packets); i++)
		if (gdb_take(&t, packets[i].word))
			return packets[i].fn(s, &t, reply);
	return GDB_REPLY;
}
