/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/continuous/cut.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cprof/pprof_read.h"
#include "cprof/pprof_write.h"

struct cprof_cut_head {
	uint64_t from_wall_ns, until_wall_ns;
	char build_id[96];
};

static struct cprof_error *put(const struct cprof_profile *profile, struct cprof_buffer *out)
{
	struct cprof_cut_head head = { .from_wall_ns = profile->time_ns > 0
							       ? (uint64_t)profile->time_ns
							       : 0 };
	head.until_wall_ns =
		head.from_wall_ns + (profile->duration_ns > 0 ? (uint64_t)profile->duration_ns : 0);
	if (profile->n_mappings)
		snprintf(head.build_id, sizeof(head.build_id), "%s",
			 cprof_profile_text(profile, profile->mappings[0].build_id));
	cprof_buffer_append(out, &head, sizeof(head));
	if (!profile->n_samples)
		return cprof_buffer_error(out);
	return cprof_pprof_encode(profile, CPROF_PPROF_GZIP_FAST, out);
}

struct cprof_error *cprof_cut_make(const struct cprof_profile_form *form,
				   const struct cprof_buffer *first,
				   const struct cprof_buffer *last, struct cprof_buffer *out)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_error *err = cprof_profile_form_subtract(form, first, last, &profile);
	return err ? err : put(profile, out);
}

struct cprof_error *cprof_cut_whole(const struct cprof_buffer *file, struct cprof_buffer *out)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_error *err = cprof_pprof_decode(file->data, file->len, &profile);
	return err ? err : put(profile, out);
}

bool cprof_cut_read(const struct cprof_buffer *bytes, struct cprof_cut *ret_cut)
{
	struct cprof_cut_head head;
	if (bytes->len < sizeof(head))
		return false;
	memcpy(&head, bytes->data, sizeof(head));
	*ret_cut = (struct cprof_cut){ .from_wall_ns = head.from_wall_ns,
				       .until_wall_ns = head.until_wall_ns,
				       .file = bytes->data + sizeof(head),
				       .n_file = bytes->len - sizeof(head) };
	memcpy(ret_cut->build_id, head.build_id, sizeof(head.build_id));
	ret_cut->build_id[sizeof(ret_cut->build_id) - 1] = 0;
	return true;
}
