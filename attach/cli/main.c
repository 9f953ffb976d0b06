/* SPDX-License-Identifier: Apache-2.0 */
/* The program cprof-attach: read the command line, run one mode, write the profile, say how it went. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "attach/cli/cli_options.h"
#include "attach/cli/cmd_config.h"
#include "attach/cli/cmd_continuous.h"
#include "attach/cli/cmd_doctor.h"
#include "attach/cli/cmd_live.h"
#include "attach/cli/cmd_tell.h"
#include "attach/cli/cmd_repair.h"
#include "attach/cli/cmd_serve.h"
#include "attach/cli/cmd_why.h"
#include "attach/cli/delivery.h"
#include "attach/cli/interrupt.h"
#include "attach/cli/opened_targets.h"
#include "attach/cli/output.h"
#include "attach/cli/output_pattern.h"
#include "attach/cli/output_split.h"
#include "attach/cli/summary.h"
#include "attach/modes/mode.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/environment.h"
#include "base/printable_text.h"
#include "base/secret.h"
#include "base/shell_word.h"
#include "base/version.h"
#include "cprof/pprof_write.h"
#include "symbolize/names/package.h"

#define ABORTED         130 /* as a shell reports SIGINT */
#define DEADLOCK_STATUS 10  /* -exit-code; docs/exit-status.md */
#define DOCTOR_STATUS   11  /* -doctor: not everything works */

struct program {
	struct cprof_attach_options options;
	struct cprof_buffer command_line;
	const struct cprof_mode *mode;
	struct cprof_opened_targets opened;
	struct cprof_window window;
	struct cprof_run_log log;
	struct cprof_answer answer;
	struct cprof_output output;
	bool terminal;      /* stderr is one: the progress line rewrites itself */
	bool line_open;     /* it stands there without a newline */
	bool no_profile;    /* -text alone */
	bool no_file;       /* a report alone */
	char *push_auth;    /* owned; NULL: nothing to log in with */
	bool stdout_closed; /* whoever read the text has gone */
};

/* ---- talking ---- */

static void end_line(struct program *program)
{
	if (program->line_open)
		fputc('\n', stderr);
	program->line_open = false;
}

static void put_line(void *ctx, const char *text)
{
	struct program *program = ctx;
	end_line(program);
	cprof_printable_write(stderr, text, strlen(text));
	fputc('\n', stderr);
}

static void say(struct program *program, const char *text)
{
	if (!program->options.quiet && *text)
		put_line(program, text);
}

static void show_notes(struct program *program)
{
	for (size_t i = 0; i < program->log.n_notes; i++) {
		struct cprof_note *note = &program->log.notes[i];
		if (note->shown || program->options.quiet ||
		    (note->kind == CPROF_NOTE_DETAIL && !program->options.verbose))
			continue;
		end_line(program);
		cprof_printable_printf(stderr, "%s%s\n",
				       note->kind == CPROF_NOTE_WARNING ? "warning: " : "",
				       note->text);
		note->shown = true;
	}
}

/* Of the terminal, which may change; 0: none, or it does not say. */
static unsigned columns(const struct program *program)
{
	struct winsize size;
	return program->terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static void show_progress(void *ctx, const struct cprof_window *window,
			  const struct cprof_counts *counts)
{
	struct program *program = ctx;
	show_notes(program);
	if (program->options.quiet)
		return;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_summary_progress(window, counts, &text);
	cprof_summary_fit(&text, columns(program));
	if (program->terminal) {
		fprintf(stderr, "\r%s\033[K", cprof_buffer_text(&text));
		program->line_open = true;
	} else {
		fprintf(stderr, "%s\n", cprof_buffer_text(&text));
	}
	fflush(stderr);
}

static int fail(struct program *program, struct cprof_error *err)
{
	int status = cprof_error_exit_status(err);
	show_notes(program);
	end_line(program);
	cprof_printable_printf(stderr, "cprof-attach: %s\n", err->message);
	if (err->hint)
		cprof_printable_printf(stderr, "hint: %s\n", err->hint);
	cprof_error_free(err);
	return status;
}

/* ---- getting ready ---- */

static void let_go(void *ctx)
{
	struct program *program = ctx;
	if (program->opened.launch.pid)
		cprof_launch_go(&program->opened.launch);
}

static struct cprof_error *prepare(struct program *program)
{
	const struct cprof_attach_options *options = &program->options;
	struct cprof_error *err = cprof_mode_find(options->mode, &program->mode);
	if (!err && (options->text || options->requests.threads.core) && !program->mode->has_text)
		err = cprof_error_new(CPROF_ERR_USAGE,
				      "-mode %s knows neither -text nor -core; "
				      "-mode threads does",
				      program->mode->name);
	if (!err)
		err = cprof_answer_choose(options, &program->answer);
	if (!err && options->push_urls.len)
		err = cprof_secret_read(options->push_auth_file, "CPROF_PUSH_AUTH",
					&program->push_auth);
	if (!err)
		err = cprof_delivery_check(options, program->push_auth);
	if (!err)
		err = cprof_opened_targets_open(&program->opened, &program->options, &program->log);
	if (err)
		return err;
	if (program->mode->max_targets && program->opened.n > program->mode->max_targets)
		return cprof_error_new(CPROF_ERR_USAGE, "-mode %s takes one process at a time",
				       program->mode->name);
	program->no_file = program->answer.report && !options->output && !options->push_urls.len;
	program->no_profile = options->text && !options->output && !options->push_urls.len &&
			      !program->answer.report;
	if (!program->no_profile && !program->no_file)
		err = cprof_output_plan(options, program->mode->name,
					(const struct cprof_target *const *)program->opened.all,
					program->opened.n, &program->answer, cprof_interrupt_again,
					&program->output);
	if (err)
		return err;
	program->window = (struct cprof_window){
		.length_ns = options->length_ns,
		.targets = program->opened.all,
		.n_targets = program->opened.n,
		.on_start = let_go,
		.start_ctx = program,
		.progress = show_progress,
		.progress_ctx = program,
		.progress_every_ns = (program->terminal ? 1 : 10) * CPROF_NS_PER_S,
	};
	return cprof_interrupt_init(&program->window.stop_fd);
}

/* It is not always below HOME: base/cache_dir.h. */
static void say_cache(struct program *program)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	const char *dir = program->options.naming.cache_dir;
	if (!program->options.verbose)
		return;
	if (dir)
		cprof_buffer_printf(&text, "names are kept in %s", dir);
	else
		cprof_buffer_puts(&text, "no names are kept for the next profile");
	say(program, cprof_buffer_text(&text));
}

static void announce(struct program *program)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "profiling (%s) %s, pid %d", program->mode->name,
			    program->opened.all[0]->comm, (int)program->opened.all[0]->pid);
	if (program->opened.n > 1)
		cprof_buffer_printf(&text, " and %zu more", program->opened.n - 1);
	if (program->mode->instant)
		;
	else if (program->options.length_ns)
		cprof_buffer_printf(&text, ", for %g s",
				    (double)program->options.length_ns / (double)CPROF_NS_PER_S);
	else
		cprof_buffer_puts(&text, program->opened.launch.pid ? ", until it ends"
								    : ", until Ctrl-C or its end");
	say(program, cprof_buffer_text(&text));
	char promise[256] = "";
	if (program->mode->promise)
		program->mode->promise(&program->options.requests, promise, sizeof(promise));
	say(program, promise);
	say_cache(program);
}

static int explain_names(struct program *program)
{
	struct cprof_error *err =
		program->options.files.len
			? NULL
			: cprof_opened_targets_open(&program->opened, &program->options,
						    &program->log);
	for (size_t i = 0; i < program->opened.n && !err; i++)
		err = cprof_cmd_why_process(program->opened.all[i], &program->options);
	if (!err && program->options.files.len)
		err = cprof_cmd_why_files(&program->options);
	return err ? fail(program, err) : 0;
}

/* ---- the work ---- */

static struct cprof_error *print_text(void *ctx, const char *text, size_t n)
{
	struct program *program = ctx;
	end_line(program);
	if (program->stdout_closed ||
	    (cprof_printable_write(stdout, text, n) && fflush(stdout) == 0))
		return NULL;
	if (errno != EPIPE)
		return cprof_error_os(errno, "write to stdout");
	/* `| head` has seen enough; a profile that was asked for as well is another matter. */
	program->stdout_closed = true;
	if (program->no_profile)
		cprof_window_stop(&program->window);
	return NULL;
}

static struct cprof_error *sample(struct program *program, struct cprof_profile **ret_profile)
{
	const struct cprof_attach_options *options = &program->options;
	const struct cprof_run run = {
		.targets = program->opened.all,
		.n_targets = program->opened.n,
		.window = &program->window,
		.log = &program->log,
		.naming = options->naming,
		.labels = options->label_pairs,
		.n_labels = options->labels.len,
		.children = options->children,
		.command_line = cprof_buffer_text(&program->command_line),
	};
	struct cprof_mode_requests requests = options->requests;
	requests.threads.print = options->text ? print_text : NULL;
	requests.threads.print_ctx = program;
	requests.threads.no_profile = program->no_profile;
	if (program->mode->alters_target)
		cprof_interrupt_hold(true);
	struct cprof_error *err = cprof_mode_run(program->mode, &run, &requests, ret_profile);
	if (program->mode->alters_target)
		cprof_interrupt_hold(false);
	return err;
}

/* Which package has the names that are missing. Reads the package manager's lists, so not before the file is there. */
static void say_what_is_missing(struct program *program)
{
	CPROF_AUTO(buffer) struct cprof_buffer advice = { 0 };
	const struct cprof_run_log *log = &program->log;
	if (program->options.quiet || !log->unnamed.root || !log->unnamed.path)
		return;
	cprof_error_free(
		cprof_package_advise(log->unnamed.root, log->unnamed.path, "-debuginfod", &advice));
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_summary_nameless(log, cprof_buffer_text(&advice), &text);
	say(program, cprof_buffer_text(&text));
}

/* Send it; without -o the file was only a safeguard, and goes once the server has it. */
static struct cprof_error *push(struct program *program, const struct cprof_profile *profile,
				const struct cprof_buffer *bytes, bool *ret_file_goes)
{
	const struct cprof_attach_options *options = &program->options;
	const struct cprof_delivery delivery = {
		.options = options,
		.target = program->opened.all[0],
		.auth = program->push_auth,
		.profile = profile,
		.bytes = bytes,
		.from_wall_ns = program->window.start_wall_ns,
		.until_wall_ns =
			program->window.start_wall_ns + cprof_window_elapsed_ns(&program->window),
	};
	CPROF_AUTO(buffer) struct cprof_buffer answer = { 0 };
	bool waits;
	struct cprof_error *err = cprof_delivery_push(&delivery, &answer, &waits);
	if (options->dry_run)
		return err ? err : print_text(program, cprof_buffer_text(&answer), answer.len);
	say(program, cprof_buffer_text(&answer));
	if (!err || waits) {
		*ret_file_goes = !options->output;
		return err;
	}
	CPROF_AUTO(buffer) struct cprof_buffer kept = { 0 };
	cprof_buffer_printf(&kept, "the profile is kept in %s, to be sent by: cprof -push URL ",
			    program->output.path);
	cprof_shell_word_put(&kept, program->output.path);
	if (!err->hint)
		return cprof_error_hint(err, "%s", cprof_buffer_text(&kept));
	return cprof_error_hint(err, "%s; %s", err->hint, cprof_buffer_text(&kept));
}

/* The file, as what it is to be. What cannot be made of the profile leaves the profile itself. */
static struct cprof_error *write_out(struct program *program, const struct cprof_buffer *pprof,
				     size_t *ret_bytes)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_error *problem = cprof_answer_file(&program->answer, pprof, &bytes);
	*ret_bytes = problem ? pprof->len : bytes.len;
	cprof_interrupt_unlink(&program->output.file);
	struct cprof_error *err = problem ? cprof_output_keep(&program->output, pprof, problem)
					  : cprof_output_write(&program->output, &bytes);
	cprof_interrupt_unlink(NULL);
	return err;
}

/* What was asked for is data; the ten rows for somebody at a terminal are not. */
static struct cprof_error *show_report(struct program *program, const struct cprof_buffer *pprof)
{
	const struct cprof_attach_options *options = &program->options;
	struct cprof_error *err = NULL;
	end_line(program);
	if (program->answer.report)
		err = cprof_answer_report(&program->answer, pprof, stdout);
	else if (!options->output && !options->quiet && !options->text && !options->push_urls.len &&
		 !program->answer.file && program->terminal && isatty(STDOUT_FILENO))
		cprof_error_free(cprof_answer_top(program->mode->name, pprof, stdout));
	if (err && err->os_errno == EPIPE) { /* `| head` has seen enough */
		cprof_error_free(err);
		err = NULL;
	}
	fflush(stdout);
	return err;
}

static void say_end(struct program *program, const char *path, size_t bytes)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_summary_end(&program->log.counts,
			  cprof_clock_cpu_ns() + program->log.counts.prefetch_cpu_ns, path, bytes,
			  !program->answer.file, &text);
	if (!program->options.quiet) {
		end_line(program);
		cprof_summary_wrap(&text, columns(program));
		cprof_printable_write(stderr, cprof_buffer_text(&text), text.len);
	}
}

static struct cprof_error *deliver(struct program *program, const struct cprof_profile *profile)
{
	CPROF_AUTO(buffer) struct cprof_buffer pprof = { 0 }, others = { 0 };
	CPROF_AUTO(profile) struct cprof_profile *own = NULL;
	size_t bytes = 0;
	bool file_goes = program->no_file;
	const char *pattern = program->options.output;
	const pid_t first = program->opened.all[0]->pid;
	const bool split = cprof_output_pattern_marked(pattern);
	struct cprof_error *err = split ? cprof_output_split_first(profile, first, &own) : NULL;
	if (!err)
		err = cprof_pprof_encode(own ? own : profile, CPROF_PPROF_GZIP_FAST, &pprof);
	if (!err && !program->no_file)
		err = write_out(program, &pprof, &bytes);
	const bool written = !err;
	if (split)
		err = cprof_output_split_write(profile, pattern, first, program->options.force, err,
					       &others);
	if (!err && program->options.push_urls.len) {
		err = push(program, profile, &pprof, &file_goes);
		if (file_goes)
			cprof_output_remove(&program->output);
	}
	if (others.len)
		say(program, cprof_buffer_text(&others));
	struct cprof_error *unshown = pprof.len ? show_report(program, &pprof) : NULL;
	say_end(program, file_goes || !written ? NULL : program->output.path, bytes);
	say_what_is_missing(program);
	if (err)
		cprof_error_free(unshown);
	return err ? err : unshown;
}

/* Of a launched command: its own status, unless ours says that something went wrong. */
static int command_status(struct program *program, int status)
{
	if (!program->opened.launch.pid || program->opened.launch.go_fd >= 0)
		return status;
	int theirs = cprof_launch_wait(&program->opened.launch);
	if (program->opened.launch.exec_errno) {
		end_line(program);
		fail(program, cprof_error_new(CPROF_ERR_OS, "cannot run %s: %s",
					      program->options.command.items[0],
					      strerror(program->opened.launch.exec_errno)));
		return theirs;
	}
	return status ? status : theirs;
}

static int run(struct program *program)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_error *err = prepare(program);
	if (err)
		return fail(program, err);
	announce(program);
	err = sample(program, &profile);
	if (cprof_interrupt_count() > 1)
		return ABORTED;
	if (program->opened.launch.exec_errno) {
		cprof_error_free(err);
		return command_status(program, 0);
	}
	if (!err) {
		show_notes(program);
		say(program, cprof_summary_ending(&program->window));
		err = profile ? deliver(program, profile) : NULL;
	}
	const bool deadlock = program->options.deadlock_status && program->log.counts.deadlocks;
	return command_status(program, err ? fail(program, err) : deadlock ? DEADLOCK_STATUS : 0);
}

static void say_line(void *ctx, const char *text)
{
	say(ctx, text);
}

/* -http ADDRESS */
static int serve(struct program *program, int argc, char *const argv[])
{
	const struct cprof_cmd_serve command = { .options = &program->options,
						 .argc = argc,
						 .argv = argv,
						 .command_line =
							 cprof_buffer_text(&program->command_line),
						 .say = say_line,
						 .ctx = program };
	struct cprof_error *err = cprof_cmd_serve(&command);
	return err ? fail(program, err) : 0;
}

/* -push URL -every TIME and the like */
static int go_on(struct program *program, int argc, char *const argv[])
{
	const struct cprof_cmd_continuous command = { .options = &program->options,
						      .argc = argc,
						      .argv = argv,
						      .command_line = cprof_buffer_text(
							      &program->command_line),
						      .say = put_line,
						      .ctx = program };
	struct cprof_error *err = cprof_cmd_continuous(&command);
	return err ? fail(program, err) : 0;
}

/* top, -live */
static int watch(struct program *program)
{
	const struct cprof_cmd_live command = { .options = &program->options,
						.opened = &program->opened,
						.command_line =
							cprof_buffer_text(&program->command_line),
						.say = say_line,
						.ctx = program };
	struct cprof_error *err =
		cprof_opened_targets_open(&program->opened, &program->options, &program->log);
	if (!err)
		err = cprof_cmd_live(&command);
	return err ? fail(program, err) : 0;
}

/* -repair PID */
static int repair(struct program *program)
{
	const struct cprof_cmd_repair command = { .pid = (pid_t)program->options.repair_pid,
						  .say = say_line,
						  .ctx = program };
	bool kept = false;
	struct cprof_error *err = cprof_cmd_repair(&command, &kept);
	return err ? fail(program, err) : kept;
}

/* -doctor */
static int examine(struct program *program)
{
	bool works = false;
	struct cprof_error *err = cprof_cmd_doctor(&program->options, &works);
	return err ? fail(program, err) : works ? 0 : DOCTOR_STATUS;
}

/* -event list */
static int list_events(struct program *program)
{
	bool pmu = true;
	struct cprof_error *err = cprof_cmd_events(&pmu);
	if (!err && !pmu)
		say(program,
		    "this machine has no processor counters (a virtual machine?): software events only");
	return err ? fail(program, err) : 0;
}

/* What says something of the program itself, or of its options. */
static bool tell(struct program *program, int *ret_status)
{
	const struct cprof_attach_options *options = &program->options;
	struct cprof_error *err = NULL;
	*ret_status = 0;
	if (options->help)
		cprof_cmd_help();
	else if (options->version)
		printf("cprof-attach %s\n", CPROF_VERSION);
	else if (options->completion)
		err = cprof_cmd_completion(options->completion);
	else if (options->man)
		cprof_cmd_man_options();
	else if (options->doctor_table)
		cprof_cmd_doctor_table();
	else if (options->show_config)
		*ret_status = cprof_cmd_show_config(options) ? 0 : 1;
	else
		return false;
	if (err)
		*ret_status = fail(program, err);
	return true;
}

static void program_deinit(struct program *program)
{
	cprof_opened_targets_close(&program->opened);
	cprof_window_deinit(&program->window);
	cprof_run_log_deinit(&program->log);
	cprof_output_deinit(&program->output);
	cprof_cli_options_deinit(&program->options);
	cprof_buffer_deinit(&program->command_line);
	free(program->push_auth);
}

int main(int argc, char **argv)
{
	struct program program = { .terminal = isatty(STDERR_FILENO) };
	int status = 0;
	if (!cprof_environment_secure())
		return fail(&program, cprof_error_no_memory());
	struct cprof_error *err = cprof_cli_options_parse(argc, argv, &program.options);
	cprof_cli_options_describe(argc, argv, &program.command_line);
	if (err)
		status = fail(&program, err);
	else if (tell(&program, &status))
		;
	else if (program.options.repair_pid)
		status = repair(&program);
	else if (strcmp(program.options.requests.cpu.event, "list") == 0)
		status = list_events(&program);
	else if (program.options.doctor)
		status = examine(&program);
	else if (program.options.why)
		status = explain_names(&program);
	else if (program.options.live)
		status = watch(&program);
	else if (program.options.continuous.on)
		status = go_on(&program, argc, argv);
	else if (program.options.http)
		status = serve(&program, argc, argv);
	else
		status = run(&program);
	program_deinit(&program);
	return status;
}
