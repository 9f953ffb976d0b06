#include "attach/run/session_ahead.h"

#include <stdlib.h>

#include "symbolize/names/kernel.h"
#include "symbolize/names/names.h"
#include "symbolize/names/symbol_cache.h"

/* Held until the window ends, though not as our resident memory: nobody maps what nobody asks for. */
#define BYTES_MAX (128ull << 20)
#define AT_ONCE   4096 /* locations looked at before the rings are drained again */

static void ask_kernel(struct cprof_session_ahead *ahead)
{
	if (ahead->kernel_asked)
		return;
	ahead->kernel_asked = true;
	ahead->kernel = cprof_ahead_add(&ahead->ahead, cprof_kernel_text, ahead->cache_dir,
					CPROF_KERNEL_TEXT_MAX);
}

/* Whatever fails here fails again when names are wanted, and is told then. */
static void ask_module(struct cprof_session_ahead *ahead, struct cprof_module *module,
		       const struct cprof_map *map, uint64_t addr)
{
	const struct cprof_names_options options = { .cache_dir = ahead->cache_dir };
	struct cprof_names *names;
	uint64_t file_addr, left = BYTES_MAX - ahead->taken;
	/* A debug file is proved by its build-id; without one by a sum over all of it, for which rings cannot wait. */
	if (!module || !module->image || !module->build_id_len ||
	    !cprof_module_file_addr(module, map, addr, &file_addr))
		return;
	struct cprof_error *err = cprof_names_get(module, &options, &names);
	if (!err)
		cprof_names_ahead(names, file_addr, &ahead->ahead, &left);
	cprof_error_free(err);
	ahead->taken = BYTES_MAX - left;
}

void cprof_session_ahead_look(struct cprof_session_ahead *ahead, const struct cprof_mode_run *run,
			      const struct cprof_session_names *names,
			      const struct cprof_builder *builder)
{
	size_t n = cprof_builder_distinct_locations(builder);
	/* Debug files from a server are for after the window, and who has none yet must not be asked before. */
	if (run->options->debuginfod || cprof_ahead_busy(&ahead->ahead) || ahead->n_seen == n)
		return;
	if (!ahead->n_seen && !run->options->no_cache)
		ahead->cache_dir = cprof_symbol_cache_default_dir();
	for (size_t i = 0; i < AT_ONCE && ahead->n_seen < n; i++) {
		struct cprof_builder_frame frame = cprof_builder_location(builder, ahead->n_seen++);
		if (!frame.mapping || frame.mapping > names->n)
			continue;
		const struct cprof_session_name_source *source = &names->sources[frame.mapping - 1];
		if (!source->maps)
			ask_kernel(ahead);
		else
			ask_module(ahead, source->map->module, source->map, frame.addr);
	}
	cprof_ahead_start(&ahead->ahead);
}

void cprof_session_ahead_stop(struct cprof_session_ahead *ahead, struct cprof_run_log *log)
{
	cprof_ahead_stop(&ahead->ahead);
	log->counts.ahead_cpu_ns = ahead->ahead.cpu_ns;
	if (ahead->taken || ahead->kernel_asked)
		cprof_run_log_note(
			log, CPROF_NOTE_DETAIL,
			"prepared while sampling: %.1f MB of debug information%s, in %.3f s of "
			"a child's processor time",
			(double)ahead->taken / 1e6,
			ahead->kernel_asked ? " and the kernel's symbols" : "",
			(double)ahead->ahead.cpu_ns / 1e9);
}

void cprof_session_ahead_deinit(struct cprof_session_ahead *ahead)
{
	cprof_ahead_stop(&ahead->ahead);
	cprof_ahead_piece_free(ahead->kernel);
	free(ahead->cache_dir);
	*ahead = (struct cprof_session_ahead){ 0 };
}
