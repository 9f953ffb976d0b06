/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_spread.h"

#include <math.h>
#include <stdlib.h>

#include "attach/wall/wall_share.h"
#include "base/cleanup.h"

struct spread {
	const uint64_t *needs_ns; /* borrowed, as pieces */
	uint32_t n_steps;
	const struct cprof_wall_piece *pieces;
	size_t n;
	double *got, *excess; /* of each piece: in its step, and beyond it */
	double filled;        /* of what a step has left goes to pieces of others */
	size_t next;          /* the first piece whose excess is not all given away */
	double *amounts;      /* of one step, as the next two */
	uint32_t *parts;
	uint64_t *shares;
};

static double weight_of(const struct cprof_wall_piece *piece)
{
	return piece->weight > 0 && isfinite(piece->weight) ? piece->weight : 0;
}

/* Where a step's pieces end that begin at `at`. */
static size_t end_of(const struct spread *spread, size_t at, uint32_t step)
{
	while (at < spread->n && spread->pieces[at].step <= step)
		at++;
	return at;
}

/* Each piece in its own step, by `scale` of its weight; returns what of the step is left. */
static double serve(const struct spread *spread, size_t from, size_t to, double scale, double need)
{
	double sum = 0;
	for (size_t i = from; i < to; i++)
		sum += weight_of(&spread->pieces[i]) * scale;
	const double part = sum > need ? need / sum : 1;
	for (size_t i = from; i < to; i++) {
		const double want = weight_of(&spread->pieces[i]) * scale;
		spread->got[i] = want * part;
		spread->excess[i] = want - spread->got[i];
	}
	return need - (sum > need ? need : sum);
}

static void serve_all(struct spread *spread, double scale)
{
	double left = 0, excess = 0;
	size_t at = 0;
	for (uint32_t step = 0; step < spread->n_steps; step++) {
		const size_t to = end_of(spread, at, step);
		left += serve(spread, at, to, scale, (double)spread->needs_ns[step]);
		at = to;
	}
	for (size_t i = 0; i < spread->n; i++)
		excess += spread->excess[i];
	spread->filled = left > 0 ? fmin(1, excess / left) : 0;
}

/* What one step comes to: its own pieces, those of others, and nobody. Returns how many amounts there are. */
static size_t list_step(struct spread *spread, size_t from, size_t to, double need)
{
	size_t n = 0;
	double left = need;
	for (size_t i = from; i < to; i++) {
		spread->parts[n] = spread->pieces[i].part;
		spread->amounts[n++] = spread->got[i];
		left -= spread->got[i];
	}
	double take = fmax(0, left) * spread->filled;
	const double nobody = fmax(0, left) - take;
	while (take > 0 && spread->next < spread->n) {
		double *excess = &spread->excess[spread->next];
		const double some = fmin(take, *excess);
		if (some > 0) {
			spread->parts[n] = spread->pieces[spread->next].part;
			spread->amounts[n++] = some;
		}
		take -= some;
		*excess -= some;
		if (*excess <= 0)
			spread->next++;
	}
	/* What is less than a nanosecond is no thread's time that nobody has seen, but a double's last digit. */
	if (nobody >= 1 || !n) {
		spread->parts[n] = CPROF_WALL_NOBODY;
		spread->amounts[n++] = nobody >= 1 ? nobody : 1;
	}
	return n;
}

static struct cprof_error *give_step(struct spread *spread, uint32_t step, size_t from, size_t to,
				     cprof_wall_spread_fn *fn, void *ctx)
{
	const uint64_t need_ns = spread->needs_ns[step];
	uint64_t given = 0;
	if (!need_ns)
		return NULL;
	const size_t n = list_step(spread, from, to, (double)need_ns);
	struct cprof_error *err = cprof_wall_share(need_ns, spread->amounts, n, spread->shares);
	for (size_t i = 0; !err && i < n; i++) {
		given += spread->shares[i];
		if (spread->shares[i])
			err = fn(ctx, step, spread->parts[i], spread->shares[i]);
	}
	/* Its pieces weigh nothing. */
	return err || given == need_ns ? err : fn(ctx, step, CPROF_WALL_NOBODY, need_ns - given);
}

static struct cprof_error *give_all(struct spread *spread, cprof_wall_spread_fn *fn, void *ctx)
{
	struct cprof_error *err = NULL;
	size_t at = 0;
	for (uint32_t step = 0; !err && step < spread->n_steps; step++) {
		const size_t to = end_of(spread, at, step);
		err = give_step(spread, step, at, to, fn, ctx);
		at = to;
	}
	return err;
}

struct cprof_error *cprof_wall_spread(const uint64_t *needs_ns, uint32_t n_steps,
				      const struct cprof_wall_piece *pieces, size_t n,
				      uint64_t known_ns, cprof_wall_spread_fn *fn, void *ctx)
{
	/* Of one step there may be all pieces once for themselves and once for others, and nobody. */
	const size_t room = 2 * n + 2;
	CPROF_AUTO(free) double *got = calloc(room, sizeof(*got));
	CPROF_AUTO(free) double *excess = calloc(room, sizeof(*excess));
	CPROF_AUTO(free) double *amounts = calloc(room, sizeof(*amounts));
	CPROF_AUTO(free) uint32_t *parts = calloc(room, sizeof(*parts));
	CPROF_AUTO(free) uint64_t *shares = calloc(room, sizeof(*shares));
	double sum = 0;
	if (!got || !excess || !amounts || !parts || !shares)
		return cprof_error_no_memory();
	struct spread spread = {
		.needs_ns = needs_ns,
		.n_steps = n_steps,
		.pieces = pieces,
		.n = n,
		.got = got,
		.excess = excess,
		.amounts = amounts,
		.parts = parts,
		.shares = shares,
	};
	for (size_t i = 0; i < n; i++)
		sum += weight_of(&pieces[i]);
	serve_all(&spread, sum > 0 ? (double)known_ns / sum : 0);
	return give_all(&spread, fn, ctx);
}

struct cprof_error *cprof_wall_spread_near(const uint64_t *needs_ns, uint32_t n_steps,
					   const struct cprof_wall_piece *pieces, size_t n,
					   cprof_wall_spread_fn *fn, void *ctx)
{
	CPROF_AUTO(free) double *weights = calloc(n + 1, sizeof(*weights));
	CPROF_AUTO(free) uint64_t *shares = calloc(n + 1, sizeof(*shares));
	const struct spread spread = { .pieces = pieces, .n = n };
	struct cprof_error *err = weights && shares ? NULL : cprof_error_no_memory();
	size_t at = 0;
	for (size_t i = 0; !err && i < n; i++)
		weights[i] = weight_of(&pieces[i]);
	for (uint32_t step = 0; !err && step < n_steps; step++) {
		const size_t from = at;
		at = end_of(&spread, at, step);
		if (!needs_ns[step])
			continue;
		if (from == at) {
			err = fn(ctx, step,
				 !n       ? CPROF_WALL_NOBODY
				 : at < n ? pieces[at].part
					  : pieces[n - 1].part,
				 needs_ns[step]);
			continue;
		}
		err = cprof_wall_share(needs_ns[step], weights + from, at - from, shares);
		for (size_t i = from; !err && i < at; i++) {
			if (shares[i - from])
				err = fn(ctx, step, pieces[i].part, shares[i - from]);
		}
	}
	return err;
}
