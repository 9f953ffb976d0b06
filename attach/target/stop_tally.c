/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/stop_tally.h"

#include <inttypes.h>
#include <stdio.h>

void cprof_stop_tally_add(struct cprof_stop_tally *tally, uint64_t ns, bool in_vain)
{
	tally->stops++;
	tally->in_vain += in_vain;
	tally->total_ns += ns;
	if (ns > tally->longest_ns)
		tally->longest_ns = ns;
}

void cprof_stop_tally_join(struct cprof_stop_tally *tally, const struct cprof_stop_tally *more)
{
	tally->stops += more->stops;
	tally->in_vain += more->in_vain;
	tally->total_ns += more->total_ns;
	tally->cut_short += more->cut_short;
	tally->interrupted += more->interrupted;
	if (more->longest_ns > tally->longest_ns)
		tally->longest_ns = more->longest_ns;
}

void cprof_stop_tally_text(const struct cprof_stop_tally *tally, char *text, size_t n)
{
	if (!tally->stops) {
		snprintf(text, n, "0 times");
		return;
	}
	int at = snprintf(text, n,
			  "%" PRIu64 " time%s, at most %" PRIu64 " us, %" PRIu64 " us in all",
			  tally->stops, tally->stops == 1 ? "" : "s", tally->longest_ns / 1000,
			  tally->total_ns / 1000);
	if (tally->in_vain && at > 0 && (size_t)at < n)
		snprintf(text + at, n - (size_t)at, "; %" PRIu64 " of them in vain",
			 tally->in_vain);
}
