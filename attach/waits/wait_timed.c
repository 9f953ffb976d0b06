/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_timed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define STEPS_MAX (1u << 16) /* that one row is told apart by */

struct cprof_wait_timed_piece {
	uint64_t step;
	double values[CPROF_WAIT_VALUES];
};

struct cprof_error *cprof_wait_timed_init(struct cprof_wait_timed *timed,
					  struct cprof_wait_intake *intake)
{
	const struct cprof_time_spans *times = &intake->times;
	const size_t n_rows = intake->table.n_rows;
	timed->intake = intake;
	timed->order = calloc(times->n + 1, sizeof(*timed->order));
	timed->first = calloc(n_rows + 2, sizeof(*timed->first));
	if (!timed->order || !timed->first)
		return cprof_error_no_memory();
	for (size_t i = 0; i < times->n; i++)
		timed->first[times->spans[i].key + 1]++;
	for (size_t i = 0; i < n_rows; i++)
		timed->first[i + 1] += timed->first[i];
	for (size_t i = 0; i < times->n; i++)
		timed->order[timed->first[times->spans[i].key]++] = i;
	memmove(timed->first + 1, timed->first, n_rows * sizeof(*timed->first));
	timed->first[0] = 0;
	return cprof_session_time_base(intake->session, times->step_ns, 0);
}

void cprof_wait_timed_deinit(struct cprof_wait_timed *timed)
{
	free(timed->order);
	free(timed->first);
	free(timed->at);
	*timed = (struct cprof_wait_timed){ 0 };
}

static int by_step(const void *a, const void *b)
{
	const struct cprof_wait_timed_piece *x = a, *y = b;
	return x->step < y->step ? -1 : x->step > y->step;
}

/* What of a span lies in the window, step by step. */
static struct cprof_error *cut(struct cprof_wait_timed *timed, const struct cprof_time_span *span,
			       uint64_t step_ns)
{
	const struct cprof_window *window = timed->intake->run->window;
	const uint64_t start_ns = window->start_mono_ns,
		       end_ns = start_ns + cprof_window_elapsed_ns(window);
	const uint64_t from_ns = span->from_ns > start_ns ? span->from_ns : start_ns;
	const uint64_t until_ns = span->to_ns > span->from_ns ? span->to_ns : span->from_ns + 1;
	const uint64_t to_ns = until_ns < end_ns ? until_ns : end_ns;
	for (uint64_t step = (from_ns - start_ns) / step_ns; start_ns + step * step_ns < to_ns;
	     step++) {
		struct cprof_wait_timed_piece piece = { .step = step };
		const uint64_t begin_ns = start_ns + step * step_ns;
		const double part = cprof_time_span_part(span, begin_ns, begin_ns + step_ns);
		if (!CPROF_ARRAY_ROOM(timed->at, timed->n, timed->cap, 1))
			return cprof_error_no_memory();
		for (size_t i = 0; i < CPROF_WAIT_VALUES; i++)
			piece.values[i] = span->values[i] * part;
		timed->at[timed->n++] = piece;
	}
	return NULL;
}

/* Pieces of one step become one. What has turned out to be open has been taken away again, to a double's last digits. */
static void join(struct cprof_wait_timed *timed, double sums[CPROF_WAIT_VALUES])
{
	size_t n = 0;
	if (timed->n)
		qsort(timed->at, timed->n, sizeof(*timed->at), by_step);
	for (size_t i = 0; i < timed->n; i++) {
		if (n && timed->at[n - 1].step == timed->at[i].step) {
			for (size_t v = 0; v < CPROF_WAIT_VALUES; v++)
				timed->at[n - 1].values[v] += timed->at[i].values[v];
		} else {
			timed->at[n++] = timed->at[i];
		}
	}
	timed->n = n;
	for (size_t i = 0; i < n; i++) {
		for (size_t v = 0; v < CPROF_WAIT_VALUES; v++) {
			timed->at[i].values[v] = fmax(0, timed->at[i].values[v]);
			sums[v] += timed->at[i].values[v];
		}
	}
}

static struct cprof_error *hand_out(uint64_t mono_ns, const int64_t sums[CPROF_WAIT_VALUES],
				    cprof_wait_timed_fn *fn, void *ctx)
{
	if (!sums[CPROF_WAIT_COUNT] && !sums[CPROF_WAIT_DELAY] && !sums[CPROF_WAIT_QUEUE])
		return NULL;
	return fn(ctx, mono_ns, sums);
}

static uint64_t step_of(const struct cprof_wait_timed *timed)
{
	uint64_t step_ns = timed->intake->times.step_ns;
	while (cprof_window_elapsed_ns(timed->intake->run->window) / step_ns >= STEPS_MAX)
		step_ns *= 10;
	return step_ns;
}

struct cprof_error *cprof_wait_timed_each(struct cprof_wait_timed *timed,
					  const struct cprof_wait_row *row,
					  const int64_t sums[CPROF_WAIT_VALUES],
					  cprof_wait_timed_fn *fn, void *ctx)
{
	const struct cprof_wait_intake *intake = timed->intake;
	const struct cprof_window *window = intake->run->window;
	const size_t at = (size_t)(row - intake->table.rows);
	const uint64_t step_ns = step_of(timed), length_ns = cprof_window_elapsed_ns(window);
	double all[CPROF_WAIT_VALUES] = { 0 }, so_far[CPROF_WAIT_VALUES] = { 0 };
	int64_t given[CPROF_WAIT_VALUES] = { 0 }, more[CPROF_WAIT_VALUES];
	struct cprof_error *err = NULL;
	timed->n = 0;
	for (size_t i = timed->first[at]; !err && i < timed->first[at + 1]; i++)
		err = cut(timed, &intake->times.spans[timed->order[i]], step_ns);
	join(timed, all);
	for (size_t i = 0; !err && i < timed->n; i++) {
		for (size_t v = 0; v < CPROF_WAIT_VALUES; v++) {
			so_far[v] += timed->at[i].values[v];
			const int64_t until =
				all[v] > 0 ? llround((double)sums[v] * fmin(1, so_far[v] / all[v]))
					   : 0;
			more[v] = until - given[v];
			given[v] = until;
		}
		err = hand_out(window->start_mono_ns + timed->at[i].step * step_ns, more, fn, ctx);
	}
	/* Of what nobody knows when it was it is known that it is over. */
	for (size_t v = 0; v < CPROF_WAIT_VALUES; v++)
		more[v] = sums[v] - given[v];
	return err ? err
		   : hand_out(window->start_mono_ns + (length_ns ? length_ns - 1 : 0), more, fn,
			      ctx);
}
