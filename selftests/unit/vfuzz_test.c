// SPDX-License-Identifier: GPL-2.0
/*
 * Each virtio device against a hostile driver, whose programs come from a
 * seed: FUZZ_SECONDS (5) a device, half of them with another thread at the
 * registers. FUZZ_SEED repeats a run, in its first half step by step. KTAP.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../fuzz/vfuzz.h"

#define INPUT_BYTES	2048
#define REGISTER_PAUSE_US	300

static uint64_t next(uint64_t *state)
{
	/* xorshift64* */
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static unsigned long run(uint64_t *state, double until)
{
	static uint64_t input[INPUT_BYTES / 8];
	unsigned long count = 0;
	size_t i;

	do {
		for (i = 0; i < INPUT_BYTES / 8; i++)
			input[i] = next(state);
		vfuzz_input((uint8_t *)input, INPUT_BYTES);
		count++;
	} while (now() < until);
	return count;
}

static atomic_bool finish;

static void *registers(void *arg)
{
	uint64_t state = *(uint64_t *)arg;

	while (!atomic_load(&finish)) {
		vfuzz_registers(next(&state));
		usleep(REGISTER_PAUSE_US);
	}
	return NULL;
}

static bool fuzz(unsigned int device, uint64_t seed, double seconds)
{
	uint64_t state = seed + device, other = ~state;
	double start = now();
	unsigned long alone, beside;
	pthread_t thread;
	bool ok;

	vfuzz_begin(device);
	alone = run(&state, start + seconds / 2);
	atomic_store(&finish, false);
	if (pthread_create(&thread, NULL, registers, &other))
		return false;
	beside = run(&state, start + seconds);
	atomic_store(&finish, true);
	pthread_join(thread, NULL);
	ok = vfuzz_end();
	printf("# %lu and %lu inputs\n", alone, beside);
	return ok;
}

int main(void)
{
	const char *text = getenv("FUZZ_SECONDS"), *seed = getenv("FUZZ_SEED");
	double seconds = text ? atof(text) : 5;
	unsigned int i, n = 0;
	bool ok, all = true;

	/* Devices complain of such drivers; that is not what is looked at. A
	 * sanitizer's report goes to a file of its own.
	 */
	if (!getenv("FUZZ_VERBOSE") && !freopen("/dev/null", "w", stderr))
		return 1;
	while (vfuzz_names[n])
		n++;
	printf("KTAP version 1\n1..%u\n", n);
	for (i = 0; i < n; i++) {
		ok = fuzz(i, seed ? strtoull(seed, NULL, 0) : 1, seconds);
		printf("%sok %u %s\n", ok ? "" : "not ", i + 1, vfuzz_names[i]);
		fflush(stdout);
		all = all && ok;
	}
	return !all;
}
