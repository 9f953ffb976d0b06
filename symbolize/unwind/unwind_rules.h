/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/unwind/unwind_rules.h - from a code address to the rule for its frame, remembered.
 *
 * The cache is keyed by (module, offset in the file), so that all processes of a session share it; many
 * addresses share one rule. Its size is fixed: a table of addresses, and room for a number of distinct rules; when
 * that is used up everything is forgotten and learned anew.
 */
#ifndef CPROF_SYMBOLIZE_UNWIND_UNWIND_RULES_H
#define CPROF_SYMBOLIZE_UNWIND_UNWIND_RULES_H

#include "cprof/hash.h"
#include "cprof/maps.h"
#include "cprof/memory.h"
#include "cprof/module.h"
#include "cprof/stack.h"
#include "symbolize/unwind/cfi.h"
#include "symbolize/unwind/unwind_rule.h"
#include "symbolize/unwind/unwind_switch.h"

struct cprof_java_vm;

#define CPROF_SWITCHES_MAX 16 /* distinct ones; a version of Go has two */

struct cprof_unwind_rules {
	const struct cprof_arch *arch;
	struct cprof_unwind_slot *slots; /* owned */
	struct cprof_unwind_rule *rules; /* owned */
	size_t n_rules;
	struct cprof_map64 by_content; /* hash of a rule -> its index */
	struct cprof_cfi_expr *exprs;  /* owned */
	size_t n_exprs;
	struct cprof_unwind_switch switches[CPROF_SWITCHES_MAX];
	int32_t switch_exprs[CPROF_SWITCHES_MAX]; /* their numbers in `exprs` */
	size_t n_switches;
	uint64_t hits, misses, flushes;
	uint32_t epoch; /* another number: what was read off code made at run time is read again */
};

/* A code address and what it belongs to. */
struct cprof_unwind_where {
	struct cprof_code_addr code;
	const struct cprof_map *map;
	struct cprof_module *module;
	pid_t pid;                         /* tells apart the anonymous memory of processes */
	const struct cprof_memory *bytes;  /* the code of the process */
	struct cprof_java_vm *java;        /* of the process, for anonymous memory; NULL: none */
	const struct cprof_memory *memory; /* the process as it is now, for its tables */
	bool by_code; /* what the code itself tells, whatever its unwind information says */
};

struct cprof_error *cprof_unwind_rules_init(struct cprof_unwind_rules *rules,
					    const struct cprof_arch *arch);
void cprof_unwind_rules_deinit(struct cprof_unwind_rules *rules);

/*
 * The rule for a code address; NULL if neither unwind information nor the code itself tells one. Borrowed
 * until the next call. ret_after_call: the code right before the address ends in a call. At most *steps CFI
 * instructions are run, and code is read for a share of them.
 */
const struct cprof_unwind_rule *cprof_unwind_rules_get(struct cprof_unwind_rules *rules,
						       const struct cprof_unwind_where *where,
						       bool *ret_after_call, uint32_t *steps);

/* Bytes of heap held now. */
size_t cprof_unwind_rules_bytes(const struct cprof_unwind_rules *rules);

#endif
