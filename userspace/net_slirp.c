// SPDX-License-Identifier: GPL-2.0
/*
 * User networking: libslirp speaks TCP/IP with the guest and uses ordinary
 * sockets of this process with the world; it needs no rights. The guest gets
 * 10.0.2.15 by DHCP, the host is 10.0.2.2, a name server is 10.0.2.3.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "loop.h"
#include "machine.h"
#include "net.h"

#ifdef HAVE_SLIRP

#include <libslirp.h>

#define NETWORK		"10.0.2.0"
#define NETMASK		"255.255.255.0"
#define HOST		"10.0.2.2"
#define NAME_SERVER	"10.0.2.3"
#define GUEST		"10.0.2.15"
#define NETWORK6	"fec0::"
#define HOST6		"fec0::2"
#define NAME_SERVER6	"fec0::3"
#define PREFIX6		64
#define CONFIG_VERSION	4
#define QUEUE_FRAMES	512	/* a burst, while the guest has no buffers */
#define NS_PER_MS	1000000

struct frame {
	struct frame *next;
	size_t bytes;
	uint8_t data[];
};

struct timer {
	struct timer *next;
	SlirpTimerId id;
	void *opaque;
	int64_t due;		/* ms; -1: not running */
};

/* All of it in the loop's thread, once that runs. */
struct user {
	struct net *n;
	Slirp *slirp;
	struct timer *timers;
	struct frame *first, **last;
	unsigned int queued;
	bool polled;		/* prepare() has asked libslirp */
	uint8_t frame[NET_MAX_FRAME];	/* of the guest's, in one piece */
};

static int64_t slirp_clock(void *opaque)
{
	struct timespec ts;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* ---- frames to the guest ---- */

static bool deliver(struct user *u, const void *data, size_t bytes)
{
	struct virtio_net_hdr_v1 h = { 0 };

	if (virtio_has(&u->n->d, VIRTIO_NET_F_GUEST_CSUM))
		h.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	return net_receive(u->n, &h, data, bytes);
}

static void flush(struct user *u)
{
	struct frame *f;

	while ((f = u->first) && deliver(u, f->data, f->bytes)) {
		u->first = f->next;
		if (!u->first)
			u->last = &u->first;
		u->queued--;
		free(f);
	}
}

/* In order, always: what does not fit waits, and more waits behind it. */
static ssize_t send_packet(const void *data, size_t bytes, void *opaque)
{
	struct user *u = opaque;
	struct frame *f;

	if (!atomic_load(&u->n->d.live) || bytes > NET_MAX_FRAME)
		return (ssize_t)bytes;
	if (!u->first && deliver(u, data, bytes))
		return (ssize_t)bytes;
	if (u->queued == QUEUE_FRAMES)
		return (ssize_t)bytes;	/* lost, as on a wire */
	f = malloc(sizeof(*f) + bytes);
	if (!f)
		return (ssize_t)bytes;
	f->next = NULL;
	f->bytes = bytes;
	memcpy(f->data, data, bytes);
	*u->last = f;
	u->last = &f->next;
	u->queued++;
	return (ssize_t)bytes;
}

static void user_ready(struct net *n)
{
	flush(n->priv);
}

/* ---- frames from the guest ---- */

static void user_send(struct net *n, const struct vq_chain *c)
{
	struct user *u = n->priv;
	size_t bytes = chain_read(c, NET_HEADER, u->frame, sizeof(u->frame));

	slirp_input(u->slirp, u->frame, (int)bytes);
}

/* ---- timers ---- */

static void *timer_new(SlirpTimerId id, void *opaque_of_timer, void *opaque)
{
	struct user *u = opaque;
	struct timer *t = xcalloc(1, sizeof(*t));

	*t = (struct timer){
		.next = u->timers, .id = id, .opaque = opaque_of_timer, .due = -1,
	};
	u->timers = t;
	return t;
}

static void timer_free(void *timer, void *opaque)
{
	struct user *u = opaque;
	struct timer **at = &u->timers;

	while (*at != timer)
		at = &(*at)->next;
	*at = (*at)->next;
	free(timer);
}

static void timer_mod(void *timer, int64_t due, void *opaque)
{
	struct timer *t = timer;

	(void)opaque;
	t->due = due;
}

static void run_timers(struct user *u)
{
	int64_t now = slirp_clock(NULL) / NS_PER_MS;
	struct timer *t;

	for (t = u->timers; t; t = t->next)
		if (t->due >= 0 && t->due <= now) {
			t->due = -1;
			slirp_handle_timer(u->slirp, t->id, t->opaque);
		}
}

static void shorten(struct user *u, int *timeout)
{
	int64_t now = slirp_clock(NULL) / NS_PER_MS, left;
	struct timer *t;

	for (t = u->timers; t; t = t->next) {
		if (t->due < 0)
			continue;
		left = t->due > now ? t->due - now : 0;
		if (*timeout < 0 || left < *timeout)
			*timeout = (int)left;
	}
}

/* ---- polling ---- */

static int add_poll(int fd, int events, void *opaque)
{
	short wanted = (events & SLIRP_POLL_IN ? POLLIN : 0) |
		       (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
		       (events & SLIRP_POLL_PRI ? POLLPRI : 0);

	return loop_poll(opaque, fd, wanted);
}

static int get_revents(int index, void *opaque)
{
	short got = loop_revents(opaque, index);

	return (got & POLLIN ? SLIRP_POLL_IN : 0) |
	       (got & POLLOUT ? SLIRP_POLL_OUT : 0) |
	       (got & POLLPRI ? SLIRP_POLL_PRI : 0) |
	       (got & POLLERR ? SLIRP_POLL_ERR : 0) |
	       (got & POLLHUP ? SLIRP_POLL_HUP : 0);
}

/* With frames waiting for the guest nothing more is read from the world. */
static void prepare(void *ctx, struct loop *l, int *timeout)
{
	struct user *u = ctx;
	uint32_t ms = UINT32_MAX;

	u->polled = !u->first;
	if (u->polled) {
		slirp_pollfds_fill(u->slirp, &ms, add_poll, l);
		if (ms <= INT32_MAX)
			*timeout = (int)ms;
	}
	shorten(u, timeout);
}

static void done(void *ctx, struct loop *l)
{
	struct user *u = ctx;

	if (u->polled)
		slirp_pollfds_poll(u->slirp, 0, get_revents, l);
	run_timers(u);
}

static const struct loop_hooks hooks = { .prepare = prepare, .done = done };

/* The guest is talked to by its mistakes: that is its own affair. */
static void guest_error(const char *text, void *opaque)
{
	(void)text;
	(void)opaque;
}

static void ignore_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void ignore_notify(void *opaque)
{
	(void)opaque;
}

static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = slirp_clock,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = ignore_fd,
	.unregister_poll_fd = ignore_fd,
	.notify = ignore_notify,
	.timer_new_opaque = timer_new,
};

/* ---- opening ---- */

static struct in_addr ip(const char *text)
{
	struct in_addr a;

	inet_pton(AF_INET, text, &a);
	return a;
}

static struct in6_addr ip6(const char *text)
{
	struct in6_addr a;

	inet_pton(AF_INET6, text, &a);
	return a;
}

static void add_forwards(const struct net_config *cfg, struct user *u)
{
	unsigned int i;

	for (i = 0; i < cfg->nr_forwards; i++) {
		const struct forward *f = &cfg->forward[i];

		if (!slirp_add_hostfwd(u->slirp, f->udp, ip(f->host),
				       f->host_port, ip(GUEST), f->guest_port))
			continue;
		die("--net: port %u of %s cannot be forwarded: %s", f->host_port,
		    f->host, errno == EADDRINUSE ? "it is in use" :
		    strerror(errno));
	}
}

static void user_open(struct net *n)
{
	SlirpConfig c = {
		.version = CONFIG_VERSION,
		.restricted = n->cfg->isolated,
		.in_enabled = true,
		.vnetwork = ip(NETWORK),
		.vnetmask = ip(NETMASK),
		.vhost = ip(HOST),
		.in6_enabled = true,
		.vprefix_addr6 = ip6(NETWORK6),
		.vprefix_len = PREFIX6,
		.vhost6 = ip6(HOST6),
		.vdhcp_start = ip(GUEST),
		.vnameserver = ip(NAME_SERVER),
		.vnameserver6 = ip6(NAME_SERVER6),
	};
	struct user *u = xcalloc(1, sizeof(*u));

	n->priv = u;
	u->n = n;
	u->last = &u->first;
	u->slirp = slirp_new(&c, &callbacks, u);
	if (!u->slirp)
		die("--net user: libslirp does not start");
	add_forwards(n->cfg, u);
}

static void user_attach(struct net *n)
{
	loop_set_hooks(n->d.loop, &hooks, n->priv);
}

/* What waits is for a driver that is gone; it goes when the next one gives
 * buffers, as anything else that it does not expect.
 */
static void user_reset(struct net *n)
{
	(void)n;
}

static void user_close(struct net *n)
{
	struct user *u = n->priv;
	struct frame *f;

	slirp_cleanup(u->slirp);
	while ((f = u->first)) {
		u->first = f->next;
		free(f);
	}
	free(u);
}

const struct net_backend net_slirp = {
	.open = user_open,
	.attach = user_attach,
	.send = user_send,
	.ready = user_ready,
	.reset = user_reset,
	.close = user_close,
};

#else /* !HAVE_SLIRP */

static void user_open(struct net *n)
{
	(void)n;
	die("--net user: this posada was built without libslirp: install libslirp-dev and build it again, or use --net tap=NAME");
}

const struct net_backend net_slirp = { .open = user_open };

#endif
