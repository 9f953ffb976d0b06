/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attach/run/thread_choice.h"
#include "attach/wall/wall_idle.h"
#include "attach/wall/wall_reasons.h"
#include "attach/wall/wall_row.h"
#include "attach/wall/wall_share.h"
#include "attach/wall/wall_timed.h"
#include "base/cleanup.h"

const struct cprof_builder_type cprof_wall_types[] = {
	[CPROF_WALL_WALL] = { "wall", "nanoseconds" },
	[CPROF_WALL_CPU] = { "cpu", "nanoseconds" },
	[CPROF_WALL_OFFCPU] = { "offcpu", "nanoseconds" },
	[CPROF_WALL_RUNQUEUE] = { "runqueue", "nanoseconds" },
	[CPROF_WALL_SAMPLES] = { "samples", "count" },
};
const size_t cprof_wall_n_types = CPROF_WALL_TYPES;

void cprof_wall_sums_add(struct cprof_wall_sums *sums, const struct cprof_wall_sums *more)
{
	sums->threads += more->threads;
	sums->cpu_ns += more->cpu_ns;
	sums->queue_ns += more->queue_ns;
	sums->off_ns += more->off_ns;
	sums->stopped_ns += more->stopped_ns;
	sums->unknown_ns += more->unknown_ns;
	sums->unsampled_ns += more->unsampled_ns;
	sums->samples += more->samples;
	sums->idle_threads += more->idle_threads;
	sums->idle_places += more->idle_places;
	sums->idle_ns += more->idle_ns;
}

struct rows {
	struct cprof_wait_intake *intake; /* borrowed, as the next two */
	struct cprof_ledger *ledger;
	struct cprof_wall_parts *parts;
	struct cprof_wall_row_maker maker;
	struct cprof_wall_timed timed; /* where somebody asks when it was */
	struct cprof_wall_idle idle;
	struct cprof_wall_sums sums;
	double *weights; /* room for all parts, as the next */
	uint64_t *shares;
	const struct cprof_wall_part **sorted; /* by account and class */
	size_t n_sorted;
};

/* The parts of one account, by class. */
struct group {
	const struct cprof_wall_part **parts;
	size_t n;
};

/* ---- waits become parts ---- */

/* `row` is that of the waits' table which it comes from. */
static struct cprof_error *put_part(struct rows *rows, const struct cprof_wait_row *row,
				    const struct cprof_wall_part *part)
{
	size_t at;
	struct cprof_error *err = cprof_wall_parts_add(rows->parts, part, &at);
	if (!err && at != SIZE_MAX && rows->ledger->timed)
		cprof_wall_timed_row(&rows->timed, (uint32_t)(row - rows->intake->table.rows),
				     part->what == CPROF_WALL_WOKEN, at);
	return err;
}

/* A part with no weight still tells where a thread was: its place. */
static struct cprof_error *take_wait(void *ctx, const struct cprof_wait_shown *wait)
{
	struct rows *rows = ctx;
	const struct cprof_wait_row *row = wait->row;
	char leaf[40];
	struct cprof_wall_part part = {
		.tid = (pid_t)row->tid,
		.what = CPROF_WALL_BLOCKED,
		.request = row->request,
		.weight = row->delay_ns,
		.count = row->count,
	};
	cprof_wall_reason_frame(row->syscall, cprof_wait_syscall_name(row->syscall), leaf,
				sizeof(leaf));
	struct cprof_error *err = cprof_wall_reasons_add(&rows->maker.reasons, wait, &part.reason);
	if (!err)
		err = cprof_wall_row_stack(&rows->maker, leaf, wait->stack.frames, wait->stack.n,
					   &part.stack);
	if (!err)
		err = put_part(rows, row, &part);
	if (err || row->queue_ns <= 0)
		return err;
	part.what = CPROF_WALL_WOKEN;
	part.weight = row->queue_ns;
	part.count = 0;
	part.reason = 0;
	err = cprof_wall_row_stack(&rows->maker, "[runqueue]", wait->stack.frames, wait->stack.n,
				   &part.stack);
	return err ? err : put_part(rows, row, &part);
}

/* ---- one row ---- */

static struct cprof_error *add_row(struct rows *rows, const struct cprof_ledger_account *account,
				   const struct cprof_wall_look *look,
				   const struct cprof_wall_part *part, uint64_t ns)
{
	int64_t values[CPROF_WALL_TYPES] = { 0 };
	struct cprof_wall_row row;
	values[CPROF_WALL_WALL] = values[look->type] = (int64_t)ns;
	if (part && !look->leaf)
		values[CPROF_WALL_SAMPLES] = llround(part->count);
	if (!values[CPROF_WALL_WALL] && !values[CPROF_WALL_SAMPLES])
		return NULL;
	struct cprof_error *err = cprof_wall_row_name(&rows->maker, account, look, part, &row);
	return err ? err
		   : cprof_session_add_stack(rows->intake->session, row.stack, row.labels, values);
}

/* ---- one state of one account ---- */

/* Divide `state` among the parts, which get known_ns of it; of the rest nothing is known, and it says so. */
static struct cprof_error *divide(struct rows *rows, size_t at, size_t state,
				  const struct group *group, uint64_t known_ns)
{
	const struct cprof_ledger_account *account = &rows->ledger->accounts[at];
	const struct cprof_wall_look *look = &cprof_wall_looks[state];
	if (rows->ledger->timed)
		return cprof_wall_timed_divide(&rows->timed, at, state, group->parts, group->n,
					       known_ns);
	for (size_t i = 0; i < group->n; i++)
		rows->weights[i] = group->parts[i]->weight;
	struct cprof_error *err = cprof_wall_share(known_ns, rows->weights, group->n, rows->shares);
	for (size_t i = 0; !err && i < group->n; i++)
		err = add_row(rows, account, look, group->parts[i], rows->shares[i]);
	return err ? err : add_row(rows, account, look, NULL, account->ns[state] - known_ns);
}

static double sum_of(const struct group *group)
{
	double sum = 0;
	for (size_t i = 0; i < group->n; i++)
		sum += group->parts[i]->weight > 0 ? group->parts[i]->weight : 0;
	return sum;
}

static const struct group nobody = { 0 };

static struct cprof_error *add_blocked(struct rows *rows, size_t at, const struct group *group)
{
	const uint64_t ns = rows->ledger->accounts[at].ns[CPROF_LEDGER_BLOCKED];
	const uint64_t known = cprof_wall_share_known(ns, sum_of(group), rows->intake->rate_ns);
	rows->sums.unknown_ns += ns - known;
	return divide(rows, at, CPROF_LEDGER_BLOCKED, group, known);
}

/* All of it is the group's, if that is anything. */
static struct cprof_error *add_whole(struct rows *rows, size_t at, size_t state,
				     const struct group *group)
{
	return divide(rows, at, state, group,
		      sum_of(group) > 0 ? rows->ledger->accounts[at].ns[state] : 0);
}

/* By the first of these that has something. */
static struct cprof_error *add_runnable(struct rows *rows, size_t at, size_t state,
					const struct group *best, const struct group *else_by)
{
	const struct group *group = sum_of(best) > 0 ? best : else_by;
	return add_whole(rows, at, state, sum_of(group) > 0 ? group : &nobody);
}

static struct cprof_error *add_on_cpu(struct rows *rows, size_t at, const struct group *group)
{
	const double samples = sum_of(group);
	rows->sums.samples += samples;
	if (!(samples > 0))
		rows->sums.unsampled_ns += rows->ledger->accounts[at].ns[CPROF_LEDGER_ON_CPU];
	return add_whole(rows, at, CPROF_LEDGER_ON_CPU, group);
}

static void count_in(struct cprof_wall_sums *sums, const struct cprof_ledger_account *account)
{
	sums->threads += account->threads;
	sums->cpu_ns += account->ns[CPROF_LEDGER_ON_CPU];
	sums->queue_ns += account->ns[CPROF_LEDGER_PREEMPTED] + account->ns[CPROF_LEDGER_WOKEN];
	sums->off_ns += account->ns[CPROF_LEDGER_BLOCKED] + account->ns[CPROF_LEDGER_STOPPED];
	sums->stopped_ns += account->ns[CPROF_LEDGER_STOPPED];
}

static struct cprof_error *add_account(struct rows *rows, size_t at, const struct group *by_class)
{
	const struct group *on_cpu = &by_class[CPROF_WALL_ON_CPU],
			   *woken = &by_class[CPROF_WALL_WOKEN];
	count_in(&rows->sums, &rows->ledger->accounts[at]);
	struct cprof_error *err = add_on_cpu(rows, at, on_cpu);
	if (!err)
		err = add_runnable(rows, at, CPROF_LEDGER_PREEMPTED, on_cpu, woken);
	if (!err)
		err = add_runnable(rows, at, CPROF_LEDGER_WOKEN, woken, on_cpu);
	if (!err)
		err = add_blocked(rows, at, &by_class[CPROF_WALL_BLOCKED]);
	return err ? err : add_whole(rows, at, CPROF_LEDGER_STOPPED, &nobody);
}

/* ---- idle threads ---- */

/* The place where a thread has waited for work all the time; NULL: it has not. */
static const struct cprof_wall_part *idle_place(const struct rows *rows,
						const struct cprof_ledger_account *account,
						const struct group *blocked)
{
	if (!cprof_ledger_never_ran(account) || blocked->n != 1 ||
	    account->ns[CPROF_LEDGER_BLOCKED] != cprof_ledger_life_ns(account))
		return NULL;
	const struct cprof_wall_part *part = blocked->parts[0];
	return rows->maker.reasons.reasons[part->reason].idles ? part : NULL;
}

static struct cprof_error *add_idle(struct rows *rows, const struct cprof_ledger_account *account,
				    const struct cprof_wall_part *part)
{
	const char *name = account->name[0]
				   ? account->name
				   : cprof_process_thread_name(rows->intake->process, account->tid);
	const uint64_t ns = account->ns[CPROF_LEDGER_BLOCKED];
	rows->sums.idle_threads += account->threads;
	rows->sums.idle_ns += ns;
	return cprof_wall_idle_add(&rows->idle, part, name, ns);
}

/* Idle threads are idle all the time. */
static struct cprof_error *add_idle_row(struct rows *rows,
					const struct cprof_wall_idle_place *place)
{
	const struct cprof_window *window = rows->intake->run->window;
	int64_t values[CPROF_WALL_TYPES];
	struct cprof_wall_row row;
	struct cprof_error *err = cprof_wall_row_idle(&rows->maker, place, &row, values);
	return err ? err
		   : cprof_session_add_span(
			     rows->intake->session, row.stack, row.labels, window->start_mono_ns,
			     window->start_mono_ns + cprof_window_elapsed_ns(window), values);
}

/* ---- all accounts ---- */

struct sort_key {
	const struct cprof_wall_part *part;
	size_t account;
};

static int by_account(const void *a, const void *b)
{
	const struct sort_key *x = a, *y = b;
	if (x->account != y->account)
		return x->account < y->account ? -1 : 1;
	if (x->part->what != y->part->what)
		return x->part->what < y->part->what ? -1 : 1;
	return x->part < y->part ? -1 : x->part > y->part;
}

/* Of a thread that has ended only the account knows its last name. */
static struct cprof_error *name_account(const struct rows *rows,
					const struct cprof_ledger_account *account)
{
	if (!account->tid || !account->name[0])
		return NULL;
	return cprof_process_name_thread(rows->intake->process, account->tid, account->name);
}

/* -threads and -tid: short-lived threads that share an account have their name only. */
static bool is_wanted(const struct rows *rows, const struct cprof_ledger_account *account)
{
	const struct cprof_wait_intake *intake = rows->intake;
	if (!intake->run->threads)
		return true;
	if (account->tid)
		return cprof_session_wants(intake->session, intake->process, account->tid);
	return cprof_thread_choice_has(intake->run->threads, 0, account->name);
}

/* Of each account, the parts that are its threads', by class. */
static struct cprof_error *add_accounts(struct rows *rows, const struct sort_key *keys, size_t n)
{
	size_t at = 0;
	struct cprof_error *err = NULL;
	for (size_t i = 0; i < n; i++)
		rows->sorted[i] = keys[i].part;
	for (size_t i = 0; !err && i < rows->ledger->n; i++) {
		const struct cprof_ledger_account *account = &rows->ledger->accounts[i];
		struct group by_class[CPROF_WALL_BLOCKED + 1] = { { 0 } };
		for (; at < n && keys[at].account == i; at++) {
			struct group *group = &by_class[keys[at].part->what];
			if (!group->n)
				group->parts = rows->sorted + at;
			group->n++;
		}
		err = name_account(rows, account);
		if (err || !is_wanted(rows, account))
			continue;
		const struct cprof_wall_part *place =
			idle_place(rows, account, &by_class[CPROF_WALL_BLOCKED]);
		err = place ? add_idle(rows, account, place) : add_account(rows, i, by_class);
	}
	return err;
}

/* Parts of threads that have no account are nobody's: they lived beside the window. */
static struct cprof_error *add_all(struct rows *rows)
{
	const struct cprof_wall_parts *parts = rows->parts;
	struct cprof_error *err = rows->ledger->timed ? cprof_wall_timed_begin(&rows->timed) : NULL;
	if (err)
		return err;
	CPROF_AUTO(free) struct sort_key *keys = calloc(parts->n + 1, sizeof(*keys));
	rows->sorted = calloc(parts->n + 1, sizeof(*rows->sorted));
	rows->weights = calloc(parts->n + 1, sizeof(*rows->weights));
	rows->shares = calloc(parts->n + 1, sizeof(*rows->shares));
	if (!keys || !rows->sorted || !rows->weights || !rows->shares)
		return cprof_error_no_memory();
	size_t n = 0;
	for (size_t i = 0; i < parts->n; i++) {
		keys[n] = (struct sort_key){ &parts->parts[i],
					     cprof_ledger_find(rows->ledger, parts->parts[i].tid) };
		n += keys[n].account != SIZE_MAX &&
		     (!rows->ledger->timed || parts->parts[i].weight > 0 ||
		      parts->parts[i].count > 0);
	}
	qsort(keys, n, sizeof(*keys), by_account);
	return add_accounts(rows, keys, n);
}

struct cprof_error *cprof_wall_rows_fill(struct cprof_wait_intake *intake,
					 struct cprof_ledger *ledger,
					 struct cprof_wall_parts *parts,
					 const struct cprof_time_spans *samples, bool show_idle,
					 struct cprof_wall_sums *ret_sums)
{
	struct rows rows = { .intake = intake, .ledger = ledger, .parts = parts };
	rows.timed = (struct cprof_wall_timed){
		.maker = &rows.maker, .ledger = ledger, .parts = parts, .samples = samples
	};
	struct cprof_error *err = cprof_wall_row_maker_init(&rows.maker, intake);
	if (!err && ledger->timed)
		err = cprof_wall_timed_init(&rows.timed);
	if (!err)
		err = cprof_wait_profile_each(intake, take_wait, &rows);
	if (!err)
		err = add_all(&rows);
	rows.sums.idle_places = rows.idle.n;
	for (size_t i = 0; !err && show_idle && i < rows.idle.n; i++)
		err = add_idle_row(&rows, &rows.idle.places[i]);
	*ret_sums = rows.sums;
	cprof_wall_timed_deinit(&rows.timed);
	cprof_wall_idle_deinit(&rows.idle);
	cprof_wall_row_maker_deinit(&rows.maker);
	free(rows.weights);
	free(rows.shares);
	free(rows.sorted);
	return err;
}
