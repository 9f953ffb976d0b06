/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_request.h - what a block or mutex profile is asked for.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_REQUEST_H
#define CPROF_ATTACH_WAITS_WAIT_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

struct cprof_wait_request {
	bool releases; /* who makes others wait, by the stack that released the lock; else who waits */
	bool all;      /* every blocking system call, not waits for locks only */
	bool sleeps;      /* with `all`: a call that sleeps several times may be several waits */
	uint64_t rate_ns; /* of Go's law (wait.h); 0: it follows the load */
	uint64_t records_per_s; /* kept at most where the rate follows the load; 0: 2,000 */
	const char *method;     /* "auto", or the name of a tier */
	uint64_t stack_bytes;   /* copied with each wait; a multiple of 8, at most 65,528 */
};

#endif
