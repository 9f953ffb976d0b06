/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/thread_proc.h - what /proc says of one thread: the parsers, and reading the files.
 *
 * Owns the text of /proc/PID/task/TID/{stat,status,syscall,sched,schedstat,io} and the list of the threads. What the numbers mean
 * together (which thread runs, what a sleeping one waits for) is the callers'; the parsers here need no process.
 *
 * Source of truth: proc(5); Documentation/scheduler/sched-stats.rst "/proc/<pid>/schedstat"; fs/proc/base.c proc_pid_syscall() and fs/proc/array.c do_task_stat(). A thread
 * may be gone between any two reads: that is an everyday end, told by `false`.
 */
#ifndef CPROF_ATTACH_TARGET_THREAD_PROC_H
#define CPROF_ATTACH_TARGET_THREAD_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/error.h"

#define CPROF_THREAD_NAME_MAX                                                                      \
	64 /* the kernel's comm has 15 bytes, but kworkers' names are longer */

/* /proc/PID/task/TID/stat */
struct cprof_thread_stat {
	pid_t tid;
	char name[CPROF_THREAD_NAME_MAX]; /* bytes that are no printable ASCII or UTF-8 are '?' */
	char state;                       /* R S D T t Z X I P */
	uint64_t flags;                   /* PF_... of include/linux/sched.h */
	uint64_t user_ticks, system_ticks;
	uint64_t start_ticks; /* since boot; with the tid it names a thread for good */
	int cpu;              /* that it last ran on */
};

/* /proc/PID/task/TID/syscall */
enum cprof_thread_call_kind {
	CPROF_CALL_UNKNOWN, /* not permitted, or the thread is gone */
	CPROF_CALL_RUNNING, /* on a CPU or waiting for one: the kernel has nothing to show */
	CPROF_CALL_BLOCKED, /* asleep in a system call: all fields */
	CPROF_CALL_OUTSIDE, /* asleep, but not in a system call (page fault, stop): sp and pc */
};

struct cprof_thread_call {
	enum cprof_thread_call_kind kind;
	int64_t nr; /* -1 for OUTSIDE */
	uint64_t args[6];
	uint64_t sp, pc;
};

/* /proc/PID/task/TID/sched, and where that is missing /proc/PID/task/TID/status */
struct cprof_thread_switches {
	uint64_t count;   /* voluntary + involuntary: unchanged means that it has not run */
	uint64_t ran_ns;  /* CPU time so far, 0 unknown */
	uint64_t last_ns; /* scheduler clock when it last ran, 0 unknown */
	bool has_count;
};

/* /proc/PID/task/TID/schedstat */
struct cprof_thread_schedstat {
	uint64_t ran_ns;    /* on a processor so far */
	uint64_t queued_ns; /* in a run queue */
	uint64_t runs;      /* times it was put on a processor */
};

/* /proc/PID/task/TID/status, the rarely needed rest */
struct cprof_thread_status {
	pid_t tgid;
	pid_t tracer;
	pid_t ns_tid; /* the tid as the target itself sees it: what lock words hold */
	int seccomp;  /* 0 off, 1 strict, 2 filter */
	uint64_t switches;
	/* Signals, bit 0 is signal 1: with a handler, waiting for the thread or the process, blocked. */
	uint64_t caught, pending, blocked;
	bool has_switches;
	bool shadow_stack; /* the CPU checks its returns (x86) */
	char state;
};

/* All: false where `text` is not of that format; then `*ret` is unspecified. `text` is zero-terminated. */
bool cprof_thread_stat_parse(const char *text, struct cprof_thread_stat *ret);
bool cprof_thread_call_parse(const char *text, struct cprof_thread_call *ret);
bool cprof_thread_sched_parse(const char *text, struct cprof_thread_switches *ret);
bool cprof_thread_schedstat_parse(const char *text, struct cprof_thread_schedstat *ret);
bool cprof_thread_status_parse(const char *text, struct cprof_thread_status *ret);

/* Of /proc/PID/task/TID/io: calls of write(2), writev(2), sendfile(2) and their kin that have ended. */
bool cprof_thread_io_parse(const char *text, uint64_t *ret_writes);

/* Whether the text of /proc/PID/task/TID/wchan is where the freezer of a cgroup holds a thread that sleeps. */
bool cprof_thread_wchan_is_freezer(const char *wchan);

/* Control characters of a name become '?': it is somebody else's bytes on their way to a terminal. */
void cprof_thread_name_clean(char *name);

/* Two readings of `syscall` that show one and the same wait. */
bool cprof_thread_call_same(const struct cprof_thread_call *a, const struct cprof_thread_call *b);

/*
 * Read /proc/PID/task/TID/NAME; at most cap - 1 bytes are kept and a zero is put behind them. The result is
 * the number of bytes, or -errno. Blocks no longer than the kernel needs to write the line.
 */
int cprof_thread_read(pid_t pid, pid_t tid, const char *name, char *buf, size_t cap);

/* Of a thread that is there; false: it is gone, or the kernel does not tell (CONFIG_SCHED_INFO). */
bool cprof_thread_schedstat_read(pid_t pid, pid_t tid, struct cprof_thread_schedstat *ret);

/*
 * The thread ids of `pid`, in the order of the kernel (oldest first). `*ret_tids` is malloc'ed. Errors: NO_TARGET where
 * there is no such process or it has no thread any more, DENIED, NO_MEMORY.
 */
struct cprof_error *cprof_thread_list(pid_t pid, pid_t **ret_tids, size_t *ret_n);

/* How many threads `pid` has, without listing them: its task folder has a link for each, and two more. 0 where there is no such process. */
uint64_t cprof_thread_count(pid_t pid);

#endif
