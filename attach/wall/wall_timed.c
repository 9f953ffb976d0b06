/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_timed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attach/run/timeline_fit.h"
#include "attach/wall/wall_spread.h"
#include "base/array.h"
#include "base/cleanup.h"

#define STEPS_MAX (1u << 18)
#define NO_PART   UINT32_MAX
#define NO_VALUE  CPROF_TIME_SPANS_VALUES

/* A span that is a part's, and which of its values say what. */
struct cprof_wall_timed_ref {
	const struct cprof_time_span *span;
	size_t weight, count; /* NO_VALUE: none */
};

struct cprof_error *cprof_wall_timed_init(struct cprof_wall_timed *timed)
{
	const size_t n = 2 * (size_t)timed->maker->intake->table.n_rows;
	timed->row_parts = malloc((n + 1) * sizeof(*timed->row_parts));
	if (!timed->row_parts)
		return cprof_error_no_memory();
	for (size_t i = 0; i < n; i++)
		timed->row_parts[i] = NO_PART;
	return NULL;
}

void cprof_wall_timed_deinit(struct cprof_wall_timed *timed)
{
	free(timed->row_parts);
	free(timed->refs);
	free(timed->first_ref);
	free(timed->by_account);
	free(timed->first_span);
	free(timed->needs_ns);
	free(timed->pieces);
	*timed = (struct cprof_wall_timed){ 0 };
}

void cprof_wall_timed_row(struct cprof_wall_timed *timed, uint32_t row, bool queues, size_t part)
{
	timed->row_parts[2 * (size_t)row + queues] = (uint32_t)part;
}

/* ---- what is whose ---- */

typedef void visit_fn(void *ctx, uint32_t part, struct cprof_wall_timed_ref ref);

/* Every span that is some part's, in the order of time for each. */
static void visit(const struct cprof_wall_timed *timed, visit_fn *fn, void *ctx)
{
	const struct cprof_time_spans *waits = &timed->maker->intake->times;
	const uint32_t n_rows = timed->maker->intake->table.n_rows;
	for (size_t i = 0; i < timed->samples->n; i++)
		fn(ctx, timed->samples->spans[i].key,
		   (struct cprof_wall_timed_ref){ &timed->samples->spans[i],
						  CPROF_WALL_SAMPLE_WEIGHT,
						  CPROF_WALL_SAMPLE_COUNT });
	for (size_t i = 0; i < waits->n; i++) {
		const struct cprof_time_span *span = &waits->spans[i];
		if (span->key >= n_rows)
			continue;
		fn(ctx, timed->row_parts[2 * (size_t)span->key],
		   (struct cprof_wall_timed_ref){ span, CPROF_WAIT_DELAY, CPROF_WAIT_COUNT });
		fn(ctx, timed->row_parts[2 * (size_t)span->key + 1],
		   (struct cprof_wall_timed_ref){ span, CPROF_WAIT_QUEUE, NO_VALUE });
	}
}

static void count_ref(void *ctx, uint32_t part, struct cprof_wall_timed_ref ref)
{
	struct cprof_wall_timed *timed = ctx;
	(void)ref;
	if (part < timed->parts->n)
		timed->first_ref[part + 1]++;
}

/* first_ref[part] moves on to where the next part's begin, and so is the beginning of the part after it. */
static void put_ref(void *ctx, uint32_t part, struct cprof_wall_timed_ref ref)
{
	struct cprof_wall_timed *timed = ctx;
	if (part < timed->parts->n)
		timed->refs[timed->first_ref[part]++] = ref;
}

static struct cprof_error *index_parts(struct cprof_wall_timed *timed)
{
	const size_t n = timed->parts->n;
	timed->first_ref = calloc(n + 2, sizeof(*timed->first_ref));
	if (!timed->first_ref)
		return cprof_error_no_memory();
	visit(timed, count_ref, timed);
	for (size_t i = 0; i < n; i++)
		timed->first_ref[i + 1] += timed->first_ref[i];
	timed->refs = calloc(timed->first_ref[n] + 1, sizeof(*timed->refs));
	if (!timed->refs)
		return cprof_error_no_memory();
	visit(timed, put_ref, timed);
	memmove(timed->first_ref + 1, timed->first_ref, n * sizeof(*timed->first_ref));
	timed->first_ref[0] = 0;
	return NULL;
}

static struct cprof_error *index_accounts(struct cprof_wall_timed *timed)
{
	const struct cprof_time_spans *times = &timed->ledger->times;
	const size_t n = timed->ledger->n;
	timed->first_span = calloc(n + 2, sizeof(*timed->first_span));
	timed->by_account = calloc(times->n + 1, sizeof(*timed->by_account));
	if (!timed->first_span || !timed->by_account)
		return cprof_error_no_memory();
	for (size_t i = 0; i < times->n; i++)
		timed->first_span[times->spans[i].key + 1]++;
	for (size_t i = 0; i < n; i++)
		timed->first_span[i + 1] += timed->first_span[i];
	for (size_t i = 0; i < times->n; i++)
		timed->by_account[timed->first_span[times->spans[i].key]++] = i;
	memmove(timed->first_span + 1, timed->first_span, n * sizeof(*timed->first_span));
	timed->first_span[0] = 0;
	return NULL;
}

/* ---- what of it lies in the window ---- */

static uint64_t step_begin(const struct cprof_wall_timed *timed, uint32_t step)
{
	return timed->start_ns + step * timed->step_ns;
}

/* The last one ends with the window. */
static uint64_t step_end(const struct cprof_wall_timed *timed, uint32_t step)
{
	const uint64_t end_ns = step_begin(timed, step + 1);
	return end_ns < timed->end_ns ? end_ns : timed->end_ns;
}

/* The steps that a span touches, as far as they are in the window: from *ret_first on; returns how many. */
static uint32_t steps_of(const struct cprof_wall_timed *timed, const struct cprof_time_span *span,
			 uint32_t *ret_first)
{
	const uint64_t from = span->from_ns > timed->start_ns ? span->from_ns - timed->start_ns : 0;
	const uint64_t last = span->to_ns > span->from_ns ? span->to_ns - 1 : span->from_ns;
	if (last < timed->start_ns || span->from_ns >= timed->end_ns)
		return 0;
	uint64_t until = (last - timed->start_ns) / timed->step_ns + 1;
	if (until > timed->n_steps)
		until = timed->n_steps;
	*ret_first = (uint32_t)(from / timed->step_ns);
	return (uint32_t)until - *ret_first;
}

/* One state of an account in each step: as much of each span as lies in it, to the nanosecond. Returns the sum. */
static uint64_t find_needs(struct cprof_wall_timed *timed, size_t at, size_t state)
{
	const struct cprof_time_span *spans = timed->ledger->times.spans;
	uint64_t sum = 0;
	memset(timed->needs_ns, 0, timed->n_steps * sizeof(*timed->needs_ns));
	for (size_t i = timed->first_span[at]; i < timed->first_span[at + 1]; i++) {
		const struct cprof_time_span *span = &spans[timed->by_account[i]];
		const double value = span->values[state];
		uint32_t step = 0, n = value > 0 ? steps_of(timed, span, &step) : 0;
		uint64_t given = (uint64_t)llround(
			value * cprof_time_span_part(span, 0, step_begin(timed, step)));
		for (; n > 0; n--, step++) {
			const uint64_t until = (uint64_t)llround(
				value * cprof_time_span_part(span, 0, step_end(timed, step)));
			timed->needs_ns[step] += until - given;
			sum += until - given;
			given = until;
		}
	}
	return sum;
}

static void weigh_accounts(struct cprof_wall_timed *timed)
{
	for (size_t i = 0; i < timed->ledger->n; i++) {
		for (size_t state = 0; state < CPROF_LEDGER_STATES; state++)
			timed->ledger->accounts[i].ns[state] = find_needs(timed, i, state);
		timed->ledger->accounts[i].runs = 0; /* who ran has time on a CPU */
	}
}

static double value_of(const struct cprof_wall_timed *timed, const struct cprof_wall_timed_ref *ref,
		       size_t value)
{
	return value == NO_VALUE
		       ? 0
		       : ref->span->values[value] *
				 cprof_time_span_part(ref->span, timed->start_ns, timed->end_ns);
}

static void weigh_parts(struct cprof_wall_timed *timed)
{
	for (size_t i = 0; i < timed->parts->n; i++) {
		struct cprof_wall_part *part = &timed->parts->parts[i];
		part->weight = part->count = 0;
		for (size_t r = timed->first_ref[i]; r < timed->first_ref[i + 1]; r++) {
			part->weight += value_of(timed, &timed->refs[r], timed->refs[r].weight);
			part->count += value_of(timed, &timed->refs[r], timed->refs[r].count);
		}
	}
}

struct cprof_error *cprof_wall_timed_begin(struct cprof_wall_timed *timed)
{
	const struct cprof_window *window = timed->maker->intake->run->window;
	const uint64_t length_ns = cprof_window_elapsed_ns(window);
	timed->start_ns = window->start_mono_ns;
	timed->end_ns = timed->start_ns + length_ns;
	timed->step_ns = timed->ledger->times.step_ns;
	if (timed->maker->intake->times.step_ns > timed->step_ns)
		timed->step_ns = timed->maker->intake->times.step_ns;
	while (length_ns / timed->step_ns >= STEPS_MAX)
		timed->step_ns = cprof_time_spans_round(2 * timed->step_ns);
	timed->n_steps = (uint32_t)((length_ns + timed->step_ns - 1) / timed->step_ns);
	timed->needs_ns = calloc((size_t)timed->n_steps + 1, sizeof(*timed->needs_ns));
	if (!timed->needs_ns)
		return cprof_error_no_memory();
	struct cprof_error *err = index_parts(timed);
	if (!err)
		err = index_accounts(timed);
	if (err)
		return err;
	weigh_accounts(timed);
	weigh_parts(timed);
	return cprof_session_time_base(timed->maker->intake->session, timed->step_ns,
				       CPROF_TIMELINE_SMALL_BYTES);
}

/* ---- rows ---- */

struct division {
	struct cprof_wall_timed *timed;
	const struct cprof_wall_look *look;
	const struct cprof_ledger_account *account;
	const struct cprof_wall_part *const *parts;
	size_t n;
	struct cprof_wall_row *rows; /* of each part, and of nobody; stack NO_PART: not named yet */
};

static struct cprof_error *add(struct division *division, uint32_t step, uint32_t part,
			       const int64_t *values)
{
	const size_t at = part == CPROF_WALL_NOBODY ? division->n : part;
	const uint64_t when_ns = step_begin(division->timed, step);
	struct cprof_wall_row *row = &division->rows[at];
	struct cprof_error *err = NULL;
	if (row->stack == NO_PART)
		err = cprof_wall_row_name(division->timed->maker, division->account, division->look,
					  at < division->n ? division->parts[at] : NULL, row);
	return err ? err
		   : cprof_session_add_span(division->timed->maker->intake->session, row->stack,
					    row->labels, when_ns, when_ns, values);
}

static struct cprof_error *add_time(void *ctx, uint32_t step, uint32_t part, uint64_t ns)
{
	struct division *division = ctx;
	int64_t values[CPROF_WALL_TYPES] = { 0 };
	values[CPROF_WALL_WALL] = values[division->look->type] = (int64_t)ns;
	return add(division, step, part, values);
}

/* Samples, and waits that ended: what one stands for is no whole number, and what is left goes over to the next. */
static struct cprof_error *add_counts(struct division *division, uint32_t part)
{
	const struct cprof_wall_timed *timed = division->timed;
	const size_t at = (size_t)(division->parts[part] - timed->parts->parts);
	struct cprof_error *err = NULL;
	double sum = 0;
	int64_t given = 0;
	for (size_t r = timed->first_ref[at]; !err && r < timed->first_ref[at + 1]; r++) {
		int64_t values[CPROF_WALL_TYPES] = { 0 };
		uint32_t step;
		sum += value_of(timed, &timed->refs[r], timed->refs[r].count);
		values[CPROF_WALL_SAMPLES] = llround(sum) - given;
		if (values[CPROF_WALL_SAMPLES] <= 0 || !steps_of(timed, timed->refs[r].span, &step))
			continue;
		given += values[CPROF_WALL_SAMPLES];
		err = add(division, step, part, values);
	}
	return err;
}

/* A part's spans, step by step. */
static struct cprof_error *cut_part(struct cprof_wall_timed *timed, size_t part, uint32_t number,
				    size_t *n)
{
	for (size_t r = timed->first_ref[part]; r < timed->first_ref[part + 1]; r++) {
		const struct cprof_wall_timed_ref *ref = &timed->refs[r];
		uint32_t step = 0, left = ref->span->values[ref->weight] > 0
						  ? steps_of(timed, ref->span, &step)
						  : 0;
		if (!CPROF_ARRAY_ROOM(timed->pieces, *n, timed->cap_pieces, left))
			return cprof_error_no_memory();
		for (; left > 0; left--, step++)
			timed->pieces[(*n)++] = (struct cprof_wall_piece){
				step, number,
				ref->span->values[ref->weight] *
					cprof_time_span_part(ref->span, step_begin(timed, step),
							     step_end(timed, step))
			};
	}
	return NULL;
}

static int by_step(const void *a, const void *b)
{
	const struct cprof_wall_piece *x = a, *y = b;
	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	return x->part < y->part ? -1 : x->part > y->part;
}

struct cprof_error *cprof_wall_timed_divide(struct cprof_wall_timed *timed, size_t at, size_t state,
					    const struct cprof_wall_part *const *parts, size_t n,
					    uint64_t known_ns)
{
	CPROF_AUTO(free) struct cprof_wall_row *rows = calloc(n + 1, sizeof(*rows));
	struct division division = {
		.timed = timed,
		.look = &cprof_wall_looks[state],
		.account = &timed->ledger->accounts[at],
		.parts = parts,
		.n = n,
		.rows = rows,
	};
	struct cprof_error *err = rows ? NULL : cprof_error_no_memory();
	size_t n_pieces = 0;
	if (!err && !find_needs(timed, at, state) && division.look->leaf)
		return NULL;
	for (size_t i = 0; !err && i <= n; i++)
		rows[i].stack = NO_PART;
	for (size_t i = 0; !err && i < n; i++)
		err = cut_part(timed, (size_t)(parts[i] - timed->parts->parts), (uint32_t)i,
			       &n_pieces);
	if (err)
		return err;
	if (n_pieces)
		qsort(timed->pieces, n_pieces, sizeof(*timed->pieces), by_step);
	err = n && parts[0]->what == CPROF_WALL_ON_CPU
		      ? cprof_wall_spread_near(timed->needs_ns, timed->n_steps, timed->pieces,
					       n_pieces, add_time, &division)
		      : cprof_wall_spread(timed->needs_ns, timed->n_steps, timed->pieces, n_pieces,
					  known_ns, add_time, &division);
	for (size_t i = 0; !err && i < n && !division.look->leaf; i++)
		err = add_counts(&division, (uint32_t)i);
	return err;
}
