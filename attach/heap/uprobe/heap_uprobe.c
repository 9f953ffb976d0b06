#include "attach/heap/uprobe/heap_uprobe.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "attach/heap/uprobe/heap_bpf.h"
#include "attach/heap/uprobe/heap_exits.h"
#include "attach/heap/uprobe/heap_probe.h"
#include "attach/heap/uprobe/heap_uprobe_apart.h"
#include "attach/heap/uprobe/heap_uprobe_children.h"
#include "attach/heap/uprobe/heap_uprobe_file.h"
#include "attach/heap/uprobe/heap_uprobe_link.h"
#include "attach/heap/uprobe/heap_uprobe_program.h"
#include "attach/perf/perf_host.h"
#include "base/array.h"
#include "base/cleanup.h"

/* One probe. */
struct spot {
	struct cprof_heap_uprobe_file *file; /* borrowed */
	uint64_t addr;                       /* run-time */
	uint32_t cookie;
};

/* All of one function. The entry is the last, so that a call that is seen to begin is seen to end. */
struct probes {
	uint32_t number;
	int *fds; /* owned */
	size_t n_fds;
	size_t n;
	struct spot spots[];
};

/* Probes in one file being attached, by a child of ours. */
struct attaching {
	const struct cprof_heap_uprobe_way *way;
	int program;
	pid_t tid;
	char path[64];
	struct cprof_heap_uprobe_spots spots;
	/* what comes back */
	int why;
	uint32_t failed;
	size_t n_fds;
	int fds[CPROF_HEAP_UPROBE_SPOTS];
};

struct cprof_heap_uprobe {
	struct cprof_target *target;   /* borrowed */
	struct cprof_maps *maps;       /* borrowed */
	struct cprof_modules *modules; /* borrowed */
	struct cprof_code_objects objects;
	size_t way; /* index in cprof_heap_uprobe_ways */
	struct cprof_heap_uprobe_program program;
	struct attaching *attaching; /* owned; shared with children */
	bool enabled;
	pid_t tid;                             /* the thread that the probes were attached by */
	struct cprof_heap_uprobe_file **files; /* owned, and so are they */
	size_t n_files, cap_files;
	struct probes *probes[CPROF_HEAP_BPF_HOOKS]; /* owned */
	size_t n_probes;
	struct cprof_heap_uprobe_children children;
};

/* ---- opening ---- */

static struct cprof_error *open_way(struct cprof_heap_uprobe *uprobe, size_t way)
{
	uprobe->way = way;
	return cprof_heap_uprobe_program_open(&uprobe->program, &cprof_heap_uprobe_ways[way]);
}

struct cprof_error *cprof_heap_uprobe_open(struct cprof_target *target, struct cprof_maps *maps,
					   struct cprof_modules *modules, uint64_t period,
					   size_t way, struct cprof_heap_uprobe **ret_uprobe)
{
	struct cprof_heap_uprobe *uprobe = calloc(1, sizeof(*uprobe));
	if (!uprobe)
		return cprof_error_no_memory();
	uprobe->target = target;
	uprobe->maps = maps;
	uprobe->modules = modules;
	uprobe->program.period = period;
	uprobe->tid = cprof_target_living_tid(target);
	uprobe->attaching = cprof_heap_uprobe_shared_new(sizeof(*uprobe->attaching));
	struct cprof_error *err =
		uprobe->attaching ? open_way(uprobe, way) : cprof_error_no_memory();
	if (err) {
		cprof_heap_uprobe_close(uprobe);
		return err;
	}
	*ret_uprobe = uprobe;
	return NULL;
}

static void detach(struct probes *probes)
{
	cprof_heap_uprobe_release(probes->fds, probes->n_fds);
	probes->n_fds = 0;
}

static void free_probes(struct probes *probes)
{
	detach(probes);
	free(probes->fds);
	free(probes);
}

/* At once, which is quicker than one function after the other. */
static void detach_all(struct cprof_heap_uprobe *uprobe)
{
	size_t n = 0, at = 0;
	for (size_t i = 0; i < uprobe->n_probes; i++)
		n += uprobe->probes[i]->n_fds;
	int *fds = calloc(n + 1, sizeof(*fds));
	for (size_t i = 0; fds && i < uprobe->n_probes; i++) {
		struct probes *probes = uprobe->probes[i];
		memcpy(fds + at, probes->fds, probes->n_fds * sizeof(*fds));
		at += probes->n_fds;
		probes->n_fds = 0;
	}
	cprof_heap_uprobe_release(fds, at);
	free(fds);
}

void cprof_heap_uprobe_close(struct cprof_heap_uprobe *uprobe)
{
	if (!uprobe)
		return;
	cprof_heap_uprobe_enable(uprobe, false);
	detach_all(uprobe);
	for (size_t i = 0; i < uprobe->n_probes; i++)
		free_probes(uprobe->probes[i]);
	for (size_t i = 0; i < uprobe->n_files; i++)
		cprof_heap_uprobe_file_close(uprobe->files[i]);
	cprof_heap_uprobe_program_close(&uprobe->program);
	cprof_code_objects_deinit(&uprobe->objects);
	cprof_heap_uprobe_shared_free(uprobe->attaching, sizeof(*uprobe->attaching));
	free(uprobe->files);
	free(uprobe);
}

/* ---- probes ---- */

static void attach_apart(void *ctx)
{
	struct attaching *attaching = ctx;
	attaching->why = attaching->way->attach(attaching->program, attaching->path,
						&attaching->spots, attaching->tid, attaching->fds,
						&attaching->n_fds, &attaching->failed);
}

/* ENOTSUPP of the kernel, which has no name here: it can neither emulate the instruction nor execute it elsewhere. */
#define NOT_SUPPORTED 524

static struct cprof_error *say_why(const struct attaching *attaching)
{
	const int why = attaching->why;
	if (why != NOT_SUPPORTED)
		return cprof_error_os(why, "attach uprobes");
	return cprof_error_new(CPROF_ERR_UNSUPPORTED, "the kernel puts no breakpoint on one of "
						      "its first or last instructions");
}

static void begin_spots(const struct cprof_heap_uprobe *uprobe, int program,
			const struct cprof_heap_uprobe_file *file)
{
	struct attaching *attaching = uprobe->attaching;
	attaching->way = &cprof_heap_uprobe_ways[uprobe->way];
	attaching->program = program;
	attaching->tid = uprobe->tid;
	attaching->n_fds = 0;
	attaching->spots.n = 0;
	attaching->why = ECANCELED; /* if the child does not come to it */
	cprof_heap_uprobe_file_path(file, attaching->path, sizeof(attaching->path));
}

/* Those of `probes` that lie in `file`, as far as there is room. */
static void add_spots(struct attaching *attaching, const struct probes *probes,
		      const struct cprof_heap_uprobe_file *file)
{
	const struct cprof_map *map = file->map;
	for (size_t i = 0; i < probes->n && attaching->spots.n < CPROF_HEAP_UPROBE_SPOTS; i++) {
		const struct spot *spot = &probes->spots[i];
		if (spot->file != file)
			continue;
		const uint32_t n = attaching->spots.n++;
		attaching->spots.offsets[n] = map->offset + (spot->addr - map->start);
		attaching->spots.cookies[n] = spot->cookie;
	}
}

static struct cprof_error *attach_file(const struct cprof_heap_uprobe *uprobe,
				       struct probes *probes,
				       const struct cprof_heap_uprobe_file *file)
{
	struct attaching *attaching = uprobe->attaching;
	begin_spots(uprobe, cprof_heap_uprobe_program_fd(&uprobe->program), file);
	add_spots(attaching, probes, file);
	cprof_heap_uprobe_apart(attach_apart, attaching);
	for (size_t i = 0; i < attaching->n_fds && probes->n_fds < probes->n; i++)
		probes->fds[probes->n_fds++] = attaching->fds[i];
	return attaching->why ? say_why(attaching) : NULL;
}

/* Has `file` none of the spots before number `i`? */
static bool is_first_of(const struct probes *probes, size_t i,
			const struct cprof_heap_uprobe_file *file)
{
	while (i-- > 0) {
		if (probes->spots[i].file == file)
			return false;
	}
	return true;
}

/* File by file, that of the entry last. */
static struct cprof_error *attach(const struct cprof_heap_uprobe *uprobe, struct probes *probes)
{
	struct cprof_error *err = NULL;
	const struct cprof_heap_uprobe_file *last = probes->spots[probes->n - 1].file;
	for (size_t i = 0; !err && i < probes->n; i++) {
		const struct cprof_heap_uprobe_file *file = probes->spots[i].file;
		if (file != last && is_first_of(probes, i, file))
			err = attach_file(uprobe, probes, file);
	}
	if (!err)
		err = attach_file(uprobe, probes, last);
	if (err)
		detach(probes);
	return err;
}

/* The first function shows which way this kernel and this process allow. */
static struct cprof_error *attach_first(struct cprof_heap_uprobe *uprobe, struct probes *probes)
{
	struct cprof_error *err = NULL;
	for (;;) {
		const struct cprof_heap_uprobe_way *way = &cprof_heap_uprobe_ways[uprobe->way];
		if (!way->by_leader || uprobe->tid == uprobe->target->pid) {
			cprof_error_free(err);
			err = attach(uprobe, probes);
			if (!err)
				return NULL;
		}
		if (uprobe->way + 1 == cprof_heap_uprobe_n_ways)
			return err;
		struct cprof_error *bad = open_way(uprobe, uprobe->way + 1);
		if (bad) {
			cprof_error_free(err);
			return bad;
		}
	}
}

/* Takes `probes`, also on error. */
static struct cprof_error *put(struct cprof_heap_uprobe *uprobe, struct probes *probes)
{
	size_t n = probes->n;
	for (size_t i = 0; i < uprobe->n_probes; i++)
		n += uprobe->probes[i]->n;
	cprof_perf_host_raise_files(n);
	struct cprof_error *err =
		uprobe->n_probes ? attach(uprobe, probes) : attach_first(uprobe, probes);
	if (err) {
		free_probes(probes);
		return cprof_heap_uprobe_program_not_permitted(err);
	}
	uprobe->probes[uprobe->n_probes++] = probes;
	return NULL;
}

static struct cprof_error *file_of(struct cprof_heap_uprobe *uprobe, const struct cprof_map *map,
				   struct cprof_heap_uprobe_file **ret_file)
{
	for (size_t i = 0; i < uprobe->n_files; i++) {
		if (uprobe->files[i]->map == map) {
			*ret_file = uprobe->files[i];
			return NULL;
		}
	}
	if (!CPROF_ARRAY_ROOM(uprobe->files, uprobe->n_files, uprobe->cap_files, 1))
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_heap_uprobe_file_open(uprobe->maps, map, ret_file);
	if (!err)
		uprobe->files[uprobe->n_files++] = *ret_file;
	return err;
}

static struct cprof_error *add_spot(struct cprof_heap_uprobe *uprobe, struct probes *probes,
				    uint64_t addr, uint32_t at)
{
	struct spot *spot = &probes->spots[probes->n];
	const struct cprof_map *map = cprof_maps_find(uprobe->maps, addr);
	if (!map)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "it has been unmapped");
	struct cprof_error *err = file_of(uprobe, map, &spot->file);
	if (err)
		return err;
	const char *why = cprof_heap_uprobe_file_changed(spot->file, uprobe->maps, addr);
	if (why)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "%s", why);
	spot->addr = addr;
	spot->cookie = probes->number | at;
	probes->n++;
	return NULL;
}

static struct probes *new_probes(uint32_t number, size_t most)
{
	struct probes *probes = calloc(1, sizeof(*probes) + most * sizeof(probes->spots[0]));
	int *fds = calloc(most, sizeof(*fds));
	if (!probes || !fds) {
		free(probes);
		free(fds);
		return NULL;
	}
	probes->number = number;
	probes->fds = fds;
	return probes;
}

static_assert(CPROF_HEAP_EXITS_MAX < CPROF_HEAP_UPROBE_SPOTS, "all exits and the entry");

/* An exit's cookie by its kind. */
static const uint32_t at_exit[] = {
	[CPROF_HEAP_EXIT_RET] = CPROF_HEAP_BPF_AT_RET,
	[CPROF_HEAP_EXIT_FIRST] = CPROF_HEAP_BPF_AT_FIRST,
	[CPROF_HEAP_EXIT_NONE] = CPROF_HEAP_BPF_AT_NONE,
};

static struct cprof_error *make_probes(struct cprof_heap_uprobe *uprobe, uint32_t number,
				       uint64_t entry, const struct cprof_heap_exits *exits,
				       struct probes **ret_probes)
{
	struct probes *probes = new_probes(number, exits->n + 1);
	if (!probes)
		return cprof_error_no_memory();
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < exits->n; i++)
		err = add_spot(uprobe, probes, exits->all[i].addr, at_exit[exits->all[i].kind]);
	if (!err)
		err = add_spot(uprobe, probes, entry, CPROF_HEAP_BPF_AT_ENTRY);
	if (err) {
		free_probes(probes);
		return err;
	}
	*ret_probes = probes;
	return NULL;
}

static struct cprof_error *find_exits(struct cprof_heap_uprobe *uprobe,
				      const struct cprof_alloc_entry *entry,
				      struct cprof_heap_exits *ret_exits)
{
	const struct cprof_heap_exits_process process = { uprobe->maps, uprobe->modules,
							  &uprobe->objects };
	ret_exits->n = 0;
	return cprof_shim_frees(entry->kind)
		       ? NULL
		       : cprof_heap_exits_find(&process, entry->addr, ret_exits);
}

struct cprof_error *cprof_heap_uprobe_add(struct cprof_heap_uprobe *uprobe, uint32_t number,
					  const struct cprof_alloc_entry *entry, bool *ret_slow)
{
	if (number >= CPROF_HEAP_BPF_HOOKS || uprobe->n_probes == CPROF_HEAP_BPF_HOOKS)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "there are too many functions");
	struct cprof_heap_uprobe_file *file;
	struct cprof_error *err = file_of(uprobe, entry->map, &file);
	if (err)
		return err;
	const struct cprof_memory code = cprof_heap_uprobe_file_code(file);
	struct cprof_heap_probe plan;
	struct cprof_heap_exits exits;
	struct probes *probes;
	err = cprof_heap_probe_plan(&code, entry->addr, entry->end, &plan);
	if (!err)
		err = find_exits(uprobe, entry, &exits);
	if (!err)
		err = make_probes(uprobe, number, plan.addr, &exits, &probes);
	if (err)
		return err;
	uprobe->program.hooks[number] = (struct cprof_heap_bpf_hook){ .addr = plan.addr,
								      .kind = entry->kind,
								      .pool = entry->pool };
	cprof_heap_uprobe_program_tell(&uprobe->program);
	*ret_slow = plan.slow || exits.n; /* no kernel emulates a return */
	return put(uprobe, probes);
}

bool cprof_heap_uprobe_has(const struct cprof_heap_uprobe *uprobe, uint32_t number)
{
	for (size_t i = 0; i < uprobe->n_probes; i++) {
		if (uprobe->probes[i]->number == number)
			return true;
	}
	return false;
}

void cprof_heap_uprobe_remove(struct cprof_heap_uprobe *uprobe, uint32_t number)
{
	for (size_t i = 0; i < uprobe->n_probes; i++) {
		if (uprobe->probes[i]->number != number)
			continue;
		free_probes(uprobe->probes[i]);
		uprobe->probes[i] = uprobe->probes[--uprobe->n_probes];
		return;
	}
}

void cprof_heap_uprobe_ranges(struct cprof_heap_uprobe *uprobe,
			      const struct cprof_shim_range *ranges, size_t n)
{
	struct cprof_heap_bpf_range *told = uprobe->program.ranges;
	memset(told, 0, sizeof(uprobe->program.ranges));
	for (size_t i = 0; i < n && i < CPROF_HEAP_BPF_RANGES; i++)
		told[i] = (struct cprof_heap_bpf_range){ .start = ranges[i].start,
							 .end = ranges[i].end };
	cprof_heap_uprobe_program_tell(&uprobe->program);
}

void cprof_heap_uprobe_enable(struct cprof_heap_uprobe *uprobe, bool on)
{
	cprof_heap_uprobe_program_enable(&uprobe->program, on);
	uprobe->enabled = on;
}

/* ---- the run ---- */

struct cprof_error *cprof_heap_uprobe_poll(struct cprof_heap_uprobe *uprobe,
					   cprof_heap_sample_fn *fn, void *ctx, size_t *ret_samples)
{
	return cprof_heap_uprobe_program_poll(&uprobe->program, fn, ctx, ret_samples);
}

struct cprof_error *cprof_heap_uprobe_live(const struct cprof_heap_uprobe *uprobe,
					   struct cprof_map64 *ids)
{
	return cprof_heap_uprobe_program_live(&uprobe->program, ids);
}

void cprof_heap_uprobe_set_period(struct cprof_heap_uprobe *uprobe, uint64_t period)
{
	cprof_heap_uprobe_program_set_period(&uprobe->program, period);
}

/* The old ones see nothing any more: the thread that they go by has no memory. */
static struct cprof_error *renew(struct cprof_heap_uprobe *uprobe)
{
	struct cprof_error *err = NULL;
	detach_all(uprobe);
	for (size_t i = 0; !err && i < uprobe->n_probes; i++)
		err = attach(uprobe, uprobe->probes[i]);
	return err;
}

/* Put a program that does nothing on all probes of a file and take it off again. */
static void touch_file(const struct cprof_heap_uprobe *uprobe, int program,
		       const struct cprof_heap_uprobe_file *file)
{
	struct attaching *attaching = uprobe->attaching;
	for (size_t i = 0; i < uprobe->n_probes;) {
		begin_spots(uprobe, program, file);
		for (; i < uprobe->n_probes &&
		       attaching->spots.n + uprobe->probes[i]->n <= CPROF_HEAP_UPROBE_SPOTS;
		     i++)
			add_spots(attaching, uprobe->probes[i], file);
		if (!attaching->spots.n)
			continue;
		cprof_heap_uprobe_apart(attach_apart, attaching);
		cprof_heap_uprobe_release(attaching->fds, attaching->n_fds);
	}
}

/* A child that the target has forked has its breakpoints, and nothing takes them out when it comes past them. */
static void spare_children(struct cprof_heap_uprobe *uprobe)
{
	int (*load_nothing)(void) = cprof_heap_uprobe_ways[uprobe->way].load_nothing;
	if (!load_nothing || !uprobe->n_probes ||
	    !cprof_heap_uprobe_children_came(&uprobe->children, uprobe->target->pid))
		return;
	CPROF_AUTO(close) int program = load_nothing();
	for (size_t i = 0; program >= 0 && i < uprobe->n_files; i++)
		touch_file(uprobe, program, uprobe->files[i]);
}

struct cprof_error *cprof_heap_uprobe_follow(struct cprof_heap_uprobe *uprobe, bool *ret_renewed)
{
	const pid_t tid = cprof_target_living_tid(uprobe->target);
	*ret_renewed = false;
	spare_children(uprobe);
	/* A multi link's probes stay in whatever becomes of the first thread. */
	if (tid == uprobe->tid || cprof_heap_uprobe_ways[uprobe->way].by_leader ||
	    !uprobe->n_probes || !cprof_target_alive(uprobe->target))
		return NULL;
	uprobe->tid = tid;
	*ret_renewed = true;
	return renew(uprobe);
}

void cprof_heap_uprobe_counts(const struct cprof_heap_uprobe *uprobe,
			      struct cprof_heap_uprobe_counts *ret_counts)
{
	const struct cprof_heap_bpf_counts *counts =
		cprof_heap_uprobe_program_counts(&uprobe->program);
	uint64_t open = 0, thrown_out = 0;
	if (!uprobe->enabled) {
		open = cprof_heap_uprobe_program_open_calls(&uprobe->program);
		const uint64_t ended = counts->told + counts->left + open;
		thrown_out = counts->noted > ended ? counts->noted - ended : 0;
	}
	*ret_counts = (struct cprof_heap_uprobe_counts){
		.calls = counts->calls,
		.frees = counts->frees,
		.lost = counts->lost + thrown_out,
		.lost_bytes = counts->lost_bytes,
		.table_full = counts->table_full,
		.nested = counts->nested,
		.left = counts->left + open,
		.over = counts->exec != 0,
	};
}

const char *cprof_heap_uprobe_how(const struct cprof_heap_uprobe *uprobe)
{
	return cprof_heap_uprobe_ways[uprobe->way].name;
}
