/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_before.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/heap/alloc/alloc_find.h"
#include "attach/heap/baseline/baseline_sources.h"
#include "attach/heap/baseline/baseline_spread.h"
#include "attach/heap/baseline/baseline_types.h"
#include "attach/heap/heap_baseline.h"
#include "base/array.h"
#include "base/bytes_text.h"
#include "base/cleanup.h"
#include "convert/profile/heap_age.h"

#define ROOT       "[before attach]"
#define FRAMES_MAX 5
#define VALUES_MAX 8
#define UNEXPLAINED_MIN                                                                            \
	((uint64_t)16 << 20) /* less may be stacks that are not known as such, and the like */
#define FRESH_MIN 65536u     /* fewer are not worth looking through */

void cprof_heap_before_init(struct cprof_heap_before *before, struct cprof_session *session,
			    struct cprof_process *process, struct cprof_run_log *log)
{
	*before = (struct cprof_heap_before){ .session = session, .process = process, .log = log };
}

void cprof_heap_before_deinit(struct cprof_heap_before *before)
{
	cprof_baseline_account_deinit(&before->now);
	cprof_baseline_account_deinit(&before->then);
	free(before->fresh);
	cprof_smaps_deinit(&before->smaps);
	*before = (struct cprof_heap_before){ 0 };
}

/* ---- reading ---- */

static struct cprof_error *read_account(struct cprof_heap_before *before,
					struct cprof_baseline_account *account)
{
	struct cprof_process *process = before->process;
	struct cprof_baseline_memory memory;
	struct cprof_baseline_types types;
	struct cprof_modules *modules = cprof_session_modules(before->session);
	const bool room = cprof_baseline_memory_init(&memory, process->mem.tid,
						     cprof_target_mem_view(&process->mem));
	cprof_target_mem_begin(&process->mem);
	cprof_baseline_types_init(&types, &process->maps, modules, CPROF_DEMANGLE_TEMPLATES);
	const struct cprof_baseline_target target = {
		.maps = &process->maps, .modules = modules, .memory = &memory, .types = &types
	};
	struct cprof_error *err =
		room ? cprof_baseline_read(&target, account) : cprof_error_no_memory();
	cprof_baseline_types_deinit(&types);
	cprof_baseline_memory_deinit(&memory);
	return err;
}

static struct cprof_error *read_resident(struct cprof_heap_before *before)
{
	const struct cprof_target *target = before->process->target;
	struct cprof_error *err = cprof_smaps_read(cprof_target_living_tid(target), &before->smaps);
	if (!err)
		err = cprof_heap_baseline(target, &before->smaps, &before->resident_bytes);
	if (!before->snapshot)
		cprof_smaps_deinit(&before->smaps);
	return err;
}

struct cprof_error *cprof_heap_before_read(struct cprof_heap_before *before)
{
	struct cprof_error *err = cprof_process_refresh(before->process, 0);
	if (!err)
		err = cprof_baseline_account_init(&before->then, NULL);
	if (err)
		return err;
	before->then_read = true;
	err = read_account(before, &before->then);
	if (!err && !cprof_target_alive(before->process->target))
		err = cprof_error_new(CPROF_ERR_NO_TARGET,
				      "process %d has ended while it was looked at",
				      (int)before->process->target->pid);
	if (err)
		return err;
	err = read_resident(before);
	/* With an allocator it only tells how much is in none. */
	if (err && before->then.n_allocators && err->code != CPROF_ERR_NO_MEMORY) {
		cprof_error_free(err);
		err = NULL;
	}
	return err;
}

struct cprof_error *cprof_heap_before_sampled(struct cprof_heap_before *before, uint64_t id,
					      uint64_t addr, double weight)
{
	if (!before->then_read || !cprof_baseline_blocks_has(&before->then.blocks, addr))
		return NULL;
	if (!CPROF_ARRAY_ROOM(before->fresh, before->n_fresh, before->cap_fresh, 1))
		return cprof_error_no_memory();
	before->fresh[before->n_fresh++] = (struct cprof_heap_before_fresh){ id, addr, weight };
	return NULL;
}

void cprof_heap_before_forget(struct cprof_heap_before *before, const struct cprof_map64 *alive)
{
	size_t kept = 0;
	if (before->n_fresh < FRESH_MIN || before->n_fresh < before->forget_at)
		return;
	for (size_t i = 0; i < before->n_fresh; i++) {
		if (cprof_map64_get(alive, before->fresh[i].id))
			before->fresh[kept++] = before->fresh[i];
	}
	before->n_fresh = kept;
	before->forget_at = kept * 2;
}

/* Of those at the places of older blocks, the ones that live: by them is estimated how many there are. */
static struct cprof_error *mark_fresh(struct cprof_heap_before *before,
				      const struct cprof_map64 *alive)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < before->n_fresh; i++) {
		const struct cprof_heap_before_fresh *fresh = &before->fresh[i];
		if (cprof_map64_get(alive, fresh->id))
			err = cprof_baseline_account_fresh(&before->now, fresh->addr,
							   fresh->weight);
	}
	return err;
}

/* Into before->now; *ret_gone: the process ended before all was read. */
static struct cprof_error *read_now(struct cprof_heap_before *before,
				    const struct cprof_map64 *alive, bool *ret_gone)
{
	*ret_gone = true;
	cprof_baseline_account_deinit(&before->now);
	before->now_read = false;
	struct cprof_error *err = cprof_process_refresh(before->process, 0);
	if (err && err->code != CPROF_ERR_NO_MEMORY) {
		cprof_error_free(err);
		return NULL;
	}
	if (!err)
		err = cprof_baseline_account_init(&before->now, &before->then);
	if (!err)
		err = mark_fresh(before, alive);
	if (!err)
		err = read_account(before, &before->now);
	*ret_gone =
		err || !before->now.n_allocators || !cprof_target_alive(before->process->target);
	before->now_read = !*ret_gone;
	return err;
}

struct cprof_error *cprof_heap_before_read_again(struct cprof_heap_before *before,
						 const struct cprof_map64 *alive, bool gone)
{
	if (!before->then_read || !before->then.n_allocators)
		return NULL;
	struct cprof_error *err = gone ? NULL : read_now(before, alive, &gone);
	if (err)
		return err;
	if (gone) {
		cprof_run_log_note(before->log, CPROF_NOTE_WARNING,
				   "the process could not be asked again: what it held before the "
				   "attach is shown as it was then, and may be freed by now");
		return NULL;
	}
	const uint64_t fresh = cprof_baseline_account_settle(&before->now);
	if (fresh)
		cprof_run_log_note(before->log, CPROF_NOTE_DETAIL,
				   "%" PRIu64 " bytes (estimated) at the places of older blocks "
				   "were allocated since, and are counted with their stacks only",
				   fresh);
	return NULL;
}

static struct cprof_baseline_account *newest(struct cprof_heap_before *before)
{
	return before->now_read ? &before->now : before->then_read ? &before->then : NULL;
}

const struct cprof_baseline_account *
cprof_heap_before_account(const struct cprof_heap_before *before)
{
	return newest((struct cprof_heap_before *)(uintptr_t)before);
}

/* ---- words ---- */

/* "24 bytes", "1152 to 1279 bytes", "80 KiB to 88 KiB". */
static void class_text(const struct cprof_baseline_class *class, char *text, size_t n)
{
	char low[CPROF_BYTES_TEXT], high[CPROF_BYTES_TEXT];
	if (class->low == class->high)
		snprintf(text, n, "%" PRIu64 " bytes", class->low);
	else if (class->low < 8192)
		snprintf(text, n, "%" PRIu64 " to %" PRIu64 " bytes", class->low, class->high);
	else
		snprintf(text, n, "%s to %s",
			 cprof_bytes_text((double)class->low, CPROF_BYTES_FOUR, low),
			 cprof_bytes_text((double)(class->high + 1), CPROF_BYTES_FOUR, high));
}

/* "glibc malloc held 4 MiB in 1200 blocks; free in it: ..." */
static void note_allocator(struct cprof_heap_before *before,
			   const struct cprof_baseline_account *account,
			   const struct cprof_baseline_allocator *allocator)
{
	const struct cprof_baseline_totals *totals = &allocator->totals;
	const struct cprof_baseline_sum *parts = totals->parts;
	char text[7][CPROF_BYTES_TEXT];
	cprof_run_log_note(before->log, CPROF_NOTE_FACT,
			   "%s %s %s in %" PRIu64 " blocks (±%s, ±%" PRIu64
			   " blocks); given back to it: %s at "
			   "hand for the next call (%" PRIu64
			   " blocks), %s in free blocks, %s at the ends of its "
			   "arenas; its own: %s; not to be told: %s",
			   allocator->name,
			   account->before || before->snapshot ? "holds now" : "held at the attach",
			   cprof_bytes_text((double)parts[CPROF_BASELINE_IN_USE].bytes,
					    CPROF_BYTES_FOUR, text[0]),
			   parts[CPROF_BASELINE_IN_USE].objects,
			   cprof_bytes_text((double)totals->error_bytes, CPROF_BYTES_FOUR, text[1]),
			   totals->error_objects,
			   cprof_bytes_text((double)parts[CPROF_BASELINE_CACHED].bytes,
					    CPROF_BYTES_FOUR, text[2]),
			   parts[CPROF_BASELINE_CACHED].objects,
			   cprof_bytes_text((double)parts[CPROF_BASELINE_FREE].bytes,
					    CPROF_BYTES_FOUR, text[3]),
			   cprof_bytes_text((double)parts[CPROF_BASELINE_TOP].bytes,
					    CPROF_BYTES_FOUR, text[4]),
			   cprof_bytes_text((double)parts[CPROF_BASELINE_OWN].bytes,
					    CPROF_BYTES_FOUR, text[5]),
			   cprof_bytes_text((double)parts[CPROF_BASELINE_UNTOLD].bytes,
					    CPROF_BYTES_FOUR, text[6]));
	if (allocator->untold_why)
		cprof_run_log_note(before->log, CPROF_NOTE_WARNING,
				   "%ssome of what %s held cannot be told: %s", before->who,
				   allocator->name, allocator->untold_why);
}

/* ---- rows ---- */

struct row {
	uint64_t objects, bytes;
	uint64_t each; /* bytes of a block, where objects is 0 by rounding */
	uint64_t age;  /* as in struct cprof_baseline_stack_class */
};

static struct cprof_error *add_stack(struct cprof_heap_before *before,
				     struct cprof_stack_frame *frames, size_t n, unsigned zeros,
				     const struct row *row)
{
	const struct cprof_session_stack stack = { .frames = frames, .n = n };
	const struct cprof_builder_label labels[] = {
		{ .key = "bytes",
		  .num = (int64_t)(row->objects ? row->bytes / row->objects : row->each),
		  .unit = "bytes" },
		{ .key = CPROF_HEAP_AGE,
		  .str = row->age ? cprof_heap_ages[row->age - 1].text : NULL },
	};
	int64_t values[VALUES_MAX] = { 0 };
	uint32_t number;
	values[zeros] = (int64_t)row->objects;
	values[zeros + 1] = (int64_t)row->bytes;
	struct cprof_error *err = cprof_session_labels(before->session, before->process, 0, labels,
						       row->age ? 2 : 1, &number);
	return err ? err : cprof_session_add(before->session, &stack, number, values);
}

static struct cprof_error *add_row(struct cprof_heap_before *before,
				   const struct cprof_baseline_account *account,
				   const struct cprof_baseline_row *row, unsigned zeros)
{
	char size[64];
	class_text(&row->class, size, sizeof(size));
	const char *const texts[FRAMES_MAX] = {
		cprof_intern_get(&account->texts, row->class.type),
		size,
		cprof_intern_get(&account->texts, row->class.arena),
		account->allocators[row->class.allocator].name,
		ROOT,
	};
	struct cprof_stack_frame frames[FRAMES_MAX];
	size_t n = 0;
	for (size_t i = 0; i < FRAMES_MAX; i++) {
		if (*texts[i])
			frames[n++] = cprof_session_marker(before->session, texts[i]);
	}
	return add_stack(before, frames, n, zeros,
			 &(struct row){ .objects = row->stackless,
					.bytes = row->stackless_bytes,
					.each = row->class.low });
}

/* What nobody can say more of: one sample, with the reason. */
static struct cprof_error *add_untold(struct cprof_heap_before *before, unsigned zeros,
				      const char *why, uint64_t bytes)
{
	struct cprof_stack_frame frames[2] = { cprof_session_marker(before->session, why),
					       { .addr = CPROF_MARKER_BEFORE } };
	const struct row row = { .objects = 1, .bytes = bytes };
	return bytes ? add_stack(before, frames, 2, zeros, &row) : NULL;
}

/* ---- stacks that an allocator has kept ---- */

#define INNER_MAX 24

/* Where the caller of the allocator is: the addresses begin somewhere inside of that. */
static size_t skip_allocator(const struct cprof_alloc_entries *entries, const uint64_t *addrs,
			     size_t n)
{
	size_t inner = 0;
	for (size_t i = 0; i < n && i < INNER_MAX; i++) {
		if (addrs[i] && cprof_alloc_entries_hold(entries, addrs[i] - 1))
			inner = i + 1;
	}
	return inner;
}

/* What is common to all stacks that are added. */
struct kept {
	const struct cprof_baseline_stacks *stacks;
	struct cprof_alloc_entries entries;
	unsigned zeros;
};

static struct cprof_error *add_kept(struct cprof_heap_before *before, const struct kept *kept,
				    uint32_t number, const char *allocator, const struct row *row)
{
	uint64_t addrs[CPROF_BASELINE_DEPTH];
	struct cprof_stack_frame frames[CPROF_BASELINE_DEPTH + 3];
	struct cprof_session_stack stack;
	size_t n = cprof_baseline_stacks_get(kept->stacks, number, addrs);
	const size_t inner = skip_allocator(&kept->entries, addrs, n);
	n -= inner;
	/* All are return addresses; of a stack the first one is taken for a place that runs. */
	if (n)
		addrs[inner]--;
	struct cprof_error *err =
		cprof_session_frames(before->session, before->process, addrs + inner, n, &stack);
	if (err)
		return err;
	n = stack.n < CPROF_BASELINE_DEPTH ? stack.n : CPROF_BASELINE_DEPTH;
	memcpy(frames, stack.frames, n * sizeof(*frames));
	frames[n++] = cprof_session_marker(before->session, allocator);
	frames[n++] = cprof_session_marker(before->session, ROOT);
	return add_stack(before, frames, n, kept->zeros, row);
}

static struct cprof_error *add_sampled(struct cprof_heap_before *before,
				       const struct cprof_baseline_account *account,
				       const struct kept *kept)
{
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < account->stacks.n_rows; i++) {
		const struct cprof_baseline_stack_row *stack = &account->stacks.rows[i];
		const struct cprof_baseline_class *class = &account->rows[stack->class.row].class;
		const struct row row = { .objects = stack->whole_objects,
					 .bytes = stack->whole_bytes,
					 .each = class->low,
					 .age = stack->class.age };
		if (row.objects || row.bytes)
			err = add_kept(before, kept, stack->class.stack,
				       account->allocators[class->allocator].name, &row);
	}
	return err;
}

static struct cprof_error *add_growth(struct cprof_heap_before *before,
				      const struct cprof_baseline_account *account,
				      const struct kept *kept)
{
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < account->growth.n_rows; i++) {
		const struct cprof_baseline_stack_row *stack = &account->growth.rows[i];
		const struct row row = { .objects = stack->sampled, .bytes = stack->sampled_bytes };
		err = add_kept(before, kept, stack->class.stack,
			       account->allocators[stack->class.row].name, &row);
	}
	return err;
}

static struct cprof_error *add_all_kept(struct cprof_heap_before *before,
					const struct cprof_baseline_account *account,
					unsigned zeros)
{
	struct kept kept = { .stacks = &account->stacks, .zeros = zeros };
	if (!account->stacks.n_rows && !account->growth.n_rows)
		return NULL;
	struct cprof_error *err = cprof_alloc_find(&kept.entries, &before->process->maps,
						   cprof_session_modules(before->session));
	if (!err)
		err = add_sampled(before, account, &kept);
	kept.stacks = &account->growth;
	kept.zeros = before->growth_at;
	if (!err && before->growth_at)
		err = add_growth(before, account, &kept);
	cprof_alloc_entries_deinit(&kept.entries);
	return err;
}

static bool has_ranges(const struct cprof_baseline_account *account, uint32_t allocator)
{
	for (uint32_t i = 0; i < account->n_ranges; i++) {
		if (account->ranges[i].allocator == allocator)
			return true;
	}
	return false;
}

/* Of memory that looks like a heap, at the attach: what was in none of the allocators that were read. */
static uint64_t unexplained(const struct cprof_heap_before *before)
{
	const struct cprof_baseline_account *account = &before->then;
	uint64_t known = 0;
	for (uint32_t i = 0; i < account->n_allocators; i++) {
		const struct cprof_baseline_sum *parts = account->allocators[i].totals.parts;
		/* One of which only samples are known has all its memory there. */
		if (parts[CPROF_BASELINE_IN_USE].bytes && !has_ranges(account, i))
			return 0;
		for (unsigned p = 0; p < CPROF_BASELINE_N_PARTS; p++)
			known += parts[p].bytes > parts[p].absent ? parts[p].bytes - parts[p].absent
								  : 0;
	}
	return before->resident_bytes > known ? before->resident_bytes - known : 0;
}

/*
 * The C library's allocator is in every process, also where the program has another one that nobody here can read. Then most
 * of its memory is in none.
 */
static struct cprof_error *add_unexplained(struct cprof_heap_before *before,
					   const struct cprof_baseline_account *account,
					   unsigned zeros)
{
	const char *why = account->n_allocators
				  ? "in no allocator that can be read: another one, or pools"
				  : "no allocator that can be read was found";
	const uint64_t bytes = unexplained(before);
	if (account->n_allocators &&
	    (bytes < UNEXPLAINED_MIN || bytes < before->resident_bytes / 2))
		return NULL;
	if (account->n_allocators)
		cprof_run_log_note(before->log, CPROF_NOTE_WARNING,
				   "%smost of the memory that is no file's cannot be told: %" PRIu64
				   " MiB are %s",
				   before->who, bytes >> 20, why);
	else
		cprof_run_log_note(before->log, CPROF_NOTE_WARNING,
				   "%s%s: the %" PRIu64 " KiB that look like a heap's are one "
				   "sample, [allocated before attach]",
				   before->who, why, bytes >> 10);
	return add_untold(before, zeros, why, bytes);
}

struct cprof_error *cprof_heap_before_add(struct cprof_heap_before *before, unsigned zeros)
{
	struct cprof_baseline_account *account = newest(before);
	struct cprof_error *err = NULL;
	if (!account)
		return NULL;
	if (account->not_found)
		cprof_run_log_note(
			before->log, CPROF_NOTE_WARNING,
			"%swhere %s may be was looked for without an end, and given up: so "
			"many words of the process's variables lead on. If it is there, it "
			"is not read",
			before->who, account->not_found);
	err = add_unexplained(before, account, zeros);
	for (uint32_t i = 0; !err && i < account->n_allocators; i++) {
		const struct cprof_baseline_allocator *allocator = &account->allocators[i];
		note_allocator(before, account, allocator);
		err = add_untold(before, zeros,
				 allocator->untold_why ? allocator->untold_why : "not told",
				 allocator->totals.parts[CPROF_BASELINE_UNTOLD].bytes);
	}
	cprof_baseline_account_spread(account);
	if (!err)
		err = add_all_kept(before, account, zeros);
	for (uint32_t i = 0; !err && i < account->n_rows; i++) {
		if (account->rows[i].stackless || account->rows[i].stackless_bytes)
			err = add_row(before, account, &account->rows[i], zeros);
	}
	return err;
}
