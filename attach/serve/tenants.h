/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/tenants.h - all processes that are served, as they come and go.
 *
 * Who comes is attach/targets/target_set.h's to say. One that has ended is kept for a while, so that whoever asks for it is told so; of
 * these there are never more than CPROF_TENANTS_ENDED.
 */
#ifndef CPROF_ATTACH_SERVE_TENANTS_H
#define CPROF_ATTACH_SERVE_TENANTS_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/serve/tenant.h"
#include "attach/targets/target_set.h"
#include "cprof/error.h"

#define CPROF_TENANTS_ENDED      64
#define CPROF_TENANTS_RECORDINGS 256 /* at once, of all of them: each is a process of ours */

struct cprof_tenants {
	const struct cprof_tenant_options *options; /* borrowed */
	const struct cprof_target_rules *rules;     /* borrowed */
	struct cprof_tenant **all;                  /* owned; in the order in which they came */
	size_t n, cap;
	struct cprof_target_set *set; /* owned */
	struct cprof_tenant_shared shared;
	bool opened, stream_told;
};

/* Errors: those of cprof_target_set_open(); then nothing is left open. It must stay where it is. */
struct cprof_error *cprof_tenants_open(struct cprof_tenants *tenants,
				       const struct cprof_target_rules *rules,
				       const struct cprof_tenant_options *options);

/* Asks all recordings to end. */
void cprof_tenants_close(struct cprof_tenants *tenants);

/* At most how many descriptors there are to poll for now. They are appended at n. And when to look at them again at the latest. */
size_t cprof_tenants_fds(const struct cprof_tenants *tenants);
size_t cprof_tenants_poll(const struct cprof_tenants *tenants, struct pollfd *fds, size_t n);
uint64_t cprof_tenants_due_mono_ns(const struct cprof_tenants *tenants);

/* Notice who has come, who has gone, and which recordings have ended. */
void cprof_tenants_run(struct cprof_tenants *tenants, uint64_t mono_ns);

/* Other rules, or the same once more. */
void cprof_tenants_again(struct cprof_tenants *tenants, const struct cprof_target_rules *rules);

/* The one with this id, the living before those that have ended. 0: the only one that lives; or, where none does, the last. NULL: none, or several. */
struct cprof_tenant *cprof_tenants_find(const struct cprof_tenants *tenants, pid_t pid);
size_t cprof_tenants_alive(const struct cprof_tenants *tenants);

#endif
