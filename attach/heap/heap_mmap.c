/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_mmap_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/search.h"

#define SETTLE_NS  1000000ull /* records of this age have arrived in every ring */
#define ROWS_MAX   (1u << 16)
#define CALLS_MAX  (1u << 20)
#define PIECES_MAX (1u << 18) /* vm.max_map_count is 65,530 unless raised */
#define NO_STACK   UINT32_MAX

struct cprof_heap_mmap_event {
	struct cprof_mmap_call call;
	uint32_t stack; /* NO_STACK: an allocator's own, or it needs none */
};

/* ---- opening ---- */

/* proc_pid_stat(5) "start_brk", the 47th: where a heap of nothing begins and ends. 0: it is not told. */
static uint64_t heap_start(pid_t pid)
{
	char path[64];
	uint64_t start = 0;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	struct cprof_error *err = cprof_file_read(path, 4096, &text);
	const char *at = err ? NULL : strrchr(cprof_buffer_text(&text), ')');
	for (unsigned field = 2; at && field < 47; field++) {
		at = strchr(at + 1, ' ');
		if (at && field == 46)
			start = strtoull(at, NULL, 10);
	}
	cprof_error_free(err);
	return (start + 4095) & ~4095ull;
}

/* The end of the mapping [heap], before the first call. */
static uint64_t first_heap_end(const struct cprof_maps *maps)
{
	for (size_t i = 0; i < maps->n_sorted; i++) {
		if (strcmp(maps->sorted[i]->path, "[heap]") == 0)
			return maps->sorted[i]->end;
	}
	return heap_start(maps->pid);
}

struct cprof_error *cprof_heap_mmap_open(struct cprof_session *session,
					 struct cprof_process *process,
					 const struct cprof_alloc_entries *entries,
					 struct cprof_run_log *log,
					 struct cprof_heap_mmap **ret_mmap)
{
	struct cprof_heap_mmap *mmap = calloc(1, sizeof(*mmap));
	if (!mmap)
		return cprof_error_no_memory();
	*mmap = (struct cprof_heap_mmap){
		.session = session,
		.process = process,
		.entries = entries,
		.log = log,
		.from_ns = UINT64_MAX,
	};
	struct cprof_error *err = cprof_process_refresh(process, 0);
	mmap->heap_end = err ? 0 : first_heap_end(&process->maps);
	if (!err)
		err = cprof_mmap_calls_open(process->target, log, &mmap->calls);
	if (err) {
		cprof_heap_mmap_close(mmap);
		return cprof_error_wrap(err, "trace mmap and brk");
	}
	*ret_mmap = mmap;
	return NULL;
}

/* Functions that make the calls for whoever wants them; some allocators have them too, to see who does (gperftools). */
static bool is_wrapper_name(const char *name)
{
	static const char *const wrappers[] = { "mmap", "mmap64", "mremap", "sbrk", "brk" };
	while (*name == '_')
		name++;
	for (size_t i = 0; i < sizeof(wrappers) / sizeof(wrappers[0]); i++) {
		if (strcmp(name, wrappers[i]) == 0)
			return true;
	}
	return false;
}

static struct cprof_error *on_symbol(void *ctx, struct cprof_map *map, const char *name,
				     uint64_t addr, uint64_t end)
{
	struct cprof_heap_mmap *mmap = ctx;
	(void)map;
	if (mmap->n_wrappers < CPROF_HEAP_MMAP_WRAPPERS && end > addr && is_wrapper_name(name))
		mmap->wrappers[mmap->n_wrappers++] =
			(struct cprof_shim_range){ .start = addr, .end = end };
	return NULL;
}

struct cprof_error *cprof_heap_mmap_begin(struct cprof_heap_mmap *mmap)
{
	mmap->from_ns = cprof_clock_mono_ns();
	return cprof_alloc_each_symbol(&mmap->process->maps, cprof_session_modules(mmap->session),
				       on_symbol, mmap);
}

void cprof_heap_mmap_close(struct cprof_heap_mmap *mmap)
{
	if (!mmap)
		return;
	cprof_mmap_calls_close(mmap->calls);
	cprof_mapped_set_deinit(&mmap->set);
	cprof_map64_deinit(&mmap->by_hash);
	free(mmap->events);
	free(mmap->rows);
	free(mmap->row_of);
	free(mmap);
}

/* ---- records ---- */

static bool in_ranges(const struct cprof_shim_range *ranges, size_t n, uint64_t addr)
{
	for (size_t i = 0; i < n; i++) {
		if (addr - ranges[i].start < ranges[i].end - ranges[i].start)
			return true;
	}
	return false;
}

/* Does an allocator make this call? Below the call itself its code is in the stack then. */
static bool is_own(const struct cprof_heap_mmap *mmap, const struct cprof_session_stack *stack)
{
	const struct cprof_alloc_entries *entries = mmap->entries;
	for (size_t i = 1; i < stack->n; i++) {
		const uint64_t addr = stack->frames[i].addr;
		if (in_ranges(mmap->wrappers, mmap->n_wrappers, addr))
			continue;
		if (in_ranges(entries->ranges, entries->n_ranges, addr))
			return true;
		for (size_t k = 0; k < entries->n; k++) {
			if (addr - entries->all[k].addr <
			    entries->all[k].end - entries->all[k].addr)
				return true;
		}
	}
	return false;
}

static struct cprof_error *walk(struct cprof_heap_mmap *mmap, const struct cprof_regs *regs,
				const struct cprof_perf_record *record, uint32_t *ret_stack)
{
	const struct cprof_session_sample sample = {
		.process = mmap->process,
		.regs = regs,
		.stack_addr = regs->r[cprof_arch_host()->sp],
		.stack = record->sample.stack,
		.n_stack = record->sample.n_stack,
		.live = true,
	};
	struct cprof_session_stack stack;
	struct cprof_counts *counts = &cprof_session_log(mmap->session)->counts;
	const struct cprof_counts before = *counts;
	struct cprof_error *err = cprof_session_walk(mmap->session, &sample, &stack);
	*ret_stack = NO_STACK;
	if (err)
		return err;
	if (is_own(mmap, &stack)) {
		mmap->own++;
		*counts =
			before; /* a walk that nobody sees: it may end in our own frame, where the call is a sample */
		return NULL;
	}
	return cprof_session_stack(mmap->session, &stack, ret_stack);
}

/* The dynamic linker maps files and their ends; who maps neither a file nor anything that can be told otherwise allocates. */
static struct cprof_error *on_call(void *ctx, const struct cprof_mmap_call *call,
				   const struct cprof_regs *regs,
				   const struct cprof_perf_record *record)
{
	struct cprof_heap_mmap *mmap = ctx;
	uint32_t stack = NO_STACK;
	struct cprof_error *err = NULL;
	const bool takes_away =
		call->kind == CPROF_MMAP_CALL_UNMAP || call->kind == CPROF_MMAP_CALL_DETACH;
	if (!takes_away && call->time_ns >= mmap->from_ns)
		err = walk(mmap, regs, record, &stack);
	if (err)
		return err;
	if (!CPROF_ARRAY_ROOM(mmap->events, mmap->n_events, mmap->cap_events, 1))
		return cprof_error_no_memory();
	mmap->events[mmap->n_events++] =
		(struct cprof_heap_mmap_event){ .call = *call, .stack = stack };
	return NULL;
}

/* ---- what they mean ---- */

static uint64_t hash(uint32_t stack, uint32_t what, uint64_t bytes)
{
	uint64_t x = ((uint64_t)stack << 32 | what) * 0x9e3779b97f4a7c15ull;
	return (x ^ x >> 29 ^ bytes) * 0xbf58476d1ce4e5b9ull;
}

static struct cprof_error *row_get(struct cprof_heap_mmap *mmap, uint32_t stack, uint32_t what,
				   uint64_t bytes, uint32_t *ret_row)
{
	uint64_t *first = cprof_map64_put(&mmap->by_hash, hash(stack, what, bytes), NULL);
	if (!first || !CPROF_ARRAY_ROOM(mmap->rows, mmap->n_rows, mmap->cap_rows, 1))
		return cprof_error_no_memory();
	for (uint64_t at = *first; at; at = mmap->rows[at - 1].next) {
		const struct cprof_heap_mmap_row *row = &mmap->rows[at - 1];
		if (row->stack == stack && row->what == what && row->bytes == bytes) {
			*ret_row = (uint32_t)(at - 1);
			return NULL;
		}
	}
	mmap->rows[mmap->n_rows] = (struct cprof_heap_mmap_row){
		.stack = stack, .what = what, .bytes = bytes, .next = (uint32_t)*first
	};
	*ret_row = mmap->n_rows++;
	*first = mmap->n_rows;
	return NULL;
}

/* Numbers of calls of which nothing is mapped any more are given out anew. */
static struct cprof_error *compact(struct cprof_heap_mmap *mmap)
{
	uint32_t *numbers = calloc(mmap->n_calls, sizeof(*numbers)); /* + 1; 0: none yet */
	uint32_t *row_of = calloc(mmap->cap_calls, sizeof(*row_of));
	uint32_t n = 0;
	if (!numbers || !row_of) {
		free(numbers);
		free(row_of);
		return cprof_error_no_memory();
	}
	for (size_t i = 0; i < mmap->set.n; i++) {
		uint32_t *number = &numbers[mmap->set.pieces[i].call];
		if (!*number) {
			row_of[n] = mmap->row_of[mmap->set.pieces[i].call];
			*number = ++n;
		}
		mmap->set.pieces[i].call = *number - 1;
	}
	free(numbers);
	free(mmap->row_of);
	mmap->row_of = row_of;
	mmap->n_calls = n;
	return NULL;
}

/* One more call that mapped [start, end). */
static struct cprof_error *add(struct cprof_heap_mmap *mmap, uint64_t start, uint64_t end,
			       uint32_t stack, enum cprof_heap_mmap_what what)
{
	uint32_t row = 0;
	struct cprof_error *err = mmap->n_calls < CALLS_MAX ? NULL : compact(mmap);
	if (!err && (mmap->n_rows >= ROWS_MAX || mmap->set.n >= PIECES_MAX)) {
		mmap->no_room++;
		return cprof_mapped_set_remove(&mmap->set, start, end);
	}
	if (!err)
		err = row_get(mmap, stack, what, end - start, &row);
	if (err)
		return err;
	if (!CPROF_ARRAY_ROOM(mmap->row_of, mmap->n_calls, mmap->cap_calls, 1))
		return cprof_error_no_memory();
	mmap->row_of[mmap->n_calls] = row;
	if (what != CPROF_HEAP_MMAP_RESERVED) {
		mmap->rows[row].alloc_objects++;
		mmap->rows[row].alloc_bytes += end - start;
	}
	return cprof_mapped_set_add(&mmap->set, start, end, mmap->n_calls++);
}

const struct cprof_mapped_set *cprof_heap_mmap_set(const struct cprof_heap_mmap *mmap)
{
	return &mmap->set;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* By the name that the kernel has for it; CPROF_HEAP_MMAP_WHATS: a file. */
static enum cprof_heap_mmap_what what_by_path(const char *path)
{
	return begins(path, "/memfd:")          ? CPROF_HEAP_MMAP_MEMFD
	       : begins(path, "/dev/shm/")      ? CPROF_HEAP_MMAP_SHM
	       : begins(path, "/anon_hugepage") ? CPROF_HEAP_MMAP_HUGE_PAGES
						: CPROF_HEAP_MMAP_WHATS;
}

/* What is mapped at an address by now; NULL: nothing. Read once in a drain. */
static struct cprof_error *map_now(struct cprof_heap_mmap *mmap, uint64_t addr,
				   const struct cprof_map **ret_map)
{
	struct cprof_error *err = NULL;
	if (!mmap->maps_fresh)
		err = cprof_process_refresh(mmap->process, 0);
	mmap->maps_fresh = true;
	*ret_map = err ? NULL : cprof_maps_find(&mmap->process->maps, addr);
	return err;
}

/* What a descriptor's mapping is of; CPROF_HEAP_MMAP_WHATS: a file, or it is gone again and nobody said. */
static struct cprof_error *what_of_file(struct cprof_heap_mmap *mmap,
					const struct cprof_mmap_call *call,
					enum cprof_heap_mmap_what *ret_what)
{
	const struct cprof_map *map;
	if (*call->path) {
		*ret_what = what_by_path(call->path);
		return NULL;
	}
	struct cprof_error *err = map_now(mmap, call->start, &map);
	*ret_what = map ? what_by_path(map->path) : CPROF_HEAP_MMAP_WHATS;
	return err;
}

static struct cprof_error *what_of(struct cprof_heap_mmap *mmap, const struct cprof_mmap_call *call,
				   enum cprof_heap_mmap_what *ret_what)
{
	if (!(call->flags & MAP_ANONYMOUS))
		return what_of_file(mmap, call, ret_what);
	*ret_what = call->flags & MAP_STACK     ? CPROF_HEAP_MMAP_THREAD_STACK
		    : call->flags & MAP_SHARED  ? CPROF_HEAP_MMAP_SHARED
		    : call->flags & MAP_HUGETLB ? CPROF_HEAP_MMAP_HUGE_PAGES
		    : call->prot == PROT_NONE   ? CPROF_HEAP_MMAP_RESERVED
						: CPROF_HEAP_MMAP_ANONYMOUS;
	return NULL;
}

/* What was mapped there before is gone in any case (MAP_FIXED). */
static struct cprof_error *take_map(struct cprof_heap_mmap *mmap,
				    const struct cprof_heap_mmap_event *event)
{
	const struct cprof_mmap_call *call = &event->call;
	enum cprof_heap_mmap_what what = CPROF_HEAP_MMAP_WHATS;
	struct cprof_error *err = event->stack == NO_STACK ? NULL : what_of(mmap, call, &what);
	if (err)
		return err;
	return what == CPROF_HEAP_MMAP_WHATS
		       ? cprof_mapped_set_remove(&mmap->set, call->start, call->end)
		       : add(mmap, call->start, call->end, event->stack, what);
}

/* The kind of what was there; anonymous where it was not ours. */
static enum cprof_heap_mmap_what what_was(const struct cprof_heap_mmap *mmap, uint64_t start,
					  uint64_t end)
{
	for (size_t i = 0; i < mmap->set.n; i++) {
		const struct cprof_mapped_piece *piece = &mmap->set.pieces[i];
		if (piece->start < end && piece->end > start)
			return mmap->rows[mmap->row_of[piece->call]].what;
	}
	return CPROF_HEAP_MMAP_ANONYMOUS;
}

/* Like realloc: the old one is freed, and a new one allocated. */
static struct cprof_error *take_remap(struct cprof_heap_mmap *mmap,
				      const struct cprof_heap_mmap_event *event)
{
	const struct cprof_mmap_call *call = &event->call;
	const enum cprof_heap_mmap_what what = what_was(mmap, call->old_start, call->old_end);
	struct cprof_error *err =
		cprof_mapped_set_remove(&mmap->set, call->old_start, call->old_end);
	if (err || event->stack == NO_STACK)
		return err;
	return add(mmap, call->start, call->end, event->stack, what);
}

static struct cprof_error *take_break(struct cprof_heap_mmap *mmap,
				      const struct cprof_heap_mmap_event *event)
{
	const uint64_t was = mmap->heap_end, is = event->call.end;
	mmap->heap_end = is;
	if (is < was)
		return cprof_mapped_set_remove(&mmap->set, is, was);
	if (!was || is == was || event->stack == NO_STACK)
		return NULL;
	return add(mmap, was, is, event->stack, CPROF_HEAP_MMAP_BRK);
}

/* Where the kernel's word of how much it was is lost, the mapping tells; of one that is gone already nothing is known. */
static struct cprof_error *take_attach(struct cprof_heap_mmap *mmap,
				       const struct cprof_heap_mmap_event *event)
{
	const uint64_t start = event->call.start;
	uint64_t end = event->call.end;
	if (end <= start) {
		const struct cprof_map *map;
		struct cprof_error *err = map_now(mmap, start, &map);
		if (err)
			return err;
		end = map && map->start == start && begins(map->path, "/SYSV") ? map->end : start;
	}
	return event->stack == NO_STACK || end <= start
		       ? cprof_mapped_set_remove(&mmap->set, start, end)
		       : add(mmap, start, end, event->stack, CPROF_HEAP_MMAP_SYSTEM_V);
}

/* All that is left of what was attached there. */
static struct cprof_error *take_detach(struct cprof_heap_mmap *mmap,
				       const struct cprof_heap_mmap_event *event)
{
	struct cprof_error *err = NULL;
	size_t at = CPROF_SEARCH(i, mmap->set.n, mmap->set.pieces[i].start < event->call.start);
	if (at == mmap->set.n || mmap->set.pieces[at].start != event->call.start)
		return NULL;
	const uint32_t number = mmap->set.pieces[at].call;
	if (mmap->rows[mmap->row_of[number]].what != CPROF_HEAP_MMAP_SYSTEM_V)
		return NULL;
	while (!err && at < mmap->set.n) {
		const struct cprof_mapped_piece piece = mmap->set.pieces[at];
		if (piece.call == number)
			err = cprof_mapped_set_remove(&mmap->set, piece.start, piece.end);
		else if (piece.start - event->call.start < mmap->rows[mmap->row_of[number]].bytes)
			at++;
		else
			break;
	}
	return err;
}

static struct cprof_error *take(struct cprof_heap_mmap *mmap,
				const struct cprof_heap_mmap_event *event)
{
	switch (event->call.kind) {
	case CPROF_MMAP_CALL_MAP:
		return take_map(mmap, event);
	case CPROF_MMAP_CALL_REMAP:
		return take_remap(mmap, event);
	case CPROF_MMAP_CALL_BRK:
		return take_break(mmap, event);
	case CPROF_MMAP_CALL_ATTACH:
		return take_attach(mmap, event);
	case CPROF_MMAP_CALL_DETACH:
		return take_detach(mmap, event);
	case CPROF_MMAP_CALL_UNMAP:
	case CPROF_N_MMAP_CALLS:
		break;
	}
	return cprof_mapped_set_remove(&mmap->set, event->call.start, event->call.end);
}

static int by_time(const void *a_, const void *b_)
{
	const struct cprof_heap_mmap_event *a = a_, *b = b_;
	return a->call.time_ns < b->call.time_ns ? -1 : a->call.time_ns > b->call.time_ns;
}

struct cprof_error *cprof_heap_mmap_drain(struct cprof_heap_mmap *mmap, bool all)
{
	const uint64_t until_ns = all ? UINT64_MAX : cprof_clock_mono_ns() - SETTLE_NS;
	mmap->n_events = 0;
	mmap->maps_fresh = false;
	struct cprof_error *err = cprof_mmap_calls_drain(mmap->calls, until_ns, on_call, mmap);
	if (mmap->n_events)
		qsort(mmap->events, mmap->n_events, sizeof(mmap->events[0]), by_time);
	for (size_t i = 0; !err && i < mmap->n_events; i++)
		err = take(mmap, &mmap->events[i]);
	mmap->lost = cprof_mmap_calls_lost(mmap->calls);
	return err;
}
