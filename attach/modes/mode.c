/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/modes/mode.h"

#include <string.h>
#include <strings.h>

#include "attach/heap/heap_repair.h"
#include "attach/threads/thread_births.h"
#include "attach/waits/wait_run.h"
#include "attach/wall/wall_run.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/options.h"
#include "cprof/buffer.h"

const struct cprof_mode_requests cprof_mode_defaults = {
	.cpu = { .event = "cpu-clock", .rate_hz = 100, .stack_bytes = 32768, .strategy = "auto" },
	.heap = { .period_bytes = 512 * 1024, .method = "auto" },
	.waits = { .method = "auto", .stack_bytes = 32768 },
	.threads = { .repeat = 1, .every_ns = CPROF_NS_PER_S, .means = "auto" },
	.wall = { .rate_hz = 100, .stack_bytes = 32768, .method = "auto", .strategy = "auto" },
};

static struct cprof_error *run_cpu(const struct cprof_run *run,
				   const struct cprof_mode_requests *requests,
				   struct cprof_profile **ret_profile)
{
	return cprof_cpu_run(run, &requests->cpu, ret_profile);
}

static struct cprof_error *run_cpu_shared(struct cprof_cpu_shared *shared,
					  const struct cprof_mode_requests *requests)
{
	shared->request = &requests->cpu;
	return cprof_cpu_run_shared(shared);
}

static bool can_share_cpu(const struct cprof_mode_requests *requests)
{
	return cprof_cpu_run_can_share(&requests->cpu);
}

static void promise_heap(const struct cprof_mode_requests *requests, char *text, size_t n)
{
	cprof_heap_promise(&requests->heap, text, n);
}

static bool is_heap_snapshot(const struct cprof_mode_requests *requests)
{
	return requests->heap.snapshot;
}

static struct cprof_error *run_heap(const struct cprof_run *run,
				    const struct cprof_mode_requests *requests,
				    struct cprof_profile **ret_profile)
{
	return cprof_heap_run(run, &requests->heap, ret_profile);
}

static struct cprof_error *clean_heap(pid_t pid, struct cprof_buffer *kept)
{
	struct cprof_heap_repair done = { 0 };
	struct cprof_error *err = cprof_heap_repair(pid, &done);
	if (!err && kept && done.shim.page_kept)
		cprof_buffer_puts(kept, done.shim.kept_why);
	return err;
}

static struct cprof_error *run_block(const struct cprof_run *run,
				     const struct cprof_mode_requests *requests,
				     struct cprof_profile **ret_profile)
{
	struct cprof_wait_request request = requests->waits;
	request.releases = false;
	return cprof_wait_run(run, &request, ret_profile);
}

static struct cprof_error *run_mutex(const struct cprof_run *run,
				     const struct cprof_mode_requests *requests,
				     struct cprof_profile **ret_profile)
{
	struct cprof_wait_request request = requests->waits;
	request.releases = true;
	return cprof_wait_run(run, &request, ret_profile);
}

static struct cprof_error *run_threads(const struct cprof_run *run,
				       const struct cprof_mode_requests *requests,
				       struct cprof_profile **ret_profile)
{
	return cprof_threads_run(run, &requests->threads, ret_profile);
}

static struct cprof_error *run_wall(const struct cprof_run *run,
				    const struct cprof_mode_requests *requests,
				    struct cprof_profile **ret_profile)
{
	return cprof_wall_run(run, &requests->wall, ret_profile);
}

static struct cprof_error *run_births(const struct cprof_run *run,
				      const struct cprof_mode_requests *requests,
				      struct cprof_profile **ret_profile)
{
	(void)requests;
	return cprof_thread_births_run(run, ret_profile);
}

const struct cprof_mode cprof_modes[] = {
	{ .name = "cpu",
	  .has_requests = true,
	  .looks_back = true,
	  .summary = "where processor time (or another -event) goes",
	  .has_times = true,
	  .tells_times = true,
	  .run = run_cpu,
	  .run_shared = run_cpu_shared,
	  .can_share = can_share_cpu },
	{ .name = "heap",
	  .summary = "who allocates memory, and what of it is in use",
	  .apart = true,
	  .no_threads = true,
	  .effect = CPROF_RUN_CHANGES,
	  .alters_target = true,
	  .only_looks = is_heap_snapshot,
	  .clean = clean_heap,
	  .promise = promise_heap,
	  .run = run_heap },
	{ .name = "block",
	  .has_requests = true,
	  .looks_back = true,
	  .has_times = true,
	  .summary = "where threads wait: locks first, idle waits apart",
	  .max_targets = 1,
	  .effect = CPROF_RUN_LOOKS,
	  .run = run_block },
	{ .name = "mutex",
	  .has_requests = true,
	  .looks_back = true,
	  .has_times = true,
	  .summary = "who makes others wait, by the stack that released the lock",
	  .max_targets = 1,
	  .effect = CPROF_RUN_LOOKS,
	  .run = run_mutex },
	{ .name = "wall",
	  .has_requests = true,
	  .looks_back = true,
	  .windows = true,
	  .has_times = true,
	  .tells_times = true,
	  .summary = "where all of every thread's time goes, on a CPU and off it",
	  .max_targets = CPROF_WALL_PROCESSES_MAX,
	  .effect = CPROF_RUN_LOOKS,
	  .run = run_wall },
	{ .name = "threads",
	  .summary = "every thread's stack now, without stopping it; deadlocks",
	  .instant = true,
	  .has_text = true,
	  .effect = CPROF_RUN_LOOKS,
	  .run = run_threads },
	{ .name = "threadcreate",
	  .summary = "who starts threads, by the stack that did",
	  .effect = CPROF_RUN_LOOKS,
	  .run = run_births },
};
const size_t cprof_n_modes = sizeof(cprof_modes) / sizeof(cprof_modes[0]);

static bool only_looks(const struct cprof_mode *mode, const struct cprof_mode_requests *requests)
{
	return mode->only_looks && mode->only_looks(requests);
}

bool cprof_mode_is_instant(const struct cprof_mode *mode,
			   const struct cprof_mode_requests *requests)
{
	return mode->instant || only_looks(mode, requests);
}

struct cprof_error *cprof_mode_run(const struct cprof_mode *mode, const struct cprof_run *run,
				   const struct cprof_mode_requests *requests,
				   struct cprof_profile **ret_profile)
{
	const bool looks = only_looks(mode, requests);
	struct cprof_error *err =
		mode->apart && !looks
			? NULL
			: cprof_run_check_runner(run, looks ? CPROF_RUN_LOOKS : mode->effect);
	return err ? err : mode->run(run, requests, ret_profile);
}

/* What other tools call these. */
static const struct cprof_option_habit habits[] = {
	{ "offcpu off-cpu wait waits blocking sleep io", "did you mean -mode block?" },
	{ "wallclock wall-clock fgprof idle gil latency", "did you mean -mode wall?" },
	{ "memory mem malloc alloc allocs allocations leak leaks native nativemem",
	  "did you mean -mode heap?" },
	{ "lock locks contention", "did you mean -mode mutex?" },
	{ "oncpu on-cpu profile time itimer ctimer cycles perf", "did you mean -mode cpu?" },
	{ "thread stack stacks goroutine goroutines dump jstack bt backtrace deadlock",
	  "did you mean -mode threads?" },
};

struct cprof_error *cprof_mode_find(const char *name, const struct cprof_mode **ret_mode)
{
	const char *names[sizeof(cprof_modes) / sizeof(cprof_modes[0])];
	const char *written = NULL; /* but for capital letters */
	CPROF_AUTO(buffer) struct cprof_buffer all = { 0 };
	for (size_t i = 0; i < cprof_n_modes; i++) {
		if (strcmp(cprof_modes[i].name, name) == 0) {
			*ret_mode = &cprof_modes[i];
			return NULL;
		}
		if (strcasecmp(cprof_modes[i].name, name) == 0)
			written = cprof_modes[i].name;
		names[i] = cprof_modes[i].name;
		cprof_buffer_printf(&all, "%s%s", i ? ", " : "", names[i]);
	}
	struct cprof_error *err = cprof_error_new(CPROF_ERR_USAGE, "unknown mode \"%s\"", name);
	const char *habit = cprof_options_habit(habits, sizeof(habits) / sizeof(habits[0]), name);
	if (habit)
		return cprof_error_hint(err, "%s", habit);
	const char *nearest = written ? written : cprof_options_nearest(name, names, cprof_n_modes);
	if (nearest)
		return cprof_error_hint(err, "did you mean -mode %s?", nearest);
	return cprof_error_hint(err, "modes are %s", cprof_buffer_text(&all));
}
