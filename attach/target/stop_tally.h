/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/stop_tally.h - how often a target was stopped, and for how long: the one place where stops are counted.
 *
 * Owns the sums and the words for them. Whoever stops threads adds every stop, also one that came to nothing.
 */
#ifndef CPROF_ATTACH_TARGET_STOP_TALLY_H
#define CPROF_ATTACH_TARGET_STOP_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cprof_stop_tally {
	uint64_t stops;   /* of some or all threads together, those in vain included */
	uint64_t in_vain; /* ended because a thread did not come */
	uint64_t
		longest_ns; /* from the first thread that was told to stop to the last that was let go */
	uint64_t total_ns;
	uint64_t
		cut_short; /* threads that were told to stop in a call that may then do less than it was asked to, */
	uint64_t interrupted; /* or in one that then returns EINTR */
};

void cprof_stop_tally_add(struct cprof_stop_tally *tally, uint64_t ns, bool in_vain);

/* All that `more` counted as well. */
void cprof_stop_tally_join(struct cprof_stop_tally *tally, const struct cprof_stop_tally *more);

/* "2 times, at most 812 us, 1304 us in all; 1 of them in vain" */
void cprof_stop_tally_text(const struct cprof_stop_tally *tally, char *text, size_t n);

#endif
