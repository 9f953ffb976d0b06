/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cpu/cpu_account.h - does the sampled time agree with the kernel's own account of the targets' CPU time?
 *
 * Where every thread has a clock of its own (-open thread-cpu and thread), a thread that ends before it has worked for one
 * period is never sampled: a program that starts a thread for each request can look idle. The account tells.
 *
 * Source of truth: proc(5) "/proc/pid/stat", utime and stime, threads that have ended included.
 */
#ifndef CPROF_ATTACH_CPU_CPU_ACCOUNT_H
#define CPROF_ATTACH_CPU_CPU_ACCOUNT_H

#include "attach/target/target.h"

struct cprof_cpu_account {
	struct cprof_target *const *targets; /* borrowed */
	size_t n;
	bool user_only; /* time in the kernel is not sampled, so it does not count here either */
	bool known;     /* false: a target had ended, and nobody knows how much it worked */
	uint64_t before_ns; /* of all targets together, when the window began */
	uint64_t used_ns;   /* in the window */
};

void cprof_cpu_account_start(struct cprof_cpu_account *account, struct cprof_target *const *targets,
			     size_t n, bool user_only);

/* The window is over: sets used_ns, or known to false. */
void cprof_cpu_account_stop(struct cprof_cpu_account *account);

/*
 * Whether `sampled_ns` is so much less than `used_ns` that it is no accident: less than a half, and by at least
 * ten samples of `period_ns` and a fifth of a second. The kernel's split of user from kernel time is rough.
 */
bool cprof_cpu_account_short(uint64_t used_ns, uint64_t sampled_ns, uint64_t period_ns);

#endif
