/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a query, and any bytes as a server's answer to one: refused with a reason, or within what was there. */
#include <stdlib.h>
#include <string.h>

#include "convert/net/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void as_source(const uint8_t *data, size_t n)
{
	char text[1024];
	struct cprof_query query = { 0 };
	struct cprof_query_request request = { 0 };
	n = n < sizeof(text) ? n : sizeof(text) - 1;
	memcpy(text, data, n);
	text[n] = 0;
	struct cprof_error *err = cprof_query_read(text, 1764345600000000000u, &query);
	if (err && err->code != CPROF_ERR_USAGE)
		abort();
	if (!err) {
		query.backend->make(&query, &request);
		if (strncmp(cprof_buffer_text(&request.url), "http", 4) != 0)
			abort();
	}
	cprof_error_free(err);
	cprof_query_request_deinit(&request);
	cprof_query_deinit(&query);
}

static void as_answer(const struct cprof_query_backend *backend, const uint8_t *data, size_t n)
{
	struct cprof_buffer answer = { 0 };
	cprof_buffer_append(&answer, data, n);
	struct cprof_error *err = backend->take(&answer);
	if (err ? err->code != CPROF_ERR_BAD_DATA : answer.len > n)
		abort();
	cprof_error_free(err);
	cprof_buffer_deinit(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	as_source(data, n);
	as_answer(&cprof_query_parca, data, n);
	as_answer(&cprof_query_parca_grpc, data, n);
	return 0;
}
