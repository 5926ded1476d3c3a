// SPDX-License-Identifier: GPL-2.0
/*
 * posada run ROOTFS. The folder is a read-only share; over it the agent, which
 * is the guest's init, lays what the guest writes, in the guest's memory.
 *
 * The kernel is the newest of ROOTFS/boot, else of the host's /boot, or what
 * --kernel names; its modules are in ROOTFS/lib/modules, else in the host's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent_client.h"
#include "agent_port.h"
#include "cpio.h"
#include "image.h"
#include "root.h"
#include "term.h"

#define TAG		"posada-root"
#define CMDLINE		"console=ttyS0 quiet loglevel=1 panic=-1"
#define GUEST_ADDRESS	"10.0.2.15"
#define LAST_BYTES	4096
#define END_MS		10000	/* for the guest to power off */

/* The agent, as the archive's /init: see the Makefile. */
extern const uint8_t agent_image[], agent_image_end[];

/* ---- the kernel ---- */

static int is_kernel(const struct dirent *d)
{
	return !strncmp(d->d_name, "vmlinuz-", 8);
}

/* The newest in /boot of the root, to be freed; NULL: there is none. */
static char *newest(int root_fd, const char *root)
{
	int fd = open_in_root(root_fd, "boot", O_RDONLY | O_DIRECTORY);
	struct dirent **entry;
	char *path = NULL;
	int i, n;

	if (fd < 0)
		return NULL;
	n = scandirat(fd, ".", &entry, is_kernel, versionsort);
	close(fd);
	if (n > 0)
		path = xasprintf("%s/boot/%s", root, entry[n - 1]->d_name);
	for (i = 0; i < n; i++)
		free(entry[i]);
	if (n >= 0)
		free(entry);
	return path;
}

static const char *find_kernel(int root_fd, const char *root)
{
	char *path = newest(root_fd, root);
	int host;

	if (path)
		return path;
	host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	path = newest(host, "");
	close(host);
	if (!path)
		die("there is no kernel in %s/boot or /boot: give one by --kernel FILE",
		    root);
	return path;
}

/* What `uname -r` would say, to be freed. */
static char *release_of(const struct image *img)
{
	static const char mark[] = "Linux version ";
	const uint8_t *header = image_at(img, 0x202, 14);
	const char *text = NULL;
	uint16_t at;
	size_t n, most;

	/* A bzImage tells where its version stands; an ELF image has a banner. */
	if (header && linux_probe(img)) {
		memcpy(&at, header + 12, sizeof(at));
		text = image_at(img, 0x200 + (uint64_t)at, 1);
	} else {
		text = memmem(img->data, img->bytes, mark, sizeof(mark) - 1);
		text = text ? text + sizeof(mark) - 1 : NULL;
	}
	if (!text)
		return NULL;
	most = img->bytes - (size_t)((const uint8_t *)text - img->data);
	if (most > 64)
		most = 64;
	for (n = 0; n < most && text[n] > ' ' && text[n] != '/'; n++)
		;
	return n ? xasprintf("%.*s", (int)n, text) : NULL;
}

/* ---- its modules ---- */

static bool has_modules(int root_fd, const char *folder)
{
	char *path = xasprintf("%s/modules.dep", folder);
	int fd = open_in_root(root_fd, path, O_PATH);

	free(path);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void add_modules(struct cpio *c, const struct config *cfg, int root_fd,
			const char *release, const char *const *names)
{
	char *folder = xasprintf("lib/modules/%s", release);
	int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), given;

	if (cfg->root.modules) {
		given = open(cfg->root.modules, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (given < 0)
			die("--modules %s: %s", cfg->root.modules,
			    strerror(errno));
		modules_add(c, given, ".", names);
		close(given);
	} else if (has_modules(root_fd, folder)) {
		modules_add(c, root_fd, folder, names);
	} else if (has_modules(host, folder)) {
		modules_add(c, host, folder, names);
	} else {
		die("the modules of the kernel %s are neither in %s/%s nor in /%s: give their folder by --modules DIR",
		    cfg->kernel, cfg->root.path, folder, folder);
	}
	close(host);
	free(folder);
}

static void name_modules(const struct device_config *dev, const char **names)
{
	*names++ = dev->transport == VIRTIO_PCI ? "virtio_pci" : "virtio_mmio";
	*names++ = "virtio_console";
	*names++ = "virtiofs";
	*names++ = "overlay";
	if (dev->nr_nets)
		*names++ = "virtio_net";
	if (dev->nr_disks)
		*names++ = "virtio_blk";
	if (dev->vsock_cid)
		*names++ = "vmw_vsock_virtio_transport";
	if (dev->balloon)
		*names++ = "virtio_balloon";
	if (dev->rng)
		*names++ = "virtio_rng";
	*names = NULL;
}

/* ---- the archive ---- */

/* A host name has fewer characters than a VM's name. */
static char *settings(const struct config *cfg)
{
	const char *host = cfg->root.hostname ? cfg->root.hostname :
			   cfg->name ? cfg->name : "posada";
	bool user_net = cfg->dev.nr_nets && !cfg->dev.net[0].tap;

	return xasprintf("hostname %s\n%s", host, user_net ?
			 "address " GUEST_ADDRESS "\n" : "");
}

static void build_archive(struct config *cfg, int root_fd, const char *release)
{
	const char *names[12];
	char *text = settings(cfg);
	struct cpio c;

	name_modules(&cfg->dev, names);
	cpio_begin(&c);
	cpio_add(&c, "dev", CPIO_FOLDER, "", 0);
	cpio_device(&c, "dev/console", 5, 1);
	cpio_add(&c, "init", CPIO_PROGRAM, agent_image,
		 (size_t)(agent_image_end - agent_image));
	cpio_add(&c, "posada.conf", CPIO_FILE, text, strlen(text));
	add_modules(&c, cfg, root_fd, release, names);
	cfg->root.archive = cpio_end(&c, &cfg->root.archive_bytes);
	free(text);
}

static void add_share(struct config *cfg)
{
	struct device_config *dev = &cfg->dev;

	if (dev->nr_shares == MAX_SHARES)
		die("a ROOTFS is one of the %d shares that there can be",
		    MAX_SHARES);
	dev->share[dev->nr_shares++] = (struct share_config){
		.path = cfg->root.path, .tag = TAG, .readonly = true,
	};
	dev->agent = true;
}

void root_prepare(struct config *cfg)
{
	int fd = open(cfg->root.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct image kernel;
	char *release;

	if (fd < 0)
		die("cannot open the root %s: %s", cfg->root.path,
		    strerror(errno));
	if (!cfg->kernel)
		cfg->kernel = find_kernel(fd, cfg->root.path);
	image_read(&kernel, cfg->kernel, "kernel");
	release = release_of(&kernel);
	if (!release)
		die("%s does not tell its version: is it a Linux kernel?",
		    cfg->kernel);
	image_free(&kernel);
	build_archive(cfg, fd, release);
	add_share(cfg);
	agent_check(&cfg->root.command);
	cfg->append = xasprintf("%s%s%s", CMDLINE, cfg->append ? " " : "",
				cfg->append ? cfg->append : "");
	free(release);
	close(fd);
}

/* ---- the session ---- */

static struct {
	char last[LAST_BYTES];		/* of the serial line; vCPUs write it, */
	size_t written;			/* and nobody reads it until they end */
	enum agent_end end;
	int status;
} session;

void root_console_put(void *machine, uint8_t byte)
{
	struct machine *m = machine;

	session.last[session.written++ % LAST_BYTES] = (char)byte;
	console_put(m->console, byte);
}

/* The status is out before the guest has powered off: its disks are in use. */
static void wait_for_end(struct machine *m)
{
	struct pollfd p = { .fd = m->stop_fd, .events = POLLIN };

	if (poll(&p, 1, END_MS))
		return;
	warn_line("the guest did not power off in the %d seconds after its command's end",
		  END_MS / 1000);
	machine_stop(m, 0, NULL);
}

void root_attend(struct machine *m)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		die("cannot create a socket: %s", strerror(errno));
	agent_port_join(m->agent, ends[1]);
	session.end = agent_run(ends[0], &m->cfg->root.command, m->stop_fd,
				m->term_fd, &session.status);
	/* With the status in hand: it makes the agent power off. */
	close(ends[0]);
	if (session.end == AGENT_ENDED)
		wait_for_end(m);
	else if (session.end == AGENT_SIGNALLED)
		machine_stop(m, session.status, NULL);
	else
		machine_stop(m, STATUS_FAILED, NULL);
}

static void print_last(void)
{
	size_t n = session.written < LAST_BYTES ? session.written : LAST_BYTES;
	size_t i;

	for (i = session.written - n; i < session.written; i++)
		fputc(session.last[i % LAST_BYTES], stderr);
	if (n && session.last[(session.written - 1) % LAST_BYTES] != '\n')
		fputc('\n', stderr);
}

int root_status(struct machine *m)
{
	if (session.end == AGENT_ENDED)
		return m->status ? m->status : session.status;
	if (session.end == AGENT_SIGNALLED ||
	    (session.end == AGENT_STOPPED && m->status))
		return m->status;
	print_last();
	warn_line("the guest ended before its command did");
	return STATUS_FAILED;
}
