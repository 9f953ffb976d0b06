/* SPDX-License-Identifier: Apache-2.0 */
/* The variable, in its own object: of the program, or of a library that is loaded at the start or later. */
#include "otel_context.h"

#include <stddef.h>

__attribute__((visibility("default"))) __thread struct otel_record *otel_thread_ctx_v1;
/* Something before and behind it, so that its place in the block is not the first. */
__thread char otel_context_neighbours[24] = "neighbours";

__attribute__((visibility("default"))) void otel_context_attach(struct otel_record *record)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	otel_thread_ctx_v1 = record;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	otel_context_neighbours[0]++;
}
