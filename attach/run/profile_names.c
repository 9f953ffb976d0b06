/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/profile_names.h"

#include <stdlib.h>

#include "attach/run/jit_hint.h"
#include "attach/run/module_addresses.h"
#include "attach/run/stack_walker.h"
#include "attach/run/tail_calls.h"
#include "base/cleanup.h"
#include "cprof/symbolizer.h"
#include "symbolize/names/place_name.h"
#include "symbolize/names/symbolizer_names.h"

#define NAMELESS_PART 20  /* of so many addresses one without a name is worth a hint */
#define LINES_MAX     256 /* functions inlined into each other at one address; more are cut */

struct namer {
	struct cprof_mapping_numbers *numbers;
	const struct cprof_marker_names *markers; /* borrowed */
	struct cprof_symbolizer *symbolizer;
	struct cprof_maps *any_maps; /* for addresses in no mapping */
	struct cprof_builder_line lines[LINES_MAX];
	uint64_t named;
	uint64_t kernel_low, kernel_high; /* of the addresses seen */
	uint64_t *nameless;               /* borrowed; [module id]: locations without a name */
	size_t n_nameless;
	struct cprof_jit_hint jit;
};

static void count_nameless(struct namer *namer, const struct cprof_stack_frame *frame)
{
	const struct cprof_mapping_source *source =
		cprof_mapping_numbers_source(namer->numbers, frame->mapping);
	const struct cprof_module *module = source && source->map ? source->map->module : NULL;
	if (module && module->kind == CPROF_MODULE_FILE && module->id < namer->n_nameless)
		namer->nameless[module->id]++;
}

static void see_run_time(struct namer *namer, const struct cprof_stack_frame *frame,
			 const char *name, bool named)
{
	const struct cprof_mapping_source *source =
		cprof_mapping_numbers_source(namer->numbers, frame->mapping);
	if (source && source->maps)
		cprof_jit_hint_see(&namer->jit, source->maps, source->map, name, named);
}

/* How to get the names of code made at run time: said once, and kept in the profile for whoever reads it. */
static void report_run_time(const struct namer *namer, struct cprof_run_log *log)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_jit_hint_put(&namer->jit, log->counts.locations, &text);
	if (text.len)
		cprof_run_log_note(log, CPROF_NOTE_FACT, "%s", cprof_buffer_text(&text));
}

/* One file, the worst; and only where its names would change the picture. */
static void report_nameless(const struct namer *namer, const struct cprof_modules *modules,
			    struct cprof_run_log *log)
{
	size_t worst = 0;
	for (size_t i = 1; i < namer->n_nameless; i++) {
		if (namer->nameless[i] > namer->nameless[worst])
			worst = i;
	}
	if (!namer->n_nameless || !namer->nameless[worst] ||
	    namer->nameless[worst] * NAMELESS_PART < log->counts.locations)
		return;
	const struct cprof_module *module = modules->all[worst];
	log->unnamed = (struct cprof_unnamed){ strdup(module->root ? module->root : ""),
					       strdup(module->path), namer->nameless[worst] };
}

static struct cprof_error *look_up(struct namer *namer, const struct cprof_stack_frame *frame,
				   const struct cprof_symbol_frame **ret_frames, size_t *ret_n)
{
	if (!frame->mapping && namer->any_maps)
		return cprof_symbolizer_addr(namer->symbolizer, namer->any_maps, NULL, frame->addr,
					     ret_frames, ret_n);
	if (!frame->mapping) {
		*ret_n = 0;
		return NULL;
	}
	const struct cprof_mapping_source *source =
		cprof_mapping_numbers_source(namer->numbers, frame->mapping);
	if (source->maps)
		return cprof_symbolizer_addr(namer->symbolizer, source->maps, source->map,
					     frame->addr, ret_frames, ret_n);
	if (frame->addr < namer->kernel_low)
		namer->kernel_low = frame->addr;
	if (frame->addr > namer->kernel_high)
		namer->kernel_high = frame->addr;
	return cprof_symbolizer_kernel(namer->symbolizer, frame->addr, ret_frames, ret_n);
}

static struct cprof_error *name_frame(void *ctx, const struct cprof_stack_frame *frame,
				      const struct cprof_builder_line **ret_lines, size_t *ret_n)
{
	static const struct cprof_builder_line markers[] = {
		[CPROF_MARKER_TRUNCATED] = { .name = "[truncated]" },
		[CPROF_MARKER_BEFORE] = { .name = "[allocated before attach]" },
	};
	struct namer *namer = ctx;
	if (frame->addr && frame->addr < CPROF_N_MARKERS && !frame->mapping) {
		*ret_lines = &markers[frame->addr];
		*ret_n = 1;
		namer->named++;
		return NULL;
	}
	const char *marker = cprof_marker_names_find(namer->markers, frame);
	if (marker) {
		namer->lines[0] = (struct cprof_builder_line){ .name = marker };
		*ret_lines = namer->lines;
		*ret_n = 1;
		namer->named++;
		return NULL;
	}
	const struct cprof_symbol_frame *found;
	size_t n;
	struct cprof_error *err = look_up(namer, frame, &found, &n);
	if (err)
		return err;
	if (n > LINES_MAX) { /* keep the function that has the symbol */
		found += n - LINES_MAX;
		n = LINES_MAX;
	}
	for (size_t i = 0; i < n; i++)
		namer->lines[i] = (struct cprof_builder_line){
			.name = found[i].name,
			.system_name = found[i].system_name,
			.filename = found[i].file,
			.line = found[i].line,
			.column = found[i].column,
			.start_line = found[i].start_line,
		};
	bool named = n && !cprof_place_name_is(found[n - 1].name);
	namer->named += named;
	if (n && !named)
		count_nameless(namer, frame);
	if (n)
		see_run_time(namer, frame, found[n - 1].name, named);
	*ret_lines = namer->lines;
	*ret_n = n;
	return NULL;
}

/* A mapping that its addresses do not lie in helps nobody, so kallsyms' range is taken only if they do. */
static void narrow_kernel(struct cprof_profile *profile, const struct namer *namer)
{
	const uint32_t kernel_mapping = namer->numbers->kernel;
	uint64_t start, end;
	if (!kernel_mapping || namer->kernel_low > namer->kernel_high ||
	    !cprof_symbolizer_kernel_range(namer->symbolizer, &start, &end))
		return;
	if (namer->kernel_low < start || namer->kernel_high >= end)
		return;
	profile->mappings[kernel_mapping - 1].start = start;
	profile->mappings[kernel_mapping - 1].limit = end;
}

/* Shown at once: somebody may be waiting for a download. */
static void say_waiting(void *ctx, const char *text)
{
	const struct cprof_run *run = ctx;
	cprof_run_log_note(run->log, CPROF_NOTE_PLAIN, "%s", text);
	if (run->window->progress)
		run->window->progress(run->window->progress_ctx, run->window, &run->log->counts);
}

static void report_notes(struct cprof_run_log *log, const char *notes)
{
	for (const char *at = notes; *at;) {
		int len = (int)strcspn(at, "\n");
		cprof_run_log_note(log, CPROF_NOTE_WARNING, "%.*s", len, at);
		at += len + (at[len] == '\n');
	}
}

static struct cprof_error *expect(void *ctx, struct cprof_module *module,
				  const uint64_t *file_addrs, size_t n)
{
	return cprof_symbolizer_expect(ctx, module, file_addrs, n);
}

static struct cprof_error *name_all(struct namer *namer, const struct cprof_run *run,
				    const struct cprof_prefetch_piece *kernel_text,
				    struct cprof_profile **ret_profile)
{
	const struct cprof_symbolizer_options options = {
		.way = run->naming.symbolizer,
		.demangle = run->naming.demangle,
		.no_inlines = run->naming.no_inlines,
		.debuginfod = run->naming.debuginfod,
		.cache_dir = run->naming.cache_dir,
		.kernel_text = kernel_text,
		.say = say_waiting,
		.say_ctx = (void *)(uintptr_t)run,
	};
	struct cprof_error *err =
		cprof_symbolizer_new(&options, namer->numbers->modules, &namer->symbolizer);
	if (err)
		return err;
	err = cprof_tail_calls_restore(namer->numbers,
				       cprof_symbolizer_names_options(namer->symbolizer),
				       &run->log->counts.put_back);
	if (!err)
		err = cprof_module_addresses(
			namer->numbers, 0, cprof_builder_stacks(namer->numbers->builder)->n_frames,
			expect, namer->symbolizer);
	if (!err)
		err = cprof_builder_finish(namer->numbers->builder, name_frame, namer, ret_profile);
	if (!err)
		narrow_kernel(*ret_profile, namer);
	report_notes(run->log, cprof_symbolizer_notes(namer->symbolizer));
	cprof_symbolizer_free(namer->symbolizer);
	return err;
}

struct cprof_error *cprof_profile_names_finish(const struct cprof_run *run,
					       struct cprof_mapping_numbers *numbers,
					       const struct cprof_marker_names *markers,
					       const struct cprof_prefetch_piece *kernel_text,
					       struct cprof_profile **ret_profile)
{
	const struct cprof_modules *modules = numbers->modules;
	struct namer namer = { .numbers = numbers, .markers = markers, .kernel_low = UINT64_MAX };
	for (size_t i = 0; i < numbers->n && !namer.any_maps; i++)
		namer.any_maps = numbers->sources[i].maps;
	CPROF_AUTO(free) uint64_t *nameless = calloc(modules->n + 1, sizeof(*nameless));
	namer.nameless = nameless;
	namer.n_nameless = nameless ? modules->n : 0;
	struct cprof_error *err = name_all(&namer, run, kernel_text, ret_profile);
	if (err)
		return err;
	run->log->counts.left_out = modules->budget.n_over;
	if (modules->budget.n_over)
		cprof_run_log_note(run->log, CPROF_NOTE_PLAIN,
				   "hint: -budget 4 lets files cost four times as much");
	run->log->counts.locations = (*ret_profile)->n_locations;
	run->log->counts.named = namer.named;
	report_nameless(&namer, modules, run->log);
	report_run_time(&namer, run->log);
	return NULL;
}
