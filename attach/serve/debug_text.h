/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/debug_text.h - a profile as the text that Go gives for debug=1, for people and for tools that read it.
 *
 * As in Go's runtime/pprof the addresses are return addresses, one more than the profile's: who reads them takes 1 off.
 * Values are what a profile holds, unsampled; a heap's text says so ("heapprofile"), lest readers scale them once more.
 */
#ifndef CPROF_ATTACH_SERVE_DEBUG_TEXT_H
#define CPROF_ATTACH_SERVE_DEBUG_TEXT_H

#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/*
 * `kind`: "heap" (four types as in Go), "contention" or "mutex" (count and nanoseconds), or NULL: `name` and one count. The
 * heaviest stack comes first. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_debug_text_write(const struct cprof_profile *profile, const char *kind,
					   const char *name, struct cprof_buffer *out);

#endif
