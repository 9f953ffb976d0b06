/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/thread_runs.h"

#include <stdlib.h>
#include <string.h>

static int by_number(const void *a, const void *b)
{
	const pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;
	return (x > y) - (x < y);
}

/* `runs` are one more than there is room for. */
static void join_nearest(struct cprof_thread_run *runs)
{
	size_t best = 1;
	for (size_t i = 2; i <= CPROF_THREAD_RUNS_MAX; i++) {
		if (runs[i].first - runs[i - 1].last < runs[best].first - runs[best - 1].last)
			best = i;
	}
	runs[best - 1].last = runs[best].last;
	memmove(&runs[best], &runs[best + 1], (CPROF_THREAD_RUNS_MAX - best) * sizeof(*runs));
}

void cprof_thread_runs_of(pid_t *tids, size_t n, uint32_t newest, struct cprof_thread_runs *ret)
{
	struct cprof_thread_run runs[CPROF_THREAD_RUNS_MAX + 1];
	size_t n_runs = 0;
	if (n)
		qsort(tids, n, sizeof(*tids), by_number);
	for (size_t i = 0; i < n; i++) {
		const uint32_t tid = (uint32_t)tids[i];
		if (n_runs && tid <= runs[n_runs - 1].last + 1) {
			runs[n_runs - 1].last = tid;
			continue;
		}
		runs[n_runs++] = (struct cprof_thread_run){ tid, tid };
		if (n_runs > CPROF_THREAD_RUNS_MAX) {
			join_nearest(runs);
			n_runs--;
		}
	}
	*ret = (struct cprof_thread_runs){ .n = n_runs, .newest = newest };
	memcpy(ret->runs, runs, n_runs * sizeof(*runs));
}

bool cprof_thread_runs_has(const struct cprof_thread_runs *runs, uint32_t tid)
{
	bool has = tid > runs->newest;
	for (size_t i = 0; !has && i < runs->n; i++)
		has = tid >= runs->runs[i].first && tid <= runs->runs[i].last;
	return has;
}

void cprof_thread_runs_filter(const struct cprof_thread_runs *runs, struct cprof_buffer *out)
{
	cprof_buffer_printf(out, "common_pid > %u", runs->newest);
	for (size_t i = 0; i < runs->n; i++) {
		const struct cprof_thread_run *run = &runs->runs[i];
		if (run->first == run->last)
			cprof_buffer_printf(out, " || common_pid == %u", run->first);
		else
			cprof_buffer_printf(out, " || common_pid >= %u && common_pid <= %u",
					    run->first, run->last);
	}
}
