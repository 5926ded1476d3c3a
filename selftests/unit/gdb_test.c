// SPDX-License-Identifier: GPL-2.0
/*
 * The gdb server's packets, registers and breakpoints, on a target of a few
 * pages: what gdb sends, what it would never send, and what it must not break.
 * KTAP.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../userspace/gdb_session.h"
#include "unit.h"

#define PAGE		4096
#define PAGES		4
#define BASE		0x10000ULL	/* where the pages are mapped */
#define TRAP		0xcc
#define FUZZ_ROUNDS	200000
#define FUZZ_BYTES	600

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* ---- the target ---- */

/* Page i is at gpa (PAGES - 1 - i) * PAGE, but the last is at no gpa. */
static uint8_t memory[PAGES * PAGE];
static struct gdb_regs registers[4];
static enum gdb_action resumed[POSADA_MAX_VCPUS];
static unsigned int resumes;
static bool refuse_store;
static struct gdb_session *s;
static struct gdb_reply reply;

static int load(void *ctx, unsigned int cpu, struct gdb_regs *r)
{
	(void)ctx;
	*r = registers[cpu];
	return 0;
}

static int store(void *ctx, unsigned int cpu, const struct gdb_regs *r)
{
	(void)ctx;
	if (refuse_store)
		return -EINVAL;
	registers[cpu] = *r;
	return 0;
}

static int find(void *ctx, unsigned int cpu, uint64_t gva, uint64_t *gpa)
{
	uint64_t page = (gva - BASE) / PAGE;

	(void)ctx;
	(void)cpu;
	if (gva < BASE || page >= PAGES - 1)
		return -ENXIO;
	*gpa = (PAGES - 1 - page) * PAGE + gva % PAGE;
	return 0;
}

static int read_memory(void *ctx, uint64_t gpa, void *data, size_t bytes)
{
	(void)ctx;
	if (gpa > sizeof(memory) || bytes > sizeof(memory) - gpa)
		return -EFAULT;
	memcpy(data, memory + gpa, bytes);
	return 0;
}

static int write_memory(void *ctx, uint64_t gpa, const void *data,
			size_t bytes)
{
	(void)ctx;
	if (gpa > sizeof(memory) || bytes > sizeof(memory) - gpa)
		return -EFAULT;
	memcpy(memory + gpa, data, bytes);
	return 0;
}

static void resume(void *ctx, const enum gdb_action *actions)
{
	(void)ctx;
	memcpy(resumed, actions, sizeof(resumed));
	resumes++;
}

static void describe(void *ctx, unsigned int cpu, FILE *to)
{
	(void)ctx;
	fprintf(to, "cpu %u", cpu);
}

static void monitor(void *ctx, unsigned int cpu, const char *line, FILE *to)
{
	(void)ctx;
	(void)cpu;
	fputs(line, to);
}

static const struct gdb_ops ops = {
	.load = load, .store = store, .find = find, .read = read_memory,
	.write = write_memory, .resume = resume, .describe = describe,
	.monitor = monitor,
};

static void set_up(void)
{
	size_t i;

	s = calloc(1, sizeof(*s));
	s->ops = &ops;
	s->nr_cpus = 4;
	s->trap = TRAP;
	s->hard_works = true;
	s->stop.signal = GDB_SIGTRAP;
	memset(registers, 0, sizeof(registers));
	for (i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)(i * 7);
	resumes = 0;
	refuse_store = false;
	gdb_session_begin(s);
}

static void tear_down(void)
{
	free(s);
}

/* ---- shorthands ---- */

/* In a block of its own, so that ASan sees who reads past the end. */
static enum gdb_verdict say_bytes(const char *data, size_t len)
{
	char *copy = malloc(len ? len : 1);
	enum gdb_verdict verdict;

	memcpy(copy, data, len);
	verdict = gdb_session_packet(s, copy, len, &reply);
	free(copy);
	return verdict;
}

static enum gdb_verdict say(const char *text)
{
	return say_bytes(text, strlen(text));
}

static bool is(const char *text)
{
	if (reply.len == strlen(text) && !memcmp(reply.data, text, reply.len))
		return true;
	printf("# got '%.*s', not '%s'\n", (int)reply.len, reply.data, text);
	return false;
}

#define ASK(text, answer)	CHECK(say(text) == GDB_REPLY && is(answer))

/* Feed a whole text; -> the last event that is not GDB_NOTHING. */
static enum gdb_event feed(struct gdb_parser *p, const char *text, size_t len)
{
	enum gdb_event event, last = GDB_NOTHING;
	size_t i;

	for (i = 0; i < len; i++) {
		event = gdb_feed(p, (uint8_t)text[i]);
		if (event != GDB_NOTHING)
			last = event;
	}
	return last;
}

#define FEED(p, text)	feed(p, text, sizeof(text) - 1)

/* ---- packets ---- */

static bool test_framing(void)
{
	static struct gdb_parser p;

	memset(&p, 0, sizeof(p));
	CHECK(FEED(&p, "$OK#9a") == GDB_PACKET && p.len == 2);
	CHECK(!strcmp(p.data, "OK"));
	CHECK(FEED(&p, "$OK#9A") == GDB_PACKET);
	CHECK(FEED(&p, "$OK#9b") == GDB_DAMAGED);
	CHECK(FEED(&p, "$OK#zz") == GDB_DAMAGED);
	CHECK(FEED(&p, "$OK#9z") == GDB_DAMAGED);
	CHECK(FEED(&p, "garbage") == GDB_NOTHING);
	CHECK(FEED(&p, "+") == GDB_ACK && FEED(&p, "-") == GDB_NAK);
	CHECK(FEED(&p, "\3") == GDB_INTERRUPT);
	/* In a packet it is a byte like others. */
	CHECK(FEED(&p, "$\3#03") == GDB_PACKET && p.len == 1);
	CHECK(FEED(&p, "$#00") == GDB_PACKET && p.len == 0);
	/* Escaped: # $ }, and the sum is of what was sent. */
	CHECK(FEED(&p, "$X}\3}\4}]#33") == GDB_PACKET && p.len == 4);
	CHECK(!memcmp(p.data, "X#$}", 4));
	/* A packet that was cut short by another. */
	CHECK(FEED(&p, "$abc$OK#9a") == GDB_PACKET && p.len == 2);
	return true;
}

static bool test_frame_and_back(void)
{
	static struct gdb_parser p;
	static char frame[GDB_FRAME_MAX];
	char data[256];
	int i;

	for (i = 0; i < 256; i++)
		data[i] = (char)i;
	memset(&p, 0, sizeof(p));
	memset(&reply, 0, sizeof(reply));
	gdb_put(&reply, data, sizeof(data));
	CHECK(feed(&p, frame, gdb_frame(&reply, frame)) == GDB_PACKET);
	CHECK(p.len == sizeof(data) && !memcmp(p.data, data, sizeof(data)));
	return true;
}

static bool test_too_long(void)
{
	static struct gdb_parser p;
	static char frame[GDB_FRAME_MAX], byte = '}';
	size_t i;

	memset(&p, 0, sizeof(p));
	CHECK(FEED(&p, "$") == GDB_NOTHING);
	for (i = 0; i < 3 * GDB_PACKET_MAX; i++)
		CHECK(FEED(&p, "x") == GDB_NOTHING);
	CHECK(FEED(&p, "#00") == GDB_DAMAGED);
	CHECK(FEED(&p, "$OK#9a") == GDB_PACKET);
	/* A reply that does not fit is an error; one that does may double. */
	memset(&reply, 0, sizeof(reply));
	for (i = 0; i < GDB_PACKET_MAX; i++)
		gdb_put(&reply, &byte, 1);
	CHECK(gdb_frame(&reply, frame) == GDB_FRAME_MAX);
	gdb_put(&reply, &byte, 1);
	CHECK(reply.overflow && gdb_frame(&reply, frame) == 7);
	return true;
}

static bool test_numbers(void)
{
	struct gdb_text t = { 0 };
	uint64_t n;
	const char *text = "ffffffffffffffff,10000000000000000,g";

	t.at = text;
	t.end = text + strlen(text);
	CHECK(gdb_take_number(&t, &n) && n == UINT64_MAX);
	CHECK(!gdb_take_number(&t, &n) && gdb_take(&t, ","));
	CHECK(!gdb_take_number(&t, &n));
	memset(&reply, 0, sizeof(reply));
	gdb_put_number(&reply, 0);
	gdb_put_number(&reply, 0x10);
	gdb_put_number(&reply, UINT64_MAX);
	CHECK(is("010ffffffffffffffff"));
	return true;
}

/* ---- registers ---- */

static bool test_registers(void)
{
	registers[0].regs.gpr[POSADA_RBX] = 0x1122334455667788;
	registers[0].sregs.seg[POSADA_CS].selector = 0x10;
	registers[0].sregs.cr3 = 0x1000;
	ASK("p1", "8877665544332211");
	ASK("p12", "10000000");
	ASK("P1=0100000000000000", "OK");
	CHECK(registers[0].regs.gpr[POSADA_RBX] == 1);
	CHECK(registers[0].dirty == GDB_DIRTY_REGS);
	/* A selector stays what it is; writing that is no error. */
	ASK("P12=10000000", "OK");
	ASK("P12=11000000", "E01");
	ASK("pffff", "E01");
	ASK("P1=01", "E01");
	ASK("P1=010000000000000000", "E01");
	ASK("P1=010000000000000x", "E01");
	ASK("P1", "E01");
	refuse_store = true;
	ASK("P1=0200000000000000", "E01");
	return true;
}

static bool test_all_registers(void)
{
	static char packet[GDB_PACKET_MAX];
	size_t n, bytes = 0;
	unsigned int i;

	for (i = 0; i < sizeof(registers[0].fx); i++)
		registers[0].fx[i] = (uint8_t)i;
	for (i = 0; i < gdb_reg_count(); i++)
		bytes += gdb_reg_bytes(i);
	CHECK(say("g") == GDB_REPLY && reply.len == 2 * bytes);
	n = reply.len + 1;
	packet[0] = 'G';
	memcpy(packet + 1, reply.data, reply.len);
	/* What was read can be written, and changes nothing. */
	CHECK(say_bytes(packet, n) == GDB_REPLY && is("OK"));
	CHECK(!registers[0].dirty);
	/* Cut anywhere it is an error. */
	for (i = 1; i < n; i++)
		CHECK(say_bytes(packet, i) == GDB_REPLY && is("E01"));
	packet[n] = '0';
	CHECK(say_bytes(packet, n + 1) == GDB_REPLY && is("E01"));
	return true;
}

static bool test_x87_tags(void)
{
	uint8_t value[GDB_REG_BYTES], *fx = registers[0].fx;

	/* Top is 7; register 7 is valid (1.0), register 6 zero, the rest empty. */
	fx[3] = 7 << 3;
	fx[4] = 0xc0;
	fx[32 + 7] = 0x80;
	fx[32 + 8] = 0xff;
	fx[32 + 9] = 0x3f;
	CHECK(gdb_reg_get(&registers[0], 34, value) == 4);
	CHECK(value[0] == 0xff && value[1] == 0x1f);
	/* And back: only emptiness is kept. */
	ASK("P22=ff3f0000", "OK");
	CHECK(registers[0].fx[4] == 0x80);
	return true;
}

/* The description is what `g` sends: gdb lays the one over the other. */
static bool test_description(void)
{
	static char xml[65536];
	size_t at = 0;
	unsigned int regs = 0, bits = 0, n;
	char packet[64], *c;

	do {
		snprintf(packet, sizeof(packet),
			 "qXfer:features:read:target.xml:%zx,3fb", at);
		CHECK(say(packet) == GDB_REPLY && reply.len > 0);
		memcpy(xml + at, reply.data + 1, reply.len - 1);
		at += reply.len - 1;
	} while (reply.data[0] == 'm');
	CHECK(reply.data[0] == 'l');
	for (c = xml; (c = strstr(c, "bitsize=\"")); c++, regs++) {
		CHECK(sscanf(c, "bitsize=\"%u\"", &n) == 1);
		bits += n;
		CHECK(sscanf(strstr(c, "regnum="), "regnum=\"%u\"", &n) == 1 &&
		      n == regs);
	}
	CHECK(regs == gdb_reg_count());
	CHECK(say("g") == GDB_REPLY && reply.len == bits / 4);
	snprintf(packet, sizeof(packet),
		 "qXfer:features:read:target.xml:%zx,100", at);
	ASK(packet, "l");
	snprintf(packet, sizeof(packet),
		 "qXfer:features:read:target.xml:%zx,100", at + 1);
	ASK(packet, "E01");
	ASK("qXfer:features:read:other.xml:0,100", "");
	return true;
}

/* ---- memory and breakpoints ---- */

static bool test_memory(void)
{
	memory[3 * PAGE] = 0x12;
	memory[3 * PAGE + 1] = 0x34;
	ASK("m10000,2", "1234");
	ASK("m10000,0", "");
	/* Over a page's end, where the next is elsewhere; and up to the last. */
	memory[3 * PAGE + PAGE - 1] = 0xaa;
	memory[2 * PAGE] = 0xbb;
	ASK("m10fff,2", "aabb");
	memory[PAGE + PAGE - 1] = 0xcc;
	ASK("m12fff,4", "cc");
	ASK("m13000,1", "E0e");
	ASK("mffffffffffffffff,2", "E0e");
	ASK("m10000,", "E01");
	ASK("m,1", "E01");
	ASK("M10fff,2:0102", "OK");
	CHECK(memory[3 * PAGE + PAGE - 1] == 1 && memory[2 * PAGE] == 2);
	ASK("M12fff,2:0102", "E0e");
	ASK("M10000,3:0102", "E01");
	ASK("M10000,1:0102", "E01");
	ASK("M10000,ffffffffffffffff:01", "E01");
	ASK("X10000,0:", "OK");
	CHECK(say_bytes("X10000,3:a\0#", 12) == GDB_REPLY && is("OK"));
	CHECK(!memcmp(memory + 3 * PAGE, "a\0#", 3));
	ASK("X10000,4:abc", "E01");
	/* As much as one asks for, no more than fits. */
	CHECK(say("m10000,ffffffffffffffff") == GDB_REPLY &&
	      reply.len == GDB_PACKET_MAX && !reply.overflow);
	return true;
}

static bool test_soft_breaks(void)
{
	uint8_t *at = memory + 3 * PAGE;

	*at = 0x12;
	ASK("Z0,10000,1", "OK");
	ASK("Z0,10000,1", "OK");
	CHECK(*at == TRAP && gdb_break_at(s, 3 * PAGE));
	ASK("m10000,1", "12");
	/* What is written goes under the trap. */
	ASK("M10000,2:5566", "OK");
	CHECK(at[0] == TRAP && at[1] == 0x66);
	ASK("m10000,2", "5566");
	ASK("z0,10000,1", "OK");
	CHECK(at[0] == 0x55 && !gdb_break_at(s, 3 * PAGE));
	ASK("z0,10000,1", "OK");
	/* The guest has put something there itself: that stays. */
	ASK("Z0,10000,1", "OK");
	at[0] = 0x77;
	ASK("m10000,1", "77");
	ASK("z0,10000,1", "OK");
	CHECK(at[0] == 0x77);
	ASK("Z0,13000,1", "E0e");
	s->trap = 0;
	ASK("Z0,10000,1", "");
	return true;
}

static bool test_many_breaks(void)
{
	static uint8_t before[sizeof(memory)];
	struct posada_debug dbg;
	char packet[64];
	unsigned int i;

	memcpy(before, memory, sizeof(memory));
	for (i = 0; i < GDB_SOFT_MAX; i++) {
		snprintf(packet, sizeof(packet), "Z0,%llx,1", BASE + 2 * i);
		ASK(packet, "OK");
	}
	ASK("Z0,11000,1", "E1c");
	gdb_break_arm(s, &dbg);
	CHECK(dbg.flags == POSADA_DEBUG_BREAK);
	gdb_break_remove_all(s);
	CHECK(!memcmp(before, memory, sizeof(memory)));
	gdb_break_arm(s, &dbg);
	CHECK(!dbg.flags);
	return true;
}

static bool test_hard_breaks(void)
{
	struct gdb_stop stop = { 0 };
	struct posada_debug dbg;

	ASK("Z1,10000,1", "OK");
	ASK("Z1,10000,1", "OK");
	ASK("Z2,ffff800000000003,8", "E1c");
	gdb_break_arm(s, &dbg);
	CHECK(dbg.flags == POSADA_DEBUG_HARDWARE && dbg.dr7 == 0x401);
	ASK("Z2,20004,c", "OK");
	ASK("Z4,20010,1", "OK");
	gdb_break_arm(s, &dbg);
	/* 4 bytes, then 8; write, write, access. */
	CHECK(dbg.dr[0] == 0x10000 && dbg.dr[1] == 0x20004 &&
	      dbg.dr[2] == 0x20008 && dbg.dr[3] == 0x20010);
	CHECK(dbg.dr7 == (0x455 | 0xd00000ULL | 0x9000000ULL | 0x30000000ULL));
	ASK("Z3,20020,1", "E1c");
	CHECK(gdb_break_hit(s, 1 << 2, &stop) && stop.has_kind &&
	      stop.kind == GDB_WATCH_WRITE && stop.addr == 0x20004);
	ASK("z2,20004,c", "OK");
	CHECK(!gdb_break_hit(s, 1 << 2, &stop));
	ASK("Z3,20020,0", "E16");
	ASK("Z3,fffffffffffffffe,4", "E16");
	ASK("Z5,20020,1", "");
	ASK("Z", "E01");
	s->hard_works = false;
	ASK("Z1,10000,1", "");
	return true;
}

/* ---- threads, running, stops ---- */

static bool test_threads(void)
{
	ASK("qfThreadInfo", "m1,2,3,4");
	ASK("qsThreadInfo", "l");
	ASK("T1", "OK");
	ASK("T4", "OK");
	ASK("T0", "E01");
	ASK("T5", "E01");
	ASK("Hg3", "OK");
	ASK("qC", "QC3");
	ASK("Hg0", "OK");
	ASK("Hc-1", "OK");
	ASK("Hg5", "E01");
	ASK("Hg-2", "E01");
	ASK("Hx1", "E01");
	ASK("qC", "QC3");
	registers[2].regs.rip = 0x99;
	ASK("p10", "9900000000000000");
	ASK("qThreadExtraInfo,4", "6370752033");
	ASK("qThreadExtraInfo,5", "E01");
	return true;
}

static bool test_running(void)
{
	CHECK(say("vCont;c") == GDB_RUNNING && resumes == 1);
	CHECK(resumed[0] == GDB_RUN && resumed[3] == GDB_RUN);
	/* The first that fits a thread counts. */
	CHECK(say("vCont;s:2;c") == GDB_RUNNING);
	CHECK(resumed[0] == GDB_RUN && resumed[1] == GDB_STEP);
	CHECK(say("vCont;S05:2") == GDB_RUNNING);
	CHECK(resumed[0] == GDB_STAY && resumed[1] == GDB_STEP);
	CHECK(say("vCont;C05;s:1") == GDB_RUNNING && resumed[0] == GDB_RUN);
	ASK("vCont?", "vCont;c;C;s;S");
	resumes = 0;
	ASK("vCont", "E01");
	ASK("vCont;", "E01");
	ASK("vCont;t", "E01");
	ASK("vCont;s:0", "E01");
	ASK("vCont;s:5", "E01");
	ASK("vCont;c:1x", "E01");
	CHECK(!resumes);
	ASK("Hc2", "OK");
	CHECK(say("s") == GDB_RUNNING && resumed[1] == GDB_STEP &&
	      resumed[0] == GDB_STAY);
	CHECK(say("c1234") == GDB_RUNNING && registers[1].regs.rip == 0x1234);
	CHECK(resumed[0] == GDB_RUN && resumed[1] == GDB_RUN);
	CHECK(say("C05;9999") == GDB_RUNNING && registers[1].regs.rip == 0x9999);
	CHECK(say("S05") == GDB_RUNNING);
	ASK("cx", "E01");
	ASK("S", "E01");
	CHECK(say("D") == GDB_DETACH && is("OK"));
	CHECK(say("k") == GDB_KILL && say("vKill;1") == GDB_KILL);
	return true;
}

static bool test_stops(void)
{
	ASK("?", "T05thread:1;");
	s->stop = (struct gdb_stop){
		.cpu = 2, .signal = GDB_SIGTRAP, .has_kind = true,
		.kind = GDB_WATCH_ACCESS, .addr = 0xfeed,
	};
	ASK("?", "T05thread:3;awatch:feed;");
	s->stop.kind = GDB_BREAK_SOFT;
	ASK("?", "T05thread:3;swbreak:;");
	return true;
}

static bool test_queries(void)
{
	ASK("vMustReplyEmpty", "");
	ASK("", "");
	ASK("qAttached", "1");
	ASK("QStartNoAckMode", "OK");
	CHECK(s->no_acks);
	ASK("qRcmd,6869", "6869");
	ASK("qRcmd,686", "E01");
	ASK("qRcmd,xx", "E01");
	ASK("qRcmd,", "OK");
	CHECK(say("qSupported:multiprocess+") == GDB_REPLY);
	CHECK(!memcmp(reply.data, "PacketSize=4000;", 16));
	return true;
}

/* ---- hostile ---- */

/* Packets that begin as real ones do, with damage; all of it must be an
 * answer, and breakpoints must come out of memory as they went in.
 */
static bool test_fuzz(void)
{
	static const char *const seeds[] = {
		"g", "G00112233", "p10", "P1=0011223344556677", "m10000,20",
		"M10000,4:01020304", "X10000,4:abcd", "Z0,10010,1",
		"z0,10010,1", "Z2,20000,8", "z2,20000,8", "Hg1", "T1",
		"vCont;s:1;c", "c", "s10000", "C05;1", "qThreadExtraInfo,1",
		"qXfer:features:read:target.xml:0,fff", "qRcmd,7374617473",
		"qSupported:a+", "?", "D", "k", "\xff\xff", "vKill;1",
	};
	static struct gdb_parser p;
	static char frame[GDB_FRAME_MAX];
	char packet[FUZZ_BYTES];
	unsigned int round, n, i;
	size_t len;

	srand(5);
	memset(&p, 0, sizeof(p));
	for (round = 0; round < FUZZ_ROUNDS; round++) {
		const char *seed = seeds[(unsigned int)rand() %
						 ARRAY_SIZE(seeds)];

		len = strlen(seed);
		memcpy(packet, seed, len);
		for (n = (unsigned int)rand() % 4; n; n--)
			packet[(size_t)rand() % len] = (char)rand();
		if (rand() % 4 == 0)
			for (n = (unsigned int)rand() % 64; n; n--)
				packet[len++] = (char)rand();
		if (rand() % 4 == 0)
			len = (size_t)rand() % (len + 1);
		CHECK(say_bytes(packet, len) <= GDB_KILL);
		CHECK(reply.len <= GDB_PACKET_MAX);
		gdb_frame(&reply, frame);
		CHECK(s->cpu < s->nr_cpus && s->step_cpu < s->nr_cpus);
		for (i = 0; i < len; i++)
			gdb_feed(&p, (uint8_t)packet[i]);
		CHECK(p.len <= GDB_PACKET_MAX);
	}
	gdb_break_remove_all(s);
	return true;
}

/* ---- running them ---- */

static const struct unit_test cases[] = {
	{ test_framing, "packets in" },
	{ test_frame_and_back, "packets out and in again" },
	{ test_too_long, "packets and replies that are too long" },
	{ test_numbers, "numbers" },
	{ test_registers, "single registers" },
	{ test_all_registers, "all registers" },
	{ test_x87_tags, "x87 tags" },
	{ test_description, "the description fits the registers" },
	{ test_memory, "memory" },
	{ test_soft_breaks, "software breakpoints" },
	{ test_many_breaks, "as many as there can be" },
	{ test_hard_breaks, "hardware breakpoints and watchpoints" },
	{ test_threads, "threads" },
	{ test_running, "running" },
	{ test_stops, "stops" },
	{ test_queries, "queries" },
	{ test_fuzz, "damaged packets" },
};

int main(void)
{
	return unit_run(cases, ARRAY_SIZE(cases), set_up, tear_down);
}
