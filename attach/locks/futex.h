/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/locks/futex.h - what the arguments of the futex system calls mean: which operations sleep, which wake.
 *
 * Pure facts on numbers; what kind of lock stands behind a futex is wait_kind.h's question. Sources of
 * truth: futex(2), include/uapi/linux/futex.h, and include/uapi/asm/unistd.h of each CPU.
 */
#ifndef CPROF_ATTACH_LOCKS_FUTEX_H
#define CPROF_ATTACH_LOCKS_FUTEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cprof_futex_role {
	CPROF_FUTEX_OTHER, /* neither sleeps nor wakes (FD, TRYLOCK_PI) or unknown */
	CPROF_FUTEX_WAITS,
	CPROF_FUTEX_WAKES,
};

/* One operation without its flags. */
struct cprof_futex_op {
	const char *name; /* "WAIT_BITSET" */
	enum cprof_futex_role role;
	bool pi; /* the word holds the owner's thread id */
};

/* `op` as passed to the system call, flags included; NULL where the number is not known. */
const struct cprof_futex_op *cprof_futex_op(uint32_t op);

/* The operation without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME. */
uint32_t cprof_futex_command(uint32_t op);
bool cprof_futex_is_private(uint32_t op);

/*
 * The owner of a PI or robust mutex as its word says it, 0 for none. Other locks keep their owner beside
 * the word, see lock_word.h.
 */
uint32_t cprof_futex_word_owner(uint32_t word);

#endif
