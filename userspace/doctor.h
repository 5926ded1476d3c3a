/* SPDX-License-Identifier: GPL-2.0 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <stdbool.h>

/* Report on this host. -> 0: guests can be started here; 1: not. */
int doctor(bool json);

#endif /* DOCTOR_H */
