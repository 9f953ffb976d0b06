/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/ring/longest_wait.h"

#include <errno.h>
#include <stdlib.h>

#include "attach/locks/wait_kind.h"
#include "base/cleanup.h"

#define TEXT_MAX 512

static bool read_call(pid_t pid, pid_t tid, struct cprof_thread_call *ret, int *ret_errno)
{
	char text[TEXT_MAX];
	const int n = cprof_thread_read(pid, tid, "syscall", text, sizeof(text));
	*ret_errno = n < 0 ? -n : 0;
	return n > 0 && cprof_thread_call_parse(text, ret);
}

/* How often it was put on a processor; 0: nobody knows. */
static uint64_t read_runs(pid_t pid, pid_t tid)
{
	struct cprof_thread_schedstat now;
	return cprof_thread_schedstat_read(pid, tid, &now) ? now.runs : 0;
}

static char read_state(pid_t pid, pid_t tid)
{
	char text[TEXT_MAX];
	struct cprof_thread_stat stat;
	return cprof_thread_read(pid, tid, "stat", text, sizeof(text)) > 0 &&
			       cprof_thread_stat_parse(text, &stat)
		       ? stat.state
		       : 'X';
}

/* For a lock that somebody holds; or where no signal reaches it, which is how a disk is waited for. */
static bool counts(pid_t pid, pid_t tid, const struct cprof_thread_call *call)
{
	if (call->kind != CPROF_CALL_BLOCKED && call->kind != CPROF_CALL_OUTSIDE)
		return false;
	if (call->kind == CPROF_CALL_BLOCKED && cprof_wait_is_futex((int32_t)call->nr)) {
		const struct cprof_wait wait = { .tid = (uint32_t)tid,
						 .syscall = (int32_t)call->nr,
						 .addr = call->args[0],
						 .futex_op = (uint32_t)call->args[1],
						 .futex_val = (uint32_t)call->args[2] };
		const enum cprof_wait_kind kind = cprof_wait_kind_by_number(&wait);
		return cprof_wait_kind_is_lock(kind);
	}
	return read_state(pid, tid) == 'D';
}

static const struct cprof_longest_wait_thread *find(const struct cprof_longest_wait_thread *threads,
						    size_t n, size_t *at, pid_t tid)
{
	while (*at < n && threads[*at].tid < tid)
		++*at;
	return *at < n && threads[*at].tid == tid ? &threads[*at] : NULL;
}

static int ascending(const void *a, const void *b)
{
	const pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;
	return (x > y) - (x < y);
}

/* One thread; false: it waits for nothing that counts. */
static bool look(pid_t pid, pid_t tid, uint64_t now_ns,
		 const struct cprof_longest_wait_thread *before,
		 struct cprof_longest_wait_thread *ret, int *ret_errno)
{
	struct cprof_longest_wait_thread thread = { .tid = tid, .since_mono_ns = now_ns };
	thread.runs = read_runs(pid, tid);
	if (!read_call(pid, tid, &thread.call, ret_errno) || !counts(pid, tid, &thread.call))
		return false;
	if (before && before->runs == thread.runs &&
	    cprof_thread_call_same(&before->call, &thread.call))
		thread.since_mono_ns = before->since_mono_ns;
	*ret = thread;
	return true;
}

struct cprof_error *cprof_longest_wait_look(struct cprof_longest_wait *waits, pid_t pid,
					    uint64_t now_ns, uint64_t *ret_ns)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0, kept = 0, at = 0, refused = 0;
	int why = 0;
	struct cprof_error *err = cprof_thread_list(pid, &tids, &n);
	CPROF_AUTO(free)
	struct cprof_longest_wait_thread *threads = err ? NULL : calloc(n + 1, sizeof(*threads));
	if (err)
		return err;
	if (!threads)
		return cprof_error_no_memory();
	qsort(tids, n, sizeof(*tids), ascending);
	*ret_ns = 0;
	for (size_t i = 0; i < n; i++) {
		const struct cprof_longest_wait_thread *before =
			find(waits->threads, waits->n, &at, tids[i]);
		if (look(pid, tids[i], now_ns, before, &threads[kept], &why)) {
			const uint64_t waited = now_ns - threads[kept++].since_mono_ns;
			*ret_ns = waited > *ret_ns ? waited : *ret_ns;
		}
		refused += why == EACCES || why == EPERM;
	}
	free(waits->threads);
	waits->threads = cprof_take_ptr(&threads);
	waits->n = kept;
	if (n && refused == n)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_DENIED,
					"/proc/%d/task/TID/syscall: what its threads wait for is "
					"refused",
					(int)pid),
			"run as the process's user or as root");
	return NULL;
}

void cprof_longest_wait_deinit(struct cprof_longest_wait *waits)
{
	free(waits->threads);
	*waits = (struct cprof_longest_wait){ 0 };
}
