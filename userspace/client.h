/* SPDX-License-Identifier: GPL-2.0 */
/* The commands that speak with running VMs: ps, stop, kill, console, ... */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>

/* A field of a reply. */
struct field {
	char *name;
	char *value;
	bool number;
};

struct fields {
	struct field *field;
	size_t count;
};

/* ---- client_link.c: one connection ---- */

/* Connect to a VM; ends the program with a line if there is none of the name. */
int client_connect(const char *name);
/* The same, but -> -errno; a socket that a dead VM left is removed. */
int client_try(const char *name);
/* Send a command and read the line that says whether it is done. -> false: it
 * is not; the reason has been said, unless the connection broke.
 */
bool client_ask(int fd, const char *command);
/* The fields of `info` or `stats`; false: the VM has gone. */
bool client_fields(int fd, const char *command, struct fields *f);
void client_free(struct fields *f);
const char *client_text(const struct fields *f, const char *name);
unsigned long long client_number(const struct fields *f, const char *name);
/* As a JSON object. */
void client_json(const struct fields *f);
/* The names of the VMs that answer, sorted, to be freed; NULL after the last. */
char **client_names(void);

/* ---- client.c, client_console.c, client_exec.c, client_top.c ---- */

int cmd_ps(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_generation(int argc, char **argv);
int cmd_console(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_top(int argc, char **argv);

/* The options of a command and its one name (NULL: it takes none); --help
 * prints @help and ends the program.
 */
struct client_args {
	const char *name;
	bool json;
	unsigned int count;	/* -n; 0: not given */
	unsigned int timeout;	/* --timeout */
	long long step_ns;	/* --step; 0: not given */
};

void client_parse(struct client_args *a, int argc, char **argv,
		  const char *help, bool takes_name);

#endif /* CLIENT_H */
