/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/source_listing.h - which source lines list and weblist show: nodes by function and file.
 */
#ifndef CPROF_CONVERT_OUTPUT_SOURCE_LISTING_H
#define CPROF_CONVERT_OUTPUT_SOURCE_LISTING_H

#include "convert/graph/graph.h"
#include "convert/output/source_file.h"

struct cprof_source_routine {
	uint32_t name, file; /* strings */
	bool has_file;
	uint32_t first, n; /* in nodes[]; the first tells where the listing begins */
};

struct cprof_source_listing {
	struct cprof_source_routine *routines; /* by function name, then by file */
	uint32_t n_routines, routines_room;
	uint32_t *nodes;
	uint32_t n_nodes;
};

/* The nodes of `graph` whose function name matches. */
struct cprof_error *cprof_source_listing_init(struct cprof_source_listing *listing,
					      struct cprof_graph *graph,
					      struct cprof_regex *symbol);
/*
 * The same of a report's nodes, with its graph and what reads source files; all three are the caller's to free, on errors, too. Errors: BAD_DATA where no
 * function's name matches; NO_MEMORY.
 */
struct cprof_error *cprof_source_listing_open(struct cprof_report *report,
					      struct cprof_source_listing *listing,
					      struct cprof_graph **ret_graph,
					      struct cprof_source_files **ret_files);
void cprof_source_listing_deinit(struct cprof_source_listing *listing);
static inline void cprof_auto_source_listing(struct cprof_source_listing *listing)
{
	cprof_source_listing_deinit(listing);
}

/* The lines worth showing: from the function's first, or some before the first sample, to some after the last. */
struct cprof_source_range {
	int64_t first, last;
};
struct cprof_source_range cprof_source_listing_range(const struct cprof_graph *graph,
						     const uint32_t *nodes, uint32_t n);

/* The weight of one line. */
void cprof_source_listing_line(const struct cprof_graph *graph, const uint32_t *nodes, uint32_t n,
			       int64_t line, int64_t *ret_flat, int64_t *ret_cum);

/* On to the next line that one of the nodes is in; false: there is none. */
bool cprof_source_listing_next(const struct cprof_graph *graph, const uint32_t *nodes, uint32_t n,
			       int64_t *line);

#endif
