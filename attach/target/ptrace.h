/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/ptrace.h - stop every thread of a process for a moment, and let them go as if nothing had been.
 *
 * Owns which threads are stopped and how (ptrace.c), and reads and writes the memory of a process that stands still
 * (ptrace_mem.c). Running code in one of the threads is remote.h's. Stopping is PTRACE_SEIZE and PTRACE_INTERRUPT: no
 * SIGSTOP is sent, signals that arrive stay with the thread they were meant for, a job-stopped process stays stopped, and
 * if we die the kernel lets every thread go where it stands. All calls must come from the thread that stopped the process,
 * which is best a tracer.h.
 *
 * What a stop does that can be seen: see stop_effect.h. The kernel restarts most calls, ptrace_again.h some of the others.
 *
 * Source of truth: ptrace(2) "PTRACE_SEIZE", "Stopped states".
 */
#ifndef CPROF_ATTACH_TARGET_PTRACE_H
#define CPROF_ATTACH_TARGET_PTRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "cprof/error.h"

struct cprof_tracee {
	pid_t tid;
	enum cprof_tracee_state {
		CPROF_TRACEE_RUNNING, /* seized, told to stop, not there yet */
		CPROF_TRACEE_STOPPED, /* in an event stop: registers and memory can be changed */
		CPROF_TRACEE_GONE,    /* ended, or let go */
	} state;
	bool job_stopped; /* by SIGSTOP and the like: stays so when let go */
	struct user_regs_struct
		regs; /* as they were when it stopped; kept up to date by whoever sets them */
};

struct cprof_ptrace {
	pid_t pid;
	struct cprof_tracee *threads; /* owned */
	size_t n, cap;
	uint64_t stop_mono_ns; /* when the first was told to stop */
	uint64_t pause_ns;     /* how long the last stop took, set by resume */
	size_t told;           /* threads that were told to stop, set by resume */
	bool ending;    /* a thread was killed while we stopped it: so is the whole process */
	bool in_vain;   /* somebody did not come */
	bool starved;   /* and those who did not were ready to run, but got no processor */
	bool releasing; /* by resume: whoever comes to a stop now is let go from there */
	pid_t highest;  /* id of all threads seen */
	size_t found_at,
		look_at; /* where to go on looking for one by its id, and for one that is missing */
	bool straggler;  /* after resume: one is traced still and will stop, so see tracer.h */
};

struct cprof_ptrace_options {
	uint64_t timeout_ns; /* to get all of them; then all are let go again */
};

/* What every thread is seized with; whoever sets more takes it away again. */
#define CPROF_PTRACE_OPTIONS 1u /* PTRACE_O_TRACESYSGOOD */

/*
 * Stop all threads of `pid`, those too that are born meanwhile. On error nothing is stopped.
 *
 * Errors: NO_TARGET; DENIED, naming the tracer where there is one (gdb, strace, another profiler) and else what
 * permission is lacking; UNSUPPORTED with trace->in_vain, naming the thread, if one cannot be stopped in time (it waits for
 * a vfork child, or is in the kernel in state D): try again later.
 */
struct cprof_error *cprof_ptrace_stop(struct cprof_ptrace *trace, pid_t pid,
				      const struct cprof_ptrace_options *options);

/*
 * Let all of them go on where they are (or where their registers were set to). Never fails. A thread that did not come
 * to its stop cannot be let go by ptrace(2): trace->straggler says that there is one. It runs on, and would stop for good
 * when it comes back from the kernel, so our thread that stopped it must end (cprof_tracer_run() sees to that).
 */
void cprof_ptrace_resume(struct cprof_ptrace *trace);

/* True while the process may run: at least one thread was stopped and none of the others lives on. */
bool cprof_ptrace_all_stopped(const struct cprof_ptrace *trace);

struct cprof_error *cprof_ptrace_set_regs(struct cprof_tracee *thread,
					  const struct user_regs_struct *regs);

/*
 * Write 1 to 8 bytes at `addr` in the text of the stopped process, and no other: a uprobe of somebody else's may come or
 * go beside them. In one copy within the kernel: all of them or none, also if we are killed meanwhile. They must not
 * cross a page. Works on r-x mappings.
 */
struct cprof_error *cprof_ptrace_poke(const struct cprof_ptrace *trace, uint64_t addr,
				      const uint8_t *bytes, size_t n);

/* Any number of bytes into memory that nothing runs in yet; r-x mappings too. */
struct cprof_error *cprof_ptrace_write(const struct cprof_ptrace *trace, uint64_t addr,
				       const void *bytes, size_t n);

/* Read through the stopped process. */
struct cprof_error *cprof_ptrace_read(const struct cprof_ptrace *trace, uint64_t addr, void *bytes,
				      size_t n);

/*
 * For remote.h: let one stopped thread run to its next stop of the given kind. `request` is PTRACE_SYSCALL or
 * PTRACE_CONT; want_event: an event stop is waited for, otherwise a system call stop. Errors: NO_TARGET; UNSUPPORTED if a
 * trap for system calls (SIGSYS of a filter or a dispatcher) stopped it, which is not delivered unless the thread is let
 * go from there, or if it has not come after a fifth of a second, or two without a
 * processor: it is no STOPPED one any more then.
 */
struct cprof_error *cprof_ptrace_run(struct cprof_tracee *thread, int request, bool want_event);

#endif
