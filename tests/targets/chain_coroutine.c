/* SPDX-License-Identifier: Apache-2.0 */
/* chain_coroutine - on a stack made by makecontext, whose outermost function nobody called. */
#include <ucontext.h>

#include "chain.h"

static ucontext_t outside, inside;

static NOINLINE void inner(void)
{
	spin();
	NOT_TAIL();
}

static void body(void)
{
	inner();
	NOT_TAIL();
}

int main(void)
{
	static char stack[65536];
	getcontext(&inside);
	inside.uc_stack.ss_sp = stack;
	inside.uc_stack.ss_size = sizeof(stack);
	inside.uc_link = &outside;
	makecontext(&inside, body, 0);
	printf("chain spin;inner;body;__start_context\n");
	chain_ready();
	swapcontext(&outside, &inside);
	return 0;
}
