/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/uprobe/heap_uprobe_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "attach/heap/uprobe/heap_exits.h"
#include "attach/heap/uprobe/heap_probe.h"
#include "attach/heap/uprobe/heap_uprobe_apart.h"
#include "base/array.h"

/* ---- opening ---- */

struct cprof_error *cprof_heap_uprobe_open_way(struct cprof_heap_uprobe *uprobe, size_t way)
{
	uprobe->way = way;
	return cprof_heap_uprobe_program_open(&uprobe->program, &cprof_heap_uprobe_ways[way]);
}

struct cprof_error *cprof_heap_uprobe_open(struct cprof_target *target, struct cprof_maps *maps,
					   struct cprof_modules *modules, uint64_t period,
					   const struct cprof_heap_sizes *sizes, size_t way,
					   struct cprof_heap_uprobe **ret_uprobe)
{
	struct cprof_heap_uprobe *uprobe = calloc(1, sizeof(*uprobe));
	if (!uprobe)
		return cprof_error_no_memory();
	uprobe->target = target;
	uprobe->maps = maps;
	uprobe->modules = modules;
	uprobe->program.period = period;
	uprobe->program.sizes = *sizes;
	uprobe->tid = cprof_target_living_tid(target);
	uprobe->attaching = cprof_heap_uprobe_shared_new(sizeof(*uprobe->attaching));
	struct cprof_error *err = uprobe->attaching ? cprof_heap_uprobe_open_way(uprobe, way)
						    : cprof_error_no_memory();
	if (err) {
		cprof_heap_uprobe_close(uprobe);
		return err;
	}
	*ret_uprobe = uprobe;
	return NULL;
}

void cprof_heap_uprobe_close(struct cprof_heap_uprobe *uprobe)
{
	if (!uprobe)
		return;
	cprof_heap_uprobe_enable(uprobe, false);
	if (uprobe->n_fds)
		cprof_heap_uprobe_detach(uprobe, 0);
	for (size_t i = 0; i < uprobe->n_probes; i++)
		free(uprobe->probes[i]);
	free(uprobe->fds);
	for (size_t i = 0; i < uprobe->n_files; i++)
		cprof_heap_uprobe_file_close(uprobe->files[i]);
	cprof_heap_uprobe_program_close(&uprobe->program);
	cprof_code_objects_deinit(&uprobe->objects);
	cprof_heap_uprobe_shared_free(uprobe->attaching, sizeof(*uprobe->attaching));
	free(uprobe->files);
	free(uprobe);
}

/* ---- what they are ---- */

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

static struct cprof_error *add_spot(struct cprof_heap_uprobe *uprobe,
				    struct cprof_heap_uprobe_probes *probes, uint64_t addr,
				    uint32_t at)
{
	struct cprof_heap_uprobe_spot *spot = &probes->spots[probes->n];
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

static_assert(CPROF_HEAP_EXITS_MAX < CPROF_HEAP_UPROBE_SPOTS, "all exits and the entry");

/* An exit's cookie by its kind. */
static const uint32_t at_exit[] = {
	[CPROF_HEAP_EXIT_RET] = CPROF_HEAP_BPF_AT_RET,
	[CPROF_HEAP_EXIT_FIRST] = CPROF_HEAP_BPF_AT_FIRST,
	[CPROF_HEAP_EXIT_NONE] = CPROF_HEAP_BPF_AT_NONE,
};

static struct cprof_error *make_probes(struct cprof_heap_uprobe *uprobe, uint32_t number,
				       uint64_t entry, const struct cprof_heap_exits *exits,
				       struct cprof_heap_uprobe_probes **ret_probes)
{
	struct cprof_heap_uprobe_probes *probes =
		calloc(1, sizeof(*probes) + (exits->n + 1) * sizeof(probes->spots[0]));
	if (!probes)
		return cprof_error_no_memory();
	probes->number = number;
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < exits->n; i++)
		err = add_spot(uprobe, probes, exits->all[i].addr, at_exit[exits->all[i].kind]);
	if (!err)
		err = add_spot(uprobe, probes, entry, CPROF_HEAP_BPF_AT_ENTRY);
	if (err) {
		free(probes);
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
	struct cprof_heap_uprobe_probes *probes;
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
	uprobe->probes[uprobe->n_probes++] = probes;
	return NULL;
}

/* Linux 6.18 makes a call of it, to memory that a forked child does not have. */
static bool is_long_nop(struct cprof_heap_uprobe_file *file, uint64_t addr)
{
	static const uint8_t nop5[] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	uint8_t bytes[sizeof(nop5)];
	const struct cprof_memory code = cprof_heap_uprobe_file_code(file);
	return code.read(code.ctx, addr, bytes, sizeof(bytes)) &&
	       memcmp(bytes, nop5, sizeof(nop5)) == 0;
}

struct cprof_error *cprof_heap_uprobe_add_site(struct cprof_heap_uprobe *uprobe, uint32_t number,
					       const struct cprof_usdt_site *site)
{
	if (number >= CPROF_HEAP_BPF_SITES || uprobe->n_probes == CPROF_HEAP_BPF_HOOKS)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED, "there are too many probes");
	struct cprof_heap_uprobe_probes *probes =
		calloc(1, sizeof(*probes) + sizeof(probes->spots[0]));
	if (!probes)
		return cprof_error_no_memory();
	probes->number = number;
	struct cprof_error *err =
		add_spot(uprobe, probes, site->addr,
			 site->frees ? CPROF_HEAP_BPF_AT_FREE : CPROF_HEAP_BPF_AT_ALLOC);
	if (!err && is_long_nop(probes->spots[0].file, site->addr))
		err = cprof_error_new(CPROF_ERR_UNSUPPORTED,
				      "its place is a nop of five bytes, on which a uprobe can end "
				      "forked children");
	if (err) {
		free(probes);
		return err;
	}
	probes->spots[0].counter = site->semaphore;
	struct cprof_heap_bpf_site *told = &uprobe->program.sites[number];
	told->addr = site->addr;
	memcpy(told->args, site->args, sizeof(told->args));
	cprof_heap_uprobe_program_tell(&uprobe->program);
	uprobe->probes[uprobe->n_probes++] = probes;
	return NULL;
}

bool cprof_heap_uprobe_has(const struct cprof_heap_uprobe *uprobe, uint32_t number)
{
	for (size_t i = 0; i < uprobe->n_probes; i++) {
		if (uprobe->probes[i]->number == number)
			return true;
	}
	return false;
}

void cprof_heap_uprobe_drop(struct cprof_heap_uprobe *uprobe, size_t i)
{
	free(uprobe->probes[i]);
	uprobe->n_probes--;
	memmove(&uprobe->probes[i], &uprobe->probes[i + 1],
		(uprobe->n_probes - i) * sizeof(uprobe->probes[0]));
}

void cprof_heap_uprobe_remove(struct cprof_heap_uprobe *uprobe, uint32_t number)
{
	for (size_t i = 0; i < uprobe->n_probes; i++) {
		if (uprobe->probes[i]->number == number && !uprobe->probes[i]->attached) {
			cprof_heap_uprobe_drop(uprobe, i);
			return;
		}
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
		.gone = uprobe->gone,
		.over = counts->exec != 0,
	};
}

const char *cprof_heap_uprobe_how(const struct cprof_heap_uprobe *uprobe)
{
	return cprof_heap_uprobe_ways[uprobe->way].name;
}
