/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/profile/heap_age.h - the words in which a heap profile tells how old blocks are, and what was in use before its end.
 *
 * Who writes such a profile (attach/heap/) and who reads it (convert/output/leaks.h) have them from here; docs/heap.md, "What
 * grows".
 */
#ifndef CPROF_CONVERT_PROFILE_HEAP_AGE_H
#define CPROF_CONVERT_PROFILE_HEAP_AGE_H

#include <stddef.h>
#include <stdint.h>

/* A text label: how long blocks have lived, one of the texts below. */
#define CPROF_HEAP_AGE "age"

/*
 * Sample types of a history: of the blocks that were in use at one moment, their bytes and how many were sampled. Such a sample is of
 * one stack, age and moment, and of no other type; the moment is its label, a number in milliseconds since the beginning.
 */
#define CPROF_HEAP_HISTORY_SPACE   "history_space"
#define CPROF_HEAP_HISTORY_SAMPLES "history_samples"
#define CPROF_HEAP_MOMENT          "time_ms"
#define CPROF_HEAP_MOMENT_UNIT     "milliseconds"

#define CPROF_HEAP_AGES 6

/* From the youngest to the oldest; each begins where the one before ends. */
extern const struct cprof_heap_age {
	const char *text;
	uint64_t from_ns;
} cprof_heap_ages[CPROF_HEAP_AGES];

/* Which of them an age is. */
unsigned cprof_heap_age_of(uint64_t age_ns);

/* Which has this text; CPROF_HEAP_AGES: none. */
unsigned cprof_heap_age_find(const char *text);

#endif
