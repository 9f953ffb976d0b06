/* SPDX-License-Identifier: Apache-2.0 */
#include "base/content_hash.h"

#include <string.h>

#define PRIME ((1ull << 61) - 1)

typedef unsigned __int128 wide;

/* Modulo 2^61 - 1; both are below it. */
static uint64_t multiply(uint64_t a, uint64_t b)
{
	wide product = (wide)a * b;
	uint64_t sum = ((uint64_t)product & PRIME) + (uint64_t)(product >> 61);
	return sum >= PRIME ? sum - PRIME : sum;
}

/* The polynomial's next coefficient. */
static void take(struct cprof_content_hash *hash, uint64_t value)
{
	uint64_t point = hash->key->point % PRIME;
	uint64_t sum = multiply(hash->sum, point) + value % PRIME;
	hash->sum = sum >= PRIME ? sum - PRIME : sum;
}

/* A whole block becomes 128 bits, which are taken in pieces that fit below the prime. */
static void take_block(struct cprof_content_hash *hash, const uint8_t *bytes)
{
	const uint64_t *key = hash->key->words;
	wide sum = 0;
	for (size_t i = 0; i < CPROF_CONTENT_HASH_WORDS; i += 2) {
		uint64_t a, b;
		memcpy(&a, bytes + 8 * i, 8);
		memcpy(&b, bytes + 8 * i + 8, 8);
		sum += (wide)(a + key[i]) * (b + key[i + 1]);
	}
	take(hash, (uint64_t)sum & ((1ull << 48) - 1));
	take(hash, (uint64_t)(sum >> 48) & ((1ull << 48) - 1));
	take(hash, (uint64_t)(sum >> 96));
}

void cprof_content_hash_init(struct cprof_content_hash *hash, const struct cprof_content_key *key)
{
	hash->key = key;
	hash->sum = hash->length = 0;
	hash->n_rest = 0;
}

void cprof_content_hash_add(struct cprof_content_hash *hash, const void *bytes, size_t n)
{
	const uint8_t *at = bytes;
	hash->length += n;
	if (hash->n_rest) {
		size_t room = CPROF_CONTENT_HASH_BLOCK - hash->n_rest, part = n < room ? n : room;
		memcpy(hash->rest + hash->n_rest, at, part);
		hash->n_rest += part;
		at += part;
		n -= part;
		if (hash->n_rest < CPROF_CONTENT_HASH_BLOCK)
			return;
		take_block(hash, hash->rest);
		hash->n_rest = 0;
	}
	for (; n >= CPROF_CONTENT_HASH_BLOCK; n -= CPROF_CONTENT_HASH_BLOCK) {
		take_block(hash, at);
		at += CPROF_CONTENT_HASH_BLOCK;
	}
	if (n)
		memcpy(hash->rest, at, n);
	hash->n_rest = n;
}

uint64_t cprof_content_hash_end(struct cprof_content_hash *hash)
{
	if (hash->n_rest) {
		memset(hash->rest + hash->n_rest, 0, CPROF_CONTENT_HASH_BLOCK - hash->n_rest);
		take_block(hash, hash->rest);
	}
	take(hash, hash->length); /* so that zeros at the end count */
	return hash->sum;
}
