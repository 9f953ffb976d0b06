/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_host.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"

#define OTHER_FILES 64 /* descriptors for everything else we open */

struct cprof_error *cprof_perf_host_cpus(int **ret_cpus, size_t *ret_n)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_file_read("/sys/devices/system/cpu/online", 65536, &text);
	if (err)
		return err;
	CPROF_AUTO(free) int *cpus = NULL;
	size_t n = 0, cap = 0;
	for (const char *at = cprof_buffer_text(&text); *at >= '0' && *at <= '9';) {
		char *end;
		long first = strtol(at, &end, 10), last = first;
		if (*end == '-')
			last = strtol(end + 1, &end, 10);
		if (last < first || last > 65535)
			break;
		if (!CPROF_ARRAY_ROOM(cpus, n, cap, (size_t)(last - first) + 1))
			return cprof_error_no_memory();
		while (first <= last)
			cpus[n++] = (int)first++;
		at = *end == ',' ? end + 1 : end;
	}
	if (!n)
		return cprof_error_new(CPROF_ERR_BAD_DATA, "/sys/devices/system/cpu/online: \"%s\"",
				       cprof_buffer_text(&text));
	*ret_cpus = cprof_take_ptr(&cpus);
	*ret_n = n;
	return NULL;
}

bool cprof_perf_host_leaves_files(int fd)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return true;
	/* Of a very small limit half: some events are better than none. */
	rlim_t kept = limit.rlim_cur / 2 < OTHER_FILES / 2 ? limit.rlim_cur / 2 : OTHER_FILES / 2;
	return (rlim_t)fd + kept < limit.rlim_cur;
}

void cprof_perf_host_raise_files(size_t n)
{
	struct rlimit limit;
	rlim_t want = n + OTHER_FILES;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= want)
		return;
	struct rlimit raised = { .rlim_cur = want,
				 .rlim_max = limit.rlim_max > want ? limit.rlim_max : want };
	if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
		return;
	limit.rlim_cur = limit.rlim_max; /* without CAP_SYS_RESOURCE this much is ours */
	setrlimit(RLIMIT_NOFILE, &limit);
}

bool cprof_perf_host_has_files(size_t n)
{
	struct rlimit limit;
	cprof_perf_host_raise_files(n);
	return getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= n + OTHER_FILES;
}

/* The offsets are those that our children will have, who are in our namespace unless we have asked for another one for them. */
static bool read_clock_offset(int64_t *ret_s, int64_t *ret_ns)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct stat ours, childrens;
	if (stat("/proc/self/ns/time", &ours) != 0 ||
	    stat("/proc/self/ns/time_for_children", &childrens) != 0 ||
	    ours.st_ino != childrens.st_ino)
		return false;
	struct cprof_error *err = cprof_file_read("/proc/self/timens_offsets", 4096, &text);
	const char *line = err ? NULL : strstr(cprof_buffer_text(&text), "monotonic");
	cprof_error_free(err); /* no such namespaces in this kernel */
	return line && sscanf(line, "monotonic %" SCNd64 " %" SCNd64, ret_s, ret_ns) == 2;
}

struct cprof_error *cprof_perf_host_check_clock(void)
{
	int64_t s = 0, ns = 0;
	if (!read_clock_offset(&s, &ns) || (!s && !ns))
		return NULL;
	return cprof_error_hint(
		cprof_error_new(CPROF_ERR_UNSUPPORTED,
				"we are in a time namespace whose clock is %" PRId64
				" s off the machine's, by which events tell when they were",
				s),
		"run it in the machine's: nsenter --time --target 1 cprof-attach ...");
}
