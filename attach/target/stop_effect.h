/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/stop_effect.h - what a stop by ptrace does to a system call that a thread sleeps in.
 *
 * Owns the table of the calls that the kernel does not simply restart, and which of those a tracer may make again so that
 * the program never sees EINTR. What a program sees of the others is what SIGSTOP and SIGCONT would do.
 *
 * Source of truth: signal(7) "Interruption of system calls and library functions by stop signals"; and each row is
 * tried on the kernel that the tests run on (tests/targets/stop_calls.c).
 */
#ifndef CPROF_ATTACH_TARGET_STOP_EFFECT_H
#define CPROF_ATTACH_TARGET_STOP_EFFECT_H

#include <stdbool.h>
#include <stdint.h>

enum cprof_stop_effect {
	CPROF_STOP_RESTARTS,    /* goes on by itself, with what is left of its time */
	CPROF_STOP_AGAIN,       /* would return EINTR; has no time limit: may be made again */
	CPROF_STOP_INTERRUPTED, /* returns EINTR */
	CPROF_STOP_CUT_SHORT,   /* returns what it had done so far, if that is anything */
};

/*
 * Of the system call `nr` of this machine with these arguments. AGAIN only for calls that came to nothing, so that it makes
 * no difference whether they are made once or twice. Pure.
 */
enum cprof_stop_effect cprof_stop_effect(int64_t nr, const uint64_t args[6]);

/* Did write(2) or sendto(2), which returned `result`, do a part of what it was asked for? Of other calls it is not known: false. Pure. */
bool cprof_stop_effect_partial(int64_t nr, const uint64_t args[6], int64_t result);

#endif
