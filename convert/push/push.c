/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/push/push.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/clockwork.h"
#include "base/secret.h"
#include "convert/net/curl_api.h"
#include "convert/push/backoff.h"
#include "convert/push/push_backend.h"
#include "convert/push/push_http.h"
#include "convert/push/push_profile.h"
#include "convert/push/push_url.h"
#include "convert/push/push_words.h"
#include "cprof/merge.h"
#include "cprof/pprof_write.h"

#define TRIES_DEFAULT      3
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

/* It goes into a header, where the end of a line would begin another one. */
static struct cprof_error *check_tenant(const char *tenant)
{
	for (const char *at = tenant ? tenant : ""; *at; at++) {
		if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f)
			return cprof_error_new(
				CPROF_ERR_USAGE,
				"the tenant's name has characters that no header has");
	}
	return NULL;
}

static struct cprof_error *check_file(const char *file)
{
	if (!file || !*file || access(file, R_OK) == 0)
		return NULL;
	return cprof_error_new(CPROF_ERR_USAGE, "%s cannot be read: %s", file, strerror(errno));
}

static struct cprof_error *check_tls(const struct cprof_tls *tls)
{
	struct cprof_error *err = tls ? check_file(tls->ca) : NULL;
	if (!err && tls)
		err = check_file(tls->cert);
	if (!err && tls)
		err = check_file(tls->key);
	if (!err && tls && tls->least && strcmp(tls->least, "1.2") != 0 &&
	    strcmp(tls->least, "1.3") != 0)
		err = cprof_error_new(CPROF_ERR_USAGE, "the oldest TLS is 1.2 or 1.3, not %s",
				      tls->least);
	return err;
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
	if (!err)
		err = check_tenant(push->tenant);
	if (!err)
		err = check_tls(push->tls);
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
		.from_wall_ns = plan->push->from_wall_ns + (uint64_t)plan->push->shift_ns,
		.until_wall_ns = plan->push->until_wall_ns + (uint64_t)plan->push->shift_ns,
		.auth = plan->push->auth,
	};
	CPROF_AUTO(push_request) struct cprof_push_request request = { 0 };
	plan->backend->make(&part, &request);
	if (plan->push->tenant && *plan->push->tenant)
		cprof_buffer_printf(&request.headers, "X-Scope-OrgID: %s\n", plan->push->tenant);
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

static struct cprof_error *each_request(const struct plan *plan, uint32_t *ret_n,
					struct cprof_push_requests_left *ret_left, request_fn *take,
					void *ctx)
{
	CPROF_AUTO(push_profiles) struct cprof_push_profiles profiles = { 0 };
	*ret_n = 1;
	*ret_left = (struct cprof_push_requests_left){ 0 };
	if (plan->backend->as_is)
		return hand_over_file(plan, take, ctx);
	struct cprof_error *err = cprof_push_profiles_make(plan->push->profile, plan->backend,
							   plan->labels.len, &profiles);
	*ret_n = (uint32_t)profiles.len;
	*ret_left = profiles.left;
	for (size_t i = 0; i < profiles.len && !err; i++)
		profiles.items[i]->time_ns += plan->push->shift_ns;
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

/* ---- once ---- */

struct trying {
	const struct cprof_curl_api *api;
	struct cprof_push_result *result;
	cprof_push_progress_fn *progress;
	void *ctx;
	uint32_t part; /* which the next request is */
	uint32_t
		n_before; /* how many there were when parts_done was written down; 0: nobody knows */
};

static enum cprof_push_verdict judge(const struct plan *plan,
				     const struct cprof_push_exchange *exchange)
{
	if (!exchange->came)
		return exchange->passing ? CPROF_PUSH_AGAIN : CPROF_PUSH_HELD;
	return plan->backend->judge ? plan->backend->judge(&exchange->answer)
				    : cprof_push_judge_http(&exchange->answer);
}

static struct cprof_error *problem_of(const struct plan *plan,
				      const struct cprof_push_exchange *exchange)
{
	const struct cprof_push *push = plan->push;
	const struct cprof_push_words words = { .shown = cprof_buffer_text(&plan->shown),
						.backend = plan->backend,
						.logged_in = push->auth != NULL,
						.how_to_log_in = push->how_to_log_in };
	return cprof_push_words_problem(&words, exchange);
}

/* A part that was not delivered ends it: those behind it are not tried, so that what has arrived is always the first so many. */
static struct cprof_error *send_request(void *ctx, const struct plan *plan,
					const struct cprof_push_request *request,
					const struct cprof_profile *profile)
{
	struct trying *trying = ctx;
	struct cprof_push_result *result = trying->result;
	(void)profile;
	/* Cut otherwise than then, by another version of us: the parts are not those. */
	if (trying->n_before && trying->n_before != result->n_parts)
		result->parts_done = 0;
	trying->n_before = result->n_parts;
	if (trying->part++ < result->parts_done || result->verdict != CPROF_PUSH_DELIVERED)
		return NULL;
	struct cprof_push_exchange exchange = { 0 };
	const struct cprof_push_login login = { .auth = plan->push->auth,
						.open_auth = plan->push->open_auth,
						.tls = plan->push->tls };
	cprof_push_http_exchange(trying->api, request, &login, &exchange);
	result->verdict = judge(plan, &exchange);
	result->status = exchange.answer.status;
	result->retry_after_ns = exchange.answer.retry_after_ns;
	if (result->verdict == CPROF_PUSH_DELIVERED)
		result->parts_done = trying->part;
	else
		result->problem = problem_of(plan, &exchange);
	cprof_push_exchange_deinit(&exchange);
	if (result->verdict == CPROF_PUSH_DELIVERED && trying->progress)
		trying->progress(trying->ctx, result->parts_done, result->n_parts);
	return NULL;
}

void cprof_push_result_deinit(struct cprof_push_result *result)
{
	cprof_error_free(result->problem);
	*result = (struct cprof_push_result){ 0 };
}

struct cprof_error *cprof_push_try(const struct cprof_push *push, struct cprof_push_result *result,
				   cprof_push_progress_fn *progress, void *ctx)
{
	CPROF_AUTO(plan) struct plan plan = { 0 };
	struct trying trying = {
		.result = result, .progress = progress, .ctx = ctx, .n_before = result->n_parts
	};
	cprof_error_free(result->problem);
	result->problem = NULL;
	result->verdict = CPROF_PUSH_DELIVERED;
	struct cprof_error *err = make_plan(push, &plan);
	if (!err)
		err = cprof_curl_api_load(&trying.api);
	if (!err)
		err = each_request(&plan, &result->n_parts, &result->left, send_request, &trying);
	/* What went wrong here says nothing of the profile, and nobody has taken it. */
	if (err)
		result->verdict = CPROF_PUSH_HELD;
	return err;
}

/* ---- several tries ---- */

static struct cprof_error *give_up(struct cprof_push_result *result, unsigned tried)
{
	struct cprof_error *err = cprof_take_ptr(&result->problem);
	return cprof_push_words_tried(err, tried);
}

struct cprof_error *cprof_push_send(const struct cprof_push *push, struct cprof_push_result *result)
{
	const struct cprof_clockwork *clock = push->clock ? push->clock : &cprof_clockwork_real;
	unsigned tries = push->tries ? push->tries : TRIES_DEFAULT;
	for (unsigned tried = 1;; tried++) {
		uint32_t before = result->parts_done;
		struct cprof_error *err = cprof_push_try(push, result, push->progress, push->ctx);
		if (err || result->verdict == CPROF_PUSH_DELIVERED)
			return err;
		if (result->parts_done > before)
			tried = 1;
		if (result->verdict != CPROF_PUSH_AGAIN || tried >= tries)
			return give_up(result, tried);
		clock->sleep_ns(clock->ctx, cprof_backoff_ns(clock, tried, result->retry_after_ns,
							     RETRY_AFTER_MAX_NS));
	}
}

static void put_left(const struct cprof_push_requests_left *left, const char *before,
		     struct cprof_buffer *out)
{
	if (!left->n_names && !left->n_sets)
		return;
	cprof_buffer_puts(out, before);
	cprof_push_requests_say_left(left, out);
}

struct cprof_error *cprof_push_say_delivered(const struct cprof_push *push,
					     const struct cprof_push_result *result,
					     struct cprof_buffer *out)
{
	const struct cprof_push_backend *backend;
	CPROF_AUTO(buffer) struct cprof_buffer url = { 0 };
	struct cprof_error *err = cprof_push_url_read(push->url, push->backend, &backend, &url);
	if (err)
		return err;
	cprof_buffer_puts(out, "delivered to ");
	cprof_secret_put_url(cprof_buffer_text(&url), out);
	cprof_buffer_printf(out, " (%s, %ld", backend->name, result->status);
	if (result->n_parts > 1)
		cprof_buffer_printf(out, ", in %" PRIu32 " parts", result->n_parts);
	put_left(&result->left, ", ", out);
	cprof_buffer_puts(out, ")");
	return cprof_buffer_error(out);
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

/* "  labels of samples: http_route, letter" */
static struct cprof_error *put_names(const struct cprof_profile *profile, struct cprof_buffer *out)
{
	CPROF_AUTO(free) bool *seen = calloc((size_t)profile->strings.len + 1, sizeof(*seen));
	const char *before = "  labels of samples: ";
	if (!seen)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < profile->n_labels; i++) {
		const uint32_t key = profile->labels[i].key;
		if (!seen[key])
			cprof_buffer_printf(out, "%s%s", before, cprof_profile_text(profile, key));
		before = ", ";
		seen[key] = true;
	}
	if (profile->n_labels)
		cprof_buffer_putc(out, '\n');
	return NULL;
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
	struct cprof_error *err = put_names(profile, out);
	put_totals(profile, out);
	cprof_buffer_putc(out, '\n');
	return err ? err : cprof_buffer_error(out);
}

struct cprof_error *cprof_push_show(const struct cprof_push *push, struct cprof_buffer *out)
{
	CPROF_AUTO(plan) struct plan plan = { 0 };
	struct cprof_error *err = make_plan(push, &plan);
	struct cprof_push_requests_left left;
	uint32_t n;
	if (!err)
		err = each_request(&plan, &n, &left, show_request, out);
	if (err)
		return err;
	put_left(&left, "", out);
	if (left.n_names || left.n_sets)
		cprof_buffer_putc(out, '\n');
	return cprof_buffer_error(out);
}
