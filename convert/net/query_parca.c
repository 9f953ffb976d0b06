/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/net/query_parca.c - Parca and Polar Signals: QueryService/Query, over gRPC or through the gateway as JSON.
 *
 * QueryRequest{ mode = 1 (2: merge), merge = 3 { query = 1, start = 2, end = 3 }, report_type = 5 (1: pprof) };
 * QueryResponse{ pprof = 6 }. A Timestamp is { seconds = 1, nanos = 2 }.
 *
 * Sources: Parca's parca/query/v1alpha1/query.proto; gRPC over HTTP2, "Requests" and "Responses"; protobuf's JSON mapping.
 */
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json_member.h"
#include "base/percent.h"
#include "base/proto_put.h"
#include "convert/net/grpc_frame.h"
#include "convert/net/query.h"
#include "convert/profile/wire.h"

#define GRPC_PATH "/parca.query.v1alpha1.QueryService/Query"
#define JSON_PATH "/api/profiles/query"

enum { MODE_MERGE = 2, REPORT_PPROF = 1, FIELD_PPROF = 6 };

static struct cprof_error *nothing(void)
{
	return cprof_error_new(CPROF_ERR_BAD_DATA, "there is no profile in the server's answer");
}

/* ---- as JSON ---- */

static void put_time(struct cprof_buffer *out, uint64_t wall_ns)
{
	char text[40] = "";
	struct tm tm;
	const time_t wall_s = (time_t)(wall_ns / CPROF_NS_PER_S);
	if (gmtime_r(&wall_s, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	cprof_buffer_printf(out, "%s.%03uZ", text, (unsigned)(wall_ns % CPROF_NS_PER_S / 1000000u));
}

static void make_json(const struct cprof_query *query, struct cprof_query_request *request)
{
	cprof_buffer_printf(&request->url,
			    "%s" JSON_PATH
			    "?mode=MODE_MERGE&report_type=REPORT_TYPE_PPROF&merge.query=",
			    cprof_buffer_text(&query->server));
	cprof_percent_encode(cprof_buffer_text(&query->text), &request->url);
	cprof_buffer_puts(&request->url, "&merge.start=");
	put_time(&request->url, query->from_wall_ns);
	cprof_buffer_puts(&request->url, "&merge.end=");
	put_time(&request->url, query->until_wall_ns);
}

static struct cprof_error *take_json(struct cprof_buffer *answer)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	if (!cprof_json_member(cprof_buffer_text(answer), answer->len, "pprof", &text) ||
	    !cprof_base64_decode(cprof_buffer_text(&text), text.len, &bytes))
		return nothing();
	struct cprof_error *err = cprof_buffer_error(&bytes);
	if (err)
		return err;
	cprof_buffer_deinit(answer);
	*answer = bytes;
	bytes = (struct cprof_buffer){ 0 };
	return NULL;
}

static const char *const json_headers[] = { "Accept: application/json", NULL };

const struct cprof_query_backend cprof_query_parca = {
	.prefix = "parca",
	.counted_end = ":delta",
	.headers = json_headers,
	.make = make_json,
	.take = take_json,
};

/* ---- over gRPC ---- */

static void put_timestamp(struct cprof_buffer *out, uint32_t field, uint64_t wall_ns)
{
	CPROF_AUTO(buffer) struct cprof_buffer moment = { 0 };
	cprof_proto_put_number(&moment, 1, wall_ns / CPROF_NS_PER_S);
	cprof_proto_put_number(&moment, 2, wall_ns % CPROF_NS_PER_S);
	cprof_proto_put_message(out, field, &moment);
}

static void make_grpc(const struct cprof_query *query, struct cprof_query_request *request)
{
	CPROF_AUTO(buffer) struct cprof_buffer merge = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer message = { 0 };
	cprof_buffer_printf(&request->url, "%s" GRPC_PATH, cprof_buffer_text(&query->server));
	cprof_proto_put_text(&merge, 1, cprof_buffer_text(&query->text));
	put_timestamp(&merge, 2, query->from_wall_ns);
	put_timestamp(&merge, 3, query->until_wall_ns);
	cprof_proto_put_number(&message, 1, MODE_MERGE);
	cprof_proto_put_message(&message, 3, &merge);
	cprof_proto_put_number(&message, 5, REPORT_PPROF);
	cprof_grpc_frame_put(&message, &request->body);
}

/* The bytes of one field of a message, the last of them; false: it is not there, or this is no message. */
static bool find_bytes(const uint8_t *data, size_t n, uint32_t number, struct cprof_wire *ret)
{
	struct cprof_wire message = { data, data + n, data };
	struct cprof_wire_field field;
	struct cprof_error *err;
	bool found = false, more;
	while (!(err = cprof_wire_next(&message, &field, &more)) && more) {
		if (field.number != number || field.type != CPROF_WIRE_BYTES)
			continue;
		*ret = field.bytes;
		found = true;
	}
	const bool whole = !err;
	cprof_error_free(err);
	return found && whole;
}

static struct cprof_error *take_grpc(struct cprof_buffer *answer)
{
	const uint8_t *message;
	struct cprof_wire profile;
	size_t n;
	if (!cprof_grpc_frame_take(answer->data, answer->len, &message, &n) ||
	    !find_bytes(message, n, FIELD_PPROF, &profile))
		return nothing();
	answer->len = (size_t)(profile.end - profile.at);
	memmove(answer->data, profile.at, answer->len);
	answer->data[answer->len] = 0;
	return NULL;
}

static const char *const grpc_headers[] = { "Content-Type: application/grpc", "TE: trailers",
					    NULL };

const struct cprof_query_backend cprof_query_parca_grpc = {
	.prefix = "parca",
	.grpc = true,
	.counted_end = ":delta",
	.headers = grpc_headers,
	.make = make_grpc,
	.take = take_grpc,
};
