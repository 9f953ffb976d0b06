/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/content_hash.h - one number for what bytes say, which nobody can aim at who does not know the key.
 *
 * With a plain hash whoever makes a file can make it so that it counts as another one. Here the key is random and kept
 * by its user (a file in a directory of his own), and two contents that were made without knowing it meet with a chance of
 * at most 2^-39 for a gigabyte: NH of UMAC, whose pieces are the coefficients of a polynomial modulo 2^61 - 1. It costs
 * a multiplication for 16 bytes.
 *
 * Source of truth: RFC 4418 "UMAC", "NH" and "POLY"; the word sizes are ours.
 */
#ifndef CPROF_BASE_CONTENT_HASH_H
#define CPROF_BASE_CONTENT_HASH_H

#include <stddef.h>
#include <stdint.h>

#define CPROF_CONTENT_HASH_WORDS 128
#define CPROF_CONTENT_HASH_BLOCK ((size_t)8 * CPROF_CONTENT_HASH_WORDS)

/* Random bytes; all of them are used. */
struct cprof_content_key {
	uint64_t words[CPROF_CONTENT_HASH_WORDS];
	uint64_t point;
};

struct cprof_content_hash {
	const struct cprof_content_key *key; /* borrowed */
	uint64_t sum, length;
	size_t n_rest;
	uint8_t rest[CPROF_CONTENT_HASH_BLOCK]; /* bytes that do not fill a block yet */
};

void cprof_content_hash_init(struct cprof_content_hash *hash, const struct cprof_content_key *key);
void cprof_content_hash_add(struct cprof_content_hash *hash, const void *bytes, size_t n);

/* The number for all that was added; nothing may be added behind it. */
uint64_t cprof_content_hash_end(struct cprof_content_hash *hash);

#endif
