// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-fs (virtio 1.2, 5.11): requests of the FUSE protocol arrive in two
 * queues, one for those that must not wait behind others.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>

#include "devices.h"
#include "fs.h"
#include "machine.h"

#define QUEUES		2	/* high priority, requests */

_Static_assert(sizeof(struct fuse_in_header) == 40, "fuse_in_header");
_Static_assert(sizeof(struct fuse_out_header) == 16, "fuse_out_header");

static const struct fs_operation *operation(uint32_t opcode)
{
	if (opcode >= FS_OPCODES)
		return NULL;
	if (fs_names[opcode].fn)
		return &fs_names[opcode];
	return fs_files[opcode].fn ? &fs_files[opcode] : NULL;
}

static int perform(struct fs_request *r, const struct fs_operation *op)
{
	if (!op)
		return -ENOSYS;
	if (r->args_bytes < op->args)
		return -EINVAL;
	if (op->writes && r->fs->readonly)
		return -EROFS;
	return op->fn(r);
}

/* What the reply's data is, if it was not put into place already. */
static uint32_t answer(struct fs_request *r, int result)
{
	struct fuse_out_header h = {
		.len = sizeof(h) + (result > 0 ? (uint32_t)result : 0),
		.error = result < 0 ? result : 0,
		.unique = r->h.unique,
	};

	chain_write(r->c, 0, &h, sizeof(h));
	if (result > 0 && r->reply)
		chain_write(r->c, sizeof(h), r->reply, (size_t)result);
	return h.len;
}

static void serve(struct vq_chain *c, void *ctx)
{
	struct fs_request r = { .fs = ctx, .c = c };
	const struct fs_operation *op;
	uint32_t written = 0;
	int result;

	if (chain_read(c, 0, &r.h, sizeof(r.h)) != sizeof(r.h)) {
		vq_push(c, 0);
		virtio_broken(&r.fs->d, "a request without its header");
		return;
	}
	r.args = r.fs->args;
	r.args_bytes = chain_read(c, sizeof(r.h), r.fs->args, FS_ARGS);
	r.fs->args[r.args_bytes] = 0;
	r.data_bytes = c->out_bytes - sizeof(r.h);
	r.reply = r.fs->reply;
	op = operation(r.h.opcode);
	if (c->in_bytes >= sizeof(struct fuse_out_header)) {
		r.room = c->in_bytes - sizeof(struct fuse_out_header);
		if (r.room > FS_REPLY)
			r.room = FS_REPLY;
		result = perform(&r, op);
		if (r.reply && result > (int)r.room)
			result = -ERANGE;
		written = answer(&r, result);
	} else if (op && op->silent) {
		perform(&r, op);
	}
	vq_push(c, written);
}

static void fs_kick(struct virtio_device *d, struct virtqueue *vq)
{
	vq_drain(vq, serve, d);
}

static void fs_reset(struct virtio_device *d)
{
	fs_node_forget_all((struct fs *)d);
}

static void fs_destroy(struct virtio_device *d)
{
	struct fs *fs = (struct fs *)d;

	close(fs->node[FS_ROOT]->fd);
	free(fs->node[FS_ROOT]);
	free(fs->node);
	free(fs->handle);
	close(fs->proc_fd);
	free(fs);
}

static const struct virtio_ops fs_ops = {
	.name = "share",
	.id = VIRTIO_ID_FS,
	.kick = fs_kick,
	.reset = fs_reset,
	.destroy = fs_destroy,
};

/* Every file that the guest knows is a descriptor here. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

struct virtio_device *fs_create(const struct share_config *cfg,
				unsigned int index,
				const struct virtio_memory *mem)
{
	struct virtio_fs_config c = { .num_request_queues = QUEUES - 1 };
	struct fs *fs = xcalloc(1, sizeof(*fs));
	char name[16];

	allow_descriptors();
	fs->path = cfg->path;
	fs->readonly = cfg->readonly;
	fs->root_user = !geteuid();
	fs->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fs->proc_fd < 0)
		die("--share %s: needs /proc: %s", cfg->path, strerror(errno));
	fs_node_init(fs);
	snprintf(name, sizeof(name), "share%u", index);
	virtio_init(&fs->d, &fs_ops, name, mem, 0, QUEUES);
	/* Not ended by a NUL where it is as long as it can be. */
	memcpy(c.tag, cfg->tag, strnlen(cfg->tag, sizeof(c.tag)));
	memcpy(fs->d.config, &c, sizeof(c));
	fs->d.config_bytes = sizeof(c);
	return &fs->d;
}
