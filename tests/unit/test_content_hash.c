/* SPDX-License-Identifier: Apache-2.0 */
#include "base/content_hash.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

static struct cprof_content_key key;

static void make_key(uint64_t seed)
{
	uint64_t *words = (uint64_t *)&key;
	for (size_t i = 0; i < sizeof(key) / sizeof(*words); i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		words[i] = seed ^ seed >> 29;
	}
}

static uint64_t hash_in_pieces(const uint8_t *bytes, size_t n, size_t piece)
{
	struct cprof_content_hash hash;
	cprof_content_hash_init(&hash, &key);
	for (size_t at = 0; at < n; at += piece)
		cprof_content_hash_add(&hash, bytes + at, n - at < piece ? n - at : piece);
	return cprof_content_hash_end(&hash);
}

TEST(content_hash_does_not_depend_on_the_pieces_it_is_given)
{
	static uint8_t bytes[5000];
	make_key(1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	uint64_t want = hash_in_pieces(bytes, sizeof(bytes), sizeof(bytes));
	for (size_t piece = 1; piece < 2100; piece++)
		CHECK_UINT(hash_in_pieces(bytes, sizeof(bytes), piece), want);
}

TEST(content_hash_tells_every_bit_and_every_length_apart)
{
	static uint8_t bytes[3000];
	make_key(2);
	uint64_t want = hash_in_pieces(bytes, sizeof(bytes), 4096);
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(hash_in_pieces(bytes, sizeof(bytes), 4096) != want);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t n = 0; n < sizeof(bytes); n++)
		CHECK(hash_in_pieces(bytes, n, 4096) != want);
	make_key(3); /* and another key gives another number */
	CHECK(hash_in_pieces(bytes, sizeof(bytes), 4096) != want);
}

TEST(content_hash_is_the_polynomial_that_its_header_cites)
{
	/* One block of which only two words are not zero: (a + k0) * (b + k1) + the rest of the key. */
	uint8_t bytes[CPROF_CONTENT_HASH_BLOCK] = { 0 };
	uint64_t a = 0x0123456789abcdefull, b = 0xfedcba9876543210ull;
	memset(&key, 0, sizeof(key));
	key.words[0] = 5;
	key.words[1] = 7;
	key.point = 3;
	memcpy(bytes, &a, 8);
	memcpy(bytes + 8, &b, 8);
	unsigned __int128 sum = (unsigned __int128)(a + 5) * (b + 7);
	const uint64_t prime = (1ull << 61) - 1, low = (1ull << 48) - 1;
	unsigned __int128 want = (uint64_t)sum & low;
	want = (want * 3 + ((uint64_t)(sum >> 48) & low)) % prime;
	want = (want * 3 + (uint64_t)(sum >> 96)) % prime;
	want = (want * 3 + sizeof(bytes)) % prime;
	CHECK_UINT(hash_in_pieces(bytes, sizeof(bytes), 4096), (uint64_t)want);
}
