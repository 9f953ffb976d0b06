/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/profile/wire.h - protobuf's wire format, field by field, out of bytes that others wrote.
 *
 * Lengths and varints are checked here; what a field means is the reader's (pprof_read.c). Nothing is copied or allocated.
 * Source of truth: protobuf's documentation, "Encoding".
 */
#ifndef CPROF_CONVERT_PROFILE_WIRE_H
#define CPROF_CONVERT_PROFILE_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"

/* What follows a field's number: protobuf encoding, "Message Structure". */
enum cprof_wire_type {
	CPROF_WIRE_VARINT = 0,
	CPROF_WIRE_64 = 1,
	CPROF_WIRE_BYTES = 2,
	CPROF_WIRE_32 = 5,
};

/* A stretch of bytes that is being read: a message, or packed numbers. */
struct cprof_wire {
	const uint8_t *at, *end;
	const uint8_t *start; /* of the whole file, for offsets in messages */
};

struct cprof_wire_field {
	uint32_t number;
	enum cprof_wire_type type;
	uint64_t value;          /* varint or fixed */
	struct cprof_wire bytes; /* CPROF_WIRE_BYTES */
	const uint8_t *tag;      /* where the field begins */
};

/* The next field of a message; *ret_more is false at its end. Errors: CPROF_ERR_BAD_DATA. */
struct cprof_error *cprof_wire_next(struct cprof_wire *message, struct cprof_wire_field *ret_field,
				    bool *ret_more);

/* A varint of more than one byte; see below. */
bool cprof_wire_long_varint(struct cprof_wire *wire, uint64_t *ret_value);

/* The varint that comes next; false if it is cut off or longer than 10 bytes. */
static inline bool cprof_wire_varint(struct cprof_wire *wire, uint64_t *ret_value)
{
	if (wire->at < wire->end && *wire->at < 0x80) { /* most are one byte */
		*ret_value = *wire->at++;
		return true;
	}
	return cprof_wire_long_varint(wire, ret_value);
}

/* The error for a field of this message (by its type in profile.proto) that has another wire type than it should. */
struct cprof_error *cprof_wire_mismatch(const struct cprof_wire_field *field,
					const struct cprof_wire *message,
					const ProtobufCMessageDescriptor *message_type)
	__attribute__((returns_nonnull));

static inline struct cprof_error *cprof_wire_expect(const struct cprof_wire_field *field,
						    enum cprof_wire_type type,
						    const struct cprof_wire *message,
						    const ProtobufCMessageDescriptor *message_type)
{
	return field->type == type ? NULL : cprof_wire_mismatch(field, message, message_type);
}

/* "malformed profile at byte N: ...", N being where `at` is in the file. */
struct cprof_error *cprof_wire_bad(const struct cprof_wire *wire, const uint8_t *at,
				   const char *fmt, ...)
	__attribute__((format(printf, 3, 4), returns_nonnull));

#endif
