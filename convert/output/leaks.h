/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/leaks.h - from a heap profile with a history (convert/profile/heap_age.h) to the stacks whose blocks grow in sum.
 *
 * Where the history tells ages, only blocks count that are old: older than the last bound of ages that is a quarter of the history at
 * most; and only its second half, when whatever lives for less than half of it has come to its level. Where it does not (a series of
 * files), all blocks and all moments count. docs/heap.md, "What grows".
 */
#ifndef CPROF_CONVERT_OUTPUT_LEAKS_H
#define CPROF_CONVERT_OUTPUT_LEAKS_H

#include <stdbool.h>
#include <stdint.h>

#include "convert/graph/node_info.h"
#include "convert/graph/root_stacks.h"
#include "convert/output/slope.h"
#include "convert/report/report.h"
#include "cprof/error.h"

/*
 * So many sampled old blocks at least. By chance alone one would do; but one may be old because the program got no processor for a while.
 */
#define CPROF_LEAK_SURE_SAMPLES 3

struct cprof_leak {
	uint32_t process;         /* of cprof_leaks.processes */
	uint32_t sample;          /* one of this stack: its frames are those of cprof_root_stacks */
	struct cprof_slope slope; /* bytes a second */
	double inuse, old;        /* bytes at the last moment: of all blocks, and of old ones */
	double samples;           /* of the old ones */
	bool sure; /* it grows: the lower bound is above 0, and not by one block alone */
	struct cprof_slope_point *all;  /* owned: all blocks at each moment; at: seconds */
	struct cprof_slope_point *aged; /* owned: the old ones, likewise */
};

struct cprof_leaks {
	struct cprof_node_infos infos;
	struct cprof_root_stacks stacks;
	double *moments;           /* owned: seconds since the beginning, ascending */
	uint32_t n_moments, first; /* the slopes are of moments[first] to the last */
	int64_t *
		processes; /* owned: their ids; 0 where samples do not say. Each is looked at by itself */
	uint32_t n_processes;
	bool ages;
	double old_s;            /* what is old; 0: every block */
	struct cprof_leak *rows; /* owned: every stack; those that grow first, by the lower bound */
	uint32_t n, n_grow, n_sure; /* of them: slope above 0; and sure */
	struct cprof_leak whole;    /* all stacks together */
};

/* Errors: BAD_DATA where there is no history, or one that is too short; NO_MEMORY. Call _deinit() after an error, too. */
struct cprof_error *cprof_leaks_init(struct cprof_leaks *leaks, const struct cprof_report *report);
void cprof_leaks_deinit(struct cprof_leaks *leaks);

#endif
