/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cmd_live.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "attach/cli/interrupt.h"
#include "attach/cli/output.h"
#include "attach/live/live.h"
#include "base/cleanup.h"
#include "base/new_file.h"
#include "base/printable_text.h"

struct state {
	const struct cprof_cmd_live *command;
	const struct cprof_mode *mode;
	const struct cprof_target *target; /* borrowed; for the file's name */
};

static void on_save(void *ctx, const uint8_t *bytes, size_t n, struct cprof_buffer *text)
{
	const struct state *state = ctx;
	const struct cprof_answer answer = { .suffix = "pb.gz" };
	const struct cprof_buffer file = { .data = (uint8_t *)(uintptr_t)bytes, .len = n };
	struct cprof_output output = { 0 };
	struct cprof_error *err =
		cprof_output_plan(state->command->options, state->mode->name, &state->target, 1,
				  &answer, cprof_interrupt_again, &output);
	cprof_interrupt_unlink(&output.file);
	if (!err)
		err = cprof_output_write(&output, &file);
	cprof_interrupt_unlink(NULL);
	if (err)
		cprof_buffer_printf(text, "not saved: %s%s%s", err->message, err->hint ? "; " : "",
				    err->hint ? err->hint : "");
	else
		cprof_buffer_printf(text, "saved %s", output.path);
	cprof_error_free(err);
	cprof_output_deinit(&output);
}

/* `| head` has seen enough; and who asks to end while nobody reads need not wait for a reader. */
static struct cprof_error *on_print(void *ctx, const char *text, size_t n, bool *ret_over)
{
	(void)ctx;
	CPROF_AUTO(buffer) struct cprof_buffer shown = { 0 };
	struct pollfd reader = { .fd = STDOUT_FILENO, .events = POLLOUT };
	cprof_printable_put(&shown, text, n, "\n\t");
	struct cprof_error *err = cprof_buffer_error(&shown);
	if (cprof_interrupt_count() && poll(&reader, 1, 0) == 0) {
		*ret_over = true;
		return err;
	}
	cprof_interrupt_unlink(NULL); /* there is no file; what counts are signals from now on */
	if (!err)
		err = cprof_new_file_put_stream(STDOUT_FILENO, "stdout", shown.data, shown.len,
						cprof_interrupt_again);
	*ret_over = err && (err->os_errno == EPIPE || err->os_errno == ECANCELED);
	if (!*ret_over)
		return err;
	cprof_error_free(err);
	return NULL;
}

static void on_say(void *ctx, const char *text)
{
	const struct state *state = ctx;
	state->command->say(state->command->ctx, text);
}

static struct cprof_error *check(const struct cprof_cmd_live *command,
				 const struct cprof_mode *mode)
{
	if (mode->instant)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"-mode %s looks at one moment and cannot be watched",
					mode->name),
			"-live goes with -mode cpu, heap, block, mutex and wall");
	if (command->opened->n > 1)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "-live shows one process at a time"),
			"several are profiled together into a file: leave out "
			"-live, and cprof -top FILE shows them");
	return NULL;
}

static void say_promise(const struct state *state)
{
	char promise[256] = "";
	if (state->mode->promise)
		state->mode->promise(&state->command->options->requests, promise, sizeof(promise));
	on_say((void *)(uintptr_t)state, promise);
}

/*
 * Recordings are processes of their own and leave the target as it was when we end, however that is; the terminal is ours to give back
 * first. Plain tables leave nothing to be given back.
 */
static struct cprof_error *run(const struct cprof_live *live)
{
	struct termios found;
	if (!live->screen || tcgetattr(STDIN_FILENO, &found) != 0)
		return cprof_live_run(live);
	cprof_interrupt_terminal(&found);
	cprof_interrupt_hold(true);
	struct cprof_error *err = cprof_live_run(live);
	cprof_interrupt_hold(false);
	cprof_interrupt_terminal(NULL);
	return err;
}

struct cprof_error *cprof_cmd_live(const struct cprof_cmd_live *command)
{
	const struct cprof_attach_options *options = command->options;
	struct state state = { .command = command };
	struct cprof_error *err = cprof_mode_find(options->mode, &state.mode);
	if (!err)
		err = check(command, state.mode);
	if (err)
		return err;
	setlocale(LC_CTYPE, ""); /* which characters the terminal shows */
	state.target = command->opened->all[0];
	struct cprof_live live = {
		.target = command->opened->all[0],
		.mode = state.mode,
		.requests = &options->requests,
		.naming = options->naming,
		.threads = options->threads,
		.command_line = command->command_line,
		.every_ns = options->requests.threads.every_ns,
		.length_ns = options->length_ns,
		.screen = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO),
		.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
		.save = on_save,
		.print = on_print,
		.say = on_say,
		.ctx = &state,
	};
	err = cprof_interrupt_init(&live.stop_fd);
	if (err)
		return err;
	say_promise(&state);
	command->opened->n = 0;
	return run(&live);
}
