/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/intervals.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/search.h"

void cprof_intervals_deinit(struct cprof_intervals *intervals)
{
	free(intervals->added);
	free(intervals->pieces);
	*intervals = (struct cprof_intervals){ 0 };
}

struct cprof_error *cprof_intervals_add(struct cprof_intervals *intervals,
					const struct cprof_interval *interval)
{
	if (!CPROF_ARRAY_ROOM(intervals->added, intervals->n_added, intervals->cap_added, 1))
		return cprof_error_no_memory();
	intervals->added[intervals->n_added++] = *interval;
	return NULL;
}

/* ---- by start ---- */

/* Behind what ascends from `at` on. */
static size_t end_of_run(const struct cprof_interval *all, size_t at, size_t n)
{
	do
		at++;
	while (at < n && all[at - 1].start <= all[at].start);
	return at;
}

static void merge(const struct cprof_interval *a, size_t n_a, const struct cprof_interval *b,
		  size_t n_b, struct cprof_interval *to)
{
	while (n_a && n_b) {
		bool from_b = b->start < a->start;
		*to++ = from_b ? *b : *a;
		n_a -= !from_b;
		a += !from_b;
		n_b -= from_b;
		b += from_b;
	}
	memcpy(to, n_a ? a : b, (n_a + n_b) * sizeof(*to));
}

/* Debug information is written in long runs that ascend, so few of them have to be merged. False: no memory. */
static bool sort(struct cprof_intervals *intervals)
{
	const size_t n = intervals->n_added;
	struct cprof_interval *to = calloc(n + 1, sizeof(*to)), *from = intervals->added;
	if (!to)
		return false;
	for (bool sorted = n < 2; !sorted;) {
		for (size_t at = 0, end; at < n; at = end) {
			const size_t middle = end_of_run(from, at, n);
			end = middle < n ? end_of_run(from, middle, n) : n;
			sorted = !at && end == n;
			merge(from + at, middle - at, from + middle, end - middle, to + at);
		}
		struct cprof_interval *other = from;
		from = to;
		to = other;
	}
	free(to);
	intervals->added = from;
	return true;
}

/* ---- one layer ---- */

struct sweep {
	struct cprof_intervals *intervals;
	const struct cprof_interval *
		*open; /* a heap: the innermost is [0]; some have ended already */
	size_t n_open;
};

/* Whether `a` is what holds where both do. */
static bool is_inner(const struct cprof_interval *a, const struct cprof_interval *b)
{
	if (a->depth != b->depth)
		return a->depth > b->depth;
	if (a->start != b->start)
		return a->start > b->start;
	return a->what < b->what; /* the one written first, as other readers have it */
}

static void push(struct sweep *sweep, const struct cprof_interval *interval)
{
	size_t at = sweep->n_open++;
	for (size_t up; at && is_inner(interval, sweep->open[up = (at - 1) / 2]); at = up)
		sweep->open[at] = sweep->open[up];
	sweep->open[at] = interval;
}

static void pop(struct sweep *sweep)
{
	const struct cprof_interval *last = sweep->open[--sweep->n_open];
	size_t at = 0;
	for (size_t down; (down = 2 * at + 1) < sweep->n_open; at = down) {
		if (down + 1 < sweep->n_open && is_inner(sweep->open[down + 1], sweep->open[down]))
			down++;
		if (!is_inner(sweep->open[down], last))
			break;
		sweep->open[at] = sweep->open[down];
	}
	sweep->open[at] = last;
}

/* A new piece starts at `addr`; where two start at once, the later one is meant. */
static void cut(struct sweep *sweep, uint64_t addr)
{
	struct cprof_intervals *intervals = sweep->intervals;
	uint32_t what = sweep->n_open ? sweep->open[0]->what : CPROF_INTERVAL_NONE;
	if (intervals->n && intervals->pieces[intervals->n - 1].start == addr)
		intervals->n--;
	if (intervals->n && intervals->pieces[intervals->n - 1].what == what)
		return;
	intervals->pieces[intervals->n++] = (struct cprof_interval_piece){ addr, what };
}

/* Close what ends at or before `addr`, innermost first; what ended unseen below it goes silently. */
static void close_until(struct sweep *sweep, uint64_t addr)
{
	while (sweep->n_open && sweep->open[0]->end <= addr) {
		uint64_t end = sweep->open[0]->end;
		while (sweep->n_open && sweep->open[0]->end <= end)
			pop(sweep);
		cut(sweep, end);
	}
}

struct cprof_error *cprof_intervals_flatten(struct cprof_intervals *intervals)
{
	size_t n = intervals->n_added;
	struct sweep sweep = { intervals, malloc((n + 1) * sizeof(*sweep.open)), 0 };
	intervals->pieces = calloc(2 * n + 1, sizeof(*intervals->pieces));
	if (!sweep.open || !intervals->pieces || !sort(intervals)) {
		free(sweep.open);
		return cprof_error_no_memory();
	}
	for (size_t i = 0; i < n; i++) {
		const struct cprof_interval *interval = &intervals->added[i];
		close_until(&sweep, interval->start);
		push(&sweep, interval);
		cut(&sweep, interval->start);
	}
	close_until(&sweep, UINT64_MAX);
	free(sweep.open);
	free(intervals->added);
	intervals->added = NULL;
	intervals->n_added = intervals->cap_added = 0;
	void *fitting = realloc(intervals->pieces, (intervals->n + 1) * sizeof(*intervals->pieces));
	if (fitting)
		intervals->pieces = fitting;
	return NULL;
}

uint32_t cprof_intervals_find(const struct cprof_intervals *intervals, uint64_t addr)
{
	size_t after = CPROF_SEARCH(i, intervals->n, intervals->pieces[i].start <= addr);
	return after ? intervals->pieces[after - 1].what : CPROF_INTERVAL_NONE;
}
