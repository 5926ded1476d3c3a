// SPDX-License-Identifier: GPL-2.0
/* A connection to a running VM's control socket, and what comes over it. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "control.h"
#include "machine.h"
#include "names.h"
#include "sock.h"

#define REPLY_MAX	65536

int client_try(const char *name)
{
	char *path = names_path(name);
	int fd = path ? names_connect(path) : -ENOENT;

	free(path);
	return fd;
}

int client_connect(const char *name)
{
	int fd = client_try(name);

	if (fd == -ENOENT)
		die("there is no VM named '%s': `posada ps` lists those that run",
		    name);
	if (fd == -ECONNREFUSED)
		die("the VM '%s' is gone without a word (was it killed?); its socket has been removed",
		    name);
	if (fd < 0)
		die("cannot speak with the VM '%s': %s", name, strerror(-fd));
	return fd;
}

static bool send_line(int fd, const char *line)
{
	size_t n = strlen(line);

	return send(fd, line, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* Byte by byte: what follows the line is not ours to take. */
static bool read_line(int fd, char *line, size_t bytes)
{
	size_t used = 0;
	ssize_t n;

	while (used < bytes - 1) {
		n = recv(fd, line + used, 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		if (line[used] == '\n') {
			line[used] = '\0';
			return true;
		}
		used++;
	}
	return false;
}

bool client_ask(int fd, const char *command)
{
	char line[CONTROL_LINE];

	snprintf(line, sizeof(line), "%s\n", command);
	if (!send_line(fd, line) || !read_line(fd, line, sizeof(line)))
		return false;
	if (!strcmp(line, "ok"))
		return true;
	if (!strncmp(line, "error ", 6))
		warn_line("the VM says: %s", line + 6);
	return false;
}

/* All that comes, up to the end. */
static char *read_all(int fd)
{
	char *text = xcalloc(1, REPLY_MAX);
	size_t used = 0;
	ssize_t n;

	while (used < REPLY_MAX - 1) {
		n = recv(fd, text + used, REPLY_MAX - 1 - used, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	return text;
}

static void add_field(struct fields *f, char *line)
{
	char *name = line + 2, *value = strchr(name, ' ');

	if (strlen(line) < 3 || line[1] != ' ' || !value)
		return;
	*value++ = '\0';
	f->field = reallocarray(f->field, f->count + 1, sizeof(*f->field));
	if (!f->field)
		die("out of memory");
	f->field[f->count++] = (struct field){
		.name = xasprintf("%s", name), .value = xasprintf("%s", value),
		.number = *line == 'n',
	};
}

bool client_fields(int fd, const char *command, struct fields *f)
{
	char *text, *line, *rest;

	*f = (struct fields){ 0 };
	if (!client_ask(fd, command))
		return false;
	text = read_all(fd);
	rest = text;
	while ((line = strsep(&rest, "\n")))
		add_field(f, line);
	free(text);
	return f->count;
}

void client_free(struct fields *f)
{
	size_t i;

	for (i = 0; i < f->count; i++) {
		free(f->field[i].name);
		free(f->field[i].value);
	}
	free(f->field);
	*f = (struct fields){ 0 };
}

const char *client_text(const struct fields *f, const char *name)
{
	size_t i;

	for (i = 0; i < f->count; i++)
		if (!strcmp(f->field[i].name, name))
			return f->field[i].value;
	return "";
}

unsigned long long client_number(const struct fields *f, const char *name)
{
	return strtoull(client_text(f, name), NULL, 10);
}

void client_json(const struct fields *f)
{
	size_t i;

	putchar('{');
	for (i = 0; i < f->count; i++) {
		if (i)
			fputs(", ", stdout);
		json_string(f->field[i].name);
		fputs(": ", stdout);
		if (f->field[i].number)
			printf("%llu", strtoull(f->field[i].value, NULL, 10));
		else
			json_string(f->field[i].value);
	}
	putchar('}');
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Does one answer to this name? */
static bool lives(const char *name)
{
	int fd = name_is_valid(name) ? client_try(name) : -EINVAL;

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

char **client_names(void)
{
	char *folder = names_folder(), **names = xcalloc(1, sizeof(*names));
	DIR *dir = folder ? opendir(folder) : NULL;
	struct dirent *entry;
	size_t n = 0;

	while (dir && (entry = readdir(dir))) {
		if (!lives(entry->d_name))
			continue;
		names = reallocarray(names, n + 2, sizeof(*names));
		if (!names)
			die("out of memory");
		names[n++] = xasprintf("%s", entry->d_name);
	}
	names[n] = NULL;
	if (dir)
		closedir(dir);
	free(folder);
	qsort(names, n, sizeof(*names), by_name);
	return names;
}
