#include "attach/heap/inject/heap_install.h"

#include <stdlib.h>
#include <time.h>

#include "attach/heap/inject/heap_claim.h"
#include "attach/heap/inject/heap_jump.h"
#include "attach/heap/inject/heap_occupied.h"
#include "attach/heap/inject/heap_plan.h"
#include "attach/heap/inject/heap_restore.h"
#include "attach/heap/inject/heap_sharers.h"
#include "attach/heap/inject/heap_threads.h"
#include "base/cleanup.h"

#define STOP_TIMEOUT_NS (500 * 1000000ull)
#define ATTACH_TRIES    8
#define DETACH_TRIES    60

static void nap_ms(unsigned ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
	nanosleep(&ts, NULL);
}

void cprof_heap_install_init(struct cprof_heap_install *install, struct cprof_target *target,
			     struct cprof_maps *maps, struct cprof_heap_hooks *hooks)
{
	*install = (struct cprof_heap_install){ .target = target, .maps = maps, .hooks = hooks };
	cprof_heap_pages_init(&install->pages, target, maps);
}

void cprof_heap_install_deinit(struct cprof_heap_install *install)
{
	cprof_heap_pages_deinit(&install->pages);
	*install = (struct cprof_heap_install){ 0 };
}

static struct cprof_error *stop(struct cprof_heap_install *install, struct cprof_ptrace *trace,
				bool suspend_seccomp)
{
	const struct cprof_ptrace_options options = { .timeout_ns = STOP_TIMEOUT_NS,
						      .suspend_seccomp = suspend_seccomp };
	return cprof_ptrace_stop(trace, install->target->pid, &options);
}

/* ---- attach ---- */

static struct cprof_error *change(struct cprof_heap_install *install, struct cprof_ptrace *trace,
				  struct cprof_remote *remote)
{
	struct cprof_heap_pages *pages = &install->pages;
	struct cprof_error *err = cprof_heap_pages_map(pages, trace, remote);
	if (!err)
		err = cprof_heap_pages_fill(pages, trace);
	/* From here on the borrowed thread is itself again: it may be one that has to be moved. */
	if (err)
		cprof_heap_pages_unmap(pages, remote);
	cprof_remote_end(remote);
	if (err)
		return err;
	install->attached = true; /* also on error: what was changed must be put back */
	return cprof_heap_jump_put(install->hooks, trace, &install->patched);
}

/* With all threads stopped. *ret_again: not now, but soon. */
static struct cprof_error *attach_stopped(struct cprof_heap_install *install,
					  struct cprof_ptrace *trace, bool *ret_again)
{
	*ret_again = false;
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
			"a thread of process %d is in a signal handler that interrupted "
			"the allocator at its first instructions",
			(int)trace->pid);
	}
	struct cprof_remote remote;
	err = cprof_remote_begin(&remote, trace, &install->gadgets, install->maps);
	if (err) {
		*ret_again = err->code == CPROF_ERR_UNSUPPORTED;
		return err;
	}
	err = cprof_heap_pages_permitted(&install->pages, trace, &remote);
	if (err) {
		cprof_remote_end(&remote);
		return err;
	}
	return change(install, trace, &remote);
}

static struct cprof_error *attach_once(struct cprof_heap_install *install, bool *ret_again)
{
	struct cprof_ptrace trace;
	struct cprof_error *err = stop(install, &trace, install->suspend_seccomp);
	if (err) {
		*ret_again = err->code == CPROF_ERR_UNSUPPORTED;
		return err;
	}
	err = attach_stopped(install, &trace, ret_again);
	cprof_ptrace_resume(&trace);
	if (trace.pause_ns > install->attach_ns)
		install->attach_ns = trace.pause_ns;
	return err;
}

static struct cprof_error *check_sharers(const struct cprof_heap_install *install)
{
	pid_t sharer = cprof_heap_sharer(install->target->pid);
	if (!sharer)
		return NULL;
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_UNSUPPORTED,
				"process %d shares its memory with process %d, which is no thread "
				"of it and would run on while its code is changed",
				(int)install->target->pid, (int)sharer);
	return cprof_error_hint(err, "it was made by clone with CLONE_VM; try when it has ended");
}

struct cprof_error *cprof_heap_install_plan(struct cprof_heap_install *install,
					    const struct cprof_heap_install_options *options)
{
	install->suspend_seccomp = options->suspend_seccomp;
	struct cprof_error *err = cprof_maps_refresh(install->maps);
	if (!err)
		err = cprof_heap_claim_check(install->maps);
	if (!err)
		err = check_sharers(install);
	if (!err)
		err = cprof_remote_find_gadgets(install->maps, &install->gadgets);
	if (!err)
		err = cprof_heap_hooks_find(install->hooks, options->pools);
	if (!err)
		err = cprof_heap_plan(install->hooks, &install->pages, options->period);
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
	for (unsigned try = 0; try < ATTACH_TRIES; try++) {
		bool again = false;
		err = attach_once(install, &again);
		if (!err || !again || try + 1 == ATTACH_TRIES)
			break;
		cprof_error_free(err);
		err = NULL;
		nap_ms(20u << try);
	}
	if (err && install->attached)
		cprof_error_free(cprof_heap_install_detach(install, NULL, NULL));
	return err;
}

/* ---- allocators that come later ---- */

static struct cprof_error *extend_stopped(struct cprof_heap_install *install,
					  struct cprof_ptrace *trace)
{
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
	struct cprof_ptrace trace;
	struct cprof_error *err = stop(install, &trace, false);
	if (err)
		return err;
	err = extend_stopped(install, &trace);
	cprof_ptrace_resume(&trace);
	if (trace.pause_ns > install->attach_ns)
		install->attach_ns = trace.pause_ns;
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

static struct cprof_error *detach_stopped(struct cprof_heap_install *install,
					  struct cprof_ptrace *trace, cprof_heap_final **final,
					  void *ctx, bool *ret_again)
{
	struct cprof_heap_pages *pages = &install->pages;
	*ret_again = false;
	struct cprof_error *err = cprof_maps_refresh(install->maps);
	if (err)
		return err;
	if (cprof_heap_pages_gone(pages)) {
		pages->data_mapped = false;
		install->attached = false;
		return NULL;
	}
	/* A run that was killed while it unmapped leaves a thread that still does so a moment later. */
	if (!cprof_maps_find(install->maps, pages->data))
		pages->data_mapped = false;
	err = restore_all(install, trace);
	if (!err && *final) {
		err = (*final)(ctx);
		*final = NULL;
	}
	if (err)
		return err;
	install->kept_why = cprof_heap_occupied(pages, trace);
	if (install->kept_why) {
		*ret_again = true;
		return cprof_heap_pages_retire(pages, trace);
	}
	struct cprof_remote remote;
	err = cprof_remote_begin(&remote, trace, &install->gadgets, install->maps);
	if (err) {
		*ret_again = err->code == CPROF_ERR_UNSUPPORTED;
		if (*ret_again) {
			install->kept_why = "no thread could be borrowed to unmap it";
			cprof_error_free(err);
			err = NULL;
		}
		return err;
	}
	cprof_heap_pages_unmap(pages, &remote);
	cprof_remote_end(&remote);
	cprof_remote_clear_slack(trace, install->maps);
	install->attached = false;
	return NULL;
}

/* The target has ended: nothing is left to put back. */
static bool is_end(const struct cprof_heap_install *install, const struct cprof_error *err)
{
	return err->code == CPROF_ERR_NO_TARGET || !cprof_target_alive(install->target);
}

struct cprof_error *cprof_heap_install_detach(struct cprof_heap_install *install,
					      cprof_heap_final *final, void *ctx)
{
	struct cprof_error *err = NULL;
	bool again = install->attached;

	for (unsigned try = 0; again && try < DETACH_TRIES; try++) {
		if (try)
			nap_ms(try < 10 ? 2 : 20);
		struct cprof_ptrace trace;
		err = stop(install, &trace, true);
		if (err) {
			again = err->code == CPROF_ERR_UNSUPPORTED;
			if (!again || try + 1 == DETACH_TRIES)
				break;
			cprof_error_free(err);
			err = NULL;
			continue;
		}
		err = detach_stopped(install, &trace, &final, ctx, &again);
		cprof_ptrace_resume(&trace);
		if (trace.pause_ns > install->detach_ns)
			install->detach_ns = trace.pause_ns;
	}
	if (err && is_end(install, err)) {
		cprof_error_free(err);
		err = NULL;
		install->attached = false;
	}
	install->page_kept = install->attached && !err;
	if (final) {
		struct cprof_error *last = final(ctx);
		if (err)
			cprof_error_free(last);
		else
			err = last;
	}
	return err;
}
