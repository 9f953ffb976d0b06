/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/cmd_show_config.c - cprof -show-config: what is set, and where each value comes from.
 */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/option_show.h"
#include "base/printable_text.h"
#include "convert/cli/commands.h"

static bool wanted(const struct cprof_options *options)
{
	return options->show_config;
}

static struct cprof_error *run(struct cprof_options *options, struct cprof_profile *profile)
{
	static const char *const skip[] = { "show-config", "help", "h", "version", "o", NULL };
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	(void)profile;
	cprof_option_show(&cprof_option_rows, &options->layers, skip, &text);
	cprof_printable_write(stdout, cprof_buffer_text(&text), text.len);
	return cprof_buffer_error(&text);
}

const struct cprof_command cprof_command_show_config = { "show-config", wanted, false, run };
