/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cmd_serve.h"

#include "attach/cli/choice_again.h"
#include "attach/cli/interrupt.h"
#include "attach/cli/target_choice.h"
#include "attach/serve/serve.h"

/* ---- SIGHUP ---- */

static struct cprof_error *check_again(const struct cprof_attach_options *options)
{
	return options->http ? NULL
			     : cprof_error_new(CPROF_ERR_USAGE, "there is no -http any more");
}

/* Only which processes are meant; what else the file says counts from the next start on. */
static const struct cprof_target_rules *on_again(void *ctx)
{
	struct cprof_choice_again *again = ctx;
	struct cprof_choice_reading *reading = cprof_choice_again_read(again);
	if (!reading)
		return again->rules;
	if (!cprof_choice_again_is_choice(again, reading))
		again->say(again->ctx,
			   "options that do not say which processes are meant have been changed: "
			   "they count from the next start on");
	return cprof_choice_again_adopt(again, reading);
}

/* ---- the whole ---- */

struct cprof_error *cprof_cmd_serve(const struct cprof_cmd_serve *command)
{
	const struct cprof_attach_options *options = command->options;
	struct cprof_serve_options serve = {
		.address = options->http,
		.token_file = options->http_token_file,
		.tenants = {
			.modes = options->modes,
			.lazy = options->lazy || options->all,
			.requests = &options->requests,
			.naming = options->naming,
			.threads = options->threads,
			.request_labels = options->request_labels,
			.command_line = command->command_line,
			.say = command->say,
			.say_ctx = command->ctx,
		},
	};
	struct cprof_target_choice choice;
	struct cprof_error *err = cprof_target_choice_init(&choice, options);
	struct cprof_choice_again again = { .argc = command->argc,
					    .argv = command->argv,
					    .options = options,
					    .rules = &choice.rules,
					    .check = check_again,
					    .say = command->say,
					    .ctx = command->ctx };
	serve.rules = &choice.rules;
	serve.again = on_again;
	serve.again_ctx = &again;
	if (!err)
		err = cprof_interrupt_init(&serve.stop_fd);
	if (!err)
		err = cprof_interrupt_hangups(&serve.again_fd);
	if (!err)
		err = cprof_serve(&serve);
	cprof_choice_again_deinit(&again);
	cprof_target_choice_deinit(&choice);
	return err;
}
