/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "convert/output/format_table.h"

const struct cprof_format *const cprof_formats[] = {
	&cprof_format_top,
	&cprof_format_text,
	&cprof_format_tree,
	&cprof_format_peek,
	&cprof_format_traces,
	&cprof_format_tags,
	&cprof_format_comments,
	&cprof_format_raw,
	&cprof_format_proto,
	&cprof_format_topproto,
	&cprof_format_callgrind,
	&cprof_format_kcachegrind,
	&cprof_format_dot,
	&cprof_format_svg,
	&cprof_format_png,
	&cprof_format_gif,
	&cprof_format_pdf,
	&cprof_format_ps,
	&cprof_format_web,
	&cprof_format_eog,
	&cprof_format_evince,
	&cprof_format_gv,
	&cprof_format_list,
	&cprof_format_disasm,
	&cprof_format_weblist,
	&cprof_format_folded,
	&cprof_format_flamegraph,
	&cprof_format_speedscope,
	&cprof_format_firefox,
	&cprof_format_json,
	&cprof_format_movements,
	&cprof_format_movements_json,
	&cprof_format_leaks,
	&cprof_format_leaks_json,
	NULL,
};

const struct cprof_format *cprof_format_find(const char *name)
{
	for (size_t i = 0; cprof_formats[i]; i++) {
		if (strcmp(cprof_formats[i]->name, name) == 0)
			return cprof_formats[i];
	}
	return NULL;
}
