/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a process by name: cprof_target_find() of target.h. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/target/target.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/printable_text.h"

#define LISTED_MAX 20 /* lines in the hint; more only get counted */
#define SHOWN_MAX  70 /* bytes of a command line */

/* The base name of the program file, without the kernel's " (deleted)". */
static bool program_is(pid_t pid, const char *name)
{
	char path[64], target[4096];
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = 0;
	char *deleted = strstr(target, " (deleted)");
	if (deleted && !deleted[strlen(" (deleted)")])
		*deleted = 0;
	const char *base = strrchr(target, '/');
	return strcmp(base ? base + 1 : target, name) == 0;
}

/* comm is cut at 15 bytes by the kernel, so a longer name is compared with what can be there. */
static bool comm_is(pid_t pid, const char *name)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	cprof_error_free(cprof_file_read(path, 4096, &text));
	const char *comm = cprof_buffer_text(&text);
	size_t len = strcspn(comm, "\n");
	return len && strlen(name) == len && memcmp(comm, name, len) == 0;
}

static void list_line(struct cprof_buffer *out, pid_t pid)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	cprof_error_free(cprof_file_read(path, (size_t)1 << 22, &text));
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == 0) /* between the arguments */
			text.data[i] = ' ';
	}
	cprof_buffer_printf(out, "\n  -p %-7d ", (int)pid);
	cprof_printable_put(out, cprof_buffer_text(&text),
			    text.len < SHOWN_MAX ? text.len : SHOWN_MAX, "");
}

struct cprof_error *cprof_target_find(const char *name, pid_t *ret_pid)
{
	CPROF_AUTO(closedir) DIR *dir = opendir("/proc");
	CPROF_AUTO(buffer) struct cprof_buffer list = { 0 };
	pid_t found = 0;
	size_t n = 0;
	if (!dir)
		return cprof_error_os(errno, "open /proc");
	for (const struct dirent *entry; (entry = readdir(dir));) {
		char *end;
		pid_t pid = (pid_t)strtol(entry->d_name, &end, 10);
		if (*end || pid <= 0 || pid == getpid() ||
		    !(comm_is(pid, name) || program_is(pid, name)))
			continue;
		found = pid;
		if (n++ < LISTED_MAX)
			list_line(&list, pid);
	}
	if (n == 1) {
		*ret_pid = found;
		return NULL;
	}
	if (n == 0) {
		struct cprof_error *err =
			cprof_error_new(CPROF_ERR_NO_TARGET, "no process is called \"%s\"", name);
		return cprof_error_hint(err, "-n takes the whole name, as in ps -e");
	}
	if (n > LISTED_MAX)
		cprof_buffer_printf(&list, "\n  and %zu more", n - LISTED_MAX);
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_USAGE, "%zu processes are called \"%s\"", n, name);
	return cprof_error_hint(err, "choose one:%s", cprof_buffer_text(&list));
}
