/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/context/contexts.h - request labels of a run: which processes offer a context of their threads, where, and a sample's labels of it.
 *
 * A mode asks for places (cprof_contexts_look), has them read by a BPF program at each sample (attach/perf/bpf_context.h, attach/waits/wait.bpf.c),
 * and gets labels for what was read. The number of distinct sets is bounded, since each makes samples of its own.
 *
 * Reads files that the process maps, its process context and, where its loader has written, a few words of its memory. Stops nobody.
 */
#ifndef CPROF_ATTACH_CONTEXT_CONTEXTS_H
#define CPROF_ATTACH_CONTEXT_CONTEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/context/context_bpf.h"
#include "attach/run/process.h"
#include "attach/run/run.h"
#include "cprof/builder.h"
#include "cprof/error.h"
#include "cprof/module.h"

#define CPROF_CONTEXTS_LABELS_MAX 34    /* of one sample */
#define CPROF_CONTEXTS_SETS_MAX   16384 /* distinct contexts with their ids; */
#define CPROF_CONTEXTS_PLAIN_MAX  4096  /* and so many more without */

struct cprof_contexts;

/* `run` and `modules` are borrowed. NULL in *ret_contexts where run->request_labels.what is off. Errors: NO_MEMORY. */
struct cprof_error *cprof_contexts_new(const struct cprof_run *run, struct cprof_modules *modules,
				       struct cprof_contexts **ret_contexts);
void cprof_contexts_free(struct cprof_contexts *contexts);

/*
 * Does `target` seem to have some? A quick look, for who has to be ready when the window begins: it has a process context, or is a Go program.
 * `contexts` may be NULL.
 */
bool cprof_contexts_expected(const struct cprof_contexts *contexts,
			     const struct cprof_target *target);

/*
 * Look at what `process` has mapped since the last time, and at what its loader has written since. True: *ret_place is to be read from now on, or
 * again. Costs nothing where nothing is new. `contexts` may be NULL. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_contexts_look(struct cprof_contexts *contexts,
					struct cprof_process *process, bool *ret_new,
					struct cprof_context_place *ret_place);

/* It runs another program, or is gone: what was known of it is forgotten. */
void cprof_contexts_forget(struct cprof_contexts *contexts, const struct cprof_process *process);

/* Nobody can read the place that was found: `why` is told at the end, where it is worth it. */
void cprof_contexts_refused(struct cprof_contexts *contexts, struct cprof_error *why);

/* Some can: `which` (static, "waits") bear none, for `why`, which is told at the end. */
void cprof_contexts_partly(struct cprof_contexts *contexts, const char *which,
			   struct cprof_error *why);

/*
 * Labels of a sample of `process` from the `n` bytes that were copied with it (0: it has none). Borrowed until the next call. `contexts` may be NULL.
 */
void cprof_contexts_labels(struct cprof_contexts *contexts, struct cprof_process *process,
			   const void *event, size_t n,
			   const struct cprof_builder_label **ret_labels, size_t *ret_n);

/*
 * The same in two steps, for who counts until the end: a number for good that stands for these labels, 0 for none; and its labels, copied to where there is
 * room for CPROF_CONTEXTS_LABELS_MAX; returns how many.
 */
uint32_t cprof_contexts_number(struct cprof_contexts *contexts, struct cprof_process *process,
			       const void *event, size_t n);
size_t cprof_contexts_put(struct cprof_contexts *contexts, uint32_t number,
			  struct cprof_builder_label *ret_labels);

/* What is worth knowing of it, in the run's log: before the profile is finished. */
void cprof_contexts_tell(const struct cprof_contexts *contexts);

#endif
