/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/profile/deflate.h"

#include <zlib.h>

static struct cprof_error *deflate_all(z_stream *stream, struct cprof_buffer *out)
{
	uint8_t *room = cprof_buffer_reserve(out, deflateBound(stream, stream->avail_in));
	if (!room)
		return cprof_error_no_memory();
	stream->next_out = room;
	stream->avail_out = (uInt)(out->cap - out->len - 1);
	int status = deflate(stream, Z_FINISH);
	if (status != Z_STREAM_END)
		return cprof_error_new(CPROF_ERR_OS, "zlib status %d", status);
	out->len += stream->total_out;
	out->data[out->len] = 0;
	return NULL;
}

struct cprof_error *cprof_deflate(const uint8_t *bytes, size_t n, int level,
				  struct cprof_buffer *out)
{
	if (n > UINT32_MAX / 2) /* zlib counts in 32 bits */
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "%zu bytes: the limit is 2 GiB", n);
	z_stream stream = { .next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)n };
	int status = deflateInit2(&stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
	if (status != Z_OK)
		return status == Z_MEM_ERROR ? cprof_error_no_memory()
					     : cprof_error_new(CPROF_ERR_USAGE,
							       "gzip level %d: want 1 to 9", level);
	struct cprof_error *err = deflate_all(&stream, out);
	deflateEnd(&stream);
	return err;
}
