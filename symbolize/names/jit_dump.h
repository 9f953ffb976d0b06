/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/jit_dump.h - names of JIT code from the jit-PID.dump file that a process writes for perf inject.
 *
 * Owns finding the file and its records of loaded and moved code. The process maps its own dump as a mark for profilers:
 * the file behind that mapping is the one, whatever its path. Node (--perf-prof), Java (perf's libperf-jvmti.so), .NET,
 * LuaJIT and LLVM's JIT write it.
 *
 * Left alone: the machine code in it, unwind tables, and lines, which Node writes 64 bytes off and under file names that
 * are no text.
 *
 * Source of truth: Linux tools/perf/Documentation/jitdump-specification.txt.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_JIT_DUMP_H
#define CPROF_SYMBOLIZE_NAMES_JIT_DUMP_H

#include "cprof/budget.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/hash.h"
#include "cprof/image.h"
#include "cprof/maps.h"
#include "symbolize/elf/intervals.h"

struct cprof_jit_dump {
	struct cprof_buffer text; /* owned; the names, zero-terminated */
	size_t *names;            /* owned; where in `text` each begins */
	size_t n, cap;
	struct cprof_map64 by_index; /* code_index -> index in names + 1, for code that moves */
	struct cprof_intervals
		intervals; /* what: index in names; later records win, as code is replaced */
};

/*
 * The dump of the process of `maps`; none is no error: an empty dump. Errors: OS, BAD_DATA (no such dump, another
 * byte order), NO_MEMORY; the dump is empty then.
 */
struct cprof_error *cprof_jit_dump_read(struct cprof_jit_dump *dump, const struct cprof_maps *maps,
					struct cprof_budget *budget);

/* The same from the file's bytes. A record that makes no sense ends the reading: nothing tells where the next is. */
struct cprof_error *cprof_jit_dump_parse(struct cprof_jit_dump *dump, struct cprof_image *image);

void cprof_jit_dump_deinit(struct cprof_jit_dump *dump);

/* Whether a mapping of this path is the mark of a dump, not code. */
bool cprof_jit_dump_is(const char *path);

/* The name of the code at run-time address `addr`, or NULL. */
const char *cprof_jit_dump_find(const struct cprof_jit_dump *dump, uint64_t addr);

#endif
