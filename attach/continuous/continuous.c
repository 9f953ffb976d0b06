/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/continuous/continuous.h"

#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "attach/continuous/followed.h"
#include "attach/serve/service_manager.h"
#include "base/work.h"
#include "attach/targets/target_set.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "cprof/hash.h"

#define RECORDINGS_MAX 256 /* at once: each is a process of ours */
#define WORKS_MAX      4   /* windows that are cut at once */
#define END_NS         (5 * CPROF_NS_PER_S)
#define END_RETRY_NS   (CPROF_NS_PER_S / 4) /* then what could not begin is tried again */
#define WAIT_MAX_NS    (60 * CPROF_NS_PER_S)
#define SAID_MAX       64 /* troubles that are told once each */
#define OTHER_FDS      (4 + CPROF_METRICS_SERVER_FDS)

struct engine {
	const struct cprof_continuous *told;
	struct cprof_continuous_counts *counts;
	const struct cprof_target_rules *rules;
	const struct cprof_mode *modes[CPROF_FOLLOWED_MODES];
	struct cprof_followed_shared shared;
	struct cprof_followed **all; /* owned */
	size_t n, cap;
	struct cprof_target_set *set;
	struct cprof_service_manager manager;
	struct utsname host;
	int watch_fd;
	struct pollfd *fds; /* owned */
	size_t cap_fds;
	size_t n_fds, metrics_fds; /* from metrics_fds on they are the metrics' */
	uint64_t end_mono_ns;      /* UINT64_MAX: no end was given */
	uint64_t said[SAID_MAX];   /* hashes */
	size_t n_said;
	bool ending;
	struct cprof_error *failure; /* owned; why it ends before its time */
};

static void say(const struct engine *engine, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void say(const struct engine *engine, const char *fmt, ...)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	va_list ap;
	va_start(ap, fmt);
	cprof_buffer_vprintf(&text, fmt, ap);
	va_end(ap);
	engine->told->say(engine->told->ctx, cprof_buffer_text(&text));
}

static void on_say(void *ctx, const char *text)
{
	const struct engine *engine = ctx;
	engine->told->say(engine->told->ctx, text);
}

/* ---- windows and troubles ---- */

static void on_window(void *ctx, const struct cprof_target *target, const char *mode,
		      const struct cprof_cut *cut)
{
	struct engine *engine = ctx;
	if (!cut->n_file) {
		engine->counts->empty++;
		return;
	}
	engine->counts->windows++;
	engine->told->window(engine->told->ctx, target, mode, cut);
}

static bool said_before(struct engine *engine, const char *mode, const struct cprof_error *err,
			pid_t pid)
{
	const uint64_t hash = cprof_hash_mix(cprof_hash_bytes(err->message, strlen(err->message)),
					     cprof_hash_mix((uint64_t)pid, (uint64_t)mode[0]));
	for (size_t i = 0; i < engine->n_said; i++) {
		if (engine->said[i] == hash)
			return true;
	}
	if (engine->n_said == SAID_MAX)
		return true;
	engine->said[engine->n_said++] = hash;
	return false;
}

static void on_trouble(void *ctx, const struct cprof_target *target, const char *mode,
		       struct cprof_error *err)
{
	struct engine *engine = ctx;
	engine->counts->troubles++;
	const bool was_said = said_before(engine, mode, err, target->pid);
	if (!was_said)
		say(engine, "warning: %s of process %d (%s): %s%s%s", mode, (int)target->pid,
		    target->comm, err->message, err->hint ? "\nhint: " : "",
		    err->hint ? err->hint : "");
	if (!was_said && engine->n_said == SAID_MAX)
		on_say(engine, "warning: what else goes wrong is not told any more");
	cprof_error_free(err);
}

/* ---- who comes and goes ---- */

static void on_came(void *ctx, struct cprof_target *target)
{
	struct engine *engine = ctx;
	struct cprof_followed *followed = calloc(1, sizeof(*followed));
	if (!followed || engine->ending ||
	    !CPROF_ARRAY_ROOM(engine->all, engine->n, engine->cap, 1)) {
		free(followed);
		cprof_target_close(target);
		return;
	}
	engine->all[engine->n++] = followed;
	engine->counts->targets++;
	if (cprof_target_rules_are_exact(engine->rules))
		say(engine, "profiling %s of process %d (%s)", engine->told->modes,
		    (int)target->pid, target->comm);
	cprof_followed_init(followed, target, &engine->shared);
}

static void on_went(void *ctx, pid_t pid, uint64_t start_ticks, bool ended)
{
	struct engine *engine = ctx;
	for (size_t i = 0; i < engine->n; i++) {
		struct cprof_followed *followed = engine->all[i];
		if (followed->gone || followed->target->pid != pid ||
		    followed->target->start_ticks != start_ticks)
			continue;
		if (cprof_target_rules_are_exact(engine->rules))
			say(engine, "process %d (%s) %s", (int)pid, followed->target->comm,
			    ended ? "has ended" : "is not meant any more");
		cprof_followed_finish(followed, ended);
	}
}

/* All clean up at the same time. */
static bool is_cleaned(struct engine *engine, struct cprof_followed *followed)
{
	struct cprof_error *err;
	if (!cprof_followed_cleaned(followed, &err))
		return false;
	if (err)
		say(engine, "warning: %s\nhint: %s", err->message, err->hint);
	cprof_error_free(err);
	return true;
}

static bool any_cleans(const struct engine *engine)
{
	for (size_t i = 0; i < engine->n; i++) {
		if (engine->all[i]->clean_until_ns)
			return true;
	}
	return false;
}

static void forget_over(struct engine *engine)
{
	for (size_t i = 0; i < engine->n;) {
		struct cprof_followed *followed = engine->all[i];
		if (!followed->gone || !cprof_followed_over(followed) ||
		    !is_cleaned(engine, followed)) {
			i++;
			continue;
		}
		cprof_followed_deinit(followed);
		free(followed);
		engine->all[i] = engine->all[--engine->n];
	}
}

/* Nobody is left, and nobody can come. */
static bool nobody_left(const struct engine *engine)
{
	return !engine->n && !cprof_target_rules_are_open(engine->rules);
}

/* ---- the loop ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool make_room(struct engine *engine)
{
	const size_t want = OTHER_FDS + engine->n * CPROF_FOLLOWED_FDS;
	return CPROF_ARRAY_ROOM(engine->fds, 0, engine->cap_fds, want);
}

/* What nobody takes note of any more would wake us for ever. */
static struct pollfd unless_ending(const struct engine *engine, int fd)
{
	return (struct pollfd){ .fd = engine->ending ? -1 : fd, .events = POLLIN };
}

static void wait_for(struct engine *engine, uint64_t due_mono_ns)
{
	size_t n = 0;
	engine->fds[n++] = unless_ending(engine, engine->told->stop_fd);
	engine->fds[n++] = unless_ending(engine, engine->told->again_fd);
	engine->fds[n++] = unless_ending(engine, cprof_target_set_fd(engine->set));
	engine->fds[n++] = (struct pollfd){ .fd = engine->watch_fd, .events = POLLIN };
	for (size_t i = 0; i < engine->n; i++)
		n = cprof_followed_poll(engine->all[i], engine->fds, n);
	engine->metrics_fds = n;
	n = cprof_metrics_server_poll(engine->told->metrics, engine->fds, n);
	engine->n_fds = n;
	const uint64_t now = cprof_clock_mono_ns();
	const uint64_t wait = least(due_mono_ns > now ? due_mono_ns - now : 0, WAIT_MAX_NS);
	const struct timespec timeout = { .tv_sec = (time_t)(wait / CPROF_NS_PER_S),
					  .tv_nsec = (long)(wait % CPROF_NS_PER_S) };
	if (ppoll(engine->fds, n, &timeout, NULL) <= 0) {
		for (size_t i = 0; i < n; i++)
			engine->fds[i].revents = 0;
	}
}

static uint64_t due(const struct engine *engine)
{
	uint64_t due = least(cprof_target_set_due_mono_ns(engine->set),
			     cprof_service_manager_due_mono_ns(&engine->manager));
	due = least(due, engine->end_mono_ns);
	due = least(due, cprof_metrics_server_due_mono_ns(engine->told->metrics));
	for (size_t i = 0; i < engine->n; i++)
		due = least(due, engine->all[i]->clean_until_ns ? engine->all[i]->clean_until_ns
								: engine->all[i]->due_mono_ns);
	return due;
}

/* SIGHUP. False: the caller begins anew. */
static bool look_again(struct engine *engine)
{
	uint64_t count;
	if (read(engine->told->again_fd, &count, sizeof(count)) < 0)
		return true;
	cprof_service_manager_tell(&engine->manager, "RELOADING=1");
	const struct cprof_target_rules *rules = engine->told->again(engine->told->ctx);
	if (!rules)
		return false;
	engine->rules = rules;
	cprof_target_set_again(engine->set, rules);
	cprof_service_manager_tell(&engine->manager, "READY=1");
	return true;
}

static void run_all(struct engine *engine)
{
	const uint64_t now = cprof_clock_mono_ns();
	for (size_t i = 0; i < engine->n; i++)
		cprof_followed_run(engine->all[i], now);
	for (size_t i = 0; i < engine->n; i++)
		cprof_followed_cut(engine->all[i]);
	forget_over(engine);
	engine->told->look(engine->told->ctx);
	cprof_work_reap(engine->watch_fd);
}

static void answer(struct engine *engine)
{
	cprof_metrics_server_run(engine->told->metrics, &engine->fds[engine->metrics_fds],
				 engine->n_fds - engine->metrics_fds);
}

/* False: it is to end. */
static bool turn(struct engine *engine)
{
	if (!make_room(engine)) {
		engine->failure = cprof_error_no_memory();
		return false;
	}
	wait_for(engine, due(engine));
	if (engine->fds[0].revents || cprof_clock_mono_ns() >= engine->end_mono_ns)
		return false;
	if (engine->fds[1].revents && !look_again(engine))
		return false;
	cprof_service_manager_run(&engine->manager, cprof_clock_mono_ns());
	cprof_target_set_run(engine->set, cprof_clock_mono_ns());
	run_all(engine);
	answer(engine);
	return !nobody_left(engine);
}

/* The last windows of all, and each target as it was found. */
static void end(struct engine *engine)
{
	const uint64_t until = cprof_clock_mono_ns() + END_NS;
	engine->ending = true;
	cprof_service_manager_tell(&engine->manager, "STOPPING=1");
	for (size_t i = 0; i < engine->n; i++) {
		if (!engine->all[i]->gone)
			cprof_followed_finish(engine->all[i], false);
	}
	while (engine->n && (cprof_clock_mono_ns() < until || any_cleans(engine)) &&
	       make_room(engine)) {
		run_all(engine);
		if (!engine->n)
			break;
		wait_for(engine, cprof_clock_mono_ns() + END_RETRY_NS);
		answer(engine);
	}
	if (engine->n)
		say(engine, "warning: the last windows of %zu processes were not ready in time",
		    engine->n);
}

/* ---- life ---- */

static struct cprof_error *find_modes(struct engine *engine)
{
	size_t n = 0;
	for (const char *at = engine->told->modes; *at; at += strcspn(at, ","), at += *at == ',') {
		CPROF_AUTO(free) char *name = strndup(at, strcspn(at, ","));
		if (!name)
			return cprof_error_no_memory();
		if (n == CPROF_FOLLOWED_MODES)
			return cprof_error_new(CPROF_ERR_USAGE, "more than %d modes",
					       CPROF_FOLLOWED_MODES);
		struct cprof_error *err = cprof_mode_find(name, &engine->modes[n]);
		for (size_t i = 0; i < n && !err; i++) {
			if (engine->modes[i] == engine->modes[n])
				err = cprof_error_new(CPROF_ERR_USAGE, "mode %s is there twice",
						      name);
		}
		if (err)
			return err;
		n++;
	}
	engine->shared.n_modes = n;
	return n ? NULL : cprof_error_new(CPROF_ERR_USAGE, "no mode is named");
}

static struct cprof_error *open_engine(struct engine *engine)
{
	const struct cprof_target_set_events events = { on_came, on_went, on_say, engine };
	struct cprof_error *err = find_modes(engine);
	if (!err)
		err = cprof_work_watch(&engine->watch_fd);
	if (err)
		return err;
	uname(&engine->host);
	engine->shared.modes = engine->modes;
	engine->shared.requests = engine->told->requests;
	engine->shared.naming = engine->told->naming;
	engine->shared.threads = engine->told->threads;
	engine->shared.request_labels = engine->told->request_labels;
	engine->shared.command_line = engine->told->command_line;
	engine->shared.host = engine->host.nodename;
	engine->shared.every_ns = engine->told->every_ns;
	engine->shared.recordings_max = RECORDINGS_MAX;
	engine->shared.works_max = WORKS_MAX;
	engine->shared.window = on_window;
	engine->shared.trouble = on_trouble;
	engine->shared.ctx = engine;
	return cprof_target_set_open(engine->rules, &events, &engine->set);
}

static void close_engine(struct engine *engine)
{
	for (size_t i = 0; i < engine->n; i++) {
		cprof_followed_deinit(engine->all[i]);
		free(engine->all[i]);
	}
	cprof_target_set_close(engine->set);
	free(engine->all);
	free(engine->fds);
	if (engine->watch_fd >= 0)
		close(engine->watch_fd);
}

struct cprof_error *cprof_continuous_run(const struct cprof_continuous *told,
					 struct cprof_continuous_counts *counts)
{
	struct engine engine = { .told = told,
				 .counts = counts,
				 .rules = told->rules,
				 .watch_fd = -1,
				 .end_mono_ns = told->length_ns
							? cprof_clock_mono_ns() + told->length_ns
							: UINT64_MAX };
	struct cprof_error *err = open_engine(&engine);
	if (!err) {
		cprof_service_manager_open(&engine.manager);
		cprof_service_manager_tell(&engine.manager, "READY=1");
		while (turn(&engine))
			;
		end(&engine);
		err = engine.failure;
		cprof_service_manager_close(&engine.manager);
	}
	close_engine(&engine);
	return err;
}
