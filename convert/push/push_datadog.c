/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_datadog.c - Datadog: a form of an event (JSON) and the pprof file, to an agent or straight to the intake.
 *
 * To an agent the path is /profiling/v1/input, to a host intake.profile.SITE it is /api/v2/profile and the key goes along.
 *
 * Source: libdatadog's profiling exporter, version 4 of the event.
 */
#include <string.h>

#include "base/json_put.h"
#include "base/cleanup.h"
#include "base/version.h"
#include "convert/push/push_backend.h"
#include "convert/push/text_put.h"

#define AGENT_PATH  "/profiling/v1/input"
#define INTAKE_PATH "/api/v2/profile"
#define TIME        "%Y-%m-%dT%H:%M:%SZ"

/* Tags are "name:value" with commas between; a name begins with a letter. */
static const struct cprof_push_grammar grammar = { .more_in_names = "_-./",
						   .not_in_values = ",",
						   .max_value = 200 };

static bool serves(const char *path, size_t n)
{
	return cprof_push_path_ends(path, n, AGENT_PATH) ||
	       cprof_push_path_ends(path, n, INTAKE_PATH);
}

static void put_tags(const struct cprof_push_part *part, struct cprof_buffer *out)
{
	cprof_buffer_printf(out, "service:%s,language:native,profiler_version:%s", part->service,
			    CPROF_VERSION);
	for (size_t i = 0; i < part->labels->len; i++)
		cprof_buffer_printf(out, ",%s:%s", part->labels->items[i].name,
				    part->labels->items[i].value);
}

static void put_event(const struct cprof_push_part *part, struct cprof_buffer *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer tags = { 0 };
	put_tags(part, &tags);
	cprof_buffer_puts(out, "{\"attachments\":[\"profile.pprof\"],\"tags_profiler\":");
	cprof_json_put(out, cprof_buffer_text(&tags));
	cprof_buffer_puts(out, ",\"start\":\"");
	cprof_push_put_time(out, part->from_wall_ns, TIME);
	cprof_buffer_puts(out, "\",\"end\":\"");
	cprof_push_put_time(out, part->until_wall_ns, TIME);
	cprof_buffer_puts(out,
			  "\",\"family\":\"native\",\"version\":\"4\",\"endpoint_counts\":null,"
			  "\"internal\":{},\"info\":{}}");
}

static void put_part(struct cprof_buffer *out, const char *boundary, const char *name,
		     const char *file, const char *type)
{
	cprof_buffer_printf(
		out,
		"--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\n"
		"Content-Type: %s\r\n\r\n",
		boundary, name, file, type);
}

static void make(const struct cprof_push_part *part, struct cprof_push_request *request)
{
	/* It must not be in what it parts. A gzip file has it by chance once in 10^50. */
	static const char boundary[] = "cprof-5b1f7c0e9d2a4836";
	const char *host = strstr(part->url, "://");
	bool intake = strncmp(host + 3, "intake.profile.", 15) == 0;
	size_t n = strcspn(part->url, "?#");
	bool whole = serves(part->url, n);
	cprof_push_put_url(&request->url, part->url,
			   whole    ? ""
			   : intake ? INTAKE_PATH
				    : AGENT_PATH);
	cprof_buffer_printf(&request->headers,
			    "Content-Type: multipart/form-data; boundary=%s\n"
			    "DD-EVP-ORIGIN: cprof-attach\nDD-EVP-ORIGIN-VERSION: %s\n",
			    boundary, CPROF_VERSION);
	request->secret_header = "DD-API-KEY";
	struct cprof_buffer *out = &request->body;
	put_part(out, boundary, "event", "event.json", "application/json");
	put_event(part, out);
	cprof_buffer_puts(out, "\r\n");
	put_part(out, boundary, "profile.pprof", "profile.pprof", "application/octet-stream");
	cprof_buffer_append(out, part->pprof->data, part->pprof->len);
	cprof_buffer_printf(out, "\r\n--%s--\r\n", boundary);
}

const struct cprof_push_backend cprof_push_datadog = {
	.name = "datadog",
	.prefix = "datadog",
	.serves = serves,
	.grammar = &grammar,
	.make = make,
};
