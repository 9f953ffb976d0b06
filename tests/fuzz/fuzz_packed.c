/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a deflate stream, made in pieces, from places that were noted, and again: the same comes out each way, and where zlib makes
 * something of it, that.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "symbolize/elf/inflater.h"

#define ROOM (1u << 14)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *data;
	size_t size;
};

static bool read_bytes(void *ctx, uint64_t offset, uint8_t *buf, size_t n)
{
	const struct bytes *bytes = ctx;
	memcpy(buf, bytes->data + offset, n);
	return true;
}

/* How much comes out, in pieces of `step`; a seek to where it stands must change nothing. */
static size_t make(const struct bytes *bytes, size_t step, uint8_t *out, size_t room)
{
	struct cprof_inflater inflater;
	struct cprof_inflater_place place;
	size_t at = 0;
	if (!cprof_inflater_init(&inflater, read_bytes, (void *)(uintptr_t)bytes, 0, bytes->size))
		abort();
	while (at + step <= room &&
	       cprof_inflater_make(&inflater, out, out + at, out + at + step)) {
		at += step;
		cprof_inflater_tell(&inflater, &place);
		if (place.bit > 8 * bytes->size ||
		    (at % 1024 < step && !cprof_inflater_seek(&inflater, &place)))
			abort();
	}
	cprof_inflater_deinit(&inflater);
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t one[ROOM], other[ROOM], whole[ROOM];
	if (size < 1)
		return 0;
	struct bytes bytes = { data + 1, size - 1 };
	size_t step = 1 + data[0] * 3u, n = make(&bytes, 1, one, ROOM), n_other;
	n_other = make(&bytes, step, other, ROOM);
	if (n_other > n || n - n_other >= step || memcmp(one, other, n_other) != 0)
		abort();
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)bytes.data,
		       .avail_in = (unsigned)bytes.size,
		       .next_out = whole,
		       .avail_out = ROOM };
	if (inflateInit2(&z, -15) != Z_OK)
		abort();
	int result = inflate(&z, Z_FINISH);
	if ((result == Z_STREAM_END && n != z.total_out) || z.total_out > n ||
	    memcmp(one, whole, z.total_out) != 0)
		abort();
	inflateEnd(&z);
	return 0;
}
