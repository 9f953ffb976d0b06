/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "convert/delivery/deliver.h"
#include "convert/delivery/drain.h"
#include "convert/push/push_backend.h"
#include "tests/unit/delivery_rig.h"
#include "tests/unit/test.h"

#define OK          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define UNAVAILABLE "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nlater"

struct said {
	unsigned n;
	char last[512];
};

static void say(void *ctx, const char *line)
{
	struct said *said = ctx;
	said->n++;
	snprintf(said->last, sizeof(said->last), "%s", line);
}

struct draining {
	struct cprof_drain drain;
	struct cprof_destination destination;
	struct said said;
};

static void drain_init(struct draining *draining, struct rig *rig, const char *url)
{
	const struct cprof_push to = { .url = url, .backend = "auto" };
	memset(draining, 0, sizeof(*draining));
	draining->drain =
		(struct cprof_drain){ .spool = &rig->spool, .say = say, .ctx = &draining->said };
	CHECK(!cprof_destination_init(&to, &draining->destination));
}

static enum cprof_drained step(struct draining *draining)
{
	enum cprof_drained drained;
	CHECK(!cprof_drain_step(&draining->drain, &draining->destination, &drained));
	return drained;
}

static void put(struct rig *rig, const char *url, unsigned number)
{
	const struct cprof_push push = rig_push(rig, url, number);
	CHECK(!cprof_spool_put(&rig->spool, &push, NULL));
}

static uint64_t waiting(struct rig *rig)
{
	struct cprof_state_files files = { 0 };
	CHECK(!cprof_spool_list(&rig->spool, &files));
	cprof_state_files_deinit(&files);
	return rig->counts.waiting;
}

/* The number of the service in the n-th request; -1: none is in it. */
static int service_in(struct rig *rig, unsigned n)
{
	int number = -1;
	pthread_mutex_lock(&rig->server.lock);
	const char *at = strstr(rig->server.requests[n], "service_name");
	/* PushRequest: the value behind its tag and length. */
	if (at)
		sscanf(at + strlen("service_name") + 2, "s%d", &number);
	pthread_mutex_unlock(&rig->server.lock);
	return number;
}

static unsigned count_in(struct rig *rig, unsigned n, const char *text)
{
	unsigned count = 0;
	pthread_mutex_lock(&rig->server.lock);
	for (const char *at = rig->server.requests[n]; (at = strstr(at, text)); at++)
		count++;
	pthread_mutex_unlock(&rig->server.lock);
	return count;
}

TEST(drain_of_a_server_that_was_away_50_minutes_loses_nothing_and_keeps_the_order)
{
	struct rig rig;
	struct draining draining;
	static const char *const away[] = { NULL }, *const back[] = { OK };
	rig_init(&rig);
	rig_serve(&rig);
	rig_answer(&rig, 1, away);
	drain_init(&draining, &rig, rig.server.url);
	for (unsigned i = 0; i < 200; i++) {
		put(&rig, rig.server.url, i);
		CHECK(step(&draining) == CPROF_DRAINED_LATER);
		rig_pass(&rig, 15);
		rig.clock_ctx.chance = i * 0x9e3779b97f4a7c15u;
		if (i ==
		    100) { /* we are killed, and start anew: there is only what is on the disk */
			cprof_destination_deinit(&draining.destination);
			rig_reopen(&rig);
			drain_init(&draining, &rig, rig.server.url);
		}
	}
	CHECK_UINT(waiting(&rig), 200);
	CHECK(draining.said.n <= 3); /* and not 100 times the same */
	unsigned tried = rig_requests(&rig);
	CHECK(tried < 150); /* at most once a window, and less often by and by */
	rig_answer(&rig, 1, back);
	rig_pass(&rig, 60);
	CHECK(!cprof_drain_all(&draining.drain, &draining.destination, 3, UINT64_MAX));
	CHECK_UINT(rig_requests(&rig), tried + 200);
	for (unsigned i = 0; i < 200; i++)
		CHECK(service_in(&rig, tried + i) == (int)i);
	CHECK_UINT(waiting(&rig), 0);
	CHECK_UINT(rig.counts.delivered, 200);
	CHECK(strstr(draining.said.last, "the server is back"));
	cprof_destination_deinit(&draining.destination);
	rig_deinit(&rig);
}

TEST(drain_drops_what_its_server_no_longer_takes_and_counts_it)
{
	struct rig rig;
	struct draining draining, raw;
	char url[128];
	static const char *const back[] = { OK };
	rig_init(&rig);
	rig_serve(&rig);
	rig_answer(&rig, 1, back);
	snprintf(url, sizeof(url), "raw+%s", rig.server.url);
	put(&rig, rig.server.url, 1);
	put(&rig, url, 2); /* has no such limit */
	rig_pass(&rig, 56 * 60);
	put(&rig, rig.server.url, 3);
	drain_init(&draining, &rig, rig.server.url);
	drain_init(&raw, &rig, url);
	CHECK(!cprof_drain_all(&draining.drain, &draining.destination, 3, UINT64_MAX));
	CHECK_UINT(rig_requests(&rig), 1);
	CHECK(service_in(&rig, 0) == 3);
	CHECK_UINT(rig.counts.dropped[CPROF_DROPPED_TOO_OLD], 1);
	CHECK(!cprof_drain_all(&raw.drain, &raw.destination, 3, UINT64_MAX));
	CHECK_UINT(rig_requests(&rig), 2);
	put(&rig, url, 4);
	rig_pass(&rig, 25 * 3600);
	CHECK(!cprof_drain_all(&raw.drain, &raw.destination, 3, UINT64_MAX));
	CHECK_UINT(rig_requests(&rig), 2);
	CHECK_UINT(rig.counts.dropped[CPROF_DROPPED_EXPIRED], 1);
	/* As if it had ended just now: that any server takes. */
	put(&rig, rig.server.url, 5);
	rig_pass(&rig, 3 * 3600);
	draining.drain.override_time = true;
	CHECK(!cprof_drain_all(&draining.drain, &draining.destination, 3, UINT64_MAX));
	CHECK_UINT(rig_requests(&rig), 3);
	cprof_destination_deinit(&draining.destination);
	cprof_destination_deinit(&raw.destination);
	rig_deinit(&rig);
}

TEST(drain_is_not_misled_by_a_clock_that_jumps)
{
	static const int64_t jumps_s[] = { 86400, -86400 };
	static const char *const back[] = { OK };
	for (unsigned i = 0; i < 2; i++) {
		struct rig rig;
		struct draining draining;
		rig_init(&rig);
		rig_serve(&rig);
		rig_answer(&rig, 1, back);
		put(&rig, rig.server.url, 7);
		rig_pass(&rig, 60);
		rig.clock_ctx.wall_ns += (uint64_t)(jumps_s[i] * (int64_t)CPROF_NS_PER_S);
		drain_init(&draining, &rig, rig.server.url);
		CHECK(!cprof_drain_all(&draining.drain, &draining.destination, 3, UINT64_MAX));
		CHECK_UINT(rig_requests(&rig), 1);
		CHECK_UINT(rig.counts.delivered, 1);
		cprof_destination_deinit(&draining.destination);
		rig_deinit(&rig);
	}
}

/* What stands behind an answer: {stays, is tried again after at least so much, is counted as refused}. */
TEST(drain_has_an_action_for_every_answer)
{
	enum { GONE, STAYS, REFUSED };
	static const struct {
		const char *prefix, *answer;
		int want;
		uint64_t wait_s; /* at least */
	} rows[] = {
		{ "", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", GONE, 0 },
		{ "", "HTTP/1.1 204 No Content\r\n\r\n", GONE, 0 },
		/* The answer is there, its body is not: asking again would count twice. */
		{ "", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf", GONE, 0 },
		{ "", "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad", REFUSED, 0 },
		{ "", "HTTP/1.1 400 Bad Request\r\nContent-Length: 99\r\n\r\nhalf", REFUSED, 0 },
		{ "", "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", REFUSED, 0 },
		{ "", "HTTP/1.1 415 Type\r\nContent-Length: 0\r\n\r\n", REFUSED, 0 },
		{ "", "HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n", REFUSED, 0 },
		{ "", "HTTP/1.1 501 No\r\nContent-Length: 0\r\n\r\n", REFUSED, 0 },
		{ "", "HTTP/1.1 301 Moved\r\nLocation: http://h/\r\nContent-Length: 0\r\n\r\n",
		  STAYS, 0 },
		{ "", "HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n", STAYS, 0 },
		{ "", "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", STAYS, 0 },
		{ "", "HTTP/1.1 404 Where\r\nContent-Length: 0\r\n\r\n", STAYS, 0 },
		{ "", "HTTP/1.1 405 How\r\nContent-Length: 0\r\n\r\n", STAYS, 0 },
		{ "", "HTTP/1.1 408 Slow\r\nContent-Length: 0\r\n\r\n", STAYS, 0 },
		{ "", "HTTP/1.1 429 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", STAYS,
		  7 },
		{ "", "HTTP/1.1 429 Busy\r\nRetry-After: 99999\r\nContent-Length: 0\r\n\r\n", STAYS,
		  300 },
		/* In nanoseconds that is 2^64 and a little. */
		{ "", "HTTP/1.1 429 Busy\r\nRetry-After: 18446744074\r\nContent-Length: 0\r\n\r\n",
		  STAYS, 300 },
		{ "",
		  "HTTP/1.1 429 Busy\r\nRetry-After: Fri, 31 Dec 2077 23:59:59 GMT\r\n"
		  "Content-Length: 0\r\n\r\n",
		  STAYS, 300 },
		{ "",
		  "HTTP/1.1 503 No\r\nRetry-After: Sat, 01 Jan 2000 00:00:00 GMT\r\n"
		  "Content-Length: 0\r\n\r\n",
		  STAYS, 0 },
		{ "",
		  "HTTP/1.1 429 Busy\r\nContent-Length: 34\r\n\r\nMaximum active series limit (1/1) .",
		  REFUSED, 0 },
		{ "", "HTTP/1.1 500 Unknown\r\nContent-Length: 0\r\n\r\n", STAYS, 0 },
		{ "", "HTTP/1.1 500 Unknown\r\nContent-Length: 14\r\n\r\nproto: bad end", REFUSED,
		  0 },
		{ "", "HTTP/1.1 502 Gateway\r\nContent-Length: 0\r\n\r\n", STAYS, 0 },
		{ "", "HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n", STAYS, 0 },
		{ "", "HTTP/1.1 504 Late\r\nContent-Length: 0\r\n\r\n", STAYS, 0 },
		{ "", NULL, STAYS, 0 },
		{ "", "what is this?\r\n\r\n", STAYS, 0 },
		{ "", "HTTP/1.1 2", STAYS, 0 },
		{ "pyroscope-ingest+",
		  "HTTP/1.1 422 No\r\nContent-Length: 12\r\n\r\nunavailable:", STAYS, 0 },
		{ "pyroscope-ingest+",
		  "HTTP/1.1 422 No\r\nContent-Length: 16\r\n\r\ninvalid_argument", REFUSED, 0 },
		{ "otlp+", "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", REFUSED, 0 },
		{ "otlp+", "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", STAYS, 0 },
		{ "otlp+", "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", STAYS, 0 },
		{ "parca+", "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", REFUSED, 0 },
		{ "datadog+", "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", STAYS, 0 },
		{ "raw+", "HTTP/1.1 409 No\r\nContent-Length: 0\r\n\r\n", REFUSED, 0 },
	};
	struct rig rig;
	rig_init(&rig);
	rig_serve(&rig);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct draining draining;
		char url[128];
		snprintf(url, sizeof(url), "%s%s", rows[i].prefix, rig.server.url);
		rig_answer(&rig, 1, &rows[i].answer);
		unsigned before = rig_requests(&rig);
		memset(&rig.counts, 0, sizeof(rig.counts));
		put(&rig, url, (unsigned)i);
		drain_init(&draining, &rig, url);
		uint64_t now_ns = rig.clock_ctx.boot_ns;
		step(&draining);
		bool stays = waiting(&rig) == 1;
		uint64_t refused = rig.counts.dropped[CPROF_DROPPED_REFUSED];
		if (stays != (rows[i].want == STAYS) || refused != (rows[i].want == REFUSED) ||
		    rig.counts.delivered != (rows[i].want == GONE))
			TEST_FAIL("%s%s: stays %d, refused %d", rows[i].prefix,
				  rows[i].answer ? rows[i].answer : "reset", stays, (int)refused);
		uint64_t waits_ns = draining.destination.not_before_boot_ns - now_ns;
		if (stays && (waits_ns < rows[i].wait_s * CPROF_NS_PER_S ||
			      waits_ns > (rows[i].wait_s + 60) * CPROF_NS_PER_S))
			TEST_FAIL("%s: waits %g s", rows[i].answer, (double)waits_ns / 1e9);
		CHECK(rows[i].want == GONE || draining.said.n == 1);
		CHECK_UINT(rig_requests(&rig), before + 1);
		/* Out of the way of the next row. */
		draining.drain.spool->bounds.age_ns = 1;
		rig_pass(&rig, 1000);
		step(&draining);
		rig.spool.bounds.age_ns = CPROF_SPOOL_AGE_NS_DEFAULT;
		cprof_destination_deinit(&draining.destination);
	}
	rig_deinit(&rig);
}

TEST(drain_does_not_send_again_the_parts_that_have_arrived)
{
	static const char *const answers[] = { OK, UNAVAILABLE }, *const back[] = { OK };
	struct rig rig;
	struct draining draining;
	rig_init(&rig);
	rig_serve(&rig);
	rig_grow(&rig, 40000); /* Pyroscope takes 16,000 samples at once */
	put(&rig, rig.server.url, 1);
	rig_answer(&rig, 2, answers);
	drain_init(&draining, &rig, rig.server.url);
	CHECK(step(&draining) == CPROF_DRAINED_LATER);
	CHECK_UINT(rig_requests(&rig), 2);
	/* We are killed; the file knows. */
	cprof_destination_deinit(&draining.destination);
	rig_reopen(&rig);
	drain_init(&draining, &rig, rig.server.url);
	rig_pass(&rig, 60);
	rig_answer(&rig, 1, back);
	CHECK(step(&draining) == CPROF_DRAINED_ONE);
	CHECK_UINT(rig_requests(&rig), 4); /* of three parts: 1, 2 failed, 2, 3 */
	CHECK_UINT(waiting(&rig), 0);
	cprof_destination_deinit(&draining.destination);
	rig_deinit(&rig);
}

TEST(drain_gets_past_a_profile_that_breaks_its_server)
{
#define BROKEN "HTTP/1.1 500 Internal\r\nContent-Length: 5\r\n\r\npanic"
	static const char *const answers[] = { BROKEN, BROKEN, BROKEN, BROKEN,
					       BROKEN, OK,     BROKEN, OK };
	struct rig rig;
	struct draining draining;
	rig_init(&rig);
	rig_serve(&rig);
	rig_answer(&rig, 8, answers);
	for (unsigned i = 0; i < 3; i++)
		put(&rig, rig.server.url, i);
	drain_init(&draining, &rig, rig.server.url);
	for (unsigned i = 0; i < 12; i++) {
		step(&draining);
		rig_pass(&rig, 61);
	}
	static const int order[] = { 0, 0, 0, 0, 0, 1, 0, 2 };
	CHECK_UINT(rig_requests(&rig), 8);
	for (unsigned i = 0; i < 8; i++)
		CHECK(service_in(&rig, i) == order[i]);
	CHECK_UINT(waiting(&rig), 0);
	CHECK_UINT(rig.counts.delivered, 2);
	CHECK_UINT(rig.counts.dropped[CPROF_DROPPED_REFUSED], 1);
	cprof_destination_deinit(&draining.destination);
	rig_deinit(&rig);
}

TEST(drain_of_one_server_is_one_processs_turn)
{
	static const char *const away[] = { UNAVAILABLE };
	struct rig rig;
	struct draining ours, theirs;
	rig_init(&rig);
	rig_serve(&rig);
	rig_answer(&rig, 1, away);
	put(&rig, rig.server.url, 1);
	drain_init(&ours, &rig, rig.server.url);
	drain_init(&theirs, &rig, rig.server.url);
	CHECK(step(&ours) == CPROF_DRAINED_LATER);
	CHECK(step(&theirs) == CPROF_DRAINED_OTHER);
	CHECK_UINT(rig_requests(&rig), 1);
	cprof_destination_deinit(&ours.destination);
	rig_pass(&rig, 10);
	CHECK(step(&theirs) == CPROF_DRAINED_LATER);
	CHECK_UINT(rig_requests(&rig), 2);
	cprof_destination_deinit(&theirs.destination);
	rig_deinit(&rig);
}

TEST(drain_is_done_where_what_failed_is_gone)
{
	static const char *const away[] = { UNAVAILABLE };
	struct rig rig;
	struct draining draining;
	rig_init(&rig);
	rig_serve(&rig);
	rig_answer(&rig, 1, away);
	put(&rig, rig.server.url, 1);
	drain_init(&draining, &rig, rig.server.url);
	CHECK(step(&draining) == CPROF_DRAINED_LATER);
	rig_pass(&rig, 25 * 3600);
	CHECK(step(&draining) == CPROF_DRAINED_ONE); /* too old by now */
	CHECK(step(&draining) == CPROF_DRAINED_NONE);
	CHECK_UINT(rig_requests(&rig), 1);
	cprof_destination_deinit(&draining.destination);
	rig_deinit(&rig);
}

TEST(drain_keeps_its_pace_when_it_catches_up)
{
	static const char *const back[] = { OK };
	struct rig rig;
	struct draining draining;
	rig_init(&rig);
	rig_serve(&rig);
	rig_answer(&rig, 1, back);
	for (unsigned i = 0; i < 5; i++)
		put(&rig, rig.server.url, i);
	drain_init(&draining, &rig, rig.server.url);
	draining.drain.pace_ns = 3 * CPROF_NS_PER_S;
	uint64_t before_ns = rig.clock_ctx.boot_ns;
	CHECK(!cprof_drain_all(&draining.drain, &draining.destination, 3, UINT64_MAX));
	CHECK_UINT(rig_requests(&rig), 5);
	CHECK(rig.clock_ctx.boot_ns - before_ns >= 12 * CPROF_NS_PER_S);
	cprof_destination_deinit(&draining.destination);
	rig_deinit(&rig);
}

TEST(drain_drops_a_file_that_is_damaged)
{
	static const char *const back[] = { OK };
	struct rig rig;
	struct draining draining;
	rig_init(&rig);
	rig_serve(&rig);
	rig_answer(&rig, 1, back);
	struct cprof_push push = rig_push(&rig, rig.server.url, 1);
	push.body = "no profile";
	push.n_body = 10;
	CHECK(!cprof_spool_put(&rig.spool, &push, NULL));
	put(&rig, rig.server.url, 2);
	struct cprof_spool_ticket ticket;
	push = rig_push(&rig, rig.server.url, 3);
	CHECK(!cprof_spool_put(&rig.spool, &push, &ticket));
	CHECK(ftruncate(ticket.fd, 100) == 0);
	cprof_spool_release(&ticket);
	drain_init(&draining, &rig, rig.server.url);
	CHECK(!cprof_drain_all(&draining.drain, &draining.destination, 3, UINT64_MAX));
	CHECK_UINT(rig_requests(&rig), 1);
	CHECK(service_in(&rig, 0) == 2);
	CHECK_UINT(rig.counts.dropped[CPROF_DROPPED_DAMAGED], 2);
	CHECK_UINT(waiting(&rig), 0);
	cprof_destination_deinit(&draining.destination);
	rig_deinit(&rig);
}

TEST(deliver_keeps_what_was_not_taken_and_nothing_else)
{
	static const struct {
		const char *answer;
		bool waits, delivered;
	} rows[] = { { OK, false, true },
		     { UNAVAILABLE, true, false },
		     { "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", false, false },
		     { "HTTP/1.1 401 Who\r\nContent-Length: 0\r\n\r\n", true, false } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rig rig;
		rig_init(&rig);
		rig_serve(&rig);
		rig_answer(&rig, 1, &rows[i].answer);
		struct cprof_push push = rig_push(&rig, rig.server.url, 1);
		struct cprof_push_result result = { 0 };
		struct cprof_error *unkept;
		bool waits;
		push.clock = &rig.clock;
		struct cprof_error *err =
			cprof_deliver(&rig.spool, &push, &result, &waits, &unkept);
		CHECK(!unkept && waits == rows[i].waits && (err == NULL) == rows[i].delivered);
		CHECK_UINT(waiting(&rig), rows[i].waits);
		CHECK_UINT(count_in(&rig, 0, "s0001"), 1);
		cprof_error_free(err);
		cprof_push_result_deinit(&result);
		rig_deinit(&rig);
	}
}

TEST(deliver_keeps_what_could_not_be_tried_for_a_fault_of_ours)
{
	struct rig rig;
	rig_init(&rig);
	struct cprof_push push = rig_push(&rig, "http://192.0.2.1", 1);
	struct cprof_push_result result = { 0 };
	struct cprof_error *unkept;
	bool waits;
	push.auth = "me:secret"; /* not without TLS */
	struct cprof_error *err = cprof_deliver(&rig.spool, &push, &result, &waits, &unkept);
	CHECK(err && err->code == CPROF_ERR_USAGE && !unkept && waits);
	CHECK_UINT(waiting(&rig), 1);
	CHECK_UINT(rig.counts.delivered, 0);
	cprof_error_free(err);
	cprof_push_result_deinit(&result);
	rig_deinit(&rig);
}

TEST(push_grpc_statuses_have_their_action)
{
	static const enum cprof_push_verdict want[] = {
		[0] = CPROF_PUSH_DELIVERED, [1] = CPROF_PUSH_AGAIN,    [2] = CPROF_PUSH_REFUSED,
		[3] = CPROF_PUSH_REFUSED,   [4] = CPROF_PUSH_AGAIN,    [5] = CPROF_PUSH_REFUSED,
		[6] = CPROF_PUSH_REFUSED,   [7] = CPROF_PUSH_HELD,     [8] = CPROF_PUSH_AGAIN,
		[9] = CPROF_PUSH_REFUSED,   [10] = CPROF_PUSH_AGAIN,   [11] = CPROF_PUSH_REFUSED,
		[12] = CPROF_PUSH_HELD,     [13] = CPROF_PUSH_REFUSED, [14] = CPROF_PUSH_AGAIN,
		[15] = CPROF_PUSH_REFUSED,  [16] = CPROF_PUSH_HELD,
	};
	for (int i = 0; i <= 16; i++) {
		const struct cprof_push_answer answer = { .status = 200,
							  .grpc_status = i,
							  .words = "why" };
		CHECK(cprof_push_parca.judge(&answer) == want[i]);
	}
	const struct cprof_push_answer large = {
		.status = 200,
		.grpc_status = 8,
		.words = "received message larger than max (2 vs. 1)"
	};
	CHECK(cprof_push_parca.judge(&large) == CPROF_PUSH_REFUSED);
	/* Somebody between us answers in HTTP alone, or nobody to the end. */
	const struct cprof_push_answer proxy = { .status = 503, .grpc_status = -1, .words = "" };
	CHECK(cprof_push_parca.judge(&proxy) == CPROF_PUSH_AGAIN);
	const struct cprof_push_answer cut = { .status = 200, .grpc_status = -1, .words = "" };
	CHECK(cprof_push_parca.judge(&cut) == CPROF_PUSH_AGAIN);
}
