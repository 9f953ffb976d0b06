/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_firefox.c - firefox: the Firefox Profiler's processed format, for profiles whose samples say when they were.
 *
 * Version 56, which every profiler.firefox.com since spring 2025 reads; newer ones make it into theirs. Source: firefox-devtools/profiler,
 * src/types/profile.ts and docs-developer/CHANGELOG-formats.md.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/path.h"
#include "base/version.h"
#include "convert/output/firefox_thread.h"
#include "convert/output/json.h"
#include "convert/profile/deflate.h"
#include "convert/profile/process_comment.h"

#define FORMAT     56
#define GECKO      31 /* the version of the raw format at that time; nothing here depends on it */
#define GZIP_LEVEL 6
#define NS_PER_MS  1e6

/* ---- what threads share ---- */

/* What has no name is called by its address, by strings behind all others. */
static struct cprof_error *name_infos(struct cprof_firefox *f)
{
	uint32_t next = f->n_strings + 1; /* behind "Wait" */
	f->name_of = calloc((size_t)f->infos->n + 1, sizeof(*f->name_of));
	if (!f->name_of)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < f->infos->n; i++) {
		const uint32_t name = f->infos->all[i].name;
		f->name_of[i] = name ? (uint32_t)f->string_of[name] : next++;
	}
	return NULL;
}

static void put_unnamed(const struct cprof_firefox *f, FILE *out)
{
	for (uint32_t i = 0; i < f->infos->n; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		if (f->infos->all[i].name)
			continue;
		cprof_node_infos_compose(f->infos, &f->infos->all[i], "", "", " ", &text);
		fputs(",\n", out);
		cprof_json_put_string(out, cprof_buffer_text(&text));
	}
}

/* Strings in the order of the profile, so that a number is known before all are. */
static struct cprof_error *number_strings(struct cprof_firefox *f)
{
	const struct cprof_profile *p = f->report->profile;
	const uint32_t n = p->strings.len;
	f->string_of = malloc(((size_t)n + 1) * sizeof(*f->string_of));
	f->lib_of = malloc(((size_t)n + 1) * sizeof(*f->lib_of));
	if (!f->string_of || !f->lib_of)
		return cprof_error_no_memory();
	for (uint32_t s = 0; s < n; s++)
		f->string_of[s] = f->lib_of[s] = -1;
	for (uint32_t i = 0; i < f->infos->n; i++) {
		const struct cprof_node_info *info = &f->infos->all[i];
		f->string_of[info->name] = f->string_of[info->file] = 0;
		f->string_of[info->objfile] = 0;
		if (info->objfile)
			f->lib_of[info->objfile] = 0;
	}
	for (uint32_t s = 0; s < n; s++) {
		if (f->string_of[s] >= 0)
			f->string_of[s] = (int32_t)f->n_strings++;
		if (f->lib_of[s] >= 0)
			f->lib_of[s] = (int32_t)f->n_libs++;
	}
	return name_infos(f);
}

static int find_type(const struct cprof_profile *p, const char *const *names)
{
	for (; *names; names++) {
		for (uint32_t i = 0; i < p->n_types; i++) {
			if (strcmp(cprof_profile_text(p, p->types[i].type), *names) == 0 &&
			    strcmp(cprof_profile_text(p, p->types[i].unit), "nanoseconds") == 0)
				return (int)i;
		}
	}
	return -1;
}

static int64_t find_pid(const struct cprof_profile *p)
{
	struct cprof_process_comment process;
	return cprof_process_comment_find(p, &process) ? process.pid : 0;
}

static void choose_weight(struct cprof_firefox *f)
{
	const char *unit = f->report->sample_unit;
	f->weight_type = "samples";
	f->weight_unit = 1;
	if (cprof_measure_compatible(unit, "nanoseconds")) {
		f->weight_type = "tracing-ms";
		f->weight_unit = cprof_measure_scale(1000000, unit, "milliseconds").value / 1e6;
	} else if (strcmp(unit, "bytes") == 0) {
		f->weight_type = "bytes";
	}
}

/* ---- writing ---- */

static void put_lib(const struct cprof_profile *p, uint32_t path, FILE *out)
{
	const char *text = cprof_profile_text(p, path), *build_id = "";
	for (uint32_t i = 0; i < p->n_mappings; i++) {
		if (p->mappings[i].filename == path)
			build_id = cprof_profile_text(p, p->mappings[i].build_id);
	}
	fputs("{\"arch\":\"\",", out);
	cprof_json_put_member(out, "name", cprof_path_base(text));
	fputc(',', out);
	cprof_json_put_member(out, "path", text);
	fputc(',', out);
	cprof_json_put_member(out, "debugName", cprof_path_base(text));
	fputc(',', out);
	cprof_json_put_member(out, "debugPath", text);
	fputs(",\"breakpadId\":\"\",\"codeId\":", out);
	if (*build_id)
		cprof_json_put_string(out, build_id);
	else
		fputs("null", out);
	fputc('}', out);
}

static void put_meta(const struct cprof_firefox *f, FILE *out)
{
	static const char *const categories[][2] = {
		[CPROF_FIREFOX_OTHER] = { "Other", "grey" },
		[CPROF_FIREFOX_USER] = { "User", "yellow" },
		[CPROF_FIREFOX_KERNEL] = { "Kernel", "orange" },
		[CPROF_FIREFOX_BLOCKED] = { "Off CPU", "blue" },
	};
	const struct cprof_profile *p = f->report->profile;
	const char *title = cprof_report_title(f->report);
	fprintf(out,
		"{\"meta\":{\"version\":%d,\"preprocessedProfileVersion\":%d,\"processType\":0,"
		"\"stackwalk\":1,\"debug\":false,\"symbolicated\":true,"
		"\"symbolicationNotSupported\":true,\"usesOnlyOneStackType\":true,"
		"\"sourceCodeIsNotOnSearchfox\":true,\"importedFrom\":\"cprof %s\","
		"\"interval\":%.6f,\"startTime\":%.6f,",
		GECKO, FORMAT, CPROF_VERSION, (double)f->timed->width_ns / NS_PER_MS,
		((double)p->time_ns + (double)(p->time_ns ? 0 : f->timed->origin_ns)) / NS_PER_MS);
	if (p->duration_ns > 0)
		fprintf(out, "\"profilingStartTime\":0,\"profilingEndTime\":%.6f,",
			(double)p->duration_ns / NS_PER_MS);
	cprof_json_put_member(out, "product", *title ? title : "profile");
	fputs(",\"sampleUnits\":{\"time\":\"ms\",\"eventDelay\":\"ms\",\"threadCPUDelta\":\"ns\"},"
	      "\"extensions\":{\"baseURL\":[],\"id\":[],\"name\":[],\"length\":0},\n\"categories\":[",
	      out);
	for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++)
		fprintf(out, "%s{\"name\":\"%s\",\"color\":\"%s\",\"subcategories\":[\"Other\"]}",
			i ? "," : "", categories[i][0], categories[i][1]);
	fputs("],\n\"markerSchema\":[{\"name\":\"Wait\",\"tooltipLabel\":\"{marker.data.reason}\","
	      "\"tableLabel\":\"{marker.data.reason}\",\"chartLabel\":\"{marker.data.reason}\","
	      "\"display\":[\"marker-chart\",\"marker-table\",\"timeline-overview\"],"
	      "\"description\":\"A thread was not on a processor\","
	      "\"fields\":[{\"key\":\"reason\",\"label\":\"Reason\",\"format\":\"string\"}]}]},\n",
	      out);
}

static void put_libs(const struct cprof_firefox *f, FILE *out)
{
	const struct cprof_profile *p = f->report->profile;
	bool first = true;
	fputs("\"libs\":[", out);
	for (uint32_t s = 0; s < p->strings.len; s++) {
		if (f->lib_of[s] < 0)
			continue;
		fputs(first ? "\n" : ",\n", out);
		put_lib(p, s, out);
		first = false;
	}
	fputs("],\n\"pages\":[],\"counters\":[],\"profilerOverhead\":[],\n", out);
}

/* The last but the unnamed is the name of waits. */
static void put_strings(const struct cprof_firefox *f, FILE *out)
{
	const struct cprof_profile *p = f->report->profile;
	fputs("\"shared\":{\"stringArray\":[", out);
	for (uint32_t s = 0; s < p->strings.len; s++) {
		if (f->string_of[s] < 0)
			continue;
		cprof_json_put_string(out, cprof_profile_text(p, s));
		fputs(",\n", out);
	}
	fputs("\"Wait\"", out);
	put_unnamed(f, out);
	fputs("]},\n", out);
}

static struct cprof_error *put_all(const struct cprof_firefox *f, FILE *out)
{
	struct cprof_error *err = NULL;
	put_meta(f, out);
	put_libs(f, out);
	put_strings(f, out);
	fputs("\"threads\":[", out);
	for (uint32_t i = 0; !err && i < f->timed->n_threads; i++) {
		fputs(i ? ",\n" : "\n", out);
		err = cprof_firefox_thread_put(f, i, out);
	}
	fputs("]}\n", out);
	return err;
}

/* Without an ending that says otherwise it is compressed: such files are large, and the viewer takes both. */
static bool is_plain(const char *path)
{
	const size_t n = strlen(path);
	return n > 5 && strcmp(path + n - 5, ".json") == 0;
}

static struct cprof_error *write_compressed(const struct cprof_firefox *f, FILE *out)
{
	CPROF_AUTO(free) char *text = NULL;
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	size_t n = 0;
	FILE *memory = open_memstream(&text, &n);
	if (!memory)
		return cprof_error_no_memory();
	struct cprof_error *err = put_all(f, memory);
	if (fclose(memory) != 0 && !err)
		err = cprof_error_no_memory();
	if (!err)
		err = cprof_deflate((const uint8_t *)text, n, GZIP_LEVEL, &bytes);
	if (!err)
		fwrite(bytes.data, 1, bytes.len, out);
	return err;
}

static struct cprof_error *no_times(void)
{
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_USAGE,
				"firefox: no sample of this profile says when it was"),
		"files of cprof-attach's mode cpu do, by the label time_ms; a flame graph needs no times");
}

static struct cprof_error *write_timed(struct cprof_report *report, struct cprof_firefox *f,
				       FILE *out)
{
	static const char *const cpu[] = { "cpu", NULL };
	static const char *const waits[] = { "offcpu", "delay", NULL };
	f->cpu_type = find_type(report->profile, cpu);
	f->wait_type = find_type(report->profile, waits);
	f->main_pid = find_pid(report->profile);
	choose_weight(f);
	if (f->timed->n_without)
		cprof_buffer_printf(&report->warnings,
				    "%u samples do not say when they were and are left out\n",
				    f->timed->n_without);
	struct cprof_error *err = number_strings(f);
	if (err)
		return err;
	return is_plain(report->config.output) ? put_all(f, out) : write_compressed(f, out);
}

static struct cprof_error *write_firefox(struct cprof_report *report, FILE *out)
{
	struct cprof_node_infos infos = { 0 };
	struct cprof_timed_samples timed;
	struct cprof_firefox firefox = { .report = report, .infos = &infos, .timed = &timed };
	struct cprof_error *err = cprof_timed_samples_init(&timed, report);
	if (!err && !timed.n)
		err = no_times();
	if (!err)
		err = cprof_node_infos_init(&infos, report);
	if (!err)
		err = write_timed(report, &firefox, out);
	free(firefox.string_of);
	free(firefox.lib_of);
	free(firefox.name_of);
	cprof_node_infos_deinit(&infos);
	cprof_timed_samples_deinit(&timed);
	return err;
}

const struct cprof_format cprof_format_firefox = {
	.name = "firefox",
	.help = "a file for profiler.firefox.com: threads over time; samples have to say when they were",
	.suffix = "firefox.json.gz",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_TREE | CPROF_FORMAT_BINARY |
		 CPROF_FORMAT_LINES | CPROF_FORMAT_OBJECTS | CPROF_FORMAT_ANY_STRING |
		 CPROF_FORMAT_TIMES,
	.write = write_firefox,
};
