/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cli_options_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define RING_MIN_NS  CPROF_NS_PER_S
#define RING_MAX_NS  (3600 * CPROF_NS_PER_S)
#define MEMORY_MIN   (1ull << 20)
#define MEMORY_MAX   (1ull << 36)
#define KEEP_MAX     500 /* each has its directory open, of the usual 1024 descriptors */
#define NOT_GIVEN_NS UINT64_MAX

void cli_options_init_ring(struct cprof_attach_options *options)
{
	options->ring.before_ns = options->ring.after_ns = NOT_GIVEN_NS;
}

/* What says something with -ring only. */
static const char *alone(const struct cprof_attach_options *options)
{
	return options->ring.until.len                        ? "-until"
	       : options->ring.before_ns != NOT_GIVEN_NS      ? "-before"
	       : options->ring.after_ns != NOT_GIVEN_NS       ? "-after"
	       : cli_options_is_given(options, "keep")        ? "-keep"
	       : cli_options_is_given(options, "ring-memory") ? "-ring-memory"
							      : NULL;
}

static const char *not_with(const struct cprof_attach_options *options)
{
	const struct {
		bool given;
		const char *name;
	} others[] = { { options->push_urls.len > 0, "-push" },
		       { options->live, "-live" },
		       { options->text, "-text" },
		       { options->children, "-children" },
		       { options->command.len > 0, "-- COMMAND" },
		       { options->requests.threads.core, "-core" },
		       { options->report.top, "-top" },
		       { options->report.tree, "-tree" },
		       { options->report.traces, "-traces" },
		       { options->report.folded, "-folded" },
		       { options->report.peek, "-peek" },
		       { options->report.list, "-list" } };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (others[i].given)
			return others[i].name;
	}
	return NULL;
}

static struct cprof_error *parse_triggers(struct cprof_attach_options *options)
{
	const struct cprof_strings *until = &options->ring.until;
	struct cprof_error *err = NULL;
	if (until->len > CPROF_TRIGGERS_MAX)
		return cprof_error_new(CPROF_ERR_USAGE, "-until: more than %d conditions",
				       CPROF_TRIGGERS_MAX);
	for (size_t i = 0; !err && i < until->len; i++)
		err = cprof_trigger_parse(until->items[i],
					  &options->ring.triggers[options->ring.n_triggers++]);
	return err;
}

static struct cprof_error *check_lengths(struct cprof_attach_options *options)
{
	const uint64_t length_ns = options->ring.length_ns;
	uint64_t *before_ns = &options->ring.before_ns, *after_ns = &options->ring.after_ns;
	if (length_ns < RING_MIN_NS || length_ns > RING_MAX_NS)
		return cprof_error_new(CPROF_ERR_USAGE, "-ring: not between 1s and 1h");
	if (*after_ns == NOT_GIVEN_NS)
		*after_ns = 0;
	if (*before_ns == NOT_GIVEN_NS)
		*before_ns = length_ns > *after_ns ? length_ns - *after_ns : 0;
	if (*before_ns <= length_ns && *after_ns <= length_ns - *before_ns)
		return NULL;
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE,
				"-before and -after together are longer than the "
				"ring, %g s",
				(double)length_ns / 1e9),
		"-ring says how much is kept: before and after the trigger together");
}

struct cprof_error *cli_options_check_ring(struct cprof_attach_options *options)
{
	const char *other = options->ring.length_ns ? not_with(options) : alone(options);
	if (!options->ring.length_ns)
		return other ? cprof_error_hint(cprof_error_new(CPROF_ERR_USAGE,
								"%s says nothing without -ring",
								other),
						"for example -ring 60s -until 'cpu>80%%'")
			     : NULL;
	if (other)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "-ring does not go with %s", other),
			"it writes files, of one process that runs: cprof-attach -p PID -ring 60s "
			"-until 'cpu>80%%' -o FILE");
	if (options->output && strcmp(options->output, "-") == 0)
		return cprof_error_new(CPROF_ERR_USAGE, "-ring writes a file for each trigger, and "
							"not -o -");
	if (options->ring.keep < 1 || options->ring.keep > KEEP_MAX)
		return cprof_error_new(CPROF_ERR_USAGE, "-keep: not between 1 and %d", KEEP_MAX);
	if (options->ring.bytes < MEMORY_MIN || options->ring.bytes > MEMORY_MAX)
		return cprof_error_new(CPROF_ERR_USAGE, "-ring-memory: not between 1M and 64G");
	struct cprof_error *err = check_lengths(options);
	return err ? err : parse_triggers(options);
}
