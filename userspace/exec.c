// SPDX-License-Identifier: GPL-2.0
/*
 * --exec. The guest's init runs /posada-exec, which an archive behind its own
 * initrd brings, reports "exit N" on COM2, and powers off.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exec.h"
#include "machine.h"

#define MODE_SCRIPT	0100755
#define LINE_BYTES	64

struct exec {
	struct machine *m;
	char line[LINE_BYTES];
	size_t used;
};

static void pad4(FILE *f)
{
	while (ftell(f) & 3)
		fputc(0, f);
}

/* One member, in the "newc" format of cpio(5). */
static void member(FILE *f, const char *name, unsigned int ino,
		   unsigned int mode, const char *data, size_t bytes)
{
	fprintf(f, "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X",
		ino, mode, 0, 0, 1, 0, bytes, 0, 0, 0, 0, strlen(name) + 1, 0);
	fwrite(name, 1, strlen(name) + 1, f);
	pad4(f);
	fwrite(data, 1, bytes, f);
	pad4(f);
}

uint8_t *exec_archive(const char *command, size_t *bytes)
{
	char *script = xasprintf("#!/bin/sh\n%s\n", command), *archive = NULL;
	FILE *f = open_memstream(&archive, bytes);

	if (!f)
		die("out of memory");
	member(f, "posada-exec", 1, MODE_SCRIPT, script, strlen(script));
	member(f, "TRAILER!!!", 0, 0, "", 0);
	fclose(f);
	free(script);
	return (uint8_t *)archive;
}

static void take_line(struct exec *e)
{
	char *end;
	long status;

	e->line[e->used] = '\0';
	if (strncmp(e->line, "exit ", 5))
		return;
	status = strtol(e->line + 5, &end, 10);
	if (end != e->line + 5 && !*end && status >= 0 && status <= 255)
		e->m->exec_status = (int)status;
}

void exec_put(void *exec, uint8_t byte)
{
	struct exec *e = exec;

	if (byte == '\n') {
		take_line(e);
		e->used = 0;
	} else if (byte != '\r' && e->used < LINE_BYTES - 1) {
		e->line[e->used++] = (char)byte;
	}
}

struct exec *exec_create(struct machine *m)
{
	struct exec *e = xcalloc(1, sizeof(*e));

	e->m = m;
	return e;
}

void exec_free(struct exec *e)
{
	free(e);
}
