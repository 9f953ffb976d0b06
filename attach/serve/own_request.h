/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/own_request.h - a request to the server that we are ourselves, from one of its works.
 */
#ifndef CPROF_ATTACH_SERVE_OWN_REQUEST_H
#define CPROF_ATTACH_SERVE_OWN_REQUEST_H

#include "convert/http/http_address.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

/*
 * GET `path` there; blocks until the answer is whole. `token_file` NULL: nobody asks who we are. Errors: OS (no connection, or what the
 * server said where it is no 200), those of cprof_secret_read_kept().
 */
struct cprof_error *cprof_own_request(const struct cprof_http_address *address,
				      const char *token_file, const char *path,
				      struct cprof_buffer *ret_body);

#endif
