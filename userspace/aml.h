/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A builder of ACPI Machine Language: each function appends one term. Terms
 * that contain others are opened and closed; the length is filled in then.
 */
#ifndef AML_H
#define AML_H

#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *data;
	size_t bytes;
	size_t room;
};

/* Open a term; -> what aml_close() takes. */
size_t aml_scope(struct aml *a, const char *name);
size_t aml_device(struct aml *a, const char *name);
size_t aml_package(struct aml *a, uint8_t elements);
size_t aml_buffer(struct aml *a);
size_t aml_method(struct aml *a, const char *name, uint8_t arguments);
void aml_close(struct aml *a, size_t at);

/* Name (@name, ...): the value is the next term. Names have 4 characters; a
 * leading backslash means the root.
 */
void aml_name(struct aml *a, const char *name);
void aml_integer(struct aml *a, uint32_t value);
void aml_string(struct aml *a, const char *text);
/* An EISA id such as "PNP0501", as the integer that it packs to. */
void aml_eisa_id(struct aml *a, const char *id);

/* Notify (@name, @value), in a method. */
void aml_notify(struct aml *a, const char *name, uint8_t value);

/* Resource descriptors, inside a buffer that aml_end_tag() ends. */
void aml_io(struct aml *a, uint16_t port, uint8_t count);
void aml_irq_edge(struct aml *a, uint32_t gsi);
void aml_irq_level(struct aml *a, uint32_t gsi);
/* Fixed memory that the device decodes. */
void aml_memory32(struct aml *a, uint32_t base, uint32_t bytes);
/* What a bridge passes on: bus numbers, ports, memory. */
void aml_bus_window(struct aml *a, uint16_t first, uint16_t last);
void aml_port_window(struct aml *a, uint16_t base, uint16_t bytes);
void aml_memory_window(struct aml *a, uint32_t base, uint32_t bytes);
void aml_end_tag(struct aml *a);

#endif /* AML_H */
