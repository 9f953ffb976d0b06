/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_oom.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cprof/buffer.h"

#define LOOK_NS (50 * 1000000ull)
#define AGAIN_NS                                                                                   \
	(10 * CPROF_NS_PER_S) /* so long after a profile was written a newer one is worth it */

static void warn_shared(const struct cprof_heap_oom *oom, const struct cprof_memory_watch *watch)
{
	if (cprof_memory_watch_is_shared(watch))
		cprof_run_log_note(
			oom->log, CPROF_NOTE_WARNING,
			"cprof-attach is in the memory cgroup of process %d (%s): at its "
			"limit it may be killed itself; start it outside, on the host",
			(int)watch->target->pid, watch->group->dir);
}

struct cprof_error *cprof_heap_oom_open(struct cprof_heap_oom *oom,
					const struct cprof_heap_on_oom *asked,
					struct cprof_target *const *targets, size_t n,
					struct cprof_run_log *log)
{
	struct cprof_error *err = NULL;
	*oom = (struct cprof_heap_oom){ .asked = asked, .log = log };
	if (!asked->write)
		return NULL;
	oom->watches = calloc(n, sizeof(*oom->watches));
	if (!oom->watches)
		return cprof_error_no_memory();
	for (; !err && oom->n < n; oom->n++) {
		struct cprof_memory_watch *watch = &oom->watches[oom->n];
		err = cprof_memory_watch_open(watch, targets[oom->n], asked->rss_bytes);
		if (!err)
			warn_shared(oom, watch);
	}
	cprof_memory_watch_step_back();
	return err;
}

void cprof_heap_oom_close(struct cprof_heap_oom *oom)
{
	for (size_t i = 0; i < oom->n; i++)
		cprof_memory_watch_close(&oom->watches[i]);
	free(oom->watches);
	*oom = (struct cprof_heap_oom){ 0 };
}

static bool is_time(struct cprof_heap_oom *oom, struct cprof_buffer *why)
{
	for (size_t i = 0; i < oom->n; i++) {
		struct cprof_memory_watch *watch = &oom->watches[i];
		why->len = 0;
		cprof_buffer_printf(why, "process %d: ", (int)watch->target->pid);
		if (!watch->target->exited && cprof_memory_watch_look(watch, why))
			return true;
	}
	return false;
}

_Noreturn static void work(struct cprof_heap_oom *oom, const char *why,
			   cprof_heap_oom_finish *finish, void *ctx)
{
	struct cprof_profile *profile = NULL;
	prctl(PR_SET_NAME, "cprof-on-oom");
	cprof_run_log_note(oom->log, CPROF_NOTE_FOUND, "written early (-on-oom): %s", why);
	struct cprof_error *err = finish(ctx, &profile);
	if (!err)
		oom->asked->write(oom->asked->ctx, profile, why);
	_exit(err ? 1 : 0);
}

/* It may have been killed in the process's place, or the process has ended under it. */
static void note_end(const struct cprof_heap_oom *oom, int status)
{
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		cprof_run_log_note(oom->log, CPROF_NOTE_WARNING,
				   "a profile that was to be written early (-on-oom) was not: its "
				   "writer failed");
}

/* `flags` are of waitpid(2); an interrupted wait goes on. */
static bool is_at_work(struct cprof_heap_oom *oom, int flags)
{
	int status;
	pid_t got = 0;
	if (!oom->copy)
		return false;
	do
		got = waitpid(oom->copy, &status, flags);
	while (got < 0 && errno == EINTR);
	if (got == oom->copy)
		note_end(oom, status);
	if (got)
		oom->copy = 0;
	return oom->copy != 0;
}

static void write_early(struct cprof_heap_oom *oom, const char *why, cprof_heap_oom_finish *finish,
			void *ctx)
{
	const pid_t copy = fork();
	if (copy == 0)
		work(oom, why, finish, ctx);
	if (copy < 0)
		cprof_run_log_note(oom->log, CPROF_NOTE_WARNING,
				   "%s; no profile was written at that moment: fork: %s", why,
				   strerror(errno));
	oom->copy = copy > 0 ? copy : 0;
}

bool cprof_heap_oom_look(struct cprof_heap_oom *oom, cprof_heap_oom_finish *finish, void *ctx)
{
	CPROF_AUTO(buffer) struct cprof_buffer why = { 0 };
	const uint64_t now = cprof_clock_mono_ns();
	if (!oom->n || now - oom->looked_mono_ns < LOOK_NS)
		return false;
	oom->looked_mono_ns = now;
	if (!is_time(oom, &why))
		return false;
	if (!is_at_work(oom, WNOHANG) &&
	    (!oom->written_mono_ns || now - oom->written_mono_ns >= AGAIN_NS)) {
		oom->written_mono_ns = now;
		write_early(oom, cprof_buffer_text(&why), finish, ctx);
	}
	return true;
}

void cprof_heap_oom_end(struct cprof_heap_oom *oom)
{
	is_at_work(oom, 0);
	for (size_t i = 0; i < oom->n; i++) {
		struct cprof_memory_watch *watch = &oom->watches[i];
		CPROF_AUTO(buffer) struct cprof_buffer why = { 0 };
		if (!watch->target->exited || !cprof_memory_watch_killed(watch, &why))
			continue;
		oom->log->counts.oom_kills++;
		cprof_run_log_note(oom->log, CPROF_NOTE_FOUND,
				   "process %d was killed (SIGKILL) because memory ran out: %s",
				   (int)watch->target->pid, cprof_buffer_text(&why));
	}
}
