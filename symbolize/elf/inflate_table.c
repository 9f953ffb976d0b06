/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/inflate_table.h"

#include <string.h>

#define BITS_MAX 11 /* looked up at once */

static uint32_t reversed(uint32_t code, unsigned n)
{
	uint32_t other = 0;
	for (unsigned i = 0; i < n; i++)
		other |= (code >> i & 1) << (n - 1 - i);
	return other;
}

uint32_t cprof_inflate_litlen(unsigned symbol)
{
	static const uint16_t base[] = { 3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
					 15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
					 67, 83, 99, 115, 131, 163, 195, 227, 258 };
	static const uint8_t extra[] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
					 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0 };
	if (symbol < 256)
		return symbol << 16 | ENTRY_LITERAL;
	if (symbol == 256)
		return ENTRY_SPECIAL | ENTRY_END;
	symbol -= 257;
	return symbol < sizeof(extra) ? (uint32_t)base[symbol] << 16 | (uint32_t)extra[symbol] << 8
				      : ENTRY_SPECIAL;
}

uint32_t cprof_inflate_distance(unsigned symbol)
{
	if (symbol >= 30)
		return ENTRY_SPECIAL;
	if (symbol < 4)
		return (symbol + 1) << 16;
	uint32_t extra = symbol / 2 - 1;
	return (((2 + (symbol & 1)) << extra) + 1) << 16 | extra << 8;
}

uint32_t cprof_inflate_plain(unsigned symbol)
{
	return symbol << 16;
}

/* Codes of one length follow each other, those of the next begin at twice the end: false where more are taken than there are. */
static bool first_codes(const uint8_t *lens, unsigned n, uint32_t *first, unsigned *ret_used)
{
	unsigned count[CPROF_INFLATE_CODE_MAX + 1] = { 0 };
	uint32_t code = 0, left = 1;
	*ret_used = 0;
	for (unsigned i = 0; i < n; i++)
		count[lens[i]]++;
	for (unsigned len = 1; len <= CPROF_INFLATE_CODE_MAX; len++) {
		*ret_used += count[len];
		first[len] = code;
		code = (code + count[len]) << 1;
		if (count[len] > left << 1)
			return false;
		left = (left << 1) - count[len];
	}
	/* Only a lone code may leave something out, as encoders write for one distance, or none. */
	return !left || *ret_used <= 1;
}

struct codes {
	uint32_t of[CPROF_INFLATE_LITLENS]; /* of a symbol, the first bit lowest */
	uint8_t longest[1u << BITS_MAX];    /* of the codes with these first bits */
};

static bool make_codes(const uint8_t *lens, unsigned n, unsigned bits, struct codes *codes)
{
	uint32_t next[CPROF_INFLATE_CODE_MAX + 1] = { 0 };
	unsigned used;
	if (!first_codes(lens, n, next, &used))
		return false;
	memset(codes->longest, 0, 1u << bits);
	for (unsigned i = 0; i < n; i++) {
		codes->of[i] = 0;
		if (!lens[i])
			continue;
		codes->of[i] = reversed(next[lens[i]]++, lens[i]);
		uint8_t *longest = &codes->longest[codes->of[i] & ((1u << bits) - 1)];
		*longest = lens[i] > *longest ? lens[i] : *longest;
	}
	return true;
}

/* The table for codes longer than `bits` that begin alike, with `sub` bits of its own; false: no room for it. */
static bool add_table(uint32_t *table, size_t cap, size_t *end, unsigned bits, unsigned sub,
		      uint32_t *link)
{
	if ((1u << sub) > cap - *end)
		return false;
	*link = (uint32_t)*end << 16 | ENTRY_SPECIAL | ENTRY_TABLE | sub << 8 | bits;
	for (size_t i = 0; i < 1u << sub; i++)
		table[*end + i] = ENTRY_SPECIAL;
	*end += 1u << sub;
	return true;
}

bool cprof_inflate_table_make(const uint8_t *lens, unsigned n, unsigned bits,
			      cprof_inflate_entry_fn *entry_of, uint32_t *table, size_t cap)
{
	struct codes codes;
	size_t end = 1u << bits;
	if (!make_codes(lens, n, bits, &codes))
		return false;
	for (size_t i = 0; i < end; i++)
		table[i] = ENTRY_SPECIAL;
	for (unsigned i = 0; i < n; i++) {
		unsigned len = lens[i];
		uint32_t *to = table, code = codes.of[i];
		size_t size = 1u << bits;
		if (!len)
			continue;
		if (len > bits) {
			uint32_t low = code & ((1u << bits) - 1), *link = &table[low];
			if (!(*link & ENTRY_TABLE) &&
			    !add_table(table, cap, &end, bits, codes.longest[low] - bits, link))
				return false;
			to = table + ENTRY_VALUE(*link);
			size = 1u << ENTRY_EXTRA(*link);
			len -= bits;
			code >>= bits;
		}
		for (size_t k = code; k < size; k += 1u << len)
			to[k] = entry_of(i) | len;
	}
	return true;
}
