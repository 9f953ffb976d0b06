/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/ring/ring_server.h - /debug/ring: GET is a profile of the last seconds, POST triggers.
 *
 * Its owner polls, and gives the profile when it is there; nothing here waits. Who may ask is as for all that is served
 * (convert/http/http_listen.h).
 */
#ifndef CPROF_ATTACH_RING_RING_SERVER_H
#define CPROF_ATTACH_RING_RING_SERVER_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

#define CPROF_RING_SERVER_FDS 32 /* at most, to poll for */

struct cprof_ring_server;

/* Somebody has triggered: the line that he is answered is appended. */
typedef void cprof_ring_server_trigger_fn(void *ctx, struct cprof_buffer *answer);

/* Errors: those of cprof_listen_open() and cprof_http_server_new(). */
struct cprof_error *cprof_ring_server_open(const char *address, const char *token_file,
					   cprof_ring_server_trigger_fn *trigger, void *ctx,
					   struct cprof_ring_server **ret_server);
void cprof_ring_server_close(struct cprof_ring_server *server); /* takes NULL */

/* "http://127.0.0.1:6060" */
const char *cprof_ring_server_url(const struct cprof_ring_server *server);

/* Somebody waits for a profile. NULL: nobody does. */
bool cprof_ring_server_wants(const struct cprof_ring_server *server);

/* Answer all who wait. `err` NULL: with these bytes; both are borrowed. */
void cprof_ring_server_give(struct cprof_ring_server *server, const uint8_t *bytes, size_t n,
			    const struct cprof_error *err);

/* As cprof_http_server_poll(), _due_mono_ns() and _run(). NULL: nothing, never, nothing. */
size_t cprof_ring_server_poll(const struct cprof_ring_server *server, struct pollfd *fds, size_t n);
uint64_t cprof_ring_server_due_mono_ns(const struct cprof_ring_server *server);
void cprof_ring_server_run(struct cprof_ring_server *server, const struct pollfd *fds, size_t n);

#endif
