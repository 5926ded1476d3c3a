// SPDX-License-Identifier: GPL-2.0
/*
 * The virtio devices, one by one, with a driver model in place of a guest:
 * what they do with good requests, and with bad ones. KTAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fuse.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>

#include "../../userspace/loop.h"
#include "../../userspace/machine.h"
#include "vdriver.h"

#define PACKED		(1ULL << VIRTIO_F_RING_PACKED)
#define HEADER		VD_BUFFERS		/* where requests are put */
#define DATA		(VD_BUFFERS + 0x1000)
#define STATUS		(VD_BUFFERS + 0x80000)
#define REPLY		(VD_BUFFERS + 0x90000)

static struct vdriver v;
static char dir[64];
static char *disk_path, *share_path;

void term_restore(void)
{
}

bool term_is_raw(void)
{
	return false;
}

/* A chain through queue @q, and wait for it; -> bytes written, -1: none. */
static int64_t request(unsigned int q, const struct vd_buffer *buf, unsigned int n)
{
	uint32_t bytes;
	uint16_t id;

	vd_add(&v.q[q], &v, 1, buf, n, false);
	vd_kick(&v, &v.q[q]);
	return vd_wait(&v.q[q], &v, &id, &bytes) && id == 1 ? (int64_t)bytes : -1;
}

/* ---- disk ---- */

#define DISK_BYTES	(1U << 20)

static bool disk_up(bool readonly, uint64_t features)
{
	struct disk_config cfg = { .path = disk_path, .readonly = readonly,
				   .serial = "a serial", .queues = 2 };

	vd_bind(&v, blk_create(&cfg, 0, 1, &v.mem));
	return vd_start(&v, features, 16);
}

/* -> the status byte. */
static int blk(uint32_t type, uint64_t sector, uint32_t bytes, bool in)
{
	struct virtio_blk_outhdr h = { .type = type, .sector = sector };
	struct vd_buffer buf[3] = { { HEADER, sizeof(h), false },
		{ DATA, bytes, in }, { STATUS, 1, true } };
	uint8_t *status = vd_at(&v, STATUS);

	memcpy(vd_at(&v, HEADER), &h, sizeof(h));
	*status = 0xee;
	if (!bytes)
		buf[1] = buf[2];
	return request(1, buf, bytes ? 3 : 2) < 0 ? -1 : *status;
}

static int range(uint32_t type, uint64_t sector, uint32_t sectors, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes r = { sector, sectors, flags };

	memcpy(vd_at(&v, DATA), &r, sizeof(r));
	return blk(type, 0, sizeof(r), false);
}

static bool disk_with(uint64_t features)
{
	uint8_t *data = vd_at(&v, DATA);
	unsigned int i;

	CHECK(disk_up(false, features));
	for (i = 0; i < 4096; i++)
		data[i] = (uint8_t)(i * 7);
	CHECK(blk(VIRTIO_BLK_T_OUT, 8, 4096, false) == VIRTIO_BLK_S_OK);
	CHECK(blk(VIRTIO_BLK_T_FLUSH, 0, 0, false) == VIRTIO_BLK_S_OK);
	memset(data, 0, 4096);
	CHECK(blk(VIRTIO_BLK_T_IN, 8, 4096, true) == VIRTIO_BLK_S_OK);
	for (i = 0; i < 4096; i++)
		CHECK(data[i] == (uint8_t)(i * 7));
	CHECK(range(VIRTIO_BLK_T_WRITE_ZEROES, 8, 1, 0) == VIRTIO_BLK_S_OK);
	CHECK(range(VIRTIO_BLK_T_DISCARD, 9, 1, 0) == VIRTIO_BLK_S_OK);
	CHECK(blk(VIRTIO_BLK_T_IN, 8, 2048, true) == VIRTIO_BLK_S_OK);
	CHECK(!data[0] && !data[1023] && data[1024] == (uint8_t)(1024 * 7));
	CHECK(blk(VIRTIO_BLK_T_GET_ID, 0, 20, true) == VIRTIO_BLK_S_OK);
	CHECK(!strcmp((char *)data, "a serial"));
	/* The last sector, and the first that is not there. */
	CHECK(blk(VIRTIO_BLK_T_IN, DISK_BYTES / 512 - 1, 512, true) == 0);
	CHECK(blk(VIRTIO_BLK_T_IN, DISK_BYTES / 512, 512, true) == 1);
	CHECK(blk(VIRTIO_BLK_T_OUT, DISK_BYTES / 512 - 1, 1024, false) == 1);
	CHECK(blk(VIRTIO_BLK_T_OUT, ~0ULL, 512, false) == 1);
	CHECK(blk(VIRTIO_BLK_T_OUT, 1ULL << 55, 512, false) == 1);
	CHECK(blk(VIRTIO_BLK_T_IN, 0, 100, true) == 1);
	CHECK(range(VIRTIO_BLK_T_WRITE_ZEROES, DISK_BYTES / 512, 1, 0) == 1);
	CHECK(range(VIRTIO_BLK_T_WRITE_ZEROES, 1, ~0U, 0) == 1);
	CHECK(range(VIRTIO_BLK_T_DISCARD, 0, 1, 1) == 2);
	CHECK(blk(99, 0, 512, true) == VIRTIO_BLK_S_UNSUPP);
	CHECK(!vd_needs_reset(&v));
	return true;
}

static bool disk(void)
{
	return disk_with(0);
}

static bool disk_packed(void)
{
	return disk_with(PACKED);
}

static bool disk_readonly(void)
{
	CHECK(disk_up(true, 0));
	CHECK(v.d->offered >> VIRTIO_BLK_F_RO & 1);
	CHECK(blk(VIRTIO_BLK_T_IN, 0, 512, true) == VIRTIO_BLK_S_OK);
	CHECK(blk(VIRTIO_BLK_T_OUT, 0, 512, false) == VIRTIO_BLK_S_IOERR);
	CHECK(range(VIRTIO_BLK_T_DISCARD, 0, 1, 0) == VIRTIO_BLK_S_IOERR);
	CHECK(range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0) == VIRTIO_BLK_S_IOERR);
	return true;
}

/* Another program cuts the file while the machine runs. */
static bool disk_cut_short(void)
{
	CHECK(disk_up(false, 0));
	CHECK(!truncate(disk_path, 4096));
	CHECK(blk(VIRTIO_BLK_T_IN, 8, 512, true) == VIRTIO_BLK_S_IOERR);
	CHECK(blk(VIRTIO_BLK_T_IN, 0, 512, true) == VIRTIO_BLK_S_OK);
	return true;
}

static bool disk_without_header(void)
{
	struct vd_buffer small = { HEADER, 8, false };
	struct vd_buffer no_status = { HEADER, 16, false };

	CHECK(disk_up(false, 0));
	request(1, &small, 1);
	CHECK(vd_needs_reset(&v));
	CHECK(vd_start(&v, 0, 16));
	request(1, &no_status, 1);
	CHECK(vd_needs_reset(&v));
	CHECK(vd_start(&v, 0, 16) && blk(VIRTIO_BLK_T_IN, 0, 512, true) == 0);
	return true;
}

/* Requests in flight while the driver resets, again and again. */
static bool disk_reset_in_flight(void)
{
	struct virtio_blk_outhdr h = { .type = VIRTIO_BLK_T_IN };
	struct vd_buffer buf[3] = { { HEADER, sizeof(h), false },
		{ DATA, 65536, true }, { STATUS, 1, true } };
	unsigned int i, n;

	CHECK(disk_up(false, 0));
	for (i = 0; i < 100; i++) {
		CHECK(vd_start(&v, i & 1 ? PACKED : 0, 32));
		memcpy(vd_at(&v, HEADER), &h, sizeof(h));
		for (n = 0; n < 10; n++)
			vd_add(&v.q[n & 1], &v, (uint16_t)(n * 3), buf, 3, false);
		vd_kick(&v, &v.q[0]);
		vd_kick(&v, &v.q[1]);
	}
	CHECK(vd_start(&v, 0, 16) && blk(VIRTIO_BLK_T_IN, 0, 512, true) == 0);
	return true;
}

/* ---- a shared folder ---- */

static bool share_up(bool readonly)
{
	struct share_config cfg = { .path = share_path, .tag = "tag",
				    .readonly = readonly };

	vd_bind(&v, fs_create(&cfg, 0, &v.mem));
	return vd_start(&v, 0, 16);
}

/* @args and then @names, each with its NUL; -> the error, or the bytes of the
 * reply, which is at REPLY.
 */
static int fuse(uint32_t opcode, uint64_t node, const void *args, size_t bytes,
		const char *names, size_t names_bytes)
{
	struct fuse_in_header h = {
		.len = (uint32_t)(sizeof(h) + bytes + names_bytes),
		.opcode = opcode, .unique = 77, .nodeid = node,
	};
	struct vd_buffer buf[2] = { { HEADER, h.len, false },
				    { REPLY, 0x10000, true } };
	struct fuse_out_header *out = vd_at(&v, REPLY);
	uint8_t *at = vd_at(&v, HEADER);

	memcpy(at, &h, sizeof(h));
	memcpy(at + sizeof(h), args ? args : "", args ? bytes : 0);
	memcpy(at + sizeof(h) + bytes, names ? names : "", names_bytes);
	memset(out, 0xee, sizeof(*out));
	if (request(1, buf, 2) < (int64_t)sizeof(*out) || out->unique != 77)
		return -9999;
	return out->error ? out->error : (int)(out->len - sizeof(*out));
}

static int lookup(uint64_t node, const char *name)
{
	return fuse(FUSE_LOOKUP, node, NULL, 0, name, strlen(name) + 1);
}

static uint64_t replied_node(void)
{
	return ((struct fuse_entry_out *)((uint8_t *)vd_at(&v, REPLY) + 16))->nodeid;
}

static bool share_init(void)
{
	struct fuse_init_in in = { .major = FUSE_KERNEL_VERSION, .minor = 36 };

	CHECK(fuse(FUSE_INIT, 0, &in, sizeof(in), NULL, 0) ==
	      sizeof(struct fuse_init_out));
	return true;
}

static int open_node(uint64_t node, uint32_t flags, uint64_t *fh)
{
	struct fuse_open_in in = { .flags = flags };
	int ret = fuse(FUSE_OPEN, node, &in, sizeof(in), NULL, 0);

	if (ret > 0)
		*fh = ((struct fuse_open_out *)((uint8_t *)vd_at(&v, REPLY) + 16))->fh;
	return ret;
}

static bool share_reads_and_writes(void)
{
	struct fuse_create_in create = { .flags = O_RDWR, .mode = S_IFREG | 0644 };
	struct fuse_write_in write_in = { .size = 5 };
	struct fuse_read_in read_in = { .size = 100 };
	uint64_t node, fh = 0;
	struct stat st;
	char *path;

	CHECK(share_up(false) && share_init());
	CHECK(lookup(1, "inside") == sizeof(struct fuse_entry_out));
	node = replied_node();
	CHECK(lookup(1, "inside") > 0 && replied_node() == node);
	CHECK(open_node(node, O_RDONLY, &fh) > 0);
	read_in.fh = fh;
	CHECK(fuse(FUSE_READ, node, &read_in, sizeof(read_in), NULL, 0) == 6);
	CHECK(!memcmp((char *)vd_at(&v, REPLY) + 16, "inside", 6));
	CHECK(fuse(FUSE_CREATE, 1, &create, sizeof(create), "made", 5) > 0);
	write_in.fh = ((struct fuse_open_out *)((uint8_t *)vd_at(&v, REPLY) + 16 +
		       sizeof(struct fuse_entry_out)))->fh;
	CHECK(fuse(FUSE_WRITE, 1, &write_in, sizeof(write_in), "hello", 5) ==
	      sizeof(struct fuse_write_out));
	/* A write that claims more than it brings. */
	write_in.size = 1000000;
	CHECK(fuse(FUSE_WRITE, 1, &write_in, sizeof(write_in), "hello", 5) == -EINVAL);
	path = xasprintf("%s/made", share_path);
	CHECK(!stat(path, &st) && st.st_size == 5 && (st.st_mode & 0777) == 0644);
	free(path);
	CHECK(fuse(FUSE_UNLINK, 1, NULL, 0, "made", 5) == 0);
	CHECK(lookup(1, "made") == -ENOENT);
	return true;
}

/* Every way out that a name could be. */
static bool share_has_no_way_out(void)
{
	static const char *const names[] = {
		"..", ".", "", "../outside", "sub/../../outside", "/etc/passwd",
		"sub/file", "sub/",
	};
	struct fuse_open_in open_in = { .flags = O_RDONLY };
	struct fuse_mknod_in device = { .mode = S_IFCHR | 0666, .rdev = 0x103 };
	struct fuse_rename_in rename_in = { .newdir = 1 };
	struct fuse_setattr_in mode = { .valid = FATTR_MODE, .mode = 0777 };
	struct fuse_setattr_in size = { .valid = FATTR_SIZE };
	char long_name[400];
	uint64_t link;
	size_t i;

	CHECK(share_up(false) && share_init());
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t n = strlen(names[i]) + 1;
		struct fuse_mkdir_in mkdir_in = { .mode = 0755 };

		CHECK(lookup(1, names[i]) == -EINVAL);
		CHECK(fuse(FUSE_UNLINK, 1, NULL, 0, names[i], n) == -EINVAL);
		CHECK(fuse(FUSE_RMDIR, 1, NULL, 0, names[i], n) == -EINVAL);
		CHECK(fuse(FUSE_MKDIR, 1, &mkdir_in, sizeof(mkdir_in), names[i], n) == -EINVAL);
	}
	/* Without an end; longer than a name may be. */
	memset(long_name, 'x', sizeof(long_name));
	CHECK(fuse(FUSE_LOOKUP, 1, NULL, 0, "inside", 3) == -ENOENT);
	long_name[sizeof(long_name) - 1] = 0;
	CHECK(lookup(1, long_name) == -EINVAL);
	CHECK(fuse(FUSE_RENAME, 1, &rename_in, sizeof(rename_in), "inside\0../x", 12) == -EINVAL);
	CHECK(fuse(FUSE_SYMLINK, 1, NULL, 0, "x", 1) == -EINVAL);
	/* A link out: text, and nothing else. */
	CHECK(lookup(1, "link") > 0);
	link = replied_node();
	CHECK(fuse(FUSE_READLINK, link, NULL, 0, NULL, 0) > 0);
	CHECK(lookup(link, "outside") == -ENOTDIR);
	CHECK(fuse(FUSE_OPEN, link, &open_in, sizeof(open_in), NULL, 0) == -EPERM);
	CHECK(fuse(FUSE_OPENDIR, link, &open_in, sizeof(open_in), NULL, 0) == -ENOTDIR);
	CHECK(fuse(FUSE_SETATTR, link, &mode, sizeof(mode), NULL, 0) < 0);
	CHECK(fuse(FUSE_SETATTR, link, &size, sizeof(size), NULL, 0) < 0);
	CHECK(lookup(1, "fifo") > 0);
	CHECK(fuse(FUSE_OPEN, replied_node(), &open_in, sizeof(open_in), NULL, 0) == -EPERM);
	CHECK(fuse(FUSE_MKNOD, 1, &device, sizeof(device), "null", 5) == -EPERM);
	return true;
}

/* Numbers that it was never given; a file and a folder taken for each other. */
static bool share_checks_numbers(void)
{
	struct fuse_read_in read_in = { .fh = 9999, .size = 4096 };
	struct fuse_link_in link_in = { .oldnodeid = 12345 };
	struct fuse_forget_in forget = { .nlookup = ~0ULL };
	struct fuse_release_in release = { .fh = ~0ULL };
	uint64_t fh = 0, node;
	uint32_t i;

	CHECK(share_up(false) && share_init());
	for (i = 0; i < 70; i++)
		CHECK(fuse(i, 0x123456789abcULL, NULL, 64, "a\0b", 4) != -9999);
	CHECK(share_init());
	CHECK(lookup(9999, "inside") == -EINVAL && lookup(0, "inside") == -EINVAL);
	CHECK(fuse(FUSE_READ, 1, &read_in, sizeof(read_in), NULL, 0) == -EBADF);
	CHECK(fuse(FUSE_READDIR, 1, &read_in, sizeof(read_in), NULL, 0) == -EBADF);
	CHECK(fuse(FUSE_LINK, 1, &link_in, sizeof(link_in), "x", 2) == -EINVAL);
	CHECK(fuse(FUSE_RELEASE, 1, &release, sizeof(release), NULL, 0) == 0);
	CHECK(lookup(1, "inside") > 0);
	node = replied_node();
	CHECK(open_node(node, O_RDONLY, &fh) > 0);
	read_in.fh = fh;
	CHECK(fuse(FUSE_READDIR, 1, &read_in, sizeof(read_in), NULL, 0) == -EBADF);
	/* Forgotten more often than known; the root cannot be. */
	CHECK(fuse(FUSE_FORGET, node, &forget, sizeof(forget), NULL, 0) == 0);
	CHECK(fuse(FUSE_GETATTR, node, NULL, 0, NULL, 0) == -EINVAL);
	CHECK(fuse(FUSE_FORGET, 1, &forget, sizeof(forget), NULL, 0) == 0);
	CHECK(fuse(FUSE_GETATTR, 1, NULL, 0, NULL, 0) > 0);
	return true;
}

static bool share_readonly(void)
{
	struct fuse_mkdir_in mkdir_in = { .mode = 0755 };
	struct fuse_setattr_in mode = { .valid = FATTR_MODE, .mode = 0777 };
	uint64_t fh;

	CHECK(share_up(true) && share_init());
	CHECK(lookup(1, "inside") > 0);
	CHECK(open_node(replied_node(), O_RDWR, &fh) == -EROFS);
	CHECK(lookup(1, "inside") > 0);
	CHECK(open_node(replied_node(), O_RDONLY | O_TRUNC, &fh) == -EROFS);
	CHECK(lookup(1, "inside") > 0);
	CHECK(open_node(replied_node(), O_RDONLY, &fh) > 0);
	CHECK(fuse(FUSE_MKDIR, 1, &mkdir_in, sizeof(mkdir_in), "x", 2) == -EROFS);
	CHECK(fuse(FUSE_UNLINK, 1, NULL, 0, "inside", 7) == -EROFS);
	CHECK(fuse(FUSE_SETATTR, 1, &mode, sizeof(mode), NULL, 0) == -EROFS);
	return true;
}

/* ---- the small ones ---- */

static bool balloon(void)
{
	uint32_t pfn[3] = { (DATA + 0x2000) >> 12, 0xffffffff, 0 };
	struct vd_buffer list = { HEADER, sizeof(pfn), false };
	struct vd_buffer report = { DATA + 0x4800, 0x1800, true };
	uint8_t *page = vd_at(&v, DATA);

	vd_bind(&v, balloon_create(7, &v.mem));
	CHECK(vd_start(&v, 0, 16));
	memset(page, 0x55, 0x8000);
	memcpy(vd_at(&v, HEADER), pfn, sizeof(pfn));
	CHECK(request(0, &list, 1) == 0);
	CHECK(page[0x1fff] == 0x55 && !page[0x2000] && !page[0x2fff] && page[0x3000] == 0x55);
	/* Reported from the middle of a page: only the whole one goes. */
	CHECK(request(2, &report, 1) == 0);
	CHECK(page[0x4fff] == 0x55 && !page[0x5000] && page[0x6000] == 0x55);
	CHECK(request(1, &list, 1) == 0 && !vd_needs_reset(&v));
	return true;
}

static bool rng(void)
{
	struct vd_buffer buf = { DATA, 64, true }, big = { DATA, 1U << 20, true };
	struct vd_buffer none = { DATA, 64, false };
	uint8_t zeroes[64] = { 0 };

	vd_bind(&v, rng_create(&v.mem));
	CHECK(vd_start(&v, PACKED, 16));
	CHECK(request(0, &buf, 1) == 64 && memcmp(vd_at(&v, DATA), zeroes, 64));
	CHECK(request(0, &big, 1) > 0 && request(0, &none, 1) == 0);
	return true;
}

static char said[16];

static void put(void *ctx, uint8_t byte)
{
	size_t n = strlen(said);

	(void)ctx;
	if (n < sizeof(said) - 1)
		said[n] = (char)byte;
}

static bool console(void)
{
	struct vd_buffer out = { DATA, 5, false }, in = { REPLY, 4, true };
	struct virtio_device *d = hvc_create(&v.mem, -1);
	uint32_t bytes;
	uint16_t id;

	vd_bind(&v, d);
	hvc_set_output(d, put, NULL);
	CHECK(!hvc_room(d));
	CHECK(vd_start(&v, 0, 16));
	CHECK(!hvc_room(d) && !hvc_receive(d, (uint8_t *)"x", 1));
	memcpy(vd_at(&v, DATA), "hello", 5);
	CHECK(request(1, &out, 1) == 0 && !strcmp(said, "hello"));
	vd_add(&v.q[0], &v, 3, &in, 1, false);
	CHECK(hvc_room(d) == 4 && hvc_receive(d, (uint8_t *)"abcdef", 6) == 4);
	CHECK(vd_used(&v.q[0], &v, &id, &bytes) && id == 3 && bytes == 4);
	CHECK(!memcmp(vd_at(&v, REPLY), "abcd", 4) && !hvc_room(d));
	return true;
}

/* ---- network ---- */

/* "Who has 10.0.2.2?" is answered, into two buffers too small for it alone. */
static bool network(void)
{
	static const uint8_t arp[42] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x50, 0x53, 0, 8, 6,
		0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0x50, 0x53, 0, 10, 0, 2, 15,
		0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
	};
	static const struct net_config cfg = { 0 };
	struct vd_buffer in = { REPLY, 40, true }, in2 = { REPLY + 64, 100, true };
	struct vd_buffer out = { DATA, 12 + sizeof(arp), false };
	struct vd_buffer empty = { DATA, 12, false }, huge = { DATA, 70000, false };
	uint8_t *frame = vd_at(&v, REPLY);
	uint32_t bytes;
	uint16_t id;

	vd_bind(&v, net_create(&cfg, 0, &v.mem));
	CHECK(vd_start(&v, 1ULL << VIRTIO_NET_F_MRG_RXBUF, 16));
	vd_add(&v.q[0], &v, 1, &in, 1, false);
	vd_add(&v.q[0], &v, 2, &in2, 1, false);
	memset(vd_at(&v, DATA), 0, 12);
	memcpy(vd_at(&v, DATA + 12), arp, sizeof(arp));
	CHECK(request(1, &out, 1) == 0);
	CHECK(vd_used(&v.q[0], &v, &id, &bytes) && id == 1 && bytes == 40);
	CHECK(frame[10] == 2 && frame[12 + 12] == 8 && frame[12 + 13] == 6);
	CHECK(vd_used(&v.q[0], &v, &id, &bytes) && id == 2 && bytes >= 14);
	/* What is no frame is dropped. */
	CHECK(request(1, &empty, 1) == 0 && request(1, &huge, 1) == 0);
	CHECK(!vd_needs_reset(&v));
	/* With no buffers the answer waits for one. */
	CHECK(request(1, &out, 1) == 0);
	in.bytes = 2000;
	vd_add(&v.q[0], &v, 3, &in, 1, false);
	vd_kick(&v, &v.q[0]);
	CHECK(vd_used(&v.q[0], &v, &id, &bytes) && id == 3 && bytes >= 54);
	return true;
}

/* ---- files to work with ---- */

static void make_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		die("cannot write %s", path);
}

static void make_files(void)
{
	char *path;

	strcpy(dir, "/tmp/posada-vdevices-XXXXXX");
	if (!mkdtemp(dir))
		die("no folder in /tmp");
	disk_path = xasprintf("%s/disk", dir);
	share_path = xasprintf("%s/share", dir);
	path = xasprintf("%s/outside", dir);
	make_file(path, "outside");
	free(path);
	if (mkdir(share_path, 0755))
		die("no folder %s", share_path);
	path = xasprintf("%s/inside", share_path);
	make_file(path, "inside");
	free(path);
	path = xasprintf("%s/link", share_path);
	if (symlink("..", path))
		die("no link");
	free(path);
	path = xasprintf("%s/fifo", share_path);
	if (mkfifo(path, 0600))
		die("no fifo");
	free(path);
}

static void set_up(void)
{
	make_file(disk_path, "");
	if (truncate(disk_path, DISK_BYTES))
		die("no disk");
	vd_init(&v);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ disk, "disk: requests, split rings" },
		{ disk_packed, "disk: requests, packed rings" },
		{ disk_readonly, "disk: read-only" },
		{ disk_cut_short, "disk: a file that becomes shorter" },
		{ disk_without_header, "disk: requests that are none" },
		{ disk_reset_in_flight, "disk: resets in flight" },
		{ share_reads_and_writes, "share: reads and writes" },
		{ share_has_no_way_out, "share: no way out" },
		{ share_checks_numbers, "share: numbers are checked" },
		{ share_readonly, "share: read-only" },
		{ balloon, "balloon" },
		{ rng, "rng" },
		{ console, "console" },
#ifdef HAVE_SLIRP
		{ network, "network: a question and its answer" },
#endif
	};
	char *command;
	int status;

	make_files();
	status = vd_run(&v, tests, sizeof(tests) / sizeof(*tests), set_up);
	command = xasprintf("rm -rf %s", dir);
	if (system(command))
		status = 1;
	free(command);
	free(disk_path);
	free(share_path);
	return status;
}
