#include "attach/heap/heap_method.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attach/heap/inject/heap_claim.h"
#include "attach/heap/inject/heap_plan.h"
#include "base/cleanup.h"

#define PLACES   8       /* chosen for our mappings before we give up */
#define PAUSE_NS 2000000 /* a program that is under way in the kernel has ended by then */

/* ---- uprobes ---- */

/* Reading addresses of the injected pages count as the allocator's: from there its own functions are called. */
static void tell_ranges(struct cprof_heap_sources *sources)
{
	const struct cprof_heap_install *install = sources->install;
	struct cprof_shim_range ranges[CPROF_SHIM_MAX_RANGES + CPROF_HEAP_IMAGES_MAX];
	size_t n = 0;
	for (; n < install->entries.n_ranges; n++)
		ranges[n] = install->entries.ranges[n];
	for (uint32_t i = 0; i < install->n_images; i++)
		ranges[n++] =
			(struct cprof_shim_range){ install->images[i].addr,
						   install->images[i].addr + install->image_bytes };
	cprof_heap_uprobe_ranges(sources->uprobe, ranges, n);
}

static struct cprof_error *add(struct cprof_heap_sources *sources, size_t index)
{
	struct cprof_heap_hook *hook = &sources->install->hooks[index];
	struct cprof_error *err =
		cprof_heap_uprobe_add(sources->uprobe, (uint32_t)index, &hook->entry, &hook->slow);
	hook->by_uprobe = !err;
	return err;
}

/* One that uprobes cannot watch either is named with both reasons; what is wrong with all of them is an error. */
static struct cprof_error *refuse(struct cprof_heap_hook *hook, struct cprof_error *err)
{
	if (err->code == CPROF_ERR_NO_MEMORY || err->code == CPROF_ERR_DENIED)
		return err;
	char why[512];
	snprintf(why, sizeof(why), "%s%sby a uprobe: %s", hook->refused ? hook->refused : "",
		 hook->refused ? "; " : "", err->message);
	cprof_heap_plan_refuse(hook, why);
	cprof_error_free(err);
	return NULL;
}

static struct cprof_error *open_uprobe(struct cprof_heap_sources *sources)
{
	if (sources->uprobe)
		return NULL;
	return cprof_heap_uprobe_open(sources->install->target, sources->install->maps,
				      sources->options.period, sources->method->uprobe_way,
				      &sources->uprobe);
}

/* ---- auto: objects that cannot be patched as a whole go to uprobes as a whole ---- */

/* Functions that hardly any program calls: for their sake a whole allocator is not made slow. */
static bool is_rare(const char *name)
{
	static const char *const rare[] = { "valloc", "pvalloc", "cfree" };
	for (size_t i = 0; i < sizeof(rare) / sizeof(rare[0]); i++) {
		size_t n = strlen(name), m = strlen(rare[i]);
		if (n >= m && strcmp(name + n - m, rare[i]) == 0 &&
		    (n == m || name[n - m - 1] == '_'))
			return true;
	}
	return false;
}

/* The hook for whose sake the object that hooks[index] lies in is left to uprobes; NULL: all of it can be patched. */
static const struct cprof_heap_hook *obstacle(const struct cprof_heap_install *install,
					      size_t index)
{
	for (size_t i = 0; i < install->n_hooks; i++) {
		const struct cprof_heap_hook *hook = &install->hooks[i];
		if (hook->entry.map == install->hooks[index].entry.map && hook->refused &&
		    !hook->beyond_us && !is_rare(hook->entry.name))
			return hook;
	}
	return NULL;
}

/* Every function of the object at `map`. What could be patched and cannot be watched is an error: then it is patched. */
static struct cprof_error *add_object(struct cprof_heap_sources *sources, size_t first,
				      const struct cprof_map *map)
{
	struct cprof_heap_install *install = sources->install;
	struct cprof_error *err = NULL;
	for (size_t i = first; !err && i < install->n_hooks; i++) {
		if (install->hooks[i].entry.map == map)
			err = add(sources, i);
		if (err && install->hooks[i].refused)
			err = refuse(&install->hooks[i], err);
	}
	for (size_t i = first; err && i < install->n_hooks; i++) {
		if (install->hooks[i].entry.map != map || !install->hooks[i].by_uprobe)
			continue;
		cprof_heap_uprobe_remove(sources->uprobe, (uint32_t)i);
		install->hooks[i].by_uprobe = false;
	}
	return err;
}

/* Afterwards every hook of the object is refused. On error they are as before. */
static struct cprof_error *take_object(struct cprof_heap_sources *sources, size_t first,
				       const struct cprof_heap_hook *because)
{
	struct cprof_heap_install *install = sources->install;
	const struct cprof_map *map = install->hooks[first].entry.map;
	char why[512];
	snprintf(why, sizeof(why), "%s cannot be patched: %s", because->entry.name,
		 because->refused);
	struct cprof_error *err = add_object(sources, first, map);
	if (err)
		return err;
	cprof_run_log_note(sources->log, CPROF_NOTE_WARNING,
			   "%s is watched by uprobes, which is slower, because %s "
			   "(-heap-method inline leaves out what cannot be patched)",
			   map->path, why);
	for (size_t i = first; i < install->n_hooks; i++) {
		if (install->hooks[i].entry.map == map && !install->hooks[i].refused)
			cprof_heap_plan_refuse(&install->hooks[i], why);
	}
	return NULL;
}

static struct cprof_error *no_uprobe(struct cprof_heap_sources *sources, struct cprof_error *err)
{
	if (err->code == CPROF_ERR_NO_MEMORY)
		return err;
	free(sources->no_uprobe);
	sources->no_uprobe = NULL;
	if (asprintf(&sources->no_uprobe, "%s%s%s", err->message, err->hint ? "; hint: " : "",
		     err->hint ? err->hint : "") < 0)
		sources->no_uprobe = NULL;
	cprof_error_free(err);
	return NULL;
}

static struct cprof_error *split(void *ctx, size_t from)
{
	struct cprof_heap_sources *sources = ctx;
	struct cprof_heap_install *install = sources->install;
	for (size_t i = from; i < install->n_hooks; i++) {
		const struct cprof_heap_hook *because = obstacle(install, i);
		if (!because || install->hooks[i].by_uprobe)
			continue;
		/* A hook that neither means can watch is an obstacle that was dealt with. */
		bool done = false;
		for (size_t k = from; k < i; k++)
			done |= install->hooks[k].entry.map == install->hooks[i].entry.map;
		if (done)
			continue;
		struct cprof_error *err = open_uprobe(sources);
		if (!err)
			err = take_object(sources, i, because);
		if (err)
			err = no_uprobe(sources, err);
		if (err)
			return err;
	}
	if (sources->uprobe)
		tell_ranges(sources);
	return NULL;
}

static struct cprof_error *attach_inline(struct cprof_heap_sources *sources)
{
	return cprof_heap_attach(sources->install, &sources->options);
}

static struct cprof_error *extend_inline(struct cprof_heap_sources *sources)
{
	return cprof_heap_extend(sources->install);
}

static struct cprof_error *attach_auto(struct cprof_heap_sources *sources)
{
	sources->install->planned = split;
	sources->install->planned_ctx = sources;
	return cprof_heap_attach(sources->install, &sources->options);
}

/* ---- uprobe ---- */

static struct cprof_error *nothing_taken(const struct cprof_heap_sources *sources)
{
	const struct cprof_heap_install *install = sources->install;
	for (size_t i = 0; i < install->n_hooks; i++) {
		const struct cprof_heap_hook *hook = &install->hooks[i];
		if (hook->by_uprobe && !cprof_shim_frees(hook->entry.kind))
			return NULL;
	}
	return cprof_error_new(CPROF_ERR_UNSUPPORTED,
			       "no allocator of process %d can be watched; %s: %s",
			       (int)install->target->pid, install->hooks[0].entry.name,
			       install->hooks[0].refused ? install->hooks[0].refused : "?");
}

static struct cprof_error *take_from(struct cprof_heap_sources *sources, size_t from)
{
	struct cprof_error *err = NULL;
	for (size_t i = from; !err && i < sources->install->n_hooks; i++) {
		struct cprof_heap_hook *hook = &sources->install->hooks[i];
		free(hook->refused);
		hook->refused = NULL;
		err = add(sources, i);
		if (err)
			err = refuse(hook, err);
	}
	tell_ranges(sources);
	return err;
}

static struct cprof_error *attach_uprobe(struct cprof_heap_sources *sources)
{
	struct cprof_heap_install *install = sources->install;
	struct cprof_error *err = cprof_maps_refresh(install->maps);
	if (!err)
		err = cprof_heap_claim_check(install->maps);
	if (!err)
		err = cprof_heap_plan_entries(install, sources->options.pools);
	if (!err)
		err = open_uprobe(sources);
	if (!err)
		err = take_from(sources, 0);
	return err ? err : nothing_taken(sources);
}

static struct cprof_error *extend_uprobe(struct cprof_heap_sources *sources)
{
	const size_t from = sources->install->n_hooks;
	struct cprof_error *err = cprof_heap_plan_more_entries(sources->install);
	return err || from == sources->install->n_hooks ? err : take_from(sources, from);
}

/* ---- the table ---- */

static const struct cprof_heap_method methods[] = {
	{ "auto", 0, attach_auto, extend_inline },
	{ "inline", 0, attach_inline, extend_inline },
	{ "uprobe", 0, attach_uprobe, extend_uprobe },
	/* What "uprobe" comes to on kernels before 6.13; for comparing. */
	{ "uprobe-perf", 1, attach_uprobe, extend_uprobe },
};

struct cprof_error *cprof_heap_method_find(const char *name,
					   const struct cprof_heap_method **ret_method)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(methods[i].name, name) == 0) {
			*ret_method = &methods[i];
			return NULL;
		}
	}
	return cprof_error_new(CPROF_ERR_USAGE,
			       "-heap-method: \"%s\" is not auto, inline or uprobe", name);
}

/* ---- all means together ---- */

/* What bars the way in bars no uprobe, unless it is another heap profile. */
static struct cprof_error *with_hint(const struct cprof_heap_sources *sources,
				     struct cprof_error *err)
{
	if ((err->code != CPROF_ERR_DENIED && err->code != CPROF_ERR_UNSUPPORTED) ||
	    sources->method->attach == attach_uprobe ||
	    (err->hint && strstr(err->hint, "-heap-method")))
		return err;
	struct cprof_error *other = cprof_heap_claim_check(sources->install->maps);
	const bool helps = !other && cprof_target_alive(sources->install->target);
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

/* As before the attach, of which nothing is left in the target. */
static void begin_again(struct cprof_heap_sources *sources)
{
	struct cprof_heap_install *install = sources->install;
	struct cprof_target *target = install->target;
	struct cprof_maps *maps = install->maps;
	struct cprof_modules *modules = install->modules;
	cprof_heap_uprobe_close(sources->uprobe);
	sources->uprobe = NULL;
	free(sources->no_uprobe);
	sources->no_uprobe = NULL;
	cprof_heap_install_deinit(install);
	cprof_heap_install_init(install, target, maps, modules);
}

/* The target may map something at the place that we have chosen before we do: then another is chosen. */
static struct cprof_error *attach(struct cprof_heap_sources *sources)
{
	struct cprof_error *err = sources->method->attach(sources);
	for (unsigned place = 1; err && err->os_errno == EEXIST && place < PLACES; place++) {
		cprof_error_free(err);
		begin_again(sources);
		err = sources->method->attach(sources);
	}
	return err;
}

struct cprof_error *cprof_heap_sources_attach(struct cprof_heap_sources *sources,
					      const struct cprof_heap_install_options *options)
{
	sources->options = *options;
	struct cprof_error *err = attach(sources);
	if (!err && sources->install->attached)
		err = cprof_heap_reader_init(sources->reader, sources->install);
	if (err)
		return with_hint(sources, err);
	if (sources->uprobe)
		cprof_heap_uprobe_enable(sources->uprobe, true);
	return NULL;
}

struct cprof_error *cprof_heap_sources_extend(struct cprof_heap_sources *sources)
{
	bool renewed = false;
	struct cprof_error *err = sources->method->extend(sources);
	if (!err && sources->uprobe)
		err = cprof_heap_uprobe_follow(sources->uprobe, &renewed);
	if (sources->uprobe)
		cprof_heap_uprobe_enable(sources->uprobe, true);
	if (renewed)
		cprof_run_log_note(
			sources->log, CPROF_NOTE_WARNING,
			"the thread that the uprobes were attached by ended, and for up to "
			"a second nothing was seen by them");
	return err;
}

struct cprof_error *cprof_heap_sources_detach(struct cprof_heap_sources *sources,
					      cprof_heap_final *final, void *ctx)
{
	if (sources->uprobe) {
		cprof_heap_uprobe_enable(sources->uprobe, false);
		const struct timespec pause = { .tv_nsec = PAUSE_NS };
		nanosleep(&pause, NULL);
	}
	struct cprof_error *err = cprof_heap_detach(sources->install, final, ctx);
	if (sources->uprobe)
		cprof_heap_uprobe_counts(sources->uprobe, &sources->counts);
	cprof_heap_uprobe_close(sources->uprobe);
	sources->uprobe = NULL;
	return err;
}

void cprof_heap_sources_deinit(struct cprof_heap_sources *sources)
{
	cprof_heap_uprobe_close(sources->uprobe);
	free(sources->no_uprobe);
	*sources = (struct cprof_heap_sources){ 0 };
}

struct cprof_error *cprof_heap_sources_poll(struct cprof_heap_sources *sources,
					    cprof_heap_sample_fn *fn, void *ctx,
					    size_t *ret_samples)
{
	size_t by_uprobe = 0;
	struct cprof_error *err = NULL;
	*ret_samples = 0;
	if (sources->reader->install)
		err = cprof_heap_reader_poll(sources->reader, fn, ctx, ret_samples);
	if (!err && sources->uprobe) {
		err = cprof_heap_uprobe_poll(sources->uprobe, fn, ctx, &by_uprobe);
		cprof_heap_uprobe_counts(sources->uprobe, &sources->counts);
	}
	*ret_samples += by_uprobe;
	return err;
}

struct cprof_error *cprof_heap_sources_keep(struct cprof_heap_sources *sources,
					    cprof_heap_sample_fn *fn, void *ctx)
{
	size_t n = 0;
	struct cprof_error *err = NULL;
	if (sources->reader->install)
		err = cprof_heap_reader_keep(sources->reader);
	if (!err && sources->uprobe)
		err = cprof_heap_uprobe_poll(sources->uprobe, fn, ctx, &n);
	return err;
}

struct cprof_error *cprof_heap_sources_kept(struct cprof_heap_sources *sources,
					    cprof_heap_sample_fn *fn, void *ctx)
{
	return sources->reader->install ? cprof_heap_reader_kept(sources->reader, fn, ctx) : NULL;
}

struct cprof_error *cprof_heap_sources_live(const struct cprof_heap_sources *sources,
					    struct cprof_map64 *ids)
{
	struct cprof_error *err = NULL;
	if (sources->reader->install)
		err = cprof_heap_reader_live(sources->reader, ids);
	if (!err && sources->uprobe)
		err = cprof_heap_uprobe_live(sources->uprobe, ids);
	return err;
}

void cprof_heap_sources_set_period(struct cprof_heap_sources *sources, uint64_t period)
{
	if (sources->reader->install)
		cprof_heap_reader_set_period(sources->reader, period);
	if (sources->uprobe)
		cprof_heap_uprobe_set_period(sources->uprobe, period);
}

uint64_t cprof_heap_sources_lost(const struct cprof_heap_sources *sources)
{
	return sources->reader->control.lost + sources->counts.lost;
}

uint64_t cprof_heap_sources_lost_bytes(const struct cprof_heap_sources *sources)
{
	return sources->reader->control.lost_bytes + sources->counts.lost_bytes;
}

/* Samples that fell on an allocator's calls of itself. */
uint64_t cprof_heap_sources_nested(const struct cprof_heap_sources *sources)
{
	return sources->reader->control.nested + sources->counts.nested;
}

uint64_t cprof_heap_sources_table_full(const struct cprof_heap_sources *sources)
{
	return sources->reader->control.table_full + sources->counts.table_full;
}

bool cprof_heap_sources_over(const struct cprof_heap_sources *sources)
{
	return sources->reader->over || sources->counts.over;
}

const struct cprof_heap_hook *cprof_heap_sources_hook(const struct cprof_heap_sources *sources,
						      const struct cprof_shim_cell *cell)
{
	const struct cprof_heap_install *install = sources->install;
	if (cell->image == CPROF_HEAP_SAMPLE_BY_UPROBE)
		return cell->entry < install->n_hooks ? &install->hooks[cell->entry] : NULL;
	for (size_t i = 0; i < install->n_hooks; i++) {
		const struct cprof_heap_hook *hook = &install->hooks[i];
		if (!hook->refused && hook->stub == cell->entry && hook->image == cell->image)
			return hook;
	}
	return NULL;
}

/* ---- for people ---- */

static void report_hook(const struct cprof_heap_sources *sources,
			const struct cprof_heap_hook *hook)
{
	if (hook->by_uprobe)
		cprof_run_log_note(sources->log, CPROF_NOTE_DETAIL,
				   "watched by a uprobe%s: %s at 0x%" PRIx64 " in %s",
				   hook->slow ? " (single-stepped)" : "", hook->entry.name,
				   hook->entry.addr, hook->entry.map->path);
	else if (!hook->refused)
		cprof_run_log_note(sources->log, CPROF_NOTE_DETAIL,
				   "hooked %s at 0x%" PRIx64 " in %s%s", hook->entry.name,
				   hook->entry.addr, hook->entry.map->path,
				   hook->patch.at_entry ? ", at its first byte" : "");
	else
		cprof_run_log_note(sources->log, CPROF_NOTE_WARNING, "not hooked: %s in %s: %s",
				   hook->entry.name, hook->entry.map->path, hook->refused);
}

void cprof_heap_sources_report(const struct cprof_heap_sources *sources)
{
	const struct cprof_heap_install *install = sources->install;
	unsigned n = 0, slow = 0, patched = 0, at_entry = 0;
	for (size_t i = 0; i < install->n_hooks; i++) {
		const struct cprof_heap_hook *hook = &install->hooks[i];
		report_hook(sources, hook);
		n += hook->by_uprobe;
		slow += hook->by_uprobe && hook->slow;
		patched += !hook->refused;
		at_entry += !hook->refused && hook->patch.at_entry;
	}
	if (at_entry)
		cprof_run_log_note(sources->log, CPROF_NOTE_DETAIL,
				   "%u of %u functions were patched at their first byte, where "
				   "another tool's uprobe meanwhile would have been fatal",
				   at_entry, patched);
	if (n)
		cprof_run_log_note(
			sources->log, CPROF_NOTE_WARNING,
			"%u entry points were watched by uprobes: each of %" PRIu64
			" calls and %" PRIu64
			" frees took a trap, about 1 us more (about 10 us at %u of them, "
			"where the kernel single-steps)",
			n, sources->counts.calls, sources->counts.frees, slow);
	if (sources->no_uprobe)
		cprof_run_log_note(sources->log, CPROF_NOTE_WARNING,
				   "what cannot be patched is not watched by uprobes either: %s",
				   sources->no_uprobe);
}
