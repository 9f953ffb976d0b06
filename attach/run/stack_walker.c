/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/stack_walker.h"

#include <string.h>

struct cprof_error *cprof_stack_walker_init(struct cprof_stack_walker *walker,
					    struct cprof_mapping_numbers *numbers,
					    struct cprof_run_log *log)
{
	walker->numbers = numbers;
	walker->log = log;
	walker->unwinder = NULL;
	walker->guessed = (struct cprof_guessed_frames){ 0 };
	if (!cprof_arch_host())
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "stacks of this CPU are not known");
	return cprof_unwinder_new(cprof_arch_host(), numbers->modules, &walker->unwinder);
}

void cprof_stack_walker_deinit(struct cprof_stack_walker *walker)
{
	cprof_unwinder_free(walker->unwinder);
	walker->unwinder = NULL;
	cprof_guessed_frames_deinit(&walker->guessed);
}

static bool read_piece(const struct cprof_session_piece *piece, uint64_t addr, void *buf, size_t n)
{
	if (addr < piece->addr || addr - piece->addr > piece->n ||
	    n > piece->n - (addr - piece->addr))
		return false;
	memcpy(buf, (const uint8_t *)piece->bytes + (addr - piece->addr), n);
	return true;
}

/* What was copied at the moment of the sample. */
static bool read_copy(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct cprof_session_sample *sample = ctx;
	const struct cprof_session_piece stack = { sample->stack_addr, sample->stack,
						   sample->n_stack };
	bool is = read_piece(&stack, addr, buf, n);
	for (size_t i = 0; !is && i < CPROF_SESSION_PIECES; i++)
		is = read_piece(&sample->pieces[i], addr, buf, n);
	return is;
}

static void walk_user(struct cprof_stack_walker *walker, const struct cprof_session_sample *sample,
		      struct cprof_stack *stack)
{
	struct cprof_process *process = sample->process;
	const struct cprof_memory memory = { .read = read_copy, .ctx = (void *)(uintptr_t)sample };
	const struct cprof_memory live = cprof_target_mem_view(&process->mem);
	const struct cprof_unwind_input input = {
		.maps = &process->maps,
		.regs = sample->regs,
		.stack = &memory,
		.live = sample->live && !process->target->exited ? &live : NULL,
		.copy = sample->stack,
		.copy_addr = sample->stack_addr,
		.copy_size = sample->n_stack,
	};
	cprof_target_mem_begin(&process->mem);
	*stack = (struct cprof_stack){ .frames = walker->walked, .cap = CPROF_STACK_DEPTH_MAX };
	cprof_unwind(walker->unwinder, &input, stack);
}

/* An address in no mapping, innermost or at the end of the walk: our mappings may be old. */
static bool missed(const struct cprof_stack *stack)
{
	return stack->stop == CPROF_STOP_NO_MAP || (stack->len && !stack->frames[0].map);
}

static struct cprof_error *add_user_frames(struct cprof_stack_walker *walker,
					   struct cprof_process *process,
					   const struct cprof_stack *stack, size_t *n)
{
	for (size_t i = 0; i < stack->len; i++) {
		const struct cprof_frame *frame = &stack->frames[i];
		struct cprof_stack_frame *out = &walker->frames[*n];
		out->addr = cprof_code_addr_lookup(frame->code);
		out->mapping = 0;
		/* Not every such address is our marker: a jump through a null pointer is one too. */
		if (out->addr < CPROF_N_MARKERS && !frame->map)
			continue;
		if (frame->map) {
			struct cprof_error *err = cprof_mapping_numbers_get(
				walker->numbers, process, process->maps.all[frame->map->id],
				&out->mapping);
			if (err)
				return err;
		}
		if (frame->how == CPROF_FRAME_GUESS)
			cprof_guessed_frames_add(&walker->guessed, out);
		(*n)++;
	}
	return NULL;
}

static struct cprof_error *add_kernel_frames(struct cprof_stack_walker *walker, const uint64_t *ips,
					     size_t n_ips, size_t *n)
{
	if (!n_ips)
		return NULL;
	uint32_t kernel;
	struct cprof_error *err = cprof_mapping_numbers_kernel(walker->numbers, &kernel);
	for (size_t i = 0; !err && i < n_ips && i < CPROF_KERNEL_DEPTH_MAX; i++) {
		const struct cprof_code_addr code = { .addr = ips[i], .is_return = i > 0 };
		walker->frames[(*n)++] =
			(struct cprof_stack_frame){ .addr = cprof_code_addr_lookup(code),
						    .mapping = kernel };
	}
	return err;
}

static void mark_truncated(struct cprof_stack_walker *walker, struct cprof_session_stack *stack)
{
	stack->truncated = true;
	walker->frames[stack->n++] =
		(struct cprof_stack_frame){ .addr = CPROF_MARKER_TRUNCATED, .mapping = 0 };
	walker->log->counts.truncated++;
}

struct cprof_error *cprof_stack_walker_walk(struct cprof_stack_walker *walker,
					    const struct cprof_session_sample *sample,
					    struct cprof_session_stack *ret_stack)
{
	struct cprof_process *process = sample->process;
	struct cprof_session_stack stack = { .frames = walker->frames, .stop = CPROF_STOP_ROOT };
	struct cprof_error *err =
		add_kernel_frames(walker, sample->kernel, sample->n_kernel, &stack.n);
	if (!err && sample->regs) {
		struct cprof_stack walked;
		walk_user(walker, sample, &walked);
		uint64_t before = process->maps.generation;
		if (missed(&walked))
			err = cprof_process_refresh(process, process->refresh_after_ns);
		if (!err && process->maps.generation != before)
			walk_user(walker, sample, &walked);
		stack.stop = walked.stop;
		if (!err)
			err = add_user_frames(walker, process, &walked, &stack.n);
	}
	if (err)
		return err;
	walker->log->counts.stops[stack.stop] += sample->regs != NULL;
	if (stack.stop != CPROF_STOP_ROOT)
		mark_truncated(walker, &stack);
	*ret_stack = stack;
	return NULL;
}

struct cprof_error *cprof_stack_walker_frames(struct cprof_stack_walker *walker,
					      struct cprof_process *process, const uint64_t *pcs,
					      size_t n, struct cprof_session_stack *ret_stack)
{
	struct cprof_stack stack = { .frames = walker->walked, .cap = CPROF_STACK_DEPTH_MAX };
	for (; stack.len < n && stack.len < stack.cap; stack.len++) {
		struct cprof_frame *frame = &walker->walked[stack.len];
		*frame = (struct cprof_frame){ .code = { .addr = pcs[stack.len],
							 .is_return = stack.len > 0 } };
		frame->map = cprof_maps_find(&process->maps, cprof_code_addr_lookup(frame->code));
	}
	*ret_stack =
		(struct cprof_session_stack){ .frames = walker->frames, .stop = CPROF_STOP_ROOT };
	return add_user_frames(walker, process, &stack, &ret_stack->n);
}
