// SPDX-License-Identifier: GPL-2.0
/*
 * In the guest: what a PTP clock says, and how well that is known.
 *
 *	guest-ptp /dev/ptp0
 *
 * By PTP_SYS_OFFSET_EXTENDED, the best of a few: "time SECONDS", the reading
 * that took the least of the system's time, and "width NANOSECONDS", how much.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include <linux/ptp_clock.h>

#define SAMPLES	10

static long long ns(const struct ptp_clock_time *t)
{
	return t->sec * 1000000000LL + t->nsec;
}

int main(int argc, char **argv)
{
	struct ptp_sys_offset_extended o = { .n_samples = SAMPLES };
	long long width, best = -1, time = 0;
	int i, fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;

	if (fd < 0 || ioctl(fd, PTP_SYS_OFFSET_EXTENDED, &o)) {
		perror(argc == 2 ? argv[1] : "usage: guest-ptp DEVICE");
		return 1;
	}
	for (i = 0; i < SAMPLES; i++) {
		width = ns(&o.ts[i][2]) - ns(&o.ts[i][0]);
		if (best >= 0 && width >= best)
			continue;
		best = width;
		time = o.ts[i][1].sec;
	}
	printf("time %lld\nwidth %lld\n", time, best);
	return 0;
}
