/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/formats/legacy.h - what the readers of older profile formats share: lines, addresses, memory maps.
 *
 * Source of truth for these formats is the original tool's own reader and gperftools' documentation; addresses in
 * them are return addresses, so callers get 1 taken off by the reader of each format.
 */
#ifndef CPROF_CONVERT_FORMATS_LEGACY_H
#define CPROF_CONVERT_FORMATS_LEGACY_H

#include <stdbool.h>

#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/*
 * A text file, line by line. The text of a line is copied, so that it ends with a zero byte: without the mark of UTF-8, which
 * stands within files that were put together; without the zeroes around it that holes of a file are; a run of others is U+FFFD.
 * Lines end as on Unix or Windows, or, where the rest of the file has no such end, with a carriage return.
 */
struct cprof_lines {
	const char *at, *end;
	const char *start; /* of the file, for offsets */
	const char *line_start;
	struct cprof_buffer line;
	bool no_newlines;        /* in the rest of the file */
	uint64_t n_odd;          /* lines that were left out */
	const char *odd_start;   /* the last of them; NULL: none */
	struct cprof_error *odd; /* what is wrong with the first of them; owned */
};

/* The next line without its end; NULL at the end of the file. Borrowed until the next call. */
const char *cprof_lines_next(struct cprof_lines *lines);
static inline void cprof_auto_lines(struct cprof_lines *lines)
{
	cprof_buffer_deinit(&lines->line);
	cprof_error_free(lines->odd);
}

/* CPROF_ERR_BAD_DATA at the present line: "byte 123: WHY: the line". */
struct cprof_error *cprof_lines_error(const struct cprof_lines *lines, const char *why);

/*
 * Other programs' files have odd lines in them: warnings of tools, ends that were cut off. Where `err` is CPROF_ERR_BAD_DATA the
 * present line is counted as one and the error is forgotten; any other error is handed back. Takes `err`.
 */
struct cprof_error *cprof_lines_forgive(struct cprof_lines *lines, struct cprof_error *err);

/* At the end: say in the profile's comments how many lines were left out. With no sample at all the first one is the error. */
struct cprof_error *cprof_lines_settle(struct cprof_lines *lines, struct cprof_profile *profile);

/* Say in the profile's comments that the present line may be cut off, where it is open. For formats whose files end with a line's end. */
struct cprof_error *cprof_lines_tell_open(const struct cprof_lines *lines,
					  struct cprof_profile *profile);

/* Whether the present line is the last one, was not left out, and has no end: its own end may be missing, too. */
bool cprof_lines_is_open(const struct cprof_lines *lines);

bool cprof_legacy_is_blank(const char *line);      /* or a comment */
bool cprof_legacy_is_map_marker(const char *line); /* the memory map follows */

/* A profile being read: each address becomes one location. */
struct cprof_legacy {
	struct cprof_profile *profile; /* owned until taken */
	struct cprof_map64 by_address; /* -> location + 1 */
	uint32_t *stack;
	uint32_t n_stack, stack_room;
};

struct cprof_error *cprof_legacy_init(struct cprof_legacy *legacy);
void cprof_legacy_deinit(struct cprof_legacy *legacy);
static inline void cprof_auto_legacy(struct cprof_legacy *legacy)
{
	cprof_legacy_deinit(legacy);
}

/* Append an address to the stack of the sample that is being read. */
struct cprof_error *cprof_legacy_push(struct cprof_legacy *legacy, uint64_t address);

/* Append all "0x..." of `text`, each less `leaf_less` (the first) or `caller_less` (the others). */
struct cprof_error *cprof_legacy_push_all(struct cprof_legacy *legacy, const char *text,
					  unsigned leaf_less, unsigned caller_less);

/* End the sample: add it with these values, and with a label "bytes" where `bytes` is not NULL. */
struct cprof_error *cprof_legacy_add(struct cprof_legacy *legacy, const int64_t *values,
				     const int64_t *bytes);

/* Drop the second of two frames at one place: signal handlers record the leaf twice. */
void cprof_legacy_drop_doubles(struct cprof_profile *profile);

/*
 * Read the rest of the file as a memory map (/proc/PID/maps and the older forms), give every location
 * its mapping, and set which frames reports are to drop. Ends the reading.
 */
struct cprof_error *cprof_legacy_finish(struct cprof_legacy *legacy, struct cprof_lines *lines);

/* Scanning one line: each moves *at past what it found, or returns false. */
bool cprof_scan_number(const char **at, int64_t *ret); /* decimal, blanks before it skipped */
bool cprof_scan_literal(const char **at, const char *literal); /* blanks before it skipped */
bool cprof_scan_hex(const char **at, uint64_t *ret); /* with or without 0x; no blanks skipped */

/* Undo the sampling of a heap profile: what `count` blocks of `size` bytes together stand for at this rate. */
void cprof_legacy_unsample(int64_t *count, int64_t *size, int64_t rate);

#endif
