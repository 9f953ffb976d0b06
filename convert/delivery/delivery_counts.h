/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/delivery/delivery_counts.h - what became of profiles that were to be delivered, in numbers.
 *
 * Plain numbers in one struct, so that it may lie in memory that two processes share: one adds, the other reads.
 */
#ifndef CPROF_CONVERT_DELIVERY_DELIVERY_COUNTS_H
#define CPROF_CONVERT_DELIVERY_DELIVERY_COUNTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "cprof/buffer.h"

/* Why a profile was given up. */
enum cprof_dropped {
	CPROF_DROPPED_REFUSED,  /* the server does not want it */
	CPROF_DROPPED_TOO_OLD,  /* for the server */
	CPROF_DROPPED_EXPIRED,  /* for us: the limit of age */
	CPROF_DROPPED_NO_ROOM,  /* the limit of size, the oldest first */
	CPROF_DROPPED_DAMAGED,  /* the file cannot be read back */
	CPROF_DROPPED_NOT_KEPT, /* it could be neither delivered nor written to the disk */
	CPROF_DROPPED_N,
};

struct cprof_delivery_counts {
	_Atomic uint64_t delivered;    /* profiles */
	_Atomic uint64_t kept;         /* profiles that were written to the disk to wait */
	_Atomic uint64_t failed_tries; /* each may be tried again */
	_Atomic uint64_t dropped[CPROF_DROPPED_N]; /* profiles, by reason */
	_Atomic uint64_t waiting, waiting_bytes;   /* on the disk, when last looked at */
};

/* "refused", "too_old", ...: as a label's value. */
const char *cprof_dropped_name(enum cprof_dropped reason);

/* How many were delivered, or given up for another reason than want of room. */
uint64_t cprof_delivery_counts_settled(const struct cprof_delivery_counts *counts);

/* Append one line for people, "3 delivered, 2 wait, 1 dropped (1 too_old)"; nothing where there is nothing to tell. */
void cprof_delivery_counts_say(const struct cprof_delivery_counts *counts,
			       struct cprof_buffer *out);

/* Append the same as metrics, in Prometheus's text format. */
void cprof_delivery_counts_put_metrics(const struct cprof_delivery_counts *counts,
				       struct cprof_buffer *out);

#endif
