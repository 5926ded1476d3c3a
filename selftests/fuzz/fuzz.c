// SPDX-License-Identifier: GPL-2.0
/* Random numbers, episodes: see fuzz.h. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "fuzz.h"

static struct {
	u64 seed, first, iterations;
	u32 seconds;
	bool tame, alone;
	/* Of the case that runs. */
	const char *name, *what;
	const u64 *done;
	u64 episode, begun, most;
	u64 start, told;	/* milliseconds */
	u32 limit;
} fuzz = { .seed = 1 };

bool test_option(const char *name, const char *value)
{
	u64 n = strtoull(value, NULL, 0);

	if (!strcmp(name, "seed"))
		fuzz.seed = n;
	else if (!strcmp(name, "first"))
		fuzz.first = n;
	else if (!strcmp(name, "iterations"))
		fuzz.iterations = n;
	else if (!strcmp(name, "seconds"))
		fuzz.seconds = n;
	else if (!strcmp(name, "tame"))
		fuzz.tame = n;
	else if (!strcmp(name, "alone"))
		fuzz.alone = n;
	else
		return cover_option(name, value);
	return true;
}

/* ---- random numbers: xorshift128+, seeded by splitmix64 ---- */

static u64 mix(u64 *x)
{
	u64 z = *x += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

void rnd_seed(struct rnd *r, u64 a, u64 b)
{
	u64 x = a;

	x = mix(&x) ^ b;
	r->s[0] = mix(&x);
	r->s[1] = mix(&x) | 1;
}

u64 rnd(struct rnd *r)
{
	u64 a = r->s[0], b = r->s[1];

	r->s[0] = b;
	a ^= a << 23;
	r->s[1] = a ^ b ^ a >> 17 ^ b >> 26;
	return r->s[1] + b;
}

u32 rnd_below(struct rnd *r, u32 n)
{
	return (rnd(r) >> 32) * n >> 32;
}

bool rnd_one_in(struct rnd *r, u32 n)
{
	return !rnd_below(r, n);
}

u64 rnd_value(struct rnd *r)
{
	static const u64 edges[] = {
		0, 1, 2, 3, 0xff, 0x1ff, 0xfff, 0x1000, 0xffff, 0x10000, 0x7fffffff,
		0x80000000, 0xffffffff, 0x100000000, 0x00007fffffffffff,
		0x0000800000000000, 0xffff7fffffffffff, 0xffff800000000000,
		0x00ffffffffffffff, 0x0100000000000000, 0x7fffffffffffffff,
		0x8000000000000000, 0xfffffffffffff000, 0xffffffffffffffff,
		0xfee00000, 0xfee00fff, 0xfffffff0,
	};
	u64 v;

	switch (rnd_below(r, 8)) {
	case 0:
		return rnd(r);
	case 1:
		return BIT(rnd_below(r, 64));
	case 2:
		return ~BIT(rnd_below(r, 64));
	case 3:
		return rnd_below(r, 256);
	case 4:
		return (u32)rnd(r);
	case 5:
		return rnd(r) >> rnd_below(r, 64);
	default:
		v = RND_OF(r, edges);
		return v + (s64)rnd_below(r, 5) - 2;
	}
}

u64 rnd_gpa(struct rnd *r, u64 mem_bytes)
{
	switch (rnd_below(r, 8)) {
	case 0:
		return rnd_value(r);
	case 1:
		return mem_bytes - rnd_below(r, 32);
	default:
		return rnd_below(r, mem_bytes);
	}
}

void rnd_fill(struct rnd *r, void *buf, size_t bytes)
{
	u8 *p = buf;
	u64 v;

	for (; bytes >= 8; bytes -= 8, p += 8) {
		v = rnd(r);
		memcpy(p, &v, 8);
	}
	v = rnd(r);
	memcpy(p, &v, bytes);
}

void rnd_mutate(struct rnd *r, void *buf, size_t bytes, u32 n)
{
	u8 *p = buf;
	u64 v;
	u32 at;

	while (n--) {
		at = rnd_below(r, bytes);
		switch (rnd_below(r, 4)) {
		case 0:
			p[at] ^= 1 << rnd_below(r, 8);
			break;
		case 1:
			p[at] = rnd(r);
			break;
		default:
			v = rnd_value(r);
			at &= ~7U;
			memcpy(p + at, &v, at + 8 <= bytes ? 8 : bytes - at);
		}
	}
}

/* ---- episodes ---- */

/* Milliseconds. */
static u64 now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void fuzz_begin(const char *name, u32 seconds, u64 episodes, const u64 *done, const char *what)
{
	fuzz.name = name;
	fuzz.done = done;
	fuzz.what = what;
	fuzz.begun = 0;
	fuzz.episode = fuzz.first;
	fuzz.limit = fuzz.seconds ? fuzz.seconds : seconds;
	fuzz.most = fuzz.iterations || fuzz.seconds ? fuzz.iterations : episodes;
	fuzz.start = now();
	fuzz.told = 0;
}

bool fuzz_next(struct rnd *r)
{
	u64 t = now();

	if (fuzz.most && fuzz.begun >= fuzz.most)
		return false;
	if ((!fuzz.iterations || fuzz.seconds) && fuzz.begun && t - fuzz.start >= fuzz.limit * 1000ULL)
		return false;
	fuzz.episode = fuzz.first + fuzz.begun++;
	rnd_seed(r, fuzz.seed, fuzz.episode);
	if (t - fuzz.told > 1000) {
		test_note("%s: --seed %llu --first %llu, %llu %s before", fuzz.name,
			  (unsigned long long)fuzz.seed, (unsigned long long)fuzz.episode,
			  (unsigned long long)READ(*fuzz.done), fuzz.what);
		fuzz.told = t;
	}
	return true;
}

const struct path *fuzz_path(struct rnd *r, u32 steps)
{
	const struct path *path = cover_path(r, steps);

	if (*cover_replay())
		test_note("%s: --seed %llu --first %llu%s", fuzz.name, (unsigned long long)fuzz.seed,
			  (unsigned long long)fuzz.episode, cover_replay());
	return path;
}

bool fuzz_tame(void)
{
	return fuzz.tame;
}

u64 fuzz_episode(void)
{
	return fuzz.episode;
}

bool fuzz_alone(void)
{
	return fuzz.alone;
}

/* The last few, oldest first. */
static char about[4][120];
static u32 abouts;

void fuzz_about(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(about[abouts++ % ARRAY_SIZE(about)], sizeof(about[0]), fmt, args);
	va_end(args);
}

static void tell_about(void)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(about); i++)
		if (about[(abouts + i) % ARRAY_SIZE(about)][0])
			test_note("before: %s", about[(abouts + i) % ARRAY_SIZE(about)]);
}

void fuzz_fail(const char *fmt, ...)
{
	char text[200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	tell_about();
	test_note("replay: --seed %llu --first %llu --iterations 1%s '*.%s'",
		  (unsigned long long)fuzz.seed, (unsigned long long)fuzz.episode, cover_replay(),
		  fuzz.name);
	test_fail(fuzz.name, 0, "%s", text);
	/* One flood of the same is enough. */
	test_abort();
}

void fuzz_end(void)
{
	test_note("%s: %llu episodes, %llu %s in %llu ms", fuzz.name, (unsigned long long)fuzz.begun,
		  (unsigned long long)READ(*fuzz.done), fuzz.what,
		  (unsigned long long)(now() - fuzz.start));
}

static void tick(int nr)
{
	(void)nr;
}

void fuzz_ticks(u32 us)
{
	struct sigaction sa = { .sa_handler = tick };
	struct itimerval t = {
		.it_interval = { .tv_usec = us }, .it_value = { .tv_usec = us },
	};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}
