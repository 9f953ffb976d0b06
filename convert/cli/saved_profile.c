/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/cli/saved_profile.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cache_dir.h"
#include "base/cleanup.h"
#include "base/new_file.h"
#include "base/path.h"
#include "base/place.h"
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

/* $PPROF_TMPDIR, which is the user's choice; else where only we can write. The directory is made. */
static struct cprof_error *plan_file(struct cprof_buffer *dir, struct cprof_new_file *ret_file)
{
	const char *chosen = secure_getenv("PPROF_TMPDIR");
	CPROF_AUTO(free) char *cache = cprof_cache_dir_default();
	CPROF_AUTO(close) int place = -1;
	if (chosen && *chosen)
		cprof_buffer_puts(dir, chosen);
	else if (cache)
		cprof_buffer_puts(dir, cache);
	else
		cprof_buffer_printf(dir, "/tmp/cprof.%u", (unsigned)geteuid());
	struct cprof_error *err = cprof_buffer_error(dir);
	if (!err && chosen && *chosen) {
		CPROF_AUTO(buffer) struct cprof_buffer path = { 0 };
		cprof_buffer_printf(&path, "%s/pprof", cprof_buffer_text(dir));
		err = cprof_buffer_error(&path);
		if (!err && !make_directories((char *)dir->data))
			return cprof_error_os(errno, "make %s", cprof_buffer_text(dir));
		return err ? err
			   : cprof_new_file_plan(cprof_buffer_text(&path), CPROF_NEW_FILE_NAMED,
						 ret_file);
	}
	if (!err)
		err = cprof_place_open_own_dir(cprof_buffer_text(dir), true, &place);
	return err ? err : cprof_new_file_plan_in(place, "pprof", CPROF_NEW_FILE_NAMED, ret_file);
}

/* PROGRAM.TYPE.TYPE. */
static void put_name(const struct cprof_profile *p, struct cprof_buffer *name)
{
	cprof_buffer_puts(name, "pprof.");
	if (p->n_mappings && p->mappings[0].filename)
		cprof_buffer_printf(
			name, "%.100s.",
			cprof_path_base(cprof_profile_text(p, p->mappings[0].filename)));
	for (uint32_t i = 0; i < p->n_types && i < 8; i++) {
		const char *at = cprof_profile_text(p, p->types[i].type);
		for (size_t n = 0; n < 15 && at[n]; n++)
			cprof_buffer_putc(name, at[n] == '/' ? '_' : at[n]);
		cprof_buffer_putc(name, '.');
	}
}

/* pprof.PROGRAM.TYPE.TYPE.001.pb.gz, the first number that is free; `name` is then what it is called. */
static struct cprof_error *give_name(const struct cprof_profile *p, struct cprof_new_file *file,
				     struct cprof_buffer *name)
{
	put_name(p, name);
	struct cprof_error *err = cprof_buffer_error(name);
	size_t prefix = name->len;
	for (int i = 1; i < 10000 && !err; i++) {
		name->len = prefix;
		cprof_buffer_printf(name, "%03d.pb.gz", i);
		err = cprof_buffer_error(name);
		if (!err)
			err = cprof_new_file_finish(file, cprof_buffer_text(name));
		if (!err || err->os_errno != EEXIST)
			return err;
		cprof_error_free(err);
		err = NULL;
	}
	return err ? err : cprof_error_os(EEXIST, "all numbers are taken");
}

static struct cprof_error *save(const struct cprof_profile *profile, struct cprof_buffer *dir,
				struct cprof_buffer *name)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_new_file file = { 0 };
	struct cprof_error *err = cprof_pprof_encode(profile, 6, &bytes);
	if (!err)
		err = plan_file(dir, &file);
	if (!err)
		err = cprof_new_file_create(&file, NULL);
	if (!err)
		err = cprof_new_file_put(&file, bytes.data, bytes.len, NULL);
	if (!err)
		err = give_name(profile, &file, name);
	cprof_new_file_deinit(&file);
	return err;
}

void cprof_saved_profile_write(const struct cprof_profile *profile, const struct cprof_say *say)
{
	CPROF_AUTO(buffer) struct cprof_buffer dir = { 0 }, name = { 0 };
	struct cprof_error *err = save(profile, &dir, &name);
	if (err)
		cprof_say(say, "Could not save profile in %s: %s", cprof_buffer_text(&dir),
			  err->message);
	else
		cprof_say(say, "Saved profile in %s/%s", cprof_buffer_text(&dir),
			  cprof_buffer_text(&name));
	cprof_error_free(err);
}
