/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_hook.h - the allocator functions of a process, and what has become of each of them.
 *
 * Owns the list of hooks, one for each function that alloc_find.h found or the user named, and its state: whoever watches
 * a function, or finds that it cannot be watched, enters that here. How jumps are planned is heap_plan.h's, how they are put
 * in place heap_jump.h's.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_HOOK_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/alloc/alloc_find.h"
#include "attach/heap/alloc/pool_spec.h"
#include "attach/heap/inject/patch.h"
#include "attach/heap/shim/shim_proto.h"
#include "attach/target/target.h"
#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"

enum cprof_heap_hook_state {
	CPROF_HEAP_HOOK_PLANNED, /* is to get a jump; its code is unchanged as yet */
	CPROF_HEAP_HOOK_PATCHED, /* its jump is in place */
	CPROF_HEAP_HOOK_UPROBE,  /* watched by a uprobe */
	CPROF_HEAP_HOOK_NO_STUB, /* not watched: it could be patched, but all stubs of its kind are taken */
	CPROF_HEAP_HOOK_REFUSED, /* not watched: `reason` says what it is like, or what went wrong */
};

struct cprof_heap_hook {
	struct cprof_alloc_entry entry;
	enum cprof_heap_hook_state state;
	char *reason; /* owned; why it is not watched; NULL in the first three states, or for want of memory */
	bool slow; /* watched by a uprobe for whose sake the kernel single-steps an instruction at each call */

	/* What heap_plan.h settled; for the first two states. */
	uint32_t image, stub; /* indices: of the code mapping, of the stub in it */
	uint64_t trampoline;  /* run-time address of the trampoline */
	struct cprof_patch patch;
	bool light; /* nobody calls it directly: its stub need not keep the registers that calls may spoil */
};

/* Has it a jump and with that a stub of its own, or is it to get them? */
static inline bool cprof_heap_hook_is_inline(const struct cprof_heap_hook *hook)
{
	return hook->state == CPROF_HEAP_HOOK_PLANNED || hook->state == CPROF_HEAP_HOOK_PATCHED;
}

/* Is it watched by nobody? */
static inline bool cprof_heap_hook_is_refused(const struct cprof_heap_hook *hook)
{
	return hook->state == CPROF_HEAP_HOOK_NO_STUB || hook->state == CPROF_HEAP_HOOK_REFUSED;
}

/* It is not watched, because of `why`, which is copied and may be hook->reason. One without a stub stays one. */
void cprof_heap_hook_refuse(struct cprof_heap_hook *hook, const char *why);
void cprof_heap_hook_refuse_for_stubs(struct cprof_heap_hook *hook);

/* It is PLANNED, PATCHED or UPROBE: the reason, if there was one, is forgotten. */
void cprof_heap_hook_set(struct cprof_heap_hook *hook, enum cprof_heap_hook_state state);

/* Why it is not watched, for people; never NULL. */
const char *cprof_heap_hook_reason(const struct cprof_heap_hook *hook);

/* Its jump as the code page carries it: what is changed where, and what was there before. */
struct cprof_shim_patch cprof_heap_hook_row(const struct cprof_heap_hook *hook);

struct cprof_heap_hooks {
	struct cprof_target *target;   /* borrowed */
	struct cprof_maps *maps;       /* borrowed */
	struct cprof_modules *modules; /* borrowed */
	struct cprof_alloc_entries entries;
	struct cprof_heap_hook
		*all; /* owned; those of the first find by address, later ones behind them */
	size_t n, cap;
};

void cprof_heap_hooks_init(struct cprof_heap_hooks *hooks, struct cprof_target *target,
			   struct cprof_maps *maps, struct cprof_modules *modules);
void cprof_heap_hooks_deinit(struct cprof_heap_hooks *hooks);

/*
 * A hook for each function there is, those that `pools` names included (NULL: none); hooks->maps must be fresh. They are
 * PLANNED, or REFUSED where no jump can do. Errors: UNSUPPORTED (there are none), USAGE (a pool that is not there), NO_MEMORY.
 */
struct cprof_error *cprof_heap_hooks_find(struct cprof_heap_hooks *hooks,
					  const struct cprof_pool_specs *pools);

/* The same for objects that were mapped since; their hooks are added at the end. Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_hooks_find_more(struct cprof_heap_hooks *hooks);

/* UNSUPPORTED, with a reason and a hint, if no function that allocates is watched or to be watched. */
struct cprof_error *cprof_heap_hooks_check(const struct cprof_heap_hooks *hooks);

/* Is some hook PLANNED? */
bool cprof_heap_hooks_any_planned(const struct cprof_heap_hooks *hooks);

#endif
