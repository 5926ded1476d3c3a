// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-blk (virtio 1.2, 5.2) over a raw file or a block device. The loop
 * takes requests and hands them to a few worker threads, so that several are
 * under way at the host at a time; each ends its request itself. Buffers are
 * the guest's memory: nothing is copied on the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>

#include "devices.h"
#include "loop.h"
#include "machine.h"
#include "virtio.h"

#define SECTOR		512U
#define WORKERS		4
#define MAX_RANGES	16		/* of a discard */
#define MAX_RANGE	(1U << 22)	/* sectors: 2 GiB at a time */
#define SERIAL_BYTES	VIRTIO_BLK_ID_BYTES
#define ZEROES_BYTES	65536

struct job {
	struct job *next;
	struct vq_chain chain;
};

struct blk {
	struct virtio_device d;		/* first */
	const char *path;
	int fd;
	uint64_t sectors;
	bool readonly;
	char serial[SERIAL_BYTES];
	atomic_bool complained;

	pthread_mutex_t lock;		/* guards the list */
	pthread_cond_t more;
	struct job *first, **last;
	bool finish;
	pthread_t worker[WORKERS];
	unsigned int workers;
};

_Static_assert(offsetof(struct blk, d) == 0, "a blk is its device");
_Static_assert(sizeof(struct virtio_blk_config) <= VIRTIO_MAX_CONFIG, "config");

/* ---- requests ---- */

/* A request's data, as offsets into its out- or in-buffers. */
struct request {
	struct blk *b;
	const struct vq_chain *c;
	uint64_t sector;
	uint64_t bytes;
};

static bool in_range(const struct blk *b, uint64_t sector, uint64_t bytes)
{
	return bytes % SECTOR == 0 && sector <= b->sectors &&
	       bytes / SECTOR <= b->sectors - sector;
}

/* The host's failure is an I/O error to the guest; say what it was, once. */
static uint8_t failed(struct blk *b, const char *what, int error)
{
	if (!atomic_exchange(&b->complained, true))
		warn_line("%s: %s %s: %s", b->d.name, what, b->path,
			  error ? strerror(error) : "the file has become shorter");
	return VIRTIO_BLK_S_IOERR;
}

static uint8_t transfer(const struct request *r, bool write)
{
	const struct vq_chain *c = r->c;
	const struct iovec *from = write ? c->iov : c->iov + c->nr_out;
	unsigned int nr = write ? c->nr_out : c->nr_in;
	size_t skip = write ? sizeof(struct virtio_blk_outhdr) : 0;
	off_t at = (off_t)(r->sector * SECTOR);
	struct iovec iov[CHAIN_MAX];
	uint64_t done = 0;
	ssize_t n;

	while (done < r->bytes) {
		unsigned int count = iov_slice(from, nr, skip + done,
					       r->bytes - done, iov);

		n = write ? pwritev(r->b->fd, iov, (int)count, at + (off_t)done) :
			    preadv(r->b->fd, iov, (int)count, at + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return failed(r->b, write ? "writing" : "reading",
				      n < 0 ? errno : 0);
		done += (uint64_t)n;
	}
	return VIRTIO_BLK_S_OK;
}

static uint8_t do_read(const struct request *r)
{
	return in_range(r->b, r->sector, r->bytes) ? transfer(r, false) :
						     VIRTIO_BLK_S_IOERR;
}

static uint8_t do_write(const struct request *r)
{
	if (r->b->readonly || !in_range(r->b, r->sector, r->bytes))
		return VIRTIO_BLK_S_IOERR;
	return transfer(r, true);
}

static uint8_t do_flush(const struct request *r)
{
	if (!r->b->readonly && fdatasync(r->b->fd))
		return failed(r->b, "writing", errno);
	return VIRTIO_BLK_S_OK;
}

static uint8_t do_get_id(const struct request *r)
{
	size_t n = r->bytes < SERIAL_BYTES ? r->bytes : SERIAL_BYTES;

	chain_write(r->c, 0, r->b->serial, n);
	return VIRTIO_BLK_S_OK;
}

/* Where neither file system nor device can make a range zero by itself. */
static int write_zeroes(int fd, off_t at, uint64_t bytes)
{
	static const uint8_t zeroes[ZEROES_BYTES];

	while (bytes) {
		size_t n = bytes < sizeof(zeroes) ? bytes : sizeof(zeroes);
		ssize_t done = pwrite(fd, zeroes, n, at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? errno : EIO;
		at += done;
		bytes -= (uint64_t)done;
	}
	return 0;
}

static int punch(int fd, off_t at, uint64_t bytes)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			 (off_t)bytes) ? errno : 0;
}

static bool unsupported(int error)
{
	return error == EOPNOTSUPP || error == ENODEV;
}

static int discard_range(int fd, off_t at, uint64_t bytes)
{
	int error = punch(fd, at, bytes);

	/* It is a hint: the data may as well stay. */
	return unsupported(error) ? 0 : error;
}

static int zero_range(int fd, off_t at, uint64_t bytes, bool unmap)
{
	int error = unmap ? punch(fd, at, bytes) : EOPNOTSUPP;

	if (unsupported(error))
		error = fallocate(fd, FALLOC_FL_ZERO_RANGE |
				  FALLOC_FL_KEEP_SIZE, at, (off_t)bytes) ?
			errno : 0;
	return unsupported(error) ? write_zeroes(fd, at, bytes) : error;
}

/* Check all ranges, then do them. */
static uint8_t do_ranges(const struct request *r, bool zero)
{
	struct virtio_blk_discard_write_zeroes range[MAX_RANGES];
	size_t i, n = r->bytes / sizeof(range[0]);
	int error = 0;

	if (r->b->readonly)
		return VIRTIO_BLK_S_IOERR;
	if (!n || n > MAX_RANGES || r->bytes % sizeof(range[0]))
		return VIRTIO_BLK_S_UNSUPP;
	chain_read(r->c, sizeof(struct virtio_blk_outhdr), range, r->bytes);
	for (i = 0; i < n; i++) {
		uint32_t known = zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;

		if (range[i].flags & ~known)
			return VIRTIO_BLK_S_UNSUPP;
		if (range[i].num_sectors > MAX_RANGE ||
		    !in_range(r->b, range[i].sector,
			      (uint64_t)range[i].num_sectors * SECTOR))
			return VIRTIO_BLK_S_IOERR;
	}
	for (i = 0; i < n && !error; i++) {
		off_t at = (off_t)(range[i].sector * SECTOR);
		uint64_t bytes = (uint64_t)range[i].num_sectors * SECTOR;

		if (!bytes)
			continue;
		error = zero ? zero_range(r->b->fd, at, bytes, range[i].flags) :
			       discard_range(r->b->fd, at, bytes);
	}
	return error ? failed(r->b, "writing", error) : VIRTIO_BLK_S_OK;
}

static uint8_t do_discard(const struct request *r)
{
	return do_ranges(r, false);
}

static uint8_t do_write_zeroes(const struct request *r)
{
	return do_ranges(r, true);
}

static const struct {
	uint32_t type;
	bool in;		/* its data is in the in-buffers */
	uint8_t (*fn)(const struct request *r);
} requests[] = {
	{ VIRTIO_BLK_T_IN, true, do_read },
	{ VIRTIO_BLK_T_OUT, false, do_write },
	{ VIRTIO_BLK_T_FLUSH, false, do_flush },
	{ VIRTIO_BLK_T_GET_ID, true, do_get_id },
	{ VIRTIO_BLK_T_DISCARD, false, do_discard },
	{ VIRTIO_BLK_T_WRITE_ZEROES, false, do_write_zeroes },
};

/* The header is in front of the out-buffers, the status behind the in-. */
static void serve(struct blk *b, struct vq_chain *c)
{
	struct request r = { .b = b, .c = c };
	struct virtio_blk_outhdr h;
	uint8_t status = VIRTIO_BLK_S_UNSUPP;
	uint32_t written = 1;
	size_t i;

	if (chain_read(c, 0, &h, sizeof(h)) != sizeof(h) || !c->in_bytes) {
		vq_push(c, 0);
		virtio_broken(&b->d, "a request without header or status");
		return;
	}
	r.sector = h.sector;
	for (i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		if (requests[i].type != h.type)
			continue;
		r.bytes = requests[i].in ? c->in_bytes - 1 :
					   c->out_bytes - sizeof(h);
		status = requests[i].fn(&r);
		if (requests[i].in)
			written += (uint32_t)r.bytes;
	}
	chain_write(c, c->in_bytes - 1, &status, 1);
	/* Only what was written counts; a gap before the status does, too. */
	vq_push(c, c->in_bytes > 1 && written == 1 ? 0 : written);
}

/* ---- the workers ---- */

static struct job *next_job(struct blk *b)
{
	struct job *j;

	pthread_mutex_lock(&b->lock);
	while (!b->first && !b->finish)
		pthread_cond_wait(&b->more, &b->lock);
	j = b->first;
	if (j) {
		b->first = j->next;
		if (!b->first)
			b->last = &b->first;
	}
	pthread_mutex_unlock(&b->lock);
	return j;
}

static void *worker_main(void *arg)
{
	struct blk *b = arg;
	struct job *j;

	pthread_setname_np(pthread_self(), b->d.name);
	while ((j = next_job(b))) {
		serve(b, &j->chain);
		free(j);
	}
	return NULL;
}

static void enqueue(struct blk *b, struct job *j)
{
	j->next = NULL;
	pthread_mutex_lock(&b->lock);
	*b->last = j;
	b->last = &j->next;
	pthread_cond_signal(&b->more);
	pthread_mutex_unlock(&b->lock);
}

/* With the first request: they are confined as this thread is. */
static void start_workers(struct blk *b)
{
	for (; b->workers < WORKERS; b->workers++)
		if (pthread_create(&b->worker[b->workers], NULL, worker_main, b))
			die("cannot start a thread for %s", b->d.name);
}

static void blk_kick(struct virtio_device *d, struct virtqueue *vq)
{
	struct blk *b = (struct blk *)d;
	struct job *j = xcalloc(1, sizeof(*j));

	start_workers(b);
	do {
		vq_ignore(vq);
		while (vq_pop(vq, &j->chain)) {
			enqueue(b, j);
			j = xcalloc(1, sizeof(*j));
		}
	} while (vq_listen(vq));
	free(j);
}

static void blk_destroy(struct virtio_device *d)
{
	struct blk *b = (struct blk *)d;
	unsigned int i;

	pthread_mutex_lock(&b->lock);
	b->finish = true;
	pthread_cond_broadcast(&b->more);
	pthread_mutex_unlock(&b->lock);
	for (i = 0; i < b->workers; i++)
		pthread_join(b->worker[i], NULL);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->more);
	close(b->fd);
	free(b);
}

static const struct virtio_ops blk_ops = {
	.name = "disk",
	.id = VIRTIO_ID_BLOCK,
	.kick = blk_kick,
	.destroy = blk_destroy,
};

/* ---- opening ---- */

static const char *foreign_format(int fd)
{
	static const struct {
		const char *magic;
		const char *name;
	} formats[] = {
		{ "QFI\xfb", "qcow2" }, { "KDMV", "VMDK" }, { "conectix", "VHD" },
		{ "vhdxfile", "VHDX" }, { "<<< ", "VDI" },
	};
	char head[8] = "";
	size_t i;

	if (pread(fd, head, sizeof(head), 0) < 0)
		return NULL;
	for (i = 0; i < sizeof(formats) / sizeof(*formats); i++)
		if (!memcmp(head, formats[i].magic, strlen(formats[i].magic)))
			return formats[i].name;
	return NULL;
}

static uint64_t size_of(const char *path, int fd)
{
	struct stat st;
	uint64_t bytes;

	if (fstat(fd, &st))
		die("--disk %s: %s", path, strerror(errno));
	if (S_ISREG(st.st_mode))
		bytes = (uint64_t)st.st_size;
	else if (!S_ISBLK(st.st_mode))
		die("--disk %s: neither a file nor a block device", path);
	else if (ioctl(fd, BLKGETSIZE64, &bytes))
		die("--disk %s: cannot tell its size: %s", path, strerror(errno));
	if (bytes < SECTOR)
		die("--disk %s: it is empty; make a disk by truncate -s 8G %s",
		    path, path);
	if (bytes % SECTOR)
		die("--disk %s: its size is no multiple of %u: is it a raw image?",
		    path, SECTOR);
	return bytes;
}

/* Two machines that write to one file system destroy it. */
static void lock_disk(const struct disk_config *cfg, int fd)
{
	struct flock lock = {
		.l_type = cfg->readonly ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	if (!fcntl(fd, F_OFD_SETLK, &lock))
		return;
	if (errno == EAGAIN || errno == EACCES)
		die("--disk %s: another machine uses it (all of them may with ,ro)",
		    cfg->path);
	die("--disk %s: cannot lock it: %s", cfg->path, strerror(errno));
}

static int open_disk(const struct disk_config *cfg)
{
	int fd = open(cfg->path, O_CLOEXEC | O_NONBLOCK |
		      (cfg->readonly ? O_RDONLY : O_RDWR));
	const char *format;

	if (fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM) &&
	    !cfg->readonly)
		die("--disk %s: cannot be written (%s); add ,ro to read only",
		    cfg->path, strerror(errno));
	if (fd < 0)
		die("--disk %s: %s", cfg->path, strerror(errno));
	format = foreign_format(fd);
	if (format)
		die("--disk %s: a %s image; make a raw one by qemu-img convert -O raw",
		    cfg->path, format);
	return fd;
}

static void fill_config(struct blk *b, unsigned int queues)
{
	struct virtio_blk_config c = {
		.capacity = b->sectors,
		.seg_max = CHAIN_MAX - 2,
		.blk_size = SECTOR,
		.num_queues = (uint16_t)queues,
		.max_discard_sectors = MAX_RANGE,
		.max_discard_seg = MAX_RANGES,
		.discard_sector_alignment = 1,
		.max_write_zeroes_sectors = MAX_RANGE,
		.max_write_zeroes_seg = MAX_RANGES,
		.write_zeroes_may_unmap = 1,
	};

	memcpy(b->d.config, &c, sizeof(c));
	b->d.config_bytes = sizeof(c);
}

struct virtio_device *blk_create(const struct disk_config *cfg,
				 unsigned int index, unsigned int vcpus,
				 const struct virtio_memory *mem)
{
	unsigned int queues = cfg->queues ? cfg->queues : vcpus;
	struct blk *b = xcalloc(1, sizeof(*b));
	uint64_t features = FEATURE(VIRTIO_BLK_F_SEG_MAX) |
		FEATURE(VIRTIO_BLK_F_BLK_SIZE) | FEATURE(VIRTIO_BLK_F_FLUSH) |
		FEATURE(VIRTIO_BLK_F_MQ);
	char name[16];

	if (queues > MAX_QUEUES)
		queues = MAX_QUEUES;
	features |= cfg->readonly ? FEATURE(VIRTIO_BLK_F_RO) :
		FEATURE(VIRTIO_BLK_F_DISCARD) |
		FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);
	b->path = cfg->path;
	b->readonly = cfg->readonly;
	b->fd = open_disk(cfg);
	b->sectors = size_of(cfg->path, b->fd) / SECTOR;
	lock_disk(cfg, b->fd);
	snprintf(name, sizeof(name), "disk%u", index);
	/* Not ended by a NUL where it is as long as it can be. */
	strncpy(b->serial, cfg->serial ? cfg->serial : name, SERIAL_BYTES);
	b->last = &b->first;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->more, NULL);
	virtio_init(&b->d, &blk_ops, name, mem, features, queues);
	fill_config(b, queues);
	return &b->d;
}
