/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cmd_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/option_show.h"
#include "base/printable_text.h"
#include "base/secret.h"
#include "convert/push/push_environment.h"

static void put_server(struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer url = { 0 };
	const char *variable = NULL;
	struct cprof_error *err = cprof_push_environment_server(&url, &variable);
	if (!err) {
		cprof_buffer_puts(out, "# -push env is ");
		cprof_secret_put_url(cprof_buffer_text(&url), out);
		cprof_buffer_printf(out, ", from %s\n", variable);
	}
	cprof_error_free(err);
}

/* Where what is logged in with comes from, for each server. */
static void put_auth(const struct cprof_attach_options *options, struct cprof_buffer *out)
{
	const char *own = secure_getenv("CPROF_PUSH_AUTH");
	for (size_t i = 0; i < options->push_urls.len; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer secret = { 0 }, url = { 0 };
		const char *variable = NULL;
		struct cprof_error *err =
			cprof_push_environment_url(options->push_urls.items[i], &url);
		if (err) {
			cprof_buffer_printf(out, "# -push env: %s\n", err->message);
			cprof_error_free(err);
			continue;
		}
		cprof_push_environment_auth(cprof_buffer_text(&url), options->push_backend, &secret,
					    &variable);
		cprof_buffer_puts(out, "# what to log in with at ");
		cprof_secret_put_url(cprof_buffer_text(&url), out);
		cprof_buffer_printf(
			out, ": %s%s\n",
			options->push_auth_file ? "the file of push-auth"
			: own && *own           ? "... from CPROF_PUSH_AUTH"
			: variable              ? "... from "
						: "nothing",
			!options->push_auth_file && !(own && *own) && variable ? variable : "");
	}
}

static void put_label(void *ctx, const char *name, const char *value)
{
	cprof_buffer_puts(ctx, "# label from the environment: ");
	cprof_printable_puts(ctx, name);
	cprof_buffer_putc(ctx, '=');
	cprof_printable_puts(ctx, cprof_secret_is_name(name, strlen(name)) ? "..." : value);
	cprof_buffer_putc(ctx, '\n');
}

bool cprof_cmd_show_config(const struct cprof_attach_options *options)
{
	static const char *const skip[] = { "show-config", "help",   "version",
					    "man-options", "repair", NULL };
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_option_show(&cprof_cli_option_table, &options->layers, skip, &text);
	put_server(&text);
	put_auth(options, &text);
	cprof_push_environment_labels(put_label, &text);
	return cprof_printable_write(stdout, cprof_buffer_text(&text), text.len) &&
	       fflush(stdout) == 0;
}
