/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "cprof/buffer.h"
#include "symbolize/unwind/unwind_impl.h"

void cprof_unwinder_stats(const struct cprof_unwinder *unwinder,
			  struct cprof_unwind_stats *ret_stats)
{
	*ret_stats = unwinder->stats;
	ret_stats->cache_hits = unwinder->rules.hits;
	ret_stats->cache_misses = unwinder->rules.misses;
	ret_stats->cache_rules = unwinder->rules.n_rules;
	ret_stats->cache_bytes = cprof_unwind_rules_bytes(&unwinder->rules);
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

void cprof_unwind_stats_describe(const struct cprof_unwind_stats *stats, struct cprof_buffer *walks,
				 struct cprof_buffer *cache)
{
	cprof_buffer_printf(walks, "stacks walked %" PRIu64 ", ended by", stats->walks);
	for (int stop = 0; stop < CPROF_STOP_N; stop++) {
		if (stats->stops[stop] || stop == CPROF_STOP_ROOT)
			cprof_buffer_printf(walks, " %s %" PRIu64 " (%.1f %%)",
					    cprof_stop_name((enum cprof_stop)stop),
					    stats->stops[stop],
					    percent(stats->stops[stop], stats->walks));
	}
	cprof_buffer_printf(walks,
			    "; frames %" PRIu64 ", of which guessed %" PRIu64
			    ", read later from the live process %" PRIu64,
			    stats->frames, stats->guessed, stats->live);
	uint64_t asked = stats->cache_hits + stats->cache_misses;
	cprof_buffer_printf(cache,
			    "unwind rules: %.2f %% of %" PRIu64 " look-ups known, %" PRIu64
			    " rules, %" PRIu64 " KB",
			    percent(stats->cache_hits, asked), asked, stats->cache_rules,
			    stats->cache_bytes / 1024);
}
