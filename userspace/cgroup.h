/* SPDX-License-Identifier: GPL-2.0 */
/*
 * --limit: a control group (cgroup v2) of the machine's own, /sys/fs/cgroup/
 * posada/NAME or one in the folder that --cgroup names.
 */
#ifndef CGROUP_H
#define CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CGROUP_FOLDER	"/sys/fs/cgroup/posada"

struct limits {
	bool any;
	uint64_t cpu_us;	/* of CPU_PERIOD_US; 0: no limit */
	uint64_t memory;	/* bytes; 0: no limit */
	uint64_t io;		/* bytes a second, each way, each disk; 0: none */
	const char *folder;	/* NULL: CGROUP_FOLDER */
};

/* --limit cpus=1.5,memory=1G,io=20M */
void option_limit(struct limits *l, char *text);

struct config;

/* Make it, under the name of cfg's or one that is made up, and move this process there; before it has taken
 * memory, and has one thread. Ends the program with a line on failure, and
 * leaves nothing then. It goes when the program ends; one that a killed
 * program left goes when the next is made.
 */
void cgroup_enter(const struct config *cfg);
/* What the sandbox must let it remove; NULL: there is none. */
const char *cgroup_folder(void);
/* For `posada stats`: what was used, as lines of control.h. Any thread. */
void cgroup_stats(FILE *f);

#endif /* CGROUP_H */
