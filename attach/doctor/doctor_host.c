/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/doctor/doctor_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "attach/perf/perf_event.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

/* include/linux/proc_ns.h: PROC_USER_INIT_INO, PROC_PID_INIT_INO. */
#define FIRST_USERNS   0xeffffffdu
#define FIRST_PIDNS    0xeffffffcu
#define SECCOMP_FILTER 2 /* proc(5) "Seccomp" */

bool cprof_doctor_host_has(const struct cprof_doctor_host *host, unsigned capability)
{
	return host->first_userns && (host->caps >> capability & 1);
}

/* The number behind "NAME:" at the start of a line; 0 where there is none. */
static uint64_t field(const char *status, const char *name, int base)
{
	const size_t len = strlen(name);
	for (const char *line = status; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			return strtoull(line + len + 1, NULL, base);
	}
	return 0;
}

void cprof_doctor_host_parse(struct cprof_doctor_host *host, const char *status)
{
	host->caps = field(status, "CapEff", 16);
	host->filtered = field(status, "Seccomp", 10) == SECCOMP_FILTER;
}

static bool read_text(const char *path, struct cprof_buffer *text)
{
	struct cprof_error *err = cprof_file_read(path, 16384, text);
	const bool good = !err;
	cprof_error_free(err);
	return good;
}

static int read_setting(const char *path)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	return read_text(path, &text) ? atoi(cprof_buffer_text(&text)) : -1;
}

static bool is_first(const char *path, ino_t first)
{
	struct stat st;
	return stat(path, &st) != 0 || st.st_ino == first;
}

void cprof_doctor_host_read(struct cprof_doctor_host *host)
{
	CPROF_AUTO(buffer) struct cprof_buffer status = { 0 }, lockdown = { 0 };
	struct utsname name;
	*host = (struct cprof_doctor_host){
		.first_userns = is_first("/proc/self/ns/user", FIRST_USERNS),
		.first_pidns = is_first("/proc/self/ns/pid", FIRST_PIDNS),
		.paranoid = cprof_perf_event_paranoid(),
		.yama = read_setting("/proc/sys/kernel/yama/ptrace_scope"),
		.kptr = read_setting("/proc/sys/kernel/kptr_restrict"),
		.uid = geteuid(),
	};
	if (read_text("/proc/self/status", &status))
		cprof_doctor_host_parse(host, cprof_buffer_text(&status));
	if (read_text("/sys/kernel/security/lockdown", &lockdown))
		host->locked = strstr(cprof_buffer_text(&lockdown), "[confidentiality]") != NULL;
	if (uname(&name) == 0)
		snprintf(host->release, sizeof(host->release), "%s", name.release);
}
