/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/net/query_pyroscope.c - Pyroscope and Grafana Cloud: querier.v1.QuerierService/SelectMergeProfile.
 *
 * SelectMergeProfileRequest{ profile_typeID = 1, label_selector = 2, start = 3, end = 4, max_nodes = 5 }, times in milliseconds; the
 * answer is a profile in pprof's own format as it is, by the Connect protocol for one message.
 *
 * Sources: Pyroscope's querier/v1/querier.proto; Connect Protocol Reference, "Unary".
 */
#include <string.h>

#include "base/proto_put.h"
#include "convert/net/query.h"

#define PATH      "/querier.v1.QuerierService/SelectMergeProfile"
#define NS_PER_MS 1000000u

static void make(const struct cprof_query *query, struct cprof_query_request *request)
{
	const char *text = cprof_buffer_text(&query->text);
	const size_t n = strcspn(text, "{");
	cprof_buffer_printf(&request->url, "%s" PATH, cprof_buffer_text(&query->server));
	cprof_proto_put_bytes(&request->body, 1, text, n);
	cprof_proto_put_text(&request->body, 2, text + n);
	cprof_proto_put_number(&request->body, 3, query->from_wall_ns / NS_PER_MS);
	cprof_proto_put_number(&request->body, 4, query->until_wall_ns / NS_PER_MS);
	cprof_proto_put_number(&request->body, 5, query->max_nodes);
}

static struct cprof_error *take(struct cprof_buffer *answer)
{
	(void)answer;
	return NULL;
}

static const char *const headers[] = { "Content-Type: application/proto",
				       "Connect-Protocol-Version: 1", NULL };

const struct cprof_query_backend cprof_query_pyroscope = {
	.prefix = "pyroscope",
	.counted_end = "",
	.headers = headers,
	.make = make,
	.take = take,
};
