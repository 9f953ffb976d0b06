/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/delivery.h"

#include <inttypes.h>
#include <string.h>

#include "attach/cli/delivery_servers.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/shell_word.h"
#include "convert/delivery/deliver.h"
#include "convert/delivery/drain.h"
#include "convert/push/push.h"

#define OLDER_NS (20 * CPROF_NS_PER_S) /* for what waited in the spool */

static const char *build_id_of(const struct cprof_profile *profile)
{
	return profile->n_mappings ? cprof_profile_text(profile, profile->mappings[0].build_id)
				   : "";
}

static struct cprof_error *check_one(const struct cprof_attach_options *options,
				     const struct cprof_push *push)
{
	struct cprof_error *err = cprof_push_check(push);
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
	CPROF_AUTO(delivery_servers) struct cprof_delivery_servers servers = { 0 };
	struct cprof_error *err = cprof_delivery_servers_init(&servers, options, auth);
	for (size_t i = 0; i < servers.len && !err; i++)
		err = check_one(options, &servers.items[i]);
	return err;
}

/* What one run sends to its servers. */
struct sending {
	const struct cprof_delivery *delivery;
	const struct cprof_delivery_facts *facts;
	struct cprof_spool *spool; /* NULL: there is none */
	struct cprof_buffer *said; /* lines */
	bool lost;                 /* something was not delivered, and does not wait in the spool */
};

static void say_line(void *ctx, const char *line)
{
	struct cprof_buffer *said = ctx;
	if (said->len)
		cprof_buffer_putc(said, '\n');
	cprof_buffer_puts(said, line);
}

/* What has waited for the same server goes after the new one, as long as that does not take long. */
static struct cprof_error *send_older(struct sending *sending, const struct cprof_push *push)
{
	struct cprof_destination destination;
	struct cprof_drain drain = { .spool = sending->spool,
				     .say = say_line,
				     .ctx = sending->said };
	const struct cprof_clockwork *clock = sending->spool->clock;
	struct cprof_error *err = cprof_destination_init(push, &destination);
	if (err)
		return err;
	uint64_t before = sending->spool->counts->delivered;
	err = cprof_drain_all(&drain, &destination, 1, clock->boot_ns(clock->ctx) + OLDER_NS);
	uint64_t older = sending->spool->counts->delivered - before;
	cprof_destination_deinit(&destination);
	if (older) {
		CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
		cprof_buffer_printf(&line, "and %" PRIu64 " that waited in the spool", older);
		say_line(sending->said, cprof_buffer_text(&line));
	}
	return err;
}

static struct cprof_error *send_now(struct sending *sending, const struct cprof_push *push)
{
	CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
	struct cprof_push_result result = { 0 };
	struct cprof_error *unkept;
	bool waits;
	struct cprof_error *err = cprof_deliver(sending->spool, push, &result, &waits, &unkept);
	if (!err)
		err = cprof_push_say_delivered(push, &result, &line);
	else if (!waits)
		sending->lost = true;
	cprof_push_result_deinit(&result);
	if (line.len)
		say_line(sending->said, cprof_buffer_text(&line));
	if (unkept)
		say_line(sending->said, unkept->message);
	cprof_error_free(unkept);
	return err || !sending->spool ? err : send_older(sending, push);
}

static struct cprof_error *push_one(struct sending *sending, const struct cprof_push *to)
{
	const struct cprof_delivery *delivery = sending->delivery;
	const struct cprof_delivery_facts *facts = sending->facts;
	const struct cprof_attach_options *options = delivery->options;
	struct cprof_push push = *to;
	push.service = options->service ? options->service : facts->service;
	push.found = (const char *const *)facts->items;
	push.n_found = facts->len;
	push.kind = options->mode;
	push.profile = delivery->profile;
	push.from_wall_ns = delivery->from_wall_ns;
	push.until_wall_ns = delivery->until_wall_ns;
	push.body = delivery->bytes->data;
	push.n_body = delivery->bytes->len;
	return options->dry_run ? cprof_push_show(&push, sending->said) : send_now(sending, &push);
}

/* Of several failures the first is the error; the others are lines. */
static struct cprof_error *note(struct cprof_error *first, struct cprof_error *next,
				struct cprof_buffer *said)
{
	if (!first || !next)
		return first ? first : next;
	say_line(said, next->message);
	cprof_error_free(next);
	return first;
}

static struct cprof_error *open_spool(const struct cprof_attach_options *options,
				      struct cprof_delivery_counts *counts,
				      struct cprof_spool *ret_spool)
{
	const struct cprof_spool_bounds bounds = { .bytes = options->spool.bytes,
						   .age_ns = options->spool.age_ns };
	bool usual = strcmp(options->spool.dir, "default") == 0;
	struct cprof_error *err = cprof_spool_open(usual ? NULL : options->spool.dir, &bounds,
						   &cprof_clockwork_real, counts, ret_spool);
	return err ? cprof_error_wrap(err, "-spool") : NULL;
}

static struct cprof_error *hint_at_spool(struct cprof_error *err, const struct cprof_spool *spool)
{
	CPROF_AUTO(buffer) struct cprof_buffer hint = { 0 };
	if (err->hint)
		cprof_buffer_printf(&hint, "%s; ", err->hint);
	cprof_buffer_puts(&hint, "the profile waits in the spool, for the next one that goes to "
				 "this server with the same -spool, or for: cprof -push-spool ");
	cprof_shell_word_put(&hint, spool->dir.path);
	return cprof_error_hint(err, "%s", cprof_buffer_text(&hint));
}

struct cprof_error *cprof_delivery_push(const struct cprof_delivery *delivery,
					struct cprof_buffer *said, bool *ret_waits)
{
	CPROF_AUTO(delivery_facts) struct cprof_delivery_facts facts = { .len = 0 };
	CPROF_AUTO(delivery_servers) struct cprof_delivery_servers servers = { 0 };
	struct cprof_delivery_counts counts = { 0 };
	struct cprof_spool spool = { .dir.fd = -1 };
	struct sending sending = { .delivery = delivery, .facts = &facts, .said = said };
	*ret_waits = false;
	struct cprof_error *err =
		cprof_delivery_servers_init(&servers, delivery->options, delivery->auth);
	if (err)
		return err;
	if (delivery->options->spool.dir && !delivery->options->dry_run) {
		struct cprof_error *unkept = open_spool(delivery->options, &counts, &spool);
		sending.spool = unkept ? NULL : &spool;
		if (unkept)
			say_line(said, unkept->message);
		cprof_error_free(unkept);
	}
	cprof_delivery_facts_find(&facts, delivery->target, build_id_of(delivery->profile),
				  delivery->options->no_context);
	for (size_t i = 0; i < servers.len; i++)
		err = note(err, push_one(&sending, &servers.items[i]), said);
	*ret_waits = err && err->code == CPROF_ERR_UNDELIVERED && !sending.lost;
	if (*ret_waits)
		err = hint_at_spool(err, &spool);
	cprof_spool_deinit(&spool);
	return err;
}
