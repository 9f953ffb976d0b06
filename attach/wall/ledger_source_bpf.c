/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler's events: a program in the kernel adds up every thread's states (ledger.bpf.c says how). Threads that have
 * ended are taken out of its map a few times a second, so that 65,536 rows are enough for any number of them. A thread
 * without a single event has been in one state for the whole window: /proc says in which.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attach/perf/bpf_load.h"
#include "attach/perf/bpf_quiet.h"
#include "attach/target/thread_proc.h"
#include "attach/wall/ledger_source.h"
#include "attach/wall/ledger_told.h"
#include "attach/wall/stand_still.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include "ledger.skel.h"

#define POLL_NS      50000000ull
#define TRIES_MAX    16 /* for a row that changes while it is read */
#define UNTIL_LEAST  4096
#define STOP_MOST_NS 20000 /* between choosing the window's end and telling the program */
#define TOLD_MAX     1000  /* in one poll: more make steps wider */

struct bpf_source {
	pid_t pid;
	struct ledger_bpf *skel; /* owned */
	uint64_t start_ns, end_ns;
	uint64_t taken; /* ended threads */
	struct cprof_ledger_told told;
	struct cprof_map64 until; /* thread -> up to when it has been told of */
	size_t until_most;        /* so many are looked through for those that have ended */
};

/* What taking it needs. */
struct taking {
	struct bpf_source *source;
	struct cprof_ledger *ledger;
};

static struct cprof_error *load(struct bpf_source *source, bool timed)
{
	libbpf_print_fn_t before = cprof_bpf_quiet_begin();
	source->skel = ledger_bpf__open();
	int why = source->skel ? 0 : errno;
	if (source->skel) {
		source->skel->rodata->target_tgid = (uint32_t)source->pid;
		if (timed)
			bpf_map__set_max_entries(source->skel->maps.told, CPROF_LEDGER_TOLD_BYTES);
		why = -ledger_bpf__load(source->skel);
		if (!why)
			why = -ledger_bpf__attach(source->skel);
	}
	cprof_bpf_quiet_end(before);
	if (why || !timed)
		return cprof_bpf_load_error(why);
	return cprof_ledger_told_open(bpf_map__fd(source->skel->maps.told), CPROF_LEDGER_TOLD_BYTES,
				      &source->told);
}

static bool read_stat(pid_t pid, pid_t tid, struct cprof_thread_stat *ret)
{
	char text[512];
	return cprof_thread_read(pid, tid, "stat", text, sizeof(text)) > 0 &&
	       cprof_thread_stat_parse(text, ret);
}

/*
 * What a thread that stands still now was in before its first event only /proc shows. One that has gone on meanwhile and so has
 * a row keeps that.
 */
static void put_stopped(const struct bpf_source *source)
{
	const struct cprof_ledger_bpf_thread row = { .state = CPROF_LEDGER_STOPPED };
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	cprof_error_free(cprof_thread_list(source->pid, &tids, &n)); /* it may have ended */
	for (size_t i = 0; i < n; i++) {
		struct cprof_thread_stat stat;
		const uint32_t tid = (uint32_t)tids[i];
		if (read_stat(source->pid, tids[i], &stat) &&
		    cprof_stand_still_thread(source->pid, tids[i], stat.state))
			bpf_map__update_elem(source->skel->maps.threads, &tid, sizeof(tid), &row,
					     sizeof(row), BPF_NOEXIST);
	}
}

static void close_source(void *state)
{
	struct bpf_source *source = state;
	if (!source)
		return;
	cprof_ledger_told_close(&source->told);
	cprof_map64_deinit(&source->until);
	ledger_bpf__destroy(source->skel);
	free(source);
}

static struct cprof_error *open_source(const struct cprof_run *run, bool timed, void **ret_state)
{
	struct cprof_error *err = cprof_bpf_check_namespace();
	if (err)
		return err;
	struct bpf_source *source = calloc(1, sizeof(*source));
	if (!source)
		return cprof_error_no_memory();
	source->pid = run->targets[0]->pid;
	source->until_most = UNTIL_LEAST;
	err = load(source, timed);
	if (!err)
		put_stopped(source);
	if (err) {
		close_source(source);
		return err;
	}
	*ret_state = source;
	return NULL;
}

static void start(void *state, uint64_t start_ns, uint64_t end_ns, uint64_t step_ns)
{
	struct bpf_source *source = state;
	source->skel->bss->step_ns = step_ns;
	source->start_ns = source->skel->data->start_ns = start_ns;
	source->skel->data->end_ns = end_ns;
}

/* The end comes to the program a moment after it was chosen. Where we were not let run in between, another one is. */
static uint64_t stop(void *state, uint64_t end_ns)
{
	struct bpf_source *source = state;
	volatile __u64 *told_ns = &source->skel->data->end_ns;
	if (*told_ns > end_ns) {
		for (int i = 0; i < TRIES_MAX; i++) {
			end_ns = cprof_clock_mono_ns();
			*told_ns = end_ns;
			if (cprof_clock_mono_ns() - end_ns < STOP_MOST_NS)
				break;
		}
	}
	return source->end_ns = end_ns;
}

/* ---- reading ---- */

/* A row as it was between two changes. Nobody locks it: what is read twice alike was not being changed. */
static bool read_row(const struct bpf_source *source, uint32_t tid,
		     struct cprof_ledger_bpf_thread *ret)
{
	struct cprof_ledger_bpf_thread again;
	const struct bpf_map *threads = source->skel->maps.threads;
	if (bpf_map__lookup_elem(threads, &tid, sizeof(tid), ret, sizeof(*ret), 0))
		return false;
	for (int i = 0; i < TRIES_MAX; i++) {
		if (bpf_map__lookup_elem(threads, &tid, sizeof(tid), &again, sizeof(again), 0))
			return false;
		const bool same = memcmp(ret, &again, sizeof(again)) == 0;
		*ret = again;
		if (same)
			return true;
	}
	return true;
}

static uint64_t between(uint64_t low, uint64_t ns, uint64_t high)
{
	return ns < low ? low : ns < high ? ns : high;
}

/* Of a thread: what its row has, and what it was in from then to `now_ns`. `row` is the whole of its life, or a bit of it. */
static struct cprof_error *put(const struct taking *taking, pid_t tid,
			       const struct cprof_ledger_bpf_thread *row, uint64_t now_ns)
{
	const struct bpf_source *source = taking->source;
	const uint64_t start_ns = source->start_ns,
		       end_ns = source->end_ns ? source->end_ns : UINT64_MAX;
	const uint64_t mark_ns = between(start_ns, row->mark_ns, end_ns),
		       since_ns = between(mark_ns, row->since_ns, end_ns),
		       until_ns = between(since_ns, now_ns, end_ns);
	uint64_t first[CPROF_LEDGER_STATES], last[CPROF_LEDGER_STATES] = { 0 };
	struct cprof_ledger_account account = {
		.tid = tid,
		.runs = row->runs,
		.threads = !row->told,
		.ended = row->ended_ns != 0,
	};
	if (!row->ended_ns && row->state < CPROF_LEDGER_STATES)
		last[row->state] = until_ns - since_ns;
	for (size_t i = 0; i < CPROF_LEDGER_STATES; i++) {
		first[i] = row->ns[i];
		account.ns[i] = first[i] + last[i];
	}
	memcpy(account.name, row->name, sizeof(row->name) - 1);
	cprof_thread_name_clean(account.name);
	/* It was over before the window began. */
	if (!cprof_ledger_life_ns(&account))
		return NULL;
	struct cprof_error *err = cprof_ledger_add(taking->ledger, &account);
	if (!err)
		err = cprof_ledger_when(taking->ledger, tid, mark_ns, since_ns, first);
	return err ? err : cprof_ledger_when(taking->ledger, tid, since_ns, until_ns, last);
}

/* ---- what is told ---- */

static struct cprof_error *take_told(void *ctx, const struct cprof_ledger_bpf_told *record)
{
	const struct taking *taking = ctx;
	uint64_t *until = cprof_map64_put(&taking->source->until, record->tid, NULL);
	if (!until)
		return cprof_error_no_memory();
	*until = record->now_ns;
	return put(taking, (pid_t)record->tid, &record->thread, record->now_ns);
}

static struct cprof_error *drain_told(const struct taking *taking)
{
	struct taking ctx = *taking;
	return cprof_ledger_told_drain(&taking->source->told, take_told, &ctx);
}

/* A row, and all that was told of the thread before it: neither is to be without the other. */
static struct cprof_error *read_whole(const struct taking *taking, uint32_t tid,
				      struct cprof_ledger_bpf_thread *ret, bool *ret_there)
{
	struct cprof_error *err = NULL;
	*ret_there = read_row(taking->source, tid, ret);
	for (int i = 0; *ret_there && !err && i < TRIES_MAX; i++) {
		const uint64_t *until = cprof_map64_get(&taking->source->until, tid);
		if (!ret->told || (until && *until == ret->mark_ns))
			return NULL;
		err = drain_told(taking);
		*ret_there = read_row(taking->source, tid, ret);
	}
	return err;
}

/* Every row; with `ended` those of ended threads only, which are then taken out. The first thread's stays: an exec may go on with it. */
static struct cprof_error *take_rows(const struct taking *taking, bool ended)
{
	const struct bpf_source *source = taking->source;
	struct bpf_map *threads = source->skel->maps.threads;
	uint32_t tid, next;
	struct cprof_error *err = NULL;
	bool more = bpf_map__get_next_key(threads, NULL, &tid, sizeof(tid)) == 0, there;
	for (size_t i = 0; more && !err && i < 2 * CPROF_LEDGER_THREADS_MAX; i++) {
		struct cprof_ledger_bpf_thread thread;
		more = bpf_map__get_next_key(threads, &tid, &next, sizeof(next)) == 0;
		err = read_whole(taking, tid, &thread, &there);
		if (!err && there && (!ended || (thread.ended_ns && (pid_t)tid != source->pid))) {
			err = put(taking, (pid_t)tid, &thread, ended ? 0 : source->end_ns);
			if (ended)
				bpf_map__delete_elem(threads, &tid, sizeof(tid), 0);
		}
		tid = next;
	}
	return err;
}

/* Many threads that change often: they are told of less often, and when their time was is known less finely. */
static struct cprof_error *pace(const struct taking *taking, uint64_t records)
{
	struct bpf_source *source = taking->source;
	if (source->told.records - records > TOLD_MAX)
		source->skel->bss->step_ns = cprof_time_spans_round(2 * source->skel->bss->step_ns);
	if (taking->ledger->times.step_ns > source->skel->bss->step_ns)
		source->skel->bss->step_ns = taking->ledger->times.step_ns;
	return cprof_time_spans_widen(&taking->ledger->times, source->skel->bss->step_ns);
}

/* Of threads that are no more nothing is to be known. */
static struct cprof_error *forget_ended(struct bpf_source *source)
{
	struct cprof_map64 kept = { 0 };
	struct cprof_ledger_bpf_thread row;
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < source->until.cap; i++) {
		const struct cprof_map64_slot *slot = &source->until.slots[i];
		if (!slot->used || !read_row(source, (uint32_t)slot->key, &row))
			continue;
		uint64_t *until = cprof_map64_put(&kept, slot->key, NULL);
		if (until)
			*until = slot->value;
		else
			err = cprof_error_no_memory();
	}
	if (err) {
		cprof_map64_deinit(&kept);
		return err;
	}
	cprof_map64_deinit(&source->until);
	source->until = kept;
	source->until_most = 2 * kept.len > UNTIL_LEAST ? 2 * kept.len : UNTIL_LEAST;
	return NULL;
}

static struct cprof_error *poll_source(void *state, struct cprof_ledger *ledger)
{
	struct bpf_source *source = state;
	const struct taking taking = { source, ledger };
	const uint64_t ended = source->skel->bss->ended, records = source->told.records;
	struct cprof_error *err = ledger->timed ? drain_told(&taking) : NULL;
	if (!err && ledger->timed)
		err = pace(&taking, records);
	if (err || ended == source->taken)
		return err;
	source->taken = ended;
	err = take_rows(&taking, true);
	return err || source->until.len <= source->until_most ? err : forget_ended(source);
}

/* The state of a thread without events has not changed since before the window. */
static struct cprof_error *add_still(const struct taking *taking, pid_t tid)
{
	const struct bpf_source *source = taking->source;
	struct cprof_thread_stat stat;
	if (cprof_ledger_find(taking->ledger, tid) != SIZE_MAX ||
	    !read_stat(source->pid, tid, &stat) || stat.state == 'Z' || stat.state == 'X')
		return NULL;
	const struct cprof_ledger_bpf_thread row = {
		.state = stat.state == 'R' ? CPROF_LEDGER_ON_CPU
			 : cprof_stand_still_thread(source->pid, tid, stat.state)
				 ? CPROF_LEDGER_STOPPED
				 : CPROF_LEDGER_BLOCKED,
	};
	return put(taking, tid, &row, source->end_ns);
}

static struct cprof_error *finish(void *state, struct cprof_ledger *ledger)
{
	struct bpf_source *source = state;
	const struct taking taking = { source, ledger };
	CPROF_AUTO(free) pid_t *tids = NULL;
	if (!source->end_ns) /* it is not over, and this is a copy of it so far */
		source->end_ns = cprof_clock_mono_ns();
	size_t n = 0;
	struct cprof_error *err = ledger->timed ? drain_told(&taking) : NULL;
	if (!err)
		err = take_rows(&taking, false);
	cprof_error_free(cprof_thread_list(source->pid, &tids, &n)); /* it may have ended */
	for (size_t i = 0; !err && i < n; i++)
		err = add_still(&taking, tids[i]);
	ledger->missed += source->skel->bss->full;
	return err;
}

static uint64_t pause_ns(const void *state)
{
	(void)state;
	return POLL_NS;
}

const struct cprof_ledger_source cprof_ledger_source_bpf = {
	.name = "bpf",
	.open = open_source,
	.close = close_source,
	.start = start,
	.stop = stop,
	.poll = poll_source,
	.pause_ns = pause_ns,
	.finish = finish,
};
