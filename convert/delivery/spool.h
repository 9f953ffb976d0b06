/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/delivery/spool.h - profiles that wait on the disk until their server takes them.
 *
 * A directory of our own (base/state_dir.h) with a file for each profile and server (spool_entry.h), named by its turn, the
 * server it is for, and chance: NNNNNNNNNNNNNNNN-SERVER-CHANCE.push. Several processes may put and take at once: who has a
 * profile in hand holds its lock. What is put is on the disk when the call returns, so that neither kill -9 nor a power failure
 * takes it away; a profile is removed when its server has answered, so that one that we were killed over between the answer
 * and the removal can arrive twice, but none is lost.
 *
 * Bounded by size and age; the oldest goes first, and why is counted (delivery_counts.h). Age is measured by the clock that
 * does not jump, as long as the machine has not been started anew.
 */
#ifndef CPROF_CONVERT_DELIVERY_SPOOL_H
#define CPROF_CONVERT_DELIVERY_SPOOL_H

#include "base/clockwork.h"
#include "base/state_dir.h"
#include "convert/delivery/delivery_counts.h"
#include "convert/delivery/spool_entry.h"
#include "convert/push/push.h"
#include "cprof/error.h"

#define CPROF_SPOOL_BYTES_DEFAULT  (512ull << 20)
#define CPROF_SPOOL_AGE_NS_DEFAULT (24 * 3600 * 1000000000ull)

struct cprof_spool_bounds {
	uint64_t bytes;  /* 0: the default */
	uint64_t age_ns; /* 0: the default */
};

struct cprof_spool {
	struct cprof_state_dir dir;
	struct cprof_spool_bounds bounds;
	const struct cprof_clockwork *clock;  /* borrowed */
	struct cprof_delivery_counts *counts; /* borrowed */
	uint8_t boot_id[16];
	bool only_looks;              /* take removes nothing; the reader's to set */
	struct {                      /* so that to put one is not to look at all of them */
		uint64_t turn, bytes; /* the last one's; of all, as far as is known */
		unsigned puts;        /* since they were looked at */
		uint64_t settled;     /* cprof_delivery_counts_settled() then */
		bool known;
		struct cprof_state_files oldest; /* owned; of those that were there, some */
		size_t first;                    /* of them that may still be there */
	} seen;
};

/*
 * `path` NULL: the default place (base/state_dir.h). Makes the directory. Errors: UNSUPPORTED (there is no default place), OS,
 * DENIED, NO_MEMORY.
 */
struct cprof_error *cprof_spool_open(const char *path, const struct cprof_spool_bounds *bounds,
				     const struct cprof_clockwork *clock,
				     struct cprof_delivery_counts *counts,
				     struct cprof_spool *ret_spool);
void cprof_spool_deinit(struct cprof_spool *spool);

/* A profile in hand: nobody else sends it meanwhile. Let go of by _release (it stays) or _remove (it does not). */
struct cprof_spool_ticket {
	char name[128];
	int fd; /* owned, with the lock */
};

/*
 * Keep push->body for push->url. Makes room by dropping the oldest, also where the disk is full. `ret_ticket` NULL: let go at
 * once. Errors: OS (full, read only), UNSUPPORTED (too large), USAGE (the URL), NO_MEMORY; the caller still has the profile then.
 */
struct cprof_error *cprof_spool_put(struct cprof_spool *spool, const struct cprof_push *push,
				    struct cprof_spool_ticket *ret_ticket);

/*
 * Which server a push is for, as a number: the same for the same kind of server, URL, user and tenant. The password is
 * no part of it, so that a new one sends what waited. Errors: USAGE, NO_MEMORY.
 */
struct cprof_error *cprof_spool_server_of(const struct cprof_push *push, uint64_t *ret_server);

/* Whether a file's name says that it is for that server. */
bool cprof_spool_is_for(const char *name, uint64_t server);
uint64_t cprof_spool_server_in(const char *name);

/* All that wait, in their turn; the counts of what waits are set. Drops what is beyond the bounds. */
struct cprof_error *cprof_spool_list(struct cprof_spool *spool, struct cprof_state_files *files);

/*
 * Take it in hand and read it; what `ret_entry` points to is in `bytes`. *ret_taken false: somebody else has it, or it is gone,
 * or it was damaged and dropped. Errors: NO_MEMORY; where it only looks BAD_DATA of a damaged one.
 */
struct cprof_error *cprof_spool_take(struct cprof_spool *spool, const char *name,
				     struct cprof_spool_ticket *ret_ticket,
				     struct cprof_buffer *bytes,
				     struct cprof_spool_entry *ret_entry, bool *ret_taken);

void cprof_spool_release(struct cprof_spool_ticket *ticket);

/* It has arrived, or was dropped. False: the file is still there (the disk is read only), and was let go. */
bool cprof_spool_remove(struct cprof_spool *spool, struct cprof_spool_ticket *ticket);

/* How long it has waited; and by how much our clock was set since then: what is to be added to the times of that day. */
uint64_t cprof_spool_age_ns(const struct cprof_spool *spool, const struct cprof_spool_entry *entry);
int64_t cprof_spool_shift_ns(const struct cprof_spool *spool,
			     const struct cprof_spool_entry *entry);

void cprof_spool_drop(struct cprof_spool *spool, enum cprof_dropped reason);

#endif
