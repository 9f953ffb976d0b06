/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/seccomp.h - what a thread's seccomp filters would say to a system call made in its name.
 *
 * Owns the reading of the filters and a small interpreter of their language (classic BPF over struct seccomp_data). Asked
 * before a thread is borrowed: if we are killed at the wrong moment, the call meets the filter.
 *
 * Sources: seccomp(2); ptrace(2) PTRACE_SECCOMP_GET_FILTER; Linux Documentation/networking/filter.rst.
 */
#ifndef CPROF_ATTACH_TARGET_SECCOMP_H
#define CPROF_ATTACH_TARGET_SECCOMP_H

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/error.h"

struct cprof_seccomp_call {
	const char *name;
	int64_t number;
	uint64_t args[6];
};

/*
 * What the filter program returns for `call` (SECCOMP_RET_*, with its data). A program that is no filter (out of
 * range, endless, division by zero) kills, as far as we are concerned. Pure.
 */
uint32_t cprof_seccomp_run(const struct sock_filter *program, size_t n,
			   const struct cprof_seccomp_call *call, uint64_t ip);

/*
 * NULL if no filter of the stopped thread kills, traps or asks somebody for one of `calls` (failing with an error
 * number is harmless). Else UNSUPPORTED naming the call; DENIED where the filters cannot be read.
 */
struct cprof_error *cprof_seccomp_check(pid_t tid, const struct cprof_seccomp_call *calls,
					size_t n_calls, uint64_t ip);

#endif
