/*
 * convert/cmd_report.c - one report from the command line, and where its bytes go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "convert/commands.h"

static struct cprof_error *write_plain(struct cprof_report *report, const char *path)
{
	if (!*path)
		return cprof_report_write(report, stdout);
	fprintf(stderr, "Generating report in %s\n", path);
	FILE *file = fopen(path, "we");
	if (!file)
		return cprof_error_os(errno, "create %s", path);
	struct cprof_error *err = cprof_report_write(report, file);
	if (fclose(file) != 0 && !err)
		err = cprof_error_os(errno, "write %s", path);
	return err;
}

struct cprof_error *cprof_command_write_report(struct cprof_profile *profile,
					       const struct cprof_format *format,
					       const char *argument,
					       const struct cprof_config *config, bool interactive)
{
	(void)interactive;
	struct cprof_report *report;
	struct cprof_error *err = cprof_report_new(profile, format, argument, config, &report);
	if (err)
		return err;
	fputs(cprof_buffer_text(&report->warnings), stderr);
	err = write_plain(report, config->output);
	cprof_report_free(report);
	return err;
}

static const struct cprof_format *find(const struct cprof_options *options, const char **ret_arg,
				       size_t *ret_n)
{
	const struct cprof_format *found = NULL;
	*ret_n = 0;
	*ret_arg = NULL;
	for (size_t i = 0; cprof_formats[i]; i++) {
		const char *arg = options->format_arg[i];
		if (!options->format_on[i] && !(arg && *arg))
			continue;
		found = cprof_formats[i];
		*ret_arg = arg;
		++*ret_n;
	}
	return found;
}

static bool wants_report(const struct cprof_options *options)
{
	const char *argument;
	size_t n;
	return find(options, &argument, &n) != NULL;
}

static struct cprof_error *run_report(struct cprof_options *options, struct cprof_profile *profile)
{
	const char *argument;
	size_t n;
	const struct cprof_format *format = find(options, &argument, &n);
	return cprof_command_write_report(profile, format, argument, &options->config, false);
}

const struct cprof_command cprof_command_report = { "report", wants_report, true, run_report };
