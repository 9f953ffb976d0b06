/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_pyroscope.c - Pyroscope and Grafana Cloud Profiles by push.v1.PusherService/Push, in Connect's way.
 *
 * PushRequest{ series = 1 { labels = 1 { name = 1, value = 2 }, samples = 2 { raw_profile = 1 } } }. One profile a request: of
 * several some may be kept and the answer be an error all the same, and nothing there sorts out doubles.
 *
 * Source: Pyroscope's api/push/v1/push.proto; what it answers was tried with Pyroscope 2.2.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/version.h"
#include "base/proto_put.h"
#include "convert/push/push_backend.h"

#define PATH "/push.v1.PusherService/Push"

/* Names with other characters are stored and then not found. Two of the thirty are the profile's type and the service. */
static const struct cprof_push_grammar grammar = { .more_in_names = "_",
						   .max_value = 2048,
						   .max_labels = 27 };

static bool serves(const char *path, size_t n)
{
	return n <= strspn(path, "/") || cprof_push_path_ends(path, n, PATH) ||
	       cprof_push_path_ends(path, n, "/pyroscope");
}

static void make(const struct cprof_push_part *part, struct cprof_push_request *request)
{
	CPROF_AUTO(buffer) struct cprof_buffer series = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer sample = { 0 };
	cprof_push_put_url(&request->url, part->url, PATH);
	cprof_buffer_puts(&request->headers, "Content-Type: application/proto\n"
					     "Connect-Protocol-Version: 1\n");
	cprof_proto_put_pair(&series, 1, "__name__", cprof_push_type_name(part->kind));
	cprof_proto_put_pair(&series, 1, "service_name", part->service);
	cprof_proto_put_pair(&series, 1, "pyroscope_spy", "cprof-attach");
	for (size_t i = 0; i < part->labels->len; i++)
		cprof_proto_put_pair(&series, 1, part->labels->items[i].name,
				     part->labels->items[i].value);
	cprof_proto_put_message(&sample, 1, part->pprof);
	cprof_proto_put_message(&series, 2, &sample);
	cprof_proto_put_message(&request->body, 1, &series);
}

/* 429 says three things: too fast, too large a profile for the rate, or too many series; the last does not pass by itself. */
static enum cprof_push_verdict judge(const struct cprof_push_answer *answer)
{
	if (answer->status == 429 && strstr(answer->words, "active series"))
		return CPROF_PUSH_REFUSED;
	/* A profile that it cannot read is "unknown" to it, as much else is that may pass. */
	if (answer->status == 500 &&
	    (strstr(answer->words, "proto: ") || strstr(answer->words, "gzip reset")))
		return CPROF_PUSH_REFUSED;
	return cprof_push_judge_http(answer);
}

/* What is added to the window's burst of 2 MiB is refused whole, so a part has less than that. */
const struct cprof_push_backend cprof_push_pyroscope = {
	.name = "pyroscope",
	.prefix = "pyroscope",
	.serves = serves,
	.grammar = &grammar,
	.max_bytes = 3u << 19,
	.max_samples = 16000,
	.max_age_ns = 55 * 60 * CPROF_NS_PER_S,
	.own_types = true,
	.requests = CPROF_PUSH_ATTRIBUTES | CPROF_PUSH_SPAN_ID,
	.make = make,
	.judge = judge,
};
