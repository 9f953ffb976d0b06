/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cmd_continuous.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/cli/choice_again.h"
#include "attach/cli/delivery.h"
#include "attach/cli/delivery_servers.h"
#include "attach/cli/interrupt.h"
#include "attach/cli/target_choice.h"
#include "attach/continuous/continuous.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/printable_text.h"
#include "base/secret.h"
#include "convert/delivery/courier.h"

#define GRACE_NS (10 * CPROF_NS_PER_S) /* for what waits when we end */

/* -http: open from the start to the end, whatever options are read meanwhile. */
struct metrics {
	struct cprof_metrics_server *server;        /* owned; NULL: there is none */
	const struct cprof_delivery_counts *counts; /* borrowed; NULL: not at the moment */
};

/* With one set of options. */
struct state {
	const struct cprof_cmd_continuous *command;
	struct metrics *metrics;                    /* borrowed */
	const struct cprof_attach_options *options; /* borrowed */
	struct cprof_target_choice choice;
	struct cprof_choice_again again;
	struct cprof_choice_reading
		*next;         /* owned; what SIGHUP has read, if all begins anew with it */
	int stop_fd, again_fd; /* borrowed */
	char *auth;            /* owned; NULL: none */
	struct cprof_delivery_servers servers;
	struct cprof_courier courier;
};

static void on_look(void *ctx)
{
	struct state *state = ctx;
	cprof_courier_look(&state->courier);
}

static void on_say(void *ctx, const char *text)
{
	const struct state *state = ctx;
	if (!state->options->quiet)
		state->command->say(state->command->ctx, text);
}

/* ---- windows ---- */

static void on_window(void *ctx, const struct cprof_target *target, const char *mode,
		      const struct cprof_cut *cut)
{
	struct state *state = ctx;
	const struct cprof_attach_options *options = state->options;
	CPROF_AUTO(delivery_facts) struct cprof_delivery_facts facts = { .len = 0 };
	cprof_delivery_facts_find(&facts, target, cut->build_id, options->no_context);
	for (size_t i = 0; i < state->servers.len; i++) {
		struct cprof_push push = state->servers.items[i];
		push.service = options->service ? options->service : facts.service;
		push.found = (const char *const *)facts.items;
		push.n_found = facts.len;
		push.kind = mode;
		push.from_wall_ns = cut->from_wall_ns;
		push.until_wall_ns = cut->until_wall_ns;
		push.body = cut->file;
		push.n_body = cut->n_file;
		cprof_courier_take(&state->courier, &push);
	}
}

/* Also in the courier's process: nothing of the parent's may be written to but stderr. */
static void on_courier_says(void *ctx, const char *line)
{
	(void)ctx;
	cprof_printable_printf(stderr, "cprof-attach: %s\n", line);
}

/* A server that does not answer may keep us at the end; who asks for /metrics is answered. */
static void on_pass(void *ctx, int ms)
{
	const struct state *state = ctx;
	struct cprof_metrics_server *server = state->metrics->server;
	struct pollfd fds[CPROF_METRICS_SERVER_FDS];
	const size_t n = cprof_metrics_server_poll(server, fds, 0);
	if (poll(fds, n, ms) >= 0)
		cprof_metrics_server_run(server, fds, n);
}

/* ---- SIGHUP ---- */

static struct cprof_error *check_again(const struct cprof_attach_options *options)
{
	if (!options->continuous.on)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "they do not mean profiles one after the other any more");
	CPROF_AUTO(free) char *auth = NULL;
	struct cprof_error *err =
		cprof_secret_read(options->push_auth_file, "CPROF_PUSH_AUTH", &auth);
	return err ? err : cprof_delivery_check(options, auth);
}

/* Who is meant may change while everything goes on; with other options all begins anew. */
static const struct cprof_target_rules *on_again(void *ctx)
{
	struct state *state = ctx;
	struct cprof_choice_reading *reading = cprof_choice_again_read(&state->again);
	if (!reading)
		return state->again.rules;
	if (cprof_choice_again_is_choice(&state->again, reading)) {
		on_say(state, "looks again for whom to profile");
		return cprof_choice_again_adopt(&state->again, reading);
	}
	on_say(state, "the options are others: begins anew");
	state->next = reading;
	return NULL;
}

/* ---- the courier ---- */

static struct cprof_error *start_courier(struct state *state)
{
	const struct cprof_attach_options *options = state->options;
	const bool usual = !options->spool.dir || strcmp(options->spool.dir, "default") == 0;
	const struct cprof_courier_plan plan = {
		.spool = usual ? NULL : options->spool.dir,
		.bounds = { .bytes = options->spool.bytes, .age_ns = options->spool.age_ns },
		.servers = state->servers.items,
		.n_servers = state->servers.len,
		.paced = true,
		.say = options->quiet ? NULL : on_courier_says,
		.pass = on_pass,
		.ctx = state,
	};
	return cprof_courier_start(&plan, &state->courier);
}

/* ---- /metrics ---- */

static void put_metrics(void *ctx, struct cprof_buffer *out)
{
	const struct metrics *metrics = ctx;
	if (metrics->counts)
		cprof_delivery_counts_put_metrics(metrics->counts, out);
}

static struct cprof_error *open_metrics(const struct cprof_cmd_continuous *command,
					struct metrics *metrics)
{
	const struct cprof_attach_options *options = command->options;
	if (!options->http)
		return NULL;
	struct cprof_error *err = cprof_metrics_server_open(options->http, options->http_token_file,
							    put_metrics, metrics, &metrics->server);
	if (err || options->quiet)
		return err;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "serving %s/metrics", cprof_metrics_server_url(metrics->server));
	command->say(command->ctx, cprof_buffer_text(&text));
	return NULL;
}

/* ---- the end ---- */

/* What was delivered, what waits, what was given up; the last is an error. */
static struct cprof_error *tell_delivery(struct state *state,
					 const struct cprof_continuous_counts *counts)
{
	const struct cprof_delivery_counts *delivery = state->courier.counts;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	uint64_t dropped = 0;
	for (size_t i = 0; i < CPROF_DROPPED_N; i++)
		dropped += delivery->dropped[i];
	CPROF_AUTO(buffer) struct cprof_buffer profiles = { 0 };
	cprof_delivery_counts_say(delivery, &profiles);
	cprof_buffer_printf(&text, "%" PRIu64 " process%s; %s", counts->targets,
			    counts->targets == 1 ? "" : "es",
			    profiles.len ? cprof_buffer_text(&profiles) : "no profiles");
	on_say(state, cprof_buffer_text(&text));
	if (dropped)
		return cprof_error_new(CPROF_ERR_UNDELIVERED, "%" PRIu64 " profiles were given up",
				       dropped);
	if (delivery->waiting)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_UNDELIVERED,
					"%" PRIu64 " profiles wait in the spool",
					(uint64_t)delivery->waiting),
			"they are sent when this is started again with the same -push and -spool");
	return NULL;
}

/* ---- the whole ---- */

static struct cprof_error *run_engine(struct state *state, struct cprof_continuous_counts *counts)
{
	const struct cprof_attach_options *options = state->options;
	const struct cprof_continuous continuous = {
		.rules = &state->choice.rules,
		.modes = options->continuous.modes,
		.every_ns = options->continuous.every_ns,
		.length_ns = options->length_ns,
		.requests = &options->requests,
		.naming = options->naming,
		.threads = options->threads,
		.request_labels = options->request_labels,
		.command_line = state->command->command_line,
		.stop_fd = state->stop_fd,
		.again_fd = state->again_fd,
		.metrics = state->metrics->server,
		.again = on_again,
		.window = on_window,
		.look = on_look,
		.say = on_say,
		.ctx = state,
	};
	return cprof_continuous_run(&continuous, counts);
}

static void init(struct state *state, const struct cprof_attach_options *options)
{
	const struct cprof_cmd_continuous *command = state->command;
	state->options = options;
	state->again = (struct cprof_choice_again){ .argc = command->argc,
						    .argv = command->argv,
						    .options = options,
						    .rules = &state->choice.rules,
						    .check = check_again,
						    .say = on_say,
						    .ctx = state };
}

static void deinit(struct state *state)
{
	cprof_delivery_servers_deinit(&state->servers);
	cprof_choice_again_deinit(&state->again);
	cprof_target_choice_deinit(&state->choice);
	free(state->auth);
}

/* The courier is begun first: it is to inherit nothing of a recording. */
static struct cprof_error *run_once(struct state *state)
{
	const struct cprof_attach_options *options = state->options;
	struct cprof_continuous_counts counts = { 0 };
	struct cprof_error *err =
		cprof_secret_read(options->push_auth_file, "CPROF_PUSH_AUTH", &state->auth);
	if (!err)
		err = cprof_delivery_check(options, state->auth);
	if (!err)
		err = cprof_target_choice_init(&state->choice, options);
	if (!err)
		err = cprof_delivery_servers_init(&state->servers, options, state->auth);
	if (!err)
		err = start_courier(state);
	if (err)
		return err;
	state->metrics->counts = state->courier.counts;
	err = run_engine(state, &counts);
	cprof_courier_finish(&state->courier, GRACE_NS);
	if (!err || counts.windows) {
		struct cprof_error *undelivered = tell_delivery(state, &counts);
		if (err)
			cprof_error_free(undelivered);
		else
			err = undelivered;
	}
	state->metrics->counts = NULL;
	cprof_courier_deinit(&state->courier);
	return err;
}

struct cprof_error *cprof_cmd_continuous(const struct cprof_cmd_continuous *command)
{
	struct cprof_choice_reading *now = NULL, *next; /* NULL: what it was started with */
	struct metrics metrics = { .server = NULL };
	int stop_fd, again_fd;
	struct cprof_error *err = cprof_interrupt_init(&stop_fd);
	if (!err)
		err = cprof_interrupt_hangups(&again_fd);
	if (!err)
		err = open_metrics(command, &metrics);
	if (err)
		return err;
	do {
		struct state state = { .command = command,
				       .metrics = &metrics,
				       .stop_fd = stop_fd,
				       .again_fd = again_fd };
		init(&state, now ? &now->options : command->options);
		cprof_error_free(err); /* what waits in the spool is delivered by what begins now */
		err = run_once(&state);
		next = state.next;
		deinit(&state);
		cprof_choice_reading_free(now);
		now = next;
	} while (next);
	cprof_metrics_server_close(metrics.server);
	return err;
}
