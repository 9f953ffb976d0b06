/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/hash.h - hashing, and one hash map: uint64_t keys to uint64_t values.
 *
 * Open addressing with linear probing, at most 3/4 full. Keys that are more than a number are kept
 * by their owner in an array; the map then goes from hash to array index and the owner compares
 * (see base/intern.c). Entries are never removed one by one.
 */
#ifndef CPROF_HASH_H
#define CPROF_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 64 good bits from 64 bits (the finalizer of SplitMix64). A bijection: distinct keys stay distinct. */
static inline uint64_t cprof_hash_u64(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline uint64_t cprof_hash_mix(uint64_t seed, uint64_t x)
{
	return cprof_hash_u64(seed * 0x9e3779b97f4a7c15ull + x);
}

/* The same in every process, so that it may be written to a file. */
uint64_t cprof_hash_bytes(const void *bytes, size_t n);

/* The same for what is long, four words at a time: another number than cprof_hash_bytes() gives. */
uint64_t cprof_hash_long(const void *bytes, size_t n);

/* For tables of other people's texts: who does not know the secret cannot make texts that all have one hash. */
uint64_t cprof_hash_bytes_from(uint64_t secret, const void *bytes, size_t n);
uint64_t cprof_hash_secret(void); /* this process's */

struct cprof_map64 {
	struct cprof_map64_slot {
		uint64_t key;
		uint64_t value;
		bool used;
	} * slots;  /* owned */
	size_t cap; /* power of two, or 0 */
	size_t len;
};

/* A zeroed struct is an empty map. */
void cprof_map64_deinit(struct cprof_map64 *map);

/* The value's place, or NULL where `key` is not in the map. Valid until the next insertion. */
uint64_t *cprof_map64_get(const struct cprof_map64 *map, uint64_t key);

/*
 * The value's place for `key`, inserted with value 0 if it was not there (`*ret_new` tells, and may be
 * NULL). NULL: out of memory, and the map is as before.
 */
uint64_t *cprof_map64_put(struct cprof_map64 *map, uint64_t key, bool *ret_new);

#ifdef __cplusplus
}
#endif

#endif
