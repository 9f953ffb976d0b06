/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread.h - one thread of the target at one moment, and all of them: a snapshot.
 *
 * The words that the parts of the threads mode share. A snapshot is filled in two steps: thread_capture.h (or
 * core_snapshot.h) reads registers and stack bytes while time counts; thread_resolve.h makes stacks, names and owners of
 * them afterwards. thread_text.h and the profile only read it.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_H
#define CPROF_ATTACH_THREADS_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/locks/lock_wait.h"
#include "attach/target/stop_tally.h"
#include "attach/target/thread_proc.h"
#include "cprof/arch.h"
#include "cprof/builder.h"
#include "cprof/stack.h"

/* How a thread's registers were had, in the order of preference; only STOP touches the target. */
enum cprof_thread_means {
	CPROF_MEANS_NONE, /* not at all; thread.why says why */
	CPROF_MEANS_ITER, /* BPF task iterator */
	CPROF_MEANS_PROC, /* /proc/PID/task/TID/syscall: callee-saved registers unknown */
	CPROF_MEANS_PERF, /* one perf sample while it ran */
	CPROF_MEANS_STOP, /* stopped for a moment by ptrace */
	CPROF_MEANS_CORE, /* a core file */
	CPROF_MEANS_N,
};

const char *cprof_thread_means_name(enum cprof_thread_means means);

struct cprof_thread {
	pid_t tid;
	char name[CPROF_THREAD_NAME_MAX];
	char state;        /* as in proc(5): R S D T t Z X I P; 0 unknown (core file) */
	int cpu;           /* that it is on or last was; -1 unknown */
	uint64_t start;    /* with the tid it tells threads apart; unit depends on the means */
	uint64_t cpu_ns;   /* used so far */
	uint64_t last_ns;  /* when it last ran, by its CPU's scheduler clock; 0 unknown */
	uint64_t idle_ns;  /* since it last ran (thread_clock.h); 0: unknown, or it runs */
	uint64_t switches; /* unchanged: it has not run */
	uint64_t stuck_ns; /* not moved since a snapshot so long ago; 0: it has, or the first one */
	char wchan[40];    /* where in the kernel, for D state and frozen ones; "" unknown */

	struct cprof_thread_call call; /* BLOCKED or OUTSIDE where it sleeps */
	enum cprof_thread_means means;
	struct cprof_regs regs;
	uint64_t stack_addr;
	uint8_t *stack; /* owned; bytes from stack_addr on, copied with the registers */
	size_t n_stack;
	const char
		*why; /* static; why there is no stack, or why it may be wrong; NULL: all is well */

	/* thread_resolve.h's */
	struct cprof_stack_frame *frames; /* owned; innermost first; look-up addresses */
	size_t n_frames;
	enum cprof_stop stop;
	struct cprof_lock_wait wait;
	size_t owner;   /* index of the thread it waits for; SIZE_MAX none */
	size_t waiters; /* how many threads wait for it, directly or through others */
	size_t cycle;   /* number from 1 of the deadlock it is in; 0 none */
	bool left_out; /* not asked for: it is neither printed nor in the profile, but may be in a deadlock */
};

struct cprof_thread_snapshot {
	struct cprof_thread *threads; /* owned; by tid */
	size_t n;
	uint64_t mono_ns;              /* when it was taken */
	uint64_t capture_ns;           /* how long reading registers and stacks took */
	uint64_t stopped;              /* threads stopped by ptrace */
	struct cprof_stop_tally stops; /* of several threads together each */
	uint64_t by_means[CPROF_MEANS_N];
	size_t n_cycles;
};

void cprof_thread_snapshot_deinit(struct cprof_thread_snapshot *snapshot);

/* Its cgroup's freezer holds it, as far as wchan tells: it moves when the cgroup is thawed. */
bool cprof_thread_is_frozen(const struct cprof_thread *thread);

/* The index of thread `tid`, or SIZE_MAX. */
size_t cprof_thread_snapshot_find(const struct cprof_thread_snapshot *snapshot, pid_t tid);

/* Put the threads in order of tid; what fills a snapshot does it last. */
void cprof_thread_snapshot_sort(struct cprof_thread_snapshot *snapshot);

/*
 * The same thread in the same wait in both snapshots: it has not run in between. False where the kernel
 * does not tell how often it ran.
 */
bool cprof_thread_same_wait(const struct cprof_thread *before, const struct cprof_thread *now);

/*
 * Take over from `now` how often threads have run, where they are in the same wait as before: a thread that we
 * stopped ourselves has run since it was looked at, without having moved.
 */
void cprof_thread_snapshot_rebase(struct cprof_thread_snapshot *snapshot,
				  const struct cprof_thread_snapshot *now);

/* Set stuck_ns of every thread of `now` that has not moved since `before`. */
void cprof_thread_snapshot_mark_stuck(struct cprof_thread_snapshot *now,
				      const struct cprof_thread_snapshot *before);

#endif
