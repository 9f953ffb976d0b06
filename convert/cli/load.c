/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/cli/load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/secret.h"
#include "convert/cli/saved_profile.h"
#include "convert/formats/input_format.h"
#include "convert/net/fetch.h"
#include "convert/profile/heap_series.h"
#include "convert/profile/inflate.h"
#include "convert/report/filter_leaf.h"
#include "cprof/merge.h"
#include "cprof/profile_scale.h"

#define READ_BYTES   (1u << 20)
#define FILE_BYTES   ((size_t)4 << 30)
#define DEVICE_BYTES ((size_t)64 << 20)
#define BATCH        16 /* profiles held at once before they are merged */

/* More is no profile; a device such as /dev/zero may have no end. */
static size_t most_bytes(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) ? DEVICE_BYTES : FILE_BYTES;
}

/* The bytes of a file; "-" is stdin. Appended to `out`. */
static struct cprof_error *read_file(const char *path, struct cprof_buffer *out)
{
	const bool is_stdin = strcmp(path, "-") == 0;
	CPROF_AUTO(close)
	int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
			  : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cprof_error_os(errno, "open %s", path);
	struct stat st;
	if (!is_stdin && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return cprof_error_os(EISDIR, "read %s", path);
	const size_t most = most_bytes(fd);
	for (;;) {
		uint8_t *room = cprof_buffer_reserve(out, READ_BYTES);
		if (!room)
			return cprof_error_no_memory();
		ssize_t got = read(fd, room, READ_BYTES);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cprof_error_os(errno, "read %s", path);
		out->len += (size_t)got;
		out->data[out->len] = 0;
		if (got == 0)
			return NULL;
		if (out->len > most)
			return cprof_error_new(CPROF_ERR_BAD_DATA,
					       "more than %zu MB; no profile is that large",
					       most >> 20);
	}
}

/* What the command line knows of the program. A profile without mappings gets one to hang that on. */
static struct cprof_error *override_program(const struct cprof_load *load, struct cprof_profile *p)
{
	struct cprof_error *err = NULL;
	if (!p->n_mappings) {
		err = cprof_profile_add_mapping(p, &(struct cprof_mapping){ 0 }, NULL);
		for (uint32_t i = 0; !err && i < p->n_locations; i++)
			p->locations[i].mapping = 1;
	}
	if (!err && load->program)
		err = cprof_profile_string(p, load->program, &p->mappings[0].filename);
	/* As in pprof: an id that the profile has is right. */
	if (!err && load->build_id && !p->mappings[0].build_id)
		err = cprof_profile_string(p, load->build_id, &p->mappings[0].build_id);
	return err;
}

/* Decompress in place, so that a large file is not held twice while it is read. */
static struct cprof_error *unpack(struct cprof_buffer *bytes)
{
	if (!cprof_inflate_is_gzip(bytes->data, bytes->len))
		return NULL;
	struct cprof_buffer plain = { 0 };
	struct cprof_error *err = cprof_inflate(bytes->data, bytes->len, &plain);
	cprof_buffer_deinit(bytes);
	*bytes = plain;
	return err;
}

/* Why a URL could not be had, and which option may help. */
static struct cprof_error *take_error(struct cprof_fetch *fetch)
{
	struct cprof_error *err = cprof_take_ptr(&fetch->err);
	if (err && fetch->trouble == CPROF_FETCH_TIMED_OUT)
		err = cprof_error_hint(err, "-timeout N waits longer; now it was %" PRId64 " s",
				       fetch->url.timeout_s);
	if (err && fetch->trouble == CPROF_FETCH_NOT_LET_IN)
		err = cprof_error_hint(
			err, "write USER:PASSWORD or a token into a file that only you can "
			     "read and name it with -auth_file, or set CPROF_HTTP_AUTH");
	if (err && fetch->trouble == CPROF_FETCH_UNTRUSTED)
		err = cprof_error_hint(err, "-tls_ca FILE names a certificate to trust; "
					    "https+insecure:// trusts anyone");
	return err;
}

static struct cprof_error *name_source(struct cprof_error *err, const char *name, bool is_url)
{
	CPROF_AUTO(buffer) struct cprof_buffer shown = { 0 };
	if (is_url)
		cprof_secret_put_url(name, &shown);
	return cprof_error_wrap(err, "%s", is_url ? cprof_buffer_text(&shown) : name);
}

/* What was left out of a file, or chosen in it, is told once, when it is read. */
static void say_notes(const struct cprof_load *load, const char *name, bool is_url,
		      struct cprof_profile *profile, uint32_t n_notes)
{
	CPROF_AUTO(buffer) struct cprof_buffer shown = { 0 };
	if (is_url)
		cprof_secret_put_url(name, &shown);
	for (uint32_t i = 0; i < n_notes; i++)
		cprof_say(&load->say, "%s: %s", is_url ? cprof_buffer_text(&shown) : name,
			  cprof_profile_text(profile, profile->comments[i]));
	if (!load->keep_notes) /* or reports would tell it once more */
		profile->n_comments -= n_notes;
}

/* The profile in `fetch`, or where that is no URL, in the file `name`. */
static struct cprof_error *load_one(const struct cprof_load *load, const char *name,
				    struct cprof_fetch *fetch, struct cprof_profile **ret_profile)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	uint32_t n_notes = 0;
	struct cprof_error *err = fetch->is_url ? take_error(fetch) : read_file(name, &bytes);
	if (fetch->is_url) {
		bytes = fetch->bytes;
		fetch->bytes = (struct cprof_buffer){ 0 };
	}
	if (!err)
		err = unpack(&bytes);
	if (!err)
		err = cprof_input_read(bytes.data ? bytes.data : (const uint8_t *)"", bytes.len,
				       &n_notes, &profile);
	if (!err)
		say_notes(load, name, fetch->is_url, profile, n_notes);
	if (!err)
		err = override_program(load, profile);
	if (!err && fetch->is_url && !fetch->query.backend && load->add_names)
		err = load->add_names(load->ctx, &fetch->url, profile);
	if (err)
		return name_source(err, name, fetch->is_url);
	*ret_profile = cprof_take_ptr(&profile);
	return NULL;
}

static void free_all(struct cprof_profile **profiles, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cprof_profile_free(profiles[i]);
}

/* Two profiles of one moment would be taken for one that holds twice as much. */
static struct cprof_error *make_moment(const char *name, struct cprof_map64 *moments,
				       struct cprof_profile **profile)
{
	int64_t ms;
	bool new;
	struct cprof_error *err = cprof_heap_series_moment(profile, &ms);
	if (!err && !cprof_map64_put(moments, (uint64_t)ms, &new))
		err = cprof_error_no_memory();
	if (!err && !new)
		err = cprof_error_new(CPROF_ERR_BAD_DATA,
				      "it ends at the same moment as one before it");
	return err ? cprof_error_wrap(err, "%s as one of a series", name) : NULL;
}

/* Each source by itself, before it is merged. */
static struct cprof_error *load_next(const struct cprof_load *load, const char *name,
				     struct cprof_fetch *fetch, struct cprof_map64 *moments,
				     struct cprof_profile **ret_profile)
{
	struct cprof_error *err = load_one(load, name, fetch, ret_profile);
	if (err || !load->series)
		return err;
	err = make_moment(name, moments, ret_profile);
	if (err) {
		cprof_profile_free(*ret_profile);
		*ret_profile = NULL;
	}
	return err;
}

/* All of one list merged into one. `what` is "source" or "base". */
static struct cprof_error *merge_list(const struct cprof_load *load,
				      const struct cprof_strings *names, const char *what,
				      struct cprof_fetch *fetches, struct cprof_map64 *moments,
				      struct cprof_profile **ret_profile)
{
	struct cprof_profile *batch[BATCH + 1] = { NULL };
	size_t n = 0, loaded = 0;
	for (size_t i = 0; i < names->len; i++) {
		struct cprof_error *err =
			load_next(load, names->items[i], &fetches[i], moments, &batch[n]);
		if (err && names->len == 1)
			return err;
		if (err) {
			cprof_say(&load->say, "%s", err->message);
			cprof_error_free(err);
		} else {
			loaded++;
			n++;
		}
		if (n <= BATCH && i + 1 < names->len)
			continue;
		if (!n || names->len == 1) /* a single profile stays as it was written */
			break;
		struct cprof_profile *merged;
		err = cprof_merge(batch, n, &merged);
		if (err) {
			free_all(batch, n);
			return err;
		}
		batch[0] = merged;
		n = 1;
	}
	if (!loaded)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "failed to fetch any %s profiles", what);
	if (loaded != names->len)
		cprof_say(&load->say, "Fetched %zu %s profiles out of %zu", loaded, what,
			  names->len);
	*ret_profile = batch[0];
	return NULL;
}

static struct cprof_error *load_list(const struct cprof_load *load,
				     const struct cprof_strings *names, const char *what,
				     bool *remote, struct cprof_profile **ret_profile)
{
	struct cprof_fetch *fetches;
	const struct cprof_fetch_request request = { .names = names,
						     .seconds = load->seconds,
						     .timeout_s = load->timeout_s,
						     .tls = load->tls,
						     .say = load->say };
	struct cprof_error *err = cprof_fetch_all(&request, &fetches);
	if (err)
		return err;
	for (size_t i = 0; i < names->len; i++)
		*remote = *remote || fetches[i].is_url;
	struct cprof_map64 moments = { 0 };
	err = merge_list(load, names, what, fetches, &moments, ret_profile);
	cprof_map64_deinit(&moments);
	cprof_fetch_free(fetches, names->len);
	return err;
}

static struct cprof_error *subtract(const struct cprof_load *load, bool *remote,
				    struct cprof_profile **profile)
{
	struct cprof_profile *pair[2] = { *profile, NULL };
	struct cprof_error *err = load_list(load, load->bases, "base", remote, &pair[1]);
	if (!err && load->normalize)
		err = cprof_profile_normalize(pair[0], pair[1]);
	if (err) {
		cprof_profile_free(pair[1]);
		return err;
	}
	*profile = NULL; /* subtracting takes both */
	return cprof_merge_subtract(pair, load->diff_base, profile);
}

struct cprof_error *cprof_load_drop_frames(struct cprof_profile *profile,
					   const struct cprof_say *say)
{
	struct cprof_error *err = cprof_filter_leaf_drop(profile);
	if (!err || err->code != CPROF_ERR_USAGE)
		return err;
	/* An expression of the profile's that we cannot use is no reason to show nothing. */
	if (say)
		cprof_say(say, "%s; frames are not dropped", err->message);
	cprof_error_free(err);
	return NULL;
}

static struct cprof_error *finish(const struct cprof_load *load, struct cprof_profile *profile)
{
	struct cprof_error *err =
		load->all_frames ? NULL : cprof_load_drop_frames(profile, &load->say);
	if (!err && load->comment && *load->comment)
		err = cprof_profile_add_comment(profile, load->comment);
	return err;
}

struct cprof_error *cprof_load_profile(const struct cprof_load *load,
				       struct cprof_profile **ret_profile)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	bool remote = false;
	struct cprof_error *err = load_list(load, load->sources, "source", &remote, &profile);
	if (!err && load->bases->len)
		err = subtract(load, &remote, &profile);
	if (!err)
		err = finish(load, profile);
	if (!err && remote)
		cprof_saved_profile_write(profile, &load->say);
	if (!err)
		*ret_profile = cprof_take_ptr(&profile);
	return err;
}
