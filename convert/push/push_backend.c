/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/push_backend.h"

#include <string.h>

/* The first whose path it is takes a plain URL, so the one that takes all is the last. */
const struct cprof_push_backend *const cprof_push_backends[] = {
	&cprof_push_ingest,    &cprof_push_parca,         &cprof_push_parca_json,
	&cprof_push_otlp,      &cprof_push_otelcol_pprof, &cprof_push_datadog,
	&cprof_push_pyroscope, &cprof_push_raw,           NULL,
};

enum cprof_push_verdict cprof_push_judge_http(const struct cprof_push_answer *answer)
{
	if (answer->status >= 200 && answer->status < 300)
		return CPROF_PUSH_DELIVERED;
	switch (answer->status) {
	case 401:
	case 403:
	case 404:
	case 405:
	case 407:
		return CPROF_PUSH_HELD;
	case 408:
	case 425:
	case 429:
		return CPROF_PUSH_AGAIN;
	case 501:
	case 505:
		return CPROF_PUSH_REFUSED;
	default:
		return answer->status >= 500   ? CPROF_PUSH_AGAIN
		       : answer->status >= 400 ? CPROF_PUSH_REFUSED
					       : CPROF_PUSH_HELD;
	}
}

bool cprof_push_path_ends(const char *path, size_t n, const char *end)
{
	size_t n_end = strlen(end);
	while (n && path[n - 1] == '/')
		n--;
	return n >= n_end && memcmp(path + n - n_end, end, n_end) == 0;
}

void cprof_push_put_url(struct cprof_buffer *out, const char *base, const char *path)
{
	size_t n = strcspn(base, "?#"), n_query = strcspn(base + n, "#");
	size_t kept = n;
	while (kept && base[kept - 1] == '/')
		kept--;
	cprof_buffer_append(out, base, kept);
	if (!cprof_push_path_ends(base, n, path))
		cprof_buffer_puts(out, path);
	cprof_buffer_append(out, base + n, n_query);
}

const char *cprof_push_type_name(const char *kind)
{
	static const struct {
		const char *kind, *name;
	} names[] = {
		{ "cpu", "process_cpu" }, { "heap", "memory" },       { "block", "block" },
		{ "mutex", "mutex" },     { "threads", "goroutine" }, { "wall", "wall" },
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].kind, kind) == 0)
			return names[i].name;
	}
	return kind;
}
