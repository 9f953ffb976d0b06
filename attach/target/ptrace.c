/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/ptrace.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attach/target/ptrace_again.h"
#include "attach/target/ptrace_denied.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "cprof/buffer.h"

_Static_assert(CPROF_PTRACE_OPTIONS == PTRACE_O_TRACESYSGOOD, "ptrace(2)");

#define SYSCALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */
/*
 * So long we wait, when all others run again, for one that was told to stop and hangs in the kernel, or that only gets no
 * processor: such a one comes, and can be put right (ptrace_again.h). Then it is the kernel's to let it go.
 */
#define LINGER_NS         (2 * 1000000ull)
#define LINGER_STARVED_NS (2 * CPROF_NS_PER_S)

#define LOOKS                                                                                      \
	32u /* threads whose state is read in a row, 50 us each: others stand still meanwhile */

#define SPINS 100 /* a system call on the other processor takes some microseconds */
/* A borrowed thread's call while the others wait: at most so long, and if it gets no processor. */
#define RUN_NS     (200 * 1000000ull)
#define STARVED_NS (2 * CPROF_NS_PER_S)

/* si_code of a SIGSYS: SYS_SECCOMP and SYS_USER_DISPATCH. */
#define TRAP_FILTER   1
#define TRAP_DISPATCH 2

/* glibc declares the request as an enum whose name musl does not have. */
static long trace_call(int request, pid_t tid, uintptr_t addr, uintptr_t data)
{
	return ptrace((enum __ptrace_request)request, tid, (void *)addr, (void *)data);
}

static void nap(uint64_t ns)
{
	struct timespec ts = { .tv_nsec = (long)ns };
	nanosleep(&ts, NULL);
}

/* ---- who is there ---- */

/* The value after `field` in /proc/PID/task/TID/status as a number; -1 if it is not there. */
static long status_field(pid_t pid, pid_t tid, const char *field, char *ret_state)
{
	char path[64];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tid);
	struct cprof_error *err = cprof_file_read(path, 1 << 16, &text);
	if (err) {
		cprof_error_free(err);
		return -1;
	}
	const char *state = strstr(cprof_buffer_text(&text), "\nState:\t");
	if (ret_state && state)
		*ret_state = state[8];
	const char *found = strstr(cprof_buffer_text(&text), field);
	return found ? strtol(found + strlen(field), NULL, 10) : -1;
}

/*
 * Thousands of threads are listed in the same order each time, new ones last and with higher numbers: others stand still meanwhile.
 */
static bool known(struct cprof_ptrace *trace, pid_t tid)
{
	for (size_t i = 0; tid <= trace->highest && i < trace->n; i++) {
		if (trace->found_at >= trace->n)
			trace->found_at = 0;
		if (trace->threads[trace->found_at++].tid == tid)
			return true;
	}
	if (tid > trace->highest)
		trace->highest = tid;
	return false;
}

/* A thread that ends just now is none to stop: ESRCH, or EPERM for a zombie. */
static bool ending(pid_t pid, pid_t tid)
{
	char state = 'X';
	status_field(pid, tid, "\nTgid:\t", &state);
	return state == 'Z' || state == 'X';
}

static struct cprof_error *seize(struct cprof_ptrace *trace, pid_t tid)
{
	if (!CPROF_ARRAY_ROOM(trace->threads, trace->n, trace->cap, 1))
		return cprof_error_no_memory();
	if (trace_call(PTRACE_SEIZE, tid, 0, CPROF_PTRACE_OPTIONS) < 0) {
		int os_errno = errno;
		if (os_errno == ESRCH || ending(trace->pid, tid)) {
			/*
			 * If it was ours before and was killed while we let it go, it stays in the kernel's
			 * count of threads until we have taken note.
			 */
			waitpid(tid, NULL, __WALL | WNOHANG);
			return NULL;
		}
		/* Ours still, from a stop that it was too slow for. */
		bool ours = status_field(trace->pid, tid, "\nTracerPid:\t", NULL) == gettid();
		if (!ours)
			return cprof_ptrace_denied(trace->pid, tid, os_errno);
	}
	/* Fails only for a thread that has ended; waiting for it will tell. */
	trace_call(PTRACE_INTERRUPT, tid, 0, 0);
	trace->threads[trace->n++] = (struct cprof_tracee){ .tid = tid };
	return NULL;
}

/* Seize and interrupt every thread not known yet; `*ret_new` counts them. */
static struct cprof_error *sweep(struct cprof_ptrace *trace, size_t *ret_new)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task", (int)trace->pid);
	CPROF_AUTO(closedir) DIR *dir = opendir(path);
	if (!dir)
		return cprof_error_os(errno == ENOENT ? ESRCH : errno, "open %s", path);

	struct dirent *entry;
	*ret_new = 0;
	while ((entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (known(trace, tid))
			continue;
		size_t before = trace->n;
		struct cprof_error *err = seize(trace, tid);
		if (err)
			return err;
		*ret_new += trace->n - before;
	}
	return NULL;
}

/* ---- how they stop ---- */

static bool is_event_stop(int status)
{
	return WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_STOP;
}

/* Take in what waitpid() said of a thread that was interrupted. */
static void arrived(struct cprof_ptrace *trace, struct cprof_tracee *thread, int status)
{
	if (!WIFSTOPPED(status)) {
		trace->ending |= WIFSIGNALED(status);
		thread->state = CPROF_TRACEE_GONE;
		return;
	}
	if (is_event_stop(status)) {
		thread->job_stopped = WSTOPSIG(status) != SIGTRAP;
		thread->state = CPROF_TRACEE_STOPPED;
		/* Only SIGKILL takes a thread out of its stop, and it takes them all. */
		if (trace_call(PTRACE_GETREGS, thread->tid, 0, (uintptr_t)&thread->regs) < 0)
			trace->ending = true;
		else if (!thread->job_stopped)
			cprof_ptrace_again(thread->tid, &thread->regs);
		return;
	}
	/*
	 * A signal of its own came first. It is delivered as it was meant to be; the thread then runs
	 * into our interrupt before it executes anything.
	 */
	int sig = WSTOPSIG(status) == SYSCALL_STOP ? 0 : WSTOPSIG(status);
	trace_call(trace->releasing ? PTRACE_DETACH : PTRACE_CONT, thread->tid, 0, (uintptr_t)sig);
	if (trace->releasing)
		thread->state = CPROF_TRACEE_GONE;
}

/* Ask once after every thread that still runs; how many are not there yet. */
static size_t collect(struct cprof_ptrace *trace)
{
	size_t missing = 0;
	for (size_t i = 0; i < trace->n; i++) {
		struct cprof_tracee *thread = &trace->threads[i];
		while (thread->state == CPROF_TRACEE_RUNNING) {
			int status;
			pid_t got = waitpid(thread->tid, &status, __WALL | WNOHANG);
			if (got == 0)
				break;
			if (got < 0)
				thread->state = CPROF_TRACEE_GONE;
			else
				arrived(trace, thread, status);
		}
		missing += thread->state == CPROF_TRACEE_RUNNING;
	}
	return missing;
}

/* One of some that have not come, best one that is not just waiting for a processor; 0: none. The next call looks at others. */
static pid_t missing(struct cprof_ptrace *trace, char *ret_state)
{
	pid_t tid = 0;
	unsigned looks = 0;
	*ret_state = '?';
	for (size_t i = 0; i < trace->n && looks < LOOKS && (!tid || *ret_state == 'R'); i++) {
		if (trace->look_at >= trace->n)
			trace->look_at = 0;
		const struct cprof_tracee *thread = &trace->threads[trace->look_at++];
		if (thread->state != CPROF_TRACEE_RUNNING)
			continue;
		looks++;
		tid = thread->tid;
		status_field(trace->pid, tid, "\nTgid:\t", ret_state);
		if (*ret_state == 't') /* it came in this moment */
			*ret_state = 'R';
	}
	return tid;
}

/* Do those who have not come only wait for a processor? */
static bool starved(struct cprof_ptrace *trace)
{
	char state;
	return missing(trace, &state) && state == 'R';
}

static void let_go(struct cprof_tracee *thread)
{
	/* Killed while it stood still: its parent hears of it only once we have taken note of its end. */
	bool killed = thread->state == CPROF_TRACEE_STOPPED &&
		      trace_call(PTRACE_DETACH, thread->tid, 0, 0) < 0;
	for (unsigned turn = 0; killed && turn < 50; turn++) {
		if (waitpid(thread->tid, NULL, __WALL | WNOHANG) != 0)
			break;
		nap(200000);
	}
	thread->state = CPROF_TRACEE_GONE;
}

static void deinit(struct cprof_ptrace *trace)
{
	free(trace->threads);
	trace->threads = NULL;
	trace->n = trace->cap = 0;
}

void cprof_ptrace_resume(struct cprof_ptrace *trace)
{
	for (size_t i = 0; i < trace->n; i++) {
		if (trace->threads[i].state == CPROF_TRACEE_STOPPED)
			let_go(&trace->threads[i]);
	}
	if (trace->stop_mono_ns)
		trace->pause_ns = cprof_clock_mono_ns() - trace->stop_mono_ns;
	trace->releasing = true;
	trace->told = trace->n;
	const uint64_t start = cprof_clock_mono_ns();
	while (collect(trace)) {
		const uint64_t waited = cprof_clock_mono_ns() - start;
		if (waited > LINGER_STARVED_NS || (waited > LINGER_NS && !starved(trace)))
			break;
		nap(100000);
	}
	for (size_t i = 0; i < trace->n; i++) {
		trace->straggler |= trace->threads[i].state == CPROF_TRACEE_RUNNING;
		let_go(&trace->threads[i]);
	}
	deinit(trace);
}

static struct cprof_error *too_slow(struct cprof_ptrace *trace)
{
	char state = '?';
	pid_t tid = missing(trace, &state);
	trace->in_vain = true;
	trace->starved = state == 'R';
	if (!tid)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "process %d starts threads faster than they can be stopped",
				       (int)trace->pid);
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_UNSUPPORTED,
				"thread %d of process %d does not stop (state %c in the kernel)",
				(int)tid, (int)trace->pid, state);
	return cprof_error_hint(
		err, state == 'R' ? "the machine is too busy to let it run; try again later"
				  : "it waits for a vfork child or for a device; try "
				    "again when that is over");
}

bool cprof_ptrace_all_stopped(const struct cprof_ptrace *trace)
{
	size_t stopped = 0;
	for (size_t i = 0; i < trace->n; i++) {
		if (trace->threads[i].state == CPROF_TRACEE_RUNNING)
			return false;
		stopped += trace->threads[i].state == CPROF_TRACEE_STOPPED;
	}
	return stopped > 0;
}

/*
 * Is nobody missing? Reading /proc/PID/task can end early when the thread it stands at exits in that moment, so
 * the kernel's own count must agree: "Threads:", which has the leader in it after it ended before the others.
 */
static bool complete(const struct cprof_ptrace *trace)
{
	size_t stopped = 0;
	bool leader = false;
	for (size_t i = 0; i < trace->n; i++) {
		stopped += trace->threads[i].state == CPROF_TRACEE_STOPPED;
		leader |= trace->threads[i].tid == trace->pid &&
			  trace->threads[i].state == CPROF_TRACEE_STOPPED;
	}
	long threads = status_field(trace->pid, trace->pid, "\nThreads:\t", NULL);
	/* Ended and collected by its parent, or about to be: nobody is left who could be missing. */
	if (threads <= 0)
		return stopped == 0;
	return stopped + !leader == (size_t)threads;
}

/* Sweep and wait until a sweep with all known threads stopped finds no new one. */
static struct cprof_error *stop(struct cprof_ptrace *trace,
				const struct cprof_ptrace_options *options)
{
	uint64_t until = trace->stop_mono_ns + options->timeout_ns;
	for (unsigned round = 0;; round++) {
		size_t fresh;
		struct cprof_error *err = sweep(trace, &fresh);
		if (err)
			return err;
		if (!fresh && collect(trace) == 0 && complete(trace))
			break;
		for (unsigned turn = 0; collect(trace) && !trace->ending; turn++) {
			if (cprof_clock_mono_ns() > until)
				return too_slow(trace);
			if (turn > 4)
				nap(turn < 50 ? 20000 : 500000);
		}
		if (trace->ending)
			return cprof_error_new(CPROF_ERR_NO_TARGET, "process %d has been killed",
					       (int)trace->pid);
		if (round > 4)
			nap(50000);
		if (cprof_clock_mono_ns() > until)
			return too_slow(trace);
	}
	if (!cprof_ptrace_all_stopped(trace))
		return cprof_error_new(CPROF_ERR_NO_TARGET, "process %d has ended",
				       (int)trace->pid);
	return NULL;
}

struct cprof_error *cprof_ptrace_stop(struct cprof_ptrace *trace, pid_t pid,
				      const struct cprof_ptrace_options *options)
{
	*trace = (struct cprof_ptrace){ .pid = pid, .stop_mono_ns = cprof_clock_mono_ns() };
	struct cprof_error *err = stop(trace, options);
	if (err)
		cprof_ptrace_resume(trace);
	return err;
}

/* ---- what can be done to them ---- */

struct cprof_error *cprof_ptrace_set_regs(struct cprof_tracee *thread,
					  const struct user_regs_struct *regs)
{
	if (trace_call(PTRACE_SETREGS, thread->tid, 0, (uintptr_t)regs) < 0)
		return cprof_error_os(errno, "PTRACE_SETREGS of thread %d", (int)thread->tid);
	thread->regs = *regs;
	return NULL;
}

/*
 * waitpid() that does not wait for ever: that a process was killed is told by its leader only when all other threads were
 * taken note of, and these are ours too; and the call may meet somebody who holds the lock of the memory.
 */
static enum cprof_tracee_state next_stop(pid_t tid, int *ret_status)
{
	const uint64_t start = cprof_clock_mono_ns();
	bool last = false;
	for (unsigned turn = 0;; turn++) {
		char state = 'X';
		pid_t got = waitpid(tid, ret_status, __WALL | WNOHANG);
		if (got != 0)
			return got > 0 && WIFSTOPPED(*ret_status) ? CPROF_TRACEE_STOPPED
								  : CPROF_TRACEE_GONE;
		if (last)
			return CPROF_TRACEE_RUNNING;
		if (turn < SPINS)
			continue;
		if (turn % 16 == 0) {
			status_field(tid, tid, "\nTgid:\t", &state);
			if (state == 'Z' || state == 'X')
				return CPROF_TRACEE_GONE;
			/* It may be ourselves who got no processor: it may have come since it was asked for. */
			last = cprof_clock_mono_ns() - start > (state == 'R' ? STARVED_NS : RUN_NS);
			if (last)
				continue;
		}
		nap(turn < 200 ? 10000 : 500000);
	}
}

/* Has a filter or a dispatcher of the target's own caught a call? Others may send that signal too. */
static bool is_trap(pid_t tid, int sig)
{
	siginfo_t info;
	return sig == SIGSYS && trace_call(PTRACE_GETSIGINFO, tid, 0, (uintptr_t)&info) == 0 &&
	       (info.si_code == TRAP_FILTER || info.si_code == TRAP_DISPATCH);
}

static struct cprof_error *not_there(struct cprof_tracee *thread, enum cprof_tracee_state state)
{
	thread->state = state;
	if (state == CPROF_TRACEE_GONE)
		return cprof_error_new(CPROF_ERR_NO_TARGET, "thread %d has ended",
				       (int)thread->tid);
	return cprof_error_new(CPROF_ERR_UNSUPPORTED,
			       "thread %d does not come back from a system call it made for us",
			       (int)thread->tid);
}

struct cprof_error *cprof_ptrace_run(struct cprof_tracee *thread, int request, bool want_event)
{
	int sig = 0;
	for (unsigned turn = 0; turn < 64; turn++) {
		int status;
		if (trace_call(request, thread->tid, 0, (uintptr_t)sig) < 0)
			return not_there(thread, CPROF_TRACEE_GONE);
		enum cprof_tracee_state state = next_stop(thread->tid, &status);
		if (state != CPROF_TRACEE_STOPPED)
			return not_there(thread, state);
		sig = 0;
		if (is_event_stop(status)) {
			if (want_event)
				return NULL;
		} else if (WSTOPSIG(status) == SYSCALL_STOP) {
			if (!want_event)
				return NULL;
		} else if (is_trap(thread->tid, WSTOPSIG(status))) {
			return cprof_error_new(
				CPROF_ERR_UNSUPPORTED,
				"a system call that thread %d made for us was caught by a "
				"trap of the process's own (Syscall User Dispatch, or a "
				"seccomp filter)",
				(int)thread->tid);
		} else {
			sig = WSTOPSIG(status);
		}
	}
	return cprof_error_new(CPROF_ERR_OS, "thread %d does not run to its next stop",
			       (int)thread->tid);
}
