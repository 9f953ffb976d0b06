/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/net/grpc_frame.h"

enum { HEAD_BYTES = 5 }; /* whether it is compressed, and the length, highest byte first */

void cprof_grpc_frame_put(const struct cprof_buffer *message, struct cprof_buffer *out)
{
	const size_t n = message->len;
	const unsigned char head[HEAD_BYTES] = { 0, (unsigned char)(n >> 24),
						 (unsigned char)(n >> 16), (unsigned char)(n >> 8),
						 (unsigned char)n };
	cprof_buffer_append(out, head, sizeof(head));
	cprof_buffer_append(out, cprof_buffer_text(message), n);
	out->failed = out->failed || message->failed;
}

bool cprof_grpc_frame_take(const uint8_t *bytes, size_t n, const uint8_t **ret_message,
			   size_t *ret_n)
{
	if (n < HEAD_BYTES || bytes[0] != 0)
		return false;
	*ret_message = bytes + HEAD_BYTES;
	*ret_n = (size_t)bytes[1] << 24 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 8 | bytes[4];
	return *ret_n <= n - HEAD_BYTES;
}
