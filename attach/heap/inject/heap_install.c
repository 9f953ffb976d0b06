/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_install.h"

#include <asm/hwcap2.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <sys/auxv.h>
#include <time.h>

#include "attach/heap/inject/heap_claim.h"
#include "attach/heap/inject/heap_jump.h"
#include "attach/heap/inject/heap_occupied.h"
#include "attach/heap/inject/heap_plan.h"
#include "attach/heap/inject/heap_restore.h"
#include "attach/heap/inject/heap_sharers.h"
#include "attach/heap/inject/heap_threads.h"
#include "attach/target/thread_look.h"
#include "base/cleanup.h"
#include "base/clock.h"

/* For a thread that hangs in the kernel, while all run. The detach keeps a user waiting who pressed Ctrl-C. */
#define CALM_NS   (3 * CPROF_NS_PER_S)
#define END_TURNS 200u /* of 5 ms */

#define SEARCHES      5u
#define DEAD_MAX      256u /* stacks; leftovers on others may keep the pages */
#define SEARCH_NAP_NS 50000000
#define SEARCH_BYTES  (4ull << 30)

void cprof_heap_install_init(struct cprof_heap_install *install, struct cprof_target *target,
			     struct cprof_maps *maps, struct cprof_heap_hooks *hooks)
{
	*install = (struct cprof_heap_install){ .target = target, .maps = maps, .hooks = hooks };
	cprof_heap_pages_init(&install->pages, target, maps);
}

void cprof_heap_install_deinit(struct cprof_heap_install *install)
{
	cprof_tracer_deinit(&install->tracer);
	cprof_heap_pages_deinit(&install->pages);
	*install = (struct cprof_heap_install){ 0 };
}

static struct cprof_stop_series series(struct cprof_heap_install *install,
				       struct cprof_stop_tally *tally, unsigned stops_max,
				       uint64_t calm_ns)
{
	return (struct cprof_stop_series){ .target = install->target,
					   .tracer = &install->tracer,
					   .tally = tally,
					   .stops_max = stops_max,
					   .calm_ns = calm_ns };
}

/* Borrow a thread for the calls that map and unmap, or for those that unmap. */
static struct cprof_error *borrow(struct cprof_heap_install *install, struct cprof_ptrace *trace,
				  bool map, struct cprof_remote *remote, bool *ret_again)
{
	struct cprof_seccomp_call all[CPROF_HEAP_PAGES_CALLS_MAX];
	const struct cprof_remote_calls calls = { all, cprof_heap_pages_calls(&install->pages, map,
									      all) };
	return cprof_remote_begin(remote, trace, &install->gadgets, install->maps, &calls,
				  ret_again);
}

/* ---- attach ---- */

static struct cprof_error *change(struct cprof_heap_install *install, struct cprof_ptrace *trace,
				  struct cprof_remote *remote)
{
	struct cprof_heap_pages *pages = &install->pages;
	cprof_heap_lasting_begin(&pages->lasting, install->maps, trace);
	struct cprof_error *err = cprof_heap_pages_map(pages, trace, remote);
	if (!err)
		err = cprof_heap_pages_fill(pages, trace);
	/* From here on the borrowed thread is itself again: it may be one that has to be moved. */
	if (err)
		cprof_heap_pages_unmap(pages, remote);
	cprof_remote_end(remote);
	/* Also on error: what was changed must be put back, and what could not be unmapped, or may come yet, must go. */
	install->attached = !err || cprof_heap_pages_any(pages);
	if (err)
		return err;
	if (!cprof_ptrace_all_stopped(trace))
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "a thread of process %d that made system calls for us has "
				       "not come back to where it was",
				       (int)trace->pid);
	return cprof_heap_jump_put(install->hooks, trace, &install->patched);
}

static struct cprof_error *attach_stopped(void *ctx, struct cprof_ptrace *trace, bool *ret_again)
{
	struct cprof_heap_install *install = ctx;
	struct cprof_error *err = cprof_maps_refresh(install->maps);
	if (!err)
		err = cprof_heap_claim_check(install->maps);
	if (!err)
		err = cprof_heap_jump_check(install->hooks, trace);
	if (err)
		return err;
	if (cprof_heap_jump_awaited(install->hooks, trace)) {
		*ret_again = true;
		return cprof_error_new(
			CPROF_ERR_UNSUPPORTED,
			"process %d is in a signal handler, or keeps a fiber, that was interrupted "
			"in the first instructions of the allocator",
			(int)trace->pid);
	}
	struct cprof_remote remote;
	err = borrow(install, trace, true, &remote, ret_again);
	return err ? err : change(install, trace, &remote);
}

static struct cprof_error *check_sharers(const struct cprof_heap_install *install)
{
	pid_t sharer = cprof_heap_sharer(install->target->pid);
	if (!sharer)
		return NULL;
	struct cprof_thread_look look;
	cprof_thread_look_take(install->target->pid, &look);
	const pid_t parent = cprof_thread_look_vforks(install->target->pid, &look);
	if (parent)
		return cprof_thread_look_hangs(install->target->pid, parent);
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_UNSUPPORTED,
				"process %d shares its memory with process %d, which is no thread "
				"of it and would run on while its code is changed",
				(int)install->target->pid, (int)sharer);
	return cprof_error_hint(err, "it was made by clone with CLONE_VM; try when it has ended");
}

/* Stubs ask the processor for the thread pointer: to read it where it points to could fault (a thread without one). */
static struct cprof_error *check_processor(void)
{
	if (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE)
		return NULL;
	return cprof_error_new(CPROF_ERR_UNSUPPORTED,
			       "this kernel or processor does not let programs read the thread "
			       "pointer by rdfsbase (Linux 5.9, and Intel since 2012 or AMD since "
			       "2014 do)");
}

struct cprof_error *cprof_heap_install_plan(struct cprof_heap_install *install,
					    const struct cprof_heap_install_options *options)
{
	struct cprof_error *err = check_processor();
	if (!err)
		err = cprof_maps_refresh(install->maps);
	if (!err)
		err = cprof_heap_claim_check(install->maps);
	if (!err)
		err = check_sharers(install);
	if (!err)
		err = cprof_remote_find_gadgets(install->maps, &install->gadgets);
	if (!err)
		err = cprof_heap_hooks_find(install->hooks, options->pools);
	if (!err)
		err = cprof_switch_sites_find(&install->pages.lasting.switches, install->maps,
					      install->hooks->modules);
	if (!err)
		err = cprof_heap_plan(install->hooks, &install->pages, options->period,
				      &options->sizes);
	return err;
}

struct cprof_error *cprof_heap_install_attach(struct cprof_heap_install *install)
{
	struct cprof_error *err = cprof_heap_hooks_check(install->hooks);
	if (err)
		return err;
	cprof_heap_plan_enter(install->hooks, &install->pages);
	install->n_entered = install->hooks->n;
	if (!cprof_heap_hooks_any_planned(install->hooks))
		return NULL; /* nothing is to be injected: all is watched by other means */
	struct cprof_stop_series stops =
		series(install, &install->attach_stops, CPROF_HEAP_INSTALL_ATTACH_STOPS, CALM_NS);
	err = cprof_stop_series_run(&stops, attach_stopped, install);
	if (!err || !install->attached)
		return err;
	cprof_error_free(cprof_heap_install_detach(install, NULL, NULL));
	return install->attached
		       ? cprof_error_hint(err,
					  "some of what was to be injected is there still, asleep "
					  "and harmless; remove it with cprof-attach -repair %d",
					  (int)install->target->pid)
		       : err;
}

/* ---- allocators that come later ---- */

/* Whatever is in the way: there is another try in a second. */
static struct cprof_error *extend_stopped(void *ctx, struct cprof_ptrace *trace, bool *ret_again)
{
	struct cprof_heap_install *install = ctx;
	(void)ret_again;
	struct cprof_error *err = cprof_maps_refresh(install->maps);
	if (!err && cprof_heap_pages_gone(&install->pages))
		return cprof_error_new(CPROF_ERR_NO_TARGET, "process %d runs another program",
				       (int)install->target->pid);
	if (!err)
		err = cprof_heap_jump_check(install->hooks, trace);
	if (!err && cprof_heap_jump_awaited(install->hooks, trace))
		err = cprof_error_new(CPROF_ERR_UNSUPPORTED, "a signal handler is in the way");
	if (!err)
		err = cprof_heap_pages_rewrite(&install->pages, trace);
	return err ? err : cprof_heap_jump_put(install->hooks, trace, &install->patched);
}

struct cprof_error *cprof_heap_install_plan_more(struct cprof_heap_install *install)
{
	const size_t from = install->hooks->n;
	struct cprof_error *err = cprof_heap_hooks_find_more(install->hooks);
	return err ? err : cprof_heap_plan_more(install->hooks, &install->pages, from);
}

struct cprof_error *cprof_heap_install_extend(struct cprof_heap_install *install)
{
	struct cprof_heap_hooks *hooks = install->hooks;
	cprof_heap_plan_enter_more(hooks, &install->pages, install->n_entered);
	install->n_entered = hooks->n;
	if (!cprof_heap_hooks_any_planned(hooks))
		return NULL;
	struct cprof_stop_series stops = series(install, &install->attach_stops, 1, 0);
	struct cprof_error *err = cprof_stop_series_run(&stops, extend_stopped, install);
	if (err && stops.unstopped)
		return err;
	/* What did not work once (the object went away meanwhile) is not tried every second. */
	for (size_t i = 0; err && i < hooks->n; i++) {
		if (hooks->all[i].state == CPROF_HEAP_HOOK_PLANNED)
			cprof_heap_hook_refuse(&hooks->all[i], err->message);
	}
	return err;
}

/* ---- detach ---- */

static struct cprof_error *restore(struct cprof_heap_install *install,
				   const struct cprof_ptrace *trace,
				   const struct cprof_shim_patch *row)
{
	enum cprof_heap_restored what = CPROF_HEAP_RESTORE_NOT_OURS;
	struct cprof_error *err = NULL;
	if (cprof_heap_restore_same_place(install->maps, row))
		err = cprof_heap_restore(trace, row, &what);
	install->restored += !err && what == CPROF_HEAP_RESTORE_DONE;
	install->lost_objects += !err && what == CPROF_HEAP_RESTORE_NOT_OURS;
	return err;
}

/* Whatever fails: the rest is put back all the same, in any order, since nobody runs meanwhile. */
static struct cprof_error *restore_all(struct cprof_heap_install *install,
				       const struct cprof_ptrace *trace)
{
	struct cprof_error *first = NULL;
	for (uint32_t i = 0; i < install->pages.n_images; i++) {
		const struct cprof_shim_image *image = install->pages.images[i].copy;
		for (uint32_t p = 0; p < image->n_patches && p < CPROF_SHIM_MAX_ENTRIES; p++) {
			struct cprof_error *err = restore(install, trace, &image->patches[p]);
			if (!first)
				first = err;
			else
				cprof_error_free(err);
		}
	}
	return first;
}

struct detach {
	struct cprof_heap_install *install;
	cprof_heap_final *final; /* NULL once it was called */
	void *ctx;
	bool empty;     /* nobody was inside at a stop, and nothing led there any more */
	bool searched;  /* all memory: nobody was interrupted in our code and put aside */
	bool to_search; /* there is too much of it to be looked at in a stop */
	struct cprof_shim_range dead[DEAD_MAX]; /* at the last stop */
	size_t n_dead;
};

static void note_kept(struct cprof_heap_install *install, const char *why)
{
	snprintf(install->kept_why, sizeof(install->kept_why), "%s", why ? why : "");
}

static const char put_aside[] = "a fiber that a signal interrupted in it is kept to go on later";

static const char *search_stopped(struct detach *detach, const struct cprof_ptrace *trace)
{
	detach->n_dead =
		cprof_heap_threads_dead(trace, detach->install->maps, detach->dead, DEAD_MAX);
	switch (cprof_heap_occupied_scan(&detach->install->pages, detach->dead, detach->n_dead,
					 CPROF_HEAP_SCAN_IN_STOP)) {
	case CPROF_HEAP_SCAN_TOO_MUCH:
		detach->to_search = true;
		return put_aside;
	case CPROF_HEAP_SCAN_FOUND:
		return put_aside;
	case CPROF_HEAP_SCAN_NOTHING:
		break;
	}
	return NULL;
}

/*
 * While the threads run: nothing leads to our code any more, so whoever was put aside in it is there, or has gone on. More than
 * so many gigabytes are not looked at.
 */
static void search_running(struct detach *detach)
{
	const struct timespec nap = { .tv_nsec = SEARCH_NAP_NS };
	for (unsigned turn = 0; turn < SEARCHES && !detach->searched; turn++) {
		if (turn)
			nanosleep(&nap, NULL);
		detach->searched = cprof_heap_occupied_scan(&detach->install->pages, detach->dead,
							    detach->n_dead,
							    SEARCH_BYTES) != CPROF_HEAP_SCAN_FOUND;
	}
}

/* The jumps are gone; the pages, to which nothing leads, may have to stay. */
static struct cprof_error *unmap_stopped(struct detach *detach, struct cprof_ptrace *trace,
					 bool *ret_again)
{
	struct cprof_heap_install *install = detach->install;
	const char *why = detach->empty ? NULL : cprof_heap_occupied(&install->pages, trace);
	if (!why && !detach->empty && !detach->searched && cprof_heap_scan_is_needed(trace->pid))
		why = search_stopped(detach, trace);
	detach->empty = !why;
	note_kept(install, why);
	*ret_again = why && !detach->to_search;
	if (why)
		return cprof_heap_pages_retire(&install->pages, trace);
	struct cprof_remote remote;
	struct cprof_error *err = borrow(install, trace, false, &remote, ret_again);
	if (err && (err->code == CPROF_ERR_UNSUPPORTED || err->code == CPROF_ERR_DENIED)) {
		note_kept(install, err->message);
		cprof_error_free(err);
		return cprof_heap_pages_retire(&install->pages, trace);
	}
	if (err)
		return err;
	cprof_heap_pages_unmap(&install->pages, &remote);
	cprof_remote_end(&remote);
	if (cprof_heap_pages_any(&install->pages)) {
		/* Its thread may do it yet; the next stop finds what is left. What is just going takes no mark. */
		note_kept(install, "a thread did not come back in time from unmapping it");
		*ret_again = true;
		cprof_error_free(cprof_heap_pages_retire(&install->pages, trace));
		return NULL;
	}
	cprof_remote_clear_slack(trace, install->maps);
	install->attached = false;
	return NULL;
}

static struct cprof_error *detach_stopped(void *ctx, struct cprof_ptrace *trace, bool *ret_again)
{
	struct detach *detach = ctx;
	struct cprof_heap_install *install = detach->install;
	struct cprof_heap_pages *pages = &install->pages;
	struct cprof_error *err = cprof_maps_refresh(install->maps);
	if (err)
		return err;
	if (cprof_heap_pages_gone(pages)) {
		pages->data_mapped = false;
		install->attached = false;
		return NULL;
	}
	/* A run that was killed while it unmapped leaves a thread that still does so a moment later. */
	cprof_heap_pages_look(pages);
	err = restore_all(install, trace);
	if (!err && detach->final) {
		err = detach->final(detach->ctx);
		detach->final = NULL;
	}
	return err ? err : unmap_stopped(detach, trace, ret_again);
}

/*
 * The target has ended: nothing is left to put back. Not believed for an error's sake alone, for then all would stay in a
 * process that lives; one that is being killed is gone a moment after its threads.
 */
static bool is_end(const struct cprof_heap_install *install, const struct cprof_error *err)
{
	const struct timespec moment = { .tv_nsec = 5000000 };
	for (unsigned turn = 0; err->code == CPROF_ERR_NO_TARGET && turn < END_TURNS &&
				cprof_target_alive(install->target);
	     turn++)
		nanosleep(&moment, NULL);
	return !cprof_target_alive(install->target);
}

/* What is in place works and does nothing from now on. Somebody else may take it out when the reason is gone. */
static struct cprof_error *leave_asleep(struct cprof_heap_install *install, struct cprof_error *err)
{
	cprof_heap_pages_put_to_sleep(&install->pages);
	/* A stop before may have put all bytes back, and only the pages were to go. */
	install->jumps_kept = install->restored < install->patched || !install->patched;
	/* What a stop found says more than that a later one failed. */
	if (install->jumps_kept || !install->kept_why[0])
		note_kept(install, err->message);
	cprof_error_free(err);
	return NULL;
}

/* It failed otherwise, which no try again would mend. */
static struct cprof_error *tell_left(struct cprof_heap_install *install, struct cprof_error *err)
{
	cprof_heap_pages_put_to_sleep(&install->pages);
	return cprof_error_hint(
		cprof_error_wrap(err, "take out of process %d what was injected",
				 (int)install->target->pid),
		"what is left there is asleep and harmless; remove it with cprof-attach -repair %d",
		(int)install->target->pid);
}

struct cprof_error *cprof_heap_install_detach(struct cprof_heap_install *install,
					      cprof_heap_final *final, void *ctx)
{
	struct detach detach = { .install = install, .final = final, .ctx = ctx };
	struct cprof_stop_series stops =
		series(install, &install->detach_stops, CPROF_HEAP_INSTALL_DETACH_STOPS, CALM_NS);
	struct cprof_error *err =
		install->attached ? cprof_stop_series_run(&stops, detach_stopped, &detach) : NULL;
	if (!err && detach.to_search && install->attached)
		search_running(&detach);
	if (!err && detach.to_search && detach.searched) {
		detach.to_search = false;
		err = cprof_stop_series_run(&stops, detach_stopped, &detach);
	}
	if (err && is_end(install, err)) {
		cprof_error_free(err);
		err = NULL;
		install->attached = false;
	}
	/* The last look is before the shim is put to sleep: what sleeps looks like one that could not keep up. */
	struct cprof_error *last = detach.final ? detach.final(ctx) : NULL;
	if (err && stops.unstopped)
		err = leave_asleep(install, err);
	else if (err && install->attached)
		err = tell_left(install, err);
	install->page_kept = install->attached && !err;
	if (!err)
		return last;
	cprof_error_free(last);
	return err;
}
