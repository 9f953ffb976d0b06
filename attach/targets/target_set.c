/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/targets/target_set.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "attach/target/target_children.h"
#include "attach/targets/target_ids.h"
#include "attach/targets/target_looks.h"
#include "attach/targets/target_members.h"
#include "attach/targets/target_news.h"
#include "attach/targets/target_pending.h"
#include "attach/targets/target_scan.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "cprof/buffer.h"
#include "cprof/hash.h"

#define LOOK_NS       (2 * CPROF_NS_PER_S)  /* without the kernel's word */
#define LOOK_TURNS    5                     /* so everybody within ten seconds */
#define SURE_LOOK_NS  (60 * CPROF_NS_PER_S) /* with it */
#define GROUP_LOOK_NS LOOK_NS               /* nobody tells of one that is moved to another group */
#define SAID_MAX      4096
#define ANCESTORS_MAX 64
#define FILES         (16 * 1024) /* descriptors that are enough for as many targets as there may be */

struct cprof_target_set {
	const struct cprof_target_rules *rules;
	struct cprof_target_set_events events;
	struct cprof_target_members members;
	struct cprof_target_pending pending;
	uint64_t look_due_ns, looked_ns;
	bool missed; /* there was more news than could be taken: the next look is at everybody */
	struct cprof_target_scan scan;
	struct cprof_target_news news;
	int epoll_fd;                     /* owned */
	struct cprof_map64 said;          /* ids of which something was said */
	struct cprof_target_ids named;    /* by their ids, and taken, though they may have ended */
	struct cprof_target_ids left_out; /* for want of room; as of when each was looked at */
	dev_t own_dev;                    /* our program */
	ino_t own_inode;
	bool opened; /* from now on nobody waits for an error */
	struct cprof_target_set_stats stats;
};

/* ---- members ---- */

static struct cprof_target_member *find(const struct cprof_target_set *set, pid_t pid)
{
	return cprof_target_members_find(&set->members, pid);
}

static void drop(struct cprof_target_set *set, struct cprof_target_member *member, bool ended)
{
	const pid_t pid = member->pid;
	const uint64_t start_ticks = member->start_ticks;
	cprof_target_members_remove(&set->members, set->epoll_fd, member);
	set->events.went(set->events.ctx, pid, start_ticks, ended);
}

/* Takes the target. */
static struct cprof_error *add(struct cprof_target_set *set, struct cprof_target *target,
			       bool stays)
{
	struct cprof_error *err =
		cprof_target_members_add(&set->members, set->epoll_fd, target, stays);
	if (err)
		cprof_target_close(target);
	else
		set->events.came(set->events.ctx, target);
	return err;
}

/* ---- words ---- */

static void say(struct cprof_target_set *set, pid_t pid, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void say(struct cprof_target_set *set, pid_t pid, const char *fmt, ...)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	bool new;
	if (set->said.len >= SAID_MAX || !cprof_map64_put(&set->said, (uint64_t)pid, &new) || !new)
		return;
	va_list ap;
	va_start(ap, fmt);
	cprof_buffer_vprintf(&text, fmt, ap);
	va_end(ap);
	set->events.say(set->events.ctx, cprof_buffer_text(&text));
}

/* ---- what a process is like ---- */

static bool descends_from_member(const struct cprof_target_set *set, pid_t pid)
{
	for (size_t i = 0; i < ANCESTORS_MAX && pid > 1; i++) {
		pid = cprof_target_looks_parent(pid);
		if (pid > 1 && find(set, pid))
			return true;
	}
	return false;
}

static bool is_meant(const struct cprof_target_set *set, const struct cprof_target_looks *looks)
{
	const struct cprof_target_traits traits = { looks->comm, looks->exe,
						    cprof_buffer_text(&looks->cgroups) };
	/* Whose program cannot be seen is a kernel thread, or not ours to look at: nothing else is tried for it. */
	if (set->rules->all && !*looks->exe)
		return false;
	return cprof_target_rules_match(set->rules, &traits);
}

static bool is_profiler(const struct cprof_target_set *set, pid_t pid)
{
	dev_t dev;
	ino_t inode;
	cprof_target_looks_program(pid, &dev, &inode);
	return pid == getpid() || (inode && inode == set->own_inode && dev == set->own_dev);
}

/* ---- one process ---- */

static void take(struct cprof_target_set *set, pid_t pid, bool stays)
{
	struct cprof_target *target;
	if (set->members.n >= CPROF_TARGET_SET_MAX) {
		cprof_target_ids_add(&set->left_out, pid);
		say(set, 0, "warning: more than %d processes are meant: the others are left out",
		    CPROF_TARGET_SET_MAX);
		return;
	}
	struct cprof_error *err = cprof_target_open(pid, &target);
	if (!err)
		err = add(set, target, stays);
	/* Of all those that may be looked at, one that may not is none. */
	if (err && err->code != CPROF_ERR_NO_TARGET && err->code != CPROF_ERR_USAGE &&
	    !set->rules->all)
		say(set, pid, "warning: a process that is meant is left out: %s", err->message);
	cprof_error_free(err);
}

/* A member runs another program, or bears another name, or is in another group. Also by its id one is meant for what it is now. */
static void look_at_member(struct cprof_target_set *set, struct cprof_target_member *member,
			   bool is_still_meant)
{
	dev_t dev;
	ino_t inode;
	const pid_t pid = member->pid;
	const bool stays = member->stays;
	cprof_target_looks_program(pid, &dev, &inode);
	const bool other = inode && member->inode && (inode != member->inode || dev != member->dev);
	if ((stays || is_still_meant) && !other)
		return;
	drop(set, member, false);
	if (stays || is_still_meant)
		take(set, pid, stays);
}

static void look_at(struct cprof_target_set *set, pid_t pid, pid_t parent)
{
	struct cprof_target_looks looks = { .cgroups = { 0 } };
	struct cprof_target_member *member = find(set, pid);
	set->stats.looked_at++;
	cprof_target_ids_remove(&set->left_out, pid);
	cprof_target_looks_read(pid, cprof_target_rules_want_groups(set->rules), &looks);
	const bool meant = is_meant(set, &looks) && !is_profiler(set, pid);
	cprof_target_looks_deinit(&looks);
	if (member) {
		look_at_member(set, member, meant);
		return;
	}
	if (meant) {
		take(set, pid, false);
		return;
	}
	if (set->rules->children && !is_profiler(set, pid) &&
	    ((parent && find(set, parent)) || descends_from_member(set, pid)))
		take(set, pid, true);
}

static void on_seen(void *ctx, pid_t pid)
{
	look_at(ctx, pid, 0);
}

/* ---- when ---- */

static uint64_t look_every_ns(const struct cprof_target_set *set)
{
	if (!set->news.proven)
		return LOOK_NS;
	return cprof_target_rules_want_groups(set->rules) ? GROUP_LOOK_NS : SURE_LOOK_NS;
}

static bool is_in_sight(const void *ctx, pid_t pid)
{
	return cprof_target_scan_has(ctx, pid);
}

static struct cprof_error *look_at_all(struct cprof_target_set *set, size_t turns)
{
	set->stats.looks++;
	set->looked_ns = cprof_clock_mono_ns();
	set->look_due_ns = set->looked_ns + look_every_ns(set);
	struct cprof_error *err =
		cprof_target_scan_look(&set->scan, set->missed ? 1 : turns, on_seen, set);
	if (err) {
		if (set->missed) /* what is missed is not to wait for the next usual look */
			set->look_due_ns = set->looked_ns + LOOK_NS;
		return err;
	}
	set->missed = false;
	cprof_target_ids_keep(&set->left_out, is_in_sight, &set->scan);
	return NULL;
}

/* There is too much news to go by: a look at everybody is in its place, soon, but no more often than without any news. */
static void miss_news(struct cprof_target_set *set)
{
	set->missed = true;
	set->pending.n = 0;
	if (set->look_due_ns > set->looked_ns + LOOK_NS)
		set->look_due_ns = set->looked_ns + LOOK_NS;
}

static void on_news(void *ctx, pid_t pid, pid_t parent)
{
	struct cprof_target_set *set = ctx;
	/* Who is told of while that look is still to come is seen by it. */
	if (!set->missed && !cprof_target_pending_add(&set->pending, pid, parent))
		miss_news(set);
}

static void on_settled(void *ctx, pid_t pid, pid_t parent)
{
	look_at(ctx, pid, parent);
}

static void take_events(struct cprof_target_set *set)
{
	struct epoll_event events[64];
	const int n = epoll_wait(set->epoll_fd, events, 64, 0);
	for (int i = 0; i < n; i++) {
		struct cprof_target_member *member =
			events[i].data.u64 ? find(set, (pid_t)events[i].data.u64) : NULL;
		if (member)
			drop(set, member, true);
		else if (!events[i].data.u64 && !cprof_target_news_read(&set->news, on_news, set))
			miss_news(set);
	}
}

int cprof_target_set_fd(const struct cprof_target_set *set)
{
	return set->epoll_fd;
}

uint64_t cprof_target_set_due_mono_ns(const struct cprof_target_set *set)
{
	if (!cprof_target_rules_are_open(set->rules))
		return UINT64_MAX;
	const struct cprof_target_pending *pending = &set->pending;
	return pending->n && pending->due_mono_ns < set->look_due_ns ? pending->due_mono_ns
								     : set->look_due_ns;
}

void cprof_target_set_run(struct cprof_target_set *set, uint64_t mono_ns)
{
	take_events(set);
	if (!cprof_target_rules_are_open(set->rules))
		return;
	cprof_target_pending_take(&set->pending, mono_ns, on_settled, set);
	if (mono_ns >= set->look_due_ns)
		cprof_error_free(look_at_all(
			set, set->news.proven && !cprof_target_rules_want_groups(set->rules)
				     ? 1
				     : LOOK_TURNS));
}

void cprof_target_set_stats(const struct cprof_target_set *set,
			    struct cprof_target_set_stats *ret_stats)
{
	*ret_stats = set->stats;
	ret_stats->members = set->members.n;
	ret_stats->left_out = set->left_out.n;
	ret_stats->told_by_kernel = set->news.proven;
}

/* ---- life ---- */

static struct cprof_error *take_by_id(struct cprof_target_set *set, pid_t pid)
{
	struct cprof_target *target;
	if (find(set, pid))
		return NULL;
	if (set->members.n >= CPROF_TARGET_SET_MAX)
		return cprof_error_new(CPROF_ERR_USAGE, "more than %d processes at once",
				       CPROF_TARGET_SET_MAX);
	struct cprof_error *err = cprof_target_open(pid, &target);
	return err ? err : add(set, target, true);
}

/*
 * Who is named by an id has to be there when the set is opened; later it is said where one is not. One that was there once is not
 * taken a second time: his id may be another's by now.
 */
static struct cprof_error *take_named(struct cprof_target_set *set)
{
	for (size_t i = 0; i < set->rules->n_pids; i++) {
		const pid_t pid = set->rules->pids[i];
		if (cprof_target_ids_has(&set->named, pid))
			continue;
		struct cprof_error *err = take_by_id(set, pid);
		if (!err && !cprof_target_ids_add(&set->named, pid))
			err = cprof_error_no_memory();
		if (err && !set->opened)
			return err;
		if (err)
			say(set, pid, "warning: a process that is meant is left out: %s",
			    err->message);
		cprof_error_free(err);
	}
	return NULL;
}

static void take_children(struct cprof_target_set *set)
{
	for (size_t i = 0; set->rules->children && i < set->members.n; i++) {
		CPROF_AUTO(free) pid_t *pids = NULL;
		const pid_t parent = set->members.items[i].pid;
		size_t n;
		cprof_target_children_list(parent, &pids, &n);
		for (size_t k = 0; k < n; k++) {
			if (!find(set, pids[k]))
				look_at(set, pids[k], parent);
		}
		/* Those that came have places of their own, maybe before this one. */
		i = cprof_target_members_place(&set->members, parent);
	}
}

static struct cprof_error *nobody(const struct cprof_target_rules *rules)
{
	struct cprof_error *err = cprof_error_new(CPROF_ERR_NO_TARGET,
						  "no process is called \"%s\"", rules->names[0]);
	return cprof_error_hint(err, "-n takes the whole name, as in ps -e, or a pattern such as "
				     "'postgres*', which may wait for its first process");
}

/* News first: who comes while we look is told then. */
static void open_news(struct cprof_target_set *set)
{
	struct epoll_event wanted = { .events = EPOLLIN };
	cprof_error_free(cprof_target_news_open(&set->news));
	if (set->news.fd >= 0 &&
	    epoll_ctl(set->epoll_fd, EPOLL_CTL_ADD, set->news.fd, &wanted) != 0)
		cprof_target_news_close(&set->news);
}

static struct cprof_error *fill(struct cprof_target_set *set)
{
	struct cprof_error *err = take_named(set);
	if (err || !cprof_target_rules_are_open(set->rules))
		return err;
	open_news(set);
	err = look_at_all(set, 1);
	if (!err)
		take_children(set);
	return !err && !set->members.n && cprof_target_rules_are_exact(set->rules)
		       ? nobody(set->rules)
		       : err;
}

static void raise_files(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= FILES)
		return;
	limit.rlim_cur = limit.rlim_max < FILES ? limit.rlim_max : FILES;
	setrlimit(RLIMIT_NOFILE, &limit);
}

struct cprof_error *cprof_target_set_open(const struct cprof_target_rules *rules,
					  const struct cprof_target_set_events *events,
					  struct cprof_target_set **ret_set)
{
	struct cprof_target_set *set = calloc(1, sizeof(*set));
	if (!set)
		return cprof_error_no_memory();
	*set = (struct cprof_target_set){ .rules = rules, .events = *events, .news = { .fd = -1 } };
	cprof_target_looks_program(getpid(), &set->own_dev, &set->own_inode);
	raise_files();
	set->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct cprof_error *err =
		set->epoll_fd < 0 ? cprof_error_os(errno, "epoll_create1") : fill(set);
	if (err) {
		cprof_target_set_close(set);
		return err;
	}
	set->opened = true;
	*ret_set = set;
	return NULL;
}

void cprof_target_set_close(struct cprof_target_set *set)
{
	if (!set)
		return;
	cprof_target_members_deinit(&set->members);
	cprof_target_news_close(&set->news);
	cprof_target_pending_deinit(&set->pending);
	cprof_target_scan_deinit(&set->scan);
	cprof_map64_deinit(&set->said);
	cprof_target_ids_deinit(&set->named);
	cprof_target_ids_deinit(&set->left_out);
	if (set->epoll_fd >= 0)
		close(set->epoll_fd);
	free(set);
}

/* ---- again ---- */

/* It needs no name: it is named by its id, or descends from a member. */
static bool still_stays(const struct cprof_target_set *set,
			const struct cprof_target_member *member)
{
	return cprof_target_rules_has_pid(set->rules, member->pid) ||
	       (set->rules->children && descends_from_member(set, member->pid));
}

static struct cprof_error *look_at_members(struct cprof_target_set *set)
{
	const size_t n = set->members.n;
	CPROF_AUTO(free) pid_t *pids = calloc(n + 1, sizeof(*pids));
	if (!pids)
		return cprof_error_no_memory();
	for (size_t i = 0; i < n; i++)
		pids[i] = set->members.items[i].pid;
	for (size_t i = 0; i < n; i++) {
		struct cprof_target_member *member = find(set, pids[i]);
		if (!member)
			continue;
		member->stays = still_stays(set, member);
		look_at(set, pids[i], 0);
	}
	return NULL;
}

static bool is_named(const void *ctx, pid_t pid)
{
	return cprof_target_rules_has_pid(ctx, pid);
}

static struct cprof_error *look_again(struct cprof_target_set *set)
{
	struct cprof_error *err = look_at_members(set);
	if (err || !cprof_target_rules_are_open(set->rules))
		return err;
	if (set->news.fd < 0)
		open_news(set);
	err = look_at_all(set, 1);
	if (!err)
		take_children(set);
	return err;
}

void cprof_target_set_again(struct cprof_target_set *set, const struct cprof_target_rules *rules)
{
	set->rules = rules;
	cprof_map64_deinit(&set->said);
	set->said = (struct cprof_map64){ 0 };
	cprof_target_ids_keep(&set->named, is_named, rules);
	cprof_target_ids_deinit(&set->left_out);
	cprof_error_free(take_named(set));
	struct cprof_error *err = look_again(set);
	if (err) {
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		cprof_buffer_printf(&text, "warning: look for whom to profile: %s", err->message);
		set->events.say(set->events.ctx, cprof_buffer_text(&text));
	}
	cprof_error_free(err);
}
