/* SPDX-License-Identifier: Apache-2.0 */
#include <libdeflate.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "symbolize/elf/unpack.h"
#include "tests/unit/test.h"

#define SIZE 200000u /* more than is taken at once */
#define ROOM (2 * SIZE)

static size_t pack_xz(const uint8_t *in, size_t n, uint8_t *out)
{
	size_t len = 0;
	CHECK(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, in, n, out, &len, ROOM) ==
	      LZMA_OK);
	return len;
}

static size_t pack_zstd(const uint8_t *in, size_t n, uint8_t *out)
{
	const size_t len = ZSTD_compress(out, ROOM, in, n, 1);
	CHECK(!ZSTD_isError(len));
	return len;
}

static size_t pack_gzip(const uint8_t *in, size_t n, uint8_t *out)
{
	struct libdeflate_compressor *gzip = libdeflate_alloc_compressor(1);
	const size_t len = libdeflate_gzip_compress(gzip, in, n, out, ROOM);
	libdeflate_free_compressor(gzip);
	CHECK(len);
	return len;
}

static size_t (*const packers[])(const uint8_t *, size_t, uint8_t *) = { pack_xz, pack_zstd,
									 pack_gzip };

static bool unpack(const uint8_t *packed, size_t n, size_t most, const uint8_t *want, size_t n_want)
{
	CPROF_AUTO(buffer) struct cprof_buffer out = { 0 };
	if (!cprof_unpack(packed, n, most, NULL, &out))
		return false;
	CHECK_UINT(out.len, n_want);
	CHECK(memcmp(out.data, want, n_want) == 0);
	return true;
}

TEST(unpack_gives_what_was_packed_and_nothing_of_what_is_cut_or_broken)
{
	static uint8_t bytes[SIZE], packed[ROOM], broken[ROOM];
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (uint8_t)(i * i >> 7);
	for (size_t kind = 0; kind < sizeof(packers) / sizeof(packers[0]); kind++) {
		const size_t n = packers[kind](bytes, SIZE, packed);
		CHECK(unpack(packed, n, SIZE, bytes, SIZE));
		CHECK(!unpack(packed, n, SIZE / 4, NULL, 0));
		for (size_t len = 0; len < n; len += 1 + n / 97)
			CHECK(!unpack(packed, len, SIZE, NULL, 0));
		/* A checksum stands at the end of two of them; zstd's own is not asked for here. */
		memcpy(broken, packed, n);
		broken[0] ^= 1;
		CHECK(!unpack(broken, n, SIZE, NULL, 0));
	}
	CHECK(!unpack(bytes, SIZE, SIZE, NULL, 0));
}
