/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/saved_profile.h - the copy on disk of a profile that came from a URL, so that it can be looked at again.
 */
#ifndef CPROF_CONVERT_CLI_SAVED_PROFILE_H
#define CPROF_CONVERT_CLI_SAVED_PROFILE_H

#include "convert/net/say.h"
#include "cprof/profile.h"

/* Save it in $PPROF_TMPDIR or the cache directory, and say where. Failing is only said. */
void cprof_saved_profile_write(const struct cprof_profile *profile, const struct cprof_say *say);

#endif
