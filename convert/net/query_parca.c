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
#include "base/proto_put.h"
#include "convert/net/query.h"

#define GRPC_PATH "/parca.query.v1alpha1.QueryService/Query"
#define JSON_PATH "/api/profiles/query"

enum { MODE_MERGE = 2, REPORT_PPROF = 1, FIELD_PPROF = 6, FRAME_HEAD = 5 };

static struct cprof_error *nothing(void)
{
	return cprof_error_new(CPROF_ERR_BAD_DATA, "there is no profile in the server's answer");
}

/* ---- as JSON ---- */

static void put_escaped(struct cprof_buffer *out, const char *text)
{
	for (; *text; text++) {
		if ((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
		    (*text >= '0' && *text <= '9') || strchr("-._~", *text))
			cprof_buffer_putc(out, *text);
		else
			cprof_buffer_printf(out, "%%%02X", (unsigned char)*text);
	}
}

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
	put_escaped(&request->url, cprof_buffer_text(&query->text));
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
	/* A byte that says "not compressed", and the length, highest byte first. */
	const size_t n = message.len;
	const unsigned char head[FRAME_HEAD] = { 0, (unsigned char)(n >> 24),
						 (unsigned char)(n >> 16), (unsigned char)(n >> 8),
						 (unsigned char)n };
	cprof_buffer_append(&request->body, head, sizeof(head));
	cprof_buffer_append(&request->body, cprof_buffer_text(&message), n);
	request->body.failed = request->body.failed || message.failed;
}

/* A varint at *at; false: it does not end. */
static bool take_varint(const uint8_t *data, size_t n, size_t *at, uint64_t *ret)
{
	*ret = 0;
	for (unsigned shift = 0; shift < 64 && *at < n; shift += 7) {
		const uint8_t byte = data[(*at)++];
		*ret |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

/* The bytes of one field of a message, the last of them; false: it is not there, or this is no message. */
static bool find_bytes(const uint8_t *data, size_t n, uint64_t field, size_t *ret_at, size_t *ret_n)
{
	bool found = false;
	for (size_t at = 0; at < n;) {
		uint64_t tag, value = 0;
		if (!take_varint(data, n, &at, &tag))
			return false;
		const unsigned wire = tag & 7;
		if ((wire == 0 || wire == 2) && !take_varint(data, n, &at, &value))
			return false;
		const uint64_t skip = wire == 2 ? value : wire == 1 ? 8 : wire == 5 ? 4 : 0;
		if (wire == 3 || wire == 4 || wire > 5 || skip > n - at)
			return false;
		if (wire == 2 && tag >> 3 == field) {
			*ret_at = at;
			*ret_n = skip;
			found = true;
		}
		at += skip;
	}
	return found;
}

static struct cprof_error *take_grpc(struct cprof_buffer *answer)
{
	const uint8_t *data = answer->data;
	size_t at, n;
	if (answer->len < FRAME_HEAD || data[0] != 0)
		return nothing();
	const size_t frame =
		(size_t)data[1] << 24 | (size_t)data[2] << 16 | (size_t)data[3] << 8 | data[4];
	if (frame > answer->len - FRAME_HEAD ||
	    !find_bytes(data + FRAME_HEAD, frame, FIELD_PPROF, &at, &n))
		return nothing();
	memmove(answer->data, data + FRAME_HEAD + at, n);
	answer->len = n;
	answer->data[n] = 0;
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
