/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/web/recordings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/output/json.h"
#include "convert/report/time_label.h"

static void drop(struct cprof_web_recordings *recordings, size_t at)
{
	free(recordings->at[at].name);
	cprof_profile_free(recordings->at[at].profile);
	recordings->n--;
	memmove(&recordings->at[at], &recordings->at[at + 1],
		(recordings->n - at) * sizeof(recordings->at[0]));
}

/* ---- memory ---- */

static uint64_t weigh(const struct cprof_profile *p)
{
	const struct cprof_profile_room *room = &p->room;
	uint64_t bytes = p->strings.cap * (sizeof(*p->strings.entries) + 2 * sizeof(uint64_t));
	for (uint32_t i = 0; i < p->strings.len; i++)
		bytes += p->strings.entries[i].len + 1;
	bytes += room->mappings * sizeof(*p->mappings) + room->functions * sizeof(*p->functions) +
		 room->lines * sizeof(*p->lines) + room->locations * sizeof(*p->locations) +
		 room->samples * (sizeof(*p->samples) + p->n_types * sizeof(*p->values)) +
		 room->stacks * sizeof(*p->stacks) + room->labels * sizeof(*p->labels);
	return bytes;
}

static uint64_t most_bytes(const struct cprof_web_recordings *recordings)
{
	return recordings->most_bytes ? recordings->most_bytes : CPROF_WEB_RECORDINGS_BYTES;
}

struct cprof_error *cprof_web_recordings_check(const struct cprof_web_recordings *recordings,
					       const struct cprof_profile *profile)
{
	const uint64_t bytes = weigh(profile), most = most_bytes(recordings);
	if (bytes <= most)
		return NULL;
	return cprof_error_hint(cprof_error_new(CPROF_ERR_UNSUPPORTED,
						"the profile takes %" PRIu64
						" MB of memory; %" PRIu64 " MB can be added here",
						bytes / 1000000, most / 1000000),
				"start cprof -http with it on the command line");
}

/* Room for one more: the oldest of those that came later go. */
static void make_room(struct cprof_web_recordings *recordings, uint64_t bytes)
{
	uint64_t held = 0;
	for (size_t i = recordings->n_first; i < recordings->n; i++)
		held += recordings->at[i].bytes;
	while (recordings->n > recordings->n_first && (recordings->n == CPROF_WEB_RECORDINGS_MAX ||
						       held + bytes > most_bytes(recordings))) {
		held -= recordings->at[recordings->n_first].bytes;
		drop(recordings, recordings->n_first);
	}
}

/* ---- adding ---- */

static void find_keys(struct cprof_web_recording *recording)
{
	const struct cprof_profile *p = recording->profile;
	for (uint32_t i = 0; i < p->n_labels && recording->n_keys < CPROF_WEB_KEYS_MAX; i++) {
		uint32_t at = 0;
		while (at < recording->n_keys && recording->keys[at] != p->labels[i].key)
			at++;
		if (at == recording->n_keys)
			recording->keys[recording->n_keys++] = p->labels[i].key;
	}
	recording->is_timed = cprof_time_label_find(p).key != 0;
}

struct cprof_error *cprof_web_recordings_add(struct cprof_web_recordings *recordings,
					     struct cprof_profile *profile, const char *name,
					     bool stays, unsigned *ret_number)
{
	struct cprof_error *err = stays ? NULL : cprof_web_recordings_check(recordings, profile);
	char *copy = err ? NULL : strdup(name);
	if (!copy) {
		cprof_profile_free(profile);
		return err ? err : cprof_error_no_memory();
	}
	const uint64_t bytes = weigh(profile);
	make_room(recordings, stays ? 0 : bytes);
	struct cprof_web_recording *added = &recordings->at[recordings->n++];
	*added = (struct cprof_web_recording){ .number = ++recordings->last_number,
					       .name = copy,
					       .profile = profile,
					       .bytes = bytes };
	find_keys(added);
	if (stays)
		recordings->n_first = recordings->n;
	if (ret_number)
		*ret_number = recordings->last_number;
	return NULL;
}

void cprof_web_recordings_deinit(struct cprof_web_recordings *recordings)
{
	while (recordings->n)
		drop(recordings, recordings->n - 1);
}

const struct cprof_web_recording *
cprof_web_recordings_find(const struct cprof_web_recordings *recordings, unsigned number)
{
	for (size_t i = 0; i < recordings->n; i++) {
		if (recordings->at[i].number == number)
			return &recordings->at[i];
	}
	return NULL;
}

struct cprof_profile *cprof_web_recordings_take(struct cprof_web_recordings *recordings,
						unsigned number)
{
	for (size_t i = 0; i < recordings->n; i++) {
		if (recordings->at[i].number == number)
			return cprof_take_ptr(&recordings->at[i].profile);
	}
	return NULL;
}

void cprof_web_recordings_put(const struct cprof_web_recordings *recordings, FILE *out)
{
	fputc('[', out);
	for (size_t i = 0; i < recordings->n; i++) {
		const struct cprof_web_recording *recording = &recordings->at[i];
		fprintf(out,
			"%s{\"number\":%u,\"time_ns\":%" PRId64 ",\"duration_ns\":%" PRId64
			",\"name\":",
			i ? "," : "", recording->number, recording->profile->time_ns,
			recording->profile->duration_ns);
		cprof_json_put_string(out, recording->name);
		fputc('}', out);
	}
	fputc(']', out);
}
