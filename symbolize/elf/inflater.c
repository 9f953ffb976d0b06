/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/inflater.h"

#include <stdlib.h>
#include <string.h>

#include "symbolize/elf/inflate_table.h"

enum { BLOCK_NONE, BLOCK_STORED, BLOCK_CODED };

#define N_LITLENS     CPROF_INFLATE_LITLENS
#define N_DISTANCES   CPROF_INFLATE_DISTANCES
#define LITLEN_BITS   11 /* looked up at once; the tables of longer codes are behind these */
#define DISTANCE_BITS 8
#define MATCH_MAX     258
#define INPUT_SPARE   16 /* bytes that the fast loop may have read ahead */
#define OUTPUT_SPARE  (3 + MATCH_MAX + 16)

bool cprof_inflater_init(struct cprof_inflater *inflater, cprof_inflater_read_fn *read, void *ctx,
			 uint64_t offset, uint64_t size)
{
	*inflater = (struct cprof_inflater){ .read = read, .ctx = ctx, .size = size };
	inflater->input = malloc(CPROF_INFLATER_INPUT + INPUT_SPARE);
	inflater->at = inflater->end = inflater->input;
	inflater->next = offset;
	return inflater->input != NULL;
}

void cprof_inflater_deinit(struct cprof_inflater *inflater)
{
	free(inflater->input);
	inflater->input = NULL;
}

static bool fail(struct cprof_inflater *inflater)
{
	inflater->failed = true;
	return false;
}

/* ---- input ---- */

/* Whole bytes that were taken ahead go back, and nothing is above the bits that count. */
static void give_back(struct cprof_inflater *inflater)
{
	inflater->at -= inflater->n_bits >> 3;
	inflater->n_bits &= 7;
	inflater->bits &= (1ull << inflater->n_bits) - 1;
}

/* More bytes behind those that are left; false: there are none. What was taken ahead stays in front of `at`: make_fast() gives it back. */
static bool read_more(struct cprof_inflater *inflater)
{
	uint64_t rest = inflater->next < inflater->size ? inflater->size - inflater->next : 0;
	if (!rest)
		return false;
	give_back(inflater);
	size_t left = (size_t)(inflater->end - inflater->at);
	size_t room = CPROF_INFLATER_INPUT - left, n = rest < room ? (size_t)rest : room;
	memmove(inflater->input, inflater->at, left);
	inflater->at = inflater->input;
	inflater->end = inflater->input + left;
	if (!inflater->read(inflater->ctx, inflater->next, inflater->input + left, n))
		return fail(inflater);
	inflater->next += n;
	inflater->end += n;
	return true;
}

/* At least `n` bits (32 at most) are there; where the input ends there may be fewer, which shows when they are taken. */
static void need(struct cprof_inflater *inflater, unsigned n)
{
	while (inflater->n_bits < n) {
		if (inflater->at == inflater->end && !read_more(inflater))
			return;
		inflater->bits |= (uint64_t)*inflater->at++ << inflater->n_bits;
		inflater->n_bits += 8;
	}
}

/* False: the input does not have so many. */
static bool skip(struct cprof_inflater *inflater, unsigned n)
{
	if (n > inflater->n_bits)
		return fail(inflater);
	inflater->bits >>= n;
	inflater->n_bits -= n;
	return true;
}

static uint32_t take(struct cprof_inflater *inflater, unsigned n)
{
	need(inflater, n);
	uint32_t value = (uint32_t)(inflater->bits & ((1ull << n) - 1));
	return skip(inflater, n) ? value : 0;
}

/* ---- blocks ---- */

static bool build_both(struct cprof_inflater *inflater, const uint8_t *lens, unsigned n_litlens,
		       unsigned n_distances)
{
	struct cprof_inflater_place *place = &inflater->place;
	if (!cprof_inflate_table_make(lens, n_litlens, LITLEN_BITS, cprof_inflate_litlen,
				      inflater->litlens,
				      sizeof(inflater->litlens) / sizeof(*inflater->litlens)) ||
	    !cprof_inflate_table_make(lens + n_litlens, n_distances, DISTANCE_BITS,
				      cprof_inflate_distance, inflater->distances,
				      sizeof(inflater->distances) / sizeof(*inflater->distances)))
		return fail(inflater);
	place->n_litlens = (uint16_t)n_litlens;
	memset(place->code_lens, 0, sizeof(place->code_lens));
	for (unsigned i = 0; i < n_litlens + n_distances; i++)
		place->code_lens[i / 2] |= (uint8_t)(lens[i] << (i % 2 * 4));
	return true;
}

/* One of the codes that lengths of codes are written in; UINT32_MAX: there is none. */
static uint32_t take_code(struct cprof_inflater *inflater, const uint32_t *table)
{
	need(inflater, 7);
	uint32_t entry = table[inflater->bits & 127];
	if ((entry & ENTRY_SPECIAL) || !skip(inflater, ENTRY_BITS(entry)))
		return UINT32_MAX;
	return ENTRY_VALUE(entry);
}

static bool read_lens(struct cprof_inflater *inflater, const uint32_t *table, uint8_t *lens,
		      unsigned n)
{
	for (unsigned at = 0; at < n;) {
		uint32_t code = take_code(inflater, table), times = 1;
		uint8_t len = (uint8_t)code;
		if (code > 18 || (code == 16 && !at))
			return fail(inflater);
		if (code == 16) {
			len = lens[at - 1];
			times = 3 + take(inflater, 2);
		} else if (code > 16) {
			len = 0;
			times = code == 17 ? 3 + take(inflater, 3) : 11 + take(inflater, 7);
		}
		if (inflater->failed || times > n - at)
			return fail(inflater);
		memset(lens + at, len, times);
		at += times;
	}
	return true;
}

static bool begin_dynamic(struct cprof_inflater *inflater)
{
	static const uint8_t order[] = { 16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
					 11, 4,  12, 3, 13, 2, 14, 1, 15 };
	uint8_t code_lens[19] = { 0 }, lens[N_LITLENS + N_DISTANCES];
	uint32_t table[128];
	unsigned n_litlens = 257 + take(inflater, 5), n_distances = 1 + take(inflater, 5);
	unsigned n = 4 + take(inflater, 4);
	if (n_litlens > N_LITLENS)
		return fail(inflater);
	for (unsigned i = 0; i < n; i++)
		code_lens[order[i]] = (uint8_t)take(inflater, 3);
	if (inflater->failed ||
	    !cprof_inflate_table_make(code_lens, 19, 7, cprof_inflate_plain, table, 128) ||
	    !read_lens(inflater, table, lens, n_litlens + n_distances) || !lens[256])
		return fail(inflater);
	return build_both(inflater, lens, n_litlens, n_distances);
}

static bool begin_fixed(struct cprof_inflater *inflater)
{
	uint8_t lens[N_LITLENS + N_DISTANCES];
	for (unsigned i = 0; i < N_LITLENS; i++)
		lens[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
	memset(lens + N_LITLENS, 5, N_DISTANCES);
	return build_both(inflater, lens, N_LITLENS, N_DISTANCES);
}

static bool begin_stored(struct cprof_inflater *inflater)
{
	skip(inflater, inflater->n_bits % 8);
	uint32_t len = take(inflater, 16), inverse = take(inflater, 16);
	inflater->place.left = len;
	return (!inflater->failed && len == (~inverse & 0xffff)) || fail(inflater);
}

static bool begin_block(struct cprof_inflater *inflater)
{
	struct cprof_inflater_place *place = &inflater->place;
	if (place->last)
		return fail(inflater); /* more was wanted than there is */
	place->last = take(inflater, 1) != 0;
	uint32_t kind = take(inflater, 2);
	place->left = 0;
	place->block = kind ? BLOCK_CODED : BLOCK_STORED;
	if (inflater->failed || kind > 2)
		return fail(inflater);
	return kind == 0   ? begin_stored(inflater)
	       : kind == 1 ? begin_fixed(inflater)
			   : begin_dynamic(inflater);
}

/* ---- making bytes ---- */

static uint8_t *make_stored(struct cprof_inflater *inflater, uint8_t *out, const uint8_t *end)
{
	struct cprof_inflater_place *place = &inflater->place;
	for (; place->left && out < end; place->left--) {
		*out++ = (uint8_t)take(inflater, 8);
		if (inflater->failed)
			break;
	}
	if (!place->left)
		place->block = BLOCK_NONE;
	return out;
}

static uint8_t *copy_left(struct cprof_inflater *inflater, uint8_t *out, const uint8_t *end)
{
	struct cprof_inflater_place *place = &inflater->place;
	for (; place->left && out < end; place->left--, out++)
		*out = *(out - place->distance);
	return out;
}

/* One symbol, with every check: where input or room are about to end. */
static uint8_t *make_slowly(struct cprof_inflater *inflater, const uint8_t *start, uint8_t *out,
			    const uint8_t *end)
{
	const uint32_t *tables[] = { inflater->litlens, inflater->distances };
	const unsigned widths[] = { LITLEN_BITS, DISTANCE_BITS };
	uint32_t values[2];
	for (int i = 0; i < 2; i++) {
		need(inflater, CPROF_INFLATE_CODE_MAX);
		uint32_t entry = tables[i][inflater->bits & ((1u << widths[i]) - 1)];
		if (entry & ENTRY_TABLE) {
			skip(inflater, widths[i]);
			entry = tables[i][ENTRY_VALUE(entry) +
					  (inflater->bits & ((1u << ENTRY_EXTRA(entry)) - 1))];
		}
		if (!ENTRY_BITS(entry) || !skip(inflater, ENTRY_BITS(entry))) {
			fail(inflater);
			return out;
		}
		if (entry & ENTRY_END) {
			inflater->place.block = BLOCK_NONE;
			return out;
		}
		if (entry & ENTRY_SPECIAL) {
			fail(inflater);
			return out;
		}
		if (entry & ENTRY_LITERAL) {
			*out = (uint8_t)ENTRY_VALUE(entry);
			return out + 1;
		}
		values[i] = ENTRY_VALUE(entry) + take(inflater, ENTRY_EXTRA(entry));
	}
	if (inflater->failed || values[1] > (size_t)(out - start)) {
		fail(inflater);
		return out;
	}
	inflater->place.left = values[0];
	inflater->place.distance = values[1];
	return copy_left(inflater, out, end);
}

static inline uint64_t load64(const uint8_t *at)
{
	uint64_t value;
	memcpy(&value, at, sizeof(value));
	return value; /* little-endian, as all that we run on */
}

/* Up to 15 bytes more than `len` are written. */
static inline void copy_match(uint8_t *out, uint32_t distance, uint32_t len)
{
	const uint8_t *from = out - distance;
	uint8_t *end = out + len;
	if (distance >= 16) {
		do {
			memcpy(out, from, 16);
			out += 16;
			from += 16;
		} while (out < end);
	} else if (distance >= 8) {
		do {
			memcpy(out, from, 8);
			out += 8;
			from += 8;
		} while (out < end);
	} else {
		while (out < end)
			*out++ = *from++;
	}
}

/*
 * As long as neither input nor room can run out: no checks of them, and bits are refilled by eight bytes at once. Bits above `n_bits` are
 * those of the byte at `at` then, so that refilling them again changes nothing. Returns where something else has to go on.
 */
static uint8_t *make_fast(struct cprof_inflater *inflater, const uint8_t *start, uint8_t *out,
			  const uint8_t *end)
{
	const uint8_t *at = inflater->at, *safe = inflater->end - INPUT_SPARE;
	const uint8_t *room = end - OUTPUT_SPARE;
	const uint32_t *const litlens = inflater->litlens, *const distances = inflater->distances;
	uint64_t bits = inflater->bits;
	unsigned n_bits = inflater->n_bits;
#define REFILL()                                                                                   \
	do {                                                                                       \
		bits |= load64(at) << n_bits;                                                      \
		at += (63 - n_bits) >> 3;                                                          \
		n_bits |= 56;                                                                      \
	} while (0)
#define DROP(n)                                                                                    \
	do {                                                                                       \
		bits >>= (n);                                                                      \
		n_bits -= (n);                                                                     \
	} while (0)
	while (at < safe && out < room) {
		REFILL();
		uint32_t entry = litlens[bits & ((1u << LITLEN_BITS) - 1)];
		/* Three bytes and the code of a length are 3 * 11 + 15 + 5 bits. */
		for (int i = 0; i < 3 && (entry & ENTRY_LITERAL); i++) {
			*out++ = (uint8_t)ENTRY_VALUE(entry);
			DROP(ENTRY_BITS(entry));
			entry = litlens[bits & ((1u << LITLEN_BITS) - 1)];
		}
		if (entry & ENTRY_LITERAL)
			continue;
		if (entry & ENTRY_TABLE) {
			DROP(LITLEN_BITS);
			entry = litlens[ENTRY_VALUE(entry) +
					(bits & ((1u << ENTRY_EXTRA(entry)) - 1))];
		}
		DROP(ENTRY_BITS(entry));
		if (entry & ENTRY_LITERAL) {
			*out++ = (uint8_t)ENTRY_VALUE(entry);
			continue;
		}
		if (entry & ENTRY_SPECIAL) {
			inflater->place.block = BLOCK_NONE;
			inflater->failed = !(entry & ENTRY_END);
			break;
		}
		uint32_t len =
			ENTRY_VALUE(entry) + (uint32_t)(bits & ((1u << ENTRY_EXTRA(entry)) - 1));
		DROP(ENTRY_EXTRA(entry));
		REFILL();
		entry = distances[bits & ((1u << DISTANCE_BITS) - 1)];
		if (entry & ENTRY_TABLE) {
			DROP(DISTANCE_BITS);
			entry = distances[ENTRY_VALUE(entry) +
					  (bits & ((1u << ENTRY_EXTRA(entry)) - 1))];
		}
		DROP(ENTRY_BITS(entry));
		uint32_t distance =
			ENTRY_VALUE(entry) + (uint32_t)(bits & ((1u << ENTRY_EXTRA(entry)) - 1));
		DROP(ENTRY_EXTRA(entry));
		if ((entry & ENTRY_SPECIAL) || distance > (size_t)(out - start)) {
			inflater->failed = true;
			break;
		}
		copy_match(out, distance, len);
		out += len;
	}
#undef REFILL
#undef DROP
	inflater->at = at;
	inflater->n_bits = n_bits;
	inflater->bits = bits;
	give_back(inflater);
	return out;
}

static uint8_t *make_coded(struct cprof_inflater *inflater, const uint8_t *start, uint8_t *out,
			   uint8_t *end)
{
	out = copy_left(inflater, out, end);
	while (out < end && inflater->place.block == BLOCK_CODED && !inflater->failed) {
		if (inflater->end - inflater->at <= INPUT_SPARE)
			read_more(inflater);
		if (inflater->end - inflater->at > INPUT_SPARE && end - out > OUTPUT_SPARE)
			out = make_fast(inflater, start, out, end);
		else
			out = make_slowly(inflater, start, out, end);
	}
	return out;
}

bool cprof_inflater_make(struct cprof_inflater *inflater, const uint8_t *start, uint8_t *out,
			 uint8_t *end)
{
	while (out < end && !inflater->failed) {
		switch (inflater->place.block) {
		case BLOCK_STORED:
			out = make_stored(inflater, out, end);
			break;
		case BLOCK_CODED:
			out = make_coded(inflater, start, out, end);
			break;
		default:
			begin_block(inflater);
		}
	}
	return !inflater->failed;
}

/* ---- places ---- */

void cprof_inflater_tell(const struct cprof_inflater *inflater,
			 struct cprof_inflater_place *ret_place)
{
	*ret_place = inflater->place;
	ret_place->bit =
		(inflater->next - (uint64_t)(inflater->end - inflater->at)) * 8 - inflater->n_bits;
}

static bool rebuild(struct cprof_inflater *inflater, const struct cprof_inflater_place *place)
{
	uint8_t lens[N_LITLENS + N_DISTANCES];
	for (unsigned i = 0; i < sizeof(lens); i++)
		lens[i] = place->code_lens[i / 2] >> (i % 2 * 4) & 15;
	return build_both(inflater, lens, place->n_litlens,
			  (unsigned)sizeof(lens) - place->n_litlens < N_DISTANCES
				  ? (unsigned)sizeof(lens) - place->n_litlens
				  : N_DISTANCES);
}

bool cprof_inflater_seek(struct cprof_inflater *inflater, const struct cprof_inflater_place *place)
{
	inflater->place = *place;
	inflater->at = inflater->end = inflater->input;
	inflater->next = place->bit / 8;
	inflater->bits = 0;
	inflater->n_bits = 0;
	inflater->failed = false;
	if (place->block == BLOCK_CODED && !rebuild(inflater, place))
		return false;
	take(inflater, (unsigned)(place->bit % 8));
	return !inflater->failed;
}
