/* SPDX-License-Identifier: Apache-2.0 */
/* The program cprof-attach: read the command line and do the one thing that it asks for. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/cli/cli_options.h"
#include "attach/cli/cmd_config.h"
#include "attach/cli/cmd_continuous.h"
#include "attach/cli/cmd_doctor.h"
#include "attach/cli/cmd_live.h"
#include "attach/cli/cmd_record.h"
#include "attach/cli/cmd_repair.h"
#include "attach/cli/cmd_ring.h"
#include "attach/cli/cmd_serve.h"
#include "attach/cli/cmd_tell.h"
#include "attach/cli/cmd_why.h"
#include "attach/cli/console.h"
#include "attach/cli/opened_targets.h"
#include "attach/run/run_log.h"
#include "base/cleanup.h"
#include "base/environment.h"
#include "base/program.h"
#include "base/version.h"

#define DOCTOR_STATUS 11 /* -doctor: not everything works; docs/exit-status.md */

struct program {
	struct cprof_attach_options options;
	struct cprof_buffer command_line;
	struct cprof_opened_targets opened;
	struct cprof_run_log log;
	struct cprof_console console;
};

static int fail(struct program *program, struct cprof_error *err)
{
	return cprof_console_fail(&program->console, err);
}

/* -why */
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

/* -http ADDRESS */
static int serve(struct program *program, int argc, char *const argv[])
{
	const struct cprof_cmd_serve command = { .options = &program->options,
						 .argc = argc,
						 .argv = argv,
						 .command_line =
							 cprof_buffer_text(&program->command_line),
						 .say = cprof_console_on_say,
						 .ctx = &program->console };
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
						      .say = cprof_console_on_put,
						      .ctx = &program->console };
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
						.say = cprof_console_on_say,
						.ctx = &program->console };
	struct cprof_error *err =
		cprof_opened_targets_open(&program->opened, &program->options, &program->log);
	if (!err)
		err = cprof_cmd_live(&command);
	return err ? fail(program, err) : 0;
}

/* -ring TIME */
static int look_back(struct program *program)
{
	const struct cprof_cmd_ring command = { .options = &program->options,
						.opened = &program->opened,
						.command_line =
							cprof_buffer_text(&program->command_line),
						.say = cprof_console_on_say,
						.ctx = &program->console };
	struct cprof_error *err =
		cprof_opened_targets_open(&program->opened, &program->options, &program->log);
	if (!err)
		err = cprof_cmd_ring(&command);
	return err ? fail(program, err) : 0;
}

/* One profile, or none but a text. */
static int record(struct program *program)
{
	const struct cprof_cmd_record command = { .options = &program->options,
						  .command_line =
							  cprof_buffer_text(&program->command_line),
						  .opened = &program->opened,
						  .log = &program->log,
						  .console = &program->console };
	CPROF_AUTO(buffer) struct cprof_buffer unused = { 0 };
	cprof_cli_options_unused(&program->options, &unused);
	cprof_console_say(&program->console, cprof_buffer_text(&unused));
	return cprof_cmd_record(&command);
}

/* -repair PID */
static int repair(struct program *program)
{
	const struct cprof_cmd_repair command = { .pid = (pid_t)program->options.repair_pid,
						  .say = cprof_console_on_say,
						  .ctx = &program->console };
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
	if (!err)
		err = cprof_program_end();
	if (!err && !pmu)
		cprof_console_say(
			&program->console,
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
		err = cprof_cmd_help(options->help_topic);
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
	if (!err && !*ret_status)
		err = cprof_program_end();
	if (err)
		*ret_status = fail(program, err);
	return true;
}

static void program_deinit(struct program *program)
{
	cprof_opened_targets_close(&program->opened);
	cprof_run_log_deinit(&program->log);
	cprof_cli_options_deinit(&program->options);
	cprof_buffer_deinit(&program->command_line);
}

int main(int argc, char **argv)
{
	struct program program = { 0 };
	program.console = (struct cprof_console){ .options = &program.options,
						  .log = &program.log,
						  .terminal = isatty(STDERR_FILENO) };
	int status = 0;
	cprof_program_start();
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
	else if (program.options.ring.length_ns)
		status = look_back(&program);
	else if (program.options.http)
		status = serve(&program, argc, argv);
	else
		status = record(&program);
	program_deinit(&program);
	return status;
}
