/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_baseline.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"

#define SMAPS_MAX ((size_t)256 << 20)

/* The head of a mapping in smaps: is it memory that an allocator may have? */
static bool is_heap(const char *line)
{
	char prot[8] = "", path[64] = "";
	unsigned long long start, end, offset, inode;
	unsigned major, minor;
	int n = sscanf(line, "%llx-%llx %7s %llx %x:%x %llu %63s", &start, &end, prot, &offset,
		       &major, &minor, &inode, path);
	return n >= 7 && inode == 0 && strncmp(prot, "rw", 2) == 0 && prot[3] == 'p' &&
	       strncmp(path, "[stack", 6) != 0 && strncmp(path, "[v", 2) != 0;
}

uint64_t cprof_heap_baseline_of(const char *smaps)
{
	uint64_t kib = 0, sum = 0;
	bool counts = false;
	for (const char *at = smaps; *at;) {
		/* A line by itself: sscanf() first looks for the end of all that it is given. */
		char line[256];
		const char *end = strchr(at, '\n');
		size_t n = end ? (size_t)(end - at) : strlen(at);
		n = n < sizeof(line) ? n : sizeof(line) - 1;
		memcpy(line, at, n);
		line[n] = 0;
		if (sscanf(line, "Anonymous: %" SCNu64 " kB", &kib) == 1 ||
		    sscanf(line, "Swap: %" SCNu64 " kB", &kib) == 1)
			sum += counts ? kib * 1024 : 0;
		else if ((*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f'))
			counts = is_heap(line);
		if (!end)
			break;
		at = end + 1;
	}
	return sum;
}

struct cprof_error *cprof_heap_baseline(pid_t pid, uint64_t *ret_bytes)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	struct cprof_error *err = cprof_file_read(path, SMAPS_MAX, &text);
	if (!err)
		*ret_bytes = cprof_heap_baseline_of(cprof_buffer_text(&text));
	return err;
}
