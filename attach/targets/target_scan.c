/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/targets/target_scan.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/search.h"

#define PROCESSES_MAX ((size_t)1 << 22) /* the kernel's own limit of ids */

static int compare(const void *a, const void *b)
{
	const pid_t left = *(const pid_t *)a, right = *(const pid_t *)b;
	return (left > right) - (left < right);
}

static struct cprof_error *list(pid_t **ret_pids, size_t *ret_n)
{
	CPROF_AUTO(closedir) DIR *dir = opendir("/proc");
	CPROF_AUTO(free) pid_t *pids = NULL;
	size_t n = 0, cap = 0;
	if (!dir)
		return cprof_error_os(errno, "open /proc");
	for (const struct dirent *entry; (entry = readdir(dir)) && n < PROCESSES_MAX;) {
		char *end;
		const long pid = strtol(entry->d_name, &end, 10);
		if (*end || pid <= 0)
			continue;
		if (!CPROF_ARRAY_ROOM(pids, n, cap, 1))
			return cprof_error_no_memory();
		pids[n++] = (pid_t)pid;
	}
	if (n)
		qsort(pids, n, sizeof(*pids), compare);
	*ret_pids = cprof_take_ptr(&pids);
	*ret_n = n;
	return NULL;
}

void cprof_target_scan_deinit(struct cprof_target_scan *scan)
{
	free(scan->pids);
	*scan = (struct cprof_target_scan){ 0 };
}

struct cprof_error *cprof_target_scan_look(struct cprof_target_scan *scan, size_t turns,
					   void (*fn)(void *ctx, pid_t pid), void *ctx)
{
	pid_t *pids = NULL;
	size_t n = 0;
	struct cprof_error *err = list(&pids, &n);
	if (err)
		return err;
	const size_t turn = scan->turn++;
	for (size_t i = 0, old = 0; i < n; i++) {
		while (old < scan->n && scan->pids[old] < pids[i])
			old++;
		const bool known = old < scan->n && scan->pids[old] == pids[i];
		/* By id and not by place: places move while processes come and go. */
		if (!known || (size_t)pids[i] % turns == turn % turns)
			fn(ctx, pids[i]);
	}
	free(scan->pids);
	scan->pids = pids;
	scan->n = n;
	return NULL;
}

bool cprof_target_scan_has(const struct cprof_target_scan *scan, pid_t pid)
{
	const size_t at = CPROF_SEARCH(i, scan->n, scan->pids[i] < pid);
	return at < scan->n && scan->pids[at] == pid;
}
