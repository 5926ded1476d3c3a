// SPDX-License-Identifier: GPL-2.0
/*
 * --exec. The guest's init runs /posada-exec, which an archive behind its own
 * initrd brings, reports "exit N" on COM2, and powers off.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpio.h"
#include "exec.h"
#include "machine.h"

#define LINE_BYTES	64

struct exec {
	struct machine *m;
	char line[LINE_BYTES];
	size_t used;
};

uint8_t *exec_archive(const char *command, size_t *bytes)
{
	char *script = xasprintf("#!/bin/sh\n%s\n", command);
	struct cpio c;

	cpio_begin(&c);
	cpio_add(&c, "posada-exec", CPIO_PROGRAM, script, strlen(script));
	free(script);
	return cpio_end(&c, bytes);
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
