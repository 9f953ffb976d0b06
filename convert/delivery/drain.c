/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/delivery/drain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "convert/push/backoff.h"
#include "convert/push/push_backend.h"
#include "convert/push/push_url.h"
#include "cprof/pprof_read.h"

#define RETRY_AFTER_MAX_NS (300 * CPROF_NS_PER_S)
#define OTHERS_TURN_NS     (5 * CPROF_NS_PER_S)
#define SUSPECT_FAILURES   5
#define LOOK_EVERY_NS      (10 * CPROF_NS_PER_S)
#define HELD_FAILURES      8 /* as after so many: up to the longest wait */
#define AHEAD_NS           (600 * CPROF_NS_PER_S)

/* ---- a destination ---- */

struct cprof_error *cprof_destination_init(const struct cprof_push *to,
					   struct cprof_destination *ret_destination)
{
	struct cprof_destination destination = { .to = *to, .turn = -1 };
	struct cprof_error *err = cprof_spool_server_of(to, &destination.server);
	if (!err)
		*ret_destination = destination;
	return err;
}

void cprof_destination_deinit(struct cprof_destination *destination)
{
	cprof_auto_close(&destination->turn);
	destination->turn = -1;
	free(destination->said);
	destination->said = NULL;
	cprof_state_files_deinit(&destination->arrived);
	cprof_state_files_deinit(&destination->queue.files);
}

static uint64_t now_ns(const struct cprof_drain *drain)
{
	const struct cprof_clockwork *clock = drain->spool->clock;
	return clock->boot_ns(clock->ctx);
}

/* ---- words ---- */

static void say(struct cprof_drain *drain, const char *line)
{
	if (drain->say)
		drain->say(drain->ctx, line);
}

/* Once, until it is another trouble or none. */
static void say_trouble(struct cprof_drain *drain, struct cprof_destination *destination,
			const struct cprof_error *problem)
{
	if (!problem || (destination->said && strcmp(destination->said, problem->message) == 0))
		return;
	free(destination->said);
	destination->said = strdup(problem->message);
	CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
	cprof_buffer_puts(&line, problem->message);
	if (problem->hint)
		cprof_buffer_printf(&line, "; %s", problem->hint);
	say(drain, cprof_buffer_text(&line));
}

static void say_well(struct cprof_drain *drain, struct cprof_destination *destination,
		     const struct cprof_push *push, const struct cprof_push_result *result)
{
	CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
	if (!destination->said)
		return;
	free(destination->said);
	destination->said = NULL;
	cprof_buffer_puts(&line, "the server is back: ");
	cprof_error_free(cprof_push_say_delivered(push, result, &line));
	say(drain, cprof_buffer_text(&line));
}

/* ---- whose turn ---- */

/* The lock of a server's queue, so that it is drained in order. Where none can be made (a disk that is read only) it goes without. */
static bool take_turn(struct cprof_drain *drain, struct cprof_destination *destination)
{
	char name[40];
	if (destination->turn >= 0)
		return true;
	snprintf(name, sizeof(name), "%016" PRIx64 ".lock", destination->server);
	struct cprof_error *err =
		cprof_state_dir_put(&drain->spool->dir, name, "", 0, &destination->turn);
	bool there = err && err->code == CPROF_ERR_EXISTS;
	if (!err)
		return true;
	cprof_error_free(err);
	destination->turn = there ? cprof_state_dir_claim(&drain->spool->dir, name) : -1;
	return destination->turn >= 0 || !there || errno != EWOULDBLOCK;
}

static void end_turn(struct cprof_destination *destination)
{
	cprof_auto_close(&destination->turn);
	destination->turn = -1;
}

/* ---- which ---- */

static bool has_arrived(const struct cprof_destination *destination, const char *name)
{
	for (size_t i = 0; i < destination->arrived.len; i++) {
		if (strcmp(destination->arrived.items[i].name, name) == 0)
			return true;
	}
	return false;
}

static bool is_suspect(const struct cprof_destination *destination, const char *name)
{
	return destination->suspect.failures >= SUSPECT_FAILURES &&
	       strcmp(destination->suspect.name, name) == 0;
}

static bool is_wanted(const struct cprof_destination *destination, const char *name)
{
	return cprof_spool_is_for(name, destination->server) && !has_arrived(destination, name);
}

/* In hand: the file, and what is in it. */
struct in_hand {
	struct cprof_spool_ticket ticket;
	struct cprof_buffer bytes;
	struct cprof_spool_entry entry;
	bool taken;
};

/* Looks at the directory where all that was seen is gone, and now and then: a long queue is not to be read for each of its profiles. */
static struct cprof_error *look(struct cprof_drain *drain, struct cprof_destination *destination)
{
	const uint64_t now = now_ns(drain);
	if (destination->queue.first < destination->queue.files.len &&
	    now - destination->queue.then_boot_ns < LOOK_EVERY_NS)
		return NULL;
	destination->queue.files.len = destination->queue.first = 0;
	destination->queue.then_boot_ns = now;
	return cprof_spool_list(drain->spool, &destination->queue.files);
}

static struct cprof_error *take(struct cprof_drain *drain, const char *name, struct in_hand *hand)
{
	hand->bytes.len = 0;
	return cprof_spool_take(drain->spool, name, &hand->ticket, &hand->bytes, &hand->entry,
				&hand->taken);
}

/* The first of those that were seen; one that is under suspicion gives way to the next where there is one. */
static struct cprof_error *take_seen(struct cprof_drain *drain,
				     struct cprof_destination *destination, struct in_hand *hand)
{
	const struct cprof_state_files *files = &destination->queue.files;
	struct cprof_error *err = NULL;
	const char *suspect = NULL;
	for (size_t i = destination->queue.first; i < files->len && !err && !hand->taken; i++) {
		const char *name = files->items[i].name;
		bool wanted = is_wanted(destination, name);
		if (wanted && is_suspect(destination, name) && !destination->suspect.condemned)
			suspect = name;
		else if (wanted)
			err = take(drain, name, hand);
		if (!hand->taken && !suspect && i == destination->queue.first)
			destination->queue.first++;
	}
	return suspect && !err && !hand->taken ? take(drain, suspect, hand) : err;
}

static struct cprof_error *take_next(struct cprof_drain *drain,
				     struct cprof_destination *destination, struct in_hand *hand)
{
	bool again = destination->queue.files.len > 0;
	struct cprof_error *err = look(drain, destination);
	if (!err)
		err = take_seen(drain, destination, hand);
	if (err || hand->taken || !again)
		return err;
	/* All that was seen is gone; new ones may have come. */
	destination->queue.first = destination->queue.files.len;
	err = look(drain, destination);
	return err ? err : take_seen(drain, destination, hand);
}

/* ---- what becomes of it ---- */

static void forget(struct cprof_drain *drain, struct cprof_destination *destination,
		   struct in_hand *hand)
{
	char name[sizeof(hand->ticket.name)];
	memcpy(name, hand->ticket.name, sizeof(name));
	if (strcmp(destination->suspect.name, name) == 0)
		memset(&destination->suspect, 0, sizeof(destination->suspect));
	hand->taken = false;
	if (cprof_spool_remove(drain->spool, &hand->ticket))
		return;
	struct cprof_state_files *arrived = &destination->arrived;
	if (CPROF_ARRAY_ROOM(arrived->items, arrived->len, arrived->cap, 1))
		memcpy(arrived->items[arrived->len++].name, name, sizeof(name));
}

static void drop(struct cprof_drain *drain, struct cprof_destination *destination,
		 struct in_hand *hand, enum cprof_dropped why)
{
	cprof_spool_drop(drain->spool, why);
	forget(drain, destination, hand);
}

static void wait_for(struct cprof_drain *drain, struct cprof_destination *destination,
		     unsigned failures, uint64_t retry_after_ns)
{
	destination->not_before_boot_ns =
		now_ns(drain) +
		cprof_backoff_ns(drain->spool->clock, failures, retry_after_ns, RETRY_AFTER_MAX_NS);
}

static void on_delivered(struct cprof_drain *drain, struct cprof_destination *destination,
			 struct in_hand *hand)
{
	destination->failures = 0;
	destination->not_before_boot_ns = now_ns(drain) + drain->pace_ns;
	if (destination->suspect.failures >= SUSPECT_FAILURES)
		destination->suspect.condemned = true;
	atomic_fetch_add_explicit(&drain->spool->counts->delivered, 1, memory_order_relaxed);
	forget(drain, destination, hand);
}

/* Whether it is this profile that the server cannot bear. */
static bool is_at_fault(struct cprof_destination *destination, const struct in_hand *hand,
			const struct cprof_push_result *result)
{
	if (result->status != 500)
		return false;
	if (strcmp(destination->suspect.name, hand->ticket.name) == 0) {
		destination->suspect.failures++;
		return destination->suspect.condemned;
	}
	if (destination->suspect.failures < SUSPECT_FAILURES) {
		memcpy(destination->suspect.name, hand->ticket.name, sizeof(hand->ticket.name));
		destination->suspect.failures = 1;
		destination->suspect.condemned = false;
	}
	return false;
}

static void on_failed(struct cprof_drain *drain, struct cprof_destination *destination,
		      struct in_hand *hand, const struct cprof_push_result *result)
{
	say_trouble(drain, destination, result->problem);
	if (result->verdict == CPROF_PUSH_REFUSED || is_at_fault(destination, hand, result)) {
		destination->failures = 0;
		drop(drain, destination, hand, CPROF_DROPPED_REFUSED);
		return;
	}
	atomic_fetch_add_explicit(&drain->spool->counts->failed_tries, 1, memory_order_relaxed);
	destination->failures++;
	bool held = result->verdict == CPROF_PUSH_HELD && destination->failures < HELD_FAILURES;
	wait_for(drain, destination, held ? HELD_FAILURES : destination->failures,
		 result->retry_after_ns);
	cprof_spool_release(&hand->ticket);
	hand->taken = false;
}

/* ---- send ---- */

struct marking {
	struct cprof_destination *destination;
	const struct in_hand *hand;
};

static void mark(void *ctx, uint32_t done, uint32_t n)
{
	struct marking *marking = ctx;
	struct cprof_destination *destination = marking->destination;
	struct cprof_error *err = cprof_spool_entry_mark(marking->hand->ticket.fd, done, n);
	if (!err)
		return;
	cprof_error_free(err);
	memcpy(destination->partly.name, marking->hand->ticket.name,
	       sizeof(destination->partly.name));
	destination->partly.parts_done = done;
	destination->partly.n_parts = n;
}

static struct cprof_push push_of(const struct cprof_drain *drain,
				 const struct cprof_destination *destination,
				 const struct cprof_spool_entry *entry,
				 const struct cprof_profile *profile)
{
	struct cprof_push push = destination->to;
	push.service = entry->service;
	push.labels = entry->labels.items;
	push.n_labels = entry->labels.len;
	push.found = entry->found.items;
	push.n_found = entry->found.len;
	push.kind = entry->kind;
	push.profile = profile;
	push.from_wall_ns = entry->from_wall_ns;
	push.until_wall_ns = entry->until_wall_ns;
	push.body = entry->body;
	push.n_body = entry->n_body;
	push.shift_ns = cprof_spool_shift_ns(drain->spool, entry);
	if (drain->override_time)
		push.shift_ns = (int64_t)(drain->spool->clock->wall_ns(drain->spool->clock->ctx) -
					  entry->until_wall_ns);
	return push;
}

/* Older, or more ahead of the time, than its server takes. */
static bool is_too_old(const struct cprof_drain *drain, const struct cprof_push *push)
{
	const struct cprof_push_backend *backend;
	CPROF_AUTO(buffer) struct cprof_buffer plain = { 0 };
	struct cprof_error *err = cprof_push_url_read(push->url, push->backend, &backend, &plain);
	bool known = !err && backend->max_age_ns;
	cprof_error_free(err);
	if (!known)
		return false;
	int64_t age_ns = (int64_t)(drain->spool->clock->wall_ns(drain->spool->clock->ctx) -
				   push->until_wall_ns) -
			 push->shift_ns;
	return age_ns > (int64_t)backend->max_age_ns || age_ns < -(int64_t)AHEAD_NS;
}

static void resume(const struct cprof_destination *destination, const struct in_hand *hand,
		   struct cprof_push_result *result)
{
	bool partly = strcmp(destination->partly.name, hand->ticket.name) == 0;
	result->parts_done = partly ? destination->partly.parts_done : hand->entry.parts_done;
	result->n_parts = partly ? destination->partly.n_parts : hand->entry.n_parts;
}

static struct cprof_error *send(struct cprof_drain *drain, struct cprof_destination *destination,
				struct in_hand *hand, const struct cprof_profile *profile)
{
	const struct cprof_push push = push_of(drain, destination, &hand->entry, profile);
	struct cprof_push_result result = { 0 };
	struct marking marking = { .destination = destination, .hand = hand };
	if (is_too_old(drain, &push)) {
		drop(drain, destination, hand, CPROF_DROPPED_TOO_OLD);
		return NULL;
	}
	resume(destination, hand, &result);
	struct cprof_error *err = cprof_push_try(&push, &result, mark, &marking);
	if (!err && result.verdict == CPROF_PUSH_DELIVERED) {
		say_well(drain, destination, &push, &result);
		on_delivered(drain, destination, hand);
	} else if (!err) {
		on_failed(drain, destination, hand, &result);
	}
	cprof_push_result_deinit(&result);
	return err;
}

static struct cprof_error *deal_with(struct cprof_drain *drain,
				     struct cprof_destination *destination, struct in_hand *hand)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	if (cprof_spool_age_ns(drain->spool, &hand->entry) > drain->spool->bounds.age_ns) {
		drop(drain, destination, hand, CPROF_DROPPED_EXPIRED);
		return NULL;
	}
	struct cprof_error *err =
		cprof_pprof_decode(hand->entry.body, hand->entry.n_body, &profile);
	if (!err)
		return send(drain, destination, hand, profile);
	if (err->code == CPROF_ERR_NO_MEMORY)
		return err;
	cprof_error_free(err);
	drop(drain, destination, hand, CPROF_DROPPED_DAMAGED);
	return NULL;
}

/* ---- one, or all ---- */

struct cprof_error *cprof_drain_step(struct cprof_drain *drain,
				     struct cprof_destination *destination,
				     enum cprof_drained *ret_drained)
{
	*ret_drained = CPROF_DRAINED_LATER;
	if (now_ns(drain) < destination->not_before_boot_ns)
		return NULL;
	if (!take_turn(drain, destination)) {
		destination->not_before_boot_ns = now_ns(drain) + OTHERS_TURN_NS;
		*ret_drained = CPROF_DRAINED_OTHER;
		return NULL;
	}
	struct in_hand hand = { .ticket.fd = -1 };
	const unsigned before = destination->failures;
	struct cprof_error *err = take_next(drain, destination, &hand);
	*ret_drained = hand.taken ? CPROF_DRAINED_ONE : CPROF_DRAINED_NONE;
	if (!err && hand.taken)
		err = deal_with(drain, destination, &hand);
	/* Only for a try that failed now: of earlier ones nothing need be left, and then nobody is to come again for them. */
	if (!err && destination->failures > before)
		*ret_drained = CPROF_DRAINED_LATER;
	if (*ret_drained == CPROF_DRAINED_NONE)
		end_turn(destination);
	cprof_spool_release(&hand.ticket);
	cprof_buffer_deinit(&hand.bytes);
	return err;
}

struct cprof_error *cprof_drain_all(struct cprof_drain *drain,
				    struct cprof_destination *destination, unsigned tries,
				    uint64_t until_boot_ns)
{
	const struct cprof_clockwork *clock = drain->spool->clock;
	enum cprof_drained drained = CPROF_DRAINED_ONE;
	struct cprof_error *err = NULL;
	const unsigned before = destination->failures;
	while (!err && drained != CPROF_DRAINED_NONE &&
	       (destination->failures <= before || destination->failures - before < tries)) {
		uint64_t now = now_ns(drain);
		if (now >= until_boot_ns || destination->not_before_boot_ns >= until_boot_ns)
			break;
		if (destination->not_before_boot_ns > now)
			clock->sleep_ns(clock->ctx, destination->not_before_boot_ns - now);
		err = cprof_drain_step(drain, destination, &drained);
	}
	end_turn(destination);
	return err;
}
