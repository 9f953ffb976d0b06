/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/ring/trigger.h - when a ring is written: "cpu>80%", "rss>2G", "blocked>1s", "psi-io>20%", "signal USR2".
 *
 * Owns the expressions and the question whether one has come true. Knows values only: who reads them is gauge.h.
 *
 * One crossing triggers once. It has come true when the value passes the limit, and it can do so again after the value was back
 * by a tenth of the limit: what stays high, or trembles at the limit, writes one file. A value that was beyond it from the
 * beginning is a crossing, too.
 */
#ifndef CPROF_ATTACH_RING_TRIGGER_H
#define CPROF_ATTACH_RING_TRIGGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

#define CPROF_TRIGGERS_MAX 16

/* What is looked at. */
enum cprof_trigger_what {
	CPROF_TRIGGER_CPU, /* share of one processor that all threads took together, over a second: 1.0 is 100% */
	CPROF_TRIGGER_RSS,     /* bytes in memory */
	CPROF_TRIGGER_THREADS, /* how many there are */
	CPROF_TRIGGER_BLOCKED, /* ns: the longest wait for a lock or a disk that lasts now */
	CPROF_TRIGGER_PSI, /* share of a second in which some task waited for processor, memory or disk: the worst */
	CPROF_TRIGGER_PSI_CPU,
	CPROF_TRIGGER_PSI_MEMORY,
	CPROF_TRIGGER_PSI_IO,
	CPROF_TRIGGER_VALUES,
	CPROF_TRIGGER_SIGNAL = CPROF_TRIGGER_VALUES,
};

struct cprof_trigger {
	enum cprof_trigger_what what;
	bool below;   /* '<' */
	double limit; /* in the unit above */
	int signal_no;
	bool is_true; /* and has been told */
};

/* Values at one moment, by enum cprof_trigger_what; NAN: not known (yet). */
struct cprof_trigger_values {
	double at[CPROF_TRIGGER_VALUES];
};

/*
 * One expression. Blanks may stand anywhere in it. Errors: USAGE, which names what is wrong and the nearest that is right.
 */
struct cprof_error *cprof_trigger_parse(const char *text, struct cprof_trigger *ret_trigger);

/* Whether it comes true with these values, and has not been true before. Never for a signal. */
bool cprof_trigger_look(struct cprof_trigger *trigger, const struct cprof_trigger_values *values);

/* "cpu>80% (at 93%)", "signal USR2": for people; `values` NULL: without them. */
void cprof_trigger_describe(const struct cprof_trigger *trigger,
			    const struct cprof_trigger_values *values, struct cprof_buffer *out);

#endif
