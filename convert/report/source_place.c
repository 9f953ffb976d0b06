/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/source_place.h"

#include <stdlib.h>

struct cprof_error *cprof_source_places_new(const struct cprof_profile *profile,
					    struct cprof_source_place **ret_places)
{
	struct cprof_source_place *places =
		calloc((size_t)profile->n_functions + 1, sizeof(*places));
	if (!places)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < profile->n_functions; i++)
		places[i] = (struct cprof_source_place){ profile->functions[i].filename,
							 profile->functions[i].start_line };
	for (uint32_t i = 0; i < profile->n_lines; i++) {
		const struct cprof_line *line = &profile->lines[i];
		struct cprof_source_place *place = &places[line->function];
		if (profile->functions[line->function].start_line <= 0 && line->line > 0 &&
		    (place->line <= 0 || line->line < place->line))
			place->line = line->line;
	}
	*ret_places = places;
	return NULL;
}
