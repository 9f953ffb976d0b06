/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz_input_format.c - any file that somebody gives cprof: every reader, then a report, a merge and the writer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/formats/input_format.h"
#include "convert/output/format_table.h"
#include "convert/profile/heap_series.h"
#include "convert/report/filter_leaf.h"
#include "convert/report/report.h"
#include "cprof/merge.h"
#include "cprof/pprof_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void report(struct cprof_profile *profile, const char *name)
{
	struct cprof_config config;
	struct cprof_report *made;
	struct cprof_error *err = cprof_config_init(&config);
	if (!err)
		err = cprof_report_new(profile, cprof_format_find(name), NULL, &config, &made);
	if (!err) {
		char *text;
		size_t n;
		FILE *out = open_memstream(&text, &n);
		err = cprof_report_write(made, out);
		fclose(out);
		free(text);
		cprof_report_free(made);
	}
	cprof_error_free(err);
}

/* As one of several heap profiles. */
static void report_moment(const struct cprof_profile *profile)
{
	struct cprof_profile *moment;
	int64_t ms;
	struct cprof_error *err = cprof_profile_copy(profile, &moment);
	if (err) {
		cprof_error_free(err);
		return;
	}
	err = cprof_heap_series_moment(&moment, &ms);
	if (!err)
		report(moment, "leaks");
	cprof_error_free(err);
	cprof_profile_free(moment);
}

static void write_again(const struct cprof_profile *profile)
{
	struct cprof_buffer bytes = { 0 };
	struct cprof_profile *read;
	if (cprof_pprof_encode(profile, 0, &bytes) || !bytes.len)
		abort();
	struct cprof_error *err = cprof_input_decode(bytes.data, bytes.len, &read);
	if (err)
		abort(); /* what we write we must be able to read */
	cprof_profile_free(read);
	cprof_buffer_deinit(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "top",       "dot",        "traces",     "raw",
					     "tags",      "callgrind",  "tree",       "json",
					     "folded",    "speedscope", "flamegraph", "leaks",
					     "leaks_json" };
	struct cprof_profile *profile;
	if (size < 1 || size > 1 << 16)
		return 0;
	char *text = malloc(size); /* the readers of text are promised a zero byte behind it */
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	struct cprof_error *err = cprof_input_decode((const uint8_t *)text, size - 1, &profile);
	free(text);
	if (err) {
		cprof_error_free(err);
		return 0;
	}
	write_again(profile);
	cprof_error_free(cprof_filter_leaf_drop(profile));
	err = cprof_merge(&profile, 1, &profile);
	if (!err) {
		report_moment(profile);
		report(profile, names[data[0] % (sizeof(names) / sizeof(names[0]))]);
		cprof_profile_free(profile);
	}
	cprof_error_free(err);
	return 0;
}
