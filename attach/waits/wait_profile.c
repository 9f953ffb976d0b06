/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_profile.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/locks/wait_names.h"
#include "attach/run/tail_way.h"
#include "attach/waits/wait_timed.h"
#include "base/cleanup.h"
#include "cprof/symbolizer.h"
#include "symbolize/names/names.h"
#include "symbolize/names/symbolizer_names.h"

/* Contention first, what merely waits for work apart from it, so that an idle pool drowns nothing. */
static const struct cprof_builder_type block_types[] = {
	{ "contentions", "count" },        { "delay", "nanoseconds" },  { "parked", "count" },
	{ "parked_delay", "nanoseconds" }, { "offcpu", "nanoseconds" }, /* both delays together */
	{ "runqueue", "nanoseconds" }, /* woken, but not running yet */
};
enum { CONTENTIONS, DELAY, PARKED, PARKED_DELAY, OFFCPU, RUNQUEUE, N_TYPES };
#define N_CONTENTION_TYPES 4
#define N_MUTEX_TYPES      2

#define FRAMES_MAX (CPROF_KERNEL_DEPTH_MAX + CPROF_STACK_DEPTH_MAX + 1) /* of one stack */

const struct cprof_builder_type *cprof_wait_profile_types(bool releases, bool all, size_t *ret_n,
							  const char **ret_default)
{
	*ret_n = releases ? N_MUTEX_TYPES : all ? N_TYPES : N_CONTENTION_TYPES;
	*ret_default = all && !releases ? "offcpu" : "delay";
	return block_types;
}

/* What a filling goes on with from row to row. */
struct fill {
	struct cprof_wait_intake *intake;    /* borrowed */
	struct cprof_symbolizer *symbolizer; /* owned */
	struct cprof_stack_frame *frames;    /* borrowed; room for one stack */
	cprof_wait_profile_fn *fn;
	void *ctx;
	struct cprof_tail_ways ways;
	struct cprof_map64
		called; /* leaf and caller -> an address in the function that the program called, 0: the leaf's */
};

/* The names of the innermost frames, and the frame that each belongs to. */
struct names {
	const char *text[CPROF_WAIT_NAMES_MAX];
	size_t frame[CPROF_WAIT_NAMES_MAX];
	size_t n;
	const char *module; /* path of the innermost file that is not the C library; "" none */
};

static struct cprof_error *find_names(struct fill *fill, const struct cprof_stack_frame *frames,
				      size_t n_frames, struct names *names)
{
	names->n = 0;
	names->module = "";
	for (size_t i = 0; i < n_frames && names->n < CPROF_WAIT_NAMES_MAX; i++) {
		const struct cprof_symbol_frame *found;
		size_t n;
		const struct cprof_maps *maps;
		struct cprof_map *map;
		if (!cprof_session_frame_map(fill->intake->session, &frames[i], &maps, &map))
			continue;
		if (!*names->module && !cprof_wait_settle_is_libc(map->path))
			names->module = map->path;
		struct cprof_error *err = cprof_symbolizer_addr(fill->symbolizer, maps, map,
								frames[i].addr, &found, &n);
		if (err)
			return err;
		for (size_t j = 0; j < n && names->n < CPROF_WAIT_NAMES_MAX; j++) {
			names->text[names->n] = found[j].name;
			names->frame[names->n++] = i;
		}
	}
	return NULL;
}

/* Whether the function at `step` is one that a program calls to wait or to release. */
static struct cprof_error *is_known(const struct fill *fill, const struct cprof_maps *maps,
				    const struct cprof_tail_step *step, bool *ret_known)
{
	const struct cprof_symbol_frame *found;
	size_t n;
	struct cprof_error *err =
		cprof_symbolizer_addr(fill->symbolizer, maps, step->map, step->addr, &found, &n);
	*ret_known = !err && n &&
		     cprof_wait_names_know(found[n - 1].name, fill->intake->request->releases);
	return err;
}

/* The outermost known function of those that have left between a frame and its caller; 0: none of them is. */
static struct cprof_error *look_for_called(struct fill *fill, const struct cprof_maps *maps,
					   const struct cprof_tail_step *leaf,
					   const struct cprof_tail_step *caller, uint64_t *ret_addr)
{
	struct cprof_tail_way way;
	bool known = true;
	struct cprof_error *err = cprof_tail_ways_find(&fill->ways, maps, leaf, caller, &way);
	for (size_t i = err ? 0 : way.n; i-- > 0 && known && !err;) {
		err = is_known(fill, maps, &way.steps[i], &known);
		if (known)
			*ret_addr = way.steps[i].addr;
	}
	return err;
}

/*
 * The function that the program called, where that has left by a tail call, as pthread_mutex_unlock() does: the frame becomes its.
 * Of another mapping it is left to who puts such functions back.
 */
static struct cprof_error *take_called(struct fill *fill, const struct cprof_maps *maps,
				       struct cprof_map *map, struct cprof_stack_frame *frames)
{
	const struct cprof_maps *outer_maps;
	struct cprof_map *outer;
	bool is_new;
	uint64_t *called = cprof_map64_put(&fill->called,
					   cprof_hash_mix(frames[0].addr, frames[1].addr), &is_new);
	if (!called)
		return cprof_error_no_memory();
	struct cprof_error *err = NULL;
	if (is_new &&
	    cprof_session_frame_map(fill->intake->session, &frames[1], &outer_maps, &outer) &&
	    outer_maps == maps)
		err = look_for_called(fill, maps, &(struct cprof_tail_step){ map, frames[0].addr },
				      &(struct cprof_tail_step){ outer, frames[1].addr }, called);
	if (*called >= map->start && *called < map->end)
		frames[0].addr = *called;
	return err;
}

/*
 * The innermost function shown is the library's own, pthread_mutex_lock say. Where in it the call stands is of no
 * interest, and the functions inlined there, which its debug file tells, would stand for it: so it is shown by where it
 * begins. A lock inlined into a function of the program stays what it is.
 */
static struct cprof_error *show_entry(struct fill *fill, const struct names *names, size_t entry,
				      const struct cprof_session_stack *shown)
{
	size_t whole = entry;
	while (whole + 1 < names->n && names->frame[whole + 1] == names->frame[entry])
		whole++;
	const struct cprof_maps *maps;
	struct cprof_map *map;
	struct cprof_module *module;
	uint64_t file_addr;
	struct cprof_stack_frame *frame = shown->frames;
	if (!cprof_wait_names_know(names->text[whole], fill->intake->request->releases) ||
	    !cprof_session_frame_map(fill->intake->session, frame, &maps, &map))
		return NULL;
	struct cprof_error *err = shown->n > 1 ? take_called(fill, maps, map, frame) : NULL;
	if (!err)
		err = cprof_modules_get(cprof_session_modules(fill->intake->session), maps, map,
					&module);
	if (err || !module->image || module->kind == CPROF_MODULE_VDSO ||
	    !cprof_module_file_addr(module, map, frame->addr, &file_addr))
		return err;
	const struct cprof_symbol *symbol;
	struct cprof_names *found; /* open already: it has just told a name */
	const struct cprof_names_options options = { .cache_dir =
							     fill->intake->run->naming.cache_dir };
	err = cprof_names_get(module, &options, &found);
	if (!err)
		err = cprof_names_symbol(found, file_addr, &symbol);
	if (!err && symbol)
		frame->addr -= file_addr - symbol->start;
	return err;
}

static bool is_thread(const struct fill *fill, uint32_t tid)
{
	const uint64_t *known = cprof_map64_get(&fill->intake->threads, tid);
	return known && *known;
}

struct texts {
	char lock[32], owner[CPROF_COMM_MAX + 16];
};

static size_t make_labels(struct fill *fill, const struct cprof_wait_row *row,
			  enum cprof_wait_kind kind, struct texts *texts,
			  struct cprof_builder_label *labels)
{
	struct cprof_wait_intake *intake = fill->intake;
	size_t n = 0;
	labels[n++] =
		(struct cprof_builder_label){ .key = "kind", .str = cprof_wait_kind_name(kind) };
	if (cprof_wait_is_futex(row->syscall) && row->addr) {
		snprintf(texts->lock, sizeof(texts->lock), "0x%" PRIx64, row->addr);
		labels[n++] = (struct cprof_builder_label){ .key = "lock", .str = texts->lock };
	}
	if (!intake->request->releases && cprof_wait_kind_has_owner(kind) &&
	    is_thread(fill, row->owner_tid)) {
		snprintf(texts->owner, sizeof(texts->owner), "%s (%u)",
			 cprof_process_thread_name(intake->process, (pid_t)row->owner_tid),
			 row->owner_tid);
		labels[n++] = (struct cprof_builder_label){ .key = "owner", .str = texts->owner };
	}
	const char *call = cprof_wait_syscall_name(row->syscall);
	if (intake->request->all && call)
		labels[n++] = (struct cprof_builder_label){ .key = "call", .str = call };
	if (row->open)
		labels[n++] = (struct cprof_builder_label){ .key = "open", .str = "true" };
	return n;
}

static void make_values(const struct cprof_wait_intake *intake, struct cprof_wait_verdict verdict,
			const int64_t sums[CPROF_WAIT_VALUES], int64_t ret_values[N_TYPES])
{
	const bool contends = intake->request->releases || verdict.contends;
	memset(ret_values, 0, N_TYPES * sizeof(*ret_values));
	ret_values[contends ? CONTENTIONS : PARKED] = sums[CPROF_WAIT_COUNT];
	ret_values[contends ? DELAY : PARKED_DELAY] = sums[CPROF_WAIT_DELAY];
	ret_values[OFFCPU] = sums[CPROF_WAIT_DELAY];
	ret_values[RUNQUEUE] = sums[CPROF_WAIT_QUEUE];
}

/* What the default view leaves out is told. */
static void leave_out(struct cprof_wait_intake *intake, const struct cprof_wait_row *row,
		      enum cprof_wait_kind kind)
{
	intake->left_out[kind].count += row->count;
	intake->left_out[kind].delay_ns += row->delay_ns;
}

/* A copy in fill->frames: one frame of it may be changed, and the table's are other rows' too. */
static struct cprof_session_stack copy_stack(struct fill *fill, uint32_t number)
{
	const struct cprof_stack_table *table = cprof_session_stacks(fill->intake->session);
	uint32_t n;
	const uint32_t *items = cprof_stack_table_items(table, number, &n);
	for (uint32_t i = 0; i < n; i++)
		fill->frames[i] = table->frames[items[i]];
	return (struct cprof_session_stack){ .frames = fill->frames, .n = n };
}

/* `*ret_entry`: which of the names is the function to be shown. */
static struct cprof_wait_verdict judge(const struct fill *fill, const struct cprof_wait_row *row,
				       const struct names *names, size_t *ret_entry)
{
	const struct cprof_wait_intake *intake = fill->intake;
	struct cprof_wait_settle_input input = {
		.by_number = row->by_number,
		.names = names->text,
		.n_names = names->n,
		.module = names->module,
		.evidence = cprof_wait_evidence_get(&intake->evidences, row->addr),
		.owner_lives = is_thread(fill, row->owner_tid),
		.tells_wakes = intake->tells_wakes,
		.releases = intake->request->releases,
	};
	input.told = input.releases
			     ? cprof_wait_names_tell_release(row->by_number, names->text, names->n,
							     ret_entry, &input.known)
			     : cprof_wait_names_tell(row->by_number, names->text, names->n,
						     ret_entry, &input.known);
	/* The names are those of the condition variable; it was moved to a lock, or nobody would have moved it. */
	if (row->requeued)
		input.told = row->by_number;
	else if (cprof_wait_is_futex(row->syscall))
		return cprof_wait_settle(&input);
	return (struct cprof_wait_verdict){ input.told, cprof_wait_kind_contends(input.told) };
}

static struct cprof_error *fill_row(struct fill *fill, const struct cprof_wait_row *row)
{
	struct cprof_wait_intake *intake = fill->intake;
	/* All of it turned out to be open, or it is a page fault that never ended. */
	if (llround(row->count) == 0 && llround(row->delay_ns) == 0)
		return NULL;
	/* Rows beyond the table's bound are of nobody. */
	if (intake->run->threads &&
	    (!row->tid || !cprof_session_wants(intake->session, intake->process, (pid_t)row->tid)))
		return NULL;
	struct cprof_session_stack shown = copy_stack(fill, row->stack);
	struct names names;
	struct cprof_error *err = find_names(fill, shown.frames, shown.n, &names);
	if (err)
		return err;
	size_t entry;
	const struct cprof_wait_verdict verdict = judge(fill, row, &names, &entry);
	if (intake->request->releases && !cprof_wait_kind_is_lock(verdict.kind)) {
		leave_out(intake, row, verdict.kind);
		return NULL;
	}
	if (entry < names.n) {
		shown.frames += names.frame[entry];
		shown.n -= names.frame[entry];
	}
	if (entry < names.n)
		err = show_entry(fill, &names, entry, &shown);
	if (err)
		return err;

	struct texts texts;
	struct cprof_wait_shown wait = { .row = row, .verdict = verdict, .stack = shown };
	wait.n_labels = make_labels(fill, row, verdict.kind, &texts, wait.labels);
	return fill->fn(fill->ctx, &wait);
}

struct cprof_error *cprof_wait_profile_each(struct cprof_wait_intake *intake,
					    cprof_wait_profile_fn *fn, void *ctx)
{
	const struct cprof_symbolizer_options options = cprof_wait_intake_symbolizer(intake);
	CPROF_AUTO(free)
	struct cprof_stack_frame *frames = calloc(FRAMES_MAX, sizeof(*frames));
	if (!frames)
		return cprof_error_no_memory();
	struct fill fill = { .intake = intake, .frames = frames, .fn = fn, .ctx = ctx };
	struct cprof_error *err = cprof_symbolizer_new(
		&options, cprof_session_modules(intake->session), &fill.symbolizer);
	if (!err)
		cprof_tail_ways_init(&fill.ways, cprof_session_modules(intake->session),
				     cprof_symbolizer_names_options(fill.symbolizer));
	for (uint32_t i = 0; !err && i < intake->table.n_rows; i++)
		err = fill_row(&fill, &intake->table.rows[i]);
	cprof_map64_deinit(&fill.called);
	cprof_symbolizer_free(fill.symbolizer);
	return err;
}

struct filling {
	struct cprof_wait_intake *intake;
	struct cprof_wait_timed timed; /* where somebody asks when it was */
	const struct cprof_wait_shown *shown;
	uint32_t stack, labels; /* of that */
};

static struct cprof_error *add_moment(void *ctx, uint64_t mono_ns,
				      const int64_t sums[CPROF_WAIT_VALUES])
{
	const struct filling *filling = ctx;
	int64_t values[N_TYPES];
	make_values(filling->intake, filling->shown->verdict, sums, values);
	return cprof_session_add_span(filling->intake->session, filling->stack, filling->labels,
				      mono_ns, mono_ns, values);
}

/* And what the program has said that it waits for. */
static size_t with_request(const struct cprof_wait_intake *intake,
			   const struct cprof_wait_shown *shown, struct cprof_builder_label *labels)
{
	memcpy(labels, shown->labels, shown->n_labels * sizeof(*labels));
	return shown->n_labels +
	       cprof_contexts_put(intake->contexts, shown->row->request, labels + shown->n_labels);
}

static struct cprof_error *add_row(void *ctx, const struct cprof_wait_shown *shown)
{
	struct filling *filling = ctx;
	struct cprof_wait_intake *intake = filling->intake;
	const struct cprof_wait_row *row = shown->row;
	const int64_t sums[CPROF_WAIT_VALUES] = {
		[CPROF_WAIT_COUNT] = llround(row->count),
		[CPROF_WAIT_DELAY] = llround(row->delay_ns),
		[CPROF_WAIT_QUEUE] = llround(row->queue_ns),
	};
	if (intake->request->releases || shown->verdict.contends)
		intake->contended += row->count;
	else
		leave_out(intake, row, shown->verdict.kind);
	filling->shown = shown;
	struct cprof_builder_label
		labels[CPROF_WAIT_PROFILE_LABELS_MAX + CPROF_CONTEXTS_LABELS_MAX];
	const size_t n = with_request(intake, shown, labels);
	struct cprof_error *err =
		cprof_session_stack(intake->session, &shown->stack, &filling->stack);
	if (!err)
		err = cprof_session_labels(intake->session, intake->process, (pid_t)row->tid,
					   labels, n, &filling->labels);
	if (!err && intake->timed)
		return cprof_wait_timed_each(&filling->timed, row, sums, add_moment, filling);
	return err ? err : add_moment(filling, 0, sums);
}

struct cprof_error *cprof_wait_profile_fill(struct cprof_wait_intake *intake)
{
	struct filling filling = { .intake = intake };
	struct cprof_error *err =
		intake->timed ? cprof_wait_timed_init(&filling.timed, intake) : NULL;
	if (!err)
		err = cprof_wait_profile_each(intake, add_row, &filling);
	cprof_wait_timed_deinit(&filling.timed);
	return err;
}
