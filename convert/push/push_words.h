/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/push/push_words.h - what people are told when a server did not take a profile: its own words, and what to do.
 */
#ifndef CPROF_CONVERT_PUSH_PUSH_WORDS_H
#define CPROF_CONVERT_PUSH_PUSH_WORDS_H

#include "convert/push/push_backend.h"
#include "convert/push/push_http.h"

struct cprof_push_words {
	const char *shown; /* the URL without its secrets */
	const struct cprof_push_backend *backend;
	bool logged_in;
	const char *how_to_log_in; /* NULL: nobody says */
};

/* UNDELIVERED: the server, its status and words on one line, and a hint where there is something to do. */
struct cprof_error *cprof_push_words_problem(const struct cprof_push_words *words,
					     const struct cprof_push_exchange *exchange);

/* The same, and that it was tried so many times. Takes `err` and gives it back, or another one. */
struct cprof_error *cprof_push_words_tried(struct cprof_error *err, unsigned tried);

#endif
