/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The port to the agent in the guest: a virtio-console device with one port,
 * and the sessions that share it, each a socket of somebody who speaks the
 * frames of agent/protocol.h.
 */
#ifndef AGENT_PORT_H
#define AGENT_PORT_H

#include <stdbool.h>

struct virtio_device;
struct virtio_memory;

#define PORT_SESSIONS	32

struct virtio_device *agent_port_create(const struct virtio_memory *mem);
/* Has somebody in the guest opened the port? Any thread. */
bool agent_port_is_open(struct virtio_device *d);
/* Take over @fd, a stream socket, as a session. Any thread. false, and @fd is
 * still the caller's: there are as many as there may be.
 */
bool agent_port_join(struct virtio_device *d, int fd);

#endif /* AGENT_PORT_H */
