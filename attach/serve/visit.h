/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/visit.h - one request from the ask to the answer: what has to be recorded, waited for and worked out for it.
 *
 * It never blocks: it says what it waits for, and goes on when that is there. Everything that it holds is let go when it is
 * freed, be it because it has been answered or because nobody waits any more.
 */
#ifndef CPROF_ATTACH_SERVE_VISIT_H
#define CPROF_ATTACH_SERVE_VISIT_H

#include <stdbool.h>
#include <stdint.h>

#include "convert/http/http_server.h"
#include "attach/serve/ask.h"
#include "attach/serve/channel.h"

#define CPROF_VISIT_WORKS_MAX 8 /* looks and differences at once; others wait for their turn */

/* What visits share; all of it outlives them. */
struct cprof_visit_house {
	const struct cprof_target *target;
	const struct cprof_subject *subject;
	struct cprof_channels *channels;
	struct cprof_channels *streams; /* of all houses; used where `offered` */
	unsigned *works;                /* of all houses */
	unsigned visits;                /* of this one */
};

struct cprof_visit;

/* `ask` (CPROF_ASK_ENDPOINT) is taken. NULL: no memory; the request is not answered then. */
struct cprof_visit *cprof_visit_new(struct cprof_visit_house *house,
				    struct cprof_http_request *request, struct cprof_ask *ask);
void cprof_visit_free(struct cprof_visit *visit);

/* What it waits for: a descriptor to become readable (-1: none), a moment (UINT64_MAX: none). */
int cprof_visit_fd(const struct cprof_visit *visit);
uint64_t cprof_visit_due_mono_ns(const struct cprof_visit *visit);

/* Go on. True: the request has been answered. */
bool cprof_visit_run(struct cprof_visit *visit, uint64_t mono_ns);

/* Answer with an error: by its code 404, 400, 403, 501 or 500. Takes `err`. */
void cprof_visit_answer_error(struct cprof_http_request *request, struct cprof_error *err);

#endif
