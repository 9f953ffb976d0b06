/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/locks/lock_graph.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"

void cprof_lock_cycles_deinit(struct cprof_lock_cycles *cycles)
{
	for (size_t i = 0; i < cycles->n; i++)
		free(cycles->cycles[i].nodes);
	free(cycles->cycles);
	*cycles = (struct cprof_lock_cycles){ 0 };
}

static bool has_edge(const size_t *waits_for, size_t n, size_t node)
{
	return waits_for[node] < n;
}

/* The cycle through `start`, which is known to be on one, into `cycle`, smallest node first. */
static struct cprof_error *collect(const size_t *waits_for, size_t start,
				   struct cprof_lock_cycle *cycle)
{
	size_t n = 0, smallest = start;
	for (size_t node = start; n == 0 || node != start; node = waits_for[node]) {
		n++;
		if (node < smallest)
			smallest = node;
	}
	cycle->nodes = malloc(n * sizeof(*cycle->nodes));
	if (!cycle->nodes)
		return cprof_error_no_memory();
	cycle->n = n;
	for (size_t i = 0, node = smallest; i < n; i++, node = waits_for[node])
		cycle->nodes[i] = node;
	return NULL;
}

static struct cprof_error *add(struct cprof_lock_cycles *cycles, const size_t *waits_for,
			       size_t start)
{
	if (!CPROF_ARRAY_ROOM(cycles->cycles, cycles->n, cycles->cap, 1))
		return cprof_error_no_memory();
	struct cprof_error *err = collect(waits_for, start, &cycles->cycles[cycles->n]);
	if (!err)
		cycles->n++;
	return err;
}

static int by_first_node(const void *a, const void *b)
{
	size_t x = ((const struct cprof_lock_cycle *)a)->nodes[0];
	size_t y = ((const struct cprof_lock_cycle *)b)->nodes[0];
	return (x > y) - (x < y);
}

/*
 * Each walk marks what it passes with its own number. Meeting one's own mark closes a cycle; meeting an older
 * walk's mark means that this way is known.
 */
struct cprof_error *cprof_lock_graph_cycles(const size_t *waits_for, size_t n,
					    struct cprof_lock_cycles *ret_cycles)
{
	struct cprof_lock_cycles cycles = { 0 };
	CPROF_AUTO(free) size_t *walk_of = calloc(n ? n : 1, sizeof(*walk_of));
	if (!walk_of)
		return cprof_error_no_memory();
	for (size_t start = 0; start < n; start++) {
		size_t node = start;
		while (!walk_of[node]) {
			walk_of[node] = start + 1;
			if (!has_edge(waits_for, n, node))
				break;
			node = waits_for[node];
		}
		if (walk_of[node] != start + 1 || !has_edge(waits_for, n, node))
			continue;
		struct cprof_error *err = add(&cycles, waits_for, node);
		if (err) {
			cprof_lock_cycles_deinit(&cycles);
			return err;
		}
	}
	if (cycles.n)
		qsort(cycles.cycles, cycles.n, sizeof(*cycles.cycles), by_first_node);
	*ret_cycles = cycles;
	return NULL;
}

/* Peel leaves off: a node is done when all that wait for it are; nodes of a cycle are never done. */
struct cprof_error *cprof_lock_graph_waiters(const size_t *waits_for, size_t n, size_t *ret_waiters)
{
	CPROF_AUTO(free) size_t *open = calloc(n ? n : 1, sizeof(*open));
	CPROF_AUTO(free) size_t *queue = calloc(n ? n : 1, sizeof(*queue));
	size_t head = 0, tail = 0;
	if (!open || !queue)
		return cprof_error_no_memory();
	memset(ret_waiters, 0, n * sizeof(*ret_waiters));
	for (size_t i = 0; i < n; i++) {
		if (has_edge(waits_for, n, i))
			open[waits_for[i]]++;
	}
	for (size_t i = 0; i < n; i++) {
		if (!open[i])
			queue[tail++] = i;
	}
	while (head < tail) {
		size_t node = queue[head++];
		if (!has_edge(waits_for, n, node))
			continue;
		size_t next = waits_for[node];
		ret_waiters[next] += 1 + ret_waiters[node];
		if (--open[next] == 0)
			queue[tail++] = next;
	}
	return NULL;
}
