/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cli_options_impl.h"

#include <string.h>

void cli_options_take_top(int argc, char *const argv[], struct cprof_strings *rest,
			  struct cprof_attach_options *options)
{
	if (argc < 2 || !rest->len || rest->items[0] != argv[1] || strcmp(argv[1], "top") != 0)
		return;
	options->live = true;
	memmove(rest->items, rest->items + 1, --rest->len * sizeof(rest->items[0]));
}

struct cprof_error *cli_options_check_live(const struct cprof_attach_options *options)
{
	if (!options->live)
		return NULL;
	const char *other = options->push_urls.len ? "-push"
			    : options->http        ? "-http"
			    : options->children    ? "-children"
						   : cli_options_for_one_profile(options);
	if (other)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "-live does not go with %s", other),
			"for example cprof-attach top -p $(pidof -s redis-server)");
	return cli_options_check_every(options->requests.threads.every_ns);
}
