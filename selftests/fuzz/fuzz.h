/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzzers share. A fuzzer's case is a loop of episodes:
 *
 *	struct rnd r;
 *
 *	while (fuzz_next(&r))
 *		one_episode(&r);
 *
 * Each episode draws from a generator of its own, seeded by the run's seed and
 * the episode's number alone, so any one of them can be replayed:
 *
 *	--seed N --first I --iterations M	exactly these
 *	--seconds S				until the time is up
 *	--tame 1				no noise in the guests: QEMU survives it
 *	--alone 1				one thread makes all the calls
 *	--path P				the steps of an episode that coverage made up
 *	--guided 0				let coverage make up none
 *	--unreached N				name the N biggest functions not reached
 *
 * Seed and position are printed as it goes: what is printed has left the
 * emulated machine when that dies.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "../vm.h"

struct rnd {
	u64 s[2];
};

/* The generator number @b of seed @a. */
void rnd_seed(struct rnd *r, u64 a, u64 b);
/* 64 random bits. */
u64 rnd(struct rnd *r);
/* One of 0 to @n - 1. */
u32 rnd_below(struct rnd *r, u32 n);
/* True once in @n times. */
bool rnd_one_in(struct rnd *r, u32 n);
/* A number that code is likely to get wrong: extremes, single bits, canonical edges, small ones. */
u64 rnd_value(struct rnd *r);
/* The same, as an address near guest memory, or far from it. */
u64 rnd_gpa(struct rnd *r, u64 mem_bytes);
void rnd_fill(struct rnd *r, void *buf, size_t bytes);
/* Change @n places of @buf: a bit, a byte, or a whole word by rnd_value(). */
void rnd_mutate(struct rnd *r, void *buf, size_t bytes, u32 n);
#define RND_OF(r, array) ((array)[rnd_below(r, ARRAY_SIZE(array))])

/* Begin the next episode: seed @r for it. False: the dose is over. */
bool fuzz_next(struct rnd *r);
/* Guests are to do what makes exits, and nothing that may abort an emulator. */
bool fuzz_tame(void);
/* Nobody is to make calls beside. */
bool fuzz_alone(void);
/* This episode's number, for messages. */
u64 fuzz_episode(void);
/* Note a failure and how to replay it; the case goes on with the next episode. */
__attribute__((format(printf, 1, 2))) void fuzz_fail(const char *fmt, ...);
/* What the caller is about to do, for the message of a failure; not a line by itself. */
__attribute__((format(printf, 1, 2))) void fuzz_about(const char *fmt, ...);
/*
 * Begin to count time and episodes: call it first in a case. @name is the case's. Without
 * options the dose is @episodes, or as many as go into @seconds, of the first seed. @done is
 * the case's own count of @what, told as it goes: an emulator that dies leaves no total.
 */
void fuzz_begin(const char *name, u32 seconds, u64 episodes, const u64 *done, const char *what);
/* Say how many episodes, and of @what, there were. */
void fuzz_end(void);

/* SIGALRM each @us microseconds, so that POSADA_RUN returns. 0: no more. */
void fuzz_ticks(u32 us);

/*
 * ---- what a worker does: path.c ----
 *
 * A list of pieces of random streams, written SEED:FIRST+STEPS,... with SEED in
 * hex. Each step of a stream draws from a generator of its own, so a path can
 * be cut anywhere and put together anew.
 */
#define MAX_PIECES	24
#define PATH_TEXT	(MAX_PIECES * 32)	/* bytes */

struct piece {
	u32 seed, first, steps;
};

struct path {
	u32 steps, pieces;
	struct piece piece[MAX_PIECES];
};

/* Go on in @to with a stream of its own, or with some of @from; as far as there is room. */
void path_fresh(struct rnd *r, struct path *to, u32 steps);
void path_append(struct path *to, const struct path *from, u32 first, u32 steps);
/* Leave out what is behind the first @steps. */
void path_cut(struct path *path, u32 steps);
/* Seed @r for that step of @path. */
void path_step(const struct path *path, u32 step, struct rnd *r);
/* False: it is no path. */
bool path_parse(const char *text, struct path *to);
/* Up to PATH_TEXT bytes. */
void path_print(const struct path *path, char *text);

/*
 * ---- coverage: cover.c ----
 *
 * Where the kernel has KCOV, a step that takes an edge of the module's code
 * that no step took before makes the last few steps an entry of the corpus, and
 * most paths are made of these. Elsewhere all of this does nothing.
 */

/* The path of this episode, told if the seed alone does not make it. */
const struct path *fuzz_path(struct rnd *r, u32 steps);
const struct path *cover_path(struct rnd *r, u32 steps);
/* " --path P" if this episode needs it to be replayed. */
const char *cover_replay(void);
bool cover_option(const char *name, const char *value);
/* Once, before all else. False: there is no KCOV. */
bool cover_begin(void);
/* This thread's steps are looked at from now on. */
void cover_enable(bool on);
/* Around each step of the path, in that thread. */
void cover_before(void);
void cover_after(u32 step);
/*
 * Let the @nr-th entry from the end be the path, and forget what was reached.
 * False: there is none. Then: was what made it an entry reached again?
 */
bool cover_try(u32 nr);
bool cover_found(void);
/* Say what was reached, by the case of that name. */
void cover_end(const char *name);

/* ---- guest states: states.c ---- */

#define FUZZ_MEM_BYTES	(2UL << 20)	/* gpa 0 up; all else is MMIO */

enum fuzz_mode {
	MODE_REAL, MODE_PROT16, MODE_PROT32, MODE_PAGED32, MODE_PAE, MODE_V86,
	MODE_COMPAT, MODE_LONG, MODE_USER64, NR_MODES
};

/* Tables, descriptors, handlers and random code, with mistakes in some. */
void fuzz_mem_fill(struct rnd *r, u8 *mem, u32 mistakes);
/* A mode that this host can run. */
enum fuzz_mode fuzz_mode(struct rnd *r);
/* A state in which a CPU runs code of that memory. */
void fuzz_state(struct rnd *r, enum fuzz_mode mode, struct posada_regs *regs,
		struct posada_sregs *s);
/* Let such a vCPU begin with a hypercall: what is to be written to FUZZ_CALL_GPA. */
#define FUZZ_CALL_GPA	0x13000
struct fuzz_call {
	u8 code[4096];
	struct posada_batch_call batch[8];	/* or what an argument points to */
};

void fuzz_hypercall(struct rnd *r, struct fuzz_call *call, struct posada_regs *regs,
		    const struct posada_sregs *s);
/* Take out of @s, mutated, what no host of QEMU survives: see "The emulated hosts lie". */
void fuzz_spare_emulator(struct posada_sregs *s);
/* Instructions that a hypervisor has to do with, and noise, up to @end. */
void fuzz_code(struct rnd *r, u8 *at, u8 *end);

/* What comes out of POSADA_RUN must make sense, whatever went in. */
void fuzz_check_exit(struct vcpu *v, int rc, u64 phys_limit);
/* Do with the exit what some VMM, right or wrong, would do. */
void fuzz_answer_exit(struct rnd *r, struct vcpu *v);

#endif /* FUZZ_H */
