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
	const char *
		name; /* of the process, which is looked for again when it has ended; NULL: it is not */
	const struct cprof_mode_requests *requests;
	struct cprof_run_naming naming;
	const char *command_line;
	void (*say)(void *ctx, const char *text); /* a line for people */
	void *say_ctx;
};

struct cprof_tenant {
	const struct cprof_tenant_options *options;
	struct cprof_target *target; /* borrowed, or `found` */
	struct cprof_target *found;  /* owned: one that came later; NULL: it is the first still */
	struct cprof_subject subject;
	struct cprof_channels channels;
	struct cprof_visit_house house;
	uint64_t looked_mono_ns;
};

/* `works`: the count that all tenants share. A tenant must stay where it is. Records what is recorded from the start. */
void cprof_tenant_init(struct cprof_tenant *tenant, struct cprof_target *target,
		       const struct cprof_tenant_options *options, unsigned *works);

/* Asks its recordings to end. */
void cprof_tenant_deinit(struct cprof_tenant *tenant);

/* What to poll for, appended at n: CPROF_TENANT_FDS at most. And when to look at it again at the latest. */
#define CPROF_TENANT_FDS (1 + CPROF_CHANNELS_MAX)
size_t cprof_tenant_poll(const struct cprof_tenant *tenant, struct pollfd *fds, size_t n);
uint64_t cprof_tenant_due_mono_ns(const struct cprof_tenant *tenant);

/* Notice what has ended; look for the next process of its name. */
void cprof_tenant_run(struct cprof_tenant *tenant);

/* Whether a mode may be asked for. */
bool cprof_tenant_has_mode(const struct cprof_tenant *tenant, const char *mode);

/* "recording", "off" and the like, for the index. A cprof_index_state_fn; `ctx` is the tenant. */
const char *cprof_tenant_state(void *ctx, const struct cprof_endpoint *endpoint);

/* That it has ended; for the caller to own. */
struct cprof_error *cprof_tenant_has_ended(const struct cprof_tenant *tenant);

#endif
