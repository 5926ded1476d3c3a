/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A function's MSI-X table (PCI 3.0, 6.8.2): messages by number, each with an
 * address and data that the guest writes, and a mask.
 */
#ifndef MSIX_H
#define MSIX_H

#include <stdbool.h>
#include <stdint.h>

#define MSIX_ENTRY_BYTES	16
#define MSIX_PBA_OFFSET		0x800	/* pending bits, behind the table */
#define MSIX_MAX		32
#define MSIX_ENABLE		0x8000U	/* message control */
#define MSIX_MASK_ALL		0x4000U

struct msix;
struct posada_vm;

struct msix *msix_create(struct posada_vm *vm, unsigned int vectors);
void msix_free(struct msix *x);
/* The guest's access to table and pending bits; a bus_fn. */
void msix_access(void *msix, uint64_t offset, void *data, unsigned int len,
		 bool write);
/* The function's message control has been written. */
void msix_control(struct msix *x, uint16_t control);
/* Send, or remember while masked. Unknown numbers are nobody's. */
void msix_send(struct msix *x, unsigned int vector);
/* An eventfd that sends @vector when it is signalled, with no work in this
 * process; -1 if there is none. It lives as long as @x.
 */
int msix_eventfd(struct msix *x, unsigned int vector);

#endif /* MSIX_H */
