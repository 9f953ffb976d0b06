/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process of a heap profile: attach, poll, detach, rows. What sees the allocations is heap_sources.h's. The file's
 * values are unsampled already (heap_profile.h).
 */
#include "attach/heap/heap_run_impl.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attach/heap/heap_method.h"
#include "attach/heap/heap_report.h"
#include "attach/heap/heap_resident.h"
#include "attach/heap/heap_rows.h"
#include "attach/heap/uprobe/heap_uprobe_left.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define CALM_SAMPLES 5000 /* a second: the burst is over, and twice as many are no trouble */
#define PERIOD_MAX   (1ull << 34)
#define PACE_MAX     (1ull << 32)
/* What one sample costs the target: the slow path and a few cold cache lines; docs/heap.md has the measurement. */
#define SAMPLE_NS 2500.0
#define LOOK_NS   (1000 * 1000000ull)
#define ROWS_MAX  (1u << 19) /* of the profile, some 200 bytes each */
#define BLOCKS_MAX                                                                                 \
	(4u << 20) /* sampled ones; the table of living ones has half a million at most */
#define STACK_FRAMES_MAX                                                                           \
	(32u << 20) /* of all distinct stacks, 4 bytes each: half a million of 64 */
#define PLACES_MAX                                                                                 \
	(1u << 18) /* distinct addresses in them, which cost a kilobyte each in the end */
#define DRAINED 16 /* samples: so few cost less than a stop */

/* ---- samples ---- */

/* DWARF numbers of x86-64, System V psABI "DWARF Register Number Mapping". */
static struct cprof_regs regs_of(const struct cprof_shim_cell *cell, uint64_t pc)
{
	struct cprof_regs regs = { .pc = pc };
	const struct {
		unsigned number;
		uint64_t value;
	} known[] = { { 3, cell->rbx },  { 6, cell->rbp },  { 7, cell->sp },  { 12, cell->r12 },
		      { 13, cell->r13 }, { 14, cell->r14 }, { 15, cell->r15 } };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		regs.r[known[i].number] = known[i].value;
		regs.valid |= 1ull << known[i].number;
	}
	return regs;
}

/*
 * Made while a function of a pool was about to allocate: by its helpers, to get the memory that it hands out. Those
 * bytes are counted there. Like the allocator's calls of itself such a sample is thrown away whole.
 */
static bool for_a_pool(const struct cprof_heap_run *heap, const struct cprof_session_stack *stack)
{
	const struct cprof_pool_specs *pools = heap->request->pools;
	for (size_t i = 1; pools && pools->n && i < stack->n; i++) {
		if (cprof_heap_sources_in_pool(&heap->sources, stack->frames[i].addr))
			return true;
	}
	return false;
}

/* Drawn with a period that was never set: the cell was written by somebody else. Uprobes' are not in the target. */
static bool is_forged(const struct cprof_heap_run *heap, const struct cprof_shim_cell *cell)
{
	return cell->image != CPROF_HEAP_SAMPLE_BY_UPROBE &&
	       (cell->period < heap->pace.base || cell->period > heap->period_high);
}

/* A target that invents samples shall not fill our memory. Real ones repeat their stacks. */
static bool has_room(const struct cprof_heap_run *heap)
{
	const struct cprof_stack_table *stacks = cprof_session_stacks(heap->session);
	return stacks->n_items < STACK_FRAMES_MAX && stacks->n_frames < PLACES_MAX &&
	       heap->profile.n_rows < ROWS_MAX && heap->profile.n_blocks < BLOCKS_MAX;
}

#define INNER_MAX 24

/* How many frames are the allocator's, of a sample that it took somewhere in its middle. */
static size_t n_inner(const struct cprof_heap_run *heap, const struct cprof_shim_cell *cell,
		      const struct cprof_session_stack *stack)
{
	size_t inner = 0;
	if (!(cell->period & CPROF_HEAP_SAMPLE_WEIGHED))
		return 0;
	for (size_t i = 0; i < stack->n && i < INNER_MAX; i++) {
		if (cprof_heap_sources_is_allocator(&heap->sources, stack->frames[i].addr))
			inner = i + 1;
	}
	return inner;
}

/* Go's: the stack from which the thread came to the one that the sample begins on. */
static void add_other(struct cprof_session_sample *sample, const struct cprof_shim_cell *cell,
		      const uint8_t *bytes)
{
	struct cprof_shim_other other;
	const uint8_t *at = bytes + cell->stack_bytes;
	if (cell->other_bytes < sizeof(other))
		return;
	memcpy(&other, at, sizeof(other));
	sample->pieces[0] = (struct cprof_session_piece){
		other.end_at, at + offsetof(struct cprof_shim_other, end), sizeof(other.end)
	};
	sample->pieces[1] = (struct cprof_session_piece){ other.sp, at + sizeof(other),
							  cell->other_bytes - sizeof(other) };
}

static struct cprof_error *on_sample(void *ctx, const struct cprof_shim_cell *cell,
				     const uint8_t *bytes)
{
	struct cprof_heap_run *heap = ctx;
	heap->profile.absurd += is_forged(heap, cell);
	heap->no_room += !has_room(heap);
	if (is_forged(heap, cell) || !has_room(heap))
		return NULL;
	const struct cprof_heap_hook *hook = cprof_heap_sources_hook(&heap->sources, cell);
	struct cprof_regs regs = regs_of(cell, hook ? hook->entry.addr : cell->ret);
	struct cprof_session_sample sample = {
		.process = heap->process,
		.regs = &regs,
		.stack_addr = cell->sp,
		.stack = bytes,
		.n_stack = cell->stack_bytes,
		.live = true, /* outer frames hold still for the moment since */
	};
	add_other(&sample, cell, bytes);
	struct cprof_session_stack stack;
	struct cprof_error *err = cprof_session_walk(heap->session, &sample, &stack);
	if (err)
		return err;
	if (for_a_pool(heap, &stack))
		return NULL;
	heap->run->log->counts.samples++;
	/* The walk began in malloc itself; the stack begins with who called it. */
	const size_t inner = hook ? 1 : n_inner(heap, cell, &stack);
	if (stack.n > inner) {
		stack.frames += inner;
		stack.n -= inner;
	}
	uint32_t number;
	err = cprof_session_stack(heap->session, &stack, &number);
	if (!err)
		err = cprof_heap_before_sampled(
			&heap->before, cell->id, cell->ptr,
			1 / cprof_heap_probability(cell->size, cell->period));
	return err ? err
		   : cprof_heap_profile_add(&heap->profile, cell->id, cell->size, cell->period,
					    number);
}

static void count_lost(struct cprof_heap_run *heap)
{
	heap->run->log->counts.lost = heap->no_room + cprof_heap_sources_lost(&heap->sources) +
				      cprof_heap_sources_table_full(&heap->sources);
}

/* Of several processes, the first is watched before the window begins. */
static uint64_t run_ns(const struct cprof_heap_run *heap)
{
	const struct cprof_window *window = heap->run->window;
	return window->start_mono_ns ? cprof_window_elapsed_ns(window) : 0;
}

/* What is read from here on was allocated just now. */
static void begin_to_read(struct cprof_heap_run *heap)
{
	cprof_target_mem_begin(&heap->process->mem);
	heap->profile.now_ns = cprof_heap_since_clock(&heap->since, run_ns(heap));
}

static struct cprof_error *poll_once(struct cprof_heap_run *heap, size_t *ret_samples)
{
	begin_to_read(heap);
	struct cprof_error *err =
		cprof_heap_sources_poll(&heap->sources, on_sample, heap, ret_samples);
	count_lost(heap);
	return err;
}

struct cprof_error *cprof_heap_run_look_at_the_living(struct cprof_heap_run *heap)
{
	struct cprof_map64 alive = { 0 };
	bool whole;
	const uint64_t now_ns = run_ns(heap);
	struct cprof_error *err = cprof_heap_sources_live(&heap->sources, &alive, &whole);
	if (err || !whole) {
		cprof_map64_deinit(&alive);
		return err;
	}
	cprof_map64_deinit(&heap->alive);
	heap->alive = alive;
	heap->alive_ns = now_ns;
	if (cprof_heap_profile_crowded(&heap->profile))
		cprof_heap_profile_forget(&heap->profile, &heap->alive);
	cprof_heap_before_forget(&heap->before, &heap->alive);
	return NULL;
}

/* With the target's threads standing still and its code restored: a copy of the last samples, and what lives. */
static struct cprof_error *last_look(void *ctx)
{
	struct cprof_heap_run *heap = ctx;
	begin_to_read(heap);
	struct cprof_error *err = cprof_heap_sources_keep(&heap->sources, on_sample, heap);
	count_lost(heap);
	return err ? err : cprof_heap_run_look_at_the_living(heap);
}

/* Of the last look at the living, up to so long before the next moment is due. */
static struct cprof_error *keep_moment(struct cprof_heap_run *heap, uint64_t early_ns)
{
	if (!heap->request->history_ns || heap->alive_ns + early_ns < heap->history.due_ns)
		return NULL;
	if (!heap->history.every_ns)
		heap->history.every_ns = heap->request->history_ns;
	return cprof_heap_history_take(&heap->history, &heap->profile, &heap->alive,
				       heap->alive_ns);
}

/* The moment of -heap-since. */
static struct cprof_error *mark_since(struct cprof_heap_run *heap)
{
	if (!heap->request->since_ns || heap->since.marked ||
	    run_ns(heap) < heap->request->since_ns)
		return NULL;
	struct cprof_error *err = cprof_heap_run_look_at_the_living(heap);
	return err ? err : cprof_heap_since_mark(&heap->since, &heap->profile, &heap->alive);
}

/* When they run again: walk the stacks of those samples, and tell what is in use. */
static struct cprof_error *settle(struct cprof_heap_run *heap)
{
	cprof_target_mem_begin(&heap->process->mem);
	struct cprof_error *err = cprof_heap_sources_kept(&heap->sources, on_sample, heap);
	if (!err)
		cprof_heap_profile_settle(&heap->profile, &heap->alive);
	if (!err)
		err = keep_moment(heap, heap->history.every_ns / 2);
	if (cprof_heap_sources_over(&heap->sources))
		cprof_run_log_note(
			heap->run->log, CPROF_NOTE_WARNING,
			"the process ended or ran another program: in use is what lived at "
			"the last look before, up to a second earlier");
	return err;
}

/* Allocators that came by dlopen. If the threads could not be stopped just now, the next second will do. */
static struct cprof_error *hook_newcomers(struct cprof_heap_run *heap)
{
	if (cprof_heap_sources_over(&heap->sources))
		return NULL;
	struct cprof_error *err = cprof_heap_sources_extend(&heap->sources);
	if (err && err->code != CPROF_ERR_NO_MEMORY) {
		cprof_run_log_note(heap->run->log, CPROF_NOTE_DETAIL,
				   "an allocator loaded later was not hooked at once: %s",
				   err->message);
		cprof_error_free(err);
		err = NULL;
	}
	return err;
}

static void set_period(struct cprof_heap_run *heap)
{
	if (heap->pace.period > heap->period_high)
		heap->period_high = heap->pace.period;
	cprof_heap_sources_set_period(&heap->sources, heap->pace.period);
	heap->run->log->counts.slowed = heap->pace.period > heap->pace.base;
}

/* Once a second: mappings, what lives, and whether sampling costs what it may. */
static struct cprof_error *every_second(struct cprof_heap_run *heap)
{
	uint64_t now = cprof_clock_mono_ns();
	if (now - heap->looked_mono_ns < LOOK_NS)
		return NULL;
	heap->looked_mono_ns = now;
	struct cprof_error *err = cprof_process_refresh(heap->process, 0);
	if (!err)
		err = hook_newcomers(heap);
	if (!err)
		err = cprof_heap_run_look_at_the_living(heap);
	if (!err)
		err = keep_moment(heap, 0);
	if (!err && heap->request->overhead > 0 && heap->pace.base > CPROF_SHIM_EVERY &&
	    cprof_sample_pace_next(&heap->pace, heap->run->log->counts.samples,
				   (uint64_t)((double)cprof_clock_cpu_ns() * heap->share), now))
		set_period(heap);
	uint64_t samples = heap->run->log->counts.samples;
	if (!err && heap->request->overhead <= 0 && heap->pace.period > heap->pace.base &&
	    samples - heap->second_samples < CALM_SAMPLES) {
		heap->pace.period /= 2;
		set_period(heap);
	}
	heap->second_samples = samples;
	return err;
}

/*
 * A leak is seen by a few samples of a few blocks: it is missed sooner by a larger period than by some samples that are lost while
 * we wait for a processor.
 */
enum { WITHOUT_HISTORY, WITH_HISTORY };
static const struct patience {
	uint64_t ns;
	unsigned one_of; /* of so many samples, lost in that time, is too much */
} patiences[] = {
	[WITHOUT_HISTORY] = { 20 * 1000000ull, 50 }, [WITH_HISTORY] = { 1000 * 1000000ull, 1 }
};

/*
 * Losing samples makes every total too small; half as many, each standing for twice as much, does not. Not where the
 * user wants every call.
 */
static void ease(struct cprof_heap_run *heap)
{
	const struct cprof_counts *counts = &heap->run->log->counts;
	uint64_t now = cprof_clock_mono_ns(), lost = cprof_heap_sources_lost(&heap->sources);
	const struct patience *patience =
		&patiences[heap->request->history_ns ? WITH_HISTORY : WITHOUT_HISTORY];
	if (heap->pace.base <= CPROF_SHIM_EVERY || now - heap->eased_mono_ns < patience->ns)
		return;
	if ((lost - heap->lost_seen) * patience->one_of > counts->samples - heap->samples_seen &&
	    heap->pace.period < PERIOD_MAX) {
		heap->pace.period *= 2;
		set_period(heap);
	}
	heap->lost_seen = lost;
	heap->samples_seen = counts->samples;
	heap->eased_mono_ns = now;
}

struct cprof_error *cprof_heap_run_look(struct cprof_heap_run *heap, size_t *ret_samples)
{
	struct cprof_error *err = poll_once(heap, ret_samples);
	ease(heap);
	if (!err && heap->mmap)
		err = cprof_heap_mmap_drain(heap->mmap, false);
	if (!err)
		err = every_second(heap);
	return err ? err : mark_since(heap);
}

/* What is waiting already need not be looked at while the threads stand still for the detach. */
static struct cprof_error *drain(struct cprof_heap_run *heap)
{
	struct cprof_error *err = NULL;
	size_t n = DRAINED;
	for (unsigned turn = 0;
	     !err && n >= DRAINED && !cprof_heap_sources_over(&heap->sources) && turn < 8; turn++)
		err = poll_once(heap, &n);
	return err;
}

/* ---- the profile ---- */

static struct cprof_heap_rows rows_of(const struct cprof_heap_run *heap)
{
	return (struct cprof_heap_rows){ .session = heap->session,
					 .process = heap->process,
					 .label_pid = heap->label_pid,
					 .profile = &heap->profile,
					 .since = &heap->since,
					 .history = &heap->history,
					 .ages = heap->request->ages,
					 .at_ns = heap->alive_ns };
}

/* What was held before and is still; then how that, what was seen and the rest make up all memory. */
static struct cprof_error *add_before(struct cprof_heap_run *heap)
{
	if (!heap->request->baseline)
		return NULL;
	struct cprof_error *err = cprof_heap_before_read_again(
		&heap->before, &heap->alive, cprof_heap_sources_over(&heap->sources));
	if (!err)
		err = cprof_heap_before_add(&heap->before, 2);
	const struct cprof_heap_resident known = {
		.process = heap->process,
		.modules = cprof_session_modules(heap->session),
		.account = cprof_heap_before_account(&heap->before),
		.mapped = heap->mmap ? cprof_heap_mmap_set(heap->mmap) : NULL,
		.seen_bytes = heap->profile.inuse.bytes,
	};
	return err ? err : cprof_heap_resident_note(heap->run->log, &known);
}

struct cprof_error *cprof_heap_run_add(struct cprof_heap_run *heap)
{
	cprof_heap_run_tell(heap);
	struct cprof_error *late = add_before(heap);
	if (late)
		return late;
	const struct cprof_heap_rows rows = rows_of(heap);
	struct cprof_error *err = cprof_heap_rows_add(&rows);
	return err || !heap->mmap ? err : cprof_heap_mmap_add(heap->mmap, heap->label_pid);
}

/* ---- the run ---- */

/* Breakpoints of a run that was killed would be taken for another tool's, and its functions left to uprobes. */
static struct cprof_error *remove_left(struct cprof_heap_run *heap)
{
	struct cprof_heap_uprobe_left left;
	struct cprof_error *err = cprof_maps_refresh(&heap->process->maps);
	if (!err)
		err = cprof_heap_uprobe_left_remove(&heap->process->maps, &heap->process->mem,
						    &left);
	if (!err && left.removed)
		cprof_run_log_note(heap->run->log, CPROF_NOTE_WARNING,
				   "took out %u breakpoint%s first that nobody held any more: a "
				   "tool with uprobes was killed here",
				   left.removed, left.removed == 1 ? "" : "s");
	if (!err || err->code == CPROF_ERR_NO_MEMORY)
		return err;
	cprof_error_free(err); /* the attach itself says what is wrong */
	return NULL;
}

struct cprof_error *cprof_heap_run_explain(struct cprof_target *target, struct cprof_error *err)
{
	const struct timespec moment = { .tv_nsec = 5000000 };
	if (err->code == CPROF_ERR_NO_MEMORY || err->code == CPROF_ERR_USAGE ||
	    err->code == CPROF_ERR_NO_TARGET)
		return err;
	for (unsigned turn = 0; turn < 20 && cprof_target_alive(target); turn++)
		nanosleep(&moment, NULL);
	if (cprof_target_alive(target))
		return err;
	cprof_error_free(err);
	return cprof_error_new(CPROF_ERR_NO_TARGET, "process %d has ended while it was looked at",
			       (int)target->pid);
}

struct cprof_error *cprof_heap_run_attach(struct cprof_heap_run *heap)
{
	struct cprof_target *target = heap->run->targets[0];
	const struct cprof_heap_install_options options = {
		.period = heap->request->period_bytes,
		.pools = heap->request->pools,
		.sizes = heap->request->sizes,
	};
	struct cprof_error *err = NULL;
	heap->pace = (struct cprof_sample_pace){ .base = options.period,
						 .period = options.period,
						 .budget = heap->request->overhead,
						 .most = PACE_MAX,
						 .sample_ns = SAMPLE_NS };
	heap->period_high = options.period;
	if (heap->request->baseline)
		err = cprof_heap_before_read(&heap->before);
	if (!err)
		err = remove_left(heap);
	if (!err && heap->request->mmap)
		err = cprof_heap_mmap_open(heap->session, heap->process,
					   &heap->sources.hooks.entries, heap->run->log,
					   &heap->mmap);
	if (!err)
		err = cprof_heap_sources_attach(&heap->sources, &options);
	heap->watched = !err;
	if (!err && heap->mmap)
		err = cprof_heap_mmap_begin(heap->mmap);
	if (!err)
		return NULL;
	cprof_heap_report_failed_attach(&heap->sources);
	err = cprof_error_wrap(err, "heap profile of process %d", (int)target->pid);
	return cprof_heap_run_explain(target, err);
}

struct cprof_error *cprof_heap_run_detach(struct cprof_heap_run *heap, bool wanted)
{
	struct cprof_error *err = wanted ? drain(heap) : NULL;
	struct cprof_error *out =
		cprof_heap_sources_detach(&heap->sources, err || !wanted ? NULL : last_look, heap);
	if (err)
		cprof_error_free(out);
	else
		err = out;
	if (!err && wanted && heap->mmap)
		err = cprof_heap_mmap_drain(heap->mmap, true);
	if (!err && wanted)
		err = settle(heap);
	cprof_heap_report_pages(&heap->sources); /* also where there will be no profile */
	return err;
}
