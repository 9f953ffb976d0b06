/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_ingest.c - Pyroscope's older way in: POST /ingest with the pprof file, and all else in the query.
 *
 * The server makes the type's name up from the sample types and takes block and mutex profiles for one thing, so these two bear
 * a label "mode" here.
 *
 * Source: the Pyroscope server API's /ingest (name, from, until, format); what it answers was tried with Pyroscope 2.2.
 */
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/percent.h"
#include "convert/push/push_backend.h"

/* Names are [A-Za-z0-9_.]. In a value a comma or a brace would end it: there is no way to quote them. */
static const struct cprof_push_grammar grammar = { .more_in_names = "_.",
						   .digit_first = true,
						   .not_in_values = ",{}",
						   .max_value = 2048,
						   .max_labels = 24 };

static bool serves(const char *path, size_t n)
{
	return cprof_push_path_ends(path, n, "/ingest");
}

/* app{key=value,key=value} */
static void put_app(const struct cprof_push_part *part, struct cprof_buffer *out)
{
	char between = '{';
	for (const char *at = part->service; *at; at++)
		cprof_buffer_putc(
			out,
			strspn(at,
			       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/")
				? *at
				: '_');
	if (strcmp(part->kind, "block") == 0 || strcmp(part->kind, "mutex") == 0) {
		cprof_buffer_printf(out, "{mode=%s", part->kind);
		between = ',';
	}
	for (size_t i = 0; i < part->labels->len; i++, between = ',')
		cprof_buffer_printf(out, "%c%s=%s", between, part->labels->items[i].name,
				    part->labels->items[i].value);
	if (between == ',')
		cprof_buffer_putc(out, '}');
}

static void make(const struct cprof_push_part *part, struct cprof_push_request *request)
{
	CPROF_AUTO(buffer) struct cprof_buffer app = { 0 };
	put_app(part, &app);
	cprof_push_put_url(&request->url, part->url, "/ingest");
	cprof_buffer_printf(&request->url, "%cname=", strchr(part->url, '?') ? '&' : '?');
	cprof_percent_encode(cprof_buffer_text(&app), &request->url);
	cprof_buffer_printf(&request->url,
			    "&from=%" PRIu64 "&until=%" PRIu64 "&format=pprof&spyName=cprof-attach",
			    (uint64_t)(part->from_wall_ns / CPROF_NS_PER_S),
			    (uint64_t)(part->until_wall_ns / CPROF_NS_PER_S));
	cprof_buffer_puts(&request->headers, "Content-Type: application/octet-stream\n");
	cprof_buffer_append(&request->body, part->pprof->data, part->pprof->len);
}

/* 422 is its word for all that goes wrong behind it, for a while or for ever; the message has the code. */
static enum cprof_push_verdict judge(const struct cprof_push_answer *answer)
{
	static const char *const passing[] = { "unavailable:",       "deadline_exceeded:",
					       "canceled:",          "aborted:",
					       "connection refused", "context deadline exceeded" };
	if (strstr(answer->words, "active series"))
		return CPROF_PUSH_REFUSED;
	for (size_t i = 0; answer->status == 422 && i < sizeof(passing) / sizeof(passing[0]); i++) {
		if (strstr(answer->words, passing[i]))
			return CPROF_PUSH_AGAIN;
	}
	return cprof_push_judge_http(answer);
}

const struct cprof_push_backend cprof_push_ingest = {
	.name = "pyroscope-ingest",
	.prefix = "pyroscope-ingest",
	.serves = serves,
	.grammar = &grammar,
	.given_labels_only = true,
	.max_bytes = 3u << 19,
	.max_samples = 16000,
	.max_age_ns = 55 * 60 * CPROF_NS_PER_S,
	.make = make,
	.judge = judge,
};
