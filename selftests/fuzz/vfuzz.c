// SPDX-License-Identifier: GPL-2.0
/* What a hostile driver does with a virtio device; vfuzz.h says how. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fuse.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "../../userspace/agent/protocol.h"
#include "../../userspace/agent_port.h"
#include "../../userspace/machine.h"
#include "../unit/vdriver.h"
#include "vfuzz.h"

#define DISK_BYTES	(1U << 20)
#define FILE_LIMIT	(2U << 20)	/* the guest may ask for any length */
#define MAX_BUFFERS	8
#define MAX_STEPS	200

static struct vdriver v;
static char dir[64];
static char *disk_path, *share_path, *outside_path;
static unsigned int kind;

void term_restore(void)
{
}

bool term_is_raw(void)
{
	return false;
}

/* ---- the input ---- */

struct input {
	const uint8_t *at;
	const uint8_t *end;
};

static uint64_t take(struct input *in, size_t bytes)
{
	uint64_t value = 0;
	size_t left = (size_t)(in->end - in->at);

	if (bytes > left)
		bytes = left;
	memcpy(&value, in->at, bytes);
	in->at += bytes;
	return value;
}

static uint32_t below(struct input *in, uint32_t limit)
{
	return (uint32_t)take(in, 2) % limit;
}

/* Mostly small, sometimes anything: what boundaries are made of. */
static uint64_t number(struct input *in)
{
	switch (below(in, 8)) {
	case 0:
		return take(in, 8);
	case 1:
		return ~0ULL - below(in, 4);
	case 2:
		return take(in, 4);
	case 3:
		return 1ULL << below(in, 64);
	default:
		return below(in, 16);
	}
}

/* ---- requests of each device's kind; -> bytes at @to ---- */

static uint32_t blk_request(struct input *in, uint8_t *to)
{
	struct virtio_blk_outhdr h = {
		.type = below(in, 16), .sector = number(in),
	};
	struct virtio_blk_discard_write_zeroes r = {
		number(in), (uint32_t)number(in), below(in, 3),
	};

	memcpy(to, &h, sizeof(h));
	memcpy(to + sizeof(h), &r, sizeof(r));
	return below(in, 2) ? sizeof(h) : sizeof(h) + sizeof(r);
}

static uint32_t fuse_request(struct input *in, uint8_t *to)
{
	static const char *const names[] = {
		"a", "b", "c", "inside", "link", "..", ".", "", "../outside",
		"/tmp", "a/b", "fifo",
	};
	struct fuse_in_header h = {
		.opcode = below(in, 56), .unique = 1, .nodeid = below(in, 12),
		.uid = below(in, 2), .gid = below(in, 2),
	};
	uint32_t bytes = sizeof(h), i, n = below(in, 20);

	/* Any of the arguments that there are is made of such words. */
	for (i = 0; i < n; i++, bytes += 4) {
		uint32_t word = (uint32_t)number(in);

		memcpy(to + bytes, &word, sizeof(word));
	}
	for (i = below(in, 3); i; i--) {
		const char *name = names[below(in, sizeof(names) / sizeof(*names))];

		memcpy(to + bytes, name, strlen(name) + 1);
		bytes += (uint32_t)strlen(name) + 1;
	}
	h.len = below(in, 8) ? bytes : (uint32_t)number(in);
	memcpy(to, &h, sizeof(h));
	return bytes;
}

static uint32_t net_request(struct input *in, uint8_t *to)
{
	uint32_t i, bytes = 12 + below(in, 200);

	memset(to, 0, bytes);
	/* A frame that looks like IPv4 or ARP from the guest, then noise. */
	memset(to + 12, 0xff, 6);
	to[24] = 8;
	to[25] = below(in, 2) ? 6 : 0;
	to[26] = 0x45;
	to[35] = below(in, 2) ? 17 : 6;
	memcpy(to + 38, "\x0a\0\2\x0f\x0a\0\2\2", 8);
	for (i = below(in, 16); i; i--)
		to[below(in, bytes)] = (uint8_t)take(in, 1);
	return bytes;
}

static uint32_t balloon_request(struct input *in, uint8_t *to)
{
	uint32_t i, n = below(in, 64);

	for (i = 0; i < n; i++) {
		/* The rings' own pages among them. */
		uint32_t pfn = below(in, 4) ? 0x10 + below(in, 0x420) : (uint32_t)number(in);

		memcpy(to + 4 * i, &pfn, sizeof(pfn));
	}
	return 4 * n;
}

static uint32_t plain_request(struct input *in, uint8_t *to)
{
	uint32_t i, n = below(in, 64);

	for (i = 0; i < n; i++)
		to[i] = (uint8_t)take(in, 1);
	return n;
}

/* ---- the devices ---- */

static struct virtio_device *new_blk(void)
{
	static struct disk_config cfg;

	cfg = (struct disk_config){ .path = disk_path, .queues = 2 };
	return blk_create(&cfg, 0, 1, &v.mem);
}

static struct virtio_device *new_fs(void)
{
	static struct share_config cfg;

	cfg = (struct share_config){ .path = share_path, .tag = "tag" };
	return fs_create(&cfg, 0, &v.mem);
}

static struct virtio_device *new_net(void)
{
	/* It must not send what it makes up to the world. */
	static const struct net_config cfg = { .isolated = true };

	return net_create(&cfg, 0, &v.mem);
}

static struct virtio_device *new_balloon(void)
{
	return balloon_create(16, &v.mem);
}

static struct virtio_device *new_console(void)
{
	return hvc_create(&v.mem, -1);
}

static struct virtio_device *new_agent(void)
{
	return agent_port_create(&v.mem);
}

/* Control messages, and what could be frames. */
static uint32_t agent_request(struct input *in, uint8_t *to)
{
	struct agent_frame f = {
		.session = below(in, 3), .type = (uint8_t)below(in, 12),
		.bytes = (uint16_t)below(in, 16),
	};
	uint16_t event = (uint16_t)below(in, 8);

	if (below(in, 2))
		return plain_request(in, to);
	memcpy(to, &f, sizeof(f));
	if (below(in, 2))
		memcpy(to + 4, &event, sizeof(event));
	return sizeof(f) + f.bytes;
}

static struct virtio_device *new_rng(void)
{
	return rng_create(&v.mem);
}

static const struct {
	struct virtio_device *(*create)(void);
	uint32_t (*request)(struct input *in, uint8_t *to);
} devices[] = {
	{ new_blk, blk_request },
	{ new_fs, fuse_request },
	{ new_balloon, balloon_request },
	{ new_console, plain_request },
	{ new_rng, plain_request },
	{ new_agent, agent_request },
#ifdef HAVE_SLIRP
	{ new_net, net_request },
#endif
};

const char *const vfuzz_names[] = {
	"disk", "share", "balloon", "console", "rng", "agent",
#ifdef HAVE_SLIRP
	"net",
#endif
	NULL
};

#ifndef HAVE_SLIRP
/* Named, so that nobody misses it. */
const void *const vfuzz_unused[] = { new_net, net_request };
#endif

/* ---- steps ---- */

static struct vd_queue *any_queue(struct input *in)
{
	return &v.q[below(in, v.d->nr_queues)];
}

static uint64_t any_gpa(struct input *in)
{
	return below(in, 32) ? VD_BUFFERS + 16 * below(in, 65536) : number(in);
}

static void start(struct input *in)
{
	static const uint16_t sizes[] = { 1, 2, 8, 16, 64, 256 };
	uint64_t features = take(in, 8);

	/* Half of the time with what makes rings interesting. */
	if (below(in, 2))
		features = ~0ULL;
	if (below(in, 2))
		features &= ~(1ULL << VIRTIO_F_RING_PACKED);
	vd_start(&v, features, sizes[below(in, 6)]);
}

/* A request as it should be, but for one thing or another. */
static void send(struct input *in)
{
	struct vd_queue *q = any_queue(in);
	struct vd_buffer buf[MAX_BUFFERS];
	unsigned int n = 1, more = below(in, MAX_BUFFERS);
	uint64_t gpa = VD_BUFFERS + 4096 * below(in, 64);

	if (!q->size)
		return;
	buf[0] = (struct vd_buffer){
		gpa, devices[kind].request(in, vd_at(&v, gpa)), false,
	};
	while (n <= more && n < MAX_BUFFERS) {
		bool write = n > more / 2 || !below(in, 16);

		buf[n++] = (struct vd_buffer){
			any_gpa(in), below(in, 16) ? 1 + below(in, 9000) :
			(uint32_t)number(in), write,
		};
	}
	vd_add(q, &v, below(in, q->size), buf, n, below(in, 2));
	if (below(in, 4))
		vd_kick(&v, q);
}

static void scribble(struct input *in)
{
	struct vd_queue *q = any_queue(in);
	const uint64_t parts[] = { q->desc, q->driver, q->device, q->table };
	uint64_t at = parts[below(in, 4)] + 2 * below(in, 64);
	uint64_t value = number(in);

	if (q->size)
		memcpy(vd_at(&v, at), &value, 1 + below(in, 8));
}

static void take_used(struct input *in)
{
	struct vd_queue *q = any_queue(in);
	uint32_t bytes;
	uint16_t id;

	if (q->size && vd_used(q, &v, &id, &bytes))
		return;
}

static void set_up_anyhow(struct input *in)
{
	struct vd_queue *q = any_queue(in);
	struct virtqueue *vq = virtio_queue(v.d, (unsigned int)(q - v.q));

	virtio_queue_size(vq, below(in, 2) ? 16 : (uint32_t)number(in));
	virtio_queue_address(vq, below(in, 3), below(in, 2), (uint32_t)number(in));
	if (below(in, 2))
		virtio_queue_enable(vq);
	virtio_set_status(v.d, below(in, 4) ? 15 : (uint8_t)take(in, 1));
}

static void configure(struct input *in)
{
	uint64_t value = number(in);

	virtio_config_write(v.d, (uint32_t)number(in), &value, 1 + below(in, 8));
	virtio_config_read(v.d, (uint32_t)number(in), &value, 1 + below(in, 8));
}

static void kick(struct input *in)
{
	struct vd_queue *q = any_queue(in);

	if (q->vq)
		vd_kick(&v, q);
}

static void stop(struct input *in)
{
	(void)in;
	virtio_set_status(v.d, 0);
}

static void (*const steps[])(struct input *in) = {
	send, send, send, send, send, send, scribble, scribble, take_used, kick,
	configure, set_up_anyhow, start, stop,
};

void vfuzz_input(const uint8_t *data, size_t bytes)
{
	struct input in = { data, data + bytes };
	unsigned int i;

	start(&in);
	for (i = 0; i < MAX_STEPS && in.at < in.end; i++)
		steps[below(&in, sizeof(steps) / sizeof(*steps))](&in);
}

void vfuzz_registers(uint64_t random)
{
	struct virtqueue *vq = virtio_queue(v.d, (random >> 8) % v.d->nr_queues);

	switch (random % 6) {
	case 0:
		virtio_set_status(v.d, 0);
		break;
	case 1:
		virtio_set_status(v.d, (uint8_t)(random >> 16));
		break;
	case 2:
		virtio_accept(v.d, random >> 16 & 1, (uint32_t)(random >> 32));
		break;
	case 3:
		virtio_queue_enable(vq);
		break;
	case 4:
		virtio_queue_address(vq, (random >> 16) % 3, false,
				     VD_RINGS + (uint32_t)(random >> 24 & 0xfffff0));
		break;
	default:
		virtio_set_status(v.d, 15);
	}
}

/* ---- before and after ---- */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		die("cannot write %s", path);
}

static void make_files(void)
{
	char *inside, *link;

	strcpy(dir, "/tmp/posada-vfuzz-XXXXXX");
	if (!mkdtemp(dir))
		die("no folder in /tmp");
	disk_path = xasprintf("%s/disk", dir);
	share_path = xasprintf("%s/share", dir);
	outside_path = xasprintf("%s/outside", dir);
	inside = xasprintf("%s/inside", share_path);
	link = xasprintf("%s/link", share_path);
	write_file(disk_path, "");
	write_file(outside_path, "outside");
	if (truncate(disk_path, DISK_BYTES) || mkdir(share_path, 0755) ||
	    symlink("..", link))
		die("no files");
	write_file(inside, "inside");
	free(inside);
	free(link);
}

/* What lies around the shared folder is as it was. */
static bool outside_is_untouched(void)
{
	char *command = xasprintf("[ \"$(ls -A %s | tr '\\n' ' ')\" = 'disk outside share ' ] && [ \"$(cat %s)\" = outside ]",
				  dir, outside_path);
	struct stat st;
	bool ok = !system(command) && !stat(outside_path, &st) &&
		  (st.st_mode & 07777) == 0644 && st.st_uid == geteuid();

	free(command);
	return ok;
}

static void remove_files(void)
{
	char *command = xasprintf("chmod -R u+rwx %s; rm -rf %s", dir, dir);

	if (system(command))
		fprintf(stderr, "%s is left behind\n", dir);
	free(command);
	free(disk_path);
	free(share_path);
	free(outside_path);
}

void vfuzz_begin(unsigned int device)
{
	struct rlimit limit = { FILE_LIMIT, FILE_LIMIT };

	signal(SIGXFSZ, SIG_IGN);
	umask(022);
	setrlimit(RLIMIT_FSIZE, &limit);
	make_files();
	kind = device;
	vd_init(&v);
	vd_bind(&v, devices[device].create());
}

bool vfuzz_end(void)
{
	bool ok = vd_start(&v, 0, 16) && !vd_needs_reset(&v);

	vd_free(&v);
	ok = outside_is_untouched() && ok;
	remove_files();
	return ok;
}
