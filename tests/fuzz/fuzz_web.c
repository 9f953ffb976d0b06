/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz_web.c - a request to the web view as it comes from anybody: path and query, a line each, then a profile that was uploaded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/formats/input_format.h"
#include "convert/web/compare.h"
#include "convert/web/web_page.h"
#include "convert/web/web_query.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* Programs that a profile names are looked for, and tools are started on them: not here. */
static bool is_slow(const struct cprof_web_page *page)
{
	return strcmp(page->name, "disasm") == 0;
}

static void write_page(const struct cprof_web_page *page, struct cprof_web_query *query,
		       struct cprof_profile *profile)
{
	const struct cprof_format *format = page->json;
	struct cprof_report *report;
	char *text = NULL;
	size_t n = 0;
	struct cprof_error *err = cprof_report_new(
		profile, format, format->arg ? query->config.focus : NULL, &query->config, &report);
	FILE *out = err ? NULL : open_memstream(&text, &n);
	if (out) {
		err = cprof_report_write(report, out);
		fclose(out);
	}
	if (!err || out)
		cprof_report_free(report);
	free(text);
	cprof_error_free(err);
}

/* The upload beside itself: both are taken to pieces. */
static void show(const struct cprof_web_page *page, struct cprof_web_query *query,
		 const char *upload)
{
	struct cprof_web_recordings recordings = { 0 };
	struct cprof_profile *profile = NULL;
	struct cprof_error *err =
		cprof_input_decode((const uint8_t *)upload, strlen(upload), &profile);
	if (!err)
		err = cprof_web_recordings_add(&recordings, profile, "upload", true, NULL);
	const struct cprof_web_choice choice = {
		.recordings = &recordings,
		.profile = 1,
		.base = query->base.len ? 1 : 0,
		.norm = query->norm,
		.mark_base = true,
		.by_module = query->by_module,
	};
	if (!err)
		err = cprof_web_compare(&choice, &profile);
	if (!err) {
		write_page(page, query, profile);
		cprof_profile_free(profile);
	}
	cprof_error_free(err);
	cprof_web_recordings_deinit(&recordings);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	char *text = strndup((const char *)data, size),
	     *query_text = text ? strchr(text, '\n') : NULL;
	char *upload = query_text ? strchr(query_text + 1, '\n') : NULL;
	struct cprof_config config;
	struct cprof_web_query query;
	if (!upload || size > 65536) {
		free(text);
		return 0;
	}
	*query_text++ = 0;
	*upload++ = 0;
	const struct cprof_web_page *page = cprof_web_page_find(text);
	struct cprof_error *err = cprof_config_init(&config);
	if (!err)
		err = cprof_web_query_read(query_text, &config, &query);
	if (!err && page && !is_slow(page))
		show(page, &query, upload);
	cprof_error_free(err);
	cprof_web_query_deinit(&query);
	free(text);
	return 0;
}
