/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The test framework: KTAP out, each case in a child of its own.
 *
 *   TEST(name) { ... }		runs once for each backend that the host offers
 *   TEST_ONCE(name) { ... }	runs once
 *   TEST_SLOW(name, seconds)	as TEST, with a time limit of its own
 *
 * EXPECT_* note a failure and go on, ASSERT_* end the case; both work from any
 * thread of it. SKIP() ends it as skipped: say what is missing. A case that
 * dies of a signal or runs out of time has failed. The program's exit status
 * is 0, 1 (something failed) or 4 (nothing could run).
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int32_t s32;
typedef int64_t s64;

struct test {
	const char *name;
	void (*fn)(void);
	unsigned int seconds;
	bool once;
};

#define TEST_SECONDS	20

#define TEST_DEFINE(ident, limit, one)					\
	static void test_##ident(void);					\
	static const struct test test_of_##ident			\
	__attribute__((used, section("test_table"), aligned(8))) = {	\
		.name = #ident, .fn = test_##ident,			\
		.seconds = limit, .once = one,				\
	};								\
	static void test_##ident(void)

#define TEST(ident)		TEST_DEFINE(ident, TEST_SECONDS, false)
#define TEST_SLOW(ident, limit)	TEST_DEFINE(ident, limit, false)
#define TEST_ONCE(ident)	TEST_DEFINE(ident, TEST_SECONDS, true)

/*
 * A program may define it to take --NAME VALUE; false: there is no such option.
 * All other arguments are globs of the cases to run.
 */
bool test_option(const char *name, const char *value);

/* The backend that this case runs on: an id of enum posada_backend_id. */
extern u32 test_backend;

/* How many times slower than others this host is: POSADA_TEST_TIME. */
unsigned int test_time_scale(void);
/* Write to a file that is there; false: it is not, or takes less. */
bool write_file(const char *path, const char *text);
/*
 * The number behind @key in a file of lines "key number", whatever follows in
 * the line, or without @key the one that the file begins with; -1: not there.
 */
s64 file_number(const char *path, const char *key);
/* Print "# text" and note the failure. */
__attribute__((format(printf, 3, 4)))
void test_fail(const char *file, int line, const char *fmt, ...);
__attribute__((format(printf, 1, 2)))
void test_note(const char *fmt, ...);
__attribute__((noreturn)) void test_abort(void);
__attribute__((noreturn, format(printf, 1, 2)))
void test_skip(const char *fmt, ...);
bool test_failed(void);

#define SKIP(...)	test_skip(__VA_ARGS__)
#define FAIL(...)	test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define FATAL(...)	do { FAIL(__VA_ARGS__); test_abort(); } while (0)

#define TEST_CMP(a, op, b, fatal) ({					\
	__auto_type a_ = (a);						\
	__auto_type b_ = (b);						\
	bool ok_ = a_ op b_;						\
	if (!ok_) {							\
		FAIL("%s %s %s: %lld (0x%llx) and %lld (0x%llx)",	\
		     #a, #op, #b, (long long)a_, (long long)a_,		\
		     (long long)b_, (long long)b_);			\
		if (fatal)						\
			test_abort();					\
	}								\
	ok_; })

/* The sign of a small constant is of no interest: compare as 64-bit numbers. */
#define EXPECT_EQ(a, b)	TEST_CMP((s64)(a), ==, (s64)(b), false)
#define EXPECT_NE(a, b)	TEST_CMP((s64)(a), !=, (s64)(b), false)
#define EXPECT_LT(a, b)	TEST_CMP((s64)(a), <, (s64)(b), false)
#define EXPECT_LE(a, b)	TEST_CMP((s64)(a), <=, (s64)(b), false)
#define EXPECT_GT(a, b)	TEST_CMP((s64)(a), >, (s64)(b), false)
#define EXPECT_GE(a, b)	TEST_CMP((s64)(a), >=, (s64)(b), false)
#define ASSERT_EQ(a, b)	TEST_CMP((s64)(a), ==, (s64)(b), true)
#define ASSERT_NE(a, b)	TEST_CMP((s64)(a), !=, (s64)(b), true)
#define ASSERT_GE(a, b)	TEST_CMP((s64)(a), >=, (s64)(b), true)

#define EXPECT_TRUE(x) do { if (!(x)) FAIL("not true: %s", #x); } while (0)
#define ASSERT_TRUE(x) do { if (!(x)) FATAL("not true: %s", #x); } while (0)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define BIT(n)		(1ULL << (n))

#endif /* HARNESS_H */
