/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_observer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/target/foreign_pid.h"
#include "base/cleanup.h"
#include "base/clock.h"

static struct cprof_error *open_iter(struct cprof_thread_observer *observer, const char *cache_dir)
{
	/* A BPF program sees the numbers of the initial namespace; elsewhere they would be other processes'. */
	if (!cprof_foreign_pid_in_first_namespace())
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "no BPF task iterator inside a pid namespace");
	return cprof_thread_iter_open(observer->target->pid, cache_dir, &observer->iter);
}

/* By the iterator where that is wanted; an error only where nothing else is. */
static struct cprof_error *choose(struct cprof_thread_observer *observer,
				  enum cprof_thread_observer_by by, const char *cache_dir,
				  struct cprof_run_log *log)
{
	struct cprof_error *err = by == CPROF_OBSERVER_PROC ? NULL : open_iter(observer, cache_dir);
	if (err && by == CPROF_OBSERVER_ITER)
		return err;
	if (err)
		cprof_run_log_note(log, CPROF_NOTE_DETAIL, "threads: %s; using /proc",
				   err->message);
	cprof_error_free(err);
	return NULL;
}

struct cprof_error *cprof_thread_observer_open(struct cprof_target *target,
					       enum cprof_thread_observer_by by,
					       const char *cache_dir, struct cprof_run_log *log,
					       struct cprof_thread_observer *ret_observer)
{
	char path[64];
	long ticks = sysconf(_SC_CLK_TCK);
	struct cprof_thread_observer observer = {
		.target = target,
		.tick_ns = CPROF_NS_PER_S / (uint64_t)(ticks > 0 ? ticks : 100),
	};
	snprintf(path, sizeof(path), "/proc/%d/task", (int)target->pid);
	observer.task_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (observer.task_fd < 0)
		return cprof_error_os(errno == ENOENT ? ESRCH : errno, "open %s", path);
	struct cprof_error *err = choose(&observer, by, cache_dir, log);
	if (err) {
		close(observer.task_fd);
		return err;
	}
	*ret_observer = observer;
	return NULL;
}

void cprof_thread_observer_close(struct cprof_thread_observer *observer)
{
	cprof_thread_iter_close(observer->iter);
	close(observer->task_fd);
}

bool cprof_thread_observer_has_stack(char state)
{
	return state != 'Z' && state != 'X' && state != 'x';
}

/* ---- one thread, by iterator ---- */

static void fill_from_iter(const struct cprof_thread_iter_row *row, struct cprof_thread *thread)
{
	thread->tid = (pid_t)row->tid;
	memcpy(thread->name, row->name, sizeof(row->name));
	thread->name[sizeof(row->name)] = 0;
	cprof_thread_name_clean(thread->name);
	thread->state = cprof_thread_iter_state(row);
	thread->cpu = (int)row->cpu;
	thread->start = row->start_ns;
	thread->cpu_ns = row->ran_ns;
	thread->switches = row->voluntary + row->involuntary;
	thread->last_ns = row->last_ns;
	thread->means = CPROF_MEANS_NONE;
	thread->why = NULL;
	thread->call = (struct cprof_thread_call){ .kind = CPROF_CALL_RUNNING, .nr = -1 };
	if (!cprof_thread_observer_has_stack(thread->state) || row->on_cpu)
		return;
	/* Also of a thread that waits for a CPU: it went into the kernel to be preempted. */
	cprof_thread_regs_from_kernel(row->regs, &thread->regs);
	thread->means = CPROF_MEANS_ITER;
	if (thread->state != 'R')
		cprof_thread_regs_call(row->regs, &thread->call);
}

/* ---- one thread, by /proc ---- */

/* 0, or an errno; of an empty file ESRCH. */
static int read_file(const struct cprof_thread_observer *observer, pid_t tid, const char *name,
		     char *buf, size_t cap)
{
	char path[64];
	snprintf(path, sizeof(path), "%d/%s", (int)tid, name);
	CPROF_AUTO(close) int fd = openat(observer->task_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, cap - 1);
	if (n <= 0)
		return n < 0 ? errno : ESRCH;
	buf[n] = 0;
	return 0;
}

bool cprof_thread_observer_read(const struct cprof_thread_observer *observer, pid_t tid,
				const char *name, char *buf, size_t cap)
{
	return read_file(observer, tid, name, buf, cap) == 0;
}

/* How often it has run: from `sched`; where the kernel was built without, from `status`. */
static void read_switches(const struct cprof_thread_observer *observer, struct cprof_thread *thread)
{
	char text[4096];
	struct cprof_thread_switches switches;
	struct cprof_thread_status status;
	if (cprof_thread_observer_read(observer, thread->tid, "sched", text, sizeof(text)) &&
	    cprof_thread_sched_parse(text, &switches)) {
		thread->switches = switches.count;
		thread->cpu_ns = switches.ran_ns ? switches.ran_ns : thread->cpu_ns;
		thread->last_ns = switches.last_ns;
	} else if (cprof_thread_observer_read(observer, thread->tid, "status", text,
					      sizeof(text)) &&
		   cprof_thread_status_parse(text, &status) && status.has_switches) {
		thread->switches = status.switches;
	}
}

/* The call that a thread sleeps in. Its file has mode 0400: the right to trace a process does not open it. */
static bool read_call(struct cprof_thread_observer *observer, struct cprof_thread *thread)
{
	char text[256];
	int why = read_file(observer, thread->tid, "syscall", text, sizeof(text));
	if (why == 0)
		return cprof_thread_call_parse(text, &thread->call);
	observer->n_refused += why == EACCES || why == EPERM;
	return false;
}

void cprof_thread_observer_fill(struct cprof_thread_observer *observer, pid_t tid,
				struct cprof_thread *thread)
{
	char text[1024];
	struct cprof_thread_stat stat;
	thread->tid = tid;
	thread->cpu = -1;
	thread->means = CPROF_MEANS_NONE;
	thread->why = NULL;
	thread->call = (struct cprof_thread_call){ .kind = CPROF_CALL_UNKNOWN, .nr = -1 };
	if (!cprof_thread_observer_read(observer, tid, "stat", text, sizeof(text)) ||
	    !cprof_thread_stat_parse(text, &stat)) {
		thread->state = 'X';
		thread->why = "it has ended";
		return;
	}
	memcpy(thread->name, stat.name, sizeof(stat.name));
	thread->state = stat.state;
	thread->cpu = stat.cpu;
	thread->start = stat.start_ticks;
	thread->cpu_ns = (stat.user_ticks + stat.system_ticks) * observer->tick_ns;
	read_switches(observer, thread);
	if (!cprof_thread_observer_has_stack(stat.state))
		return;
	if (!read_call(observer, thread)) {
		thread->why = "/proc/PID/task/TID/syscall cannot be read";
		return;
	}
	if (thread->call.kind == CPROF_CALL_RUNNING)
		return;
	cprof_thread_regs_from_call(&thread->call, &thread->regs);
	thread->means = CPROF_MEANS_PROC;
}

/* ---- all threads ---- */

static struct cprof_error *room_for(struct cprof_thread_snapshot *snapshot, size_t n)
{
	snapshot->threads = calloc(n ? n : 1, sizeof(*snapshot->threads));
	return snapshot->threads ? NULL : cprof_error_no_memory();
}

static struct cprof_error *observe_by_iter(struct cprof_thread_observer *observer,
					   struct cprof_thread_snapshot *snapshot)
{
	CPROF_AUTO(free) struct cprof_thread_iter_row *rows = NULL;
	size_t n;
	struct cprof_error *err = cprof_thread_iter_read(observer->iter, &rows, &n);
	if (!err && n == 0)
		err = cprof_error_new(CPROF_ERR_NO_TARGET, "process %d has ended",
				      (int)observer->target->pid);
	if (!err)
		err = room_for(snapshot, n);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++)
		fill_from_iter(&rows[i], &snapshot->threads[snapshot->n++]);
	cprof_thread_snapshot_sort(snapshot);
	return NULL;
}

static struct cprof_error *observe_by_proc(struct cprof_thread_observer *observer,
					   struct cprof_thread_snapshot *snapshot)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n;
	struct cprof_error *err = cprof_thread_list(observer->target->pid, &tids, &n);
	if (!err)
		err = room_for(snapshot, n);
	if (err)
		return err;
	for (size_t i = 0; i < n; i++)
		cprof_thread_observer_fill(observer, tids[i], &snapshot->threads[snapshot->n++]);
	cprof_thread_snapshot_sort(snapshot);
	return NULL;
}

struct cprof_error *cprof_thread_observer_take(struct cprof_thread_observer *observer,
					       struct cprof_thread_snapshot *snapshot)
{
	observer->n_refused = 0;
	struct cprof_error *err = observer->iter ? observe_by_iter(observer, snapshot)
						 : observe_by_proc(observer, snapshot);
	snapshot->mono_ns = cprof_clock_mono_ns();
	return err;
}

bool cprof_thread_observer_keeps_still(const struct cprof_thread_observer *observer,
				       const struct cprof_thread *thread)
{
	char text[1024];
	struct cprof_thread now = { .tid = thread->tid };
	if (!cprof_thread_observer_read(observer, thread->tid, "syscall", text, sizeof(text)) ||
	    !cprof_thread_call_parse(text, &now.call) ||
	    !cprof_thread_call_same(&thread->call, &now.call))
		return false;
	read_switches(observer, &now);
	return now.switches == thread->switches;
}
