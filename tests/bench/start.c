/* SPDX-License-Identifier: Apache-2.0 */
/* start - print the wall clock at main, in ns: what it costs on this machine to start any program at all. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

int main(void)
{
	printf("%" PRIu64 "\n", cprof_clock_wall_ns());
	return 0;
}
