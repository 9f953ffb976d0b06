/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/http/http_token.h - the secret that clients have to know, kept in a file.
 *
 * A client gives it as "Bearer TOKEN" (RFC 6750 "Authorization Request Header Field") or as the password of "Basic" (RFC 7617),
 * whatever the user is called: so a URL with user:TOKEN@ does. The file is read again when it has changed; while it is missing or
 * others may read it, nobody is let in.
 */
#ifndef CPROF_CONVERT_HTTP_HTTP_TOKEN_H
#define CPROF_CONVERT_HTTP_HTTP_TOKEN_H

#include "cprof/error.h"

enum cprof_http_token_answer {
	CPROF_HTTP_TOKEN_RIGHT,
	CPROF_HTTP_TOKEN_WRONG,
	CPROF_HTTP_TOKEN_UNKNOWN, /* ours cannot be read */
};

struct cprof_http_token;

/* The token is the first line of `path`, which is borrowed. Errors: those of cprof_secret_read_kept(), NO_MEMORY. */
struct cprof_error *cprof_http_token_open(const char *path, struct cprof_http_token **ret_token);
void cprof_http_token_free(struct cprof_http_token *token);

/*
 * What a client says in its Authorization header; NULL: nothing. How long that takes says nothing of how much of the token is
 * right.
 */
enum cprof_http_token_answer cprof_http_token_check(struct cprof_http_token *token,
						    const char *authorization);

#endif
