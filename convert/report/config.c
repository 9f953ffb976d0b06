/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/report/config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define AT(field) offsetof(struct cprof_config, field)

/* clang-format off */
const struct cprof_option cprof_config_options[] = {
	{ "sample_index", CPROF_OPT_STRING, AT(sample_index), "", "NAME|N", "sample value to report: a type's name, or its number from 0", "Values" },
	{ "unit", CPROF_OPT_STRING, AT(unit), "minimum", "UNIT", "unit to show values in: seconds, ms, megabytes ...; auto chooses for each value alone", NULL },
	{ "divide_by", CPROF_OPT_DOUBLE, AT(divide_by), "1", "F", "divide all values by this, e.g. the number of processors or jobs", NULL },
	{ "mean", CPROF_OPT_SWITCH, AT(mean), NULL, NULL, "average the value over the first value (the count): bytes per allocation, time per event", NULL },
	{ "normalize", CPROF_OPT_SWITCH, AT(normalize), NULL, NULL, "scale the profile to the base profile before subtracting", NULL },
	{ "relative_percentages", CPROF_OPT_SWITCH, AT(relative_percentages), NULL, NULL, "percentages of what the filters leave, not of the whole profile", NULL },
	{ "drop_negative", CPROF_OPT_SWITCH, AT(drop_negative), NULL, NULL, "leave out what got smaller in a comparison", NULL },

	{ "nodecount", CPROF_OPT_INT, AT(nodecount), "-1", "N", "most nodes to show; -1: all in text, 80 in graphs, 10 in the shell", "How much" },
	{ "nodefraction", CPROF_OPT_DOUBLE, AT(nodefraction), "0.005", "F", "hide nodes below this part of the total", NULL },
	{ "edgefraction", CPROF_OPT_DOUBLE, AT(edgefraction), "0.001", "F", "hide edges below this part of the total", NULL },
	{ "trim", CPROF_OPT_SWITCH, AT(trim), "true", NULL, "honor nodecount, nodefraction and edgefraction; -trim=false shows everything", NULL },

	{ "focus", CPROF_OPT_STRING, AT(focus), "", "RE", "only samples with a frame that matches in function, file or mapping", "Filters" },
	{ "ignore", CPROF_OPT_STRING, AT(ignore), "", "RE", "no samples with a frame that matches", NULL },
	{ "hide", CPROF_OPT_STRING, AT(hide), "", "RE", "leave matching frames out of every stack", NULL },
	{ "show", CPROF_OPT_STRING, AT(show), "", "RE", "leave only matching frames in every stack", NULL },
	{ "show_from", CPROF_OPT_STRING, AT(show_from), "", "RE", "cut the callers of the outermost matching frame", NULL },
	{ "prune_from", CPROF_OPT_STRING, AT(prune_from), "", "RE", "cut what the innermost matching frame calls", NULL },
	{ "tagfocus", CPROF_OPT_STRING, AT(tagfocus), "", "TAGS", "only samples with such a tag: RE, KEY=RE, or a range: 1kb:10kb, KEY=32mb:", NULL },
	{ "tagignore", CPROF_OPT_STRING, AT(tagignore), "", "TAGS", "no samples with such a tag", NULL },
	{ "tagshow", CPROF_OPT_STRING, AT(tagshow), "", "RE", "consider only tags whose key matches", NULL },
	{ "taghide", CPROF_OPT_STRING, AT(taghide), "", "RE", "forget tags whose key matches", NULL },
	{ "from", CPROF_OPT_STRING, AT(from), "", "TIME", "only samples from so long after the beginning on, where labels say when samples were (time_ms, end_timestamp_ns ...): 2s, 500ms, 1m30s", NULL },
	{ "to", CPROF_OPT_STRING, AT(to), "", "TIME", "only samples from before then", NULL },
	{ "tagroot", CPROF_OPT_STRING, AT(tagroot), "", "KEYS", "put the values of these tags (comma-separated keys) below the root of each stack", NULL },
	{ "tagleaf", CPROF_OPT_STRING, AT(tagleaf), "", "KEYS", "put the values of these tags on top of each stack", NULL },

	{ "functions", CPROF_OPT_SWITCH, AT(by_function), NULL, NULL, "one entry a function (default)", "Granularity (one of)" },
	{ "filefunctions", CPROF_OPT_SWITCH, AT(by_file_function), NULL, NULL, "one entry a function and file", NULL },
	{ "files", CPROF_OPT_SWITCH, AT(by_file), NULL, NULL, "one entry a source file", NULL },
	{ "lines", CPROF_OPT_SWITCH, AT(by_line), NULL, NULL, "one entry a source line", NULL },
	{ "addresses", CPROF_OPT_SWITCH, AT(by_address), NULL, NULL, "one entry an address", NULL },
	{ "granularity", CPROF_OPT_STRING, AT(granularity_name), "", "NAME", "the same by name: functions, filefunctions, files, lines, addresses", NULL },
	{ "noinlines", CPROF_OPT_SWITCH, AT(noinlines), NULL, NULL, "count inlined functions as their callers", NULL },
	{ "showcolumns", CPROF_OPT_SWITCH, AT(showcolumns), NULL, NULL, "tell source columns apart as well as lines", NULL },

	{ "flat", CPROF_OPT_SWITCH, AT(sort_flat), NULL, NULL, "sort by own value (default)", "Layout" },
	{ "cum", CPROF_OPT_SWITCH, AT(sort_cum), NULL, NULL, "sort by value with everything called", NULL },
	{ "sort", CPROF_OPT_STRING, AT(sort), "", "NAME", "the same by name: flat or cum", NULL },
	{ "call_tree", CPROF_OPT_SWITCH, AT(call_tree), NULL, NULL, "keep functions reached on different paths apart (graphs, callgrind)", NULL },
	{ "compact_labels", CPROF_OPT_SWITCH, AT(compact_labels), NULL, NULL, "short headers", NULL },
	{ "intel_syntax", CPROF_OPT_SWITCH, AT(intel_syntax), NULL, NULL, "Intel syntax in assembly", NULL },
	{ "source_path", CPROF_OPT_STRING, AT(source_path), "", "DIRS", "where source files may be, ':'-separated; the present directory if empty; / is anywhere", NULL },
	{ "trim_path", CPROF_OPT_STRING, AT(trim_path), "", "DIRS", "prefixes to take off source file names, ':'-separated", NULL },
	{ "tools", CPROF_OPT_STRING, AT(tools), "", "DIRS", "where nm and objdump are, ':'-separated; $PPROF_TOOLS if empty, then PATH", NULL },
	{ "output", CPROF_OPT_STRING, AT(output), "", "FILE", "write the report there and not to stdout", NULL },
};
/* clang-format on */
const size_t cprof_config_n_options =
	sizeof(cprof_config_options) / sizeof(cprof_config_options[0]);

const char *const cprof_granularity_names[] = { "functions", "filefunctions", "files", "lines",
						"addresses" };
#define N_GRANULARITIES (sizeof(cprof_granularity_names) / sizeof(cprof_granularity_names[0]))

static const struct cprof_option *find_row(const char *name)
{
	for (size_t i = 0; i < cprof_config_n_options; i++) {
		if (strcmp(cprof_config_options[i].name, name) == 0)
			return &cprof_config_options[i];
	}
	return NULL;
}

static struct cprof_error *parse(struct cprof_config *config, const struct cprof_option *rows,
				 size_t n, int argc, char **argv)
{
	struct cprof_option_table table = { .rows = rows, .n_rows = n };
	struct cprof_strings rest = { 0 };
	struct cprof_error *err = cprof_options_parse(&table, argc, argv, config, &rest, NULL);
	cprof_strings_deinit(&rest);
	return err;
}

struct cprof_error *cprof_config_init(struct cprof_config *config)
{
	*config = (struct cprof_config){ 0 };
	return parse(config, cprof_config_options, cprof_config_n_options, 0, NULL);
}

static struct cprof_error *conflict(const char *a, const char *b)
{
	return cprof_error_new(CPROF_ERR_USAGE, "conflicting options set: [%s %s]", a, b);
}

static struct cprof_error *settle_granularity(struct cprof_config *config)
{
	const bool set[] = { config->by_function, config->by_file_function, config->by_file,
			     config->by_line, config->by_address };
	size_t chosen = N_GRANULARITIES;
	for (size_t i = 0; i < N_GRANULARITIES; i++) {
		bool named = strcmp(config->granularity_name, cprof_granularity_names[i]) == 0;
		if (!set[i] && !named)
			continue;
		if (chosen != N_GRANULARITIES)
			return conflict(cprof_granularity_names[chosen],
					cprof_granularity_names[i]);
		chosen = i;
	}
	if (chosen == N_GRANULARITIES && *config->granularity_name)
		return cprof_error_new(CPROF_ERR_USAGE, "invalid \"granularity\" value \"%s\"",
				       config->granularity_name);
	if (chosen != N_GRANULARITIES)
		config->granularity = (enum cprof_granularity)chosen;
	return NULL;
}

struct cprof_error *cprof_config_settle(struct cprof_config *config)
{
	bool cum = config->sort_cum || strcmp(config->sort, "cum") == 0;
	bool flat = config->sort_flat || strcmp(config->sort, "flat") == 0;
	if (cum && flat)
		return conflict("cum", "flat");
	if (*config->sort && !cum && !flat)
		return cprof_error_new(CPROF_ERR_USAGE, "invalid \"sort\" value \"%s\"",
				       config->sort);
	if (cum || flat)
		config->cum = cum;
	struct cprof_error *err = settle_granularity(config);
	config->by_function = config->by_file_function = config->by_file = config->by_line = false;
	config->by_address = config->sort_flat = config->sort_cum = false;
	config->sort = config->granularity_name = "";
	return err;
}

struct cprof_error *cprof_config_set(struct cprof_config *config, const char *name,
				     const char *value)
{
	const struct cprof_option *row = find_row(name);
	if (!row)
		return cprof_error_new(CPROF_ERR_USAGE, "unknown config field \"%s\"", name);
	/* One row without its default, or setting one option would reset it before. */
	struct cprof_option one = *row;
	one.fallback = NULL;
	/* In a copy: a value that is refused must not stay, or the next setting would be refused for it. */
	struct cprof_config changed = *config;
	CPROF_AUTO(buffer) struct cprof_buffer argument = { 0 };
	cprof_buffer_printf(&argument, "-%s=%s", name, value);
	char *argv[] = { NULL, (char *)argument.data, NULL };
	struct cprof_error *err = cprof_buffer_error(&argument);
	if (!err)
		err = parse(&changed, &one, 1, 2, argv);
	if (!err && row->kind == CPROF_OPT_STRING)
		*(const char **)((char *)&changed + row->offset) =
			value; /* not the buffer's copy */
	if (!err)
		err = cprof_config_settle(&changed);
	if (!err)
		*config = changed;
	return err;
}

bool cprof_config_known(const char *name, bool *ret_is_switch)
{
	const struct cprof_option *row = find_row(name);
	if (row)
		*ret_is_switch = row->kind == CPROF_OPT_SWITCH;
	return row != NULL;
}

bool cprof_config_is_choice(const struct cprof_option *row)
{
	return row->offset >= AT(by_function) && row->offset <= AT(sort_cum);
}

void cprof_config_get(const struct cprof_config *config, const struct cprof_option *row,
		      struct cprof_buffer *out)
{
	const void *at = (const char *)config + row->offset;
	if (row->offset == AT(sort))
		cprof_buffer_puts(out, config->cum ? "cum" : "flat");
	else if (row->offset == AT(granularity_name))
		cprof_buffer_puts(out, cprof_granularity_names[config->granularity]);
	else if (row->kind == CPROF_OPT_SWITCH)
		cprof_buffer_puts(out, *(const bool *)at ? "true" : "false");
	else if (row->kind == CPROF_OPT_INT)
		cprof_buffer_printf(out, "%" PRId64, *(const int64_t *)at);
	else if (row->kind == CPROF_OPT_DOUBLE)
		cprof_buffer_printf(out, "%g", *(const double *)at);
	else
		cprof_buffer_puts(out, *(const char *const *)at);
}
