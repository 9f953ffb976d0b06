/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/profile/inflate.h"

#include <string.h>
#include <zlib.h>

#define FREE_BYTES  (64u << 20)      /* this much may come out of anything */
#define MAX_RATIO   250              /* beyond it: bytes out per byte in */
#define MAX_BYTES   (UINT32_MAX - 1) /* offsets in error messages and zlib's counters are 32 bits */
#define CHUNK_BYTES (1u << 20)

static struct cprof_error *check_size(size_t out, size_t in)
{
	if (out > MAX_BYTES)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "decompress: more than 4 GiB come out of %zu bytes", in);
	if (out > FREE_BYTES && out / MAX_RATIO > in)
		return cprof_error_hint(
			cprof_error_new(
				CPROF_ERR_UNSUPPORTED,
				"decompress: %zu bytes out of %zu: not a profile but a bomb", out,
				in),
			"if it is genuine, decompress it with gunzip and use the plain file");
	return NULL;
}

static struct cprof_error *zlib_error(const z_stream *stream, int status, size_t total_in)
{
	if (status == Z_MEM_ERROR)
		return cprof_error_no_memory();
	const char *why = stream->msg             ? stream->msg
			  : status == Z_BUF_ERROR ? "the data ends early"
						  : "not gzip data";
	return cprof_error_new(CPROF_ERR_BAD_DATA, "decompress: %s at byte %zu of the file", why,
			       total_in);
}

/* One step of output. True in *ret_done once the last member has ended. */
static struct cprof_error *step(z_stream *stream, const uint8_t *bytes, size_t n,
				struct cprof_buffer *out, bool *ret_done)
{
	uint8_t *room = cprof_buffer_reserve(out, CHUNK_BYTES);
	if (!room)
		return cprof_error_no_memory();
	stream->next_out = room;
	stream->avail_out = CHUNK_BYTES;
	int status = inflate(stream, Z_NO_FLUSH);
	out->len += CHUNK_BYTES - stream->avail_out;
	out->data[out->len] = 0;
	size_t used = (size_t)(stream->next_in - bytes);
	if (status == Z_STREAM_END) {
		/* gzip allows members one after the other; anything else behind the last is ignored by none. */
		*ret_done = used == n;
		if (*ret_done)
			return NULL;
		status = inflateReset(stream);
	} else if (status == Z_OK && stream->avail_in == 0 && stream->avail_out != 0) {
		status = Z_BUF_ERROR;
	}
	return status == Z_OK ? check_size(out->len, n) : zlib_error(stream, status, used);
}

struct cprof_error *cprof_inflate(const uint8_t *bytes, size_t n, struct cprof_buffer *out)
{
	if (n > MAX_BYTES)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "decompress: the file has %zu bytes, the limit is 4 GiB", n);
	z_stream stream = { .next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)n };
	int status = inflateInit2(&stream, 15 + 16);
	if (status != Z_OK)
		return zlib_error(&stream, status, 0);
	struct cprof_error *err = NULL;
	for (bool done = false; !err && !done;)
		err = step(&stream, bytes, n, out, &done);
	inflateEnd(&stream);
	return err;
}
