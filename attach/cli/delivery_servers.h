/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/delivery_servers.h - the collectors that the command line names, and what each is told about a process besides its profiles.
 */
#ifndef CPROF_ATTACH_CLI_DELIVERY_SERVERS_H
#define CPROF_ATTACH_CLI_DELIVERY_SERVERS_H

#include <stddef.h>

#include "attach/cli/cli_options.h"
#include "attach/target/target.h"
#include "convert/push/push.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

/* One push for each server, without a profile, a service and facts; what they point to is the options' or `secrets`'. */
struct cprof_delivery_servers {
	struct cprof_push *items; /* owned */
	struct cprof_buffer
		*secrets; /* owned, and each: what is logged in with there, of the environment */
	struct cprof_tls *tls; /* owned; of each */
	size_t len;
};

/* `options` and `auth` (NULL: what the environment has for each vendor) are borrowed. Errors: NO_MEMORY. */
struct cprof_error *cprof_delivery_servers_init(struct cprof_delivery_servers *servers,
						const struct cprof_attach_options *options,
						const char *auth);
void cprof_delivery_servers_deinit(struct cprof_delivery_servers *servers);
static inline void cprof_auto_delivery_servers(struct cprof_delivery_servers *servers)
{
	cprof_delivery_servers_deinit(servers);
}

#define CPROF_DELIVERY_FACTS_MAX 64

/* "key=value" texts, for cprof_push.found. */
struct cprof_delivery_facts {
	char *items[CPROF_DELIVERY_FACTS_MAX]; /* owned */
	size_t len;
	char service
		[128]; /* what it calls itself (OpenTelemetry's process context), else the process's name */
};

/* Host, process, version (`build_id`, "" for none), container, and labels of the environment. What cannot be told is left out. `no_context`: what it says of itself is not looked at. */
void cprof_delivery_facts_find(struct cprof_delivery_facts *facts,
			       const struct cprof_target *target, const char *build_id,
			       bool no_context);
void cprof_delivery_facts_deinit(struct cprof_delivery_facts *facts);
static inline void cprof_auto_delivery_facts(struct cprof_delivery_facts *facts)
{
	cprof_delivery_facts_deinit(facts);
}

#endif
