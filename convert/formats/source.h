/*
 * convert/formats/source.h - bytes of unknown kind to a profile: which formats are understood, and in what order.
 *
 * Each is a const row in source.c: pprof's own, the original tool's text and binary formats, folded
 * stacks, perf script text. A row looks at the bytes and says "not mine" (no error and no profile), or
 * takes them; from then on what is wrong with them is an error.
 */
#ifndef CPROF_CONVERT_FORMATS_SOURCE_H
#define CPROF_CONVERT_FORMATS_SOURCE_H

#include "base/error.h"
#include "convert/profile/profile.h"

struct cprof_source_format {
	const char *name; /* for messages: "legacy heap profile" */
	/* `*ret_profile` stays NULL where the bytes are of another format. `bytes` ends with a zero byte. */
	struct cprof_error *(*read)(const char *bytes, size_t n,
				    struct cprof_profile **ret_profile);
};

/*
 * The profile in a file's bytes, compressed or not. Errors: CPROF_ERR_BAD_DATA with offset and reason, of the format
 * that the bytes are most likely in.
 */
struct cprof_error *cprof_source_decode(const uint8_t *bytes, size_t n,
					struct cprof_profile **ret_profile);

extern const struct cprof_source_format cprof_source_cpu, cprof_source_heap, cprof_source_count,
	cprof_source_thread, cprof_source_contention, cprof_source_java, cprof_source_perf_script,
	cprof_source_folded;

#endif
