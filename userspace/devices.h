/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The virtio devices of a machine, as the command line asks for them. There is
 * none that nobody asked for, and without any there is no PCI bus either.
 *
 *	devices_create()	opens what the host has to give; whatever is
 *				wrong ends the program here, before there is a VM
 *	devices_attach()	puts them on a bus of the machine
 *	devices_start()		their threads run
 *	devices_stop()		no more; when no vCPU runs any more
 *	devices_free()
 */
#ifndef DEVICES_H
#define DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_DISKS	8
#define MAX_NETS	4
#define MAX_SHARES	4
#define MAX_FORWARDS	16
#define MAX_QUEUES	8	/* of a disk */

enum virtio_kind { VIRTIO_PCI, VIRTIO_MMIO };

struct disk_config {
	const char *path;
	const char *serial;
	unsigned int queues;	/* 0: one a vCPU */
	bool readonly;
};

/* user: a TCP or UDP port of the host that leads to one of the guest. */
struct forward {
	bool udp;
	const char *host;	/* IPv4 address */
	uint16_t host_port;
	uint16_t guest_port;
};

enum vhost_use { VHOST_AUTO, VHOST_ON, VHOST_OFF };

struct net_config {
	const char *tap;	/* NULL: user networking */
	enum vhost_use vhost;
	bool isolated;		/* user: nothing but the forwards */
	bool has_mac;
	uint8_t mac[6];
	unsigned int nr_forwards;
	struct forward forward[MAX_FORWARDS];
};

struct share_config {
	const char *path;
	const char *tag;
	bool readonly;
};

struct device_config {
	enum virtio_kind transport;
	bool no_packed;
	bool rng;
	bool hvc;			/* the terminal is a virtio console */
	bool ring;			/* or the console of hypercalls */
	bool agent;			/* a port to the agent in the guest */
	bool balloon;
	uint64_t balloon_target;	/* bytes; 0: all of the memory */
	uint32_t vsock_cid;		/* 0: none */
	unsigned int nr_disks;
	struct disk_config disk[MAX_DISKS];
	unsigned int nr_nets;
	struct net_config net[MAX_NETS];
	unsigned int nr_shares;
	struct share_config share[MAX_SHARES];
};

struct config;
struct devices;
struct machine;
struct virtio_device;
struct virtio_memory;

/* ---- device_options.c: the arguments; a usage error ends the program ---- */

void option_disk(struct device_config *c, char *text);
void option_net(struct device_config *c, char *text);
void option_share(struct device_config *c, char *text);
void option_vsock(struct device_config *c, const char *text);
void option_virtio(struct device_config *c, char *text);
void option_console(struct device_config *c, const char *text);

/* ---- devices.c ---- */

/* @room_fd: an eventfd for a virtio console, see hvc_create(). */
struct devices *devices_create(const struct config *cfg, int room_fd);
void devices_attach(struct machine *m, struct devices *ds);
void devices_start(struct devices *ds);
/* Their threads end when what vCPUs had notified is taken; what is under way is
 * finished by devices_free().
 */
void devices_stop(struct devices *ds);
void devices_free(struct devices *ds);
unsigned int devices_count(const struct devices *ds);

/* ---- one file each. They end the program with a line on failure. ---- */

struct virtio_device *blk_create(const struct disk_config *cfg,
				 unsigned int index, unsigned int vcpus,
				 const struct virtio_memory *mem);
struct virtio_device *rng_create(const struct virtio_memory *mem);
struct virtio_device *net_create(const struct net_config *cfg,
				 unsigned int index,
				 const struct virtio_memory *mem);
struct virtio_device *fs_create(const struct share_config *cfg,
				unsigned int index,
				const struct virtio_memory *mem);
struct virtio_device *vsock_create(uint32_t cid,
				   const struct virtio_memory *mem);
struct virtio_device *balloon_create(uint64_t pages,
				     const struct virtio_memory *mem);

/* The terminal as a virtio console. Output goes to @put, in the device's
 * thread; @room_fd is signalled when hvc_room() may have grown.
 */
struct virtio_device *hvc_create(const struct virtio_memory *mem, int room_fd);
void hvc_set_output(struct virtio_device *d, void (*put)(void *ctx, uint8_t byte),
		    void *ctx);
size_t hvc_room(struct virtio_device *d);
size_t hvc_receive(struct virtio_device *d, const uint8_t *data, size_t bytes);

#endif /* DEVICES_H */
