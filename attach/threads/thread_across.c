/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_across.h"

#include <stdlib.h>

#include "attach/locks/lock_graph.h"
#include "attach/threads/thread_text.h"
#include "attach/threads/thread_words.h"
#include "base/array.h"
#include "base/cleanup.h"

/* All threads of all views, one after the other. */
struct all {
	struct cprof_thread_view *views; /* borrowed */
	size_t n_views;
	struct cprof_thread_at *nodes; /* owned */
	size_t n;
	size_t *first; /* owned; of each view */
	size_t *edges; /* owned; whom each node waits for */
};

void cprof_thread_across_deinit(struct cprof_thread_across *across)
{
	for (size_t i = 0; i < across->n; i++)
		free(across->cycles[i].at);
	free(across->cycles);
	*across = (struct cprof_thread_across){ 0 };
}

static void all_deinit(struct all *all)
{
	free(all->nodes);
	free(all->first);
	free(all->edges);
}

static struct cprof_thread *thread_of(const struct all *all, size_t node)
{
	const struct cprof_thread_at at = all->nodes[node];
	return &all->views[at.view].now.threads[at.thread];
}

static struct cprof_error *list(struct all *all)
{
	size_t n = 0;
	for (size_t v = 0; v < all->n_views; v++)
		n += all->views[v].fresh ? all->views[v].now.n : 0;
	all->nodes = calloc(n + 1, sizeof(*all->nodes));
	all->edges = calloc(n + 1, sizeof(*all->edges));
	all->first = calloc(all->n_views + 1, sizeof(*all->first));
	if (!all->nodes || !all->edges || !all->first)
		return cprof_error_no_memory();
	for (size_t v = 0; v < all->n_views; v++) {
		all->first[v] = all->n;
		for (size_t i = 0; all->views[v].fresh && i < all->views[v].now.n; i++)
			all->nodes[all->n++] = (struct cprof_thread_at){ v, i };
	}
	return NULL;
}

/* The node that is thread `tid` of process `pid`, if we look at that. */
static size_t find_node(const struct all *all, pid_t pid, pid_t tid)
{
	for (size_t v = 0; v < all->n_views; v++) {
		if (!all->views[v].fresh || all->views[v].target->pid != pid)
			continue;
		const size_t at = cprof_thread_snapshot_find(&all->views[v].now, tid);
		return at == SIZE_MAX ? CPROF_LOCK_GRAPH_NONE : all->first[v] + at;
	}
	return CPROF_LOCK_GRAPH_NONE;
}

static void draw_edges(const struct all *all)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct cprof_thread *thread = thread_of(all, i);
		all->edges[i] = CPROF_LOCK_GRAPH_NONE;
		if (thread->wait.owner_pid)
			all->edges[i] = find_node(all, thread->wait.owner_pid, thread->wait.owner);
		else if (thread->owner != CPROF_LOCK_GRAPH_NONE)
			all->edges[i] = all->first[all->nodes[i].view] + thread->owner;
	}
}

static struct cprof_error *count_waiters(const struct all *all)
{
	CPROF_AUTO(free) size_t *waiters = calloc(all->n + 1, sizeof(*waiters));
	if (!waiters)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_lock_graph_waiters(all->edges, all->n, waiters);
	for (size_t i = 0; !err && i < all->n; i++)
		thread_of(all, i)->waiters = waiters[i];
	return err;
}

/* A wait that ends by itself blocks nobody for good. */
static void drop_timed(const struct all *all)
{
	for (size_t i = 0; i < all->n; i++) {
		if (thread_of(all, i)->wait.timed)
			all->edges[i] = CPROF_LOCK_GRAPH_NONE;
	}
}

/* ---- the second look ---- */

static bool is_in(const struct all *all, const struct cprof_lock_cycles *cycles, size_t view)
{
	for (size_t c = 0; c < cycles->n; c++) {
		for (size_t i = 0; i < cycles->cycles[c].n; i++) {
			if (all->nodes[cycles->cycles[c].nodes[i]].view == view)
				return true;
		}
	}
	return false;
}

/* States of those processes that cycles go through, in later[] by view. */
static struct cprof_error *look_again(const struct all *all, const struct cprof_lock_cycles *cycles,
				      struct cprof_thread_snapshot *later)
{
	struct cprof_error *err = NULL;
	for (size_t v = 0; !err && v < all->n_views; v++) {
		if (is_in(all, cycles, v))
			err = cprof_thread_view_settle(&all->views[v]);
	}
	if (!err)
		cprof_thread_view_pause(&all->views[0]);
	for (size_t v = 0; !err && v < all->n_views; v++) {
		cprof_thread_resolver_forget(&all->views[v].resolver);
		if (is_in(all, cycles, v))
			err = cprof_thread_view_look_again(&all->views[v], &later[v]);
	}
	return err;
}

static bool crosses(const struct all *all, const struct cprof_lock_cycle *cycle)
{
	for (size_t i = 1; i < cycle->n; i++) {
		if (all->nodes[cycle->nodes[i]].view != all->nodes[cycle->nodes[0]].view)
			return true;
	}
	return false;
}

static void keep_crossing(const struct all *all, struct cprof_lock_cycles *cycles)
{
	size_t kept = 0;
	for (size_t c = 0; c < cycles->n; c++) {
		if (crosses(all, &cycles->cycles[c]))
			cycles->cycles[kept++] = cycles->cycles[c];
		else
			free(cycles->cycles[c].nodes);
	}
	cycles->n = kept;
}

static bool stands(const struct all *all, const struct cprof_lock_cycle *cycle,
		   const struct cprof_thread_snapshot *later)
{
	bool still = true;
	for (size_t i = 0; still && i < cycle->n; i++) {
		const struct cprof_thread_at at = all->nodes[cycle->nodes[i]];
		struct cprof_thread_view *view = &all->views[at.view];
		still = cprof_thread_resolve_still(&view->resolver, &view->now, at.thread,
						   &later[at.view]);
	}
	return still;
}

static struct cprof_error *take(const struct all *all, const struct cprof_lock_cycle *cycle,
				size_t number, struct cprof_thread_across *across)
{
	if (!CPROF_ARRAY_ROOM(across->cycles, across->n, across->cap, 1))
		return cprof_error_no_memory();
	struct cprof_thread_cycle_across *one = &across->cycles[across->n];
	*one = (struct cprof_thread_cycle_across){ .n = cycle->n, .number = number };
	one->at = calloc(cycle->n, sizeof(*one->at));
	if (!one->at)
		return cprof_error_no_memory();
	across->n++;
	for (size_t i = 0; i < cycle->n; i++) {
		one->at[i] = all->nodes[cycle->nodes[i]];
		thread_of(all, cycle->nodes[i])->cycle = number;
	}
	return NULL;
}

static struct cprof_error *confirm(const struct all *all, const struct cprof_lock_cycles *cycles,
				   struct cprof_thread_across *across)
{
	struct cprof_thread_snapshot *later = calloc(all->n_views + 1, sizeof(*later));
	size_t number = 0;
	if (!later)
		return cprof_error_no_memory();
	struct cprof_error *err = look_again(all, cycles, later);
	for (size_t v = 0; v < all->n_views; v++) {
		if (all->views[v].now.n_cycles > number)
			number = all->views[v].now.n_cycles;
	}
	for (size_t c = 0; !err && c < cycles->n; c++) {
		if (stands(all, &cycles->cycles[c], later))
			err = take(all, &cycles->cycles[c], ++number, across);
	}
	for (size_t v = 0; v < all->n_views; v++)
		cprof_thread_snapshot_deinit(&later[v]);
	free(later);
	return err;
}

struct cprof_error *cprof_thread_across_find(struct cprof_thread_view *views, size_t n,
					     struct cprof_thread_across *ret)
{
	struct all all = { .views = views, .n_views = n };
	struct cprof_lock_cycles cycles = { 0 };
	*ret = (struct cprof_thread_across){ 0 };
	if (n < 2)
		return NULL;
	struct cprof_error *err = list(&all);
	if (!err) {
		draw_edges(&all);
		err = count_waiters(&all);
	}
	if (!err) {
		drop_timed(&all);
		err = cprof_lock_graph_cycles(all.edges, all.n, &cycles);
	}
	if (!err)
		keep_crossing(&all, &cycles);
	if (!err && cycles.n)
		err = confirm(&all, &cycles, ret);
	cprof_lock_cycles_deinit(&cycles);
	all_deinit(&all);
	return err;
}

/* ---- words ---- */

static size_t count_processes(const struct cprof_thread_cycle_across *cycle)
{
	size_t n = 0;
	for (size_t i = 0; i < cycle->n; i++) {
		size_t k = 0;
		while (cycle->at[k].view != cycle->at[i].view)
			k++;
		n += k == i;
	}
	return n;
}

static void tell_cycle(const struct cprof_thread_cycle_across *cycle,
		       const struct cprof_thread_view *views, struct cprof_buffer *out)
{
	cprof_buffer_printf(out, "deadlock: %zu threads of %zu processes wait for each other\n",
			    cycle->n, count_processes(cycle));
	for (size_t i = 0; i < cycle->n; i++) {
		const struct cprof_thread_view *view = &views[cycle->at[i].view];
		const struct cprof_thread *thread = &view->now.threads[cycle->at[i].thread];
		cprof_buffer_printf(out, "  thread %d \"%s\" of process %d waits for ",
				    (int)thread->tid, thread->name, (int)view->target->pid);
		cprof_thread_words_put_reason(&view->now, thread, out);
		cprof_buffer_putc(out, '\n');
	}
}

void cprof_thread_across_tell(const struct cprof_thread_across *across,
			      const struct cprof_thread_view *views, struct cprof_buffer *out)
{
	for (size_t i = 0; i < across->n; i++)
		tell_cycle(&across->cycles[i], views, out);
}

struct cprof_error *cprof_thread_across_write(const struct cprof_thread_across *across,
					      struct cprof_thread_view *views,
					      struct cprof_buffer *out)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < across->n; i++) {
		const struct cprof_thread_cycle_across *cycle = &across->cycles[i];
		tell_cycle(cycle, views, out);
		cprof_buffer_putc(out, '\n');
		for (size_t k = 0; !err && k < cycle->n; k++) {
			struct cprof_thread_view *view = &views[cycle->at[k].view];
			err = cprof_thread_text_thread(&view->now, cycle->at[k].thread,
						       &view->names, out);
		}
	}
	return err ? err : cprof_buffer_error(out);
}
