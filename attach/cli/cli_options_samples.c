/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cli_options_impl.h"

#include <string.h>

#include "attach/run/timeline.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define BUCKET_MAX_NS (3600 * CPROF_NS_PER_S)

/* The first option that means no profile of some seconds in a file; NULL: none. */
static const char *not_one_file(const struct cprof_attach_options *options)
{
	return options->http            ? "-http"
	       : options->live          ? "-live"
	       : options->continuous.on ? "-every"
					: NULL;
}

/* "-mode cpu" */
static void put_modes_with_times(struct cprof_buffer *out)
{
	for (size_t i = 0; i < cprof_n_modes; i++) {
		if (cprof_modes[i].has_times)
			cprof_buffer_printf(out, "%s-mode %s", out->len ? " and " : "",
					    cprof_modes[i].name);
	}
}

static struct cprof_error *no_times(const struct cprof_mode *mode)
{
	CPROF_AUTO(buffer) struct cprof_buffer modes = { 0 };
	put_modes_with_times(&modes);
	return cprof_error_hint(cprof_error_new(CPROF_ERR_USAGE,
						"-mode %s does not say when its samples were",
						mode->name),
				"-timeline goes with %s", cprof_buffer_text(&modes));
}

static struct cprof_error *check_mode(const struct cprof_attach_options *options)
{
	const struct cprof_mode *mode;
	struct cprof_error *err = cprof_mode_find(options->mode, &mode);
	const char *other = not_one_file(options);
	if (err)
		return err;
	if (options->threads && mode->no_threads && !options->http)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"-mode %s cannot choose threads: its samples are of none",
					mode->name),
			"leave -threads and -tid out; -focus of cprof chooses by function");
	if (options->request_labels.asked && !mode->has_requests && !options->http &&
	    !options->continuous.on)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"-mode %s does not read labels of requests", mode->name),
			"-request-labels goes with -mode cpu, block, mutex and wall");
	if (!options->timeline.on)
		return NULL;
	if (other)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "-timeline does not go with %s", other),
			"there each profile is of some seconds and says which; -timeline is for one file");
	return mode->has_times ? NULL : no_times(mode);
}

static struct cprof_error *parse_timeline(struct cprof_attach_options *options)
{
	const char *text = options->timeline_text;
	struct cprof_run_timeline *timeline = &options->timeline;
	if (!text)
		return NULL;
	if (strcmp(text, "off") == 0 || strcmp(text, "false") == 0) {
		options->no_timeline = true;
		return NULL;
	}
	timeline->on = timeline->asked = true;
	if (!*text || strcmp(text, "auto") == 0)
		return NULL;
	struct cprof_error *err =
		cprof_options_value("timeline", CPROF_OPT_DURATION, text, &timeline->bucket_ns);
	if (err)
		return cprof_error_hint(err, "-timeline alone chooses the buckets, -timeline off "
					     "leaves them out");
	if (timeline->bucket_ns < CPROF_TIMELINE_NS_PER_MS || timeline->bucket_ns > BUCKET_MAX_NS ||
	    timeline->bucket_ns % CPROF_TIMELINE_NS_PER_MS)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"-timeline: \"%s\" is not a whole number of milliseconds "
					"from 1ms to 1h",
					text),
			"for example -timeline 100ms");
	return NULL;
}

/* A collector makes a series of each set of labels, or keeps an index of them: ids of requests are nothing for it. */
static struct cprof_error *parse_request_labels(struct cprof_attach_options *options)
{
	static const struct {
		const char *name;
		enum cprof_request_labels what;
	} rows[] = { { "all", CPROF_REQUEST_LABELS_ALL },
		     { "attributes", CPROF_REQUEST_LABELS_ATTRIBUTES },
		     { "off", CPROF_REQUEST_LABELS_OFF } };
	const char *text = options->request_labels_text;
	const bool collected = options->push_urls.len || options->http || options->continuous.on;
	options->request_labels.what = options->no_context ? CPROF_REQUEST_LABELS_OFF
				       : collected         ? CPROF_REQUEST_LABELS_ATTRIBUTES
							   : CPROF_REQUEST_LABELS_ALL;
	if (strcmp(text, "auto") == 0)
		return NULL;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(text, rows[i].name) != 0)
			continue;
		options->request_labels.what = rows[i].what;
		options->request_labels.asked = rows[i].what != CPROF_REQUEST_LABELS_OFF;
		return NULL;
	}
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE, "-request-labels %s is not known", text),
		"all, attributes, off, or auto");
}

struct cprof_error *cli_options_parse_samples(struct cprof_attach_options *options)
{
	struct cprof_error *err = NULL;
	if (options->thread_pattern || options->thread_ids)
		err = cprof_thread_choice_new(options->thread_pattern, options->thread_ids,
					      &options->threads);
	if (!err)
		err = parse_timeline(options);
	if (!err)
		err = parse_request_labels(options);
	return err ? err : check_mode(options);
}
