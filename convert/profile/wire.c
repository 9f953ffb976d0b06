/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/profile/wire.h"

#include <stdarg.h>

#include "base/cleanup.h"
#include "cprof/buffer.h"

struct cprof_error *cprof_wire_bad(const struct cprof_wire *wire, const uint8_t *at,
				   const char *fmt, ...)
{
	CPROF_AUTO(buffer) struct cprof_buffer why = { 0 };
	va_list ap;
	va_start(ap, fmt);
	cprof_buffer_vprintf(&why, fmt, ap);
	va_end(ap);
	return cprof_error_new(CPROF_ERR_BAD_DATA, "malformed profile at byte %zu: %s",
			       (size_t)(at - wire->start), cprof_buffer_text(&why));
}

struct cprof_error *cprof_wire_mismatch(const struct cprof_wire_field *field,
					const struct cprof_wire *message,
					const ProtobufCMessageDescriptor *message_type)
{
	const ProtobufCFieldDescriptor *known =
		protobuf_c_message_descriptor_get_field(message_type, field->number);
	return cprof_wire_bad(message, field->tag, "%s.%s has wire type %d, a type mismatch",
			      message_type->short_name, known ? known->name : "?",
			      (int)field->type);
}

bool cprof_wire_long_varint(struct cprof_wire *wire, uint64_t *ret)
{
	uint64_t value = 0;
	const uint8_t *at = wire->at;
	for (unsigned shift = 0; at < wire->end && shift < 70; shift += 7) {
		uint8_t byte = *at++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			wire->at = at;
			*ret = value;
			return true;
		}
	}
	return false;
}

static bool read_fixed(struct cprof_wire *wire, size_t n, uint64_t *ret)
{
	if ((size_t)(wire->end - wire->at) < n)
		return false;
	*ret = 0;
	for (size_t i = 0; i < n; i++)
		*ret |= (uint64_t)wire->at[i] << (8 * i);
	wire->at += n;
	return true;
}

struct cprof_error *cprof_wire_next(struct cprof_wire *message, struct cprof_wire_field *ret,
				    bool *ret_more)
{
	*ret_more = message->at < message->end;
	if (!*ret_more)
		return NULL;
	uint64_t key, length;
	*ret = (struct cprof_wire_field){ .tag = message->at };
	if (!cprof_wire_varint(message, &key))
		return cprof_wire_bad(message, ret->tag,
				      "a field number is cut off or longer than 10 bytes");
	if (key >> 3 == 0 || key >> 3 > 0x1fffffff)
		return cprof_wire_bad(message, ret->tag, "a field number is 0 or beyond 2^29");
	ret->number = (uint32_t)(key >> 3);
	ret->type = (enum cprof_wire_type)(key & 7);
	bool ok = false;
	switch (ret->type) {
	case CPROF_WIRE_VARINT:
		ok = cprof_wire_varint(message, &ret->value);
		break;
	case CPROF_WIRE_64:
		ok = read_fixed(message, 8, &ret->value);
		break;
	case CPROF_WIRE_32:
		ok = read_fixed(message, 4, &ret->value);
		break;
	case CPROF_WIRE_BYTES:
		ok = cprof_wire_varint(message, &length) &&
		     length <= (uint64_t)(message->end - message->at);
		if (ok) {
			ret->bytes = (struct cprof_wire){ message->at, message->at + length,
							  message->start };
			message->at += length;
		}
		break;
	default:
		return cprof_wire_bad(message, ret->tag, "unknown wire type");
	}
	return ok ? NULL
		  : cprof_wire_bad(message, ret->tag, "the field runs past the end of its message");
}
