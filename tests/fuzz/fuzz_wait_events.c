/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as futex tracepoint records: decoded, paired, charged. Whatever comes, sums stay finite and times positive.
 */
#include <stdlib.h>

#include "attach/waits/wait_events.h"
#include "attach/waits/wait_pair.h"

#define ENTER 522
#define EXIT  521

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_wait_pair pair = { .releases = size && (data[0] & 1) };
	uint64_t now_ns = 1;
	for (size_t at = 1; at + 2 < size;) {
		size_t n = data[at + 1] % 72;
		uint32_t tid = data[at] % 8u + 1;
		at += 2;
		if (n > size - at)
			n = size - at;
		struct cprof_wait_events_call call;
		struct cprof_wait waits[CPROF_WAIT_PAIR_PARTS];
		now_ns += data[at - 1];
		if (cprof_wait_events_decode(data + at, n, ENTER, EXIT, &call)) {
			if (call.kind == CPROF_WAIT_EVENTS_ENTER) {
				if (cprof_wait_pair_enter(&pair, tid, now_ns, call.addr, call.op,
							  call.val) ||
				    cprof_wait_pair_requeue(&pair, tid, call.to, call.n))
					abort();
			} else {
				unsigned k =
					cprof_wait_pair_exit(&pair, tid, now_ns, call.ret, waits);
				while (k-- > 0) {
					if (!(waits[k].delay_ns > 0 && waits[k].queue_ns >= 0))
						abort();
				}
			}
		}
		at += n;
	}
	cprof_wait_pair_deinit(&pair);
	return 0;
}
