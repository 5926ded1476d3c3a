// SPDX-License-Identifier: GPL-2.0
/* Reading the files to boot. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image.h"

static void read_all(struct image *img, int fd, size_t bytes)
{
	ssize_t n;

	img->data = malloc(bytes ? bytes : 1);
	if (!img->data)
		die("out of memory for %s", img->path);
	while (img->bytes < bytes) {
		n = read(fd, img->data + img->bytes, bytes - img->bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("cannot read %s: %s", img->path, strerror(errno));
		if (!n)
			break;
		img->bytes += (size_t)n;
	}
}

void image_read(struct image *img, const char *path, const char *what)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	memset(img, 0, sizeof(*img));
	img->path = path;
	if (fd < 0)
		die("cannot open the %s %s: %s", what, path, strerror(errno));
	if (fstat(fd, &st))
		die("cannot read the %s %s: %s", what, path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		die("the %s %s is not a file", what, path);
	read_all(img, fd, (size_t)st.st_size);
	close(fd);
}

void image_free(struct image *img)
{
	free(img->data);
	memset(img, 0, sizeof(*img));
}

const void *image_at(const struct image *img, uint64_t at, uint64_t bytes)
{
	if (at > img->bytes || bytes > img->bytes - at)
		return NULL;
	return img->data + at;
}
