/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/session_prefetch.h"

#include "symbolize/names/kernel_cache.h"
#include "symbolize/names/names.h"

/* Held until the window ends, though not as our resident memory: nobody maps what nobody asks for. */
#define BYTES_MAX (128ull << 20)
#define AT_ONCE   4096 /* locations looked at before the rings are drained again */

static size_t read_kernel(void *ctx, uint8_t *room, size_t cap)
{
	(void)ctx;
	return cprof_kernel_text(room, cap);
}

static void ask_kernel(struct cprof_session_prefetch *prefetch,
		       const struct cprof_run_naming *naming)
{
	if (prefetch->kernel_asked)
		return;
	prefetch->kernel_asked = true;
	/* What the disk has of this boot is read faster than a child is started. */
	if (!cprof_kernel_cache_is_there(naming->cache_dir))
		prefetch->kernel = cprof_prefetch_add(&prefetch->prefetch, read_kernel, NULL,
						      CPROF_KERNEL_TEXT_MAX);
}

/* Whatever fails here fails again when names are wanted, and is told then. */
static void ask_module(struct cprof_session_prefetch *prefetch,
		       const struct cprof_run_naming *naming, const struct cprof_map *map,
		       uint64_t addr)
{
	const struct cprof_names_options options = { .cache_dir = naming->cache_dir };
	struct cprof_module *module = map->module;
	struct cprof_names *names;
	uint64_t file_addr, left = BYTES_MAX - prefetch->taken;
	/* A debug file is proved by its build-id; without one by a sum over all of it, for which rings cannot wait. */
	if (!module || !module->image || !module->build_id_len ||
	    !cprof_module_file_addr(module, map, addr, &file_addr))
		return;
	struct cprof_error *err = cprof_names_get(module, &options, &names);
	if (!err)
		cprof_names_prefetch(names, file_addr, &prefetch->prefetch, &left);
	cprof_error_free(err);
	prefetch->taken = BYTES_MAX - left;
}

static void look_at_frames(struct cprof_session_prefetch *prefetch,
			   struct cprof_session_prefetch_turn *turn,
			   const struct cprof_run_naming *naming,
			   const struct cprof_mapping_numbers *numbers)
{
	const struct cprof_stack_table *stacks = cprof_builder_stacks(numbers->builder);
	for (size_t i = 0; i < AT_ONCE && turn->n_seen < stacks->n_frames; i++) {
		const struct cprof_stack_frame *frame = &stacks->frames[turn->n_seen++];
		const struct cprof_mapping_source *source =
			cprof_mapping_numbers_source(numbers, frame->mapping);
		if (!source)
			continue;
		if (!source->maps)
			ask_kernel(prefetch, naming);
		else
			ask_module(prefetch, naming, source->map, frame->addr);
	}
}

void cprof_session_prefetch_start(struct cprof_session_prefetch *prefetch,
				  struct cprof_session_prefetch_turn *turn,
				  const struct cprof_run *run,
				  const struct cprof_mapping_numbers *numbers)
{
	const struct cprof_run_naming *naming = &run->naming;
	/* Debug files from a server are for after the window, and who has none yet must not be asked before. */
	if (naming->debuginfod || cprof_prefetch_busy(&prefetch->prefetch))
		return;
	cprof_names_ahead_take(&prefetch->ahead, numbers->modules);
	look_at_frames(prefetch, turn, naming, numbers);
	if (run->window->snapshots)
		cprof_names_ahead_add(&prefetch->ahead, &turn->names, &prefetch->prefetch, numbers,
				      naming->cache_dir);
	cprof_prefetch_start(&prefetch->prefetch);
}

void cprof_session_prefetch_stop(struct cprof_session_prefetch *prefetch,
				 struct cprof_modules *modules, struct cprof_run_log *log)
{
	cprof_prefetch_stop(&prefetch->prefetch);
	cprof_names_ahead_take(&prefetch->ahead, modules);
	log->counts.prefetch_cpu_ns = prefetch->prefetch.cpu_ns;
	if (prefetch->taken || prefetch->kernel)
		cprof_run_log_note(
			log, CPROF_NOTE_DETAIL,
			"prepared while sampling: %.1f MB of debug information%s, in %.3f s of "
			"a child's processor time",
			(double)prefetch->taken / 1e6,
			prefetch->kernel ? " and the kernel's symbols" : "",
			(double)prefetch->prefetch.cpu_ns / 1e9);
}

void cprof_session_prefetch_deinit(struct cprof_session_prefetch *prefetch)
{
	cprof_prefetch_stop(&prefetch->prefetch);
	cprof_names_ahead_deinit(&prefetch->ahead);
	cprof_prefetch_piece_free(prefetch->kernel);
	*prefetch = (struct cprof_session_prefetch){ 0 };
}
