#include "attach/run/session_names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/version.h"
#include "symbolize/names/symbol_cache.h"
#include "symbolize/names/symbolizer.h"

#define NAMELESS_PART 20  /* of so many addresses one without a name is worth a hint */
#define LINES_MAX     256 /* functions inlined into each other at one address; more are cut */

void cprof_session_names_deinit(struct cprof_session_names *names)
{
	free(names->sources);
	*names = (struct cprof_session_names){ 0 };
}

struct cprof_error *cprof_session_names_set(struct cprof_session_names *names, uint32_t number,
					    struct cprof_maps *maps, struct cprof_map *map)
{
	if (number > names->cap) {
		size_t cap = number + 32 + names->cap;
		void *grown = realloc(names->sources, cap * sizeof(*names->sources));
		if (!grown)
			return cprof_error_no_memory();
		names->sources = grown;
		names->cap = cap;
	}
	names->sources[number - 1] = (struct cprof_session_name_source){ maps, map };
	if (number > names->n)
		names->n = number;
	return NULL;
}

struct namer {
	const struct cprof_session_names *names;
	struct cprof_symbolizer *symbolizer;
	struct cprof_maps *any_maps; /* for addresses in no mapping */
	struct cprof_builder_line lines[LINES_MAX];
	uint64_t named;
	uint64_t kernel_low, kernel_high; /* of the addresses seen */
	uint64_t *nameless;               /* borrowed; [module id]: locations without a name */
	size_t n_nameless;
};

static void count_nameless(struct namer *namer, const struct cprof_builder_frame *frame)
{
	const struct cprof_map *map =
		frame->mapping ? namer->names->sources[frame->mapping - 1].map : NULL;
	const struct cprof_module *module = map ? map->module : NULL;
	if (module && module->kind == CPROF_MODULE_FILE && module->id < namer->n_nameless)
		namer->nameless[module->id]++;
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

static struct cprof_error *look_up(struct namer *namer, const struct cprof_builder_frame *frame,
				   const struct cprof_symbol_frame **ret_frames, size_t *ret_n)
{
	if (!frame->mapping && namer->any_maps)
		return cprof_symbolizer_addr(namer->symbolizer, namer->any_maps, NULL, frame->addr,
					     ret_frames, ret_n);
	if (!frame->mapping) {
		*ret_n = 0;
		return NULL;
	}
	const struct cprof_session_name_source *source = &namer->names->sources[frame->mapping - 1];
	if (source->maps)
		return cprof_symbolizer_addr(namer->symbolizer, source->maps, source->map,
					     frame->addr, ret_frames, ret_n);
	if (frame->addr < namer->kernel_low)
		namer->kernel_low = frame->addr;
	if (frame->addr > namer->kernel_high)
		namer->kernel_high = frame->addr;
	return cprof_symbolizer_kernel(namer->symbolizer, frame->addr, ret_frames, ret_n);
}

static struct cprof_error *name_frame(void *ctx, const struct cprof_builder_frame *frame,
				      const struct cprof_builder_line **ret_lines, size_t *ret_n)
{
	static const struct cprof_builder_line markers[] = {
		[CPROF_SESSION_TRUNCATED] = { .name = "[truncated]" },
		[CPROF_SESSION_BEFORE] = { .name = "[allocated before attach]" },
	};
	struct namer *namer = ctx;
	if (frame->addr <= CPROF_SESSION_BEFORE && !frame->mapping) {
		*ret_lines = &markers[frame->addr];
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
	if (n && !strstr(found[n - 1].name, "+0x")) /* "libc.so.6+0x1234" is a place, not a name */
		namer->named++;
	else if (n)
		count_nameless(namer, frame);
	*ret_lines = namer->lines;
	*ret_n = n;
	return NULL;
}

enum cprof_demangle cprof_session_names_demangle(const char *how)
{
	if (strcmp(how, "full") == 0)
		return CPROF_DEMANGLE_FULL;
	if (strcmp(how, "templates") == 0)
		return CPROF_DEMANGLE_TEMPLATES;
	if (strcmp(how, "none") == 0)
		return CPROF_DEMANGLE_NONE;
	return CPROF_DEMANGLE_SHORT;
}

static struct cprof_error *comment(struct cprof_profile *profile, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static struct cprof_error *comment(struct cprof_profile *profile, const char *fmt, ...)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	va_list ap;
	va_start(ap, fmt);
	cprof_buffer_vprintf(&text, fmt, ap);
	va_end(ap);
	struct cprof_error *err = cprof_buffer_error(&text);
	return err ? err : cprof_profile_add_comment(profile, cprof_buffer_text(&text));
}

static struct cprof_error *add_comments(struct cprof_profile *profile,
					const struct cprof_mode_run *run)
{
	const struct cprof_counts *counts = &run->log->counts;
	struct utsname host = { .release = "?" };
	uname(&host);
	struct cprof_error *err = comment(profile, "cprof-attach %s", CPROF_VERSION);
	if (!err && run->command_line)
		err = comment(profile, "command: %s", run->command_line);
	for (size_t i = 0; !err && i < run->n_targets; i++)
		err = comment(profile, "process: %s %d", run->targets[i]->comm,
			      (int)run->targets[i]->pid);
	if (!err)
		err = comment(profile, "kernel: %s %s %s", host.sysname, host.release,
			      host.machine);
	if (!err)
		err = comment(profile, "samples: %llu, lost: %llu, truncated stacks: %llu",
			      (unsigned long long)counts->samples, (unsigned long long)counts->lost,
			      (unsigned long long)counts->truncated);
	for (size_t i = 0; !err && i < run->log->n_notes; i++) {
		if (run->log->notes[i].kind == CPROF_NOTE_WARNING)
			err = comment(profile, "warning: %s", run->log->notes[i].text);
	}
	return err;
}

/* A mapping that its addresses do not lie in helps nobody, so kallsyms' range is taken only if they do. */
static void narrow_kernel(struct cprof_profile *profile, const struct namer *namer,
			  uint32_t kernel_mapping)
{
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
	const struct cprof_mode_run *run = ctx;
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

struct cprof_error *cprof_session_names_finish(const struct cprof_session_names *names,
					       const struct cprof_mode_run *run,
					       struct cprof_modules *modules,
					       struct cprof_builder *builder,
					       const struct cprof_prefetch_piece *kernel_text,
					       uint32_t kernel_mapping,
					       struct cprof_profile **ret_profile)
{
	CPROF_AUTO(free)
	char *cache_dir = run->options->no_cache ? NULL : cprof_symbol_cache_default_dir();
	const struct cprof_symbolizer_options options = {
		.demangle = cprof_session_names_demangle(run->options->demangle),
		.no_inlines = run->options->no_inlines,
		.debuginfod = run->options->debuginfod,
		.cache_dir = cache_dir,
		.kernel_text = kernel_text,
		.say = say_waiting,
		.say_ctx = (void *)(uintptr_t)run,
	};
	struct namer namer = { .names = names, .kernel_low = UINT64_MAX };
	for (size_t i = 0; i < names->n && !namer.any_maps; i++)
		namer.any_maps = names->sources[i].maps;
	struct cprof_error *err = cprof_symbolizer_new(&options, modules, &namer.symbolizer);
	if (err)
		return err;
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	CPROF_AUTO(free) uint64_t *nameless = calloc(modules->n + 1, sizeof(*nameless));
	namer.nameless = nameless;
	namer.n_nameless = nameless ? modules->n : 0;
	err = cprof_builder_finish(builder, name_frame, &namer, &profile);
	if (!err)
		narrow_kernel(profile, &namer, kernel_mapping);
	report_notes(run->log, cprof_symbolizer_notes(namer.symbolizer));
	cprof_symbolizer_free(namer.symbolizer);
	run->log->counts.named = namer.named;
	report_nameless(&namer, modules, run->log);
	if (!err)
		err = add_comments(profile, run);
	if (err)
		return err;
	profile->time_ns = (int64_t)run->window->start_wall_ns;
	profile->duration_ns = (int64_t)cprof_window_elapsed_ns(run->window);
	*ret_profile = cprof_take_ptr(&profile);
	return NULL;
}
