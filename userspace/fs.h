/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A shared folder: the server of the FUSE protocol behind virtio-fs. Not for
 * users of devices.h.
 *
 *	fs.c		the device: takes requests, finds the operation, replies
 *	fs_node.c	what the guest knows by number: files and open files
 *	fs_ops.c	operations on names and attributes
 *	fs_io.c		operations on open files and folders
 *
 * The guest cannot leave the tree. A name in a request is one component, and
 * neither "." nor ".."; it is looked up below a descriptor of its folder by
 * openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS. Links are text for
 * the guest, which follows them in its own tree. Only regular files and
 * folders are ever opened; device nodes are neither opened nor made.
 *
 * All of it runs in the device's loop thread, a reset only when no request is
 * under way: there are no locks.
 */
#ifndef FS_H
#define FS_H

#include <sys/stat.h>

#include <linux/fuse.h>

#include "virtio.h"

#define FS_ARGS		8192U		/* of a request, without data */
#define FS_REPLY	65536U		/* likewise */
#define FS_HASH		4096U
#define FS_ROOT		FUSE_ROOT_ID

struct fs_node {
	uint64_t id;
	uint64_t lookups;		/* the guest's references */
	int fd;				/* O_PATH */
	mode_t type;			/* S_IFMT bits */
	dev_t dev;
	ino_t ino;
	struct fs_node *next;		/* of the same hash */
};

struct fs_handle {
	int fd;				/* -1: free */
	bool folder;
};

struct fs {
	struct virtio_device d;		/* first */
	const char *path;
	bool readonly;
	bool root_user;			/* files get the guest's owners */
	int proc_fd;			/* /proc/self/fd */
	struct fs_node **node;		/* by id; [0] is never used */
	uint64_t nr_nodes;
	uint64_t free_from;		/* no number below is free */
	struct fs_node *hash[FS_HASH];
	struct fs_handle *handle;
	uint64_t nr_handles;

	uint8_t args[FS_ARGS + 1] __attribute__((aligned(8)));	/* a NUL behind */
	uint8_t reply[FS_REPLY] __attribute__((aligned(8)));
};

/* A request being served. */
struct fs_request {
	struct fs *fs;
	const struct vq_chain *c;
	struct fuse_in_header h;
	const uint8_t *args;
	size_t args_bytes;
	uint64_t data_bytes;		/* out-buffers in all, behind the header */
	uint8_t *reply;
	size_t room;			/* for the reply, without its header */
};

/* -> bytes of the reply, or a negative errno. */
typedef int (*fs_fn)(struct fs_request *r);

struct fs_operation {
	uint16_t args;			/* bytes that must be there */
	bool writes;			/* refused on a read-only share */
	bool silent;			/* there is no reply */
	fs_fn fn;
};

/* By opcode; those without a function are not supported. */
#define FS_OPCODES	64
extern const struct fs_operation fs_names[FS_OPCODES];
extern const struct fs_operation fs_files[FS_OPCODES];

/* ---- fs_node.c ---- */

/* The file that the guest calls @id, NULL if there is none. */
struct fs_node *fs_node(struct fs *fs, uint64_t id);
/* Take over @fd, an O_PATH descriptor, with one more reference. Closed where
 * the file is known. NULL: out of memory.
 */
struct fs_node *fs_node_get(struct fs *fs, int fd, const struct stat *st);
void fs_node_put(struct fs *fs, uint64_t id, uint64_t lookups);
/* -> a number, or a negative errno, with @fd closed. */
int64_t fs_handle_new(struct fs *fs, int fd, bool folder);
/* The descriptor, or -1. */
int fs_handle_fd(const struct fs *fs, uint64_t number, bool folder);
void fs_handle_close(struct fs *fs, uint64_t number);
/* Set up the root; a line says why it cannot be. */
void fs_node_init(struct fs *fs);
void fs_node_forget_all(struct fs *fs);

/* ---- shared by the operations ---- */

/* The @nr'th string behind @skip bytes of arguments; NULL if it is not a name
 * of one component.
 */
const char *fs_name(const struct fs_request *r, size_t skip, unsigned int nr);
/* An O_PATH descriptor of @name in @folder, or a negative errno. */
int fs_find(const struct fs_node *folder, const char *name);
/* Open the file for real. -> a descriptor, or a negative errno. */
int fs_reopen(const struct fs *fs, const struct fs_node *node, int flags);
/* Look @name up and fill in @e; 0, or a negative errno. */
int fs_entry(struct fs *fs, const struct fs_node *folder, const char *name,
	     struct fuse_entry_out *e);
void fs_attr(struct fuse_attr *a, const struct stat *st);
int fs_stat(const struct fs_node *node, struct stat *st);

#endif /* FS_H */
