/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file_limit.h"

#include <signal.h>

static void go_on(int signal_no)
{
	(void)signal_no;
}

void cprof_file_limit_is_error(void)
{
	/* Caught, and not ignored: execve(2) hands down what is ignored. */
	const struct sigaction caught = { .sa_handler = go_on, .sa_flags = SA_RESTART };
	struct sigaction before;
	if (sigaction(SIGXFSZ, NULL, &before) == 0 && before.sa_handler == SIG_DFL)
		sigaction(SIGXFSZ, &caught, NULL);
}
