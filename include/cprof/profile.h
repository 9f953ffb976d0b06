/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/profile.h - a profile in memory: what a pprof file says, as flat arrays and indices.
 *
 * Owns the model and its invariants (every index is in range, every sample has one value per type);
 * reading and writing bytes is pprof_read.h and pprof_write.h, collecting live samples is builder.h, adding profiles up is
 * merge.h.
 * Source of truth for what the fields mean: profile.proto beside this file.
 *
 * Text is a number in `strings` (0 is ""). Functions, locations and stacks are zero-based indices into
 * their arrays; a mapping number counts from 1, because 0 says "none". In a file an id is index + 1.
 * The arrays may be read and values changed freely; growing them goes through the functions below.
 */
#ifndef CPROF_PROFILE_H
#define CPROF_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/hash.h"
#include "cprof/intern.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cprof_value_type {
	uint32_t type, unit; /* strings: "cpu", "nanoseconds" */
};

struct cprof_mapping {
	uint64_t start, limit;       /* the VMA: run-time addresses [start, limit) */
	uint64_t offset;             /* of `start` in the file */
	uint32_t filename, build_id; /* strings */
	bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct cprof_function {
	uint32_t name, system_name, filename; /* strings */
	int64_t start_line;
};

struct cprof_line {
	uint32_t function;    /* index */
	int64_t line, column; /* 0 where unknown */
};

struct cprof_location {
	uint64_t address;             /* run-time; for callers, inside the call instruction */
	uint32_t mapping;             /* number from 1, 0: none */
	uint32_t first_line, n_lines; /* in lines[]; innermost inlined function first */
	bool is_folded;
};

struct cprof_label {
	uint32_t key;
	uint32_t text; /* the value of a text label; the unit of a number, 0 for none */
	int64_t num;
	bool is_num;
};

struct cprof_sample {
	uint32_t first_location, n_locations; /* in stacks[]; leaf first */
	uint32_t first_label, n_labels;       /* in labels[] */
};

struct cprof_profile {
	struct cprof_intern strings;

	struct cprof_value_type *types; /* owned, as all arrays here */
	uint32_t n_types;
	struct cprof_mapping *mappings; /* [0] is the main program */
	uint32_t n_mappings;
	struct cprof_function *functions;
	uint32_t n_functions;
	struct cprof_line *lines;
	uint32_t n_lines;
	struct cprof_location *locations;
	uint32_t n_locations;

	/*
	 * What the file called them, where that is not index + 1; NULL otherwise. Only for people who look at the
	 * file itself (-raw); those added later go on from the highest.
	 */
	uint64_t *location_ids, *mapping_ids;
	uint32_t n_location_ids, n_mapping_ids;

	struct cprof_sample *samples;
	uint32_t n_samples;
	int64_t *values;  /* sample i, type t: values[i * n_types + t] */
	uint32_t *stacks; /* location indices of all samples */
	uint32_t n_stacks;
	struct cprof_label *labels;
	uint32_t n_labels;

	uint32_t *comments; /* strings */
	uint32_t n_comments;
	uint32_t drop_frames, keep_frames, doc_url; /* strings */
	uint32_t default_type;                      /* string: a type's name, or 0 */
	struct cprof_value_type period_type;
	int64_t period;
	int64_t time_ns; /* start of collection, wall clock, since 1970 */
	int64_t duration_ns;

	struct cprof_profile_room { /* how many of each array are allocated; who replaces an array sets it */
		uint32_t mappings, functions, lines, locations, samples, stacks, labels, comments;
	} room;
	struct cprof_map64 function_map; /* hash -> index + 1, for cprof_profile_function() */
};

/* An empty profile without sample types; set them before adding samples. */
struct cprof_error *cprof_profile_new(struct cprof_profile **ret_profile);
void cprof_profile_free(struct cprof_profile *profile);
static inline void cprof_auto_profile(struct cprof_profile **profile)
{
	cprof_profile_free(*profile);
}

/*
 * Put what a terminal cannot act on, and what breaks no line, in the place of every string that is otherwise (bytes that are
 * no UTF-8 as \xe9, control characters as \x1b, line ends as \n). For text made of a profile that somebody else wrote.
 */
struct cprof_error *cprof_profile_make_printable(struct cprof_profile *profile);

/* An independent copy. */
struct cprof_error *cprof_profile_copy(const struct cprof_profile *profile,
				       struct cprof_profile **ret_profile);

/* Borrowed; stays valid as long as the profile. */
static inline const char *cprof_profile_text(const struct cprof_profile *profile, uint32_t string)
{
	return cprof_intern_get(&profile->strings, string);
}

/*
 * The number of `text`, copied on first sight. NULL is "". A string of a profile is UTF-8 (profile.proto, "string_table")
 * and names come from anywhere, so what is no UTF-8 is written as \xe9, and so are control characters.
 */
struct cprof_error *cprof_profile_string(struct cprof_profile *profile, const char *text,
					 uint32_t *ret_string);

/* Append one; the struct is copied as it is (its indices must be good). `ret` may be NULL. */
struct cprof_error *cprof_profile_add_type(struct cprof_profile *profile, const char *type,
					   const char *unit);
struct cprof_error *cprof_profile_add_mapping(struct cprof_profile *profile,
					      const struct cprof_mapping *mapping,
					      uint32_t *ret_number);
struct cprof_error *cprof_profile_add_function(struct cprof_profile *profile,
					       const struct cprof_function *function,
					       uint32_t *ret_index);

/* The index of an equal function, added if there is none. */
struct cprof_error *cprof_profile_function(struct cprof_profile *profile,
					   const struct cprof_function *function,
					   uint32_t *ret_index);

/* A location with these lines (copied; first_line and n_lines of `location` are set here). */
struct cprof_error *cprof_profile_add_location(struct cprof_profile *profile,
					       const struct cprof_location *location,
					       const struct cprof_line *lines, size_t n_lines,
					       uint32_t *ret_index);

/* Give a location other lines: what symbolizing a finished profile does. The old ones stay unused. */
struct cprof_error *cprof_profile_set_lines(struct cprof_profile *profile, uint32_t location,
					    const struct cprof_line *lines, size_t n_lines);

/* A sample; everything is copied. `values` has one number per type. */
struct cprof_error *cprof_profile_add_sample(struct cprof_profile *profile, const uint32_t *stack,
					     size_t n_stack, const struct cprof_label *labels,
					     size_t n_labels, const int64_t *values);

/* Drop samples for which `keep` (one a sample) is false; the others move up in order. */
void cprof_profile_keep_samples(struct cprof_profile *profile, const bool *keep);

/* Header facts. A comment that begins with '#' is kept in the file but not shown by reports. */
struct cprof_error *cprof_profile_add_comment(struct cprof_profile *profile, const char *text);
struct cprof_error *cprof_profile_set_period(struct cprof_profile *profile, const char *type,
					     const char *unit, int64_t period);
struct cprof_error *cprof_profile_set_default_type(struct cprof_profile *profile, const char *type);

/*
 * The index of the type to show: the default if it names one, else the last. 0 where there are no
 * types, so look at n_types first.
 */
uint32_t cprof_profile_default_type(const struct cprof_profile *profile);

/*
 * cprof_array_room32() with errors: CPROF_ERR_UNSUPPORTED where more than UINT32_MAX entries would be counted. What the
 * adders above use, for those who fill arrays by themselves.
 */
struct cprof_error *cprof_profile_grow(void *array_pointer, uint32_t n, uint32_t *room,
				       size_t extra, size_t entry_bytes);

#ifdef __cplusplus
}
#endif

#endif
