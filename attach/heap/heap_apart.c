/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_apart.h"

#include <stdlib.h>

#include "attach/run/run_runner.h"
#include "attach/target/thread_look.h"

bool cprof_heap_apart_several(const struct cprof_heap_apart *apart)
{
	return apart->run->n_targets > 1;
}

/* ---- who takes part ---- */

static struct cprof_error *check(const struct cprof_run *run, struct cprof_target *target)
{
	struct cprof_target *targets[] = { target };
	struct cprof_run alone = *run;
	alone.targets = targets;
	alone.n_targets = 1;
	struct cprof_error *err = cprof_run_check_runner(&alone, CPROF_RUN_CHANGES);
	if (!err && run->n_targets > 1 && !cprof_target_alive(target))
		err = cprof_error_new(CPROF_ERR_NO_TARGET, "process %d has ended",
				      (int)target->pid);
	return err ? err : cprof_thread_look_memory(target);
}

static void note_left_out(const struct cprof_run *run, const struct cprof_target *target,
			  const struct cprof_error *err)
{
	cprof_run_log_note(run->log, CPROF_NOTE_WARNING, "process %d (%s) is left out: %s%s%s",
			   (int)target->pid, target->comm, err->message,
			   err->hint ? "; hint: " : "", err->hint ? err->hint : "");
}

/* Left out, where others may do. `*first` is kept for the case that none does. */
static void leave(const struct cprof_run *run, const struct cprof_target *target,
		  struct cprof_error *err, struct cprof_error **first)
{
	if (run->n_targets > 1)
		note_left_out(run, target, err);
	if (*first)
		cprof_error_free(err);
	else
		*first = err;
}

static void take_in(struct cprof_heap_apart *apart, struct cprof_target *target)
{
	struct cprof_heap_one *one = &apart->all[apart->n];
	apart->targets[apart->n++] = target;
	one->target = target;
	one->run = *apart->run;
	one->run.targets = &one->target;
	one->run.n_targets = 1;
	if (cprof_heap_apart_several(apart))
		one->run.log = &one->log;
}

struct cprof_error *cprof_heap_apart_init(struct cprof_heap_apart *apart,
					  const struct cprof_run *run)
{
	struct cprof_error *first = NULL;
	*apart = (struct cprof_heap_apart){ .run = run, .joined = *run };
	apart->targets = calloc(run->n_targets, sizeof(apart->targets[0]));
	apart->all = calloc(run->n_targets, sizeof(*apart->all));
	if (!apart->targets || !apart->all) {
		cprof_heap_apart_deinit(apart);
		return cprof_error_no_memory();
	}
	for (size_t i = 0; i < run->n_targets; i++) {
		struct cprof_error *err = check(run, run->targets[i]);
		if (err)
			leave(run, run->targets[i], err, &first);
		else
			take_in(apart, run->targets[i]);
	}
	apart->joined.targets = apart->targets;
	apart->joined.n_targets = apart->n;
	if (!apart->n) {
		cprof_heap_apart_deinit(apart);
		return first;
	}
	cprof_error_free(first);
	return NULL;
}

void cprof_heap_apart_deinit(struct cprof_heap_apart *apart)
{
	for (size_t i = 0; i < apart->n; i++)
		cprof_run_log_deinit(&apart->all[i].log);
	free(apart->all);
	free(apart->targets);
	*apart = (struct cprof_heap_apart){ 0 };
}

struct cprof_error *cprof_heap_apart_leave_out(struct cprof_heap_apart *apart, size_t i,
					       struct cprof_error *err)
{
	size_t left = 0;
	apart->all[i].out = true;
	for (size_t k = 0; k < apart->n; k++)
		left += !apart->all[k].out;
	if (!left || err->code == CPROF_ERR_NO_MEMORY)
		return err;
	note_left_out(apart->run, apart->all[i].target, err);
	cprof_error_free(err);
	return NULL;
}

/* ---- what they say ---- */

void cprof_heap_apart_count(const struct cprof_heap_apart *apart)
{
	struct cprof_counts *sum = &apart->run->log->counts;
	if (!cprof_heap_apart_several(apart))
		return;
	sum->samples = sum->lost = 0;
	for (size_t i = 0; i < apart->n; i++) {
		sum->samples += apart->all[i].log.counts.samples;
		sum->lost += apart->all[i].log.counts.lost;
	}
}

void cprof_heap_apart_gather(struct cprof_heap_apart *apart)
{
	for (size_t i = 0; i < apart->n; i++) {
		struct cprof_heap_one *one = &apart->all[i];
		for (size_t k = 0; k < one->log.n_notes; k++)
			cprof_run_log_note(apart->run->log, one->log.notes[k].kind, "%s (%d): %s",
					   one->target->comm, (int)one->target->pid,
					   one->log.notes[k].text);
	}
}
