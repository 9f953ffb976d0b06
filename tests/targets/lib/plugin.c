/* SPDX-License-Identifier: Apache-2.0 */
/* plugin - a shared library that turns.c loads and unloads. */
#include <stdint.h>

void plugin_work(void);

static volatile uint64_t sink;

__attribute__((noinline)) static void plugin_inner(void)
{
	for (int i = 0; i < 3000000; i++)
		sink += (uint64_t)i;
}

void plugin_work(void)
{
	plugin_inner();
	sink++;
}
