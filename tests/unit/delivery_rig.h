/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/delivery_rig.h - what the tests of the spool share: a directory, a clock that a test moves, and an HTTP server on
 * the loopback that answers as it is told to. Spool, transfer and files are the real ones.
 */
#ifndef CPROF_TESTS_DELIVERY_RIG_H
#define CPROF_TESTS_DELIVERY_RIG_H

#include <pthread.h>
#include <semaphore.h>

#include "convert/delivery/spool.h"

struct rig_clock {
	uint64_t wall_ns, boot_ns, chance, slept_ns;
};
struct cprof_clockwork rig_clock(struct rig_clock *ctx);

#define RIG_REQUESTS_MAX 512

/* Once more than the test has looked at: under the lock. */
struct rig_server {
	int fd;
	char url[64]; /* "http://127.0.0.1:PORT" */
	pthread_t thread;
	sem_t ready; /* the thread takes connections */
	pthread_mutex_t lock;
	const char *answers
		[8]; /* in turn, the last one for ever: "200 OK\r\n...\r\n\r\nbody"; NULL: hang up */
	unsigned n_answers;
	unsigned n;                       /* requests so far */
	char *requests[RIG_REQUESTS_MAX]; /* owned: head and body, the zero bytes of it replaced */
};

struct rig {
	char dir[256];
	struct rig_clock clock_ctx;
	struct cprof_clockwork clock;
	struct cprof_delivery_counts counts;
	struct cprof_spool spool;
	struct cprof_profile *profile; /* owned */
	struct cprof_buffer body;      /* the same, gzip */
	char service[32];
	struct rig_server server;
};

void rig_init(struct rig *rig);
void rig_deinit(struct rig *rig);
void rig_reopen(struct rig *rig); /* as after a restart of ours */

/* Seconds by both clocks. */
void rig_pass(struct rig *rig, uint64_t seconds);

/* A profile for `url`, of a service "s%04u"; valid until the next one. */
struct cprof_push rig_push(struct rig *rig, const char *url, unsigned number);

/* `n` samples, so that it goes in parts. */
void rig_grow(struct rig *rig, uint32_t n);

void rig_serve(struct rig *rig);
void rig_answer(struct rig *rig, unsigned n, const char *const *answers);
unsigned rig_requests(struct rig *rig);

#endif
