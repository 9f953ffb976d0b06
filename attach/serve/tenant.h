/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/tenant.h - one served process: who it is, whether it lives, and its recordings.
 */
#ifndef CPROF_ATTACH_SERVE_TENANT_H
#define CPROF_ATTACH_SERVE_TENANT_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/serve/channel.h"
#include "attach/serve/endpoint.h"
#include "attach/serve/visit.h"
#include "attach/target/target.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

/* What the server was told; borrowed. */
struct cprof_tenant_options {
	const char *modes; /* "cpu,heap": those that may be asked for */
	bool lazy;         /* begin to record when first asked, not at once */
	const struct cprof_mode_requests *requests;
	struct cprof_run_naming naming;
	struct cprof_thread_choice *threads; /* borrowed; as in run.h */
	struct cprof_run_request_labels request_labels;
	const char *command_line;
	void (*say)(void *ctx, const char *text); /* a line for people */
	void *say_ctx;
};

struct cprof_tenant {
	const struct cprof_tenant_options *options;
	struct cprof_target *target; /* owned */
	bool ended; /* else, where it is not served any more, it runs another program */
	struct cprof_subject subject;
	struct cprof_channels channels;
	struct cprof_visit_house house;
};

/* What all tenants have together; outlives them. */
#define CPROF_TENANT_MODES 16 /* as many as there may be */
struct cprof_tenant_shared {
	unsigned works; /* of visit.h */
	unsigned recordings, recordings_max;
	struct cprof_counts ended[CPROF_TENANT_MODES]; /* in the order of cprof_modes */
	struct cprof_subject everybody;                /* of: */
	struct cprof_channels streams;                 /* one for many, where that can be */
};

/* Takes the target. A tenant must stay where it is. Records what is recorded from the start. */
void cprof_tenant_init(struct cprof_tenant *tenant, struct cprof_target *target,
		       const struct cprof_tenant_options *options,
		       struct cprof_tenant_shared *shared);

/* Asks its recordings to end. */
void cprof_tenant_deinit(struct cprof_tenant *tenant);

/* It is served no more: it has ended, or it is not the one that was meant any more. Whoever waits for it is told. */
void cprof_tenant_went(struct cprof_tenant *tenant, bool ended);

/* What to poll for, appended at n: CPROF_TENANT_FDS at most. */
#define CPROF_TENANT_FDS CPROF_CHANNELS_MAX
size_t cprof_tenant_poll(const struct cprof_tenant *tenant, struct pollfd *fds, size_t n);

/* Notice which recordings have ended. */
void cprof_tenant_run(struct cprof_tenant *tenant, uint64_t mono_ns);

/* When that has to be at the latest; UINT64_MAX: never. */
uint64_t cprof_tenant_due_mono_ns(const struct cprof_tenant *tenant);

/* Whether a mode may be asked for. */
bool cprof_tenant_has_mode(const struct cprof_tenant *tenant, const char *mode);

/*
 * For the index: how many stacks a recording has, as of some seconds ago; how many threads there are; "off" and the like. A cprof_index_state_fn; `ctx`
 * is the tenant.
 */
void cprof_tenant_state(void *ctx, const struct cprof_endpoint *endpoint, struct cprof_buffer *out);

/* Why it is served no more; for the caller to own. */
struct cprof_error *cprof_tenant_has_ended(const struct cprof_tenant *tenant);

#endif
