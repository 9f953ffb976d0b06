/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/http/http_activation.h - a listening socket that a service manager has opened for us.
 *
 * The protocol is two variables and descriptors from 3 on: sd_listen_fds(3) "Description", "Notes".
 */
#ifndef CPROF_CONVERT_HTTP_HTTP_ACTIVATION_H
#define CPROF_CONVERT_HTTP_HTTP_ACTIVATION_H

#include <stdbool.h>

#include "convert/http/http_address.h"
#include "cprof/error.h"

/* Whether one was passed to this very process: LISTEN_PID, LISTEN_FDS. */
bool cprof_http_activation_is_there(void);

/*
 * Take it: `*ret_fd` is the caller's, `*ret_address` is where it listens. Who we start does not inherit it. Errors: USAGE (none was passed, or several),
 * BAD_DATA (something else than a listening stream socket of TCP or of the unix family).
 */
struct cprof_error *cprof_http_activation_take(struct cprof_http_address *ret_address, int *ret_fd);

#endif
