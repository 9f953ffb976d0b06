/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/web/web_query.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/http/http_query.h"
#include "convert/output/json.h"

/* A parameter, and the option that it sets. */
static const struct {
	const char *param, *option;
} rows[] = {
	{ "f", "focus" },
	{ "i", "ignore" },
	{ "h", "hide" },
	{ "s", "show" },
	{ "sf", "show_from" },
	{ "prunefrom", "prune_from" },
	{ "tf", "tagfocus" },
	{ "ti", "tagignore" },
	{ "ts", "tagshow" },
	{ "th", "taghide" },
	{ "from", "from" },
	{ "to", "to" },
	{ "tagroot", "tagroot" },
	{ "tagleaf", "tagleaf" },
	{ "si", "sample_index" },
	{ "mean", "mean" },
	{ "unit", "unit" },
	{ "n", "nodecount" },
	{ "nf", "nodefraction" },
	{ "ef", "edgefraction" },
	{ "trim", "trim" },
	{ "rel", "relative_percentages" },
	{ "dropneg", "drop_negative" },
	{ "calltree", "call_tree" },
	{ "compact", "compact_labels" },
	{ "intel", "intel_syntax" },
	{ "noinlines", "noinlines" },
	{ "showcolumns", "showcolumns" },
	{ "sort", "sort" },
	{ "g", "granularity" },
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))
static_assert(N_ROWS <= CPROF_WEB_PARAMS_MAX, "room for each parameter's text");

/* What cprof_web_norm is called in addresses. */
static const char *const norms[] = { "none", "total", "duration" };

static bool get(const char *query, const char *name, struct cprof_buffer *value)
{
	return cprof_http_query_get(query, strlen(query), name, value);
}

static struct cprof_error *read_row(const char *query, size_t row, struct cprof_web_query *ret)
{
	struct cprof_buffer *text = &ret->texts[row];
	if (!get(query, rows[row].param, text))
		return NULL;
	const char *value = cprof_buffer_text(text);
	struct cprof_error *err = cprof_buffer_error(text);
	if (err)
		return err;
	if (strcmp(rows[row].param, "g") == 0 && strcmp(value, "modules") == 0) {
		ret->by_module = true;
		return NULL;
	}
	err = cprof_config_set(&ret->config, rows[row].option, value);
	return err ? cprof_error_wrap(err, "parameter %s", rows[row].param) : NULL;
}

static struct cprof_error *read_norm(const char *query, struct cprof_web_query *ret)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	ret->norm = ret->config.normalize ? CPROF_WEB_NORM_TOTAL : CPROF_WEB_NORM_NONE;
	if (!get(query, "norm", &text) || !text.len)
		return NULL;
	for (size_t i = 0; i < sizeof(norms) / sizeof(norms[0]); i++) {
		if (strcmp(cprof_buffer_text(&text), norms[i]) == 0) {
			ret->norm = (enum cprof_web_norm)i;
			return NULL;
		}
	}
	/* As pprof has it: a switch. */
	struct cprof_error *err =
		cprof_config_set(&ret->config, "normalize", cprof_buffer_text(&text));
	ret->norm = ret->config.normalize ? CPROF_WEB_NORM_TOTAL : CPROF_WEB_NORM_NONE;
	return err ? cprof_error_wrap(err, "parameter norm (none, total or duration)") : NULL;
}

/* "FROM,TO", both in nanoseconds. */
static struct cprof_error *read_time(const char *query, struct cprof_web_query *ret)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (!get(query, "time", &text) || !text.len)
		return NULL;
	char *middle, *end;
	const char *begin = cprof_buffer_text(&text);
	errno = 0;
	ret->from_ns = strtoll(begin, &middle, 10);
	ret->to_ns = *middle == ',' ? strtoll(middle + 1, &end, 10) : 0;
	if (middle == begin || *middle != ',' || end == middle + 1 || *end || errno ||
	    ret->to_ns <= ret->from_ns)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "parameter time: \"%s\" is not FROM,TO in nanoseconds",
				       begin);
	return NULL;
}

struct cprof_error *cprof_web_query_read(const char *query, const struct cprof_config *start,
					 struct cprof_web_query *ret)
{
	CPROF_AUTO(buffer) struct cprof_buffer whole = { 0 };
	*ret = (struct cprof_web_query){ .config = *start };
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < N_ROWS; i++)
		err = read_row(query, i, ret);
	if (!err)
		err = read_norm(query, ret);
	if (!err)
		err = read_time(query, ret);
	get(query, "format", &ret->format);
	get(query, "profile", &ret->profile);
	get(query, "base", &ret->base);
	ret->whole = get(query, "whole", &whole) && strcmp(cprof_buffer_text(&whole), "1") == 0;
	return err;
}

void cprof_web_query_deinit(struct cprof_web_query *query)
{
	for (size_t i = 0; i < N_ROWS; i++)
		cprof_buffer_deinit(&query->texts[i]);
	cprof_buffer_deinit(&query->format);
	cprof_buffer_deinit(&query->profile);
	cprof_buffer_deinit(&query->base);
}

static const struct cprof_option *option_of(const char *name)
{
	size_t i = 0;
	while (strcmp(cprof_config_options[i].name, name) != 0)
		i++;
	return &cprof_config_options[i];
}

void cprof_web_query_put(const struct cprof_web_query *query, FILE *out)
{
	fputc('{', out);
	for (size_t i = 0; i < N_ROWS; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		cprof_config_get(&query->config, option_of(rows[i].option), &text);
		fprintf(out, "\"%s\":", rows[i].param);
		cprof_json_put_string(out, query->by_module && strcmp(rows[i].param, "g") == 0
						   ? "modules"
						   : cprof_buffer_text(&text));
		fputc(',', out);
	}
	fprintf(out, "\"norm\":\"%s\"}", norms[query->norm]);
}
