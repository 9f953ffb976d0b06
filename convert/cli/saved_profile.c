#include "convert/cli/saved_profile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "cprof/pprof_write.h"

/* mkdir -p, for us alone: profiles tell what a program does. */
static bool make_directories(char *path)
{
	for (char *at = path + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = 0;
		int failed = mkdir(path, 0700) != 0 && errno != EEXIST;
		*at = '/';
		if (failed)
			return false;
	}
	return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool find_directory(struct cprof_buffer *out)
{
	const char *chosen = getenv("PPROF_TMPDIR"), *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	if (chosen && *chosen)
		cprof_buffer_puts(out, chosen);
	else if (cache && *cache == '/')
		cprof_buffer_printf(out, "%s/cprof", cache);
	else if (home && *home)
		cprof_buffer_printf(out, "%s/.cache/cprof", home);
	else
		cprof_buffer_puts(out, "/tmp/cprof");
	return !out->failed && make_directories((char *)out->data);
}

/* DIR/pprof.PROGRAM.TYPE.TYPE.001.pb.gz, the first number that is free. */
static int create_file(const struct cprof_profile *p, struct cprof_buffer *path)
{
	cprof_buffer_puts(path, "/pprof.");
	if (p->n_mappings && p->mappings[0].filename)
		cprof_buffer_printf(
			path, "%s.",
			cprof_path_base(cprof_profile_text(p, p->mappings[0].filename)));
	for (uint32_t i = 0; i < p->n_types && i < 8; i++) {
		for (const char *at = cprof_profile_text(p, p->types[i].type); *at; at++)
			cprof_buffer_putc(path, *at == '/' ? '_' : *at);
		cprof_buffer_putc(path, '.');
	}
	size_t prefix = path->len;
	for (int i = 1; i < 10000; i++) {
		path->len = prefix;
		cprof_buffer_printf(path, "%03d.pb.gz", i);
		int fd = path->failed ? -1
				      : open(cprof_buffer_text(path),
					     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

static bool write_all(int fd, const uint8_t *bytes, size_t n)
{
	while (n) {
		ssize_t written = write(fd, bytes, n);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return false;
		bytes += written;
		n -= (size_t)written;
	}
	return true;
}

void cprof_saved_profile_write(const struct cprof_profile *profile, const struct cprof_say *say)
{
	CPROF_AUTO(buffer) struct cprof_buffer path = { 0 }, bytes = { 0 };
	struct cprof_error *err = cprof_pprof_encode(profile, 6, &bytes);
	if (err) {
		cprof_say(say, "Could not save profile: %s", err->message);
		cprof_error_free(err);
		return;
	}
	CPROF_AUTO(close) int fd = find_directory(&path) ? create_file(profile, &path) : -1;
	if (fd < 0 || !write_all(fd, bytes.data, bytes.len))
		cprof_say(say, "Could not save profile in %s: %s", cprof_buffer_text(&path),
			  strerror(errno));
	else
		cprof_say(say, "Saved profile in %s", cprof_buffer_text(&path));
}
