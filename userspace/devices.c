// SPDX-License-Identifier: GPL-2.0
/* The machine's devices: create, put on a bus, start, end. */
#include <stdlib.h>
#include <string.h>

#include "agent_port.h"
#include "devices.h"
#include "loop.h"
#include "machine.h"
#include "pci.h"
#include "virtio.h"
#include "virtio_transport.h"

#define MAX_DEVICES	(MAX_DISKS + MAX_NETS + MAX_SHARES + 5)

struct devices {
	const struct config *cfg;
	struct virtio_memory mem;
	struct pci *pci;
	struct virtio_device *hvc;	/* among the others; NULL: none */
	struct virtio_device *agent;	/* likewise */
	unsigned int count;
	struct {
		struct virtio_device *d;
		struct virtio_pci *pci;
		struct virtio_mmio *mmio;
	} on[MAX_DEVICES];
};

static void add(struct devices *ds, struct virtio_device *d)
{
	if (ds->cfg->dev.no_packed)
		virtio_no_packed(d);
	ds->on[ds->count++].d = d;
}

static uint64_t balloon_pages(const struct config *cfg)
{
	uint64_t target = cfg->dev.balloon_target;

	if (target > cfg->mem)
		die("--balloon: the guest has %lluM of memory, less than that",
		    (unsigned long long)(cfg->mem / MIB));
	return target ? (cfg->mem - target) / POSADA_PAGE_SIZE : 0;
}

struct devices *devices_create(const struct config *cfg, int room_fd)
{
	const struct device_config *c = &cfg->dev;
	struct devices *ds = xcalloc(1, sizeof(*ds));
	unsigned int i;

	ds->cfg = cfg;
	for (i = 0; i < c->nr_disks; i++)
		add(ds, blk_create(&c->disk[i], i, cfg->vcpus, &ds->mem));
	for (i = 0; i < c->nr_nets; i++)
		add(ds, net_create(&c->net[i], i, &ds->mem));
	for (i = 0; i < c->nr_shares; i++)
		add(ds, fs_create(&c->share[i], i, &ds->mem));
	if (c->hvc) {
		ds->hvc = hvc_create(&ds->mem, room_fd);
		add(ds, ds->hvc);
	}
	if (c->agent) {
		ds->agent = agent_port_create(&ds->mem);
		add(ds, ds->agent);
	}
	if (c->vsock_cid)
		add(ds, vsock_create(c->vsock_cid, &ds->mem));
	if (c->balloon)
		add(ds, balloon_create(balloon_pages(cfg), &ds->mem));
	if (c->rng)
		add(ds, rng_create(&ds->mem));
	if (c->transport == VIRTIO_MMIO && ds->count > VIRTIO_MMIO_MAX)
		die("--virtio mmio: %d devices at most", VIRTIO_MMIO_MAX);
	return ds;
}

unsigned int devices_count(const struct devices *ds)
{
	return ds->count;
}

static void map_memory(struct devices *ds, struct machine *m)
{
	struct virtio_memory *mem = &ds->mem;

	mem->part[0].bytes = m->low_bytes;
	mem->part[0].hva = posada_hva(m->vm, 0, m->low_bytes);
	mem->part[1].gpa = HOLE_END;
	mem->part[1].bytes = m->high_bytes;
	if (m->high_bytes)
		mem->part[1].hva = posada_hva(m->vm, HOLE_END, m->high_bytes);
	mem->count = m->high_bytes ? 2 : 1;
}

void devices_attach(struct machine *m, struct devices *ds)
{
	unsigned int i;

	m->devices = ds;
	m->hvc = ds->hvc;
	m->agent = ds->agent;
	if (!ds->count)
		return;
	map_memory(ds, m);
	if (ds->cfg->dev.transport == VIRTIO_PCI) {
		ds->pci = pci_create(m);
		m->has_pci = true;
	} else {
		m->nr_mmio = ds->count;
	}
	for (i = 0; i < ds->count; i++) {
		if (ds->pci)
			ds->on[i].pci = virtio_pci_create(m, ds->pci,
							  ds->on[i].d);
		else
			ds->on[i].mmio = virtio_mmio_create(m, i, ds->on[i].d);
	}
}

void devices_start(struct devices *ds)
{
	unsigned int i;

	for (i = 0; i < ds->count; i++)
		loop_start(ds->on[i].d->loop);
}

void devices_stop(struct devices *ds)
{
	unsigned int i;

	for (i = 0; i < ds->count; i++)
		loop_stop(ds->on[i].d->loop);
}

void devices_free(struct devices *ds)
{
	unsigned int i;

	for (i = 0; i < ds->count; i++) {
		virtio_destroy(ds->on[i].d);
		if (ds->on[i].pci)
			virtio_pci_free(ds->on[i].pci);
		if (ds->on[i].mmio)
			virtio_mmio_free(ds->on[i].mmio);
	}
	pci_free(ds->pci);
	free(ds);
}
