/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A fuzzer of the virtio devices: an input is a program for a hostile driver,
 * byte by byte. It fills rings with what is almost right, and with garbage,
 * sends requests of each device's own kind, resets in between.
 *
 *	selftests/unit/vfuzz_test.c	inputs from a seed, for a few seconds
 *	selftests/fuzz/libfuzzer.c	inputs from libFuzzer, by coverage
 */
#ifndef VFUZZ_H
#define VFUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The devices' names; NULL at the end. */
extern const char *const vfuzz_names[];

/* Create the device, with files in a folder of its own; one at a time. */
void vfuzz_begin(unsigned int device);
void vfuzz_input(const uint8_t *data, size_t bytes);
/* One step of another vCPU's, on registers alone; from any thread. */
void vfuzz_registers(uint64_t random);
/* Destroy it. -> whether nothing outside of its folder has changed, and it
 * still works after a reset.
 */
bool vfuzz_end(void);

#endif /* VFUZZ_H */
