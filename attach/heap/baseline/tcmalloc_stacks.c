/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/tcmalloc_stacks.h"

#include "attach/heap/baseline/baseline_data.h"
#include "attach/heap/baseline/baseline_symbols.h"

#define USER_SPACE (1ull << 47)
#define SIZE_MAX_  (1ull << 46)
#define ASKED_MAX  (1u << 16) /* words that may be taken for the list's beginning */
#define GROWTH_MAX (1u << 20)
#define WALKED_MAX (2 * GROWTH_MAX) /* stacks of all lists that are tried */
#define SURE       2 /* addresses of a stack that have to be code; more of them may be unloaded by now */

bool cprof_tcmalloc_stack_read(struct cprof_baseline_memory *memory, struct cprof_maps *maps,
			       uint64_t at, struct cprof_tcmalloc_stack *stack)
{
	if (at < CPROF_BASELINE_PAGE || at >= USER_SPACE || at % 8 ||
	    !cprof_baseline_memory_read(memory, at, stack, sizeof(*stack)) || !stack->n ||
	    stack->n > CPROF_TCMALLOC_DEPTH || !stack->bytes || stack->bytes > SIZE_MAX_)
		return false;
	for (size_t i = 0; i < SURE && i < stack->n; i++) {
		if (!cprof_baseline_is_code(maps, stack->addrs[i]))
			return false;
	}
	return true;
}

/* ---- growth ---- */

static bool read_growth(struct cprof_baseline_memory *memory, struct cprof_maps *maps, uint64_t at,
			struct cprof_tcmalloc_stack *stack)
{
	return cprof_tcmalloc_stack_read(memory, maps, at, stack) &&
	       stack->bytes % CPROF_TCMALLOC_PAGE == 0;
}

/* How many there are in the list from `at` on; 0: it does not end as one. `walked` counts also those of such lists. */
static unsigned length_of(struct cprof_baseline_memory *memory, struct cprof_maps *maps,
			  uint64_t at, unsigned *walked)
{
	struct cprof_tcmalloc_stack stack;
	unsigned n = 0;
	for (; at && *walked < WALKED_MAX; n++, ++*walked) {
		if (!read_growth(memory, maps, at, &stack))
			return 0;
		at = stack.next;
	}
	return at ? 0 : n;
}

/* The longest one that begins among the variables: others would begin in the middle of it. */
static uint64_t find_growth(struct cprof_baseline_memory *memory, struct cprof_maps *maps,
			    const struct cprof_tcmalloc *tcmalloc)
{
	const uint64_t end = tcmalloc->end & ~7ull;
	uint64_t best = 0, first;
	unsigned longest = 0, asked = 0, walked = 0;
	for (uint64_t at = (tcmalloc->start + 7) & ~7ull; at < end; at += 8) {
		struct cprof_tcmalloc_stack stack;
		if (!cprof_baseline_memory_present(memory, at)) {
			at = cprof_baseline_memory_next(memory, at, end) - 8;
			continue;
		}
		if (!cprof_baseline_memory_read(memory, at, &first, 8) ||
		    first < USER_SPACE >> 24 || first >= USER_SPACE || first % 8 ||
		    ++asked > ASKED_MAX || !read_growth(memory, maps, first, &stack))
			continue;
		const unsigned n = length_of(memory, maps, first, &walked);
		if (n > longest) {
			longest = n;
			best = first;
		}
	}
	return best;
}

struct cprof_error *cprof_tcmalloc_growth_each(struct cprof_baseline_memory *memory,
					       struct cprof_maps *maps,
					       const struct cprof_tcmalloc *tcmalloc,
					       cprof_tcmalloc_growth_fn *fn, void *ctx)
{
	struct cprof_error *err = NULL;
	struct cprof_tcmalloc_stack stack;
	uint64_t at = find_growth(memory, maps, tcmalloc);
	for (unsigned i = 0; at && !err && i < GROWTH_MAX; i++) {
		if (!read_growth(memory, maps, at, &stack))
			break;
		err = fn(ctx, &stack);
		at = stack.next;
	}
	return err;
}

/* ---- samples ---- */

struct cprof_error *cprof_tcmalloc_rate(struct cprof_baseline_memory *memory,
					struct cprof_maps *maps, struct cprof_modules *modules,
					uint64_t *ret_bytes)
{
	static const char *const names[] = {
		"_ZN61FLAG__namespace_do_not_use_directly_use_DECLARE_int64_instead31FLAGS_"
		"tcmalloc_sample_parameterE",
	};
	struct cprof_baseline_symbol symbol;
	int64_t rate = 0;
	*ret_bytes = 0;
	struct cprof_error *err = cprof_baseline_find_symbol(maps, modules, names, 1, &symbol);
	if (!err && symbol.addr && cprof_baseline_memory_read(memory, symbol.addr, &rate, 8) &&
	    rate > 0)
		*ret_bytes = (uint64_t)rate;
	return err;
}
