/* SPDX-License-Identifier: Apache-2.0 */
/* Many addresses of one large module at once, for names.h. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "symbolize/names/names.h"

#define FRAMES_MAX 64 /* at one address, as in symbolizer.c */

struct place {
	uint64_t unit, addr;
};

static int by_unit(const void *a_, const void *b_)
{
	const struct place *a = a_, *b = b_;
	if (a->unit != b->unit)
		return a->unit < b->unit ? -1 : 1;
	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

/* Those that are not known yet. */
static size_t take_unknown(const struct cprof_names *names, const uint64_t *file_addrs, size_t n,
			   struct place *places)
{
	struct cprof_dwarf_frame frame;
	size_t n_places = 0;
	for (size_t i = 0; i < n; i++) {
		if (!cprof_symbol_cache_get(&names->cache, file_addrs[i], &frame, 1))
			places[n_places++] = (struct place){ 0, file_addrs[i] };
	}
	return n_places;
}

static struct cprof_error *look_up(struct cprof_names *names, struct place *places, size_t n)
{
	struct cprof_dwarf_frame frames[FRAMES_MAX];
	struct cprof_error *err = NULL;
	size_t n_frames;
	for (size_t i = 0; i < n; i++)
		places[i].unit = cprof_dwarf_unit_of(names->dwarf, places[i].addr);
	qsort(places, n, sizeof(*places), by_unit);
	names->keeps = true;
	for (size_t i = 0; i < n && !err; i++) {
		if (i && places[i].addr == places[i - 1].addr)
			continue;
		if (i && places[i].unit != places[i - 1].unit)
			cprof_dwarf_forget(names->dwarf, places[i].unit);
		err = cprof_names_frames(names, places[i].addr, frames, FRAMES_MAX, &n_frames);
	}
	cprof_dwarf_forget(names->dwarf, UINT64_MAX);
	return err;
}

struct cprof_error *cprof_names_learn(struct cprof_names *names, const uint64_t *file_addrs,
				      size_t n)
{
	CPROF_AUTO(free) struct place *places = n ? malloc(n * sizeof(*places)) : NULL;
	if (!n)
		return NULL;
	if (!places)
		return cprof_error_no_memory();
	size_t n_places = take_unknown(names, file_addrs, n, places);
	struct cprof_error *err = n_places ? cprof_names_need(names) : NULL;
	if (err || !n_places || !names->dwarf || !cprof_dwarf_is_large(names->dwarf))
		return err;
	return look_up(names, places, n_places);
}
