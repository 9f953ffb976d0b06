/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/output_split.h"

#include <stdlib.h>
#include <string.h>

#include "attach/cli/output.h"
#include "attach/cli/output_pattern.h"
#include "base/cleanup.h"
#include "cprof/hash.h"
#include "cprof/merge.h"
#include "cprof/pprof_write.h"

#define LABEL "pid"

/* Whose a sample is; 0: nobody's. */
static pid_t pid_of(const struct cprof_profile *profile, const struct cprof_sample *sample)
{
	for (uint32_t i = 0; i < sample->n_labels; i++) {
		const struct cprof_label *label = &profile->labels[sample->first_label + i];
		if (label->is_num && strcmp(cprof_profile_text(profile, label->key), LABEL) == 0)
			return (pid_t)label->num;
	}
	return 0;
}

/* The part that is `pid`'s; of the first also what is nobody's. */
static struct cprof_error *part_of(const struct cprof_profile *profile, pid_t pid, bool is_first,
				   struct cprof_profile **ret_part)
{
	CPROF_AUTO(free) bool *keep = calloc((size_t)profile->n_samples + 1, sizeof(*keep));
	struct cprof_profile *part = NULL;
	struct cprof_error *err =
		keep ? cprof_profile_copy(profile, &part) : cprof_error_no_memory();
	if (err)
		return err;
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		const pid_t owner = pid_of(profile, &profile->samples[i]);
		keep[i] = owner == pid || (is_first && !owner);
	}
	cprof_profile_keep_samples(part, keep);
	return cprof_merge(&part, 1, ret_part);
}

struct cprof_error *cprof_output_split_first(const struct cprof_profile *profile, pid_t first,
					     struct cprof_profile **ret_first)
{
	return part_of(profile, first, true, ret_first);
}

static void next_line(struct cprof_buffer *said)
{
	if (said->len)
		cprof_buffer_putc(said, '\n');
}

static struct cprof_error *write_part(const struct cprof_profile *profile, const char *pattern,
				      pid_t pid, bool force, struct cprof_buffer *said)
{
	CPROF_AUTO(profile) struct cprof_profile *part = NULL;
	CPROF_AUTO(free) char *path = cprof_output_pattern_fill(pattern, pid);
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_error *err =
		path ? part_of(profile, pid, false, &part) : cprof_error_no_memory();
	if (!err)
		err = cprof_pprof_encode(part, CPROF_PPROF_GZIP_FAST, &bytes);
	if (!err)
		err = cprof_output_put(path, force, &bytes);
	if (err)
		return err;
	next_line(said);
	cprof_buffer_printf(said, "wrote %s (%zu bytes)", path, bytes.len);
	return NULL;
}

/* Of several failures the first is the error; the others are lines. */
static struct cprof_error *note(struct cprof_error *first, struct cprof_error *next,
				struct cprof_buffer *said)
{
	if (!first || !next)
		return first ? first : next;
	next_line(said);
	cprof_buffer_printf(said, "warning: %s%s%s", next->message, next->hint ? "; " : "",
			    next->hint ? next->hint : "");
	cprof_error_free(next);
	return first;
}

struct cprof_error *cprof_output_split_write(const struct cprof_profile *profile,
					     const char *pattern, pid_t first, bool force,
					     struct cprof_error *err, struct cprof_buffer *said)
{
	struct cprof_map64 done = { 0 };
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		const pid_t pid = pid_of(profile, &profile->samples[i]);
		bool is_new = false;
		if (!pid || pid == first)
			continue;
		if (!cprof_map64_put(&done, (uint64_t)pid, &is_new)) {
			err = note(err, cprof_error_no_memory(), said);
			break;
		}
		if (is_new)
			err = note(err, write_part(profile, pattern, pid, force, said), said);
	}
	cprof_map64_deinit(&done);
	return err;
}
