/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_run_impl.h - the inside of the heap profile's run: one process, with all that is known of it.
 *
 * heap_run.c owns what is done with one, heap_run_notes.c what is said of it; heap_run_all.c that it is done with all of them, in one window and one session.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_RUN_IMPL_H
#define CPROF_ATTACH_HEAP_HEAP_RUN_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/heap_before.h"
#include "attach/heap/heap_history.h"
#include "attach/heap/heap_mmap.h"
#include "attach/heap/heap_profile.h"
#include "attach/heap/heap_run.h"
#include "attach/heap/heap_since.h"
#include "attach/heap/heap_sources.h"
#include "attach/run/sample_pace.h"
#include "attach/run/session.h"
#include "cprof/error.h"
#include "cprof/hash.h"

struct cprof_heap_run {
	const struct cprof_run *run;
	const struct cprof_heap_request *request;
	struct cprof_session *session;
	struct cprof_process *process;
	struct cprof_heap_sources sources;
	struct cprof_heap_profile profile;
	struct cprof_sample_pace pace;
	struct cprof_map64 alive; /* as of about a second ago: for a target that ends */
	uint64_t alive_ns;        /* when that was, since the beginning of the window */
	struct cprof_heap_since since;
	struct cprof_heap_history history;
	uint64_t looked_mono_ns;
	uint64_t second_samples; /* at that moment */
	uint64_t lost_seen, samples_seen,
		eased_mono_ns; /* when the period was last looked at for losses */
	uint64_t period_high;  /* the largest so far */
	uint64_t no_room;      /* samples left out because the profile is as large as it may get */
	struct cprof_heap_mmap *mmap;    /* owned; NULL: not asked for */
	struct cprof_heap_before before; /* with -heap-baseline; else nothing is read */
	bool watched;   /* attached, and something of it is or will be in the profile */
	double share;   /* of our own processor time that is its */
	bool label_pid; /* the session does not say whose it is, and somebody may ask */
};

/* The notes of a run that is over, in its log. */
void cprof_heap_run_tell(const struct cprof_heap_run *heap);

/* A row for each stack and size, and notes, for the profile. What lives is settled. Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_run_add(struct cprof_heap_run *heap);

/*
 * Watch its allocators; heap->watched says whether they are. Errors: those of cprof_heap_sources_attach(), NO_TARGET (it ended
 * meanwhile).
 */
struct cprof_error *cprof_heap_run_attach(struct cprof_heap_run *heap);

/* One turn while it is watched: samples, and once a second what lives and how often to sample. */
struct cprof_error *cprof_heap_run_look(struct cprof_heap_run *heap, size_t *ret_samples);

/* What lives as of now, of a target that is watched still. */
struct cprof_error *cprof_heap_run_look_at_the_living(struct cprof_heap_run *heap);

/* Out of the target, whatever happens. `wanted`: then heap->profile is settled, unless there is an error. */
struct cprof_error *cprof_heap_run_detach(struct cprof_heap_run *heap, bool wanted);

/*
 * What is read of a process that is about to end is anything: no symbols, no code, no mappings. It ends a moment after
 * that, and then this is what happened. Takes `err`, and returns it or that.
 */
struct cprof_error *cprof_heap_run_explain(struct cprof_target *target, struct cprof_error *err);

#endif
