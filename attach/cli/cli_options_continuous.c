/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cli_options_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define EVERY_DEFAULT_NS (15 * CPROF_NS_PER_S)
#define EVERY_MIN_NS     (1 * CPROF_NS_PER_S)
#define EVERY_MAX_NS     (3600 * CPROF_NS_PER_S)

bool cli_options_is_given(const struct cprof_attach_options *options, const char *name)
{
	const struct cprof_option_table *table = &cprof_cli_option_table;
	for (size_t i = 0; i < table->n_rows; i++) {
		const struct cprof_option_found *found = &options->layers.rows[i];
		if (strcmp(table->rows[i].name, name) == 0)
			return found->len && found->items[0].layer > CPROF_OPTION_DEFAULT;
	}
	return false;
}

static bool means_a_set(const struct cprof_attach_options *options)
{
	return options->groups.len || options->units.len || options->all || options->names.len > 1;
}

/* Between two windows, not between two snapshots of one run of the threads mode. */
static bool has_every(const struct cprof_attach_options *options)
{
	const bool snapshots =
		strcmp(options->mode, "threads") == 0 && options->requests.threads.repeat > 1;
	return cli_options_is_given(options, "every") && !snapshots;
}

struct cprof_error *cli_options_check_every(uint64_t every_ns)
{
	if (every_ns >= EVERY_MIN_NS && every_ns <= EVERY_MAX_NS)
		return NULL;
	return cprof_error_new(CPROF_ERR_USAGE, "-every: not between 1s and 1h");
}

static struct cprof_error *find_every(struct cprof_attach_options *options)
{
	const char *theirs = secure_getenv("PYROSCOPE_UPLOAD_INTERVAL");
	uint64_t *every_ns = &options->continuous.every_ns;
	struct cprof_error *err = NULL;
	*every_ns = EVERY_DEFAULT_NS;
	if (has_every(options))
		*every_ns = options->requests.threads.every_ns;
	else if (theirs && *theirs)
		err = cprof_options_value("every", CPROF_OPT_DURATION, theirs, every_ns);
	if (err)
		return cprof_error_wrap(err, "PYROSCOPE_UPLOAD_INTERVAL");
	return cli_options_check_every(*every_ns);
}

static struct cprof_error *check_others(const struct cprof_attach_options *options)
{
	const char *other = options->dry_run ? "-dry-run" : cli_options_for_one_profile(options);
	if (other)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"%s goes with one profile, and not with profiles one after "
					"the other",
					other),
			"leave out -every and -modes, or it");
	return NULL;
}

struct cprof_error *cli_options_settle_continuous(struct cprof_attach_options *options)
{
	if (!options->push_urls.len ||
	    !(has_every(options) || cli_options_is_given(options, "modes") || means_a_set(options)))
		return NULL;
	options->continuous.on = true;
	options->continuous.modes =
		cli_options_is_given(options, "modes") ? options->modes : options->mode;
	if (options->length_ns == UINT64_MAX)
		options->length_ns = 0;
	struct cprof_error *err = find_every(options);
	return err ? err : check_others(options);
}

/* ---- after a change of the file ---- */

static bool is_about_processes(const char *name)
{
	static const char *const names[] = { "p", "n", "cgroup", "unit", "all", "children" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static bool same_values(const struct cprof_option_found *a, const struct cprof_option_found *b)
{
	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->len; i++) {
		if (strcmp(a->items[i].text, b->items[i].text) != 0)
			return false;
	}
	return true;
}

bool cprof_cli_options_same(const struct cprof_attach_options *before,
			    const struct cprof_attach_options *now)
{
	const struct cprof_option_table *table = &cprof_cli_option_table;
	for (size_t i = 0; i < table->n_rows; i++) {
		if (!is_about_processes(table->rows[i].name) &&
		    !same_values(&before->layers.rows[i], &now->layers.rows[i]))
			return false;
	}
	return true;
}
