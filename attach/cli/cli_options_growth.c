/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a heap profile about time: ages, a history for -leaks, changes since a moment.
 */
#include <string.h>

#include "attach/cli/cli_options_impl.h"
#include "base/clock.h"

#define LEAKS_MIN_NS (10 * CPROF_NS_PER_S)

/* A leak is a few blocks among very many that come and go: it has to be met by samples to be seen. */
#define LEAKS_RATE                                                                                 \
	(16u                                                                                       \
	 << 10) /* of a leak of 1 MiB a minute 32 samples come to be old in the second half of one (test_slope.c) */

static struct cprof_error *check_mode(const struct cprof_attach_options *options)
{
	const struct {
		bool given;
		const char *name;
	} heap[] = { { options->report.leaks, "-leaks" },
		     { options->requests.heap.ages, "-heap-age" },
		     { options->requests.heap.since_ns != 0, "-heap-since" },
		     { options->on_oom != NULL, "-on-oom" },
		     { options->requests.heap.mmap && !options->http && !options->continuous.on,
		       "-heap-mmap" } };
	for (size_t i = 0; i < sizeof(heap) / sizeof(heap[0]); i++) {
		if (heap[i].given && strcmp(options->mode, "heap") != 0)
			return cprof_error_hint(
				cprof_error_new(CPROF_ERR_USAGE,
						"%s says nothing without -mode heap", heap[i].name),
				"add -mode heap");
	}
	return NULL;
}

static struct cprof_error *check_since(const struct cprof_attach_options *options)
{
	const uint64_t since_ns = options->requests.heap.since_ns;
	if (!since_ns)
		return NULL;
	if (options->http || options->continuous.on || options->live)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-heap-since is for one profile: it does not "
				       "go with -http, -live or -push -every");
	if (options->requests.heap.mmap)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-heap-mmap counts from the start on: it does not go with "
				       "-heap-since");
	if (options->length_ns && since_ns >= options->length_ns)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"-heap-since: nothing comes after %g s of a run of %g s",
					(double)since_ns / (double)CPROF_NS_PER_S,
					(double)options->length_ns / (double)CPROF_NS_PER_S),
			"it is a time since the start, shorter than -seconds");
	return NULL;
}

static struct cprof_error *check_oom(const struct cprof_attach_options *options)
{
	if (!options->on_oom)
		return options->requests.heap.on_oom.rss_bytes
			       ? cprof_error_new(CPROF_ERR_USAGE,
						 "-on-oom-rss says nothing without -on-oom FILE")
			       : NULL;
	if (options->http || options->continuous.on || options->live)
		return cprof_error_new(CPROF_ERR_USAGE, "-on-oom is for one run: it does not go "
							"with -http, -live or -push -every");
	if (strcmp(options->on_oom, "-") == 0 || !*options->on_oom)
		return cprof_error_new(CPROF_ERR_USAGE, "-on-oom: give the name of a file");
	return NULL;
}

struct cprof_error *cli_options_settle_growth(struct cprof_attach_options *options)
{
	struct cprof_heap_request *heap = &options->requests.heap;
	struct cprof_error *err = check_mode(options);
	if (!err)
		err = check_since(options);
	if (!err)
		err = check_oom(options);
	if (err || !options->report.leaks)
		return err;
	if (options->length_ns && options->length_ns < LEAKS_MIN_NS)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"-leaks: %g s are too short to tell what "
					"grows from what is in use for a moment",
					(double)options->length_ns / (double)CPROF_NS_PER_S),
			"-seconds 60 or more; at least 10");
	heap->ages = true;
	heap->history_ns = options->requests.threads.every_ns;
	if (!options->rate)
		heap->period_bytes = LEAKS_RATE;
	return cli_options_check_every(heap->history_ns);
}
