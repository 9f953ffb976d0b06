/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/net/remote_symbols.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "convert/formats/legacy.h"
#include "convert/net/curl_api.h"
#include "convert/net/curl_options.h"

#define TIMEOUT_S    60L
#define TOTAL_S      300 /* for all mappings; a slow server is asked many times */
#define ANSWER_BYTES (64u << 20)
#define GET_BYTES    4000 /* of addresses in one URL; servers take 8 KiB and more */

struct exchange {
	const struct cprof_curl_api *api;
	const struct cprof_remote_symbols_request *request;
	struct cprof_buffer url; /* of the symbols */
	struct cprof_buffer answer;
	uint64_t until_mono_ns; /* no question begins after that */
	long status;
	char why[CURL_ERROR_SIZE];
};

static size_t take_bytes(char *bytes, size_t one, size_t n, void *ctx)
{
	struct exchange *x = ctx;
	(void)one;
	if (x->answer.len + n > ANSWER_BYTES)
		return 0;
	cprof_buffer_append(&x->answer, bytes, n);
	return x->answer.failed ? 0 : n;
}

/* One request: addresses in the body, or where `body` is NULL, in the URL already. */
static struct cprof_error *ask(struct exchange *x, const char *url, const char *body)
{
	const struct cprof_curl_api *api = x->api;
	uint64_t now = cprof_clock_mono_ns();
	if (now >= x->until_mono_ns)
		return cprof_error_new(CPROF_ERR_OS, "it took more than %d s", TOTAL_S);
	long left_s = (long)((x->until_mono_ns - now) / CPROF_NS_PER_S) + 1;
	CURL *curl = api->easy_init();
	if (!curl)
		return cprof_error_no_memory();
	struct curl_slist *headers =
		api->slist_append(NULL, "Content-Type: application/octet-stream");
	cprof_curl_options_set(api, curl, &x->request->tls, x->request->url->insecure);
	api->easy_setopt(curl, CURLOPT_URL, url);
	api->easy_setopt(curl, CURLOPT_ERRORBUFFER, x->why);
	api->easy_setopt(curl, CURLOPT_TIMEOUT, left_s < TIMEOUT_S ? left_s : TIMEOUT_S);
	api->easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	api->easy_setopt(curl, CURLOPT_WRITEDATA, x);
	if (body) {
		api->easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		api->easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
		api->easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	}
	x->status = 0;
	CURLcode code = api->easy_perform(curl);
	api->easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &x->status);
	api->slist_free_all(headers);
	api->easy_cleanup(curl);
	if (x->answer.failed)
		return cprof_error_no_memory();
	return code == CURLE_OK ? NULL
				: cprof_error_new(CPROF_ERR_OS, "%s",
						  *x->why ? x->why : api->easy_strerror(code));
}

/* Go's own server takes no POST there since version 1.22; addresses then go into URLs, some at a time. */
static struct cprof_error *ask_by_get(struct exchange *x, const char *addresses)
{
	struct cprof_error *err = NULL;
	while (*addresses && !err) {
		size_t n = strlen(addresses);
		if (n > GET_BYTES) {
			n = GET_BYTES;
			while (n && addresses[n] != '+')
				n--;
		}
		CPROF_AUTO(buffer) struct cprof_buffer url = { 0 };
		cprof_buffer_printf(&url, "%s?%.*s", cprof_buffer_text(&x->url), (int)n, addresses);
		err = cprof_buffer_error(&url);
		if (!err)
			err = ask(x, cprof_buffer_text(&url), NULL);
		if (!err && x->status != 200)
			break;
		addresses += n + (addresses[n] == '+');
	}
	return err;
}

static bool wants_name(const struct cprof_location *location, uint32_t mapping)
{
	return location->mapping == mapping && location->address && !location->n_lines;
}

static struct cprof_error *name_mapping(struct exchange *x, struct cprof_profile *p,
					uint32_t mapping)
{
	CPROF_AUTO(buffer) struct cprof_buffer addresses = { 0 };
	for (uint32_t i = 0; i < p->n_locations; i++) {
		if (wants_name(&p->locations[i], mapping))
			cprof_buffer_printf(&addresses, "%s0x%" PRIx64, addresses.len ? "+" : "",
					    p->locations[i].address);
	}
	struct cprof_error *err = cprof_buffer_error(&addresses);
	if (err || !addresses.len)
		return err;
	x->answer.len = 0;
	err = ask(x, cprof_buffer_text(&x->url), cprof_buffer_text(&addresses));
	if (!err && x->status == 405) {
		x->answer.len = 0;
		err = ask_by_get(x, cprof_buffer_text(&addresses));
	}
	if (!err && x->status != 200)
		err = cprof_error_new(CPROF_ERR_OS, "the server answers %ld", x->status);
	return err ? err
		   : cprof_remote_symbols_take(p, mapping, cprof_buffer_text(&x->answer),
					       x->answer.len);
}

static struct cprof_error *put_name(struct cprof_profile *p, const char *name,
				    uint32_t *ret_function)
{
	struct cprof_function function = { 0 };
	struct cprof_error *err = cprof_profile_string(p, name, &function.name);
	function.system_name = function.name;
	return err ? err : cprof_profile_function(p, &function, ret_function);
}

/* The answer's addresses with the functions that they are in. Lines of another form say something else. */
static struct cprof_error *read_answer(struct cprof_profile *p, struct cprof_lines *lines,
				       struct cprof_map64 *functions)
{
	const char *line;
	struct cprof_error *err = NULL;
	while (!err && (line = cprof_lines_next(lines))) {
		const char *at = strstr(line, "0x");
		uint64_t address;
		uint32_t function;
		if (!at || !cprof_scan_hex(&at, &address) || (*at != ' ' && *at != '\t'))
			continue;
		at += strspn(at, " \t");
		if (!*at)
			continue;
		err = put_name(p, at, &function);
		uint64_t *place = err ? NULL : cprof_map64_put(functions, address, NULL);
		if (place)
			*place = (uint64_t)function + 1;
		else if (!err)
			err = cprof_error_no_memory();
	}
	return err;
}

struct cprof_error *cprof_remote_symbols_take(struct cprof_profile *profile, uint32_t mapping,
					      const char *answer, size_t n)
{
	struct cprof_map64 functions = { 0 };
	CPROF_AUTO(lines)
	struct cprof_lines lines = {
		.at = answer, .end = answer + n, .start = answer, .line_start = answer
	};
	struct cprof_error *err = read_answer(profile, &lines, &functions);
	for (uint32_t i = 0; i < profile->n_locations && !err; i++) {
		const struct cprof_location *location = &profile->locations[i];
		uint64_t *place = wants_name(location, mapping) && functions.len
					  ? cprof_map64_get(&functions, location->address)
					  : NULL;
		if (!place)
			continue;
		struct cprof_line line = { .function = (uint32_t)(*place - 1) };
		err = cprof_profile_set_lines(profile, i, &line, 1);
	}
	if (!err && mapping)
		profile->mappings[mapping - 1].has_functions = true;
	cprof_map64_deinit(&functions);
	return err;
}

struct cprof_error *cprof_remote_symbols_add(const struct cprof_remote_symbols_request *request,
					     struct cprof_profile *profile)
{
	struct exchange x = { .request = request,
			      .until_mono_ns = cprof_clock_mono_ns() + TOTAL_S * CPROF_NS_PER_S };
	struct cprof_error *err = cprof_curl_api_load(&x.api);
	cprof_source_url_symbols(cprof_buffer_text(&request->url->text), &x.url);
	if (!err)
		err = cprof_buffer_error(&x.url);
	for (uint32_t i = 0; i < profile->n_mappings && !err; i++) {
		if (request->force || !profile->mappings[i].has_functions)
			err = name_mapping(&x, profile, i + 1);
	}
	if (err && x.url.len)
		err = cprof_error_wrap(err, "names from %s", cprof_buffer_text(&x.url));
	cprof_buffer_deinit(&x.url);
	cprof_buffer_deinit(&x.answer);
	return err;
}
