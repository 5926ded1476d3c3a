// SPDX-License-Identifier: GPL-2.0
/* A control group of the machine's own: see cgroup.h. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "cgroup.h"
#include "machine.h"
#include "names.h"
#include "options.h"

#define MOUNT		"/sys/fs/cgroup"
#define CPU_PERIOD_US	100000ULL
#define MAX_CPUS	4096

/* ---- options ---- */

static uint64_t parse_size(const char *key, const char *text)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	char *end;
	uint64_t n = strtoull(text, &end, 10);
	unsigned int shift = 0;

	suffix = *end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
	if (suffix) {
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
		end++;
	}
	if (!isdigit((unsigned char)*text) || *end || !n ||
	    n > UINT64_MAX >> 1 >> shift)
		usage_error("run", "--limit %s=%s: bytes, or with suffix K, M, G, T",
			    key, text);
	return n << shift;
}

static uint64_t parse_cpus(const char *text)
{
	char *end;
	double n = strtod(text, &end);

	if (!isdigit((unsigned char)*text) || *end || !(n >= 0.01) ||
	    n > MAX_CPUS)
		usage_error("run", "--limit cpus=%s: a number such as 0.5 or 2",
			    text);
	return (uint64_t)(n * CPU_PERIOD_US);
}

void option_limit(struct limits *l, char *text)
{
	char *word, *value;

	l->any = true;
	while ((word = strsep(&text, ","))) {
		value = strchr(word, '=');
		if (value)
			*value++ = '\0';
		if (value && !strcmp(word, "cpus"))
			l->cpu_us = parse_cpus(value);
		else if (value && !strcmp(word, "memory"))
			l->memory = parse_size(word, value);
		else if (value && !strcmp(word, "io"))
			l->io = parse_size(word, value);
		else
			usage_error("run", "--limit: '%s' is not one of cpus=N, memory=SIZE, io=SIZE",
				    word);
	}
}

/* ---- the group ---- */

static struct {
	char *folder;		/* all groups' */
	char *path;		/* ours; NULL: there is none */
	int origin_fd;		/* where we came from: its cgroup.procs */
	int stat_fd[3];
} group = { .origin_fd = -1, .stat_fd = { -1, -1, -1 } };

static const char *const stat_files[] = {
	"cpu.stat", "memory.current", "io.stat",
};

static int open_in(const char *folder, const char *name, int flags)
{
	char *path = xasprintf("%s/%s", folder, name);
	int fd = open(path, flags | O_CLOEXEC);
	int error = errno;

	free(path);
	errno = error;
	return fd;
}

/* -> 0 or -errno */
static int set(const char *folder, const char *name, const char *text)
{
	int fd = open_in(folder, name, O_WRONLY), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* Ours only when it is empty: the kernel refuses to remove any other. */
static void leave(void)
{
	char pid[16];

	if (!group.path)
		return;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	if (group.origin_fd >= 0 &&
	    write(group.origin_fd, pid, strlen(pid)) < 0)
		warn_line("--limit: %s stays: %s", group.path, strerror(errno));
	unlinkat(AT_FDCWD, group.path, AT_REMOVEDIR);
	free(group.path);
	group.path = NULL;
}

/* What killed programs have left. */
static void sweep(void)
{
	DIR *dir = opendir(group.folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_type == DT_DIR && *entry->d_name != '.')
			unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	if (dir)
		closedir(dir);
}

static bool is_cgroup(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static void make_folder(void)
{
	bool made;

	if (!is_cgroup(MOUNT))
		die("--limit: this host has no cgroup v2 at %s", MOUNT);
	made = !mkdir(group.folder, 0755);
	if (made || errno == EEXIST) {
		if (is_cgroup(group.folder))
			return;
		if (made)
			rmdir(group.folder);
		die("--limit: %s is no folder of cgroup v2's", group.folder);
	}
	if (errno == EACCES || errno == EPERM)
		die("--limit: no permission to make %s: be root, or name a folder of yours by --cgroup DIR",
		    group.folder);
	die("--limit: cannot make %s: %s", group.folder, strerror(errno));
}

/* For what is in the folder; its own parent may have to allow it first. */
static void want(const char *controller)
{
	char *text = xasprintf("+%s", controller);
	char *parent = xasprintf("%s/..", group.folder);
	int ret = set(group.folder, "cgroup.subtree_control", text);

	if (ret) {
		set(parent, "cgroup.subtree_control", text);
		ret = set(group.folder, "cgroup.subtree_control", text);
	}
	if (ret)
		die("--limit: %s has no control of %s: %s", group.folder,
		    controller, strerror(-ret));
	free(parent);
	free(text);
}

static void limit(const char *file, char *text, const char *what)
{
	int ret = set(group.path, file, text);

	free(text);
	if (ret)
		die("--limit: the kernel refuses to limit %s: %s", what,
		    strerror(-ret));
}

/* The whole disk that a file, or a partition, is on. */
static dev_t disk_of(const char *path)
{
	char name[64], text[32] = "";
	unsigned int major, minor;
	struct stat st;
	dev_t dev;
	int fd;

	if (stat(path, &st))
		die("--limit: %s: %s", path, strerror(errno));
	dev = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	snprintf(name, sizeof(name), "/sys/dev/block/%u:%u", major(dev),
		 minor(dev));
	fd = open_in(name, "partition", O_RDONLY);
	if (fd < 0)
		return dev;
	close(fd);
	fd = open_in(name, "../dev", O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0 ||
	    sscanf(text, "%u:%u", &major, &minor) != 2)
		die("--limit: cannot find the disk of %s", path);
	close(fd);
	return makedev(major, minor);
}

static void limit_io(const struct config *cfg)
{
	uint64_t io = cfg->limits.io;
	unsigned int i;
	dev_t dev;

	for (i = 0; i < cfg->dev.nr_disks; i++) {
		dev = disk_of(cfg->dev.disk[i].path);
		limit("io.max", xasprintf("%u:%u rbps=%llu wbps=%llu",
					  major(dev), minor(dev),
					  (unsigned long long)io,
					  (unsigned long long)io),
		      cfg->dev.disk[i].path);
	}
}

static void set_limits(const struct config *cfg)
{
	const struct limits *l = &cfg->limits;

	if (l->cpu_us)
		limit("cpu.max", xasprintf("%llu %llu",
					   (unsigned long long)l->cpu_us,
					   CPU_PERIOD_US), "the CPU");
	if (l->memory)
		limit("memory.max", xasprintf("%llu",
					      (unsigned long long)l->memory),
		      "memory");
	if (l->io)
		limit_io(cfg);
}

/* Where this process is now; it goes back there at its end. */
static void remember_origin(void)
{
	char line[4096], *path;
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3))
			continue;
		path = xasprintf("%s%s", MOUNT, line + 3);
		group.origin_fd = open_in(path, "cgroup.procs", O_WRONLY);
		free(path);
	}
	if (f)
		fclose(f);
}

void cgroup_enter(const struct config *cfg)
{
	const struct limits *l = &cfg->limits;
	unsigned int i;
	char *path;
	int ret, lock;

	if (!l->any)
		return;
	group.folder = xasprintf("%s", l->folder ? l->folder : CGROUP_FOLDER);
	make_folder();
	/* Till this process is in it, ours looks like one of the dead. */
	lock = lock_folder(group.folder);
	if (lock < 0)
		die("--limit: cannot lock %s: %s", group.folder,
		    strerror(-lock));
	sweep();
	want("cpu");
	want("memory");
	if (l->io)
		want("io");
	if (cfg->name)
		path = xasprintf("%s/%s", group.folder, cfg->name);
	else
		path = xasprintf("%s/vm%d", group.folder, (int)getpid());
	if (mkdir(path, 0755))
		die("--limit: cannot make %s: %s", path, strerror(errno));
	group.path = path;
	atexit(leave);
	remember_origin();
	set_limits(cfg);
	for (i = 0; i < 3; i++)
		group.stat_fd[i] = open_in(path, stat_files[i], O_RDONLY);
	ret = set(path, "cgroup.procs", "0");
	if (ret)
		die("--limit: cannot move this process to %s: %s", path,
		    strerror(-ret));
	close(lock);
}

const char *cgroup_folder(void)
{
	return group.path ? group.folder : NULL;
}

/* ---- what was used ---- */

static bool read_stat(unsigned int i, char *text, size_t bytes)
{
	ssize_t n = group.stat_fd[i] < 0 ? -1 :
		    pread(group.stat_fd[i], text, bytes - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static void put(FILE *f, const char *name, unsigned long long n)
{
	fprintf(f, "n limit_%s %llu\n", name, n);
}

/* The sum of what follows "KEY" and a space or "=" everywhere in the text. */
static unsigned long long sum(const char *text, const char *key)
{
	unsigned long long n = 0;
	size_t bytes = strlen(key);

	while ((text = strstr(text, key))) {
		text += bytes;
		if (*text == ' ' || *text == '=')
			n += strtoull(text + 1, NULL, 10);
	}
	return n;
}

void cgroup_stats(FILE *f)
{
	char text[4096];

	if (!group.path)
		return;
	if (read_stat(0, text, sizeof(text))) {
		put(f, "cpu_us", sum(text, "usage_usec"));
		put(f, "cpu_held_us", sum(text, "throttled_usec"));
	}
	if (read_stat(1, text, sizeof(text)))
		put(f, "memory", strtoull(text, NULL, 10));
	if (read_stat(2, text, sizeof(text))) {
		put(f, "read_bytes", sum(text, "rbytes"));
		put(f, "written_bytes", sum(text, "wbytes"));
	}
}
