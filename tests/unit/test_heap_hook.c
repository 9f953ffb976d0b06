/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_hook.h"

#include <string.h>

#include "tests/unit/test.h"

static bool is(const struct cprof_heap_hook *hook, enum cprof_heap_hook_state state,
	       const char *reason)
{
	return hook->state == state &&
	       (reason ? hook->reason && strcmp(hook->reason, reason) == 0 : !hook->reason);
}

TEST(heap_hook_forgets_its_reason_when_it_is_watched_after_all)
{
	struct cprof_heap_hook hook = { 0 };
	if (!is(&hook, CPROF_HEAP_HOOK_PLANNED, NULL) || !cprof_heap_hook_is_inline(&hook))
		TEST_FAIL("a new one is not planned");
	cprof_heap_hook_refuse(&hook, "it branches back");
	if (!is(&hook, CPROF_HEAP_HOOK_REFUSED, "it branches back") ||
	    !cprof_heap_hook_is_refused(&hook))
		TEST_FAIL("refused: state %d, %s", hook.state, cprof_heap_hook_reason(&hook));
	cprof_heap_hook_set(&hook, CPROF_HEAP_HOOK_UPROBE);
	if (!is(&hook, CPROF_HEAP_HOOK_UPROBE, NULL) || cprof_heap_hook_is_refused(&hook) ||
	    cprof_heap_hook_is_inline(&hook))
		TEST_FAIL("watched: state %d, %s", hook.state, cprof_heap_hook_reason(&hook));
}

TEST(heap_hook_without_a_stub_stays_one_whatever_else_is_wrong_with_it)
{
	struct cprof_heap_hook hook = { 0 };
	cprof_heap_hook_refuse_for_stubs(&hook);
	cprof_heap_hook_refuse(&hook, "by a uprobe: it is too large");
	if (!is(&hook, CPROF_HEAP_HOOK_NO_STUB, "by a uprobe: it is too large"))
		TEST_FAIL("state %d, %s", hook.state, cprof_heap_hook_reason(&hook));
	/* The reason may be the one that is there. */
	cprof_heap_hook_refuse(&hook, hook.reason);
	if (!is(&hook, CPROF_HEAP_HOOK_NO_STUB, "by a uprobe: it is too large"))
		TEST_FAIL("refused once more: %s", cprof_heap_hook_reason(&hook));
	cprof_heap_hook_set(&hook, CPROF_HEAP_HOOK_PLANNED);
}

TEST(heap_hooks_are_of_use_only_if_a_function_that_allocates_is_watched)
{
	static const struct {
		const char *what;
		enum cprof_heap_hook_state malloc, free;
		const char *err; /* part of it; NULL: none */
	} rows[] = {
		{ "both planned", CPROF_HEAP_HOOK_PLANNED, CPROF_HEAP_HOOK_PLANNED, NULL },
		{ "uprobes", CPROF_HEAP_HOOK_UPROBE, CPROF_HEAP_HOOK_UPROBE, NULL },
		{ "free refused", CPROF_HEAP_HOOK_PATCHED, CPROF_HEAP_HOOK_REFUSED, NULL },
		{ "malloc refused", CPROF_HEAP_HOOK_REFUSED, CPROF_HEAP_HOOK_PLANNED,
		  "can be hooked; malloc: " },
		{ "no stub", CPROF_HEAP_HOOK_NO_STUB, CPROF_HEAP_HOOK_UPROBE,
		  "can be hooked; malloc: " },
	};
	struct cprof_target target = { .pid = 42 };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_heap_hook all[] = {
			{ .entry = { .name = "malloc", .kind = CPROF_SHIM_ARG0 },
			  .state = rows[i].malloc },
			{ .entry = { .name = "free", .kind = CPROF_SHIM_FREE },
			  .state = rows[i].free },
		};
		struct cprof_heap_hooks hooks = { .target = &target, .all = all, .n = 2 };
		struct cprof_error *err = cprof_heap_hooks_check(&hooks);
		if (rows[i].err ? !err || !strstr(err->message, rows[i].err) : err != NULL)
			TEST_FAIL("%s: %s", rows[i].what, err ? err->message : "no error");
		cprof_error_free(err);
	}
}
