// SPDX-License-Identifier: GPL-2.0
/*
 * Process 1 of `posada run ROOTFS`. The archive that this program comes in has
 * /modules, in the order of insertion, and /posada.conf, lines "NAME VALUE":
 *
 *	hostname	the name of the machine
 *	address		of eth0, in 10.0.2.0/24; without it there is no network
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent.h"

#define NETMASK		"255.255.255.0"
#define GATEWAY		"10.0.2.2"
#define RESOLVER	"nameserver 10.0.2.3\n"

static void fail(const char *what, const char *name)
{
	fprintf(stderr, "posada-agent: %s %s: %s\n", what, name,
		strerror(errno));
	reboot(RB_POWER_OFF);
	exit(1);
}

/* ---- modules ---- */

static int no_dots(const struct dirent *d)
{
	return *d->d_name != '.';
}

static void load_modules(void)
{
	struct dirent **entry;
	int i, n = scandir("/modules", &entry, no_dots, alphasort);
	char path[300];

	for (i = 0; i < n; i++) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", entry[i]->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) &&
			       errno != EEXIST))
			fail("cannot insert", path);
		close(fd);
		unlink(path);
	}
}

/* ---- file systems ---- */

static void mount_at(const char *type, const char *source, const char *target,
		     unsigned long flags, const char *options)
{
	mkdir(target, 0755);
	if (mount(source, target, type, flags, options))
		fail("cannot mount", target);
}

/* What a program expects, and a kernel may lack. */
static void try_mount(const char *type, const char *target,
		      unsigned long flags, const char *options)
{
	mkdir(target, 0755);
	if (mount(type, target, type, flags, options))
		return;
}

static void make_root(void)
{
	static const char *const kept[] = { "/proc", "/sys", "/dev" };
	char target[16];
	size_t i;

	mount_at("virtiofs", "posada-root", "/lower", MS_RDONLY, NULL);
	mount_at("tmpfs", "overlay", "/upper", 0, "mode=755");
	mkdir("/upper/data", 0755);
	mkdir("/upper/work", 0755);
	mount_at("overlay", "root", "/newroot", 0,
		 "lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work");
	for (i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		snprintf(target, sizeof(target), "/newroot%s", kept[i]);
		mkdir(target, 0755);
		if (mount(kept[i], target, NULL, MS_MOVE, NULL))
			fail("cannot move", kept[i]);
	}
	if (chdir("/newroot") || mount(".", "/", NULL, MS_MOVE, NULL) ||
	    chroot(".") || chdir("/"))
		fail("cannot enter", "/newroot");
}

static void fill_root(void)
{
	mkdir("/dev/pts", 0755);
	mkdir("/dev/shm", 0755);
	try_mount("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC,
		  "mode=620,ptmxmode=666,gid=5");
	try_mount("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
	try_mount("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755");
	try_mount("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NOEXEC, NULL);
	mkdir("/tmp", 01777);
	chmod("/tmp", 01777);
	/* These are there for every shell's redirections. */
	if (symlink("/proc/self/fd", "/dev/fd") ||
	    symlink("/proc/self/fd/0", "/dev/stdin") ||
	    symlink("/proc/self/fd/1", "/dev/stdout") ||
	    symlink("/proc/self/fd/2", "/dev/stderr"))
		return;
}

/* ---- name, network ---- */

static void set_up(int fd, const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_UP | IFF_RUNNING };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	ioctl(fd, SIOCSIFFLAGS, &r);
}

static int set_address(int fd, unsigned long what, const char *text)
{
	struct ifreq r = { .ifr_name = "eth0" };
	struct sockaddr_in *sin = (struct sockaddr_in *)&r.ifr_addr;

	sin->sin_family = AF_INET;
	inet_pton(AF_INET, text, &sin->sin_addr);
	return ioctl(fd, what, &r);
}

static int set_gateway(int fd)
{
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
	struct sockaddr_in *sin = (struct sockaddr_in *)&route.rt_gateway;

	sin->sin_family = AF_INET;
	inet_pton(AF_INET, GATEWAY, &sin->sin_addr);
	route.rt_dst.sa_family = route.rt_genmask.sa_family = AF_INET;
	return ioctl(fd, SIOCADDRT, &route);
}

/* Replaced, where it is a link to what a resolver would make. */
static void write_resolver(void)
{
	FILE *f;

	unlink("/etc/resolv.conf");
	f = fopen("/etc/resolv.conf", "we");
	if (!f)
		return;
	fputs(RESOLVER, f);
	fclose(f);
}

static void set_network(const char *address)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	set_up(fd, "lo");
	if (*address) {
		if (set_address(fd, SIOCSIFADDR, address) ||
		    set_address(fd, SIOCSIFNETMASK, NETMASK))
			fail("cannot set up", "eth0");
		set_up(fd, "eth0");
		if (set_gateway(fd))
			fail("cannot set up", "the route");
		write_resolver();
	}
	close(fd);
}

/* ---- both ends of a life ---- */

struct settings {
	char hostname[65];
	char address[16];
};

static void read_settings(struct settings *s)
{
	FILE *f = fopen("/posada.conf", "re");
	char line[128];

	*s = (struct settings){ 0 };
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "hostname ", 9))
			snprintf(s->hostname, sizeof(s->hostname), "%.64s",
				 line + 9);
		else if (!strncmp(line, "address ", 8))
			snprintf(s->address, sizeof(s->address), "%.15s",
				 line + 8);
	}
	if (f)
		fclose(f);
}

void init_start(void)
{
	struct settings s;

	umask(0);
	mount_at("proc", "proc", "/proc", MS_NOSUID | MS_NOEXEC, NULL);
	mount_at("sysfs", "sys", "/sys", MS_NOSUID | MS_NOEXEC, NULL);
	mount_at("devtmpfs", "dev", "/dev", MS_NOSUID, NULL);
	read_settings(&s);
	load_modules();
	make_root();
	fill_root();
	if (sethostname(s.hostname, strlen(s.hostname)))
		fail("cannot set the name", s.hostname);
	set_network(s.address);
	umask(022);
}

void init_end(void)
{
	kill(-1, SIGKILL);
	sync();
	reboot(RB_POWER_OFF);
	exit(1);
}
