/* SPDX-License-Identifier: Apache-2.0 */
#include "base/spawn.h"

#include <signal.h>
#include <unistd.h>

int cprof_spawn(const char *program, const posix_spawn_file_actions_t *actions, char *const *argv,
		pid_t *ret_pid)
{
	sigset_t none, all;
	posix_spawnattr_t attributes;
	int failed = posix_spawnattr_init(&attributes);
	if (failed)
		return failed;
	sigemptyset(&none);
	sigfillset(&all);
	sigdelset(
		&all,
		SIGTTOU); /* who is in the background and ignores it does so for its programs as well */
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	failed = posix_spawnp(ret_pid, program, actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	return failed;
}
