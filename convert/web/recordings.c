/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/web/recordings.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/output/json.h"

static void drop(struct cprof_web_recordings *recordings, size_t at)
{
	free(recordings->at[at].name);
	cprof_profile_free(recordings->at[at].profile);
	recordings->n--;
	memmove(&recordings->at[at], &recordings->at[at + 1],
		(recordings->n - at) * sizeof(recordings->at[0]));
}

struct cprof_error *cprof_web_recordings_add(struct cprof_web_recordings *recordings,
					     struct cprof_profile *profile, const char *name,
					     bool stays, unsigned *ret_number)
{
	char *copy = strdup(name);
	if (!copy) {
		cprof_profile_free(profile);
		return cprof_error_no_memory();
	}
	if (recordings->n == CPROF_WEB_RECORDINGS_MAX)
		drop(recordings, recordings->n_first);
	recordings->at[recordings->n++] = (struct cprof_web_recording){
		.number = ++recordings->last_number, .name = copy, .profile = profile
	};
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
