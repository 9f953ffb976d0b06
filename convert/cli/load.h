/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/load.h - from the names on a command line to one profile: read or fetch, merge, subtract, tidy.
 */
#ifndef CPROF_CONVERT_CLI_LOAD_H
#define CPROF_CONVERT_CLI_LOAD_H

#include "base/options.h"
#include "convert/net/say.h"
#include "convert/net/source_url.h"
#include "convert/net/tls.h"
#include "cprof/error.h"
#include "cprof/profile.h"

struct cprof_load {
	const struct cprof_strings *sources; /* files and URLs, at least one */
	const struct cprof_strings *bases;   /* to be subtracted; may be empty */
	bool series;    /* of a heap: each source is a moment (convert/profile/heap_series.h) */
	bool diff_base; /* bases are marked, and percentages are of them */
	bool normalize;
	bool keep_notes; /* what is told about the reading of a file also stays in the profile's comments */
	bool all_frames; /* keep what the profile says to drop (allocator internals) */
	const char *program,
		*build_id; /* override the first mapping's; the id only where it has none; NULL: as in the profile */
	const char *comment;        /* added; NULL: none */
	int64_t seconds, timeout_s; /* for URLs; -1: not given */
	struct cprof_tls tls;       /* for https */

	/*
	 * Names for the addresses of a profile that came from a URL, before it is merged with others: the same address
	 * may be something else in the next process. May be NULL.
	 */
	struct cprof_error *(*add_names)(void *ctx, const struct cprof_source_url *url,
					 struct cprof_profile *profile);
	void *ctx; /* for add_names */

	struct cprof_say say; /* progress, what was skipped and why */
};

/*
 * Sources that cannot be had are said and left out, as long as one remains. What came from a URL is saved in
 * $PPROF_TMPDIR or the cache directory, so that it can be looked at again.
 */
struct cprof_error *cprof_load_profile(const struct cprof_load *load,
				       struct cprof_profile **ret_profile);

/*
 * Drop the frames that the profile says are of no interest, as cprof_load_profile() does; once more when frames got
 * their names after that. What is wrong with the profile's expressions is told to `say`, NULL: nobody.
 */
struct cprof_error *cprof_load_drop_frames(struct cprof_profile *profile,
					   const struct cprof_say *say);

#endif
