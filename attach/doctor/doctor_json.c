/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/doctor/doctor_json.h"

#include <stdlib.h>
#include <string.h>

#include "attach/doctor/doctor_grant.h"
#include "base/cleanup.h"
#include "convert/output/json.h"

/* "NAME":VALUE, null where there is none. */
static void put_member(const char *name, const char *value, FILE *out)
{
	fprintf(out, "\"%s\":", name);
	if (value)
		cprof_json_put_string(out, value);
	else
		fputs("null", out);
}

static void put_bool(const char *name, bool value, FILE *out)
{
	fprintf(out, ",\"%s\":%s", name, value ? "true" : "false");
}

/* Lines of text as an array. */
static void put_lines(const char *name, const struct cprof_buffer *text, FILE *out)
{
	const char *joint = "";
	fprintf(out, ",\"%s\":[", name);
	for (const char *at = cprof_buffer_text(text); *at;) {
		const size_t len = strcspn(at, "\n");
		CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
		cprof_buffer_append(&line, at, len);
		fputs(joint, out);
		cprof_json_put_string(out, cprof_buffer_text(&line));
		joint = ",";
		at += len + (at[len] == '\n');
	}
	fputc(']', out);
}

static void put_grants(const struct cprof_doctor *doctor, uint32_t grants, const char *program,
		       FILE *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer names = { 0 }, commands = { 0 }, pod = { 0 };
	cprof_doctor_grants_names(grants, &names);
	cprof_doctor_grants_commands(grants, &doctor->host, program, &commands);
	cprof_doctor_grants_pod(grants, &pod);
	put_lines("missing", &names, out);
	put_lines("commands", &commands, out);
	put_lines("pod", &pod, out);
}

static void put_finding(const struct cprof_doctor *doctor,
			const struct cprof_doctor_finding *finding, const char *program, FILE *out)
{
	fputs("\n    {", out);
	put_member("means", finding->check->means, out);
	fputc(',', out);
	put_member("tells", finding->check->tells, out);
	fputc(',', out);
	put_member("verdict", cprof_doctor_verdict_name(finding->verdict), out);
	fputc(',', out);
	put_member("why", finding->why, out);
	fputc(',', out);
	put_member("hint", finding->hint, out);
	put_bool("extra", finding->check->extra, out);
	put_grants(doctor, finding->grants, program, out);
	fputc('}', out);
}

static void put_groups(const struct cprof_doctor *doctor, const char *program, FILE *out)
{
	const char *joint = "";
	fputs(",\n\"groups\":[", out);
	for (size_t at = 0, first, end; cprof_doctor_next_group(doctor, &at, &first, &end);) {
		fprintf(out, "%s\n  {", joint);
		put_member("name", doctor->findings[first].check->group, out);
		fputc(',', out);
		put_member(
			"verdict",
			cprof_doctor_verdict_name(cprof_doctor_group_verdict(doctor, first, end)),
			out);
		fputs(",\"means\":[", out);
		for (size_t i = first; i < end; i++) {
			put_finding(doctor, &doctor->findings[i], program, out);
			fputs(i + 1 < end ? "," : "", out);
		}
		fputs("]}", out);
		joint = ",";
	}
	fputc(']', out);
}

static void put_files(const struct cprof_doctor *doctor, FILE *out)
{
	fputs(",\n\"files\":[", out);
	for (size_t i = 0; i < doctor->files.n; i++) {
		const struct cprof_doctor_file *file = &doctor->files.all[i];
		fputs(i ? ",\n  {" : "\n  {", out);
		put_member("path", file->path, out);
		fputc(',', out);
		put_member("lacks", file->lacks, out);
		put_bool("functions", file->functions, out);
		fputc(',', out);
		put_member("advice", file->advice, out);
		fputc('}', out);
	}
	fputs("]", out);
}

static void put_host(const struct cprof_doctor_host *host, FILE *out)
{
	fputs(",\n\"host\":{", out);
	put_member("release", host->release, out);
	fprintf(out,
		",\"uid\":%u,\"capabilities\":\"%016llx\",\"perf_event_paranoid\":%d,"
		"\"kptr_restrict\":%d,\"yama_ptrace_scope\":%d",
		(unsigned)host->uid, (unsigned long long)host->caps, host->paranoid, host->kptr,
		host->yama);
	put_bool("first_user_namespace", host->first_userns, out);
	put_bool("first_pid_namespace", host->first_pidns, out);
	put_bool("seccomp_filter", host->filtered, out);
	put_bool("locked_down", host->locked, out);
	fputc('}', out);
}

void cprof_doctor_json_put(const struct cprof_doctor *doctor, const char *program, FILE *out)
{
	fputc('{', out);
	put_member("verdict", cprof_doctor_verdict_name(cprof_doctor_verdict(doctor)), out);
	if (doctor->pid)
		fprintf(out, ",\"pid\":%d,", (int)doctor->pid);
	else
		fputs(",\"pid\":null,", out);
	put_member("comm", doctor->pid ? doctor->comm : NULL, out);
	put_grants(doctor, cprof_doctor_all_grants(doctor), program, out);
	put_host(&doctor->host, out);
	put_groups(doctor, program, out);
	put_files(doctor, out);
	fputs("}\n", out);
}
