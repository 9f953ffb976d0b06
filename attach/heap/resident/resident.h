/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/resident/resident.h - the account of a process's resident memory: lines whose sum is all of it.
 *
 * Pure. Who knows what a part of the address space is used for claims it for a line; the rest of each mapping goes to the
 * line of its kind. A mapping's resident bytes are taken as smaps told them and are given out once, so the lines add up
 * by construction. What is counted page by page (page_bits.h) a moment later than smaps may be more than the mapping had:
 * it is cut, and the cut is counted.
 */
#ifndef CPROF_ATTACH_HEAP_RESIDENT_RESIDENT_H
#define CPROF_ATTACH_HEAP_RESIDENT_RESIDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/resident/smaps.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

#define CPROF_RESIDENT_LINES 64 /* at most */

struct cprof_resident_line {
	char what[96];
	uint64_t bytes, common; /* resident; and of that other processes have */
};

struct cprof_resident_claim {
	uint64_t start, end; /* [start, end) */
	uint32_t line;
	uint32_t rank; /* of claims that overlap the one with the lowest counts */
};

struct cprof_resident {
	struct cprof_resident_line lines[CPROF_RESIDENT_LINES]; /* in the order they are shown */
	uint32_t n_lines;
	struct cprof_resident_claim *claims; /* owned */
	size_t n_claims, cap_claims;
	uint64_t total;   /* of smaps; the sum over the lines */
	uint64_t cut;     /* resident by page, but more than its mapping had */
	uint64_t guessed; /* resident of parts whose pages could not be looked at: in proportion */
};

/*
 * Resident bytes of [start, end), which lies in one mapping that has some and not all of its pages resident; `common`: other processes
 * have some of them. False: not known.
 */
typedef bool cprof_resident_pages_fn(void *ctx, uint64_t start, uint64_t end, bool common,
				     uint64_t *ret_bytes);

void cprof_resident_deinit(struct cprof_resident *resident);

/* The line of that text, made if there is none yet; the last of all where there are too many. */
uint32_t cprof_resident_line(struct cprof_resident *resident, const char *what);

/* What of [start, end) is resident belongs to `line`. Errors: NO_MEMORY, BAD_DATA (more than four million). */
struct cprof_error *cprof_resident_claim(struct cprof_resident *resident, uint64_t start,
					 uint64_t end, uint32_t line, uint32_t rank);

/*
 * Give out all that is resident: to the claims, then to lines of the mappings' kinds, which are made. Once. Errors:
 * NO_MEMORY.
 */
struct cprof_error *cprof_resident_settle(struct cprof_resident *resident,
					  const struct cprof_smaps *smaps,
					  cprof_resident_pages_fn *pages, void *ctx);

/* What of `from` is `to`'s after all, as far as it goes; returns how much went over. The sum stays. */
uint64_t cprof_resident_move(struct cprof_resident *resident, uint32_t from, uint32_t to,
			     uint64_t bytes);

/* The line of anonymous memory that nobody claimed, for _move(). */
uint32_t cprof_resident_rest(struct cprof_resident *resident);

/* A heading with `whose` memory it is, and the lines that are not empty, with their shares, each on a line of its own. */
void cprof_resident_text(const struct cprof_resident *resident, const char *whose,
			 struct cprof_buffer *out);

#endif
