/*
 * symbolize/unwind/unwind_rules.h - from a code address to the rule for its frame, remembered.
 *
 * A rule is what a row of call frame information says, in the few bytes that a walk needs. The cache is
 * keyed by (module, offset in the file), so that all processes of a session share it; many addresses
 * share one rule. Its size is fixed: CPROF_UNWIND_RULES_BYTES for the table plus at most RULES_MAX rules;
 * when those are used up everything is forgotten and learned anew.
 */
#ifndef CPROF_SYMBOLIZE_UNWIND_UNWIND_RULES_H
#define CPROF_SYMBOLIZE_UNWIND_UNWIND_RULES_H

#include "base/hash.h"
#include "symbolize/unwind/cfi.h"
#include "symbolize/process/maps.h"
#include "symbolize/process/module.h"
#include "symbolize/process/stack.h"

/* Where the caller's value of a register is. */
enum cprof_unwind_from {
	CPROF_FROM_CFA,   /* stored at CFA + offset */
	CPROF_FROM_BASE,  /* stored at register `base` + offset */
	CPROF_FROM_STORE, /* stored where expression number `offset` says */
	CPROF_IS_CFA,     /* is CFA + offset */
	CPROF_IS_BASE,    /* is register `base` + offset */
	CPROF_IS_EXPR,    /* is what expression number `offset` says */
	CPROF_IS_LOST,    /* known to be gone */
};

struct cprof_unwind_place {
	uint8_t reg; /* the register that is told about */
	uint8_t from;
	uint8_t base;
	int32_t offset;
};

enum cprof_unwind_cfa {
	CPROF_CFA_REG,   /* register + offset */
	CPROF_CFA_DEREF, /* the word at register + offset (realigned frames, signal frames) */
	CPROF_CFA_PLT,   /* rsp + offset + 8 if (rip & 15) >= `add`: a lazy binding stub */
	CPROF_CFA_EXPR,  /* expression number `offset` */
};

struct cprof_unwind_rule {
	uint8_t cfa; /* enum cprof_unwind_cfa */
	uint8_t cfa_reg;
	uint8_t n_places; /* registers other than the return address; what is not told about stays */
	bool guessed;     /* read off the code: there is no unwind information */
	bool root;        /* the return address is undefined: the outermost frame */
	bool signal;      /* the caller was interrupted at exactly its pc */
	bool ra_stays;    /* the return address is still in its register (AArch64 leaf) */
	int32_t offset;
	int32_t add;
	struct cprof_unwind_place ra;
	struct cprof_unwind_place places[CPROF_ARCH_MAX_REGS];
};

struct cprof_unwind_rules {
	const struct cprof_arch *arch;
	struct cprof_unwind_slot *slots; /* owned */
	struct cprof_unwind_rule *rules; /* owned */
	size_t n_rules;
	struct cprof_map64 by_content; /* hash of a rule -> its index */
	struct cprof_cfi_expr *exprs;  /* owned */
	size_t n_exprs;
	uint64_t hits, misses, flushes;
	uint32_t epoch; /* another number: what was read off code made at run time is read again */
};

/* Reads bytes of code of a process. */
struct cprof_unwind_code {
	bool (*read)(void *ctx, uint64_t addr, void *buf, size_t n);
	void *ctx;
};

/* A code address and what it belongs to. */
struct cprof_unwind_where {
	struct cprof_code_addr code;
	const struct cprof_map *map;
	struct cprof_module *module;
	pid_t pid; /* tells apart the anonymous memory of processes */
	const struct cprof_unwind_code *reader;
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
