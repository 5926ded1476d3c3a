/* SPDX-License-Identifier: GPL-2.0 */
/* The directed tests of decode_test: decode_directed.c. */
#ifndef DECODE_TESTS_H
#define DECODE_TESTS_H

#include <stdint.h>

uint64_t rnd(void);
unsigned int directed_count(void);
/* Run them, numbered from @first + 1; -> how many failed. */
unsigned int directed_run(unsigned int first);

#endif /* DECODE_TESTS_H */
