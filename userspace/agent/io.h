/* SPDX-License-Identifier: GPL-2.0 */
/* What the agent and the tool both do with descriptors. */
#ifndef AGENT_IO_H
#define AGENT_IO_H

#include <stdbool.h>
#include <stddef.h>

/* Write all of it; waits while there is no room. false: @fd takes no more. */
bool write_all(int fd, const void *data, size_t bytes);

#endif /* AGENT_IO_H */
