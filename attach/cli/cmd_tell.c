/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cmd_tell.h"

#include <stdio.h>

#include "attach/cli/cli_options.h"
#include "attach/modes/mode.h"
#include "attach/perf/perf_event_name.h"
#include "base/cleanup.h"
#include "base/completion.h"

void cprof_cmd_help(void)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_puts(&text, "Usage: cprof-attach -p PID [options]\n"
				 "       cprof-attach -n NAME [options]\n"
				 "       cprof-attach [options] -- COMMAND ARGS\n"
				 "       cprof-attach top -p PID [options]\n"
				 "       cprof-attach -why FILE... | -why -p PID\n"
				 "       cprof-attach -doctor [-p PID]\n"
				 "Profile a running process and write a pprof file.\n\nModes:\n");
	for (size_t i = 0; i < cprof_n_modes; i++)
		cprof_buffer_printf(&text, "  -mode %-10s %s\n", cprof_modes[i].name,
				    cprof_modes[i].summary);
	cprof_options_help(&cprof_cli_option_table, &text);
	cprof_buffer_puts(
		&text, "\nExit status: 0 ok, 2 usage, 3 no such process, 4 not permitted, "
		       "5 not delivered,\n1 anything else, 130 aborted; with COMMAND its own.\n");
	fputs(cprof_buffer_text(&text), stdout);
}

struct cprof_error *cprof_cmd_completion(const char *shell)
{
	const struct cprof_completion completion = { .program = "cprof-attach",
						     .options = &cprof_cli_option_table,
						     .takes_command = true };
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_completion_write(&completion, shell, &text);
	if (err)
		return cprof_error_wrap(err, "-completion");
	fputs(cprof_buffer_text(&text), stdout);
	return NULL;
}

void cprof_cmd_man_options(void)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_options_man(&cprof_cli_option_table, &text);
	fputs(cprof_buffer_text(&text), stdout);
}

struct cprof_error *cprof_cmd_events(bool *ret_pmu)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_perf_event_name_list(&text, ret_pmu);
	if (!err)
		fputs(cprof_buffer_text(&text), stdout);
	return err;
}
