/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/delivery/drain.h - one server's profiles out of the spool, in their turn, while it takes them.
 *
 * Owns when a server is tried again (convert/push/backoff.h), what becomes of a profile after each answer, and what is said of it:
 * the same trouble is told once. Never waits by itself but for a transfer: whoever calls it does (courier.h, or a command).
 *
 * After                       the profile               the server is tried again
 * delivered                   is removed                at once, or after the pace
 * away or busy (AGAIN)        stays                     after a random time up to 0.5 s, 1 s ... 60 s, or what it asked for
 * to be mended (HELD)         stays                     after a random time up to 60 s
 * refused                     is removed, counted       at once
 * too old for server or us    is removed, counted       it was not asked
 *
 * A server that answers 500 may be broken, or may have been broken by this one profile. After some such answers the next profile
 * is tried, and where that is taken, the first has one more chance.
 */
#ifndef CPROF_CONVERT_DELIVERY_DRAIN_H
#define CPROF_CONVERT_DELIVERY_DRAIN_H

#include "convert/delivery/spool.h"

struct cprof_drain {
	struct cprof_spool *spool; /* borrowed */
	uint64_t
		pace_ns; /* between two profiles: who has much to catch up with does it slowly; 0: at once */
	bool override_time; /* what waited is sent as if it had ended now */
	/* One line for people, without its end; NULL: nobody listens. */
	void (*say)(void *ctx, const char *line);
	void *ctx;
};

struct cprof_destination {
	struct cprof_push
		to;        /* url, backend, auth, open_auth, how_to_log_in, tenant, tls; borrowed */
	uint64_t server;   /* cprof_spool_server_of(&to) */
	unsigned failures; /* in a row */
	uint64_t not_before_boot_ns;
	char *said; /* owned: the trouble that was told last */
	int turn;   /* owned, with the lock: it is us who drain; -1 */
	struct {
		struct cprof_state_files files; /* owned; of all servers, as they were then */
		size_t first;                   /* that may still be there */
		uint64_t then_boot_ns;
	} queue;
	struct {
		char name[128];
		unsigned failures;
		bool condemned; /* the server took another one since */
	} suspect;
	struct {
		char name[128];
		uint32_t parts_done, n_parts;
	} partly; /* what could not be written into the file, because the disk is read only */
	struct cprof_state_files arrived; /* the same: files that could not be removed */
};

/* `to` is copied, what it points to is borrowed. Errors: USAGE, NO_MEMORY. */
struct cprof_error *cprof_destination_init(const struct cprof_push *to,
					   struct cprof_destination *ret_destination);
void cprof_destination_deinit(struct cprof_destination *destination);

enum cprof_drained {
	CPROF_DRAINED_ONE,   /* one is gone from the spool, and there may be more */
	CPROF_DRAINED_NONE,  /* nothing is there for this server */
	CPROF_DRAINED_LATER, /* destination->not_before_boot_ns says when */
	CPROF_DRAINED_OTHER, /* another process is at it; not_before_boot_ns says when to look again */
};

/* At most one profile. Blocks for its transfer. Errors: NO_MEMORY, UNSUPPORTED (no libcurl), OS (the spool cannot be listed). */
struct cprof_error *cprof_drain_step(struct cprof_drain *drain,
				     struct cprof_destination *destination,
				     enum cprof_drained *ret_drained);

/*
 * Steps, and the waits between them, until nothing is there, `tries` tries in a row have failed, or until_boot_ns has come.
 * Errors: as a step. What it was that stopped it was said.
 */
struct cprof_error *cprof_drain_all(struct cprof_drain *drain,
				    struct cprof_destination *destination, unsigned tries,
				    uint64_t until_boot_ns);

#endif
