// SPDX-License-Identifier: GPL-2.0
/* A shared folder: operations on names and attributes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/openat2.h>

#include "fs.h"

#define VALID_SECONDS	1	/* that the guest may keep names, attributes */
#define MODE_BITS	07777U
#define FUSE_MINOR	31U
#define MAX_WRITE	(1U << 20)
#define FUSE_PAGE	4096U
#define INIT_FLAGS	(FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES | \
			 FUSE_PARALLEL_DIROPS | FUSE_DO_READDIRPLUS | \
			 FUSE_READDIRPLUS_AUTO | FUSE_ATOMIC_O_TRUNC)

/* ---- names ---- */

const char *fs_name(const struct fs_request *r, size_t skip, unsigned int nr)
{
	const char *name, *end = (const char *)r->args + r->args_bytes;

	/* The arguments end with a NUL, whatever the guest has sent. */
	name = skip < r->args_bytes ? (const char *)r->args + skip : end;
	while (nr-- && name < end)
		name += strlen(name) + 1;
	if (name >= end || !*name || strlen(name) > NAME_MAX ||
	    strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return NULL;
	return name;
}

int fs_find(const struct fs_node *folder, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, folder->fd, name, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int fs_stat(const struct fs_node *node, struct stat *st)
{
	return fstatat(node->fd, "", st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) ?
	       -errno : 0;
}

void fs_attr(struct fuse_attr *a, const struct stat *st)
{
	*a = (struct fuse_attr){
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.blocks = (uint64_t)st->st_blocks,
		.atime = (uint64_t)st->st_atim.tv_sec,
		.mtime = (uint64_t)st->st_mtim.tv_sec,
		.ctime = (uint64_t)st->st_ctim.tv_sec,
		.atimensec = (uint32_t)st->st_atim.tv_nsec,
		.mtimensec = (uint32_t)st->st_mtim.tv_nsec,
		.ctimensec = (uint32_t)st->st_ctim.tv_nsec,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.rdev = (uint32_t)st->st_rdev,
		.blksize = (uint32_t)st->st_blksize,
	};
}

int fs_entry(struct fs *fs, const struct fs_node *folder, const char *name,
	     struct fuse_entry_out *e)
{
	struct fs_node *node;
	struct stat st;
	int fd = fs_find(folder, name), ret;

	if (fd < 0)
		return fd;
	if (fstatat(fd, "", &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) {
		ret = -errno;
		close(fd);
		return ret;
	}
	node = fs_node_get(fs, fd, &st);
	if (!node)
		return -ENOMEM;
	memset(e, 0, sizeof(*e));
	e->nodeid = node->id;
	e->entry_valid = e->attr_valid = VALID_SECONDS;
	fs_attr(&e->attr, &st);
	return 0;
}

static int entry_reply(struct fs_request *r, const struct fs_node *folder,
		       const char *name)
{
	struct fuse_entry_out *e = (void *)r->reply;
	int ret = fs_entry(r->fs, folder, name, e);

	return ret ? ret : (int)sizeof(*e);
}

/* The folder that a request is about, and the name in it. */
static struct fs_node *where(struct fs_request *r, size_t skip,
			     const char **name)
{
	*name = fs_name(r, skip, 0);
	return *name ? fs_node(r->fs, r->h.nodeid) : NULL;
}

static int op_lookup(struct fs_request *r)
{
	const char *name;
	struct fs_node *folder = where(r, 0, &name);

	return folder ? entry_reply(r, folder, name) : -EINVAL;
}

static int op_forget(struct fs_request *r)
{
	const struct fuse_forget_in *in = (const void *)r->args;

	fs_node_put(r->fs, r->h.nodeid, in->nlookup);
	return 0;
}

static int op_batch_forget(struct fs_request *r)
{
	const struct fuse_batch_forget_in *in = (const void *)r->args;
	const struct fuse_forget_one *one = (const void *)(in + 1);
	size_t i, n = (r->args_bytes - sizeof(*in)) / sizeof(*one);

	for (i = 0; i < n && i < in->count; i++)
		fs_node_put(r->fs, one[i].nodeid, one[i].nlookup);
	return 0;
}

/* ---- making names ---- */

/* What root makes belongs to whom the guest made it for; in a folder with the
 * set-group-id bit to that folder's group.
 */
static void give_away(const struct fs_request *r, const struct fs_node *folder,
		      const char *name)
{
	struct stat st;
	gid_t gid = r->h.gid;

	if (!r->fs->root_user)
		return;
	if (!fs_stat(folder, &st) && st.st_mode & S_ISGID)
		gid = (gid_t)-1;
	/* Should it fail, the file is root's: less than what was asked for. */
	if (fchownat(folder->fd, name, r->h.uid, gid, AT_SYMLINK_NOFOLLOW))
		return;
}

static int made(struct fs_request *r, const struct fs_node *folder,
		const char *name, int ret)
{
	if (ret)
		return -errno;
	give_away(r, folder, name);
	return entry_reply(r, folder, name);
}

static int op_mknod(struct fs_request *r)
{
	const struct fuse_mknod_in *in = (const void *)r->args;
	const char *name;
	struct fs_node *folder = where(r, sizeof(*in), &name);
	mode_t type = in->mode & S_IFMT;

	if (!folder)
		return -EINVAL;
	/* A device node here would be one of the host's. */
	if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK)
		return -EPERM;
	return made(r, folder, name,
		    mknodat(folder->fd, name,
			    type | (in->mode & MODE_BITS & ~in->umask), 0));
}

static int op_mkdir(struct fs_request *r)
{
	const struct fuse_mkdir_in *in = (const void *)r->args;
	const char *name;
	struct fs_node *folder = where(r, sizeof(*in), &name);

	if (!folder)
		return -EINVAL;
	return made(r, folder, name,
		    mkdirat(folder->fd, name,
			    in->mode & MODE_BITS & ~in->umask));
}

static int op_symlink(struct fs_request *r)
{
	const char *name = fs_name(r, 0, 0);
	struct fs_node *folder = fs_node(r->fs, r->h.nodeid);
	const char *target;

	if (!folder || !name)
		return -EINVAL;
	target = name + strlen(name) + 1;
	if (target >= (const char *)r->args + r->args_bytes || !*target)
		return -EINVAL;
	return made(r, folder, name, symlinkat(target, folder->fd, name));
}

static int op_link(struct fs_request *r)
{
	const struct fuse_link_in *in = (const void *)r->args;
	struct fs_node *old = fs_node(r->fs, in->oldnodeid);
	const char *name;
	struct fs_node *folder = where(r, sizeof(*in), &name);
	char path[16];

	if (!folder || !old)
		return -EINVAL;
	snprintf(path, sizeof(path), "%d", old->fd);
	if (linkat(r->fs->proc_fd, path, folder->fd, name, AT_SYMLINK_FOLLOW))
		return -errno;
	return entry_reply(r, folder, name);
}

/* ---- removing and moving ---- */

static int remove_name(struct fs_request *r, int flags)
{
	const char *name;
	struct fs_node *folder = where(r, 0, &name);

	if (!folder)
		return -EINVAL;
	return unlinkat(folder->fd, name, flags) ? -errno : 0;
}

static int op_unlink(struct fs_request *r)
{
	return remove_name(r, 0);
}

static int op_rmdir(struct fs_request *r)
{
	return remove_name(r, AT_REMOVEDIR);
}

static int move(struct fs_request *r, uint64_t to, unsigned int flags,
		size_t skip)
{
	struct fs_node *from = fs_node(r->fs, r->h.nodeid);
	struct fs_node *into = fs_node(r->fs, to);
	const char *old = fs_name(r, skip, 0), *new = fs_name(r, skip, 1);

	if (!from || !into || !old || !new)
		return -EINVAL;
	if (flags & ~(unsigned int)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	return syscall(SYS_renameat2, from->fd, old, into->fd, new, flags) ?
	       -errno : 0;
}

static int op_rename(struct fs_request *r)
{
	const struct fuse_rename_in *in = (const void *)r->args;

	return move(r, in->newdir, 0, sizeof(*in));
}

static int op_rename2(struct fs_request *r)
{
	const struct fuse_rename2_in *in = (const void *)r->args;

	return move(r, in->newdir, in->flags, sizeof(*in));
}

/* ---- attributes ---- */

static int attr_reply(struct fs_request *r, const struct fs_node *node)
{
	struct fuse_attr_out *out = (void *)r->reply;
	struct stat st;
	int ret = fs_stat(node, &st);

	if (ret)
		return ret;
	memset(out, 0, sizeof(*out));
	out->attr_valid = VALID_SECONDS;
	fs_attr(&out->attr, &st);
	return sizeof(*out);
}

static int op_getattr(struct fs_request *r)
{
	struct fs_node *node = fs_node(r->fs, r->h.nodeid);

	return node ? attr_reply(r, node) : -EINVAL;
}

static int set_mode(const struct fs *fs, const struct fs_node *node,
		    mode_t mode)
{
	char path[16];

	if (S_ISLNK(node->type))
		return -EOPNOTSUPP;
	snprintf(path, sizeof(path), "%d", node->fd);
	return fchmodat(fs->proc_fd, path, mode & MODE_BITS, 0) ? -errno : 0;
}

static int set_owner(const struct fs_node *node,
		     const struct fuse_setattr_in *in)
{
	uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
	gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;

	return fchownat(node->fd, "", uid, gid,
			AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static int set_size(const struct fs *fs, const struct fs_node *node,
		    const struct fuse_setattr_in *in)
{
	int fd = in->valid & FATTR_FH ? fs_handle_fd(fs, in->fh, false) : -1;
	int ret;

	if (fd >= 0)
		return ftruncate(fd, (off_t)in->size) ? -errno : 0;
	fd = fs_reopen(fs, node, O_WRONLY);
	if (fd < 0)
		return fd;
	ret = ftruncate(fd, (off_t)in->size) ? -errno : 0;
	close(fd);
	return ret;
}

static struct timespec time_of(uint32_t valid, uint32_t set, uint32_t now,
			       uint64_t seconds, uint32_t ns)
{
	if (!(valid & set))
		return (struct timespec){ .tv_nsec = UTIME_OMIT };
	if (valid & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	return (struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = ns };
}

static int set_times(const struct fs_node *node,
		     const struct fuse_setattr_in *in)
{
	struct timespec ts[2] = {
		time_of(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime,
			in->atimensec),
		time_of(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime,
			in->mtimensec),
	};

	return utimensat(node->fd, "", ts, AT_EMPTY_PATH) ? -errno : 0;
}

static int op_setattr(struct fs_request *r)
{
	const struct fuse_setattr_in *in = (const void *)r->args;
	struct fs_node *node = fs_node(r->fs, r->h.nodeid);
	int ret = 0;

	if (!node)
		return -EINVAL;
	if (in->valid & (FATTR_UID | FATTR_GID))
		ret = set_owner(node, in);
	/* Behind the owner: a change of that clears bits of the mode. */
	if (!ret && in->valid & FATTR_MODE)
		ret = set_mode(r->fs, node, in->mode);
	if (!ret && in->valid & FATTR_SIZE)
		ret = set_size(r->fs, node, in);
	if (!ret && in->valid & (FATTR_ATIME | FATTR_MTIME))
		ret = set_times(node, in);
	return ret ? ret : attr_reply(r, node);
}

static int op_readlink(struct fs_request *r)
{
	struct fs_node *node = fs_node(r->fs, r->h.nodeid);
	ssize_t n;

	if (!node || !S_ISLNK(node->type))
		return -EINVAL;
	n = readlinkat(node->fd, "", (char *)r->reply, r->room);
	return n < 0 ? -errno : (int)n;
}

static int op_statfs(struct fs_request *r)
{
	struct fs_node *node = fs_node(r->fs, r->h.nodeid);
	struct fuse_statfs_out *out = (void *)r->reply;
	struct statvfs s;

	if (!node)
		return -EINVAL;
	if (fstatvfs(node->fd, &s))
		return -errno;
	*out = (struct fuse_statfs_out){
		.st = {
			.blocks = s.f_blocks, .bfree = s.f_bfree,
			.bavail = s.f_bavail, .files = s.f_files,
			.ffree = s.f_ffree, .bsize = (uint32_t)s.f_bsize,
			.namelen = (uint32_t)s.f_namemax,
			.frsize = (uint32_t)s.f_frsize,
		},
	};
	return sizeof(*out);
}

/* ---- the session ---- */

static int op_init(struct fs_request *r)
{
	const struct fuse_init_in *in = (const void *)r->args;
	struct fuse_init_out *out = (void *)r->reply;

	if (in->major != FUSE_KERNEL_VERSION)
		return -EPROTO;
	/* A mount begins from nothing. */
	fs_node_forget_all(r->fs);
	*out = (struct fuse_init_out){
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_MINOR,
		.max_readahead = in->max_readahead,
		.flags = in->flags & INIT_FLAGS,
		.max_write = MAX_WRITE,
		.max_pages = MAX_WRITE / FUSE_PAGE,
		.time_gran = 1,
	};
	return sizeof(*out);
}

static int op_destroy(struct fs_request *r)
{
	fs_node_forget_all(r->fs);
	return 0;
}

/* FUSE_INIT's arguments were shorter in older kernels. */
#define INIT_ARGS	16

const struct fs_operation fs_names[FS_OPCODES] = {
	[FUSE_LOOKUP] = { 1, .fn = op_lookup },
	[FUSE_FORGET] = { sizeof(struct fuse_forget_in), .silent = true,
			  .fn = op_forget },
	[FUSE_BATCH_FORGET] = { sizeof(struct fuse_batch_forget_in),
				.silent = true, .fn = op_batch_forget },
	[FUSE_GETATTR] = { 0, .fn = op_getattr },
	[FUSE_SETATTR] = { sizeof(struct fuse_setattr_in), .writes = true,
			   .fn = op_setattr },
	[FUSE_READLINK] = { 0, .fn = op_readlink },
	[FUSE_SYMLINK] = { 1, .writes = true, .fn = op_symlink },
	[FUSE_MKNOD] = { sizeof(struct fuse_mknod_in), .writes = true,
			 .fn = op_mknod },
	[FUSE_MKDIR] = { sizeof(struct fuse_mkdir_in), .writes = true,
			 .fn = op_mkdir },
	[FUSE_UNLINK] = { 1, .writes = true, .fn = op_unlink },
	[FUSE_RMDIR] = { 1, .writes = true, .fn = op_rmdir },
	[FUSE_RENAME] = { sizeof(struct fuse_rename_in), .writes = true,
			  .fn = op_rename },
	[FUSE_RENAME2] = { sizeof(struct fuse_rename2_in), .writes = true,
			   .fn = op_rename2 },
	[FUSE_LINK] = { sizeof(struct fuse_link_in), .writes = true,
			.fn = op_link },
	[FUSE_STATFS] = { 0, .fn = op_statfs },
	[FUSE_INIT] = { INIT_ARGS, .fn = op_init },
	[FUSE_DESTROY] = { 0, .silent = true, .fn = op_destroy },
};
