/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cmd_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/cli/answer.h"
#include "attach/cli/delivery.h"
#include "attach/cli/interrupt.h"
#include "attach/cli/output.h"
#include "attach/cli/output_pattern.h"
#include "attach/cli/output_split.h"
#include "attach/cli/summary.h"
#include "attach/modes/mode.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/printable_text.h"
#include "base/secret.h"
#include "base/shell_word.h"
#include "convert/output/format_table.h"
#include "cprof/pprof_write.h"
#include "symbolize/names/package.h"

#define ABORTED         130 /* as a shell reports SIGINT */
#define DEADLOCK_STATUS 10  /* -exit-code; docs/exit-status.md */
#define OOM_STATUS      12  /* -on-oom */

struct record {
	/* the command's, borrowed */
	struct cprof_attach_options *options;
	struct cprof_opened_targets *opened;
	struct cprof_run_log *log;
	struct cprof_console *console;
	const char *command_line;

	const struct cprof_mode *mode;
	struct cprof_window window;
	struct cprof_answer answer;
	struct cprof_output output;
	bool no_profile;    /* -text alone */
	bool no_file;       /* a report alone */
	char *push_auth;    /* owned; NULL: nothing to log in with */
	bool stdout_closed; /* whoever read the text has gone */
};

/* ---- getting ready ---- */

static void let_go(void *ctx)
{
	struct record *record = ctx;
	if (record->opened->launch.pid)
		cprof_launch_go(&record->opened->launch);
}

/* That the file of -on-oom can be written is found out before, as of -o. */
static struct cprof_error *check_on_oom(const struct cprof_attach_options *options)
{
	struct cprof_new_file file = { 0 };
	if (!options->on_oom)
		return NULL;
	struct cprof_error *err = cprof_new_file_plan(
		options->on_oom, options->force ? CPROF_NEW_FILE_REPLACE : CPROF_NEW_FILE_REFUSE,
		&file);
	if (!err)
		err = cprof_new_file_try(&file);
	cprof_new_file_deinit(&file);
	return err ? cprof_error_wrap(err, "-on-oom") : NULL;
}

/*
 * Where nobody says otherwise a file has times that is read by programs which know what labels are. A collector makes a series of each set of
 * labels, and a report shows them all in one.
 */
static struct cprof_run_timeline choose_timeline(const struct record *record)
{
	const struct cprof_attach_options *options = record->options;
	const struct cprof_format *file = record->answer.file;
	struct cprof_run_timeline timeline = options->timeline;
	timeline.any_size = file && file->flags & CPROF_FORMAT_TIMES;
	if (!timeline.on && !options->no_timeline)
		timeline.on = record->mode->has_times && !record->no_file &&
			      !options->push_urls.len &&
			      (timeline.any_size || (!file && record->mode->tells_times));
	return timeline;
}

/* A file that is about times is refused before and not after the window. */
static struct cprof_error *check_times(const struct record *record)
{
	if (record->answer.file != &cprof_format_firefox || choose_timeline(record).on)
		return NULL;
	return cprof_error_hint(
		cprof_error_new(
			CPROF_ERR_USAGE,
			"a file for the Firefox Profiler is about when samples were, and %s does "
			"not say it",
			record->options->no_timeline ? "-timeline off"
			: record->mode->has_times    ? "a profile that is pushed"
						     : record->mode->name),
		"-o FILE.html is a flame graph of any profile; -mode cpu says when");
}

static struct cprof_error *check_targets(const struct record *record)
{
	const size_t most = record->mode->max_targets, n = record->opened->n;
	if (!most || n <= most)
		return NULL;
	if (most == 1)
		return cprof_error_new(CPROF_ERR_USAGE, "-mode %s takes one process at a time",
				       record->mode->name);
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE,
				"-mode %s takes %zu processes at most, and these are "
				"%zu",
				record->mode->name, most, n),
		"choose some of them with -p, or -mode cpu for all");
}

static struct cprof_error *prepare(struct record *record)
{
	const struct cprof_attach_options *options = record->options;
	struct cprof_error *err = cprof_mode_find(options->mode, &record->mode);
	if (!err && (options->text || options->requests.threads.core) && !record->mode->has_text)
		err = cprof_error_new(CPROF_ERR_USAGE,
				      "-mode %s knows neither -text nor -core; "
				      "-mode threads does",
				      record->mode->name);
	if (!err)
		err = cprof_answer_choose(options, &record->answer);
	if (!err && options->push_urls.len)
		err = cprof_secret_read(options->push_auth_file, "CPROF_PUSH_AUTH",
					&record->push_auth);
	if (!err)
		err = cprof_delivery_check(options, record->push_auth);
	if (!err)
		err = cprof_opened_targets_open(record->opened, record->options, record->log);
	if (err)
		return err;
	err = check_targets(record);
	if (err)
		return err;
	record->no_file = record->answer.report && !options->output && !options->push_urls.len;
	record->no_profile = options->text && !options->output && !options->push_urls.len &&
			     !record->answer.report;
	err = check_times(record);
	if (!err && !record->no_profile && !record->no_file)
		err = cprof_output_plan(options, record->mode->name,
					(const struct cprof_target *const *)record->opened->all,
					record->opened->n, &record->answer, cprof_interrupt_again,
					&record->output);
	if (err)
		return err;
	record->window = (struct cprof_window){
		.length_ns = options->length_ns,
		.targets = record->opened->all,
		.n_targets = record->opened->n,
		.on_start = let_go,
		.start_ctx = record,
		.progress = cprof_console_show_progress,
		.progress_ctx = record->console,
		.progress_every_ns = (record->console->terminal ? 1 : 10) * CPROF_NS_PER_S,
	};
	err = check_on_oom(options);
	return err ? err : cprof_interrupt_init(&record->window.stop_fd);
}

/* A name that nobody has is told now and not after half a minute. */
static struct cprof_error *check_threads(struct record *record)
{
	CPROF_AUTO(buffer) struct cprof_buffer remark = { 0 };
	if (record->options->requests.threads.core || record->options->children)
		return NULL; /* nobody knows what children have */
	struct cprof_error *err = cprof_thread_choice_check(
		record->options->threads, record->opened->all, record->opened->n, &remark);
	if (!err && remark.len)
		cprof_console_say(record->console, cprof_buffer_text(&remark));
	return err;
}

/* It is not always below HOME: base/cache_dir.h. */
static void say_cache(struct record *record)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	const char *dir = record->options->naming.cache_dir;
	if (!record->options->verbose)
		return;
	if (dir)
		cprof_buffer_printf(&text, "names are kept in %s", dir);
	else
		cprof_buffer_puts(&text, "no names are kept for the next profile");
	cprof_console_say(record->console, cprof_buffer_text(&text));
}

static void announce(struct record *record)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "profiling (%s) %s, pid %d", record->mode->name,
			    record->opened->all[0]->comm, (int)record->opened->all[0]->pid);
	if (record->opened->n > 1)
		cprof_buffer_printf(&text, " and %zu more", record->opened->n - 1);
	if (cprof_mode_is_instant(record->mode, &record->options->requests))
		;
	else if (record->options->length_ns)
		cprof_buffer_printf(&text, ", for %g s",
				    (double)record->options->length_ns / (double)CPROF_NS_PER_S);
	else
		cprof_buffer_puts(&text, record->opened->launch.pid ? ", until it ends"
								    : ", until Ctrl-C or its end");
	cprof_console_say(record->console, cprof_buffer_text(&text));
	char promise[256] = "";
	if (record->mode->promise)
		record->mode->promise(&record->options->requests, promise, sizeof(promise));
	cprof_console_say(record->console, promise);
	say_cache(record);
}

/* ---- the work ---- */

/* Over what an earlier moment of this run has left there. */
static void write_on_oom(void *ctx, const struct cprof_profile *profile, const char *why)
{
	struct record *record = ctx;
	const char *path = record->options->on_oom;
	CPROF_AUTO(buffer) struct cprof_buffer pprof = { 0 }, text = { 0 };
	struct cprof_error *err = cprof_pprof_encode(profile, CPROF_PPROF_GZIP_FAST, &pprof);
	if (!err)
		err = cprof_output_put(path, true, &pprof);
	if (err) {
		cprof_console_fail(record->console, cprof_error_wrap(err, "-on-oom: %s", why));
		return;
	}
	cprof_buffer_printf(&text, "%s: wrote %s (%zu bytes)", why, path, pprof.len);
	cprof_console_say(record->console, cprof_buffer_text(&text));
}

static struct cprof_error *print_text(void *ctx, const char *text, size_t n)
{
	struct record *record = ctx;
	cprof_console_end_line(record->console);
	if (record->stdout_closed ||
	    (cprof_printable_write(stdout, text, n) && fflush(stdout) == 0))
		return NULL;
	if (errno != EPIPE)
		return cprof_error_os(errno, "write to stdout");
	/* `| head` has seen enough; a profile that was asked for as well is another matter. */
	record->stdout_closed = true;
	if (record->no_profile)
		cprof_window_stop(&record->window);
	return NULL;
}

static struct cprof_error *sample(struct record *record, struct cprof_profile **ret_profile)
{
	const struct cprof_attach_options *options = record->options;
	const struct cprof_run run = {
		.targets = record->opened->all,
		.n_targets = record->opened->n,
		.window = &record->window,
		.log = record->log,
		.naming = options->naming,
		.labels = options->label_pairs,
		.n_labels = options->labels.len,
		.children = options->children,
		.threads = options->threads,
		.timeline = choose_timeline(record),
		.request_labels = options->request_labels,
		.command_line = record->command_line,
	};
	struct cprof_mode_requests requests = options->requests;
	requests.threads.print = options->text ? print_text : NULL;
	requests.threads.print_ctx = record;
	requests.threads.no_profile = record->no_profile;
	requests.heap.on_oom.write = options->on_oom ? write_on_oom : NULL;
	requests.heap.on_oom.ctx = record;
	if (record->mode->alters_target)
		cprof_interrupt_hold(true);
	struct cprof_error *err = cprof_mode_run(record->mode, &run, &requests, ret_profile);
	if (record->mode->alters_target)
		cprof_interrupt_hold(false);
	return err;
}

/* Which package has the names that are missing. Reads the package manager's lists, so not before the file is there. */
static void say_what_is_missing(struct record *record)
{
	CPROF_AUTO(buffer) struct cprof_buffer advice = { 0 };
	const struct cprof_run_log *log = record->log;
	if (record->options->quiet || !log->unnamed.root || !log->unnamed.path)
		return;
	cprof_error_free(
		cprof_package_advise(log->unnamed.root, log->unnamed.path, "-debuginfod", &advice));
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_summary_nameless(log, cprof_buffer_text(&advice), &text);
	cprof_console_say(record->console, cprof_buffer_text(&text));
}

/* Send it; without -o the file was only a safeguard, and goes once the server has it. */
static struct cprof_error *push(struct record *record, const struct cprof_profile *profile,
				const struct cprof_buffer *bytes, bool *ret_file_goes)
{
	const struct cprof_attach_options *options = record->options;
	const struct cprof_delivery delivery = {
		.options = options,
		.target = record->opened->all[0],
		.auth = record->push_auth,
		.profile = profile,
		.bytes = bytes,
		.from_wall_ns = record->window.start_wall_ns,
		.until_wall_ns =
			record->window.start_wall_ns + cprof_window_elapsed_ns(&record->window),
	};
	CPROF_AUTO(buffer) struct cprof_buffer answer = { 0 };
	bool waits;
	struct cprof_error *err = cprof_delivery_push(&delivery, &answer, &waits);
	if (options->dry_run)
		return err ? err : print_text(record, cprof_buffer_text(&answer), answer.len);
	cprof_console_say(record->console, cprof_buffer_text(&answer));
	if (!err || waits) {
		*ret_file_goes = !options->output;
		return err;
	}
	CPROF_AUTO(buffer) struct cprof_buffer kept = { 0 };
	cprof_buffer_printf(&kept, "the profile is kept in %s, to be sent by: cprof -push URL ",
			    record->output.path);
	cprof_shell_word_put(&kept, record->output.path);
	if (!err->hint)
		return cprof_error_hint(err, "%s", cprof_buffer_text(&kept));
	return cprof_error_hint(err, "%s; %s", err->hint, cprof_buffer_text(&kept));
}

/* The file, as what it is to be. What cannot be made of the profile leaves the profile itself. */
static struct cprof_error *write_out(struct record *record, const struct cprof_buffer *pprof,
				     size_t *ret_bytes)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_error *problem = cprof_answer_file(&record->answer, pprof, &bytes);
	*ret_bytes = problem ? pprof->len : bytes.len;
	cprof_interrupt_unlink(&record->output.file);
	struct cprof_error *err = problem ? cprof_output_keep(&record->output, pprof, problem)
					  : cprof_output_write(&record->output, &bytes);
	cprof_interrupt_unlink(NULL);
	return err;
}

/* What was asked for is data; the ten rows for somebody at a terminal are not. */
static struct cprof_error *show_report(struct record *record, const struct cprof_buffer *pprof)
{
	const struct cprof_attach_options *options = record->options;
	struct cprof_error *err = NULL;
	cprof_console_end_line(record->console);
	if (record->answer.report)
		err = cprof_answer_report(&record->answer, pprof, stdout);
	else if (!options->output && !options->quiet && !options->text && !options->push_urls.len &&
		 !record->answer.file && record->console->terminal && isatty(STDOUT_FILENO))
		cprof_error_free(cprof_answer_top(record->mode->name, pprof, stdout));
	if (err && err->os_errno == EPIPE) { /* `| head` has seen enough */
		cprof_error_free(err);
		err = NULL;
	}
	fflush(stdout);
	return err;
}

static void say_end(struct record *record, const char *path, size_t bytes)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_summary_end(&record->log->counts,
			  cprof_clock_cpu_ns() + record->log->counts.prefetch_cpu_ns, path, bytes,
			  !record->answer.file, &text);
	if (!record->options->quiet) {
		cprof_console_end_line(record->console);
		cprof_summary_wrap(&text, cprof_console_columns(record->console));
		cprof_printable_write(stderr, cprof_buffer_text(&text), text.len);
	}
}

static struct cprof_error *deliver(struct record *record, const struct cprof_profile *profile)
{
	CPROF_AUTO(buffer) struct cprof_buffer pprof = { 0 }, others = { 0 };
	CPROF_AUTO(profile) struct cprof_profile *own = NULL;
	size_t bytes = 0;
	bool file_goes = record->no_file;
	const char *pattern = record->options->output;
	const pid_t first = record->opened->all[0]->pid;
	const bool split = cprof_output_pattern_marked(pattern);
	struct cprof_error *err = split ? cprof_output_split_first(profile, first, &own) : NULL;
	if (!err)
		err = cprof_pprof_encode(own ? own : profile, CPROF_PPROF_GZIP_FAST, &pprof);
	if (!err && !record->no_file)
		err = write_out(record, &pprof, &bytes);
	const bool written = !err;
	if (split)
		err = cprof_output_split_write(profile, pattern, first, record->options->force, err,
					       &others);
	if (!err && record->options->push_urls.len) {
		err = push(record, profile, &pprof, &file_goes);
		if (file_goes)
			cprof_output_remove(&record->output);
	}
	if (others.len)
		cprof_console_say(record->console, cprof_buffer_text(&others));
	struct cprof_error *unshown = pprof.len ? show_report(record, &pprof) : NULL;
	say_end(record, file_goes || !written ? NULL : record->output.path, bytes);
	say_what_is_missing(record);
	if (err)
		cprof_error_free(unshown);
	return err ? err : unshown;
}

/* Of a launched command: its own status, unless ours says that something went wrong. */
static int command_status(struct record *record, int status)
{
	if (!record->opened->launch.pid || record->opened->launch.go_fd >= 0)
		return status;
	int theirs = cprof_launch_wait(&record->opened->launch);
	if (record->opened->launch.exec_errno) {
		cprof_console_end_line(record->console);
		cprof_console_fail(record->console,
				   cprof_error_new(CPROF_ERR_OS, "cannot run %s: %s",
						   record->options->command.items[0],
						   strerror(record->opened->launch.exec_errno)));
		return theirs;
	}
	return status ? status : theirs;
}

static int run(struct record *record)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_error *err = prepare(record);
	if (err)
		return cprof_console_fail(record->console, err);
	err = check_threads(record);
	if (err)
		return cprof_console_fail(record->console, err);
	announce(record);
	err = sample(record, &profile);
	if (cprof_interrupt_count() > 1)
		return ABORTED;
	if (record->opened->launch.exec_errno) {
		cprof_error_free(err);
		return command_status(record, 0);
	}
	if (!err) {
		cprof_console_show_notes(record->console);
		cprof_console_say(record->console, cprof_summary_ending(&record->window));
		if (profile && record->log->counts.oom_kills)
			write_on_oom(record, profile, "killed for want of memory");
		err = profile ? deliver(record, profile) : NULL;
	}
	const bool deadlock = record->options->deadlock_status && record->log->counts.deadlocks;
	return command_status(record, err        ? cprof_console_fail(record->console, err)
				      : deadlock ? DEADLOCK_STATUS
				      : record->log->counts.oom_kills ? OOM_STATUS
								      : 0);
}

int cprof_cmd_record(const struct cprof_cmd_record *command)
{
	struct record record = { .options = command->options,
				 .opened = command->opened,
				 .log = command->log,
				 .console = command->console,
				 .command_line = command->command_line };
	const int status = run(&record);
	cprof_window_deinit(&record.window);
	cprof_output_deinit(&record.output);
	free(record.push_auth);
	return status;
}
