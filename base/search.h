/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/search.h - binary search in a sorted array, written out where it is used so that it costs no call.
 */
#ifndef CPROF_BASE_SEARCH_H
#define CPROF_BASE_SEARCH_H

#include <stddef.h>

/*
 * The first index in [0, n) for which `before` is false, n if it is true for all: `before` is an expression of `i`, true up
 * to some index and false from there on. It is evaluated about log2(n) times.
 *
 *     size_t at = CPROF_SEARCH(i, maps->n, maps->sorted[i]->end <= addr);
 */
/* NOLINTBEGIN(bugprone-macro-parentheses): `i` is a name and `before` an expression of it */
#define CPROF_SEARCH(i, n, before)                                                                 \
	({                                                                                         \
		size_t low_##i = 0, high_##i = (n);                                                \
		while (low_##i < high_##i) {                                                       \
			const size_t i = low_##i + (high_##i - low_##i) / 2;                       \
			if (before)                                                                \
				low_##i = i + 1;                                                   \
			else                                                                       \
				high_##i = i;                                                      \
		}                                                                                  \
		low_##i;                                                                           \
	})
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
