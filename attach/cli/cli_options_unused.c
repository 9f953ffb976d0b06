/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of other modes, which would be passed over in silence: who types -rate 99 and gets 100 samples a second should hear of it.
 * A file or the environment may have what only some modes take.
 */
#include <string.h>

#include "attach/cli/cli_options.h"

static const struct use {
	const char *name, *modes;
	const char *instead; /* in another mode; NULL: there is nothing like it */
} uses[] = {
	{ "rate", "heap block mutex", "-hz is how often -mode cpu and wall sample" },
	{ "hz", "cpu wall", "-rate is what -mode heap, block and mutex go by" },
	{ "event", "cpu", NULL },
	{ "stack-bytes", "cpu wall block mutex", NULL },
	{ "user-only", "cpu wall", NULL },
	{ "open", "cpu wall", NULL },
	{ "block", "block", NULL },
	{ "block-method", "block mutex", NULL },
	{ "wall", "wall", NULL },
	{ "wall-method", "wall", NULL },
	{ "overhead", "heap wall", NULL },
	{ "heap-baseline", "heap", NULL },
	{ "heap-method", "heap", NULL },
	{ "group", "threads", NULL },
	{ "text-format", "threads", NULL },
	{ "exit-code", "threads", NULL },
	{ "repeat", "threads", NULL },
	{ "consistent", "threads", NULL },
	{ "means", "threads",
	  "-block-method, -wall-method, -heap-method and -open are those of other modes" },
};

static bool is_typed(const struct cprof_attach_options *options, const char *name)
{
	for (size_t i = 0; options->layers.rows && i < cprof_cli_option_table.n_rows; i++) {
		const struct cprof_option_found *found = &options->layers.rows[i];
		if (strcmp(cprof_cli_option_table.rows[i].name, name) == 0)
			return found->len &&
			       found->items[found->len - 1].layer == CPROF_OPTION_TYPED;
	}
	return false;
}

static bool is_one_of(const char *word, const char *words)
{
	const size_t len = strlen(word);
	for (const char *at = words; *at; at += strspn(at, " ")) {
		size_t n = strcspn(at, " ");
		if (n == len && memcmp(at, word, n) == 0)
			return true;
		at += n;
	}
	return false;
}

void cprof_cli_options_unused(const struct cprof_attach_options *options, struct cprof_buffer *out)
{
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		const struct use *use = &uses[i];
		if (is_one_of(options->mode, use->modes) || !is_typed(options, use->name))
			continue;
		cprof_buffer_printf(out, "%swarning: -%s does nothing in -mode %s: it goes with ",
				    out->len ? "\n" : "", use->name, options->mode);
		for (const char *at = use->modes; *at; at++)
			cprof_buffer_printf(out, *at == ' ' ? ", " : "%c", *at);
		if (use->instead)
			cprof_buffer_printf(out, "; %s", use->instead);
	}
}
