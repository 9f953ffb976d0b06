/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/http/http_address.h - where to listen: HOST:PORT of this machine's loopback, or a unix socket.
 *
 * Owns the reading of the address and the listening socket. What may be reached from other machines is refused, unless the
 * caller asks who comes (http_token.h).
 */
#ifndef CPROF_CONVERT_HTTP_HTTP_ADDRESS_H
#define CPROF_CONVERT_HTTP_HTTP_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_http_address {
	struct sockaddr_storage addr;
	socklen_t len;
	bool is_unix;
	bool is_passed; /* a service manager's socket (http_activation.h), whose name is not ours to remove */
};

/*
 * "127.0.0.1:6060", "localhost:6060", "[::1]:6060", ":6060" (127.0.0.1), "unix:/run/x.sock"; port 0 is any that is free. Errors: USAGE (not an address, or
 * one that is not the loopback's).
 */
struct cprof_error *cprof_http_address_parse(const char *text, struct cprof_http_address *ret);

/* The same, with any address of this machine: "0.0.0.0:6060", "192.0.2.7:6060", "[::]:6060". */
struct cprof_error *cprof_http_address_parse_any(const char *text, struct cprof_http_address *ret);

/* USAGE where it can be reached from other machines; else none. */
struct cprof_error *cprof_http_address_check_private(const struct cprof_http_address *address);

/* Whether it is every address of the machine (0.0.0.0, [::]), so that nobody can ask for it by that. */
bool cprof_http_address_is_wildcard(const struct cprof_http_address *address);

/*
 * Listen there; `*ret_fd` is the caller's. A unix socket is for its owner alone (0600); one that nobody listens on any
 * more is replaced. Errors: EXISTS (something else has that address), DENIED, OS.
 */
struct cprof_error *cprof_http_address_listen(const struct cprof_http_address *address,
					      int *ret_fd);

/* As it can be asked for: "http://127.0.0.1:6060", with the port that the socket really has. */
void cprof_http_address_url(const struct cprof_http_address *address, int fd,
			    struct cprof_buffer *out);

/* Remove the name of a unix socket; nothing of others. */
void cprof_http_address_forget(const struct cprof_http_address *address);

#endif
