/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/ring_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "attach/cli/interrupt.h"
#include "base/cleanup.h"

/* Where the end of the name begins that says the format: one extension, or two where they belong together. */
static size_t suffix_at(const char *file)
{
	static const char *const pairs[] = { ".pb.gz", ".json.gz", ".speedscope.json",
					     ".firefox.json", ".firefox.json.gz" };
	const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
	const char *dot = strrchr(name, '.');
	const size_t len = strlen(name);
	size_t suffix = dot && dot > name ? strlen(dot) : 0;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const size_t n = strlen(pairs[i]);
		if (len > n && n > suffix && strcasecmp(name + len - n, pairs[i]) == 0)
			suffix = n;
	}
	return strlen(file) - suffix;
}

char *cprof_ring_files_name(const char *file, time_t when)
{
	char text[32], *name;
	struct tm utc;
	const int at = (int)suffix_at(file);
	gmtime_r(&when, &utc);
	strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &utc);
	return asprintf(&name, "%.*s.%s%s", at, file, text, file + at) < 0 ? NULL : name;
}

/* A name of our own has the time in it anyway. */
static struct cprof_error *plan(const struct cprof_ring_files *files, struct cprof_output *output)
{
	struct cprof_attach_options options = *files->options;
	CPROF_AUTO(free) char *name = NULL;
	if (options.output && options.ring.keep > 1) {
		name = cprof_ring_files_name(options.output, time(NULL));
		if (!name)
			return cprof_error_no_memory();
		options.output = name;
	}
	options.force = options.force || (options.ring.keep == 1 && files->placed);
	struct cprof_error *err = cprof_output_plan(&options, files->mode, &files->target, 1,
						    files->answer, cprof_interrupt_again, output);
	if (!err && options.ring.keep > 1) /* two in one second: the second gets a number */
		output->own_name = true;
	return err;
}

struct cprof_error *cprof_ring_files_init(struct cprof_ring_files *files)
{
	struct cprof_output output = { 0 };
	files->written = calloc(files->options->ring.keep, sizeof(*files->written));
	if (!files->written)
		return cprof_error_no_memory();
	struct cprof_error *err = plan(files, &output);
	if (!err && output.file.stream)
		err = cprof_error_new(CPROF_ERR_USAGE,
				      "-o %s: a ring writes files, and this is none",
				      files->options->output);
	cprof_output_deinit(&output);
	return err;
}

void cprof_ring_files_deinit(struct cprof_ring_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		cprof_output_deinit(&files->written[i]);
	free(files->written);
	files->written = NULL;
	files->n = 0;
}

/* One more file of this run; where there are enough, the oldest goes. Takes `output`. */
static void keep(struct cprof_ring_files *files, const struct cprof_output *output)
{
	struct cprof_output *oldest = &files->written[0];
	if (files->n == files->options->ring.keep) {
		/* Of the same name: it has been replaced, or its owner has put it elsewhere. */
		if (strcmp(oldest->path, output->path) != 0)
			cprof_output_remove(oldest);
		cprof_output_deinit(oldest);
		memmove(oldest, oldest + 1, --files->n * sizeof(*oldest));
	}
	files->written[files->n++] = *output;
}

struct cprof_error *cprof_ring_files_write(struct cprof_ring_files *files,
					   const struct cprof_buffer *bytes, const char **ret_path)
{
	struct cprof_output output = { 0 };
	*ret_path = NULL;
	struct cprof_error *err = plan(files, &output);
	if (err)
		return err;
	CPROF_AUTO(free) char *planned = strdup(output.path);
	cprof_interrupt_unlink(&output.file);
	err = planned ? cprof_output_write(&output, bytes) : cprof_error_no_memory();
	cprof_interrupt_unlink(NULL);
	if (err) {
		/* Kept elsewhere, it is one of this run's, too: a directory that stays full does not fill /tmp. */
		if (planned && strcmp(planned, output.path) != 0)
			keep(files, &output);
		else
			cprof_output_deinit(&output);
		return err;
	}
	files->placed = true;
	keep(files, &output);
	*ret_path = files->written[files->n - 1].path;
	return NULL;
}
