/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/process_threads.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "cprof/hash.h"

struct cprof_process_threads {
	struct cprof_map64 by_tid;       /* -> index + 1 */
	struct cprof_process_thread *at; /* owned */
	size_t n, cap;
};

struct cprof_process_threads *cprof_process_threads_new(void)
{
	return calloc(1, sizeof(struct cprof_process_threads));
}

void cprof_process_threads_free(struct cprof_process_threads *threads)
{
	if (!threads)
		return;
	cprof_process_threads_clear(threads);
	free(threads->at);
	free(threads);
}

void cprof_process_threads_clear(struct cprof_process_threads *threads)
{
	cprof_map64_deinit(&threads->by_tid);
	threads->n = 0;
}

void cprof_process_threads_forget_labels(struct cprof_process_threads *threads)
{
	for (size_t i = 0; threads && i < threads->n; i++)
		threads->at[i].have_labels = false;
}

/* The entry for `tid`, made without a name if there was none. */
static struct cprof_process_thread *entry(struct cprof_process_threads *threads, pid_t tid,
					  bool *ret_new)
{
	uint64_t *known = cprof_map64_get(&threads->by_tid, (uint64_t)tid);
	*ret_new = !known;
	if (known)
		return &threads->at[*known - 1];
	if (threads->n >= CPROF_PROCESS_THREADS_MAX)
		cprof_process_threads_clear(threads);
	if (!CPROF_ARRAY_ROOM(threads->at, threads->n, threads->cap, 1))
		return NULL;
	uint64_t *place = cprof_map64_put(&threads->by_tid, (uint64_t)tid, NULL);
	if (!place)
		return NULL;
	struct cprof_process_thread *thread = &threads->at[threads->n++];
	*thread = (struct cprof_process_thread){ 0 };
	*place = threads->n;
	return thread;
}

static void rename_to(struct cprof_process_thread *thread, const char *name)
{
	if (strcmp(thread->name, name) == 0)
		return;
	snprintf(thread->name, sizeof(thread->name), "%s", name);
	thread->have_labels = false;
	thread->choice = CPROF_CHOICE_OPEN;
}

/* One open and read: this runs once per sampled thread, which may be a thousand a second. */
static bool read_name(pid_t pid, pid_t tid, char *name, size_t n)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)pid, (int)tid);
	CPROF_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, name, n - 1);
	if (got <= 0)
		return false;
	name[got] = 0;
	name[strcspn(name, "\n")] = 0;
	return true;
}

struct cprof_process_thread *cprof_process_threads_get(struct cprof_process_threads *threads,
						       const struct cprof_target *target, pid_t tid)
{
	bool added;
	struct cprof_process_thread *thread = entry(threads, tid, &added);
	if (!thread || !added)
		return thread;
	char name[CPROF_COMM_MAX];
	rename_to(thread, read_name(target->pid, tid, name, sizeof(name)) ? name : target->comm);
	return thread;
}

bool cprof_process_threads_set(struct cprof_process_threads *threads, pid_t tid, const char *name)
{
	bool added;
	struct cprof_process_thread *thread = entry(threads, tid, &added);
	if (thread)
		rename_to(thread, name);
	return thread;
}

bool cprof_process_threads_fork(struct cprof_process_threads *threads,
				const struct cprof_target *target, pid_t tid, pid_t parent)
{
	char name[CPROF_COMM_MAX];
	const struct cprof_process_thread *from =
		cprof_process_threads_get(threads, target, parent);
	if (!from)
		return false;
	snprintf(name, sizeof(name), "%s", from->name);
	return cprof_process_threads_set(threads, tid, name);
}
