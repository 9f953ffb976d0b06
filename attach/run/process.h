/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/process.h - one target as a run sees it: mappings, memory, and the names of its threads.
 *
 * A process that the run never looks into (a core file's, one whose memory does not answer) is made by whoever knows it.
 * Nothing here stops the target.
 */
#ifndef CPROF_ATTACH_RUN_PROCESS_H
#define CPROF_ATTACH_RUN_PROCESS_H

#include "attach/run/process_threads.h"
#include "attach/target/target.h"
#include "attach/target/target_mem.h"
#include "cprof/error.h"
#include "cprof/maps.h"

struct cprof_process {
	struct cprof_target *target; /* borrowed */
	struct cprof_maps maps;
	struct cprof_target_mem mem;
	uint64_t refreshed_mono_ns; /* when the mappings were last read as a whole */
	uint64_t refresh_after_ns;  /* how long a miss must wait for the next reading */
	uint32_t *mapping_numbers;  /* by cprof_map.id: its number in the profile, 0 not yet */
	uint32_t n_mapping_numbers;
	struct cprof_process_threads *threads; /* owned */
	bool started; /* samples count: always, but for a launched command only from its exec on */
};

/* Reads nothing yet. Errors: NO_MEMORY; `process` can be closed all the same. */
struct cprof_error *cprof_process_open(struct cprof_process *process, struct cprof_target *target);

/* The same where there is no /proc to read mappings from: they are put into process->maps, which reads `memory`. */
struct cprof_error *cprof_process_open_unseen(struct cprof_process *process,
					      struct cprof_target *target,
					      struct cprof_memory memory);

/*
 * A process that `parent` has just forked: what is mapped there is mapped here, too, and the rest is told by records. Its
 * memory is read as long as it lives. Errors: NO_MEMORY; it can be closed all the same.
 */
struct cprof_error *cprof_process_open_child(struct cprof_process *process,
					     struct cprof_target *target,
					     const struct cprof_process *parent);
void cprof_process_close(struct cprof_process *process);

/*
 * Read /proc/PID/maps again, but no more often than every `at_least_ns`. A process that is gone is no error, except at the
 * first time: NO_TARGET.
 */
struct cprof_error *cprof_process_refresh(struct cprof_process *process, uint64_t at_least_ns);

/* It runs another program now: forget mappings and thread names, read them anew. */
struct cprof_error *cprof_process_exec(struct cprof_process *process);

/* The name of a thread; borrowed until the next call, "" where there is no memory for it. */
const char *cprof_process_thread_name(struct cprof_process *process, pid_t tid);

/* A thread's new name, and a new thread, which bears its creator's name. Errors: NO_MEMORY. */
struct cprof_error *cprof_process_name_thread(struct cprof_process *process, pid_t tid,
					      const char *name);
struct cprof_error *cprof_process_fork_thread(struct cprof_process *process, pid_t tid,
					      pid_t parent);

#endif
