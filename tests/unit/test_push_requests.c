/* SPDX-License-Identifier: Apache-2.0 */
/* Which labels of samples go to a server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/push/push_requests.h"
#include "tests/unit/test.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN  "b7ad6b7169203331"

static const struct cprof_push_grammar underscores = { .more_in_names = "_",
						       .max_value = 4,
						       .max_labels = 3 };

/* "a=1 b=2#" is a sample with these labels, the second a number. */
static void add_sample(struct cprof_profile *profile, const char *words)
{
	struct cprof_label labels[16];
	const int64_t value = 1;
	size_t n = 0;
	CPROF_AUTO(free) char *text = strdup(words);
	char *rest = text;
	for (char *pair; (pair = strsep(&rest, " "));) {
		char *equals = strchr(pair, '=');
		if (!equals)
			continue;
		*equals++ = '\0';
		labels[n] = (struct cprof_label){ .is_num = strchr(equals, '#') };
		CHECK(!cprof_profile_string(profile, pair, &labels[n].key));
		CHECK(!cprof_profile_string(profile, equals, &labels[n].text));
		n++;
	}
	CHECK(!cprof_profile_add_sample(profile, NULL, 0, labels, n, &value));
}

static void put_sample(const struct cprof_profile *profile, uint32_t i, struct cprof_buffer *out)
{
	const struct cprof_sample *sample = &profile->samples[i];
	for (uint32_t at = 0; at < sample->n_labels; at++) {
		const struct cprof_label *label = &profile->labels[sample->first_label + at];
		cprof_buffer_printf(out, "%s%s=%s", at ? " " : "",
				    cprof_profile_text(profile, label->key),
				    cprof_profile_text(profile, label->text));
	}
	cprof_buffer_puts(out, ";");
}

enum {
	ATTRIBUTES = CPROF_PUSH_ATTRIBUTES,
	SPANS = CPROF_PUSH_SPAN_ID,
	TRACES = CPROF_PUSH_TRACE_ID
};
static const struct {
	unsigned requests;
	const struct cprof_push_grammar *grammar;
	size_t n_labels; /* of the whole profile */
	const char *samples[3];
	const char *want;
	uint32_t n_names, n_gone;
} rows[] = {
	{ 0, NULL, 0, { "route=/a", "route=/b" }, ";;", 0, 0 },
	{ ATTRIBUTES, NULL, 0, { "route=/a tid=7#", "route=/b" }, "route=/a;route=/b;", 0, 0 },
	{ ATTRIBUTES, NULL, 0, { "thread=x lock=0x1 owner=y", "why=z a=1" }, ";a=1;", 0, 0 },
	/* what all say alike is the profile's; what one says not is not */
	{ ATTRIBUTES, NULL, 0, { "a=1 b=2", "a=1 b=2", "a=1" }, "b=2;b=2;;", 0, 0 },
	{ ATTRIBUTES, NULL, 0, { "a=1 a=1", "b=1" }, "a=1 a=1;b=1;", 0, 0 },
	{ ATTRIBUTES, NULL, 0, { "a=1", "a=2", "a=1" }, "a=1;a=2;a=1;", 0, 0 },
	/* ids, where there is a place for them, and good ones */
	{ ATTRIBUTES, NULL, 0, { "trace_id=" TRACE " a=1", "span_id=" SPAN }, "a=1;;", 0, 0 },
	{ ATTRIBUTES | SPANS,
	  NULL,
	  0,
	  { "trace_id=" TRACE " a=1", "span_id=" SPAN },
	  "a=1;span_id=" SPAN ";",
	  0,
	  0 },
	{ SPANS | TRACES,
	  NULL,
	  0,
	  { "trace_id=" TRACE " a=1", "span_id=" SPAN },
	  "trace_id=" TRACE ";span_id=" SPAN ";",
	  0,
	  0 },
	{ SPANS | TRACES,
	  NULL,
	  0,
	  { "trace_id=" TRACE, "trace_id=" TRACE },
	  "trace_id=" TRACE ";trace_id=" TRACE ";",
	  0,
	  0 },
	{ SPANS | TRACES,
	  NULL,
	  0,
	  { "trace_id=" SPAN, "span_id=" TRACE, "span_id=0000000000000000" },
	  ";;;",
	  0,
	  0 },
	{ SPANS, NULL, 0, { "span_id=b7ad6b716920333x", "span_id=b7ad6b71692033311" }, ";;", 0, 0 },
	/* names and values as the server has them; of two that come out the same one goes */
	{ ATTRIBUTES,
	  &underscores,
	  0,
	  { "http.route=/users", "zone-id=1" },
	  "http_route=/use;zone_id=1;",
	  0,
	  0 },
	{ ATTRIBUTES, &underscores, 0, { "a.b=1 a_b=2", "c=3" }, "a_b=1;c=3;", 0, 0 },
	{ ATTRIBUTES, NULL, 0, { "service_name=x __name__=y =z e=", "f=1" }, ";f=1;", 0, 0 },
	/* ... and one that comes out as a name of ours or the server's own does not */
	{ ATTRIBUTES | SPANS,
	  &underscores,
	  0,
	  { "service.name=x span.id=y", "f=1" },
	  ";f=1;",
	  0,
	  0 },
	{ ATTRIBUTES, &underscores, 0, { "..name=x owner.tid=y", "f=1" }, ";f=1;", 0, 0 },
	/* no more names than there is room for */
	{ ATTRIBUTES, &underscores, 1, { "c=1 b=2", "a=3" }, "b=2;a=3;", 3, 2 },
	{ ATTRIBUTES, &underscores, 3, { "c=1 b=2", "a=3" }, ";;", 3, 0 },
	{ ATTRIBUTES,
	  NULL,
	  9,
	  { "i=1 h=1 g=1 f=1 e=1 d=1 c=1 b=1 a=1", "" },
	  "h=1 g=1 f=1 e=1 d=1 c=1 b=1 a=1;;",
	  9,
	  8 },
};

TEST(push_keeps_the_labels_of_requests_that_a_server_has_a_place_for)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cprof_push_backend backend = { .requests = rows[i].requests,
							    .grammar = rows[i].grammar };
		CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
		CPROF_AUTO(buffer) struct cprof_buffer got = { 0 };
		struct cprof_push_requests_left left;
		CHECK(!cprof_profile_new(&profile));
		CHECK(!cprof_profile_add_type(profile, "samples", "count"));
		for (size_t at = 0; at < 3 && rows[i].samples[at]; at++)
			add_sample(profile, rows[i].samples[at]);
		CHECK(!cprof_push_requests_keep(profile, &backend, rows[i].n_labels, &left));
		for (uint32_t at = 0; at < profile->n_samples; at++)
			put_sample(profile, at, &got);
		CHECK_STR(cprof_buffer_text(&got), rows[i].want);
		CHECK_UINT(left.n_names, rows[i].n_names);
		CHECK_UINT(left.n_gone, rows[i].n_gone);
		CHECK_UINT(left.n_sets, 0);
	}
}

TEST(push_bounds_the_sets_of_labels_of_requests)
{
	const struct cprof_push_backend backend = { .requests = CPROF_PUSH_ATTRIBUTES |
								CPROF_PUSH_SPAN_ID };
	for (uint32_t extra = 0; extra < 2; extra++) {
		CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
		CPROF_AUTO(buffer) struct cprof_buffer said = { 0 };
		struct cprof_push_requests_left left;
		char words[64];
		CHECK(!cprof_profile_new(&profile));
		CHECK(!cprof_profile_add_type(profile, "samples", "count"));
		for (uint32_t i = 0; i < 2 * (CPROF_PUSH_REQUESTS_SETS_MAX + extra); i++) {
			snprintf(words, sizeof(words), "user=%u span_id=%016x", i / 2, i + 1);
			add_sample(profile, words);
		}
		CHECK(!cprof_push_requests_keep(profile, &backend, 0, &left));
		cprof_push_requests_say_left(&left, &said);
		CHECK_UINT(left.n_sets, extra ? CPROF_PUSH_REQUESTS_SETS_MAX + 1 : 0);
		CHECK_UINT(profile->samples[7].n_labels, extra ? 1 : 2);
		CHECK_STR(cprof_buffer_text(&said),
			  extra ? "without labels of requests: 101 sets are more than 100" : "");
	}
}
