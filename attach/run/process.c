/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/process.h"

#include <stdlib.h>

#include "base/clock.h"

#define MISS_WAIT_NS     (50 * 1000000ull)
#define MISS_WAIT_MAX_NS (5 * CPROF_NS_PER_S)

/* `memory` NULL: that of the process itself. */
static struct cprof_error *open_with(struct cprof_process *process, struct cprof_target *target,
				     const struct cprof_memory *memory)
{
	process->target = target;
	cprof_target_mem_init(&process->mem, target);
	cprof_maps_init(&process->maps, memory ? 0 : process->mem.tid,
			memory ? *memory : cprof_target_mem_view(&process->mem));
	process->threads = cprof_process_threads_new();
	return process->threads ? NULL : cprof_error_no_memory();
}

struct cprof_error *cprof_process_open(struct cprof_process *process, struct cprof_target *target)
{
	*process = (struct cprof_process){ .started = !target->launched };
	return open_with(process, target, NULL);
}

struct cprof_error *cprof_process_open_unseen(struct cprof_process *process,
					      struct cprof_target *target,
					      struct cprof_memory memory)
{
	*process = (struct cprof_process){
		.started = true,
		.refreshed_mono_ns = cprof_clock_mono_ns(),
		.refresh_after_ns = UINT64_MAX,
	};
	return open_with(process, target, &memory);
}

struct cprof_error *cprof_process_open_child(struct cprof_process *process,
					     struct cprof_target *target,
					     const struct cprof_process *parent)
{
	*process = (struct cprof_process){
		.started = parent->started,
		.refreshed_mono_ns = cprof_clock_mono_ns(),
		.refresh_after_ns = MISS_WAIT_NS,
	};
	struct cprof_error *err = open_with(process, target, NULL);
	process->mem.tid = process->maps.pid = target->pid;
	process->maps.exe_dev = parent->maps.exe_dev;
	process->maps.exe_inode = parent->maps.exe_inode;
	for (size_t i = 0; !err && i < parent->maps.n_sorted; i++)
		err = cprof_maps_add(&process->maps, parent->maps.sorted[i], NULL);
	return err;
}

void cprof_process_close(struct cprof_process *process)
{
	cprof_process_threads_free(process->threads);
	cprof_maps_deinit(&process->maps);
	free(process->mapping_numbers);
	*process = (struct cprof_process){ 0 };
}

/* Read the mappings as they are now; true in `*ret_gone` if there is nobody left to have any. */
static struct cprof_error *read_maps(struct cprof_process *process, bool *ret_gone)
{
	*ret_gone = false;
	struct cprof_error *err = cprof_maps_refresh(&process->maps);
	if (!err || err->code != CPROF_ERR_NO_TARGET)
		return err;
	*ret_gone = true;
	cprof_error_free(err);
	return NULL;
}

/* Where nothing new is found, the next miss waits twice as long. */
static uint64_t next_wait(uint64_t wait_ns, bool found_new)
{
	uint64_t next = found_new ? MISS_WAIT_NS : wait_ns * 2;
	if (next < MISS_WAIT_NS)
		return MISS_WAIT_NS;
	return next > MISS_WAIT_MAX_NS ? MISS_WAIT_MAX_NS : next;
}

struct cprof_error *cprof_process_refresh(struct cprof_process *process, uint64_t at_least_ns)
{
	uint64_t now = cprof_clock_mono_ns(), before = process->maps.generation;
	if (process->refreshed_mono_ns && now - process->refreshed_mono_ns < at_least_ns)
		return NULL;
	bool first = !process->refreshed_mono_ns, gone;
	process->refreshed_mono_ns = now;
	struct cprof_error *err = read_maps(process, &gone);
	if (!err && (gone || !process->maps.n_sorted) && cprof_target_alive(process->target)) {
		/* The thread through which we look has ended, or is a leader without memory. */
		process->mem.tid = process->maps.pid = cprof_target_living_tid(process->target);
		err = read_maps(process, &gone);
	}
	if (err)
		return err;
	/* One that nobody has waited for yet has a list still, with nothing in it. */
	gone = gone || (!process->maps.n_sorted && !cprof_target_alive(process->target));
	if (first && gone)
		return cprof_error_new(CPROF_ERR_NO_TARGET, "process %d has ended",
				       (int)process->target->pid);
	process->refresh_after_ns =
		next_wait(process->refresh_after_ns, process->maps.generation != before);
	return NULL;
}

struct cprof_error *cprof_process_exec(struct cprof_process *process)
{
	cprof_maps_clear(&process->maps);
	cprof_process_threads_clear(process->threads);
	process->started = true;
	process->target->leader_gone = false;
	process->mem.tid = process->maps.pid = process->target->pid;
	process->refreshed_mono_ns = cprof_clock_mono_ns();
	process->refresh_after_ns = MISS_WAIT_NS;
	bool gone;
	return read_maps(process, &gone);
}

/* ---- its threads ---- */

const char *cprof_process_thread_name(struct cprof_process *process, pid_t tid)
{
	const struct cprof_process_thread *thread =
		cprof_process_threads_get(process->threads, process->target, tid);
	return thread ? thread->name : "";
}

struct cprof_error *cprof_process_name_thread(struct cprof_process *process, pid_t tid,
					      const char *name)
{
	return cprof_process_threads_set(process->threads, tid, name) ? NULL
								      : cprof_error_no_memory();
}

struct cprof_error *cprof_process_fork_thread(struct cprof_process *process, pid_t tid,
					      pid_t parent)
{
	return cprof_process_threads_fork(process->threads, process->target, tid, parent)
		       ? NULL
		       : cprof_error_no_memory();
}
