/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/endpoint.h - what can be asked for below /debug/pprof/: a row for each name, listed once in endpoint.c.
 */
#ifndef CPROF_ATTACH_SERVE_ENDPOINT_H
#define CPROF_ATTACH_SERVE_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cprof_endpoint_kind {
	CPROF_ENDPOINT_WINDOW, /* of some seconds, from the ask on: profile */
	CPROF_ENDPOINT_SINCE,  /* from the start of the recording; `seconds` gives a difference */
	CPROF_ENDPOINT_DELTA,  /* what came since it was asked for the last time, by whomever */
	CPROF_ENDPOINT_MOMENT, /* now: threads */
	CPROF_ENDPOINT_SPELL,  /* of some seconds, cut out of a recording by its times: wall */
	CPROF_ENDPOINT_CMDLINE,
	CPROF_ENDPOINT_SYMBOL,
	CPROF_ENDPOINT_NOT_THERE, /* Go has it, we do not: `refusal` says why */
};

#define CPROF_ENDPOINT_TYPES 4

struct cprof_endpoint {
	const char *name; /* "heap" */
	const char *file; /* under which it is given out; NULL: its name */
	enum cprof_endpoint_kind kind;
	const char *mode;    /* of attach/modes/mode.h; NULL: none is recorded */
	const char *summary; /* for the index; NULL: not listed there */

	/* The sample types that it has, in order, under these names: of `types_of` where that is not NULL. */
	const char *types[CPROF_ENDPOINT_TYPES];
	const char *types_of[CPROF_ENDPOINT_TYPES];
	unsigned
		state_from; /* types from this one on are a state, not a count: a difference keeps them */
	const char *default_type; /* NULL: the last */
	const char *period_type;  /* NULL: as it is */
	const char *
		text; /* how debug=1 begins: "heap", "contention", "mutex"; NULL: "NAME profile: total N" */
	const char *refusal;
	bool quiet; /* that it cannot be recorded is told to who asks for it only */
};

extern const struct cprof_endpoint cprof_endpoints[];
extern const size_t cprof_n_endpoints;

/* The row called `name`, or NULL. */
const struct cprof_endpoint *cprof_endpoint_find(const char *name);

#endif
