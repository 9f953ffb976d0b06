/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/config.h - what a report is asked for: every option of pprof's that shapes one, by its name.
 *
 * The rows of cprof_config_options serve the command line, the interactive shell's assignments, --help
 * and the man page alike. Text is borrowed: from argv, or from whoever assigned it.
 */
#ifndef CPROF_CONVERT_REPORT_CONFIG_H
#define CPROF_CONVERT_REPORT_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/options.h"

enum cprof_granularity {
	CPROF_BY_FUNCTION,
	CPROF_BY_FILE_FUNCTION,
	CPROF_BY_FILE,
	CPROF_BY_LINE,
	CPROF_BY_ADDRESS,
};

struct cprof_config {
	/* What is counted and how it is shown. */
	const char *sample_index; /* a type's name or number; "" for the default */
	const char *unit;         /* "minimum", "auto" or a unit */
	double divide_by;
	bool mean;
	bool normalize;
	bool relative_percentages;
	bool compact_labels;
	bool drop_negative;
	bool cum; /* sort by it */
	enum cprof_granularity granularity;
	bool noinlines;
	bool showcolumns;
	bool call_tree;
	bool intel_syntax;
	const char *source_path, *trim_path; /* ':'-separated */
	const char *tools;                   /* where binutils are, likewise */

	/* How much of it. */
	int64_t nodecount; /* -1: as many as the report likes */
	double nodefraction, edgefraction;
	bool trim;

	/* Which samples and frames. Regular expressions, except as said; "" is none. */
	const char *focus, *ignore, *prune_from, *hide, *show, *show_from;
	const char *tagfocus, *tagignore; /* see filter_tags.h */
	const char *tagshow, *taghide;
	const char *from, *to; /* see filter_time.h */
	bool has_origin;       /* no option: they count from origin_ns, likewise */
	int64_t origin_ns;
	const char *tagroot, *tagleaf; /* keys with commas between them */

	const char *output; /* file; "" is stdout */

	/* The choices as the command line has them, one switch each; see cprof_config_settle(). */
	bool by_function, by_file_function, by_file, by_line, by_address, sort_flat, sort_cum;
	const char *sort, *granularity_name;
};

/* Rows for cprof_options_parse(); offsets are into struct cprof_config. */
extern const struct cprof_option cprof_config_options[];
extern const size_t cprof_config_n_options;

/* Turn the choice switches into `cum` and `granularity`. Errors: CPROF_ERR_USAGE, two of one group. */
struct cprof_error *cprof_config_settle(struct cprof_config *config);

/* Defaults, as with no option given. */
struct cprof_error *cprof_config_init(struct cprof_config *config);

/*
 * Set one option by name, as the interactive shell does: a choice ("cum", "lines") is set by its own name
 * or by its group's ("sort", "granularity"). `value` is borrowed. Errors: CPROF_ERR_USAGE.
 */
struct cprof_error *cprof_config_set(struct cprof_config *config, const char *name,
				     const char *value);

/* Whether `name` is an option or a choice, and whether it needs no value. */
bool cprof_config_known(const char *name, bool *ret_is_switch);

/* The value of an option as text, for listing; `out` is appended to. */
void cprof_config_get(const struct cprof_config *config, const struct cprof_option *row,
		      struct cprof_buffer *out);

/* A choice's switch; they are listed with their group and not on their own. */
bool cprof_config_is_choice(const struct cprof_option *row);

extern const char *const cprof_granularity_names[]; /* by enum cprof_granularity */

#endif
