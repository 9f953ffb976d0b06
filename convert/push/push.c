/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/push.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/secret.h"
#include "convert/net/curl_api.h"
#include "convert/push/push_backend.h"
#include "convert/push/push_http.h"
#include "convert/push/push_profile.h"
#include "convert/push/push_url.h"
#include "cprof/merge.h"
#include "cprof/pprof_write.h"

#define TRIES_DEFAULT      3
#define FIRST_WAIT_NS      (CPROF_NS_PER_S / 2)
#define WAIT_MAX_NS        (60 * CPROF_NS_PER_S)
#define RETRY_AFTER_MAX_NS (30 * CPROF_NS_PER_S)

/* All that a push is made of once the URL and the labels are understood. */
struct plan {
	const struct cprof_push *push;
	const struct cprof_push_backend *backend;
	const char *kind, *service;
	struct cprof_buffer url, shown; /* the plain URL; the one for people */
	struct cprof_push_labels labels;
};

static void auto_plan(struct plan *plan)
{
	cprof_buffer_deinit(&plan->url);
	cprof_buffer_deinit(&plan->shown);
	cprof_push_labels_deinit(&plan->labels);
}

static void auto_push_request(struct cprof_push_request *request)
{
	cprof_buffer_deinit(&request->url);
	cprof_buffer_deinit(&request->body);
	cprof_buffer_deinit(&request->headers);
}
#define cprof_auto_plan         auto_plan
#define cprof_auto_push_request auto_push_request

/* ---- before ---- */

static struct cprof_error *check_host(const struct cprof_curl_api *api, const char *url)
{
	CURLU *parsed = api->url();
	char *host = NULL;
	if (!parsed)
		return cprof_error_no_memory();
	/* {service} and the like are no characters of a URL yet. */
	bool good = api->url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
		    api->url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK;
	api->free(host);
	api->url_cleanup(parsed);
	return good ? NULL : cprof_error_new(CPROF_ERR_USAGE, "that is no http:// or https:// URL");
}

static struct cprof_error *check_auth(const struct cprof_push *push, const char *plain)
{
	bool secret = push->auth || cprof_push_url_has_user(plain);
	if (!secret || push->open_auth || strncmp(plain, "https:", 6) == 0 ||
	    cprof_push_url_is_local(plain))
		return NULL;
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE,
				"what is sent to log in with could be read by everybody "
				"on the way, because http:// is not encrypted"),
		"use https://");
}

static struct cprof_error *add_labels(const struct cprof_push *push,
				      const struct cprof_push_backend *backend,
				      struct cprof_push_labels *labels)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; i < push->n_labels && !err; i++)
		err = cprof_push_labels_add(labels, backend->grammar, push->labels[i], false);
	for (size_t i = 0; i < push->n_found && !err && !backend->given_labels_only; i++)
		err = cprof_push_labels_add(labels, backend->grammar, push->found[i], true);
	return err;
}

struct cprof_error *cprof_push_check(const struct cprof_push *push)
{
	const struct cprof_curl_api *api;
	const struct cprof_push_backend *backend;
	CPROF_AUTO(buffer) struct cprof_buffer plain = { 0 };
	CPROF_AUTO(push_labels) struct cprof_push_labels labels = { 0 };
	struct cprof_error *err = cprof_push_url_read(push->url, push->backend, &backend, &plain);
	if (!err)
		err = cprof_curl_api_load(&api);
	if (!err)
		err = check_host(api, cprof_buffer_text(&plain));
	if (!err)
		err = check_auth(push, cprof_buffer_text(&plain));
	return err ? err : add_labels(push, backend, &labels);
}

static struct cprof_error *make_plan(const struct cprof_push *push, struct plan *plan)
{
	plan->push = push;
	struct cprof_error *err =
		cprof_push_url_read(push->url, push->backend, &plan->backend, &plan->url);
	if (err)
		return err;
	err = check_auth(push, cprof_buffer_text(&plan->url));
	if (err)
		return err;
	cprof_secret_put_url(cprof_buffer_text(&plan->url), &plan->shown);
	plan->kind = push->kind ? push->kind : cprof_push_profile_kind(push->profile, NULL);
	plan->service = push->service && *push->service ? push->service : "unknown";
	err = add_labels(push, plan->backend, &plan->labels);
	return err ? err
		   : cprof_push_profile_labels(push->profile, plan->backend->grammar,
					       &plan->labels);
}

/* ---- the requests of a push, one after the other ---- */

/* What a request is handed to; it stays the caller's. An error ends it. */
typedef struct cprof_error *request_fn(void *ctx, const struct plan *plan,
				       const struct cprof_push_request *request,
				       const struct cprof_profile *profile);

static struct cprof_error *label_samples(const struct plan *plan, struct cprof_profile *profile)
{
	struct cprof_error *err = cprof_merge_label_all(profile, "service_name", plan->service);
	for (size_t i = 0; i < plan->labels.len && !err; i++)
		err = cprof_merge_label_all(profile, plan->labels.items[i].name,
					    plan->labels.items[i].value);
	return err;
}

static struct cprof_error *hand_over(const struct plan *plan, const struct cprof_profile *profile,
				     const struct cprof_buffer *pprof, request_fn *take, void *ctx)
{
	const struct cprof_push_part part = {
		.url = cprof_buffer_text(&plan->url),
		.kind = plan->kind,
		.service = plan->service,
		.labels = &plan->labels,
		.profile = profile,
		.pprof = pprof,
		.from_wall_ns = plan->push->from_wall_ns,
		.until_wall_ns = plan->push->until_wall_ns,
		.auth = plan->push->auth,
	};
	CPROF_AUTO(push_request) struct cprof_push_request request = { 0 };
	plan->backend->make(&part, &request);
	request.body.failed = request.body.failed || request.url.failed || request.headers.failed;
	struct cprof_error *err = cprof_buffer_error(&request.body);
	return err ? err : take(ctx, plan, &request, profile);
}

static struct cprof_error *hand_over_file(const struct plan *plan, request_fn *take, void *ctx)
{
	CPROF_AUTO(buffer) struct cprof_buffer file = { 0 };
	cprof_buffer_append(&file, plan->push->body, plan->push->n_body);
	struct cprof_error *err = cprof_buffer_error(&file);
	return err ? err : hand_over(plan, plan->push->profile, &file, take, ctx);
}

static struct cprof_error *each_request(const struct plan *plan, request_fn *take, void *ctx)
{
	CPROF_AUTO(push_profiles) struct cprof_push_profiles profiles = { 0 };
	if (plan->backend->as_is)
		return hand_over_file(plan, take, ctx);
	struct cprof_error *err =
		cprof_push_profiles_make(plan->push->profile, plan->backend, &profiles);
	for (size_t i = 0; i < profiles.len && !err; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer pprof = { 0 };
		if (plan->backend->labels_in_samples)
			err = label_samples(plan, profiles.items[i]);
		if (!err)
			err = cprof_pprof_encode(profiles.items[i], CPROF_PPROF_GZIP_FAST, &pprof);
		if (!err)
			err = hand_over(plan, profiles.items[i], &pprof, take, ctx);
	}
	return err;
}

/* ---- several tries ---- */

static uint64_t random_below(uint64_t end)
{
	uint64_t chance = 0;
	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		chance = cprof_clock_mono_ns();
	return end ? chance % end : 0;
}

/* Anywhere between the first wait and the longest of this try, so that those who failed together do not come back together. */
static uint64_t wait_ns(const struct cprof_push *push, unsigned tried, uint64_t retry_after_ns)
{
	if (retry_after_ns)
		return retry_after_ns < RETRY_AFTER_MAX_NS ? retry_after_ns : RETRY_AFTER_MAX_NS;
	const uint64_t first = push->first_wait_ns ? push->first_wait_ns : FIRST_WAIT_NS;
	uint64_t most = first;
	for (unsigned i = 0; i < tried && most < WAIT_MAX_NS; i++)
		most *= 2;
	if (most > WAIT_MAX_NS)
		most = WAIT_MAX_NS;
	return first + random_below(most > first ? most - first : 0);
}

static void sleep_ns(uint64_t ns)
{
	struct timespec left = { .tv_sec = (time_t)(ns / CPROF_NS_PER_S),
				 .tv_nsec = (long)(ns % CPROF_NS_PER_S) };
	nanosleep(&left, NULL);
}

/* The server's words on one line. */
static void put_words(struct cprof_buffer *out, const char *words)
{
	bool space = false;
	for (const char *at = words; *at; at++) {
		bool blank = (unsigned char)*at <= ' ';
		if (!blank && space)
			cprof_buffer_putc(out, ' ');
		if (!blank)
			cprof_buffer_putc(out, *at);
		space = blank && out->len;
	}
}

static struct cprof_error *
with_hint(const struct plan *plan, const struct cprof_push_answer *answer, struct cprof_error *err)
{
	const struct cprof_push *push = plan->push;
	bool out = answer->status == 401 || answer->status == 403 || answer->grpc_status == 16 ||
		   answer->grpc_status == 7;
	if (out)
		return cprof_error_hint(err, "%s%s%s",
					push->auth ? "what was sent to log in with was not taken"
						   : "nothing was sent to log in with",
					push->how_to_log_in ? ": " : "",
					push->how_to_log_in ? push->how_to_log_in : "");
	if (answer->status >= 300 && answer->status < 400)
		return cprof_error_hint(err, "redirects are not followed; use the final URL");
	if (answer->status == 404 || answer->status == 405 || answer->status == 415)
		return cprof_error_hint(err, "it was spoken to as %s; %s", plan->backend->name,
					cprof_push_url_kinds());
	if (strstr(answer->words, "active series"))
		return cprof_error_hint(err,
					"the server has as many series as it takes: send fewer "
					"labels, or raise its limit");
	if (strstr(answer->words, "ingestion window"))
		return cprof_error_hint(err, "the profile is older or newer than the server takes");
	return err;
}

static struct cprof_error *undelivered(const struct plan *plan,
				       const struct cprof_push_exchange *exchange, unsigned tried)
{
	const struct cprof_push_answer *answer = &exchange->answer;
	const char *shown = cprof_buffer_text(&plan->shown);
	const char *times = tried == 1 ? "" : " (the last of several tries)";
	CPROF_AUTO(buffer) struct cprof_buffer words = { 0 };
	if (!exchange->came)
		return cprof_error_new(CPROF_ERR_UNDELIVERED, "push to %s: %s%s", shown,
				       exchange->problem, times);
	put_words(&words, answer->words);
	const char *colon = words.len ? ": " : "";
	struct cprof_error *err;
	if (plan->backend->grpc && answer->status == 200 && answer->grpc_status < 0)
		err = cprof_error_new(CPROF_ERR_UNDELIVERED,
				      "push to %s: the answer ended before its gRPC status%s",
				      shown, times);
	else if (plan->backend->grpc && answer->status == 200 && answer->grpc_status >= 0)
		err = cprof_error_new(CPROF_ERR_UNDELIVERED,
				      "push to %s: the server answered gRPC status %d%s%s%s", shown,
				      answer->grpc_status, colon, cprof_buffer_text(&words), times);
	else
		err = cprof_error_new(CPROF_ERR_UNDELIVERED,
				      "push to %s: the server answered %ld%s%s%s", shown,
				      answer->status, colon, cprof_buffer_text(&words), times);
	return with_hint(plan, answer, err);
}

struct sending {
	const struct cprof_curl_api *api;
	unsigned n_requests;
	long status; /* of the last one */
	bool passing;
};

static enum cprof_push_verdict judge(const struct plan *plan,
				     const struct cprof_push_exchange *exchange)
{
	if (!exchange->came)
		return exchange->passing ? CPROF_PUSH_AGAIN : CPROF_PUSH_REFUSED;
	return plan->backend->judge ? plan->backend->judge(&exchange->answer)
				    : cprof_push_judge_http(&exchange->answer);
}

static struct cprof_error *send_request(void *ctx, const struct plan *plan,
					const struct cprof_push_request *request,
					const struct cprof_profile *profile)
{
	struct sending *sending = ctx;
	struct cprof_error *err = NULL;
	unsigned tries = plan->push->tries ? plan->push->tries : TRIES_DEFAULT;
	(void)profile;
	for (unsigned tried = 1;; tried++) {
		struct cprof_push_exchange exchange = { 0 };
		cprof_push_http_exchange(sending->api, request, plan->push->auth, &exchange);
		enum cprof_push_verdict verdict = judge(plan, &exchange);
		uint64_t retry_after_ns = exchange.answer.retry_after_ns;
		bool again = verdict == CPROF_PUSH_AGAIN && tried < tries;
		sending->status = exchange.answer.status;
		sending->passing = verdict == CPROF_PUSH_AGAIN;
		sending->n_requests += verdict == CPROF_PUSH_DELIVERED;
		if (verdict != CPROF_PUSH_DELIVERED && !again)
			err = undelivered(plan, &exchange, tried);
		cprof_push_exchange_deinit(&exchange);
		if (!again)
			return err;
		sleep_ns(wait_ns(plan->push, tried, retry_after_ns));
	}
}

struct cprof_error *cprof_push_send(const struct cprof_push *push, struct cprof_buffer *answer,
				    bool *ret_passing)
{
	CPROF_AUTO(plan) struct plan plan = { 0 };
	struct sending sending = { 0 };
	struct cprof_error *err = make_plan(push, &plan);
	if (!err)
		err = cprof_curl_api_load(&sending.api);
	if (!err)
		err = each_request(&plan, send_request, &sending);
	*ret_passing = sending.passing;
	if (err)
		return err;
	cprof_buffer_printf(answer, "delivered to %s (%s, %ld", cprof_buffer_text(&plan.shown),
			    plan.backend->name, sending.status);
	if (sending.n_requests > 1)
		cprof_buffer_printf(answer, ", in %u parts", sending.n_requests);
	cprof_buffer_puts(answer, ")");
	return cprof_buffer_error(answer);
}

/* ---- what would be sent ---- */

static void put_totals(const struct cprof_profile *profile, struct cprof_buffer *out)
{
	cprof_buffer_printf(out, "  samples: %" PRIu32 "\n", profile->n_samples);
	for (uint32_t type = 0; type < profile->n_types; type++) {
		int64_t total = 0;
		for (uint32_t i = 0; i < profile->n_samples; i++)
			total += profile->values[(size_t)i * profile->n_types + type];
		cprof_buffer_printf(out, "  %s/%s: %" PRId64 "\n",
				    cprof_profile_text(profile, profile->types[type].type),
				    cprof_profile_text(profile, profile->types[type].unit), total);
	}
}

static struct cprof_error *show_request(void *ctx, const struct plan *plan,
					const struct cprof_push_request *request,
					const struct cprof_profile *profile)
{
	struct cprof_buffer *out = ctx;
	cprof_buffer_puts(out, request->put ? "PUT " : "POST ");
	cprof_secret_put_url(cprof_buffer_text(&request->url), out);
	cprof_buffer_printf(out, "\n%s", cprof_buffer_text(&request->headers));
	if (plan->push->auth || cprof_push_url_has_user(cprof_buffer_text(&request->url)))
		cprof_buffer_printf(out, "%s: ...\n",
				    request->secret_header ? request->secret_header
							   : "Authorization");
	cprof_buffer_printf(out, "Content-Length: %zu\n\n  server: %s\n  type: %s\n  service: %s\n",
			    request->body.len, plan->backend->name,
			    cprof_push_type_name(plan->kind), plan->service);
	for (size_t i = 0; i < plan->labels.len; i++)
		cprof_buffer_printf(out, "  label: %s=%s\n", plan->labels.items[i].name,
				    plan->labels.items[i].value);
	put_totals(profile, out);
	cprof_buffer_putc(out, '\n');
	return cprof_buffer_error(out);
}

struct cprof_error *cprof_push_show(const struct cprof_push *push, struct cprof_buffer *out)
{
	CPROF_AUTO(plan) struct plan plan = { 0 };
	struct cprof_error *err = make_plan(push, &plan);
	return err ? err : each_request(&plan, show_request, out);
}
