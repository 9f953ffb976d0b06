/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/cmd_doctor.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/doctor/doctor.h"
#include "attach/doctor/doctor_grant.h"
#include "attach/doctor/doctor_json.h"
#include "attach/doctor/doctor_text.h"
#include "base/cleanup.h"
#include "base/printable_text.h"

static struct cprof_error *check(const struct cprof_attach_options *options, bool *ret_json)
{
	const char *format = options->format ? options->format : "text";
	*ret_json = strcmp(format, "json") == 0;
	if (!*ret_json && strcmp(format, "text") != 0)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-doctor: -format is text or json, not \"%s\"", format);
	if (options->n_pids + options->names.len > 1 || options->command.len)
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-doctor looks at one process that runs: -p PID or -n NAME");
	return NULL;
}

static struct cprof_error *find(const struct cprof_attach_options *options, pid_t *ret_pid)
{
	*ret_pid = options->n_pids ? options->pids[0] : 0;
	return options->names.len ? cprof_target_find(options->names.items[0], ret_pid) : NULL;
}

static struct cprof_error *print(const struct cprof_doctor *doctor, bool json)
{
	char program[PATH_MAX];
	const ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 1);
	program[len > 0 ? len : 0] = 0;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	errno = 0;
	if (json) {
		cprof_doctor_json_put(doctor, program, stdout);
	} else {
		cprof_doctor_text_put(doctor, program, &text);
		struct cprof_error *err = cprof_buffer_error(&text);
		if (err)
			return err;
		cprof_printable_write(stdout, cprof_buffer_text(&text), text.len);
	}
	if (fflush(stdout) == EOF || ferror(stdout))
		return cprof_error_os(errno, "write to stdout");
	return NULL;
}

struct cprof_error *cprof_cmd_doctor(const struct cprof_attach_options *options, bool *ret_works)
{
	struct cprof_doctor_request request = { .naming = options->naming };
	struct cprof_doctor *doctor = NULL;
	bool json;
	struct cprof_error *err = check(options, &json);
	if (!err)
		err = find(options, &request.pid);
	if (!err)
		err = cprof_doctor_examine(&request, &doctor);
	if (!err)
		err = print(doctor, json);
	*ret_works = !err && cprof_doctor_verdict(doctor) == CPROF_DOCTOR_WORKS;
	cprof_doctor_free(doctor);
	return err;
}

void cprof_cmd_doctor_table(void)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_doctor_grants_document(&text);
	fputs(cprof_buffer_text(&text), stdout);
}
