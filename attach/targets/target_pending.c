/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/targets/target_pending.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"

#define SETTLE_NS   (CPROF_NS_PER_S / 4) /* what ends within this is not looked at */
#define AT_ONCE     256
#define PENDING_MAX 65536

void cprof_target_pending_deinit(struct cprof_target_pending *pending)
{
	free(pending->all);
	*pending = (struct cprof_target_pending){ 0 };
}

bool cprof_target_pending_add(struct cprof_target_pending *pending, pid_t pid, pid_t parent)
{
	if (pending->n && pending->all[pending->n - 1].pid == pid)
		return true; /* fork, exec and a new name come one behind the other */
	if (pending->n >= PENDING_MAX ||
	    !CPROF_ARRAY_ROOM(pending->all, pending->n, pending->cap, 1))
		return false;
	if (!pending->n)
		pending->due_mono_ns = cprof_clock_mono_ns() + SETTLE_NS;
	pending->all[pending->n++] = (struct cprof_target_pending_one){ pid, parent };
	return true;
}

void cprof_target_pending_take(struct cprof_target_pending *pending, uint64_t mono_ns,
			       void (*fn)(void *ctx, pid_t pid, pid_t parent), void *ctx)
{
	if (!pending->n || mono_ns < pending->due_mono_ns)
		return;
	const size_t n = pending->n < AT_ONCE ? pending->n : AT_ONCE;
	for (size_t i = 0; i < n; i++)
		fn(ctx, pending->all[i].pid, pending->all[i].parent);
	pending->n -= n;
	memmove(pending->all, pending->all + n, pending->n * sizeof(*pending->all));
	pending->due_mono_ns = mono_ns + SETTLE_NS;
}
