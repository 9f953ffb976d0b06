/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/delivery_servers.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "attach/run/process_context.h"
#include "attach/target/container.h"
#include "convert/push/push_environment.h"

/* ---- servers ---- */

/* What the user gave goes before what the environment has for the vendor's own agent; `theirs` holds that. */
static const char *auth_for(const struct cprof_attach_options *options, const char *auth,
			    const char *url, struct cprof_buffer *theirs)
{
	if (!auth)
		cprof_push_environment_auth(url, options->push_backend, theirs, NULL);
	return auth ? auth : theirs->len ? cprof_buffer_text(theirs) : NULL;
}

static struct cprof_push push_to(const struct cprof_attach_options *options, const char *auth,
				 const char *url)
{
	return (struct cprof_push){
		.url = url,
		.auth = auth,
		.how_to_log_in =
			"write USER:PASSWORD or a token into a file that only you can read and "
			"name it with -push-auth, or set CPROF_PUSH_AUTH",
		.open_auth = options->insecure_auth,
		.tenant = options->push_tenant,
		.backend = options->push_backend,
		.labels = options->labels.items,
		.n_labels = options->labels.len,
	};
}

struct cprof_error *cprof_delivery_servers_init(struct cprof_delivery_servers *servers,
						const struct cprof_attach_options *options,
						const char *auth)
{
	const size_t n = options->push_urls.len;
	*servers = (struct cprof_delivery_servers){
		.items = calloc(n + 1, sizeof(*servers->items)),
		.secrets = calloc(n + 1, sizeof(*servers->secrets)),
		.tls = calloc(n + 1, sizeof(*servers->tls)),
	};
	if (!servers->items || !servers->secrets || !servers->tls) {
		cprof_delivery_servers_deinit(servers);
		return cprof_error_no_memory();
	}
	for (size_t i = 0; i < n; i++) {
		const char *url = options->push_urls.items[i];
		servers->items[i] =
			push_to(options, auth_for(options, auth, url, &servers->secrets[i]), url);
		servers->tls[i] = options->push_tls;
		cprof_push_environment_tls(url, options->push_backend, &servers->tls[i]);
		servers->items[i].tls = &servers->tls[i];
	}
	servers->len = n;
	return NULL;
}

void cprof_delivery_servers_deinit(struct cprof_delivery_servers *servers)
{
	for (size_t i = 0; i < servers->len; i++)
		cprof_buffer_deinit(&servers->secrets[i]);
	free(servers->secrets);
	free(servers->tls);
	free(servers->items);
	*servers = (struct cprof_delivery_servers){ 0 };
}

/* ---- facts ---- */

static void add_fact(struct cprof_delivery_facts *facts, const char *key, const char *value)
{
	char *fact;
	if (*value && facts->len < CPROF_DELIVERY_FACTS_MAX &&
	    asprintf(&fact, "%s=%s", key, value) >= 0)
		facts->items[facts->len++] = fact;
}

static void add_label(void *ctx, const char *name, const char *value)
{
	add_fact(ctx, name, value);
}

/* As it says now; once it has ended, as it said when we began. */
static void find_service(struct cprof_delivery_facts *facts, const struct cprof_target *target,
			 bool no_context)
{
	struct cprof_process_context context = { 0 };
	const char *service = target->service;
	if (!no_context && cprof_process_context_of(target, &context))
		service = context.service;
	snprintf(facts->service, sizeof(facts->service), "%s", *service ? service : target->comm);
}

void cprof_delivery_facts_find(struct cprof_delivery_facts *facts,
			       const struct cprof_target *target, const char *build_id,
			       bool no_context)
{
	find_service(facts, target, no_context);
	struct utsname host;
	const struct cprof_container container = cprof_container_of(target->pid);
	cprof_push_environment_labels(add_label, facts);
	if (uname(&host) == 0)
		add_fact(facts, "hostname", host.nodename);
	add_fact(facts, "process", target->comm);
	add_fact(facts, "version", build_id);
	add_fact(facts, "container_id", container.id);
	add_fact(facts, "pod_uid", container.pod);
}

void cprof_delivery_facts_deinit(struct cprof_delivery_facts *facts)
{
	for (size_t i = 0; i < facts->len; i++)
		free(facts->items[i]);
	facts->len = 0;
}
