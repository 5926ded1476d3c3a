// SPDX-License-Identifier: GPL-2.0
/* libFuzzer's entry; DEVICE in the environment names the device. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *name = getenv("DEVICE");
	unsigned int i = 0;

	(void)argc;
	(void)argv;
	while (name && vfuzz_names[i] && strcmp(vfuzz_names[i], name))
		i++;
	if (!vfuzz_names[i]) {
		fprintf(stderr, "DEVICE=%s: there is none\n", name);
		exit(2);
	}
	vfuzz_begin(i);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	vfuzz_input(data, bytes);
	return 0;
}
