/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/target_spans.h"

#include <errno.h>
#include <sys/uio.h>

typedef ssize_t transfer_fn(pid_t pid, const struct iovec *local, unsigned long n_local,
			    const struct iovec *remote, unsigned long n_remote,
			    unsigned long flags);

static bool transfer(const struct cprof_target *target, transfer_fn *fn,
		     const struct cprof_target_span *spans, size_t n_spans)
{
	struct iovec local[CPROF_TARGET_SPANS_MAX], remote[CPROF_TARGET_SPANS_MAX];
	size_t bytes = 0;
	for (size_t i = 0; i < n_spans; i++) {
		local[i] = (struct iovec){ spans[i].buf, spans[i].n };
		remote[i] = (struct iovec){ (void *)(uintptr_t)spans[i].addr, spans[i].n };
		bytes += spans[i].n;
	}
	ssize_t done = fn(target->pid, local, n_spans, remote, n_spans, 0);
	/* A leader that has ended has no memory any more; its threads have. */
	if (done < 0 && errno == ESRCH)
		done = fn(cprof_target_living_tid(target), local, n_spans, remote, n_spans, 0);
	return done == (ssize_t)bytes;
}

bool cprof_target_spans_read(const struct cprof_target *target,
			     const struct cprof_target_span *spans, size_t n_spans)
{
	return transfer(target, process_vm_readv, spans, n_spans);
}

bool cprof_target_spans_write(const struct cprof_target *target,
			      const struct cprof_target_span *spans, size_t n_spans)
{
	return transfer(target, process_vm_writev, spans, n_spans);
}
