/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/choice_again.h"

#include <stdlib.h>

#include "base/cleanup.h"

void cprof_choice_reading_free(struct cprof_choice_reading *reading)
{
	if (!reading)
		return;
	cprof_target_choice_deinit(&reading->choice);
	cprof_cli_options_deinit(&reading->options);
	free(reading);
}

void cprof_choice_again_deinit(struct cprof_choice_again *again)
{
	cprof_choice_reading_free(again->readings[0]);
	cprof_choice_reading_free(again->readings[1]);
	again->readings[0] = again->readings[1] = NULL;
}

static struct cprof_error *read_into(const struct cprof_choice_again *again,
				     struct cprof_choice_reading *reading)
{
	if (!reading)
		return cprof_error_no_memory();
	struct cprof_error *err =
		cprof_cli_options_parse(again->argc, again->argv, &reading->options);
	if (!err)
		err = again->check(&reading->options);
	return err ? err : cprof_target_choice_init(&reading->choice, &reading->options);
}

struct cprof_choice_reading *cprof_choice_again_read(const struct cprof_choice_again *again)
{
	struct cprof_choice_reading *reading = calloc(1, sizeof(*reading));
	struct cprof_error *err = read_into(again, reading);
	if (!err)
		return reading;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "the options stay as they were: %s", err->message);
	again->say(again->ctx, cprof_buffer_text(&text));
	cprof_error_free(err);
	cprof_choice_reading_free(reading);
	return NULL;
}

bool cprof_choice_again_is_choice(const struct cprof_choice_again *again,
				  const struct cprof_choice_reading *reading)
{
	return cprof_cli_options_same(again->options, &reading->options);
}

const struct cprof_target_rules *cprof_choice_again_adopt(struct cprof_choice_again *again,
							  struct cprof_choice_reading *reading)
{
	cprof_choice_reading_free(again->readings[1]);
	again->readings[1] = again->readings[0];
	again->readings[0] = reading;
	again->rules = &reading->choice.rules;
	return again->rules;
}
