// SPDX-License-Identifier: GPL-2.0
/* A shared folder: the numbers by which the guest knows files and open files. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs.h"
#include "machine.h"

/* Numbers are indices; the room for them doubles. */
#define FIRST_ROOM	64

static struct fs_node **bucket(struct fs *fs, dev_t dev, ino_t ino)
{
	return &fs->hash[(dev * 31 + ino) % FS_HASH];
}

struct fs_node *fs_node(struct fs *fs, uint64_t id)
{
	return id < fs->nr_nodes ? fs->node[id] : NULL;
}

static uint64_t free_number(struct fs *fs)
{
	static const size_t bytes = sizeof(*fs->node);
	struct fs_node **more;
	uint64_t id, room;

	for (id = fs->free_from; id < fs->nr_nodes; id++)
		if (!fs->node[id]) {
			fs->free_from = id + 1;
			return id;
		}
	room = fs->nr_nodes ? 2 * fs->nr_nodes : FIRST_ROOM;
	more = realloc(fs->node, room * bytes);
	if (!more)
		return 0;
	memset(more + fs->nr_nodes, 0, (room - fs->nr_nodes) * bytes);
	id = fs->nr_nodes > FS_ROOT ? fs->nr_nodes : FS_ROOT + 1;
	fs->node = more;
	fs->nr_nodes = room;
	fs->free_from = id + 1;
	return id;
}

static struct fs_node *new_node(struct fs *fs, uint64_t id, int fd,
				const struct stat *st)
{
	struct fs_node *n = calloc(1, sizeof(*n)), **head;

	if (!n)
		return NULL;
	*n = (struct fs_node){
		.id = id, .lookups = 1, .fd = fd, .type = st->st_mode & S_IFMT,
		.dev = st->st_dev, .ino = st->st_ino,
	};
	head = bucket(fs, n->dev, n->ino);
	n->next = *head;
	*head = n;
	fs->node[id] = n;
	return n;
}

struct fs_node *fs_node_get(struct fs *fs, int fd, const struct stat *st)
{
	struct fs_node *n = *bucket(fs, st->st_dev, st->st_ino);
	uint64_t id;

	for (; n; n = n->next)
		if (n->dev == st->st_dev && n->ino == st->st_ino) {
			close(fd);
			n->lookups++;
			return n;
		}
	id = free_number(fs);
	n = id ? new_node(fs, id, fd, st) : NULL;
	if (!n)
		close(fd);
	return n;
}

static void remove_node(struct fs *fs, struct fs_node *n)
{
	struct fs_node **at = bucket(fs, n->dev, n->ino);

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	fs->node[n->id] = NULL;
	if (n->id < fs->free_from)
		fs->free_from = n->id;
	close(n->fd);
	free(n);
}

/* The root stays, however often the guest forgets it. */
void fs_node_put(struct fs *fs, uint64_t id, uint64_t lookups)
{
	struct fs_node *n = fs_node(fs, id);

	if (!n || id == FS_ROOT)
		return;
	n->lookups -= lookups < n->lookups ? lookups : n->lookups;
	if (!n->lookups)
		remove_node(fs, n);
}

void fs_node_forget_all(struct fs *fs)
{
	uint64_t i;

	for (i = FS_ROOT + 1; i < fs->nr_nodes; i++)
		if (fs->node[i])
			remove_node(fs, fs->node[i]);
	for (i = 0; i < fs->nr_handles; i++)
		fs_handle_close(fs, i);
}

void fs_node_init(struct fs *fs)
{
	int fd = open(fs->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		die("--share %s: %s", fs->path, strerror(errno));
	if (access(fs->path, R_OK | X_OK))
		die("--share %s: cannot be read: %s", fs->path, strerror(errno));
	if (!fs->readonly && access(fs->path, W_OK))
		warn_line("--share %s: cannot be written (%s); the guest will see errors, or add ,ro",
			  fs->path, strerror(errno));
	if (!free_number(fs) || !new_node(fs, FS_ROOT, fd, &st))
		die("out of memory");
	fs->free_from = FS_ROOT + 1;
}

/* ---- open files ---- */

int64_t fs_handle_new(struct fs *fs, int fd, bool folder)
{
	struct fs_handle *more;
	uint64_t i, room;

	for (i = 0; i < fs->nr_handles; i++)
		if (fs->handle[i].fd < 0)
			break;
	if (i == fs->nr_handles) {
		room = i ? 2 * i : FIRST_ROOM;
		more = realloc(fs->handle, room * sizeof(*more));
		if (!more) {
			close(fd);
			return -ENOMEM;
		}
		fs->handle = more;
		while (fs->nr_handles < room)
			fs->handle[fs->nr_handles++] =
				(struct fs_handle){ .fd = -1 };
	}
	fs->handle[i] = (struct fs_handle){ .fd = fd, .folder = folder };
	return (int64_t)i;
}

int fs_handle_fd(const struct fs *fs, uint64_t number, bool folder)
{
	if (number >= fs->nr_handles || fs->handle[number].folder != folder)
		return -1;
	return fs->handle[number].fd;
}

void fs_handle_close(struct fs *fs, uint64_t number)
{
	if (number >= fs->nr_handles || fs->handle[number].fd < 0)
		return;
	close(fs->handle[number].fd);
	fs->handle[number].fd = -1;
}
