/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/stack.h - an unwound stack: code addresses, innermost first, and why the walk ended.
 */
#ifndef CPROF_STACK_H
#define CPROF_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cprof_map;

/*
 * A code address in the target and how we came by it. A return address points after its call, so
 * it may already lie in the next line, or, after a noreturn call, in the next function.
 */
struct cprof_code_addr {
	uint64_t addr;
	bool is_return;
};

/* The address to look up for names, lines and unwind info. Never use .addr for that. */
static inline uint64_t cprof_code_addr_lookup(struct cprof_code_addr code)
{
	return code.is_return ? code.addr - 1 : code.addr;
}

/* How a frame was found. */
enum cprof_frame_how {
	CPROF_FRAME_SAMPLE, /* the registers themselves: the innermost frame */
	CPROF_FRAME_RULE,   /* by unwind information */
	CPROF_FRAME_GUESS, /* by a guess: frame pointer or return address at sp, no unwind information */
};

struct cprof_frame {
	struct cprof_code_addr code;
	const struct cprof_map *map; /* borrowed from the maps; NULL: address in no known mapping */
	enum cprof_frame_how how;
	bool live; /* its words came from the process after the sample, not from the sample's copy */
};

/* Only ROOT means the stack is complete. docs/unwinding.md says what each means to a user. */
enum cprof_stop {
	CPROF_STOP_ROOT,     /* reached a frame that says it is the outermost */
	CPROF_STOP_DEPTH,    /* `cap` frames stored, more may follow */
	CPROF_STOP_COPY_END, /* the sampled part of the stack ended, and the rest could not be used */
	CPROF_STOP_UNREADABLE, /* the target's memory cannot be read there */
	CPROF_STOP_NOT_ADVANCING, /* the next frame was not further out: corrupt, or no frame pointer */
	CPROF_STOP_NO_MAP,        /* the return address points into no executable mapping */
	CPROF_STOP_NO_RULE,       /* no unwind information, and no guess that held */
	CPROF_STOP_N,
};

/* A short name for tables and labels: "root", "depth", ... */
const char *cprof_stop_name(enum cprof_stop stop);

struct cprof_stack {
	struct cprof_frame *frames; /* borrowed from the caller, room for `cap` */
	size_t cap;
	size_t len;
	enum cprof_stop stop;
};

#ifdef __cplusplus
}
#endif

#endif
