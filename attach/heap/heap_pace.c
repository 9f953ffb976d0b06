#include "attach/heap/heap_pace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/file.h"

/* What one sample costs the target: the slow path and a few cold cache lines; docs/heap.md has the measurement. */
#define SAMPLE_NS  2500.0
#define PERIOD_MAX (1ull << 32)
#define SMAPS_MAX  ((size_t)256 << 20)

bool cprof_heap_pace_next(struct cprof_heap_pace *pace, uint64_t samples, uint64_t cpu_ns,
			  uint64_t mono_ns)
{
	uint64_t was = pace->period;
	if (pace->mono_ns && mono_ns > pace->mono_ns) {
		double seconds = (double)(mono_ns - pace->mono_ns);
		double cost = ((double)(samples - pace->samples) * SAMPLE_NS +
			       (double)(cpu_ns - pace->cpu_ns)) /
			      seconds;
		if (cost > pace->budget) {
			/* Cost goes with 1/period; more than fourfold at once would overshoot on a burst. */
			double factor = cost / pace->budget;
			pace->period =
				(uint64_t)((double)pace->period * (factor > 4 ? 4 : factor)) + 1;
		} else if (cost < pace->budget / 3) {
			pace->period /= 2;
		}
		if (pace->period > PERIOD_MAX)
			pace->period = PERIOD_MAX;
		if (pace->period < pace->base)
			pace->period = pace->base;
	}
	pace->samples = samples;
	pace->cpu_ns = cpu_ns;
	pace->mono_ns = mono_ns;
	return pace->period != was;
}

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

struct cprof_error *cprof_heap_baseline(pid_t pid, uint64_t *ret_bytes)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	struct cprof_error *err = cprof_file_read(path, SMAPS_MAX, &text);
	if (err)
		return err;
	uint64_t kib = 0, sum = 0;
	bool counts = false;
	for (const char *line = cprof_buffer_text(&text); *line;) {
		const char *end = strchr(line, '\n');
		if (sscanf(line, "Anonymous: %" SCNu64 " kB", &kib) == 1 ||
		    sscanf(line, "Swap: %" SCNu64 " kB", &kib) == 1)
			sum += counts ? kib * 1024 : 0;
		else if ((*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f'))
			counts = is_heap(line);
		if (!end)
			break;
		line = end + 1;
	}
	*ret_bytes = sum;
	return NULL;
}
