/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/threads_request.h - what a look at a process's threads is asked for.
 */
#ifndef CPROF_ATTACH_THREADS_THREADS_REQUEST_H
#define CPROF_ATTACH_THREADS_THREADS_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"

struct cprof_threads_request {
	uint64_t repeat;        /* snapshots, at least 1 */
	uint64_t every_ns;      /* between two of them */
	const char *means;      /* of reading registers: "auto", "bpf", "proc" or "ptrace" */
	bool consistent;        /* stop all threads together */
	const char *core, *exe; /* a core file in place of a process, and its program; NULL: none */

	/* Takes the text of each snapshot as it comes; NULL: no text is wanted. */
	struct cprof_error *(*print)(void *ctx, const char *text, size_t n);
	void *print_ctx;
	bool group;      /* in the text, threads with one stack together */
	bool go_words;   /* in the text, the words of Go's dumps */
	bool no_profile; /* only the text is wanted: *ret_profile stays NULL */
};

#endif
