/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/profile_form.h - a profile as an endpoint gives it out: sample types, labels, times, and the bytes or the text.
 *
 * The names of types and what the texts look like are Go's (net/http/pprof and runtime/pprof), so that what reads Go's
 * profiles reads these.
 */
#ifndef CPROF_ATTACH_SERVE_PROFILE_FORM_H
#define CPROF_ATTACH_SERVE_PROFILE_FORM_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/run/thread_choice.h"
#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

#define CPROF_PROFILE_FORM_CHOICE 64

enum cprof_profile_shape {
	CPROF_SHAPE_PPROF, /* gzip, as it goes to a client */
	CPROF_SHAPE_PART,  /* as it is, to be made into the difference of two */
	CPROF_SHAPE_TEXT,  /* Go's legacy text, as for debug=1 */
	CPROF_SHAPE_NOW, /* no profile: the moment, CLOCK_MONOTONIC, 8 bytes, at which a recording goes on */
};

/* What goes with an ask of a snapshot. */
struct cprof_profile_form {
	uint8_t endpoint; /* index in cprof_endpoints */
	uint8_t shape;    /* enum cprof_profile_shape */
	bool all_labels;  /* also those of single threads and locks */
	/* Only samples of threads that match, as -threads and -tid (attach/run/thread_choice.h); "": all. */
	char threads[CPROF_PROFILE_FORM_CHOICE], tids[CPROF_PROFILE_FORM_CHOICE];
	uint64_t from_ns, until_ns; /* of a mode with windows: [from, until) of CLOCK_MONOTONIC */
};

/* Whether it is of some threads only. Then nothing of an earlier recording goes on in it. */
bool cprof_profile_form_chooses(const struct cprof_profile_form *form);

/* These threads; NULL: all of them. To be freed by thread_choice.h. Errors: USAGE, NO_MEMORY. */
struct cprof_error *cprof_profile_form_choice(const struct cprof_profile_form *form,
					      struct cprof_thread_choice **ret_choice);

/* The endpoint that gives out all that a mode records, into ret_form->endpoint; false: none does. */
bool cprof_profile_form_of_mode(const char *mode, struct cprof_profile_form *ret_form);

/* Append `profile`, which is given away, in this form. Errors: NO_MEMORY, USAGE (a type is missing). */
struct cprof_error *cprof_profile_form_write(const struct cprof_profile_form *form,
					     struct cprof_profile *profile,
					     struct cprof_buffer *out);

/* The same, with what `carry`, the bytes of an earlier profile of this form, has counted; NULL or empty: nothing. */
struct cprof_error *cprof_profile_form_write_on(const struct cprof_profile_form *form,
						const struct cprof_buffer *carry,
						struct cprof_profile *profile,
						struct cprof_buffer *out);

/*
 * What came between two parts (CPROF_SHAPE_PART) of the same recording: counts of the last less those of the first, while
 * what is a state and no count stays the last one's. Nothing is below zero. `first` empty: all that the last one has.
 */
struct cprof_error *cprof_profile_form_difference(const struct cprof_profile_form *form,
						  const struct cprof_buffer *first,
						  const struct cprof_buffer *last,
						  struct cprof_buffer *out);

/* The same as a profile that says when it began and how long it took; `first` NULL or empty: all of `last`. */
struct cprof_error *cprof_profile_form_subtract(const struct cprof_profile_form *form,
						const struct cprof_buffer *first,
						const struct cprof_buffer *last,
						struct cprof_profile **ret_profile);

#endif
