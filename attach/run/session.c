#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/run/session_impl.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define MISS_WAIT_NS     (50 * 1000000ull)
#define MISS_WAIT_MAX_NS (5 * CPROF_NS_PER_S)

/* ---- life ---- */

static struct cprof_error *split_labels(struct cprof_session *session)
{
	const struct cprof_strings *labels = &session->run->options->labels;
	for (size_t i = 0; i < labels->len && session->n_fixed < CPROF_SESSION_LABELS_MAX - 4;
	     i++) {
		char key[256];
		struct cprof_builder_label *label = &session->fixed[session->n_fixed];
		struct cprof_error *err =
			cprof_cli_label_split(labels->items[i], key, sizeof(key), &label->str);
		if (err)
			return err;
		char *copy = strdup(key);
		if (!copy)
			return cprof_error_no_memory();
		session->fixed_keys[session->n_fixed++] = copy;
		label->key = copy;
	}
	return NULL;
}

/* pprof takes the first mapping for the program that a profile is of. */
static struct cprof_error *number_main(struct cprof_session *session, struct cprof_process *process)
{
	struct cprof_map *map = cprof_maps_main(&process->maps);
	uint32_t number;
	return map ? cprof_session_number_mapping(session, process, map, &number) : NULL;
}

static struct cprof_error *open_process(struct cprof_session *session,
					struct cprof_process *process, uint32_t number)
{
	struct cprof_target *target = session->run->targets[number];
	process->target = target;
	process->number = number;
	process->started = !target->launched;
	cprof_target_mem_init(&process->mem, target);
	cprof_maps_init(&process->maps, process->mem.tid, cprof_target_mem_view(&process->mem));
	process->threads = cprof_session_threads_new();
	return process->threads ? NULL : cprof_error_no_memory();
}

static struct cprof_error *open_parts(struct cprof_session *session,
				      const struct cprof_builder_type *types, size_t n_types)
{
	const struct cprof_mode_run *run = session->run;
	cprof_modules_init(&session->modules);
	session->processes = calloc(run->n_targets + 1, sizeof(*session->processes));
	if (!session->processes)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_builder_new(types, n_types, &session->builder);
	if (!err)
		err = cprof_unwinder_new(cprof_arch_host(), &session->modules, &session->unwinder);
	if (!err)
		err = split_labels(session);
	for (size_t i = 0; !err && i < run->n_targets; i++) {
		session->n_processes++;
		err = open_process(session, &session->processes[i], (uint32_t)i);
	}
	return err;
}

struct cprof_error *cprof_session_prepare(const struct cprof_mode_run *run,
					  const struct cprof_builder_type *types, size_t n_types,
					  struct cprof_session **ret_session)
{
	if (!cprof_arch_host())
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "stacks of this CPU are not known");
	struct cprof_session *session = calloc(1, sizeof(*session));
	if (!session)
		return cprof_error_no_memory();
	session->run = run;
	struct cprof_error *err = open_parts(session, types, n_types);
	if (err) {
		cprof_session_free(session);
		return err;
	}
	*ret_session = session;
	return NULL;
}

struct cprof_error *cprof_session_look(struct cprof_session *session)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < session->n_processes; i++) {
		struct cprof_process *process = &session->processes[i];
		if (process->target->launched)
			continue; /* to be read when it runs its own program: cprof_session_exec() */
		err = cprof_session_refresh(session, process, 0);
		if (!err)
			err = number_main(session, process);
	}
	return err;
}

struct cprof_error *cprof_session_new(const struct cprof_mode_run *run,
				      const struct cprof_builder_type *types, size_t n_types,
				      struct cprof_session **ret_session)
{
	struct cprof_session *session;
	struct cprof_error *err = cprof_session_prepare(run, types, n_types, &session);
	if (err)
		return err;
	err = cprof_session_look(session);
	if (err) {
		cprof_session_free(session);
		return err;
	}
	*ret_session = session;
	return NULL;
}

void cprof_session_free(struct cprof_session *session)
{
	if (!session)
		return;
	for (size_t i = 0; i < session->n_processes; i++) {
		struct cprof_process *process = &session->processes[i];
		cprof_session_threads_free(process->threads);
		cprof_maps_deinit(&process->maps);
		free(process->mapping_numbers);
	}
	free(session->processes);
	cprof_unwinder_free(session->unwinder);
	cprof_builder_free(session->builder);
	cprof_session_prefetch_deinit(&session->prefetch);
	cprof_modules_deinit(&session->modules);
	cprof_session_names_deinit(&session->names);
	for (size_t i = 0; i < session->n_fixed; i++)
		free(session->fixed_keys[i]);
	free(session);
}

struct cprof_process *cprof_session_process(struct cprof_session *session, pid_t pid)
{
	for (size_t i = 0; i < session->n_processes; i++) {
		if (session->processes[i].target->pid == pid)
			return &session->processes[i];
	}
	return NULL;
}

struct cprof_process *cprof_session_process_at(struct cprof_session *session, size_t number)
{
	return number < session->n_processes ? &session->processes[number] : NULL;
}

struct cprof_modules *cprof_session_modules(struct cprof_session *session)
{
	return &session->modules;
}

struct cprof_builder *cprof_session_builder(struct cprof_session *session)
{
	return session->builder;
}

struct cprof_run_log *cprof_session_log(struct cprof_session *session)
{
	return session->run->log;
}

void cprof_session_unwind_stats(const struct cprof_session *session,
				struct cprof_unwind_stats *ret_stats)
{
	cprof_unwinder_stats(session->unwinder, ret_stats);
}

/* ---- what happens to a process ---- */

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

struct cprof_error *cprof_session_refresh(struct cprof_session *session,
					  struct cprof_process *process, uint64_t at_least_ns)
{
	(void)session;
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
	if (first && gone)
		return cprof_error_new(CPROF_ERR_NO_TARGET, "process %d has ended",
				       (int)process->target->pid);
	process->refresh_after_ns =
		process->maps.generation != before ? MISS_WAIT_NS : process->refresh_after_ns * 2;
	if (process->refresh_after_ns > MISS_WAIT_MAX_NS)
		process->refresh_after_ns = MISS_WAIT_MAX_NS;
	if (process->refresh_after_ns < MISS_WAIT_NS)
		process->refresh_after_ns = MISS_WAIT_NS;
	return NULL;
}

struct cprof_error *cprof_session_exec(struct cprof_session *session, struct cprof_process *process)
{
	cprof_maps_clear(&process->maps);
	cprof_session_threads_clear(process->threads);
	process->started = true;
	process->target->leader_gone = false;
	process->mem.tid = process->maps.pid = process->target->pid;
	process->refreshed_mono_ns = cprof_clock_mono_ns();
	process->refresh_after_ns = MISS_WAIT_NS;
	bool gone;
	struct cprof_error *err = read_maps(process, &gone);
	if (!err)
		err = number_main(session, process);
	if (err)
		return err;
	err = cprof_target_check_program(process->target);
	if (err && err->code == CPROF_ERR_UNSUPPORTED) {
		cprof_run_log_note(session->run->log, CPROF_NOTE_WARNING, "after exec: %s",
				   err->message);
		process->started = false; /* its registers and stacks would be misread */
	}
	cprof_error_free(err);
	return NULL;
}

void cprof_session_prefetch(struct cprof_session *session)
{
	cprof_session_prefetch_start(&session->prefetch, session->run, &session->names,
				     session->builder);
}

/* ---- the end ---- */

struct cprof_error *cprof_session_add(struct cprof_session *session,
				      const struct cprof_session_stack *stack, uint32_t labels,
				      const int64_t *values)
{
	return cprof_builder_add(session->builder, stack->frames, stack->n, labels, values);
}

/* How the walks ended: for -v, and a comment where not every stack is whole and by rule. */
static struct cprof_error *tell_walks(const struct cprof_session *session,
				      struct cprof_profile *profile)
{
	CPROF_AUTO(buffer) struct cprof_buffer walks = { 0 }, cache = { 0 };
	struct cprof_unwind_stats stats;
	cprof_unwinder_stats(session->unwinder, &stats);
	if (!stats.walks)
		return NULL;
	cprof_unwind_stats_describe(&stats, &walks, &cache);
	cprof_run_log_note(session->run->log, CPROF_NOTE_DETAIL, "%s", cprof_buffer_text(&walks));
	cprof_run_log_note(session->run->log, CPROF_NOTE_DETAIL, "%s", cprof_buffer_text(&cache));
	if (stats.stops[CPROF_STOP_ROOT] == stats.walks && !stats.guessed)
		return NULL;
	return cprof_profile_add_comment(profile, cprof_buffer_text(&walks));
}

struct cprof_error *cprof_session_finish(struct cprof_session *session, const char *period_type,
					 const char *period_unit, int64_t period,
					 const char *default_type,
					 struct cprof_profile **ret_profile)
{
	struct cprof_counts *counts = &session->run->log->counts;
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	counts->stacks = cprof_builder_distinct_stacks(session->builder);
	counts->locations = cprof_builder_distinct_locations(session->builder);
	cprof_session_prefetch_stop(&session->prefetch, session->run->log);
	struct cprof_error *err = cprof_session_names_finish(
		&session->names, session->run, &session->modules, session->builder,
		session->prefetch.kernel, session->kernel_mapping, &profile);
	if (!err)
		err = cprof_profile_set_period(profile, period_type, period_unit, period);
	if (!err && default_type)
		err = cprof_profile_set_default_type(profile, default_type);
	if (!err)
		err = tell_walks(session, profile);
	if (err)
		return err;
	*ret_profile = cprof_take_ptr(&profile);
	return NULL;
}
