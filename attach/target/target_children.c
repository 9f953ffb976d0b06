/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/target_children.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/target/thread_proc.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "cprof/buffer.h"

#define PROCESSES_MAX 4096 /* that are looked at */
#define TEXT_MAX      (256 * 1024)

struct family {
	pid_t *pids; /* owned; those behind `at` are still to be looked at */
	size_t n, cap, at;
};

/* In ticks: its own time and that of the children it has waited for. */
static void read_times(pid_t pid, uint64_t *ret_own, uint64_t *ret_children)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	uint64_t user, system, children_user, children_system;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	struct cprof_error *err = cprof_file_read(path, TEXT_MAX, &text);
	const char *after = err ? NULL : strrchr(cprof_buffer_text(&text), ')');
	cprof_error_free(err);
	*ret_own = *ret_children = 0;
	if (!after || sscanf(after + 1,
			     " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
			     " %" SCNu64 " %" SCNu64,
			     &user, &system, &children_user, &children_system) != 4)
		return;
	*ret_own = user + system;
	*ret_children = children_user + children_system;
}

static void add_children(struct family *family, pid_t pid, pid_t tid)
{
	char path[80];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)tid);
	struct cprof_error *err = cprof_file_read(path, TEXT_MAX, &text);
	const char *at = err ? "" : cprof_buffer_text(&text);
	cprof_error_free(err);
	for (char *end; family->n < PROCESSES_MAX; at = end) {
		long child = strtol(at, &end, 10);
		if (end == at || !CPROF_ARRAY_ROOM(family->pids, family->n, family->cap, 1))
			return;
		family->pids[family->n++] = (pid_t)child;
	}
}

static void add_children_of_threads(struct family *family, pid_t pid)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	cprof_error_free(cprof_thread_list(pid, &tids, &n));
	for (size_t i = 0; i < n; i++)
		add_children(family, pid, tids[i]);
}

static void add_all(struct family *family, pid_t pid)
{
	add_children_of_threads(family, pid);
	while (family->at < family->n)
		add_children_of_threads(family, family->pids[family->at++]);
}

void cprof_target_children_list(pid_t pid, pid_t **ret_pids, size_t *ret_n)
{
	struct family family = { 0 };
	add_all(&family, pid);
	*ret_pids = family.pids;
	*ret_n = family.n;
}

struct cprof_error *cprof_target_children_open(pid_t pid, const struct cprof_target *parent,
					       struct cprof_target **ret_target)
{
	struct cprof_target *target = malloc(sizeof(*target));
	if (!target)
		return cprof_error_no_memory();
	*target = *parent;
	target->pid = target->ns_pid = pid;
	target->leader_gone = target->launched = target->exited = false;
	target->pidfd = (int)syscall(SYS_pidfd_open, pid, 0u);
	if (target->pidfd < 0)
		cprof_target_children_ended(target);
	*ret_target = target;
	return NULL;
}

void cprof_target_children_ended(struct cprof_target *target)
{
	if (target->pidfd >= 0)
		close(target->pidfd);
	target->pidfd = -1;
	target->exited = true;
	target->exited_mono_ns =
		UINT64_MAX; /* records come in the order of time: none is of the next with this id */
}

uint64_t cprof_target_children_cpu_ns(pid_t pid)
{
	struct family family = { 0 };
	uint64_t own, waited_for, ticks;
	read_times(pid, &own, &ticks);
	add_all(&family, pid);
	for (size_t i = 0; i < family.n; i++) {
		read_times(family.pids[i], &own, &waited_for);
		ticks += own + waited_for;
	}
	free(family.pids);
	return ticks * (CPROF_NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}
