/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/hash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

uint64_t cprof_hash_secret(void)
{
	const void *random = (const void *)getauxval(AT_RANDOM);
	uint64_t secret = 0;
	if (random)
		memcpy(&secret, random, sizeof(secret));
	return secret;
}

uint64_t cprof_hash_bytes(const void *bytes, size_t n)
{
	return cprof_hash_bytes_from(0, bytes, n);
}

uint64_t cprof_hash_bytes_from(uint64_t secret, const void *bytes, size_t n)
{
	const uint8_t *at = bytes;
	uint64_t hash = cprof_hash_u64(n + 1) ^ secret;
	for (; n >= 8; at += 8, n -= 8) {
		uint64_t word;
		memcpy(&word, at, 8);
		hash = cprof_hash_mix(hash, word);
	}
	uint64_t tail = 0;
	if (n)
		memcpy(&tail, at, n);
	return cprof_hash_mix(hash, tail);
}

uint64_t cprof_hash_long(const void *bytes, size_t n)
{
	const uint8_t *at = bytes;
	uint64_t lanes[4] = { 1, 2, 3, 4 };
	/* Each lane waits for itself alone, where one hash waits for its last word. */
	for (; n >= sizeof(lanes); at += sizeof(lanes), n -= sizeof(lanes)) {
		uint64_t words[4];
		memcpy(words, at, sizeof(words));
		for (size_t i = 0; i < 4; i++) {
			lanes[i] = (lanes[i] ^ words[i]) * 0x9e3779b97f4a7c15ull;
			lanes[i] ^= lanes[i] >> 32;
		}
	}
	return cprof_hash_mix(cprof_hash_bytes(lanes, sizeof(lanes)), cprof_hash_bytes(at, n));
}

void cprof_map64_deinit(struct cprof_map64 *map)
{
	free(map->slots);
	*map = (struct cprof_map64){ 0 };
}

/* Where its memory lies is what nobody who writes the keys knows: he cannot choose them so that all meet in one place. */
static struct cprof_map64_slot *find(const struct cprof_map64 *map, uint64_t key)
{
	size_t at = cprof_hash_u64(key ^ (uintptr_t)map->slots) & (map->cap - 1);
	while (map->slots[at].used && map->slots[at].key != key)
		at = (at + 1) & (map->cap - 1);
	return &map->slots[at];
}

uint64_t *cprof_map64_get(const struct cprof_map64 *map, uint64_t key)
{
	if (!map->len)
		return NULL;
	struct cprof_map64_slot *slot = find(map, key);
	return slot->used ? &slot->value : NULL;
}

static bool grow(struct cprof_map64 *map)
{
	struct cprof_map64 bigger = { .cap = map->cap ? map->cap * 2 : 16, .len = map->len };
	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (size_t i = 0; i < map->cap; i++) {
		if (map->slots[i].used)
			*find(&bigger, map->slots[i].key) = map->slots[i];
	}
	free(map->slots);
	*map = bigger;
	return true;
}

uint64_t *cprof_map64_put(struct cprof_map64 *map, uint64_t key, bool *ret_new)
{
	if (map->len >= map->cap / 4 * 3 && !grow(map))
		return NULL;
	struct cprof_map64_slot *slot = find(map, key);
	if (ret_new)
		*ret_new = !slot->used;
	if (!slot->used) {
		*slot = (struct cprof_map64_slot){ .key = key, .used = true };
		map->len++;
	}
	return &slot->value;
}
