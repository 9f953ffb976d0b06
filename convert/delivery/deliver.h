/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/delivery/deliver.h - one profile to its server now, and into the spool if it is not taken.
 *
 * It is put into the spool before it is sent, so that nothing that happens meanwhile (kill -9, a power failure) takes it away.
 */
#ifndef CPROF_CONVERT_DELIVERY_DELIVER_H
#define CPROF_CONVERT_DELIVERY_DELIVER_H

#include "convert/delivery/spool.h"

/*
 * As cprof_push_send(). *ret_waits: it was not delivered and waits in the spool; not for a profile that the server does
 * not want. `spool` NULL, or a disk that takes nothing: it is sent all the same, and *ret_unkept says what is wrong with
 * the spool (the caller's; NULL: nothing).
 */
struct cprof_error *cprof_deliver(struct cprof_spool *spool, const struct cprof_push *push,
				  struct cprof_push_result *result, bool *ret_waits,
				  struct cprof_error **ret_unkept);

#endif
