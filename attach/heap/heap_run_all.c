/* SPDX-License-Identifier: Apache-2.0 */
/* All processes of one heap profile: in one window and one session, each by itself (heap_run.c). */
#include "attach/heap/heap_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "attach/heap/heap_apart.h"
#include "attach/heap/heap_method.h"
#include "attach/heap/heap_rows.h"
#include "attach/heap/heap_run_impl.h"
#include "attach/heap/heap_snapshot.h"
#include "attach/run/quiet.h"

#define NICENESS     (-10)
#define POLL_NS      (10 * 1000000ull)
#define POLL_BUSY_NS (1 * 1000000ull)
#define QUIET_PERIOD                                                                               \
	(64u << 10) /* bytes between samples: with fewer, a burst fills the cells at once */

/* All that are profiled together. They share the session and the window. */
struct heaps {
	const struct cprof_run *run; /* as it was asked for */
	const struct cprof_heap_request *request;
	struct cprof_heap_apart apart;
	struct cprof_session *session;
	struct cprof_heap_run *all; /* owned; apart.n, in that order */
	struct cprof_heap_oom oom;
	bool hurries; /* what reads the samples, which was as nice as that before: */
	int niceness;
};

/* As long as one is left, what goes wrong with another is said, and that one is looked at no more. */
static struct cprof_error *look_at_all(struct heaps *heaps, size_t *ret_samples)
{
	struct cprof_error *err = NULL;
	*ret_samples = 0;
	for (size_t i = 0; !err && i < heaps->apart.n; i++) {
		struct cprof_heap_run *heap = &heaps->all[i];
		size_t n = 0;
		if (!heap->watched || heaps->apart.all[i].out ||
		    cprof_heap_sources_over(&heap->sources))
			continue;
		err = cprof_heap_run_look(heap, &n);
		if (err)
			err = cprof_heap_apart_leave_out(&heaps->apart, i, err);
		if (n > *ret_samples)
			*ret_samples = n;
	}
	cprof_heap_apart_count(&heaps->apart);
	return err;
}

static bool all_over(const struct heaps *heaps)
{
	for (size_t i = 0; i < heaps->apart.n; i++) {
		if (heaps->all[i].watched && !heaps->apart.all[i].out &&
		    !cprof_heap_sources_over(&heaps->all[i].sources))
			return false;
	}
	return true;
}

static struct cprof_error *finish(struct heaps *heaps, struct cprof_profile **ret_profile)
{
	for (size_t i = 0; i < heaps->apart.n; i++) {
		struct cprof_error *err =
			heaps->all[i].watched ? cprof_heap_run_add(&heaps->all[i]) : NULL;
		if (err)
			return err;
	}
	cprof_heap_apart_count(&heaps->apart);
	cprof_heap_apart_gather(&heaps->apart);
	return cprof_session_finish(heaps->session, "space", "bytes",
				    (int64_t)heaps->request->period_bytes, "inuse_space",
				    ret_profile);
}

static struct cprof_error *look_at_the_living(struct heaps *heaps)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < heaps->apart.n; i++) {
		struct cprof_heap_run *heap = &heaps->all[i];
		cprof_target_mem_begin(&heap->process->mem);
		if (heap->watched && !cprof_heap_sources_over(&heap->sources))
			err = cprof_heap_run_look_at_the_living(heap);
	}
	return err;
}

/* In a copy of this process, while the allocators are watched on; the target's tables are read, nothing else. */
static struct cprof_error *finish_so_far(void *ctx, struct cprof_profile **ret_profile)
{
	struct heaps *heaps = ctx;
	if (heaps->hurries) /* names and lines are in nobody's way */
		setpriority(PRIO_PROCESS, 0, heaps->niceness);
	struct cprof_error *err = look_at_the_living(heaps);
	if (err)
		return err;
	for (size_t i = 0; i < heaps->apart.n; i++)
		cprof_heap_profile_settle(&heaps->all[i].profile, &heaps->all[i].alive);
	return finish(heaps, ret_profile);
}

/* ---- the run ---- */

/*
 * Whoever reads sleeps most of the time, but where he has to stand behind all others for a processor the cells are full meanwhile, and a leak is
 * told by a few samples. Where it is permitted (CAP_SYS_NICE).
 */
static void hurry(struct heaps *heaps)
{
	errno = 0;
	heaps->niceness = getpriority(PRIO_PROCESS, 0);
	heaps->hurries = heaps->request->history_ns && !errno && heaps->niceness > NICENESS &&
			 setpriority(PRIO_PROCESS, 0, NICENESS) == 0;
}

static struct cprof_error *sample_window(struct heaps *heaps)
{
	struct cprof_window *window = heaps->run->window;
	uint64_t wait_ns = POLL_BUSY_NS; /* how much there is to do is not known yet */
	uint64_t seen = 0;
	struct cprof_quiet quiet = { 0 };
	struct cprof_error *err = NULL;

	cprof_window_start(window);
	while (!err && !all_over(heaps) &&
	       cprof_window_wait(window, NULL, 0, wait_ns, &heaps->run->log->counts)) {
		size_t n = 0;
		err = look_at_all(heaps, &n);
		if (!err)
			err = cprof_snapshots_take(window->snapshots, finish_so_far, heaps);
		if (!err && cprof_heap_oom_look(&heaps->oom, finish_so_far, heaps))
			err = look_at_the_living(heaps);
		/* Nearly full once means that it may be full the next time: look again at once. */
		wait_ns = n > CPROF_SHIM_CELLS / 4    ? 0
			  : n > CPROF_SHIM_CELLS / 64 ? POLL_BUSY_NS
						      : POLL_NS;
		seen += n;
		if (wait_ns == POLL_NS && window->snapshots &&
		    heaps->request->period_bytes >= QUIET_PERIOD)
			wait_ns = cprof_quiet_wait_ns(&quiet, seen, wait_ns);
		if (wait_ns)
			cprof_session_prefetch(heaps->session);
	}
	return err;
}

static struct cprof_error *sample(struct heaps *heaps)
{
	hurry(heaps);
	struct cprof_error *err = sample_window(heaps);
	if (heaps->hurries)
		setpriority(PRIO_PROCESS, 0, heaps->niceness);
	heaps->hurries = false;
	return err;
}

/* One after the other; those that are watched already are not left unread for so long. */
static struct cprof_error *attach_all(struct heaps *heaps)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < heaps->apart.n; i++) {
		size_t n;
		err = cprof_heap_run_attach(&heaps->all[i]);
		if (err)
			err = cprof_heap_apart_leave_out(&heaps->apart, i, err);
		if (!err && i + 1 < heaps->apart.n)
			err = look_at_all(heaps, &n);
	}
	return err;
}

/* `lost`: there is an error, and only what is in the targets matters. */
static struct cprof_error *detach_all(struct heaps *heaps, bool lost)
{
	const bool wanted = !lost && cprof_snapshots_want_last(heaps->run->window->snapshots);
	struct cprof_error *first = NULL;
	for (size_t i = 0; i < heaps->apart.n; i++) {
		struct cprof_heap_run *heap = &heaps->all[i];
		const bool out = heaps->apart.all[i].out;
		if (!heap->watched)
			continue;
		struct cprof_error *err = cprof_heap_run_detach(heap, wanted && !out);
		if (err && !out && !first)
			err = cprof_heap_apart_leave_out(&heaps->apart, i, err);
		if (wanted && heaps->apart.all[i].out)
			cprof_heap_profile_settle(&heap->profile, &heap->alive);
		if (err && !first)
			first = err;
		else
			cprof_error_free(err);
	}
	return first;
}

/* Where there is no profile to say it in. */
static void tell_kept(struct heaps *heaps)
{
	bool kept = false;
	for (size_t i = 0; i < heaps->apart.n; i++)
		kept |= heaps->all[i].sources.install.page_kept;
	if (kept)
		cprof_heap_apart_gather(&heaps->apart);
}

static struct cprof_error *profile_heaps(struct heaps *heaps, struct cprof_profile **ret_profile)
{
	*ret_profile = NULL;
	struct cprof_error *err = attach_all(heaps);
	if (!err)
		err = cprof_heap_oom_open(&heaps->oom, &heaps->request->on_oom,
					  heaps->apart.targets, heaps->apart.n, heaps->run->log);
	if (!err)
		err = sample(heaps);
	struct cprof_error *out = detach_all(heaps, err != NULL);
	cprof_heap_oom_end(&heaps->oom);
	cprof_heap_oom_close(&heaps->oom);
	if (err)
		cprof_error_free(out);
	else
		err = out;
	if (err || !cprof_snapshots_want_last(heaps->run->window->snapshots)) {
		tell_kept(heaps);
		return err;
	}
	return finish(heaps, ret_profile);
}

void cprof_heap_promise(const struct cprof_heap_request *request, char *text, size_t n)
{
	const struct cprof_heap_method *method;
	struct cprof_error *err = cprof_heap_method_find(request->method, &method);
	*text = 0;
	if (!err && method->injects && !request->snapshot)
		snprintf(
			text, n,
			"threads of a process will be stopped once or twice; at most %d times for the attach "
			"and %d for the detach, and whoever has not come within %llu ms is not "
			"waited for (%llu ms where the machine gives it no processor, or there are thousands)",
			CPROF_HEAP_INSTALL_ATTACH_STOPS, CPROF_HEAP_INSTALL_DETACH_STOPS,
			CPROF_STOP_SERIES_NS / 1000000, CPROF_STOP_SERIES_STARVED_NS / 1000000);
	cprof_error_free(err);
}

/* ---- all of them ---- */

static struct cprof_error *open_session(struct heaps *heaps)
{
	return cprof_session_new(&heaps->apart.joined, cprof_heap_types,
				 heaps->request->history_ns ? CPROF_HEAP_TYPES
							    : CPROF_HEAP_TYPES_PLAIN,
				 &heaps->session);
}

static void begin(struct heaps *heaps, size_t i, const struct cprof_heap_method *method)
{
	struct cprof_heap_one *one = &heaps->apart.all[i];
	struct cprof_heap_run *heap = &heaps->all[i];
	*heap = (struct cprof_heap_run){
		.run = &one->run,
		.request = heaps->request,
		.session = heaps->session,
		.process = cprof_session_process_at(heaps->session, i),
		.share = 1.0 / (double)heaps->apart.n,
		.label_pid = cprof_heap_apart_several(&heaps->apart) && heaps->apart.n == 1,
	};
	cprof_heap_before_init(&heap->before, heap->session, heap->process, one->run.log);
	cprof_heap_sources_init(&heap->sources, method, one->target, &heap->process->maps,
				cprof_session_modules(heaps->session), one->run.log);
}

static void end(struct cprof_heap_run *heap)
{
	cprof_heap_before_deinit(&heap->before);
	cprof_map64_deinit(&heap->alive);
	cprof_heap_history_deinit(&heap->history);
	cprof_heap_since_deinit(&heap->since);
	cprof_heap_profile_deinit(&heap->profile);
	cprof_heap_mmap_close(heap->mmap);
	cprof_heap_sources_deinit(&heap->sources);
}

static struct cprof_error *run_apart(struct heaps *heaps, const struct cprof_heap_method *method,
				     struct cprof_profile **ret_profile)
{
	struct cprof_error *err = open_session(heaps);
	if (err)
		return cprof_heap_run_explain(heaps->apart.targets[0], err);
	heaps->all = calloc(heaps->apart.n, sizeof(*heaps->all));
	if (!heaps->all)
		err = cprof_error_no_memory();
	for (size_t i = 0; !err && i < heaps->apart.n; i++)
		begin(heaps, i, method);
	if (!err)
		err = profile_heaps(heaps, ret_profile);
	for (size_t i = 0; heaps->all && i < heaps->apart.n; i++)
		end(&heaps->all[i]);
	free(heaps->all);
	cprof_session_free(heaps->session);
	return err;
}

struct cprof_error *cprof_heap_run(const struct cprof_run *run,
				   const struct cprof_heap_request *request,
				   struct cprof_profile **ret_profile)
{
	struct heaps heaps = { .run = run, .request = request };
	if (run->targets[0]->launched)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_UNSUPPORTED,
					"-mode heap attaches to a running process, and %s has not "
					"begun yet",
					run->targets[0]->comm),
			"start it, then give -p PID");
	if (request->snapshot)
		return cprof_heap_snapshot(run, ret_profile);
	const struct cprof_heap_method *method;
	struct cprof_error *err = cprof_heap_method_find(request->method, &method);
	if (!err)
		err = cprof_heap_apart_init(&heaps.apart, run);
	if (err)
		return cprof_heap_run_explain(run->targets[0], err);
	err = run_apart(&heaps, method, ret_profile);
	cprof_heap_apart_deinit(&heaps.apart);
	return err;
}
