/* SPDX-License-Identifier: Apache-2.0 */
#include "base/proto_put.h"

#include <string.h>

#include "base/cleanup.h"

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2 };

void cprof_proto_put_varint(struct cprof_buffer *out, uint64_t value)
{
	uint8_t bytes[10];
	size_t n = 0;
	for (; value >= 0x80; value >>= 7)
		bytes[n++] = (uint8_t)(value | 0x80);
	bytes[n++] = (uint8_t)value;
	cprof_buffer_append(out, bytes, n);
}

static void put_tag(struct cprof_buffer *out, uint32_t field, enum wire wire)
{
	cprof_proto_put_varint(out, (uint64_t)field << 3 | (uint64_t)wire);
}

void cprof_proto_put_entry(struct cprof_buffer *out, uint32_t field, uint64_t value)
{
	put_tag(out, field, VARINT);
	cprof_proto_put_varint(out, value);
}

void cprof_proto_put_number(struct cprof_buffer *out, uint32_t field, uint64_t value)
{
	if (value)
		cprof_proto_put_entry(out, field, value);
}

void cprof_proto_put_fixed64(struct cprof_buffer *out, uint32_t field, uint64_t value)
{
	put_tag(out, field, FIXED64);
	for (int i = 0; i < 8; i++, value >>= 8)
		cprof_buffer_putc(out, (char)(unsigned char)value);
}

void cprof_proto_put_bytes(struct cprof_buffer *out, uint32_t field, const void *bytes, size_t n)
{
	put_tag(out, field, BYTES);
	cprof_proto_put_varint(out, n);
	cprof_buffer_append(out, bytes, n);
}

void cprof_proto_put_text(struct cprof_buffer *out, uint32_t field, const char *text)
{
	cprof_proto_put_bytes(out, field, text, strlen(text));
}

void cprof_proto_put_message(struct cprof_buffer *out, uint32_t field,
			     const struct cprof_buffer *message)
{
	out->failed = out->failed || message->failed;
	cprof_proto_put_bytes(out, field, cprof_buffer_text(message), message->len);
}

void cprof_proto_put_pair(struct cprof_buffer *out, uint32_t field, const char *a, const char *b)
{
	CPROF_AUTO(buffer) struct cprof_buffer pair = { 0 };
	cprof_proto_put_text(&pair, 1, a);
	cprof_proto_put_text(&pair, 2, b);
	cprof_proto_put_message(out, field, &pair);
}
