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
#include "attach/wall/stand_still.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include "ledger.skel.h"

#define POLL_NS   50000000ull
#define TRIES_MAX 16 /* for a row that changes while it is read */

struct bpf_source {
	pid_t pid;
	struct ledger_bpf *skel; /* owned */
	uint64_t start_ns, end_ns;
	uint64_t taken; /* ended threads */
};

static struct cprof_error *load(struct bpf_source *source)
{
	libbpf_print_fn_t before = cprof_bpf_quiet_begin();
	source->skel = ledger_bpf__open();
	int why = source->skel ? 0 : errno;
	if (source->skel) {
		source->skel->rodata->target_tgid = (uint32_t)source->pid;
		why = -ledger_bpf__load(source->skel);
		if (!why)
			why = -ledger_bpf__attach(source->skel);
	}
	cprof_bpf_quiet_end(before);
	return cprof_bpf_load_error(why);
}

static void close_source(void *state)
{
	struct bpf_source *source = state;
	if (!source)
		return;
	ledger_bpf__destroy(source->skel);
	free(source);
}

static struct cprof_error *open_source(const struct cprof_run *run, void **ret_state)
{
	struct cprof_error *err = cprof_bpf_check_namespace();
	if (err)
		return err;
	struct bpf_source *source = calloc(1, sizeof(*source));
	if (!source)
		return cprof_error_no_memory();
	source->pid = run->targets[0]->pid;
	err = load(source);
	if (err) {
		close_source(source);
		return err;
	}
	*ret_state = source;
	return NULL;
}

static void start(void *state, uint64_t start_ns, uint64_t end_ns)
{
	struct bpf_source *source = state;
	source->start_ns = source->skel->data->start_ns = start_ns;
	source->skel->data->end_ns = end_ns;
}

static void stop(void *state, uint64_t end_ns)
{
	struct bpf_source *source = state;
	source->end_ns = source->skel->data->end_ns = end_ns;
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

static void add_last(const struct bpf_source *source, struct cprof_ledger_bpf_thread *thread)
{
	const uint64_t from_ns =
		thread->since_ns > source->start_ns ? thread->since_ns : source->start_ns;
	if (!thread->ended_ns && source->end_ns > from_ns && thread->state < CPROF_LEDGER_STATES)
		thread->ns[thread->state] += source->end_ns - from_ns;
}

static struct cprof_error *put(struct cprof_ledger *ledger, pid_t tid,
			       const struct cprof_ledger_bpf_thread *thread)
{
	struct cprof_ledger_account account = {
		.tid = tid,
		.runs = thread->runs,
		.threads = 1,
		.ended = thread->ended_ns != 0,
	};
	for (size_t i = 0; i < CPROF_LEDGER_STATES; i++)
		account.ns[i] = thread->ns[i];
	memcpy(account.name, thread->name, sizeof(thread->name) - 1);
	cprof_thread_name_clean(account.name);
	/* It was over before the window began. */
	return cprof_ledger_life_ns(&account) ? cprof_ledger_add(ledger, &account) : NULL;
}

/* Every row; with `ended` those of ended threads only, which are then taken out. The first thread's stays: an exec may go on with it. */
static struct cprof_error *take_rows(struct bpf_source *source, struct cprof_ledger *ledger,
				     bool ended)
{
	struct bpf_map *threads = source->skel->maps.threads;
	uint32_t tid, next;
	struct cprof_error *err = NULL;
	bool more = bpf_map__get_next_key(threads, NULL, &tid, sizeof(tid)) == 0;
	for (size_t i = 0; more && !err && i < 2 * CPROF_LEDGER_THREADS_MAX; i++) {
		struct cprof_ledger_bpf_thread thread;
		more = bpf_map__get_next_key(threads, &tid, &next, sizeof(next)) == 0;
		if (read_row(source, tid, &thread) &&
		    (!ended || (thread.ended_ns && (pid_t)tid != source->pid))) {
			if (!ended)
				add_last(source, &thread);
			err = put(ledger, (pid_t)tid, &thread);
			if (ended)
				bpf_map__delete_elem(threads, &tid, sizeof(tid), 0);
		}
		tid = next;
	}
	return err;
}

static struct cprof_error *poll_source(void *state, struct cprof_ledger *ledger)
{
	struct bpf_source *source = state;
	const uint64_t ended = source->skel->bss->ended;
	if (ended == source->taken)
		return NULL;
	source->taken = ended;
	return take_rows(source, ledger, true);
}

/* The state of a thread without events has not changed since before the window. */
static struct cprof_error *add_still(const struct bpf_source *source, struct cprof_ledger *ledger,
				     pid_t tid)
{
	char text[512];
	struct cprof_thread_stat stat;
	if (cprof_ledger_find(ledger, tid) != SIZE_MAX ||
	    cprof_thread_read(source->pid, tid, "stat", text, sizeof(text)) <= 0 ||
	    !cprof_thread_stat_parse(text, &stat) || stat.state == 'Z' || stat.state == 'X')
		return NULL;
	struct cprof_ledger_account account = { .tid = tid, .threads = 1 };
	const size_t at = stat.state == 'R' ? CPROF_LEDGER_ON_CPU
			  : cprof_stand_still_thread(source->pid, tid, stat.state)
				  ? CPROF_LEDGER_STOPPED
				  : CPROF_LEDGER_BLOCKED;
	account.ns[at] = source->end_ns > source->start_ns ? source->end_ns - source->start_ns : 0;
	return account.ns[at] ? cprof_ledger_add(ledger, &account) : NULL;
}

static struct cprof_error *finish(void *state, struct cprof_ledger *ledger)
{
	struct bpf_source *source = state;
	CPROF_AUTO(free) pid_t *tids = NULL;
	if (!source->end_ns) /* it is not over, and this is a copy of it so far */
		source->end_ns = cprof_clock_mono_ns();
	size_t n = 0;
	struct cprof_error *err = take_rows(source, ledger, false);
	cprof_error_free(cprof_thread_list(source->pid, &tids, &n)); /* it may have ended */
	for (size_t i = 0; !err && i < n; i++)
		err = add_still(source, ledger, tids[i]);
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
