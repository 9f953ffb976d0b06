/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_raw.c - the pprof file to any URL, as it is; and to the OpenTelemetry Collector's receiver of pprof files.
 *
 * {service}, {type} and {time} in the URL are filled in, and then the file is PUT there: a name of its own for each profile is
 * what object stores want. Otherwise it is POSTed.
 */
#include <string.h>

#include "base/percent.h"
#include "convert/push/push_backend.h"
#include "convert/push/text_put.h"

#define RECEIVER_PATH "/v1/pprof"

static bool serves_all(const char *path, size_t n)
{
	(void)path;
	(void)n;
	return true;
}

static bool serves_receiver(const char *path, size_t n)
{
	return cprof_push_path_ends(path, n, RECEIVER_PATH);
}

static bool put_place(const struct cprof_push_part *part, const char *name, size_t n,
		      struct cprof_buffer *out)
{
	if (n == 7 && memcmp(name, "service", n) == 0)
		cprof_percent_encode(part->service, out);
	else if (n == 4 && memcmp(name, "type", n) == 0)
		cprof_percent_encode(part->kind, out);
	else if (n == 4 && memcmp(name, "time", n) == 0)
		cprof_push_put_time(out, part->from_wall_ns, "%Y%m%dT%H%M%SZ");
	else
		return false;
	return true;
}

static void make_raw(const struct cprof_push_part *part, struct cprof_push_request *request)
{
	size_t n = strcspn(part->url, "#");
	for (size_t i = 0; i < n; i++) {
		const char *end = part->url[i] == '{' ? strchr(part->url + i, '}') : NULL;
		size_t len = end ? (size_t)(end - part->url) - i - 1 : 0;
		if (end && put_place(part, part->url + i + 1, len, &request->url)) {
			request->put = true;
			i += len + 1;
		} else {
			cprof_buffer_putc(&request->url, part->url[i]);
		}
	}
	cprof_buffer_puts(&request->headers, "Content-Type: application/octet-stream\n");
	cprof_buffer_append(&request->body, part->pprof->data, part->pprof->len);
}

static void make_receiver(const struct cprof_push_part *part, struct cprof_push_request *request)
{
	cprof_push_put_url(&request->url, part->url, RECEIVER_PATH);
	cprof_buffer_puts(&request->headers, "Content-Type: application/octet-stream\n");
	cprof_buffer_append(&request->body, part->pprof->data, part->pprof->len);
}

const struct cprof_push_backend cprof_push_otelcol_pprof = {
	.name = "otelcol-pprof",
	.prefix = "otelcol-pprof",
	.serves = serves_receiver,
	.labels_in_samples = true,
	.requests = CPROF_PUSH_ATTRIBUTES,
	.make = make_receiver,
};

const struct cprof_push_backend cprof_push_raw = {
	.name = "raw",
	.prefix = "raw",
	.serves = serves_all,
	.as_is = true,
	.make = make_raw,
};
