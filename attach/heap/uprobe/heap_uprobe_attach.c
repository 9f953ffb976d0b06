/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/uprobe/heap_uprobe_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attach/heap/uprobe/heap_uprobe_apart.h"
#include "attach/perf/perf_host.h"
#include "base/array.h"
#include "base/cleanup.h"

#define BREAKPOINT 0xcc

void cprof_heap_uprobe_detach(struct cprof_heap_uprobe *uprobe, size_t first)
{
	cprof_heap_uprobe_release(uprobe->fds + first, uprobe->n_fds - first);
	uprobe->n_fds = first;
}

/* ---- attaching ---- */

static void attach_apart(void *ctx)
{
	struct cprof_heap_uprobe_attaching *attaching = ctx;
	attaching->why = attaching->way->attach(attaching->program, attaching->path,
						&attaching->spots, attaching->tid, attaching->fds,
						&attaching->n_fds, &attaching->failed);
}

/* ENOTSUPP of the kernel, which has no name here: it can neither emulate the instruction nor execute it elsewhere. */
#define NOT_SUPPORTED 524

static struct cprof_error *say_why(int why)
{
	if (why != NOT_SUPPORTED)
		return cprof_error_os(why, "attach uprobes");
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_UNSUPPORTED,
		"the kernel puts no breakpoint on one of its first or last instructions");
	err->os_errno = why;
	return err;
}

static void begin_spots(const struct cprof_heap_uprobe *uprobe, int program,
			const struct cprof_heap_uprobe_file *file)
{
	struct cprof_heap_uprobe_attaching *attaching = uprobe->attaching;
	attaching->way = &cprof_heap_uprobe_ways[uprobe->way];
	attaching->program = program;
	attaching->tid = uprobe->tid;
	attaching->n_fds = 0;
	attaching->spots.n = 0;
	attaching->why = ECANCELED; /* if the child does not come to it */
	cprof_heap_uprobe_file_path(file, attaching->path, sizeof(attaching->path));
}

/* The entries of `probes`, or its exits, that lie in `file`. */
static void add_spots(struct cprof_heap_uprobe_attaching *attaching,
		      const struct cprof_heap_uprobe_probes *probes,
		      const struct cprof_heap_uprobe_file *file, bool entries)
{
	const struct cprof_map *map = file->map;
	for (size_t i = 0; i < probes->n && attaching->spots.n < CPROF_HEAP_UPROBE_SPOTS; i++) {
		const struct cprof_heap_uprobe_spot *spot = &probes->spots[i];
		const bool entry = (spot->cookie & CPROF_HEAP_BPF_AT) == CPROF_HEAP_BPF_AT_ENTRY;
		if (spot->file != file || entry != entries)
			continue;
		const uint32_t n = attaching->spots.n++;
		attaching->spots.offsets[n] = map->offset + (spot->addr - map->start);
		attaching->spots.cookies[n] = spot->cookie;
		attaching->spots.counters[n] = spot->counter;
	}
}

/* Functions from number `first` up to `end`; what holds their probes is added to uprobe->fds. */
struct range {
	size_t first, end;
};

/* As many as go together from *at on. */
static void gather(const struct cprof_heap_uprobe *uprobe, struct range range,
		   const struct cprof_heap_uprobe_file *file, bool entries, size_t *at)
{
	struct cprof_heap_uprobe_attaching *attaching = uprobe->attaching;
	for (; *at < range.end &&
	       attaching->spots.n + uprobe->probes[*at]->n <= CPROF_HEAP_UPROBE_SPOTS;
	     ++*at)
		add_spots(attaching, uprobe->probes[*at], file, entries);
}

static struct cprof_error *attach_file(struct cprof_heap_uprobe *uprobe, struct range range,
				       const struct cprof_heap_uprobe_file *file, bool entries)
{
	struct cprof_heap_uprobe_attaching *attaching = uprobe->attaching;
	for (size_t at = range.first; at < range.end;) {
		begin_spots(uprobe, cprof_heap_uprobe_program_fd(&uprobe->program), file);
		gather(uprobe, range, file, entries, &at);
		if (!attaching->spots.n)
			continue;
		if (!CPROF_ARRAY_ROOM(uprobe->fds, uprobe->n_fds, uprobe->cap_fds,
				      attaching->spots.n))
			return cprof_error_no_memory();
		cprof_heap_uprobe_apart(attach_apart, attaching);
		for (size_t i = 0; i < attaching->n_fds && i < attaching->spots.n; i++)
			uprobe->fds[uprobe->n_fds++] = attaching->fds[i];
		if (attaching->why)
			return say_why(attaching->why);
	}
	return NULL;
}

/* The exits first, so that a call that is seen to begin is seen to end. All or none of them. */
static struct cprof_error *attach_range(struct cprof_heap_uprobe *uprobe, struct range range)
{
	struct cprof_error *err = NULL;
	const size_t before = uprobe->n_fds;
	for (int entries = 0; entries < 2; entries++) {
		for (size_t i = 0; !err && i < uprobe->n_files; i++)
			err = attach_file(uprobe, range, uprobe->files[i], entries != 0);
	}
	if (err && uprobe->n_fds > before)
		cprof_heap_uprobe_detach(uprobe, before);
	for (size_t i = range.first; i < range.end; i++)
		uprobe->probes[i]->attached = !err;
	return err;
}

/* The first functions show which way this kernel and this process allow. */
static struct cprof_error *attach_first(struct cprof_heap_uprobe *uprobe, struct range range)
{
	for (;;) {
		const struct cprof_heap_uprobe_way *way = &cprof_heap_uprobe_ways[uprobe->way];
		const bool tried = !way->by_leader || uprobe->tid == uprobe->target->pid;
		struct cprof_error *err = tried ? attach_range(uprobe, range) : NULL;
		if ((tried && !err) || (err && err->os_errno == NOT_SUPPORTED) ||
		    uprobe->way + 1 == cprof_heap_uprobe_n_ways)
			return err;
		cprof_error_free(err);
		err = cprof_heap_uprobe_open_way(uprobe, uprobe->way + 1);
		if (err)
			return err;
	}
}

/* One of them is in the way of all the others. */
static struct cprof_error *attach_singly(struct cprof_heap_uprobe *uprobe, size_t first,
					 cprof_heap_uprobe_refuse_fn *refuse, void *ctx)
{
	for (size_t i = first; i < uprobe->n_probes;) {
		struct cprof_error *err = attach_range(uprobe, (struct range){ i, i + 1 });
		if (!err) {
			i++;
			continue;
		}
		const uint32_t number = uprobe->probes[i]->number;
		cprof_heap_uprobe_drop(uprobe, i);
		err = refuse(ctx, number, cprof_heap_uprobe_program_not_permitted(err));
		if (err)
			return err;
	}
	return NULL;
}

static size_t count_spots(const struct cprof_heap_uprobe *uprobe)
{
	size_t n = 0;
	for (size_t i = 0; i < uprobe->n_probes; i++)
		n += uprobe->probes[i]->n;
	return n;
}

struct cprof_error *cprof_heap_uprobe_attach(struct cprof_heap_uprobe *uprobe,
					     cprof_heap_uprobe_refuse_fn *refuse, void *ctx)
{
	const size_t before = uprobe->n_fds;
	size_t first = 0;
	while (first < uprobe->n_probes && uprobe->probes[first]->attached)
		first++;
	if (first == uprobe->n_probes)
		return NULL;
	const struct range all = { first, uprobe->n_probes };
	cprof_perf_host_raise_files(count_spots(uprobe));
	struct cprof_error *err = first ? attach_range(uprobe, all) : attach_first(uprobe, all);
	if (!err)
		return NULL;
	cprof_error_free(err);
	err = attach_singly(uprobe, first, refuse, ctx);
	if (!err)
		return NULL;
	if (uprobe->n_fds > before)
		cprof_heap_uprobe_detach(uprobe, before);
	while (uprobe->n_probes > first)
		cprof_heap_uprobe_drop(uprobe, uprobe->n_probes - 1);
	return err;
}

/* ---- what becomes of the process ---- */

/* The old ones see nothing any more: the thread that they go by has no memory. */
static struct cprof_error *renew(struct cprof_heap_uprobe *uprobe)
{
	cprof_heap_uprobe_detach(uprobe, 0);
	return attach_range(uprobe, (struct range){ 0, uprobe->n_probes });
}

/* Put a program that does nothing on all probes of a file and take it off again. */
static void touch_file(const struct cprof_heap_uprobe *uprobe, int program,
		       const struct cprof_heap_uprobe_file *file, bool entries)
{
	struct cprof_heap_uprobe_attaching *attaching = uprobe->attaching;
	const struct range all = { 0, uprobe->n_probes };
	for (size_t at = 0; at < uprobe->n_probes;) {
		begin_spots(uprobe, program, file);
		gather(uprobe, all, file, entries, &at);
		if (!attaching->spots.n)
			continue;
		cprof_heap_uprobe_apart(attach_apart, attaching);
		cprof_heap_uprobe_release(attaching->fds, attaching->n_fds);
	}
}

/* A child that the target has forked has its breakpoints, and nothing takes them out when it comes past them. */
static void spare_children(struct cprof_heap_uprobe *uprobe)
{
	int (*load_nothing)(void) = cprof_heap_uprobe_ways[uprobe->way].load_nothing;
	if (!load_nothing || !uprobe->n_probes ||
	    !cprof_heap_uprobe_children_came(&uprobe->children, uprobe->target->pid))
		return;
	CPROF_AUTO(close) int program = load_nothing();
	for (size_t i = 0; program >= 0 && i < uprobe->n_files; i++) {
		touch_file(uprobe, program, uprobe->files[i], true);
		touch_file(uprobe, program, uprobe->files[i], false);
	}
}

/*
 * A multi link's probes stay in when the first thread ends, but the kernel no longer knows whose they are, and takes them
 * out as soon as somebody else takes out uprobes of the same places.
 */
static bool are_gone(const struct cprof_heap_uprobe *uprobe)
{
	const struct cprof_memory *memory = &uprobe->maps->memory;
	const struct cprof_heap_uprobe_probes *probes = uprobe->probes[0];
	uint8_t now = 0;
	return memory->read(memory->ctx, probes->spots[probes->n - 1].addr, &now, 1) &&
	       now != BREAKPOINT;
}

struct cprof_error *cprof_heap_uprobe_follow(struct cprof_heap_uprobe *uprobe, bool *ret_renewed)
{
	const pid_t tid = cprof_target_living_tid(uprobe->target);
	*ret_renewed = false;
	spare_children(uprobe);
	if (tid == uprobe->tid || !uprobe->n_probes || !cprof_target_alive(uprobe->target))
		return NULL;
	if (cprof_heap_uprobe_ways[uprobe->way].by_leader) {
		uprobe->gone |= are_gone(uprobe);
		return NULL;
	}
	uprobe->tid = tid;
	*ret_renewed = true;
	return renew(uprobe);
}
