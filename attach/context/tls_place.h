/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/context/tls_place.h - where a process's threads have a thread-local variable, from what its loader has written down.
 *
 * Pure: memory is whoever's. What differs between CPUs and C libraries about thread-local storage is in one table in tls_place.c.
 *
 * Source of truth: the TLS papers that tls_symbol.h names; glibc sysdeps/generic/dl-dtv.h, sysdeps/x86_64/nptl/tls.h ("tcbhead_t"),
 * elf/dl-tls.c; musl src/internal/pthread_impl.h, ldso/dynlink.c.
 */
#ifndef CPROF_ATTACH_CONTEXT_TLS_PLACE_H
#define CPROF_ATTACH_CONTEXT_TLS_PLACE_H

#include <stdbool.h>

#include "attach/context/context_bpf.h"
#include "attach/context/tls_symbol.h"
#include "cprof/memory.h"

enum cprof_tls_answer {
	CPROF_TLS_FOUND,
	CPROF_TLS_LATER,  /* the loader has not written it yet */
	CPROF_TLS_UNTOLD, /* no word tells, and it is not the program's own */
};

struct cprof_tls_image {
	uint64_t word_addr; /* where symbol->word is in the process */
	bool program;       /* it is the program itself, whose block comes first */
	bool musl;          /* of the process's C library */
};

/* `*ret_place` where it is found: FIXED or DYNAMIC. */
enum cprof_tls_answer cprof_tls_place_find(const struct cprof_tls_symbol *symbol,
					   const struct cprof_tls_image *image,
					   const struct cprof_memory *memory,
					   struct cprof_context_place *ret_place);

/* The distance from the thread pointer of a variable of the program's own block. */
int64_t cprof_tls_place_own(const struct cprof_tls_symbol *symbol);

#endif
