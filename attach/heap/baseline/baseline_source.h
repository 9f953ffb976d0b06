/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/baseline_source.h - the allocators whose blocks can be told from outside: a row of a table each.
 *
 * A source reads one allocator's structures in a live process, through process_vm_readv and the files of its modules only:
 * nobody is stopped, no lock is taken, nothing is injected, and no page is touched that is not in memory
 * (baseline_memory.h). All that it reads is hostile and changes meanwhile: every loop has a bound, every size is checked,
 * and what does not fit is counted as UNTOLD with its reason, never guessed.
 *
 * To add one: a file of its own with a `const struct cprof_baseline_source`, declared below, and its row in
 * baseline_sources.c. It finds its allocator by symbols (baseline_symbols.h), or by the form of its structures; adds itself
 * to the account with cprof_baseline_account_allocator() under the name in its row; and gives rows, parts and ranges.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_BASELINE_SOURCE_H
#define CPROF_ATTACH_HEAP_BASELINE_BASELINE_SOURCE_H

#include "attach/heap/baseline/baseline_account.h"
#include "attach/heap/baseline/baseline_memory.h"
#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"

/* The process that is looked at; all is borrowed. */
struct cprof_baseline_target {
	struct cprof_maps *maps; /* as of now: cprof_maps_refresh() */
	struct cprof_modules *modules;
	struct cprof_baseline_memory *memory;
	struct cprof_baseline_types
		*types; /* of C++ objects, by their first word; NULL: not asked */
};

struct cprof_baseline_source {
	const char *name; /* of the allocator, as the profile shows it: "glibc malloc" */

	/*
	 * Is it in this process? *ret_place is what read() needs to know then, NULL: it is not. Finding it but not
	 * understanding it is a place, too: read() says so. Errors: NO_MEMORY.
	 */
	struct cprof_error *(*find)(const struct cprof_baseline_target *target, void **ret_place);

	/* Read it into `account`. What cannot be told is no error but UNTOLD. Errors: NO_MEMORY. */
	struct cprof_error *(*read)(const struct cprof_baseline_target *target, void *place,
				    struct cprof_baseline_account *account);
	void (*free_place)(void *place); /* NULL: free() */
};

extern const struct cprof_baseline_source cprof_baseline_glibc; /* 2.28 to 2.43 */
extern const struct cprof_baseline_source cprof_baseline_jemalloc;
extern const struct cprof_baseline_source cprof_baseline_musl;
extern const struct cprof_baseline_source cprof_baseline_musl_old;
extern const struct cprof_baseline_source cprof_baseline_mimalloc;
extern const struct cprof_baseline_source cprof_baseline_gperftools;
extern const struct cprof_baseline_source cprof_baseline_google;

#endif
