/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/output.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "attach/cli/output_pattern.h"
#include "base/cleanup.h"
#include "base/place.h"
#include "base/shell_word.h"

#define OWN_NAMES_MAX 100

static void put_name(struct cprof_buffer *out, const char *comm)
{
	for (; *comm; comm++)
		cprof_buffer_putc(
			out, isalnum((unsigned char)*comm) || strchr("._+-", *comm) ? *comm : '_');
}

/* cprof.{comm}.{pid}.{mode}.{UTC}.{suffix}; of several processes the first, and how many more. */
static char *own_name(const char *mode, const struct cprof_target *const *targets, size_t n,
		      const char *suffix)
{
	char when[32];
	struct tm utc;
	time_t now = time(NULL);
	gmtime_r(&now, &utc);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &utc);

	CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
	cprof_buffer_puts(&name, "cprof.");
	put_name(&name, n ? targets[0]->comm : "none");
	cprof_buffer_printf(&name, ".%d", n ? (int)targets[0]->pid : 0);
	if (n > 1)
		cprof_buffer_printf(&name, "+%zu", n - 1);
	cprof_buffer_printf(&name, ".%s.%s.%s", mode, when, suffix);
	return strdup(cprof_buffer_text(&name));
}

/* What the user may do about it. */
static struct cprof_error *advise(struct cprof_error *err)
{
	if (err->hint || err->code == CPROF_ERR_NO_MEMORY)
		return err;
	if (err->code == CPROF_ERR_EXISTS)
		return cprof_error_hint(err, "-f replaces it, -o FILE chooses another name");
	if (err->os_errno == ENOENT)
		return cprof_error_hint(err, "its directory does not exist");
	return cprof_error_hint(err, "choose a place with -o FILE");
}

static struct cprof_error *plan_stdout(struct cprof_output *output,
				       const struct cprof_answer *answer)
{
	output->to_stdout = true;
	if (!isatty(STDOUT_FILENO) ||
	    (answer->file && !(answer->file->flags & CPROF_FORMAT_BINARY)))
		return NULL;
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_USAGE, "-o -: stdout is a terminal, and this is for programs to read");
	return cprof_error_hint(err, "redirect stdout, or give -o FILE");
}

/* Nothing is left there should we be killed while sampling. */
static struct cprof_error *plan_file(struct cprof_output *output, enum cprof_new_file_how how)
{
	struct cprof_error *err = cprof_new_file_plan(output->path, how, &output->file);
	if (!err)
		err = cprof_new_file_try(&output->file);
	return err ? advise(err) : NULL;
}

struct cprof_error *cprof_output_plan(const struct cprof_attach_options *options, const char *mode,
				      const struct cprof_target *const *targets, size_t n_targets,
				      const struct cprof_answer *answer,
				      cprof_new_file_stopped_fn *stopped,
				      struct cprof_output *ret_output)
{
	/* A ring's names have the time in them: the second one of a second gets a number. */
	const bool timed = options->ring.length_ns && options->ring.keep > 1;
	struct cprof_output output = { .own_name = !options->output || timed, .stopped = stopped };
	struct cprof_error *err = NULL;
	output.path = !options->output ? own_name(mode, targets, n_targets, answer->suffix)
		      : n_targets      ? cprof_output_pattern_fill(options->output, targets[0]->pid)
				       : strdup(options->output);
	if (!output.path)
		return cprof_error_no_memory();
	if (!*output.path)
		err = cprof_error_new(CPROF_ERR_USAGE, "-o: the file name is empty");
	else if (cprof_output_pattern_marked(options->output) && options->push_urls.len)
		err = cprof_error_new(
			CPROF_ERR_USAGE,
			"-o with %s makes a file for each process, and -push sends one profile: give one of them",
			CPROF_OUTPUT_PATTERN_MARK);
	else if (strcmp(output.path, "-") == 0)
		err = plan_stdout(&output, answer);
	if (!err && !output.to_stdout)
		err = plan_file(&output, output.own_name  ? CPROF_NEW_FILE_NAMED
					 : options->force ? CPROF_NEW_FILE_REPLACE
							  : CPROF_NEW_FILE_REFUSE);
	if (err) {
		cprof_output_deinit(&output);
		return err;
	}
	*ret_output = output;
	return NULL;
}

void cprof_output_deinit(struct cprof_output *output)
{
	cprof_new_file_deinit(&output->file);
	free(output->path);
	*output = (struct cprof_output){ 0 };
}

/* NAME.2, NAME.3, ...; 1 is the name itself. What it is called then is in output->path, too. */
static struct cprof_error *try_number(struct cprof_output *output, int number)
{
	const char *name = output->file.place.name;
	char numbered[NAME_MAX + 1], *path;
	if (number == 1)
		return cprof_new_file_finish(&output->file, NULL);
	int n = snprintf(numbered, sizeof(numbered), "%.240s.%d", name, number);
	int dir = (int)(strlen(output->file.path) - strlen(name));
	if (n < 0 || asprintf(&path, "%.*s%s", dir, output->file.path, numbered) < 0)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_new_file_finish(&output->file, numbered);
	if (err) {
		free(path);
		return err;
	}
	memcpy(output->file.place.name, numbered, (size_t)n + 1);
	free(output->path);
	output->path = path;
	return NULL;
}

/* For a name of ours path.2, path.3, ... whichever is free. */
static struct cprof_error *write_numbered(struct cprof_output *output,
					  const struct cprof_buffer *bytes)
{
	struct cprof_new_file *file = &output->file;
	struct cprof_error *err = cprof_new_file_create(file, output->stopped);
	if (!err)
		err = cprof_new_file_put(file, bytes->data, bytes->len, output->stopped);
	for (int i = 1; !err && i <= OWN_NAMES_MAX; i++) {
		err = try_number(output, i);
		if (!err || err->os_errno != EEXIST || i == OWN_NAMES_MAX)
			return err;
		cprof_error_free(err);
		err = NULL;
	}
	return err;
}

static struct cprof_error *write_file(struct cprof_output *output, const struct cprof_buffer *bytes)
{
	if (output->own_name)
		return write_numbered(output, bytes);
	return cprof_new_file_write(&output->file, bytes->data, bytes->len, output->stopped);
}

/* The name that was wanted, where that was one for a file. */
static const char *name_to_keep(const struct cprof_output *output)
{
	const char *slash = strrchr(output->path, '/');
	const char *name = slash ? slash + 1 : output->path;
	return output->to_stdout || output->file.stream || !*name ? "cprof.kept.pb.gz" : name;
}

static bool keep_in(struct cprof_output *output, const char *dir, const struct cprof_buffer *bytes)
{
	struct cprof_output other = { .own_name = true };
	if (!dir || !*dir || asprintf(&other.path, "%s/%s", dir, name_to_keep(output)) < 0)
		return false;
	struct cprof_error *err =
		cprof_new_file_plan(other.path, CPROF_NEW_FILE_NAMED, &other.file);
	if (!err)
		err = write_file(&other, bytes);
	if (err) {
		cprof_error_free(err);
		cprof_output_deinit(&other);
		return false;
	}
	cprof_output_deinit(output);
	*output = other;
	return true;
}

/* The home of whoever called us through sudo(8) is not ours to put files of root's into. */
static const char *own_home(void)
{
	const char *home = secure_getenv("HOME");
	int fd;
	struct cprof_error *err =
		home && *home == '/'
			? cprof_place_open_own_dir(home, false, &fd)
			: cprof_error_new(CPROF_ERR_DENIED, "there is no home directory");
	if (err) {
		cprof_error_free(err);
		return NULL;
	}
	close(fd);
	return home;
}

/* Half a minute of samples is worth a few tries. Gives the error back, with what became of them. */
static struct cprof_error *rescue(struct cprof_output *output, const struct cprof_buffer *bytes,
				  struct cprof_error *err)
{
	const char *const dirs[] = { secure_getenv("TMPDIR"), "/tmp", "/var/tmp", own_home(),
				     "/dev/shm" };
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (keep_in(output, dirs[i], bytes))
			return cprof_error_hint(err, "the profile is kept in %s", output->path);
	}
	return cprof_error_hint(err,
				"the profile is lost: nothing could be written elsewhere either");
}

struct cprof_error *cprof_output_write(struct cprof_output *output,
				       const struct cprof_buffer *bytes)
{
	struct cprof_error *err =
		output->to_stdout ? cprof_new_file_put_stream(STDOUT_FILENO, "stdout", bytes->data,
							      bytes->len, output->stopped)
				  : write_file(output, bytes);
	return err ? rescue(output, bytes, err) : NULL;
}

struct cprof_error *cprof_output_put(const char *path, bool force, const struct cprof_buffer *bytes)
{
	struct cprof_output output = { .path = strdup(path) };
	if (!output.path)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_new_file_plan(
		path, force ? CPROF_NEW_FILE_REPLACE : CPROF_NEW_FILE_REFUSE, &output.file);
	if (!err)
		err = write_file(&output, bytes);
	if (err)
		err = rescue(&output, bytes, err);
	cprof_output_deinit(&output);
	return err;
}

struct cprof_error *cprof_output_keep(struct cprof_output *output, const struct cprof_buffer *pprof,
				      struct cprof_error *problem)
{
	struct cprof_output beside = { .own_name = true, .stopped = output->stopped };
	struct cprof_error *err = NULL;
	if (output->to_stdout || output->file.stream)
		return rescue(output, pprof, problem);
	if (asprintf(&beside.path, "%s.pb.gz", output->file.path) < 0) {
		beside.path = NULL;
		return rescue(output, pprof, problem);
	}
	err = cprof_new_file_plan(beside.path, CPROF_NEW_FILE_NAMED, &beside.file);
	if (!err)
		err = write_file(&beside, pprof);
	if (err) {
		cprof_error_free(err);
		cprof_output_deinit(&beside);
		return rescue(output, pprof, problem);
	}
	cprof_output_deinit(output);
	*output = beside;
	return cprof_error_hint(problem, "the profile is kept in %s", output->path);
}

bool cprof_output_remove(struct cprof_output *output)
{
	if (output->to_stdout || output->file.stream)
		return false;
	return unlinkat(output->file.place.dir, output->file.place.name, 0) == 0;
}
