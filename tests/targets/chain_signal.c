/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain_signal [alt] - inside a signal handler, on the normal stack or on an alternate one. The signal
 * comes at the very first byte of a function: one less, and it would seem to come in another one.
 */
#include "chain.h"

static void on_ill(int signal_no)
{
	(void)signal_no;
	spin();
	NOT_TAIL();
	_exit(0);
}

NOINLINE __attribute__((used)) void before_trap(void)
{
	chain_sink++;
}

/* With call frame information, unlike plain assembly at file level. */
__attribute__((naked, noinline)) static void trap_here(void)
{
	__asm__("ud2; ret");
}

static NOINLINE void work(int n)
{
	volatile char local[3000];
	local[n] = 1;
	trap_here();
	local[n + 1] = local[n];
}

int main(int argc, char **argv)
{
	static char alternate[65536];
	struct sigaction action = { .sa_handler = on_ill, .sa_flags = SA_NODEFER };
	(void)argv;
	if (argc > 1) {
		stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
		sigaltstack(&stack, NULL);
		action.sa_flags |= SA_ONSTACK;
	}
	sigaction(SIGILL, &action, NULL);
	printf("chain spin;on_ill;__restore_rt;trap_here;work;main\n");
	chain_ready();
	work(argc);
	return 0;
}
