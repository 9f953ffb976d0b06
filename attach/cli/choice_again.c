/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/choice_again.h"

#include "base/cleanup.h"

static void forget(struct cprof_choice_again_read *read)
{
	cprof_target_choice_deinit(&read->choice);
	cprof_cli_options_deinit(&read->options);
}

void cprof_choice_again_deinit(struct cprof_choice_again *again)
{
	forget(&again->reads[0]);
	forget(&again->reads[1]);
}

static struct cprof_error *read_again(const struct cprof_choice_again *again,
				      struct cprof_choice_again_read *read)
{
	struct cprof_error *err = cprof_cli_options_parse(again->argc, again->argv, &read->options);
	if (!err && !read->options.http)
		err = cprof_error_new(CPROF_ERR_USAGE, "there is no -http any more");
	return err ? err : cprof_target_choice_init(&read->choice, &read->options);
}

const struct cprof_target_rules *cprof_choice_again(void *ctx)
{
	struct cprof_choice_again *again = ctx;
	const unsigned next = !again->last;
	struct cprof_choice_again_read *read = &again->reads[next];
	forget(read);
	struct cprof_error *err = read_again(again, read);
	if (err) {
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		cprof_buffer_printf(&text, "the options stay as they were: %s", err->message);
		again->say(again->ctx, cprof_buffer_text(&text));
		cprof_error_free(err);
		forget(read);
		return again->rules;
	}
	if (!cprof_cli_options_same(again->options, &read->options))
		again->say(again->ctx,
			   "options that do not say which processes are meant have been changed: "
			   "they count from the next start on");
	again->last = next;
	again->rules = &read->choice.rules;
	return again->rules;
}
