/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/delivery.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "attach/target/container.h"
#include "base/cleanup.h"
#include "convert/push/push.h"
#include "convert/push/push_environment.h"

#define FACTS_MAX 64

/* "key=value" texts. */
struct facts {
	char *items[FACTS_MAX]; /* owned */
	size_t len;
};

static void auto_facts(struct facts *facts)
{
	for (size_t i = 0; i < facts->len; i++)
		free(facts->items[i]);
}
#define cprof_auto_facts auto_facts

/* What cannot be told is left out. */
static void add_fact(struct facts *facts, const char *key, const char *value)
{
	char *fact;
	if (*value && facts->len < FACTS_MAX && asprintf(&fact, "%s=%s", key, value) >= 0)
		facts->items[facts->len++] = fact;
}

static void add_label(void *ctx, const char *name, const char *value)
{
	add_fact(ctx, name, value);
}

static const char *build_id_of(const struct cprof_profile *profile)
{
	return profile->n_mappings ? cprof_profile_text(profile, profile->mappings[0].build_id)
				   : "";
}

static void find_facts(const struct cprof_delivery *delivery, struct facts *facts)
{
	struct utsname host;
	const struct cprof_container container = cprof_container_of(delivery->target->pid);
	cprof_push_environment_labels(add_label, facts);
	if (uname(&host) == 0)
		add_fact(facts, "hostname", host.nodename);
	add_fact(facts, "process", delivery->target->comm);
	add_fact(facts, "version", build_id_of(delivery->profile));
	add_fact(facts, "container_id", container.id);
	add_fact(facts, "pod_uid", container.pod);
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
		.backend = options->push_backend,
		.labels = options->labels.items,
		.n_labels = options->labels.len,
	};
}

/* What the user gave goes before what the environment has for the vendor's own agent; `theirs` holds that. */
static const char *auth_for(const struct cprof_attach_options *options, const char *auth,
			    const char *url, struct cprof_buffer *theirs)
{
	if (!auth)
		cprof_push_environment_auth(url, options->push_backend, theirs, NULL);
	return auth ? auth : theirs->len ? cprof_buffer_text(theirs) : NULL;
}

static struct cprof_error *check_one(const struct cprof_attach_options *options, const char *auth,
				     const char *url)
{
	CPROF_AUTO(buffer) struct cprof_buffer theirs = { 0 };
	const struct cprof_push push = push_to(options, auth_for(options, auth, url, &theirs), url);
	struct cprof_error *err = cprof_push_check(&push);
	if (!err || err->code != CPROF_ERR_USAGE)
		return err;
	if (!err->hint)
		err = cprof_error_hint(err, "for example -push http://localhost:4040");
	return cprof_error_wrap(err,
				strcmp(options->push_backend, "auto") == 0 ? "-push" : "-push-as");
}

struct cprof_error *cprof_delivery_check(const struct cprof_attach_options *options,
					 const char *auth)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; i < options->push_urls.len && !err; i++)
		err = check_one(options, auth, options->push_urls.items[i]);
	return err;
}

static struct cprof_error *push_one(const struct cprof_delivery *delivery,
				    const struct facts *facts, const char *url,
				    struct cprof_buffer *said)
{
	bool passing;
	const struct cprof_attach_options *options = delivery->options;
	CPROF_AUTO(buffer) struct cprof_buffer theirs = { 0 };
	struct cprof_push push =
		push_to(options, auth_for(options, delivery->auth, url, &theirs), url);
	push.service = options->service ? options->service : delivery->target->comm;
	push.found = (const char *const *)facts->items;
	push.n_found = facts->len;
	push.kind = options->mode;
	push.profile = delivery->profile;
	push.from_wall_ns = delivery->from_wall_ns;
	push.until_wall_ns = delivery->until_wall_ns;
	push.body = delivery->bytes->data;
	push.n_body = delivery->bytes->len;
	if (said->len && !options->dry_run)
		cprof_buffer_putc(said, '\n');
	return options->dry_run ? cprof_push_show(&push, said)
				: cprof_push_send(&push, said, &passing);
}

/* Of several failures the first is the error; the others are lines. */
static struct cprof_error *note(struct cprof_error *first, struct cprof_error *next,
				struct cprof_buffer *said)
{
	if (!first || !next)
		return first ? first : next;
	cprof_buffer_puts(said, next->message);
	cprof_error_free(next);
	return first;
}

struct cprof_error *cprof_delivery_push(const struct cprof_delivery *delivery,
					struct cprof_buffer *said)
{
	CPROF_AUTO(facts) struct facts facts = { .len = 0 };
	struct cprof_error *err = NULL;
	find_facts(delivery, &facts);
	for (size_t i = 0; i < delivery->options->push_urls.len; i++)
		err = note(err,
			   push_one(delivery, &facts, delivery->options->push_urls.items[i], said),
			   said);
	return err;
}
