/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/delivery/deliver.h"

static void mark(void *ctx, uint32_t done, uint32_t n)
{
	const struct cprof_spool_ticket *ticket = ctx;
	/* A disk that is read only by now: the worst is that a part arrives twice. */
	cprof_error_free(cprof_spool_entry_mark(ticket->fd, done, n));
}

struct cprof_error *cprof_deliver(struct cprof_spool *spool, const struct cprof_push *push,
				  struct cprof_push_result *result, bool *ret_waits,
				  struct cprof_error **ret_unkept)
{
	struct cprof_spool_ticket ticket = { .fd = -1 };
	struct cprof_push now = *push;
	*ret_waits = false;
	*ret_unkept = spool ? cprof_spool_put(spool, push, &ticket) : NULL;
	bool kept = spool && !*ret_unkept;
	if (kept) {
		now.progress = mark;
		now.ctx = &ticket;
	}
	struct cprof_error *err = cprof_push_send(&now, result);
	if (!kept)
		return err;
	*ret_waits = result->verdict == CPROF_PUSH_AGAIN || result->verdict == CPROF_PUSH_HELD;
	if (*ret_waits)
		cprof_spool_release(&ticket);
	else
		cprof_spool_remove(spool, &ticket);
	if (!err)
		atomic_fetch_add_explicit(&spool->counts->delivered, 1, memory_order_relaxed);
	else if (result->verdict == CPROF_PUSH_REFUSED)
		cprof_spool_drop(spool, CPROF_DROPPED_REFUSED);
	return err;
}
