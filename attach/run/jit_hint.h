/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/jit_hint.h - what would give names to code that a process makes at run time: the command of its language's run time.
 *
 * Source of truth: the run times' own manuals (node --v8-options, jcmd help Compiler.perfmap, Python "perf profiling", .NET "DOTNET_PerfMapEnabled",
 * Erlang "+JPperf", ruby --help).
 */
#ifndef CPROF_ATTACH_RUN_JIT_HINT_H
#define CPROF_ATTACH_RUN_JIT_HINT_H

#include "cprof/buffer.h"
#include "cprof/maps.h"

/* Locations of the addresses that a profile has, in one process; a zeroed struct has seen none. */
struct cprof_jit_hint {
	const struct cprof_maps
		*maps;     /* borrowed; of the process that nameless code was met in first */
	uint64_t nameless; /* locations in code made at run time that have no name */
	const struct cprof_maps
		*python;   /* of a process that runs Python's interpreter; NULL: none */
	bool python_named; /* and whose Python functions have names */
};

/* One location: the outermost function's name, and whether that is a name at all. */
void cprof_jit_hint_see(struct cprof_jit_hint *hint, const struct cprof_maps *maps,
			const struct cprof_map *map, const char *name, bool named);

/* Append the advice, without a newline; nothing where none is due. `locations`: all that the profile has. */
void cprof_jit_hint_put(const struct cprof_jit_hint *hint, uint64_t locations,
			struct cprof_buffer *out);

#endif
