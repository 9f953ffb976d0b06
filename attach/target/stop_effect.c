/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/stop_effect.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define NOWHERE 6u /* no such argument */

/*
 * `limit` is the argument that limits the time: a pointer, or -1 for "none" where `milliseconds`; `flags` the one in
 * which MSG_WAITALL counts.
 */
static const struct row {
	int64_t nr;
	enum cprof_stop_effect effect;
	unsigned limit, flags;
	int milliseconds;
} rows[] = {
#ifdef SYS_epoll_wait
	{ SYS_epoll_wait, CPROF_STOP_AGAIN, 3, NOWHERE, 1 },
#endif
	{ SYS_epoll_pwait, CPROF_STOP_AGAIN, 3, NOWHERE, 1 },
#ifdef SYS_epoll_pwait2
	{ SYS_epoll_pwait2, CPROF_STOP_AGAIN, 3, NOWHERE, 0 },
#endif
	{ SYS_semop, CPROF_STOP_AGAIN, NOWHERE, NOWHERE, 0 },
	{ SYS_semtimedop, CPROF_STOP_AGAIN, 3, NOWHERE, 0 },
	{ SYS_rt_sigtimedwait, CPROF_STOP_AGAIN, 2, NOWHERE, 0 },
	{ SYS_io_getevents, CPROF_STOP_AGAIN, 4, NOWHERE, 0 },
#ifdef SYS_io_pgetevents
	{ SYS_io_pgetevents, CPROF_STOP_INTERRUPTED, NOWHERE, NOWHERE, 0 },
#endif
#ifdef SYS_io_uring_enter
	{ SYS_io_uring_enter, CPROF_STOP_AGAIN, NOWHERE, NOWHERE, 0 },
#endif
	{ SYS_recvfrom, CPROF_STOP_CUT_SHORT, NOWHERE, 3, 0 },
	{ SYS_recvmsg, CPROF_STOP_CUT_SHORT, NOWHERE, 2, 0 },
	{ SYS_write, CPROF_STOP_CUT_SHORT, NOWHERE, NOWHERE, 0 },
	{ SYS_writev, CPROF_STOP_CUT_SHORT, NOWHERE, NOWHERE, 0 },
	{ SYS_sendto, CPROF_STOP_CUT_SHORT, NOWHERE, NOWHERE, 0 },
	{ SYS_sendmsg, CPROF_STOP_CUT_SHORT, NOWHERE, NOWHERE, 0 },
	{ SYS_sendmmsg, CPROF_STOP_CUT_SHORT, NOWHERE, NOWHERE, 0 },
	{ SYS_sendfile, CPROF_STOP_CUT_SHORT, NOWHERE, NOWHERE, 0 },
	{ SYS_splice, CPROF_STOP_CUT_SHORT, NOWHERE, NOWHERE, 0 },
	{ SYS_vmsplice, CPROF_STOP_CUT_SHORT, NOWHERE, NOWHERE, 0 },
};

static enum cprof_stop_effect by_arguments(const struct row *row, const uint64_t args[6])
{
	if (row->flags != NOWHERE && !(args[row->flags] & MSG_WAITALL))
		return CPROF_STOP_RESTARTS;
	if (row->effect != CPROF_STOP_AGAIN)
		return row->effect;
	if (row->limit == NOWHERE)
		return CPROF_STOP_AGAIN;
	const uint64_t limit = args[row->limit];
	bool endless = row->milliseconds ? (int32_t)(uint32_t)limit < 0 : limit == 0;
	return endless ? CPROF_STOP_AGAIN : CPROF_STOP_INTERRUPTED;
}

enum cprof_stop_effect cprof_stop_effect(int64_t nr, const uint64_t args[6])
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].nr == nr)
			return by_arguments(&rows[i], args);
	}
	return CPROF_STOP_RESTARTS;
}

bool cprof_stop_effect_partial(int64_t nr, const uint64_t args[6], int64_t result)
{
	return (nr == SYS_write || nr == SYS_sendto) && result > 0 && (uint64_t)result < args[2];
}
