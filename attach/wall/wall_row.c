/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_row.h"

#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX (CPROF_KERNEL_DEPTH_MAX + CPROF_STACK_DEPTH_MAX + 2)
#define LABELS_MAX (CPROF_WAIT_PROFILE_LABELS_MAX + 4 + CPROF_CONTEXTS_LABELS_MAX)

const struct cprof_wall_look cprof_wall_looks[CPROF_LEDGER_STATES] = {
	[CPROF_LEDGER_ON_CPU] = { "oncpu", CPROF_WALL_CPU, NULL, "[on CPU]" },
	[CPROF_LEDGER_PREEMPTED] = { "runqueue", CPROF_WALL_RUNQUEUE, "[runqueue]", "[runqueue]" },
	[CPROF_LEDGER_WOKEN] = { "runqueue", CPROF_WALL_RUNQUEUE, "[runqueue]", "[runqueue]" },
	[CPROF_LEDGER_BLOCKED] = { "offcpu", CPROF_WALL_OFFCPU, NULL, "[unknown]" },
	[CPROF_LEDGER_STOPPED] = { "stopped", CPROF_WALL_OFFCPU, NULL, "[stopped]" },
};

struct cprof_error *cprof_wall_row_maker_init(struct cprof_wall_row_maker *maker,
					      struct cprof_wait_intake *intake)
{
	*maker = (struct cprof_wall_row_maker){
		.intake = intake,
		.frames = calloc(FRAMES_MAX, sizeof(*maker->frames)),
	};
	return maker->frames ? NULL : cprof_error_no_memory();
}

void cprof_wall_row_maker_deinit(struct cprof_wall_row_maker *maker)
{
	cprof_wall_reasons_deinit(&maker->reasons);
	free(maker->frames);
	maker->frames = NULL;
}

/* ---- stacks ---- */

struct cprof_error *cprof_wall_row_stack(struct cprof_wall_row_maker *maker, const char *leaf,
					 const struct cprof_stack_frame *frames, size_t n,
					 uint32_t *ret_stack)
{
	maker->frames[0] = cprof_session_marker(maker->intake->session, leaf);
	if (n > FRAMES_MAX - 1)
		n = FRAMES_MAX - 1;
	if (n)
		memmove(maker->frames + 1, frames, n * sizeof(*frames));
	const struct cprof_session_stack stack = { .frames = maker->frames, .n = n + 1 };
	return cprof_session_stack(maker->intake->session, &stack, ret_stack);
}

/* The part's stack, with the leaf of `look` in front where it has not been put there yet. */
static struct cprof_error *stack_of(struct cprof_wall_row_maker *maker,
				    const struct cprof_wall_look *look,
				    const struct cprof_wall_part *part, uint32_t *ret_stack)
{
	const struct cprof_stack_table *table = cprof_session_stacks(maker->intake->session);
	uint32_t n;
	if (!part)
		return cprof_wall_row_stack(maker, look->alone, NULL, 0, ret_stack);
	*ret_stack = part->stack;
	if (!look->leaf || part->what != CPROF_WALL_ON_CPU)
		return NULL;
	const uint32_t *items = cprof_stack_table_items(table, part->stack, &n);
	if (n > FRAMES_MAX - 1)
		n = FRAMES_MAX - 1;
	for (uint32_t i = 0; i < n; i++)
		maker->frames[i + 1] = table->frames[items[i]];
	return cprof_wall_row_stack(maker, look->leaf, maker->frames + 1, n, ret_stack);
}

/* ---- labels ---- */

/* A thread has a label of its own; those that share an account have their name only, where it is known. */
static struct cprof_error *labels_of(struct cprof_wall_row_maker *maker,
				     const struct cprof_ledger_account *account, const char *state,
				     const struct cprof_wall_part *part, uint32_t *ret_set)
{
	struct cprof_wait_intake *intake = maker->intake;
	struct cprof_builder_label labels[LABELS_MAX] = { { .key = "state", .str = state } };
	size_t n = 1;
	if (part && part->reason)
		n += cprof_wall_reason_labels(&maker->reasons.reasons[part->reason], false,
					      labels + n);
	if (!account->tid && account->name[0])
		labels[n++] = (struct cprof_builder_label){ .key = "thread", .str = account->name };
	if (part)
		n += cprof_contexts_put(intake->contexts, part->request, labels + n);
	return cprof_session_labels(intake->session, intake->process, account->tid, labels, n,
				    ret_set);
}

struct cprof_error *cprof_wall_row_name(struct cprof_wall_row_maker *maker,
					const struct cprof_ledger_account *account,
					const struct cprof_wall_look *look,
					const struct cprof_wall_part *part,
					struct cprof_wall_row *ret_row)
{
	struct cprof_error *err = stack_of(maker, look, part, &ret_row->stack);
	return err ? err : labels_of(maker, account, look->state, part, &ret_row->labels);
}

struct cprof_error *cprof_wall_row_idle(struct cprof_wall_row_maker *maker,
					const struct cprof_wall_idle_place *place,
					struct cprof_wall_row *ret_row,
					int64_t ret_values[CPROF_WALL_TYPES])
{
	struct cprof_wait_intake *intake = maker->intake;
	struct cprof_builder_label labels[LABELS_MAX] = { { .key = "state", .str = "offcpu" } };
	size_t n = 1;
	n += cprof_wall_reason_labels(&maker->reasons.reasons[place->reason], true, labels + n);
	labels[n++] = (struct cprof_builder_label){ .key = "idle", .str = "true" };
	labels[n++] =
		(struct cprof_builder_label){ .key = "threads", .num = (int64_t)place->threads };
	if (place->name[0])
		labels[n++] = (struct cprof_builder_label){ .key = "thread", .str = place->name };
	memset(ret_values, 0, CPROF_WALL_TYPES * sizeof(*ret_values));
	ret_values[CPROF_WALL_WALL] = ret_values[CPROF_WALL_OFFCPU] = (int64_t)place->ns;
	ret_values[CPROF_WALL_SAMPLES] = (int64_t)place->threads;
	ret_row->stack = place->stack;
	return cprof_session_labels(intake->session, intake->process, 0, labels, n,
				    &ret_row->labels);
}
