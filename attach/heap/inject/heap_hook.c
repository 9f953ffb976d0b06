/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_hook.h"

#include <stdlib.h>
#include <string.h>

#include "attach/heap/alloc/pool_find.h"
#include "attach/heap/inject/heap_extent.h"
#include "base/array.h"

/* ---- one ---- */

static void set_reason(struct cprof_heap_hook *hook, const char *why)
{
	char *copy = why ? strdup(why) : NULL; /* `why` may be what is there */
	free(hook->reason);
	hook->reason = copy;
}

void cprof_heap_hook_refuse(struct cprof_heap_hook *hook, const char *why)
{
	set_reason(hook, why);
	if (hook->state != CPROF_HEAP_HOOK_NO_STUB)
		hook->state = CPROF_HEAP_HOOK_REFUSED;
}

void cprof_heap_hook_refuse_for_stubs(struct cprof_heap_hook *hook)
{
	set_reason(hook, "there are more functions of its kind than stubs");
	hook->state = CPROF_HEAP_HOOK_NO_STUB;
}

void cprof_heap_hook_set(struct cprof_heap_hook *hook, enum cprof_heap_hook_state state)
{
	set_reason(hook, NULL);
	hook->state = state;
}

const char *cprof_heap_hook_reason(const struct cprof_heap_hook *hook)
{
	if (hook->state == CPROF_HEAP_HOOK_PLANNED)
		return "it came too late";
	return hook->reason ? hook->reason : "?";
}

struct cprof_shim_patch cprof_heap_hook_row(const struct cprof_heap_hook *hook)
{
	const struct cprof_map *map = hook->entry.map;
	struct cprof_shim_patch row = {
		.addr = hook->patch.addr,
		.map_start = map->start,
		.map_dev = map->dev,
		.map_inode = map->inode,
		.map_offset = map->offset,
		.len = CPROF_PATCH_JUMP,
	};
	memcpy(row.original, hook->patch.original, sizeof(row.original));
	memcpy(row.patched, hook->patch.patched, sizeof(row.patched));
	return row;
}

/* ---- all ---- */

void cprof_heap_hooks_init(struct cprof_heap_hooks *hooks, struct cprof_target *target,
			   struct cprof_maps *maps, struct cprof_modules *modules)
{
	*hooks = (struct cprof_heap_hooks){ .target = target, .maps = maps, .modules = modules };
}

void cprof_heap_hooks_deinit(struct cprof_heap_hooks *hooks)
{
	for (size_t i = 0; i < hooks->n; i++)
		free(hooks->all[i].reason);
	free(hooks->all);
	cprof_alloc_entries_deinit(&hooks->entries);
	*hooks = (struct cprof_heap_hooks){ 0 };
}

static int by_address(const void *a_, const void *b_)
{
	const struct cprof_heap_hook *a = a_, *b = b_;
	return a->entry.addr < b->entry.addr ? -1 : a->entry.addr > b->entry.addr;
}

/* For the entries that have none yet. */
static struct cprof_error *add_hooks(struct cprof_heap_hooks *hooks, size_t known)
{
	const struct cprof_alloc_entries *entries = &hooks->entries;
	if (!CPROF_ARRAY_ROOM(hooks->all, hooks->n, hooks->cap, entries->n - known))
		return cprof_error_no_memory();
	for (size_t i = known; i < entries->n; i++) {
		struct cprof_heap_hook *hook = &hooks->all[hooks->n++];
		*hook = (struct cprof_heap_hook){ .entry = entries->all[i] };
		if (hook->entry.why_not)
			cprof_heap_hook_refuse(hook, hook->entry.why_not);
	}
	return NULL;
}

static struct cprof_error *nothing(const struct cprof_heap_hooks *hooks)
{
	for (size_t i = 0; i < hooks->n; i++) {
		const struct cprof_heap_hook *hook = &hooks->all[i];
		if (cprof_heap_hook_is_refused(hook) && !cprof_shim_frees(hook->entry.kind))
			return cprof_error_hint(
				cprof_error_new(CPROF_ERR_UNSUPPORTED,
						"no allocator of process %d can be hooked; %s: %s",
						(int)hooks->target->pid, hook->entry.name,
						cprof_heap_hook_reason(hook)),
				"where uprobes are permitted, -heap-method uprobe watches them");
	}
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_UNSUPPORTED,
				"no allocator was found in process %d: no object of it has a "
				"symbol malloc",
				(int)hooks->target->pid);
	return cprof_error_hint(err,
				"a program that brings its own, or is static and stripped: name "
				"its functions, by address if need be, with -heap-hook");
}

struct cprof_error *cprof_heap_hooks_check(const struct cprof_heap_hooks *hooks)
{
	for (size_t i = 0; i < hooks->n; i++) {
		const struct cprof_heap_hook *hook = &hooks->all[i];
		if (!cprof_heap_hook_is_refused(hook) && !cprof_shim_frees(hook->entry.kind))
			return NULL;
	}
	return nothing(hooks);
}

struct cprof_error *cprof_heap_hooks_find(struct cprof_heap_hooks *hooks,
					  const struct cprof_pool_specs *pools)
{
	struct cprof_error *err = cprof_alloc_find(&hooks->entries, hooks->maps, hooks->modules);
	if (!err && pools)
		err = cprof_pool_find(pools, hooks->maps, hooks->modules, &hooks->entries);
	if (!err && pools)
		err = cprof_heap_extent_find(&hooks->entries, hooks->maps, hooks->modules);
	if (!err)
		err = add_hooks(hooks, 0);
	if (err)
		return err;
	for (size_t i = 0; i < hooks->n; i++) {
		struct cprof_heap_hook *hook = &hooks->all[i];
		if (hook->entry.throws && !hook->entry.sister)
			cprof_heap_hook_refuse(hook, "it throws, and its object has no variant "
						     "that does not");
	}
	if (!hooks->n)
		return nothing(hooks);
	qsort(hooks->all, hooks->n, sizeof(*hooks->all), by_address);
	return NULL;
}

struct cprof_error *cprof_heap_hooks_find_more(struct cprof_heap_hooks *hooks)
{
	const size_t known = hooks->entries.n;
	struct cprof_error *err = cprof_alloc_find(&hooks->entries, hooks->maps, hooks->modules);
	return err || hooks->entries.n == known ? err : add_hooks(hooks, known);
}

bool cprof_heap_hooks_any_planned(const struct cprof_heap_hooks *hooks)
{
	for (size_t i = 0; i < hooks->n; i++) {
		if (hooks->all[i].state == CPROF_HEAP_HOOK_PLANNED)
			return true;
	}
	return false;
}
