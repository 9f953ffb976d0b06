/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz_http_ask.c - a request as it comes from anybody: method, path, query and headers, a line each, then a body.
 */
#include <stdlib.h>
#include <string.h>

#include "convert/http/http_access.h"
#include "convert/http/http_address.h"
#include "attach/serve/ask.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

enum { METHOD, PATH, QUERY, HOST, ORIGIN, SITE, BODY, N_PARTS };

/* The parts in place; what is missing is "". */
static void split(char *text, char **parts)
{
	for (size_t i = 0; i < N_PARTS; i++) {
		parts[i] = text;
		char *end = i < BODY ? strchr(text, '\n') : NULL;
		text = end ? end + 1 : text + strlen(text);
		if (end)
			*end = 0;
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char *text = strndup((const char *)data, size), *parts[N_PARTS];
	struct cprof_http_address address;
	struct cprof_ask ask;
	split(text, parts);
	const struct cprof_http_headers headers = { parts[HOST], parts[ORIGIN], parts[SITE] };
	cprof_http_access_refuse(&headers, false);
	const struct cprof_http_request request = {
		.method = parts[METHOD],
		.path = parts[PATH],
		.query = parts[QUERY],
		.body = (const uint8_t *)parts[BODY],
		.n_body = strlen(parts[BODY]),
		.is_form = true,
	};
	cprof_ask_read(&request, &ask);
	if (ask.kind == CPROF_ASK_ENDPOINT &&
	    ask.length_ns > CPROF_ASK_SECONDS_MAX * (uint64_t)1000000000)
		abort();
	cprof_ask_deinit(&ask);
	cprof_error_free(cprof_http_address_parse(parts[HOST], &address));
	free(text);
	return 0;
}
