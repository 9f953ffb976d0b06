/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/look.h - what is answered by one look at a target, in a process of its own: its threads, names of addresses.
 */
#ifndef CPROF_ATTACH_SERVE_LOOK_H
#define CPROF_ATTACH_SERVE_LOOK_H

#include <stddef.h>
#include <stdint.h>

#include "attach/serve/profile_form.h"
#include "attach/serve/recording.h"
#include "base/work.h"
#include "cprof/error.h"

struct cprof_look_threads {
	const struct cprof_subject *subject;
	struct cprof_profile_form form;
	bool dump;     /* the text of the threads mode, whatever the form: debug=2 */
	bool go_words; /* in Go's words */
};

/* Every thread's stack now. Errors: those of the threads mode come as the work's result; OS. */
struct cprof_error *cprof_look_threads_start(struct cprof_look_threads *look,
					     struct cprof_work *ret_work);

struct cprof_look_names {
	const struct cprof_subject *subject;
	const char *addresses; /* "0x401000+0x402000", any bytes */
	size_t n_addresses;
};

/* What Go's symbol handler answers: "num_symbols: 1", and a line for each address that has a name. */
struct cprof_error *cprof_look_names_start(struct cprof_look_names *look,
					   struct cprof_work *ret_work);

#endif
