/* Mappings and stacks of a session. */
#include <stdlib.h>
#include <string.h>

#include "attach/run/session_impl.h"

/* ---- mappings ---- */

struct cprof_error *cprof_session_number_mapping(struct cprof_session *session,
						 struct cprof_process *process,
						 struct cprof_map *map, uint32_t *ret_number)
{
	if (map->id >= process->n_mapping_numbers) {
		size_t n = process->maps.n_all + 64;
		uint32_t *grown = realloc(process->mapping_numbers, n * sizeof(*grown));
		if (!grown)
			return cprof_error_no_memory();
		memset(grown + process->n_mapping_numbers, 0,
		       (n - process->n_mapping_numbers) * sizeof(*grown));
		process->mapping_numbers = grown;
		process->n_mapping_numbers = n;
	}
	*ret_number = process->mapping_numbers[map->id];
	if (*ret_number)
		return NULL;

	struct cprof_module *module;
	struct cprof_error *err =
		cprof_modules_get(&session->modules, &process->maps, map, &module);
	if (err)
		return err;
	char hex[2 * CPROF_BUILD_ID_MAX + 1];
	const struct cprof_builder_mapping added = {
		.start = map->start,
		.limit = map->end,
		.offset = map->offset,
		.filename = *map->path ? map->path : "//anon",
		.build_id = cprof_build_id_hex(module->build_id, module->build_id_len, hex),
	};
	err = cprof_builder_mapping(session->builder, &added, ret_number);
	if (!err)
		err = cprof_session_names_set(&session->names, *ret_number, &process->maps, map);
	if (!err)
		process->mapping_numbers[map->id] = *ret_number;
	return err;
}

/* The kernel's half of the addresses; finish() narrows it to what kallsyms says. */
static struct cprof_error *number_kernel(struct cprof_session *session)
{
	if (session->kernel_mapping)
		return NULL;
	static const struct cprof_builder_mapping kernel = {
		.start = CPROF_SESSION_KERNEL_START,
		.limit = UINT64_MAX,
		.filename = "[kernel.kallsyms]",
	};
	struct cprof_error *err =
		cprof_builder_mapping(session->builder, &kernel, &session->kernel_mapping);
	if (!err)
		err = cprof_session_names_set(&session->names, session->kernel_mapping, NULL, NULL);
	return err;
}

/* ---- stacks ---- */

struct copy {
	const uint8_t *bytes;
	uint64_t start, end; /* [start, end) */
};

static bool read_copy(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct copy *copy = ctx;
	if (addr < copy->start || addr > copy->end || n > copy->end - addr)
		return false;
	memcpy(buf, copy->bytes + (addr - copy->start), n);
	return true;
}

static void walk_user(struct cprof_session *session, const struct cprof_session_sample *sample,
		      struct cprof_stack *stack)
{
	struct cprof_process *process = sample->process;
	struct copy copy = { .bytes = sample->stack,
			     .start = sample->stack_addr,
			     .end = sample->stack_addr + sample->n_stack };
	const struct cprof_memory memory = { .read = read_copy, .ctx = &copy };
	const struct cprof_memory live = cprof_target_mem_view(&process->mem);
	const struct cprof_unwind_input input = {
		.maps = &process->maps,
		.regs = sample->regs,
		.stack = &memory,
		.live = sample->live && !process->target->exited ? &live : NULL,
		.copy = copy.bytes,
		.copy_addr = copy.start,
		.copy_size = sample->n_stack,
	};
	cprof_target_mem_begin(&process->mem);
	*stack = (struct cprof_stack){ .frames = session->walked, .cap = CPROF_SESSION_DEPTH_MAX };
	cprof_unwind(session->unwinder, &input, stack);
}

/* An address in no mapping, innermost or at the end of the walk: our mappings may be old. */
static bool missed(const struct cprof_stack *stack)
{
	return stack->stop == CPROF_STOP_NO_MAP || (stack->len && !stack->frames[0].map);
}

static struct cprof_error *add_user_frames(struct cprof_session *session,
					   struct cprof_process *process,
					   const struct cprof_stack *stack, size_t *n)
{
	for (size_t i = 0; i < stack->len; i++) {
		const struct cprof_frame *frame = &stack->frames[i];
		struct cprof_builder_frame *out = &session->frames[*n];
		out->addr = cprof_code_addr_lookup(frame->code);
		out->mapping = 0;
		/* Not every address 0 is our marker: a jump through a null pointer is one too. */
		if (!out->addr && !frame->map)
			continue;
		if (frame->map) {
			struct cprof_error *err = cprof_session_number_mapping(
				session, process, process->maps.all[frame->map->id], &out->mapping);
			if (err)
				return err;
		}
		(*n)++;
	}
	return NULL;
}

static struct cprof_error *add_kernel_frames(struct cprof_session *session, const uint64_t *ips,
					     size_t n_ips, size_t *n)
{
	if (!n_ips)
		return NULL;
	struct cprof_error *err = number_kernel(session);
	for (size_t i = 0; !err && i < n_ips && i < CPROF_SESSION_KERNEL_DEPTH_MAX; i++) {
		const struct cprof_code_addr code = { .addr = ips[i], .is_return = i > 0 };
		session->frames[(*n)++] =
			(struct cprof_builder_frame){ .addr = cprof_code_addr_lookup(code),
						      .mapping = session->kernel_mapping };
	}
	return err;
}

static void mark_truncated(struct cprof_session *session, struct cprof_session_stack *stack)
{
	stack->truncated = true;
	session->frames[stack->n++] =
		(struct cprof_builder_frame){ .addr = CPROF_SESSION_TRUNCATED, .mapping = 0 };
	session->run->log->counts.truncated++;
}

struct cprof_error *cprof_session_walk(struct cprof_session *session,
				       const struct cprof_session_sample *sample,
				       struct cprof_session_stack *ret_stack)
{
	struct cprof_process *process = sample->process;
	struct cprof_session_stack stack = { .frames = session->frames, .stop = CPROF_STOP_ROOT };
	struct cprof_error *err =
		add_kernel_frames(session, sample->kernel, sample->n_kernel, &stack.n);
	if (!err && sample->regs) {
		struct cprof_stack walked;
		walk_user(session, sample, &walked);
		uint64_t before = process->maps.generation;
		if (missed(&walked))
			err = cprof_session_refresh(session, process, process->refresh_after_ns);
		if (!err && process->maps.generation != before)
			walk_user(session, sample, &walked);
		stack.stop = walked.stop;
		if (!err)
			err = add_user_frames(session, process, &walked, &stack.n);
	}
	if (err)
		return err;
	if (stack.stop != CPROF_STOP_ROOT)
		mark_truncated(session, &stack);
	*ret_stack = stack;
	return NULL;
}

struct cprof_error *cprof_session_frames(struct cprof_session *session,
					 struct cprof_process *process, const uint64_t *pcs,
					 size_t n, struct cprof_session_stack *ret_stack)
{
	struct cprof_stack stack = { .frames = session->walked, .cap = CPROF_SESSION_DEPTH_MAX };
	for (; stack.len < n && stack.len < stack.cap; stack.len++) {
		struct cprof_frame *frame = &session->walked[stack.len];
		*frame = (struct cprof_frame){ .code = { .addr = pcs[stack.len],
							 .is_return = stack.len > 0 } };
		frame->map = cprof_maps_find(&process->maps, cprof_code_addr_lookup(frame->code));
	}
	*ret_stack =
		(struct cprof_session_stack){ .frames = session->frames, .stop = CPROF_STOP_ROOT };
	return add_user_frames(session, process, &stack, &ret_stack->n);
}

bool cprof_session_frame_map(const struct cprof_session *session,
			     const struct cprof_builder_frame *frame,
			     const struct cprof_maps **ret_maps, struct cprof_map **ret_map)
{
	if (!frame->mapping || frame->mapping > session->names.n)
		return false;
	const struct cprof_session_name_source *source =
		&session->names.sources[frame->mapping - 1];
	*ret_maps = source->maps;
	*ret_map = source->map;
	return source->maps != NULL;
}
