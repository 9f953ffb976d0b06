/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/granularity.h"

void cprof_granularity_apply(struct cprof_profile *p, const struct cprof_config *config)
{
	enum cprof_granularity by = config->granularity;
	bool inlines = !config->noinlines, address = by == CPROF_BY_ADDRESS;
	bool function = by != CPROF_BY_FILE, file = by != CPROF_BY_FUNCTION;
	bool line = by == CPROF_BY_LINE || address;
	/* An address as it was recorded has its column, too: nothing is added up there that columns would part. */
	bool column = config->showcolumns || (address && inlines);
	for (uint32_t i = 0; i < p->n_mappings; i++) {
		struct cprof_mapping *mapping = &p->mappings[i];
		mapping->has_inline_frames = mapping->has_inline_frames && inlines;
		mapping->has_functions = mapping->has_functions && function;
		mapping->has_filenames = mapping->has_filenames && file;
		mapping->has_line_numbers = mapping->has_line_numbers && line;
	}
	for (uint32_t i = 0; i < p->n_functions; i++) {
		struct cprof_function *f = &p->functions[i];
		if (!function)
			f->name = f->system_name = 0;
		if (!file)
			f->filename = 0;
	}
	for (uint32_t i = 0; i < p->n_locations; i++) {
		struct cprof_location *location = &p->locations[i];
		if (!inlines && location->n_lines > 1) {
			location->first_line += location->n_lines - 1;
			location->n_lines = 1;
		}
		if (!address)
			location->address = 0;
		for (uint32_t j = 0; j < location->n_lines; j++) {
			struct cprof_line *at = &p->lines[location->first_line + j];
			if (!line)
				at->line = 0;
			if (!line || !column)
				at->column = 0;
		}
	}
}
