/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/delivery/delivery_counts.h"

#include <inttypes.h>

static const char *const names[CPROF_DROPPED_N] = {
	[CPROF_DROPPED_REFUSED] = "refused", [CPROF_DROPPED_TOO_OLD] = "too_old",
	[CPROF_DROPPED_EXPIRED] = "expired", [CPROF_DROPPED_NO_ROOM] = "no_room",
	[CPROF_DROPPED_DAMAGED] = "damaged", [CPROF_DROPPED_NOT_KEPT] = "not_kept",
};

const char *cprof_dropped_name(enum cprof_dropped reason)
{
	return names[reason];
}

static uint64_t read_count(const _Atomic uint64_t *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

static uint64_t all_dropped(const struct cprof_delivery_counts *counts)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < CPROF_DROPPED_N; i++)
		sum += read_count(&counts->dropped[i]);
	return sum;
}

uint64_t cprof_delivery_counts_settled(const struct cprof_delivery_counts *counts)
{
	return read_count(&counts->delivered) + all_dropped(counts) -
	       read_count(&counts->dropped[CPROF_DROPPED_NO_ROOM]);
}

void cprof_delivery_counts_say(const struct cprof_delivery_counts *counts, struct cprof_buffer *out)
{
	uint64_t dropped = all_dropped(counts), waiting = read_count(&counts->waiting);
	uint64_t delivered = read_count(&counts->delivered);
	if (!delivered && !waiting && !dropped)
		return;
	cprof_buffer_printf(out, "profiles: %" PRIu64 " delivered", delivered);
	if (waiting)
		cprof_buffer_printf(out, ", %" PRIu64 " wait", waiting);
	if (!dropped)
		return;
	cprof_buffer_printf(out, ", %" PRIu64 " dropped (", dropped);
	const char *between = "";
	for (size_t i = 0; i < CPROF_DROPPED_N; i++) {
		uint64_t n = read_count(&counts->dropped[i]);
		if (n) {
			cprof_buffer_printf(out, "%s%" PRIu64 " %s", between, n, names[i]);
			between = ", ";
		}
	}
	cprof_buffer_putc(out, ')');
}

static void put_head(struct cprof_buffer *out, const char *name, const char *type, const char *help)
{
	cprof_buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_one(struct cprof_buffer *out, const char *name, const char *type, const char *help,
		    const _Atomic uint64_t *count)
{
	put_head(out, name, type, help);
	cprof_buffer_printf(out, "%s %" PRIu64 "\n", name, read_count(count));
}

void cprof_delivery_counts_put_metrics(const struct cprof_delivery_counts *counts,
				       struct cprof_buffer *out)
{
	put_one(out, "cprof_push_delivered_total", "counter", "Profiles that a server took.",
		&counts->delivered);
	put_one(out, "cprof_push_kept_total", "counter",
		"Profiles that were written to the spool to wait for their server.", &counts->kept);
	put_one(out, "cprof_push_failed_tries_total", "counter",
		"Requests that failed and are tried again.", &counts->failed_tries);
	put_head(out, "cprof_push_dropped_total", "counter",
		 "Profiles that were given up, by reason.");
	for (size_t i = 0; i < CPROF_DROPPED_N; i++)
		cprof_buffer_printf(out, "cprof_push_dropped_total{reason=\"%s\"} %" PRIu64 "\n",
				    names[i], read_count(&counts->dropped[i]));
	put_one(out, "cprof_push_spool_profiles", "gauge", "Profiles in the spool.",
		&counts->waiting);
	put_one(out, "cprof_push_spool_bytes", "gauge", "Bytes of the profiles in the spool.",
		&counts->waiting_bytes);
}
