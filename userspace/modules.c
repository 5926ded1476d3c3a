// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel modules for an archive: modules.dep(5) says what each needs, and
 * modules.builtin which the kernel has in itself. Compressed ones are unpacked
 * here: not every kernel can.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/openat2.h>

#include "cpio.h"
#include "machine.h"
#include "root.h"

#define MAX_LOADED	256

struct modules {
	struct cpio *c;
	int root_fd;
	const char *folder;
	char *dep;			/* modules.dep, its lines */
	char *builtin;
	const char *loaded[MAX_LOADED];	/* paths */
	unsigned int nr_loaded;
};

int open_in_root(int root_fd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

static char *read_fd(int fd, size_t *bytes)
{
	char *data = NULL, chunk[65536];
	FILE *f = open_memstream(&data, bytes);
	ssize_t n;

	if (!f)
		die("out of memory");
	while ((n = read(fd, chunk, sizeof(chunk))) > 0 ||
	       (n < 0 && errno == EINTR))
		if (n > 0)
			fwrite(chunk, 1, (size_t)n, f);
	if (fclose(f))
		die("out of memory");
	if (!n)
		return data;
	free(data);
	return NULL;
}

char *read_in_root(int root_fd, const char *path, size_t *bytes)
{
	int fd = open_in_root(root_fd, path, O_RDONLY | O_NONBLOCK);
	struct stat st;
	char *data = NULL;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	errno = EINVAL;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		data = read_fd(fd, bytes);
	close(fd);
	return data;
}

/* ---- unpacking ---- */

static const char *unpacker(const char *path)
{
	const char *dot = strrchr(path, '.');

	if (!strcmp(dot, ".xz"))
		return "xz";
	if (!strcmp(dot, ".zst"))
		return "zstd";
	return strcmp(dot, ".gz") ? NULL : "gzip";
}

/* Run `PROGRAM -dc` from @fd. */
static char *unpack(const char *program, int fd, const char *path,
		    size_t *bytes)
{
	char *argv[3] = { (char *)program, (char *)"-dc" };
	posix_spawn_file_actions_t actions;
	int ends[2], status = -1, error;
	char *data;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		die("cannot create a pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	error = posix_spawnp(&pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (error)
		die("%s is needed to unpack %s: %s", program, path,
		    strerror(error));
	data = read_fd(ends[0], bytes);
	close(ends[0]);
	waitpid(pid, &status, 0);
	if (status || !data)
		die("%s could not unpack %s", program, path);
	return data;
}

static char *module_image(const struct modules *m, const char *path,
			  size_t *bytes)
{
	char *full = xasprintf("%s/%s", m->folder, path), *data;
	const char *program = unpacker(path);
	int fd;

	if (program) {
		fd = open_in_root(m->root_fd, full, O_RDONLY | O_NONBLOCK);
		errno = fd < 0 ? -fd : 0;
		data = fd < 0 ? NULL : unpack(program, fd, full, bytes);
		if (fd >= 0)
			close(fd);
	} else {
		data = read_in_root(m->root_fd, full, bytes);
	}
	if (!data)
		die("cannot read the module %s: %s", full, strerror(errno));
	free(full);
	return data;
}

/* ---- dependencies ---- */

/* Is @path (of @bytes) that of the module @name? A dash is as good as an
 * underscore.
 */
static bool is_module(const char *path, size_t bytes, const char *name)
{
	const char *base = memrchr(path, '/', bytes), *end = path + bytes;

	for (base = base ? base + 1 : path; *name && base < end; name++, base++)
		if (*base != *name && !(*base == '-' && *name == '_'))
			return false;
	return !*name && end - base >= 3 && !strncmp(base, ".ko", 3);
}

static void add_one(struct modules *m, const char *path)
{
	char name[32], *data;
	unsigned int i;
	size_t bytes;

	for (i = 0; i < m->nr_loaded; i++)
		if (!strcmp(m->loaded[i], path))
			return;
	if (m->nr_loaded == MAX_LOADED)
		die("more than %d kernel modules", MAX_LOADED);
	data = module_image(m, path, &bytes);
	snprintf(name, sizeof(name), "modules/%03u.ko", m->nr_loaded);
	cpio_add(m->c, name, CPIO_FILE, data, bytes);
	m->loaded[m->nr_loaded++] = xasprintf("%s", path);
	free(data);
}

/* "PATH: NEEDED...", where all that is needed stands, the deepest last. */
static void add_line(struct modules *m, const char *line, size_t bytes)
{
	char *text = strndup(line, bytes), *word, *needs;

	if (!text)
		die("out of memory");
	needs = strchr(text, ':');
	if (needs)
		*needs++ = '\0';
	while (needs && (word = strrchr(needs, ' '))) {
		*word++ = '\0';
		if (*word)
			add_one(m, word);
	}
	if (needs && *needs)
		add_one(m, needs);
	add_one(m, text);
	free(text);
}

static bool is_builtin(const struct modules *m, const char *name)
{
	const char *line = m->builtin, *end;

	for (; line && *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (is_module(line, (size_t)(end - line), name))
			return true;
	}
	return false;
}

static void add_named(struct modules *m, const char *name)
{
	const char *line, *end, *colon;

	for (line = m->dep; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		colon = memchr(line, ':', (size_t)(end - line));
		if (colon && is_module(line, (size_t)(colon - line), name)) {
			add_line(m, line, (size_t)(end - line));
			return;
		}
	}
	if (!is_builtin(m, name))
		die("the kernel's modules in %s lack %s, without which it has no way to the root",
		    m->folder, name);
}

void modules_add(struct cpio *c, int root_fd, const char *folder,
		 const char *const *names)
{
	struct modules m = { .c = c, .root_fd = root_fd, .folder = folder };
	char *path = xasprintf("%s/modules.dep", folder);
	unsigned int i;
	size_t bytes;

	m.dep = read_in_root(root_fd, path, &bytes);
	if (!m.dep)
		die("cannot read %s (has depmod been run?): %s", path,
		    strerror(errno));
	free(path);
	path = xasprintf("%s/modules.builtin", folder);
	m.builtin = read_in_root(root_fd, path, &bytes);
	free(path);
	cpio_add(c, "modules", CPIO_FOLDER, "", 0);
	for (; *names; names++)
		add_named(&m, *names);
	for (i = 0; i < m.nr_loaded; i++)
		free((void *)m.loaded[i]);
	free(m.dep);
	free(m.builtin);
}
