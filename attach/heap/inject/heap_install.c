#include "attach/heap/inject/heap_install.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "attach/heap/inject/heap_claim.h"
#include "attach/heap/inject/heap_pages.h"
#include "attach/heap/inject/heap_plan.h"
#include "attach/heap/inject/heap_restore.h"
#include "attach/heap/inject/heap_sharers.h"
#include "attach/heap/inject/heap_threads.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define STOP_TIMEOUT_NS (500 * 1000000ull)
#define ATTACH_TRIES    8
#define DETACH_TRIES    60

static void nap_ms(unsigned ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
	nanosleep(&ts, NULL);
}

void cprof_heap_install_init(struct cprof_heap_install *install, struct cprof_target *target,
			     struct cprof_maps *maps, struct cprof_modules *modules)
{
	*install =
		(struct cprof_heap_install){ .target = target, .maps = maps, .modules = modules };
}

void cprof_heap_install_deinit(struct cprof_heap_install *install)
{
	for (uint32_t i = 0; i < CPROF_HEAP_IMAGES_MAX; i++)
		free(install->images[i].copy);
	for (size_t i = 0; i < install->n_hooks; i++)
		free(install->hooks[i].refused);
	free(install->hooks);
	cprof_alloc_entries_deinit(&install->entries);
	*install = (struct cprof_heap_install){ 0 };
}

/* ---- jumps ---- */

static struct cprof_error *stop(struct cprof_heap_install *install, struct cprof_ptrace *trace,
				bool suspend_seccomp)
{
	const struct cprof_ptrace_options options = { .timeout_ns = STOP_TIMEOUT_NS,
						      .suspend_seccomp = suspend_seccomp };
	return cprof_ptrace_stop(trace, install->target->pid, &options);
}

/* Does the mapping that the patch was planned for still lie there? */
static bool same_place(const struct cprof_heap_install *install, const struct cprof_shim_patch *row)
{
	const struct cprof_map *map = cprof_maps_find(install->maps, row->addr);
	return map && map->start == row->map_start && map->dev == row->map_dev &&
	       map->inode == row->map_inode && map->offset == row->map_offset;
}

static struct cprof_error *changed(const struct cprof_heap_install *install)
{
	return cprof_error_new(CPROF_ERR_UNSUPPORTED,
			       "process %d changed its code while it was being looked at",
			       (int)install->target->pid);
}

/* Where a jump takes the place of a jump, the first byte is not ours to write: 1. */
static size_t first_changed(const struct cprof_patch *patch)
{
	return patch->original[0] == patch->patched[0];
}

/* The code is still what was relocated. */
static struct cprof_error *check_code(const struct cprof_heap_install *install,
				      const struct cprof_ptrace *trace)
{
	for (size_t i = install->n_done; i < install->n_hooks; i++) {
		const struct cprof_heap_hook *hook = &install->hooks[i];
		uint8_t now[8];
		if (hook->refused)
			continue;
		struct cprof_shim_patch row = cprof_heap_plan_row(hook);
		if (!same_place(install, &row))
			return changed(install);
		struct cprof_error *err = cprof_ptrace_read(trace, row.addr, now, sizeof(now));
		if (err)
			return err;
		size_t from = first_changed(&hook->patch);
		if (memcmp(now + from, row.original + from, sizeof(now) - from) != 0)
			return changed(install);
	}
	return NULL;
}

static struct cprof_shim_range interior(const struct cprof_patch *patch)
{
	return (struct cprof_shim_range){ patch->addr + 1, patch->addr + patch->displaced };
}

/* Would somebody come back from a signal handler into the middle of a jump? */
static bool awaited(const struct cprof_heap_install *install, const struct cprof_ptrace *trace)
{
	struct cprof_shim_range ranges[CPROF_SHIM_MAX_ENTRIES];
	size_t n = 0;
	for (size_t i = install->n_done; i < install->n_hooks && n < CPROF_SHIM_MAX_ENTRIES; i++) {
		if (!install->hooks[i].refused)
			ranges[n++] = interior(&install->hooks[i].patch);
	}
	return cprof_heap_threads_return_into(trace, install->maps, ranges, n);
}

/* Threads in the first instructions go on in the copies of these, which are there already. */
static struct cprof_error *move_threads(struct cprof_heap_install *install,
					struct cprof_ptrace *trace)
{
	for (size_t t = 0; t < trace->n; t++) {
		struct cprof_tracee *thread = &trace->threads[t];
		if (thread->state != CPROF_TRACEE_STOPPED)
			continue;
		for (size_t i = install->n_done; i < install->n_hooks; i++) {
			const struct cprof_heap_hook *hook = &install->hooks[i];
			if (hook->refused)
				continue;
			struct user_regs_struct regs = thread->regs;
			regs.rip = cprof_patch_move(&hook->patch, hook->trampoline, regs.rip);
			if (regs.rip == thread->regs.rip)
				continue;
			struct cprof_error *err = cprof_ptrace_set_regs(thread, &regs);
			if (err)
				return err;
			install->moved++;
		}
	}
	return NULL;
}

/* free before malloc: a sampled block must not be freed unseen. `first`: only these kinds. */
static struct cprof_error *jump(struct cprof_heap_install *install,
				const struct cprof_ptrace *trace, bool frees)
{
	for (size_t i = install->n_done; i < install->n_hooks; i++) {
		const struct cprof_heap_hook *hook = &install->hooks[i];
		if (hook->refused || cprof_shim_frees(hook->entry.kind) != frees)
			continue;
		size_t from = first_changed(&hook->patch);
		struct cprof_error *err =
			cprof_ptrace_poke(trace, hook->patch.addr + from,
					  hook->patch.patched + from, CPROF_PATCH_JUMP - from);
		if (err)
			return err;
		install->patched++;
	}
	return NULL;
}

/* ---- attach ---- */

/* The threads' ids as they know them. In our own PID namespace these are the ones we know: no file to read for each. */
static uint32_t *ns_tids_of(const struct cprof_heap_install *install,
			    const struct cprof_ptrace *trace)
{
	bool same = install->target->ns_pid == install->target->pid;
	uint32_t *tids = calloc(trace->n + 1, sizeof(*tids));
	for (size_t i = 0; tids && i < trace->n; i++) {
		if (trace->threads[i].state == CPROF_TRACEE_STOPPED)
			tids[i] =
				same ? (uint32_t)trace->threads[i].tid
				     : cprof_heap_threads_ns_tid(trace->pid, trace->threads[i].tid);
	}
	return tids;
}

/* Stubs find their slot by the thread pointer; a thread without one would fault there. */
static struct cprof_error *check_threads(const struct cprof_ptrace *trace)
{
	for (size_t i = 0; i < trace->n; i++) {
		const struct cprof_tracee *thread = &trace->threads[i];
		uint64_t self = 0;
		if (thread->state != CPROF_TRACEE_STOPPED)
			continue;
		struct cprof_error *err =
			cprof_ptrace_read(trace, thread->regs.fs_base, &self, sizeof(self));
		cprof_error_free(err);
		if (err || self != thread->regs.fs_base || !self)
			return cprof_error_new(CPROF_ERR_UNSUPPORTED,
					       "thread %d has no thread pointer as the x86-64 ABI "
					       "wants it",
					       (int)thread->tid);
	}
	return NULL;
}

static struct cprof_error *change(struct cprof_heap_install *install, struct cprof_ptrace *trace,
				  struct cprof_remote *remote, const uint32_t *ns_tids,
				  uint32_t tid_offset)
{
	for (uint32_t i = 0; i < install->n_images; i++)
		install->images[i].copy->tid_offset = tid_offset;
	struct cprof_error *err = cprof_heap_pages_map(install, trace, remote);
	if (!err)
		err = cprof_heap_pages_fill(install, trace, ns_tids, tid_offset);
	/* From here on the borrowed thread is itself again: it may be one that has to be moved. */
	if (err)
		cprof_heap_pages_unmap(install, remote);
	cprof_remote_end(remote);
	if (err)
		return err;
	err = move_threads(install, trace);
	if (!err)
		err = jump(install, trace, true);
	if (!err)
		err = jump(install, trace, false);
	install->attached = true; /* also on error: what was changed must be put back */
	install->n_done = install->n_hooks;
	return err;
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
		err = check_threads(trace);
	if (!err)
		err = check_code(install, trace);
	if (err)
		return err;
	if (awaited(install, trace)) {
		*ret_again = true;
		return cprof_error_new(
			CPROF_ERR_UNSUPPORTED,
			"a thread of process %d is in a signal handler that interrupted "
			"the allocator at its first instructions",
			(int)trace->pid);
	}
	CPROF_AUTO(free) uint32_t *ns_tids = ns_tids_of(install, trace);
	if (!ns_tids)
		return cprof_error_no_memory();
	uint32_t tid_offset = cprof_heap_threads_tid_offset(trace, ns_tids);

	struct cprof_remote remote;
	err = cprof_remote_begin(&remote, trace, &install->gadgets, install->maps);
	if (err) {
		*ret_again = err->code == CPROF_ERR_UNSUPPORTED;
		return err;
	}
	err = cprof_heap_pages_permitted(install, trace, &remote);
	if (err) {
		cprof_remote_end(&remote);
		return err;
	}
	return change(install, trace, &remote, ns_tids, tid_offset);
}

static struct cprof_error *attach_once(struct cprof_heap_install *install, bool suspend_seccomp,
				       bool *ret_again)
{
	struct cprof_ptrace trace;
	struct cprof_error *err = stop(install, &trace, suspend_seccomp);
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

static bool any_new(const struct cprof_heap_install *install)
{
	for (size_t i = install->n_done; i < install->n_hooks; i++) {
		if (!install->hooks[i].refused)
			return true;
	}
	return false;
}

struct cprof_error *cprof_heap_attach(struct cprof_heap_install *install,
				      const struct cprof_heap_install_options *options)
{
	struct cprof_error *err = cprof_maps_refresh(install->maps);
	if (!err)
		err = cprof_heap_claim_check(install->maps);
	if (!err)
		err = check_sharers(install);
	if (!err)
		err = cprof_heap_plan(install, options);
	if (!err && !any_new(install)) {
		install->n_done = install->n_hooks;
		return NULL; /* nothing is to be injected: all is watched by other means */
	}
	for (unsigned try = 0; !err && try < ATTACH_TRIES; try++) {
		bool again = false;
		err = attach_once(install, options->suspend_seccomp, &again);
		if (!err || !again || try + 1 == ATTACH_TRIES)
			break;
		cprof_error_free(err);
		err = NULL;
		nap_ms(20u << try);
	}
	if (err && install->attached)
		cprof_error_free(cprof_heap_detach(install, NULL, NULL));
	return err;
}

/* It runs another program now, or another thing lies where we were. */
static bool gone(const struct cprof_heap_install *install)
{
	uint64_t head[2];
	const struct cprof_heap_image *image = &install->images[0];
	const struct cprof_map *map = cprof_maps_find(install->maps, image->addr);
	if (!map || map->start != image->addr ||
	    !cprof_heap_read(install, image->addr, head, sizeof(head)))
		return true;
	return head[0] != image->copy->magic;
}

/* ---- allocators that come later ---- */

/* The code mappings once more: stubs in use are as they were, and nothing leads to the new ones yet. */
static struct cprof_error *rewrite_images(const struct cprof_heap_install *install,
					  const struct cprof_ptrace *trace)
{
	for (uint32_t i = 0; i < install->n_images; i++) {
		struct cprof_error *err =
			cprof_ptrace_write(trace, install->images[i].addr, install->images[i].copy,
					   install->image_bytes);
		if (err)
			return err;
	}
	return NULL;
}

static struct cprof_error *extend_stopped(struct cprof_heap_install *install,
					  struct cprof_ptrace *trace)
{
	struct cprof_error *err = cprof_maps_refresh(install->maps);
	if (!err && gone(install))
		return cprof_error_new(CPROF_ERR_NO_TARGET, "process %d runs another program",
				       (int)install->target->pid);
	if (!err)
		err = check_code(install, trace);
	if (!err && awaited(install, trace))
		err = cprof_error_new(CPROF_ERR_UNSUPPORTED, "a signal handler is in the way");
	if (!err)
		err = rewrite_images(install, trace);
	if (!err)
		err = move_threads(install, trace);
	if (!err)
		err = jump(install, trace, true);
	if (!err)
		err = jump(install, trace, false);
	return err;
}

struct cprof_error *cprof_heap_extend(struct cprof_heap_install *install)
{
	struct cprof_error *err = cprof_heap_plan_more(install);
	if (err)
		return err;
	if (!any_new(install)) {
		install->n_done = install->n_hooks;
		return NULL;
	}
	struct cprof_ptrace trace;
	err = stop(install, &trace, false);
	if (err)
		return err;
	err = extend_stopped(install, &trace);
	cprof_ptrace_resume(&trace);
	if (trace.pause_ns > install->attach_ns)
		install->attach_ns = trace.pause_ns;
	/* What did not work once (the object went away meanwhile) is not tried every second. */
	for (size_t i = install->n_done; err && i < install->n_hooks; i++) {
		if (!install->hooks[i].refused)
			install->hooks[i].refused = strdup(err->message);
	}
	install->n_done = install->n_hooks;
	return err;
}

/* ---- detach ---- */

static struct cprof_error *restore(struct cprof_heap_install *install,
				   const struct cprof_ptrace *trace,
				   const struct cprof_shim_patch *row)
{
	enum cprof_heap_restored what = CPROF_HEAP_RESTORE_NOT_OURS;
	struct cprof_error *err = NULL;
	if (same_place(install, row))
		err = cprof_heap_restore(trace, row, &what);
	install->restored += !err && what == CPROF_HEAP_RESTORE_DONE;
	install->lost_objects += !err && what == CPROF_HEAP_RESTORE_NOT_OURS;
	return err;
}

static struct cprof_error *restore_all(struct cprof_heap_install *install,
				       const struct cprof_ptrace *trace)
{
	struct cprof_error *first = NULL;
	for (uint32_t i = 0; i < install->n_images; i++) {
		const struct cprof_shim_image *image = install->images[i].copy;
		/* malloc before free, the other way round than they came: rows are by address, so two passes. */
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

/* Why the pages cannot be unmapped now: somebody is in our code, or on the way back into it. NULL: they can. */
static const char *occupied(const struct cprof_heap_install *install,
			    const struct cprof_ptrace *trace)
{
	struct cprof_shim_range ranges[CPROF_HEAP_IMAGES_MAX];
	uint64_t in_flight = 0;
	for (uint32_t i = 0; i < install->n_images; i++)
		ranges[i] =
			(struct cprof_shim_range){ install->images[i].addr,
						   install->images[i].addr + install->image_bytes };
	if (install->data_mapped &&
	    !cprof_heap_read(install,
			     install->data + offsetof(struct cprof_shim_data, control.in_flight),
			     &in_flight, sizeof(in_flight)))
		return "its counters cannot be read";
	if (in_flight)
		return "a sampled allocation is still under way";
	if (cprof_heap_threads_run_in(trace, ranges, install->n_images))
		return "a thread executes it";
	if (cprof_heap_threads_return_into(trace, install->maps, ranges, install->n_images))
		return "a thread will return into it from a signal handler";
	return NULL;
}

static struct cprof_error *detach_stopped(struct cprof_heap_install *install,
					  struct cprof_ptrace *trace, cprof_heap_final **final,
					  void *ctx, bool *ret_again)
{
	*ret_again = false;
	struct cprof_error *err = cprof_maps_refresh(install->maps);
	if (err)
		return err;
	if (gone(install)) {
		install->data_mapped = install->attached = false;
		return NULL;
	}
	/* A run that was killed while it unmapped leaves a thread that still does so a moment later. */
	if (!cprof_maps_find(install->maps, install->data))
		install->data_mapped = false;
	err = restore_all(install, trace);
	if (!err && *final) {
		err = (*final)(ctx);
		*final = NULL;
	}
	if (err)
		return err;
	install->kept_why = occupied(install, trace);
	if (install->kept_why) {
		*ret_again = true;
		return NULL;
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
	cprof_heap_pages_unmap(install, &remote);
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

struct cprof_error *cprof_heap_detach(struct cprof_heap_install *install, cprof_heap_final *final,
				      void *ctx)
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
