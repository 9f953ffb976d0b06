/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_sources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attach/heap/alloc/pool_find.h"
#include "attach/heap/alloc/usdt_find.h"
#include "attach/heap/inject/heap_claim.h"
#include "base/cleanup.h"

#define PLACES   8       /* chosen for our mappings before we give up */
#define PAUSE_NS 2000000 /* a program that is under way in the kernel has ended by then */

void cprof_heap_sources_init(struct cprof_heap_sources *sources,
			     const struct cprof_heap_method *method, struct cprof_target *target,
			     struct cprof_maps *maps, struct cprof_modules *modules,
			     struct cprof_run_log *log)
{
	*sources = (struct cprof_heap_sources){ .method = method, .log = log };
	cprof_heap_hooks_init(&sources->hooks, target, maps, modules);
	cprof_heap_install_init(&sources->install, target, maps, &sources->hooks);
}

void cprof_heap_sources_deinit(struct cprof_heap_sources *sources)
{
	cprof_heap_by_uprobe_deinit(&sources->by_uprobe);
	cprof_heap_reader_deinit(&sources->reader);
	cprof_heap_install_deinit(&sources->install);
	cprof_heap_hooks_deinit(&sources->hooks);
	*sources = (struct cprof_heap_sources){ 0 };
}

/* ---- attach ---- */

/* Functions that no jump can do for are refused after the plan; before the attach uprobes may have their objects. */
static struct cprof_error *attach_jumps(struct cprof_heap_sources *sources)
{
	struct cprof_heap_install *install = &sources->install;
	struct cprof_error *err = cprof_heap_install_plan(install, &sources->options);
	if (!err && sources->method->uprobes)
		err = cprof_heap_by_uprobe_objects(&sources->by_uprobe, 0, &install->pages);
	return err ? err : cprof_heap_install_attach(install);
}

static struct cprof_error *nothing_taken(const struct cprof_heap_hooks *hooks)
{
	for (size_t i = 0; i < hooks->n; i++) {
		const struct cprof_heap_hook *hook = &hooks->all[i];
		if (hook->state == CPROF_HEAP_HOOK_UPROBE && !cprof_shim_frees(hook->entry.kind))
			return NULL;
	}
	return cprof_error_new(CPROF_ERR_UNSUPPORTED,
			       "no allocator of process %d can be watched; %s: %s",
			       (int)hooks->target->pid, hooks->all[0].entry.name,
			       cprof_heap_hook_reason(&hooks->all[0]));
}

static struct cprof_error *attach_uprobes(struct cprof_heap_sources *sources)
{
	struct cprof_heap_hooks *hooks = &sources->hooks;
	struct cprof_error *err = cprof_maps_refresh(hooks->maps);
	if (!err)
		err = cprof_heap_claim_check(hooks->maps);
	if (!err)
		err = cprof_heap_hooks_find(hooks, sources->options.pools);
	if (!err)
		err = cprof_heap_by_uprobe_all(&sources->by_uprobe, 0);
	return err ? err : nothing_taken(hooks);
}

static void note_no_sites(struct cprof_heap_sources *sources, const char *why)
{
	cprof_run_log_note(sources->log, CPROF_NOTE_WARNING,
			   "the process has probes otel_memory:alloc, but they cannot be used: %s; "
			   "its allocators are watched instead",
			   why);
}

/* What the program samples itself, where that can be seen: sources->sites says so. Only where it must be is there an error. */
static struct cprof_error *attach_sites(struct cprof_heap_sources *sources)
{
	const bool must = !sources->method->injects;
	struct cprof_heap_hooks *hooks = &sources->hooks;
	CPROF_AUTO(free) struct cprof_usdt_sites *sites = malloc(sizeof(*sites));
	char why[256] = "none of them samples";
	struct cprof_error *err = sites ? cprof_maps_refresh(hooks->maps) : cprof_error_no_memory();
	if (!err)
		err = cprof_usdt_find(hooks->maps, hooks->modules, sites);
	if (err)
		return err;
	if (!sites->n)
		return must ? cprof_error_new(
				      CPROF_ERR_UNSUPPORTED,
				      "no object of process %d has probes otel_memory:alloc",
				      (int)hooks->target->pid)
			    : NULL;
	err = cprof_heap_claim_check(hooks->maps);
	if (err)
		return err;
	err = cprof_heap_by_uprobe_sites(&sources->by_uprobe, sites, &sources->sites, why,
					 sizeof(why));
	if (!err && !sources->sites && must)
		err = cprof_error_new(
			CPROF_ERR_UNSUPPORTED,
			"the probes otel_memory:alloc of process %d cannot be used: %s",
			(int)hooks->target->pid, why);
	if (err && (must || err->code == CPROF_ERR_NO_MEMORY))
		return err;
	if (err || !sources->sites) {
		note_no_sites(sources, err ? err->message : why);
		cprof_error_free(err);
		return NULL;
	}
	return cprof_alloc_find(&hooks->entries, hooks->maps, hooks->modules);
}

static struct cprof_error *attach_once(struct cprof_heap_sources *sources)
{
	sources->sites = 0;
	cprof_heap_by_uprobe_init(&sources->by_uprobe, &sources->hooks, sources->log,
				  sources->options.period, &sources->options.sizes,
				  sources->method->uprobe_way);
	struct cprof_error *err = sources->method->usdt ? attach_sites(sources) : NULL;
	if (err || sources->sites)
		return err;
	return sources->method->injects ? attach_jumps(sources) : attach_uprobes(sources);
}

/* As before the attach, of which nothing is left in the target. */
static void begin_again(struct cprof_heap_sources *sources)
{
	struct cprof_heap_hooks *hooks = &sources->hooks;
	struct cprof_target *target = hooks->target;
	struct cprof_maps *maps = hooks->maps;
	struct cprof_modules *modules = hooks->modules;
	const struct cprof_stop_tally stops = sources->install.attach_stops;
	cprof_heap_by_uprobe_deinit(&sources->by_uprobe);
	cprof_heap_install_deinit(&sources->install);
	cprof_heap_hooks_deinit(hooks);
	cprof_heap_hooks_init(hooks, target, maps, modules);
	cprof_heap_install_init(&sources->install, target, maps, hooks);
	sources->install.attach_stops = stops; /* all of them are counted */
}

/* The target may map something at the place that we have chosen before we do: then another is chosen. */
static struct cprof_error *attach(struct cprof_heap_sources *sources)
{
	struct cprof_error *err = attach_once(sources);
	for (unsigned place = 1;
	     err && err->os_errno == EEXIST && !sources->install.attached && place < PLACES;
	     place++) {
		cprof_error_free(err);
		begin_again(sources);
		err = attach_once(sources);
	}
	return err;
}

/* Where nothing can be injected uprobes may do, unless it is another heap profile that is in the way: it is in theirs too. */
static struct cprof_error *with_hint(const struct cprof_heap_sources *sources,
				     struct cprof_error *err)
{
	const struct cprof_heap_hooks *hooks = &sources->hooks;
	if ((err->code != CPROF_ERR_DENIED && err->code != CPROF_ERR_UNSUPPORTED) ||
	    !sources->method->injects || (err->hint && strstr(err->hint, "-heap-method")))
		return err;
	struct cprof_error *other = cprof_heap_claim_check(hooks->maps);
	const bool helps = !other && cprof_target_alive(hooks->target);
	cprof_error_free(other);
	if (!helps)
		return err;
	static const char method[] =
		"-heap-method uprobe injects nothing and stops nobody, but is slower (needs root, "
		"or CAP_BPF and CAP_PERFMON)";
	CPROF_AUTO(free) char *before = err->hint ? strdup(err->hint) : NULL;
	return before ? cprof_error_hint(err, "%s; or %s", before, method)
		      : cprof_error_hint(err, "%s", method);
}

static void enable_uprobes(const struct cprof_heap_sources *sources, bool on)
{
	if (sources->by_uprobe.uprobe)
		cprof_heap_uprobe_enable(sources->by_uprobe.uprobe, on);
}

struct cprof_error *cprof_heap_sources_attach(struct cprof_heap_sources *sources,
					      const struct cprof_heap_install_options *options)
{
	sources->options = *options;
	struct cprof_error *err = attach(sources);
	if (err)
		return with_hint(sources, err);
	if (sources->install.attached)
		err = cprof_heap_reader_init(&sources->reader, &sources->install.pages);
	if (err) {
		cprof_error_free(cprof_heap_sources_detach(sources, NULL, NULL));
		return err;
	}
	enable_uprobes(sources, true);
	return NULL;
}

/* ---- allocators that come later ---- */

static struct cprof_error *extend_jumps(struct cprof_heap_sources *sources)
{
	const size_t from = sources->hooks.n;
	struct cprof_heap_install *install = &sources->install;
	struct cprof_error *err = cprof_heap_install_plan_more(install);
	if (!err && sources->method->uprobes && from < sources->hooks.n)
		err = cprof_heap_by_uprobe_objects(&sources->by_uprobe, from, &install->pages);
	return err ? err : cprof_heap_install_extend(install);
}

static struct cprof_error *extend_uprobes(struct cprof_heap_sources *sources)
{
	const size_t from = sources->hooks.n;
	struct cprof_error *err = cprof_heap_hooks_find_more(&sources->hooks);
	return err || from == sources->hooks.n
		       ? err
		       : cprof_heap_by_uprobe_all(&sources->by_uprobe, from);
}

struct cprof_error *cprof_heap_sources_extend(struct cprof_heap_sources *sources)
{
	bool renewed = false;
	struct cprof_error *err = sources->sites             ? NULL
				  : sources->method->injects ? extend_jumps(sources)
							     : extend_uprobes(sources);
	if (!err && sources->by_uprobe.uprobe)
		err = cprof_heap_uprobe_follow(sources->by_uprobe.uprobe, &renewed);
	enable_uprobes(sources, true);
	if (renewed)
		cprof_run_log_note(
			sources->log, CPROF_NOTE_WARNING,
			"the thread that the uprobes were attached by ended, and for up to "
			"a second nothing was seen by them");
	return err;
}

/* ---- detach ---- */

struct cprof_error *cprof_heap_sources_detach(struct cprof_heap_sources *sources,
					      cprof_heap_final *final, void *ctx)
{
	if (sources->by_uprobe.uprobe) {
		enable_uprobes(sources, false);
		const struct timespec pause = { .tv_nsec = PAUSE_NS };
		nanosleep(&pause, NULL);
	}
	struct cprof_error *err = cprof_heap_install_detach(&sources->install, final, ctx);
	if (sources->by_uprobe.uprobe)
		cprof_heap_uprobe_counts(sources->by_uprobe.uprobe, &sources->counts);
	cprof_heap_by_uprobe_close(&sources->by_uprobe);
	return err;
}

/* ---- what is seen ---- */

struct cprof_error *cprof_heap_sources_poll(struct cprof_heap_sources *sources,
					    cprof_heap_sample_fn *fn, void *ctx,
					    size_t *ret_samples)
{
	struct cprof_heap_uprobe *uprobe = sources->by_uprobe.uprobe;
	size_t by_uprobe = 0;
	struct cprof_error *err = NULL;
	*ret_samples = 0;
	if (sources->reader.pages)
		err = cprof_heap_reader_poll(&sources->reader, fn, ctx, ret_samples);
	if (!err && uprobe) {
		err = cprof_heap_uprobe_poll(uprobe, fn, ctx, &by_uprobe);
		cprof_heap_uprobe_counts(uprobe, &sources->counts);
	}
	*ret_samples += by_uprobe;
	return err;
}

struct cprof_error *cprof_heap_sources_keep(struct cprof_heap_sources *sources,
					    cprof_heap_sample_fn *fn, void *ctx)
{
	size_t n = 0;
	struct cprof_error *err = NULL;
	if (sources->reader.pages)
		err = cprof_heap_reader_keep(&sources->reader);
	if (!err && sources->by_uprobe.uprobe)
		err = cprof_heap_uprobe_poll(sources->by_uprobe.uprobe, fn, ctx, &n);
	return err;
}

struct cprof_error *cprof_heap_sources_kept(struct cprof_heap_sources *sources,
					    cprof_heap_sample_fn *fn, void *ctx)
{
	return sources->reader.pages ? cprof_heap_reader_kept(&sources->reader, fn, ctx) : NULL;
}

struct cprof_error *cprof_heap_sources_live(struct cprof_heap_sources *sources,
					    struct cprof_map64 *ids, bool *ret_whole)
{
	struct cprof_error *err = NULL;
	if (sources->reader.pages)
		err = cprof_heap_reader_live(&sources->reader, ids);
	if (!err && sources->by_uprobe.uprobe)
		err = cprof_heap_uprobe_live(sources->by_uprobe.uprobe, ids);
	*ret_whole = !sources->reader.over;
	return err;
}

void cprof_heap_sources_set_period(struct cprof_heap_sources *sources, uint64_t period)
{
	if (sources->reader.pages)
		cprof_heap_reader_set_period(&sources->reader, period);
	if (sources->by_uprobe.uprobe)
		cprof_heap_uprobe_set_period(sources->by_uprobe.uprobe, period);
}

uint64_t cprof_heap_sources_lost(const struct cprof_heap_sources *sources)
{
	return sources->reader.control.lost + sources->counts.lost;
}

uint64_t cprof_heap_sources_lost_bytes(const struct cprof_heap_sources *sources)
{
	return sources->reader.control.lost_bytes + sources->counts.lost_bytes;
}

uint64_t cprof_heap_sources_nested(const struct cprof_heap_sources *sources)
{
	return sources->reader.control.nested + sources->counts.nested;
}

uint64_t cprof_heap_sources_table_full(const struct cprof_heap_sources *sources)
{
	return sources->reader.control.table_full + sources->counts.table_full;
}

bool cprof_heap_sources_over(const struct cprof_heap_sources *sources)
{
	return sources->reader.over || sources->counts.over;
}

const struct cprof_heap_hook *cprof_heap_sources_hook(const struct cprof_heap_sources *sources,
						      const struct cprof_shim_cell *cell)
{
	const struct cprof_heap_hooks *hooks = &sources->hooks;
	if (cell->image == CPROF_HEAP_SAMPLE_BY_UPROBE)
		return cell->entry < hooks->n ? &hooks->all[cell->entry] : NULL;
	for (size_t i = 0; i < hooks->n; i++) {
		const struct cprof_heap_hook *hook = &hooks->all[i];
		if (hook->state == CPROF_HEAP_HOOK_PATCHED && hook->stub == cell->entry &&
		    hook->image == cell->image)
			return hook;
	}
	return NULL;
}

uint64_t cprof_heap_sources_watched(const struct cprof_heap_sources *sources)
{
	uint64_t n = 0;
	for (size_t i = 0; i < sources->hooks.n; i++)
		n += sources->hooks.all[i].state == CPROF_HEAP_HOOK_PATCHED ||
		     sources->hooks.all[i].state == CPROF_HEAP_HOOK_UPROBE;
	return n;
}

bool cprof_heap_sources_is_allocator(const struct cprof_heap_sources *sources, uint64_t addr)
{
	return cprof_alloc_entries_hold(&sources->hooks.entries, addr);
}

bool cprof_heap_sources_in_pool(const struct cprof_heap_sources *sources, uint64_t addr)
{
	return cprof_pool_find_inside(&sources->hooks.entries, addr);
}
