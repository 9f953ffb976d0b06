/* SPDX-License-Identifier: Apache-2.0 */
/* chain_tail - tail calls leave no frame; a noreturn call at the end of a function returns behind it. */
#include "chain.h"

static NOINLINE void tail_target(int n)
{
	spin();
	chain_sink += (uint64_t)n;
}

static NOINLINE void tail_caller(int n)
{
	chain_sink++;
	tail_target(n + 1);
}

static NOINLINE __attribute__((noreturn)) void never_returns(int n)
{
	tail_caller(n);
	NOT_TAIL();
	exit(0);
}

/* Its last instruction is the call: the return address lies in the function behind it. */
static NOINLINE __attribute__((noreturn)) void ends_in_call(int n)
{
	chain_sink += (uint64_t)n;
	never_returns(n);
}

NOINLINE __attribute__((used)) void behind(void)
{
	chain_sink += 3;
}

int main(int argc, char **argv)
{
	(void)argv;
	printf("chain spin;tail_target;never_returns;ends_in_call;main\n");
	chain_ready();
	ends_in_call(argc);
}
