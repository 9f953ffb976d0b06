/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_resolve.h"

#include <stdlib.h>
#include <string.h>

#include "attach/threads/thread_fp.h"
#include "base/array.h"
#include "base/cleanup.h"

/* Physical frames whose names are looked at, and functions inlined there. */
#define LEAF_FRAMES  10
#define LEAF_NAMES   16
#define PI_CHAIN_MAX 64 /* threads that wait for each other's PI mutexes */

/* ---- ids ---- */

static int by_ns_tid(const void *a, const void *b)
{
	pid_t x = ((const struct cprof_thread_ns_tid *)a)->ns_tid;
	pid_t y = ((const struct cprof_thread_ns_tid *)b)->ns_tid;
	return (x > y) - (x < y);
}

struct cprof_error *cprof_thread_resolver_ids(struct cprof_thread_resolver *resolver,
					      const struct cprof_thread_snapshot *snapshot)
{
	const struct cprof_target *target = resolver->process->target;
	free(resolver->ns_tids);
	resolver->ns_tids = NULL;
	resolver->n_ns_tids = 0;
	if (!resolver->live || !target->ns_pid || target->ns_pid == target->pid)
		return NULL;
	resolver->ns_tids = calloc(snapshot->n + 1, sizeof(*resolver->ns_tids));
	if (!resolver->ns_tids)
		return cprof_error_no_memory();
	for (size_t i = 0; i < snapshot->n; i++) {
		char text[4096];
		struct cprof_thread_status status;
		pid_t tid = snapshot->threads[i].tid;
		if (cprof_thread_read(target->pid, tid, "status", text, sizeof(text)) > 0 &&
		    cprof_thread_status_parse(text, &status) && status.ns_tid)
			resolver->ns_tids[resolver->n_ns_tids++] =
				(struct cprof_thread_ns_tid){ status.ns_tid, tid };
	}
	qsort(resolver->ns_tids, resolver->n_ns_tids, sizeof(*resolver->ns_tids), by_ns_tid);
	return NULL;
}

void cprof_thread_resolver_forget(struct cprof_thread_resolver *resolver)
{
	cprof_map64_deinit(&resolver->foreign_by_lock);
	resolver->n_foreign = 0;
}

void cprof_thread_resolver_deinit(struct cprof_thread_resolver *resolver)
{
	cprof_thread_resolver_forget(resolver);
	free(resolver->foreign);
	free(resolver->ns_tids);
	resolver->ns_tids = NULL;
	resolver->foreign = NULL;
	resolver->cap_foreign = 0;
}

static pid_t translate(const struct cprof_thread_resolver *resolver, pid_t ns_tid)
{
	if (!resolver->ns_tids)
		return ns_tid;
	const struct cprof_thread_ns_tid key = { .ns_tid = ns_tid };
	const struct cprof_thread_ns_tid *found =
		bsearch(&key, resolver->ns_tids, resolver->n_ns_tids, sizeof(key), by_ns_tid);
	return found ? found->tid : 0;
}

/* A thread that has ended is no owner, even while its row is still there. */
static pid_t thread_of(void *ctx, pid_t ns_tid)
{
	const struct cprof_thread_resolver *resolver = ctx;
	pid_t tid = translate(resolver, ns_tid);
	size_t at = cprof_thread_snapshot_find(resolver->snapshot, tid);
	if (at == SIZE_MAX)
		return 0;
	char state = resolver->snapshot->threads[at].state;
	return state == 'Z' || state == 'X' ? 0 : tid;
}

static void find_foreign(const struct cprof_thread_resolver *resolver, uint64_t addr, pid_t ns_tid,
			 struct cprof_thread_foreign *ret)
{
	const pid_t pid = resolver->process->target->pid;
	struct cprof_shared_page page;
	*ret = (struct cprof_thread_foreign){ .found = CPROF_FOREIGN_GONE };
	if (cprof_shared_page_at(cprof_target_living_tid(resolver->process->target), addr, &page))
		ret->found = cprof_shared_page_thread(&page, pid, ns_tid, &ret->thread);
}

static enum cprof_foreign foreign_of(void *ctx, uint64_t addr, pid_t ns_tid,
				     struct cprof_shared_page_thread *ret)
{
	struct cprof_thread_resolver *resolver = ctx;
	struct cprof_thread_foreign one;
	const uint64_t key = cprof_hash_mix(addr, (uint64_t)ns_tid);
	const uint64_t *known = cprof_map64_get(&resolver->foreign_by_lock, key);
	if (known)
		one = resolver->foreign[*known];
	else
		find_foreign(resolver, addr, ns_tid, &one);
	if (!known &&
	    CPROF_ARRAY_ROOM(resolver->foreign, resolver->n_foreign, resolver->cap_foreign, 1)) {
		uint64_t *index = cprof_map64_put(&resolver->foreign_by_lock, key, NULL);
		if (index) { /* out of memory: then it is looked for again */
			*index = resolver->n_foreign;
			resolver->foreign[resolver->n_foreign++] = one;
		}
	}
	*ret = one.thread;
	return one.found;
}

/* ---- stacks ---- */

static struct cprof_error *walk(struct cprof_thread_resolver *resolver, struct cprof_thread *thread)
{
	struct cprof_session_sample sample = {
		.process = resolver->process,
		.regs = &thread->regs,
		.stack_addr = thread->stack_addr,
		.stack = thread->stack,
		.n_stack = thread->n_stack,
		.live = resolver->live,
	};
	const struct cprof_thread_fp fp = { .session = resolver->session,
					    .names = resolver->names,
					    .memory = &resolver->memory };
	struct cprof_session_stack stack;
	struct cprof_error *err = cprof_session_walk(resolver->session, &sample, &stack);
	if (!err && stack.stop != CPROF_STOP_ROOT)
		err = cprof_thread_fp_search(&fp, &sample, &stack);
	if (err)
		return err;
	/* The session's marker of a stack that is cut is for profiles; text has words for it. */
	thread->n_frames = stack.n;
	thread->stop = stack.stop;
	free(thread->frames);
	thread->frames = malloc((stack.n ? stack.n : 1) * sizeof(*thread->frames));
	if (!thread->frames)
		return cprof_error_no_memory();
	memcpy(thread->frames, stack.frames, stack.n * sizeof(*thread->frames));
	return NULL;
}

/* ---- waits ---- */

/* Functions of the innermost frames, inlined ones first, as lock_wait.h wants them. */
static struct cprof_error *leaf_names(struct cprof_thread_resolver *resolver,
				      const struct cprof_thread *thread,
				      const char *names[LEAF_NAMES], size_t *ret_n)
{
	size_t n = 0;
	for (size_t i = 0; i < thread->n_frames && i < LEAF_FRAMES; i++) {
		struct cprof_thread_name name;
		struct cprof_error *err =
			cprof_thread_names_get(resolver->names, thread->frames[i].addr, &name);
		if (err)
			return err;
		for (size_t k = 0; k < name.n && n < LEAF_NAMES; k++)
			names[n++] = name.frames[k].name;
	}
	*ret_n = n;
	return NULL;
}

static struct cprof_error *decode_wait(struct cprof_thread_resolver *resolver,
				       const struct cprof_thread *thread,
				       struct cprof_lock_wait *ret_wait)
{
	const char *names[LEAF_NAMES];
	size_t n_names;
	struct cprof_error *err = leaf_names(resolver, thread, names, &n_names);
	if (err)
		return err;
	const struct cprof_lock_wait_input input = {
		.call = &thread->call,
		.names = names,
		.n_names = n_names,
		.memory = &resolver->memory,
		.thread_of = thread_of,
		.foreign_of = resolver->live ? foreign_of : NULL,
		.ctx = resolver,
	};
	if (resolver->live)
		cprof_target_mem_begin(&resolver->process->mem);
	cprof_lock_wait_decode(&input, ret_wait);
	return NULL;
}

static struct cprof_error *count_waiters(struct cprof_thread_snapshot *snapshot)
{
	CPROF_AUTO(free) size_t *edges = calloc(snapshot->n + 1, sizeof(*edges));
	CPROF_AUTO(free) size_t *waiters = calloc(snapshot->n + 1, sizeof(*waiters));
	if (!edges || !waiters)
		return cprof_error_no_memory();
	for (size_t i = 0; i < snapshot->n; i++)
		edges[i] = snapshot->threads[i].owner;
	struct cprof_error *err = cprof_lock_graph_waiters(edges, snapshot->n, waiters);
	for (size_t i = 0; !err && i < snapshot->n; i++)
		snapshot->threads[i].waiters = waiters[i];
	return err;
}

/* How many threads of `snapshot` wait for PI mutexes of thread `owner`, and one of them. */
static size_t pi_waiters(const struct cprof_thread_snapshot *snapshot, size_t owner, size_t *ret)
{
	size_t n = 0;
	for (size_t i = 0; i < snapshot->n; i++) {
		const struct cprof_thread *thread = &snapshot->threads[i];
		if (thread->wait.kind != CPROF_LOCK_MUTEX_PI || thread->owner != owner)
			continue;
		*ret = i;
		n++;
	}
	return n;
}

/*
 * The mutex that thread `refused` was refused belongs to somebody who waits for that thread, or to itself if nobody does: to the last
 * one of those who do, where each has one waiter alone. Of three or more it may be one in between, which the kernel refuses as well.
 */
static size_t refused_owner(const struct cprof_thread_snapshot *snapshot, size_t refused)
{
	size_t last = refused, next = refused, n = 0;
	for (size_t hops = 0; hops < PI_CHAIN_MAX; hops++) {
		n = pi_waiters(snapshot, last, &next);
		if (n != 1)
			break;
		last = next;
	}
	const bool elsewhere = n == 0 && snapshot->threads[refused].wait.shared;
	return (n > 1 || elsewhere) && last == refused ? CPROF_LOCK_GRAPH_NONE : last;
}

static void find_refused(struct cprof_thread_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		if (snapshot->threads[i].wait.refused)
			snapshot->threads[i].owner = refused_owner(snapshot, i);
	}
}

struct cprof_error *cprof_thread_resolve(struct cprof_thread_resolver *resolver,
					 struct cprof_thread_snapshot *snapshot)
{
	resolver->snapshot = snapshot;
	cprof_thread_resolver_forget(resolver);
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		thread->owner = CPROF_LOCK_GRAPH_NONE;
		if (thread->means != CPROF_MEANS_NONE)
			err = walk(resolver, thread);
		if (!err)
			err = decode_wait(resolver, thread, &thread->wait);
		if (!err && thread->wait.owner && !thread->wait.owner_pid)
			thread->owner = cprof_thread_snapshot_find(snapshot, thread->wait.owner);
	}
	find_refused(snapshot);
	return err ? err : count_waiters(snapshot);
}

/* ---- deadlocks ---- */

/* A wait that ends by itself blocks nobody for good. */
struct cprof_error *cprof_thread_resolve_cycles(const struct cprof_thread_snapshot *snapshot,
						struct cprof_lock_cycles *ret_cycles)
{
	CPROF_AUTO(free) size_t *edges = calloc(snapshot->n + 1, sizeof(*edges));
	if (!edges)
		return cprof_error_no_memory();
	for (size_t i = 0; i < snapshot->n; i++) {
		const struct cprof_thread *thread = &snapshot->threads[i];
		edges[i] = thread->wait.timed ? CPROF_LOCK_GRAPH_NONE : thread->owner;
	}
	return cprof_lock_graph_cycles(edges, snapshot->n, ret_cycles);
}

bool cprof_thread_resolve_still(struct cprof_thread_resolver *resolver,
				const struct cprof_thread_snapshot *snapshot, size_t at,
				const struct cprof_thread_snapshot *later)
{
	const struct cprof_thread *thread = &snapshot->threads[at];
	struct cprof_lock_wait wait;
	size_t then = cprof_thread_snapshot_find(later, thread->tid);
	if (then == SIZE_MAX || !cprof_thread_same_wait(thread, &later->threads[then]))
		return false;
	resolver->snapshot = snapshot;
	struct cprof_error *err = decode_wait(resolver, thread, &wait);
	bool same = !err && wait.kind == thread->wait.kind && wait.addr == thread->wait.addr &&
		    wait.refused == thread->wait.refused && wait.owner == thread->wait.owner &&
		    wait.owner_pid == thread->wait.owner_pid;
	cprof_error_free(err);
	return same;
}

void cprof_thread_resolve_confirm(struct cprof_thread_resolver *resolver,
				  struct cprof_thread_snapshot *snapshot,
				  const struct cprof_thread_snapshot *later,
				  const struct cprof_lock_cycles *cycles)
{
	cprof_thread_resolver_forget(resolver);
	for (size_t c = 0; c < cycles->n; c++) {
		const struct cprof_lock_cycle *cycle = &cycles->cycles[c];
		bool stands = true;
		for (size_t i = 0; stands && later && i < cycle->n; i++)
			stands = cprof_thread_resolve_still(resolver, snapshot, cycle->nodes[i],
							    later);
		if (!stands)
			continue;
		snapshot->n_cycles++;
		for (size_t i = 0; i < cycle->n; i++)
			snapshot->threads[cycle->nodes[i]].cycle = snapshot->n_cycles;
	}
}
