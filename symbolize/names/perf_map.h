/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/perf_map.h - names of JIT code that a process writes to /tmp/perf-PID.map for profilers.
 *
 * Owns finding the file as the process sees it (its /tmp, its own idea of its pid), the check that nobody else
 * wrote it, and its lines. Node (--perf-basic-prof), Java agents and Python (-X perf) write it.
 *
 * Source of truth: Linux tools/perf/Documentation/jit-interface.txt.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_PERF_MAP_H
#define CPROF_SYMBOLIZE_NAMES_PERF_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/budget.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/maps.h"
#include "symbolize/elf/intervals.h"

struct cprof_perf_map {
	struct cprof_buffer text; /* owned; names point into it */
	const char **names;       /* owned array */
	size_t n, cap;
	struct cprof_intervals
		intervals; /* what: index in names; later lines win, as code is replaced */
	size_t n_malformed;
};

/*
 * The map of the process that `maps` is of, found in its own /tmp and written by its user or root. No such file is no error: an empty map. Errors: OS, DENIED,
 * BAD_DATA (somebody else's file, too large), NO_MEMORY; the map is empty then.
 */
struct cprof_error *cprof_perf_map_read(struct cprof_perf_map *map, const struct cprof_maps *maps,
					struct cprof_budget *budget);

/* The same from text; takes `text`. Malformed lines are counted and left out. Errors: NO_MEMORY. */
struct cprof_error *cprof_perf_map_parse(struct cprof_perf_map *map, struct cprof_buffer *text);

void cprof_perf_map_deinit(struct cprof_perf_map *map);

/* The name of the code at run-time address `addr`, or NULL. */
const char *cprof_perf_map_find(const struct cprof_perf_map *map, uint64_t addr);

#endif
