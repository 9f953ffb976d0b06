/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/web.h - the web view of profiles: its answers to requests, for whichever server it is mounted on.
 *
 * It holds profiles (recordings.h) and makes each answer in a process of its own (base/work.h), which has a copy of them: what
 * a report does to a profile is gone with it, a report that is too large ends there, and others are answered meanwhile. No
 * file is served but what the reports show: source lines below the source path, and the profile.
 */
#ifndef CPROF_CONVERT_WEB_WEB_H
#define CPROF_CONVERT_WEB_WEB_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "convert/http/http_server.h"
#include "convert/web/web_options.h"
#include "cprof/error.h"
#include "cprof/profile.h"

#define CPROF_WEB_VISITS_MAX 64          /* requests being answered */
#define CPROF_WEB_BODY_BYTES (64u << 20) /* of an uploaded profile; for the server's limits */

struct cprof_web;

struct cprof_error *cprof_web_new(const struct cprof_web_options *options,
				  struct cprof_web **ret_web);
void cprof_web_free(struct cprof_web *web);

/* A profile to begin with, taken also on error. `is_base`: the others are compared with it. */
struct cprof_error *cprof_web_add(struct cprof_web *web, struct cprof_profile *profile,
				  const char *name, bool is_base);

/* A request whose path below the mount is `path`, from '/'. It is answered at once or in a later run. */
void cprof_web_ask(struct cprof_web *web, struct cprof_http_request *request, const char *path);

/* Nobody waits for it any more. False: it is none of ours. */
bool cprof_web_gone(struct cprof_web *web, const struct cprof_http_request *request);

/* What to poll for, appended at n: CPROF_WEB_VISITS_MAX at most; the new n. */
size_t cprof_web_poll(const struct cprof_web *web, struct pollfd *fds, size_t n);

/* Whether there is work that waits for its turn and can begin now. */
bool cprof_web_due(const struct cprof_web *web);

/* Do what there is to do, and answer what is done. Never blocks for longer than it takes to read a recording. */
void cprof_web_run(struct cprof_web *web);

#endif
