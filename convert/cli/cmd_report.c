/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/cmd_report.c - one report: from the command line or the shell to a file, a screen or a viewer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/new_file.h"
#include "base/printable_text.h"
#include "convert/cli/commands.h"
#include "convert/output/graphviz.h"
#include "convert/output/format_table.h"

/* The text of a report, or the picture that Graphviz makes of it. */
static struct cprof_error *write_to(struct cprof_report *report, FILE *out)
{
	const char *type = report->format->graphviz;
	if (!type)
		return cprof_report_write(report, out);
	CPROF_AUTO(fclose) FILE *graph = tmpfile();
	if (!graph)
		return cprof_error_os(errno, "create a temporary file");
	struct cprof_error *err = cprof_report_write(report, graph);
	return err ? err : cprof_graphviz_draw(type, graph, out);
}

/* Everything but the name of the file that is planned. */
static struct cprof_error *fill(struct cprof_report *report, struct cprof_new_file *file)
{
	struct cprof_error *err = cprof_new_file_create(file, NULL);
	if (err)
		return err;
	CPROF_AUTO(close) int fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out)
		return cprof_error_os(errno, "create %s", file->path);
	cprof_take_fd(&fd);
	err = write_to(report, out);
	if (fclose(out) != 0 && !err)
		err = cprof_error_os(errno, "write %s", file->path);
	return err;
}

/* What the user names is replaced, as by the original tool and by shells. */
static struct cprof_error *write_file(struct cprof_report *report, const char *path)
{
	struct cprof_new_file file = { 0 };
	struct cprof_error *err = cprof_new_file_plan(path, CPROF_NEW_FILE_REPLACE, &file);
	if (!err)
		err = fill(report, &file);
	if (!err)
		err = cprof_new_file_finish(&file, NULL);
	cprof_new_file_deinit(&file);
	return err;
}

/* The first number that is free: "profile001.svg". */
static struct cprof_error *give_number(const struct cprof_report *report,
				       struct cprof_new_file *file, const char *prefix,
				       struct cprof_buffer *name)
{
	for (int i = 1; i < 10000; i++) {
		name->len = 0;
		cprof_buffer_printf(name, "%s%03d.%s", prefix, i, report->format->suffix);
		struct cprof_error *err = cprof_buffer_error(name);
		if (!err)
			err = cprof_new_file_finish(file, cprof_buffer_text(name));
		if (!err || err->os_errno != EEXIST)
			return err;
		cprof_error_free(err);
	}
	return cprof_error_new(CPROF_ERR_EXISTS, "all of %s001 to %s9999.%s exist", prefix, prefix,
			       report->format->suffix);
}

/* DIR/profile001.svg; `path` is then where it is. */
static struct cprof_error *write_numbered(struct cprof_report *report, const char *dir,
					  const char *prefix, struct cprof_buffer *path)
{
	CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
	struct cprof_new_file file = { 0 };
	cprof_buffer_printf(path, "%s%s", dir, *dir ? "/" : "");
	size_t prefix_len = path->len;
	cprof_buffer_printf(path, "%s.%s", prefix, report->format->suffix);
	struct cprof_error *err = cprof_buffer_error(path);
	if (!err)
		err = cprof_new_file_plan(cprof_buffer_text(path), CPROF_NEW_FILE_NAMED, &file);
	if (!err)
		err = fill(report, &file);
	if (!err)
		err = give_number(report, &file, prefix, &name);
	cprof_new_file_deinit(&file);
	path->len = prefix_len;
	cprof_buffer_puts(path, cprof_buffer_text(&name));
	return err ? err : cprof_buffer_error(path);
}

static struct cprof_error *show(struct cprof_report *report, const char *shell_dir)
{
	CPROF_AUTO(buffer) struct cprof_buffer path = { 0 };
	const char *dir = shell_dir && *shell_dir ? shell_dir : getenv("TMPDIR");
	struct cprof_error *err =
		write_numbered(report, dir && *dir ? dir : "/tmp", "cprof", &path);
	if (err)
		return err;
	cprof_printable_printf(stderr, "Generated %s\n", cprof_buffer_text(&path));
	return cprof_graphviz_show(report->format->viewer, cprof_buffer_text(&path), !shell_dir);
}

static struct cprof_error *deliver(struct cprof_report *report, const char *shell_dir)
{
	const char *path = report->config.output;
	const struct cprof_format *format = report->format;
	if (*path) {
		cprof_printable_printf(stderr, "Generating report in %s\n", path);
		return write_file(report, path);
	}
	if (format->viewer)
		return show(report, shell_dir);
	if (!(format->flags & CPROF_FORMAT_BINARY) || !(shell_dir || isatty(STDOUT_FILENO)))
		return write_to(report, stdout);
	/* Pictures and compressed files have no place on a screen. */
	CPROF_AUTO(buffer) struct cprof_buffer numbered = { 0 };
	struct cprof_error *err = write_numbered(report, "", "profile", &numbered);
	if (!err)
		cprof_printable_printf(stderr, "Generated report in %s\n",
				       cprof_buffer_text(&numbered));
	return err;
}

struct cprof_error *cprof_command_write_report(struct cprof_profile *profile,
					       const struct cprof_format *format,
					       const char *argument,
					       const struct cprof_config *config,
					       const char *shell_dir)
{
	struct cprof_report *report;
	struct cprof_error *err = cprof_report_new(profile, format, argument, config, &report);
	if (err)
		return err;
	cprof_printable_write(stderr, cprof_buffer_text(&report->warnings), report->warnings.len);
	report->warnings.len = 0;
	err = deliver(report, shell_dir);
	/* And what could not be shown as it was written. */
	cprof_printable_write(stderr, cprof_buffer_text(&report->warnings), report->warnings.len);
	cprof_report_free(report);
	return err;
}

/* The first report asked for; *ret_n counts them. */
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
	if (n > 1)
		return cprof_error_new(CPROF_ERR_USAGE, "must set at most one output format");
	return cprof_command_write_report(profile, format, argument, &options->config, NULL);
}

const struct cprof_command cprof_command_report = { "report", wants_report, true, run_report };
