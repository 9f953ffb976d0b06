/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_parca.c - Parca and Polar Signals: ProfileStoreService/WriteRaw, over gRPC or as JSON.
 *
 * WriteRawRequest{ series = 2 { labels = 1 { labels = 1 { name = 1, value = 2 } }, samples = 2 { raw_profile = 1 } } }. What is
 * held (inuse_*) and what is counted go apart: with a duration Parca takes all of a profile for counts per time.
 *
 * Sources: Parca's parca/profilestore/v1alpha1/profilestore.proto; gRPC over HTTP2, "Requests" and "Responses"; what Parca
 * answers was tried with it.
 */
#include <string.h>

#include "base/json_put.h"
#include "base/base64.h"
#include "base/cleanup.h"
#include "base/proto_put.h"
#include "convert/net/grpc_frame.h"
#include "convert/net/grpc_head.h"
#include "convert/push/push_backend.h"

#define GRPC_PATH "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw"
#define JSON_PATH "/api/profiles/writeraw"
#define MAX_BYTES (16u << 20)

static const struct cprof_push_grammar grammar = { .more_in_names = "_" };

static bool serves_grpc(const char *path, size_t n)
{
	return cprof_push_path_ends(path, n, GRPC_PATH);
}

static bool serves_json(const char *path, size_t n)
{
	return cprof_push_path_ends(path, n, JSON_PATH);
}

static void put_request(const struct cprof_push_part *part, struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer series = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer labels = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer sample = { 0 };
	cprof_proto_put_pair(&labels, 1, "__name__", cprof_push_type_name(part->kind));
	cprof_proto_put_pair(&labels, 1, "service_name", part->service);
	for (size_t i = 0; i < part->labels->len; i++)
		cprof_proto_put_pair(&labels, 1, part->labels->items[i].name,
				     part->labels->items[i].value);
	cprof_proto_put_message(&sample, 1, part->pprof);
	cprof_proto_put_message(&series, 1, &labels);
	cprof_proto_put_message(&series, 2, &sample);
	cprof_proto_put_message(out, 2, &series);
}

static void make_grpc(const struct cprof_push_part *part, struct cprof_push_request *request)
{
	CPROF_AUTO(buffer) struct cprof_buffer message = { 0 };
	put_request(part, &message);
	request->grpc = true;
	cprof_push_put_url(&request->url, part->url, GRPC_PATH);
	cprof_buffer_puts(&request->headers, "Content-Type: application/grpc\nTE: trailers\n");
	cprof_grpc_frame_put(&message, &request->body);
}

static void put_json_label(struct cprof_buffer *out, const char *name, const char *value)
{
	cprof_buffer_puts(out, "{\"name\":");
	cprof_json_put(out, name);
	cprof_buffer_puts(out, ",\"value\":");
	cprof_json_put(out, value);
	cprof_buffer_putc(out, '}');
}

static void make_json(const struct cprof_push_part *part, struct cprof_push_request *request)
{
	struct cprof_buffer *out = &request->body;
	cprof_push_put_url(&request->url, part->url, JSON_PATH);
	cprof_buffer_puts(&request->headers, "Content-Type: application/json\n");
	cprof_buffer_puts(out, "{\"series\":[{\"labels\":{\"labels\":[");
	put_json_label(out, "__name__", cprof_push_type_name(part->kind));
	cprof_buffer_putc(out, ',');
	put_json_label(out, "service_name", part->service);
	for (size_t i = 0; i < part->labels->len; i++) {
		cprof_buffer_putc(out, ',');
		put_json_label(out, part->labels->items[i].name, part->labels->items[i].value);
	}
	cprof_buffer_puts(out, "]},\"samples\":[{\"raw_profile\":\"");
	cprof_base64_encode(part->pprof->data, part->pprof->len, out);
	cprof_buffer_puts(out, "\"}]}]}");
}

static enum cprof_push_verdict judge_grpc(const struct cprof_push_answer *answer)
{
	if (answer->status != 200)
		return cprof_push_judge_http(answer);
	switch (answer->grpc_status) {
	case CPROF_GRPC_OK:
		return CPROF_PUSH_DELIVERED;
	case CPROF_GRPC_NONE: /* the answer ended before its trailers */
	case CPROF_GRPC_CANCELLED:
	case CPROF_GRPC_DEADLINE:
	case CPROF_GRPC_ABORTED:
	case CPROF_GRPC_UNAVAILABLE:
		return CPROF_PUSH_AGAIN;
	case CPROF_GRPC_EXHAUSTED:
		return strstr(answer->words, "larger than max") ? CPROF_PUSH_REFUSED
								: CPROF_PUSH_AGAIN;
	case CPROF_GRPC_DENIED:
	case CPROF_GRPC_UNAUTHENTICATED:
	case CPROF_GRPC_UNIMPLEMENTED: /* somebody else's server */
		return CPROF_PUSH_HELD;
	default:
		return CPROF_PUSH_REFUSED;
	}
}

const struct cprof_push_backend cprof_push_parca = {
	.name = "parca",
	.prefix = "parca",
	.grpc = true,
	.serves = serves_grpc,
	.grammar = &grammar,
	.max_bytes = MAX_BYTES,
	.gauges_apart = true,
	.own_types = true,
	.make = make_grpc,
	.judge = judge_grpc,
};

const struct cprof_push_backend cprof_push_parca_json = {
	.name = "parca-json",
	.prefix = "parca",
	.serves = serves_json,
	.grammar = &grammar,
	.max_bytes = MAX_BYTES,
	.gauges_apart = true,
	.own_types = true,
	.make = make_json,
};
