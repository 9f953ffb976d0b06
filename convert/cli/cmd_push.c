/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/cmd_push.c - profiles that are there already, sent to a server of profiles: cprof -push URL FILE...
 *
 * Each file is a profile of its own there, at the time that it was taken. What a server takes is the matter of convert/push/.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/printable_text.h"
#include "base/secret.h"
#include "convert/cli/commands.h"
#include "convert/profile/process_comment.h"
#include "convert/push/push.h"
#include "convert/push/push_environment.h"
#include "convert/push/push_profile.h"
#include "cprof/pprof_write.h"

#define FOUND_MAX 64

/* Labels from the environment, "key=value". */
struct found {
	char *items[FOUND_MAX]; /* owned */
	size_t len;
};

static void auto_found(struct found *found)
{
	for (size_t i = 0; i < found->len; i++)
		free(found->items[i]);
}
#define cprof_auto_found auto_found

static bool wanted(const struct cprof_options *options)
{
	return options->push.url && *options->push.url;
}

static struct cprof_error *load_file(struct cprof_options *options, const char *file,
				     struct cprof_profile **ret_profile)
{
	struct cprof_strings one = { .items = &file, .len = 1 }, none = { .len = 0 };
	const struct cprof_load load = {
		.sources = &one,
		.bases = &none,
		.all_frames = true,
		.comment = "",
		.seconds = -1,
		.timeout_s = -1,
		.tls = cprof_command_tls(options),
		.say = cprof_command_say,
	};
	return cprof_load_profile(&load, ret_profile);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* What the process calls itself, or else its name, as cprof-attach pushes it. malloc'd; NULL: nobody knows. */
static char *service_of(const struct cprof_profile *profile)
{
	struct cprof_process_comment process;
	if (!cprof_process_comment_find(profile, &process))
		return NULL;
	return process.service ? strdup(process.service) : strndup(process.comm, process.n_comm);
}

static struct cprof_error *send(const struct cprof_options *options, const struct cprof_push *push,
				const char *file)
{
	CPROF_AUTO(buffer) struct cprof_buffer said = { 0 };
	if (options->push.dry_run) {
		struct cprof_error *err = cprof_push_show(push, &said);
		if (!err)
			cprof_printable_write(stdout, cprof_buffer_text(&said), said.len);
		return err;
	}
	struct cprof_push_result result = { 0 };
	struct cprof_error *err = cprof_push_send(push, &result);
	if (!err)
		err = cprof_push_say_delivered(push, &result, &said);
	cprof_push_result_deinit(&result);
	if (!err)
		cprof_printable_printf(stderr, "%s: %s\n", file, cprof_buffer_text(&said));
	return err;
}

static struct cprof_error *push_file(struct cprof_options *options, struct cprof_push *push,
				     const char *file)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_error *err = load_file(options, file, &profile);
	if (err)
		return err;
	if (options->push.override_time || !profile->time_ns)
		profile->time_ns = (int64_t)cprof_clock_wall_ns() -
				   (profile->duration_ns > 0 ? profile->duration_ns : 0);
	err = cprof_pprof_encode(profile, CPROF_PPROF_GZIP_FAST, &bytes);
	if (err)
		return err;
	CPROF_AUTO(free) char *service = service_of(profile);
	push->service = *options->push.service ? options->push.service : service;
	push->kind = cprof_push_profile_kind(profile, base_name(file));
	push->profile = profile;
	push->from_wall_ns = (uint64_t)profile->time_ns;
	push->until_wall_ns = (uint64_t)profile->time_ns + (uint64_t)profile->duration_ns;
	push->body = bytes.data;
	push->n_body = bytes.len;
	err = send(options, push, file);
	return err ? cprof_error_wrap(err, "%s", file) : NULL;
}

static void add_found(void *ctx, const char *name, const char *value)
{
	struct found *found = ctx;
	char *fact;
	if (found->len < FOUND_MAX && asprintf(&fact, "%s=%s", name, value) >= 0)
		found->items[found->len++] = fact;
}

static struct cprof_error *run(struct cprof_options *options, struct cprof_profile *profile)
{
	(void)profile;
	CPROF_AUTO(found) struct found found = { .len = 0 };
	struct cprof_tls tls = cprof_command_tls(options);
	CPROF_AUTO(free) char *auth = NULL;
	CPROF_AUTO(buffer) struct cprof_buffer url = { 0 }, theirs = { 0 };
	struct cprof_error *err =
		options->auth ? NULL : cprof_secret_read(NULL, "CPROF_PUSH_AUTH", &auth);
	if (!err)
		err = cprof_push_environment_url(options->push.url, &url);
	if (!options->auth && !auth)
		cprof_push_environment_auth(cprof_buffer_text(&url), NULL, &theirs, NULL);
	cprof_push_environment_tls(cprof_buffer_text(&url), NULL, &tls);
	struct cprof_push push = {
		.url = cprof_buffer_text(&url),
		.auth = options->auth ? options->auth
			: auth        ? auth
			: theirs.len  ? cprof_buffer_text(&theirs)
				      : NULL,
		.how_to_log_in =
			"write USER:PASSWORD or a token into a file that only you can read "
			"and name it with -auth_file, or set CPROF_PUSH_AUTH",
		.open_auth = options->push.insecure_auth,
		.tenant = options->push.tenant,
		.tls = &tls,
		.labels = options->push.labels.items,
		.n_labels = options->push.labels.len,
	};
	cprof_push_environment_labels(add_found, &found);
	push.found = (const char *const *)found.items;
	push.n_found = found.len;
	if (!err)
		err = cprof_push_check(&push);
	if (!err && !options->sources.len)
		err = cprof_error_new(CPROF_ERR_USAGE, "which files?");
	if (err && err->code == CPROF_ERR_USAGE)
		return cprof_error_wrap(err, "-push");
	for (size_t i = 0; i < options->sources.len && !err; i++)
		err = push_file(options, &push, options->sources.items[i]);
	return err;
}

const struct cprof_command cprof_command_push = { .name = "push", .wanted = wanted, .run = run };
