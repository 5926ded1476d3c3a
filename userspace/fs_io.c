// SPDX-License-Identifier: GPL-2.0
/* A shared folder: operations on open files and folders. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/falloc.h>

#include "fs.h"

/* What of open(2)'s flags is the guest's to choose. */
#define OPEN_FLAGS	(O_ACCMODE | O_APPEND | O_TRUNC | O_SYNC)
/* Never wait, never follow, whatever has come to be there. */
#define OPEN_ALWAYS	(O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define FALLOCATE_MODES	(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | \
			 FALLOC_FL_ZERO_RANGE)

static bool writes(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
}

int fs_reopen(const struct fs *fs, const struct fs_node *node, int flags)
{
	char path[16];
	int fd;

	if (S_ISDIR(node->type))
		flags |= O_DIRECTORY;
	else if (!S_ISREG(node->type))
		return -EPERM;
	/* By way of /proc it is the very file, not one of its name. */
	snprintf(path, sizeof(path), "%d", node->fd);
	fd = openat(fs->proc_fd, path, flags | OPEN_ALWAYS);
	return fd < 0 ? -errno : fd;
}

static int open_reply(struct fs_request *r, int fd, bool folder)
{
	struct fuse_open_out *out = (void *)r->reply;
	int64_t number;

	if (fd < 0)
		return fd;
	number = fs_handle_new(r->fs, fd, folder);
	if (number < 0)
		return (int)number;
	*out = (struct fuse_open_out){ .fh = (uint64_t)number };
	return sizeof(*out);
}

static int op_open(struct fs_request *r)
{
	const struct fuse_open_in *in = (const void *)r->args;
	struct fs_node *node = fs_node(r->fs, r->h.nodeid);

	if (!node || S_ISDIR(node->type))
		return -EINVAL;
	if (r->fs->readonly && writes(in->flags))
		return -EROFS;
	return open_reply(r, fs_reopen(r->fs, node, (int)(in->flags & OPEN_FLAGS)),
			  false);
}

static int op_opendir(struct fs_request *r)
{
	struct fs_node *node = fs_node(r->fs, r->h.nodeid);

	if (!node || !S_ISDIR(node->type))
		return -ENOTDIR;
	return open_reply(r, fs_reopen(r->fs, node, O_RDONLY), true);
}

static int op_release(struct fs_request *r)
{
	const struct fuse_release_in *in = (const void *)r->args;

	fs_handle_close(r->fs, in->fh);
	return 0;
}

/* Make the file, which is not to be there; owned by whom it is made for. */
static int make_file(struct fs_request *r, const struct fs_node *folder,
		     const char *name, const struct fuse_create_in *in)
{
	int fd = openat(folder->fd, name, O_CREAT | O_EXCL | O_NOFOLLOW |
			OPEN_ALWAYS | (int)(in->flags & OPEN_FLAGS),
			in->mode & 07777 & ~in->umask);
	struct stat st;
	gid_t gid = r->h.gid;

	if (fd < 0)
		return -errno;
	if (!fs_stat(folder, &st) && st.st_mode & S_ISGID)
		gid = (gid_t)-1;
	if (r->fs->root_user && fchown(fd, r->h.uid, gid))
		return fd;	/* root's, then: less than what was asked for */
	return fd;
}

static int op_create(struct fs_request *r)
{
	const struct fuse_create_in *in = (const void *)r->args;
	struct fuse_entry_out *e = (void *)r->reply;
	struct fs_node *folder = fs_node(r->fs, r->h.nodeid);
	const char *name = fs_name(r, sizeof(*in), 0);
	int fd, ret;

	if (!folder || !name)
		return -EINVAL;
	fd = make_file(r, folder, name, in);
	if (fd < 0 && (fd != -EEXIST || in->flags & O_EXCL))
		return fd;
	ret = fs_entry(r->fs, folder, name, e);
	/* Someone was faster: open that, if it is a file. */
	if (!ret && fd < 0)
		fd = fs_reopen(r->fs, fs_node(r->fs, e->nodeid),
			       (int)(in->flags & OPEN_FLAGS));
	if (ret) {
		if (fd >= 0)
			close(fd);
		return ret;
	}
	r->reply += sizeof(*e);
	ret = open_reply(r, fd, false);
	r->reply -= sizeof(*e);
	if (ret < 0)
		fs_node_put(r->fs, e->nodeid, 1);
	return ret < 0 ? ret : (int)sizeof(*e) + ret;
}

/* ---- data: straight between the file and the guest's memory ---- */

static int op_read(struct fs_request *r)
{
	const struct fuse_read_in *in = (const void *)r->args;
	int fd = fs_handle_fd(r->fs, in->fh, false);
	struct iovec iov[CHAIN_MAX];
	unsigned int nr;
	ssize_t n;

	if (fd < 0)
		return -EBADF;
	nr = iov_slice(r->c->iov + r->c->nr_out, r->c->nr_in,
		       sizeof(struct fuse_out_header), in->size, iov);
	n = preadv(fd, iov, (int)nr, (off_t)in->offset);
	if (n < 0)
		return -errno;
	r->reply = NULL;	/* it is in place */
	return (int)n;
}

static int op_write(struct fs_request *r)
{
	const struct fuse_write_in *in = (const void *)r->args;
	struct fuse_write_out *out = (void *)r->reply;
	int fd = fs_handle_fd(r->fs, in->fh, false);
	struct iovec iov[CHAIN_MAX];
	unsigned int nr;
	ssize_t n;

	if (fd < 0)
		return -EBADF;
	if (in->size > r->data_bytes - sizeof(*in))
		return -EINVAL;
	nr = iov_slice(r->c->iov, r->c->nr_out,
		       sizeof(struct fuse_in_header) + sizeof(*in), in->size,
		       iov);
	n = pwritev(fd, iov, (int)nr, (off_t)in->offset);
	if (n < 0)
		return -errno;
	*out = (struct fuse_write_out){ .size = (uint32_t)n };
	return sizeof(*out);
}

static int op_flush(struct fs_request *r)
{
	(void)r;
	return 0;
}

static int sync_handle(struct fs_request *r, bool folder)
{
	const struct fuse_fsync_in *in = (const void *)r->args;
	int fd = fs_handle_fd(r->fs, in->fh, folder);
	int ret;

	if (fd < 0)
		return -EBADF;
	ret = in->fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(fd) : fsync(fd);
	return ret ? -errno : 0;
}

static int op_fsync(struct fs_request *r)
{
	return sync_handle(r, false);
}

static int op_fsyncdir(struct fs_request *r)
{
	return sync_handle(r, true);
}

static int op_fallocate(struct fs_request *r)
{
	const struct fuse_fallocate_in *in = (const void *)r->args;
	int fd = fs_handle_fd(r->fs, in->fh, false);

	if (fd < 0)
		return -EBADF;
	if (in->mode & ~(uint32_t)FALLOCATE_MODES)
		return -EOPNOTSUPP;
	return fallocate(fd, (int)in->mode, (off_t)in->offset,
			 (off_t)in->length) ? -errno : 0;
}

static int op_lseek(struct fs_request *r)
{
	const struct fuse_lseek_in *in = (const void *)r->args;
	struct fuse_lseek_out *out = (void *)r->reply;
	int fd = fs_handle_fd(r->fs, in->fh, false);
	off_t at;

	if (fd < 0)
		return -EBADF;
	if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
		return -EINVAL;
	at = lseek(fd, (off_t)in->offset, (int)in->whence);
	if (at < 0)
		return -errno;
	*out = (struct fuse_lseek_out){ .offset = (uint64_t)at };
	return sizeof(*out);
}

/* ---- folders ---- */

/* As getdents64(2) gives it. */
struct dirent_raw {
	uint64_t ino;
	int64_t next;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* Append an entry to the reply at @at; -> its size, 0 if there is no room. */
static size_t put_entry(struct fs_request *r, size_t at, size_t room,
			const struct fs_node *folder,
			const struct dirent_raw *d, bool plus)
{
	size_t name = strlen(d->name);
	size_t head = plus ? sizeof(struct fuse_entry_out) : 0;
	size_t bytes = head + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name);
	struct fuse_dirent *out;

	if (bytes > room - at)
		return 0;
	memset(r->reply + at, 0, bytes);
	/* One that cannot be looked up now has number 0: the guest asks later. */
	if (plus && !is_dots(d->name) &&
	    fs_entry(r->fs, folder, d->name, (void *)(r->reply + at)))
		memset(r->reply + at, 0, head);
	out = (void *)(r->reply + at + head);
	out->ino = d->ino;
	out->off = (uint64_t)d->next;
	out->namelen = (uint32_t)name;
	out->type = d->type;
	memcpy(out->name, d->name, name);
	return bytes;
}

static int read_folder(struct fs_request *r, bool plus)
{
	const struct fuse_read_in *in = (const void *)r->args;
	struct fs_node *folder = fs_node(r->fs, r->h.nodeid);
	int fd = fs_handle_fd(r->fs, in->fh, true);
	size_t room = in->size < r->room ? in->size : r->room, at = 0, n;
	uint8_t raw[4096] __attribute__((aligned(8)));
	long got, i;

	if (fd < 0 || !folder)
		return -EBADF;
	if (lseek(fd, (off_t)in->offset, SEEK_SET) < 0)
		return -errno;
	for (;;) {
		got = syscall(SYS_getdents64, fd, raw, sizeof(raw));
		if (got < 0)
			return at ? (int)at : -errno;
		if (!got)
			return (int)at;
		for (i = 0; i < got; i += ((struct dirent_raw *)(raw + i))->bytes) {
			n = put_entry(r, at, room, folder, (void *)(raw + i), plus);
			if (!n)
				return (int)at;
			at += n;
		}
	}
}

static int op_readdir(struct fs_request *r)
{
	return read_folder(r, false);
}

static int op_readdirplus(struct fs_request *r)
{
	return read_folder(r, true);
}

const struct fs_operation fs_files[FS_OPCODES] = {
	[FUSE_OPEN] = { sizeof(struct fuse_open_in), .fn = op_open },
	[FUSE_OPENDIR] = { sizeof(struct fuse_open_in), .fn = op_opendir },
	[FUSE_CREATE] = { sizeof(struct fuse_create_in), .writes = true,
			  .fn = op_create },
	[FUSE_RELEASE] = { sizeof(struct fuse_release_in), .fn = op_release },
	[FUSE_RELEASEDIR] = { sizeof(struct fuse_release_in), .fn = op_release },
	[FUSE_READ] = { sizeof(struct fuse_read_in), .fn = op_read },
	[FUSE_WRITE] = { sizeof(struct fuse_write_in), .writes = true,
			 .fn = op_write },
	[FUSE_FLUSH] = { 0, .fn = op_flush },
	[FUSE_FSYNC] = { sizeof(struct fuse_fsync_in), .fn = op_fsync },
	[FUSE_FSYNCDIR] = { sizeof(struct fuse_fsync_in), .fn = op_fsyncdir },
	[FUSE_FALLOCATE] = { sizeof(struct fuse_fallocate_in), .writes = true,
			     .fn = op_fallocate },
	[FUSE_LSEEK] = { sizeof(struct fuse_lseek_in), .fn = op_lseek },
	[FUSE_READDIR] = { sizeof(struct fuse_read_in), .fn = op_readdir },
	[FUSE_READDIRPLUS] = { sizeof(struct fuse_read_in),
			       .fn = op_readdirplus },
};
