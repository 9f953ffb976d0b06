/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cmd_serve.h"

#include "attach/cli/choice_again.h"
#include "attach/cli/interrupt.h"
#include "attach/cli/target_choice.h"
#include "attach/serve/serve.h"

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
					    .say = command->say,
					    .ctx = command->ctx };
	serve.rules = &choice.rules;
	serve.again = cprof_choice_again;
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
