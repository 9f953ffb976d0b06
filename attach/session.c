#include "attach/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/session_names.h"
#include "attach/session_threads.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define KERNEL_DEPTH_MAX 256 /* kernel.perf_event_max_stack is 127 unless raised */
#define MISS_WAIT_NS     (50 * 1000000ull)
#define MISS_WAIT_MAX_NS (5 * CPROF_NS_PER_S)
#define LABELS_MAX       64

struct cprof_session {
	const struct cprof_mode_run *run; /* borrowed, as all of it */
	struct cprof_modules modules;
	struct cprof_unwinder *unwinder;
	struct cprof_builder *builder;
	struct cprof_process *processes;
	size_t n_processes;

	struct cprof_frame walked[CPROF_SESSION_DEPTH_MAX];
	struct cprof_builder_frame frames[KERNEL_DEPTH_MAX + CPROF_SESSION_DEPTH_MAX + 1];

	struct cprof_session_names names; /* what the namer needs: mapping number -> mapping */
	uint32_t kernel_mapping;          /* 0 until a kernel frame was seen */

	struct cprof_builder_label fixed[LABELS_MAX]; /* the -label ones */
	char *fixed_keys[LABELS_MAX];                 /* owned */
	size_t n_fixed;
	uint64_t n_tids; /* label sets with a tid so far */
};

/* ---- life ---- */

static struct cprof_error *split_labels(struct cprof_session *session)
{
	const struct cprof_strings *labels = &session->run->options->labels;
	for (size_t i = 0; i < labels->len && session->n_fixed < LABELS_MAX - 4; i++) {
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

static struct cprof_error *number_mapping(struct cprof_session *session,
					  struct cprof_process *process, struct cprof_map *map,
					  uint32_t *ret_number);

/* pprof takes the first mapping for the program that a profile is of. */
static struct cprof_error *number_main(struct cprof_session *session, struct cprof_process *process)
{
	struct cprof_map *map = cprof_maps_main(&process->maps);
	uint32_t number;
	return map ? number_mapping(session, process, map, &number) : NULL;
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
	if (!process->threads)
		return cprof_error_no_memory();
	if (target->launched)
		return NULL;
	struct cprof_error *err = cprof_session_refresh(session, process, 0);
	if (!err)
		err = number_main(session, process);
	return err;
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

struct cprof_error *cprof_session_new(const struct cprof_mode_run *run,
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

struct cprof_report *cprof_session_report(struct cprof_session *session)
{
	return session->run->report;
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
		cprof_report_note(session->run->report, CPROF_NOTE_WARNING, "after exec: %s",
				  err->message);
		process->started = false; /* its registers and stacks would be misread */
	}
	cprof_error_free(err);
	return NULL;
}

/* ---- mappings ---- */

static struct cprof_error *number_mapping(struct cprof_session *session,
					  struct cprof_process *process, struct cprof_map *map,
					  uint32_t *ret_number)
{
	if (map->id >= process->n_mapping_numbers) {
		size_t n = process->maps.n_all + 64;
		uint32_t *grown = realloc(process->mapping_numbers, n * sizeof(*grown));
		if (!grown)
			return cprof_error_no_memory();
		memset(grown + process->n_mapping_numbers, 0,
		       (n - process->n_mapping_numbers) * sizeof(*grown));
		process->mapping_numbers = grown;
		process->n_mapping_numbers = n;
	}
	*ret_number = process->mapping_numbers[map->id];
	if (*ret_number)
		return NULL;

	struct cprof_module *module;
	struct cprof_error *err =
		cprof_modules_get(&session->modules, &process->maps, map, &module);
	if (err)
		return err;
	char hex[2 * CPROF_BUILD_ID_MAX + 1];
	const struct cprof_builder_mapping added = {
		.start = map->start,
		.limit = map->end,
		.offset = map->offset,
		.filename = *map->path ? map->path : "//anon",
		.build_id = cprof_build_id_hex(module->build_id, module->build_id_len, hex),
	};
	err = cprof_builder_mapping(session->builder, &added, ret_number);
	if (!err)
		err = cprof_session_names_set(&session->names, *ret_number, &process->maps, map);
	if (!err)
		process->mapping_numbers[map->id] = *ret_number;
	return err;
}

/* The kernel's half of the addresses; finish() narrows it to what kallsyms says. */
static struct cprof_error *number_kernel(struct cprof_session *session)
{
	if (session->kernel_mapping)
		return NULL;
	static const struct cprof_builder_mapping kernel = {
		.start = CPROF_SESSION_KERNEL_START,
		.limit = UINT64_MAX,
		.filename = "[kernel.kallsyms]",
	};
	struct cprof_error *err =
		cprof_builder_mapping(session->builder, &kernel, &session->kernel_mapping);
	if (!err)
		err = cprof_session_names_set(&session->names, session->kernel_mapping, NULL, NULL);
	return err;
}

/* ---- stacks ---- */

struct copy {
	const uint8_t *bytes;
	uint64_t start, end; /* [start, end) */
};

static bool read_copy(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct copy *copy = ctx;
	if (addr < copy->start || addr > copy->end || n > copy->end - addr)
		return false;
	memcpy(buf, copy->bytes + (addr - copy->start), n);
	return true;
}

static void walk_user(struct cprof_session *session, const struct cprof_session_moment *moment,
		      struct cprof_stack *stack)
{
	struct cprof_process *process = moment->process;
	struct copy copy = { .bytes = moment->stack,
			     .start = moment->stack_addr,
			     .end = moment->stack_addr + moment->n_stack };
	const struct cprof_memory memory = { .read = read_copy, .ctx = &copy };
	const struct cprof_memory live = cprof_target_mem_view(&process->mem);
	const struct cprof_unwind_input input = {
		.maps = &process->maps,
		.regs = moment->regs,
		.stack = &memory,
		.live = moment->live && !process->target->exited ? &live : NULL,
		.copy = copy.bytes,
		.copy_addr = copy.start,
		.copy_size = moment->n_stack,
	};
	cprof_target_mem_begin(&process->mem);
	*stack = (struct cprof_stack){ .frames = session->walked, .cap = CPROF_SESSION_DEPTH_MAX };
	cprof_unwind(session->unwinder, &input, stack);
}

/* An address in no mapping, innermost or at the end of the walk: our mappings may be old. */
static bool missed(const struct cprof_stack *stack)
{
	return stack->stop == CPROF_STOP_NO_MAP || (stack->len && !stack->frames[0].map);
}

static struct cprof_error *add_user_frames(struct cprof_session *session,
					   struct cprof_process *process,
					   const struct cprof_stack *stack, size_t *n)
{
	for (size_t i = 0; i < stack->len; i++) {
		const struct cprof_frame *frame = &stack->frames[i];
		struct cprof_builder_frame *out = &session->frames[*n];
		out->addr = cprof_code_addr_lookup(frame->code);
		out->mapping = 0;
		/* Not every address 0 is our marker: a jump through a null pointer is one too. */
		if (!out->addr && !frame->map)
			continue;
		if (frame->map) {
			struct cprof_error *err = number_mapping(
				session, process, process->maps.all[frame->map->id], &out->mapping);
			if (err)
				return err;
		}
		(*n)++;
	}
	return NULL;
}

static struct cprof_error *add_kernel_frames(struct cprof_session *session, const uint64_t *ips,
					     size_t n_ips, size_t *n)
{
	if (!n_ips)
		return NULL;
	struct cprof_error *err = number_kernel(session);
	for (size_t i = 0; !err && i < n_ips && i < KERNEL_DEPTH_MAX; i++) {
		const struct cprof_code_addr code = { .addr = ips[i], .is_return = i > 0 };
		session->frames[(*n)++] =
			(struct cprof_builder_frame){ .addr = cprof_code_addr_lookup(code),
						      .mapping = session->kernel_mapping };
	}
	return err;
}

static void mark_truncated(struct cprof_session *session, struct cprof_session_stack *stack)
{
	stack->truncated = true;
	session->frames[stack->n++] =
		(struct cprof_builder_frame){ .addr = CPROF_SESSION_TRUNCATED, .mapping = 0 };
	session->run->report->counts.truncated++;
}

struct cprof_error *cprof_session_walk(struct cprof_session *session,
				       const struct cprof_session_moment *moment,
				       struct cprof_session_stack *ret_stack)
{
	struct cprof_process *process = moment->process;
	struct cprof_session_stack stack = { .frames = session->frames, .stop = CPROF_STOP_ROOT };
	struct cprof_error *err =
		add_kernel_frames(session, moment->kernel, moment->n_kernel, &stack.n);
	if (!err && moment->regs) {
		struct cprof_stack walked;
		walk_user(session, moment, &walked);
		uint64_t before = process->maps.generation;
		if (missed(&walked))
			err = cprof_session_refresh(session, process, process->refresh_after_ns);
		if (!err && process->maps.generation != before)
			walk_user(session, moment, &walked);
		stack.stop = walked.stop;
		if (!err)
			err = add_user_frames(session, process, &walked, &stack.n);
	}
	if (err)
		return err;
	if (stack.stop != CPROF_STOP_ROOT)
		mark_truncated(session, &stack);
	*ret_stack = stack;
	return NULL;
}

struct cprof_error *cprof_session_frames(struct cprof_session *session,
					 struct cprof_process *process, const uint64_t *pcs,
					 size_t n, struct cprof_session_stack *ret_stack)
{
	struct cprof_stack stack = { .frames = session->walked, .cap = CPROF_SESSION_DEPTH_MAX };
	for (; stack.len < n && stack.len < stack.cap; stack.len++) {
		struct cprof_frame *frame = &session->walked[stack.len];
		*frame = (struct cprof_frame){ .code = { .addr = pcs[stack.len],
							 .is_return = stack.len > 0 } };
		frame->map = cprof_maps_find(&process->maps, cprof_code_addr_lookup(frame->code));
	}
	*ret_stack =
		(struct cprof_session_stack){ .frames = session->frames, .stop = CPROF_STOP_ROOT };
	return add_user_frames(session, process, &stack, &ret_stack->n);
}

bool cprof_session_frame_map(const struct cprof_session *session,
			     const struct cprof_builder_frame *frame,
			     const struct cprof_maps **ret_maps, struct cprof_map **ret_map)
{
	if (!frame->mapping || frame->mapping > session->names.n)
		return false;
	const struct cprof_session_name_source *source =
		&session->names.sources[frame->mapping - 1];
	*ret_maps = source->maps;
	*ret_map = source->map;
	return source->maps != NULL;
}

/* ---- labels ---- */

static struct cprof_error *make_labels(struct cprof_session *session,
				       const struct cprof_process *process,
				       const struct cprof_session_thread *thread, pid_t tid,
				       const struct cprof_builder_label *extra, size_t n_extra,
				       uint32_t *ret_labels)
{
	struct cprof_builder_label labels[LABELS_MAX + 16];
	size_t n = 0;
	if (n_extra > 16)
		n_extra = 16;
	for (size_t i = 0; i < session->n_fixed; i++)
		labels[n++] = session->fixed[i];
	for (size_t i = 0; i < n_extra; i++)
		labels[n++] = extra[i];
	if (session->n_processes > 1)
		labels[n++] =
			(struct cprof_builder_label){ .key = "pid", .num = process->target->pid };
	labels[n++] = (struct cprof_builder_label){ .key = "thread", .str = thread->name };
	if (session->n_tids <= CPROF_SESSION_THREADS_MAX)
		labels[n++] = (struct cprof_builder_label){ .key = "tid", .num = tid };
	return cprof_builder_labels(session->builder, labels, n, ret_labels);
}

struct cprof_error *cprof_session_labels(struct cprof_session *session,
					 struct cprof_process *process, pid_t tid,
					 const struct cprof_builder_label *extra, size_t n_extra,
					 uint32_t *ret_labels)
{
	struct cprof_session_thread *thread =
		cprof_session_threads_get(process->threads, process->target, tid);
	if (!thread)
		return cprof_error_no_memory();
	if (n_extra)
		return make_labels(session, process, thread, tid, extra, n_extra, ret_labels);
	if (!thread->have_labels) {
		session->n_tids++;
		struct cprof_error *err =
			make_labels(session, process, thread, tid, NULL, 0, &thread->labels);
		if (err)
			return err;
		thread->have_labels = true;
	}
	*ret_labels = thread->labels;
	return NULL;
}

struct cprof_error *cprof_session_thread_name(struct cprof_session *session,
					      struct cprof_process *process, pid_t tid,
					      const char *name)
{
	(void)session;
	return cprof_session_threads_set(process->threads, tid, name) ? NULL
								      : cprof_error_no_memory();
}

struct cprof_error *cprof_session_thread_fork(struct cprof_session *session,
					      struct cprof_process *process, pid_t tid,
					      pid_t parent)
{
	(void)session;
	return cprof_session_threads_fork(process->threads, process->target, tid, parent)
		       ? NULL
		       : cprof_error_no_memory();
}

const char *cprof_session_thread(struct cprof_session *session, struct cprof_process *process,
				 pid_t tid)
{
	(void)session;
	const struct cprof_session_thread *thread =
		cprof_session_threads_get(process->threads, process->target, tid);
	return thread ? thread->name : "";
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
	cprof_report_note(session->run->report, CPROF_NOTE_DETAIL, "%s", cprof_buffer_text(&walks));
	cprof_report_note(session->run->report, CPROF_NOTE_DETAIL, "%s", cprof_buffer_text(&cache));
	if (stats.stops[CPROF_STOP_ROOT] == stats.walks && !stats.guessed)
		return NULL;
	return cprof_profile_add_comment(profile, cprof_buffer_text(&walks));
}

struct cprof_error *cprof_session_finish(struct cprof_session *session, const char *period_type,
					 const char *period_unit, int64_t period,
					 const char *default_type,
					 struct cprof_profile **ret_profile)
{
	struct cprof_counts *counts = &session->run->report->counts;
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	counts->stacks = cprof_builder_distinct_stacks(session->builder);
	counts->locations = cprof_builder_distinct_locations(session->builder);
	struct cprof_error *err =
		cprof_session_names_finish(&session->names, session->run, &session->modules,
					   session->builder, session->kernel_mapping, &profile);
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
