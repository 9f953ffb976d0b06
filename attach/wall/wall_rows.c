/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attach/run/thread_choice.h"
#include "attach/wall/wall_idle.h"
#include "attach/wall/wall_reasons.h"
#include "attach/wall/wall_share.h"
#include "base/cleanup.h"

#define FRAMES_MAX (CPROF_KERNEL_DEPTH_MAX + CPROF_STACK_DEPTH_MAX + 2)
#define LABELS_MAX (CPROF_WAIT_PROFILE_LABELS_MAX + 2)

const struct cprof_builder_type cprof_wall_types[] = {
	{ "wall", "nanoseconds" },     { "cpu", "nanoseconds" }, { "offcpu", "nanoseconds" },
	{ "runqueue", "nanoseconds" }, { "samples", "count" },
};
enum { WALL, CPU, OFFCPU, RUNQUEUE, SAMPLES, N_TYPES };
const size_t cprof_wall_n_types = N_TYPES;

/* How a row is shown: the label `state`, the type that its time is of besides wall, and the frame put in front. */
struct look {
	const char *state;
	size_t type;
	const char *leaf;  /* NULL: the stack says it all, or has its own */
	const char *alone; /* the frame where there is no stack */
};
static const struct look looks[CPROF_LEDGER_STATES] = {
	[CPROF_LEDGER_ON_CPU] = { "oncpu", CPU, NULL, "[on CPU]" },
	[CPROF_LEDGER_PREEMPTED] = { "runqueue", RUNQUEUE, "[runqueue]", "[runqueue]" },
	[CPROF_LEDGER_WOKEN] = { "runqueue", RUNQUEUE, "[runqueue]", "[runqueue]" },
	[CPROF_LEDGER_BLOCKED] = { "offcpu", OFFCPU, NULL, "[unknown]" },
	[CPROF_LEDGER_STOPPED] = { "stopped", OFFCPU, NULL, "[stopped]" },
};

struct rows {
	struct cprof_wait_intake *intake; /* borrowed, as the next two */
	const struct cprof_ledger *ledger;
	struct cprof_wall_parts *parts;
	struct cprof_wall_reasons reasons;
	struct cprof_wall_idle idle;
	struct cprof_wall_sums sums;
	struct cprof_stack_frame *frames; /* room for one stack */
	double *weights;                  /* room for all parts, as the next */
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

static struct cprof_error *number_with_leaf(struct rows *rows, const char *leaf,
					    const struct cprof_stack_frame *frames, size_t n,
					    uint32_t *ret_number)
{
	rows->frames[0] = cprof_session_marker(rows->intake->session, leaf);
	if (n > FRAMES_MAX - 1)
		n = FRAMES_MAX - 1;
	if (n)
		memmove(rows->frames + 1, frames, n * sizeof(*frames));
	const struct cprof_session_stack stack = { .frames = rows->frames, .n = n + 1 };
	return cprof_session_stack(rows->intake->session, &stack, ret_number);
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
		.weight = row->delay_ns,
		.count = row->count,
	};
	cprof_wall_reason_frame(row->syscall, cprof_wait_syscall_name(row->syscall), leaf,
				sizeof(leaf));
	struct cprof_error *err = cprof_wall_reasons_add(&rows->reasons, wait, &part.reason);
	if (!err)
		err = number_with_leaf(rows, leaf, wait->stack.frames, wait->stack.n, &part.stack);
	if (!err)
		err = cprof_wall_parts_add(rows->parts, &part);
	if (err || row->queue_ns <= 0)
		return err;
	part.what = CPROF_WALL_WOKEN;
	part.weight = row->queue_ns;
	part.count = 0;
	part.reason = 0;
	err = number_with_leaf(rows, "[runqueue]", wait->stack.frames, wait->stack.n, &part.stack);
	return err ? err : cprof_wall_parts_add(rows->parts, &part);
}

/* ---- one row ---- */

/* A thread has a label of its own; those that share an account have their name only, where it is known. */
static struct cprof_error *label_set(struct rows *rows, const struct cprof_ledger_account *account,
				     const char *state, uint32_t reason, uint32_t *ret_set)
{
	struct cprof_wait_intake *intake = rows->intake;
	struct cprof_builder_label labels[LABELS_MAX] = { { .key = "state", .str = state } };
	size_t n = 1;
	if (reason)
		n += cprof_wall_reason_labels(&rows->reasons.reasons[reason], false, labels + n);
	if (!account->tid && account->name[0])
		labels[n++] = (struct cprof_builder_label){ .key = "thread", .str = account->name };
	return cprof_session_labels(intake->session, intake->process, account->tid, labels, n,
				    ret_set);
}

static struct cprof_error *add_row(struct rows *rows, const struct cprof_ledger_account *account,
				   const struct look *look, const struct cprof_wall_part *part,
				   uint32_t stack, uint64_t ns)
{
	int64_t values[N_TYPES] = { 0 };
	uint32_t set;
	values[WALL] = values[look->type] = (int64_t)ns;
	if (part && !look->leaf)
		values[SAMPLES] = llround(part->count);
	if (!values[WALL] && !values[SAMPLES])
		return NULL;
	struct cprof_error *err =
		label_set(rows, account, look->state, part ? part->reason : 0, &set);
	return err ? err : cprof_session_add_stack(rows->intake->session, stack, set, values);
}

static struct cprof_error *add_alone(struct rows *rows, const struct cprof_ledger_account *account,
				     const struct look *look, uint64_t ns)
{
	uint32_t stack;
	if (!ns)
		return NULL;
	struct cprof_error *err = number_with_leaf(rows, look->alone, NULL, 0, &stack);
	return err ? err : add_row(rows, account, look, NULL, stack, ns);
}

/* The part's stack, with the leaf of `look` in front where it has not been put there yet. */
static struct cprof_error *stack_of(struct rows *rows, const struct look *look,
				    const struct cprof_wall_part *part, uint32_t *ret_stack)
{
	const struct cprof_stack_table *table = cprof_session_stacks(rows->intake->session);
	uint32_t n;
	*ret_stack = part->stack;
	if (!look->leaf || part->what != CPROF_WALL_ON_CPU)
		return NULL;
	const uint32_t *items = cprof_stack_table_items(table, part->stack, &n);
	if (n > FRAMES_MAX - 1)
		n = FRAMES_MAX - 1;
	for (uint32_t i = 0; i < n; i++)
		rows->frames[i + 1] = table->frames[items[i]];
	return number_with_leaf(rows, look->leaf, rows->frames + 1, n, ret_stack);
}

/* ---- one state of one account ---- */

/* Divide `ns` among the parts; without any it is one row that says that nothing is known. */
static struct cprof_error *divide(struct rows *rows, const struct cprof_ledger_account *account,
				  const struct look *look, const struct group *group, uint64_t ns)
{
	for (size_t i = 0; i < group->n; i++)
		rows->weights[i] = group->parts[i]->weight;
	struct cprof_error *err = cprof_wall_share(ns, rows->weights, group->n, rows->shares);
	for (size_t i = 0; !err && i < group->n; i++) {
		uint32_t stack;
		err = stack_of(rows, look, group->parts[i], &stack);
		if (!err)
			err = add_row(rows, account, look, group->parts[i], stack, rows->shares[i]);
	}
	return err;
}

static double sum_of(const struct group *group)
{
	double sum = 0;
	for (size_t i = 0; i < group->n; i++)
		sum += group->parts[i]->weight > 0 ? group->parts[i]->weight : 0;
	return sum;
}

static struct cprof_error *add_blocked(struct rows *rows,
				       const struct cprof_ledger_account *account,
				       const struct group *group)
{
	const struct look *look = &looks[CPROF_LEDGER_BLOCKED];
	const uint64_t ns = account->ns[CPROF_LEDGER_BLOCKED];
	const uint64_t known = cprof_wall_share_known(ns, sum_of(group), rows->intake->rate_ns);
	rows->sums.unknown_ns += ns - known;
	struct cprof_error *err = divide(rows, account, look, group, known);
	return err ? err : add_alone(rows, account, look, ns - known);
}

/* The first of these that has something. */
static const struct group *first_of(const struct group *a, const struct group *b)
{
	return sum_of(a) > 0 ? a : b;
}

static struct cprof_error *add_runnable(struct rows *rows,
					const struct cprof_ledger_account *account,
					const struct group *by_class, enum cprof_wall_class best,
					enum cprof_wall_class else_by, size_t state)
{
	const struct group *group = first_of(&by_class[best], &by_class[else_by]);
	const uint64_t ns = account->ns[state];
	if (sum_of(group) > 0)
		return divide(rows, account, &looks[state], group, ns);
	return add_alone(rows, account, &looks[state], ns);
}

static struct cprof_error *add_on_cpu(struct rows *rows, const struct cprof_ledger_account *account,
				      const struct group *group)
{
	const struct look *look = &looks[CPROF_LEDGER_ON_CPU];
	const uint64_t ns = account->ns[CPROF_LEDGER_ON_CPU];
	if (sum_of(group) > 0)
		return divide(rows, account, look, group, ns);
	rows->sums.unsampled_ns += ns;
	return add_alone(rows, account, look, ns);
}

static void count_in(struct cprof_wall_sums *sums, const struct cprof_ledger_account *account)
{
	sums->threads += account->threads;
	sums->cpu_ns += account->ns[CPROF_LEDGER_ON_CPU];
	sums->queue_ns += account->ns[CPROF_LEDGER_PREEMPTED] + account->ns[CPROF_LEDGER_WOKEN];
	sums->off_ns += account->ns[CPROF_LEDGER_BLOCKED] + account->ns[CPROF_LEDGER_STOPPED];
	sums->stopped_ns += account->ns[CPROF_LEDGER_STOPPED];
}

static struct cprof_error *add_account(struct rows *rows,
				       const struct cprof_ledger_account *account,
				       const struct group *by_class)
{
	count_in(&rows->sums, account);
	struct cprof_error *err = add_on_cpu(rows, account, &by_class[CPROF_WALL_ON_CPU]);
	if (!err)
		err = add_runnable(rows, account, by_class, CPROF_WALL_ON_CPU, CPROF_WALL_WOKEN,
				   CPROF_LEDGER_PREEMPTED);
	if (!err)
		err = add_runnable(rows, account, by_class, CPROF_WALL_WOKEN, CPROF_WALL_ON_CPU,
				   CPROF_LEDGER_WOKEN);
	if (!err)
		err = add_blocked(rows, account, &by_class[CPROF_WALL_BLOCKED]);
	if (!err)
		err = add_alone(rows, account, &looks[CPROF_LEDGER_STOPPED],
				account->ns[CPROF_LEDGER_STOPPED]);
	return err;
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
	return rows->reasons.reasons[part->reason].idles ? part : NULL;
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

static struct cprof_error *add_idle_row(struct rows *rows,
					const struct cprof_wall_idle_place *place)
{
	struct cprof_wait_intake *intake = rows->intake;
	struct cprof_builder_label labels[LABELS_MAX + 2] = { { .key = "state", .str = "offcpu" } };
	size_t n = 1;
	uint32_t set;
	n += cprof_wall_reason_labels(&rows->reasons.reasons[place->reason], true, labels + n);
	labels[n++] = (struct cprof_builder_label){ .key = "idle", .str = "true" };
	labels[n++] =
		(struct cprof_builder_label){ .key = "threads", .num = (int64_t)place->threads };
	if (place->name[0])
		labels[n++] = (struct cprof_builder_label){ .key = "thread", .str = place->name };
	const int64_t values[N_TYPES] = { [WALL] = (int64_t)place->ns,
					  [OFFCPU] = (int64_t)place->ns,
					  [SAMPLES] = (int64_t)place->threads };
	struct cprof_error *err =
		cprof_session_labels(intake->session, intake->process, 0, labels, n, &set);
	return err ? err : cprof_session_add_stack(intake->session, place->stack, set, values);
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
		err = place ? add_idle(rows, account, place) : add_account(rows, account, by_class);
	}
	return err;
}

/* Parts of threads that have no account are nobody's: they lived beside the window. */
static struct cprof_error *add_all(struct rows *rows)
{
	const struct cprof_wall_parts *parts = rows->parts;
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
		n += keys[n].account != SIZE_MAX;
	}
	qsort(keys, n, sizeof(*keys), by_account);
	return add_accounts(rows, keys, n);
}

struct cprof_error *cprof_wall_rows_fill(struct cprof_wait_intake *intake,
					 const struct cprof_ledger *ledger,
					 struct cprof_wall_parts *parts, bool show_idle,
					 struct cprof_wall_sums *ret_sums)
{
	struct rows rows = { .intake = intake, .ledger = ledger, .parts = parts };
	rows.frames = calloc(FRAMES_MAX, sizeof(*rows.frames));
	struct cprof_error *err = rows.frames ? cprof_wait_profile_each(intake, take_wait, &rows)
					      : cprof_error_no_memory();
	if (!err)
		err = add_all(&rows);
	rows.sums.idle_places = rows.idle.n;
	for (size_t i = 0; !err && show_idle && i < rows.idle.n; i++)
		err = add_idle_row(&rows, &rows.idle.places[i]);
	*ret_sums = rows.sums;
	cprof_wall_reasons_deinit(&rows.reasons);
	cprof_wall_idle_deinit(&rows.idle);
	free(rows.frames);
	free(rows.weights);
	free(rows.shares);
	free(rows.sorted);
	return err;
}
