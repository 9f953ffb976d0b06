/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/delivery.h - a finished profile to the collectors that the command line names.
 *
 * Owns what a collector is told about the process besides the profile (host, container, version), and what becomes of several
 * collectors when one of them does not answer. How a profile gets to one of them is convert/push/.
 */
#ifndef CPROF_ATTACH_CLI_DELIVERY_H
#define CPROF_ATTACH_CLI_DELIVERY_H

#include "attach/cli/cli_options.h"
#include "attach/target/target.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

struct cprof_delivery {
	const struct cprof_attach_options *options;
	const struct cprof_target *target; /* the first one; the labels are of it */
	const char *auth;                  /* NULL: nothing to log in with */
	const struct cprof_profile *profile;
	const struct cprof_buffer *bytes; /* the same, gzip pprof */
	uint64_t from_wall_ns, until_wall_ns;
};

/* Before anything is sampled: can all be pushed to? USAGE, UNSUPPORTED. */
struct cprof_error *cprof_delivery_check(const struct cprof_attach_options *options,
					 const char *auth);

/*
 * To one after the other, all of them. `said` gets a line for each that took it, or with dry_run what would be sent. Errors: UNDELIVERED for
 * the first that did not; those after it were tried nevertheless, and what went wrong with them is in `said`. *ret_waits: all that
 * was not delivered waits in the spool (-spool), and the error's hint says how it is sent later.
 */
struct cprof_error *cprof_delivery_push(const struct cprof_delivery *delivery,
					struct cprof_buffer *said, bool *ret_waits);

#endif
