// SPDX-License-Identifier: GPL-2.0
/*
 * In the guest: what CPUs do to each other, so often that it can be counted.
 *
 *	guest-flush flush|ipi COUNT
 *
 * A thread on CPU 1 runs in user mode all the time. The one on CPU 0 takes a
 * page's write permission away and gives it back, which needs a TLB flush on
 * both; or asks for a memory barrier on both, which is an interrupt alone. Says
 * "flush COUNT" or "ipi COUNT".
 */
#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_bool there, done;

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set)) {
		perror("guest-flush: sched_setaffinity");
		exit(1);
	}
}

static void *spin(void *arg)
{
	pin(1);
	atomic_store(&there, true);
	while (!atomic_load(&done))
		;
	return arg;
}

static int flush(char *page)
{
	*page = 1;
	return mprotect(page, 1, PROT_READ) ||
	       mprotect(page, 1, PROT_READ | PROT_WRITE);
}

static int interrupt(char *page)
{
	(void)page;
	return (int)syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED,
			    0, 0);
}

int main(int argc, char **argv)
{
	int (*once)(char *page) = NULL;
	pthread_t thread;
	char *page;
	long i, count;

	if (argc == 3)
		once = strcmp(argv[1], "ipi") ? flush : interrupt;
	if (!once) {
		fprintf(stderr, "usage: guest-flush flush|ipi COUNT\n");
		return 2;
	}
	count = atol(argv[2]);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED ||
	    syscall(SYS_membarrier,
		    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) ||
	    pthread_create(&thread, NULL, spin, NULL)) {
		perror("guest-flush");
		return 1;
	}
	pin(0);
	while (!atomic_load(&there))
		sched_yield();
	for (i = 0; i < count; i++) {
		if (once(page)) {
			perror("guest-flush");
			return 1;
		}
	}
	atomic_store(&done, true);
	pthread_join(thread, NULL);
	printf("%s %ld\n", argv[1], count);
	return 0;
}
