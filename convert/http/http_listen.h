/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/http/http_listen.h - where a server listens, and whom it lets in: an address, or a service manager's socket, and a token.
 *
 * What other machines can reach is served to those only who know a token.
 */
#ifndef CPROF_CONVERT_HTTP_HTTP_LISTEN_H
#define CPROF_CONVERT_HTTP_HTTP_LISTEN_H

#include "convert/http/http_address.h"
#include "convert/http/http_token.h"
#include "cprof/error.h"

struct cprof_listen {
	int fd; /* owned; -1: given away */
	struct cprof_http_address address;
	struct cprof_http_token *token; /* owned; NULL: everybody may ask who can reach it */
};

#define CPROF_LISTEN_NONE ((struct cprof_listen){ .fd = -1 })

/*
 * `address` as in http_address.h, or "systemd": the socket that the service manager has passed, which is taken for any other
 * address, too, where there is one. `token_file` NULL: none. Both are borrowed. Errors: USAGE, DENIED, EXISTS, BAD_DATA, OS, NO_MEMORY.
 */
struct cprof_error *cprof_listen_open(const char *address, const char *token_file,
				      struct cprof_listen *ret_listen);

/* Removes the name of a unix socket that we have made. */
void cprof_listen_close(struct cprof_listen *listen);

#endif
