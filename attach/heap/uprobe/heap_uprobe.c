#include "attach/heap/uprobe/heap_uprobe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/heap/uprobe/heap_bpf.h"
#include "attach/heap/uprobe/heap_probe.h"
#include "attach/heap/uprobe/heap_uprobe_file.h"
#include "attach/heap/uprobe/heap_uprobe_link.h"
#include "attach/heap/uprobe/heap_uprobe_program.h"
#include "attach/heap/uprobe/heap_uprobe_try.h"
#include "base/array.h"

/* The probes of one function. */
struct probes {
	uint32_t number;
	struct cprof_heap_uprobe_file *file; /* borrowed */
	struct cprof_heap_uprobe_spots spots;
	int fds[CPROF_HEAP_UPROBE_FDS]; /* owned */
	size_t n_fds;
};

struct cprof_heap_uprobe {
	struct cprof_target *target;   /* borrowed */
	const struct cprof_maps *maps; /* borrowed */
	size_t way;                    /* index in cprof_heap_uprobe_ways */
	struct cprof_heap_uprobe_program program;
	bool spare_returns;                    /* its return addresses must be left alone */
	pid_t tid;                             /* the thread that the probes were attached by */
	struct cprof_heap_uprobe_file **files; /* owned, and so are they */
	size_t n_files, cap_files;
	struct probes *probes[CPROF_HEAP_BPF_HOOKS]; /* owned */
	size_t n_probes;
};

/* ---- opening ---- */

static struct cprof_error *open_way(struct cprof_heap_uprobe *uprobe, size_t way)
{
	uprobe->way = way;
	return cprof_heap_uprobe_program_open(&uprobe->program, &cprof_heap_uprobe_ways[way]);
}

struct cprof_error *cprof_heap_uprobe_open(struct cprof_target *target,
					   const struct cprof_maps *maps, uint64_t period,
					   size_t way, struct cprof_heap_uprobe **ret_uprobe)
{
	struct cprof_heap_uprobe *uprobe = calloc(1, sizeof(*uprobe));
	if (!uprobe)
		return cprof_error_no_memory();
	uprobe->target = target;
	uprobe->maps = maps;
	uprobe->program.period = period;
	uprobe->tid = cprof_target_living_tid(target);
	uprobe->spare_returns = cprof_heap_uprobe_try_spare(target->pid);
	struct cprof_error *err = open_way(uprobe, way);
	if (err) {
		cprof_heap_uprobe_close(uprobe);
		return err;
	}
	*ret_uprobe = uprobe;
	return NULL;
}

static void detach(struct probes *probes)
{
	while (probes->n_fds)
		close(probes->fds[--probes->n_fds]);
}

void cprof_heap_uprobe_close(struct cprof_heap_uprobe *uprobe)
{
	if (!uprobe)
		return;
	cprof_heap_uprobe_enable(uprobe, false);
	for (size_t i = 0; i < uprobe->n_probes; i++) {
		detach(uprobe->probes[i]);
		free(uprobe->probes[i]);
	}
	for (size_t i = 0; i < uprobe->n_files; i++)
		cprof_heap_uprobe_file_close(uprobe->files[i]);
	cprof_heap_uprobe_program_close(&uprobe->program);
	free(uprobe->files);
	free(uprobe);
}

/* ---- probes ---- */

static struct cprof_error *attach(const struct cprof_heap_uprobe *uprobe, struct probes *probes)
{
	char path[64];
	return cprof_heap_uprobe_ways[uprobe->way].attach(
		cprof_heap_uprobe_program_fd(&uprobe->program),
		cprof_heap_uprobe_file_path(probes->file, path, sizeof(path)), &probes->spots,
		uprobe->tid, probes->fds, &probes->n_fds);
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
	struct cprof_error *err =
		uprobe->n_probes ? attach(uprobe, probes) : attach_first(uprobe, probes);
	if (err) {
		free(probes);
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

static void add_spot(struct probes *probes, uint64_t addr, uint32_t cookie)
{
	const struct cprof_map *map = probes->file->map;
	struct cprof_heap_uprobe_spots *spots = &probes->spots;
	spots->offsets[spots->n] = map->offset + (addr - map->start);
	spots->cookies[spots->n++] = cookie;
}

static_assert(CPROF_HEAP_PROBE_RETS < CPROF_HEAP_UPROBE_SPOTS, "all ways out and the entry");

/* The ways out first: a call that is seen to begin must be seen to end. */
static struct probes *make_probes(struct cprof_heap_uprobe_file *file, uint32_t number,
				  const struct cprof_heap_probe *plan, bool by_rets, bool returns)
{
	struct probes *probes = calloc(1, sizeof(*probes));
	if (!probes)
		return NULL;
	probes->number = number;
	probes->file = file;
	for (size_t i = 0; by_rets && i < plan->n_rets; i++)
		add_spot(probes, plan->rets[i], number | CPROF_HEAP_BPF_AT_RETURN);
	add_spot(probes, plan->addr, number);
	probes->spots.returns = returns;
	return probes;
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
	const bool frees = cprof_shim_frees(entry->kind);
	const bool by_rets = !frees && (entry->throws || uprobe->spare_returns);
	const struct cprof_memory code = cprof_heap_uprobe_file_code(file);
	struct cprof_heap_probe plan;
	err = cprof_heap_probe_plan(&code, entry->addr, entry->end, by_rets, &plan);
	if (err)
		return err;
	const char *why = cprof_heap_uprobe_file_changed(file, uprobe->maps, plan.addr);
	if (why)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "%s", why);
	struct probes *probes = make_probes(file, number, &plan, by_rets, !frees && !by_rets);
	if (!probes)
		return cprof_error_no_memory();
	uprobe->program.hooks[number] = (struct cprof_heap_bpf_hook){
		.addr = plan.addr, .kind = entry->kind, .by_rets = by_rets, .pool = entry->pool
	};
	cprof_heap_uprobe_program_tell(&uprobe->program);
	*ret_slow = plan.slow || by_rets; /* no kernel emulates a return */
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
		detach(uprobe->probes[i]);
		free(uprobe->probes[i]);
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
	for (size_t i = 0; !err && i < uprobe->n_probes; i++) {
		detach(uprobe->probes[i]);
		err = attach(uprobe, uprobe->probes[i]);
	}
	return err;
}

struct cprof_error *cprof_heap_uprobe_follow(struct cprof_heap_uprobe *uprobe, bool *ret_renewed)
{
	const pid_t tid = cprof_target_living_tid(uprobe->target);
	*ret_renewed = false;
	/* A session's probes stay in whatever becomes of the first thread. */
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
	*ret_counts = (struct cprof_heap_uprobe_counts){
		.calls = counts->calls,
		.frees = counts->frees,
		.lost = counts->lost + counts->untold,
		.lost_bytes = counts->lost_bytes,
		.table_full = counts->table_full,
		.nested = counts->nested,
		.over = counts->exec != 0,
	};
}

const char *cprof_heap_uprobe_how(const struct cprof_heap_uprobe *uprobe)
{
	return cprof_heap_uprobe_ways[uprobe->way].name;
}
