/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/format_table.h - all report formats: the list, and each by its name.
 *
 * A format is a file report_*.c here and a row in format_table.c; the order of the rows is that of the options in -help.
 */
#ifndef CPROF_CONVERT_OUTPUT_FORMAT_TABLE_H
#define CPROF_CONVERT_OUTPUT_FORMAT_TABLE_H

#include "convert/report/report.h"

extern const struct cprof_format cprof_format_top, cprof_format_text, cprof_format_tree,
	cprof_format_peek, cprof_format_traces, cprof_format_tags, cprof_format_comments,
	cprof_format_raw, cprof_format_proto, cprof_format_topproto, cprof_format_callgrind,
	cprof_format_kcachegrind, cprof_format_dot, cprof_format_svg, cprof_format_png,
	cprof_format_pdf, cprof_format_gif, cprof_format_ps, cprof_format_web, cprof_format_eog,
	cprof_format_evince, cprof_format_gv, cprof_format_list, cprof_format_weblist,
	cprof_format_disasm, cprof_format_folded, cprof_format_flamegraph, cprof_format_speedscope,
	cprof_format_firefox, cprof_format_json, cprof_format_movements,
	cprof_format_movements_json, cprof_format_leaks, cprof_format_leaks_json;

/* All formats, ended by NULL. */
extern const struct cprof_format *const cprof_formats[];

/* NULL if there is none of that name. */
const struct cprof_format *cprof_format_find(const char *name);

#endif
