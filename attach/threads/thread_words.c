/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define NS_PER_MS 1000000ull

const char *cprof_thread_words_duration(uint64_t ns, char *buf)
{
	uint64_t s = ns / CPROF_NS_PER_S, ms = ns / NS_PER_MS;
	if (ms < 1000)
		snprintf(buf, 32, "%" PRIu64 "ms", ms);
	else if (s < 60)
		snprintf(buf, 32, "%" PRIu64 ".%" PRIu64 "s", s, ms % 1000 / 100);
	else if (s < 3600)
		snprintf(buf, 32, "%" PRIu64 "m%" PRIu64 "s", s / 60, s % 60);
	else
		snprintf(buf, 32, "%" PRIu64 "h%" PRIu64 "m", s / 3600, s / 60 % 60);
	return buf;
}

/* What it would be at if it were not stopped. */
static const char *activity(const struct cprof_thread *thread)
{
	if (thread->wait.kind != CPROF_LOCK_NONE)
		return cprof_lock_kind_name(thread->wait.kind);
	if (thread->wait.call && *thread->wait.call)
		return thread->wait.call;
	switch (thread->call.kind) {
	case CPROF_CALL_BLOCKED:
		return "system call";
	case CPROF_CALL_OUTSIDE:
		if (cprof_thread_is_frozen(thread))
			return "frozen";
		return thread->state == 't'                           ? "traced"
		       : thread->state == 'D' || thread->state == 'S' ? "page fault"
								      : "running";
	case CPROF_CALL_RUNNING:
		return "running";
	case CPROF_CALL_UNKNOWN:
		break;
	}
	return "unknown";
}

const char *cprof_thread_words_reason(const struct cprof_thread *thread)
{
	if (thread->state == 'Z' || thread->state == 'X')
		return "ended";
	return thread->state == 'T' ? "stopped" : activity(thread);
}

static const struct cprof_thread *by_index(const struct cprof_thread_snapshot *snapshot, size_t i)
{
	return i < snapshot->n ? &snapshot->threads[i] : NULL;
}

/* " 0x5586e1fba0c0 held by 24103 "worker-2"" */
static void put_lock(const struct cprof_thread_snapshot *snapshot,
		     const struct cprof_thread *thread, struct cprof_buffer *out)
{
	const struct cprof_lock_wait *wait = &thread->wait;
	const struct cprof_thread *owner = by_index(snapshot, thread->owner);
	if (wait->kind == CPROF_LOCK_NONE)
		return;
	if (wait->kind == CPROF_LOCK_JOIN && owner) {
		cprof_buffer_printf(out, " of %d \"%s\"", (int)owner->tid, owner->name);
		return;
	}
	if (wait->refused)
		cprof_buffer_printf(out, " that would never be free, as the kernel said%s",
				    owner ? "," : "");
	else if (wait->addr)
		cprof_buffer_printf(out, " 0x%" PRIx64, wait->addr);
	if (owner == thread)
		cprof_buffer_puts(out, " held by itself");
	else if (owner)
		cprof_buffer_printf(out, " held by %d \"%s\"", (int)owner->tid, owner->name);
	else if (wait->owner_pid)
		cprof_buffer_printf(out, " held by thread %d of process %d \"%s\"",
				    (int)wait->owner, (int)wait->owner_pid, wait->owner_process);
	else if (wait->unseen_owner)
		cprof_buffer_printf(out,
				    " held by thread %d of another process, which cannot be told "
				    "from here",
				    (int)wait->unseen_owner);
	else if (wait->gone_owner)
		cprof_buffer_printf(out, " held by %d, which has ended", (int)wait->gone_owner);
	else if (wait->readers)
		cprof_buffer_printf(out, " held by %u reader%s", wait->readers,
				    wait->readers == 1 ? "" : "s");
	if (wait->timed && cprof_lock_kind_is_owned(wait->kind))
		cprof_buffer_puts(out, " with a timeout");
}

void cprof_thread_words_put_reason(const struct cprof_thread_snapshot *snapshot,
				   const struct cprof_thread *thread, struct cprof_buffer *out)
{
	const char *reason = cprof_thread_words_reason(thread);
	cprof_buffer_puts(out, reason);
	if (thread->state == 'T' && thread->call.kind == CPROF_CALL_BLOCKED) {
		reason = activity(thread);
		cprof_buffer_printf(out, " in %s", reason);
	}
	if (strcmp(reason, "system call") == 0)
		cprof_buffer_printf(out, " %" PRId64, thread->call.nr);
	put_lock(snapshot, thread, out);
	if (cprof_thread_is_frozen(thread))
		cprof_buffer_puts(out, thread->call.kind == CPROF_CALL_BLOCKED ? ", frozen" : "");
	else if (*thread->wchan && strcmp(thread->wchan, "0") != 0)
		cprof_buffer_printf(out, " at %s", thread->wchan);
}
