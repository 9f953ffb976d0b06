/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/thread_look.h - what a stop would meet: the states of all threads, read from /proc while they run.
 *
 * A thread that hangs in the kernel (state D: a vfork whose child has not begun its program, a slow disk, FUSE) cannot be
 * stopped, and the others would stand and wait for it. So it is looked for before anybody is told to stop. Stops nobody.
 *
 * Sources: proc(5) "/proc/pid/stat", "/proc/pid/syscall"; cgroups(7) "freezer".
 */
#ifndef CPROF_ATTACH_TARGET_THREAD_LOOK_H
#define CPROF_ATTACH_TARGET_THREAD_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/target/target.h"
#include "cprof/error.h"

#define CPROF_THREAD_LOOK_BLOCKED_MAX 64 /* that are remembered; one is enough to wait for */

struct cprof_thread_look {
	struct cprof_thread_blocked {
		pid_t tid;
		uint64_t switches; /* unchanged means: it has not run since */
	} blocked[CPROF_THREAD_LOOK_BLOCKED_MAX];
	size_t n_blocked;
	size_t n_threads;
	size_t cut_short;    /* threads asleep in calls that a stop may cut short, */
	pid_t cut_short_tid; /* the last of these */
	size_t interrupted;  /* and in calls that return EINTR then: stop_effect.h */
	bool frozen;         /* by its cgroup: it would stop, but makes no system call for us */
};

/* A process that has ended has no threads: all zero. Costs a file or two a thread. */
void cprof_thread_look_take(pid_t pid, struct cprof_thread_look *ret_look);

/*
 * Wait until the call that thread `tid` sleeps in, one that a stop may cut short, has ended: of the next one, if there is any,
 * most likely nothing has been done yet, and a stop does no harm. False: it is at `until_ns`, or nothing can be seen of it. A
 * send(2) can be told from the one before by its arguments only. Ten µs every 0.15 ms; stops nobody.
 */
bool cprof_thread_look_await_end(pid_t pid, pid_t tid, uint64_t until_ns);

/* A thread that hung in the kernel at the first look and has not run up to the second; 0: none. Pure. */
pid_t cprof_thread_look_stuck(const struct cprof_thread_look *before,
			      const struct cprof_thread_look *now);

/* A thread of `pid` that waits for a vfork child to begin its program or to end; 0: none. */
pid_t cprof_thread_look_vforks(pid_t pid, const struct cprof_thread_look *look);

/* UNSUPPORTED: thread `tid` cannot be stopped, in which call it hangs and what to do about it. Never NULL. */
struct cprof_error *cprof_thread_look_hangs(pid_t pid, pid_t tid);

/*
 * UNSUPPORTED if a thread of `target` hangs in the kernel with the lock of its memory, so that whoever reads that would hang
 * too (thread_probe.h): waits a second for an answer then. Costs a look where nobody hangs.
 */
struct cprof_error *cprof_thread_look_memory(const struct cprof_target *target);

/* UNSUPPORTED: its cgroup is frozen. Never NULL. */
struct cprof_error *cprof_thread_look_frozen(pid_t pid);

/* Is this the text of /proc/PID/cgroup's "0::" line or of a v1 freezer line? Writes the path of its group below the mount. Pure. */
bool cprof_thread_look_group(const char *text, const char *controller, char *ret_path, size_t n);

#endif
