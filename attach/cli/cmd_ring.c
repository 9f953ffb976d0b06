/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cmd_ring.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "attach/cli/answer.h"
#include "attach/cli/interrupt.h"
#include "attach/cli/ring_files.h"
#include "attach/ring/ring.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "convert/output/format_table.h"

struct state {
	const struct cprof_cmd_ring *command;
	const struct cprof_mode *mode;
	struct cprof_answer answer;
	struct cprof_ring_files files;
	uint64_t written;
	struct cprof_error *unwritten; /* owned; the first one */
};

static void on_say(void *ctx, const char *text)
{
	const struct state *state = ctx;
	state->command->say(state->command->ctx, text);
}

/* ---- files ---- */

static void say_written(const struct state *state, const struct cprof_ring_profile *profile,
			const char *reason, const char *path)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "wrote %s: %" PRIu64 " samples of %.3g s", path,
			    profile->samples, (double)profile->length_ns / 1e9);
	if (profile->lost)
		cprof_buffer_printf(&text, ", %" PRIu64 " lost", profile->lost);
	cprof_buffer_printf(&text, " (%s)", reason);
	on_say((void *)(uintptr_t)state, cprof_buffer_text(&text));
}

/* A full disk does not end the recording: the next file may fit. */
static struct cprof_error *on_write(void *ctx, const struct cprof_ring_profile *profile,
				    const char *reason)
{
	struct state *state = ctx;
	const struct cprof_buffer pprof = { .data = (uint8_t *)(uintptr_t)profile->file,
					    .len = profile->n_file };
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	const char *path;
	struct cprof_error *err = cprof_answer_file(&state->answer, &pprof, &bytes);
	if (!err)
		err = cprof_ring_files_write(&state->files, &bytes, &path);
	if (!err) {
		state->written++;
		say_written(state, profile, reason, path);
		return NULL;
	}
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "not written (%s): %s%s%s", reason, err->message,
			    err->hint ? "; " : "", err->hint ? err->hint : "");
	on_say(state, cprof_buffer_text(&text));
	if (state->unwritten)
		cprof_error_free(err);
	else
		state->unwritten = err;
	return NULL;
}

/* ---- the whole ---- */

static struct cprof_error *check(const struct cprof_cmd_ring *command,
				 const struct cprof_mode *mode)
{
	if (command->opened->n > 1)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "-ring watches one process at a time"),
			"run cprof-attach -ring once for each");
	if (mode->looks_back)
		return NULL;
	if (mode->instant)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"-mode %s looks at one moment: there is nothing to look "
					"back at",
					mode->name),
			"-ring goes with -mode cpu, block, mutex and wall");
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE,
				"-mode %s cannot look back: what is in use at a moment is made of "
				"all that was allocated before, and no last minute of it",
				mode->name),
		"-ring goes with -mode cpu, block, mutex and wall; -mode heap -push URL -every 1m keeps "
		"a profile of each minute");
}

static void announce(const struct state *state)
{
	const struct cprof_attach_options *options = state->command->options;
	const struct cprof_target *target = state->command->opened->all[0];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text,
			    "recording (%s) %s, pid %d: the last %g s are kept, and written on ",
			    state->mode->name, target->comm, (int)target->pid,
			    (double)options->ring.length_ns / (double)CPROF_NS_PER_S);
	for (size_t i = 0; i < options->ring.n_triggers; i++) {
		cprof_trigger_describe(&options->ring.triggers[i], NULL, &text);
		cprof_buffer_puts(&text, ", ");
	}
	cprof_buffer_printf(&text, "kill -USR1 %d, or its end", (int)getpid());
	on_say((void *)(uintptr_t)state, cprof_buffer_text(&text));
}

/* As of one profile: where the file is for programs that know what labels are. */
static struct cprof_run_timeline choose_timeline(const struct state *state)
{
	const struct cprof_attach_options *options = state->command->options;
	const struct cprof_format *file = state->answer.file;
	struct cprof_run_timeline timeline = options->timeline;
	timeline.any_size = file && file->flags & CPROF_FORMAT_TIMES;
	if (!timeline.on && !options->no_timeline)
		timeline.on = state->mode->has_times &&
			      (timeline.any_size || (!file && state->mode->tells_times));
	return timeline;
}

static struct cprof_error *prepare(struct state *state, struct cprof_ring *ring)
{
	const struct cprof_cmd_ring *command = state->command;
	const struct cprof_attach_options *options = command->options;
	struct cprof_error *err = cprof_mode_find(options->mode, &state->mode);
	if (!err)
		err = check(command, state->mode);
	if (!err)
		err = cprof_answer_choose(options, &state->answer);
	if (err)
		return err;
	state->files = (struct cprof_ring_files){ .options = options,
						  .mode = state->mode->name,
						  .target = command->opened->all[0],
						  .answer = &state->answer };
	*ring = (struct cprof_ring){
		.target = command->opened->all[0],
		.mode = state->mode,
		.requests = &options->requests,
		.naming = options->naming,
		.labels = options->label_pairs,
		.n_labels = options->labels.len,
		.threads = options->threads,
		.request_labels = options->request_labels,
		.timeline = choose_timeline(state),
		.command_line = command->command_line,
		.before_ns = options->ring.before_ns,
		.after_ns = options->ring.after_ns,
		.bytes_max = options->ring.bytes,
		.triggers = command->options->ring.triggers,
		.n_triggers = options->ring.n_triggers,
		.length_ns = options->length_ns,
		.http = options->http,
		.http_token_file = options->http_token_file,
		.write = on_write,
		.say = on_say,
		.ctx = state,
	};
	err = cprof_ring_files_init(&state->files);
	if (!err)
		err = cprof_interrupt_init(&ring->stop_fd);
	return err ? err : cprof_interrupt_users(ring->signal_fds);
}

static void say_counts(const struct state *state, const struct cprof_ring_counts *counts)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "%" PRIu64 " trigger%s, %" PRIu64 " profile%s", counts->triggers,
			    counts->triggers == 1 ? "" : "s", state->written,
			    state->written == 1 ? "" : "s");
	on_say((void *)(uintptr_t)state, cprof_buffer_text(&text));
}

struct cprof_error *cprof_cmd_ring(const struct cprof_cmd_ring *command)
{
	struct state state = { .command = command };
	struct cprof_ring_counts counts;
	struct cprof_ring ring;
	struct cprof_error *err = prepare(&state, &ring);
	if (!err) {
		announce(&state);
		err = cprof_ring_run(&ring, &counts);
		if (!err)
			say_counts(&state, &counts);
	}
	cprof_ring_files_deinit(&state.files);
	if (err)
		cprof_error_free(state.unwritten);
	return err ? err : state.unwritten;
}
