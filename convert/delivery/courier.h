/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/delivery/courier.h - the process that delivers what lies in the spool, so that whoever records never waits for a network.
 *
 * A child of ours with nothing of its parent's but the standard descriptors: it holds one profile in memory at a time, and what
 * becomes of it, or of libcurl in it, changes nothing for the recording. The two share the counts (delivery_counts.h) and a pipe
 * through which the child is woken, and by whose end it learns that its parent is gone: then it lets go after the transfer
 * that it is in, and what is left waits for the next run. Where the child has ended by itself (killed, out of memory) that is said, and all
 * that comes later waits in the spool: no other one is begun, because it would inherit the recording.
 *
 * Where the disk takes nothing (full of other things, read only) a profile is sent at once, by a child of its own for it; a
 * few at a time, so that memory stays bounded.
 */
#ifndef CPROF_CONVERT_DELIVERY_COURIER_H
#define CPROF_CONVERT_DELIVERY_COURIER_H

#include <stdbool.h>
#include <sys/types.h>

#include "convert/delivery/spool.h"

#define CPROF_COURIER_DIRECT_MAX 4

struct cprof_courier_plan {
	const char *spool; /* the directory; NULL: the usual one */
	struct cprof_spool_bounds bounds;
	const struct cprof_push
		*servers; /* as cprof_destination.to; borrowed until the start returns */
	size_t n_servers;
	bool paced; /* catch up no faster than pace.h says; else as fast as the server takes them */
	/* Called in the child, and of the child in the parent; one line without its end. NULL: nobody listens. */
	void (*say)(void *ctx, const char *line);
	/* Called by _finish to let some time pass, up to `ms`; NULL: it sleeps. */
	void (*pass)(void *ctx, int ms);
	void *ctx; /* borrowed until _deinit */
};

struct cprof_courier {
	struct cprof_spool spool;                 /* of the parent, who puts */
	struct cprof_delivery_counts *counts;     /* owned; shared with the children */
	int wake;                                 /* owned; writing end of the pipe */
	pid_t pid;                                /* of the courier; 0: there is none */
	void (*say)(void *ctx, const char *line); /* of the plan, as what follows */
	void (*pass)(void *ctx, int ms);
	void *ctx;
	pid_t direct[CPROF_COURIER_DIRECT_MAX];
};

/*
 * Start it. Before anything is opened that must not live on in a child for long (perf events, rings). Stops no target.
 * Where the spool cannot be opened it is told by `say`, and every profile is sent directly. Errors: OS (fork, pipe), NO_MEMORY.
 */
struct cprof_error *cprof_courier_start(const struct cprof_courier_plan *plan,
					struct cprof_courier *ret_courier);

/* See whether its process is still there, and say so once if it is not. To be called before ended children of all kinds are reaped. */
void cprof_courier_look(struct cprof_courier *courier);

/* Keep push->body for push->url and wake the courier; waits for the disk at most. What could not be kept is counted. */
void cprof_courier_take(struct cprof_courier *courier, const struct cprof_push *push);

/*
 * No more will come: deliver what the servers take within `grace_ns`, and end. What is left stays in the spool;
 * courier->counts is valid until _deinit.
 */
void cprof_courier_finish(struct cprof_courier *courier, uint64_t grace_ns);
void cprof_courier_deinit(struct cprof_courier *courier);

#endif
