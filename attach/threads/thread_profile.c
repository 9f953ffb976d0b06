/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_profile.h"

#include <inttypes.h>
#include <stdio.h>

#include "attach/threads/thread_words.h"

static const char *state_word(char state)
{
	switch (state) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "disk sleep";
	case 'T':
		return "stopped";
	case 't':
		return "traced";
	case 'Z':
		return "zombie";
	case 'X':
		return "dead";
	case 'I':
		return "idle";
	default:
		return "unknown";
	}
}

static struct cprof_error *add_thread(struct cprof_session *session, struct cprof_process *process,
				      const struct cprof_thread *thread)
{
	struct cprof_builder_label labels[14];
	char lock[32];
	size_t n = 0;
#define LABEL(...) labels[n++] = (struct cprof_builder_label){ __VA_ARGS__ }
	LABEL(.key = "state", .str = state_word(thread->state));
	LABEL(.key = "wait", .str = cprof_thread_words_reason(thread));
	if (thread->wait.addr && !thread->wait.refused) {
		snprintf(lock, sizeof(lock), "0x%llx", (unsigned long long)thread->wait.addr);
		LABEL(.key = "lock", .str = lock);
	}
	if (thread->wait.owner)
		LABEL(.key = "owner_tid", .num = thread->wait.owner);
	if (thread->wait.owner_pid)
		LABEL(.key = "owner_pid", .num = thread->wait.owner_pid);
	if (thread->idle_ns)
		LABEL(.key = "waited", .num = (int64_t)thread->idle_ns, .unit = "nanoseconds");
	if (thread->stuck_ns)
		LABEL(.key = "stuck", .num = (int64_t)thread->stuck_ns, .unit = "nanoseconds");
	if (thread->cycle)
		LABEL(.key = "deadlock", .num = (int64_t)thread->cycle);
	if (thread->why)
		LABEL(.key = "why", .str = thread->why);
#undef LABEL
	uint32_t set;
	const int64_t one = 1;
	const struct cprof_session_stack stack = { .frames = thread->frames,
						   .n = thread->n_frames };
	struct cprof_error *err = cprof_process_name_thread(process, thread->tid, thread->name);
	if (!err)
		err = cprof_session_labels(session, process, thread->tid, labels, n, &set);
	return err ? err : cprof_session_add(session, &stack, set, &one);
}

struct cprof_error *cprof_thread_profile_add(struct cprof_session *session,
					     struct cprof_process *process,
					     const struct cprof_thread_snapshot *snapshot)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < snapshot->n; i++) {
		if (!snapshot->threads[i].left_out)
			err = add_thread(session, process, &snapshot->threads[i]);
	}
	return err;
}
