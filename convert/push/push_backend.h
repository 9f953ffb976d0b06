/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_backend.h - what differs between servers of profiles: a const struct each, one file each.
 *
 * A back end says which URLs are its own, what the server bears (limits), how one profile becomes a request, and what an
 * answer means. What is the same for all (labels made fit, splitting, the transfer, trying again) is in the files beside it.
 */
#ifndef CPROF_CONVERT_PUSH_PUSH_BACKEND_H
#define CPROF_CONVERT_PUSH_PUSH_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convert/push/push_labels.h"
#include "convert/push/push_verdict.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/* One profile on its way; everything is borrowed. */
struct cprof_push_part {
	const char *url;     /* http:// or https://, without a fragment */
	const char *kind;    /* "cpu", "heap", "block", "mutex", "threads", or a type's name */
	const char *service; /* as it was given */
	const struct cprof_push_labels *labels; /* fit for this back end */
	const struct cprof_profile *profile;
	const struct cprof_buffer *pprof; /* the same, gzip */
	uint64_t from_wall_ns, until_wall_ns;
	const char *auth; /* NULL: none */
};

struct cprof_push_request {
	struct cprof_buffer url, body;
	struct cprof_buffer headers; /* "Name: value" lines; nothing secret */
	const char *secret_header;   /* the name that `auth` goes under; NULL: the usual one */
	bool put;                    /* by PUT; else by POST */
	bool grpc;                   /* over HTTP/2, and the answer's status is in its trailers */
};

struct cprof_push_answer {
	long status;             /* of HTTP; 0: none came */
	int grpc_status;         /* as in net/grpc_head.h */
	const char *words;       /* the server's, at most 2 KiB */
	uint64_t retry_after_ns; /* 0: not said */
};

enum { CPROF_PUSH_ATTRIBUTES = 1, CPROF_PUSH_SPAN_ID = 2, CPROF_PUSH_TRACE_ID = 4 };

struct cprof_push_backend {
	const char *name;
	const char *prefix; /* of the scheme: "pyroscope" for pyroscope+http:// */
	bool grpc;          /* of the scheme as well: parca+grpc:// and not parca+http:// */
	/* Whether the path of a plain http:// URL is its own. NULL: none is. */
	bool (*serves)(const char *path, size_t n);
	const struct cprof_push_grammar *grammar; /* of labels; NULL: as they are */
	size_t max_bytes;                         /* of a plain profile; 0: no limit known */
	uint32_t max_samples;                     /* 0: no limit known */
	uint64_t max_age_ns;                      /* of a profile; 0: no limit known */
	bool as_is;     /* takes the file as it was written, with the labels of its samples */
	bool own_types; /* knows the threads of a program as "goroutine" */
	bool given_labels_only; /* has no room for what we found out about the process */
	unsigned requests;      /* CPROF_PUSH_..., which labels of requests it has a place for */
	bool labels_in_samples; /* has no other place for them */
	bool gauges_apart;      /* what is held and what is counted must not be in one profile */
	void (*make)(const struct cprof_push_part *part, struct cprof_push_request *request);
	/* NULL: cprof_push_judge_http. */
	enum cprof_push_verdict (*judge)(const struct cprof_push_answer *answer);
};

/* Ends with NULL. */
extern const struct cprof_push_backend *const cprof_push_backends[];

extern const struct cprof_push_backend cprof_push_pyroscope, cprof_push_ingest, cprof_push_parca,
	cprof_push_parca_json, cprof_push_otlp, cprof_push_otelcol_pprof, cprof_push_datadog,
	cprof_push_raw;

/*
 * 2xx is delivered; 408, 425, 429 and 5xx other than "not implemented" may pass; redirects, 401, 403, 404, 405 and 407 are about
 * who asks and where, not about the profile.
 */
enum cprof_push_verdict cprof_push_judge_http(const struct cprof_push_answer *answer);

/*
 * Append `base` with `path` in the place of the slashes at its end, or as it is where it ends in `path` already. A query is
 * kept at the end.
 */
void cprof_push_put_url(struct cprof_buffer *out, const char *base, const char *path);

/* Whether the first `n` bytes of `path` end in `end`, slashes after it left aside. */
bool cprof_push_path_ends(const char *path, size_t n, const char *end);

/* What Pyroscope and Parca call a profile of this kind: process_cpu, memory, block, mutex, ... */
const char *cprof_push_type_name(const char *kind);

#endif
