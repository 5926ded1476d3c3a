/* SPDX-License-Identifier: GPL-2.0 */
/* Archives for a kernel to unpack at boot: cpio(5)'s "newc", not compressed. */
#ifndef CPIO_H
#define CPIO_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CPIO_FOLDER	0040755
#define CPIO_FILE	0100644
#define CPIO_PROGRAM	0100755
#define CPIO_CHARDEV	0020600

struct cpio {
	FILE *f;
	char *data;
	size_t bytes;
	unsigned int inode;
};

void cpio_begin(struct cpio *c);
void cpio_add(struct cpio *c, const char *name, unsigned int mode,
	      const void *data, size_t bytes);
void cpio_device(struct cpio *c, const char *name, unsigned int major,
		 unsigned int minor);
/* -> the archive, to be freed. */
uint8_t *cpio_end(struct cpio *c, size_t *bytes);

#endif /* CPIO_H */
