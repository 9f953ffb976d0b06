/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_snapshot.h"

#include <stdio.h>
#include <string.h>

#include "attach/heap/heap_before.h"
#include "attach/heap/heap_resident.h"
#include "attach/run/session.h"
#include "attach/target/thread_look.h"

#define GROWTH_AT 2 /* values in use come first */

static struct cprof_error *look_at(const struct cprof_run *run, struct cprof_session *session,
				   struct cprof_heap_before *before)
{
	struct cprof_error *err = cprof_thread_look_memory(before->process->target);
	if (!err)
		err = cprof_heap_before_read(before);
	if (!err)
		err = cprof_heap_before_add(before, 0);
	const struct cprof_baseline_account *account = cprof_heap_before_account(before);
	if (err || !account)
		return err;
	run->log->counts.samples +=
		cprof_baseline_account_totals(account).parts[CPROF_BASELINE_IN_USE].objects;
	const struct cprof_heap_resident known = { .process = before->process,
						   .modules = cprof_session_modules(session),
						   .account = account,
						   .smaps = before->smaps.n ? &before->smaps
									    : NULL };
	return cprof_heap_resident_note(run->log, &known);
}

/* One process; of several, one that cannot be looked at is said and left out. */
static struct cprof_error *look(const struct cprof_run *run, struct cprof_session *session,
				size_t number, size_t *left)
{
	const struct cprof_target *target = run->targets[number];
	struct cprof_heap_before before;
	cprof_heap_before_init(&before, session, cprof_session_process_at(session, number),
			       run->log);
	before.snapshot = true;
	before.growth_at = GROWTH_AT;
	if (run->n_targets > 1)
		snprintf(before.who, sizeof(before.who), "%s, %d: ", target->comm,
			 (int)target->pid);
	struct cprof_error *err = look_at(run, session, &before);
	cprof_heap_before_deinit(&before);
	if (!err || err->code == CPROF_ERR_NO_MEMORY || --*left == 0)
		return err;
	cprof_run_log_note(run->log, CPROF_NOTE_WARNING, "process %d (%s) is left out: %s",
			   (int)target->pid, target->comm, err->message);
	cprof_error_free(err);
	return NULL;
}

static struct cprof_error *look_at_all(const struct cprof_run *run, struct cprof_session *session)
{
	struct cprof_error *err = NULL;
	size_t left = run->n_targets;
	run->window->length_ns = 0; /* as long as it takes */
	cprof_window_start(run->window);
	for (size_t i = 0; !err && i < run->n_targets; i++)
		err = look(run, session, i, &left);
	return err;
}

/* Where no allocator has kept stacks of growth there is no column for it. */
static void drop_growth(struct cprof_profile *profile)
{
	const uint32_t n = profile->n_types;
	for (uint32_t i = 0; i < profile->n_samples; i++) {
		if (profile->values[(size_t)i * n + GROWTH_AT + 1])
			return;
	}
	for (uint32_t i = 0; i < profile->n_samples; i++)
		memmove(profile->values + (size_t)i * GROWTH_AT, profile->values + (size_t)i * n,
			GROWTH_AT * sizeof(*profile->values));
	profile->n_types = GROWTH_AT;
}

struct cprof_error *cprof_heap_snapshot(const struct cprof_run *run,
					struct cprof_profile **ret_profile)
{
	static const struct cprof_builder_type types[] = { { "inuse_objects", "count" },
							   { "inuse_space", "bytes" },
							   { "growth_objects", "count" },
							   { "growth_space", "bytes" } };
	struct cprof_session *session;
	struct cprof_error *err = cprof_session_new(run, types, GROWTH_AT + 2, &session);
	if (err)
		return cprof_error_wrap(err, "heap of process %d", (int)run->targets[0]->pid);
	err = look_at_all(run, session);
	if (!err)
		err = cprof_session_finish(session, "space", "bytes", 1, "inuse_space",
					   ret_profile);
	cprof_session_free(session);
	if (!err)
		drop_growth(*ret_profile);
	return err ? cprof_error_wrap(err, "heap of process %d", (int)run->targets[0]->pid) : NULL;
}
