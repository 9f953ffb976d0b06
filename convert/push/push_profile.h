/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_profile.h - a profile as a server should have it: what it would refuse or choke on is taken out before.
 *
 * Labels of samples go but for a bounded number of those of requests (push_requests.h), because to the servers each set of them is a
 * series for ever (with the address of a lock or the id of a thread in it there is no end of them), and stacks that are the same then add up. Names of types are those that servers take,
 * text is UTF-8, a snapshot has no duration, and what is too large becomes several profiles whose sums are those of the one.
 */
#ifndef CPROF_CONVERT_PUSH_PUSH_PROFILE_H
#define CPROF_CONVERT_PUSH_PUSH_PROFILE_H

#include "convert/push/push_backend.h"
#include "convert/push/push_requests.h"
#include "cprof/error.h"
#include "cprof/profile.h"

struct cprof_push_profiles {
	struct cprof_profile **items; /* owned, and each */
	size_t len, cap;
	struct cprof_push_requests_left left;
};
void cprof_push_profiles_deinit(struct cprof_push_profiles *profiles);
static inline void cprof_auto_push_profiles(struct cprof_push_profiles *profiles)
{
	cprof_push_profiles_deinit(profiles);
}

/* Append what `profile` becomes for `backend`, at which it has `n_labels` as a whole; `profile` stays as it is. Errors: NO_MEMORY, UNSUPPORTED. */
struct cprof_error *cprof_push_profiles_make(const struct cprof_profile *profile,
					     const struct cprof_push_backend *backend,
					     size_t n_labels, struct cprof_push_profiles *profiles);

/*
 * Add the text labels that every sample has with one and the same value, but for those that tell threads, locks and processes
 * apart: they are of the profile as a whole.
 */
struct cprof_error *cprof_push_profile_labels(const struct cprof_profile *profile,
					      const struct cprof_push_grammar *grammar,
					      struct cprof_push_labels *labels);

/* "cpu", "heap", "block", "mutex", "threads", or the period's type; `file` (NULL: none) is looked at where the types do not say. */
const char *cprof_push_profile_kind(const struct cprof_profile *profile, const char *file);

#endif
