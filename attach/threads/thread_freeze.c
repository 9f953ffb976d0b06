/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_freeze.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "attach/target/ptrace_again.h"
#include "attach/target/ptrace_denied.h"
#include "attach/target/target_mem.h"
#include "attach/target/thread_regs.h"
#include "attach/target/tracer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/search.h"

#define STOP_WAIT_NS (20 * 1000000ull)
#define STARVED_WAIT_NS                                                                            \
	(100 * 1000000ull) /* for those that are ready to run but get no processor */
#define POLL_NS 50000

enum held {
	HELD_NO,      /* not ours */
	HELD_SEIZED,  /* traced, told to stop */
	HELD_STOPPED, /* stands still */
};

struct held_thread {
	enum held held;
	bool by_us; /* by our interrupt, and not by SIGSTOP */
	int signal; /* caught on its way to the thread: goes on with it when released */
};

struct work {
	struct cprof_thread_freeze *freeze;
	struct held_thread *held; /* one per thread */
	uint8_t *scratch;
	int seize_errno; /* of thread `denied`, the first that may not be traced */
	pid_t denied;
	size_t n_seized;
	bool missing; /* one was told to stop and did not come */
};

/* A leader that has ended is listed until the last thread has. */
static bool lives(pid_t pid, pid_t tid)
{
	enum { EXITING = 4 }; /* PF_EXITING: on its way through do_exit() */
	char text[1024];
	struct cprof_thread_stat stat;
	return cprof_thread_read(pid, tid, "stat", text, sizeof(text)) > 0 &&
	       cprof_thread_stat_parse(text, &stat) && stat.state != 'Z' && stat.state != 'X' &&
	       !(stat.flags & EXITING);
}

/* Why PTRACE_SEIZE failed. A thread that is being killed may be traced no more, which is nobody's denial. */
static const char *why_not(struct work *work, pid_t tid, int error)
{
	if (error == ESRCH || !lives(work->freeze->target->pid, tid))
		return "it has ended";
	if (!work->seize_errno)
		work->denied = tid;
	work->seize_errno = error;
	return "it cannot be traced";
}

static void seize(struct work *work)
{
	for (size_t i = 0; i < work->freeze->n; i++) {
		struct cprof_thread *thread = work->freeze->threads[i];
		/* It would not stop before its device answers, and would stop then, with nobody there. */
		if (thread->state == 'D') {
			thread->why = "it hangs in the kernel (D state) and cannot be stopped";
			continue;
		}
		if (ptrace(PTRACE_SEIZE, thread->tid, NULL, NULL) < 0) {
			thread->why = why_not(work, thread->tid, errno);
			continue;
		}
		work->held[i].held = HELD_SEIZED;
		work->n_seized++;
	}
}

/* SEIZE alone stops nobody; INTERRUPT does, without a signal. */
static void interrupt(struct work *work)
{
	for (size_t i = 0; i < work->freeze->n; i++) {
		if (work->held[i].held == HELD_SEIZED)
			ptrace(PTRACE_INTERRUPT, work->freeze->threads[i]->tid, NULL, NULL);
	}
}

/* Take note of a thread that was told to stop, if it has. */
static void reap_stop(struct work *work, size_t i)
{
	int status;
	struct held_thread *held = &work->held[i];
	pid_t got = waitpid(work->freeze->threads[i]->tid, &status, __WALL | WNOHANG);
	if (got == 0)
		return;
	if (got < 0 || !WIFSTOPPED(status)) {
		held->held = HELD_NO;
		work->freeze->threads[i]->why = "it has ended";
		return;
	}
	/* Without an event it is a signal on its way: hand it on when letting go. */
	held->signal = status >> 16 ? 0 : WSTOPSIG(status);
	held->held = HELD_STOPPED;
	work->freeze->stopped++;
	held->by_us = status >> 16 == PTRACE_EVENT_STOP && WSTOPSIG(status) == SIGTRAP;
}

/* Do all that are not there yet only wait for a processor? */
static bool starved(const struct work *work)
{
	for (size_t i = 0; i < work->freeze->n; i++) {
		char text[1024];
		struct cprof_thread_stat stat;
		if (work->held[i].held == HELD_SEIZED &&
		    cprof_thread_read(work->freeze->target->pid, work->freeze->threads[i]->tid,
				      "stat", text, sizeof(text)) > 0 &&
		    cprof_thread_stat_parse(text, &stat) && stat.state != 'R')
			return false;
	}
	return true;
}

static void wait_all(struct work *work)
{
	const uint64_t start_ns = cprof_clock_mono_ns();
	for (;;) {
		size_t open = 0;
		for (size_t i = 0; i < work->freeze->n; i++) {
			if (work->held[i].held == HELD_SEIZED)
				reap_stop(work, i);
			open += work->held[i].held == HELD_SEIZED;
		}
		const uint64_t waited_ns = cprof_clock_mono_ns() - start_ns;
		if (!open || waited_ns >= STARVED_WAIT_NS ||
		    (waited_ns >= STOP_WAIT_NS && !starved(work)))
			return;
		nanosleep(&(struct timespec){ .tv_nsec = POLL_NS }, NULL);
	}
}

static void copy_stack(struct work *work, struct cprof_thread *thread)
{
	const struct cprof_arch *arch = cprof_arch_host();
	uint64_t sp = thread->regs.r[arch->sp] - arch->red_zone_bytes;
	size_t n =
		cprof_target_mem_copy_by(thread->tid, sp, work->scratch, work->freeze->stack_bytes);
	uint8_t *bytes = malloc(n ? n : 1);
	if (!bytes)
		return;
	memcpy(bytes, work->scratch, n);
	free(thread->stack);
	thread->stack = bytes;
	thread->n_stack = n;
	thread->stack_addr = sp;
}

static void read_all(struct work *work)
{
	for (size_t i = 0; i < work->freeze->n; i++) {
		struct cprof_thread *thread = work->freeze->threads[i];
		uint64_t words[64] = { 0 };
		struct iovec regset = { .iov_base = words, .iov_len = sizeof(words) };
		if (work->held[i].held != HELD_STOPPED)
			continue;
		if (ptrace(PTRACE_GETREGSET, thread->tid, NT_PRSTATUS, &regset) < 0 ||
		    regset.iov_len < CPROF_THREAD_REGS_WORDS * sizeof(*words)) {
			thread->why = "its registers cannot be read";
			continue;
		}
		cprof_thread_regs_from_kernel(words, &thread->regs);
		/* What it was in before we came; a thread that ran has no call even if the word says so. */
		if (thread->call.kind != CPROF_CALL_RUNNING)
			cprof_thread_regs_call(words, &thread->call);
		thread->means = CPROF_MEANS_STOP;
		thread->why = NULL;
		copy_stack(work, thread);
	}
}

/* A call that came to nothing because of us is made anew. */
static void put_back(struct work *work, size_t i)
{
	struct user_regs_struct regs;
	const pid_t tid = work->freeze->threads[i]->tid;
	if (work->held[i].by_us && ptrace(PTRACE_GETREGS, tid, NULL, &regs) == 0)
		cprof_ptrace_again(tid, &regs);
}

static void release(struct work *work)
{
	for (size_t i = 0; i < work->freeze->n; i++) {
		struct cprof_thread *thread = work->freeze->threads[i];
		if (work->held[i].held == HELD_STOPPED) {
			put_back(work, i);
			ptrace(PTRACE_DETACH, thread->tid, NULL,
			       (void *)(intptr_t)work->held[i].signal);
		} else if (work->held[i].held == HELD_SEIZED) {
			thread->why = "it did not stop in time";
			work->missing = true;
		}
	}
}

/* While all known threads stand still the kernel's list can only hold others that were born before. */
static void count_born(struct work *work)
{
	const struct cprof_thread_freeze *freeze = work->freeze;
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	cprof_error_free(cprof_thread_list(freeze->target->pid, &tids, &n));
	for (size_t i = 0; i < n; i++) {
		size_t at = CPROF_SEARCH(k, freeze->n, freeze->threads[k]->tid < tids[i]);
		bool known = at < freeze->n && freeze->threads[at]->tid == tids[i];
		work->freeze->born += !known && lives(freeze->target->pid, tids[i]);
	}
}

/* What it has seized and not detached is released by the tracer's end. */
static bool trace(void *ctx)
{
	struct work *work = ctx;
	seize(work);
	uint64_t start_ns = cprof_clock_mono_ns();
	interrupt(work);
	wait_all(work);
	if (work->freeze->everybody)
		count_born(work);
	if (!work->freeze->born)
		read_all(work);
	release(work);
	if (work->n_seized)
		cprof_stop_tally_add(&work->freeze->stops, cprof_clock_mono_ns() - start_ns,
				     work->missing);
	return work->missing;
}

struct cprof_error *cprof_thread_freeze_take(struct cprof_thread_freeze *freeze)
{
	CPROF_AUTO(free) struct held_thread *held = calloc(freeze->n, sizeof(*held));
	CPROF_AUTO(free) uint8_t *scratch = malloc(freeze->stack_bytes);
	struct work work = { .freeze = freeze, .held = held, .scratch = scratch };
	struct cprof_tracer tracer = { 0 };
	freeze->stopped = freeze->born = 0;
	freeze->stops = (struct cprof_stop_tally){ 0 };
	if (!held || !scratch)
		return cprof_error_no_memory();
	cprof_tracer_run(&tracer, trace, &work);
	cprof_tracer_deinit(&tracer);
	if (!work.n_seized && work.seize_errno)
		return cprof_error_wrap(
			cprof_ptrace_denied(freeze->target->pid, work.denied, work.seize_errno),
			"stop threads of %d", (int)freeze->target->pid);
	return NULL;
}
