/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/locks/futex.h"

#include <linux/futex.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

/* Indexed by command. WAKE_OP and the REQUEUEs wake as well as move: they release. */
/* clang-format off */
static const struct cprof_futex_op ops[] = {
	[FUTEX_WAIT]            = { "WAIT",            CPROF_FUTEX_WAITS, false },
	[FUTEX_WAKE]            = { "WAKE",            CPROF_FUTEX_WAKES, false },
	[FUTEX_FD]              = { "FD",              CPROF_FUTEX_OTHER, false },
	[FUTEX_REQUEUE]         = { "REQUEUE",         CPROF_FUTEX_WAKES, false },
	[FUTEX_CMP_REQUEUE]     = { "CMP_REQUEUE",     CPROF_FUTEX_WAKES, false },
	[FUTEX_WAKE_OP]         = { "WAKE_OP",         CPROF_FUTEX_WAKES, false },
	[FUTEX_LOCK_PI]         = { "LOCK_PI",         CPROF_FUTEX_WAITS, true  },
	[FUTEX_UNLOCK_PI]       = { "UNLOCK_PI",       CPROF_FUTEX_WAKES, true  },
	[FUTEX_TRYLOCK_PI]      = { "TRYLOCK_PI",      CPROF_FUTEX_OTHER, true  },
	[FUTEX_WAIT_BITSET]     = { "WAIT_BITSET",     CPROF_FUTEX_WAITS, false },
	[FUTEX_WAKE_BITSET]     = { "WAKE_BITSET",     CPROF_FUTEX_WAKES, false },
	[FUTEX_WAIT_REQUEUE_PI] = { "WAIT_REQUEUE_PI", CPROF_FUTEX_WAITS, true  },
	[FUTEX_CMP_REQUEUE_PI]  = { "CMP_REQUEUE_PI",  CPROF_FUTEX_WAKES, true  },
	[FUTEX_LOCK_PI2]        = { "LOCK_PI2",        CPROF_FUTEX_WAITS, true  },
};
/* clang-format on */
#define N_OPS (sizeof(ops) / sizeof(ops[0]))

uint32_t cprof_futex_command(uint32_t op)
{
	return op & (uint32_t)FUTEX_CMD_MASK;
}

bool cprof_futex_is_private(uint32_t op)
{
	return (op & FUTEX_PRIVATE_FLAG) != 0;
}

const struct cprof_futex_op *cprof_futex_op(uint32_t op)
{
	uint32_t command = cprof_futex_command(op);
	return command < N_OPS ? &ops[command] : NULL;
}

uint32_t cprof_futex_word_owner(uint32_t word)
{
	return word & FUTEX_TID_MASK;
}
