// SPDX-License-Identifier: GPL-2.0
/* Output in whole pieces. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "io.h"

bool write_all(int fd, const void *data, size_t bytes)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	const char *from = data;
	ssize_t n;

	while (bytes) {
		n = write(fd, from, bytes);
		if (n > 0) {
			from += n;
			bytes -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			poll(&p, 1, -1);
		} else if (n < 0 && errno != EINTR) {
			return false;
		}
	}
	return true;
}
