/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/tracer.h - the thread of ours that stops others, and whose end frees whoever could not be let go.
 *
 * ptrace(2) belongs to the thread that seized: only that one may go on, and only a stopped thread can be let go by it. One
 * that was told to stop while it hung in the kernel would stop when it comes back, at any later time, and wait for us. When
 * the tracer ends the kernel forgets the request: such a thread runs on as if it had never been asked (no
 * PTRACE_O_EXITKILL). So the tracer is a thread of its own, kept from one stop to the next, and replaced after a straggler.
 *
 * Source of truth: ptrace(2) "Attaching and detaching"; Linux, exit_ptrace().
 */
#ifndef CPROF_ATTACH_TARGET_TRACER_H
#define CPROF_ATTACH_TARGET_TRACER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/types.h>

/* What the tracer does: begins with cprof_ptrace_stop() and ends with cprof_ptrace_resume(). True: there is a straggler. */
typedef bool cprof_tracer_work(void *ctx);

struct cprof_tracer {
	pthread_t thread;
	pid_t tid;
	bool running; /* there is such a thread */
	sem_t given, done;
	cprof_tracer_work *work; /* NULL: end */
	void *ctx;
	bool straggler;
};

/* A zeroed struct has no thread yet. */
void cprof_tracer_deinit(struct cprof_tracer *tracer);

/*
 * Do it on the tracer's thread, which takes no signals, and wait for its end. Where no thread can be started the caller's
 * does it: what is under way must be undone in any case.
 */
void cprof_tracer_run(struct cprof_tracer *tracer, cprof_tracer_work *work, void *ctx);

#endif
