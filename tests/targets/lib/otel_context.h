/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread's context as OTEP 4947 has it, and who publishes it: the program itself, or a library that defines the variable in its place.
 */
#ifndef OTEL_CONTEXT_H
#define OTEL_CONTEXT_H

#include <stdint.h>

struct otel_record {
	uint8_t trace_id[16], span_id[8];
	volatile uint8_t valid;
	uint8_t flags;
	uint16_t attrs_size;
	uint8_t attrs[612];
};

void otel_context_attach(struct otel_record *record);

#endif
