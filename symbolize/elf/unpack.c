/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/unpack.h"

#include <libdeflate.h>
#include <lzma.h>
#include <string.h>
#include <zstd.h>

#define LZMA_MEMORY_MAX (256u << 20)
#define WINDOW_LOG_MAX  27 /* 128 MB, as zstd's own programs */
#define PIECE           (1u << 16)
#define GZIP_END        8 /* a checksum and the size */

/* Room for one piece more, paid for; NULL: there is none. */
static uint8_t *more_room(struct cprof_buffer *out, size_t most, struct cprof_account *account)
{
	return out->len < most && cprof_account_charge(account, CPROF_BUDGET_HELD, PIECE)
		       ? cprof_buffer_reserve(out, PIECE)
		       : NULL;
}

static bool unxz(const uint8_t *packed, size_t n, size_t most, struct cprof_account *account,
		 struct cprof_buffer *out)
{
	lzma_stream lzma = LZMA_STREAM_INIT;
	if (lzma_stream_decoder(&lzma, LZMA_MEMORY_MAX, LZMA_CONCATENATED) != LZMA_OK)
		return false;
	lzma.next_in = packed;
	lzma.avail_in = n;
	lzma_ret rc = LZMA_OK;
	while (rc == LZMA_OK && (lzma.next_out = more_room(out, most, account))) {
		lzma.avail_out = PIECE;
		rc = lzma_code(&lzma, LZMA_FINISH);
		out->len += PIECE - lzma.avail_out;
	}
	lzma_end(&lzma);
	return rc == LZMA_STREAM_END;
}

static bool unzstd(const uint8_t *packed, size_t n, size_t most, struct cprof_account *account,
		   struct cprof_buffer *out)
{
	ZSTD_DCtx *zstd = ZSTD_createDCtx();
	ZSTD_inBuffer in = { packed, n, 0 };
	size_t rc = zstd ? ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX) : 1;
	/* 0: a frame is whole, and all of it is out. */
	for (bool more = zstd && !ZSTD_isError(rc); more;) {
		ZSTD_outBuffer to = { more_room(out, most, account), PIECE, 0 };
		const size_t before = in.pos;
		rc = to.dst ? ZSTD_decompressStream(zstd, &to, &in) : 1;
		out->len += to.pos;
		more = to.dst && !ZSTD_isError(rc) && (rc || in.pos < n) &&
		       (to.pos || in.pos > before);
	}
	ZSTD_freeDCtx(zstd);
	return rc == 0 && in.pos == n;
}

/* The size stands at its end: of files of less than 4 GB, in one piece, as modules are. */
static bool gunzip(const uint8_t *packed, size_t n, size_t most, struct cprof_account *account,
		   struct cprof_buffer *out)
{
	if (n < GZIP_END)
		return false;
	const uint8_t *end = packed + n;
	const size_t size =
		(size_t)end[-1] << 24 | (size_t)end[-2] << 16 | (size_t)end[-3] << 8 | end[-4];
	if (size > most || !cprof_account_charge(account, CPROF_BUDGET_HELD, size))
		return false;
	uint8_t *room = cprof_buffer_reserve(out, size + 1);
	struct libdeflate_decompressor *inflater = room ? libdeflate_alloc_decompressor() : NULL;
	if (!inflater)
		return false;
	const bool whole = libdeflate_gzip_decompress(inflater, packed, n, room, size, NULL) ==
			   LIBDEFLATE_SUCCESS;
	libdeflate_free_decompressor(inflater);
	out->len += whole ? size : 0;
	return whole;
}

bool cprof_unpack(const uint8_t *packed, size_t n, size_t most, struct cprof_account *account,
		  struct cprof_buffer *out)
{
	static const struct kind {
		uint8_t magic[6];
		size_t n_magic;
		bool (*unpack)(const uint8_t *, size_t, size_t, struct cprof_account *,
			       struct cprof_buffer *);
	} kinds[] = {
		{ { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6, unxz },
		{ { 0x28, 0xb5, 0x2f, 0xfd }, 4, unzstd },
		{ { 0x1f, 0x8b }, 2, gunzip },
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (n >= kinds[i].n_magic && memcmp(packed, kinds[i].magic, kinds[i].n_magic) == 0)
			return kinds[i].unpack(packed, n, most, account, out) && out->len <= most;
	}
	return false;
}
