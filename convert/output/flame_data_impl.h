/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/flame_data_impl.h - the inside of flame_data.h: what is known of a report's functions, and how they are written.
 */
#ifndef CPROF_CONVERT_OUTPUT_FLAME_DATA_IMPL_H
#define CPROF_CONVERT_OUTPUT_FLAME_DATA_IMPL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "convert/graph/fitted_tree.h"
#include "convert/graph/label_groups.h"
#include "convert/report/report.h"
#include "cprof/error.h"

#define CPROF_FLAME_HEAD_BYTES 20000u /* of the profile's own text */

struct cprof_flame {
	const struct cprof_report *report;
	struct cprof_node_infos infos;
	struct cprof_root_stacks stacks;
	struct cprof_stack_columns columns;
	struct cprof_info_sums sums;
	uint32_t *cost;                      /* by info: bytes of its row */
	uint32_t *module_of;                 /* by info: string; 0: unknown */
	struct cprof_source_place *place_of; /* by info; file 0: unknown, or in its name already */
	bool *not_inlined;                   /* by info */
	bool *guessed;                       /* by info: some stack has it by a guess */
	uint32_t *number;                    /* by info: in the page, + 1; 0: it is not listed */
	uint32_t *listed;                    /* infos, by their number */
	uint32_t n_listed;
	uint64_t used; /* bytes of trees and listed functions, at most */
	FILE *out;
};

/* `report` is borrowed. Errors: NO_MEMORY; then it is to be let go of all the same. */
struct cprof_error *cprof_flame_functions_init(struct cprof_flame *flame);
void cprof_flame_functions_deinit(struct cprof_flame *flame);

/* Bytes that a text has in the data at most. */
uint32_t cprof_flame_text_cost(const char *text);

/* A text; of a long one the middle is left out. */
void cprof_flame_put_name(FILE *out, const char *text);

/* Give it a number in the data, if it has none yet. */
void cprof_flame_list(struct cprof_flame *flame, uint32_t info);

/* The same for functions that no tree shows, the heaviest first, as long as there is room. Errors: NO_MEMORY. */
struct cprof_error *cprof_flame_list_others(struct cprof_flame *flame);

/* Write "modules", "files" and "functions", then "unlisted" and "others". Errors: NO_MEMORY. */
struct cprof_error *cprof_flame_put_functions(struct cprof_flame *flame);

#endif
