/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_untold.h"

#include <string.h>

#include "attach/threads/thread_words.h"
#include "base/clock.h"

#define FUNCTIONS_MAX 24 /* that are looked at, from the innermost outwards */
#define NAMED_MAX     4  /* threads, in a line */
#define LONG_NS       CPROF_NS_PER_S
#define RECHECKS_NS                                                                                \
	50000000ull /* HotSpot's threads look again at a monitor after 1, 8, 64, 512, 1000 ms, for ever */

/* Locks without an owner's name in them, by a part of a function's name; "" where the kind of the wait tells. */
static const struct untold {
	const char *function;
	const char *locks; /* "for " ... */
	const char *ask;   /* who knows more; "" nobody */
	uint64_t long_ns;  /* that one has to wait to be told of */
	bool spins;        /* it waits by running */
	bool awaited; /* told of only where another thread waits for that one: it is idle else */
} untold[] = {
	{ "pthread_spin_lock", "spin locks", "", 0, true, false },
	{ "ObjectMonitor::enter", "Java monitors", "jcmd PID Thread.print", RECHECKS_NS, false,
	  false },
	{ "ObjectMonitor::EnterI", "Java monitors", "jcmd PID Thread.print", RECHECKS_NS, false,
	  false },
	{ "locks.ReentrantLock.lock", "Java locks", "jcmd PID Thread.print", LONG_NS, false,
	  false },
	{ "locks.ReentrantLock$Sync.lock", "Java locks", "jcmd PID Thread.print", LONG_NS, false,
	  false },
	{ "locks.ReentrantReadWriteLock$", "Java locks", "jcmd PID Thread.print", LONG_NS, false,
	  false },
	{ "locks.StampedLock.", "Java locks", "jcmd PID Thread.print", LONG_NS, false, false },
	{ "runtime.stoplockedm", "what their goroutines wait for",
	  "the program's own /debug/pprof/goroutine?debug=2", LONG_NS, false, true },
};

/* By kind; after those by function. */
static const struct untold rust_mutex = { "", "Rust mutexes", "", LONG_NS, false, false },
			   rwlock = { "", "rwlocks", "", LONG_NS, false, false },
			   libc_lock = { "", "locks inside libc", "", LONG_NS, false, false };

static const struct untold *by_kind(const struct cprof_thread *thread)
{
	switch (thread->wait.kind) {
	case CPROF_LOCK_MUTEX_RUST:
		return &rust_mutex;
	case CPROF_LOCK_RWLOCK_READ:
	case CPROF_LOCK_RWLOCK_WRITE:
		return &rwlock;
	case CPROF_LOCK_INTERNAL:
		return &libc_lock;
	default:
		return NULL;
	}
}

static bool is_running(const struct cprof_thread *thread)
{
	return thread->call.kind == CPROF_CALL_RUNNING || thread->call.kind == CPROF_CALL_OUTSIDE;
}

static const struct untold *by_function(const struct cprof_thread *thread, const char *name,
					bool innermost)
{
	for (size_t i = 0; i < sizeof(untold) / sizeof(untold[0]); i++) {
		const struct untold *row = &untold[i];
		if (row->spins == is_running(thread) && (innermost || !row->spins) &&
		    strstr(name, row->function))
			return row;
	}
	return NULL;
}

static struct cprof_error *find_function(const struct cprof_thread *thread,
					 struct cprof_thread_names *names,
					 const struct untold **ret_row)
{
	size_t seen = 0;
	for (size_t i = 0; i < thread->n_frames && seen < FUNCTIONS_MAX; i++) {
		struct cprof_thread_name name;
		struct cprof_error *err =
			cprof_thread_names_get(names, thread->frames[i].addr, &name);
		if (err)
			return err;
		for (size_t k = 0; k < name.n && seen < FUNCTIONS_MAX; k++) {
			*ret_row = by_function(thread, name.frames[k].name, seen++ == 0);
			if (*ret_row)
				return NULL;
		}
	}
	return NULL;
}

static bool is_told(const struct cprof_thread *thread)
{
	const struct cprof_lock_wait *wait = &thread->wait;
	return thread->cycle || thread->owner != SIZE_MAX || wait->owner_pid || wait->gone_owner ||
	       wait->unseen_owner || wait->refused;
}

/* What `thread` waits for, if it is one of those locks and has waited long enough; NULL if not. */
static struct cprof_error *find(const struct cprof_thread *thread, struct cprof_thread_names *names,
				const struct untold **ret_row)
{
	*ret_row = NULL;
	if (thread->means == CPROF_MEANS_NONE || is_told(thread) ||
	    (thread->call.kind != CPROF_CALL_BLOCKED && !is_running(thread)))
		return NULL;
	const uint64_t waited =
		thread->idle_ns > thread->stuck_ns ? thread->idle_ns : thread->stuck_ns;
	struct cprof_error *err = NULL;
	if (is_running(thread) || waited >= RECHECKS_NS || thread->means == CPROF_MEANS_CORE)
		err = find_function(thread, names, ret_row);
	if (!err && !*ret_row && !thread->wait.timed)
		*ret_row = by_kind(thread);
	const struct untold *row = *ret_row;
	if (row && ((waited < row->long_ns && thread->means != CPROF_MEANS_CORE) ||
		    (row->awaited && !thread->waiters)))
		*ret_row = NULL;
	return err;
}

struct group {
	const struct untold *row;
	size_t n;
	uint64_t longest_ns;
	const struct cprof_thread *first[NAMED_MAX];
};

#define GROUPS_MAX (sizeof(untold) / sizeof(untold[0]) + 3)

static void add(struct group groups[GROUPS_MAX], const struct untold *row,
		const struct cprof_thread *thread)
{
	struct group *at = groups;
	while (at->row && strcmp(at->row->locks, row->locks) != 0)
		at++;
	at->row = row;
	if (at->n < NAMED_MAX)
		at->first[at->n] = thread;
	at->n++;
	if (thread->idle_ns > at->longest_ns)
		at->longest_ns = thread->idle_ns;
}

static void put(const struct group *group, struct cprof_buffer *out)
{
	const bool one = group->n == 1;
	char buf[32];
	cprof_buffer_printf(out, "%zu thread%s wait%s for %s", group->n, one ? "" : "s",
			    one ? "s" : "", group->row->locks);
	if (group->longest_ns)
		cprof_buffer_printf(out, ", %s%s", one ? "" : "up to ",
				    cprof_thread_words_duration(group->longest_ns, buf));
	for (size_t i = 0; i < group->n && i < NAMED_MAX; i++)
		cprof_buffer_printf(out, "%s%d \"%s\"", i ? ", " : " (", (int)group->first[i]->tid,
				    group->first[i]->name);
	cprof_buffer_printf(out,
			    "%s: who holds them is not told there, so whether this is a "
			    "deadlock cannot be confirmed",
			    group->n > NAMED_MAX ? ", ...)" : ")");
	if (*group->row->ask)
		cprof_buffer_printf(out, "; %s tells", group->row->ask);
	cprof_buffer_puts(out, "\n");
}

struct cprof_error *cprof_thread_untold_put(const struct cprof_thread_snapshot *snapshot,
					    struct cprof_thread_names *names,
					    struct cprof_buffer *out)
{
	struct group groups[GROUPS_MAX] = { 0 };
	for (size_t i = 0; i < snapshot->n; i++) {
		const struct untold *row;
		struct cprof_error *err = find(&snapshot->threads[i], names, &row);
		if (err)
			return err;
		if (row)
			add(groups, row, &snapshot->threads[i]);
	}
	for (size_t i = 0; i < GROUPS_MAX && groups[i].row; i++)
		put(&groups[i], out);
	return NULL;
}
