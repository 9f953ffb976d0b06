/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.h - for victim programs that stand at a known place of a known call chain.
 *
 * A program announces "chain A;B;C": function names, innermost first, up to main or the thread's function.
 * "?" stands for at most one frame of any name, "*" for at most eight, "NAME{17}" for 17 frames of that
 * name. Several chain lines: each sample has one of them. Then it keeps to its word until SIGTERM.
 */
#ifndef CPROF_TESTS_CHAIN_H
#define CPROF_TESTS_CHAIN_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
/* After the last call of a function: there is something left to do, so it is no tail call. */
#define NOT_TAIL() __asm__ volatile("" ::: "memory")

static volatile sig_atomic_t chain_stop;
static volatile uint64_t chain_sink;

static void chain_on_term(int signal_no)
{
	(void)signal_no;
	chain_stop = 1;
}

static void chain_ready(void)
{
	struct sigaction action;
	memset(&action, 0, sizeof(action));
	action.sa_handler = chain_on_term;
	action.sa_flags = SA_ONSTACK;
	sigaction(SIGTERM, &action, NULL);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
}

/* The innermost function of most chains. */
static NOINLINE __attribute__((unused)) void spin(void)
{
	uint64_t x = chain_sink;
	while (!chain_stop) {
		for (int i = 0; i < 1000; i++)
			x = x * 6364136223846793005ull + 1442695040888963407ull;
		chain_sink = x;
	}
}

#endif
