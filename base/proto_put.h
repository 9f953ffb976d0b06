/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/proto_put.h - protobuf messages put together in buffers, field by field.
 *
 * A pprof file, and the few fields of text and bytes that servers of profiles take around it; which field means what is the
 * writer's. Zeros of plain fields are left out, as proto3 does. Source of truth: protobuf's documentation, "Encoding".
 */
#ifndef CPROF_BASE_PROTO_PUT_H
#define CPROF_BASE_PROTO_PUT_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"

void cprof_proto_put_varint(struct cprof_buffer *out, uint64_t value);

/* A number, 0 too: an entry of a list, or one that has to be there. */
void cprof_proto_put_entry(struct cprof_buffer *out, uint32_t field, uint64_t value);

/* A number; nothing for 0. */
void cprof_proto_put_number(struct cprof_buffer *out, uint32_t field, uint64_t value);

/* A fixed64, whatever it is. */
void cprof_proto_put_fixed64(struct cprof_buffer *out, uint32_t field, uint64_t value);

/* Bytes, a text or a message; empty ones too, because an empty entry of a list counts. */
void cprof_proto_put_bytes(struct cprof_buffer *out, uint32_t field, const void *bytes, size_t n);
void cprof_proto_put_text(struct cprof_buffer *out, uint32_t field, const char *text);
void cprof_proto_put_message(struct cprof_buffer *out, uint32_t field,
			     const struct cprof_buffer *message);

/* message{1: a, 2: b} as one field: the pairs of text that labels are everywhere. */
void cprof_proto_put_pair(struct cprof_buffer *out, uint32_t field, const char *a, const char *b);

#endif
