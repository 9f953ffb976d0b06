/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_jump.h"

#include <string.h>

#include "attach/heap/inject/heap_restore.h"
#include "attach/heap/inject/heap_scan.h"
#include "attach/heap/inject/heap_threads.h"

static struct cprof_error *changed(const struct cprof_heap_hooks *hooks)
{
	return cprof_error_new(CPROF_ERR_UNSUPPORTED,
			       "process %d changed its code while it was being looked at",
			       (int)hooks->target->pid);
}

/* Where a jump takes the place of a jump, the first byte is not ours to write: 1. */
static size_t first_changed(const struct cprof_patch *patch)
{
	return patch->original[0] == patch->patched[0];
}

struct cprof_error *cprof_heap_jump_check(const struct cprof_heap_hooks *hooks,
					  const struct cprof_ptrace *trace)
{
	for (size_t i = 0; i < hooks->n; i++) {
		const struct cprof_heap_hook *hook = &hooks->all[i];
		uint8_t now[8];
		if (hook->state != CPROF_HEAP_HOOK_PLANNED)
			continue;
		struct cprof_shim_patch row = cprof_heap_hook_row(hook);
		if (!cprof_heap_restore_same_place(hooks->maps, &row))
			return changed(hooks);
		struct cprof_error *err = cprof_ptrace_read(trace, row.addr, now, sizeof(now));
		if (err)
			return err;
		size_t from = first_changed(&hook->patch);
		if (memcmp(now + from, row.original + from, sizeof(now) - from) != 0)
			return changed(hooks);
	}
	return NULL;
}

static struct cprof_shim_range interior(const struct cprof_patch *patch)
{
	return (struct cprof_shim_range){ patch->addr + 1, patch->addr + patch->displaced };
}

static size_t interiors(const struct cprof_heap_hooks *hooks,
			struct cprof_shim_range ranges[CPROF_SHIM_MAX_ENTRIES])
{
	size_t n = 0;
	for (size_t i = 0; i < hooks->n && n < CPROF_SHIM_MAX_ENTRIES; i++) {
		if (hooks->all[i].state == CPROF_HEAP_HOOK_PLANNED)
			ranges[n++] = interior(&hooks->all[i].patch);
	}
	return n;
}

/* Has a fiber been interrupted there and put aside, in a process of a size that allows to look? */
static bool put_aside(const struct cprof_heap_hooks *hooks, const struct cprof_shim_range *ranges,
		      size_t n)
{
	const struct cprof_heap_scan scan = { .alone = ranges,
					      .n_alone = n,
					      .bytes_max = CPROF_HEAP_SCAN_IN_STOP };
	return cprof_heap_scan_is_needed(hooks->target->pid) &&
	       cprof_heap_scan(hooks->target, hooks->maps, &scan) == CPROF_HEAP_SCAN_FOUND;
}

bool cprof_heap_jump_awaited(const struct cprof_heap_hooks *hooks, const struct cprof_ptrace *trace)
{
	struct cprof_shim_range ranges[CPROF_SHIM_MAX_ENTRIES];
	size_t n = interiors(hooks, ranges);
	return cprof_heap_threads_return_into(trace, hooks->maps, ranges, n) ||
	       put_aside(hooks, ranges, n);
}

static struct cprof_error *move_threads(const struct cprof_heap_hooks *hooks,
					struct cprof_ptrace *trace)
{
	for (size_t t = 0; t < trace->n; t++) {
		struct cprof_tracee *thread = &trace->threads[t];
		if (thread->state != CPROF_TRACEE_STOPPED)
			continue;
		for (size_t i = 0; i < hooks->n; i++) {
			const struct cprof_heap_hook *hook = &hooks->all[i];
			if (hook->state != CPROF_HEAP_HOOK_PLANNED)
				continue;
			struct user_regs_struct regs = thread->regs;
			regs.rip = cprof_patch_move(&hook->patch, hook->trampoline, regs.rip);
			if (regs.rip == thread->regs.rip)
				continue;
			struct cprof_error *err = cprof_ptrace_set_regs(thread, &regs);
			if (err)
				return err;
		}
	}
	return NULL;
}

/* Those of the functions that free, or those of the others. */
static struct cprof_error *jump(struct cprof_heap_hooks *hooks, const struct cprof_ptrace *trace,
				bool frees, uint32_t *patched)
{
	for (size_t i = 0; i < hooks->n; i++) {
		struct cprof_heap_hook *hook = &hooks->all[i];
		if (hook->state != CPROF_HEAP_HOOK_PLANNED ||
		    cprof_shim_frees(hook->entry.kind) != frees)
			continue;
		size_t from = first_changed(&hook->patch);
		struct cprof_error *err =
			cprof_ptrace_poke(trace, hook->patch.addr + from,
					  hook->patch.patched + from, CPROF_PATCH_JUMP - from);
		if (err)
			return err;
		hook->state = CPROF_HEAP_HOOK_PATCHED;
		++*patched;
	}
	return NULL;
}

/* free before malloc: should we get no further in between, then no sampled block is freed unseen. */
struct cprof_error *cprof_heap_jump_put(struct cprof_heap_hooks *hooks, struct cprof_ptrace *trace,
					uint32_t *patched)
{
	struct cprof_error *err = move_threads(hooks, trace);
	if (!err)
		err = jump(hooks, trace, true, patched);
	if (!err)
		err = jump(hooks, trace, false, patched);
	return err;
}
