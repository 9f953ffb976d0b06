/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/packed.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define HEADER_SIZE 2
#define CHECK_SIZE  4
#define PIECE       (128u << 10)

static bool read_front(void *ctx, uint64_t offset, uint8_t *buf, size_t n)
{
	struct cprof_packed *packed = ctx;
	if (!packed->read(packed->file, offset, buf, n))
		return false;
	if (packed->key)
		cprof_content_hash_add(&packed->hash, buf, n);
	return true;
}

static bool read_again(void *ctx, uint64_t offset, uint8_t *buf, size_t n)
{
	const struct cprof_packed *packed = ctx;
	return packed->read(packed->file, offset, buf, n);
}

static uint64_t n_spans(const struct cprof_packed *packed)
{
	return (packed->size + CPROF_PACKED_SPAN - 1) >> CPROF_PACKED_SHIFT;
}

/* "CMF" and "FLG": deflate, no dictionary, and together a multiple of 31. */
static bool is_header(const uint8_t *bytes)
{
	return (bytes[0] & 15) == 8 && !(bytes[1] & 32) && (bytes[0] << 8 | bytes[1]) % 31 == 0;
}

static bool open_stream(struct cprof_packed *packed, uint64_t header_start)
{
	uint8_t header[64];
	size_t n = (size_t)(packed->start - header_start) + HEADER_SIZE;
	if (n > sizeof(header) || packed->end - packed->start < HEADER_SIZE + CHECK_SIZE ||
	    !packed->read(packed->file, header_start, header, n) ||
	    !is_header(header + n - HEADER_SIZE))
		return false;
	if (packed->key) {
		cprof_content_hash_init(&packed->hash, packed->key);
		cprof_content_hash_add(&packed->hash, header, n);
	}
	packed->marks = calloc(n_spans(packed) + 1, sizeof(*packed->marks));
	packed->check = 1;
	if (!packed->marks ||
	    !cprof_inflater_init(&packed->front, read_front, packed, packed->start + HEADER_SIZE,
				 packed->end - CHECK_SIZE))
		return false;
	cprof_inflater_tell(&packed->front, &packed->marks[0].place);
	return true;
}

struct cprof_packed *cprof_packed_new(cprof_inflater_read_fn *read, void *file,
				      uint64_t header_start, uint64_t start, uint64_t end,
				      uint64_t size, const struct cprof_content_key *key)
{
	struct cprof_packed *packed = calloc(1, sizeof(*packed));
	if (!packed)
		return NULL;
	packed->read = read;
	packed->file = file;
	packed->start = start;
	packed->end = end;
	packed->size = size;
	packed->key = key;
	if (!open_stream(packed, header_start)) {
		cprof_packed_free(packed);
		return NULL;
	}
	return packed;
}

void cprof_packed_free(struct cprof_packed *packed)
{
	if (!packed)
		return;
	for (uint64_t i = 0; packed->marks && i <= n_spans(packed); i++)
		free(packed->marks[i].window);
	free(packed->marks);
	cprof_inflater_deinit(&packed->front);
	cprof_inflater_deinit(&packed->again);
	free(packed);
}

/* ---- spans ---- */

/* At its end the stream says what all that it made adds up to. */
static bool is_whole(const struct cprof_packed *packed)
{
	uint8_t sum[CHECK_SIZE];
	if (!packed->read(packed->file, packed->end - CHECK_SIZE, sum, CHECK_SIZE))
		return false;
	return packed->check ==
	       ((uint32_t)sum[0] << 24 | (uint32_t)sum[1] << 16 | (uint32_t)sum[2] << 8 | sum[3]);
}

static bool make_new(struct cprof_packed *packed, const uint8_t *start, uint8_t *out, uint8_t *end)
{
	if (!cprof_inflater_make(&packed->front, start, out, end))
		return false;
	packed->check = libdeflate_adler32(packed->check, out, (size_t)(end - out));
	packed->n_made++;
	cprof_inflater_tell(&packed->front, &packed->marks[packed->n_made].place);
	return packed->n_made < n_spans(packed) || is_whole(packed);
}

static bool make_again(struct cprof_packed *packed, uint64_t span, const uint8_t *start,
		       uint8_t *out, uint8_t *end)
{
	if (!packed->again_open && !cprof_inflater_init(&packed->again, read_again, packed,
							packed->start, packed->end - CHECK_SIZE))
		return false;
	packed->again_open = true;
	return cprof_inflater_seek(&packed->again, &packed->marks[span].place) &&
	       cprof_inflater_make(&packed->again, start, out, end);
}

bool cprof_packed_make(struct cprof_packed *packed, uint8_t *copy, uint64_t span, bool before)
{
	const struct cprof_packed_mark *mark = &packed->marks[span];
	uint64_t from = span << CPROF_PACKED_SHIFT, left = packed->size - from;
	uint8_t *out = copy + from,
		*end = out + (left < CPROF_PACKED_SPAN ? left : CPROF_PACKED_SPAN);
	if (span && !before) {
		if (!mark->window)
			return false;
		memcpy(out - CPROF_INFLATER_WINDOW, mark->window, CPROF_INFLATER_WINDOW);
	}
	return span == packed->n_made ? make_new(packed, copy, out, end)
				      : make_again(packed, span, copy, out, end);
}

bool cprof_packed_leave(struct cprof_packed *packed, const uint8_t *copy, uint64_t span)
{
	if (span + 1 >= n_spans(packed))
		return true;
	struct cprof_packed_mark *next = &packed->marks[span + 1];
	if (next->window)
		return true;
	next->window = malloc(CPROF_INFLATER_WINDOW);
	if (!next->window)
		return false;
	memcpy(next->window, copy + ((span + 1) << CPROF_PACKED_SHIFT) - CPROF_INFLATER_WINDOW,
	       CPROF_INFLATER_WINDOW);
	return true;
}

bool cprof_packed_has_digest(const struct cprof_packed *packed, uint64_t digest)
{
	struct cprof_content_hash hash = packed->hash;
	CPROF_AUTO(free) uint8_t *piece = malloc(PIECE);
	if (!packed->key || !piece)
		return false;
	for (uint64_t at = packed->front.next; at < packed->end;) {
		size_t n = packed->end - at < PIECE ? (size_t)(packed->end - at) : PIECE;
		if (!packed->read(packed->file, at, piece, n))
			return false;
		cprof_content_hash_add(&hash, piece, n);
		at += n;
	}
	return cprof_content_hash_end(&hash) == digest;
}
