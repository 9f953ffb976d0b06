/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_by_uprobe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/target/head_room.h"

#define PAGES_PER_HOOK 3u /* its entry and its ways out */
#define KERNEL_MAPS    2u
#define KERNEL_PAGES   16u /* those mappings, and page tables */

void cprof_heap_by_uprobe_init(struct cprof_heap_by_uprobe *by, struct cprof_heap_hooks *hooks,
			       struct cprof_run_log *log, uint64_t period,
			       const struct cprof_heap_sizes *sizes, size_t way)
{
	*by = (struct cprof_heap_by_uprobe){
		.hooks = hooks, .log = log, .period = period, .sizes = *sizes, .way = way
	};
}

void cprof_heap_by_uprobe_close(struct cprof_heap_by_uprobe *by)
{
	cprof_heap_uprobe_close(by->uprobe);
	by->uprobe = NULL;
}

void cprof_heap_by_uprobe_deinit(struct cprof_heap_by_uprobe *by)
{
	cprof_heap_by_uprobe_close(by);
	free(by->none_why);
	*by = (struct cprof_heap_by_uprobe){ 0 };
}

/* ---- one function ---- */

/* A page of text with a breakpoint becomes a copy, the kernel maps a page or two of its own: all of it is the target's. */
static struct cprof_error *check_room(const struct cprof_heap_hooks *hooks)
{
	const uint64_t page = 4096;
	const struct cprof_need need = {
		.what = "a heap profile by uprobes",
		.resident_bytes = (hooks->n * PAGES_PER_HOOK + KERNEL_PAGES) * page,
		.mapped_bytes = KERNEL_MAPS * page,
		.maps = KERNEL_MAPS,
	};
	struct cprof_head_room room;
	struct cprof_error *err =
		cprof_head_room_read(hooks->target->pid, hooks->maps->n_sorted, &room);
	return err ? err : cprof_head_room_check(&room, &need);
}

static struct cprof_error *open_uprobe(struct cprof_heap_by_uprobe *by)
{
	struct cprof_error *err = check_room(by->hooks);
	if (err || by->uprobe)
		return err;
	return cprof_heap_uprobe_open(by->hooks->target, by->hooks->maps, by->hooks->modules,
				      by->period, &by->sizes, by->way, &by->uprobe);
}

/* Its hook does not say so yet. */
static struct cprof_error *add(struct cprof_heap_by_uprobe *by, size_t index)
{
	struct cprof_heap_hook *hook = &by->hooks->all[index];
	if (hook->entry.why_not)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "%s", hook->entry.why_not);
	return cprof_heap_uprobe_add(by->uprobe, (uint32_t)index, &hook->entry, &hook->slow);
}

/* One that uprobes cannot watch either is named with both reasons; what is wrong with all of them is an error. */
static struct cprof_error *refuse(struct cprof_heap_hook *hook, struct cprof_error *err)
{
	if (err->code == CPROF_ERR_NO_MEMORY || err->code == CPROF_ERR_DENIED)
		return err;
	char why[512];
	snprintf(why, sizeof(why), "%s%sby a uprobe: %s", hook->reason ? hook->reason : "",
		 hook->reason ? "; " : "", err->message);
	cprof_heap_hook_refuse(hook, why);
	cprof_error_free(err);
	return NULL;
}

static struct cprof_error *refuse_numbered(void *ctx, uint32_t number, struct cprof_error *err)
{
	struct cprof_heap_by_uprobe *by = ctx;
	return refuse(&by->hooks->all[number], err);
}

/* The same where one that could be patched must not be refused. */
static struct cprof_error *refuse_refused(void *ctx, uint32_t number, struct cprof_error *err)
{
	struct cprof_heap_by_uprobe *by = ctx;
	struct cprof_heap_hook *hook = &by->hooks->all[number];
	return cprof_heap_hook_is_refused(hook) ? refuse(hook, err) : err;
}

/* Return addresses in the code mappings count as the allocator's: from there its own functions are called. */
static void tell_ranges(struct cprof_heap_by_uprobe *by, const struct cprof_heap_pages *pages)
{
	const struct cprof_alloc_entries *entries = &by->hooks->entries;
	struct cprof_shim_range ranges[CPROF_SHIM_MAX_RANGES + CPROF_HEAP_IMAGES_MAX];
	size_t n = 0;
	for (; n < entries->n_ranges; n++)
		ranges[n] = entries->ranges[n];
	for (uint32_t i = 0; pages && i < pages->n_images; i++)
		ranges[n++] =
			(struct cprof_shim_range){ pages->images[i].addr,
						   pages->images[i].addr + pages->image_bytes };
	cprof_heap_uprobe_ranges(by->uprobe, ranges, n);
}

/* ---- all of them ---- */

struct cprof_error *cprof_heap_by_uprobe_all(struct cprof_heap_by_uprobe *by, size_t from)
{
	struct cprof_error *err = open_uprobe(by);
	if (err)
		return err;
	for (size_t i = from; !err && i < by->hooks->n; i++) {
		struct cprof_heap_hook *hook = &by->hooks->all[i];
		/* Why it could not be patched does not matter. */
		cprof_heap_hook_set(hook, CPROF_HEAP_HOOK_PLANNED);
		err = add(by, i);
		if (err)
			err = refuse(hook, err);
	}
	if (!err)
		err = cprof_heap_uprobe_attach(by->uprobe, refuse_numbered, by);
	for (size_t i = from; !err && i < by->hooks->n; i++) {
		if (cprof_heap_uprobe_has(by->uprobe, (uint32_t)i))
			cprof_heap_hook_set(&by->hooks->all[i], CPROF_HEAP_HOOK_UPROBE);
	}
	tell_ranges(by, NULL);
	return err;
}

/* ---- objects that cannot be patched as a whole ---- */

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

/*
 * The hook for whose sake the object at `map` is left to uprobes; NULL: all of it can be patched. That stubs ran out is a
 * limit of ours, for which an object of so many functions is not made slow.
 */
static const struct cprof_heap_hook *obstacle(const struct cprof_heap_hooks *hooks,
					      const struct cprof_map *map)
{
	for (size_t i = 0; i < hooks->n; i++) {
		const struct cprof_heap_hook *hook = &hooks->all[i];
		if (hook->entry.map == map && hook->state == CPROF_HEAP_HOOK_REFUSED &&
		    !hook->entry.why_not && !is_rare(hook->entry.name))
			return hook;
	}
	return NULL;
}

/* Every function of the object at `map`, not attached yet. */
static struct cprof_error *add_all_of(struct cprof_heap_by_uprobe *by, size_t first,
				      const struct cprof_map *map)
{
	struct cprof_heap_hook *all = by->hooks->all;
	struct cprof_error *err = NULL;
	for (size_t i = first; !err && i < by->hooks->n; i++) {
		if (all[i].entry.map != map)
			continue;
		err = add(by, i);
		if (err)
			err = refuse_refused(by, (uint32_t)i, err);
	}
	for (size_t i = first; err && i < by->hooks->n; i++) {
		if (all[i].entry.map == map)
			cprof_heap_uprobe_remove(by->uprobe, (uint32_t)i);
	}
	return err;
}

/* What could be patched and cannot be watched is an error: then it is patched. */
static struct cprof_error *add_object(struct cprof_heap_by_uprobe *by, size_t first,
				      const struct cprof_map *map)
{
	struct cprof_heap_hook *all = by->hooks->all;
	struct cprof_error *err = add_all_of(by, first, map);
	if (!err)
		err = cprof_heap_uprobe_attach(by->uprobe, refuse_refused, by);
	for (size_t i = first; !err && i < by->hooks->n; i++) {
		if (all[i].entry.map == map && cprof_heap_uprobe_has(by->uprobe, (uint32_t)i))
			cprof_heap_hook_set(&all[i], CPROF_HEAP_HOOK_UPROBE);
	}
	return err;
}

/* Afterwards no hook of the object is PLANNED. On error they are as before. */
static struct cprof_error *take_object(struct cprof_heap_by_uprobe *by, size_t first,
				       const struct cprof_heap_hook *because)
{
	const struct cprof_map *map = because->entry.map;
	char why[512];
	snprintf(why, sizeof(why), "%s cannot be patched: %s", because->entry.name,
		 cprof_heap_hook_reason(because));
	struct cprof_error *err = add_object(by, first, map);
	if (err)
		return err;
	cprof_run_log_note(by->log, CPROF_NOTE_WARNING,
			   "%s is watched by uprobes, which is slower, because %s "
			   "(-heap-method inline leaves out what cannot be patched)",
			   map->path, why);
	return NULL;
}

static struct cprof_error *no_uprobe(struct cprof_heap_by_uprobe *by, struct cprof_error *err)
{
	if (err->code == CPROF_ERR_NO_MEMORY)
		return err;
	free(by->none_why);
	by->none_why = NULL;
	if (asprintf(&by->none_why, "%s%s%s", err->message, err->hint ? "; hint: " : "",
		     err->hint ? err->hint : "") < 0)
		by->none_why = NULL;
	cprof_error_free(err);
	return NULL;
}

/* Was the object that hooks[index] lies in looked at on the way here? */
static bool was_tried(const struct cprof_heap_hooks *hooks, size_t from, size_t index)
{
	for (size_t i = from; i < index; i++) {
		if (hooks->all[i].entry.map == hooks->all[index].entry.map)
			return true;
	}
	return false;
}

struct cprof_error *cprof_heap_by_uprobe_objects(struct cprof_heap_by_uprobe *by, size_t from,
						 const struct cprof_heap_pages *pages)
{
	const struct cprof_heap_hooks *hooks = by->hooks;
	for (size_t i = from; i < hooks->n; i++) {
		const struct cprof_heap_hook *because = obstacle(hooks, hooks->all[i].entry.map);
		if (!because || was_tried(hooks, from, i))
			continue;
		struct cprof_error *err = open_uprobe(by);
		if (!err)
			err = take_object(by, i, because);
		if (err)
			err = no_uprobe(by, err);
		if (err)
			return err;
	}
	if (by->uprobe)
		tell_ranges(by, pages);
	return NULL;
}

/* ---- probes that the program has itself ---- */

struct refused_sites {
	const struct cprof_usdt_sites *sites;
	bool refused[CPROF_USDT_SITES_MAX];
	char *why;
	size_t n_why;
};

static struct cprof_error *refuse_site(void *ctx, uint32_t number, struct cprof_error *err)
{
	struct refused_sites *refused = ctx;
	if (err->code == CPROF_ERR_NO_MEMORY || err->code == CPROF_ERR_DENIED)
		return err;
	refused->refused[number] = true;
	snprintf(refused->why, refused->n_why, "%s", err->message);
	cprof_error_free(err);
	return NULL;
}

static struct cprof_error *add_sites(struct cprof_heap_by_uprobe *by, struct refused_sites *refused)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < refused->sites->n; i++) {
		const struct cprof_usdt_site *site = &refused->sites->all[i];
		err = site->why_not ? cprof_error_new(CPROF_ERR_UNSUPPORTED, "%s", site->why_not)
				    : cprof_heap_uprobe_add_site(by->uprobe, (uint32_t)i, site);
		if (err)
			err = refuse_site(refused, (uint32_t)i, err);
	}
	return err ? err : cprof_heap_uprobe_attach(by->uprobe, refuse_site, refused);
}

/* A block whose free is not seen lives for ever: rather none of them than some. */
struct cprof_error *cprof_heap_by_uprobe_sites(struct cprof_heap_by_uprobe *by,
					       const struct cprof_usdt_sites *sites,
					       size_t *ret_watched, char *why, size_t n_why)
{
	struct refused_sites refused = { .sites = sites, .why = why, .n_why = n_why };
	size_t watched = 0, lacking = sites->too_many;
	*ret_watched = 0;
	struct cprof_error *err = open_uprobe(by);
	if (!err)
		err = add_sites(by, &refused);
	for (size_t i = 0; !err && i < sites->n; i++) {
		watched += !refused.refused[i] && !sites->all[i].frees;
		lacking += refused.refused[i];
	}
	if (!err && sites->too_many)
		snprintf(why, n_why, "there are more of them than %d", CPROF_USDT_SITES_MAX);
	if (!err && watched && !lacking)
		*ret_watched = watched;
	else
		cprof_heap_by_uprobe_close(by);
	return err;
}
