/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/spawn.h - starting another program with the signals that a program expects.
 *
 * Blocked and ignored signals survive execve(2) (signal(7)): what serves here blocks those that end it and ignores SIGPIPE, and a
 * browser or objdump that inherited that could not be ended, or would go on writing to nobody.
 */
#ifndef CPROF_BASE_SPAWN_H
#define CPROF_BASE_SPAWN_H

#include <spawn.h>
#include <sys/types.h>

/*
 * As posix_spawnp(3): `program` is looked for in PATH, `actions` may be NULL, the environment is our own; 0 or an errno. No signal is
 * blocked in it, and none ignored.
 */
int cprof_spawn(const char *program, const posix_spawn_file_actions_t *actions, char *const *argv,
		pid_t *ret_pid);

#endif
