#include "attach/cli/output.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define OWN_NAMES_MAX 100

static void put_name(struct cprof_buffer *out, const char *comm)
{
	for (; *comm; comm++)
		cprof_buffer_putc(
			out, isalnum((unsigned char)*comm) || strchr("._+-", *comm) ? *comm : '_');
}

/* cprof.{comm}.{pid}.{mode}.{UTC}.pb.gz; of several processes the first, and how many more. */
static char *own_name(const char *mode, const struct cprof_target *const *targets, size_t n)
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
	cprof_buffer_printf(&name, ".%s.%s.pb.gz", mode, when);
	return strdup(cprof_buffer_text(&name));
}

static char *temp_name(const char *path)
{
	const char *base = strrchr(path, '/');
	base = base ? base + 1 : path;
	char *temp;
	/* A file name has at most 255 bytes, and ours must fit beside it. */
	if (asprintf(&temp, "%.*s.%.200s.%d.tmp", (int)(base - path), path, base, (int)getpid()) <
	    0)
		return NULL;
	return temp;
}

static struct cprof_error *cannot_write(int why, const char *path)
{
	struct cprof_error *err = cprof_error_os(why, "cannot write %s", path);
	if (why == ENOENT)
		return cprof_error_hint(err, "its directory does not exist");
	return cprof_error_hint(err, "choose a place with -o FILE");
}

/* Create the temporary file and remove it again: nothing is left should we be killed while sampling. */
static struct cprof_error *try_place(const struct cprof_output *output)
{
	struct stat st;
	if (stat(output->path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return cannot_write(EISDIR, output->path);
		if (!output->replace) {
			struct cprof_error *err = cprof_error_new(
				CPROF_ERR_EXISTS, "%s exists already", output->path);
			return cprof_error_hint(err,
						"-f replaces it, -o FILE chooses another name");
		}
	}
	int fd = open(output->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return cannot_write(errno, output->path);
	unlink(output->temp);
	/* A block must be had, too: on a full disk an empty file can still be created. */
	int why = write(fd, "", 1) == 1 ? 0 : errno;
	close(fd);
	return why ? cannot_write(why, output->path) : NULL;
}

static bool is_device(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 &&
	       (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

static struct cprof_error *plan_stdout(struct cprof_output *output)
{
	output->kind = CPROF_OUTPUT_STDOUT;
	if (!isatty(STDOUT_FILENO))
		return NULL;
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_USAGE, "-o -: stdout is a terminal, and a profile is binary");
	return cprof_error_hint(err, "redirect stdout, or give -o FILE");
}

struct cprof_error *cprof_output_plan(const struct cprof_attach_options *options, const char *mode,
				      const struct cprof_target *const *targets, size_t n_targets,
				      struct cprof_output *ret_output)
{
	struct cprof_output output = { .replace = options->force, .own_name = !options->output };
	struct cprof_error *err = NULL;
	output.path =
		options->output ? strdup(options->output) : own_name(mode, targets, n_targets);
	if (!output.path)
		return cprof_error_no_memory();
	if (!*output.path)
		err = cprof_error_new(CPROF_ERR_USAGE, "-o: the file name is empty");
	else if (strcmp(output.path, "-") == 0)
		err = plan_stdout(&output);
	else if (is_device(output.path))
		output.kind = CPROF_OUTPUT_DEVICE;
	else if (!(output.temp = temp_name(output.path)))
		err = cprof_error_no_memory();
	else
		err = try_place(&output);
	if (err) {
		cprof_output_deinit(&output);
		return err;
	}
	*ret_output = output;
	return NULL;
}

void cprof_output_deinit(struct cprof_output *output)
{
	free(output->path);
	free(output->temp);
	*output = (struct cprof_output){ 0 };
}

static struct cprof_error *write_all(int fd, const char *name, const struct cprof_buffer *bytes)
{
	for (size_t at = 0; at < bytes->len;) {
		ssize_t n = write(fd, bytes->data + at, bytes->len - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cprof_error_os(errno, "write %s", name);
		at += (size_t)n;
	}
	return NULL;
}

/* rename(2), but not over a file that is there; link(2) where the file system has no such rename. */
static int rename_into_place(const char *temp, const char *path, bool replace)
{
	if (replace)
		return rename(temp, path);
	if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (link(temp, path) < 0)
		return -1;
	unlink(temp);
	return 0;
}

/* path, or for a name of ours path.2, path.3, ... whichever is free. */
static struct cprof_error *give_name(struct cprof_output *output)
{
	for (int i = 1;; i++) {
		char *path;
		if (i == 1)
			path = strdup(output->path);
		else if (asprintf(&path, "%s.%d", output->path, i) < 0)
			path = NULL;
		if (!path)
			return cprof_error_no_memory();
		if (rename_into_place(output->temp, path, output->replace) == 0) {
			free(output->path);
			output->path = path;
			return NULL;
		}
		int why = errno;
		free(path);
		if (why == EEXIST && output->own_name && i < OWN_NAMES_MAX)
			continue;
		return why == EEXIST ? cprof_error_new(CPROF_ERR_EXISTS, "%s was created meanwhile",
						       output->path)
				     : cprof_error_os(why, "rename to %s", output->path);
	}
}

static struct cprof_error *write_file(struct cprof_output *output, const struct cprof_buffer *bytes)
{
	CPROF_AUTO(close)
	int fd = open(output->temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return cprof_error_os(errno, "create %s", output->temp);
	struct cprof_error *err = write_all(fd, output->path, bytes);
	/* Some file systems tell of a full disk only when closing. */
	if (!err && close(cprof_take_fd(&fd)) < 0)
		err = cprof_error_os(errno, "write %s", output->path);
	if (!err)
		err = give_name(output);
	if (err)
		unlink(output->temp);
	return err;
}

static bool keep_in(struct cprof_output *output, const char *dir, const struct cprof_buffer *bytes)
{
	const char *base = strrchr(output->path, '/');
	base = output->kind == CPROF_OUTPUT_FILE ? (base ? base + 1 : output->path)
						 : "cprof.kept.pb.gz";
	struct cprof_output other = { .own_name = true };
	if (!dir || !*dir || asprintf(&other.path, "%s/%s", dir, base) < 0)
		return false;
	other.temp = temp_name(other.path);
	struct cprof_error *err = other.temp ? write_file(&other, bytes) : cprof_error_no_memory();
	if (err) {
		cprof_error_free(err);
		cprof_output_deinit(&other);
		return false;
	}
	cprof_output_deinit(output);
	*output = other;
	return true;
}

/* Half a minute of samples is worth a few tries. Gives the error back, with what became of them. */
static struct cprof_error *rescue(struct cprof_output *output, const struct cprof_buffer *bytes,
				  struct cprof_error *err)
{
	const char *const dirs[] = { getenv("TMPDIR"), "/tmp", "/var/tmp", getenv("HOME"),
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
	struct cprof_error *err;
	if (output->kind == CPROF_OUTPUT_STDOUT) {
		err = write_all(STDOUT_FILENO, "stdout", bytes);
	} else if (output->kind == CPROF_OUTPUT_DEVICE) {
		CPROF_AUTO(close) int fd = open(output->path, O_WRONLY | O_CLOEXEC);
		err = fd < 0 ? cprof_error_os(errno, "open %s", output->path)
			     : write_all(fd, output->path, bytes);
	} else {
		err = write_file(output, bytes);
	}
	return err ? rescue(output, bytes, err) : NULL;
}
