/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/session.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "attach/run/profile_names.h"
#include "attach/run/ring_builder.h"
#include "attach/run/run_without.h"
#include "attach/run/sample_labels.h"
#include "attach/run/session_prefetch.h"
#include "attach/run/session_time.h"
#include "attach/target/target_children.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/version.h"
#include "convert/profile/builder_carry.h"
#include "convert/profile/guessed.h"
#include "cprof/hash.h"
#include "symbolize/names/place_name.h"

struct cprof_session {
	const struct cprof_run *run;   /* borrowed, as all of it */
	struct cprof_builder *builder; /* owned, as all the rest */
	struct cprof_modules own_modules;
	struct cprof_modules *modules;    /* these, or the run's */
	struct cprof_process **processes; /* the run's targets in their order, then children */
	size_t n_processes, cap_processes;
	struct cprof_map64 by_pid;      /* number of the last one with that id, + 1 */
	struct cprof_target **children; /* what the run does not own */
	size_t n_children, cap_children;
	struct cprof_mapping_numbers numbers;
	struct cprof_marker_names markers;
	struct cprof_stack_walker walker;
	struct cprof_sample_labels labels;
	struct cprof_session_prefetch own_prefetch;
	struct cprof_session_prefetch *prefetch; /* this, or the run's */
	struct cprof_session_prefetch_turn prefetch_turn;
	struct cprof_timeline *timeline; /* NULL: samples do not say when they were */
	size_t small_bytes;              /* of a file that may have times in any case */
};

/* ---- life ---- */

/* One more, of `pid`; zeroed, and kept where it is, as mappings in it are pointed to. NULL: no memory. */
static struct cprof_process *add_process(struct cprof_session *session, pid_t pid)
{
	if (!CPROF_ARRAY_ROOM(session->processes, session->n_processes, session->cap_processes, 1))
		return NULL;
	struct cprof_process *process = calloc(1, sizeof(*process));
	uint64_t *number = process ? cprof_map64_put(&session->by_pid, (uint64_t)pid, NULL) : NULL;
	if (!number) {
		free(process);
		return NULL;
	}
	session->processes[session->n_processes++] = process;
	*number = session->n_processes;
	return process;
}

static struct cprof_error *open_processes(struct cprof_session *session)
{
	const struct cprof_run *run = session->run;
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < run->n_targets; i++) {
		struct cprof_process *process = add_process(session, run->targets[i]->pid);
		err = process ? cprof_process_open(process, run->targets[i])
			      : cprof_error_no_memory();
	}
	return err;
}

static struct cprof_error *open_parts(struct cprof_session *session,
				      const struct cprof_builder_type *types, size_t n_types)
{
	cprof_modules_init(&session->own_modules);
	session->own_modules.budget.factor = session->run->naming.budget;
	session->modules = session->run->modules ? session->run->modules : &session->own_modules;
	session->prefetch =
		session->run->prefetch ? session->run->prefetch : &session->own_prefetch;
	struct cprof_error *err = cprof_builder_new(types, n_types, &session->builder);
	if (err)
		return err;
	cprof_mapping_numbers_init(&session->numbers, session->builder, session->modules);
	cprof_sample_labels_init(&session->labels, session->builder, session->run);
	if (session->run->timeline.on)
		err = cprof_timeline_new(n_types, session->run->timeline.bucket_ns,
					 &session->timeline);
	if (err)
		return err;
	err = cprof_stack_walker_init(&session->walker, &session->numbers, session->run->log);
	return err ? err : open_processes(session);
}

struct cprof_error *cprof_session_prepare(const struct cprof_run *run,
					  const struct cprof_builder_type *types, size_t n_types,
					  struct cprof_session **ret_session)
{
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

/* pprof takes the first mapping for the program that a profile is of. */
static struct cprof_error *number_main(struct cprof_session *session, struct cprof_process *process)
{
	struct cprof_map *map = cprof_maps_main(&process->maps);
	uint32_t number;
	return map ? cprof_mapping_numbers_get(&session->numbers, process, map, &number) : NULL;
}

struct cprof_error *cprof_session_read_targets(struct cprof_session *session)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < session->n_processes; i++) {
		struct cprof_process *process = session->processes[i];
		if (session->run->targets[i]->launched)
			continue; /* to be read when it runs its own program: cprof_session_exec() */
		err = cprof_process_refresh(process, 0);
		if (!err)
			err = number_main(session, process);
		err = cprof_run_without(session->run->log, session->run->targets,
					session->run->n_targets, process->target, err);
	}
	return err;
}

struct cprof_error *cprof_session_new(const struct cprof_run *run,
				      const struct cprof_builder_type *types, size_t n_types,
				      struct cprof_session **ret_session)
{
	struct cprof_session *session;
	struct cprof_error *err = cprof_session_prepare(run, types, n_types, &session);
	if (err)
		return err;
	err = cprof_session_read_targets(session);
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
	cprof_session_prefetch_deinit(&session->own_prefetch);
	for (size_t i = 0; i < session->n_processes; i++) {
		cprof_process_close(session->processes[i]);
		free(session->processes[i]);
	}
	free(session->processes);
	for (size_t i = 0; i < session->n_children; i++)
		cprof_target_close(session->children[i]);
	free(session->children);
	cprof_map64_deinit(&session->by_pid);
	cprof_stack_walker_deinit(&session->walker);
	cprof_builder_free(session->builder);
	cprof_timeline_free(session->timeline);
	cprof_modules_deinit(&session->own_modules);
	cprof_mapping_numbers_deinit(&session->numbers);
	cprof_marker_names_deinit(&session->markers);
	cprof_sample_labels_deinit(&session->labels);
	free(session);
}

/* ---- its parts ---- */

struct cprof_process *cprof_session_process(struct cprof_session *session, pid_t pid)
{
	const uint64_t *number = cprof_map64_get(&session->by_pid, (uint64_t)pid);
	return number ? session->processes[*number - 1] : NULL;
}

struct cprof_process *cprof_session_process_at(struct cprof_session *session, size_t number)
{
	return number < session->n_processes ? session->processes[number] : NULL;
}

struct cprof_error *cprof_session_fork(struct cprof_session *session,
				       const struct cprof_process *parent, pid_t pid)
{
	struct cprof_target *target;
	if (!CPROF_ARRAY_ROOM(session->children, session->n_children, session->cap_children, 1))
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_target_children_open(pid, parent->target, &target);
	if (err)
		return err;
	session->children[session->n_children++] = target;
	struct cprof_process *process = add_process(session, pid);
	return process ? cprof_process_open_child(process, target, parent)
		       : cprof_error_no_memory();
}

size_t cprof_session_n_children(const struct cprof_session *session)
{
	return session->n_children;
}

struct cprof_modules *cprof_session_modules(struct cprof_session *session)
{
	return session->modules;
}

struct cprof_run_log *cprof_session_log(struct cprof_session *session)
{
	return session->run->log;
}

void cprof_session_unwind_stats(const struct cprof_session *session,
				struct cprof_unwind_stats *ret_stats)
{
	cprof_unwinder_stats(session->walker.unwinder, ret_stats);
}

struct cprof_error *cprof_session_exec(struct cprof_session *session, struct cprof_process *process)
{
	struct cprof_error *err = cprof_process_exec(process);
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
	cprof_session_prefetch_start(session->prefetch, &session->prefetch_turn, session->run,
				     &session->numbers);
}

/* ---- stacks and rows ---- */

struct cprof_error *cprof_session_walk(struct cprof_session *session,
				       const struct cprof_session_sample *sample,
				       struct cprof_session_stack *ret_stack)
{
	return cprof_stack_walker_walk(&session->walker, sample, ret_stack);
}

struct cprof_error *cprof_session_frames(struct cprof_session *session,
					 struct cprof_process *process, const uint64_t *pcs,
					 size_t n, struct cprof_session_stack *ret_stack)
{
	return cprof_stack_walker_frames(&session->walker, process, pcs, n, ret_stack);
}

struct cprof_error *cprof_session_stack(struct cprof_session *session,
					const struct cprof_session_stack *stack,
					uint32_t *ret_number)
{
	struct cprof_error *err =
		cprof_builder_stack(session->builder, stack->frames, stack->n, ret_number);
	session->run->log->counts.stacks = cprof_builder_stacks(session->builder)->n_stacks;
	return err;
}

const struct cprof_stack_table *cprof_session_stacks(const struct cprof_session *session)
{
	return cprof_builder_stacks(session->builder);
}

struct cprof_stack_frame cprof_session_marker(struct cprof_session *session, const char *name)
{
	return cprof_marker_names_frame(&session->markers, name);
}

bool cprof_session_frame_map(const struct cprof_session *session,
			     const struct cprof_stack_frame *frame,
			     const struct cprof_maps **ret_maps, struct cprof_map **ret_map)
{
	const struct cprof_mapping_source *source =
		cprof_mapping_numbers_source(&session->numbers, frame->mapping);
	if (!source || !source->maps)
		return false;
	*ret_maps = source->maps;
	*ret_map = source->map;
	return true;
}

struct cprof_error *cprof_session_labels(struct cprof_session *session,
					 struct cprof_process *process, pid_t tid,
					 const struct cprof_builder_label *extra, size_t n_extra,
					 uint32_t *ret_labels)
{
	return cprof_sample_labels_get(&session->labels, process, tid, extra, n_extra, ret_labels);
}

bool cprof_session_wants(struct cprof_session *session, struct cprof_process *process, pid_t tid)
{
	struct cprof_thread_choice *choice = session->run->threads;
	struct cprof_process_thread *thread =
		choice ? cprof_process_threads_get(process->threads, process->target, tid) : NULL;
	if (!thread)
		return true;
	if (thread->choice == CPROF_CHOICE_OPEN)
		thread->choice = cprof_thread_choice_has(choice, tid, thread->name)
					 ? CPROF_CHOICE_IN
					 : CPROF_CHOICE_OUT;
	return thread->choice == CPROF_CHOICE_IN;
}

struct cprof_error *cprof_session_add_stack(struct cprof_session *session, uint32_t number,
					    uint32_t labels, const int64_t *values)
{
	return cprof_builder_add_stack(session->builder, number, labels, values);
}

struct cprof_error *cprof_session_add(struct cprof_session *session,
				      const struct cprof_session_stack *stack, uint32_t labels,
				      const int64_t *values)
{
	return cprof_builder_add(session->builder, stack->frames, stack->n, labels, values);
}

/* Since the window's start; what is told of a time before it belongs to its beginning. */
static uint64_t since_start(const struct cprof_session *session, uint64_t mono_ns)
{
	const uint64_t start_ns = session->run->window->start_mono_ns;
	return mono_ns > start_ns ? mono_ns - start_ns : 0;
}

struct cprof_error *cprof_session_add_at(struct cprof_session *session,
					 const struct cprof_session_stack *stack, uint32_t labels,
					 uint64_t mono_ns, const int64_t *values)
{
	uint32_t number;
	if (!session->timeline && !session->run->ring)
		return cprof_session_add(session, stack, labels, values);
	struct cprof_error *err = cprof_session_stack(session, stack, &number);
	if (!err && session->run->ring)
		return cprof_sample_ring_add(session->run->ring, mono_ns, number, labels, values,
					     cprof_builder_n_types(session->builder));
	return err ? err
		   : cprof_timeline_add(session->timeline, number, labels,
					since_start(session, mono_ns), values);
}

struct cprof_error *cprof_session_add_span(struct cprof_session *session, uint32_t number,
					   uint32_t labels, uint64_t from_mono_ns,
					   uint64_t to_mono_ns, const int64_t *values)
{
	if (!session->timeline)
		return cprof_session_add_stack(session, number, labels, values);
	return cprof_timeline_add_span(session->timeline, number, labels,
				       since_start(session, from_mono_ns),
				       since_start(session, to_mono_ns), values);
}

struct cprof_error *cprof_session_time_base(struct cprof_session *session, uint64_t step_ns,
					    size_t small_bytes)
{
	struct cprof_timeline *wider;
	session->small_bytes = small_bytes;
	if (!session->timeline || step_ns <= cprof_timeline_bucket_ns(session->timeline))
		return NULL;
	struct cprof_error *err =
		cprof_timeline_new(cprof_builder_n_types(session->builder), step_ns, &wider);
	if (err)
		return err;
	cprof_timeline_free(session->timeline);
	session->timeline = wider;
	return NULL;
}

/* ---- looking back ---- */

struct cprof_error *cprof_session_thin(struct cprof_session *session, cprof_session_carry_fn *carry,
				       void *ctx)
{
	struct cprof_builder *to;
	struct cprof_error *err = cprof_builder_again(session->builder, &to);
	if (err)
		return err;
	err = carry(ctx, session->builder, to);
	if (err) {
		cprof_builder_free(to);
		return err;
	}
	cprof_builder_free(session->builder);
	session->builder = to;
	session->numbers.builder = to;
	session->labels.builder = to;
	session->labels.n_tids = 0;
	session->prefetch_turn = (struct cprof_session_prefetch_turn){ 0 };
	for (size_t i = 0; i < session->n_processes; i++)
		cprof_process_threads_forget_labels(session->processes[i]->threads);
	return NULL;
}

static struct cprof_error *carry_ring(void *ctx, const struct cprof_builder *from,
				      struct cprof_builder *to)
{
	return cprof_ring_builder_carry(ctx, from, to);
}

struct cprof_error *cprof_session_turn(struct cprof_session *session, uint64_t now_ns)
{
	struct cprof_sample_ring *ring = session->run->ring;
	struct cprof_error *err = NULL;
	if (!ring)
		return NULL;
	cprof_sample_ring_turn(ring, now_ns, &session->run->log->counts);
	if (!cprof_sample_ring_is_full(ring, cprof_builder_bytes(session->builder)))
		return NULL;
	do {
		err = cprof_session_thin(session, carry_ring, ring);
	} while (!err && cprof_sample_ring_thinned(ring, cprof_builder_bytes(session->builder)));
	return err;
}

void cprof_session_look_back(struct cprof_session *session)
{
	const struct cprof_run *run = session->run;
	if (!run->ring)
		return;
	cprof_sample_ring_end(run->ring,
			      run->window->start_mono_ns + cprof_window_elapsed_ns(run->window));
	const uint64_t from_ns = cprof_sample_ring_begin_ns(run->ring);
	cprof_window_look_back(run->window, from_ns, run->ring->until_ns);
	cprof_sample_ring_count(run->ring, &run->log->counts);
	if (from_ns > run->ring->from_ns)
		cprof_run_log_note(run->log, CPROF_NOTE_WARNING,
				   "the ring was full: %.3g s of what was asked for had to go, the "
				   "oldest first (raise -ring-memory, or lower -hz)",
				   (double)(from_ns - run->ring->from_ns) / 1e9);
}

struct cprof_error *cprof_session_fill(struct cprof_session *session)
{
	const struct cprof_run *run = session->run;
	return run->ring ? cprof_ring_builder_fill(run->ring, session->builder, session->timeline,
						   run->window->start_mono_ns)
			 : NULL;
}

size_t cprof_session_bytes(const struct cprof_session *session)
{
	return cprof_builder_bytes(session->builder);
}

/* ---- the end ---- */

static struct cprof_error *comment(struct cprof_profile *profile, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static struct cprof_error *comment(struct cprof_profile *profile, const char *fmt, ...)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	va_list ap;
	va_start(ap, fmt);
	cprof_buffer_vprintf(&text, fmt, ap);
	va_end(ap);
	struct cprof_error *err = cprof_buffer_error(&text);
	return err ? err : cprof_profile_add_comment(profile, cprof_buffer_text(&text));
}

static struct cprof_error *add_comments(struct cprof_profile *profile, const struct cprof_run *run)
{
	const struct cprof_counts *counts = &run->log->counts;
	struct utsname host = { .release = "?" };
	uname(&host);
	struct cprof_error *err = comment(profile, "cprof-attach %s", CPROF_VERSION);
	if (!err && run->command_line)
		err = comment(profile, "command: %s", run->command_line);
	for (size_t i = 0; !err && i < run->n_targets; i++)
		err = comment(profile, "process: %s %d%s%s", run->targets[i]->comm,
			      (int)run->targets[i]->pid,
			      *run->targets[i]->service ? ", service " : "",
			      run->targets[i]->service);
	if (!err)
		err = comment(profile, "kernel: %s %s %s", host.sysname, host.release,
			      host.machine);
	if (!err)
		err = comment(profile, "samples: %llu, lost: %llu, truncated stacks: %llu",
			      (unsigned long long)counts->samples, (unsigned long long)counts->lost,
			      (unsigned long long)counts->truncated);
	for (size_t i = 0; !err && i < run->log->n_notes; i++) {
		if (cprof_note_warns(run->log->notes[i].kind))
			err = comment(profile, "warning: %s", run->log->notes[i].text);
		else if (run->log->notes[i].kind == CPROF_NOTE_FACT)
			err = comment(profile, "%s", run->log->notes[i].text);
	}
	return err;
}

/* A profile that is empty because of a name that nobody has says so. */
static void note_choice(const struct cprof_run *run)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (!run->threads)
		return;
	cprof_thread_choice_describe(run->threads, &text);
	if (cprof_thread_choice_was_met(run->threads))
		cprof_run_log_note(run->log, CPROF_NOTE_FACT, "only some threads: %s",
				   cprof_buffer_text(&text));
	else
		cprof_run_log_note(run->log, CPROF_NOTE_WARNING,
				   "%s: no such thread was seen doing anything",
				   cprof_buffer_text(&text));
}

/* How the walks ended: for -v, and a comment where not every stack is whole and by rule. */
static struct cprof_error *tell_walks(const struct cprof_session *session,
				      struct cprof_profile *profile)
{
	CPROF_AUTO(buffer) struct cprof_buffer walks = { 0 }, cache = { 0 };
	struct cprof_unwind_stats stats;
	cprof_unwinder_stats(session->walker.unwinder, &stats);
	if (!stats.walks)
		return NULL;
	cprof_unwind_stats_describe(&stats, &walks, &cache);
	const uint64_t put_back = session->run->log->counts.put_back;
	if (put_back)
		cprof_buffer_printf(&walks, ", put back after tail calls %" PRIu64, put_back);
	cprof_run_log_note(session->run->log, CPROF_NOTE_DETAIL, "%s", cprof_buffer_text(&walks));
	cprof_run_log_note(session->run->log, CPROF_NOTE_DETAIL, "%s", cprof_buffer_text(&cache));
	if (stats.stops[CPROF_STOP_ROOT] == stats.walks && !stats.guessed && !put_back)
		return NULL;
	return cprof_profile_add_comment(profile, cprof_buffer_text(&walks));
}

/* Of functions inlined into each other it is the one that has the symbol. */
static struct cprof_error *tell_guessed(const struct cprof_guessed_frames *guessed,
					struct cprof_profile *profile)
{
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < profile->n_locations; i++) {
		const struct cprof_location *l = &profile->locations[i];
		const struct cprof_stack_frame frame = { .addr = l->address,
							 .mapping = l->mapping };
		if (!l->n_lines || !cprof_guessed_frames_has(guessed, &frame))
			continue;
		const struct cprof_line *line = &profile->lines[l->first_line + l->n_lines - 1];
		const char *name =
			cprof_profile_text(profile, profile->functions[line->function].name);
		if (!cprof_place_name_is(name))
			err = cprof_guessed_add(profile, name);
	}
	return err;
}

struct cprof_error *cprof_session_finish(struct cprof_session *session, const char *period_type,
					 const char *period_unit, int64_t period,
					 const char *default_type,
					 struct cprof_profile **ret_profile)
{
	const struct cprof_run *run = session->run;
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	cprof_session_prefetch_stop(session->prefetch, session->modules, run->log);
	struct cprof_error *err =
		session->timeline
			? cprof_session_time_flush(session->timeline, run, session->builder)
			: NULL;
	if (err)
		return err;
	run->log->counts.stacks = cprof_builder_sampled_stacks(session->builder);
	err = cprof_profile_names_finish(run, &session->numbers, &session->markers,
					 session->prefetch->kernel, &profile);
	if (!err && session->timeline)
		err = cprof_session_time_settle(session->timeline, run, session->small_bytes,
						&profile);
	if (!err)
		note_choice(run);
	if (!err)
		err = add_comments(profile, run);
	if (!err)
		err = cprof_profile_set_period(profile, period_type, period_unit, period);
	if (!err && default_type)
		err = cprof_profile_set_default_type(profile, default_type);
	if (!err)
		err = tell_walks(session, profile);
	if (!err)
		err = tell_guessed(&session->walker.guessed, profile);
	if (err)
		return err;
	profile->time_ns = (int64_t)run->window->start_wall_ns;
	profile->duration_ns = (int64_t)cprof_window_elapsed_ns(run->window);
	*ret_profile = cprof_take_ptr(&profile);
	return NULL;
}
