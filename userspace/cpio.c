// SPDX-License-Identifier: GPL-2.0
/* Archives for a kernel to unpack at boot. */
#include <stdlib.h>
#include <string.h>

#include "cpio.h"
#include "machine.h"

static void pad4(FILE *f)
{
	while (ftell(f) & 3)
		fputc(0, f);
}

static void member(struct cpio *c, const char *name, unsigned int mode,
		   const void *data, size_t bytes, unsigned int major,
		   unsigned int minor)
{
	fprintf(c->f, "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X",
		c->inode++, mode, 0, 0, 1, 0, bytes, 0, 0, major, minor,
		strlen(name) + 1, 0);
	fwrite(name, 1, strlen(name) + 1, c->f);
	pad4(c->f);
	fwrite(data, 1, bytes, c->f);
	pad4(c->f);
}

void cpio_begin(struct cpio *c)
{
	*c = (struct cpio){ .inode = 1 };
	c->f = open_memstream(&c->data, &c->bytes);
	if (!c->f)
		die("out of memory");
}

void cpio_add(struct cpio *c, const char *name, unsigned int mode,
	      const void *data, size_t bytes)
{
	member(c, name, mode, data, bytes, 0, 0);
}

void cpio_device(struct cpio *c, const char *name, unsigned int major,
		 unsigned int minor)
{
	member(c, name, CPIO_CHARDEV, "", 0, major, minor);
}

uint8_t *cpio_end(struct cpio *c, size_t *bytes)
{
	member(c, "TRAILER!!!", 0, "", 0, 0, 0);
	if (fclose(c->f))
		die("out of memory");
	*bytes = c->bytes;
	return (uint8_t *)c->data;
}
