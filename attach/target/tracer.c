/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/tracer.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LEAVE_TURNS 10000 /* naps of 100 us, and one is mostly enough */

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) != 0)
		;
}

/*
 * On a busy machine it is we who make the target wait: every time that we are not let run while its threads stand still. Ours is
 * the only priority that is changed, and only this thread's, which works for milliseconds. Refused without CAP_SYS_NICE.
 */
static void be_quick(void)
{
	const struct sched_param lowest = { .sched_priority = 1 };
	sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest);
}

static void *trace(void *arg)
{
	struct cprof_tracer *tracer = arg;
	tracer->tid = gettid();
	be_quick();
	sem_post(&tracer->done);
	for (;;) {
		wait_for(&tracer->given);
		if (!tracer->work)
			return NULL;
		tracer->straggler = tracer->work(tracer->ctx);
		sem_post(&tracer->done);
	}
}

static bool start(struct cprof_tracer *tracer)
{
	if (tracer->running)
		return true;
	if (sem_init(&tracer->given, 0, 0) != 0 || sem_init(&tracer->done, 0, 0) != 0)
		return false;
	/* Signals for our program are not for the tracer: it is not to be interrupted while it holds threads. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	tracer->running = pthread_create(&tracer->thread, NULL, trace, tracer) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (tracer->running)
		wait_for(&tracer->done);
	return tracer->running;
}

/* pthread_join() is back before the kernel has freed the thread's tracees, which it does before it forgets the thread. */
static void wait_until_gone(pid_t tid)
{
	char path[64];
	const struct timespec moment = { .tv_nsec = 100000 };
	snprintf(path, sizeof(path), "/proc/self/task/%d", (int)tid);
	for (unsigned turn = 0; turn < LEAVE_TURNS && access(path, F_OK) == 0; turn++)
		nanosleep(&moment, NULL);
}

void cprof_tracer_deinit(struct cprof_tracer *tracer)
{
	if (!tracer->running)
		return;
	tracer->work = NULL;
	sem_post(&tracer->given);
	pthread_join(tracer->thread, NULL);
	wait_until_gone(tracer->tid);
	sem_destroy(&tracer->given);
	sem_destroy(&tracer->done);
	*tracer = (struct cprof_tracer){ 0 };
}

void cprof_tracer_run(struct cprof_tracer *tracer, cprof_tracer_work *work, void *ctx)
{
	if (!start(tracer)) {
		work(ctx);
		return;
	}
	tracer->work = work;
	tracer->ctx = ctx;
	sem_post(&tracer->given);
	wait_for(&tracer->done);
	if (tracer->straggler)
		cprof_tracer_deinit(tracer);
}
