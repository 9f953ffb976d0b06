/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cmd_tell.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/cli/cli_options.h"
#include "attach/modes/mode.h"
#include "attach/perf/perf_event_name.h"
#include "base/cleanup.h"
#include "base/completion.h"

static const char usage[] = "Usage: cprof-attach -p PID [options]\n"
			    "       cprof-attach -n NAME [options]\n"
			    "       cprof-attach [options] -- COMMAND ARGS\n"
			    "       cprof-attach top -p PID [options]\n"
			    "       cprof-attach -why FILE... | -why -p PID\n"
			    "       cprof-attach -doctor [-p PID]\n"
			    "Profile a running process and write a pprof file.\n";

static const char examples[] =
	"\nExamples:\n"
	"  cprof-attach top -p 1234                   what it does now, every second\n"
	"  cprof-attach -p 1234 -seconds 10 -top      where processor time goes\n"
	"  cprof-attach -p 1234 -mode heap -o heap.pb.gz    who allocates, and keeps\n"
	"  cprof-attach -p 1234 -mode threads -text   every thread's stack; deadlocks\n"
	"  cprof-attach -p 1234 -o cpu.html           a flame graph, for a browser\n"
	"  cprof-attach -p 1234 -http 127.0.0.1:6060  /debug/pprof/, as of a Go program\n"
	"  cprof-attach -doctor                       what works here, and what grants it\n"
	"  cprof -top cpu.pb.gz                       show a file that was written\n";

static void put_modes(struct cprof_buffer *text)
{
	cprof_buffer_puts(text, "Modes:\n");
	for (size_t i = 0; i < cprof_n_modes; i++)
		cprof_buffer_printf(text, "  -mode %-12s %s\n", cprof_modes[i].name,
				    cprof_modes[i].summary);
}

static void put_beginning(struct cprof_buffer *text)
{
	cprof_buffer_puts(text, usage);
	cprof_buffer_puts(text, examples);
	cprof_buffer_putc(text, '\n');
	put_modes(text);
}

static void put_all(struct cprof_buffer *text)
{
	put_beginning(text);
	cprof_options_help(&cprof_cli_option_table, text);
	cprof_buffer_puts(
		text, "\nExit status: 0 ok, 2 usage, 3 no such process, 4 not permitted, "
		      "5 not delivered,\n1 anything else, 130 aborted; with COMMAND its own.\n");
}

static void put_short(struct cprof_buffer *text)
{
	put_beginning(text);
	cprof_buffer_puts(
		text,
		"\nMore: -help all, man cprof-attach, or -help with one of these, or an option without its dash:\n");
	cprof_options_topics(&cprof_cli_option_table, 2, text);
}

struct cprof_error *cprof_cmd_help(const char *topic)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = NULL;
	if (!topic && isatty(STDOUT_FILENO))
		put_short(&text);
	else if (!topic || strcmp(topic, "all") == 0)
		put_all(&text);
	else if (strcmp(topic, "modes") == 0)
		put_modes(&text);
	else
		err = cprof_options_help_about(&cprof_cli_option_table, topic, &text);
	if (!err)
		fputs(cprof_buffer_text(&text), stdout);
	return err;
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
